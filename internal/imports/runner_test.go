package imports

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"telltale.example/telltale"
)

// memory is a store of imports that applies changes by counting their users. It
// stays when runners go, and fails as it is told to.
type memory struct {
	mu      sync.Mutex
	imports []telltale.Import
	users   map[string]int // how often each was changed
	refused []telltale.RefusedRow
	order   []telltale.ImportID // whose portions were applied
	sizes   []int               // rows of each portion
	// fails is asked before and after each portion is applied.
	fails func() error
	// takes is how long a portion of so many rows takes; nil for no time.
	takes func(rows int) time.Duration
	down  error
}

func (m *memory) find(id telltale.ImportID) *telltale.Import {
	n := slices.IndexFunc(m.imports, func(i telltale.Import) bool { return i.ID == id })
	return &m.imports[n]
}

func (m *memory) CreateImport(_ context.Context, i telltale.Import) (telltale.Import, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i.State = telltale.ImportRunning
	m.imports = append(m.imports, i)
	return i, m.down
}

func (m *memory) FailImport(_ context.Context, id telltale.ImportID, failure string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.find(id)
	i.State, i.Failure = telltale.ImportFailed, failure
	return nil
}

func (m *memory) OpenImports(context.Context) ([]telltale.Import, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(m.imports), func(i telltale.Import) bool { return i.State.Ended() }), m.down
}

func (m *memory) change(_ context.Context, c telltale.UserChanges) (telltale.UserChanged, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return telltale.UserChanged{}, m.down
	}
	if m.fails != nil {
		if err := m.fails(); err != nil {
			return telltale.UserChanged{}, err
		}
	}
	p := c.Import
	i := m.find(p.ID)
	if i.State != telltale.ImportRunning || i.Place != p.From {
		return telltale.UserChanged{}, telltale.Errorf(telltale.Conflict, "It is %s at %d, not %d.", i.State, i.Place, p.From)
	}
	for _, change := range c.Changes {
		m.users[change.User.UserID()]++
	}
	m.refused = append(m.refused, p.Refused...)
	i.Place, i.Line, i.Rows, i.Applied, i.Refused = p.To, p.Line, i.Rows+p.Rows, i.Applied+len(c.Changes), i.Refused+len(p.Refused)
	if p.Finished {
		i.State = telltale.ImportFinished
	}
	m.order, m.sizes = append(m.order, p.ID), append(m.sizes, p.Rows)
	if m.takes != nil {
		<-time.After(m.takes(p.Rows))
	}
	if m.fails != nil {
		return telltale.UserChanged{}, m.fails()
	}
	return telltale.UserChanged{}, nil
}

// PrepareChanges has nothing to do: nothing is decided.
func (m *memory) PrepareChanges(context.Context, *telltale.UserChanges) error { return nil }

func (m *memory) state(id telltale.ImportID) telltale.Import {
	m.mu.Lock()
	defer m.mu.Unlock()
	return *m.find(id)
}

func (m *memory) set(id telltale.ImportID, to telltale.ImportState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.find(id).State = to
}

func newMemory() *memory { return &memory{users: map[string]int{}} }

func newRunner(t *testing.T, m *memory, folder string) *Runner {
	t.Helper()
	return New(Config{Store: m, Files: Folder(folder), Change: m.change})
}

// run runs the runner until stop is called.
func run(t *testing.T, r *Runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the runner gives %v", err)
		}
	}
}

// users writes a file of profiles, in which every hundredth row is wrong.
func users(n int) string {
	var b strings.Builder
	b.WriteString("id,plan\n")
	for i := range n {
		if i%100 == 99 {
			fmt.Fprintf(&b, "%d,\"never closed\n", i)
			continue
		}
		fmt.Fprintf(&b, "%d,\"a\nb\"\n", i)
	}
	return b.String()
}

func start(t *testing.T, r *Runner, project telltale.ProjectID, file string) telltale.Import {
	t.Helper()
	i, err := r.Start(t.Context(), telltale.Import{ProjectID: project, Kind: telltale.ImportProfiles, Name: "a.csv"}, strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func filesIn(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestEveryRowGoesInOnceHoweverOftenTheRunnerOrTheStoreFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, folder := newMemory(), t.TempDir()
		random, nap := rand.New(rand.NewPCG(1, 2)), rand.New(rand.NewPCG(3, 4)) // of two goroutines
		m.fails = func() error {
			if random.IntN(4) == 0 {
				return telltale.Errorf(telltale.Unavailable, "Not now.")
			}
			return nil
		}
		const rows = 20_000
		i := start(t, newRunner(t, m, folder), "prj_1", users(rows))
		for range 500 {
			stop := run(t, newRunner(t, m, folder))
			<-time.After(time.Duration(nap.IntN(3000)) * time.Millisecond)
			stop()
		}
		got := m.state(i.ID)
		// The line of a quote that is never closed is a row, and the next is not lost.
		if got.State != telltale.ImportFinished || got.Rows != rows || got.Applied != rows-rows/100 || got.Refused != rows/100 || got.Line != 1+2*rows-rows/100 {
			t.Errorf("the import is %+v", got)
		}
		for id, n := range m.users {
			if n != 1 {
				t.Fatalf("the user %s was changed %d times", id, n)
			}
		}
		if len(m.users) != got.Applied || len(m.refused) != got.Refused || m.refused[0].Line != 200 || string(m.refused[0].Row) != `99,"never closed` {
			t.Errorf("%d users, %d refused, the first %+v", len(m.users), len(m.refused), m.refused[0])
		}
		if left := filesIn(t, folder); len(left) > 0 {
			t.Errorf("of the import there is still %q", left)
		}
	})
}

func TestImportsStopAndGoOnAsTheyAreTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, folder := newMemory(), t.TempDir()
		r := newRunner(t, m, folder)
		i := start(t, r, "prj_1", users(3000))
		m.set(i.ID, telltale.ImportPaused)
		stop := run(t, r)
		defer stop()
		<-time.After(time.Minute)
		synctest.Wait()
		if got := m.state(i.ID); got.Rows != 0 || !slices.Equal(filesIn(t, folder), []string{string(i.ID) + ".csv"}) {
			t.Fatalf("while it is paused, %d rows were read, and there is %q", got.Rows, filesIn(t, folder))
		}
		m.set(i.ID, telltale.ImportRunning)
		r.Wake()
		synctest.Wait()
		if got := m.state(i.ID); got.State != telltale.ImportFinished || got.Rows != 3000 {
			t.Fatalf("after it went on, it is %s with %d rows", got.State, got.Rows)
		}
		cancelled := start(t, r, "prj_1", users(3000))
		m.set(cancelled.ID, telltale.ImportCancelled)
		r.Wake()
		synctest.Wait()
		if left := filesIn(t, folder); len(left) > 0 {
			t.Errorf("of what was cancelled there is still %q", left)
		}
	})
}

func TestProjectsTakeTurnsAndAProjectKeepsItsOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r := newRunner(t, m, t.TempDir())
		a, b, c := start(t, r, "prj_1", users(1999)), start(t, r, "prj_1", users(999)), start(t, r, "prj_2", users(1999))
		defer run(t, r)()
		synctest.Wait()
		want := []telltale.ImportID{a.ID, c.ID, a.ID, c.ID, a.ID, c.ID, a.ID, b.ID, c.ID, b.ID} // a ended, so b begins
		if !slices.Equal(m.order, want) {
			t.Errorf("the portions are of %q, not %q", m.order, want)
		}
	})
}

func TestPortionsFitIntoATurn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		row         time.Duration
		least, most int // rows of a portion, once it has come to that
	}{
		{"rows that take no time", 0, 500, 500},
		{"rows that take little", 10 * time.Microsecond, 500, 500},
		{"rows that take long", 100 * time.Microsecond, 250, 250},
		{"rows that take as long as ever", time.Second, 50, 50},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				m.takes = func(rows int) time.Duration { return time.Duration(rows) * test.row }
				r := newRunner(t, m, t.TempDir())
				i := start(t, r, "prj_1", users(10_000))
				defer run(t, r)()
				<-time.After(24 * time.Hour)
				synctest.Wait()
				if got := m.state(i.ID); got.State != telltale.ImportFinished || got.Rows != 10_000 {
					t.Fatalf("it is %s with %d rows", got.State, got.Rows)
				}
				settled := m.sizes[len(m.sizes)/2 : len(m.sizes)-1]
				if least, most := slices.Min(settled), slices.Max(settled); least < test.least || most > test.most {
					t.Errorf("portions have %d to %d rows, not %d to %d", least, most, test.least, test.most)
				}
			})
		})
	}
}

func TestAnImportWaitsForTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r := newRunner(t, m, t.TempDir())
		i := start(t, r, "prj_1", users(10))
		m.down = &telltale.Error{Code: telltale.Unavailable, Message: "The disk is full.", RetryAfter: 20 * time.Second}
		defer run(t, r)()
		<-time.After(time.Hour)
		m.mu.Lock()
		m.down = nil
		m.mu.Unlock()
		<-time.After(time.Minute)
		synctest.Wait()
		if got := m.state(i.ID); got.State != telltale.ImportFinished || got.Rows != 10 {
			t.Errorf("it is %s with %d rows", got.State, got.Rows)
		}
	})
}

func TestAnImportWhoseFileIsGoneOrChangedFails(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		harm func(path string) error
		want string
	}{
		{"gone", os.Remove, "no longer there"},
		{"longer", func(path string) error { return os.WriteFile(path, []byte(users(11)), 0o600) }, "it was changed"},
		{"another", func(path string) error {
			return os.WriteFile(path, []byte(strings.Replace(users(10), "id", "is", 1)), 0o600)
		}, "it was changed|was changed. The file has no column id"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m, folder := newMemory(), t.TempDir()
				r := newRunner(t, m, folder)
				i := start(t, r, "prj_1", users(10))
				if err := test.harm(filepath.Join(folder, string(i.ID)+".csv")); err != nil {
					t.Fatal(err)
				}
				defer run(t, r)()
				synctest.Wait()
				got := m.state(i.ID)
				if got.State != telltale.ImportFailed || !slices.ContainsFunc(strings.Split(test.want, "|"), func(s string) bool { return strings.Contains(got.Failure, s) }) {
					t.Errorf("it is %s: %q", got.State, got.Failure)
				}
				<-time.After(time.Minute)
				synctest.Wait()
				if left := filesIn(t, folder); len(left) > 0 {
					t.Errorf("there is still %q", left)
				}
			})
		})
	}
}

func TestWhatIsNotImportedLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	broken := errors.New("the line broke")
	for _, test := range []struct {
		name string
		i    telltale.Import
		file io.Reader
		down error
		want func(error) bool
	}{
		{"a file of another kind", telltale.Import{Kind: telltale.ImportEvents}, strings.NewReader(users(10)), nil, is(telltale.Invalid)},
		{"a kind that there is not", telltale.Import{Kind: "people"}, strings.NewReader(users(10)), nil, is(telltale.Invalid)},
		{"a name that is too long", telltale.Import{Kind: telltale.ImportProfiles, Name: strings.Repeat("x", 256)}, strings.NewReader(users(10)), nil, is(telltale.Invalid)},
		{"an upload that breaks off", telltale.Import{Kind: telltale.ImportProfiles}, io.MultiReader(strings.NewReader(users(100_000)), iotest.ErrReader(broken)), nil, func(err error) bool { return errors.Is(err, broken) }},
		{"a store that is down", telltale.Import{Kind: telltale.ImportProfiles}, strings.NewReader(users(10)), telltale.Errorf(telltale.Unavailable, "Not now."), is(telltale.Unavailable)},
		{"the name of a folder in the way", telltale.Import{Kind: telltale.ImportProfiles}, strings.NewReader(users(10)), nil, is(telltale.Unavailable)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m, folder := newMemory(), filepath.Join(t.TempDir(), "imports")
			m.down = test.down
			if strings.Contains(test.name, "folder") {
				if err := os.WriteFile(folder, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := newRunner(t, m, folder).Start(t.Context(), test.i, test.file)
			if !test.want(err) {
				t.Errorf("the error is %v", err)
			}
			if strings.Contains(test.name, "folder") {
				return
			}
			if left := filesIn(t, folder); len(left) > 0 || len(m.imports) > 0 {
				t.Errorf("there are %q and %v", left, m.imports)
			}
		})
	}
}

func is(code telltale.Code) func(error) bool {
	return func(err error) bool { return telltale.CodeOf(err) == code }
}

func TestAProjectHasSoManyImportsAndNoMore(t *testing.T) {
	t.Parallel()
	m := newMemory()
	r := newRunner(t, m, t.TempDir())
	for range telltale.MaxRunningImports {
		start(t, r, "prj_1", users(1))
	}
	_, err := r.Start(t.Context(), telltale.Import{ProjectID: "prj_1", Kind: telltale.ImportProfiles}, iotest.ErrReader(errors.New("the file was read")))
	if telltale.CodeOf(err) != telltale.Conflict {
		t.Errorf("the error is %v", err)
	}
	start(t, r, "prj_2", users(1))
}

func TestLeftoversAreSweptAndNothingElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, folder := newMemory(), t.TempDir()
		r := newRunner(t, m, folder)
		i := start(t, r, "prj_1", users(1))
		m.set(i.ID, telltale.ImportPaused)
		half := telltale.NewImportID()
		for _, name := range []string{string(telltale.NewImportID()) + ".part", string(telltale.NewImportID()) + ".csv", string(half) + ".part", "notes.txt"} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte("id\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r.note(half, true)
		defer run(t, r)()
		synctest.Wait()
		want := []string{string(i.ID) + ".csv", string(half) + ".part", "notes.txt"}
		slices.Sort(want) // ids rise only where nobody else makes some
		if got := filesIn(t, folder); !slices.Equal(got, want) {
			t.Errorf("there are %q, not %q", got, want)
		}
	})
}
