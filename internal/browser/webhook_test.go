package browser

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale/schema"
	"telltale.example/telltale/signature"
)

const reporting = "/settings/project/reporting-webhooks"

// The documented flow of the original, word by word.
func TestReportingWebhooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.owner()
	r := newReceiver(t)

	// 1. From the start page to the list.
	b.open("/")
	b.click("link", "Settings")
	b.click("link", "Project")
	b.click("link", "Reporting Webhooks")
	b.the("heading", "Reporting webhooks")
	if !strings.HasSuffix(b.path(), reporting) {
		t.Errorf("the address is %s", b.path())
	}
	b.the("heading", "No reporting webhooks yet")

	// 2. Add webhook opens a dialog with the focus in URL.
	b.click("link", "Add webhook")
	b.the("dialog", "Add webhook")
	b.until("the focus is in URL", func() bool { return b.focused() == "URL" })

	// 3. URL, Event, Save.
	b.fill("URL", r.url)
	b.the("group", "Event")
	b.click("checkbox", "Sent")
	b.click("button", "Save")
	b.gone("dialog", "Add webhook")
	b.says("#result", "Webhook saved.")
	b.says("#webhooks", r.url, "Sent", "Never used")
	if got := b.the("switch", "Enable webhook "+r.url).property("checked"); got != "true" {
		t.Errorf("the switch is %s", got)
	}

	// 4. A test that succeeds.
	b.test(r)
	b.says("#result", "Test succeeded. localhost answered 200 OK in ", "View delivery")
	sent := r.requests()
	if len(sent) != 1 {
		t.Fatalf("the receiver got %d requests", len(sent))
	}
	if want := strings.TrimSpace(string(schema.Sample("sent"))); sent[0].body != want {
		t.Errorf("the receiver got %s; want %s", sent[0].body, want)
	}
	var hooks struct{ Data []struct{ ID string } }
	w.api("GET", "/v1/webhooks?project=default", "", &hooks)
	id := hooks.Data[0].ID
	var secret struct{ Secret string }
	w.api("GET", "/v1/webhooks/"+id+"/secret?project=default", "", &secret)
	key, err := signature.ParseSecret(secret.Secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := signature.NewVerifier(key).Verify(sent[0].header, []byte(sent[0].body), time.Now()); err != nil {
		t.Error(err)
	}

	// 5. Tests that fail say why; they are made once, and count for nothing.
	r.answers(http.StatusInternalServerError, 0)
	b.test(r)
	b.says("#result", "Test failed. localhost answered 500 Internal Server Error in ", "It should answer with any 2xx status.", "View delivery")
	r.answers(http.StatusOK, 6*time.Second)
	b.test(r)
	b.says("#result", "Test failed. No answer within 5 s. Answer first, process later.")
	r.answers(http.StatusOK, 0)
	if n := len(r.requests()); n != 3 {
		t.Errorf("the receiver got %d requests; want 3", n)
	}
	b.says("#webhooks", "Never used")

	// 6. Edit, with what is there filled in.
	b.act(r, "Edit")
	b.the("dialog", "Edit webhook")
	if got := b.the("textbox", "URL").value(); got != r.url {
		t.Errorf("the URL is filled in as %q", got)
	}
	if b.the("checkbox", "Sent").property("checked") != "true" || b.the("checkbox", "Delivered").property("checked") != "false" {
		t.Error("the events are not filled in")
	}
	b.click("checkbox", "Bounced (hard and soft)")
	b.click("button", "Save")
	b.gone("dialog", "Edit webhook")
	b.says("#webhooks", "Bounced")
	b.test(r)
	b.says("#result", "Test succeeded.")
	b.click("button", "Send another event")
	b.click("button", "Bounced")
	b.until("the other event is sent", func() bool {
		got := r.requests()
		return strings.Contains(got[len(got)-1].body, `"type":"bounced"`)
	})

	// 7. Off means not sent, and what happened meanwhile is offered.
	began := time.Now()
	b.click("switch", "Enable webhook "+r.url)
	b.until("the switch is off", func() bool {
		s := b.all("switch", "Enable webhook "+r.url)
		return len(s) == 1 && s[0].property("checked") == "false"
	})
	t.Logf("the switch took %s", time.Since(began))
	b.says("#result", "Webhook turned off. Events are not queued for it.")
	b.says("#webhooks", "Off")
	before := len(r.requests())
	for range 3 {
		w.post("sent")
	}
	b.click("switch", "Enable webhook "+r.url)
	b.says("#result", "Webhook turned on.", "3 matching events happened while it was off.", "Skip")
	if n := len(r.requests()); n != before {
		t.Errorf("%d events were sent while it was off", n-before)
	}
	w.post("bounced")
	b.until("the next event is delivered", func() bool { return len(r.requests()) == before+1 })
	b.click("button", "Send them")
	b.says("#result", "Sending 3 events.")
	b.until("what was missed is delivered", func() bool { return len(r.requests()) == before+4 })
	b.until("it is healthy", func() bool { return strings.Contains(b.text("#webhooks"), "Healthy") })
}

// test presses Test in the webhook's menu.
func (b *tab) test(r *receiver) {
	b.Helper()
	js[any](b, `document.querySelector("#result").replaceChildren()`)
	b.act(r, "Test")
}

// act opens the webhook's menu and presses what is in it.
func (b *tab) act(r *receiver, what string) {
	b.Helper()
	b.click("button", "Actions for "+r.url)
	role := "link"
	if what == "Test" {
		role = "button"
	}
	b.click(role, what)
}

// post accepts the sample of an event.
func (w *world) post(event string) string {
	w.Helper()
	var accepted struct{ Events []struct{ ID string } }
	w.api("POST", "/v1/events?project=default", string(schema.Sample(event)), &accepted)
	return accepted.Events[0].ID
}
