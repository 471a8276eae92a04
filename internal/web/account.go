package web

import (
	"net/http"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
)

// accountPage is one's own: how the pages look, the password, the sessions.
type accountView struct {
	frame
	Form     *form
	Sessions []telltale.Session
}

// Current reports whether the session is the one that looks.
func (p *accountView) Current(s telltale.Session) bool { return s.Hash == p.call.who.Session.Hash }

func (p *accountView) Themes() []option {
	return options(string(p.Who().Theme), "", "As my system is set", "light", "Light", "dark", "Dark")
}

func accountPage(c *call) error { return c.showAccount(http.StatusOK, nil) }

func (c *call) showAccount(status int, f *form) error {
	sessions, err := c.Store.Sessions(c.r.Context(), c.who.ID)
	if err != nil {
		return err
	}
	return c.answer(status, "account", &accountView{frame: frame{Title: "Account"}, Form: f, Sessions: sessions})
}

func setAppearance(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	o := c.who.Operator
	o.Theme, o.NoShortcuts = telltale.Theme(f.text("theme")), !f.ticked("shortcuts")
	if err := o.Validate(); err != nil {
		return err
	}
	if err := c.Store.UpdateOperator(c.r.Context(), o); err != nil {
		return err
	}
	return c.done("/account", notice{Kind: "ok", Text: "Appearance saved."})
}

func setPassword(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	if err := c.Operators.Confirm(c.who, f.Values.Get("current")); err != nil {
		if code := telltale.CodeOf(err); code != telltale.Invalid && code != telltale.RateLimited {
			return err
		}
		f.fault("current", messageOf(err))
	}
	hash, err := "", error(nil)
	if f.OK() {
		hash, err = auth.HashPassword(f.Values.Get("password"))
	}
	if err := f.blame(err, map[string]string{"password": "password"}); err != nil {
		return err
	}
	if !f.OK() {
		return c.showAccount(http.StatusUnprocessableEntity, f)
	}
	if err := c.Store.SetPassword(c.r.Context(), c.who.ID, hash, [32]byte{}, c.who.Session.Hash); err != nil {
		return err
	}
	return c.done("/account", notice{Kind: "ok", Text: "Password changed.", Detail: "Your other sessions were ended."})
}

func endSessions(c *call) error {
	if err := c.Store.EndSessions(c.r.Context(), c.who.ID, c.who.Session.Hash); err != nil {
		return err
	}
	return c.done("/account", notice{Kind: "ok", Text: "All other sessions were ended."})
}
