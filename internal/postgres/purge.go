package postgres

import (
	"context"

	"telltale.example/telltale"
)

func (s *Store) Purge(ctx context.Context, retention telltale.Retention) (removed int, more bool, err error) {
	panic("not written")
}
