package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale/internal/wire"
	"telltale.example/telltale/signature"
)

// messages reads a stream that has ended.
func messages(t *testing.T, stream string) (ready wire.LiveReady, events []wire.LiveEvent) {
	t.Helper()
	for message := range strings.SplitSeq(stream, "\n\n") {
		name, data := "", ""
		for line := range strings.SplitSeq(message, "\n") {
			switch field, value, _ := strings.Cut(line, ": "); field {
			case "event":
				name = value
			case "data":
				data = value
			}
		}
		var err error
		switch name {
		case "ready":
			err = json.Unmarshal([]byte(data), &ready)
		case "event":
			var e wire.LiveEvent
			err = json.Unmarshal([]byte(data), &e)
			events = append(events, e)
		}
		if err != nil {
			t.Fatalf("%v in %s", err, message)
		}
	}
	return ready, events
}

func TestAStreamCarriesWhatAWebhookWouldGet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const sent = `{"type":"bounced","user":{"id":12345678901234567890,"email":"a@example.com"},"more":"<&>"}`
	w.do("acme manage", http.MethodPost, "/v1/events", sent).want(http.StatusAccepted)
	w.do("acme manage", http.MethodPost, "/v1/events", `{"type":"resubscribed","user":{"id":1}}`).want(http.StatusAccepted)
	w.do("other manage", http.MethodPost, "/v1/events", `{"type":"bounced","user":{"id":2}}`).want(http.StatusAccepted)

	since := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	answer := w.do("acme read", http.MethodGet, "/v1/live?events=bounced&since="+since, "")
	answer.want(http.StatusOK)
	ready, events := messages(t, answer.Body.String())
	if len(events) != 1 || events[0].Type != "bounced" {
		t.Fatalf("the stream has %+v", events)
	}
	secret, err := signature.ParseSecret(ready.Secret)
	if err != nil {
		t.Fatal(err)
	}
	head := http.Header{}
	for _, h := range events[0].Headers {
		head.Add(h.Name, h.Value)
	}
	if err := signature.NewVerifier(secret).Verify(head, []byte(events[0].Body), time.Now()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(events[0].Body, `"id":12345678901234567890`) || !strings.Contains(events[0].Body, `"more":"<&>"`) {
		t.Errorf("the body is %s", events[0].Body)
	}
	if head.Get("telltale-event") != "bounced" || head.Get("telltale-delivery") != "" {
		t.Errorf("the headers are %v", head)
	}
}

func TestAStreamRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, test := range []struct {
		name, query string
		status      int
	}{
		{"a type", "events=snet", http.StatusUnprocessableEntity},
		{"a time", "since=yesterday", http.StatusUnprocessableEntity},
		{"a webhook", "webhook=whk_01JD0000000000000000000000", http.StatusNotFound},
		{"a parameter", "event=sent", http.StatusUnprocessableEntity},
	} {
		if got := w.do("acme read", http.MethodGet, "/v1/live?"+test.query, ""); got.Code != test.status {
			t.Errorf("%s: %d %s", test.name, got.Code, got.Body)
		}
	}
}
