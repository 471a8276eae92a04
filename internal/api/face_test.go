package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/wire"
	"telltale.example/telltale/schema"
)

func answerStatus(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

func TestProjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.do("owner", "POST", "/v1/projects", `{"slug":"news","name":"Newsletter","ingest_rate":2.5}`).want(201).golden("project-created")
	if got := made.Header().Get("Location"); got != "/v1/projects/news" {
		t.Errorf("Location %q", got)
	}
	w.do("owner", "POST", "/v1/projects", `{"slug":"news"}`).want(409).golden("project-taken")
	w.do("owner", "POST", "/v1/projects", `{"slug":"No slug","name":"","ingest_rate":-1}`).want(422).golden("project-wrong")
	w.do("owner", "POST", "/v1/projects", `{}`).want(422)
	w.do("owner", "GET", "/v1/projects", "").want(200).golden("projects")
	w.do("acme read", "GET", "/v1/projects", "").want(200).golden("projects-own")
	w.do("acme read", "GET", "/v1/projects/acme", "").want(200).golden("project")
	w.do("acme manage", "GET", "/v1/projects/news", "").want(404)
	w.do("owner", "GET", "/v1/projects/news", "").want(200)
	w.do("owner", "GET", "/v1/projects/lost", "").want(404).golden("project-not-found")

	w.do("owner", "GET", "/v1/webhooks?project=news", "").want(200) // the project is remembered now
	w.do("owner", "PATCH", "/v1/projects/news", `{"ingest_rate":null,"name":"News"}`).want(200).golden("project-patched")
	w.do("owner", "PATCH", "/v1/projects/news", `{"slug":"old"}`).want(422)
	w.do("owner", "PATCH", "/v1/projects/lost", `{}`).want(404)
	w.do("acme manage", "PATCH", "/v1/projects/acme", `{"ingest_rate":0}`).want(403)
}

// A new ingest rate holds at once.
func TestAProjectsIngestRateHoldsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const event = `{"type":"sent","user":{"id":1}}`
	w.post("acme ingest", event)
	w.do("owner", "PATCH", "/v1/projects/acme", `{"ingest_rate":0.01}`).want(200)
	w.post("acme ingest", event)
	if got := w.do("acme ingest", "POST", "/v1/events", event).want(429); got.Header().Get("Retry-After") == "" {
		t.Error("there is no Retry-After")
	}
	w.do("owner", "PATCH", "/v1/projects/acme", `{"ingest_rate":null}`).want(200)
	w.post("acme ingest", event)
}

func TestKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.do("acme manage", "POST", "/v1/keys", `{"name":"CI","scope":"ingest"}`).want(201).golden("key-created")
	key := read[wire.Key](made)
	w.do(key.Key, "POST", "/v1/events", `{"type":"sent","user":{"id":1}}`).want(202)
	w.do(key.Key, "GET", "/v1/events", "").want(403).golden("key-forbidden")
	w.do("acme manage", "GET", "/v1/keys?limit=1", "").want(200).golden("keys")

	w.do("acme manage", "DELETE", "/v1/keys/"+key.ID, "").want(204)
	w.do(key.Key, "POST", "/v1/events", `{"type":"sent","user":{"id":1}}`).want(401) // at once
	w.do("acme manage", "DELETE", "/v1/keys/"+key.ID, "").want(204)                  // again changes nothing
	w.do("acme manage", "GET", "/v1/keys?limit=1", "").want(200).golden("keys-revoked")
	w.do("", "GET", "/v1/keys", "").want(401).golden("key-missing")

	w.do("acme manage", "POST", "/v1/keys", `{"name":" ","scope":"ingest"}`).want(422).golden("key-wrong")
	w.do("acme manage", "POST", "/v1/keys", `{"name":"n"}`).want(422)
	for _, scope := range []string{"ingest", "read", "manage", "track"} {
		w.do("acme manage", "POST", "/v1/keys", fmt.Sprintf(`{"name":"n","scope":%q}`, scope)).want(201)
	}
}

// A project's key never reaches owner keys; owners see, make and revoke them.
func TestOwnerKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.do("acme manage", "POST", "/v1/keys", `{"name":"n","scope":"owner"}`).want(403).golden("key-owner-forbidden")
	w.do("acme manage", "GET", "/v1/keys?scope=owner", "").want(403)
	owner := read[wire.Key](w.do("owner", "POST", "/v1/keys", `{"name":"second owner","scope":"owner"}`).want(201))
	w.do(owner.Key, "POST", "/v1/projects", `{"slug":"made-by-it"}`).want(201)
	if got := w.ids("owner", "/v1/keys?scope=owner"); !strings.Contains(got, owner.ID) {
		t.Errorf("owner keys: %s", got)
	}
	if got := w.ids("owner", "/v1/keys?project=acme"); strings.Contains(got, owner.ID) {
		t.Errorf("acme's keys: %s", got)
	}
	w.do("acme manage", "DELETE", "/v1/keys/"+owner.ID, "").want(404)
	w.do(owner.Key, "GET", "/v1/projects", "").want(200)
	w.do("owner", "DELETE", "/v1/keys/"+owner.ID+"?project=acme", "").want(204)
	w.do(owner.Key, "GET", "/v1/projects", "").want(401)

	acme := read[wire.Key](w.do("owner", "POST", "/v1/keys?project=acme", `{"name":"by an owner","scope":"read"}`).want(201))
	if got := w.ids(acme.Key, "/v1/projects"); got != string(w.acme.ID) {
		t.Errorf("the key sees the projects %s", got)
	}
}

func TestEventTypes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.do("acme read", "GET", "/v1/event-types", "").want(200).golden("event-types")
	w.do("acme read", "GET", "/v1/event-types/bounced", "").want(200).golden("event-type")
	w.do("acme read", "GET", "/v1/event-types/delivery.failed", "").want(200).golden("event-type-operational")
	for _, row := range []struct{ path, contentType, want string }{
		{"/v1/event-types/bounced/sample", "application/json", string(schema.Sample("bounced"))},
		{"/v1/event-types/bounced/schema", "application/schema+json", string(schema.Schema("bounced"))},
		{"/v1/event-types/webhook.failing/sample", "application/json", string(schema.Sample("webhook.failing"))},
		{"/v1/event-types/webhook.failing/schema", "application/schema+json", string(schema.Schema("webhook.failing"))},
	} {
		got := w.do("acme read", "GET", row.path, "").want(200)
		if got.Body.String() != row.want || got.Header().Get("Content-Type") != row.contentType {
			t.Errorf("%s: %s %s", row.path, got.Header().Get("Content-Type"), got.Body)
		}
	}
	for _, path := range []string{"/v1/event-types/lost", "/v1/event-types/lost/sample", "/v1/event-types/lost/schema", "/v1/event-types/sent.schema/sample"} {
		w.do("acme read", "GET", path, "").want(404)
	}
}

func TestTheInspector(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.do("acme manage", "POST", "/v1/inspect", "").want(201).golden("bin-created")
	bin := read[wire.Bin](made)
	path := "/v1/inspect/" + bin.ID
	if bin.URL != "https://telltale.test/in/"+bin.ID || made.Header().Get("Location") != path {
		t.Errorf("the bin is at %s and its description at %s", bin.URL, made.Header().Get("Location"))
	}
	for i := range 3 {
		err := w.store.CatchRequest(t.Context(), telltale.CaughtRequest{
			ID: telltale.NewRequestID(), BinID: telltale.BinID(bin.ID), ReceivedAt: time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC), RemoteAddr: "127.0.0.1:1", Method: "POST", Path: fmt.Sprintf("/in/x?%d", i),
			Headers: []telltale.Header{{Name: "A", Value: "1"}, {Name: "A", Value: "2"}}, Body: []byte{byte(i), 0xff}, Verdict: "valid",
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	w.do("acme read", "GET", "/v1/inspect", "").want(200).golden("bins")
	w.do("acme read", "GET", path, "").want(200)
	got := w.do("acme read", "GET", path+"/requests?limit=2", "").want(200).golden("caught-requests")
	page := read[wire.Page[wire.CaughtRequest]](got)
	if older := read[wire.Page[wire.CaughtRequest]](w.do("acme read", "GET", path+"/requests?limit=2&after="+*page.Next, "").want(200)); len(older.Data) != 1 {
		t.Errorf("the second page has %d", len(older.Data))
	}
	second := read[wire.Bin](w.do("acme manage", "POST", "/v1/inspect", "").want(201))
	w.do("acme read", "GET", "/v1/inspect/"+second.ID+"/requests?after="+*page.Next, "").want(422)
	w.do("acme manage", "DELETE", path, "").want(204)
	w.do("acme read", "GET", path, "").want(404).golden("bin-not-found")
	w.do("acme read", "GET", path+"/requests", "").want(404)
	for range telltale.MaxBins - 1 {
		w.do("acme manage", "POST", "/v1/inspect", "").want(201)
	}
	w.do("acme manage", "POST", "/v1/inspect", "").want(409)
}

func TestUnknownPathsAndMethodsAreProblems(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, row := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/v1/webhook", 404}, {"GET", "/v1", 404}, {"GET", "/v1/webhooks/a/b/c", 404}, {"PUT", "/v1/webhooks", 405}, {"POST", "/v1/deliveries", 405}, {"BREW", "/v1/events", 405},
	} {
		got := w.do("acme manage", row.method, row.path, "")
		if got.Code != row.status || got.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %d %s", row.method, row.path, got.Code, got.Header().Get("Content-Type"))
		}
	}
}
