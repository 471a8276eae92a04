package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// Bounds of one step of an erasure, as of a purge: whoever accepts events waits
// some 10 ms for it.
const (
	eraseEvents = 100
	eraseLook   = time.Second // for events
	// eraseLeft is how many events are left for later; an erasure that has more
	// of them waits for their deliveries.
	eraseLeft = 1000
)

func (s *Store) Erase(ctx context.Context, project telltale.ProjectID, user telltale.UserRef) (erasure telltale.Erasure, err error) {
	if user.ID == "" && user.Email == "" {
		return erasure, telltale.Errorf(telltale.Invalid, "It is not said whom to erase: give the id or the email.")
	}
	actor := telltale.ActorOf(ctx)
	err = s.write(ctx, "erasing a user", 1000, func(tx *tx) error {
		p := tx.project(project)
		if p == nil {
			return notFound("project")
		}
		found, err := s.findProfile(tx.conn, p, project, refID(user), user.Email)
		if err != nil {
			return err
		}
		known := &telltale.Profile{UserID: user.UserID(), Email: user.Email}
		if found != nil {
			known = found.Profile
		}
		e := erasureRow{number: tx.number(), Erasure: telltale.Erasure{
			ID: telltale.NewErasureID(), ProjectID: project, Known: known.Known(), CreatedBy: actor.Name, CreatedAt: tx.presentTime(),
		}}
		err = tx.change(`INSERT INTO erasure (number, id, project, known, last, which, place, events, created_by, created_at) VALUES (?1, ?2, ?3, ?4, ?1, 0, 0, 0, ?5, ?6)`).
			int(e.number).text(string(e.ID)).int(p.number).text(stored.EncodeTexts(e.Known)).text(e.CreatedBy).int(tx.milli).run()
		if err != nil {
			return fmt.Errorf("erasure %s: %w", e.ID, err)
		}
		if found != nil {
			if err := tx.removeProfile(p, found, 0); err != nil {
				return err
			}
		}
		erasure = e.Erasure
		return tx.audit(actor, telltale.AuditEntry{ProjectID: project, Action: telltale.AuditUserErased, Target: string(e.ID), Name: telltale.ErasedName(known)})
	})
	return erasure, err
}

// erasureRow is an erasure with what only the engine knows of it.
type erasureRow struct {
	telltale.Erasure
	number int64
	last   int64
	place  erasurePlace
	left   []int64 // events that have a delivery under way
}

// erasurePlace is where an erasure stands: which of what is known is looked for,
// and the event up to which it was.
type erasurePlace struct {
	which  int
	number int64
}

const erasureColumns = `er.number, er.id, er.project, er.known, er.last, er.which, er.place, er.left_over, er.events, er.created_by, er.created_at, coalesce(er.completed_at, 0)`

func (s *Store) scanErasure(q *query) (erasureRow, error) {
	r := erasureRow{number: q.getInt()}
	r.ID = telltale.ErasureID(q.getText())
	r.ProjectID = s.known.projectByNumber(q.getInt()).now.Load().ID
	if known := q.getText(); known != "" {
		if err := json.Unmarshal([]byte(known), &r.Known); err != nil {
			return r, fmt.Errorf("erasure %s: %w", r.ID, err)
		}
	}
	r.last, r.place, r.left = q.getInt(), erasurePlace{int(q.getInt()), q.getInt()}, stored.DecodeNumbers(q.getBlob())
	r.Events, r.CreatedBy, r.CreatedAt, r.CompletedAt = int(q.getInt()), q.getText(), stored.MilliTime(q.getInt()), stored.MilliTime(q.getInt())
	return r, nil
}

// erasureRow reads an erasure; NotFound.
func (s *Store) erasureRow(c *conn, id telltale.ErasureID) (r erasureRow, err error) {
	var broken error
	found, err := c.query(`SELECT ` + erasureColumns + ` FROM erasure er WHERE er.id = ?`).text(string(id)).one(func(q *query) { r, broken = s.scanErasure(q) })
	switch {
	case err != nil:
		return r, err
	case broken != nil:
		return r, broken
	case !found:
		return r, notFound("erasure")
	}
	return r, nil
}

func (s *Store) Erasure(ctx context.Context, project telltale.ProjectID, id telltale.ErasureID) (telltale.Erasure, error) {
	var r erasureRow
	err := s.read(ctx, "reading an erasure", func(c *conn) (err error) {
		if r, err = s.erasureRow(c, id); err == nil && r.ProjectID != project {
			err = notFound("erasure")
		}
		return err
	})
	if err != nil {
		return telltale.Erasure{}, err
	}
	return r.Erasure, nil
}

func (s *Store) Erasures(ctx context.Context, project telltale.ProjectID, page telltale.Page) (erasures []telltale.Erasure, err error) {
	if err := s.down(); err != nil {
		return nil, err
	}
	p := s.known.project(project)
	if p == nil {
		return nil, nil
	}
	err = s.read(ctx, "listing erasures", func(c *conn) error {
		l := list{page: page, key: "er.id"}
		l.where("er.project = ?", p.number)
		l.pageByText()
		return l.each(c, `SELECT `+erasureColumns+` FROM erasure er`, s.collectErasures(&erasures))
	})
	return newestFirst(erasures, page), err
}

func (s *Store) OpenErasures(ctx context.Context) (erasures []telltale.Erasure, err error) {
	err = s.read(ctx, "looking for erasures that are not complete", func(c *conn) error {
		return c.query(`SELECT ` + erasureColumns + ` FROM erasure er WHERE er.completed_at IS NULL ORDER BY er.number`).each(s.collectErasures(&erasures))
	})
	return erasures, err
}

func (s *Store) collectErasures(into *[]telltale.Erasure) func(*query) error {
	return func(q *query) error {
		r, err := s.scanErasure(q)
		*into = append(*into, r.Erasure)
		return err
	}
}

// AdvanceErasure looks for events while others write, and removes those that it
// found unless somebody else went on with the erasure meanwhile.
func (s *Store) AdvanceErasure(ctx context.Context, id telltale.ErasureID) (telltale.Erasure, error) {
	var r erasureRow
	var found []int64
	var reached erasurePlace
	t := s.writer.digest.current()
	err := s.read(ctx, "looking for what is to be erased", func(c *conn) (err error) {
		if r, err = s.erasureRow(c, id); err == nil && r.CompletedAt.IsZero() {
			found, reached, err = s.lookForErased(c, t, &r)
		}
		return err
	})
	if err != nil || !r.CompletedAt.IsZero() {
		return r.Erasure, err
	}
	from := r.place
	err = s.write(ctx, "erasing", 1<<20, func(tx *tx) error {
		if r, err = s.erasureRow(tx.conn, id); err != nil || !r.CompletedAt.IsZero() || r.place != from {
			return err
		}
		return tx.advanceErasure(&r, found, reached)
	})
	if err != nil {
		return telltale.Erasure{}, err
	}
	return r.Erasure, nil
}

// lookForErased gives the next events of the person, in order, and the place that
// it has come to.
func (s *Store) lookForErased(c *conn, t tail, r *erasureRow) (found []int64, reached erasurePlace, err error) {
	reached = r.place
	if reached.which >= len(r.Known) || len(r.left) >= eraseLeft {
		return nil, reached, nil
	}
	value, p := r.Known[reached.which], s.known.project(r.ProjectID)
	began, all := time.Now(), true
	err = t.search(c, r.ProjectID, value, numbers{above: reached.number, below: r.last}, true, func(int64) bool { return true }, func(number int64) (bool, error) {
		is, err := c.query(`SELECT 1 FROM event WHERE number = ? AND project = ? AND ? IN (user_id, email)`).int(number).int(p.number).text(value).one(func(*query) {})
		if is {
			found = append(found, number)
		}
		reached.number = number
		all = len(found) < eraseEvents && time.Since(began) < eraseLook
		return all, err
	})
	if all {
		reached = erasurePlace{which: reached.which + 1}
	}
	return found, reached, err
}

// advanceErasure removes the events that were left for later and those that were
// found now, and notes the place that was reached.
func (tx *tx) advanceErasure(r *erasureRow, found []int64, reached erasurePlace) error {
	if len(r.left)+len(found) > 0 {
		tx.storeCounts() // what goes could not be counted again
	}
	before, left := r.Events, []int64(nil)
	rows := 0
	for i, event := range slices.Concat(r.left, found) {
		if rows >= purgeRows && i < len(r.left) {
			left = append(left, r.left[i:]...)
			reached = r.place
			break
		}
		if rows >= purgeRows {
			reached = erasurePlace{r.place.which, event - 1}
			break
		}
		n, gone, err := tx.eraseEvent(event)
		if err != nil {
			return fmt.Errorf("event %d: %w", event, err)
		}
		rows += n
		switch {
		case gone:
			r.Events++
		case n > 0 && !slices.Contains(left, event):
			left = append(left, event)
		}
	}
	more, err := tx.purgeHeirless()
	if err != nil {
		return err
	}
	if reached.which >= len(r.Known) && len(left) == 0 && !more {
		r.CompletedAt, r.Known = tx.presentTime(), nil
	}
	if r.CompletedAt.IsZero() && r.Events == before && reached == r.place && slices.Equal(left, r.left) {
		return nil
	}
	r.place, r.left = reached, left
	return tx.change(`UPDATE erasure SET known = ?, which = ?, place = ?, left_over = ?, events = ?, completed_at = ? WHERE number = ?`).
		textOrNull(stored.EncodeTexts(r.Known)).int(int64(reached.which)).int(reached.number).blobOrNull(stored.EncodeNumbers(left)).int(int64(r.Events)).intOrNull(stored.TimeMilli(r.CompletedAt)).
		int(r.number).run()
}

// eraseEvent cancels what of an event's deliveries waits, and removes it with all
// that belongs to it unless one is under way. rows is how many it looked at, 0
// if there is no such event any more.
func (tx *tx) eraseEvent(event int64) (rows int, gone bool, err error) {
	found, err := tx.query(`SELECT 1 FROM event WHERE number = ?`).int(event).one(func(*query) {})
	if err != nil || !found {
		return 0, false, err
	}
	var deliveries []eventDelivery
	finished := true
	err = eachDelivery(tx.conn, event, func(d eventDelivery) {
		deliveries = append(deliveries, d)
		finished = finished && d.state != stored.StateSending
	})
	if err != nil {
		return 0, false, err
	}
	for _, of := range deliveries {
		if of.state != stored.StateWaiting {
			continue
		}
		d, _, err := tx.row(of.number)
		if err != nil {
			return 0, false, err
		}
		d.state, d.at, d.manual = stored.StateCancelled, tx.milli, manualNot
		if err := tx.update(&d); err != nil {
			return 0, false, err
		}
	}
	if !finished {
		return len(deliveries) + 1, false, nil
	}
	if err := tx.change(`DELETE FROM caller WHERE number = ?`).int(event).run(); err != nil {
		return 0, false, err
	}
	rows, err = tx.removeEvent(event, deliveries)
	return rows, true, err
}
