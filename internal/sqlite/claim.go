package sqlite

import (
	"context"
	"fmt"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/failpoint"
	"telltale.example/telltale/internal/stored"
)

// DueWebhooks goes from webhook to webhook that something waits for, past all
// that waits, beside the list of all webhooks, which is in the same order.
func (s *Store) DueWebhooks(ctx context.Context) ([]telltale.LaneDue, error) {
	milli := nowMilli()
	known := s.known.allWebhooks()
	due := make([]telltale.LaneDue, 0, len(known))
	err := s.read(ctx, "looking for what is due", func(c *conn) error {
		waiting, err := nextWaiting(c, 0)
		for _, w := range known {
			for err == nil && waiting != 0 && waiting < w.number {
				waiting, err = nextWaiting(c, waiting)
			}
			if err != nil {
				return err
			}
			state := w.now.Load()
			if !state.Enabled || state.Deleted {
				continue
			}
			lane := telltale.LaneDue{Webhook: state.Webhook, In: telltale.Never}
			if waiting == w.number {
				if lane, err = laneDue(c, w, state, milli); err != nil {
					return err
				}
			}
			due = append(due, lane)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return due, nil
}

// nextWaiting gives the number of the next webhook that something waits for,
// or 0.
func nextWaiting(c *conn, number int64) (next int64, err error) {
	_, err = c.query(`SELECT webhook FROM delivery INDEXED BY delivery_queue WHERE state = 2 AND webhook > ? ORDER BY webhook LIMIT 1`).int(number).
		one(func(q *query) { next = q.getInt() })
	return next, err
}

// laneDue tells what waits for an enabled webhook.
func laneDue(c *conn, w *webhook, state *webhookState, milli int64) (telltale.LaneDue, error) {
	lane := telltale.LaneDue{Webhook: state.Webhook, In: telltale.Never}
	for retry := range int64(2) {
		_, err := c.query(`SELECT at FROM delivery INDEXED BY delivery_queue WHERE state = 2 AND webhook = ? AND epoch = ? AND (attempts > 0) = ? ORDER BY at LIMIT 1`).
			int(w.number).int(state.epoch).int(retry).one(func(q *query) {
			lane.In = min(lane.In, max(0, time.Duration(q.getInt()-milli)*time.Millisecond))
		})
		if err != nil {
			return lane, fmt.Errorf("lane of %s: %w", w.id, err)
		}
	}
	_, err := c.query(`SELECT 1 FROM delivery INDEXED BY delivery_queue WHERE state = 2 AND webhook = ? AND epoch < ? LIMIT 1`).
		int(w.number).int(state.epoch).one(func(*query) { lane.Held = true })
	if err != nil {
		return lane, fmt.Errorf("lane of %s: %w", w.id, err)
	}
	return lane, nil
}

func (s *Store) ClaimDue(ctx context.Context, lanes []telltale.LaneRoom) ([]telltale.LaneClaims, error) {
	var claimed []telltale.LaneClaims
	err := s.write(ctx, "claiming deliveries", 200*len(lanes), func(tx *tx) error {
		claimed = make([]telltale.LaneClaims, len(lanes))
		events := map[int64]*telltale.Event{}
		for i, room := range lanes {
			var err error
			if claimed[i], err = tx.claimLane(room, events); err != nil {
				return fmt.Errorf("lane of %s: %w", room.WebhookID, err)
			}
		}
		if len(events) > 0 {
			failpoint.Here("claim-uncommitted")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// claimLane claims for one webhook: of what was held as much as the room says,
// then what is due.
func (tx *tx) claimLane(room telltale.LaneRoom, events map[int64]*telltale.Event) (telltale.LaneClaims, error) {
	lane := telltale.LaneClaims{LaneDue: telltale.LaneDue{In: telltale.Never}}
	w := tx.webhook(room.WebhookID)
	if w == nil {
		return lane, nil
	}
	state := tx.state(w)
	if lane.Webhook = state.Webhook; !state.Enabled || state.Deleted {
		return lane, nil
	}

	var due []deliveryRow
	collect := func(q *query) error {
		due = append(due, tx.scanRow(q))
		return nil
	}
	const from = `SELECT ` + deliveryRowColumns + ` FROM delivery INDEXED BY delivery_queue WHERE state = 2 AND webhook = ? AND `
	if held := min(room.Held, room.Slots); held > 0 {
		err := tx.query(from + `epoch < ? ORDER BY epoch, attempts > 0, at LIMIT ?`).int(w.number).int(state.epoch).int(int64(held)).each(collect)
		if err != nil {
			return lane, err
		}
	}
	for retry := range int64(2) {
		free := room.Slots - len(due)
		if free <= 0 {
			break
		}
		err := tx.query(from + `epoch = ? AND (attempts > 0) = ? AND at <= ? ORDER BY at LIMIT ?`).
			int(w.number).int(state.epoch).int(retry).int(tx.milli).int(int64(free)).each(collect)
		if err != nil {
			return lane, err
		}
	}
	for i := range due {
		claim, err := tx.claim(&due[i], state, events)
		if err != nil {
			return lane, err
		}
		lane.Claims = append(lane.Claims, claim)
	}
	var err error
	lane.LaneDue, err = laneDue(tx.conn, w, state, tx.milli)
	return lane, err
}

// claim gives the delivery to this node.
func (tx *tx) claim(d *deliveryRow, state *webhookState, events map[int64]*telltale.Event) (telltale.Claim, error) {
	claim := telltale.Claim{
		ClaimRef:  telltale.ClaimRef{DeliveryID: tx.store.ids.Delivery(d.number), Number: d.claim + 1},
		ProjectID: state.ProjectID, Webhook: state.Webhook,
		Trigger: d.trigger(), Test: d.test, Once: d.test || d.manual == manualOnce,
		Attempt: int(d.attempts) + 1, Step: int(d.step), Tries: int(tx.triesSinceOutage(d)),
	}
	if d.firstAt != 0 {
		claim.Age = max(0, time.Duration(tx.milli-d.firstAt)*time.Millisecond)
	}
	event, ok := events[d.event]
	if !ok {
		_, err := tx.query(`SELECT ` + eventColumns + ` FROM event e WHERE e.number = ?`).int(d.event).
			one(func(q *query) { event = tx.store.scanEvent(q, state.ProjectID) })
		if err != nil {
			return claim, err
		}
		if event == nil {
			return claim, fmt.Errorf("delivery %s lacks its event", claim.DeliveryID)
		}
		events[d.event] = event
	}
	claim.Event = event
	if d.replay != 0 {
		_, err := tx.query(`SELECT id FROM replay WHERE number = ?`).int(d.replay).one(func(q *query) { claim.ReplayID = telltale.ReplayID(q.getText()) })
		if err != nil {
			return claim, err
		}
	}
	err := tx.change(`UPDATE delivery SET state = 3, claim = ?, node = ? WHERE number = ?`).int(claim.Number).int(tx.store.node).int(d.number).run()
	return claim, err
}

// trigger says why the coming attempt is made.
func (d *deliveryRow) trigger() telltale.Trigger {
	switch {
	case d.manual != manualNot:
		return telltale.TriggerManual
	case d.replay != 0 && d.attempts == 0:
		return telltale.TriggerReplay
	case d.test:
		return telltale.TriggerTest
	}
	return telltale.TriggerAutomatic
}

// triesSinceOutage is the number of attempts made since our last outage.
func (tx *tx) triesSinceOutage(d *deliveryRow) int64 {
	if d.lastAttempt < tx.meta.outageEnd<<stored.NumberBits {
		return 0
	}
	return d.tries
}

func (s *Store) ReleaseClaims(ctx context.Context, claims []telltale.ClaimRef) error {
	return s.write(ctx, "releasing claims", 50*len(claims), func(tx *tx) error {
		for _, ref := range claims {
			number, _ := s.ids.OfDelivery(ref.DeliveryID)
			d, ok, err := tx.claimed(number, ref)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if err := tx.release(&d); err != nil {
				return fmt.Errorf("delivery %s: %w", ref.DeliveryID, err)
			}
		}
		return nil
	})
}

// release lets a claimed delivery wait again, or be what its webhook makes of that.
func (tx *tx) release(d *deliveryRow) error {
	d.state, d.epoch = stored.StateWaiting, tx.state(d.webhook).epoch
	return tx.update(d)
}

// takeOverChunk is how many deliveries are taken over in one transaction.
const takeOverChunk = 1000

// TakeOver looks for claims of earlier starts of the server. A test is not
// made again, as it is not after an attempt of ours that was interrupted:
// whoever pressed the button has gone.
func (s *Store) TakeOver(ctx context.Context) (int, error) {
	total := 0
	for {
		taken := 0
		err := s.write(ctx, "taking over", 200*takeOverChunk, func(tx *tx) (err error) {
			taken, err = tx.takeOver()
			return err
		})
		total += taken
		if err != nil || taken < takeOverChunk {
			return total, err
		}
	}
}

func (tx *tx) takeOver() (int, error) {
	var lost []deliveryRow
	err := tx.query(`SELECT ` + deliveryRowColumns + ` FROM delivery INDEXED BY delivery_unsettled WHERE state = 3 AND state <> 4 AND node <> ? LIMIT ?`).
		int(tx.store.node).int(takeOverChunk).each(func(q *query) error {
		lost = append(lost, tx.scanRow(q))
		return nil
	})
	if err != nil {
		return 0, err
	}
	nodes := map[int64]goneNode{}
	for i := range lost {
		d := &lost[i]
		node, ok := nodes[d.node]
		if !ok {
			if node, err = tx.goneNode(d.node); err != nil {
				return 0, err
			}
			nodes[d.node] = node
		}
		if err := tx.interrupt(d, node); err != nil {
			return 0, fmt.Errorf("delivery %s: %w", tx.store.ids.Delivery(d.number), err)
		}
	}
	if len(lost) > 0 {
		failpoint.Here("take-over-uncommitted")
	}
	return len(lost), nil
}

// interrupt logs the attempt that may have been under way, and makes the
// delivery due. When it began is not known: at the latest when its node was
// last seen.
func (tx *tx) interrupt(d *deliveryRow, node goneNode) error {
	started := max(node.seenAt, stored.NumberMilli(d.number))
	row, err := newAttemptRow(&telltale.Attempt{
		Number: int(d.attempts) + 1, Trigger: d.trigger(), StartedAt: stored.MilliTime(started), Node: node.id, Error: telltale.ErrorInterrupted,
	})
	if err != nil {
		return err
	}
	if err := tx.insertAttempt(d, &row); err != nil {
		return err
	}
	d.attempts++
	d.tries = tx.triesSinceOutage(d)
	d.lastAttempt = row.number
	d.lastError, d.lastStatus = string(telltale.ErrorInterrupted), 0
	if d.firstAt == 0 {
		d.firstAt = started
	}
	state := tx.state(d.webhook)
	d.state, d.epoch, d.at = stored.StateWaiting, state.epoch, tx.milli
	switch {
	case d.test && state.Deleted:
		d.state = stored.StateCancelled
	case d.test:
		d.state = stored.StateFailed
	}
	tx.countAttempt(d, &row)
	return tx.update(d)
}
