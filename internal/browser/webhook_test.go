package browser

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"telltale.example/telltale/internal/config"
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

// The same without JavaScript: every step is a page.
func TestReportingWebhooksWithoutJavaScript(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.owner()
	b.withoutJavaScript()
	r := newReceiver(t)

	b.open("/")
	b.click("link", "Settings")
	b.click("link", "Project")
	b.click("link", "Reporting Webhooks")
	b.the("heading", "No reporting webhooks yet")
	b.click("link", "Add webhook")
	b.the("heading", "Add webhook")
	b.focusIs("URL")
	b.fill("URL", r.url)
	b.click("checkbox", "Sent")
	b.click("button", "Save")
	b.says("#result", "Webhook saved.")
	b.says("#webhooks", r.url, "Never used")

	b.act(r, "Test")
	b.says("#result", "Test succeeded. localhost answered 200 OK in ")
	r.answers(http.StatusInternalServerError, 0)
	b.act(r, "Test")
	b.says("#result", "Test failed. localhost answered 500 Internal Server Error in ", "It should answer with any 2xx status.")
	r.answers(http.StatusOK, 6*time.Second)
	b.act(r, "Test")
	b.says("#result", "Test failed. No answer within 5 s. Answer first, process later.")
	r.answers(http.StatusOK, 0)

	b.act(r, "Edit")
	b.the("heading", "Edit webhook")
	b.click("checkbox", "Bounced (hard and soft)")
	b.click("button", "Save")
	b.says("#webhooks", "Bounced")

	b.click("switch", "Enable webhook "+r.url)
	b.says("#result", "Webhook turned off. Events are not queued for it.")
	b.says("#webhooks", "Off")
	before := len(r.requests())
	for range 3 {
		w.post("sent")
	}
	b.click("switch", "Enable webhook "+r.url)
	b.says("#result", "Webhook turned on.", "3 matching events happened while it was off.")
	w.post("bounced")
	b.until("the next event is delivered", func() bool { return len(r.requests()) == before+1 })
	b.click("button", "Send them")
	b.says("#result", "Sending 3 events.")
	b.until("what was missed is delivered", func() bool { return len(r.requests()) == before+4 })
}

// The same with the keyboard alone. The focus is never lost.
func TestReportingWebhooksByKeyboard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.owner()
	r := newReceiver(t)

	b.open("/")
	b.the("heading", "Overview")
	b.tabTo("Settings")
	b.press(kb.Enter)
	b.the("link", "General")
	b.tabTo("Reporting Webhooks")
	b.press(kb.Enter)
	b.the("heading", "Reporting webhooks")
	b.tabTo("Add webhook")
	b.press(kb.Enter)
	b.focusIs("URL")
	b.press(kb.Escape)
	b.gone("dialog", "Add webhook")
	b.focusIs("Add webhook")
	b.press(kb.Enter)
	b.focusIs("URL")
	b.do(chromedp.KeyEvent(r.url))
	b.tabTo("Sent")
	b.press(" ")
	b.tabTo("Save")
	b.press(kb.Enter)
	b.gone("dialog", "Add webhook")
	b.says("#result", "Webhook saved.")
	b.says("#webhooks", r.url)

	actions := "Actions for " + r.url
	b.focusIs("Add webhook")
	b.tabTo(actions)
	b.press(kb.Enter)
	b.tabTo("Test")
	b.press(kb.Enter)
	b.says("#result", "Test succeeded.")
	b.focusIs(actions)
	b.press(kb.Enter)
	b.tabTo("Edit")
	b.press(kb.Enter)
	b.focusIs("URL")
	b.tabTo("Bounced (hard and soft)")
	b.press(" ")
	b.tabTo("Save")
	b.press(kb.Enter)
	b.gone("dialog", "Edit webhook")
	b.says("#webhooks", "Bounced")
	b.focusIs(actions)

	b.open("/p/default" + reporting)
	name := "Enable webhook " + r.url
	b.tabTo(name)
	b.press(" ")
	b.says("#result", "Webhook turned off. Events are not queued for it.")
	b.focusIs(name)
	b.until("the switch is off", func() bool { return b.the("switch", name).property("checked") == "false" })
	b.press(" ")
	b.says("#result", "Webhook turned on.")
	b.focusIs(name)
}

// What is typed stays, and the focus goes to what is wrong.
func TestAFormThatIsWrong(t *testing.T) {
	t.Parallel()
	b := newWorld(t).owner()
	b.open("/p/default" + reporting)
	b.click("link", "Add webhook")
	b.the("dialog", "Add webhook")
	b.fill("URL", "hooks.example.com/in")
	b.click("button", "Save")
	b.says("#dialog", "2 things need your attention.", "Start the URL with https:// or http://.", "Choose at least one event.")
	b.until("the focus is on the summary", func() bool { return js[bool](b, `document.activeElement.classList.contains("faults")`) })
	if got := b.the("textbox", "URL").value(); got != "hooks.example.com/in" {
		t.Errorf("the URL is %q now", got)
	}
	if b.the("textbox", "URL").property("invalid") != "true" {
		t.Error("the field is not marked as invalid")
	}
	b.click("link", "Choose at least one event.")
	b.focusIs("Event")
	b.the("dialog", "Add webhook") // it is the same one, and still open
	b.fill("URL", "https://hooks.example.com/in")
	b.click("checkbox", "All events")
	b.click("button", "Save")
	b.says("#result", "Webhook saved.")
	b.says("#webhooks", "All events")
}

// A well-known receiver's limits are offered while its URL is typed.
func TestPresets(t *testing.T) {
	t.Parallel()
	b := newWorld(t).owner()
	b.open("/p/default" + reporting)
	b.click("link", "Add webhook")
	b.fill("URL", "https://hooks.zapier.com/hooks/catch/123/abc/")
	b.says("#advice", "This looks like a Zapier hook. Use 25 requests/s?")
	b.click("checkbox", "Clicked")
	b.click("button", "Apply")
	b.focusIs("Rate limit, requests/s")
	if got := b.the("textbox", "Rate limit, requests/s").value(); got != "25" {
		t.Errorf("the rate is %q", got)
	}
	if b.the("checkbox", "Clicked").property("checked") != "true" {
		t.Error("what was ticked is gone")
	}
	b.fill("URL", "http://hooks.example.com/webhook-test/1")
	b.says("#advice", "Sends personal data unencrypted.", "This n8n URL only works while you press Listen.")
	b.fill("URL", "https://hooks.example.com/")
	b.until("there is no advice", func() bool { return b.text("#advice") == "" })

	b.click("button", "all")
	b.focusIs("Event")
	if b.the("checkbox", "All events").property("checked") != "true" {
		t.Error("not all events are ticked")
	}
	b.click("button", "none")
	b.until("none is ticked", func() bool { return b.the("checkbox", "All events").property("checked") == "false" })
	b.click("button", "Add a header")
	b.focusIs("Name of header 1")
	b.click("link", "Cancel")
	b.gone("dialog", "Add webhook")
	b.says("#webhooks", "No reporting webhooks yet")
}

func TestPrivateAddressesAreRefused(t *testing.T) {
	t.Parallel()
	b := newWorld(t, func(c *config.Config) { c.AllowPrivate = false }).owner()
	b.open("/p/default" + reporting)
	b.click("link", "Add webhook")
	b.fill("URL", "https://10.2.0.8/hook")
	b.click("checkbox", "Sent")
	b.click("button", "Save")
	b.says("#dialog", "10.2.0.8 is a private address. Your administrator must allow it (TELLTALE_ALLOW_CIDRS).")
}

// The secret is shown with the first save, and then to nobody who does not ask.
func TestTheSecretIsShownToWhoAsks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.owner()
	b.open("/p/default" + reporting)
	b.click("link", "Add webhook")
	b.fill("URL", "https://hooks.example.com/in")
	b.click("checkbox", "Sent")
	b.click("button", "Save")
	b.says("#result", "Signing secret of hooks.example.com.", "whsec_")
	b.click("button", "Copy the signing secret")
	b.says("#result", "Copied")

	b.open("/p/default" + reporting)
	b.click("link", "https://hooks.example.com/in")
	at := b.path()
	var is struct{ Secret string }
	w.api("GET", "/v1/webhooks/"+at[strings.LastIndex(at, "/")+1:]+"/secret?project=default", "", &is)
	for _, page := range []string{"", "/settings", "/edit", "/rotate", "/delete", "/code", "/signing"} {
		b.open(at + page)
		if strings.Contains(b.source(), strings.TrimPrefix(is.Secret, "whsec_")) {
			t.Errorf("%s has the secret", page)
		}
	}
	b.fill("Your password", "wrong wrong wrong")
	b.click("button", "Reveal")
	b.says("main", "The password is wrong.")
	b.fill("Your password", password)
	b.click("button", "Reveal")
	b.the("button", "Copy the secret")
	secret := b.text("#secret")
	if secret != is.Secret {
		t.Errorf("the secret reads %q; want %q", secret, is.Secret)
	}
	b.open(at + "/signing")
	if strings.Contains(b.source(), secret) {
		t.Error("it is shown again")
	}
	b.click("link", "Rotate secret")
	b.the("dialog", "Rotate secret")
	b.click("radio", "1 hour")
	b.click("button", "Rotate secret")
	b.says("#result", "Secret rotated.", "The one before signs too until", "whsec_")
	if strings.Contains(b.source(), secret) {
		t.Error("the secret before is shown")
	}
}

// Two people edit the same webhook: the second is told, and decides.
func TestTwoTabsEditOneWebhook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mine := w.owner()
	w.api("POST", "/v1/webhooks?project=default", `{"url":"https://hooks.example.com/in","events":["sent"]}`, nil)
	mine.open("/p/default" + reporting)
	theirs := mine.beside()
	theirs.open("/p/default" + reporting)
	edit := func(b *tab, description string) {
		b.click("button", "Actions for https://hooks.example.com/in")
		b.click("link", "Edit")
		b.the("dialog", "Edit webhook")
		js[any](b, `document.querySelector("details.more").open = true`)
		b.fill("Description", description)
	}
	edit(mine, "mine")
	edit(theirs, "theirs")
	theirs.click("button", "Save")
	theirs.says("#webhooks", "theirs")

	mine.click("button", "Save")
	mine.says("#dialog", "Someone changed this webhook at", "Review their version")
	if got := mine.the("textbox", "Description").value(); got != "mine" {
		t.Errorf("what was typed is %q now", got)
	}
	mine.click("link", "Review their version")
	mine.gone("link", "Review their version")
	js[any](mine, `document.querySelector("details.more").open = true`)
	if got := mine.the("textbox", "Description").value(); got != "theirs" {
		t.Errorf("their version says %q", got)
	}
	mine.fill("Description", "mine again")
	edit(theirs, "theirs again")
	theirs.click("button", "Save")
	theirs.says("#webhooks", "theirs again")
	mine.click("button", "Save")
	mine.click("button", "Overwrite")
	mine.says("#result", "Webhook saved.")
	mine.says("#webhooks", "mine again")
	theirs.until("the other list shows it by itself", func() bool { return strings.Contains(theirs.text("#webhooks"), "mine again") })
}

// Someone who has nothing yet gets from the empty page to a request that was caught.
func TestTheInspectorAsTheFirstReceiver(t *testing.T) {
	t.Parallel()
	b := newWorld(t, func(c *config.Config) { c.AllowPrivate = false }).owner()
	b.open("/p/default" + reporting)
	b.the("heading", "No reporting webhooks yet")
	b.says("#webhooks", "Add a URL and choose which events it should receive. Nothing is sent until you do.")
	b.click("button", "Try it with the built-in inspector")
	b.says("#result", "Webhook saved. It sends all events to the built-in inspector for a day.")
	b.says("#webhooks", "All events", "Built-in inspector")
	b.click("button", "Send a test")
	b.says("#result", "Test succeeded.")
}

// Deleting asks, and can be taken back.
func TestAWebhookIsDeletedAndBroughtBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.owner()
	w.api("POST", "/v1/webhooks?project=default", `{"url":"https://hooks.example.com/in","events":["sent"]}`, nil)
	b.open("/p/default" + reporting)
	b.click("button", "Actions for https://hooks.example.com/in")
	b.click("link", "Delete…")
	b.the("dialog", "Delete this webhook?")
	b.says("#dialog", "It was never used.")
	b.click("link", "Cancel")
	b.gone("dialog", "Delete this webhook?")
	b.click("button", "Actions for https://hooks.example.com/in")
	b.click("link", "Delete…")
	b.click("button", "Delete webhook")
	b.gone("dialog", "Delete this webhook?")
	b.says("#result", "Webhook deleted.")
	b.the("heading", "No reporting webhooks yet")
	b.click("button", "Undo")
	b.says("#result", "Webhook restored.")
	b.says("#webhooks", "https://hooks.example.com/in")
}
