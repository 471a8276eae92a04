package api

import (
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/wire"
)

// ask makes a request with headers, given as "Name: value".
func (w *world) ask(token, method, path, body string, headers ...string) answer {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return w.send(token, r)
}

func TestAWebhookIsChangedOnlyAsItWasSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.do("acme manage", "POST", "/v1/webhooks", `{"url":"`+w.receiver.URL+`","events":["sent"]}`).want(201)
	path := "/v1/webhooks/" + read[wire.Webhook](made).ID
	if got := made.Header().Get("ETag"); got != `"1"` {
		t.Errorf("a new webhook has the ETag %s", got)
	}
	patch := func(status int, headers ...string) answer {
		t.Helper()
		return w.ask("acme manage", "PATCH", path, `{"description":"x"}`, headers...).want(status)
	}
	if got := patch(200, `If-Match: "1"`).Header().Get("ETag"); got != `"2"` {
		t.Errorf("changed, it has the ETag %s", got)
	}
	patch(412, `If-Match: "1"`).golden("webhook-changed-meanwhile")
	patch(412, `If-Match: W/"2"`) // weak tags match nothing
	patch(412, `If-Match: "x", "y"`)
	patch(200, `If-Match: "1", W/"7" , "2"`)
	patch(200, `If-Match: "1"`, `If-Match: "3"`)
	patch(200, `If-Match: *`)
	patch(200)
	if got := w.do("acme read", "GET", path, "").want(200).Header().Get("ETag"); got != `"6"` {
		t.Errorf("after five changes the ETag is %s", got)
	}
	patch(422, "If-Match: 6").golden("webhook-no-etag")
	for _, junk := range []string{`"`, `"6`, `"6"x`, `"6" "7"`, `W/6`, "\"a\x00\"", strings.Repeat(`"1",`, maxTags+1)} {
		patch(422, "If-Match: "+junk)
	}
	w.ask("acme manage", "DELETE", path, "", `If-Match: "1"`).want(412)
	w.ask("acme manage", "DELETE", path, "", `If-Match: "6"`).want(204)
	w.ask("acme manage", "PATCH", path, `{}`, `If-Match: "6"`).want(404)
}

// Someone else's change between the look at a webhook and its change is found
// by the store, and told to whoever demanded that there is none.
func TestTheConditionHoldsWhenTheChangeIsMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.webhook("acme manage", `{"url":"`+w.receiver.URL+`","events":["sent"]}`)
	w.store.conflicts, w.store.meanwhile = 2, func() {
		hook, err := w.store.Webhook(t.Context(), w.acme.ID, telltale.WebhookID(id))
		if err != nil {
			t.Error(err)
			return
		}
		changed := *hook
		changed.Concurrency++
		if _, err := w.store.Store.UpdateWebhook(t.Context(), changed); err != nil {
			t.Error(err)
		}
	}
	w.ask("acme manage", "PATCH", "/v1/webhooks/"+id, `{"description":"mine"}`, `If-Match: "1"`).want(412)
	if got := read[wire.Webhook](w.do("acme read", "GET", "/v1/webhooks/"+id, "").want(200)); got.Description != "" || got.Version != 2 {
		t.Errorf("it is at version %d and described as %q", got.Version, got.Description)
	}
}

func TestWhatIsKnownIsNotSentAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.webhook("acme manage", `{"url":"`+w.receiver.URL+`","events":["sent"]}`)
	for _, path := range []string{"/v1/webhooks/" + id, "/v1/webhooks", "/v1/projects", "/v1/inspect", "/v1/events"} {
		etag := w.do("acme read", "GET", path, "").want(200).Header().Get("ETag")
		if !strings.HasPrefix(etag, `"`) {
			t.Fatalf("%s: the ETag is %q", path, etag)
		}
		for _, known := range []string{etag, "W/" + etag, `"other", ` + etag, "*"} {
			got := w.ask("acme read", "GET", path, "", "If-None-Match: "+known).want(304)
			if got.Body.Len() > 0 || got.Header().Get("ETag") != etag || got.Header().Get("Content-Type") != "" {
				t.Errorf("%s: the answer to If-None-Match: %s is %v %q", path, known, got.Header(), got.Body)
			}
		}
		for _, other := range []string{`"other"`, etag + "x", "nonsense"} {
			w.ask("acme read", "GET", path, "", "If-None-Match: "+other).want(200)
		}
	}
	before := w.do("acme read", "GET", "/v1/webhooks", "").Header().Get("ETag")
	w.do("acme manage", "PATCH", "/v1/webhooks/"+id, `{"description":"x"}`).want(200)
	w.ask("acme read", "GET", "/v1/webhooks", "", "If-None-Match: "+before).want(200)
}

// How attempts go is no change of the webhook: whoever edits it meanwhile is
// not told to begin anew.
func TestHealthLeavesTheETag(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.webhook("acme manage", `{"url":"`+w.receiver.URL+`","events":["sent"]}`)
	before := w.do("acme read", "GET", "/v1/webhooks/"+id, "").want(200)
	w.post("acme ingest", `{"type":"sent","user":{"id":1}}`)
	claims, err := w.store.ClaimDue(t.Context(), []telltale.LaneRoom{{WebhookID: telltale.WebhookID(id), Slots: 1}})
	if err != nil || len(claims) != 1 || len(claims[0].Claims) != 1 {
		t.Fatalf("%+v, %v", claims, err)
	}
	if _, err := w.dispatcher.attempt(t.Context(), claims[0].Claims[0]); err != nil {
		t.Fatal(err)
	}
	after := w.do("acme read", "GET", "/v1/webhooks/"+id, "").want(200)
	if read[wire.Webhook](after).Health != "healthy" || after.Header().Get("ETag") != before.Header().Get("ETag") {
		t.Errorf("health %s, ETag %s, before %s", read[wire.Webhook](after).Health, after.Header().Get("ETag"), before.Header().Get("ETag"))
	}
}

func TestAServerMayInsistOnIfMatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.RequireIfMatch = true
	w.serve(New(w.config))
	id := w.webhook("acme manage", `{"url":"`+w.receiver.URL+`","events":["sent"]}`)
	w.do("acme manage", "PATCH", "/v1/webhooks/"+id, `{"description":"x"}`).want(428).golden("webhook-if-match-missing")
	w.do("acme manage", "DELETE", "/v1/webhooks/"+id, "").want(428)
	w.ask("acme manage", "PATCH", "/v1/webhooks/"+id, `{"description":"x"}`, `If-Match: "1"`).want(200)
	w.do("acme manage", "POST", "/v1/webhooks/"+id+"/disable", "").want(200)
	w.ask("acme manage", "DELETE", "/v1/webhooks/"+id, "", `If-Match: *`).want(204)
}

// The audit log tells which key asked, and by which request.
func TestTheAuditLogKnowsTheKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.webhook("acme manage", `{"url":"`+w.receiver.URL+`","events":["sent"]}`)
	shown := w.do("acme manage", "GET", "/v1/webhooks/"+id+"/secret", "").want(200)
	w.do("acme read", "GET", "/v1/webhooks/"+id+"/secret", "").want(403)
	entries, err := w.store.AuditEntries(t.Context(), w.acme.ID, telltale.AuditFilter{Target: id}, telltale.Page{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 || entries[0].Action != telltale.AuditSecretShown || entries[1].Action != telltale.AuditWebhookCreated {
		t.Fatalf("%+v", entries)
	}
	keys, err := w.store.Keys(t.Context(), w.acme.ID, telltale.Page{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	var want telltale.Actor
	for _, k := range keys {
		if k.Scope == telltale.ScopeManage {
			want = telltale.Actor{Kind: telltale.ActorKey, ID: string(k.ID), Name: k.Name, RemoteAddr: "192.0.2.1", RequestID: telltale.RequestID(shown.Header().Get("Request-Id"))}
		}
	}
	if got := entries[0].Actor; !reflect.DeepEqual(got, want) {
		t.Errorf("it was %+v, want %+v", got, want)
	}
}

func TestAProjectIsChangedOnlyAsItWasSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seen := w.do("owner", "GET", "/v1/projects/acme", "").want(200).Header().Get("ETag")
	w.ask("owner", "GET", "/v1/projects/acme", "", "If-None-Match: "+seen).want(304)
	w.ask("owner", "PATCH", "/v1/projects/acme", `{"name":"mine"}`, "If-Match: "+seen).want(200)
	w.ask("owner", "PATCH", "/v1/projects/acme", `{"name":"theirs"}`, "If-Match: "+seen).want(412)
	w.do("owner", "PATCH", "/v1/projects/acme", `{"name":"theirs"}`).want(200)
}
