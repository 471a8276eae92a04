package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/httpserver"
	"telltale.example/telltale/internal/ingest"
	"telltale.example/telltale/internal/wire"
)

// sourceAPI is the source of events that are posted here.
const sourceAPI = "api"

// postEvents accepts events. It is a plain handler, and not one of huma's: the
// body has an order, digits and bounds of its own, which [ingest.Decode] keeps.
func (a *api) postEvents(w http.ResponseWriter, r *http.Request) error {
	who, r, err := a.letIn(r, telltale.ScopeIngest)
	if err != nil {
		return err
	}
	if err := checkQuery(a.postEventsOperation, r); err != nil {
		return err
	}
	body, err := httpserver.ReadBody(r, ingest.MaxBody)
	if err != nil {
		return err
	}
	named, err := eventsNamed(r, who, body)
	if err != nil {
		return err
	}
	activities, err := ingest.Decode(r.Header.Get("Content-Type"), body)
	if err != nil {
		return err
	}
	accepted, before, err := a.config.Ingest.AcceptOnce(r.Context(), who.Project, sourceAPI, activities, named)
	if err != nil {
		return err
	}
	answer := wire.EventsAccepted{Events: make([]wire.EventAccepted, len(accepted.Events))}
	for i, e := range accepted.Events {
		answer.Events[i] = wire.EventAccepted{ID: string(e.ID), Duplicate: e.Duplicate}
		if e.Duplicate {
			answer.Duplicates++
		} else {
			answer.Accepted++
		}
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	h := w.Header()
	if before {
		h.Set(idempotencyReplayed, "true")
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write(text) // the caller may be gone; net/http knows
	return nil
}

// eventsNamed is the name that the caller gave to a request with events.
func eventsNamed(r *http.Request, who auth.Identity, body []byte) (ingest.Request, error) {
	name, err := nameOf(r)
	if err != nil || name == "" {
		return ingest.Request{}, err
	}
	return ingest.Request{Caller: who.Key.ID, Name: name, Hash: sha256.Sum256(body)}, nil
}

type EventPath struct {
	ID string `path:"id" doc:"The event's id." example:"evt_01JD0000000000000000000000"`
	ProjectQuery
}

// ReceivedQuery narrows a list by time.
type ReceivedQuery struct {
	Since time.Time `query:"since" doc:"Only what is from then or later." example:"2026-11-20T09:00:00Z"`
	Until time.Time `query:"until" doc:"Only what is from before." example:"2026-11-20T10:00:00Z"`
}

func (a *api) listEvents(ctx context.Context, who auth.Identity, in *struct {
	Type      string `query:"type" enum:"sent,delivered,opened,clicked,failed,bounced,converted,unsubscribed,resubscribed,complained,user_created,user_updated,webhook.failing,webhook.disabled,webhook.recovered,delivery.failed" doc:"Only events of this type."`
	Q         string `query:"q" maxLength:"998" doc:"Only events with this email address, user id, message id or event id." example:"steve@example.com"`
	MessageID string `query:"message_id" maxLength:"998" doc:"Only events about this message." example:"20261120093000.1234@mail.example.com"`
	ReceivedQuery
	ProjectQuery
	PageQuery
}) (wire.Page[wire.Event], error) {
	f := telltale.EventFilter{Type: telltale.EventType(in.Type), Match: match(in.Q), Since: in.Since, Until: in.Until}
	switch {
	case in.Q != "" && in.MessageID != "":
		return wire.Page[wire.Event]{}, faulty("query.message_id", "There are two things to find.", "q or message_id")
	case in.MessageID != "":
		return a.messageEvents(ctx, who, in.MessageID, f, in.PageQuery)
	case telltale.ValidID("evt_", in.Q):
		return a.eventWithID(ctx, who, telltale.EventID(in.Q), f)
	}
	return a.events(ctx, who, f, in.PageQuery)
}

func (a *api) listMessageEvents(ctx context.Context, who auth.Identity, in *struct {
	MessageID string `path:"message_id" maxLength:"998" doc:"The message's id, percent-encoded, without angle brackets or with them." example:"20261120093000.1234%40mail.example.com"`
	ProjectQuery
	PageQuery
}) (wire.Page[wire.Event], error) {
	return a.messageEvents(ctx, who, in.MessageID, telltale.EventFilter{}, in.PageQuery)
}

// messageEvents lists the events about a message. The store also finds users
// with that very id, who are left out here: a page may then have fewer rows
// than were asked for.
func (a *api) messageEvents(ctx context.Context, who auth.Identity, message string, f telltale.EventFilter, q PageQuery) (wire.Page[wire.Event], error) {
	f.Match = match(message)
	page, err := a.events(ctx, who, f, q)
	page.Data = slices.DeleteFunc(page.Data, func(e wire.Event) bool { return e.MessageID != f.Match })
	return page, err
}

// match is a text as events are found by it.
func match(q string) string { return telltale.CanonicalMessageID(q) }

func (a *api) events(ctx context.Context, who auth.Identity, f telltale.EventFilter, q PageQuery) (wire.Page[wire.Event], error) {
	return paged(ctx, a, list{"events", who.Project.ID}, q,
		func(e *telltale.Event) string { return string(e.ID) }, wire.FromEvent,
		func(ctx context.Context, page telltale.Page) ([]*telltale.Event, error) {
			return a.config.Store.Events(ctx, who.Project.ID, f, page)
		})
}

// eventWithID lists the one event with that id, if the filter lets it through.
func (a *api) eventWithID(ctx context.Context, who auth.Identity, id telltale.EventID, f telltale.EventFilter) (wire.Page[wire.Event], error) {
	page := wire.Page[wire.Event]{Data: []wire.Event{}}
	e, err := a.config.Store.Event(ctx, who.Project.ID, id)
	switch {
	case telltale.CodeOf(err) == telltale.NotFound:
		return page, nil
	case err != nil:
		return page, err
	case (f.Type == "" || f.Type == e.Type) && within(e.ReceivedAt, f.Since, f.Until):
		page.Data = append(page.Data, wire.FromEvent(e))
	}
	return page, nil
}

// within reports whether t is at or after since and before until, where they are set.
func within(t, since, until time.Time) bool {
	return (since.IsZero() || !t.Before(since)) && (until.IsZero() || t.Before(until))
}

func (a *api) getEvent(ctx context.Context, who auth.Identity, in *EventPath) (wire.Event, error) {
	e, err := a.event(ctx, who, in.ID)
	if err != nil {
		return wire.Event{}, err
	}
	return wire.FromEvent(e), nil
}

func (a *api) event(ctx context.Context, who auth.Identity, id string) (*telltale.Event, error) {
	known, err := eventID(id)
	if err != nil {
		return nil, err
	}
	e, err := a.config.Store.Event(ctx, who.Project.ID, known)
	return e, found(err, "event", id)
}

func (a *api) listEventDeliveries(ctx context.Context, who auth.Identity, in *struct {
	EventPath
	PageQuery
}) (wire.Page[wire.Delivery], error) {
	e, err := a.event(ctx, who, in.ID)
	if err != nil {
		return wire.Page[wire.Delivery]{}, err
	}
	return a.deliveries(ctx, who, telltale.DeliveryFilter{EventID: e.ID}, in.PageQuery)
}
