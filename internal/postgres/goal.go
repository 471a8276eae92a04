package postgres

import (
	"context"
	"time"

	"telltale.example/telltale"
)

func (s *Store) Goals(ctx context.Context, project telltale.ProjectID) (telltale.Goals, error) {
	panic("not written")
}

func (s *Store) SetGoal(ctx context.Context, project telltale.ProjectID, g telltale.Goal) error {
	panic("not written")
}

func (s *Store) SetConversionWindows(ctx context.Context, project telltale.ProjectID, window, viewWindow time.Duration) error {
	panic("not written")
}

func (s *Store) TryGoal(ctx context.Context, project telltale.ProjectID, g telltale.Goal, since time.Time) (telltale.GoalTrial, error) {
	panic("not written")
}

type goals struct {
	telltale.Goals
	names map[string]struct{} // of the events, as they are compared
}

func newGoals(g telltale.Goals) goals { return goals{Goals: g} }

func loadGoals(ctx context.Context, q querier, r *registry, changed []int64) error { return nil }

func (tx *tx) noteOwnGoal(p *project, e *telltale.Event) error { return nil }
