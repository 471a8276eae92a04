package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/storetest"
)

func TestVersionsOfSQLite(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		number int
		ok     bool
	}{
		{"3.51.2 is too old", 3_051_002, false},
		{"3.51.3 is the first good one", 3_051_003, true},
		{"3.52.0 was withdrawn", 3_052_000, false},
		{"3.52.1 is good", 3_052_001, true},
		{"3.9.0 is older than it looks", 3_009_000, false},
		{"the one that is built in is good", sqlite.VersionNumber, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := checkVersion(test.number); (err == nil) != test.ok {
				t.Errorf("checkVersion(%d) = %v", test.number, err)
			}
		})
	}
}

// Each refusal is one sentence that says what to do.
func TestWhatCannotBeTrustedIsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, path string)
		want    string
	}{
		{"a folder that others may enter", func(t *testing.T, path string) {
			chmod(t, filepath.Dir(path), 0o755)
		}, "run chmod 700"},
		{"a database that others may read", func(t *testing.T, path string) {
			closed(t, path)
			chmod(t, path, 0o640)
		}, "run chmod 600"},
		{"a store that is open", func(t *testing.T, path string) {
			s := openStore(t, path)
			t.Cleanup(func() { s.Close() })
		}, "another process uses this database"},
		{"a file that is no database", func(t *testing.T, path string) {
			write(t, path, strings.Repeat("This is a diary, and nobody's business. ", 1000))
		}, "the file is no database"},
		{"another program's database", func(t *testing.T, path string) {
			write(t, path, "")
			alter(t, path, `CREATE TABLE diary (entry TEXT)`)
		}, "another program's database"},
		{"a database from a newer version", func(t *testing.T, path string) {
			closed(t, path)
			alter(t, path, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
		}, "from a newer version (schema 9999"},
		{"a database with damaged pages", func(t *testing.T, path string) {
			s := openStore(t, path)
			b := &benchStore{Store: s, b: t}
			b.makeWebhooks(1)
			for range 5 {
				b.finish(b.accept(b.hooks[0], 100))
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i := 20 * pageSize; i < len(data); i++ {
				data[i] = 0x5a
			}
			write(t, path, string(data))
		}, "damaged"},
		{"a secret of another key", func(t *testing.T, path string) {
			s := openStore(t, path)
			(&benchStore{Store: s, b: t}).makeWebhooks(1)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			alter(t, path, `UPDATE webhook SET secrets = x'00112233'`)
		}, "below the first, the key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(dataFolder(t), "telltale.db")
			test.prepare(t, path)
			s, err := Open(t.Context(), path, testOptions(t))
			if err == nil {
				s.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("the refusal %q does not contain %q", err, test.want)
			}
		})
	}
}

func TestAStoreWithoutSealerIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := Open(t.Context(), filepath.Join(dataFolder(t), "telltale.db"), Options{}); err == nil {
		t.Error("it was opened")
	}
}

func TestARefusedStoreCanBeOpenedOnceItIsMended(t *testing.T) {
	t.Parallel()
	path := filepath.Join(dataFolder(t), "telltale.db")
	closed(t, path)
	chmod(t, path, 0o644)
	if _, err := Open(t.Context(), path, testOptions(t)); err == nil {
		t.Fatal("it was opened")
	}
	chmod(t, path, 0o600)
	closed(t, path)
}

func TestOnlyTheOwnerMayReadTheFiles(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(dataFolder(t), "made", "by", "open")
	s := openStore(t, filepath.Join(folder, "telltale.db"))
	defer s.Close()
	newEventStored(t, s)
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) < 4 {
		t.Fatalf("there are only %d files", len(entries))
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v", entry.Name(), info.Mode())
		}
	}
	info, err := os.Stat(folder)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has the mode %v", info.Mode())
	}
}

func TestALocalFolderIsNoNetworkFileSystem(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{t.TempDir(), "/", "/does/not/exist"} {
		if reason := networkReason(folder); reason != "" {
			t.Errorf("%s is said to be on %s", folder, reason)
		}
	}
}

func TestTheWriterIsDurable(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "wal_autocheckpoint": "0", "mmap_size": "0", "page_size": "8192"} {
		got := ""
		err := s.write(t.Context(), "looking", 0, func(tx *tx) (err error) {
			got, err = tx.conn.pragma(pragma)
			return err
		})
		if err != nil || got != want {
			t.Errorf("%s is %q, not %q: %v", pragma, got, want, err)
		}
	}
	if got, err := s.checkpoint.conn.pragma("synchronous"); err != nil || got != "2" {
		t.Errorf("the checkpointer's synchronous is %q: %v", got, err)
	}
	c, err := s.readers.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.readers.put(c)
	if err := c.query(`UPDATE meta SET value = 0`).run(); err == nil {
		t.Error("a reader wrote")
	}
}

func TestMigrations(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(dataFolder(t), "telltale.db")
	if _, err := MigrationStatus(ctx, path); err == nil {
		t.Error("a database that does not exist has a status")
	}
	write(t, path, "")
	before, err := MigrationStatus(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	if before.Current != 0 || before.Latest < 1 || len(before.Pending) != int(before.Latest) || before.Pending[0] != "0001_begin.sql" {
		t.Errorf("before: %+v", before)
	}
	for _, want := range []int64{0, before.Latest} { // a second time changes nothing
		was, err := Migrate(ctx, path)
		if err != nil || was.Current != want {
			t.Errorf("migrating from %d: %+v, %v", want, was, err)
		}
	}
	s := openStore(t, path)
	if _, err := MigrationStatus(ctx, path); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("the status of an open database: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := MigrationStatus(ctx, path)
	if err != nil || after.Current != before.Latest || len(after.Pending) != 0 {
		t.Errorf("after: %+v, %v", after, err)
	}
	alter(t, path, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
	if _, err := Migrate(ctx, path); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("migrating a newer database: %v", err)
	}
}

// closed makes a store at path and closes it.
func closed(t *testing.T, path string) {
	t.Helper()
	if err := openStore(t, path).Close(); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// alter runs a statement on a database that nobody has open.
func alter(t *testing.T, path, statement string) {
	t.Helper()
	c, err := openConn(path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.query(statement).run(); err != nil {
		t.Fatal(err)
	}
}

// newEventStored stores an event in the default project.
func newEventStored(t testing.TB, s *Store) *telltale.Event {
	t.Helper()
	project, err := s.ProjectBySlug(t.Context(), telltale.DefaultProjectSlug)
	if err != nil {
		t.Fatal(err)
	}
	event := storetest.NewEvents(project.ID, 1)[0]
	if _, err := s.AcceptEvents(t.Context(), telltale.Acceptance{ProjectID: project.ID, Events: []*telltale.Event{event}}); err != nil {
		t.Fatal(err)
	}
	return event
}
