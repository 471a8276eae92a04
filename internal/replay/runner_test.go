package replay

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a store that only counts, with a runner before it.
type world struct {
	*testing.T
	runner *Runner
	stop   func()

	calls, looks, due atomic.Int64

	mu      sync.Mutex
	replays map[telltale.ReplayID]*job
	broken  error
}

// job is a replay of so many deliveries, before each of which so many steps
// pass over events.
type job struct {
	telltale.Replay
	total, gap, passed int
	receivers          bool // attempt at once what is made
}

// run runs the test in a bubble, with a runner that is stopped in the end.
func run(t *testing.T, test func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, replays: map[telltale.ReplayID]*job{}}
		w.runner = New(Config{Store: w, Due: func(*telltale.Webhook) { w.due.Add(1) }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.runner.Run(ctx) }()
		w.stop = sync.OnceFunc(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("the runner gave %v", err)
			}
		})
		defer w.stop()
		synctest.Wait()
		test(w)
	})
}

func (w *world) start(rate float64, total int, change ...func(*job)) *job {
	j := &job{Replay: telltale.Replay{ID: telltale.NewReplayID(), State: telltale.ReplayRunning, Rate: rate}, total: total, receivers: true}
	for _, c := range change {
		c(j)
	}
	w.mu.Lock()
	w.replays[j.ID] = j
	w.mu.Unlock()
	w.runner.Wake()
	return j
}

func (w *world) change(do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do()
}

// after lets time go by, and gives what the replay has made by then.
func (w *world) after(d time.Duration, j *job) int {
	<-time.After(d)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return j.Made
}

func (w *world) steps() int { return int(w.calls.Load()) }

func (w *world) between(what string, got, least, most int) {
	w.Helper()
	if got < least || got > most {
		w.Errorf("%s: %d, not %d to %d", what, got, least, most)
	}
}

func (w *world) RunningReplays(context.Context) ([]telltale.Replay, error) {
	w.looks.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return nil, w.broken
	}
	var running []telltale.Replay
	for _, j := range w.replays {
		if j.State == telltale.ReplayRunning {
			running = append(running, j.Replay)
		}
	}
	return running, nil
}

func (w *world) AdvanceReplay(_ context.Context, id telltale.ReplayID, n int) (telltale.Replay, []*telltale.Webhook, error) {
	w.calls.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return telltale.Replay{}, nil, w.broken
	}
	j := w.replays[id]
	if j == nil {
		return telltale.Replay{}, nil, telltale.Errorf(telltale.NotFound, "There is no such replay.")
	}
	if j.State != telltale.ReplayRunning || n == 0 {
		return j.Replay, nil, nil
	}
	if j.passed < j.gap {
		j.passed++
		return j.Replay, nil, nil
	}
	j.passed = 0
	n = min(n, j.total-j.Made)
	j.Made += n
	if !j.receivers {
		j.Ahead += n
	}
	if j.Made == j.total {
		j.State = telltale.ReplayFinished
	}
	return j.Replay, []*telltale.Webhook{{}}, nil
}

func TestAReplayKeepsItsRate(t *testing.T) {
	for _, rate := range []float64{0.1, 1, 10, 333, telltale.MaxRateLimit} {
		run(t, func(w *world) {
			j := w.start(rate, 1<<40)
			const seconds = 100
			w.between("what is made", w.after(seconds*time.Second, j), int(seconds*rate*0.98), int(seconds*rate)+max(1, int(rate*step.Seconds())))
			w.between("steps", w.steps(), 1, seconds*11)
		})
	}
}

func TestAReplayThatPassesOverEventsKeepsItsRateToo(t *testing.T) {
	run(t, func(w *world) {
		j := w.start(10, 1<<40, func(j *job) { j.gap = 5 })
		w.between("what is made", w.after(100*time.Second, j), 980, 1002)
	})
}

func TestAReplayEndsAndTheDispatcherIsTold(t *testing.T) {
	run(t, func(w *world) {
		j := w.start(10, 25)
		w.between("what is made", w.after(10*time.Second, j), 25, 25)
		w.between("webhooks with work", int(w.due.Load()), 10, 25)
		calls := w.steps()
		w.after(time.Hour, j)
		w.between("steps after the end", w.steps()-calls, 0, 0)
	})
}

func TestANewReplayBeginsAtOnce(t *testing.T) {
	run(t, func(w *world) {
		w.between("what is made at once", w.after(0, w.start(10, 1000)), 1, 2)
		w.between("what another makes at once", w.after(0, w.start(1, 1000)), 1, 1)
	})
}

func TestAReplayThatNobodyTellsOfBeginsSoon(t *testing.T) {
	run(t, func(w *world) {
		j := w.start(10, 1000, func(j *job) { j.State = telltale.ReplayPaused })
		w.after(time.Minute, j)
		w.change(func() { j.State = telltale.ReplayRunning })
		w.between("what is made", w.after(DefaultLookInterval+time.Second, j), 1, 1000)
	})
}

func TestAReplayIsPausedAndResumed(t *testing.T) {
	run(t, func(w *world) {
		j := w.start(10, 1000)
		before := w.after(5*time.Second, j)
		for range 3 {
			w.change(func() { j.State = telltale.ReplayPaused })
			w.between("what is made while it is paused", w.after(time.Minute, j)-before, 0, 0)
			w.change(func() { j.State = telltale.ReplayRunning })
			w.runner.Wake()
			after := w.after(5*time.Second, j)
			w.between("what is made when it is resumed", after-before, 48, 54)
			before = after
		}
		// It is resumed before its goroutine has noticed anything, and just when it has.
		for range 20 {
			w.change(func() { j.State = telltale.ReplayPaused })
			<-time.After(step)
			w.change(func() { j.State = telltale.ReplayRunning })
			w.runner.Wake()
			w.between("what is made in a second", w.after(time.Second, j)-before, 6, 14)
			before = w.after(0, j)
		}
	})
}

func TestAReplayWaitsWhileItIsAheadOfTheReceivers(t *testing.T) {
	run(t, func(w *world) {
		j := w.start(2, 1000, func(j *job) { j.receivers = false })
		w.between("what is made", w.after(time.Hour, j), 20, 20)
		calls := w.steps()
		w.after(time.Minute, j)
		w.between("looks in a minute", w.steps()-calls, 1, 700)
		w.change(func() { j.Ahead -= 3 })
		w.between("what is made when some were attempted", w.after(time.Minute, j), 23, 23)
	})
}

func TestAReplayGoesOnWhenTheStoreDoes(t *testing.T) {
	run(t, func(w *world) {
		j := w.start(10, 1000)
		before := w.after(5*time.Second, j)
		w.change(func() { w.broken = errors.New("there was an error") })
		calls := w.steps()
		w.between("what is made meanwhile", w.after(5*time.Minute, j)-before, 0, 0)
		w.between("steps in five minutes", w.steps()-calls, 5, 20)
		w.change(func() { w.broken = nil })
		w.between("what is made afterwards", w.after(40*time.Second, j)-before, 90, 405)
	})
}

func TestAStoreThatFailsAtTheStartIsAskedAgain(t *testing.T) {
	run(t, func(w *world) {
		w.change(func() { w.broken = &telltale.Error{Code: telltale.Unavailable} })
		j := w.start(10, 1000)
		w.between("what is made", w.after(time.Minute, j), 0, 0)
		w.between("looks in a minute", int(w.looks.Load()), 3, 10)
		w.change(func() { w.broken = nil })
		w.between("what is made afterwards", w.after(time.Minute, j), 100, 1000)
	})
}

func TestAReplayThatIsGoneIsLeftAlone(t *testing.T) {
	run(t, func(w *world) {
		j := w.start(10, 1000)
		w.after(time.Second, j)
		w.change(func() { delete(w.replays, j.ID) })
		calls := w.steps()
		w.after(time.Minute, j)
		w.between("steps", w.steps()-calls, 1, 1)
	})
}

func TestAStopEndsReplaysAtOnce(t *testing.T) {
	run(t, func(w *world) {
		slow, fast := w.start(0.1, 1000), w.start(100, 1000)
		w.after(time.Second, slow)
		w.stop()
		w.between("what is made", w.after(time.Hour, fast), 100, 130)
	})
}

// plainSealer seals nothing.
type plainSealer struct{}

func (plainSealer) Seal(plain []byte, _ string) ([]byte, error)  { return plain, nil }
func (plainSealer) Open(sealed []byte, _ string) ([]byte, error) { return sealed, nil }
func (plainSealer) Keys() []string                               { return []string{""} }
func (plainSealer) KeyOf([]byte) string                          { return "" }

func TestAReplayRunsOnTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		if err := os.Chmod(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		store, err := sqlite.Open(t.Context(), filepath.Join(folder, "telltale.db"), sqlite.Options{Node: telltale.NewNodeID(), Sealer: plainSealer{}})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		project, err := store.ProjectBySlug(t.Context(), telltale.DefaultProjectSlug)
		if err != nil {
			t.Fatal(err)
		}
		events := make([]*telltale.Event, 50)
		for i := range events {
			events[i] = &telltale.Event{ID: telltale.NewEventID(), ProjectID: project.ID, Type: telltale.Opened, ReceivedAt: time.Now(), OccurredAt: time.Now(), UserID: "42"}
		}
		if _, err := store.AcceptEvents(t.Context(), telltale.Acceptance{ProjectID: project.ID, Events: events}); err != nil {
			t.Fatal(err)
		}
		hook, err := store.CreateWebhook(t.Context(), telltale.NewWebhook(project.ID, "https://receiver.example/in", telltale.AllEventTypes))
		if err != nil {
			t.Fatal(err)
		}

		due := make(chan *telltale.Webhook, 100)
		runner := New(Config{Store: store, Due: func(w *telltale.Webhook) { due <- w }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- runner.Run(ctx) }()
		r, err := store.CreateReplay(t.Context(), telltale.Replay{ProjectID: project.ID, Selection: telltale.Selection{Which: telltale.WhichUnsent}, To: hook.ID, Rate: 10})
		if err != nil {
			t.Fatal(err)
		}
		runner.Wake()
		began := time.Now()
		for succeeded := 0; succeeded < len(events); {
			<-due
			lanes, err := store.ClaimDue(t.Context(), []telltale.LaneRoom{{WebhookID: hook.ID, Slots: 100}})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range lanes[0].Claims {
				if c.Event.ID != events[succeeded].ID || c.ReplayID != r.ID {
					t.Fatalf("claim %d is %+v", succeeded, c)
				}
				succeeded++
				a := &telltale.Attempt{Number: 1, Trigger: c.Trigger, StartedAt: time.Now(), Status: 200}
				if _, err := store.RecordAttempts(t.Context(), []telltale.Result{{ClaimRef: c.ClaimRef, Attempt: a, Outcome: c.After(a, nil, 0)}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if took := time.Since(began); took < 4*time.Second || took > 6*time.Second {
			t.Errorf("50 deliveries at 10 a second took %v", took)
		}
		<-time.After(time.Second)
		r, err = store.Replay(t.Context(), project.ID, r.ID)
		if err != nil || r.State != telltale.ReplayFinished || r.Made != 50 || r.Succeeded != 50 {
			t.Errorf("the replay is %+v: %v", r, err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
