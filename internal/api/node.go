package api

import (
	"context"

	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/wire"
)

func (a *api) resume(ctx context.Context, _ auth.Identity, _ *struct{ ProjectQuery }) (wire.Resumed, error) {
	was, err := a.config.Resume(ctx)
	return wire.Resumed{WasPaused: was}, err
}

func (a *api) listNodes(ctx context.Context, _ auth.Identity, _ *struct {
	ProjectQuery
	IfNoneMatch
}) (wire.Page[wire.Node], error) {
	nodes, err := a.config.Store.Nodes(ctx)
	if err != nil {
		return wire.Page[wire.Node]{}, err
	}
	page := wire.Page[wire.Node]{Data: make([]wire.Node, len(nodes))}
	for i, n := range nodes {
		page.Data[i] = wire.FromNode(n)
	}
	return page, nil
}
