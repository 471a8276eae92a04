package storetest

import (
	"fmt"
	"slices"
	"time"

	"telltale.example/telltale"
)

var cancelTests = []test{
	{"a delivery that waits is cancelled, and never claimed", func(w *world) {
		hook := w.newWebhook()
		w.accept(w.newEvent())
		w.Advance(time.Second)
		before := milli(w.Now())
		d, err := w.CancelDelivery(w.ctx, w.project.ID, w.only(hook.ID).ID)
		w.must(err)
		w.equal("its state", d.State, telltale.StateCancelled)
		if d.CompletedAt.Before(before) || !d.DueAt.IsZero() {
			w.Fatalf("it was completed at %v and is due at %v", d.CompletedAt, d.DueAt)
		}
		for range 2 {
			w.equal("the delivery", w.only(hook.ID), d)
			w.equal("claims", len(w.claim(hook.ID, 9)), 0)
			w.restart()
		}
	}},
	{"a delivery between two attempts is cancelled with its attempts kept", func(w *world) {
		hook := w.newWebhook()
		claim := w.deliverOne()
		w.fail(claim)
		_, err := w.CancelDelivery(w.ctx, w.project.ID, claim.DeliveryID)
		w.must(err)
		w.Advance(time.Hour)
		w.equal("claims", len(w.claim(hook.ID, 9)), 0)
		w.equal("the attempts", len(w.delivery(claim.DeliveryID).Attempts), 1)
	}},
	{"a delivery that is held is cancelled, and not released", func(w *world) {
		hook := w.newWebhook()
		w.waitingOnes(2)
		w.disable(hook.ID)
		held := w.deliveries(telltale.DeliveryFilter{State: telltale.StateHeld})
		_, err := w.CancelDelivery(w.ctx, w.project.ID, held[0].ID)
		w.must(err)
		w.state(held[0].ID, telltale.StateCancelled)
		w.enable(hook.ID)
		w.equal("what is released", ids(w.claimRoom(telltale.LaneRoom{WebhookID: hook.ID, Slots: 9, Held: 9}).Claims, claimID), []telltale.DeliveryID{held[1].ID})
	}},
	{"what is sending or over is not cancelled", func(w *world) {
		hook := w.newWebhook()
		sending, succeeded, failed := w.deliverOne(), w.deliverOne(), w.deliverOne()
		w.finish(succeeded)
		w.giveUp(failed)
		w.accept(w.newEvent())
		cancelled := w.deliveries(telltale.DeliveryFilter{State: telltale.StateWaiting})[0].ID
		_, err := w.CancelDelivery(w.ctx, w.project.ID, cancelled)
		w.must(err)
		for _, id := range []telltale.DeliveryID{sending.DeliveryID, succeeded.DeliveryID, failed.DeliveryID, cancelled} {
			before := w.delivery(id)
			_, err := w.CancelDelivery(w.ctx, w.project.ID, id)
			w.code(telltale.Conflict, err)
			w.equal("the delivery", w.delivery(id), before)
		}
		w.accept(w.newEvent())
		w.delete(hook.ID)
		for _, d := range w.deliveries(telltale.DeliveryFilter{State: telltale.StateCancelled}) {
			_, err := w.CancelDelivery(w.ctx, w.project.ID, d.ID)
			w.code(telltale.Conflict, err)
		}
	}},
	{"what was cancelled is not retried", func(w *world) {
		hook := w.newWebhook()
		w.accept(w.newEvent())
		id := w.only(hook.ID).ID
		_, err := w.CancelDelivery(w.ctx, w.project.ID, id)
		w.must(err)
		_, err = w.RetryDelivery(w.ctx, w.project.ID, id)
		w.code(telltale.Conflict, err)
	}},
	{"another project's delivery is not there to be cancelled", func(w *world) {
		other := w.newProject("other")
		hook := w.newWebhook()
		w.accept(w.newEvent())
		id := w.only(hook.ID).ID
		for _, missing := range []struct {
			project telltale.ProjectID
			id      telltale.DeliveryID
		}{{other.ID, id}, {w.project.ID, telltale.NewDeliveryID()}, {w.project.ID, "nonsense"}} {
			_, err := w.CancelDelivery(w.ctx, missing.project, missing.id)
			w.code(telltale.NotFound, err)
		}
		w.state(id, telltale.StateWaiting)
	}},
	{"who cancelled is in the audit log", func(w *world) {
		hook := w.newWebhook()
		w.accept(w.newEvent())
		id := w.only(hook.ID).ID
		actor := telltale.Actor{Kind: telltale.ActorOperator, ID: "opr_1", Name: "jo@example.com"}
		_, err := w.CancelDelivery(telltale.WithActor(w.ctx, actor), w.project.ID, id)
		w.must(err)
		entries, err := w.AuditEntries(w.ctx, w.project.ID, telltale.AuditFilter{Action: telltale.AuditDeliveryCancelled}, telltale.Page{Limit: 10})
		w.must(err)
		if len(entries) != 1 || entries[0].Actor != actor || entries[0].Target != string(id) {
			w.Fatalf("the entries are %+v", entries)
		}
	}},
}

func (w *world) logEnd() telltale.Cursor {
	w.Helper()
	end, err := w.LogEnd(w.ctx)
	w.must(err)
	return end
}

func (w *world) logSince(after telltale.Cursor, limit int) telltale.LogPage {
	w.Helper()
	page, err := w.LogSince(w.ctx, w.project.ID, after, limit)
	w.must(err)
	if len(page.Events) > limit || len(page.Deliveries) > limit {
		w.Fatalf("%d events and %d deliveries are more than %d", len(page.Events), len(page.Deliveries), limit)
	}
	return page
}

var logTests = []test{
	{"behind the end there is nothing", func(w *world) {
		w.newWebhook()
		w.finish(w.deliverOne())
		end := w.logEnd()
		for range 2 {
			w.equal("the page", w.logSince(end, 10), telltale.LogPage{Next: end})
			w.equal("the end", w.logEnd(), end)
			w.restart()
		}
	}},
	{"behind a place stand the events and deliveries that came after it", func(w *world) {
		w.newWebhook()
		w.newWebhook(wanting(telltale.Opened))
		w.deliver()
		start := w.logEnd()
		first := w.deliver()
		second := w.deliver(ofType(telltale.Opened))
		page := w.logSince(start, 10)
		w.equal("the events", ids(page.Events, eventID), []telltale.EventID{first[0].Event.ID, second[0].Event.ID})
		w.equal("the deliveries", ids(page.Deliveries, deliveryID), []telltale.DeliveryID{first[0].DeliveryID, second[0].DeliveryID, second[1].DeliveryID})
		w.equal("the next place", page.Next, w.logEnd())
		w.equal("whether there is more", page.More, false)
		w.equal("a delivery", page.Deliveries[0], w.deliveries(telltale.DeliveryFilter{EventID: first[0].Event.ID})[0])
		w.equal("an event", page.Events[0], w.events(telltale.EventFilter{})[1])
	}},
	{"a delivery stands where something happened to it last, once and as it is", func(w *world) {
		hook := w.newWebhook()
		old, other := w.deliverOne(), w.deliverOne()
		start := w.logEnd()
		w.fail(other)
		w.fail(old)
		w.Advance(time.Minute)
		for _, c := range w.claim(hook.ID, 9) {
			if c.DeliveryID == other.DeliveryID {
				w.finish(c)
			}
		}
		page := w.logSince(start, 10)
		w.equal("the deliveries", ids(page.Deliveries, deliveryID), []telltale.DeliveryID{old.DeliveryID, other.DeliveryID})
		w.equal("their states", ids(page.Deliveries, func(d telltale.Delivery) telltale.State { return d.State }), []telltale.State{telltale.StateSending, telltale.StateSucceeded})
		w.equal("the events", len(page.Events), 0)
	}},
	{"tests are in the log", func(w *world) {
		hook := w.newWebhook()
		start := w.logEnd()
		claim, err := w.AcceptTest(w.ctx, *w.newEvent(), hook.ID)
		w.must(err)
		page := w.logSince(start, 10)
		w.equal("the events", len(page.Events), 1)
		w.equal("the deliveries", ids(page.Deliveries, deliveryID), []telltale.DeliveryID{claim.DeliveryID})
	}},
	{"a project does not see another's log", func(w *world) {
		other := w.newProject("other")
		w.newWebhook()
		start := w.logEnd()
		claim := w.deliverOne()
		w.finish(claim)
		page, err := w.LogSince(w.ctx, other.ID, start, 10)
		w.must(err)
		w.equal("the page", page, telltale.LogPage{Next: w.logEnd()})
	}},
	{"who reads in pieces of any size misses nothing", func(w *world) {
		hook := w.newWebhook()
		w.newWebhook(wanting(telltale.Opened, telltale.Bounced))
		other := w.newProject("other")
		start := w.logEnd()
		types := []telltale.EventType{telltale.Delivered, telltale.Opened, telltale.Bounced}
		for i := range 25 {
			claims := w.deliver(ofType(types[i%3]))
			for j, c := range claims {
				w.record(w.result(c, []int{200, 500, 404}[(i+j)%3]))
			}
			elsewhere := w.newEvent(func(e *telltale.Event) { e.ProjectID = other.ID })
			_, err := w.AcceptEvents(w.ctx, telltale.Acceptance{ProjectID: other.ID, Events: []*telltale.Event{elsewhere}})
			w.must(err)
			for _, c := range w.claim(hook.ID, 2) {
				w.fail(c)
			}
			w.Advance(700 * time.Millisecond)
		}
		all := w.deliveries(telltale.DeliveryFilter{})
		for _, limit := range []int{1, 2, 7, 500} {
			var events []telltale.EventID
			seen := map[telltale.DeliveryID]telltale.Delivery{}
			for at, rounds := start, 0; ; rounds++ {
				page := w.logSince(at, limit)
				if page.Next < at || page.Next == at && (page.More || len(page.Events)+len(page.Deliveries) > 0) {
					w.Fatalf("from %d the log goes to %d", at, page.Next)
				}
				events = append(events, ids(page.Events, eventID)...)
				for _, d := range page.Deliveries {
					seen[d.ID] = d
				}
				at = page.Next
				if !page.More {
					break
				}
				if rounds > 1000 {
					w.Fatal("the log never ends")
				}
			}
			wanted := ids(w.events(telltale.EventFilter{}), eventID)
			slices.Reverse(wanted)
			w.equal(fmt.Sprintf("the events in pieces of %d", limit), events, wanted)
			w.equal(fmt.Sprintf("the number of deliveries in pieces of %d", limit), len(seen), len(all))
			for _, d := range all {
				w.equal("a delivery", seen[d.ID], d)
			}
		}
	}},
	{"what others did at length is passed over in pieces", func(w *world) {
		other := w.newProject("other")
		hook := telltale.NewWebhook(other.ID, "https://receiver.example/in", telltale.AllEventTypes)
		_, err := w.CreateWebhook(w.ctx, hook)
		w.must(err)
		start := w.logEnd()
		for range 5 {
			batch := make([]*telltale.Event, 1000)
			for i := range batch {
				batch[i] = w.newEvent(func(e *telltale.Event) { e.ProjectID = other.ID })
			}
			accepted, err := w.AcceptEvents(w.ctx, telltale.Acceptance{ProjectID: other.ID, Events: batch, Room: newRoom(1000)})
			w.must(err)
			results := make([]telltale.Result, len(accepted.Claims))
			for i, c := range accepted.Claims {
				results[i] = w.result(c, 200)
			}
			w.record(results...)
		}
		mine := w.newEvent()
		w.accept(mine)
		var seen []telltale.EventID
		for at := start; ; {
			page := w.logSince(at, 10)
			seen = append(seen, ids(page.Events, eventID)...)
			if at = page.Next; !page.More {
				break
			}
		}
		w.equal("the events", seen, []telltale.EventID{mine.ID})
	}},
}
