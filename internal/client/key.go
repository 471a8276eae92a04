package client

import (
	"context"
	"net/http"
	"net/url"

	"telltale.example/telltale/internal/wire"
)

// Keys lists keys: the project's.
func (c *Client) Keys(ctx context.Context, p Page, each func(wire.Key) error) (next string, err error) {
	return list(ctx, c, "/v1/keys", nil, p, each)
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
