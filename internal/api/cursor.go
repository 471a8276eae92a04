package api

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/wire"
)

// list names what a cursor goes through: a cursor of one list is none of
// another, nor of the same list of another project.
type list struct {
	kind    string
	project telltale.ProjectID
}

const (
	macSize = 16 // bytes of an HMAC-SHA256: enough that nobody finds one by trying
	maxRow  = 64 // bytes of a row's id
)

// cursor names the row of the list, such that nobody can make up another.
func (a *api) cursor(l list, row string) string {
	return base64.RawURLEncoding.EncodeToString(append(a.cursorMAC(l, row), row...))
}

func (a *api) cursorMAC(l list, row string) []byte {
	h := hmac.New(sha256.New, a.config.CursorKey)
	fmt.Fprintf(h, "%q %q %q", l.kind, l.project, row)
	return h.Sum(nil)[:macSize]
}

// row gives the row that a cursor of the list names.
func (a *api) row(l list, cursor string) (row string, ok bool) {
	if len(cursor) > base64.RawURLEncoding.EncodedLen(macSize+maxRow) || strings.ContainsAny(cursor, "\r\n") {
		return "", false // decoding would pass over line breaks
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) <= macSize {
		return "", false
	}
	row = string(b[macSize:])
	return row, hmac.Equal(b[:macSize], a.cursorMAC(l, row))
}

// PageQuery asks for a part of a list.
type PageQuery struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"How many rows at most." example:"50"`
	After  string `query:"after" doc:"A cursor: only rows older than it."`
	Before string `query:"before" doc:"A cursor: only rows newer than it, and of those the nearest."`
	IfNoneMatch
}

// page reads the query's cursors. It asks for one row more than the caller
// did, to know whether there is another page.
func (a *api) page(l list, q PageQuery) (telltale.Page, error) {
	p := telltale.Page{Limit: q.Limit + 1}
	if q.After != "" && q.Before != "" {
		return p, faulty("query.before", "There are two cursors.", "after or before")
	}
	var ok bool
	if p.After, ok = a.row(l, q.After); !ok && q.After != "" {
		return p, faulty("query.after", "This is no cursor of this list.", "what next held in the page before")
	}
	if p.Before, ok = a.row(l, q.Before); !ok && q.Before != "" {
		return p, faulty("query.before", "This is no cursor of this list.", "what prev held in the page before")
	}
	return p, nil
}

func faulty(location, message, expected string) error {
	return telltale.Faulty("Invalid query.", []telltale.Fault{{Location: location, Message: message, Expected: expected}})
}

// paged reads a page of the list with read, and gives its rows in the form that
// callers see.
func paged[T, W any](ctx context.Context, a *api, l list, q PageQuery, id func(T) string, form func(T) W, read func(context.Context, telltale.Page) ([]T, error)) (wire.Page[W], error) {
	page, err := a.page(l, q)
	if err != nil {
		return wire.Page[W]{}, err
	}
	rows, err := read(ctx, page)
	if err != nil {
		return wire.Page[W]{}, err
	}
	more := len(rows) > q.Limit
	older, newer := more, page.After != ""
	if page.Before != "" {
		older, newer = true, more
	}
	switch {
	case more && page.Before != "":
		rows = rows[len(rows)-q.Limit:] // the nearest to the cursor are the oldest
	case more:
		rows = rows[:q.Limit]
	}
	out := wire.Page[W]{Data: make([]W, len(rows))}
	for i, row := range rows {
		out.Data[i] = form(row)
	}
	if len(rows) == 0 {
		return out, nil
	}
	if older {
		next := a.cursor(l, id(rows[len(rows)-1]))
		out.Next = &next
	}
	if newer {
		prev := a.cursor(l, id(rows[0]))
		out.Prev = &prev
	}
	return out, nil
}
