package api

import (
	"context"
	"strings"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/wire"
)

type BinPath struct {
	Bin string `path:"bin" doc:"The bin's id." example:"kq3jv5m2x7a4d6cbnw2ytrhe"`
	ProjectQuery
}

func (a *api) createBin(ctx context.Context, who auth.Identity, _ *struct{ ProjectQuery }) (wire.Bin, error) {
	b := telltale.NewBin(who.Project.ID)
	if err := a.config.Store.CreateBin(ctx, b); err != nil {
		return wire.Bin{}, err
	}
	return a.formOfBin(b), nil
}

func (a *api) formOfBin(b telltale.Bin) wire.Bin {
	return wire.FromBin(b, strings.TrimSuffix(a.config.PublicURL, "/"))
}

func (a *api) listBins(ctx context.Context, who auth.Identity, _ *struct {
	ProjectQuery
	IfNoneMatch
}) (wire.Page[wire.Bin], error) {
	bins, err := a.config.Store.Bins(ctx, who.Project.ID)
	page := wire.Page[wire.Bin]{Data: make([]wire.Bin, len(bins))}
	for i, b := range bins {
		page.Data[i] = a.formOfBin(b)
	}
	return page, err
}

func (a *api) getBin(ctx context.Context, who auth.Identity, in *BinPath) (wire.Bin, error) {
	b, err := a.bin(ctx, who, in.Bin)
	return a.formOfBin(b), err
}

// bin finds the project's bin. The store knows bins by their id alone.
func (a *api) bin(ctx context.Context, who auth.Identity, id string) (telltale.Bin, error) {
	if len(id) > maxRow { // no id is that long
		return telltale.Bin{}, notFound("bin", id)
	}
	b, err := a.config.Store.Bin(ctx, telltale.BinID(id))
	if err == nil && b.ProjectID != who.Project.ID {
		err = notFound("bin", id)
	}
	return b, found(err, "bin", id)
}

func (a *api) answerBin(ctx context.Context, who auth.Identity, in *struct {
	BinPath
	Body wire.BinAnswer
}) (wire.Bin, error) {
	if _, err := a.bin(ctx, who, in.Bin); err != nil {
		return wire.Bin{}, err
	}
	answer := in.Body.Read()
	if err := answer.Validate(); err != nil {
		return wire.Bin{}, err
	}
	b, err := a.config.Store.UpdateBin(ctx, who.Project.ID, telltale.BinID(in.Bin), answer)
	return a.formOfBin(b), found(err, "bin", in.Bin)
}

func (a *api) deleteBin(ctx context.Context, who auth.Identity, in *BinPath) error {
	if _, err := a.bin(ctx, who, in.Bin); err != nil {
		return err
	}
	return found(a.config.Store.DeleteBin(ctx, who.Project.ID, telltale.BinID(in.Bin)), "bin", in.Bin)
}

func (a *api) listCaughtRequests(ctx context.Context, who auth.Identity, in *struct {
	BinPath
	PageQuery
}) (wire.Page[wire.CaughtRequest], error) {
	b, err := a.bin(ctx, who, in.Bin)
	if err != nil {
		return wire.Page[wire.CaughtRequest]{}, err
	}
	return paged(ctx, a, list{"caught/" + string(b.ID), who.Project.ID}, in.PageQuery,
		func(r telltale.CaughtRequest) string { return string(r.ID) }, wire.FromCaughtRequest,
		func(ctx context.Context, page telltale.Page) ([]telltale.CaughtRequest, error) {
			return a.config.Store.CaughtRequests(ctx, b.ID, page)
		})
}
