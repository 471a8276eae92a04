package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// sharedEmails is how many profiles with one email are looked at for the one that
// was changed last: those that were made last.
const sharedEmails = 1000

// profileRow is a profile and its place on the line of numbers.
type profileRow struct {
	number int64
	*telltale.Profile
}

// profile gives the profile of a row that may be nil.
func (r *profileRow) profile() *telltale.Profile {
	if r == nil {
		return nil
	}
	return r.Profile
}

const profileColumns = `p.number, p.id, p.user_id, coalesce(p.given_id, ''), p.email, p.unsubscribed_at, p.suppression, p.suppressed_at, p.created_at, p.updated_at, p.former_ids, p.tags, p.channels, p.properties`

// scanProfile reads a row of profileColumns.
func (s *Store) scanProfile(q *query, project telltale.ProjectID) (*profileRow, error) {
	r := &profileRow{q.getInt(), &telltale.Profile{ProjectID: project}}
	if id := q.getBlob(); len(id) > 0 {
		r.ID = ownProfileID(id)
	} else {
		r.ID = s.ids.Profile(r.number)
	}
	var row stored.ProfileRow
	r.UserID, row.GivenID, r.Email = q.getText(), q.getText(), q.getText()
	r.UnsubscribedAt, r.Suppression, r.SuppressedAt = stored.MilliTime(q.getInt()), stored.Word(stored.Suppressions, q.getInt()), stored.MilliTime(q.getInt())
	r.CreatedAt, r.UpdatedAt = stored.MilliTime(q.getInt()), stored.MilliTime(q.getInt())
	row.FormerIDs, row.Tags, row.Channels, row.Properties = q.getText(), q.getText(), q.getText(), q.getText()
	if err := row.Decode(r.Profile); err != nil {
		return nil, fmt.Errorf("profile %d: %w", r.number, err)
	}
	return r, nil
}

// ownProfileID is the id of a profile that was stored with one. Today's follow
// from their numbers.
func ownProfileID(blob []byte) telltale.ProfileID {
	var u ulid.ULID
	copy(u[:], blob)
	return telltale.ProfileID(stored.ProfilePrefix + u.String())
}

// oneProfile reads the profile that the conditions find, or nil.
func (s *Store) oneProfile(q *query, project telltale.ProjectID) (row *profileRow, err error) {
	var broken error
	_, err = q.one(func(q *query) { row, broken = s.scanProfile(q, project) })
	return row, errors.Join(err, broken)
}

// profileOfUser gives the profile of the user with that id in canonical form, or nil.
func (s *Store) profileOfUser(c *conn, p *project, project telltale.ProjectID, userID string) (*profileRow, error) {
	return s.oneProfile(c.query(`SELECT `+profileColumns+` FROM profile p WHERE p.project = ? AND p.user_id = ?`).int(p.number).text(userID), project)
}

// findProfile gives the profile that a reference is about, or nil. userID is
// the id in canonical form; it decides. Without one the email doubles as the id,
// or else it is the email that somebody has.
func (s *Store) findProfile(c *conn, p *project, project telltale.ProjectID, userID, email string) (*profileRow, error) {
	if userID != "" {
		return s.profileOfUser(c, p, project, userID)
	}
	if row, err := s.profileOfUser(c, p, project, email); err != nil || row != nil || email == "" {
		return row, err
	}
	var number, changed int64
	err := c.query(`SELECT number, updated_at FROM profile INDEXED BY profile_email WHERE project = ? AND email = ? ORDER BY number DESC LIMIT ?`).
		int(p.number).text(email).int(sharedEmails).each(func(q *query) error {
		n, at := q.getInt(), q.getInt()
		if number == 0 || at > changed {
			number, changed = n, at
		}
		return nil
	})
	if err != nil || number == 0 {
		return nil, err
	}
	return s.profileByNumber(c, project, number)
}

func (s *Store) profileByNumber(c *conn, project telltale.ProjectID, number int64) (*profileRow, error) {
	return s.oneProfile(c.query(`SELECT `+profileColumns+` FROM profile p WHERE p.number = ?`).int(number), project)
}

// refID is the id of a reference in canonical form; empty if it has none.
func refID(r telltale.UserRef) string {
	if r.ID == "" {
		return ""
	}
	return r.UserID()
}

func (s *Store) FindProfile(ctx context.Context, of telltale.ProjectID, user telltale.UserRef) (*telltale.Profile, error) {
	return s.readProfile(ctx, of, func(c *conn, p *project) (*profileRow, error) {
		return s.findProfile(c, p, of, refID(user), user.Email)
	})
}

func (s *Store) ProfilesByRef(ctx context.Context, of telltale.ProjectID, users []telltale.UserRef) ([]*telltale.Profile, error) {
	if err := s.down(); err != nil {
		return nil, err
	}
	profiles := make([]*telltale.Profile, len(users))
	p := s.known.project(of)
	if p == nil || len(users) == 0 {
		return profiles, nil
	}
	err := s.read(ctx, "finding users", func(c *conn) error {
		for i, user := range users {
			row, err := s.findProfile(c, p, of, refID(user), user.Email)
			if err != nil {
				return err
			}
			profiles[i] = row.profile()
		}
		return nil
	})
	return profiles, err
}

func (s *Store) Profile(ctx context.Context, of telltale.ProjectID, id telltale.ProfileID) (*telltale.Profile, error) {
	return s.readProfile(ctx, of, func(c *conn, p *project) (*profileRow, error) {
		number, err := s.profileNumber(c, p, id)
		if err != nil || number == 0 {
			return nil, err
		}
		return s.profileByNumber(c, of, number)
	})
}

// profileNumber gives the number of a profile of the project, or 0.
func (s *Store) profileNumber(c *conn, p *project, id telltale.ProfileID) (number int64, err error) {
	u, ok := stored.ParseULID(stored.ProfilePrefix, string(id))
	if !ok {
		return 0, nil
	}
	q := c.query(`SELECT number FROM profile WHERE id = ? AND id <> x'' AND project = ?`).blob(u[:])
	if follows, ok := s.ids.Number(u); ok {
		q = c.query(`SELECT number FROM profile WHERE number = ? AND id = x'' AND project = ?`).int(follows)
	}
	_, err = q.int(p.number).one(func(q *query) { number = q.getInt() })
	return number, err
}

func (s *Store) readProfile(ctx context.Context, of telltale.ProjectID, find func(*conn, *project) (*profileRow, error)) (profile *telltale.Profile, err error) {
	if err := s.down(); err != nil {
		return nil, err
	}
	p := s.known.project(of)
	if p == nil {
		return nil, notFound("user")
	}
	err = s.read(ctx, "finding a user", func(c *conn) error {
		row, err := find(c, p)
		if err == nil && row == nil {
			err = notFound("user")
		}
		profile = row.profile()
		return err
	})
	return profile, err
}

// insertProfile stores a new profile, once [tx.storeProfiles] is called: many rows
// in one statement cost less than each in its own. The id follows from the number,
// for those who read it.
func (tx *tx) insertProfile(p *project, profile *telltale.Profile) (*profileRow, error) {
	tx.touch(p, profile.UserID, profile.Email)
	row := &profileRow{tx.number(), profile}
	if err := tx.note(p.users(), row.number, 0); err != nil {
		return nil, err
	}
	tx.made = append(tx.made, madeProfile{row, p.number})
	tx.wrote, tx.dirty = true, true
	return row, tx.setTags(p, row.number, nil, profile.Tags)
}

// madeProfile is a profile that is to be inserted.
type madeProfile struct {
	*profileRow
	project int64
}

// insertProfiles are statements that insert so many profiles each. OR FAIL spares
// SQLite to keep the pages as they were before the statement: a transaction in
// which one fails is undone whole.
var insertProfiles = func() (statements []struct {
	rows int
	sql  string
}) {
	const row = "(?, x'', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	for _, rows := range [...]int{16, 4, 1} {
		statements = append(statements, struct {
			rows int
			sql  string
		}{rows, `INSERT OR FAIL INTO profile (number, id, project, user_id, email, unsubscribed_at, suppression, suppressed_at, given_id, created_at, updated_at, former_ids, tags, channels, properties)
			VALUES ` + row + strings.Repeat(", "+row, rows-1)})
	}
	return statements
}()

// storeProfiles inserts the profiles that were made. Whoever looks for profiles in
// the transaction calls it before, and whoever makes some in the end.
func (tx *tx) storeProfiles() error {
	left := tx.made
	for _, insert := range insertProfiles {
		for ; len(left) >= insert.rows; left = left[insert.rows:] {
			q := tx.change(insert.sql)
			for _, row := range left[:insert.rows] {
				suppression, err := stored.Code(stored.Suppressions, row.Suppression)
				if err != nil {
					return fmt.Errorf("profile of user %q: %w", row.UserID, err)
				}
				q.int(row.number).int(row.project).text(row.UserID).textOrNull(row.Email).intOrNull(stored.TimeMilli(row.UnsubscribedAt)).
					intOrNull(suppression).intOrNull(stored.TimeMilli(row.SuppressedAt))
				bindProfile(q, row.Profile)
			}
			if err := q.run(); err != nil {
				return fmt.Errorf("profiles, the first of user %q: %w", left[0].UserID, err)
			}
		}
	}
	tx.made = tx.made[:0]
	return nil
}

// bindProfile binds what is in no index.
func bindProfile(q *query, p *telltale.Profile) *query {
	row := stored.EncodeProfile(p)
	return q.textOrNull(row.GivenID).intOrNull(stored.TimeMilli(p.CreatedAt)).int(stored.TimeMilli(p.UpdatedAt)).
		textOrNull(row.FormerIDs).textOrNull(row.Tags).textOrNull(row.Channels).textOrNull(row.Properties)
}

// updateProfile stores what became of a profile. A column that is named in an
// UPDATE has its index entries written again, whether it changed or not: each of
// those has a statement of its own.
func (tx *tx) updateProfile(p *project, before *profileRow, to *telltale.Profile) (*profileRow, error) {
	tx.touch(p, before.UserID, before.Email)
	tx.touch(p, to.UserID, to.Email)
	err := bindProfile(tx.change(`UPDATE profile SET given_id = ?, created_at = ?, updated_at = ?, former_ids = ?, tags = ?, channels = ?, properties = ? WHERE number = ?`), to).
		int(before.number).run()
	if err == nil && to.UserID != before.UserID {
		err = tx.change(`UPDATE profile SET user_id = ? WHERE number = ?`).text(to.UserID).int(before.number).run()
	}
	if err == nil && to.Email != before.Email {
		err = tx.change(`UPDATE profile SET email = ? WHERE number = ?`).textOrNull(to.Email).int(before.number).run()
	}
	if err == nil && !to.UnsubscribedAt.Equal(before.UnsubscribedAt) {
		err = tx.change(`UPDATE profile SET unsubscribed_at = ? WHERE number = ?`).intOrNull(stored.TimeMilli(to.UnsubscribedAt)).int(before.number).run()
	}
	if err == nil {
		err = tx.setSuppression(before.number, before.Profile, to)
	}
	if err == nil {
		err = tx.setTags(p, before.number, before.Tags, to.Tags)
	}
	if err != nil {
		return nil, fmt.Errorf("profile of user %q: %w", before.UserID, err)
	}
	return &profileRow{before.number, to}, nil
}

// setSuppression writes it if it changed, which is rare.
func (tx *tx) setSuppression(number int64, before, after *telltale.Profile) error {
	if before.Suppression == after.Suppression && before.SuppressedAt.Equal(after.SuppressedAt) {
		return nil
	}
	reason, err := stored.Code(stored.Suppressions, after.Suppression)
	if err != nil {
		return err
	}
	return tx.change(`UPDATE profile SET suppression = ?, suppressed_at = ? WHERE number = ?`).intOrNull(reason).intOrNull(stored.TimeMilli(after.SuppressedAt)).int(number).run()
}

// setTags keeps the index of tags.
func (tx *tx) setTags(p *project, number int64, before, after []string) error {
	for _, tag := range before {
		if slices.Contains(after, tag) {
			continue
		}
		if err := tx.change(`DELETE FROM profile_tag WHERE project = ? AND tag = ? AND profile = ?`).int(p.number).text(tag).int(number).run(); err != nil {
			return fmt.Errorf("tag %q: %w", tag, err)
		}
	}
	for _, tag := range after {
		if slices.Contains(before, tag) {
			continue
		}
		if err := tx.change(`INSERT INTO profile_tag (project, tag, profile) VALUES (?, ?, ?)`).int(p.number).text(tag).int(number).run(); err != nil {
			return fmt.Errorf("tag %q: %w", tag, err)
		}
	}
	return nil
}

// removeProfile removes a profile. What its user did goes to the heir, or, if
// that is 0, goes too.
func (tx *tx) removeProfile(p *project, row *profileRow, heir int64) error {
	tx.touch(p, row.UserID, row.Email)
	if err := tx.setTags(p, row.number, row.Tags, nil); err != nil {
		return err
	}
	if err := tx.change(`DELETE FROM profile WHERE number = ?`).int(row.number).run(); err != nil {
		return fmt.Errorf("profile of user %q: %w", row.UserID, err)
	}
	return tx.leaveTracked(row.number, heir)
}
