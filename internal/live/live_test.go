package live

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"telltale.example/telltale"
)

// fakeLog holds events only, one per cursor.
type fakeLog struct {
	mu     sync.Mutex
	events []*telltale.Event
	others int // how many of the first belong to other projects; 100 are passed over at a time
	reads  int
	err    error
}

func (f *fakeLog) LogEnd(context.Context) (telltale.Cursor, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return telltale.Cursor(len(f.events)), f.err
}

func (f *fakeLog) LogSince(_ context.Context, _ telltale.ProjectID, after telltale.Cursor, limit int) (telltale.LogPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	if n := f.others - int(after); n > 0 {
		return telltale.LogPage{Next: after + telltale.Cursor(min(n, 100)), More: true}, nil
	}
	rest := f.events[after:]
	n := min(limit, len(rest))
	return telltale.LogPage{Events: rest[:n], Next: after + telltale.Cursor(n), More: n < len(rest)}, nil
}

func (f *fakeLog) add(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range n {
		f.events = append(f.events, &telltale.Event{ID: telltale.NewEventID()})
	}
}

func (f *fakeLog) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = nil
}

// watch gives what a watcher sees until done says that it has seen enough.
func watch(t *testing.T, l *Log, after telltale.Cursor, do func(seen int, page telltale.LogPage) bool, beats *int) error {
	t.Helper()
	enough := errors.New("enough")
	seen := 0
	err := l.Watch(t.Context(), "", after, func(p telltale.LogPage) error {
		seen += len(p.Events)
		if do(seen, p) {
			return enough
		}
		return nil
	}, func() error { *beats++; return nil })
	if errors.Is(err, enough) {
		return nil
	}
	return err
}

func TestAWatcherSeesWhatIsBehindItsCursorOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLog{}
		f.add(250)
		last, beats := telltale.Cursor(0), 0
		err := watch(t, New(f), 40, func(seen int, p telltale.LogPage) bool { last = p.Next; return seen >= 210 }, &beats)
		if err != nil || last != 250 || f.reads != 3 {
			t.Fatalf("%d reads to cursor %d: %v", f.reads, last, err)
		}
	})
}

func TestNewsArriveWithinAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLog{}
		time.AfterFunc(10*time.Second, func() { f.add(1) })
		began, beats := time.Now(), 0
		if err := watch(t, New(f), 0, func(int, telltale.LogPage) bool { return true }, &beats); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 10*time.Second+Interval || f.reads != 1 {
			t.Fatalf("the news took %v and %d reads", took, f.reads)
		}
	})
}

func TestAPageIsToldOncePerPaceAndKeepsUpWithAnyLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLog{}
		enough := errors.New("enough")
		grow := time.NewTicker(10 * time.Millisecond)
		grown := make(chan struct{})
		go func() { // 10,000 a second
			for {
				select {
				case <-grow.C:
					f.add(100)
				case <-grown:
					return
				}
			}
		}()
		var told []telltale.Cursor
		began := time.Now()
		err := New(f).Tell(t.Context(), "", 0, time.Second, func(p telltale.LogPage) error {
			if told = append(told, p.Next); len(told) == 10 {
				return enough
			}
			return nil
		}, func() error { return nil })
		if !errors.Is(err, enough) {
			t.Fatal(err)
		}
		close(grown)
		synctest.Wait()
		if took := time.Since(began); took < 9*time.Second || took > 10*time.Second {
			t.Errorf("ten tellings took %v", took)
		}
		if behind := len(f.events) - int(told[9]); behind > 100 {
			t.Errorf("the page is %d rows behind the log", behind)
		}
		if f.reads > 20 {
			t.Errorf("the log was read %d times", f.reads)
		}
	})
}

func TestNewsBehindWhatOtherProjectsDidAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLog{others: 300}
		f.add(301)
		enough := errors.New("enough")
		err := New(f).Tell(t.Context(), "", 0, time.Second, func(p telltale.LogPage) error {
			if len(p.Events) != 1 || p.Next != 301 {
				t.Errorf("told %d events, up to %d", len(p.Events), p.Next)
			}
			return enough
		}, func() error { return nil })
		if !errors.Is(err, enough) {
			t.Fatal(err)
		}
	})
}

func TestASilentLogBeatsAndIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLog{}
		l, beats := New(f), 0
		time.AfterFunc(time.Minute+time.Second, l.Stop)
		if err := watch(t, l, 0, func(int, telltale.LogPage) bool { return true }, &beats); !errors.Is(err, errStopped) {
			t.Fatal(err)
		}
		if beats != 4 || f.reads != 0 {
			t.Fatalf("%d heartbeats and %d reads in a minute", beats, f.reads)
		}
	})
}

func TestAStoreThatIsAwayIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLog{err: telltale.Errorf(telltale.Unavailable, "away")}
		time.AfterFunc(5*time.Second, func() { f.heal(); f.add(1) })
		beats := 0
		if err := watch(t, New(f), 0, func(int, telltale.LogPage) bool { return true }, &beats); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAnyOtherErrorEndsTheWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, beats := &fakeLog{err: errors.New("broken")}, 0
		if err := watch(t, New(f), 0, func(int, telltale.LogPage) bool { return true }, &beats); err == nil {
			t.Fatal("the watch went on")
		}
	})
}

func TestThereIsABoundOnWatchers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, beats := New(&fakeLog{}), 0
		l.watchers.Store(maxWatchers)
		err := watch(t, l, 0, func(int, telltale.LogPage) bool { return true }, &beats)
		if telltale.CodeOf(err) != telltale.RateLimited || l.watchers.Load() != maxWatchers {
			t.Fatal(err)
		}
	})
}
