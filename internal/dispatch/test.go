package dispatch

import (
	"context"
	"time"

	"telltale.example/telltale"
)

// maxTests is how many tests of a project are under way at once; more wait.
const maxTests = 8

// test is one press of the Test button.
type test struct {
	claim telltale.Claim
	done  chan struct{} // closed when attempt or err is there
	// Set before done is closed.
	attempt telltale.Attempt
	err     error
}

// Test makes the one attempt of a test that the store has accepted, at once: it
// has a slot of its own, and goes to a disabled webhook too. It returns when the
// attempt is recorded. The end of ctx ends the wait and not the test.
//
// It gives Unavailable if no attempt may begin now, or if ctx ended first.
func (d *Dispatcher) Test(ctx context.Context, c telltale.Claim) (telltale.Attempt, error) {
	t := &test{claim: c, done: make(chan struct{})}
	d.mu.Lock()
	if !d.open(time.Now()) {
		d.release(nil, c)
		d.mu.Unlock()
		return telltale.Attempt{}, telltale.Errorf(telltale.Unavailable, "Tests cannot be sent now. Try again in a moment.")
	}
	d.projectOf(c.ProjectID).queue.push(t)
	d.startTests(c.ProjectID)
	d.mu.Unlock()
	select {
	case <-t.done:
		return t.attempt, t.err
	case <-d.finished: // a stop ran out of time; the next start finds the test
		return telltale.Attempt{}, telltale.Errorf(telltale.Unavailable, "The node has stopped. Try again in a moment.")
	case <-ctx.Done():
		return telltale.Attempt{}, &telltale.Error{Code: telltale.Unavailable, Message: "The test goes on; its result is in the log.", Cause: ctx.Err()}
	}
}

// startTests begins as many tests of the project as may be under way.
func (d *Dispatcher) startTests(id telltale.ProjectID) {
	p := d.projectOf(id)
	for p.tests < maxTests && p.queue.len() > 0 {
		t := p.queue.pop()
		w := t.claim.Webhook
		if l := d.lanes[w.ID]; l != nil && l.webhook.Version > w.Version {
			w = l.webhook
		}
		p.tests++
		d.underWay++
		d.workers.Go(func() {
			r := d.perform(d.sends, &t.claim, w, time.Now())
			d.mu.Lock()
			defer d.mu.Unlock()
			d.underWay--
			p.tests--
			d.pile.add(pending{Result: r, test: t, ended: time.Now()})
			d.startTests(id)
		})
	}
}

// tested tells whoever pressed the button.
func (d *Dispatcher) tested(r *pending, applied bool) {
	r.test.attempt = *r.Attempt
	if !applied {
		r.test.err = telltale.Errorf(telltale.Unavailable, "The test's result could not be recorded.")
	}
	close(r.test.done)
}

// abandonTests gives back the tests that did not begin.
func (d *Dispatcher) abandonTests() {
	for _, p := range d.projects {
		for p.queue.len() > 0 {
			t := p.queue.pop()
			d.release(nil, t.claim)
			t.err = telltale.Errorf(telltale.Unavailable, "The node is stopping. Try again in a moment.")
			close(t.done)
		}
	}
}
