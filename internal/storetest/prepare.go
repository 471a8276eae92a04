package storetest

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"telltale.example/telltale"
)

// meanwhiles are changes that are prepared, and what happens before they are made.
var meanwhiles = []struct {
	name      string
	before    func(w *world) []telltale.UserChange
	changes   func(w *world) []telltale.UserChange
	meanwhile func(w *world)
}{
	{"nothing happens to somebody new", nil, identifySeven, func(*world) {}},
	{"nothing happens to somebody known", ann, identifySeven, func(*world) {}},
	{"somebody else is changed", ann, identifySeven, func(w *world) { w.applied(w.identify(whose("8"), `{"plan":"free"}`)) }},
	{"the user comes", nil, identifySeven, func(w *world) { w.applied(w.identify(whose("7"), `{"plan":"free","city":"Oslo"}`)) }},
	{"the user gets the same values", ann, identifySeven, func(w *world) { w.applied(w.identify(whose("7"), `{"plan":"gold"}`)) }},
	{"the user gets other values", ann, identifySeven, func(w *world) {
		w.applied(w.identify(whose("7"), `{"plan":"silver","seats":3}`), tagged(whose("7"), "vip"))
	}},
	{"the user goes", ann, identifySeven, func(w *world) { w.applied(does(telltale.ChangeDelete, whose("7"))) }},
	{"the user is erased", ann, identifySeven, func(w *world) { w.erase(whose("7")) }},
	{"the user gets another id", ann, identifySeven, func(w *world) { w.applied(reidentified(whose("7"), "9")) }},
	{"somebody gets the user's id", ann, func(w *world) []telltale.UserChange { return []telltale.UserChange{w.identify(whose("9"), `{}`)} }, func(w *world) { w.applied(reidentified(whose("7"), "9")) }},
	{"the new id is taken", ann, func(*world) []telltale.UserChange { return []telltale.UserChange{reidentified(whose("7"), "9")} }, func(w *world) { w.applied(w.identify(whose("9"), `{"plan":"free"}`)) }},
	{"who has the new id is changed", both, func(*world) []telltale.UserChange { return []telltale.UserChange{reidentified(whose("7"), "8")} }, func(w *world) { w.applied(w.identify(whose("8"), `{"city":"Rome"}`)) }},
	{"who has the new id goes", both, func(*world) []telltale.UserChange { return []telltale.UserChange{reidentified(whose("7"), "8")} }, func(w *world) { w.applied(does(telltale.ChangeDelete, whose("8"))) }},
	{"somebody gets the email", nil, byAnnsEmail, func(w *world) { w.applied(w.identify(telltale.UserRef{ID: "7", Email: "ann@example.com"}, `{}`)) }},
	{"who has the email gets another", ann, byAnnsEmail, func(w *world) { w.applied(w.identify(telltale.UserRef{ID: "7", Email: "ann@example.org"}, `{}`)) }},
	{"somebody gets the email as their id", ann, byAnnsEmail, func(w *world) { w.applied(w.identify(whose(`"ann@example.com"`), `{}`)) }},
	{"of two with the email the other is changed", func(w *world) []telltale.UserChange {
		return append(ann(w), w.identify(telltale.UserRef{ID: "8", Email: "ann@example.com"}, `{}`))
	}, byAnnsEmail, func(w *world) { w.applied(w.identify(whose("7"), `{"city":"Rome"}`)) }},
	{"an event says that the user opted out", ann, func(*world) []telltale.UserChange {
		return []telltale.UserChange{does(telltale.ChangeUnsubscribe, whose("7"))}
	}, func(w *world) { w.accept(w.newEvent(ofType(telltale.Unsubscribed), ofUser("7", "", ""))) }},
	{"what is tracked was tracked", ann, func(w *world) []telltale.UserChange { return []telltale.UserChange{w.tracked(whose("7"), "did", `{}`)} }, func(w *world) {
		w.changeWith(telltale.UserChanges{RepeatWindow: time.Minute, Changes: []telltale.UserChange{w.tracked(whose("7"), "did", `{}`)}})
	}},
	{"the many changes of one user are prepared together", nil, func(w *world) []telltale.UserChange {
		return []telltale.UserChange{
			w.identify(whose("7"), `{"plan":"gold"}`), w.identify(whose("8"), `{}`), w.identify(whose("7"), `{"plan":"gold","seats":1}`), tagged(whose("7"), "vip"),
			w.tracked(whose("7"), "did", `{}`), w.tracked(whose("7"), "did", `{}`), reidentified(whose("8"), "7"), does(telltale.ChangeDelete, whose("7")), w.identify(whose("7"), `{}`),
		}
	}, func(*world) {}},
	{"a change would break a bound", ann, func(w *world) []telltale.UserChange {
		many := telltale.UserChange{Kind: telltale.ChangeIdentify, User: whose("7")}
		for n := range telltale.MaxExtraKeys {
			many.Data.SetInt(fmt.Sprint(n), 1)
		}
		return []telltale.UserChange{many}
	}, func(w *world) { w.applied(does(telltale.ChangeDelete, whose("7"))) }},
	{"the server is started anew", ann, identifySeven, func(w *world) {
		w.applied(w.identify(whose("7"), `{"plan":"silver"}`))
		w.restart()
	}},
}

func ann(w *world) []telltale.UserChange {
	return []telltale.UserChange{w.identify(telltale.UserRef{ID: "7", Email: "ann@example.com"}, `{"plan":"free"}`)}
}

func both(w *world) []telltale.UserChange {
	return append(ann(w), w.identify(whose("8"), `{"plan":"gold","city":"Oslo"}`))
}

func identifySeven(w *world) []telltale.UserChange {
	return []telltale.UserChange{w.identify(whose(`"7"`), `{"plan":"gold","city":"Oslo"}`)}
}

func byAnnsEmail(w *world) []telltale.UserChange {
	return []telltale.UserChange{w.identify(byEmail("ann@example.com"), `{"plan":"gold"}`)}
}

var prepareTests = []test{
	{"whatever happens before prepared changes are made, they come to what others do", func(w *world) {
		for i, m := range meanwhiles {
			var outcomes [2]string
			for prepare := range outcomes {
				w.project = w.newProject(fmt.Sprintf("p-%d-%d", i, prepare))
				if m.before != nil {
					w.applied(m.before(w)...)
				}
				w.Advance(time.Second)
				c := telltale.UserChanges{ProjectID: w.project.ID, Source: "import", RepeatWindow: time.Minute, Changes: m.changes(w)}
				if prepare == 1 {
					w.must(w.PrepareChanges(w.ctx, &c))
				}
				w.Advance(time.Second)
				m.meanwhile(w)
				w.Advance(time.Second)
				outcomes[prepare] = w.outcome(w.changeWith(c))
			}
			if outcomes[0] != outcomes[1] {
				w.Errorf("if %s, prepared changes come to\n%s\nand others to\n%s", m.name, outcomes[1], outcomes[0])
			}
		}
	}},
	{"preparing changes nothing, and is for a project that exists", func(w *world) {
		c := telltale.UserChanges{ProjectID: w.project.ID, Source: "import", Changes: identifySeven(w)}
		w.must(w.PrepareChanges(w.ctx, &c))
		w.nobody(whose("7"))
		w.equal("the events", len(w.events(telltale.EventFilter{})), 0)
		w.code(telltale.NotFound, w.PrepareChanges(w.ctx, &telltale.UserChanges{ProjectID: telltale.NewProjectID(), Changes: identifySeven(w)}))
	}},
	{"more than can be prepared at once is changed too", func(w *world) {
		c := telltale.UserChanges{ProjectID: w.project.ID, Source: "import"}
		for n := range 100 {
			c.Changes = append(c.Changes, w.identify(whose(fmt.Sprint(n)), fmt.Sprintf(`{"long":%q}`, strings.Repeat("x", 100<<10))))
		}
		for range 2 { // who is new, and who is known
			w.must(w.PrepareChanges(w.ctx, &c))
			for i, r := range w.changeWith(c).Results {
				if r.Err != nil {
					w.Fatalf("change %d: %v", i, r.Err)
				}
			}
			w.equal("the users", len(w.profiles(telltale.ProfileFilter{})), 100)
			w.equal("the events", len(w.events(telltale.EventFilter{})), 100)
		}
	}},
	{"of what many prepare of one user at once, nothing is lost and nothing told twice", func(w *world) {
		const callers, calls = 20, 10
		var created, events atomic.Int64
		together(callers, func(i int) {
			for n := range calls {
				c := telltale.UserChanges{ProjectID: w.project.ID, Source: "import", Changes: []telltale.UserChange{
					w.identify(whose("7"), fmt.Sprintf(`{"caller_%d":%d}`, i, n)), tagged(whose("7"), fmt.Sprintf("tag-%d-%d", i, n)),
				}}
				if err := w.PrepareChanges(w.ctx, &c); err != nil {
					w.Errorf("preparing: %v", err)
					return
				}
				changed, err := w.ChangeUsers(w.ctx, c)
				if err != nil {
					w.Errorf("changing: %v", err)
					return
				}
				for _, r := range changed.Results {
					if r.Created {
						created.Add(1)
					}
					events.Add(int64(r.Events))
				}
			}
		})
		p := w.whoIs(whose("7"))
		w.equal("properties and tags", []int{p.Properties.Len(), len(p.Tags)}, []int{callers, callers * calls})
		w.equal("made, told, stored", []int64{created.Load(), events.Load(), int64(len(w.events(telltale.EventFilter{})))}, []int64{1, 2 * callers * calls, 2 * callers * calls})
	}},
}

// outcome is what changes came to, as text: the answers, the users with what they
// did, and all events.
func (w *world) outcome(changed telltale.UserChanged) string {
	w.Helper()
	var b strings.Builder
	for _, r := range changed.Results {
		fmt.Fprintf(&b, "answer %v, repeated %v, created %v, %d events\n", r.Err, r.Repeated, r.Created, r.Events)
	}
	list, err := w.Profiles(w.ctx, w.project.ID, telltale.ProfileFilter{}, telltale.Page{Limit: telltale.MaxPage})
	w.must(err)
	for _, p := range list {
		fmt.Fprintf(&b, "user %s, updated %v ago", shown(p), w.Now().Sub(p.UpdatedAt))
		did, err := w.TrackedEvents(w.ctx, w.project.ID, p.ID, telltale.Page{Limit: telltale.MaxPage})
		w.must(err)
		for _, e := range did {
			fmt.Fprintf(&b, ", did %s", e.Name)
		}
		b.WriteString("\n")
	}
	for _, payload := range w.payloads() {
		fmt.Fprintf(&b, "event %s\n", payload)
	}
	return b.String()
}
