package postgres

import (
	"context"

	"telltale.example/telltale"
)

func (s *Store) CreateKey(ctx context.Context, k telltale.Key) error { panic("not written") }

func (s *Store) KeyByHash(ctx context.Context, hash [32]byte) (telltale.Key, error) {
	panic("not written")
}

func (s *Store) Keys(ctx context.Context, project telltale.ProjectID, page telltale.Page) ([]telltale.Key, error) {
	panic("not written")
}

func (s *Store) RevokeKey(ctx context.Context, project telltale.ProjectID, id telltale.KeyID) (telltale.Key, error) {
	panic("not written")
}

func (s *Store) TouchKeys(ctx context.Context, ids []telltale.KeyID) error { panic("not written") }
