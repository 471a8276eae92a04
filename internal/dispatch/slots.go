package dispatch

import (
	"time"

	"telltale.example/telltale"
)

// budgetKind names a budget of slots.
type budgetKind int

const (
	budgetFirst budgetKind = iota // where attempts begin
	budgetSlow                    // for slow lanes, and what lasts long
	budgets
)

// budget is a number of slots.
type budget struct{ size, used int }

func (b budget) free() int { return b.size - b.used }

// projectShare and laneShare bound what one may hold: so many times what is
// free. However many are greedy, there is always something left for the next
// (Choudhury and Hahne's dynamic thresholds).
const (
	projectShare   = 3 // of slots and of room
	laneRoomShare  = 2
	slowLaneShares = 1 // of slow slots
)

// allowed is how many more slots of the budget the project may take.
func (d *Dispatcher) allowed(p *project, b budgetKind) int {
	free := d.budgets[b].free()
	if free <= 0 || p.used[b] >= projectShare*free {
		return 0
	}
	// Taking n leaves free-n: p.used+n may be at most projectShare*(free-n), and one more.
	return max(1, (projectShare*free-p.used[b])/(projectShare+1))
}

func (d *Dispatcher) take(l *lane, b budgetKind, n int) {
	d.budgets[b].used += n
	l.project.used[b] += n
	l.busy += n
	if b == budgetSlow {
		l.slowBusy += n
	}
}

// advance does whatever can be done now: wakes lanes, grants slots, sets the timer.
func (d *Dispatcher) advance(now time.Time) {
	for len(d.wakes) > 0 && !d.wakes[0].wakeAt.After(now) {
		l := d.wakes[0]
		d.sleep(l, time.Time{})
		d.settle(l, now)
	}
	d.grant(now)
	d.arm(now)
}

// grant gives slots in turn until there are none, or nobody wants one.
func (d *Dispatcher) grant(now time.Time) {
	d.relieveAt = time.Time{}
	if !d.open(now) {
		return
	}
	for {
		first, second := ringFresh, ringLater
		if d.turn%favour == favour-1 {
			first, second = second, first
		}
		switch {
		case d.grantOne(ringSlow, budgetSlow, now):
		case d.grantOne(first, budgetFirst, now), d.grantOne(second, budgetFirst, now):
			d.turn++
		case d.queues[ringFresh].len()+d.queues[ringLater].len() == 0, !d.relieve(now):
			return
		}
	}
}

// grantOne gives a slot to the next project's next lane of the ring, and
// reports whether there was one that could have it.
func (d *Dispatcher) grantOne(r ring, b budgetKind, now time.Time) bool {
	if d.budgets[b].free() == 0 {
		return false
	}
	projects := &d.queues[r]
	for range projects.len() {
		p := projects.pop()
		p.queued[r] = false
		var l *lane
		if d.allowed(p, b) > 0 {
			l = d.nextLane(p, r, now)
		}
		if l != nil {
			d.serve(l, b, now)
			d.settle(l, now)
		}
		if p.queues[r].len() > 0 && !p.queued[r] {
			p.queued[r] = true
			projects.push(p)
		}
		if l != nil {
			return true
		}
	}
	return false
}

// nextLane takes the project's next lane of the ring that still wants a slot.
func (d *Dispatcher) nextLane(p *project, r ring, now time.Time) *lane {
	lanes := &p.queues[r]
	for range lanes.len() {
		l := lanes.pop()
		l.queued[r] = false
		switch wanted, _ := l.wants(now, d.askFrom); {
		case wanted != r:
			d.settle(l, now) // it may have moved to another ring, or to sleep
		case r == ringSlow && l.slowBusy >= slowLaneShares*d.budgets[budgetSlow].free():
			l.queued[r] = true
			lanes.push(l)
		default:
			return l
		}
	}
	return nil
}

// serve uses the lane's slot: for a claim that waits, or to ask the store for more.
func (d *Dispatcher) serve(l *lane, b budgetKind, now time.Time) {
	l.turn++
	at, ever := l.asksAt()
	asks := ever && !later(at, d.askFrom).After(now)
	if asks && (l.claims.len() == 0 || l.turn%favour == 0) {
		d.ask(l, b, now)
		return
	}
	l.pace.take(1, l.rate(now), now)
	d.take(l, b, 1)
	d.begin(l, l.claims.pop(), b, now)
}

// relieve moves what has lasted long out of the first budget, and reports
// whether it could move anything. Otherwise it notes when it may.
func (d *Dispatcher) relieve(now time.Time) (moved bool) {
	for a := d.oldest; a != nil && d.budgets[budgetSlow].free() > 0; {
		this := a
		a = a.next
		if wait := slowAfter - now.Sub(this.began); wait > 0 {
			d.relieveAt = now.Add(wait)
			break
		}
		if d.allowed(this.lane.project, budgetSlow) == 0 {
			continue
		}
		d.unlink(this)
		this.budget = budgetSlow
		d.take(this.lane, budgetFirst, -1)
		d.take(this.lane, budgetSlow, 1)
		moved = true
	}
	return moved
}

// arm sets the timer for the next thing that happens by itself.
func (d *Dispatcher) arm(now time.Time) {
	var next time.Time
	if len(d.wakes) > 0 {
		next = d.wakes[0].wakeAt
	}
	if !d.relieveAt.IsZero() && (next.IsZero() || d.relieveAt.Before(next)) {
		next = d.relieveAt
	}
	if next.IsZero() || d.timer == nil || !d.timerAt.IsZero() && !next.Before(d.timerAt) {
		return // it rings early enough, and is set again then
	}
	d.timerAt = next
	d.timer.Reset(next.Sub(now))
}

// tick is what the timer does.
func (d *Dispatcher) tick() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.timerAt = time.Time{}
	if d.running {
		d.advance(time.Now())
		d.launch()
	}
}

// open reports whether any attempt may begin.
func (d *Dispatcher) open(now time.Time) bool {
	return d.running && !d.stopping && d.alive(now) && !d.pile.stuck && d.pile.room()
}

// alive reports whether the node's claims are surely its own.
func (d *Dispatcher) alive(now time.Time) bool {
	return !d.beat.IsZero() && now.Sub(d.beat) <= telltale.LeaseGrace
}
