package browser

import (
	"strings"
	"testing"
)

// A bin is made, answers as told, is used as a webhook, and shows what comes by itself.
func TestTheInspector(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.owner()
	b.open("/p/default/inspect")
	b.the("heading", "No bins")
	b.click("button", "Make a bin")
	b.says("#result", "The bin is ready.")
	b.click("button", "Use as webhook")
	b.says("#result", "A webhook sends all events to this bin now.")
	w.post("bounced")
	b.says("#caught", "1 request", "Bounced", "Signature valid", "hard") // nobody loads the page again
	b.click("DisclosureTriangle", "Answer with: 200 OK")
	b.fill("Body", "half of what I wanted to")
	w.post("sent")
	b.says("#caught", "2 requests", "Sent")
	if got := b.the("textbox", "Body").value(); got != "half of what I wanted to" {
		t.Errorf("what was typed became %q", got)
	}
	b.click("button", "Save answer")
	b.says("#result", "The bin answers so from now on.")
	b.click("link", "Delete…")
	b.the("dialog", "Delete this bin?")
	b.click("link", "Cancel")
	b.gone("dialog", "Delete this bin?")
	b.click("link", "Delete…")
	b.click("button", "Delete bin")
	b.the("heading", "No bins")
}

func TestKeysAreRevokedInADialog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.owner()
	b.open("/p/default/settings/project/api-keys")
	b.fill("Name", "Shop backend")
	b.click("button", "Make key")
	b.says("main", "Copy the key Shop backend now.", "tt_")
	b.open("/p/default/settings/project/api-keys")
	b.saysNot("main", "tt_")
	b.click("link", "Revoke Shop backend")
	b.the("dialog", "Revoke this key?")
	b.click("button", "Revoke key")
	b.says("main", "The key Shop backend is revoked.", "Revoked")
}

// Every page of these is readable on a small screen, without scrolling sideways.
func TestSettingsFitASmallScreen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var bin struct{ ID string }
	w.api("POST", "/v1/inspect?project=default", "", &bin)
	w.api("POST", "/v1/webhooks?project=default", `{"url":"`+w.app.URL()+"/in/"+bin.ID+`","events":["*"]}`, nil)
	w.post("sent")
	b := w.owner()
	b.size(390, 844)
	const settings = "/p/default/settings/project/"
	for _, path := range []string{
		"/docs", "/docs/receivers", "/docs/payloads", "/docs/failures", "/docs/api", "/p/default/inspect", "/p/default/inspect/" + bin.ID,
		settings + "general", settings + "event-types", settings + "event-types/sent", settings + "api-keys", settings + "audit-log", "/admin/projects", "/admin/system",
	} {
		b.open(path)
		if wide := js[int](b, `document.documentElement.scrollWidth`); wide > 390 {
			t.Errorf("%s is %d wide", path, wide)
		}
		if title := js[string](b, `document.title`); !strings.Contains(title, "Telltale") || len(b.all("heading", "")) == 0 {
			t.Errorf("%s is %q", path, title)
		}
	}
}
