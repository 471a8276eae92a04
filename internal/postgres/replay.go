package postgres

import (
	"context"

	"telltale.example/telltale"
)

func (s *Store) PlanReplay(ctx context.Context, project telltale.ProjectID, selection telltale.Selection, to telltale.WebhookID) (telltale.ReplayPlan, error) {
	panic("not written")
}

func (s *Store) CreateReplay(ctx context.Context, r telltale.Replay) (telltale.Replay, error) {
	panic("not written")
}

func (s *Store) Replay(ctx context.Context, project telltale.ProjectID, id telltale.ReplayID) (telltale.Replay, error) {
	panic("not written")
}

func (s *Store) Replays(ctx context.Context, project telltale.ProjectID, page telltale.Page) ([]telltale.Replay, error) {
	panic("not written")
}

func (s *Store) SwitchReplay(ctx context.Context, project telltale.ProjectID, id telltale.ReplayID, to telltale.ReplayState) (telltale.Replay, error) {
	panic("not written")
}

func (s *Store) RunningReplays(ctx context.Context) ([]telltale.Replay, error) { panic("not written") }

func (s *Store) AdvanceReplay(ctx context.Context, id telltale.ReplayID, n int) (telltale.Replay, []*telltale.Webhook, error) {
	panic("not written")
}

// countReplayed notes that a delivery of a replay moved from one state to another.
func (tx *tx) countReplayed(replay, before, after int64) {}
