package postgres

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// Not even a program that is let into the database changes who did what, but as the
// owner of the table.
func TestTheAuditLogIsOnlyAddedTo(t *testing.T) {
	t.Parallel()
	url, name := newDatabase(t)
	s := openStore(t, url)
	defer s.Close()
	for _, at := range []time.Time{time.Now(), time.Now().Add(-telltale.AuditMemory - time.Hour)} {
		if err := s.Audit(t.Context(), telltale.AuditEntry{Action: telltale.AuditLogin, Name: "jo", At: at}); err != nil {
			t.Fatal(err)
		}
	}
	for _, statement := range []string{
		`UPDATE audit_entry SET name = 'somebody else'`,
		`UPDATE audit_entry SET at = 0`,
		`DELETE FROM audit_entry`,
		`TRUNCATE audit_entry`,
	} {
		if answer, err := server.Exec(name, statement); err == nil || !strings.Contains(answer+err.Error(), "only added to") {
			t.Errorf("%s gives %s, %v", statement, answer, err)
		}
	}
	if _, err := server.Exec(name, fmt.Sprintf(`DELETE FROM audit_entry WHERE at <= %d`, stored.TimeMilli(time.Now().Add(-telltale.AuditMemory)))); err != nil {
		t.Errorf("what is old enough is kept: %v", err)
	}
	entries, err := s.AuditEntries(t.Context(), "", telltale.AuditFilter{Action: telltale.AuditLogin}, telltale.Page{Limit: 10})
	if err != nil || len(entries) != 1 || entries[0].Name != "jo" {
		t.Errorf("what is left is %+v, %v", entries, err)
	}
}
