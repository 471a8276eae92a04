package sqlite

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/failpoint"
	"telltale.example/telltale/internal/stored"
)

// eventRow is what of an event is worked out before the writer has it.
type eventRow struct {
	id     ulid.ULID
	code   int64 // of its type
	credit int64 // of its conversion
	print  fingerprint
	caller [16]byte // key of its caller's id, if it has one
}

func newEventRow(project telltale.ProjectID, e *telltale.Event) (row eventRow, err error) {
	var ok bool
	if row.id, ok = stored.ParseULID(stored.EventPrefix, string(e.ID)); !ok {
		return row, fmt.Errorf("sqlite: %q is not an event's id", e.ID)
	}
	if row.code, err = stored.Code(stored.EventTypes, e.Type); err != nil {
		return row, fmt.Errorf("sqlite: event %s: %w", e.ID, err)
	}
	if row.credit, err = stored.Code(stored.Credits, e.Credit); err != nil {
		return row, fmt.Errorf("sqlite: event %s: %w", e.ID, err)
	}
	row.print = eventFingerprint(project, e)
	if e.CallerID != "" {
		row.caller = stored.CallerKey(project, e.CallerID)
	}
	return row, nil
}

// newEventRows works out the rows of events, and roughly how many bytes they take.
func newEventRows(a telltale.Acceptance) (rows []eventRow, bytes int, err error) {
	rows = make([]eventRow, len(a.Events))
	for i, e := range a.Events {
		if rows[i], err = newEventRow(a.ProjectID, e); err != nil {
			return nil, 0, err
		}
		bytes += eventBytes(e)
	}
	return rows, bytes, nil
}

func (s *Store) AcceptEvents(ctx context.Context, a telltale.Acceptance) (telltale.Accepted, error) {
	rows, bytes, err := newEventRows(a)
	if err != nil {
		return telltale.Accepted{}, err
	}
	nonces := stored.NewNonces(a)
	var accepted telltale.Accepted
	err = s.write(ctx, "accepting events", bytes+nonceBytes*len(nonces), func(tx *tx) (err error) {
		if err = tx.checkNonces(nonces); err != nil {
			return err
		}
		if accepted, err = tx.accept(a, rows); err != nil {
			return err
		}
		if err = tx.keepNonces(nonces); err != nil {
			return err
		}
		if err = tx.followSubscriptions(a, rows, accepted.Events); err != nil {
			return err
		}
		failpoint.Here("accept-uncommitted")
		return nil
	})
	if err != nil {
		return telltale.Accepted{}, err
	}
	return accepted, nil
}

// eventBytes is roughly what an event and its first delivery take on disk.
func eventBytes(e *telltale.Event) int { return len(e.Payload) + 300 }

func (tx *tx) accept(a telltale.Acceptance, rows []eventRow) (telltale.Accepted, error) {
	accepted := telltale.Accepted{Events: make([]telltale.AcceptedEvent, len(a.Events))}
	p := tx.project(a.ProjectID)
	if p == nil {
		return accepted, notFound("project")
	}
	if err := tx.findDuplicates(a.Events, rows, accepted.Events); err != nil {
		return accepted, err
	}
	if a.Room != nil {
		tx.onUndo(func() {
			for _, c := range accepted.Claims {
				a.Room.Release(c.Webhook)
			}
		})
	}
	for i := range rows {
		e, row := a.Events[i], &rows[i]
		if accepted.Events[i].Duplicate {
			continue
		}
		accepted.Events[i].ID = e.ID
		e.Sequence = tx.number()
		if err := tx.insertEvent(p, e, row); err != nil {
			return accepted, err
		}
		failpoint.Here("accept-event-added")
		machine := e.ByMachine()
		for _, w := range tx.wanting(p, row.code) {
			snapshot := tx.state(w).Webhook
			if machine && !snapshot.Wants(e.Type, machine) {
				continue
			}
			number := tx.number()
			sending := a.Room != nil && a.Room.Reserve(snapshot)
			if sending {
				accepted.Claims = append(accepted.Claims, telltale.Claim{
					ClaimRef:  telltale.ClaimRef{DeliveryID: tx.store.ids.Delivery(number), Number: 1},
					ProjectID: a.ProjectID, Event: e, Webhook: snapshot, Trigger: telltale.TriggerAutomatic, Attempt: 1,
				})
			} else if !slices.Contains(accepted.Waiting, snapshot) {
				accepted.Waiting = append(accepted.Waiting, snapshot)
			}
			if err := tx.insertDelivery(newDelivery{number: number, event: e.Sequence, code: row.code, webhook: w, sending: sending}); err != nil {
				return accepted, err
			}
		}
	}
	return accepted, nil
}

// findDuplicates answers the events whose callers' ids were seen before, in
// the store or earlier in the call.
func (tx *tx) findDuplicates(events []*telltale.Event, rows []eventRow, answers []telltale.AcceptedEvent) error {
	type first struct {
		id      telltale.EventID
		content [sha256.Size]byte
	}
	var seen map[[16]byte]first
	var faults []telltale.Fault
	forgotten := stored.FirstNumber(tx.now.Add(-telltale.CallerIDMemory))
	for i, e := range events {
		if e.CallerID == "" {
			continue
		}
		if seen == nil {
			seen = map[[16]byte]first{}
		}
		before, ok := seen[rows[i].caller]
		if !ok {
			_, err := tx.query(`SELECT event, content FROM caller WHERE key = ? AND number >= ?`).blob(rows[i].caller[:]).int(forgotten).one(func(q *query) {
				ok = true
				before.id = stored.EventID(q.getBlob())
				copy(before.content[:], q.getBlob())
			})
			if err != nil {
				return fmt.Errorf("looking for the caller's id: %w", err)
			}
		}
		switch {
		case !ok:
			before = first{e.ID, e.ContentHash}
		case before.content != e.ContentHash:
			faults = append(faults, stored.CallerIDUsed(i, e.CallerID))
		default:
			answers[i] = telltale.AcceptedEvent{ID: before.id, Duplicate: true}
		}
		seen[rows[i].caller] = before
	}
	return stored.CallerIDsUsed(faults)
}

const insertEvent = `INSERT INTO event (number, id, project, type, test, source, lag, occurred, user_id, email, message_id, campaign_id,
	url, ip, machine, provider_message_id, conversion_event, caller_id, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// insertEvent stores the event under its sequence number.
func (tx *tx) insertEvent(p *project, e *telltale.Event, row *eventRow) error {
	received := stored.TimeMilli(e.ReceivedAt)
	lag := stored.NumberMilli(e.Sequence) - received
	if err := tx.noteLag(lag); err != nil {
		return err
	}
	q := tx.change(insertEvent).int(e.Sequence).blob(row.id[:]).int(p.number).int(row.code).bool(e.Test).text(e.Source).
		int(lag).int(received - stored.TimeMilli(e.OccurredAt)).
		textOrNull(e.UserID).textOrNull(e.Email).textOrNull(e.MessageID).textOrNull(e.CampaignID).textOrNull(e.URL).textOrNull(e.IP)
	if e.Machine == nil {
		q.null()
	} else {
		q.bool(*e.Machine)
	}
	err := q.textOrNull(e.ProviderMessageID).textOrNull(e.ConversionEvent).textOrNull(e.CallerID).blob(e.Payload).run()
	if isConstraint(err) {
		return telltale.Errorf(telltale.Conflict, "The event %s was accepted before.", e.ID)
	}
	if err != nil {
		return fmt.Errorf("event %s: %w", e.ID, err)
	}
	if row.credit != 0 {
		if err := tx.change(`INSERT INTO credit (event, credit) VALUES (?, ?)`).int(e.Sequence).int(row.credit).run(); err != nil {
			return fmt.Errorf("event %s: the credit: %w", e.ID, err)
		}
	}
	if !e.Test {
		tx.happened.Event(e.Sequence, p.number, row.code)
	}
	if err := tx.note(p.owner(), e.Sequence, row.code); err != nil {
		return err
	}
	if err := tx.digestEvent(e.Sequence, row.print); err != nil {
		return err
	}
	if err := tx.nameEvent(p, e); err != nil {
		return err
	}
	if err := tx.noteOwnGoal(p, e); err != nil {
		return err
	}
	if e.CallerID == "" {
		return nil
	}
	err = tx.change(`INSERT OR REPLACE INTO caller (number, key, content, event) VALUES (?, ?, ?, ?)`).
		int(e.Sequence).blob(row.caller[:]).blob(e.ContentHash[:]).blob(row.id[:]).run()
	if err != nil {
		return fmt.Errorf("event %s: the caller's id: %w", e.ID, err)
	}
	return nil
}

func (s *Store) AcceptTest(ctx context.Context, event telltale.Event, id telltale.WebhookID) (claim telltale.Claim, err error) {
	event.Test = true
	row, err := newEventRow(event.ProjectID, &event)
	if err != nil {
		return claim, err
	}
	err = s.write(ctx, "accepting a test", eventBytes(&event), func(tx *tx) error {
		w := tx.webhook(id)
		if w == nil {
			return notFound("webhook")
		}
		state := tx.state(w)
		if state.Deleted || state.ProjectID != event.ProjectID {
			return notFound("webhook")
		}
		event.Sequence = tx.number()
		if err := tx.insertEvent(w.project, &event, &row); err != nil {
			return err
		}
		number := tx.number()
		claim = telltale.Claim{
			ClaimRef:  telltale.ClaimRef{DeliveryID: tx.store.ids.Delivery(number), Number: 1},
			ProjectID: event.ProjectID, Event: &event, Webhook: state.Webhook,
			Trigger: telltale.TriggerTest, Test: true, Once: true, Attempt: 1,
		}
		return tx.insertDelivery(newDelivery{number: number, event: event.Sequence, code: row.code, webhook: w, sending: true, test: true})
	})
	if err != nil {
		return telltale.Claim{}, err
	}
	return claim, nil
}

const eventColumns = `e.number, e.id, e.project, e.type, e.test, e.source, e.lag, e.occurred, e.user_id, e.email, e.message_id, e.campaign_id,
	e.url, e.ip, e.machine, e.provider_message_id, e.conversion_event, e.caller_id, e.payload,
	(SELECT c.credit FROM credit c WHERE c.event = e.number)`

func (s *Store) scanEvent(q *query, project telltale.ProjectID) *telltale.Event {
	e := &telltale.Event{Sequence: q.getInt(), ID: stored.EventID(q.getBlob()), ProjectID: project}
	q.getInt() // the project's number
	e.Type, e.Test, e.Source = stored.Word(stored.EventTypes, q.getInt()), q.getBool(), q.getText()
	received := stored.NumberMilli(e.Sequence) - q.getInt()
	e.ReceivedAt, e.OccurredAt = stored.MilliTime(received), stored.MilliTime(received-q.getInt())
	e.UserID, e.Email, e.MessageID, e.CampaignID = q.getText(), q.getText(), q.getText(), q.getText()
	e.URL, e.IP = q.getText(), q.getText()
	known, machine := !q.isNull(), q.getBool()
	if known {
		e.Machine = &machine
	}
	e.ProviderMessageID, e.ConversionEvent, e.CallerID = q.getText(), q.getText(), q.getText()
	e.Payload = q.getBlob()
	e.Credit = stored.Word(stored.Credits, q.getInt())
	return e
}

func (s *Store) Event(ctx context.Context, project telltale.ProjectID, id telltale.EventID) (event *telltale.Event, err error) {
	p, u, err := s.projectEvent(project, id)
	if err != nil {
		return nil, err
	}
	err = s.read(ctx, "reading an event", func(c *conn) error {
		found, err := c.query(`SELECT ` + eventColumns + ` FROM event e WHERE e.id = ? AND e.project = ?`).blob(u[:]).int(p.number).
			one(func(q *query) { event = s.scanEvent(q, project) })
		if err == nil && !found {
			return notFound("event")
		}
		return err
	})
	return event, err
}

// projectEvent reads the id of an event of a project. NotFound, for what can be neither.
func (s *Store) projectEvent(project telltale.ProjectID, id telltale.EventID) (*project, ulid.ULID, error) {
	if err := s.down(); err != nil {
		return nil, ulid.ULID{}, err
	}
	p := s.known.project(project)
	u, ok := stored.ParseULID(stored.EventPrefix, string(id))
	if p == nil || !ok {
		return nil, u, notFound("event")
	}
	return p, u, nil
}

// eventPage gives the numbers of a page of events. An event that a page was
// counted from may be gone: its id still tells when it was.
func eventPage(c *conn, page telltale.Page) (numbers, error) {
	within := allNumbers()
	for _, end := range []struct {
		id    string
		bound *int64
	}{{page.After, &within.below}, {page.Before, &within.above}} {
		if end.id == "" {
			continue
		}
		u, ok := stored.ParseULID(stored.EventPrefix, end.id)
		if !ok {
			return within, telltale.Errorf(telltale.Invalid, "%q is not an event's id.", telltale.CutValue(end.id))
		}
		*end.bound = int64(u.Time()) << stored.NumberBits
		if _, err := c.query(`SELECT number FROM event WHERE id = ?`).blob(u[:]).one(func(q *query) { *end.bound = q.getInt() }); err != nil {
			return within, err
		}
	}
	return within, nil
}

func (s *Store) Events(ctx context.Context, project telltale.ProjectID, f telltale.EventFilter, page telltale.Page) ([]*telltale.Event, error) {
	search, err := s.searchEvents(project, f, page)
	if err != nil || search == nil {
		return nil, err
	}
	if err := s.read(ctx, "listing events", search.run); err != nil {
		return nil, err
	}
	return newestFirst(search.found, page), nil
}

// CountEvents gives up as [Store.CountDeliveries] does.
func (s *Store) CountEvents(ctx context.Context, project telltale.ProjectID, f telltale.EventFilter, limit int) (n int, more bool, err error) {
	search, err := s.searchEvents(project, f, telltale.Page{})
	if err != nil || search == nil {
		return 0, false, err
	}
	search.count = newCount(limit)
	if err := s.read(ctx, "counting events", search.run); err != nil {
		return 0, false, err
	}
	n, more = search.count.result()
	return n, more, nil
}

// eventSearch is one list of events, or a count of what it would be.
type eventSearch struct {
	store    *Store
	project  *project
	id       telltale.ProjectID
	typeCode int64 // -1 for all
	filter   telltale.EventFilter
	page     telltale.Page
	tail     tail
	count    *count // nil: the rows are listed

	found []*telltale.Event
}

// searchEvents gives nil if nothing can be found.
func (s *Store) searchEvents(project telltale.ProjectID, f telltale.EventFilter, page telltale.Page) (*eventSearch, error) {
	if err := s.down(); err != nil {
		return nil, err
	}
	search := &eventSearch{store: s, project: s.known.project(project), id: project, filter: f, page: page, tail: s.writer.digest.current()}
	var ok bool
	if search.typeCode, ok = filterType(f.Type); search.project == nil || !ok {
		return nil, nil
	}
	return search, nil
}

func (s *eventSearch) run(c *conn) error {
	within, err := eventPage(c, s.page)
	if err != nil {
		return err
	}
	lag, err := loadLag(c)
	if err != nil {
		return err
	}
	within.cut(lag.receivedWithin(s.filter.Since, s.filter.Until))
	if within.empty() {
		return nil
	}
	if s.filter.Match != "" {
		return s.ofMatches(c, within)
	}
	narrow := func(within numbers) list {
		l := list{page: s.page}
		l.inSpans(s.project.owner(), "e.number", within, s.typeCode)
		l.where("e.number > ?", within.above)
		l.where("e.number < ?", within.below)
		s.narrow(&l)
		return l
	}
	const from = `span s CROSS JOIN event e`
	if s.count != nil {
		return s.count.rows(c, within, from, narrow)
	}
	l := narrow(within)
	return s.read(c, &l, from)
}

func (s *eventSearch) ofMatches(c *conn, within numbers) error {
	goOn := func(int64) bool { return s.count == nil || s.count.more() }
	return s.tail.search(c, s.id, s.filter.Match, within, nearest(s.page), goOn, func(number int64) (bool, error) {
		narrow := func(numbers) list {
			l := list{page: telltale.Page{Limit: 1}, key: "e.number"}
			l.where("e.number = ?", number)
			s.narrow(&l)
			l.filter("? IN (e.user_id, e.email, e.message_id)", s.filter.Match)
			return l
		}
		if s.count != nil {
			err := s.count.rows(c, within, "event e", narrow)
			s.count.looked += countMatch
			return s.count.more(), err
		}
		l := narrow(within)
		err := s.read(c, &l, "event e")
		return len(s.found) < pageLimit(s.page), err
	})
}

// narrow adds what no index knows.
func (s *eventSearch) narrow(l *list) {
	l.filter("e.project = ?", s.project.number)
	if s.typeCode >= 0 {
		l.filter("e.type = ?", s.typeCode)
	}
	if !s.filter.Since.IsZero() {
		l.filter("(e.number >> 11) - e.lag >= ?", stored.CeilMilli(s.filter.Since))
	}
	if !s.filter.Until.IsZero() {
		l.filter("(e.number >> 11) - e.lag < ?", stored.CeilMilli(s.filter.Until))
	}
}

func (s *eventSearch) read(c *conn, l *list, from string) error {
	return l.each(c, `SELECT `+eventColumns+` FROM `+from, func(q *query) error {
		s.found = append(s.found, s.store.scanEvent(q, s.id))
		return nil
	})
}

// filterType gives the code of the type that a list is narrowed to, -1 for
// none. No row has a type that does not exist.
func filterType(t telltale.EventType) (int64, bool) {
	if t == "" {
		return -1, true
	}
	i, err := stored.Code(stored.EventTypes, t)
	return i, err == nil
}
