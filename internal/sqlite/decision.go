package sqlite

import (
	"context"
	"fmt"
	"hash/maphash"
	"time"

	"telltale.example/telltale"
)

// A decision is what a change comes to, with the events that it makes, for the
// profiles that it was made for. Making one writes nothing, so it need not be the
// writer who makes it: [Store.PrepareChanges] does, and the writer makes it again
// if one of its users was touched since.
type decision struct {
	user, other *profileRow // as they were found; nil for nobody
	repeat      repeatKey   // of a tracked event
	repeated    bool        // it repeats one: nothing comes of it. Only the writer knows

	made   bool // what is below
	effect telltale.Effect
	told   told
	err    error // why it is not applied: Invalid
}

// told are the events that tell of changes, with what is worked out of them ahead.
type told struct {
	events []*telltale.Event
	rows   []eventRow
}

func (t *told) add(project telltale.ProjectID, event *telltale.Event) error {
	row, err := newEventRow(project, event)
	t.events, t.rows = append(t.events, event), append(t.rows, row)
	return err
}

// lookUp finds whom a change is about.
func (s *Store) lookUp(c *conn, p *project, project telltale.ProjectID, change *telltale.UserChange) (*decision, error) {
	d := &decision{}
	var err error
	if d.user, err = s.findProfile(c, p, project, refID(change.User), change.User.Email); err != nil {
		return nil, err
	}
	switch change.Kind {
	case telltale.ChangeReidentify:
		d.other, err = s.profileOfUser(c, p, project, refID(telltale.UserRef{ID: change.NewID}))
	case telltale.ChangeTrack:
		d.repeat = newRepeatKey(project, change, d.user)
	}
	return d, err
}

// make decides what the change comes to at that time. What breaks a bound, in a
// profile or in the payload of an event, decides that it is not applied.
func (d *decision) make(c *telltale.UserChanges, change *telltale.UserChange, now time.Time) error {
	d.made = true
	if d.effect, d.err = change.On(c.ProjectID, d.user.profile(), d.other.profile(), now); d.err != nil {
		return nil
	}
	for i := range d.effect.Activities {
		event, faults := d.effect.Activities[i].Event(c.ProjectID, c.Source, now.UTC().Truncate(time.Millisecond))
		if len(faults) > 0 {
			d.told = told{}
			d.err = telltale.Faulty("The event that would come of it is not valid.", faults)
			return nil
		}
		if err := d.told.add(c.ProjectID, event); err != nil {
			return err
		}
	}
	return nil
}

// size is roughly how many bytes it holds in memory beyond the change.
func (d *decision) size() int {
	n := 1000
	for _, row := range [...]*profileRow{d.user, d.other} {
		if row != nil {
			n += row.Properties.Size()
		}
	}
	for _, e := range d.told.events {
		n += len(e.Payload)
	}
	return n
}

// prepared are decisions that were made ahead, for the first changes of a call.
type prepared struct {
	store     *Store
	upTo      int64 // all that was committed up to this number is in them
	decisions []*decision
}

// maxPrepared bounds the bytes of decisions that are made ahead for one call.
const maxPrepared = 4 << 20

// PrepareChanges reads beside the writer, and makes no more decisions than fit
// into memory: the writer makes the others.
func (s *Store) PrepareChanges(ctx context.Context, c *telltale.UserChanges) error {
	if err := s.down(); err != nil {
		return err
	}
	p := s.known.project(c.ProjectID)
	if p == nil {
		return notFound("project")
	}
	ahead := &prepared{store: s, upTo: s.writer.committed.Load()}
	size := 0
	err := s.read(ctx, "preparing changes", func(conn *conn) error {
		for i := 0; i < len(c.Changes) && size < maxPrepared; i++ {
			d, err := s.lookUp(conn, p, c.ProjectID, &c.Changes[i])
			if err != nil {
				return fmt.Errorf("change %d, %s: %w", i, c.Changes[i].Kind, err)
			}
			ahead.decisions = append(ahead.decisions, d)
			size += d.size()
		}
		return nil
	})
	if err != nil {
		return err
	}
	now := time.Now()
	for i, d := range ahead.decisions {
		if err := d.make(c, &c.Changes[i], now); err != nil {
			return fmt.Errorf("change %d, %s: %w", i, c.Changes[i].Kind, err)
		}
		if size += d.size(); size > maxPrepared {
			ahead.decisions = ahead.decisions[:i+1]
			break
		}
	}
	c.Prepared = ahead
	return nil
}

// decide gives the decision of a change: the one that was made ahead if nobody
// touched its users since, or else it is made now.
func (tx *tx) decide(p *project, c *telltale.UserChanges, i int) (*decision, error) {
	change := &c.Changes[i]
	d := tx.ahead(p, c, i)
	if d == nil {
		err := tx.storeProfiles()
		if err != nil {
			return nil, err
		}
		if d, err = tx.store.lookUp(tx.conn, p, c.ProjectID, change); err != nil {
			return nil, err
		}
	}
	if change.Kind == telltale.ChangeTrack {
		var err error
		if d.repeated, err = tx.repeats(d.repeat, c.RepeatWindow); err != nil || d.repeated {
			return d, err
		}
	}
	if d.made {
		return d, nil
	}
	return d, d.make(c, change, tx.now)
}

// ahead gives the decision that was made ahead, if there is one that still holds.
func (tx *tx) ahead(p *project, c *telltale.UserChanges, i int) *decision {
	ahead, ok := c.Prepared.(*prepared)
	if !ok || ahead.store != tx.store || i >= len(ahead.decisions) {
		return nil
	}
	change := &c.Changes[i]
	id := refID(change.User)
	if id == "" { // see findProfile
		if id = change.User.Email; tx.touched.since(p, touchedEmail, id, ahead.upTo) {
			return nil
		}
	}
	if tx.touched.since(p, touchedUser, id, ahead.upTo) {
		return nil
	}
	if change.Kind == telltale.ChangeReidentify && tx.touched.since(p, touchedUser, refID(telltale.UserRef{ID: change.NewID}), ahead.upTo) {
		return nil
	}
	return ahead.decisions[i]
}

// touched knows when the users of a project were touched last: the number that
// came next when a profile got or lost a user's id or an email, or was changed
// with it. Users share entries, so that it has a bound: it may name a time that
// was another's, which is later and never earlier. Only the writer has it.
type touched struct {
	seed    maphash.Seed
	numbers [1 << touchedBits]int64
}

// touchedBits give a portion of an import, and the next one that is prepared
// while it is written, some hundred times the entries that they need.
const touchedBits = 16

// What a user is found by.
const (
	touchedUser = iota
	touchedEmail
)

func (t *touched) entry(p *project, kind int, value string) *int64 {
	hash := maphash.String(t.seed, value) + uint64(p.number)<<1 + uint64(kind)
	return &t.numbers[hash&(1<<touchedBits-1)]
}

// since reports whether the user may have been touched behind that number.
func (t *touched) since(p *project, kind int, value string, number int64) bool {
	return *t.entry(p, kind, value) > number
}

// touch notes that a profile is changed that is found by these from now on, or
// was until now. If the transaction is undone, what was noted does no harm.
func (tx *tx) touch(p *project, userID, email string) {
	*tx.touched.entry(p, touchedUser, userID) = tx.last + 1
	if email != "" {
		*tx.touched.entry(p, touchedEmail, email) = tx.last + 1
	}
}
