package wire

import (
	"cmp"
	"slices"
	"time"

	"telltale.example/telltale"
)

// Goals is what a project's campaigns are to bring about.
type Goals struct {
	Window     Duration `json:"window" doc:"For how long after it was sent a message converts." example:"720h"`
	ViewWindow Duration `json:"view_window" doc:"The same for messages that were opened only." example:"720h"`
	Goals      []Goal   `json:"goals" nullable:"false" doc:"By campaign id."`
}

// Goal is the event that a campaign is to bring about.
type Goal struct {
	CampaignID string `json:"campaign_id" example:"987"`
	EventName  string `json:"event_name" doc:"Of the tracked event. Case, and space against underscore, make no difference." example:"purchased item"`
	UpdatedAt  Time   `json:"updated_at" format:"date-time" example:"2026-11-20T09:30:00.000Z"`
}

// FromGoals gives the JSON form.
func FromGoals(g telltale.Goals) Goals {
	out := Goals{Window: Duration(g.Window), ViewWindow: Duration(g.ViewWindow), Goals: make([]Goal, len(g.ByCampaign))}
	for i, goal := range g.ByCampaign {
		out.Goals[i] = Goal{CampaignID: goal.CampaignID, EventName: goal.EventName, UpdatedAt: Time{goal.UpdatedAt}}
	}
	return out
}

// GoalsPatch changes the windows.
type GoalsPatch struct {
	Window     Change[Duration] `json:"window,omitzero" doc:"1m to 8760h; the default is 720h." example:"720h"`
	ViewWindow Change[Duration] `json:"view_window,omitzero" doc:"1m to 8760h; the default is 720h." example:"168h"`
}

// GoalSet sets a campaign's goal.
type GoalSet struct {
	EventName string `json:"event_name" minLength:"1" maxLength:"255" doc:"The name of the tracked event." example:"purchased item"`
}

// GoalTry asks what a goal would have brought.
type GoalTry struct {
	EventName string `json:"event_name" minLength:"1" maxLength:"255" doc:"The name of the tracked event." example:"purchased item"`
	Since     *Time  `json:"since,omitempty" format:"date-time" doc:"Only events from then or later; 30 days ago, if left out." example:"2026-11-20T09:00:00.000Z"`
}

// GoalTrial is what a goal would have brought.
type GoalTrial struct {
	Events   int         `json:"events" doc:"Tracked events of the name." example:"120"`
	Credited []GoalShare `json:"credited" nullable:"false" doc:"How many conversions of the campaign's messages they would have been, and why."`
	Complete bool        `json:"complete" doc:"false: it was given up after some seconds; there are more."`
}

// GoalShare is how many messages would have been credited for a reason.
type GoalShare struct {
	Credit string `json:"credit" enum:"direct,view_through,indirect" doc:"direct: named, or clicked before. view_through: opened before. indirect: received before."`
	Count  int    `json:"count" example:"12"`
}

// FromGoalTrial gives the JSON form.
func FromGoalTrial(t telltale.GoalTrial) GoalTrial {
	out := GoalTrial{Events: t.Events, Credited: []GoalShare{}, Complete: !t.More}
	for credit, n := range t.Credited {
		out.Credited = append(out.Credited, GoalShare{string(credit), n})
	}
	slices.SortFunc(out.Credited, func(a, b GoalShare) int { return cmp.Compare(a.Credit, b.Credit) })
	return out
}

// Windows is the two windows as the patch leaves them.
func (p *GoalsPatch) Windows(g telltale.Goals) (window, viewWindow time.Duration) {
	const usual = Duration(telltale.DefaultConversionWindow)
	return time.Duration(p.Window.Or(Duration(g.Window), usual)), time.Duration(p.ViewWindow.Or(Duration(g.ViewWindow), usual))
}
