package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"zombiezen.com/go/sqlite"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// What happens is counted in memory when its transaction has committed, and
// the counts are added to their rows every few seconds, in one statement a row
// and step, by a transaction that commits anyway if there is one. The meta row
// "counted" says up to which number of the line the rows count; when the store
// is opened, what lies behind it is counted again from the log. So a crash
// loses nothing and doubles nothing.
//
// For that the log must still tell what was counted. Operations that change
// what an attempt left behind ask for the counts to be stored in their own
// transaction: see [tx.storeCounts].
const (
	// countInterval is how long counts stay in memory alone. It bounds what is
	// counted again after a crash.
	countInterval = 5 * time.Second
	// maxPending bounds the rows that one transaction adds to, but for what it
	// counts itself.
	maxPending = 1000
)

// stats are the counts that are committed and in no row yet.
type stats struct {
	mu      sync.Mutex
	counted int64 // the rows count up to this number
	pending map[stored.StatKey]*telltale.Stat
	timer   *time.Timer // stores them; nil while nothing is pending
}

// countAttempt counts an attempt and what it made of the delivery.
func (tx *tx) countAttempt(d *deliveryRow, a *attemptRow) {
	if d.test {
		return
	}
	state := d.state
	if state == stored.StateWaiting && tx.state(d.webhook).Deleted {
		state = stored.StateCancelled // as it is shown
	}
	tx.happened.Attempt(stored.CountedAttempt{
		Number: a.number, Delivery: d.number, Project: d.webhook.project.number, Webhook: d.webhook.number, Code: d.code,
		StartedAt: stored.TimeMilli(a.StartedAt), Duration: a.Duration.Microseconds(), Status: int64(a.Status), State: state,
	})
}

// storeCounts has the counts stored with this transaction, since it changes
// what they would be made from again.
func (tx *tx) storeCounts() { tx.countsDue = true }

// addCounts adds to the rows, before the commit, if it is asked for or due.
func (tx *tx) addCounts() error {
	if len(tx.stats.pending) < maxPending && !tx.countsDue {
		return nil
	}
	rows := make(map[stored.StatKey]*telltale.Stat, len(tx.stats.pending)) // only the writer changes what is pending
	for key, stat := range tx.stats.pending {
		rows[key] = new(*stat)
	}
	tx.happened.AddTo(rows)
	if len(rows) == 0 {
		return nil
	}
	for key, stat := range rows {
		blob := stored.EncodeCounts(stat)
		for coarse, start := range [...]int64{key.Start, key.Start / stored.FineInCoarse} {
			err := tx.change(`INSERT INTO stat (coarse, start, project, webhook, type, counts) VALUES (?, ?, ?, ?, ?, ?)
				ON CONFLICT DO UPDATE SET counts = sum_counts(counts, excluded.counts)`).
				int(int64(coarse)).int(start).int(key.Project).int(key.Webhook).int(key.Code).blob(blob).run()
			if err != nil {
				return fmt.Errorf("storing counts: %w", err)
			}
		}
	}
	tx.countsStored = true
	return tx.change(`UPDATE meta SET value = ? WHERE name = 'counted'`).int(tx.last).run()
}

// publish shows the counts of a transaction that has committed.
func (s *stats) publish(tx *tx) {
	if len(tx.happened) == 0 && !tx.countsStored {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if tx.countsStored {
		s.counted = tx.last
		s.pending = map[stored.StatKey]*telltale.Stat{}
		return
	}
	tx.happened.AddTo(s.pending)
	if s.timer == nil {
		s.timer = time.AfterFunc(countInterval, tx.store.storeCounts)
	}
}

// storeCounts stores what is pending, so that little has to be counted again.
func (s *Store) storeCounts() {
	stats := &s.writer.stats
	stats.mu.Lock()
	stats.timer = nil
	stats.mu.Unlock()
	// An error is the writer's to tell; the counts wait for another chance.
	_ = s.write(context.Background(), "storing counts", 100*maxPending, func(tx *tx) error { tx.storeCounts(); return nil })
}

func (s *stats) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
}

// recount counts what the rows do not count yet.
func (tx *tx) recount() error {
	if tx.last <= tx.stats.counted {
		return nil
	}
	err := tx.query(`SELECT number, project, type FROM event WHERE number > ? AND test = 0`).int(tx.stats.counted).each(func(q *query) error {
		tx.happened.Event(q.getInt(), q.getInt(), q.getInt())
		return nil
	})
	if err != nil {
		return err
	}
	err = tx.query(`SELECT a.number, d.number, d.project, d.webhook, d.type, a.started_at, a.duration, a.status,
		iif(d.last_attempt = a.number, iif(d.state = 2 AND w.deleted_at IS NOT NULL, 6, d.state), 0)
		FROM attempt a CROSS JOIN delivery d ON d.number = a.delivery CROSS JOIN webhook w ON w.number = d.webhook
		WHERE a.number > ? AND d.test = 0`).int(tx.stats.counted).each(func(q *query) error {
		tx.happened.Attempt(stored.CountedAttempt{
			Number: q.getInt(), Delivery: q.getInt(), Project: q.getInt(), Webhook: q.getInt(), Code: q.getInt(),
			StartedAt: q.getInt(), Duration: q.getInt(), Status: q.getInt(), State: q.getInt(),
		})
		return nil
	})
	tx.storeCounts()
	return err
}

// registerSumCounts lets SQL add up counts, so that adding to a row is one statement.
func registerSumCounts(c *conn) error {
	return c.CreateFunction("sum_counts", &sqlite.FunctionImpl{
		NArgs: 2, Deterministic: true,
		Scalar: func(_ sqlite.Context, args []sqlite.Value) (sqlite.Value, error) {
			var sum, added telltale.Stat
			if err := errors.Join(stored.DecodeCounts(args[0].Blob(), &sum), stored.DecodeCounts(args[1].Blob(), &added)); err != nil {
				return sqlite.Value{}, err
			}
			sum.Add(&added)
			return sqlite.BlobValue(stored.EncodeCounts(&sum)), nil
		},
	})
}

// Stats reads fine steps if they are asked for, or if the time is short enough
// for them to be there still.
func (s *Store) Stats(ctx context.Context, project telltale.ProjectID, q telltale.StatQuery) ([]telltale.Stat, error) {
	if err := s.down(); err != nil {
		return nil, err
	}
	if err := q.Validate(); err != nil {
		return nil, err
	}
	p := s.known.project(project)
	if p == nil {
		return nil, nil
	}
	search := stored.NewStatSearch(q, time.Now())
	search.WebhookID = func(number int64) telltale.WebhookID { return s.known.webhookByNumber(number).id }
	if q.WebhookID != "" {
		w := s.known.webhook(q.WebhookID)
		if w == nil || w.project != p {
			return nil, nil
		}
		search.Webhook = w.number
	}
	// What is pending is looked at before the rows. If the rows count further
	// than they did then, they count it all.
	counted, pending := s.writer.stats.of(p)
	err := s.read(ctx, "reading counts", func(c *conn) error {
		var now int64
		if _, err := c.query(`SELECT value FROM meta WHERE name = 'counted'`).one(func(q *query) { now = q.getInt() }); err != nil {
			return err
		}
		if now != counted {
			pending = nil
		}
		return readStats(c, p, search)
	})
	if err != nil {
		return nil, err
	}
	for key, stat := range pending {
		if search.Coarse {
			key.Start /= stored.FineInCoarse
		}
		search.Add(key, stat)
	}
	return search.Result(), nil
}

// of gives a copy of what is pending of a project.
func (s *stats) of(p *project) (counted int64, pending map[stored.StatKey]*telltale.Stat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pending = map[stored.StatKey]*telltale.Stat{}
	for key, stat := range s.pending {
		if key.Project == p.number {
			pending[key] = new(*stat)
		}
	}
	return s.counted, pending
}

// readStats goes from step to step, since each holds the rows of all projects.
func readStats(c *conn, p *project, search *stored.StatSearch) error {
	webhook, last := search.Webhook, search.Webhook
	if search.Webhook == 0 {
		last = allNumbers().below
	}
	for start := search.First; ; start++ {
		found, err := c.query(`SELECT start FROM stat WHERE coarse = ? AND start >= ? AND start < ? ORDER BY start LIMIT 1`).bool(search.Coarse).int(start).int(search.End).
			one(func(q *query) { start = q.getInt() })
		if err != nil || !found {
			return err
		}
		err = c.query(`SELECT webhook, type, counts FROM stat WHERE coarse = ? AND start = ? AND project = ? AND webhook >= ? AND webhook <= ?`).
			bool(search.Coarse).int(start).int(p.number).int(webhook).int(last).each(func(q *query) error {
			key := stored.StatKey{Start: start, Webhook: q.getInt(), Code: q.getInt()}
			var stat telltale.Stat
			if err := stored.DecodeCounts(q.getBlob(), &stat); err != nil {
				return err
			}
			search.Add(key, &stat)
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// purgeStats removes fine steps that are past their age, and coarse ones that
// are older than the events.
func (tx *tx) purgeStats(age time.Duration) (more bool, err error) {
	for coarse, age := range [...]time.Duration{telltale.StatFineAge + telltale.StatStep, age} {
		if age == 0 {
			continue
		}
		size := [...]time.Duration{telltale.StatStep, telltale.StatCoarseStep}[coarse]
		err := tx.change(`DELETE FROM stat WHERE (coarse, start, project, webhook, type) IN
			(SELECT coarse, start, project, webhook, type FROM stat WHERE coarse = ? AND start < ? ORDER BY start, project, webhook, type LIMIT ?)`).
			int(int64(coarse)).int((tx.milli - age.Milliseconds()) / size.Milliseconds()).int(purgeRows).run()
		if err != nil {
			return false, fmt.Errorf("counts: %w", err)
		}
		more = more || tx.conn.Changes() == purgeRows
	}
	return more, nil
}
