package app

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/config"
	"telltale.example/telltale/internal/imports"
	"telltale.example/telltale/internal/pgtest"
	"telltale.example/telltale/internal/postgres"
	"telltale.example/telltale/internal/sqlite"
	"telltale.example/telltale/internal/storetest"
)

// moveWorld is a store that is full, and a server for databases to move it to.
type moveWorld struct {
	*testing.T
	server *pgtest.Server
	ring   *auth.KeyRing
	file   string
	whole  storetest.Whole
	known  storetest.Known
	csv    []byte    // file of the import that is under way
	ended  time.Time // when the store was left
	count  int       // of databases
}

func newMoveWorld(t *testing.T) *moveWorld {
	t.Helper()
	w := &moveWorld{T: t, server: pgtest.Start(t), file: newFile(t), ring: newRing(t)}
	synctest.Test(t, func(t *testing.T) {
		open := func(t *testing.T) telltale.Store {
			s, err := sqlite.Open(t.Context(), w.file, sqlite.Options{Node: "nod_01JD0000000000000000000000", Sealer: w.ring})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		w.whole, w.known = storetest.Fill(t, storetest.Harness{
			Node: "nod_01JD0000000000000000000000", Open: open,
			Reopen: func(t *testing.T, s telltale.Store) telltale.Store {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				return open(t)
			},
			Advance: func(d time.Duration) { <-time.After(d) },
			Now:     time.Now,
		})
		w.ended = time.Now()
	})
	w.csv = bytes.Repeat([]byte("id,name\n7,Ann\n"), 200_000)
	files := imports.Folder(filepath.Join(filepath.Dir(w.file), ImportsFolder))
	if _, err := files.SaveFile(t.Context(), w.known.Import.ID, bytes.NewReader(w.csv)); err != nil {
		t.Fatal(err)
	}
	return w
}

// newFile names the file of a store in a new data folder.
func newFile(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder, DatabaseFile)
}

func newRing(t *testing.T) *auth.KeyRing {
	t.Helper()
	ring, err := auth.LoadOrCreateKeyFile(filepath.Join(t.TempDir(), SecretKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// startOnce opens the store as a server does, and closes it.
func startOnce(t *testing.T, file string, ring *auth.KeyRing) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), file, sqlite.Options{Node: telltale.NewNodeID(), Sealer: ring})
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// database makes an empty database.
func (w *moveWorld) database() (cfg config.Config, name string) {
	w.Helper()
	w.count++
	name = fmt.Sprintf("moved_%d", w.count)
	url, err := w.server.Create(name, "")
	if err != nil {
		w.Fatal(err)
	}
	cfg = config.Defaults()
	cfg.DatabaseURL = config.Secret(url)
	return cfg, name
}

func (w *moveWorld) exec(database, sql string) string {
	w.Helper()
	out, err := w.server.Exec(database, sql)
	if err != nil {
		w.Fatal(err)
	}
	return out
}

func (w *moveWorld) move(cfg config.Config) Moved {
	w.Helper()
	moved, err := Move(w.Context(), cfg, w.file, func(Moving) {})
	if err != nil {
		w.Fatal(err)
	}
	if !moved.Same() {
		w.Fatalf("the databases differ: %+v", moved.Tables)
	}
	return moved
}

// at has a database tell that time.
func (w *moveWorld) at(database string, now time.Time) {
	w.Helper()
	w.exec(database, fmt.Sprintf(`CREATE OR REPLACE FUNCTION telltale_now() RETURNS bigint LANGUAGE sql VOLATILE AS $$ SELECT %d::bigint $$;`, now.UnixMilli()))
}

func (w *moveWorld) open(t *testing.T, cfg config.Config) telltale.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), string(cfg.DatabaseURL), postgres.Options{Node: telltale.NewNodeID(), Sealer: w.ring, Connections: 4})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON shows what users have by what it says.
var asJSON = cmp.Transformer("JSON", func(o telltale.Object) string { return string(o.AppendJSON(nil)) })

// same fails the test unless the database tells what the store told.
func (w *moveWorld) same(cfg config.Config, database string) {
	w.Helper()
	w.at(database, w.ended)
	s := w.open(w.T, cfg)
	got := storetest.ReadWhole(w.Context(), w.T, s, w.known)
	file, err := s.(telltale.ImportFiles).OpenFile(w.Context(), w.known.Import.ID)
	if err != nil {
		w.Fatal(err)
	}
	if content, err := io.ReadAll(file); err != nil || !bytes.Equal(content, w.csv) {
		w.Errorf("the import's file has %d bytes, not %d; %v", len(content), len(w.csv), err)
	}
	if err := errors.Join(file.Close(), s.Close()); err != nil {
		w.Fatal(err)
	}
	for asked := range got {
		if _, ok := w.whole[asked]; !ok {
			w.Errorf("PostgreSQL tells %s, and SQLite does not", asked)
		}
	}
	for asked, want := range w.whole {
		if diff := cmp.Diff(want, got[asked], asJSON); diff != "" {
			w.Errorf("%s (-SQLite +PostgreSQL):\n%s", asked, diff)
		}
	}
}

func TestAStoreIsMovedWhole(t *testing.T) {
	w := newMoveWorld(t)
	cfg, database := w.database()
	var told []Moving
	moved, err := Move(t.Context(), cfg, w.file, func(m Moving) { told = append(told, m) })
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range moved.Tables {
		if !table.Same() {
			t.Errorf("%+v differs", table)
		}
		if table.From == 0 && !strings.HasSuffix(table.Table, "_gone") {
			t.Errorf("the store has no row of %s to be moved", table.Table)
		}
	}
	for i := range told {
		if i > 0 && told[i].Step == told[i-1].Step && told[i].Done < told[i-1].Done || told[i].Done > told[i].Total {
			t.Errorf("the move was at %+v, then at %+v", told[max(i-1, 0)], told[i])
		}
	}
	if last := told[len(told)-1]; last.Done != last.Total {
		t.Errorf("in the end the move was at %+v", last)
	}
	w.same(cfg, database)

	w.at(database, w.ended.Add(20*time.Minute)) // what is to be tried again is due
	storetest.GoOn(t, storetest.Harness{
		Open: func(t *testing.T) telltale.Store { return w.open(t, cfg) },
		Now:  func() time.Time { return w.ended.Add(20 * time.Minute) },
	}, w.known)

	_, err = Move(t.Context(), cfg, w.file, func(Moving) {})
	w.refused(err, "already")
}

func (w *moveWorld) refused(err error, why string) {
	w.Helper()
	if telltale.CodeOf(err) != telltale.Conflict || !strings.Contains(err.Error(), why) {
		w.Errorf("the move is not refused since %q, but with %v", why, err)
	}
}

// killed moves in transactions of two rows until it is told the nth time how far
// the move is, and gives how often it was told.
func (w *moveWorld) killed(cfg config.Config, nth int) (told int) {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	_, err := move(ctx, cfg, w.file, 2, func(Moving) {
		if told++; told == nth {
			cancel()
		}
	})
	if (told >= nth) != errors.Is(err, context.Canceled) {
		w.Fatalf("the move was killed when it was told %d times, and ends with %v", told, err)
	}
	return told
}

func TestAMoveGoesOnWhereverItWasKilled(t *testing.T) {
	w := newMoveWorld(t)
	cfg, database := w.database()
	kills := 0
	for n := 3; w.killed(cfg, n) >= n; n += 5 {
		kills++
		if _, err := postgres.Open(t.Context(), string(cfg.DatabaseURL), postgres.Options{Sealer: w.ring}); err == nil || !strings.Contains(err.Error(), "being moved") {
			t.Fatalf("a server starts on what is moved in part: %v", err)
		}
	}
	if kills < 10 {
		t.Errorf("the move was killed %d times, which is too few to tell", kills)
	}
	w.same(cfg, database)
}

// movingFile and movingTo tell the test's program, if they are set, to be what
// moves a store.
const movingFile, movingTo = "TELLTALE_TEST_MOVING_FILE", "TELLTALE_TEST_MOVING_TO"

// TestMain is that program, if it is told to.
func TestMain(m *testing.M) {
	if os.Getenv(movingFile) == "" {
		os.Exit(m.Run())
	}
	cfg := config.Defaults()
	cfg.DatabaseURL = config.Secret(os.Getenv(movingTo))
	_, err := move(context.Background(), cfg, os.Getenv(movingFile), 2, func(m Moving) { fmt.Println("moving", m.Table) })
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// kill has a program move the store, and kills it when it is at the table.
func (w *moveWorld) kill(cfg config.Config, table string) {
	w.Helper()
	c := exec.CommandContext(w.Context(), os.Args[0])
	c.Env = append(os.Environ(), movingFile+"="+w.file, movingTo+"="+string(cfg.DatabaseURL))
	out, err := c.StdoutPipe()
	if err != nil {
		w.Fatal(err)
	}
	if err := c.Start(); err != nil {
		w.Fatal(err)
	}
	reached := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "moving "+table && !reached {
			reached = true
			if err := c.Process.Kill(); err != nil {
				w.Error(err)
			}
		}
	}
	if err := c.Wait(); !reached || err == nil {
		w.Fatalf("the program was not killed at %s: %v", table, err)
	}
}

func TestAMoveGoesOnAfterItsProcessWasKilled(t *testing.T) {
	w := newMoveWorld(t)
	cfg, database := w.database()
	for _, table := range []string{"webhook", "profile", "event", "attempt"} {
		w.kill(cfg, table)
	}
	w.move(cfg)
	w.same(cfg, database)
}

func TestAMoveIsRefused(t *testing.T) {
	w := newMoveWorld(t)
	empty, _ := w.database()
	t.Run("into a database that is not empty", func(t *testing.T) {
		cfg, database := w.database()
		if err := w.open(t, cfg).Close(); err != nil {
			t.Fatal(err)
		}
		_, err := Move(t.Context(), cfg, w.file, func(Moving) {})
		w.refused(err, "not empty: there are rows in node, project")
		if n := w.exec(database, `SELECT count(*) FROM move`); n != "0" {
			t.Errorf("the move that was refused is noted %s times", n)
		}
	})
	t.Run("while a server has the store open", func(t *testing.T) {
		s, err := sqlite.Open(t.Context(), w.file, sqlite.Options{Node: telltale.NewNodeID(), Sealer: w.ring})
		if err != nil {
			t.Fatal(err)
		}
		_, err = Move(t.Context(), empty, w.file, func(Moving) {})
		if err == nil || !strings.Contains(err.Error(), "another process uses this database") {
			t.Errorf("the store of a server is moved: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("if the store was changed since the move began", func(t *testing.T) {
		cfg, _ := w.database()
		w.killed(cfg, 3)
		startOnce(t, w.file, w.ring)
		_, err := Move(t.Context(), cfg, w.file, func(Moving) {})
		w.refused(err, "since the move began")
	})
	t.Run("into a database that another store was moved to", func(t *testing.T) {
		cfg, _ := w.database()
		w.move(cfg)
		other := newFile(t)
		startOnce(t, other, w.ring)
		_, err := Move(t.Context(), cfg, other, func(Moving) {})
		w.refused(err, "Another store")
	})
	t.Run("while another move into the database goes on", func(t *testing.T) {
		cfg, _ := w.database()
		once := sync.OnceFunc(func() {
			other := newFile(t)
			content, err := os.ReadFile(w.file)
			if err == nil {
				err = os.WriteFile(other, content, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			_, err = Move(t.Context(), cfg, other, func(Moving) {})
			w.refused(err, "right now")
		})
		if _, err := Move(t.Context(), cfg, w.file, func(Moving) { once() }); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAMoveTellsADifference(t *testing.T) {
	w := newMoveWorld(t)
	for _, c := range []struct{ sql, table, column string }{
		{`DELETE FROM attempt WHERE number = (SELECT min(number) FROM attempt)`, "attempt", "number"},
		{`UPDATE event SET payload = payload || 'x'::bytea WHERE number = (SELECT min(number) FROM event)`, "event", "payload"},
		{`UPDATE event SET machine = false WHERE machine`, "event", "machine"},
		{`UPDATE project SET ingest_rate = ingest_rate + 1 WHERE slug = 'other'`, "project", "ingest_rate"},
		{`UPDATE profile SET email = NULL WHERE number = (SELECT max(number) FROM profile WHERE email IS NOT NULL)`, "profile", "email"},
	} {
		cfg, database := w.database()
		changed := false
		moved, err := Move(t.Context(), cfg, w.file, func(m Moving) {
			if m.Step == MoveCompares && !changed {
				changed = true
				w.exec(database, c.sql)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(moved.Tables, func(t MovedTable) bool { return t.Table == c.table && t.State == "" })
		if moved.Same() || !slices.Contains(moved.Tables[i].Differing, c.column) {
			t.Errorf("after %s there is no difference in %+v", c.sql, moved.Tables[i])
		}
		if n := w.exec(database, `SELECT count(*) FROM move WHERE completed_at IS NOT NULL`); n != "0" {
			t.Error("a move with a difference has ended")
		}
	}
}

// A table or column that one engine gets has to be moved, or to be left out for a
// reason. internal/sqlite sees to it that all of its columns are read.
func TestEveryTableOfPostgreSQLIsFilled(t *testing.T) {
	server := pgtest.Start(t)
	url, err := server.Create("whole", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := postgres.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	unfilled := map[string]string{
		"goose_db_version": "each engine counts its own migrations",
		"meta":             "the loader writes its one row",
		"move":             "the loader's own",
		"move_table":       "the loader's own",
		"stat_delta":       "what is not in stat yet, which SQLite adds up at once",
	}
	file := newFile(t)
	startOnce(t, file, newRing(t))
	from, err := sqlite.OpenExport(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	tables := append(from.Tables(), postgres.ImportChunks)
	out, err := server.Exec("whole", `SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace`)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range strings.Fields(out) {
		if filled, why := slices.Contains(tables, table), unfilled[table]; filled == (why != "") {
			t.Errorf("%s: filled %v, left out since %q", table, filled, why)
		}
	}
	m := mover{from: from}
	for _, table := range tables {
		given, rows, err := m.rows(t.Context(), table, nil)
		if err != nil {
			t.Fatal(err)
		}
		rows.Close()
		out, err := server.Exec("whole", fmt.Sprintf(`SELECT attname FROM pg_attribute WHERE attrelid = '"%s"'::regclass AND attnum > 0 AND NOT attisdropped`, table))
		if err != nil {
			t.Fatal(err)
		}
		columns := strings.Fields(out)
		for _, column := range columns {
			if !slices.Contains(given, column) {
				t.Errorf("nothing is moved into %s.%s", table, column)
			}
		}
		for _, column := range given {
			if !slices.Contains(columns, column) {
				t.Errorf("%s.%s is read, and there is no such column", table, column)
			}
		}
	}
}
