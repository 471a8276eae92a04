package app

import (
	"context"
	"log/slog"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/config"
	"telltale.example/telltale/internal/dispatch"
)

// startRole is what a node says of itself at its start: what is paused has no part in
// what the nodes that send share out among them.
func startRole(cfg config.Config) telltale.NodeRole {
	if cfg.Paused && Shared(cfg) {
		return telltale.NodePaused
	}
	return cfg.NodeRole
}

// roleChanger is a store that notes what each of several nodes does.
type roleChanger interface {
	ChangeRole(ctx context.Context, role telltale.NodeRole) error
}

// resumption gives what has a paused node go on, and reports whether it was paused.
func resumption(store telltale.Store, d *dispatch.Dispatcher, role telltale.NodeRole, log *slog.Logger) func(context.Context) (was bool, err error) {
	return func(ctx context.Context) (bool, error) {
		if !d.Paused() {
			return false, nil
		}
		if s, ok := store.(roleChanger); ok {
			if err := s.ChangeRole(ctx, role); err != nil {
				return false, err
			}
		}
		if err := store.Audit(ctx, telltale.AuditEntry{Action: telltale.AuditResumed}); err != nil {
			return false, err
		}
		was := d.Resume()
		log.Info("sending goes on: the node is not paused any more")
		return was, nil
	}
}
