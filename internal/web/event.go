package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"telltale.example/telltale"
)

func statusText(status int) string { return http.StatusText(status) }

// eventsView is everything that was accepted.
type eventsView struct {
	frame
	Filter eventFilter
	Rows   []eventRow
	Count  string
	Pager  pager
}

// eventRow is an event as lists show it.
type eventRow struct {
	*telltale.Event
	Facts facts
}

// Recipient is who it is about.
func (e eventRow) Recipient() string {
	if e.Email != "" {
		return e.Email
	}
	return e.UserID
}

// ByMachine reports whether it is known that no person opened or clicked.
func (e eventRow) ByMachine() bool { return e.Machine != nil && *e.Machine }

type eventFilter struct {
	Event, Range, Since, Until, Q string
	Found                         string
	event                         telltale.EventID
	telltale.EventFilter
}

func (f eventFilter) Events() []option { return eventOptions(f.Event) }
func (f eventFilter) Ranges() []option { return deliveryFilter{Range: f.Range}.Ranges() }

func (f eventFilter) Query() url.Values {
	return deliveryFilter{Event: f.Event, Range: f.Range, Since: f.Since, Until: f.Until, Q: f.Q}.Query()
}

func (f eventFilter) Narrow() bool { return len(f.Query()) > 0 }

func parseEventFilter(q url.Values) eventFilter {
	f := eventFilter{Event: q.Get("event"), Range: q.Get("range"), Since: q.Get("since"), Until: q.Get("until"), Q: strings.TrimSpace(q.Get("q"))}
	f.EventFilter.Type = telltale.EventType(f.Event)
	f.EventFilter.Since, f.EventFilter.Until = between(f.Range, f.Since, f.Until)
	value, kind := found(f.Q)
	if f.Found = kind; kind == "event id" {
		f.event = telltale.EventID(value)
	} else {
		f.Match = value
	}
	return f
}

func eventsPage(c *call) error {
	ctx := c.r.Context()
	f := parseEventFilter(c.r.URL.Query())
	if f.event != "" {
		if _, err := c.Store.Event(ctx, c.project.ID, f.event); err == nil {
			return c.redirect(c.path("/events/" + string(f.event)))
		}
	}
	p := &eventsView{frame: frame{Title: "Events", Section: "events", Wide: true}, Filter: f}
	if c.atTop() {
		p.Live = "events"
	}
	var err error
	if p.from, err = c.Live.End(ctx); err != nil {
		return err
	}
	rows, pager, err := c.listed(f.Query(), func(page telltale.Page) (int, func(int) string, func(int, int), error) {
		events, err := c.Store.Events(ctx, c.project.ID, f.EventFilter, page)
		p.Rows = p.Rows[:0]
		for _, e := range events {
			p.Rows = append(p.Rows, eventRow{e, factsOf(e.Payload)})
		}
		return len(p.Rows), func(i int) string { return string(p.Rows[i].ID) }, func(from, to int) { p.Rows = p.Rows[from:to] }, err
	})
	if err != nil {
		return err
	}
	p.Pager = pager
	n, more := rows, false
	if rows >= rowsPerPage || !c.atTop() {
		if n, more, err = c.Store.CountEvents(ctx, c.project.ID, f.EventFilter, telltale.MaxCount); err != nil {
			return err
		}
	}
	if p.Count = counted(n, "event", "events"); more {
		p.Count = count(telltale.MaxCount) + "+ events"
	}
	return c.page("events", p)
}

// eventView is one event with what became of it.
type eventView struct {
	frame
	Event      *telltale.Event
	Facts      facts
	Faults     []string // what the schema of its type says against the payload
	Deliveries []deliveryRow
}

func (p *eventView) Pretty() string { return pretty(p.Event.Payload) }

// MachineWord says whether a person opened or clicked.
func (p *eventView) MachineWord() string {
	switch m := p.Event.Machine; {
	case m == nil:
		return ""
	case *m:
		return "By a machine"
	}
	return "By a person"
}

func eventPage(c *call) error {
	ctx := c.r.Context()
	from, err := c.Live.End(ctx)
	if err != nil {
		return err
	}
	e, err := c.Store.Event(ctx, c.project.ID, telltale.EventID(c.r.PathValue("event")))
	if err != nil {
		return orNoPage(err, "There is no such event."+c.retentionHint())
	}
	webhooks, err := c.webhooksByID()
	if err != nil {
		return err
	}
	deliveries, err := c.Store.Deliveries(ctx, c.project.ID, telltale.DeliveryFilter{EventID: e.ID}, telltale.Page{Limit: telltale.MaxPage})
	if err != nil {
		return err
	}
	p := &eventView{
		frame: frame{
			Title: e.Type.Label(), Section: "events", Live: "deliveries",
			Crumbs: []link{{"Events", c.path("/events")}, {string(e.ID), ""}},
		},
		Event: e, Facts: factsOf(e.Payload), Deliveries: c.deliveryRows(deliveries, webhooks), Faults: c.schemas.faults(e),
	}
	p.from = from
	return c.page("event", p)
}

// messageView is what happened to one message, in the order in which it happened.
type messageView struct {
	frame
	MessageID string
	Steps     []messageStep
	Cut       bool // there was more than is shown
}

// messageStep is one event on the line, and how long after the one before.
type messageStep struct {
	eventRow
	Gap time.Duration // since the one before
	Lag time.Duration // from occurrence to receipt: how late we heard of it
}

func messagePage(c *call) error {
	id := telltale.CanonicalMessageID(c.r.PathValue("message"))
	events, err := c.Store.Events(c.r.Context(), c.project.ID, telltale.EventFilter{Match: id}, telltale.Page{Limit: telltale.MaxPage})
	if err != nil {
		return err
	}
	events = slices.DeleteFunc(events, func(e *telltale.Event) bool { return e.MessageID != id })
	if len(events) == 0 {
		return telltale.Errorf(telltale.NotFound, "Nothing is known of this message.%s", c.retentionHint())
	}
	p := &messageView{
		frame: frame{
			Title: "Message timeline", Section: "events", Live: "events",
			Crumbs: []link{{"Events", c.path("/events")}, {"Message", ""}},
		},
		MessageID: id, Cut: len(events) == telltale.MaxPage,
	}
	slices.SortStableFunc(events, func(a, b *telltale.Event) int {
		if d := a.OccurredAt.Compare(b.OccurredAt); d != 0 {
			return d
		}
		return int(a.Sequence - b.Sequence)
	})
	for i, e := range events {
		step := messageStep{eventRow: eventRow{e, factsOf(e.Payload)}, Lag: e.ReceivedAt.Sub(e.OccurredAt)}
		if i > 0 {
			step.Gap = e.OccurredAt.Sub(events[i-1].OccurredAt)
		}
		p.Steps = append(p.Steps, step)
	}
	return c.page("message", p)
}

// GapText says how long after the step before.
func (s messageStep) GapText() string {
	if s.Gap <= 0 {
		return ""
	}
	return roughly(s.Gap) + " later"
}

// LagText says how late we heard, if that is worth a word.
func (s messageStep) LagText() string {
	if s.Lag < 2*time.Second {
		return ""
	}
	return fmt.Sprintf("heard of %s after it happened", roughly(s.Lag))
}
