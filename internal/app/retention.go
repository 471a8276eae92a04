package app

import (
	"context"
	"log/slog"
	"time"

	"telltale.example/telltale"
)

// Retention runs often and takes little at a time, with a rest between chunks,
// so that accepts never wait for it.
const (
	purgeInterval = 10 * time.Minute
	purgeRest     = 50 * time.Millisecond
	// leadInterval is how often a node looks whether it is the one that does what
	// one does for all.
	leadInterval = time.Second
)

type purger interface {
	Purge(ctx context.Context, retention telltale.Retention) (removed int, more bool, err error)
}

// purge removes what is older than the retention says until ctx ends, while this
// node leads. An error is logged and the next round tries again: what is kept too
// long harms nobody.
func purge(ctx context.Context, store purger, leads func() bool, retention telltale.Retention, log *slog.Logger) error {
	timer := time.NewTimer(purgeRest)
	defer timer.Stop()
	removed := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if !leads() {
			timer.Reset(leadInterval)
			continue
		}
		n, more, err := store.Purge(ctx, retention)
		removed += n
		if err == nil && more {
			timer.Reset(purgeRest)
			continue
		}
		if err != nil && ctx.Err() == nil {
			log.Warn("retention could not remove what is old; it tries again", "error", err, "in", purgeInterval)
		} else if removed > 0 {
			log.Info("retention", "events_removed", removed)
		}
		removed = 0
		timer.Reset(purgeInterval)
	}
}
