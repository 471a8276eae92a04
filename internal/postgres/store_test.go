package postgres

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/pgtest"
	"telltale.example/telltale/internal/storetest"
)

const testNode = telltale.NodeID("nod_01JD0000000000000000000000")

// server is the one that all tests of the package share.
var server *pgtest.Server

func TestMain(m *testing.M) {
	flag.Parse()
	var err error
	if server, err = pgtest.New(); err != nil {
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

// migrated is a database without rows, which tests copy.
var migrated = sync.OnceValues(func() (string, error) {
	const name = "migrated"
	url, err := server.Create(name, "")
	if err != nil {
		return "", err
	}
	_, err = Migrate(context.Background(), url)
	return name, err
})

var databases atomic.Int64

// newDatabase gives the URL of a new database, which goes with the test.
func newDatabase(t testing.TB) (url, name string) {
	t.Helper()
	template, err := migrated()
	if err != nil {
		t.Fatal(err)
	}
	name = fmt.Sprintf("test_%d", databases.Add(1))
	url, err = server.Create(name, template)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Drop(name); err != nil {
			t.Error(err)
		}
	})
	return url, name
}

func openStore(t testing.TB, url string, change ...func(*Options)) *Store {
	t.Helper()
	options := Options{Node: testNode, Sealer: storetest.Sealer{}, Connections: 4}
	for _, c := range change {
		c(&options)
	}
	s, err := Open(context.Background(), url, options)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newClock stops a database's clock.
func newClock(t testing.TB, database string) *pgtest.Clock {
	t.Helper()
	c, err := server.StopClock(database, time.UnixMilli(time.Now().UnixMilli()))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheStoreKeepsItsContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T, test func(*testing.T, storetest.Harness)) {
		url, name := newDatabase(t)
		clock := newClock(t, name)
		test(t, storetest.Harness{
			Node: testNode,
			Open: func(t *testing.T) telltale.Store { return openStore(t, url) },
			Reopen: func(t *testing.T, s telltale.Store) telltale.Store {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				return openStore(t, url)
			},
			ReopenWith: func(t *testing.T, s telltale.Store, sealer telltale.Sealer) (telltale.Store, error) {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				opened, err := Open(t.Context(), url, Options{Node: testNode, Sealer: sealer, Connections: 4})
				if err != nil {
					return nil, err
				}
				return opened, nil
			},
			Advance: func(d time.Duration) {
				if err := clock.Advance(d); err != nil {
					t.Error(err)
				}
			},
			Now: clock.Now,
		})
	})
}
