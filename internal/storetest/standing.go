package storetest

import (
	"time"

	"telltale.example/telltale"
)

// hook reads the webhook twice, before and after a crash, and wants no difference.
func (w *world) hook(id telltale.WebhookID) *telltale.Webhook {
	w.Helper()
	before, err := w.Webhook(w.ctx, w.project.ID, id)
	w.must(err)
	w.restart()
	after, err := w.Webhook(w.ctx, w.project.ID, id)
	w.must(err)
	w.equal("the webhook after a crash", after, before)
	return after
}

// test makes a test of the webhook and gives what was recorded.
func (w *world) test(id telltale.WebhookID, status int) telltale.Recorded {
	w.Helper()
	claim, err := w.AcceptTest(w.ctx, *w.newEvent(), id)
	w.must(err)
	return w.record(w.result(claim, status))
}

// failures lets attempts fail, so long after each other, until the webhook is disabled.
func (w *world) failures(n int, every time.Duration) {
	w.Helper()
	for range n {
		for _, c := range w.deliver() {
			w.fail(c)
		}
		w.Advance(every)
	}
}

// blocked lets an attempt go to an address that may not be dialled.
func (w *world) blocked(c telltale.Claim) telltale.Result {
	a := w.attempt(&c, 0)
	a.Error, a.Failure = telltale.ErrorBlockedAddress, telltale.FailureAddressBlocked
	return w.resultOf(c, a)
}

// broken makes a webhook whose breaker has just opened.
func (w *world) broken() *telltale.Webhook {
	w.Helper()
	hook := w.newWebhook()
	w.failures(telltale.BreakerFailures, 0)
	hook = w.hook(hook.ID)
	if hook.Standing.Breaker.State != telltale.BreakerOpen {
		w.Fatalf("the standing after %d failures is %+v", telltale.BreakerFailures, hook.Standing)
	}
	return hook
}

var standingTests = []test{
	{"failures add up until a success", func(w *world) {
		hook := w.newWebhook()
		w.finish(w.deliverOne())
		first := milli(w.Now())
		w.Advance(time.Second)
		since := milli(w.Now())
		w.failures(3, time.Second)
		got := w.hook(hook.ID)
		w.equal("the standing", []any{got.Standing.Failures, got.Standing.FailingSince, got.Standing.LastSuccessAt}, []any{3, since, first})
		w.equal("the health", got.Health, telltale.HealthFailing)

		w.finish(w.deliverOne())
		got = w.hook(hook.ID)
		w.equal("the standing after a success", []any{got.Standing.Failures, got.Standing.FailingSince, got.Standing.LastSuccessAt}, []any{0, time.Time{}, milli(w.Now())})
		w.equal("the health after a success", got.Health, telltale.HealthHealthy)
		w.equal("the version", got.Version, hook.Version)
	}},
	{"a standing that is read later is a later revision", func(w *world) {
		hook := w.newWebhook()
		last := hook.Standing
		for _, status := range []int{200, 500, 500, 200, 500} {
			w.record(w.result(w.deliverOne(), status))
			got := w.hook(hook.ID).Standing
			if got.Revision <= last.Revision {
				w.Fatalf("%+v was followed by %+v", last, got)
			}
			last = got
		}
	}},
	{"the time of the last success is behind by a minute at most", func(w *world) {
		hook := w.newWebhook()
		for range 30 {
			w.finish(w.deliverOne())
			got := w.hook(hook.ID).Standing.LastSuccessAt
			if behind := w.Now().Sub(got); behind > time.Minute {
				w.Fatalf("it is behind by %v", behind)
			}
			w.Advance(17 * time.Second)
		}
	}},
	{"pleas for patience, interruptions and tests count for nothing", func(w *world) {
		hook := w.newWebhook()
		w.finish(w.deliverOne())
		before := w.hook(hook.ID)
		for range telltale.BreakerFailures {
			w.record(w.result(w.deliverOne(), 429))
			w.record(w.interrupted(w.deliverOne()))
			w.test(hook.ID, 500)
		}
		w.equal("the webhook", w.hook(hook.ID), before)
	}},
	{"the breaker opens after failures in a row, and whoever recorded them is told", func(w *world) {
		hook := w.newWebhook()
		w.finish(w.deliverOne())
		claims := []telltale.Claim{}
		for range telltale.BreakerFailures {
			claims = append(claims, w.deliverOne())
		}
		var results []telltale.Result
		for _, c := range claims {
			results = append(results, w.result(c, 503))
		}
		last := len(results) - 1
		w.equal("whose health changed", ids(w.record(results[0]).Changed, webhookID), []telltale.WebhookID{hook.ID})
		w.equal("what changed then", len(w.record(results[1:last]...).Changed), 0)
		recorded := w.record(results[last])
		got := w.hook(hook.ID)
		w.equal("what changed at last", recorded.Changed, []*telltale.Webhook{got})
		b := got.Standing.Breaker
		w.equal("the breaker", []any{b.State, b.Until}, []any{telltale.BreakerOpen, milli(w.Now()).Add(telltale.BreakerWait)})
	}},
	{"the breaker opens when half of what was attempted lately failed, also across a crash", func(w *world) {
		hook := w.newWebhook()
		for i := range telltale.BreakerAttempts / 2 {
			w.finish(w.deliverOne())
			w.fail(w.deliverOne())
			if i == 5 {
				w.restart()
			}
		}
		w.equal("the breaker", w.hook(hook.ID).Standing.Breaker.State, telltale.BreakerOpen)
	}},
	{"a failure counts among what was attempted lately although a success follows it at once", func(w *world) {
		hook := w.newWebhook()
		w.finish(w.deliverOne())
		first, second := w.deliverOne(), w.deliverOne()
		w.record(w.result(first, 500), w.result(second, 200))
		w.fail(w.deliverOne())
		got, err := w.Webhook(w.ctx, w.project.ID, hook.ID)
		w.must(err)
		var sum telltale.BreakerMinute
		for _, m := range got.Standing.Breaker.Window {
			sum.Attempts += m.Attempts
			sum.Failures += m.Failures
		}
		w.equal("what was attempted", sum, telltale.BreakerMinute{Attempts: 4, Failures: 2})
	}},
	{"probes keep the breaker open for longer, or close it step by step", func(w *world) {
		hook := w.broken()
		w.Advance(telltale.BreakerWait)
		w.fail(w.deliverOne())
		b := w.hook(hook.ID).Standing.Breaker
		w.equal("the breaker after a probe that failed", []any{b.State, b.Until}, []any{telltale.BreakerOpen, milli(w.Now()).Add(2 * telltale.BreakerWait)})

		w.Advance(2 * telltale.BreakerWait)
		for _, width := range []int{1, 2, 2, 4, 4, 4, 4} {
			recorded := w.record(w.result(w.deliverOne(), 200))
			b = w.hook(hook.ID).Standing.Breaker
			w.equal("the closing breaker", []any{b.State, b.Width()}, []any{telltale.BreakerClosing, width})
			w.equal("what changed", len(recorded.Changed), 1)
		}
		w.finish(w.deliverOne())
		w.equal("the breaker in the end", w.hook(hook.ID).Standing.Breaker.State, telltale.BreakerClosed)
	}},
	{"a test that passed closes the breaker and counts for nothing else", func(w *world) {
		hook := w.broken()
		w.equal("what changed by one that failed", len(w.test(hook.ID, 500).Changed), 0)
		w.equal("what changed", ids(w.test(hook.ID, 200).Changed, webhookID), []telltale.WebhookID{hook.ID})
		got := w.hook(hook.ID)
		w.equal("the breaker", got.Standing.Breaker.State, telltale.BreakerClosing)
		w.equal("the rest", []any{got.Health, got.Standing.Failures, got.Standing.LastSuccessAt}, []any{telltale.HealthFailing, hook.Standing.Failures, time.Time{}})
	}},
	{"who asks for a retry need not wait for the breaker", func(w *world) {
		hook := w.broken()
		failed := w.deliveries(telltale.DeliveryFilter{})[0]
		w.Advance(time.Second)
		_, err := w.RetryDelivery(w.ctx, w.project.ID, failed.ID)
		w.must(err)
		b := w.hook(hook.ID).Standing.Breaker
		w.equal("the breaker", []any{b.State, b.Until}, []any{telltale.BreakerOpen, milli(w.Now())})
	}},
	{"enabling a webhook begins its count anew", func(w *world) {
		hook := w.broken()
		late := w.deliverOne()
		result := w.result(late, 500)
		w.Advance(time.Second)
		w.disable(hook.ID)
		enabled := w.enable(hook.ID)
		w.record(result) // which began before
		got := w.hook(hook.ID)
		w.equal("the standing", got.Standing, enabled.Standing)
		w.equal("what it holds", []any{got.Standing.Failures, got.Standing.FailingSince, got.Standing.Breaker}, []any{0, time.Time{}, telltale.Breaker{}})
	}},
	{"another URL begins the count anew, another description does not", func(w *world) {
		hook := w.broken()
		described := *hook
		described.Description = "with words"
		updated, err := w.UpdateWebhook(w.ctx, described)
		w.must(err)
		w.equal("the standing with a description", updated.Standing, hook.Standing)
		moved := *updated
		moved.URL = "https://receiver.example/elsewhere"
		updated, err = w.UpdateWebhook(w.ctx, moved)
		w.must(err)
		w.equal("the breaker", updated.Standing.Breaker, telltale.Breaker{})
		w.equal("the webhook", w.hook(hook.ID), updated)
		w.failures(1, 0)
		w.equal("failures", w.hook(hook.ID).Standing.Failures, 1)
	}},
	{"three blocked addresses in a row disable the webhook and hold the rest", func(w *world) {
		hook := w.newWebhook()
		results := []telltale.Result{w.blocked(w.deliverOne()), w.blocked(w.deliverOne()), w.blocked(w.deliverOne())}
		w.record(results[:2]...)
		if got := w.hook(hook.ID); !got.Enabled {
			w.Fatal("it is disabled after two")
		}
		recorded := w.record(results[2])
		got := w.hook(hook.ID)
		w.equal("what changed", recorded.Changed, []*telltale.Webhook{got})
		w.equal("the webhook", []any{got.Enabled, got.DisabledReason, got.DisabledAt}, []any{false, telltale.DisabledBlocked, milli(w.Now())})
		w.equal("what is held", len(w.deliveries(telltale.DeliveryFilter{State: telltale.StateHeld})), 3)
		entries := w.audited(w.project.ID, telltale.AuditFilter{Action: telltale.AuditWebhookDisabled})
		if len(entries) != 1 || entries[0].Actor != system {
			w.Fatalf("noted was %+v", entries)
		}
	}},
	{"a webhook that failed for five days is warned of and disabled", func(w *world) {
		hook := w.newWebhook()
		w.finish(w.deliverOne())
		began := milli(w.Now())
		warned := map[telltale.Warning]time.Duration{}
		got := hook
		for i := 0; got.Enabled; i++ {
			w.Advance(2 * time.Hour)
			w.failures(1, 0)
			var err error
			got, err = w.Webhook(w.ctx, w.project.ID, hook.ID)
			w.must(err)
			if i%7 == 0 {
				w.restart()
			}
			if _, ok := warned[got.Standing.Warned]; !ok {
				warned[got.Standing.Warned] = milli(w.Now()).Sub(began)
			}
		}
		w.equal("the warnings", warned, map[telltale.Warning]time.Duration{
			telltale.WarnedNot: 2 * time.Hour, telltale.WarnedOnce: telltale.WarnAfter, telltale.WarnedLast: telltale.WarnLastAfter,
		})
		w.equal("the end", []any{got.DisabledReason, got.DisabledAt.Sub(began)}, []any{telltale.DisabledFailing, telltale.DisableAfter})
	}},
	{"a test that passed enables a webhook that was disabled automatically", func(w *world) {
		hook := w.newWebhook()
		w.record(w.result(w.deliverOne(), 410))
		w.accept(w.newEvent())
		w.equal("what changed by one that failed", len(w.test(hook.ID, 500).Changed), 0)
		recorded := w.test(hook.ID, 204)
		got := w.hook(hook.ID)
		w.equal("what changed", recorded.Changed, []*telltale.Webhook{got})
		w.equal("the webhook", []any{got.Enabled, got.DisabledReason}, []any{true, telltale.DisabledReason("")})
		entries := w.audited(w.project.ID, telltale.AuditFilter{Action: telltale.AuditWebhookEnabled})
		if len(entries) != 1 || entries[0].Actor != system {
			w.Fatalf("noted was %+v", entries)
		}
	}},
	{"and no other", func(w *world) {
		by := w.disable(w.newWebhook().ID)
		w.equal("what changed of one that a person disabled", len(w.test(by.ID, 200).Changed), 0)
		w.delete(by.ID)

		hook := w.newWebhook()
		w.record(w.result(w.deliverOne(), 410))
		claim, err := w.AcceptTest(w.ctx, *w.newEvent(), hook.ID)
		w.must(err)
		changed := *claim.Webhook
		changed.URL = "https://receiver.example/untested"
		_, err = w.UpdateWebhook(w.ctx, changed)
		w.must(err)
		w.finish(claim)
		if w.hook(hook.ID).Enabled {
			w.Fatal("a test of another URL enabled it")
		}
	}},
	{"a test that enables a webhook forgets nothing that was recorded before it in the same call", func(w *world) {
		hook := w.newWebhook()
		gone, success := w.deliverOne(), w.deliverOne()
		w.record(w.result(gone, 410))
		test, err := w.AcceptTest(w.ctx, *w.newEvent(), hook.ID)
		w.must(err)
		w.record(w.result(success, 200), w.result(test, 200))
		got := w.hook(hook.ID)
		if !got.Enabled || got.Health != telltale.HealthHealthy || got.Standing.LastSuccessAt.IsZero() {
			w.Fatalf("the webhook is %+v", got)
		}
	}},
	{"a webhook that is restored stands as it did", func(w *world) {
		hook := w.broken()
		w.delete(hook.ID)
		restored := w.restore(hook.ID)
		w.equal("the standing", restored.Standing, hook.Standing)
		w.equal("the webhook", w.hook(hook.ID), restored)
	}},
}
