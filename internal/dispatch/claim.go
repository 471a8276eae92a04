package dispatch

import (
	"context"
	"slices"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/failpoint"
)

// ask has the store asked for claims, for slots that are the lane's already.
func (d *Dispatcher) ask(l *lane, b budgetKind, now time.Time) {
	rate := l.rate(now)
	n := 1 // a lane with claims of its own leaves it at one
	if l.claims.len() == 0 {
		n = min(l.free(), d.allowed(l.project, b), l.pace.ready(rate, now))
		if b == budgetSlow {
			n = min(n, max(1, slowLaneShares*d.budgets[b].free()-l.slowBusy))
		}
	}
	held := 0
	if l.held {
		held = min(n, l.release.ready(l.share.Release, now))
	}
	if l.due.IsZero() || l.due.After(now) {
		n = held // nothing but held ones
	}
	l.asked = ask{slots: n, held: held, budget: b, fresh: l.dueFresh}
	// What is known is used up; what is heard from now on is news.
	l.due, l.dueFresh, l.held = time.Time{}, false, false
	l.pace.take(n, rate, now)
	l.release.take(held, l.share.Release, now)
	d.take(l, b, n)
	d.asked += n
	d.asking = append(d.asking, l)
	signal(d.askSignal)
}

// claim is the loop that asks the store, for all lanes that want it at once.
func (d *Dispatcher) claim(ctx context.Context) {
	pause := backoff{first: 100 * time.Millisecond, most: 5 * time.Second}
	var lanes []*lane
	var rooms []telltale.LaneRoom
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.askSignal:
		}
		d.mu.Lock()
		lanes = append(lanes[:0], d.asking...)
		clear(d.asking)
		d.asking = d.asking[:0]
		if d.stopping {
			for _, l := range lanes {
				d.answered(l, &telltale.LaneClaims{LaneDue: telltale.LaneDue{In: telltale.Never}}, time.Now())
			}
			d.checkDrained()
			lanes = lanes[:0]
		}
		d.mu.Unlock()
		if len(lanes) == 0 {
			continue
		}
		rooms = rooms[:0]
		for _, l := range lanes {
			rooms = append(rooms, telltale.LaneRoom{WebhookID: l.webhook.ID, Slots: l.asked.slots, Held: l.asked.held})
		}
		answers, err := d.store.ClaimDue(ctx, rooms)
		if err != nil {
			if ctx.Err() == nil {
				d.log.Warn("dispatch: claiming due deliveries", "lanes", len(lanes), "error", err)
			}
			answers = nil
		}
		if someClaimed(answers) {
			failpoint.Here("claim-committed")
		}

		byID := make(map[telltale.WebhookID]*telltale.LaneClaims, len(answers))
		for i := range answers {
			if w := answers[i].Webhook; w != nil {
				byID[w.ID] = &answers[i]
			}
		}
		d.mu.Lock()
		now := time.Now()
		if err != nil {
			d.askFrom = now.Add(pause.next())
		} else {
			pause.reset()
		}
		for _, l := range lanes {
			switch answer := byID[l.webhook.ID]; {
			case err != nil: // all is as it was
				l.dueFresh = l.dueFresh || l.asked.fresh
				d.answered(l, &telltale.LaneClaims{LaneDue: telltale.LaneDue{Held: l.asked.held > 0}}, now)
			case answer == nil: // of a webhook that the store does not know any more
				d.answered(l, &telltale.LaneClaims{LaneDue: telltale.LaneDue{In: telltale.Never}}, now)
			default:
				if len(answer.Claims) == 0 && answer.In == 0 {
					answer.In = emptyPause
				}
				d.answered(l, answer, now)
			}
			d.settle(l, now)
		}
		d.advance(now)
		d.launch()
		d.checkDrained()
		d.mu.Unlock()
	}
}

// answered begins what was claimed and gives back the slots that were not used.
func (d *Dispatcher) answered(l *lane, answer *telltale.LaneClaims, now time.Time) {
	asked := l.asked
	l.asked = ask{}
	d.asked -= asked.slots
	unused := max(0, asked.slots-len(answer.Claims))
	d.take(l, asked.budget, -unused)
	l.pace.take(-unused, l.rate(now), now)

	d.learn(l, answer.Webhook, now)
	if answer.Held {
		l.holds()
	}
	if answer.In != telltale.Never {
		l.hint(now.Add(answer.In))
	}
	for i, c := range answer.Claims {
		d.keep(l, 1)
		d.room.bytes += payloadBytes(&c)
		d.learn(l, c.Webhook, now)
		l.dueFresh = l.dueFresh || answer.In == 0 && c.Attempt <= 1
		switch slot := i < asked.slots; {
		case l.stopped() || d.stopping || !l.ours() || !l.breaker.admits(now): // it opened meanwhile, or is others' by now
			d.release(l, c)
			if slot {
				d.take(l, asked.budget, -1)
			}
		case slot && d.open(now):
			d.begin(l, c, asked.budget, now)
		default:
			l.claims.push(c)
			if slot {
				d.take(l, asked.budget, -1)
			}
		}
	}
}

func someClaimed(answers []telltale.LaneClaims) bool {
	return slices.ContainsFunc(answers, func(a telltale.LaneClaims) bool { return len(a.Claims) > 0 })
}

// backoff is a wait that doubles.
type backoff struct{ first, most, wait time.Duration }

func (b *backoff) next() time.Duration {
	b.wait = min(max(2*b.wait, b.first), b.most)
	return b.wait
}

func (b *backoff) reset() { b.wait = 0 }

// signal wakes whoever waits on c, now or next.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
