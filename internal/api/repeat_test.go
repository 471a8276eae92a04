package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/wire"
)

func TestARepeatedRequestDoesNothingTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const key = "Idempotency-Key: 8e03978e"
	hook := `{"url":"` + w.receiver.URL + `","events":["sent"]}`
	first := w.ask("acme manage", "POST", "/v1/webhooks", hook, key).want(201)
	if first.Header().Get("Idempotency-Replayed") != "" || !strings.Contains(first.Body.String(), "whsec_") {
		t.Errorf("the first answer is %v %s", first.Header(), first.Body)
	}
	id := read[wire.Webhook](first).ID
	second := w.ask("acme manage", "POST", "/v1/webhooks", hook, key).want(201).golden("webhook-created-again")
	if h := second.Header(); h.Get("Idempotency-Replayed") != "true" || h.Get("Location") != "/v1/webhooks/"+id || h.Get("ETag") != `"1"` || read[wire.Webhook](second).ID != id {
		t.Errorf("the second answer is %v %s", h, second.Body)
	}
	w.ask("acme manage", "POST", "/v1/webhooks", hook, `Idempotency-Key: "8e03978e"`).want(201) // as the draft writes it
	if got := w.ids("acme read", "/v1/webhooks"); got != id {
		t.Errorf("there are %s", got)
	}

	rotate := "/v1/webhooks/" + id + "/secret/rotate"
	w.ask("acme manage", "POST", rotate, "", "Idempotency-Key: r1").want(200)
	if got := w.ask("acme manage", "POST", rotate, "", "Idempotency-Key: r1").want(200); strings.Contains(got.Body.String(), "whsec_") || got.Header().Get("ETag") != `"2"` {
		t.Errorf("a repeated rotation is answered %s with the ETag %s", got.Body, got.Header().Get("ETag"))
	}
	made := read[wire.Key](w.ask("acme manage", "POST", "/v1/keys", `{"name":"CI","scope":"read"}`, "Idempotency-Key: k1").want(201))
	again := w.ask("acme manage", "POST", "/v1/keys", `{"name":"CI","scope":"read"}`, "Idempotency-Key: k1").want(201).golden("key-created-again")
	if read[wire.Key](again).ID != made.ID || strings.Contains(again.Body.String(), made.Key) {
		t.Errorf("the key %s is made again as %s", made.ID, again.Body)
	}
}

func TestANameIsForOneRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ask("acme manage", "POST", "/v1/keys", `{"name":"a","scope":"read"}`, "Idempotency-Key: n").want(201)
	w.ask("acme manage", "POST", "/v1/keys", `{"name":"b","scope":"read"}`, "Idempotency-Key: n").want(422).golden("repeated-with-other-content")
	w.ask("acme manage", "POST", "/v1/keys?project=acme", `{"name":"a","scope":"read"}`, "Idempotency-Key: n").want(422)
	w.ask("acme manage", "POST", "/v1/inspect", "", "Idempotency-Key: n").want(422)
	w.ask("other manage", "POST", "/v1/keys", `{"name":"b","scope":"read"}`, "Idempotency-Key: n").want(201) // theirs is another
	w.ask("acme read", "GET", "/v1/webhooks", "", "Idempotency-Key: n").want(200)                            // a GET needs no name
	for _, name := range []string{"", `""`, "a\tb", "ü", strings.Repeat("x", 256)} {
		w.ask("acme manage", "POST", "/v1/inspect", "", "Idempotency-Key: "+name).want(422)
	}
	w.ask("acme manage", "POST", "/v1/inspect", "", "Idempotency-Key: a", "Idempotency-Key: b").want(422)
}

func TestARequestIsUnderWayOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	w.receiver.answers(func(http.ResponseWriter, *http.Request) { close(entered); <-leave })
	path := "/v1/webhooks/" + w.webhook("acme manage", `{"url":"`+w.receiver.URL+`","events":["sent"]}`) + "/test"
	done := make(chan answer)
	go func() { done <- w.ask("acme manage", "POST", path, "", "Idempotency-Key: t") }()
	<-entered
	w.ask("acme manage", "POST", path, "", "Idempotency-Key: t").want(409).golden("repeated-too-soon")
	close(leave)
	(<-done).want(200)
	if got := w.ask("acme manage", "POST", path, "", "Idempotency-Key: t").want(200); got.Header().Get("Idempotency-Replayed") != "true" {
		t.Error("the test was made again")
	}
}

// A name is not given free while its request is under way.
func TestARequestWithANameEndsBeforeItsNameIsFree(t *testing.T) {
	t.Parallel()
	a := &api{config: Config{Store: &memory{}}}
	r := httptest.NewRequest("POST", "/v1/inspect", nil)
	r.Header.Set("Idempotency-Key", "n")
	c := &call{request: r}
	began := time.Now()
	var end time.Time
	func() {
		defer func() { _ = recover() }()
		_ = a.once(c, httptest.NewRecorder(), func(ctx huma.Context) {
			end, _ = ctx.Context().Deadline()
			panic("that is all")
		})
	}()
	if free := began.Add(telltale.IdempotencyInFlight); end.IsZero() || !end.Before(free) {
		t.Errorf("the request may go on until %s; its name is free at %s", end, free)
	}
}

// memory takes every name.
type memory struct{ telltale.Store }

func (*memory) BeginIdempotent(context.Context, telltale.IdempotentRequest) (*telltale.IdempotentAnswer, error) {
	return nil, nil //nolint:nilnil // none before
}

func (*memory) EndIdempotent(context.Context, telltale.IdempotentRequest, *telltale.IdempotentAnswer) error {
	return nil
}

// What failed did nothing, so it is tried again under its name.
func TestAFailureIsNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := "/v1/webhooks/" + w.webhook("acme manage", `{"url":"`+w.receiver.URL+`","events":["sent"]}`) + "/test"
	w.dispatcher.err = telltale.Errorf(telltale.Unavailable, "The node is stopping.")
	w.ask("acme manage", "POST", path, "", "Idempotency-Key: t").want(503)
	w.dispatcher.err = nil
	if got := w.ask("acme manage", "POST", path, "", "Idempotency-Key: t").want(200); got.Header().Get("Idempotency-Replayed") != "" {
		t.Error("the failure was kept")
	}
	w.ask("acme manage", "POST", "/v1/webhooks/whk_01JD0000000000000000000000/test", "", "Idempotency-Key: u").want(404)
	w.ask("acme manage", "POST", "/v1/inspect", "", "Idempotency-Key: u").want(201)
}

func TestRepeatedEventsAreAcceptedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	send := func(body string, headers ...string) answer {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/events", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", "batch-1")
		return w.send("acme ingest", r)
	}
	const both = `[{"type":"sent","user":{"id":1}},{"type":"sent","user":{"id":2},"telltale":{"id":"mine"}},{"type":"sent","user":{"id":3}}]`
	first := read[wire.EventsAccepted](send(both).want(202))
	again := send(both).want(202)
	second := read[wire.EventsAccepted](again)
	if again.Header().Get("Idempotency-Replayed") != "true" || second.Duplicates != 3 || second.Accepted != 0 {
		t.Errorf("answered again: %v %+v", again.Header(), second)
	}
	for i := range first.Events {
		if first.Events[i].Duplicate || first.Events[i].ID != second.Events[i].ID {
			t.Errorf("event %d: %+v, again %+v", i, first.Events[i], second.Events[i])
		}
	}
	for name, other := range map[string]string{
		"a part of it":        `[{"type":"sent","user":{"id":1}}]`,
		"more than it":        strings.TrimSuffix(both, "]") + `,{"type":"sent","user":{"id":4}}]`,
		"others":              `{"type":"sent","user":{"id":9}}`,
		"another, with an id": `[{"type":"sent","user":{"id":7},"telltale":{"id":"another"}},{"type":"sent","user":{"id":1}}]`,
	} {
		if got := send(other).want(422); !strings.Contains(got.Body.String(), `"header.Idempotency-Key"`) {
			t.Errorf("%s: %s", name, got.Body)
		}
	}
	if n, _, err := w.store.CountEvents(t.Context(), w.acme.ID, telltale.EventFilter{}, 100); err != nil || n != 3 {
		t.Errorf("%d events, %v", n, err)
	}
	// An id of its own that is taken is told as ever.
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/events", strings.NewReader(`[{"type":"sent","user":{"id":1}},{"type":"sent","user":{"id":8},"telltale":{"id":"mine"}}]`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", "batch-2")
	if got := w.send("acme ingest", r).want(409); !strings.Contains(got.Body.String(), `"body[1].telltale.id"`) {
		t.Errorf("answered %s", got.Body)
	}
	w.post("other ingest", `{"type":"sent","user":{"id":1}}`)
}
