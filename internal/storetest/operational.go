package storetest

import (
	"strings"
	"time"

	"telltale.example/telltale"
)

// failing answers n deliveries of the webhook with 500.
func (w *world) failing(id telltale.WebhookID, n int) (last telltale.Recorded) {
	w.Helper()
	for range n {
		last = w.record(w.result(w.claimAfterAccept(id), 500))
	}
	return last
}

// claimAfterAccept stores an event and claims its delivery to the webhook.
func (w *world) claimAfterAccept(id telltale.WebhookID) telltale.Claim {
	w.Helper()
	for _, c := range w.deliver() {
		if c.Webhook.ID == id {
			return c
		}
	}
	w.Fatalf("no delivery to %s", id)
	return telltale.Claim{}
}

func (w *world) webhook(id telltale.WebhookID) *telltale.Webhook {
	w.Helper()
	hook, err := w.Webhook(w.ctx, w.project.ID, id)
	w.must(err)
	return hook
}

// told lists the types of the operational events that are stored, oldest first.
func (w *world) told() (types []telltale.EventType) {
	w.Helper()
	events := w.events(telltale.EventFilter{})
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].Type.Operational() {
			types = append(types, events[i].Type)
		}
	}
	return types
}

var operationalTests = []test{
	{"a webhook that has failed for five days is told of three times, and when it recovers", func(w *world) {
		hook := w.newWebhook(wanting(telltale.Delivered))
		w.newWebhook(wanting(telltale.WebhookFailing, telltale.WebhookDisabled, telltale.WebhookRecovered))
		w.failing(hook.ID, 20)
		for range 5 {
			w.Advance(24 * time.Hour)
			w.failing(hook.ID, 1)
		}
		got := w.webhook(hook.ID)
		if got.Enabled || got.DisabledReason != telltale.DisabledFailing {
			w.Fatalf("the webhook is %+v", got)
		}
		w.equal("what was told", w.told(), []telltale.EventType{telltale.WebhookFailing, telltale.WebhookFailing, telltale.WebhookDisabled})
		w.enable(hook.ID)
		w.finish(w.claimAfterAccept(hook.ID))
		told := w.told()
		w.equal("what was told last", told[len(told)-1], telltale.WebhookRecovered)
	}},
	{"a delivery that failed is told of, but not when it told of something itself", func(w *world) {
		hook := w.newWebhook(wanting(telltale.Delivered))
		listener := w.newWebhook(wanting(telltale.DeliveryFailed))
		claim := w.claimAfterAccept(hook.ID)
		r := w.result(claim, 500)
		r.Outcome.State, r.Outcome.Wait = telltale.StateFailed, 0
		waiting := w.record(r).Waiting
		if len(waiting) != 1 || waiting[0].ID != listener.ID {
			w.Fatalf("the webhooks with work: %+v", waiting)
		}
		news := w.claimOne(listener.ID)
		if payload := string(news.Event.Payload); !strings.Contains(payload, string(claim.DeliveryID)) || !strings.Contains(payload, string(claim.Event.ID)) {
			w.Fatalf("it tells of something else: %s", payload)
		}
		w.giveUp(news)
		w.equal("what was told", w.told(), []telltale.EventType{telltale.DeliveryFailed})
	}},
	{"what nobody wants to hear is not stored", func(w *world) {
		hook := w.newWebhook()
		w.giveUp(w.deliverOne())
		w.record(w.result(w.deliverOne(), 410))
		if w.webhook(hook.ID).Enabled {
			w.Fatal("the webhook is enabled")
		}
		w.equal("what was told", len(w.told()), 0)
	}},
	{"a webhook is not told of itself", func(w *world) {
		hook := w.newWebhook(func(h *telltale.Webhook) {
			h.Events = telltale.NewEventTypeSet(append(telltale.OperationalEventTypes(), telltale.Delivered)...)
		})
		w.giveUp(w.claimAfterAccept(hook.ID))
		recorded := w.record(w.result(w.claimAfterAccept(hook.ID), 410))
		w.equal("the webhooks with work", len(recorded.Waiting), 0)
		w.equal("what was told", len(w.told()), 0)
	}},
	{"webhooks of other projects hear nothing", func(w *world) {
		w.newWebhook(wanting(telltale.Delivered))
		other := w.newProject("other")
		w.newWebhook(wanting(telltale.OperationalEventTypes()...), func(h *telltale.Webhook) { h.ProjectID = other.ID })
		off := w.newWebhook(wanting(telltale.OperationalEventTypes()...))
		w.disable(off.ID)
		w.record(w.result(w.deliverOne(), 410))
		w.equal("what was told", len(w.told()), 0)
	}},
	{"what happened is reported even if no webhook wants to hear it", func(w *world) {
		hook := w.newWebhook()
		w.failures(2, telltale.WarnAfter)
		recorded := w.record(w.result(w.deliverOne(), 410))
		w.equal("the news", recorded.News, []telltale.News{{Type: telltale.WebhookDisabled, Webhook: w.hook(hook.ID)}})
		w.test(hook.ID, 200)
		recorded = w.record(w.result(w.deliverOne(), 200))
		w.equal("the news after a success", recorded.News, []telltale.News{{Type: telltale.WebhookRecovered, Webhook: w.hook(hook.ID)}})
		w.equal("the news after another", len(w.record(w.result(w.deliverOne(), 200)).News), 0)
	}},
	{"a success that was under way when the webhook was disabled is no recovery", func(w *world) {
		hook := w.newWebhook()
		late := w.deliverOne()
		w.record(w.result(w.deliverOne(), 410))
		w.equal("the news", len(w.record(w.result(late, 200)).News), 0)
		w.enable(hook.ID)
		w.equal("the news after it was enabled", len(w.record(w.result(w.deliverOne(), 200)).News), 1)
	}},
	{"a test that failed, and what a deletion cancelled, are not told of", func(w *world) {
		hook := w.newWebhook(wanting(telltale.Delivered))
		w.newWebhook(wanting(telltale.DeliveryFailed))
		w.test(hook.ID, 500)
		late := w.claimAfterAccept(hook.ID)
		w.delete(hook.ID)
		w.giveUp(late)
		w.equal("what was told", len(w.told()), 0)
	}},
	{"operational events are found as others are", func(w *world) {
		w.newWebhook(wanting(telltale.Delivered))
		listener := w.newWebhook(wanting(telltale.WebhookDisabled))
		w.record(w.result(w.deliverOne(), 410))
		for range 2 {
			events := w.events(telltale.EventFilter{Type: telltale.WebhookDisabled})
			if len(events) != 1 || events[0].Source != telltale.OperationalSource || events[0].Test || !strings.Contains(string(events[0].Payload), `"reason":"gone"`) {
				w.Fatalf("the events are %+v", events)
			}
			deliveries := w.deliveries(telltale.DeliveryFilter{Type: telltale.WebhookDisabled})
			if len(deliveries) != 1 || deliveries[0].WebhookID != listener.ID || deliveries[0].State != telltale.StateWaiting {
				w.Fatalf("the deliveries are %+v", deliveries)
			}
			w.restart()
		}
	}},
}
