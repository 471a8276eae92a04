package feed

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale"
)

// mailgunPost is a request with that event, signed by somebody.
func mailgunPost(data string) *Request {
	return jsonRequest([]byte(`{"signature":{"timestamp":"1534110422","token":"651869375b9df3c98fc15c4889b102119add1235c38fc92824","signature":"00"},"event-data":` + data + `}`))
}

func TestMailgunEvents(t *testing.T) {
	const (
		common = `"id":"hTWCTD81RtiDN-","timestamp":1534108637.153125,"recipient":"steve@example.com"`
		header = `"message":{"headers":{"to":"steve@example.com","message-id":"20180812211713.1.DF59@example.org","from":"news@example.org","subject":"Testing"},"attachments":[],"size":809}`
		short  = `"message":{"headers":{"message-id":"20180812211713.1.DF59@example.org"}}`
		client = `"ip":"203.0.113.7","client-info":{"client-type":"browser","client-os":"OS X","device-type":"desktop","client-name":"Chrome","user-agent":"Mozilla/5.0 (Macintosh)"}`
		said   = ` to=steve@example.com key=hTWCTD81RtiDN- at=2018-08-12T21:17:17.153125Z provider=20180812211713.1.DF59@example.org message=20180812211713.1.DF59@example.org`
	)
	for _, c := range []struct {
		name, data string
		want       []string
	}{
		{
			"an accepted message was sent", `{"event":"accepted",` + common + `,` + header + `,"method":"HTTP"}`,
			[]string{"sent" + said + " subject=Testing"},
		},
		{
			"a delivered one was delivered, with its variables and tags",
			`{"event":"delivered",` + common + `,` + header + `,"tags":["welcome","variation:B"],"user-variables":{"user_id":"123","campaign_id":9007199254740993},"delivery-status":{"code":250,"message":"OK"}}`,
			[]string{"delivered" + said + ` tags=welcome,variation:B subject=Testing meta={"user_id":"123","campaign_id":9007199254740993}`},
		},
		{
			"a permanent failure is a hard bounce",
			`{"event":"failed","severity":"permanent","reason":"bounce",` + common + `,` + header + `,"delivery-status":{"attempt-no":1,"description":"","code":550,"message":"5.1.1 The email account that you tried to reach does not exist. Please try\n5.1.1 double-checking"}}`,
			[]string{`bounced bounce=hard code=550 reason="5.1.1 The email account that you tried to reach does not exist. Please try\n5.1.1 double-checking"` + said + " subject=Testing"},
		},
		{
			"a reply that stands in the message is not there twice",
			`{"event":"failed","severity":"permanent","reason":"bounce",` + common + `,"delivery-status":{"code":"5.1.1","message":"smtp;550 5.1.1 not found"}}`,
			[]string{`bounced bounce=hard code=550 reason="5.1.1 not found" to=steve@example.com key=hTWCTD81RtiDN- at=2018-08-12T21:17:17.153125Z`},
		},
		{
			"a message that was tried for too long is a hard bounce, described",
			`{"event":"failed","severity":"permanent","reason":"old",` + common + `,"delivery-status":{"code":498,"message":"","description":"No MX for nomx.example.com"}}`,
			[]string{`bounced bounce=hard code=498 reason="No MX for nomx.example.com" to=steve@example.com key=hTWCTD81RtiDN- at=2018-08-12T21:17:17.153125Z`},
		},
		{
			"a failure without description has its reason",
			`{"event":"failed","severity":"permanent","reason":"generic",` + common + `}`,
			[]string{`bounced bounce=hard reason="generic" to=steve@example.com key=hTWCTD81RtiDN- at=2018-08-12T21:17:17.153125Z`},
		},
		{
			"an address that bounced before failed",
			`{"event":"failed","severity":"permanent","reason":"suppress-bounce",` + common + `,"delivery-status":{"code":605,"message":"","description":"Not delivering to previously bounced address"}}`,
			[]string{`failed code=605 reason="Not delivering to previously bounced address" to=steve@example.com key=hTWCTD81RtiDN- at=2018-08-12T21:17:17.153125Z`},
		},
		{
			"an address that unsubscribed before failed",
			`{"event":"failed","severity":"permanent",` + common + `,"delivery-status":{"code":606,"description":"Not delivering to unsubscribed address"}}`,
			[]string{`failed code=606 reason="Not delivering to unsubscribed address" to=steve@example.com key=hTWCTD81RtiDN- at=2018-08-12T21:17:17.153125Z`},
		},
		{
			"an address that complained before failed",
			`{"event":"failed","severity":"permanent",` + common + `,"delivery-status":{"code":607,"description":"Not delivering to a user who marked your messages as spam"}}`,
			[]string{`failed code=607 reason="Not delivering to a user who marked your messages as spam" to=steve@example.com key=hTWCTD81RtiDN- at=2018-08-12T21:17:17.153125Z`},
		},
		{
			"an address on another suppression list failed",
			`{"event":"failed","severity":"permanent",` + common + `,"delivery-status":{"code":625,"description":"Not delivering"}}`,
			[]string{`failed code=625 reason="Not delivering" to=steve@example.com key=hTWCTD81RtiDN- at=2018-08-12T21:17:17.153125Z`},
		},
		{
			"a suppression is known by its reason, too",
			`{"event":"failed","severity":"permanent","reason":"suppress-complaint",` + common + `}`,
			[]string{`failed reason="suppress-complaint" to=steve@example.com key=hTWCTD81RtiDN- at=2018-08-12T21:17:17.153125Z`},
		},
		{
			"a temporary failure means nothing",
			`{"event":"failed","severity":"temporary","reason":"greylisted",` + common + `,"delivery-status":{"code":450,"retry-seconds":300,"message":"Greylisted"}}`,
			nil,
		},
		{
			"a failure of no severity is not understood", `{"event":"failed",` + common + `}`,
			[]string{`error: There is no event "failed, severity " in the provider's documents as we know them.`},
		},
		{
			"a rejected message failed; its recipient stands in the header",
			`{"event":"rejected","timestamp":1529704976.104692,"id":"r1","reject":{"reason":"Sandbox subdomains are for test purposes only.","description":""},"message":{"headers":{"to":"Steve <steve@example.com>","message-id":"1@sandbox.example.org","subject":"Test"}}}`,
			[]string{`failed reason="Sandbox subdomains are for test purposes only." to=steve@example.com key=r1 at=2018-06-22T22:02:56.104692Z provider=1@sandbox.example.org message=1@sandbox.example.org subject=Test`},
		},
		{
			"of a rejected message to two, nobody is known",
			`{"event":"rejected","timestamp":1529704976,"id":"r2","reject":{"description":"No."},"message":{"headers":{"to":"a@example.com, b@example.com"}}}`,
			[]string{`failed reason="No." key=r2 at=2018-06-22T22:02:56Z`},
		},
		{
			"an opened message was opened", `{"event":"opened",` + common + `,` + short + `,` + client + `}`,
			[]string{"opened" + said + " agent=Mozilla/5.0 (Macintosh) ip=203.0.113.7"},
		},
		{
			"a machine that opened has its name", `{"event":"opened",` + common + `,` + short + `,"client-info":{"bot":"apple","user-agent":"Mozilla/5.0"}}`,
			[]string{"opened" + said + " agent=Mozilla/5.0 machine=true"},
		},
		{
			"a person who opened has none", `{"event":"opened",` + common + `,` + short + `,"client-info":{"bot":"","user-agent":"Mozilla/5.0"}}`,
			[]string{"opened" + said + " agent=Mozilla/5.0 machine=false"},
		},
		{
			"nobody said who opened", `{"event":"opened",` + common + `,` + short + `,"client-info":{"bot":null}}`,
			[]string{"opened" + said},
		},
		{
			"a clicked link has its address", `{"event":"clicked",` + common + `,` + short + `,` + client + `,"url":"https://example.com/test?a=b&c=d"}`,
			[]string{"clicked" + said + " agent=Mozilla/5.0 (Macintosh) url=https://example.com/test?a=b&c=d ip=203.0.113.7"},
		},
		{
			"a machine that clicked is one", `{"event":"clicked",` + common + `,` + short + `,"url":"https://example.com/","client-info":{"bot":"generic"}}`,
			[]string{"clicked" + said + " url=https://example.com/ machine=true"},
		},
		{
			"an unsubscribed recipient unsubscribed", `{"event":"unsubscribed",` + common + `,` + short + `,` + client + `}`,
			[]string{"unsubscribed" + said + " ip=203.0.113.7"},
		},
		{
			"a complaint is one", `{"event":"complained",` + common + `,` + header + `}`,
			[]string{"complained" + said + " subject=Testing"},
		},
		{"mail that came in means nothing", `{"event":"stored",` + common + `}`, nil},
		{"a member of a mailing list means nothing", `{"event":"list_member_uploaded","id":"l1"}`, nil},
		{"a faulty member of a mailing list means nothing", `{"event":"list_member_upload_error","id":"l2"}`, nil},
		{"a mailing list means nothing", `{"event":"list_uploaded","id":"l3"}`, nil},
		{
			"an event of another name is not understood", `{"event":"paused",` + common + `}`,
			[]string{`error: There is no event "paused" in the provider's documents as we know them.`},
		},
		{"an event without name is not understood", `{"id":"x"}`, []string{"error: The event has no name."}},
		{"a request without event is not understood", `null`, []string{"error: The event has no name."}},
		{
			"an event without recipient, time and headers is still one", `{"event":"delivered","id":"bare"}`,
			[]string{"delivered key=bare"},
		},
		{
			"ids of digits keep them all", `{"event":"delivered","id":12345678901234567890,"timestamp":"1534108637"}`,
			[]string{"delivered key=12345678901234567890 at=2018-08-12T21:17:17Z"},
		},
	} {
		t.Run(c.name, func(t *testing.T) { means(t, mailgun, mailgunPost(c.data), c.want...) })
	}
}

// mailgunForm is a legacy post with the fields, in the encoding.
func mailgunForm(t *testing.T, multi bool, fields url.Values) *Request {
	t.Helper()
	r := &Request{Method: http.MethodPost, Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}, Body: []byte(fields.Encode())}
	if !multi {
		return r
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for name, values := range fields {
		for _, value := range values {
			if err := w.WriteField(name, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	file, err := w.CreateFormFile("attachment-1", "token")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write([]byte("the original message\x00\xff")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", w.FormDataContentType())
	r.Body = b.Bytes()
	return r
}

func TestMailgunLegacyForms(t *testing.T) {
	signed := func(v url.Values) url.Values {
		v.Set("recipient", "steve@example.com")
		v["timestamp"] = append(v["timestamp"], "1461261330")
		v["token"] = append(v["token"], "06c96bafc3f42a66b9edd546347a2fe18dc23461fe80dc52f0")
		v["signature"] = append(v["signature"], "00")
		return v
	}
	const (
		id   = "<20160421175529.19495.89030.B3AE3728@example.com>"
		said = ` at=2016-04-21T17:55:30Z provider=` + id + ` message=` + id
	)
	for _, c := range []struct {
		name   string
		fields url.Values
		want   string
	}{
		{
			"delivered is delivered, with what the headers say",
			url.Values{"event": {"delivered"}, "Message-Id": {id}, "message-headers": {`[["Subject","Webhook testing"],["Content-Type",["multipart/alternative",{"boundary":"74"}]],["X-Mailgun-Variables","{\"user_id\":\"123\"}"],["X-Mailgun-Variables","{\"campaign_id\":7}"]]`}},
			`delivered to=steve@example.com` + said + ` subject=Webhook testing meta={"user_id":"123","campaign_id":7}`,
		},
		{
			"a suppressed address is failed",
			url.Values{"event": {"dropped"}, "code": {"605"}, "reason": {"hardfail"}, "description": {"Not delivering to previously bounced address"}, "Message-Id": {id}},
			`failed code=605 reason="Not delivering to previously bounced address" to=steve@example.com` + said,
		},
		{
			"dropped for its age is a hard bounce",
			url.Values{"event": {"dropped"}, "code": {"499"}, "reason": {"old"}, "description": {"Unable to connect to MX servers: [example.com]"}, "Message-Id": {id}},
			`bounced bounce=hard code=499 reason="Unable to connect to MX servers: [example.com]" to=steve@example.com` + said,
		},
		{
			"bounced is a hard bounce",
			url.Values{"event": {"bounced"}, "code": {"550"}, "error": {"550 5.1.1 The email account does not exist."}, "Message-Id": {id}},
			`bounced bounce=hard code=550 reason="5.1.1 The email account does not exist." to=steve@example.com` + said,
		},
		{
			"a code that is an enhanced one leaves the reply's",
			url.Values{"event": {"bounced"}, "code": {"5.1.1"}, "error": {"smtp;550 5.1.1 RESOLVER.ADR.RecipNotFound; not found"}, "Message-Id": {id}},
			`bounced bounce=hard code=550 reason="5.1.1 RESOLVER.ADR.RecipNotFound; not found" to=steve@example.com` + said,
		},
		{
			"opened is opened; variables stand among the fields, and the sender's timestamp before Mailgun's",
			url.Values{"event": {"opened"}, "message-id": {id}, "user-agent": {"Mozilla/5.0"}, "ip": {"203.0.113.7"}, "tag": {"welcome", "b"}, "user_id": {"123"}, "timestamp": {"12"}, "token": {"mine"}, "signature": {"mine"}},
			`opened to=steve@example.com` + said + ` agent=Mozilla/5.0 ip=203.0.113.7 tags=welcome,b meta={"user_id":"123"}`,
		},
		{
			"clicked has its address",
			url.Values{"event": {"clicked"}, "message-id": {id}, "user-agent": {"Mozilla/5.0"}, "url": {"https://example.com/?a=b&c"}, "X-Mailgun-Tag": {"welcome"}},
			`clicked to=steve@example.com` + said + ` agent=Mozilla/5.0 url=https://example.com/?a=b&c tags=welcome`,
		},
		{"unsubscribed is unsubscribed", url.Values{"event": {"unsubscribed"}, "message-id": {id}}, `unsubscribed to=steve@example.com` + said},
		{"complained is complained", url.Values{"event": {"complained"}, "Message-Id": {id}, "message-headers": {"not JSON"}}, `complained to=steve@example.com` + said},
		{"another event is not understood", url.Values{"event": {"paused"}}, `error: There is no event "paused" in the provider's documents as we know them.`},
		{"mail that came in is not understood", url.Values{"sender": {"a@example.com"}}, `error: The form has no event: is this the URL of a route, for mail that comes in?`},
	} {
		t.Run(c.name, func(t *testing.T) {
			fields := signed(c.fields)
			var keys, nonces []string
			for _, multi := range []bool{false, true} {
				s := sourceOf(mailgun, nil)
				b, err := mailgun.Parse(mailgunForm(t, multi, fields), s)
				if err != nil {
					t.Fatal(err)
				}
				if len(b.Parts[0].Events) == 1 {
					keys = append(keys, b.Parts[0].Events[0].Key)
					b.Parts[0].Events[0].Key = ""
				}
				nonces = append(nonces, fmt.Sprint(b.Nonce))
				if got := strings.Join(tellAll(b), "\n"); got != c.want {
					t.Errorf("multipart %t: it is\n%s\nwant\n%s", multi, got, c.want)
				}
			}
			if len(keys) == 2 && (keys[0] == "" || keys[0] != keys[1]) || nonces[0] != nonces[1] {
				t.Errorf("the encodings differ in key or nonce: %q %q", keys, nonces)
			}
		})
	}
}

func TestMailgunTokenCountsForOneEvent(t *testing.T) {
	s := sourceOf(mailgun, nil)
	nonce := func(r *Request) telltale.Nonce {
		b, err := mailgun.Parse(r, s)
		if err != nil {
			t.Fatal(err)
		}
		return b.Nonce
	}
	first := nonce(mailgunPost(`{"event":"opened","id":"one"}`))
	if first.Name != "mailgun:651869375b9df3c98fc15c4889b102119add1235c38fc92824" || first.Hash != sha256.Sum256([]byte("one\nopened\n\n")) {
		t.Errorf("the nonce is %v", first)
	}
	if again := nonce(mailgunPost(`{"event":"opened","id":"one","log-level":"info"}`)); again != first {
		t.Error("a repetition has another nonce")
	}
	if other := nonce(mailgunPost(`{"event":"opened","id":"two"}`)); other.Name != first.Name || other.Hash == first.Hash {
		t.Error("another event under the same token has the same nonce")
	}
	temporary := nonce(mailgunPost(`{"event":"failed","severity":"temporary","id":"one"}`))
	if temporary.Name != first.Name || temporary.Hash == first.Hash {
		t.Error("what means nothing has no nonce of its own")
	}
	if permanent := nonce(mailgunPost(`{"event":"failed","severity":"permanent","id":"one"}`)); permanent.Hash == temporary.Hash {
		t.Error("a failure that was made worse has the same nonce")
	}
	if eve := nonce(mailgunPost(`{"event":"opened","id":"one","recipient":"eve@example.com"}`)); eve.Hash == first.Hash {
		t.Error("an event about somebody else has the same nonce")
	}
	if a, b := nonce(mailgunPost(`{"event":"opened"}`)), nonce(mailgunPost(`{"event":"clicked"}`)); a.Hash == b.Hash {
		t.Error("events without id have one nonce")
	}
	long := nonce(jsonRequest([]byte(`{"signature":{"token":"` + strings.Repeat("t", 3000) + `"},"event-data":{"event":"opened","id":"one"}}`)))
	if len(long.Name) > telltale.MaxIDChars {
		t.Errorf("the nonce's name has %d characters", len(long.Name))
	}
	form := url.Values{"event": {"opened"}, "recipient": {"steve@example.com"}, "timestamp": {"1461261330"}, "token": {"t1"}, "signature": {"00"}}
	one := nonce(mailgunForm(t, false, form))
	form.Set("token", "t2")
	form.Set("signature", "11")
	if again := nonce(mailgunForm(t, false, form)); again.Hash != one.Hash || again.Name == one.Name {
		t.Error("a form that is signed anew is another one")
	}
	form.Set("recipient", "eve@example.com")
	if other := nonce(mailgunForm(t, false, form)); other.Hash == one.Hash {
		t.Error("a form about somebody else is the same")
	}
}

// The vector is of Mailgun's PHP library, mailgun/mailgun-php,
// tests/Api/WebhookTest.php.
const (
	mailgunVectorKey       = "key-3ax6xnjp29jd6fds4gc373sgvjxteol0"
	mailgunVectorTimestamp = "1403645220"
	mailgunVectorToken     = "5egbgr1vjgqxtrnp65xfznchgdccwh5d6i09vijqi3whgowmn6"
	mailgunVectorSignature = "9cfc5c41582e51246e73c88d34db3af0a3a2692a76fbab81492842f000256d33"
)

func TestMailgunSignatures(t *testing.T) {
	at := time.Unix(1403645220, 0)
	body := func(timestamp, token, signature, rest string) *Request {
		return jsonRequest(fmt.Appendf(nil, `{"signature":{"timestamp":"%s","token":"%s","signature":"%s"%s},"event-data":{"event":"opened","id":"one"}}`, timestamp, token, signature, rest))
	}
	form := func(more url.Values) *Request {
		v := url.Values{"event": {"opened"}}
		for name, values := range more {
			v[name] = append(v[name], values...)
		}
		return mailgunForm(t, false, v)
	}
	vector := url.Values{"timestamp": {mailgunVectorTimestamp}, "token": {mailgunVectorToken}, "signature": {mailgunVectorSignature}}
	good := body(mailgunVectorTimestamp, mailgunVectorToken, mailgunVectorSignature, "")
	for _, c := range []struct {
		name string
		r    *Request
		at   time.Time
		said string // "" for what is taken
	}{
		{"the library's vector is taken", good, at, ""},
		{"the signature may stand behind the event", jsonRequest([]byte(`{"event-data":{"event":"opened"},"signature":{"timestamp":1403645220,"token":"` + mailgunVectorToken + `","signature":"` + mailgunVectorSignature + `"}}`)), at, ""},
		{"capital digits are as good", body(mailgunVectorTimestamp, mailgunVectorToken, strings.ToUpper(mailgunVectorSignature), ""), at, ""},
		{"the primary account's signature is enough", body(mailgunVectorTimestamp, mailgunVectorToken, strings.Repeat("ab", 32), `,"parent-signature":"`+mailgunVectorSignature+`"`), at, ""},
		{"a repetition eight hours later is taken", good, at.Add(8 * time.Hour), ""},
		{"a form is taken", form(vector), at, ""},
		{"a form with attachments is taken", mailgunForm(t, true, url.Values{"event": {"bounced"}, "timestamp": vector["timestamp"], "token": vector["token"], "signature": vector["signature"]}), at, ""},
		{"Mailgun's fields stand behind the sender's", form(url.Values{"timestamp": {"1", mailgunVectorTimestamp}, "token": {"x", mailgunVectorToken}, "signature": {"y", mailgunVectorSignature}}), at, ""},
		{"what is wrong behind the signature is no matter of verification", jsonRequest([]byte(`{"signature":{"timestamp":"1403645220","token":"` + mailgunVectorToken + `","signature":"` + mailgunVectorSignature + `"},"event-data":{`)), at, ""},

		{"a stale signature is refused", good, at.Add(mailgunSpan + time.Second), "older than 12h"},
		{"one from the future is refused", good, at.Add(-6 * time.Minute), "from the future"},
		{"one for another token is refused", body(mailgunVectorTimestamp, "owyldpe6nxhmrn78epljl6bj0orrki1u3d2v5e6cnlmmuox8jr", mailgunVectorSignature, ""), at, "does not match"},
		{"one for another time is refused", body("1403645221", mailgunVectorToken, mailgunVectorSignature, ""), at, "does not match"},
		{"no hexadecimal is refused", body(mailgunVectorTimestamp, mailgunVectorToken, "zz"+mailgunVectorSignature[2:], ""), at, "does not match"},
		{"half of it is refused", body(mailgunVectorTimestamp, mailgunVectorToken, mailgunVectorSignature[:32], ""), at, "does not match"},
		{"an empty one is refused", body(mailgunVectorTimestamp, mailgunVectorToken, "", ""), at, "is not signed"},
		{"no token is refused", body(mailgunVectorTimestamp, "", mailgunVectorSignature, ""), at, "is not signed"},
		{"a body without signature is refused", jsonRequest([]byte(`{"event-data":{"event":"opened"}}`)), at, "no signature"},
		{"a signature that is no object is refused", jsonRequest([]byte(`{"signature":"` + mailgunVectorSignature + `"}`)), at, "not what Mailgun documents"},
		{"a signature with a key twice is refused", jsonRequest([]byte(`{"signature":{"token":"a","token":"b"}}`)), at, "not what Mailgun documents"},
		{"a signature past its bounds is refused", body(mailgunVectorTimestamp, strings.Repeat("t", 5000), mailgunVectorSignature, ""), at, "no signature"},
		{"a body that is no object is refused", jsonRequest([]byte(`[]`)), at, "no signature"},
		{"an empty body is refused", jsonRequest(nil), at, "no signature"},
		{"a form without signature is refused", form(nil), at, "is not signed"},
		{"a form that cannot be read is refused", &Request{Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, Body: []byte("a=%zz")}, at, "cannot be read"},
		{"a form without end is refused", &Request{Header: http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}, Body: []byte("--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb")}, at, "cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := verify(mailgun, sourceOf(mailgun, map[string]string{mailgunKey: mailgunVectorKey}), c.r, c.at)
			if c.said != "" {
				refuses(t, err, telltale.Unauthenticated, c.said)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	refuses(t, verify(mailgun, sourceOf(mailgun, nil), good, at), telltale.Unauthenticated, "no signing key yet")
	refuses(t, verify(mailgun, sourceOf(mailgun, map[string]string{mailgunKey: "another key altogether"}), good, at), telltale.Unauthenticated, "HTTP webhook signing key")
}

func TestMailgunRefusesTwoSignaturesWhenItParses(t *testing.T) {
	r := jsonRequest([]byte(`{"signature":{"token":"a"},"event-data":{"event":"opened"},"\u0073ignature":{"token":"b"}}`))
	if b, err := mailgun.Parse(r, sourceOf(mailgun, nil)); err == nil {
		t.Errorf("it was understood: %v", tellAll(b))
	}
}

func TestMailgunKeysAreChecked(t *testing.T) {
	for key, good := range map[string]bool{mailgunVectorKey: true, "0123456789abcdef0123456789abcdef": true, "short": false, "a key with spaces in it": false} {
		if said := checkMailgunKey(key); (said == "") != good {
			t.Errorf("%q: %q", key, said)
		}
	}
}

// A token that leaked is good for nothing: not for another event, nor for a
// change of the one that it came with.
func TestMailgunTokenIsGoodOnce(t *testing.T) {
	w := newWorld(t)
	s, sign := w.source(mailgun)
	post := func(event string) *Request {
		return jsonRequest(fmt.Appendf(nil, `{"event-data":{%s,"id":"one","timestamp":%d,"recipient":"steve@example.com"}}`, event, time.Now().Unix()))
	}
	first := post(`"event":"failed","severity":"temporary"`)
	if response, said := w.post(s, first, sign); response.StatusCode != http.StatusOK || said != (answer{Ignored: 1}) {
		t.Fatalf("it got %d, %v", response.StatusCode, said)
	}
	if response, said := w.post(s, first, nil); response.StatusCode != http.StatusOK || said != (answer{Ignored: 1}) {
		t.Errorf("a repetition got %d, %v", response.StatusCode, said)
	}
	forged := *first
	forged.Body = bytes.Replace(first.Body, []byte(`"event":"failed","severity":"temporary"`), []byte(`"event":"complained"`), 1)
	if response, said := w.post(s, &forged, nil); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("a forgery got %d, %v", response.StatusCode, said)
	}
	if n := len(w.events()); n != 0 {
		t.Errorf("there are %d events", n)
	}
}
