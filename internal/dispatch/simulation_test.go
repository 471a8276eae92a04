package dispatch

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"telltale.example/telltale"
)

var (
	seeds = flag.Int("seeds", 2, "how many random histories to play")
	seed  = flag.Uint64("seed", 1, "the first of them; each has the seed after that of the one before")
)

// TestSimulation plays five days to a cluster, again and again: nodes that die,
// stand still past their lease and wake, or do not reach the store; a store that is
// away, or does not say what it did; receivers that are down for days; people who
// switch, retry and test. Throughout, nothing may happen that must not, and when all
// is well again everything that was owed comes to its end.
func TestSimulation(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]int{}
	t.Run("seeds", func(t *testing.T) {
		for n := range uint64(*seeds) {
			t.Run(fmt.Sprint(*seed+n), func(t *testing.T) {
				t.Parallel()
				s := play(t, *seed+n)
				mu.Lock()
				defer mu.Unlock()
				for what, n := range s.counts {
					seen[what] += n
				}
			})
		}
	})
	for _, what := range slices.Sorted(maps.Keys(seen)) {
		t.Logf("figure %s: %d", what, seen[what])
	}
	if *seeds < 30 {
		return // too few for all of it to happen
	}
	for _, what := range []string{
		"attempts", "breakers that opened", "breakers that closed", "warned once", "warned last", "disabled as failing", "disabled as gone", "disabled as blocked",
		"enabled by a test", "taken over", "results too late", "leases that ended", "nodes that woke after their lease", "outages of our own", "unknown outcomes", "failed",
	} {
		if seen[what] == 0 {
			t.Errorf("in %d seeds there were no %s: they try less than they are to", *seeds, what)
		}
	}
}

// A seed does the same again: the trace of one is that of the other, to the
// nanosecond.
func TestASeedPlaysTheSameAgain(t *testing.T) {
	t.Parallel()
	for n := range uint64(1 + *seeds/10) {
		first, again := play(t, *seed+n), play(t, *seed+n)
		for i := range max(len(first.lines), len(again.lines)) {
			if i >= len(first.lines) || i >= len(again.lines) || first.lines[i] != again.lines[i] {
				t.Errorf("seed %d: line %d of %d is\n%s\nand of %d\n%s", *seed+n, i, len(first.lines), strings.Join(first.lines[min(i, len(first.lines)):min(i+3, len(first.lines))], "\n"),
					len(again.lines), strings.Join(again.lines[min(i, len(again.lines)):min(i+3, len(again.lines))], "\n"))
				break
			}
		}
	}
}

// play plays a seed, in a bubble of its own.
func play(t *testing.T, seed uint64) *simulation {
	var s *simulation
	synctest.Test(t, func(t *testing.T) {
		s = newSimulation(t, seed)
		s.days()
		s.mend()
		s.close()
		if t.Failed() {
			t.Logf("play it again with -run TestSimulation -seeds 1 -seed %d", seed)
		}
	})
	slices.Sort(s.lines) // by time, and of one moment by what they say
	return s
}

// simulation is a cluster in virtual time. What several goroutines touch is theirs
// in turn.
type simulation struct {
	t      *testing.T
	seed   uint64
	rng    *rand.Rand // the driver's alone
	config Config
	began  time.Time
	end    time.Time // of the five days

	turn    sync.Mutex
	model   *model
	nodes   []*seat // the dead too
	seats   int
	leases  int
	living  []int     // leases, as the last heartbeat saw them
	shifted time.Time // when these changed last
	beatAt  time.Time // the last of any node
	outage  time.Time // the store is away until then
	faulty  time.Time // it fails now and then until then
	trouble time.Time // whatever is wrong is over then
	ids     []telltale.WebhookID
	moods   map[telltale.WebhookID]int
	changed map[telltale.WebhookID]time.Time // of the mood
	doomed  map[telltale.WebhookID]bool      // those whose mood does not change
	oracles map[telltale.WebhookID]*oracle
	flying  map[telltale.WebhookID]int
	freed   map[telltale.WebhookID]time.Time // when it was enabled
	opened  map[telltale.WebhookID]time.Time // when its breaker was last seen to open
	paced   map[telltale.WebhookID][]time.Time
	pacedBy time.Time // shifted, as these are of
	counts  map[string]int
	lines   []string
	faults  int

	pending sync.WaitGroup // what happens later
}

const day = 24 * time.Hour

func newSimulation(t *testing.T, seed uint64) *simulation {
	rng := rand.New(rand.NewPCG(seed, 1))
	s := &simulation{
		t: t, seed: seed, rng: rng, model: newModel(), began: time.Now(), end: time.Now().Add(5*day + 6*time.Hour),
		moods: map[telltale.WebhookID]int{}, changed: map[telltale.WebhookID]time.Time{}, doomed: map[telltale.WebhookID]bool{}, oracles: map[telltale.WebhookID]*oracle{},
		flying: map[telltale.WebhookID]int{}, freed: map[telltale.WebhookID]time.Time{}, opened: map[telltale.WebhookID]time.Time{}, paced: map[telltale.WebhookID][]time.Time{}, counts: map[string]int{},
	}
	s.model.unwatched = true
	jitter := rng.Float64() // one for all: who draws first is the scheduler's choice
	s.config = Config{Workers: 2 + rng.IntN(12), PollInterval: []time.Duration{15 * time.Second, 30 * time.Second, time.Minute}[rng.IntN(3)], Jitter: func() float64 { return jitter }}
	for range 2 + rng.IntN(5) {
		s.add()
	}
	for range 1 + rng.IntN(3) {
		s.sit()
	}
	pass(time.Second)
	return s
}

func (s *simulation) add() {
	w := telltale.NewWebhook(telltale.ProjectID(fmt.Sprintf("prj_%d", s.rng.IntN(2))), "https://example.com/", telltale.AllEventTypes)
	w.ID = telltale.WebhookID(fmt.Sprintf("whk_%04d", len(s.ids)))
	w.Concurrency = 1 + s.rng.IntN(5)
	if s.rng.IntN(4) == 0 {
		w.RateLimit = 0.5 + 3*s.rng.Float64()
	}
	switch s.rng.IntN(6) {
	case 0:
		w.RetrySchedule = telltale.Schedule{}
	case 1:
		w.RetrySchedule = telltale.Schedule{time.Second, time.Minute, time.Hour}
	}
	s.model.webhooks[w.ID] = &w
	s.ids = append(s.ids, w.ID)
	s.oracles[w.ID] = newOracle(&w)
	s.changed[w.ID] = s.began
	if s.rng.IntN(2) == 0 {
		s.moods[w.ID] = s.rng.IntN(moods)
	}
	if s.rng.IntN(5) == 0 {
		s.moods[w.ID], s.doomed[w.ID] = []int{moodDown, moodErrors}[s.rng.IntN(2)], true
	}
}

// traceTime is how long the time is before each line of a trace.
const traceTime = 20

// trace notes what happens, with its time.
func (s *simulation) trace(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf("%*d ", traceTime-1, time.Since(s.began))+fmt.Sprintf(format, args...))
}

func (s *simulation) note(what string, n int) { s.counts[what] += n }

// violate reports what must not happen.
func (s *simulation) violate(format string, args ...any) {
	s.t.Helper()
	if s.faults++; s.faults <= 10 {
		s.t.Errorf("%v: %s", time.Since(s.began), fmt.Sprintf(format, args...))
	}
}

// later has something happen later, unless it is all over by then.
func (s *simulation) later(after time.Duration, do func()) {
	s.pending.Go(func() {
		<-time.After(after)
		do()
	})
}

// present gives the nodes whose process lives.
func (s *simulation) present() (list []*seat) {
	s.turn.Lock()
	defer s.turn.Unlock()
	for _, n := range s.nodes {
		if !n.dead {
			list = append(list, n)
		}
	}
	return list
}

// disturbed reports whether anything was wrong lately.
func (s *simulation) disturbed(lately time.Duration) bool {
	s.turn.Lock()
	defer s.turn.Unlock()
	return time.Now().Before(s.trouble.Add(lately))
}

// disturb notes that something is wrong for so long.
func (s *simulation) disturb(d time.Duration) time.Time {
	until := time.Now().Add(d)
	s.trouble = later(s.trouble, until)
	return until
}

// days has things happen for five days.
func (s *simulation) days() {
	for time.Now().Before(s.end) {
		s.step()
		mean := 25 * time.Minute
		if s.rng.IntN(2) == 0 {
			mean = 2 * time.Second
		}
		pass(time.Duration(s.rng.ExpFloat64() * float64(mean)))
		s.look()
	}
}

func (s *simulation) step() {
	nodes := s.present()
	nodes = slices.DeleteFunc(nodes, func(n *seat) bool { return n.away(time.Now()) })
	id := s.ids[s.rng.IntN(len(s.ids))]
	choice := s.rng.IntN(100)
	if len(nodes) == 0 { // others may come up
		if len(s.present()) < 3 && choice < 50 {
			s.sit()
		}
		return
	}
	at := nodes[s.rng.IntN(len(nodes))]
	if choice >= 74 && s.rng.IntN(3) > 0 { // in the midst of work
		for range 5 + s.rng.IntN(20) {
			s.accept(at, s.ids[s.rng.IntN(len(s.ids))])
		}
		pass(time.Duration(s.rng.IntN(int(2 * time.Second))))
	}
	switch {
	case choice < 42:
		for range 1 + s.rng.IntN(6) {
			s.accept(at, id, s.ids[s.rng.IntN(len(s.ids))])
		}
		if s.rng.IntN(8) == 0 { // many
			for range 60 {
				s.accept(at, id)
			}
		}
	case choice < 54:
		s.turn.Lock()
		if !s.doomed[id] {
			s.moods[id], s.changed[id] = s.rng.IntN(moods), time.Now()
			if s.rng.IntN(2) == 0 {
				s.moods[id] = moodHealthy
			}
		}
		s.turn.Unlock()
	case choice < 62 && s.doomed[id]: // nobody sees to it
	case choice < 58:
		s.change(at, id, func(w *telltale.Webhook) {
			if w.Enabled = !w.Enabled; w.Enabled {
				w.DisabledReason = ""
			} else {
				w.DisabledReason = telltale.DisabledManual
			}
		})
	case choice < 62:
		s.change(at, id, enabled(true))
	case choice < 64:
		if !s.doomed[id] {
			s.change(at, id, func(w *telltale.Webhook) { w.URL += "x" })
		}
	case choice < 65:
		if s.rng.IntN(4) == 0 {
			s.change(at, id, func(w *telltale.Webhook) { w.Deleted = true })
		}
	case choice < 70:
		s.retry(at)
	case choice < 74:
		s.test(at, id)
	case choice < 79:
		at.die()
		s.turn.Lock()
		s.disturb(telltale.Lease)
		s.turn.Unlock()
	case choice < 82:
		at.leave()
	case choice < 89:
		if len(s.present()) < 3 {
			s.sit()
		}
	case choice < 93: // a machine that stands still
		s.turn.Lock()
		at.frozen = s.disturb(time.Duration(5+s.rng.IntN(120)) * time.Second)
		s.turn.Unlock()
	case choice < 96: // a node that does not reach the store
		s.turn.Lock()
		at.cut = s.disturb(time.Duration(1+s.rng.IntN(180)) * time.Second)
		s.turn.Unlock()
	case choice < 98:
		s.turn.Lock()
		s.faulty = s.disturb(time.Duration(1+s.rng.IntN(600)) * time.Second)
		s.turn.Unlock()
	default:
		s.turn.Lock()
		s.outage = s.disturb(time.Duration(1+s.rng.IntN(1500)) * time.Second)
		s.turn.Unlock()
	}
}

// accept takes an event at a node, whose hand-over comes a little later.
func (s *simulation) accept(at *seat, ids ...telltale.WebhookID) {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.outage.After(time.Now()) {
		return
	}
	s.model.node = at.number
	offer := s.model.acceptLate(at.dispatcher, 1+s.rng.IntN(500), ids...)
	s.later(latency(2*time.Millisecond, s.seed, s.model.seq), offer)
}

// change is a person's change, through a node. It is told to every node; one that
// cannot hear it hears it when it can, and starts nothing once its lease has ended.
func (s *simulation) change(at *seat, id telltale.WebhookID, f func(*telltale.Webhook)) {
	s.turn.Lock()
	before := s.model.webhooks[id]
	if before.Deleted || s.outage.After(time.Now()) {
		s.turn.Unlock()
		return
	}
	w := s.model.change(id, f)
	o := s.oracles[id]
	if w.Enabled && !before.Enabled {
		s.freed[id] = time.Now()
	}
	if w.Enabled && !before.Enabled || w.URL != before.URL {
		o.anew(time.Now())
	}
	o.enabled, o.reason, o.version = w.Enabled, w.DisabledReason, w.Version
	s.trace("%s is at version %d, enabled %t, deleted %t", id, w.Version, w.Enabled, w.Deleted)
	s.turn.Unlock()
	for _, n := range s.present() {
		s.tell(n, w)
	}
}

// tell tells a node of a change, when it can hear it.
func (s *simulation) tell(n *seat, w *telltale.Webhook) {
	s.turn.Lock()
	deaf := max(time.Until(n.frozen), time.Until(n.cut))
	s.turn.Unlock()
	if deaf > 0 {
		s.later(deaf+latency(time.Second, s.seed, n.name, w.ID, w.Version), func() { s.tell(n, w) })
		return
	}
	n.dispatcher.Changed(w)
	n.hears(w)
}

// spread tells the others of what attempts made of a webhook. Nobody waits for that.
func (s *simulation) spread(from *seat, w *telltale.Webhook) {
	for _, n := range s.nodes {
		if n == from || n.dead {
			continue
		}
		s.later(latency(time.Second, s.seed, n.name, w.ID, w.Version, w.Standing.Revision), func() {
			if n.listens() {
				n.dispatcher.Changed(w)
				n.hears(w)
			}
		})
	}
}

// retry is a person's.
func (s *simulation) retry(at *seat) {
	s.turn.Lock()
	open := s.open()
	if len(open) == 0 || s.outage.After(time.Now()) {
		s.turn.Unlock()
		return
	}
	o := open[s.rng.IntN(len(open))]
	w, ok := s.model.retry(o.id)
	if ok {
		s.oracles[o.webhook].asked(time.Now())
	}
	s.turn.Unlock()
	if ok {
		at.dispatcher.Due(w)
	}
}

// open gives what is not over, or failed, from the oldest on.
func (s *simulation) open() (list []*owed) {
	for _, id := range s.ids {
		for _, o := range s.model.byWebhook[id] {
			if o.state != succeeded && o.state != telltale.StateCancelled {
				list = append(list, o)
			}
		}
	}
	return list
}

func (s *simulation) test(at *seat, id telltale.WebhookID) {
	s.turn.Lock()
	if s.model.webhooks[id].Deleted || s.outage.After(time.Now()) {
		s.turn.Unlock()
		return
	}
	s.model.node = at.number
	c := s.model.acceptTest(id)
	s.turn.Unlock()
	s.pending.Go(func() { at.dispatcher.Test(s.t.Context(), c) })
}

// watch wants an attempt that begins to be one that may.
func (s *simulation) watch(n *seat, c *telltale.Claim, w *telltale.Webhook, now time.Time) {
	s.note("attempts", 1)
	o := s.model.deliveries[c.DeliveryID]
	stored := s.model.webhooks[w.ID]
	if o.state != sending || o.number != c.Number {
		s.violate("node %d begins attempt %d of %s, which is not its own: it is %s, claim %d and not %d", n.name, c.Attempt, o.id, o.state, o.number, c.Number)
	}
	if heard := n.heard[w.ID]; w.Version < heard.number && now.After(heard.at) && !c.Test {
		s.violate("node %d begins an attempt to version %d of %s, and was told of %d", n.name, w.Version, w.ID, heard.number)
	}
	if c.Attempt != len(o.attempts)+1 {
		s.violate("attempt %d of %s comes after %d", c.Attempt, o.id, len(o.attempts))
	}
	if c.Test {
		return
	}
	if !w.Enabled || w.Deleted {
		s.violate("an attempt begins to %s, which is disabled or deleted", w.ID)
	}
	if last := len(o.attempts) - 1; last >= 0 && c.Trigger != telltale.TriggerManual {
		least := earliest(w.RetrySchedule, &o.attempts[last], steps(o))
		if now.Before(least.Add(-time.Millisecond)) && s.freed[w.ID].Before(o.attempts[last].StartedAt) {
			s.violate("attempt %d of %s begins %v too early, after %+v", c.Attempt, o.id, least.Sub(now), o.attempts[last])
		}
	}
	hears := s.config.PollInterval + telltale.LeaseGrace + 10*time.Second // within which every node that may attempt anything has heard
	calm := now.Sub(s.shifted) > hears && now.After(s.trouble.Add(hears))
	flying := s.flying[w.ID] + 1
	b := s.oracles[w.ID]
	switch open := s.opened[w.ID]; {
	case b.state == telltale.BreakerOpen && now.Before(b.until) && now.Sub(open) > hears:
		s.violate("an attempt to %s begins though its breaker is open for another %v", w.ID, b.until.Sub(now))
	case b.state == telltale.BreakerOpen && calm && now.Sub(open) > hears && flying > 1:
		s.violate("%d attempts to %s are under way at once as its breaker waits for one", flying, w.ID)
	case b.state == telltale.BreakerClosing && calm && now.Sub(open) > hears && flying > 4:
		s.violate("%d attempts to %s are under way at once as its breaker closes", flying, w.ID)
	case calm && flying > stored.Concurrency:
		s.violate("%d attempts to %s are under way at once; it allows %d", flying, w.ID, stored.Concurrency)
	}
	if w.RateLimit > 0 {
		if !s.pacedBy.Equal(s.shifted) {
			clear(s.paced)
			s.pacedBy = s.shifted
		}
		if now.Sub(s.shifted) < hears {
			return
		}
		s.paced[w.ID] = append(s.paced[w.ID], now)
		list := s.paced[w.ID]
		for i := range list {
			if most := float64(len(s.living)) + 1 + w.RateLimit*now.Sub(list[i]).Seconds(); float64(len(list)-i) > most {
				s.violate("%d attempts to %s in %v; it allows %v a second", len(list)-i, w.ID, now.Sub(list[i]), w.RateLimit)
				break
			}
		}
	}
}

// steps is how many attempts of the schedule were made.
func steps(o *owed) (n int) {
	for _, a := range o.attempts {
		if a.Error != telltale.ErrorInterrupted && a.Trigger != telltale.TriggerManual {
			n++
		}
	}
	return n
}

// judgeOutcomes wants every delivery to become what the rules make of it.
func (s *simulation) judgeOutcomes(results []telltale.Result) {
	now := time.Now()
	for _, r := range results {
		o := s.model.deliveries[r.DeliveryID]
		if o.state != sending || o.number != r.Number {
			s.note("results too late", 1)
			continue
		}
		schedule := s.model.webhooks[o.webhook].RetrySchedule
		made := steps(o)
		if r.Attempt.Error != telltale.ErrorInterrupted && r.Attempt.Trigger != telltale.TriggerManual {
			made++
		}
		left := made <= len(schedule)
		if schedule == nil {
			left = made <= 11
		}
		age := time.Duration(0)
		if !o.began.IsZero() {
			age = now.Sub(o.began)
		}
		want := waiting
		switch a := r.Attempt; {
		case a.Success():
			want = succeeded
		case a.Error == telltale.ErrorInterrupted && !o.test:
		case a.Status == http.StatusGone, o.once, o.test:
			want = failed
		case left || made == 0:
		case schedule == nil && (age < 72*time.Hour || s.model.tries(o)+1 < 3):
		default:
			want = failed
		}
		near := schedule == nil && !left && (max(age-72*time.Hour, 72*time.Hour-age) < 5*time.Minute || now.Sub(s.model.outageEnd) < 5*time.Minute)
		if r.Outcome.State != want && !near {
			s.violate("attempt %d of %s got %d %q, and the delivery becomes %s; by the rules %s", r.Attempt.Number, o.id, r.Attempt.Status, r.Attempt.Error, r.Outcome.State, want)
		}
		if want == failed {
			s.note("failed", 1)
		}
	}
}

// judgeHealth wants every webhook to become what the rules make of it.
func (s *simulation) judgeHealth(results []telltale.Result, recorded telltale.Recorded) {
	now := time.Now()
	touched := map[telltale.WebhookID]oracle{}
	for i, r := range results {
		if !recorded.Applied[i] {
			continue
		}
		d := s.model.deliveries[r.DeliveryID]
		o := s.oracles[d.webhook]
		if _, known := touched[d.webhook]; !known {
			touched[d.webhook] = *o
		}
		deleted := s.model.webhooks[d.webhook].Deleted
		current := o.version == r.WebhookVersion
		switch {
		case d.test && r.Attempt.Success() && current && !deleted:
			o.passed(now)
		case d.test:
		default:
			o.attempted(r.Attempt, now)
			if r.Attempt.Status == http.StatusGone && current {
				o.disable(telltale.DisabledGone)
			}
		}
		s.trace("%s is recorded: %d %s, it is %s", d.id, r.Attempt.Status, r.Attempt.Error, d.state)
	}
	for _, id := range slices.Sorted(maps.Keys(touched)) {
		w, o, before := s.model.webhooks[id], s.oracles[id], touched[id]
		b := &w.Standing.Breaker
		if w.Deleted {
			continue
		}
		if w.Enabled != o.enabled || w.DisabledReason != o.reason && !w.Enabled {
			s.violate("%s is enabled %t (%s); by the rules %t (%s)", id, w.Enabled, w.DisabledReason, o.enabled, o.reason)
		}
		if b.State != o.state || !b.Until.Equal(o.until) {
			s.violate("the breaker of %s is %s until %v; by the rules %s until %v", id, b.State.Name(), b.Until, o.state.Name(), o.until)
		}
		if w.Enabled && w.Standing.Warned != o.warned {
			s.violate("it was warned of %s %d times; by the rules %d", id, w.Standing.Warned, o.warned)
		}
		for what, is := range map[string]bool{
			"breakers that opened": before.state == telltale.BreakerClosed && o.state == telltale.BreakerOpen,
			"breakers that closed": before.state == telltale.BreakerClosing && o.state == telltale.BreakerClosed && o.enabled && before.version == o.version,
			"warned once":          o.warned == telltale.WarnedOnce && before.warned != o.warned,
			"warned last":          o.warned == telltale.WarnedLast && before.warned != o.warned,
			"enabled by a test":    o.enabled && !before.enabled,
		} {
			if is {
				s.note(what, 1)
			}
		}
		if before.state != telltale.BreakerOpen && o.state == telltale.BreakerOpen || before.until.Before(o.until) {
			s.opened[id] = now
		}
		if before.enabled && !o.enabled {
			s.note("disabled as "+string(o.reason), 1)
		}
		if o.enabled && !before.enabled {
			s.freed[id] = now
		}
		if before.version != o.version {
			s.trace("%s is at version %d, enabled %t: %s", id, o.version, o.enabled, o.reason)
		}
		if list := s.model.byWebhook[id]; len(list) > 64 {
			s.model.byWebhook[id] = slices.DeleteFunc(list, func(o *owed) bool { return o.state == succeeded || o.state == telltale.StateCancelled })
		}
	}
}

// look wants everything to go on, within bounds.
func (s *simulation) look() {
	nodes := s.present()
	for _, n := range nodes {
		d := n.dispatcher
		d.mu.Lock()
		if d.room.kept > maxKept || d.room.bytes > 2*maxKeptBytes || d.pile.unrecorded > maxUnrecorded+d.budgets[0].size+d.budgets[1].size || len(d.lanes) > len(s.ids) || len(d.idle) > maxIdleWorkers {
			s.violate("node %d keeps too much: room %+v, %d results, %d lanes, %d workers", n.name, d.room, d.pile.unrecorded, len(d.lanes), len(d.idle))
		}
		d.mu.Unlock()
	}
	soon := telltale.Lease + 2*s.config.PollInterval + 30*time.Second // by when the living have taken over
	if len(nodes) == 0 || s.disturbed(soon) {
		return
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	now := time.Now()
	if now.Sub(s.shifted) < soon {
		return
	}
	living := map[int]bool{}
	for _, n := range s.nodes {
		living[n.number] = living[n.number] || !n.dead
	}
	for _, o := range s.open() {
		w := s.model.webhooks[o.webhook]
		switch {
		case o.state == sending && !living[o.node]:
			s.violate("%s is still a dead node's", o.id)
		case o.state != waiting || w.RateLimit > 0 || o.released || now.Sub(s.changed[w.ID]) < time.Hour || now.Sub(s.freed[w.ID]) < time.Hour:
		case s.moods[w.ID] != moodHealthy || s.oracles[w.ID].state != telltale.BreakerClosed:
		case now.Sub(o.due) > 3*time.Minute:
			s.violate("%s waits for %v, though nothing is in its way", o.id, now.Sub(o.due))
		}
	}
}

// mend makes everything well, enables what is disabled (by a test, if it was not a
// person who disabled it), and waits longer than any wait that is left.
func (s *simulation) mend() {
	s.turn.Lock()
	now := time.Now()
	s.outage, s.faulty = now, now
	for _, n := range s.nodes {
		n.frozen, n.cut = now, now
	}
	for _, id := range s.ids {
		s.moods[id], s.changed[id] = moodHealthy, now
	}
	s.turn.Unlock()
	pass(5 * time.Minute)
	if len(s.present()) == 0 {
		s.sit()
		pass(time.Minute)
	}
	at := s.present()[0]
	for _, id := range s.ids {
		s.turn.Lock()
		w := s.model.webhooks[id]
		s.turn.Unlock()
		switch {
		case w.Enabled || w.Deleted:
		case w.DisabledReason == telltale.DisabledManual:
			s.change(at, id, func(w *telltale.Webhook) { w.Enabled, w.DisabledReason = true, "" })
		default:
			s.test(at, id)
		}
	}
	pass(30 * time.Hour)
	s.look()
}

// close ends the nodes, and wants nothing left.
func (s *simulation) close() {
	s.pending.Wait()
	for _, n := range s.present() {
		d := n.dispatcher
		d.mu.Lock()
		if d.room != (room{}) || d.underWay != 0 || d.asked != 0 || d.pile.unrecorded != 0 || d.pile.bytes != 0 || d.pile.returning != 0 || d.budgets[0].used != 0 || d.budgets[1].used != 0 || len(d.lanes) != 0 {
			s.violate("the books of node %d do not balance: room %+v, %d under way, %d asked for, pile %d %d %d, budgets %+v, %d lanes", n.name, d.room, d.underWay, d.asked, d.pile.unrecorded, d.pile.bytes, d.pile.returning, d.budgets, len(d.lanes))
		}
		d.mu.Unlock()
		n.leave()
	}
	s.pending.Wait()
	for _, o := range s.open() {
		if o.state != failed {
			s.violate("%s is %s to %s (of claim %d, due %v) though all is quiet", o.id, o.state, o.webhook, o.number, o.due.Sub(s.began))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.model.deliveries)) {
		o := s.model.deliveries[id]
		for i, a := range o.attempts {
			if a.Number != i+1 || a.Success() && (o.state != succeeded || i != len(o.attempts)-1) {
				s.violate("%s is %s, and its attempt %d is %+v", id, o.state, i+1, a)
			}
		}
		s.trace("%s ends %s after %d", id, o.state, len(o.attempts))
	}
}
