package sqlite

import (
	"context"
	"fmt"
	"slices"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// convert gives the event converted of the message of the user that is credited
// with what they did; nil if none is. Whoever asks accepts it in the same
// transaction, and may ask for other events before it does.
func (tx *tx) convert(p *project, c *telltale.UserChanges, user *profileRow, e *telltale.TrackedEvent) (*telltale.Event, error) {
	if !tx.mayConvert(p, e.Name) {
		return nil, nil
	}
	look := messageSearch{store: tx.store, conn: tx.conn, fresh: tx.fresh, project: p, id: c.ProjectID}
	goals := &tx.projectState(p).goals.Goals
	candidates, err := look.candidates(user.Known(), goals, e)
	if err != nil {
		return nil, fmt.Errorf("tracked event %q: what it may convert: %w", telltale.CutValue(e.Name), err)
	}
	candidates = slices.DeleteFunc(candidates, func(m *telltale.Message) bool { return tx.converting[newMessageKey(p, m)] })
	m, credit := goals.Convert(e, e.OccurredAt, candidates)
	if m == nil {
		return nil, nil
	}
	a := m.Conversion(user.Profile, e.OccurredAt)
	event, faults := a.Event(c.ProjectID, c.Source, tx.presentTime())
	if len(faults) > 0 {
		return nil, nil // the message and the user are too much for one payload
	}
	event.Credit = credit
	if tx.converting == nil {
		tx.converting = map[messageKey]bool{}
	}
	tx.converting[newMessageKey(p, m)] = true
	return event, nil
}

// messageKey tells messages apart within a transaction.
type messageKey struct {
	project      int64
	id, provider string
}

func newMessageKey(p *project, m *telltale.Message) messageKey {
	return messageKey{p.number, m.MessageID, m.ProviderMessageID}
}

// Bounds of a trial, which reads what users did one by one.
const (
	trialEvents = 100_000 // looked at
	trialTime   = 2 * time.Second
	// Every so many events a trial looks whether it takes too long.
	trialStep = 100
)

// TryGoal reads on a connection that others wait for, so it gives up long before
// a read has to end.
func (s *Store) TryGoal(ctx context.Context, project telltale.ProjectID, g telltale.Goal, since time.Time) (telltale.GoalTrial, error) {
	trial := telltale.GoalTrial{Credited: map[telltale.Credit]int{}}
	if err := g.Validate(); err != nil {
		return trial, err
	}
	if err := s.down(); err != nil {
		return trial, err
	}
	p := s.known.project(project)
	if p == nil {
		return trial, notFound("project")
	}
	try := goalTrial{goal: g, name: telltale.EventName(g.EventName), goals: p.now.Load().goals.With(g), credited: map[messageKey]bool{}, trial: &trial}
	f := s.writer.names.current()
	err := s.read(ctx, "trying a goal", func(c *conn) error {
		try.messageSearch = messageSearch{store: s, conn: c, fresh: f, project: p, id: project}
		return try.run(since)
	})
	return trial, err
}

// goalTrial is a goal that is tried on what users did.
type goalTrial struct {
	messageSearch
	goal     telltale.Goal
	name     string
	goals    telltale.Goals
	credited map[messageKey]bool // in this trial
	trial    *telltale.GoalTrial
}

func (t *goalTrial) run(since time.Time) error {
	if t.name == "" {
		return nil
	}
	began := time.Now()
	q := t.conn.query(`SELECT ` + trackedColumns + `, t.profile, t.project FROM tracked_event t WHERE t.number >= ? ORDER BY t.number LIMIT ?`).
		int(stored.FirstNumber(since)).int(trialEvents + 1)
	for looked := 0; ; looked++ {
		row, err := q.next()
		if err != nil || !row {
			return err
		}
		if looked == trialEvents || looked%trialStep == trialStep-1 && time.Since(began) > trialTime {
			q.done()
			t.trial.More = true
			return nil
		}
		e, err := scanTracked(q)
		profile, project := q.getInt(), q.getInt()
		if err == nil && project == t.project.number && telltale.EventName(e.Name) == t.name {
			err = t.event(e, profile)
		}
		if err != nil {
			q.done()
			return err
		}
	}
}

// event counts an event, and credits a message of the campaign with it if it
// comes first. What was converted in truth says nothing of those.
func (t *goalTrial) event(e *telltale.TrackedEvent, profile int64) error {
	user, err := t.store.profileByNumber(t.conn, t.id, profile)
	if err != nil || user == nil {
		return err
	}
	t.trial.Events++
	candidates, err := t.candidates(user.Known(), &t.goals, e)
	if err != nil {
		return err
	}
	for _, m := range candidates {
		if m.CampaignID() != t.goal.CampaignID {
			continue
		}
		m.ConvertedAt = time.Time{}
		if t.credited[newMessageKey(t.project, m)] {
			m.ConvertedAt = e.OccurredAt
		}
	}
	m, credit := t.goals.Convert(e, e.OccurredAt, candidates)
	if m != nil && m.CampaignID() == t.goal.CampaignID {
		t.credited[newMessageKey(t.project, m)] = true
		t.trial.Credited[credit]++
	}
	return nil
}
