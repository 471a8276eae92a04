package sqlite

import (
	"context"
	"os"
	"time"

	"zombiezen.com/go/sqlite"

	"telltale.example/telltale"
)

func (s *Store) Nodes(ctx context.Context) (nodes []telltale.Node, err error) {
	err = s.read(ctx, "listing nodes", func(c *conn) error {
		return c.query(`SELECT id, started_at, coalesce(beat_at, 0), number = ? FROM node ORDER BY number DESC LIMIT 50`).int(s.node).each(func(q *query) error {
			nodes = append(nodes, telltale.Node{ID: telltale.NodeID(q.getText()), StartedAt: milliTime(q.getInt()), BeatAt: milliTime(q.getInt()), Alive: q.getBool()})
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
	err = s.read(ctx, "describing the store", func(c *conn) error {
		_, err := c.query(`SELECT coalesce(max(version_id), 0) FROM goose_db_version`).one(func(q *query) { info.Schema = q.getInt() })
		if err != nil {
			return err
		}
		for _, count := range []struct {
			of   telltale.State
			into *int
		}{{telltale.StateWaiting, &info.Waiting}, {telltale.StateSending, &info.Sending}, {telltale.StateHeld, &info.Held}, {telltale.StateFailed, &info.Failed}} {
			for _, kind := range shownAs(count.of) {
				_, err := c.query(`SELECT count(*) FROM (SELECT 1 FROM delivery d INDEXED BY delivery_unsettled CROSS JOIN webhook w ON w.number = d.webhook WHERE ` + kind.row + ` AND ` + kind.webhook + ` LIMIT ?)`).
					int(telltale.MaxCount + 1).one(func(q *query) { *count.into += int(q.getInt()) })
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return info, err
	}
	lanes, err := s.DueWebhooks(ctx)
	if err != nil {
		return info, err
	}
	return info, s.read(ctx, "looking for what is overdue", func(c *conn) error {
		for _, lane := range lanes {
			if lane.In != 0 {
				continue
			}
			w := s.known.webhook(lane.Webhook.ID)
			for retry := range int64(2) {
				_, err := c.query(`SELECT at FROM delivery INDEXED BY delivery_queue WHERE state = 2 AND webhook = ? AND epoch = ? AND (attempts > 0) = ? ORDER BY at LIMIT 1`).
					int(w.number).int(w.now.Load().epoch).int(retry).one(func(q *query) {
					info.OldestDue = max(info.OldestDue, time.Duration(nowMilli()-q.getInt())*time.Millisecond)
				})
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
}
