package storetest

import (
	"time"

	"telltale.example/telltale"
)

// heldOnes makes n waiting deliveries of the webhook, a second apart, and
// gives their events in order.
func (w *world) waitingOnes(n int) []telltale.EventID {
	w.Helper()
	var made []telltale.EventID
	for range n {
		e := w.newEvent()
		w.accept(e)
		made = append(made, e.ID)
		w.Advance(time.Second)
	}
	return made
}

var switchTests = []test{
	{"disabling holds what waits and leaves what is over", func(w *world) {
		hook := w.newWebhook()
		succeeded, failed, retry := w.deliverOne(), w.deliverOne(), w.deliverOne()
		w.finish(succeeded)
		w.giveUp(failed)
		w.fail(retry)
		fresh := w.newEvent()
		w.accept(fresh)
		w.disable(hook.ID)
		for range 2 {
			w.state(succeeded.DeliveryID, telltale.StateSucceeded)
			w.state(failed.DeliveryID, telltale.StateFailed)
			held := w.deliveries(telltale.DeliveryFilter{State: telltale.StateHeld})
			w.equal("what is held", ids(held, deliveryEventID), []telltale.EventID{fresh.ID, retry.Event.ID})
			for _, d := range held {
				if !d.DueAt.IsZero() || !d.CompletedAt.IsZero() {
					w.Fatalf("a held delivery is %+v", d)
				}
			}
			w.equal("what waits", len(w.deliveries(telltale.DeliveryFilter{State: telltale.StateWaiting})), 0)
			w.equal("claims", len(w.claimRoom(telltale.LaneRoom{WebhookID: hook.ID, Slots: 9, Held: 9}).Claims), 0)
			w.restart()
		}
	}},
	{"enabling releases what was held, as it is asked for, with its attempts", func(w *world) {
		hook := w.newWebhook()
		retry := w.deliverOne()
		w.fail(retry)
		w.waitingOnes(3)
		w.disable(hook.ID)
		w.Advance(time.Hour)
		enabled := w.enable(hook.ID)
		w.equal("what is due", *w.due(hook.ID), telltale.LaneDue{Webhook: enabled, In: telltale.Never, Held: true})
		for _, d := range w.deliveries(telltale.DeliveryFilter{State: telltale.StateWaiting}) {
			if d.DueAt.IsZero() || d.DueAt.After(w.Now()) {
				w.Fatalf("a released delivery is %+v", d)
			}
		}
		w.equal("what is held", len(w.deliveries(telltale.DeliveryFilter{State: telltale.StateHeld})), 0)
		w.equal("claims of others than held ones", len(w.claim(hook.ID, 10)), 0)
		w.restart()

		first := w.claimRoom(telltale.LaneRoom{WebhookID: hook.ID, Slots: 10, Held: 2})
		w.equal("the first claims", len(first.Claims), 2)
		w.equal("what is left", first.LaneDue, telltale.LaneDue{Webhook: enabled, In: telltale.Never, Held: true})
		second := w.claimRoom(telltale.LaneRoom{WebhookID: hook.ID, Slots: 1, Held: 5})
		w.equal("the claims for one slot", len(second.Claims), 1)
		third := w.claimRoom(telltale.LaneRoom{WebhookID: hook.ID, Slots: 5, Held: 5})
		w.equal("the last claims", len(third.Claims), 1)
		w.equal("what is left then", third.LaneDue, telltale.LaneDue{Webhook: enabled, In: telltale.Never})
		for _, c := range append(append(first.Claims, second.Claims...), third.Claims...) {
			want := 1
			if c.DeliveryID == retry.DeliveryID {
				want = 2
			}
			w.equal("the attempt", c.Attempt, want)
		}
	}},
	{"what was held longest is released first", func(w *world) {
		hook := w.newWebhook()
		events := w.waitingOnes(4)
		w.disable(hook.ID)
		w.enable(hook.ID)
		claims := w.claimRoom(telltale.LaneRoom{WebhookID: hook.ID, Slots: 4, Held: 4}).Claims
		w.equal("the claims", ids(claims, claimEventID), events)
	}},
	{"what comes after enabling does not wait for what was held", func(w *world) {
		hook := w.newWebhook()
		w.waitingOnes(3)
		w.disable(hook.ID)
		w.enable(hook.ID)
		fresh := w.newEvent()
		w.accept(fresh)
		w.equal("the claim", w.claimOne(hook.ID).Event.ID, fresh.ID)
		w.equal("what is due", w.due(hook.ID).Held, true)
	}},
	{"a released delivery that fails waits like any other", func(w *world) {
		hook := w.newWebhook()
		w.accept(w.newEvent())
		w.disable(hook.ID)
		w.enable(hook.ID)
		claim := w.claimRoom(telltale.LaneRoom{WebhookID: hook.ID, Slots: 1, Held: 1}).Claims[0]
		w.fail(claim)
		w.equal("held ones", w.due(hook.ID).Held, false)
		w.Advance(time.Minute)
		w.equal("the claim", w.claimOne(hook.ID).DeliveryID, claim.DeliveryID)
	}},
	{"what was released and not claimed is held again when the webhook is disabled again", func(w *world) {
		hook := w.newWebhook()
		w.waitingOnes(2)
		w.disable(hook.ID)
		w.enable(hook.ID)
		w.waitingOnes(2)
		w.disable(hook.ID)
		w.equal("what is held", len(w.deliveries(telltale.DeliveryFilter{State: telltale.StateHeld})), 4)
		w.enable(hook.ID)
		w.equal("what is released", len(w.claimRoom(telltale.LaneRoom{WebhookID: hook.ID, Slots: 9, Held: 9}).Claims), 4)
	}},
	{"what fails while the webhook is disabled is released with the rest", func(w *world) {
		hook := w.newWebhook()
		claim := w.deliverOne()
		w.disable(hook.ID)
		w.fail(claim)
		w.enable(hook.ID)
		released := w.claimRoom(telltale.LaneRoom{WebhookID: hook.ID, Slots: 9, Held: 9}).Claims
		w.equal("what is released", ids(released, claimID), []telltale.DeliveryID{claim.DeliveryID})
		w.equal("the attempt", released[0].Attempt, 2)
	}},
	{"a released delivery can be retried", func(w *world) {
		hook := w.newWebhook()
		w.accept(w.newEvent())
		w.disable(hook.ID)
		w.enable(hook.ID)
		_, err := w.RetryDelivery(w.ctx, w.project.ID, w.only(hook.ID).ID)
		w.must(err)
		w.equal("the trigger", w.claimOne(hook.ID).Trigger, telltale.TriggerManual)
	}},
	{"deleting cancels what waits and what is held; the log stays", func(w *world) {
		hook := w.newWebhook()
		succeeded, failed, retry := w.deliverOne(), w.deliverOne(), w.deliverOne()
		w.finish(succeeded)
		w.giveUp(failed)
		w.fail(retry)
		w.accept(w.newEvent())
		w.delete(hook.ID)
		for range 2 {
			w.state(succeeded.DeliveryID, telltale.StateSucceeded)
			w.state(failed.DeliveryID, telltale.StateFailed)
			cancelled := w.deliveries(telltale.DeliveryFilter{State: telltale.StateCancelled})
			w.equal("what is cancelled", len(cancelled), 2)
			for _, d := range cancelled {
				if d.CompletedAt.IsZero() || !d.DueAt.IsZero() {
					w.Fatalf("a cancelled delivery is %+v", d)
				}
			}
			w.equal("the log", len(w.deliveries(telltale.DeliveryFilter{WebhookID: hook.ID})), 4)
			w.equal("the attempts", len(w.delivery(retry.DeliveryID).Attempts), 1)
			w.equal("claims", len(w.claimRoom(telltale.LaneRoom{WebhookID: hook.ID, Slots: 9, Held: 9}).Claims), 0)
			w.restart()
		}
	}},
	{"deleting a disabled webhook cancels what it held", func(w *world) {
		hook := w.newWebhook()
		w.waitingOnes(2)
		w.disable(hook.ID)
		w.delete(hook.ID)
		w.equal("what is cancelled", len(w.deliveries(telltale.DeliveryFilter{State: telltale.StateCancelled})), 2)
		w.equal("what is held", len(w.deliveries(telltale.DeliveryFilter{State: telltale.StateHeld})), 0)
	}},
	{"another webhook's deliveries stay as they are", func(w *world) {
		disabled, deleted, other := w.newWebhook(), w.newWebhook(), w.newWebhook()
		w.waitingOnes(2)
		w.disable(disabled.ID)
		w.delete(deleted.ID)
		w.equal("what waits", len(w.deliveries(telltale.DeliveryFilter{State: telltale.StateWaiting, WebhookID: other.ID})), 2)
		w.equal("what waits in all", len(w.deliveries(telltale.DeliveryFilter{State: telltale.StateWaiting})), 2)
		w.equal("what the other claims", len(w.claim(other.ID, 9)), 2)
	}},
}
