package storetest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"telltale.example/telltale"
)

// everyField gives an event something in each of its fields.
func everyField(e *telltale.Event) {
	machine := false
	e.Type, e.Source = telltale.Clicked, "trigger"
	e.OccurredAt = e.ReceivedAt.Add(-3 * time.Hour)
	e.Payload = []byte("{\"type\":\"clicked\",\"x\":\"\xc3\xbc\x00\xff\"}")
	e.URL, e.IP, e.Machine = "https://shop.example/?a=1&b=2", "2001:db8::1", &machine
	e.ProviderMessageID, e.ConversionEvent, e.CallerID = "<p@mail.example>", "bought", "caller-1"
	e.Credit = telltale.CreditViewed
}

var eventTests = []test{
	{"an event is read back as it was accepted, also after a restart", func(w *world) {
		for _, event := range []*telltale.Event{
			w.newEvent(), w.newEvent(everyField),
			w.newEvent(func(e *telltale.Event) { e.UserID, e.Email, e.MessageID, e.CampaignID = "", "", "", "" }),
			w.newEvent(func(e *telltale.Event) { e.OccurredAt = time.UnixMilli(1).UTC() }),
			w.newEvent(func(e *telltale.Event) { e.OccurredAt = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }),
			w.newEvent(func(e *telltale.Event) { e.Payload = bytes.Repeat([]byte("0123456789"), 25_000) }),
		} {
			w.accept(event)
			for range 2 {
				got, err := w.Event(w.ctx, w.project.ID, event.ID)
				w.must(err)
				w.equal("the event", got, event)
				w.restart()
			}
		}
	}},
	{"an event of another project is not found, like one that does not exist", func(w *world) {
		other := w.newProject("other")
		event := w.newEvent()
		w.accept(event)
		for _, at := range []struct {
			project telltale.ProjectID
			id      telltale.EventID
		}{{other.ID, event.ID}, {w.project.ID, telltale.NewEventID()}, {w.project.ID, "evt_nonsense"}, {w.project.ID, ""}, {"", event.ID}} {
			_, err := w.Event(w.ctx, at.project, at.id)
			w.code(telltale.NotFound, err)
		}
	}},
	{"sequences rise in the order of acceptance", func(w *world) {
		var last int64
		for i := range 4 {
			a, b := w.newEvent(), w.newEvent()
			w.accept(b, a)
			if b.Sequence <= last || a.Sequence <= b.Sequence {
				w.Fatalf("sequences %d and %d after %d", b.Sequence, a.Sequence, last)
			}
			last = a.Sequence
			if i == 2 {
				w.restart()
			}
		}
		if last >= 1<<53 {
			w.Fatalf("the sequence %d is not exact in JSON", last)
		}
	}},
	{"accepting nothing does nothing", func(w *world) {
		w.equal("the answer", w.accept(), telltale.Accepted{Events: []telltale.AcceptedEvent{}})
	}},
	{"a delivery is made for each enabled webhook of the project that wants the type", func(w *world) {
		other := w.newProject("other")
		all, opened := w.newWebhook(), w.newWebhook(wanting(telltale.Opened, telltale.Clicked))
		bounced, disabled, deleted := w.newWebhook(wanting(telltale.Bounced)), w.newWebhook(), w.newWebhook()
		foreign := w.newWebhook(func(h *telltale.Webhook) { h.ProjectID = other.ID })
		w.disable(disabled.ID)
		w.delete(deleted.ID)

		w.accept(w.newEvent(ofType(telltale.Opened)), w.newEvent(ofType(telltale.Bounced)))
		for hook, want := range map[*telltale.Webhook]int{all: 2, opened: 1, bounced: 1, disabled: 0, deleted: 0} {
			w.equal(fmt.Sprintf("deliveries to the webhook of %v", hook.Events), len(w.deliveries(telltale.DeliveryFilter{WebhookID: hook.ID})), want)
		}
		ds, err := w.Deliveries(w.ctx, other.ID, telltale.DeliveryFilter{WebhookID: foreign.ID}, telltale.Page{Limit: 10})
		w.must(err)
		w.equal("deliveries in the other project", len(ds), 0)

		changed := *all
		changed.Events = telltale.NewEventTypeSet(telltale.Sent)
		_, err = w.UpdateWebhook(w.ctx, changed)
		w.must(err)
		w.enable(disabled.ID)
		w.accept(w.newEvent(ofType(telltale.Opened)))
		w.equal("deliveries to the one that wants it no more", len(w.deliveries(telltale.DeliveryFilter{WebhookID: all.ID})), 2)
		w.equal("deliveries to the one that was enabled", len(w.deliveries(telltale.DeliveryFilter{WebhookID: disabled.ID})), 1)
	}},
	{"what a machine opened or clicked is not owed to a webhook that skips machines", func(w *world) {
		all := w.newWebhook()
		skips := w.newWebhook(func(h *telltale.Webhook) { h.SkipMachines = true })
		open, click := w.newEvent(ofType(telltale.Opened), byMachine(true)), w.newEvent(ofType(telltale.Clicked), byMachine(true))
		person, unknown := w.newEvent(ofType(telltale.Opened), byMachine(false)), w.newEvent(ofType(telltale.Clicked))
		unsubscribe := w.newEvent(ofType(telltale.Unsubscribed), byMachine(true))
		owed := func(hook *telltale.Webhook) []telltale.EventID {
			return ids(w.deliveries(telltale.DeliveryFilter{WebhookID: hook.ID}), deliveryEventID)
		}
		room := newRoom(10)
		accepted := w.acceptWith(room, open, click, person, unknown, unsubscribe)
		w.equal("the claims", len(accepted.Claims), 8)
		w.equal("the room that was taken", room.total(), 8)
		w.equal("what is owed to the other", owed(all), []telltale.EventID{unsubscribe.ID, unknown.ID, person.ID, click.ID, open.ID})
		w.equal("what is owed to it", owed(skips), []telltale.EventID{unsubscribe.ID, unknown.ID, person.ID})

		w.restart()
		for _, skip := range []bool{true, false} {
			hook, err := w.Webhook(w.ctx, w.project.ID, skips.ID)
			w.must(err)
			changed := *hook
			changed.SkipMachines = skip
			_, err = w.UpdateWebhook(w.ctx, changed)
			w.must(err)
			w.accept(w.newEvent(ofType(telltale.Opened), byMachine(true)))
		}
		w.equal("what is owed to it when it skips them no more", len(owed(skips)), 4)
	}},
	{"deliveries for which there is room are born claimed, the others wait", func(w *world) {
		a, b := w.newWebhook(), w.newWebhook()
		room := newRoom(1)
		event := w.newEvent()
		accepted := w.acceptWith(room, event, w.newEvent())
		w.equal("the room that was taken", room.total(), 2)
		w.equal("the claims", len(accepted.Claims), 2)
		w.equal("the webhooks with something waiting", sorted(ids(accepted.Waiting, webhookID)), sorted([]telltale.WebhookID{a.ID, b.ID}))
		for _, c := range accepted.Claims {
			if c.Event != event {
				w.Fatalf("the claim is of %v, not of the first event itself", c.Event.ID)
			}
			if c.Webhook.ID != a.ID && c.Webhook.ID != b.ID {
				w.Fatalf("the claim is for %v", c.Webhook.ID)
			}
			c.Event, c.Webhook = nil, nil
			if c.DeliveryID == "" || c.Number == 0 {
				w.Fatalf("the claim is %+v", c.ClaimRef)
			}
			w.state(c.DeliveryID, telltale.StateSending)
			c.ClaimRef = telltale.ClaimRef{}
			w.equal("the claim", c, telltale.Claim{ProjectID: w.project.ID, Trigger: telltale.TriggerAutomatic, Attempt: 1})
		}
		w.equal("waiting deliveries", len(w.deliveries(telltale.DeliveryFilter{State: telltale.StateWaiting})), 2)
		w.equal("claims of what waits", len(w.claim(a.ID, 10)), 1)
	}},
	{"without room every delivery waits, due at once", func(w *world) {
		hook := w.newWebhook()
		accepted := w.accept(w.newEvent(), w.newEvent())
		w.equal("the claims", len(accepted.Claims), 0)
		w.equal("the webhooks with something waiting", ids(accepted.Waiting, webhookID), []telltale.WebhookID{hook.ID})
		for _, d := range w.deliveries(telltale.DeliveryFilter{}) {
			if d.State != telltale.StateWaiting || d.DueAt.IsZero() || d.DueAt.After(w.Now()) || d.AttemptCount != 0 {
				w.Fatalf("the delivery is %+v", d)
			}
		}
		w.equal("when it is due", w.due(hook.ID).In, time.Duration(0))
	}},
	{"room is given back when nothing was stored", func(w *world) {
		w.newWebhook()
		event := w.newEvent()
		w.accept(event)
		room := newRoom(10)
		again := *event
		_, err := w.AcceptEvents(w.ctx, telltale.Acceptance{ProjectID: w.project.ID, Events: []*telltale.Event{w.newEvent(), w.newEvent(), &again}, Room: room})
		if err == nil {
			w.Fatal("an event with a known id was accepted")
		}
		w.equal("the room that is taken", room.total(), 0)
		w.equal("the events", len(w.events(telltale.EventFilter{})), 1)
	}},
	{"a test goes to its webhook alone, enabled or not, born claimed", func(w *world) {
		hook, bystander := w.newWebhook(wanting(telltale.Sent)), w.newWebhook()
		for _, step := range []func(telltale.WebhookID) *telltale.Webhook{func(telltale.WebhookID) *telltale.Webhook { return hook }, w.disable} {
			snapshot := step(hook.ID)
			event := w.newEvent()
			claim, err := w.AcceptTest(w.ctx, *event, hook.ID)
			w.must(err)
			stored, err := w.Event(w.ctx, w.project.ID, event.ID)
			w.must(err)
			event.Test, event.Sequence = true, stored.Sequence
			w.equal("the stored event", stored, event)
			w.equal("the claim's event", claim.Event, event)
			w.equal("the claim's webhook", claim.Webhook, snapshot)
			if d := w.delivery(claim.DeliveryID); d.State != telltale.StateSending || !d.Test || d.WebhookID != hook.ID {
				w.Fatalf("the delivery is %+v", d)
			}
			claim.Event, claim.Webhook, claim.ClaimRef = nil, nil, telltale.ClaimRef{}
			w.equal("the claim", claim, telltale.Claim{ProjectID: w.project.ID, Trigger: telltale.TriggerTest, Test: true, Once: true, Attempt: 1})
		}
		w.equal("deliveries to the other webhook", len(w.deliveries(telltale.DeliveryFilter{WebhookID: bystander.ID})), 0)
	}},
	{"a test that fails is over", func(w *world) {
		hook := w.newWebhook()
		claim, err := w.AcceptTest(w.ctx, *w.newEvent(), hook.ID)
		w.must(err)
		w.fail(claim)
		w.state(claim.DeliveryID, telltale.StateFailed)
	}},
	{"a test of a webhook that is not there is not found", func(w *world) {
		other := w.newProject("other")
		foreign := w.newWebhook(func(h *telltale.Webhook) { h.ProjectID = other.ID })
		deleted := w.delete(w.newWebhook().ID)
		for _, id := range []telltale.WebhookID{foreign.ID, deleted.ID, telltale.NewWebhookID()} {
			_, err := w.AcceptTest(w.ctx, *w.newEvent(), id)
			w.code(telltale.NotFound, err)
		}
		w.equal("the events", len(w.events(telltale.EventFilter{})), 0)
	}},
}

func sorted[T cmp.Ordered](s []T) []T {
	slices.Sort(s)
	return s
}

func byMachine(machine bool) func(*telltale.Event) {
	return func(e *telltale.Event) { e.Machine = &machine }
}

// spend accepts an event together with nonces.
func (w *world) spend(e *telltale.Event, nonces ...telltale.Nonce) error {
	_, err := w.AcceptEvents(w.ctx, telltale.Acceptance{ProjectID: e.ProjectID, Events: []*telltale.Event{e}, Nonces: nonces})
	return err
}

func nonceOf(name, content string) telltale.Nonce {
	return telltale.Nonce{Name: name, Hash: sha256.Sum256([]byte(content))}
}

var nonceTests = []test{
	{"a nonce is good for one thing, however often that comes", func(w *world) {
		w.must(w.spend(w.newEvent(), nonceOf("a", "content")))
		for range 2 {
			w.must(w.spend(w.newEvent(), nonceOf("a", "content"), nonceOf("b", "content")))
			w.code(telltale.Conflict, w.spend(w.newEvent(), nonceOf("a", "other")))
			w.restart()
		}
		w.equal("the events", len(w.events(telltale.EventFilter{})), 3)
	}},
	{"a nonce that is used again for something else stores nothing", func(w *world) {
		w.newWebhook()
		w.must(w.spend(w.newEvent(), nonceOf("a", "content"), nonceOf("b", "content")))
		room := newRoom(10)
		_, err := w.AcceptEvents(w.ctx, telltale.Acceptance{
			ProjectID: w.project.ID, Events: []*telltale.Event{w.newEvent(), w.newEvent()}, Room: room,
			Nonces: []telltale.Nonce{nonceOf("b", "other"), nonceOf("new", "content"), nonceOf("a", "other")},
		})
		w.code(telltale.Conflict, err)
		w.equal("the faults", faultLocations(err), []string{"nonces[0]", "nonces[2]"})
		w.equal("the room that is taken", room.total(), 0)
		w.equal("the events", len(w.events(telltale.EventFilter{})), 1)
		w.must(w.spend(w.newEvent(), nonceOf("new", "other")))
	}},
	{"nonces are compared within a call, too", func(w *world) {
		err := w.spend(w.newEvent(), nonceOf("a", "content"), nonceOf("a", "content"), nonceOf("b", "content"), nonceOf("a", "other"))
		w.code(telltale.Conflict, err)
		w.equal("the faults", faultLocations(err), []string{"nonces[3]"})
		w.must(w.spend(w.newEvent(), nonceOf("a", "other"), nonceOf("a", "other")))
		w.equal("the events", len(w.events(telltale.EventFilter{})), 1)
	}},
	{"what is not accepted uses up no nonce", func(w *world) {
		w.accept(w.newEvent(called("x", "content")))
		w.code(telltale.Conflict, w.spend(w.newEvent(called("x", "other")), nonceOf("a", "content")))
		w.must(w.spend(w.newEvent(), nonceOf("a", "other")))
	}},
	{"a nonce comes with no events, too", func(w *world) {
		_, err := w.AcceptEvents(w.ctx, telltale.Acceptance{ProjectID: w.project.ID, Nonces: []telltale.Nonce{nonceOf("a", "content")}})
		w.must(err)
		w.code(telltale.Conflict, w.spend(w.newEvent(), nonceOf("a", "other")))
	}},
	{"a nonce is remembered for thirty days from its first use", func(w *world) {
		w.must(w.spend(w.newEvent(), nonceOf("a", "content")))
		w.Advance(telltale.CallerIDMemory - time.Minute)
		w.must(w.spend(w.newEvent(), nonceOf("a", "content")))
		w.code(telltale.Conflict, w.spend(w.newEvent(), nonceOf("a", "other")))
		w.Advance(2 * time.Minute)
		w.must(w.spend(w.newEvent(), nonceOf("a", "other")))
		w.code(telltale.Conflict, w.spend(w.newEvent(), nonceOf("a", "content")))
	}},
	{"projects do not share nonces", func(w *world) {
		other := w.newProject("other")
		w.must(w.spend(w.newEvent(), nonceOf("a", "content")))
		w.must(w.spend(w.newEvent(func(e *telltale.Event) { e.ProjectID = other.ID }), nonceOf("a", "other")))
	}},
}

var callerTests = []test{
	{"an event that is repeated is answered with the first one's id", func(w *world) {
		hook := w.newWebhook()
		first := w.newEvent(called("order-1", "content"))
		w.accept(first)
		for range 2 {
			room := newRoom(10)
			accepted := w.acceptWith(room, w.newEvent(called("order-1", "content")), w.newEvent(called("order-2", "content")))
			w.equal("the first answer", accepted.Events[0], telltale.AcceptedEvent{ID: first.ID, Duplicate: true})
			w.equal("claims and room", room.total(), len(accepted.Claims))
			w.restart()
		}
		w.equal("the events", len(w.events(telltale.EventFilter{})), 2)
		w.equal("the deliveries", len(w.deliveries(telltale.DeliveryFilter{WebhookID: hook.ID})), 2)
	}},
	{"a repetition within a call is answered like one of a call before", func(w *world) {
		first := w.newEvent(called("a", "content"))
		accepted := w.accept(first, w.newEvent(called("a", "content")), w.newEvent(), w.newEvent())
		w.equal("the second answer", accepted.Events[1], telltale.AcceptedEvent{ID: first.ID, Duplicate: true})
		w.equal("the events", len(w.events(telltale.EventFilter{})), 3)
	}},
	{"the same id with another content is a conflict, and nothing of the call is stored", func(w *world) {
		w.newWebhook()
		w.accept(w.newEvent(called("a", "content")))
		room := newRoom(10)
		_, err := w.AcceptEvents(w.ctx, telltale.Acceptance{ProjectID: w.project.ID, Room: room, Events: []*telltale.Event{
			w.newEvent(called("new", "1")), w.newEvent(called("a", "other")), w.newEvent(), w.newEvent(called("new", "2")),
		}})
		w.code(telltale.Conflict, err)
		w.equal("the faults", faultLocations(err), []string{"body[1].telltale.id", "body[3].telltale.id"})
		w.equal("the events", len(w.events(telltale.EventFilter{})), 1)
		w.equal("the room that is taken", room.total(), 0)
		accepted := w.accept(w.newEvent(called("new", "2")))
		w.equal("whether what was not stored is remembered", accepted.Events[0].Duplicate, false)
	}},
	{"an id is remembered for thirty days", func(w *world) {
		first := w.newEvent(called("a", "content"))
		w.accept(first)
		w.Advance(telltale.CallerIDMemory - time.Minute)
		w.equal("the answer in time", w.accept(w.newEvent(called("a", "content"))).Events[0].ID, first.ID)
		w.Advance(2 * time.Minute)
		second := w.newEvent(called("a", "other"))
		w.equal("the answer afterwards", w.accept(second).Events[0], telltale.AcceptedEvent{ID: second.ID})
		w.equal("the answer to a repetition of the second", w.accept(w.newEvent(called("a", "other"))).Events[0].ID, second.ID)
	}},
	{"an id is remembered although its event was purged", func(w *world) {
		first := w.newEvent(called("a", "content"))
		w.accept(first)
		w.Advance(2 * 24 * time.Hour)
		_, _, err := w.Purge(w.ctx, telltale.Retention{Events: time.Hour, CallerIDs: telltale.CallerIDMemory})
		w.must(err)
		w.equal("the events", len(w.events(telltale.EventFilter{})), 0)
		w.equal("the answer", w.accept(w.newEvent(called("a", "content"))).Events[0], telltale.AcceptedEvent{ID: first.ID, Duplicate: true})
	}},
	{"projects do not share ids", func(w *world) {
		other := w.newProject("other")
		w.accept(w.newEvent(called("a", "content")))
		event := w.newEvent(called("a", "other"), func(e *telltale.Event) { e.ProjectID = other.ID })
		accepted, err := w.AcceptEvents(w.ctx, telltale.Acceptance{ProjectID: other.ID, Events: []*telltale.Event{event}})
		w.must(err)
		w.equal("the answer", accepted.Events[0], telltale.AcceptedEvent{ID: event.ID})
	}},
}

func faultLocations(err error) []string {
	var e *telltale.Error
	if !errors.As(err, &e) {
		return nil
	}
	return ids(e.Faults, func(f telltale.Fault) string { return f.Location })
}

var eventListTests = []test{
	{"events are listed newest first", func(w *world) {
		a, b, c := w.newEvent(), w.newEvent(), w.newEvent()
		w.accept(a, b)
		w.accept(c)
		for range 2 {
			w.equal("the events", w.events(telltale.EventFilter{}), []*telltale.Event{c, b, a})
			w.restart()
		}
	}},
	{"a project does not see another's events", func(w *world) {
		other := w.newProject("other")
		w.accept(w.newEvent(), w.newEvent())
		for _, f := range []telltale.EventFilter{{}, {Match: "42"}, {Type: telltale.Delivered}} {
			es, err := w.Events(w.ctx, other.ID, f, telltale.Page{Limit: 10})
			w.must(err)
			w.equal("the events", len(es), 0)
		}
	}},
	{"events are paged", func(w *world) {
		w.manyEvents()
		for _, f := range []telltale.EventFilter{{}, {Type: telltale.Opened}, {Match: "user-1"}, {Match: "user-0", Type: telltale.Opened}} {
			pages(w, func(p telltale.Page) ([]*telltale.Event, error) { return w.Events(w.ctx, w.project.ID, f, p) },
				func(e *telltale.Event) string { return string(e.ID) })
		}
	}},
	{"a filter keeps what it says", func(w *world) {
		events := w.manyEvents()
		since, until := events[9].ReceivedAt, events[20].ReceivedAt
		for name, f := range map[string]telltale.EventFilter{
			"by type":               {Type: telltale.Opened},
			"by a type never seen":  {Type: telltale.Complained},
			"by user":               {Match: "user-1"},
			"by address":            {Match: "jo-2@example.com"},
			"by message":            {Match: "msg-3"},
			"by nobody":             {Match: "nobody"},
			"by part of an address": {Match: "jo-2"},
			"since":                 {Since: since},
			"until":                 {Until: until},
			"since and until":       {Since: since, Until: until},
			"everything at once":    {Type: telltale.Opened, Match: "user-0", Since: since, Until: until},
			"an empty time":         {Since: until, Until: since},
		} {
			var want []*telltale.Event
			for _, e := range slices.Backward(events) {
				if (f.Type == "" || e.Type == f.Type) && (f.Match == "" || e.UserID == f.Match || e.Email == f.Match || e.MessageID == f.Match) &&
					(f.Since.IsZero() || !e.ReceivedAt.Before(f.Since)) && (f.Until.IsZero() || e.ReceivedAt.Before(f.Until)) {
					want = append(want, e)
				}
			}
			w.equal("the events "+name, ids(w.events(f), eventID), ids(want, eventID))
			n, more, err := w.CountEvents(w.ctx, w.project.ID, f, telltale.MaxCount)
			w.must(err)
			w.equal("the count of events "+name, n, len(want))
			w.equal("whether there are more events "+name, more, false)
		}
	}},
	{"the time of receipt counts, even if it is not the time of acceptance", func(w *world) {
		old := w.newEvent(func(e *telltale.Event) { e.ReceivedAt = e.ReceivedAt.Add(-40 * 24 * time.Hour) })
		early := w.newEvent(func(e *telltale.Event) { e.ReceivedAt = e.ReceivedAt.Add(time.Hour) })
		w.accept(old, early)
		w.equal("what was received long ago", ids(w.events(telltale.EventFilter{Until: w.Now().Add(-24 * time.Hour)}), eventID), []telltale.EventID{old.ID})
		w.equal("what will be received", ids(w.events(telltale.EventFilter{Since: w.Now().Add(time.Minute)}), eventID), []telltale.EventID{early.ID})
	}},
	{"one among thousands is found by user, address and message", func(w *world) {
		var needles []telltale.EventID
		for range 3 {
			batch := make([]*telltale.Event, 1000)
			for i := range batch {
				batch[i] = w.newEvent(ofUser(fmt.Sprint("u", i), fmt.Sprintf("u%d@example.com", i), telltale.NewSecret()))
			}
			batch[500] = w.newEvent(ofUser("needle", "needle@example.com", "needle-1"))
			needles = append([]telltale.EventID{batch[500].ID}, needles...)
			w.accept(batch...)
		}
		for range 2 {
			for _, match := range []string{"needle", "needle@example.com", "needle-1"} {
				w.equal("the events of "+match, ids(w.events(telltale.EventFilter{Match: match}), eventID), needles)
			}
			es, err := w.Events(w.ctx, w.project.ID, telltale.EventFilter{Match: "needle"}, telltale.Page{Limit: 1, Before: string(needles[2])})
			w.must(err)
			w.equal("the event just newer than the oldest", ids(es, eventID), needles[1:2])
			w.restart()
		}
	}},
}

// manyEvents stores events of several types and users, a second apart, and
// gives them in order.
func (w *world) manyEvents() []*telltale.Event {
	w.Helper()
	var events []*telltale.Event
	types := []telltale.EventType{telltale.Opened, telltale.Clicked, telltale.Opened, telltale.Bounced}
	for i := range 30 {
		e := w.newEvent(ofType(types[i%len(types)]), ofUser(fmt.Sprint("user-", i%2), fmt.Sprintf("jo-%d@example.com", i%3), fmt.Sprint("msg-", i%5)))
		w.accept(e)
		events = append(events, e)
		w.Advance(time.Second)
	}
	return events
}
