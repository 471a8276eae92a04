package enginetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"
	"pgregory.net/rapid"

	"telltale.example/telltale"
)

// TestEnginesSayTheSame does the same at random to every engine, and asks after
// each step what all of them say of everything.
func TestEnginesSayTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		engines := []engine{newSQLite(t), newPostgres(t, 1), newPostgres(t, 2)}
		if os.Getenv(faulty) != "" {
			engines[1] = forgetful{engines[1]}
		}
		w := newWorld(rt, engines...)
		defer w.close()
		w.createWebhook(rt)
		w.createWebhook(rt)
		rt.Repeat(w.actions())
	})
}

// faulty is set in the environment of a test that is to find a fault.
const faulty = "TELLTALE_FAULTY_ENGINE"

// forgetful is an engine that does not take back what it gave out.
type forgetful struct{ engine }

func (f forgetful) on(node int, do func(context.Context, telltale.Store)) {
	f.engine.on(node, func(ctx context.Context, s telltale.Store) { do(ctx, forgetfulStore{s}) })
}

type forgetfulStore struct{ telltale.Store }

func (forgetfulStore) ReleaseClaims(context.Context, []telltale.ClaimRef) error { return nil }

// The control: a test that never found anything proves nothing.
func TestAFaultyEngineIsFound(t *testing.T) {
	t.Parallel()
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestEnginesSayTheSame$", "-rapid.checks=50", "-rapid.nofailfile", "-rapid.shrinktime=1ns")
	c.Env = append(os.Environ(), faulty+"=1")
	out, err := c.CombinedOutput()
	var ended *exec.ExitError
	if !errors.As(err, &ended) || !strings.Contains(string(out), "the model (-) and PostgreSQL with 1 nodes (+) differ") {
		t.Errorf("the test ended with %v:\n%s", err, out)
	}
}

// world is the engines, the model, and what the test knows of both.
type world struct {
	*model
	sides    []*side
	made     int       // ids so far
	claims   []heldRef // that were given out and not given back; then those that were
	spent    []heldRef
	looked   map[string]int // attempts of each delivery that were compared
	renewed  time.Time      // when the nodes' leases were renewed
	switched bool           // a webhook, by an attempt, just now
}

// heldRef is a claim, with how many hooks there are before its own: that many
// places from the first node is the one that records it.
type heldRef struct {
	key    string
	number int64
	view   claimView
	began  time.Time
}

// side is an engine, by what it gave out.
type side struct {
	engine
	project telltale.ProjectID
	ids     map[string]telltale.DeliveryID
	claims  map[heldKey]telltale.Claim
	numbers map[string][]int64       // of the claims of each delivery, as they rose
	told    map[telltale.EventID]int // operational events, by age
}

type heldKey struct {
	key    string
	number int64
}

func newWorld(t *rapid.T, engines ...engine) *world {
	w := &world{model: newModel(), looked: map[string]int{}, renewed: beginning}
	for _, e := range engines {
		s := &side{engine: e, claims: map[heldKey]telltale.Claim{}, numbers: map[string][]int64{}, told: map[telltale.EventID]int{}}
		w.sides = append(w.sides, s)
	}
	w.same(t, "the project", "", ask(w, 0, func(ctx context.Context, store telltale.Store, s *side) (string, error) {
		p, err := store.ProjectBySlug(ctx, telltale.DefaultProjectSlug)
		s.project = p.ID
		return p.Slug, err
	}))
	return w
}

func (w *world) close() {
	for _, s := range w.sides {
		s.close()
	}
}

// id gives a new id that is the same on every side, and whenever the test is
// run again.
func (w *world) id(prefix string) string {
	w.made++
	var u ulid.ULID
	_ = u.SetTime(uint64(w.now.UnixMilli()))
	u[15], u[14], u[6] = byte(w.made), byte(w.made>>8), 1
	return prefix + u.String()
}

// answer is what a side said.
type answer[T any] struct {
	side  *side
	value T
	err   error
}

// ask asks every side, through one of its nodes.
func ask[T any](w *world, node int, do func(context.Context, telltale.Store, *side) (T, error)) []answer[T] {
	answers := make([]answer[T], len(w.sides))
	for i, s := range w.sides {
		a := &answers[i]
		a.side = s
		s.on(node, func(ctx context.Context, store telltale.Store) { a.value, a.err = do(ctx, store, s) })
	}
	return answers
}

// same fails the test unless all sides gave that code, and the same answer. It
// gives the answer.
func same[T any](t *rapid.T, what string, want telltale.Code, answers []answer[T]) T {
	for i, a := range answers {
		if telltale.CodeOf(a.err) != want {
			t.Fatalf("%s: %s says %v, which has the code %q, not %q", what, a.side.name(), a.err, telltale.CodeOf(a.err), want)
		}
		if got, first := message(a.err), message(answers[0].err); got != first {
			t.Fatalf("%s: %s says %q, and %s %q", what, a.side.name(), got, answers[0].side.name(), first)
		}
		if diff := cmp.Diff(answers[0].value, answers[i].value); diff != "" {
			t.Fatalf("%s: %s (-) and %s (+) differ:\n%s", what, answers[0].side.name(), a.side.name(), diff)
		}
	}
	return answers[0].value
}

func message(err error) string {
	var known *telltale.Error
	if errors.As(err, &known) {
		return fmt.Sprint(known.Message, known.Faults)
	}
	return ""
}

func (w *world) same(t *rapid.T, what string, want telltale.Code, answers []answer[string]) string {
	return same(t, what, want, answers)
}

// equal fails the test if the sides say something else than the model.
func equal[T any](t *rapid.T, what string, got, want T) {
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s: the model (-) and the engines (+) differ:\n%s", what, diff)
	}
}

// check compares everything.
func (w *world) check(t *rapid.T) {
	for _, s := range w.sides {
		if now := s.now(); !now.Equal(w.now) {
			t.Fatalf("the clock of %s is at %v, not at %v", s.name(), now, w.now)
		}
	}
	want := w.view()
	node := rapid.IntRange(0, 1).Draw(t, "the node that looks")
	for _, s := range w.sides {
		diff := w.differs(t, s, node, want)
		// Other nodes are told of what attempts made of a webhook, and not waited for.
		for deadline := time.Now().Add(5 * time.Second); diff != "" && w.switched && time.Now().Before(deadline); {
			<-time.After(time.Millisecond)
			diff = w.differs(t, s, node, want)
		}
		if diff != "" {
			t.Fatalf("the model (-) and %s (+) differ:\n%s", s.name(), diff)
		}
	}
	w.switched = false
	for _, d := range w.deliveries {
		if w.looked[d.key] != len(d.log) {
			w.looked[d.key] = len(d.log)
			equal(t, "the attempts of "+d.key, same(t, "attempts", "", ask(w, 0, func(ctx context.Context, store telltale.Store, s *side) ([]telltale.Attempt, error) {
				found, err := store.Delivery(ctx, s.project, s.ids[d.key])
				return found.Attempts, err
			})), d.log)
		}
	}
}

// differs tells how what a side says differs from what it is to say.
func (w *world) differs(t *rapid.T, s *side, node int, want view) (diff string) {
	s.on(node, func(ctx context.Context, store telltale.Store) {
		got, ids, err := s.look(ctx, store)
		if err != nil {
			diff = fmt.Sprint("it says ", err)
			return
		}
		s.ids, diff = ids, cmp.Diff(want, got)
	})
	return diff
}

// hook draws a webhook; only one that is not deleted, if live says so.
func (w *world) hook(t *rapid.T, live bool) *modelHook {
	hooks := slices.Clone(w.hooks)
	if live {
		hooks = slices.DeleteFunc(hooks, func(h *modelHook) bool { return h.Deleted })
	}
	if len(hooks) == 0 {
		t.Skip("there is no webhook")
	}
	return hooks[rapid.IntRange(0, len(hooks)-1).Draw(t, "webhook")]
}

// home is the node that records the attempts of a webhook: what others do not
// know of its standing for up to a minute is no difference.
func (w *world) home(h *modelHook) int { return slices.Index(w.hooks, h) }

func anyNode(t *rapid.T) int { return rapid.IntRange(0, 1).Draw(t, "node") }

// actions are what is done, some of it more often than the rest.
func (w *world) actions() map[string]func(*rapid.T) {
	actions := map[string]func(*rapid.T){"": w.check}
	for _, a := range []struct {
		name  string
		often int
		do    func(*rapid.T)
	}{
		{"create a webhook", 1, w.createWebhook},
		{"update a webhook", 1, w.updateWebhook},
		{"disable a webhook", 1, w.disableWebhook},
		{"enable a webhook", 2, w.enableWebhook},
		{"delete a webhook", 1, w.deleteWebhook},
		{"restore a webhook", 1, w.restoreWebhook},
		{"accept", 4, w.acceptEvents},
		{"accept a test", 1, w.acceptTest},
		{"claim", 6, w.claimDue},
		{"record", 8, w.recordAttempts},
		{"release claims", 1, w.releaseClaims},
		{"restart", 1, w.restartAll},
		{"take over", 1, w.takeOverAll},
		{"beat", 1, w.beatAll},
		{"retry", 2, w.retryDelivery},
		{"cancel", 1, w.cancelDelivery},
		{"advance the clock", 6, w.advanceClock},
		{"purge", 1, w.purgeAll},
		{"create a replay", 1, w.createReplay},
		{"advance a replay", 2, w.advanceReplays},
		{"switch a replay", 1, w.switchReplays},
	} {
		for i := range a.often {
			actions[fmt.Sprint(a.name, " ", i)] = a.do
		}
	}
	return actions
}

// operational are the events that Telltale makes about itself.
var operational = telltale.NewEventTypeSet(telltale.WebhookFailing, telltale.WebhookDisabled, telltale.WebhookRecovered, telltale.DeliveryFailed)

func (w *world) createWebhook(t *rapid.T) {
	if len(w.hooks) >= 4 {
		t.Skip("there are enough")
	}
	hook := telltale.Webhook{
		ID: telltale.WebhookID(w.id("whk_")), Version: 1, URL: "https://receiver.example/in", Enabled: rapid.IntRange(0, 5).Draw(t, "disabled") < 5,
		Events:        rapid.SampledFrom([]telltale.EventTypeSet{telltale.AllEventTypes, telltale.AllEventTypes | operational, telltale.NewEventTypeSet(telltale.Delivered), operational}).Draw(t, "events"),
		RetrySchedule: rapid.SampledFrom([]telltale.Schedule{nil, nil, nil, {10 * time.Second, time.Hour}, {}}).Draw(t, "schedule"),
		SkipMachines:  rapid.Bool().Draw(t, "skip machines"),
		Timeout:       telltale.DefaultTimeout, Concurrency: telltale.DefaultConcurrency, Format: telltale.FormatVero2,
		Secrets: []telltale.Secret{{Value: "whsec_a"}}, CreatedAt: w.now, UpdatedAt: w.now,
	}
	if !hook.Enabled {
		hook.DisabledReason, hook.DisabledAt = telltale.DisabledManual, w.now
	}
	w.create(hook)
	same(t, "creating a webhook", "", ask(w, anyNode(t), func(ctx context.Context, store telltale.Store, s *side) (hookView, error) {
		mine := hook
		mine.ProjectID = s.project
		made, err := store.CreateWebhook(ctx, mine)
		return viewMade(made), err
	}))
}

// viewMade is the webhook that an operation gave, if it gave one.
func viewMade(w *telltale.Webhook) hookView {
	if w == nil {
		return hookView{}
	}
	return viewHook(w)
}

// changed compares what a change of a webhook gave.
func (w *world) changed(t *rapid.T, what string, h *modelHook, code telltale.Code, node int, do func(context.Context, telltale.Store, *side) (*telltale.Webhook, error)) {
	got := same(t, what, code, ask(w, node, func(ctx context.Context, store telltale.Store, s *side) (hookView, error) {
		made, err := do(ctx, store, s)
		return viewMade(made), err
	}))
	if code == "" {
		equal(t, what, got, viewHook(&h.Webhook))
	}
}

func (w *world) updateWebhook(t *rapid.T) {
	h := w.hook(t, false)
	version := h.Version - int64(rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(t, "versions behind"))
	wanted := h.Webhook
	wanted.URL = rapid.SampledFrom([]string{"https://receiver.example/in", "https://receiver.example/other"}).Draw(t, "URL")
	wanted.Events = rapid.SampledFrom([]telltale.EventTypeSet{telltale.AllEventTypes, telltale.AllEventTypes | operational, telltale.NewEventTypeSet(telltale.Opened, telltale.Delivered)}).Draw(t, "events")
	wanted.Version = version
	code := w.update(h, version, func(hook *telltale.Webhook) { hook.URL, hook.Events = wanted.URL, wanted.Events })
	w.changed(t, "updating a webhook", h, code, anyNode(t), func(ctx context.Context, store telltale.Store, s *side) (*telltale.Webhook, error) {
		mine := wanted
		mine.ProjectID = s.project
		return store.UpdateWebhook(ctx, mine)
	})
}

func (w *world) disableWebhook(t *rapid.T) {
	h := w.hook(t, false)
	w.changed(t, "disabling a webhook", h, w.disable(h, telltale.DisabledManual), anyNode(t), func(ctx context.Context, store telltale.Store, s *side) (*telltale.Webhook, error) {
		return store.DisableWebhook(ctx, s.project, h.ID, telltale.DisabledManual)
	})
}

func (w *world) enableWebhook(t *rapid.T) {
	h := w.hook(t, false)
	w.changed(t, "enabling a webhook", h, w.enable(h), anyNode(t), func(ctx context.Context, store telltale.Store, s *side) (*telltale.Webhook, error) {
		return store.EnableWebhook(ctx, s.project, h.ID)
	})
}

func (w *world) deleteWebhook(t *rapid.T) {
	if rapid.IntRange(0, 2).Draw(t, "think again") > 0 {
		t.Skip("a webhook that is deleted does little")
	}
	h := w.hook(t, false)
	version := rapid.SampledFrom([]int64{0, h.Version, h.Version - 1}).Draw(t, "version")
	w.changed(t, "deleting a webhook", h, w.delete(h, version), anyNode(t), func(ctx context.Context, store telltale.Store, s *side) (*telltale.Webhook, error) {
		return store.DeleteWebhook(ctx, s.project, h.ID, version)
	})
}

func (w *world) restoreWebhook(t *rapid.T) {
	h := w.hook(t, false)
	w.changed(t, "restoring a webhook", h, w.restore(h), anyNode(t), func(ctx context.Context, store telltale.Store, s *side) (*telltale.Webhook, error) {
		return store.RestoreWebhook(ctx, s.project, h.ID)
	})
}

// room gives a side its own room of the same size.
type room map[telltale.WebhookID]int

func (r room) Reserve(w *telltale.Webhook) bool {
	if r[w.ID] <= 0 {
		return false
	}
	r[w.ID]--
	return true
}

func (r room) Release(w *telltale.Webhook) { r[w.ID]++ }

func (w *world) newEvent(t *rapid.T) *telltale.Event {
	e := &telltale.Event{
		ID: telltale.EventID(w.id("evt_")), Source: "api", OccurredAt: w.now, ReceivedAt: w.now, UserID: "42", Payload: []byte(`{}`),
		Type: rapid.SampledFrom([]telltale.EventType{telltale.Delivered, telltale.Delivered, telltale.Opened, telltale.Bounced}).Draw(t, "type"),
	}
	if e.Type == telltale.Opened {
		e.Machine = new(rapid.Bool().Draw(t, "machine"))
	}
	return e
}

func (w *world) acceptEvents(t *rapid.T) {
	if len(w.deliveries) > telltale.MaxPage-100 {
		t.Skip("there are enough")
	}
	events := make([]*telltale.Event, rapid.SampledFrom([]int{1, 1, 2, 3, 12}).Draw(t, "events"))
	for i := range events {
		e := w.newEvent(t)
		if e.CallerID = rapid.SampledFrom([]string{"", "", "", "a", "b", "c"}).Draw(t, "caller's id"); e.CallerID != "" {
			e.ContentHash = sha256.Sum256([]byte(rapid.SampledFrom([]string{"x", "x", "x", "y"}).Draw(t, "content")))
		}
		events[i] = e
	}
	free := room{}
	for _, h := range w.hooks {
		free[h.ID] = rapid.SampledFrom([]int{0, 0, 1, 12}).Draw(t, "room")
	}
	left := maps.Clone(free)
	want, born, code := w.accept(events, left)
	answers := ask(w, anyNode(t), func(ctx context.Context, store telltale.Store, s *side) (accepted accepted, err error) {
		mine, events := maps.Clone(free), slices.Clone(events)
		for i, e := range events {
			events[i] = new(*e)
			events[i].ProjectID = s.project
		}
		got, err := store.AcceptEvents(ctx, telltale.Acceptance{ProjectID: s.project, Events: events, Room: mine})
		accepted.Events, accepted.Left = got.Events, mine
		for _, w := range got.Waiting {
			accepted.Waiting = append(accepted.Waiting, w.ID)
		}
		slices.Sort(accepted.Waiting)
		accepted.Claims = s.keep(got.Claims)
		return accepted, err
	})
	got := same(t, "accepting events", code, answers)
	if code != "" {
		equal(t, "the room that is left", got.Left, free)
		return
	}
	equal(t, "the answers", got.Events, want)
	equal(t, "the room that is left", got.Left, left)
	w.claimed(t, got.Claims, born)
}

type accepted struct {
	Events  []telltale.AcceptedEvent
	Waiting []telltale.WebhookID
	Claims  []claimView
	Left    room
}

func byWebhook(claims []claimView) {
	slices.SortStableFunc(claims, func(a, b claimView) int { return strings.Compare(a.Webhook, b.Webhook) })
}

// keep remembers claims that the side gave.
func (s *side) keep(claims []telltale.Claim) []claimView {
	var views []claimView
	for _, c := range claims {
		v := s.viewClaim(&c)
		views = append(views, v)
		s.claims[heldKey{v.Key, v.Number}] = c
	}
	byWebhook(views)
	return views
}

// claimed compares claims, and remembers them. Those of one webhook are in order;
// which webhook comes first is the engine's affair.
func (w *world) claimed(t *rapid.T, got []claimView, want []*modelDelivery) {
	var views []claimView
	for _, d := range want {
		v := w.claimOf(d)
		views = append(views, v)
		w.claims = append(w.claims, heldRef{d.key, d.claim, v, w.now})
	}
	byWebhook(views)
	equal(t, "the claims", got, views)
}

func (w *world) acceptTest(t *rapid.T) {
	h, e := w.hook(t, false), w.newEvent(t)
	e.Test = true
	d, code := w.model.acceptTest(e, h)
	got := same(t, "accepting a test", code, ask(w, anyNode(t), func(ctx context.Context, store telltale.Store, s *side) ([]claimView, error) {
		mine := *e
		mine.ProjectID = s.project
		claim, err := store.AcceptTest(ctx, mine, h.ID)
		if err != nil {
			return nil, err
		}
		return s.keep([]telltale.Claim{claim}), nil
	}))
	if code == "" {
		w.claimed(t, got, []*modelDelivery{d})
	}
}

func (w *world) claimDue(t *rapid.T) {
	var lanes []telltale.LaneRoom
	var claimed []*modelDelivery
	for _, h := range w.hooks {
		l := telltale.LaneRoom{WebhookID: h.ID, Slots: rapid.SampledFrom([]int{20, 20, 2, 1, 0}).Draw(t, "slots"), Held: rapid.SampledFrom([]int{20, 1, 0}).Draw(t, "held")}
		lanes = append(lanes, l)
		claimed = append(claimed, w.claim(h, l.Slots, l.Held)...)
	}
	if len(lanes) == 0 {
		t.Skip("there is no webhook")
	}
	got := same(t, "claiming", "", ask(w, anyNode(t), func(ctx context.Context, store telltale.Store, s *side) (all lanesView, err error) {
		claims, err := store.ClaimDue(ctx, lanes)
		for i, l := range claims {
			all.Claims = append(all.Claims, s.keep(l.Claims)...)
			if h := w.hooks[i]; h.Enabled && !h.Deleted {
				all.Due = append(all.Due, dueView{l.In, l.LaneDue.Held})
			}
		}
		return all, err
	}))
	w.claimed(t, got.Claims, claimed)
	var due []dueView
	for _, h := range w.hooks {
		if h.Enabled && !h.Deleted {
			due = append(due, w.due(h))
		}
	}
	equal(t, "what is left", got.Due, due)
}

type lanesView struct {
	Claims []claimView
	Due    []dueView
}

func (w *world) versions() (versions []int64) {
	for _, h := range w.hooks {
		versions = append(versions, h.Version)
	}
	return versions
}

// draw takes claims out of those that are held, or of those that were: what is
// done with the latter is to change nothing. They are of webhooks that have the
// same home; alone says that they are of the one.
func (w *world) draw(t *rapid.T, alone bool) (home int, drawn []heldRef) {
	from := &w.claims
	if len(w.spent) > 0 && rapid.IntRange(0, 9).Draw(t, "claims that are held") == 0 {
		from = &w.spent
	}
	if len(*from) == 0 {
		t.Skip("nothing is claimed")
	}
	h := w.delivery(rapid.SampledFrom(*from).Draw(t, "claim").key).hook
	most := rapid.SampledFrom([]int{100, 1, 1, 3}).Draw(t, "claims")
	var left []heldRef
	for _, c := range *from {
		of := w.delivery(c.key).hook
		if len(drawn) < most && (of == h || !alone && w.home(of)%2 == w.home(h)%2) {
			drawn = append(drawn, c)
		} else {
			left = append(left, c)
		}
	}
	*from = left
	w.spent = append(w.spent, drawn...)
	w.spent = w.spent[max(0, len(w.spent)-20):]
	return w.home(h), drawn
}

// moods are what can come of attempts at a receiver. Most attempts of one call
// are in the same mood, so that a breaker opens now and then.
var moods = [][]telltale.Attempt{
	{{Status: 200}, {Status: 204}},
	{{Status: 500, Error: telltale.ErrorHTTPStatus}, {Error: telltale.ErrorTimeout, RetryAfter: time.Minute}},
	{{Status: 503, Error: telltale.ErrorHTTPStatus, RetryAfter: time.Hour}, {Status: 429, Error: telltale.ErrorHTTPStatus}},
	{{Status: 410, Error: telltale.ErrorHTTPStatus}},
	{{Error: telltale.ErrorBlockedAddress}},
	{{Error: telltale.ErrorInterrupted}, {Error: telltale.ErrorInternal}},
}

func (w *world) recordAttempts(t *rapid.T) {
	home, drawn := w.draw(t, rapid.Bool().Draw(t, "of one webhook"))
	results := make([]modelResult, len(drawn))
	common := rapid.SampledFrom([]int{1, 1, 0, 0, 0, 2, 3, 4, 5}).Draw(t, "mood")
	for i, c := range drawn {
		mood := moods[common]
		if rapid.IntRange(0, 9).Draw(t, "as the others") == 9 {
			mood = moods[rapid.IntRange(0, len(moods)-1).Draw(t, "own mood")]
		}
		a := mood[rapid.IntRange(0, len(mood)-1).Draw(t, "outcome")]
		a.Number, a.Trigger, a.Node, a.StartedAt, a.Duration = c.view.Attempt, c.view.Trigger, testNode, c.began, 12*time.Millisecond
		claim := telltale.Claim{Step: c.view.Step, Tries: c.view.Tries, Age: c.view.Age, Trigger: c.view.Trigger, Test: c.view.Test, Once: c.view.Once}
		results[i] = modelResult{key: c.key, number: c.number, attempt: a, outcome: claim.After(&a, w.delivery(c.key).hook.RetrySchedule, 0.5), version: c.view.Version}
	}
	versions := w.versions()
	want := w.record(results)
	w.switched = !slices.Equal(w.versions(), versions)
	got := same(t, "recording attempts", "", ask(w, home, func(ctx context.Context, store telltale.Store, s *side) (v recordedView, err error) {
		mine := make([]telltale.Result, len(results))
		for i, r := range results {
			claim := s.claims[heldKey{r.key, r.number}]
			mine[i] = telltale.Result{ClaimRef: claim.ClaimRef, Attempt: new(r.attempt), Outcome: r.outcome, WebhookVersion: r.version}
		}
		recorded, err := store.RecordAttempts(ctx, mine)
		v.Applied = recorded.Applied
		for _, w := range recorded.Changed {
			v.Changed = append(v.Changed, viewHook(w))
		}
		slices.SortFunc(v.Changed, func(a, b hookView) int { return strings.Compare(string(a.ID), string(b.ID)) })
		for _, w := range recorded.Waiting {
			v.Waiting = append(v.Waiting, w.ID)
		}
		slices.Sort(v.Waiting)
		for _, n := range recorded.News {
			v.News = append(v.News, n.Type)
		}
		return v, err
	}))
	got.Changed = nil // which the engines agree on
	equal(t, "what was recorded", got, want)
}

type recordedView struct {
	Applied []bool
	Changed []hookView
	Waiting []telltale.WebhookID
	News    []telltale.EventType
}

func (w *world) releaseClaims(t *rapid.T) {
	_, drawn := w.draw(t, false)
	for _, c := range drawn {
		w.release(c.key, c.number)
	}
	w.same(t, "releasing claims", "", ask(w, anyNode(t), func(ctx context.Context, store telltale.Store, s *side) (string, error) {
		var refs []telltale.ClaimRef
		for _, c := range drawn {
			refs = append(refs, s.claims[heldKey{c.key, c.number}].ClaimRef)
		}
		return "", store.ReleaseClaims(ctx, refs)
	}))
}

func (w *world) restartAll(*rapid.T) {
	w.renewed = w.now
	w.model.restart()
	for _, s := range w.sides {
		s.restart()
	}
}

func (w *world) takeOverAll(t *rapid.T) {
	want := w.takeOver()
	equal(t, "what is taken over", same(t, "taking over", "", ask(w, anyNode(t), func(ctx context.Context, store telltale.Store, _ *side) (int, error) { return store.TakeOver(ctx) })), want)
}

func (w *world) beatAll(t *rapid.T) {
	w.renewed = w.now
	want := w.beat()
	for node := range 2 {
		got := same(t, "a beat", "", ask(w, node, func(ctx context.Context, store telltale.Store, s *side) (time.Duration, error) {
			if node >= s.nodes() {
				return 0, nil
			}
			beat, err := store.Beat(ctx)
			if last := node == s.nodes()-1; err == nil && last && (beat.Workers != s.nodes() || beat.Place != node) {
				err = fmt.Errorf("it is at place %d of %d", beat.Place, beat.Workers)
			}
			return beat.Outage, err
		}))
		if node == 0 {
			equal(t, "the outage", got, want)
		}
	}
}

// pick draws a delivery.
func (w *world) pick(t *rapid.T) *modelDelivery {
	if len(w.deliveries) == 0 {
		t.Skip("there is no delivery")
	}
	return rapid.SampledFrom(w.deliveries).Draw(t, "delivery")
}

func (w *world) retryDelivery(t *rapid.T) {
	d := w.pick(t)
	w.same(t, "retrying a delivery", w.retry(d), ask(w, w.home(d.hook), func(ctx context.Context, store telltale.Store, s *side) (string, error) {
		got, err := store.RetryDelivery(ctx, s.project, s.ids[d.key])
		return string(got.State), err
	}))
}

func (w *world) cancelDelivery(t *rapid.T) {
	d := w.pick(t)
	w.same(t, "cancelling a delivery", w.cancel(d), ask(w, anyNode(t), func(ctx context.Context, store telltale.Store, s *side) (string, error) {
		got, err := store.CancelDelivery(ctx, s.project, s.ids[d.key])
		return string(got.State), err
	}))
}

func (w *world) advanceClock(t *rapid.T) {
	d := rapid.SampledFrom([]time.Duration{
		time.Millisecond, time.Second, 10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 25 * time.Hour,
	}).Draw(t, "time")
	w.now = w.now.Add(d)
	for _, s := range w.sides {
		s.advance(d)
	}
	if w.now.Sub(w.renewed) > telltale.Lease/2 {
		w.beatAll(t) // a node that has lost its lease may be behind, as none on one file can be
	}
}

// purgeAll purges what was received before a day began, since an engine may keep
// all of a day as long as the last of it. Engines do it in as many calls as they
// like; what they tell of the number is theirs, too.
func (w *world) purgeAll(t *rapid.T) {
	before := w.now.Truncate(24*time.Hour).AddDate(0, 0, -rapid.IntRange(0, 1).Draw(t, "days"))
	age := w.now.Sub(before)
	if age == 0 {
		t.Skip("a retention of nothing keeps all")
	}
	w.purge(before)
	w.spent = slices.DeleteFunc(w.spent, func(c heldRef) bool { return w.delivery(c.key) == nil })
	w.same(t, "purging", "", ask(w, anyNode(t), func(ctx context.Context, store telltale.Store, _ *side) (string, error) {
		for {
			_, more, err := store.Purge(ctx, telltale.Retention{Events: age, CallerIDs: telltale.CallerIDMemory})
			if err != nil || !more {
				return "", err
			}
		}
	}))
}

func (w *world) createReplay(t *rapid.T) {
	h := w.hook(t, false)
	r := telltale.Replay{
		ID: telltale.ReplayID(w.id("rpl_")), To: h.ID, Rate: 10, CreatedAt: w.now,
		Selection: telltale.Selection{Which: rapid.SampledFrom([]telltale.Which{telltale.WhichFailed, telltale.WhichHeld, telltale.WhichUnsent, telltale.WhichUndelivered, telltale.WhichAll}).Draw(t, "which")},
	}
	_, code := w.replay(r.ID, h, r.Selection.Which)
	w.same(t, "creating a replay", code, ask(w, anyNode(t), func(ctx context.Context, store telltale.Store, s *side) (string, error) {
		mine := r
		mine.ProjectID = s.project
		made, err := store.CreateReplay(ctx, mine)
		return string(made.State), err
	}))
}

// running draws a replay.
func (w *world) anyReplay(t *rapid.T) *modelReplay {
	if len(w.replays) == 0 {
		t.Skip("there is no replay")
	}
	return rapid.SampledFrom(w.replays).Draw(t, "replay")
}

// advanceReplays goes on until the replay made as many as are wanted, or ended:
// how much an engine does at a time is its own affair, and so is whether it
// knows at once that there is no more.
func (w *world) advanceReplays(t *rapid.T) {
	if len(w.deliveries) > telltale.MaxPage-100 {
		t.Skip("there are enough")
	}
	r := w.anyReplay(t)
	n := rapid.SampledFrom([]int{1, 3, 1000}).Draw(t, "deliveries")
	before := r.made
	w.advanceReplay(r, n)
	w.same(t, "advancing a replay", "", ask(w, anyNode(t), func(ctx context.Context, store telltale.Store, s *side) (string, error) {
		for made := 0; ; {
			got, _, err := store.AdvanceReplay(ctx, r.id, n-made)
			if err != nil || got.State != telltale.ReplayRunning || got.Made-before >= n {
				return string(got.State), err
			}
			made = got.Made - before
		}
	}))
}

func (w *world) switchReplays(t *rapid.T) {
	r := w.anyReplay(t)
	to := rapid.SampledFrom([]telltale.ReplayState{telltale.ReplayRunning, telltale.ReplayPaused, telltale.ReplayCancelled}).Draw(t, "state")
	w.same(t, "switching a replay", w.switchReplay(r, to), ask(w, anyNode(t), func(ctx context.Context, store telltale.Store, s *side) (string, error) {
		got, err := store.SwitchReplay(ctx, s.project, r.id, to)
		return string(got.State), err
	}))
}
