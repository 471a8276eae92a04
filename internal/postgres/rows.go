package postgres

import (
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

type commandTag = pgconn.CommandTag

// rows are what a transaction adds to, and changes in, the large tables. They
// are sent as one array a column, with the COMMIT behind them: a transaction
// costs two round trips, however many rows it has.
type rows struct {
	statements []statement // which come first
	events     []eventInsert
	deliveries []newDelivery
	attempts   []*attemptRow
	moved      []*deliveryRow // that were claimed, waited or had failed, and are something else now
	happened   stored.Happened
	goals      []ownGoal
}

// statement is one that waits for the end of the transaction.
type statement struct {
	sql  string
	args []any
}

// later has the statement sent at the end of the transaction.
func (tx *tx) later(sql string, args ...any) {
	tx.rows.statements = append(tx.rows.statements, statement{sql, args})
}

// eventInsert is a row of the table event.
type eventInsert struct {
	project int64
	event   *telltale.Event
	row     *eventRow
}

// queueRows adds statements for all that was gathered, and forgets it.
func (tx *tx) queueRows(b *pgx.Batch) error {
	r := tx.rows
	tx.rows = rows{}
	for _, s := range r.statements {
		b.Queue(s.sql, s.args...)
	}
	queueEvents(b, r.events)
	tx.queueDeliveries(b, r.deliveries)
	queueAttempts(b, r.attempts)
	tx.queueMoves(b, r.moved)
	queueHappened(b, r.happened)
	tx.queueOwnGoals(b, r.goals)
	return nil
}

func queueEvents(b *pgx.Batch, events []eventInsert) {
	n := len(events)
	if n == 0 {
		return
	}
	number, project, kind := make([]int64, n), make([]int64, n), make([]int64, n)
	received, occurred, credit := make([]int64, n), make([]int64, n), make([]*int64, n)
	id, payload := make([][]byte, n), make([][]byte, n)
	test, machine := make([]bool, n), make([]*bool, n)
	source := make([]string, n)
	var texts [9][]*string
	for i := range texts {
		texts[i] = make([]*string, n)
	}
	for i := range events {
		e, row := events[i].event, events[i].row
		number[i], project[i], kind[i] = e.Sequence, events[i].project, row.code
		received[i], occurred[i], credit[i] = stored.TimeMilli(e.ReceivedAt), stored.TimeMilli(e.OccurredAt), orNull(row.credit)
		id[i], payload[i], test[i], machine[i], source[i] = row.id[:], e.Payload, e.Test, e.Machine, clean(e.Source)
		for j, text := range [...]*string{&e.UserID, &e.Email, &e.MessageID, &e.CampaignID, &e.URL, &e.IP, &e.ProviderMessageID, &e.ConversionEvent, &e.CallerID} {
			if *text != "" {
				if *text == clean(*text) {
					texts[j][i] = text
				} else {
					texts[j][i] = new(clean(*text))
				}
			}
		}
	}
	b.Queue(`INSERT INTO event (number, id, project, type, test, source, received_at, occurred_at, user_id, email, message_id, campaign_id, url, ip, machine, provider_message_id, conversion_event, caller_id, credit, payload)
		SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::integer[], $4::smallint[], $5::boolean[], $6::text[], $7::bigint[], $8::bigint[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
			$15::boolean[], $16::text[], $17::text[], $18::text[], $19::smallint[], $20::bytea[])`,
		number, id, project, kind, test, source, received, occurred, texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], machine, texts[6], texts[7], texts[8], credit, payload)
}

func (tx *tx) queueDeliveries(b *pgx.Batch, deliveries []newDelivery) {
	n := len(deliveries)
	if n == 0 {
		return
	}
	number, event, project, webhook, kind := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	test, state, claim, epoch, replay := make([]bool, n), make([]int64, n), make([]int64, n), make([]int64, n), make([]*int64, n)
	for i := range deliveries {
		d := &deliveries[i]
		number[i], event[i], project[i], webhook[i], kind[i] = d.number, d.event, d.webhook.project, d.webhook.number, d.code
		test[i], state[i], epoch[i], replay[i] = d.test, stored.StateWaiting, d.webhook.epoch, orNull(d.replay)
		if d.sending {
			state[i], claim[i] = stored.StateSending, 1
		}
	}
	b.Queue(`INSERT INTO delivery (number, event, project, webhook, type, test, state, claim, epoch, replay, node, attempts, step, tries, manual, at, last_attempt)
		SELECT u.number, u.event, u.project, u.webhook, u.type, u.test, u.state, u.claim, u.epoch, u.replay, $11::integer, 0, 0, 0, 0, $12::bigint, u.number
		FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::integer[], $5::smallint[], $6::boolean[], $7::smallint[], $8::bigint[], $9::bigint[], $10::bigint[])
			AS u(number, event, project, webhook, type, test, state, claim, epoch, replay)`,
		number, event, project, webhook, kind, test, state, claim, epoch, replay, tx.store.node.Load(), tx.milli)
}

func queueAttempts(b *pgx.Batch, attempts []*attemptRow) {
	n := len(attempts)
	if n == 0 {
		return
	}
	number, delivery, previous, attempt := make([]int64, n), make([]int64, n), make([]*int64, n), make([]int64, n)
	trigger, node, started, duration, status := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	class, failure, detail := make([]*string, n), make([]*string, n), make([]*string, n)
	exchange, body := make([][]byte, n), make([][]byte, n)
	for i, a := range attempts {
		number[i], delivery[i], previous[i], attempt[i] = a.number, a.delivery, orNull(a.previous), int64(a.Number)
		trigger[i], node[i], started[i], duration[i], status[i] = a.trigger, a.node, stored.TimeMilli(a.StartedAt), a.Duration.Microseconds(), int64(a.Status)
		class[i], failure[i], detail[i] = textOrNull(string(a.Error)), textOrNull(string(a.Failure)), textOrNull(a.Detail)
		exchange[i] = a.exchange
		if len(a.Response.Body) > 0 {
			body[i] = a.Response.Body
		}
	}
	b.Queue(`INSERT INTO attempt (number, delivery, previous, attempt, trigger, node, started_at, duration, status, error, failure, detail, exchange, body)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[], $5::smallint[], $6::integer[], $7::bigint[], $8::bigint[], $9::integer[], $10::text[], $11::text[], $12::text[], $13::bytea[], $14::bytea[])`,
		number, delivery, previous, attempt, trigger, node, started, duration, status, class, failure, detail, exchange, body)
}

const doneColumns = `number, event, project, webhook, type, test, state, attempts, step, tries, at, last_attempt, first_at, last_error, last_status, replay, claim, node, manual, epoch`

const doneUnnest = `unnest($1::bigint[], $2::bigint[], $3::integer[], $4::integer[], $5::smallint[], $6::boolean[], $7::smallint[], $8::integer[], $9::integer[], $10::integer[], $11::bigint[], $12::bigint[], $13::bigint[],
	$14::text[], $15::integer[], $16::bigint[], $17::bigint[], $18::integer[], $19::smallint[], $20::bigint[])`

// queueMoves writes what became of deliveries: what is finished moves to the
// table of these, what is not any more moves back, and all else stays.
func (tx *tx) queueMoves(b *pgx.Batch, moved []*deliveryRow) {
	var stay, done, back []*deliveryRow
	for _, d := range moved {
		switch open := d.open(); {
		case d.wasOpen && open:
			stay = append(stay, d)
		case d.wasOpen:
			done = append(done, d)
		case open:
			back = append(back, d)
		default:
			stay = append(stay, d) // what is finished otherwise than before does not come about
		}
		d.wasOpen = d.open()
	}
	if len(done) > 0 {
		b.Queue(`DELETE FROM delivery WHERE number = ANY($1::bigint[])`, numbersOf(done))
		b.Queue(`INSERT INTO delivery_done (`+doneColumns+`) SELECT * FROM `+doneUnnest, columnsOf(done)...)
	}
	if len(back) > 0 {
		b.Queue(`DELETE FROM delivery_done WHERE number = ANY($1::bigint[])`, numbersOf(back))
		b.Queue(`INSERT INTO delivery (`+doneColumns+`) SELECT * FROM `+doneUnnest, columnsOf(back)...)
	}
	if len(stay) > 0 {
		b.Queue(`UPDATE delivery d SET state = u.state, attempts = u.attempts, step = u.step, tries = u.tries, at = u.at, last_attempt = u.last_attempt, first_at = u.first_at,
			last_error = u.last_error, last_status = u.last_status, claim = u.claim, node = u.node, manual = u.manual, epoch = u.epoch
			FROM (SELECT * FROM `+doneUnnest+` AS u(`+doneColumns+`)) u WHERE d.number = u.number`, columnsOf(stay)...)
	}
}

func numbersOf(rows []*deliveryRow) []int64 {
	list := make([]int64, len(rows))
	for i, d := range rows {
		list[i] = d.number
	}
	return list
}

// columnsOf gives the columns of rows, in the order of doneColumns.
func columnsOf(rows []*deliveryRow) []any {
	n := len(rows)
	column := func(of func(*deliveryRow) int64) []int64 {
		list := make([]int64, n)
		for i, d := range rows {
			list[i] = of(d)
		}
		return list
	}
	test, firstAt, lastError, lastStatus, replay := make([]bool, n), make([]*int64, n), make([]*string, n), make([]*int64, n), make([]*int64, n)
	for i, d := range rows {
		test[i], firstAt[i], lastError[i], lastStatus[i], replay[i] = d.test, orNull(d.firstAt), textOrNull(d.lastError), orNull(d.lastStatus), orNull(d.replay)
	}
	return []any{
		column(func(d *deliveryRow) int64 { return d.number }), column(func(d *deliveryRow) int64 { return d.event }),
		column(func(d *deliveryRow) int64 { return d.project }), column(func(d *deliveryRow) int64 { return d.webhook }),
		column(func(d *deliveryRow) int64 { return d.code }), test, column(func(d *deliveryRow) int64 { return d.state }),
		column(func(d *deliveryRow) int64 { return d.attempts }), column(func(d *deliveryRow) int64 { return d.step }),
		column(func(d *deliveryRow) int64 { return d.tries }), column(func(d *deliveryRow) int64 { return d.at }),
		column(func(d *deliveryRow) int64 { return d.lastAttempt }), firstAt, lastError, lastStatus, replay,
		column(func(d *deliveryRow) int64 { return d.claim }), column(func(d *deliveryRow) int64 { return d.node }),
		column(func(d *deliveryRow) int64 { return d.manual }), column(func(d *deliveryRow) int64 { return d.epoch }),
	}
}
