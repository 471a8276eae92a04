package postgres

import (
	"context"

	"telltale.example/telltale"
)

func (s *Store) BeginIdempotent(ctx context.Context, r telltale.IdempotentRequest) (*telltale.IdempotentAnswer, error) {
	panic("not written")
}

func (s *Store) EndIdempotent(ctx context.Context, r telltale.IdempotentRequest, a *telltale.IdempotentAnswer) error {
	panic("not written")
}
