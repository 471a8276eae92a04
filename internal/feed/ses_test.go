package feed

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale"
)

const sesMail = `"mail":{"timestamp":"2017-08-05T00:40:02.012Z","source":"News <news@example.com>","messageId":"7c191be45-000000","destination":["steve@example.com"],"commonHeaders":{"messageId":"<1@example.com>","subject":"Hello"}}`

const sesMails = `"mail":{"timestamp":"2017-08-05T00:40:02.012Z","messageId":"7c191be45-000000","destination":["steve@example.com","Eve <eve@example.com>"]}`

func TestSESEvents(t *testing.T) {
	const (
		ids   = " provider=7c191be45-000000 message=<1@example.com>"
		plain = " provider=7c191be45-000000"
		sent  = " at=2017-08-05T00:40:02.012Z"
		later = " at=2017-08-05T00:41:02.669Z"
		agent = `"timestamp":"2017-08-05T00:41:02.669Z","ipAddress":"192.0.2.1","userAgent":"Mozilla/5.0"`
	)
	for _, c := range []struct {
		name, data string
		want       []string
	}{
		{
			"Send is sent", `{"eventType":"Send",` + sesMail + `,"send":{}}`,
			[]string{"sent to=steve@example.com key=m1" + sent + ids + " subject=Hello"},
		},
		{
			"Send to two is sent twice", `{"eventType":"Send",` + sesMails + `,"send":{}}`,
			[]string{"sent to=steve@example.com key=m1" + sent + plain, "sent to=eve@example.com key=m1#1" + sent + plain},
		},
		{
			"Delivery is delivered to its recipients, at its own time",
			`{"eventType":"Delivery",` + sesMails + `,"delivery":{"timestamp":"2017-08-05T00:41:02.669Z","recipients":["eve@example.com"],"smtpResponse":"250 OK"}}`,
			[]string{"delivered to=eve@example.com key=m1" + later + plain},
		},
		{
			"a notification of the identity is as good",
			`{"notificationType":"Delivery",` + sesMail + `,"delivery":{"timestamp":"2017-08-05T00:41:02.669Z","recipients":["steve@example.com"]}}`,
			[]string{"delivered to=steve@example.com key=m1" + later + ids + " subject=Hello"},
		},
		{
			"a permanent Bounce is hard",
			`{"eventType":"Bounce",` + sesMail + `,"bounce":{"bounceType":"Permanent","bounceSubType":"General","bouncedRecipients":[{"emailAddress":"steve@example.com","action":"failed","status":"5.1.1","diagnosticCode":"smtp; 550 5.1.1 user unknown"}],"timestamp":"2017-08-05T00:41:02.669Z"}}`,
			[]string{`bounced bounce=hard code=550 reason="5.1.1 user unknown" to=steve@example.com key=m1` + later + ids + " subject=Hello"},
		},
		{
			"a transient Bounce is soft, for each of its recipients",
			`{"notificationType":"Bounce",` + sesMails + `,"bounce":{"bounceType":"Transient","bounceSubType":"MailboxFull","bouncedRecipients":[{"emailAddress":"steve@example.com","status":"4.2.2","diagnosticCode":"smtp; 452-4.2.2 mailbox full"},{"emailAddress":"\"Eve\" <eve@example.com>","status":"4.2.2"}],"timestamp":"2017-08-05T00:41:02.669Z"}}`,
			[]string{
				`bounced bounce=soft code=452 reason="4.2.2 mailbox full" to=steve@example.com key=m1` + later + plain,
				`bounced bounce=soft reason="4.2.2" to=eve@example.com key=m1#1` + later + plain,
			},
		},
		{
			"an undetermined Bounce is soft; without a word of the server's it has its kind",
			`{"eventType":"Bounce",` + sesMail + `,"bounce":{"bounceType":"Undetermined","bounceSubType":"Undetermined","bouncedRecipients":[{"emailAddress":"steve@example.com"}]}}`,
			[]string{`bounced bounce=soft reason="Undetermined Undetermined" to=steve@example.com key=m1` + sent + ids + " subject=Hello"},
		},
		{
			"a Bounce of nobody is the message's",
			`{"eventType":"Bounce",` + sesMail + `,"bounce":{"bounceType":"Permanent","bounceSubType":"Suppressed","bouncedRecipients":[]}}`,
			[]string{`bounced bounce=hard reason="Permanent Suppressed" to=steve@example.com key=m1` + sent + ids + " subject=Hello"},
		},
		{
			"a Complaint is of those who complained",
			`{"eventType":"Complaint",` + sesMails + `,"complaint":{"complainedRecipients":[{"emailAddress":"steve@example.com"},{"emailAddress":"eve@example.com"}],"timestamp":"2017-08-05T00:41:02.669Z","complaintFeedbackType":"abuse","userAgent":"Loop"}}`,
			[]string{"complained to=steve@example.com key=m1" + later + plain, "complained to=eve@example.com key=m1#1" + later + plain},
		},
		{
			"a Complaint of nobody is the message's, if that had one recipient",
			`{"eventType":"Complaint",` + sesMail + `,"complaint":{"timestamp":"2017-08-05T00:41:02.669Z"}}`,
			[]string{"complained to=steve@example.com key=m1" + later + ids + " subject=Hello"},
		},
		{
			"Open is opened", `{"eventType":"Open",` + sesMail + `,"open":{` + agent + `}}`,
			[]string{"opened to=steve@example.com key=m1" + later + ids + " agent=Mozilla/5.0 ip=192.0.2.1 subject=Hello"},
		},
		{
			"who of two opened, nobody knows", `{"eventType":"Open",` + sesMails + `,"open":{` + agent + `}}`,
			[]string{"opened key=m1" + later + plain + " agent=Mozilla/5.0 ip=192.0.2.1"},
		},
		{
			"Click is clicked", `{"eventType":"Click",` + sesMail + `,"click":{` + agent + `,"link":"https://example.com/?a=b&c","linkTags":{"k":["v"]}}}`,
			[]string{"clicked to=steve@example.com key=m1" + later + ids + " agent=Mozilla/5.0 url=https://example.com/?a=b&c ip=192.0.2.1 subject=Hello"},
		},
		{
			"Reject is failed", `{"eventType":"Reject",` + sesMail + `,"reject":{"reason":"Bad content"}}`,
			[]string{`failed reason="Bad content" to=steve@example.com key=m1` + sent + ids + " subject=Hello"},
		},
		{
			"Rendering Failure is failed", `{"eventType":"Rendering Failure",` + sesMail + `,"failure":{"errorMessage":"Attribute 'name' is not present.","templateName":"welcome"}}`,
			[]string{`failed reason="welcome: Attribute 'name' is not present." to=steve@example.com key=m1` + sent + ids + " subject=Hello"},
		},
		{"DeliveryDelay means nothing", `{"eventType":"DeliveryDelay",` + sesMail + `,"deliveryDelay":{"delayType":"TransientCommunicationFailure"}}`, nil},
		{"mail that came in means nothing", `{"notificationType":"Received","mail":{}}`, nil},
		{"the notification of a topic of its own means nothing", `{"notificationType":"AmazonSnsSubscriptionSucceeded","message":"You have successfully subscribed"}`, nil},
		{
			"who gave up everything unsubscribed",
			`{"eventType":"Subscription",` + sesMail + `,"subscription":{"timestamp":"2017-08-05T00:41:02.669Z","source":"UnsubscribeHeader","newTopicPreferences":{"unsubscribeAll":true,"topicSubscriptionStatus":[{"topicName":"A","subscriptionStatus":"OptOut"}]},"oldTopicPreferences":{"unsubscribeAll":false,"topicSubscriptionStatus":[{"topicName":"A","subscriptionStatus":"OptOut"}]}}}`,
			[]string{"unsubscribed to=steve@example.com key=m1" + later + ids + " subject=Hello"},
		},
		{
			"who took it all back resubscribed",
			`{"eventType":"Subscription",` + sesMail + `,"subscription":{"newTopicPreferences":{"unsubscribeAll":false},"oldTopicPreferences":{"unsubscribeAll":true}}}`,
			[]string{"resubscribed to=steve@example.com key=m1" + sent + ids + " subject=Hello"},
		},
		{
			"who gave up a topic unsubscribed, even if another was taken on",
			`{"eventType":"Subscription",` + sesMail + `,"subscription":{"newTopicPreferences":{"unsubscribeAll":false,"topicSubscriptionStatus":[{"topicName":"A","subscriptionStatus":"OptIn"},{"topicName":"B","subscriptionStatus":"OptOut"}]},"oldTopicPreferences":{"unsubscribeAll":false,"topicDefaultSubscriptionStatus":[{"topicName":"B","subscriptionStatus":"OptIn"}]}}}`,
			[]string{"unsubscribed to=steve@example.com key=m1" + sent + ids + " subject=Hello"},
		},
		{
			"who took on a topic resubscribed",
			`{"eventType":"Subscription",` + sesMail + `,"subscription":{"newTopicPreferences":{"topicSubscriptionStatus":[{"topicName":"A","subscriptionStatus":"OptIn"}]},"oldTopicPreferences":{"topicSubscriptionStatus":[{"topicName":"A","subscriptionStatus":"OptOut"}]}}}`,
			[]string{"resubscribed to=steve@example.com key=m1" + sent + ids + " subject=Hello"},
		},
		{
			"preferences that stayed mean nothing",
			`{"eventType":"Subscription",` + sesMail + `,"subscription":{"newTopicPreferences":{"unsubscribeAll":true},"oldTopicPreferences":{"unsubscribeAll":true}}}`, nil,
		},
		{
			"tags and the header X-Metadata are what the sender attached",
			`{"eventType":"Send","mail":{"messageId":"1","headers":[{"name":"x-metadata","value":"{\"subject\":\"Grüße\",\"user_id\":9007199254740993}"}],"tags":{"ses:source-ip":["192.0.2.0"],"user_id":["123"],"campaign_id":["987","988"],"other":["x"]}}}`,
			[]string{`sent key=m1 provider=1 meta={"subject":"Grüße","user_id":9007199254740993,"campaign_id":"987"}`},
		},
		{
			"an event of another name is not understood", `{"eventType":"Paused",` + sesMail + `}`,
			[]string{`error: There is no event "Paused" in the provider's documents as we know them.`},
		},
		{"an event of no name is not understood", `{"mail":{}}`, []string{"error: The event has no name."}},
		{"an event without mail is still one", `{"eventType":"Send"}`, []string{"sent key=m1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := &Request{Header: http.Header{"X-Amz-Sns-Message-Id": {"m1"}}, Body: []byte(c.data + "\n")}
			means(t, ses, raw, c.want...)
			means(t, ses, &Request{Body: snsMessage(map[string]string{"Type": "Notification", "MessageId": "m1", "Message": c.data + "\n"})}, c.want...)
		})
	}
}

// snsMessage is an envelope with the members.
func snsMessage(members map[string]string) []byte {
	b, err := json.Marshal(members)
	if err != nil {
		panic(err) // strings are JSON
	}
	return b
}

func TestSESEnvelopes(t *testing.T) {
	s := sourceOf(ses, map[string]string{credentialTopics: "arn:aws:sns:eu-west-1:123456789012:one, " + sesSampleTopic})
	const confirm = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=" + sesSampleTopic + "&Token=2336412f"
	message := func(kind, topic, url string) []byte {
		return snsMessage(map[string]string{"Type": kind, "MessageId": "m1", "TopicArn": topic, "SubscribeURL": url, "Token": "2336412f", "Message": "You have chosen to subscribe."})
	}
	for _, c := range []struct {
		name    string
		body    []byte
		confirm string
		said    string
	}{
		{"a subscription is confirmed", message(snsConfirm, sesSampleTopic, confirm), confirm, ""},
		{"one in China is", message(snsConfirm, sesSampleTopic, "https://sns.cn-north-1.amazonaws.com.cn/?Action=ConfirmSubscription&Token=x"), "https://sns.cn-north-1.amazonaws.com.cn/?Action=ConfirmSubscription&Token=x", ""},
		{"one to another topic is not", message(snsConfirm, "arn:aws:sns:eu-west-1:210987654321:mail-events", confirm), "", "does not list"},
		{"one somewhere else is not", message(snsConfirm, sesSampleTopic, "https://sns.eu-west-1.amazonaws.com.example.com/?Action=ConfirmSubscription"), "", "not of Amazon SNS"},
		{"another action is none", message(snsConfirm, sesSampleTopic, "https://sns.eu-west-1.amazonaws.com/?Action=Publish&x=ConfirmSubscription"), "", "not of Amazon SNS"},
		{"no address is none", message(snsConfirm, sesSampleTopic, ""), "", "not of Amazon SNS"},
		{"the end of a subscription means nothing", message(snsUnsubscribed, sesSampleTopic, confirm), "", ""},
		{"the first message to a topic means nothing", snsMessage(map[string]string{"Type": "Notification", "MessageId": "m1", "Subject": "Amazon SES Email Event Notification", "Message": "Successfully validated SNS topic for Amazon SES event publishing."}), "", ""},
		{"a message that is no JSON is not understood", snsMessage(map[string]string{"Type": "Notification", "MessageId": "m1", "Message": "Hello"}), "", "input"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := ses.Parse(&Request{Body: c.body}, s)
			if err != nil {
				t.Fatal(err)
			}
			if b.Confirm != c.confirm {
				t.Errorf("%q is to be confirmed, want %q", b.Confirm, c.confirm)
			}
			p := b.Parts[0]
			if len(b.Parts) != 1 || len(p.Events) > 0 || (p.Err == nil) != (c.said == "") || p.Err != nil && !strings.Contains(p.Err.Error(), c.said) {
				t.Errorf("the parts are %v", b.Parts)
			}
			again, err := ses.Parse(&Request{Body: []byte(p.Raw)}, s)
			if err != nil || fmt.Sprint(again.Parts[0].Err) != fmt.Sprint(p.Err) {
				t.Errorf("taken again it is %v, %v", again, err)
			}
		})
	}
	if _, err := ses.Parse(&Request{Body: []byte("Hello")}, s); err == nil {
		t.Error("a body that is no JSON was understood")
	}
}

// snsSigner signs as SNS does.
type snsSigner struct {
	key         *rsa.PrivateKey
	certificate []byte
	url         string
}

func newSNSSigner(t testing.TB) *snsSigner {
	t.Helper()
	key := rsaKeys()[0]
	return &snsSigner{key: key, certificate: newAuthority(t).issue(t, key.Public()), url: "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"}
}

// post signs the members, and makes a request of them.
func (s *snsSigner) post(t testing.TB, version string, members map[string]string) *Request {
	t.Helper()
	names := []string{"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}
	if members["Type"] == snsNotification {
		names = []string{"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"}
	}
	var text strings.Builder
	for _, name := range names {
		if value, ok := members[name]; ok {
			text.WriteString(name + "\n" + value + "\n")
		}
	}
	hash, sum := crypto.SHA256, sha256.Sum256([]byte(text.String()))
	digest := sum[:]
	if version == "1" {
		sum := sha1.Sum([]byte(text.String()))
		hash, digest = crypto.SHA1, sum[:]
	}
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, hash, digest)
	if err != nil {
		t.Fatal(err)
	}
	members = maps.Clone(members)
	members["SignatureVersion"], members["Signature"], members["SigningCertURL"] = version, base64.StdEncoding.EncodeToString(signature), s.url
	return &Request{
		Method: http.MethodPost, Body: snsMessage(members),
		Header: http.Header{"Content-Type": {"text/plain; charset=UTF-8"}, snsTypeHeader: {members["Type"]}, snsIDHeader: {members["MessageId"]}},
	}
}

func snsNotify(message string) map[string]string {
	return map[string]string{"Type": snsNotification, "MessageId": "m1", "TopicArn": sesSampleTopic, "Message": message, "Timestamp": sampleTime.Format(time.RFC3339)}
}

func TestSESSignatures(t *testing.T) {
	signer := newSNSSigner(t)
	notification := snsNotify(`{"eventType":"Send"}` + "\n")
	with := func(changes ...string) map[string]string {
		m := maps.Clone(notification)
		for i := 0; i < len(changes); i += 2 {
			m[changes[i]] = changes[i+1]
		}
		return m
	}
	// changed is a signed request in which a member is another one since.
	changed := func(name, value string) *Request {
		r := signer.post(t, "2", notification)
		var members map[string]string
		if err := json.Unmarshal(r.Body, &members); err != nil {
			t.Fatal(err)
		}
		members[name] = value
		r.Body = snsMessage(members)
		return r
	}
	header := func(name, value string) *Request {
		r := signer.post(t, "2", notification)
		r.Header.Set(name, value)
		return r
	}
	bare := signer.post(t, "2", notification)
	bare.Header = http.Header{}
	confirmation := with("Type", snsConfirm, "Token", "2336412f", "SubscribeURL", "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription")
	null := signer.post(t, "1", notification)
	null.Body = append([]byte(`{"Subject":null,`), null.Body[1:]...)

	const certificate = "SigningCertURL is not of Amazon SNS"
	for _, c := range []struct {
		name string
		r    *Request
		at   time.Time
		said string // "" for what is taken
	}{
		{"version 1 is SHA-1", signer.post(t, "1", notification), sampleTime, ""},
		{"version 2 is SHA-256", signer.post(t, "2", notification), sampleTime, ""},
		{"a subject is signed, too", signer.post(t, "2", with("Subject", "Amazon SES")), sampleTime, ""},
		{"a subject that is null is none", null, sampleTime, ""},
		{"a confirmation is signed with its token", signer.post(t, "2", confirmation), sampleTime, ""},
		{"so is the end of a subscription", signer.post(t, "1", func() map[string]string {
			m := maps.Clone(confirmation)
			m["Type"] = snsUnsubscribed
			return m
		}()), sampleTime, ""},
		{"headers may be missing", bare, sampleTime, ""},
		{"a repetition an hour later is taken", signer.post(t, "2", notification), sampleTime.Add(time.Hour), ""},

		{"a stale message is refused", signer.post(t, "2", notification), sampleTime.Add(snsSpan + time.Second), "older than 2h"},
		{"one from the future is refused", signer.post(t, "2", notification), sampleTime.Add(-6 * time.Minute), "from the future"},
		{"one without time is refused", signer.post(t, "2", with("Timestamp", "yesterday")), sampleTime, "Timestamp cannot be read"},
		{"another message is refused", changed("Message", `{"eventType":"Open"}`), sampleTime, "does not match"},
		{"another id is refused", func() *Request { r := changed("MessageId", "m2"); r.Header.Del(snsIDHeader); return r }(), sampleTime, "does not match"},
		{"a subject that came later is refused", changed("Subject", "Hello"), sampleTime, "does not match"},
		{"version 1's hash for a signature of version 2 is refused", changed("SignatureVersion", "1"), sampleTime, "does not match"},
		{"a version that we do not know is refused", changed("SignatureVersion", "3"), sampleTime, "no SignatureVersion"},
		{"no version is refused", changed("SignatureVersion", ""), sampleTime, "no SignatureVersion"},
		{"what is no base64 is refused", changed("Signature", "%%%"), sampleTime, "not base64"},
		{"an empty signature is refused", changed("Signature", ""), sampleTime, "does not match"},
		{"another topic is refused", signer.post(t, "2", with("TopicArn", "arn:aws:sns:eu-west-1:210987654321:mail-events")), sampleTime, "does not list"},
		{"no topic is refused", signer.post(t, "2", with("TopicArn", "")), sampleTime, "does not list"},
		{"another type in the header is refused", header(snsTypeHeader, snsConfirm), sampleTime, "X-Amz-Sns-Message-Type"},
		{"another id in the header is refused", header(snsIDHeader, "m2"), sampleTime, "X-Amz-Sns-Message-Id"},
		{"another type of message is refused", signer.post(t, "2", with("Type", "Alarm")), sampleTime, "no message of the type"},

		{"a certificate by http is refused", changed("SigningCertURL", strings.Replace(signer.url, "https:", "http:", 1)), sampleTime, certificate},
		{"one from another host is refused", changed("SigningCertURL", "https://example.com/cert.pem"), sampleTime, certificate},
		{"one from a host that begins alike is refused", changed("SigningCertURL", "https://sns.eu-west-1.amazonaws.com.example.com/cert.pem"), sampleTime, certificate},
		{"one from a host that ends alike is refused", changed("SigningCertURL", "https://evil-sns.eu-west-1.amazonaws.com/cert.pem"), sampleTime, certificate},
		{"one from a deeper host is refused", changed("SigningCertURL", "https://sns.a.b.amazonaws.com/cert.pem"), sampleTime, certificate},
		{"one from another service is refused", changed("SigningCertURL", "https://s3.eu-west-1.amazonaws.com/cert.pem"), sampleTime, certificate},
		{"one at another port is refused", changed("SigningCertURL", "https://sns.eu-west-1.amazonaws.com:8443/cert.pem"), sampleTime, certificate},
		{"one at no port is refused", changed("SigningCertURL", "https://sns.eu-west-1.amazonaws.com:/cert.pem"), sampleTime, certificate},
		{"one with a user is refused", changed("SigningCertURL", "https://sns.eu-west-1.amazonaws.com@sns.eu-west-1.amazonaws.com/cert.pem"), sampleTime, certificate},
		{"one with a query is refused", changed("SigningCertURL", "https://sns.eu-west-1.amazonaws.com/?x=cert.pem"), sampleTime, certificate},
		{"one behind a query is refused", changed("SigningCertURL", "https://sns.eu-west-1.amazonaws.com/cert.pem?Action=Publish"), sampleTime, certificate},
		{"one with a fragment is refused", changed("SigningCertURL", "https://sns.eu-west-1.amazonaws.com/#cert.pem"), sampleTime, certificate},
		{"one of another kind is refused", changed("SigningCertURL", "https://sns.eu-west-1.amazonaws.com/cert.key"), sampleTime, certificate},
		{"a long address is refused", changed("SigningCertURL", "https://sns.eu-west-1.amazonaws.com/"+strings.Repeat("a", 5000)+".pem"), sampleTime, certificate},
		{"no address is refused", changed("SigningCertURL", ""), sampleTime, certificate},
	} {
		t.Run(c.name, func(t *testing.T) {
			fetched := []string{}
			err := ses.Verify(t.Context(), &Call{
				Request: c.r, Source: sourceOf(ses, map[string]string{credentialTopics: "arn:aws:sns:eu-west-1:123456789012:one\n" + sesSampleTopic}), Now: c.at,
				Certificate: func(_ context.Context, url string) (*x509.Certificate, error) {
					fetched = append(fetched, url)
					return parseCertificate(signer.certificate)
				},
			})
			if c.said != "" {
				refuses(t, err, telltale.Forbidden, c.said)
			} else if err != nil {
				t.Error(err)
			}
			if len(fetched) > 1 || len(fetched) == 1 && fetched[0] != signer.url || len(fetched) == 1 && c.said != "" && c.said != "does not match" {
				t.Errorf("it fetched %q", fetched)
			}
		})
	}
}

func TestSESCertificatesAreLookedAt(t *testing.T) {
	signer := newSNSSigner(t)
	r := signer.post(t, "2", snsNotify(`{"eventType":"Send"}`))
	s := sourceOf(ses, map[string]string{credentialTopics: sesSampleTopic})
	verify := func(document []byte, err error, at time.Time, s *telltale.Source) error {
		c := newCertificates(func(context.Context, string) ([]byte, error) { return document, err })
		return ses.Verify(t.Context(), &Call{Request: r, Source: s, Now: at, Certificate: c.get})
	}
	if err := verify(signer.certificate, nil, sampleTime, s); err != nil {
		t.Fatal(err)
	}
	refuses(t, verify(newAuthority(t).issue(t, rsaKeys()[1].Public()), nil, sampleTime, s), telltale.Forbidden, "does not match")
	refuses(t, verify(newAuthority(t).issue(t, ecKey(t).Public()), nil, sampleTime, s), telltale.Forbidden, "none for RSA")
	refuses(t, verify([]byte("<html></html>"), nil, sampleTime, s), telltale.Forbidden, "no certificate in PEM")
	refuses(t, verify(nil, errors.New("no route"), sampleTime, s), telltale.Unavailable, "could not be fetched")
	refuses(t, verify(signer.certificate, nil, sampleTime, sourceOf(ses, nil)), telltale.Forbidden, "lists no topic yet")

	late := sampleTime.AddDate(0, 2, 0)
	notification := snsNotify(`{"eventType":"Send"}`)
	notification["Timestamp"] = late.Format(time.RFC3339)
	r = signer.post(t, "2", notification)
	refuses(t, verify(signer.certificate, nil, late, s), telltale.Forbidden, "not valid at this time")
}

func TestSESWithoutEnvelopeNeedsThePassword(t *testing.T) {
	credentials, sign, err := pairSES()
	if err != nil {
		t.Fatal(err)
	}
	post := func(change func(*Request)) *Request {
		r := sampleSES(sampleTime)[0]
		if err := sign(r, sampleTime); err != nil {
			t.Fatal(err)
		}
		change(r)
		return r
	}
	s := sourceOf(ses, credentials)
	if err := verify(ses, s, post(func(*Request) {}), sampleTime); err != nil {
		t.Errorf("it was refused: %v", err)
	}
	// Only a 401 makes SNS show the password.
	refuses(t, verify(ses, s, post(func(r *Request) { r.Header.Del("Authorization") }), sampleTime), telltale.Unauthenticated, "raw message delivery")
	refuses(t, verify(ses, s, post(func(r *Request) { r.Header.Set("Authorization", "Basic dGVsbHRhbGU6d3Jvbmc=") }), sampleTime), telltale.Forbidden, "paste its URL anew")
	refuses(t, verify(ses, s, post(func(r *Request) { r.Header.Set(snsTopicHeader, "arn:aws:sns:eu-west-1:210987654321:mail-events") }), sampleTime), telltale.Forbidden, "does not list")
	refuses(t, verify(ses, sourceOf(ses, map[string]string{credentialTopics: sesSampleTopic}), post(func(*Request) {}), sampleTime), telltale.Forbidden, "not signed")
	// The password is no signature: an envelope needs its own.
	envelope := post(func(r *Request) { r.Body = snsMessage(snsNotify(`{"eventType":"Send"}`)) })
	envelope.Header.Del(snsIDHeader)
	refuses(t, verify(ses, s, envelope, sampleTime), telltale.Forbidden, "SigningCertURL")
}

// The messages and the certificate are of the AWS SDK for Ruby,
// gems/aws-sdk-sns/spec/message_verifier_spec.rb: SNS made them.
func TestSNSsOwnSignatures(t *testing.T) {
	const (
		url         = "https://sns.us-east-2.amazonaws.com/SimpleNotificationService-7ff5318490ec183fbaddaa2a969abfda.pem"
		certificate = `-----BEGIN CERTIFICATE-----
MIIF1zCCBL+gAwIBAgIQB9pYWG3Mi7xej22g9pobJTANBgkqhkiG9w0BAQsFADBG
MQswCQYDVQQGEwJVUzEPMA0GA1UEChMGQW1hem9uMRUwEwYDVQQLEwxTZXJ2ZXIg
Q0EgMUIxDzANBgNVBAMTBkFtYXpvbjAeFw0yMTA5MDcwMDAwMDBaFw0yMjA4MTcy
MzU5NTlaMBwxGjAYBgNVBAMTEXNucy5hbWF6b25hd3MuY29tMIIBIjANBgkqhkiG
9w0BAQEFAAOCAQ8AMIIBCgKCAQEAutFqueT3XgP13udzxE6UpbdjOtVO5DwoMpSM
iDNMnGzF1TYH5/R2LPUOBeTB0SkKnR4kpNcUZhicpGD4aKciz/GEZ6wu65xncfT9
H/KBOQwoXYTuClHwp6fYpGzcGFaFoEYMnijL/o4qmTSd+ukglQUgKpsDw4ofw6rU
m2CttJo+GQSNQ9NfGR1h/0J+zsApkeSYrXRx5wNlu87z8os1C/6PBrUHwt3xXeaf
Xzfwut8aRRYsS8BySOA9DAgLfNHlfdQCjKPXKrG/ussgReyWD6n/HH+j7Uha3xos
TzQqJifcxlTq6MxWdPR6fDaJNvqw6DOE7UjUNxHguXHlVfxhlQIDAQABo4IC6TCC
AuUwHwYDVR0jBBgwFoAUWaRmBlKge5WSPKOUByeWdFv5PdAwHQYDVR0OBBYEFAqz
C+vyouneE7mWWLbi9i0UsWUbMBwGA1UdEQQVMBOCEXNucy5hbWF6b25hd3MuY29t
MA4GA1UdDwEB/wQEAwIFoDAdBgNVHSUEFjAUBggrBgEFBQcDAQYIKwYBBQUHAwIw
OwYDVR0fBDQwMjAwoC6gLIYqaHR0cDovL2NybC5zY2ExYi5hbWF6b250cnVzdC5j
b20vc2NhMWIuY3JsMBMGA1UdIAQMMAowCAYGZ4EMAQIBMHUGCCsGAQUFBwEBBGkw
ZzAtBggrBgEFBQcwAYYhaHR0cDovL29jc3Auc2NhMWIuYW1hem9udHJ1c3QuY29t
MDYGCCsGAQUFBzAChipodHRwOi8vY3J0LnNjYTFiLmFtYXpvbnRydXN0LmNvbS9z
Y2ExYi5jcnQwDAYDVR0TAQH/BAIwADCCAX0GCisGAQQB1nkCBAIEggFtBIIBaQFn
AHYAKXm+8J45OSHwVnOfY6V35b5XfZxgCvj5TV0mXCVdx4QAAAF7vfDVkQAABAMA
RzBFAiEA2XfHuy36aqRFiaL8c3md2mH451go8707+fRE0pEdSRACIE/g5FXTUXUZ
PFcmOhm9TZ+uMY1i4CIQ/CKVWln6C3t+AHYAUaOw9f0BeZxWbbg3eI8MpHrMGyfL
956IQpoN/tSLBeUAAAF7vfDVjAAABAMARzBFAiBF1MhhFP0+FQt3daDFfMYoWwnr
muTInrjNpwfzlvQBugIhAPYadFzr+LaxSJoiZEbEHBvTts7bT0M3eCQONA2O7w6n
AHUAQcjKsd8iRkoQxqE6CUKHXk4xixsD6+tLx2jwkGKWBvYAAAF7vfDVdAAABAMA
RjBEAiAtPapmFAuA71ih4NoSd5hJelzAltNQpxDMcDfDyHyU8gIgWxmaa6+2KbBu
9xdv379zvnJACFR7jc+4asl08Dn4aagwDQYJKoZIhvcNAQELBQADggEBAA54QX0u
oFWXfMmv02CGZv4NWo5TapyeeixQ2kKpZHRdVZjxZrw+hoF6HD7P3kGjH8ztyJll
tDxB0qgMltbPhQdScwhA6iTgoaBYqEUC/VHKd4PmmPT6yIsM36NBZVmkGlzl5uNo
/dBgBaG0SsVJnhr5zro3c2quC7n6fVGEZhf/UgQwRnnvThnvbNKguglDMq4uEqv8
njKyleht+glkcmXO0m9qLKt6BOS0amy6U2GlAwRn0Wx02ndJtnRCSC6kPuRWK/SQ
FEjB7gCK4hdKaAOuWdZpI55vF6ifOeM8toC3g7ofO8qLTnJupAG+ZitY5J3cvHWr
HqOUdKigPDHYLRo=
-----END CERTIFICATE-----
`
	)
	for _, c := range []struct{ version, id, topic, at, signature string }{
		{
			"1", "792cda85-518f-5dd3-9163-81d851212f3a", "arn:aws:sns:us-east-2:295079676684:publish-and-verify-892f85fe-4836-424d-8188-ab85bef0f362", "2022-07-28T21:23:58.317Z",
			"ghtf+deOBAzHJJZ6s6CdRLfTQAlcGzq9naoFM1wi0CJiq//uVRuZnamrkWNF0fhouMFvuLVRwcz8PZLUMSfnmd5VpdTKpTyiKmy1qJAZXma0w+yi7G+I33hD1Jyk1Nbym2n0kqp3fVu2aoooiN2ZeLAT2bH0/BtjLSfN1yAOKNoprco4qV9gGUZinXJdj9a1YdNhDR2jKi33ldlsVtEXAtiaDklGEk7DgRKX38GerBPiLg3FdtgY6KC7cdeGpU/dGK+4hjc83Ive1HoFkAwqhpgInM2sMytBosoiXfCmOKmU4xeGD0gHDNZTlJUJQDlzw8Eag0H9f/5zXF9d3uy0YQ==",
		},
		{
			"2", "17dea24b-55c2-540b-8362-f916557af765", "arn:aws:sns:us-east-2:295079676684:publish-and-verify-62674b1d-4295-426b-88e7-5fb75652a04e", "2022-07-28T21:24:08.324Z",
			"CXVqp9PfZAL+4JHS3Zxo1PFbQsvnOjvmYhtIf17TWpwc+iIVas8kZ8GopuzVzVMdatE7rCl/O4P91Zp05Dwz8lk8dLhfp8gSu3Njlzxlyrmzo9x3va3Jb7zFnedgS2GKnZWHGBdwTXho+TosNUE+3e10OMSlwN5XGDwX7+R3WL+rn+AXmFAqp3alg27sYa55h1dLE9cGszGPjScPdtF3BmZsUDMx9wSdNKsCk+vSvE8yBjnCmUl7laSFj3LzPVrlSwgNYCF3kYnNAkah7NplK4SFhJYLwS0HCVCQJKa8rVbQLf9cBTu60U402mrgy0bN8xWoyimzbYbrOMJjalqkUg==",
		},
	} {
		r := &Request{Header: http.Header{}, Body: fmt.Appendf(nil, `{
  "Type" : "Notification",
  "MessageId" : "%s",
  "TopicArn" : "%s",
  "Message" : "Hello world",
  "Timestamp" : "%s",
  "SignatureVersion" : "%s",
  "Signature" : "%s",
  "SigningCertURL" : "%s",
  "UnsubscribeURL" : "https://sns.us-east-2.amazonaws.com/?Action=Unsubscribe"
}`, c.id, c.topic, c.at, c.version, c.signature, url)}
		certificates := newCertificates(func(_ context.Context, from string) ([]byte, error) {
			if from != url {
				return nil, fmt.Errorf("nothing is at %s", from)
			}
			return []byte(certificate), nil
		})
		call := &Call{Request: r, Source: sourceOf(ses, map[string]string{credentialTopics: c.topic}), Now: moment(t, c.at), Certificate: certificates.get}
		if err := ses.Verify(t.Context(), call); err != nil {
			t.Errorf("version %s: %v", c.version, err)
		}
		call.Now = moment(t, "2022-08-18T00:00:00Z")
		r.Body = []byte(strings.ReplaceAll(string(r.Body), c.at, "2022-08-18T00:00:00Z"))
		refuses(t, ses.Verify(t.Context(), call), telltale.Forbidden, "not valid at this time")
	}
}

func TestSESTopicsAreChecked(t *testing.T) {
	for list, good := range map[string]bool{
		sesSampleTopic:                                         true,
		"\n" + sesSampleTopic + "\r\n":                         true,
		sesSampleTopic + ", " + sesSampleTopic + "2":           true,
		"arn:aws-cn:sns:cn-north-1:123456789012:a.fifo":        true,
		"arn:aws-us-gov:sns:us-gov-west-1:123456789012:events": true,
		" ": false,
		"arn:aws:sqs:eu-west-1:123456789012:mail-events": false,
		"arn:aws:sns:eu-west-1:123456789012:*":           false,
		sesSampleTopic + ":0123":                         false,
		strings.Repeat(sesSampleTopic+"\n", maxTopics+1): false,
	} {
		if said := checkTopics(list); (said == "") != good {
			t.Errorf("%q: %q", telltale.CutValue(list), said)
		}
	}
}

// The whole way of a subscription: it is confirmed, a message comes twice, and
// what a topic of somebody else's sends is refused.
func TestSESFromSubscriptionToEvent(t *testing.T) {
	w := newWorld(t)
	signer := newSNSSigner(t)
	now := time.Now().UTC()
	signer.certificate = newAuthority(t).issueFor(t, signer.key.Public(), now.Add(-time.Hour), now.Add(time.Hour))
	w.handler.certificates = newCertificates(func(context.Context, string) ([]byte, error) { return signer.certificate, nil })
	s, _ := w.source(ses)

	const confirm = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f"
	message := map[string]string{"Type": snsConfirm, "MessageId": "c1", "TopicArn": sesSampleTopic, "Message": "You have chosen to subscribe.", "Timestamp": now.Format(time.RFC3339), "Token": "2336412f", "SubscribeURL": confirm}
	if response, said := w.post(s, signer.post(t, "2", message), nil); response.StatusCode != http.StatusOK || len(w.fetched) != 1 || w.fetched[0] != confirm {
		t.Fatalf("a confirmation got %d, %v, after which %q was fetched", response.StatusCode, said, w.fetched)
	}

	notification := snsNotify(`{"eventType":"Delivery",` + sesMail + `,"delivery":{"timestamp":"` + now.Format(time.RFC3339) + `","recipients":["steve@example.com","eve@example.com"]}}`)
	notification["Timestamp"] = now.Format(time.RFC3339)
	for i, want := range []answer{{Accepted: 2}, {Duplicates: 2}} {
		if response, said := w.post(s, signer.post(t, "2", notification), nil); response.StatusCode != http.StatusOK || said != want {
			t.Errorf("message %d got %d, %v", i+1, response.StatusCode, said)
		}
	}
	notification["TopicArn"] = "arn:aws:sns:eu-west-1:210987654321:mail-events"
	if response, _ := w.post(s, signer.post(t, "2", notification), nil); response.StatusCode != http.StatusForbidden || response.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("a message from another topic got %d", response.StatusCode)
	}
	if n := len(w.events()); n != 2 {
		t.Errorf("there are %d events", n)
	}
}
