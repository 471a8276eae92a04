package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// goals are those of a project, as a part of its version: whatever a user does
// asks for them.
type goals struct {
	telltale.Goals
	names map[string]struct{} // of the events, as they are compared
}

func newGoals(g telltale.Goals) goals {
	names := make(map[string]struct{}, len(g.ByCampaign))
	for _, goal := range g.ByCampaign {
		names[telltale.EventName(goal.EventName)] = struct{}{}
	}
	return goals{g, names}
}

// loadGoals reads the goals of projects that changed.
func loadGoals(ctx context.Context, q querier, r *registry, changed []int64) error {
	if len(changed) == 0 {
		return nil
	}
	set := map[int64][]telltale.Goal{}
	var number, updatedAt int64
	var goal telltale.Goal
	err := each(ctx, q, `SELECT project, campaign, event, updated_at FROM goal WHERE project = ANY($1::integer[]) ORDER BY project, campaign`, []any{changed},
		[]any{&number, &goal.CampaignID, &goal.EventName, &updatedAt}, func() error {
			goal.UpdatedAt = stored.MilliTime(updatedAt)
			set[number] = append(set[number], goal)
			return nil
		})
	if err != nil {
		return fmt.Errorf("goals: %w", err)
	}
	for number, list := range set {
		p := r.byNumber[number]
		all := p.goals.Goals
		all.ByCampaign = list
		p.goals = newGoals(all)
	}
	return nil
}

func (s *Store) Goals(ctx context.Context, project telltale.ProjectID) (telltale.Goals, error) {
	r, err := s.configured(ctx)
	if err != nil {
		return telltale.Goals{}, err
	}
	p := r.project(project)
	if p == nil {
		return telltale.Goals{}, notFound("project")
	}
	return p.goals.Goals, nil
}

func (s *Store) SetGoal(ctx context.Context, project telltale.ProjectID, g telltale.Goal) error {
	if err := g.Validate(); err != nil {
		return err
	}
	return s.configure(ctx, "setting a goal", func(tx *tx) error {
		p := tx.known.project(project)
		if p == nil {
			return notFound("project")
		}
		before, _ := p.goals.ByID(g.CampaignID)
		if before.EventName == g.EventName {
			return nil
		}
		if before.EventName == "" && len(p.goals.ByCampaign) >= telltale.MaxGoals {
			return telltale.Errorf(telltale.Conflict, "The project has %d goals, and more are not kept. Remove one first.", telltale.MaxGoals)
		}
		entry := telltale.AuditEntry{ProjectID: project, Action: telltale.AuditGoalSet, Target: g.CampaignID, Name: g.CampaignID}
		entry.Changes = []telltale.AuditChange{{Field: "event_name", Before: before.EventName, After: g.EventName}}
		var err error
		if g.EventName == "" {
			entry.Action = telltale.AuditGoalRemoved
			_, err = tx.exec(`DELETE FROM goal WHERE project = $1 AND campaign = $2`, p.number, g.CampaignID)
		} else {
			_, err = tx.exec(`INSERT INTO goal (project, campaign, event, updated_at) VALUES ($1, $2, $3, $4)
				ON CONFLICT (project, campaign) DO UPDATE SET event = excluded.event, updated_at = excluded.updated_at`, p.number, g.CampaignID, g.EventName, tx.milli)
		}
		if err == nil {
			_, err = tx.exec(`UPDATE project SET changed = $1 WHERE number = $2`, tx.changeConfig(), p.number)
		}
		if err != nil {
			return fmt.Errorf("the goal of campaign %s: %w", telltale.CutValue(g.CampaignID), err)
		}
		return tx.audit(telltale.ActorOf(ctx), entry)
	})
}

func (s *Store) SetConversionWindows(ctx context.Context, project telltale.ProjectID, window, viewWindow time.Duration) error {
	if err := telltale.ValidateWindows(window, viewWindow); err != nil {
		return err
	}
	return s.configure(ctx, "setting the conversion windows", func(tx *tx) error {
		p := tx.known.project(project)
		if p == nil {
			return notFound("project")
		}
		before := &p.goals
		if before.Window == window && before.ViewWindow == viewWindow {
			return nil
		}
		_, err := tx.exec(`UPDATE project SET conversion_window = $1, view_window = $2, changed = $3 WHERE number = $4`, int64(window), int64(viewWindow), tx.changeConfig(), p.number)
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
		return tx.audit(telltale.ActorOf(ctx), telltale.AuditEntry{ProjectID: project, Action: telltale.AuditWindowsChanged, Target: string(project), Name: p.Name, Changes: changes})
	})
}

// maxOwnGoals is how many goals of messages a project's are told apart by.
// Beyond them every event may be one.
const maxOwnGoals = 1000

// ownGoal is a goal that a message of the project brought with it, as it is compared.
type ownGoal struct {
	project int64
	event   string
}

// ownGoals are those of which the node knows that they are stored, so that not
// each message stores its goal again.
type ownGoals struct {
	mu    sync.Mutex
	known map[ownGoal]struct{}
	of    map[int64]int // how many of a project
}

// settled reports whether the goal need not be stored: it is, or the project has
// so many that it makes no difference.
func (g *ownGoals) settled(goal ownGoal) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, known := g.known[goal]
	return known || g.of[goal.project] >= maxOwnGoals
}

func (g *ownGoals) add(goals []ownGoal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.known == nil {
		g.known, g.of = map[ownGoal]struct{}{}, map[int64]int{}
	}
	for _, goal := range goals {
		if _, known := g.known[goal]; !known {
			g.known[goal] = struct{}{}
			g.of[goal.project]++
		}
	}
}

// noteOwnGoal notes, for the end of the transaction, the goal that a message
// brings with it, so that what is nobody's goal has no messages looked for.
func (tx *tx) noteOwnGoal(p *project, e *telltale.Event) error {
	if e.Type != telltale.Sent || e.ConversionEvent == "" || e.Test {
		return nil
	}
	goal := ownGoal{p.number, clean(telltale.EventName(e.ConversionEvent))}
	if !tx.store.ownGoals.settled(goal) {
		tx.rows.goals = append(tx.rows.goals, goal)
	}
	return nil
}

// queueOwnGoals stores the goals of messages in order, so that two transactions
// never wait for each other.
func (tx *tx) queueOwnGoals(b *pgx.Batch, goals []ownGoal) {
	if len(goals) == 0 {
		return
	}
	slices.SortFunc(goals, func(a, b ownGoal) int {
		return cmp.Or(cmp.Compare(a.project, b.project), cmp.Compare(a.event, b.event))
	})
	goals = slices.Compact(goals)
	project, event := make([]int64, len(goals)), make([]string, len(goals))
	for i, g := range goals {
		project[i], event[i] = g.project, g.event
	}
	b.Queue(`INSERT INTO own_goal (project, event) SELECT u.project, u.event FROM unnest($1::integer[], $2::text[]) AS u(project, event)
		WHERE (SELECT count(*) FROM own_goal o WHERE o.project = u.project) < $3 ON CONFLICT DO NOTHING`, project, event, maxOwnGoals)
	tx.onDone(func() { tx.store.ownGoals.add(goals) })
}
