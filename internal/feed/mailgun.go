package feed

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/mail"
	"net/url"
	"strings"
	"time"

	"telltale.example/telltale"
)

// mailgun is the webhooks of Sinch Mailgun: those of today, which post JSON, and
// the legacy ones, which post forms.
// https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhooks
var mailgun = &Provider{
	Name: "mailgun", Title: "Mailgun",
	Credentials: []Credential{{
		Name: "signing_key", Label: "HTTP webhook signing key",
		Hint:  "Send → Sending → Webhooks, or Settings → API Security. It is not the API key; events of a subaccount are signed with the key of the primary account, too.",
		Check: checkMailgunKey,
	}},
	Steps: []string{
		"In Mailgun, open Send → Sending → Webhooks.",
		"Copy the HTTP webhook signing key and paste it here.",
		"Choose Add webhook, and Domain-level or Account-level.",
		"Paste the URL, choose all event types, and save.",
		"Press Test webhook: Mailgun sends a sample of the event.",
	},
	Mapping: []Mapping{
		{"accepted", telltale.Sent, ""},
		{"rejected", telltale.Failed, ""},
		{"delivered", telltale.Delivered, ""},
		{"failed, severity permanent", telltale.Bounced, "hard"},
		{"failed, severity permanent, code 605, 606, 607 or 625", telltale.Failed, "the address is on a suppression list"},
		{"failed, severity temporary", "", "Mailgun tries again"},
		{"opened", telltale.Opened, "by a machine if client-info.bot names one"},
		{"clicked", telltale.Clicked, "by a machine if client-info.bot names one"},
		{"unsubscribed", telltale.Unsubscribed, ""},
		{"complained", telltale.Complained, ""},
		{"stored", "", "it is about mail that came in"},
		{"list_member_uploaded, list_member_upload_error, list_uploaded", "", "it is about a mailing list"},
		{"bounced (legacy)", telltale.Bounced, "hard"},
		{"dropped (legacy), code 605, 606, 607 or 625", telltale.Failed, "the address is on a suppression list"},
		{"dropped (legacy), any other code", telltale.Bounced, "hard"},
	},
	Metadata: "Set it as variables of the message: v: parameters of the API, the header X-Mailgun-Variables over SMTP, or recipient variables that they refer to. Tags of the form name:value do as well.",
	MetadataExample: `curl https://api.mailgun.net/v3/example.com/messages \
  -F v:user_id=123 -F v:campaign_id=987 -F v:campaign_name=Welcome …`,
	Retries:    "Mailgun repeats a request that is not answered with 200 or 406 for 8 hours, after 5, 10 and 15 minutes, and after 1, 2 and 4 hours.",
	Overloaded: http.StatusServiceUnavailable,
	Verify:     verifyMailgun,
	Parse:      parseMailgun,
	Signer:     signMailgun,
	Pair:       pairMailgun,
	Samples:    sampleMailgun,
	TestHint:   "In Mailgun, press Test webhook beside the webhook.",
}

const (
	mailgunKey = "signing_key"
	// mailgunSpan is how old a signature may be. It is made when the event
	// happens; Mailgun repeats for eight hours, and may have had it in a queue
	// before. A longer span lets nobody in, since the token is remembered far
	// longer than that.
	mailgunSpan = 12 * time.Hour

	maxMailgunSignature = 4 << 10 // bytes of the signature in a JSON body
)

func checkMailgunKey(value string) string {
	if len(value) < 16 || len(value) > 200 || strings.ContainsAny(value, " \t\r\n") {
		return "The signing key has fewer than 16 characters, more than 200, or space."
	}
	return ""
}

// mailgunSignature is what a request is signed with. It says that Mailgun made
// the token at that time, and nothing of the event beside it: that is why a token
// counts for one event only.
type mailgunSignature struct{ timestamp, token, signature, parent string }

// verifyMailgun checks the signature: hexadecimal HMAC-SHA256 over the timestamp
// and the token. A subaccount's events have one by the primary account as well.
func verifyMailgun(_ context.Context, c *Call) error {
	key := c.Source.Credentials[mailgunKey]
	if key == "" {
		return refuse("The source has no signing key yet: copy the HTTP webhook signing key from Webhooks in Mailgun.")
	}
	s, err := readMailgunSignature(c.Request)
	if err != nil {
		return err
	}
	if s.token == "" || s.signature == "" && s.parent == "" {
		return refuse("The request is not signed as Mailgun's are: is this the URL of a webhook, and not of a route?")
	}
	own := sameHex(s.signature, sha256.New, key, []byte(s.timestamp), []byte(s.token))
	parent := sameHex(s.parent, sha256.New, key, []byte(s.timestamp), []byte(s.token))
	if !own && !parent {
		return refuse("The signature does not match: is this the HTTP webhook signing key of the account, and not its API key?")
	}
	return within(c.Now, unixTime(s.timestamp), mailgunSpan)
}

// readMailgunSignature looks for the signature in the body, and at nothing else.
func readMailgunSignature(r *Request) (s mailgunSignature, err error) {
	if isForm(r) {
		form, err := readForm(r)
		if err != nil {
			return s, refuse("The request's form cannot be read: %v.", err)
		}
		return formSignature(form), nil
	}
	raw, err := memberOf(r.Body, "signature")
	if err != nil || len(raw) > maxMailgunSignature {
		return s, refuse("The request has no signature that could be read: is it Mailgun's?")
	}
	o, err := parseObject(string(raw))
	if err != nil {
		return s, refuse("The request's signature is not what Mailgun documents.")
	}
	return objectSignature(o), nil
}

func objectSignature(o object) mailgunSignature {
	return mailgunSignature{o.Text("timestamp"), o.Text("token"), o.Text("signature"), o.Text("parent-signature")}
}

// formSignature reads the fields of a legacy webhook. Those of Mailgun stand
// behind variables of the sender's that happen to have the same name.
func formSignature(form url.Values) mailgunSignature {
	last := func(name string) string {
		if values := form[name]; len(values) > 0 {
			return values[len(values)-1]
		}
		return ""
	}
	return mailgunSignature{last("timestamp"), last("token"), last("signature"), last("parent-signature")}
}

// nonce says what the token was used for, in the parts of an event that decide
// what becomes of it.
func (s mailgunSignature) nonce(event ...string) telltale.Nonce {
	token := s.token
	if len(token) > maxKey {
		sum := sha256.Sum256([]byte(token))
		token = hex.EncodeToString(sum[:])
	}
	return telltale.Nonce{Name: "mailgun:" + token, Hash: sha256.Sum256([]byte(strings.Join(event, "\n")))}
}

func parseMailgun(r *Request, _ *telltale.Source) (*Batch, error) {
	if isForm(r) {
		return parseMailgunForm(r)
	}
	o, err := parseObject(string(r.Body))
	if err != nil {
		return nil, err
	}
	data := o.child("event-data")
	// An event without an id is known by what it says: a repetition may come
	// with another signature beside it.
	id := data.Text("id")
	if id == "" {
		sum := sha256.Sum256(data.AppendJSON(nil))
		id = hex.EncodeToString(sum[:16])
	}
	events, err := mailgunEvents(data, id)
	return &Batch{
		Parts: []Part{{Raw: string(r.Body), Events: events, Err: err}},
		Nonce: objectSignature(o.child("signature")).nonce(id, data.Text("event"), data.Text("severity"), data.Text("recipient")),
	}, nil
}

func mailgunEvents(o object, id string) ([]Event, error) {
	headers := o.child("message", "headers")
	e := Event{
		Key: id, OccurredAt: o.unix("timestamp"), Recipient: o.Text("recipient"),
		MessageID: headers.Text("message-id"), Subject: headers.Text("subject"),
		// A send is answered with the Message-Id.
		ProviderMessageID: headers.Text("message-id"),
		IP:                o.Text("ip"), Meta: o.child("user-variables"), Tags: o.texts("tags"),
	}
	client, status := o.child("client-info"), o.child("delivery-status")
	switch name := o.Text("event"); name {
	case "accepted":
		e.Type = telltale.Sent
	case "rejected":
		e.Type, e.Reason = telltale.Failed, firstOf(o.child("reject").Text("reason"), o.child("reject").Text("description"), status.Text("message"))
		if e.Recipient == "" {
			e.Recipient = oneAddress(headers.Text("to"))
		}
	case "delivered":
		e.Type = telltale.Delivered
	case "failed":
		switch severity := o.Text("severity"); severity {
		case "permanent":
			e.fail(status.Text("code"), firstOf(status.Text("message"), status.Text("description"), o.Text("reason")), o.Text("reason"))
		case "temporary":
			return nil, nil
		default:
			return nil, unknownEvent("failed, severity " + severity)
		}
	case "opened":
		e.Type, e.UserAgent, e.Machine = telltale.Opened, client.Text("user-agent"), mailgunMachine(client)
	case "clicked":
		e.Type, e.UserAgent, e.URL, e.Machine = telltale.Clicked, client.Text("user-agent"), o.Text("url"), mailgunMachine(client)
	case "unsubscribed":
		e.Type = telltale.Unsubscribed
	case "complained":
		e.Type = telltale.Complained
	case "stored", "list_member_uploaded", "list_member_upload_error", "list_uploaded":
		return nil, nil
	default:
		return nil, unknownEvent(name)
	}
	return []Event{e}, nil
}

// mailgunMachine says whether a program opened or clicked: Mailgun names its
// kind, or leaves the name empty.
func mailgunMachine(client object) *bool {
	if !client.Has("bot") || client.Get("bot") == "null" {
		return nil
	}
	bot := client.Text("bot") != ""
	return &bot
}

// fail makes the event a bounce for good, or a failure if Mailgun did not even
// try since the address had bounced, complained or unsubscribed before. Its own
// codes have three digits like a reply's.
func (e *Event) fail(code, message, reason string) {
	e.Type, e.Bounce = telltale.Bounced, Hard
	e.Code, e.Reason = diagnostic(message)
	if n := threeDigits(code); n != 0 {
		e.Code = n
	}
	switch e.Code {
	case 605, 606, 607, 625:
		e.Type = telltale.Failed
	}
	if strings.HasPrefix(reason, "suppress-") {
		e.Type = telltale.Failed
	}
	if e.Type == telltale.Failed {
		e.Bounce = ""
	}
}

// parseMailgunForm reads a legacy webhook. What the sender attached stands among
// Mailgun's own fields, behind them where the names are the same.
func parseMailgunForm(r *Request) (*Batch, error) {
	form, err := readForm(r)
	if err != nil {
		return nil, notUnderstood("The form cannot be read: %v.", err)
	}
	signature := formSignature(form)
	// There is no id: the event is known by all that it says, but for the
	// signature, which may be another one in a repetition.
	said := url.Values{}
	for name, values := range form {
		if name != "token" && name != "signature" && name != "parent-signature" {
			said[name] = values
		}
	}
	sum := sha256.Sum256([]byte(said.Encode()))
	id := hex.EncodeToString(sum[:16])
	events, err := mailgunFormEvents(form, signature, id)
	return &Batch{Parts: []Part{{Raw: string(r.Body), Events: events, Err: err}}, Nonce: signature.nonce(id)}, nil
}

func mailgunFormEvents(form url.Values, signature mailgunSignature, id string) ([]Event, error) {
	e := Event{
		Key: id, OccurredAt: unixTime(signature.timestamp), Recipient: form.Get("recipient"),
		MessageID: firstOf(form.Get("Message-Id"), form.Get("message-id")),
		IP:        form.Get("ip"), Tags: form["tag"],
	}
	if len(e.Tags) == 0 {
		e.Tags = form["X-Mailgun-Tag"]
	}
	e.ProviderMessageID = e.MessageID
	e.Meta, e.Subject = mailgunFormMeta(form)
	switch name := form.Get("event"); name {
	case "delivered":
		e.Type = telltale.Delivered
	case "dropped", "bounced":
		e.fail(form.Get("code"), firstOf(form.Get("error"), form.Get("notification"), form.Get("description"), form.Get("reason")), "")
	case "opened":
		e.Type, e.UserAgent = telltale.Opened, form.Get("user-agent")
	case "clicked":
		e.Type, e.UserAgent, e.URL = telltale.Clicked, form.Get("user-agent"), form.Get("url")
	case "unsubscribed":
		e.Type = telltale.Unsubscribed
	case "complained":
		e.Type = telltale.Complained
	case "":
		return nil, notUnderstood("The form has no event: is this the URL of a route, for mail that comes in?")
	default:
		return nil, unknownEvent(name)
	}
	return []Event{e}, nil
}

// mailgunFormMeta gives the sender's variables: from the message's headers,
// where they stand alone, else from among the form's fields.
func mailgunFormMeta(form url.Values) (meta object, subject string) {
	headers, _ := splitArray([]byte(form.Get("message-headers"))) // without them, there are the fields
	for _, header := range headers {
		pair, err := splitArray([]byte(header))
		if err != nil || len(pair) != 2 {
			continue
		}
		switch value := jsonText(pair[1]); jsonText(pair[0]) {
		case "Subject":
			subject = value
		case "X-Mailgun-Variables":
			if variables, err := parseObject(value); err == nil {
				meta.Complete(variables.Object)
			}
		}
	}
	for _, name := range vocabulary {
		if values := form[name]; len(values) > 0 && !meta.Has(name) {
			meta.SetString(name, values[len(values)-1])
		}
	}
	return meta, subject
}

// oneAddress gives the address in a header that has one; "" for several, since
// none of them is known to be meant.
func oneAddress(header string) string {
	if len(header) > telltale.MaxMessageID {
		return ""
	}
	if a, err := mail.ParseAddress(header); err == nil {
		return a.Address
	}
	return ""
}

func signMailgun(credentials map[string]string) Signer {
	return func(r *Request, at time.Time) error {
		var b [25]byte
		rand.Read(b[:])
		token, timestamp := hex.EncodeToString(b[:]), fmt.Sprint(at.Unix())
		signature := hex.EncodeToString(keyedHash(sha256.New, credentials[mailgunKey], []byte(timestamp), []byte(token)))
		switch {
		case strings.HasPrefix(r.ContentType(), formType):
			r.Body = fmt.Appendf(r.Body, "&timestamp=%s&token=%s&signature=%s", timestamp, token, signature)
		case bytes.HasPrefix(r.Body, []byte("{")):
			r.Body = fmt.Appendf(nil, `{"signature":{"timestamp":"%s","token":"%s","signature":"%s"},%s`, timestamp, token, signature, r.Body[1:])
		default:
			return errors.New("feed: signing: the body is neither an object nor a form")
		}
		return nil
	}
}

func pairMailgun() (map[string]string, Signer, error) {
	var b [16]byte
	rand.Read(b[:])
	credentials := map[string]string{mailgunKey: hex.EncodeToString(b[:])}
	return credentials, signMailgun(credentials), nil
}

func sampleMailgun(at time.Time) []*Request {
	n := 0
	one := func(event, headers, rest string) *Request {
		n++
		body := fmt.Sprintf(`{"event-data":{"event":"%s","id":"sample-%d-%d","timestamp":%d.%06d,"log-level":"info","recipient":"steve@example.com","recipient-domain":"example.com",`+
			`"message":{"headers":{%s"message-id":"%d.telltale@sample.example.com"}},"tags":["welcome"],"campaigns":[],`+
			`"user-variables":{"user_id":"123","campaign_id":"987","campaign_name":"Welcome"},"flags":{"is-routed":false,"is-authenticated":true,"is-system-test":false,"is-test-mode":false}%s}}`,
			event, at.UnixNano(), n, at.Unix()+int64(n-1), at.Nanosecond()/1000, headers, at.UnixNano(), rest)
		return jsonRequest([]byte(body))
	}
	const (
		headers  = `"from":"Example <news@example.com>","subject":"Welcome aboard","to":"steve@example.com",`
		envelope = `,"envelope":{"transport":"smtp","sender":"news@example.com","sending-ip":"203.0.113.25","targets":"steve@example.com"}`
		client   = `,"ip":"203.0.113.7","geolocation":{"country":"US","region":"CA","city":"San Francisco"},"client-info":{"client-type":"browser","client-os":"macOS","device-type":"desktop","client-name":"Safari","bot":"","user-agent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"}`
	)
	requests := []*Request{
		one("accepted", headers, `,"method":"HTTP"`+envelope),
		one("delivered", headers, envelope+`,"delivery-status":{"tls":true,"mx-host":"mx.example.com","attempt-no":1,"description":"","session-seconds":0.43,"utf8":true,"code":250,"message":"OK","certificate-verified":true}`),
		one("opened", "", client),
		one("clicked", "", client+`,"url":"https://www.example.com/welcome"`),
		one("failed", headers, envelope+`,"severity":"permanent","reason":"bounce","delivery-status":{"tls":true,"mx-host":"mx.example.com","attempt-no":1,"description":"","session-seconds":0.51,"utf8":true,"code":550,"message":"5.1.1 The email account that you tried to reach does not exist.","certificate-verified":true}`),
		one("failed", headers, envelope+`,"severity":"permanent","reason":"suppress-bounce","delivery-status":{"attempt-no":1,"message":"","code":605,"description":"Not delivering to previously bounced address","session-seconds":0}`),
		one("rejected", headers, `,"reject":{"reason":"Sandbox subdomains are for test purposes only.","description":""}`),
		one("complained", headers, envelope),
		one("unsubscribed", "", client),
	}
	legacy := url.Values{
		"event": {"delivered"}, "recipient": {"steve@example.com"}, "domain": {"example.com"},
		"Message-Id": {fmt.Sprintf("<%d.legacy@sample.example.com>", at.UnixNano())}, "X-Mailgun-Sid": {"WyIyYmJiYyJd"},
		"message-headers": {`[["Subject","Welcome aboard"],["To","steve@example.com"],["X-Mailgun-Variables","{\"user_id\":\"123\",\"campaign_id\":\"987\",\"campaign_name\":\"Welcome\"}"]]`},
	}
	return append(requests, &Request{
		Method: http.MethodPost, Header: http.Header{"Content-Type": {formType}}, Body: []byte(legacy.Encode()),
	})
}
