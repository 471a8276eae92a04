package api

import (
	"context"
	"strconv"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/wire"
)

type UserPath struct {
	ID string `path:"id" maxLength:"300" doc:"The profile's id, or the user's own id or email address, percent-encoded." example:"steve%40example.com"`
	ProjectQuery
}

func (a *api) listUsers(ctx context.Context, who auth.Identity, in *struct {
	Q          string `query:"q" maxLength:"255" doc:"Only users whose id or email address begins so." example:"steve@"`
	Tag        string `query:"tag" maxLength:"255" doc:"Only users with this tag." example:"vip"`
	Subscribed string `query:"subscribed" enum:"true,false" doc:"Only users who are subscribed, or who are not."`
	ProjectQuery
	PageQuery
}) (wire.Page[wire.User], error) {
	f := telltale.ProfileFilter{Match: in.Q, Tag: in.Tag}
	if in.Subscribed != "" {
		f.Unsubscribed = new(in.Subscribed == "false")
	}
	return paged(ctx, a, list{"users", who.Project.ID}, in.PageQuery,
		func(p *telltale.Profile) string { return string(p.ID) }, wire.FromUser,
		func(ctx context.Context, page telltale.Page) ([]*telltale.Profile, error) {
			return a.config.Store.Profiles(ctx, who.Project.ID, f, page)
		})
}

// user finds a user by what the path names: a profile's id, else the user's own
// id, else their address.
func (a *api) user(ctx context.Context, who auth.Identity, name string) (*telltale.Profile, error) {
	var p *telltale.Profile
	var err error
	if telltale.ValidID("prf_", name) {
		p, err = a.config.Store.Profile(ctx, who.Project.ID, telltale.ProfileID(name))
	} else {
		p, err = a.config.Store.FindProfile(ctx, who.Project.ID, telltale.UserRef{Email: name})
	}
	return p, found(err, "user", name)
}

func (a *api) getUser(ctx context.Context, who auth.Identity, in *UserPath) (wire.User, error) {
	p, err := a.user(ctx, who, in.ID)
	if err != nil {
		return wire.User{}, err
	}
	return wire.FromUser(p), nil
}

func (a *api) listUserEvents(ctx context.Context, who auth.Identity, in *struct {
	UserPath
	PageQuery
}) (wire.Page[wire.Event], error) {
	p, err := a.user(ctx, who, in.ID)
	if err != nil {
		return wire.Page[wire.Event]{}, err
	}
	return paged(ctx, a, list{"events", who.Project.ID}, in.PageQuery,
		func(e *telltale.Event) string { return string(e.ID) }, wire.FromEvent,
		func(ctx context.Context, page telltale.Page) ([]*telltale.Event, error) {
			return telltale.EventsOfUser(ctx, a.config.Store, p, page)
		})
}

func (a *api) listTrackedEvents(ctx context.Context, who auth.Identity, in *struct {
	UserPath
	PageQuery
}) (wire.Page[wire.TrackedEvent], error) {
	p, err := a.user(ctx, who, in.ID)
	if err != nil {
		return wire.Page[wire.TrackedEvent]{}, err
	}
	return paged(ctx, a, list{"tracked-events", who.Project.ID}, in.PageQuery,
		func(e *telltale.TrackedEvent) string { return strconv.FormatInt(e.Sequence, 10) }, wire.FromTrackedEvent,
		func(ctx context.Context, page telltale.Page) ([]*telltale.TrackedEvent, error) {
			return a.config.Store.TrackedEvents(ctx, who.Project.ID, p.ID, page)
		})
}
