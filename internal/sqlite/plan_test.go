package sqlite

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"telltale.example/telltale"
)

// Every way of listing must find its rows by an index and in order: a plan
// that sorts, or that reads a table from end to end, works in a test and
// stalls on ten million rows.
func TestNoQueryScansOrSortsWhatGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		ctx := t.Context()
		project, err := s.ProjectBySlug(ctx, telltale.DefaultProjectSlug)
		if err != nil {
			t.Fatal(err)
		}
		hook, err := s.CreateWebhook(ctx, telltale.NewWebhook(project.ID, "https://receiver.example/in", telltale.AllEventTypes))
		if err != nil {
			t.Fatal(err)
		}
		event := &telltale.Event{ID: telltale.NewEventID(), ProjectID: project.ID, Type: telltale.Opened, ReceivedAt: time.Now(), UserID: "42", CallerID: "a"}
		if _, err := s.AcceptEvents(ctx, telltale.Acceptance{ProjectID: project.ID, Events: []*telltale.Event{event}}); err != nil {
			t.Fatal(err)
		}
		lanes, err := s.ClaimDue(ctx, []telltale.LaneRoom{{WebhookID: hook.ID, Slots: 2, Held: 1}})
		if err != nil {
			t.Fatal(err)
		}
		delivery := lanes[0].Claims[0].DeliveryID
		attempt := &telltale.Attempt{Number: 1, Trigger: telltale.TriggerAutomatic, Status: 500, Node: "nod_other"}
		result := telltale.Result{ClaimRef: lanes[0].Claims[0].ClaimRef, Attempt: attempt, Outcome: telltale.Outcome{State: telltale.StateFailed}}

		now := time.Now()
		pages := []telltale.Page{
			{Limit: 10}, {Limit: 10, After: string(event.ID)}, {Limit: 10, Before: string(event.ID)},
			{Limit: 10, After: string(delivery)}, {Limit: 10, Before: string(delivery)},
		}
		for _, match := range []string{"", "42"} {
			for _, kind := range []telltale.EventType{"", telltale.Opened} {
				for _, since := range []time.Time{{}, now.Add(-time.Hour)} {
					for _, page := range pages {
						// Half of the pages are of the other list, and refused.
						_, _ = s.Events(ctx, project.ID, telltale.EventFilter{Match: match, Type: kind, Since: since, Until: since}, page)
						if page == pages[0] {
							_, _, _ = s.CountEvents(ctx, project.ID, telltale.EventFilter{Match: match, Type: kind, Since: since, Until: since}, 10)
						}
						for _, state := range append(telltale.States(), "") {
							for _, webhook := range []telltale.WebhookID{"", hook.ID} {
								for _, of := range []telltale.EventID{"", event.ID} {
									for _, answer := range []*telltale.Answer{nil, new(telltale.Answer5xx)} {
										f := telltale.DeliveryFilter{Match: match, Type: kind, Since: since, State: state, WebhookID: webhook, EventID: of, Answer: answer}
										_, _ = s.SearchDeliveries(ctx, project.ID, f, page, 0)
										if page == pages[0] {
											_, _, _ = s.CountDeliveries(ctx, project.ID, f, 10)
										}
									}
								}
							}
						}
					}
				}
			}
		}
		_, err1 := s.DueWebhooks(ctx)
		_, err2 := s.RecordAttempts(ctx, []telltale.Result{result})
		_, err3 := s.RetryDelivery(ctx, project.ID, delivery)
		_, err4 := s.Delivery(ctx, project.ID, delivery)
		_, err5 := s.Event(ctx, project.ID, event.ID)
		_, err6 := s.TakeOver(ctx)
		log, err8 := s.LogSince(ctx, project.ID, 0, 10)
		if len(log.Events) != 1 || len(log.Deliveries) != 1 {
			t.Fatalf("the log is %+v", log)
		}
		_, err9 := s.CancelDelivery(ctx, project.ID, delivery)
		for _, which := range []telltale.Which{telltale.WhichFailed, telltale.WhichHeld, telltale.WhichUnsent, telltale.WhichAll} {
			selection := telltale.Selection{Which: which, Since: now.Add(-time.Hour)}
			if _, err := s.PlanReplay(ctx, project.ID, selection, hook.ID); err != nil {
				t.Fatal(err)
			}
			made, err := s.CreateReplay(ctx, telltale.Replay{ProjectID: project.ID, Selection: selection, Rate: 1})
			if err != nil {
				t.Fatal(err)
			}
			_, _, err1 := s.AdvanceReplay(ctx, made.ID, 10)
			_, err2 := s.RunningReplays(ctx)
			_, err3 := s.SwitchReplay(ctx, project.ID, made.ID, made.State)
			_, err4 := s.Deliveries(ctx, project.ID, telltale.DeliveryFilter{ReplayID: made.ID}, telltale.Page{Limit: 10})
			_, _, err5 := s.CountDeliveries(ctx, project.ID, telltale.DeliveryFilter{ReplayID: made.ID}, 10)
			for _, err := range []error{err1, err2, err3, err4, err5} {
				if err != nil && telltale.CodeOf(err) != telltale.Conflict {
					t.Fatal(err)
				}
			}
			for _, page := range pages[:1] {
				if _, err := s.Replays(ctx, project.ID, page); err != nil {
					t.Fatal(err)
				}
			}
		}
		chosen, err := s.CreateReplay(ctx, telltale.Replay{ProjectID: project.ID, Selection: telltale.Selection{Deliveries: []telltale.DeliveryID{delivery}}, Rate: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.AdvanceReplay(ctx, chosen.ID, 10); err != nil {
			t.Fatal(err)
		}
		for _, q := range []telltale.StatQuery{{Since: now.Add(-time.Hour)}, {Step: telltale.StatCoarseStep, WebhookID: hook.ID}} {
			if stats, err := s.Stats(ctx, project.ID, q); err != nil || len(stats) != 1 {
				t.Fatalf("the counts are %v, %v", stats, err)
			}
		}
		askOfPeople(t, s, project, hook)
		askOfUsers(t, s, project)
		askOfMessages(t, s, project)
		askOfImports(t, s, project)
		askOfSources(t, s, project)
		_, _, err7 := s.Purge(ctx, telltale.Retention{Events: time.Nanosecond, CallerIDs: time.Nanosecond})
		for _, err := range []error{err1, err2, err3, err4, err5, err6, err7, err8, err9} {
			if err != nil {
				t.Fatal(err)
			}
		}

		queries := map[string]bool{}
		conns := []*conn{s.writer.conn}
		for range readerCount {
			conns = append(conns, <-s.readers.free)
		}
		for _, c := range conns {
			for sql := range c.queries {
				queries[sql] = true
			}
			if c != s.writer.conn {
				s.readers.free <- c
			}
		}
		if len(queries) < 100 {
			t.Fatalf("only %d queries were seen", len(queries))
		}
		planner, err := openConn(s.path, 1) // reads only
		if err != nil {
			t.Fatal(err)
		}
		defer planner.Close()
		for sql := range queries {
			for _, step := range plan(t, planner, sql) {
				words := strings.Fields(step)
				sorts := strings.Contains(step, "TEMP B-TREE")
				scans := words[0] == "SCAN" && slices.Contains(grows, words[1]) && strings.Contains(sql, "WHERE") // else it reads one end of the table
				if sorts || scans {
					t.Errorf("%s\n\tin %s", step, sql)
				}
			}
		}
	})
}

// askOfPeople asks all that is asked about people and what they do.
func askOfPeople(t *testing.T, s *Store, project telltale.Project, hook *telltale.Webhook) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	o := telltale.NewOperator("jo@example.com", telltale.RoleOwner, "hash")
	later := time.Now().Add(time.Hour)
	link := telltale.Link{Hash: [32]byte{1}, Purpose: telltale.LinkSetup, ExpiresAt: later}
	reset := telltale.Link{Hash: [32]byte{2}, Purpose: telltale.LinkReset, OperatorID: o.ID, ExpiresAt: later}
	session := telltale.Session{Hash: [32]byte{3}, OperatorID: o.ID, ExpiresAt: later}
	must(s.CreateLink(ctx, link))
	must(s.CreateOperator(ctx, o, link.Hash))
	must(s.CreateLink(ctx, reset))
	must(s.SaveSession(ctx, session, o.PasswordHash))
	must(s.TouchSession(ctx, session.Hash, "192.0.2.1"))
	must(s.NoteLogin(ctx, o.ID))
	_, err := s.OperatorByEmail(ctx, o.Email)
	must(err)
	_, err = s.Operators(ctx)
	must(err)
	_, err = s.Link(ctx, reset.Hash)
	must(err)
	_, err = s.Session(ctx, session.Hash)
	must(err)
	_, err = s.Sessions(ctx, o.ID)
	must(err)
	must(s.SetPassword(ctx, o.ID, "hash", reset.Hash, session.Hash))
	must(s.EndSessions(ctx, o.ID, [32]byte{}))
	must(s.EndSession(ctx, session.Hash))
	o.Theme = telltale.ThemeDark
	must(s.UpdateOperator(ctx, o))
	o.Role = telltale.RoleViewer
	if err := s.UpdateOperator(ctx, o); telltale.CodeOf(err) != telltale.Conflict {
		t.Fatal(err)
	}

	for _, action := range []telltale.AuditAction{"", telltale.AuditLogin} {
		for _, actor := range []string{"", "jo@example.com"} {
			for _, target := range []string{"", string(hook.ID)} {
				for _, since := range []time.Time{{}, later} {
					for _, page := range []telltale.Page{{Limit: 10}, {Limit: 10, After: "aud_1"}, {Limit: 10, Before: "aud_1"}} {
						_, err := s.AuditEntries(ctx, project.ID, telltale.AuditFilter{Action: action, Actor: actor, Target: target, Since: since, Until: since}, page)
						must(err)
					}
				}
			}
		}
	}

	request := telltale.IdempotentRequest{ProjectID: project.ID, Name: "a"}
	_, err = s.BeginIdempotent(ctx, request)
	must(err)
	must(s.EndIdempotent(ctx, request, &telltale.IdempotentAnswer{Status: 200}))
	must(s.EndIdempotent(ctx, request, nil))

	bin := telltale.NewBin(project.ID)
	must(s.CreateBin(ctx, bin))
	must(s.CatchRequest(ctx, telltale.CaughtRequest{ID: telltale.NewRequestID(), BinID: bin.ID}))
	_, err = s.UpdateBin(ctx, project.ID, bin.ID, telltale.BinAnswer{Status: 500})
	must(err)
	_, err = s.CaughtRequests(ctx, bin.ID, telltale.Page{Limit: 10})
	must(err)
	_, err = s.Bins(ctx, project.ID)
	must(err)
	must(s.DeleteBin(ctx, project.ID, bin.ID))

	_, err = s.Nodes(ctx)
	must(err)
	_, err = s.Info(ctx)
	must(err)
	_, err = s.DeleteWebhook(ctx, project.ID, hook.ID, 0)
	must(err)
	_, err = s.RestoreWebhook(ctx, project.ID, hook.ID)
	must(err)
}

// askOfMessages asks all that is asked about messages and goals.
func askOfMessages(t *testing.T, s *Store, project telltale.Project) {
	t.Helper()
	ctx, now := t.Context(), time.Now()
	goal := telltale.Goal{CampaignID: "7", EventName: "bought"}
	sent := &telltale.Event{ID: telltale.NewEventID(), ProjectID: project.ID, Type: telltale.Sent, OccurredAt: now, ReceivedAt: now, UserID: "42", MessageID: "a", ProviderMessageID: "p", ConversionEvent: "bought"}
	_, err1 := s.AcceptEvents(ctx, telltale.Acceptance{ProjectID: project.ID, Events: []*telltale.Event{sent}})
	err2 := s.write(ctx, "making runs", 0, func(tx *tx) error {
		for range 5 * runNames {
			e := telltale.Event{Type: telltale.Opened, Sequence: tx.number(), MessageID: "a"}
			if err := tx.nameEvent(s.known.project(project.ID), &e); err != nil {
				return err
			}
		}
		return nil
	})
	err3 := s.SetGoal(ctx, project.ID, goal)
	err4 := s.SetConversionWindows(ctx, project.ID, time.Hour, time.Hour)
	bought := telltale.UserChange{Kind: telltale.ChangeTrack, User: telltale.UserRef{ID: "42"}, Event: &telltale.TrackedEvent{Name: "bought"}}
	changed, err5 := s.ChangeUsers(ctx, telltale.UserChanges{ProjectID: project.ID, Changes: []telltale.UserChange{bought}})
	_, err6 := s.Messages(ctx, project.ID, []string{"a"})
	_, err7 := s.TryGoal(ctx, project.ID, goal, now.Add(-time.Hour))
	_, err8 := s.ProfilesByRef(ctx, project.ID, []telltale.UserRef{{ID: "42"}, {Email: "jo@example.com"}})
	err9 := s.SetGoal(ctx, project.ID, telltale.Goal{CampaignID: "7"})
	err10 := s.write(ctx, "purging", 0, func(tx *tx) error { _, err := tx.purgeNames(tx.last + 1); return err })
	for _, err := range []error{err1, err2, err3, err4, err5, err6, err7, err8, err9, err10} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(changed.Accepted.Events) != 2 {
		t.Fatalf("the user did %+v", changed)
	}
}

// askOfUsers asks all that is asked about users, and changes them in every way.
func askOfUsers(t *testing.T, s *Store, project telltale.Project) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ann, bob := telltale.UserRef{ID: "1", Email: "ann@example.com"}, telltale.UserRef{Email: "bob@example.com"}
	did := &telltale.TrackedEvent{Name: "did"}
	all := []telltale.UserChange{
		{Kind: telltale.ChangeIdentify, User: ann, Add: []string{"vip", "new"}},
		{Kind: telltale.ChangeIdentify, User: telltale.UserRef{ID: "1", Email: "ann@example.org"}, Remove: []string{"new"}},
		{Kind: telltale.ChangeTrack, User: ann, Event: did}, {Kind: telltale.ChangeTrack, User: ann, Event: did}, {Kind: telltale.ChangeTrack, User: bob, Event: did},
		{Kind: telltale.ChangeUnsubscribe, User: bob}, {Kind: telltale.ChangeResubscribe, User: bob},
		{Kind: telltale.ChangeReidentify, User: ann, NewID: "2"}, {Kind: telltale.ChangeReidentify, User: telltale.UserRef{ID: "2"}, NewID: `"bob@example.com"`},
		{Kind: telltale.ChangeTrack, User: telltale.UserRef{ID: "3"}, Event: did}, {Kind: telltale.ChangeDelete, User: telltale.UserRef{ID: "3"}},
	}
	changed, err := s.ChangeUsers(ctx, telltale.UserChanges{ProjectID: project.ID, Source: "track", RepeatWindow: time.Minute, Changes: all})
	must(err)
	for i, r := range changed.Results {
		if r.Err != nil {
			t.Fatalf("change %d: %v", i, r.Err)
		}
	}
	p, err := s.FindProfile(ctx, project.ID, bob)
	must(err)
	_, err = s.Profile(ctx, project.ID, p.ID)
	must(err)
	for _, match := range []string{"", "bob"} {
		for _, out := range []*bool{nil, new(true), new(false)} {
			for _, tag := range []string{"", "vip"} {
				f := telltale.ProfileFilter{Match: match, Unsubscribed: out, Tag: tag}
				for _, page := range []telltale.Page{{Limit: 10}, {Limit: 10, After: string(p.ID)}, {Limit: 10, Before: string(p.ID)}} {
					_, err := s.Profiles(ctx, project.ID, f, page)
					must(err)
				}
				_, _, err := s.CountProfiles(ctx, project.ID, f, 10)
				must(err)
			}
		}
	}
	for _, page := range []telltale.Page{{Limit: 10}, {Limit: 10, After: "1"}, {Limit: 10, Before: "1"}} {
		_, err := s.TrackedEvents(ctx, project.ID, p.ID, page)
		must(err)
	}
	e, err := s.Erase(ctx, project.ID, bob)
	must(err)
	for range 10 {
		_, err = s.AdvanceErasure(ctx, e.ID)
		must(err)
	}
	_, err = s.Erasure(ctx, project.ID, e.ID)
	must(err)
	_, err = s.OpenErasures(ctx)
	must(err)
	for _, page := range []telltale.Page{{Limit: 10}, {Limit: 10, After: "ers_1"}, {Limit: 10, Before: "ers_1"}} {
		_, err := s.Erasures(ctx, project.ID, page)
		must(err)
	}
}

// grows are the tables, and their aliases, that have a row per event or more,
// or whatever number of them strangers bring about.
var grows = []string{"event", "e", "delivery", "d", "attempt", "a", "caller", "profile_tag", "repetition", "profile_gone", "span", "s", "stat", "audit_entry", "idempotency", "session", "link", "caught_request", "unrecognised_request", "nonce", "name_block", "goal", "own_goal", "tracked_event", "t", "profile", "p"}

func plan(t *testing.T, c *conn, sql string) []string {
	t.Helper()
	if !strings.HasPrefix(sql, "SELECT") && !strings.HasPrefix(sql, "UPDATE") && !strings.HasPrefix(sql, "DELETE") {
		return nil
	}
	stmt, _, err := c.PrepareTransient("EXPLAIN QUERY PLAN " + sql)
	if err != nil {
		t.Fatalf("%v in %s", err, sql)
	}
	defer stmt.Finalize()
	var steps []string
	for {
		row, err := stmt.Step()
		if err != nil {
			t.Fatal(err)
		}
		if !row {
			return steps
		}
		steps = append(steps, stmt.ColumnText(3))
	}
}

// askOfImports asks all that can be asked of imports.
func askOfImports(t *testing.T, s *Store, project telltale.Project) {
	t.Helper()
	ctx := t.Context()
	made, err := s.CreateImport(ctx, telltale.Import{ProjectID: project.ID, Kind: telltale.ImportProfiles})
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := s.Import(ctx, project.ID, made.ID)
	_, err2 := s.OpenImports(ctx)
	_, err3 := s.RefusedRows(ctx, project.ID, made.ID, 1)
	_, err4 := s.SwitchImport(ctx, project.ID, made.ID, telltale.ImportPaused)
	for _, page := range []telltale.Page{{Limit: 10}, {Limit: 10, After: string(made.ID)}, {Limit: 10, Before: string(made.ID)}} {
		if _, err := s.Imports(ctx, project.ID, page); err != nil {
			t.Fatal(err)
		}
	}
	_, err5 := s.SwitchImport(ctx, project.ID, made.ID, telltale.ImportCancelled)
	for _, err := range []error{err1, err2, err3, err4, err5} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// askOfSources asks all that can be asked of sources.
func askOfSources(t *testing.T, s *Store, project telltale.Project) {
	t.Helper()
	ctx := t.Context()
	made, err := s.CreateSource(ctx, telltale.NewSource(project.ID, "sendgrid", "Newsletters"))
	if err != nil {
		t.Fatal(err)
	}
	request := telltale.UnrecognisedRequest{ID: telltale.NewRequestID(), SourceID: made.ID, ProjectID: project.ID, ReceivedAt: time.Now()}
	_, err1 := s.SourceByToken(ctx, made.Token)
	err2 := s.NoteSources(ctx, map[telltale.SourceID]telltale.SourceTally{made.ID: {Requests: 1}})
	err3 := s.KeepUnrecognised(ctx, []telltale.UnrecognisedRequest{request})
	_, err4 := s.UnrecognisedRequest(ctx, project.ID, made.ID, request.ID)
	_, err5 := s.CountUnrecognised(ctx, project.ID, made.ID)
	err6 := s.DropUnrecognised(ctx, project.ID, made.ID, []telltale.RequestID{request.ID})
	for _, page := range []telltale.Page{{Limit: 10}, {Limit: 10, After: string(made.ID)}, {Limit: 10, Before: string(made.ID)}} {
		_, err1 := s.Sources(ctx, project.ID, page)
		_, err2 := s.UnrecognisedRequests(ctx, project.ID, made.ID, page)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
	}
	made.Name = "Mails"
	updated, err7 := s.UpdateSource(ctx, *made)
	_, err8 := s.DeleteSource(ctx, project.ID, made.ID, updated.Version)
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8); err != nil {
		t.Fatal(err)
	}
}
