package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"telltale.example/telltale/internal/wire"
)

// StartImport sends a file of that kind, of size bytes (-1: unknown), called
// name. It takes as long as the file does. conversions is for events only.
func (c *Client) StartImport(ctx context.Context, kind, name string, conversions bool, file io.Reader, size int64) (w wire.Import, err error) {
	query := url.Values{}
	if name != "" {
		query.Set("name", name)
	}
	if conversions {
		query.Set("conversions", "true")
	}
	err = c.call(ctx, request{method: http.MethodPost, path: "/v1/imports/" + url.PathEscape(kind), query: query, file: file, size: size, contentType: "text/csv"}, &w)
	return w, err
}

// Imports lists the project's imports.
func (c *Client) Imports(ctx context.Context, p Page, each func(wire.Import) error) (next string, err error) {
	return list(ctx, c, "/v1/imports", nil, p, each)
}

// Import reads one.
func (c *Client) Import(ctx context.Context, id string) (w wire.Import, err error) {
	err = c.get(ctx, importPath(id), nil, &w)
	return w, err
}

// SwitchImport does to one what the verb says: pause, resume or cancel.
func (c *Client) SwitchImport(ctx context.Context, id, verb string) (w wire.Import, err error) {
	err = c.send(ctx, http.MethodPost, importPath(id)+"/"+verb, nil, &w)
	return w, err
}

// RefusedRows reads the rows of an import that did not go in, in their order.
func (c *Client) RefusedRows(ctx context.Context, id string, each func(wire.RefusedRow) error) error {
	query := url.Values{}
	for {
		var part wire.RefusedRows
		if err := c.get(ctx, importPath(id)+"/refused", query, &part); err != nil {
			return err
		}
		for _, row := range part.Data {
			if err := each(row); err != nil {
				return err
			}
		}
		if part.Next == nil {
			return nil
		}
		query.Set("after", strconv.Itoa(*part.Next))
	}
}

func importPath(id string) string { return "/v1/imports/" + url.PathEscape(id) }
