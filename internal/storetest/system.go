package storetest

import (
	"time"

	"telltale.example/telltale"
)

func (w *world) info() telltale.StoreInfo {
	w.Helper()
	info, err := w.Info(w.ctx)
	w.must(err)
	return info
}

var systemTests = []test{
	{"the starts of the server are listed, newest first", func(w *world) {
		first := milli(w.Now())
		_, err := w.Beat(w.ctx)
		w.must(err)
		w.Advance(time.Minute)
		_, err = w.Beat(w.ctx)
		w.must(err)
		w.restart()
		nodes, err := w.Nodes(w.ctx)
		w.must(err)
		for i := range nodes {
			nodes[i].Host = "" // not every store notes it
		}
		w.equal("the nodes", nodes, []telltale.Node{
			{ID: w.Node, Role: telltale.NodeAll, StartedAt: milli(w.Now()), Alive: true},
			{ID: w.Node, Role: telltale.NodeAll, StartedAt: first, BeatAt: milli(w.Now())},
		})
		for range 60 {
			w.restart()
		}
		nodes, err = w.Nodes(w.ctx)
		w.must(err)
		w.equal("how many are listed", len(nodes), 50)
	}},
	{"a store describes itself", func(w *world) {
		info := w.info()
		if info.Engine == "" || info.Location == "" || info.Schema < 1 || info.Size <= 0 {
			w.Fatalf("the store is %+v", info)
		}
	}},
	{"deliveries are counted by state", func(w *world) {
		hook, disabled, deleted := w.newWebhook(wanting(telltale.Opened)), w.newWebhook(wanting(telltale.Clicked)), w.newWebhook(wanting(telltale.Sent))
		w.giveUp(w.deliverOne(ofType(telltale.Opened)))
		w.finish(w.deliverOne(ofType(telltale.Opened)))
		w.deliverOne(ofType(telltale.Opened))
		for n, t := range []telltale.EventType{telltale.Opened, telltale.Clicked, telltale.Sent} {
			for range n + 2 {
				w.accept(w.newEvent(ofType(t)))
			}
		}
		w.disable(disabled.ID)
		w.delete(deleted.ID)
		for range 2 {
			info := w.info()
			w.equal("waiting, sending, held and failed", [4]int{info.Waiting, info.Sending, info.Held, info.Failed}, [4]int{2, 1, 3, 1})
			w.restart()
		}
		w.enable(disabled.ID)
		w.claim(hook.ID, 1)
		info := w.info()
		w.equal("waiting, sending, held and failed then", [4]int{info.Waiting, info.Sending, info.Held, info.Failed}, [4]int{4, 2, 0, 1})
	}},
	{"counting ends at a bound", func(w *world) {
		w.newWebhook()
		disabled := w.newWebhook()
		for range telltale.MaxCount/1000 + 1 {
			batch := make([]*telltale.Event, 1000)
			for i := range batch {
				batch[i] = w.newEvent()
			}
			w.accept(batch...)
		}
		w.disable(disabled.ID)
		info := w.info()
		w.equal("waiting and held", [2]int{info.Waiting, info.Held}, [2]int{telltale.MaxCount + 1, telltale.MaxCount + 1})
	}},
	{"how long the oldest is due is known", func(w *world) {
		hook, other := w.newWebhook(wanting(telltale.Opened)), w.newWebhook(wanting(telltale.Clicked))
		w.equal("with nothing to do", w.info().OldestDue, time.Duration(0))
		retry := w.deliverOne(ofType(telltale.Opened))
		w.fail(retry)
		w.equal("with a retry to come", w.info().OldestDue, time.Duration(0))
		w.Advance(time.Hour)
		due := w.info().OldestDue
		if due <= 50*time.Minute || due >= time.Hour {
			w.Fatalf("a retry is due for %v", due)
		}
		w.accept(w.newEvent(ofType(telltale.Clicked)))
		w.Advance(time.Minute)
		w.equal("with a newer one beside it", w.info().OldestDue, due+time.Minute)
		w.disable(hook.ID)
		w.equal("with the older one held", w.info().OldestDue, time.Minute)
		w.enable(hook.ID)
		w.Advance(time.Minute)
		w.equal("with the older one released", w.info().OldestDue, 2*time.Minute)
		w.delete(other.ID)
		w.equal("with the newer one cancelled", w.info().OldestDue, time.Minute)
		w.equal("what was released", len(w.claimRoom(telltale.LaneRoom{WebhookID: hook.ID, Slots: 1, Held: 1}).Claims), 1)
		w.equal("with nothing more to do", w.info().OldestDue, time.Duration(0))
	}},
}
