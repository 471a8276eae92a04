package web

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/docs"
)

// webhookFrame is what the tabs of a webhook's page have in common.
type webhookFrame struct {
	frame
	Webhook *telltale.Webhook
	Tab     string
	Fares   webhookStatus
	Once    *onceSecret
}

// Tabs are the ways to the other tabs.
func (p *webhookFrame) Tabs() []link {
	id := p.Webhook.ID
	return []link{
		{"Overview", p.call.webhookPath(id, "")},
		{"Deliveries", p.call.path("/deliveries?webhook=" + string(id))},
		{"Settings", p.call.webhookPath(id, "/settings")},
		{"Signing", p.call.webhookPath(id, "/signing")},
		{"Code", p.call.webhookPath(id, "/code")},
	}
}

// At is the address of something about the webhook.
func (p *webhookFrame) At(rest string) string { return p.call.webhookPath(p.Webhook.ID, rest) }

// webhookFrame finds the webhook of the path and what is around its tabs.
func (c *call) webhookFrame(tab string) (webhookFrame, error) {
	w, err := c.webhook()
	if err != nil {
		return webhookFrame{}, err
	}
	p := webhookFrame{Webhook: w, Tab: tab, Fares: statusOf(w)}
	p.frame = frame{Title: hostOf(w.URL), Section: "webhooks", call: c}
	p.Crumbs = append(settingsCrumbs(c), link{Text: hostOf(w.URL)})
	if tab != "Overview" {
		p.Title = tab + " · " + p.Title
	}
	return p, nil
}

// webhookView is how a webhook fares.
type webhookView struct {
	webhookFrame
	Sentence string
	Warning  string
	Note     string // about a well-known receiver
	Spans    []span
	Span     span
	Charts   []chart
	Next     time.Time // of the next attempt; zero if none waits
	Waiting  string    // how many deliveries wait, or are under way
	Held     string    // how many are held; empty if none
	Failure  *lastFailure
}

// lastFailure is the newest attempt that failed, and what to do about it.
type lastFailure struct {
	Delivery telltale.DeliveryID
	At       time.Time
	Cause    string
	Fix      string
}

func webhookPage(c *call) error {
	p := &webhookView{Spans: spans, Span: spanNamed(c.r.URL.Query().Get("range"))}
	var err error
	if p.webhookFrame, err = c.webhookFrame("Overview"); err != nil {
		return err
	}
	now, ctx := time.Now(), c.r.Context()
	if p.Webhook.Enabled && p.Webhook.Health == telltale.HealthFailing {
		p.State = "(failing)"
	}
	steps, err := c.stats(p.Webhook.ID, p.Span, now)
	if err != nil {
		return err
	}
	p.Charts = []chart{outcomeChart(p.Span, steps), shareChart(p.Span, steps), tookChart(p.Span, steps), answerChart(p.Span, steps)}
	if p.Span.Name != sparkSpan.Name {
		if steps, err = c.stats(p.Webhook.ID, spanNamed(sparkSpan.Name), now); err != nil {
			return err
		}
	}
	p.Sentence, p.Warning, p.Note = healthSentence(p.Webhook, total(steps), now), warningOf(p.Webhook, now), receiverNote(p.Webhook.URL)

	of := telltale.DeliveryFilter{WebhookID: p.Webhook.ID, State: telltale.StateHeld}
	held, more, err := c.Store.CountDeliveries(ctx, c.project.ID, of, countLimit)
	if err != nil {
		return err
	}
	if held > 0 {
		p.Held = atLeast(held, more, "delivery is", "deliveries are")
	}
	of.State = telltale.StateWaiting
	waiting, more, err := c.Store.CountDeliveries(ctx, c.project.ID, of, countLimit)
	if err != nil {
		return err
	}
	if waiting > 0 {
		p.Waiting = atLeast(waiting, more, "delivery waits", "deliveries wait")
		if p.Next, err = c.nextAttempt(p.Webhook, now); err != nil {
			return err
		}
	}
	if p.Failure, err = c.lastFailure(p.Webhook); err != nil {
		return err
	}
	if c.partial() {
		return c.part("webhook", "live", p)
	}
	if p.Notice = c.takeNotice(); p.Notice != nil {
		if p.Once, err = c.onceSecret(p.Notice.Once); err != nil {
			return err
		}
	}
	return c.page("webhook", p)
}

// stats gives the webhook's counts in the steps of the span.
func (c *call) stats(id telltale.WebhookID, s span, now time.Time) ([]telltale.Stat, error) {
	stats, err := c.Store.Stats(c.r.Context(), c.project.ID, s.query(id, now))
	return s.fill(stats, now), err
}

// nextAttempt is when the next delivery that waits is attempted: when it is due,
// and not before a breaker lets a probe through.
func (c *call) nextAttempt(w *telltale.Webhook, now time.Time) (time.Time, error) {
	lanes, err := c.Store.DueWebhooks(c.r.Context())
	if err != nil {
		return time.Time{}, err
	}
	for _, lane := range lanes {
		if lane.Webhook.ID != w.ID || lane.In == telltale.Never {
			continue
		}
		next := now.Add(lane.In)
		if until := w.Standing.Breaker.Until; w.Standing.Breaker.State == telltale.BreakerOpen && until.After(next) {
			next = until
		}
		return next, nil
	}
	return time.Time{}, nil
}

// lastFailure finds the newest failure among the deliveries that failed, that are
// retried and that are held.
func (c *call) lastFailure(w *telltale.Webhook) (*lastFailure, error) {
	var found *telltale.Delivery
	for _, state := range []telltale.State{telltale.StateFailed, telltale.StateWaiting, telltale.StateHeld} {
		some, err := c.Store.Deliveries(c.r.Context(), c.project.ID, telltale.DeliveryFilter{WebhookID: w.ID, State: state}, telltale.Page{Limit: 20})
		if err != nil {
			return nil, err
		}
		for i, d := range some {
			if d.Last == nil || d.Last.Error == "" || d.Test {
				continue
			}
			if found == nil || d.Last.StartedAt.After(found.Last.StartedAt) {
				found = &some[i]
			}
		}
	}
	if found == nil {
		return nil, nil
	}
	d, err := c.Store.Delivery(c.r.Context(), c.project.ID, found.ID)
	switch {
	case telltale.CodeOf(err) == telltale.NotFound:
		return nil, nil // purged meanwhile
	case err != nil:
		return nil, err
	case len(d.Attempts) == 0:
		return nil, nil
	}
	a := d.Attempts[len(d.Attempts)-1]
	return &lastFailure{d.ID, a.StartedAt, a.Sentence(), a.Fix()}, nil
}

// settingsView shows what is set.
type settingsView struct{ webhookFrame }

func webhookSettingsPage(c *call) error {
	p := &settingsView{}
	var err error
	if p.webhookFrame, err = c.webhookFrame("Settings"); err != nil {
		return err
	}
	if c.partial() {
		return c.part("webhook-settings", "live", p)
	}
	return c.page("webhook-settings", p)
}

// What the settings read like.

func (p *settingsView) Retries() string {
	text := scheduleText(p.Webhook.RetrySchedule)
	if len(p.Webhook.RetrySchedule) > 0 {
		text += ": after " + strings.ReplaceAll(waitsText(p.Webhook.RetrySchedule), " ", ", ")
	}
	return text
}

func (p *settingsView) RateLimit() string {
	if p.Webhook.RateLimit == 0 {
		return "None"
	}
	return coordinate(p.Webhook.RateLimit) + " requests a second"
}

func (p *settingsView) Events() []string {
	return eventNames(p.Webhook.Events, telltale.EventType.Label)
}

// codeView has receivers for the webhook, a language at a time.
type codeView struct {
	webhookFrame
	Receivers []docs.Receiver
	Chosen    docs.Receiver
	Secret    string // name of the variable that holds it
}

// secretName is the environment variable that the receivers read.
const secretName = "WEBHOOK_SECRET"

func codePage(c *call) error {
	p := &codeView{Secret: secretName}
	var err error
	if p.webhookFrame, err = c.webhookFrame("Code"); err != nil {
		return err
	}
	p.Receivers = docs.Receivers(p.Webhook.URL, secretName)
	p.Chosen = p.Receivers[0]
	for _, r := range p.Receivers {
		if r.Language == c.r.URL.Query().Get("language") {
			p.Chosen = r
		}
	}
	return c.page("webhook-code", p)
}

// sendHeld turns the webhook on, and so sends what is held.
func sendHeld(c *call) error {
	w, err := c.webhook()
	if err != nil {
		return err
	}
	return c.turnOn(w)
}

// discardView asks whether what is held shall be cancelled.
type discardView struct {
	frame
	*telltale.Webhook
	Held string
}

func discardHeldPage(c *call) error {
	w, err := c.webhook()
	if err != nil {
		return err
	}
	held, more, err := c.countHeld(w)
	if err != nil {
		return err
	}
	p := &discardView{frame{Title: "Discard held deliveries?", Section: "webhooks", Crumbs: settingsCrumbs(c)}, w, atLeast(held, more, "held delivery", "held deliveries")}
	if c.partial() {
		return c.part("webhook-discard", "dialog", p)
	}
	return c.page("webhook-discard", p)
}

// maxDiscard bounds how many deliveries one press cancels: each is a change of its own.
const (
	maxDiscard   = 1000
	discardChunk = 100
)

// discardHeld cancels what is held for a webhook that is off.
func discardHeld(c *call) error {
	w, err := c.webhook()
	if err != nil {
		return err
	}
	ctx := c.r.Context()
	of := telltale.DeliveryFilter{WebhookID: w.ID, State: telltale.StateHeld}
	cancelled := 0
	for range maxDiscard / discardChunk {
		some, err := c.Store.Deliveries(ctx, c.project.ID, of, telltale.Page{Limit: discardChunk})
		if err != nil {
			return err
		}
		for _, d := range some {
			switch _, err := c.Store.CancelDelivery(ctx, c.project.ID, d.ID); telltale.CodeOf(err) {
			case "":
				cancelled++
			case telltale.Conflict, telltale.NotFound: // it moved on
			default:
				return err
			}
		}
		if len(some) < discardChunk {
			break
		}
	}
	held, more, err := c.countHeld(w)
	if err != nil {
		return err
	}
	n := notice{Kind: "ok", Text: counted(cancelled, "delivery", "deliveries") + " discarded.", Detail: "The log keeps them as cancelled."}
	if held > 0 {
		n.Detail = fmt.Sprintf("%s still held. Discard again for the rest.", atLeast(held, more, "delivery is", "deliveries are"))
	}
	return c.result(c.back(w), n, changedWebhooks, closesDialog)
}

// webhookDeliveries leads to the deliveries of the webhook.
func webhookDeliveries(c *call) error {
	w, err := c.webhook()
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", c.path("/deliveries?webhook="+string(w.ID)))
	c.w.WriteHeader(http.StatusSeeOther)
	return nil
}
