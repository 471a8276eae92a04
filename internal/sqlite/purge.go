package sqlite

import (
	"context"
	"fmt"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/failpoint"
	"telltale.example/telltale/internal/stored"
)

// Bounds of one call of Purge, so that whoever accepts events waits some 10 ms
// for it and no more.
const (
	purgeEvents = 200 // looked at
	purgeRows   = 2000
)

// purgeMark is where the last call of Purge stopped: what it had to keep, since
// a delivery is not finished, is not looked at again in the same round.
type purgeMark struct {
	event int64 // all up to it was looked at
	owner int64 // whose spans were
}

// Purge makes rounds through what is old: call after call from the oldest
// event on, until there is no more. Pages that become free are used again; the
// file does not shrink.
func (s *Store) Purge(ctx context.Context, retention telltale.Retention) (removed int, more bool, err error) {
	err = s.write(ctx, "purging", 1<<20, func(tx *tx) error {
		before, mark := tx.purged, tx.purged
		tx.onUndo(func() { tx.purged = before })
		if removed, more, err = tx.purgeEvents(retention.Events, &mark); err != nil {
			return err
		}
		steps := []func() (bool, error){
			func() (bool, error) { return tx.purgeCallers(retention.CallerIDs) },
			func() (bool, error) { return tx.purgeNonces(retention.CallerIDs) },
			tx.purgeBins,
			tx.purgeUnrecognised,
			func() (bool, error) { return tx.purgeStats(retention.Events) },
			func() (bool, error) { return tx.purgeReplays(retention.Events) },
			func() (bool, error) { return tx.purgeImports(retention.Events) },
			func() (bool, error) { return tx.purgeTracked(retention.Events) },
			tx.purgeGone,
			tx.purgeRepetitions,
			tx.purgeLinks,
			tx.purgeSessions,
			tx.purgeAudit,
			tx.purgeIdempotency,
			tx.forgetDeleted,
		}
		if !more {
			steps = append(steps, func() (bool, error) { return tx.purgeIndexes(&mark) })
		}
		for _, step := range steps {
			rest, err := step()
			if err != nil {
				return err
			}
			more = more || rest
		}
		if !more {
			mark = purgeMark{}
		}
		tx.purged = mark
		return nil
	})
	if err != nil {
		return 0, false, err
	}
	if removed > 0 {
		failpoint.Here("purge-committed")
	}
	return removed, more, nil
}

// olderThan gives the first number that is younger than the age.
func (tx *tx) olderThan(age time.Duration) int64 { return stored.FirstNumber(tx.now.Add(-age)) }

// purgeEvents removes events with their deliveries and attempts.
func (tx *tx) purgeEvents(age time.Duration, mark *purgeMark) (removed int, more bool, err error) {
	if age == 0 {
		return 0, false, nil
	}
	if tx.olderThan(age) > tx.stats.counted {
		tx.storeCounts() // what goes could not be counted again
	}
	var events []int64
	err = tx.query(`SELECT number FROM event WHERE number > ? AND number < ? ORDER BY number LIMIT ?`).int(mark.event).int(tx.olderThan(age)).int(purgeEvents + 1).
		each(func(q *query) error {
			events = append(events, q.getInt())
			return nil
		})
	if err != nil {
		return 0, false, err
	}
	rows := 0
	for i, event := range events {
		if i == purgeEvents || rows >= purgeRows {
			return removed, true, nil
		}
		n, gone, err := tx.purgeEvent(event)
		if err != nil {
			return removed, false, fmt.Errorf("event %d: %w", event, err)
		}
		if rows += n; gone {
			removed++
		}
		mark.event = event
	}
	return removed, false, nil
}

// purgeEvent removes an event and all that belongs to it, unless one of its
// deliveries is not finished. rows is how many it looked at.
func (tx *tx) purgeEvent(event int64) (rows int, gone bool, err error) {
	var deliveries []eventDelivery
	finished := true
	err = eachDelivery(tx.conn, event, func(d eventDelivery) {
		deliveries = append(deliveries, d)
		finished = finished && d.state != stored.StateSending && (d.state != stored.StateWaiting || tx.state(tx.webhookByNumber(d.webhook)).lost(tx.milli))
	})
	if err != nil || !finished {
		return len(deliveries) + 1, false, err
	}
	rows, err = tx.removeEvent(event, deliveries)
	return rows, true, err
}

// removeEvent removes an event with its deliveries and their attempts, and gives
// how many rows these were.
func (tx *tx) removeEvent(event int64, deliveries []eventDelivery) (rows int, err error) {
	for _, d := range deliveries {
		n, err := tx.purgeAttempts(d.number, d.lastAttempt)
		if err != nil {
			return rows, err
		}
		rows += n
		if err := tx.change(`DELETE FROM delivery WHERE number = ?`).int(d.number).run(); err != nil {
			return rows, err
		}
	}
	failpoint.Here("purge-event-halved")
	if err := tx.change(`DELETE FROM credit WHERE event = ?`).int(event).run(); err != nil {
		return rows, err
	}
	return rows + len(deliveries) + 1, tx.change(`DELETE FROM event WHERE number = ?`).int(event).run()
}

// purgeAttempts removes a delivery's attempts, from the last back to the first.
func (tx *tx) purgeAttempts(delivery, last int64) (rows int, err error) {
	for last != 0 && last != delivery {
		attempt := last
		last = 0
		if _, err := tx.query(`SELECT coalesce(previous, 0) FROM attempt WHERE number = ?`).int(attempt).one(func(q *query) { last = q.getInt() }); err != nil {
			return rows, err
		}
		if err := tx.change(`DELETE FROM attempt WHERE number = ?`).int(attempt).run(); err != nil {
			return rows, err
		}
		rows++
	}
	return rows, nil
}

// purgeCallers forgets callers' ids. What is forgotten is no repetition any
// more, whatever the retention says; see [telltale.CallerIDMemory].
func (tx *tx) purgeCallers(age time.Duration) (more bool, err error) {
	if age == 0 {
		return false, nil
	}
	err = tx.change(`DELETE FROM caller WHERE number IN (SELECT number FROM caller WHERE number < ? ORDER BY number LIMIT ?)`).
		int(tx.olderThan(age)).int(purgeRows).run()
	return tx.conn.Changes() == purgeRows, err
}

func (tx *tx) purgeBins() (more bool, err error) {
	const chunk = 10 // with 200 requests of 256 KiB each at worst
	var expired []telltale.BinID
	err = tx.query(`SELECT id FROM bin WHERE expires_at <= ? LIMIT ?`).int(tx.milli).int(chunk).each(func(q *query) error {
		expired = append(expired, telltale.BinID(q.getText()))
		return nil
	})
	if err != nil {
		return false, err
	}
	for _, id := range expired {
		if err := tx.removeBin(id); err != nil {
			return false, err
		}
	}
	return len(expired) == chunk, nil
}

// purgeIndexes removes spans, digests and names that end before the oldest event.
func (tx *tx) purgeIndexes(mark *purgeMark) (more bool, err error) {
	oldest := tx.last + 1
	if _, err := tx.query(`SELECT number FROM event ORDER BY number LIMIT 1`).one(func(q *query) { oldest = q.getInt() }); err != nil {
		return false, err
	}
	if err := tx.change(`DELETE FROM digest WHERE first IN (SELECT first FROM digest ORDER BY first LIMIT ?) AND last < ?`).int(purgeEvents).int(oldest).run(); err != nil {
		return false, fmt.Errorf("digests: %w", err)
	}
	more = tx.conn.Changes() == purgeEvents
	rest, err := tx.purgeNames(oldest)
	if err != nil {
		return false, fmt.Errorf("names: %w", err)
	}
	more = more || rest
	for rows := 0; ; {
		found, err := tx.query(`SELECT owner FROM span WHERE owner > ? ORDER BY owner LIMIT 1`).int(mark.owner).one(func(q *query) { mark.owner = q.getInt() })
		if err != nil || !found {
			return more, err
		}
		err = tx.change(`DELETE FROM span WHERE owner = ?1 AND span IN (SELECT span FROM span WHERE owner = ?1 AND span < ?2 ORDER BY span LIMIT ?3)`).
			int(mark.owner).int(spanOf(oldest)).int(purgeRows).run()
		if err != nil {
			return false, fmt.Errorf("spans of %d: %w", mark.owner, err)
		}
		if rows += tx.conn.Changes() + 1; rows >= purgeRows {
			mark.owner-- // it may have more
			return true, nil
		}
	}
}
