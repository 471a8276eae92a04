package client

import (
	"context"
	"net/http"
	"net/url"

	"telltale.example/telltale/internal/wire"
)

// PlanReplay counts what a replay would send. It changes nothing, so a dry run makes it too.
func (c *Client) PlanReplay(ctx context.Context, in wire.ReplayPlan) (w wire.ReplayPlanned, err error) {
	plain := *c
	plain.options.DryRun = nil
	err = plain.send(ctx, http.MethodPost, "/v1/replays/plan", in, &w)
	return w, err
}

// CreateReplay starts one.
func (c *Client) CreateReplay(ctx context.Context, in wire.ReplayCreate) (w wire.Replay, err error) {
	err = c.send(ctx, http.MethodPost, "/v1/replays", in, &w)
	return w, err
}

// Replays lists the project's replays.
func (c *Client) Replays(ctx context.Context, p Page, each func(wire.Replay) error) (next string, err error) {
	return list(ctx, c, "/v1/replays", nil, p, each)
}

// Replay reads one.
func (c *Client) Replay(ctx context.Context, id string) (w wire.Replay, err error) {
	err = c.get(ctx, replayPath(id), nil, &w)
	return w, err
}

// SwitchReplay does to one what the verb says: pause, resume or cancel.
func (c *Client) SwitchReplay(ctx context.Context, id, verb string) (w wire.Replay, err error) {
	err = c.send(ctx, http.MethodPost, replayPath(id)+"/"+verb, nil, &w)
	return w, err
}

func replayPath(id string) string { return "/v1/replays/" + url.PathEscape(id) }
