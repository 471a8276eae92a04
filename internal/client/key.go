package client

import (
	"context"
	"net/http"
	"net/url"

	"telltale.example/telltale/internal/wire"
)

// Keys lists the project's keys or, with owner, those that work on every project.
func (c *Client) Keys(ctx context.Context, owner bool, p Page, each func(wire.Key) error) (next string, err error) {
	query := url.Values{}
	if owner {
		query.Set("scope", "owner")
	}
	return list(ctx, c, "/v1/keys", query, p, each)
}

// CreateKey makes one; the answer has its token.
func (c *Client) CreateKey(ctx context.Context, in wire.KeyCreate) (w wire.Key, err error) {
	err = c.send(ctx, http.MethodPost, "/v1/keys", in, &w)
	return w, err
}

// RevokeKey ends one for good.
func (c *Client) RevokeKey(ctx context.Context, id string) error {
	return c.send(ctx, http.MethodDelete, "/v1/keys/"+url.PathEscape(id), nil, nil)
}
