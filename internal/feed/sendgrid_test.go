package feed

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale"
)

func TestSendGridsEventsBecomeOurs(t *testing.T) {
	const (
		event = `"email":"steve@example.com","timestamp":1513299569,"smtp-id":"<14c5d75ce93.dfd.64b469@ismtpd-555>","category":["cat facts"],"sg_event_id":"sg_event_id_1","sg_message_id":"14c5d75ce93.filter0001.16648.5515E0B88.000000000"`
		rest  = " key=sg_event_id_1 to=steve@example.com id=14c5d75ce93 message-id=<14c5d75ce93.dfd.64b469@ismtpd-555> at=2017-12-15T00:59:29Z"
		agent = `,"useragent":"Mozilla/4.0 (compatible; MSIE 6.1; Windows XP)","ip":"255.255.255.255"`
	)
	for name, c := range map[string]struct{ event, rest, want string }{
		"what was processed was sent":              {"processed", event, "sent" + rest},
		"what the server took was delivered":       {"delivered", event + `,"response":"250 OK"`, "delivered" + rest},
		"a bounce for good is hard":                {"bounce", event + `,"type":"bounce","status":"5.1.1","reason":"550 5.1.1 The email account that you tried to reach does not exist."`, "bounced hard 550 reason=5.1.1 The email account that you tried to reach does not exist." + rest},
		"a bounce for now is soft":                 {"bounce", event + `,"type":"bounce","status":"4.2.2","reason":"452 4.2.2 The mailbox is full."`, "bounced soft 452 reason=4.2.2 The mailbox is full." + rest},
		"without a status, the reply says which":   {"bounce", event + `,"type":"bounce","reason":"550 no such user"`, "bounced hard 550 reason=no such user" + rest},
		"without either it is soft":                {"bounce", event + `,"type":"bounce","reason":"it came back"`, "bounced soft reason=it came back" + rest},
		"a status alone is the reason":             {"bounce", event + `,"type":"bounce","status":"5.0.0"`, "bounced hard reason=5.0.0" + rest},
		"what was blocked is soft whatever it got": {"bounce", event + `,"type":"blocked","status":"5.7.1","reason":"550 5.7.1 blocked by a list"`, "bounced soft 550 reason=5.7.1 blocked by a list" + rest},
		"what was dropped failed":                  {"dropped", event + `,"reason":"Bounced Address","status":"5.0.0"`, "failed reason=Bounced Address" + rest},
		"what is deferred means nothing":           {"deferred", event + `,"response":"400 try again later","attempt":"5"`, "nothing"},
		"an open says by what":                     {"open", event + agent, "opened" + rest + " agent=Mozilla/4.0 (compatible; MSIE 6.1; Windows XP) ip=255.255.255.255"},
		"an open may be a machine's":               {"open", event + agent + `,"sg_machine_open":true`, "opened" + rest + " agent=Mozilla/4.0 (compatible; MSIE 6.1; Windows XP) ip=255.255.255.255 machine=true"},
		"an open may be a person's":                {"open", event + `,"sg_machine_open":false`, "opened" + rest + " machine=false"},
		"a click has its link":                     {"click", event + agent + `,"url":"https://example.com/?a=1&b=2","url_offset":{"index":0,"type":"html"}`, "clicked" + rest + " url=https://example.com/?a=1&b=2 agent=Mozilla/4.0 (compatible; MSIE 6.1; Windows XP) ip=255.255.255.255"},
		"a spam report is a complaint":             {"spamreport", event, "complained" + rest},
		"an unsubscription is one":                 {"unsubscribe", event, "unsubscribed" + rest},
		"one from a group is one":                  {"group_unsubscribe", event + `,"asm_group_id":10`, "unsubscribed" + rest},
		"one back to a group is a resubscription":  {"group_resubscribe", event + `,"asm_group_id":10`, "resubscribed" + rest},
		"an event of later days is kept":           {"resurrection", event, `error: There is no event "resurrection" in the provider's documents as we know them.`},
		"an event without a name is kept":          {"", event, "error: The event has no name."},
		"a recipient may be missing":               {"delivered", `"sg_event_id":"x"`, "delivered key=x"},
		"an event without an id has no key":        {"delivered", `"email":"steve@example.com"`, "delivered to=steve@example.com"},
		"ids may be numbers beyond 2^53":           {"delivered", `"sg_event_id":12345678901234567891,"sg_message_id":12345678901234567891`, "delivered key=12345678901234567891 id=12345678901234567891"},
		"what is of another kind is left out":      {"delivered", `"email":["a"],"timestamp":{},"category":null,"reason":7`, "delivered"},
	} {
		t.Run(name, func(t *testing.T) {
			body := fmt.Sprintf(`[{"event":"%s",%s}]`, c.event, c.rest)
			if got := toldBatch(sendgrid.Parse(jsonRequest([]byte(body)), nil)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestSendGridsMetadataStandsAmongTheEvent(t *testing.T) {
	for name, c := range map[string]struct{ event, want string }{
		"custom arguments are metadata":       {`"user_id":"123","campaign_id":987,"other":true`, "user_id=123 campaign_id=987"},
		"a number may be beyond 2^53":         {`"user_id":12345678901234567891`, "user_id=12345678901234567891"},
		"a category names the campaign":       {`"category":"welcome"`, "campaign_name=welcome"},
		"the first of several does":           {`"category":["welcome","2026"]`, "campaign_name=welcome"},
		"an argument stands over a category":  {`"category":["welcome"],"campaign_name":"Welcome"`, "campaign_name=Welcome"},
		"a category may be of the vocabulary": {`"category":["campaign_id:987","plain"]`, "campaign_id=987 campaign_name=plain"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := sendgrid.Parse(jsonRequest([]byte(`[{"event":"delivered",`+c.event+`}]`)), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := toldMetadata(&b.Parts[0].Events[0]); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestABadEventOfSendGridsCostsTheOthersNothing(t *testing.T) {
	b, err := sendgrid.Parse(jsonRequest([]byte(`[{"event":"delivered","sg_event_id":"1"}, {"event":"later"},17,{"event":"open","sg_event_id":"2"}]`)), nil)
	want := "delivered key=1\nerror: There is no event \"later\" in the provider's documents as we know them.\nerror: The input is not valid. object: The value is a number.\nopened key=2"
	if got := toldBatch(b, err); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
	for _, p := range b.Parts {
		again, err := sendgrid.Parse(jsonRequest(b.Alone(p.Raw)), nil)
		if err != nil || len(again.Parts) != 1 || fmt.Sprint(again.Parts[0].Err) != fmt.Sprint(p.Err) || len(again.Parts[0].Events) != len(p.Events) {
			t.Errorf("alone %s became %s", p.Raw, toldBatch(again, err))
		}
	}
}

// The vector of SendGrid's own library:
// https://github.com/sendgrid/sendgrid-go/blob/main/helpers/eventwebhook/eventwebhook_test.go
const (
	sendGridVectorKey       = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEDr2LjtURuePQzplybdC+u4CwrqDqBaWjcMMsTbhdbcwHBcepxo7yAQGhHPTnlvFYPAZFceEu/1FwCM/QmGUhA=="
	sendGridVectorSignature = "MEUCIQCtIHJeH93Y+qpYeWrySphQgpNGNr/U+UyUlBkU6n7RAwIgJTz2C+8a8xonZGi6BpSzoQsbVRamr2nlxFDWYNH2j/0="
	sendGridVectorTimestamp = "1588788367"
	sendGridVectorBody      = `{"category":"example_payload","event":"test_event","message_id":"message_id"}`
)

func TestSendGridsSignatures(t *testing.T) {
	at := unixTime(sendGridVectorTimestamp)
	other, _, err := pairSendGrid()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key, signature, timestamp, body string
		now                             time.Time
		want                            string // what the error says; empty for none
	}{
		"SendGrid's own vector is good":        {now: at},
		"a repetition a day later is good":     {now: at.Add(24 * time.Hour)},
		"after the last repetition it is not":  {now: at.Add(26 * time.Hour), want: "older than"},
		"one from the future is not":           {now: at.Add(-time.Hour), want: "from the future"},
		"another body is not":                  {now: at, body: sendGridVectorBody + " ", want: "does not match"},
		"another time is not":                  {now: at, timestamp: "1588788368", want: "does not match"},
		"a time that is none is not":           {now: at, timestamp: "soon", want: "does not match"},
		"another key is not":                   {now: at, key: other["verification_key"], want: "does not match"},
		"a key that is none is not":            {now: at, key: "MFkw", want: "cannot be read"},
		"a signature that is no base64 is not": {now: at, signature: "<>", want: "not base64"},
		"a signature cut short is not":         {now: at, signature: sendGridVectorSignature[:40], want: "does not match"},
		"no signature is not":                  {now: at, signature: " ", want: "not signed"},
	} {
		t.Run(name, func(t *testing.T) {
			or := func(value, usual string) string {
				if value == "" {
					return usual
				}
				return strings.TrimSpace(value)
			}
			s := telltale.NewSource("prj_x", "sendgrid", "Test")
			s.Credentials["verification_key"] = or(c.key, sendGridVectorKey)
			r := jsonRequest([]byte(or(c.body, sendGridVectorBody)))
			if strings.HasSuffix(c.body, " ") {
				r.Body = []byte(c.body)
			}
			r.Header = http.Header{}
			r.Header.Set(sendGridSignature, or(c.signature, sendGridVectorSignature))
			r.Header.Set(sendGridTimestamp, or(c.timestamp, sendGridVectorTimestamp))
			err := verify(sendgrid, &s, r, c.now)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("it is refused: %v", err)
			case c.want != "" && (telltale.CodeOf(err) != telltale.Unauthenticated || !strings.Contains(err.Error(), c.want)):
				t.Errorf("it got %v, want one that says %q", err, c.want)
			}
		})
	}
	if message := checkSendGridKey(sendGridVectorKey); message != "" {
		t.Error(message)
	}
	for name, key := range map[string]string{
		"no base64":       "<>",
		"no key":          "AAAA",
		"a key of RSA":    "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ==",
		"the private one": "MHcCAQEEIEQmZgBEh9DcU9zMl34czK3xov4AYvm9P3r7rNB2dNXtoAoGCCqGSM49AwEHoUQDQgAEEDr2LjtURuePQzplybdC+u4CwrqDqBaWjcMMsTbhdbcwHBcepxo7yAQGhHPTnlvFYPAZFceEu/1FwCM/QmGUhA==",
	} {
		if checkSendGridKey(key) == "" {
			t.Errorf("%s passes for a verification key", name)
		}
	}
}
