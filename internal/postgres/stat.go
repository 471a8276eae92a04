package postgres

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// countAttempt counts an attempt and what it made of the delivery.
func (tx *tx) countAttempt(d *deliveryRow, a *attemptRow) {
	if d.test {
		return
	}
	state := d.state
	if w := tx.known.hooks[d.webhook]; state == stored.StateWaiting && w != nil && w.deletedAt != 0 {
		state = stored.StateCancelled // as it is shown
	}
	tx.rows.happened.Attempt(stored.CountedAttempt{
		Number: a.number, Delivery: d.number, Project: d.project, Webhook: d.webhook, Code: d.code,
		StartedAt: stored.TimeMilli(a.StartedAt), Duration: a.Duration.Microseconds(), Status: int64(a.Status), State: state,
	})
}

// queueHappened adds what happened to the counts, as rows of this transaction's
// own.
func queueHappened(b *pgx.Batch, happened stored.Happened) {
	if len(happened) == 0 {
		return
	}
	sums := map[stored.StatKey]*telltale.Stat{}
	happened.AddTo(sums)
	n := len(sums)
	start, project, webhook, code := make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n)
	counts := make([][]byte, 0, n)
	for key, sum := range sums {
		start, project, webhook, code = append(start, key.Start), append(project, key.Project), append(webhook, key.Webhook), append(code, key.Code)
		counts = append(counts, stored.EncodeCounts(sum))
	}
	b.Queue(`INSERT INTO stat_delta (start, project, webhook, type, counts) SELECT * FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::smallint[], $5::bytea[])`,
		start, project, webhook, code, counts)
}

// Rows of stat_delta are added up every few seconds, by whichever node comes
// first.
const (
	addUpInterval = 5 * time.Second
	addUpRows     = 5000 // in one transaction
	addUpLock     = 7823641011
)

// addUp adds up what happened until ctx ends.
func (s *Store) addUp(ctx context.Context) {
	ticker := time.NewTicker(addUpInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := s.addUpStats(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("Counts could not be added up; it is tried again.", "error", err)
		}
	}
}

// addUpStats moves what was counted so far from stat_delta to stat. It leaves
// that to another node which is at it.
func (s *Store) addUpStats(ctx context.Context) error {
	for {
		moved := 0
		err := s.write(ctx, "adding up counts", func(tx *tx) (err error) {
			moved, err = tx.addUpStats()
			return err
		})
		if err != nil || moved < addUpRows {
			return err
		}
	}
}

func (tx *tx) addUpStats() (moved int, err error) {
	mine, err := tx.tryLock(addUpLock)
	if err != nil || !mine {
		return 0, err
	}
	sums := statSums{}
	var key stored.StatKey
	var counts []byte
	err = tx.each([]any{&key.Start, &key.Project, &key.Webhook, &key.Code, &counts}, func() error {
		moved++
		for coarse, start := range [...]int64{key.Start, key.Start / stored.FineInCoarse} {
			k := key
			k.Start = start
			if err := sums.add(statRow{k, coarse == 1}, counts); err != nil {
				return err
			}
		}
		return nil
	}, `DELETE FROM stat_delta WHERE ctid = ANY(ARRAY(SELECT ctid FROM stat_delta LIMIT $1)) RETURNING start, project, webhook, type, counts`, addUpRows)
	if err != nil || moved == 0 {
		return 0, err
	}
	var known statRow
	args := sums.columns()
	err = tx.each([]any{&known.Project, &known.coarse, &known.Start, &known.Webhook, &known.Code, &counts}, func() error { return sums.add(known, counts) },
		`SELECT s.project, s.coarse, s.start, s.webhook, s.type, s.counts
		FROM unnest($1::integer[], $2::boolean[], $3::bigint[], $4::integer[], $5::smallint[]) AS u(project, coarse, start, webhook, type)
		JOIN stat s USING (project, coarse, start, webhook, type)`, args[:5]...)
	if err != nil {
		return 0, err
	}
	_, err = tx.exec(`INSERT INTO stat (project, coarse, start, webhook, type, counts)
		SELECT * FROM unnest($1::integer[], $2::boolean[], $3::bigint[], $4::integer[], $5::smallint[], $6::bytea[])
		ON CONFLICT (project, coarse, start, webhook, type) DO UPDATE SET counts = excluded.counts`, sums.columns()...)
	return moved, err
}

// statRow names a row of the table stat.
type statRow struct {
	stored.StatKey
	coarse bool
}

// statSums are counts of rows.
type statSums map[statRow]*telltale.Stat

func (s statSums) add(row statRow, counts []byte) error {
	sum := s[row]
	if sum == nil {
		sum = &telltale.Stat{}
		s[row] = sum
	}
	return addCounts(sum, counts)
}

func addCounts(sum *telltale.Stat, counts []byte) error {
	var added telltale.Stat
	if err := stored.DecodeCounts(counts, &added); err != nil {
		return err
	}
	sum.Add(&added)
	return nil
}

// columns gives the rows as an array a column.
func (s statSums) columns() []any {
	n := len(s)
	project, coarse, start := make([]int64, 0, n), make([]bool, 0, n), make([]int64, 0, n)
	webhook, code, counts := make([]int64, 0, n), make([]int64, 0, n), make([][]byte, 0, n)
	for row, sum := range s {
		project, coarse, start = append(project, row.Project), append(coarse, row.coarse), append(start, row.Start)
		webhook, code, counts = append(webhook, row.Webhook), append(code, row.Code), append(counts, stored.EncodeCounts(sum))
	}
	return []any{project, coarse, start, webhook, code, counts}
}

// Stats reads fine steps if they are asked for, or if the time is short enough
// for them to be there still.
func (s *Store) Stats(ctx context.Context, project telltale.ProjectID, q telltale.StatQuery) ([]telltale.Stat, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	known, err := s.configured(ctx)
	if err != nil {
		return nil, err
	}
	p := known.project(project)
	if p == nil {
		return nil, nil
	}
	var webhook int64
	if q.WebhookID != "" {
		w := known.webhook(q.WebhookID)
		if w == nil || w.project != p.number {
			return nil, nil
		}
		webhook = w.number
	}
	var search *stored.StatSearch
	err = s.read(ctx, "reading counts", func(ctx context.Context, db querier) error {
		var now int64
		if stored.StatAgeMatters(q) {
			if err := db.QueryRow(ctx, `SELECT telltale_now()`).Scan(&now); err != nil {
				return err
			}
		}
		search = stored.NewStatSearch(q, stored.MilliTime(now))
		search.Webhook = webhook
		search.WebhookID = func(number int64) telltale.WebhookID {
			w := known.hooks[number]
			if w == nil {
				return "" // it was made a moment ago
			}
			return w.now().ID
		}
		return readStats(ctx, db, p, search)
	})
	if err != nil {
		return nil, err
	}
	return search.Result(), nil
}

// readStats reads what is added up and what is not yet in one statement, which
// sees all that happened in the one or in the other.
func readStats(ctx context.Context, q querier, p *project, search *stored.StatSearch) error {
	fine := int64(1)
	if search.Coarse {
		fine = stored.FineInCoarse
	}
	webhook, last := search.Webhook, search.Webhook
	if search.Webhook == 0 {
		last = math.MaxInt32
	}
	var key stored.StatKey
	var counts []byte
	return each(ctx, q, `SELECT start, webhook, type, counts FROM stat WHERE project = $1 AND coarse = $2 AND start >= $3 AND start < $4 AND webhook BETWEEN $5 AND $6
		UNION ALL SELECT start / $7, webhook, type, counts FROM stat_delta WHERE project = $1 AND webhook BETWEEN $5 AND $6`,
		[]any{p.number, search.Coarse, search.First, search.End, webhook, last, fine}, []any{&key.Start, &key.Webhook, &key.Code, &counts}, func() error {
			var stat telltale.Stat
			if err := stored.DecodeCounts(counts, &stat); err != nil {
				return err
			}
			search.Add(key, &stat)
			return nil
		})
}

// purgeStats removes fine steps that are past their age, and coarse ones that
// are older than the events.
func (tx *tx) purgeStats(age time.Duration) (more bool, err error) {
	for coarse, age := range [...]time.Duration{telltale.StatFineAge + telltale.StatStep, age} {
		if age == 0 {
			continue
		}
		size := [...]time.Duration{telltale.StatStep, telltale.StatCoarseStep}[coarse]
		// From project to project, as the index has them.
		n, err := tx.exec(`DELETE FROM stat s USING
			(SELECT k.* FROM project p CROSS JOIN LATERAL
				(SELECT project, coarse, start, webhook, type FROM stat WHERE project = p.number AND coarse = $1 AND start < $2 ORDER BY start LIMIT $3) k LIMIT $3) k
			WHERE s.project = k.Project AND s.coarse = k.coarse AND s.start = k.Start AND s.webhook = k.Webhook AND s.type = k.type`,
			coarse == 1, (tx.milli-age.Milliseconds())/size.Milliseconds(), purgeRows)
		if err != nil {
			return false, fmt.Errorf("counts: %w", err)
		}
		more = more || n >= purgeRows
	}
	return more, nil
}
