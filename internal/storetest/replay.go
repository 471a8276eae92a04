package storetest

import (
	"fmt"
	"math"
	"slices"
	"time"

	"telltale.example/telltale"
)

func (w *world) plan(s telltale.Selection, to telltale.WebhookID) telltale.ReplayPlan {
	w.Helper()
	plan, err := w.PlanReplay(w.ctx, w.project.ID, s, to)
	w.must(err)
	if !plan.Complete {
		w.Fatalf("the plan is not complete: %+v", plan)
	}
	return plan
}

func (w *world) startReplay(s telltale.Selection, to telltale.WebhookID) telltale.Replay {
	w.Helper()
	r, err := w.CreateReplay(w.ctx, telltale.Replay{ID: telltale.NewReplayID(), ProjectID: w.project.ID, Selection: s, To: to, Rate: 10})
	w.must(err)
	return r
}

// runReplay advances a replay to its end, n deliveries at a time.
func (w *world) runReplay(id telltale.ReplayID, n int) telltale.Replay {
	w.Helper()
	for range 10_000 {
		before := w.replay(id).Made
		r, _, err := w.AdvanceReplay(w.ctx, id, n)
		w.must(err)
		if r.Made-before > n {
			w.Fatalf("a step of %d made %d deliveries", n, r.Made-before)
		}
		if r.State != telltale.ReplayRunning {
			return r
		}
	}
	w.Fatal("the replay never ends")
	return telltale.Replay{}
}

func (w *world) replay(id telltale.ReplayID) telltale.Replay {
	w.Helper()
	r, err := w.Replay(w.ctx, w.project.ID, id)
	w.must(err)
	return r
}

// replayed gives the deliveries that a replay made, in the order of making.
func (w *world) replayed(id telltale.ReplayID) []telltale.Delivery {
	w.Helper()
	ds := w.deliveries(telltale.DeliveryFilter{ReplayID: id})
	w.counts(telltale.DeliveryFilter{ReplayID: id}, len(ds))
	slices.Reverse(ds)
	return ds
}

// sends plans a replay, runs it, and gives the events that it sends.
func (w *world) sends(s telltale.Selection, to telltale.WebhookID) []telltale.EventID {
	w.Helper()
	plan := w.plan(s, to)
	r := w.runReplay(w.startReplay(s, to).ID, 3)
	made := w.replayed(r.ID)
	w.equal("what was made", r.Made, len(made))
	w.equal("what was planned", plan.Count, len(made))
	return ids(made, deliveryEventID)
}

// fates makes events with every fate at a webhook, which is disabled then.
type fates struct {
	hook                                                             *telltale.Webhook
	succeeded, failed, cancelled, held, retrying, unsent, unsentType telltale.EventID
	all                                                              []telltale.EventID
}

func (w *world) newFates() fates {
	w.Helper()
	f := fates{hook: w.newWebhook(wanting(telltale.Opened, telltale.Clicked))}
	accept := func(t telltale.EventType) telltale.EventID {
		e := w.newEvent(ofType(t))
		w.accept(e)
		w.Advance(time.Second)
		f.all = append(f.all, e.ID)
		return e.ID
	}
	f.succeeded = accept(telltale.Opened)
	w.finish(w.claimOne(f.hook.ID))
	f.failed = accept(telltale.Clicked)
	w.giveUp(w.claimOne(f.hook.ID))
	f.cancelled = accept(telltale.Opened)
	_, err := w.CancelDelivery(w.ctx, w.project.ID, w.deliveries(telltale.DeliveryFilter{EventID: f.cancelled})[0].ID)
	w.must(err)
	f.retrying = accept(telltale.Opened)
	w.fail(w.claimOne(f.hook.ID))
	f.held = accept(telltale.Opened)
	f.unsentType = accept(telltale.Bounced)
	w.disable(f.hook.ID)
	f.unsent = accept(telltale.Clicked)
	claim, err := w.AcceptTest(w.ctx, *w.newEvent(ofType(telltale.Opened)), f.hook.ID)
	w.must(err)
	w.giveUp(claim)
	return f
}

var replayTests = []test{
	{"the five kinds of events are sent to a webhook that is newer than they, in their order", func(w *world) {
		f := w.newFates()
		w.newWebhook() // somebody else's deliveries are not asked about
		newer := w.newWebhook(wanting(telltale.Opened, telltale.Clicked, telltale.Bounced))
		for which, want := range map[telltale.Which][]telltale.EventID{
			telltale.WhichFailed:      {f.failed},
			telltale.WhichHeld:        {f.cancelled, f.retrying, f.held},
			telltale.WhichUnsent:      {f.unsentType, f.unsent},
			telltale.WhichUndelivered: {f.failed, f.cancelled, f.retrying, f.held, f.unsentType, f.unsent},
			telltale.WhichAll:         f.all,
		} {
			w.equal("what is sent of "+string(which), w.sends(telltale.Selection{WebhookID: f.hook.ID, Which: which}, newer.ID), want)
		}
	}},
	{"events are sent to the same webhook, which has not got them", func(w *world) {
		f := w.newFates()
		w.enable(f.hook.ID)
		w.equal("what is sent", w.sends(telltale.Selection{WebhookID: f.hook.ID, Which: telltale.WhichUndelivered}, ""), []telltale.EventID{f.failed, f.cancelled, f.unsent})
		w.equal("what is sent then", len(w.sends(telltale.Selection{WebhookID: f.hook.ID, Which: telltale.WhichUndelivered}, "")), 0)
		w.equal("what is sent to it as a target then", len(w.sends(telltale.Selection{Which: telltale.WhichUndelivered}, f.hook.ID)), 0)
	}},
	{"a webhook that is newer than the events gets them all", func(w *world) {
		f := w.newFates()
		newer := w.newWebhook(wanting(telltale.Opened, telltale.Bounced))
		want := []telltale.EventID{f.succeeded, f.cancelled, f.retrying, f.held, f.unsentType}
		plan := w.plan(telltale.Selection{Which: telltale.WhichUnsent}, newer.ID)
		w.equal("the types", plan.ByType, map[telltale.EventType]int{telltale.Opened: 4, telltale.Bounced: 1})
		w.equal("the webhooks", plan.ByWebhook, map[telltale.WebhookID]int{newer.ID: 5})
		w.equal("what is sent", w.sends(telltale.Selection{Which: telltale.WhichUnsent}, newer.ID), want)
		w.equal("what is sent twice", len(w.sends(telltale.Selection{Which: telltale.WhichUnsent}, newer.ID)), 0)
	}},
	{"what happened while a webhook was off is sent when it is on again", func(w *world) {
		hook := w.newWebhook()
		w.deliverOne()
		w.Advance(time.Minute)
		w.disable(hook.ID)
		missed := w.waitingOnes(3)
		w.enable(hook.ID)
		w.deliverOne()
		enabled, err := w.Webhook(w.ctx, w.project.ID, hook.ID)
		w.must(err)
		s, ok := enabled.Missed()
		w.equal("whether something was missed", ok, true)
		s.Until = w.Now().Add(time.Second) // the store's clock may not be ours
		w.equal("what is sent", w.sends(s, ""), missed)
	}},
	{"each webhook of the project gets what it was owed", func(w *world) {
		opens, clicks, gone := w.newWebhook(wanting(telltale.Opened)), w.newWebhook(wanting(telltale.Clicked, telltale.Opened)), w.newWebhook()
		open, click := w.newEvent(ofType(telltale.Opened)), w.newEvent(ofType(telltale.Clicked))
		for _, e := range []*telltale.Event{open, click} {
			for _, c := range w.acceptWith(newRoom(1), e).Claims {
				w.giveUp(c)
			}
		}
		w.delete(gone.ID)
		plan := w.plan(telltale.Selection{Which: telltale.WhichFailed}, "")
		w.equal("the webhooks", plan.ByWebhook, map[telltale.WebhookID]int{opens.ID: 1, clicks.ID: 2})
		r := w.startReplay(telltale.Selection{Which: telltale.WhichFailed}, "")
		w.newWebhook(wanting(telltale.Opened)) // is newer than the replay
		r = w.runReplay(r.ID, 1)
		got := map[string]int{}
		for _, d := range w.replayed(r.ID) {
			got[string(d.EventID)+string(d.WebhookID)]++
		}
		w.equal("what is made", got, map[string]int{
			string(open.ID) + string(opens.ID): 1, string(open.ID) + string(clicks.ID): 1, string(click.ID) + string(clicks.ID): 1,
		})
	}},
	{"what no webhook wants goes only to one that is named", func(w *world) {
		opens := w.newWebhook(wanting(telltale.Opened))
		click := w.newEvent(ofType(telltale.Clicked))
		w.accept(click, w.newEvent(ofType(telltale.Bounced)))
		clicks := telltale.NewEventTypeSet(telltale.Clicked)
		w.equal("what is sent to each", len(w.sends(telltale.Selection{Which: telltale.WhichAll, Types: clicks}, "")), 0)
		w.equal("what is sent to one", w.sends(telltale.Selection{Which: telltale.WhichAll, Types: clicks}, opens.ID), []telltale.EventID{click.ID})
		w.equal("what it wants", len(w.sends(telltale.Selection{Which: telltale.WhichAll}, opens.ID)), 0)
	}},
	{"what a machine made is not sent to a webhook that skips machines, unless it is named", func(w *world) {
		hook := w.newWebhook(wanting(telltale.Opened))
		person, machine := w.newEvent(ofType(telltale.Opened), byMachine(false)), w.newEvent(ofType(telltale.Opened), byMachine(true))
		w.accept(person, machine)
		both := []telltale.EventID{person.ID, machine.ID}
		chosen := ids(w.deliveries(telltale.DeliveryFilter{}), func(d telltale.Delivery) telltale.DeliveryID { return d.ID })
		for _, c := range w.claim(hook.ID, 2) {
			w.giveUp(c)
		}
		w.equal("what failed", w.plan(telltale.Selection{Which: telltale.WhichFailed}, "").Count, 2)
		hook.SkipMachines = true
		_, err := w.UpdateWebhook(w.ctx, *hook)
		w.must(err)
		newer := w.newWebhook(wanting(telltale.Opened), func(h *telltale.Webhook) { h.SkipMachines = true })
		opens := telltale.NewEventTypeSet(telltale.Opened)
		w.equal("what it is sent of what failed", w.sends(telltale.Selection{WebhookID: hook.ID, Which: telltale.WhichFailed}, ""), both[:1])
		w.equal("what each is sent of all", w.sends(telltale.Selection{Which: telltale.WhichAll, Types: opens}, ""), []telltale.EventID{person.ID, person.ID})
		w.equal("what a newer one is sent", w.sends(telltale.Selection{Which: telltale.WhichUnsent}, newer.ID), both[:0])
		w.equal("what a newer one is sent of all", w.sends(telltale.Selection{Which: telltale.WhichAll}, newer.ID), both[:1])
		w.equal("what it is sent if the type is named", w.sends(telltale.Selection{Which: telltale.WhichAll, Types: opens}, newer.ID), both)
		w.equal("what it is sent if deliveries are named", w.sends(telltale.Selection{Deliveries: chosen}, newer.ID), both)
	}},
	{"an operational event that was never owed to a webhook goes to it only if its type is named", func(w *world) {
		hook := w.newWebhook(wanting(telltale.Opened))
		alerts := w.newWebhook(wanting(telltale.DeliveryFailed))
		w.giveUp(w.deliver(ofType(telltale.Opened))[0])
		told := w.claimOne(alerts.ID)
		w.giveUp(told)
		newer := w.newWebhook(wanting(telltale.DeliveryFailed))
		named := telltale.NewEventTypeSet(telltale.DeliveryFailed)
		for _, which := range []telltale.Which{telltale.WhichUnsent, telltale.WhichUndelivered, telltale.WhichAll} {
			w.equal("what a newer webhook is sent of "+string(which), len(w.sends(telltale.Selection{Which: which}, newer.ID)), 0)
		}
		w.equal("what it is sent of that type", w.sends(telltale.Selection{Which: telltale.WhichUnsent, Types: named}, newer.ID), []telltale.EventID{told.Event.ID})
		w.equal("what failed", w.sends(telltale.Selection{Which: telltale.WhichFailed}, alerts.ID), []telltale.EventID{told.Event.ID})
		w.equal("what was accepted", w.total(telltale.StatQuery{}).Events, 1)
		w.equal("what failed in all", w.total(telltale.StatQuery{}).Failed, 2)
		w.equal("what failed of it", w.total(telltale.StatQuery{WebhookID: hook.ID}).Failed, 1)
	}},
	{"a time is that of receipt, and its end is left out", func(w *world) {
		hook := w.newWebhook()
		events := w.waitingOnes(4)
		late := w.newEvent(func(e *telltale.Event) { e.ReceivedAt = e.ReceivedAt.Add(-10 * 24 * time.Hour) })
		w.accept(late)
		second, err := w.Event(w.ctx, w.project.ID, events[1])
		w.must(err)
		fourth, err := w.Event(w.ctx, w.project.ID, events[3])
		w.must(err)
		s := telltale.Selection{Which: telltale.WhichAll, Since: second.ReceivedAt, Until: fourth.ReceivedAt}
		w.equal("what is sent", w.sends(s, hook.ID), events[1:3])
		s = telltale.Selection{Which: telltale.WhichAll, Until: w.Now().Add(-time.Hour)}
		w.equal("what was received long ago", w.sends(s, hook.ID), []telltale.EventID{late.ID})
		plan := w.plan(telltale.Selection{Which: telltale.WhichAll}, hook.ID)
		w.equal("the oldest", plan.Oldest, late.ReceivedAt)
		w.equal("those older than a week", plan.OlderThan, 1)
		plan = w.plan(telltale.Selection{Which: telltale.WhichFailed}, hook.ID)
		w.equal("the plan of nothing", plan, telltale.ReplayPlan{Complete: true, ByType: map[telltale.EventType]int{}, ByWebhook: map[telltale.WebhookID]int{}})
	}},
	{"an end that is left open is the start of the replay", func(w *world) {
		hook := w.newWebhook()
		events := w.waitingOnes(2)
		for _, until := range []time.Time{{}, w.Now().Add(time.Hour)} {
			r := w.startReplay(telltale.Selection{Which: telltale.WhichAll, Until: until}, hook.ID)
			w.waitingOnes(1)
			r = w.runReplay(r.ID, 1)
			w.equal("what is sent", ids(w.replayed(r.ID), deliveryEventID), events)
			if until.IsZero() && !r.Selection.Until.Equal(r.CreatedAt) {
				w.Fatalf("it began at %v and goes to %v", r.CreatedAt, r.Selection.Until)
			}
			events = append(events, w.deliveries(telltale.DeliveryFilter{})[2].EventID)
		}
	}},
	{"deliveries are chosen one by one", func(w *world) {
		a, b := w.newWebhook(wanting(telltale.Opened)), w.newWebhook(wanting(telltale.Opened))
		first, second, third := w.newEvent(ofType(telltale.Opened)), w.newEvent(ofType(telltale.Opened)), w.newEvent(ofType(telltale.Opened))
		w.accept(first, second, third)
		of := func(e *telltale.Event, hook *telltale.Webhook) telltale.DeliveryID {
			for _, d := range w.deliveries(telltale.DeliveryFilter{EventID: e.ID}) {
				if d.WebhookID == hook.ID {
					return d.ID
				}
			}
			w.Fatal("there is no such delivery")
			return ""
		}
		chosen := []telltale.DeliveryID{of(third, a), of(first, a), of(third, b), of(first, a)}
		w.equal("what is sent", w.sends(telltale.Selection{Deliveries: chosen}, ""), []telltale.EventID{first.ID, third.ID, third.ID})
		w.equal("what is sent to one webhook", w.sends(telltale.Selection{Deliveries: chosen}, b.ID), []telltale.EventID{first.ID, third.ID})
		r := w.startReplay(telltale.Selection{Deliveries: chosen}, b.ID)
		w.equal("what is chosen", sorted(r.Selection.Deliveries), sorted(chosen[:2]))
		w.delete(b.ID)
		w.equal("what is sent to a deleted one", w.runReplay(r.ID, 9).Made, 0)
		w.equal("what is sent to where it was owed", w.sends(telltale.Selection{Deliveries: chosen}, ""), []telltale.EventID{first.ID, third.ID})
	}},
	{"a test that is chosen is sent as a test", func(w *world) {
		hook := w.newWebhook()
		test, err := w.AcceptTest(w.ctx, *w.newEvent(), hook.ID)
		w.must(err)
		w.giveUp(test)
		r := w.runReplay(w.startReplay(telltale.Selection{Deliveries: []telltale.DeliveryID{test.DeliveryID}}, "").ID, 9)
		claim := w.claimOne(hook.ID)
		if !claim.Test || !claim.Once || claim.Trigger != telltale.TriggerReplay || claim.ReplayID != r.ID {
			w.Fatalf("the claim is %+v", claim)
		}
	}},
	{"a replayed delivery is one like any other, and tells its replay", func(w *world) {
		hook := w.newWebhook()
		w.giveUp(w.deliverOne())
		w.Advance(time.Hour)
		r := w.runReplay(w.startReplay(telltale.Selection{Which: telltale.WhichFailed}, "").ID, 9)
		made := w.replayed(r.ID)[0]
		if made.ReplayID != r.ID || made.State != telltale.StateWaiting || made.DueAt.After(w.Now()) || made.AttemptCount != 0 || w.Now().Sub(made.CreatedAt) > time.Second {
			w.Fatalf("it is %+v", made)
		}
		w.equal("what is due", w.due(hook.ID).In, time.Duration(0))
		w.restart()
		claim := w.claimOne(hook.ID)
		w.equal("the trigger", claim.Trigger, telltale.TriggerReplay)
		w.equal("the replay", claim.ReplayID, r.ID)
		w.equal("the attempt", claim.Attempt, 1)
		w.fail(claim)
		w.Advance(time.Minute)
		claim = w.claimOne(hook.ID)
		w.equal("the trigger of the second attempt", claim.Trigger, telltale.TriggerAutomatic)
		w.equal("the replay of the second attempt", claim.ReplayID, r.ID)
		w.equal("the step", claim.Step, 1)
		w.finish(claim)
		w.state(made.ID, telltale.StateSucceeded)
		w.equal("the triggers", ids(w.delivery(made.ID).Attempts, func(a telltale.Attempt) telltale.Trigger { return a.Trigger }),
			[]telltale.Trigger{telltale.TriggerReplay, telltale.TriggerAutomatic})
	}},
	{"a replay counts what becomes of its deliveries", func(w *world) {
		hook := w.newWebhook()
		for range 5 {
			w.giveUp(w.deliverOne())
		}
		id := w.startReplay(telltale.Selection{Which: telltale.WhichFailed}, "").ID
		w.runReplay(id, 9)
		is := func(what string, succeeded, failed, ahead int) {
			w.Helper()
			for range 2 {
				r := w.replay(id)
				w.equal(what, [4]int{r.Made, r.Succeeded, r.Failed, r.Ahead}, [4]int{5, succeeded, failed, ahead})
				list, err := w.Replays(w.ctx, w.project.ID, telltale.Page{Limit: 10})
				w.must(err)
				w.equal(what+" in the list", list, []telltale.Replay{r})
				w.restart()
			}
		}
		is("at first", 0, 0, 5)
		claims := w.claim(hook.ID, 4)
		w.finish(claims[0])
		w.giveUp(claims[1])
		w.fail(claims[2])
		w.must(w.ReleaseClaims(w.ctx, []telltale.ClaimRef{claims[3].ClaimRef}))
		is("after some attempts", 1, 1, 2)
		_, err := w.RetryDelivery(w.ctx, w.project.ID, claims[1].DeliveryID)
		w.must(err)
		is("when the failed one is tried again", 1, 0, 2)
		_, err = w.CancelDelivery(w.ctx, w.project.ID, claims[3].DeliveryID)
		w.must(err)
		is("when one is cancelled", 1, 1, 1)
		w.disable(hook.ID)
		is("when the webhook is disabled", 1, 1, 0)
		w.delete(hook.ID)
		is("when the webhook is deleted", 1, 4, 0)
		_, err = w.RestoreWebhook(w.ctx, w.project.ID, hook.ID)
		w.must(err)
		is("when that is taken back", 1, 1, 0)
		w.enable(hook.ID)
		is("when it is enabled", 1, 1, 1)
	}},
	{"it is ahead by what waits for a first attempt", func(w *world) {
		hook := w.newWebhook()
		w.waitingOnes(30)
		id := w.startReplay(telltale.Selection{Which: telltale.WhichAll}, hook.ID).ID
		for _, step := range []struct{ n, ahead int }{{0, 0}, {4, 4}, {0, 4}, {20, 24}} {
			r, _, err := w.AdvanceReplay(w.ctx, id, step.n)
			w.must(err)
			w.equal("how far it is ahead", r.Ahead, step.ahead)
		}
		running, err := w.RunningReplays(w.ctx)
		w.must(err)
		w.equal("those that run", running, []telltale.Replay{w.replay(id)})
		w.equal("how far it is ahead in the list", running[0].Ahead, 24)
	}},
	{"deliveries to a disabled webhook are held", func(w *world) {
		hook := w.newWebhook()
		events := w.waitingOnes(3)
		w.disable(hook.ID)
		r, due, err := w.AdvanceReplay(w.ctx, w.startReplay(telltale.Selection{Which: telltale.WhichAll}, hook.ID).ID, 9)
		w.must(err)
		w.equal("webhooks with work", len(due), 0)
		w.equal("what is made", r.Made, 3)
		for _, d := range w.replayed(r.ID) {
			w.equal("the state", d.State, telltale.StateHeld)
		}
		w.enable(hook.ID)
		released := w.claimRoom(telltale.LaneRoom{WebhookID: hook.ID, Slots: 9, Held: 9}).Claims
		w.equal("what is released", ids(released, claimEventID), append(slices.Clone(events), events...))
	}},
	{"the webhooks that have work are told", func(w *world) {
		a, b := w.newWebhook(), w.newWebhook()
		w.waitingOnes(2)
		_, due, err := w.AdvanceReplay(w.ctx, w.startReplay(telltale.Selection{Which: telltale.WhichAll}, "").ID, 9)
		w.must(err)
		w.equal("webhooks with work", sorted(ids(due, webhookID)), sorted([]telltale.WebhookID{a.ID, b.ID}))
	}},
	{"a replay is paused, resumed and cancelled", func(w *world) {
		hook := w.newWebhook()
		w.waitingOnes(5)
		id := w.startReplay(telltale.Selection{Which: telltale.WhichAll}, hook.ID).ID
		advance := func(n int) telltale.Replay {
			w.Helper()
			r, _, err := w.AdvanceReplay(w.ctx, id, n)
			w.must(err)
			return r
		}
		to := func(state telltale.ReplayState) {
			w.Helper()
			for range 2 { // a second time changes nothing
				r, err := w.SwitchReplay(w.ctx, w.project.ID, id, state)
				w.must(err)
				w.equal("the state", r.State, state)
				w.equal("the replay", w.replay(id), r)
			}
			w.restart()
		}
		w.equal("what is made", advance(2).Made, 2)
		to(telltale.ReplayPaused)
		w.equal("what is made while it is paused", advance(2), w.replay(id))
		running, err := w.RunningReplays(w.ctx)
		w.must(err)
		w.equal("those that run", len(running), 0)
		to(telltale.ReplayRunning)
		w.equal("what is made when it is resumed", advance(1).Made, 3)
		to(telltale.ReplayPaused)
		to(telltale.ReplayCancelled)
		w.equal("what is made when it is cancelled", advance(2).Made, 3)
		w.equal("what stays", len(w.replayed(id)), 3)
		if w.replay(id).CompletedAt.IsZero() {
			w.Fatal("it does not say when it was cancelled")
		}
		for _, state := range []telltale.ReplayState{telltale.ReplayRunning, telltale.ReplayPaused} {
			_, err := w.SwitchReplay(w.ctx, w.project.ID, id, state)
			w.code(telltale.Conflict, err)
		}
		for _, state := range []telltale.ReplayState{telltale.ReplayFinished, "nonsense"} {
			_, err := w.SwitchReplay(w.ctx, w.project.ID, id, state)
			w.code(telltale.Invalid, err)
		}
	}},
	{"a replay that has made them all is finished", func(w *world) {
		hook := w.newWebhook()
		w.waitingOnes(3)
		began := w.startReplay(telltale.Selection{Which: telltale.WhichAll}, hook.ID)
		w.Advance(time.Minute)
		r := w.runReplay(began.ID, 9)
		w.equal("its state", r.State, telltale.ReplayFinished)
		w.equal("what is made", r.Made, 3)
		if r.CompletedAt.Sub(began.CreatedAt) < time.Minute {
			w.Fatalf("it began at %v and was finished at %v", began.CreatedAt, r.CompletedAt)
		}
		again, _, err := w.AdvanceReplay(w.ctx, r.ID, 9)
		w.must(err)
		w.equal("the replay", again, r)
		_, err = w.SwitchReplay(w.ctx, w.project.ID, r.ID, telltale.ReplayCancelled)
		w.code(telltale.Conflict, err)
	}},
	{"each delivery is made once, in steps of any size and with a restart after each", func(w *world) {
		for range 3 {
			w.newWebhook()
		}
		events := w.waitingOnes(4)
		for _, n := range []int{1, 2, 5, 100} {
			id := w.startReplay(telltale.Selection{Which: telltale.WhichAll}, "").ID
			for {
				r, _, err := w.AdvanceReplay(w.ctx, id, n)
				w.must(err)
				if r.State != telltale.ReplayRunning {
					break
				}
				w.restart()
			}
			made := map[telltale.EventID][]telltale.WebhookID{}
			for _, d := range w.replayed(id) {
				made[d.EventID] = append(made[d.EventID], d.WebhookID)
			}
			for _, e := range events {
				hooks := sorted(made[e])
				if len(slices.Compact(hooks)) != 3 || len(made[e]) != 3 {
					w.Fatalf("in steps of %d event %s goes to %v", n, e, made[e])
				}
			}
			w.equal("the order", slices.IsSortedFunc(w.replayed(id), func(a, b telltale.Delivery) int {
				return slices.Index(events, a.EventID) - slices.Index(events, b.EventID)
			}), true)
		}
	}},
	{"what a replay made, and what it failed with, is not sent again by it", func(w *world) {
		hook := w.newWebhook()
		for range 3 {
			w.giveUp(w.deliverOne())
		}
		id := w.startReplay(telltale.Selection{Which: telltale.WhichFailed}, "").ID
		for range 10 {
			r, _, err := w.AdvanceReplay(w.ctx, id, 1)
			w.must(err)
			for _, c := range w.claim(hook.ID, 9) {
				w.giveUp(c)
			}
			if r.State != telltale.ReplayRunning {
				break
			}
		}
		r := w.replay(id)
		w.equal("the replay", [3]int{r.Made, r.Failed, r.Succeeded}, [3]int{3, 3, 0})
		w.equal("its state", r.State, telltale.ReplayFinished)
		w.equal("what another one sends", len(w.sends(telltale.Selection{Which: telltale.WhichFailed}, "")), 3)
	}},
	{"a few that failed are found among thousands", func(w *world) {
		hook := w.newWebhook()
		var want []telltale.EventID
		for i := range 4 {
			batch := make([]*telltale.Event, 1000)
			for j := range batch {
				batch[j] = w.newEvent()
			}
			claims := w.acceptWith(newRoom(math.MaxInt), batch...).Claims
			results := make([]telltale.Result, len(claims))
			for j, c := range claims {
				results[j] = w.result(c, 200)
				if j == 300*i {
					results[j] = w.result(c, 500)
					results[j].Outcome.State = telltale.StateFailed
					want = append(want, c.Event.ID)
				}
			}
			w.record(results...)
			w.Advance(time.Second)
		}
		w.equal("what is sent", w.sends(telltale.Selection{WebhookID: hook.ID, Which: telltale.WhichFailed}, ""), want)
		newer := w.newWebhook()
		w.equal("what the plan of a newer webhook counts", w.plan(telltale.Selection{Which: telltale.WhichUnsent}, newer.ID).Count, 4000)
		w.equal("what a newer webhook is sent", w.runReplay(w.startReplay(telltale.Selection{Which: telltale.WhichUnsent}, newer.ID).ID, 700).Made, 4000)
	}},
	{"replayed deliveries are in every list, in their place", func(w *world) {
		hook, other := w.newWebhook(), w.newWebhook(wanting(telltale.Clicked))
		var events []*telltale.Event
		for i := range 6 {
			events = append(events, w.newEvent(ofType([]telltale.EventType{telltale.Opened, telltale.Clicked}[i%2]), ofUser(fmt.Sprint("user-", i%2), "", "")))
			w.accept(events[i])
			w.Advance(time.Second)
		}
		for _, c := range w.claim(hook.ID, 9) {
			w.giveUp(c)
		}
		first := w.runReplay(w.startReplay(telltale.Selection{WebhookID: hook.ID, Which: telltale.WhichFailed}, "").ID, 2).ID
		w.Advance(time.Hour)
		more := w.newEvent(ofType(telltale.Opened), ofUser("user-0", "", ""))
		w.accept(more)
		for _, c := range w.claim(hook.ID, 4) {
			w.giveUp(c)
		}
		second := w.runReplay(w.startReplay(telltale.Selection{WebhookID: hook.ID, Which: telltale.WhichAll}, "").ID, 9).ID
		w.disable(other.ID)
		for range 2 {
			all := w.deliveries(telltale.DeliveryFilter{})
			w.equal("the number of deliveries", len(all), 6+3+6+1+7)
			byID := map[telltale.EventID]*telltale.Event{}
			for _, e := range append(events, more) {
				byID[e.ID] = e
			}
			for _, f := range []telltale.DeliveryFilter{
				{EventID: events[1].ID}, {EventID: events[5].ID}, {EventID: more.ID}, {Match: "user-0"}, {Match: "user-1"}, {ReplayID: first}, {ReplayID: second}, {WebhookID: hook.ID},
				{Type: telltale.Clicked}, {Match: "user-1", ReplayID: first}, {EventID: events[1].ID, ReplayID: second}, {Match: "user-0", WebhookID: hook.ID}, {Since: all[8].CreatedAt},
				{ReplayID: "nonsense"}, {ReplayID: telltale.NewReplayID()},
			} {
				for _, state := range append(telltale.States(), "") {
					f.State = state
					var want []telltale.DeliveryID
					for _, d := range all {
						if (f.EventID == "" || d.EventID == f.EventID) && (f.Match == "" || byID[d.EventID].UserID == f.Match) && (f.ReplayID == "" || d.ReplayID == f.ReplayID) &&
							(f.WebhookID == "" || d.WebhookID == f.WebhookID) && (f.Type == "" || d.EventType == f.Type) && (state == "" || d.State == state) && (f.Since.IsZero() || !d.CreatedAt.Before(f.Since)) {
							want = append(want, d.ID)
						}
					}
					name := fmt.Sprintf("the deliveries of %+v", f)
					w.equal(name, ids(w.deliveries(f), deliveryID), append([]telltale.DeliveryID{}, want...))
					w.counts(f, len(want))
					if len(want) > 3 {
						pages(w, func(p telltale.Page) ([]telltale.Delivery, error) { return w.Deliveries(w.ctx, w.project.ID, f, p) },
							func(d telltale.Delivery) string { return string(d.ID) })
					}
				}
			}
			w.equal("the events of a user", len(w.events(telltale.EventFilter{Match: "user-1"})), 3)
			w.restart()
		}
	}},
	{"replayed deliveries are in the log", func(w *world) {
		hook := w.newWebhook()
		w.giveUp(w.deliverOne())
		w.Advance(time.Hour)
		start := w.logEnd()
		id := w.runReplay(w.startReplay(telltale.Selection{Which: telltale.WhichFailed}, "").ID, 9).ID
		page := w.logSince(start, 10)
		w.equal("the deliveries", ids(page.Deliveries, deliveryID), ids(w.replayed(id), deliveryID))
		w.equal("the events", len(page.Events), 0)
		w.finish(w.claimOne(hook.ID))
		w.equal("the deliveries then", ids(w.logSince(page.Next, 10).Deliveries, deliveryID), ids(w.replayed(id), deliveryID))
	}},
	{"replayed deliveries are counted from when they were made", func(w *world) {
		hook := w.newWebhook()
		w.giveUp(w.deliverOne())
		w.Advance(48 * time.Hour)
		since := w.Now()
		w.runReplay(w.startReplay(telltale.Selection{Which: telltale.WhichFailed}, "").ID, 9)
		w.finish(w.claimOne(hook.ID))
		total := w.total(telltale.StatQuery{Since: since.Add(-time.Hour)})
		w.equal("the events", total.Events, 0)
		w.equal("the successes", total.Succeeded, 1)
		if took, _ := total.Took.Quantile(1); took > time.Minute {
			w.Fatalf("it took %v", took)
		}
	}},
	{"an event stays while a replayed delivery of it is not finished, and takes it along then", func(w *world) {
		hook := w.newWebhook()
		old, other := w.deliverOne(), w.deliverOne()
		w.giveUp(old)
		w.finish(other)
		w.Advance(40 * 24 * time.Hour)
		young := w.deliverOne()
		w.finish(young)
		r := w.runReplay(w.startReplay(telltale.Selection{Which: telltale.WhichFailed}, "").ID, 9)
		made := w.replayed(r.ID)[0]
		w.equal("events that went", w.purge(month), 1)
		w.equal("the deliveries", len(w.deliveries(telltale.DeliveryFilter{})), 3)
		claim := w.claimOne(hook.ID)
		w.equal("the claim", claim.DeliveryID, made.ID)
		w.finish(claim)
		w.equal("events that went when it was finished", w.purge(month), 1)
		_, err := w.Delivery(w.ctx, w.project.ID, made.ID)
		w.code(telltale.NotFound, err)
		w.equal("the deliveries then", ids(w.deliveries(telltale.DeliveryFilter{}), deliveryID), []telltale.DeliveryID{young.DeliveryID})
		w.equal("the replay", w.replay(r.ID).Succeeded, 1)
		w.Advance(31 * 24 * time.Hour)
		w.purge(month)
		_, err = w.Replay(w.ctx, w.project.ID, r.ID)
		w.code(telltale.NotFound, err)
	}},
	{"an event that is purged takes no other's replayed deliveries along", func(w *world) {
		hook := w.newWebhook()
		w.Advance(time.Hour)
		kept := w.deliverOne()
		w.giveUp(kept)
		last := w.deliverOne(ofUser("last", "", ""))
		w.finish(last)
		r := w.runReplay(w.startReplay(telltale.Selection{Which: telltale.WhichFailed}, "").ID, 9) // stands behind the last event
		w.disable(hook.ID)
		w.Advance(40 * 24 * time.Hour)
		w.equal("events that went", w.purge(month), 1)
		w.equal("what is left of the replay", ids(w.replayed(r.ID), deliveryEventID), []telltale.EventID{kept.Event.ID})
	}},
	{"a replay goes on without events that are gone", func(w *world) {
		hook := w.newWebhook()
		w.waitingOnes(3)
		for _, c := range w.claim(hook.ID, 9) {
			w.giveUp(c)
		}
		id := w.startReplay(telltale.Selection{Which: telltale.WhichFailed}, "").ID
		all := w.deliveries(telltale.DeliveryFilter{})
		chosen := w.startReplay(telltale.Selection{Deliveries: ids(all, deliveryID)}, "").ID
		w.Advance(40 * 24 * time.Hour)
		w.purge(month)
		w.equal("what is made", w.runReplay(id, 9).Made, 0)
		w.equal("what is made of those that were chosen", w.runReplay(chosen, 9).Made, 0)
	}},
	{"what goes to a webhook that is deleted meanwhile is not made", func(w *world) {
		hook, other := w.newWebhook(), w.newWebhook()
		w.waitingOnes(2)
		to, each := w.startReplay(telltale.Selection{Which: telltale.WhichAll}, hook.ID).ID, w.startReplay(telltale.Selection{Which: telltale.WhichAll}, "").ID
		w.delete(hook.ID)
		w.equal("what is made for it", w.runReplay(to, 9).Made, 0)
		w.equal("what is made for each", w.runReplay(each, 9).Made, 2)
		for _, d := range w.replayed(each) {
			w.equal("the webhook", d.WebhookID, other.ID)
		}
	}},
	{"what a deleted webhook has not got goes to another", func(w *world) {
		hook := w.newWebhook()
		events := w.waitingOnes(3)
		w.finish(w.claim(hook.ID, 1)[0])
		w.delete(hook.ID)
		newer := w.newWebhook()
		w.equal("what is sent", w.sends(telltale.Selection{WebhookID: hook.ID, Which: telltale.WhichHeld}, newer.ID), events[1:])
		_, err := w.PlanReplay(w.ctx, w.project.ID, telltale.Selection{WebhookID: hook.ID, Which: telltale.WhichHeld}, "")
		w.code(telltale.NotFound, err)
	}},
	{"the last delivery decides what became of an event", func(w *world) {
		hook := w.newWebhook()
		event := w.deliverOne()
		w.giveUp(event)
		w.sends(telltale.Selection{Which: telltale.WhichFailed}, "")
		w.equal("what is sent while the second waits", len(w.sends(telltale.Selection{Which: telltale.WhichFailed}, "")), 0)
		w.giveUp(w.claimOne(hook.ID))
		w.equal("what is sent when the second failed", len(w.sends(telltale.Selection{Which: telltale.WhichFailed}, "")), 1)
		w.finish(w.claimOne(hook.ID))
		w.equal("what is sent when the third succeeded", len(w.sends(telltale.Selection{Which: telltale.WhichUndelivered}, hook.ID)), 0)
	}},
	{"what is not there cannot be replayed", func(w *world) {
		other := w.newProject("other")
		hook := w.newWebhook()
		foreign := telltale.NewWebhook(other.ID, "https://receiver.example/in", telltale.AllEventTypes)
		_, err := w.CreateWebhook(w.ctx, foreign)
		w.must(err)
		w.accept(w.newEvent())
		mine := w.only(hook.ID).ID
		for name, is := range map[string]struct {
			project telltale.ProjectID
			sel     telltale.Selection
			to      telltale.WebhookID
			code    telltale.Code
		}{
			"another's webhook as a target":  {w.project.ID, telltale.Selection{Which: telltale.WhichAll}, foreign.ID, telltale.NotFound},
			"another's webhook":              {w.project.ID, telltale.Selection{Which: telltale.WhichAll, WebhookID: foreign.ID}, hook.ID, telltale.NotFound},
			"another's delivery":             {other.ID, telltale.Selection{Deliveries: []telltale.DeliveryID{mine}}, "", telltale.NotFound},
			"a delivery that does not exist": {w.project.ID, telltale.Selection{Deliveries: []telltale.DeliveryID{mine, telltale.NewDeliveryID()}}, "", telltale.NotFound},
			"a project that does not exist":  {telltale.NewProjectID(), telltale.Selection{Which: telltale.WhichAll}, "", telltale.NotFound},
			"nothing":                        {w.project.ID, telltale.Selection{}, "", telltale.Invalid},
			"nonsense":                       {w.project.ID, telltale.Selection{Which: "nonsense"}, "", telltale.Invalid},
			"deliveries and more":            {w.project.ID, telltale.Selection{Deliveries: []telltale.DeliveryID{mine}, Which: telltale.WhichAll}, "", telltale.Invalid},
			"too many deliveries":            {w.project.ID, telltale.Selection{Deliveries: slicesRepeat(mine, telltale.MaxReplayDeliveries+1)}, "", telltale.Invalid},
		} {
			_, err := w.PlanReplay(w.ctx, is.project, is.sel, is.to)
			if telltale.CodeOf(err) != is.code {
				w.Fatalf("planning %s: %v", name, err)
			}
			_, err = w.CreateReplay(w.ctx, telltale.Replay{ID: telltale.NewReplayID(), ProjectID: is.project, Selection: is.sel, To: is.to, Rate: 1})
			if telltale.CodeOf(err) != is.code {
				w.Fatalf("starting %s: %v", name, err)
			}
		}
		for _, rate := range []float64{0, 0.01, -1, telltale.MaxRateLimit + 1, math.NaN()} {
			_, err := w.CreateReplay(w.ctx, telltale.Replay{ProjectID: w.project.ID, Selection: telltale.Selection{Which: telltale.WhichAll}, Rate: rate})
			w.code(telltale.Invalid, err)
		}
		r := w.startReplay(telltale.Selection{Which: telltale.WhichAll}, "")
		_, err = w.Replay(w.ctx, other.ID, r.ID)
		w.code(telltale.NotFound, err)
		_, err = w.SwitchReplay(w.ctx, other.ID, r.ID, telltale.ReplayPaused)
		w.code(telltale.NotFound, err)
		_, _, err = w.AdvanceReplay(w.ctx, telltale.NewReplayID(), 1)
		w.code(telltale.NotFound, err)
		list, err := w.Replays(w.ctx, other.ID, telltale.Page{Limit: 10})
		w.must(err)
		w.equal("the other's replays", len(list), 0)
	}},
	{"a project has so many replays at once and no more", func(w *world) {
		w.newWebhook()
		w.accept(w.newEvent())
		var first telltale.ReplayID
		for i := range telltale.MaxRunningReplays {
			r := w.startReplay(telltale.Selection{Which: telltale.WhichAll}, "")
			if i == 0 {
				first = r.ID
				_, err := w.SwitchReplay(w.ctx, w.project.ID, first, telltale.ReplayPaused)
				w.must(err)
			}
		}
		one := telltale.Replay{ProjectID: w.project.ID, Selection: telltale.Selection{Which: telltale.WhichAll}, Rate: 1}
		_, err := w.CreateReplay(w.ctx, one)
		w.code(telltale.Conflict, err)
		_, err = w.SwitchReplay(w.ctx, w.project.ID, first, telltale.ReplayCancelled)
		w.must(err)
		_, err = w.CreateReplay(w.ctx, one)
		w.must(err)
		pages(w, func(p telltale.Page) ([]telltale.Replay, error) { return w.Replays(w.ctx, w.project.ID, p) }, func(r telltale.Replay) string { return string(r.ID) })
	}},
	{"a replay is kept as it was started, and who did what is in the audit log", func(w *world) {
		hook, to := w.newWebhook(), w.newWebhook()
		actor := telltale.Actor{Kind: telltale.ActorOperator, ID: "opr_1", Name: "jo@example.com"}
		ctx := telltale.WithActor(w.ctx, actor)
		before := milli(w.Now())
		wanted := telltale.Replay{
			ID: telltale.NewReplayID(), ProjectID: w.project.ID, To: to.ID, Rate: 2.5, Planned: 7,
			Selection: telltale.Selection{WebhookID: hook.ID, Which: telltale.WhichUndelivered, Types: telltale.NewEventTypeSet(telltale.Opened), Since: before.Add(-time.Hour), Until: before},
		}
		r, err := w.CreateReplay(ctx, wanted)
		w.must(err)
		if r.CreatedAt.Before(before) {
			w.Fatalf("it was created at %v", r.CreatedAt)
		}
		wanted.State, wanted.CreatedBy, wanted.CreatedAt = telltale.ReplayRunning, "jo@example.com", r.CreatedAt
		w.restart()
		w.equal("the replay", w.replay(r.ID), wanted)
		for _, state := range []telltale.ReplayState{telltale.ReplayPaused, telltale.ReplayRunning, telltale.ReplayCancelled} {
			_, err := w.SwitchReplay(ctx, w.project.ID, r.ID, state)
			w.must(err)
		}
		entries, err := w.AuditEntries(w.ctx, w.project.ID, telltale.AuditFilter{Target: string(r.ID)}, telltale.Page{Limit: 10})
		w.must(err)
		w.equal("the entries", sorted(ids(entries, func(e telltale.AuditEntry) telltale.AuditAction { return e.Action })), sorted([]telltale.AuditAction{
			telltale.AuditReplayCancelled, telltale.AuditReplayResumed, telltale.AuditReplayPaused, telltale.AuditReplayStarted,
		}))
		w.equal("who did it", entries[0].Actor, actor)
	}},
}
