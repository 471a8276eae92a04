package dispatch

import (
	"container/heap"
	"slices"
	"sync/atomic"
	"time"

	"telltale.example/telltale"
)

// slowAfter is how long an attempt may last before its lane is slow.
const slowAfter = 500 * time.Millisecond

// Pauses that keep a lane from asking the store, or being remembered, for nothing.
const (
	emptyPause = time.Second // after the store had nothing due and yet said so
	slowMemory = time.Minute // for which an idle lane is remembered as slow
)

// favour is the turn at which what usually waits goes first.
const favour = 4

// ring names a queue for slots.
type ring int

const (
	ringFresh ring = iota // lanes with first attempts
	ringLater             // lanes with other attempts
	ringSlow              // slow lanes
	rings
	noRing ring = -1
)

// lane is a webhook's queue. Only the dispatcher touches it, under its mutex.
type lane struct {
	webhook *telltale.Webhook                // the newest version known
	newest  atomic.Pointer[telltale.Webhook] // the same, for workers, who do not hold the mutex
	project *project
	share   telltale.Share // of what that allows, this node's
	paused  bool           // an outcome disables the webhook, and is not recorded yet
	breaker breaker

	claims   fifo[telltale.Claim] // that wait for a slot
	kept     int                  // deliveries in memory: reserved, waiting, under way, not recorded
	reserved int                  // of these, those that are being accepted

	busy     int // slots taken: attempts under way and claims asked for
	slowBusy int // of these, those of the slow budget

	// What the store has for the lane, as far as we know.
	due      time.Time // when its next waiting delivery is due; zero: none
	dueFresh bool      // first attempts may be among them
	held     bool      // there are held deliveries to release
	asked    ask       // what the store is being asked for

	pulse    pulse
	pace     pace
	release  pace // of held deliveries
	throttle throttle
	begun    tally
	turn     int

	queued [rings]bool
	wakeAt time.Time // when to look again; zero: when something happens
	place  int       // in the heap of wakes; -1: not there
}

// ask is a claim that is asked of the store.
type ask struct {
	slots, held int
	budget      budgetKind
	fresh       bool // first attempts may be among them
}

// off reports whether the webhook is disabled or deleted.
func (l *lane) off() bool { return !l.webhook.Enabled || l.webhook.Deleted }

// stopped reports whether nothing may be attempted.
func (l *lane) stopped() bool { return l.paused || l.off() }

// ours reports whether this node attempts anything: it has a share of what the
// webhook allows, and while the breaker is not closed one node goes before.
func (l *lane) ours() bool {
	return l.share.Concurrency > 0 && (l.share.First || l.breaker.state() == telltale.BreakerClosed)
}

// width is how many slots the lane may take: one until an attempt has ended, so
// that many receivers that hang from the start take few.
func (l *lane) width() int {
	if l.pulse.quick || l.pulse.slow {
		return l.share.Concurrency
	}
	return min(1, l.share.Concurrency)
}

// free is how many slots the lane may take more, once its time has come.
func (l *lane) free() int { return min(l.width()-l.busy, l.breaker.room()-l.asked.slots) }

func (l *lane) isSlow(now time.Time) bool { return l.slowBusy > 0 || l.pulse.isSlow(now) }

// asksAt is when the lane has cause to ask the store, if ever.
func (l *lane) asksAt() (at time.Time, ever bool) {
	if l.asked.slots > 0 {
		return time.Time{}, false
	}
	at, ever = l.due, !l.due.IsZero()
	if l.held {
		if ready := l.release.readyAt(l.share.Release); !ever || ready.Before(at) {
			at, ever = ready, true
		}
	}
	return at, ever
}

// wants says in which ring the lane queues for a slot, or until when it sleeps;
// noRing and zero stand for a lane that waits for something to happen. The store
// is not asked before askFrom.
func (l *lane) wants(now, askFrom time.Time) (ring, time.Time) {
	if l.stopped() || !l.ours() || l.free() <= 0 {
		return noRing, time.Time{}
	}
	at := now
	if l.claims.len() == 0 {
		asks, ever := l.asksAt()
		if !ever {
			return noRing, time.Time{}
		}
		at = later(asks, askFrom)
	}
	at = later(at, l.pace.readyAt(l.rate(now)))
	at = later(at, l.breaker.opens())
	if at.After(now) {
		return noRing, at
	}
	switch {
	case l.isSlow(now):
		return ringSlow, time.Time{}
	case l.claims.len() > 0, l.dueFresh:
		return ringFresh, time.Time{}
	}
	return ringLater, time.Time{}
}

// hint notes that the store has something due at that time. What is left to others
// is theirs to know.
func (l *lane) hint(at time.Time) {
	if l.share.Concurrency > 0 && (l.due.IsZero() || at.Before(l.due)) {
		l.due = at
	}
}

// holds notes that the store has held deliveries to release.
func (l *lane) holds() { l.held = l.share.Concurrency > 0 }

// forgettable reports whether nothing is lost with the lane.
func (l *lane) forgettable(now time.Time) bool {
	_, throttled := l.throttle.at(now)
	return !slices.Contains(l.queued[:], true) && l.kept == 0 && l.busy == 0 && (l.off() || l.due.IsZero() && !l.held) && !throttled &&
		!l.pace.next.After(now) && !l.release.next.After(now) &&
		(!l.pulse.slow || now.Sub(l.pulse.last) > slowMemory)
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// pulse is what a lane knows of its receiver's speed.
type pulse struct {
	flying      int       // attempts under way
	last        time.Time // when one ended, or began with no other under way
	quick, slow bool      // how the one that ended last was; neither: none has ended
}

func (p *pulse) began(now time.Time) {
	if p.flying == 0 {
		p.last = now
	}
	p.flying++
}

func (p *pulse) ended(began, now time.Time) {
	p.flying--
	p.last = now
	p.slow = now.Sub(began) >= slowAfter
	p.quick = !p.slow
}

// isSlow reports whether the last attempt was slow, or those under way are.
func (p *pulse) isSlow(now time.Time) bool {
	return p.slow || p.flying > 0 && now.Sub(p.last) >= slowAfter
}

// project is the lanes of a project that are in memory.
type project struct {
	id     telltale.ProjectID
	lanes  int
	kept   int
	used   [budgets]int
	queues [rings]fifo[*lane] // lanes in turn
	queued [rings]bool
	tests  int         // under way
	queue  fifo[*test] // tests that wait
}

// laneOf finds the webhook's lane or makes one, and reports which.
func (d *Dispatcher) laneOf(w *telltale.Webhook) (l *lane, made bool) {
	if l = d.lanes[w.ID]; l != nil {
		return l, false
	}
	p := d.projectOf(w.ProjectID)
	p.lanes++
	l = &lane{webhook: w, share: d.shareOf(w), project: p, place: -1, breaker: breaker{standing: w.Standing}}
	l.newest.Store(w)
	d.lanes[w.ID] = l
	return l, true
}

func (d *Dispatcher) projectOf(id telltale.ProjectID) *project {
	p := d.projects[id]
	if p == nil {
		p = &project{id: id}
		d.projects[id] = p
	}
	return p
}

// sweep forgets lanes without work, and projects without lanes.
func (d *Dispatcher) sweep(now time.Time) {
	for id, l := range d.lanes {
		if l.forgettable(now) {
			d.sleep(l, time.Time{})
			delete(d.lanes, id)
			l.project.lanes--
		}
	}
	for id, p := range d.projects {
		if p.lanes == 0 && p.tests == 0 && !slices.Contains(p.queued[:], true) {
			delete(d.projects, id)
		}
	}
}

// learn takes over what is newer about the lane's webhook.
func (d *Dispatcher) learn(l *lane, w *telltale.Webhook, now time.Time) {
	if w == nil {
		return
	}
	if l.breaker.learn(w) && (l.breaker.open() || !l.ours()) {
		d.giveBack(l) // in memory it would keep others out until the probe, and after
	}
	if w.Version <= l.webhook.Version {
		return
	}
	wasEnabled := l.webhook.Enabled
	l.webhook = w
	l.newest.Store(w)
	d.shareOut(l, now)
	switch {
	case l.off():
		d.giveBack(l)
		l.due, l.held = time.Time{}, false
	case !wasEnabled:
		l.hint(now) // the store knows what is due, and whether there are held ones
	}
}

// shareOf is this node's share of what the webhook allows.
func (d *Dispatcher) shareOf(w *telltale.Webhook) telltale.Share {
	if d.restrained() {
		return telltale.Share{}
	}
	return w.Share(d.known.Workers, d.known.Place)
}

// shareOut gives the lane its share anew. What it has in memory and no part in any
// more goes back, for others.
func (d *Dispatcher) shareOut(l *lane, now time.Time) {
	l.share = d.shareOf(l.webhook)
	if !l.ours() {
		d.giveBack(l)
	}
	if l.share.Concurrency == 0 {
		l.due, l.held = time.Time{}, false
	}
	d.settle(l, now)
}

// tellOthers hints at work for the webhook that this node does not do, or not
// alone. While the breaker is not closed there is no hurry.
func (d *Dispatcher) tellOthers(l *lane) {
	if d.known.Workers != 1 && l.breaker.state() == telltale.BreakerClosed {
		d.hint()
	}
}

// giveBack returns the claims that wait in the lane to the store.
func (d *Dispatcher) giveBack(l *lane) {
	for l.claims.len() > 0 {
		d.release(l, l.claims.pop())
	}
}

// settle puts the lane where it belongs after anything about it changed.
func (d *Dispatcher) settle(l *lane, now time.Time) {
	r, at := l.wants(now, d.askFrom)
	d.sleep(l, at)
	if r == noRing || l.queued[r] {
		return
	}
	l.queued[r] = true
	l.project.queues[r].push(l)
	if !l.project.queued[r] {
		l.project.queued[r] = true
		d.queues[r].push(l.project)
	}
}

// sleep has the lane looked at again at that time; zero wakes nobody.
func (d *Dispatcher) sleep(l *lane, at time.Time) {
	if l.wakeAt.Equal(at) {
		return
	}
	l.wakeAt = at
	switch {
	case at.IsZero():
		heap.Remove(&d.wakes, l.place)
	case l.place < 0:
		heap.Push(&d.wakes, l)
	default:
		heap.Fix(&d.wakes, l.place)
	}
}

// wakes is a heap of the lanes that sleep, by when they wake.
type wakes []*lane

func (w wakes) Len() int           { return len(w) }
func (w wakes) Less(i, j int) bool { return w[i].wakeAt.Before(w[j].wakeAt) }
func (w wakes) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].place, w[j].place = i, j
}
func (w *wakes) Push(x any) {
	l := x.(*lane)
	l.place = len(*w)
	*w = append(*w, l)
}
func (w *wakes) Pop() any {
	last := len(*w) - 1
	l := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	l.place = -1
	return l
}
