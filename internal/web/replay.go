package web

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"telltale.example/telltale"
)

const replaysPath = "/replays"

// replaysView is the replays of the project, newest first.
type replaysView struct {
	frame
	Rows  []replayRow
	Pager pager
}

// replayRow is a replay as lists show it.
type replayRow struct {
	telltale.Replay
	webhooks map[telltale.WebhookID]*telltale.Webhook
}

func (r replayRow) Badge() badge {
	switch r.State {
	case telltale.ReplayRunning:
		return badge{"busy", "◔", "Running"}
	case telltale.ReplayPaused:
		return badge{"warn", "‖", "Paused"}
	case telltale.ReplayCancelled:
		return badge{"quiet", "–", "Cancelled"}
	}
	if r.UnderWay() > 0 {
		return badge{"busy", "◔", "Finishing"}
	}
	return badge{"ok", "●", "Finished"}
}

// UnderWay is how many of its deliveries have not ended.
func (r replayRow) UnderWay() int { return r.Made - r.Succeeded - r.Failed }

// Moving reports whether its numbers can still change.
func (r replayRow) Moving() bool {
	return r.State == telltale.ReplayRunning || r.State == telltale.ReplayPaused || r.UnderWay() > 0
}

// Of is how many deliveries it makes, as far as that is known: the count was
// made before it began, and deliveries move on.
func (r replayRow) Of() int {
	if r.State == telltale.ReplayFinished || r.Planned < r.Made {
		return r.Made
	}
	return r.Planned
}

// What says what is sent.
func (r replayRow) What() string { return selectionText(r.Selection, r.webhooks) }

// Where says to which webhook.
func (r replayRow) Where() string {
	if r.To == "" {
		return "the same webhooks"
	}
	return webhookName(r.To, r.webhooks)
}

// RateText is how many a second it makes at most.
func (r replayRow) RateText() string { return coordinate(r.Rate) + " a second" }

func webhookName(id telltale.WebhookID, webhooks map[telltale.WebhookID]*telltale.Webhook) string {
	if w := webhooks[id]; w != nil {
		return whereTo(w.URL)
	}
	return "a deleted webhook"
}

// whichWords says what a replay picks, as the form and summaries do.
var whichWords = []struct {
	which      telltale.Which
	text, hint string
}{
	{telltale.WhichFailed, "Failed", "their last delivery failed"},
	{telltale.WhichHeld, "Held or cancelled", "they were stopped before they got through"},
	{telltale.WhichUnsent, "Never sent", "the webhook was off, newer than the event, or did not want it"},
	{telltale.WhichUndelivered, "All that did not get through", "failed, held, cancelled or never sent"},
	{telltale.WhichAll, "Everything", "whatever became of them"},
}

func whichText(which telltale.Which) string {
	for _, w := range whichWords {
		if w.which == which {
			return w.text
		}
	}
	return string(which)
}

// selectionText says in words what a replay sends.
func selectionText(s telltale.Selection, webhooks map[telltale.WebhookID]*telltale.Webhook) string {
	if n := len(s.Deliveries); n > 0 {
		return counted(n, "chosen delivery", "chosen deliveries")
	}
	text := whichText(s.Which)
	if s.WebhookID != "" {
		text += " at " + webhookName(s.WebhookID, webhooks)
	}
	if types := s.Types.Types(); len(types) > 0 && s.Types != telltale.AllEventTypes {
		names := make([]string, len(types))
		for i, t := range types {
			names[i] = shortLabel(t)
		}
		text += ": " + strings.Join(names, ", ")
	}
	now := time.Now()
	switch {
	case s.Since.IsZero() && s.Until.IsZero():
	case s.Since.IsZero():
		text += ", until " + clock(s.Until, now) + " UTC"
	case s.Until.IsZero():
		text += ", since " + clock(s.Since, now) + " UTC"
	default:
		text += ", " + clock(s.Since, now) + " to " + clock(s.Until, now) + " UTC"
	}
	return text
}

func replaysPage(c *call) error {
	webhooks, err := c.webhooksByID()
	if err != nil {
		return err
	}
	p := &replaysView{frame: frame{Title: "Replays", Section: "replays", Wide: true}}
	_, p.Pager, err = c.listed(nil, func(page telltale.Page) (int, func(int) string, func(int, int), error) {
		replays, err := c.Store.Replays(c.r.Context(), c.project.ID, page)
		p.Rows = p.Rows[:0]
		for _, r := range replays {
			p.Rows = append(p.Rows, replayRow{r, webhooks})
		}
		return len(p.Rows), func(i int) string { return string(p.Rows[i].ID) }, func(from, to int) { p.Rows = p.Rows[from:to] }, err
	})
	if err != nil {
		return err
	}
	p.Poll = slices.ContainsFunc(p.Rows, replayRow.Moving)
	return c.page("replays", p)
}

// replayView is one replay on its way.
type replayView struct {
	frame
	replayRow
	Failures []deliveryRow
}

// shownFailures is how many failed deliveries the page of a replay lists.
const shownFailures = 20

func replayPage(c *call) error {
	ctx := c.r.Context()
	p := &replayView{}
	p.frame = frame{Title: "Replay", Section: "replays", Crumbs: []link{{"Replays", c.path(replaysPath)}, {c.r.PathValue("replay"), ""}}}
	var err error
	if p.from, err = c.Live.End(ctx); err != nil {
		return err
	}
	r, err := c.Store.Replay(ctx, c.project.ID, telltale.ReplayID(c.r.PathValue("replay")))
	if err != nil {
		return orNoPage(err, "There is no such replay.")
	}
	webhooks, err := c.webhooksByID()
	if err != nil {
		return err
	}
	p.replayRow = replayRow{r, webhooks}
	if p.Moving() {
		p.Live, p.Poll = string(r.ID), true // it may change without a delivery that does
	}
	if p.Failed > 0 {
		failed, err := c.Store.Deliveries(ctx, c.project.ID, telltale.DeliveryFilter{ReplayID: r.ID, State: telltale.StateFailed}, telltale.Page{Limit: shownFailures})
		if err != nil {
			return err
		}
		p.Failures = c.deliveryRows(failed, webhooks)
	}
	if of := p.Of(); of > 0 {
		p.State = fmt.Sprintf("(%d%%)", 100*p.Made/of)
	}
	return c.page("replay", p)
}

// Left says how long it takes to make the rest, at the rate that it keeps: the
// one that it was given or, if the receivers are slower, theirs.
func (p *replayView) Left() string {
	left := p.Of() - p.Made
	if left <= 0 || p.replayRow.State != telltale.ReplayRunning {
		return ""
	}
	rate := p.Rate
	if ran := time.Since(p.CreatedAt); p.Made > 20 && ran > 10*time.Second {
		rate = min(rate, float64(p.Made)/ran.Seconds())
	}
	return "about " + inWords(secondsFor(left, rate))
}

func secondsFor(n int, rate float64) time.Duration {
	return time.Duration(float64(n) / rate * float64(time.Second))
}

// What may be done with it now.

func (p *replayView) MayPause() bool {
	return p.MayChange() && p.replayRow.State == telltale.ReplayRunning
}
func (p *replayView) MayResume() bool {
	return p.MayChange() && p.replayRow.State == telltale.ReplayPaused
}
func (p *replayView) MayCancel() bool { return p.MayPause() || p.MayResume() }

// switchReplay pauses, resumes or cancels.
func switchReplay(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	id := telltale.ReplayID(c.r.PathValue("replay"))
	to, said := telltale.ReplayState(f.text("to")), map[telltale.ReplayState]notice{
		telltale.ReplayPaused:    {Kind: "ok", Text: "Replay paused.", Detail: "What it has made is still delivered."},
		telltale.ReplayRunning:   {Kind: "ok", Text: "Replay resumed."},
		telltale.ReplayCancelled: {Kind: "ok", Text: "Replay cancelled.", Detail: "What it has made is still delivered."},
	}
	n, known := said[to]
	if !known {
		return telltale.Errorf(telltale.Malformed, "A replay is paused, resumed or cancelled.")
	}
	_, err = c.Store.SwitchReplay(c.r.Context(), c.project.ID, id, to)
	switch {
	case telltale.CodeOf(err) == telltale.Conflict:
		n = notice{Kind: "bad", Text: messageOf(err)}
	case err != nil:
		return orNoPage(err, "There is no such replay.")
	}
	c.Replays.Wake()
	return c.done(c.path(replaysPath+"/"+string(id)), n)
}

// replayOne sends one delivery again, at once.
func replayOne(c *call) error {
	r := telltale.Replay{
		ProjectID: c.project.ID, Rate: telltale.DefaultReplayRate, Planned: 1,
		Selection: telltale.Selection{Deliveries: []telltale.DeliveryID{telltale.DeliveryID(c.r.PathValue("delivery"))}},
	}
	return c.startReplay(r, c.path("/deliveries/"+c.r.PathValue("delivery")))
}

// startReplay stores it, and leads to its page or, if it cannot be, back.
func (c *call) startReplay(r telltale.Replay, back string) error {
	r, err := c.Store.CreateReplay(c.r.Context(), r)
	switch {
	case telltale.CodeOf(err) == telltale.Conflict:
		return c.done(back, notice{Kind: "bad", Text: messageOf(err)})
	case err != nil:
		return orNoPage(err, "A webhook or delivery that was chosen is not there any more.")
	}
	c.Replays.Wake()
	return c.done(c.path(replaysPath+"/"+string(r.ID)), notice{Kind: "ok", Text: "Replay started.", Detail: "Receivers that know repetitions by their webhook-id skip what they had."})
}

// rateText writes a rate as fields do.
func rateText(rate float64) string { return strconv.FormatFloat(rate, 'f', -1, 64) }
