package client

import (
	"context"
	"net/http"
	"net/url"

	"telltale.example/telltale/internal/wire"
)

// Providers lists the mail providers that a source can be of.
func (c *Client) Providers(ctx context.Context, each func(wire.Provider) error) error {
	return all(ctx, c, "/v1/providers", each)
}

// Sources lists the project's sources.
func (c *Client) Sources(ctx context.Context, p Page, each func(wire.Source) error) (next string, err error) {
	return list(ctx, c, "/v1/sources", nil, p, each)
}

// Source reads one.
func (c *Client) Source(ctx context.Context, id string) (w wire.Source, err error) {
	err = c.get(ctx, sourcePath(id), nil, &w)
	return w, err
}

// CreateSource makes one; the answer has its URL.
func (c *Client) CreateSource(ctx context.Context, in wire.SourceCreate) (w wire.Source, err error) {
	err = c.send(ctx, http.MethodPost, "/v1/sources", in, &w)
	return w, err
}

// EditSource changes one.
func (c *Client) EditSource(ctx context.Context, id string, in wire.SourcePatch) (w wire.Source, err error) {
	err = c.send(ctx, http.MethodPatch, sourcePath(id), in, &w)
	return w, err
}

// DeleteSource deletes one.
func (c *Client) DeleteSource(ctx context.Context, id string) error {
	return c.send(ctx, http.MethodDelete, sourcePath(id), nil, nil)
}

// TestSource posts a sample to one, as its provider would.
func (c *Client) TestSource(ctx context.Context, id string) (w wire.SourceTested, err error) {
	err = c.send(ctx, http.MethodPost, sourcePath(id)+"/test", nil, &w)
	return w, err
}

// Unrecognised lists what one could not understand.
func (c *Client) Unrecognised(ctx context.Context, id string, p Page, each func(wire.UnrecognisedRequest) error) (next string, err error) {
	return list(ctx, c, sourcePath(id)+"/unrecognised", nil, p, each)
}

// UnrecognisedRequest reads a request that one could not understand, with its body.
func (c *Client) UnrecognisedRequest(ctx context.Context, id, request string) (w wire.UnrecognisedRequest, err error) {
	err = c.get(ctx, unrecognisedPath(id, request), nil, &w)
	return w, err
}

// DropUnrecognised removes such a request.
func (c *Client) DropUnrecognised(ctx context.Context, id, request string) error {
	return c.send(ctx, http.MethodDelete, unrecognisedPath(id, request), nil, nil)
}

// ReplayUnrecognised takes such requests again.
func (c *Client) ReplayUnrecognised(ctx context.Context, id string, in wire.UnrecognisedReplay) (w wire.UnrecognisedReplayed, err error) {
	err = c.send(ctx, http.MethodPost, sourcePath(id)+"/unrecognised/replay", in, &w)
	return w, err
}

func sourcePath(id string) string { return "/v1/sources/" + url.PathEscape(id) }

func unrecognisedPath(id, request string) string {
	return sourcePath(id) + "/unrecognised/" + url.PathEscape(request)
}
