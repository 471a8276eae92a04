package web

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/ingest"
	"telltale.example/telltale/schema"
)

// overviewView is the project at a glance.
type overviewView struct {
	frame
	Empty  bool // nothing has come in yet
	Alerts []failingLine
	Spans  []span
	Span   span
	Tiles  []tile
	Charts []chart
	Types  []typeLine
	Latest []deliveryRow
}

// failingLine is a webhook that needs someone.
type failingLine struct {
	*telltale.Webhook
	Text string
}

// tile is one number, and the list behind it.
type tile struct{ Name, Value, URL string }

// typeLine is how events of a type fared.
type typeLine struct {
	Type                 telltale.EventType
	Events               int
	Share, Median, P95th string
}

// latestRows is how many deliveries the overview shows.
const latestRows = 20

func overviewPage(c *call) error {
	ctx, now := c.r.Context(), time.Now()
	p := &overviewView{frame: frame{Title: "Overview", Section: "overview", Live: "events,deliveries"}, Spans: spans, Span: spanNamed(c.r.URL.Query().Get("range"))}
	var err error
	if p.from, err = c.Live.End(ctx); err != nil {
		return err
	}
	webhooks, err := c.webhooksByID()
	if err != nil {
		return err
	}
	if p.Alerts, err = c.failingLines(webhooks, now); err != nil {
		return err
	}
	if n := len(p.Alerts); n > 0 {
		p.State = "(" + count(n) + " failing)"
	}
	query := p.Span.query("", now)
	query.ByType = true
	stats, err := c.Store.Stats(ctx, c.project.ID, query)
	if err != nil {
		return err
	}
	steps := p.Span.fill(stats, now)
	waiting, more, err := c.Store.CountDeliveries(ctx, c.project.ID, telltale.DeliveryFilter{State: telltale.StateWaiting, Attempted: new(true)}, telltale.MaxCount)
	if err != nil {
		return err
	}
	p.Tiles = c.tiles(total(steps), p.Span, atLeastCount(waiting, more))
	p.Charts = []chart{outcomeChart(p.Span, steps), eventChart(p.Span, steps)}
	p.Types = typeLines(stats)
	latest, err := c.Store.Deliveries(ctx, c.project.ID, telltale.DeliveryFilter{}, telltale.Page{Limit: latestRows})
	if err != nil {
		return err
	}
	p.Latest = c.deliveryRows(latest, webhooks)
	if len(latest) == 0 {
		events, err := c.Store.Events(ctx, c.project.ID, telltale.EventFilter{}, telltale.Page{Limit: 1})
		if err != nil {
			return err
		}
		p.Empty = len(events) == 0
	}
	return c.page("overview", p)
}

func atLeastCount(n int, more bool) string {
	if more {
		return count(n) + "+"
	}
	return count(n)
}

// failingLines says of each webhook that fails, or was turned off by itself,
// since when and how much waits for it.
func (c *call) failingLines(webhooks map[telltale.WebhookID]*telltale.Webhook, now time.Time) ([]failingLine, error) {
	var lines []failingLine
	for _, w := range webhooks {
		off := !w.Enabled && w.DisabledReason != telltale.DisabledManual
		if !off && (!w.Enabled || w.Health != telltale.HealthFailing) {
			continue
		}
		state, word := telltale.StateWaiting, "waiting"
		text := whereTo(w.URL) + " fails"
		if since := w.Standing.FailingSince; !since.IsZero() {
			text = whereTo(w.URL) + " has failed since " + clock(since, now) + " UTC"
		}
		if off {
			state, word = telltale.StateHeld, "held"
			text = whereTo(w.URL) + " was turned off: " + disabledBecause(w.DisabledReason)
		}
		n, more, err := c.Store.CountDeliveries(c.r.Context(), c.project.ID, telltale.DeliveryFilter{WebhookID: w.ID, State: state}, telltale.MaxCount)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			text += " (" + atLeastCount(n, more) + " " + word + ")"
		}
		lines = append(lines, failingLine{w, text + "."})
	}
	slices.SortFunc(lines, func(a, b failingLine) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return lines, nil
}

func (c *call) tiles(sum telltale.Stat, s span, waiting string) []tile {
	median := "–"
	if d, ok := sum.Took.Quantile(0.5); ok {
		median = took(d)
	}
	share := percent(sum.Succeeded, sum.Succeeded+sum.Failed)
	if share == "" {
		share = "–"
	}
	list := func(page, state string) string {
		q := url.Values{"range": {s.Name}}
		if state != "" {
			q.Set("state", state)
		}
		return c.path(page) + "?" + q.Encode()
	}
	return []tile{
		{"Events received", count(sum.Events), list("/events", "")},
		{"Succeeded", share, list("/deliveries", "succeeded")},
		{"Median time to deliver", median, list("/deliveries", "succeeded")},
		{"Waiting to retry", waiting, c.path("/deliveries?state=retrying")},
	}
}

// typeLines adds up the counts by type, in the order of the menu.
func typeLines(stats []telltale.Stat) []typeLine {
	sums := map[telltale.EventType]*telltale.Stat{}
	for i := range stats {
		if sums[stats[i].Type] == nil {
			sums[stats[i].Type] = &telltale.Stat{}
		}
		sums[stats[i].Type].Add(&stats[i])
	}
	var lines []typeLine
	for _, t := range telltale.EventTypes() {
		sum := sums[t]
		if sum == nil {
			continue
		}
		line := typeLine{Type: t, Events: sum.Events, Share: percent(sum.Succeeded, sum.Succeeded+sum.Failed)}
		if d, ok := sum.Took.Quantile(0.5); ok {
			line.Median = took(d)
		}
		if d, ok := sum.Took.Quantile(0.95); ok {
			line.P95th = took(d)
		}
		lines = append(lines, line)
	}
	return lines
}

// Curl sends an event as a program would.
func (p *overviewView) Curl() string {
	return "curl -H \"Authorization: Bearer $KEY\" " + p.call.PublicURL + "/v1/events?project=" + p.Project().Slug +
		" \\\n  -d '{\"type\":\"bounced\",\"user\":{\"id\":123,\"email\":\"steve@example.com\"}}'"
}

// sourcePages is the source of the sample events that a person sends from here.
const sourcePages = "pages"

// sendSamples accepts one documented sample of each type, the way of every event.
func sendSamples(c *call) error {
	var lines bytes.Buffer
	for _, t := range telltale.EventTypes() {
		var compact bytes.Buffer
		if err := json.Compact(&compact, schema.Sample(string(t))); err != nil {
			return err
		}
		lines.Write(compact.Bytes())
		lines.WriteByte('\n')
	}
	activities, err := ingest.Decode("application/x-ndjson", lines.Bytes())
	if err != nil {
		return err
	}
	if _, err := c.Ingest.Accept(c.r.Context(), c.project, sourcePages, activities); err != nil {
		return err
	}
	n := notice{Kind: "ok", Text: "Twelve sample events were accepted."}
	webhooks, err := c.allWebhooks()
	if err != nil {
		return err
	}
	if len(webhooks) == 0 {
		n.Detail = "No webhook wanted them yet."
		n.Actions = []action{{Text: "Add webhook", URL: c.path("/settings/project/reporting-webhooks/new")}}
	}
	return c.done(c.path("/"), n)
}
