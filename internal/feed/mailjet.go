package feed

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"telltale.example/telltale"
)

// mailjet is the Event API of Mailjet. Its requests are not signed.
// https://dev.mailjet.com/email/guides/webhooks/
var mailjet = &Provider{
	Name: "mailjet", Title: "Mailjet",
	Credentials: basicCredentials,
	Steps: []string{
		"In Mailjet, open Account settings → Event notifications (webhooks).",
		"Select the events Sent, Open, Click, Bounce, Spam, Blocked and Unsub.",
		"Paste the URL as Endpoint Url of each of them, with the user name and the password in it.",
		"Select Group events for each, so that Mailjet sends the events of a second in one request, and save.",
	},
	Mapping: []Mapping{
		{"sent", telltale.Delivered, "the receiving server took it: Mailjet has no other event for that"},
		{"open", telltale.Opened, ""},
		{"click", telltale.Clicked, ""},
		{"bounce, hard_bounce true", telltale.Bounced, "hard"},
		{"bounce, hard_bounce false", telltale.Bounced, "soft"},
		{"bounce, hard_bounce false, error greylisted", "", "Mailjet tries again"},
		{"blocked", telltale.Failed, ""},
		{"spam", telltale.Complained, ""},
		{"unsub", telltale.Unsubscribed, ""},
	},
	Metadata: "Set it as EventPayload of the message: JSON in a string; over SMTP in the header X-MJ-EventPayload. CustomCampaign is taken as the campaign's name if there is no campaign_name.",
	MetadataExample: `{
  "Messages": [{
    "To": [{"Email": "steve@example.com"}],
    "CustomCampaign": "welcome",
    "EventPayload": "{\"user_id\":\"123\",\"campaign_id\":\"987\",\"campaign_name\":\"Welcome\"}"
  }]
}`,
	Retries:    "Mailjet repeats a request that is not answered with 200. Its documents speak of every 30 seconds for 24 hours, and of ten times with 10 minutes between.",
	NoSent:     true,
	Overloaded: http.StatusServiceUnavailable,
	Verify:     func(_ context.Context, c *Call) error { return verifyBasic(c.Request, c.Source) },
	Parse: func(r *Request, _ *telltale.Source) (*Batch, error) {
		return oneOrMany(r.Body, parseMailjet)
	},
	Signer:  signBasic,
	Pair:    pairBasic,
	Samples: sampleMailjet,
}

func parseMailjet(o object) ([]Event, error) {
	name := o.Text("event")
	e := Event{
		OccurredAt: o.unix("time"), Recipient: o.Text("email"), ProviderMessageID: o.Text("MessageID"), IP: o.Text("ip"),
		Meta: o.embedded("Payload"),
	}
	if e.ProviderMessageID == "" {
		e.ProviderMessageID = o.Text("mj_message_id") // the same in older events
	}
	if campaign := o.Text("customcampaign"); campaign != "" {
		e.Tags = []string{campaign}
	}
	e.Key = idKey(e.ProviderMessageID, name, strings.ToLower(e.Recipient), o.Text("time"), o.Text("url"))
	switch name {
	case "sent":
		e.Type = telltale.Delivered
	case "open":
		e.Type, e.UserAgent = telltale.Opened, o.Text("agent")
	case "click":
		e.Type, e.UserAgent, e.URL = telltale.Clicked, o.Text("agent"), o.Text("url")
	case "bounce":
		e.Type, e.Bounce = telltale.Bounced, Soft
		if o.isTrue("hard_bounce") {
			e.Bounce = Hard
		} else if o.Text("error") == "greylisted" {
			return nil, nil
		}
		e.Code, e.Reason = mailjetReason(o)
	case "blocked":
		e.Type = telltale.Failed
		e.Code, e.Reason = mailjetReason(o)
	case "spam":
		e.Type = telltale.Complained
	case "unsub":
		e.Type = telltale.Unsubscribed
	default:
		return nil, unknownEvent(name)
	}
	return []Event{e}, nil
}

// mailjetReason gives what the receiving server said, if Mailjet tells it, or
// else Mailjet's own words: what the error has to do with, and the error.
func mailjetReason(o object) (code int, reason string) {
	if comment := o.Text("comment"); comment != "" {
		return diagnostic(comment)
	}
	about, what := o.Text("error_related_to"), o.Text("error")
	if about != "" && what != "" {
		return 0, about + ": " + what
	}
	return 0, about + what
}

func sampleMailjet(at time.Time) []*Request {
	var b bytes.Buffer
	n := 0
	payload, _ := json.Marshal(`{"user_id":"123","campaign_id":"987","campaign_name":"Welcome"}`) // a string
	one := func(event, rest string) {
		if n > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, `{"event":%q,"time":%d,"MessageID":%d,"Message_GUID":"5a3b1c2d-0000-4000-8000-%012x","email":"steve@example.com","mj_campaign_id":7257,"mj_contact_id":4,`+
			`"customcampaign":"welcome","CustomID":"","Payload":%s%s}`, event, at.Unix()+int64(n), at.UnixNano(), at.UnixNano()&0xffffffffffff, payload, rest)
		n++
	}
	const agent = `,"ip":"203.0.113.7","geo":"AU","agent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"`
	b.WriteString("[")
	one("sent", fmt.Sprintf(`,"mj_message_id":"%d","smtp_reply":"sent (250 2.0.0 OK)"`, at.UnixNano()))
	one("open", agent)
	one("click", agent+`,"url":"https://www.example.com/welcome"`)
	one("bounce", `,"blocked":false,"hard_bounce":true,"error_related_to":"recipient","error":"user unknown","comment":"550 5.1.1 The email account that you tried to reach does not exist."`)
	one("blocked", `,"error_related_to":"mailjet","error":"preblocked"`)
	one("spam", `,"source":"JMRPP"`)
	one("unsub", agent+`,"mj_list_id":1`)
	b.WriteString("]")
	return []*Request{jsonRequest(b.Bytes())}
}
