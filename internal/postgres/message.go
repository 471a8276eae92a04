package postgres

import (
	"context"

	"telltale.example/telltale"
)

func (s *Store) Messages(ctx context.Context, project telltale.ProjectID, ids []string) ([]*telltale.Message, error) {
	panic("not written")
}
