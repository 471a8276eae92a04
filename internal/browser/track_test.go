package browser

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
)

// A page of another site says what its visitors do, by the script of Vero's own
// npm package: the browser asks the node whether it may, and the page sees each
// answer.
func TestTheTrackAPIFromAPageOfAnotherSite(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("../track/testdata/getvero-tracking/dist/index.window.js")
	if err != nil {
		t.Fatal(err)
	}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/vero.js":
			w.Header().Set("Content-Type", "text/javascript")
			w.Write(script)
		case "/":
			w.Header().Set("Content-Type", "text/html")
			w.Write([]byte(`<!doctype html><html lang="en"><title>Shop</title><link rel="icon" href="data:,"><script src="/vero.js"></script><h1>Shop</h1></html>`))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(site.Close)
	w := newNode(t)
	r := newReceiver(t)
	w.api("POST", "/v1/webhooks?project=default", `{"url":"`+r.url+`","events":["*"],"concurrency":1}`, nil)
	var key struct{ Key string }
	w.api("POST", "/v1/keys?project=default", `{"name":"website","scope":"track"}`, &key)

	b := newTab(t, strings.Replace(site.URL, "127.0.0.1", "localhost", 1))
	b.open("/?vero_conv=message-1")
	b.the("heading", "Shop")
	if got := js[string](b, `location.origin`); got == w.app.URL() {
		t.Fatalf("the page is the node's own: %s", got)
	}
	// call makes a call of the tracker, and gives what the page sees of its end.
	call := func(expression string) string {
		t.Helper()
		js[any](b, `window.outcome = ""`)
		js[any](b, `void (async () => { try { await `+expression+`; window.outcome = "done" } catch (e) { window.outcome = String(e) } })()`)
		b.until(expression+" has ended", func() bool { return js[string](b, `window.outcome`) != "" })
		return js[string](b, `window.outcome`)
	}
	must := func(expression string) {
		t.Helper()
		if got := call(expression); got != "done" {
			t.Errorf("%s: %s", expression, got)
		}
	}
	js[any](b, `void vero.tracker.init({trackingApiBaseUrl: "`+w.app.URL()+`", trackingApiKey: "`+key.Key+`"})`)
	must(`vero.tracker.user.identify({id: "1000", email: "ann@example.com", data: {plan: "free"}})`)
	must(`vero.tracker.user.identify({id: "1000", email: "ann@example.com", data: {plan: "pro"}, channels: [{type: "push", address: "token-1", platform: "web"}]})`)
	must(`vero.tracker.event.track({eventName: "Viewed product", data: {sku: "A1"}})`)
	must(`vero.tracker.tag.edit({add: ["vip"]})`)
	must(`vero.tracker.user.unsubscribe()`)
	must(`vero.tracker.user.resubscribe()`)
	must(`vero.tracker.user.alias({newId: "1001"})`)
	must(`vero.tracker.tag.edit({remove: ["vip"]})`)
	must(`vero.tracker.user.delete()`)
	must(`vero.tracker.user.identify({id: "1001", email: "ann@example.com", noSiteVisitEvent: true})`)

	want := []string{
		`user_created 1000 plan=free language timezone ianaTimezone userAgent`,
		`user_updated 1000 plan=pro channels`,
		`user_updated 1000 _tags`,
		`unsubscribed 1000`,
		`resubscribed 1000`,
		`user_updated 1001 _tags`,
		`user_created 1001 language timezone ianaTimezone userAgent`,
	}
	r.await(t, len(want))
	var got []string
	for _, c := range r.requests() {
		got = append(got, heard(t, c.body))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the receiver heard\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	// What is refused, the page hears too; a browser shows it only to pages that may see it.
	if got := call(`fetch("` + w.app.URL() + `/api/v2/users/track", {method: "POST", headers: {"Content-Type": "application/json", "X-Anything": "1"}, body: "{}"}).then(async r => { throw new Error(r.status + " " + (await r.json()).message) })`); !strings.Contains(got, "401 There is no key.") {
		t.Errorf("without a key: %s", got)
	}
	if got := call(`fetch("` + w.app.URL() + `/api/v2/users/tags/edit.json?auth_token=` + key.Key + `", {method: "PUT", body: "{}"}).then(async r => { throw new Error(r.status + " " + (await r.json()).message) })`); !strings.Contains(got, "400 id: There is neither an id nor an email.") {
		t.Errorf("without a user: %s", got)
	}
}

// heard is a payload in short: its type, the user's id, and what is told of them.
func heard(t *testing.T, body string) string {
	t.Helper()
	var p struct {
		Type    string
		User    json.RawMessage
		Changes json.RawMessage
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatal(err)
	}
	var user struct{ ID string }
	if err := json.Unmarshal(p.User, &user); err != nil {
		t.Fatal(err)
	}
	short := p.Type + " " + user.ID
	told := p.Changes
	if p.Type == "user_created" {
		told = p.User
	}
	for _, name := range []string{"plan", "channels", "_tags", "language", "timezone", "ianaTimezone", "userAgent"} {
		var all map[string]json.RawMessage
		if json.Unmarshal(told, &all) != nil || all[name] == nil {
			continue
		}
		if short += " " + name; name == "plan" {
			short += "=" + strings.Trim(string(all[name]), `"`)
		}
	}
	return short
}
