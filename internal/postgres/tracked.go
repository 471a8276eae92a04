package postgres

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
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

func newRepeatKey(project telltale.ProjectID, c *telltale.UserChange, found *user) repeatKey {
	id := c.User.UserID()
	if found != nil {
		id = found.now.UserID
	}
	key := c.Event.RepeatKey(project, id)
	return repeatKey(key[:])
}

// trackedRow is what a user did, to be stored.
type trackedRow struct {
	user *user
	*telltale.TrackedEvent
}

// track has what a user did stored, to be known for the window, and gives it as
// it is stored.
func (tx *tx) track(h *heldUsers, u *user, given *telltale.TrackedEvent, key repeatKey, window time.Duration) (*telltale.TrackedEvent, error) {
	e := *given
	var err error
	if e.Sequence, err = tx.number(); err != nil {
		return nil, err
	}
	e.ReceivedAt = stored.NumberTime(e.Sequence)
	if e.OccurredAt.IsZero() || e.OccurredAt.After(e.ReceivedAt) {
		e.OccurredAt = e.ReceivedAt
	}
	h.tracked = append(h.tracked, trackedRow{u, &e})
	if window > 0 {
		h.repetitions[key] = tx.milli + window.Milliseconds()
	}
	return &e, nil
}

func (tx *tx) storeTracked(rows []trackedRow) {
	n := len(rows)
	if n == 0 {
		return
	}
	number, project, profile, occurredAt := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	name, message, checkID, data := make([]string, n), make([]*string, n), make([]*string, n), make([][]byte, n)
	for i, t := range rows {
		number[i], project[i], profile[i], occurredAt[i] = t.Sequence, t.user.project, t.user.number, t.OccurredAt.UnixMilli()
		name[i], message[i], checkID[i], data[i] = clean(t.Name), textOrNull(t.Message), textOrNull(t.CheckID), bytesOrNull(stored.EncodeObject(t.Data))
	}
	tx.later(`INSERT INTO tracked_event (number, project, profile, name, occurred_at, message, check_id, data)
		SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::bytea[])`, number, project, profile, name, occurredAt, message, checkID, data)
}

// storeRepetitions notes by what repetitions are known, in an order in which two
// transactions never wait for each other.
func (tx *tx) storeRepetitions(until map[repeatKey]int64) {
	if len(until) == 0 {
		return
	}
	sorted := slices.SortedFunc(maps.Keys(until), func(a, b repeatKey) int { return bytes.Compare(a[:], b[:]) })
	keys, expiresAt := make([][]byte, len(sorted)), make([]int64, len(sorted))
	for i, key := range sorted {
		keys[i], expiresAt[i] = key[:], until[key]
	}
	tx.later(`INSERT INTO repetition (key, expires_at) SELECT * FROM unnest($1::bytea[], $2::bigint[]) ON CONFLICT (key) DO UPDATE SET expires_at = excluded.expires_at`, keys, expiresAt)
}

const trackedColumns = `t.number, t.name, t.occurred_at, coalesce(t.message, ''), coalesce(t.check_id, ''), t.data`

// scannedTracked is a row with those columns.
type scannedTracked struct {
	telltale.TrackedEvent
	occurredAt int64
	data       []byte
}

func (r *scannedTracked) into() []any {
	return []any{&r.Sequence, &r.Name, &r.occurredAt, &r.Message, &r.CheckID, &r.data}
}

func (r *scannedTracked) event() (*telltale.TrackedEvent, error) {
	e := r.TrackedEvent
	e.ReceivedAt, e.OccurredAt = stored.NumberTime(e.Sequence), stored.MilliTime(r.occurredAt)
	var err error
	if e.Data, err = stored.DecodeObject(string(r.data)); err != nil {
		return nil, fmt.Errorf("tracked event %d: %w", e.Sequence, err)
	}
	return &e, nil
}

func (s *Store) TrackedEvents(ctx context.Context, project telltale.ProjectID, id telltale.ProfileID, page telltale.Page) ([]*telltale.TrackedEvent, error) {
	number, ok := s.profileNumber(id)
	if !ok {
		return nil, s.down()
	}
	within, err := trackedPage(page)
	if err != nil {
		return nil, err
	}
	var found []*telltale.TrackedEvent
	err = s.read(ctx, "listing what a user did", func(ctx context.Context, q querier) error {
		var c conditions
		c.where("t.profile = ?", number)
		c.where("t.number > ?", within.above)
		c.where("t.number < ?", within.below)
		c.where("EXISTS (SELECT 1 FROM profile p JOIN project o ON o.number = p.project WHERE p.number = t.profile AND o.id = ?)", string(project))
		var row scannedTracked
		return each(ctx, q, fmt.Sprintf(`SELECT %s FROM tracked_event t%s ORDER BY t.number %s LIMIT %d`, trackedColumns, c.String(), order(page), pageLimit(page)), c.args, row.into(), func() error {
			e, err := row.event()
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

// Of what was tracked of a profile that is gone, the latest moves to its heir, or
// is removed without one. The query tells how many that were.
const (
	latestTracked = `(SELECT number FROM tracked_event WHERE profile = $1 ORDER BY number DESC LIMIT $2)`
	moveTracked   = `UPDATE tracked_event SET profile = $3 WHERE number IN ` + latestTracked + ` RETURNING 1`
	dropTracked   = `DELETE FROM tracked_event WHERE number IN ` + latestTracked + ` RETURNING 1`
)

// leaveTracked gives what was tracked of a profile that goes to its heir, or
// removes it. If it is too much for now, the purge goes on with it.
//
// What the profile was to get itself goes the same way; a purge that moves some
// of it to the profile right now has locked its row, and is waited for.
func (tx *tx) leaveTracked(gone goneUser) {
	tx.later(`UPDATE profile_gone SET heir = $2 WHERE heir = $1`, gone.number, orNull(gone.heir))
	if gone.heir == 0 {
		tx.later(`WITH moved AS (`+dropTracked+`) INSERT INTO profile_gone (profile, heir) SELECT $1, NULL FROM moved HAVING count(*) = $2`, gone.number, leaveRows)
	} else {
		tx.later(`WITH moved AS (`+moveTracked+`) INSERT INTO profile_gone (profile, heir) SELECT $1, $3 FROM moved HAVING count(*) = $2`, gone.number, leaveRows, gone.heir)
	}
}

// purgeGone goes on with what [tx.leaveTracked] left.
func (tx *tx) purgeGone() (more bool, err error) {
	return tx.followGone(`SELECT profile, coalesce(heir, 0) FROM profile_gone ORDER BY profile LIMIT 1 FOR UPDATE SKIP LOCKED`)
}

// purgeHeirless goes on with what is to be removed.
func (tx *tx) purgeHeirless() (more bool, err error) {
	return tx.followGone(`SELECT profile, 0 FROM profile_gone WHERE heir IS NULL LIMIT 1 FOR UPDATE SKIP LOCKED`)
}

// followGone sees to one profile that is gone; more reports whether there was one.
func (tx *tx) followGone(which string) (more bool, err error) {
	var profile, heir int64
	found, err := tx.one([]any{&profile, &heir}, which)
	if err != nil || !found {
		return false, err
	}
	moved := int64(0)
	if heir == 0 {
		moved, err = tx.exec(dropTracked, profile, leaveRows)
	} else {
		moved, err = tx.exec(moveTracked, profile, leaveRows, heir)
	}
	if err != nil {
		return false, fmt.Errorf("what was tracked of profile %d: %w", profile, err)
	}
	if moved < leaveRows {
		_, err = tx.exec(`DELETE FROM profile_gone WHERE profile = $1`, profile)
	}
	return true, err
}

// purgeTracked removes what users did longer ago than events are kept.
func (tx *tx) purgeTracked(age time.Duration) (more bool, err error) {
	if age == 0 {
		return false, nil
	}
	removed, err := tx.exec(`DELETE FROM tracked_event WHERE number IN (SELECT number FROM tracked_event WHERE number < $1 ORDER BY number LIMIT $2 FOR UPDATE SKIP LOCKED)`,
		(tx.milli-age.Milliseconds())<<stored.NumberBits, purgeRows)
	return removed == purgeRows, err
}

func (tx *tx) purgeRepetitions() (more bool, err error) {
	removed, err := tx.exec(`DELETE FROM repetition WHERE key IN (SELECT key FROM repetition WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)`, tx.milli, purgeRows)
	return removed == purgeRows, err
}
