package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
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

// stats are the counts that are committed and in no row yet.
type stats struct {
	mu      sync.Mutex
	counted int64 // the rows count up to this number
	pending map[statKey]*telltale.Stat
	timer   *time.Timer // stores them; nil while nothing is pending
}

// fineStep gives the step that a number of the line stands in.
func fineStep(number int64) int64 {
	return stored.NumberMilli(number) / telltale.StatStep.Milliseconds()
}

const fineInCoarse = int64(telltale.StatCoarseStep / telltale.StatStep)

// countEvent counts an event that is no test. Those that Telltale makes about
// itself nobody sent, so they are not counted as accepted.
func (tx *tx) countEvent(number, project, code int64) {
	if stored.EventTypes[code].Operational() {
		return
	}
	tx.happened = append(tx.happened, happening{statKey: statKey{fineStep(number), project, 0, code}})
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
	tx.happened = append(tx.happened, newHappening(a.number, d.number, d.webhook.project.number, d.webhook.number, d.code,
		stored.TimeMilli(a.StartedAt), a.Duration.Microseconds(), int64(a.Status), state))
}

// newHappening takes what is in the log: state is the delivery's if the
// attempt is its last.
func newHappening(attempt, delivery, project, webhook, code, startedAt, micros, status, state int64) happening {
	h := happening{statKey: statKey{fineStep(attempt), project, webhook, code}, answer: telltale.AnswerOf(int(status)), fate: fateRetried}
	switch {
	case h.answer == telltale.Answer2xx:
		h.fate = fateSucceeded
		h.took = max(0, time.Duration(startedAt-stored.NumberMilli(delivery))*time.Millisecond+time.Duration(micros)*time.Microsecond)
	case state == stored.StateFailed:
		h.fate = fateFailed
	case state == stored.StateCancelled:
		h.fate = fateCancelled
	}
	return h
}

// storeCounts has the counts stored with this transaction, since it changes
// what they would be made from again.
func (tx *tx) storeCounts() { tx.countsDue = true }

// addCounts adds to the rows, before the commit, if it is asked for or due.
func (tx *tx) addCounts() error {
	if len(tx.stats.pending) < maxPending && !tx.countsDue {
		return nil
	}
	rows := make(map[statKey]*telltale.Stat, len(tx.stats.pending)) // only the writer changes what is pending
	for key, stat := range tx.stats.pending {
		rows[key] = new(*stat)
	}
	sumUp(rows, tx.happened)
	if len(rows) == 0 {
		return nil
	}
	for key, stat := range rows {
		blob := stored.EncodeCounts(stat)
		for coarse, start := range [...]int64{key.start, key.start / fineInCoarse} {
			err := tx.change(`INSERT INTO stat (coarse, start, project, webhook, type, counts) VALUES (?, ?, ?, ?, ?, ?)
				ON CONFLICT DO UPDATE SET counts = sum_counts(counts, excluded.counts)`).
				int(int64(coarse)).int(start).int(key.project).int(key.webhook).int(key.code).blob(blob).run()
			if err != nil {
				return fmt.Errorf("storing counts: %w", err)
			}
		}
	}
	tx.countsStored = true
	return tx.change(`UPDATE meta SET value = ? WHERE name = 'counted'`).int(tx.last).run()
}

func sumUp(into map[statKey]*telltale.Stat, happened []happening) {
	for i := range happened {
		h := &happened[i]
		stat := into[h.statKey]
		if stat == nil {
			stat = &telltale.Stat{}
			into[h.statKey] = stat
		}
		h.addTo(stat)
	}
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
		s.pending = map[statKey]*telltale.Stat{}
		return
	}
	sumUp(s.pending, tx.happened)
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
		tx.countEvent(q.getInt(), q.getInt(), q.getInt())
		return nil
	})
	if err != nil {
		return err
	}
	err = tx.query(`SELECT a.number, d.number, d.project, d.webhook, d.type, a.started_at, a.duration, a.status,
		iif(d.last_attempt = a.number, iif(d.state = 2 AND w.deleted_at IS NOT NULL, 6, d.state), 0)
		FROM attempt a CROSS JOIN delivery d ON d.number = a.delivery CROSS JOIN webhook w ON w.number = d.webhook
		WHERE a.number > ? AND d.test = 0`).int(tx.stats.counted).each(func(q *query) error {
		tx.happened = append(tx.happened, newHappening(q.getInt(), q.getInt(), q.getInt(), q.getInt(), q.getInt(), q.getInt(), q.getInt(), q.getInt(), q.getInt()))
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
	if q.Step < 0 || q.Step%telltale.StatStep != 0 {
		return nil, telltale.Errorf(telltale.Invalid, "Counts are kept in steps of %v; they cannot be given in steps of %v.", telltale.StatStep, q.Step)
	}
	search := statSearch{store: s, project: s.known.project(project), query: q, found: map[statKey]*telltale.Stat{}}
	if search.project == nil {
		return nil, nil
	}
	if q.WebhookID != "" {
		if search.webhook = s.known.webhook(q.WebhookID); search.webhook == nil || search.webhook.project != search.project {
			return nil, nil
		}
	}
	search.size = telltale.StatStep
	if q.Step > 0 && q.Step%telltale.StatCoarseStep == 0 || q.Step == 0 && time.Since(q.Since) > telltale.StatFineAge {
		search.size = telltale.StatCoarseStep
	}
	size := search.size.Milliseconds()
	if !q.Since.IsZero() {
		search.first = q.Since.UnixMilli() / size
	}
	search.end = allNumbers().below
	if !q.Until.IsZero() {
		search.end = (ceilMilli(q.Until) + size - 1) / size
	}
	// What is pending is looked at before the rows. If the rows count further
	// than they did then, they count it all.
	counted, pending := s.writer.stats.of(search.project)
	err := s.read(ctx, "reading counts", func(c *conn) error {
		var now int64
		if _, err := c.query(`SELECT value FROM meta WHERE name = 'counted'`).one(func(q *query) { now = q.getInt() }); err != nil {
			return err
		}
		if now != counted {
			pending = nil
		}
		return search.rows(c)
	})
	if err != nil {
		return nil, err
	}
	for key, stat := range pending {
		if search.size == telltale.StatCoarseStep {
			key.start /= fineInCoarse
		}
		search.add(key, stat)
	}
	return search.result(), nil
}

// of gives a copy of what is pending of a project.
func (s *stats) of(p *project) (counted int64, pending map[statKey]*telltale.Stat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pending = map[statKey]*telltale.Stat{}
	for key, stat := range s.pending {
		if key.project == p.number {
			pending[key] = new(*stat)
		}
	}
	return s.counted, pending
}

// statSearch adds up rows into the steps that are asked for.
type statSearch struct {
	store   *Store
	project *project
	webhook *webhook // nil for all
	query   telltale.StatQuery
	size    time.Duration // of the steps that are read
	first   int64         // of these steps; all that reach into the time
	end     int64         // before this one

	found map[statKey]*telltale.Stat // by the start of the step, in ms
}

// rows goes from step to step, since each holds the rows of all projects.
func (s *statSearch) rows(c *conn) error {
	coarse := s.size == telltale.StatCoarseStep
	webhook, last := int64(0), allNumbers().below
	if s.webhook != nil {
		webhook, last = s.webhook.number, s.webhook.number
	}
	for start := s.first; ; start++ {
		found, err := c.query(`SELECT start FROM stat WHERE coarse = ? AND start >= ? AND start < ? ORDER BY start LIMIT 1`).bool(coarse).int(start).int(s.end).
			one(func(q *query) { start = q.getInt() })
		if err != nil || !found {
			return err
		}
		err = c.query(`SELECT webhook, type, counts FROM stat WHERE coarse = ? AND start = ? AND project = ? AND webhook >= ? AND webhook <= ?`).
			bool(coarse).int(start).int(s.project.number).int(webhook).int(last).each(func(q *query) error {
			key := statKey{start: start, webhook: q.getInt(), code: q.getInt()}
			var stat telltale.Stat
			if err := stored.DecodeCounts(q.getBlob(), &stat); err != nil {
				return err
			}
			s.add(key, &stat)
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// add adds counts of a step of the size that is read.
func (s *statSearch) add(key statKey, stat *telltale.Stat) {
	switch {
	case key.start < s.first, key.start >= s.end:
		return
	case s.webhook != nil && key.webhook != s.webhook.number:
		return
	case s.query.ByWebhook && key.webhook == 0:
		return
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
			sum.WebhookID = s.store.known.webhookByNumber(group.webhook).id
		}
		s.found[group] = sum
	}
	sum.Add(stat)
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
