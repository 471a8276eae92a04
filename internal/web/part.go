package web

import (
	"fmt"
	"html/template"
	"net/url"
	"strconv"
	"strings"
	"time"

	"telltale.example/telltale"
)

// functions are what templates may call.
func (s *web) functions() template.FuncMap {
	return template.FuncMap{
		"asset":    func(name string) string { return s.assets.address(name) },
		"num":      count,
		"bytes":    byteCount,
		"duration": telltale.FormatDuration,
		"when":     func(t time.Time) moment { return moment{t, time.Now()} },
		"dict":     dict,
		"host":     hostOf,
		"pieces":   pieces,
		"short":    shorten,
		"plural":   counted,
		"join":     func(s []string, by string) string { return strings.Join(s, by) },
		"label":    func(t telltale.EventType) string { return t.Label() },
		"brief":    shortLabel,
		"query":    url.QueryEscape,
		"segment":  url.PathEscape,
		"string":   func(v any) string { return fmt.Sprint(v) },
	}
}

// dict makes a map of names and values, for templates that take several.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict has %d arguments", len(pairs))
	}
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict's argument %d is no name", i)
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}

// byteCount writes a size: 512 B, 1.5 KiB, 73 MiB.
func byteCount(n int64) string {
	const units = "KMGTP"
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	v := float64(n)
	unit := -1
	for v >= 1024 && unit < len(units)-1 {
		v /= 1024
		unit++
	}
	text := strconv.FormatFloat(v, 'f', 1, 64)
	return strings.TrimSuffix(text, ".0") + " " + string(units[unit]) + "iB"
}

// hostOf is what people know a webhook by.
func hostOf(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Host
	}
	return address
}

// whereTo is host and path, which tells webhooks of one host apart.
func whereTo(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return address
	}
	return u.Host + strings.TrimSuffix(u.EscapedPath(), "/")
}

// pieces cuts a URL where a line may break: behind slashes and before what
// parameters begin with.
func pieces(address string) []string {
	var cut []string
	last := 0
	for i := 1; i < len(address); i++ {
		if address[i-1] == '/' && address[i] != '/' || strings.IndexByte("?&=", address[i]) >= 0 {
			cut = append(cut, address[last:i])
			last = i
		}
	}
	return append(cut, address[last:])
}

// shorten cuts text for a cell; the whole is in its title.
func shorten(s string, n int) string {
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	return string(runes[:n-1]) + "…"
}

// moment is a time that a page shows, relative to when the page was made.
type moment struct{ t, now time.Time }

func (m moment) IsZero() bool    { return m.t.IsZero() }
func (m moment) Machine() string { return m.t.UTC().Format("2006-01-02T15:04:05.000Z") }
func (m moment) UTC() string     { return m.t.UTC().Format("2006-01-02 15:04:05 UTC") }

// Clock is the time of day, with the date if that is another one.
func (m moment) Clock() string { return clock(m.t, m.now) }

// Relative is what app.js writes too, and goes on writing.
func (m moment) Relative() string {
	d := m.now.Sub(m.t)
	if d < 0 {
		return "in " + roughly(-d)
	}
	if d < 5*time.Second {
		return "just now"
	}
	return roughly(d) + " ago"
}

func roughly(d time.Duration) string {
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(d/time.Second)) + " s"
	case d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + " min"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + " h"
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + " days"
}

// badge is a word with a shape, so that it is never told by colour alone.
type badge struct{ Kind, Shape, Word string }

// stateBadge is how a delivery's state is shown: waiting after an attempt is
// Retrying, and the word Delivered is for the event type only.
func stateBadge(d telltale.Delivery) badge {
	switch d.State {
	case telltale.StateSucceeded:
		return badge{"ok", "●", "Succeeded"}
	case telltale.StateFailed:
		return badge{"bad", "✕", "Failed"}
	case telltale.StateSending:
		return badge{"busy", "◔", "Sending"}
	case telltale.StateHeld:
		return badge{"warn", "‖", "Held"}
	case telltale.StateCancelled:
		return badge{"quiet", "–", "Cancelled"}
	}
	if d.AttemptCount > 0 {
		return badge{"warn", "◐", "Retrying"}
	}
	return badge{"quiet", "○", "Waiting"}
}

// option is a choice of a select.
type option struct {
	Value, Text string
	Chosen      bool
}

// options makes a select's list, with one chosen.
func options(chosen string, pairs ...string) []option {
	list := make([]option, 0, len(pairs)/2)
	known := false
	for i := 0; i+1 < len(pairs); i += 2 {
		list = append(list, option{pairs[i], pairs[i+1], pairs[i] == chosen})
		known = known || pairs[i] == chosen
	}
	if !known && chosen != "" { // somebody wrote it into the address: it is shown, to be changed
		list = append(list, option{chosen, shorten(chosen, 20), true})
	}
	return list
}

// pager is the way to the pages beside this one.
type pager struct{ Newer, Older string }
