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

// mailersend is the webhook of a domain at MailerSend, in its first version,
// whose objects are nested, and its second, which is flat.
// https://developers.mailersend.com/api/v1/webhooks.html
var mailersend = &Provider{
	Name: "mailersend", Title: "MailerSend",
	Credentials: []Credential{{
		Name: "signing_secret", Label: "Signing secret",
		Hint:  "Email → Domains → your domain → Manage → Webhooks → your webhook → Signing secret.",
		Check: checkSigningSecret,
	}},
	Steps: []string{
		"In MailerSend, open Email → Domains, press Manage beside your domain, and under Webhooks press Add webhook.",
		"Paste the URL as Endpoint URL. MailerSend calls it at once, and saves the webhook only if that succeeds.",
		"Choose all events whose name begins with activity., but for the two that end in unique: they repeat opened and clicked.",
		"Save, then open the webhook, copy its signing secret and paste it here.",
	},
	Mapping: []Mapping{
		{"activity.sent", telltale.Sent, ""},
		{"activity.delivered", telltale.Delivered, ""},
		{"activity.soft_bounced", telltale.Bounced, "soft"},
		{"activity.hard_bounced", telltale.Bounced, "hard"},
		{"activity.deferred", "", "MailerSend tries again"},
		{"activity.suppressed", telltale.Failed, ""},
		{"activity.opened", telltale.Opened, ""},
		{"activity.opened_unique", telltale.Opened, "the first time; choose it or activity.opened"},
		{"activity.clicked", telltale.Clicked, ""},
		{"activity.clicked_unique", telltale.Clicked, "the first time; choose it or activity.clicked"},
		{"activity.unsubscribed", telltale.Unsubscribed, ""},
		{"activity.spam_complaint", telltale.Complained, ""},
		{"activity.survey_opened, activity.survey_submitted", "", ""},
		{"sender_identity.…, maintenance.…, inbound_…, email_single.…, email_list.…, bulk_email.…, recipient.…", "", "they are about no message to somebody"},
		{"webhook.test", "", "MailerSend tries the URL"},
	},
	Metadata:        "MailerSend has tags alone, at most five: write them as name:value. A tag that is not of the list stands for the campaign's name.",
	MetadataExample: `"tags": ["user_id:123", "campaign_id:987", "campaign_name:Welcome"]`,
	Retries:         "MailerSend repeats a request that is answered with 429 or 5xx, or not at all, for about three days; after any other 4xx it does not. It pauses a webhook that fails 20 times within 24 hours.",
	Overloaded:      http.StatusServiceUnavailable,
	Verify:          verifyMailerSend,
	Parse: func(r *Request, _ *telltale.Source) (*Batch, error) {
		return one(r.Body, parseMailerSend)
	},
	Signer: signMailerSend,
	Pair: func() (map[string]string, Signer, error) {
		credentials := map[string]string{"signing_secret": newCredential("signing_secret")}
		return credentials, signMailerSend(credentials), nil
	},
	Samples:  sampleMailerSend,
	TestHint: "In MailerSend, open the webhook, press Test webhook under Events, and choose one.",
}

const (
	mailerSendSignature = "Signature"
	// mailerSendTest is the name of the event by which MailerSend tries a URL
	// before it saves a webhook, and mailerSendTestSecret what it signs it with,
	// since the webhook has no secret yet. The secret is published in its
	// documents, so it is good for that event and no other.
	mailerSendTest       = "webhook.test"
	mailerSendTestSecret = "test_Am3L1GuOIc4blLUuHqAPxxwkZaJyEk8G" //nolint:gosec // it is published, and opens nothing
)

// verifyMailerSend checks the signature: hexadecimal HMAC-SHA256 over the raw
// body. It has no time: a repetition is known by its event's id.
func verifyMailerSend(_ context.Context, c *Call) error {
	text := c.Header.Get(mailerSendSignature)
	if text == "" {
		return refuse("The request is not signed by MailerSend: its header %s is missing.", mailerSendSignature)
	}
	if sameHex(text, sha256.New, mailerSendTestSecret, c.Body) {
		if o, err := parseObject(string(c.Body)); err == nil && o.Text("type") == mailerSendTest {
			return nil
		}
	}
	secret := c.Source.Credentials["signing_secret"]
	switch {
	case secret == "":
		return refuse("The source has no signing secret yet: copy it from the webhook's page in MailerSend.")
	case !sameHex(text, sha256.New, secret, c.Body):
		return refuse("The signature does not match: is the signing secret from the same webhook?")
	}
	return nil
}

func signMailerSend(credentials map[string]string) Signer {
	return func(r *Request, _ time.Time) error {
		r.Header.Set(mailerSendSignature, hex.EncodeToString(keyedHash(sha256.New, credentials["signing_secret"], r.Body)))
		return nil
	}
}

func parseMailerSend(o object) ([]Event, error) {
	data := o.child("data")
	e := Event{Key: data.Text("id"), OccurredAt: data.time("created_at")}
	if e.OccurredAt.IsZero() {
		e.OccurredAt = o.time("created_at")
	}
	detail := data.child("meta")                       // an empty array if there is none
	if email := data.child("email"); email.Len() > 0 { // the first version
		detail = data.child("morph")
		e.ProviderMessageID, e.Recipient = email.child("message").Text("id"), email.child("recipient").Text("email")
		e.Subject, e.Tags = email.Text("subject"), email.texts("tags")
	} else {
		e.ProviderMessageID, e.Recipient = data.Text("message_id"), data.Text("recipient")
		e.Subject, e.Tags = data.Text("subject"), data.texts("tags")
		if e.Recipient == "" {
			e.Recipient = data.Text("email")
		}
	}
	e.IP = detail.Text("ip")
	name := o.Text("type")
	if name == "" && data.Has("type") {
		name = "activity." + data.Text("type")
	}
	switch name {
	case "activity.sent":
		e.Type = telltale.Sent
	case "activity.delivered":
		e.Type = telltale.Delivered
	case "activity.soft_bounced":
		e.bouncedAtMailerSend(Soft, detail)
	case "activity.hard_bounced":
		e.bouncedAtMailerSend(Hard, detail)
	case "activity.suppressed":
		e.Type, e.Reason = telltale.Failed, firstText(detail, "suppression_reason", "readable_reason", "reason")
	case "activity.opened", "activity.opened_unique":
		e.Type, e.UserAgent = telltale.Opened, detail.Text("user_agent")
	case "activity.clicked", "activity.clicked_unique":
		e.Type, e.UserAgent, e.URL = telltale.Clicked, detail.Text("user_agent"), detail.Text("url")
	case "activity.unsubscribed":
		e.Type = telltale.Unsubscribed
	case "activity.spam_complaint", "activity.spam_complaints":
		e.Type = telltale.Complained
	case "activity.deferred", "activity.survey_opened", "activity.survey_submitted", mailerSendTest:
		return nil, nil
	default:
		for _, of := range [...]string{"sender_identity.", "maintenance.", "inbound_", "inbound.", "email_single.", "email_list.", "bulk_email.", "recipient."} {
			if strings.HasPrefix(name, of) {
				return nil, nil
			}
		}
		return nil, unknownEvent(name)
	}
	return []Event{e}, nil
}

func (e *Event) bouncedAtMailerSend(kind BounceType, detail object) {
	e.Type, e.Bounce = telltale.Bounced, kind
	e.Code, e.Reason = diagnostic(firstText(detail, "bounce_reason", "readable_reason", "reason"))
	if code := detail.code("bounce_code"); code != 0 {
		e.Code = code
	}
}

// firstText gives the first of the members that says something.
func firstText(o object, names ...string) string {
	for _, name := range names {
		if text := o.Text(name); text != "" {
			return text
		}
	}
	return ""
}

func sampleMailerSend(at time.Time) (requests []*Request) {
	const agent = `"ip":"203.0.113.7","country":"US","user_agent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)","device_type":"desktop"`
	const tags = `"tags":["user_id:123","campaign_id:987","campaign_name:Welcome"]`
	id := func(n int) string { return fmt.Sprintf("%016x%08x", at.UnixNano(), n) }
	when := func(n int) string {
		return at.Add(time.Duration(n) * time.Second).UTC().Format("2006-01-02T15:04:05.000000Z")
	}
	for i, s := range []struct{ kind, meta string }{
		{"sent", "[]"},
		{"delivered", "[]"},
		{"opened", "{" + agent + "}"},
		{"clicked", "{" + agent + `,"url":"https:\/\/www.example.com\/welcome"}`},
		{"hard_bounced", `{"bounce_reason":"550 5.1.1 The email account that you tried to reach does not exist.","bounce_code":550,"bounce_type":"hard"}`},
		{"soft_bounced", `{"bounce_reason":"Mailbox full","bounce_code":452,"bounce_type":"soft"}`},
		{"suppressed", `{"suppression_reason":"on_hold"}`},
		{"unsubscribed", `{"unsubscribe_reason":"NO_LONGER_WANT"}`},
	} {
		var b bytes.Buffer
		fmt.Fprintf(&b, `{"type":"activity.%s","created_at":"%s","data":{"id":"%s","domain_id":"yv69oxl5kl785kw2","message_id":"%s","email_id":"%s",`+
			`"type":"%[1]s","subject":"Welcome aboard","recipient":"steve@example.com",%[6]s,"meta":%[7]s},"webhook_id":"2351ndgwr4zqx8ko"}`,
			s.kind, when(i), id(10+i), id(0), id(1), tags, s.meta)
		requests = append(requests, jsonRequest(b.Bytes()))
	}
	var b bytes.Buffer // one of the first version
	fmt.Fprintf(&b, `{"type":"activity.spam_complaint","domain_id":"yv69oxl5kl785kw2","created_at":"%[1]s","webhook_id":"2351ndgwr4zqx8ko","url":"https:\/\/telltale.example.com\/feeds\/x",`+
		`"data":{"object":"activity","id":"%[2]s","type":"spam_complaint","created_at":"%[1]s","email":{"object":"email","id":"%[3]s","created_at":"%[1]s",`+
		`"from":"hello@acme.example.com","subject":"Welcome aboard","status":"delivered",%[5]s,"message":{"object":"message","id":"%[4]s","created_at":"%[1]s"},`+
		`"recipient":{"object":"recipient","id":"%[6]s","email":"steve@example.com","created_at":"%[1]s"}},"morph":{"object":"spam_complaint","reason":null},"template_id":""}}`,
		when(8), id(18), id(1), id(0), tags, id(2))
	return append(requests, jsonRequest(b.Bytes()))
}
