package main

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/client"
)

// listing is a verb that lists things: as JSON lines when they come, or in a
// table when all are there.
type listing[T any] struct {
	head []string
	row  func(T) []any // strings and cells below the head
	show func(T)       // prints one thing, where a table has no room for it

	// query reads the arguments, and the verb's own flags; nil if there are none.
	query func(args []string) (url.Values, error)
	// whole is for lists that are never so long that they have pages.
	whole bool
	// read hands each thing to each, and gives the cursor behind the last one.
	read func(q asked, each func(T) error) (next string, err error)
}

// asked is what a list is asked for, and where.
type asked struct {
	*client.Client
	ctx   context.Context
	args  []string
	query url.Values
	page  client.Page
}

const defaultLimit = 50

// verb makes the command of the list; cmd has the rest of it.
func (l listing[T]) verb(p *program, cmd *cobra.Command) *cobra.Command {
	limit, after := 0, ""
	cmd.Flags().SortFlags = false
	if !l.whole {
		cmd.Flags().IntVar(&limit, "limit", defaultLimit, "at most this many `rows`, newest first; 0 for all")
		cmd.Flags().StringVar(&after, "after", "", "go on after this `cursor`, which the list before gave")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if limit < 0 {
			return usage("flag --limit: \"%d\"; expected 0 for all, or more", limit)
		}
		q := asked{ctx: cmd.Context(), args: args, page: client.Page{Limit: limit, After: after}}
		var err error
		if l.query != nil {
			if q.query, err = l.query(args); err != nil {
				return err
			}
		}
		if q.Client, err = p.client(); err != nil {
			return err
		}
		return l.print(p, q)
	}
	return p.speaks(cmd)
}

func (l listing[T]) print(p *program, q asked) error {
	t := newTable(l.head...)
	next, err := l.read(q, func(v T) error {
		switch {
		case p.json:
			return p.writeJSON(v)
		case l.show != nil:
			l.show(v)
		default:
			t.row(l.row(v)...)
		}
		return nil
	})
	if !p.json && l.show == nil && (err == nil || len(t.rows) > 0) {
		p.printTable(t)
	}
	if err == nil && next != "" {
		p.hint("There is more: --after %s", next)
	}
	return err
}

// span is the flags --since and --until.
type span struct{ since, until string }

func (s *span) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.since, "since", "", "not before this `time`: 10m or 2h ago, Unix seconds, or RFC 3339")
	cmd.Flags().StringVar(&s.until, "until", "", "before this `time`, in the same forms")
}

func (s *span) query(q url.Values) error {
	for _, f := range []struct{ name, text string }{{"since", s.since}, {"until", s.until}} {
		if f.text == "" {
			continue
		}
		t, err := parseSince(f.name, f.text, time.Now())
		if err != nil {
			return err
		}
		q.Set(f.name, t.UTC().Format(time.RFC3339Nano))
	}
	return nil
}

// parseSince reads a time, or how long ago it was.
func parseSince(flag, text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		if _, err := strconv.Atoi(text); err != nil { // "0" is a time
			return now.Add(-d), nil
		}
	}
	t, err := parseTime(flag, text)
	if err != nil {
		return time.Time{}, usage("flag --%s: %q; expected how long ago, such as 2h, or a time, such as 2026-03-01T12:00:00Z", flag, telltale.CutValue(text))
	}
	return t, nil
}

// set puts what is not empty into a query.
func set(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}
