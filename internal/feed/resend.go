package feed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/signature"
)

// resend is the webhook of Resend, which Svix delivers and signs.
// https://resend.com/docs/webhooks/introduction
var resend = &Provider{
	Name: "resend", Title: "Resend",
	Credentials: []Credential{{
		Name: "signing_secret", Label: "Signing secret",
		Hint:  "Webhooks → your webhook → Signing Secret. It begins with whsec_.",
		Check: checkResendSecret,
	}},
	Steps: []string{
		"In Resend, open Webhooks and choose Add Webhook.",
		"Paste the URL as Endpoint URL.",
		"Choose all events that begin with email., and add the webhook.",
		"On the webhook's page, copy its Signing Secret and paste it here.",
		"Switch on open and click tracking for your domain if you want opened and clicked.",
	},
	Mapping: []Mapping{
		{"email.sent", telltale.Sent, ""},
		{"email.delivered", telltale.Delivered, ""},
		{"email.delivery_delayed", "", "Resend tries again"},
		{"email.bounced", telltale.Bounced, "soft if the bounce's type is Transient or Undetermined, else hard"},
		{"email.bounced, subType Suppressed", telltale.Failed, "the address is on a suppression list, and nothing was sent"},
		{"email.complained", telltale.Complained, ""},
		{"email.opened", telltale.Opened, ""},
		{"email.clicked", telltale.Clicked, ""},
		{"email.failed", telltale.Failed, ""},
		{"email.suppressed", telltale.Failed, ""},
		{"email.scheduled", "", "it is sent later"},
		{"email.received", "", "it is a message to you"},
		{"contact.created, contact.updated, contact.deleted", "", ""},
		{"domain.created, domain.updated, domain.deleted", "", ""},
	},
	Metadata: "Set it as tags of the message; their values have letters, digits, underscores and dashes only. What needs more, such as a subject, goes as JSON into the message's header X-Metadata. A tag named category may stand for the campaign's name, and a broadcast's id is a campaign's.",
	MetadataExample: `"tags": [
  {"name": "user_id", "value": "123"},
  {"name": "campaign_id", "value": "987"},
  {"name": "campaign_name", "value": "Welcome"}
]`,
	Retries:    "Resend repeats a request that is not answered with success after 5 seconds, 5 and 30 minutes, and 2, 5, 10 and 10 hours, each signed anew.",
	Overloaded: http.StatusServiceUnavailable,
	Verify:     verifyResend,
	Parse: func(r *Request, _ *telltale.Source) (*Batch, error) {
		return one(r.Body, func(o object) ([]Event, error) { return parseResend(o, r.Header) })
	},
	Signer:   signResend,
	Pair:     pairResend,
	Samples:  sampleResend,
	TestHint: "Send an email with Resend: delivered@resend.dev, bounced@resend.dev and complained@resend.dev are made for tests.",
}

// The headers of a signed request are those of Standard Webhooks, under the
// names that they had at Svix first. Some of Svix's senders use the later ones.
var svixHeaders = map[string]string{
	signature.HeaderID:        "svix-id",
	signature.HeaderTimestamp: "svix-timestamp",
	signature.HeaderSignature: "svix-signature",
}

// verifyResend checks the signature: HMAC-SHA256 over id, timestamp and raw body.
// Each repetition is signed anew, so five minutes are enough.
func verifyResend(_ context.Context, c *Call) error {
	text := c.Source.Credentials["signing_secret"]
	if text == "" {
		return refuse("The source has no signing secret yet: copy it from the webhook's page in Resend.")
	}
	secret, err := signature.ParseSecret(text)
	if err != nil {
		return refuse("The source's signing secret cannot be read: copy it again from the webhook's page in Resend.")
	}
	header, names := standardHeaders(c.Header)
	err = signature.NewVerifier(secret).Verify(header, c.Body, c.Now)
	var e *signature.Error
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &e):
		return refuse("The signature cannot be verified.")
	case errors.Is(e, signature.ErrMissingHeader):
		return refuse("The request is not signed by Resend: its header %s is missing.", names[e.Header])
	case errors.Is(e, signature.ErrMismatch):
		return refuse("The signature does not match: is the signing secret from the same webhook?")
	case errors.Is(e, signature.ErrTooOld):
		return refuse("The signature is older than %s: is this server's clock right?", signature.DefaultTolerance)
	case errors.Is(e, signature.ErrTooNew):
		return refuse("The signature is from the future: is this server's clock right?")
	}
	return refuse("The request's header %s cannot be read: %s.", names[e.Header], e.Detail)
}

// standardHeaders gives the three headers under their names in Standard
// Webhooks, and by those the names that the request has for them. It takes one
// family or the other, never some of each.
func standardHeaders(from http.Header) (header http.Header, names map[string]string) {
	names = map[string]string{}
	svix := false
	for standard, older := range svixHeaders {
		svix = svix || len(from.Values(older)) > 0 || len(from.Values(standard)) == 0
		names[standard] = older
	}
	if !svix {
		for standard := range names {
			names[standard] = standard
		}
	}
	header = http.Header{}
	for standard, name := range names {
		header[http.CanonicalHeaderKey(standard)] = from.Values(name)
	}
	return header, names
}

func checkResendSecret(value string) string {
	if _, err := signature.ParseSecret(value); err != nil {
		return "This is no signing secret of Resend's."
	}
	return ""
}

func signResend(credentials map[string]string) Signer {
	return func(r *Request, at time.Time) error {
		secret, err := signature.ParseSecret(credentials["signing_secret"])
		if err != nil {
			return fmt.Errorf("feed: signing: %w", err)
		}
		id := r.Header.Get("svix-id") // the same for each repetition
		if id == "" {
			id = "msg_" + strconv.FormatInt(at.UnixNano(), 36)
			r.Header.Set("svix-id", id)
		}
		r.Header.Set("svix-timestamp", strconv.FormatInt(at.Unix(), 10))
		r.Header.Set("svix-signature", signature.NewSigner(secret).Sign(id, at, r.Body))
		return nil
	}
}

func pairResend() (map[string]string, Signer, error) {
	credentials := map[string]string{"signing_secret": signature.NewSecret().Reveal()}
	return credentials, signResend(credentials), nil
}

func parseResend(o object, header http.Header) ([]Event, error) {
	data := o.child("data")
	standard, _ := standardHeaders(header)
	e := Event{
		Key: standard.Get(signature.HeaderID), OccurredAt: o.time("created_at"),
		Recipient: resendRecipient(data), ProviderMessageID: data.Text("email_id"), MessageID: data.Text("message_id"),
		Subject: data.Text("subject"),
	}
	e.Meta, e.Tags = resendMetadata(data)
	switch name := o.Text("type"); name {
	case "email.sent":
		e.Type = telltale.Sent
	case "email.delivered":
		e.Type = telltale.Delivered
	case "email.bounced":
		e.bouncedAtResend(data.child("bounce"))
	case "email.complained":
		e.Type = telltale.Complained
	case "email.opened":
		open := data.child("open")
		e.Type, e.UserAgent, e.IP = telltale.Opened, open.Text("userAgent"), open.Text("ipAddress")
	case "email.clicked":
		click := data.child("click")
		e.Type, e.UserAgent, e.IP, e.URL = telltale.Clicked, click.Text("userAgent"), click.Text("ipAddress"), click.Text("link")
	case "email.failed":
		e.Type = telltale.Failed
		e.Code, e.Reason = diagnostic(data.child("failed").Text("reason"))
	case "email.suppressed":
		suppressed := data.child("suppressed")
		e.Type, e.Reason = telltale.Failed, suppressed.Text("message")
		if e.Reason == "" {
			e.Reason = suppressed.Text("type")
		}
	case "email.delivery_delayed", "email.scheduled", "email.received",
		"contact.created", "contact.updated", "contact.deleted", "domain.created", "domain.updated", "domain.deleted":
		return nil, nil
	default:
		return nil, unknownEvent(name)
	}
	return []Event{e}, nil
}

// bouncedAtResend says what a bounce says. Where the address is on a suppression
// list, nothing was sent, and so nothing bounced.
func (e *Event) bouncedAtResend(bounce object) {
	e.Type, e.Bounce = telltale.Bounced, Hard
	message := bounce.Text("message")
	if texts := bounce.texts("diagnosticCode"); len(texts) > 0 {
		e.Code, e.Reason = diagnostic(texts[0])
	} else {
		e.Code, e.Reason = diagnostic(message)
	}
	switch bounce.Text("type") {
	case "Transient", "Undetermined":
		e.Bounce = Soft
	}
	switch bounce.Text("subType") {
	case "Suppressed", "OnAccountSuppressionList":
		e.Type, e.Bounce = telltale.Failed, ""
	}
	if strings.Contains(message, "suppressed sending") { // before bounces had types
		e.Type, e.Bounce = telltale.Failed, ""
	}
}

// resendRecipient gives the address that the message went to. Of several, an
// event does not say which it is about, and so none is told: the user is then who
// the metadata says, or who the message was sent to.
func resendRecipient(data object) string {
	to := data.texts("to")
	if len(to) != 1 {
		return ""
	}
	address := strings.TrimSpace(to[0])
	if i := strings.LastIndexByte(address, '<'); i >= 0 && strings.HasSuffix(address, ">") { // "Steve <steve@example.com>"
		return address[i+1 : len(address)-1]
	}
	return address
}

// resendMetadata gives what the sender attached: tags, which are an object or an
// array of names and values, and JSON in the header X-Metadata, which knows more
// characters. A broadcast is a campaign. The tag "category" may stand for its name.
func resendMetadata(data object) (meta object, tags []string) {
	for _, h := range data.objects("headers") {
		if strings.EqualFold(h.Text("name"), "X-Metadata") {
			meta = h.embedded("value")
		}
	}
	said := data.child("tags")
	for _, tag := range data.objects("tags") {
		if name := tag.Text("name"); name != "" && tag.Has("value") {
			said.SetString(name, tag.Text("value"))
		}
	}
	if category := said.Text("category"); category != "" {
		tags = append(tags, category)
	}
	meta.Complete(said.Object)
	if id := data.Text("broadcast_id"); id != "" && !meta.Has("campaign_id") {
		meta.SetString("campaign_id", id)
	}
	return meta, tags
}

func sampleResend(at time.Time) (requests []*Request) {
	const agent = `"ipAddress":"203.0.113.7","userAgent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"`
	for i, s := range []struct{ event, rest string }{
		{"email.sent", ""},
		{"email.delivered", ""},
		{"email.opened", `,"open":{` + agent + `}`},
		{"email.clicked", `,"click":{"link":"https://www.example.com/welcome",` + agent + `}`},
		{"email.bounced", `,"bounce":{"type":"Permanent","subType":"General","message":"The recipient's email provider sent a hard bounce message.",` +
			`"diagnosticCode":["smtp; 550 5.1.1 The email account that you tried to reach does not exist."]}`},
		{"email.bounced", `,"bounce":{"type":"Transient","subType":"MailboxFull","message":"The recipient's inbox was full.","diagnosticCode":["smtp; 452 4.2.2 The email account is over quota."]}`},
		{"email.complained", ""},
		{"email.failed", `,"failed":{"reason":"reached_daily_quota"}`},
		{"email.suppressed", `,"suppressed":{"message":"Resend has suppressed sending to this address because it is on the account-level suppression list.","type":"OnAccountSuppressionList"}`},
	} {
		var b bytes.Buffer
		when := at.Add(time.Duration(i) * time.Second).UTC().Format("2006-01-02T15:04:05.000Z")
		fmt.Fprintf(&b, `{"type":"%s","created_at":"%s","data":{"created_at":"%s","email_id":"%s","from":"Acme <onboarding@acme.example.com>",`+
			`"to":["steve@example.com"],"subject":"Welcome aboard","tags":{"user_id":"123","campaign_id":"987","campaign_name":"Welcome"}%s}}`,
			s.event, when, at.UTC().Format("2006-01-02T15:04:05.000000-07:00"), sampleUUID(at, 0), s.rest)
		r := jsonRequest(b.Bytes())
		r.Header.Set("svix-id", fmt.Sprintf("msg_sample%d%d", at.UnixNano(), i))
		requests = append(requests, r)
	}
	return requests
}

// sampleUUID is an id in the form of a UUID for the n-th thing of that time.
func sampleUUID(at time.Time, n int) string {
	t := fmt.Sprintf("%016x", at.UnixNano())
	return fmt.Sprintf("%s-%s-4%s-8%s00-%012x", t[:8], t[8:12], t[12:15], t[15:], n)
}
