package main

import (
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/client"
)

// listing is what the list verbs have in common.
type listing struct {
	limit int
	after string
}

const defaultLimit = 50

func (l *listing) flags(cmd *cobra.Command) {
	cmd.Flags().SortFlags = false
	cmd.Flags().IntVar(&l.limit, "limit", defaultLimit, "at most this many `rows`, newest first; 0 for all")
	cmd.Flags().StringVar(&l.after, "after", "", "go on after this `cursor`, which the list before gave")
}

func (l *listing) page() (client.Page, error) {
	if l.limit < 0 {
		return client.Page{}, usage("flag --limit: \"%d\"; expected 0 for all, or more", l.limit)
	}
	return client.Page{Limit: l.limit, After: l.after}, nil
}

// list prints rows as they come: JSON lines at once, a table when all are there.
func list[T any](p *program, t *table, row func(T), read func(each func(T) error) (next string, err error)) error {
	next, err := read(func(v T) error {
		if p.json {
			return p.writeJSON(v)
		}
		row(v)
		return nil
	})
	if !p.json && (err == nil || len(t.rows) > 0) {
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
