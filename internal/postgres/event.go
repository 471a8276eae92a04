package postgres

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// eventRow is what of an event is worked out before there is a transaction.
type eventRow struct {
	id     ulid.ULID
	code   int64    // of its type
	credit int64    // of its conversion
	caller [16]byte // key of its caller's id, if it has one
}

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
		hash := sha256.Sum256([]byte(string(project) + "\x00" + e.CallerID))
		row.caller = [16]byte(hash[:])
	}
	return row, nil
}

// AcceptEvents waits for a transaction that takes in what others accept at the
// same time: see [accepts].
func (s *Store) AcceptEvents(ctx context.Context, a telltale.Acceptance) (telltale.Accepted, error) {
	if err := s.down(); err != nil {
		return telltale.Accepted{}, err
	}
	waiting := &acceptance{Acceptance: a, rows: make([]eventRow, len(a.Events)), nonces: newNonces(a), done: make(chan struct{})}
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
			if n := &a.nonces[i]; !seen[n.key] {
				seen[n.key] = true
				nonces.keys, nonces.contents = append(nonces.keys, n.key[:]), append(nonces.contents, n.Hash[:])
			}
		}
	}
	heard := map[[16]byte]remembered{}
	hear := func(key, content, event []byte) {
		r := remembered{content: [sha256.Size]byte(content)}
		copy(r.event[:], event)
		heard[[16]byte(key)] = r
	}
	return s.transact(ctx, transaction{
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
				for i := range a.accepted.Claims {
					born = append(born, a.accepted.Claims[i].ClaimRef)
				}
			}
			tx.doubt(born)
			return nil
		},
	})
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
		if heard[n.key].content != n.Hash {
			faults = append(faults, nonceFault(i, n))
		}
	}
	if len(faults) > 0 {
		return noncesUsed(faults)
	}
	if err := findDuplicates(a, heard, accepted.Events); err != nil {
		return err
	}
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
		if err := tx.acceptOne(p, a, i, &accepted); err != nil {
			return err
		}
	}
	a.accepted = accepted
	return tx.followSubscriptions(a.Acceptance, a.rows, accepted.Events)
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
			faults = append(faults, telltale.Fault{
				Location: fmt.Sprintf("body[%d].telltale.id", i), Message: "Another event with this id was accepted before.",
				Expected: "a new id, or the same content", Value: telltale.CutValue(e.CallerID),
			})
		case first.event != a.rows[i].id:
			answers[i] = telltale.AcceptedEvent{ID: stored.EventID(first.event[:]), Duplicate: true}
		}
	}
	if len(faults) > 0 {
		return &telltale.Error{Code: telltale.Conflict, Message: "Ids of other events were used again; nothing was accepted.", Faults: faults}
	}
	return nil
}

// insertEvent gathers the event for the end of the transaction, under its
// sequence number.
func (tx *tx) insertEvent(p *project, e *telltale.Event, row *eventRow) error {
	tx.rows.events = append(tx.rows.events, eventInsert{p.number, e, row})
	if !e.Test {
		tx.countEvent(e.Sequence, p.number, row.code)
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
