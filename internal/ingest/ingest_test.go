package ingest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"telltale.example/telltale"
)

func decode(t testing.TB, body string) []telltale.Activity {
	t.Helper()
	activities, err := Decode(asJSON, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return activities
}

func TestAcceptMakesEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, dispatcher := &memoryStore{}, &offers{room: 1}
		in := New(store, dispatcher, nil)
		project := telltale.NewProject("shop", "Shop")
		activities := decode(t, `[
			{"type":"clicked","clicked_at":1435016238,"user":{"id":123.0,"email":"steve@getvero.com"},"campaign":{"id":987},"message_id":"<abc@x>",
			 "telltale":{"id":"mine","occurred_at":1435016230,"provider_message_id":"p1","conversion_event":"buy","url":"https://example.com/a","ip":"192.0.2.1","machine":true}},
			{"type":"resubscribed","user":{"id":"<&>"}}]`)
		accepted, err := in.Accept(t.Context(), project, "api", activities)
		if err != nil {
			t.Fatal(err)
		}

		yes := true
		now := time.Now().UTC().Truncate(time.Millisecond)
		want := []*telltale.Event{
			{
				ProjectID: project.ID, Type: telltale.Clicked, Source: "api", OccurredAt: time.Unix(1435016238, 0).UTC(), ReceivedAt: now,
				Payload: []byte(`{"clicked_at":1435016238,"type":"clicked","user":{"id":123.0,"email":"steve@getvero.com"},"campaign":{"id":987},"message_id":"<abc@x>"}`),
				UserID:  "123", Email: "steve@getvero.com", MessageID: "abc@x", CampaignID: "987",
				URL: "https://example.com/a", IP: "192.0.2.1", Machine: &yes, ProviderMessageID: "p1", ConversionEvent: "buy", CallerID: "mine",
				ContentHash: contentHash(&activities[0]),
			},
			{
				ProjectID: project.ID, Type: telltale.Resubscribed, Source: "api", OccurredAt: now, ReceivedAt: now,
				Payload: []byte(`{"type":"resubscribed","user":{"id":"<&>"}}`), UserID: "<&>",
			},
		}
		for i, e := range store.events {
			if !telltale.ValidID("evt_", string(e.ID)) || accepted.Events[i] != (telltale.AcceptedEvent{ID: e.ID}) {
				t.Errorf("event %d has the id %q, the answer is %+v", i, e.ID, accepted.Events[i])
			}
			e = new(*e)
			e.ID = ""
			if diff := cmp.Diff(want[i], e); diff != "" {
				t.Errorf("event %d, -want +got:\n%s", i, diff)
			}
		}
		if diff := cmp.Diff([]telltale.Accepted{accepted}, dispatcher.offered); diff != "" || len(accepted.Claims) != 1 {
			t.Errorf("the dispatcher was offered something else, -want +got:\n%s", diff)
		}
	})
}

func TestNothingIsOfferedThatIsNotStored(t *testing.T) {
	t.Parallel()
	full := telltale.Errorf(telltale.Unavailable, "The disk is full.")
	store, dispatcher := &memoryStore{err: full}, &offers{}
	_, err := New(store, dispatcher, nil).Accept(t.Context(), telltale.Project{ID: "prj_1"}, "api", decode(t, event))
	if !errors.Is(err, full) || !strings.Contains(err.Error(), "storing 1 events of project prj_1") {
		t.Errorf("got %v", err)
	}
	if len(dispatcher.offered) > 0 {
		t.Errorf("offered %v", dispatcher.offered)
	}
}

func TestNoActivitiesAreNoEvents(t *testing.T) {
	t.Parallel()
	store, dispatcher := &memoryStore{}, &offers{}
	accepted, err := New(store, dispatcher, nil).Accept(t.Context(), telltale.Project{IngestRate: 1}, "feed", nil)
	if err != nil || len(accepted.Events) > 0 || len(dispatcher.offered) > 0 {
		t.Errorf("got %v, %v; offered %v", accepted, err, dispatcher.offered)
	}
}

func TestActivitiesThatBreakTheContractAreNotStored(t *testing.T) {
	t.Parallel()
	store := &memoryStore{}
	activities := append(decode(t, event), telltale.Activity{Type: telltale.Sent}, telltale.Activity{Type: "snet"})
	_, err := New(store, &offers{}, nil).Accept(t.Context(), telltale.Project{}, "feed", activities)
	var e *telltale.Error
	if !errors.As(err, &e) || e.Code != telltale.Invalid || len(e.Faults) < 2 || !strings.Contains(e.Message, "2 of 3 events are wrong") {
		t.Errorf("got %v", err)
	}
	if len(store.events) > 0 {
		t.Errorf("stored %v", store.events)
	}
}

func TestTheSameEventAgain(t *testing.T) {
	t.Parallel()
	const first = `{"type":"sent","sent_at":1435016238,"user":{"id":1,"a":[1,{"b":2}]},"campaign":{"id":9},"telltale":{"id":"x","url":"https://a.example/"}}`
	tests := []struct {
		name, again string
		code        telltale.Code
	}{
		{"to the byte is a duplicate", first, ""},
		{"indented is a duplicate", "{\n  \"type\": \"sent\",\n  \"sent_at\": 1435016238,\n  \"user\": {\"id\": 1, \"a\": [ 1, { \"b\": 2 } ]},\n  \"campaign\": {\"id\": 9},\n  \"telltale\": {\"id\": \"x\", \"url\": \"https://a.example/\"}\n}", ""},
		{"with its objects in another order is a duplicate", `{"telltale":{"url":"https://a.example/","id":"x"},"campaign":{"id":9},"user":{"id":1,"a":[1,{"b":2}]},"type":"sent","sent_at":1435016238}`, ""},
		{"with an empty documented key is a duplicate", `{"type":"sent","sent_at":1435016238,"message_id":"","user":{"id":1,"a":[1,{"b":2}]},"campaign":{"id":9,"name":null},"telltale":{"id":"x","url":"https://a.example/"}}`, ""},
		{"with another value clashes", strings.Replace(first, `"id":9`, `"id":8`, 1), telltale.Conflict},
		{"with other digits of the same number clashes", strings.Replace(first, `"b":2`, `"b":2.0`, 1), telltale.Conflict},
		{"with an escape of the same character clashes", strings.Replace(first, `"a":[`, `"\u0061":[`, 1), telltale.Conflict},
		{"without its time clashes, though the time is filled in", strings.Replace(first, `"sent_at":1435016238,`, ``, 1), telltale.Conflict},
		{"as another type clashes", strings.Replace(strings.Replace(first, `"sent_at"`, `"delivered_at"`, 1), `"sent"`, `"delivered"`, 1), telltale.Conflict},
		{"with another link clashes", strings.Replace(first, `a.example`, `b.example`, 1), telltale.Conflict},
		{"with one key in another object clashes", strings.Replace(strings.Replace(first, `,"a":[1,{"b":2}]`, ``, 1), `"id":9`, `"id":9,"a":[1,{"b":2}]`, 1), telltale.Conflict},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			store := &memoryStore{}
			in := New(store, &offers{}, nil)
			before, err := in.Accept(t.Context(), telltale.Project{}, "api", decode(t, first))
			if err != nil {
				t.Fatal(err)
			}
			after, err := in.Accept(t.Context(), telltale.Project{}, "api", decode(t, test.again))
			if telltale.CodeOf(err) != test.code {
				t.Fatalf("got %v", err)
			}
			if clash, ok := errors.AsType[*telltale.Error](err); ok && clash.Faults[0].Location != "body.telltale.id" {
				t.Errorf("the clash is said to be at %s", clash.Faults[0].Location)
			}
			if want := []telltale.AcceptedEvent{{ID: before.Events[0].ID, Duplicate: true}}; err == nil && !cmp.Equal(after.Events, want) {
				t.Errorf("got %+v, want %+v", after.Events, want)
			}
			if len(store.events) != 1 {
				t.Errorf("%d events are stored", len(store.events))
			}
		})
	}
}

// Hashes are kept for 30 days and compared across versions.
func TestContentHashStaysTheSame(t *testing.T) {
	t.Parallel()
	const all = `{"type":"complained","complained_at":1435016238,"user":{"id":1},"campaign":{"id":9},"event":{"data":{"a":1},"name":"n","triggered_at":1},"x":[1.0],
		"telltale":{"id":"x","occurred_at":1435016230,"provider_message_id":"p","conversion_event":"c","url":"https://a.example/","ip":"2001:db8::1","machine":false}}`
	sum := contentHash(&decode(t, all)[0])
	if got := hex.EncodeToString(sum[:]); got != "16a94d32f0cb75c6e316b4212988e2bea3a035e7c06fc47ea8a6e884e061bb6c" {
		t.Errorf("the hash is now %s", got)
	}
}

func TestEachPartOfAnActivityCountsInItsHash(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	object := func(name string) (o telltale.Object) { o.SetInt(name, 1); return o }
	seen := map[[32]byte]string{}
	for name, a := range map[string]telltale.Activity{
		"nothing":                     {},
		"the type":                    {Type: telltale.Sent},
		"the top level":               {Top: object("a")},
		"the user":                    {User: object("a")},
		"the campaign":                {Campaign: object("a")},
		"the trigger":                 {Trigger: object("a")},
		"the changes":                 {Changes: object("a")},
		"the time":                    {OccurredAt: time.Unix(1, 0)},
		"the time to the millisecond": {OccurredAt: time.Unix(1, 1_000_000)},
		"the provider's id":           {ProviderMessageID: "a"},
		"the conversion":              {ConversionEvent: "a"},
		"the link":                    {URL: "a"},
		"the address":                 {IP: "a"},
		"a machine":                   {Machine: &yes},
		"a person":                    {Machine: &no},
	} {
		sum := contentHash(&a)
		if other, ok := seen[sum]; ok {
			t.Errorf("%s and %s have the same hash", name, other)
		}
		seen[sum] = name
		a.CallerID = "x"
		if contentHash(&a) != sum {
			t.Errorf("%s: the caller's id is no content", name)
		}
	}
}

func TestIngestRate(t *testing.T) {
	t.Parallel()
	type post struct {
		after  time.Duration // since the one before
		events int
		wait   time.Duration // Retry-After; 0 is accepted
	}
	tests := []struct {
		name  string
		rate  float64
		posts []post
	}{
		{"no rate is no limit", 0, []post{{0, 1000, 0}, {0, 1000, 0}, {0, 1000, 0}}},
		{"a burst of a second goes through, and then one at a time", 10, []post{
			{0, 10, 0}, {0, 1, 100 * time.Millisecond}, {100 * time.Millisecond, 1, 0}, {0, 1, 100 * time.Millisecond},
		}},
		{"a batch counts its events", 10, []post{{0, 7, 0}, {0, 4, 100 * time.Millisecond}, {0, 3, 0}, {0, 5, 500 * time.Millisecond}}},
		{"what was refused is not paid for", 10, []post{{0, 10, 0}, {0, 5, 500 * time.Millisecond}, {0, 5, 500 * time.Millisecond}, {500 * time.Millisecond, 5, 0}}},
		{"a batch larger than the burst goes through, and is paid for after", 10, []post{
			{0, 100, 0}, {0, 1, 9100 * time.Millisecond}, {9 * time.Second, 1, 100 * time.Millisecond}, {100 * time.Millisecond, 1, 0},
		}},
		{"a batch larger than the burst waits until nothing of the burst is used", 10, []post{
			{0, 1, 0}, {0, 1000, 100 * time.Millisecond}, {100 * time.Millisecond, 1000, 0}, {99 * time.Second, 10, time.Second}, {time.Second, 10, 0},
		}},
		{"less than one a second is possible", 0.1, []post{{0, 1, 0}, {0, 1, 10 * time.Second}, {10 * time.Second, 1, 0}, {0, 3, 10 * time.Second}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				in := New(&memoryStore{}, &offers{}, nil)
				project := telltale.Project{ID: "prj_1", IngestRate: test.rate}
				for i, p := range test.posts {
					<-time.After(p.after)
					activities := make([]telltale.Activity, p.events)
					for j := range activities {
						activities[j] = decode(t, event)[0]
					}
					_, err := in.Accept(t.Context(), project, "api", activities)
					var e *telltale.Error
					switch {
					case p.wait == 0 && err != nil:
						t.Fatalf("post %d: %v", i, err)
					case p.wait > 0 && (!errors.As(err, &e) || e.Code != telltale.RateLimited || e.RetryAfter.Round(time.Millisecond) != p.wait):
						t.Fatalf("post %d: %v, want to wait %v", i, err, p.wait)
					}
				}
			})
		})
	}
}

func TestRatesAreTheProjectsOwnAndFollowIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := New(&memoryStore{}, &offers{}, nil)
		a, b := telltale.Project{ID: "prj_a", IngestRate: 1}, telltale.Project{ID: "prj_b", IngestRate: 1}
		accept := func(p telltale.Project) error {
			_, err := in.Accept(t.Context(), p, "api", decode(t, event))
			return err
		}
		if err := errors.Join(accept(a), accept(b)); err != nil {
			t.Errorf("one project used up the other's: %v", err)
		}
		if err := accept(a); telltale.CodeOf(err) != telltale.RateLimited {
			t.Errorf("got %v", err)
		}
		a.IngestRate = 100
		var e *telltale.Error
		if err := accept(a); !errors.As(err, &e) || e.RetryAfter > 10*time.Millisecond {
			t.Errorf("with a higher rate: %v", err)
		}
		<-time.After(10 * time.Millisecond)
		if err := accept(a); err != nil {
			t.Errorf("with a higher rate, a hundredth of a second later: %v", err)
		}
		a.IngestRate = 0
		if err := accept(a); err != nil {
			t.Errorf("without a rate: %v", err)
		}
	})
}

func TestAcceptIsCounted(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	store := &memoryStore{}
	in := New(store, &offers{}, reg)
	mine := `{"type":"resubscribed","user":{"id":%d},"telltale":{"id":"mine"}}`
	for _, body := range []string{fmt.Sprintf(mine, 1), "[" + fmt.Sprintf(mine, 1) + "," + event + "]", fmt.Sprintf(mine, 2)} {
		in.Accept(t.Context(), telltale.Project{}, "api", decode(t, body))
	}
	store.err = telltale.Errorf(telltale.Unavailable, "Busy.")
	in.Accept(t.Context(), telltale.Project{}, "api", decode(t, event))
	store.err = context.Canceled
	in.Accept(t.Context(), telltale.Project{}, "api", decode(t, event))
	store.err = errors.New("a bug")
	in.Accept(t.Context(), telltale.Project{}, "api", decode(t, event))

	want := map[string]float64{
		"telltale_ingest_events_total": 2, "telltale_ingest_duplicates_total": 1,
		"telltale_ingest_refused_total conflict": 1, "telltale_ingest_refused_total unavailable": 1,
		"telltale_ingest_refused_total cancelled": 1, "telltale_ingest_refused_total internal": 1,
		"telltale_ingest_accept_duration_seconds": 2,
	}
	got := map[string]float64{}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
