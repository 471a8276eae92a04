package feed

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // what Mandrill signs with: as a keyed hash it holds
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"telltale.example/telltale"
)

// mandrill is the webhooks of Mailchimp Transactional, which was Mandrill.
// https://mailchimp.com/developer/transactional/docs/webhooks/
var mandrill = &Provider{
	Name: "mandrill", Title: "Mandrill",
	Credentials: []Credential{{
		Name: mandrillKey, Label: "Webhook key",
		Hint:  "Settings → Webhooks, beside the webhook under Key, once it is made. Each webhook has its own.",
		Check: checkMandrillKey,
	}},
	Steps: []string{
		"In Mailchimp Transactional, open Settings → Webhooks and choose Add a Webhook.",
		"Choose all message events under Trigger on Events.",
		"Paste the URL as Post To URL, exactly as it is, and choose Create Webhook: Mandrill asks whether somebody is there.",
		"Copy the webhook's Key and paste it here. Until then, Mandrill keeps what it could not deliver.",
		"Choose Send Test to have a sample of each event.",
	},
	Mapping: []Mapping{
		{"send", telltale.Sent, ""},
		{"deferral", "", "Mandrill tries again"},
		{"hard_bounce", telltale.Bounced, "hard"},
		{"soft_bounce", telltale.Bounced, "soft: Mandrill gave up"},
		{"delivered", telltale.Delivered, ""},
		{"open", telltale.Opened, ""},
		{"click", telltale.Clicked, ""},
		{"spam", telltale.Complained, ""},
		{"unsub", telltale.Unsubscribed, ""},
		{"reject", telltale.Failed, ""},
		{"inbound", "", "it is about mail that came in"},
		{"blacklist, whitelist (sync)", "", "it is about Mandrill's own lists, now the denylist and the allowlist"},
	},
	Metadata: "Set it as metadata of the message, or of each of its recipients as recipient_metadata; over SMTP in the header X-MC-Metadata. Tags of the form name:value do as well.",
	MetadataExample: `"message": {
  "to": [{"email": "steve@example.com"}],
  "metadata": {"user_id": "123", "campaign_id": "987", "campaign_name": "Welcome"}
}`,
	Retries:    "Mandrill repeats a batch that is not answered with 200 at growing intervals, and keeps what happens meanwhile behind it.",
	Overloaded: http.StatusServiceUnavailable,
	Verify:     verifyMandrill,
	Parse:      parseMandrill,
	Signer:     signMandrill,
	Pair:       pairMandrill,
	Samples:    sampleMandrill,
	TestHint:   "In Mailchimp Transactional, press Send Test beside the webhook in Settings → Webhooks.",
}

const (
	mandrillKey = "webhook_key"
	// mandrillSetupKey signs what Mandrill posts to try an address out, before the
	// webhook is there that has a key. Everybody knows it.
	mandrillSetupKey = "test-webhook"
	mandrillEvents   = "mandrill_events"
)

// mandrillSignatures are the headers that hold the signature: of old, and since
// Mandrill is a part of Mailchimp.
var mandrillSignatures = []string{"X-Mandrill-Signature", "X-Mailchimp-Signature"}

func checkMandrillKey(value string) string {
	switch {
	case value == mandrillSetupKey:
		return "This is the key of Mandrill's setup test, which everybody knows."
	case len(value) < 10 || len(value) > 200 || strings.ContainsAny(value, " \t\r\n"):
		return "The webhook key has fewer than 10 characters, more than 200, or space."
	}
	return ""
}

// verifyMandrill checks the signature: base64 HMAC-SHA1 over the address that was
// posted to and the form's fields, in alphabetical order, each as name and value.
func verifyMandrill(_ context.Context, c *Call) error {
	form, signatures, err := readMandrill(c.Request)
	if err != nil {
		return err
	}
	text := mandrillText(c.URL, form)
	signed := func(key string) bool {
		return slices.ContainsFunc(signatures, func(sum []byte) bool { return hmac.Equal(sum, keyedHash(sha1.New, key, text)) })
	}
	key := c.Source.Credentials[mandrillKey]
	switch {
	case key != "" && key != mandrillSetupKey && signed(key):
		return nil
	case isMandrillSetup(form) && signed(mandrillSetupKey):
		return nil // there is nothing in it
	case key == "":
		return refuse("The source has no webhook key yet: copy the webhook's Key from Settings, Webhooks in Mailchimp Transactional.")
	}
	return refuse("The signature does not match: is the webhook key this webhook's, and is %s exactly the address that Mandrill posts to?", addressOnly(c.URL))
}

// readMandrill gives the form and what may be its signature.
func readMandrill(r *Request) (form url.Values, signatures [][]byte, err error) {
	if !isForm(r) {
		return nil, nil, refuse("The request is no form: is it Mandrill's?")
	}
	there := false
	for _, name := range mandrillSignatures {
		if text := r.Header.Get(name); text != "" {
			there = true
			if sum, err := base64.StdEncoding.DecodeString(text); err == nil {
				signatures = append(signatures, sum)
			}
		}
	}
	switch {
	case !there:
		return nil, nil, refuse("The request is not signed: it has no header %s.", mandrillSignatures[0])
	case len(signatures) == 0:
		return nil, nil, refuse("The signature is not base64.")
	}
	if form, err = readForm(r); err != nil {
		return nil, nil, refuse("The request's form cannot be read: %v.", err)
	}
	return form, signatures, nil
}

// mandrillText is what is signed.
func mandrillText(address string, form url.Values) []byte {
	text := []byte(address)
	for _, name := range slices.Sorted(maps.Keys(form)) {
		for _, value := range form[name] {
			text = append(append(text, name...), value...)
		}
	}
	return text
}

// isMandrillSetup reports whether the form has no events, as the one that tries an
// address out.
func isMandrillSetup(form url.Values) bool {
	events, err := splitArray([]byte(form.Get(mandrillEvents)))
	return err == nil && len(events) == 0
}

// addressOnly leaves out of an address what opens it: its last part.
func addressOnly(address string) string {
	if i := strings.Index(address, Prefix); i >= 0 {
		return address[:i+len(Prefix)] + "…"
	}
	return "the public URL"
}

func parseMandrill(r *Request, _ *telltale.Source) (*Batch, error) {
	form, err := readForm(r)
	if err != nil {
		return nil, notUnderstood("The form cannot be read: %v.", err)
	}
	b, err := many([]byte(form.Get(mandrillEvents)), parseMandrillEvent)
	if err != nil {
		return nil, err
	}
	b.ContentType = formType
	b.Alone = func(raw string) []byte {
		return []byte(url.Values{mandrillEvents: {"[" + raw + "]"}}.Encode())
	}
	return b, nil
}

func parseMandrillEvent(o object) ([]Event, error) {
	message := o.child("msg")
	e := Event{
		OccurredAt: o.unix("ts"), Recipient: message.Text("email"),
		ProviderMessageID: firstOf(message.Text("_id"), o.Text("_id")),
		IP:                o.Text("ip"), Meta: message.child("metadata"), Tags: message.texts("tags"), Subject: message.Text("subject"),
	}
	name := o.Text("event")
	switch name {
	case "send":
		e.Type = telltale.Sent
	case "delivered":
		e.Type = telltale.Delivered
	case "hard_bounce", "soft_bounce":
		e.Type, e.Bounce = telltale.Bounced, Soft
		if name == "hard_bounce" {
			e.Bounce = Hard
		}
		e.Code, e.Reason = diagnostic(message.Text("diag"))
		e.Reason = firstOf(e.Reason, message.Text("bounce_description"))
	case "reject":
		e.Type = telltale.Failed
		e.Reason = firstOf(message.child("reject").Text("reason"), message.Text("reject"), message.Text("reject_reason"))
	case "open":
		e.Type, e.UserAgent = telltale.Opened, o.Text("user_agent")
	case "click":
		e.Type, e.UserAgent, e.URL = telltale.Clicked, o.Text("user_agent"), o.Text("url")
	case "spam":
		e.Type = telltale.Complained
	case "unsub":
		e.Type = telltale.Unsubscribed
	case "deferral", "inbound":
		return nil, nil
	default:
		switch o.Text("type") { // of what is synchronised
		case "blacklist", "whitelist", "denylist", "allowlist":
			return nil, nil
		}
		return nil, unknownEvent(name)
	}
	// The id is the message's and is the same in all its events.
	if e.ProviderMessageID != "" {
		e.Key = e.ProviderMessageID + ":" + name + ":" + o.Text("ts")
		if e.URL != "" {
			e.Key += ":" + e.URL
		}
	}
	return []Event{e}, nil
}

func signMandrill(credentials map[string]string) Signer {
	return func(r *Request, _ time.Time) error {
		if !isForm(r) {
			return errors.New("feed: signing: the body is no form")
		}
		form, err := readForm(r)
		if err != nil {
			return fmt.Errorf("feed: signing: %w", err)
		}
		sum := keyedHash(sha1.New, credentials[mandrillKey], mandrillText(r.URL, form))
		r.Header.Set(mandrillSignatures[0], base64.StdEncoding.EncodeToString(sum))
		return nil
	}
}

func pairMandrill() (map[string]string, Signer, error) {
	var b [16]byte
	rand.Read(b[:])
	credentials := map[string]string{mandrillKey: base64.RawURLEncoding.EncodeToString(b[:])}
	return credentials, signMandrill(credentials), nil
}

func sampleMandrill(at time.Time) []*Request {
	n := int64(0)
	one := func(event, state, message, rest string) string {
		n++
		return fmt.Sprintf(`{"event":"%s","_id":"sample%d","msg":{"ts":%d,"_id":"sample%d","state":"%s","subject":"Welcome aboard","email":"steve@example.com","sender":"news@example.com","tags":["welcome"],`+
			`"metadata":{"user_id":"123","campaign_id":"987","campaign_name":"Welcome"},"opens":[],"clicks":[],"smtp_events":[],"resends":[],"template":null%s},"ts":%d%s}`,
			event, at.UnixNano(), at.Unix(), at.UnixNano(), state, message, at.Unix()+n-1, rest)
	}
	const agent = `,"ip":"203.0.113.7","user_agent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)","location":{"country_short":"US","city":"San Francisco"}`
	events := []string{
		one("send", "sent", "", ""),
		one("delivered", "sent", "", ""),
		one("open", "sent", "", agent),
		one("click", "sent", "", agent+`,"url":"https:\/\/www.example.com\/welcome"`),
		one("hard_bounce", "bounced", `,"diag":"smtp;550 5.1.1 The email account that you tried to reach does not exist.","bounce_description":"bad_mailbox","bgtools_code":10`, ""),
		one("soft_bounce", "soft-bounced", `,"diag":"smtp;452 4.2.2 The mailbox is full.","bounce_description":"mailbox_full","bgtools_code":22`, ""),
		one("spam", "spam", "", ""),
		one("unsub", "unsub", "", agent),
		one("reject", "rejected", `,"reject":{"reason":"hard-bounce"}`, ""),
	}
	form := url.Values{mandrillEvents: {"[" + strings.Join(events, ",") + "]"}}
	return []*Request{{Method: http.MethodPost, Header: http.Header{"Content-Type": {formType}}, Body: []byte(form.Encode())}}
}
