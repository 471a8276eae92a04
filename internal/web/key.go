package web

import (
	"net/http"

	"telltale.example/telltale"
)

// keysView lists the project's API keys.
type keysView struct {
	frame
	Keys  []telltale.Key
	Form  *form
	Pager pager
}

func (p *keysView) Scopes() []option {
	chosen := p.Form.Value("scope")
	if chosen == "" {
		chosen = string(telltale.ScopeIngest)
	}
	return options(chosen,
		"ingest", "Ingest: send events, Track API", "read", "Read: everything but secrets", "manage", "Manage: read, ingest, webhooks and keys", "track", "Track: only the Track API, also from a browser")
}

func keysPage(c *call) error { return c.showKeys(http.StatusOK, &keysView{}) }

func (c *call) showKeys(status int, p *keysView) error {
	p.frame = frame{Title: "API keys", Section: "keys", Crumbs: c.settingsCrumbs("API keys")}
	_, pager, err := c.listed(nil, func(page telltale.Page) (int, func(int) string, func(int, int), error) {
		var err error
		p.Keys, err = c.Store.Keys(c.r.Context(), c.project.ID, page)
		return len(p.Keys), func(i int) string { return string(p.Keys[i].ID) }, func(from, to int) { p.Keys = p.Keys[from:to] }, err
	})
	if err != nil {
		return err
	}
	p.Pager = pager
	return c.answer(status, "keys", p)
}

func createKey(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	key, token := telltale.NewKey(c.project.ID, f.text("name"), telltale.Scope(f.text("scope")))
	if key.Scope == telltale.ScopeOwner {
		key.Scope = "" // owner keys belong to no project
	}
	if err := f.blame(key.Validate(), nil); err != nil {
		return err
	}
	if !f.OK() {
		return c.showKeys(http.StatusUnprocessableEntity, &keysView{Form: f})
	}
	if err := c.Store.CreateKey(c.r.Context(), key); err != nil {
		return err
	}
	return c.done(c.path("/settings/project/api-keys"), notice{
		Kind: "ok", Text: "Copy the key " + key.Name + " now.", Detail: "It is not shown again.", Secret: &copied{token, "the key"},
	})
}

func revokeKey(c *call) error {
	key, err := c.Store.RevokeKey(c.r.Context(), c.project.ID, telltale.KeyID(c.r.PathValue("key")))
	if err != nil {
		return orNoPage(err, "There is no such key.")
	}
	c.Keys.Forget(key.Hash)
	return c.done(c.path("/settings/project/api-keys"), notice{Kind: "ok", Text: "The key " + key.Name + " is revoked.", Detail: "Whoever uses it is refused from now on."})
}

// revokeView asks before it is done.
type revokeView struct {
	frame
	Key telltale.Key
}

func confirmRevoke(c *call) error {
	key, err := c.key(telltale.KeyID(c.r.PathValue("key")))
	if err != nil {
		return err
	}
	crumbs := c.settingsCrumbs("API keys")
	crumbs[2].URL = c.path("/settings/project/api-keys")
	p := &revokeView{frame{Title: "Revoke this key?", Section: "keys", Crumbs: append(crumbs, link{key.Name, ""})}, key}
	if c.partial() {
		return c.part("revoke", "dialog", p)
	}
	return c.page("revoke", p)
}

// key finds a key of the project. There are few, so that the store lists them only.
func (c *call) key(id telltale.KeyID) (telltale.Key, error) {
	for page := (telltale.Page{Limit: telltale.MaxPage}); ; {
		keys, err := c.Store.Keys(c.r.Context(), c.project.ID, page)
		if err != nil {
			return telltale.Key{}, err
		}
		for _, k := range keys {
			if k.ID == id {
				return k, nil
			}
		}
		if len(keys) < page.Limit {
			return telltale.Key{}, telltale.Errorf(telltale.NotFound, "There is no such key.")
		}
		page.After = string(keys[len(keys)-1].ID)
	}
}
