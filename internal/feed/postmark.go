package feed

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"telltale.example/telltale"
)

// postmark is the webhooks of a message stream in Postmark. They are not signed.
// https://postmarkapp.com/developer/webhooks/webhooks-overview
var postmark = &Provider{
	Name: "postmark", Title: "Postmark",
	Credentials: basicCredentials,
	Steps: []string{
		"In Postmark, open the server, then the Message Stream that you send through, and choose its Webhooks tab.",
		"Choose Add webhook and paste the URL as Webhook URL, with the user name and the password in it.",
		"Select Open, Click, Delivery, Bounce, Spam Complaint and Subscription Change, as far as the stream has them. Leave Post only on first open off to learn of every open.",
		"Save the webhook, and do the same for every other Message Stream that you send through.",
	},
	Mapping: []Mapping{
		{"Delivery", telltale.Delivered, ""},
		{"Bounce, Type HardBounce", telltale.Bounced, "hard"},
		{"Bounce, Type SoftBounce, VirusNotification or Unknown", telltale.Bounced, "soft"},
		{"Bounce, Type Transient or DnsError", "", "Postmark tries again"},
		{"Bounce, Type BadEmailAddress, Blocked, ManuallyDeactivated, Unconfirmed, DMARCPolicy, SMTPApiError or TemplateRenderingFailed", telltale.Failed, ""},
		{"Bounce, Type SpamNotification or SpamComplaint", telltale.Complained, ""},
		{"Bounce, Type Unsubscribe", telltale.Unsubscribed, ""},
		{"Bounce, Type AutoResponder, AddressChange, ChallengeVerification, Subscribe, OpenRelayTest or InboundError", "", "no message failed"},
		{"SpamComplaint", telltale.Complained, ""},
		{"Open", telltale.Opened, "every one, not only the first"},
		{"Click", telltale.Clicked, "the first of each link and recipient: Postmark reports no others"},
		{"SubscriptionChange, SuppressSending false", telltale.Resubscribed, ""},
		{"SubscriptionChange, SuppressionReason ManualSuppression", telltale.Unsubscribed, ""},
		{"SubscriptionChange, SuppressionReason HardBounce", telltale.Bounced, "hard; once with the Bounce of the message"},
		{"SubscriptionChange, SuppressionReason SpamComplaint", telltale.Complained, "once with the SpamComplaint of the message"},
	},
	Metadata: "Set it as Metadata of the message, or over SMTP in headers X-PM-Metadata-name. The Tag is taken as the campaign's name if there is no campaign_name.",
	MetadataExample: `{
  "To": "steve@example.com",
  "Tag": "welcome",
  "Metadata": {"user_id": "123", "campaign_id": "987", "campaign_name": "Welcome"}
}`,
	Retries:    "Postmark repeats a request that is not answered with 200 up to ten times within about 10.5 hours: after 1, 5, 10, 10, 10, 15 and 30 minutes, and 1, 2 and 6 hours. It documents so for bounces, and promises less for opens and clicks.",
	NoSent:     true,
	Overloaded: http.StatusServiceUnavailable, // 403 would end the repetitions
	Verify:     func(_ context.Context, c *Call) error { return verifyBasic(c.Request, c.Source) },
	Parse: func(r *Request, _ *telltale.Source) (*Batch, error) {
		return one(r.Body, parsePostmark)
	},
	Signer:  signBasic,
	Pair:    pairBasic,
	Samples: samplePostmark,
}

func parsePostmark(o object) ([]Event, error) {
	e := Event{
		ProviderMessageID: o.Text("MessageID"), Meta: o.child("Metadata"), Tags: o.texts("Tag"), Subject: o.Text("Subject"),
		Recipient: o.Text("Recipient"), IP: o.child("Geo").Text("IP"),
	}
	if e.Recipient == "" {
		e.Recipient = o.Text("Email") // as bounces and complaints name it
	}
	record := o.Text("RecordType")
	// What happens once to a message and its recipient has no other id; what may
	// happen again differs in its time.
	once := func(what string) string { return idKey(e.ProviderMessageID, what, strings.ToLower(e.Recipient)) }
	each := func(at string, more ...string) string {
		return idKey(o.Text(at), append(more, record, e.ProviderMessageID, strings.ToLower(e.Recipient))...)
	}
	switch record {
	case "Delivery":
		e.Type, e.OccurredAt, e.Key = telltale.Delivered, o.time("DeliveredAt"), once("Delivery")
	case "Bounce", "SpamComplaint":
		return postmarkBounce(o, e, once)
	case "Open":
		e.Type, e.OccurredAt, e.UserAgent = telltale.Opened, o.time("ReceivedAt"), o.Text("UserAgent")
		e.Key = each("ReceivedAt")
	case "Click":
		e.Type, e.OccurredAt, e.UserAgent, e.URL = telltale.Clicked, o.time("ReceivedAt"), o.Text("UserAgent"), o.Text("OriginalLink")
		e.Key = each("ReceivedAt", e.URL)
	case "SubscriptionChange":
		e.OccurredAt = o.time("ChangedAt")
		suppress := o.flag("SuppressSending")
		switch reason := o.Text("SuppressionReason"); {
		case suppress == nil:
			return nil, notUnderstood("The SubscriptionChange does not say in SuppressSending what changed.")
		case !*suppress:
			e.Type, e.Key = telltale.Resubscribed, each("ChangedAt")
		case reason == "ManualSuppression":
			e.Type, e.Key = telltale.Unsubscribed, each("ChangedAt")
		case reason == "HardBounce":
			e.Type, e.Bounce, e.Key = telltale.Bounced, Hard, once("HardBounce")
		case reason == "SpamComplaint":
			e.Type, e.Key = telltale.Complained, once("SpamComplaint")
		default:
			return nil, unknownEvent("SubscriptionChange, SuppressionReason " + reason)
		}
	default:
		return nil, unknownEvent(record)
	}
	return []Event{e}, nil
}

// postmarkBounce reads what became of a message by the type of its bounce.
// Postmark goes on trying after some types; only after the others it has given up.
func postmarkBounce(o object, e Event, once func(string) string) ([]Event, error) {
	e.OccurredAt = o.time("BouncedAt")
	e.Key = idKey(o.Text("ID"), "Bounce") // ids of bounces are their own
	switch kind := o.Text("Type"); kind {
	case "HardBounce":
		e.Type, e.Bounce = telltale.Bounced, Hard
		if key := once("HardBounce"); key != "" {
			e.Key = key // a SubscriptionChange tells the same
		}
	case "SoftBounce", "VirusNotification", "Unknown":
		e.Type, e.Bounce = telltale.Bounced, Soft
	case "BadEmailAddress", "Blocked", "ManuallyDeactivated", "Unconfirmed", "DMARCPolicy", "SMTPApiError", "TemplateRenderingFailed":
		e.Type = telltale.Failed
	case "SpamNotification", "SpamComplaint":
		e.Type = telltale.Complained
		if key := once("SpamComplaint"); key != "" {
			e.Key = key
		}
	case "Unsubscribe":
		e.Type = telltale.Unsubscribed
	case "Transient", "DnsError", "AutoResponder", "AddressChange", "ChallengeVerification", "Subscribe", "OpenRelayTest", "InboundError":
		return nil, nil
	default:
		return nil, unknownEvent(o.Text("RecordType") + ", Type " + kind)
	}
	if e.Type == telltale.Bounced || e.Type == telltale.Failed {
		e.Code, e.Reason = diagnostic(o.Text("Details"))
		if e.Reason == "" {
			e.Reason = o.Text("Description")
		}
	}
	return []Event{e}, nil
}

func samplePostmark(at time.Time) (requests []*Request) {
	n := at.UnixNano()
	one := func(record, rest string) {
		requests = append(requests, jsonRequest(fmt.Appendf(nil, `{"RecordType":%q,"MessageStream":"outbound","ServerID":23,"MessageID":"5a3b1c2d-0000-4000-8%03x-%012x",`+
			`"Tag":"welcome","Metadata":{"user_id":"123","campaign_id":"987","campaign_name":"Welcome"},%s}`, record, n>>48&0xfff, n&0xffffffffffff, rest)))
	}
	// Postmark writes seven digits of a second.
	when := func(seconds int) string {
		return at.Add(time.Duration(seconds) * time.Second).UTC().Format("2006-01-02T15:04:05.0000000Z07:00")
	}
	const agent = `"UserAgent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)","Platform":"Desktop","Client":{"Name":"Chrome","Company":"Google","Family":"Chrome"},` +
		`"OS":{"Name":"macOS","Company":"Apple","Family":"macOS"},"Geo":{"CountryISOCode":"AU","Country":"Australia","City":"Sydney","IP":"203.0.113.7"}`
	const bounced = `"Email":"steve@example.com","From":"hello@example.com","Subject":"Welcome aboard","DumpAvailable":true,"Inactive":true,"CanActivate":true`
	one("Delivery", fmt.Sprintf(`"Recipient":"steve@example.com","DeliveredAt":%q,"Details":"smtp;250 2.0.0 OK"`, when(1)))
	one("Open", fmt.Sprintf(`"FirstOpen":true,"Recipient":"steve@example.com","ReceivedAt":%q,%s`, when(2), agent))
	one("Click", fmt.Sprintf(`"ClickLocation":"HTML","OriginalLink":"https://www.example.com/welcome","Recipient":"steve@example.com","ReceivedAt":%q,%s`, when(3), agent))
	one("Bounce", fmt.Sprintf(`"ID":%d,"Type":"HardBounce","TypeCode":1,"Name":"Hard bounce","Description":"The server was unable to deliver your message (ex: unknown user, mailbox not found).",`+
		`"Details":"smtp;550 5.1.1 The email account that you tried to reach does not exist.","BouncedAt":%q,%s`, n, when(4), bounced))
	one("Bounce", fmt.Sprintf(`"ID":%d,"Type":"ManuallyDeactivated","TypeCode":100002,"Name":"Manually deactivated","Description":"The email was manually deactivated.",`+
		`"Details":"","BouncedAt":%q,%s`, n+1, when(5), bounced))
	one("SpamComplaint", fmt.Sprintf(`"ID":%d,"Type":"SpamComplaint","TypeCode":100001,"Name":"Spam complaint","Description":"The subscriber explicitly marked this message as spam.",`+
		`"Details":"","BouncedAt":%q,%s`, n+2, when(6), bounced))
	one("SubscriptionChange", fmt.Sprintf(`"ChangedAt":%q,"Recipient":"steve@example.com","Origin":"Recipient","SuppressSending":true,"SuppressionReason":"ManualSuppression"`, when(7)))
	requests = append(requests, jsonRequest(fmt.Appendf(nil, `{"RecordType":"SubscriptionChange","MessageID":null,"MessageStream":"outbound","ServerID":23,"ChangedAt":%q,`+
		`"Recipient":"steve@example.com","Origin":"Customer","SuppressSending":false,"SuppressionReason":null,"Tag":null,"Metadata":{}}`, when(8))))
	return requests
}
