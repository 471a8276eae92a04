package feed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"telltale.example/telltale"
)

// mailtrap is the webhook of Mailtrap's Email API/SMTP, as JSON or as JSON Lines.
// https://docs.mailtrap.io/email-api-smtp/advanced/webhooks
var mailtrap = &Provider{
	Name: "mailtrap", Title: "Mailtrap",
	Credentials: []Credential{{
		Name: "signing_secret", Label: "Signing secret",
		Hint:  "Settings → Webhooks → your webhook → Signing secret.",
		Check: checkSigningSecret,
	}},
	Options: []Option{{
		Name: mailtrapFinal, Label: "Report final bounces only",
		Hint: "Mailtrap reports a soft bounce or a suspension, and tries ten times more. With this, what is left is bounce and reject, when it gave up.",
	}},
	Steps: []string{
		"In Mailtrap, open Settings → Webhooks and press Create New Webhook.",
		"Paste the URL as Webhook URL. Mailtrap reaches the ports 80 and 443 only.",
		"Choose JSON or JSON Lines as Payload format: both are understood.",
		"Choose Email Sending, the sending stream, the domain and all events, and save.",
		"Open the webhook again, copy its signing secret and paste it here.",
	},
	Mapping: []Mapping{
		{"delivery", telltale.Delivered, ""},
		{"soft bounce", telltale.Bounced, "soft; Mailtrap tries again"},
		{"bounce", telltale.Bounced, "hard"},
		{"suspension", telltale.Failed, "the domain is not verified; Mailtrap tries again"},
		{"unsubscribe", telltale.Unsubscribed, ""},
		{"open", telltale.Opened, ""},
		{"spam", telltale.Complained, ""},
		{"click", telltale.Clicked, ""},
		{"reject", telltale.Failed, ""},
		{"activity_log.…, inbound.…", "", "they are about no message of yours"},
	},
	Metadata: "Set it as custom_variables of the message; over SMTP as JSON in the header X-MT-Custom-Variables. The category may stand for the campaign's name.",
	MetadataExample: `"category": "Welcome",
"custom_variables": {"user_id": "123", "campaign_id": "987"}`,
	Retries:    "Mailtrap repeats a request that is not answered with 200 every 5 minutes, 40 times, and then pauses the webhook.",
	NoSent:     true,
	Overloaded: http.StatusServiceUnavailable,
	Verify:     verifyMailtrap,
	Parse:      parseMailtrap,
	Signer:     signMailtrap,
	Pair: func() (map[string]string, Signer, error) {
		credentials := map[string]string{"signing_secret": newCredential("signing_secret")}
		return credentials, signMailtrap(credentials), nil
	},
	Samples:  sampleMailtrap,
	TestHint: "In Mailtrap, open the webhook again and press Run Test.",
}

// mailtrapFinal is the option to report what Mailtrap gave up on, and no more.
const mailtrapFinal = "final_only"

// mailtrapSignatures are the header's names: as documented, and as it was seen.
var mailtrapSignatures = [...]string{"Mailtrap-Signature", "X-Mt-Signature"}

// verifyMailtrap checks the signature: hexadecimal HMAC-SHA256 over the raw body.
// It has no time: a repetition is known by its events' ids.
func verifyMailtrap(_ context.Context, c *Call) error {
	secret := c.Source.Credentials["signing_secret"]
	if secret == "" {
		return refuse("The source has no signing secret yet: copy it from the webhook's page in Mailtrap.")
	}
	var text string
	for _, name := range mailtrapSignatures {
		if text = c.Header.Get(name); text != "" {
			break
		}
	}
	if text == "" {
		return refuse("The request is not signed by Mailtrap: its header %s is missing.", mailtrapSignatures[0])
	}
	if !sameHex(text, sha256.New, secret, c.Body) {
		return refuse("The signature does not match: is the signing secret from the same webhook?")
	}
	return nil
}

func signMailtrap(credentials map[string]string) Signer {
	return func(r *Request, _ time.Time) error {
		r.Header.Set(mailtrapSignatures[0], hex.EncodeToString(keyedHash(sha256.New, credentials["signing_secret"], r.Body)))
		return nil
	}
}

// checkSigningSecret checks a secret that is used as it is written.
func checkSigningSecret(value string) string {
	if len(value) < 8 || len(value) > 200 || strings.ContainsAny(value, " \t\r\n") {
		return "The signing secret has fewer than 8 characters, more than 200, or space."
	}
	return ""
}

// parseMailtrap reads an object whose events are an array, or JSON Lines: an
// event on each line. A line that is none costs the others nothing.
func parseMailtrap(r *Request, s *telltale.Source) (*Batch, error) {
	read := func(o object) ([]Event, error) { return parseMailtrapEvent(o, s != nil && s.Has(mailtrapFinal)) }
	if whole, err := parseObject(string(r.Body)); err == nil {
		if !whole.Has("events") {
			return one(r.Body, read) // one event, on one line or on several
		}
		elements, err := splitArray([]byte(whole.Get("events")))
		if err != nil {
			return nil, err
		}
		b := &Batch{Alone: func(raw string) []byte { return []byte(`{"events":[` + raw + `]}`) }, ContentType: "application/json"}
		b.parse(elements, read)
		return b, nil
	}
	var elements []string
	for line := range strings.SplitSeq(string(r.Body), "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if len(elements) == telltale.MaxFeedEvents {
			return nil, notUnderstood("The request has more than %d lines.", telltale.MaxFeedEvents)
		}
		elements = append(elements, line)
	}
	if len(elements) == 0 {
		return nil, notUnderstood("The request is empty.")
	}
	b := &Batch{}
	b.parse(elements, read)
	return b, nil
}

func parseMailtrapEvent(o object, final bool) ([]Event, error) {
	e := Event{
		Key: o.Text("event_id"), OccurredAt: o.unix("timestamp"), Recipient: o.Text("email"),
		ProviderMessageID: o.Text("message_id"), IP: o.Text("ip"),
		Meta: o.child("custom_variables"), Tags: o.texts("category"),
	}
	switch name := o.Text("event"); name {
	case "delivery":
		e.Type = telltale.Delivered
	case "open":
		e.Type, e.UserAgent = telltale.Opened, o.Text("user_agent")
	case "click":
		e.Type, e.UserAgent, e.URL = telltale.Clicked, o.Text("user_agent"), o.Text("url")
	case "bounce":
		e.Type, e.Bounce = telltale.Bounced, Hard
	case "soft bounce":
		e.Type, e.Bounce = telltale.Bounced, Soft
	case "spam":
		e.Type = telltale.Complained
	case "unsubscribe":
		e.Type = telltale.Unsubscribed
	case "reject", "suspension":
		e.Type = telltale.Failed
	default:
		if strings.HasPrefix(name, "activity_log.") || strings.HasPrefix(name, "inbound.") {
			return nil, nil
		}
		return nil, unknownEvent(name)
	}
	switch e.Type {
	case telltale.Bounced, telltale.Failed:
		if name := o.Text("event"); final && (name == "soft bounce" || name == "suspension") {
			return nil, nil
		}
		e.Code, e.Reason = diagnostic(mailtrapResponse(o.Text("response")))
		if code := o.code("response_code"); code != 0 {
			e.Code = code
		}
		if e.Reason == "" {
			e.Reason = firstText(o, "reason", "bounce_category")
		}
	}
	return []Event{e}, nil
}

// mailtrapResponse gives what the receiver's server said, of which Mailtrap
// writes "bounced (550 5.1.1 …)".
func mailtrapResponse(text string) string {
	for _, before := range [...]string{"bounced (", "soft bounce ("} {
		if inner, ok := strings.CutPrefix(text, before); ok {
			return strings.TrimSuffix(inner, ")")
		}
	}
	return text
}

func sampleMailtrap(at time.Time) []*Request {
	const agent = `,"ip":"203.0.113.7","user_agent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"`
	event := func(n int, name, rest string) string {
		return fmt.Sprintf(`{"event":"%s","timestamp":%d,"sending_stream":"transactional","sending_domain_name":"acme.example.com","category":"welcome",`+
			`"custom_variables":{"user_id":"123","campaign_id":"987","campaign_name":"Welcome"},"message_id":"%s","email":"steve@example.com","event_id":"%s"%s}`,
			name, at.Unix()+int64(n), sampleUUID(at, 0), sampleUUID(at, n+1), rest)
	}
	events := []string{
		event(0, "delivery", ""),
		event(1, "open", agent),
		event(2, "click", agent+`,"url":"https://www.example.com/welcome"`),
		event(3, "bounce", `,"response":"bounced (550 5.1.1 The email account that you tried to reach does not exist. - gsmtp)","response_code":550,"bounce_category":"badmailbox"`),
		event(4, "soft bounce", `,"response":"soft bounce (450 4.2.0 The email account is temporarily unavailable. - gsmtp)","response_code":450,"bounce_category":"unavailable"`),
		event(5, "reject", `,"reason":"unverified domain"`),
	}
	lines := []string{ // as JSON Lines
		event(6, "spam", ""),
		event(7, "unsubscribe", agent),
	}
	var b bytes.Buffer
	for _, line := range lines {
		b.WriteString(line)
		b.WriteString("\n")
	}
	last := jsonRequest(b.Bytes())
	last.Header.Set("Content-Type", "application/jsonl")
	return []*Request{jsonRequest([]byte(`{"events":[` + strings.Join(events, ",") + `]}`)), last}
}
