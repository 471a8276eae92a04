package client

import (
	"context"
	"net/http"
	"net/url"

	"telltale.example/telltale/internal/wire"
)

// Projects lists the projects that the key reaches.
func (c *Client) Projects(ctx context.Context, each func(wire.Project) error) error {
	return all(ctx, c, "/v1/projects", each)
}

// Project reads one by its slug.
func (c *Client) Project(ctx context.Context, slug string) (w wire.Project, err error) {
	err = c.get(ctx, projectPath(slug), nil, &w)
	return w, err
}

// CreateProject makes one.
func (c *Client) CreateProject(ctx context.Context, in wire.ProjectCreate) (w wire.Project, err error) {
	err = c.send(ctx, http.MethodPost, "/v1/projects", in, &w)
	return w, err
}

// EditProject changes one.
func (c *Client) EditProject(ctx context.Context, slug string, in wire.ProjectPatch) (w wire.Project, err error) {
	err = c.send(ctx, http.MethodPatch, projectPath(slug), in, &w)
	return w, err
}

func projectPath(slug string) string { return "/v1/projects/" + url.PathEscape(slug) }
