package postgres

import (
	"context"

	"telltale.example/telltale"
)

func (s *Store) Deliveries(ctx context.Context, project telltale.ProjectID, f telltale.DeliveryFilter, page telltale.Page) ([]telltale.Delivery, error) {
	panic("not written")
}
