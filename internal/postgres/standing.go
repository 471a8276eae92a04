package postgres

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// What webhooks' attempts add up to is a row each, which every node adds to. A
// success of a webhook that is healthy moves nothing but the time of the last
// success and the breaker's window: for that the row is written, and locked, once
// in [standingInterval], and the node remembers the attempts that the row lacks. A
// crash loses so many, which errs on the side of impatience with a receiver of
// which half the attempts fail anyway.
const standingInterval = time.Minute

// standing is a row of that name.
type standing struct {
	telltale.Standing
	health telltale.Health
}

// successes are counts of attempts that no row has yet, by webhook.
type successes struct {
	mu     sync.Mutex
	counts map[int64]counted
}

// counted are a webhook's successes since its standing was reset, which another
// node may do meanwhile.
type counted struct {
	window  telltale.Breaker // only that
	resetAt time.Time
}

// of gives what was counted for the standing that the row holds.
func (s *successes) of(webhook int64, row *standing) telltale.Breaker {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.counts[webhook]; c.resetAt.Equal(row.ResetAt) {
		return c.window
	}
	return telltale.Breaker{}
}

func (s *successes) set(webhook int64, b telltale.Breaker, row *standing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts == nil {
		s.counts = map[int64]counted{}
	}
	if b.WindowStart.IsZero() {
		delete(s.counts, webhook)
		return
	}
	s.counts[webhook] = counted{b, row.ResetAt}
}

const standingColumns = `coalesce(s.revision, 0), coalesce(s.health, 0), coalesce(s.last_success_at, 0), coalesce(s.failing_since, 0), coalesce(s.failures, 0), coalesce(s.blocked, 0), coalesce(s.warned, 0),
	coalesce(s.alarmed, false), coalesce(s.reset_at, 0), coalesce(s.breaker, 0), coalesce(s.breaker_until, 0), coalesce(s.breaker_wait, 0), coalesce(s.breaker_proven, 0), coalesce(s.window_start, 0), s.minutes`

// scannedStanding is a row with those columns.
type scannedStanding struct {
	revision, health, lastSuccessAt, failingSince, failures, blocked, warned, resetAt int64
	alarmed                                                                           bool
	breaker, until, wait, proven, windowStart                                         int64
	minutes                                                                           []byte
}

func (r *scannedStanding) into() []any {
	return []any{&r.revision, &r.health, &r.lastSuccessAt, &r.failingSince, &r.failures, &r.blocked, &r.warned, &r.alarmed, &r.resetAt,
		&r.breaker, &r.until, &r.wait, &r.proven, &r.windowStart, &r.minutes}
}

func (r *scannedStanding) standing() (s standing, err error) {
	s.health = stored.Word(stored.Healths, r.health)
	s.Standing = telltale.Standing{
		Revision: r.revision, LastSuccessAt: stored.MilliTime(r.lastSuccessAt), FailingSince: stored.MilliTime(r.failingSince), Failures: int(r.failures), Blocked: int(r.blocked),
		Warned: telltale.Warning(r.warned), Alarmed: r.alarmed, ResetAt: stored.MilliTime(r.resetAt),
		Breaker: telltale.Breaker{
			State: stored.Word(stored.BreakerStates, r.breaker), Until: stored.MilliTime(r.until), Wait: time.Duration(r.wait), Proven: int(r.proven),
			WindowStart: stored.MilliTime(r.windowStart),
		},
	}
	return s, stored.DecodeWindow(r.minutes, &s.Breaker)
}

// readStandings reads the rows of webhooks, in order if they are to be locked.
func readStandings(ctx context.Context, q querier, where string, arg any, visit func(webhook int64, s standing)) error {
	rows, err := q.Query(ctx, standingsWhere+where, arg)
	if err != nil {
		return err
	}
	return scanStandings(rows, visit)
}

const standingsWhere = `SELECT s.webhook, ` + standingColumns + ` FROM standing s WHERE `

func scanStandings(rows pgx.Rows, visit func(webhook int64, s standing)) error {
	var number int64
	var row scannedStanding
	_, err := pgx.ForEachRow(rows, append([]any{&number}, row.into()...), func() error {
		s, err := row.standing()
		if err != nil {
			return fmt.Errorf("the standing of webhook %d: %w", number, err)
		}
		visit(number, s)
		return nil
	})
	return err
}

// show gives the webhook its newest standing.
func (w *webhook) show(s standing) {
	for {
		before := w.now()
		if s.Revision <= before.Standing.Revision {
			return
		}
		made := *before
		made.Standing, made.Health = s.Standing, s.health
		if w.shown.CompareAndSwap(before, &made) {
			return
		}
	}
}

// refreshStandings reads the standings of webhooks that somebody looks at.
func (s *Store) refreshStandings(ctx context.Context, webhooks []*webhook) error {
	return s.read(ctx, "reading standings", func(ctx context.Context, q querier) error { return s.refreshStandingsWith(ctx, q, webhooks) })
}

func (s *Store) refreshStandingsWith(ctx context.Context, q querier, webhooks []*webhook) error {
	if len(webhooks) == 0 {
		return nil
	}
	byNumber := make(map[int64]*webhook, len(webhooks))
	wanted := make([]int64, len(webhooks))
	for i, w := range webhooks {
		byNumber[w.number], wanted[i] = w, w.number
	}
	return readStandings(ctx, q, `s.webhook = ANY($1)`, wanted, func(number int64, st standing) { byNumber[number].show(st) })
}

// resetStanding begins the count anew.
func (tx *tx) resetStanding(c *webhookChange) error {
	s := standing{health: telltale.HealthNeverUsed}
	if c.standing != nil {
		s = *c.standing
	} else if err := readStandings(tx.ctx, tx.conn, `s.webhook = $1 FOR UPDATE`, c.number, func(_ int64, known standing) { s = known }); err != nil {
		return err
	}
	s.Standing = s.Reset(tx.presentTime())
	s.Revision++
	if err := tx.writeStanding(c.number, &s); err != nil {
		return err
	}
	made := *c.Webhook
	made.Standing, made.Health = s.Standing, s.health
	c.Webhook = &made
	return nil
}

func (tx *tx) writeStanding(number int64, s *standing) error {
	health, err := stored.Code(stored.Healths, s.health)
	if err != nil {
		return err
	}
	breaker, err := stored.Code(stored.BreakerStates, s.Breaker.State)
	if err != nil {
		return err
	}
	b := &s.Breaker
	_, err = tx.exec(`INSERT INTO standing (webhook, revision, health, last_success_at, failing_since, failures, blocked, warned, alarmed, reset_at,
		breaker, breaker_until, breaker_wait, breaker_proven, window_start, minutes, touched_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
		ON CONFLICT (webhook) DO UPDATE SET revision = excluded.revision, health = excluded.health, last_success_at = excluded.last_success_at, failing_since = excluded.failing_since,
		failures = excluded.failures, blocked = excluded.blocked, warned = excluded.warned, alarmed = excluded.alarmed, reset_at = excluded.reset_at, breaker = excluded.breaker,
		breaker_until = excluded.breaker_until, breaker_wait = excluded.breaker_wait, breaker_proven = excluded.breaker_proven, window_start = excluded.window_start,
		minutes = excluded.minutes, touched_at = excluded.touched_at`,
		number, s.Revision, health, milliOrNull(s.LastSuccessAt), milliOrNull(s.FailingSince), s.Failures, s.Blocked, int(s.Warned), s.Alarmed, milliOrNull(s.ResetAt),
		breaker, milliOrNull(b.Until), int64(b.Wait), b.Proven, milliOrNull(b.WindowStart), stored.EncodeWindow(b), tx.milli)
	if err != nil {
		return fmt.Errorf("the standing of webhook %d: %w", number, err)
	}
	return nil
}

// judgement is what a transaction works out about a webhook's standing.
type judgement struct {
	*webhook
	number int64
	row    standing // as it is stored
	now    standing
	fresh  telltale.Breaker // attempts that no row has: of before, and of now
	change *webhookChange   // the new version, if the webhook is switched
}

// judgements tells how the webhooks stand, by their rows. One without a row has
// made no attempt.
func (tx *tx) judgements(numbers []int64, rows map[int64]standing) (map[int64]*judgement, error) {
	all := make(map[int64]*judgement, len(numbers))
	for _, number := range numbers {
		w := tx.known.hooks[number]
		if w == nil {
			return nil, fmt.Errorf("there is no webhook %d", number)
		}
		row, ok := rows[number]
		if !ok {
			row.health = telltale.HealthNeverUsed
		}
		j := &judgement{webhook: w, number: number, row: row, now: row, fresh: tx.store.successes.of(number, &row)}
		j.now.Breaker.Add(&j.fresh)
		all[number] = j
	}
	return all, nil
}

// lockJudgements is judgements by rows that nobody else changes before the
// transaction ends.
func (tx *tx) lockJudgements(numbers []int64) (map[int64]*judgement, error) {
	slices.Sort(numbers)
	_, err := tx.exec(`INSERT INTO standing (webhook, revision, health, failures, blocked, warned, alarmed, breaker, breaker_wait, breaker_proven, touched_at)
		SELECT n, 0, 0, 0, 0, 0, false, 0, 0, 0, 0 FROM unnest($1::bigint[]) n ORDER BY n ON CONFLICT DO NOTHING`, numbers)
	if err != nil {
		return nil, err
	}
	rows := map[int64]standing{}
	if err := readStandings(tx.ctx, tx.conn, `s.webhook = ANY($1) ORDER BY s.webhook FOR UPDATE`, numbers, func(number int64, s standing) { rows[number] = s }); err != nil {
		return nil, err
	}
	return tx.judgements(numbers, rows)
}

// settled reports whether the standing need not be stored: it changed in nothing
// but what moves with every success, and that was stored lately.
func (j *judgement) settled() bool {
	return j.now.health == j.row.health && j.now.Same(j.row.Standing) && j.now.LastSuccessAt.Sub(j.row.LastSuccessAt) < standingInterval
}

// moved reports whether the breaker or the health changed.
func (j *judgement) moved() bool {
	b, before := &j.now.Breaker, &j.row.Breaker
	return j.now.health != j.row.health || b.State != before.State || b.Until != before.Until || b.Proven != before.Proven
}

// after adds an attempt.
func (j *judgement) after(a *telltale.Attempt, now time.Time) telltale.Signals {
	var signals telltale.Signals
	j.now.Standing, signals = j.now.After(a, now)
	if signals.Health != "" {
		j.now.health = signals.Health
	}
	if signals.Health != "" { // a failure stays here only if the same call ends with a success
		j.fresh.Count(signals.Health == telltale.HealthFailing, now)
	}
	return signals
}

// settle stores the standing if it is due, and shows it once it is committed.
func (tx *tx) settle(j *judgement) error {
	store := tx.store
	if j.settled() && j.change == nil {
		fresh := j.fresh
		tx.onDone(func() { store.successes.set(j.number, fresh, &j.row) })
		return nil
	}
	if !j.settled() {
		j.now.Revision++
		if err := tx.writeStanding(j.number, &j.now); err != nil {
			return err
		}
		now := j.now
		tx.onDone(func() {
			store.successes.set(j.number, telltale.Breaker{}, &j.row)
			if w := store.known.Load().hooks[j.number]; w != nil {
				w.show(now)
			}
		})
	}
	return nil
}

// present is the webhook as it is by now, in the transaction.
func (j *judgement) present() *telltale.Webhook {
	if j.change != nil {
		return j.change.Webhook
	}
	return j.webhook.now()
}

// shownWebhook is the webhook as it is once this has committed.
func (j *judgement) shownWebhook() *telltale.Webhook {
	made := *j.present()
	made.Standing, made.Health = j.now.Standing, j.now.health
	return &made
}
