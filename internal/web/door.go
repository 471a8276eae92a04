package web

import (
	"crypto/sha256"
	"net/http"
	"strconv"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
)

// doorPage is each of the pages that one sees before one is in: setting up,
// logging in, and the links that let one set a password.
type doorPage struct {
	frame
	Form  *form
	Token string
	Next  string
	Link  telltale.Link
	Email string
	Named string // what the first project is to be called
}

// home leads to where one is expected.
func home(c *call) error {
	switch operators, err := c.Store.Operators(c.r.Context()); {
	case err != nil:
		return err
	case len(operators) == 0:
		return c.redirect("/setup")
	case c.who.ID == "":
		return c.redirect("/login")
	}
	projects, err := c.Store.Projects(c.r.Context())
	if err != nil {
		return err
	}
	slug := telltale.DefaultProjectSlug
	if len(projects) == 1 {
		slug = projects[0].Slug
	}
	return c.redirect("/p/" + slug + "/")
}

// setupPage makes the first operator, for whoever has the link of the start-up log.
func setupPage(c *call) error { return c.showSetup(http.StatusOK, c.r.URL.Query().Get("token"), nil) }

func (c *call) showSetup(status int, token string, f *form) error {
	operators, err := c.Store.Operators(c.r.Context())
	if err != nil {
		return err
	}
	if len(operators) > 0 {
		return c.redirect("/login")
	}
	p := &doorPage{frame: frame{Title: "Set up Telltale"}, Form: f, Token: token, Named: "Default project"}
	if f != nil {
		p.Email, p.Named = f.text("email"), f.text("project")
	}
	link, err := c.Operators.Link(c.r.Context(), token)
	if telltale.CodeOf(err) == telltale.NotFound || err == nil && link.Purpose != telltale.LinkSetup {
		p.Title, p.Token = "Setup link required", ""
		return c.answer(http.StatusForbidden, "setup", p)
	}
	if err != nil {
		return err
	}
	return c.answer(status, "setup", p)
}

func setUp(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	token := f.Values.Get("token")
	operator, err := newOperator(f, f.text("email"), telltale.RoleOwner)
	if err != nil {
		return err
	}
	project, err := c.Store.ProjectBySlug(c.r.Context(), telltale.DefaultProjectSlug)
	if err != nil {
		return err
	}
	if project.Name = f.text("project"); project.Name == "" {
		project.Name = "Default project"
	}
	if err := f.blame(project.Validate(), map[string]string{"name": "project"}); err != nil {
		return err
	}
	if !f.OK() {
		return c.showSetup(http.StatusUnprocessableEntity, token, f)
	}
	if err := c.Store.CreateOperator(c.r.Context(), operator, sha256.Sum256([]byte(token))); err != nil {
		if telltale.CodeOf(err) == telltale.NotFound {
			return c.showSetup(http.StatusForbidden, "", nil)
		}
		return err
	}
	if err := c.Store.UpdateProject(telltale.WithActor(c.r.Context(), auth.ActorFor(c.r, operator)), project); err != nil {
		return err
	}
	c.Keys.ForgetProjects()
	if err := c.Operators.Begin(c.w, c.r, operator); err != nil {
		return err
	}
	return c.done("/p/"+project.Slug+"/", notice{Kind: "ok", Text: "Telltale is set up.", Detail: "You are its owner."})
}

// newOperator makes an operator of a form with a password, noting what is wrong.
func newOperator(f *form, email string, role telltale.Role) (telltale.Operator, error) {
	o := telltale.NewOperator(email, role, "")
	if err := f.blame(o.Validate(), map[string]string{"email": "email"}); err != nil {
		return o, err
	}
	hash, err := auth.HashPassword(f.Values.Get("password"))
	if err := f.blame(err, map[string]string{"password": "password"}); err != nil {
		return o, err
	}
	o.PasswordHash = hash
	return o, nil
}

func loginPage(c *call) error {
	next := localPath(c.r.URL.Query().Get("next"))
	if c.who.ID != "" {
		if next == "" {
			next = "/"
		}
		return c.redirect(next)
	}
	if operators, err := c.Store.Operators(c.r.Context()); err != nil || len(operators) == 0 {
		if err != nil {
			return err
		}
		return c.redirect("/setup")
	}
	return c.page("login", &doorPage{frame: frame{Title: "Log in"}, Next: next})
}

func logIn(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	next := localPath(f.Values.Get("next"))
	if _, err := c.Operators.Login(c.w, c.r, f.text("email"), f.Values.Get("password")); err != nil {
		known, _ := errorsAs(err)
		status := http.StatusUnprocessableEntity
		switch telltale.CodeOf(err) {
		case telltale.Unauthenticated:
		case telltale.RateLimited:
			status = http.StatusTooManyRequests
			c.w.Header().Set("Retry-After", strconv.Itoa(int(known.RetryAfter/time.Second)))
		default:
			return err
		}
		f.fault("", known.Message)
		return c.answer(status, "login", &doorPage{frame: frame{Title: "Log in"}, Form: f, Next: next, Email: f.text("email")})
	}
	if next == "" {
		next = "/"
	}
	return c.redirect(next)
}

func logOut(c *call) error {
	if err := c.Operators.Logout(c.w, c.r, c.who); err != nil {
		return err
	}
	return c.done("/login", notice{Kind: "ok", Text: "You are logged out."})
}

// linkPage lets an invited operator, or one who forgot, set a password.
func linkPage(c *call) error { return c.showLink(http.StatusOK, c.r.URL.Query().Get("token"), nil) }

func (c *call) showLink(status int, token string, f *form) error {
	p := &doorPage{frame: frame{Title: "Set your password"}, Form: f, Token: token}
	link, err := c.Operators.Link(c.r.Context(), token)
	switch {
	case telltale.CodeOf(err) == telltale.NotFound, err == nil && link.Purpose == telltale.LinkSetup:
		p.Title, p.Token = "This link does not work any more", ""
		return c.answer(http.StatusNotFound, "link", p)
	case err != nil:
		return err
	}
	if p.Link, p.Email = link, link.Email; link.Purpose == telltale.LinkReset {
		operator, err := c.Store.Operator(c.r.Context(), link.OperatorID)
		if err != nil {
			return orNoPage(err, "The operator of this link does not exist any more.")
		}
		p.Email = operator.Email
	}
	return c.answer(status, "link", p)
}

func takeLink(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	ctx, token := c.r.Context(), f.Values.Get("token")
	link, err := c.Operators.Link(ctx, token)
	if err != nil {
		if telltale.CodeOf(err) == telltale.NotFound {
			return c.showLink(http.StatusNotFound, "", nil)
		}
		return err
	}
	var operator telltale.Operator
	if link.Purpose == telltale.LinkReset {
		if operator, err = c.Store.Operator(ctx, link.OperatorID); err != nil {
			return orNoPage(err, "The operator of this link does not exist any more.")
		}
		hash, err := auth.HashPassword(f.Values.Get("password"))
		if err := f.blame(err, map[string]string{"password": "password"}); err != nil {
			return err
		}
		if f.OK() {
			err = c.Store.SetPassword(ctx, operator.ID, hash, link.Hash, [32]byte{})
			operator.PasswordHash = hash
		}
		if err != nil {
			return err
		}
	} else {
		if operator, err = newOperator(f, link.Email, link.Role); err != nil {
			return err
		}
		if f.OK() {
			err = c.Store.CreateOperator(ctx, operator, link.Hash)
		}
		if err != nil {
			return err
		}
	}
	if !f.OK() {
		return c.showLink(http.StatusUnprocessableEntity, token, f)
	}
	if err := c.Operators.Begin(c.w, c.r, operator); err != nil {
		return err
	}
	return c.done("/", notice{Kind: "ok", Text: "Your password is set.", Detail: "You are signed in."})
}

// messageOf is what an error says to a person.
func messageOf(err error) string {
	if e, ok := errorsAs(err); ok {
		return e.Message
	}
	return "Something went wrong."
}
