package sqlite

import (
	"fmt"
	"sync/atomic"
	"time"

	"telltale.example/telltale/internal/failpoint"
)

// checkpointer copies the write-ahead log into the database file, beside the
// writer, so that nobody waits for it. SQLite's automatic checkpoint would run
// within a commit, and would drop an error of its sync, after which the log
// could be reused although the database file does not hold what was in it.
//
// A log is reused from its start only if all of it was copied, and under load
// the writer is always ahead. So when the copying got near the end, the writer
// itself copies the few pages that are left, between two transactions.
type checkpointer struct {
	store   *Store
	conn    *conn
	due     chan struct{} // a token: the log is long enough
	stopped chan struct{}
	near    atomic.Bool // a copying ended: what is left is the writer's to finish
}

const (
	// logPages is how long the log gets before it is copied: 16 MiB.
	logPages = 2048
	// finishPages bounds what the writer copies by itself: two of its largest
	// transactions.
	finishPages = 2 * maxGroupBytes / pageSize
	// mostLogPages is how long the log gets before the writer copies all of
	// it, since the copying beside it cannot keep up.
	mostLogPages = 4 * logPages
)

func newCheckpointer(s *Store, c *conn) *checkpointer {
	return &checkpointer{store: s, conn: c, due: make(chan struct{}, 1), stopped: make(chan struct{})}
}

func (k *checkpointer) run() {
	defer close(k.stopped)
	for range k.due {
		if k.store.down() != nil {
			continue
		}
		failpoint.Here("checkpoint-begin")
		if _, _, err := logState(k.conn, "PASSIVE"); err != nil {
			k.failed(err)
			<-time.After(time.Second) // a full disk is not freed sooner
			continue
		}
		failpoint.Here("checkpoint-copied")
		k.near.Store(true)
	}
}

// stop is called when the writer has stopped.
func (k *checkpointer) stop() {
	close(k.due)
	<-k.stopped
}

// afterCommit is called by the writer between two transactions, with its
// connection.
func (k *checkpointer) afterCommit(c *conn) error {
	if k.store.down() != nil {
		return nil
	}
	log, copied, err := logState(c, "NOOP")
	if err != nil || log < logPages {
		return err
	}
	left := log - copied
	switch {
	case left <= finishPages && k.near.CompareAndSwap(true, false), left > finishPages && log >= mostLogPages:
		_, _, err = logState(c, "PASSIVE")
		return err
	case left > finishPages:
		select {
		case k.due <- struct{}{}:
		default: // it will be seen to
		}
	}
	return nil
}

// failed looks at the error of a checkpoint. A full disk, and a lock that
// another reader holds, only put it off.
func (k *checkpointer) failed(err error) {
	err = k.store.diagnose(err)
	k.store.log.Warn("A checkpoint of the write-ahead log failed.", "error", err)
	_ = k.store.explain("checkpoint", err) // ends the store if it is fatal
}

// logState runs a checkpoint of the mode and gives the pages in the log, and
// how many of them the database file has. NOOP only looks.
func logState(c *conn, mode string) (log, copied int64, err error) {
	_, err = c.query("PRAGMA wal_checkpoint(" + mode + ")").one(func(q *query) {
		q.getInt() // whether another checkpoint was under way
		log, copied = q.getInt(), q.getInt()
	})
	if err != nil {
		return 0, 0, fmt.Errorf("%s checkpoint: %w", mode, err)
	}
	return log, copied, nil
}
