package web

import (
	"net/http"
	"strconv"
	"time"

	"telltale.example/telltale"
)

// conversionsView is what the project's campaigns are to bring about.
type conversionsView struct {
	frame
	Goals telltale.Goals
	Form  *form // of a goal
	Times *form // of the windows
	Trial *telltale.GoalTrial
}

// Field is what was sent for a window, or what is: whole days where it is.
func (p *conversionsView) Field(name string) string {
	if p.Times != nil {
		return p.Times.Value(name)
	}
	d := p.Goals.Window
	if name == "view_window" {
		d = p.Goals.ViewWindow
	}
	return strconv.FormatFloat(d.Hours()/24, 'f', -1, 64)
}

// Credits are the rows of a trial, in the order in which messages are looked for.
func (p *conversionsView) Credits() []property {
	return []property{
		{"Named by the event, or clicked before", count(p.Trial.Credited[telltale.CreditDirect])},
		{"Opened before", count(p.Trial.Credited[telltale.CreditViewed])},
		{"Received before", count(p.Trial.Credited[telltale.CreditIndirect])},
	}
}

func conversionsPage(c *call) error { return c.showConversions(http.StatusOK, &conversionsView{}) }

func (c *call) showConversions(status int, p *conversionsView) error {
	p.frame = frame{Title: "Conversions", Section: "conversions", Crumbs: c.settingsCrumbs("Conversions")}
	var err error
	if p.Goals, err = c.Store.Goals(c.r.Context(), c.project.ID); err != nil {
		return err
	}
	return c.answer(status, "conversions", p)
}

// saveGoal sets a campaign's goal, or tries what it would have brought.
func saveGoal(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	goal := telltale.Goal{CampaignID: f.text("campaign"), EventName: f.text("event_name")}
	if err := f.blame(goal.Validate(), map[string]string{"campaign_id": "campaign"}); err != nil {
		return err
	}
	if goal.EventName == "" {
		f.fault("event_name", "Say what the recipients are to do.")
	}
	if !f.OK() {
		return c.showConversions(http.StatusUnprocessableEntity, &conversionsView{Form: f})
	}
	if f.text("try") != "" {
		trial, err := c.Store.TryGoal(c.r.Context(), c.project.ID, goal, time.Now().Add(-telltale.DefaultConversionWindow))
		if err != nil {
			return err
		}
		return c.showConversions(http.StatusOK, &conversionsView{Form: f, Trial: &trial})
	}
	if err := c.Store.SetGoal(c.r.Context(), c.project.ID, goal); err != nil {
		return err
	}
	return c.done(c.path(conversionsPath), notice{Kind: "ok", Text: "Goal saved.", Detail: "Events from now on convert messages of campaign " + goal.CampaignID + "."})
}

const conversionsPath = "/settings/project/conversions"

func removeGoal(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	if err := c.Store.SetGoal(c.r.Context(), c.project.ID, telltale.Goal{CampaignID: f.text("campaign")}); err != nil {
		return err
	}
	return c.done(c.path(conversionsPath), notice{Kind: "ok", Text: "Goal removed."})
}

func saveWindows(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	window, viewWindow := f.days("window"), f.days("view_window")
	if !f.OK() {
		return c.showConversions(http.StatusUnprocessableEntity, &conversionsView{Times: f})
	}
	if err := c.Store.SetConversionWindows(c.r.Context(), c.project.ID, window, viewWindow); err != nil {
		return err
	}
	return c.done(c.path(conversionsPath), notice{Kind: "ok", Text: "Windows saved."})
}

// days reads a window in days.
func (f *form) days(name string) time.Duration {
	days, err := strconv.ParseFloat(f.text(name), 64)
	d := time.Duration(days * 24 * float64(time.Hour))
	if err != nil || telltale.ValidateWindows(d, d) != nil {
		f.fault(name, "Use a number of days, more than 0 and at most 365.")
		return 0
	}
	return d
}
