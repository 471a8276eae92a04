package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/storetest"
)

const testNode = telltale.NodeID("nod_01JD0000000000000000000000")

// testOptions fail the test if the store fails.
func testOptions(t testing.TB) Options {
	return Options{Node: testNode, Sealer: storetest.Sealer{}, Fatal: func(err error) { t.Errorf("the store failed: %v", err) }}
}

// dataFolder is a new folder that only the test's user may enter.
func dataFolder(t testing.TB) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	return folder
}

// migrated is a database without rows. To make one takes twenty syncs, to copy
// it none, and there are hundreds of tests.
var migrated = sync.OnceValues(func() ([]byte, error) {
	folder, err := os.MkdirTemp("", "telltale")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "telltale.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return nil, err
	}
	if _, err := Migrate(context.Background(), path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// newDatabase gives the path of a new database.
func newDatabase(t testing.TB) string {
	t.Helper()
	content, err := migrated()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dataFolder(t), "telltale.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func openStore(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, testOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newStore(t testing.TB) *Store {
	t.Helper()
	s := openStore(t, newDatabase(t))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return s
}

func TestTheStoreKeepsItsContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T, test func(*testing.T, storetest.Harness)) {
		synctest.Test(t, func(t *testing.T) {
			test(t, storetest.Harness{
				Node: testNode,
				Open: func(t *testing.T) telltale.Store {
					return openStore(t, newDatabase(t))
				},
				Reopen: func(t *testing.T, s telltale.Store) telltale.Store {
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					return openStore(t, s.(*Store).path)
				},
				ReopenWith: func(t *testing.T, s telltale.Store, sealer telltale.Sealer) (telltale.Store, error) {
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					options := testOptions(t)
					options.Sealer = sealer
					opened, err := Open(t.Context(), s.(*Store).path, options)
					if err != nil {
						return nil, err
					}
					return opened, nil
				},
				Advance: func(d time.Duration) { <-time.After(d) },
				Now:     time.Now,
			})
		})
	})
}
