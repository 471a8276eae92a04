package feed

import (
	"strings"
	"testing"
)

func TestPostmarksRecordsBecomeOurs(t *testing.T) {
	const (
		id      = `"MessageID":"883953f4-6105-42a2-a16a-77a8eac79483","MessageStream":"outbound","ServerID":23`
		record  = `"Recipient":"john@example.com",` + id
		bounce  = `"RecordType":"Bounce","ID":4323372036854775807,"Email":"john@example.com","From":"sender@example.com","BouncedAt":"2019-11-05T16:33:54.9070259Z","Subject":"Test subject",` + id
		change  = `"RecordType":"SubscriptionChange","ChangedAt":"2020-02-01T10:53:34.416071Z","Origin":"Recipient",` + record
		agent   = `"UserAgent":"Mozilla/5.0 (Macintosh)","Geo":{"CountryISOCode":"RS","Country":"Serbia","City":"Novi Sad","Coords":"45.2517,19.8369","IP":"188.2.95.4"}`
		said    = " provider=883953f4-6105-42a2-a16a-77a8eac79483"
		bounced = " at=2019-11-05T16:33:54.9070259Z" + said + " subject=Test subject"
	)
	for _, c := range []struct {
		name, body string
		want       []string
	}{
		{
			"a delivery was delivered, with its tag and metadata",
			`{"RecordType":"Delivery",` + record + `,"DeliveredAt":"2019-11-05T16:33:54.9070259Z","Details":"Test delivery webhook details","Tag":"welcome","Metadata":{"user_id":"123","campaign_id":"9007199254740993"}}`,
			[]string{`delivered to=john@example.com key=K at=2019-11-05T16:33:54.9070259Z` + said + ` tags=welcome meta={"user_id":"123","campaign_id":"9007199254740993"}`},
		},
		{
			"a time may be written with an offset",
			`{"RecordType":"Delivery",` + record + `,"DeliveredAt":"2014-08-01T13:28:10.2735393-04:00"}`,
			[]string{`delivered to=john@example.com key=K at=2014-08-01T17:28:10.2735393Z` + said},
		},
		{
			"a hard bounce is one",
			`{` + bounce + `,"Type":"HardBounce","TypeCode":1,"Description":"The server was unable to deliver your message.","Details":"smtp;550 5.1.1 User unknown"}`,
			[]string{`bounced bounce=hard code=550 reason="5.1.1 User unknown" to=john@example.com key=K` + bounced},
		},
		{
			"a bounce without details has its description",
			`{` + bounce + `,"Type":"HardBounce","Description":"The server was unable to deliver your message.","Details":""}`,
			[]string{`bounced bounce=hard reason="The server was unable to deliver your message." to=john@example.com key=K` + bounced},
		},
		{
			"a soft bounce is one",
			`{` + bounce + `,"Type":"SoftBounce","TypeCode":4096,"Details":"smtp;452 4.2.2 The email account is over quota"}`,
			[]string{`bounced bounce=soft code=452 reason="4.2.2 The email account is over quota" to=john@example.com key=K` + bounced},
		},
		{
			"a message taken for a virus is a soft bounce",
			`{` + bounce + `,"Type":"VirusNotification","Details":"smtp;554 Virus found"}`,
			[]string{`bounced bounce=soft code=554 reason="Virus found" to=john@example.com key=K` + bounced},
		},
		{
			"an unknown bounce is soft",
			`{` + bounce + `,"Type":"Unknown","Details":"action: failed"}`,
			[]string{`bounced bounce=soft reason="action: failed" to=john@example.com key=K` + bounced},
		},
		{"a transient bounce means nothing", `{` + bounce + `,"Type":"Transient","Details":"smtp;451 4.7.1 Greylisted"}`, nil},
		{"a bounce for want of DNS means nothing", `{` + bounce + `,"Type":"DnsError"}`, nil},
		{
			"a bad address failed",
			`{` + bounce + `,"Type":"BadEmailAddress","Description":"The address is not a valid email address."}`,
			[]string{`failed reason="The address is not a valid email address." to=john@example.com key=K` + bounced},
		},
		{
			"a blocked message failed",
			`{` + bounce + `,"Type":"Blocked","Details":"smtp;550 5.7.1 Blocked"}`,
			[]string{`failed code=550 reason="5.7.1 Blocked" to=john@example.com key=K` + bounced},
		},
		{"one to an address that was deactivated failed", `{` + bounce + `,"Type":"ManuallyDeactivated"}`, []string{"failed to=john@example.com key=K" + bounced}},
		{"one to an unconfirmed address failed", `{` + bounce + `,"Type":"Unconfirmed"}`, []string{"failed to=john@example.com key=K" + bounced}},
		{"one against a DMARC policy failed", `{` + bounce + `,"Type":"DMARCPolicy"}`, []string{"failed to=john@example.com key=K" + bounced}},
		{"one that the SMTP API could not send failed", `{` + bounce + `,"Type":"SMTPApiError"}`, []string{"failed to=john@example.com key=K" + bounced}},
		{"one whose template could not be rendered failed", `{` + bounce + `,"Type":"TemplateRenderingFailed"}`, []string{"failed to=john@example.com key=K" + bounced}},
		{"a spam notification is a complaint", `{` + bounce + `,"Type":"SpamNotification"}`, []string{"complained to=john@example.com key=K" + bounced}},
		{"a spam complaint among the bounces is one", `{` + bounce + `,"Type":"SpamComplaint"}`, []string{"complained to=john@example.com key=K" + bounced}},
		{"who answers unsubscribe, unsubscribed", `{` + bounce + `,"Type":"Unsubscribe"}`, []string{"unsubscribed to=john@example.com key=K" + bounced}},
		{"who answers subscribe, means nothing", `{` + bounce + `,"Type":"Subscribe"}`, nil},
		{"an automatic answer means nothing", `{` + bounce + `,"Type":"AutoResponder"}`, nil},
		{"a new address means nothing", `{` + bounce + `,"Type":"AddressChange"}`, nil},
		{"a challenge means nothing", `{` + bounce + `,"Type":"ChallengeVerification"}`, nil},
		{"a test for an open relay means nothing", `{` + bounce + `,"Type":"OpenRelayTest"}`, nil},
		{"an error of mail that came in means nothing", `{` + bounce + `,"Type":"InboundError"}`, nil},
		{
			"a bounce of a new type is not understood", `{` + bounce + `,"Type":"Teleported"}`,
			[]string{`error: There is no event "Bounce, Type Teleported" in the provider's documents as we know them.`},
		},
		{
			"a spam complaint is one",
			`{"RecordType":"SpamComplaint","ID":42,"Type":"SpamComplaint","TypeCode":100001,"Email":"john@example.com","BouncedAt":"2019-11-05T16:33:54.9070259Z","Subject":"Test subject",` + id + `}`,
			[]string{"complained to=john@example.com key=K" + bounced},
		},
		{
			"an open is one, with its client and place",
			`{"RecordType":"Open","FirstOpen":true,"ReadSeconds":5,"ReceivedAt":"2019-11-05T16:33:54.9070259Z",` + record + `,` + agent + `}`,
			[]string{"opened to=john@example.com key=K at=2019-11-05T16:33:54.9070259Z" + said + " agent=Mozilla/5.0 (Macintosh) ip=188.2.95.4"},
		},
		{
			"a later open is one, too",
			`{"RecordType":"Open","FirstOpen":false,"ReceivedAt":"2019-11-05T16:33:55Z",` + record + `}`,
			[]string{"opened to=john@example.com key=K at=2019-11-05T16:33:55Z" + said},
		},
		{
			"a click has the link as it was sent",
			`{"RecordType":"Click","ClickLocation":"HTML","ReceivedAt":"2017-10-25T15:21:11.9065619Z","OriginalLink":"https://example.com/?a=1&b=2",` + record + `,` + agent + `}`,
			[]string{"clicked to=john@example.com key=K at=2017-10-25T15:21:11.9065619Z" + said + " agent=Mozilla/5.0 (Macintosh) url=https://example.com/?a=1&b=2 ip=188.2.95.4"},
		},
		{
			"who is suppressed by hand, unsubscribed",
			`{` + change + `,"SuppressSending":true,"SuppressionReason":"ManualSuppression"}`,
			[]string{"unsubscribed to=john@example.com key=K at=2020-02-01T10:53:34.416071Z" + said},
		},
		{
			"who is suppressed by the customer, unsubscribed without message",
			`{"RecordType":"SubscriptionChange","MessageID":null,"ChangedAt":"2020-02-01T10:53:34.416071Z","Origin":"Customer","Recipient":"john@example.com","SuppressSending":true,"SuppressionReason":"ManualSuppression","Tag":null,"Metadata":{}}`,
			[]string{"unsubscribed to=john@example.com key=K at=2020-02-01T10:53:34.416071Z"},
		},
		{
			"who is reactivated, resubscribed",
			`{"RecordType":"SubscriptionChange","MessageID":null,"ChangedAt":"2020-02-01T10:53:34.416071Z","Origin":"Customer","Recipient":"john@example.com","SuppressSending":false,"SuppressionReason":null,"Tag":null,"Metadata":{}}`,
			[]string{"resubscribed to=john@example.com key=K at=2020-02-01T10:53:34.416071Z"},
		},
		{
			"a suppression for a hard bounce is that bounce",
			`{` + change + `,"SuppressSending":true,"SuppressionReason":"HardBounce"}`,
			[]string{"bounced bounce=hard to=john@example.com key=K at=2020-02-01T10:53:34.416071Z" + said},
		},
		{
			"a suppression for a complaint is that complaint",
			`{` + change + `,"SuppressSending":true,"SuppressionReason":"SpamComplaint"}`,
			[]string{"complained to=john@example.com key=K at=2020-02-01T10:53:34.416071Z" + said},
		},
		{
			"a suppression for a new reason is not understood", `{` + change + `,"SuppressSending":true,"SuppressionReason":"Boredom"}`,
			[]string{`error: There is no event "SubscriptionChange, SuppressionReason Boredom" in the provider's documents as we know them.`},
		},
		{
			"a change of nothing is not understood", `{` + change + `}`,
			[]string{"error: The SubscriptionChange does not say in SuppressSending what changed."},
		},
		{
			"a new record is not understood", `{"RecordType":"Inbound",` + record + `}`,
			[]string{`error: There is no event "Inbound" in the provider's documents as we know them.`},
		},
		{"a record without name is not understood", `{` + record + `}`, []string{"error: The event has no name."}},
		{
			"an event without recipient is told without one",
			`{"RecordType":"Open","MessageID":"m","ReceivedAt":"2019-11-05T16:33:54Z"}`,
			[]string{"opened key=K at=2019-11-05T16:33:54Z provider=m"},
		},
		{
			"an event without ids and time has the key of its text", `{"RecordType":"Open","Recipient":"john@example.com"}`,
			[]string{"opened to=john@example.com"},
		},
		{
			"what has another kind than it should is left out",
			`{"RecordType":"Open","MessageID":{"a":1},"Recipient":["john@example.com"],"ReceivedAt":1572971634,"Metadata":"user_id","Geo":null,"Tag":{}}`,
			[]string{"opened key=K"},
		},
	} {
		t.Run(c.name, func(t *testing.T) { meansButKeys(t, postmark, c.body, c.want...) })
	}
}

// meansButKeys is means where keys are hashes, which have tests of their own.
func meansButKeys(t *testing.T, p *Provider, body string, want ...string) {
	t.Helper()
	s := sourceOf(p, nil)
	b, err := p.Parse(jsonRequest([]byte(body)), s)
	if err != nil {
		t.Fatalf("the request was not understood: %v", err)
	}
	for _, part := range b.Parts {
		for i := range part.Events {
			if key := part.Events[i].Key; len(key) == 32 {
				part.Events[i].Key = "K"
			}
		}
	}
	if got := strings.Join(tellAll(b), "\n"); got != strings.Join(want, "\n") {
		t.Errorf("it is\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// keysOf gives the keys that the events of a request are remembered by.
func keysOf(t *testing.T, p *Provider, body string) (keys []string) {
	t.Helper()
	b, err := p.Parse(jsonRequest([]byte(body)), sourceOf(p, nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range b.Parts {
		for i := range part.Events {
			keys = append(keys, part.Events[i].key(p, part.Raw, i))
		}
	}
	return keys
}

func TestPostmarkTellsThingsOnce(t *testing.T) {
	const (
		id       = `"MessageID":"883953f4-6105-42a2-a16a-77a8eac79483"`
		hard     = `{"RecordType":"Bounce","Type":"HardBounce","ID":42,"Email":"john@example.com","BouncedAt":"2019-11-05T16:33:54Z",` + id + `}`
		spam     = `{"RecordType":"SpamComplaint","Type":"SpamComplaint","ID":43,"Email":"john@example.com","BouncedAt":"2019-11-05T16:33:54Z",` + id + `}`
		open     = `{"RecordType":"Open","Recipient":"john@example.com","ReceivedAt":"2019-11-05T16:33:54Z",` + id + `}`
		click    = `{"RecordType":"Click","Recipient":"john@example.com","ReceivedAt":"2019-11-05T16:33:54Z","OriginalLink":"https://example.com/a",` + id + `}`
		delivery = `{"RecordType":"Delivery","Recipient":"john@example.com","DeliveredAt":"2019-11-05T16:33:54Z",` + id + `}`
		change   = `{"RecordType":"SubscriptionChange","Recipient":"John@example.com","ChangedAt":"2019-11-05T16:34:00Z","SuppressSending":true,"SuppressionReason":`
		soft     = `{"RecordType":"Bounce","Type":"SoftBounce","ID":44,"Email":"john@example.com",` + id + `}`
		testHard = `{"RecordType":"Bounce","Type":"HardBounce","ID":42,"Email":"john@example.com"}`
	)
	for _, c := range []struct {
		name, a, b string
		same       bool
	}{
		{"a hard bounce and the suppression for it", hard, change + `"HardBounce",` + id + `}`, true},
		{"a complaint and the suppression for it", spam, change + `"SpamComplaint",` + id + `}`, true},
		{"a hard bounce and a complaint", hard, spam, false},
		{"a hard bounce of another recipient", hard, strings.Replace(hard, "john", "jane", 1), false},
		{"a hard bounce of another message", hard, strings.Replace(hard, "883953f4", "883953f5", 1), false},
		{"a hard bounce without message, twice", testHard, strings.Replace(testHard, "}", `,"Subject":"x"}`, 1), true},
		{"two hard bounces without message", testHard, strings.Replace(testHard, "42", "43", 1), false},
		{"a soft bounce again, written otherwise", soft, strings.Replace(soft, ",", ", ", 1), true},
		{"two soft bounces", soft, strings.Replace(soft, "44", "45", 1), false},
		{"a delivery again", delivery, strings.Replace(delivery, ":54Z", ":55Z", 1), true},
		{"an open again", open, strings.Replace(open, "}", `,"FirstOpen":true}`, 1), true},
		{"two opens", open, strings.Replace(open, ":54Z", ":55Z", 1), false},
		{"an open and a click at once", open, click, false},
		{"clicks on two links at once", click, strings.Replace(click, "/a", "/b", 1), false},
		{"an unsubscription and the next", change + `"ManualSuppression"}`, strings.Replace(change, ":00Z", ":01Z", 1) + `"ManualSuppression"}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := keysOf(t, postmark, c.a), keysOf(t, postmark, c.b)
			if len(a) != 1 || len(b) != 1 || (a[0] == b[0]) != c.same {
				t.Errorf("the keys are %v and %v; want the same: %t", a, b, c.same)
			}
		})
	}
}

func TestPostmarkSendsOneRecordAtATime(t *testing.T) {
	for _, body := range []string{"", "[]", `[{"RecordType":"Open"}]`, "null", "{", `{"RecordType":"Open"}x`} {
		if _, err := postmark.Parse(jsonRequest([]byte(body)), sourceOf(postmark, nil)); err == nil {
			t.Errorf("%q was understood", body)
		}
	}
}
