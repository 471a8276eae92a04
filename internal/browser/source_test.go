package browser

import (
	"bytes"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale/internal/feed"
)

const sources = "/p/default/settings/project/sources"

var pasted = regexp.MustCompile(`<code id="source-url" tabindex="0">([^<]+)</code>`)

// source adds one with the credentials that its provider gives, and gives the
// path of its page and the URL that is pasted at the provider.
func (w *world) source(provider, name string, credentials map[string]string) (at, address string) {
	w.Helper()
	answer, text := w.request(w.cookie, http.MethodPost, sources+"/new", url.Values{"provider": {provider}, "name": {name}})
	if answer.StatusCode != http.StatusSeeOther {
		w.Fatalf("a source is not added: %s", text)
	}
	at = answer.Header.Get("Location")
	_, page := w.request(w.cookie, http.MethodGet, at, nil, answer.Cookies()...)
	found := pasted.FindStringSubmatch(page)
	if found == nil {
		w.Fatalf("there is no URL in %s", page)
	}
	if len(credentials) == 0 {
		return at, html.UnescapeString(found[1])
	}
	form := url.Values{"version": {"1"}, "name": {name}}
	for name, value := range credentials {
		form.Set("credential-"+name, value)
	}
	if answer, text := w.request(w.cookie, http.MethodPost, at, form); answer.StatusCode != http.StatusSeeOther {
		w.Fatalf("a source is not saved: %s", text)
	}
	return at, html.UnescapeString(found[1])
}

// arrives posts what a provider does, signed if sign is not nil.
func (w *world) arrives(address string, r *feed.Request, sign feed.Signer) int {
	w.Helper()
	if sign != nil {
		if err := sign(r, time.Now()); err != nil {
			w.Fatal(err)
		}
	}
	request, err := http.NewRequestWithContext(w.Context(), http.MethodPost, address, bytes.NewReader(r.Body))
	if err != nil {
		w.Fatal(err)
	}
	request.Header = r.Header
	response, err := new(http.Client).Do(request)
	if err != nil {
		w.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// saying is a request of SendGrid's about one event of that name.
func saying(event string) *feed.Request {
	return &feed.Request{
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   []byte(`[{"event":"` + event + `","email":"ana@example.com","timestamp":1700000000,"sg_event_id":"` + event + `"}]`),
	}
}

// pair makes a verification key and what signs for it.
func pair(t *testing.T) (key string, sign feed.Signer) {
	t.Helper()
	credentials, sign, err := feed.ProviderNamed("sendgrid").Pair()
	if err != nil {
		t.Fatal(err)
	}
	return credentials["verification_key"], sign
}

// Somebody connects SendGrid: the page that they leave open says by itself that
// events come, and why one does not.
func TestASendGridSourceComesToLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.owner()
	b.open("/p/default/")
	b.click("link", "Sources")
	b.the("heading", "No sources yet")
	b.click("link", "SendGrid You need its verification key.")
	b.focusIs("Name")
	b.fill("Name", "Newsletters")
	b.click("button", "Add source")
	b.says("#result", "Source added.")
	b.the("heading", "Newsletters")
	b.says("#live", "Waiting for the first event… Enter the verification key first.")
	address := b.text("#source-url")

	key, sign := pair(t)
	b.fill("Verification key", "not a key")
	b.click("button", "Save")
	b.says(".faults", "This is no verification key of SendGrid's")
	if got := b.the("textbox", "Verification key").value(); got != "not a key" {
		t.Errorf("what was typed became %q", got)
	}
	b.fill("Verification key", key)
	b.click("button", "Save")
	b.says("#result", "Source saved.")
	b.saysNot("#live", "Enter the verification key first.")

	// From here on nobody loads the page.
	js[any](b, `window.stays = true`)
	b.fill("Name", "half of what I wanted to")
	if status := w.arrives(address, feed.ProviderNamed("sendgrid").Samples(time.Now())[0], sign); status != http.StatusOK {
		t.Fatalf("the source answers %d", status)
	}
	b.says("#live", "Receiving. 9 events, the last")
	_, stranger := pair(t)
	if status := w.arrives(address, feed.ProviderNamed("sendgrid").Samples(time.Now())[0], stranger); status != http.StatusUnauthorized {
		t.Fatalf("a request that another key signed is answered %d", status)
	}
	b.says("#live", "Failing: The signature does not match: is the verification key from the same webhook?")
	if status := w.arrives(address, saying("levitated"), sign); status != http.StatusOK {
		t.Fatalf("the source answers %d", status)
	}
	b.says("#live", "Receiving.", "Last failure", "1 request was not understood, and is kept.")
	if !js[bool](b, `window.stays === true`) {
		t.Error("the page was loaded anew")
	}
	if got := b.the("textbox", "Name").value(); got != "half of what I wanted to" {
		t.Errorf("what was typed became %q", got)
	}

	b.click("link", "See what came")
	b.the("heading", "Not understood")
	b.click("button", "Replay all")
	b.says("#result", "Nothing more was understood. 1 request is still not understood.")
	b.click("checkbox", "Select all on this page")
	b.click("button", "Delete selected")
	b.says("#result", "1 request deleted.")
	b.the("heading", "Everything was understood")

	b.open("/p/default/events")
	b.says("main", "sendgrid")
	b.open(sources)
	b.says("#sources", "Newsletters", "9 events")
	b.click("link", "Newsletters")
	b.click("switch", "Enable source Newsletters")
	b.says("#result", "Source turned off.")
	b.click("link", "Delete…")
	b.the("dialog", "Delete this source?")
	b.click("link", "Cancel")
	b.gone("dialog", "Delete this source?")
	b.click("link", "Delete…")
	b.click("button", "Delete source")
	b.says("#result", "The source Newsletters is deleted.")
}

// A test through a source stays on its page, and the counts follow.
func TestATestThroughASource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	credentials, _, err := feed.ProviderNamed("resend").Pair()
	if err != nil {
		t.Fatal(err)
	}
	at, _ := w.source("resend", "Receipts", credentials)
	b := w.owner()
	b.open(at)
	js[any](b, `window.stays = true`)
	b.click("button", "Send a test through this source")
	b.says("#result", "Test succeeded.", "The source answered 200:")
	b.says("#live", "Receiving. ")
	if !js[bool](b, `window.stays === true`) {
		t.Error("the page was loaded anew")
	}
	if source := b.source(); strings.Contains(source, credentials["signing_secret"]) {
		t.Error("the secret is in the page")
	}
}
