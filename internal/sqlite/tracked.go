package sqlite

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// leaveRows is how many tracked events follow at once when a profile goes. The
// rest follows with the purge: see profile_gone.
const leaveRows = 1000

// repeatKey is half of a [telltale.TrackedEvent.RepeatKey], which is enough to
// tell events of minutes apart.
type repeatKey [16]byte

func newRepeatKey(project telltale.ProjectID, c *telltale.UserChange, found *profileRow) repeatKey {
	user := c.User.UserID()
	if found != nil {
		user = found.UserID
	}
	key := c.Event.RepeatKey(project, user)
	return repeatKey(key[:])
}

// repeats reports whether an event with that key is known.
func (tx *tx) repeats(key repeatKey, window time.Duration) (known bool, err error) {
	if window <= 0 {
		return false, nil
	}
	known, err = tx.query(`SELECT 1 FROM repetition WHERE key = ? AND expires_at > ?`).blob(key[:]).int(tx.milli).one(func(*query) {})
	if err != nil {
		return false, fmt.Errorf("looking for a repetition: %w", err)
	}
	return known, nil
}

// track stores what a user did, to be known for the window, and gives it as it
// is stored.
func (tx *tx) track(p *project, user *profileRow, given *telltale.TrackedEvent, key repeatKey, window time.Duration) (*telltale.TrackedEvent, error) {
	e := *given
	e.Sequence = tx.number()
	e.ReceivedAt = stored.NumberTime(e.Sequence)
	if e.OccurredAt.IsZero() || e.OccurredAt.After(e.ReceivedAt) {
		e.OccurredAt = e.ReceivedAt
	}
	err := tx.change(`INSERT INTO tracked_event (number, project, profile, name, occurred, message, check_id, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`).
		int(e.Sequence).int(p.number).int(user.number).text(e.Name).int(stored.NumberMilli(e.Sequence) - e.OccurredAt.UnixMilli()).
		textOrNull(e.Message).textOrNull(e.CheckID).textOrNull(stored.EncodeObject(e.Data)).run()
	if err != nil {
		return nil, fmt.Errorf("tracked event %q: %w", e.Name, err)
	}
	if window <= 0 {
		return &e, nil
	}
	err = tx.change(`INSERT INTO repetition (key, expires_at) VALUES (?, ?) ON CONFLICT DO UPDATE SET expires_at = excluded.expires_at`).
		blob(key[:]).int(tx.milli + window.Milliseconds()).run()
	if err != nil {
		return nil, fmt.Errorf("tracked event %q: noting it: %w", e.Name, err)
	}
	return &e, nil
}

const trackedColumns = `t.number, t.name, t.occurred, t.message, t.check_id, t.data`

// scanTracked reads a row of trackedColumns.
func scanTracked(q *query) (*telltale.TrackedEvent, error) {
	e := &telltale.TrackedEvent{Sequence: q.getInt(), Name: q.getText()}
	e.ReceivedAt = stored.NumberTime(e.Sequence)
	e.OccurredAt = stored.MilliTime(stored.NumberMilli(e.Sequence) - q.getInt())
	e.Message, e.CheckID = q.getText(), q.getText()
	var err error
	if e.Data, err = stored.DecodeObject(q.getText()); err != nil {
		return nil, fmt.Errorf("tracked event %d: %w", e.Sequence, err)
	}
	return e, nil
}

func (s *Store) TrackedEvents(ctx context.Context, project telltale.ProjectID, id telltale.ProfileID, page telltale.Page) ([]*telltale.TrackedEvent, error) {
	if err := s.down(); err != nil {
		return nil, err
	}
	p := s.known.project(project)
	if p == nil {
		return nil, nil
	}
	within, err := trackedPage(page)
	if err != nil {
		return nil, err
	}
	var found []*telltale.TrackedEvent
	err = s.read(ctx, "listing what a user did", func(c *conn) error {
		number, err := s.profileNumber(c, p, id)
		if err != nil || number == 0 {
			return err
		}
		l := list{page: page, key: "t.number"}
		l.where("t.profile = ?", number)
		l.where("t.number > ?", within.above)
		l.where("t.number < ?", within.below)
		return l.each(c, `SELECT `+trackedColumns+` FROM tracked_event t INDEXED BY tracked_event_profile`, func(q *query) error {
			e, err := scanTracked(q)
			found = append(found, e)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return newestFirst(found, page), nil
}

// trackedPage gives the numbers of a page that is counted by them.
func trackedPage(page telltale.Page) (numbers, error) {
	within := allNumbers()
	for _, end := range []struct {
		text  string
		bound *int64
	}{{page.After, &within.below}, {page.Before, &within.above}} {
		if end.text == "" {
			continue
		}
		n, err := strconv.ParseInt(end.text, 10, 64)
		if err != nil {
			return within, telltale.Errorf(telltale.Invalid, "%q is not the number of a tracked event.", telltale.CutValue(end.text))
		}
		*end.bound = n
	}
	return within, nil
}

// leaveTracked gives what was tracked of a profile that is gone to its heir, or
// removes it if that is 0. If it is too much for now, the purge goes on with it.
func (tx *tx) leaveTracked(profile, heir int64) error {
	// What it was to get itself goes the same way.
	if err := tx.change(`UPDATE profile_gone SET heir = ? WHERE heir = ?`).intOrNull(heir).int(profile).run(); err != nil {
		return fmt.Errorf("what follows profile %d: %w", profile, err)
	}
	moved, err := tx.moveTracked(profile, heir)
	if err != nil || moved < leaveRows {
		return err
	}
	if err := tx.change(`INSERT INTO profile_gone (profile, heir) VALUES (?, ?)`).int(profile).intOrNull(heir).run(); err != nil {
		return fmt.Errorf("profile %d, which is gone: %w", profile, err)
	}
	return nil
}

// moveTracked moves the latest tracked events of a profile that is gone, and
// gives how many; there may be more if it is [leaveRows].
func (tx *tx) moveTracked(profile, heir int64) (moved int, err error) {
	const latest = `(SELECT number FROM tracked_event WHERE profile = ? ORDER BY number DESC LIMIT ?)`
	if heir == 0 {
		err = tx.change(`DELETE FROM tracked_event WHERE number IN ` + latest).int(profile).int(leaveRows).run()
	} else {
		err = tx.change(`UPDATE tracked_event SET profile = ? WHERE number IN ` + latest).int(heir).int(profile).int(leaveRows).run()
	}
	if err != nil {
		return 0, fmt.Errorf("what was tracked of profile %d: %w", profile, err)
	}
	return tx.conn.Changes(), nil
}

// purgeGone goes on with what [tx.leaveTracked] left.
func (tx *tx) purgeGone() (more bool, err error) {
	return tx.followGone(tx.query(`SELECT profile, coalesce(heir, 0) FROM profile_gone ORDER BY profile LIMIT 1`))
}

// purgeHeirless goes on with what is to be removed.
func (tx *tx) purgeHeirless() (more bool, err error) {
	return tx.followGone(tx.query(`SELECT profile, 0 FROM profile_gone WHERE heir IS NULL LIMIT 1`))
}

// followGone sees to one profile that is gone; more reports whether there was one.
func (tx *tx) followGone(which *query) (more bool, err error) {
	var profile, heir int64
	found, err := which.one(func(q *query) { profile, heir = q.getInt(), q.getInt() })
	if err != nil || !found {
		return false, err
	}
	moved, err := tx.moveTracked(profile, heir)
	if err != nil || moved == leaveRows {
		return true, err
	}
	return true, tx.change(`DELETE FROM profile_gone WHERE profile = ?`).int(profile).run()
}

// purgeTracked removes what users did longer ago than events are kept.
func (tx *tx) purgeTracked(age time.Duration) (more bool, err error) {
	if age == 0 {
		return false, nil
	}
	err = tx.change(`DELETE FROM tracked_event WHERE number IN (SELECT number FROM tracked_event WHERE number < ? ORDER BY number LIMIT ?)`).
		int(tx.olderThan(age)).int(purgeRows).run()
	return tx.conn.Changes() == purgeRows, err
}

func (tx *tx) purgeRepetitions() (more bool, err error) {
	err = tx.change(`DELETE FROM repetition WHERE key IN (SELECT key FROM repetition WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`).
		int(tx.milli).int(purgeRows).run()
	return tx.conn.Changes() == purgeRows, err
}
