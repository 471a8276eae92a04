package feed

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"telltale.example/telltale"
)

// brevo is the webhooks of Brevo, once Sendinblue, for transactional mail and for
// campaigns. They are not signed.
// https://developers.brevo.com/docs/transactional-webhooks
var brevo = &Provider{
	Name: "brevo", Title: "Brevo",
	Credentials: basicCredentials,
	Steps: []string{
		"In Brevo, open Transactional → Settings → Webhook and choose Add a new webhook.",
		"Paste the URL, with the user name and the password in it.",
		"Select Sent, Delivered, Opened, Clicked, Soft bounce, Hard bounce, Invalid email, Error, Blocked, Complaint, Unsubscribed and Loaded by proxy, and save.",
		"A webhook that is made by Brevo's API may have batched true, to get many events in one request, and auth with the password as a bearer token, in place of what stands in the URL.",
	},
	Mapping: []Mapping{
		{"request", telltale.Sent, ""},
		{"delivered", telltale.Delivered, ""},
		{"hard_bounce", telltale.Bounced, "hard"},
		{"soft_bounce", telltale.Bounced, "soft"},
		{"invalid_email", telltale.Bounced, "hard"},
		{"blocked", telltale.Failed, ""},
		{"error", telltale.Failed, ""},
		{"deferred", "", "Brevo tries again"},
		{"opened", telltale.Opened, ""},
		{"unique_opened", telltale.Opened, "once with the opened of the same second"},
		{"proxy_open", telltale.Opened, "by a machine"},
		{"unique_proxy_open", telltale.Opened, "by a machine; once with the proxy_open of the same second"},
		{"click", telltale.Clicked, ""},
		{"spam", telltale.Complained, ""},
		{"complaint", telltale.Complained, ""},
		{"unsubscribed", telltale.Unsubscribed, ""},
		{"unsubscribe", telltale.Unsubscribed, ""},
		{"list_addition, contact_updated, contact_deleted", "", "they tell of no message"},
	},
	Metadata:        "Set it in the header X-Mailin-custom of the message, as JSON or as name:value pairs with a bar between. Tags of the form name:value do as well.",
	MetadataExample: `X-Mailin-custom: {"user_id":"123","campaign_id":"987","campaign_name":"Welcome"}`,
	Retries: "Brevo repeats a request four times, after 10 minutes, and 1, 2 and 8 hours, but only if there was no answer, or 429. It drops what is answered with any other 4xx or 5xx: " +
		"Telltale answers 429 while it cannot take a request, and a wrong password loses events.",
	Overloaded: http.StatusTooManyRequests,
	Verify:     func(_ context.Context, c *Call) error { return verifyBasic(c.Request, c.Source) },
	Parse: func(r *Request, _ *telltale.Source) (*Batch, error) {
		return oneOrMany(r.Body, parseBrevo)
	},
	Signer:  signBasic,
	Pair:    pairBasic,
	Samples: sampleBrevo,
}

func parseBrevo(o object) ([]Event, error) {
	name := o.Text("event")
	e := Event{
		Recipient: o.Text("email"), MessageID: o.Text("message-id"), Meta: brevoCustom(o), Tags: brevoTags(o), Subject: o.Text("subject"),
	}
	// ts_epoch is documented in milliseconds, and is in seconds in some events.
	for _, at := range [...]string{"ts_epoch", "ts_event", "ts"} {
		if e.OccurredAt = o.unix(at); !e.OccurredAt.IsZero() {
			break
		}
	}
	what := name // as the key has it: the first opening is reported under two names
	switch name {
	case "request":
		e.Type = telltale.Sent
	case "delivered":
		e.Type = telltale.Delivered
	case "hard_bounce", "invalid_email":
		e.Type, e.Bounce = telltale.Bounced, Hard
	case "soft_bounce":
		e.Type, e.Bounce = telltale.Bounced, Soft
	case "blocked", "error":
		e.Type = telltale.Failed
	case "opened", "unique_opened":
		e.Type, e.UserAgent = telltale.Opened, o.Text("user_agent")
		what = "opened"
	case "proxy_open", "unique_proxy_open":
		machine := true
		e.Type, e.UserAgent, e.Machine = telltale.Opened, o.Text("user_agent"), &machine
		what = "proxy_open"
	case "click":
		e.Type, e.UserAgent = telltale.Clicked, o.Text("user_agent")
		if e.URL = o.Text("link"); e.URL == "" {
			e.URL = o.Text("URL") // as campaigns have it
		}
	case "spam", "complaint":
		e.Type = telltale.Complained
	case "unsubscribed", "unsubscribe":
		e.Type = telltale.Unsubscribed
	case "deferred", "list_addition", "contact_updated", "contact_deleted":
		return nil, nil
	default:
		return nil, unknownEvent(name)
	}
	if e.Type == telltale.Bounced || e.Type == telltale.Failed {
		e.Code, e.Reason = diagnostic(o.Text("reason"))
	}
	if !e.OccurredAt.IsZero() {
		e.Key = idKey(telltale.CanonicalMessageID(e.MessageID), what, strings.ToLower(e.Recipient), strconv.FormatInt(e.OccurredAt.Unix(), 10), e.URL)
	}
	return []Event{e}, nil
}

// brevoCustom reads the header X-Mailin-custom, which is text of the sender's: by
// convention a JSON object, or name:value pairs with a bar between.
func brevoCustom(o object) (custom object) {
	custom = o.embedded("X-Mailin-custom")
	if custom.Len() > 0 {
		return custom
	}
	for pair := range strings.SplitSeq(o.Text("X-Mailin-custom"), "|") {
		name, value, _ := strings.Cut(pair, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if _, ok := wordNamed(name); ok && value != "" && !custom.Has(name) {
			custom.SetString(name, value)
		}
	}
	return custom
}

// brevoTags gives the tags of a message, and the campaign that Brevo knows itself.
func brevoTags(o object) []string {
	tags := o.texts("tags")
	if tag := o.Text("tag"); len(tags) == 0 && strings.HasPrefix(tag, "[") { // a list in a string
		if elements, err := splitArray([]byte(tag)); err == nil {
			for _, element := range elements {
				if text := jsonText(element); text != "" {
					tags = append(tags, text)
				}
			}
		}
	} else if len(tags) == 0 && tag != "" {
		tags = []string{tag}
	}
	for _, known := range [...]struct{ member, word string }{{"camp_id", "campaign_id"}, {"campaign name", "campaign_name"}} {
		if value := o.Text(known.member); value != "" {
			tags = append(tags, known.word+":"+value)
		}
	}
	return tags
}

func sampleBrevo(at time.Time) []*Request {
	var b bytes.Buffer
	n := 0
	custom, _ := json.Marshal(`{"user_id":"123","campaign_id":"987","campaign_name":"Welcome"}`) // a string
	one := func(event, rest string) {
		if n > 0 {
			b.WriteString(",")
		}
		when := at.Add(time.Duration(n) * time.Second).UTC()
		fmt.Fprintf(&b, `{"event":%q,"email":"steve@example.com","id":26224,"date":%q,"ts":%d,"message-id":"<%d.telltale@smtp-relay.example.com>","ts_event":%d,"ts_epoch":%d,`+
			`"subject":"Welcome aboard","X-Mailin-custom":%s,"sending_ip":"203.0.113.25","template_id":22,"tags":["welcome"]%s}`,
			event, when.Format(time.DateTime), when.Unix(), at.UnixNano(), when.Unix(), when.UnixMilli(), custom, rest)
		n++
	}
	const agent = `,"user_agent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)","device_used":"DESKTOP"`
	b.WriteString("[")
	one("request", "")
	one("delivered", "")
	one("opened", agent)
	one("proxy_open", `,"user_agent":"Mozilla/5.0","device_used":"UNKNOWN"`)
	one("click", agent+`,"link":"https://www.example.com/welcome"`)
	one("hard_bounce", `,"reason":"550 5.1.1 The email account that you tried to reach does not exist."`)
	one("blocked", `,"reason":"blocked : due to blacklist user"`)
	one("spam", "")
	one("unsubscribed", agent)
	b.WriteString("]")
	return []*Request{jsonRequest(b.Bytes())}
}
