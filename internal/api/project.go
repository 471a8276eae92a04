package api

import (
	"context"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/wire"
)

type ProjectPath struct {
	Slug string `path:"slug" doc:"The project's slug." example:"default"`
	ProjectQuery
}

// listProjects shows an owner all projects, and everyone else their own.
func (a *api) listProjects(ctx context.Context, who auth.Identity, _ *struct {
	ProjectQuery
	IfNoneMatch
}) (wire.Page[wire.Project], error) {
	projects := []telltale.Project{who.Project}
	if who.Key.Scope == telltale.ScopeOwner {
		var err error
		if projects, err = a.config.Store.Projects(ctx); err != nil {
			return wire.Page[wire.Project]{}, err
		}
	}
	page := wire.Page[wire.Project]{Data: make([]wire.Project, len(projects))}
	for i, p := range projects {
		page.Data[i] = wire.FromProject(p)
	}
	return page, nil
}

func (a *api) createProject(ctx context.Context, _ auth.Identity, in *struct {
	ProjectQuery
	Body wire.ProjectCreate
}) (wire.Project, error) {
	p := in.Body.New()
	if err := p.Validate(); err != nil {
		return wire.Project{}, err
	}
	if err := a.config.Store.CreateProject(ctx, p); err != nil {
		return wire.Project{}, err
	}
	a.config.Keys.ForgetProjects()
	return wire.FromProject(p), nil
}

func (a *api) getProject(ctx context.Context, who auth.Identity, in *struct {
	ProjectPath
	IfNoneMatch
}) (wire.Project, error) {
	p, err := a.project(ctx, who, in.Slug)
	return wire.FromProject(p), err
}

func (a *api) patchProject(ctx context.Context, who auth.Identity, in *struct {
	ProjectPath
	IfMatch
	Body wire.ProjectPatch
}) (wire.Project, error) {
	seen, err := a.condition(callOf(ctx))
	if err != nil {
		return wire.Project{}, err
	}
	a.patchingProject.Lock() // nothing changes between the look and the change
	defer a.patchingProject.Unlock()
	p, err := a.project(ctx, who, in.Slug)
	if err != nil {
		return wire.Project{}, err
	}
	if err := seen.check(wire.FromProject(p)); err != nil {
		return wire.Project{}, err
	}
	in.Body.Apply(&p)
	if err := p.Validate(); err != nil {
		return wire.Project{}, err
	}
	if err := a.config.Store.UpdateProject(ctx, p); err != nil {
		return wire.Project{}, err
	}
	a.config.Keys.ForgetProjects()
	return wire.FromProject(p), nil
}

// project finds the project by its slug, as far as the key reaches.
func (a *api) project(ctx context.Context, who auth.Identity, slug string) (telltale.Project, error) {
	switch {
	case who.Key.Scope != telltale.ScopeOwner && slug != who.Project.Slug:
		return telltale.Project{}, notFound("project", slug)
	case who.Key.Scope != telltale.ScopeOwner:
		return who.Project, nil
	}
	p, err := a.config.Store.ProjectBySlug(ctx, slug)
	return p, found(err, "project", slug)
}
