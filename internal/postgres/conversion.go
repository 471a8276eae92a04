package postgres

import (
	"context"
	"time"

	"telltale.example/telltale"
)

func (s *Store) TryGoal(ctx context.Context, project telltale.ProjectID, g telltale.Goal, since time.Time) (telltale.GoalTrial, error) {
	panic("not written")
}
