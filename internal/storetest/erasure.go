package storetest

import (
	"fmt"
	"time"

	"telltale.example/telltale"
)

func (w *world) erase(user telltale.UserRef) telltale.Erasure {
	w.Helper()
	e, err := w.Erase(w.ctx, w.project.ID, user)
	w.must(err)
	return e
}

func (w *world) advance(id telltale.ErasureID) telltale.Erasure {
	w.Helper()
	e, err := w.AdvanceErasure(w.ctx, id)
	w.must(err)
	return e
}

// complete advances an erasure to its end.
func (w *world) complete(id telltale.ErasureID) telltale.Erasure {
	w.Helper()
	for range 1000 {
		if e := w.advance(id); !e.CompletedAt.IsZero() {
			return e
		}
	}
	w.Fatal("erasing never ends")
	return telltale.Erasure{}
}

var erasureTests = []test{
	{"an erasure removes the profile at once, and all that stands under its ids and email", func(w *world) {
		w.newWebhook()
		w.applied(w.identify(telltale.UserRef{ID: `"old"`, Email: "ann@example.com"}, `{}`), tagged(whose(`"old"`), "vip"), w.tracked(whose(`"old"`), "bought", `{}`), reidentified(whose(`"old"`), "7"))
		theirs := []*telltale.Event{
			w.newEvent(ofUser("old", "", "m-1")), w.newEvent(ofUser("7", "", "m-2"), called("named", "1")), w.newEvent(ofUser("", "ann@example.com", "m-3")), w.newEvent(ofUser("7", "ann@example.com", "m-4")),
		}
		others := []*telltale.Event{w.newEvent(ofUser("8", "bob@example.com", "7")), w.newEvent(ofUser("77", "ANN@example.com", "ann@example.com"))}
		for _, c := range w.acceptWith(newRoom(1000), append(theirs, others...)...).Claims {
			w.fail(c)
		}
		e := w.erase(byEmail("ann@example.com"))
		w.equal("what it stands under", e.Known, []string{"7", "old", "ann@example.com"})
		w.nobody(whose("7"))
		w.equal("who has the tag", w.profiles(telltale.ProfileFilter{Tag: "vip"}), []string{})

		done := w.complete(e.ID)
		w.equal("how many events it removed", done.Events, len(theirs)+2) // with user_created and user_updated
		w.equal("what is still known", len(done.Known), 0)
		w.equal("when it was done", done.CompletedAt, milli(w.Now()))
		for range 2 {
			left := w.events(telltale.EventFilter{})
			w.equal("the events", ids(left, eventID), []telltale.EventID{others[1].ID, others[0].ID})
			for _, match := range []string{"old", "7", "ann@example.com"} {
				for _, e := range w.events(telltale.EventFilter{Match: match}) {
					if e.MessageID != match {
						w.Fatalf("an event of %s is there", match)
					}
				}
			}
			w.equal("the deliveries", len(w.deliveries(telltale.DeliveryFilter{})), 2)
			for _, d := range w.deliveries(telltale.DeliveryFilter{}) {
				w.equal("their attempts", len(w.delivery(d.ID).Attempts), 1)
			}
			w.restart()
		}
		w.equal("whether the caller's id is known", w.accept(w.newEvent(ofUser("9", "", ""), called("named", "2"))).Events[0].Duplicate, false)
	}},
	{"what was stored after it began stays", func(w *world) {
		w.accept(w.newEvent(ofUser("7", "", "")))
		e := w.erase(whose("7"))
		later := w.newEvent(ofUser("7", "", ""))
		w.accept(later)
		w.applied(w.tracked(whose("7"), "came back", `{}`))
		w.equal("how many events it removed", w.complete(e.ID).Events, 1)
		w.equal("the events", len(w.events(telltale.EventFilter{})), 2)
		w.equal("what they did", w.did(whose("7")), []string{"came back"})
	}},
	{"deliveries that wait or are held are not made, and one under way is left to its end", func(w *world) {
		hook, disabled := w.newWebhook(), w.newWebhook()
		w.disable(disabled.ID)
		w.enable(disabled.ID)
		sending := w.acceptWith(newRoom(1), w.newEvent(ofUser("7", "", "")))
		w.accept(w.newEvent(ofUser("7", "", "")), w.newEvent(ofUser("8", "", "")))
		w.disable(disabled.ID)
		e := w.erase(whose("7"))
		for range 3 {
			e = w.advance(e.ID)
		}
		w.equal("how many events it removed", e.Events, 1)
		w.equal("whether it is complete", e.CompletedAt.IsZero(), true)
		w.equal("what is due", ids(w.claim(hook.ID, 10), func(c telltale.Claim) string { return c.Event.UserID }), []string{"8"})
		w.restart()
		w.equal("what is still sending", len(w.deliveries(telltale.DeliveryFilter{State: telltale.StateSending})), 3)
		for _, c := range sending.Claims {
			w.fail(c) // and would be tried again
		}
		open, err := w.OpenErasures(w.ctx)
		w.must(err)
		w.equal("what is open", ids(open, func(e telltale.Erasure) telltale.ErasureID { return e.ID }), []telltale.ErasureID{e.ID})
		w.equal("how many events it removed in the end", w.complete(e.ID).Events, 2)
		w.equal("the events", len(w.events(telltale.EventFilter{})), 1)
		open, err = w.OpenErasures(w.ctx)
		w.must(err)
		w.equal("what is open then", len(open), 0)
	}},
	{"deliveries that a replay made go, too, and its counts add up", func(w *world) {
		hook := w.newWebhook()
		w.finish(w.deliverOne(ofUser("7", "", "")))
		w.Advance(time.Second)
		r, err := w.CreateReplay(w.ctx, telltale.Replay{ProjectID: w.project.ID, Selection: telltale.Selection{Which: telltale.WhichAll}, To: hook.ID, Rate: 100})
		w.must(err)
		_, _, err = w.AdvanceReplay(w.ctx, r.ID, 10)
		w.must(err)
		w.equal("the deliveries", len(w.deliveries(telltale.DeliveryFilter{})), 2)
		w.complete(w.erase(whose("7")).ID)
		w.equal("the deliveries then", len(w.deliveries(telltale.DeliveryFilter{})), 0)
		r, err = w.Replay(w.ctx, w.project.ID, r.ID)
		w.must(err)
		w.equal("made, succeeded, failed", []int{r.Made, r.Succeeded, r.Failed}, []int{1, 0, 1})
	}},
	{"counts of what happened stay", func(w *world) {
		w.newWebhook()
		for range 3 {
			w.finish(w.deliverOne(ofUser("7", "", "")))
		}
		count := func() (events, delivered int) {
			stats, err := w.Stats(w.ctx, w.project.ID, telltale.StatQuery{Since: w.Now().Add(-time.Hour)})
			w.must(err)
			for _, s := range stats {
				events, delivered = events+s.Events, delivered+s.Succeeded
			}
			return events, delivered
		}
		w.complete(w.erase(whose("7")).ID)
		w.restart()
		events, delivered := count()
		w.equal("the counts", []int{events, delivered}, []int{3, 3})
	}},
	{"who has much is erased in bounded parts, across restarts", func(w *world) {
		const many = 450
		batch := make([]*telltale.Event, many)
		tracked := make([]telltale.UserChange, 2500)
		for i := range batch {
			batch[i] = w.newEvent(ofUser("7", "ann@example.com", ""))
		}
		for i := range tracked {
			tracked[i] = w.tracked(telltale.UserRef{ID: "7", Email: "ann@example.com"}, fmt.Sprint("did ", i), `{}`)
		}
		w.accept(batch...)
		w.applied(tracked...)
		e := w.erase(whose("7"))
		first := w.advance(e.ID)
		if first.Events == 0 || first.Events >= many || !first.CompletedAt.IsZero() {
			w.Fatalf("the first part is %+v", first)
		}
		w.restart()
		open, err := w.OpenErasures(w.ctx)
		w.must(err)
		w.equal("what is open", open, []telltale.Erasure{first})
		w.equal("how many events it removed", w.complete(e.ID).Events, many+1)
		w.equal("the events", len(w.events(telltale.EventFilter{})), 0)
		w.equal("advancing what is complete", w.advance(e.ID).Events, many+1)
	}},
	{"a user without a profile is erased by what the reference says", func(w *world) {
		w.accept(w.newEvent(ofUser("7", "", "")), w.newEvent(ofUser("", "x@example.com", "")), w.newEvent(ofUser("8", "", "")))
		e := w.erase(telltale.UserRef{ID: "7.0", Email: "x@example.com"})
		w.equal("what it stands under", e.Known, []string{"7", "x@example.com"})
		w.equal("how many events it removed", w.complete(e.ID).Events, 2)
		_, err := w.Erase(w.ctx, w.project.ID, telltale.UserRef{})
		w.code(telltale.Invalid, err)
		_, err = w.Erase(w.ctx, telltale.NewProjectID(), whose("7"))
		w.code(telltale.NotFound, err)
	}},
	{"another project's events stay", func(w *world) {
		other := w.newProject("other")
		_, err := w.AcceptEvents(w.ctx, telltale.Acceptance{ProjectID: other.ID, Events: []*telltale.Event{w.newEvent(ofUser("7", "", ""), func(e *telltale.Event) { e.ProjectID = other.ID })}})
		w.must(err)
		w.equal("how many events it removed", w.complete(w.erase(whose("7")).ID).Events, 0)
		left, err := w.Events(w.ctx, other.ID, telltale.EventFilter{}, telltale.Page{Limit: 10})
		w.must(err)
		w.equal("the events", len(left), 1)
	}},
	{"erasures are listed, and audited without the address", func(w *world) {
		w.ctx = telltale.WithActor(w.ctx, telltale.Actor{Kind: telltale.ActorOperator, ID: "opr_1", Name: "jo"})
		w.applied(w.identify(telltale.UserRef{ID: "7", Email: "ann@example.com"}, `{}`))
		e := w.erase(whose("7"))
		shy := w.erase(byEmail("shy@example.com"))
		w.equal("who did it", e.CreatedBy, "jo")
		entries, err := w.AuditEntries(w.ctx, w.project.ID, telltale.AuditFilter{Action: telltale.AuditUserErased}, telltale.Page{Limit: 10})
		w.must(err)
		w.equal("the audit log", ids(entries, func(e telltale.AuditEntry) [2]string { return [2]string{e.Target, e.Name} }), [][2]string{{string(shy.ID), ""}, {string(e.ID), "7"}})

		for range 5 {
			w.erase(whose("8"))
		}
		pages(w, func(page telltale.Page) ([]telltale.Erasure, error) { return w.Erasures(w.ctx, w.project.ID, page) }, func(e telltale.Erasure) string { return string(e.ID) })
		got, err := w.Erasure(w.ctx, w.project.ID, e.ID)
		w.must(err)
		w.equal("the first", got, e)
		_, err = w.Erasure(w.ctx, w.newProject("other").ID, e.ID)
		w.code(telltale.NotFound, err)
		_, err = w.Erasure(w.ctx, w.project.ID, telltale.NewErasureID())
		w.code(telltale.NotFound, err)
		_, err = w.AdvanceErasure(w.ctx, telltale.NewErasureID())
		w.code(telltale.NotFound, err)
	}},
}
