package web_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

const project = "/p/default/settings/project"

func TestSettingsLeadSomewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/p/default/settings", project} {
		w.follow(w.get(path)).want(http.StatusOK).says("General", "Acme")
	}
}

func TestGeneralSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := project + "/general"
	w.get(at).want(http.StatusOK).says("Project name", "Events accepted per second", "default", "Made")
	w.follow(w.post(at, url.Values{"name": {" Shop <b> "}, "ingest_rate": {"2.5"}})).says("Project saved.", "Shop <b>").lacks("<b>")
	var p struct {
		Name       string
		IngestRate float64 `json:"ingest_rate"`
	}
	if w.api("GET", "/v1/projects/default", "", &p); p.Name != "Shop <b>" || p.IngestRate != 2.5 {
		t.Errorf("the project is %+v", p)
	}
	for _, row := range []struct{ name, rate, says string }{
		{"", "1", "The name is empty"},
		{"Shop", "many", "Use a number of events a second"},
		{"Shop", "-1", "The rate is out of range"},
		{"Shop", "NaN", "The rate is out of range"},
	} {
		w.post(at, url.Values{"name": {row.name}, "ingest_rate": {row.rate}}).want(http.StatusUnprocessableEntity).says(row.says)
	}
	member := w.operator("member")
	member.get(at).want(http.StatusOK).says("an owner or admin changes these", "2.5").lacks("<button class=\"btn primary\">Save")
	member.post(at, url.Values{"name": {"Mine"}}).want(http.StatusForbidden)
}

func TestProjectsAreAddedAndSwitched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.get("/admin/projects").want(http.StatusOK).says("Acme", "default")
	w.get("/p/default/").lacks("Switch project")
	w.follow(w.post("/admin/projects", url.Values{"name": {"Second"}, "slug": {"second"}})).want(http.StatusOK).says("The project Second is ready.", "Second")
	for _, here := range []string{"/p/default/", "/p/second/"} {
		p := w.get(here).want(http.StatusOK)
		if !strings.Contains(p.body, "Switch project") || !strings.Contains(p.body, `href="/p/second/"`) || !strings.Contains(p.body, `href="/p/default/"`) {
			t.Errorf("%s does not lead to the other project", here)
		}
	}
	w.post("/admin/projects", url.Values{"name": {"Again"}, "slug": {"second"}}).want(http.StatusUnprocessableEntity).says("There is a project \"second\" already.")
	w.post("/admin/projects", url.Values{"name": {"Bad"}, "slug": {"../x"}}).want(http.StatusUnprocessableEntity).says("The slug cannot be used in a path")
	w.get("/p/nothing/settings/project/general").want(http.StatusNotFound).says("There is no project at this address.")
	member := w.operator("member")
	member.get("/admin/projects").want(http.StatusForbidden)
	member.post("/admin/projects", url.Values{"name": {"Mine"}, "slug": {"mine"}}).want(http.StatusForbidden)
}

func TestKeysAreMadeShownOnceAndRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := project + "/api-keys"
	w.get(at).want(http.StatusOK).says("No API keys in this project")
	answer := w.post(at, url.Values{"name": {"Shop <b>"}, "scope": {"read"}}).want(http.StatusSeeOther) // loading again makes no second key
	if to := answer.Header.Get("Location"); to != at || strings.Contains(fmt.Sprint(answer.Header), "tt_") {
		t.Errorf("it goes to %s with %v", to, answer.Header)
	}
	made := w.follow(answer).says("Copy the key Shop <b> now.", "It is not shown again.").lacks("<b>")
	token := regexp.MustCompile(`tt_[A-Za-z0-9_-]{40,}`).FindString(made.body)
	if token == "" {
		t.Fatal("no token is shown")
	}
	w.get(at).says("Shop <b>", "read", "never").lacks("tt_")
	use := func() int {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", w.app.URL()+"/v1/webhooks", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := new(http.Client).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	if code := use(); code != 200 {
		t.Errorf("the key is answered %d", code)
	}
	id := regexp.MustCompile(`key_[0-9A-Z]+`).FindString(w.get(at).body)
	w.get(at+"/"+id+"/revoke").want(http.StatusOK).says("Revoke this key?", "Shop <b>", "This cannot be taken back.")
	w.part("GET", at+"/"+id+"/revoke", nil).want(http.StatusOK).lacks("<h1>")
	w.follow(w.post(at+"/"+id+"/revoke", nil)).says("The key Shop <b> is revoked.", "Revoked")
	if code := use(); code != 401 {
		t.Errorf("the revoked key is answered %d", code)
	}
	for _, row := range []struct{ name, scope, says string }{
		{"", "read", "The name is empty"},
		{"Too much", "owner", "There is no such scope: "},
		{"Nothing", "", "There is no such scope: "},
	} {
		w.post(at, url.Values{"name": {row.name}, "scope": {row.scope}}).want(http.StatusUnprocessableEntity).says(row.says, "Make key").lacks("tt_")
	}
	w.get(at + "/key_01M8DDGAF1AJY46AH5CPJ88MGN/revoke").want(http.StatusNotFound)
	w.post(at+"/key_01M8DDGAF1AJY46AH5CPJ88MGN/revoke", nil).want(http.StatusNotFound)

	member := w.operator("member")
	member.get(at).want(http.StatusOK).says("You have member access", "Shop <b>").lacks("Make key", "Revoke…")
	member.post(at, url.Values{"name": {"Mine"}, "scope": {"manage"}}).want(http.StatusForbidden)
	member.get(at + "/" + id + "/revoke").want(http.StatusForbidden)
	member.post(at+"/"+id+"/revoke", nil).want(http.StatusForbidden)
}

func TestEventTypes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := project + "/event-types"
	w.api("POST", "/v1/events?project=default", `[{"type":"bounced","user":{"id":1}},{"type":"bounced","user":{"id":2}}]`, nil)
	all := w.get(at).want(http.StatusOK).says("Bounced (hard and soft)", "User updated", "A user has opted out of messages.", "Send sample to…")
	if !strings.Contains(all.body, `href="/p/default/events?event=bounced&amp;range=24h">2</a>`) {
		t.Errorf("two events are not counted: %s", all.text())
	}
	w.get(at+"/bounced").want(http.StatusOK).says("Bounced (hard and soft)", `"bounce_type": "hard"`, "2 events", "There is no webhook yet.", "JSON Schema")
	if twelve, operational, ok := strings.Cut(all.body, ">Operational events</h2>"); !ok || strings.Contains(twelve, "delivery.failed") || !strings.Contains(operational, "delivery.failed") || strings.Contains(operational, "bounced") {
		t.Errorf("the operational events do not stand for themselves: %s", all.text())
	}
	w.get(at+"/webhook.disabled").want(http.StatusOK).says("Webhook disabled", `"reason": "failing"`, "operational", "JSON Schema").lacks("Last 24 hours")
	w.get(at + "/blocked").want(http.StatusNotFound).says("There is no such event type.")
	var got string
	hook := w.create(receiver(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("telltale-event") }), "sent")
	p := w.get(at + "/bounced").says("Send this sample to…")
	if !strings.Contains(p.body, `action="`+list+"/"+hook+`/test"`) {
		t.Error("the sample cannot be sent to the webhook")
	}
	w.follow(w.post(list+"/"+hook+"/test", url.Values{"event": {"bounced"}})).says("Test succeeded.")
	if got != "bounced" {
		t.Errorf("the receiver got %q", got)
	}
	w.follow(w.post(list+"/"+hook+"/test", url.Values{"event": {"webhook.failing"}})).says("Test succeeded.")
	if got != "webhook.failing" {
		t.Errorf("the receiver got %q", got)
	}
	viewer := w.operator("viewer")
	viewer.get(at + "/bounced").want(http.StatusOK).says(`"bounce_type": "hard"`).lacks("Send this sample")
	viewer.get(at).want(http.StatusOK).lacks("Send sample to…")
}

func TestTheAuditLogSaysWhoDidWhat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := project + "/audit-log"
	w.post(project+"/general", url.Values{"name": {"=HYPERLINK(\"x\")"}, "ingest_rate": {"0"}}).want(http.StatusSeeOther)
	w.post(project+"/api-keys", url.Values{"name": {"Shop"}, "scope": {"ingest"}}).want(http.StatusSeeOther)
	hook := w.create(receiver(t, func(http.ResponseWriter, *http.Request) {}), "sent")
	w.post(list+"/"+hook+"/switch", url.Values{"to": {"off"}}).want(http.StatusSeeOther)

	w.get(at).want(http.StatusOK).says("Project changed", "Acme", "=HYPERLINK(\"x\")", "owner@example.com", "Key made", "Webhook added", "Webhook turned off", "req_")
	w.get(at + "?action=key.create").want(http.StatusOK).says("Key made").lacks("Webhook turned off</strong>")
	w.get(at+"?target="+hook).says("Webhook added", "Webhook turned off").lacks("Key made</strong>")
	w.get(at+"?actor=nobody").says("Nothing matches these filters.", "Clear filters")
	w.get(at+"?range=custom&since=2099-01-01T00:00").says("Nothing matches these filters.", "From (UTC)")
	w.get(at + "?of=server").says("Logged in").lacks("Webhook added</strong>")

	export := w.get(at + "/export.csv?action=project.update").want(http.StatusOK)
	if kind := export.Header.Get("Content-Type"); kind != "text/csv; charset=utf-8" {
		t.Errorf("it is %s", kind)
	}
	rows, err := csv.NewReader(strings.NewReader(export.body)).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("%v: %s", err, export.body)
	}
	for _, row := range rows[1:] {
		for i, cell := range row {
			if strings.ContainsAny(cell[:min(1, len(cell))], "=+-@\t\r") {
				t.Errorf("%s is a formula: %s", rows[0][i], cell)
			}
		}
	}
	if !strings.Contains(export.body, "'=HYPERLINK") {
		t.Errorf("the name is not there: %s", export.body)
	}
	lines := strings.Split(strings.TrimSpace(w.get(at+"/export.ndjson").want(http.StatusOK).body), "\n")
	for _, line := range lines {
		var entry struct {
			Action, At string
			Actor      struct{ Name string }
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Action == "" || entry.At == "" {
			t.Errorf("%v: %s", err, line)
		}
	}
	if len(lines) < 4 {
		t.Errorf("%d lines are exported", len(lines))
	}

	// What concerns the whole server is for those who look after it.
	member := w.operator("member")
	member.get(at+"?of=server").want(http.StatusOK).lacks("The whole server", "Logged in</strong>")
	if body := member.get(at + "/export.ndjson?of=server").body; strings.Contains(body, "operator.login") {
		t.Error("a member exports the server's entries")
	}
}

func TestTheAuditLogHasPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := project + "/audit-log"
	for i := range 60 {
		w.api("PATCH", "/v1/projects/default", fmt.Sprintf(`{"name":"Name %02d"}`, i), nil)
	}
	first := w.get(at+"?action=project.update").says("Name 59", "Older").lacks("← Newer")
	older := regexp.MustCompile(`href="([^"]+)" rel="next"`).FindStringSubmatch(first.body)
	second := w.get(strings.ReplaceAll(older[1], "&amp;", "&")).want(http.StatusOK).says("Name 00", "Newer").lacks("Older →")
	newer := regexp.MustCompile(`href="([^"]+)" rel="prev"`).FindStringSubmatch(second.body)
	w.get(strings.ReplaceAll(newer[1], "&amp;", "&")).says("Name 59")
	w.get(at + "?after=nonsense").want(http.StatusOK)
}

func TestTheSystemPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.get("/admin/system").want(http.StatusOK).says("SQLite", "Write-ahead log", "Workers 256", "Running", "Diagnostics", "up ", "goroutines")
	p.lacks(w.app.OwnerToken(), "whsec_", "secret.key")
	if viewer := w.operator("viewer"); viewer.get("/admin/system").StatusCode != http.StatusOK {
		t.Error("a viewer may not see how the server fares")
	}
	w.newBrowser().get("/admin/system").want(http.StatusSeeOther)
}
