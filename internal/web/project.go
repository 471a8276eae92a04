package web

import (
	"net/http"
	"strconv"

	"telltale.example/telltale"
)

// projectView is a project's own settings, or a new one's.
type projectView struct {
	frame
	Form *form
}

// Field is what was sent, or what is.
func (p *projectView) Field(name string) string {
	if p.Form != nil {
		return p.Form.Value(name)
	}
	switch name {
	case "name":
		return p.Project().Name
	case "ingest_rate":
		return strconv.FormatFloat(p.Project().IngestRate, 'f', -1, 64)
	}
	return ""
}

func generalPage(c *call) error { return c.showGeneral(http.StatusOK, nil) }

func (c *call) showGeneral(status int, f *form) error {
	return c.answer(status, "general", &projectView{frame{Title: "General", Section: "general", Crumbs: c.settingsCrumbs("General")}, f})
}

func saveGeneral(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	p := c.project
	p.Name = f.text("name")
	if p.IngestRate, err = rate(f.text("ingest_rate")); err != nil {
		f.fault("ingest_rate", "Use a number of events a second; 0 means no limit.")
	}
	if err := f.blame(p.Validate(), nil); err != nil {
		return err
	}
	if !f.OK() {
		return c.showGeneral(http.StatusUnprocessableEntity, f)
	}
	if err := c.Store.UpdateProject(c.r.Context(), p); err != nil {
		return err
	}
	c.Keys.ForgetProjects()
	return c.done(c.path("/settings/project/general"), notice{Kind: "ok", Text: "Project saved."})
}

// rate reads a number; nothing is 0.
func rate(text string) (float64, error) {
	if text == "" {
		return 0, nil
	}
	return strconv.ParseFloat(text, 64)
}

// projectsView lists all projects.
type projectsView struct {
	frame
	All  []telltale.Project
	Form *form
}

func projectsPage(c *call) error { return c.showProjects(http.StatusOK, nil) }

func (c *call) showProjects(status int, f *form) error {
	all, err := c.Store.Projects(c.r.Context())
	if err != nil {
		return err
	}
	return c.answer(status, "projects", &projectsView{frame{Title: "Projects"}, all, f})
}

func createProject(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	p := telltale.NewProject(f.text("slug"), f.text("name"))
	if err := f.blame(p.Validate(), nil); err != nil {
		return err
	}
	if f.OK() {
		switch err := c.Store.CreateProject(c.r.Context(), p); {
		case telltale.CodeOf(err) == telltale.Conflict:
			f.fault("slug", messageOf(err))
		case err != nil:
			return err
		}
	}
	if !f.OK() {
		return c.showProjects(http.StatusUnprocessableEntity, f)
	}
	c.Keys.ForgetProjects()
	return c.done("/p/"+p.Slug+"/", notice{Kind: "ok", Text: "The project " + p.Name + " is ready."})
}
