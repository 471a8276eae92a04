package ingest

import (
	"context"
	"fmt"
	"time"

	"telltale.example/telltale"
)

// Change applies what a source says of users of the project p, and hands over
// the deliveries of what comes of it. source says where it came in. The answer
// has one result per change, in order: one that breaks a bound of profiles is not
// applied, and the others are.
//
// It gives RateLimited if the project's rate is used up, to which each change
// counts as an event, and Unavailable if nothing can be stored now.
func (in *Ingest) Change(ctx context.Context, p telltale.Project, source string, changes []telltale.UserChange) (telltale.UserChanged, error) {
	if len(changes) == 0 {
		return telltale.UserChanged{}, nil
	}
	started := time.Now()
	changed, err := in.change(ctx, p, source, changes)
	in.metrics.observeChanges(changed, err, time.Since(started))
	return changed, err
}

func (in *Ingest) change(ctx context.Context, p telltale.Project, source string, changes []telltale.UserChange) (telltale.UserChanged, error) {
	if err := in.rates.take(p, len(changes)); err != nil {
		return telltale.UserChanged{}, err
	}
	changed, err := in.store.ChangeUsers(ctx, telltale.UserChanges{
		ProjectID: p.ID, Source: source, Changes: changes, RepeatWindow: in.RepeatWindow, Room: in.dispatcher,
	})
	if err != nil {
		return telltale.UserChanged{}, fmt.Errorf("ingest: changing %d users of project %s: %w", len(changes), p.ID, err)
	}
	in.dispatcher.Offer(changed.Accepted)
	return changed, nil
}
