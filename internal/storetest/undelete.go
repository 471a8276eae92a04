package storetest

import (
	"time"

	"telltale.example/telltale"
)

func (w *world) restore(id telltale.WebhookID) *telltale.Webhook {
	w.Helper()
	hook, err := w.RestoreWebhook(w.ctx, w.project.ID, id)
	w.must(err)
	return hook
}

var undeleteTests = []test{
	{"a deleted webhook is restored as it was, in a new version", func(w *world) {
		other := w.newWebhook()
		for _, change := range []func(*telltale.Webhook){
			everySetting,
			func(h *telltale.Webhook) {
				everySetting(h)
				h.Enabled, h.DisabledReason = false, telltale.DisabledFailing
			},
		} {
			hook := w.newWebhook(change)
			w.Advance(time.Minute)
			deleted := w.delete(hook.ID)
			w.Advance(telltale.UndoWindow / 2)
			w.purge(month)
			w.restart()
			restored := w.restore(hook.ID)
			if restored.Version <= deleted.Version || !restored.UpdatedAt.Equal(milli(w.Now())) {
				w.Fatalf("version %d of %v was restored as %d of %v", deleted.Version, deleted.UpdatedAt, restored.Version, restored.UpdatedAt)
			}
			want := *hook
			want.Version, want.UpdatedAt = restored.Version, restored.UpdatedAt
			w.equal("the restored webhook", *restored, want)
			for range 2 {
				got, err := w.Webhook(w.ctx, w.project.ID, hook.ID)
				w.must(err)
				w.equal("the webhook", got, restored)
				hooks, err := w.Webhooks(w.ctx, w.project.ID, telltale.Page{Limit: 10})
				w.must(err)
				w.equal("the list", ids(hooks, webhookID), []telltale.WebhookID{hook.ID, other.ID})
				w.restart()
			}
			w.delete(hook.ID)
		}
	}},
	{"a deletion is taken back within its time, by its project", func(w *world) {
		foreign := w.newProject("other")
		hook, gone := w.newWebhook(), w.newWebhook()
		w.delete(gone.ID)
		w.Advance(telltale.UndoWindow + time.Second)
		for range 2 {
			for _, at := range []struct {
				project telltale.ProjectID
				id      telltale.WebhookID
			}{{w.project.ID, hook.ID}, {w.project.ID, gone.ID}, {w.project.ID, telltale.NewWebhookID()}, {w.project.ID, "nonsense"}} {
				_, err := w.RestoreWebhook(w.ctx, at.project, at.id)
				w.code(telltale.NotFound, err)
			}
			w.purge(month)
			w.restart()
		}
		w.delete(hook.ID)
		_, err := w.RestoreWebhook(w.ctx, foreign.ID, hook.ID)
		w.code(telltale.NotFound, err)
		w.restore(hook.ID)
		_, err = w.RestoreWebhook(w.ctx, w.project.ID, hook.ID)
		w.code(telltale.NotFound, err)
	}},
	{"what waited comes back as it was, and nothing is claimed in between", func(w *world) {
		hook := w.newWebhook()
		held := w.newEvent()
		w.accept(held)
		w.disable(hook.ID)
		w.enable(hook.ID)
		retry := w.deliverOne()
		w.fail(retry)
		fresh := w.newEvent()
		w.accept(fresh)
		before := w.deliveries(telltale.DeliveryFilter{WebhookID: hook.ID})
		w.delete(hook.ID)
		for range 2 {
			w.equal("what is cancelled", len(w.deliveries(telltale.DeliveryFilter{State: telltale.StateCancelled})), 3)
			w.equal("claims", len(w.claimRoom(telltale.LaneRoom{WebhookID: hook.ID, Slots: 9, Held: 9}).Claims), 0)
			if w.due(hook.ID) != nil {
				w.Fatal("a deleted webhook has work")
			}
			w.restart()
		}
		restored := w.restore(hook.ID)
		w.equal("the deliveries", w.deliveries(telltale.DeliveryFilter{WebhookID: hook.ID}), before)
		w.equal("what is due", *w.due(hook.ID), telltale.LaneDue{Webhook: restored, In: 0, Held: true})
		w.equal("the claim", w.claimOne(hook.ID).Event.ID, fresh.ID)
		released := w.claimRoom(telltale.LaneRoom{WebhookID: hook.ID, Slots: 9, Held: 9}).Claims
		w.equal("what was held", ids(released, claimEventID), []telltale.EventID{held.ID})
		w.Advance(time.Minute)
		again := w.claimOne(hook.ID)
		w.equal("the retry", again.DeliveryID, retry.DeliveryID)
		w.equal("its attempt", again.Attempt, 2)
	}},
	{"what a disabled webhook held stays held", func(w *world) {
		hook := w.newWebhook()
		w.waitingOnes(2)
		w.disable(hook.ID)
		w.delete(hook.ID)
		w.restore(hook.ID)
		w.equal("what is held", len(w.deliveries(telltale.DeliveryFilter{State: telltale.StateHeld})), 2)
		w.enable(hook.ID)
		w.equal("what is released", len(w.claimRoom(telltale.LaneRoom{WebhookID: hook.ID, Slots: 9, Held: 9}).Claims), 2)
	}},
	{"what was under way at the deletion is lost by neither", func(w *world) {
		hook := w.newWebhook()
		succeeded, failed, final, released, interrupted := w.deliverOne(), w.deliverOne(), w.deliverOne(), w.deliverOne(), w.deliverOne()
		w.delete(hook.ID)
		w.finish(succeeded)
		w.fail(failed)
		w.giveUp(final)
		w.must(w.ReleaseClaims(w.ctx, []telltale.ClaimRef{released.ClaimRef}))
		w.restart()
		_, err := w.TakeOver(w.ctx)
		w.must(err)
		for _, c := range []telltale.Claim{failed, final, released, interrupted} {
			w.state(c.DeliveryID, telltale.StateCancelled)
		}
		w.restore(hook.ID)
		w.state(succeeded.DeliveryID, telltale.StateSucceeded)
		w.state(final.DeliveryID, telltale.StateCancelled)
		for _, c := range []telltale.Claim{failed, released, interrupted} {
			w.state(c.DeliveryID, telltale.StateWaiting)
		}
		w.Advance(time.Minute)
		w.equal("claims", len(w.claim(hook.ID, 9)), 3)
	}},
	{"events of the meantime are not owed, those afterwards are", func(w *world) {
		hook := w.newWebhook()
		w.delete(hook.ID)
		w.accept(w.newEvent())
		w.restore(hook.ID)
		later := w.newEvent()
		w.accept(later)
		w.equal("the claim", w.claimOne(hook.ID).Event.ID, later.ID)
	}},
	{"what a deletion cancelled is not purged while it can be taken back", func(w *world) {
		hook := w.newWebhook()
		w.accept(w.newEvent())
		w.disable(hook.ID)
		w.Advance(40 * 24 * time.Hour)
		w.delete(hook.ID)
		w.Advance(telltale.UndoWindow / 2)
		w.equal("events that went", w.purge(month), 0)
		w.restore(hook.ID)
		w.equal("what is held", len(w.deliveries(telltale.DeliveryFilter{State: telltale.StateHeld})), 1)
		w.delete(hook.ID)
		w.Advance(telltale.UndoWindow + time.Second)
		w.equal("events that went then", w.purge(month), 1)
	}},
}
