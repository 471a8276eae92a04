package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// attemptRow is an attempt as it is stored. Durations are kept to the
// microsecond. Rows are only appended; each points to the one before it, and the
// delivery to the last.
type attemptRow struct {
	number   int64 // its own, given by the transaction
	delivery int64 // 0 if the delivery's id is none of ours
	previous int64 // attempt of the same delivery; 0 for none
	node     int64
	row      *deliveryRow // that it is of, once it is known

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

// insertAttempt gathers the attempt for the end of the transaction.
func (tx *tx) insertAttempt(d *deliveryRow, r *attemptRow) (err error) {
	if r.number, err = tx.number(); err != nil {
		return err
	}
	r.delivery = d.number
	if r.node == 0 {
		if r.node, err = tx.nodeNumber(r.Node); err != nil {
			return err
		}
	}
	if d.lastAttempt != d.number {
		r.previous = d.lastAttempt
	}
	tx.rows.attempts = append(tx.rows.attempts, r)
	return nil
}

// readAttempts gives the attempts of a delivery, oldest first, from its last on.
func readAttempts(ctx context.Context, q querier, delivery, last int64) ([]telltale.Attempt, error) {
	if last == delivery {
		return nil, nil
	}
	var attempts []telltale.Attempt
	var previous, trigger, startedAt, duration int64
	var number, status int
	var node, class, failure, detail string
	var exchange, body []byte
	first := int64(0)
	err := each(ctx, q, `WITH RECURSIVE chain AS (
			SELECT a.* FROM attempt a WHERE a.number = $1
			UNION ALL SELECT a.* FROM chain c JOIN attempt a ON a.number = c.previous)
		SELECT coalesce(c.previous, 0), c.attempt, c.trigger, coalesce(n.id, ''), c.started_at, c.duration, c.status, coalesce(c.error, ''), coalesce(c.failure, ''), coalesce(c.detail, ''), c.exchange, c.body
		FROM chain c LEFT JOIN node n ON n.number = c.node ORDER BY c.number`, []any{last},
		[]any{&previous, &number, &trigger, &node, &startedAt, &duration, &status, &class, &failure, &detail, &exchange, &body}, func() error {
			a := telltale.Attempt{
				Number: number, Trigger: stored.Word(stored.Triggers, trigger), Node: telltale.NodeID(node),
				StartedAt: stored.MilliTime(startedAt), Duration: time.Duration(duration) * time.Microsecond,
				Status: status, Error: telltale.ErrorClass(class), Failure: telltale.FailureCode(failure), Detail: detail,
			}
			if err := stored.DecodeExchange(exchange, &a); err != nil {
				return fmt.Errorf("an attempt of delivery %d: %w", delivery, err)
			}
			if len(attempts) == 0 {
				first = previous
			}
			a.Response.Body = slices.Clone(body)
			attempts = append(attempts, a)
			return nil
		})
	if err != nil {
		return nil, err
	}
	if len(attempts) == 0 || first != 0 {
		return nil, fmt.Errorf("delivery %d lacks attempts", delivery)
	}
	return attempts, nil
}
