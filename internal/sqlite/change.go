package sqlite

import (
	"context"
	"fmt"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// changeBytes is roughly what a change takes on disk beyond what it says.
const changeBytes = 1000

// ChangeUsers has the writer decide what each change comes to, or see that what
// was decided ahead still holds: only there is a profile what it will still be
// when the change is stored.
func (s *Store) ChangeUsers(ctx context.Context, c telltale.UserChanges) (changed telltale.UserChanged, err error) {
	bytes := 0
	for i := range c.Changes {
		change := &c.Changes[i]
		bytes += changeBytes + 2*change.Data.Size() // in the profile, and in the event
		if change.Event != nil {
			bytes += change.Event.Data.Size()
		}
	}
	err = s.write(ctx, "changing users", bytes, func(tx *tx) (err error) {
		changed, err = tx.changeUsers(&c)
		return err
	})
	if err != nil {
		return telltale.UserChanged{}, err
	}
	return changed, nil
}

// changeUsers decides and stores change by change, accepts the events that come
// of them, and notes how far the import is whose rows they are.
func (tx *tx) changeUsers(c *telltale.UserChanges) (telltale.UserChanged, error) {
	changed := telltale.UserChanged{Results: make([]telltale.UserResult, len(c.Changes))}
	p := tx.project(c.ProjectID)
	if p == nil {
		return changed, notFound("project")
	}
	var job importRow
	if c.Import != nil {
		var err error
		if job, err = tx.beginImport(c.ProjectID, c.Import); err != nil {
			return changed, err
		}
	}
	told := told{make([]*telltale.Event, 0, len(c.Changes)), make([]eventRow, 0, len(c.Changes))}
	for i := range c.Changes {
		if err := tx.changeUser(p, c, i, &changed.Results[i], &told); err != nil {
			return changed, fmt.Errorf("change %d, %s: %w", i, c.Changes[i].Kind, err)
		}
	}
	if err := tx.storeProfiles(); err != nil {
		return changed, err
	}
	var err error
	a := telltale.Acceptance{ProjectID: c.ProjectID, Room: c.Room, Events: told.events}
	if changed.Accepted, err = tx.accept(a, told.rows); err != nil || c.Import == nil {
		return changed, err
	}
	return changed, tx.noteImport(job, c.Import, changed.Results)
}

// changeUser decides one change and stores what it comes to, but for the events
// that tell of it.
func (tx *tx) changeUser(p *project, c *telltale.UserChanges, i int, result *telltale.UserResult, told *told) error {
	d, err := tx.decide(p, c, i)
	if err != nil {
		return err
	}
	if result.Repeated, result.Err = d.repeated, d.err; d.repeated || d.err != nil {
		return nil
	}
	if d.effect.Profile != nil {
		d.effect.Profile.UpdatedAt = tx.presentTime() // it may have been decided before others that are stored already
	}
	user, err := tx.apply(p, d.user, d.other, d.effect)
	if err != nil {
		return err
	}
	result.Created, result.Events = d.user == nil && user != nil, len(d.told.events)
	told.events, told.rows = append(told.events, d.told.events...), append(told.rows, d.told.rows...)
	if c.Changes[i].Kind != telltale.ChangeTrack {
		return nil
	}
	e, err := tx.track(p, user, c.Changes[i].Event, d.repeat, c.RepeatWindow)
	if err != nil || c.NoConversions {
		return err
	}
	converted, err := tx.convert(p, c, user, e)
	if err != nil || converted == nil {
		return err
	}
	result.Events++
	return told.add(c.ProjectID, converted)
}

// apply stores what a change comes to and gives the user's profile as it is
// then; nil if there is none.
func (tx *tx) apply(p *project, found, other *profileRow, effect telltale.Effect) (*profileRow, error) {
	switch {
	case effect.Remove && effect.Profile == nil:
		return nil, tx.removeProfile(p, found, 0)
	case effect.Remove: // found goes into other
		if err := tx.removeProfile(p, found, other.number); err != nil {
			return nil, err
		}
		return tx.updateProfile(p, other, effect.Profile)
	case effect.Profile == nil:
		return found, nil
	case found == nil:
		return tx.insertProfile(p, effect.Profile)
	}
	return tx.updateProfile(p, found, effect.Profile)
}

// The types of events that change whether a user is subscribed.
var optOutCode, optInCode = mustCode(telltale.Unsubscribed), mustCode(telltale.Resubscribed)

func mustCode(t telltale.EventType) int64 {
	c, err := stored.Code(stored.EventTypes, t)
	if err != nil {
		panic(err)
	}
	return c
}

// followSubscriptions brings the profiles up to date of which events say that
// their users opted out or in, or should not be sent to.
func (tx *tx) followSubscriptions(a telltale.Acceptance, rows []eventRow, answers []telltale.AcceptedEvent) error {
	for i := range rows {
		if code := rows[i].code; (code != optOutCode && code != optInCode && a.Events[i].Suppression() == "") || answers[i].Duplicate {
			continue
		}
		if err := tx.followSubscription(a.ProjectID, a.Events[i]); err != nil {
			return fmt.Errorf("event %s: %w", a.Events[i].ID, err)
		}
	}
	return nil
}

func (tx *tx) followSubscription(project telltale.ProjectID, e *telltale.Event) error {
	p := tx.project(project)
	found, err := tx.store.findProfile(tx.conn, p, project, e.UserID, e.Email)
	if err != nil || found == nil {
		return err
	}
	change := telltale.UserChange{Kind: telltale.ChangeUnsubscribe, At: e.OccurredAt}
	if e.Type == telltale.Resubscribed {
		change.Kind = telltale.ChangeResubscribe
	} else if reason := e.Suppression(); reason != "" {
		change.Kind, change.Reason, change.User.Email = telltale.ChangeSuppress, reason, e.Email
	}
	effect, err := change.On(project, found.Profile, nil, tx.now)
	if err != nil {
		return err
	}
	_, err = tx.apply(p, found, nil, effect)
	return err
}
