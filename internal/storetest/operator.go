package storetest

import (
	"crypto/sha256"
	"fmt"
	"time"

	"telltale.example/telltale"
)

// newLink stores a link that lasts an hour.
func (w *world) newLink(purpose telltale.LinkPurpose, change ...func(*telltale.Link)) telltale.Link {
	w.Helper()
	l := telltale.Link{Hash: sha256.Sum256([]byte(telltale.NewRequestID())), Purpose: purpose, CreatedAt: milli(w.Now())}
	l.ExpiresAt = l.CreatedAt.Add(time.Hour)
	for _, c := range change {
		c(&l)
	}
	w.must(w.CreateLink(w.ctx, l))
	return l
}

func inviting(o telltale.Operator) func(*telltale.Link) {
	return func(l *telltale.Link) { l.Email, l.Role = o.Email, o.Role }
}

func resetting(id telltale.OperatorID) func(*telltale.Link) {
	return func(l *telltale.Link) { l.OperatorID = id }
}

// newOperator lets in an operator by an invitation.
func (w *world) newOperator(email string, role telltale.Role) telltale.Operator {
	w.Helper()
	o := telltale.NewOperator(email, role, "hash of "+email)
	w.must(w.CreateOperator(w.ctx, o, w.newLink(telltale.LinkInvite, inviting(o)).Hash))
	return o
}

func (w *world) operator(id telltale.OperatorID) telltale.Operator {
	w.Helper()
	o, err := w.Operator(w.ctx, id)
	w.must(err)
	return o
}

// newSession stores a session that lasts a day.
func (w *world) newSession(id telltale.OperatorID) telltale.Session {
	w.Helper()
	s := telltale.Session{
		Hash: sha256.Sum256([]byte(telltale.NewRequestID())), OperatorID: id, UserAgent: "Mozilla/5.0", RemoteAddr: "192.0.2.1",
		CreatedAt: milli(w.Now()), SeenAt: w.Now().UTC().Truncate(time.Minute), ExpiresAt: milli(w.Now().Add(24 * time.Hour)),
	}
	hash := ""
	if id != "" {
		hash = w.operator(id).PasswordHash
	}
	w.must(w.SaveSession(w.ctx, s, hash))
	return s
}

func (w *world) sessions(id telltale.OperatorID) []telltale.Session {
	w.Helper()
	sessions, err := w.Sessions(w.ctx, id)
	w.must(err)
	return sessions
}

var operatorTests = []test{
	{"the first operator comes in by the link for setup, once", func(w *world) {
		link, other := w.newLink(telltale.LinkSetup), w.newLink(telltale.LinkSetup)
		o := telltale.NewOperator(" Jo@Example.COM ", telltale.RoleOwner, "$argon2id$…")
		o.Theme, o.NoShortcuts = telltale.ThemeDark, true
		w.must(w.CreateOperator(w.ctx, o, link.Hash))
		for range 2 {
			w.equal("the operator", w.operator(o.ID), o)
			byEmail, err := w.OperatorByEmail(w.ctx, "JO@example.com ")
			w.must(err)
			w.equal("the operator by their email", byEmail, o)
			w.restart()
		}
		second := telltale.NewOperator("second@example.com", telltale.RoleOwner, "hash")
		w.code(telltale.NotFound, w.CreateOperator(w.ctx, second, link.Hash))
		w.code(telltale.Conflict, w.CreateOperator(w.ctx, second, other.Hash))
		_, err := w.Operator(w.ctx, second.ID)
		w.code(telltale.NotFound, err)
	}},
	{"of two who use the link for setup at once, one comes in", func(w *world) {
		link := w.newLink(telltale.LinkSetup)
		errs := make(chan error)
		for i := range 8 {
			go func() {
				errs <- w.CreateOperator(w.ctx, telltale.NewOperator(fmt.Sprintf("%d@example.com", i), telltale.RoleOwner, "hash"), link.Hash)
			}()
		}
		in := 0
		for range 8 {
			if err := <-errs; err == nil {
				in++
			} else {
				w.code(telltale.NotFound, err)
			}
		}
		w.equal("how many came in", in, 1)
	}},
	{"a link that cannot be used lets nobody in, and stays as it was", func(w *world) {
		known := w.newOperator("known@example.com", telltale.RoleOwner)
		o := telltale.NewOperator("new@example.com", telltale.RoleMember, "hash")
		owner := o
		owner.Role = telltale.RoleOwner
		invitation := w.newLink(telltale.LinkInvite, inviting(o))
		taken := known
		taken.ID = telltale.NewOperatorID()
		late := w.newLink(telltale.LinkInvite, inviting(o), func(l *telltale.Link) { l.ExpiresAt = l.CreatedAt.Add(time.Second) })
		w.Advance(2 * time.Second)
		for _, row := range []struct {
			name string
			who  telltale.Operator
			link [32]byte
			want telltale.Code
		}{
			{"no link", o, [32]byte{}, telltale.NotFound},
			{"a link that does not exist", o, [32]byte{1}, telltale.NotFound},
			{"a link that has expired", o, late.Hash, telltale.NotFound},
			{"an invitation of somebody else", taken, invitation.Hash, telltale.NotFound},
			{"an invitation to another role", owner, invitation.Hash, telltale.NotFound},
			{"a link to reset a password", o, w.newLink(telltale.LinkReset, resetting(known.ID)).Hash, telltale.NotFound},
			{"an email that is taken", taken, w.newLink(telltale.LinkInvite, inviting(taken)).Hash, telltale.Conflict},
		} {
			if err := w.CreateOperator(w.ctx, row.who, row.link); telltale.CodeOf(err) != row.want {
				w.Errorf("%s: %v", row.name, err)
			}
		}
		w.must(w.CreateOperator(w.ctx, o, invitation.Hash))
		_, err := w.Link(w.ctx, invitation.Hash)
		w.code(telltale.NotFound, err)
	}},
	{"looking at a link does not use it up", func(w *world) {
		o := w.newOperator("jo@example.com", telltale.RoleAdmin)
		for _, link := range []telltale.Link{
			w.newLink(telltale.LinkSetup), w.newLink(telltale.LinkInvite, inviting(o)), w.newLink(telltale.LinkReset, resetting(o.ID)),
		} {
			for range 2 {
				got, err := w.Link(w.ctx, link.Hash)
				w.must(err)
				w.equal("the link", got, link)
				w.restart()
			}
		}
		link := w.newLink(telltale.LinkSetup)
		w.Advance(2 * time.Hour)
		_, err := w.Link(w.ctx, link.Hash)
		w.code(telltale.NotFound, err)
		w.code(telltale.NotFound, w.CreateLink(w.ctx, telltale.Link{Hash: [32]byte{1}, Purpose: telltale.LinkReset, OperatorID: telltale.NewOperatorID()}))
	}},
	{"operators are listed by email", func(w *world) {
		c, a, b := w.newOperator("c@example.com", telltale.RoleViewer), w.newOperator("a@example.com", telltale.RoleOwner), w.newOperator("b@example.com", telltale.RoleMember)
		operators, err := w.Operators(w.ctx)
		w.must(err)
		w.equal("the operators", operators, []telltale.Operator{a, b, c})
	}},
	{"an update changes role, theme, shortcuts and whether they are disabled, and nothing else", func(w *world) {
		w.newOperator("owner@example.com", telltale.RoleOwner)
		o := w.newOperator("jo@example.com", telltale.RoleMember)
		changed := o
		changed.Email, changed.PasswordHash, changed.CreatedAt, changed.LastLoginAt = "other@example.com", "other", o.CreatedAt.Add(time.Hour), w.Now()
		changed.Role, changed.Theme, changed.NoShortcuts, changed.DisabledAt = telltale.RoleAdmin, telltale.ThemeLight, true, w.Now().Add(time.Hour)
		w.must(w.UpdateOperator(w.ctx, changed))
		o.Role, o.Theme, o.NoShortcuts, o.DisabledAt = telltale.RoleAdmin, telltale.ThemeLight, true, milli(w.Now())
		w.equal("the operator", w.operator(o.ID), o)
		w.Advance(time.Minute)
		w.must(w.UpdateOperator(w.ctx, changed))
		w.equal("the operator who was disabled twice", w.operator(o.ID), o)
		changed.DisabledAt = time.Time{}
		w.must(w.UpdateOperator(w.ctx, changed))
		o.DisabledAt = time.Time{}
		w.equal("the operator who may sign in again", w.operator(o.ID), o)
		w.code(telltale.NotFound, w.UpdateOperator(w.ctx, telltale.Operator{ID: telltale.NewOperatorID(), Role: telltale.RoleOwner}))
	}},
	{"the last owner who may sign in stays one", func(w *world) {
		first, second := w.newOperator("first@example.com", telltale.RoleOwner), w.newOperator("second@example.com", telltale.RoleOwner)
		w.newOperator("admin@example.com", telltale.RoleAdmin)
		first.DisabledAt = w.Now()
		w.must(w.UpdateOperator(w.ctx, first))
		for _, change := range []func(*telltale.Operator){
			func(o *telltale.Operator) { o.Role = telltale.RoleAdmin },
			func(o *telltale.Operator) { o.DisabledAt = w.Now() },
		} {
			changed := second
			change(&changed)
			w.code(telltale.Conflict, w.UpdateOperator(w.ctx, changed))
			w.equal("the owner", w.operator(second.ID), second)
		}
		first.DisabledAt = time.Time{}
		w.must(w.UpdateOperator(w.ctx, first))
		second.Role = telltale.RoleViewer
		w.must(w.UpdateOperator(w.ctx, second))
	}},
	{"of two owners who disable each other, one stays", func(w *world) {
		owners := []telltale.Operator{w.newOperator("first@example.com", telltale.RoleOwner), w.newOperator("second@example.com", telltale.RoleOwner)}
		errs := make(chan error)
		for _, o := range owners {
			o.DisabledAt = w.Now()
			go func() { errs <- w.UpdateOperator(w.ctx, o) }()
		}
		first, second := <-errs, <-errs
		if (first == nil) == (second == nil) {
			w.Fatalf("the errors are %v and %v", first, second)
		}
	}},
	{"a login is noted", func(w *world) {
		o := w.newOperator("jo@example.com", telltale.RoleMember)
		w.Advance(time.Hour)
		w.must(w.NoteLogin(w.ctx, o.ID))
		o.LastLoginAt = milli(w.Now())
		w.equal("the operator", w.operator(o.ID), o)
		w.code(telltale.NotFound, w.NoteLogin(w.ctx, telltale.NewOperatorID()))
	}},
	{"a session is read back as it was saved, until it expires", func(w *world) {
		o := w.newOperator("jo@example.com", telltale.RoleMember)
		for _, s := range []telltale.Session{w.newSession(o.ID), w.newSession("")} {
			for range 2 {
				got, err := w.Session(w.ctx, s.Hash)
				w.must(err)
				w.equal("the session", got, s)
				w.restart()
			}
			s.OperatorID, s.SeenAt = o.ID, s.SeenAt.Add(time.Hour)
			saved := s
			saved.SeenAt = s.SeenAt.Add(7 * time.Second)
			w.must(w.SaveSession(w.ctx, saved, o.PasswordHash))
			got, err := w.Session(w.ctx, s.Hash)
			w.must(err)
			w.equal("the session that was replaced", got, s)
		}
		w.equal("the operator's sessions", len(w.sessions(o.ID)), 2)
		s := w.newSession(o.ID)
		w.Advance(25 * time.Hour)
		_, err := w.Session(w.ctx, s.Hash)
		w.code(telltale.NotFound, err)
		w.equal("the operator's sessions when they expired", len(w.sessions(o.ID)), 0)
	}},
	{"an operator's sessions are listed, last seen first", func(w *world) {
		o, other := w.newOperator("jo@example.com", telltale.RoleMember), w.newOperator("other@example.com", telltale.RoleMember)
		w.newSession(other.ID)
		w.newSession("")
		first := w.newSession(o.ID)
		w.Advance(5 * time.Minute)
		second := w.newSession(o.ID)
		w.equal("the sessions", w.sessions(o.ID), []telltale.Session{second, first})
		w.Advance(5 * time.Minute)
		first.SeenAt = w.Now().UTC().Truncate(time.Minute)
		w.must(w.SaveSession(w.ctx, first, o.PasswordHash))
		w.equal("the sessions then", w.sessions(o.ID), []telltale.Session{first, second})
	}},
	{"sessions are ended one by one, or all but one", func(w *world) {
		o, other := w.newOperator("jo@example.com", telltale.RoleMember), w.newOperator("other@example.com", telltale.RoleMember)
		foreign := w.newSession(other.ID)
		first, second, third := w.newSession(o.ID), w.newSession(o.ID), w.newSession(o.ID)
		for range 2 {
			w.must(w.EndSession(w.ctx, first.Hash))
		}
		_, err := w.Session(w.ctx, first.Hash)
		w.code(telltale.NotFound, err)
		w.equal("how many there are", len(w.sessions(o.ID)), 2)
		w.must(w.EndSessions(w.ctx, o.ID, second.Hash))
		w.equal("the sessions", w.sessions(o.ID), []telltale.Session{second})
		_, err = w.Session(w.ctx, third.Hash)
		w.code(telltale.NotFound, err)
		w.must(w.EndSessions(w.ctx, o.ID, [32]byte{}))
		w.equal("how many are left", len(w.sessions(o.ID)), 0)
		w.code(telltale.NotFound, w.EndSessions(w.ctx, telltale.NewOperatorID(), [32]byte{}))
		w.equal("the other's", w.sessions(other.ID), []telltale.Session{foreign})
	}},
	{"the use of a session is noted, and does not bring back one that was ended", func(w *world) {
		o := w.newOperator("jo@example.com", telltale.RoleMember)
		used, ended := w.newSession(o.ID), w.newSession(o.ID)
		w.Advance(90 * time.Second)
		w.must(w.EndSession(w.ctx, ended.Hash))
		w.must(w.TouchSession(w.ctx, used.Hash, "192.0.2.9"))
		w.code(telltale.NotFound, w.TouchSession(w.ctx, ended.Hash, "192.0.2.9"))
		used.SeenAt, used.RemoteAddr = w.Now().UTC().Truncate(time.Minute), "192.0.2.9"
		w.equal("the sessions", w.sessions(o.ID), []telltale.Session{used})
		w.Advance(25 * time.Hour)
		w.code(telltale.NotFound, w.TouchSession(w.ctx, used.Hash, "192.0.2.9"))
	}},
	{"disabling an operator ends their sessions and links for good", func(w *world) {
		w.newOperator("owner@example.com", telltale.RoleOwner)
		o := w.newOperator("jo@example.com", telltale.RoleMember)
		s, link := w.newSession(o.ID), w.newLink(telltale.LinkReset, resetting(o.ID))
		o.DisabledAt = w.Now()
		w.must(w.UpdateOperator(w.ctx, o))
		_, err := w.Session(w.ctx, s.Hash)
		w.code(telltale.NotFound, err)
		_, err = w.Link(w.ctx, link.Hash)
		w.code(telltale.NotFound, err)
		w.code(telltale.NotFound, w.SaveSession(w.ctx, s, o.PasswordHash))
		s.OperatorID = telltale.NewOperatorID()
		w.code(telltale.NotFound, w.SaveSession(w.ctx, s, o.PasswordHash))
	}},
	{"a new password ends all sessions but the one it was set in", func(w *world) {
		o := w.newOperator("jo@example.com", telltale.RoleMember)
		w.newSession(o.ID)
		kept := w.newSession(o.ID)
		w.must(w.SetPassword(w.ctx, o.ID, "new hash", [32]byte{}, kept.Hash))
		o.PasswordHash = "new hash"
		w.equal("the operator", w.operator(o.ID), o)
		w.equal("the sessions", w.sessions(o.ID), []telltale.Session{kept})
		w.code(telltale.NotFound, w.SetPassword(w.ctx, telltale.NewOperatorID(), "hash", [32]byte{}, [32]byte{}))
	}},
	{"who signs in with the password of before, while it is changed, gets no session", func(w *world) {
		o := w.newOperator("jo@example.com", telltale.RoleMember)
		s := w.newSession(o.ID)
		w.must(w.SetPassword(w.ctx, o.ID, "new hash", [32]byte{}, [32]byte{}))
		w.code(telltale.NotFound, w.SaveSession(w.ctx, s, o.PasswordHash))
		w.equal("the sessions", len(w.sessions(o.ID)), 0)
		w.must(w.SaveSession(w.ctx, s, "new hash"))
	}},
	{"a link resets its operator's password, once", func(w *world) {
		o, other := w.newOperator("jo@example.com", telltale.RoleMember), w.newOperator("other@example.com", telltale.RoleMember)
		link, second := w.newLink(telltale.LinkReset, resetting(o.ID)), w.newLink(telltale.LinkReset, resetting(o.ID))
		w.newSession(o.ID)
		for _, foreign := range []telltale.Link{link, w.newLink(telltale.LinkSetup), w.newLink(telltale.LinkInvite, inviting(other))} {
			w.code(telltale.NotFound, w.SetPassword(w.ctx, other.ID, "stolen", foreign.Hash, [32]byte{}))
		}
		w.equal("the other's", w.operator(other.ID), other)
		w.must(w.SetPassword(w.ctx, o.ID, "new hash", link.Hash, [32]byte{}))
		w.equal("the new hash", w.operator(o.ID).PasswordHash, "new hash")
		w.equal("the sessions", len(w.sessions(o.ID)), 0)
		for _, used := range []telltale.Link{link, second} {
			w.code(telltale.NotFound, w.SetPassword(w.ctx, o.ID, "newer hash", used.Hash, [32]byte{}))
		}
		w.equal("the hash", w.operator(o.ID).PasswordHash, "new hash")
	}},
	{"links and sessions that have expired are purged, and no others", func(w *world) {
		o := w.newOperator("jo@example.com", telltale.RoleOwner)
		w.newLink(telltale.LinkReset, resetting(o.ID))
		w.newSession(o.ID)
		w.Advance(25 * time.Hour)
		link, session := w.newLink(telltale.LinkReset, resetting(o.ID)), w.newSession(o.ID)
		w.purge(month)
		_, err := w.Link(w.ctx, link.Hash)
		w.must(err)
		w.equal("the sessions", w.sessions(o.ID), []telltale.Session{session})
	}},
}
