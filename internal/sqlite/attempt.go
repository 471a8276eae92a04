package sqlite

import (
	"fmt"
	"slices"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// attemptRow is an attempt as it is stored. Durations are kept to the
// microsecond.
type attemptRow struct {
	number   int64 // its own, given by the writer
	delivery int64 // 0 if the delivery's id is none of ours

	*telltale.Attempt
	trigger  int64
	exchange []byte
}

func newAttemptRow(a *telltale.Attempt) (row attemptRow, err error) {
	row.Attempt = a
	if row.trigger, err = stored.Code(stored.Triggers, a.Trigger); err != nil {
		return row, err
	}
	row.exchange = stored.EncodeExchange(a)
	return row, nil
}

// size is roughly what the row takes on disk.
func (r *attemptRow) size() int {
	return len(r.exchange) + len(r.Response.Body) + len(r.Detail) + 100
}

// insertAttempt stores the attempt. Rows of attempts are only appended; each
// points to the one before it, and the delivery to the last.
func (tx *tx) insertAttempt(d *deliveryRow, r *attemptRow) error {
	node, err := tx.nodeNumber(r.Node)
	if err != nil {
		return err
	}
	r.number = tx.number()
	q := tx.change(`INSERT INTO attempt (number, delivery, previous, attempt, trigger, node, started_at, duration, status, error, failure, detail, exchange, body)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`).int(r.number).int(d.number)
	if d.lastAttempt == d.number {
		q.null()
	} else {
		q.int(d.lastAttempt)
	}
	err = q.int(int64(r.Number)).int(r.trigger).int(node).int(stored.TimeMilli(r.StartedAt)).int(r.Duration.Microseconds()).
		int(int64(r.Status)).textOrNull(string(r.Error)).textOrNull(string(r.Failure)).textOrNull(r.Detail).blobOrNull(r.exchange).blobOrNull(r.Response.Body).run()
	if err != nil {
		return fmt.Errorf("attempt %d: %w", r.Number, err)
	}
	return nil
}

// readAttempts gives the attempts of a delivery, oldest first.
func readAttempts(c *conn, delivery int64) ([]telltale.Attempt, error) {
	var next int64
	if _, err := c.query(`SELECT last_attempt FROM delivery WHERE number = ?`).int(delivery).one(func(q *query) { next = q.getInt() }); err != nil {
		return nil, err
	}
	var attempts []telltale.Attempt
	for next != 0 && next != delivery {
		var broken error
		found, err := c.query(`SELECT coalesce(a.previous, 0), a.attempt, a.trigger, coalesce(n.id, ''), a.started_at, a.duration, a.status, a.error, a.failure, a.detail, a.exchange, a.body
			FROM attempt a LEFT JOIN node n ON n.number = a.node WHERE a.number = ?`).int(next).one(func(q *query) {
			next = q.getInt()
			a := telltale.Attempt{
				Number: int(q.getInt()), Trigger: stored.Word(stored.Triggers, q.getInt()), Node: telltale.NodeID(q.getText()),
				StartedAt: stored.MilliTime(q.getInt()), Duration: time.Duration(q.getInt()) * time.Microsecond,
				Status: int(q.getInt()), Error: telltale.ErrorClass(q.getText()), Failure: telltale.FailureCode(q.getText()), Detail: q.getText(),
			}
			broken = stored.DecodeExchange(q.getBlob(), &a)
			a.Response.Body = q.getBlob()
			attempts = append(attempts, a)
		})
		switch {
		case err != nil:
			return nil, err
		case broken != nil:
			return nil, fmt.Errorf("an attempt of delivery %d: %w", delivery, broken)
		case !found:
			return nil, fmt.Errorf("delivery %d lacks its attempt %d", delivery, next)
		}
	}
	slices.Reverse(attempts)
	return attempts, nil
}
