package sqlite

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// Bounds of the queue before the writer, and of a transaction. A transaction's
// bytes bound how long the others wait, and the write-ahead log.
const (
	maxQueued      = 4096     // operations
	maxQueuedBytes = 64 << 20 // roughly, of rows
	maxGroup       = 1000     // operations
	maxGroupBytes  = 4 << 20  // roughly, of rows
)

// An operation is one method's work on the database, and one caller waits for
// it. Its do decides before it writes: what it returns as an error before its
// first change costs the others nothing. It may be run twice, if a neighbour
// failed, and changes nothing but the transaction and its caller's results.
type operation struct {
	name  string
	bytes int
	do    func(*tx) error

	begun atomic.Bool // whoever sets it owns the operation: the writer, or the caller who left
	err   error
	done  chan struct{}
}

// write queues do and waits for its commit. bytes is roughly what it adds to
// the database. A context that ends before the operation began takes it back;
// afterwards the outcome is waited for, which takes no longer than a commit.
func (s *Store) write(ctx context.Context, name string, bytes int, do func(*tx) error) error {
	if err := s.down(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return s.explain(name, err)
	}
	op := &operation{name: name, bytes: bytes, do: do, done: make(chan struct{})}
	if err := s.writer.queue.push(op); err != nil {
		return unavailable("The store cannot keep up.", retryBusy, err)
	}
	select {
	case <-op.done:
		return op.err
	case <-ctx.Done():
	}
	if op.begun.CompareAndSwap(false, true) {
		return s.explain(name, ctx.Err())
	}
	<-op.done
	return op.err
}

// queue holds what waits for the writer, in order.
type queue struct {
	mu     sync.Mutex
	ops    []*operation
	bytes  int
	closed bool
	wake   chan struct{} // holds a token while there is something new to see
}

func (q *queue) push(op *operation) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return errClosed
	case len(q.ops) >= maxQueued, q.bytes+op.bytes > maxQueuedBytes && len(q.ops) > 0:
		return errOverloaded
	}
	q.ops = append(q.ops, op)
	q.bytes += op.bytes
	q.signal()
	return nil
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

// pop takes what fits into one transaction, into group, and waits if there is
// nothing. It gives nothing only after the queue was closed.
func (q *queue) pop(group []*operation) []*operation {
	for {
		q.mu.Lock()
		n, bytes := 0, 0
		for n < len(q.ops) && n < maxGroup && (n == 0 || bytes+q.ops[n].bytes <= maxGroupBytes) {
			bytes += q.ops[n].bytes
			n++
		}
		group = append(group, q.ops[:n]...)
		q.ops = slices.Delete(q.ops, 0, n)
		q.bytes -= bytes
		closed := q.closed
		q.mu.Unlock()
		if n > 0 || closed {
			return group
		}
		<-q.wake
	}
}

// writer is the goroutine that writes, and what only it knows.
type writer struct {
	store   *Store
	conn    *conn
	queue   queue
	stopped chan struct{}

	last      int64        // number that was given out last
	committed atomic.Int64 // the last one that is committed, and all before it are
	meta      meta
	spans     spans
	digest    *digest
	names     names
	touched   touched
	purged    purgeMark
	kept      map[telltale.SourceID]int // how many requests a source keeps, where that was counted
	stats     stats

	happened stored.Happened // in the transaction under way
	buffer   []byte          // for whoever builds a value
}

func newWriter(s *Store, c *conn) *writer {
	return &writer{
		store: s, conn: c, queue: queue{wake: make(chan struct{}, 1)}, stopped: make(chan struct{}), spans: spans{}, touched: touched{seed: maphash.MakeSeed()},
		kept: map[telltale.SourceID]int{}, stats: stats{pending: map[stored.StatKey]*telltale.Stat{}},
	}
}

// load finds where the line of numbers ends, and what is in no digest and no
// run of names yet.
func (w *writer) load(c *conn) error {
	_, err := c.query(`SELECT max(coalesce((SELECT max(number) FROM event), 0), coalesce((SELECT max(number) FROM delivery), 0),
		coalesce((SELECT max(number) FROM attempt), 0), coalesce((SELECT max(number) FROM caller), 0), coalesce((SELECT max(number) FROM profile), 0),
		coalesce((SELECT max(number) FROM tracked_event), 0), coalesce((SELECT max(profile) FROM profile_gone), 0))`).one(func(q *query) { w.last = q.getInt() })
	if err != nil {
		return err
	}
	w.last = max(w.last, w.stats.counted) // if the newest rows were purged
	w.committed.Store(w.last)
	if w.digest, err = loadDigest(c); err != nil {
		return err
	}
	return w.names.load(w.store, c)
}

func (w *writer) run() {
	defer close(w.stopped)
	var group []*operation
	for {
		clear(group)
		group = w.queue.pop(group[:0])
		if len(group) == 0 {
			w.write([]*operation{{name: "storing counts", do: func(tx *tx) error { tx.storeCounts(); return nil }, done: make(chan struct{})}})
			return
		}
		w.write(group)
		if err := w.store.checkpoint.afterCommit(w.conn); err != nil {
			w.store.checkpoint.failed(err)
		}
	}
}

// stop lets the writer write what is queued, and waits for it.
func (w *writer) stop() {
	w.queue.close()
	<-w.stopped
	w.stats.stop()
}

// write runs the operations whose callers still wait as one transaction. If
// one of them fails after it wrote, each gets a transaction of its own.
func (w *writer) write(group []*operation) {
	live := group[:0]
	for _, op := range group {
		if op.begun.CompareAndSwap(false, true) {
			live = append(live, op)
		}
	}
	if err := w.store.down(); err != nil {
		w.answer(live, err)
		return
	}
	if w.transact(live) {
		return
	}
	for i := range live {
		w.transact(live[i : i+1])
	}
}

// transact runs the operations as one transaction and answers their callers.
// It gives false, and answers nobody, if one operation spoilt it for others.
func (w *writer) transact(ops []*operation) bool {
	if len(ops) == 0 {
		return true
	}
	tx := w.begin()
	if err := w.conn.query("BEGIN IMMEDIATE").run(); err != nil {
		w.answer(ops, w.store.diagnose(err))
		return true
	}
	for _, op := range ops {
		tx.wrote = false
		op.err = w.store.diagnose(op.do(tx))
		if op.err == nil || !tx.wrote && !fatal(op.err) {
			continue
		}
		w.rollback(tx)
		switch {
		case fatal(op.err), isFull(op.err):
			w.answer(ops, op.err) // nobody would fare better alone
		case len(ops) == 1:
			w.answer(ops, nil)
		default:
			return false
		}
		return true
	}
	err := tx.addCounts()
	if err == nil {
		err = w.conn.query("COMMIT").run()
	}
	if err != nil {
		// What has a fatal error may be stored or not; all else is undone.
		w.rollback(tx)
		w.answer(ops, w.store.diagnose(err))
		return true
	}
	if tx.dirty {
		w.store.full.Store(false)
	}
	tx.publish()
	w.answer(ops, nil)
	return true
}

func (w *writer) rollback(tx *tx) {
	if !w.conn.AutocommitEnabled() { // SQLite ends a transaction by itself after some errors
		if err := w.conn.query("ROLLBACK").run(); err != nil {
			w.store.fail(err)
		}
	}
	tx.undo()
}

// answer tells the callers how it went: each its own error, or else err.
func (w *writer) answer(ops []*operation, err error) {
	w.store.full.CompareAndSwap(false, isFull(err))
	for _, op := range ops {
		if op.err == nil {
			op.err = err
		}
		op.err = w.store.explain(op.name, op.err)
		close(op.done)
	}
}

// tx is a transaction under way, and what memory learns if it commits.
type tx struct {
	*writer
	now   time.Time
	milli int64
	wrote bool // by the operation that runs now
	dirty bool // by any

	changed   map[*webhook]*webhookState
	rewired   bool // changed has an answer of its own to who wants which events
	standings map[*webhook]*standing
	projects  map[*project]*projectState
	created   []*webhook // among changed: those that the registry does not know
	founded   []*project // among projects: likewise
	tail      tail       // of the digest
	fresh     fresh      // names
	// converting are messages whose conversions are still to be accepted.
	converting map[messageKey]bool
	made       []madeProfile // and not inserted yet
	meta       meta          // shadows the writer's until the commit
	undos      []func()

	countsDue, countsStored bool
}

func (w *writer) begin() *tx {
	now := time.Now()
	w.happened = w.happened[:0]
	return &tx{writer: w, now: now, milli: now.UnixMilli(), tail: w.digest.current(), fresh: w.names.current(), meta: w.meta}
}

// query reads, change writes.
func (tx *tx) query(sql string) *query { return tx.conn.query(sql) }

func (tx *tx) change(sql string) *query {
	tx.wrote, tx.dirty = true, true
	return tx.conn.query(sql)
}

// number gives the next number.
func (tx *tx) number() int64 {
	tx.last = stored.NextNumber(tx.last, tx.now)
	return tx.last
}

// onUndo registers what has to be done if the transaction does not commit.
func (tx *tx) onUndo(do func()) { tx.undos = append(tx.undos, do) }

func (tx *tx) undo() {
	for _, do := range tx.undos {
		do()
	}
	clear(tx.spans)
}

// publish shows memory what was committed.
func (tx *tx) publish() {
	tx.store.known.apply(tx)
	tx.publishStandings()
	tx.digest.publish(tx.tail)
	tx.names.publish(tx.fresh)
	tx.writer.meta = tx.meta
	tx.stats.publish(tx)
	tx.committed.Store(tx.last)
}

// presentTime is the time of the transaction to the millisecond, as it is stored.
func (tx *tx) presentTime() time.Time { return stored.MilliTime(tx.milli) }
