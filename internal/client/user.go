package client

import (
	"context"
	"net/http"
	"net/url"

	"telltale.example/telltale/internal/wire"
)

// Users lists the project's users that the query's filters let through.
func (c *Client) Users(ctx context.Context, query url.Values, p Page, each func(wire.User) error) (next string, err error) {
	return list(ctx, c, "/v1/users", query, p, each)
}

// User reads one by profile id, own id or email address.
func (c *Client) User(ctx context.Context, id string) (w wire.User, err error) {
	err = c.get(ctx, userPath(id), nil, &w)
	return w, err
}

// UserEvents lists a user's events.
func (c *Client) UserEvents(ctx context.Context, id string, p Page, each func(wire.Event) error) (next string, err error) {
	return list(ctx, c, userPath(id)+"/events", nil, p, each)
}

// TrackedEvents lists what a user did.
func (c *Client) TrackedEvents(ctx context.Context, id string, p Page, each func(wire.TrackedEvent) error) (next string, err error) {
	return list(ctx, c, userPath(id)+"/tracked-events", nil, p, each)
}

// Erase begins to forget a person.
func (c *Client) Erase(ctx context.Context, in wire.ErasureCreate) (w wire.Erasure, err error) {
	err = c.send(ctx, http.MethodPost, "/v1/erasures", in, &w)
	return w, err
}

// Erasure reads one.
func (c *Client) Erasure(ctx context.Context, id string) (w wire.Erasure, err error) {
	err = c.get(ctx, "/v1/erasures/"+url.PathEscape(id), nil, &w)
	return w, err
}

// Erasures lists them.
func (c *Client) Erasures(ctx context.Context, p Page, each func(wire.Erasure) error) (next string, err error) {
	return list(ctx, c, "/v1/erasures", nil, p, each)
}

func userPath(id string) string { return "/v1/users/" + url.PathEscape(id) }
