package browser

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/feed"
)

// lived is a world in which much has happened: whatever a page can show is there.
type lived struct {
	*world
	good, bad *receiver
	viewer    *http.Cookie
	// Ids of webhooks.
	healthy, failing, off string
}

// hostile is what somebody sends who wants to be run, or to turn the page around.
const hostile = "<script>alert(1)</script>\u202e𝕲\x1b[31m\"'>"

func newLived(t *testing.T) *lived {
	t.Helper()
	l := &lived{world: newWorld(t), good: newReceiver(t), bad: newReceiver(t)}
	l.bad.answers(http.StatusInternalServerError, 0)
	l.imported("profiles", "users.csv", "id,plan,tags\n2\n,"+hostile+",\n") // none goes in
	var paused struct{ ID string }
	l.call("POST", "/v1/imports/profiles?project=default", "text/csv", "id,plan\n"+strings.Repeat("1\n", 200_000), &paused)
	l.api("POST", "/v1/imports/"+paused.ID+"/pause?project=default", "", nil)
	l.healthy = l.webhook(map[string]any{"url": l.good.url, "events": []string{"*"}, "description": "Into the CRM", "headers": map[string]any{"X-Team": "growth", "X-Token": map[string]any{"value": "s3cret", "secret": true}}})
	l.failing = l.webhook(map[string]any{"url": l.bad.url + "/a/very/long/path/that/goes/on/and/on?with=" + strings.Repeat("x", 200), "events": []string{"sent", "bounced", "opened", "clicked", "converted"}})
	l.off = l.webhook(map[string]any{"url": "https://off.example.com/hook", "events": []string{"complained"}, "retry_schedule": []string{}, "basic_auth": map[string]any{"username": "telltale", "password": password}})
	l.api("POST", "/v1/webhooks/"+l.off+"/disable?project=default", "", nil)
	held := l.webhook(map[string]any{"url": l.bad.url + "/held", "events": []string{"*"}})

	var bin struct{ ID, URL string }
	l.api("POST", "/v1/inspect?project=default", "", &bin)
	caught := l.webhook(map[string]any{"url": bin.URL, "events": []string{"delivered"}})
	l.api("POST", "/v1/webhooks/"+caught+"/test?project=default", "{}", nil)
	l.api("POST", "/v1/webhooks/"+l.healthy+"/test?project=default", "{}", nil)
	l.api("POST", "/v1/webhooks/"+l.failing+"/test?project=default", "{}", nil)

	l.track("users/track", map[string]any{"id": hostile, "email": "ana@example.com", "data": map[string]any{hostile: hostile, "plan": "pro"}, "channels": []any{map[string]any{"type": "push", "address": hostile, "platform": "ios"}}})
	l.track("users/tags/edit", map[string]any{"id": hostile, "add": []string{"vip", hostile}})
	l.track("events/track", map[string]any{"identity": map[string]any{"id": hostile}, "event_name": hostile, "data": map[string]any{"sku": hostile}})
	l.track("users/unsubscribe", map[string]any{"email": "eve@example.com"})
	l.api("PUT", "/v1/goals/987?project=default", `{"event_name":"purchased item"}`, nil)
	for _, t := range telltale.EventTypes() {
		l.post(string(t))
	}
	l.api("POST", "/v1/events?project=default", `{"type":"bounced","bounce_type":"hard","user":{"email":"eve@example.com"}}`, nil)
	event, _ := json.Marshal(map[string]any{"type": "clicked", "user": map[string]any{"id": hostile, "email": "ana@example.com"}, "campaign": map[string]any{"name": hostile}, "message_id": "m/1?" + hostile, "user_agent": hostile})
	l.api("POST", "/v1/events?project=default", string(event), nil)
	l.settle(l.healthy, caught)
	l.bad.await(l.T, 10)
	l.api("POST", "/v1/webhooks/"+held+"/disable?project=default", "", nil)
	l.webhook(map[string]any{"url": "https://never.example.com/hook", "events": []string{"resubscribed"}, "description": strings.ReplaceAll(hostile, "\x1b", "")})
	l.api("POST", "/v1/inspect?project=default", "", nil)

	if r, text := l.request(l.cookie, http.MethodPost, "/p/default/replays", url.Values{"webhook": {l.healthy}, "which": {"all"}, "range": {"24h"}, "to": {l.healthy}, "rate": {"0.1"}}); r.StatusCode != http.StatusSeeOther {
		t.Fatalf("a replay does not start: %s", text)
	}

	l.connect()
	l.api("POST", "/v1/keys?project=default", `{"name":"Shop backend","scope":"ingest"}`, nil)
	var key struct{ ID string }
	l.api("POST", "/v1/keys?project=default", `{"name":"Old","scope":"read"}`, &key)
	l.api("DELETE", "/v1/keys/"+key.ID+"?project=default", "", nil)
	l.api("POST", "/v1/projects", `{"slug":"staging","name":"Staging"}`, nil)
	l.viewer = l.invite("viewer")
	l.invite("member")
	_, operators := l.request(l.cookie, http.MethodGet, "/admin/operators", nil)
	member := regexp.MustCompile(`(?s)member@example\.com.*?/admin/operators/([^/"]+)/disable`).FindStringSubmatch(operators)
	if member == nil {
		t.Fatalf("there is no member in %s", operators)
	}
	l.request(l.cookie, http.MethodPost, "/admin/operators/"+member[1]+"/disable", url.Values{})
	l.enter("/login", url.Values{"email": {"owner@example.com"}, "password": {password}}) // elsewhere
	return l
}

// connect adds sources as they may be: receiving, failing, new and off, one of a
// provider in whose name a test can be sent, one whose URL holds a password, and one with a credential of several lines.
func (l *lived) connect() {
	l.Helper()
	printable := strings.ReplaceAll(hostile, "\x1b", "")
	key, sign := pair(l.T)
	_, receiving := l.source("sendgrid", "Newsletters", map[string]string{"verification_key": key})
	l.arrives(receiving, feed.ProviderNamed("sendgrid").Samples(time.Now())[0], sign)
	hidden, err := json.Marshal(hostile)
	if err != nil {
		l.Fatal(err)
	}
	l.arrives(receiving, saying(strings.Trim(string(hidden), `"`)), sign)
	secret, _, err := feed.ProviderNamed("resend").Pair()
	if err != nil {
		l.Fatal(err)
	}
	l.source("resend", "Receipts", secret)
	off, _ := l.source("sendgrid", printable, nil)
	l.request(l.cookie, http.MethodPost, off+"/switch", url.Values{"to": {"off"}})
	_, failing := l.source("sendgrid", strings.Repeat("Wide", 25), nil)
	l.arrives(failing, saying("delivered"), sign)
	l.source("postmark", "Invoices", nil)
	l.source("ses", "Alerts", nil)
}

// track makes a call of the Track API.
func (w *world) track(path string, call map[string]any) {
	w.Helper()
	if w.trackKey == "" {
		var key struct{ Key string }
		w.api("POST", "/v1/keys?project=default", `{"name":"Track","scope":"track"}`, &key)
		w.trackKey = key.Key
	}
	body, err := json.Marshal(call)
	if err != nil {
		w.Fatal(err)
	}
	w.api("POST", "/api/v2/"+path+"?auth_token="+w.trackKey, string(body), nil)
}

// imported sends a file, waits until it was read, and gives the import's id.
func (w *world) imported(kind, name, file string) string {
	w.Helper()
	var made struct{ ID, State string }
	w.call("POST", "/v1/imports/"+kind+"?project=default&name="+name, "text/csv", file, &made)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); made.State == "running"; <-tick.C {
		if time.Now().After(end) {
			w.Fatal("the import does not end")
		}
		w.api("GET", "/v1/imports/"+made.ID+"?project=default", "", &made)
	}
	return made.ID
}

// webhook makes one through the API and gives its id.
func (w *world) webhook(settings map[string]any) string {
	w.Helper()
	body, err := json.Marshal(settings)
	if err != nil {
		w.Fatal(err)
	}
	var made struct{ ID string }
	w.api("POST", "/v1/webhooks?project=default", string(body), &made)
	return made.ID
}

// settle waits until nothing is under way but what a receiver has turned away.
func (w *world) settle(webhooks ...string) {
	w.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		open := 0
		for _, id := range webhooks {
			for _, state := range []string{"waiting", "sending"} {
				var list struct{ Data []json.RawMessage }
				w.api("GET", "/v1/deliveries?project=default&webhook="+id+"&state="+state, "", &list)
				open += len(list.Data)
			}
		}
		if open == 0 {
			return
		}
		if time.Now().After(end) {
			w.Fatalf("%d deliveries are still open", open)
		}
	}
}

// invite makes an operator with the role, and gives the cookie of their session.
func (w *world) invite(role string) *http.Cookie {
	w.Helper()
	answer, _ := w.request(w.cookie, http.MethodPost, "/admin/operators/invite", url.Values{"email": {role + "@example.com"}, "role": {role}})
	_, page := w.request(w.cookie, http.MethodGet, answer.Header.Get("Location"), nil, answer.Cookies()...)
	token := regexp.MustCompile(`token=([A-Za-z0-9_-]+)`).FindStringSubmatch(page)
	if token == nil {
		w.Fatalf("there is no link in %s", page)
	}
	return w.enter("/link", url.Values{"token": {token[1]}, "password": {password}})
}

// request makes one without a browser, and gives the answer and its text.
func (w *world) request(who *http.Cookie, method, path string, form url.Values, more ...*http.Cookie) (*http.Response, string) {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, w.app.URL()+path, strings.NewReader(form.Encode()))
	if err != nil {
		w.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if who != nil {
		more = append(more, who)
	}
	for _, c := range more {
		r.AddCookie(c)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	return response, string(body)
}
