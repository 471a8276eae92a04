package web

import (
	"strings"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/schema"
)

// typesView is the twelve event types, and the operational ones.
type typesView struct {
	frame
	Types       []typeRow
	Operational []typeRow // not counted
}

type typeRow struct {
	telltale.EventType
	Count int // events in 24 hours
}

func typesPage(c *call) error {
	counts, err := c.countByType()
	if err != nil {
		return err
	}
	p := &typesView{frame: frame{Title: "Event types", Section: "types", Crumbs: c.settingsCrumbs("Event types")}}
	for _, t := range telltale.EventTypes() {
		p.Types = append(p.Types, typeRow{t, counts[t]})
	}
	for _, t := range telltale.OperationalEventTypes() {
		p.Operational = append(p.Operational, typeRow{EventType: t})
	}
	return c.page("eventtypes", p)
}

// countByType counts the events of the last 24 hours.
func (c *call) countByType() (map[telltale.EventType]int, error) {
	now := time.Now()
	stats, err := c.Store.Stats(c.r.Context(), c.project.ID, telltale.StatQuery{Since: now.Add(-24 * time.Hour), Until: now, ByType: true})
	counts := map[telltale.EventType]int{}
	for _, s := range stats {
		counts[s.Type] += s.Events
	}
	return counts, err
}

// settingsCrumbs is the path that the original names: Settings, Project, and the page.
func (c *call) settingsCrumbs(name string) []link {
	return []link{{"Settings", c.path("/settings")}, {"Project", c.path("/settings/project")}, {name, ""}}
}

// settingsPage is what the branch of the navigation leads to.
func settingsPage(c *call) error { return c.redirect(c.path("/settings/project/general")) }

// typeView is one type, with its sample and where to send it.
type typeView struct {
	frame
	Type     telltale.EventType
	Count    int // events in 24 hours
	Sample   string
	Schema   string
	Webhooks []*telltale.Webhook
}

// Anchor is the heading of the type in the payload reference.
func (v *typeView) Anchor() string { return strings.ReplaceAll(string(v.Type), ".", "") }

func typePage(c *call) error {
	t, err := telltale.ParseEventType(c.r.PathValue("type"))
	if err != nil {
		return telltale.Errorf(telltale.NotFound, "There is no such event type.")
	}
	webhooks, err := c.allWebhooks()
	if err != nil {
		return err
	}
	counts, err := c.countByType()
	if err != nil {
		return err
	}
	crumbs := c.settingsCrumbs("Event types")
	crumbs[2].URL = c.path("/settings/project/event-types")
	return c.page("eventtype", &typeView{
		frame: frame{Title: t.Label(), Section: "types", Crumbs: append(crumbs, link{t.Label(), ""})},
		Type:  t, Count: counts[t], Sample: pretty(schema.Sample(string(t))), Schema: string(schema.Schema(string(t))), Webhooks: webhooks,
	})
}
