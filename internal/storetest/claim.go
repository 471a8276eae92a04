package storetest

import (
	"fmt"
	"time"

	"telltale.example/telltale"
)

var claimTests = []test{
	{"due webhooks are the enabled ones, with the time until their first waiting delivery", func(w *world) {
		idle, waiting, later := w.newWebhook(wanting(telltale.Sent)), w.newWebhook(wanting(telltale.Opened)), w.newWebhook(wanting(telltale.Clicked))
		disabled, deleted := w.newWebhook(wanting(telltale.Opened)), w.newWebhook(wanting(telltale.Opened))
		w.accept(w.newEvent(ofType(telltale.Opened)), w.newEvent(ofType(telltale.Clicked)))
		r := w.result(w.claimOne(later.ID), 500)
		r.Outcome.Wait = time.Minute
		w.record(r)
		w.disable(disabled.ID)
		w.delete(deleted.ID)

		w.equal("the idle one", *w.due(idle.ID), telltale.LaneDue{Webhook: idle, In: telltale.Never})
		w.equal("the waiting one", *w.due(waiting.ID), telltale.LaneDue{Webhook: waiting})
		if in := w.due(later.ID).In; in <= 50*time.Second || in > time.Minute {
			w.Fatalf("the later one is due in %v", in)
		}
		w.equal("the disabled one", w.due(disabled.ID), (*telltale.LaneDue)(nil))
		w.equal("the deleted one", w.due(deleted.ID), (*telltale.LaneDue)(nil))
		w.Advance(time.Minute)
		w.equal("the later one, later", w.due(later.ID).In, time.Duration(0))
	}},
	{"a claim carries all that the attempt needs", func(w *world) {
		hook := w.newWebhook(everySetting, wanting(telltale.Clicked))
		event := w.newEvent(everyField)
		w.accept(event)
		w.restart()
		claim := w.claimOne(hook.ID)
		w.equal("the event", claim.Event, event)
		w.equal("the webhook", claim.Webhook, hook)
		if claim.Number == 0 {
			w.Fatal("the claim has no number")
		}
		claim.Event, claim.Webhook, claim.ClaimRef = nil, nil, telltale.ClaimRef{}
		w.equal("the claim", claim, telltale.Claim{ProjectID: w.project.ID, Trigger: telltale.TriggerAutomatic, Attempt: 1})
	}},
	{"what is claimed is not claimed again", func(w *world) {
		hook := w.newWebhook()
		w.accept(w.newEvent())
		claim := w.claimOne(hook.ID)
		w.state(claim.DeliveryID, telltale.StateSending)
		w.equal("further claims", len(w.claim(hook.ID, 10)), 0)
		w.equal("when it is due", w.due(hook.ID).In, telltale.Never)
	}},
	{"a lane gets no more than its slots, and says what is left", func(w *world) {
		hook := w.newWebhook()
		w.accept(w.newEvent(), w.newEvent(), w.newEvent())
		first := w.claimRoom(telltale.LaneRoom{WebhookID: hook.ID, Slots: 2})
		w.equal("the claims", len(first.Claims), 2)
		w.equal("what is left", first.LaneDue, telltale.LaneDue{Webhook: hook})
		second := w.claimRoom(telltale.LaneRoom{WebhookID: hook.ID, Slots: 2})
		w.equal("the other claims", len(second.Claims), 1)
		w.equal("what is left then", second.LaneDue, telltale.LaneDue{Webhook: hook, In: telltale.Never})
		w.equal("claims without slots", len(w.claim(hook.ID, 0)), 0)
	}},
	{"first attempts come before retries, and both by due time", func(w *world) {
		hook := w.newWebhook()
		var retries []telltale.DeliveryID
		for _, wait := range []time.Duration{20 * time.Second, 10 * time.Second} {
			r := w.result(w.deliverOne(), 500)
			r.Outcome.Wait = wait
			w.record(r)
			retries = append([]telltale.DeliveryID{r.DeliveryID}, retries...)
		}
		w.Advance(time.Minute)
		a, b := w.newEvent(), w.newEvent()
		w.accept(a)
		w.Advance(time.Second)
		w.accept(b)
		claims := w.claim(hook.ID, 10)
		w.equal("the number of claims", len(claims), 4)
		w.equal("the first", []telltale.EventID{claims[0].Event.ID, claims[1].Event.ID}, []telltale.EventID{a.ID, b.ID})
		w.equal("the retries", ids(claims[2:], claimID), retries)
	}},
	{"what is not due yet is not claimed", func(w *world) {
		hook := w.newWebhook()
		r := w.result(w.deliverOne(), 500)
		r.Outcome.Wait = time.Minute
		w.record(r)
		w.equal("the claims", len(w.claim(hook.ID, 10)), 0)
		w.Advance(59 * time.Second)
		w.equal("the claims a second before", len(w.claim(hook.ID, 10)), 0)
		w.Advance(2 * time.Second)
		w.equal("the claims afterwards", len(w.claim(hook.ID, 10)), 1)
	}},
	{"lanes are answered in order; disabled, deleted and unknown ones get nothing", func(w *world) {
		disabled, deleted, enabled := w.newWebhook(), w.newWebhook(), w.newWebhook()
		w.accept(w.newEvent())
		w.disable(disabled.ID)
		w.delete(deleted.ID)
		unknown := telltale.NewWebhookID()
		lanes, err := w.ClaimDue(w.ctx, []telltale.LaneRoom{{WebhookID: disabled.ID, Slots: 5, Held: 5}, {WebhookID: deleted.ID, Slots: 5, Held: 5}, {WebhookID: unknown, Slots: 5}, {WebhookID: enabled.ID, Slots: 5}})
		w.must(err)
		w.equal("the claims", []int{len(lanes[0].Claims), len(lanes[1].Claims), len(lanes[2].Claims), len(lanes[3].Claims)}, []int{0, 0, 0, 1})
		for i := range 3 {
			if lanes[i].In != telltale.Never || lanes[i].Held {
				w.Fatalf("lane %d has work: %+v", i, lanes[i].LaneDue)
			}
		}
	}},
	{"deliveries of one event that are claimed together share it", func(w *world) {
		a, b := w.newWebhook(), w.newWebhook()
		w.accept(w.newEvent())
		lanes, err := w.ClaimDue(w.ctx, []telltale.LaneRoom{{WebhookID: a.ID, Slots: 1}, {WebhookID: b.ID, Slots: 1}})
		w.must(err)
		if lanes[0].Claims[0].Event != lanes[1].Claims[0].Event {
			w.Fatal("each claim has an event of its own")
		}
	}},
	{"the number of a claim rises", func(w *world) {
		hook := w.newWebhook(func(h *telltale.Webhook) { h.RetrySchedule = telltale.Schedule{time.Second, time.Second, time.Second} })
		claim := w.deliverOne()
		for range 3 {
			w.fail(claim)
			w.Advance(2 * time.Second)
			next := w.claimOne(hook.ID)
			if next.Number <= claim.Number {
				w.Fatalf("claim %d after %d", next.Number, claim.Number)
			}
			claim = next
		}
	}},
	{"a claim tells the attempts, steps, tries and age of its delivery", func(w *world) {
		hook := w.newWebhook()
		first := w.deliverOne()
		w.fail(first)
		w.Advance(10 * time.Second)
		second := w.claimOne(hook.ID)
		w.equal("attempt, step, tries", []int{second.Attempt, second.Step, second.Tries}, []int{2, 1, 1})
		if second.Age < 10*time.Second || second.Age > 15*time.Second {
			w.Fatalf("the delivery is %v old", second.Age)
		}
		w.record(w.interrupted(second))
		third := w.claimOne(hook.ID)
		w.equal("attempt, step, tries after an interruption", []int{third.Attempt, third.Step, third.Tries}, []int{3, 1, 1})
	}},
	{"tries count from the end of an outage", func(w *world) {
		hook := w.newWebhook()
		_, err := w.Beat(w.ctx)
		w.must(err)
		claim := w.deliverOne()
		for range 3 {
			w.fail(claim)
			w.Advance(3 * time.Hour)
			_, err := w.Beat(w.ctx) // each time an outage
			w.must(err)
			claim = w.claimOne(hook.ID)
			w.equal("tries after an outage", claim.Tries, 0)
		}
		w.equal("step", claim.Step, 3)
		w.fail(claim)
		for range 18 { // now without one
			w.Advance(10 * time.Minute)
			_, err := w.Beat(w.ctx)
			w.must(err)
		}
		w.equal("tries without an outage", w.claimOne(hook.ID).Tries, 1)
	}},
	{"a claim of which nothing came is released: the delivery waits as before", func(w *world) {
		hook := w.newWebhook()
		claim := w.deliverOne()
		w.must(w.ReleaseClaims(w.ctx, []telltale.ClaimRef{claim.ClaimRef, {DeliveryID: telltale.NewDeliveryID(), Number: 1}}))
		if d := w.delivery(claim.DeliveryID); d.State != telltale.StateWaiting || d.AttemptCount != 0 || len(d.Attempts) != 0 || d.DueAt.After(w.Now()) {
			w.Fatalf("the delivery is %+v", d)
		}
		again := w.claimOne(hook.ID)
		w.equal("the attempt", again.Attempt, 1)
		if again.Number <= claim.Number {
			w.Fatalf("claim %d after %d", again.Number, claim.Number)
		}
	}},
	{"a claim that is no longer the delivery's is not released", func(w *world) {
		hook := w.newWebhook()
		claim := w.deliverOne()
		w.must(w.ReleaseClaims(w.ctx, []telltale.ClaimRef{claim.ClaimRef}))
		again := w.claimOne(hook.ID)
		w.must(w.ReleaseClaims(w.ctx, []telltale.ClaimRef{claim.ClaimRef}))
		w.state(claim.DeliveryID, telltale.StateSending)
		w.finish(again)
		w.must(w.ReleaseClaims(w.ctx, []telltale.ClaimRef{again.ClaimRef}))
		w.state(claim.DeliveryID, telltale.StateSucceeded)
	}},
	{"a released delivery is held or cancelled as its webhook is", func(w *world) {
		hook := w.newWebhook()
		a, b := w.deliverOne(), w.deliverOne()
		w.disable(hook.ID)
		w.must(w.ReleaseClaims(w.ctx, []telltale.ClaimRef{a.ClaimRef}))
		w.state(a.DeliveryID, telltale.StateHeld)
		w.delete(hook.ID)
		w.must(w.ReleaseClaims(w.ctx, []telltale.ClaimRef{b.ClaimRef}))
		w.state(b.DeliveryID, telltale.StateCancelled)
		w.state(a.DeliveryID, telltale.StateCancelled)
	}},
}

// fullAttempt has something in each field of an attempt.
func (w *world) fullAttempt(c *telltale.Claim) *telltale.Attempt {
	a := w.attempt(c, 503)
	a.Duration = 1234567 * time.Microsecond
	a.Timing = telltale.Timing{DNS: time.Millisecond, Connect: 2 * time.Microsecond, TLS: 3 * time.Second, FirstByte: 4 * time.Millisecond}
	a.RetryAfter = 17 * time.Second
	a.Request.Headers = []telltale.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "webhook-id", Value: string(c.Event.ID)}, {Name: "X-Own", Value: ""}, {Name: "x-own", Value: telltale.Redacted}}
	a.Response = telltale.GotResponse{
		Headers: []telltale.Header{{Name: "Set-Cookie", Value: "a=1"}, {Name: "Set-Cookie", Value: "b=2"}, {Name: "X-Odd", Value: "\xff\x00ü"}},
		Body:    []byte("no\x00pe\xff"), Truncated: true,
	}
	return a
}

var attemptTests = []test{
	{"an attempt is read back as it was recorded, also after a restart", func(w *world) {
		w.newWebhook()
		full, bare := w.deliverOne(), w.deliverOne()
		a := w.fullAttempt(&full)
		b := &telltale.Attempt{Number: 1, Trigger: telltale.TriggerAutomatic, StartedAt: milli(w.Now()), Node: "nod_another", Error: telltale.ErrorDNS}
		w.record(w.resultOf(full, a), w.resultOf(bare, b))
		for range 2 {
			w.equal("the full attempt", w.delivery(full.DeliveryID).Attempts, []telltale.Attempt{*a})
			w.equal("the bare attempt", w.delivery(bare.DeliveryID).Attempts, []telltale.Attempt{*b})
			w.restart()
		}
	}},
	{"a body of the largest size is kept", func(w *world) {
		w.newWebhook()
		claim := w.deliverOne()
		a := w.attempt(&claim, 200)
		a.Response.Body = make([]byte, telltale.MaxResponseBody)
		for i := range 1000 {
			a.Response.Headers = append(a.Response.Headers, telltale.Header{Name: fmt.Sprint("X-Header-", i), Value: telltale.NewSecret()})
		}
		w.record(w.resultOf(claim, a))
		w.equal("the attempt", w.delivery(claim.DeliveryID).Attempts, []telltale.Attempt{*a})
	}},
	{"a success ends the delivery", func(w *world) {
		hook := w.newWebhook()
		w.fail(w.deliverOne())
		w.Advance(time.Minute)
		claim := w.claimOne(hook.ID)
		w.finish(claim)
		d := w.delivery(claim.DeliveryID)
		if d.State != telltale.StateSucceeded || d.AttemptCount != 2 || d.CompletedAt.IsZero() || !d.DueAt.IsZero() || d.LastError != "" || d.LastStatus != 0 {
			w.Fatalf("the delivery is %+v", d)
		}
		w.equal("the attempts", ids(d.Attempts, func(a telltale.Attempt) int { return a.Number }), []int{1, 2})
		w.Advance(100 * time.Hour)
		w.equal("claims of what is over", len(w.claim(hook.ID, 10)), 0)
	}},
	{"a delivery that fails waits for its next attempt", func(w *world) {
		w.newWebhook()
		claim := w.deliverOne()
		r := w.result(claim, 502)
		r.Outcome.Wait = time.Hour
		w.record(r)
		d := w.delivery(claim.DeliveryID)
		if d.State != telltale.StateWaiting || d.AttemptCount != 1 || !d.CompletedAt.IsZero() || d.LastError != telltale.ErrorHTTPStatus || d.LastStatus != 502 {
			w.Fatalf("the delivery is %+v", d)
		}
		if wait := d.DueAt.Sub(w.Now()); wait < 59*time.Minute || wait > time.Hour {
			w.Fatalf("the delivery is due in %v", wait)
		}
	}},
	{"a delivery whose schedule is used up has failed", func(w *world) {
		hook := w.newWebhook(func(h *telltale.Webhook) { h.RetrySchedule = telltale.Schedule{} })
		claim := w.deliverOne()
		w.fail(claim)
		d := w.delivery(claim.DeliveryID)
		if d.State != telltale.StateFailed || d.CompletedAt.IsZero() || !d.DueAt.IsZero() || d.LastStatus != 500 {
			w.Fatalf("the delivery is %+v", d)
		}
		w.Advance(100 * time.Hour)
		w.equal("claims of what has failed", len(w.claim(hook.ID, 10)), 0)
	}},
	{"the default schedule is followed to its end", func(w *world) {
		hook := w.newWebhook()
		claim := w.deliverOne()
		attempts := 1
		for {
			r := w.result(claim, 500)
			w.record(r)
			if r.Outcome.State == telltale.StateFailed {
				break
			}
			w.Advance(r.Outcome.Wait + time.Second)
			claim = w.claimOne(hook.ID)
			attempts++
			w.equal("the number of the attempt", claim.Attempt, attempts)
			if attempts > 100 {
				w.Fatal("it never ends")
			}
		}
		w.equal("the attempts", attempts, len(telltale.DefaultSchedule())+1)
		w.equal("the log", len(w.delivery(claim.DeliveryID).Attempts), attempts)
	}},
	{"a result whose claim is no longer the delivery's changes nothing, and its neighbours are applied", func(w *world) {
		hook := w.newWebhook()
		stale, fresh := w.deliverOne(), w.deliverOne()
		w.must(w.ReleaseClaims(w.ctx, []telltale.ClaimRef{stale.ClaimRef}))
		current := w.claimOne(hook.ID)
		unknown := w.result(fresh, 200)
		unknown.DeliveryID = telltale.NewDeliveryID()
		nonsense := w.result(fresh, 200)
		nonsense.DeliveryID = "nonsense"
		recorded, err := w.RecordAttempts(w.ctx, []telltale.Result{w.result(stale, 200), w.result(fresh, 200), unknown, nonsense})
		w.must(err)
		w.equal("what was applied", recorded.Applied, []bool{false, true, false, false})
		d := w.delivery(current.DeliveryID)
		w.equal("the delivery", []any{d.State, d.AttemptCount, len(d.Attempts)}, []any{telltale.StateSending, 0, 0})
		w.finish(current)
	}},
	{"a result is applied once", func(w *world) {
		w.newWebhook()
		claim := w.deliverOne()
		first, second := w.result(claim, 200), w.result(claim, 500)
		recorded, err := w.RecordAttempts(w.ctx, []telltale.Result{first, second})
		w.must(err)
		w.equal("what was applied", recorded.Applied, []bool{true, false})
		recorded, err = w.RecordAttempts(w.ctx, []telltale.Result{second})
		w.must(err)
		w.equal("what was applied later", recorded.Applied, []bool{false})
		d := w.delivery(claim.DeliveryID)
		w.equal("the delivery", []any{d.State, len(d.Attempts)}, []any{telltale.StateSucceeded, 1})
	}},
	{"an outcome disables the webhook and holds the rest", func(w *world) {
		hook := w.newWebhook()
		gone, waiting := w.deliverOne(), w.deliverOne()
		w.fail(waiting)
		w.accept(w.newEvent())
		recorded := w.record(w.result(gone, 410))
		w.equal("the webhooks that were disabled", ids(recorded.Changed, webhookID), []telltale.WebhookID{hook.ID})
		for range 2 {
			got, err := w.Webhook(w.ctx, w.project.ID, hook.ID)
			w.must(err)
			w.equal("the webhook", got, recorded.Changed[0])
			if got.Enabled || got.DisabledReason != telltale.DisabledGone || got.Version <= hook.Version {
				w.Fatalf("the webhook is %+v", got)
			}
			w.state(gone.DeliveryID, telltale.StateFailed)
			w.equal("what is held", len(w.deliveries(telltale.DeliveryFilter{State: telltale.StateHeld})), 2)
			w.restart()
		}
	}},
	{"an outcome does not disable a webhook that someone changed meanwhile", func(w *world) {
		hook := w.newWebhook()
		claim := w.deliverOne()
		changed := *hook
		changed.URL = "https://receiver.example/new"
		updated, err := w.UpdateWebhook(w.ctx, changed)
		w.must(err)
		recorded := w.record(w.result(claim, 410))
		w.state(claim.DeliveryID, telltale.StateFailed)
		got, err := w.Webhook(w.ctx, w.project.ID, hook.ID)
		w.must(err)
		w.equal("the webhook that changed its health", recorded.Changed, []*telltale.Webhook{got})
		updated = new(*updated)
		updated.Health, updated.Standing = telltale.HealthFailing, got.Standing
		w.equal("the webhook", got, updated)
	}},
	{"a test that passes enables the webhook for whatever is recorded after it in the same call", func(w *world) {
		hook := w.newWebhook()
		gone, failing := w.deliverOne(), w.deliverOne()
		w.record(w.result(gone, 410))
		test, err := w.AcceptTest(w.ctx, *w.newEvent(), hook.ID)
		w.must(err)
		w.record(w.result(test, 200), w.result(failing, 500))
		due := w.due(hook.ID)
		w.equal("what is held", due.Held, false)
		if due.In <= 0 || due.In == telltale.Never {
			w.Fatalf("the retry is due in %v", due.In)
		}
		w.equal("the claims", len(w.claimRoom(telltale.LaneRoom{WebhookID: hook.ID, Slots: 10, Held: 10}).Claims), 0)
	}},
	{"two outcomes disable a webhook once", func(w *world) {
		w.newWebhook()
		a, b := w.deliverOne(), w.deliverOne()
		w.equal("the webhooks that were disabled", len(w.record(w.result(a, 410), w.result(b, 410)).Changed), 1)
	}},
	{"a delivery that would wait for a disabled webhook is held", func(w *world) {
		hook := w.newWebhook()
		claim := w.deliverOne()
		w.disable(hook.ID)
		w.state(claim.DeliveryID, telltale.StateSending)
		w.fail(claim)
		w.state(claim.DeliveryID, telltale.StateHeld)
		w.equal("attempts", w.delivery(claim.DeliveryID).AttemptCount, 1)
	}},
	{"a delivery in the midst of its attempt keeps its success when the webhook is deleted, and is cancelled otherwise", func(w *world) {
		hook := w.newWebhook()
		success, retry, failure := w.deliverOne(), w.deliverOne(), w.deliverOne()
		w.delete(hook.ID)
		w.finish(success)
		w.fail(retry)
		w.giveUp(failure)
		w.state(success.DeliveryID, telltale.StateSucceeded)
		for _, c := range []telltale.Claim{retry, failure} {
			d := w.delivery(c.DeliveryID)
			if d.State != telltale.StateCancelled || d.CompletedAt.IsZero() || len(d.Attempts) != 1 {
				w.Fatalf("the delivery is %+v", d)
			}
		}
	}},
}

var takeOverTests = []test{
	{"what a node that is gone had claimed is due, with an interrupted attempt in its log", func(w *world) {
		hook := w.newWebhook()
		born := w.deliverOne()
		w.accept(w.newEvent())
		claimed := w.claimOne(hook.ID)
		w.restart()
		n, err := w.TakeOver(w.ctx)
		w.must(err)
		w.equal("what was taken over", n, 2)
		for _, c := range []telltale.Claim{born, claimed} {
			d := w.delivery(c.DeliveryID)
			if d.State != telltale.StateWaiting || d.AttemptCount != 1 || d.DueAt.After(w.Now()) || d.LastError != telltale.ErrorInterrupted || len(d.Attempts) != 1 {
				w.Fatalf("the delivery is %+v", d)
			}
			a := d.Attempts[0]
			if a.StartedAt.IsZero() || a.StartedAt.After(w.Now()) {
				w.Fatalf("the attempt began at %v", a.StartedAt)
			}
			a.StartedAt = time.Time{}
			w.equal("the attempt", a, telltale.Attempt{Number: 1, Trigger: telltale.TriggerAutomatic, Node: w.Node, Error: telltale.ErrorInterrupted})
		}
		claims := w.claim(hook.ID, 10)
		w.equal("the claims", len(claims), 2)
		for _, c := range claims {
			w.equal("attempt, step, tries", []int{c.Attempt, c.Step, c.Tries}, []int{2, 0, 0})
		}
	}},
	{"a second take-over, and one of one's own claims, changes nothing", func(w *world) {
		hook := w.newWebhook()
		w.deliverOne()
		w.restart()
		for _, want := range []int{1, 0} {
			n, err := w.TakeOver(w.ctx)
			w.must(err)
			w.equal("what was taken over", n, want)
		}
		own := w.claimOne(hook.ID)
		n, err := w.TakeOver(w.ctx)
		w.must(err)
		w.equal("what was taken over of one's own", n, 0)
		w.state(own.DeliveryID, telltale.StateSending)
	}},
	{"what a node records after it lost its claim is not applied", func(w *world) {
		hook := w.newWebhook()
		claim := w.deliverOne()
		late := w.result(claim, 200)
		w.restart()
		_, err := w.TakeOver(w.ctx)
		w.must(err)
		again := w.claimOne(hook.ID)
		recorded, err := w.RecordAttempts(w.ctx, []telltale.Result{late})
		w.must(err)
		w.equal("what was applied", recorded.Applied, []bool{false})
		w.finish(again)
	}},
	{"what waited or was over is not touched", func(w *world) {
		hook := w.newWebhook()
		over := w.deliverOne()
		w.finish(over)
		w.accept(w.newEvent())
		w.restart()
		n, err := w.TakeOver(w.ctx)
		w.must(err)
		w.equal("what was taken over", n, 0)
		w.state(over.DeliveryID, telltale.StateSucceeded)
		w.equal("the attempt", w.claimOne(hook.ID).Attempt, 1)
	}},
	{"what is taken over is held or cancelled as its webhook is", func(w *world) {
		disabled, deleted := w.newWebhook(), w.newWebhook()
		w.deliver()
		w.disable(disabled.ID)
		w.delete(deleted.ID)
		w.restart()
		_, err := w.TakeOver(w.ctx)
		w.must(err)
		w.equal("the disabled one's", w.only(disabled.ID).State, telltale.StateHeld)
		w.equal("the deleted one's", w.only(deleted.ID).State, telltale.StateCancelled)
	}},
	{"a test is not made again", func(w *world) {
		hook := w.newWebhook()
		claim, err := w.AcceptTest(w.ctx, *w.newEvent(), hook.ID)
		w.must(err)
		w.restart()
		_, err = w.TakeOver(w.ctx)
		w.must(err)
		w.state(claim.DeliveryID, telltale.StateFailed)
		w.equal("the claims", len(w.claim(hook.ID, 10)), 0)
	}},
	{"thousands are taken over in one go", func(w *world) {
		hook := w.newWebhook()
		for range 3 {
			events := make([]*telltale.Event, 800)
			for i := range events {
				events[i] = w.newEvent()
			}
			w.acceptWith(newRoom(10_000), events...)
		}
		w.restart()
		n, err := w.TakeOver(w.ctx)
		w.must(err)
		w.equal("what was taken over", n, 2400)
		w.equal("the claims", len(w.claim(hook.ID, 5000)), 2400)
	}},
}

var retryTests = []test{
	{"a waiting delivery is due at once, for a manual attempt that counts against no schedule", func(w *world) {
		hook := w.newWebhook(func(h *telltale.Webhook) { h.RetrySchedule = telltale.Schedule{time.Hour, time.Hour} })
		first := w.deliverOne()
		w.fail(first)
		w.equal("claims before", len(w.claim(hook.ID, 10)), 0)
		d, err := w.RetryDelivery(w.ctx, w.project.ID, first.DeliveryID)
		w.must(err)
		if d.ID != first.DeliveryID || d.State != telltale.StateWaiting || d.DueAt.After(w.Now()) {
			w.Fatalf("the delivery is %+v", d)
		}
		claim := w.claimOne(hook.ID)
		w.equal("trigger, once, attempt, step", []any{claim.Trigger, claim.Once, claim.Attempt, claim.Step}, []any{telltale.TriggerManual, false, 2, 1})
		w.fail(claim)
		w.state(claim.DeliveryID, telltale.StateWaiting)
		w.Advance(2 * time.Hour)
		claim = w.claimOne(hook.ID)
		w.equal("what follows", []any{claim.Trigger, claim.Once, claim.Attempt, claim.Step, claim.Tries}, []any{telltale.TriggerAutomatic, false, 3, 1, 2})
	}},
	{"a failed delivery gets one attempt, and fails again", func(w *world) {
		hook := w.newWebhook()
		first := w.deliverOne()
		w.giveUp(first)
		w.Advance(time.Hour)
		d, err := w.RetryDelivery(w.ctx, w.project.ID, first.DeliveryID)
		w.must(err)
		if d.State != telltale.StateWaiting || !d.CompletedAt.IsZero() {
			w.Fatalf("the delivery is %+v", d)
		}
		w.restart()
		claim := w.claimOne(hook.ID)
		w.equal("trigger, once, attempt", []any{claim.Trigger, claim.Once, claim.Attempt}, []any{telltale.TriggerManual, true, 2})
		if claim.Age < time.Hour {
			w.Fatalf("the delivery is %v old", claim.Age)
		}
		w.fail(claim)
		w.state(claim.DeliveryID, telltale.StateFailed)
	}},
	{"a retry that is interrupted is still to be made", func(w *world) {
		hook := w.newWebhook()
		first := w.deliverOne()
		w.giveUp(first)
		_, err := w.RetryDelivery(w.ctx, w.project.ID, first.DeliveryID)
		w.must(err)
		w.claimOne(hook.ID)
		w.restart()
		_, err = w.TakeOver(w.ctx)
		w.must(err)
		claim := w.claimOne(hook.ID)
		w.equal("trigger, once, attempt", []any{claim.Trigger, claim.Once, claim.Attempt}, []any{telltale.TriggerManual, true, 3})
		w.record(w.interrupted(claim))
		claim = w.claimOne(hook.ID)
		w.equal("trigger, once, attempt then", []any{claim.Trigger, claim.Once, claim.Attempt}, []any{telltale.TriggerManual, true, 4})
	}},
	{"asking twice for a retry makes one", func(w *world) {
		hook := w.newWebhook()
		first := w.deliverOne()
		w.giveUp(first)
		for range 2 {
			_, err := w.RetryDelivery(w.ctx, w.project.ID, first.DeliveryID)
			w.must(err)
		}
		w.equal("whether it is the only one", w.claimOne(hook.ID).Once, true)
	}},
	{"in any other state a retry is a conflict", func(w *world) {
		hook := w.newWebhook()
		sending, succeeded := w.deliverOne(), w.deliverOne()
		w.finish(succeeded)
		for _, c := range []telltale.Claim{sending, succeeded} {
			_, err := w.RetryDelivery(w.ctx, w.project.ID, c.DeliveryID)
			w.code(telltale.Conflict, err)
		}
		w.state(sending.DeliveryID, telltale.StateSending)
		w.state(succeeded.DeliveryID, telltale.StateSucceeded)

		failed := w.deliverOne()
		w.giveUp(failed)
		w.accept(w.newEvent())
		w.disable(hook.ID)
		for _, d := range w.deliveries(telltale.DeliveryFilter{}) {
			_, err := w.RetryDelivery(w.ctx, w.project.ID, d.ID)
			w.code(telltale.Conflict, err)
		}
		w.state(failed.DeliveryID, telltale.StateFailed)
		w.delete(hook.ID)
		for _, d := range w.deliveries(telltale.DeliveryFilter{}) {
			_, err := w.RetryDelivery(w.ctx, w.project.ID, d.ID)
			w.code(telltale.Conflict, err)
		}
	}},
	{"a delivery of another project is not found, like one that does not exist", func(w *world) {
		other := w.newProject("other")
		w.newWebhook()
		claim := w.deliverOne()
		for _, at := range []struct {
			project telltale.ProjectID
			id      telltale.DeliveryID
		}{{other.ID, claim.DeliveryID}, {w.project.ID, telltale.NewDeliveryID()}, {w.project.ID, "nonsense"}, {"", claim.DeliveryID}} {
			_, err := w.Delivery(w.ctx, at.project, at.id)
			w.code(telltale.NotFound, err)
			_, err = w.RetryDelivery(w.ctx, at.project, at.id)
			w.code(telltale.NotFound, err)
		}
	}},
}
