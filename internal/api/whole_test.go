package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/dispatch"
	"telltale.example/telltale/internal/ingest"
	"telltale.example/telltale/internal/inspect"
	"telltale.example/telltale/internal/wire"
	"telltale.example/telltale/schema"
)

// The twelve samples, from a request to the inspector, over every room: accepted,
// sent, recorded, caught and found valid.
func TestTheTwelveSamplesReachTheInspector(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dispatcher := dispatch.New(dispatch.Config{Store: w.store, Sender: w.dispatcher.sender, Node: w.node})
	ran := make(chan error, 1)
	go func() { ran <- dispatcher.Run(context.WithoutCancel(t.Context())) }()
	stop := func() {
		if err := dispatcher.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		if err := <-ran; err != nil {
			t.Error(err)
		}
	}

	caught := make(chan struct{}, 100)
	inspector := inspect.New(w.store)
	mux := http.NewServeMux()
	mux.HandleFunc("/in/", func(w http.ResponseWriter, r *http.Request) {
		inspector.ServeHTTP(w, r)
		caught <- struct{}{}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	w.serve(New(Config{
		Store: w.store, Keys: w.keys, Ingest: ingest.New(w.store, dispatcher, nil), Dispatcher: dispatcher, Guard: w.guard,
		Version: "1.2.3", PublicURL: server.URL, CursorKey: []byte("key"), Log: slog.New(slog.DiscardHandler),
	}))

	bin := read[wire.Bin](w.do("acme manage", "POST", "/v1/inspect", "").want(201))
	hook := w.webhook("acme manage", fmt.Sprintf(`{"url":%q,"events":["*"],"headers":{"X-Api-Key":{"value":"s3cr3t","secret":true}}}`, bin.URL))
	body := ""
	for _, eventType := range telltale.EventTypes() {
		body += "," + string(schema.Sample(string(eventType)))
	}
	w.post("acme ingest", "["+body[1:]+"]")
	for range telltale.EventTypes() {
		<-caught
	}
	tested := read[wire.WebhookTested](w.do("acme manage", "POST", "/v1/webhooks/"+hook+"/test", `{"event":"clicked"}`).want(200))
	if !tested.Success {
		t.Errorf("the test: %s", tested.Message)
	}
	stop()

	requests := read[wire.Page[wire.CaughtRequest]](w.do("acme read", "GET", "/v1/inspect/"+bin.ID+"/requests", "").want(200))
	bodies := map[string]int{}
	for _, r := range requests.Data {
		bodies[r.Body]++
		if r.Verdict != telltale.VerdictValid || r.Headers.Get("X-Api-Key") != telltale.Redacted {
			t.Errorf("%s: the verdict is %q, the key %q", r.Headers.Get("Telltale-Event"), r.Verdict, r.Headers.Get("X-Api-Key"))
		}
	}
	for _, eventType := range telltale.EventTypes() {
		want := 1
		if eventType == telltale.Clicked {
			want = 2 // and once for the test
		}
		if got := bodies[string(schema.Sample(string(eventType)))]; got != want {
			t.Errorf("the sample of %s came %d times", eventType, got)
		}
	}
	deliveries := read[wire.Page[wire.Delivery]](w.do("acme read", "GET", "/v1/deliveries?state=succeeded", "").want(200))
	if len(deliveries.Data) != 13 {
		t.Errorf("%d deliveries succeeded", len(deliveries.Data))
	}
	if got := read[wire.Webhook](w.do("acme read", "GET", "/v1/webhooks/"+hook, "").want(200)); got.Health != "healthy" {
		t.Errorf("the webhook is %s", got.Health)
	}
}
