package sqlite

import (
	"context"
	"fmt"

	"telltale.example/telltale"
)

// changeBytes is roughly what a change takes on disk beyond what it says.
const changeBytes = 1000

// ChangeUsers decides within the writer what each change comes to: only there
// is a profile what it will still be when the change is stored.
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
	a := telltale.Acceptance{ProjectID: c.ProjectID, Room: c.Room}
	for i := range c.Changes {
		events, err := tx.changeUser(p, c, &c.Changes[i], &changed.Results[i])
		if err != nil {
			return changed, fmt.Errorf("change %d, %s: %w", i, c.Changes[i].Kind, err)
		}
		changed.Results[i].Events = len(events)
		a.Events = append(a.Events, events...)
	}
	rows, _, err := newEventRows(a)
	if err != nil {
		return changed, err
	}
	if changed.Accepted, err = tx.accept(a, rows); err != nil || c.Import == nil {
		return changed, err
	}
	return changed, tx.noteImport(job, c.Import, changed.Results)
}

// changeUser applies one change and gives the events that come of it, which are
// not stored yet. What breaks a bound, in the profile or in the payload of an
// event, is noted in the result before anything is written.
func (tx *tx) changeUser(p *project, c *telltale.UserChanges, change *telltale.UserChange, result *telltale.UserResult) ([]*telltale.Event, error) {
	found, err := findProfile(tx.conn, p, c.ProjectID, refID(change.User), change.User.Email)
	if err != nil {
		return nil, err
	}
	var other *profileRow
	var key repeatKey
	switch change.Kind {
	case telltale.ChangeReidentify:
		to := telltale.UserRef{ID: change.NewID}
		if other, err = profileOfUser(tx.conn, p, c.ProjectID, to.UserID()); err != nil {
			return nil, err
		}
	case telltale.ChangeTrack:
		key = newRepeatKey(c.ProjectID, change, found)
		if result.Repeated, err = tx.repeats(key, c.RepeatWindow); err != nil || result.Repeated {
			return nil, err
		}
	}

	var effect telltale.Effect
	if effect, result.Err = change.On(c.ProjectID, found.profile(), other.profile(), tx.now); result.Err != nil {
		return nil, nil
	}
	events := make([]*telltale.Event, len(effect.Activities))
	for i := range effect.Activities {
		var faults []telltale.Fault
		if events[i], faults = effect.Activities[i].Event(c.ProjectID, c.Source, tx.presentTime()); len(faults) > 0 {
			result.Err = telltale.Faulty("The event that would come of it is not valid.", faults)
			return nil, nil
		}
	}

	user, err := tx.apply(p, found, other, effect)
	if err != nil {
		return nil, err
	}
	result.Created = found == nil && user != nil
	if change.Kind != telltale.ChangeTrack {
		return events, nil
	}
	e, err := tx.track(p, user, change.Event, key, c.RepeatWindow)
	if err != nil || c.NoConversions {
		return events, err
	}
	converted, err := tx.convert(p, c, user, e)
	if converted != nil {
		events = append(events, converted)
	}
	return events, err
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
	c, err := code(eventTypes, t)
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
	found, err := findProfile(tx.conn, p, project, e.UserID, e.Email)
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
