package feed

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"telltale.example/telltale"
)

const (
	// tallyInterval is how often counts are stored: people watch a source's page
	// while they set the provider up.
	tallyInterval = time.Second
	// maxTallies bounds the sources that wait to be counted. More than that in a
	// second go uncounted.
	maxTallies = 10_000
)

// tallies gathers what came to sources, and stores it together: whoever floods an
// address with requests that are refused costs no more than one write a second.
type tallies struct {
	store Store
	log   *slog.Logger

	mu      sync.Mutex
	waiting map[telltale.SourceID]telltale.SourceTally

	once    sync.Once
	stopped chan struct{}
	ended   chan struct{}
}

func startTallies(store Store, log *slog.Logger) *tallies {
	t := &tallies{
		store: store, log: log, waiting: map[telltale.SourceID]telltale.SourceTally{},
		stopped: make(chan struct{}), ended: make(chan struct{}),
	}
	go t.run()
	return t
}

func (t *tallies) run() {
	defer close(t.ended)
	tick := time.NewTicker(tallyInterval)
	defer tick.Stop()
	for {
		select {
		case <-t.stopped:
			return
		case <-tick.C:
			ctx, cancel := context.WithTimeout(context.Background(), 10*tallyInterval)
			if err := t.write(ctx); err != nil {
				t.log.Warn("what came to sources was not counted", "error", err)
			}
			cancel()
		}
	}
}

func (t *tallies) note(id telltale.SourceID, more telltale.SourceTally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tally, known := t.waiting[id]
	if !known && len(t.waiting) >= maxTallies {
		return
	}
	tally.Add(more)
	t.waiting[id] = tally
}

// write stores what waits. What cannot be stored now waits on.
func (t *tallies) write(ctx context.Context) error {
	t.mu.Lock()
	waiting := t.waiting
	t.waiting = map[telltale.SourceID]telltale.SourceTally{}
	t.mu.Unlock()
	if len(waiting) == 0 {
		return nil
	}
	if err := t.store.NoteSources(ctx, waiting); err != nil {
		for id, tally := range waiting {
			t.note(id, tally)
		}
		return fmt.Errorf("feed: counting for %d sources: %w", len(waiting), err)
	}
	return nil
}

func (t *tallies) stop(ctx context.Context) error {
	t.once.Do(func() { close(t.stopped) })
	select {
	case <-t.ended:
	case <-ctx.Done():
		return fmt.Errorf("feed: counting what came: %w", ctx.Err())
	}
	return t.write(ctx)
}
