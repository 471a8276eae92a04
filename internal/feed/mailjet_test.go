package feed

import (
	"strings"
	"testing"
)

func TestMailjetsEventsBecomeOurs(t *testing.T) {
	const (
		common = `"time":1433333949,"MessageID":12345678901234567,"email":"api@mailjet.com","mj_campaign_id":7257,"mj_contact_id":4,"customcampaign":"","CustomID":"helloworld","Payload":""`
		client = `"ip":"203.0.113.7","geo":"US","agent":"Mozilla/5.0 (Windows NT 5.1; rv:11.0)"`
		said   = " to=api@mailjet.com key=K at=2015-06-03T12:19:09Z provider=12345678901234567"
	)
	for _, c := range []struct {
		name, body string
		want       []string
	}{
		{"what was sent was delivered", `{"event":"sent","mj_message_id":"12345678901234567","smtp_reply":"sent (250 2.0.0 OK 1433333948 fa5si855896wjc.199 - gsmtp)",` + common + `}`, []string{"delivered" + said}},
		{"an open is one, with its client", `{"event":"open",` + client + `,` + common + `}`, []string{"opened" + said + " agent=Mozilla/5.0 (Windows NT 5.1; rv:11.0) ip=203.0.113.7"}},
		{
			"a click has its link", `{"event":"click","url":"https://mailjet.com/?a=1&b=2",` + client + `,` + common + `}`,
			[]string{"clicked" + said + " agent=Mozilla/5.0 (Windows NT 5.1; rv:11.0) url=https://mailjet.com/?a=1&b=2 ip=203.0.113.7"},
		},
		{
			"a hard bounce is one", `{"event":"bounce","blocked":true,"hard_bounce":true,"error_related_to":"recipient","error":"user unknown",` + common + `}`,
			[]string{`bounced bounce=hard reason="recipient: user unknown"` + said},
		},
		{
			"a bounce with the server's words has its code", `{"event":"bounce","hard_bounce":true,"error_related_to":"recipient","error":"user unknown","comment":"550 5.1.1 No such user",` + common + `}`,
			[]string{`bounced bounce=hard code=550 reason="5.1.1 No such user"` + said},
		},
		{
			"another bounce is soft", `{"event":"bounce","blocked":false,"hard_bounce":false,"error_related_to":"recipient","error":"quota exceeded",` + common + `}`,
			[]string{`bounced bounce=soft reason="recipient: quota exceeded"` + said},
		},
		{"a bounce that does not say is soft", `{"event":"bounce",` + common + `}`, []string{"bounced bounce=soft" + said}},
		{"a hard bounce may say so as a number", `{"event":"bounce","hard_bounce":1,` + common + `}`, []string{"bounced bounce=hard" + said}},
		{"greylisting means nothing", `{"event":"bounce","hard_bounce":false,"error_related_to":"domain","error":"greylisted",` + common + `}`, nil},
		{
			"greylisting that Mailjet gave up on is a hard bounce", `{"event":"bounce","hard_bounce":true,"error_related_to":"domain","error":"greylisted",` + common + `}`,
			[]string{`bounced bounce=hard reason="domain: greylisted"` + said},
		},
		{
			"a blocked message failed", `{"event":"blocked","error_related_to":"mailjet","error":"preblocked",` + common + `}`,
			[]string{`failed reason="mailjet: preblocked"` + said},
		},
		{"a blocked message may say only one of the two", `{"event":"blocked","error_related_to":"","error":"duplicate in campaign",` + common + `}`, []string{`failed reason="duplicate in campaign"` + said}},
		{"spam is a complaint", `{"event":"spam","source":"JMRPP",` + common + `}`, []string{"complained" + said}},
		{"an unsubscription is one", `{"event":"unsub","mj_list_id":1,` + client + `,` + common + `}`, []string{"unsubscribed" + said + " ip=203.0.113.7"}},
		{
			"a payload of JSON is metadata, and the campaign a tag",
			`{"event":"open","time":1433333949,"MessageID":12345678901234567,"email":"api@mailjet.com","customcampaign":"welcome","Payload":"{\"user_id\":\"123\",\"campaign_id\":9007199254740993}"}`,
			[]string{`opened` + said + ` tags=welcome meta={"user_id":"123","campaign_id":9007199254740993}`},
		},
		{
			"a payload of another kind is none", `{"event":"open","time":1433333949,"MessageID":12345678901234567,"email":"api@mailjet.com","Payload":"user 123"}`,
			[]string{"opened" + said},
		},
		{
			"a payload that is broken is none", `{"event":"open","time":1433333949,"MessageID":12345678901234567,"email":"api@mailjet.com","Payload":"{\"user_id\":"}`,
			[]string{"opened" + said},
		},
		{
			"an older event has its id as a string", `{"event":"sent","time":1424873938,"email":"api@mailjet.com","mj_message_id":"18858825588804172"}`,
			[]string{"delivered to=api@mailjet.com key=K at=2015-02-25T14:18:58Z provider=18858825588804172"},
		},
		{"a new event is not understood", `{"event":"teleport",` + common + `}`, []string{`error: There is no event "teleport" in the provider's documents as we know them.`}},
		{"an event without name is not understood", `{` + common + `}`, []string{"error: The event has no name."}},
		{"an event without ids has the key of its text", `{"event":"open"}`, []string{"opened"}},
		{
			"several stand side by side, and one that is not understood takes none with it",
			`[{"event":"open",` + common + `},{"event":"teleport",` + common + `},7,{"event":"spam",` + common + `}]`,
			[]string{"opened" + said, `error: There is no event "teleport" in the provider's documents as we know them.`, "error: " + notAnObject(t, "7"), "complained" + said},
		},
	} {
		t.Run(c.name, func(t *testing.T) { meansButKeys(t, mailjet, c.body, c.want...) })
	}
	staysAlone(t, mailjet, `[{"event":"open"},{"event":"teleport"},{},7]`, 3)
}

// notAnObject is what is said of a part that is no object.
func notAnObject(t *testing.T, raw string) string {
	t.Helper()
	_, err := parseObject(raw)
	if err == nil {
		t.Fatalf("%s is an object", raw)
	}
	return err.Error()
}

func TestMailjetTellsThingsOnce(t *testing.T) {
	const click = `{"event":"click","time":1433334653,"MessageID":19421777836302490,"email":"api@mailjet.com","url":"https://mailjet.com","ip":"203.0.113.7"}`
	for _, c := range []struct {
		name, a, b string
		same       bool
	}{
		{"a click alone and in a group", click, "[" + click + "]", true},
		{"a click again, written otherwise", click, strings.Replace(click, `,"ip":"203.0.113.7"`, "", 1), true},
		{"clicks on two links", click, strings.Replace(click, "https://mailjet.com", "https://mailjet.com/a", 1), false},
		{"a later click", click, strings.Replace(click, "1433334653", "1433334654", 1), false},
		{"a click of another recipient", click, strings.Replace(click, "api@", "ipa@", 1), false},
		{"a click on a message whose id a float cannot tell", click, strings.Replace(click, "19421777836302490", "19421777836302491", 1), false},
		{"an open at once", click, strings.Replace(click, "click", "open", 1), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := keysOf(t, mailjet, c.a), keysOf(t, mailjet, c.b)
			if len(a) != 1 || len(b) != 1 || (a[0] == b[0]) != c.same {
				t.Errorf("the keys are %v and %v; want the same: %t", a, b, c.same)
			}
		})
	}
}
