package ingest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
)

func TestActivitiesAreCompleted(t *testing.T) {
	t.Parallel()
	const (
		sent     = `{"type":"sent","sent_at":1,"user":{"id":5,"email":"jo@example.com"},"campaign":{"id":7,"name":"Spring"},"message_id":"a","telltale":{"provider_message_id":"p","conversion_event":"bought"}}`
		campaign = `"campaign":{"id":7,"name":"Spring"}`
		user     = `"user":{"id":5,"email":"jo@example.com"}`
	)
	for _, test := range []struct {
		name    string
		stored  string // what came in before
		request string // events with a line each
		want    string // their payloads
		asked   []string
	}{
		{
			"what is whole costs no read", "", sent,
			`{"sent_at":1,"type":"sent",` + user + `,` + campaign + `,"message_id":"a"}`, nil,
		},
		{
			"what is about users alone costs none", "", `{"type":"resubscribed","user":{"email":"jo@example.com"}}`,
			`{"type":"resubscribed","user":{"email":"jo@example.com"}}`, nil,
		},
		{
			"what names no message and has the whole user costs none", "", `{"type":"failed",` + user + `}`,
			`{"type":"failed",` + user + `}`, nil,
		},
		{
			"by the provider's id, from the message that is stored", sent,
			`{"type":"opened","opened_at":2,"user":{"email":"jo@example.com"},"telltale":{"provider_message_id":"<p>"}}`,
			`{"opened_at":2,"type":"opened",` + user + `,` + campaign + `,"message_id":"a"}`, []string{"message p"},
		},
		{
			"from what came before it in the request, without a read", "",
			sent + "\n" + `{"type":"delivered","delivered_at":2,"user":{"id":5},"telltale":{"provider_message_id":"p"}}` + "\n" + `{"type":"opened","opened_at":3,"user":{"id":"5"},"message_id":"a"}`,
			`{"sent_at":1,"type":"sent",` + user + `,` + campaign + `,"message_id":"a"}` + "\n" +
				`{"delivered_at":2,"type":"delivered",` + user + `,` + campaign + `,"message_id":"a"}` + "\n" +
				`{"opened_at":3,"type":"opened","user":{"id":"5","email":"jo@example.com"},` + campaign + `,"message_id":"a"}`, nil,
		},
		{
			"from what came before it, completed itself", sent,
			`{"type":"delivered","delivered_at":2,"user":{"id":5},"message_id":"a","x":1}` + "\n" + `{"type":"opened","opened_at":3,"user":{"id":5},"message_id":"a"}`,
			`{"delivered_at":2,"type":"delivered",` + user + `,` + campaign + `,"message_id":"a","x":1}` + "\n" +
				`{"opened_at":3,"type":"opened",` + user + `,` + campaign + `,"message_id":"a"}`, []string{"message a"},
		},
		{
			"sent that comes later in the request says nothing of what is before it", "",
			`{"type":"opened","opened_at":3,` + user + `,"message_id":"a"}` + "\n" + sent,
			`{"opened_at":3,"type":"opened",` + user + `,"message_id":"a"}` + "\n" + `{"sent_at":1,"type":"sent",` + user + `,` + campaign + `,"message_id":"a"}`, []string{"message a"},
		},
		{
			"an opt-out has its message named in the campaign", sent,
			`{"type":"unsubscribed","unsubscribed_at":2,"user":{"id":5},"campaign":{"message_id":"a"}}`,
			`{"unsubscribed_at":2,"type":"unsubscribed",` + user + `,"campaign":{"campaign_title":"Spring","message_id":"a"}}`, []string{"message a"},
		},
		{
			"the email of a user who is known by the id", "",
			`{"type":"opened","opened_at":2,"user":{"id":"8"},` + campaign + `,"message_id":"z"}`,
			`{"opened_at":2,"type":"opened","user":{"id":"8","email":"kim@example.com"},` + campaign + `,"message_id":"z"}`, []string{"message z", "user 8"},
		},
		{
			"the id of a user who is known by the email, of the kind in which it was given", "",
			`{"type":"bounced","bounced_at":2,"user":{"email":"kim@example.com"},` + campaign + `}`,
			`{"bounced_at":2,"type":"bounced","user":{"id":8,"email":"kim@example.com"},` + campaign + `}`, []string{"user kim@example.com"},
		},
		{
			"of whom nobody knows, the email doubles as the id", "",
			`{"type":"bounced","bounced_at":2,"user":{"email":"no@example.com"},` + campaign + `}`,
			`{"bounced_at":2,"type":"bounced","user":{"id":"no@example.com","email":"no@example.com"},` + campaign + `}`, []string{"user no@example.com"},
		},
		{
			"an id of whom nobody knows stays alone", "", `{"type":"bounced","bounced_at":2,"user":{"id":9}}`,
			`{"bounced_at":2,"type":"bounced","user":{"id":9}}`, []string{"user 9"},
		},
		{
			"messages and users are asked for once each", sent,
			`{"type":"opened","opened_at":2,"user":{"id":8},"message_id":"z"}` + "\n" + `{"type":"opened","opened_at":3,"user":{"id":5},"message_id":"a"}` + "\n" + `{"type":"clicked","clicked_at":3,"user":{"id":5},"message_id":"a"}`,
			`{"opened_at":2,"type":"opened","user":{"id":8,"email":"kim@example.com"},"message_id":"z"}` + "\n" +
				`{"opened_at":3,"type":"opened",` + user + `,` + campaign + `,"message_id":"a"}` + "\n" +
				`{"clicked_at":3,"type":"clicked",` + user + `,` + campaign + `,"message_id":"a"}`, []string{"message z", "message a", "user 8"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			store := &memoryStore{profiles: []*telltale.Profile{{UserID: "8", GivenID: "8", Email: "kim@example.com"}}}
			in := New(store, &offers{}, nil)
			accept := func(lines string) {
				t.Helper()
				activities, err := Decode(asLine, []byte(lines))
				if err != nil {
					t.Fatal(err)
				}
				before := fmt.Sprint(activities)
				if _, err := in.Accept(t.Context(), telltale.Project{}, "api", activities); err != nil {
					t.Fatal(err)
				}
				if after := fmt.Sprint(activities); after != before {
					t.Errorf("what came in was changed: it was\n%s\nand is\n%s", before, after)
				}
			}
			if test.stored != "" {
				accept(test.stored)
				store.asked = nil
			}
			known := len(store.events)
			accept(test.request)
			var payloads []string
			for _, e := range store.events[known:] {
				payloads = append(payloads, string(e.Payload))
			}
			if diff := cmp.Diff(test.want, strings.Join(payloads, "\n")); diff != "" {
				t.Errorf("the payloads (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.asked, store.asked); diff != "" {
				t.Errorf("what was asked for (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsFilledInIsIndexedAndIsNoContent(t *testing.T) {
	t.Parallel()
	store := &memoryStore{}
	in := New(store, &offers{}, nil)
	const opened = `{"type":"opened","opened_at":2,"user":{"email":"jo@example.com"},"message_id":"a","telltale":{"id":"mine"}}`
	first, err := in.Accept(t.Context(), telltale.Project{}, "api", decode(t, opened))
	if err != nil {
		t.Fatal(err)
	}
	const sent = `{"type":"sent","sent_at":1,"user":{"id":5,"email":"jo@example.com"},"campaign":{"id":7,"name":"Spring"},"message_id":"a","telltale":{"conversion_event":"bought"}}`
	if _, err := in.Accept(t.Context(), telltale.Project{}, "api", decode(t, sent)); err != nil {
		t.Fatal(err)
	}
	again, err := in.Accept(t.Context(), telltale.Project{}, "api", decode(t, opened))
	if err != nil || !again.Events[0].Duplicate || again.Events[0].ID != first.Events[0].ID {
		t.Errorf("what was completed in another way the second time is no repetition: %+v, %v", again, err)
	}
	other, err := in.Accept(t.Context(), telltale.Project{}, "api", decode(t, strings.Replace(opened, "mine", "other", 1)))
	if err != nil || other.Events[0].Duplicate {
		t.Fatal(other, err)
	}
	e := store.events[len(store.events)-1]
	if e.UserID != "5" || e.CampaignID != "7" || e.ConversionEvent != "bought" {
		t.Errorf("the event is found by %+v", e)
	}
}

func TestWhatWouldBreakABoundIsNotFilledIn(t *testing.T) {
	t.Parallel()
	store := &memoryStore{}
	in := New(store, &offers{}, nil)
	extras := func(prefix string) string {
		var all strings.Builder
		for i := range telltale.MaxExtraKeys {
			fmt.Fprintf(&all, `,"%s%d":1`, prefix, i)
		}
		return all.String()
	}
	for _, line := range []string{
		`{"type":"sent","sent_at":1,"user":{"id":5,"email":"jo@example.com"},"campaign":{"id":7,"name":"Spring"` + extras("a") + `},"message_id":"a"}`,
		`{"type":"opened","opened_at":2,"user":{"id":5},"campaign":{"locale":"en"` + extras("b") + `},"message_id":"a"}`,
	} {
		if _, err := in.Accept(t.Context(), telltale.Project{}, "api", decode(t, line)); err != nil {
			t.Fatal(err)
		}
	}
	if e := store.events[1]; e.CampaignID != "" || e.Email != "" {
		t.Errorf("got %s", e.Payload)
	}
}

func TestWithoutItsReadsNothingIsAccepted(t *testing.T) {
	t.Parallel()
	store := &memoryStore{err: telltale.Errorf(telltale.Unavailable, "Busy.")}
	in := New(store, &offers{}, nil)
	for _, body := range []string{`{"type":"opened","user":{"id":5},"message_id":"a"}`, `{"type":"opened","user":{"id":5}}`} {
		if _, err := in.Accept(t.Context(), telltale.Project{}, "api", decode(t, body)); telltale.CodeOf(err) != telltale.Unavailable {
			t.Errorf("%s: got %v", body, err)
		}
	}
}
