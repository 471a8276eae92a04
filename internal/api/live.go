package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/httpserver"
	"telltale.example/telltale/internal/live"
	"telltale.example/telltale/internal/wire"
)

// Composer makes the request that a webhook with the secret would get.
type Composer interface {
	Compose(secret string, e *telltale.Event) ([]telltale.Header, []byte, error)
}

const liveDetails = "Server-sent events. The first message, `ready`, has the secret that signs. Each message `event` after it is an event as a webhook would get it: headers, and the exact bytes of the body, signed with that secret. " +
	"Nothing is recorded. Whoever sends the last id that they saw as `Last-Event-ID` goes on from there; what came with the same id may come again. A comment comes every 15 seconds. The stream ends when its key is revoked."

// maxSince bounds how far back a stream may begin, in events.
const maxSince = 10_000

func describeLive(a *api, op *huma.Operation) map[string]httpserver.HandlerFunc {
	op.Parameters = append(op.Parameters,
		&huma.Param{Name: "events", In: "query", Description: "Only events of these types: names with commas between.", Schema: &huma.Schema{Type: huma.TypeString}, Example: "bounced,complained"},
		&huma.Param{Name: "webhook", In: "query", Description: "Only events that this webhook wants.", Schema: &huma.Schema{Type: huma.TypeString}, Example: "whk_01JD0000000000000000000000"},
		&huma.Param{Name: "since", In: "query", Description: "Begin with the events that were received since then, at most 10,000.", Schema: &huma.Schema{Type: huma.TypeString, Format: "date-time"}, Example: "2026-11-20T09:00:00Z"},
		&huma.Param{Name: "project", In: "query", Description: "The slug of the project that an owner key works on.", Schema: &huma.Schema{Type: huma.TypeString}, Example: "default"},
	)
	op.Responses["200"] = &huma.Response{Description: "A stream.", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}}}
	return map[string]httpserver.HandlerFunc{op.Path: func(w http.ResponseWriter, r *http.Request) error { return a.stream(op, w, r) }}
}

// stream follows the log for a program.
func (a *api) stream(op *huma.Operation, w http.ResponseWriter, r *http.Request) error {
	who, r, err := a.letIn(r, telltale.ScopeRead)
	if err != nil {
		return err
	}
	if err := checkQuery(op, r); err != nil {
		return err
	}
	wanted, err := a.liveTypes(r, who)
	if err != nil {
		return err
	}
	from, err := a.config.Live.End(r.Context())
	if err != nil {
		return err
	}
	var past []*telltale.Event
	switch last, err := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64); {
	case err == nil && last > 0:
		from = telltale.Cursor(last)
	case r.URL.Query().Get("since") != "":
		if past, err = a.liveSince(r, who, wanted); err != nil {
			return err
		}
	}

	s := &liveStream{w: w, out: http.NewResponseController(w), compose: a.config.Compose, secret: a.config.LiveSecret(who.Project.ID), wanted: wanted}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	if err := s.out.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if err := s.send("ready", from, wire.LiveReady{Secret: s.secret}); err != nil {
		return nil //nolint:nilerr // the caller has gone
	}
	if err := s.events(past, from); err != nil {
		return nil //nolint:nilerr // likewise
	}
	// What comes after the key was revoked is not for whoever holds it. Only a key
	// that cannot be asked about is believed.
	check := func() error {
		_, err := a.config.Keys.Authenticate(r, telltale.ScopeRead)
		if telltale.CodeOf(err) == telltale.Unavailable {
			return nil
		}
		return err
	}
	err = a.config.Live.Watch(r.Context(), who.Project.ID, from,
		func(p telltale.LogPage) error {
			if err := check(); err != nil {
				return err
			}
			return s.events(p.Events, p.Next)
		},
		func() error {
			if err := check(); err != nil {
				return err
			}
			return s.write(": alive\n\n")
		})
	if code := telltale.CodeOf(err); code == telltale.RateLimited || code == telltale.Internal && !errors.Is(err, r.Context().Err()) {
		a.config.Log.DebugContext(r.Context(), "a live stream ended", "error", err)
	}
	return nil
}

// liveTypes are the types that the query asks for.
func (a *api) liveTypes(r *http.Request, who auth.Identity) (telltale.EventTypeSet, error) {
	query := r.URL.Query()
	wanted := telltale.NewEventTypeSet(telltale.EveryEventType()...)
	if names := query.Get("events"); names != "" {
		chosen, faults := telltale.ParseEventTypeSet(strings.Split(names, ","), "query.events")
		if err := telltale.Faulty("Invalid query.", faults); err != nil {
			return 0, err
		}
		wanted &= chosen
	}
	if id := query.Get("webhook"); id != "" {
		w, err := a.webhook(r.Context(), who, id)
		if err != nil {
			return 0, err
		}
		wanted &= w.Events
	}
	return wanted, nil
}

// liveSince gives the events since the time of the query, oldest first.
func (a *api) liveSince(r *http.Request, who auth.Identity, wanted telltale.EventTypeSet) ([]*telltale.Event, error) {
	since, err := time.Parse(time.RFC3339, r.URL.Query().Get("since"))
	if err != nil {
		return nil, faulty("query.since", "This is no time.", "RFC 3339, such as 2026-11-20T09:00:00Z")
	}
	var past []*telltale.Event
	page := telltale.Page{Limit: telltale.MaxPage - 1}
	for len(past) < maxSince {
		rows, err := a.config.Store.Events(r.Context(), who.Project.ID, telltale.EventFilter{Since: since}, page)
		if err != nil {
			return nil, err
		}
		for _, e := range rows {
			if wanted.Has(e.Type) {
				past = append(past, e)
			}
		}
		if len(rows) < page.Limit {
			break
		}
		page.After = string(rows[len(rows)-1].ID)
	}
	slices.Reverse(past)
	return past, nil
}

// liveStream writes messages.
type liveStream struct {
	w       http.ResponseWriter
	out     *http.ResponseController
	compose Composer
	secret  string
	wanted  telltale.EventTypeSet
}

// events sends those that are wanted. Only the last has the cursor behind them all.
func (s *liveStream) events(events []*telltale.Event, next telltale.Cursor) error {
	for _, e := range events {
		if e.Test || !s.wanted.Has(e.Type) {
			continue
		}
		headers, body, err := s.compose.Compose(s.secret, e)
		if err != nil {
			return err
		}
		out := wire.LiveEvent{ID: string(e.ID), Type: string(e.Type), ReceivedAt: wire.Time{Time: e.ReceivedAt}, Body: string(body)}
		for _, h := range headers {
			out.Headers = append(out.Headers, wire.LiveHeader(h))
		}
		if err := s.send("event", 0, out); err != nil {
			return err
		}
	}
	return s.write("id: %d\n\n", next)
}

func (s *liveStream) send(event string, id telltale.Cursor, value any) error {
	text, err := json.Marshal(value) // has no line breaks
	if err != nil {
		return err
	}
	if id > 0 {
		return s.write("id: %d\nevent: %s\ndata: %s\n\n", id, event, text)
	}
	return s.write("event: %s\ndata: %s\n\n", event, text)
}

func (s *liveStream) write(format string, args ...any) error {
	if err := s.out.SetWriteDeadline(time.Now().Add(live.WriteTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := fmt.Fprintf(s.w, format, args...); err != nil {
		return err
	}
	return s.out.Flush()
}
