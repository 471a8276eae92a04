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

var healthTests = []test{
	{"ten failures in a row open the breaker, and a restart does not close it", func(w *world) {
		hook := w.newWebhook()
		if changed := w.failing(hook.ID, 9).Changed; len(changed) > 0 {
			w.Fatalf("after nine failures: %+v", changed[0].Standing)
		}
		changed := w.failing(hook.ID, 1).Changed
		if len(changed) != 1 || changed[0].Standing.Breaker.State != telltale.BreakerOpen || changed[0].Version != hook.Version {
			w.Fatalf("the webhooks that changed: %+v", changed)
		}
		before := w.webhook(hook.ID).Standing
		w.equal("the failures", before.Failures, 10)
		w.restart()
		w.equal("the standing after a restart", w.webhook(hook.ID).Standing, before)
	}},
	{"a success is shown within a minute, at once if something turned", func(w *world) {
		hook := w.newWebhook()
		w.finish(w.deliverOne())
		first := w.webhook(hook.ID).Standing.LastSuccessAt
		if first.IsZero() {
			w.Fatal("the first success is not shown")
		}
		w.Advance(30 * time.Second)
		w.finish(w.deliverOne())
		w.Advance(31 * time.Second)
		w.finish(w.deliverOne())
		if shown := w.webhook(hook.ID).Standing.LastSuccessAt; shown.Sub(first) < 30*time.Second {
			w.Fatalf("the last success was %v after the first", shown.Sub(first))
		}
		w.failing(hook.ID, 1)
		w.finish(w.deliverOne())
		if s := w.webhook(hook.ID).Standing; s.Failures != 0 || !s.FailingSince.IsZero() {
			w.Fatalf("after a success: %+v", s)
		}
	}},
	{"tests count for nothing", func(w *world) {
		hook := w.newWebhook()
		for range 12 {
			e := w.newEvent(func(e *telltale.Event) { e.Test = true })
			claim, err := w.AcceptTest(w.ctx, *e, hook.ID)
			w.must(err)
			w.record(w.result(claim, 500))
		}
		w.equal("the standing", w.webhook(hook.ID).Standing, telltale.Standing{})
	}},
	{"a webhook that has failed for five days is disabled, and told of", func(w *world) {
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
	{"three blocked addresses in a row disable a webhook", func(w *world) {
		hook := w.newWebhook()
		for range 3 {
			claim := w.deliverOne()
			a := w.attempt(&claim, 0)
			a.Error = telltale.ErrorBlockedAddress
			w.record(w.resultOf(claim, a))
		}
		if got := w.webhook(hook.ID); got.Enabled || got.DisabledReason != telltale.DisabledBlocked {
			w.Fatalf("the webhook is %+v", got)
		}
	}},
	{"enabling, and another address, give a new chance", func(w *world) {
		hook := w.newWebhook()
		w.failing(hook.ID, 12)
		w.disable(hook.ID)
		enabled := w.enable(hook.ID)
		if s := enabled.Standing; s.Breaker.State != telltale.BreakerClosed || s.Failures != 0 {
			w.Fatalf("after it was enabled: %+v", s)
		}
		w.failing(hook.ID, 10)
		changed := *w.webhook(hook.ID)
		changed.URL = "https://receiver.example/other"
		moved, err := w.UpdateWebhook(w.ctx, changed)
		w.must(err)
		if s := moved.Standing; s.Breaker.State != telltale.BreakerClosed || s.Failures != 0 || s.Revision <= changed.Standing.Revision {
			w.Fatalf("at another address: %+v", s)
		}
		w.failing(hook.ID, 9)
		if s := w.webhook(hook.ID).Standing; s.Breaker.State != telltale.BreakerClosed {
			w.Fatalf("after nine more failures: %+v", s)
		}
	}},
	{"a test that passes enables what was disabled automatically, and is as good as a probe", func(w *world) {
		pass := func(id telltale.WebhookID) []*telltale.Webhook {
			e := w.newEvent(func(e *telltale.Event) { e.Test = true })
			claim, err := w.AcceptTest(w.ctx, *e, id)
			w.must(err)
			return w.record(w.result(claim, 200)).Changed
		}
		hook := w.newWebhook()
		w.record(w.result(w.deliverOne(), 410))
		if changed := pass(hook.ID); len(changed) != 1 || !changed[0].Enabled {
			w.Fatalf("the webhooks that changed: %+v", changed)
		}
		w.failing(hook.ID, 10)
		if changed := pass(hook.ID); len(changed) != 1 || changed[0].Standing.Breaker.State != telltale.BreakerClosing {
			w.Fatalf("the webhooks that changed: %+v", changed)
		}
		w.disable(hook.ID)
		if changed := pass(hook.ID); len(changed) != 0 || w.webhook(hook.ID).Enabled {
			w.Fatal("what a person disabled was enabled by a test")
		}
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
}
