package web

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"telltale.example/telltale"
)

// usersView lists the project's users.
type usersView struct {
	frame
	Q, State, Tag string
	Rows          []userRow
	Count         string
	Pager         pager
}

// userRow is a user as lists and the profile show them.
type userRow struct{ *telltale.Profile }

// Name is what people know the user by.
func (u userRow) Name() string { return cmp.Or(u.Email, u.UserID) }

// State is whether messages may be sent.
func (u userRow) State() badge {
	if u.Subscribed() {
		return badge{"ok", "●", "Subscribed"}
	}
	return badge{"quiet", "–", "Unsubscribed"}
}

// Suppressed begins what says since when messages to the address should not be
// sent; empty if nothing speaks against it.
func (u userRow) Suppressed() string {
	switch u.Suppression {
	case telltale.SuppressedBounced:
		return "Bounced hard since"
	case telltale.SuppressedComplained:
		return "Complained since"
	}
	return ""
}

func (p *usersView) States() []option {
	return options(p.State, "", "Any", "subscribed", "Subscribed", "unsubscribed", "Unsubscribed")
}

func (p *usersView) Narrow() bool { return p.Q != "" || p.State != "" || p.Tag != "" }

func usersPage(c *call) error {
	q := c.r.URL.Query()
	p := &usersView{frame: frame{Title: "Users", Section: "users", Wide: true}, Q: strings.TrimSpace(q.Get("q")), State: q.Get("state"), Tag: strings.TrimSpace(q.Get("tag"))}
	f := telltale.ProfileFilter{Match: p.Q, Tag: p.Tag}
	if p.State != "" {
		f.Unsubscribed = new(p.State == "unsubscribed")
	}
	query := url.Values{}
	for name, value := range map[string]string{"q": p.Q, "state": p.State, "tag": p.Tag} {
		if value != "" {
			query.Set(name, value)
		}
	}
	rows, pager, err := c.listed(query, func(page telltale.Page) (int, func(int) string, func(int, int), error) {
		profiles, err := c.Store.Profiles(c.r.Context(), c.project.ID, f, page)
		p.Rows = p.Rows[:0]
		for _, profile := range profiles {
			p.Rows = append(p.Rows, userRow{profile})
		}
		return len(p.Rows), func(i int) string { return string(p.Rows[i].ID) }, func(from, to int) { p.Rows = p.Rows[from:to] }, err
	})
	if err != nil {
		return err
	}
	p.Pager = pager
	n, more := rows, false
	if rows >= rowsPerPage || !c.atTop() {
		if n, more, err = c.Store.CountProfiles(c.r.Context(), c.project.ID, f, telltale.MaxCount); err != nil {
			return err
		}
	}
	if p.Count = counted(n, "user", "users"); more {
		p.Count = count(n) + "+ users"
	}
	return c.page("users", p)
}

// userView is one user: who they are, and everything that happened.
type userView struct {
	frame
	User       userRow
	Properties []property
	Timeline   []userStep
	Older      string // address of what happened before; empty if nothing did
	AtTop      bool
}

type property struct{ Name, Value string }

// userStep is an event, or something that the user did.
type userStep struct {
	*telltale.Event
	Facts   facts
	Tracked *telltale.TrackedEvent
}

func (s userStep) number() int64 {
	if s.Tracked != nil {
		return s.Tracked.Sequence
	}
	return s.Sequence
}

// ByMachine reports whether it is known that no person opened or clicked.
func (s userStep) ByMachine() bool { return s.Event != nil && s.Machine != nil && *s.Machine }

// Data is what came with something that the user did.
func (s userStep) Data() string {
	if s.Tracked.Data.Len() == 0 {
		return ""
	}
	return string(s.Tracked.Data.AppendJSON(nil))
}

func (c *call) user() (*telltale.Profile, error) {
	p, err := c.Store.Profile(c.r.Context(), c.project.ID, telltale.ProfileID(c.r.PathValue("user")))
	return p, orNoPage(err, "There is no such user: they were deleted, or forgotten.")
}

func userPage(c *call) error {
	from, err := c.Live.End(c.r.Context())
	if err != nil {
		return err
	}
	profile, err := c.user()
	if err != nil {
		return err
	}
	u := userRow{profile}
	p := &userView{frame: frame{Title: u.Name(), Section: "users", Crumbs: []link{{"Users", c.path("/users")}, {u.Name(), ""}}}, User: u}
	p.from = from
	for name, value := range profile.Properties.All() {
		if text := profile.Properties.Text(name); text != "" {
			value = text
		}
		p.Properties = append(p.Properties, property{name, value})
	}
	if err := c.tellUser(p); err != nil {
		return err
	}
	return c.page("user", p)
}

// tellUser reads a page of everything that happened to the user. Events and what
// the user did stand on one line of numbers, and the page ends at one place in both.
func (c *call) tellUser(p *userView) error {
	q := c.r.URL.Query()
	events, did := telltale.Page{Limit: rowsPerPage + 1, After: q.Get("after")}, telltale.Page{Limit: rowsPerPage + 1, After: q.Get("did")}
	p.AtTop = events.After == "" && did.After == ""
	found, err := telltale.EventsOfUser(c.r.Context(), c.Store, p.User.Profile, events)
	if err != nil {
		return err
	}
	tracked, err := c.Store.TrackedEvents(c.r.Context(), c.project.ID, p.User.ID, did)
	if err != nil {
		return err
	}
	for _, e := range found {
		p.Timeline = append(p.Timeline, userStep{Event: e, Facts: factsOf(e.Payload)})
	}
	for _, e := range tracked {
		p.Timeline = append(p.Timeline, userStep{Tracked: e})
	}
	slices.SortFunc(p.Timeline, func(a, b userStep) int { return cmp.Compare(b.number(), a.number()) })
	if len(p.Timeline) <= rowsPerPage {
		return nil
	}
	p.Timeline = p.Timeline[:rowsPerPage]
	next := url.Values{"after": {events.After}, "did": {did.After}}
	for _, s := range p.Timeline {
		if s.Tracked != nil {
			next.Set("did", strconv.FormatInt(s.number(), 10))
		} else {
			next.Set("after", string(s.Event.ID))
		}
	}
	for name, value := range next {
		if value[0] == "" {
			next.Del(name)
		}
	}
	p.Older = c.r.URL.Path + "?" + next.Encode()
	return nil
}

// eraseView asks before a person is forgotten.
type eraseView struct {
	frame
	User userRow
	Form *form
}

func eraseUserPage(c *call) error { return c.showErase(nil) }

func (c *call) showErase(f *form) error {
	profile, err := c.user()
	if err != nil {
		return err
	}
	u := userRow{profile}
	p := &eraseView{frame{Title: "Forget this person?", Section: "users", Crumbs: []link{{"Users", c.path("/users")}, {u.Name(), c.path("/users/" + string(u.ID))}, {"Forget", ""}}}, u, f}
	if f != nil {
		return c.answer(422, "user-erase", p)
	}
	if c.partial() {
		return c.part("user-erase", "dialog", p)
	}
	return c.page("user-erase", p)
}

func eraseUser(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	profile, err := c.user()
	if err != nil {
		return err
	}
	if name := (userRow{profile}).Name(); f.text("name") != name {
		f.fault("name", "Type "+name+" to confirm.")
		return c.showErase(f)
	}
	if _, err := c.Store.Erase(c.r.Context(), c.project.ID, telltale.UserRef{ID: profile.GivenID}); err != nil {
		return err
	}
	return c.done(c.path("/users"), notice{Kind: "ok", Text: "The profile is gone.", Detail: "Their events, with payloads, deliveries and attempts, are being removed. The audit log keeps that it was done."})
}
