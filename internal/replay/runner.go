// Package replay runs replays: it asks the store to make their deliveries, at
// each one's rate, and tells the dispatcher of webhooks that have work.
//
// The store keeps where a replay stands, in the transaction that makes the
// deliveries, so a runner knows nothing that matters: it may end at any moment,
// and whoever begins next, here or on another node, goes on from there.
//
// A replay makes its deliveries shortly before they are attempted, not all at
// once: it waits while it is ahead of the receivers ([telltale.Replay.MaxAhead]).
// So pausing or cancelling it has an effect soon, and what happens now does not
// queue behind what happened last week.
//
// Each running replay has a goroutine, which ends when the store says that the
// replay does not run any more. A loop starts those that are missing: at once
// when someone calls [Runner.Wake], and from time to time for what nobody told of.
package replay

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"telltale.example/telltale"
)

// Store is what a runner asks of storage.
type Store interface {
	RunningReplays(ctx context.Context) ([]telltale.Replay, error)
	AdvanceReplay(ctx context.Context, id telltale.ReplayID, n int) (telltale.Replay, []*telltale.Webhook, error)
}

// Config is what a runner needs. Store is required.
type Config struct {
	Store Store
	// Due hears of each webhook that has work now; nil if nobody wants to.
	Due func(*telltale.Webhook)
	// Leads reports whether this node is the one that runs replays now, where several
	// share the store. It is asked before every step; nil for a node alone.
	Leads func() bool
	// LookInterval is how often the store is asked for replays that nobody
	// told of; 0 for [DefaultLookInterval].
	LookInterval time.Duration
	Log          *slog.Logger // nil for nowhere
}

// DefaultLookInterval is what a LookInterval of zero means.
const DefaultLookInterval = 15 * time.Second

const (
	// step is how much of its rate a replay makes in one transaction.
	step = 200 * time.Millisecond
	// rest lies at least between two steps of a replay that passes over
	// events, and as long as the step before took: at most half the time goes
	// into looking.
	rest = 10 * time.Millisecond
	// aheadPause is how long a replay waits before it looks whether the
	// receivers have caught up.
	aheadPause = 100 * time.Millisecond
	// After an error of the store: at first, doubling, and at most.
	firstRetry, lastRetry = time.Second, 30 * time.Second
)

// Runner runs the replays of one node. Make one with [New].
type Runner struct {
	Config
	wake chan struct{} // holds a token while the store is to be asked

	mu    sync.Mutex
	under map[telltale.ReplayID]struct{} // way: they have a goroutine
}

// New makes a runner. Nothing runs before [Runner.Run].
func New(c Config) *Runner {
	if c.Due == nil {
		c.Due = func(*telltale.Webhook) {}
	}
	if c.Leads == nil {
		c.Leads = func() bool { return true }
	}
	if c.LookInterval <= 0 {
		c.LookInterval = DefaultLookInterval
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Runner{Config: c, wake: make(chan struct{}, 1), under: map[telltale.ReplayID]struct{}{}}
}

// Wake says that a replay was started or resumed.
func (r *Runner) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends, and returns nil when every replay has halted.
func (r *Runner) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	retry := firstRetry
	for {
		wait := r.LookInterval
		var running []telltale.Replay
		var err error
		if r.Leads() {
			running, err = r.Store.RunningReplays(ctx)
		}
		if err != nil && ctx.Err() == nil {
			r.Log.Warn("looking for replays failed; it is tried again", "error", err, "in", retry)
			wait, retry = retry, min(2*retry, lastRetry)
		} else {
			retry = firstRetry
		}
		for _, replay := range running {
			if r.begin(replay.ID) {
				all.Go(func() {
					r.run(ctx, replay)
					r.end(replay.ID)
				})
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-time.After(wait):
		}
	}
}

// begin reports whether the replay had no goroutine, and notes that it has one.
func (r *Runner) begin(id telltale.ReplayID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, runs := r.under[id]; runs {
		return false
	}
	r.under[id] = struct{}{}
	return true
}

// end has the store asked again: the replay may have been resumed while its
// goroutine was on the way out.
func (r *Runner) end(id telltale.ReplayID) {
	r.mu.Lock()
	delete(r.under, id)
	r.mu.Unlock()
	r.Wake()
}

// run makes the replay's deliveries until it does not run any more, or ctx ends.
func (r *Runner) run(ctx context.Context, replay telltale.Replay) {
	portion := max(1, int(replay.Rate*step.Seconds()))
	pace := rate.NewLimiter(rate.Limit(replay.Rate), portion)
	granted := 0 // by the pace, and not made yet
	retry := firstRetry
	for {
		if granted == 0 {
			if pace.WaitN(ctx, portion) != nil {
				return
			}
			granted = portion
		}
		if !r.Leads() {
			return
		}
		n := max(0, min(granted, replay.MaxAhead()-replay.Ahead))
		began := time.Now()
		next, due, err := r.Store.AdvanceReplay(ctx, replay.ID, n)
		wait := max(rest, time.Since(began))
		switch {
		case ctx.Err() != nil, telltale.CodeOf(err) == telltale.NotFound:
			return
		case err != nil:
			r.Log.Warn("a replay could not go on; it is tried again", "replay", replay.ID, "error", err, "in", retry)
			wait, retry = max(retry, retryAfter(err)), min(2*retry, lastRetry)
			next = replay
		default:
			retry = firstRetry
			for _, w := range due {
				r.Due(w)
			}
			made := next.Made - replay.Made
			granted = max(0, granted-made)
			switch {
			case next.State != telltale.ReplayRunning:
				return
			case made > 0:
				wait = 0
			case n == 0:
				wait = aheadPause
			}
		}
		replay = next
		if wait > 0 && !sleep(ctx, wait) {
			return
		}
	}
}

func retryAfter(err error) time.Duration {
	var e *telltale.Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}

// sleep reports whether it was not cut short.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
