package postgres

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/failpoint"
	"telltale.example/telltale/internal/stored"
)

// eventRow is what of an event is worked out before there is a transaction.
type eventRow struct {
	id     ulid.ULID
	code   int64    // of its type
	credit int64    // of its conversion
	caller [16]byte // key of its caller's id, if it has one
}

func callerKey(project telltale.ProjectID, id string) [16]byte { return stored.CallerKey(project, id) }

func newEventRow(project telltale.ProjectID, e *telltale.Event) (row eventRow, err error) {
	var ok bool
	if row.id, ok = stored.ParseULID(stored.EventPrefix, string(e.ID)); !ok {
		return row, fmt.Errorf("postgres: %q is not an event's id", e.ID)
	}
	if row.code, err = stored.Code(stored.EventTypes, e.Type); err != nil {
		return row, fmt.Errorf("postgres: event %s: %w", e.ID, err)
	}
	if row.credit, err = stored.Code(stored.Credits, e.Credit); err != nil {
		return row, fmt.Errorf("postgres: event %s: %w", e.ID, err)
	}
	if e.CallerID != "" {
		row.caller = callerKey(project, e.CallerID)
	}
	return row, nil
}

// AcceptEvents waits for a transaction that takes in what others accept at the
// same time: see [accepts].
func (s *Store) AcceptEvents(ctx context.Context, a telltale.Acceptance) (telltale.Accepted, error) {
	if err := s.down(); err != nil {
		return telltale.Accepted{}, err
	}
	waiting := &acceptance{Acceptance: a, rows: make([]eventRow, len(a.Events)), nonces: stored.NewNonces(a), done: make(chan struct{})}
	for i, e := range a.Events {
		var err error
		if waiting.rows[i], err = newEventRow(a.ProjectID, e); err != nil {
			return telltale.Accepted{}, err
		}
		waiting.bytes += eventBytes(e)
	}
	if err := s.accepts.wait(ctx, waiting); err != nil {
		return telltale.Accepted{}, s.explain("accepting events", err)
	}
	return waiting.accepted, nil
}

// eventBytes is roughly what an event and its first delivery take on disk.
func eventBytes(e *telltale.Event) int { return len(e.Payload) + 300 }

// acceptAll accepts, in one transaction, what several callers brought. With
// alone it is one caller's, and its refusal the transaction's; otherwise errGroup
// says that each is to be accepted alone.
func (s *Store) acceptAll(ctx context.Context, group []*acceptance, alone bool) error {
	known := s.known.Load()
	var callers, nonces memory
	seen := map[[16]byte]bool{}
	numbers := 0
	for _, a := range group {
		p := known.project(a.ProjectID)
		for i, e := range a.Events {
			numbers++
			if p != nil {
				numbers += len(p.wanting(a.rows[i].code))
			}
			if key := a.rows[i].caller; e.CallerID != "" && !seen[key] {
				seen[key] = true
				callers.keys, callers.contents, callers.events = append(callers.keys, key[:]), append(callers.contents, e.ContentHash[:]), append(callers.events, a.rows[i].id[:])
			}
		}
		for i := range a.nonces {
			if n := &a.nonces[i]; !seen[n.Key] {
				seen[n.Key] = true
				nonces.keys, nonces.contents = append(nonces.keys, n.Key[:]), append(nonces.contents, n.Hash[:])
			}
		}
	}
	heard := map[[16]byte]remembered{}
	hear := func(key, content, event []byte) {
		r := remembered{content: [sha256.Size]byte(content)}
		copy(r.event[:], event)
		heard[[16]byte(key)] = r
	}
	err := s.transact(ctx, transaction{
		name: "accepting events", numbers: numbers,
		first: func(b *pgx.Batch) {
			clear(heard)
			callers.keep(b, "caller", hear)
			nonces.keep(b, "nonce", hear)
		},
		do: func(tx *tx) error {
			var born []telltale.ClaimRef
			for _, a := range group {
				err := tx.accept(a, heard)
				if err != nil && !alone {
					return errGroup
				}
				if err != nil {
					return err
				}
				born = append(born, claimRefs(a.accepted.Claims)...)
			}
			tx.doubt(born)
			if err := tx.followSubscriptions(group); err != nil && !alone && telltale.CodeOf(err) == telltale.Invalid {
				return errGroup
			} else if err != nil {
				return err
			}
			failpoint.Here("accept-uncommitted")
			return nil
		},
	})
	switch {
	case isUnique(err) && alone:
		return telltale.Errorf(telltale.Conflict, "An event was accepted before.")
	case isUnique(err):
		return errGroup
	}
	return err
}

// remembered is what a key was used for first.
type remembered struct {
	content [sha256.Size]byte
	event   ulid.ULID
}

func (tx *tx) accept(a *acceptance, heard map[[16]byte]remembered) error {
	accepted := telltale.Accepted{Events: make([]telltale.AcceptedEvent, len(a.Events))}
	a.accepted = accepted
	p := tx.known.project(a.ProjectID)
	if p == nil {
		return notFound("project")
	}
	var faults []telltale.Fault
	for i, n := range a.nonces {
		if heard[n.Key].content != n.Hash {
			faults = append(faults, stored.NonceUsed(i, n))
		}
	}
	if err := stored.NoncesUsed(faults); err != nil {
		return err
	}
	if err := findDuplicates(a, heard, accepted.Events); err != nil {
		return err
	}
	err := tx.acceptNew(p, a, &accepted)
	a.accepted = accepted
	return err
}

// acceptNew accepts what is not answered as a duplicate.
func (tx *tx) acceptNew(p *project, a *acceptance, accepted *telltale.Accepted) error {
	if a.Room != nil {
		tx.onUndo(func() {
			for _, c := range accepted.Claims {
				a.Room.Release(c.Webhook)
			}
		})
	}
	wanted := 0
	for i := range a.rows {
		if !accepted.Events[i].Duplicate {
			wanted += 1 + len(p.wanting(a.rows[i].code))
		}
	}
	if err := tx.need(wanted); err != nil {
		return err
	}
	for i := range a.rows {
		if accepted.Events[i].Duplicate {
			continue
		}
		accepted.Events[i].ID = a.Events[i].ID
		if err := tx.acceptOne(p, a, i, accepted); err != nil {
			return err
		}
	}
	return nil
}

func claimRefs(claims []telltale.Claim) []telltale.ClaimRef {
	refs := make([]telltale.ClaimRef, len(claims))
	for i := range claims {
		refs[i] = claims[i].ClaimRef
	}
	return refs
}

func (tx *tx) acceptOne(p *project, a *acceptance, i int, accepted *telltale.Accepted) (err error) {
	e, row := a.Events[i], &a.rows[i]
	if e.Sequence, err = tx.number(); err != nil {
		return err
	}
	if err := tx.insertEvent(p, e, row); err != nil {
		return err
	}
	machine := e.ByMachine()
	for _, w := range p.wanting(row.code) {
		snapshot := w.now()
		if machine && !snapshot.Wants(e.Type, machine) {
			continue
		}
		number, err := tx.number()
		if err != nil {
			return err
		}
		sending := a.Room != nil && a.Room.Reserve(snapshot)
		if sending {
			accepted.Claims = append(accepted.Claims, telltale.Claim{
				ClaimRef:  telltale.ClaimRef{DeliveryID: tx.store.ids.Delivery(number), Number: 1},
				ProjectID: a.ProjectID, Event: e, Webhook: snapshot, Trigger: telltale.TriggerAutomatic, Attempt: 1,
			})
		} else if !slices.Contains(accepted.Waiting, snapshot) {
			accepted.Waiting = append(accepted.Waiting, snapshot)
		}
		tx.insertDelivery(newDelivery{number: number, event: e.Sequence, code: row.code, webhook: w, sending: sending})
	}
	return nil
}

// findDuplicates answers the events whose callers' ids were used before, in the
// store or earlier in the transaction.
func findDuplicates(a *acceptance, heard map[[16]byte]remembered, answers []telltale.AcceptedEvent) error {
	var faults []telltale.Fault
	for i, e := range a.Events {
		if e.CallerID == "" {
			continue
		}
		switch first := heard[a.rows[i].caller]; {
		case first.content != e.ContentHash:
			faults = append(faults, stored.CallerIDUsed(i, e.CallerID))
		case first.event != a.rows[i].id:
			answers[i] = telltale.AcceptedEvent{ID: stored.EventID(first.event[:]), Duplicate: true}
		}
	}
	return stored.CallerIDsUsed(faults)
}

// insertEvent gathers the event for the end of the transaction, under its
// sequence number.
func (tx *tx) insertEvent(p *project, e *telltale.Event, row *eventRow) error {
	tx.rows.events = append(tx.rows.events, eventInsert{p.number, e, row})
	if !e.Test {
		tx.rows.happened.Event(e.Sequence, p.number, row.code)
	}
	return tx.noteOwnGoal(p, e)
}

func (s *Store) AcceptTest(ctx context.Context, event telltale.Event, id telltale.WebhookID) (claim telltale.Claim, err error) {
	event.Test = true
	row, err := newEventRow(event.ProjectID, &event)
	if err != nil {
		return claim, err
	}
	err = s.transact(ctx, transaction{name: "accepting a test", numbers: 2, do: func(tx *tx) error {
		w := tx.known.webhook(id)
		if w == nil || w.deletedAt != 0 || w.now().ProjectID != event.ProjectID {
			return notFound("webhook")
		}
		made := event
		if made.Sequence, err = tx.number(); err != nil {
			return err
		}
		if err := tx.insertEvent(tx.known.byNumber[w.project], &made, &row); err != nil {
			return err
		}
		number, err := tx.number()
		if err != nil {
			return err
		}
		claim = telltale.Claim{
			ClaimRef:  telltale.ClaimRef{DeliveryID: s.ids.Delivery(number), Number: 1},
			ProjectID: event.ProjectID, Event: &made, Webhook: w.now(),
			Trigger: telltale.TriggerTest, Test: true, Once: true, Attempt: 1,
		}
		tx.insertDelivery(newDelivery{number: number, event: made.Sequence, code: row.code, webhook: w, sending: true, test: true})
		tx.doubt([]telltale.ClaimRef{claim.ClaimRef})
		return nil
	}})
	if err != nil {
		return telltale.Claim{}, err
	}
	return claim, nil
}

func (s *Store) Event(ctx context.Context, project telltale.ProjectID, id telltale.EventID) (event *telltale.Event, err error) {
	u, ok := stored.ParseULID(stored.EventPrefix, string(id))
	if !ok {
		return nil, orNotFound(s.down(), "event")
	}
	err = s.read(ctx, "reading an event", func(ctx context.Context, q querier) error {
		var row scannedEvent
		err := q.QueryRow(ctx, `SELECT `+eventColumns+` FROM event e JOIN project p ON p.number = e.project WHERE e.id = $1 AND p.id = $2`, u[:], string(project)).Scan(row.into()...)
		if noRows(err) {
			return notFound("event")
		}
		if err == nil {
			event = row.event(project)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return event, nil
}

const eventColumns = `e.number, e.id, e.type, e.test, e.source, e.received_at, e.occurred_at, coalesce(e.user_id, ''), coalesce(e.email, ''), coalesce(e.message_id, ''), coalesce(e.campaign_id, ''),
	coalesce(e.url, ''), coalesce(e.ip, ''), e.machine, coalesce(e.provider_message_id, ''), coalesce(e.conversion_event, ''), coalesce(e.caller_id, ''), coalesce(e.credit, 0), e.payload`

// scannedEvent is a row with those columns.
type scannedEvent struct {
	telltale.Event
	id                                   []byte
	code, receivedAt, occurredAt, credit int64
	machine                              *bool
	payload                              []byte
}

func (r *scannedEvent) into() []any {
	return []any{&r.Sequence, &r.id, &r.code, &r.Test, &r.Source, &r.receivedAt, &r.occurredAt, &r.UserID, &r.Email, &r.MessageID, &r.CampaignID,
		&r.URL, &r.IP, &r.machine, &r.ProviderMessageID, &r.ConversionEvent, &r.CallerID, &r.credit, &r.payload}
}

// event makes an event of the row, which may be scanned into again.
func (r *scannedEvent) event(project telltale.ProjectID) *telltale.Event {
	e := r.Event
	e.ID, e.ProjectID, e.Type = stored.EventID(r.id), project, stored.Word(stored.EventTypes, r.code)
	e.ReceivedAt, e.OccurredAt = stored.MilliTime(r.receivedAt), stored.MilliTime(r.occurredAt)
	e.Credit, e.Payload = stored.Word(stored.Credits, r.credit), r.payload
	if r.machine != nil {
		e.Machine = new(*r.machine)
	}
	r.payload = nil
	return &e
}

func (s *Store) Events(ctx context.Context, project telltale.ProjectID, f telltale.EventFilter, page telltale.Page) ([]*telltale.Event, error) {
	search, err := s.searchEvents(ctx, project, f, page)
	if err != nil || search == nil {
		return nil, err
	}
	var found []*telltale.Event
	err = s.read(ctx, "listing events", func(ctx context.Context, q querier) error {
		if err := search.bound(ctx, q); err != nil {
			return err
		}
		return search.each(ctx, q, pageLimit(page), func(e *telltale.Event) { found = append(found, e) })
	})
	if err != nil {
		return nil, err
	}
	return newestFirst(found, page), nil
}

// eventSearch is one list of events, or a count of what it would be.
type eventSearch struct {
	project  *project
	typeCode int64 // -1 for all
	filter   telltale.EventFilter
	page     telltale.Page
	within   numbers
	near     numbers // that events received in the time have, as a rule
	far      []int64 // the others' numbers
}

// searchEvents gives nil if nothing can be found.
func (s *Store) searchEvents(ctx context.Context, project telltale.ProjectID, f telltale.EventFilter, page telltale.Page) (*eventSearch, error) {
	known, err := s.configured(ctx)
	if err != nil {
		return nil, err
	}
	search := &eventSearch{project: known.project(project), filter: f, page: page, within: allNumbers(), near: allNumbers()}
	var ok bool
	if search.typeCode, ok = filterType(f.Type); search.project == nil || !ok {
		return nil, nil
	}
	return search, nil
}

// bound finds out which numbers the page has, and which the time of receipt. An
// event that is gone leaves the time that its id tells.
func (s *eventSearch) bound(ctx context.Context, q querier) error {
	for _, end := range []struct {
		id    string
		bound *int64
	}{{s.page.After, &s.within.below}, {s.page.Before, &s.within.above}} {
		if end.id == "" {
			continue
		}
		u, ok := stored.ParseULID(stored.EventPrefix, end.id)
		if !ok {
			return telltale.Errorf(telltale.Invalid, "%q is not an event's id.", telltale.CutValue(end.id))
		}
		*end.bound = int64(u.Time()) << stored.NumberBits
		if err := q.QueryRow(ctx, `SELECT number FROM event WHERE id = $1`, u[:]).Scan(end.bound); err != nil && !noRows(err) {
			return err
		}
	}
	if s.filter.Match != "" {
		return nil
	}
	if !s.filter.Since.IsZero() {
		s.near.above = (stored.CeilMilli(s.filter.Since)-mostLag)<<stored.NumberBits - 1
	}
	if !s.filter.Until.IsZero() {
		s.near.below = (stored.CeilMilli(s.filter.Until) + mostLag) << stored.NumberBits
	}
	if s.near == allNumbers() {
		return nil
	}
	far := branch{table: "event e"}
	far.where("e.project = ?", s.project.number)
	far.where(displaced)
	far.where("(e.number <= ? OR e.number >= ?)", s.near.above, s.near.below)
	sql, args := far.and(s.received()...).all("e.number")
	var number int64
	return each(ctx, q, sql, args, []any{&number}, func() error {
		s.far = append(s.far, number)
		return nil
	})
}

// mostLag is how far the time of receipt is from the time of storing, as a rule,
// in ms. Events with more are in an index of their own, which says it to the
// letter: some were kept elsewhere before they were accepted.
const (
	mostLag   = 3_600_000
	displaced = "abs((e.number >> 11) - e.received_at) > 3600000"
)

// branches are the ways to the events, which have none in common.
func (s *eventSearch) branches() []branch {
	if s.filter.Match != "" {
		return matching(s.project, s.filter.Match)
	}
	usual := branch{table: "event e"}
	usual.where("e.project = ?", s.project.number)
	usual.within(s.near)
	if s.far == nil {
		return []branch{usual}
	}
	far := branch{table: "event e"}
	far.where("e.number = ANY(?)", s.far)
	return []branch{usual, far}
}

// matching are the ways to the events of a user, an address or a message.
func matching(p *project, match string) []branch {
	branches := make([]branch, 3)
	columns := [...]string{"e.user_id", "e.email", "e.message_id"}
	for i := range branches {
		b := &branches[i]
		b.table = "event e"
		b.where("e.project = ?", p.number)
		for _, before := range columns[:i] {
			b.where(before+" IS DISTINCT FROM ?", clean(match))
		}
		b.where(columns[i]+" = ?", clean(match))
	}
	return branches
}

// narrowed gives the branches with all that the filter says, and those numbers.
func (s *eventSearch) narrowed(within numbers) []branch {
	branches := s.branches()
	for i := range branches {
		b := &branches[i]
		b.within(within)
		if s.typeCode >= 0 {
			b.where("e.type = ?", s.typeCode)
		}
		*b = b.and(s.received()...)
	}
	return branches
}

// received says when the events were received.
func (s *eventSearch) received() (list []clause) {
	if !s.filter.Since.IsZero() {
		list = append(list, clause{"e.received_at >= ?", []any{stored.CeilMilli(s.filter.Since)}})
	}
	if !s.filter.Until.IsZero() {
		list = append(list, clause{"e.received_at < ?", []any{stored.CeilMilli(s.filter.Until)}})
	}
	return list
}

func (s *eventSearch) each(ctx context.Context, q querier, limit int, visit func(*telltale.Event)) error {
	var row scannedEvent
	sql, args := unite(s.narrowed(s.within), "e.*", order(s.page), limit)
	return each(ctx, q, `SELECT `+eventColumns+` FROM (`+sql+`) e ORDER BY e.number `+order(s.page), args, row.into(), func() error {
		visit(row.event(s.project.ID))
		return nil
	})
}

// CountEvents gives up as [Store.CountDeliveries] does.
func (s *Store) CountEvents(ctx context.Context, project telltale.ProjectID, f telltale.EventFilter, limit int) (n int, more bool, err error) {
	search, err := s.searchEvents(ctx, project, f, telltale.Page{})
	if err != nil || search == nil {
		return 0, false, err
	}
	t := newCount(limit)
	err = s.read(ctx, "counting events", func(ctx context.Context, q querier) error {
		if err := search.bound(ctx, q); err != nil {
			return err
		}
		return search.count(ctx, q, t)
	})
	if err != nil {
		return 0, false, err
	}
	n, more = t.result()
	return n, more, nil
}

// count goes through the numbers in stretches, if there are events to be passed
// over.
func (s *eventSearch) count(ctx context.Context, q querier, t *count) error {
	if s.typeCode < 0 && s.filter.Since.IsZero() && s.filter.Until.IsZero() {
		return t.rows(ctx, q, s.narrowed(s.within))
	}
	until := time.Now().Add(countTime)
	look := func(ctx context.Context, part numbers) error { return t.rows(ctx, q, s.narrowed(part)) }
	more := func() bool { return t.n <= t.limit && time.Now().Before(until) }
	rest, err := (&stretches{s.branches(), s.within, s.page, leastCount, until, look, more}).run(ctx, q)
	t.gaveUp = !rest.empty()
	return err
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
