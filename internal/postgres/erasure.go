package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// eraseEvents is how many events one step of an erasure removes, and in how many
// that it has to leave it cancels what waits.
const eraseEvents = 200

func (s *Store) Erase(ctx context.Context, project telltale.ProjectID, user telltale.UserRef) (erasure telltale.Erasure, err error) {
	if user.ID == "" && user.Email == "" {
		return erasure, telltale.Errorf(telltale.Invalid, "It is not said whom to erase: give the id or the email.")
	}
	actor := telltale.ActorOf(ctx)
	err = s.write(ctx, "erasing a user", func(tx *tx) error {
		p := tx.known.project(project)
		if p == nil {
			return notFound("project")
		}
		var held heldUsers
		held.wanted.add(p.number, refID(user), user.Email)
		if err := tx.hold(&held); err != nil {
			return err
		}
		found, err := tx.findHeld(&held, p.number, refID(user), user.Email)
		if err != nil {
			return err
		}
		known := &telltale.Profile{UserID: user.UserID(), Email: user.Email}
		if found != nil {
			known = found.profile()
			held.remove(found, nil)
			if err := tx.storeUsers(&held); err != nil {
				return err
			}
		}
		last, err := tx.number()
		if err != nil {
			return err
		}
		erasure = telltale.Erasure{ID: telltale.NewErasureID(), ProjectID: project, Known: known.Known(), CreatedBy: actor.Name, CreatedAt: tx.presentTime()}
		text, err := json.Marshal(erasure.Known)
		if err != nil {
			return err
		}
		_, err = tx.exec(`INSERT INTO erasure (id, project, known, last, events, created_by, created_at) VALUES ($1, $2, $3, $4, 0, $5, $6)`,
			string(erasure.ID), p.number, string(text), last, clean(erasure.CreatedBy), tx.milli)
		if err != nil {
			return fmt.Errorf("erasure %s: %w", erasure.ID, err)
		}
		return tx.audit(actor, telltale.AuditEntry{ProjectID: project, Action: telltale.AuditUserErased, Target: string(erasure.ID), Name: telltale.ErasedName(known)})
	})
	if err != nil {
		return telltale.Erasure{}, err
	}
	return erasure, nil
}

// erasureRow is an erasure with what only the engine knows of it.
type erasureRow struct {
	telltale.Erasure
	project *project
	last    int64
}

// listErasures reads the erasures that match, as the tail of the statement says.
func (s *Store) listErasures(ctx context.Context, q querier, known *registry, tail string, args ...any) (rows []erasureRow, err error) {
	var number, last, events, createdAt, completedAt int64
	var id, what, by string
	err = each(ctx, q, `SELECT er.id, er.project, coalesce(er.known, ''), er.last, er.events, er.created_by, er.created_at, coalesce(er.completed_at, 0) FROM erasure er `+tail, args,
		[]any{&id, &number, &what, &last, &events, &by, &createdAt, &completedAt}, func() error {
			r := erasureRow{project: known.byNumber[number], last: last, Erasure: telltale.Erasure{
				ID: telltale.ErasureID(id), Events: int(events), CreatedBy: by, CreatedAt: stored.MilliTime(createdAt), CompletedAt: stored.MilliTime(completedAt),
			}}
			if r.project == nil {
				return fmt.Errorf("erasure %s: there is no project %d", id, number)
			}
			r.ProjectID = r.project.ID
			if what != "" {
				if err := json.Unmarshal([]byte(what), &r.Known); err != nil {
					return fmt.Errorf("erasure %s: %w", id, err)
				}
			}
			rows = append(rows, r)
			return nil
		})
	return rows, err
}

// erasureRow reads an erasure; NotFound.
func (s *Store) erasureRow(ctx context.Context, q querier, known *registry, id telltale.ErasureID, lock string) (erasureRow, error) {
	rows, err := s.listErasures(ctx, q, known, `WHERE er.id = $1 `+lock, clean(string(id)))
	switch {
	case err != nil:
		return erasureRow{}, err
	case len(rows) == 0:
		return erasureRow{}, notFound("erasure")
	}
	return rows[0], nil
}

func (s *Store) Erasure(ctx context.Context, project telltale.ProjectID, id telltale.ErasureID) (telltale.Erasure, error) {
	known, err := s.configured(ctx)
	if err != nil {
		return telltale.Erasure{}, err
	}
	var r erasureRow
	err = s.read(ctx, "reading an erasure", func(ctx context.Context, q querier) (err error) {
		if r, err = s.erasureRow(ctx, q, known, id, ""); err == nil && r.ProjectID != project {
			err = notFound("erasure")
		}
		return err
	})
	if err != nil {
		return telltale.Erasure{}, err
	}
	return r.Erasure, nil
}

func (s *Store) Erasures(ctx context.Context, project telltale.ProjectID, page telltale.Page) ([]telltale.Erasure, error) {
	known, err := s.configured(ctx)
	if err != nil {
		return nil, err
	}
	p := known.project(project)
	if p == nil {
		return nil, nil
	}
	var c conditions
	c.where("er.project = ?", p.number)
	order := c.byID("er.id", page)
	erasures, err := s.readErasures(ctx, "listing erasures", known, c.String()+order, c.args...)
	return newestFirst(erasures, page), err
}

func (s *Store) OpenErasures(ctx context.Context) ([]telltale.Erasure, error) {
	known, err := s.configured(ctx)
	if err != nil {
		return nil, err
	}
	return s.readErasures(ctx, "looking for erasures that are not complete", known, `WHERE er.completed_at IS NULL ORDER BY er.number`)
}

func (s *Store) readErasures(ctx context.Context, operation string, known *registry, tail string, args ...any) (erasures []telltale.Erasure, err error) {
	err = s.read(ctx, operation, func(ctx context.Context, q querier) error {
		rows, err := s.listErasures(ctx, q, known, tail, args...)
		for _, r := range rows {
			erasures = append(erasures, r.Erasure)
		}
		return err
	})
	return erasures, err
}

// AdvanceErasure removes some of the person's events, and once there is none that
// can go, cancels what waits of those that have a delivery under way.
func (s *Store) AdvanceErasure(ctx context.Context, id telltale.ErasureID) (telltale.Erasure, error) {
	var r erasureRow
	err := s.write(ctx, "erasing", func(tx *tx) (err error) {
		if r, err = s.erasureRow(tx.ctx, tx.conn, tx.known, id, "FOR UPDATE"); err != nil || !r.CompletedAt.IsZero() {
			return err
		}
		return tx.advanceErasure(&r)
	})
	if err != nil {
		return telltale.Erasure{}, err
	}
	return r.Erasure, nil
}

func (tx *tx) advanceErasure(r *erasureRow) error {
	found, err := tx.eventsOf(r, false)
	if err != nil {
		return fmt.Errorf("looking for events: %w", err)
	}
	removed, err := tx.eraseEvents(r, found)
	if err != nil {
		return err
	}
	left := len(found) > 0
	if len(found) < eraseEvents {
		busy, err := tx.eventsOf(r, true)
		if err != nil {
			return fmt.Errorf("looking for events with a delivery under way: %w", err)
		}
		if err := tx.cancelWaiting(busy); err != nil {
			return err
		}
		left = len(busy) > 0 || removed < len(found)
	}
	more, err := tx.purgeHeirless()
	if err != nil {
		return err
	}
	r.Events += removed
	if !left && !more {
		r.CompletedAt, r.Known = tx.presentTime(), nil
		_, err = tx.exec(`UPDATE erasure SET events = $1, known = NULL, completed_at = $2 WHERE id = $3`, r.Events, tx.milli, string(r.ID))
	} else if removed > 0 {
		_, err = tx.exec(`UPDATE erasure SET events = $1 WHERE id = $2`, r.Events, string(r.ID))
	}
	return err
}

// eventsOf gives the next events of the person: those that have a delivery under
// way, or those that have none.
func (tx *tx) eventsOf(r *erasureRow, busy bool) (events []int64, err error) {
	known := make([]string, len(r.Known))
	for i, text := range r.Known {
		known[i] = clean(text)
	}
	under := `(SELECT d.number FROM delivery d WHERE d.event = e.number AND d.state = 3 LIMIT 1) IS NULL`
	if busy {
		under = `(SELECT d.number FROM delivery d WHERE d.event = e.number AND d.state = 3 LIMIT 1) IS NOT NULL`
	}
	var number int64
	err = tx.each([]any{&number}, func() error { events = append(events, number); return nil }, `SELECT DISTINCT f.number FROM unnest($1::text[]) AS known(text) CROSS JOIN LATERAL (
			(SELECT e.number FROM event e WHERE e.user_id = known.text AND e.project = $2 AND e.number < $3 AND `+under+` ORDER BY e.number LIMIT $4)
			UNION ALL (SELECT e.number FROM event e WHERE e.email = known.text AND e.project = $2 AND e.number < $3 AND `+under+` ORDER BY e.number LIMIT $4)) f
		ORDER BY f.number LIMIT $4`, known, r.project.number, r.last, eraseEvents)
	return events, err
}

// eraseEvents removes those of the events of which nothing is under way, with all
// that belongs to them. What waits is not made.
func (tx *tx) eraseEvents(r *erasureRow, events []int64) (removed int, err error) {
	held, err := tx.holdForRemoval(events)
	if err != nil || len(held) == 0 {
		return 0, err
	}
	open, err := tx.lockOpen(`event = ANY($1)`, held)
	if err != nil {
		return 0, err
	}
	busy := map[int64]bool{} // since they were found
	for _, d := range open {
		busy[d.event] = busy[d.event] || d.state == stored.StateSending
	}
	held = slices.DeleteFunc(held, func(event int64) bool { return busy[event] })
	var waiting, attempts []int64
	for _, d := range open {
		if busy[d.event] {
			continue
		}
		if waiting = append(waiting, d.number); d.lastAttempt != d.number {
			attempts = append(attempts, d.lastAttempt)
		}
		if d.replay != 0 {
			tx.countReplayed(d.replay, d.state, stored.StateCancelled)
		}
	}
	if len(waiting) > 0 {
		if _, err := tx.exec(`DELETE FROM delivery WHERE number = ANY($1)`, waiting); err != nil {
			return 0, fmt.Errorf("what waits: %w", err)
		}
	}
	if err := tx.removeAttempts(attempts); err != nil {
		return 0, err
	}
	if err := tx.forgetCallers(r.ProjectID, held); err != nil {
		return 0, fmt.Errorf("callers' ids: %w", err)
	}
	return len(held), tx.removeEvents(held)
}

// lockOpen reads deliveries that are not finished, which nobody else changes
// before the transaction ends.
func (tx *tx) lockOpen(which string, arg any) (open []*deliveryRow, err error) {
	var d deliveryRow
	err = tx.each(d.into(), func() error { open = append(open, d.scanned()); return nil }, `SELECT `+openColumns+` FROM delivery WHERE `+which+` ORDER BY number FOR UPDATE`, arg)
	return open, err
}

// cancelWaiting cancels what waits of the events.
func (tx *tx) cancelWaiting(events []int64) error {
	if len(events) == 0 {
		return nil
	}
	waiting, err := tx.lockOpen(`event = ANY($1) AND state = 2`, events)
	if err != nil {
		return err
	}
	for _, d := range waiting {
		d.state, d.at, d.manual = stored.StateCancelled, tx.milli, manualNot
		tx.move(d)
	}
	return nil
}

// forgetCallers forgets what callers named the events.
func (tx *tx) forgetCallers(project telltale.ProjectID, events []int64) error {
	if len(events) == 0 {
		return nil
	}
	var id []byte
	var caller string
	var keys, ids [][]byte
	err := tx.each([]any{&id, &caller}, func() error {
		key := callerKey(project, caller)
		keys, ids = append(keys, key[:]), append(ids, slices.Clone(id))
		return nil
	}, `SELECT id, caller_id FROM event WHERE number = ANY($1) AND number BETWEEN $2 AND $3 AND caller_id IS NOT NULL`, events, slices.Min(events), slices.Max(events))
	if err != nil || len(ids) == 0 {
		return err
	}
	// Accepts lock them in the same order.
	_, err = tx.exec(`DELETE FROM caller WHERE key = ANY(ARRAY(SELECT key FROM caller WHERE key = ANY($1) AND event = ANY($2) ORDER BY key FOR UPDATE))`, keys, ids)
	return err
}
