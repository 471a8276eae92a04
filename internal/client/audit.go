package client

import (
	"context"
	"net/url"

	"telltale.example/telltale/internal/wire"
)

// AuditLog lists who did what, as far as the query's filters let it through.
func (c *Client) AuditLog(ctx context.Context, query url.Values, p Page, each func(wire.AuditEntry) error) (next string, err error) {
	return list(ctx, c, "/v1/audit-log", query, p, each)
}
