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
)

type purger interface {
	Purge(ctx context.Context, retention telltale.Retention) (removed int, more bool, err error)
}

// purge removes what is older than the retention says until ctx ends. An error
// is logged and the next round tries again: what is kept too long harms nobody.
func purge(ctx context.Context, store purger, retention telltale.Retention, log *slog.Logger) error {
	timer := time.NewTimer(purgeRest)
	defer timer.Stop()
	removed := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
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
