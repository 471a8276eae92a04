package web

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"telltale.example/telltale"
)

const webhooksPath = "/settings/project/reporting-webhooks"

// webhooksView is the list of the project's webhooks.
type webhooksView struct {
	frame
	Rows     []webhookRow
	All      int    // webhooks of the project
	Search   string // in URLs and descriptions
	Status   string // one of the status names, or empty for all
	Statuses []option
	Pager    pager
	Once     *onceSecret
}

// webhookRow is one webhook in the list.
type webhookRow struct {
	*telltale.Webhook
	Fares webhookStatus
	Chips chips
	Spark sparkline
}

// webhookRows is how many webhooks a page of the list has.
const webhookRows = 50

// Findable reports whether there are so many webhooks that one searches.
func (p *webhooksView) Findable() bool { return p.All > 10 || p.Search != "" }

// Filtered reports whether the list is narrowed.
func (p *webhooksView) Filtered() bool { return p.Search != "" || p.Status != "" }

func webhooksPage(c *call) error {
	q := c.r.URL.Query()
	p := &webhooksView{
		frame:  frame{Title: "Reporting webhooks", Section: "webhooks", Crumbs: settingsCrumbs(c)},
		Search: strings.TrimSpace(q.Get("q")), Status: q.Get("status"),
	}
	p.Statuses = options(p.Status, "", "All", statusHealthy, "Healthy", statusFailing, "Failing", statusTurnedOff, "Turned off automatically", statusOff, "Off", statusUnused, "Never used")
	all, err := c.allWebhooks()
	if err != nil {
		return err
	}
	p.All = len(all)
	matching := slices.DeleteFunc(slices.Clone(all), func(w *telltale.Webhook) bool { return !p.shows(w) })
	if n := countFailing(all); n > 0 {
		p.State = fmt.Sprintf("(%d failing)", n)
	}
	shown, pager := pageOf(matching, q, c.path(webhooksPath))
	p.Pager = pager
	now := time.Now()
	stats, err := c.Store.Stats(c.r.Context(), c.project.ID, sparkQuery(now))
	if err != nil {
		return err
	}
	byWebhook := map[telltale.WebhookID][]telltale.Stat{}
	for _, s := range stats {
		byWebhook[s.WebhookID] = append(byWebhook[s.WebhookID], s)
	}
	for _, w := range shown {
		p.Rows = append(p.Rows, webhookRow{w, statusOf(w), chipsOf(w.Events), newSparkline(byWebhook[w.ID], now)})
	}
	if c.partial() {
		return c.part("webhooks", "list", p)
	}
	if p.Notice = c.takeNotice(); p.Notice != nil {
		if p.Once, err = c.onceSecret(p.Notice.Once); err != nil {
			return err
		}
	}
	return c.page("webhooks", p)
}

// shows reports whether the list, narrowed as it is, has the webhook.
func (p *webhooksView) shows(w *telltale.Webhook) bool {
	text := strings.ToLower(p.Search)
	return (p.Status == "" || p.Status == statusName(w)) &&
		(strings.Contains(strings.ToLower(w.URL), text) || strings.Contains(strings.ToLower(w.Description), text))
}

// pageOf cuts the page that the address asks for out of a list, and gives the
// addresses of those beside it.
func pageOf(all []*telltale.Webhook, q url.Values, path string) ([]*telltale.Webhook, pager) {
	first := 0
	if after := telltale.WebhookID(q.Get("after")); after != "" {
		// Ids rise with time, so what is older stays behind it when it was deleted.
		if first = slices.IndexFunc(all, func(w *telltale.Webhook) bool { return w.ID < after }); first < 0 {
			first = len(all)
		}
	}
	last := min(first+webhookRows, len(all))
	address := func(after telltale.WebhookID) string {
		to := url.Values{}
		for name, values := range q {
			if name != "after" && values[0] != "" {
				to[name] = values
			}
		}
		if after != "" {
			to.Set("after", string(after))
		}
		if len(to) == 0 {
			return path
		}
		return path + "?" + to.Encode()
	}
	var p pager
	switch {
	case first > webhookRows:
		p.Newer = address(all[first-webhookRows-1].ID)
	case first > 0:
		p.Newer = address("")
	}
	if last < len(all) {
		p.Older = address(all[last-1].ID)
	}
	return all[first:last], p
}

func settingsCrumbs(c *call) []link {
	return []link{{"Settings", c.path("/settings")}, {"Project", c.path("/settings/project")}, {"Reporting webhooks", c.path(webhooksPath)}}
}

// webhook finds the webhook of the path. One of another project is not there.
func (c *call) webhook() (*telltale.Webhook, error) {
	w, err := c.Store.Webhook(c.r.Context(), c.project.ID, telltale.WebhookID(c.r.PathValue("webhook")))
	return w, orNoPage(err, "There is no such webhook. It may have been deleted.")
}

// webhookPath is the address of something about the webhook.
func (c *call) webhookPath(id telltale.WebhookID, rest string) string {
	return c.path(webhooksPath + "/" + string(id) + rest)
}

// back is the page on which an action began: one of the webhook's tabs, or the list.
func (c *call) back(w *telltale.Webhook) string {
	for _, address := range []string{c.r.Header.Get("HX-Current-URL"), c.r.Referer()} {
		u, err := url.Parse(address)
		if err != nil {
			continue
		}
		switch tab, ok := strings.CutPrefix(u.Path, c.webhookPath(w.ID, "")); {
		case !ok:
		case tab == "", tab == "/settings", tab == "/signing", tab == "/code":
			return c.webhookPath(w.ID, tab)
		}
	}
	return c.path(webhooksPath)
}

// changedWebhooks is the event on which the list and the page of a webhook load
// themselves anew.
const changedWebhooks = "webhooks"

// switchWebhook turns a webhook on or off. The form says to what, so that two
// people who press the switch at once do not undo each other.
func switchWebhook(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	w, err := c.webhook()
	if err != nil {
		return err
	}
	if f.text("to") == "off" {
		return c.turnOff(w)
	}
	return c.turnOn(w)
}

func (c *call) turnOff(w *telltale.Webhook) error {
	off, err := c.Store.DisableWebhook(c.r.Context(), c.project.ID, w.ID, telltale.DisabledManual)
	if err != nil {
		return err
	}
	c.Dispatcher.Changed(off)
	n := notice{Kind: "ok", Text: "Webhook turned off.", Detail: "Events are not queued for it."}
	held, more, err := c.countHeld(off)
	if err != nil {
		return err
	}
	if held > 0 {
		n.Detail += " " + atLeast(held, more, "delivery is", "deliveries are") + " held."
	}
	return c.result(c.back(w), n, changedWebhooks)
}

func (c *call) turnOn(w *telltale.Webhook) error {
	held, more, err := c.countHeld(w)
	if err != nil {
		return err
	}
	on, err := c.Store.EnableWebhook(c.r.Context(), c.project.ID, w.ID)
	if err != nil {
		return err
	}
	c.Dispatcher.Changed(on)
	n := notice{Kind: "ok", Text: "Webhook turned on."}
	if held > 0 {
		n.Detail = releaseText(on, held, more)
	}
	if err := c.offerMissed(on, &n); err != nil {
		return err
	}
	return c.result(c.back(w), n, changedWebhooks)
}

// releaseText says how held deliveries go out.
func releaseText(w *telltale.Webhook, held int, more bool) string {
	rate := w.RateLimit
	if rate == 0 {
		rate = telltale.ReleaseRate
	}
	return fmt.Sprintf("%s at %s a second.", atLeast(held, more, "held delivery goes out", "held deliveries go out"), coordinate(rate))
}

// countLimit is how far pages count.
const countLimit = 10_000

func (c *call) countHeld(w *telltale.Webhook) (n int, more bool, err error) {
	return c.Store.CountDeliveries(c.r.Context(), c.project.ID, telltale.DeliveryFilter{WebhookID: w.ID, State: telltale.StateHeld}, countLimit)
}

// atLeast is a count that may have been given up: 10 000+ deliveries.
func atLeast(n int, more bool, one, many string) string {
	if more {
		return count(n) + "+ " + many
	}
	return counted(n, one, many)
}

// offerMissed adds to the notice of a webhook that was turned on what happened
// while it was off, and the offer to send it.
func (c *call) offerMissed(w *telltale.Webhook, n *notice) error {
	missed, ok := w.Missed()
	if !ok {
		return nil
	}
	plan, err := c.Store.PlanReplay(c.r.Context(), c.project.ID, missed, w.ID)
	if err != nil || plan.Count == 0 {
		return err
	}
	n.Detail = strings.TrimSpace(n.Detail + " " + atLeast(plan.Count, !plan.Complete, "matching event", "matching events") + " happened while it was off.")
	n.Actions = append(n.Actions,
		action{Text: "Send them", URL: c.webhookPath(w.ID, "/missed"), Post: true, Fields: []hidden{
			{"since", missed.Since.Format(time.RFC3339Nano)}, {"until", missed.Until.Format(time.RFC3339Nano)},
		}},
		action{Text: "Skip", URL: c.back(w)},
	)
	return nil
}

// sendMissed replays what happened while a webhook was off.
func sendMissed(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	w, err := c.webhook()
	if err != nil {
		return err
	}
	s := telltale.Selection{WebhookID: w.ID, Which: telltale.WhichUnsent}
	var faulty error
	s.Since, err = time.Parse(time.RFC3339Nano, f.text("since"))
	faulty = errors.Join(faulty, err)
	s.Until, err = time.Parse(time.RFC3339Nano, f.text("until"))
	if errors.Join(faulty, err) != nil {
		return telltale.Errorf(telltale.Malformed, "This form does not say what to send. Turn the webhook off and on again.")
	}
	plan, err := c.Store.PlanReplay(c.r.Context(), c.project.ID, s, w.ID)
	if err != nil {
		return err
	}
	replay, err := c.Store.CreateReplay(c.r.Context(), telltale.Replay{
		ProjectID: c.project.ID, Selection: s, To: w.ID, Rate: w.ReplayRate(), Planned: plan.Count, State: telltale.ReplayRunning,
	})
	if err != nil {
		return c.conflictNotice(c.back(w), err)
	}
	c.Replays.Wake()
	return c.result(c.back(w), notice{
		Kind: "ok", Text: "Sending " + atLeast(plan.Count, !plan.Complete, "event", "events") + ".", Detail: fmt.Sprintf("They go out at %s a second.", coordinate(replay.Rate)),
		Actions: []action{{Text: "View the replay", URL: c.path("/replays/" + string(replay.ID))}},
	}, changedWebhooks)
}

// testWebhook sends one sample and says what came of it.
func testWebhook(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	w, err := c.webhook()
	if err != nil {
		return err
	}
	wanted := telltale.EventType(f.text("event"))
	if wanted == "" {
		wanted = w.Events.Types()[0] // a webhook wants at least one
	}
	event, err := telltale.SampleEvent(c.project.ID, wanted)
	if err != nil {
		return err
	}
	ctx := c.r.Context()
	claim, err := c.Store.AcceptTest(ctx, event, w.ID)
	if err != nil {
		return orNoPage(err, "There is no such webhook. It may have been deleted.")
	}
	attempt, err := c.Dispatcher.Test(ctx, claim)
	if err != nil {
		return err
	}
	n := c.testNotice(w, wanted, claim.DeliveryID, &attempt)
	if attempt.Success() && !w.Enabled {
		if err := c.noteRevival(w, &n); err != nil {
			return err
		}
	}
	return c.result(c.back(w), n, changedWebhooks)
}

// testNotice is what whoever pressed Test reads. It offers the other events that
// the webhook wants.
func (c *call) testNotice(w *telltale.Webhook, sent telltale.EventType, id telltale.DeliveryID, a *telltale.Attempt) notice {
	n := notice{Kind: "bad", Actions: []action{{Text: "View delivery", URL: c.path("/deliveries/" + string(id))}}}
	if a.Success() {
		n.Kind = "ok"
	}
	n.Text, n.Detail, _ = strings.Cut(a.Verdict(), ". ")
	n.Text += "."
	if types := w.Events.Types(); len(types) > 1 {
		n.Menu = &menu{Text: "Send another event", URL: c.webhookPath(w.ID, "/test"), Field: "event"}
		for _, t := range types {
			if t != sent {
				n.Menu.Options = append(n.Menu.Options, option{Value: string(t), Text: shortLabel(t)})
			}
		}
	}
	return n
}

// noteRevival adds to the notice that a test which passed has turned the webhook
// on again, if it has.
func (c *call) noteRevival(was *telltale.Webhook, n *notice) error {
	w, err := c.webhook()
	if err != nil {
		return err
	}
	switch {
	case w.Enabled:
		n.Detail += " The webhook is turned on again."
		return c.offerMissed(w, n)
	case was.DisabledReason == telltale.DisabledManual:
		n.Detail += " The webhook is still off."
	}
	return nil
}

// deleteView asks whether a webhook shall go.
type deleteView struct {
	frame
	*telltale.Webhook
	Sentence string
}

func deleteWebhookPage(c *call) error {
	w, err := c.webhook()
	if err != nil {
		return err
	}
	p := &deleteView{frame: frame{Title: "Delete this webhook?", Section: "webhooks", Crumbs: settingsCrumbs(c)}, Webhook: w}
	if p.Sentence, err = c.deleteSentence(w); err != nil {
		return err
	}
	if c.partial() {
		return c.part("webhook-delete", "dialog", p)
	}
	return c.page("webhook-delete", p)
}

// deleteSentence says what goes with a webhook.
func (c *call) deleteSentence(w *telltale.Webhook) (string, error) {
	waiting, anyMore := 0, false
	for _, state := range []telltale.State{telltale.StateWaiting, telltale.StateSending, telltale.StateHeld} {
		n, more, err := c.Store.CountDeliveries(c.r.Context(), c.project.ID, telltale.DeliveryFilter{WebhookID: w.ID, State: state}, countLimit)
		if err != nil {
			return "", err
		}
		waiting += n
		anyMore = anyMore || more
	}
	keeps := "Its log stays."
	if c.Retention > 0 {
		keeps = "Its log stays for " + counted(int(c.Retention/(24*time.Hour)), "day", "days") + "."
	}
	switch {
	case waiting > 0:
		return atLeast(waiting, anyMore, "waiting delivery", "waiting deliveries") + " will be cancelled. " + keeps, nil
	case w.Health == telltale.HealthNeverUsed:
		return "It was never used.", nil
	}
	return keeps, nil
}

func deleteWebhook(c *call) error {
	w, err := c.webhook()
	if err != nil {
		return err
	}
	gone, err := c.Store.DeleteWebhook(c.r.Context(), c.project.ID, w.ID, 0)
	if err != nil {
		return orNoPage(err, "There is no such webhook. It may have been deleted.")
	}
	c.Dispatcher.Changed(gone)
	n := notice{Kind: "ok", Text: "Webhook deleted.", Actions: []action{{Text: "Undo", URL: c.webhookPath(w.ID, "/restore"), Post: true}}}
	if c.back(w) != c.path(webhooksPath) {
		return c.done(c.path(webhooksPath), n) // the page that it was on is gone
	}
	return c.result(c.path(webhooksPath), n, changedWebhooks, closesDialog)
}

// closesDialog is the event on which the open dialog closes.
const closesDialog = "close-dialog"

func restoreWebhook(c *call) error {
	w, err := c.Store.RestoreWebhook(c.r.Context(), c.project.ID, telltale.WebhookID(c.r.PathValue("webhook")))
	if err != nil {
		return orNoPage(err, "It is too late to undo this: a deletion can be taken back for a minute.")
	}
	c.Dispatcher.Changed(w)
	return c.result(c.path(webhooksPath), notice{Kind: "ok", Text: "Webhook restored."}, changedWebhooks)
}

// tryInspector makes a webhook for all events that points to a bin of the
// inspector, so that there is something to see at once.
func tryInspector(c *call) error {
	bin := telltale.NewBin(c.project.ID)
	ctx := c.r.Context()
	if err := c.Store.CreateBin(ctx, bin); err != nil {
		return err
	}
	made := telltale.NewWebhook(c.project.ID, c.PublicURL+"/in/"+string(bin.ID), telltale.AllEventTypes)
	made.Description = "Built-in inspector"
	if err := made.Check(nil, c.Guard.CheckURL); err != nil {
		return err
	}
	w, err := c.Store.CreateWebhook(ctx, made)
	if err != nil {
		return err
	}
	c.Dispatcher.Changed(w)
	return c.result(c.path(webhooksPath), notice{
		Kind: "ok", Text: "Webhook saved.", Detail: "It sends all events to the built-in inspector for a day.",
		Actions: []action{{Text: "Send a test", URL: c.webhookPath(w.ID, "/test"), Post: true}, {Text: "Open the inspector", URL: c.path("/inspect/" + string(bin.ID))}},
	}, changedWebhooks)
}
