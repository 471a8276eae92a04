package client

import (
	"context"
	"net/http"
	"net/url"

	"telltale.example/telltale/internal/wire"
)

// Deliveries lists the project's deliveries that the query's filters let through.
func (c *Client) Deliveries(ctx context.Context, query url.Values, p Page, each func(wire.Delivery) error) (next string, err error) {
	return list(ctx, c, "/v1/deliveries", query, p, each)
}

// Delivery reads one with its attempts.
func (c *Client) Delivery(ctx context.Context, id string) (w wire.Delivery, err error) {
	err = c.get(ctx, deliveryPath(id), nil, &w)
	return w, err
}

// RetryDelivery asks for one attempt now.
func (c *Client) RetryDelivery(ctx context.Context, id string) (w wire.Delivery, err error) {
	err = c.send(ctx, http.MethodPost, deliveryPath(id)+"/retry", nil, &w)
	return w, err
}

// CancelDelivery has nothing more attempted.
func (c *Client) CancelDelivery(ctx context.Context, id string) (w wire.Delivery, err error) {
	err = c.send(ctx, http.MethodPost, deliveryPath(id)+"/cancel", nil, &w)
	return w, err
}

func deliveryPath(id string) string { return "/v1/deliveries/" + url.PathEscape(id) }
