package storetest

import (
	"time"

	"telltale.example/telltale"
)

// month keeps everything for thirty days.
var month = telltale.DefaultRetention()

// purge purges until there is no more, and gives how many events went.
func (w *world) purge(r telltale.Retention) int {
	w.Helper()
	total := 0
	for range 1000 {
		n, more, err := w.Purge(w.ctx, r)
		w.must(err)
		total += n
		if !more {
			return total
		}
	}
	w.Fatal("purging never ends")
	return 0
}

var purgeTests = []test{
	{"what is old goes, with its deliveries and attempts, and what is young stays", func(w *world) {
		w.newWebhook()
		old := w.deliverOne()
		w.finish(old)
		w.Advance(20 * 24 * time.Hour)
		young := w.deliverOne()
		w.finish(young)
		w.equal("events that went too early", w.purge(month), 0)
		w.Advance(11 * 24 * time.Hour)
		w.equal("events that went", w.purge(month), 1)
		w.equal("events that went twice", w.purge(month), 0)
		for range 2 {
			_, err := w.Event(w.ctx, w.project.ID, old.Event.ID)
			w.code(telltale.NotFound, err)
			_, err = w.Delivery(w.ctx, w.project.ID, old.DeliveryID)
			w.code(telltale.NotFound, err)
			w.equal("the events", ids(w.events(telltale.EventFilter{}), eventID), []telltale.EventID{young.Event.ID})
			w.equal("the events of the user", ids(w.events(telltale.EventFilter{Match: "42"}), eventID), []telltale.EventID{young.Event.ID})
			w.equal("the deliveries", ids(w.deliveries(telltale.DeliveryFilter{}), deliveryID), []telltale.DeliveryID{young.DeliveryID})
			w.equal("the attempts", len(w.delivery(young.DeliveryID).Attempts), 1)
			w.restart()
		}
	}},
	{"an event with a delivery that is waiting, sending or held stays", func(w *world) {
		hook, disabled := w.newWebhook(wanting(telltale.Opened)), w.newWebhook(wanting(telltale.Clicked))
		sending := w.deliverOne(ofType(telltale.Opened))
		waiting, held := w.newEvent(ofType(telltale.Opened)), w.newEvent(ofType(telltale.Clicked))
		w.accept(waiting, held)
		w.disable(disabled.ID)
		w.Advance(40 * 24 * time.Hour)
		w.equal("events that went", w.purge(month), 0)
		w.equal("the events", len(w.events(telltale.EventFilter{})), 3)

		w.finish(sending)
		w.finish(w.claimOne(hook.ID))
		w.equal("events that went when they were finished", w.purge(month), 2)
		w.delete(disabled.ID)
		w.Advance(telltale.UndoWindow + time.Second)
		w.equal("events that went when they were cancelled", w.purge(month), 1)
	}},
	{"an event goes only when all its deliveries are finished", func(w *world) {
		w.newWebhook()
		w.newWebhook()
		claims := w.deliver()
		w.finish(claims[0])
		w.Advance(40 * 24 * time.Hour)
		w.equal("events that went", w.purge(month), 0)
		w.giveUp(claims[1])
		w.equal("events that went then", w.purge(month), 1)
		w.equal("the deliveries", len(w.deliveries(telltale.DeliveryFilter{})), 0)
	}},
	{"events without deliveries go too", func(w *world) {
		w.accept(w.newEvent(), w.newEvent())
		w.Advance(40 * 24 * time.Hour)
		w.equal("events that went", w.purge(month), 2)
	}},
	{"a retention of zero keeps everything", func(w *world) {
		w.accept(w.newEvent(called("a", "content")))
		w.Advance(1000 * 24 * time.Hour)
		w.equal("events that went", w.purge(telltale.Retention{}), 0)
		w.equal("the events", len(w.events(telltale.EventFilter{})), 1)
	}},
	{"each call removes a bounded part, of one day at most", func(w *world) {
		for range 3 {
			batch := make([]*telltale.Event, 1000)
			for i := range batch {
				batch[i] = w.newEvent()
			}
			w.accept(batch...)
			w.Advance(24 * time.Hour)
		}
		w.Advance(40 * 24 * time.Hour)
		for left := 3000; left > 0; {
			n, more, err := w.Purge(w.ctx, month)
			w.must(err)
			if n == 0 || n > 1000 || !more && n < left {
				w.Fatalf("of %d events a call removed %d, more: %v", left, n, more)
			}
			left -= n
		}
		w.equal("the events that went afterwards", w.purge(month), 0)
		w.equal("the events", len(w.events(telltale.EventFilter{})), 0)
	}},
	{"what has to stay does not hide what can go", func(w *world) {
		hook := w.newWebhook(wanting(telltale.Opened))
		batch := make([]*telltale.Event, 1000)
		for i := range batch {
			batch[i] = w.newEvent(ofType(telltale.Opened))
		}
		w.accept(batch...)
		w.accept(w.newEvent(ofType(telltale.Clicked)))
		w.Advance(40 * 24 * time.Hour)
		w.equal("events that went", w.purge(month), 1)
		w.delete(hook.ID)
		w.Advance(telltale.UndoWindow + time.Second)
		w.equal("events that went when nothing was owed any more", w.purge(month), 1000)
	}},
	{"callers' ids are forgotten", func(w *world) {
		w.accept(w.newEvent(called("a", "content")))
		w.Advance(2 * time.Hour)
		w.purge(telltale.Retention{CallerIDs: time.Hour})
		w.equal("whether it is known", w.accept(w.newEvent(called("a", "content"))).Events[0].Duplicate, false)
	}},
	{"nonces are forgotten with callers' ids", func(w *world) {
		w.must(w.spend(w.newEvent(), nonceOf("a", "content")))
		w.Advance(2 * time.Hour)
		w.purge(telltale.Retention{})
		w.code(telltale.Conflict, w.spend(w.newEvent(), nonceOf("a", "other")))
		w.purge(telltale.Retention{CallerIDs: time.Hour})
		w.must(w.spend(w.newEvent(), nonceOf("a", "other")))
	}},
	{"expired bins go, with what they caught", func(w *world) {
		b := w.newBin(w.project.ID)
		w.must(w.CatchRequest(w.ctx, w.newCaught(b.ID)))
		w.purge(month)
		w.equal("what it caught", len(w.caught(b.ID, telltale.Page{Limit: 10})), 1)
		w.Advance(telltale.BinLifetime + time.Minute)
		w.purge(month)
		w.equal("what it caught then", len(w.caught(b.ID, telltale.Page{Limit: 10})), 0)
	}},
	{"after a purge everything goes on", func(w *world) {
		hook := w.newWebhook()
		w.finish(w.deliverOne())
		w.Advance(40 * 24 * time.Hour)
		w.purge(month)
		w.restart()
		w.accept(w.newEvent(ofUser("later", "", "")))
		claim := w.claimOne(hook.ID)
		w.finish(claim)
		w.equal("the events of the user", len(w.events(telltale.EventFilter{Match: "later"})), 1)
		w.equal("the deliveries", len(w.deliveries(telltale.DeliveryFilter{WebhookID: hook.ID})), 1)
	}},
}
