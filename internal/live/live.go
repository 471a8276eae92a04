// Package live follows the log for those who watch it: pages, and programs that
// listen.
//
// Whoever watches has a cursor, and asks for what stands behind it as soon as the
// log has grown. Nothing is queued for them: what a slow watcher has not read yet
// stays where it is, in the log, and who comes back with their cursor, after a
// restart too, misses nothing and gets nothing twice. So there is no backlog to
// bound but the bytes that a connection holds, and a connection that takes none
// for a while is cut.
package live

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"telltale.example/telltale"
)

// Store is what we ask of storage.
type Store interface {
	LogEnd(ctx context.Context) (telltale.Cursor, error)
	LogSince(ctx context.Context, project telltale.ProjectID, after telltale.Cursor, limit int) (telltale.LogPage, error)
}

const (
	// Interval is how often the log's end is looked at.
	Interval = 250 * time.Millisecond
	// Heartbeat is how often a stream without news says that it is alive.
	Heartbeat = 15 * time.Second
	// WriteTimeout is how long a stream may take no bytes.
	WriteTimeout = 10 * time.Second
	// pageSize is how many events, and deliveries, are read at once.
	pageSize = 100
	// maxWatchers bounds how many follow at a time.
	maxWatchers = 1000
)

// Log is the log as watchers see it. Make one with [New].
type Log struct {
	store    Store
	watchers atomic.Int64
	stopped  chan struct{}
	stop     func()
}

// New makes a log to watch.
func New(store Store) *Log {
	stopped := make(chan struct{})
	var once atomic.Bool
	return &Log{store: store, stopped: stopped, stop: func() {
		if once.CompareAndSwap(false, true) {
			close(stopped)
		}
	}}
}

// Stop ends every watch, so that a server that stops does not wait for them.
func (l *Log) Stop() { l.stop() }

// End is the place from which on everything is new.
func (l *Log) End(ctx context.Context) (telltale.Cursor, error) { return l.store.LogEnd(ctx) }

// errStopped ends a watch because the server stops.
var errStopped = errors.New("live: the server is stopping")

// Watch calls news with what stands behind the cursor, page after page, and idle
// at every [Heartbeat] in which there was nothing, until either gives an error,
// which it returns, or ctx ends, or the log is stopped. It gives RateLimited if
// there are too many watchers.
func (l *Log) Watch(ctx context.Context, project telltale.ProjectID, after telltale.Cursor, news func(telltale.LogPage) error, idle func() error) error {
	if l.watchers.Add(1) > maxWatchers {
		l.watchers.Add(-1)
		return &telltale.Error{Code: telltale.RateLimited, RetryAfter: 5 * time.Second, Message: "There are too many live streams. Try again in 5 s."}
	}
	defer l.watchers.Add(-1)
	tick := time.NewTicker(Interval)
	defer tick.Stop()
	quiet := time.Now()
	for {
		page, err := l.read(ctx, project, after)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && telltale.CodeOf(err) != telltale.Unavailable:
			return err
		case err != nil: // it will be back
		case len(page.Events)+len(page.Deliveries) > 0:
			if err := news(page); err != nil {
				return err
			}
			after, quiet = page.Next, time.Now()
			if page.More {
				continue
			}
		default:
			after = max(after, page.Next)
		}
		if time.Since(quiet) >= Heartbeat {
			if err := idle(); err != nil {
				return err
			}
			quiet = time.Now()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.stopped:
			return errStopped
		case <-tick.C:
		}
	}
}

// read gives what stands behind the cursor; nothing, and the cursor, if the log
// has not grown.
func (l *Log) read(ctx context.Context, project telltale.ProjectID, after telltale.Cursor) (telltale.LogPage, error) {
	end, err := l.store.LogEnd(ctx)
	if err != nil || end <= after {
		return telltale.LogPage{Next: after}, err
	}
	return l.store.LogSince(ctx, project, after, pageSize)
}
