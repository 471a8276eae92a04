package auth

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"telltale.example/telltale"
)

const (
	// usesInterval is how often noted uses are written. It is well under a
	// minute, the precision at which they are kept.
	usesInterval = 10 * time.Second
	// maxUses bounds what waits to be written. More keys than that in ten
	// seconds go unnoted until their next minute.
	maxUses = 10_000
)

// uses gathers which keys were used and writes them together, so that a
// request never waits for it.
type uses struct {
	store Store
	log   *slog.Logger

	mu      sync.Mutex
	waiting map[telltale.KeyID]bool

	once    sync.Once
	stopped chan struct{} // closed by stop
	ended   chan struct{} // closed when the background has ended
}

func startUses(store Store, log *slog.Logger) *uses {
	u := &uses{
		store: store, log: log,
		waiting: map[telltale.KeyID]bool{},
		stopped: make(chan struct{}), ended: make(chan struct{}),
	}
	go u.run()
	return u
}

func (u *uses) run() {
	defer close(u.ended)
	tick := time.NewTicker(usesInterval)
	defer tick.Stop()
	for {
		select {
		case <-u.stopped:
			return
		case <-tick.C:
			ctx, cancel := context.WithTimeout(context.Background(), usesInterval)
			if err := u.write(ctx); err != nil {
				u.log.Warn("last uses of keys were not written", "error", err)
			}
			cancel()
		}
	}
}

func (u *uses) note(id telltale.KeyID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.waiting) < maxUses {
		u.waiting[id] = true
	}
}

// write stores what waits. What cannot be stored is let go: it is a hint for
// people, and the key's next minute notes it again.
func (u *uses) write(ctx context.Context) error {
	u.mu.Lock()
	ids := make([]telltale.KeyID, 0, len(u.waiting))
	for id := range u.waiting {
		ids = append(ids, id)
	}
	clear(u.waiting)
	u.mu.Unlock()
	if len(ids) == 0 {
		return nil
	}
	if err := u.store.TouchKeys(ctx, ids); err != nil {
		return fmt.Errorf("auth: noting the use of %d keys: %w", len(ids), err)
	}
	return nil
}

func (u *uses) stop(ctx context.Context) error {
	u.once.Do(func() { close(u.stopped) })
	select {
	case <-u.ended:
	case <-ctx.Done():
		return fmt.Errorf("auth: noting the use of keys: %w", ctx.Err())
	}
	return u.write(ctx)
}
