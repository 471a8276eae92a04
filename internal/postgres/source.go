package postgres

import (
	"context"

	"telltale.example/telltale"
)

func (s *Store) CreateSource(ctx context.Context, source telltale.Source) (*telltale.Source, error) {
	panic("not written")
}

func (s *Store) Source(ctx context.Context, project telltale.ProjectID, id telltale.SourceID) (*telltale.Source, error) {
	panic("not written")
}

func (s *Store) SourceByToken(ctx context.Context, token telltale.SourceToken) (*telltale.Source, error) {
	panic("not written")
}

func (s *Store) Sources(ctx context.Context, project telltale.ProjectID, page telltale.Page) ([]*telltale.Source, error) {
	panic("not written")
}

func (s *Store) UpdateSource(ctx context.Context, source telltale.Source) (*telltale.Source, error) {
	panic("not written")
}

func (s *Store) DeleteSource(ctx context.Context, project telltale.ProjectID, id telltale.SourceID, version int64) (*telltale.Source, error) {
	panic("not written")
}

func (s *Store) NoteSources(ctx context.Context, tallies map[telltale.SourceID]telltale.SourceTally) error {
	panic("not written")
}

func (s *Store) KeepUnrecognised(ctx context.Context, requests []telltale.UnrecognisedRequest) error {
	panic("not written")
}

func (s *Store) UnrecognisedRequests(ctx context.Context, project telltale.ProjectID, source telltale.SourceID, page telltale.Page) ([]telltale.UnrecognisedRequest, error) {
	panic("not written")
}

func (s *Store) UnrecognisedRequest(ctx context.Context, project telltale.ProjectID, source telltale.SourceID, id telltale.RequestID) (telltale.UnrecognisedRequest, error) {
	panic("not written")
}

func (s *Store) CountUnrecognised(ctx context.Context, project telltale.ProjectID, source telltale.SourceID) (int, error) {
	panic("not written")
}

func (s *Store) DropUnrecognised(ctx context.Context, project telltale.ProjectID, source telltale.SourceID, ids []telltale.RequestID) error {
	panic("not written")
}
