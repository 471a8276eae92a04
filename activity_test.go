package telltale

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale/schema"
)

// nested is a value of n arrays in one another.
func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// object is an object of n keys.
func objectOf(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"k%d":%d`, i, i)
	}
	return "{" + strings.TrimPrefix(b.String(), ",") + "}"
}

// badInputs are refused. at and says are location and part of the message of
// each fault, in order.
var badInputs = []struct {
	name string
	in   string
	code Code
	at   []string
	says []string
}{
	{"nothing", ``, Malformed, []string{"body[3]"}, []string{"empty"}},
	{"whitespace alone", " \r\n\t", Malformed, []string{"body[3]"}, []string{"empty"}},
	{"text", `hello`, Malformed, []string{"body[3]"}, []string{"Invalid character 'h'"}},
	{"a form", `type=sent&user[id]=1`, Malformed, []string{"body[3]"}, []string{"Invalid"}},
	{"an event cut off", `{"type":"sent","user":{"id":1`, Malformed, []string{"body[3].user"}, []string{"ends too early"}},
	{"a string cut off", `{"type":"se`, Malformed, []string{"body[3].type"}, []string{"ends too early"}},
	{"two documents", `{"type":"sent","user":{"id":1}} {}`, Malformed, []string{"body[3]"}, []string{"more data after the end"}},
	{"rubbish behind", `{"type":"sent","user":{"id":1}},`, Malformed, []string{"body[3]"}, []string{"more data"}},
	{"a byte order mark", "\ufeff" + `{"type":"sent","user":{"id":1}}`, Malformed, []string{"body[3]"}, []string{"byte order mark"}},
	{"UTF-16", "\xff\xfe{\x00}\x00", Malformed, []string{"body[3]"}, []string{"Invalid"}},
	{"gzip", "\x1f\x8b\x08\x00", Malformed, []string{"body[3]"}, []string{"Invalid character"}},
	{"NaN", `{"type":"sent","user":{"id":NaN}}`, Malformed, []string{"body[3].user.id"}, []string{"Invalid character 'N'"}},
	{"infinity", `{"type":"sent","user":{"id":-Infinity}}`, Malformed, []string{"body[3].user.id"}, []string{"Invalid character 'I'"}},
	{"a leading zero", `{"type":"sent","user":{"id":0123}}`, Malformed, []string{"body[3].user"}, []string{"Invalid"}},
	{"a leading plus", `{"type":"sent","user":{"id":+1}}`, Malformed, []string{"body[3].user.id"}, []string{"Invalid"}},
	{"single quotes", `{'type':'sent'}`, Malformed, []string{"body[3]"}, []string{"Invalid character '\\''"}},
	{"a comment", `{"type":"sent" /* why */,"user":{"id":1}}`, Malformed, []string{"body[3]"}, []string{"Invalid character '/'"}},
	{"a comma too many", `{"type":"sent","user":{"id":1,}}`, Malformed, []string{"body[3].user"}, []string{"Invalid character"}},
	{"a bare control character", "{\"type\":\"sent\",\"user\":{\"id\":\"a\nb\"}}", Malformed, []string{"body[3].user.id"}, []string{"Invalid character"}},
	{"invalid UTF-8 in a value", "{\"type\":\"sent\",\"user\":{\"id\":\"\xff\"}}", Malformed, []string{"body[3].user.id"}, []string{"Invalid UTF-8"}},
	{"invalid UTF-8 in a key", "{\"type\":\"sent\",\"user\":{\"id\":1,\"\xc0\xaf\":1}}", Malformed, []string{"body[3].user"}, []string{"Invalid UTF-8"}},
	{"a surrogate as UTF-8", "{\"type\":\"sent\",\"x\":\"\xed\xa0\x80\"}", Malformed, []string{"body[3].x"}, []string{"Invalid UTF-8"}},
	{"a lone high surrogate", `{"type":"sent","x":{"y":["\ud83d"]}}`, Malformed, []string{"body[3].x.y[0]"}, []string{"Invalid surrogate pair"}},
	{"a lone low surrogate", `{"type":"sent","x":"\ude00"}`, Malformed, []string{"body[3].x"}, []string{"Invalid surrogate pair"}},
	{"a surrogate before another escape", `{"type":"sent","x":"\ud83d\n"}`, Malformed, []string{"body[3].x"}, []string{"Invalid surrogate pair"}},
	{"an unknown escape", `{"type":"sent","x":"\x41"}`, Malformed, []string{"body[3].x"}, []string{"Invalid escape"}},
	{"a key twice at the top", `{"type":"sent","user":{"id":1},"type":"opened"}`, Malformed, []string{"body[3].type"}, []string{"there twice"}},
	{"a key twice in the user", `{"type":"sent","user":{"id":1,"id":2}}`, Malformed, []string{"body[3].user.id"}, []string{"there twice"}},
	{"a key twice deep inside", `{"type":"sent","user":{"id":1},"x":[{},{"a b":1,"a b":2}]}`, Malformed, []string{`body[3].x[1]["a b"]`}, []string{"there twice"}},
	{"a key twice, once with an escape", `{"type":"sent","ty\u0070e":"opened"}`, Malformed, []string{"body[3].type"}, []string{"there twice"}},
	{"telltale twice", `{"type":"sent","user":{"id":1},"telltale":{},"telltale":{}}`, Malformed, []string{"body[3].telltale"}, []string{"there twice"}},
	{"faults before the syntax ends are reported too", `{"type":"sent","telltale":1,"user":{"id":1},]`, Malformed,
		[]string{"body[3].telltale", "body[3]"}, []string{"a number", "Invalid character"}},

	{"too many bytes", `{"type":"sent","user":{"id":1},"x":"` + strings.Repeat("x", MaxEventBytes) + `"}`, TooLarge, []string{"body[3]"}, []string{"262182 bytes"}},
	{"too many brackets", strings.Repeat("[", MaxEventBytes), Invalid, []string{"body[3]"}, []string{"nested too deeply"}},
	{"33 levels", `{"type":"sent","user":{"id":1},"x":` + nested(MaxDepth) + `}`, Invalid, []string{"body[3]"}, []string{"nested too deeply"}},
	{"33 levels, of them one the user", `{"type":"sent","user":{"id":1,"x":` + nested(MaxDepth-1) + `}}`, Invalid, []string{"body[3]"}, []string{"nested too deeply"}},
	{"a number of 65 characters", `{"type":"sent","user":{"id":1},"x":` + strings.Repeat("9", MaxNumberChars+1) + `}`, Invalid, []string{"body[3].x"}, []string{"number is too long"}},
	{"a number of 10,000 digits", `{"type":"sent","user":{"id":` + strings.Repeat("9", 10_000) + `}}`, Invalid, []string{"body[3].user.id"}, []string{"number is too long"}},
	{"an exponent of four digits", `{"type":"sent","user":{"id":1},"x":{"y":[0,1e-1000]}}`, Invalid, []string{"body[3].x.y[1]"}, []string{"number is too long"}},
	{"a key of 256 bytes at the top", `{"type":"sent","user":{"id":1},"` + strings.Repeat("k", MaxKeyBytes+1) + `":1}`, Invalid,
		[]string{`body[3]["` + strings.Repeat("k", MaxFaultValue) + `…"]`}, []string{"key is too long"}},
	{"a key of 256 bytes deep inside", `{"type":"sent","user":{"id":1},"x":[{"` + strings.Repeat("é", 128) + `":1}]}`, Invalid,
		[]string{`body[3].x[0]["` + strings.Repeat("é", MaxFaultValue/2) + `…"]`}, []string{"key is too long"}},
	{"101 extra keys in the user", `{"type":"sent","user":{"id":1,` + objectOf(MaxExtraKeys + 1)[1:] + `}`, Invalid, []string{"body[3].user"}, []string{"too many keys"}},
	{"101 extra keys at the top", `{"type":"sent","user":{"id":1},` + objectOf(MaxExtraKeys + 1)[1:], Invalid, []string{"body[3]"}, []string{"too many keys"}},
	{"10,000 keys at the top", `{"type":"sent","user":{"id":1},` + objectOf(10_000)[1:], Invalid, []string{"body[3]"}, []string{"too many keys"}},
	{"101 keys in an extra object", `{"type":"sent","user":{"id":1},"x":` + objectOf(MaxExtraKeys+1) + `}`, Invalid, []string{"body[3].x"}, []string{"too many keys"}},
	{"101 keys in a campaign that is not documented", `{"type":"resubscribed","user":{"id":1},"campaign":` + objectOf(MaxExtraKeys+1) + `}`, Invalid, []string{"body[3].campaign"}, []string{"too many keys"}},

	{"an array", `[{"type":"sent"}]`, Invalid, []string{"body[3]"}, []string{"an array"}},
	{"a string", `"sent"`, Invalid, []string{"body[3]"}, []string{"a string"}},
	{"null", `null`, Invalid, []string{"body[3]"}, []string{"null"}},
	{"an empty object", `{}`, Invalid, []string{"body[3].type", "body[3].user"}, []string{"type is missing", "user is missing"}},
	{"no type", `{"user":{"id":1}}`, Invalid, []string{"body[3].type"}, []string{"type is missing"}},
	{"a type of null", `{"type":null,"user":{"id":1}}`, Invalid, []string{"body[3].type"}, []string{"type is missing"}},
	{"a type of no letters", `{"type":"","user":{"id":1}}`, Invalid, []string{"body[3].type"}, []string{"type is missing"}},
	{"a type of a number", `{"type":7,"user":{"id":1}}`, Invalid, []string{"body[3].type"}, []string{"a number"}},
	{"a type of none of the twelve", `{"type":"bounce","user":{"id":1}}`, Invalid, []string{"body[3].type"}, []string{"no such event type"}},
	{"a type in capitals", `{"type":"SENT","user":{"id":1}}`, Invalid, []string{"body[3].type"}, []string{"no such event type"}},
	{"no user", `{"type":"sent"}`, Invalid, []string{"body[3].user"}, []string{"user is missing"}},
	{"a user of null", `{"type":"sent","user":null}`, Invalid, []string{"body[3].user"}, []string{"user is missing"}},
	{"a user of a number", `{"type":"sent","user":7}`, Invalid, []string{"body[3].user"}, []string{"a number"}},
	{"an empty user", `{"type":"sent","user":{}}`, Invalid, []string{"body[3].user"}, []string{"user is missing"}},
	{"a user without id and email", `{"type":"sent","user":{"name":"Steve"}}`, Invalid, []string{"body[3].user.id"}, []string{"neither an id nor an email"}},
	{"a user with nothing in id and email", `{"type":"sent","user":{"id":null,"email":""}}`, Invalid, []string{"body[3].user.id"}, []string{"neither an id nor an email"}},
	{"a user's id of a boolean", `{"type":"sent","user":{"id":true}}`, Invalid, []string{"body[3].user.id"}, []string{"a boolean"}},
	{"a user's id of an array, though there is an email", `{"type":"sent","user":{"id":[1],"email":"a@b.c"}}`, Invalid, []string{"body[3].user.id"}, []string{"an array"}},
	{"a user's id of 256 characters", `{"type":"sent","user":{"id":"` + strings.Repeat("é", 256) + `"}}`, Invalid, []string{"body[3].user.id"}, []string{"too long"}},
	{"a user's id of 999 digits", `{"type":"sent","user":{"id":1e998}}`, Invalid, []string{"body[3].user.id"}, []string{"number is too long"}},
	{"an email of a number", `{"type":"sent","user":{"email":1}}`, Invalid, []string{"body[3].user.email"}, []string{"a number"}},
	{"\\u0000 in the user's id", `{"type":"sent","user":{"id":"a\u0000"}}`, Invalid, []string{"body[3].user.id"}, []string{`\u0000`}},
	{"\\u0000 in the email", `{"type":"sent","user":{"email":"\u0000"}}`, Invalid, []string{"body[3].user.email"}, []string{`\u0000`}},
	{"\\u0000 in the message id", `{"type":"sent","user":{"id":1},"message_id":"a\u0000"}`, Invalid, []string{"body[3].message_id"}, []string{`\u0000`}},
	{"\\u0000 in the message id of unsubscribed", `{"type":"unsubscribed","user":{"id":1},"campaign":{"message_id":"a\u0000"}}`, Invalid, []string{"body[3].campaign.message_id"}, []string{`\u0000`}},
	{"\\u0000 in the campaign's id", `{"type":"sent","user":{"id":1},"campaign":{"id":"\u0000"}}`, Invalid, []string{"body[3].campaign.id"}, []string{`\u0000`}},
	{"a message id of 999 bytes", `{"type":"sent","user":{"id":1},"message_id":"` + strings.Repeat("m", MaxMessageID+1) + `"}`, Invalid, []string{"body[3].message_id"}, []string{"too long"}},
	{"a message id wider than an index", `{"type":"sent","user":{"id":1},"message_id":"` + strings.Repeat("é", 600) + `"}`, Invalid, []string{"body[3].message_id"}, []string{"too long"}},
	{"a message id of a number", `{"type":"sent","user":{"id":1},"message_id":12345678901234567}`, Invalid, []string{"body[3].message_id"}, []string{"a number"}},
	{"a campaign of a string", `{"type":"sent","user":{"id":1},"campaign":"Newsletter"}`, Invalid, []string{"body[3].campaign"}, []string{"a string"}},
	{"a campaign's id with a fraction", `{"type":"sent","user":{"id":1},"campaign":{"id":1.0}}`, Invalid, []string{"body[3].campaign.id"}, []string{"fraction"}},
	{"a campaign's name of a number", `{"type":"sent","user":{"id":1},"campaign":{"name":1}}`, Invalid, []string{"body[3].campaign.name"}, []string{"a number"}},
	{"a channel that there is not", `{"type":"sent","user":{"id":1},"campaign":{"channel":"fax"}}`, Invalid, []string{"body[3].campaign.channel"}, []string{"none of those"}},
	{"a bounce type that there is not", `{"type":"bounced","user":{"id":1},"bounce_type":"Hard"}`, Invalid, []string{"body[3].bounce_type"}, []string{"none of those"}},
	{"a bounce code of a string", `{"type":"bounced","user":{"id":1},"bounce_code":"550"}`, Invalid, []string{"body[3].bounce_code"}, []string{"a string"}},
	{"a bounce code with an exponent", `{"type":"bounced","user":{"id":1},"bounce_code":55e1}`, Invalid, []string{"body[3].bounce_code"}, []string{"exponent"}},
	{"a time of a string", `{"type":"sent","user":{"id":1},"sent_at":"1435016238"}`, Invalid, []string{"body[3].sent_at"}, []string{"a string"}},
	{"a time with a fraction", `{"type":"sent","user":{"id":1},"sent_at":1435016238.5}`, Invalid, []string{"body[3].sent_at"}, []string{"fraction"}},
	{"a time with an exponent", `{"type":"sent","user":{"id":1},"sent_at":1e9}`, Invalid, []string{"body[3].sent_at"}, []string{"exponent"}},
	{"a time before 1970", `{"type":"sent","user":{"id":1},"sent_at":-1}`, Invalid, []string{"body[3].sent_at"}, []string{"out of range"}},
	{"a time of minus nothing", `{"type":"sent","user":{"id":1},"sent_at":-0}`, Invalid, []string{"body[3].sent_at"}, []string{"out of range"}},
	{"a time after 9999", `{"type":"sent","user":{"id":1},"sent_at":25340230080000000000}`, Invalid, []string{"body[3].sent_at"}, []string{"out of range."}},
	{"a time in milliseconds", `{"type":"sent","user":{"id":1},"sent_at":1435016238000}`, Invalid, []string{"body[3].sent_at"}, []string{"looks like milliseconds"}},
	{"a triggering event's time of a string", `{"type":"complained","user":{"id":1},"event":{"triggered_at":"now"}}`, Invalid, []string{"body[3].event.triggered_at"}, []string{"a string"}},
	{"a triggering event's data of an array", `{"type":"complained","user":{"id":1},"event":{"data":[]}}`, Invalid, []string{"body[3].event.data"}, []string{"an array"}},
	{"an action of another type", `{"type":"user_updated","user":{"id":1},"action":"user_created"}`, Invalid, []string{"body[3].action"}, []string{"none of those"}},
	{"changes of an array", `{"type":"user_updated","user":{"id":1},"changes":[]}`, Invalid, []string{"body[3].changes"}, []string{"an array"}},
	{"tags of an array", `{"type":"user_updated","user":{"id":1},"changes":{"_tags":["a"]}}`, Invalid, []string{"body[3].changes._tags"}, []string{"an array"}},
	{"added tags of a string", `{"type":"user_updated","user":{"id":1},"changes":{"_tags":{"add":"a"}}}`, Invalid, []string{"body[3].changes._tags.add"}, []string{"a string"}},
	{"an added tag of a number", `{"type":"user_updated","user":{"id":1},"changes":{"_tags":{"add":["a",1,{}]}}}`, Invalid,
		[]string{"body[3].changes._tags.add[1]", "body[3].changes._tags.add[2]"}, []string{"a number", "an object"}},

	{"TYPE beside type", `{"type":"sent","user":{"id":1},"TYPE":"opened"}`, Invalid, []string{"body[3].TYPE"}, []string{"only in case"}},
	{"TYPE without type", `{"TYPE":"sent","user":{"id":1}}`, Invalid, []string{"body[3].type", "body[3].TYPE"}, []string{"missing", "only in case"}},
	{"Email beside email", `{"type":"sent","user":{"email":"a@b.c","Email":"x@y.z"}}`, Invalid, []string{"body[3].user.Email"}, []string{"only in case"}},
	{"user with a long s", `{"type":"sent","user":{"id":1},"uſer":{"id":2}}`, Invalid, []string{`body[3]["uſer"]`}, []string{"only in case"}},
	{"a campaign's Trigger-Event", `{"type":"sent","user":{"id":1},"campaign":{"Trigger-Event":"x"}}`, Invalid, []string{"body[3].campaign.Trigger-Event"}, []string{"only in case"}},
	{"Telltale", `{"type":"sent","user":{"id":1},"Telltale":{"id":"a"}}`, Invalid, []string{"body[3].Telltale"}, []string{"reserved"}},

	{"telltale of a string", `{"type":"sent","user":{"id":1},"telltale":"a"}`, Invalid, []string{"body[3].telltale"}, []string{"a string"}},
	{"a key that telltale does not have", `{"type":"sent","user":{"id":1},"telltale":{"ID":"a","ocurred_at":1}}`, Invalid,
		[]string{"body[3].telltale.ID", "body[3].telltale.ocurred_at"}, []string{"no such key", "no such key"}},
	{"wrong kinds in telltale", `{"type":"sent","user":{"id":1},"telltale":{"id":1,"occurred_at":"now","provider_message_id":{},"conversion_event":[],"url":7,"ip":false,"machine":"yes"}}`, Invalid,
		[]string{"body[3].telltale.id", "body[3].telltale.occurred_at", "body[3].telltale.provider_message_id", "body[3].telltale.conversion_event", "body[3].telltale.url", "body[3].telltale.ip", "body[3].telltale.machine"},
		[]string{"a number", "a string", "an object", "an array", "a number", "a boolean", "a string"}},
	{"values out of bounds in telltale", `{"type":"sent","user":{"id":1},"telltale":{"id":"` + strings.Repeat("i", 256) + `","occurred_at":253402300800,"provider_message_id":"\u0000","url":"http://a/\r\nX-Evil: 1","ip":"300.1.1.1"}}`, Invalid,
		[]string{"body[3].telltale.occurred_at", "body[3].telltale.id", "body[3].telltale.provider_message_id", "body[3].telltale.url", "body[3].telltale.ip"},
		[]string{"out of range", "too long", `\u0000`, "control characters", "no IP address"}},
	{"an address with a zone", `{"type":"sent","user":{"id":1},"telltale":{"ip":"fe80::1%eth0"}}`, Invalid, []string{"body[3].telltale.ip"}, []string{"no IP address"}},
	{"a link of 4,097 bytes", `{"type":"sent","user":{"id":1},"telltale":{"url":"` + strings.Repeat("u", MaxLinkBytes+1) + `"}}`, Invalid, []string{"body[3].telltale.url"}, []string{"too long"}},

	{"every fault is reported", `{"type":"bounced","user":{"id":{},"email":5},"bounce_type":"medium","bounced_at":"x","campaign":{"id":[],"subject":{}},"message_id":true}`, Invalid,
		[]string{"body[3].bounce_type", "body[3].bounced_at", "body[3].message_id", "body[3].user.id", "body[3].user.email", "body[3].campaign.id", "body[3].campaign.subject"},
		[]string{"none of those", "a string", "a boolean", "an object", "a number", "an array", "an object"}},
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	for _, test := range badInputs {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseActivity([]byte(test.in), "body[3]")
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("the error is %v, want an Error", err)
			}
			if e.Code != test.code {
				t.Errorf("the code is %s, want %s", e.Code, test.code)
			}
			var at []string
			for i, f := range e.Faults {
				at = append(at, f.Location)
				if i < len(test.says) && !strings.Contains(f.Message, test.says[i]) {
					t.Errorf("fault %d says %q, want %q in it", i, f.Message, test.says[i])
				}
				if f.Expected == "" || !strings.HasSuffix(f.Message, ".") {
					t.Errorf("the fault says too little: %+v", f)
				}
				if len(f.Value) > MaxFaultValue+len("…") || len(f.Location) > 400 {
					t.Errorf("the fault is not cut: %+v", f)
				}
			}
			if d := cmp.Diff(test.at, at); d != "" {
				t.Error("locations (-want +got)\n" + d)
			}
		})
	}
}

func TestFaultsOfOneEventAreBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("1", MaxNumberChars+1)
	_, err := ParseActivity([]byte(`{"type":"sent","user":{"id":1},"x":[`+strings.Repeat(long+",", 1000)+`1]}`), "body")
	var e *Error
	if !errors.As(err, &e) || len(e.Faults) != maxFaults {
		t.Fatalf("there are %d faults, want %d", len(e.Faults), maxFaults)
	}
}

func TestInputAtTheBoundsIsTaken(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"32 levels":                     `{"type":"sent","user":{"id":1},"x":` + nested(MaxDepth-1) + `}`,
		"256 KiB":                       `{"type":"sent","user":{"id":1}}` + strings.Repeat(" ", MaxEventBytes-31),
		"a number of 64 characters":     `{"type":"sent","user":{"id":` + strings.Repeat("9", MaxNumberChars) + `}}`,
		"an exponent of three digits":   `{"type":"sent","user":{"id":1},"x":-1.5E-999}`,
		"a key of 255 bytes":            `{"type":"sent","user":{"id":1},"` + strings.Repeat("k", MaxKeyBytes) + `":1}`,
		"100 extra keys at the top":     `{"type":"sent","user":{"id":1},` + objectOf(MaxExtraKeys)[1:],
		"100 extra keys in the user":    `{"type":"sent","user":{"id":1,"email":"a",` + objectOf(MaxExtraKeys)[1:] + `}`,
		"100 keys in an extra object":   `{"type":"sent","user":{"id":1},"x":` + objectOf(MaxExtraKeys) + `}`,
		"a user's id of 255 characters": `{"type":"sent","user":{"id":"` + strings.Repeat("😀", MaxIDChars) + `"}}`,
		"the first second":              `{"type":"sent","user":{"id":1},"sent_at":0}`,
		"the last second":               `{"type":"sent","user":{"id":1},"sent_at":253402300799}`,
		"a message id of 998 bytes":     `{"type":"sent","user":{"id":1},"message_id":"` + strings.Repeat("m", MaxMessageID) + `"}`,
	} {
		if _, err := ParseActivity([]byte(in), "body"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTelltaleIsReadAndNotSentOn(t *testing.T) {
	t.Parallel()
	a, err := ParseActivity([]byte(`{"telltale":{"id":"my \u0069d.\r\n","occurred_at":1435016238,"provider_message_id":"<p@q>","conversion_event":"Bought It",
		"url":"https://example.com/?a=b&c=<d>","ip":"2001:db8::1","machine":false},"type":"failed","user":{"id":1}}`), "body")
	if err != nil {
		t.Fatal(err)
	}
	if a.CallerID != "my id.\r\n" || a.ProviderMessageID != "<p@q>" || a.ConversionEvent != "Bought It" ||
		a.URL != "https://example.com/?a=b&c=<d>" || a.IP != "2001:db8::1" || a.Machine == nil || *a.Machine ||
		!a.OccurredAt.Equal(time.Unix(1435016238, 0)) {
		t.Errorf("the activity is %+v", a)
	}
	r, faults := a.Render(receipt)
	if faults != nil || string(r.Payload) != `{"type":"failed","user":{"id":1}}` {
		t.Errorf("the payload is %s, faults %v", r.Payload, faults)
	}

	a, err = ParseActivity([]byte(`{"telltale":{"id":null,"occurred_at":null,"provider_message_id":"","url":"","ip":null,"machine":null,"conversion_event":""},"type":"failed","user":{"id":1}}`), "body")
	if err != nil {
		t.Fatal(err)
	}
	if a.CallerID != "" || !a.OccurredAt.IsZero() || a.Machine != nil || a.URL != "" || a.IP != "" {
		t.Errorf("of what is empty the activity is %+v", a)
	}
	for _, none := range []string{`null`, `""`, `{}`} {
		if _, err := ParseActivity([]byte(`{"telltale":`+none+`,"type":"failed","user":{"id":1}}`), "body"); err != nil {
			t.Errorf("telltale of %s: %v", none, err)
		}
	}
}

func TestActivitySharesNothingWithItsInput(t *testing.T) {
	t.Parallel()
	raw := schema.Sample("bounced")
	a, err := ParseActivity(raw, "body")
	if err != nil {
		t.Fatal(err)
	}
	clear(raw)
	r, faults := a.Render(receipt)
	if want := schema.Sample("bounced"); faults != nil || !bytes.Equal(r.Payload, want) {
		t.Errorf("the payload is\n%s, want\n%s", r.Payload, want)
	}
}

func TestMembersAddedToOneSectionLeaveTheOthers(t *testing.T) {
	t.Parallel()
	a, err := ParseActivity([]byte(`{"type":"sent","sent_at":1,"user":{"id":1},"campaign":{"id":2}}`), "body")
	if err != nil {
		t.Fatal(err)
	}
	other := a.Clone()
	a.Top.SetString("message_id", "m")
	a.User.SetString("email", "a@b.c")
	other.User.SetInt("id", 9)
	r, faults := a.Render(receipt)
	if want := `{"sent_at":1,"type":"sent","user":{"id":1,"email":"a@b.c"},"campaign":{"id":2},"message_id":"m"}`; faults != nil || string(r.Payload) != want {
		t.Errorf("the payload is\n%s, want\n%s", r.Payload, want)
	}
}

func TestSplitArray(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		in   string
		want []string
		code Code
		at   string
	}{
		{name: "an empty array", in: " [ \n] "},
		{name: "one element", in: `[{"a":1}]`, want: []string{`{"a":1}`}},
		{name: "whitespace around elements is left out", in: "\t[ {\"a\" : 1} ,\r\n 2,\"x\" ]\n", want: []string{`{"a" : 1}`, `2`, `"x"`}},
		{name: "brackets and commas in strings are text", in: `["],[",{"\"}":"\\"},"\\\","]`, want: []string{`"],["`, `{"\"}":"\\"}`, `"\\\","`}},
		{name: "arrays in an element are its own", in: `[[1,2],{"a":[3,{}]}]`, want: []string{`[1,2]`, `{"a":[3,{}]}`}},
		{name: "nothing", in: ``, code: Malformed, at: "body"},
		{name: "an object", in: `{}`, code: Malformed, at: "body"},
		{name: "an array cut off", in: `[{"a":1},{"b":`, code: Malformed, at: "body[1]"},
		{name: "an array cut off after a comma", in: `[1,`, code: Malformed, at: "body[1]"},
		{name: "a bracket alone", in: `[`, code: Malformed, at: "body[0]"},
		{name: "a comma too many", in: `[1,]`, code: Malformed, at: "body[1]"},
		{name: "a comma alone", in: `[,]`, code: Malformed, at: "body[0]"},
		{name: "a brace too many", in: `[1}]`, code: Malformed, at: "body[0]"},
		{name: "more data behind", in: `[1] [2]`, code: Malformed, at: "body"},
		{name: "four elements", in: `[1,2,3,4]`, code: TooLarge, at: "body"},
		{name: "an element of too many bytes", in: `[1,"` + strings.Repeat("x", MaxEventBytes) + `"]`, code: TooLarge, at: "body[1]"},
		{name: "an element nested too deeply", in: `[1,2,` + nested(MaxDepth+1) + `]`, code: Invalid, at: "body[2]"},
		{name: "brackets without end", in: strings.Repeat("[", 1<<20), code: Invalid, at: "body[0]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			elements, err := SplitArray([]byte(test.in), 3)
			var got []string
			for _, e := range elements {
				got = append(got, string(e))
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Error("elements (-want +got)\n" + d)
			}
			if CodeOf(err) != test.code {
				t.Fatalf("the error is %v, want code %q", err, test.code)
			}
			var e *Error
			if errors.As(err, &e) && (len(e.Faults) != 1 || e.Faults[0].Location != test.at) {
				t.Errorf("the fault is %+v, want it at %s", e.Faults, test.at)
			}
		})
	}
}

// FuzzSplitArray holds SplitArray to its word: with a parser of the elements it
// accepts exactly the JSON arrays.
func FuzzSplitArray(f *testing.F) {
	for _, seed := range []string{`[]`, `[1,{"a":"]"}]`, ` [ "\\" , [[]] ] `, `[1,]`, `[1}]`, `[{]},{[}]`, `[1] x`, `["a`, `["a\"`, `[1 2]`, `[}{]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		elements, err := SplitArray(body, 1000)
		var e *Error
		if errors.As(err, &e) && e.Code != Malformed {
			return // past a bound
		}
		split := err == nil
		for _, e := range elements {
			split = split && json.Valid(e)
		}
		var want []json.RawMessage
		valid := json.Unmarshal(body, &want) == nil && !bytes.Equal(bytes.TrimSpace(body), []byte("null"))
		if split != valid {
			t.Fatalf("split is %v (%v), and a JSON array it is %v", split, err, valid)
		}
		if !valid {
			return
		}
		if len(elements) != len(want) {
			t.Fatalf("there are %d elements, want %d", len(elements), len(want))
		}
		for i := range want {
			if !bytes.Equal(elements[i], want[i]) {
				t.Errorf("element %d is %q, want %q", i, elements[i], want[i])
			}
		}
	})
}

// FuzzParseActivity: whatever comes in, nothing panics; what is taken renders
// without a fault to a payload that keeps to the schema, and that renders to
// itself when it comes in again.
func FuzzParseActivity(f *testing.F) {
	for _, et := range EventTypes() {
		f.Add(schema.Sample(string(et)))
	}
	for _, test := range badInputs {
		if len(test.in) < 4096 {
			f.Add([]byte(test.in))
		}
	}
	for _, test := range renderings {
		f.Add([]byte(test.in))
	}
	schemas := compileSchemas(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := ParseActivity(raw, "body")
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || len(e.Faults) == 0 {
				t.Fatalf("the error has no faults: %v", err)
			}
			return
		}
		if !json.Valid(raw) {
			t.Fatal("what is no JSON was taken")
		}
		r, faults := a.Render(receipt)
		if faults != nil {
			t.Fatalf("what was taken has faults: %v", faults)
		}
		if err := validate(schemas[a.Type], r.Payload); err != nil {
			t.Fatalf("%s does not keep to the schema: %v", r.Payload, err)
		}
		for _, s := range []string{r.UserID, r.Email, r.MessageID, r.CampaignID} {
			if len(s) > maxIndexedBytes || strings.Contains(s, "\x00") {
				t.Errorf("%q cannot be indexed", s)
			}
		}
		if len(r.Payload) > MaxEventBytes {
			return // what was filled in put it past the bound
		}
		again, err := ParseActivity(r.Payload, "body")
		if err != nil {
			t.Fatalf("%s does not come in again: %v", r.Payload, err)
		}
		second, faults := again.Render(receipt)
		if faults != nil || !bytes.Equal(second.Payload, r.Payload) {
			t.Fatalf("rendered again it is\n%s, not\n%s (%v)", second.Payload, r.Payload, faults)
		}
		if second.UserID != r.UserID || second.Email != r.Email || second.MessageID != r.MessageID || second.CampaignID != r.CampaignID {
			t.Errorf("rendered again it is found by %+v, not %+v", second, r)
		}
	})
}

func BenchmarkParseActivity(b *testing.B) {
	raw := schema.Sample("sent")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseActivity(raw, "body"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSplitArray(b *testing.B) {
	body := []byte("[" + strings.Repeat(string(schema.Sample("sent"))+",", 99) + string(schema.Sample("sent")) + "]")
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := SplitArray(body, 1000); err != nil {
			b.Fatal(err)
		}
	}
}
