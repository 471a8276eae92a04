package enginetest

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"telltale.example/telltale"
)

// model is a store in memory, as short as the contract allows. What attempts add
// up to it leaves to [telltale.Standing], as every engine does; what becomes of a
// delivery after an attempt, the caller decides, as with every store.
type model struct {
	now        time.Time
	hooks      []*modelHook // by age
	deliveries []*modelDelivery
	events     []*telltale.Event // those that were no test, in order
	told       int               // operational events that were made
	callers    map[string]caller
	replays    []*modelReplay
	start      int // counts starts; claims of earlier ones are to be taken over
	beatAt     time.Time
	outageEnd  time.Time
	startedAt  time.Time
	seenAt     map[int]time.Time // when the nodes of a start were last seen
}

type caller struct {
	id      telltale.EventID
	content [sha256.Size]byte
	at      time.Time
}

type modelHook struct {
	telltale.Webhook // with the standing as it is stored
	standing         telltale.Standing
	health           telltale.Health
	epoch            int
	enabledAt        time.Time
	deletedAt        time.Time
}

// A modelDelivery has the state that is stored: what waits is shown as held or
// cancelled if its webhook is disabled or deleted.
type modelDelivery struct {
	key          string
	hook         *modelHook
	event        *telltale.Event
	test         bool
	replay       *modelReplay
	state        telltale.State
	epoch        int
	at           time.Time
	createdAt    time.Time
	claim        int64
	start        int // of the node that claimed it
	step, tries  int
	manual, once bool
	firstAt      time.Time
	lastError    telltale.ErrorClass
	lastStatus   int
	lastAt       time.Time // when its last attempt was recorded
	log          []telltale.Attempt
}

type modelReplay struct {
	id        telltale.ReplayID
	to        *modelHook
	which     telltale.Which
	last      int // events that there were when it began
	place     int // events that it went through
	state     telltale.ReplayState
	created   time.Time
	made      int
	succeeded int // of deliveries that were purged
	failed    int
	completed time.Time
}

func newModel() *model {
	return &model{now: beginning, startedAt: beginning, callers: map[string]caller{}, seenAt: map[int]time.Time{}}
}

func keyOf(event telltale.EventID, hook telltale.WebhookID, replay telltale.ReplayID) string {
	return string(event) + " to " + string(hook) + " " + string(replay)
}

// shown is the state of the delivery as people see it.
func (d *modelDelivery) shown() telltale.State {
	switch {
	case d.state != telltale.StateWaiting:
		return d.state
	case d.hook.Deleted:
		return telltale.StateCancelled
	case !d.hook.Enabled:
		return telltale.StateHeld
	}
	return telltale.StateWaiting
}

func (m *model) delivery(key string) *modelDelivery {
	for _, d := range m.deliveries {
		if d.key == key {
			return d
		}
	}
	return nil
}

func (m *model) create(w telltale.Webhook) {
	w.Health = telltale.HealthNeverUsed
	m.hooks = append(m.hooks, &modelHook{Webhook: w, health: w.Health, epoch: 1, enabledAt: m.now})
}

func (m *model) update(h *modelHook, version int64, change func(*telltale.Webhook)) telltale.Code {
	switch {
	case h.Deleted:
		return telltale.NotFound
	case h.Version != version:
		return telltale.PreconditionFailed
	}
	before := h.URL
	change(&h.Webhook)
	h.changed(m.now)
	if h.URL != before {
		h.reset(m.now)
	}
	return ""
}

func (h *modelHook) changed(now time.Time) {
	h.Version++
	h.UpdatedAt = now
}

func (h *modelHook) reset(now time.Time) {
	h.standing = h.standing.Reset(now)
	h.store()
}

// store stores the standing, and shows it.
func (h *modelHook) store() {
	h.standing.Revision++
	h.Standing, h.Health = h.standing, h.health
}

func (m *model) disable(h *modelHook, reason telltale.DisabledReason) telltale.Code {
	if h.Deleted {
		return telltale.NotFound
	}
	if h.Enabled {
		h.Enabled, h.DisabledReason, h.DisabledAt = false, reason, m.now
		h.changed(m.now)
	}
	return ""
}

func (m *model) enable(h *modelHook) telltale.Code {
	if h.Deleted {
		return telltale.NotFound
	}
	if !h.Enabled {
		h.Enabled, h.DisabledReason, h.enabledAt = true, "", m.now
		h.epoch++
		h.changed(m.now)
		h.reset(m.now)
	}
	return ""
}

func (m *model) delete(h *modelHook, version int64) telltale.Code {
	switch {
	case h.Deleted:
		return telltale.NotFound
	case version != 0 && version != h.Version:
		return telltale.PreconditionFailed
	}
	h.Deleted, h.deletedAt = true, m.now
	h.changed(m.now)
	return ""
}

func (m *model) restore(h *modelHook) telltale.Code {
	if !h.Deleted || m.now.Sub(h.deletedAt) >= telltale.UndoWindow {
		return telltale.NotFound
	}
	h.Deleted, h.deletedAt = false, time.Time{}
	h.changed(m.now)
	return ""
}

// accept gives the answers and the deliveries that are born claimed.
func (m *model) accept(events []*telltale.Event, room map[telltale.WebhookID]int) (answers []telltale.AcceptedEvent, born []*modelDelivery, code telltale.Code) {
	seen := map[string]caller{}
	for id, c := range m.callers {
		if m.now.Sub(c.at) <= telltale.CallerIDMemory {
			seen[id] = c
		}
	}
	for _, e := range events {
		before, known := seen[e.CallerID]
		switch {
		case e.CallerID != "" && known && before.content != e.ContentHash:
			return nil, nil, telltale.Conflict
		case e.CallerID != "" && known:
			answers = append(answers, telltale.AcceptedEvent{ID: before.id, Duplicate: true})
			continue
		case e.CallerID != "":
			seen[e.CallerID] = caller{e.ID, e.ContentHash, m.now}
		}
		answers = append(answers, telltale.AcceptedEvent{ID: e.ID})
	}
	m.callers = seen
	for i, e := range events {
		if answers[i].Duplicate {
			continue
		}
		m.events = append(m.events, e)
		for _, h := range m.hooks {
			if !h.Wants(e.Type, e.ByMachine()) {
				continue
			}
			d := m.add(h, e, nil)
			if room[h.ID] > 0 {
				room[h.ID]--
				m.take(d)
				born = append(born, d)
			}
		}
	}
	return answers, born, ""
}

func (m *model) add(h *modelHook, e *telltale.Event, r *modelReplay) *modelDelivery {
	d := &modelDelivery{hook: h, event: e, test: e.Test, replay: r, state: telltale.StateWaiting, epoch: h.epoch, at: m.now, createdAt: m.now}
	d.key = keyOf(e.ID, h.ID, d.replayID())
	m.deliveries = append(m.deliveries, d)
	return d
}

func (d *modelDelivery) replayID() telltale.ReplayID {
	if d.replay == nil {
		return ""
	}
	return d.replay.id
}

// take claims the delivery.
func (m *model) take(d *modelDelivery) {
	d.state, d.start = telltale.StateSending, m.start
	d.claim++
}

func (m *model) acceptTest(e *telltale.Event, h *modelHook) (*modelDelivery, telltale.Code) {
	if h.Deleted {
		return nil, telltale.NotFound
	}
	d := m.add(h, e, nil)
	m.take(d)
	return d, ""
}

// triesSinceOutage is how many attempts were made since the last outage.
func (m *model) triesSinceOutage(d *modelDelivery) int {
	if d.lastAt.Before(m.outageEnd) {
		return 0
	}
	return d.tries
}

// claimOf is what a claim is to say.
func (m *model) claimOf(d *modelDelivery) claimView {
	c := claimView{
		Key: d.key, Webhook: string(d.hook.ID), Number: d.claim, Attempt: len(d.log) + 1, Step: d.step, Tries: m.triesSinceOutage(d), Version: d.hook.Version,
		Test: d.test, Once: d.test || d.once, Trigger: d.trigger(),
	}
	if !d.firstAt.IsZero() {
		c.Age = m.now.Sub(d.firstAt)
	}
	return c
}

func (d *modelDelivery) trigger() telltale.Trigger {
	switch {
	case d.manual:
		return telltale.TriggerManual
	case d.replay != nil && len(d.log) == 0:
		return telltale.TriggerReplay
	case d.test:
		return telltale.TriggerTest
	}
	return telltale.TriggerAutomatic
}

// waiting gives what waits for a webhook: first attempts before retries, and by
// the time that they are due.
func (m *model) waiting(h *modelHook, held bool) []*modelDelivery {
	var found []*modelDelivery
	for _, d := range m.deliveries {
		if d.hook == h && d.state == telltale.StateWaiting && (d.epoch < h.epoch) == held && (held || !d.at.After(m.now)) {
			found = append(found, d)
		}
	}
	slices.SortStableFunc(found, func(a, b *modelDelivery) int {
		byEpoch := 0
		if held {
			byEpoch = cmp.Compare(a.epoch, b.epoch)
		}
		return cmp.Or(byEpoch, cmp.Compare(min(len(a.log), 1), min(len(b.log), 1)), a.at.Compare(b.at))
	})
	return found
}

func (m *model) claim(h *modelHook, slots, held int) []*modelDelivery {
	if !h.Enabled || h.Deleted {
		return nil
	}
	claimed := m.waiting(h, true)
	claimed = claimed[:min(held, slots, len(claimed))]
	due := m.waiting(h, false)
	claimed = append(claimed, due[:min(slots-len(claimed), len(due))]...)
	for _, d := range claimed {
		m.take(d)
	}
	return claimed
}

// due is what DueWebhooks is to say of a webhook.
func (m *model) due(h *modelHook) dueView {
	v := dueView{In: telltale.Never}
	for _, d := range m.deliveries {
		switch {
		case d.hook != h || d.state != telltale.StateWaiting:
		case d.epoch < h.epoch:
			v.Held = true
		default:
			v.In = min(v.In, max(0, d.at.Sub(m.now)))
		}
	}
	return v
}

// record gives which results are applied, and what it tells.
func (m *model) record(results []modelResult) (v recordedView) {
	var attempted []*modelHook
	for _, r := range results {
		d := m.delivery(r.key)
		current := d.state == telltale.StateSending && d.claim == r.number
		v.Applied = append(v.Applied, current)
		if !current {
			continue
		}
		m.recordOne(d, r)
		if !slices.Contains(attempted, d.hook) {
			attempted = append(attempted, d.hook)
		}
		if d.test {
			m.judgeTest(d.hook, r)
		} else {
			m.judge(d, r, &v)
		}
	}
	for _, h := range attempted {
		h.settle()
	}
	slices.Sort(v.Waiting)
	v.Waiting = slices.Compact(v.Waiting)
	return v
}

// modelResult is a [telltale.Result] by key.
type modelResult struct {
	key     string
	number  int64
	attempt telltale.Attempt
	outcome telltale.Outcome
	version int64
}

func (m *model) recordOne(d *modelDelivery, r modelResult) {
	a := r.attempt
	d.tries = m.triesSinceOutage(d)
	if a.Error != telltale.ErrorInterrupted {
		d.tries++
		d.manual, d.once = false, false
	}
	d.log, d.step, d.lastAt = append(d.log, a), r.outcome.Step, m.now
	d.state, d.epoch, d.at = r.outcome.State, d.hook.epoch, m.now.Add(r.outcome.Wait)
	if d.state == telltale.StateFailed && d.hook.Deleted {
		d.state = telltale.StateCancelled
	}
	if d.state == telltale.StateSucceeded {
		d.lastError, d.lastStatus = "", 0
		return
	}
	d.lastError, d.lastStatus = a.Error, a.Status
	if d.firstAt.IsZero() {
		d.firstAt = a.StartedAt
	}
}

func (m *model) judge(d *modelDelivery, r modelResult, v *recordedView) {
	h := d.hook
	defer func() {
		if d.state == telltale.StateFailed && !d.event.Type.Operational() {
			m.tell(telltale.DeliveryFailed, h, v)
		}
	}()
	alarmed := h.standing.Alarmed
	var signals telltale.Signals
	h.standing, signals = h.standing.After(&r.attempt, m.now)
	if signals.Health != "" {
		h.health = signals.Health
	}
	if !h.Enabled || h.Deleted {
		h.standing.Alarmed = alarmed
		return
	}
	reason := signals.Disable
	if r.outcome.Disable != "" && r.version == h.Version {
		reason = r.outcome.Disable
	}
	switch {
	case reason != "":
		h.standing.Alarmed = true
		m.disable(h, reason)
		m.tell(telltale.WebhookDisabled, h, v)
	case signals.Warned != telltale.WarnedNot:
		m.tell(telltale.WebhookFailing, h, v)
	case signals.Recovered:
		m.tell(telltale.WebhookRecovered, h, v)
	}
}

// tell makes an operational event for the webhooks that want to hear it of another one.
func (m *model) tell(of telltale.EventType, about *modelHook, v *recordedView) {
	if of != telltale.DeliveryFailed {
		v.News = append(v.News, of)
	}
	var e *telltale.Event
	for _, h := range m.hooks {
		if h == about || !h.Wants(of, false) {
			continue
		}
		if e == nil {
			e = &telltale.Event{ID: operationalID(m.told), Type: of, ReceivedAt: m.now}
			m.told++
			m.events = append(m.events, e)
		}
		m.add(h, e, nil)
		v.Waiting = append(v.Waiting, h.ID)
	}
}

// operationalID stands for the id of an operational event, which every engine
// makes itself.
func operationalID(n int) telltale.EventID { return telltale.EventID(fmt.Sprint("operational ", n)) }

func (m *model) judgeTest(h *modelHook, r modelResult) {
	switch {
	case !r.attempt.Success() || h.Deleted || r.version != h.Version:
	case h.Enabled || h.DisabledReason == telltale.DisabledManual:
		h.standing = h.standing.Passed(m.now)
	default:
		m.enable(h)
	}
}

// settle stores the standing unless little of it changed lately.
func (h *modelHook) settle() {
	if h.health != h.Health || !h.standing.Same(h.Standing) || h.standing.LastSuccessAt.Sub(h.Standing.LastSuccessAt) >= time.Minute {
		h.store()
	}
}

func (m *model) release(key string, number int64) {
	if d := m.delivery(key); d.state == telltale.StateSending && d.claim == number {
		d.state, d.epoch = telltale.StateWaiting, d.hook.epoch
	}
}

func (m *model) retry(d *modelDelivery) telltale.Code {
	switch {
	case d.hook.Deleted, !d.hook.Enabled:
		return telltale.Conflict
	case d.state == telltale.StateFailed:
		d.manual, d.once = true, true
	case d.state == telltale.StateWaiting:
		d.manual = true
	default:
		return telltale.Conflict
	}
	d.state, d.epoch, d.at = telltale.StateWaiting, d.hook.epoch, m.now
	d.hook.standing = d.hook.standing.Asked(m.now)
	d.hook.settle()
	return ""
}

func (m *model) cancel(d *modelDelivery) telltale.Code {
	if s := d.shown(); s != telltale.StateWaiting && s != telltale.StateHeld {
		return telltale.Conflict
	}
	d.state, d.at, d.manual, d.once = telltale.StateCancelled, m.now, false, false
	return ""
}

// beat gives how long an outage was that it ends.
func (m *model) beat() (outage time.Duration) {
	if gap := m.now.Sub(m.beatAt); !m.beatAt.IsZero() && gap > telltale.OutageGap {
		outage, m.outageEnd = gap, m.now
	}
	m.beatAt = m.now
	m.seenAt[m.start] = m.now
	return outage
}

// restart ends all nodes. Successes that no row had are forgotten.
func (m *model) restart() {
	m.start++
	m.seenAt[m.start] = m.now
	for _, h := range m.hooks {
		h.standing, h.health = h.Standing, h.Health
	}
}

func (m *model) takeOver() (taken int) {
	for _, d := range m.deliveries {
		if d.state != telltale.StateSending || d.start == m.start {
			continue
		}
		taken++
		started := d.createdAt
		if seen := m.seenAt[d.start]; seen.After(started) {
			started = seen
		}
		d.tries = m.triesSinceOutage(d)
		d.log = append(d.log, telltale.Attempt{Number: len(d.log) + 1, Trigger: d.trigger(), StartedAt: started, Node: testNode, Error: telltale.ErrorInterrupted})
		d.lastError, d.lastStatus, d.lastAt = telltale.ErrorInterrupted, 0, m.now
		if d.firstAt.IsZero() {
			d.firstAt = started
		}
		d.state, d.epoch, d.at = telltale.StateWaiting, d.hook.epoch, m.now
		switch {
		case d.test && d.hook.Deleted:
			d.state = telltale.StateCancelled
		case d.test:
			d.state = telltale.StateFailed
		}
	}
	return taken
}

// purge removes the events from before that time of which every delivery is over,
// with these, and replays from before it that ended and have none left.
func (m *model) purge(before time.Time) {
	owed := map[*telltale.Event]bool{}
	for _, d := range m.deliveries {
		if s := d.shown(); s == telltale.StateWaiting || s == telltale.StateSending || s == telltale.StateHeld {
			owed[d.event] = true
		}
	}
	gone := func(e *telltale.Event) bool { return e.ReceivedAt.Before(before) && !owed[e] }
	m.deliveries = slices.DeleteFunc(m.deliveries, func(d *modelDelivery) bool {
		if !gone(d.event) {
			return false
		}
		switch {
		case d.replay == nil: // whose counts stay
		case d.shown() == telltale.StateSucceeded:
			d.replay.succeeded++
		default:
			d.replay.failed++
		}
		return true
	})
	for i, e := range m.events {
		if e != nil && gone(e) {
			m.events[i] = nil // the places of replays stay
		}
	}
	m.replays = slices.DeleteFunc(m.replays, func(r *modelReplay) bool {
		over := r.state == telltale.ReplayFinished || r.state == telltale.ReplayCancelled
		return over && r.created.Before(before) && !slices.ContainsFunc(m.deliveries, func(d *modelDelivery) bool { return d.replay == r })
	})
}

func (m *model) replay(id telltale.ReplayID, to *modelHook, which telltale.Which) (*modelReplay, telltale.Code) {
	running := 0
	for _, r := range m.replays {
		if r.state == telltale.ReplayRunning || r.state == telltale.ReplayPaused {
			running++
		}
	}
	switch {
	case to.Deleted:
		return nil, telltale.NotFound
	case running >= telltale.MaxRunningReplays:
		return nil, telltale.Conflict
	}
	r := &modelReplay{id: id, to: to, which: which, last: len(m.events), state: telltale.ReplayRunning, created: m.now}
	m.replays = append(m.replays, r)
	return r, ""
}

// advanceReplay makes n more deliveries, or as many as there are.
func (m *model) advanceReplay(r *modelReplay, n int) {
	if r.state != telltale.ReplayRunning {
		return
	}
	for ; r.place < r.last && n > 0; r.place++ {
		e := m.events[r.place]
		if e == nil { // purged
			continue
		}
		if r.to.Deleted {
			break
		}
		last := m.lastState(e, r.to)
		if !r.to.Covers(e.Type, e.ByMachine()) || !r.which.Picks(last) || e.Type.Operational() && last == "" {
			continue
		}
		m.add(r.to, e, r)
		r.made++
		n--
	}
	if n > 0 {
		r.state, r.completed = telltale.ReplayFinished, m.now
	}
}

// lastState is the state of the event's last delivery to the webhook.
func (m *model) lastState(e *telltale.Event, h *modelHook) (last telltale.State) {
	for _, d := range m.deliveries {
		if d.event == e && d.hook == h {
			last = d.shown()
		}
	}
	return last
}

func (m *model) switchReplay(r *modelReplay, to telltale.ReplayState) telltale.Code {
	switch {
	case r.state == to:
	case r.state != telltale.ReplayRunning && r.state != telltale.ReplayPaused:
		return telltale.Conflict
	default:
		r.state = to
		if to == telltale.ReplayCancelled {
			r.completed = m.now
		}
	}
	return ""
}

// view is what the model says of all.
func (m *model) view() view {
	v := view{Hooks: map[telltale.WebhookID]hookView{}, Due: map[telltale.WebhookID]dueView{}, Deliveries: map[string]deliveryView{}, Replays: map[telltale.ReplayID]replayView{}}
	for _, h := range m.hooks {
		if h.Deleted {
			continue
		}
		v.Hooks[h.ID] = viewHook(&h.Webhook)
		if h.Enabled {
			v.Due[h.ID] = m.due(h)
		}
	}
	for _, d := range m.deliveries {
		dv := deliveryView{State: d.shown(), Test: d.test, Attempts: len(d.log), LastError: d.lastError, LastStatus: d.lastStatus, CreatedAt: d.createdAt}
		switch {
		case dv.State == telltale.StateWaiting && d.epoch < d.hook.epoch:
			dv.DueAt = d.hook.enabledAt
		case dv.State == telltale.StateWaiting:
			dv.DueAt = d.at
		case dv.State == telltale.StateCancelled && d.state == telltale.StateWaiting:
			dv.CompletedAt = d.hook.deletedAt
		case dv.State != telltale.StateHeld && dv.State != telltale.StateSending:
			dv.CompletedAt = d.at
		}
		v.Deliveries[d.key] = dv
	}
	for _, r := range m.replays {
		rv := replayView{State: r.state, Made: r.made, Succeeded: r.succeeded, Failed: r.failed, CompletedAt: r.completed}
		for _, d := range m.deliveries {
			switch {
			case d.replay != r:
			case d.shown() == telltale.StateSucceeded:
				rv.Succeeded++
			case d.shown() == telltale.StateFailed, d.shown() == telltale.StateCancelled:
				rv.Failed++
			}
		}
		v.Replays[r.id] = rv
	}
	return v
}
