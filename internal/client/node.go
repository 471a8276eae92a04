package client

import (
	"context"
	"net/http"

	"telltale.example/telltale/internal/wire"
)

// Nodes lists the starts of the server, newest first.
func (c *Client) Nodes(ctx context.Context, each func(wire.Node) error) error {
	return all(ctx, c, "/v1/nodes", each)
}

// Resume has the server send, if it was started paused.
func (c *Client) Resume(ctx context.Context) (w wire.Resumed, err error) {
	err = c.send(ctx, http.MethodPost, "/v1/resume", nil, &w)
	return w, err
}
