package storetest

import (
	"context"
	"fmt"
	"sync"

	"telltale.example/telltale"
)

// together runs n functions at once and waits for all of them.
func together(n int, do func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}

var concurrencyTests = []test{
	{"what many accept at once is all stored", func(w *world) {
		hook := w.newWebhook()
		const callers, calls = 20, 10
		together(callers, func(int) {
			for range calls {
				if _, err := w.AcceptEvents(w.ctx, telltale.Acceptance{ProjectID: w.project.ID, Events: []*telltale.Event{w.newEvent()}}); err != nil {
					w.Errorf("accepting: %v", err)
				}
			}
		})
		w.equal("the events", len(w.events(telltale.EventFilter{})), callers*calls)
		w.equal("the claims", len(w.claim(hook.ID, 1000)), callers*calls)
		sequences := map[int64]bool{}
		for _, e := range w.events(telltale.EventFilter{}) {
			sequences[e.Sequence] = true
		}
		w.equal("the sequences", len(sequences), callers*calls)
	}},
	{"who follows the log misses nothing of what many store at once", func(w *world) {
		w.newWebhook()
		const callers, calls = 10, 20
		start := w.logEnd()
		stored := make(chan struct{})
		go func() {
			defer close(stored)
			together(callers, func(int) {
				for range calls {
					accepted, err := w.AcceptEvents(w.ctx, telltale.Acceptance{ProjectID: w.project.ID, Events: []*telltale.Event{w.newEvent()}, Room: newRoom(1)})
					if err == nil {
						_, err = w.RecordAttempts(w.ctx, []telltale.Result{w.result(accepted.Claims[0], 200)})
					}
					if err != nil {
						w.Errorf("storing: %v", err)
						return
					}
				}
			})
		}()
		events := map[telltale.EventID]int{}
		succeeded := map[telltale.DeliveryID]bool{}
		for at, over := start, false; ; {
			select {
			case <-stored:
				over = true
			default:
			}
			page := w.logSince(at, 7)
			for _, e := range page.Events {
				events[e.ID]++
			}
			for _, d := range page.Deliveries {
				succeeded[d.ID] = d.State == telltale.StateSucceeded
			}
			if at = page.Next; over && !page.More {
				break
			}
		}
		w.equal("the events", len(events), callers*calls)
		for id, times := range events {
			if times != 1 {
				w.Fatalf("event %s is in the log %d times", id, times)
			}
		}
		w.equal("the deliveries", len(succeeded), callers*calls)
		for id, ok := range succeeded {
			if !ok {
				w.Fatalf("delivery %s succeeded, and the log does not say so", id)
			}
		}
	}},
	{"one that fails does not take its neighbours with it", func(w *world) {
		w.newWebhook()
		known := w.newEvent(called("known", "content"))
		w.accept(known)
		const n = 40
		rooms, codes := make([]*room, n), make([]telltale.Code, n)
		together(n, func(i int) {
			rooms[i] = newRoom(10)
			a := telltale.Acceptance{ProjectID: w.project.ID, Room: rooms[i], Events: []*telltale.Event{w.newEvent(), w.newEvent()}}
			switch i % 4 {
			case 1: // found before anything is written
				a.Events[1].CallerID = "known"
			case 2: // found when something was written
				a.Events[1].ID = known.ID
			case 3:
				a.ProjectID = telltale.NewProjectID()
			}
			_, err := w.AcceptEvents(w.ctx, a)
			codes[i] = telltale.CodeOf(err)
		})
		for i := range n {
			want, reserved := []telltale.Code{"", telltale.Conflict, telltale.Conflict, telltale.NotFound}[i%4], 0
			if i%4 == 0 {
				reserved = 2
			}
			w.equal(fmt.Sprintf("code and room of caller %d", i), []any{codes[i], rooms[i].total()}, []any{want, reserved})
		}
		w.equal("the events", len(w.events(telltale.EventFilter{})), 1+2*n/4)
		w.equal("what is sending", len(w.deliveries(telltale.DeliveryFilter{State: telltale.StateSending})), 2*n/4)
	}},
	{"of those who bring the same id at once, one is the first", func(w *world) {
		const n = 30
		answers := make([]telltale.AcceptedEvent, n)
		together(n, func(i int) {
			accepted, err := w.AcceptEvents(w.ctx, telltale.Acceptance{ProjectID: w.project.ID, Events: []*telltale.Event{w.newEvent(called("same", "content"))}})
			if err != nil {
				w.Errorf("accepting: %v", err)
				return
			}
			answers[i] = accepted.Events[0]
		})
		events := w.events(telltale.EventFilter{})
		w.equal("the events", len(events), 1)
		firsts := 0
		for _, a := range answers {
			w.equal("the id", a.ID, events[0].ID)
			if !a.Duplicate {
				firsts++
			}
		}
		w.equal("those who were first", firsts, 1)
	}},
	{"each waiting delivery is claimed once", func(w *world) {
		hook := w.newWebhook()
		const n = 100
		batch := make([]*telltale.Event, n)
		for i := range batch {
			batch[i] = w.newEvent()
		}
		w.accept(batch...)
		var mu sync.Mutex
		seen := map[telltale.DeliveryID]int{}
		together(10, func(int) {
			for {
				lanes, err := w.ClaimDue(w.ctx, []telltale.LaneRoom{{WebhookID: hook.ID, Slots: 3}})
				if err != nil {
					w.Errorf("claiming: %v", err)
				}
				if err != nil || len(lanes[0].Claims) == 0 {
					return
				}
				mu.Lock()
				for _, c := range lanes[0].Claims {
					seen[c.DeliveryID]++
				}
				mu.Unlock()
			}
		})
		w.equal("the deliveries", len(seen), n)
		for id, times := range seen {
			if times != 1 {
				w.Fatalf("%s was claimed %d times", id, times)
			}
		}
	}},
	{"of two results of one claim, one is applied", func(w *world) {
		w.newWebhook()
		claim := w.deliverOne()
		const n = 10
		applied := make([]bool, n)
		together(n, func(i int) {
			recorded, err := w.RecordAttempts(w.ctx, []telltale.Result{w.result(claim, 200)})
			if err != nil {
				w.Errorf("recording: %v", err)
				return
			}
			applied[i] = recorded.Applied[0]
		})
		count := 0
		for _, a := range applied {
			if a {
				count++
			}
		}
		w.equal("what was applied", count, 1)
		w.equal("the attempts", len(w.delivery(claim.DeliveryID).Attempts), 1)
	}},
	{"after a webhook was disabled, nothing is born claimed or claimed for it", func(w *world) {
		hook := w.newWebhook()
		ctx, stop := context.WithCancel(w.ctx)
		defer stop()
		var accepting sync.WaitGroup
		var mu sync.Mutex
		disabled, late := false, 0
		for range 4 {
			accepting.Go(func() {
				for ctx.Err() == nil {
					mu.Lock()
					after := disabled
					mu.Unlock()
					accepted, err := w.AcceptEvents(w.ctx, telltale.Acceptance{ProjectID: w.project.ID, Events: []*telltale.Event{w.newEvent()}, Room: newRoom(1)})
					if err != nil {
						w.Errorf("accepting: %v", err)
						return
					}
					mu.Lock()
					if after {
						late += len(accepted.Claims)
					}
					mu.Unlock()
				}
			})
		}
		for range 5 {
			w.accept(w.newEvent())
		}
		w.disable(hook.ID)
		mu.Lock()
		disabled = true
		mu.Unlock()
		for range 20 {
			w.accept(w.newEvent())
		}
		stop()
		accepting.Wait()
		w.equal("late claims", late, 0)
	}},
	{"changes of one webhook at once do not lose each other", func(w *world) {
		hook := w.newWebhook()
		const n = 20
		conflicts := make([]bool, n)
		together(n, func(i int) {
			changed := *hook
			changed.Description = fmt.Sprint(i)
			_, err := w.UpdateWebhook(w.ctx, changed)
			if conflicts[i] = telltale.CodeOf(err) == telltale.PreconditionFailed; err != nil && !conflicts[i] {
				w.Errorf("updating: %v", err)
			}
		})
		lost := 0
		for _, c := range conflicts {
			if c {
				lost++
			}
		}
		w.equal("conflicts", lost, n-1)
		got, err := w.Webhook(w.ctx, w.project.ID, hook.ID)
		w.must(err)
		w.equal("the version", got.Version, hook.Version+1)
	}},
	{"of those who start jobs at once, no more begin than may", func(w *world) {
		w.newWebhook()
		const n = telltale.MaxRunningImports + 10
		codes := make([][2]telltale.Code, n)
		together(n, func(i int) {
			_, err := w.CreateImport(w.ctx, telltale.Import{ProjectID: w.project.ID, Kind: telltale.ImportProfiles})
			codes[i][0] = telltale.CodeOf(err)
			_, err = w.CreateReplay(w.ctx, telltale.Replay{ProjectID: w.project.ID, Selection: telltale.Selection{Which: telltale.WhichAll}, Rate: 1})
			codes[i][1] = telltale.CodeOf(err)
		})
		begun := map[telltale.Code][2]int{}
		for _, c := range codes {
			for job, code := range c {
				count := begun[code]
				count[job]++
				begun[code] = count
			}
		}
		w.equal("what began, and what did not", begun, map[telltale.Code][2]int{
			"": {telltale.MaxRunningImports, telltale.MaxRunningReplays}, telltale.Conflict: {n - telltale.MaxRunningImports, n - telltale.MaxRunningReplays},
		})
	}},
	{"projects, webhooks and events of one moment see each other", func(w *world) {
		const n = 15
		together(n, func(i int) {
			p := telltale.NewProject(fmt.Sprint("p-", i), "Project")
			if err := w.CreateProject(w.ctx, p); err != nil {
				w.Errorf("project: %v", err)
				return
			}
			hook, err := w.CreateWebhook(w.ctx, telltale.NewWebhook(p.ID, "https://receiver.example/in", telltale.AllEventTypes))
			if err != nil {
				w.Errorf("webhook: %v", err)
				return
			}
			accepted, err := w.AcceptEvents(w.ctx, telltale.Acceptance{ProjectID: p.ID, Events: []*telltale.Event{w.newEvent(func(e *telltale.Event) { e.ProjectID = p.ID })}, Room: newRoom(1)})
			if err != nil || len(accepted.Claims) != 1 || accepted.Claims[0].Webhook.ID != hook.ID {
				w.Errorf("accepted %+v: %v", accepted, err)
			}
		})
		projects, err := w.Projects(w.ctx)
		w.must(err)
		w.equal("the projects", len(projects), n+1)
	}},
}
