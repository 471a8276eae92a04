package api

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/wire"
)

func (w *world) ids(token, path string) string {
	w.t.Helper()
	page := read[struct {
		Data []struct{ ID string }
	}](w.do(token, "GET", path, "").want(200))
	var ids []string
	for _, row := range page.Data {
		ids = append(ids, row.ID)
	}
	return strings.Join(ids, " ")
}

func TestEventsComeInAndAreFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := w.do("acme ingest", "POST", "/v1/events", `{"type":"bounced","user":{"id":123,"email":"steve@example.com"},"bounce_code":550,"message_id":"<m1@example.com>","telltale":{"id":"c-1","ip":"192.0.2.7","machine":true,"url":"https://example.com/","provider_message_id":"p-1"}}`).
		want(202).golden("events-accepted")
	bounced := read[wire.EventsAccepted](one).Events[0].ID
	again := w.do("acme ingest", "POST", "/v1/events", `[{"type":"bounced","user":{"id":123,"email":"steve@example.com"},"bounce_code":550,"message_id":"<m1@example.com>","telltale":{"id":"c-1","ip":"192.0.2.7","machine":true,"url":"https://example.com/","provider_message_id":"p-1"}},{"type":"resubscribed","user":{"id":"m1@example.com"}}]`).
		want(202).golden("events-accepted-again")
	accepted := read[wire.EventsAccepted](again)
	if accepted.Events[0].ID != bounced {
		t.Errorf("the duplicate's id is %s, not %s", accepted.Events[0].ID, bounced)
	}
	resubscribed := accepted.Events[1].ID
	w.do("acme ingest", "POST", "/v1/events", `{"type":"opened","user":{"id":123},"telltale":{"id":"c-1"}}`).want(409).golden("events-conflict")
	w.do("acme ingest", "POST", "/v1/events", `[{"type":"opened"},{"type":"lost","user":{"id":1}}]`).want(422).golden("events-wrong")
	w.do("acme ingest", "POST", "/v1/events?projct=acme", `{"type":"opened","user":{"id":1}}`).want(422)

	w.do("acme read", "GET", "/v1/events/"+bounced, "").want(200).golden("event")
	w.do("acme read", "GET", "/v1/events", "").want(200).golden("events")
	both := resubscribed + " " + bounced
	minute := time.Now().Add(time.Minute).UTC().Format(time.RFC3339)
	for query, want := range map[string]string{
		"":                                   both,
		"type=bounced":                       bounced,
		"type=clicked":                       "",
		"q=steve@example.com":                bounced,
		"q=123":                              bounced,
		"q=" + bounced:                       bounced,
		"q=" + string(telltale.NewEventID()): "",
		"q=" + bounced + "&type=opened":      "",
		"q=m1@example.com":                   both, // one is about the message, the other about a user of that name
		"message_id=m1@example.com":          bounced,
		"message_id=%3Cm1@example.com%3E":    bounced,
		"since=" + minute:                    "",
		"until=" + minute:                    both,
		"q=" + bounced + "&since=" + minute:  "",
		"q=steve@example.com&type=bounced&until=" + minute: bounced,
	} {
		if got := w.ids("acme read", "/v1/events?"+query); got != want {
			t.Errorf("?%s finds %q, want %q", query, got, want)
		}
	}
	w.do("acme read", "GET", "/v1/events?q=a&message_id=b", "").want(422)
	for _, message := range []string{"m1@example.com", "<m1@example.com>"} {
		if got := w.ids("acme read", "/v1/messages/"+url.PathEscape(message)+"/events"); got != bounced {
			t.Errorf("the message %s has %q", message, got)
		}
	}
	if got := w.ids("other read", "/v1/events?q="+bounced); got != "" {
		t.Errorf("another project finds %s", got)
	}
}

func TestDeliveriesAreFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.webhook("acme manage", `{"url":"https://a.example.com/","events":["*"]}`)
	second := w.webhook("acme manage", `{"url":"https://b.example.com/","events":["sent"]}`)
	sent := w.post("acme ingest", `{"type":"sent","user":{"id":1,"email":"a@example.com"},"message_id":"m1"}`)[0]
	opened := w.post("acme ingest", `{"type":"opened","user":{"id":2},"message_id":"m1"}`)[0]
	all, err := w.store.Deliveries(t.Context(), w.acme.ID, telltale.DeliveryFilter{}, telltale.Page{Limit: 10})
	if err != nil || len(all) != 3 {
		t.Fatalf("%d deliveries, %v", len(all), err)
	}
	// named finds the deliveries that fit, newest first.
	named := func(fits func(telltale.Delivery) bool) string {
		var ids []string
		for _, d := range all {
			if fits(d) {
				ids = append(ids, string(d.ID))
			}
		}
		return strings.Join(ids, " ")
	}
	everything := named(func(telltale.Delivery) bool { return true })
	ofSent := named(func(d telltale.Delivery) bool { return string(d.EventID) == sent })
	ofOpened := named(func(d telltale.Delivery) bool { return string(d.EventID) == opened })
	minute := time.Now().Add(time.Minute).UTC().Format(time.RFC3339)
	for query, want := range map[string]string{
		"":                                     everything,
		"webhook=" + second:                    named(func(d telltale.Delivery) bool { return string(d.WebhookID) == second }),
		"webhook=" + first:                     named(func(d telltale.Delivery) bool { return string(d.WebhookID) == first }),
		"state=waiting":                        everything,
		"state=failed":                         "",
		"event=opened":                         ofOpened,
		"event_id=" + sent:                     ofSent,
		"q=" + sent:                            ofSent,
		"q=a@example.com":                      ofSent,
		"q=2":                                  ofOpened,
		"q=m1":                                 everything,
		"q=" + ofOpened:                        ofOpened,
		"since=" + minute:                      "",
		"until=" + minute:                      everything,
		"q=" + ofOpened + "&state=failed":      "",
		"q=" + ofOpened + "&event=sent":        "",
		"q=" + ofOpened + "&webhook=" + second: "",
		"q=" + ofOpened + "&event_id=" + sent:  "",
		"q=" + ofOpened + "&since=" + minute:   "",
		"q=" + ofOpened + "&webhook=" + first + "&event=opened&state=waiting&event_id=" + opened: ofOpened,
		"q=" + sent + "&event_id=" + opened:          "",
		"q=" + string(telltale.NewDeliveryID()):      "",
		"webhook=" + string(telltale.NewWebhookID()): "",
	} {
		if got := w.ids("acme read", "/v1/deliveries?"+query); got != want {
			t.Errorf("?%s finds %q, want %q", query, got, want)
		}
	}
	if got := w.ids("acme read", "/v1/events/"+sent+"/deliveries"); got != ofSent {
		t.Errorf("the event has %q, want %q", got, ofSent)
	}
	w.do("acme read", "GET", "/v1/deliveries?webhook=x&event_id=y", "").want(422).golden("deliveries-wrong")
	w.do("acme read", "GET", "/v1/deliveries?limit=1", "").want(200).golden("deliveries")
	for query := range map[string]bool{"": true, "webhook=" + first: true, "q=" + sent: true, "q=" + ofOpened: true, "event_id=" + sent: true} {
		if got := w.ids("other read", "/v1/deliveries?"+query); got != "" {
			t.Errorf("another project finds %s by %s", got, query)
		}
	}
}

func TestADeliveryShowsWhatWasSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, extensions := range []bool{false, true} {
		hook := w.webhook("acme manage", fmt.Sprintf(`{"url":%q,"events":["clicked"],"extensions":%v,"headers":{"X-Key":{"value":"s3cr3t","secret":true}}}`, w.receiver.URL, extensions))
		event := w.post("acme ingest", `{"type":"clicked","user":{"id":1.50},"x":"<é>","telltale":{"url":"https://example.com/"}}`)[0]
		w.attemptAll(t.Context())
		id := w.ids("acme read", "/v1/deliveries?event_id="+event)
		got := w.do("acme read", "GET", "/v1/deliveries/"+id, "").want(200)
		one := read[wire.Delivery](got)
		if len(one.Attempts) != 1 || one.Attempts[0].Request.Body != w.receiver.lastBody() {
			t.Errorf("extensions %v: the log shows %s; the receiver got %s", extensions, got.Body, w.receiver.lastBody())
		}
		if strings.Contains(w.receiver.lastBody(), `"telltale":{`) != extensions {
			t.Errorf("extensions %v: the receiver got %s", extensions, w.receiver.lastBody())
		}
		if extensions {
			got.golden("delivery")
		}
		w.do("acme manage", "DELETE", "/v1/webhooks/"+hook, "").want(204)
		if after := w.do("acme read", "GET", "/v1/deliveries/"+id, "").want(200); after.Code != 200 {
			t.Errorf("the log is gone with the webhook")
		}
	}
}

// attemptAll makes one attempt of everything that is due.
func (w *world) attemptAll(ctx context.Context) {
	w.t.Helper()
	due, err := w.store.DueWebhooks(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	var lanes []telltale.LaneRoom
	for _, d := range due {
		lanes = append(lanes, telltale.LaneRoom{WebhookID: d.Webhook.ID, Slots: 10, Held: 10})
	}
	claims, err := w.store.ClaimDue(ctx, lanes)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, lane := range claims {
		for _, claim := range lane.Claims {
			if _, err := w.dispatcher.attempt(ctx, claim); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

func TestARetryIsDueNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hook := w.webhook("acme manage", fmt.Sprintf(`{"url":%q,"events":["sent"],"retry_schedule":[]}`, w.receiver.URL))
	event := w.post("acme ingest", `{"type":"sent","user":{"id":1}}`)[0]
	w.receiver.answers(answerStatus(500))
	w.attemptAll(t.Context())
	id := w.ids("acme read", "/v1/deliveries?event_id="+event)
	path := "/v1/deliveries/" + id
	if one := read[wire.Delivery](w.do("acme read", "GET", path, "").want(200).golden("delivery-failed")); one.State != "failed" {
		t.Fatalf("it is %s", one.State)
	}
	retried := read[wire.Delivery](w.do("acme manage", "POST", path+"/retry", "").want(202).golden("delivery-retried"))
	if retried.State != "waiting" || len(w.dispatcher.due) != 1 || string(w.dispatcher.due[0]) != hook {
		t.Errorf("it is %s, and the dispatcher was told of %v", retried.State, w.dispatcher.due)
	}
	w.receiver.answers(answerStatus(204))
	w.attemptAll(t.Context())
	w.do("acme manage", "POST", path+"/retry", "").want(409).golden("delivery-not-retried")
	w.do("acme manage", "POST", "/v1/webhooks/"+hook+"/disable", "").want(200)
	if len(w.dispatcher.due) != 1 {
		t.Errorf("the dispatcher was told of %v", w.dispatcher.due)
	}
}

func TestPagesOverHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var want []string
	for i := range 7 {
		want = append([]string{w.post("acme ingest", fmt.Sprintf(`{"type":"sent","user":{"id":%d,"email":"a@example.com"}}`, i))[0]}, want...)
	}
	path := "/v1/events?limit=3&q=a@example.com"
	var seen []string
	links := 0
	for path != "" {
		got := w.do("acme read", "GET", path, "").want(200)
		page := read[wire.Page[wire.Event]](got)
		for _, e := range page.Data {
			seen = append(seen, e.ID)
		}
		path = ""
		for _, link := range got.Header().Values("Link") {
			address, ok := strings.CutSuffix(link, `>; rel="next"`)
			if ok {
				path = strings.TrimPrefix(address, "<")
				links++
				if !strings.HasPrefix(path, "/v1/events?") || !strings.Contains(path, "limit=3") || !strings.Contains(path, "after="+*page.Next) {
					t.Errorf("the next page is at %s", path)
				}
			}
		}
	}
	if strings.Join(seen, " ") != strings.Join(want, " ") || links != 2 {
		t.Errorf("seen %v over %d links, want %v", seen, links, want)
	}

	page := read[wire.Page[wire.Event]](w.do("acme read", "GET", "/v1/events?limit=2", "").want(200))
	page = read[wire.Page[wire.Event]](w.do("acme read", "GET", "/v1/events?limit=2&after="+*page.Next, "").want(200))
	page = read[wire.Page[wire.Event]](w.do("acme read", "GET", "/v1/events?limit=2&after="+*page.Next, "").want(200))
	back := w.do("acme read", "GET", "/v1/events?limit=2&before="+*page.Prev, "").want(200)
	page = read[wire.Page[wire.Event]](back)
	if len(page.Data) != 2 || page.Data[0].ID != want[2] || page.Data[1].ID != want[3] || page.Prev == nil || page.Next == nil || len(back.Header().Values("Link")) != 2 {
		t.Errorf("one page back is %s", back.Body)
	}

	next := *read[wire.Page[wire.Event]](w.do("acme read", "GET", "/v1/events?limit=1", "").want(200)).Next
	w.do("acme read", "GET", "/v1/events?after="+next, "").want(200)
	w.do("acme read", "GET", "/v1/deliveries?after="+next, "").want(422).golden("cursor-of-another-list")
	w.do("other read", "GET", "/v1/events?after="+next, "").want(422)
	w.do("acme read", "GET", "/v1/events?after="+next[:len(next)-1], "").want(422)
	w.do("acme read", "GET", "/v1/events?after="+next+"&before="+next, "").want(422)
	w.do("owner", "GET", "/v1/events?project=other&after="+next, "").want(422)
	w.do("owner", "GET", "/v1/events?project=acme&after="+next, "").want(200)
}
