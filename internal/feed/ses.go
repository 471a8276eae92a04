package feed

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // version 1 of SNS's signatures, which is still its default
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"telltale.example/telltale"
)

// ses is Amazon SES, which publishes its events to a topic of Amazon SNS, which
// posts them: in an envelope that is signed, or bare with "raw message delivery".
// https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
// https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
var ses = &Provider{
	Name: "ses", Title: "Amazon SES",
	Credentials: []Credential{
		{
			Name: credentialTopics, Label: "Topic ARNs", Open: true, Long: true,
			Hint:  "Amazon SNS → Topics → your topic → ARN. One on each line; what other topics send is refused, since a signature only proves that it came from some topic of AWS.",
			Check: checkTopics,
		},
		{
			Name: credentialUsername, Label: "User name", Made: true, Open: true, Optional: true, Check: checkUsername,
			Hint: "It is part of the URL to paste, and proves raw message delivery, which is not signed.",
		},
		{
			Name: credentialPassword, Label: "Password", Made: true, Optional: true, Check: checkPassword,
			Hint: "It is part of the URL to paste, and proves raw message delivery, which is not signed.",
		},
	},
	Steps: []string{
		"In Amazon SNS, in the region that you send from, choose Topics → Create topic, of type Standard.",
		"Copy the topic's ARN and paste it here, before anything else: only topics in the list are confirmed.",
		"In the topic, choose Create subscription with protocol HTTPS, and paste the URL as Endpoint. Leave Enable raw message delivery off, so that messages are signed.",
		"The subscription is confirmed by itself: after a moment its status is Confirmed. If it is not, choose Request confirmation.",
		"In Amazon SES, open Configuration → Configuration sets → your set → Event destinations, and choose Add destination.",
		"Choose the event types, then Amazon SNS and the topic. SES publishes a first message, which is ignored here.",
		"Send with that configuration set: make it the default one of your identity, or name it in the header X-SES-CONFIGURATION-SET.",
	},
	Mapping: []Mapping{
		{"Send", telltale.Sent, "one for each recipient"},
		{"Delivery", telltale.Delivered, "one for each recipient"},
		{"Bounce, bounceType Permanent", telltale.Bounced, "hard, one for each recipient"},
		{"Bounce, bounceType Transient or Undetermined", telltale.Bounced, "soft, one for each recipient: SES gave up"},
		{"Complaint", telltale.Complained, "one for each recipient"},
		{"Open", telltale.Opened, "the recipient is known if the message had one"},
		{"Click", telltale.Clicked, "the recipient is known if the message had one"},
		{"Reject", telltale.Failed, "one for each recipient"},
		{"Rendering Failure", telltale.Failed, "one for each recipient"},
		{"DeliveryDelay", "", "SES tries again"},
		{"Subscription, to fewer topics or none", telltale.Unsubscribed, ""},
		{"Subscription, to more topics or all", telltale.Resubscribed, ""},
		{"Received", "", "it is about mail that came in"},
	},
	Metadata: "Set it as message tags; their values have letters, digits and some punctuation only. What needs more, such as a subject, goes as JSON into the message's header X-Metadata. Tags need a configuration set, and the header that it, or the identity's notifications, include the original headers.",
	MetadataExample: `X-SES-CONFIGURATION-SET: your-set
X-SES-MESSAGE-TAGS: user_id=123, campaign_id=987, campaign_name=Welcome`,
	Retries:    "Amazon SNS repeats a request that is not answered with success 3 times, 20 seconds apart. With a delivery policy of your own it goes on for up to an hour.",
	Overloaded: http.StatusServiceUnavailable,
	Verify:     verifySES,
	Parse:      parseSES,
	Signer:     signBasic,
	Pair:       pairSES,
	Samples:    sampleSES,
	TestHint:   "In the SES console, send a test email to its mailbox simulator: success@simulator.amazonses.com, bounce@simulator.amazonses.com or complaint@simulator.amazonses.com.",
}

const (
	credentialTopics = "topic_arns"

	snsTypeHeader  = "X-Amz-Sns-Message-Type"
	snsIDHeader    = "X-Amz-Sns-Message-Id"
	snsTopicHeader = "X-Amz-Sns-Topic-Arn"

	snsNotification = "Notification"
	snsConfirm      = "SubscriptionConfirmation"
	snsUnsubscribed = "UnsubscribeConfirmation"

	// snsSpan is how old a message may be: SNS repeats for an hour at most.
	snsSpan   = 2 * time.Hour
	maxTopics = 100 // that a source lists
)

// snsEnvelope is what SNS posts, but for raw message delivery. Verification and
// parsing read the body with it alike, so that nothing is used that is not signed.
type snsEnvelope struct {
	Type         string
	MessageID    string  `json:"MessageId"`
	TopicARN     string  `json:"TopicArn"`
	Subject      *string // signed if it is there
	Message      string
	Timestamp    string
	Token        string // of confirmations, as is the next
	SubscribeURL string

	SignatureVersion, Signature, SigningCertURL string
}

// readEnvelope gives the envelope; ok is false for a body that is none, as with
// raw message delivery.
func readEnvelope(body []byte) (e snsEnvelope, ok bool) {
	if json.Unmarshal(body, &e) != nil || e.Type == "" {
		return snsEnvelope{}, false
	}
	return e, true
}

// signed is the text that is signed: names and values, each with an end of line.
func (e *snsEnvelope) signed() []byte {
	var b []byte
	add := func(name, value string) { b = fmt.Appendf(b, "%s\n%s\n", name, value) }
	add("Message", e.Message)
	add("MessageId", e.MessageID)
	if e.Type == snsNotification {
		if e.Subject != nil {
			add("Subject", *e.Subject)
		}
	} else {
		add("SubscribeURL", e.SubscribeURL)
	}
	add("Timestamp", e.Timestamp)
	if e.Type != snsNotification {
		add("Token", e.Token)
	}
	add("TopicArn", e.TopicARN)
	add("Type", e.Type)
	return b
}

// verifySES verifies an envelope by its signature, and anything else by user name
// and password. What it refuses is answered 403: a 401 would have SNS come back
// with the password. That is wanted in one case only, raw message delivery, since
// SNS shows the password to nobody who did not ask.
func verifySES(ctx context.Context, c *Call) error {
	e, ok := readEnvelope(c.Body)
	if !ok {
		return verifyRawSES(c)
	}
	for header, value := range map[string]string{snsTypeHeader: e.Type, snsIDHeader: e.MessageID} {
		if said := c.Header.Get(header); said != "" && said != value {
			return forbid("The header %s is not what the message says.", header)
		}
	}
	if e.Type != snsNotification && e.Type != snsConfirm && e.Type != snsUnsubscribed {
		return forbid("There is no message of the type %q in Amazon SNS.", telltale.CutValue(e.Type))
	}
	if err := allowedTopic(c.Source, e.TopicARN); err != nil {
		return err
	}
	at, err := time.Parse(time.RFC3339, e.Timestamp)
	if err != nil {
		return forbid("The message's Timestamp cannot be read.")
	}
	if err := within(c.Now, at, snsSpan); err != nil {
		return forbid("%v", err)
	}
	if !snsAddress(e.SigningCertURL, func(u *url.URL) bool { return strings.HasSuffix(u.Path, ".pem") && u.RawQuery == "" }) {
		return forbid("The message's SigningCertURL is not of Amazon SNS.")
	}
	signature, err := base64.StdEncoding.DecodeString(e.Signature)
	if err != nil {
		return forbid("The signature is not base64.")
	}
	hash, sum := crypto.SHA1, []byte(nil)
	switch e.SignatureVersion {
	case "1":
		digest := sha1.Sum(e.signed()) //nolint:gosec // as above
		sum = digest[:]
	case "2":
		digest := sha256.Sum256(e.signed())
		hash, sum = crypto.SHA256, digest[:]
	default:
		return forbid("There is no SignatureVersion %q in Amazon SNS as we know it.", telltale.CutValue(e.SignatureVersion))
	}
	certificate, err := c.Certificate(ctx, e.SigningCertURL)
	if err != nil {
		return err
	}
	if c.Now.Before(certificate.NotBefore) || c.Now.After(certificate.NotAfter) {
		return forbid("The certificate of the signature is not valid at this time: is this server's clock right?")
	}
	key, ok := certificate.PublicKey.(*rsa.PublicKey)
	if !ok {
		return forbid("The certificate of the signature is none for RSA.")
	}
	if rsa.VerifyPKCS1v15(key, hash, sum, signature) != nil {
		return forbid("The signature does not match: the message was changed on its way, or did not come from Amazon SNS.")
	}
	return nil
}

// verifyRawSES verifies a message without envelope, which nobody signs.
func verifyRawSES(c *Call) error {
	switch {
	case c.Source.Credentials[credentialPassword] == "":
		return forbid("The request is not signed: switch off raw message delivery for the subscription in Amazon SNS.")
	case c.Header.Get("Authorization") == "":
		return refuse("The request is neither signed nor has it a password: switch off raw message delivery for the subscription in Amazon SNS, or paste the source's whole URL, with user name and password in it.")
	}
	if err := verifyBasic(c.Request, c.Source); err != nil {
		return forbid("%v", err)
	}
	if topic := c.Header.Get(snsTopicHeader); topic != "" && c.Source.Credentials[credentialTopics] != "" {
		return allowedTopic(c.Source, topic)
	}
	return nil
}

func allowedTopic(s *telltale.Source, topic string) error {
	listed := topics(s.Credentials[credentialTopics])
	if len(listed) == 0 {
		return forbid("The source lists no topic yet: paste the ARN of the topic in Amazon SNS.")
	}
	if !slices.Contains(listed, topic) {
		return forbid("The message is from the topic %q, which the source does not list.", telltale.CutValue(topic))
	}
	return nil
}

// topics gives the ARNs in a list: on lines of their own, or between commas.
func topics(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) })
}

// topicARN is an ARN of SNS: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html
var topicARN = regexp.MustCompile(`^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?$`)

func checkTopics(value string) string {
	listed := topics(value)
	if len(listed) == 0 || len(listed) > maxTopics {
		return fmt.Sprintf("There is no topic in the list, or more than %d.", maxTopics)
	}
	for _, topic := range listed {
		if !topicARN.MatchString(topic) {
			return fmt.Sprintf("%q is no ARN of a topic, such as arn:aws:sns:eu-west-1:123456789012:mail-events.", telltale.CutValue(topic))
		}
	}
	return ""
}

// snsHost is where SNS is, in every partition that serves the public.
var snsHost = regexp.MustCompile(`^sns\.[a-z0-9-]{1,40}\.amazonaws\.com(\.cn)?$`)

// snsAddress reports whether an address is one of SNS's own, by https.
func snsAddress(address string, and func(*url.URL) bool) bool {
	if len(address) > telltale.MaxLinkBytes {
		return false
	}
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https" && u.User == nil && u.Opaque == "" && u.Fragment == "" &&
		(u.Port() == "443" || !strings.Contains(u.Host, ":")) && snsHost.MatchString(u.Hostname()) && and(u)
}

// sesValidated begins what SES publishes to a topic to try it out.
const sesValidated = "Successfully validated SNS topic"

func parseSES(r *Request, s *telltale.Source) (*Batch, error) {
	e, ok := readEnvelope(r.Body)
	if !ok {
		return one(r.Body, func(o object) ([]Event, error) { return sesEvents(o, r.Header.Get(snsIDHeader)) })
	}
	part := Part{Raw: string(r.Body)}
	b := &Batch{}
	switch e.Type {
	case snsConfirm:
		switch {
		case allowedTopic(s, e.TopicARN) != nil:
			part.Err = notUnderstood("The subscription is to a topic that the source does not list.")
		case !snsAddress(e.SubscribeURL, func(u *url.URL) bool { return u.Query().Get("Action") == "ConfirmSubscription" }):
			part.Err = notUnderstood("The SubscribeURL is not of Amazon SNS.")
		default:
			b.Confirm = e.SubscribeURL
		}
	case snsUnsubscribed: // there is nothing to do
	default:
		message := strings.TrimSpace(e.Message)
		if strings.HasPrefix(message, sesValidated) {
			break
		}
		o, err := parseObject(message)
		if err != nil {
			part.Err = err
			break
		}
		part.Events, part.Err = sesEvents(o, e.MessageID)
	}
	b.Parts = []Part{part}
	return b, nil
}

// sesEvents reads an event as SES publishes it, or a notification of an identity,
// which has another name in front. id is SNS's, which stays in repetitions.
func sesEvents(o object, id string) ([]Event, error) {
	name := firstOf(o.Text("eventType"), o.Text("notificationType"))
	mail := o.child("mail")
	common := mail.child("commonHeaders")
	e := Event{
		OccurredAt: mail.time("timestamp"), ProviderMessageID: mail.Text("messageId"),
		MessageID: common.Text("messageId"), Subject: common.Text("subject"), Meta: sesMetadata(mail),
	}
	to := mail.texts("destination")
	at := func(said object) {
		if t := said.time("timestamp"); !t.IsZero() {
			e.OccurredAt = t
		}
	}
	switch name {
	case "Send":
		e.Type = telltale.Sent
	case "Delivery":
		e.Type = telltale.Delivered
		at(o.child("delivery"))
		if recipients := o.child("delivery").texts("recipients"); len(recipients) > 0 {
			to = recipients
		}
	case "Bounce":
		return sesBounces(e, o.child("bounce"), to, id), nil
	case "Complaint":
		e.Type = telltale.Complained
		at(o.child("complaint"))
		recipients := addresses(o.child("complaint").objects("complainedRecipients"))
		if len(recipients) == 0 {
			recipients = onlyOne(to)
		}
		to = recipients
	case "Open":
		said := o.child("open")
		at(said)
		e.Type, e.UserAgent, e.IP = telltale.Opened, said.Text("userAgent"), said.Text("ipAddress")
		to = onlyOne(to)
	case "Click":
		said := o.child("click")
		at(said)
		e.Type, e.UserAgent, e.IP, e.URL = telltale.Clicked, said.Text("userAgent"), said.Text("ipAddress"), said.Text("link")
		to = onlyOne(to)
	case "Reject":
		e.Type, e.Reason = telltale.Failed, o.child("reject").Text("reason")
	case "Rendering Failure":
		said := o.child("failure")
		e.Type, e.Reason = telltale.Failed, said.Text("errorMessage")
		if template := said.Text("templateName"); template != "" && e.Reason != "" {
			e.Reason = template + ": " + e.Reason
		}
	case "Subscription":
		said := o.child("subscription")
		at(said)
		if e.Type = sesPreference(said.child("newTopicPreferences"), said.child("oldTopicPreferences")); e.Type == "" {
			return nil, nil
		}
		to = onlyOne(to)
	case "DeliveryDelay", "Received", "AmazonSnsSubscriptionSucceeded":
		return nil, nil
	default:
		return nil, unknownEvent(name)
	}
	return e.each(to, id), nil
}

// each gives the event for each of the recipients, or once for nobody. Keys are
// the message's id and the place.
func (e Event) each(recipients []string, id string) []Event {
	if len(recipients) == 0 {
		recipients = []string{""}
	}
	events := make([]Event, len(recipients))
	for i, recipient := range recipients {
		events[i] = e
		events[i].Recipient = bareAddress(recipient)
		events[i].place(id, i)
	}
	return events
}

// place makes the key of one of the events that a message with that id tells of.
func (e *Event) place(id string, i int) {
	switch {
	case id == "": // the key comes of the part
	case i == 0:
		e.Key = id
	default:
		e.Key = id + "#" + strconv.Itoa(i)
	}
}

func sesBounces(e Event, said object, to []string, id string) []Event {
	e.Type, e.Bounce = telltale.Bounced, Soft
	if said.Text("bounceType") == "Permanent" {
		e.Bounce = Hard
	}
	if t := said.time("timestamp"); !t.IsZero() {
		e.OccurredAt = t
	}
	kind := strings.TrimSpace(said.Text("bounceType") + " " + said.Text("bounceSubType"))
	bounced := said.objects("bouncedRecipients")
	if len(bounced) == 0 {
		e.Reason = kind
		return e.each(onlyOne(to), id)
	}
	events := make([]Event, len(bounced))
	for i, recipient := range bounced {
		events[i] = e
		events[i].Recipient = bareAddress(recipient.Text("emailAddress"))
		events[i].Code, events[i].Reason = diagnostic(recipient.Text("diagnosticCode"))
		events[i].Reason = firstOf(events[i].Reason, recipient.Text("status"), kind)
		events[i].place(id, i)
	}
	return events
}

// sesMetadata gives what the sender attached: JSON in the header X-Metadata, and
// message tags, each with a list of values. Those of SES itself have names that
// begin with ses:.
func sesMetadata(mail object) (meta object) {
	for _, header := range mail.objects("headers") {
		if strings.EqualFold(header.Text("name"), "X-Metadata") {
			meta = header.embedded("value")
		}
	}
	tags := mail.child("tags")
	for _, name := range vocabulary {
		if values := tags.texts(name); len(values) > 0 && !meta.Has(name) {
			meta.SetString(name, values[0])
		}
	}
	return meta
}

// sesPreference says what a change of preferences comes to: unsubscribed if
// anything was given up, else resubscribed if anything was taken on.
func sesPreference(now, before object) telltale.EventType {
	all, allBefore := now.isTrue("unsubscribeAll"), before.isTrue("unsubscribeAll")
	switch {
	case all && !allBefore:
		return telltale.Unsubscribed
	case all:
		return ""
	case allBefore:
		return telltale.Resubscribed
	}
	were := sesTopics(before)
	change := telltale.EventType("")
	for topic, is := range sesTopics(now) {
		switch {
		case is == were[topic]:
		case is == "OptOut":
			return telltale.Unsubscribed
		case is == "OptIn":
			change = telltale.Resubscribed
		}
	}
	return change
}

// sesTopics gives the status of each topic: its own, or else its default.
func sesTopics(preferences object) map[string]string {
	status := map[string]string{}
	for _, list := range []string{"topicDefaultSubscriptionStatus", "topicSubscriptionStatus"} {
		for _, topic := range preferences.objects(list) {
			status[topic.Text("topicName")] = topic.Text("subscriptionStatus")
		}
	}
	return status
}

func addresses(recipients []object) (list []string) {
	for _, recipient := range recipients {
		list = append(list, recipient.Text("emailAddress"))
	}
	return list
}

// onlyOne gives the recipient if there is one; none of several is known to be
// meant.
func onlyOne(recipients []string) []string {
	if len(recipients) == 1 {
		return recipients
	}
	return nil
}

// bareAddress leaves out a name that stands before the address.
func bareAddress(recipient string) string {
	if strings.HasSuffix(recipient, ">") {
		return firstOf(oneAddress(recipient), recipient)
	}
	return recipient
}

func pairSES() (map[string]string, Signer, error) {
	credentials, sign, err := pairBasic()
	if err == nil {
		credentials[credentialTopics] = sesSampleTopic
	}
	return credentials, sign, err
}

const sesSampleTopic = "arn:aws:sns:eu-west-1:123456789012:mail-events"

// sampleSES gives samples with raw message delivery: only SNS can sign.
func sampleSES(at time.Time) []*Request {
	n := 0
	one := func(name, member, rest string, more time.Duration) *Request {
		moment := func(d time.Duration) string { return at.Add(d).UTC().Format("2006-01-02T15:04:05.000Z") }
		body := fmt.Sprintf(`{"eventType":"%s","mail":{"timestamp":"%s","source":"Example <news@example.com>","sourceArn":"arn:aws:ses:eu-west-1:123456789012:identity/example.com","sendingAccountId":"123456789012","messageId":"%016x-telltale-000000","destination":["steve@example.com"],"headersTruncated":false,`+
			`"headers":[{"name":"From","value":"Example <news@example.com>"},{"name":"To","value":"steve@example.com"},{"name":"Subject","value":"Welcome aboard"}],`+
			`"commonHeaders":{"from":["Example <news@example.com>"],"to":["steve@example.com"],"messageId":"<%d.telltale@sample.example.com>","subject":"Welcome aboard"},`+
			`"tags":{"ses:operation":["SendEmail"],"ses:configuration-set":["events"],"ses:from-domain":["example.com"],"user_id":["123"],"campaign_id":["987"],"campaign_name":["Welcome"]}},"%s":{`,
			name, moment(0), at.UnixNano(), at.UnixNano(), member)
		if rest != "" {
			body += strings.ReplaceAll(rest, "TIME", moment(more))
		}
		r := jsonRequest([]byte(body + "}}\n"))
		r.Header.Set("Content-Type", "text/plain; charset=UTF-8")
		r.Header.Set("X-Amz-Sns-Rawdelivery", "true")
		r.Header.Set(snsTypeHeader, snsNotification)
		r.Header.Set(snsIDHeader, fmt.Sprintf("sample-%d-%d", at.UnixNano(), n))
		r.Header.Set(snsTopicHeader, sesSampleTopic)
		n++
		return r
	}
	const (
		agent       = `"timestamp":"TIME","ipAddress":"203.0.113.7","userAgent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"`
		preferences = `"contactList":"news","timestamp":"TIME","source":"UnsubscribeHeader","newTopicPreferences":{"unsubscribeAll":%t,"topicSubscriptionStatus":[]},"oldTopicPreferences":{"unsubscribeAll":%t,"topicSubscriptionStatus":[]}`
	)
	return []*Request{
		one("Send", "send", "", 0),
		one("Delivery", "delivery", `"timestamp":"TIME","processingTimeMillis":843,"recipients":["steve@example.com"],"smtpResponse":"250 2.0.0 OK","reportingMTA":"a8-70.smtp-out.amazonses.com"`, time.Second),
		one("Open", "open", agent, time.Minute),
		one("Click", "click", agent+`,"link":"https://www.example.com/welcome","linkTags":null`, 2*time.Minute),
		one("Bounce", "bounce", `"bounceType":"Permanent","bounceSubType":"General","bouncedRecipients":[{"emailAddress":"steve@example.com","action":"failed","status":"5.1.1","diagnosticCode":"smtp; 550 5.1.1 The email account that you tried to reach does not exist."}],"timestamp":"TIME","feedbackId":"sample-000000","reportingMTA":"dsn; a8-70.smtp-out.amazonses.com"`, 2*time.Second),
		one("Bounce", "bounce", `"bounceType":"Transient","bounceSubType":"MailboxFull","bouncedRecipients":[{"emailAddress":"steve@example.com","action":"failed","status":"4.2.2","diagnosticCode":"smtp; 452 4.2.2 The mailbox is full."}],"timestamp":"TIME","feedbackId":"sample-000001"`, 3*time.Second),
		one("Reject", "reject", `"reason":"Bad content"`, 0),
		one("Rendering Failure", "failure", `"errorMessage":"Attribute 'name' is not present in the rendering data.","templateName":"welcome"`, 0),
		one("Complaint", "complaint", `"complainedRecipients":[{"emailAddress":"steve@example.com"}],"timestamp":"TIME","feedbackId":"sample-000002","userAgent":"Example Feedback Loop","complaintFeedbackType":"abuse","arrivalDate":"TIME"`, time.Hour),
		one("Subscription", "subscription", fmt.Sprintf(preferences, true, false), time.Hour),
		one("Subscription", "subscription", fmt.Sprintf(preferences, false, true), 2*time.Hour),
	}
}
