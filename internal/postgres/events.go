package postgres

import (
	"context"

	"telltale.example/telltale"
)

func (s *Store) Event(ctx context.Context, project telltale.ProjectID, id telltale.EventID) (*telltale.Event, error) {
	panic("not written")
}

func (s *Store) Events(ctx context.Context, project telltale.ProjectID, f telltale.EventFilter, page telltale.Page) ([]*telltale.Event, error) {
	panic("not written")
}
