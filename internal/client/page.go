package client

import (
	"context"
	"maps"
	"net/url"
	"strconv"

	"telltale.example/telltale/internal/wire"
)

// Page asks for a part of a list, newest first.
type Page struct {
	Limit int    // at most this many rows; 0 means all
	After string // the cursor to go on after; empty for the newest
}

// largestPage is what the API gives at most in one answer.
const largestPage = 500

// list reads a list page by page and hands each row to each, whose error ends
// the reading. next is the cursor behind the last row, empty if there are no more.
func list[T any](ctx context.Context, c *Client, path string, query url.Values, p Page, each func(T) error) (next string, err error) {
	query = maps.Clone(query)
	if query == nil {
		query = url.Values{}
	}
	for left := p.Limit; ; {
		size := largestPage
		if p.Limit > 0 {
			size = min(left, largestPage)
		}
		query.Set("limit", strconv.Itoa(size))
		query.Del("after")
		if p.After != "" {
			query.Set("after", p.After)
		}
		var page wire.Page[T]
		if err := c.get(ctx, path, query, &page); err != nil {
			return "", err
		}
		for _, row := range page.Data {
			if err := each(row); err != nil {
				return "", err
			}
		}
		left -= len(page.Data)
		switch {
		case page.Next == nil:
			return "", nil
		case p.Limit > 0 && left <= 0, len(page.Data) == 0:
			return *page.Next, nil
		}
		p.After = *page.Next
	}
}

// all reads a list that is never so long that it has pages.
func all[T any](ctx context.Context, c *Client, path string, each func(T) error) error {
	var page wire.Page[T]
	if err := c.get(ctx, path, nil, &page); err != nil {
		return err
	}
	for _, row := range page.Data {
		if err := each(row); err != nil {
			return err
		}
	}
	return nil
}
