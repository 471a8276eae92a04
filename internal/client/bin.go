package client

import (
	"context"
	"net/http"
	"net/url"

	"telltale.example/telltale/internal/wire"
)

// Bins lists the project's bins.
func (c *Client) Bins(ctx context.Context, each func(wire.Bin) error) error {
	return all(ctx, c, "/v1/inspect", each)
}

// CreateBin makes one.
func (c *Client) CreateBin(ctx context.Context) (w wire.Bin, err error) {
	err = c.send(ctx, http.MethodPost, "/v1/inspect", nil, &w)
	return w, err
}

// CaughtRequests lists what a bin caught.
func (c *Client) CaughtRequests(ctx context.Context, id string, p Page, each func(wire.CaughtRequest) error) (next string, err error) {
	return list(ctx, c, binPath(id)+"/requests", nil, p, each)
}

// DeleteBin removes one with what it caught.
func (c *Client) DeleteBin(ctx context.Context, id string) error {
	return c.send(ctx, http.MethodDelete, binPath(id), nil, nil)
}

// AnswerBin says what one answers.
func (c *Client) AnswerBin(ctx context.Context, id string, in wire.BinAnswer) (w wire.Bin, err error) {
	err = c.send(ctx, http.MethodPut, binPath(id), in, &w)
	return w, err
}

func binPath(id string) string { return "/v1/inspect/" + url.PathEscape(id) }
