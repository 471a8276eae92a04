package enginetest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/pgtest"
	"telltale.example/telltale/internal/postgres"
	"telltale.example/telltale/internal/sqlite"
)

// server is the one that all tests of the package share.
var server *pgtest.Server

// usual are rapid's flags if nobody says otherwise: how many sequences are tried,
// and of how many steps, on the average.
var usual = map[string]string{"rapid.checks": "8", "rapid.steps": "80"}

func TestMain(m *testing.M) {
	flag.Parse()
	flag.Visit(func(f *flag.Flag) { delete(usual, f.Name) })
	var err error
	for name, value := range usual {
		err = errors.Join(err, flag.Set(name, value))
	}
	if err == nil {
		server, err = pgtest.New()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := server.Remove(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

const testNode = telltale.NodeID("nod_01JD0000000000000000000000")

// beginning is when every engine's clock begins: so does that of a bubble of
// testing/synctest.
var beginning = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// openSealer seals nothing.
type openSealer struct{}

func (openSealer) Seal(plain []byte, _ string) ([]byte, error)  { return plain, nil }
func (openSealer) Open(sealed []byte, _ string) ([]byte, error) { return sealed, nil }
func (openSealer) Keys() []string                               { return []string{""} }
func (openSealer) KeyOf([]byte) string                          { return "" }

// An engine is a store on which time goes by as the test says.
type engine interface {
	name() string
	// on runs an operation on the store, as one of its nodes.
	on(node int, do func(context.Context, telltale.Store))
	nodes() int
	advance(d time.Duration)
	now() time.Time
	// restart ends all nodes, and lets others open the store.
	restart()
	close()
}

// sqliteEngine lives in a bubble of testing/synctest, whose clock is its own. The
// test stays outside: what it asks for goes into the bubble on a channel that is
// not the bubble's, so that the clock stands while the engine waits for the test.
type sqliteEngine struct {
	calls chan func()
	ended chan struct{}

	// Of the bubble:
	path    string
	options sqlite.Options
	store   *sqlite.Store
}

func newSQLite(t *testing.T) *sqliteEngine {
	e := &sqliteEngine{calls: make(chan func()), ended: make(chan struct{})}
	go func() {
		defer close(e.ended)
		synctest.Test(t, e.live)
	}()
	e.inside(func() {})
	return e
}

// live is all that happens in the bubble.
func (e *sqliteEngine) live(t *testing.T) {
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	e.path = filepath.Join(folder, "telltale.db")
	content, err := emptyDatabase()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(e.path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	e.options = sqlite.Options{Node: testNode, Sealer: openSealer{}, Fatal: func(err error) { t.Errorf("SQLite failed: %v", err) }}
	if e.store, err = sqlite.Open(context.Background(), e.path, e.options); err != nil {
		t.Fatal(err)
	}
	for call := range e.calls {
		call()
	}
	if err := e.store.Close(); err != nil {
		t.Errorf("closing SQLite: %v", err)
	}
}

// emptyDatabase is a file without rows, which tests copy.
var emptyDatabase = sync.OnceValues(func() ([]byte, error) {
	folder, err := os.MkdirTemp("", "telltale")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "telltale.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return nil, err
	}
	if _, err := sqlite.Migrate(context.Background(), path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// inside runs do in the bubble.
func (e *sqliteEngine) inside(do func()) {
	done := make(chan struct{})
	select {
	case e.calls <- func() { defer close(done); do() }:
		<-done
	case <-e.ended:
		panic("the bubble has ended")
	}
}

func (e *sqliteEngine) name() string { return "SQLite" }
func (e *sqliteEngine) nodes() int   { return 1 }

func (e *sqliteEngine) on(_ int, do func(context.Context, telltale.Store)) {
	e.inside(func() { do(context.Background(), e.store) })
}

func (e *sqliteEngine) advance(d time.Duration) { e.inside(func() { <-time.After(d) }) }

func (e *sqliteEngine) now() (now time.Time) {
	e.inside(func() { now = time.Now() })
	return now
}

func (e *sqliteEngine) restart() {
	e.inside(func() {
		if err := e.store.Close(); err != nil {
			panic(err)
		}
		var err error
		if e.store, err = sqlite.Open(context.Background(), e.path, e.options); err != nil {
			panic(err)
		}
	})
}

func (e *sqliteEngine) close() {
	close(e.calls)
	<-e.ended
}

// postgresEngine is a database with some nodes, whose clock is the database's.
type postgresEngine struct {
	t        *testing.T
	database string
	url      string
	clock    *pgtest.Clock
	stores   []*postgres.Store
}

// migrated is a database without rows, which tests copy.
var migrated = sync.OnceValues(func() (string, error) {
	const name = "migrated"
	url, err := server.Create(name, "")
	if err != nil {
		return "", err
	}
	_, err = postgres.Migrate(context.Background(), url)
	return name, err
})

var databases atomic.Int64

func newPostgres(t *testing.T, nodes int) *postgresEngine {
	template, err := migrated()
	if err != nil {
		t.Fatal(err)
	}
	e := &postgresEngine{t: t, database: fmt.Sprintf("test_%d", databases.Add(1)), stores: make([]*postgres.Store, nodes)}
	if e.url, err = server.Create(e.database, template); err != nil {
		t.Fatal(err)
	}
	if e.clock, err = server.StopClock(e.database, beginning); err != nil {
		t.Fatal(err)
	}
	e.open()
	return e
}

func (e *postgresEngine) open() {
	for i := range e.stores {
		var err error
		e.stores[i], err = postgres.Open(context.Background(), e.url, postgres.Options{Node: testNode, Role: string(telltale.NodeAll), Sealer: openSealer{}, Connections: 4})
		if err != nil {
			e.t.Fatal(err)
		}
	}
}

func (e *postgresEngine) name() string {
	return fmt.Sprintf("PostgreSQL with %d nodes", len(e.stores))
}

func (e *postgresEngine) nodes() int { return len(e.stores) }

func (e *postgresEngine) on(node int, do func(context.Context, telltale.Store)) {
	do(context.Background(), e.stores[node%len(e.stores)])
}

func (e *postgresEngine) advance(d time.Duration) {
	if err := e.clock.Advance(d); err != nil {
		e.t.Fatal(err)
	}
}

func (e *postgresEngine) now() time.Time { return e.clock.Now() }

func (e *postgresEngine) leave() {
	for _, s := range slices.Backward(e.stores) {
		if err := s.Close(); err != nil {
			e.t.Errorf("closing PostgreSQL: %v", err)
		}
	}
}

func (e *postgresEngine) restart() {
	e.leave()
	e.open()
}

func (e *postgresEngine) close() {
	e.leave()
	if err := server.Drop(e.database); err != nil {
		e.t.Error(err)
	}
}
