package web_test

import (
	"bytes"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale/internal/feed"
)

const sources = project + "/sources"

// connect adds a source of the provider through the form, and gives the address of its page.
func (w *world) connect(provider, name string) string {
	w.t.Helper()
	at := w.post(sources+"/new", url.Values{"provider": {provider}, "name": {name}}).want(http.StatusSeeOther).Header.Get("Location")
	if !regexp.MustCompile(`^` + sources + `/src_[0-9A-Z]{26}$`).MatchString(at) {
		w.t.Fatalf("adding a source leads to %s", at)
	}
	return at
}

// pasted is the URL that a source's page gives.
func (p page) pasted() string {
	p.t.Helper()
	m := regexp.MustCompile(`<code id="source-url" tabindex="0">([^<]+)</code>`).FindStringSubmatch(p.body)
	if m == nil {
		p.t.Fatalf("there is no URL in %s", p.text())
	}
	return m[1]
}

// settings is the form of a source as its page fills it in.
func (p page) settings(name string, credentials ...string) url.Values {
	p.t.Helper()
	version := regexp.MustCompile(`name="version" value="(\d+)"`).FindStringSubmatch(p.body)
	if version == nil {
		p.t.Fatalf("there is no form in %s", p.text())
	}
	f := url.Values{"version": {version[1]}, "name": {name}}
	for i := 0; i+1 < len(credentials); i += 2 {
		f.Set("credential-"+credentials[i], credentials[i+1])
	}
	return f
}

// arrives posts what a provider does.
func (w *world) arrives(address string, r *feed.Request) int {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, address, bytes.NewReader(r.Body))
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header = r.Header
	response, err := new(http.Client).Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// The whole way without JavaScript: a SendGrid source is chosen, named and given
// its key, and then receives.
func TestASourceIsAddedSetUpAndReceives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.get(sources).want(http.StatusOK).says("No sources yet", "SendGrid You need its verification key.", "Your own code Post events to the ingest API.", "Vero")
	w.get(sources+"/new").want(http.StatusOK).says("Where do the events of your messages come from?", "SendGrid")
	w.get(sources+"/new?provider=sendgrid").want(http.StatusOK).says("SendGrid Choose another", "What people call it here.")
	at := w.connect("sendgrid", "Marketing <b>")
	fresh := w.get(at).want(http.StatusOK).says("Source added.", "Marketing <b>", "Waiting for the first event… Enter the verification key first.",
		"Set it up in SendGrid", "Paste the URL as Post URL.", "In SendGrid, press Test Your Integration", "bounce, type blocked", "deferred", "Ignored", "This address is on this machine only.").lacks("<b>", "Send a test through")
	address := fresh.pasted()
	if !strings.HasPrefix(address, w.app.URL()+"/feeds/") {
		t.Errorf("the URL to paste is %s", address)
	}

	credentials, sign, err := feed.ProviderNamed("sendgrid").Pair()
	if err != nil {
		t.Fatal(err)
	}
	sample := feed.ProviderNamed("sendgrid").Samples(time.Now())[0]
	if err := sign(sample, time.Now()); err != nil {
		t.Fatal(err)
	}
	if status := w.arrives(address, sample); status != http.StatusUnauthorized {
		t.Errorf("without a key the source answers %d", status)
	}
	w.until("the failure is told", func() bool { return strings.Contains(w.get(at).text(), "Failing: ") })
	w.get(at).says("(failing) Marketing", "The source has no verification key yet", "Refused 1")
	w.get(sources).says("(1 failing) Sources", "1 refused")

	key := credentials["verification_key"]
	w.follow(w.post(at, fresh.settings("Marketing", "verification_key", "  "+key+"\n"))).says("Source saved.", "Marketing")
	if !strings.Contains(w.get(at).body, `value="`+strings.ReplaceAll(key, "+", "&#43;")+`"`) {
		t.Error("the key, which is no secret, is not shown")
	}
	if status := w.arrives(address, sample); status != http.StatusOK {
		t.Fatalf("the source answers %d", status)
	}
	w.until("it receives", func() bool { return strings.Contains(w.get(at).text(), "Receiving. 9 events, the last ") })
	w.part("GET", at, nil).want(http.StatusOK).says("Receiving. 9 events, the last", "Last failure", "The source has no verification key yet", "Requests 1", "Events accepted 9", "Refused 1").lacks("<h1>", "/feeds/")
	w.get(sources).says("Marketing", "SendGrid · 1 request, 9 events, 1 refused").lacks("No sources yet")
	w.part("GET", sources, nil).want(http.StatusOK).says("9 events").lacks("<h1>")

	w.follow(w.post(at+"/switch", url.Values{"to": {"off"}})).says("Source turned off. Requests are told to come back later. SendGrid repeats", "Off. SendGrid is told to come back later.")
	if status := w.arrives(address, sample); status != http.StatusServiceUnavailable {
		t.Errorf("a source that is off answers %d", status)
	}
	w.follow(w.post(at+"/switch", url.Values{"to": {"on"}})).says("Source turned on.")
	w.get(at+"/delete").want(http.StatusOK).says("Delete this source?", "Its events stay.")
	w.part("GET", at+"/delete", nil).want(http.StatusOK).lacks("<h1>")
	w.follow(w.post(at+"/delete", nil)).says("The source Marketing is deleted. Its events stay.", "No sources yet")
	if status := w.arrives(address, sample); status != http.StatusNotFound {
		t.Errorf("a source that is deleted answers %d", status)
	}
	for _, gone := range []string{"", "/delete", "/unrecognised", "/unrecognised/req_01JD0000000000000000000000"} {
		w.get(at + gone).want(http.StatusNotFound).says("There is no such source. It may have been deleted.")
	}
	for _, gone := range []string{"", "/switch", "/test", "/delete", "/unrecognised/replay", "/unrecognised/delete"} {
		w.post(at+gone, url.Values{"version": {"1"}, "id": {"req_01JD0000000000000000000000"}}).want(http.StatusNotFound)
	}
	w.get(project+"/audit-log").says("Source added", "Source changed", "Source deleted", "credentials.verification_key").lacks(key[:60])
}

func TestSourcesThatAreWrongComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, row := range []struct {
		what string
		form url.Values
		says string
	}{
		{"a source needs a name", url.Values{"provider": {"sendgrid"}, "name": {"  "}}, "The name is empty, too long or has control characters: 1 to 100 bytes of text."},
		{"of at most 100 bytes", url.Values{"provider": {"sendgrid"}, "name": {strings.Repeat("é", 51)}}, "The name is empty, too long"},
		{"and a provider that there is", url.Values{"provider": {"pigeon"}, "name": {"Post"}}, "Choose a provider."},
	} {
		w.post(sources+"/new", row.form).want(http.StatusUnprocessableEntity).says("1 thing needs your attention", row.says)
	}
	w.get(sources).says("No sources yet")

	at := w.connect("sendgrid", "Marketing")
	fresh := w.get(at)
	for _, row := range []struct {
		what        string
		name, key   string
		option      string
		says, field string
	}{
		{"a key that is none", "Kept <i>", "<b>not a key</b>", "", "This is no verification key of SendGrid's: Settings → Mail Settings", "credential-verification_key"},
		{"an option that there is not", "Kept <i>", "<b>not a key</b>", "fly", "SendGrid has no such option: none.", "option"},
		{"no name", "", "<b>not a key</b>", "", "The name is empty", "name"},
	} {
		form := fresh.settings(row.name, "verification_key", row.key)
		if row.option != "" {
			form.Set("option", row.option)
		}
		p := w.post(at, form).want(http.StatusUnprocessableEntity).says("your attention", row.says)
		for _, source := range []string{`value="&lt;b&gt;not a key&lt;/b&gt;"`, `href="#f-` + row.field + `"`} {
			if !strings.Contains(p.body, source) {
				t.Errorf("%s: the form lacks %s", row.what, source)
			}
		}
		if row.name != "" && !strings.Contains(p.body, `value="Kept &lt;i&gt;"`) {
			t.Errorf("%s: the form lacks the name", row.what)
		}
	}
	w.post(at, url.Values{"name": {"Marketing"}}).want(http.StatusBadRequest).says("This form does not say which version it changes.")
	w.get(at).says("Marketing", "Enter the verification key first.")
}

// What is secret about a source is never sent to a browser: neither what is
// stored, nor what was typed and came back.
func TestSecretsOfSourcesAreNotEchoed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	at := w.connect("resend", "Resend")
	fresh := w.get(at).says("Enter the signing secret first.")
	if !regexp.MustCompile(`name="credential-signing_secret" type="password" value=""[^>]* autocomplete="new-password"`).MatchString(fresh.body) {
		t.Errorf("the secret's field is not one of a password: %s", fresh.body)
	}
	wrong := fresh.settings("", "signing_secret", secret)
	w.post(at, wrong).want(http.StatusUnprocessableEntity).says("The name is empty").lacks(secret)
	w.follow(w.post(at, fresh.settings("Resend", "signing_secret", secret))).says("Source saved.", "It is set, and not shown. Leave this empty to keep it.").lacks(secret)
	w.get(at).lacks(secret)
	renamed := w.follow(w.post(at, w.get(at).settings("Other", "signing_secret", ""))).says("Source saved.", "Other", "It is set, and not shown.")
	w.follow(w.post(at+"/test", nil)).says("Test succeeded. The source answered 200: ", " accepted.", "View events") // so the secret is still there
	w.follow(w.post(at, renamed.settings("Other", "signing_secret", ""))).says("Source saved.")
	w.post(at, w.get(at).settings("Other", "signing_secret", "nonsense")).want(http.StatusUnprocessableEntity).says("1 thing needs your attention").lacks("nonsense", secret)
	w.get(project + "/audit-log").lacks(secret)
}

func TestATestSaysWhatCameOfIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := w.connect("resend", "Resend")
	w.follow(w.post(at+"/test", nil)).says("There is no test. The source has no Signing secret yet.")
	w.follow(w.post(at, w.get(at).settings("Resend", "signing_secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")))
	part := w.part("POST", at+"/test", nil).want(http.StatusOK).says("Test succeeded.").lacks("<h1>")
	if trigger := part.Header.Get("HX-Trigger"); trigger != "sources" {
		t.Errorf("the page is told %q", trigger)
	}
	w.post(at+"/switch", url.Values{"to": {"off"}}).want(http.StatusSeeOther)
	w.follow(w.post(at+"/test", nil)).says("Test failed. The source answered 503. The source is switched off.")

	bySignature := w.connect("sendgrid", "SendGrid")
	w.follow(w.post(bySignature+"/test", nil)).says("There is no test. SendGrid signs with a key that only it has", "press Test Your Integration")
}

// A URL with a password in it is shown to who made the source, once, and later to
// owners and admins who type their own password.
func TestAURLWithAPasswordIsShownWhenAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := w.connect("postmark", "Postmark")
	made := w.get(at).says("Source added.", "It holds a password: keep it to yourself and the provider.")
	address := made.pasted()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := u.User.Password()
	if len(secret) < 16 {
		t.Fatalf("the URL is %s", address)
	}
	token := u.Path[len("/feeds/"):]
	again := w.get(at).says("It holds a password.", "Your password", "Show").lacks(secret, token)
	w.part("GET", at, nil).lacks(secret, token)
	w.post(at+"/url", url.Values{"password": {"wrong"}}).want(http.StatusUnprocessableEntity).says("password is wrong").lacks(secret, token, `value="wrong"`)
	if shown := w.follow(w.post(at+"/url", url.Values{"password": {password}})).says("The URL is shown this time only.").pasted(); shown != address {
		t.Errorf("what is shown is %s; want %s", shown, address)
	}
	w.get(at).lacks(secret, token)
	w.get(at+"/url").want(http.StatusOK).says("Show").lacks(secret, token)
	w.get(project+"/audit-log?action=source.show_secret").says("Source's URL shown", "owner@example.com", "Postmark").lacks(secret)

	renew := again.settings("Postmark", "username", "telltale")
	renew.Set("renew-password", "on")
	next := w.follow(w.post(at, renew)).says("Its URL is a new one: paste it at the provider again.").pasted()
	if next == address || strings.Contains(next, secret) || !strings.HasSuffix(next, "/feeds/"+token) {
		t.Errorf("%s became %s", address, next)
	}

	member := w.operator("member")
	member.get(at).want(http.StatusOK).says("Owners and admins can see it.").lacks(token, "Make a new one", at+"/url")
	member.post(at+"/url", url.Values{"password": {password}}).want(http.StatusForbidden)
	forced := w.get(at).settings("Postmark") // without the user name, which stays
	forced.Set("renew-password", "on")
	member.follow(member.post(at, forced)).says("Source saved.").lacks("new one", token) // it changed nothing
	if kept := w.follow(w.post(at+"/url", url.Values{"password": {password}})).pasted(); kept != next {
		t.Errorf("a member made %s of %s", kept, next)
	}
	mine := member.post(sources+"/new", url.Values{"provider": {"postmark"}, "name": {"Mine"}}).want(http.StatusSeeOther)
	member.follow(mine).says("Source added.").pasted()
	member.get(mine.Header.Get("Location")).says("Owners and admins can see it.")
}

// A credential of several lines has room for them, and comes back as it was typed.
func TestACredentialOfSeveralLines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := w.connect("ses", "Amazon")
	fresh := w.get(at).says("Enter the topic ARNs first.", "Amazon SNS → Topics")
	w.post(at, fresh.settings("Amazon", "topic_arns", "arn:aws:sns:eu-west-1:123456789012:mail\r\n</textarea><b>")).want(http.StatusUnprocessableEntity).says("1 thing needs your attention", "arn:aws:sns:eu-west-1:123456789012:mail </textarea><b>").lacks("<b>")
	w.follow(w.post(at, fresh.settings("Amazon", "topic_arns", "arn:aws:sns:eu-west-1:123456789012:mail\r\narn:aws:sns:eu-west-1:123456789012:more\r\n"))).says("Source saved.").
		lacks("Enter the topic ARNs first.")
	if body := w.get(at).body; !strings.Contains(body, ">arn:aws:sns:eu-west-1:123456789012:mail\narn:aws:sns:eu-west-1:123456789012:more</textarea>") {
		t.Errorf("the two topics are not shown: %s", body)
	}
	w.follow(w.post(at, w.get(at).settings("Amazon", "topic_arns", ""))).says("Source saved.", "Enter the topic ARNs first.")
}

func TestViewersSeeHowSourcesFareAndNoMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	viewer := w.operator("viewer")
	viewer.get(sources).want(http.StatusOK).says("You have viewer access", "Members and above connect the mail providers").lacks("/new")
	at := w.connect("sendgrid", "Marketing")
	address := w.get(at).pasted()
	viewer.get(sources).says("Marketing", "Waiting for the first event…").lacks("/new")
	viewer.get(at).want(http.StatusOK).says("You have viewer access", "Verification key Not set", "What events become").lacks(`method="post" action="`+at, "/feeds/", address)
	for _, what := range []struct{ method, path string }{
		{"GET", sources + "/new"}, {"POST", sources + "/new"}, {"POST", at}, {"POST", at + "/url"}, {"POST", at + "/switch"}, {"POST", at + "/test"}, {"GET", at + "/delete"},
		{"POST", at + "/delete"}, {"GET", at + "/unrecognised/req_01JD0000000000000000000000"}, {"POST", at + "/unrecognised/replay"}, {"POST", at + "/unrecognised/delete"},
	} {
		viewer.send(what.method, what.path, url.Values{"to": {"off"}}, nil).want(http.StatusForbidden).says("You have viewer access")
	}
	viewer.get(at + "/unrecognised").want(http.StatusOK).says("Everything was understood").lacks("Replay all")
}

func TestAStaleEditOfASourceIsAConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := w.connect("sendgrid", "First")
	stale := w.get(at)
	w.follow(w.post(at, stale.settings("Second"))).says("Source saved.")
	refused := w.post(at, stale.settings("Third")).want(http.StatusPreconditionFailed).says("Someone changed this source at", "Review their version", "Overwrite")
	if !strings.Contains(refused.body, `value="Third"`) {
		t.Error("what was typed is gone")
	}
	w.get(at).says("Second")
	overwrite := stale.settings("Third")
	overwrite.Set("overwrite", regexp.MustCompile(`name="overwrite" value="(\d+)"`).FindStringSubmatch(refused.body)[1])
	w.follow(w.post(at, overwrite)).says("Source saved.", "Third")
}

// What nobody understands is kept, shown with why, taken again and deleted.
func TestWhatWasNotUnderstood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := w.connect("sendgrid", "Marketing")
	provider := feed.ProviderNamed("sendgrid")
	credentials, sign, err := provider.Pair()
	if err != nil {
		t.Fatal(err)
	}
	fresh := w.get(at)
	address := fresh.pasted()
	w.follow(w.post(at, fresh.settings("Marketing", "verification_key", credentials["verification_key"])))
	unknown := func(event string) {
		t.Helper()
		r := &feed.Request{Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`[{"event":"` + event + `","email":"ana@example.com","timestamp":1700000000,"sg_event_id":"` + event + `"}]`)}
		if err := sign(r, time.Now()); err != nil {
			t.Fatal(err)
		}
		if status := w.arrives(address, r); status != http.StatusOK {
			t.Fatalf("the source answers %d", status)
		}
	}
	list := at + "/unrecognised"
	w.get(list).want(http.StatusOK).says("Everything was understood").lacks("Replay all")
	unknown("levitated")
	unknown("\\u003cscript\\u003e")
	w.get(at).says("2 requests were not understood, and are kept.", "See what came")
	w.get(at + "/delete").says("2 requests that were not understood go with it.")
	kept := w.get(list).want(http.StatusOK).says("2 requests", "levitated", "Replay selected", "Delete selected").lacks("<script>")
	ids := regexp.MustCompile(`name="id" value="(req_[0-9A-Z]+)"`).FindAllStringSubmatch(kept.body, -1)
	if len(ids) != 2 {
		t.Fatalf("%d requests can be chosen", len(ids))
	}
	first := ids[1][1]
	w.get(list+"/"+first).want(http.StatusOK).says(`"event": "levitated"`, "ana@example.com", "Content type application/json", first)

	w.follow(w.post(list+"/replay", url.Values{"all": {"on"}})).says("Nothing more was understood. 2 requests are still not understood. A later version may.", "2 requests")
	w.follow(w.post(list+"/replay", url.Values{"id": {first}})).says("Nothing more was understood. 1 request is still not understood.")
	w.follow(w.post(list+"/replay", nil)).says("Nothing was selected. Tick the requests first.")
	w.follow(w.post(list+"/delete", nil)).says("Nothing was selected.", "2 requests")
	w.post(list+"/replay", url.Values{"id": {"req_01JD0000000000000000000000"}}).want(http.StatusNotFound).says("There is no such request: it was understood meanwhile")

	viewer := w.operator("viewer")
	viewer.get(list).want(http.StatusOK).says("levitated").lacks(list+"/req_", "Replay all", "<form method=\"post\" action=\""+list)
	viewer.get(list + "/" + first).want(http.StatusForbidden)

	w.follow(w.post(list+"/delete", url.Values{"id": {first}})).says("1 request deleted.", "1 request").lacks("levitated")
	w.get("/p/default/settings/project/audit-log?action=source.drop_requests").says("Source's requests deleted", "owner@example.com")
	w.get(list + "/" + first).want(http.StatusNotFound)
	w.follow(w.post(list+"/delete", url.Values{"id": {ids[0][1]}})).says("Everything was understood")
}

func TestAWebhookMaySkipMachines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	form := filled("https://hooks.example.com/in", "opened", "clicked")
	w.get(list+"/new").says("Skip opens and clicks by machines", "Mail services load images and follow links before anyone reads.")
	form.Set("skip-machines", "on")
	saved := w.follow(w.post(list+"/new", form)).says("Webhook saved.")
	at := list + "/" + regexp.MustCompile(`whk_[0-9A-Z]+`).FindString(saved.body)
	w.get(at + "/settings").says("Opens and clicks Those by machines are skipped")
	edit := w.get(at + "/edit")
	if !strings.Contains(edit.body, `name="skip-machines" checked`) || !strings.Contains(w.get(list+"/new?from="+at[len(list)+1:]).body, `name="skip-machines" checked`) {
		t.Error("the form does not know of it")
	}
	form.Del("skip-machines")
	form.Set("version", "1")
	w.follow(w.post(at+"/edit", form)).says("Webhook saved.")
	w.get(at + "/settings").says("Opens and clicks Those by machines are sent too")
}

// Whoever bounced hard or complained is told of on their page.
func TestAUsersPageSaysWhyNotToWriteToThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, row := range []struct{ email, event, says string }{
		{"fine@example.com", `"type":"delivered"`, ""},
		{"full@example.com", `"type":"bounced","bounce_type":"soft"`, ""},
		{"gone@example.com", `"type":"bounced","bounce_type":"hard"`, "Suppression Bounced hard since"},
		{"angry@example.com", `"type":"complained"`, "Suppression Complained since"},
	} {
		w.track("users/track", `{"email":"`+row.email+`"}`)
		w.api("POST", "/v1/events?project=default", `{"user":{"id":"`+row.email+`","email":"`+row.email+`"},`+row.event+`}`, nil)
		var found struct{ Data []struct{ ID string } }
		w.api("GET", "/v1/users?project=default&q="+url.QueryEscape(row.email), "", &found)
		if len(found.Data) != 1 {
			t.Fatalf("there are %d users %s", len(found.Data), row.email)
		}
		p := w.get("/p/default/users/" + found.Data[0].ID).want(http.StatusOK)
		if row.says == "" {
			p.lacks("Suppression")
		} else {
			p.says(row.says, "Telltale sends no messages itself: whoever does should leave this address out.")
		}
	}
}
