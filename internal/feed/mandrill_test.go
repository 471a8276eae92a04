package feed

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"telltale.example/telltale"
)

// mandrillPost is a form with those events.
func mandrillPost(events string) *Request {
	return &Request{
		Method: http.MethodPost, URL: "http://test/com/webhook", Header: http.Header{"Content-Type": {formType}},
		Body: []byte(url.Values{mandrillEvents: {events}}.Encode()),
	}
}

func TestMandrillEvents(t *testing.T) {
	const (
		message = `"msg":{"ts":1365109999,"_id":"aaaa","subject":"Hello","email":"steve@example.com","sender":"news@example.com","tags":["welcome"],"metadata":{"user_id":111},"state":"sent"}`
		rest    = " subject=Hello"
		meta    = ` tags=welcome subject=Hello meta={"user_id":111}`
		agent   = `"ip":"127.0.0.1","user_agent":"Mozilla/5.0","location":{"country_short":"US"}`
	)
	at := func(name string) string {
		return " to=steve@example.com key=aaaa:" + name + ":1384954004 at=2013-11-20T13:26:44Z provider=aaaa"
	}
	for _, c := range []struct {
		name, event string
		want        []string
	}{
		{"send is sent", `{"event":"send","_id":"aaaa",` + message + `,"ts":1384954004}`, []string{"sent" + at("send") + meta}},
		{"delivered is delivered", `{"event":"delivered","_id":"aaaa",` + message + `,"ts":1384954004}`, []string{"delivered" + at("delivered") + meta}},
		{"deferral means nothing", `{"event":"deferral","_id":"aaaa",` + message + `,"diag":"451 4.3.5 Temporarily unavailable","ts":1384954004}`, nil},
		{
			"hard_bounce is hard", `{"event":"hard_bounce","msg":{"_id":"aaaa","email":"steve@example.com","subject":"Hello","metadata":[],"tags":[],"diag":"smtp;550 5.1.1 The email account does not exist.","bounce_description":"bad_mailbox"},"ts":1384954004}`,
			[]string{`bounced bounce=hard code=550 reason="5.1.1 The email account does not exist."` + at("hard_bounce") + rest},
		},
		{
			"soft_bounce is soft", `{"event":"soft_bounce","msg":{"_id":"aaaa","email":"steve@example.com","subject":"Hello","diag":"smtp;552 5.2.2 Over Quota","bounce_description":"mailbox_full"},"ts":1384954004}`,
			[]string{`bounced bounce=soft code=552 reason="5.2.2 Over Quota"` + at("soft_bounce") + rest},
		},
		{
			"a bounce of few words is described", `{"event":"soft_bounce","msg":{"_id":"aaaa","email":"steve@example.com","subject":"Hello","diag":"","bounce_description":"general"},"ts":1384954004}`,
			[]string{`bounced bounce=soft reason="general"` + at("soft_bounce") + rest},
		},
		{"open is opened", `{"event":"open","_id":"aaaa",` + message + `,"ts":1384954004,` + agent + `}`, []string{"opened" + at("open") + " agent=Mozilla/5.0 ip=127.0.0.1" + meta}},
		{
			"click is clicked, each address by itself", `{"event":"click","_id":"aaaa",` + message + `,"ts":1384954004,` + agent + `,"url":"http:\/\/example.com\/?a=b"}`,
			[]string{"clicked to=steve@example.com key=aaaa:click:1384954004:http://example.com/?a=b at=2013-11-20T13:26:44Z provider=aaaa agent=Mozilla/5.0 url=http://example.com/?a=b ip=127.0.0.1" + meta},
		},
		{"spam is complained", `{"event":"spam","_id":"aaaa",` + message + `,"ts":1384954004}`, []string{"complained" + at("spam") + meta}},
		{"unsub is unsubscribed", `{"event":"unsub","_id":"aaaa",` + message + `,"ts":1384954004}`, []string{"unsubscribed" + at("unsub") + meta}},
		{
			"reject is failed, for its reason", `{"event":"reject","msg":{"_id":"aaaa","email":"steve@example.com","subject":"Hello","reject":{"reason":"hard-bounce"}},"ts":1384954004}`,
			[]string{`failed reason="hard-bounce"` + at("reject") + rest},
		},
		{"reject without reason is failed, too", `{"event":"reject","_id":"aaaa",` + message + `,"ts":1384954004}`, []string{"failed" + at("reject") + meta}},
		{"mail that came in means nothing", `{"event":"inbound","ts":1384954004,"msg":{"email":"help@example.com"}}`, nil},
		{"the blacklist means nothing", `{"type":"blacklist","action":"add","reject":{"reason":"hard-bounce","email":"steve@example.com"},"ts":1384954004}`, nil},
		{"the whitelist means nothing", `{"type":"whitelist","action":"remove","entry":{"email":"steve@example.com"},"ts":1384954004}`, nil},
		{"nor do they under their later names", `{"type":"denylist","ts":1384954004}`, nil},
		{"nor this one", `{"type":"allowlist","ts":1384954004}`, nil},
		{"another event is not understood", `{"event":"paused","ts":1384954004}`, []string{`error: There is no event "paused" in the provider's documents as we know them.`}},
		{"an event of no name is not understood", `{"type":"list"}`, []string{"error: The event has no name."}},
		{"an event of nobody's, without message and id, is still one", `{"event":"open","ts":1384954004}`, []string{"opened at=2013-11-20T13:26:44Z"}},
		{"digits stay as they are", `{"event":"send","ts":1384954004,"msg":{"_id":12345678901234567890,"metadata":{"campaign_id":9007199254740993}}}`, []string{`sent key=12345678901234567890:send:1384954004 at=2013-11-20T13:26:44Z provider=12345678901234567890 meta={"campaign_id":9007199254740993}`}},
	} {
		t.Run(c.name, func(t *testing.T) { means(t, mandrill, mandrillPost("["+c.event+"]"), c.want...) })
	}
}

func TestMandrillBatchesKeepWhatIsGood(t *testing.T) {
	b, err := mandrill.Parse(mandrillPost(`[{"event":"send","_id":"a","ts":1},{"event":"paused & more","_id":"b"},{"event":"open","event":"click"},{"event":"send","_id":"c","ts":1}]`), sourceOf(mandrill, nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Parts) != 4 || len(b.Parts[0].Events) != 1 || len(b.Parts[3].Events) != 1 {
		t.Fatalf("the parts are %v", b.Parts)
	}
	for _, i := range []int{1, 2} {
		if b.Parts[i].Err == nil {
			t.Fatalf("part %d was understood", i)
		}
		alone, err := mandrill.Parse(&Request{Header: http.Header{"Content-Type": {b.ContentType}}, Body: b.Alone(b.Parts[i].Raw)}, sourceOf(mandrill, nil))
		if err != nil || len(alone.Parts) != 1 || alone.Parts[0].Err == nil || alone.Parts[0].Err.Error() != b.Parts[i].Err.Error() {
			t.Errorf("alone it is %v, %v, and was %v", alone, err, b.Parts[i].Err)
		}
	}
	for _, events := range []string{"", "{}", "[", "null", `[{"event":"send"}] more`} {
		if _, err := mandrill.Parse(mandrillPost(events), sourceOf(mandrill, nil)); err == nil {
			t.Errorf("%q was understood", events)
		}
	}
}

func TestMandrillSignatures(t *testing.T) {
	// The vectors are of mandrill-webhook-authenticator (npm), test/, and of
	// webhookr-mandrill (Ruby gem), test/webhookr-mandrill/signature_test.rb.
	const key, events = "some_auth_key", `[{"msg": {"from_email": "test@example.com"}}]`
	post := func(events string, headers ...string) *Request {
		r := mandrillPost(events)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return r
	}
	const signature, setup = "xHQjU8Pwhauh98J3jrI3Nb76OSI=", "uZmPxivd5e9pJbRpbNUUt3B13NQ="
	elsewhere := post(events, "X-Mandrill-Signature", signature)
	elsewhere.URL = "https://test/com/webhook"
	more := post(events, "X-Mandrill-Signature", signature)
	more.Body = append(more.Body, "&a=b"...)
	params := post("", "X-Mandrill-Signature", "GZj1Db6JpZztD/8DcthPnT8iI7w=")
	params.URL, params.Body = "http://example.com", []byte("c=d&a=b")

	for _, c := range []struct {
		name, key string
		r         *Request
		said      string // "" for what is taken
	}{
		{"the library's vector is taken", key, post(events, "X-Mandrill-Signature", signature), ""},
		{"fields are signed in alphabetical order", "abcdef", params, ""},
		{"the header's later name is as good", key, post(events, "X-Mailchimp-Signature", signature), ""},
		{"one of two headers is enough", key, post(events, "X-Mandrill-Signature", "AAAA", "X-Mailchimp-Signature", signature), ""},
		{"the setup test is taken before there is a key", "", post("[]", "X-Mandrill-Signature", setup), ""},
		{"and after it", key, post("[]", "X-Mandrill-Signature", setup), ""},

		{"another body is refused", key, post(`[]`, "X-Mandrill-Signature", signature), "does not match"},
		{"another address is refused", key, elsewhere, "exactly the address"},
		{"another field is refused", key, more, "does not match"},
		{"another key is refused", "some_other_key", post(events, "X-Mandrill-Signature", signature), "does not match"},
		{"no key is refused", "", post(events, "X-Mandrill-Signature", signature), "no webhook key yet"},
		{"no signature is refused", key, post(events), "not signed"},
		{"no base64 is refused", key, post(events, "X-Mandrill-Signature", "%%"), "not base64"},
		{"half a signature is refused", key, post(events, "X-Mandrill-Signature", "xHQjU8Pwhauh98I="), "does not match"},
		{"no form is refused", key, jsonRequest([]byte(events)), "no form"},
		{"a form that cannot be read is refused", key, func() *Request {
			r := post(events, "X-Mandrill-Signature", signature)
			r.Body = []byte("mandrill_events=%zz")
			return r
		}(), "cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := verify(mandrill, sourceOf(mandrill, map[string]string{mandrillKey: c.key}), c.r, sampleTime)
			if c.said != "" {
				refuses(t, err, telltale.Unauthenticated, c.said)
			} else if err != nil {
				t.Error(err)
			}
		})
	}

	// Everybody knows the setup test's key: it is good for nothing but that test.
	everybody := post(events)
	if err := signMandrill(map[string]string{mandrillKey: mandrillSetupKey})(everybody, sampleTime); err != nil {
		t.Fatal(err)
	}
	refuses(t, verify(mandrill, sourceOf(mandrill, nil), everybody, sampleTime), telltale.Unauthenticated, "no webhook key yet")
	refuses(t, verify(mandrill, sourceOf(mandrill, map[string]string{mandrillKey: key}), everybody, sampleTime), telltale.Unauthenticated, "does not match")
	refuses(t, verify(mandrill, sourceOf(mandrill, map[string]string{mandrillKey: mandrillSetupKey}), everybody, sampleTime), telltale.Unauthenticated, "does not match")
}

// What is told of an address does not open it.
func TestMandrillTellsNoToken(t *testing.T) {
	s, requests := signed(t, mandrill)
	s.Credentials = map[string]string{mandrillKey: "another key's"}
	err := verify(mandrill, s, requests[0], sampleTime)
	refuses(t, err, telltale.Unauthenticated, "https://telltale.example.com/feeds/…")
	if err != nil && strings.Contains(err.Error(), string(s.Token)) {
		t.Errorf("it told the token: %v", err)
	}
}

func TestMandrillSetupIsAnswered(t *testing.T) {
	w := newWorld(t)
	s := telltale.NewSource(w.project.ID, mandrill.Name, "Mandrill")
	made, err := w.store.CreateSource(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	response, said := w.post(made, mandrillPost("[]"), signMandrill(map[string]string{mandrillKey: mandrillSetupKey}))
	if response.StatusCode != http.StatusOK || said != (answer{}) {
		t.Errorf("the setup test got %d, %v", response.StatusCode, said)
	}
	if response, _ := w.post(made, &Request{Method: http.MethodHead, Header: http.Header{}}, nil); response.StatusCode != http.StatusOK {
		t.Errorf("HEAD got %d", response.StatusCode)
	}
}

func TestMandrillKeysAreChecked(t *testing.T) {
	for key, good := range map[string]bool{"abcdefghijklmnopqrstuv": true, mandrillSetupKey: false, "short": false, "with a space in it": false} {
		if said := checkMandrillKey(key); (said == "") != good {
			t.Errorf("%q: %q", key, said)
		}
	}
}
