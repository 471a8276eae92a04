package postgres

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"telltale.example/telltale"
)

// logAttempts is how many attempts, of whichever project, one call looks at.
const logAttempts = 2000

// LogEnd gives a number of the line at or below which nothing is committed later,
// by whichever node. Transactions take their numbers in order but commit in any,
// so it is not simply the last number: it stands before the first number that a
// transaction under way has taken.
//
// take_numbers takes an advisory lock, until the transaction ends, on the first of
// the numbers before it moves the sequence past them. So if the sequence is read
// first, and the locks after it, every number up to the sequence's is either one
// of a transaction whose lock is seen, or of one that has ended: then its rows are
// seen by every statement that begins from then on. A transaction that is not
// seen because it takes its numbers later takes greater ones. No clock decides
// anything, and a transaction that takes no numbers holds up nobody.
func (s *Store) LogEnd(ctx context.Context) (telltale.Cursor, error) {
	if err := s.down(); err != nil {
		return 0, err
	}
	end, err := s.ends.after(ctx, s.readEnd)
	return telltale.Cursor(end), s.explain("reading the end of the log", err)
}

// leastNumber is below every number of the line, and above all else that
// advisory locks are taken on.
const leastNumber = int64(1) << 40

func (s *Store) readEnd(ctx context.Context) (end int64, err error) {
	var taken *int64
	b := &pgx.Batch{}
	b.Queue(`SELECT last_value FROM line`).QueryRow(func(row pgx.Row) error { return row.Scan(&end) })
	b.Queue(`SELECT min(l.classid::bigint << 32 | l.objid::bigint) FROM pg_locks l JOIN pg_database b ON b.oid = l.database
		WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND b.datname = current_database() AND l.classid::bigint << 32 | l.objid::bigint > $1`, leastNumber).
		QueryRow(func(row pgx.Row) error { return row.Scan(&taken) })
	if err := s.readers.SendBatch(ctx, b).Close(); err != nil {
		return 0, err
	}
	if taken != nil {
		end = min(end, *taken-1)
	}
	return end, nil
}

// endPace bounds how often the log's end is read for watchers, of which a node
// may have a thousand. They share what is read after they asked.
const endPace = 10 * time.Millisecond

// ends lets all who want to know the log's end at about the same time read it once.
type ends struct {
	mu    sync.Mutex
	next  *endReading // that has not begun
	began time.Time   // the last one
}

type endReading struct {
	done chan struct{}
	end  int64
	err  error
}

// after gives an end that is read after the call.
func (e *ends) after(ctx context.Context, read func(context.Context) (int64, error)) (int64, error) {
	e.mu.Lock()
	r := e.next
	if r == nil {
		r = &endReading{done: make(chan struct{})}
		e.next = r
		go e.read(r, endPace-time.Since(e.began), read) //nolint:gosec // others wait for it too, so it does not end with whoever asked first
	}
	e.mu.Unlock()
	select {
	case <-r.done:
		return r.end, r.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (e *ends) read(r *endReading, pause time.Duration, read func(context.Context) (int64, error)) {
	defer close(r.done)
	<-time.After(pause)
	e.mu.Lock()
	e.next, e.began = nil, time.Now()
	e.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), readLimit)
	defer cancel()
	r.end, r.err = read(ctx)
}

// LogSince reads up to the end, in one snapshot that is taken after the end was
// read: all that stands there is in it. Attempts are in no index of the project,
// so it goes through everyone's, and stops for now after [logAttempts].
func (s *Store) LogSince(ctx context.Context, project telltale.ProjectID, after telltale.Cursor, limit int) (telltale.LogPage, error) {
	end, err := s.LogEnd(ctx)
	if err != nil {
		return telltale.LogPage{}, err
	}
	page := telltale.LogPage{Next: end}
	if after >= end {
		return page, nil
	}
	known, err := s.configured(ctx)
	if err != nil {
		return telltale.LogPage{}, err
	}
	p := known.project(project)
	if p == nil {
		return page, nil
	}
	err = s.snapshot(ctx, "reading the log", func(ctx context.Context, q querier) error {
		l := logSearch{store: s, project: p, within: numbers{above: int64(after), below: int64(end) + 1}, limit: min(max(limit, 1), telltale.MaxPage)}
		happened, err := l.deliveries(ctx, q)
		if err != nil {
			return err
		}
		if page.Events, err = l.events(ctx, q); err != nil {
			return err
		}
		// What was cut off for the events' sake is behind the cursor.
		past, _ := slices.BinarySearchFunc(happened, l.within.below, func(d logDelivery, below int64) int { return cmp.Compare(d.at, below) })
		wanted := make([]int64, past)
		for i := range wanted {
			wanted[i] = happened[i].number
		}
		if page.Deliveries, err = s.deliveriesByNumber(ctx, q, project, wanted); err != nil {
			return err
		}
		page.Next, page.More = telltale.Cursor(l.within.below-1), l.within.below <= int64(end)
		return nil
	})
	if err != nil {
		return telltale.LogPage{}, err
	}
	return page, nil
}

// logSearch reads one stretch of the log. Whatever finds more than fits cuts
// the stretch, so that all kinds of rows end at the same place.
type logSearch struct {
	store   *Store
	project *project
	within  numbers
	limit   int
}

// logDelivery is a delivery and the last place where something happened to it.
type logDelivery struct{ number, at int64 }

// deliveries gives those that were made or attempted in the stretch, each once,
// in the order of their last places.
func (l *logSearch) deliveries(ctx context.Context, q querier) ([]logDelivery, error) {
	var happened []logDelivery
	var number, at, project int64
	sql, args := unite(l.branches(openTable, doneTable), "d.number", "ASC", l.limit+1)
	err := each(ctx, q, sql, args, []any{&number}, func() error {
		happened = append(happened, logDelivery{number, number})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(happened) > l.limit {
		l.within.below = happened[l.limit].number
	}
	looked := 0
	err = each(ctx, q, `SELECT a.number, a.delivery, coalesce((SELECT project FROM delivery d WHERE d.number = a.delivery), (SELECT project FROM delivery_done d WHERE d.number = a.delivery), 0)
		FROM attempt a WHERE a.number > $1 AND a.number < $2 ORDER BY a.number LIMIT $3`, []any{l.within.above, l.within.below, logAttempts},
		[]any{&at, &number, &project}, func() error {
			if project == l.project.number {
				happened = append(happened, logDelivery{number, at})
			}
			if looked++; looked == logAttempts {
				l.within.below = at + 1
			}
			return nil
		})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(happened, func(a, b logDelivery) int { return cmp.Compare(a.at, b.at) })
	last := map[int64]int64{} // by delivery: the place
	for _, h := range happened {
		if _, known := last[h.number]; !known && len(last) == l.limit {
			l.within.below = min(l.within.below, h.at)
		}
		if h.at >= l.within.below {
			break
		}
		last[h.number] = h.at
	}
	return slices.DeleteFunc(happened, func(h logDelivery) bool { return last[h.number] != h.at }), nil
}

// branches are the ways to the project's rows of the stretch.
func (l *logSearch) branches(tables ...string) []branch {
	list := make([]branch, len(tables))
	for i, table := range tables {
		b := &list[i]
		b.table = table
		b.where(b.alias()+".project = ?", l.project.number)
		b.within(l.within)
	}
	return list
}

func (l *logSearch) events(ctx context.Context, q querier) ([]*telltale.Event, error) {
	var events []*telltale.Event
	var row scannedEvent
	sql, args := unite(l.branches("event e"), eventColumns, "ASC", l.limit+1)
	err := each(ctx, q, sql, args, row.into(), func() error {
		events = append(events, row.event(l.project.ID))
		return nil
	})
	if len(events) > l.limit {
		l.within.below = events[l.limit].Sequence
		events = events[:l.limit]
	}
	return events, err
}
