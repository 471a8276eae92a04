package feed

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale"
)

// told writes what an event says on a line, without what is unknown.
func told(e *Event) string {
	line := []string{string(e.Type)}
	add := func(name, value string) {
		if value != "" {
			line = append(line, name+"="+value)
		}
	}
	if e.Bounce != "" {
		line = append(line, string(e.Bounce))
	}
	if e.Code != 0 {
		line = append(line, fmt.Sprint(e.Code))
	}
	add("reason", e.Reason)
	add("key", e.Key)
	add("to", e.Recipient)
	add("id", e.ProviderMessageID)
	add("message-id", e.MessageID)
	if !e.OccurredAt.IsZero() {
		add("at", e.OccurredAt.Format(time.RFC3339Nano))
	}
	add("url", e.URL)
	add("agent", e.UserAgent)
	add("ip", e.IP)
	if e.Machine != nil {
		add("machine", fmt.Sprint(*e.Machine))
	}
	return strings.Join(line, " ")
}

// toldBatch writes a batch, a line for each event, or what was not understood.
func toldBatch(b *Batch, err error) string {
	if err != nil {
		return "all: " + err.Error()
	}
	var lines []string
	for _, p := range b.Parts {
		if p.Err != nil {
			lines = append(lines, "error: "+p.Err.Error())
			continue
		}
		if len(p.Events) == 0 {
			lines = append(lines, "nothing")
		}
		for i := range p.Events {
			lines = append(lines, told(&p.Events[i]))
		}
	}
	return strings.Join(lines, "\n")
}

func TestResendsEventsBecomeOurs(t *testing.T) {
	const (
		data = `"created_at":"2026-11-22T23:41:11.894719+00:00","email_id":"56761188-7520-42d8-8898-ff6fc54ce618","from":"Acme <onboarding@resend.dev>","to":["steve@example.com"],"subject":"Sending this example"`
		rest = " key=msg_2W2D3qXLS5fOaPja1GDg7rF2CwB to=steve@example.com id=56761188-7520-42d8-8898-ff6fc54ce618 at=2026-11-22T23:41:12.126Z"
	)
	for name, c := range map[string]struct{ event, data, want string }{
		"what Resend took was sent":            {"email.sent", data, "sent" + rest},
		"what the server took was delivered":   {"email.delivered", data, "delivered" + rest},
		"a delay means nothing":                {"email.delivery_delayed", data, "nothing"},
		"a complaint is one":                   {"email.complained", data, "complained" + rest},
		"a permanent bounce is hard":           {"email.bounced", data + `,"bounce":{"type":"Permanent","subType":"General","message":"The recipient's email provider sent a hard bounce message.","diagnosticCode":["smtp; 550 5.5.0 Requested action not taken: mailbox unavailable"]}`, "bounced hard 550 reason=5.5.0 Requested action not taken: mailbox unavailable" + rest},
		"a bounce without diagnostic has text": {"email.bounced", data + `,"bounce":{"type":"Permanent","subType":"General","message":"The recipient's email provider sent a hard bounce message."}`, "bounced hard reason=The recipient's email provider sent a hard bounce message." + rest},
		"a transient bounce is soft":           {"email.bounced", data + `,"bounce":{"type":"Transient","subType":"MailboxFull","message":"The recipient's inbox was full.","diagnosticCode":["smtp; 452 4.2.2 over quota"]}`, "bounced soft 452 reason=4.2.2 over quota" + rest},
		"an undetermined bounce is soft":       {"email.bounced", data + `,"bounce":{"type":"Undetermined","subType":"Undetermined","message":"No reason was given."}`, "bounced soft reason=No reason was given." + rest},
		"a bounce that says nothing is hard":   {"email.bounced", data, "bounced hard" + rest},
		"a diagnostic may be one text":         {"email.bounced", data + `,"bounce":{"type":"Permanent","diagnosticCode":"smtp;554 rejected"}`, "bounced hard 554 reason=rejected" + rest},
		"a suppressed bounce failed":           {"email.bounced", data + `,"bounce":{"type":"Permanent","subType":"Suppressed","message":"Resend has suppressed sending to this address."}`, "failed reason=Resend has suppressed sending to this address." + rest},
		"a bounce on the account's list failed": {"email.bounced", data + `,"bounce":{"type":"Permanent","subType":"OnAccountSuppressionList","message":"On the list."}`,
			"failed reason=On the list." + rest},
		"a suppression without types failed":   {"email.bounced", data + `,"bounce":{"message":"Resend has suppressed sending to this address because it is on the account-level suppression list."}`, "failed reason=Resend has suppressed sending to this address because it is on the account-level suppression list." + rest},
		"what was suppressed failed":           {"email.suppressed", data + `,"suppressed":{"message":"It bounced before.","type":"OnAccountSuppressionList"}`, "failed reason=It bounced before." + rest},
		"a suppression may have a type alone":  {"email.suppressed", data + `,"suppressed":{"type":"OnAccountSuppressionList"}`, "failed reason=OnAccountSuppressionList" + rest},
		"what could not be sent failed":        {"email.failed", data + `,"failed":{"reason":"reached_daily_quota"}`, "failed reason=reached_daily_quota" + rest},
		"an open is one":                       {"email.opened", data, "opened" + rest},
		"an open may say by what":              {"email.opened", data + `,"open":{"ipAddress":"203.0.113.7","userAgent":"Mozilla/5.0"}`, "opened" + rest + " agent=Mozilla/5.0 ip=203.0.113.7"},
		"a click has its link":                 {"email.clicked", data + `,"click":{"ipAddress":"203.0.113.7","link":"https://resend.com/?a=1&b=2","timestamp":"2026-11-24T05:00:57.163Z","userAgent":"Mozilla/5.0 (iPhone)"}`, "clicked" + rest + " url=https://resend.com/?a=1&b=2 agent=Mozilla/5.0 (iPhone) ip=203.0.113.7"},
		"what is sent later means nothing":     {"email.scheduled", data, "nothing"},
		"a received message means nothing":     {"email.received", data, "nothing"},
		"a contact means nothing":              {"contact.created", `"id":"e169aa45-1ecf-4183-9955-b1499d5701d3","email":"steve@example.com"`, "nothing"},
		"a changed contact means nothing":      {"contact.updated", "", "nothing"},
		"a contact that is gone means nothing": {"contact.deleted", "", "nothing"},
		"a domain means nothing":               {"domain.created", "", "nothing"},
		"a changed domain means nothing":       {"domain.updated", "", "nothing"},
		"a domain that is gone means nothing":  {"domain.deleted", "", "nothing"},
		"an event of later days is kept":       {"email.forwarded", data, `error: There is no event "email.forwarded" in the provider's documents as we know them.`},
		"an event without a name is kept":      {"", data, "error: The event has no name."},
		"a recipient may have a name":          {"email.sent", `"to":["Steve <steve@example.com>"]`, "sent key=msg_2W2D3qXLS5fOaPja1GDg7rF2CwB to=steve@example.com at=2026-11-22T23:41:12.126Z"},
		"a recipient may be one text":          {"email.sent", `"to":"steve@example.com"`, "sent key=msg_2W2D3qXLS5fOaPja1GDg7rF2CwB to=steve@example.com at=2026-11-22T23:41:12.126Z"},
		"of several recipients none is told":   {"email.sent", `"to":["steve@example.com","anna@example.com"]`, "sent key=msg_2W2D3qXLS5fOaPja1GDg7rF2CwB at=2026-11-22T23:41:12.126Z"},
		"a recipient may be missing":           {"email.sent", `"email_id":"x"`, "sent key=msg_2W2D3qXLS5fOaPja1GDg7rF2CwB id=x at=2026-11-22T23:41:12.126Z"},
		"an id may be a number beyond 2^53":    {"email.sent", `"email_id":12345678901234567891`, "sent key=msg_2W2D3qXLS5fOaPja1GDg7rF2CwB id=12345678901234567891 at=2026-11-22T23:41:12.126Z"},
		"the Message-Id is taken where it is":  {"email.sent", `"message_id":"<1@acme.example.com>"`, "sent key=msg_2W2D3qXLS5fOaPja1GDg7rF2CwB message-id=<1@acme.example.com> at=2026-11-22T23:41:12.126Z"},
	} {
		t.Run(name, func(t *testing.T) {
			r := jsonRequest(fmt.Appendf(nil, `{"type":"%s","created_at":"2026-11-22T23:41:12.126Z","data":{%s}}`, c.event, c.data))
			r.Header.Set("Svix-Id", "msg_2W2D3qXLS5fOaPja1GDg7rF2CwB")
			if got := toldBatch(resend.Parse(r, nil)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestResendsMetadataIsInTagsOrAHeader(t *testing.T) {
	for name, c := range map[string]struct{ data, want string }{
		"tags as an object":                  {`"tags":{"user_id":"123","campaign_id":"987"}`, "user_id=123 campaign_id=987"},
		"tags as an array":                   {`"tags":[{"name":"user_id","value":"123"},{"name":"campaign_name","value":"Welcome"},{"name":"user_email"}]`, "user_id=123 campaign_name=Welcome"},
		"a category names the campaign":      {`"tags":{"category":"confirm_email"}`, "campaign_name=confirm_email"},
		"a header has what tags cannot":      {`"headers":[{"name":"Reply-To","value":"a@example.com"},{"name":"x-metadata","value":"{\"campaign_name\":\"Welcome aboard!\",\"user_id\":12345678901234567891}"}]`, "user_id=12345678901234567891 campaign_name=Welcome aboard!"},
		"the header stands over tags":        {`"tags":{"user_id":"1","campaign_id":"987"},"headers":[{"name":"X-Metadata","value":"{\"user_id\":\"2\"}"}]`, "user_id=2 campaign_id=987"},
		"a broadcast is a campaign":          {`"broadcast_id":"8b146471-e88e-4322-86af-016cd36fd216"`, "campaign_id=8b146471-e88e-4322-86af-016cd36fd216"},
		"a campaign stands over a broadcast": {`"broadcast_id":"8b146471","tags":{"campaign_id":"987"}`, "campaign_id=987"},
		"the subject is the message's":       {`"subject":"Welcome"`, "subject=Welcome"},
		"what is no metadata is none":        {`"tags":"x","headers":[{"name":"X-Metadata","value":"plain"}]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := resend.Parse(jsonRequest([]byte(`{"type":"email.sent","data":{`+c.data+`}}`)), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := toldMetadata(&b.Parts[0].Events[0]); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// toldMetadata writes what an event says in the vocabulary, in its order.
func toldMetadata(e *Event) string {
	var line []string
	for w, value := range e.metadata() {
		if value != "" {
			line = append(line, vocabulary[w]+"="+value)
		}
	}
	return strings.Join(line, " ")
}

// The vector of Svix's libraries and of Standard Webhooks, whose scheme is the same:
// https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/javascript/src/index.test.ts
func TestResendsSignatureIsSvixs(t *testing.T) {
	const (
		secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
		id     = "msg_p5jXN8AQM9LWM0D4loKWxJek"
		right  = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
		wrong  = "v1,h0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
		body   = `{"test": 2432232314}`
	)
	sent := time.Unix(1614265330, 0)
	svix := []string{"svix-id", id, "svix-timestamp", "1614265330", "svix-signature", right}
	with := func(pairs []string, signature string) []string { return append(pairs[:5:5], signature) }
	for name, c := range map[string]struct {
		header []string
		secret string
		body   string
		late   time.Duration
		want   string
	}{
		"Svix's headers":                    {header: svix},
		"Standard Webhooks' headers":        {header: []string{"webhook-id", id, "webhook-timestamp", "1614265330", "webhook-signature", right}},
		"a secret is rotated":               {header: with(svix, wrong+" "+right)},
		"another version beside":            {header: with(svix, "v1a,AAAA "+right)},
		"five minutes late":                 {header: svix, late: 5 * time.Minute},
		"five minutes early":                {header: svix, late: -5 * time.Minute},
		"six minutes late":                  {header: svix, late: 6 * time.Minute, want: "The signature is older than 5m0s: is this server's clock right?"},
		"six minutes early":                 {header: svix, late: -6 * time.Minute, want: "The signature is from the future: is this server's clock right?"},
		"another body":                      {header: svix, body: `{"test":2432232314}`, want: "The signature does not match: is the signing secret from the same webhook?"},
		"another secret":                    {header: svix, secret: "whsec_NfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", want: "The signature does not match: is the signing secret from the same webhook?"},
		"another id":                        {header: []string{"svix-id", "msg_x", "svix-timestamp", "1614265330", "svix-signature", right}, want: "The signature does not match: is the signing secret from the same webhook?"},
		"another time":                      {header: []string{"svix-id", id, "svix-timestamp", "1614265331", "svix-signature", right}, want: "The signature does not match: is the signing secret from the same webhook?"},
		"not base64":                        {header: with(svix, "v1,***"), want: "The signature does not match: is the signing secret from the same webhook?"},
		"no version":                        {header: with(svix, right[3:]), want: "The request's header svix-signature cannot be read: expected v1, and base64."},
		"a time in words":                   {header: []string{"svix-id", id, "svix-timestamp", "now", "svix-signature", right}, want: "The request's header svix-timestamp cannot be read: expected Unix seconds such as 1614265330."},
		"the id twice":                      {header: append([]string{"svix-id", "msg_x"}, svix...), want: "The request's header svix-id cannot be read: it is there 2 times."},
		"no signature":                      {header: svix[:4], want: "The request is not signed by Resend: its header svix-signature is missing."},
		"no timestamp":                      {header: []string{"svix-id", id, "svix-signature", right}, want: "The request is not signed by Resend: its header svix-timestamp is missing."},
		"no id":                             {header: svix[2:], want: "The request is not signed by Resend: its header svix-id is missing."},
		"some of each family":               {header: []string{"webhook-id", id, "svix-timestamp", "1614265330", "webhook-signature", right}, want: "is missing."},
		"nothing":                           {want: "is missing."},
		"a secret that is none":             {header: svix, secret: "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", want: "The source's signing secret cannot be read: copy it again from the webhook's page in Resend."},
		"no secret yet":                     {header: svix, secret: "-", want: "The source has no signing secret yet: copy it from the webhook's page in Resend."},
		"Standard Webhooks' without an id":  {header: []string{"webhook-timestamp", "1614265330", "webhook-signature", right}, want: "is missing."},
		"both families, and svix's is good": {header: append([]string{"webhook-id", "msg_x", "webhook-timestamp", "1", "webhook-signature", wrong}, svix...)},
	} {
		t.Run(name, func(t *testing.T) {
			s := telltale.NewSource("prj_x", "resend", "Test")
			s.Credentials = map[string]string{"signing_secret": secret}
			switch c.secret {
			case "":
			case "-":
				s.Credentials = nil
			default:
				s.Credentials["signing_secret"] = c.secret
			}
			r := &Request{Method: http.MethodPost, Header: http.Header{}, Body: []byte(body)}
			if c.body != "" {
				r.Body = []byte(c.body)
			}
			for i := 0; i < len(c.header); i += 2 {
				r.Header.Add(c.header[i], c.header[i+1])
			}
			refused(t, verify(resend, &s, r, sent.Add(c.late)), c.want)
		})
	}
}

// refused checks that a request was verified, if want is empty, or else refused
// with a sentence that ends so.
func refused(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v", err)
	case want != "" && err == nil:
		t.Errorf("verified, want %q", want)
	case want != "" && !strings.HasSuffix(err.Error(), want):
		t.Errorf("refused with %q, want %q", err, want)
	case err != nil && telltale.CodeOf(err) != telltale.Unauthenticated:
		t.Errorf("refused with the code %v", telltale.CodeOf(err))
	}
}

func TestARepetitionFromResendHasTheSameKey(t *testing.T) {
	s, requests := signed(t, resend)
	again := *requests[0]
	again.Header = again.Header.Clone()
	if err := signResend(s.Credentials)(&again, sampleTime.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if again.Header.Get("svix-signature") == requests[0].Header.Get("svix-signature") {
		t.Fatal("the repetition is not signed anew")
	}
	if err := verify(resend, s, &again, sampleTime.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	first, second := toldBatch(resend.Parse(requests[0], s)), toldBatch(resend.Parse(&again, s))
	if first != second || !strings.Contains(first, "key=msg_sample") {
		t.Errorf("the key changed: %s and %s", first, second)
	}
}

func TestResendsSecretIsChecked(t *testing.T) {
	for value, good := range map[string]bool{
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw":  true,
		"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw":        false,
		"whsec_short":                             false,
		"re_123456789":                            false,
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw ": false,
	} {
		if message := checkResendSecret(value); (message == "") != good {
			t.Errorf("%q got %q", value, message)
		}
	}
}

func TestWhatIsNoJSONFromResendIsNotUnderstood(t *testing.T) {
	for _, body := range []string{"", "[]", `{"type":"email.sent"`, "type=email.sent"} {
		if b, err := resend.Parse(jsonRequest([]byte(body)), nil); err == nil {
			t.Errorf("%q became %s", body, toldBatch(b, err))
		}
	}
}
