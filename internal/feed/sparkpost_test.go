package feed

import (
	"fmt"
	"testing"

	"telltale.example/telltale"
)

func TestSparkPostsEventsBecomeOurs(t *testing.T) {
	const (
		common = `"event_id":"92356927693813856","message_id":"000443ee14578172be22","transmission_id":"65832150921904138","timestamp":"1454442600","rcpt_to":"recipient@example.com","raw_rcpt_to":"Recipient@example.com"`
		reply  = `"error_code":"554","raw_reason":"MAIL REFUSED - IP (19.99.99.99) is in black list","reason":"MAIL REFUSED - IP (a.b.c.d) is in black list"`
		client = `"user_agent":"Mozilla/5.0 (Macintosh)","ip_address":"203.0.113.7","geo_ip":{"country":"US"}`
		rest   = ":92356927693813856 at=2016-02-02T19:50:00Z provider=000443ee14578172be22"
	)
	said := func(kind, event string) string {
		return kind + " to=Recipient@example.com key=" + event + rest
	}
	bounced := func(kind, event string) string {
		return said("bounced bounce="+kind+` code=554 reason="MAIL REFUSED - IP (19.99.99.99) is in black list"`, event)
	}
	type row struct {
		name, class, body string
		want              []string
	}
	rows := []row{
		{
			"an injection was sent, with campaign, tags and metadata", "message_event",
			`"type":"injection","campaign_id":"Example Campaign Name","rcpt_tags":["male","US"],"rcpt_meta":{"user_id":"123","order":9007199254740993},"subject":"Summer deals are here!",` + common,
			[]string{said("sent", "injection") + ` tags=Example Campaign Name,male,US subject=Summer deals are here! meta={"user_id":"123","order":9007199254740993}`},
		},
		{"a delivery was delivered", "message_event", `"type":"delivery","ip_address":"127.0.0.1",` + common, []string{said("delivered", "delivery")}},
		{"a delay means nothing", "message_event", `"type":"delay",` + common + `,` + reply, nil},
		{
			"a bounce has the code of its reply", "message_event",
			`"type":"bounce","bounce_class":"10","error_code":"550","raw_reason":"550 5.1.1 no such user","reason":"550 5.1.1 no such user",` + common,
			[]string{said(`bounced bounce=hard code=550 reason="5.1.1 no such user"`, "bounce")},
		},
		{
			"a bounce without the receiver's words has them in general", "message_event",
			`"type":"bounce","bounce_class":"22","error_code":null,"reason":"452 4.2.2 mailbox full",` + common,
			[]string{said(`bounced bounce=soft code=452 reason="4.2.2 mailbox full"`, "bounce")},
		},
		{"a bounce without class is soft", "message_event", `"type":"bounce",` + common + `,` + reply, []string{bounced("soft", "bounce")}},
		{"a bounce whose class is a number is one", "message_event", `"type":"bounce","bounce_class":10,` + common + `,` + reply, []string{bounced("hard", "bounce")}},
		{"a bounce of a new class is soft", "message_event", `"type":"bounce","bounce_class":"77",` + common + `,` + reply, []string{bounced("soft", "bounce")}},
		{
			"a rejection by policy failed", "message_event", `"type":"policy_rejection",` + common + `,` + reply,
			[]string{said(`failed code=554 reason="MAIL REFUSED - IP (19.99.99.99) is in black list"`, "policy_rejection")},
		},
		{
			"a generation failure failed; its time may be written out", "gen_event",
			`"type":"generation_failure","event_id":"1","timestamp":"2016-04-18T14:25:07.000Z","rcpt_to":"recipient@example.com","error_code":"554","raw_reason":"Error while rendering part html"`,
			[]string{`failed code=554 reason="Error while rendering part html" to=recipient@example.com key=generation_failure:1 at=2016-04-18T14:25:07Z`},
		},
		{
			"a generation rejection failed", "gen_event",
			`"type":"generation_rejection","event_id":"102360394390563734","message_id":"0005c29950577c61695d","timestamp":"1464900034","rcpt_to":"suppressed@example.com","error_code":"554","raw_reason":"554 5.7.1 recipient address suppressed due to customer policy"`,
			[]string{`failed code=554 reason="5.7.1 recipient address suppressed due to customer policy" to=suppressed@example.com key=generation_rejection:102360394390563734 at=2016-06-02T20:40:34Z provider=0005c29950577c61695d`},
		},
		{"a spam complaint is one", "message_event", `"type":"spam_complaint","fbtype":"abuse","report_to":"abuse@example.com",` + common, []string{said("complained", "spam_complaint")}},
		{
			"an open is one, with its client", "track_event", `"type":"open","is_prefetched":false,` + client + `,` + common,
			[]string{said("opened", "open") + " agent=Mozilla/5.0 (Macintosh) ip=203.0.113.7 machine=false"},
		},
		{
			"a prefetched open is a machine's", "track_event", `"type":"open","is_prefetched":true,` + client + `,` + common,
			[]string{said("opened", "open") + " agent=Mozilla/5.0 (Macintosh) ip=203.0.113.7 machine=true"},
		},
		{"an open of AMP is one", "track_event", `"type":"amp_open",` + common, []string{said("opened", "amp_open")}},
		{"an initial open means nothing", "track_event", `"type":"initial_open",` + common, nil},
		{"an initial open of AMP means nothing", "track_event", `"type":"amp_initial_open",` + common, nil},
		{
			"a click has its link", "track_event", `"type":"click","target_link_url":"https://example.com/?a=1&b=2","target_link_name":"Example",` + client + `,` + common,
			[]string{said("clicked", "click") + " agent=Mozilla/5.0 (Macintosh) url=https://example.com/?a=1&b=2 ip=203.0.113.7"},
		},
		{"a click in AMP is one", "track_event", `"type":"amp_click","target_link_url":"https://example.com/",` + common, []string{said("clicked", "amp_click") + " url=https://example.com/"}},
		{"an unsubscription by header is one", "unsubscribe_event", `"type":"list_unsubscribe","mailfrom":"recipient@example.com",` + common, []string{said("unsubscribed", "list_unsubscribe")}},
		{
			"an unsubscription by link is one", "unsubscribe_event", `"type":"link_unsubscribe","target_link_url":"https://example.com/out",` + client + `,` + common,
			[]string{said("unsubscribed", "link_unsubscribe") + " ip=203.0.113.7"},
		},
		{"the status of an SMS means nothing", "message_event", `"type":"sms_status",` + common, nil},
		{"mail that came in means nothing", "relay_event", `"type":"relay_delivery",` + common, nil},
		{"an A/B test means nothing", "ab_test_event", `"type":"ab_test_completed","event_id":"1"`, nil},
		{"an ingest event means nothing", "ingest_event", `"type":"success","event_id":"1"`, nil},
		{
			"a new event is not understood", "message_event", `"type":"teleportation",` + common,
			[]string{`error: There is no event "teleportation" in the provider's documents as we know them.`},
		},
		{"an event without type is not understood", "message_event", common, []string{"error: The event has no name."}},
		{
			"an event without recipient and id is told without", "track_event", `"type":"open","timestamp":"1454442600"`,
			[]string{"opened at=2016-02-02T19:50:00Z"},
		},
		{
			"what has another kind than it should is left out", "track_event", `"type":"open","event_id":{},"timestamp":[1],"rcpt_to":null,"rcpt_meta":"user_id","rcpt_tags":{},"campaign_id":true`,
			[]string{"opened"},
		},
	}
	for class, kind := range map[int]string{
		1: "soft", 10: "hard", 20: "soft", 21: "soft", 22: "soft", 23: "soft", 24: "soft", 25: "soft", 26: "soft", 30: "hard", 40: "soft",
		50: "soft", 51: "soft", 52: "soft", 53: "soft", 54: "soft", 60: "", 70: "soft", 80: "", 90: "unsubscribed", 100: "",
	} {
		for _, event := range []string{"bounce", "out_of_band"} {
			var want []string
			switch kind {
			case "unsubscribed":
				want = []string{said("unsubscribed", event)}
			case "hard", "soft":
				want = []string{bounced(kind, event)}
			}
			rows = append(rows, row{fmt.Sprintf("%s of class %d is %q", event, class, kind), "message_event", fmt.Sprintf(`"type":%q,"bounce_class":"%d",%s,%s`, event, class, common, reply), want})
		}
	}
	for _, c := range rows {
		t.Run(c.name, func(t *testing.T) {
			means(t, sparkpost, jsonRequest([]byte(`[{"msys":{"`+c.class+`":{`+c.body+`}}}]`)), c.want...)
		})
	}
}

func TestSparkPostsInitialOpensAreCountedIfAsked(t *testing.T) {
	s := sourceOf(sparkpost, nil)
	s.Options = []string{sparkPostInitialOpens}
	for _, event := range []string{"initial_open", "amp_initial_open"} {
		b, err := sparkpost.Parse(jsonRequest([]byte(`[{"msys":{"track_event":{"type":"`+event+`","event_id":"1","is_prefetched":true}}}]`)), s)
		if err != nil {
			t.Fatal(err)
		}
		if got := tellAll(b); len(got) != 1 || got[0] != "opened key="+event+":1 machine=true" {
			t.Errorf("%s is %q", event, got)
		}
	}
}

func TestSparkPostsBatches(t *testing.T) {
	const open = `{"msys":{"track_event":{"type":"open","event_id":"1"}}}`
	for _, c := range []struct {
		name, body string
		want       []string
	}{
		{"a ping means nothing", `[{"msys":{}}]`, nil},
		{"an empty batch means nothing", `[]`, nil},
		{"events of every class stand side by side", `[` + open + `,{"msys":{"message_event":{"type":"delivery","event_id":"2"}}}]`, []string{"opened key=open:1", "delivered key=delivery:2"}},
		{"in a test batch all have one id", `[` + open + `,{"msys":{"track_event":{"type":"click","event_id":"1"}}}]`, []string{"opened key=open:1", "clicked key=click:1"}},
		{
			"one that is not understood takes none with it", `[` + open + `,{"msys":{"track_event":{"type":"yawn","event_id":"3"}}},` + open + `]`,
			[]string{"opened key=open:1", `error: There is no event "yawn" in the provider's documents as we know them.`, "opened key=open:1"},
		},
		{"an element without msys is not understood", `[{"message_event":{"type":"open"}}]`, []string{"error: The element has no object msys."}},
		{"an msys of two is not understood", `[{"msys":{"a":{"type":"open"},"b":{"type":"open"}}}]`, []string{"error: The object msys has more than one event."}},
	} {
		t.Run(c.name, func(t *testing.T) { means(t, sparkpost, jsonRequest([]byte(c.body)), c.want...) })
	}
	for _, body := range []string{"", "{}", open, "null", "[", `[` + open} {
		if _, err := sparkpost.Parse(jsonRequest([]byte(body)), sourceOf(sparkpost, nil)); telltale.CodeOf(err) == "" || err == nil {
			t.Errorf("%q was understood", body)
		}
	}
	staysAlone(t, sparkpost, `[`+open+`,{"msys":{"track_event":{"type":"yawn","event_id":"3"}}},{"msys":7},17]`, 3)
}

// staysAlone checks that the parts of a batch which were not understood, so many,
// are not understood for the same reason when they are taken alone.
func staysAlone(t *testing.T, p *Provider, body string, want int) {
	t.Helper()
	s := sourceOf(p, nil)
	b, err := p.Parse(jsonRequest([]byte(body)), s)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, part := range b.Parts {
		if part.Err == nil {
			continue
		}
		n++
		again, err := p.Parse(jsonRequest(b.Alone(part.Raw)), s)
		if err != nil {
			t.Fatalf("%s is no request of its own: %v", part.Raw, err)
		}
		if len(again.Parts) != 1 || again.Parts[0].Err == nil || again.Parts[0].Err.Error() != part.Err.Error() || again.Parts[0].Raw != part.Raw {
			t.Errorf("alone, %s is %+v", part.Raw, again.Parts)
		}
	}
	if n != want {
		t.Errorf("%d parts were not understood, want %d", n, want)
	}
}
