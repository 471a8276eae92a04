package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"telltale.example/telltale"
)

var jo = telltale.Actor{Kind: telltale.ActorOperator, ID: "opr_01JD0000000000000000000000", Name: "jo@example.com", RemoteAddr: "192.0.2.1", RequestID: "req_01JD0000000000000000000000"}

// system is who does what nobody asked for.
var system = telltale.Actor{Kind: telltale.ActorSystem, Name: "telltale"}

// as lets the actor make what follows.
func (w *world) as(a telltale.Actor) { w.ctx = telltale.WithActor(w.T.Context(), a) }

// audited lists entries, newest first; of the whole server if the project is empty.
func (w *world) audited(project telltale.ProjectID, f telltale.AuditFilter) []telltale.AuditEntry {
	w.Helper()
	entries, err := w.AuditEntries(w.ctx, project, f, telltale.Page{Limit: telltale.MaxPage})
	w.must(err)
	return entries
}

// noted fails the test unless what do does adds just these entries, oldest
// first, by jo and at this time.
func (w *world) noted(what string, do func(), want ...telltale.AuditEntry) {
	w.Helper()
	var before [2]int
	for i, project := range []telltale.ProjectID{w.project.ID, ""} {
		before[i] = len(w.audited(project, telltale.AuditFilter{}))
	}
	w.as(jo)
	// Entries go by their ids, and those of one moment rise only as long as the
	// process has one clock: other cases have clocks of their own.
	w.Advance(time.Millisecond)
	do()
	var got []telltale.AuditEntry
	for i, project := range []telltale.ProjectID{"", w.project.ID} {
		entries := w.audited(project, telltale.AuditFilter{})
		for n := len(entries) - before[1-i] - 1; n >= 0; n-- {
			got = append(got, entries[n])
		}
	}
	for i := range want {
		if want[i].Actor == (telltale.Actor{}) {
			want[i].Actor = jo
		}
		want[i].At = milli(w.Now())
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(telltale.AuditEntry{}, "ID"), cmpopts.EquateEmpty()); diff != "" {
		w.Errorf("%s: what is noted (-want +got):\n%s", what, diff)
	}
	for _, e := range got {
		if !telltale.ValidID("aud_", string(e.ID)) {
			w.Errorf("%s: the entry has the id %q", what, e.ID)
		}
	}
}

func change(field, before, after string) telltale.AuditChange {
	return telltale.AuditChange{Field: field, Before: before, After: after}
}

// newEntry adds an entry about a project, or, with an empty one, the server.
func (w *world) newEntry(project telltale.ProjectID, change ...func(*telltale.AuditEntry)) telltale.AuditEntry {
	w.Helper()
	e := telltale.AuditEntry{ID: telltale.NewAuditID(), ProjectID: project, At: milli(w.Now()), Actor: jo, Action: telltale.AuditSecretShown}
	for _, c := range change {
		c(&e)
	}
	w.must(w.Audit(w.ctx, e))
	return e
}

func auditID(e telltale.AuditEntry) string { return string(e.ID) }

var auditTests = []test{
	{"every change of a webhook is noted, with its settings before and after", func(w *world) {
		hook := telltale.NewWebhook(w.project.ID, "https://receiver.example/in", telltale.NewEventTypeSet(telltale.Opened))
		made := &hook
		of := func(action telltale.AuditAction, changes ...telltale.AuditChange) telltale.AuditEntry {
			return telltale.AuditEntry{ProjectID: w.project.ID, Action: action, Target: string(hook.ID), Name: made.URL, Changes: changes}
		}
		keep := func(changed *telltale.Webhook, err error) {
			w.Helper()
			w.must(err)
			made = changed
		}
		w.noted("making it", func() { keep(w.CreateWebhook(w.ctx, hook)) }, of(telltale.AuditWebhookCreated,
			change("url", "", hook.URL), change("events", "", hook.Events.String()), change("timeout", "", "5s"), change("concurrency", "", "4"), change("format", "", telltale.FormatVero2)))

		w.noted("changing a setting", func() {
			changed := *made
			changed.Description, changed.RetrySchedule = "For the CRM", telltale.Schedule{time.Minute}
			keep(w.UpdateWebhook(w.ctx, changed))
		}, of(telltale.AuditWebhookChanged, change("description", "", "For the CRM"), change("retry_schedule", "default", "1m0s")))

		w.noted("changing what is secret", func() {
			changed := *made
			changed.Headers = []telltale.CustomHeader{{Name: "X-Team", Value: "crm"}, {Name: "X-Token", Value: "hush", Secret: true}}
			changed.BasicAuth = &telltale.BasicAuth{Username: "jo", Password: "hush"}
			keep(w.UpdateWebhook(w.ctx, changed))
		}, of(telltale.AuditWebhookChanged, change("headers.X-Team", "", "crm"), change("headers.X-Token", "", telltale.Redacted), change("basic_auth", "", "jo:"+telltale.Redacted)))

		w.noted("changing it again", func() {
			changed := *made
			changed.Headers = []telltale.CustomHeader{{Name: "X-Team", Value: "ops"}, {Name: "X-Token", Value: "hush!", Secret: true}}
			changed.BasicAuth = &telltale.BasicAuth{Username: "jo", Password: "hush!"}
			keep(w.UpdateWebhook(w.ctx, changed))
		}, of(telltale.AuditWebhookChanged, change("headers.X-Team", "crm", "ops"), change("headers.X-Token", telltale.Redacted, telltale.Redacted),
			change("basic_auth", "jo:"+telltale.Redacted, "jo:"+telltale.Redacted)))

		w.noted("rotating the secret", func() {
			changed := *made
			changed.RotateSecret(time.Hour)
			keep(w.UpdateWebhook(w.ctx, changed))
		}, of(telltale.AuditSecretRotated))
		w.noted("disabling it", func() { keep(w.DisableWebhook(w.ctx, w.project.ID, hook.ID, telltale.DisabledManual)) },
			of(telltale.AuditWebhookDisabled, change("disabled_reason", "", "manual")))
		w.noted("disabling it twice", func() { keep(w.DisableWebhook(w.ctx, w.project.ID, hook.ID, telltale.DisabledManual)) })
		w.noted("enabling it", func() { keep(w.EnableWebhook(w.ctx, w.project.ID, hook.ID)) }, of(telltale.AuditWebhookEnabled))
		w.noted("enabling it twice", func() { keep(w.EnableWebhook(w.ctx, w.project.ID, hook.ID)) })
		w.noted("deleting it", func() { keep(w.DeleteWebhook(w.ctx, w.project.ID, hook.ID, 0)) }, of(telltale.AuditWebhookDeleted))
		w.noted("restoring it", func() { keep(w.RestoreWebhook(w.ctx, w.project.ID, hook.ID)) }, of(telltale.AuditWebhookRestored))
	}},
	{"what an outcome does to a webhook is noted as done by nobody", func(w *world) {
		hook := w.newWebhook()
		gone := w.result(w.deliverOne(), 410)
		gone.Outcome.Disable = telltale.DisabledGone
		w.noted("the outcome", func() { w.record(gone) }, telltale.AuditEntry{
			ProjectID: w.project.ID, Actor: system, Action: telltale.AuditWebhookDisabled, Target: string(hook.ID), Name: hook.URL,
			Changes: []telltale.AuditChange{change("disabled_reason", "", "gone")},
		})
	}},
	{"keys and projects are noted", func(w *world) {
		key, _ := telltale.NewKey(w.project.ID, "a key", telltale.ScopeRead)
		owner, _ := telltale.NewKey("", "an owner key", telltale.ScopeOwner)
		revoke := func(k telltale.Key) func() {
			return func() {
				_, err := w.RevokeKey(w.ctx, k.ProjectID, k.ID)
				w.must(err)
			}
		}
		for _, k := range []telltale.Key{key, owner} {
			w.noted("making "+k.Name, func() { w.must(w.CreateKey(w.ctx, k)) }, telltale.AuditEntry{
				ProjectID: k.ProjectID, Action: telltale.AuditKeyCreated, Target: string(k.ID), Name: k.Name, Changes: []telltale.AuditChange{change("scope", "", string(k.Scope))},
			})
			w.noted("using "+k.Name, func() { w.must(w.TouchKeys(w.ctx, []telltale.KeyID{k.ID})) })
			w.noted("revoking "+k.Name, revoke(k), telltale.AuditEntry{ProjectID: k.ProjectID, Action: telltale.AuditKeyRevoked, Target: string(k.ID), Name: k.Name})
			w.noted("revoking it twice", revoke(k))
		}

		w.noted("changing the project", func() {
			p := w.project
			p.Name, p.IngestRate = "Shop", 50
			w.must(w.UpdateProject(w.ctx, p))
		}, telltale.AuditEntry{
			ProjectID: w.project.ID, Action: telltale.AuditProjectChanged, Target: string(w.project.ID), Name: "Shop",
			Changes: []telltale.AuditChange{change("name", w.project.Name, "Shop"), change("ingest_rate", "0", "50")},
		})
		w.noted("changing nothing of it", func() {
			p, err := w.Project(w.ctx, w.project.ID)
			w.must(err)
			w.must(w.UpdateProject(w.ctx, p))
		})
		other := telltale.NewProject("other", "Other")
		w.noted("making another", func() { w.must(w.CreateProject(w.ctx, other)) }) // in its own log
		entries := w.audited(other.ID, telltale.AuditFilter{})
		w.equal("the other's entries", ids(entries, func(e telltale.AuditEntry) telltale.AuditAction { return e.Action }), []telltale.AuditAction{telltale.AuditProjectCreated})
	}},
	{"what is done to a delivery is noted", func(w *world) {
		w.newWebhook()
		claim := w.deliverOne()
		of := func(action telltale.AuditAction) telltale.AuditEntry {
			return telltale.AuditEntry{ProjectID: w.project.ID, Action: action, Target: string(claim.DeliveryID), Name: string(claim.Event.Type)}
		}
		w.noted("an attempt", func() { w.giveUp(claim) })
		w.noted("retrying it", func() {
			_, err := w.RetryDelivery(w.ctx, w.project.ID, claim.DeliveryID)
			w.must(err)
		}, of(telltale.AuditDeliveryRetried))
		w.noted("cancelling it", func() {
			_, err := w.CancelDelivery(w.ctx, w.project.ID, claim.DeliveryID)
			w.must(err)
		}, of(telltale.AuditDeliveryCancelled))
		w.noted("more events", func() { w.deliver() })
	}},
	{"operators are noted: as themselves while they are not signed in", func(w *world) {
		owner := telltale.NewOperator("owner@example.com", telltale.RoleOwner, "hash")
		setup := telltale.Link{Hash: [32]byte{1}, Purpose: telltale.LinkSetup, ExpiresAt: w.Now().Add(time.Hour)}
		invitation := telltale.Link{Hash: [32]byte{2}, Purpose: telltale.LinkInvite, Email: "new@example.com", Role: telltale.RoleMember, ExpiresAt: w.Now().Add(time.Hour)}
		member := telltale.NewOperator("new@example.com", telltale.RoleMember, "hash")
		reset := telltale.Link{Hash: [32]byte{3}, Purpose: telltale.LinkReset, OperatorID: member.ID, ExpiresAt: w.Now().Add(time.Hour)}
		of := func(action telltale.AuditAction, o telltale.Operator, changes ...telltale.AuditChange) telltale.AuditEntry {
			return telltale.AuditEntry{Action: action, Target: string(o.ID), Name: o.Email, Changes: changes}
		}
		by := func(o telltale.Operator, e telltale.AuditEntry) telltale.AuditEntry {
			e.Actor = telltale.Actor{Kind: telltale.ActorOperator, ID: string(o.ID), Name: o.Email, RemoteAddr: "192.0.2.9", RequestID: "req_9"}
			return e
		}
		nobody := func(do func()) func() {
			return func() {
				w.as(telltale.Actor{Kind: telltale.ActorSystem, Name: "telltale", RemoteAddr: "192.0.2.9", RequestID: "req_9"})
				do()
			}
		}
		w.noted("a link for setup", func() { w.must(w.CreateLink(w.ctx, setup)) })
		w.noted("setup", nobody(func() { w.must(w.CreateOperator(w.ctx, owner, setup.Hash)) }), by(owner, of(telltale.AuditOperatorCreated, owner, change("role", "", "owner"))))
		w.noted("an invitation", func() { w.must(w.CreateLink(w.ctx, invitation)) },
			telltale.AuditEntry{Action: telltale.AuditOperatorInvited, Name: "new@example.com", Changes: []telltale.AuditChange{change("role", "", "member")}})
		w.noted("following it", nobody(func() { w.must(w.CreateOperator(w.ctx, member, invitation.Hash)) }), by(member, of(telltale.AuditOperatorCreated, member, change("role", "", "member"))))
		w.noted("a login", nobody(func() { w.must(w.NoteLogin(w.ctx, member.ID)) }), by(member, of(telltale.AuditLogin, member)))
		w.noted("how the pages look", func() {
			changed := member
			changed.Theme, changed.NoShortcuts = telltale.ThemeDark, true
			w.must(w.UpdateOperator(w.ctx, changed))
		})
		w.noted("another role", func() {
			changed := member
			changed.Role = telltale.RoleAdmin
			w.must(w.UpdateOperator(w.ctx, changed))
		}, of(telltale.AuditOperatorChanged, member, change("role", "member", "admin")))
		w.noted("shutting out", func() {
			changed := member
			changed.Role, changed.DisabledAt = telltale.RoleAdmin, w.Now()
			w.must(w.UpdateOperator(w.ctx, changed))
		}, of(telltale.AuditOperatorChanged, member, change("may_sign_in", "true", "false")))
		w.noted("a new password", func() { w.must(w.SetPassword(w.ctx, member.ID, "new", [32]byte{}, [32]byte{})) }, of(telltale.AuditPasswordChanged, member))
		w.noted("a link to reset it", func() { w.must(w.CreateLink(w.ctx, reset)) }, of(telltale.AuditResetLinkMade, member))
		w.noted("following it", nobody(func() { w.must(w.SetPassword(w.ctx, member.ID, "newer", reset.Hash, [32]byte{})) }), by(member, of(telltale.AuditPasswordChanged, member)))
		w.noted("a session and its end", func() { w.must(w.EndSession(w.ctx, w.newSession(owner.ID).Hash)) })
		w.newSession(owner.ID)
		w.noted("ending sessions", func() { w.must(w.EndSessions(w.ctx, owner.ID, [32]byte{})) }, of(telltale.AuditSessionsEnded, owner))
		w.noted("ending none", func() { w.must(w.EndSessions(w.ctx, owner.ID, [32]byte{})) })
	}},
	{"what failed is not noted", func(w *world) {
		hook := w.newWebhook()
		stale := *hook
		w.disable(hook.ID)
		key := w.newKey(w.project.ID, telltale.ScopeRead)
		w.noted("what failed", func() {
			_, err := w.UpdateWebhook(w.ctx, stale)
			w.code(telltale.PreconditionFailed, err)
			_, err = w.DeleteWebhook(w.ctx, w.project.ID, telltale.NewWebhookID(), 0)
			w.code(telltale.NotFound, err)
			_, err = w.RestoreWebhook(w.ctx, w.project.ID, hook.ID)
			w.code(telltale.NotFound, err)
			_, err = w.RevokeKey(w.ctx, "", key.ID)
			w.code(telltale.NotFound, err)
			w.code(telltale.Conflict, w.CreateProject(w.ctx, telltale.NewProject(telltale.DefaultProjectSlug, "Again")))
			w.code(telltale.NotFound, w.CreateOperator(w.ctx, telltale.NewOperator("a@example.com", telltale.RoleOwner, "hash"), [32]byte{9}))
			w.code(telltale.NotFound, w.NoteLogin(w.ctx, telltale.NewOperatorID()))
			w.code(telltale.NotFound, w.Audit(w.ctx, telltale.AuditEntry{ProjectID: telltale.NewProjectID(), Action: telltale.AuditSecretShown}))
		})
	}},
	{"what the store does not see is noted on demand, also for somebody else", func(w *world) {
		w.noted("a secret that was shown", func() {
			w.must(w.Audit(w.ctx, telltale.AuditEntry{ProjectID: w.project.ID, Action: telltale.AuditSecretShown, Target: "whk_1"}))
		}, telltale.AuditEntry{ProjectID: w.project.ID, Action: telltale.AuditSecretShown, Target: "whk_1"})
		other := telltale.Actor{Kind: telltale.ActorOperator, Name: "who@example.com", RemoteAddr: "192.0.2.2"}
		w.noted("a login that failed", func() {
			w.must(w.Audit(w.ctx, telltale.AuditEntry{Actor: other, Action: telltale.AuditLoginFailed, Name: "who@example.com"}))
		}, telltale.AuditEntry{Actor: other, Action: telltale.AuditLoginFailed, Name: "who@example.com"})
	}},
	{"an entry is read back as it was written, its texts cut at a bound", func(w *world) {
		e := w.newEntry(w.project.ID, func(e *telltale.AuditEntry) {
			e.At = milli(w.Now().Add(-time.Hour))
			e.Target, e.Name = "whk_1", "<script>“ünïcode”\n"
			e.Changes = []telltale.AuditChange{change("url", "", "https://a.example/?a=\"b\""), change("description", "was", "")}
		})
		long := w.newEntry("", func(e *telltale.AuditEntry) {
			e.Name = strings.Repeat("é", 5000)
			e.Changes = []telltale.AuditChange{change("a", strings.Repeat("x", 10_000), "")}
		})
		for range 2 {
			w.equal("the project's", w.audited(w.project.ID, telltale.AuditFilter{}), []telltale.AuditEntry{e})
			got := w.audited("", telltale.AuditFilter{})
			if len(got) != 1 || len(got[0].Name) > 3000 || !strings.HasPrefix(long.Name, strings.TrimSuffix(got[0].Name, "…")) || len(got[0].Changes[0].Before) > 3000 {
				w.Fatalf("the long entry: %+v", got)
			}
			w.restart()
		}
	}},
	{"a list is narrowed by action, actor, target and time, and no project sees another's", func(w *world) {
		other := w.newProject("other")
		key := telltale.Actor{Kind: telltale.ActorKey, ID: "key_1", Name: "deploy"}
		var all []telltale.AuditEntry
		for i := range 4 {
			all = append(all, w.newEntry(w.project.ID, func(e *telltale.AuditEntry) {
				e.Target = fmt.Sprint("whk_", i%2)
				if i >= 2 {
					e.Actor, e.Action = key, telltale.AuditWebhookChanged
				}
			}))
			w.Advance(time.Minute)
		}
		foreign := w.newEntry(other.ID)
		server := w.newEntry("")
		w.equal("the server's", w.audited("", telltale.AuditFilter{}), []telltale.AuditEntry{server})
		w.equal("a project's that does not exist", len(w.audited(telltale.NewProjectID(), telltale.AuditFilter{})), 0)
		w.equal("the other's newest", w.audited(other.ID, telltale.AuditFilter{})[0], foreign)
		for _, row := range []struct {
			name   string
			filter telltale.AuditFilter
			want   []int
		}{
			{"all", telltale.AuditFilter{}, []int{3, 2, 1, 0}},
			{"by action", telltale.AuditFilter{Action: telltale.AuditWebhookChanged}, []int{3, 2}},
			{"by the actor's id", telltale.AuditFilter{Actor: "key_1"}, []int{3, 2}},
			{"by the actor's name", telltale.AuditFilter{Actor: "jo@example.com"}, []int{1, 0}},
			{"by target", telltale.AuditFilter{Target: "whk_0"}, []int{2, 0}},
			{"since", telltale.AuditFilter{Since: all[1].At}, []int{3, 2, 1}},
			{"until", telltale.AuditFilter{Until: all[1].At}, []int{0}},
			{"by all", telltale.AuditFilter{Action: telltale.AuditWebhookChanged, Actor: "deploy", Target: "whk_0", Since: all[0].At, Until: w.Now()}, []int{2}},
			{"by what nobody did", telltale.AuditFilter{Action: telltale.AuditReplayPaused}, nil},
		} {
			var got, want []string
			for _, e := range w.audited(w.project.ID, row.filter) {
				got = append(got, auditID(e))
			}
			for _, i := range row.want {
				want = append(want, auditID(all[i]))
			}
			w.equal(row.name, got, want)
		}
	}},
	{"entries are paged", func(w *world) {
		for range 7 {
			w.newEntry(w.project.ID)
			w.newEntry("")
		}
		for _, f := range []telltale.AuditFilter{{}, {Action: telltale.AuditSecretShown}, {Actor: jo.ID}} {
			pages(w, func(p telltale.Page) ([]telltale.AuditEntry, error) { return w.AuditEntries(w.ctx, w.project.ID, f, p) }, auditID)
		}
	}},
	{"entries outlive their events, and are purged when they are old", func(w *world) {
		old := w.newEntry(w.project.ID)
		w.Advance(telltale.AuditMemory - 24*time.Hour)
		young := w.newEntry(w.project.ID)
		w.purge(month)
		w.equal("the entries", ids(w.audited(w.project.ID, telltale.AuditFilter{}), auditID), []string{auditID(young), auditID(old)})
		w.Advance(2 * 24 * time.Hour)
		w.purge(telltale.Retention{})
		w.equal("the entries then", ids(w.audited(w.project.ID, telltale.AuditFilter{}), auditID), []string{auditID(young)})
	}},
}
