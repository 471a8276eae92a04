package sqlite

import (
	"context"
	"fmt"
	"slices"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/failpoint"
	"telltale.example/telltale/internal/stored"
)

// newDelivery is a delivery that is to be stored, either claimed by this node
// or waiting since now.
type newDelivery struct {
	number, event int64
	code          int64 // of the event's type
	webhook       *webhook
	sending, test bool
	replay        int64 // that makes it; 0 for none
}

func (tx *tx) insertDelivery(d newDelivery) error {
	w := d.webhook
	state := int64(stored.StateWaiting)
	claim := int64(0)
	if d.sending {
		state, claim = stored.StateSending, 1
	}
	err := tx.change(`INSERT INTO delivery (number, event, project, webhook, type, test, state, claim, node, attempts, step, tries, manual, epoch, at, last_attempt, replay)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, 0, 0, 0, ?10, ?11, ?1, ?12)`).
		int(d.number).int(d.event).int(w.project.number).int(w.number).int(d.code).bool(d.test).int(state).int(claim).int(tx.store.node).
		int(tx.state(w).epoch).int(tx.milli).intOrNull(d.replay).run()
	if err != nil {
		return fmt.Errorf("a delivery to %s: %w", w.id, err)
	}
	// The project's span has its events as a rule; but a replay makes
	// deliveries long after them, and a transaction may pass from one span to
	// the next between an event and its deliveries.
	if err := tx.note(w.project.owner(), d.number, d.code); err != nil {
		return err
	}
	return tx.note(w.owner(), d.number, d.code)
}

// RecordAttempts encodes the attempts before it queues, so that the writer
// has little to do.
func (s *Store) RecordAttempts(ctx context.Context, results []telltale.Result) (telltale.Recorded, error) {
	rows := make([]attemptRow, len(results))
	bytes := 0
	for i := range results {
		var err error
		if rows[i], err = newAttemptRow(results[i].Attempt); err != nil {
			return telltale.Recorded{}, fmt.Errorf("sqlite: delivery %s: %w", results[i].DeliveryID, err)
		}
		rows[i].delivery, _ = s.ids.OfDelivery(results[i].DeliveryID)
		bytes += rows[i].size()
	}
	var recorded telltale.Recorded
	err := s.write(ctx, "recording attempts", bytes, func(tx *tx) (err error) {
		if recorded, err = tx.record(results, rows); err != nil {
			return err
		}
		failpoint.Here("record-uncommitted")
		return nil
	})
	if err != nil {
		return telltale.Recorded{}, err
	}
	return recorded, nil
}

func (tx *tx) record(results []telltale.Result, rows []attemptRow) (telltale.Recorded, error) {
	recorded := telltale.Recorded{Applied: make([]bool, len(results))}
	var attempted []*webhook
	var turned turns
	for i := range results {
		r := &results[i]
		d, ok, err := tx.claimed(rows[i].delivery, r.ClaimRef)
		if err != nil {
			return recorded, err
		}
		if !ok {
			continue
		}
		recorded.Applied[i] = true
		if err := tx.recordOne(&d, r, &rows[i]); err != nil {
			return recorded, fmt.Errorf("delivery %s: %w", r.DeliveryID, err)
		}
		if !slices.Contains(attempted, d.webhook) {
			attempted = append(attempted, d.webhook)
		}
		if d.test {
			err = tx.judgeTest(d.webhook, r, &turned)
		} else {
			err = tx.judge(&d, r, &turned)
		}
		if err != nil {
			return recorded, fmt.Errorf("webhook %s: %w", d.webhook.id, err)
		}
	}
	for _, w := range attempted {
		moved, err := tx.settleStanding(w)
		if err != nil {
			return recorded, err
		}
		if moved {
			turned.change(w)
		}
	}
	turned.show(tx, &recorded)
	return recorded, nil
}

// recordOne stores the attempt and moves the claimed delivery to its outcome.
func (tx *tx) recordOne(d *deliveryRow, r *telltale.Result, row *attemptRow) error {
	o, a, w := r.Outcome, r.Attempt, tx.state(d.webhook)
	if err := tx.insertAttempt(d, row); err != nil {
		return err
	}
	failpoint.Here("record-attempt-added")
	state, err := stored.StateAfter(o, w.Deleted)
	if err != nil {
		return err
	}
	d.attempts, d.step = int64(a.Number), int64(o.Step)
	d.tries = tx.triesSinceOutage(d)
	if a.Error != telltale.ErrorInterrupted {
		d.tries++
		d.manual = manualNot
	}
	d.lastAttempt = row.number
	d.lastError, d.lastStatus = string(a.Error), int64(a.Status)
	if o.State == telltale.StateSucceeded {
		d.lastError, d.lastStatus = "", 0
	} else if d.firstAt == 0 {
		d.firstAt = stored.TimeMilli(a.StartedAt)
	}
	d.state, d.epoch, d.at = state, w.epoch, tx.milli
	if d.state == stored.StateWaiting {
		d.at += o.Wait.Milliseconds()
	}
	tx.countAttempt(d, row)
	return tx.update(d)
}

// Values of the column manual.
const (
	manualNot  = 0
	manualNext = 1 // the coming attempt is an operator's
	manualOnce = 2 // and none follows it
)

// deliveryRow is what the writer needs to know of a delivery, and changes of it.
type deliveryRow struct {
	number, event      int64
	webhook            *webhook
	code               int64 // of the event's type
	test               bool
	state, claim, node int64
	was                int64 // its state as it is stored
	replay             int64 // that made it; 0 for none
	attempts, step     int64
	tries, manual      int64
	epoch, at          int64
	lastAttempt        int64
	firstAt            int64
	lastError          string
	lastStatus         int64
}

const deliveryRowColumns = `number, event, webhook, type, test, state, claim, node, attempts, step, tries, manual, epoch, at, last_attempt, coalesce(first_at, 0), last_error, coalesce(last_status, 0), coalesce(replay, 0)`

func (tx *tx) scanRow(q *query) deliveryRow {
	d := deliveryRow{
		number: q.getInt(), event: q.getInt(), webhook: tx.webhookByNumber(q.getInt()), code: q.getInt(), test: q.getBool(), state: q.getInt(), claim: q.getInt(), node: q.getInt(),
		attempts: q.getInt(), step: q.getInt(), tries: q.getInt(), manual: q.getInt(), epoch: q.getInt(), at: q.getInt(), lastAttempt: q.getInt(), firstAt: q.getInt(),
		lastError: q.getText(), lastStatus: q.getInt(), replay: q.getInt(),
	}
	d.was = d.state
	return d
}

// row reads a delivery; number 0 is none.
func (tx *tx) row(number int64) (d deliveryRow, found bool, err error) {
	found, err = tx.query(`SELECT ` + deliveryRowColumns + ` FROM delivery WHERE number = ?`).int(number).one(func(q *query) { d = tx.scanRow(q) })
	if err != nil {
		return d, false, fmt.Errorf("reading delivery %d: %w", number, err)
	}
	return d, found, nil
}

// claimed reads a delivery, if the claim is still what it was.
func (tx *tx) claimed(number int64, ref telltale.ClaimRef) (d deliveryRow, ok bool, err error) {
	d, ok, err = tx.row(number)
	return d, ok && d.state == stored.StateSending && d.claim == ref.Number, err
}

// update writes what can change of a delivery.
func (tx *tx) update(d *deliveryRow) error {
	if d.replay != 0 {
		if err := tx.countReplayed(d.replay, d.was, d.state); err != nil {
			return err
		}
		d.was = d.state
	}
	return tx.change(`UPDATE delivery SET state = ?, claim = ?, node = ?, attempts = ?, step = ?, tries = ?, manual = ?, epoch = ?, at = ?,
		last_attempt = ?, first_at = ?, last_error = ?, last_status = ? WHERE number = ?`).
		int(d.state).int(d.claim).int(d.node).int(d.attempts).int(d.step).int(d.tries).int(d.manual).int(d.epoch).int(d.at).
		int(d.lastAttempt).intOrNull(d.firstAt).textOrNull(d.lastError).intOrNull(d.lastStatus).int(d.number).run()
}

// RetryDelivery makes the coming attempt a manual one. If the delivery had
// failed, it is the only one.
func (s *Store) RetryDelivery(ctx context.Context, project telltale.ProjectID, id telltale.DeliveryID) (delivery telltale.Delivery, err error) {
	actor := telltale.ActorOf(ctx)
	err = s.write(ctx, "retrying a delivery", 100, func(tx *tx) error {
		var found bool
		if delivery, found, err = s.readDelivery(tx.conn, project, id); err != nil || !found {
			return orNotFound(err, "delivery")
		}
		number, _ := s.ids.OfDelivery(id)
		d, found, err := tx.row(number)
		if err != nil || !found {
			return orNotFound(err, "delivery")
		}
		w := tx.state(d.webhook)
		switch {
		case w.Deleted:
			return telltale.Errorf(telltale.Conflict, "The webhook of this delivery was deleted.")
		case !w.Enabled:
			return telltale.Errorf(telltale.Conflict, "The webhook of this delivery is disabled: enable it first.")
		case d.state == stored.StateWaiting && d.manual == manualNot:
			d.manual = manualNext
		case d.state == stored.StateFailed:
			d.manual = manualOnce
		case d.state != stored.StateWaiting:
			return telltale.Errorf(telltale.Conflict, "A delivery is retried while it is waiting or after it failed; this one is %s.", delivery.State)
		}
		tx.storeCounts() // the log forgets that it had failed
		d.state, d.epoch, d.at = stored.StateWaiting, w.epoch, tx.milli
		if err := tx.update(&d); err != nil {
			return err
		}
		standing := tx.standing(d.webhook)
		standing.Standing = standing.Asked(tx.presentTime())
		if _, err := tx.settleStanding(d.webhook); err != nil {
			return err
		}
		if delivery, _, err = s.readDelivery(tx.conn, project, id); err != nil {
			return err
		}
		return tx.audit(actor, telltale.AuditEntry{ProjectID: project, Action: telltale.AuditDeliveryRetried, Target: string(id), Name: string(delivery.EventType)})
	})
	if err != nil {
		return telltale.Delivery{}, err
	}
	return delivery, nil
}

// CancelDelivery ends what waits, whether its webhook is disabled or not.
func (s *Store) CancelDelivery(ctx context.Context, project telltale.ProjectID, id telltale.DeliveryID) (delivery telltale.Delivery, err error) {
	actor := telltale.ActorOf(ctx)
	err = s.write(ctx, "cancelling a delivery", 100, func(tx *tx) error {
		var found bool
		if delivery, found, err = s.readDelivery(tx.conn, project, id); err != nil || !found {
			return orNotFound(err, "delivery")
		}
		if delivery.State != telltale.StateWaiting && delivery.State != telltale.StateHeld {
			return telltale.Errorf(telltale.Conflict, "A delivery is cancelled while it is waiting or held; this one is %s.", delivery.State)
		}
		number, _ := s.ids.OfDelivery(id)
		d, found, err := tx.row(number)
		if err != nil || !found {
			return orNotFound(err, "delivery")
		}
		tx.storeCounts() // the log forgets that it waited for a retry
		d.state, d.at, d.manual = stored.StateCancelled, tx.milli, manualNot
		if err := tx.update(&d); err != nil {
			return err
		}
		if delivery, _, err = s.readDelivery(tx.conn, project, id); err != nil {
			return err
		}
		return tx.audit(actor, telltale.AuditEntry{ProjectID: project, Action: telltale.AuditDeliveryCancelled, Target: string(id), Name: string(delivery.EventType)})
	})
	if err != nil {
		return telltale.Delivery{}, err
	}
	return delivery, nil
}

func orNotFound(err error, noun string) error {
	if err != nil {
		return err
	}
	return notFound(noun)
}

func (s *Store) Delivery(ctx context.Context, project telltale.ProjectID, id telltale.DeliveryID) (delivery telltale.Delivery, err error) {
	err = s.read(ctx, "reading a delivery", func(c *conn) error {
		var found bool
		if delivery, found, err = s.readDelivery(c, project, id); err != nil || !found {
			return orNotFound(err, "delivery")
		}
		number, _ := s.ids.OfDelivery(id)
		delivery.Attempts, err = readAttempts(c, number)
		return err
	})
	if err != nil {
		return telltale.Delivery{}, err
	}
	return delivery, nil
}

// deliveryByNumber reads a delivery of the project that is there.
func (s *Store) deliveryByNumber(c *conn, project telltale.ProjectID, number int64) (delivery telltale.Delivery, err error) {
	found, err := c.query(`SELECT ` + deliveryColumns + ` FROM delivery d ` + deliveryJoins + ` WHERE d.number = ?`).int(number).
		one(func(q *query) { delivery = s.scanDelivery(q, project) })
	if err == nil && !found {
		err = fmt.Errorf("there is no delivery %d", number)
	}
	return delivery, err
}

// readDelivery reads a delivery without its attempts.
func (s *Store) readDelivery(c *conn, project telltale.ProjectID, id telltale.DeliveryID) (delivery telltale.Delivery, found bool, err error) {
	number, known := s.ids.OfDelivery(id)
	if !known {
		return delivery, false, nil
	}
	found, err = c.query(`SELECT ` + deliveryColumns + ` FROM delivery d ` + deliveryJoins + ` JOIN project p ON p.number = d.project WHERE d.number = ? AND p.id = ?`).
		int(number).text(string(project)).one(func(q *query) { delivery = s.scanDelivery(q, project) })
	return delivery, found, err
}

const (
	deliveryColumns = `d.number, e.id, w.id, d.type, d.test, d.state, d.attempts, d.at, d.epoch < w.epoch, d.last_error, d.last_status,
	w.enabled, coalesce(w.deleted_at, 0), w.enabled_at, coalesce(e.email, e.user_id), r.id,
	a.number IS NOT NULL, a.started_at, a.duration, a.status, a.error, a.failure`
	// Before the first attempt last_attempt is the delivery's own number,
	// which is no attempt's.
	deliveryJoins = `CROSS JOIN webhook w ON w.number = d.webhook CROSS JOIN event e ON e.number = d.event
	LEFT JOIN attempt a ON a.number = d.last_attempt LEFT JOIN replay r ON r.number = d.replay`
)

// scanDelivery reads a row as it is to be shown.
func (s *Store) scanDelivery(q *query, project telltale.ProjectID) telltale.Delivery {
	number := q.getInt()
	d := telltale.Delivery{
		ID: s.ids.Delivery(number), ProjectID: project, CreatedAt: stored.NumberTime(number),
		EventID: stored.EventID(q.getBlob()), WebhookID: telltale.WebhookID(q.getText()), EventType: stored.Word(stored.EventTypes, q.getInt()), Test: q.getBool(),
	}
	row := stored.ShownRow{State: q.getInt()}
	d.AttemptCount = int(q.getInt())
	row.At, row.Released = q.getInt(), q.getBool()
	d.LastError, d.LastStatus = telltale.ErrorClass(q.getText()), int(q.getInt())
	row.Enabled, row.DeletedAt, row.EnabledAt = q.getBool(), q.getInt(), q.getInt()
	row.Show(&d)
	d.Recipient, d.ReplayID = q.getText(), telltale.ReplayID(q.getText())
	if attempted := q.getBool(); attempted {
		d.Last = &telltale.LastAttempt{
			StartedAt: stored.MilliTime(q.getInt()), Duration: time.Duration(q.getInt()) * time.Microsecond,
			Status: int(q.getInt()), Error: telltale.ErrorClass(q.getText()), Failure: telltale.FailureCode(q.getText()),
		}
	}
	return d
}

// shown is a kind of row that is shown in some state: by the state in the row,
// and by its webhook.
type shown struct{ row, webhook string }

// shownAs gives, for a state that is asked for, the rows that are shown so.
// SQLite uses the index of what has not succeeded only if the query says that
// it does not ask for that.
func shownAs(state telltale.State) []shown {
	switch state {
	case telltale.StateWaiting:
		return []shown{{"d.state = 2 AND d.state <> 4", "w.deleted_at IS NULL AND w.enabled"}}
	case telltale.StateHeld:
		return []shown{{"d.state = 2 AND d.state <> 4", "w.deleted_at IS NULL AND NOT w.enabled"}}
	case telltale.StateSending:
		return []shown{{"d.state = 3 AND d.state <> 4", "1"}}
	case telltale.StateFailed:
		return []shown{{"d.state = 5 AND d.state <> 4", "1"}}
	case telltale.StateCancelled:
		return []shown{{"d.state = 6 AND d.state <> 4", "1"}, {"d.state = 2 AND d.state <> 4", "w.deleted_at IS NOT NULL"}}
	}
	return nil
}
