package feed

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"telltale.example/telltale"
)

// sendgrid is the Event Webhook of Twilio SendGrid, with its signature switched on.
// https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
var sendgrid = &Provider{
	Name: "sendgrid", Title: "SendGrid",
	Credentials: []Credential{{
		Name: "verification_key", Label: "Verification key", Open: true,
		Hint:  "Settings → Mail Settings → Event Webhooks → your webhook → Signature Verification. It is base64 and begins with MFkw.",
		Check: checkSendGridKey,
	}},
	Steps: []string{
		"In SendGrid, open Settings → Mail Settings → Event Webhooks and choose Create new webhook.",
		"Paste the URL as Post URL.",
		"Under Actions to be posted, choose all deliverability and engagement data.",
		"Switch on Signature Verification under Security features, and save.",
		"Open the webhook again, copy its Verification Key and paste it here.",
		"Press Test Your Integration: SendGrid sends a sample of each event.",
	},
	Mapping: []Mapping{
		{"processed", telltale.Sent, ""},
		{"delivered", telltale.Delivered, ""},
		{"bounce, type bounce", telltale.Bounced, "hard for a status 5.x, else soft"},
		{"bounce, type blocked", telltale.Bounced, "soft"},
		{"dropped", telltale.Failed, ""},
		{"deferred", "", "SendGrid tries again"},
		{"open", telltale.Opened, "by a machine if sg_machine_open is true"},
		{"click", telltale.Clicked, ""},
		{"spamreport", telltale.Complained, ""},
		{"unsubscribe", telltale.Unsubscribed, ""},
		{"group_unsubscribe", telltale.Unsubscribed, ""},
		{"group_resubscribe", telltale.Resubscribed, ""},
	},
	Metadata: "Set it as custom_args of the message, or of each personalization; over SMTP as unique_args in the header X-SMTPAPI. Categories of the form name:value do as well.",
	MetadataExample: `{
  "personalizations": [{
    "to": [{"email": "steve@example.com"}],
    "custom_args": {"user_id": "123", "campaign_id": "987", "campaign_name": "Welcome"}
  }]
}`,
	Retries:    "SendGrid repeats a request that is not answered with success for 24 hours.",
	Overloaded: http.StatusServiceUnavailable,
	Verify:     verifySendGrid,
	Parse: func(r *Request, _ *telltale.Source) (*Batch, error) {
		return many(r.Body, parseSendGrid)
	},
	Pair:     pairSendGrid,
	Samples:  sampleSendGrid,
	TestHint: "In SendGrid, press Test Your Integration in the settings of the webhook.",
}

const (
	sendGridSignature = "X-Twilio-Email-Event-Webhook-Signature"
	sendGridTimestamp = "X-Twilio-Email-Event-Webhook-Timestamp"
	// sendGridSpan is how old a request may be: as long as it is repeated, since
	// nobody says that a repetition is signed anew.
	sendGridSpan = 25 * time.Hour
)

// verifySendGrid checks the signature: ASN.1 ECDSA on P-256 and SHA-256 over the
// timestamp and the raw body.
func verifySendGrid(_ context.Context, c *Call) error {
	if c.Source.Credentials["verification_key"] == "" {
		return refuse("The source has no verification key yet: copy it from the webhook's Signature Verification in SendGrid.")
	}
	signature, timestamp := c.Header.Get(sendGridSignature), c.Header.Get(sendGridTimestamp)
	if signature == "" || timestamp == "" {
		return refuse("The request is not signed: switch on Signature Verification for the webhook in SendGrid.")
	}
	key, err := sendGridKey(c.Source.Credentials["verification_key"])
	if err != nil {
		return refuse("The source's verification key cannot be read: copy it again from the webhook's Signature Verification in SendGrid.")
	}
	der, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return refuse("The signature is not base64.")
	}
	if !ecdsa.VerifyASN1(key, sendGridDigest(timestamp, c.Body), der) {
		return refuse("The signature does not match: is the verification key from the same webhook?")
	}
	return within(c.Now, unixTime(timestamp), sendGridSpan)
}

func sendGridDigest(timestamp string, body []byte) []byte {
	h := sha256.New()
	h.Write([]byte(timestamp))
	h.Write(body)
	return h.Sum(nil)
}

func sendGridKey(text string) (*ecdsa.PublicKey, error) {
	der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("feed: verification key: %w", err)
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("feed: verification key: %w", err)
	}
	ec, ok := key.(*ecdsa.PublicKey)
	if !ok || ec.Curve != elliptic.P256() {
		return nil, fmt.Errorf("feed: verification key: %T is no key on P-256", key)
	}
	return ec, nil
}

func checkSendGridKey(value string) string {
	if _, err := sendGridKey(value); err != nil {
		return "This is no verification key of SendGrid's."
	}
	return ""
}

func pairSendGrid() (map[string]string, Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("feed: making a key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, nil, fmt.Errorf("feed: making a key: %w", err)
	}
	return map[string]string{"verification_key": base64.StdEncoding.EncodeToString(public)}, func(r *Request, at time.Time) error {
		timestamp := fmt.Sprint(at.Unix())
		signature, err := ecdsa.SignASN1(rand.Reader, key, sendGridDigest(timestamp, r.Body))
		if err != nil {
			return fmt.Errorf("feed: signing: %w", err)
		}
		r.Header.Set(sendGridTimestamp, timestamp)
		r.Header.Set(sendGridSignature, base64.StdEncoding.EncodeToString(signature))
		return nil
	}, nil
}

func parseSendGrid(o object) ([]Event, error) {
	e := Event{
		Key: o.Text("sg_event_id"), OccurredAt: o.unix("timestamp"), Recipient: o.Text("email"),
		MessageID: o.Text("smtp-id"), IP: o.Text("ip"),
		Meta: o, // custom arguments stand among the event's own members
		Tags: o.texts("category"), Subject: o.Text("subject"),
	}
	// The id that SendGrid answers a send with is what stands before the first dot.
	e.ProviderMessageID, _, _ = strings.Cut(o.Text("sg_message_id"), ".")
	switch name := o.Text("event"); name {
	case "processed":
		e.Type = telltale.Sent
	case "delivered":
		e.Type = telltale.Delivered
	case "bounce":
		e.Type, e.Bounce = telltale.Bounced, Soft
		e.Code, e.Reason = diagnostic(o.Text("reason"))
		status := o.Text("status")
		if o.Text("type") != "blocked" && (permanent(status) || status == "" && e.Code >= 500) {
			e.Bounce = Hard
		}
		if e.Reason == "" {
			e.Reason = status
		}
	case "dropped":
		e.Type = telltale.Failed
		e.Code, e.Reason = diagnostic(o.Text("reason"))
	case "deferred":
		return nil, nil
	case "open":
		e.Type, e.UserAgent, e.Machine = telltale.Opened, o.Text("useragent"), o.flag("sg_machine_open")
	case "click":
		e.Type, e.UserAgent, e.URL = telltale.Clicked, o.Text("useragent"), o.Text("url")
	case "spamreport":
		e.Type = telltale.Complained
	case "unsubscribe", "group_unsubscribe":
		e.Type = telltale.Unsubscribed
	case "group_resubscribe":
		e.Type = telltale.Resubscribed
	default:
		return nil, unknownEvent(name)
	}
	return []Event{e}, nil
}

func sampleSendGrid(at time.Time) []*Request {
	var b bytes.Buffer
	one := func(n int, event, rest string) {
		if n > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, `{"email":"steve@example.com","timestamp":%d,"smtp-id":"<%d.telltale@sample.example.com>","event":"%s","category":["welcome"],`+
			`"sg_event_id":"sample-%d-%d","sg_message_id":"sample%d.filterdrecv-5645d9c87f-22r2z-1-5F8F2C5D-1.0",`+
			`"user_id":"123","campaign_id":"987","campaign_name":"Welcome","subject":"Welcome aboard"%s}`,
			at.Unix()+int64(n), at.UnixNano(), event, at.UnixNano(), n, at.UnixNano(), rest)
	}
	b.WriteString("[")
	const agent = `,"useragent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)","ip":"203.0.113.7"`
	one(0, "processed", "")
	one(1, "delivered", `,"response":"250 2.0.0 OK","ip":"203.0.113.25"`)
	one(2, "open", agent+`,"sg_machine_open":false`)
	one(3, "click", agent+`,"url":"https://www.example.com/welcome","url_offset":{"index":0,"type":"html"}`)
	one(4, "bounce", `,"type":"bounce","status":"5.1.1","reason":"550 5.1.1 The email account that you tried to reach does not exist."`)
	one(5, "dropped", `,"reason":"Bounced Address"`)
	one(6, "spamreport", "")
	one(7, "group_unsubscribe", `,"asm_group_id":10`+agent)
	one(8, "group_resubscribe", `,"asm_group_id":10`+agent)
	b.WriteString("]")
	return []*Request{jsonRequest(b.Bytes())}
}
