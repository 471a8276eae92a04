package web_test

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"telltale.example/telltale/internal/config"
)

const (
	reporting = "/settings/project/reporting-webhooks"
	list      = "/p/default" + reporting
)

// filled is the form with its two fields.
func filled(address string, events ...string) url.Values {
	return url.Values{"url": {address}, "event": events, "timeout": {"5"}, "parallel": {"4"}, "retry": {"default"}, "auth": {"none"}}
}

// create makes a webhook through the form and gives its id.
func (w *world) create(address string, events ...string) string {
	w.t.Helper()
	w.post(list+"/new", filled(address, events...)).want(http.StatusSeeOther)
	w.get(list).want(http.StatusOK) // and the notice is gone
	var page struct{ Data []struct{ ID, URL string } }
	w.api("GET", "/v1/webhooks?project=default", "", &page)
	for _, hook := range page.Data {
		if hook.URL == address {
			return hook.ID
		}
	}
	w.t.Fatalf("there is no webhook of %s", address)
	return ""
}

func TestTheFlowWithoutJavaScript(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var status atomic.Int64
	status.Store(200)
	address := receiver(t, func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		rw.WriteHeader(int(status.Load()))
	})
	w.get(list).want(200).says("No reporting webhooks yet", "Add a URL and choose which events it should receive. Nothing is sent until you do.", "Try it with the built-in inspector")
	w.get(list+"/new").want(200).says("Add webhook", "The endpoint in your system that should receive the webhook payload.", "Choose which activity will send data to this URL.", "Bounced (hard and soft)", "12 attempts over about 3 days")

	saved := w.follow(w.post(list+"/new", filled(address, "sent"))).says("Webhook saved.", "Never used", address, "Signing secret of localhost")
	if !strings.Contains(saved.body, "whsec_") {
		t.Error("the secret is not shown after the first save")
	}
	w.get(list).says(address).lacks("whsec_", "Webhook saved.")
	id := regexp.MustCompile(`whk_[0-9A-Z]+`).FindString(saved.body)
	at := list + "/" + id

	w.follow(w.post(at+"/test", nil)).says("Test succeeded. localhost answered 200 OK in", "View delivery")
	status.Store(500)
	w.follow(w.post(at+"/test", nil)).says("Test failed. localhost answered 500 Internal Server Error in", "It should answer with any 2xx status.")
	status.Store(200)

	w.get(at + "/edit").want(200).says("Edit webhook")
	edit := filled(address, "sent", "bounced")
	edit.Set("version", "1")
	w.follow(w.post(at+"/edit", edit)).says("Webhook saved.", "Bounced").lacks("whsec_")
	w.follow(w.post(at+"/test", url.Values{"event": {"bounced"}})).says("Test succeeded.", "Send another event")

	w.follow(w.post(at+"/switch", url.Values{"to": {"off"}})).says("Webhook turned off. Events are not queued for it.", "Off")
	w.follow(w.post(at+"/switch", url.Values{"to": {"on"}})).says("Webhook turned on.")

	w.get(at+"/delete").want(200).says("Delete this webhook?", "Delete webhook")
	deleted := w.follow(w.post(at+"/delete", nil)).says("Webhook deleted.", "Undo", "No reporting webhooks yet")
	_ = deleted
	w.follow(w.post(at+"/restore", nil)).says("Webhook restored.", address)
}

func TestFormsThatAreWrongComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wrong := filled("example.com/hook")
	wrong.Set("description", "<b>keep me</b>")
	wrong.Set("timeout", "99")
	wrong.Set("header-0-name", "webhook-id")
	p := w.post(list+"/new", wrong).want(http.StatusUnprocessableEntity).
		says("4 things need your attention.", "Start the URL with https:// or http://.", "Choose at least one event.", "The timeout is out of range. Use 1 to 30 seconds.", "Telltale or HTTP sets this header itself")
	for _, source := range []string{`value="example.com/hook"`, `value="&lt;b&gt;keep me&lt;/b&gt;"`, `href="#f-url"`, `aria-invalid="true"`, `<details class="more" open>`} {
		if !strings.Contains(p.body, source) {
			t.Errorf("the form lacks %s", source)
		}
	}
	first := strings.Index(p.body, `href="#f-url"`)
	if second := strings.Index(p.body, `href="#f-event"`); first > second {
		t.Error("the summary is not in the order of the fields")
	}
	w.post(list+"/new", filled("https://me:secret@hooks.example.com/", "sent")).want(422).says("Put credentials under Authentication, not in the URL.")
}

func TestPrivateAddressesAreRefusedAtSave(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *config.Config) { c.AllowPrivate = false })
	w.post(list+"/new", filled("https://10.2.0.8/hook", "sent")).want(422).
		says("10.2.0.8 is a private address. Your administrator must allow it (TELLTALE_ALLOW_CIDRS).")
}

func TestStepsOfTheFormSaveNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := filled("https://hooks.zapier.com/hooks/catch/1/abc", "sent")
	f.Set("step", "preset")
	p := w.post(list+"/new", f).want(200).says("This looks like a Zapier hook. Use 25 requests/s?")
	if !regexp.MustCompile(`name="rate"[^>]*value="25"`).MatchString(p.body) {
		t.Error("the preset did not set the rate")
	}
	f.Set("step", "all")
	if p = w.post(list+"/new", f).want(200); !regexp.MustCompile(`value="\*" checked`).MatchString(p.body) {
		t.Error("not all events are chosen")
	}
	f.Set("step", "none")
	if p = w.post(list+"/new", f).want(200); regexp.MustCompile(`name="event"[^>]* checked`).MatchString(p.body) {
		t.Error("there are events chosen")
	}
	f.Set("step", "header")
	f.Set("rows", "1")
	if p = w.post(list+"/new", f).want(200); !strings.Contains(p.body, "header-1-name") {
		t.Error("there is no row more")
	}
	w.get(list).says("No reporting webhooks yet")
	w.part("GET", list+"/advice?url="+url.QueryEscape("http://example.com/webhook-test/1"), nil).want(200).
		says("Sends personal data unencrypted.", "This n8n URL only works while you press Listen.")
}

func TestTheSameURLAndEventAreAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create("https://hooks.example.com/in", "sent", "bounced")
	again := filled("https://hooks.example.com/in", "bounced")
	w.post(list+"/new", again).want(422).says("hooks.example.com already receives Bounced. Save anyway?")
	again.Set("anyway", "yes")
	w.follow(w.post(list+"/new", again)).says("Webhook saved.")
}

func TestAStaleEditIsAConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := list + "/" + w.create("https://hooks.example.com/in", "sent")
	mine, theirs := filled("https://hooks.example.com/mine", "sent"), filled("https://hooks.example.com/theirs", "sent")
	mine.Set("version", "1")
	theirs.Set("version", "1")
	w.follow(w.post(at+"/edit", theirs)).says("Webhook saved.")
	p := w.post(at+"/edit", mine).want(http.StatusPreconditionFailed).says("Someone changed this webhook at", "Review their version", "Overwrite")
	if !strings.Contains(p.body, `value="https://hooks.example.com/mine"`) {
		t.Error("what was typed is gone")
	}
	w.get(at + "/edit").lacks("/mine")
	mine.Set("overwrite", regexp.MustCompile(`name="overwrite" value="(\d+)"`).FindStringSubmatch(p.body)[1])
	w.follow(w.post(at+"/edit", mine)).says("Webhook saved.", "https://hooks.example.com/mine")
	mine.Del("overwrite")
	mine.Set("version", "soon")
	w.post(at+"/edit", mine).want(http.StatusBadRequest)
}

func TestTheSecretIsInNoPageBeforeItIsRevealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := list + "/" + w.create("https://hooks.example.com/in", "sent")
	for _, path := range []string{list, at, at + "/edit", at + "/settings", at + "/signing", at + "/rotate", at + "/delete", list + "/new?from=" + at[len(list)+1:]} {
		if body := w.get(path).want(200).body; strings.Contains(strings.ReplaceAll(body, "whsec_••••••••", ""), "whsec_") {
			t.Errorf("%s has the secret", path)
		}
	}
	w.post(at+"/secret", url.Values{"password": {"wrong wrong wrong"}}).want(422).says("The password is wrong.").lacks("whsec_A", "the secret</code>")
	revealed := w.follow(w.post(at+"/secret", url.Values{"password": {password}}).want(http.StatusSeeOther)).says("The secret is shown this time only.")
	var secret struct{ Secret string }
	w.api("GET", "/v1"+"/webhooks/"+at[len(list)+1:]+"/secret?project=default", "", &secret)
	if secret.Secret == "" || !strings.Contains(html.UnescapeString(revealed.body), secret.Secret) {
		t.Error("the secret is not revealed")
	}
	w.get(at+"/signing").lacks(secret.Secret, "this time only") // nor when the page is loaded again

	rotated := w.follow(w.post(at+"/rotate", url.Values{"overlap": {"24h"}})).says("Secret rotated.", "The one before signs too until")
	if !strings.Contains(rotated.body, "whsec_") || strings.Contains(html.UnescapeString(rotated.body), secret.Secret) {
		t.Error("the fresh secret is not shown once")
	}
	w.get(at + "/signing").says("Secrets that sign too")
	w.post(at+"/rotate", url.Values{"overlap": {"9000h"}}).want(422)
}

func TestRequestsAreVerifiedForPeople(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var got atomic.Pointer[[2]string]
	address := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var head strings.Builder
		for _, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
			fmt.Fprintf(&head, "< %s: %s\r\n", name, r.Header.Get(name))
		}
		got.Store(&[2]string{head.String(), string(body)})
	})
	at := list + "/" + w.create(address, "sent")
	w.post(at+"/test", nil)
	request := got.Load()
	w.post(at+"/verify", url.Values{"headers": {request[0]}, "body": {request[1]}}).want(200).says("✓ Valid.", "The signature is valid: the current secret, these very bytes")
	w.post(at+"/verify", url.Values{"headers": {request[0]}, "body": {strings.Replace(request[1], ":", ": ", 1)}}).want(200).says("✕ Not valid.")
	w.post(at+"/verify", url.Values{"headers": {"x: y"}, "body": {request[1]}}).want(200).says("✕ Not valid.", "webhook-id")
}

func TestWebhooksOfOthersAreNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.create("https://hooks.example.com/in", "sent")
	w.api("POST", "/v1/projects", `{"slug":"other","name":"Other"}`, nil)
	for _, at := range []string{"/p/other" + reporting + "/" + id, list + "/whk_01JD0000000000000000000000", list + "/x"} {
		for _, path := range []string{"", "/edit", "/delete", "/settings", "/signing", "/rotate", "/discard", "/deliveries"} {
			w.get(at + path).want(http.StatusNotFound)
		}
		f := filled("https://hooks.example.com/in", "sent")
		f.Set("version", "1")
		for _, path := range []string{"/edit", "/switch", "/test", "/delete", "/restore", "/release", "/discard", "/secret", "/rotate", "/verify"} {
			f.Set("overlap", "24h")
			w.post(at+path, f).want(http.StatusNotFound)
		}
	}
	w.get("/p/lost" + reporting).want(http.StatusNotFound)
	w.get(list + "/new?from=" + "whk_01JD0000000000000000000000").want(http.StatusNotFound)
	w.get(list).says("https://hooks.example.com/in")
}

func TestRolesSeeWhatTheyMay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := list + "/" + w.create("https://hooks.example.com/in", "sent")
	viewer, member := w.operator("viewer"), w.operator("member")

	viewer.get(list).want(200).says("https://hooks.example.com/in", "You have viewer access").lacks(`role="switch"`, ">Test<", ">Edit<", ">Add webhook<", "Delete…")
	viewer.get(at).want(200).lacks(`role="switch"`, ">Test<", ">Edit<")
	viewer.get(at+"/settings").want(200).lacks(">Edit<", "Delete…")
	viewer.get(at+"/signing").want(200).lacks("Reveal", "Verify a request", "Rotate")
	for _, path := range []string{"/new", "/inspector"} {
		viewer.post(list+path, filled("https://hooks.example.com/", "sent")).want(http.StatusForbidden)
	}
	for _, path := range []string{"/edit", "/switch", "/test", "/delete", "/restore", "/release", "/discard", "/secret", "/rotate", "/verify"} {
		viewer.post(at+path, url.Values{"to": {"off"}}).want(http.StatusForbidden)
	}
	member.get(list).says("https://hooks.example.com/in").lacks("Rotate secret")
	member.get(at + "/signing").want(200).says("Owners and admins can see it.").lacks("Reveal")
	for _, path := range []string{"/secret", "/rotate"} {
		member.post(at+path, url.Values{"password": {password}, "overlap": {"24h"}}).want(http.StatusForbidden)
	}
	w.get(list).lacks("Off</") // nobody turned it off
	if b := w.newBrowser(); b.get(list).want(http.StatusSeeOther).Header.Get("Location") != "/login?next="+url.QueryEscape(list) {
		t.Error("who is signed out is not sent to the login")
	}
}

func TestTheListIsSearchedAndPaged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 52 {
		w.api("POST", "/v1/webhooks?project=default", fmt.Sprintf(`{"url":"https://n%02d.example.com/hook","events":["sent"]}`, i), nil)
	}
	first := w.get(list).want(200).says("https://n51.example.com/hook", "Older →").lacks("n01.example.com")
	older := regexp.MustCompile(`href="([^"]*after=[^"]*)" rel="next"`).FindStringSubmatch(first.body)
	if older == nil {
		t.Fatal("there is no way to the rest")
	}
	w.get(html.UnescapeString(older[1])).want(200).says("https://n01.example.com/hook", "← Newer").lacks("n51.example.com")
	w.get(list + "?q=N07.example").want(200).says("https://n07.example.com/hook").lacks("n08.example.com")
	w.get(list+"?q=nowhere").want(200).says("No webhooks match these filters", "Clear filters")
	w.get(list + "?status=never-used").want(200).says("https://n51.example.com/hook")
	w.get(list + "?status=failing").want(200).says("No webhooks match these filters")
	if size := len(first.body); size > 400<<10 {
		t.Errorf("fifty rows take %d bytes", size)
	}
}

func TestPartsForHTMX(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.part("GET", list+"/new", nil).want(200).lacks("<html").says("Add webhook")
	wrong := w.part("POST", list+"/new", filled("", "sent")).want(422).says("Enter the URL").lacks("<dialog")
	_ = wrong
	saved := w.part("POST", list+"/new", filled("https://hooks.example.com/in", "sent")).want(200).says("Webhook saved.", "Signing secret of hooks.example.com")
	for name, want := range map[string]string{"HX-Retarget": "#result", "HX-Trigger": "webhooks, close-dialog"} {
		if got := saved.Header.Get(name); got != want {
			t.Errorf("%s is %q; want %q", name, got, want)
		}
	}
	w.part("GET", list, nil).want(200).says("https://hooks.example.com/in", "Never used").lacks("<html", "whsec_")
	at := regexp.MustCompile(`/p/default[^"]*whk_[0-9A-Z]+`).FindString(saved.body)
	w.part("POST", at+"/switch", url.Values{"to": {"off"}}).want(200).says("Webhook turned off. Events are not queued for it.")
	w.part("GET", at+"/delete", nil).want(200).says("Delete this webhook?", "It was never used.").lacks("<html")
	w.part("POST", at+"/delete", nil).want(200).says("Webhook deleted.", "Undo")
}

// What waits when a webhook is turned off is held, and goes out or is discarded
// as one likes.
func TestWhatIsHeldIsSentOrDiscarded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var status atomic.Int64
	status.Store(500)
	address := receiver(t, func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		rw.WriteHeader(int(status.Load()))
	})
	id := w.create(address, "sent", "webhook.failing")
	w.api("PATCH", "/v1/webhooks/"+id+"?project=default", `{"retry_schedule":["1h","2h"]}`, nil) // the test is over before that
	at := list + "/" + id
	send := func() {
		w.sendEvent()
		w.until("the delivery waits for its retry", func() bool { return strings.Contains(w.get(at).text(), "1 delivery waits") })
	}
	send()
	w.get(at).says("Failing since", "1 attempt without a success.", "Next attempt", "Last failure", "localhost answered 500 Internal Server Error", "It should answer with any 2xx status.", "Show as table")
	w.get(at+"/settings").says("Sent", "Webhook failing", "3 attempts over about 3 hours: after 1h, 2h")
	w.follow(w.post(at+"/switch", url.Values{"to": {"off"}})).says("Webhook turned off. Events are not queued for it. 1 delivery is held.")
	w.get(at).says("Off. Events are not queued for it.", "1 delivery is held because this webhook is off.", "Turn on and send", "Discard…")
	w.get(at + "/delete").says("1 waiting delivery will be cancelled. Its log stays for 30 days.")

	w.get(at+"/discard").says("Discard held deliveries?", "1 held delivery will be cancelled.")
	w.follow(w.post(at+"/discard", nil)).says("1 delivery discarded.")
	w.get(at).lacks("Turn on and send")

	w.follow(w.post(at+"/switch", url.Values{"to": {"on"}})).says("Webhook turned on.")
	send()
	w.post(at+"/switch", url.Values{"to": {"off"}})
	status.Store(200)
	w.follow(w.post(at+"/release", nil)).says("Webhook turned on. 1 held delivery goes out at 10 a second.")
	w.until("it is delivered", func() bool { return strings.Contains(w.get(at).text(), "Healthy. 1 of 1 delivered in 24 h") })
}

func TestAReceiverInEachLanguage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := list + "/" + w.create("https://hooks.example.com/my/path", "sent")
	w.get(at+"/code").want(200).says("receiver.go", "/my/path", "WEBHOOK_SECRET", "TypeScript", "Java")
	w.get(at+"/code?language=Python").want(200).says("receiver.py", "python3 receiver.py", "/my/path")
	w.get(at + "/code?language=Lost").want(200).says("receiver.go")
}
