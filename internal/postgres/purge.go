package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/failpoint"
	"telltale.example/telltale/internal/stored"
)

// What is old goes by the day: the partitions of a day are dropped when all of it
// is older than the retention. A day of which an event is still owed to somebody
// keeps its partitions, and loses the rows of the other events, some at a time.
//
// Nobody waits for a purge. A partition is detached while others read and write
// the table, and dropped when the last of those has ended who might know it.

// Bounds of one transaction of a purge.
const (
	purgeRows   = 2000
	purgeEvents = 1000
	purgeBins   = 10   // with 200 requests of 256 KiB each at worst
	purgeLook   = 5000 // rows that may have to stay
)

// purgeLock is held by the one node that purges.
const purgeLock = 7823641012

// Bounds of what is done to a partition. Who makes the partitions of a new day
// may wait for the first.
const (
	purgeLockLimit  = 3 * time.Second
	purgeCountLimit = 10 * time.Minute
)

// purgeMark is where the last call of Purge stopped: what it had to keep is not
// looked at again in the same round.
type purgeMark struct {
	event   int64 // all up to it was looked at
	attempt int64
}

// Purge makes rounds through what is old: call after call from the oldest day on,
// until there is no more. One node at a time does.
func (s *Store) Purge(ctx context.Context, retention telltale.Retention) (removed int, more bool, err error) {
	if err := s.down(); err != nil {
		return 0, false, err
	}
	if !s.purging.TryLock() {
		return 0, false, nil
	}
	defer s.purging.Unlock()
	if err := s.addUpStats(ctx); err != nil {
		return 0, false, err
	}
	conn, err := s.connectPurge(ctx)
	if err != nil {
		return 0, false, s.explain("purging", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the server ends what is left
	var mine bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, purgeLock).Scan(&mine); err != nil || !mine {
		return 0, false, s.explain("purging", err)
	}
	defer conn.Exec(ctx, `SELECT pg_advisory_unlock_all()`) //nolint:errcheck // else it lasts until the server sees that the connection is closed
	if more, err = s.purgeExpired(ctx, retention); err != nil {
		return 0, false, err
	}
	if retention.Events == 0 {
		return 0, more, nil
	}
	p := &purge{Store: s, conn: conn, mark: s.purged}
	removed, worked, err := p.run(ctx, retention.Events)
	switch {
	case isBusy(err): // it goes on with the next round
		s.log.Info("A partition that is old is still in use; it is dropped later.", "error", err)
		worked, err = false, nil
	case err != nil:
		return removed, false, s.explain("purging", err)
	}
	if s.purged = p.mark; !worked && !more {
		s.purged = purgeMark{}
	}
	if worked {
		failpoint.Here("purge-committed")
	}
	return removed, more || worked, nil
}

// isBusy reports whether the server gave up since others were in the way.
func isBusy(err error) bool {
	state := sqlState(err)
	return state == "55P03" || state == "57014"
}

// connectPurge opens a connection that is not the pools': what it waits for may
// take longer than any of theirs may, and the log does not wait for it.
func (s *Store) connectPurge(ctx context.Context) (*pgx.Conn, error) {
	config := s.writers.Config().ConnConfig.Copy()
	setParameters(config.RuntimeParams, writerName+" purge", purgeCountLimit)
	config.RuntimeParams["lock_timeout"] = fmt.Sprint(purgeLockLimit.Milliseconds())
	return pgx.ConnectConfig(ctx, config)
}

// purgeExpired removes what goes row by row.
func (s *Store) purgeExpired(ctx context.Context, retention telltale.Retention) (more bool, err error) {
	err = s.write(ctx, "purging", func(tx *tx) error {
		more = false
		for _, step := range [...]func() (bool, error){
			func() (bool, error) { return tx.purgeRows(retention) },
			func() (bool, error) { return tx.purgeStats(retention.Events) },
			func() (bool, error) { return tx.purgeReplays(retention.Events) },
			func() (bool, error) { return tx.purgeImports(retention.Events) },
			func() (bool, error) { return tx.purgeTracked(retention.Events) },
			tx.purgeGone,
			tx.purgeRepetitions,
			tx.purgeBins,
			tx.purgeUnrecognised,
			func() (bool, error) { return false, tx.forgetDeleted() },
			tx.cancelLost,
		} {
			rest, err := step()
			if err != nil {
				return err
			}
			more = more || rest
		}
		return nil
	})
	return more, err
}

// purgeRows removes what expires by a column of its own.
func (tx *tx) purgeRows(retention telltale.Retention) (more bool, err error) {
	ago := func(age time.Duration) int64 { return tx.milli - age.Milliseconds() }
	for _, e := range [...]struct {
		table, key, column string
		before             any
		kept               bool // for good
	}{
		{"caller", "key", "at", ago(retention.CallerIDs), retention.CallerIDs == 0},
		{"nonce", "key", "at", ago(retention.CallerIDs), retention.CallerIDs == 0},
		{"idempotency", "key", "at", ago(telltale.IdempotencyMemory), false},
		{"link", "hash", "expires_at", tx.milli + 1, false},
		{"session", "hash", "expires_at", tx.milli + 1, false},
		{"audit_entry", "id", "at", ago(telltale.AuditMemory), false},
	} {
		if e.kept {
			continue
		}
		n, err := tx.exec(fmt.Sprintf(`DELETE FROM %[1]s WHERE %[2]s = ANY(ARRAY(SELECT %[2]s FROM %[1]s WHERE %[3]s < $1 ORDER BY %[3]s LIMIT $2 FOR UPDATE SKIP LOCKED))`, e.table, e.key, e.column), e.before, purgeRows)
		if err != nil {
			return false, fmt.Errorf("%s: %w", e.table, err)
		}
		more = more || n == purgeRows
	}
	return more, nil
}

// purgeReplays forgets replays that ended, are older than the events, and have
// no deliveries any more. There are few: people start them.
func (tx *tx) purgeReplays(age time.Duration) (more bool, err error) {
	if age == 0 {
		return false, nil
	}
	_, err = tx.exec(`DELETE FROM replay r WHERE r.state >= 4 AND r.created_at < $1
		AND (SELECT d.number FROM delivery d WHERE d.replay = r.number LIMIT 1) IS NULL AND (SELECT d.number FROM delivery_done d WHERE d.replay = r.number LIMIT 1) IS NULL`,
		tx.milli-age.Milliseconds())
	if err != nil {
		return false, fmt.Errorf("replays: %w", err)
	}
	return false, nil
}

// purgeImports forgets imports that ended and are older than the events. Their
// refused rows go first, some at a time.
func (tx *tx) purgeImports(age time.Duration) (more bool, err error) {
	if age == 0 {
		return false, nil
	}
	const old = `(SELECT number FROM import WHERE state >= 4 AND created_at < $1)`
	before := tx.milli - age.Milliseconds()
	n, err := tx.exec(`DELETE FROM refused_row WHERE (import, line) IN (SELECT import, line FROM refused_row WHERE import IN `+old+` LIMIT $2)`, before, purgeRows)
	if err != nil || n == purgeRows {
		return true, err
	}
	if _, err = tx.exec(`DELETE FROM import WHERE number IN `+old, before); err != nil {
		return false, fmt.Errorf("imports: %w", err)
	}
	return false, nil
}

// purgeBins removes bins that have expired, and then, when nobody adds to them
// any more, what they caught.
func (tx *tx) purgeBins() (more bool, err error) {
	var expired []string
	var id string
	err = tx.each([]any{&id}, func() error { expired = append(expired, id); return nil },
		`DELETE FROM bin WHERE id = ANY(ARRAY(SELECT id FROM bin WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING id`, tx.milli, purgeBins)
	if err != nil || len(expired) == 0 {
		return false, err
	}
	if _, err = tx.exec(`DELETE FROM caught_request WHERE bin = ANY($1)`, expired); err != nil {
		return false, fmt.Errorf("what bins caught: %w", err)
	}
	return len(expired) == purgeBins, nil
}

// cancelLost writes down that what waits for a webhook whose deletion is final
// is cancelled, as it is shown since the deletion.
func (tx *tx) cancelLost() (more bool, err error) {
	var webhook, deletedAt int64
	found, err := tx.one([]any{&webhook, &deletedAt}, `SELECT w.number, w.deleted_at FROM webhook w WHERE w.deleted_at <= $1 AND w.secrets IS NULL
		AND (SELECT d.number FROM delivery d WHERE d.webhook = w.number AND d.state = 2 LIMIT 1) IS NOT NULL LIMIT 1`, tx.milli-telltale.UndoWindow.Milliseconds())
	if err != nil || !found {
		return false, err
	}
	var d deliveryRow
	return true, tx.each(d.into(), func() error {
		row := d.scanned()
		row.state, row.at, row.manual = stored.StateCancelled, deletedAt, manualNot
		tx.move(row)
		return nil
	}, `SELECT `+openColumns+` FROM delivery WHERE webhook = $1 AND state = 2 ORDER BY number LIMIT $2 FOR UPDATE`, webhook, purgeRows)
}

// tryLock reports whether the transaction has the lock, which nobody else has
// then before it ends.
func (tx *tx) tryLock(key int64) (mine bool, err error) {
	_, err = tx.one([]any{&mine}, `SELECT pg_try_advisory_xact_lock($1)`, key)
	return mine, err
}

// purge is one call of Purge, which holds the lock.
type purge struct {
	*Store
	conn *pgx.Conn
	mark purgeMark
	old  []*oldDay // the oldest first
}

// oldDay is a day that is older than the retention, and its partitions.
type oldDay struct {
	day        int64
	first, end int64 // its first number, and the next day's
	partitions map[string]partitionState
}

// partitionState is how far a partition is from being dropped.
type partitionState int

const (
	partitionNone     partitionState = iota
	partitionAttached                // as it was made
	partitionLeaving                 // its detachment was begun
	partitionDetached                // to be dropped
)

// run does one piece of work on what is old, and reports whether there was one.
func (p *purge) run(ctx context.Context, age time.Duration) (removed int, worked bool, err error) {
	if err := p.findOld(ctx, age); err != nil {
		return 0, false, fmt.Errorf("looking for old partitions: %w", err)
	}
	for _, step := range [...]func(context.Context, *oldDay) (int, bool, error){p.finishDrops, p.removeDay, p.removeAttempts} {
		for _, d := range p.old {
			if removed, worked, err = step(ctx, d); worked || err != nil {
				return removed, worked, err
			}
		}
	}
	return 0, false, p.removeNodes(ctx)
}

// dropping is the comment on a partition that the purge detaches: whoever detaches
// one to keep it has a table without it.
const dropping = "old: to be dropped"

// findOld lists the days of which everything is older than the age.
func (p *purge) findOld(ctx context.Context, age time.Duration) error {
	var now int64
	if err := p.conn.QueryRow(ctx, `SELECT telltale_now()`).Scan(&now); err != nil {
		return err
	}
	days := map[int64]*oldDay{}
	var name string
	var attached, leaving bool
	err := each(ctx, p.conn, `SELECT c.relname, i.inhrelid IS NOT NULL, coalesce(i.inhdetachpending, false) FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
		WHERE c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'event'::regclass) AND c.relkind = 'r' AND c.relname ~ '^(event|delivery_done|attempt)_[0-9]{8}$'
		AND (i.inhrelid IS NOT NULL AND NOT i.inhdetachpending OR obj_description(c.oid, 'pg_class') = $1)`, []any{dropping}, []any{&name, &attached, &leaving}, func() error {
		table, number, ok := partitionOf(name)
		if !ok || dayNumber(number+1) > stored.FirstNumber(stored.MilliTime(now).Add(-age)) {
			return nil
		}
		d := days[number]
		if d == nil {
			d = &oldDay{day: number, first: dayNumber(number), end: dayNumber(number + 1), partitions: map[string]partitionState{}}
			days[number] = d
			p.old = append(p.old, d)
		}
		switch {
		case leaving:
			d.partitions[table] = partitionLeaving
		case attached:
			d.partitions[table] = partitionAttached
		default:
			d.partitions[table] = partitionDetached
		}
		return nil
	})
	slices.SortFunc(p.old, func(a, b *oldDay) int { return cmp.Compare(a.day, b.day) })
	return err
}

// has reports whether rows of the day can be in the table.
func (d *oldDay) has(table string) bool { return d.partitions[table] == partitionAttached }

// finishDrops goes on with what an earlier call, perhaps another node's, could
// not finish.
func (p *purge) finishDrops(ctx context.Context, d *oldDay) (removed int, worked bool, err error) {
	for _, table := range partitioned {
		if state := d.partitions[table]; state == partitionLeaving || state == partitionDetached {
			n, err := p.drop(ctx, d, table)
			if removed += n; err != nil {
				return removed, true, err
			}
			worked = true
		}
	}
	return removed, worked, nil
}

// drop drops a partition, unless it turns out, once nobody can have new work with
// it any more, that somebody has. It gives how many events went.
func (p *purge) drop(ctx context.Context, d *oldDay, table string) (removed int, err error) {
	name := partitionName(table, d.day)
	do := func(sql string) {
		if err == nil {
			_, err = p.conn.Exec(ctx, sql)
		}
	}
	switch d.partitions[table] {
	case partitionNone:
		return 0, nil
	case partitionAttached:
		do(fmt.Sprintf(`COMMENT ON TABLE %s IS '%s'`, name, dropping))
		do(fmt.Sprintf(`ALTER TABLE %s DETACH PARTITION %s CONCURRENTLY`, table, name))
	case partitionLeaving:
		do(fmt.Sprintf(`ALTER TABLE %s DETACH PARTITION %s FINALIZE`, table, name))
	case partitionDetached:
	}
	if err != nil {
		return 0, fmt.Errorf("detaching %s: %w", name, err)
	}
	needed := false
	switch table {
	case "event":
		err = p.conn.QueryRow(ctx, `SELECT (SELECT number FROM delivery WHERE event >= $1 AND event < $2 LIMIT 1) IS NOT NULL`, d.first, d.end).Scan(&needed)
	case "delivery_done": // where a delivery goes when it is finished
		err = p.conn.QueryRow(ctx, `SELECT (SELECT number FROM delivery WHERE number >= $1 AND number < $2 LIMIT 1) IS NOT NULL`, d.first, d.end).Scan(&needed)
	}
	if needed {
		do(fmt.Sprintf(`ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%d) TO (%d)`, table, name, d.first, d.end))
		do(fmt.Sprintf(`COMMENT ON TABLE %s IS NULL`, name))
		d.partitions[table] = partitionAttached
		return 0, err
	}
	if table == "event" && err == nil {
		err = p.conn.QueryRow(ctx, `SELECT count(*) FROM `+name).Scan(&removed)
	}
	do(`DROP TABLE ` + name)
	if err != nil {
		return 0, fmt.Errorf("dropping %s: %w", name, err)
	}
	d.partitions[table] = partitionNone
	p.partitions.forget()
	return removed, nil
}

// removeDay removes the day's events, and what deliveries of them there are.
func (p *purge) removeDay(ctx context.Context, d *oldDay) (removed int, worked bool, err error) {
	if !d.has("event") && !d.has("delivery_done") {
		return 0, false, nil
	}
	var owed, open, older bool
	err = p.conn.QueryRow(ctx, `SELECT
		(SELECT number FROM delivery WHERE event >= $1 AND event < $2 LIMIT 1) IS NOT NULL,
		(SELECT number FROM delivery WHERE number >= $1 AND number < $2 LIMIT 1) IS NOT NULL,
		(SELECT number FROM delivery_done WHERE number >= $1 AND number < $2 AND event < $1 LIMIT 1) IS NOT NULL`, d.first, d.end).Scan(&owed, &open, &older)
	if err != nil {
		return 0, false, fmt.Errorf("looking for what a day owes: %w", err)
	}
	if owed || open || older { // by a replay of older events
		return p.thinOut(ctx, d, open)
	}
	if worked, err = p.removeReplayed(ctx, d); worked || err != nil {
		return 0, worked, err
	}
	removed, err = p.drop(ctx, d, "event")
	if err == nil && !d.has("event") {
		_, err = p.drop(ctx, d, "delivery_done")
	}
	return removed, true, err
}

// removeReplayed removes deliveries of the day's events that were made later.
func (p *purge) removeReplayed(ctx context.Context, d *oldDay) (worked bool, err error) {
	err = p.write(ctx, "purging replayed deliveries", func(tx *tx) error {
		worked = false
		var deliveries []int64
		var number int64
		err := tx.each([]any{&number}, func() error { deliveries = append(deliveries, number); return nil },
			`SELECT number FROM delivery_done WHERE event >= $1 AND event < $2 AND number >= $2 LIMIT $3`, d.first, d.end, purgeRows)
		if err != nil || len(deliveries) == 0 {
			return err
		}
		worked = true
		_, err = tx.removeDeliveries(`number = ANY($1)`, deliveries, slices.Min(deliveries))
		return err
	})
	return worked, err
}

// thinOut removes, of a day that has to stay, what can go.
func (p *purge) thinOut(ctx context.Context, d *oldDay, open bool) (removed int, worked bool, err error) {
	if d.has("event") && p.mark.event < d.end-1 {
		err = p.write(ctx, "purging events", func(tx *tx) (err error) {
			mark := max(p.mark.event, d.first-1)
			removed, mark, err = tx.thinOutEvents(mark, d.end)
			tx.onDone(func() { p.mark.event = mark })
			return err
		})
		return removed, true, err
	}
	for _, table := range [...]string{"event", "delivery_done"} {
		if !d.has(table) || table == "delivery_done" && open {
			continue
		}
		if dropped, err := p.dropEmpty(ctx, d, table); dropped || err != nil {
			return 0, dropped, err
		}
	}
	return 0, false, nil
}

// dropEmpty drops a partition that has no rows.
func (p *purge) dropEmpty(ctx context.Context, d *oldDay, table string) (dropped bool, err error) {
	var empty bool
	err = p.conn.QueryRow(ctx, `SELECT (SELECT number FROM `+table+` WHERE number >= $1 AND number < $2 LIMIT 1) IS NULL`, d.first, d.end).Scan(&empty)
	if err != nil || !empty {
		return false, err
	}
	_, err = p.drop(ctx, d, table)
	return err == nil && !d.has(table), err
}

// thinOutEvents removes some events between two numbers whose deliveries are all
// finished, and gives the number up to which it looked.
func (tx *tx) thinOutEvents(after, end int64) (removed int, reached int64, err error) {
	var finished []int64
	var number int64
	var owed bool
	looked := 0
	reached = after
	err = tx.each([]any{&number, &owed}, func() error {
		if looked++; len(finished) < purgeEvents {
			reached = number
			if !owed {
				finished = append(finished, number)
			}
		}
		return nil
	}, `SELECT e.number, (SELECT d.number FROM delivery d WHERE d.event = e.number LIMIT 1) IS NOT NULL FROM event e WHERE e.number > $1 AND e.number < $2 ORDER BY e.number LIMIT $3`,
		after, end, purgeLook)
	if err != nil {
		return 0, after, err
	}
	if looked < purgeLook && len(finished) < purgeEvents {
		reached = end - 1
	}
	if finished, err = tx.holdFinished(finished); err != nil {
		return 0, after, err
	}
	return len(finished), reached, tx.removeEvents(finished)
}

// holdFinished gives those of the events that it can hold and that have no open
// delivery.
func (tx *tx) holdFinished(events []int64) (held []int64, err error) {
	if held, err = tx.holdForRemoval(events); err != nil || len(held) == 0 {
		return nil, err
	}
	owed := map[int64]bool{}
	var number int64
	err = tx.each([]any{&number}, func() error { owed[number] = true; return nil }, `SELECT event FROM delivery WHERE event = ANY($1)`, held)
	return slices.DeleteFunc(held, func(event int64) bool { return owed[event] }), err
}

// holdForRemoval gives those of the events that are there and nobody else holds.
// None gets another open delivery before the transaction ends: whoever makes one
// holds the event, and whoever opens one again holds the delivery.
func (tx *tx) holdForRemoval(events []int64) (held []int64, err error) {
	if len(events) == 0 {
		return nil, nil
	}
	var number int64
	err = tx.each([]any{&number}, func() error { held = append(held, number); return nil },
		`SELECT number FROM event WHERE number = ANY($1) AND number BETWEEN $2 AND $3 ORDER BY number FOR UPDATE SKIP LOCKED`, events, slices.Min(events), slices.Max(events))
	if err != nil || len(held) == 0 {
		return nil, err
	}
	_, err = tx.exec(`SELECT number FROM delivery_done WHERE event = ANY($1) AND number > $2 ORDER BY number FOR UPDATE`, held, slices.Min(held))
	return held, err
}

// removeEvents removes events that the transaction holds, with their finished
// deliveries and the attempts of these.
func (tx *tx) removeEvents(events []int64) error {
	if len(events) == 0 {
		return nil
	}
	if _, err := tx.removeDeliveries(`event = ANY($1)`, events, slices.Min(events)); err != nil {
		return err
	}
	if _, err := tx.exec(`DELETE FROM event WHERE number = ANY($1) AND number BETWEEN $2 AND $3`, events, slices.Min(events), slices.Max(events)); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	return nil
}

// removeDeliveries removes finished deliveries, none of which has a number below
// least, with their attempts.
func (tx *tx) removeDeliveries(which string, numbers []int64, least int64) (removed int, err error) {
	var attempts []int64
	var number, last int64
	err = tx.each([]any{&number, &last}, func() error {
		if removed++; last != number {
			attempts = append(attempts, last)
		}
		return nil
	}, `DELETE FROM delivery_done WHERE `+which+` AND number >= $2 RETURNING number, last_attempt`, numbers, least)
	if err != nil {
		return 0, fmt.Errorf("deliveries: %w", err)
	}
	return removed, tx.removeAttempts(attempts)
}

// removeAttempts removes the attempts of deliveries, from the last of each back
// to the first.
func (tx *tx) removeAttempts(last []int64) error {
	if len(last) == 0 {
		return nil
	}
	var all []int64
	var number int64
	err := tx.each([]any{&number}, func() error { all = append(all, number); return nil }, `WITH RECURSIVE chain AS (
			SELECT a.number, a.previous FROM attempt a WHERE a.number = ANY($1) AND a.number BETWEEN $2 AND $3
			UNION ALL SELECT a.number, a.previous FROM chain c JOIN attempt a ON a.number = c.previous)
		SELECT number FROM chain`, last, slices.Min(last), slices.Max(last))
	if err != nil || len(all) == 0 {
		return err
	}
	if _, err := tx.exec(`DELETE FROM attempt WHERE number = ANY($1) AND number BETWEEN $2 AND $3`, all, slices.Min(all), slices.Max(all)); err != nil {
		return fmt.Errorf("attempts: %w", err)
	}
	return nil
}

// removeAttempts removes the attempts of the day, but for those of deliveries
// that stay: of events of this day and of those before it.
func (p *purge) removeAttempts(ctx context.Context, d *oldDay) (removed int, worked bool, err error) {
	if !d.has("attempt") {
		return 0, false, nil
	}
	if p.mark.attempt >= d.end-1 { // they were looked at
		worked, err = p.dropEmpty(ctx, d, "attempt")
		return 0, worked, err
	}
	needed, err := p.needsAttempts(ctx, d)
	if err != nil {
		return 0, false, fmt.Errorf("looking for who needs a day's attempts: %w", err)
	}
	if !needed {
		_, err = p.drop(ctx, d, "attempt")
		return 0, err == nil, err
	}
	err = p.write(ctx, "purging attempts", func(tx *tx) error {
		mark, err := tx.thinOutAttempts(max(p.mark.attempt, d.first-1), d.end)
		tx.onDone(func() { p.mark.attempt = mark })
		return err
	})
	return 0, true, err
}

// needsAttempts reports whether a delivery that stays has attempts of that day.
// If there are too many to look at them all, some may have.
func (p *purge) needsAttempts(ctx context.Context, d *oldDay) (needed bool, err error) {
	var last []int64
	var number int64
	var later bool
	looked := 0
	err = each(ctx, p.conn, `SELECT last_attempt, last_attempt <> number AND last_attempt >= $1 FROM (
			(SELECT number, last_attempt FROM delivery WHERE event < $2 LIMIT $3) UNION ALL (SELECT number, last_attempt FROM delivery_done WHERE event < $2 LIMIT $3)) d`,
		[]any{d.first, d.end, purgeLook}, []any{&number, &later}, func() error {
			looked++
			if later {
				last = append(last, number)
			}
			return nil
		})
	if err != nil || looked >= purgeLook || len(last) == 0 {
		return looked >= purgeLook, err
	}
	err = p.conn.QueryRow(ctx, `WITH RECURSIVE chain AS (
			SELECT a.number, a.previous FROM attempt a WHERE a.number = ANY($1) AND a.number BETWEEN $2 AND $3
			UNION ALL SELECT a.number, a.previous FROM chain c JOIN attempt a ON a.number = c.previous WHERE c.previous >= $4)
		SELECT count(*) > 0 FROM chain WHERE number >= $4 AND number < $5`, last, slices.Min(last), slices.Max(last), d.first, d.end).Scan(&needed)
	return needed, err
}

// thinOutAttempts removes attempts between two numbers whose delivery is gone,
// and gives the number up to which it looked.
func (tx *tx) thinOutAttempts(after, end int64) (reached int64, err error) {
	var gone []int64
	var number int64
	var stays bool
	looked := 0
	reached = after
	err = tx.each([]any{&number, &stays}, func() error {
		if looked++; len(gone) < purgeRows {
			reached = number
			if !stays {
				gone = append(gone, number)
			}
		}
		return nil
	}, `SELECT a.number, (SELECT d.number FROM delivery d WHERE d.number = a.delivery) IS NOT NULL OR (SELECT d.number FROM delivery_done d WHERE d.number = a.delivery) IS NOT NULL
		FROM attempt a WHERE a.number > $1 AND a.number < $2 ORDER BY a.number LIMIT $3`, after, end, purgeLook)
	if err != nil {
		return after, err
	}
	if looked < purgeLook && len(gone) < purgeRows {
		reached = end - 1
	}
	if len(gone) > 0 {
		_, err = tx.exec(`DELETE FROM attempt WHERE number = ANY($1) AND number BETWEEN $2 AND $3`, gone, slices.Min(gone), slices.Max(gone))
	}
	return reached, err
}

// keptNodes is how many starts of nodes are known in any case.
const keptNodes = 50

// removeNodes forgets starts of nodes that ended before all attempts that there
// are.
func (p *purge) removeNodes(ctx context.Context) error {
	_, err := p.conn.Exec(ctx, `DELETE FROM node n WHERE n.gone_at < coalesce((SELECT number FROM attempt ORDER BY number LIMIT 1) >> $1, telltale_now())
		AND n.number < coalesce((SELECT number FROM node ORDER BY number DESC LIMIT 1 OFFSET $2), 0) AND (SELECT d.number FROM delivery d WHERE d.state = 3 AND d.node = n.number LIMIT 1) IS NULL`,
		stored.NumberBits, keptNodes-1)
	if err != nil {
		return fmt.Errorf("starts of nodes: %w", err)
	}
	return nil
}
