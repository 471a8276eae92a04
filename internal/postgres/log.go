package postgres

import (
	"context"
	"time"

	"telltale.example/telltale"
)

func (s *Store) SearchDeliveries(ctx context.Context, project telltale.ProjectID, f telltale.DeliveryFilter, page telltale.Page, patience time.Duration) (telltale.DeliverySearch, error) {
	panic("not written")
}

func (s *Store) CountDeliveries(ctx context.Context, project telltale.ProjectID, f telltale.DeliveryFilter, limit int) (n int, more bool, err error) {
	panic("not written")
}

func (s *Store) CountEvents(ctx context.Context, project telltale.ProjectID, f telltale.EventFilter, limit int) (n int, more bool, err error) {
	panic("not written")
}

func (s *Store) LogEnd(ctx context.Context) (telltale.Cursor, error) { panic("not written") }

func (s *Store) LogSince(ctx context.Context, project telltale.ProjectID, after telltale.Cursor, limit int) (telltale.LogPage, error) {
	panic("not written")
}
