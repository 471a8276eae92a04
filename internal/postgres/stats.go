package postgres

import (
	"context"

	"telltale.example/telltale"
)

func (s *Store) Stats(ctx context.Context, project telltale.ProjectID, q telltale.StatQuery) ([]telltale.Stat, error) {
	panic("not written")
}
