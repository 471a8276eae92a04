package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"telltale.example/telltale"
)

// telling makes an event of an activity in JSON, as an ingest would.
func (w *world) telling(json string, change ...func(*telltale.Event)) *telltale.Event {
	w.Helper()
	a, err := telltale.ParseActivity([]byte(json), "body")
	w.must(err)
	return w.render(a, change...)
}

func (w *world) render(a telltale.Activity, change ...func(*telltale.Event)) *telltale.Event {
	w.Helper()
	rendered, faults := a.Render(w.Now())
	if len(faults) > 0 {
		w.Fatalf("the activity has faults: %v", faults)
	}
	return w.newEvent(append([]func(*telltale.Event){func(e *telltale.Event) {
		e.Type, e.Payload, e.OccurredAt = a.Type, rendered.Payload, milli(rendered.OccurredAt)
		e.UserID, e.Email, e.MessageID, e.CampaignID = rendered.UserID, rendered.Email, rendered.MessageID, rendered.CampaignID
		e.ProviderMessageID, e.ConversionEvent, e.Machine = a.ProviderMessageID, a.ConversionEvent, a.Machine
	}}, change...)...)
}

// message is what the store knows of the id.
func (w *world) message(id string) *telltale.Message {
	w.Helper()
	messages, err := w.Messages(w.ctx, w.project.ID, []string{id})
	w.must(err)
	if len(messages) != 1 {
		w.Fatalf("one id was answered with %d messages", len(messages))
	}
	return messages[0]
}

// sentAs is an event sent of campaign 7, as JSON, with more of the top level.
func sentAs(more string) string {
	return `{"type":"sent","sent_at":1700000000,"user":{"id":5,"email":"jo@example.com"},"campaign":{"id":7,"name":"Spring","channel":"email"}` + more + `}`
}

var messageTests = []test{
	{"an id that no event bears is no message", func(w *world) {
		w.accept(w.telling(sentAs(`,"message_id":"a"`)))
		messages, err := w.Messages(w.ctx, w.project.ID, []string{"b", "a", "", "A"})
		w.must(err)
		known := make([]bool, len(messages))
		for i, m := range messages {
			known[i] = m != nil
		}
		w.equal("what is known", known, []bool{false, true, false, false})
		none, err := w.Messages(w.ctx, w.project.ID, nil)
		w.must(err)
		w.equal("the messages of no ids", len(none), 0)
	}},
	{"sent makes a message known by both of its ids, also after a restart", func(w *world) {
		event := w.telling(sentAs(`,"message_id":"<a@mail.example>","telltale":{"provider_message_id":"prov-1","conversion_event":"bought"}`))
		w.accept(event)
		for range 2 {
			for _, id := range []string{"a@mail.example", "<a@mail.example>", "prov-1"} {
				m := w.message(id)
				if m == nil {
					w.Fatalf("%s is unknown", id)
				}
				w.equal("the user", string(m.User.AppendJSON(nil)), `{"id":5,"email":"jo@example.com"}`)
				w.equal("the campaign", string(m.Campaign.AppendJSON(nil)), `{"id":7,"name":"Spring","channel":"email"}`)
				w.equal("the ids and the goal", []string{string(m.ProjectID), m.MessageID, m.ProviderMessageID, m.UserID, m.Goal},
					[]string{string(w.project.ID), "a@mail.example", "prov-1", "5", "bought"})
				w.equal("when it was sent", m.SentAt, time.Unix(1700000000, 0).UTC())
			}
			w.restart()
		}
	}},
	{"a message is the project's own", func(w *world) {
		other := w.newProject("other")
		w.accept(w.telling(sentAs(`,"message_id":"a"`)))
		for _, project := range []telltale.ProjectID{other.ID, telltale.NewProjectID(), ""} {
			messages, err := w.Messages(w.ctx, project, []string{"a"})
			w.must(err)
			w.equal("what another project knows", messages, []*telltale.Message{nil})
		}
	}},
	{"every type that happens to messages is known of, with the times that count", func(w *world) {
		at := func(n int64) time.Time { return time.Unix(1700000000+n, 0).UTC() }
		tell := func(kind string, n int64, more string) {
			key := map[string]string{"unsubscribed": `"campaign":{"message_id":"a"}`}[kind]
			if key == "" {
				key = `"message_id":"a"`
			}
			stamp := fmt.Sprintf(`"%s_at":%d,`, kind, 1700000000+n)
			if kind == "converted" || kind == "failed" {
				stamp = ""
				more += fmt.Sprintf(`,"telltale":{"occurred_at":%d}`, 1700000000+n)
			}
			w.accept(w.telling(fmt.Sprintf(`{%s"type":%q,"user":{"id":5},%s%s}`, stamp, kind, key, more)))
		}
		tell("delivered", 2, "")
		tell("delivered", 1, "")
		tell("sent", 0, "")
		tell("opened", 20, "")
		tell("opened", 10, "")
		tell("opened", 30, `,"telltale":{"machine":true}`)
		tell("clicked", 11, `,"telltale":{"machine":false}`)
		tell("clicked", 12, `,"telltale":{"machine":true}`)
		tell("bounced", 40, "")
		tell("failed", 41, "")
		tell("unsubscribed", 50, "")
		tell("complained", 61, "")
		tell("complained", 60, "")
		tell("converted", 70, "")
		m := w.message("a")
		w.equal("the times", []time.Time{m.SentAt, m.DeliveredAt, m.OpenedAt, m.ClickedAt, m.FailedAt, m.UnsubscribedAt, m.ComplainedAt, m.ConvertedAt},
			[]time.Time{at(0), at(1), at(20), at(11), at(41), at(50), at(60), at(70)})
	}},
	{"a message is known from its first event until sent comes, in whatever order", func(w *world) {
		w.accept(w.telling(`{"type":"delivered","delivered_at":1700000005,"user":{"email":"jo@example.com"},"campaign":{"id":7,"name":"Guessed"},"message_id":"a"}`))
		m := w.message("a")
		w.equal("before sent", []string{m.UserID, m.User.Text("email"), m.Campaign.Text("name")}, []string{"", "jo@example.com", "Guessed"})
		w.equal("when it was sent", m.SentAt, time.Time{})
		w.accept(w.telling(sentAs(`,"message_id":"a"`)), w.telling(`{"type":"opened","user":{"id":6,"email":"x@example.com"},"campaign":{"id":8,"group":"G"},"message_id":"a"}`))
		m = w.message("a")
		w.equal("after sent", []string{m.UserID, m.User.Text("email"), m.Campaign.Text("name"), m.Campaign.Text("id")}, []string{"5", "jo@example.com", "Spring", "7"})
	}},
	{"what sent lacks the others say", func(w *world) {
		w.accept(
			w.telling(`{"type":"sent","sent_at":1700000000,"user":{"id":5},"message_id":"a"}`),
			w.telling(`{"type":"opened","user":{"id":9,"email":"forwarded@example.com"},"message_id":"a"}`),
			w.telling(`{"type":"unsubscribed","user":{"id":5,"email":"jo@example.com"},"campaign":{"campaign_title":"Spring","channel":"email","message_id":"a"},"telltale":{"conversion_event":"bought"}}`),
		)
		m := w.message("a")
		w.equal("the user", string(m.User.AppendJSON(nil)), `{"id":5,"email":"jo@example.com"}`)
		w.equal("the campaign", string(m.Campaign.AppendJSON(nil)), `{"name":"Spring","channel":"email"}`)
		w.equal("the goal", m.Goal, "bought")
	}},
	{"events that name a message by its other id alone are its events, too", func(w *world) {
		w.accept(w.telling(`{"type":"delivered","delivered_at":1700000001,"user":{"email":"jo@example.com"},"telltale":{"provider_message_id":"prov-1"}}`))
		w.accept(w.telling(sentAs(`,"message_id":"a","telltale":{"provider_message_id":"prov-1"}`)))
		w.accept(w.telling(`{"type":"clicked","clicked_at":1700000002,"user":{"email":"jo@example.com"},"message_id":"a"}`))
		for _, id := range []string{"a", "prov-1"} {
			m := w.message(id)
			w.equal("the times by "+id, []int64{m.SentAt.Unix(), m.DeliveredAt.Unix(), m.ClickedAt.Unix()}, []int64{1700000000, 1700000001, 1700000002})
		}
	}},
	{"tests, duplicates and what was refused say nothing of a message", func(w *world) {
		hook := w.newWebhook()
		_, err := w.AcceptTest(w.ctx, *w.telling(`{"type":"opened","user":{"id":5},"message_id":"a"}`), hook.ID)
		w.must(err)
		w.equal("after a test", w.message("a"), (*telltale.Message)(nil))
		w.accept(w.telling(sentAs(`,"message_id":"a"`), called("c", "1")))
		w.accept(w.telling(`{"type":"opened","opened_at":1700000009,"user":{"id":5},"message_id":"a"}`, called("c", "1")))
		_, err = w.AcceptEvents(w.ctx, telltale.Acceptance{ProjectID: w.project.ID, Events: []*telltale.Event{
			w.telling(`{"type":"clicked","user":{"id":5},"message_id":"a"}`), w.telling(`{"type":"clicked","user":{"id":5},"message_id":"a"}`, called("c", "2")),
		}})
		w.code(telltale.Conflict, err)
		m := w.message("a")
		w.equal("opened and clicked", m.OpenedAt.IsZero() && m.ClickedAt.IsZero(), true)
	}},
	{"many ids are looked up at once", func(w *world) {
		const n = 500
		events := make([]*telltale.Event, n)
		ids := make([]string, 2*n)
		for i := range events {
			events[i] = w.telling(sentAs(fmt.Sprintf(`,"message_id":"m-%d"`, i)))
			ids[2*i], ids[2*i+1] = fmt.Sprint("m-", i), fmt.Sprint("none-", i)
		}
		w.accept(events...)
		messages, err := w.Messages(w.ctx, w.project.ID, ids)
		w.must(err)
		for i, m := range messages {
			if (m != nil) != (i%2 == 0) || m != nil && m.MessageID != ids[i] {
				w.Fatalf("%s is answered with %+v", ids[i], m)
			}
		}
	}},
	{"a message goes with its events", func(w *world) {
		const days = 24 * time.Hour // an engine may remove a day's events together
		w.accept(w.telling(sentAs(`,"message_id":"a"`)))
		w.Advance(4 * days)
		w.accept(w.telling(`{"type":"opened","opened_at":1700000009,"user":{"id":5},"message_id":"a"}`))
		w.Advance(time.Minute)
		w.purge(telltale.Retention{Events: 2 * days})
		m := w.message("a")
		w.equal("of the one that is left", []bool{m.SentAt.IsZero(), m.OpenedAt.IsZero()}, []bool{true, false})
		w.Advance(4 * days)
		w.purge(telltale.Retention{Events: 2 * days})
		w.equal("of none", w.message("a"), (*telltale.Message)(nil))
	}},
	{"an id without bounds is no name", func(w *world) {
		long := strings.Repeat("x", 2000)
		messages, err := w.Messages(w.ctx, w.project.ID, slices.Repeat([]string{long}, 3))
		w.must(err)
		w.equal("what is known", messages, []*telltale.Message{nil, nil, nil})
	}},
}
