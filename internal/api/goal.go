package api

import (
	"context"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/wire"
)

type GoalPath struct {
	Campaign string `path:"campaign" minLength:"1" maxLength:"255" doc:"The campaign's id, percent-encoded." example:"987"`
	ProjectQuery
}

func (a *api) getGoals(ctx context.Context, who auth.Identity, _ *struct{ ProjectQuery }) (wire.Goals, error) {
	goals, err := a.config.Store.Goals(ctx, who.Project.ID)
	return wire.FromGoals(goals), err
}

func (a *api) patchGoals(ctx context.Context, who auth.Identity, in *struct {
	ProjectQuery
	Body wire.GoalsPatch
}) (wire.Goals, error) {
	goals, err := a.config.Store.Goals(ctx, who.Project.ID)
	if err != nil {
		return wire.Goals{}, err
	}
	window, viewWindow := in.Body.Windows(goals)
	if err := a.config.Store.SetConversionWindows(ctx, who.Project.ID, window, viewWindow); err != nil {
		return wire.Goals{}, err
	}
	goals.Window, goals.ViewWindow = window, viewWindow
	return wire.FromGoals(goals), nil
}

func (a *api) putGoal(ctx context.Context, who auth.Identity, in *struct {
	GoalPath
	Body wire.GoalSet
}) (wire.Goal, error) {
	goal := telltale.Goal{CampaignID: in.Campaign, EventName: in.Body.EventName}
	if err := goal.Validate(); err != nil {
		return wire.Goal{}, err
	}
	if err := a.config.Store.SetGoal(ctx, who.Project.ID, goal); err != nil {
		return wire.Goal{}, err
	}
	goals, err := a.config.Store.Goals(ctx, who.Project.ID)
	if err != nil {
		return wire.Goal{}, err
	}
	for _, g := range wire.FromGoals(goals).Goals {
		if g.CampaignID == in.Campaign {
			return g, nil
		}
	}
	return wire.Goal{}, notFound("goal of the campaign", in.Campaign) // somebody removed it meanwhile
}

func (a *api) deleteGoal(ctx context.Context, who auth.Identity, in *GoalPath) error {
	return a.config.Store.SetGoal(ctx, who.Project.ID, telltale.Goal{CampaignID: in.Campaign})
}

func (a *api) tryGoal(ctx context.Context, who auth.Identity, in *struct {
	GoalPath
	Body wire.GoalTry
}) (wire.GoalTrial, error) {
	goal := telltale.Goal{CampaignID: in.Campaign, EventName: in.Body.EventName}
	if err := goal.Validate(); err != nil {
		return wire.GoalTrial{}, err
	}
	since := time.Now().Add(-telltale.DefaultConversionWindow)
	if in.Body.Since != nil {
		since = in.Body.Since.Time
	}
	trial, err := a.config.Store.TryGoal(ctx, who.Project.ID, goal, since)
	return wire.FromGoalTrial(trial), err
}
