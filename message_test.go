package telltale

import (
	"testing"
	"time"
)

// activityOf parses an activity that is valid.
func activityOf(t *testing.T, json string) Activity {
	t.Helper()
	a, err := ParseActivity([]byte(json), "body")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestWhatAnActivityLacksComesFromItsMessage(t *testing.T) {
	m := &Message{
		MessageID: "a@mail.example", UserID: "5", Goal: "bought",
		User:     object(t, `{"id":5,"email":"jo@example.com","plan":"pro"}`),
		Campaign: object(t, `{"id":7,"name":"Spring","channel":"email","subject":"Hi","variation":"B"}`),
	}
	for _, test := range []struct {
		name, activity string
		want           string // the payload
		goal           string
	}{
		{
			"all of it", `{"type":"opened","opened_at":1,"telltale":{"provider_message_id":"p"},"user":{"email":"jo@example.com"}}`,
			`{"opened_at":1,"type":"opened","user":{"id":5,"email":"jo@example.com","plan":"pro"},"campaign":{"id":7,"name":"Spring","channel":"email","subject":"Hi","variation":"B"},"message_id":"a@mail.example"}`, "bought",
		},
		{
			"what it has stays", `{"type":"opened","opened_at":1,"message_id":"mine","user":{"email":"other@example.com"},"campaign":{"id":8,"name":"Mine"},"telltale":{"conversion_event":"called"}}`,
			`{"opened_at":1,"type":"opened","user":{"id":5,"email":"other@example.com","plan":"pro"},"campaign":{"id":8,"name":"Mine","channel":"email","subject":"Hi","variation":"B"},"message_id":"mine"}`, "called",
		},
		{
			"another user is not mixed with the message's", `{"type":"clicked","clicked_at":1,"message_id":"a@mail.example","user":{"id":6}}`,
			`{"clicked_at":1,"type":"clicked","user":{"id":6},"campaign":{"id":7,"name":"Spring","channel":"email","subject":"Hi","variation":"B"},"message_id":"a@mail.example"}`, "bought",
		},
		{
			"failed has no message id", `{"type":"failed","user":{"id":"5"}}`,
			`{"type":"failed","user":{"id":"5","email":"jo@example.com","plan":"pro"},"campaign":{"id":7,"name":"Spring","channel":"email","subject":"Hi","variation":"B"}}`, "bought",
		},
		{
			"an opt-out has names of its own", `{"type":"unsubscribed","unsubscribed_at":1,"user":{"id":5},"campaign":{"email_subject":"Mine"}}`,
			`{"unsubscribed_at":1,"type":"unsubscribed","user":{"id":5,"email":"jo@example.com","plan":"pro"},"campaign":{"campaign_title":"Spring","channel":"email","message_id":"a@mail.example","email_subject":"Mine","variation_name":"B"}}`, "",
		},
	} {
		a := activityOf(t, test.activity)
		a.CompleteFrom(m)
		rendered, faults := a.Render(time.Unix(1, 0))
		if string(rendered.Payload) != test.want || len(faults) > 0 || a.ConversionEvent != test.goal {
			t.Errorf("%s: got\n%s with the goal %q, %v\nwant\n%s with %q", test.name, rendered.Payload, a.ConversionEvent, faults, test.want, test.goal)
		}
	}
}

func TestWhichActivitiesAreWhole(t *testing.T) {
	for activity, want := range map[string]bool{
		`{"type":"opened","user":{"id":1,"email":"a@b.example"},"campaign":{"id":1,"name":"A"},"message_id":"a"}`: true,
		`{"type":"opened","user":{"id":1,"email":"a@b.example"},"campaign":{"id":1},"message_id":"a"}`:            false,
		`{"type":"opened","user":{"id":1,"email":"a@b.example"},"campaign":{"name":"A"},"message_id":"a"}`:        false,
		`{"type":"opened","user":{"id":1},"campaign":{"id":1,"name":"A"},"message_id":"a"}`:                       false,
		`{"type":"opened","user":{"email":"a@b.example"},"campaign":{"id":1,"name":"A"},"message_id":"a"}`:        false,
		`{"type":"unsubscribed","user":{"id":1,"email":"a@b.example"}}`:                                           true,
		`{"type":"unsubscribed","user":{"id":1}}`:                                                                 false,
		`{"type":"resubscribed","user":{"id":1}}`:                                                                 true,
		`{"type":"user_created","user":{"id":1}}`:                                                                 true,
	} {
		a := activityOf(t, activity)
		if a.Whole() != want {
			t.Errorf("whole is %v for %s", !want, activity)
		}
	}
}

func TestAMessageIsWhatItsEventsSay(t *testing.T) {
	if MessageOf(nil) != nil {
		t.Error("of no events there is a message")
	}
	of := func(sequence int64, json string) *Event {
		a := activityOf(t, json)
		rendered, faults := a.Render(time.Unix(9, 0))
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		return &Event{
			Type: a.Type, Sequence: sequence, Payload: rendered.Payload, OccurredAt: rendered.OccurredAt,
			UserID: rendered.UserID, MessageID: rendered.MessageID, ProviderMessageID: a.ProviderMessageID, ConversionEvent: a.ConversionEvent,
		}
	}
	unread := of(1, `{"type":"delivered","user":{"id":5},"message_id":"a"}`)
	unread.Payload = []byte("{")
	m := MessageOf([]*Event{
		unread,
		of(2, `{"type":"opened","opened_at":7,"user":{"id":6,"email":"x@example.com"},"campaign":{"id":9,"locale":"en"},"message_id":"a"}`),
		of(3, `{"type":"sent","sent_at":5,"user":{"id":5},"campaign":{"id":7},"telltale":{"provider_message_id":"p"}}`),
		of(4, `{"type":"sent","sent_at":4,"user":{"id":5,"email":"jo@example.com"},"campaign":{"id":8},"message_id":"b"}`),
	})
	if m.MessageID != "a" || m.ProviderMessageID != "p" || m.UserID != "5" || m.SentAt.Unix() != 4 || m.OpenedAt.Unix() != 7 {
		t.Errorf("got %+v", m)
	}
	if got, want := string(m.User.AppendJSON(nil))+string(m.Campaign.AppendJSON(nil)), `{"id":5,"email":"jo@example.com"}{"id":7,"locale":"en"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
