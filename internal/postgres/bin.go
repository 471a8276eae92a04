package postgres

import (
	"context"

	"telltale.example/telltale"
)

func (s *Store) CreateBin(ctx context.Context, b telltale.Bin) error { panic("not written") }

func (s *Store) Bin(ctx context.Context, id telltale.BinID) (telltale.Bin, error) {
	panic("not written")
}

func (s *Store) Bins(ctx context.Context, project telltale.ProjectID) ([]telltale.Bin, error) {
	panic("not written")
}

func (s *Store) UpdateBin(ctx context.Context, project telltale.ProjectID, id telltale.BinID, answer telltale.BinAnswer) (telltale.Bin, error) {
	panic("not written")
}

func (s *Store) DeleteBin(ctx context.Context, project telltale.ProjectID, id telltale.BinID) error {
	panic("not written")
}

func (s *Store) CatchRequest(ctx context.Context, r telltale.CaughtRequest) error {
	panic("not written")
}

func (s *Store) CaughtRequests(ctx context.Context, id telltale.BinID, page telltale.Page) ([]telltale.CaughtRequest, error) {
	panic("not written")
}

func (s *Store) CaughtHeads(ctx context.Context, id telltale.BinID, page telltale.Page) ([]telltale.CaughtRequest, error) {
	panic("not written")
}

func (s *Store) CaughtRequest(ctx context.Context, id telltale.BinID, request telltale.RequestID) (telltale.CaughtRequest, error) {
	panic("not written")
}
