package postgres

import (
	"context"

	"telltale.example/telltale"
)

func (s *Store) ChangeUsers(ctx context.Context, c telltale.UserChanges) (telltale.UserChanged, error) {
	panic("not written")
}

func (s *Store) PrepareChanges(ctx context.Context, c *telltale.UserChanges) error {
	panic("not written")
}

func (s *Store) Profile(ctx context.Context, project telltale.ProjectID, id telltale.ProfileID) (*telltale.Profile, error) {
	panic("not written")
}

func (s *Store) FindProfile(ctx context.Context, project telltale.ProjectID, user telltale.UserRef) (*telltale.Profile, error) {
	panic("not written")
}

func (s *Store) Profiles(ctx context.Context, project telltale.ProjectID, f telltale.ProfileFilter, page telltale.Page) ([]*telltale.Profile, error) {
	panic("not written")
}

func (s *Store) CountProfiles(ctx context.Context, project telltale.ProjectID, f telltale.ProfileFilter, limit int) (n int, more bool, err error) {
	panic("not written")
}

func (s *Store) TrackedEvents(ctx context.Context, project telltale.ProjectID, id telltale.ProfileID, page telltale.Page) ([]*telltale.TrackedEvent, error) {
	panic("not written")
}

func (tx *tx) followSubscriptions(a telltale.Acceptance, rows []eventRow, answers []telltale.AcceptedEvent) error {
	return nil
}
