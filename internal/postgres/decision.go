package postgres

import (
	"context"

	"telltale.example/telltale"
)

// A decision is what a change comes to, with the events that it makes.
type decision struct {
	effect telltale.Effect
	told   told
	err    error // why it is not applied: Invalid
}

// told are the events that tell of changes, with what is worked out of them.
type told struct {
	events []*telltale.Event
	rows   []eventRow
}

func (t *told) add(project telltale.ProjectID, event *telltale.Event) error {
	row, err := newEventRow(project, event)
	t.events, t.rows = append(t.events, event), append(t.rows, row)
	return err
}

// decide works out what the change comes to for the profiles that its user, and
// who has the new id, have now. What breaks a bound, in a profile or in the
// payload of an event, decides that it is not applied.
func (tx *tx) decide(c *telltale.UserChanges, change *telltale.UserChange, found, other *user) (d decision, err error) {
	now := tx.presentTime()
	if d.effect, d.err = change.On(c.ProjectID, found.profile(), other.profile(), now); d.err != nil {
		return d, nil
	}
	for i := range d.effect.Activities {
		event, faults := d.effect.Activities[i].Event(c.ProjectID, c.Source, now)
		if len(faults) > 0 {
			return decision{err: telltale.Faulty("The event that would come of it is not valid.", faults)}, nil
		}
		if err := d.told.add(c.ProjectID, event); err != nil {
			return d, err
		}
	}
	return d, nil
}

// PrepareChanges works out nothing ahead: a decision waits for those alone who
// change the same users, and what was decided for users as they were before they
// are held would have to be decided again.
func (s *Store) PrepareChanges(ctx context.Context, c *telltale.UserChanges) error {
	known, err := s.configured(ctx)
	if err != nil {
		return err
	}
	if known.project(c.ProjectID) == nil {
		return notFound("project")
	}
	c.Prepared = nil
	return nil
}
