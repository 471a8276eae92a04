package feed

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"telltale.example/telltale"
)

func TestMailtrapsEventsBecomeOurs(t *testing.T) {
	const (
		event = `"timestamp":1716070000,"sending_stream":"transactional","category":"welcome","custom_variables":{"user_id":"123"},` +
			`"message_id":"a8b1d8f6-1f8d-4a3c-9b2e-1a2b3c4d5e6f","email":"steve@example.com","event_id":"f1e2d3c4-b5a6-7890-1234-567890abcdef"`
		rest = " key=f1e2d3c4-b5a6-7890-1234-567890abcdef to=steve@example.com id=a8b1d8f6-1f8d-4a3c-9b2e-1a2b3c4d5e6f at=2024-05-18T22:06:40Z"
	)
	for name, c := range map[string]struct{ event, rest, want string }{
		"what the server took was delivered":  {"delivery", event, "delivered" + rest},
		"a bounce is hard":                    {"bounce", event + `,"response":"bounced (550 5.1.1 The email account that you tried to reach does not exist. a67bc12345def.22 - gsmtp)","response_code":550,"bounce_category":"badmailbox"`, "bounced hard 550 reason=5.1.1 The email account that you tried to reach does not exist. a67bc12345def.22 - gsmtp" + rest},
		"a soft bounce is soft":               {"soft bounce", event + `,"response":"soft bounce (450 4.2.0 Temporarily unavailable. - gsmtp)","response_code":450,"bounce_category":"unavailable"`, "bounced soft 450 reason=4.2.0 Temporarily unavailable. - gsmtp" + rest},
		"a response may be bare":              {"bounce", event + `,"response":"smtp; 554 5.7.1 rejected"`, "bounced hard 554 reason=5.7.1 rejected" + rest},
		"the code may stand alone":            {"bounce", event + `,"response_code":550,"bounce_category":"badmailbox"`, "bounced hard 550 reason=badmailbox" + rest},
		"a code that is none is left out":     {"bounce", event + `,"response":"User Unknown","response_code":"5.5.1"`, "bounced hard reason=User Unknown" + rest},
		"a response keeps its own brackets":   {"bounce", event + `,"response":"550 no (really)"`, "bounced hard 550 reason=no (really)" + rest},
		"a rejection failed":                  {"reject", event + `,"reason":"recipient is on the suppression list"`, "failed reason=recipient is on the suppression list" + rest},
		"a suspension failed":                 {"suspension", event + `,"reason":"unverified domain"`, "failed reason=unverified domain" + rest},
		"a spam report is a complaint":        {"spam", event, "complained" + rest},
		"an unsubscription is one":            {"unsubscribe", event + `,"ip":"203.0.113.7","user_agent":"Mozilla/5.0"`, "unsubscribed" + rest + " ip=203.0.113.7"},
		"an open says by what":                {"open", event + `,"ip":"203.0.113.7","user_agent":"Mozilla/5.0 (via ggpht.com GoogleImageProxy)"`, "opened" + rest + " agent=Mozilla/5.0 (via ggpht.com GoogleImageProxy) ip=203.0.113.7"},
		"a click has its link":                {"click", event + `,"ip":"203.0.113.7","user_agent":"Mozilla/5.0","url":"https://example.com/?a=1&b=2"`, "clicked" + rest + " url=https://example.com/?a=1&b=2 agent=Mozilla/5.0 ip=203.0.113.7"},
		"what people did means nothing":       {"activity_log.user.updated", `"timestamp":1735830138`, "nothing"},
		"a received message means nothing":    {"inbound.message_received", `"timestamp":1735830138000`, "nothing"},
		"an event of later days is kept":      {"resurrection", event, `error: There is no event "resurrection" in the provider's documents as we know them.`},
		"an event without a name is kept":     {"", event, "error: The event has no name."},
		"a recipient may be missing":          {"delivery", `"event_id":"x"`, "delivered key=x"},
		"an event without an id has no key":   {"delivery", `"email":"steve@example.com"`, "delivered to=steve@example.com"},
		"an id may be a number beyond 2^53":   {"delivery", `"message_id":12345678901234567891`, "delivered id=12345678901234567891"},
		"a time may have a fraction":          {"delivery", `"timestamp":1716070000.25`, "delivered at=2024-05-18T22:06:40.25Z"},
		"a time may be in thousandths":        {"delivery", `"timestamp":1716070000250`, "delivered at=2024-05-18T22:06:40.25Z"},
		"a time that is none is left out":     {"delivery", `"timestamp":"soon"`, "delivered"},
		"what is of another kind is left out": {"delivery", `"email":["a"],"message_id":{},"custom_variables":7,"category":null`, "delivered"},
	} {
		t.Run(name, func(t *testing.T) {
			one := fmt.Sprintf(`{"event":"%s",%s}`, c.event, c.rest)
			for _, body := range []string{`{"events":[` + one + `]}`, one, one + "\n", "{\n" + one[1:]} {
				if got := toldBatch(mailtrap.Parse(jsonRequest([]byte(body)), nil)); got != c.want {
					t.Errorf("got  %s\nwant %s\nfor  %s", got, c.want, body)
				}
			}
		})
	}
}

func TestMailtrapsFinalBouncesOnly(t *testing.T) {
	s := telltale.NewSource("prj_x", "mailtrap", "Test")
	s.Options = []string{mailtrapFinal}
	if err := Validate(&s); err != nil {
		t.Fatal(err)
	}
	body := `{"events":[{"event":"soft bounce"},{"event":"suspension"},{"event":"bounce"},{"event":"reject"},{"event":"delivery"}]}`
	if got, want := toldBatch(mailtrap.Parse(jsonRequest([]byte(body)), &s)), "nothing\nnothing\nbounced hard\nfailed\ndelivered"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestMailtrapsMetadataIsInVariablesAndCategory(t *testing.T) {
	for name, c := range map[string]struct{ event, want string }{
		"variables are metadata":            {`"custom_variables":{"user_id":12345678901234567891,"campaign_id":"987","other":true}`, "user_id=12345678901234567891 campaign_id=987"},
		"the category names the campaign":   {`"category":"welcome"`, "campaign_name=welcome"},
		"a variable stands over a category": {`"category":"welcome","custom_variables":{"campaign_name":"Welcome"}`, "campaign_name=Welcome"},
		"a category may be of the words":    {`"category":"campaign_id:987"`, "campaign_id=987"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := mailtrap.Parse(jsonRequest([]byte(`{"event":"delivery",`+c.event+`}`)), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := toldMetadata(&b.Parts[0].Events[0]); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestABadEventOfMailtrapsCostsTheOthersNothing(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"in an array": {
			`{"events":[{"event":"delivery","event_id":"1"},{"event":"later"},17,{"event":"open","event_id":"2"}]}`,
			"delivered key=1\nerror: There is no event \"later\" in the provider's documents as we know them.\nerror: The input is not valid. object: The value is a number.\nopened key=2",
		},
		"on lines": {
			"{\"event\":\"delivery\",\"event_id\":\"1\"}\r\n\n{\"event\":\"later\"}\nplain\n{\"event\":\"open\",\"event_id\":\"2\"}",
			"delivered key=1\nerror: There is no event \"later\" in the provider's documents as we know them.\nerror: The input cannot be parsed. object: Invalid character 'p' at start of value, at byte 0.\nopened key=2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := jsonRequest([]byte(c.body))
			b, err := mailtrap.Parse(r, nil)
			if got := toldBatch(b, err); got != c.want {
				t.Fatalf("got\n%s\nwant\n%s", got, c.want)
			}
			for _, p := range b.Parts {
				body := []byte(p.Raw)
				if b.Alone != nil {
					body = b.Alone(p.Raw)
				}
				again, err := mailtrap.Parse(jsonRequest(body), nil)
				if err != nil || len(again.Parts) != 1 || fmt.Sprint(again.Parts[0].Err) != fmt.Sprint(p.Err) || len(again.Parts[0].Events) != len(p.Events) {
					t.Errorf("alone %s became %s", body, toldBatch(again, err))
				}
			}
		})
	}
}

func TestWhatIsNoBatchOfMailtrapsIsNotUnderstood(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"nothing":           {"", "The request is empty."},
		"blank lines":       {" \n\n", "The request is empty."},
		"events in words":   {`{"events":"none"}`, ""},
		"too many lines":    {strings.Repeat("{}\n", telltale.MaxFeedEvents+1), "The request has more than 10000 lines."},
		"too many events":   {`{"events":[` + strings.Repeat("{},", telltale.MaxFeedEvents) + `{}]}`, ""},
		"an unfinished one": {`{"events":[`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := mailtrap.Parse(jsonRequest([]byte(c.body)), nil)
			switch {
			case err == nil && (len(b.Parts) != 1 || b.Parts[0].Err == nil):
				t.Errorf("it became %s", toldBatch(b, err))
			case c.want != "" && (err == nil || err.Error() != c.want):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if got := toldBatch(mailtrap.Parse(jsonRequest([]byte(`{"events":[]}`)), nil)); got != "" {
		t.Errorf("no events became %s", got)
	}
}

// The vector that Mailtrap's own libraries share:
// https://github.com/mailtrap/mailtrap-nodejs/blob/main/src/__tests__/lib/webhooks/verify-signature.test.ts
func TestMailtrapsSignatureIsOfTheBody(t *testing.T) {
	const (
		secret = "8d9a3c0e7f5b2d4a6c1e9f8b3a7d5c2e"
		right  = "6d262e2611cd09be1f948382b5c611d63b0e585c4c9c5e40139d6ac3876d5433"
		body   = `{"event":"delivery","sending_stream":"transactional","category":"welcome","message_id":"a8b1d8f6-1f8d-4a3c-9b2e-1a2b3c4d5e6f",` +
			`"email":"recipient@example.com","event_id":"f1e2d3c4-b5a6-7890-1234-567890abcdef","timestamp":1716070000}`
		mismatch = "The signature does not match: is the signing secret from the same webhook?"
	)
	for name, c := range map[string]struct{ header, signature, secret, body, want string }{
		"as documented":        {"Mailtrap-Signature", right, secret, body, ""},
		"as it was seen":       {"X-Mt-Signature", right, secret, body, ""},
		"in capitals":          {"Mailtrap-Signature", strings.ToUpper(right), secret, body, ""},
		"another secret":       {"Mailtrap-Signature", right, "ffffffffffffffffffffffffffffffff", body, mismatch},
		"another body":         {"Mailtrap-Signature", right, secret, strings.Replace(body, "delivery", "Delivery", 1), mismatch},
		"no body":              {"Mailtrap-Signature", right, secret, "", mismatch},
		"cut short":            {"Mailtrap-Signature", right[:31], secret, body, mismatch},
		"half of it":           {"Mailtrap-Signature", right[:32], secret, body, mismatch},
		"not hexadecimal":      {"Mailtrap-Signature", strings.Repeat("z", 64), secret, body, mismatch},
		"another one's":        {"Mailtrap-Signature", strings.Repeat("0", 64), secret, body, mismatch},
		"none":                 {"Mailtrap-Signature", "", secret, body, "The request is not signed by Mailtrap: its header Mailtrap-Signature is missing."},
		"in a header of sorts": {"Signature", right, secret, body, "The request is not signed by Mailtrap: its header Mailtrap-Signature is missing."},
		"no secret yet":        {"Mailtrap-Signature", right, "", body, "The source has no signing secret yet: copy it from the webhook's page in Mailtrap."},
	} {
		t.Run(name, func(t *testing.T) {
			s := telltale.NewSource("prj_x", "mailtrap", "Test")
			s.Credentials = map[string]string{"signing_secret": c.secret}
			r := &Request{Method: http.MethodPost, Header: http.Header{}, Body: []byte(c.body)}
			r.Header.Set(c.header, c.signature)
			refused(t, verify(mailtrap, &s, r, sampleTime), c.want)
		})
	}
}

func TestSigningSecretsAreChecked(t *testing.T) {
	for value, good := range map[string]bool{
		"8d9a3c0e7f5b2d4a6c1e9f8b3a7d5c2e":   true,
		"8d9a3c0e7f5b2d4a6c1e9f8b3a7d5c2e\n": false,
		"short":                              false,
		strings.Repeat("x", 201):             false,
	} {
		if message := checkSigningSecret(value); (message == "") != good {
			t.Errorf("%q got %q", value, message)
		}
	}
}
