package dispatch

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"telltale.example/telltale"
)

// maxIdleWorkers is how many workers wait for the next attempt; more than these
// end when they have none.
const maxIdleWorkers = 64

// attempt is one that is under way.
type attempt struct {
	lane    *lane // nil for a test
	claim   telltale.Claim
	webhook *telltale.Webhook // the newest version as the attempt began
	began   time.Time
	budget  budgetKind

	previous, next *attempt // on the first budget, in the order in which they began
}

// begin makes an attempt of the claim, in a slot that is the lane's.
func (d *Dispatcher) begin(l *lane, c telltale.Claim, b budgetKind, now time.Time) {
	a := &attempt{lane: l, claim: c, webhook: l.webhook, began: now, budget: b}
	if b == budgetFirst {
		d.link(a)
	}
	l.begun.count(now)
	l.pulse.began(now)
	l.breaker.unsettled++
	d.underWay++
	if c.Attempt == 1 && c.Trigger == telltale.TriggerAutomatic {
		d.metrics.delay.Observe(now.Sub(c.Event.ReceivedAt).Seconds())
	}
	d.starting = append(d.starting, a)
}

func (d *Dispatcher) link(a *attempt) {
	if a.previous = d.newest; a.previous != nil {
		a.previous.next = a
	} else {
		d.oldest = a
	}
	d.newest = a
}

func (d *Dispatcher) unlink(a *attempt) {
	if a.previous != nil {
		a.previous.next = a.next
	} else {
		d.oldest = a.next
	}
	if a.next != nil {
		a.next.previous = a.previous
	} else {
		d.newest = a.previous
	}
	a.previous, a.next = nil, nil
}

// launch hands what begins to workers.
func (d *Dispatcher) launch() {
	for i, a := range d.starting {
		d.starting[i] = nil
		if n := len(d.idle); n > 0 {
			d.idle[n-1] <- a // it has room for one, and its worker waits
			d.idle = d.idle[:n-1]
		} else {
			d.workers.Go(func() { d.work(a) })
		}
	}
	d.starting = d.starting[:0]
}

// work makes one attempt after another, and waits for more if few others do.
func (d *Dispatcher) work(a *attempt) {
	inbox := make(chan *attempt, 1)
	for a != nil {
		started := time.Now() // before it looks: what changes from now on, changes after the start
		upToDate := a.webhook == a.lane.newest.Load() || d.reconsider(a)
		var result telltale.Result
		if upToDate {
			result = d.perform(d.sends, &a.claim, a.webhook, started)
		}
		d.mu.Lock()
		if upToDate {
			d.end(a, result, time.Now())
		} else {
			d.withdraw(a, time.Now())
		}
		a = nil
		if n := len(d.starting); n > 0 { // the last one is as good as any
			a, d.starting = d.starting[n-1], d.starting[:n-1]
		}
		d.launch()
		if a == nil && (len(d.idle) >= maxIdleWorkers || d.ending) {
			d.mu.Unlock()
			return
		}
		if a == nil {
			d.idle = append(d.idle, inbox)
		}
		d.mu.Unlock()
		if a == nil {
			a = <-inbox
		}
	}
}

// reconsider looks at a webhook that was changed after its attempt was handed to a
// worker, and before that began: it goes to the webhook as it is now, if at all.
func (d *Dispatcher) reconsider(a *attempt) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	a.webhook = a.lane.webhook
	return !a.lane.stopped()
}

// withdraw undoes what begin did.
func (d *Dispatcher) withdraw(a *attempt, now time.Time) {
	l := a.lane
	if a.budget == budgetFirst {
		d.unlink(a)
	}
	d.take(l, a.budget, -1)
	d.underWay--
	l.pulse.flying--
	l.breaker.unsettled--
	d.release(l, a.claim)
	d.settle(l, now)
	d.advance(now)
}

// perform sends, decides, and says so in the log. The attempt started before the
// webhook was looked at for the last time.
func (d *Dispatcher) perform(ctx context.Context, c *telltale.Claim, w *telltale.Webhook, started time.Time) telltale.Result {
	a := d.send(ctx, c, w, started)
	outcome := c.After(&a, w.RetrySchedule, d.jitter())
	d.metrics.observe(&a)
	level := slog.LevelInfo
	if a.Error == telltale.ErrorInternal {
		level = slog.LevelError
	}
	d.log.LogAttrs(ctx, level, "attempt",
		slog.String("delivery", string(c.DeliveryID)), slog.String("event", string(c.Event.ID)), slog.String("type", string(c.Event.Type)),
		slog.String("webhook", string(w.ID)), slog.String("project", string(c.ProjectID)),
		slog.Int("attempt", c.Attempt), slog.String("trigger", string(c.Trigger)),
		slog.Int("status", a.Status), slog.String("error", string(a.Error)), slog.String("failure", string(a.Failure)), slog.Duration("duration", a.Duration),
		slog.String("state", string(outcome.State)), slog.Duration("wait", outcome.Wait))
	return telltale.Result{ClaimRef: c.ClaimRef, Attempt: &a, Outcome: outcome, WebhookVersion: w.Version}
}

// send makes the attempt. A sender that panics has not sent, as far as we know;
// the delivery goes on by its schedule, and the others go on at all.
func (d *Dispatcher) send(ctx context.Context, c *telltale.Claim, w *telltale.Webhook, started time.Time) (a telltale.Attempt) {
	defer func() {
		if p := recover(); p != nil {
			d.log.Error("dispatch: the sender panicked", "delivery", c.DeliveryID, "webhook", w.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			a = telltale.Attempt{
				Number: c.Attempt, Trigger: c.Trigger, Node: d.node,
				Duration: time.Since(started), Error: telltale.ErrorInternal, Failure: telltale.FailureInternal,
			}
		}
		a.StartedAt = started.UTC().Truncate(time.Millisecond)
	}()
	return d.sender.Send(ctx, c, w)
}

// end frees the attempt's slot and piles up its result.
func (d *Dispatcher) end(a *attempt, r telltale.Result, now time.Time) {
	l := a.lane
	if a.budget == budgetFirst {
		d.unlink(a)
	}
	d.take(l, a.budget, -1)
	d.underWay--
	l.pulse.ended(a.began, now)
	if r.Attempt.Status == http.StatusTooManyRequests {
		l.slowDown(a.began, now)
	}
	if r.Outcome.Disable != "" {
		l.paused = true
	}
	d.pile.add(pending{Result: r, lane: l, payload: payloadBytes(&a.claim), ended: now})
	d.settle(l, now)
	d.advance(now)
}
