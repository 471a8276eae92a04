package sqlite

import (
	"context"
	"fmt"
	"slices"

	"telltale.example/telltale"
)

// insertDelivery stores a delivery of the event to the webhook, either claimed
// by this node or waiting since now.
func (tx *tx) insertDelivery(number, event, typeCode int64, w *webhook, sending, test bool) error {
	state := int64(stateWaiting)
	claim := int64(0)
	if sending {
		state, claim = stateSending, 1
	}
	err := tx.change(`INSERT INTO delivery (number, event, project, webhook, type, test, state, claim, node, attempts, step, tries, manual, epoch, at, last_attempt)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, 0, 0, 0, ?10, ?11, ?1)`).
		int(number).int(event).int(w.project.number).int(w.number).int(typeCode).bool(test).int(state).int(claim).int(tx.store.node).
		int(tx.state(w).epoch).int(tx.milli).run()
	if err != nil {
		return fmt.Errorf("a delivery to %s: %w", w.id, err)
	}
	return tx.note(w.owner(), number, typeCode)
}

// RecordAttempts encodes the attempts before it queues, so that the writer
// has little to do.
func (s *Store) RecordAttempts(ctx context.Context, results []telltale.Result) (telltale.Recorded, error) {
	rows := make([]attemptRow, len(results))
	bytes := 0
	for i := range results {
		rows[i].number, rows[i].known = s.ids.number(results[i].DeliveryID)
		if err := rows[i].encode(results[i].Attempt); err != nil {
			return telltale.Recorded{}, fmt.Errorf("sqlite: delivery %s: %w", results[i].DeliveryID, err)
		}
		bytes += rows[i].bytes()
	}
	var recorded telltale.Recorded
	err := s.write(ctx, "recording attempts", bytes, func(tx *tx) (err error) {
		recorded, err = tx.record(results, rows)
		return err
	})
	if err != nil {
		return telltale.Recorded{}, err
	}
	return recorded, nil
}

func (tx *tx) record(results []telltale.Result, rows []attemptRow) (telltale.Recorded, error) {
	recorded := telltale.Recorded{Applied: make([]bool, len(results))}
	health := map[*webhook]telltale.Health{}
	for i := range results {
		r := &results[i]
		if !rows[i].known {
			continue
		}
		d, held, err := tx.claimed(rows[i].number, r.Number)
		if err != nil {
			return recorded, err
		}
		if !held {
			continue
		}
		if err := tx.recordOne(&d, r, &rows[i]); err != nil {
			return recorded, fmt.Errorf("delivery %s: %w", r.DeliveryID, err)
		}
		recorded.Applied[i] = true
		if !d.test {
			if h := healthAfter(r.Attempt); h != "" {
				health[d.webhook] = h
			}
		}
		if r.Outcome.Disable != "" {
			if changed, err := tx.disableAfter(d.webhook, r); err != nil {
				return recorded, err
			} else if changed {
				recorded.Changed = append(recorded.Changed, nil) // its health may change yet
			}
		}
	}
	for w, h := range health {
		if err := tx.setHealth(w, h); err != nil {
			return recorded, err
		}
	}
	return tx.collectChanged(recorded, results, rows)
}
