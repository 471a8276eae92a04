// Package live follows the log for those who watch it: pages, and programs that
// listen.
//
// Whoever watches has a cursor, and asks for what stands behind it as soon as the
// log has grown. Nothing is queued for them: what a slow watcher has not read yet
// stays where it is, in the log, and who comes back with their cursor, after a
// restart too, misses nothing and gets nothing twice. So there is no backlog to
// bound but the bytes that a connection holds, and a connection that takes none
// for a while is cut.
//
// Programs that listen get every row ([Log.Watch]). A page is only told how much
// is new ([Log.Tell]), and then reads what it shows: it need not keep up with a
// log that grows faster than anybody reads.
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
	return l.follow(ctx, after, news, idle, func(after telltale.Cursor) (telltale.LogPage, time.Duration, error) {
		page, err := l.store.LogSince(ctx, project, after, pageSize)
		if page.More {
			return page, 0, err
		}
		return page, Interval, err
	})
}

// Tell calls news, at most once every pace, with what [Log.Look] finds. Otherwise
// it is as Watch.
func (l *Log) Tell(ctx context.Context, project telltale.ProjectID, after telltale.Cursor, pace time.Duration, news func(telltale.LogPage) error, idle func() error) error {
	return l.follow(ctx, after, news, idle, func(after telltale.Cursor) (telltale.LogPage, time.Duration, error) {
		page, err := l.Look(ctx, project, after)
		if empty(page) {
			return page, Interval, err
		}
		return page, pace, err
	})
}

// Look gives what is new behind the cursor. Where that is more than one page it
// is the first, with More set, and the rest is passed over: Next is the log's end.
func (l *Log) Look(ctx context.Context, project telltale.ProjectID, after telltale.Cursor) (telltale.LogPage, error) {
	end, err := l.store.LogEnd(ctx)
	page := telltale.LogPage{Next: after, More: end > after}
	for err == nil && page.More && empty(page) { // what was passed over so far is other projects'
		page, err = l.store.LogSince(ctx, project, page.Next, telltale.MaxPage-1)
	}
	if page.More {
		page.Next = max(page.Next, end)
	}
	return page, err
}

// follow looks at the log's end and, when that has moved, reads what is new. What
// it read also says how long to rest then.
func (l *Log) follow(ctx context.Context, after telltale.Cursor, news func(telltale.LogPage) error, idle func() error, read func(telltale.Cursor) (telltale.LogPage, time.Duration, error)) error {
	if l.watchers.Add(1) > maxWatchers {
		l.watchers.Add(-1)
		return &telltale.Error{Code: telltale.RateLimited, RetryAfter: 5 * time.Second, Message: "There are too many live streams. Try again in 5 s."}
	}
	defer l.watchers.Add(-1)
	look := time.NewTimer(0)
	defer look.Stop()
	quiet := time.Now()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.stopped:
			return errStopped
		case <-look.C:
		}
		page, rest := telltale.LogPage{Next: after}, Interval
		end, err := l.store.LogEnd(ctx)
		if err == nil && end > after {
			page, rest, err = read(after)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case telltale.CodeOf(err) == telltale.Unavailable: // it will be back
			page, rest = telltale.LogPage{Next: after}, Interval
		case err != nil:
			return err
		case !empty(page):
			if err := news(page); err != nil {
				return err
			}
			quiet = time.Now()
		}
		after = max(after, page.Next)
		if time.Since(quiet) >= Heartbeat {
			if err := idle(); err != nil {
				return err
			}
			quiet = time.Now()
		}
		look.Reset(rest)
	}
}

func empty(page telltale.LogPage) bool { return len(page.Events)+len(page.Deliveries) == 0 }
