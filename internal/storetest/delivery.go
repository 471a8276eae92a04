package storetest

import (
	"fmt"
	"slices"
	"time"

	"telltale.example/telltale"
)

// manyDeliveries makes deliveries in every state, of several webhooks, types
// and users, and gives the events in order.
func (w *world) manyDeliveries() ([]*telltale.Webhook, []*telltale.Event) {
	w.Helper()
	enabled, disabled, deleted := w.newWebhook(), w.newWebhook(), w.newWebhook()
	var events []*telltale.Event
	types := []telltale.EventType{telltale.Opened, telltale.Clicked, telltale.Opened, telltale.Bounced, telltale.Sent}
	for i := range 30 {
		e := w.newEvent(ofType(types[i%len(types)]), ofUser(fmt.Sprint("user-", i%2), fmt.Sprintf("jo-%d@example.com", i%3), fmt.Sprint("msg-", i%7)))
		events = append(events, e)
		claims := w.acceptWith(newRoom(1), e).Claims
		switch i % 6 {
		case 0: // sending
		case 1:
			w.finish(claims[0])
			w.giveUp(claims[1])
			w.fail(claims[2])
		case 2:
			w.giveUp(claims[0])
			w.fail(claims[1])
			w.finish(claims[2])
		default:
			for _, c := range claims {
				w.fail(c)
			}
		}
		w.Advance(time.Second)
	}
	w.disable(disabled.ID)
	w.delete(deleted.ID)
	return []*telltale.Webhook{enabled, disabled, deleted}, events
}

// counts fails the test unless as many deliveries as are wanted are counted.
func (w *world) counts(f telltale.DeliveryFilter, want int) {
	w.Helper()
	n, more, err := w.CountDeliveries(w.ctx, w.project.ID, f, telltale.MaxCount)
	w.must(err)
	if n != want || more {
		w.Fatalf("%d deliveries of %+v are counted, not %d, more: %v", n, f, want, more)
	}
}

// beforeAll is the id of the oldest delivery.
func (w *world) beforeAll() string {
	w.Helper()
	all := w.deliveries(telltale.DeliveryFilter{})
	return string(all[len(all)-1].ID)
}

var deliveryListTests = []test{
	{"a delivery tells its event, webhook, type and time", func(w *world) {
		hook := w.newWebhook()
		before := milli(w.Now())
		event := w.newEvent(ofType(telltale.Bounced))
		w.accept(event)
		d := w.only(hook.ID)
		if d.CreatedAt.Before(before) || d.CreatedAt.After(w.Now()) || d.DueAt.Before(before) {
			w.Fatalf("created at %v and due at %v, not at %v", d.CreatedAt, d.DueAt, before)
		}
		d.CreatedAt, d.DueAt = time.Time{}, time.Time{}
		w.equal("the delivery", d, telltale.Delivery{
			ID: d.ID, ProjectID: w.project.ID, EventID: event.ID, EventType: telltale.Bounced, WebhookID: hook.ID, State: telltale.StateWaiting,
			Recipient: "jo@example.com",
		})
		if !telltale.ValidID("dlv_", string(d.ID)) {
			w.Fatalf("%q is not a delivery's id", d.ID)
		}
	}},
	{"deliveries are listed newest first, without attempts, and read by id with them", func(w *world) {
		w.newWebhook()
		a, b := w.deliverOne(), w.deliverOne()
		w.finish(a)
		list := w.deliveries(telltale.DeliveryFilter{})
		w.equal("the deliveries", ids(list, deliveryID), []telltale.DeliveryID{b.DeliveryID, a.DeliveryID})
		byID := w.delivery(a.DeliveryID)
		w.equal("the attempts", len(byID.Attempts), 1)
		byID.Attempts = nil
		w.equal("the delivery", list[1], byID)
	}},
	{"ids rise with time", func(w *world) {
		w.newWebhook()
		w.newWebhook()
		var made []telltale.DeliveryID
		for range 20 {
			for _, c := range w.deliver() {
				made = append(made, c.DeliveryID)
			}
		}
		if !slices.IsSorted(made) || len(slices.Compact(slices.Clone(made))) != 40 {
			w.Fatalf("the ids do not rise: %v", made)
		}
	}},
	{"a project does not see another's deliveries", func(w *world) {
		other := w.newProject("other")
		hook := w.newWebhook()
		event := w.newEvent()
		w.accept(event)
		for _, f := range []telltale.DeliveryFilter{
			{}, {WebhookID: hook.ID}, {EventID: event.ID}, {State: telltale.StateWaiting}, {Match: "42"}, {Type: telltale.Delivered},
			{WebhookID: hook.ID, State: telltale.StateWaiting}, {EventID: event.ID, Match: "42"},
		} {
			ds, err := w.Deliveries(w.ctx, other.ID, f, telltale.Page{Limit: 10})
			w.must(err)
			w.equal(fmt.Sprintf("the deliveries of %+v", f), len(ds), 0)
		}
	}},
	{"a filter keeps what it says, in every combination and page", func(w *world) {
		hooks, events := w.manyDeliveries()
		everyDelivery := w.deliveries(telltale.DeliveryFilter{})
		w.equal("the number of deliveries", len(everyDelivery), len(hooks)*len(events))
		byID := map[telltale.EventID]*telltale.Event{}
		for _, e := range events {
			byID[e.ID] = e
		}
		states := map[telltale.State]int{}
		for _, d := range everyDelivery {
			states[d.State]++
		}
		for _, state := range telltale.States() {
			if states[state] == 0 {
				w.Fatalf("there is nothing in the state %s: %v", state, states)
			}
		}
		since, until := everyDelivery[60].CreatedAt, everyDelivery[20].CreatedAt
		for _, state := range append(telltale.States(), "") {
			for _, webhook := range []telltale.WebhookID{"", hooks[0].ID, hooks[1].ID, hooks[2].ID} {
				for _, rest := range []telltale.DeliveryFilter{
					{}, {Type: telltale.Opened}, {Match: "user-1"}, {Match: "jo-2@example.com"}, {Match: "msg-3"}, {EventID: events[7].ID}, {EventID: events[7].ID, Match: "nobody"},
					{Since: since}, {Until: until}, {Type: telltale.Opened, Match: "user-0", Since: since, Until: until}, {Type: telltale.Complained}, {Match: "nobody"},
				} {
					f := rest
					f.State, f.WebhookID = state, webhook
					var want []telltale.DeliveryID
					for _, d := range everyDelivery {
						e := byID[d.EventID]
						if (f.State == "" || d.State == f.State) && (f.WebhookID == "" || d.WebhookID == f.WebhookID) && (f.Type == "" || d.EventType == f.Type) &&
							(f.EventID == "" || d.EventID == f.EventID) && (f.Match == "" || e.UserID == f.Match || e.Email == f.Match || e.MessageID == f.Match) &&
							(f.Since.IsZero() || !d.CreatedAt.Before(f.Since)) && (f.Until.IsZero() || d.CreatedAt.Before(f.Until)) {
							want = append(want, d.ID)
						}
					}
					name := fmt.Sprintf("the deliveries of %+v", f)
					got := w.deliveries(f)
					if len(want) == 0 {
						w.equal(name, len(got), 0)
						w.counts(f, 0)
						continue
					}
					w.equal(name, ids(got, deliveryID), want)
					w.counts(f, len(want))
					middle := want[len(want)/2]
					older, err := w.Deliveries(w.ctx, w.project.ID, f, telltale.Page{Limit: 2, After: string(middle)})
					w.must(err)
					w.equal(name+" after one", ids(older, deliveryID), append([]telltale.DeliveryID{}, want[len(want)/2+1:min(len(want), len(want)/2+3)]...))
					newer, err := w.Deliveries(w.ctx, w.project.ID, f, telltale.Page{Limit: 2, Before: string(middle)})
					w.must(err)
					w.equal(name+" before one", ids(newer, deliveryID), append([]telltale.DeliveryID{}, want[max(0, len(want)/2-2):len(want)/2]...))
				}
			}
		}
	}},
	{"a list tells whom a delivery is about, and what came of its last attempt", func(w *world) {
		w.newWebhook()
		byEmail, byID := w.deliverOne(ofUser("42", "jo@example.com", "")), w.deliverOne(ofUser("43", "", ""))
		for _, d := range w.deliveries(telltale.DeliveryFilter{}) {
			if d.Last != nil {
				w.Fatalf("before the first attempt the last one was %+v", d.Last)
			}
		}
		w.Advance(time.Second)
		began := milli(w.Now())
		w.fail(byEmail)
		w.finish(byID)
		list := w.deliveries(telltale.DeliveryFilter{})
		w.equal("the recipients", ids(list, func(d telltale.Delivery) string { return d.Recipient }), []string{"43", "jo@example.com"})
		w.equal("the last attempts", ids(list, func(d telltale.Delivery) *telltale.LastAttempt { return d.Last }), []*telltale.LastAttempt{
			{StartedAt: began, Duration: 12345 * time.Microsecond, Status: 200},
			{StartedAt: began, Duration: 12345 * time.Microsecond, Status: 500, Error: telltale.ErrorHTTPStatus, Failure: "status"},
		})
	}},
	{"deliveries are found by what their last attempt got", func(w *world) {
		hook, other := w.newWebhook(), w.newWebhook(wanting(telltale.Opened))
		made := map[telltale.Answer][]telltale.DeliveryID{}
		for _, status := range []int{200, 204, 302, 404, 410, 500, 503, 0, 999, 200, 404, 0} {
			c := w.deliverOne()
			r := w.result(c, status)
			r.Outcome.Disable = ""
			w.record(r)
			made[telltale.AnswerOf(status)] = append(made[telltale.AnswerOf(status)], c.DeliveryID)
			w.Advance(time.Second)
		}
		w.deliverOne() // is sending, and got nothing yet
		w.disable(other.ID)
		all := w.deliveries(telltale.DeliveryFilter{})
		since := all[len(all)/2].CreatedAt
		for answer := range telltale.Answers {
			for _, f := range []telltale.DeliveryFilter{
				{}, {WebhookID: hook.ID}, {WebhookID: other.ID}, {Type: telltale.Delivered}, {Type: telltale.Opened}, {Match: "42"}, {Since: since}, {Until: since},
				{State: telltale.StateSucceeded}, {State: telltale.StateFailed}, {State: telltale.StateWaiting}, {State: telltale.StateHeld}, {EventID: all[3].EventID},
			} {
				f.Answer = &answer
				var want []telltale.DeliveryID
				for _, d := range all {
					if slices.Contains(made[answer], d.ID) && (f.WebhookID == "" || d.WebhookID == f.WebhookID) && (f.Type == "" || d.EventType == f.Type) && (f.State == "" || d.State == f.State) &&
						(f.EventID == "" || d.EventID == f.EventID) && (f.Since.IsZero() || !d.CreatedAt.Before(f.Since)) && (f.Until.IsZero() || d.CreatedAt.Before(f.Until)) {
						want = append(want, d.ID)
					}
				}
				got := w.deliveries(f)
				w.equal(fmt.Sprintf("the deliveries with the answer %s of %+v", answer, f), ids(got, deliveryID), append([]telltale.DeliveryID{}, want...))
				w.counts(f, len(want))
			}
		}
	}},
	{"what waits for its first attempt is told from what waits for a retry", func(w *world) {
		hook := w.newWebhook()
		retried := w.deliverOne()
		w.fail(retried)
		w.accept(w.newEvent())
		tried, untried := true, false
		for _, f := range []telltale.DeliveryFilter{{}, {WebhookID: hook.ID}, {Match: "42"}} {
			f.State, f.Attempted = telltale.StateWaiting, &tried
			w.equal("the retries", ids(w.deliveries(f), deliveryID), []telltale.DeliveryID{retried.DeliveryID})
			w.counts(f, 1)
			f.Attempted = &untried
			first := w.deliveries(f)
			w.equal("those that wait for the first", len(first), 1)
			w.equal("its attempts", first[0].AttemptCount, 0)
			w.counts(f, 1)
		}
	}},
	{"an answer is the last one", func(w *world) {
		hook := w.newWebhook()
		claim := w.deliverOne()
		w.record(w.result(claim, 404))
		w.Advance(time.Minute)
		w.fail(w.claimOne(hook.ID))
		notFound, broken := telltale.Answer4xx, telltale.Answer5xx
		w.equal("what got a 404", len(w.deliveries(telltale.DeliveryFilter{Answer: &notFound})), 0)
		w.equal("what got a 500", len(w.deliveries(telltale.DeliveryFilter{Answer: &broken})), 1)
		w.Advance(time.Minute)
		w.finish(w.claimOne(hook.ID))
		w.equal("what got a 500 before it succeeded", len(w.deliveries(telltale.DeliveryFilter{Answer: &broken})), 0)
	}},
	{"a count stops at its limit", func(w *world) {
		w.newWebhook()
		for range 5 {
			w.accept(w.newEvent())
		}
		for limit, want := range map[int]struct {
			n    int
			more bool
		}{1: {1, true}, 4: {4, true}, 5: {5, false}, 6: {5, false}} {
			for _, f := range []telltale.DeliveryFilter{{}, {State: telltale.StateWaiting}, {Match: "42"}} {
				n, more, err := w.CountDeliveries(w.ctx, w.project.ID, f, limit)
				w.must(err)
				if n != want.n || more != want.more {
					w.Fatalf("of 5 deliveries %d are counted up to %d, more: %v", n, limit, more)
				}
			}
			for _, match := range []string{"", "42"} {
				n, more, err := w.CountEvents(w.ctx, w.project.ID, telltale.EventFilter{Match: match}, limit)
				w.must(err)
				if n != want.n || more != want.more {
					w.Fatalf("of 5 events %d are counted up to %d, more: %v", n, limit, more)
				}
			}
		}
	}},
	{"deliveries are paged", func(w *world) {
		hooks, _ := w.manyDeliveries()
		for _, f := range []telltale.DeliveryFilter{
			{}, {WebhookID: hooks[1].ID}, {State: telltale.StateCancelled}, {State: telltale.StateHeld}, {State: telltale.StateSucceeded}, {State: telltale.StateFailed},
			{Match: "user-1"}, {Match: "user-1", State: telltale.StateFailed}, {Type: telltale.Opened}, {Type: telltale.Opened, WebhookID: hooks[0].ID},
		} {
			pages(w, func(p telltale.Page) ([]telltale.Delivery, error) { return w.Deliveries(w.ctx, w.project.ID, f, p) },
				func(d telltale.Delivery) string { return string(d.ID) })
		}
	}},
	{"a search that has time lists what a list does", func(w *world) {
		hooks, _ := w.manyDeliveries()
		for _, f := range []telltale.DeliveryFilter{{}, {WebhookID: hooks[1].ID}, {State: telltale.StateCancelled}, {Match: "user-1"}, {Match: "nobody"}, {Type: telltale.Bounced}} {
			got, err := w.SearchDeliveries(w.ctx, w.project.ID, f, telltale.Page{Limit: telltale.MaxPage}, time.Hour)
			w.must(err)
			w.equal(fmt.Sprintf("what a search for %+v finds", f), ids(got.Found, deliveryID), ids(w.deliveries(f), deliveryID))
			w.equal("where it stopped", got.Reached, telltale.DeliveryID(""))
		}
	}},
	{"a search without patience stops, and goes on where it stopped", func(w *world) {
		hooks, _ := w.manyDeliveries()
		_, more := w.manyDeliveries()
		stopped := 0
		for _, f := range []telltale.DeliveryFilter{
			{}, {WebhookID: hooks[1].ID}, {State: telltale.StateCancelled}, {State: telltale.StateHeld}, {State: telltale.StateSucceeded}, {State: telltale.StateFailed},
			{Answer: new(telltale.Answer5xx)}, {Match: "user-1"}, {Match: "nobody"}, {EventID: more[0].ID}, {Type: telltale.Bounced}, {Type: telltale.Complained}, {Type: telltale.Sent, WebhookID: hooks[0].ID},
		} {
			name := fmt.Sprintf("what a search for %+v finds", f)
			want := ids(w.deliveries(f), deliveryID)
			for _, limit := range []int{17, telltale.MaxPage} {
				down := []telltale.DeliveryID{}
				for page := (telltale.Page{Limit: limit}); ; {
					got, err := w.SearchDeliveries(w.ctx, w.project.ID, f, page, 0)
					w.must(err)
					down = append(down, ids(got.Found, deliveryID)...)
					if page.After = string(got.Reached); page.After == "" {
						if len(got.Found) < limit {
							break
						}
						page.After = string(down[len(down)-1])
						continue
					}
					stopped++
					if n := len(got.Found); n >= limit || n > 0 && got.Found[n-1].ID < got.Reached || len(down) > len(want) {
						w.Fatalf("%s: a page of %d that ends at %s and stopped at %s", name, n, down[len(down)-1], got.Reached)
					}
				}
				w.equal(name+" downwards", down, want)

				up := []telltale.DeliveryID{}
				for page := (telltale.Page{Limit: limit, Before: w.beforeAll()}); ; {
					got, err := w.SearchDeliveries(w.ctx, w.project.ID, f, page, 0)
					w.must(err)
					up = append(ids(got.Found, deliveryID), up...)
					if page.Before = string(got.Reached); page.Before == "" {
						if len(got.Found) < limit {
							break
						}
						page.Before = string(up[0])
					}
				}
				w.equal(name+" upwards", up, slices.DeleteFunc(slices.Clone(want), func(id telltale.DeliveryID) bool { return string(id) <= w.beforeAll() }))
			}
		}
		if stopped == 0 {
			w.Fatal("no search stopped")
		}
	}},
	{"a search for a user goes on where it stopped", func(w *world) {
		w.newWebhook()
		var events []*telltale.Event
		for i := range 2500 {
			user := ofUser("often", "", "")
			if i%1000 == 7 {
				user = ofUser("rare", "", "")
			}
			events = append(events, w.newEvent(user))
			if len(events) == 500 {
				_, err := w.AcceptEvents(w.ctx, telltale.Acceptance{ProjectID: w.project.ID, Events: events})
				w.must(err)
				events = nil
			}
		}
		f := telltale.DeliveryFilter{Match: "rare"}
		want := ids(w.deliveries(f), deliveryID)
		w.equal("the number of deliveries", len(want), 3)
		down, up := []telltale.DeliveryID{}, []telltale.DeliveryID{}
		for page := (telltale.Page{Limit: 10}); ; {
			got, err := w.SearchDeliveries(w.ctx, w.project.ID, f, page, 0)
			w.must(err)
			down = append(down, ids(got.Found, deliveryID)...)
			if page.After = string(got.Reached); page.After == "" {
				break
			}
		}
		w.equal("what is found downwards", down, want)
		got, err := w.SearchDeliveries(w.ctx, w.project.ID, telltale.DeliveryFilter{Match: "often", Answer: new(telltale.Answer5xx)}, telltale.Page{Limit: 10}, 0)
		w.must(err)
		if got.Reached == "" {
			w.Fatal("2500 events are looked through at once")
		}
		for page := (telltale.Page{Limit: 10, Before: string(want[2])}); ; {
			got, err := w.SearchDeliveries(w.ctx, w.project.ID, f, page, 0)
			w.must(err)
			up = append(ids(got.Found, deliveryID), up...)
			if page.Before = string(got.Reached); page.Before == "" {
				break
			}
		}
		w.equal("what is found upwards", up, want[:2])
	}},
	{"what does not exist has no deliveries", func(w *world) {
		w.newWebhook()
		w.accept(w.newEvent())
		for _, f := range []telltale.DeliveryFilter{
			{WebhookID: telltale.NewWebhookID()}, {EventID: telltale.NewEventID()}, {WebhookID: "nonsense"}, {EventID: "nonsense"}, {State: "nonsense"}, {Type: "nonsense"},
		} {
			w.equal(fmt.Sprintf("the deliveries of %+v", f), len(w.deliveries(f)), 0)
		}
	}},
	{"an event's deliveries are those to its webhooks", func(w *world) {
		a, b := w.newWebhook(), w.newWebhook(wanting(telltale.Opened))
		first, second, third := w.newEvent(), w.newEvent(ofType(telltale.Opened)), w.newEvent()
		w.accept(first, second, third)
		for event, want := range map[*telltale.Event][]telltale.WebhookID{first: {a.ID}, second: sorted([]telltale.WebhookID{a.ID, b.ID}), third: {a.ID}} {
			ds := w.deliveries(telltale.DeliveryFilter{EventID: event.ID})
			w.equal("the webhooks", sorted(ids(ds, func(d telltale.Delivery) telltale.WebhookID { return d.WebhookID })), want)
		}
	}},
}
