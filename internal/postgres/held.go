package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"telltale.example/telltale"
)

// Whoever changes users holds their rows from before they decide until they
// commit, so that changes of one user come one after another on all nodes:
//
//  1. The rows of all users of the call are locked, in the order of their numbers.
//  2. They are read, behind the locks, in a statement of its own: it sees what
//     those before committed. If that finds others than are locked, since a user
//     went and came while it waited, they are locked if nobody else holds them.
//     Otherwise the transaction begins anew: who waits out of the order may wait
//     for somebody who waits for them.
//  3. Changes are decided in memory, one by one, and what came of them is stored
//     at the end, all rows of a kind in one statement.
//
// Of a user who has no row there is nothing to lock. Of two who make one at once
// the second finds that the user's id is taken, when it stores it, and begins
// anew likewise.

// reference is what a user of a project is looked for by: an id in canonical
// form, or an email.
type reference struct {
	project int64
	text    string
}

// refID is the id of a reference in canonical form; empty if it has none.
func refID(r telltale.UserRef) string {
	if r.ID == "" {
		return ""
	}
	return r.UserID()
}

// wanted are users that are looked for, each reference once.
type wanted struct {
	ids, emails []reference
	has         map[reference]bool // as an id
	hasEmail    map[reference]bool
}

// add looks for the user whose id it is. Without one the email doubles as the
// id, or else it is the email that somebody has.
func (w *wanted) add(project int64, id, email string) {
	if id != "" {
		w.addID(reference{project, clean(id)})
	} else if email != "" {
		of := reference{project, clean(email)}
		w.addID(of)
		if w.hasEmail == nil {
			w.hasEmail = map[reference]bool{}
		}
		if !w.hasEmail[of] {
			w.hasEmail[of] = true
			w.emails = append(w.emails, of)
		}
	}
}

func (w *wanted) addID(of reference) {
	if w.has == nil {
		w.has = map[reference]bool{}
	}
	if !w.has[of] {
		w.has[of] = true
		w.ids = append(w.ids, of)
	}
}

// sharedEmails is how many users with one email are looked at for the one that
// was changed last: those that were made last.
const sharedEmails = 1000

// wantedUsers finds the numbers of users by id, and by email.
var wantedUsers = fmt.Sprintf(`WITH wanted AS MATERIALIZED (
	SELECT p.number FROM unnest($1::integer[], $2::text[]) AS u(project, id) JOIN profile p ON p.project = u.project AND p.user_id = u.id
	UNION SELECT l.number FROM unnest($3::integer[], $4::text[]) AS u(project, email) CROSS JOIN LATERAL (
		SELECT f.number FROM (SELECT p.number, p.updated_at FROM profile p WHERE p.project = u.project AND p.email = u.email ORDER BY p.number DESC LIMIT %d) f
		ORDER BY f.updated_at DESC, f.number DESC LIMIT 1) l) `, sharedEmails)

func (w *wanted) args() []any {
	columns := func(of []reference) ([]int64, []string) {
		projects, texts := make([]int64, len(of)), make([]string, len(of))
		for i, r := range of {
			projects[i], texts[i] = r.project, r.text
		}
		return projects, texts
	}
	idProjects, ids := columns(w.ids)
	emailProjects, emails := columns(w.emails)
	return []any{idProjects, ids, emailProjects, emails}
}

// user is a user as they were stored, and as they are to be.
type user struct {
	number  int64
	project int64
	stored  *telltale.Profile // nil if they are new
	now     *telltale.Profile // nil if they are gone
}

// profile gives the profile of a user who may be nobody.
func (u *user) profile() *telltale.Profile {
	if u == nil {
		return nil
	}
	return u.now
}

// users are found by their ids and emails, as these are now.
type users struct {
	byID    map[reference]*user
	byEmail map[reference][]*user // and some who had it before
}

func (of *users) add(u *user) {
	if of.byID == nil {
		of.byID, of.byEmail = map[reference]*user{}, map[reference][]*user{}
	}
	of.byID[reference{u.project, clean(u.now.UserID)}] = u
	of.addEmail(u)
}

func (of *users) addEmail(u *user) {
	if u.now.Email != "" {
		email := reference{u.project, clean(u.now.Email)}
		of.byEmail[email] = append(of.byEmail[email], u)
	}
}

// latest gives who has the email, of several the one who was changed last.
func (of *users) latest(email reference) (found *user) {
	for _, u := range of.byEmail[email] {
		if !u.has(email) {
			continue
		}
		if found == nil || cmp.Or(u.now.UpdatedAt.Compare(found.now.UpdatedAt), cmp.Compare(u.number, found.number)) > 0 {
			found = u
		}
	}
	return found
}

func (u *user) has(email reference) bool { return u.now != nil && clean(u.now.Email) == email.text }

// read adds those that are wanted.
func (of *users) read(ctx context.Context, s *Store, q querier, known *registry, w *wanted) error {
	var row scannedProfile
	return each(ctx, q, wantedUsers+`SELECT `+profileColumns+` FROM wanted w JOIN profile p ON p.number = w.number`, w.args(), row.into(), func() error {
		return of.addRow(s, known, &row)
	})
}

func (of *users) addRow(s *Store, known *registry, row *scannedProfile) error {
	p := known.byNumber[row.project]
	if p == nil {
		return fmt.Errorf("profile %d: there is no project %d", row.number, row.project)
	}
	profile, err := row.profile(s, p.ID)
	if err != nil {
		return err
	}
	of.add(&user{number: row.number, project: row.project, stored: profile, now: profile})
	return nil
}

// find gives whom a reference is about, or nil. The id, in canonical form, decides.
func (of *users) find(project int64, id, email string) *user {
	if id != "" {
		return of.byID[reference{project, clean(id)}]
	}
	with := reference{project, clean(email)}
	if u := of.byID[with]; u != nil || email == "" {
		return u
	}
	return of.latest(with)
}

// heldUsers are users of whom a transaction holds the rows, and what it makes of
// them.
type heldUsers struct {
	users
	wanted  wanted
	numbers int // of the line, to be taken once the rows are held: so they rise with each user's changes

	locked map[int64]bool
	rows   []scannedProfile // as they were read behind the locks
	stored map[reference]*user
	milli  int64 // the time then
	free   span

	changed     []*user // whose rows are to be written
	has         map[*user]bool
	gone        []goneUser
	tracked     []trackedRow
	repetitions map[repeatKey]int64 // until when they are known
}

// goneUser is a user whose row is to be removed.
type goneUser struct{ number, heir int64 }

// begin is queue for a transaction that begins, and holds nobody yet.
func (h *heldUsers) begin(b *pgx.Batch) {
	h.locked = nil
	h.queue(b, "")
}

// skipLocked has rows passed over that somebody else holds.
const skipLocked = " SKIP LOCKED"

// queue adds the statements that hold the users to a batch.
func (h *heldUsers) queue(b *pgx.Batch, skip string) {
	h.rows = h.rows[:0]
	if h.locked == nil {
		h.locked = map[int64]bool{}
	}
	args := h.wanted.args()
	b.Queue(wantedUsers+`SELECT p.number FROM wanted w JOIN profile p ON p.number = w.number ORDER BY p.number FOR UPDATE OF p`+skip, args...).Query(func(rows pgx.Rows) error {
		var number int64
		_, err := pgx.ForEachRow(rows, []any{&number}, func() error { h.locked[number] = true; return nil })
		return err
	})
	b.Queue(wantedUsers+`SELECT `+profileColumns+` FROM wanted w JOIN profile p ON p.number = w.number`, args...).Query(func(rows pgx.Rows) error {
		var row scannedProfile
		_, err := pgx.ForEachRow(rows, row.into(), func() error { h.rows = append(h.rows, row); return nil })
		return err
	})
	if h.numbers == 0 {
		b.Queue(`SELECT telltale_now()`).QueryRow(func(row pgx.Row) error { return row.Scan(&h.milli) })
		return
	}
	b.Queue(`SELECT telltale_now(), take_numbers($1)`, int64(h.numbers)).QueryRow(func(row pgx.Row) error {
		err := row.Scan(&h.milli, &h.free.first)
		h.free.end = h.free.first + int64(h.numbers)
		return err
	})
}

// isHeld reports whether all that was read is locked.
func (h *heldUsers) isHeld() bool {
	return h.locked != nil && !slices.ContainsFunc(h.rows, func(r scannedProfile) bool { return !h.locked[r.number] })
}

// errMoved says that a user came back as another while they were waited for.
var errMoved = errors.New("a user was made anew meanwhile")

// isRace reports whether a transaction is to be run again since somebody else
// made a user in the same moment. By then there is one, who can be held.
func isRace(err error) bool {
	var known *pgconn.PgError
	return errors.Is(err, errMoved) || isUnique(err) && errors.As(err, &known) && known.ConstraintName == "profile_user"
}

// hold has the transaction hold the users, and go by the time at which it does.
func (tx *tx) hold(h *heldUsers) error {
	if err := tx.lock(h); err != nil {
		return fmt.Errorf("holding users: %w", err)
	}
	tx.milli = h.milli
	if h.numbers > 0 {
		tx.free = h.free
	}
	h.users, h.stored, h.has = users{}, map[reference]*user{}, map[*user]bool{}
	h.changed, h.gone, h.tracked, h.repetitions = nil, nil, nil, map[repeatKey]int64{}
	for i := range h.rows {
		if err := h.addRow(tx.store, tx.known, &h.rows[i]); err != nil {
			return err
		}
	}
	for _, email := range h.wanted.emails {
		h.stored[email] = h.latest(email)
	}
	return nil
}

// lock locks and reads the users, as far as that was not begun with the transaction.
func (tx *tx) lock(h *heldUsers) error {
	for _, skip := range [...]string{"", skipLocked} {
		if h.isHeld() {
			return nil
		}
		if h.locked != nil {
			skip = skipLocked
		}
		b := &pgx.Batch{}
		h.queue(b, skip)
		if err := tx.conn.SendBatch(tx.ctx, b).Close(); err != nil {
			return err
		}
	}
	if !h.isHeld() {
		return errMoved
	}
	return nil
}

// findHeld gives whom a reference is about, as it is by now, or nil.
func (tx *tx) findHeld(h *heldUsers, project int64, id, email string) (*user, error) {
	with := reference{project, clean(email)}
	if id == "" && email != "" && h.byID[with] == nil {
		if of := h.stored[with]; of != nil && !of.has(with) {
			return tx.holdNext(h, with)
		}
	}
	return h.find(project, id, email), nil
}

// holdNext looks for who has an email, once the one who had it has not any more:
// that may be somebody else who is not held yet.
func (tx *tx) holdNext(h *heldUsers, email reference) (*user, error) {
	if err := tx.storeUsers(h); err != nil {
		return nil, err
	}
	if err := tx.flush(); err != nil {
		return nil, err
	}
	next := heldUsers{}
	next.wanted.add(email.project, "", email.text)
	if err := tx.lock(&next); err != nil {
		return nil, fmt.Errorf("holding a user: %w", err)
	}
	for i := range next.rows {
		row := &next.rows[i]
		if h.byID[reference{row.project, row.userID}] == nil {
			if err := h.addRow(tx.store, tx.known, row); err != nil {
				return nil, err
			}
		}
	}
	found := h.latest(email)
	h.stored[email] = found
	return found, nil
}

// create makes a user.
func (tx *tx) create(h *heldUsers, p *project, profile *telltale.Profile) (*user, error) {
	number, err := tx.number()
	if err != nil {
		return nil, err
	}
	u := &user{number: number, project: p.number, now: profile}
	h.add(u)
	h.note(u)
	return u, nil
}

func (h *heldUsers) note(u *user) {
	if !h.has[u] {
		h.has[u] = true
		h.changed = append(h.changed, u)
	}
}

// change makes the user what they are to be.
func (h *heldUsers) change(u *user, to *telltale.Profile) {
	before := u.now
	u.now = to
	if before.UserID != to.UserID {
		h.forget(u, before)
		h.byID[reference{u.project, clean(to.UserID)}] = u
	}
	if before.Email != to.Email {
		h.addEmail(u)
	}
	h.note(u)
}

// forget has the user not found any more by the id that they had.
func (h *heldUsers) forget(u *user, before *telltale.Profile) {
	if id := (reference{u.project, clean(before.UserID)}); h.byID[id] == u {
		delete(h.byID, id)
	}
}

// remove removes the user. What they did goes to the heir, or goes, too, without
// one.
func (h *heldUsers) remove(u, heir *user) {
	h.forget(u, u.now)
	u.now = nil
	h.note(u)
	gone := goneUser{number: u.number}
	if heir != nil {
		gone.heir = heir.number
	}
	h.gone = append(h.gone, gone)
	kept := h.tracked[:0]
	for _, t := range h.tracked {
		if t.user == u {
			t.user = heir
		}
		if t.user != nil {
			kept = append(kept, t)
		}
	}
	h.tracked = kept
}

// storeUsers gathers, for the end of the transaction, what became of the users.
// Who got another id is removed and inserted again: so all ids are free before
// any is taken, whoever exchanges theirs, and all are taken in one order.
func (tx *tx) storeUsers(h *heldUsers) error {
	var removed []int64
	var updated, inserted []*user
	for _, u := range h.changed {
		moved := u.now != nil && u.stored != nil && u.now.UserID != u.stored.UserID
		if u.stored != nil && (u.now == nil || moved) {
			removed = append(removed, u.number)
		}
		switch {
		case u.now == nil:
		case u.stored == nil || moved:
			inserted = append(inserted, u)
		default:
			updated = append(updated, u)
		}
	}
	if len(removed) > 0 {
		tx.later(`DELETE FROM profile WHERE number = ANY($1::bigint[])`, removed)
	}
	if err := tx.updateProfiles(updated); err != nil {
		return err
	}
	if err := tx.insertProfiles(inserted); err != nil {
		return err
	}
	tx.storeTags(h.changed)
	for _, gone := range h.gone {
		tx.leaveTracked(gone)
	}
	tx.storeTracked(h.tracked)
	tx.storeRepetitions(h.repetitions)
	for _, u := range h.changed {
		u.stored = u.now
	}
	h.changed, h.gone, h.tracked = nil, nil, nil
	clear(h.has)
	clear(h.repetitions)
	return nil
}
