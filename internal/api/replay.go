package api

import (
	"context"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/wire"
)

type ReplayPath struct {
	ID string `path:"id" doc:"The replay's id." example:"rpl_01JD0000000000000000000000"`
	ProjectQuery
}

// readReplay reads what to send, and where.
func (a *api) readReplay(ctx context.Context, who auth.Identity, in *wire.ReplayPlan) (s telltale.Selection, to telltale.WebhookID, usual float64, err error) {
	s, faults := in.Read()
	usual = telltale.DefaultReplayRate
	for _, named := range []struct{ at, id string }{{"body.webhook", in.Webhook}, {"body.to", in.To}} {
		if named.id == "" {
			continue
		}
		w, err := a.config.Store.Webhook(ctx, who.Project.ID, telltale.WebhookID(named.id))
		switch {
		case telltale.CodeOf(err) == telltale.NotFound && named.at == "body.webhook" && telltale.ValidID("whk_", named.id):
			// It may be deleted: its events can go to another one, and the store knows.
		case telltale.CodeOf(err) == telltale.NotFound:
			faults = append(faults, telltale.Fault{Location: named.at, Message: "There is no such webhook.", Expected: "a webhook's id", Value: telltale.CutValue(named.id)})
		case err != nil:
			return s, "", 0, err
		case w.RateLimit > 0:
			usual = max(w.RateLimit/2, telltale.MinReplayRate)
		default:
			usual = telltale.DefaultReplayRate
		}
	}
	return s, telltale.WebhookID(in.To), usual, telltale.Faulty("Invalid replay.", faults)
}

func (a *api) planReplay(ctx context.Context, who auth.Identity, in *struct {
	ProjectQuery
	Body wire.ReplayPlan
}) (wire.ReplayPlanned, error) {
	s, to, usual, err := a.readReplay(ctx, who, &in.Body)
	if err != nil {
		return wire.ReplayPlanned{}, err
	}
	plan, err := a.config.Store.PlanReplay(ctx, who.Project.ID, s, to)
	if err != nil {
		return wire.ReplayPlanned{}, err
	}
	return wire.FromReplayPlan(plan, usual), nil
}

func (a *api) createReplay(ctx context.Context, who auth.Identity, in *struct {
	ProjectQuery
	Body wire.ReplayCreate
}) (wire.Replay, error) {
	s, to, usual, err := a.readReplay(ctx, who, &in.Body.ReplayPlan)
	if err != nil {
		return wire.Replay{}, err
	}
	r := telltale.Replay{ID: telltale.NewReplayID(), ProjectID: who.Project.ID, Selection: s, To: to, Rate: in.Body.Rate.Or(usual, usual), Planned: in.Body.Planned}
	if r.Planned <= 0 {
		plan, err := a.config.Store.PlanReplay(ctx, who.Project.ID, s, to)
		if err != nil {
			return wire.Replay{}, err
		}
		r.Planned = plan.Count
	}
	r, err = a.config.Store.CreateReplay(ctx, r)
	if err != nil {
		return wire.Replay{}, err
	}
	a.config.Replays.Wake()
	return wire.FromReplay(r), nil
}

func (a *api) listReplays(ctx context.Context, who auth.Identity, in *struct {
	ProjectQuery
	PageQuery
}) (wire.Page[wire.Replay], error) {
	return paged(ctx, a, list{"replays", who.Project.ID}, in.PageQuery,
		func(r telltale.Replay) string { return string(r.ID) }, wire.FromReplay,
		func(ctx context.Context, page telltale.Page) ([]telltale.Replay, error) {
			return a.config.Store.Replays(ctx, who.Project.ID, page)
		})
}

func (a *api) getReplay(ctx context.Context, who auth.Identity, in *ReplayPath) (wire.Replay, error) {
	id, err := replayID(in.ID)
	if err != nil {
		return wire.Replay{}, err
	}
	r, err := a.config.Store.Replay(ctx, who.Project.ID, id)
	return wire.FromReplay(r), found(err, "replay", in.ID)
}

// switchReplay makes the handler that brings a replay to the state.
func (a *api) switchReplay(to telltale.ReplayState) handler[ReplayPath, wire.Replay] {
	return func(ctx context.Context, who auth.Identity, in *ReplayPath) (wire.Replay, error) {
		id, err := replayID(in.ID)
		if err != nil {
			return wire.Replay{}, err
		}
		r, err := a.config.Store.SwitchReplay(ctx, who.Project.ID, id, to)
		if err != nil {
			return wire.Replay{}, found(err, "replay", in.ID)
		}
		a.config.Replays.Wake()
		return wire.FromReplay(r), nil
	}
}
