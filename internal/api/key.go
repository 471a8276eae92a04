package api

import (
	"context"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/wire"
)

type KeyPath struct {
	ID string `path:"id" doc:"The key's id." example:"key_01JD0000000000000000000000"`
	ProjectQuery
}

func (a *api) listKeys(ctx context.Context, who auth.Identity, in *struct {
	Scope string `query:"scope" enum:"owner" doc:"owner: the keys that work on every project, instead of the project's own. Only for owner keys."`
	ProjectQuery
	PageQuery
}) (wire.Page[wire.Key], error) {
	project := who.Project.ID
	if in.Scope == string(telltale.ScopeOwner) {
		if who.Key.Scope != telltale.ScopeOwner {
			return wire.Page[wire.Key]{}, errOwnerKeys
		}
		project = ""
	}
	return paged(ctx, a, list{"keys", project}, in.PageQuery,
		func(k telltale.Key) string { return string(k.ID) }, wire.FromKey,
		func(ctx context.Context, page telltale.Page) ([]telltale.Key, error) {
			return a.config.Store.Keys(ctx, project, page)
		})
}

// errOwnerKeys keeps a project's keys from reaching beyond their project.
var errOwnerKeys = telltale.Errorf(telltale.Forbidden, "Only an owner key sees, makes and revokes owner keys.")

func (a *api) createKey(ctx context.Context, who auth.Identity, in *struct {
	ProjectQuery
	Body wire.KeyCreate
}) (wire.Key, error) {
	scope, project := telltale.Scope(in.Body.Scope), who.Project.ID
	if scope == telltale.ScopeOwner {
		if who.Key.Scope != telltale.ScopeOwner {
			return wire.Key{}, errOwnerKeys
		}
		project = ""
	}
	key, token := telltale.NewKey(project, in.Body.Name, scope)
	if err := key.Validate(); err != nil {
		return wire.Key{}, err
	}
	if err := a.config.Store.CreateKey(ctx, key); err != nil {
		return wire.Key{}, err
	}
	out := wire.FromKey(key)
	out.Key = token
	return out, nil
}

// revokeKey ends a key of the project or, for an owner, an owner key.
func (a *api) revokeKey(ctx context.Context, who auth.Identity, in *KeyPath) error {
	id, err := keyID(in.ID)
	if err != nil {
		return err
	}
	key, err := a.config.Store.RevokeKey(ctx, who.Project.ID, id)
	if telltale.CodeOf(err) == telltale.NotFound && who.Key.Scope == telltale.ScopeOwner {
		key, err = a.config.Store.RevokeKey(ctx, "", id)
	}
	if err != nil {
		return found(err, "key", in.ID)
	}
	a.config.Keys.Forget(key.Hash)
	return nil
}
