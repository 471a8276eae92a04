package web

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"telltale.example/telltale"
)

// operatorsView lists who may sign in.
type operatorsView struct {
	frame
	Operators []telltale.Operator
	Form      *form
}

// Roles are what the operator who looks may give, with what each may do or not.
func (p *operatorsView) Roles(chosen telltale.Role, explained bool) []option {
	var list []option
	for _, r := range telltale.Roles() {
		if r == telltale.RoleOwner && p.Who().Role != telltale.RoleOwner && chosen != r {
			continue
		}
		name, does := roleText(r)
		if explained {
			name += ": " + does
		}
		list = append(list, option{string(r), name, r == chosen})
	}
	return list
}

func roleText(r telltale.Role) (name, does string) {
	switch r {
	case telltale.RoleOwner:
		return "Owner", "everything"
	case telltale.RoleAdmin:
		return "Admin", "everything but owners"
	case telltale.RoleMember:
		return "Member", "all but operators, keys and secrets"
	}
	return "Viewer", "read, without bodies"
}

func operatorsPage(c *call) error {
	return c.showOperators(http.StatusOK, &operatorsView{})
}

func (c *call) showOperators(status int, p *operatorsView) error {
	var err error
	if p.Operators, err = c.Store.Operators(c.r.Context()); err != nil {
		return err
	}
	p.frame = frame{Title: "Operators"}
	return c.answer(status, "operators", p)
}

func inviteOperator(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	invited := telltale.NewOperator(f.text("email"), telltale.Role(f.text("role")), "")
	if err := f.blame(invited.Validate(), nil); err != nil {
		return err
	}
	if err := c.mayGive(invited.Role); err != nil {
		return err
	}
	if _, err := c.Store.OperatorByEmail(c.r.Context(), invited.Email); err == nil {
		f.fault("email", "There is an operator with this email already.")
	}
	if !f.OK() {
		return c.showOperators(http.StatusUnprocessableEntity, &operatorsView{Form: f})
	}
	return c.showLinkOnce(invited.Email, telltale.Link{Purpose: telltale.LinkInvite, Email: invited.Email, Role: invited.Role}, telltale.InviteLinkLife)
}

// showLinkOnce makes a link and shows it, this time only: there is no mail server to send it.
func (c *call) showLinkOnce(who string, link telltale.Link, life time.Duration) error {
	token, err := c.Operators.NewLink(c.r.Context(), link, life)
	if err != nil {
		return err
	}
	return c.done("/admin/operators", notice{
		Kind: "ok", Text: "Give this link to " + who + ".", Detail: "It is shown once, and works once.",
		Secret: &copied{c.PublicURL + "/link?token=" + url.QueryEscape(token), "the link"},
	})
}

// mayGive refuses an admin who would make an owner.
func (c *call) mayGive(role telltale.Role) error {
	if role == telltale.RoleOwner && c.who.Role != telltale.RoleOwner {
		return telltale.Errorf(telltale.Forbidden, "Only an owner can change owners.")
	}
	return nil
}

// named finds the operator of the path, whom an admin may touch unless it is an owner.
func (c *call) named() (telltale.Operator, error) {
	o, err := c.Store.Operator(c.r.Context(), telltale.OperatorID(c.r.PathValue("operator")))
	if err != nil {
		return o, orNoPage(err, "There is no such operator.")
	}
	return o, c.mayGive(o.Role)
}

func setRole(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	o, err := c.named()
	if err != nil {
		return err
	}
	o.Role = telltale.Role(f.text("role"))
	if err := errors.Join(o.Validate(), c.mayGive(o.Role)); err != nil {
		return err
	}
	if err := c.Store.UpdateOperator(c.r.Context(), o); err != nil {
		return c.conflictNotice("/admin/operators", err)
	}
	return c.done("/admin/operators", notice{Kind: "ok", Text: o.Email + " is " + string(o.Role) + " now."})
}

func switchOperator(c *call) error {
	o, err := c.named()
	if err != nil {
		return err
	}
	text := o.Email + " may sign in again."
	o.DisabledAt = time.Time{}
	if c.r.URL.Path[len(c.r.URL.Path)-len("disable"):] == "disable" {
		text = o.Email + " may not sign in any more."
		o.DisabledAt = time.Now().UTC().Truncate(time.Millisecond)
	}
	if err := c.Store.UpdateOperator(c.r.Context(), o); err != nil {
		return c.conflictNotice("/admin/operators", err)
	}
	return c.done("/admin/operators", notice{Kind: "ok", Text: text})
}

func resetOperator(c *call) error {
	o, err := c.named()
	if err != nil {
		return err
	}
	return c.showLinkOnce(o.Email, telltale.Link{Purpose: telltale.LinkReset, OperatorID: o.ID}, telltale.ResetLinkLife)
}

// conflictNotice says on the page where the person is that the present state
// does not allow it, and gives back any other error.
func (c *call) conflictNotice(to string, err error) error {
	if telltale.CodeOf(err) != telltale.Conflict {
		return err
	}
	return c.done(to, notice{Kind: "bad", Text: messageOf(err)})
}

func errorsAs(err error) (*telltale.Error, bool) {
	var e *telltale.Error
	return e, errors.As(err, &e)
}
