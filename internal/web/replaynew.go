package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"telltale.example/telltale"
)

// newReplayView is the form of a replay, and once it was counted what it would do.
type newReplayView struct {
	frame
	Form     *form
	Draft    replayDraft
	Plan     *planView
	Note     string // why the form does not say what the list did
	webhooks map[telltale.WebhookID]*telltale.Webhook
}

// replayDraft is a replay as the form has it.
type replayDraft struct {
	IDs                              []telltale.DeliveryID // chosen ones; then only To and Rate count
	Webhook, Which, To, Rate         string
	Events                           []string
	Range, Since, Until              string
	telltale.Selection               // what it comes to
	rate                             float64
	sinceUnreadable, untilUnreadable bool
}

// planView is what a replay would do, in words.
type planView struct {
	telltale.ReplayPlan
	Sentence string
	Details  []string
}

// parseDraft reads what a form or an address says.
func parseDraft(q url.Values) (replayDraft, error) {
	d := replayDraft{
		Webhook: q.Get("webhook"), Which: q.Get("which"), To: q.Get("to"), Rate: strings.TrimSpace(q.Get("rate")),
		Range: q.Get("range"), Since: q.Get("since"), Until: q.Get("until"), Events: q["events"],
	}
	var err error
	if d.IDs, err = chosen(q["id"]); err != nil {
		return d, err
	}
	if d.Which == "" {
		d.Which = string(telltale.WhichFailed)
	}
	d.sinceUnreadable, d.untilUnreadable = unreadable(d.Since), unreadable(d.Until)
	d.Selection = telltale.Selection{WebhookID: telltale.WebhookID(d.Webhook), Which: telltale.Which(d.Which)}
	d.Selection.Since, d.Selection.Until = between(d.Range, d.Since, d.Until)
	for _, name := range d.Events {
		d.Types |= telltale.NewEventTypeSet(telltale.EventType(name))
	}
	if len(d.IDs) > 0 {
		d.Selection = telltale.Selection{Deliveries: d.IDs}
	}
	return d, nil
}

func unreadable(moment string) bool { return moment != "" && readLocal(moment).IsZero() }

// check notes what is wrong with the draft.
func (d *replayDraft) check(f *form, webhooks map[telltale.WebhookID]*telltale.Webhook) {
	if !d.Selection.Which.Valid() && len(d.IDs) == 0 {
		f.fault("which", "Choose which events are sent.")
	}
	if to := telltale.WebhookID(d.To); to != "" && webhooks[to] == nil {
		f.fault("to", "This webhook is not there any more.")
	}
	if d.Range == "custom" || d.Range == "" {
		if d.sinceUnreadable {
			f.fault("since", "This is no date and time.")
		}
		if d.untilUnreadable {
			f.fault("until", "This is no date and time.")
		}
	}
	if s := d.Selection; !s.Since.IsZero() && !s.Until.IsZero() && !s.Since.Before(s.Until) {
		f.fault("until", "The end is not after the beginning.")
	}
	if d.Rate == "" {
		d.Rate = rateText(d.usualRate(webhooks))
	}
	rate, err := strconv.ParseFloat(d.Rate, 64)
	if err != nil || !(rate >= telltale.MinReplayRate && rate <= telltale.MaxRateLimit) {
		f.fault("rate", fmt.Sprintf("The speed is %v to %s deliveries a second.", telltale.MinReplayRate, count(telltale.MaxRateLimit)))
	}
	d.rate = rate
}

// usualRate is half of what the webhook takes, where there is one and it has a limit.
func (d *replayDraft) usualRate(webhooks map[telltale.WebhookID]*telltale.Webhook) float64 {
	for _, id := range []string{d.To, d.Webhook} {
		if w := webhooks[telltale.WebhookID(id)]; w != nil && w.RateLimit > 0 {
			return max(w.RateLimit/2, telltale.MinReplayRate)
		}
	}
	return telltale.DefaultReplayRate
}

// newReplayPage shows the form, filled in as the address says: with the fields of
// the form itself, or with the filter of the delivery log.
func newReplayPage(c *call) error {
	q := c.r.URL.Query()
	p := &newReplayView{}
	var err error
	if p.Draft, err = parseDraft(q); err != nil {
		return err
	}
	if len(p.Draft.IDs) == 0 && q.Get("which") == "" && len(q) > 0 {
		if err := c.draftFromFilter(p, q); err != nil {
			return err
		}
	}
	return c.showNewReplay(http.StatusOK, p, len(p.Draft.IDs) > 0)
}

// draftFromFilter makes a filter of the delivery log into a draft. What failed,
// and what is held, can be said of events; for anything else the deliveries
// themselves are taken, if there are not too many.
func (c *call) draftFromFilter(p *newReplayView, q url.Values) error {
	f := parseDeliveryFilter(q)
	d := &p.Draft
	if f.delivery != "" {
		d.IDs = []telltale.DeliveryID{f.delivery}
		d.Selection = telltale.Selection{Deliveries: d.IDs}
		return nil
	}
	if f.Event != "" {
		d.Events, d.Types = []string{f.Event}, telltale.NewEventTypeSet(telltale.EventType(f.Event))
	}
	simple := f.Answer == "" && f.Q == "" && f.Replay == ""
	switch telltale.State(f.State) {
	case telltale.StateFailed:
		d.Which = string(telltale.WhichFailed)
	case telltale.StateHeld:
		d.Which = string(telltale.WhichHeld)
		simple = false // the same words pick what was cancelled, too
	default:
		d.Which, simple = string(telltale.WhichAll), false
	}
	d.Selection.Which = telltale.Which(d.Which)
	if simple {
		return nil
	}
	page := telltale.Page{Limit: telltale.MaxPage - 1}
	var ids []telltale.DeliveryID
	for len(ids) <= telltale.MaxReplayDeliveries {
		some, err := c.Store.Deliveries(c.r.Context(), c.project.ID, f.DeliveryFilter, page)
		if err != nil {
			return err
		}
		for _, row := range some {
			if !row.Test {
				ids = append(ids, row.ID)
			}
		}
		if len(some) < page.Limit {
			break
		}
		page.After = string(some[len(some)-1].ID)
	}
	if len(ids) > telltale.MaxReplayDeliveries {
		p.Note = fmt.Sprintf("More than %s deliveries match that filter, too many to take one by one. Say here which events are sent.", count(telltale.MaxReplayDeliveries))
		return nil
	}
	if d.IDs = ids; len(ids) > 0 {
		d.Selection = telltale.Selection{Deliveries: ids}
	}
	return nil
}

// countReplay says what the replay of the form would do.
func countReplay(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	p := &newReplayView{Form: f}
	if p.Draft, err = parseDraft(f.Values); err != nil {
		return err
	}
	return c.showNewReplay(http.StatusOK, p, true)
}

// beginReplay starts the replay of the form.
func beginReplay(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	p := &newReplayView{Form: f}
	if p.Draft, err = parseDraft(f.Values); err != nil {
		return err
	}
	webhooks, err := c.webhooksByID()
	if err != nil {
		return err
	}
	if p.Draft.check(f, webhooks); !f.OK() {
		return c.showNewReplay(http.StatusUnprocessableEntity, p, false)
	}
	to := telltale.WebhookID(p.Draft.To)
	plan, err := c.Store.PlanReplay(c.r.Context(), c.project.ID, p.Draft.Selection, to)
	if err != nil {
		return orNoPage(err, "A webhook or delivery that was chosen is not there any more.")
	}
	return c.startReplay(telltale.Replay{
		ProjectID: c.project.ID, Selection: p.Draft.Selection, To: to, Rate: p.Draft.rate, Planned: plan.Count,
	}, c.path(replaysPath))
}

func (c *call) showNewReplay(status int, p *newReplayView, plan bool) error {
	p.frame = frame{Title: "New replay", Section: "replays", Crumbs: []link{{"Replays", c.path(replaysPath)}, {"New", ""}}}
	var err error
	if p.webhooks, err = c.webhooksByID(); err != nil {
		return err
	}
	if p.Form == nil {
		p.Form = &form{}
	}
	if p.Form.OK() {
		p.Draft.check(p.Form, p.webhooks)
	}
	if !p.Form.OK() {
		status = http.StatusUnprocessableEntity
	} else if plan {
		counted, err := c.Store.PlanReplay(c.r.Context(), c.project.ID, p.Draft.Selection, telltale.WebhookID(p.Draft.To))
		if err != nil {
			return orNoPage(err, "A webhook or delivery that was chosen is not there any more.")
		}
		p.Plan = p.planView(counted)
	}
	return c.answer(status, "replay-new", p)
}

// planView says what a replay would do: "4 215 deliveries, about 7 minutes at 10 a
// second. 3 are older than 7 days."
func (p *newReplayView) planView(plan telltale.ReplayPlan) *planView {
	v := &planView{ReplayPlan: plan}
	if plan.Count == 0 {
		v.Sentence = "There is nothing to send."
		if !plan.Complete {
			v.Sentence = "Nothing to send was found in the time that a count may take; there may be more."
		}
		return v
	}
	v.Sentence = fmt.Sprintf("%s, about %s at %s a second.", counted(plan.Count, "delivery", "deliveries"), inWords(secondsFor(plan.Count, p.Draft.rate)), coordinate(p.Draft.rate))
	if !plan.Complete {
		v.Sentence = "More than " + v.Sentence
	}
	if plan.OlderThan > 0 {
		v.Sentence += " " + counted(plan.OlderThan, "is", "are") + " older than 7 days."
	}
	var types []string
	for _, t := range telltale.EveryEventType() {
		if n := plan.ByType[t]; n > 0 {
			types = append(types, shortLabel(t)+" "+count(n))
		}
	}
	v.Details = append(v.Details, strings.Join(types, ", "))
	var hooks []string
	for id, n := range plan.ByWebhook {
		hooks = append(hooks, webhookName(id, p.webhooks)+" "+count(n))
	}
	slices.Sort(hooks)
	v.Details = append(v.Details, "To "+strings.Join(hooks, ", "))
	if !plan.Oldest.IsZero() {
		v.Details = append(v.Details, "The oldest event is of "+clock(plan.Oldest, time.Now())+" UTC")
	}
	return v
}

// What the form's menus offer.

func (p *newReplayView) WebhookOptions() []option {
	return webhookOptions("Any webhook", p.Draft.Webhook, p.webhooks)
}

func (p *newReplayView) ToOptions() []option {
	return webhookOptions("The same webhooks", p.Draft.To, p.webhooks)
}

func (p *newReplayView) Ranges() []option { return deliveryFilter{Range: p.Draft.Range}.Ranges() }

// Exact reports whether the fields for an exact time are open.
func (p *newReplayView) Exact() bool {
	return p.Draft.Range == "custom" || p.Draft.Since != "" || p.Draft.Until != ""
}

// choice is a radio button or a checkbox.
type choice struct {
	Value, Text, Hint string
	Chosen            bool
}

func (p *newReplayView) Whiches() []choice {
	list := make([]choice, len(whichWords))
	for i, w := range whichWords {
		list[i] = choice{string(w.which), w.text, w.hint, string(w.which) == p.Draft.Which}
	}
	return list
}

func (p *newReplayView) Types() []choice {
	var list []choice
	for _, t := range telltale.EveryEventType() {
		list = append(list, choice{string(t), shortLabel(t), "", slices.Contains(p.Draft.Events, string(t))})
	}
	return list
}
