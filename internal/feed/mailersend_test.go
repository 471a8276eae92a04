package feed

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"telltale.example/telltale"
)

// MailerSend escapes each slash, which changes nothing but the bytes.
func TestMailerSendsEventsBecomeOurs(t *testing.T) {
	const (
		data = `"id":"6aa59d304ab3f14ef03ccf50","domain_id":"yv69oxl5kl785kw2","message_id":"6aa59d2fbf35297925087058","email_id":"6aa59d3037403a10c4d4d18e","subject":"Test","recipient":"steve@example.com","tags":["tag1"]`
		rest = " key=6aa59d304ab3f14ef03ccf50 to=steve@example.com id=6aa59d2fbf35297925087058 at=2026-09-12T18:42:56Z"
	)
	for name, c := range map[string]struct{ event, data, want string }{
		"what was handed on was sent":           {"activity.sent", data + `,"type":"sent","meta":[]`, "sent" + rest},
		"what the server took was delivered":    {"activity.delivered", data + `,"type":"delivered","meta":[]`, "delivered" + rest},
		"a hard bounce is hard":                 {"activity.hard_bounced", data + `,"meta":{"bounce_reason":"Host or domain name not found","bounce_code":550,"bounce_type":"hard"}`, "bounced hard 550 reason=Host or domain name not found" + rest},
		"a soft bounce is soft":                 {"activity.soft_bounced", data + `,"meta":{"bounce_reason":"Mailbox full","bounce_code":452,"bounce_type":"soft"}`, "bounced soft 452 reason=Mailbox full" + rest},
		"a code may be text":                    {"activity.soft_bounced", data + `,"meta":{"bounce_reason":"Mailbox full","bounce_code":"452"}`, "bounced soft 452 reason=Mailbox full" + rest},
		"a code may stand in the reason":        {"activity.hard_bounced", data + `,"meta":{"bounce_reason":"550 5.1.1 user unknown"}`, "bounced hard 550 reason=5.1.1 user unknown" + rest},
		"a status is no code":                   {"activity.hard_bounced", data + `,"meta":{"bounce_reason":"user unknown","bounce_code":"5.1.1"}`, "bounced hard reason=user unknown" + rest},
		"a bounce may say nothing":              {"activity.hard_bounced", data + `,"meta":[]`, "bounced hard" + rest},
		"a deferral means nothing":              {"activity.deferred", data + `,"meta":[]`, "nothing"},
		"what was suppressed failed":            {"activity.suppressed", data + `,"meta":{"suppression_reason":"on_hold"}`, "failed reason=on_hold" + rest},
		"an open says by what":                  {"activity.opened", data + `,"meta":{"ip":"203.0.113.7","country":"US","user_agent":"Mozilla\/5.0 (via ggpht.com GoogleImageProxy)","device_type":"webmail"}`, "opened" + rest + " agent=Mozilla/5.0 (via ggpht.com GoogleImageProxy) ip=203.0.113.7"},
		"a first open is one":                   {"activity.opened_unique", data + `,"meta":[]`, "opened" + rest},
		"a click has its link":                  {"activity.clicked", data + `,"meta":{"ip":"203.0.113.7","user_agent":"Mozilla\/5.0","url":"https:\/\/example.com\/?a=1&b=2"}`, "clicked" + rest + " url=https://example.com/?a=1&b=2 agent=Mozilla/5.0 ip=203.0.113.7"},
		"a first click is one":                  {"activity.clicked_unique", data + `,"meta":{"url":"https:\/\/example.com"}`, "clicked" + rest + " url=https://example.com"},
		"an unsubscription is one":              {"activity.unsubscribed", data + `,"meta":{"unsubscribe_reason":"NO_LONGER_WANT"}`, "unsubscribed" + rest},
		"a spam report is a complaint":          {"activity.spam_complaint", data + `,"type":"spam_complaints","meta":[]`, "complained" + rest},
		"spam reports are complaints":           {"activity.spam_complaints", data, "complained" + rest},
		"a survey that opens means nothing":     {"activity.survey_opened", data, "nothing"},
		"a survey that is sent means nothing":   {"activity.survey_submitted", data, "nothing"},
		"an identity means nothing":             {"sender_identity.verified", `"id":"x"`, "nothing"},
		"maintenance means nothing":             {"maintenance.start", "", "nothing"},
		"the end of maintenance means nothing":  {"maintenance.end", "", "nothing"},
		"an inbound route means nothing":        {"inbound_forward.failed", "", "nothing"},
		"an inbound message means nothing":      {"inbound.message", "", "nothing"},
		"a refused inbound one means nothing":   {"inbound_message.rejected", "", "nothing"},
		"a verified address means nothing":      {"email_single.verified", "", "nothing"},
		"a verified list means nothing":         {"email_list.verified", "", "nothing"},
		"a bulk email means nothing":            {"bulk_email.completed", "", "nothing"},
		"a recipient on hold means nothing":     {"recipient.on_hold_added", "", "nothing"},
		"an event of later days is kept":        {"activity.forwarded", data, `error: There is no event "activity.forwarded" in the provider's documents as we know them.`},
		"the name may be within alone":          {"", data + `,"type":"sent"`, "sent" + rest},
		"an event without a name is kept":       {"", data, "error: The event has no name."},
		"the recipient is email in documents":   {"activity.sent", `"id":"1","email":"steve@example.com"`, "sent key=1 to=steve@example.com at=2026-09-12T18:42:56Z"},
		"a recipient may be missing":            {"activity.sent", `"id":"1"`, "sent key=1 at=2026-09-12T18:42:56Z"},
		"ids may be numbers beyond 2^53":        {"activity.sent", `"id":12345678901234567891,"message_id":98765432109876543211`, "sent key=12345678901234567891 id=98765432109876543211 at=2026-09-12T18:42:56Z"},
		"what is of another kind is left out":   {"activity.sent", `"id":{},"tags":7,"meta":"none","recipient":["a"]`, "sent at=2026-09-12T18:42:56Z"},
		"a message of the first version":        {"activity.sent", firstVersion("sent", "null"), "sent" + firstVersionRest},
		"a delivery of the first version":       {"activity.delivered", firstVersion("delivered", "null"), "delivered" + firstVersionRest},
		"a hard bounce of the first version":    {"activity.hard_bounced", firstVersion("hard_bounced", `{"object":"recipient_bounce","reason":"Host or domain name not found"}`), "bounced hard reason=Host or domain name not found" + firstVersionRest},
		"a soft bounce of the first version":    {"activity.soft_bounced", firstVersion("soft_bounced", `{"object":"recipient_bounce","reason":"452 4.2.2 full"}`), "bounced soft 452 reason=4.2.2 full" + firstVersionRest},
		"an open of the first version":          {"activity.opened", firstVersion("opened", `{"object":"open","id":"x","created_at":"2023-02-27T21:17:57.018000Z","ip":"203.0.113.7"}`), "opened" + firstVersionRest + " ip=203.0.113.7"},
		"a first open of the first version":     {"activity.opened_unique", firstVersion("opened", "null"), "opened" + firstVersionRest},
		"a click of the first version":          {"activity.clicked", firstVersion("clicked", `{"object":"click","ip":"203.0.113.7","url":"https:\/\/example.com\/test"}`), "clicked" + firstVersionRest + " url=https://example.com/test ip=203.0.113.7"},
		"a first click of the first version":    {"activity.clicked_unique", firstVersion("clicked", `{"object":"click","url":"https:\/\/example.com"}`), "clicked" + firstVersionRest + " url=https://example.com"},
		"a leave of the first version":          {"activity.unsubscribed", firstVersion("unsubscribed", `{"object":"recipient_unsubscribe","reason":"option_3","readable_reason":"I get too many emails"}`), "unsubscribed" + firstVersionRest},
		"a complaint of the first version":      {"activity.spam_complaint", firstVersion("spam_complaint", `{"object":"spam_complaint","reason":null}`), "complained" + firstVersionRest},
		"the first version without a recipient": {"activity.sent", `"id":"1","email":{"message":{"id":"m"}}`, "sent key=1 id=m at=2026-09-12T18:42:56Z"},
	} {
		t.Run(name, func(t *testing.T) {
			body := fmt.Sprintf(`{"type":"%s","created_at":"2026-09-12T18:42:56.000000Z","data":{%s}}`, c.event, c.data)
			if got := toldBatch(mailersend.Parse(jsonRequest([]byte(body)), nil)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
	ping := `{"type":"webhook.test","message":"This is a ping test message","created_at":"2026-03-27T07:24:20.577080Z"}`
	if got := toldBatch(mailersend.Parse(jsonRequest([]byte(ping)), nil)); got != "nothing" {
		t.Errorf("the ping became %s", got)
	}
	for _, body := range []string{"", "[]", `{"type":`} {
		if b, err := mailersend.Parse(jsonRequest([]byte(body)), nil); err == nil {
			t.Errorf("%q became %s", body, toldBatch(b, err))
		}
	}
}

// firstVersion writes the data of an event as MailerSend's first version does;
// its time is the activity's own.
func firstVersion(kind, morph string) string {
	return fmt.Sprintf(`"object":"activity","id":"63fd1c1d31b9c750540fe85c","type":"%s","created_at":"2023-02-27T21:09:49.506000Z","email":{"object":"email","id":"63fd1c1de225707fa905f0a8",`+
		`"created_at":"2023-02-27T21:09:49.141000Z","from":"hello@acme.example.com","subject":"Test","status":"sent","tags":["user_id:123","Tag 2"],`+
		`"message":{"object":"message","id":"63fd1c1d5f010335ed07066b","created_at":"2023-02-27T21:09:49.061000Z"},`+
		`"recipient":{"object":"recipient","id":"63f3bb1965d98aa98c07d6b7","email":"steve@example.com","created_at":"2023-02-20T18:25:29.162000Z"}},"morph":%s,"template_id":""`, kind, morph)
}

const firstVersionRest = " key=63fd1c1d31b9c750540fe85c to=steve@example.com id=63fd1c1d5f010335ed07066b at=2023-02-27T21:09:49.506Z"

func TestMailerSendsMetadataIsInTags(t *testing.T) {
	for name, c := range map[string]struct{ data, want string }{
		"name and value":              {`"tags":["user_id:123","campaign_id:987","campaign_name:Welcome"]`, "user_id=123 campaign_id=987 campaign_name=Welcome"},
		"a tag names the campaign":    {`"tags":["welcome","more"],"subject":"Hello"`, "campaign_name=welcome subject=Hello"},
		"none":                        {`"tags":null`, ""},
		"those of the first version":  {firstVersion("sent", "null"), "user_id=123 campaign_name=Tag 2 subject=Test"},
		"no tags at all, and no text": {`"tags":[]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := mailersend.Parse(jsonRequest([]byte(`{"type":"activity.sent","data":{`+c.data+`}}`)), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := toldMetadata(&b.Parts[0].Events[0]); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// The signature of the ping is from Symfony's bridge, MailerSend's documents have none:
// symfony/mailer-send-mailer, Tests/Webhook/MailerSendRequestParserTest.php.
// The others come of `openssl dgst -sha256 -hmac SECRET`.
func TestMailerSendsSignatureIsOfTheBody(t *testing.T) {
	const (
		secret     = "2rtgQ2XbVjZ1u0mLw8NqYkPs"
		body       = `{"type":"activity.sent","data":{"id":"1"}}`
		right      = "f393058452995b08be4e1f6c055f666f1826f1ee07ab5c7f783d0621ce833286"
		byThePing  = "b4d3679a38567b4f98a9498feabedb348b34b8dd8bbac5e3398661b87f4c03cc" // of body, with the published secret
		ping       = `{"type":"webhook.test","message":"This is a ping test message","created_at":"2026-04-08T12:19:27.608339Z"}`
		pingSigned = "7fb29be5b1cdb588ee67fa43a0a9d1b394cbb9603a0ac0b87924649d715194c2"
		mismatch   = "The signature does not match: is the signing secret from the same webhook?"
	)
	for name, c := range map[string]struct{ header, signature, secret, body, want string }{
		"as documented":                      {"Signature", right, secret, body, ""},
		"in capitals":                        {"Signature", strings.ToUpper(right), secret, body, ""},
		"another secret":                     {"Signature", right, secret + "x", body, mismatch},
		"another body":                       {"Signature", right, secret, body + " ", mismatch},
		"cut short":                          {"Signature", right[:40], secret, body, mismatch},
		"an odd number of digits":            {"Signature", right[:41], secret, body, mismatch},
		"not hexadecimal":                    {"Signature", strings.Repeat("z", 64), secret, body, mismatch},
		"not even letters":                   {"Signature", "\xff\xfe", secret, body, mismatch},
		"none":                               {"Signature", "", secret, body, "The request is not signed by MailerSend: its header Signature is missing."},
		"in a header of another name":        {"X-Mailersend-Signature", right, secret, body, "The request is not signed by MailerSend: its header Signature is missing."},
		"no secret yet":                      {"Signature", right, "", body, "The source has no signing secret yet: copy it from the webhook's page in MailerSend."},
		"the ping before there is a secret":  {"Signature", pingSigned, "", ping, ""},
		"the ping later":                     {"Signature", pingSigned, secret, ping, ""},
		"the ping with another text":         {"Signature", pingSigned, secret, ping + " ", mismatch},
		"an event under the ping's secret":   {"Signature", byThePing, secret, body, mismatch},
		"an event under it, before a secret": {"Signature", byThePing, "", body, "The source has no signing secret yet: copy it from the webhook's page in MailerSend."},
	} {
		t.Run(name, func(t *testing.T) {
			s := telltale.NewSource("prj_x", "mailersend", "Test")
			s.Credentials = map[string]string{"signing_secret": c.secret}
			r := &Request{Method: http.MethodPost, Header: http.Header{}, Body: []byte(c.body)}
			r.Header.Set(c.header, c.signature)
			refused(t, verify(mailersend, &s, r, sampleTime), c.want)
		})
	}
}
