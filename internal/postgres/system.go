package postgres

import (
	"context"
	"strings"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// maxNodes is how many starts are listed.
const maxNodes = 50

// Nodes lists the newest starts, and every node that is alive, however long it
// has been.
func (s *Store) Nodes(ctx context.Context) (nodes []telltale.Node, err error) {
	err = s.read(ctx, "listing nodes", func(ctx context.Context, q querier) error {
		var n telltale.Node
		var startedAt, beatAt int64
		return each(ctx, q, `SELECT id, role, version, host, started_at, beat_at, alive FROM (
				SELECT number, id, role, version, host, started_at, coalesce(beat_at, 0) AS beat_at, gone_at IS NULL AND lease_until >= (SELECT telltale_now()) AS alive
				FROM node ORDER BY alive DESC, number DESC LIMIT $1) n ORDER BY number DESC`,
			[]any{int64(maxNodes)}, []any{&n.ID, &n.Role, &n.Version, &n.Host, &startedAt, &beatAt, &n.Alive}, func() error {
				made := n
				made.StartedAt, made.BeatAt = stored.MilliTime(startedAt), stored.MilliTime(beatAt)
				nodes = append(nodes, made)
				return nil
			})
	})
	if err != nil {
		return nil, err
	}
	return nodes, nil
}

// The queries of Info go from webhook to webhook, or project to project, since
// that is how the indexes go, and end where counting does.
const (
	engineQuery = `SELECT current_setting('server_version'), (SELECT max(version_id) FROM goose_db_version WHERE is_applied), pg_database_size(current_database())`

	sendingQuery = `SELECT count(*) FROM (SELECT FROM delivery WHERE state = 3 LIMIT $1) d`

	failedQuery = `SELECT count(*) FROM (SELECT FROM project p
		CROSS JOIN LATERAL (SELECT FROM delivery_done WHERE project = p.number AND state = 5 LIMIT $1) d LIMIT $1) d`

	// What waits for a webhook that is deleted is cancelled, and for one that is
	// disabled it is held.
	waitingQuery = `SELECT count(*) FROM (SELECT FROM webhook w
		CROSS JOIN LATERAL (SELECT FROM delivery WHERE webhook = w.number AND state = 2 LIMIT $1) d
		WHERE w.enabled = $2 AND w.deleted_at IS NULL LIMIT $1) d`

	// What was held is due since it was released.
	oldestQuery = `SELECT greatest(telltale_now() - min(due.at), 0) FROM webhook w CROSS JOIN LATERAL (
			(SELECT at FROM delivery WHERE webhook = w.number AND state = 2 AND epoch = w.epoch AND least(attempts, 1) = 0 ORDER BY at LIMIT 1)
			UNION ALL (SELECT at FROM delivery WHERE webhook = w.number AND state = 2 AND epoch = w.epoch AND least(attempts, 1) = 1 ORDER BY at LIMIT 1)
			UNION ALL (SELECT w.enabled_at FROM delivery WHERE webhook = w.number AND state = 2 AND epoch < w.epoch LIMIT 1)
		) due WHERE w.enabled AND w.deleted_at IS NULL`
)

func (s *Store) Info(ctx context.Context) (telltale.StoreInfo, error) {
	info := telltale.StoreInfo{Location: s.location}
	err := s.snapshot(ctx, "describing the store", func(ctx context.Context, q querier) error {
		if err := q.QueryRow(ctx, engineQuery).Scan(&info.Engine, &info.Schema, &info.Size); err != nil {
			return err
		}
		number, _, _ := strings.Cut(info.Engine, " ") // what packaged it stands behind
		info.Engine = "PostgreSQL " + number
		const most = telltale.MaxCount + 1
		if err := q.QueryRow(ctx, sendingQuery, most).Scan(&info.Sending); err != nil {
			return err
		}
		if err := q.QueryRow(ctx, failedQuery, most).Scan(&info.Failed); err != nil {
			return err
		}
		for enabled, count := range map[bool]*int{true: &info.Waiting, false: &info.Held} {
			if err := q.QueryRow(ctx, waitingQuery, most, enabled).Scan(count); err != nil {
				return err
			}
		}
		var due int64
		if err := q.QueryRow(ctx, oldestQuery).Scan(&due); err != nil {
			return err
		}
		info.OldestDue = time.Duration(due) * time.Millisecond
		return nil
	})
	if err != nil {
		return telltale.StoreInfo{}, err
	}
	return info, nil
}
