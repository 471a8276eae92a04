package sqlite

import (
	"context"
	"fmt"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// Goals are kept in memory, too, as a part of their project: whatever a user
// does asks for them.
type goals struct {
	telltale.Goals
	names map[string]struct{} // of the events, as they are compared
}

func newGoals(g telltale.Goals) *goals {
	names := make(map[string]struct{}, len(g.ByCampaign))
	for _, goal := range g.ByCampaign {
		names[telltale.EventName(goal.EventName)] = struct{}{}
	}
	return &goals{g, names}
}

// maxOwnGoals is how many goals of messages a project's are told apart by.
// Beyond them every event may be one.
const maxOwnGoals = 1000

// noteOwnGoal notes the goal that a message brings with it, so that what is
// nobody's goal has no messages looked for.
func (tx *tx) noteOwnGoal(p *project, e *telltale.Event) error {
	if e.Type != telltale.Sent || e.ConversionEvent == "" || e.Test {
		return nil
	}
	goal := telltale.EventName(e.ConversionEvent)
	if _, known := p.ownGoals[goal]; known || len(p.ownGoals) >= maxOwnGoals {
		return nil
	}
	if p.ownGoals == nil {
		p.ownGoals = map[string]struct{}{}
	}
	p.ownGoals[goal] = struct{}{}
	tx.onUndo(func() { delete(p.ownGoals, goal) })
	if err := tx.change(`INSERT OR IGNORE INTO own_goal (project, event) VALUES (?, ?)`).int(p.number).text(goal).run(); err != nil {
		return fmt.Errorf("noting the goal %s: %w", telltale.CutValue(goal), err)
	}
	return nil
}

// mayConvert reports whether the event may be the goal of any message.
func (tx *tx) mayConvert(p *project, event string) bool {
	goal := telltale.EventName(event)
	_, own := p.ownGoals[goal]
	_, set := tx.projectState(p).goals.names[goal]
	return own || set || len(p.ownGoals) >= maxOwnGoals
}

func (s *Store) Goals(_ context.Context, project telltale.ProjectID) (telltale.Goals, error) {
	if err := s.down(); err != nil {
		return telltale.Goals{}, err
	}
	p := s.known.project(project)
	if p == nil {
		return telltale.Goals{}, notFound("project")
	}
	return p.now.Load().goals.Goals, nil
}

func loadGoals(c *conn, r *registry) error {
	set := map[int64][]telltale.Goal{}
	err := c.query(`SELECT project, campaign, event, updated_at FROM goal ORDER BY project, campaign`).each(func(q *query) error {
		p := q.getInt()
		set[p] = append(set[p], telltale.Goal{CampaignID: q.getText(), EventName: q.getText(), UpdatedAt: stored.MilliTime(q.getInt())})
		return nil
	})
	if err != nil {
		return err
	}
	for number, list := range set {
		p := r.byProject[number]
		state := *p.now.Load()
		all := state.goals.Goals
		all.ByCampaign = list
		state.goals = newGoals(all)
		p.now.Store(&state)
	}
	return c.query(`SELECT project, event FROM own_goal ORDER BY project, event`).each(func(q *query) error {
		p := r.byProject[q.getInt()]
		if p.ownGoals == nil {
			p.ownGoals = map[string]struct{}{}
		}
		p.ownGoals[q.getText()] = struct{}{}
		return nil
	})
}

func (s *Store) SetGoal(ctx context.Context, project telltale.ProjectID, g telltale.Goal) error {
	if err := g.Validate(); err != nil {
		return err
	}
	actor := telltale.ActorOf(ctx)
	return s.write(ctx, "setting a goal", 500, func(tx *tx) error {
		p := tx.project(project)
		if p == nil {
			return notFound("project")
		}
		state := *tx.projectState(p)
		before, _ := state.goals.ByID(g.CampaignID)
		if before.EventName == g.EventName {
			return nil
		}
		if before.EventName == "" && len(state.goals.ByCampaign) >= telltale.MaxGoals {
			return telltale.Errorf(telltale.Conflict, "The project has %d goals, and more are not kept. Remove one first.", telltale.MaxGoals)
		}
		g.UpdatedAt = tx.presentTime()
		state.goals = newGoals(state.goals.With(g))
		tx.setProject(p, &state)

		entry := telltale.AuditEntry{ProjectID: project, Action: telltale.AuditGoalSet, Target: g.CampaignID, Name: g.CampaignID}
		entry.Changes = []telltale.AuditChange{{Field: "event_name", Before: before.EventName, After: g.EventName}}
		var err error
		if g.EventName == "" {
			entry.Action = telltale.AuditGoalRemoved
			err = tx.change(`DELETE FROM goal WHERE project = ? AND campaign = ?`).int(p.number).text(g.CampaignID).run()
		} else {
			err = tx.change(`INSERT OR REPLACE INTO goal (project, campaign, event, updated_at) VALUES (?, ?, ?, ?)`).
				int(p.number).text(g.CampaignID).text(g.EventName).int(stored.TimeMilli(g.UpdatedAt)).run()
		}
		if err != nil {
			return fmt.Errorf("the goal of campaign %s: %w", telltale.CutValue(g.CampaignID), err)
		}
		return tx.audit(actor, entry)
	})
}

func (s *Store) SetConversionWindows(ctx context.Context, project telltale.ProjectID, window, viewWindow time.Duration) error {
	if err := telltale.ValidateWindows(window, viewWindow); err != nil {
		return err
	}
	actor := telltale.ActorOf(ctx)
	return s.write(ctx, "setting the conversion windows", 300, func(tx *tx) error {
		p := tx.project(project)
		if p == nil {
			return notFound("project")
		}
		state := *tx.projectState(p)
		before := state.goals.Goals
		if before.Window == window && before.ViewWindow == viewWindow {
			return nil
		}
		after := before
		after.Window, after.ViewWindow = window, viewWindow
		state.goals = newGoals(after)
		tx.setProject(p, &state)
		err := tx.change(`UPDATE project SET conversion_window = ?, view_window = ? WHERE number = ?`).int(int64(window)).int(int64(viewWindow)).int(p.number).run()
		if err != nil {
			return err
		}
		var changes []telltale.AuditChange
		for _, w := range [...]struct {
			field         string
			before, after time.Duration
		}{{"window", before.Window, window}, {"view_window", before.ViewWindow, viewWindow}} {
			if w.before != w.after {
				changes = append(changes, telltale.AuditChange{Field: w.field, Before: w.before.String(), After: w.after.String()})
			}
		}
		return tx.audit(actor, telltale.AuditEntry{ProjectID: project, Action: telltale.AuditWindowsChanged, Target: string(project), Name: state.Name, Changes: changes})
	})
}
