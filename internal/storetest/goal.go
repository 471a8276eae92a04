package storetest

import (
	"strings"
	"time"

	"telltale.example/telltale"
)

// goals gives the project's, without the times at which they were set.
func (w *world) goals() telltale.Goals {
	w.Helper()
	g, err := w.Goals(w.ctx, w.project.ID)
	w.must(err)
	list := make([]telltale.Goal, len(g.ByCampaign))
	for i, goal := range g.ByCampaign {
		list[i] = telltale.Goal{CampaignID: goal.CampaignID, EventName: goal.EventName}
	}
	g.ByCampaign = list
	return g
}

func (w *world) setGoal(campaign, event string) {
	w.Helper()
	w.must(w.SetGoal(w.ctx, w.project.ID, telltale.Goal{CampaignID: campaign, EventName: event}))
}

var goalTests = []test{
	{"a project begins without goals, and with windows of thirty days", func(w *world) {
		w.equal("the goals", w.goals(), telltale.Goals{ByCampaign: []telltale.Goal{}, Window: 30 * 24 * time.Hour, ViewWindow: 30 * 24 * time.Hour})
		w.project = w.newProject("other")
		w.equal("another project's", w.goals().Window, 30*24*time.Hour)
	}},
	{"goals are set, replaced and removed, and listed by campaign, also after a restart", func(w *world) {
		other := w.newProject("other")
		w.must(w.SetGoal(w.ctx, other.ID, telltale.Goal{CampaignID: "7", EventName: "theirs"}))
		w.setGoal("7", "bought")
		w.setGoal("10", "Signed Up")
		w.setGoal("B", "called")
		w.setGoal("a", "came")
		w.setGoal("7", "paid")
		w.setGoal("B", "")
		w.setGoal("nothing", "")
		for range 2 {
			w.equal("the goals", w.goals().ByCampaign, []telltale.Goal{{CampaignID: "10", EventName: "Signed Up"}, {CampaignID: "7", EventName: "paid"}, {CampaignID: "a", EventName: "came"}})
			theirs, err := w.Goals(w.ctx, other.ID)
			w.must(err)
			w.equal("another project's goals", len(theirs.ByCampaign), 1)
			w.restart()
		}
	}},
	{"a goal says when it was set", func(w *world) {
		w.setGoal("7", "bought")
		set := milli(w.Now())
		w.Advance(time.Hour)
		w.setGoal("7", "bought") // which changes nothing
		g, err := w.Goals(w.ctx, w.project.ID)
		w.must(err)
		w.equal("when", g.ByCampaign[0].UpdatedAt, set)
	}},
	{"a goal past the bounds is invalid", func(w *world) {
		for _, g := range []telltale.Goal{
			{EventName: "bought"}, {CampaignID: strings.Repeat("x", telltale.MaxIDChars+1), EventName: "bought"}, {CampaignID: "7", EventName: " "},
			{CampaignID: "7", EventName: strings.Repeat("x", telltale.MaxIDChars+1)}, {CampaignID: "7", EventName: "a\x00"}, {CampaignID: "\x007", EventName: "a"},
		} {
			w.code(telltale.Invalid, w.SetGoal(w.ctx, w.project.ID, g))
			_, err := w.TryGoal(w.ctx, w.project.ID, g, time.Time{})
			w.code(telltale.Invalid, err)
		}
		w.equal("the goals", len(w.goals().ByCampaign), 0)
	}},
	{"the windows are set within their bounds, also after a restart", func(w *world) {
		w.must(w.SetConversionWindows(w.ctx, w.project.ID, telltale.MaxConversionWindow, time.Minute))
		for _, windows := range [][2]time.Duration{{telltale.MaxConversionWindow + 1, time.Hour}, {time.Hour, time.Minute - 1}, {0, time.Hour}, {time.Hour, -time.Hour}} {
			w.code(telltale.Invalid, w.SetConversionWindows(w.ctx, w.project.ID, windows[0], windows[1]))
		}
		w.setGoal("7", "bought")
		for range 2 {
			g := w.goals()
			w.equal("the windows", []time.Duration{g.Window, g.ViewWindow}, []time.Duration{telltale.MaxConversionWindow, time.Minute})
			w.restart()
		}
	}},
	{"a project that does not exist has no goals", func(w *world) {
		none := telltale.NewProjectID()
		_, err := w.Goals(w.ctx, none)
		w.code(telltale.NotFound, err)
		w.code(telltale.NotFound, w.SetGoal(w.ctx, none, telltale.Goal{CampaignID: "7", EventName: "bought"}))
		w.code(telltale.NotFound, w.SetConversionWindows(w.ctx, none, time.Hour, time.Hour))
		_, err = w.TryGoal(w.ctx, none, telltale.Goal{CampaignID: "7", EventName: "bought"}, time.Time{})
		w.code(telltale.NotFound, err)
	}},
	{"another name or rate of the project leaves its goals alone", func(w *world) {
		w.setGoal("7", "bought")
		w.project.Name = "Another"
		w.must(w.UpdateProject(w.ctx, w.project))
		for range 2 {
			w.equal("the goals", w.goals().ByCampaign, []telltale.Goal{{CampaignID: "7", EventName: "bought"}})
			w.restart()
		}
	}},
	{"what changes is audited, and what does not is not", func(w *world) {
		w.ctx = telltale.WithActor(w.ctx, telltale.Actor{Kind: telltale.ActorOperator, ID: "opr_1", Name: "jo"})
		w.setGoal("7", "bought")
		w.setGoal("7", "bought")
		w.setGoal("7", "paid")
		w.setGoal("7", "")
		w.setGoal("7", "")
		w.must(w.SetConversionWindows(w.ctx, w.project.ID, time.Hour, 30*24*time.Hour))
		w.must(w.SetConversionWindows(w.ctx, w.project.ID, time.Hour, 30*24*time.Hour))
		entries, err := w.AuditEntries(w.ctx, w.project.ID, telltale.AuditFilter{}, telltale.Page{Limit: 10})
		w.must(err)
		type entry struct {
			Action  telltale.AuditAction
			Target  string
			Actor   string
			Changes []telltale.AuditChange
		}
		var got []entry
		for _, e := range entries {
			got = append(got, entry{e.Action, e.Target, e.Actor.Name, e.Changes})
		}
		w.equal("the entries", got, []entry{
			{telltale.AuditWindowsChanged, string(w.project.ID), "jo", []telltale.AuditChange{{Field: "window", Before: "720h0m0s", After: "1h0m0s"}}},
			{telltale.AuditGoalRemoved, "7", "jo", []telltale.AuditChange{{Field: "event_name", Before: "paid"}}},
			{telltale.AuditGoalSet, "7", "jo", []telltale.AuditChange{{Field: "event_name", Before: "bought", After: "paid"}}},
			{telltale.AuditGoalSet, "7", "jo", []telltale.AuditChange{{Field: "event_name", After: "bought"}}},
		})
	}},
}
