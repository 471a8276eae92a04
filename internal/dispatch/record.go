package dispatch

import (
	"context"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/failpoint"
)

// Bounds on what waits to be recorded. Beyond them no attempt begins; those that
// are under way still end on the pile.
const (
	maxUnrecorded      = 4096
	maxUnrecordedBytes = 32 << 20 // of responses
	maxBatch           = 1000     // results in one transaction
	maxRecordTries     = 5        // of a result that the store refuses, though it takes others
)

// pending is a result that is not recorded yet.
type pending struct {
	telltale.Result
	lane    *lane // nil for a test
	test    *test // nil for any other
	payload int64 // bytes that the delivery takes of the room
	ended   time.Time
}

// responseBytes is what the result takes of the pile.
func (p *pending) responseBytes() int64 {
	n := len(p.Attempt.Response.Body)
	for _, h := range p.Attempt.Response.Headers {
		n += len(h.Name) + len(h.Value)
	}
	return int64(n)
}

// returned is a claim that goes back to the store. No attempt of it was begun.
type returned struct {
	telltale.ClaimRef
	lane    *lane // nil for a test
	payload int64
}

// pile is what waits for the store.
type pile struct {
	results []pending
	returns []returned

	unrecorded int // results, those that are being written included
	bytes      int64
	returning  int  // claims, likewise
	stuck      bool // the store does not take results now

	signal chan struct{}
}

func (p *pile) room() bool { return p.unrecorded < maxUnrecorded && p.bytes < maxUnrecordedBytes }

func (p *pile) add(r pending) {
	p.results = append(p.results, r)
	p.unrecorded++
	p.bytes += r.responseBytes()
	signal(p.signal)
}

// release has a claim that was not attempted given back.
func (d *Dispatcher) release(l *lane, c telltale.Claim) {
	d.pile.returns = append(d.pile.returns, returned{ClaimRef: c.ClaimRef, lane: l, payload: payloadBytes(&c)})
	d.pile.returning++
	signal(d.pile.signal)
}

// record is the loop that empties the pile.
func (d *Dispatcher) record(ctx context.Context) {
	var results []pending
	var returns []returned
	for {
		d.mu.Lock()
		n := min(len(d.pile.results), maxBatch)
		results = append(results[:0], d.pile.results[:n]...)
		rest := copy(d.pile.results, d.pile.results[n:])
		clear(d.pile.results[rest:])
		d.pile.results = d.pile.results[:rest]
		returns = append(returns[:0], d.pile.returns...)
		clear(d.pile.returns)
		d.pile.returns = d.pile.returns[:0]
		// Of several nodes each has a part of the results: it gathers for longer by as
		// much, and has no more of them unrecorded than one alone.
		gather := d.gather * time.Duration(max(1, d.known.Workers))
		d.mu.Unlock()

		if len(results) > 0 {
			d.write(ctx, results)
		}
		if len(returns) > 0 {
			d.giveAllBack(ctx, returns)
		}
		if len(results)+len(returns) > 0 && ctx.Err() == nil {
			if len(results) > 1 && gather > 0 {
				sleep(ctx, gather)
			}
			clear(results)
			clear(returns)
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-d.pile.signal:
		}
	}
}

// write records the batch, however long it takes, unless ctx ends. A result that
// the store refuses for a reason of its own must not keep the others waiting: it
// is recorded alone, and in the end given up, loudly.
func (d *Dispatcher) write(ctx context.Context, batch []pending) {
	results := make([]telltale.Result, len(batch))
	for i := range batch {
		results[i] = batch[i].Result
	}
	pause := backoff{first: 50 * time.Millisecond, most: 5 * time.Second}
	for try := 1; ; try++ {
		failpoint.Here("record-begin")
		recorded, err := d.store.RecordAttempts(ctx, results)
		switch refused := telltale.CodeOf(err) != telltale.Unavailable; {
		case err == nil:
			failpoint.Here("record-committed")
			d.recorded(batch, recorded)
			return
		case ctx.Err() != nil:
			return
		case refused && len(batch) > 1:
			d.log.Error("dispatch: recording attempts; each is tried alone", "results", len(batch), "error", err)
			for i := range batch {
				d.write(ctx, batch[i:i+1])
			}
			return
		case refused && try >= maxRecordTries:
			r := &batch[0]
			d.log.Error("dispatch: an attempt cannot be recorded and is given up",
				"delivery", r.DeliveryID, "attempt", r.Attempt.Number, "status", r.Attempt.Status, "class", r.Attempt.Error, "state", r.Outcome.State, "error", err)
			d.metrics.unrecordable.Inc()
			d.recorded(batch, telltale.Recorded{})
			return
		default:
			d.log.Warn("dispatch: attempts cannot be recorded now; no other begins", "results", len(batch), "error", err)
		}
		d.mu.Lock()
		d.pile.stuck = true
		d.mu.Unlock()
		if !sleep(ctx, pause.next()) {
			return
		}
	}
}

// recorded goes on from what the store did.
func (d *Dispatcher) recorded(batch []pending, recorded telltale.Recorded) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.pile.stuck = false
	for i := range batch {
		r := &batch[i]
		d.pile.unrecorded--
		d.pile.bytes -= r.responseBytes()
		applied := i < len(recorded.Applied) && recorded.Applied[i]
		if !applied {
			d.metrics.stale.Inc()
			d.log.Warn("dispatch: the delivery was no longer ours; its result was not applied", "delivery", r.DeliveryID, "attempt", r.Attempt.Number)
		}
		if r.test != nil {
			d.tested(r, applied)
			continue
		}
		d.drop(r.lane, r.payload)
		r.lane.breaker.unsettled--
		if r.Outcome.Disable != "" {
			r.lane.paused = false
		}
		if applied && r.Outcome.State == telltale.StateWaiting {
			r.lane.hint(r.ended.Add(r.Outcome.Wait))
		}
	}
	for _, w := range recorded.Changed {
		d.changed(w, now)
	}
	for _, w := range recorded.Waiting {
		d.waits(w, now)
	}
	for _, n := range recorded.News {
		d.report(n)
	}
	for i := range batch {
		if l := batch[i].lane; l != nil {
			d.settle(l, now)
		}
	}
	d.advance(now)
	d.launch()
	d.checkDrained()
}

// giveAllBack releases the claims, however long it takes, unless ctx ends.
func (d *Dispatcher) giveAllBack(ctx context.Context, returns []returned) {
	refs := make([]telltale.ClaimRef, len(returns))
	for i := range returns {
		refs[i] = returns[i].ClaimRef
	}
	pause := backoff{first: 50 * time.Millisecond, most: 5 * time.Second}
	for {
		err := d.store.ReleaseClaims(ctx, refs)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return
		}
		if telltale.CodeOf(err) != telltale.Unavailable {
			// They end with their lease, or with our next start.
			d.log.Error("dispatch: claims cannot be given back", "claims", len(refs), "error", err)
			break
		}
		d.log.Warn("dispatch: claims cannot be given back now", "claims", len(refs), "error", err)
		if !sleep(ctx, pause.next()) {
			return
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.pile.returning -= len(returns)
	for _, r := range returns {
		if r.lane == nil {
			continue
		}
		d.drop(r.lane, r.payload)
		if !r.lane.stopped() {
			r.lane.hint(now)
			r.lane.dueFresh = true
			if !r.lane.ours() {
				d.tellOthers(r.lane)
			}
		}
		d.settle(r.lane, now)
	}
	d.advance(now)
	d.launch()
	d.checkDrained()
}

// sleep waits, and reports whether ctx let it.
func sleep(ctx context.Context, wait time.Duration) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
