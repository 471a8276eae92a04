package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// track makes a call of the Track API.
func (w *world) track(path, body string) {
	w.t.Helper()
	if w.trackKey == "" {
		var key struct{ Key string }
		w.api("POST", "/v1/keys", `{"name":"Shop","scope":"track"}`, &key)
		w.trackKey = key.Key
	}
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.app.URL()+"/api/v2/"+path+"?auth_token="+w.trackKey, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := new(http.Client).Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		w.t.Fatalf("%s %s answers %d", path, body, response.StatusCode)
	}
}

// userLink finds the address of the user whom people know by that name.
func (p page) userLink(name string) string {
	p.t.Helper()
	m := regexp.MustCompile(`href="(/p/default/users/prf_[0-9A-Z]+)"><bdi title="` + regexp.QuoteMeta(name) + `"`).FindStringSubmatch(p.body)
	if m == nil {
		p.t.Fatalf("no link to %s in %s", name, p.text())
	}
	return m[1]
}

func TestUsersAreListedAndFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.get("/p/default/users").want(http.StatusOK).says("No users yet", "Track API")
	w.track("users/track", `{"id":123,"email":"steve@example.com","data":{"plan":"pro"}}`)
	w.track("users/track", `{"email":"ann@example.com"}`)
	w.track("users/tags/edit", `{"id":123,"add":["vip"]}`)
	w.track("users/unsubscribe", `{"email":"ann@example.com"}`)
	w.get("/p/default/users").says("2 users", "steve@example.com", "ann@example.com", "vip", "Subscribed", "Unsubscribed")
	for _, row := range []struct{ query, finds, not string }{
		{"q=steve", "steve@example.com", "ann@example.com"},
		{"q=12", "steve@example.com", "ann@example.com"},
		{"tag=vip", "steve@example.com", "ann@example.com"},
		{"state=unsubscribed", "ann@example.com", "steve@example.com"},
		{"state=subscribed", "steve@example.com", "ann@example.com"},
	} {
		w.get("/p/default/users?" + row.query).want(http.StatusOK).says(row.finds).lacks(row.not)
	}
	w.get("/p/default/users?q=nobody").says("No users match these filters.", "Clear filters")
}

func TestAUsersPageTellsEverythingThatHappened(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.track("users/track", `{"id":"u<7>","email":"steve@example.com","data":{"plan":"<b>pro</b>","seats":12345678901234567890}}`)
	w.track("events/track", `{"identity":{"id":"u<7>"},"event_name":"Bought <it>","data":{"sku":"A1"}}`)
	w.api("POST", "/v1/events", `{"type":"sent","user":{"id":"u<7>","email":"steve@example.com"},"campaign":{"id":987,"name":"Spring"},"message_id":"m1"}`, nil)
	at := w.get("/p/default/users").userLink("steve@example.com")
	w.get(at).want(http.StatusOK).
		says("steve@example.com", "u<7>", "plan", "<b>pro</b>", "12345678901234567890", "User created", "Bought <it>", `{"sku":"A1"}`, "Sent", "Spring", "Message").
		lacks("<b>pro</b>", "Bought <it>")
	w.operator("viewer").get(at).want(http.StatusOK).says("You have viewer access, which does not show properties.").lacks("12345678901234567890", "A1", "Forget")
	w.get("/p/default/users/prf_01JD0000000000000000000000").want(http.StatusNotFound).says("There is no such user")

	// More than a page goes on where it stopped, with each once.
	var posted strings.Builder
	for i := range 70 {
		fmt.Fprintf(&posted, `{"type":"opened","user":{"id":"u<7>"},"message_id":"n%d"}`+"\n", i)
	}
	w.ndjson(posted.String())
	for i := range 10 {
		w.track("events/track", fmt.Sprintf(`{"identity":{"id":"u<7>"},"event_name":"step %d"}`, i))
	}
	first := w.get(at).says("Older").body
	older := regexp.MustCompile(`href="([^"]+)" rel="next"`).FindStringSubmatch(first)
	if older == nil {
		t.Fatal("there is no way to what happened before")
	}
	second := w.get(strings.ReplaceAll(older[1], "&amp;", "&")).want(http.StatusOK).says("← Newest", "User created", "Bought <it>").body
	seen := map[string]int{}
	for _, body := range []string{first, second} {
		for _, m := range regexp.MustCompile(`/events/(evt_[0-9A-Z]+)"|<strong><bdi>([^<]+)<`).FindAllStringSubmatch(body, -1) {
			seen[m[1]+m[2]]++
		}
	}
	if len(seen) != 70+10+3 {
		t.Errorf("%d things happened; want 83", len(seen))
	}
	for what, n := range seen {
		if n != 1 {
			t.Errorf("%s is there %d times", what, n)
		}
	}
}

func TestAPersonIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.track("users/track", `{"id":7,"email":"eve@example.com"}`)
	w.api("POST", "/v1/events", `{"type":"opened","user":{"id":7,"email":"eve@example.com"},"message_id":"m1"}`, nil)
	at := w.get("/p/default/users").userLink("eve@example.com")
	w.operator("member").get(at + "/erase").want(http.StatusForbidden)
	w.get(at+"/erase").want(http.StatusOK).says("Forget this person?", "It cannot be taken back")
	w.post(at+"/erase", url.Values{"name": {"someone"}}).want(http.StatusUnprocessableEntity).says("Type eve@example.com to confirm.")
	w.follow(w.post(at+"/erase", url.Values{"name": {"eve@example.com"}})).want(http.StatusOK).says("The profile is gone.", "No users yet")
	w.get(at).want(http.StatusNotFound)
	w.until("the events are gone", func() bool {
		return !strings.Contains(w.get("/p/default/events?q=eve@example.com").text(), "Opened 7")
	})
	w.until("the erasure is complete", func() bool {
		var erasures struct{ Data []struct{ Complete bool } }
		w.api("GET", "/v1/erasures", "", &erasures)
		return len(erasures.Data) == 1 && erasures.Data[0].Complete
	})
	w.get("/p/default/events").says("No events yet")
	w.get(project + "/audit-log").says("User erased").lacks("eve@example.com")
}

func TestConversionsAreSetTriedAndRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := project + "/conversions"
	w.get(at).want(http.StatusOK).says("No goals yet", "Set a goal")
	w.api("POST", "/v1/events", `{"type":"sent","user":{"id":1},"campaign":{"id":987},"message_id":"m1"}`, nil)
	w.api("POST", "/v1/events", `{"type":"clicked","user":{"id":1},"campaign":{"id":987},"message_id":"m1"}`, nil)
	w.track("events/track", `{"identity":{"id":1},"event_name":"purchased item"}`)
	w.post(at, url.Values{"campaign": {"987"}, "event_name": {"Purchased_Item"}, "try": {"1"}}).want(http.StatusOK).
		says("In the last 30 days", "1 event of that name", "clicked before 1", "No goals yet")
	w.follow(w.post(at, url.Values{"campaign": {"987"}, "event_name": {"purchased item"}})).says("Goal saved.", "987", "purchased item")
	w.post(at, url.Values{"campaign": {""}, "event_name": {strings.Repeat("x", 300)}}).want(http.StatusUnprocessableEntity).says("2 things need your attention")
	w.track("events/track", `{"identity":{"id":1},"event_name":"purchased item","data":{"again":true}}`)
	w.until("it converts", func() bool { return strings.Contains(w.get("/p/default/events").text(), "Converted") })

	w.follow(w.post(at+"/windows", url.Values{"window": {"14"}, "view_window": {"0.5"}})).says("Windows saved.")
	w.post(at+"/windows", url.Values{"window": {"0"}, "view_window": {"366"}}).want(http.StatusUnprocessableEntity).says("2 things need your attention", "at most 365")
	viewer := w.operator("viewer")
	viewer.get(at).want(http.StatusOK).says("You have viewer access", "14 days", "0.5 if").lacks("Remove")
	viewer.post(at, url.Values{"campaign": {"1"}, "event_name": {"x"}}).want(http.StatusForbidden)
	w.follow(w.post(at+"/remove", url.Values{"campaign": {"987"}})).says("Goal removed.", "No goals yet")
}
