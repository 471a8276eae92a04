package postgres

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// Bounds of what waits to be accepted, and of a transaction. A transaction's
// size bounds how long the others wait.
const (
	maxQueued      = 4096     // callers
	maxQueuedBytes = 64 << 20 // roughly, of rows
	maxGroup       = 2000     // events
	maxGroupBytes  = 4 << 20  // roughly, of rows
	// Callers that were answered together come back together, a moment after each
	// other. If the first of them began a transaction alone, every other one would
	// be nearly empty: so what comes first waits for as many as there were, but no
	// longer than the last transaction took, nor than this.
	gatherFor = 20 * time.Millisecond
)

// errGroup says that one of several was refused, and spoilt the transaction for
// the others.
var errGroup = telltale.Errorf(telltale.Conflict, "One of the group was refused.")

// acceptance is what one caller brings, and waits for.
type acceptance struct {
	telltale.Acceptance
	rows   []eventRow
	nonces []stored.Nonce
	bytes  int

	accepted telltale.Accepted
	begun    atomic.Bool // whoever sets it owns the acceptance: the loop, or the caller who left
	err      error
	done     chan struct{}
}

// accepts gathers what callers bring at the same time into one transaction: its
// round trips and its sync are shared, and it grows with the load by itself.
type accepts struct {
	accept func([]*acceptance) // in one transaction, and answers

	mu      sync.Mutex
	waiting []*acceptance
	bytes   int
	closed  bool
	callers int           // in the last transaction, and who came during it
	took    time.Duration // by the last transaction
	wake    *sync.Cond
	ended   chan struct{}
}

func newAccepts(accept func([]*acceptance)) *accepts {
	q := &accepts{accept: accept, ended: make(chan struct{})}
	q.wake = sync.NewCond(&q.mu)
	go q.run()
	return q
}

// wait queues the acceptance and waits for its commit. A context that ends before
// it began takes it back; afterwards the outcome is waited for.
func (q *accepts) wait(ctx context.Context, a *acceptance) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := q.push(a); err != nil {
		return err
	}
	select {
	case <-a.done:
		return a.err
	case <-ctx.Done():
	}
	if a.begun.CompareAndSwap(false, true) {
		return ctx.Err()
	}
	<-a.done
	return a.err
}

func (q *accepts) push(a *acceptance) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return errClosed
	case len(q.waiting) >= maxQueued, q.bytes+a.bytes > maxQueuedBytes && len(q.waiting) > 0:
		return errOverloaded
	}
	q.waiting = append(q.waiting, a)
	q.bytes += a.bytes
	q.wake.Signal()
	return nil
}

// pop takes what fits into one transaction. It gives nothing only after the end.
func (q *accepts) pop(group []*acceptance) []*acceptance {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.callers += len(q.waiting)
	for len(q.waiting) == 0 && !q.closed {
		q.wake.Wait()
	}
	q.gather()
	n, events, bytes := 0, 0, 0
	for n < len(q.waiting) && (n == 0 || events+len(q.waiting[n].Events) <= maxGroup && bytes+q.waiting[n].bytes <= maxGroupBytes) {
		events += len(q.waiting[n].Events)
		bytes += q.waiting[n].bytes
		n++
	}
	group = append(group, q.waiting[:n]...)
	q.waiting = slices.Delete(q.waiting, 0, n)
	q.bytes -= bytes
	q.callers = n
	return group
}

// gather waits for as many callers as there were last, for as long as the last
// transaction took, [gatherFor] at most.
func (q *accepts) gather() {
	if len(q.waiting) >= q.callers {
		return
	}
	late := false
	timer := time.AfterFunc(min(q.took, gatherFor), func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		late = true
		q.wake.Broadcast()
	})
	defer timer.Stop()
	for len(q.waiting) < q.callers && !late && !q.closed {
		q.wake.Wait()
	}
}

func (q *accepts) run() {
	defer close(q.ended)
	var group []*acceptance
	for {
		clear(group)
		group = q.pop(group[:0])
		if len(group) == 0 {
			return
		}
		group = slices.DeleteFunc(group, func(a *acceptance) bool { return !a.begun.CompareAndSwap(false, true) })
		if len(group) > 0 {
			began := time.Now()
			q.accept(group)
			q.took = time.Since(began)
		}
	}
}

// acceptGroup accepts what several callers brought, together if it can be.
func (s *Store) acceptGroup(group []*acceptance) {
	ctx, cancel := context.WithTimeout(context.Background(), writeLimit+time.Second)
	defer cancel()
	err := s.acceptAll(ctx, group, len(group) == 1)
	if errors.Is(err, errGroup) {
		for _, a := range group {
			a.answer(s.acceptAll(ctx, []*acceptance{a}, true))
		}
		return
	}
	for _, a := range group {
		a.answer(err)
	}
}

func (a *acceptance) answer(err error) {
	a.err = err
	close(a.done)
}

// stop accepts what is queued, and ends.
func (q *accepts) stop() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.wake.Broadcast()
	<-q.ended
}
