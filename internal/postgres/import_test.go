package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/imports"
)

// usersFile is a file of that many rows, of which every hundredth is wrong.
func usersFile(rows int) string {
	var b strings.Builder
	b.WriteString("id,plan\n")
	for i := range rows {
		if i%100 == 99 {
			fmt.Fprintf(&b, "%d\n", i) // has too few fields
			continue
		}
		fmt.Fprintf(&b, "%d,gold\n", i)
	}
	return b.String()
}

func newImporter(s *Store, change func(context.Context, telltale.UserChanges) (telltale.UserChanged, error)) *imports.Runner {
	return imports.New(imports.Config{Store: s, Files: s, Change: change, LookInterval: 50 * time.Millisecond})
}

// startRunner runs the runner until stop is called.
func startRunner(t *testing.T, r *imports.Runner) (stop func()) {
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

// waitForEnd gives the import when it has ended, or as it stands when that takes
// too long.
func waitForEnd(t *testing.T, s *Store, project telltale.ProjectID, id telltale.ImportID) telltale.Import {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; <-time.After(10 * time.Millisecond) {
		i, err := s.Import(t.Context(), project, id)
		if err == nil && i.State.Ended() || time.Now().After(end) {
			return i
		}
	}
}

// checkImported looks whether each row of the file went in once or was refused.
func checkImported(t *testing.T, database string, i telltale.Import, rows int) {
	t.Helper()
	if i.State != telltale.ImportFinished || i.Rows != rows || i.Applied != rows-rows/100 || i.Refused != rows/100 {
		t.Errorf("the import is %+v", i)
	}
	got, err := server.Exec(database, `SELECT (SELECT count(*) FROM event), (SELECT count(DISTINCT user_id) FROM event), (SELECT count(*) FROM profile), (SELECT count(*) FROM refused_row)`)
	if err != nil {
		t.Fatal(err)
	}
	made := rows - rows/100
	if want := fmt.Sprintf("%d|%d|%d|%d", made, made, made, rows/100); got != want {
		t.Errorf("events, users in them, profiles and refused rows are %s, not %s", got, want)
	}
}

func TestAnImportGoesOnFromWhereANodeThatVanishedLeftIt(t *testing.T) {
	t.Parallel()
	url, database := newDatabase(t)
	first := openStore(t, url)
	p, err := first.ProjectBySlug(t.Context(), telltale.DefaultProjectSlug)
	if err != nil {
		t.Fatal(err)
	}
	const rows = 3000
	// The first node has some portions applied, and never hears of the last one.
	ctx, vanish := context.WithCancel(t.Context())
	defer vanish()
	portions := 0
	r := newImporter(first, func(ctx context.Context, c telltale.UserChanges) (telltale.UserChanged, error) {
		changed, err := first.ChangeUsers(ctx, c)
		if portions++; portions == 3 {
			vanish()
			return telltale.UserChanged{}, telltale.Errorf(telltale.Unavailable, "The connection was lost.")
		}
		return changed, err
	})
	i, err := r.Start(t.Context(), telltale.Import{ProjectID: p.ID, Kind: telltale.ImportProfiles, Name: "users.csv"}, strings.NewReader(usersFile(rows)))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(ctx); err != nil {
		t.Fatal(err)
	}
	half, err := first.Import(t.Context(), p.ID, i.ID)
	if err != nil {
		t.Fatal(err)
	}
	if half.State != telltale.ImportRunning || half.Rows == 0 || half.Rows == rows {
		t.Fatalf("when the node vanished, the import was %+v", half)
	}
	first.watcher.stop()
	first.release() // it does not sign off
	second := openStore(t, url, func(o *Options) { o.Node = telltale.NewNodeID() })
	defer second.Close()
	stop := startRunner(t, newImporter(second, second.ChangeUsers))
	i = waitForEnd(t, second, p.ID, i.ID)
	checkImported(t, database, i, rows)
	for end := time.Now().Add(10 * time.Second); ; <-time.After(10 * time.Millisecond) {
		left, err := second.StoredFiles(t.Context())
		if err == nil && len(left) == 0 {
			break
		}
		if time.Now().After(end) {
			t.Errorf("there is still %q: %v", left, err)
			break
		}
	}
	stop()
}

func TestNodesThatRunAnImportAtOnceHaveEachRowGoInOnceWhileConnectionsBreak(t *testing.T) {
	t.Parallel()
	url, database := newDatabase(t)
	nodes := []*Store{openStore(t, url), openStore(t, url, func(o *Options) { o.Node = telltale.NewNodeID() })}
	p, err := nodes[0].ProjectBySlug(t.Context(), telltale.DefaultProjectSlug)
	if err != nil {
		t.Fatal(err)
	}
	const rows = 5000
	i, err := newImporter(nodes[0], nil).Start(t.Context(), telltale.Import{ProjectID: p.ID, Kind: telltale.ImportProfiles}, strings.NewReader(usersFile(rows)))
	if err != nil {
		t.Fatal(err)
	}
	var stops []func()
	for _, s := range nodes {
		stops = append(stops, startRunner(t, newImporter(s, s.ChangeUsers)))
	}
	ended := make(chan struct{})
	var breaking sync.WaitGroup
	breaking.Go(func() {
		for range 3 {
			select {
			case <-ended:
				return
			case <-time.After(time.Duration(50+rand.IntN(150)) * time.Millisecond):
			}
			if _, err := server.Exec("postgres", fmt.Sprintf(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '%s' AND application_name LIKE '%s%%'`, database, writerName)); err != nil {
				t.Errorf("breaking connections: %v", err)
			}
		}
	})
	i = waitForEnd(t, nodes[1], p.ID, i.ID)
	close(ended)
	breaking.Wait()
	for n, s := range nodes {
		stops[n]()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	checkImported(t, database, i, rows)
}
