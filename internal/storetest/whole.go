package storetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale"
)

// Known is what of a store only its users know.
type Known struct {
	Keys, Links, Sessions [][32]byte
	Bins                  []telltale.BinID
	Tokens                []telltale.SourceToken
	Caller                *telltale.Event // that was accepted under a caller's id
	Nonce                 telltale.Nonce
	Repeated              telltale.UserChanges // that were known to be a repetition
	Request               telltale.IdempotentRequest
	Answer                telltale.IdempotentAnswer
	Import                telltale.Import // that has read half of its file
}

// Fill puts something of every noun into the store that the harness opens, and
// leaves some of it unfinished. It reads all of it as a [Whole], before it closes
// the store.
func Fill(t *testing.T, h Harness) (Whole, Known) {
	t.Helper()
	s := h.Open(t)
	w := &world{T: t, Harness: h, Store: s, ctx: t.Context()}
	defer func() {
		if err := w.Store.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	}()
	var err error
	w.project, err = s.ProjectBySlug(w.ctx, telltale.DefaultProjectSlug)
	w.must(err)
	w.as(jo)
	var known Known
	w.fillEvents(&known)
	w.fillPeople(&known)
	w.fillUsers(&known)
	w.fillSources(&known)
	w.fillJobs(&known)
	other := w.newProject("other")
	w.must(w.UpdateProject(w.ctx, func() telltale.Project { other.IngestRate = 12.5; return other }()))
	first := w.project
	w.project = other
	w.newWebhook(func(w *telltale.Webhook) { w.RetrySchedule = []time.Duration{time.Second, time.Minute} })
	w.deliver(func(e *telltale.Event) { e.ProjectID = other.ID })
	w.project = first
	w.restart() // what is being sent was left by a crash
	w.deliver()
	return ReadWhole(w.ctx, t, w.Store, known), known
}

func (w *world) fillPeople(known *Known) {
	for _, k := range []telltale.Key{w.newKey("", telltale.ScopeOwner), w.newKey(w.project.ID, telltale.ScopeIngest), w.newKey(w.project.ID, telltale.ScopeTrack)} {
		known.Keys = append(known.Keys, k.Hash)
		w.must(w.TouchKeys(w.ctx, []telltale.KeyID{k.ID}))
	}
	revoked := w.newKey(w.project.ID, telltale.ScopeManage)
	_, err := w.RevokeKey(w.ctx, w.project.ID, revoked.ID)
	w.must(err)
	ana, ben := w.newOperator("ana@example.com", telltale.RoleOwner), w.newOperator("ben@example.com", telltale.RoleMember)
	w.must(w.NoteLogin(w.ctx, ana.ID))
	ben.DisabledAt = milli(w.Now())
	w.must(w.UpdateOperator(w.ctx, ben))
	known.Sessions = [][32]byte{w.newSession(ana.ID).Hash, w.newSession("").Hash}
	known.Links = [][32]byte{w.newLink(telltale.LinkReset, resetting(ana.ID)).Hash, w.newLink(telltale.LinkInvite, inviting(telltale.Operator{Email: "cy@example.com", Role: telltale.RoleMember})).Hash}
	known.Request = w.named("a request", "its body")
	w.begin(known.Request)
	known.Answer = created
	w.must(w.EndIdempotent(w.ctx, known.Request, &known.Answer))
	w.begin(w.named("one under way", "its body"))
	failing := w.newBin(w.project.ID)
	_, err = w.UpdateBin(w.ctx, w.project.ID, failing.ID, telltale.BinAnswer{Status: 503, Delay: 1500 * time.Millisecond, Body: "bùsy\x00", RetryAfter: "120", Reset: true})
	w.must(err)
	known.Bins = []telltale.BinID{failing.ID, w.newBin(w.project.ID).ID}
	for range 3 {
		w.must(w.CatchRequest(w.ctx, w.newCaught(failing.ID)))
	}
}

func (w *world) fillEvents(known *Known) {
	w.setGoal("7", "bought")
	w.must(w.SetConversionWindows(w.ctx, w.project.ID, 24*time.Hour, time.Hour))
	w.manyDeliveries()
	w.newWebhook(func(h *telltale.Webhook) {
		h.Headers = []telltale.CustomHeader{{Name: "X-Token", Value: "hush", Secret: true}, {Name: "X-Plain", Value: "ünïcode"}}
		h.BasicAuth = &telltale.BasicAuth{Username: "jo", Password: "hush"}
		h.SkipMachines, h.Extensions, h.LegacySignature = true, true, true
		h.RateLimit, h.Concurrency, h.Timeout, h.Description = 2.5, 3, 7*time.Second, "all of it"
		h.Events = telltale.NewEventTypeSet(telltale.Clicked, telltale.Unsubscribed)
	})
	w.broken()
	w.Advance(25 * time.Hour)
	full := w.deliver(ofType(telltale.Clicked), func(e *telltale.Event) {
		e.URL, e.IP, e.Machine, e.ProviderMessageID, e.Source = "https://example.com/?a=1", "192.0.2.9", new(true), "prov-9", "sendgrid"
	})
	w.record(w.resultOf(full[0], w.fullAttempt(&full[0])))
	known.Caller = w.newEvent(called("their-id", "their content"))
	w.accept(known.Caller)
	known.Nonce = nonceOf("a nonce", "its content")
	w.must(w.spend(w.newEvent(), known.Nonce))
	w.accept(w.happened(telltale.Sent, "a", 2*hour, `,"telltale":{"conversion_event":"signed_up","provider_message_id":"prov-1"}`))
	w.applied(w.doing("Bought", 0))
}

func (w *world) fillUsers(known *Known) {
	w.applied(
		w.identify(telltale.UserRef{ID: "7", Email: "ann@example.com"}, `{"plan":"gold","seats":3,"odd":"a\u0000b"}`), tagged(whose("7"), "vip", "beta"),
		w.identify(telltale.UserRef{ID: `"8"`, Email: "ann@example.com"}, `{}`), does(telltale.ChangeUnsubscribe, whose("8")),
		w.identify(whose(`"old"`), `{}`), w.tracked(whose(`"old"`), "moved", `{"to":"Oslo"}`), reidentified(whose(`"old"`), "9"),
	)
	w.accept(w.newEvent(bouncedHard, ofUser("7", "ann@example.com", "msg-hard")))
	known.Repeated = telltale.UserChanges{ProjectID: w.project.ID, Source: "track", RepeatWindow: time.Hour, Changes: []telltale.UserChange{w.tracked(whose("7"), "did", `{"a":1}`)}}
	w.changeWith(known.Repeated)
}

func (w *world) fillSources(known *Known) {
	bare, full := w.newSource(), w.newSource(everyOption)
	known.Tokens = []telltale.SourceToken{bare.Token, full.Token}
	w.note(bare.ID, telltale.SourceTally{Requests: 3, Events: 2, Unrecognised: 1, LastRequestAt: milli(w.Now()), LastFailureAt: milli(w.Now()), LastFailure: "no"})
	w.keep(bare, `{"a":1}`, "b\x00\xff")
	gone := w.newSource()
	w.keep(gone, "never seen again")
	_, err := w.DeleteSource(w.ctx, w.project.ID, gone.ID, 0)
	w.must(err)
}

func (w *world) fillJobs(known *Known) {
	f := w.newFates()
	w.enable(f.hook.ID)
	all := telltale.Selection{WebhookID: f.hook.ID, Which: telltale.WhichUndelivered}
	w.runReplay(w.startReplay(all, "").ID, 2)
	to := w.newWebhook(wanting(telltale.Opened, telltale.Clicked, telltale.Bounced))
	under := w.startReplay(telltale.Selection{WebhookID: f.hook.ID, Which: telltale.WhichAll}, to.ID)
	_, _, err := w.AdvanceReplay(w.ctx, under.ID, 2)
	w.must(err)
	_, err = w.SwitchReplay(w.ctx, w.project.ID, w.startReplay(all, to.ID).ID, telltale.ReplayCancelled)
	w.must(err)
	i := w.startImport(telltale.ImportProfiles)
	w.importRows(i, telltale.ImportProgress{To: 1000, Rows: 3, Line: 4, Refused: []telltale.RefusedRow{{Line: 2, Reason: "no", Row: []byte("a,b\xff")}, {Line: 3, Reason: "neither"}}, Of: rowsOf(4), Finished: true},
		w.identify(whose(`"imported"`), `{"a":1}`))
	w.switchImport(w.startImport(telltale.ImportEvents).ID, telltale.ImportCancelled)
	known.Import = w.startImport(telltale.ImportProfiles)
	w.importRows(known.Import, telltale.ImportProgress{To: 500, Rows: 1, Line: 2, Of: rowsOf(2)}, w.identify(whose(`"half"`), `{}`))
	w.applied(w.identify(telltale.UserRef{ID: `"gone"`, Email: "gone@example.com"}, `{}`), w.tracked(whose(`"gone"`), "did", `{}`))
	w.accept(w.newEvent(ofUser("gone", "gone@example.com", "msg-gone")))
	w.complete(w.erase(whose(`"gone"`)).ID)
	w.applied(w.identify(whose(`"going"`), `{}`))
	w.accept(w.newEvent(ofUser("going", "", "msg-going")))
	w.erase(whose(`"going"`))
}

// Whole is all that a store tells, by what was asked. Two stores that hold the same
// tell the same.
type Whole map[string]any

// ReadWhole asks the store for all that it holds.
func ReadWhole(ctx context.Context, t *testing.T, s telltale.Store, known Known) Whole {
	t.Helper()
	whole := Whole{}
	r := &reader{T: t, Store: s, ctx: ctx, whole: whole}
	projects, err := s.Projects(ctx)
	r.note(projects, err, "the projects")
	operators, err := s.Operators(ctx)
	r.note(operators, err, "the operators")
	for _, o := range operators {
		sessions, err := s.Sessions(ctx, o.ID)
		r.note(sessions, err, "the sessions of", o.ID)
	}
	for _, hash := range known.Keys {
		key, err := s.KeyByHash(ctx, hash)
		r.note(key, err, "the key of", hash)
	}
	for _, hash := range known.Links {
		link, err := s.Link(ctx, hash)
		r.note(link, err, "the link of", hash)
	}
	for _, hash := range known.Sessions {
		session, err := s.Session(ctx, hash)
		r.note(session, err, "the session of", hash)
	}
	for _, id := range known.Bins {
		bin, err := s.Bin(ctx, id)
		r.note(bin, err, "the bin", id)
		caught, err := s.CaughtRequests(ctx, id, all)
		r.note(caught, err, "what the bin caught", id)
	}
	for _, token := range known.Tokens {
		source, err := s.SourceByToken(ctx, token)
		r.note(source, err, "the source with the token", token)
	}
	r.project("")
	for _, p := range projects {
		r.project(p.ID)
		r.log(p.ID)
		r.users(p.ID)
		r.jobs(p.ID)
	}
	return whole
}

var all = telltale.Page{Limit: telltale.MaxPage}

// reader fills a [Whole].
type reader struct {
	*testing.T
	telltale.Store
	ctx   context.Context
	whole Whole
}

func (r *reader) note(value any, err error, what ...any) {
	r.Helper()
	asked := strings.TrimSuffix(fmt.Sprintln(what...), "\n")
	if err != nil {
		r.Fatalf("%s: %v", asked, err)
	}
	r.whole[asked] = value
}

// project reads what belongs to a project, or to none.
func (r *reader) project(p telltale.ProjectID) {
	keys, err := r.Keys(r.ctx, p, all)
	r.note(keys, err, "the keys of", p)
	entries, err := r.AuditEntries(r.ctx, p, telltale.AuditFilter{}, all)
	r.note(entries, err, "the audit log of", p)
	if p == "" {
		return
	}
	goals, err := r.Goals(r.ctx, p)
	r.note(goals, err, "the goals of", p)
	webhooks, err := r.Webhooks(r.ctx, p, all)
	r.note(webhooks, err, "the webhooks of", p)
	bins, err := r.Bins(r.ctx, p)
	r.note(bins, err, "the bins of", p)
	sources, err := r.Sources(r.ctx, p, all)
	r.note(sources, err, "the sources of", p)
	for _, s := range sources {
		kept, err := r.UnrecognisedRequests(r.ctx, p, s.ID, all)
		r.note(kept, err, "what was not understood of", s.ID)
		for _, k := range kept {
			request, err := r.UnrecognisedRequest(r.ctx, p, s.ID, k.ID)
			r.note(request, err, "the request", k.ID)
		}
	}
	for _, q := range []telltale.StatQuery{{}, {Step: telltale.StatCoarseStep, ByWebhook: true, ByType: true}, {Step: 24 * time.Hour, ByType: true}} {
		stats, err := r.Stats(r.ctx, p, q)
		r.note(stats, err, "the counts of", p, q)
	}
}

func (r *reader) log(p telltale.ProjectID) {
	events, err := r.Events(r.ctx, p, telltale.EventFilter{}, all)
	r.note(events, err, "the events of", p)
	messages := map[string]bool{}
	for _, e := range events {
		event, err := r.Event(r.ctx, p, e.ID)
		r.note(event, err, "the event", e.ID)
		messages[e.MessageID] = true
	}
	for id := range messages {
		found, err := r.Messages(r.ctx, p, []string{id})
		r.note(found, err, "the message", id, "of", p)
		of, err := r.Events(r.ctx, p, telltale.EventFilter{Match: id}, all)
		r.note(of, err, "the events of the message", id, "of", p)
	}
	deliveries, err := r.Deliveries(r.ctx, p, telltale.DeliveryFilter{}, all)
	r.note(deliveries, err, "the deliveries of", p)
	for _, d := range deliveries {
		delivery, err := r.Delivery(r.ctx, p, d.ID)
		r.note(delivery, err, "the delivery", d.ID)
	}
	for _, state := range telltale.States() {
		n, more, err := r.CountDeliveries(r.ctx, p, telltale.DeliveryFilter{State: state}, telltale.MaxCount)
		r.note([]any{n, more}, err, "how many deliveries are", state, p)
		found, err := r.Deliveries(r.ctx, p, telltale.DeliveryFilter{State: state}, all)
		r.note(ids(found, deliveryID), err, "which deliveries are", state, p)
	}
	log, err := r.LogSince(r.ctx, p, 0, telltale.MaxPage)
	r.note([]any{log.Events, log.Deliveries, log.More}, err, "the log of", p)
}

func (r *reader) users(p telltale.ProjectID) {
	profiles, err := r.Profiles(r.ctx, p, telltale.ProfileFilter{}, all)
	r.note(profiles, err, "the users of", p)
	for _, profile := range profiles {
		found, err := r.Profile(r.ctx, p, profile.ID)
		r.note(found, err, "the user", profile.ID)
		did, err := r.TrackedEvents(r.ctx, p, profile.ID, all)
		r.note(did, err, "what was tracked of", profile.ID)
	}
	tagged, err := r.Profiles(r.ctx, p, telltale.ProfileFilter{Tag: "vip"}, all)
	r.note(tagged, err, "the users with the tag vip of", p)
	out, err := r.Profiles(r.ctx, p, telltale.ProfileFilter{Unsubscribed: new(true)}, all)
	r.note(out, err, "the users who opted out of", p)
}

func (r *reader) jobs(p telltale.ProjectID) {
	replays, err := r.Replays(r.ctx, p, all)
	r.note(replays, err, "the replays of", p)
	for _, replay := range replays {
		made, err := r.Deliveries(r.ctx, p, telltale.DeliveryFilter{ReplayID: replay.ID}, all)
		r.note(made, err, "the deliveries of", replay.ID)
	}
	imports, err := r.Imports(r.ctx, p, all)
	r.note(imports, err, "the imports of", p)
	for _, i := range imports {
		refused, err := r.RefusedRows(r.ctx, p, i.ID, 0)
		r.note(refused, err, "what was refused of", i.ID)
	}
	erasures, err := r.Erasures(r.ctx, p, all)
	r.note(erasures, err, "the erasures of", p)
}

// GoOn fails the test unless a store that holds what [Fill] left behind knows what
// it was told before, and ends what was left unfinished.
func GoOn(t *testing.T, h Harness, known Known) {
	t.Helper()
	w := &world{T: t, Harness: h, Store: h.Open(t), ctx: t.Context()}
	defer func() { w.must(w.Store.Close()) }()
	var err error
	w.project, err = w.ProjectBySlug(w.ctx, telltale.DefaultProjectSlug)
	w.must(err)

	again := *known.Caller
	again.ID = telltale.NewEventID()
	w.equal("an event that its caller sends again", w.accept(&again).Events, []telltale.AcceptedEvent{{ID: known.Caller.ID, Duplicate: true}})
	other := known.Nonce
	other.Hash = sha256.Sum256([]byte("other content"))
	w.code(telltale.Conflict, w.spend(w.newEvent(), other))
	w.equal("what was done again", w.changeWith(known.Repeated).Results[0].Repeated, true)
	answer, err := w.BeginIdempotent(w.ctx, known.Request)
	w.must(err)
	w.equal("the answer to a request that is repeated", answer, &known.Answer)

	before := w.deliveries(telltale.DeliveryFilter{State: telltale.StateSending})
	n, err := w.TakeOver(w.ctx)
	w.must(err)
	w.equal("what was being sent, and is taken over", n >= len(before) && n > 0, true)
	w.equal("what is being sent then", len(w.deliveries(telltale.DeliveryFilter{State: telltale.StateSending})), 0)
	for _, lane := range func() []telltale.LaneDue { lanes, err := w.DueWebhooks(w.ctx); w.must(err); return lanes }() {
		claims := w.claimRoom(telltale.LaneRoom{WebhookID: lane.Webhook.ID, Slots: 1000, Held: 1000}).Claims
		if len(claims) == 0 && lane.In == 0 {
			w.Errorf("what is due to %s is not claimed", lane.Webhook.ID)
		}
		for _, c := range claims {
			if c.Event == nil || len(c.Webhook.Secrets) == 0 {
				w.Fatalf("the claim %v lacks its event or the secrets of its webhook", c.DeliveryID)
			}
			w.finish(c)
		}
	}
	running, err := w.RunningReplays(w.ctx)
	w.must(err)
	w.equal("how many replays are under way", len(running), 1)
	for _, r := range running {
		before := r.Made
		if r = w.runReplay(r.ID, 2); r.State != telltale.ReplayFinished || r.Made <= before {
			w.Errorf("the replay goes on to %+v", r)
		}
		seen := map[telltale.EventID]bool{}
		for _, d := range w.replayed(r.ID) {
			if seen[d.EventID] {
				w.Errorf("the event %s was sent twice", d.EventID)
			}
			seen[d.EventID] = true
		}
	}
	open, err := w.OpenErasures(w.ctx)
	w.must(err)
	w.equal("how many erasures are under way", len(open), 1)
	for _, e := range open {
		w.equal("what was erased", w.complete(e.ID).Events, 2) // user_created, too
	}
	w.importRows(known.Import, telltale.ImportProgress{From: 500, To: 1000, Rows: 1, Line: 3, Of: rowsOf(3), Finished: true}, w.identify(whose(`"whole"`), `{}`))
	if i := w.anImport(known.Import.ID); i.State != telltale.ImportFinished || i.Rows != 2 || i.Applied != 2 {
		w.Errorf("the import goes on to %+v", i)
	}
	hook := w.newWebhook()
	fresh := w.newEvent()
	w.accept(fresh)
	w.equal("what the new webhook is owed", w.only(hook.ID).EventID, fresh.ID)
	w.applied(w.identify(whose(`"new"`), `{}`))
}
