//go:build unix

package imports_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/imports"
	"telltale.example/telltale/internal/sqlite"
)

// BenchmarkImport imports profiles that nobody knew, and beside it has the store
// accept as many events of the same payload, made beforehand, in groups of the
// size of a portion: the yardstick. The two take turns, one of each an iteration.
// ratio is the median over the iterations of profiles a second ÷ events a second,
// with the least and the most beside it; ratio-cpu is what it would be if the
// processors' time set the pace.
//
// Of rising users, the indexes of ids and emails grow at one place. Scattered ones
// touch a page of either for each profile, as soon as there are many.
func BenchmarkImport(b *testing.B) {
	for _, kind := range []struct {
		name string
		user func(i int) (id, email string)
	}{
		{"rising", func(i int) (string, string) { return fmt.Sprintf("u%d", i), fmt.Sprintf("user%d@example.com", i) }},
		{"scattered", func(i int) (string, string) {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			return fmt.Sprintf("%016x", r.Uint64()), fmt.Sprintf("%x.%d@example.com", r.Uint32(), i)
		}},
	} {
		b.Run(kind.name, func(b *testing.B) {
			const rows = 20_000
			w := newWorld(b)
			var ratios []float64
			var importing, accepting took
			for n := 0; b.Loop(); n++ {
				file := profiles(n*rows, rows, kind.user)
				i := measure(func() { w.start(file); <-w.finished })
				groups := w.events(rows)
				e := measure(func() {
					for _, events := range groups {
						w.accept(events)
					}
				})
				w.check(rows)
				ratios = append(ratios, float64(e.wall)/float64(i.wall))
				importing, accepting = importing.plus(i), accepting.plus(e)
			}
			slices.Sort(ratios)
			n := float64(len(ratios) * rows)
			b.ReportMetric(ratios[len(ratios)/2], "ratio")
			b.ReportMetric(ratios[0], "ratio-least")
			b.ReportMetric(ratios[len(ratios)-1], "ratio-most")
			b.ReportMetric(float64(accepting.cpu)/float64(importing.cpu), "ratio-cpu")
			b.ReportMetric(float64(importing.cpu.Microseconds())/n, "cpu-µs/profile")
			b.ReportMetric(float64(accepting.cpu.Microseconds())/n, "cpu-µs/event")
			b.ReportMetric(n/importing.wall.Seconds(), "profiles/s")
			b.ReportMetric(n/accepting.wall.Seconds(), "events/s")
			b.ReportMetric(0, "ns/op") // it says nothing
		})
	}
}

// BenchmarkAcceptsBesideImport measures how long it takes until one event is
// accepted, a hundred times a second, with and without an import in the same
// store: a second of the one and a second of the other make an iteration.
func BenchmarkAcceptsBesideImport(b *testing.B) {
	const length, every = time.Second, 10 * time.Millisecond
	w := newWorld(b)
	var alone, beside []time.Duration
	accepts := func(latencies *[]time.Duration) {
		next := time.NewTicker(every)
		defer next.Stop()
		for began := time.Now(); time.Since(began) < length; <-next.C {
			events := w.events(1)[0]
			asked := time.Now()
			w.accept(events)
			*latencies = append(*latencies, time.Since(asked))
		}
	}
	rows := 0
	for n := 0; b.Loop(); n++ {
		accepts(&alone)
		const more = 200_000 // than a second is enough for
		i := w.start(profiles(n*more, more, func(i int) (string, string) { return fmt.Sprintf("u%d", i), fmt.Sprintf("user%d@example.com", i) }))
		accepts(&beside)
		i, err := w.store.SwitchImport(b.Context(), w.project, i.ID, telltale.ImportCancelled)
		if err != nil {
			b.Fatal(err)
		}
		rows += i.Applied
	}
	for _, list := range []struct {
		name      string
		latencies []time.Duration
	}{{"alone", alone}, {"beside", beside}} {
		slices.Sort(list.latencies)
		for _, p := range []struct {
			name string
			part int
		}{{"p50", 50}, {"p99", 99}} {
			at := list.latencies[(len(list.latencies)-1)*p.part/100]
			b.ReportMetric(float64(at.Microseconds())/1000, list.name+"-"+p.name+"-ms")
		}
	}
	b.ReportMetric(float64(rows)/float64(b.N)/length.Seconds(), "profiles/s")
	b.ReportMetric(0, "ns/op") // it says nothing
}

// world is a store with a runner of imports.
type world struct {
	*testing.B
	store   *sqlite.Store
	project telltale.ProjectID
	runner  *imports.Runner
	// finished hears of each import whose last row is in the store.
	finished chan struct{}
}

func newWorld(b *testing.B) *world {
	b.Helper()
	folder := b.TempDir()
	if err := os.Chmod(folder, 0o700); err != nil {
		b.Fatal(err)
	}
	store, err := sqlite.Open(b.Context(), filepath.Join(folder, "telltale.db"), sqlite.Options{Node: telltale.NewNodeID(), Sealer: plain{}, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { b.Error(err) }})
	if err != nil {
		b.Fatal(err)
	}
	p, err := store.ProjectBySlug(b.Context(), telltale.DefaultProjectSlug)
	if err != nil {
		b.Fatal(err)
	}
	w := &world{B: b, store: store, project: p.ID, finished: make(chan struct{}, 1)}
	w.runner = imports.New(imports.Config{Store: store, Files: imports.Folder(b.TempDir()), Change: func(ctx context.Context, c telltale.UserChanges) (telltale.UserChanged, error) {
		changed, err := store.ChangeUsers(ctx, c)
		if err == nil && c.Import.Finished {
			w.finished <- struct{}{}
		}
		return changed, err
	}})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- w.runner.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	return w
}

// profiles is a file of that many profiles.
func profiles(first, n int, user func(i int) (id, email string)) *bytes.Buffer {
	file := bytes.NewBufferString("id,email,first name,plan,city,since\n")
	for i := range n {
		id, email := user(first + i)
		fmt.Fprintf(file, "%s,%s,Jo,gold,\"Springfield, IL\",2026-01-02\n", id, email)
	}
	return file
}

func (w *world) start(file *bytes.Buffer) telltale.Import {
	w.Helper()
	i, err := w.runner.Start(w.Context(), telltale.Import{ProjectID: w.project, Kind: telltale.ImportProfiles}, file)
	if err != nil {
		w.Fatal(err)
	}
	return i
}

// check looks whether that many rows of the last import went in.
func (w *world) check(rows int) {
	w.Helper()
	list, err := w.store.Imports(w.Context(), w.project, telltale.Page{Limit: 1})
	if err != nil {
		w.Fatal(err)
	}
	if list[0].State != telltale.ImportFinished || list[0].Applied != rows {
		w.Fatalf("the import is %+v", list[0])
	}
}

// events makes that many events in groups of the size of a portion.
func (w *world) events(n int) (groups [][]*telltale.Event) {
	for i := range n {
		if i%imports.PortionRows == 0 {
			groups = append(groups, make([]*telltale.Event, 0, imports.PortionRows))
		}
		last := &groups[len(groups)-1]
		*last = append(*last, &telltale.Event{
			ID: telltale.NewEventID(), ProjectID: w.project, Type: telltale.UserCreated, Source: imports.Source, OccurredAt: time.Now(), ReceivedAt: time.Now(),
			UserID: fmt.Sprintf("u%d", i), Email: fmt.Sprintf("user%d@example.com", i),
			Payload: fmt.Appendf(nil, `{"type":"user_created","user":{"first name":"Jo","plan":"gold","city":"Springfield, IL","since":"2026-01-02","id":"u%d","email":"user%[1]d@example.com"}}`, i),
		})
	}
	return groups
}

func (w *world) accept(events []*telltale.Event) {
	w.Helper()
	if _, err := w.store.AcceptEvents(w.Context(), telltale.Acceptance{ProjectID: w.project, Events: events}); err != nil {
		w.Fatal(err)
	}
}

// took is how long something took, and how much of the processors' time.
type took struct{ wall, cpu time.Duration }

func (t took) plus(o took) took { return took{t.wall + o.wall, t.cpu + o.cpu} }

func measure(do func()) took {
	began, before := time.Now(), cpuTime()
	do()
	return took{time.Since(began), cpuTime() - before}
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// plain seals nothing: there are no secrets here.
type plain struct{}

func (plain) Seal(secret []byte, _ string) ([]byte, error) { return secret, nil }
func (plain) Open(sealed []byte, _ string) ([]byte, error) { return sealed, nil }
func (plain) Keys() []string                               { return []string{""} }
func (plain) KeyOf([]byte) string                          { return "" }
