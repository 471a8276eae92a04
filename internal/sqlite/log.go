package sqlite

import (
	"cmp"
	"context"
	"slices"

	"telltale.example/telltale"
)

// logAttempts is how many attempts, of whichever project, one call looks at.
const logAttempts = 2000

// LogEnd is in memory: one goroutine gives out the numbers and commits them in
// order, so nothing that is committed later can stand before it.
func (s *Store) LogEnd(context.Context) (telltale.Cursor, error) {
	return telltale.Cursor(s.writer.committed.Load()), s.down()
}

// LogSince costs nothing while there is nothing new. Events and deliveries it
// finds through the project's spans; attempts are in none, so it goes through
// everyone's, and stops for now after [logAttempts].
func (s *Store) LogSince(ctx context.Context, project telltale.ProjectID, after telltale.Cursor, limit int) (telltale.LogPage, error) {
	end := s.writer.committed.Load() // before the transaction that reads up to it
	page := telltale.LogPage{Next: telltale.Cursor(end)}
	p := s.known.project(project)
	if int64(after) >= end || p == nil {
		return page, s.down()
	}
	limit = min(max(limit, 1), telltale.MaxPage)
	err := s.read(ctx, "reading the log", func(c *conn) error {
		l := logSearch{conn: c, project: p, within: numbers{above: int64(after), below: end + 1}, limit: limit}
		deliveries, err := l.deliveries()
		if err != nil {
			return err
		}
		if page.Events, err = l.events(s); err != nil {
			return err
		}
		// What was cut off for the events' sake is behind the cursor.
		for _, d := range deliveries {
			if d.at >= l.within.below {
				break
			}
			row, err := s.deliveryByNumber(c, project, d.number)
			if err != nil {
				return err
			}
			page.Deliveries = append(page.Deliveries, row)
		}
		page.Next, page.More = telltale.Cursor(l.within.below-1), l.within.below <= end
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
	*conn
	project *project
	within  numbers
	limit   int
}

// logDelivery is a delivery and the last place where something happened to it.
type logDelivery struct{ number, at int64 }

// deliveries gives those that were made or attempted in the stretch, each once.
func (l *logSearch) deliveries() ([]logDelivery, error) {
	var happened []logDelivery
	made := l.inSpans("d.number")
	err := made.each(l.conn, `SELECT d.number FROM span s CROSS JOIN delivery d`, func(q *query) error {
		number := q.getInt()
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
	err = l.query(`SELECT a.number, a.delivery, d.project FROM attempt a CROSS JOIN delivery d ON d.number = a.delivery
		WHERE a.number > ? AND a.number < ? ORDER BY a.number LIMIT ?`).int(l.within.above).int(l.within.below).int(logAttempts).each(func(q *query) error {
		at, number := q.getInt(), q.getInt()
		if q.getInt() == l.project.number {
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

func (l *logSearch) events(s *Store) ([]*telltale.Event, error) {
	var events []*telltale.Event
	accepted := l.inSpans("e.number")
	id := l.project.now.Load().ID
	err := accepted.each(l.conn, `SELECT `+eventColumns+` FROM span s CROSS JOIN event e`, func(q *query) error {
		events = append(events, s.scanEvent(q, id))
		return nil
	})
	if len(events) > l.limit {
		l.within.below = events[l.limit].Sequence
		events = events[:l.limit]
	}
	return events, err
}

// inSpans lists the project's rows of the stretch, oldest first, and one more
// than fits.
func (l *logSearch) inSpans(column string) list {
	rows := list{oldestFirst: true, most: l.limit + 1}
	rows.inSpans(l.project.owner(), column, l.within, -1)
	rows.where(column+" > ?", l.within.above)
	rows.where(column+" < ?", l.within.below)
	rows.filter(column[:2]+"project = ?", l.project.number)
	return rows
}
