package sqlite

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// Not even a program that has the file open may change who did what.
func TestTheAuditLogIsOnlyAddedTo(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for _, at := range []time.Time{time.Now(), time.Now().Add(-telltale.AuditMemory - time.Hour)} {
		if err := s.Audit(t.Context(), telltale.AuditEntry{Action: telltale.AuditLogin, Name: "jo", At: at}); err != nil {
			t.Fatal(err)
		}
	}
	try := func(statement string) error {
		return s.write(context.Background(), "tampering", 100, func(tx *tx) error { return tx.change(statement).run() })
	}
	for _, statement := range []string{
		`UPDATE audit_entry SET name = 'somebody else'`,
		`UPDATE audit_entry SET at = 0`,
		`DELETE FROM audit_entry`,
		`INSERT OR REPLACE INTO audit_entry SELECT id, project, at, actor_kind, actor_id, 'somebody else', remote_addr, request, action, target, name, changes FROM audit_entry`,
	} {
		if err := try(statement); err == nil || !strings.Contains(err.Error(), "only added to") {
			t.Errorf("%s gives %v", statement, err)
		}
	}
	if err := try(fmt.Sprintf(`DELETE FROM audit_entry WHERE at <= %d`, stored.TimeMilli(time.Now().Add(-telltale.AuditMemory)))); err != nil {
		t.Errorf("what is old enough is kept: %v", err)
	}
	entries, err := s.AuditEntries(t.Context(), "", telltale.AuditFilter{Action: telltale.AuditLogin}, telltale.Page{Limit: 10})
	if err != nil || len(entries) != 1 || entries[0].Name != "jo" {
		t.Errorf("what is left is %+v, %v", entries, err)
	}
}
