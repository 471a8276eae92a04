package postgres

import (
	"context"

	"telltale.example/telltale"
)

func (s *Store) Nodes(ctx context.Context) ([]telltale.Node, error) { panic("not written") }

func (s *Store) Info(ctx context.Context) (telltale.StoreInfo, error) { panic("not written") }
