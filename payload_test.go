package telltale

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"telltale.example/telltale/schema"
)

// receipt is when the activities of these tests came in.
var receipt = time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.FixedZone("UTC+1", 3600))

const receiptUnix = "1767319445"

// tokens is a JSON text as its tokens, as they are written: key order and the
// kinds and digits of numbers count, whitespace does not.
func tokens(t *testing.T, text []byte) []string {
	t.Helper()
	var list []string
	d := jsontext.NewDecoder(bytes.NewReader(text))
	for {
		var token []byte
		var err error
		switch d.PeekKind() {
		case '{', '}', '[', ']':
			var delimiter jsontext.Token
			delimiter, err = d.ReadToken()
			token = []byte(delimiter.String())
		default:
			token, err = d.ReadValue()
		}
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, string(token))
	}
}

func TestDocumentedSamplesPassThrough(t *testing.T) {
	t.Parallel()
	for _, et := range EventTypes() {
		t.Run(string(et), func(t *testing.T) {
			t.Parallel()
			documented, err := os.ReadFile("testdata/documented/" + string(et) + ".json")
			if err != nil {
				t.Fatal(err)
			}
			a, err := ParseActivity(documented, "body")
			if err != nil {
				t.Fatal(err)
			}
			r, faults := a.Render(receipt)
			if faults != nil {
				t.Fatal(faults)
			}
			if d := cmp.Diff(tokens(t, documented), tokens(t, r.Payload)); d != "" {
				t.Error("the payload is not the documented sample (-want +got)\n" + d)
			}
			if golden := schema.Sample(string(et)); !bytes.Equal(r.Payload, golden) {
				t.Errorf("the payload is not the golden sample:\n%s, want\n%s", r.Payload, golden)
			}
		})
	}
}

func TestRenderedIsFoundBy(t *testing.T) {
	t.Parallel()
	const id = "20190730123456.1.1B72E094173067F0F@veromail.com"
	own := time.Unix(1435016238, 0).UTC()
	for et, want := range map[EventType]Rendered{
		Sent:         {OccurredAt: own, MessageID: id, CampaignID: "987"},
		Failed:       {OccurredAt: receipt.UTC(), CampaignID: "987"},
		Converted:    {OccurredAt: receipt.UTC(), MessageID: id, CampaignID: "987"},
		Unsubscribed: {OccurredAt: own, MessageID: id},
		Complained:   {OccurredAt: own, MessageID: id, CampaignID: "987"},
		UserUpdated:  {OccurredAt: receipt.UTC()},
	} {
		a, err := ParseActivity(schema.Sample(string(et)), "body")
		if err != nil {
			t.Fatal(err)
		}
		got, _ := a.Render(receipt)
		got.Payload = nil
		want.UserID, want.Email = "123", "steve@getvero.com"
		if got.OccurredAt.Location() != time.UTC {
			t.Errorf("%s: the time is not in UTC", et)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got)\n%s", et, d)
		}
	}
}

// renderings are the rules of the contract, each by example.
var renderings = []struct{ name, in, want string }{
	{"documented keys come in their order",
		`{"message_id":"m","campaign":{"locale":"en","id":1,"trigger-event":"e"},"user":{"email":"a@b.c","id":1},"type":"sent","sent_at":1}`,
		`{"sent_at":1,"type":"sent","user":{"id":1,"email":"a@b.c"},"campaign":{"id":1,"trigger-event":"e","locale":"en"},"message_id":"m"}`},
	{"the type may come last",
		`{"campaign":{"subject":"s","name":"n"},"user":{"id":1},"clicked_at":1,"type":"clicked"}`,
		`{"clicked_at":1,"type":"clicked","user":{"id":1},"campaign":{"name":"n","subject":"s"}}`},
	{"other keys follow the documented ones in their own order",
		`{"zeta":1,"type":"converted","user":{"plan":"pro","id":1,"Age":3,"email":"a@b.c"},"campaign":{"cost":0.10,"id":2,"trigger_event":"x"},"alpha":[true,null]}`,
		`{"type":"converted","user":{"id":1,"email":"a@b.c","plan":"pro","Age":3},"campaign":{"id":2,"cost":0.10,"trigger_event":"x"},"zeta":1,"alpha":[true,null]}`},
	{"the triggering event keeps what was added to it",
		`{"type":"complained","complained_at":1,"user":{"id":1},"event":{"triggered_at":2,"source":"shop","name":"bought","data":{"b":1,"a":{}}}}`,
		`{"complained_at":1,"type":"complained","user":{"id":1},"event":{"data":{"b":1,"a":{}},"name":"bought","triggered_at":2,"source":"shop"}}`},
	{"a created user's properties are before id and email",
		`{"type":"user_created","user":{"email":"a@b.c","firstname":"Steve","id":1,"role":null,"company":""}}`,
		`{"type":"user_created","user":{"firstname":"Steve","role":null,"company":"","id":1,"email":"a@b.c"}}`},
	{"null and nothing in documented keys are left out",
		`{"type":"opened","opened_at":1,"user_agent":"","message_id":null,"user":{"id":1,"email":null},"campaign":{"id":null,"name":"","subject":"s"}}`,
		`{"opened_at":1,"type":"opened","user":{"id":1},"campaign":{"subject":"s"}}`},
	{"null and nothing elsewhere stay",
		`{"type":"opened","opened_at":1,"x":null,"y":"","user":{"id":1,"nick":null},"campaign":{"note":""}}`,
		`{"opened_at":1,"type":"opened","user":{"id":1,"nick":null},"campaign":{"note":""},"x":null,"y":""}`},
	{"an object with nothing left is left out",
		`{"type":"complained","complained_at":1,"user":{"id":1},"campaign":{},"event":{"name":null}}`,
		`{"complained_at":1,"type":"complained","user":{"id":1}}`},
	{"a campaign of null is left out",
		`{"type":"sent","sent_at":1,"user":{"id":1},"campaign":null}`,
		`{"sent_at":1,"type":"sent","user":{"id":1}}`},
	{"a documented key of another type passes through",
		`{"type":"failed","message_id":null,"user":{"id":1},"sent_at":"soon","event":{"triggered_at":"x","data":1},"bounce_code":1}`,
		`{"type":"failed","bounce_code":1,"user":{"id":1},"message_id":null,"sent_at":"soon","event":{"triggered_at":"x","data":1}}`},
	{"a campaign passes through where there is none, wherever the type stands",
		`{"a":1,"campaign":{"locale":null,"id":[ 1 ]},"b":2,"type":"resubscribed","user":{"id":1}}`,
		`{"type":"resubscribed","user":{"id":1},"a":1,"campaign":{"locale":null,"id":[1]},"b":2}`},
	{"a campaign that is no object passes through where there is none",
		`{"type":"resubscribed","user":{"id":1},"campaign":"Newsletter"}`,
		`{"type":"resubscribed","user":{"id":1},"campaign":"Newsletter"}`},
	{"an unsubscribed campaign has its own shape",
		`{"type":"unsubscribed","unsubscribed_at":1,"user":{"id":1},"campaign":{"id":7,"template":"t","message_id":"m","campaign_title":"c"}}`,
		`{"unsubscribed_at":1,"type":"unsubscribed","user":{"id":1},"campaign":{"campaign_title":"c","message_id":"m","template":"t","id":7}}`},
	{"digits stay as written",
		`{"type":"bounced","bounced_at":1,"bounce_code":-00000,"user":{"id":9007199254740993}}`, ``},
	{"digits beyond a float stay as written",
		`{"type":"bounced","bounced_at":1,"bounce_code":123456789012345678901234567890,"user":{"id":1.0E+2,"n":[-0,1.10,1e-999]},"campaign":{"id":12345678901234567}}`,
		`{"bounced_at":1,"bounce_code":123456789012345678901234567890,"type":"bounced","user":{"id":1.0E+2,"n":[-0,1.10,1e-999]},"campaign":{"id":12345678901234567}}`},
	{"strings stay as written, and nothing is escaped for HTML",
		`{"type":"sent","sent_at":1,"user":{"id":"\u0031\/<&>` + "\u2028😀\x7f" + `","x":"\u0000\ud83d\ude00"},"campaign":{"subject":"\"<b>&amp;"}}`,
		`{"sent_at":1,"type":"sent","user":{"id":"\u0031\/<&>` + "\u2028😀\x7f" + `","x":"\u0000\ud83d\ude00"},"campaign":{"subject":"\"<b>&amp;"}}`},
	{"keys beyond the documented ones stay as written",
		`{"type":"sent","sent_at":1,"user":{"id":1,"\u0061 b":1,"":2,"\"":3}}`,
		`{"sent_at":1,"type":"sent","user":{"id":1,"\u0061 b":1,"":2,"\"":3}}`},
	{"a documented key written with escapes is that key",
		`{"t\u0079pe":"s\u0065nt","sent_at":1,"\u0075ser":{"\u0069d":1}}`,
		`{"sent_at":1,"type":"sent","user":{"id":1}}`},
	{"whitespace is left out, but for that in strings",
		" {\r\n\t\"type\" : \"sent\" ,\n\"sent_at\" :1, \"user\" : { \"id\" : \" 1 \" } , \"x\" : [ 1 , { \"a b\" : \"c  d\" } ] } \n",
		`{"sent_at":1,"type":"sent","user":{"id":" 1 "},"x":[1,{"a b":"c  d"}]}`},
	{"numbers and strings keep their kind as ids",
		`{"type":"converted","user":{"id":"123"},"campaign":{"id":"987"}}`,
		`{"type":"converted","user":{"id":"123"},"campaign":{"id":"987"}}`},
	{"an email alone is enough",
		`{"type":"resubscribed","user":{"email":"a@b.c"}}`,
		`{"type":"resubscribed","user":{"email":"a@b.c"}}`},
	{"a missing time is that of receipt",
		`{"type":"delivered","user":{"id":1}}`,
		`{"delivered_at":` + receiptUnix + `,"type":"delivered","user":{"id":1}}`},
	{"a time of null is that of receipt",
		`{"type":"bounced","bounced_at":null,"user":{"id":1}}`,
		`{"bounced_at":` + receiptUnix + `,"type":"bounced","user":{"id":1}}`},
	{"a missing time is occurred_at if that is given",
		`{"type":"clicked","user":{"id":1},"telltale":{"occurred_at":7}}`,
		`{"clicked_at":7,"type":"clicked","user":{"id":1}}`},
	{"the payload's own time stands before occurred_at",
		`{"type":"clicked","clicked_at":8,"user":{"id":1},"telltale":{"occurred_at":7}}`,
		`{"clicked_at":8,"type":"clicked","user":{"id":1}}`},
	{"types without a time get none",
		`{"type":"converted","user":{"id":1},"telltale":{"occurred_at":7}}`,
		`{"type":"converted","user":{"id":1}}`},
	{"a triggering event's time is not filled in",
		`{"type":"complained","complained_at":1,"user":{"id":1},"event":{"name":"e"}}`,
		`{"complained_at":1,"type":"complained","user":{"id":1},"event":{"name":"e"}}`},
	{"user_updated says action, id and email again",
		`{"type":"user_updated","user":{"id":123,"email":"a@b.c"},"changes":{"plan":"pro"}}`,
		`{"action":"user_updated","type":"user_updated","user":{"id":123,"email":"a@b.c"},"id":"123","email":"a@b.c","changes":{"plan":"pro"}}`},
	{"user_updated says only what it knows",
		`{"type":"user_updated","user":{"email":"a@b.c"}}`,
		`{"action":"user_updated","type":"user_updated","user":{"email":"a@b.c"},"email":"a@b.c"}`},
	{"the second id of user_updated is a string, whatever number it was",
		`{"type":"user_updated","user":{"id":1.230e2},"id":null}`,
		`{"action":"user_updated","type":"user_updated","user":{"id":1.230e2},"id":"123"}`},
	{"the second id of user_updated is a string, though a number was given",
		`{"type":"user_updated","user":{"id":"x"},"id":7}`,
		`{"action":"user_updated","type":"user_updated","user":{"id":"x"},"id":"7"}`},
	{"a string id is repeated as it is written",
		`{"type":"user_updated","user":{"id":"0\u0031\/"}}`,
		`{"action":"user_updated","type":"user_updated","user":{"id":"0\u0031\/"},"id":"0\u0031\/"}`},
	{"changes keep null and nothing, and their tags come first",
		`{"type":"user_updated","user":{"email":"e"},"changes":{"phone":null,"name":"","_tags":{"why":1,"remove":[],"add":["a"]}}}`,
		`{"action":"user_updated","type":"user_updated","user":{"email":"e"},"email":"e","changes":{"_tags":{"add":["a"],"remove":[],"why":1},"phone":null,"name":""}}`},
	{"tags of null are left out",
		`{"type":"user_updated","user":{"email":"e"},"changes":{"_tags":{"add":null,"remove":["r"]}}}`,
		`{"action":"user_updated","type":"user_updated","user":{"email":"e"},"email":"e","changes":{"_tags":{"remove":["r"]}}}`},
	{"a newsletter needs no trigger-event",
		`{"type":"sent","sent_at":1,"user":{"id":1},"campaign":{"type":"newsletter"}}`,
		`{"sent_at":1,"type":"sent","user":{"id":1},"campaign":{"type":"newsletter"}}`},
	{"a text message has a number in sent_to, and the user their own email",
		`{"type":"sent","sent_at":1,"user":{"id":1,"email":"a@b.c"},"campaign":{"channel":"sms","sent_to":"+15550100"}}`,
		`{"sent_at":1,"type":"sent","user":{"id":1,"email":"a@b.c"},"campaign":{"channel":"sms","sent_to":"+15550100"}}`},
	{"a failure may carry a code that is not SMTP's",
		`{"type":"failed","user":{"id":1},"bounce_code":7,"bounce_message":"FusionBadResponse"}`,
		`{"type":"failed","bounce_code":7,"bounce_message":"FusionBadResponse","user":{"id":1}}`},
	{"an own key telltale below the top is the sender's",
		`{"type":"failed","user":{"id":1,"telltale":{"id":"x"}}}`,
		`{"type":"failed","user":{"id":1,"telltale":{"id":"x"}}}`},
}

func TestRender(t *testing.T) {
	t.Parallel()
	schemas := compileSchemas(t)
	for _, test := range renderings {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a, err := ParseActivity([]byte(test.in), "body")
			if test.want == "" {
				if err == nil {
					t.Error("what is no JSON was taken")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r, faults := a.Render(receipt)
			if faults != nil {
				t.Fatal(faults)
			}
			if string(r.Payload) != test.want {
				t.Errorf("the payload is\n%s, want\n%s", r.Payload, test.want)
			}
			if err := validate(schemas[a.Type], r.Payload); err != nil {
				t.Errorf("it does not keep to the schema: %v", err)
			}
		})
	}
}

func TestIndexedIDs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, in, user, message, campaign string }{
		{"the number 123", `{"type":"failed","user":{"id":123}}`, "123", "", ""},
		{"the string 123", `{"type":"failed","user":{"id":"123"}}`, "123", "", ""},
		{"a string keeps its zeros", `{"type":"failed","user":{"id":"00123"}}`, "00123", "", ""},
		{"a string that looks like an exponent is none", `{"type":"failed","user":{"id":"1e2"}}`, "1e2", "", ""},
		{"a string with escapes is unescaped", `{"type":"failed","user":{"id":"\u0031\n"}}`, "1\n", "", ""},
		{"an exponent is digits", `{"type":"failed","user":{"id":1.5e1}}`, "15", "", ""},
		{"many digits are all kept", `{"type":"failed","user":{"id":12345678901234567890123}}`, "12345678901234567890123", "", ""},
		{"angle brackets are no part of a message's id", `{"type":"converted","user":{"id":1},"message_id":"<a@b>"}`, "1", "a@b", ""},
		{"a failed message's id counts though it is not documented", `{"type":"failed","user":{"id":1},"message_id":"a@b"}`, "1", "a@b", ""},
		{"unless it is none", `{"type":"failed","user":{"id":1},"message_id":["a@b"]}`, "1", "", ""},
		{"or cannot be indexed", `{"type":"failed","user":{"id":1},"message_id":"a\u0000"}`, "1", "", ""},
		{"or is too long", `{"type":"failed","user":{"id":1},"message_id":"` + strings.Repeat("m", 2000) + `"}`, "1", "", ""},
		{"an unsubscribed message's id is the campaign's", `{"type":"unsubscribed","user":{"id":1},"message_id":"x","campaign":{"message_id":"y","id":7}}`, "1", "y", "7"},
		{"a campaign's id of a string", `{"type":"failed","user":{"id":1},"campaign":{"id":"summer"}}`, "1", "", "summer"},
		{"a campaign's id of 16 digits", `{"type":"failed","user":{"id":1},"campaign":{"id":9007199254740993}}`, "1", "", "9007199254740993"},
	} {
		a, err := ParseActivity([]byte(test.in), "body")
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		r, _ := a.Render(receipt)
		if r.UserID != test.user || r.MessageID != test.message || r.CampaignID != test.campaign {
			t.Errorf("%s: found by user %q, message %q, campaign %q; want %q, %q, %q", test.name, r.UserID, r.MessageID, r.CampaignID, test.user, test.message, test.campaign)
		}
	}
	for id, want := range map[string]string{"": "", "a": "a", "<>": "<>", "<a": "<a", "<a>": "a", "a>": "a>"} {
		if got := CanonicalMessageID(id); got != want {
			t.Errorf("CanonicalMessageID(%q) = %q, want %q", id, got, want)
		}
	}
}

func TestCanonicalNumber(t *testing.T) {
	t.Parallel()
	for number, want := range map[string]string{
		"0": "0", "-0": "0", "0.0": "0", "-0e5": "0", "0e999": "0",
		"123": "123", "-123": "-123", "123.0": "123", "1e2": "100", "1E+2": "100", "100e-2": "1", "12300e-2": "123",
		"1.5": "1.5", "1.50": "1.5", "-1.25e1": "-12.5", "0.001": "0.001", "1e-3": "0.001", "10e-4": "0.001", "0.00120e2": "0.12",
		"9007199254740993": "9007199254740993", "9007199254740993.0": "9007199254740993", "9.007199254740993e15": "9007199254740993",
	} {
		if got := canonicalNumber(number); got != want {
			t.Errorf("canonicalNumber(%s) = %s, want %s", number, got, want)
		}
	}
}

func TestActivityMadeInCode(t *testing.T) {
	t.Parallel()
	machine := true
	a := Activity{Type: Bounced, OccurredAt: time.Unix(1435016238, 999_999_999), Machine: &machine}
	a.User.SetString("email", "a@b.c")
	a.Campaign.SetInt("id", 9007199254740993)
	a.Campaign.SetString("channel", "email")
	a.Campaign.SetString("name", "") // unknown
	a.Top.SetString("message_id", "a@b")
	a.Top.SetString("bounce_type", "soft")
	a.Top.SetInt("bounce_code", 450)
	a.Top.SetString("bounce_message", "4.2.1 <slow> & busy")
	a.Changes.SetInt("ignored", 1) // bounced documents no such object

	stored, err := ParseObject([]byte(`{"id":1,"name":"Order confirmation","cost":0.10}`))
	if err != nil {
		t.Fatal(err)
	}
	a.Campaign.Complete(stored)
	r, faults := a.Render(receipt)
	if faults != nil {
		t.Fatal(faults)
	}
	want := `{"bounced_at":1435016238,"bounce_type":"soft","bounce_code":450,"bounce_message":"4.2.1 <slow> & busy","type":"bounced",` +
		`"user":{"email":"a@b.c"},"campaign":{"id":9007199254740993,"channel":"email","cost":0.10},"message_id":"a@b"}`
	if string(r.Payload) != want {
		t.Errorf("the payload is\n%s, want\n%s", r.Payload, want)
	}
	if r.Email != "a@b.c" || r.MessageID != "a@b" || r.CampaignID != "9007199254740993" || !r.OccurredAt.Equal(a.OccurredAt) {
		t.Errorf("it is found by %+v", r)
	}
}

func TestFaultsOfActivityMadeInCode(t *testing.T) {
	t.Parallel()
	a := Activity{
		Type: "bounce", CallerID: strings.Repeat("i", MaxIDChars+1), OccurredAt: time.Unix(-1, 0),
		URL: "http://a/\nX-Evil: 1", IP: "nowhere", ProviderMessageID: "\x00", ConversionEvent: strings.Repeat("c", MaxIDChars+1),
	}
	a.Top.SetString("telltale", "x")
	a.Top.SetString("type", "sent")
	if err := a.Top.Set("user", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	a.User.SetString("ID", "1")
	a.User.SetString(strings.Repeat("k", MaxKeyBytes+1), "1")
	a.User.SetString("id", "")
	r, faults := a.Render(receipt)
	if r.Payload != nil {
		t.Errorf("there are faults, and a payload: %s", r.Payload)
	}
	var at []string
	for _, f := range faults {
		at = append(at, f.Location)
	}
	want := []string{
		"activity.type", "activity.telltale", "activity.type", "activity.user", "activity.user.ID",
		`activity.user["` + strings.Repeat("k", MaxFaultValue) + `…"]`, "activity.user.id",
		"activity.telltale.occurred_at", "activity.telltale.id", "activity.telltale.provider_message_id", "activity.telltale.conversion_event",
		"activity.telltale.url", "activity.telltale.ip",
	}
	if d := cmp.Diff(want, at); d != "" {
		t.Error("locations (-want +got)\n" + d)
	}

	// Faults of what was parsed and changed then are where it came from.
	parsed, err := ParseActivity([]byte(`{"type":"sent","user":{"id":1}}`), "body[7]")
	if err != nil {
		t.Fatal(err)
	}
	parsed.Campaign.SetString("channel", "fax")
	if _, faults := parsed.Render(receipt); len(faults) != 1 || faults[0].Location != "body[7].campaign.channel" {
		t.Errorf("the faults are %+v", faults)
	}
}

func TestAppendExtensions(t *testing.T) {
	t.Parallel()
	machine := false
	payload := []byte(`{"type":"failed","user":{"id":1}}`)
	for _, test := range []struct {
		name string
		e    Extensions
		want string
	}{
		{"all that there is", Extensions{ID: "evt_1", Source: "api", OccurredAt: time.Unix(1435016238, 999e6), URL: "https://a.b/?c=d&e=<f>\"", IP: "::1", Machine: &machine},
			`{"type":"failed","user":{"id":1},"telltale":{"id":"evt_1","source":"api","occurred_at":1435016238,"url":"https://a.b/?c=d&e=<f>\"","ip":"::1","machine":false}}`},
		{"what is unknown is left out", Extensions{ID: "evt_1"}, `{"type":"failed","user":{"id":1},"telltale":{"id":"evt_1"}}`},
		{"nothing is known", Extensions{}, `{"type":"failed","user":{"id":1},"telltale":{}}`},
	} {
		before := slices.Clone(payload)
		got := AppendExtensions([]byte("before "), payload, test.e)
		if string(got) != "before "+test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
		if !bytes.Equal(payload, before) {
			t.Errorf("%s: the payload itself changed to %s", test.name, payload)
		}
	}
}

// The schemas and the table.

func compileSchemas(t testing.TB) map[EventType]*jsonschema.Schema {
	t.Helper()
	compiled := map[EventType]*jsonschema.Schema{}
	for _, et := range EveryEventType() {
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema.Schema(string(et))))
		if err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource("schema.json", document); err != nil {
			t.Fatal(err)
		}
		if compiled[et], err = c.Compile("schema.json"); err != nil {
			t.Fatal(err)
		}
	}
	return compiled
}

func validate(s *jsonschema.Schema, payload []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		return err
	}
	return s.Validate(value)
}

// keysOf lists the properties of an object's schema in their order.
func keysOf(t *testing.T, s []byte) (keys []string, properties Object) {
	t.Helper()
	o, err := ParseObject(s)
	if err != nil {
		t.Fatal(err)
	}
	if properties, err = ParseObject([]byte(o.Get("properties"))); err != nil {
		t.Fatal(err)
	}
	for key := range properties.All() {
		keys = append(keys, key)
	}
	return keys, properties
}

func TestSchemasListTheKeysOfTheTable(t *testing.T) {
	t.Parallel()
	for _, et := range EventTypes() {
		root, err := ParseObject(schema.Schema(string(et)))
		if err != nil {
			t.Fatal(err)
		}
		if root.Text("title") != et.Label() || root.Text("description") != et.Description() {
			t.Errorf("%s: the schema says %q, %q; want %q, %q", et, root.Text("title"), root.Text("description"), et.Label(), et.Description())
		}
		keys, properties := keysOf(t, schema.Schema(string(et)))
		top := contractOf(et).sections[sectionTop]
		compare := func(where string, of *layout, keys []string) {
			var want []string
			for _, f := range of.fields {
				want = append(want, f.name)
			}
			if d := cmp.Diff(want, keys); d != "" {
				t.Errorf("%s %s: keys (-table +schema)\n%s", et, where, d)
			}
		}
		compare("at the top", top, keys)
		for _, f := range top.fields {
			if f.kind == kindSection {
				keys, _ := keysOf(t, []byte(properties.Get(f.name)))
				compare(f.name, contractOf(et).sections[f.section], keys)
			}
		}
	}
}

// drawValue draws a JSON value as text, with whitespace where it may be.
func drawValue(t *rapid.T, depth int) string {
	kinds := 7
	if depth == 0 {
		kinds = 5
	}
	space := rapid.SampledFrom([]string{"", "", " ", "\n\t"})
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return rapid.SampledFrom([]string{"null", "true", "false", `""`, "{}", "[]"}).Draw(t, "literal")
	case 1, 2:
		return rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?`).Draw(t, "number")
	case 3:
		return rapid.StringMatching(`"([ -!#-\[\]-~é😀]|\\(["\\/bfnrt]|u00[0-7][0-9a-fA-F]|ud83d\\ude0[0-9])){0,12}"`).Draw(t, "string")
	case 4:
		return quote(rapid.String().Draw(t, "text"))
	case 5:
		var elements []string
		for range rapid.IntRange(0, 3).Draw(t, "elements") {
			elements = append(elements, space.Draw(t, "space")+drawValue(t, depth-1)+space.Draw(t, "space"))
		}
		return "[" + strings.Join(elements, ",") + "]"
	}
	var members []string
	for i := range rapid.IntRange(0, 3).Draw(t, "members") {
		members = append(members, fmt.Sprintf(`%s"m\u002d%d"%s:%s`, space.Draw(t, "space"), i, space.Draw(t, "space"), drawValue(t, depth-1)))
	}
	return "{" + strings.Join(members, ",") + "}"
}

// drawExtras draws members that no type documents.
func drawExtras(t *rapid.T) []string {
	var extras []string
	for i := range rapid.IntRange(0, 4).Draw(t, "extras") {
		name := rapid.SampledFrom([]string{`"x%d"`, `"\u0078 %d"`, `"€%d"`, `"<%d>"`, `"sent_at_%d"`}).Draw(t, "name")
		extras = append(extras, fmt.Sprintf(name, i)+":"+drawValue(t, 3))
	}
	return extras
}

// valid gives a value that the key may have, as text.
func (f *field) valid(t *rapid.T) string {
	pick := func(values ...string) string { return rapid.SampledFrom(values).Draw(t, f.name) }
	switch f.kind {
	case kindTime:
		return pick("0", "1435016238", "253402300799")
	case kindInteger:
		return pick("0", "550", "-1", "123456789012345678901234567890")
	case kindID:
		return pick("123", `"123"`, "9007199254740993", `"\u0061\/"`, "1e2", "-1.5")
	case kindCampaignID:
		return pick("987", `"987"`, "9007199254740993", `"a b"`)
	case kindChoice:
		return quote(pick(f.choices...))
	case kindData:
		return pick("{}", `{"a":[1,{}]}`)
	case kindTags:
		return pick("{}", `{"add":[]}`, `{"add":["a"],"remove":["b","c"]}`, `{"other":1}`)
	case kindTexts:
		return pick("[]", `["a"]`)
	}
	return pick(`"a"`, `"steve@getvero.com"`, `"<é😀&>"`, `"\ud83d\ude00"`)
}

// wrong gives a value that the key must not have.
func (f *field) wrong(t *rapid.T) string {
	pick := func(values ...string) string { return rapid.SampledFrom(values).Draw(t, f.name) }
	switch f.kind {
	case kindTime:
		return pick("-1", "253402300800", "1.5", `"1435016238"`, "true", "[]", "{}")
	case kindInteger:
		return pick("1.5", `"550"`, "false", "[1]", "{}")
	case kindID:
		return pick("true", "[]", "{}", `"`+strings.Repeat("x", MaxIDChars+1)+`"`)
	case kindCampaignID:
		return pick("1.5", "true", "[]", "{}", `"`+strings.Repeat("x", MaxIDChars+1)+`"`)
	case kindChoice:
		return pick(`"other"`, "1", "true", "[]", "{}")
	case kindData:
		return pick(`"x"`, "1", "[]", "true")
	case kindTags:
		return pick(`"x"`, "1", "[]", `{"add":"a"}`, `{"remove":[1]}`, `{"add":["a",{}]}`)
	case kindSection:
		return pick(`"x"`, "1", "[]", "true")
	}
	if f.max > 0 && rapid.Bool().Draw(t, "long") {
		return `"` + strings.Repeat("x", f.max+1) + `"`
	}
	return pick("1", "true", "[]", "{}")
}

// drawPayload draws a payload of type et that has all that receivers always
// get. Each of its values is wrong with a chance of one in wrongOneIn, which
// for 0 is never. It gives the places that are wrong, too.
func drawPayload(t *rapid.T, et EventType, wrongOneIn int) (payload string, wrong []string) {
	isWrong := func(f *field) bool {
		return wrongOneIn > 0 && f.kind != kindType && rapid.IntRange(1, wrongOneIn).Draw(t, "wrong") == 1
	}
	c := contractOf(et)
	var members func(s section, path string) []string
	members = func(s section, path string) []string {
		var list []string
		for i := range c.sections[s].fields {
			f := &c.sections[s].fields[i]
			always := f.kind == kindType || f.kind == kindTime && s == sectionTop || f.name == "user" || f.name == "action" || s == sectionUser && f.name == "id"
			var value string
			switch {
			case !always && rapid.Bool().Draw(t, "absent"):
				continue
			case isWrong(f):
				value = f.wrong(t)
				wrong = append(wrong, path+"/"+f.name)
			case f.kind == kindType:
				value = quote(string(et))
			case f.kind == kindSection:
				value = "{" + strings.Join(members(f.section, path+"/"+f.name), ",") + "}"
			case s == sectionTop && f.name == "id":
				value = `"123"` // a number would be made a string
			default:
				value = f.valid(t)
			}
			list = append(list, f.token+":"+value)
		}
		return rapid.Permutation(append(list, drawExtras(t)...)).Draw(t, "order")
	}
	return "{" + strings.Join(members(sectionTop, ""), " , ") + "}", wrong
}

// TestSchemaAndTableAgree: what is rendered keeps to the schema, and where a
// value is wrong the schema and the table both say so, in the same places.
func TestSchemaAndTableAgree(t *testing.T) {
	t.Parallel()
	schemas := compileSchemas(t)
	rapid.Check(t, func(t *rapid.T) {
		et := rapid.SampledFrom(EventTypes()).Draw(t, "type")
		payload, wrong := drawPayload(t, et, rapid.SampledFrom([]int{0, 5, 20}).Draw(t, "wrong one in"))
		a, err := ParseActivity([]byte(payload), "body")
		schemaErr := validate(schemas[et], []byte(payload))
		if len(wrong) == 0 {
			if err != nil || schemaErr != nil {
				t.Fatalf("%s is right, but the table says %v, the schema %v", payload, err, schemaErr)
			}
			r, faults := a.Render(receipt)
			if faults != nil {
				t.Fatalf("what was taken has faults: %v", faults)
			}
			if err := validate(schemas[et], r.Payload); err != nil {
				t.Fatalf("%s does not keep to the schema: %v", r.Payload, err)
			}
			return
		}
		byTable, bySchema := map[string]bool{}, map[string]bool{}
		e, _ := err.(*Error)
		if e == nil || schemaErr == nil {
			t.Fatalf("%s is wrong at %v, but the table says %v, the schema %v", payload, wrong, err, schemaErr)
		}
		for _, f := range e.Faults {
			byTable[place(strings.Split(strings.TrimPrefix(strings.ReplaceAll(f.Location, "[", "."), "body."), "."))] = true
		}
		collectPlaces(schemaErr.(*jsonschema.ValidationError), bySchema)
		want := map[string]bool{}
		for _, w := range wrong {
			want[place(strings.Split(w, "/")[1:])] = true
		}
		if d := cmp.Diff(want, byTable); d != "" {
			t.Errorf("%s: the table's faults (-want +got)\n%s", payload, d)
		}
		if d := cmp.Diff(want, bySchema); d != "" {
			t.Errorf("%s: the schema's faults (-want +got)\n%s", payload, d)
		}
	})
}

// place is where a fault is, down to the value of a documented key.
func place(path []string) string {
	if len(path) > 2 {
		path = path[:2]
	}
	return strings.Join(path, "/")
}

func collectPlaces(e *jsonschema.ValidationError, into map[string]bool) {
	if len(e.Causes) == 0 {
		into[place(e.InstanceLocation)] = true
	}
	for _, cause := range e.Causes {
		collectPlaces(cause, into)
	}
}

// TestRequiredKeysAgree: without what is required, the schema and the table
// both refuse. What Telltale fills in itself is required by the schema alone.
func TestRequiredKeysAgree(t *testing.T) {
	t.Parallel()
	schemas := compileSchemas(t)
	for _, et := range EventTypes() {
		for _, test := range []struct {
			name   string
			change func(root, user *Object)
			filled bool
		}{
			{name: "the type", change: func(root, _ *Object) { root.Delete("type") }},
			{name: "the user", change: func(root, _ *Object) { root.Delete("user") }},
			{name: "id and email", change: func(_, user *Object) { user.Delete("id"); user.Delete("email") }},
			{name: "the user's id", change: func(_, user *Object) { user.Delete("id") }, filled: true},
			{name: "the user's email", change: func(_, user *Object) { user.Delete("email") }, filled: true},
			{name: "all but type and user", filled: true, change: func(root, _ *Object) {
				for key := range root.Clone().All() {
					if key != "type" && key != "user" {
						root.Delete(key)
					}
				}
			}},
		} {
			root, _ := ParseObject(schema.Sample(string(et)))
			user, _ := ParseObject([]byte(root.Get("user")))
			test.change(&root, &user)
			if root.Has("user") {
				if err := root.Set("user", user.AppendJSON(nil)); err != nil {
					t.Fatal(err)
				}
			}
			in := root.AppendJSON(nil)
			a, err := ParseActivity(in, "body")
			if !test.filled {
				if schemaErr := validate(schemas[et], in); err == nil || schemaErr == nil {
					t.Errorf("%s without %s: the table says %v, the schema %v", et, test.name, err, schemaErr)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s without %s: %v", et, test.name, err)
				continue
			}
			r, faults := a.Render(receipt)
			if err := validate(schemas[et], r.Payload); err != nil || faults != nil {
				t.Errorf("%s without %s is rendered as %s: %v, %v", et, test.name, r.Payload, faults, err)
			}
		}
	}
}

// TestExtrasPassThrough: whatever a sender adds at any level arrives token for
// token, in its order, in front of or behind the documented keys.
func TestExtrasPassThrough(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		et := rapid.SampledFrom(EventTypes()).Draw(t, "type")
		payload, _ := drawPayload(t, et, 0)
		a, err := ParseActivity([]byte(payload), "body")
		if err != nil {
			t.Fatalf("%s: %v", payload, err)
		}
		r, faults := a.Render(receipt)
		if faults != nil {
			t.Fatalf("%s: %v", payload, faults)
		}
		in, out := sections(t, et, []byte(payload)), sections(t, et, r.Payload)
		if d := cmp.Diff(in, out); d != "" {
			t.Fatalf("%s is rendered as %s (-in +out)\n%s", payload, r.Payload, d)
		}
		if compact := compacted(t, r.Payload); compact != string(r.Payload) {
			t.Errorf("%s is not compact", r.Payload)
		}
	})
}

// sections lists the extra members of each object with documented keys, as they
// are written, without whitespace. It reads with another library's decoder.
func sections(t *rapid.T, et EventType, payload []byte) map[string][]string {
	extras := map[string][]string{}
	c := contractOf(et)
	var read func(value []byte, of *layout, at string)
	read = func(value []byte, of *layout, at string) {
		var known map[string]json.RawMessage
		if err := json.Unmarshal(value, &known); err != nil {
			t.Fatal(err)
		}
		d := jsontext.NewDecoder(bytes.NewReader(value))
		d.ReadToken()
		for d.PeekKind() != '}' {
			name, err := d.ReadValue()
			if err != nil {
				t.Fatal(err)
			}
			token := string(name)
			value, err := d.ReadValue()
			if err != nil {
				t.Fatal(err)
			}
			var key string
			if err := json.Unmarshal([]byte(token), &key); err != nil {
				t.Fatal(err)
			}
			if i := of.find(key); i < 0 {
				extras[at] = append(extras[at], token+":"+compacted(t, value))
			} else if f := of.fields[i]; f.kind == kindSection {
				read(bytes.Clone(value), c.sections[f.section], f.name)
			}
		}
	}
	read(payload, c.sections[sectionTop], "")
	return extras
}

func compacted(t *rapid.T, value []byte) string {
	v := jsontext.Value(bytes.Clone(value))
	if err := v.Compact(); err != nil {
		t.Fatal(err)
	}
	return string(v)
}

func BenchmarkRender(b *testing.B) {
	a, err := ParseActivity(schema.Sample("sent"), "body")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, faults := a.Render(receipt); faults != nil {
			b.Fatal(faults)
		}
	}
}

// BenchmarkParseAndRender is what one event costs from its bytes to its payload.
func BenchmarkParseAndRender(b *testing.B) {
	for _, et := range []EventType{Sent, Complained, UserUpdated} {
		raw := schema.Sample(string(et))
		b.Run(string(et), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				a, err := ParseActivity(raw, "body")
				if err != nil {
					b.Fatal(err)
				}
				if _, faults := a.Render(receipt); faults != nil {
					b.Fatal(faults)
				}
			}
		})
	}
}
