// Package storetest says, in tests, what every [telltale.Store] must do. An
// engine runs the suite from a test of its own and says, with a [Harness], how
// its stores are opened and how time goes by.
//
// Each test begins with an empty store and reads as a sentence about the
// contract in store.go.
package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
)

// Harness is how the tests reach one engine.
type Harness struct {
	// Open opens an empty store as one node. The test closes it.
	Open func(t *testing.T) telltale.Store
	// Reopen ends the node that opened the store, as a crash would, and gives
	// the same data to another node.
	Reopen func(t *testing.T, s telltale.Store) telltale.Store
	// ReopenWith is Reopen with a sealer of other keys than [Sealer]'s own, which
	// the store may refuse.
	ReopenWith func(t *testing.T, s telltale.Store, sealer telltale.Sealer) (telltale.Store, error)
	// Advance lets the store's clock go on.
	Advance func(d time.Duration)
	// Now is the store's clock.
	Now func() time.Time
	// Node is the id of the nodes that Open and Reopen open.
	Node telltale.NodeID
}

// Engine runs one test within whatever its harness needs, such as a bubble of
// testing/synctest.
type Engine func(t *testing.T, test func(t *testing.T, h Harness))

// Run runs the whole suite.
func Run(t *testing.T, engine Engine) {
	for _, noun := range []struct {
		name  string
		tests []test
	}{
		{"store", storeTests},
		{"project", projectTests},
		{"key", keyTests},
		{"webhook", webhookTests},
		{"event", eventTests},
		{"caller id", callerTests},
		{"nonce", nonceTests},
		{"events", eventListTests},
		{"message", messageTests},
		{"goal", goalTests},
		{"conversion", conversionTests},
		{"claim", claimTests},
		{"attempt", attemptTests},
		{"take over", takeOverTests},
		{"standing", standingTests},
		{"operational", operationalTests},
		{"retry", retryTests},
		{"switch", switchTests},
		{"undelete", undeleteTests},
		{"deliveries", deliveryListTests},
		{"cancel", cancelTests},
		{"log", logTests},
		{"stats", statTests},
		{"replay", replayTests},
		{"import", importTests},
		{"user", userTests},
		{"prepare", prepareTests},
		{"source", sourceTests},
		{"erasure", erasureTests},
		{"bin", binTests},
		{"operator", operatorTests},
		{"audit", auditTests},
		{"idempotency", idempotencyTests},
		{"rotation", rotationTests},
		{"system", systemTests},
		{"purge", purgeTests},
		{"concurrency", concurrencyTests},
	} {
		t.Run(noun.name, func(t *testing.T) {
			for _, test := range noun.tests {
				t.Run(test.name, func(t *testing.T) {
					t.Parallel()
					engine(t, func(t *testing.T, h Harness) {
						s := h.Open(t)
						w := &world{T: t, Harness: h, Store: s, ctx: t.Context()}
						defer func() {
							if err := w.Store.Close(); err != nil {
								t.Errorf("closing: %v", err)
							}
						}()
						project, err := s.ProjectBySlug(w.ctx, telltale.DefaultProjectSlug)
						if err != nil {
							t.Fatalf("the default project: %v", err)
						}
						w.project = project
						test.run(w)
					})
				})
			}
		})
	}
}

type test struct {
	name string
	run  func(w *world)
}

// world is a store with the default project, and the test that looks at it.
type world struct {
	*testing.T
	Harness
	telltale.Store
	ctx     context.Context
	project telltale.Project
}

func (w *world) restart() {
	w.Helper()
	w.Store = w.Reopen(w.T, w.Store)
}

// must fails the test on an error.
func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("unexpected error: %v", err)
	}
}

// code fails the test unless err has the code.
func (w *world) code(want telltale.Code, err error) {
	w.Helper()
	if telltale.CodeOf(err) != want {
		w.Fatalf("error %v has the code %q, not %q", err, telltale.CodeOf(err), want)
	}
}

// equal fails the test if got is not want.
func (w *world) equal(what string, got, want any) {
	w.Helper()
	if reflect.DeepEqual(want, got) { // megabytes too, in no time
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.Fatalf("%s is not what is wanted (-want +got):\n%s", what, diff)
	}
}

// newProject makes another project.
func (w *world) newProject(slug string) telltale.Project {
	w.Helper()
	p := telltale.NewProject(slug, "Project "+slug)
	w.must(w.CreateProject(w.ctx, p))
	return p
}

// newWebhook makes a webhook of the default project that wants everything.
func (w *world) newWebhook(change ...func(*telltale.Webhook)) *telltale.Webhook {
	w.Helper()
	hook := telltale.NewWebhook(w.project.ID, "https://receiver.example/in", telltale.AllEventTypes)
	hook.CreatedAt, hook.UpdatedAt = milli(w.Now()), milli(w.Now())
	for _, c := range change {
		c(&hook)
	}
	made, err := w.CreateWebhook(w.ctx, hook)
	w.must(err)
	return made
}

func wanting(types ...telltale.EventType) func(*telltale.Webhook) {
	return func(w *telltale.Webhook) { w.Events = telltale.NewEventTypeSet(types...) }
}

func milli(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// newEvent makes an event of the default project, which is not stored yet.
func (w *world) newEvent(change ...func(*telltale.Event)) *telltale.Event {
	e := &telltale.Event{
		ID: telltale.NewEventID(), ProjectID: w.project.ID, Type: telltale.Delivered, Source: "api",
		OccurredAt: milli(w.Now()), ReceivedAt: milli(w.Now()),
		Payload: []byte(`{"type":"delivered"}`), UserID: "42", Email: "jo@example.com", MessageID: "msg-1", CampaignID: "7",
	}
	for _, c := range change {
		c(e)
	}
	return e
}

func ofType(t telltale.EventType) func(*telltale.Event) {
	return func(e *telltale.Event) { e.Type = t }
}

func ofUser(id, email, message string) func(*telltale.Event) {
	return func(e *telltale.Event) { e.UserID, e.Email, e.MessageID = id, email, message }
}

func called(id, content string) func(*telltale.Event) {
	return func(e *telltale.Event) { e.CallerID, e.ContentHash = id, sha256.Sum256([]byte(content)) }
}

// accept stores events without room, so that their deliveries wait.
func (w *world) accept(events ...*telltale.Event) telltale.Accepted {
	w.Helper()
	return w.acceptWith(nil, events...)
}

func (w *world) acceptWith(room telltale.Room, events ...*telltale.Event) telltale.Accepted {
	w.Helper()
	accepted, err := w.AcceptEvents(w.ctx, telltale.Acceptance{ProjectID: w.project.ID, Events: events, Room: room})
	w.must(err)
	if len(accepted.Events) != len(events) {
		w.Fatalf("%d events were answered with %d", len(events), len(accepted.Events))
	}
	return accepted
}

// deliver stores an event that is claimed at once for the webhooks that want it.
func (w *world) deliver(change ...func(*telltale.Event)) []telltale.Claim {
	w.Helper()
	return w.acceptWith(newRoom(1000), w.newEvent(change...)).Claims
}

// deliverOne is deliver for a single webhook.
func (w *world) deliverOne(change ...func(*telltale.Event)) telltale.Claim {
	w.Helper()
	claims := w.deliver(change...)
	if len(claims) != 1 {
		w.Fatalf("%d claims, not one", len(claims))
	}
	return claims[0]
}

// claim claims up to n due deliveries of the webhook.
func (w *world) claim(id telltale.WebhookID, n int) []telltale.Claim {
	w.Helper()
	return w.claimRoom(telltale.LaneRoom{WebhookID: id, Slots: n}).Claims
}

func (w *world) claimRoom(room telltale.LaneRoom) telltale.LaneClaims {
	w.Helper()
	lanes, err := w.ClaimDue(w.ctx, []telltale.LaneRoom{room})
	w.must(err)
	if len(lanes) != 1 {
		w.Fatalf("one lane was answered with %d", len(lanes))
	}
	return lanes[0]
}

func (w *world) claimOne(id telltale.WebhookID) telltale.Claim {
	w.Helper()
	claims := w.claim(id, 10)
	if len(claims) != 1 {
		w.Fatalf("%d claims, not one", len(claims))
	}
	return claims[0]
}

// attempt makes the attempt that a claim asks for, answered with the status.
func (w *world) attempt(c *telltale.Claim, status int) *telltale.Attempt {
	a := &telltale.Attempt{
		Number: c.Attempt, Trigger: c.Trigger, StartedAt: milli(w.Now()), Duration: 12345 * time.Microsecond, Node: w.Node, Status: status,
		RemoteAddr: "192.0.2.1:443",
		Request:    telltale.SentRequest{Method: "POST", URL: c.Webhook.URL},
	}
	if !a.Success() {
		a.Error, a.Failure, a.Detail = telltale.ErrorHTTPStatus, "status", "it said so"
	}
	return a
}

// result is an attempt of the claim with its outcome by the schedule.
func (w *world) result(c telltale.Claim, status int) telltale.Result {
	return w.resultOf(c, w.attempt(&c, status))
}

// interrupted is the result of an attempt that our node's end cut off.
func (w *world) interrupted(c telltale.Claim) telltale.Result {
	a := w.attempt(&c, 0)
	a.Error = telltale.ErrorInterrupted
	return w.resultOf(c, a)
}

func (w *world) resultOf(c telltale.Claim, a *telltale.Attempt) telltale.Result {
	return telltale.Result{ClaimRef: c.ClaimRef, Attempt: a, Outcome: c.After(a, c.Webhook.RetrySchedule, 0.5), WebhookVersion: c.Webhook.Version}
}

// record stores a result that is applied.
func (w *world) record(results ...telltale.Result) telltale.Recorded {
	w.Helper()
	recorded, err := w.RecordAttempts(w.ctx, results)
	w.must(err)
	w.equal("what was applied", recorded.Applied, slicesRepeat(true, len(results)))
	return recorded
}

func slicesRepeat[T any](v T, n int) []T {
	s := make([]T, n)
	for i := range s {
		s[i] = v
	}
	return s
}

// finish answers a claim with 200, fail with 500.
func (w *world) finish(c telltale.Claim) { w.Helper(); w.record(w.result(c, 200)) }
func (w *world) fail(c telltale.Claim)   { w.Helper(); w.record(w.result(c, 500)) }

// giveUp ends a claim's delivery as failed.
func (w *world) giveUp(c telltale.Claim) {
	w.Helper()
	r := w.result(c, 500)
	r.Outcome.State, r.Outcome.Wait = telltale.StateFailed, 0
	w.record(r)
}

func (w *world) delivery(id telltale.DeliveryID) telltale.Delivery {
	w.Helper()
	d, err := w.Delivery(w.ctx, w.project.ID, id)
	w.must(err)
	return d
}

func (w *world) state(id telltale.DeliveryID, want telltale.State) {
	w.Helper()
	if d := w.delivery(id); d.State != want {
		w.Fatalf("the delivery is %s, not %s", d.State, want)
	}
}

// only gives the one delivery of a webhook.
func (w *world) only(id telltale.WebhookID) telltale.Delivery {
	w.Helper()
	ds := w.deliveries(telltale.DeliveryFilter{WebhookID: id})
	if len(ds) != 1 {
		w.Fatalf("the webhook has %d deliveries, not one", len(ds))
	}
	return ds[0]
}

func (w *world) deliveries(f telltale.DeliveryFilter) []telltale.Delivery {
	w.Helper()
	ds, err := w.Deliveries(w.ctx, w.project.ID, f, telltale.Page{Limit: telltale.MaxPage})
	w.must(err)
	return ds
}

func (w *world) events(f telltale.EventFilter) []*telltale.Event {
	w.Helper()
	es, err := w.Events(w.ctx, w.project.ID, f, telltale.Page{Limit: telltale.MaxPage})
	w.must(err)
	return es
}

// due gives what DueWebhooks says of a webhook, or nil.
func (w *world) due(id telltale.WebhookID) *telltale.LaneDue {
	w.Helper()
	lanes, err := w.DueWebhooks(w.ctx)
	w.must(err)
	var found *telltale.LaneDue
	for i := range lanes {
		if lanes[i].Webhook.ID == id {
			if found != nil {
				w.Fatalf("%s is listed twice", id)
			}
			found = &lanes[i]
		}
	}
	return found
}

func (w *world) disable(id telltale.WebhookID) *telltale.Webhook {
	w.Helper()
	hook, err := w.DisableWebhook(w.ctx, w.project.ID, id, telltale.DisabledManual)
	w.must(err)
	return hook
}

func (w *world) enable(id telltale.WebhookID) *telltale.Webhook {
	w.Helper()
	hook, err := w.EnableWebhook(w.ctx, w.project.ID, id)
	w.must(err)
	return hook
}

func (w *world) delete(id telltale.WebhookID) *telltale.Webhook {
	w.Helper()
	hook, err := w.DeleteWebhook(w.ctx, w.project.ID, id, 0)
	w.must(err)
	return hook
}

// room counts what is reserved, and bounds it per webhook.
type room struct {
	mu       sync.Mutex
	limit    int
	reserved map[telltale.WebhookID]int
}

func newRoom(limit int) *room { return &room{limit: limit, reserved: map[telltale.WebhookID]int{}} }

func (r *room) Reserve(w *telltale.Webhook) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reserved[w.ID] >= r.limit {
		return false
	}
	r.reserved[w.ID]++
	return true
}

func (r *room) Release(w *telltale.Webhook) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reserved[w.ID]--
}

func (r *room) total() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	total := 0
	for _, n := range r.reserved {
		total += n
	}
	return total
}

// ids of rows, for comparing lists.
func ids[T any, ID any](rows []T, id func(T) ID) []ID {
	list := make([]ID, len(rows))
	for i, row := range rows {
		list[i] = id(row)
	}
	return list
}

func eventID(e *telltale.Event) telltale.EventID           { return e.ID }
func deliveryID(d telltale.Delivery) telltale.DeliveryID   { return d.ID }
func claimID(c telltale.Claim) telltale.DeliveryID         { return c.DeliveryID }
func webhookID(w *telltale.Webhook) telltale.WebhookID     { return w.ID }
func claimEventID(c telltale.Claim) telltale.EventID       { return c.Event.ID }
func deliveryEventID(d telltale.Delivery) telltale.EventID { return d.EventID }

// pages reads a list page by page from the newest on and again from the oldest
// on, and fails if a way does not give the same rows as the whole.
func pages[T any](w *world, read func(telltale.Page) ([]T, error), id func(T) string) {
	w.Helper()
	all, err := read(telltale.Page{Limit: telltale.MaxPage})
	w.must(err)
	if len(all) < 4 {
		w.Fatalf("%d rows are too few to be paged", len(all))
	}
	want := ids(all, id)
	for _, limit := range []int{1, 3} {
		var down []string
		for page := (telltale.Page{Limit: limit}); ; {
			rows, err := read(page)
			w.must(err)
			if len(rows) == 0 {
				break
			}
			if len(rows) > limit {
				w.Fatalf("a page of %d has %d rows", limit, len(rows))
			}
			down = append(down, ids(rows, id)...)
			page.After = down[len(down)-1]
		}
		w.equal(fmt.Sprintf("the list in pages of %d", limit), down, want)

		up := want[len(want)-1:]
		for {
			rows, err := read(telltale.Page{Limit: limit, Before: up[0]})
			w.must(err)
			if len(rows) == 0 {
				break
			}
			up = append(ids(rows, id), up...)
		}
		w.equal(fmt.Sprintf("the list in pages of %d from the end", limit), up, want)
	}
	rows, err := read(telltale.Page{Limit: telltale.MaxPage, After: want[0], Before: want[len(want)-1]})
	w.must(err)
	w.equal("what is between the first and the last", ids(rows, id), want[1:len(want)-1])
}

var storeTests = []test{
	{"a store that is open is ready", func(w *world) {
		w.must(w.Ready(w.ctx))
	}},
	{"a store that is closed is unavailable, and closes twice", func(w *world) {
		hook := w.newWebhook()
		w.must(w.Close())
		w.must(w.Close())
		w.code(telltale.Unavailable, w.Ready(w.ctx))
		_, err := w.AcceptEvents(w.ctx, telltale.Acceptance{ProjectID: w.project.ID, Events: []*telltale.Event{w.newEvent()}})
		w.code(telltale.Unavailable, err)
		_, err = w.Webhook(w.ctx, w.project.ID, hook.ID)
		w.code(telltale.Unavailable, err)
		_, err = w.Project(w.ctx, w.project.ID)
		w.code(telltale.Unavailable, err)
		_, err = w.Projects(w.ctx)
		w.code(telltale.Unavailable, err)
		_, err = w.Events(w.ctx, w.project.ID, telltale.EventFilter{}, telltale.Page{Limit: 1})
		w.code(telltale.Unavailable, err)
	}},
	{"a caller that has gone is not served", func(w *world) {
		gone, cancel := context.WithCancel(w.ctx)
		cancel()
		_, err := w.AcceptEvents(gone, telltale.Acceptance{ProjectID: w.project.ID, Events: []*telltale.Event{w.newEvent()}})
		w.code(telltale.Unavailable, err)
		if !errors.Is(err, context.Canceled) {
			w.Fatalf("%v does not say that the context ended", err)
		}
		_, err = w.Event(gone, w.project.ID, telltale.NewEventID())
		w.code(telltale.Unavailable, err)
		w.equal("the events", len(w.events(telltale.EventFilter{})), 0)
	}},
	{"what was stored is there after a restart", func(w *world) {
		hook := w.newWebhook()
		claim := w.deliverOne(func(e *telltale.Event) { e.Payload = bytes.Repeat([]byte("x"), 100_000) })
		event, err := w.Event(w.ctx, w.project.ID, claim.Event.ID)
		w.must(err)
		delivery := w.delivery(claim.DeliveryID)
		w.restart()
		after, err := w.Event(w.ctx, w.project.ID, claim.Event.ID)
		w.must(err)
		w.equal("the event", after, event)
		w.equal("the delivery", w.delivery(claim.DeliveryID), delivery)
		again, err := w.Webhook(w.ctx, w.project.ID, hook.ID)
		w.must(err)
		w.equal("the webhook", again, hook)
	}},
	{"an outage is told once, by the first beat after it", func(w *world) {
		beat, err := w.Beat(w.ctx)
		w.must(err)
		w.equal("the outage of a new store", beat.Outage, time.Duration(0))
		w.Advance(telltale.OutageGap)
		beat, err = w.Beat(w.ctx)
		w.must(err)
		w.equal("the outage after a pause", beat.Outage, time.Duration(0))
		w.Advance(telltale.OutageGap + time.Minute)
		w.restart()
		beat, err = w.Beat(w.ctx)
		w.must(err)
		if beat.Outage < telltale.OutageGap+time.Minute || beat.Outage > telltale.OutageGap+2*time.Minute {
			w.Fatalf("the outage took %v", beat.Outage)
		}
		beat, err = w.Beat(w.ctx)
		w.must(err)
		w.equal("the outage after the second beat", beat.Outage, time.Duration(0))
	}},
}
