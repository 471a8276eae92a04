package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/wire"
	"telltale.example/telltale/schema"
)

func TestTheLifeOfAWebhook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.do("acme manage", "POST", "/v1/webhooks", `{"url":"https://hooks.example.com/a?b=<c>","events":["bounced","sent"],"description":"CRM","headers":{"X-Team":"crm","X-Api-Key":{"value":"s3cr3t","secret":true}},"basic_auth":{"username":"u","password":"s3cr3t"},"retry_schedule":[]}`).
		want(201).golden("webhook-created")
	hook := read[wire.Webhook](made)
	path := "/v1/webhooks/" + hook.ID
	if got := made.Header().Get("Location"); got != path {
		t.Errorf("Location %q, want %q", got, path)
	}
	if got := made.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
	stored, err := w.store.Webhook(t.Context(), w.acme.ID, telltale.WebhookID(hook.ID))
	if err != nil {
		t.Fatal(err)
	}
	if hook.Secret != stored.Secrets[0].Value || stored.Headers[1].Value != "s3cr3t" || stored.BasicAuth.Password != "s3cr3t" {
		t.Errorf("stored %+v", stored)
	}
	if diff := cmp.Diff(stored, w.dispatcher.lastChanged()); diff != "" {
		t.Errorf("the dispatcher was told (-want +got):\n%s", diff)
	}

	told := func(what string) *telltale.Webhook {
		t.Helper()
		got := w.dispatcher.lastChanged()
		if string(got.ID) != hook.ID || got.Version <= stored.Version {
			t.Fatalf("%s: the dispatcher was told of %s in version %d; %d was the last", what, got.ID, got.Version, stored.Version)
		}
		stored = got
		return got
	}
	w.do("acme read", "GET", path, "").want(200).golden("webhook")
	w.do("acme read", "GET", "/v1/webhooks", "").want(200).golden("webhooks")

	w.do("acme manage", "PATCH", path, `{"description":null,"timeout":"10s","headers":{"X-Team":null},"retry_schedule":null}`).want(200).golden("webhook-patched")
	if got := told("a patch"); got.Timeout != 10*time.Second || got.RetrySchedule != nil || len(got.Headers) != 1 || got.Headers[0].Value != "s3cr3t" {
		t.Errorf("the dispatcher was told of %+v", got)
	}
	w.do("acme manage", "POST", path+"/disable", "").want(200).golden("webhook-disabled")
	if got := told("disabling"); got.Enabled {
		t.Errorf("the dispatcher was told of %+v", got)
	}
	w.do("acme manage", "POST", path+"/enable", "").want(200)
	if got := told("enabling"); !got.Enabled {
		t.Errorf("the dispatcher was told of %+v", got)
	}

	w.do("acme manage", "GET", path+"/secret", "").want(200).golden("webhook-secret")
	rotated := read[wire.Webhook](w.do("acme manage", "POST", path+"/secret/rotate", `{"overlap":"1h"}`).want(200).golden("webhook-rotated"))
	got := told("a rotation")
	if rotated.Secret == hook.Secret || rotated.Secret != got.Secrets[0].Value || got.Secrets[1].Value != hook.Secret {
		t.Errorf("rotated to %q; the dispatcher was told of %+v", rotated.Secret, got.Secrets)
	}
	if left := time.Until(got.Secrets[1].ExpiresAt); left < 59*time.Minute || left > time.Hour {
		t.Errorf("the old secret has %s left", left)
	}
	w.do("acme manage", "GET", path+"/secret", "").want(200).golden("webhook-secret-rotated")
	w.do("acme manage", "POST", path+"/secret/rotate", "").want(200)
	if left := time.Until(told("a rotation").Secrets[1].ExpiresAt); left < 23*time.Hour || left > 24*time.Hour {
		t.Errorf("by default the old secret has %s left", left)
	}

	if body := w.do("acme manage", "DELETE", path, "").want(204).Body.String(); body != "" {
		t.Errorf("deleting answers %q", body)
	}
	if got := told("deleting"); !got.Deleted {
		t.Errorf("the dispatcher was told of %+v", got)
	}
	w.do("acme manage", "GET", path, "").want(404).golden("webhook-not-found")
	w.do("acme manage", "DELETE", path, "").want(404)
	w.do("acme read", "GET", "/v1/webhooks", "").want(200).golden("webhooks-none")
}

// Secrets are where they are shown on purpose, and nowhere else.
func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.webhook("acme manage", fmt.Sprintf(`{"url":%q,"events":["*"],"headers":{"X-Api-Key":{"value":"s3cr3t-header","secret":true}},"basic_auth":{"username":"u","password":"s3cr3t-password"}}`, w.receiver.URL))
	path := "/v1/webhooks/" + id
	tested := read[wire.WebhookTested](w.do("acme manage", "POST", path+"/test", "").want(200))
	for _, got := range []answer{
		w.do("acme manage", "GET", path, ""), w.do("acme manage", "GET", "/v1/webhooks", ""), w.do("acme manage", "PATCH", path, `{"description":"x"}`),
		w.do("acme manage", "POST", path+"/test", ""), w.do("acme manage", "GET", "/v1/deliveries/"+tested.DeliveryID, ""),
		w.do("acme manage", "POST", path+"/disable", ""), w.do("acme manage", "POST", path+"/enable", ""),
	} {
		got.want(200)
		for _, secret := range []string{"s3cr3t", "whsec_", "dTpzM2NyM3Q"} { // the last is basic authentication's base64
			if strings.Contains(got.Body.String(), secret) {
				t.Errorf("%q is shown: %s", secret, got.Body)
			}
		}
	}
}

func TestAWrongWebhookIsAnsweredWithEveryFault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, row := range []struct{ name, body string }{
		{"the-form", `{"urll":"https://a.example.com/","events":"sent","timeout":"soon","headers":{"X":4711}}`},
		{"the-rules", `{"url":"exmaple","events":["sent","snet"],"timeout":"1h","concurrency":0,"rate_limit":-1,"retry_schedule":["0s"],"headers":{"Host":"x","webhook-id":"s3cr3t","X-A":"` + strings.Repeat("s3cr3t", 1000) + `"},"basic_auth":{"username":"a:b","password":"s3cr3t\n"},"format":"xml"}`},
		{"no-events", `{"url":"https://a.example.com/","events":[]}`},
		{"a-private-address", `{"url":"https://10.2.0.8/","events":["sent"]}`},
		{"plain-http", `{"url":"http://8.8.8.8/","events":["sent"]}`},
		{"credentials-in-the-url", `{"url":"https://user:s3cr3t@a.example.com/","events":["sent"]}`},
		{"no-url", `{"url":"","events":["sent"]}`},
		{"a-url-that-is-too-long", `{"url":"https://a.example.com/` + strings.Repeat("a", 3000) + `","events":["sent"]}`},
	} {
		got := w.do("acme manage", "POST", "/v1/webhooks", row.body).want(422).golden("webhook-wrong-" + row.name)
		if strings.Contains(got.Body.String(), "s3cr3t") {
			t.Errorf("%s: a secret is repeated: %s", row.name, got.Body)
		}
	}
	w.do("acme manage", "POST", "/v1/webhooks", `{"url":`).want(400).golden("webhook-malformed")
	if got := w.dispatcher.lastChanged(); got != nil {
		t.Errorf("the dispatcher was told of %+v", got)
	}

	id := w.webhook("acme manage", `{"url":"https://a.example.com/","events":["sent"]}`)
	for body, status := range map[string]int{
		`{"url":null}`: 422, `{"events":null}`: 422, `{"url":"ftp://a.example.com/"}`: 422, `{"enabled":false}`: 422, `{"headers":{"X":{"secret":true}}}`: 422, `[`: 400, ``: 400,
	} {
		w.do("acme manage", "PATCH", "/v1/webhooks/"+id, body).want(status)
	}
	for _, overlap := range []string{`"-1s"`, `"169h"`, `"long"`, `1`} {
		w.do("acme manage", "POST", "/v1/webhooks/"+id+"/secret/rotate", `{"overlap":`+overlap+`}`).want(422)
	}
	if got := w.dispatcher.lastChanged(); string(got.ID) != id || got.Version != 1 {
		t.Errorf("the dispatcher was told of %+v", got)
	}
}

func TestRequestsThatAreNotJSONOrTooLarge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := `{"url":"https://a.example.com/","events":["sent"]}`
	for _, row := range []struct {
		name, contentType, encoding, body string
		status                            int
	}{
		{"JSON", "application/json", "", good, 201},
		{"what curl -d sends", "application/x-www-form-urlencoded", "", good, 201},
		{"no media type", "", "", good, 201},
		{"XML", "application/xml", "", "<a/>", 415},
		{"a form", "application/x-www-form-urlencoded", "", "url=x", 415},
		{"compressed", "application/json", "gzip", good, 415},
		{"too large", "application/json", "", `{"description":"` + strings.Repeat("x", maxBody) + `"}`, 413},
	} {
		r := httptest.NewRequest("POST", "/v1/webhooks", strings.NewReader(row.body))
		if row.contentType != "" {
			r.Header.Set("Content-Type", row.contentType)
		}
		if row.encoding != "" {
			r.Header.Set("Content-Encoding", row.encoding)
		}
		if got := w.send("acme manage", r); got.Code != row.status {
			t.Errorf("%s: answered %d %s, want %d", row.name, got.Code, got.Body, row.status)
		}
	}
}

func TestATestSaysHowItWent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.webhook("acme manage", fmt.Sprintf(`{"url":%q,"events":["complained","opened"],"timeout":"1s"}`, w.receiver.URL))
	path := "/v1/webhooks/" + id + "/test"

	tested := read[wire.WebhookTested](w.do("acme manage", "POST", path, "").want(200).golden("webhook-tested"))
	if !tested.Success || w.receiver.lastBody() != string(schema.Sample("opened")) {
		t.Errorf("%+v; the receiver got %s, not the sample of its first type", tested, w.receiver.lastBody())
	}
	one := read[wire.Delivery](w.do("acme read", "GET", "/v1/deliveries/"+tested.DeliveryID, "").want(200).golden("delivery-of-a-test"))
	if len(one.Attempts) != 1 || one.Attempts[0].Request.Body != w.receiver.lastBody() || !one.Test {
		t.Errorf("the log has %+v", one)
	}
	w.do("acme manage", "POST", path, `{"event":"bounced"}`).want(200)
	if w.receiver.lastBody() != string(schema.Sample("bounced")) {
		t.Errorf("the receiver got %s", w.receiver.lastBody())
	}
	w.do("acme manage", "POST", path, `{"event":"lost"}`).want(422).golden("webhook-test-of-no-event")
	w.do("acme manage", "POST", path, `{"evnt":"sent"}`).want(422)

	w.receiver.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	failed := read[wire.WebhookTested](w.do("acme manage", "POST", path, `{}`).want(200).golden("webhook-test-failed"))
	if failed.Success {
		t.Error("a 500 is a success")
	}
	hang := make(chan struct{})
	w.receiver.answers(func(http.ResponseWriter, *http.Request) { <-hang })
	timedOut := read[wire.WebhookTested](w.do("acme manage", "POST", path, "").want(200))
	close(hang)
	if want := "Test failed. No answer within 1 s. Answer first, process later."; timedOut.Message != want {
		t.Errorf("%q, want %q", timedOut.Message, want)
	}

	w.receiver.answers(func(http.ResponseWriter, *http.Request) {})
	w.do("acme manage", "POST", "/v1/webhooks/"+id+"/disable", "").want(200)
	w.do("acme manage", "POST", path, "").want(200)
	w.do("acme manage", "POST", "/v1/webhooks/"+string(telltale.NewWebhookID())+"/test", "").want(404)

	if got := w.dispatcher.lastChanged(); got.Enabled {
		t.Error("a passing test enabled what a person disabled")
	}
	w.do("acme manage", "POST", "/v1/webhooks/"+id+"/enable", "").want(200)
	if _, err := w.store.DisableWebhook(t.Context(), w.acme.ID, telltale.WebhookID(id), telltale.DisabledGone); err != nil {
		t.Fatal(err)
	}
	w.receiver.answers(answerStatus(410))
	w.do("acme manage", "POST", path, "").want(200)
	if got := read[wire.Webhook](w.do("acme read", "GET", "/v1/webhooks/"+id, "").want(200)); got.DisabledReason != "gone" {
		t.Errorf("after a failing test it is %+v", got)
	}
	w.receiver.answers(answerStatus(200))
	w.do("acme manage", "POST", path, "").want(200)
	if got := w.dispatcher.lastChanged(); !got.Enabled || string(got.ID) != id {
		t.Errorf("after a passing test the dispatcher was told of %+v", got)
	}

	w.dispatcher.err = telltale.Errorf(telltale.Unavailable, "The node is stopping.")
	w.do("acme manage", "POST", path, "").want(503)
}

func TestAChangeIsMadeOnTopOfWhatOthersChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.webhook("acme manage", `{"url":"https://a.example.com/","events":["sent"]}`)
	path := "/v1/webhooks/" + id
	w.store.mu.Lock()
	w.store.conflicts, w.store.meanwhile = maxMerges-1, func() {
		old, err := w.store.Store.Webhook(t.Context(), w.acme.ID, telltale.WebhookID(id))
		if err != nil {
			t.Error(err)
			return
		}
		changed := *old
		changed.Description += "x"
		if _, err := w.store.Store.UpdateWebhook(t.Context(), changed); err != nil {
			t.Error(err)
		}
	}
	w.store.mu.Unlock()
	got := read[wire.Webhook](w.do("acme manage", "PATCH", path, `{"concurrency":7}`).want(200))
	if got.Concurrency != 7 || got.Description != strings.Repeat("x", maxMerges-1) {
		t.Errorf("got %+v", got)
	}
	w.store.mu.Lock()
	w.store.conflicts = maxMerges
	w.store.mu.Unlock()
	w.do("acme manage", "PATCH", path, `{"concurrency":8}`).want(409)
}

func TestChangesAtTheSameTimeAreAllMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := "/v1/webhooks/" + w.webhook("acme manage", `{"url":"https://a.example.com/","events":["sent"]}`)
	var changing sync.WaitGroup
	for i := range maxMerges {
		changing.Go(func() {
			w.do("acme manage", "PATCH", path, fmt.Sprintf(`{"headers":{"X-%d":"y"}}`, i)).want(200)
		})
	}
	changing.Wait()
	if got := read[wire.Webhook](w.do("acme read", "GET", path, "").want(200)); len(got.Headers) != maxMerges {
		t.Errorf("the headers are %v", got.Headers)
	}
}

func TestAStoreThatCannotIsAnswered503(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := "/v1/webhooks/" + w.webhook("acme manage", `{"url":"https://a.example.com/","events":["sent"]}`)
	w.store.fail(telltale.Errorf(telltale.Unavailable, "The disk is full."))
	if got := w.do("acme read", "GET", path, "").want(503); got.Header().Get("Retry-After") == "" || got.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("Retry-After %q, Content-Type %q", got.Header().Get("Retry-After"), got.Header().Get("Content-Type"))
	}
	w.store.fail(fmt.Errorf("disk on fire at /secret/path"))
	if got := w.do("acme read", "GET", path, "").want(500); strings.Contains(got.Body.String(), "fire") {
		t.Errorf("it tells %s", got.Body)
	}
}
