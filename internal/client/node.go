package client

import (
	"context"

	"telltale.example/telltale/internal/wire"
)

// Nodes lists the starts of the server, newest first.
func (c *Client) Nodes(ctx context.Context, each func(wire.Node) error) error {
	return all(ctx, c, "/v1/nodes", each)
}
