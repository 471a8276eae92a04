package feed

import (
	"net/http"
	"strings"
	"testing"
)

func TestBrevosEventsBecomeOurs(t *testing.T) {
	const (
		common = `"email":"example@domain.com","id":26224,"date":"2020-10-09 00:00:00","ts":1604933619,"message-id":"<201798300811.5787683@relay.domain.com>","ts_event":1604933654,"ts_epoch":1604933653123,"subject":"My first Transactional","sending_ip":"203.0.113.25","template_id":22,"contact_id":8`
		said   = " to=example@domain.com key=K at=2020-11-09T14:54:13.123Z message=<201798300811.5787683@relay.domain.com>"
		ends   = " subject=My first Transactional"
		client = `"user_agent":"Mozilla/5.0 (Windows NT 5.1; rv:11.0)","device_used":"DESKTOP"`
	)
	for _, c := range []struct {
		name, body string
		want       []string
	}{
		{"a request was sent", `{"event":"request",` + common + `}`, []string{"sent" + said + ends}},
		{"a delivery was delivered", `{"event":"delivered",` + common + `}`, []string{"delivered" + said + ends}},
		{
			"a hard bounce is one", `{"event":"hard_bounce","reason":"550 5.1.1 <example@domain.com> User unknown",` + common + `}`,
			[]string{`bounced bounce=hard code=550 reason="5.1.1 <example@domain.com> User unknown"` + said + ends},
		},
		{
			"a soft bounce is one", `{"event":"soft_bounce","reason":"server is down",` + common + `}`,
			[]string{`bounced bounce=soft reason="server is down"` + said + ends},
		},
		{"an invalid email is a hard bounce", `{"event":"invalid_email",` + common + `}`, []string{"bounced bounce=hard" + said + ends}},
		{"a blocked message failed", `{"event":"blocked","reason":"blocked : due to blacklist user",` + common + `}`, []string{`failed reason="blocked : due to blacklist user"` + said + ends}},
		{"an error failed", `{"event":"error","reason":"API error",` + common + `}`, []string{`failed reason="API error"` + said + ends}},
		{"a deferral means nothing", `{"event":"deferred","reason":"451 4.7.1 Greylisted",` + common + `}`, nil},
		{"an open is one, and nobody says whose", `{"event":"opened",` + client + `,` + common + `}`, []string{"opened" + said + " agent=Mozilla/5.0 (Windows NT 5.1; rv:11.0)" + ends}},
		{"a first open is one", `{"event":"unique_opened",` + client + `,` + common + `}`, []string{"opened" + said + " agent=Mozilla/5.0 (Windows NT 5.1; rv:11.0)" + ends}},
		{"an open by a proxy is a machine's", `{"event":"proxy_open",` + common + `}`, []string{"opened" + said + " machine=true" + ends}},
		{"a first open by a proxy is a machine's", `{"event":"unique_proxy_open",` + common + `}`, []string{"opened" + said + " machine=true" + ends}},
		{
			"a click has its link", `{"event":"click","link":"https://domain.com/?a=1&b=2",` + client + `,` + common + `}`,
			[]string{"clicked" + said + " agent=Mozilla/5.0 (Windows NT 5.1; rv:11.0) url=https://domain.com/?a=1&b=2" + ends},
		},
		{"spam is a complaint", `{"event":"spam",` + common + `}`, []string{"complained" + said + ends}},
		{"a complaint is one", `{"event":"complaint",` + common + `}`, []string{"complained" + said + ends}},
		{"who unsubscribed, unsubscribed", `{"event":"unsubscribed",` + common + `}`, []string{"unsubscribed" + said + ends}},
		{"who unsubscribed from a campaign, unsubscribed", `{"event":"unsubscribe",` + common + `}`, []string{"unsubscribed" + said + ends}},
		{"a contact that was listed means nothing", `{"event":"list_addition","key":"xxx","list_id":[3,42],"email":"example@domain.com"}`, nil},
		{"a contact that was changed means nothing", `{"event":"contact_updated","email":"example@domain.com","content":[{"name":"a"}]}`, nil},
		{"a contact that was deleted means nothing", `{"event":"contact_deleted","email":["a@domain.com","b@domain.com"]}`, nil},
		{
			"a time in seconds is one", `{"event":"opened","email":"example@domain.com","message-id":"1@relay","ts_epoch":1604933623}`,
			[]string{"opened to=example@domain.com key=K at=2020-11-09T14:53:43Z message=1@relay"},
		},
		{
			"without the epoch the time of the event is taken", `{"event":"opened","email":"example@domain.com","message-id":"1@relay","ts":1604933619,"ts_event":1604933654}`,
			[]string{"opened to=example@domain.com key=K at=2020-11-09T14:54:14Z message=1@relay"},
		},
		{
			"the custom header may be JSON",
			`{"event":"opened","message-id":"1@relay","ts_event":1604933654,"X-Mailin-custom":"{\"user_id\":\"123\",\"campaign_id\":9007199254740993}","tags":["welcome","variation:B"]}`,
			[]string{`opened key=K at=2020-11-09T14:54:14Z message=1@relay tags=welcome,variation:B meta={"user_id":"123","campaign_id":9007199254740993}`},
		},
		{
			"the custom header may be pairs, of which what we know is taken, once",
			`{"event":"opened","message-id":"1@relay","ts_event":1604933654,"X-Mailin-custom":"user_id:123|custom:x|permalink: https://example.com/a:b |user_id:456|campaign_name:|nothing"}`,
			[]string{`opened key=K at=2020-11-09T14:54:14Z message=1@relay meta={"user_id":"123","permalink":"https://example.com/a:b"}`},
		},
		{
			"the custom header may be anything else",
			`{"event":"opened","message-id":"1@relay","ts_event":1604933654,"X-Mailin-custom":"{some_custom_header","tag":"welcome"}`,
			[]string{`opened key=K at=2020-11-09T14:54:14Z message=1@relay tags=welcome`},
		},
		{
			"a tag may be a list in a string", `{"event":"opened","message-id":"1@relay","ts_event":1604933654,"tag":"[\"welcome\",\"user_id:123\"]"}`,
			[]string{`opened key=K at=2020-11-09T14:54:14Z message=1@relay tags=welcome,user_id:123`},
		},
		{
			"an event of a campaign says which",
			`{"id":1,"camp_id":12345678901234567,"email":"example@domain.com","campaign name":"My First Campaign","date_sent":"2020-10-09 00:00:00","event":"click","tag":"","URL":"https://domain.com","ts":1604933619,"ts_event":1604933654}`,
			[]string{"clicked to=example@domain.com at=2020-11-09T14:54:14Z url=https://domain.com tags=campaign_id:12345678901234567,campaign_name:My First Campaign"},
		},
		{"a new event is not understood", `{"event":"teleport",` + common + `}`, []string{`error: There is no event "teleport" in the provider's documents as we know them.`}},
		{"an event without name is not understood", `{` + common + `}`, []string{"error: The event has no name."}},
		{"an event without ids and time has the key of its text", `{"event":"opened","email":"example@domain.com"}`, []string{"opened to=example@domain.com"}},
		{
			"several stand side by side, and one that is not understood takes none with it",
			`[{"event":"opened",` + common + `},{"event":"teleport",` + common + `},7,{"event":"spam",` + common + `}]`,
			[]string{"opened" + said + ends, `error: There is no event "teleport" in the provider's documents as we know them.`, "error: " + notAnObject(t, "7"), "complained" + said + ends},
		},
	} {
		t.Run(c.name, func(t *testing.T) { meansButKeys(t, brevo, c.body, c.want...) })
	}
	staysAlone(t, brevo, `[{"event":"opened"},{"event":"teleport"},{},7]`, 3)
}

func TestBrevoTellsThingsOnce(t *testing.T) {
	const (
		open  = `{"event":"opened","email":"example@domain.com","message-id":"<1@relay>","ts_epoch":1604933653123}`
		click = `{"event":"click","email":"example@domain.com","message-id":"<1@relay>","ts_epoch":1604933653123,"link":"https://domain.com"}`
	)
	proxy := strings.Replace(open, "opened", "proxy_open", 1)
	for _, c := range []struct {
		name, a, b string
		same       bool
	}{
		{"an open and the same as the first", open, strings.Replace(open, "opened", "unique_opened", 1), true},
		{"an open by a proxy and the same as the first", proxy, strings.Replace(proxy, "proxy", "unique_proxy", 1), true},
		{"an open and one by a proxy", open, proxy, false},
		{"an open alone and in a batch", open, "[" + open + "]", true},
		{"an open again, written otherwise", open, strings.Replace(open, `{"event"`, `{"id":7,"event"`, 1), true},
		{"an open a second later", open, strings.Replace(open, "653123", "654123", 1), false},
		{"an open of another recipient", open, strings.Replace(open, "example@", "sample@", 1), false},
		{"an open of another message", open, strings.Replace(open, "<1@", "<2@", 1), false},
		{"a click at once", open, click, false},
		{"clicks on two links", click, strings.Replace(click, "https://domain.com", "https://domain.com/a", 1), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := keysOf(t, brevo, c.a), keysOf(t, brevo, c.b)
			if len(a) != 1 || len(b) != 1 || (a[0] == b[0]) != c.same {
				t.Errorf("the keys are %v and %v; want the same: %t", a, b, c.same)
			}
		})
	}
}

func TestBrevoComesBackOnlyAfter429(t *testing.T) {
	if brevo.Overloaded != http.StatusTooManyRequests {
		t.Errorf("when overloaded it is answered %d", brevo.Overloaded)
	}
}
