package postgres

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// statKey names a row of fine steps.
type statKey struct {
	start   int64 // in steps since 1970
	project int64
	webhook int64 // 0: events
	code    int64 // of their type
}

// A happening is what is counted.
type happening struct {
	statKey
	fate   fate
	answer telltale.Answer
	took   time.Duration // of a success
}

// fate is what an attempt made of its delivery.
type fate int

const (
	fateEvent fate = iota // no attempt at all
	fateSucceeded
	fateFailed
	fateRetried
	fateCancelled // the webhook is deleted: neither failed nor retried
)

func (h *happening) addTo(s *telltale.Stat) {
	if h.fate == fateEvent {
		s.Events++
		return
	}
	s.Answers[h.answer]++
	switch h.fate {
	case fateSucceeded:
		s.Succeeded++
		s.Took.Observe(h.took)
	case fateFailed:
		s.Failed++
	case fateRetried:
		s.Retried++
	}
}

// fineStep gives the step that a number of the line stands in.
func fineStep(number int64) int64 {
	return stored.NumberMilli(number) / telltale.StatStep.Milliseconds()
}

// countEvent counts an event that is no test. Those that Telltale makes about
// itself nobody sent, so they are not counted as accepted.
func (tx *tx) countEvent(number, project, code int64) {
	if stored.EventTypes[code].Operational() {
		return
	}
	tx.rows.happened = append(tx.rows.happened, happening{statKey: statKey{fineStep(number), project, 0, code}})
}

// countAttempt counts an attempt and what it made of the delivery.
func (tx *tx) countAttempt(d *deliveryRow, a *attemptRow) {
	if d.test {
		return
	}
	state := d.state
	if w := tx.known.hooks[d.webhook]; state == stored.StateWaiting && w != nil && w.deletedAt != 0 {
		state = stored.StateCancelled // as it is shown
	}
	h := happening{statKey: statKey{fineStep(a.number), d.project, d.webhook, d.code}, answer: telltale.AnswerOf(a.Status), fate: fateRetried}
	switch {
	case h.answer == telltale.Answer2xx:
		h.fate = fateSucceeded
		h.took = max(0, a.StartedAt.Sub(stored.NumberTime(d.number))+a.Duration)
	case state == stored.StateFailed:
		h.fate = fateFailed
	case state == stored.StateCancelled:
		h.fate = fateCancelled
	}
	tx.rows.happened = append(tx.rows.happened, h)
}

// queueHappened adds what happened to the counts, as rows of this transaction's
// own.
func queueHappened(b *pgx.Batch, happened []happening) {
	if len(happened) == 0 {
		return
	}
	sums := map[statKey]*telltale.Stat{}
	for i := range happened {
		h := &happened[i]
		sum := sums[h.statKey]
		if sum == nil {
			sum = &telltale.Stat{}
			sums[h.statKey] = sum
		}
		h.addTo(sum)
	}
	n := len(sums)
	start, project, webhook, code := make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n)
	counts := make([][]byte, 0, n)
	for key, sum := range sums {
		start, project, webhook, code = append(start, key.start), append(project, key.project), append(webhook, key.webhook), append(code, key.code)
		counts = append(counts, stored.EncodeCounts(sum))
	}
	b.Queue(`INSERT INTO stat_delta (start, project, webhook, type, counts) SELECT * FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::smallint[], $5::bytea[])`,
		start, project, webhook, code, counts)
}

const fineInCoarse = int64(telltale.StatCoarseStep / telltale.StatStep)

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
	var key statKey
	var counts []byte
	err = tx.each([]any{&key.start, &key.project, &key.webhook, &key.code, &counts}, func() error {
		moved++
		for coarse, start := range [...]int64{key.start, key.start / fineInCoarse} {
			k := key
			k.start = start
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
	err = tx.each([]any{&known.project, &known.coarse, &known.start, &known.webhook, &known.code, &counts}, func() error { return sums.add(known, counts) },
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
	statKey
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
		project, coarse, start = append(project, row.project), append(coarse, row.coarse), append(start, row.start)
		webhook, code, counts = append(webhook, row.webhook), append(code, row.code), append(counts, stored.EncodeCounts(sum))
	}
	return []any{project, coarse, start, webhook, code, counts}
}

// Stats reads fine steps if they are asked for, or if the time is short enough
// for them to be there still.
func (s *Store) Stats(ctx context.Context, project telltale.ProjectID, q telltale.StatQuery) ([]telltale.Stat, error) {
	if q.Step < 0 || q.Step%telltale.StatStep != 0 {
		return nil, telltale.Errorf(telltale.Invalid, "Counts are kept in steps of %v; they cannot be given in steps of %v.", telltale.StatStep, q.Step)
	}
	known, err := s.configured(ctx)
	if err != nil {
		return nil, err
	}
	search := statSearch{known: known, project: known.project(project), query: q, found: map[statKey]*telltale.Stat{}}
	if search.project == nil {
		return nil, nil
	}
	if q.WebhookID != "" {
		if search.webhook = known.webhook(q.WebhookID); search.webhook == nil || search.webhook.project != search.project.number {
			return nil, nil
		}
	}
	err = s.read(ctx, "reading counts", func(ctx context.Context, q querier) error {
		if err := search.choose(ctx, q); err != nil {
			return err
		}
		return search.rows(ctx, q)
	})
	if err != nil {
		return nil, err
	}
	return search.result(), nil
}

// statSearch adds up rows into the steps that are asked for.
type statSearch struct {
	known   *registry
	project *project
	webhook *webhook // nil for all
	query   telltale.StatQuery
	size    time.Duration // of the steps that are read
	first   int64         // of these steps; all that reach into the time
	end     int64         // before this one

	found map[statKey]*telltale.Stat // by the start of the step, in ms
}

// choose decides which steps are read.
func (s *statSearch) choose(ctx context.Context, q querier) error {
	s.size = telltale.StatStep
	switch {
	case s.query.Step > 0 && s.query.Step%telltale.StatCoarseStep == 0, s.query.Step == 0 && s.query.Since.IsZero():
		s.size = telltale.StatCoarseStep
	case s.query.Step == 0:
		var now int64
		if err := q.QueryRow(ctx, `SELECT telltale_now()`).Scan(&now); err != nil {
			return err
		}
		if now-s.query.Since.UnixMilli() > telltale.StatFineAge.Milliseconds() {
			s.size = telltale.StatCoarseStep
		}
	}
	size := s.size.Milliseconds()
	if !s.query.Since.IsZero() {
		s.first = s.query.Since.UnixMilli() / size
	}
	s.end = allNumbers().below
	if !s.query.Until.IsZero() {
		s.end = (ceilMilli(s.query.Until) + size - 1) / size
	}
	return nil
}

// rows reads what is added up and what is not yet in one statement, which sees
// all that happened in the one or in the other.
func (s *statSearch) rows(ctx context.Context, q querier) error {
	coarse, fine := s.size == telltale.StatCoarseStep, int64(1)
	if coarse {
		fine = fineInCoarse
	}
	webhook, last := int64(0), int64(math.MaxInt32)
	if s.webhook != nil {
		webhook, last = s.webhook.number, s.webhook.number
	}
	var key statKey
	var counts []byte
	return each(ctx, q, `SELECT start, webhook, type, counts FROM stat WHERE project = $1 AND coarse = $2 AND start >= $3 AND start < $4 AND webhook BETWEEN $5 AND $6
		UNION ALL SELECT start / $7, webhook, type, counts FROM stat_delta WHERE project = $1 AND webhook BETWEEN $5 AND $6`,
		[]any{s.project.number, coarse, s.first, s.end, webhook, last, fine}, []any{&key.start, &key.webhook, &key.code, &counts}, func() error { return s.add(key, counts) })
}

// add adds counts of a step of the size that is read.
func (s *statSearch) add(key statKey, counts []byte) error {
	if key.start < s.first || key.start >= s.end || s.query.ByWebhook && key.webhook == 0 {
		return nil
	}
	group := statKey{start: key.start * s.size.Milliseconds()}
	if step := s.query.Step.Milliseconds(); step > 0 {
		group.start -= group.start % step
	} else {
		group.start = stored.TimeMilli(s.query.Since)
	}
	if s.query.ByWebhook || s.webhook != nil {
		group.webhook = key.webhook
	}
	group.code = -1
	if s.query.ByType {
		group.code = key.code
	}
	sum := s.found[group]
	if sum == nil {
		sum = &telltale.Stat{Start: stored.MilliTime(group.start), Type: stored.Word(stored.EventTypes, group.code)}
		if s.query.ByWebhook {
			w := s.known.hooks[key.webhook]
			if w == nil {
				return nil // it was made a moment ago
			}
			sum.WebhookID = w.now().ID
		}
		s.found[group] = sum
	}
	return addCounts(sum, counts)
}

func (s *statSearch) result() []telltale.Stat {
	var all []telltale.Stat
	for _, stat := range s.found {
		all = append(all, *stat)
	}
	slices.SortFunc(all, func(a, b telltale.Stat) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.WebhookID, b.WebhookID), cmp.Compare(a.Type, b.Type))
	})
	return all
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
			WHERE s.project = k.project AND s.coarse = k.coarse AND s.start = k.start AND s.webhook = k.webhook AND s.type = k.type`,
			coarse == 1, (tx.milli-age.Milliseconds())/size.Milliseconds(), purgeRows)
		if err != nil {
			return false, fmt.Errorf("counts: %w", err)
		}
		more = more || n >= purgeRows
	}
	return more, nil
}
