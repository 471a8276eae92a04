package client

import (
	"context"
	"net/http"
	"net/url"

	"telltale.example/telltale/internal/wire"
)

// Goals reads the project's goals.
func (c *Client) Goals(ctx context.Context) (w wire.Goals, err error) {
	err = c.get(ctx, "/v1/goals", nil, &w)
	return w, err
}

// EditGoals changes the conversion windows.
func (c *Client) EditGoals(ctx context.Context, in wire.GoalsPatch) (w wire.Goals, err error) {
	err = c.send(ctx, http.MethodPatch, "/v1/goals", in, &w)
	return w, err
}

// SetGoal sets a campaign's goal.
func (c *Client) SetGoal(ctx context.Context, campaign string, in wire.GoalSet) (w wire.Goal, err error) {
	err = c.send(ctx, http.MethodPut, goalPath(campaign), in, &w)
	return w, err
}

// RemoveGoal removes a campaign's goal.
func (c *Client) RemoveGoal(ctx context.Context, campaign string) error {
	return c.send(ctx, http.MethodDelete, goalPath(campaign), nil, nil)
}

// TryGoal asks what a goal would have brought. It changes nothing, so a dry run makes it too.
func (c *Client) TryGoal(ctx context.Context, campaign string, in wire.GoalTry) (w wire.GoalTrial, err error) {
	plain := *c
	plain.options.DryRun = nil
	err = plain.send(ctx, http.MethodPost, goalPath(campaign)+"/try", in, &w)
	return w, err
}

func goalPath(campaign string) string { return "/v1/goals/" + url.PathEscape(campaign) }
