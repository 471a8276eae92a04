package postgres

import (
	"context"

	"telltale.example/telltale"
)

func (s *Store) ProfilesByRef(ctx context.Context, project telltale.ProjectID, users []telltale.UserRef) ([]*telltale.Profile, error) {
	panic("not written")
}
