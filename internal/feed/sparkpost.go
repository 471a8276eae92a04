package feed

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"telltale.example/telltale"
)

// sparkpost is the event webhooks of SparkPost (Bird). They are not signed.
// https://developers.sparkpost.com/api/webhooks/
var sparkpost = &Provider{
	Name: "sparkpost", Title: "SparkPost",
	Credentials: basicCredentials,
	Options: []Option{{
		Name: sparkPostInitialOpens, Label: "Count initial opens",
		Hint: "An initial_open is the load of a pixel at the top of the mail, an open that of one at its end, which a mail program may cut off. With this, both are reported as opened: most people who open are counted twice.",
	}},
	Steps: []string{
		"In SparkPost, open Configuration → Webhooks and choose Create Webhook.",
		"Paste the URL as Target, but for the user name and the password that stand before the @.",
		"Choose Basic Auth as Authentication, and enter these two there.",
		"Choose All events, or Select the events of messages, engagement, generation and unsubscribes.",
		"Create the webhook: SparkPost sends an empty request at once, and creates it only if that is answered with 200.",
	},
	Mapping: []Mapping{
		{"injection", telltale.Sent, ""},
		{"delivery", telltale.Delivered, ""},
		{"bounce or out_of_band, bounce_class 10 or 30", telltale.Bounced, "hard"},
		{"bounce or out_of_band, bounce_class 90", telltale.Unsubscribed, "an answer that asks for it"},
		{"bounce or out_of_band, bounce_class 60, 80 or 100", "", "an automatic answer, a subscription or a challenge"},
		{"bounce or out_of_band, any other bounce_class", telltale.Bounced, "soft"},
		{"delay", "", "SparkPost tries again"},
		{"policy_rejection", telltale.Failed, ""},
		{"generation_failure", telltale.Failed, ""},
		{"generation_rejection", telltale.Failed, ""},
		{"spam_complaint", telltale.Complained, ""},
		{"open, amp_open", telltale.Opened, "by a machine if is_prefetched is true"},
		{"initial_open, amp_initial_open", telltale.Opened, "with the option to count initial opens, else nothing"},
		{"click, amp_click", telltale.Clicked, ""},
		{"list_unsubscribe", telltale.Unsubscribed, ""},
		{"link_unsubscribe", telltale.Unsubscribed, ""},
		{"relay events, sms_status, A/B test and ingest events", "", ""},
	},
	Metadata: "Set it as metadata of the recipient, or of the transmission for all of them; over SMTP in the header X-MSYS-API. The campaign_id of SparkPost is taken as the campaign's name if there is no campaign_name.",
	MetadataExample: `{
  "campaign_id": "welcome",
  "recipients": [{
    "address": "steve@example.com",
    "metadata": {"user_id": "123", "campaign_id": "987", "campaign_name": "Welcome"}
  }]
}`,
	Retries:    "SparkPost repeats a batch that is not answered with 200 within 10 seconds for 8 hours.",
	Overloaded: http.StatusServiceUnavailable,
	Verify:     func(_ context.Context, c *Call) error { return verifyBasic(c.Request, c.Source) },
	Parse: func(r *Request, s *telltale.Source) (*Batch, error) {
		initial := s.Has(sparkPostInitialOpens)
		return many(r.Body, func(o object) ([]Event, error) { return parseSparkPost(o, initial) })
	},
	Signer:   signBasic,
	Pair:     pairBasic,
	Samples:  sampleSparkPost,
	TestHint: "In SparkPost, open the webhook, then its Test tab, and send the test batch: it has a sample of every event.",
}

const sparkPostInitialOpens = "initial_opens"

// parseSparkPost reads an element of a batch: an object msys, in which the class
// of the event names it, or nothing at all when the target is tried.
func parseSparkPost(o object, initialOpens bool) ([]Event, error) {
	if !strings.HasPrefix(o.Get("msys"), "{") {
		return nil, notUnderstood("The element has no object msys.")
	}
	msys := o.child("msys")
	if msys.Len() > 1 {
		return nil, notUnderstood("The object msys has more than one event.")
	}
	for class := range msys.All() {
		switch class {
		case "relay_event", "ab_test_event", "ingest_event":
			return nil, nil // they tell of no message that was sent
		}
		return sparkPostEvent(msys.child(class), initialOpens)
	}
	return nil, nil
}

func sparkPostEvent(o object, initialOpens bool) ([]Event, error) {
	name := o.Text("type")
	e := Event{
		OccurredAt: o.unix("timestamp"), Recipient: o.Text("raw_rcpt_to"), ProviderMessageID: o.Text("message_id"),
		Meta: o.child("rcpt_meta"), Tags: o.texts("rcpt_tags"), Subject: o.Text("subject"),
	}
	if e.OccurredAt.IsZero() {
		e.OccurredAt = o.time("timestamp") // as some generation events have it
	}
	if e.Recipient == "" {
		e.Recipient = o.Text("rcpt_to") // the same in lower case
	}
	if id := o.Text("event_id"); id != "" {
		e.Key = name + ":" + id // in a test batch, all events have one id
	}
	if campaign := o.Text("campaign_id"); campaign != "" {
		e.Tags = append([]string{campaign}, e.Tags...)
	}
	switch name {
	case "injection":
		e.Type = telltale.Sent
	case "delivery":
		e.Type = telltale.Delivered
	case "bounce", "out_of_band":
		switch o.Text("bounce_class") {
		case "10", "30":
			e.Type, e.Bounce = telltale.Bounced, Hard
		case "90":
			e.Type = telltale.Unsubscribed
		case "60", "80", "100":
			return nil, nil
		default: // soft, blocked, by policy, or undetermined
			e.Type, e.Bounce = telltale.Bounced, Soft
		}
	case "policy_rejection", "generation_failure", "generation_rejection":
		e.Type = telltale.Failed
	case "spam_complaint":
		e.Type = telltale.Complained
	case "initial_open", "amp_initial_open":
		if !initialOpens {
			return nil, nil
		}
		fallthrough
	case "open", "amp_open":
		e.Type, e.UserAgent, e.IP, e.Machine = telltale.Opened, o.Text("user_agent"), o.Text("ip_address"), o.flag("is_prefetched")
	case "click", "amp_click":
		e.Type, e.UserAgent, e.IP, e.URL = telltale.Clicked, o.Text("user_agent"), o.Text("ip_address"), o.Text("target_link_url")
	case "list_unsubscribe", "link_unsubscribe":
		e.Type, e.IP = telltale.Unsubscribed, o.Text("ip_address")
	case "delay", "sms_status":
		return nil, nil
	default:
		return nil, unknownEvent(name)
	}
	if e.Type == telltale.Bounced || e.Type == telltale.Failed {
		reason := o.Text("raw_reason")
		if reason == "" {
			reason = o.Text("reason") // without what is the recipient's own
		}
		if e.Code, e.Reason = diagnostic(reason); e.Code == 0 {
			e.Code = o.code("error_code")
		}
	}
	return []Event{e}, nil
}

func sampleSparkPost(at time.Time) []*Request {
	var b bytes.Buffer
	n := 0
	one := func(class, event, rest string) {
		if n > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, `{"msys":{%q:{"type":%q,"event_id":"%d","timestamp":"%d","message_id":"sample%x","transmission_id":"%d","rcpt_to":"steve@example.com","raw_rcpt_to":"steve@example.com",`+
			`"campaign_id":"welcome","subject":"Welcome aboard","rcpt_tags":["onboarding"],"rcpt_meta":{"user_id":"123","campaign_id":"987","campaign_name":"Welcome"}%s}}}`,
			class, event, at.UnixNano()+int64(n), at.Unix()+int64(n), at.UnixNano(), at.UnixNano(), rest)
		n++
	}
	b.WriteString("[")
	const agent = `,"user_agent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)","ip_address":"203.0.113.7","geo_ip":{"country":"AU","city":"Sydney"}`
	one("message_event", "injection", `,"msg_size":"1337"`)
	one("message_event", "delivery", `,"ip_address":"203.0.113.25","num_retries":"0"`)
	one("track_event", "open", agent+`,"is_prefetched":false`)
	one("track_event", "click", agent+`,"target_link_url":"https://www.example.com/welcome","target_link_name":"Welcome"`)
	one("message_event", "bounce", `,"bounce_class":"10","error_code":"550","raw_reason":"550 5.1.1 The email account that you tried to reach does not exist.",`+
		`"reason":"550 5.1.1 The email account that you tried to reach does not exist.","ip_address":"203.0.113.25"`)
	one("gen_event", "generation_rejection", `,"error_code":"554","raw_reason":"554 5.7.1 recipient address suppressed due to customer policy","reason":"554 5.7.1 recipient address suppressed due to customer policy"`)
	one("message_event", "spam_complaint", `,"fbtype":"abuse","report_by":"mail.example.net"`)
	one("unsubscribe_event", "link_unsubscribe", agent+`,"target_link_url":"https://www.example.com/unsubscribe"`)
	b.WriteString("]")
	r := jsonRequest(b.Bytes())
	r.Header.Set("X-MessageSystems-Batch-ID", fmt.Sprintf("sample-%d", at.UnixNano()))
	return []*Request{r}
}
