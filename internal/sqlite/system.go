package sqlite

import (
	"context"
	"fmt"
	"os"
	"time"

	"zombiezen.com/go/sqlite"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

func (s *Store) Nodes(ctx context.Context) (nodes []telltale.Node, err error) {
	err = s.read(ctx, "listing nodes", func(c *conn) error {
		return c.query(`SELECT id, started_at, coalesce(beat_at, 0), number = ? FROM node ORDER BY number DESC LIMIT 50`).int(s.node).each(func(q *query) error {
			nodes = append(nodes, telltale.Node{ID: telltale.NodeID(q.getText()), Role: telltale.NodeAll, StartedAt: stored.MilliTime(q.getInt()), BeatAt: stored.MilliTime(q.getInt()), Alive: q.getBool()})
			return nil
		})
	})
	return nodes, err
}

func (s *Store) Info(ctx context.Context) (info telltale.StoreInfo, err error) {
	info.Engine, info.Location = "SQLite "+sqlite.Version, s.path
	for path, size := range map[string]*int64{s.path: &info.Size, s.path + "-wal": &info.LogSize} {
		if file, err := os.Stat(path); err == nil {
			*size = file.Size()
		}
	}
	milli := nowMilli()
	err = s.read(ctx, "describing the store", func(c *conn) error {
		if _, err := c.query(`SELECT coalesce(max(version_id), 0) FROM goose_db_version`).one(func(q *query) { info.Schema = q.getInt() }); err != nil {
			return err
		}
		for condition, count := range map[string]*int{"state = 3": &info.Sending, "state = 5": &info.Failed} {
			_, err := c.query(`SELECT count(*) FROM (SELECT 1 FROM delivery INDEXED BY delivery_unsettled WHERE ` + condition + ` AND state <> 4 LIMIT ?)`).
				int(telltale.MaxCount + 1).one(func(q *query) { *count = int(q.getInt()) })
			if err != nil {
				return err
			}
		}
		return s.countWaiting(c, milli, &info)
	})
	if err != nil {
		return telltale.StoreInfo{}, err
	}
	return info, nil
}

// countWaiting goes from webhook to webhook that something waits for, since
// the webhook says what that is.
func (s *Store) countWaiting(c *conn, milli int64, info *telltale.StoreInfo) error {
	number, err := nextWaiting(c, 0)
	for ; err == nil && number != 0; number, err = nextWaiting(c, number) {
		w := s.known.webhookByNumber(number)
		if w == nil {
			continue // it was made this very moment
		}
		state := w.now.Load()
		count := &info.Waiting
		switch {
		case state.Deleted:
			continue
		case !state.Enabled:
			count = &info.Held
		default:
			since, err := oldestDue(c, w, state)
			if err != nil {
				return fmt.Errorf("lane of %s: %w", w.id, err)
			}
			info.OldestDue = max(info.OldestDue, time.Duration(milli-since)*time.Millisecond)
		}
		_, err = c.query(`SELECT count(*) FROM (SELECT 1 FROM delivery INDEXED BY delivery_queue WHERE state = 2 AND webhook = ? LIMIT ?)`).
			int(number).int(int64(telltale.MaxCount + 1 - *count)).one(func(q *query) { *count += int(q.getInt()) })
		if err != nil {
			return fmt.Errorf("lane of %s: %w", w.id, err)
		}
	}
	return err
}

// oldestDue gives since when the delivery that is due the longest is, or when
// it will be. What was held is due since it was released.
func oldestDue(c *conn, w *webhook, state *webhookState) (milli int64, err error) {
	milli = int64(telltale.Never / time.Millisecond)
	for retry := range int64(2) {
		_, err := c.query(`SELECT at FROM delivery INDEXED BY delivery_queue WHERE state = 2 AND webhook = ? AND epoch = ? AND (attempts > 0) = ? ORDER BY at LIMIT 1`).
			int(w.number).int(state.epoch).int(retry).one(func(q *query) { milli = min(milli, q.getInt()) })
		if err != nil {
			return 0, err
		}
	}
	_, err = c.query(`SELECT 1 FROM delivery INDEXED BY delivery_queue WHERE state = 2 AND webhook = ? AND epoch < ? LIMIT 1`).
		int(w.number).int(state.epoch).one(func(*query) { milli = min(milli, state.enabledAt) })
	return milli, err
}
