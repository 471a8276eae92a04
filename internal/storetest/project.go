package storetest

import (
	"slices"
	"strings"

	"telltale.example/telltale"
)

var projectTests = []test{
	{"a new store holds the default project, also after a restart", func(w *world) {
		w.restart()
		projects, err := w.Projects(w.ctx)
		w.must(err)
		w.equal("the projects", projects, []telltale.Project{w.project})
		w.equal("the slug", w.project.Slug, telltale.DefaultProjectSlug)
	}},
	{"a project is found by slug and by id", func(w *world) {
		p := w.newProject("shop")
		p.IngestRate = 0
		for range 2 {
			bySlug, err := w.ProjectBySlug(w.ctx, "shop")
			w.must(err)
			w.equal("the project by slug", bySlug, p)
			byID, err := w.Project(w.ctx, p.ID)
			w.must(err)
			w.equal("the project by id", byID, p)
			w.restart()
		}
	}},
	{"a slug is taken once", func(w *world) {
		w.newProject("shop")
		w.code(telltale.Conflict, w.CreateProject(w.ctx, telltale.NewProject("shop", "Another")))
		w.code(telltale.Conflict, w.CreateProject(w.ctx, telltale.NewProject(telltale.DefaultProjectSlug, "Another")))
	}},
	{"an update changes name and rate and nothing else", func(w *world) {
		p := w.newProject("shop")
		changed := p
		changed.Name, changed.IngestRate, changed.Slug = "The shop", 2.5, "other"
		w.must(w.UpdateProject(w.ctx, changed))
		changed.Slug = "shop"
		for range 2 {
			got, err := w.ProjectBySlug(w.ctx, "shop")
			w.must(err)
			w.equal("the project", got, changed)
			w.restart()
		}
	}},
	{"a project that does not exist is not found", func(w *world) {
		none := telltale.NewProject("none", "None")
		w.code(telltale.NotFound, w.UpdateProject(w.ctx, none))
		_, err := w.Project(w.ctx, none.ID)
		w.code(telltale.NotFound, err)
		_, err = w.ProjectBySlug(w.ctx, "none")
		w.code(telltale.NotFound, err)
	}},
	{"projects are listed by slug", func(w *world) {
		for _, slug := range []string{"zoo", "a", "m-2", "m-1"} {
			w.newProject(slug)
		}
		projects, err := w.Projects(w.ctx)
		w.must(err)
		slugs := ids(projects, func(p telltale.Project) string { return p.Slug })
		w.equal("the slugs", slugs, []string{"a", "default", "m-1", "m-2", "zoo"})
		if !slices.IsSortedFunc(projects, func(a, b telltale.Project) int { return strings.Compare(a.Slug, b.Slug) }) {
			w.Fatal("the projects are not sorted")
		}
	}},
}
