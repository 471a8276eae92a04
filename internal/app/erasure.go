package app

import (
	"context"
	"log/slog"
	"time"

	"telltale.example/telltale"
)

// An erasure goes on part by part, with a rest between parts, so that accepts
// never wait for it; with a longer one while it removes nothing, since it then
// waits for deliveries that are under way. New ones are looked for at intervals:
// nobody waits for them.
const (
	eraseInterval = 5 * time.Second
	eraseRest     = 50 * time.Millisecond
	eraseWait     = 500 * time.Millisecond
)

type eraser interface {
	OpenErasures(ctx context.Context) ([]telltale.Erasure, error)
	AdvanceErasure(ctx context.Context, id telltale.ErasureID) (telltale.Erasure, error)
}

// erase advances every erasure that is open until ctx ends, while this node leads,
// those too that an earlier start left. An error is logged and tried again.
func erase(ctx context.Context, store eraser, leads func() bool, log *slog.Logger) error {
	timer := time.NewTimer(eraseRest)
	defer timer.Stop()
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
		rest, err := advanceErasures(ctx, store, log)
		if err != nil && ctx.Err() == nil {
			log.Warn("an erasure could not go on; it is tried again", "error", err, "in", rest)
		}
		timer.Reset(rest)
	}
}

// advanceErasures removes a part for each erasure that is open and tells how long
// to rest then.
func advanceErasures(ctx context.Context, store eraser, log *slog.Logger) (time.Duration, error) {
	open, err := store.OpenErasures(ctx)
	if err != nil || len(open) == 0 {
		return eraseInterval, err
	}
	rest := eraseWait
	for _, before := range open {
		after, err := store.AdvanceErasure(ctx, before.ID)
		if err != nil {
			return eraseInterval, err
		}
		if after.Events > before.Events || !after.CompletedAt.IsZero() {
			rest = eraseRest
		}
		if !after.CompletedAt.IsZero() {
			log.Info("a user was erased", "erasure", after.ID, "events_removed", after.Events)
		}
	}
	return rest, nil
}
