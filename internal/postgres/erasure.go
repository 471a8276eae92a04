package postgres

import (
	"context"

	"telltale.example/telltale"
)

func (s *Store) Erase(ctx context.Context, project telltale.ProjectID, user telltale.UserRef) (telltale.Erasure, error) {
	panic("not written")
}

func (s *Store) AdvanceErasure(ctx context.Context, id telltale.ErasureID) (telltale.Erasure, error) {
	panic("not written")
}

func (s *Store) Erasure(ctx context.Context, project telltale.ProjectID, id telltale.ErasureID) (telltale.Erasure, error) {
	panic("not written")
}

func (s *Store) Erasures(ctx context.Context, project telltale.ProjectID, page telltale.Page) ([]telltale.Erasure, error) {
	panic("not written")
}

func (s *Store) OpenErasures(ctx context.Context) ([]telltale.Erasure, error) { panic("not written") }
