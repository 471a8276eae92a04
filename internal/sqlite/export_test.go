package sqlite

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite"

	"telltale.example/telltale"
)

// leftOut is what of a store is not exported, and why.
var leftOut = map[string]string{
	"goose_db_version":  "each engine counts its own migrations",
	"sqlite_sequence":   "SQLite's own",
	"meta":              "what others need of it is a field of Export",
	"span":              "an index of ours, which follows from the rows",
	"digest":            "likewise",
	"name_run":          "likewise",
	"name_block":        "likewise",
	"profile.id":        "it follows from the number; those of before do not, and are counted by OwnIDs",
	"erasure.which":     "the other engine removes by what is known, from its start",
	"erasure.place":     "likewise",
	"erasure.left_over": "likewise: what was left is found again, since it is there still",
}

// reads notes which columns a statement reads.
type reads map[string]bool

func (r reads) Authorize(a sqlite.Action) sqlite.AuthResult {
	if a.Type() == sqlite.OpRead {
		r[a.Table()+"."+a.Column()] = true
	}
	return sqlite.AuthResultOK
}

func TestEveryColumnIsExportedOrLeftOutForAReason(t *testing.T) {
	e := newExport(t, newDatabase(t))
	c := e.store.writer.conn
	seen := reads{}
	if err := c.SetAuthorizer(seen); err != nil {
		t.Fatal(err)
	}
	for _, x := range exports {
		if err := c.query(x.from(false)).err; err != nil {
			t.Errorf("%s: %v", x.table, err)
		}
	}
	if err := c.SetAuthorizer(nil); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	err := c.query(`SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'`).each(func(q *query) error {
		table := q.getText()
		name := table + "." + q.getText()
		reason := leftOut[name]
		used[name] = true
		if reason == "" {
			reason = leftOut[table]
			used[table] = true
		}
		switch {
		case reason == "" && !seen[name]:
			t.Errorf("nobody exports %s, and leftOut does not say why", name)
		case reason != "" && seen[name]:
			t.Errorf("%s is exported, and leftOut says why it is not: %s", name, reason)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range leftOut {
		if !used[name] && name != "sqlite_sequence" {
			t.Errorf("leftOut has %s, which there is not", name)
		}
	}
}

// A sort would hold a whole table in memory.
func TestNoExportSorts(t *testing.T) {
	e := newExport(t, newDatabase(t))
	c := e.store.writer.conn
	for _, x := range exports {
		for _, text := range []string{x.from(false), x.from(true)} {
			var plan []string
			q := c.query(`EXPLAIN QUERY PLAN ` + text)
			for range strings.Count(text, "?") {
				q.null()
			}
			if err := q.each(func(q *query) error {
				q.getInt()
				q.getInt()
				q.getInt()
				plan = append(plan, q.getText())
				return nil
			}); err != nil {
				t.Errorf("%s: %v", x.table, err)
			}
			if all := strings.Join(plan, "; "); strings.Contains(all, "TEMP B-TREE") || strings.Contains(text, "?") && !strings.Contains(plan[0], "SEARCH") {
				t.Errorf("%s is read by %s", text, all)
			}
		}
	}
}

func newExport(t *testing.T, path string) *Export {
	t.Helper()
	e, err := OpenExport(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func TestAnExportGoesOnBehindAnyRow(t *testing.T) {
	path := newDatabase(t)
	s := openStore(t, path)
	project, err := s.ProjectBySlug(t.Context(), telltale.DefaultProjectSlug)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		slug := fmt.Sprintf("p-%d", n)
		if err := s.CreateProject(t.Context(), telltale.NewProject(slug, slug)); err != nil {
			t.Fatal(err)
		}
		key, _ := telltale.NewKey(project.ID, "a key", telltale.ScopeRead)
		if err := s.CreateKey(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		event := &telltale.Event{ID: telltale.NewEventID(), ProjectID: project.ID, Type: telltale.Opened, UserID: "42", CallerID: slug, Payload: []byte("{}")}
		if _, err := s.AcceptEvents(t.Context(), telltale.Acceptance{ProjectID: project.ID, Events: []*telltale.Event{event}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	e := newExport(t, path)
	for _, table := range []string{"project", "api_key", "stat", "caller", "event", "audit_entry"} {
		all := keysOf(t, e, table, nil)
		if n, err := e.Count(t.Context(), table); err != nil || int(n) != len(all) {
			t.Errorf("%s has %d rows, and %d are read; %v", table, n, len(all), err)
		}
		if len(all) < 2 {
			t.Errorf("%s has no rows to tell apart", table)
		}
		for i := range all {
			rest := keysOf(t, e, table, all[i])
			if got, want := fmt.Sprint(rest), fmt.Sprint(all[i+1:]); got != want {
				t.Errorf("behind row %d of %s there is %s, not %s", i, table, got, want)
			}
		}
	}
}

func keysOf(t *testing.T, e *Export, table string, behind []any) (keys [][]any) {
	t.Helper()
	rows, err := e.Rows(t.Context(), table, behind)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		keys = append(keys, rows.Key(nil))
	}
	if rows.Err() != nil || rows.Next() {
		t.Fatalf("behind the end of %s: %v", table, rows.Err())
	}
	return keys
}

// Counts stay in memory for seconds, and a crash loses them there.
func TestAnExportHasTheCountsThatACrashLost(t *testing.T) {
	path := newDatabase(t)
	s := openStore(t, path)
	project, err := s.ProjectBySlug(t.Context(), telltale.DefaultProjectSlug)
	if err != nil {
		t.Fatal(err)
	}
	event := &telltale.Event{ID: telltale.NewEventID(), ProjectID: project.ID, Type: telltale.Opened, Payload: []byte("{}")}
	if _, err := s.AcceptEvents(t.Context(), telltale.Acceptance{ProjectID: project.ID, Events: []*telltale.Event{event}}); err != nil {
		t.Fatal(err)
	}
	crashed := filepath.Join(dataFolder(t), "telltale.db")
	for _, file := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + file)
		if err == nil {
			err = os.WriteFile(crashed+file, content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		e := newExport(t, crashed)
		if n, err := e.Count(t.Context(), "stat"); err != nil || n != 2 {
			t.Errorf("there are %d rows of counts, and not a fine and a coarse one; %v", n, err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAnExportNeedsTheStoreToItself(t *testing.T) {
	path := newDatabase(t)
	s := openStore(t, path)
	if _, err := OpenExport(t.Context(), path); err == nil || !strings.Contains(err.Error(), "another process uses this database") {
		t.Errorf("the store of a server is exported: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenExport(t.Context(), path+".not"); err == nil {
		t.Error("a store that there is not is exported")
	}
	e := newExport(t, path)
	if !bytes.Equal(e.Salt, s.ids.Salt[:]) || e.Starts != s.node {
		t.Errorf("the export is of %x, start %d, and the store was %x, start %d", e.Salt, e.Starts, s.ids.Salt, s.node)
	}
	if err := e.store.writer.conn.query(`DELETE FROM node`).run(); err == nil {
		t.Error("an export can be written")
	}
}
