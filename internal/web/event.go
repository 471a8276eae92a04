package web

import (
	"cmp"
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
	Facts     facts
	Delivered string // what became of its deliveries
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

// Exact reports whether the fields for an exact time are shown.
func (f eventFilter) Exact() bool { return f.Range == "custom" || f.Since != "" || f.Until != "" }

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
		f.EventFilter.Type = "unknown" // so that nothing is found
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
			p.Rows = append(p.Rows, eventRow{Event: e, Facts: factsOf(e.Payload)})
		}
		return len(p.Rows), func(i int) string { return string(p.Rows[i].ID) }, func(from, to int) { p.Rows = p.Rows[from:to] }, err
	})
	if err != nil {
		return err
	}
	p.Pager = pager
	for i := range p.Rows {
		if p.Rows[i].Delivered, err = c.fateOf(p.Rows[i].ID); err != nil {
			return err
		}
	}
	n, more := rows, false
	if rows >= rowsPerPage || !c.atTop() {
		if n, more, err = c.Store.CountEvents(ctx, c.project.ID, f.EventFilter, telltale.MaxCount); err != nil {
			return err
		}
	}
	p.Count = countedSoFar(max(n, rows), more, "event", "events")
	return c.page("events", p)
}

// mostFates bounds how many deliveries of an event are counted in a list.
const mostFates = 50

// fateOf says what became of an event's deliveries: "2 succeeded, 1 failed".
func (c *call) fateOf(id telltale.EventID) (string, error) {
	deliveries, err := c.Store.Deliveries(c.r.Context(), c.project.ID, telltale.DeliveryFilter{EventID: id}, telltale.Page{Limit: mostFates})
	if err != nil {
		return "", err
	}
	counts := map[string]int{}
	for _, d := range deliveries {
		counts[stateBadge(d).Word]++
	}
	var parts []string
	for _, s := range states {
		if n := counts[s.text]; n > 0 {
			parts = append(parts, count(n)+" "+strings.ToLower(s.text))
		}
	}
	text := strings.Join(parts, ", ")
	if len(deliveries) == mostFates {
		text += " …"
	}
	return text, nil
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

// ByWhom says whether a person opened or clicked; it is empty if that is not known.
func (p *eventView) ByWhom() string {
	switch m := p.Event.Machine; {
	case m == nil:
		return ""
	case *m:
		return "a machine"
	}
	return "a person"
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
			Title: e.Type.Label(), Section: "events", Live: string(e.ID),
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
	First     eventRow // says what the message is
	Steps     []messageStep
	Cut       bool // there was more than is shown
}

// messageStep is what happened once, or several times in a row.
type messageStep struct {
	eventRow            // the first time
	Times    []eventRow // every time
	Machines int        // how many of them were a machine's
	Gap      time.Duration
	Lag      time.Duration // from occurrence to receipt: how late we heard of it
}

func messagePage(c *call) error {
	id := telltale.CanonicalMessageID(c.r.PathValue("message"))
	from, err := c.Live.End(c.r.Context())
	if err != nil {
		return err
	}
	events, err := c.Store.Events(c.r.Context(), c.project.ID, telltale.EventFilter{Match: id}, telltale.Page{Limit: telltale.MaxPage - 1})
	if err != nil {
		return err
	}
	cut := len(events) == telltale.MaxPage-1
	events = slices.DeleteFunc(events, func(e *telltale.Event) bool { return e.MessageID != id })
	if len(events) == 0 {
		return telltale.Errorf(telltale.NotFound, "Nothing is known of this message.%s", c.retentionHint())
	}
	p := &messageView{
		frame: frame{
			Title: "Message timeline", Section: "events", Live: messageTopic + id,
			Crumbs: []link{{"Events", c.path("/events")}, {"Message", ""}},
		},
		MessageID: id, Cut: cut, Steps: timeline(events),
	}
	p.First, p.from = p.Steps[0].eventRow, from
	return c.page("message", p)
}

// timeline puts events in the order in which they happened. What happened again,
// to the same person and link, is one step.
func timeline(events []*telltale.Event) []messageStep {
	slices.SortStableFunc(events, func(a, b *telltale.Event) int {
		return cmp.Or(a.OccurredAt.Compare(b.OccurredAt), cmp.Compare(lifeOf(a.Type), lifeOf(b.Type)), cmp.Compare(a.Sequence, b.Sequence))
	})
	var steps []messageStep
	for i, e := range events {
		row := eventRow{Event: e, Facts: factsOf(e.Payload)}
		var step *messageStep
		if last := len(steps) - 1; last >= 0 && steps[last].again(e) {
			step = &steps[last]
		} else {
			steps = append(steps, messageStep{eventRow: row, Lag: e.ReceivedAt.Sub(e.OccurredAt)})
			step = &steps[len(steps)-1]
			if i > 0 {
				step.Gap = e.OccurredAt.Sub(events[i-1].OccurredAt) //nolint:gosec // there is one before the second
			}
		}
		step.Times = append(step.Times, row)
		if row.ByMachine() {
			step.Machines++
		}
	}
	return steps
}

// lifeOf is the place of a type in the life of a message, which decides between
// events of one second.
func lifeOf(t telltale.EventType) int { return slices.Index(telltale.EventTypes(), t) }

func (s messageStep) again(e *telltale.Event) bool {
	return s.Type == e.Type && s.Event.URL == e.URL && s.Recipient() == eventRow{Event: e}.Recipient()
}

// GapText says how long after the step before.
func (s messageStep) GapText() string {
	if s.Gap < time.Second {
		return ""
	}
	return roughly(s.Gap) + " later"
}

// LagText says how late we heard, if that is worth a word.
func (s messageStep) LagText() string {
	if s.Lag < 5*time.Second {
		return ""
	}
	return fmt.Sprintf("heard of %s after it happened", roughly(s.Lag))
}

// Often says how often it happened, and how much of that was no person.
func (s messageStep) Often() string {
	var parts []string
	if n := len(s.Times); n > 1 {
		parts = append(parts, "×"+count(n))
		if s.Machines > 0 {
			parts = append(parts, "("+count(s.Machines)+" by a machine)")
		}
	} else if s.Machines > 0 {
		parts = append(parts, "by a machine")
	}
	return strings.Join(parts, " ")
}
