package dispatch

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"telltale.example/telltale"
)

// model is a store in memory that keeps its promises: claims are fenced by their
// number, results are applied once, and a node that is gone keeps nothing.
type model struct {
	mu         sync.Mutex
	node       int // the present one; claims of others may be taken over
	webhooks   map[telltale.WebhookID]*telltale.Webhook
	deliveries map[telltale.DeliveryID]*owed
	byWebhook  map[telltale.WebhookID][]*owed
	seq        int
	calls      map[string]int
	told       map[telltale.WebhookID]news // what the present node knows of breakers
	unwatched  bool                        // spares does not judge
	outageEnd  time.Time                   // when the last outage of our own ended
	gone       func(node int) bool         // whose claims may be taken over; nil for all but the present one's

	// fault, if set, is asked before every call, by the name of the method.
	// Its error is the call's; after says that the call is done nevertheless.
	fault func(method string) (err error, after bool)
}

// news is where a breaker stands, and since when the node knows.
type news struct {
	telltale.Breaker
	revision int64
	at       time.Time
}

// owed is a delivery's row.
type owed struct {
	id       telltale.DeliveryID
	event    *telltale.Event
	webhook  telltale.WebhookID
	state    telltale.State
	due      time.Time
	released bool // was held, and is to be claimed at a pace
	number   int64
	node     int
	test     bool
	manual   bool
	once     bool
	step     int
	began    time.Time // the first attempt
	attempts []telltale.Attempt
}

func newModel() *model {
	return &model{
		webhooks: map[telltale.WebhookID]*telltale.Webhook{}, deliveries: map[telltale.DeliveryID]*owed{},
		byWebhook: map[telltale.WebhookID][]*owed{}, calls: map[string]int{}, told: map[telltale.WebhookID]news{},
	}
}

// call begins a call; done ends it, and unless it fails the node is told of the webhooks.
func (m *model) call(method string) (done func(...*telltale.Webhook) error, err error) {
	m.mu.Lock()
	m.calls[method]++
	if m.fault != nil {
		err, after := m.fault(method)
		if err != nil && !after {
			m.mu.Unlock()
			return nil, err
		}
		if err != nil {
			return func(...*telltale.Webhook) error { m.mu.Unlock(); return err }, nil
		}
	}
	return func(told ...*telltale.Webhook) error {
		for _, w := range told {
			m.tell(w)
		}
		m.mu.Unlock()
		return nil
	}, nil
}

func (m *model) claimed(o *owed) telltale.Claim {
	o.state, o.node, o.released = telltale.StateSending, m.node, false
	o.number++
	c := telltale.Claim{
		ClaimRef: telltale.ClaimRef{DeliveryID: o.id, Number: o.number}, ProjectID: o.event.ProjectID,
		Event: o.event, Webhook: m.webhooks[o.webhook], Trigger: telltale.TriggerAutomatic, Test: o.test, Once: o.once || o.test,
		Attempt: len(o.attempts) + 1, Step: o.step, Tries: m.tries(o),
	}
	if o.manual {
		c.Trigger = telltale.TriggerManual
	}
	if o.test {
		c.Trigger = telltale.TriggerTest
	}
	if !o.began.IsZero() {
		c.Age = time.Since(o.began)
	}
	return c
}

// tries is how many attempts were made since the last outage of our own.
func (m *model) tries(o *owed) (n int) {
	for _, a := range o.attempts {
		if !a.StartedAt.Before(m.outageEnd) {
			n++
		}
	}
	return n
}

// accept stores one event for each of the webhooks and hands over what was claimed.
func (m *model) accept(d *Dispatcher, payload int, ids ...telltale.WebhookID) {
	m.acceptLate(d, payload, ids...)()
}

// acceptLate is accept with the hand-over left to the caller.
func (m *model) acceptLate(d *Dispatcher, payload int, ids ...telltale.WebhookID) (offer func()) {
	m.mu.Lock()
	var a telltale.Accepted
	for _, id := range ids {
		w := m.webhooks[id]
		if !w.Enabled || w.Deleted {
			continue
		}
		o := m.owe(w)
		o.event.Payload = make([]byte, payload)
		if d.Reserve(w) {
			a.Claims = append(a.Claims, m.claimed(o))
		} else {
			a.Waiting = append(a.Waiting, w)
		}
	}
	m.mu.Unlock()
	return func() {
		m.mu.Lock()
		for _, c := range a.Claims {
			m.tell(c.Webhook)
		}
		for _, w := range a.Waiting {
			m.tell(w)
		}
		m.mu.Unlock()
		d.Offer(a)
	}
}

// owe adds a delivery that waits and is due.
func (m *model) owe(w *telltale.Webhook) *owed {
	m.seq++
	now := time.Now()
	o := &owed{
		id: telltale.DeliveryID(fmt.Sprintf("dlv_%d", m.seq)), webhook: w.ID, state: telltale.StateWaiting, due: now,
		event: &telltale.Event{ID: telltale.EventID(fmt.Sprintf("evt_%d", m.seq)), ProjectID: w.ProjectID, Type: telltale.Sent, ReceivedAt: now},
	}
	m.deliveries[o.id] = o
	m.byWebhook[w.ID] = append(m.byWebhook[w.ID], o)
	return o
}

// acceptTest stores a test.
func (m *model) acceptTest(id telltale.WebhookID) telltale.Claim {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.owe(m.webhooks[id])
	o.test = true
	return m.claimed(o)
}

func (m *model) DueWebhooks(context.Context) ([]telltale.LaneDue, error) {
	done, err := m.call("DueWebhooks")
	if err != nil {
		return nil, err
	}
	var list []telltale.LaneDue
	for _, id := range slices.Sorted(maps.Keys(m.webhooks)) {
		if w := m.webhooks[id]; w.Enabled && !w.Deleted {
			list = append(list, m.laneDue(w))
		}
	}
	var told []*telltale.Webhook
	for _, lane := range list {
		told = append(told, lane.Webhook)
	}
	return list, done(told...)
}

func (m *model) laneDue(w *telltale.Webhook) telltale.LaneDue {
	ld := telltale.LaneDue{Webhook: w, In: telltale.Never}
	if !w.Enabled || w.Deleted {
		return ld
	}
	for _, o := range m.byWebhook[w.ID] {
		switch {
		case o.state != telltale.StateWaiting:
		case o.released:
			ld.Held = true
		default:
			ld.In = min(ld.In, max(0, time.Until(o.due)))
		}
	}
	return ld
}

func (m *model) ClaimDue(_ context.Context, lanes []telltale.LaneRoom) ([]telltale.LaneClaims, error) {
	done, err := m.call("ClaimDue")
	if err != nil {
		return nil, err
	}
	var answers []telltale.LaneClaims
	var told []*telltale.Webhook
	for _, room := range lanes {
		w := m.webhooks[room.WebhookID]
		var due []*owed
		if w.Enabled && !w.Deleted {
			for _, o := range m.byWebhook[w.ID] {
				if o.state == telltale.StateWaiting && !o.due.After(time.Now()) {
					due = append(due, o)
				}
			}
		}
		slices.SortStableFunc(due, func(a, b *owed) int {
			return cmp.Or(cmp.Compare(min(len(a.attempts), 1), min(len(b.attempts), 1)), a.due.Compare(b.due))
		})
		var answer telltale.LaneClaims
		held := room.Held
		for _, o := range due {
			if len(answer.Claims) == room.Slots {
				break
			}
			if o.released {
				if held == 0 {
					continue
				}
				held--
			}
			answer.Claims = append(answer.Claims, m.claimed(o))
		}
		answer.LaneDue = m.laneDue(w)
		answers = append(answers, answer)
		told = append(told, w)
	}
	return answers, done(told...)
}

func (m *model) RecordAttempts(_ context.Context, results []telltale.Result) (telltale.Recorded, error) {
	done, err := m.call("RecordAttempts")
	if err != nil {
		return telltale.Recorded{}, err
	}
	var recorded telltale.Recorded
	for _, r := range results {
		o := m.deliveries[r.DeliveryID]
		applied := o != nil && o.state == telltale.StateSending && o.number == r.Number
		recorded.Applied = append(recorded.Applied, applied)
		if !applied {
			continue
		}
		m.note(o, *r.Attempt)
		o.state, o.step, o.manual = r.Outcome.State, r.Outcome.Step, false
		o.due = r.Attempt.StartedAt.Add(r.Attempt.Duration + r.Outcome.Wait)
		if o.state == telltale.StateFailed {
			o.once = true
		}
		m.fit(o)
		was := m.webhooks[o.webhook].Enabled
		if w := m.judge(o, r); w != nil {
			recorded.Changed = append(recorded.Changed, w)
			if was && !w.Enabled {
				recorded.News = append(recorded.News, telltale.News{Type: telltale.WebhookDisabled, Webhook: w})
			}
		}
	}
	return recorded, done(recorded.Changed...)
}

// judge adds the attempt to its webhook's standing, and gives the webhook if that
// is something to be told of.
func (m *model) judge(o *owed, r telltale.Result) *telltale.Webhook {
	w := *m.webhooks[o.webhook]
	before := w.Standing
	var signals telltale.Signals
	switch {
	case !o.test:
		w.Standing, signals = before.After(r.Attempt, time.Now())
	case r.Attempt.Success() && w.Version == r.WebhookVersion && !w.Enabled && w.DisabledReason != telltale.DisabledManual:
		return m.change(o.webhook, enabled(true))
	case r.Attempt.Success() && w.Version == r.WebhookVersion:
		w.Standing = before.Passed(time.Now())
	}
	changed := !before.Same(w.Standing)
	if changed {
		w.Standing.Revision++
	}
	m.webhooks[o.webhook] = &w
	reason := signals.Disable
	if r.Outcome.Disable != "" && w.Version == r.WebhookVersion {
		reason = r.Outcome.Disable
	}
	if reason != "" && w.Enabled && !w.Deleted {
		return m.change(o.webhook, func(w *telltale.Webhook) { w.Enabled, w.DisabledReason = false, reason })
	}
	if !changed {
		return nil
	}
	return &w
}

// tell notes what the node is told of the webhook.
func (m *model) tell(w *telltale.Webhook) {
	before, is := m.told[w.ID], news{w.Standing.Breaker, w.Standing.Revision, time.Now()}
	if is.revision < before.revision {
		return
	}
	if before.State == is.State && before.Until.Equal(is.Until) {
		is.at = before.at // it lets no fewer through
	}
	m.told[w.ID] = is
}

// spares wants no attempt to begin that the breaker, as the node knows it, does
// not let through. What begins in the moment of the news may not have heard it.
func (m *model) spares(t *testing.T, w *telltale.Webhook, flying int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, b := time.Now(), m.told[w.ID]
	switch {
	case m.unwatched, b.State == telltale.BreakerClosed, !now.After(b.at):
	case now.Before(b.Until):
		t.Errorf("an attempt to %s begins though its breaker is open for another %v", w.ID, b.Until.Sub(now))
	case flying > b.Width():
		t.Errorf("%d attempts to %s are under way at once; its breaker lets %d through", flying, w.ID, b.Width())
	}
}

func (m *model) note(o *owed, a telltale.Attempt) {
	if o.began.IsZero() {
		o.began = a.StartedAt
	}
	o.attempts = append(o.attempts, a)
}

// fit makes a waiting delivery what its webhook's state makes of it.
func (m *model) fit(o *owed) {
	w := m.webhooks[o.webhook]
	switch {
	case o.state != telltale.StateWaiting:
	case w.Deleted:
		o.state = telltale.StateCancelled
	case !w.Enabled:
		o.state = telltale.StateHeld
	}
}

func (m *model) ReleaseClaims(_ context.Context, claims []telltale.ClaimRef) error {
	done, err := m.call("ReleaseClaims")
	if err != nil {
		return err
	}
	for _, c := range claims {
		if o := m.deliveries[c.DeliveryID]; o.state == telltale.StateSending && o.number == c.Number {
			o.state = telltale.StateWaiting
			m.fit(o)
		}
	}
	return done()
}

func (m *model) TakeOver(context.Context) (int, error) {
	done, err := m.call("TakeOver")
	if err != nil {
		return 0, err
	}
	n, gone := 0, m.gone
	if gone == nil {
		gone = func(node int) bool { return node != m.node }
	}
	for _, list := range m.byWebhook {
		for _, o := range list {
			if o.state != telltale.StateSending || !gone(o.node) {
				continue
			}
			m.note(o, telltale.Attempt{Number: len(o.attempts) + 1, StartedAt: time.Now(), Error: telltale.ErrorInterrupted})
			o.state, o.due = telltale.StateWaiting, time.Now()
			if o.test {
				o.state = telltale.StateFailed
			}
			m.fit(o)
			n++
		}
	}
	return n, done()
}

func (m *model) Beat(context.Context) (telltale.Beat, error) {
	done, err := m.call("Beat")
	if err != nil {
		return telltale.Beat{}, err
	}
	return telltale.Beat{}, done()
}

// change makes a new version of the webhook.
func (m *model) change(id telltale.WebhookID, f func(*telltale.Webhook)) *telltale.Webhook {
	w := *m.webhooks[id]
	enabled, url := w.Enabled, w.URL
	w.Version++
	f(&w)
	if w.Enabled && !enabled || w.URL != url {
		w.Standing = w.Standing.Reset(time.Now())
		w.Standing.Revision++
	}
	m.webhooks[id] = &w
	for _, o := range m.byWebhook[id] {
		switch {
		case o.state == telltale.StateWaiting:
			m.fit(o)
		case o.state == telltale.StateHeld && w.Deleted:
			o.state = telltale.StateCancelled
		case o.state == telltale.StateHeld && !enabled && w.Enabled:
			o.state, o.released, o.due = telltale.StateWaiting, true, time.Now()
		}
	}
	return &w
}

// retry makes a delivery due for one manual attempt, as Retry does.
func (m *model) retry(id telltale.DeliveryID) (*telltale.Webhook, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.deliveries[id]
	w := m.webhooks[o.webhook]
	if !w.Enabled || w.Deleted || o.test || o.state != telltale.StateWaiting && o.state != telltale.StateFailed {
		return nil, false
	}
	if s := w.Standing.Asked(time.Now()); s != w.Standing {
		asked := *w
		asked.Standing = s
		asked.Standing.Revision++
		w = &asked
		m.webhooks[o.webhook] = w
	}
	m.tell(w)
	o.once = o.state == telltale.StateFailed
	o.state, o.due, o.manual, o.released = telltale.StateWaiting, time.Now(), true, false
	return w, true
}

// states counts deliveries by state.
func (m *model) states() map[telltale.State]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := map[telltale.State]int{}
	for _, o := range m.deliveries {
		n[o.state]++
	}
	return n
}

// begun is the start of an attempt, as the receiver sees it.
type begun struct {
	at    time.Time
	claim telltale.Claim
	w     *telltale.Webhook
}

// receivers is a sender whose receivers do as they are told, and which watches
// for what must never happen.
type receivers struct {
	t        *testing.T
	model    *model
	mu       sync.Mutex
	answer   func(b begun) (status int, after time.Duration) // under mu
	retry    time.Duration                                   // Retry-After of every answer
	begun    []begun
	claims   map[telltale.ClaimRef]bool
	flying   map[telltale.WebhookID]int
	most     map[telltale.WebhookID]int
	announce map[telltale.WebhookID]int64 // versions that Changed told of, some time ago
}

// down stands for no answer until the deadline.
const down = 0

// barred stands for an address that may not be dialled.
const barred = -1

func (r *receivers) Send(ctx context.Context, c *telltale.Claim, w *telltale.Webhook) telltale.Attempt {
	now := time.Now()
	b := begun{now, *c, w}
	r.mu.Lock()
	if r.claims[c.ClaimRef] {
		r.t.Errorf("claim %v is attempted twice", c.ClaimRef)
	}
	r.claims[c.ClaimRef] = true
	if (!w.Enabled || w.Deleted) && !c.Test {
		r.t.Errorf("an attempt begins to a webhook that is disabled or deleted")
	}
	if w.Version < r.announce[w.ID] {
		r.t.Errorf("an attempt begins to version %d of a webhook that is at %d", w.Version, r.announce[w.ID])
	}
	r.begun = append(r.begun, b)
	if !c.Test {
		r.flying[w.ID]++
		r.most[w.ID] = max(r.most[w.ID], r.flying[w.ID])
		r.model.spares(r.t, w, r.flying[w.ID])
	}
	status, after := r.answer(b)
	wait := r.retry
	r.mu.Unlock()

	a := telltale.Attempt{Number: c.Attempt, Trigger: c.Trigger, StartedAt: now, Status: status, RetryAfter: wait}
	timer := time.NewTimer(after)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		a.Status, a.Error = 0, telltale.ErrorInterrupted
	}
	switch {
	case a.Error != "" || a.Success():
	case a.Status == down:
		a.Error = telltale.ErrorTimeout
	case a.Status == barred:
		a.Status, a.Error = 0, telltale.ErrorBlockedAddress
	default:
		a.Error = telltale.ErrorHTTPStatus
	}
	a.Duration = time.Since(now)
	r.mu.Lock()
	if !c.Test {
		r.flying[w.ID]--
	}
	r.mu.Unlock()
	return a
}

// starts gives the attempts begun so far, of one webhook if id is not empty.
func (r *receivers) starts(id telltale.WebhookID) []begun {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []begun
	for _, b := range r.begun {
		if id == "" || b.w.ID == id {
			list = append(list, b)
		}
	}
	return list
}

// delays gives how long the deliveries of a webhook waited for their first attempt.
func (r *receivers) delays(id telltale.WebhookID) []time.Duration {
	var list []time.Duration
	for _, b := range r.starts(id) {
		if b.claim.Attempt == 1 {
			list = append(list, b.at.Sub(b.claim.Event.ReceivedAt))
		}
	}
	slices.Sort(list)
	return list
}

// world is a dispatcher between a model store and receivers, in virtual time.
type world struct {
	*Dispatcher
	t       *testing.T
	model   *model
	net     *receivers
	metrics *prometheus.Registry
	ran     chan error
}

// newWorld makes a world where every receiver answers 200 in ten milliseconds.
// Call it in a synctest bubble, and end it with stop.
func newWorld(t *testing.T, c Config) *world {
	m := newModel()
	w := &world{t: t, model: m, net: &receivers{
		t: t, model: m, claims: map[telltale.ClaimRef]bool{}, flying: map[telltale.WebhookID]int{}, most: map[telltale.WebhookID]int{}, announce: map[telltale.WebhookID]int64{},
		answer: func(begun) (int, time.Duration) { return http.StatusOK, 10 * time.Millisecond },
	}}
	w.begin(c)
	return w
}

// begin starts a node on the world's store.
func (w *world) begin(c Config) {
	w.metrics = prometheus.NewRegistry()
	c.Sender, c.Registerer = w.net, w.metrics
	if c.Store == nil {
		c.Store = w.model
	}
	if c.Jitter == nil {
		c.Jitter = func() float64 { return 0.5 }
	}
	w.Dispatcher = New(c)
	w.ran = make(chan error, 1)
	go func() { w.ran <- w.Run(context.Background()) }()
	synctest.Wait()
}

// stop ends the node and wants nothing left.
func (w *world) stop() {
	w.t.Helper()
	if err := w.Stop(context.Background()); err != nil {
		w.t.Error(err)
	}
	if err := <-w.ran; err != nil {
		w.t.Error(err)
	}
	if n := w.model.states()[telltale.StateSending]; n != 0 {
		w.t.Errorf("%d deliveries are still being sent after the stop", n)
	}
}

// add stores a webhook of the project.
func (w *world) add(project telltale.ProjectID, f ...func(*telltale.Webhook)) telltale.WebhookID {
	w.model.mu.Lock()
	defer w.model.mu.Unlock()
	h := telltale.NewWebhook(project, "https://example.com/", telltale.AllEventTypes)
	h.ID = telltale.WebhookID(fmt.Sprintf("whk_%04d", len(w.model.webhooks)))
	for _, f := range f {
		f(&h)
	}
	w.model.webhooks[h.ID] = &h
	return h.ID
}

// change edits a webhook, tells the dispatcher, and from then on wants no
// attempt to what it was before.
func (w *world) change(id telltale.WebhookID, f func(*telltale.Webhook)) {
	w.model.mu.Lock()
	h := w.model.change(id, f)
	w.model.tell(h)
	w.model.mu.Unlock()
	w.Changed(h)
	synctest.Wait() // those that began before have reached the sender
	w.net.mu.Lock()
	w.net.announce[id] = h.Version
	w.net.mu.Unlock()
}

func (w *world) accept(n int, ids ...telltale.WebhookID) {
	for range n {
		w.model.accept(w.Dispatcher, 700, ids...)
	}
}

// reply sets what receivers do.
func (w *world) reply(f func(b begun) (status int, after time.Duration)) {
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	w.net.answer = f
}

func (w *world) breaks(f func(method string) (error, bool)) {
	w.model.mu.Lock()
	defer w.model.mu.Unlock()
	w.model.fault = f
}

// hook gives a webhook as it is stored.
func (w *world) hook(id telltale.WebhookID) *telltale.Webhook {
	w.model.mu.Lock()
	defer w.model.mu.Unlock()
	return w.model.webhooks[id]
}

// owed gives copies of all deliveries, in the order of acceptance.
func (w *world) owed() []owed {
	w.model.mu.Lock()
	defer w.model.mu.Unlock()
	var list []owed
	for n := range w.model.seq {
		if o := w.model.deliveries[telltale.DeliveryID(fmt.Sprintf("dlv_%d", n+1))]; o != nil {
			list = append(list, *o)
		}
	}
	return list
}

// called is how often a method of the store was called.
func (w *world) called(method string) int {
	w.model.mu.Lock()
	defer w.model.mu.Unlock()
	return w.model.calls[method]
}

// atOnce is the most attempts to a webhook that were under way at once.
func (w *world) atOnce(id telltale.WebhookID) int {
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	return w.net.most[id]
}

// backlog stores deliveries that nobody told of; of old ones an attempt was made.
func (w *world) backlog(n int, old bool, ids ...telltale.WebhookID) {
	w.model.mu.Lock()
	defer w.model.mu.Unlock()
	for range n {
		for _, id := range ids {
			if o := w.model.owe(w.model.webhooks[id]); old {
				w.model.note(o, telltale.Attempt{Number: 1, StartedAt: time.Now()})
			}
		}
	}
}

// want compares how many deliveries are in which state.
func (w *world) want(states map[telltale.State]int) {
	w.t.Helper()
	synctest.Wait()
	if got := w.model.states(); !maps.Equal(got, states) {
		w.t.Errorf("after %v: deliveries %v; want %v", time.Since(start), got, states)
	}
}

// start is when the time of every bubble begins.
var start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func enabled(on bool) func(*telltale.Webhook) {
	return func(w *telltale.Webhook) { w.Enabled = on }
}

var unavailable = telltale.Errorf(telltale.Unavailable, "The disk is full.")

// pass lets the bubble's time pass, and everything happen that happens in it.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
