package client

import (
	"bytes"
	"context"
	"net/http"
	"net/url"

	"telltale.example/telltale/internal/wire"
)

// Events lists the project's events that the query's filters let through.
func (c *Client) Events(ctx context.Context, query url.Values, p Page, each func(wire.Event) error) (next string, err error) {
	return list(ctx, c, "/v1/events", query, p, each)
}

// Event reads one.
func (c *Client) Event(ctx context.Context, id string) (w wire.Event, err error) {
	err = c.get(ctx, eventPath(id), nil, &w)
	return w, err
}

// SendEvents sends events, each the bytes of a JSON object, in one request: it
// is accepted whole or not at all. The caller keeps it within the API's bounds.
func (c *Client) SendEvents(ctx context.Context, events [][]byte) (w wire.EventsAccepted, err error) {
	var body bytes.Buffer
	body.WriteByte('[')
	body.Write(bytes.Join(events, []byte{','}))
	body.WriteByte(']')
	err = c.call(ctx, request{method: http.MethodPost, path: "/v1/events", body: body.Bytes(), contentType: "application/json"}, &w)
	return w, err
}

// EventDeliveries lists an event's deliveries.
func (c *Client) EventDeliveries(ctx context.Context, id string, p Page, each func(wire.Delivery) error) (next string, err error) {
	return list(ctx, c, eventPath(id)+"/deliveries", nil, p, each)
}

// Sample reads the sample event of a type, byte for byte.
func (c *Client) Sample(ctx context.Context, eventType string) (sample []byte, err error) {
	err = c.get(ctx, "/v1/event-types/"+url.PathEscape(eventType)+"/sample", nil, &sample)
	return sample, err
}

func eventPath(id string) string { return "/v1/events/" + url.PathEscape(id) }
