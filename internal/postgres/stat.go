package postgres

import (
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
