package storetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"telltale.example/telltale"
)

// happened is an event of a message, that long ago.
func (w *world) happened(kind telltale.EventType, id string, ago time.Duration, more string) *telltale.Event {
	w.Helper()
	at := w.Now().Add(-ago).Unix()
	stamp := fmt.Sprintf(`"%s_at":%d,`, kind, at)
	if kind == telltale.Converted {
		stamp = fmt.Sprintf(`"telltale":{"occurred_at":%d},`, at)
	}
	if !strings.Contains(more, `"user"`) {
		more += `,"user":{"id":5,"email":"jo@example.com"}`
	}
	if !strings.Contains(more, `"campaign"`) {
		more += `,"campaign":{"id":7,"name":"Spring"}`
	}
	return w.telling(fmt.Sprintf(`{%s"type":%q,"message_id":%q%s}`, stamp, kind, id, more))
}

// doing is what user 5 did, that long ago.
func (w *world) doing(name string, ago time.Duration) telltale.UserChange {
	e := &telltale.TrackedEvent{Name: name}
	if ago != 0 {
		e.OccurredAt = w.Now().Add(-ago)
	}
	return telltale.UserChange{Kind: telltale.ChangeTrack, User: telltale.UserRef{ID: "5"}, Event: e}
}

// conversions gives the events converted that the store has, oldest first, as
// message and credit.
func (w *world) conversions() (list []string) {
	w.Helper()
	events, err := w.Events(w.ctx, w.project.ID, telltale.EventFilter{Type: telltale.Converted}, telltale.Page{Limit: telltale.MaxPage})
	w.must(err)
	for _, e := range slices.Backward(events) {
		list = append(list, fmt.Sprintf("%s %s", e.MessageID, e.Credit))
	}
	return list
}

const hour = time.Hour

var conversionTests = []test{
	{"what a user did converts the message whose goal it is, and is reported to the key", func(w *world) {
		hook := w.newWebhook(wanting(telltale.Converted))
		w.setGoal("7", "bought")
		w.accept(w.happened(telltale.Sent, "a", 2*hour, ""))
		w.Advance(time.Minute)
		changed := w.change(w.doing("Bought", 0))
		w.equal("the events that came of it", []int{changed.Results[0].Events, len(changed.Accepted.Events)}, []int{2, 2}) // user_created, too
		w.equal("the webhooks with something waiting", ids(changed.Waiting, webhookID), []telltale.WebhookID{hook.ID})
		events, err := w.Events(w.ctx, w.project.ID, telltale.EventFilter{Type: telltale.Converted}, telltale.Page{Limit: 10})
		w.must(err)
		w.equal("how many", len(events), 1)
		e := events[0]
		w.equal("the payload", string(e.Payload), `{"type":"converted","user":{"id":5,"email":"jo@example.com"},"campaign":{"id":7,"name":"Spring"},"message_id":"a"}`)
		w.equal("the rest", []any{e.Source, e.Credit, e.UserID, e.MessageID, e.CampaignID, e.OccurredAt}, []any{"track", telltale.CreditIndirect, "5", "a", "7", milli(w.Now())})
		w.equal("when the message converted", w.message("a").ConvertedAt, e.OccurredAt)
		w.equal("the delivery", w.only(hook.ID).EventID, e.ID)
	}},
	{"a message converts once, and an event converts one message", func(w *world) {
		w.setGoal("7", "bought")
		w.accept(w.happened(telltale.Sent, "a", 3*hour, ""), w.happened(telltale.Sent, "b", 2*hour, ""))
		w.change(w.doing("bought", 0))
		w.equal("after one event", w.conversions(), []string{"b indirect"})
		w.change(w.doing("bought", 0), w.doing("bought", 0), w.doing("bought", 0))
		w.equal("after four", w.conversions(), []string{"b indirect", "a indirect"})
		w.restart()
		w.change(w.doing("bought", 0))
		w.equal("after a restart", w.conversions(), []string{"b indirect", "a indirect"})
	}},
	{"what is credited follows what happened to the messages", func(w *world) {
		w.setGoal("7", "bought")
		w.setGoal("8", "called")
		w.must(w.SetConversionWindows(w.ctx, w.project.ID, 48*hour, 24*hour))
		user := 100
		for _, c := range []struct {
			name   string
			events []string // type, message, hours ago, more of the event
			does   string
			naming string
			want   string
		}{
			{"the one that the event names before any other", []string{"sent a 5", "sent b 4", "clicked b 3"}, "bought", "<a>", "a direct"},
			{"the one that was clicked before one that was opened later", []string{"sent a 5", "sent b 4", "clicked a 3", "opened b 2"}, "bought", "", "a direct"},
			{"the one that was opened before one that was received later", []string{"sent a 5", "opened a 4", "sent b 3", "delivered b 2"}, "bought", "", "a view_through"},
			{"the one that was received last", []string{"sent a 5", "sent b 4", "delivered a 3"}, "bought", "", "a indirect"},
			{"a machine's click and open do not count", []string{"sent a 5", `clicked a 4 {"machine":true}`, `opened a 4 {"machine":true}`}, "bought", "", "a indirect"},
			{"a person's before a machine's", []string{"sent a 5", `opened a 4 {"machine":false}`, "sent b 3", `opened b 2 {"machine":true}`}, "bought", "", "a view_through"},
			{"sent that comes after delivered and clicked", []string{"delivered a 4", "clicked a 3", "sent a 5"}, "bought", "", "a direct"},
			{"what is told twice counts once", []string{"sent a 5", "sent a 5", "opened a 4", "opened a 4"}, "bought", "", "a view_through"},
			{"what is older than the window does not count", []string{"sent a 49", "clicked a 1"}, "bought", "", ""},
			{"the window of views is another one", []string{"sent a 25", "opened a 1"}, "bought", "", "a indirect"},
			{"what was sent without a campaign does not", []string{`sent a 5 {"occurred_at":1}{}`}, "bought", "", ""},
			{"nor what has another goal", []string{"sent a 5", `sent b 4 {"conversion_event":"called"}`}, "called", "", "b indirect"},
			{"a goal of the message's own goes before its campaign's", []string{`sent a 5 {"conversion_event":"Signed up"}`}, "bought", "", ""},
			{"names are compared without regard to case and spaces", []string{`sent a 5 {"conversion_event":"Signed up"}`}, "signed_UP", "", "a indirect"},
			{"converted that came from outside marks its message", []string{"sent a 5", "converted a 4"}, "bought", "", ""},
			{"and it may come before sent", []string{"converted a 4", "sent a 5", "sent b 6"}, "bought", "", "b indirect"},
			{"without sent there is nothing to credit", []string{"delivered a 5", "clicked a 4"}, "bought", "", ""},
		} {
			user++
			known := len(w.conversions())
			for _, event := range c.events {
				parts := strings.SplitN(event, " ", 4)
				var hours int
				_, err := fmt.Sscan(parts[2], &hours)
				w.must(err)
				more := fmt.Sprintf(`,"user":{"id":%d}`, user)
				if len(parts) == 4 {
					more += `,"telltale":` + strings.TrimSuffix(parts[3], "{}")
				}
				if strings.HasSuffix(event, "{}") {
					more += `,"campaign":{"name":"None"}`
				}
				id := fmt.Sprintf("%d-%s", user, parts[1])
				if parts[0] == "converted" {
					more = fmt.Sprintf(`,"user":{"id":%d}`, user)
				}
				w.accept(w.happened(telltale.EventType(parts[0]), id, time.Duration(hours)*hour, more))
			}
			known += strings.Count(strings.Join(c.events, "\n"), "converted ")
			change := w.doing(c.does, 0)
			change.User = whose(fmt.Sprint(user))
			if c.naming != "" {
				change.Event.Message = fmt.Sprintf("<%d-%s>", user, strings.Trim(c.naming, "<>"))
			}
			w.change(change)
			got := strings.Join(w.conversions()[known:], ", ")
			if c.want != "" {
				c.want = fmt.Sprintf("%d-%s", user, c.want)
			}
			w.equal("what is credited: "+c.name, got, c.want)
			w.Advance(time.Second)
		}
	}},
	{"messages count as they were when it happened", func(w *world) {
		w.setGoal("7", "bought")
		w.accept(
			w.happened(telltale.Sent, "a", 10*hour, ""), w.happened(telltale.Opened, "a", 9*hour, ""), w.happened(telltale.Opened, "a", 1*hour, ""),
			w.happened(telltale.Sent, "b", 10*hour, ""), w.happened(telltale.Clicked, "b", 2*hour, ""), w.happened(telltale.Sent, "c", 3*hour, ""),
		)
		w.change(w.doing("bought", 5*hour))
		w.equal("what is credited", w.conversions(), []string{"a view_through"})
		w.equal("when", w.message("a").ConvertedAt, milli(w.Now().Add(-5*hour)))
	}},
	{"messages under a former id and under the email are the user's", func(w *world) {
		w.setGoal("7", "bought")
		w.change(w.identify(telltale.UserRef{ID: `"old"`, Email: "kim@example.com"}, `{}`))
		w.accept(w.happened(telltale.Sent, "a", 3*hour, `,"user":{"id":"old"}`), w.happened(telltale.Sent, "b", 2*hour, `,"user":{"email":"kim@example.com"}`),
			w.happened(telltale.Sent, "c", hour, `,"user":{"id":"another","email":"kim@example.com"}`))
		w.change(reidentified(whose(`"old"`), `"new"`))
		for range 3 {
			change := w.doing("bought", 0)
			change.User = whose(`"new"`)
			w.change(change)
		}
		w.equal("what is credited", w.conversions(), []string{"b indirect", "a indirect"})
		events, err := w.Events(w.ctx, w.project.ID, telltale.EventFilter{Type: telltale.Converted}, telltale.Page{Limit: 1})
		w.must(err)
		w.equal("the user is named as they are now", events[0].UserID, "new")
	}},
	{"a repetition converts nothing, nor does what is to leave messages alone", func(w *world) {
		w.setGoal("7", "bought")
		w.accept(w.happened(telltale.Sent, "a", 3*hour, ""))
		w.changeWith(telltale.UserChanges{NoConversions: true, RepeatWindow: time.Minute, Changes: []telltale.UserChange{w.doing("bought", 0)}})
		w.changeWith(telltale.UserChanges{RepeatWindow: time.Minute, Changes: []telltale.UserChange{w.doing("bought", 0)}})
		w.equal("what is credited", len(w.conversions()), 0)
		w.Advance(2 * time.Minute)
		w.changeWith(telltale.UserChanges{RepeatWindow: time.Minute, Changes: []telltale.UserChange{w.doing("bought", 0)}})
		w.equal("what is credited later", w.conversions(), []string{"a indirect"})
	}},
	{"projects do not convert each other's messages", func(w *world) {
		w.setGoal("7", "bought")
		w.accept(w.happened(telltale.Sent, "a", 3*hour, ""))
		other := w.newProject("other")
		w.must(w.SetGoal(w.ctx, other.ID, telltale.Goal{CampaignID: "7", EventName: "bought"}))
		w.changeWith(telltale.UserChanges{ProjectID: other.ID, Changes: []telltale.UserChange{w.doing("bought", 0)}})
		w.equal("what is credited", len(w.conversions()), 0)
	}},
	{"a goal that came with a message is known after a restart, and a goal of a campaign from when it is set", func(w *world) {
		w.accept(w.happened(telltale.Sent, "a", 3*hour, `,"telltale":{"conversion_event":"bought"}`), w.happened(telltale.Sent, "b", 3*hour, ""))
		w.restart()
		w.change(w.doing("bought", 0), w.doing("called", 0))
		w.equal("after the restart", w.conversions(), []string{"a indirect"})
		w.setGoal("7", "called")
		w.change(w.doing("called", 0))
		w.equal("after the goal is set", w.conversions(), []string{"a indirect", "b indirect"})
		w.setGoal("7", "")
		w.accept(w.happened(telltale.Sent, "c", hour, ""))
		w.change(w.doing("called", 0))
		w.equal("after it is removed", len(w.conversions()), 2)
	}},
	{"of many who report at once, each message converts once and each event one", func(w *world) {
		const messages, events = 10, 25
		w.setGoal("7", "bought")
		for i := range messages {
			w.accept(w.happened(telltale.Sent, fmt.Sprint("m-", i), hour, ""))
		}
		var wait sync.WaitGroup
		var mu sync.Mutex
		converted := 0
		for range events {
			wait.Go(func() {
				changed, err := w.ChangeUsers(w.ctx, telltale.UserChanges{ProjectID: w.project.ID, Source: "track", Changes: []telltale.UserChange{w.doing("bought", 0)}})
				if err != nil {
					w.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				converted += changed.Results[0].Events
				if changed.Results[0].Created {
					converted--
				}
			})
		}
		wait.Wait()
		w.equal("how many converted", converted, messages)
		list := w.conversions()
		slices.Sort(list)
		w.equal("how many messages", len(slices.Compact(list)), messages)
	}},
	{"a trial counts what a goal would have brought, and changes nothing", func(w *world) {
		w.accept(
			w.happened(telltale.Sent, "a", 9*hour, ""), w.happened(telltale.Clicked, "a", 8*hour, ""), w.happened(telltale.Sent, "b", 7*hour, ""),
			w.happened(telltale.Sent, "c", 7*hour, `,"campaign":{"id":8,"name":"Other"}`),
		)
		w.change(w.doing("called", 0), w.doing("Bought", 6*hour), w.doing("bought", 5*hour), w.doing("bought", 4*hour))
		w.Advance(time.Second)
		later := w.Now()
		w.Advance(time.Second)
		goal := telltale.Goal{CampaignID: "7", EventName: "bought"}
		try := func(g telltale.Goal, since time.Time) telltale.GoalTrial {
			w.Helper()
			trial, err := w.TryGoal(w.ctx, w.project.ID, g, since)
			w.must(err)
			return trial
		}
		want := telltale.GoalTrial{Events: 3, Credited: map[telltale.Credit]int{telltale.CreditDirect: 1, telltale.CreditIndirect: 1}}
		w.equal("the trial", try(goal, time.Time{}), want)
		w.equal("of what was tracked later", try(goal, later), telltale.GoalTrial{Credited: map[telltale.Credit]int{}})
		w.equal("of a campaign that sent nothing", try(telltale.Goal{CampaignID: "9", EventName: "bought"}, time.Time{}), telltale.GoalTrial{Events: 3, Credited: map[telltale.Credit]int{}})
		w.equal("of no event", try(telltale.Goal{CampaignID: "7"}, time.Time{}), telltale.GoalTrial{Credited: map[telltale.Credit]int{}})
		w.equal("the goals", len(w.goals().ByCampaign), 0)
		w.equal("the conversions", len(w.conversions()), 0)

		w.setGoal("7", "bought")
		w.change(w.doing("bought", 3*hour))
		w.equal("the conversions", w.conversions(), []string{"a direct"})
		want.Events++
		w.equal("the trial of the goal that it has", try(goal, time.Time{}), want)
	}},
	{"users are found many at once, as one is", func(w *world) {
		w.change(w.identify(telltale.UserRef{ID: "8", Email: "kim@example.com"}, `{}`))
		profiles, err := w.ProfilesByRef(w.ctx, w.project.ID, []telltale.UserRef{whose("9"), whose(`"8"`), byEmail("kim@example.com"), byEmail("no@example.com"), {}})
		w.must(err)
		var found []string
		for _, p := range profiles {
			if p == nil {
				found = append(found, "")
				continue
			}
			found = append(found, p.UserID)
		}
		w.equal("who is found", found, []string{"", "8", "8", "", ""})
		none, err := w.ProfilesByRef(w.ctx, telltale.NewProjectID(), []telltale.UserRef{whose("8")})
		w.must(err)
		w.equal("who is found elsewhere", none, []*telltale.Profile{nil})
	}},
}
