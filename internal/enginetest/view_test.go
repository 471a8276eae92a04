package enginetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"telltale.example/telltale"
)

// view is what a store says of everything in a project.
type view struct {
	Hooks      map[telltale.WebhookID]hookView
	Due        map[telltale.WebhookID]dueView
	Deliveries map[string]deliveryView
	Replays    map[telltale.ReplayID]replayView
}

type hookView struct {
	ID         telltale.WebhookID
	URL        string
	Version    int64
	Enabled    bool
	Reason     telltale.DisabledReason
	DisabledAt time.Time
	UpdatedAt  time.Time
	Health     telltale.Health
	Standing   telltale.Standing
}

type dueView struct {
	In   time.Duration
	Held bool
}

type deliveryView struct {
	State       telltale.State
	Test        bool
	Attempts    int
	LastError   telltale.ErrorClass
	LastStatus  int
	CreatedAt   time.Time
	DueAt       time.Time
	CompletedAt time.Time
}

type replayView struct {
	State                   telltale.ReplayState
	Made, Succeeded, Failed int
	CompletedAt             time.Time
}

// claimView is a claim by what all engines say alike.
type claimView struct {
	Key, Webhook         string
	Number               int64
	Attempt, Step, Tries int
	Age                  time.Duration
	Trigger              telltale.Trigger
	Test, Once           bool
	Version              int64
}

// viewClaim counts the claims of a delivery: their numbers rise on every engine,
// but by what is the engine's affair.
func (s *side) viewClaim(c *telltale.Claim) claimView {
	key := keyOf(s.eventName(c.Event.ID), c.Webhook.ID, c.ReplayID)
	if n := s.numbers[key]; len(n) == 0 || n[len(n)-1] < c.Number {
		s.numbers[key] = append(n, c.Number)
	}
	return claimView{
		Key: key, Webhook: string(c.Webhook.ID), Number: int64(slices.Index(s.numbers[key], c.Number) + 1), Attempt: c.Attempt, Step: c.Step, Tries: c.Tries, Age: c.Age,
		Trigger: c.Trigger, Test: c.Test, Once: c.Once, Version: c.Webhook.Version,
	}
}

// viewHook leaves out when the last success was, which is behind by up to a
// minute, and by how much depends on the engine.
func viewHook(w *telltale.Webhook) hookView {
	v := hookView{
		ID: w.ID, URL: w.URL, Version: w.Version, Enabled: w.Enabled, Reason: w.DisabledReason, DisabledAt: w.DisabledAt, UpdatedAt: w.UpdatedAt,
		Health: w.Health, Standing: w.Standing,
	}
	v.Standing.LastSuccessAt = time.Time{}
	return v
}

// eventName is what an event is called on every side: its id, or, of an
// operational one, which it is.
func (s *side) eventName(id telltale.EventID) telltale.EventID {
	if n, ok := s.told[id]; ok {
		return operationalID(n)
	}
	return id
}

// look asks the store for all of it, and tells the ids that its deliveries have.
func (s *side) look(ctx context.Context, store telltale.Store) (v view, ids map[string]telltale.DeliveryID, err error) {
	project := s.project
	v = view{Hooks: map[telltale.WebhookID]hookView{}, Due: map[telltale.WebhookID]dueView{}, Deliveries: map[string]deliveryView{}, Replays: map[telltale.ReplayID]replayView{}}
	ids = map[string]telltale.DeliveryID{}
	hooks, err := store.Webhooks(ctx, project, telltale.Page{Limit: telltale.MaxPage})
	if err != nil {
		return v, ids, err
	}
	for _, w := range hooks {
		v.Hooks[w.ID] = viewHook(w)
	}
	lanes, err := store.DueWebhooks(ctx)
	if err != nil {
		return v, ids, err
	}
	for _, l := range lanes {
		if _, twice := v.Due[l.Webhook.ID]; twice {
			return v, ids, fmt.Errorf("%s is listed twice among what is due", l.Webhook.ID)
		}
		v.Due[l.Webhook.ID] = dueView{l.In, l.Held}
	}
	deliveries, err := store.Deliveries(ctx, project, telltale.DeliveryFilter{}, telltale.Page{Limit: telltale.MaxPage})
	if err != nil {
		return v, ids, err
	}
	for _, d := range slices.Backward(deliveries) { // from the oldest on
		if _, known := s.told[d.EventID]; d.EventType.Operational() && !known {
			s.told[d.EventID] = len(s.told)
		}
		key := keyOf(s.eventName(d.EventID), d.WebhookID, d.ReplayID)
		if _, twice := ids[key]; twice {
			return v, ids, fmt.Errorf("there are two deliveries of %s", key)
		}
		ids[key] = d.ID
		v.Deliveries[key] = deliveryView{
			State: d.State, Test: d.Test, Attempts: d.AttemptCount, LastError: d.LastError, LastStatus: d.LastStatus,
			CreatedAt: d.CreatedAt, DueAt: d.DueAt, CompletedAt: d.CompletedAt,
		}
	}
	replays, err := store.Replays(ctx, project, telltale.Page{Limit: telltale.MaxPage})
	for _, r := range replays {
		v.Replays[r.ID] = replayView{State: r.State, Made: r.Made, Succeeded: r.Succeeded, Failed: r.Failed, CompletedAt: r.CompletedAt}
	}
	return v, ids, err
}
