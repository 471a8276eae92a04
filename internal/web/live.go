package web

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/live"
)

// A page that is live is told that there is something new, not what: it asks for
// itself again, at most once a second, and htmx changes what differs. So rows are
// filtered, counted and ordered in one place, none is there twice, and a page
// never grows. Someone who reads further down, or has chosen rows, is told how
// many are new and decides.

// stream tells a page of news, with the log's cursor as the message's id: a
// browser that lost the connection says which one it had last.
func stream(c *call) error {
	if c.who.ID == "" {
		c.w.WriteHeader(http.StatusUnauthorized)
		return nil
	}
	after, err := c.streamFrom()
	if err != nil {
		return err
	}
	topics := strings.Split(c.r.URL.Query().Get("topics"), ",")
	var last time.Time
	var events, deliveries int

	h := c.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	out := http.NewResponseController(c.w)
	write := func(format string, args ...any) error {
		if err := out.SetWriteDeadline(time.Now().Add(live.WriteTimeout)); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(c.w, format, args...); err != nil {
			return err
		}
		return out.Flush()
	}
	if err := errors.Join(out.SetReadDeadline(time.Time{}), write(": here\n\n")); err != nil {
		return nil //nolint:nilerr // the browser has gone
	}
	err = c.Live.Watch(c.r.Context(), c.project.ID, after, func(p telltale.LogPage) error {
		for _, topic := range topics {
			switch topic {
			case "events":
				events += len(p.Events)
			case "deliveries":
				deliveries += len(p.Deliveries)
			}
		}
		if wait := time.Second - time.Since(last); wait > 0 { // counters change once a second
			select {
			case <-c.r.Context().Done():
				return c.r.Context().Err()
			case <-time.After(wait):
			}
		}
		if events+deliveries == 0 {
			return nil
		}
		err := write("id: %d\nevent: news\ndata: %d\n\n", p.Next, max(events, deliveries))
		last, events, deliveries = time.Now(), 0, 0
		return err
	}, func() error {
		if _, err := c.Operators.Current(c.r); telltale.CodeOf(err) == telltale.Unauthenticated {
			return errors.Join(write("event: signed-out\ndata: \n\n"), errSessionEnded)
		}
		return write(": alive\n\n")
	})
	if telltale.CodeOf(err) == telltale.RateLimited {
		return err // nothing but a comment was written; the connection is cut
	}
	return nil
}

var errSessionEnded = errors.New("web: the session has ended")

// streamFrom is where the browser stopped, or where the page was made.
func (c *call) streamFrom() (telltale.Cursor, error) {
	for _, text := range []string{c.r.Header.Get("Last-Event-ID"), c.r.URL.Query().Get("from")} {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 {
			return telltale.Cursor(n), nil
		}
	}
	return c.Live.End(c.r.Context())
}
