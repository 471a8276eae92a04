package api

import (
	"context"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/wire"
)

func (a *api) createErasure(ctx context.Context, who auth.Identity, in *struct {
	ProjectQuery
	Body wire.ErasureCreate
}) (wire.Erasure, error) {
	user := telltale.NamedUser(in.Body.UserID, in.Body.Email)
	if user == (telltale.UserRef{}) {
		return wire.Erasure{}, telltale.Faulty("Invalid erasure.", []telltale.Fault{{Location: "body", Message: "It does not say whom to forget.", Expected: "user_id or email"}})
	}
	e, err := a.config.Store.Erase(ctx, who.Project.ID, user)
	if err != nil {
		return wire.Erasure{}, err
	}
	return wire.FromErasure(e), nil
}

func (a *api) listErasures(ctx context.Context, who auth.Identity, in *struct {
	ProjectQuery
	PageQuery
}) (wire.Page[wire.Erasure], error) {
	return paged(ctx, a, list{"erasures", who.Project.ID}, in.PageQuery,
		func(e telltale.Erasure) string { return string(e.ID) }, wire.FromErasure,
		func(ctx context.Context, page telltale.Page) ([]telltale.Erasure, error) {
			return a.config.Store.Erasures(ctx, who.Project.ID, page)
		})
}

func (a *api) getErasure(ctx context.Context, who auth.Identity, in *struct {
	ID string `path:"id" doc:"The erasure's id." example:"ers_01JD0000000000000000000000"`
	ProjectQuery
}) (wire.Erasure, error) {
	if err := wellFormed("ers_", "erasure", in.ID); err != nil {
		return wire.Erasure{}, err
	}
	e, err := a.config.Store.Erasure(ctx, who.Project.ID, telltale.ErasureID(in.ID))
	return wire.FromErasure(e), found(err, "erasure", in.ID)
}
