package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

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

// insertDelivery gathers the delivery for the end of the transaction.
func (tx *tx) insertDelivery(d newDelivery) { tx.rows.deliveries = append(tx.rows.deliveries, d) }

// RecordAttempts is run again if a webhook is to be switched because of an
// attempt: the configuration changes then, and that is locked before all else.
func (s *Store) RecordAttempts(ctx context.Context, results []telltale.Result) (telltale.Recorded, error) {
	rows := make([]attemptRow, len(results))
	for i := range results {
		var err error
		if rows[i], err = newAttemptRow(results[i].Attempt); err != nil {
			return telltale.Recorded{}, fmt.Errorf("postgres: delivery %s: %w", results[i].DeliveryID, err)
		}
		rows[i].delivery, _ = s.ids.OfDelivery(results[i].DeliveryID)
	}
	record := &recording{results: results, rows: rows}
	err := s.transact(ctx, record.transaction(false))
	if record.switches && telltale.CodeOf(err) == telltale.Conflict {
		err = s.transact(ctx, record.transaction(true))
		if err == nil {
			s.noteConfig(ctx)
		}
	}
	if err != nil {
		return telltale.Recorded{}, err
	}
	return record.recorded, nil
}

// recording is a call of RecordAttempts.
type recording struct {
	results  []telltale.Result
	rows     []attemptRow
	switches bool // a webhook is to be switched

	claimed  map[int64]*deliveryRow
	standing map[int64]standing // of their webhooks
	recorded telltale.Recorded
	turned   turns
}

func (r *recording) transaction(config bool) transaction {
	return transaction{
		name: "recording attempts", numbers: len(r.results), config: config,
		first: func(b *pgx.Batch) {
			numbers := make([]int64, 0, len(r.rows))
			for i := range r.rows {
				numbers = append(numbers, r.rows[i].delivery)
			}
			slices.Sort(numbers)
			r.claimed = make(map[int64]*deliveryRow, len(r.rows))
			queueRowsOf(b, r.claimed, `SELECT `+openColumns+` FROM delivery WHERE number = ANY($1::bigint[]) AND state = 3 ORDER BY number FOR UPDATE`, numbers)
			r.standing = map[int64]standing{}
			b.Queue(standingsWhere+`s.webhook IN (SELECT webhook FROM delivery WHERE number = ANY($1::bigint[]))`, numbers).Query(func(rows pgx.Rows) error {
				return scanStandings(rows, func(webhook int64, s standing) { r.standing[webhook] = s })
			})
		},
		do: r.run,
	}
}

// errSwitch ends a transaction that found out that it changes the configuration.
var errSwitch = telltale.Errorf(telltale.Conflict, "A webhook is to be switched.")

func (r *recording) run(tx *tx) error {
	r.recorded, r.turned = telltale.Recorded{Applied: make([]bool, len(r.results))}, turns{}
	var webhooks []int64
	for i := range r.results {
		d := r.claimed[r.rows[i].delivery]
		if d == nil || d.claim != r.results[i].Number {
			continue
		}
		delete(r.claimed, r.rows[i].delivery) // of two results of one claim, the first counts
		r.recorded.Applied[i] = true
		r.rows[i].row = d
		if err := tx.recordOne(d, &r.results[i], &r.rows[i]); err != nil {
			return fmt.Errorf("delivery %s: %w", r.results[i].DeliveryID, err)
		}
		if !slices.Contains(webhooks, d.webhook) {
			webhooks = append(webhooks, d.webhook)
		}
	}
	if len(webhooks) == 0 {
		return nil
	}
	standings, err := r.judgements(tx, webhooks)
	if err != nil {
		return err
	}
	for i := range r.results {
		if !r.recorded.Applied[i] {
			continue
		}
		d := r.rows[i].row
		j := standings[d.webhook]
		if j.change != nil {
			d.epoch = j.change.epoch // an attempt before it switched the webhook
		}
		if d.test {
			err = r.judgeTest(tx, j, &r.results[i])
		} else {
			err = r.judge(tx, d, j, &r.results[i])
		}
		if err != nil {
			return err
		}
	}
	for _, number := range webhooks {
		j := standings[number]
		if j.moved() {
			r.turned.change(j)
		}
		if err := tx.settle(j); err != nil {
			return err
		}
	}
	r.turned.show(&r.recorded)
	failpoint.Here("record-uncommitted")
	return nil
}

// judgements finds out how the webhooks stand, and locks that if the attempts
// change it in more than passes with every success.
func (r *recording) judgements(tx *tx, webhooks []int64) (map[int64]*judgement, error) {
	standings, err := tx.judgements(webhooks, r.standing)
	if err != nil {
		return nil, err
	}
	for i := range r.results {
		if r.recorded.Applied[i] && !r.rows[i].row.test {
			standings[r.rows[i].row.webhook].after(r.results[i].Attempt, tx.presentTime())
		} else if r.recorded.Applied[i] && r.results[i].Attempt.Success() {
			return tx.lockJudgements(webhooks) // a test that passed may close the breaker
		}
	}
	for _, j := range standings {
		if !j.settled() {
			return tx.lockJudgements(webhooks)
		}
	}
	return tx.judgements(webhooks, r.standing)
}

// recordOne stores the attempt and moves the claimed delivery to its outcome.
func (tx *tx) recordOne(d *deliveryRow, r *telltale.Result, row *attemptRow) error {
	o, a, w := r.Outcome, r.Attempt, tx.known.hooks[d.webhook]
	if w == nil {
		return fmt.Errorf("there is no webhook %d", d.webhook)
	}
	if err := tx.insertAttempt(d, row); err != nil {
		return err
	}
	state, err := stored.StateAfter(o, w.deletedAt != 0)
	if err != nil {
		return err
	}
	d.attempts, d.step = int64(a.Number), int64(o.Step)
	d.tries = d.triesSinceOutage()
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
	tx.move(d)
	return nil
}

// telltaleItself is who does what nobody asked for.
var telltaleItself = telltale.Actor{Kind: telltale.ActorSystem, Name: "telltale"}

// judge adds an attempt that was no test to its webhook's standing, disables the
// webhook if there is cause, and tells of what happened.
func (r *recording) judge(tx *tx, d *deliveryRow, j *judgement, result *telltale.Result) error {
	alarmed := j.now.Alarmed
	signals := j.after(result.Attempt, tx.presentTime())
	hook := j.present()
	if !hook.Enabled || hook.Deleted {
		j.now.Alarmed = alarmed // what was under way is no recovery
		return tx.tellFailed(d, j, result, &r.turned)
	}
	reason := signals.Disable
	if result.Outcome.Disable != "" && hook.Version == result.WebhookVersion {
		reason = result.Outcome.Disable
	}
	var err error
	switch {
	case reason != "":
		j.now.Alarmed = true
		if err := r.change(tx, j, func(c *webhookChange) error { return tx.disable(c, reason) }); err != nil {
			return err
		}
		err = tx.tell(telltale.WebhookDisabled, j, result.Attempt, nil, &r.turned)
	case signals.Warned != telltale.WarnedNot:
		err = tx.tell(telltale.WebhookFailing, j, result.Attempt, nil, &r.turned)
	case signals.Recovered:
		err = tx.tell(telltale.WebhookRecovered, j, result.Attempt, nil, &r.turned)
	}
	if err != nil {
		return err
	}
	return tx.tellFailed(d, j, result, &r.turned)
}

// judgeTest lets a test that passed close its webhook's breaker, and enable the
// webhook again if it was disabled automatically. What passed must be what the
// webhook is now.
func (r *recording) judgeTest(tx *tx, j *judgement, result *telltale.Result) error {
	hook := j.present()
	if !result.Attempt.Success() || hook.Deleted || hook.Version != result.WebhookVersion {
		return nil
	}
	if hook.Enabled || hook.DisabledReason == telltale.DisabledManual {
		j.now.Standing = j.now.Passed(tx.presentTime())
		return nil
	}
	err := r.change(tx, j, tx.enable)
	if err != nil {
		return err
	}
	// Enabling stored the standing anew.
	j.now.Standing, j.now.health = j.change.Standing, j.change.Health
	j.row = j.now
	return nil
}

// change makes a new version of the webhook, in a transaction that may.
func (r *recording) change(tx *tx, j *judgement, change func(*webhookChange) error) error {
	if !tx.mayConfigure {
		r.switches = true
		return errSwitch
	}
	before := j.present()
	if j.change == nil {
		j.change = &webhookChange{Webhook: before, number: j.number, epoch: j.epoch, enabledAt: j.enabledAt}
	}
	j.change.standing = &j.now
	if err := change(j.change); err != nil {
		return err
	}
	r.turned.change(j)
	return tx.audit(telltaleItself, stored.WebhookEntry(before, j.change.Webhook))
}

// Values of the column manual.
const (
	manualNot  = 0
	manualNext = 1 // the coming attempt is an operator's
	manualOnce = 2 // and none follows it
)

// deliveryRow is all of a delivery's row, and changes of it.
type deliveryRow struct {
	number, event    int64
	project, webhook int64
	code             int64 // of the event's type
	test             bool
	state            int64
	attempts, step   int64
	tries            int64
	at               int64
	lastAttempt      int64
	firstAt          int64
	lastError        string
	lastStatus       int64
	replay           int64 // that made it; 0 for none
	claim, node      int64
	manual, epoch    int64

	outageEnd int64 // when our last outage ended
	was       int64 // its state as it is stored
	wasOpen   bool  // whether it is stored among what is not finished
}

const openColumns = `number, event, project, webhook, type, test, state, attempts, step, tries, at, last_attempt, coalesce(first_at, 0), coalesce(last_error, ''), coalesce(last_status, 0), coalesce(replay, 0), claim, node, manual, epoch,
	(SELECT outage_end FROM meta)`

func (d *deliveryRow) into() []any {
	return []any{&d.number, &d.event, &d.project, &d.webhook, &d.code, &d.test, &d.state, &d.attempts, &d.step, &d.tries, &d.at, &d.lastAttempt, &d.firstAt, &d.lastError, &d.lastStatus, &d.replay,
		&d.claim, &d.node, &d.manual, &d.epoch, &d.outageEnd}
}

// scanned is the row as it was scanned, apart from the variable.
func (d *deliveryRow) scanned() *deliveryRow {
	row := *d
	row.was, row.wasOpen = row.state, row.open()
	return &row
}

// open reports whether it is not finished.
func (d *deliveryRow) open() bool {
	return d.state == stored.StateWaiting || d.state == stored.StateSending
}

// queueRowsOf reads deliveries with a transaction's batch.
func queueRowsOf(b *pgx.Batch, into map[int64]*deliveryRow, sql string, args ...any) {
	b.Queue(sql, args...).Query(func(rows pgx.Rows) error {
		var d deliveryRow
		_, err := pgx.ForEachRow(rows, d.into(), func() error {
			into[d.number] = d.scanned()
			return nil
		})
		return err
	})
}

// triesSinceOutage is the number of attempts made since our last outage.
func (d *deliveryRow) triesSinceOutage() int64 {
	if d.lastAttempt < d.outageEnd<<stored.NumberBits {
		return 0
	}
	return d.tries
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

// move gathers, for the end of the transaction, what became of a delivery.
func (tx *tx) move(d *deliveryRow) {
	if d.replay != 0 {
		tx.countReplayed(d.replay, d.was, d.state)
		d.was = d.state
	}
	tx.rows.moved = append(tx.rows.moved, d)
}

// lockDelivery reads a delivery of the project, finished or not, which nobody
// else changes before the transaction ends. NotFound.
func (tx *tx) lockDelivery(project telltale.ProjectID, id telltale.DeliveryID) (*deliveryRow, error) {
	p := tx.known.project(project)
	number, ok := tx.store.ids.OfDelivery(id)
	if p == nil || !ok {
		return nil, notFound("delivery")
	}
	for _, table := range [...]string{"delivery", "delivery_done", "delivery"} { // it may move between two looks
		var d deliveryRow
		found, err := tx.one(d.into(), `SELECT `+openColumns+` FROM `+table+` WHERE number = $1 AND project = $2 FOR UPDATE`, number, p.number)
		if err != nil {
			return nil, err
		}
		if found {
			return d.scanned(), nil
		}
	}
	return nil, notFound("delivery")
}

// RetryDelivery makes the coming attempt a manual one. If the delivery had
// failed, it is the only one.
func (s *Store) RetryDelivery(ctx context.Context, project telltale.ProjectID, id telltale.DeliveryID) (delivery telltale.Delivery, err error) {
	err = s.write(ctx, "retrying a delivery", func(tx *tx) error {
		d, err := tx.lockDelivery(project, id)
		if err != nil {
			return err
		}
		w := tx.known.hooks[d.webhook]
		switch {
		case w.deletedAt != 0:
			return telltale.Errorf(telltale.Conflict, "The webhook of this delivery was deleted.")
		case !w.now().Enabled:
			return telltale.Errorf(telltale.Conflict, "The webhook of this delivery is disabled: enable it first.")
		case d.state == stored.StateWaiting && d.manual == manualNot:
			d.manual = manualNext
		case d.state == stored.StateFailed:
			d.manual = manualOnce
		case d.state != stored.StateWaiting:
			if delivery, err = s.readDelivery(tx.ctx, tx.conn, project, id); err != nil {
				return err
			}
			return telltale.Errorf(telltale.Conflict, "A delivery is retried while it is waiting or after it failed; this one is %s.", delivery.State)
		}
		d.state, d.epoch, d.at = stored.StateWaiting, w.epoch, tx.milli
		tx.move(d)
		standings, err := tx.lockJudgements([]int64{d.webhook})
		if err != nil {
			return err
		}
		j := standings[d.webhook]
		j.now.Standing = j.now.Asked(tx.presentTime())
		if err := tx.settle(j); err != nil {
			return err
		}
		if err := tx.flush(); err != nil {
			return err
		}
		if delivery, err = s.readDelivery(tx.ctx, tx.conn, project, id); err != nil {
			return err
		}
		return tx.audit(telltale.ActorOf(ctx), telltale.AuditEntry{ProjectID: project, Action: telltale.AuditDeliveryRetried, Target: string(id), Name: string(delivery.EventType)})
	})
	if err != nil {
		return telltale.Delivery{}, err
	}
	return delivery, nil
}

// CancelDelivery ends what waits, whether its webhook is disabled or not.
func (s *Store) CancelDelivery(ctx context.Context, project telltale.ProjectID, id telltale.DeliveryID) (delivery telltale.Delivery, err error) {
	err = s.write(ctx, "cancelling a delivery", func(tx *tx) error {
		d, err := tx.lockDelivery(project, id)
		if err != nil {
			return err
		}
		if delivery, err = s.readDelivery(tx.ctx, tx.conn, project, id); err != nil {
			return err
		}
		if delivery.State != telltale.StateWaiting && delivery.State != telltale.StateHeld {
			return telltale.Errorf(telltale.Conflict, "A delivery is cancelled while it is waiting or held; this one is %s.", delivery.State)
		}
		d.state, d.at, d.manual = stored.StateCancelled, tx.milli, manualNot
		tx.move(d)
		if err := tx.flush(); err != nil {
			return err
		}
		if delivery, err = s.readDelivery(tx.ctx, tx.conn, project, id); err != nil {
			return err
		}
		return tx.audit(telltale.ActorOf(ctx), telltale.AuditEntry{ProjectID: project, Action: telltale.AuditDeliveryCancelled, Target: string(id), Name: string(delivery.EventType)})
	})
	if err != nil {
		return telltale.Delivery{}, err
	}
	return delivery, nil
}

func (s *Store) Delivery(ctx context.Context, project telltale.ProjectID, id telltale.DeliveryID) (delivery telltale.Delivery, err error) {
	err = s.snapshot(ctx, "reading a delivery", func(ctx context.Context, q querier) error {
		if delivery, err = s.readDelivery(ctx, q, project, id); err != nil {
			return err
		}
		number, _ := s.ids.OfDelivery(id)
		var last int64
		if err := q.QueryRow(ctx, `SELECT last_attempt FROM delivery_all WHERE number = $1`, number).Scan(&last); err != nil {
			return err
		}
		delivery.Attempts, err = readAttempts(ctx, q, number, last)
		return err
	})
	if err != nil {
		return telltale.Delivery{}, err
	}
	return delivery, nil
}

// readDelivery reads a delivery without its attempts. NotFound.
func (s *Store) readDelivery(ctx context.Context, q querier, project telltale.ProjectID, id telltale.DeliveryID) (telltale.Delivery, error) {
	number, known := s.ids.OfDelivery(id)
	if !known {
		return telltale.Delivery{}, notFound("delivery")
	}
	var row scannedDelivery
	err := q.QueryRow(ctx, `SELECT `+deliveryColumns+` FROM delivery_all d `+deliveryJoins+` JOIN project p ON p.number = d.project WHERE d.number = $1 AND p.id = $2`, number, string(project)).Scan(row.into()...)
	if noRows(err) {
		return telltale.Delivery{}, notFound("delivery")
	}
	if err != nil {
		return telltale.Delivery{}, err
	}
	return row.delivery(s, project), nil
}

const (
	deliveryColumns = `d.number, e.id, w.id, d.type, d.test, d.state, d.attempts, d.at, d.epoch < w.epoch, coalesce(d.last_error, ''), coalesce(d.last_status, 0),
	w.enabled, coalesce(w.deleted_at, 0), w.enabled_at, coalesce(e.email, e.user_id, ''), coalesce(r.id, ''),
	a.number IS NOT NULL, coalesce(a.started_at, 0), coalesce(a.duration, 0), coalesce(a.status, 0), coalesce(a.error, ''), coalesce(a.failure, '')`
	// Before the first attempt last_attempt is the delivery's own number,
	// which is no attempt's.
	deliveryJoins = `JOIN webhook w ON w.number = d.webhook JOIN event e ON e.number = d.event
	LEFT JOIN attempt a ON a.number = d.last_attempt LEFT JOIN replay r ON r.number = d.replay`
)

// scannedDelivery is a row with those columns.
type scannedDelivery struct {
	stored.ShownRow
	number                                int64
	event                                 []byte
	webhook, lastError, recipient, replay string
	code, attempts, lastStatus            int64
	test, attempted                       bool
	startedAt, duration, status           int64
	class, failure                        string
}

func (r *scannedDelivery) into() []any {
	return []any{&r.number, &r.event, &r.webhook, &r.code, &r.test, &r.State, &r.attempts, &r.At, &r.Released, &r.lastError, &r.lastStatus,
		&r.Enabled, &r.DeletedAt, &r.EnabledAt, &r.recipient, &r.replay, &r.attempted, &r.startedAt, &r.duration, &r.status, &r.class, &r.failure}
}

// delivery gives the row as it is to be shown.
func (r *scannedDelivery) delivery(s *Store, project telltale.ProjectID) telltale.Delivery {
	d := telltale.Delivery{
		ID: s.ids.Delivery(r.number), ProjectID: project, CreatedAt: stored.NumberTime(r.number),
		EventID: stored.EventID(r.event), WebhookID: telltale.WebhookID(r.webhook), EventType: stored.Word(stored.EventTypes, r.code), Test: r.test,
		AttemptCount: int(r.attempts), LastError: telltale.ErrorClass(r.lastError), LastStatus: int(r.lastStatus),
		Recipient: r.recipient, ReplayID: telltale.ReplayID(r.replay),
	}
	r.Show(&d)
	if r.attempted {
		d.Last = &telltale.LastAttempt{
			StartedAt: stored.MilliTime(r.startedAt), Duration: time.Duration(r.duration) * time.Microsecond,
			Status: int(r.status), Error: telltale.ErrorClass(r.class), Failure: telltale.FailureCode(r.failure),
		}
	}
	return d
}
