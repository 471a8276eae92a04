package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"telltale.example/telltale"
)

// notAudited are the routes that change something, by their method, of which the
// audit log has nothing, and why.
var notAudited = map[string]string{
	"post-events":         "events are what there is a log of",
	"plan-replay":         "it changes nothing",
	"try-goal":            "it changes nothing",
	"test-webhook":        "what was sent is in the log of deliveries",
	"test-source":         "its event is one like others",
	"replay-unrecognised": "its events are like others",
	"create-bin":          "a bin is for trying things out, and gone in a while",
	"answer-bin":          "likewise",
	"delete-bin":          "likewise",
	"resume-sending":      "whoever resumes notes it: here nothing was paused",
}

// Every route that changes anything leaves an entry, by whose key it was.
func TestEveryChangeIsAudited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	newest := func() (entries []telltale.AuditEntry) {
		t.Helper()
		projects, err := w.store.Projects(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, project := range append(projects, telltale.Project{}) {
			found, err := w.store.AuditEntries(ctx, project.ID, telltale.AuditFilter{}, telltale.Page{Limit: telltale.MaxPage})
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, found...)
		}
		return entries
	}
	audited := 0
	for _, r := range build(Config{}).routes() {
		secret := strings.HasSuffix(r.path, "/secret")
		if r.method == http.MethodGet && !secret {
			continue
		}
		b := w.belongings()
		goal := targetOf(t, r, b, w.receiver.URL)
		before := func(method, path, body string) {
			if got := w.do("acme manage", method, path, body); got.Code >= 300 {
				t.Fatalf("%s: %s %s before it: answered %d %s", r.id, method, path, got.Code, got.Body)
			}
		}
		switch r.id {
		case "restore-webhook":
			before("DELETE", "/v1/webhooks/"+b.webhook, "")
			goal.status = http.StatusOK
		case "enable-webhook":
			before("POST", "/v1/webhooks/"+b.webhook+"/disable", "")
		case "resume-replay":
			before("POST", "/v1/replays/"+b.replay+"/pause", "")
		case "resume-import":
			before("POST", "/v1/imports/"+b.imported+"/pause", "")
		case "delete-goal":
			before("PUT", "/v1/goals/987", `{"event_name":"bought"}`)
		}
		known := map[telltale.AuditID]bool{}
		for _, e := range newest() {
			known[e.ID] = true
		}
		caller, query := "acme manage", ""
		if r.scope == telltale.ScopeOwner {
			caller, query = "owner", "?project=acme"
		}
		body := goal.body
		if strings.HasPrefix(r.id, "import-") {
			goal.status, body = http.StatusAccepted, "email\nana@example.com\n"
			if r.id == "import-events" {
				body = "email,event_name,date\nana@example.com,bought,2026-01-02T03:04:05Z\n"
			}
		}
		request := httptest.NewRequestWithContext(ctx, r.method, goal.path+query, strings.NewReader(body))
		if body != "" {
			request.Header.Set("Content-Type", importType(r.id))
		}
		got := w.send(caller, request)
		if got.Code != goal.status {
			t.Errorf("%s: answered %d %s, not %d", r.id, got.Code, got.Body, goal.status)
		}
		var added []telltale.AuditEntry
		for _, e := range newest() {
			if !known[e.ID] {
				added = append(added, e)
			}
		}
		why, none := notAudited[r.id]
		switch {
		case none && len(added) > 0:
			t.Errorf("%s is not to be audited, since %s, and left %+v", r.id, why, added)
		case none:
		case len(added) != 1:
			t.Errorf("%s left %d entries: %+v", r.id, len(added), added)
		case added[0].Actor.Kind != telltale.ActorKey || added[0].Actor.ID == "" || added[0].Actor.RemoteAddr == "" || added[0].Actor.RequestID == "":
			t.Errorf("%s was by %+v", r.id, added[0].Actor)
		default:
			audited++
		}
		w.forget(b)
	}
	if audited < 25 {
		t.Errorf("no more than %d routes are audited", audited)
	}
}

func importType(operation string) string {
	if strings.HasPrefix(operation, "import-") {
		return "text/csv"
	}
	return "application/json"
}

// Nobody changes or removes an entry: the audit log has one route, to read it.
func TestTheAuditLogHasNoRouteThatChangesIt(t *testing.T) {
	t.Parallel()
	for _, r := range build(Config{}).routes() {
		if strings.Contains(r.path, "audit") && r.method != http.MethodGet {
			t.Errorf("there is %s %s", r.method, r.path)
		}
	}
}
