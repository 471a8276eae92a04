package track

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale"
)

// said is what a request comes to, in words: one line for each change.
func said(changes []telltale.UserChange) string {
	lines := make([]string, len(changes))
	for i, c := range changes {
		line := string(c.Kind)
		add := func(name, value string) {
			if value != "" {
				line += " " + name + "=" + value
			}
		}
		add("id", c.User.ID)
		add("email", c.User.Email)
		add("new", c.NewID)
		object := func(name string, o telltale.Object) {
			if o.Len() > 0 {
				add(name, string(o.AppendJSON(nil)))
			}
		}
		object("data", c.Data)
		for _, ch := range c.Channels {
			add("channel", fmt.Sprintf("%s:%s:%s:%s", ch.Type, ch.Address, ch.Platform, ch.Device))
		}
		add("add", strings.Join(c.Add, "|"))
		add("remove", strings.Join(c.Remove, "|"))
		if e := c.Event; e != nil {
			add("event", e.Name)
			object("data", e.Data)
			if !e.OccurredAt.IsZero() {
				add("at", e.OccurredAt.Format(time.RFC3339Nano))
			}
			add("conv", e.Message)
			add("check", e.CheckID)
		}
		lines[i] = line
	}
	return strings.Join(lines, "\n")
}

// ask makes changes of a request to a path, as the handler does.
func ask(path, contentType, body, query string) ([]telltale.UserChange, error) {
	from, err := parseForm(query, "query")
	if err != nil {
		return nil, err
	}
	o, err := parseBody(contentType, []byte(body))
	if err != nil {
		return nil, err
	}
	var wrong faults
	for _, c := range calls {
		if c.path == path {
			changes := c.changes(fields{Object: complete(o, from), wrong: &wrong})
			return changes, wrong.err()
		}
	}
	return nil, errors.New("no such path: " + path)
}

const (
	asJSON = "application/json"
	asForm = "application/x-www-form-urlencoded"
)

func TestWhatRequestsComeTo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                           string
		path, contentType, body, query string
		want                           string
	}{
		{"properties in JSON keep their digits", "users/track", asJSON, `{"id":123,"email":"a@b.c","data":{"plan":"pro","n":1.50e3,"big":9007199254740993}}`, "",
			`identify id=123 email=a@b.c data={"plan":"pro","n":1.50e3,"big":9007199254740993}`},
		{"the same in a form are strings", "users/track", asForm, "id=123&email=a%40b.c&data[plan]=pro&data[first+name]=Ann", "",
			`identify id="123" email=a@b.c data={"plan":"pro","first name":"Ann"}`},
		{"the same in percent signs", "users/track", asForm, "id=1&data%5Bplan%5D=pro", "", `identify id="1" data={"plan":"pro"}`},
		{"JSON in a form keeps its digits", "users/track", asForm, `id=1&data={"n":1.50,"s":"x"}`, "", `identify id="1" data={"n":1.50,"s":"x"}`},
		{"the query alone", "users/track", "", "", `id=1&email=a@b.c&data[plan]=pro`, `identify id="1" email=a@b.c data={"plan":"pro"}`},
		{"the query says what the body does not", "users/track", asJSON, `{"id":1,"email":null}`, `id=2&email=a@b.c`, `identify id=1 email=a@b.c`},
		{"JSON that is called a form, as curl does", "users/track", asForm, ` {"id":1}`, "", `identify id=1`},
		{"JSON that is called text, as beacons do", "users/track", "text/plain;charset=UTF-8", `{"id":1}`, "", `identify id=1`},
		{"JSON that is called nothing", "users/track", "", `{"id":1}`, "", `identify id=1`},
		{"a form that is called nothing", "users/track", "", `id=1`, "", `identify id="1"`},
		{"a media type that cannot be read", "users/track", "application/json; charset", `{"id":1}`, "", `identify id=1`},
		{"an empty body that is called JSON", "users/track", asJSON, "\n", "id=1", `identify id="1"`},
		{"unknown keys say nothing", "users/track", asJSON, `{"id":1,"extra":{"a":[1]},"auth_token":"x"}`, "", `identify id=1`},
		{"null and nothing at all are the same", "users/track", asJSON, `{"id":1,"email":null,"data":null,"channels":null,"phone_number":null}`, "", `identify id=1`},
		{"an empty text says nothing", "users/track", asForm, `id=1&email=&data=&channels=`, "", `identify id="1"`},
		{"empty data and channels wipe nothing", "users/track", asJSON, `{"id":1,"data":{},"channels":[]}`, "", `identify id=1`},
		{"an empty array, which is PHP's empty object", "users/track", asJSON, `{"id":1,"data":[ ],"channels":[]}`, "", `identify id=1`},
		{"only an email", "users/track", asJSON, `{"email":"a@b.c"}`, "", `identify email=a@b.c`},
		{"a phone number is a property", "users/track", asJSON, `{"id":1,"phone_number":"+61 400","data":{"a":1}}`, "", `identify id=1 data={"a":1,"phone_number":"+61 400"}`},
		{"a phone number as a number keeps its digits", "users/track", asJSON, `{"id":1,"phone_number":61400000000}`, "", `identify id=1 data={"phone_number":61400000000}`},
		{"tags among properties are tags", "users/track", asJSON, `{"id":1,"data":{"a":1,"_tags":{"add":["x"],"remove":["y"]}}}`, "", `identify id=1 data={"a":1} add=x remove=y`},

		{"an array of channels", "users/track", asJSON, `{"id":1,"channels":[{"type":"push","address":"t1","platform":"ios","device":"phone"},{"type":"sms","address":61400}]}`, "",
			`identify id=1 channel=push:t1:ios:phone channel=sms:61400::`},
		{"an array in an array of channels", "users/track", asJSON, `{"id":1,"channels":[[{"type":"push","address":"t1"},null]]}`, "", `identify id=1 channel=push:t1::`},
		{"one channel", "users/track", asJSON, `{"id":1,"channels":{"type":"push","address":"t1"}}`, "", `identify id=1 channel=push:t1::`},
		{"channels in brackets with numbers", "users/track", asForm, `id=1&channels[1][type]=sms&channels[0][type]=push&channels[0][address]=t1&channels[1][address]=2`, "",
			`identify id="1" channel=push:t1:: channel=sms:2::`},
		{"channels in brackets without", "users/track", asForm, `id=1&channels[][type]=push&channels[][address]=t1&channels[][type]=sms&channels[][address]=2`, "",
			`identify id="1" channel=push:t1:: channel=sms:2::`},
		{"channels as JSON in a form", "users/track", asForm, `id=1&channels=[{"type":"push","address":"t1"}]`, "", `identify id="1" channel=push:t1::`},

		{"an edit", "users/edit", asJSON, `{"id":"7","changes":{"plan":null,"city":"Oslo"}}`, "", `identify id="7" data={"plan":null,"city":"Oslo"}`},
		{"an edit with tags", "users/edit", asJSON, `{"id":7,"changes":{"_tags":{"add":["a","b"],"remove":"c"}}}`, "", `identify id=7 add=a|b remove=c`},
		{"an edit in a form with tags", "users/edit", asForm, `id=7&changes[city]=Oslo&changes[_tags][add][]=a`, "", `identify id="7" data={"city":"Oslo"} add=a`},
		{"an edit as JSON text", "users/edit", asJSON, `{"id":7,"changes":"{\"city\":\"Oslo\"}"}`, "", `identify id=7 data={"city":"Oslo"}`},
		{"an edit of nothing", "users/edit", asJSON, `{"id":7,"changes":{}}`, "", `identify id=7`},
		{"an edit of nothing in PHP", "users/edit", asJSON, `{"id":7,"changes":[]}`, "", `identify id=7`},

		{"another id", "users/reidentify", asJSON, `{"id":1,"new_id":"x"}`, "", `reidentify id=1 new="x"`},
		{"an opt-out by email", "users/unsubscribe", asForm, `email=a@b.c`, "", `unsubscribe email=a@b.c`},
		{"an opt-in", "users/resubscribe", asJSON, `{"id":1}`, "", `resubscribe id=1`},
		{"an erasure by query", "users/delete", "", "", "id=1", `delete id="1"`},

		{"tags added and removed", "users/tags/edit", asJSON, `{"id":1,"add":["a","b",3,"a"],"remove":["c",null,""]}`, "", `tags id=1 add=a|b|3 remove=c`},
		{"tags in brackets", "users/tags/edit", asForm, `id=1&add[]=a&add[]=b&remove[0]=c`, "", `tags id="1" add=a|b remove=c`},
		{"a name that is there twice is a list", "users/tags/edit", asForm, `id=1&add=a&add=b`, "", `tags id="1" add=a|b`},
		{"tags as JSON text", "users/tags/edit", asForm, `id=1&add=["a","b"]`, "", `tags id="1" add=a|b`},
		{"one tag", "users/tags/edit", asJSON, `{"id":1,"add":"a"}`, "", `tags id=1 add=a`},
		{"two empty lists, as the npm package sends", "users/tags/edit", asJSON, `{"id":1,"add":[],"remove":[]}`, "", `tags id=1`},

		{"an event", "events/track", asJSON, `{"identity":{"id":1,"email":"a@b.c"},"event_name":"Item bought","data":{"sku":1.0},"extras":{"source":"x","created_at":"2023-05-30T04:46:31+0000","vero_conv":"<m@x>","check_id":9}}`, "",
			`track id=1 email=a@b.c event=Item bought data={"sku":1.0} at=2023-05-30T04:46:31Z conv=<m@x> check=9`},
		{"an event of many users", "events/track", asJSON, `{"identity":[{"id":1},{"email":"a@b.c"},"{\"id\":\"x\"}"],"event_name":"e"}`, "",
			"track id=1 event=e\ntrack email=a@b.c event=e\ntrack id=\"x\" event=e"},
		{"an event with its user as JSON text", "events/track", asForm, `identity={"id":1}&event_name=e&data={"a":1}`, "", `track id=1 event=e data={"a":1}`},
		{"an event of many users as JSON text", "events/track", asForm, `identity=[{"id":1},{"id":2}]&event_name=e`, "", "track id=1 event=e\ntrack id=2 event=e"},
		{"an event in brackets", "events/track", asForm, `identity[id]=1&event_name=e&data[a][b]=c&extras[check_id]=k`, "", `track id="1" event=e data={"a":{"b":"c"}} check=k`},
		{"an event of many users in brackets", "events/track", asForm, `identity[0][id]=1&identity[1][email]=a@b.c&event_name=e`, "", "track id=\"1\" event=e\ntrack email=a@b.c event=e"},
		{"an event of whom the request itself names", "events/track", "", "", `id=1&event_name=e`, `track id="1" event=e`},
		{"extras beside the event", "events/track", asJSON, `{"id":1,"event_name":"e","created_at":"2023-05-30","vero_conv":"m","check_id":"k"}`, "", `track id=1 event=e at=2023-05-30T00:00:00Z conv=m check=k`},
		{"extras go before what stands beside the event", "events/track", asJSON, `{"id":1,"event_name":"e","check_id":"b","extras":{"check_id":"a"}}`, "", `track id=1 event=e check=a`},
		{"a time that is none is that of the receipt", "events/track", asJSON, `{"id":1,"event_name":"e","extras":{"created_at":"yesterday"}}`, "", `track id=1 event=e`},
	} {
		changes, err := ask(tt.path, tt.contentType, tt.body, tt.query)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if got := said(changes); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

func TestWhatIsWrongWithRequests(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", telltale.MaxIDChars+1)
	many := func(n int, element string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(element+",", n), ",") + "]"
	}
	for _, tt := range []struct {
		name                           string
		path, contentType, body, query string
		code                           telltale.Code
		want                           string // location: message
	}{
		{"nobody", "users/track", asJSON, `{}`, "", telltale.Invalid, "id: There is neither an id nor an email."},
		{"an id that is a boolean", "users/track", asJSON, `{"id":true}`, "", telltale.Invalid, "id: The value is a boolean."},
		{"an id that is an object", "users/track", asForm, `id[a]=1`, "", telltale.Invalid, "id: The value is an object."},
		{"an id too long", "users/track", asJSON, `{"id":"` + long + `"}`, "", telltale.Invalid, "id: The value is too long."},
		{"an id with too many digits", "users/track", asJSON, `{"id":1e999}`, "", telltale.Invalid, "id: The number is too long."},
		{"an id with a zero character", "users/track", asJSON, `{"id":"a\u0000"}`, "", telltale.Invalid, `id: The value has the character \u0000.`},
		{"an email that is a number", "users/track", asJSON, `{"email":5}`, "", telltale.Invalid, "email: The value is a number."},
		{"an email too long", "users/track", asJSON, `{"email":"` + long + `"}`, "", telltale.Invalid, "email: The value is too long."},
		{"an email among the properties that is too long", "users/track", asJSON, `{"id":1,"data":{"Email":"` + long + `"}}`, "", telltale.Invalid, "data.Email: The value is too long."},
		{"data that is a list", "users/track", asJSON, `{"id":1,"data":[1]}`, "", telltale.Invalid, "data: The value is an array."},
		{"data that is text", "users/track", asForm, `id=1&data=x`, "", telltale.Invalid, "data: The value is a string."},
		{"JSON text that is broken", "users/track", asForm, `id=1&data={"a"`, "", telltale.Invalid, "data.a: The input ends too early."},
		{"too many properties", "users/track", asJSON, `{"id":1,"data":{` + strings.TrimSuffix(numbered(`"k%d":1,`, telltale.MaxExtraKeys+1), ",") + `}}`, "", telltale.Invalid, "body.data: The object has too many keys."},
		{"properties too deep", "users/track", asJSON, `{"id":1,"data":{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}}`, "", telltale.Invalid, "body: "},
		{"a number too long", "users/track", asJSON, `{"id":1,"data":{"a":` + strings.Repeat("1", 65) + `}}`, "", telltale.Invalid, "body.data.a: The number is too long."},
		{"tags that are no object", "users/edit", asJSON, `{"id":1,"changes":{"_tags":5}}`, "", telltale.Invalid, "changes._tags: The value is a number."},
		{"a tag that is an object", "users/edit", asJSON, `{"id":1,"changes":{"_tags":{"add":["a",{}]}}}`, "", telltale.Invalid, "changes._tags.add[1]: The value is an object."},
		{"too many tags", "users/tags/edit", asJSON, `{"id":1,"add":` + many(telltale.MaxTags+1, `"a"`) + `}`, "", telltale.Invalid, "add: The array has too many elements."},
		{"a channel without an address", "users/track", asJSON, `{"id":1,"channels":[{"type":"push"}]}`, "", telltale.Invalid, "channels: The channel lacks its type or its address."},
		{"a channel that is text", "users/track", asJSON, `{"id":1,"channels":["a","b"]}`, "", telltale.Invalid, "channels[0]: The value is a string."},
		{"too many channels", "users/track", asJSON, `{"id":1,"channels":` + many(telltale.MaxChannels+1, `{}`) + `}`, "", telltale.Invalid, "channels: The array has too many elements."},
		{"an edit without changes", "users/edit", asJSON, `{"id":1,"data":{"a":1}}`, "", telltale.Invalid, "changes: The changes are missing."},
		{"no new id", "users/reidentify", asJSON, `{"id":1}`, "", telltale.Invalid, "new_id: The new id is missing."},
		{"a new id that is a list", "users/reidentify", asJSON, `{"id":1,"new_id":[2]}`, "", telltale.Invalid, "new_id: The value is an array."},
		{"no tags", "users/tags/edit", asJSON, `{"id":1}`, "", telltale.Invalid, "add: There is neither add nor remove."},
		{"no event", "events/track", asJSON, `{"identity":{"id":1}}`, "", telltale.Invalid, "event_name: The name of the event is missing."},
		{"an event that is a space", "events/track", asJSON, `{"identity":{"id":1},"event_name":" "}`, "", telltale.Invalid, "event_name: The name of the event is missing."},
		{"an event's name too long", "events/track", asJSON, `{"identity":{"id":1},"event_name":"` + long + `"}`, "", telltale.Invalid, "event_name: The value is too long."},
		{"an event of nobody", "events/track", asJSON, `{"identity":[],"event_name":"e"}`, "", telltale.Invalid, "identity: The event is of nobody."},
		{"an event of somebody without a name", "events/track", asJSON, `{"identity":[{"id":1},{"name":"x"}],"event_name":"e"}`, "", telltale.Invalid, "identity[1].id: There is neither an id nor an email."},
		{"an event of somebody who is null", "events/track", asJSON, `{"identity":[{"id":1},null],"event_name":"e"}`, "", telltale.Invalid, "identity[1]: The value is null."},
		{"an event of too many users", "events/track", asJSON, `{"identity":` + many(MaxIdentities+1, `{"id":1}`) + `,"event_name":"e"}`, "", telltale.Invalid, "identity: The array has too many elements."},
		{"extras that are text", "events/track", asJSON, `{"id":1,"event_name":"e","extras":"x"}`, "", telltale.Invalid, "extras: The value is a string."},

		{"JSON that breaks off", "users/track", asJSON, `{"id":1`, "", telltale.Malformed, "body: The input ends too early."},
		{"a form that is called JSON", "users/track", asJSON, `id=1`, "", telltale.Malformed, "body: "},
		{"an array", "users/track", asJSON, `[{"id":1}]`, "", telltale.Invalid, "body: The value is an array."},
		{"a key that is there twice", "users/track", asJSON, `{"id":1,"id":2}`, "", telltale.Malformed, "body.id: The key is there twice."},
		{"what is no UTF-8", "users/track", asJSON, "{\"id\":\"\xff\"}", "", telltale.Malformed, "body.id: "},
		{"a form with a broken percent sign", "users/track", asForm, `id=1&email=%zz`, "", telltale.Malformed, "body: Value 2 cannot be read."},
		{"a form that is no UTF-8", "users/track", asForm, `id=%ff`, "", telltale.Malformed, "body: Value 1 cannot be read."},
		{"a query with a broken percent sign", "users/track", asForm, ``, "id=%", telltale.Malformed, "query: Value 1 cannot be read."},
		{"a name for a value and an object", "users/track", asForm, `id=1&data=x&data[a]=y`, "", telltale.Malformed, "data[a]: The name stands for a value and for a list or an object."},
		{"a name for an object and a value", "users/track", asForm, `id=1&data[a]=y&data=x`, "", telltale.Malformed, "data: The name stands for a value and for a list or an object."},
		{"too many brackets", "users/track", asForm, `id=1&data` + strings.Repeat("[a]", 40) + `=y`, "", telltale.Malformed, "The name has too many brackets."},
		{"too many values in a form", "users/track", asForm, numbered("k%d=1&", maxPairs+1), "", telltale.TooLarge, "The body has more than 1000 values."},
		{"too much JSON", "users/track", asJSON, `{"id":1,"x":"` + strings.Repeat("x", MaxBody) + `"}`, "", telltale.TooLarge, ""},
		{"an upload", "users/track", "multipart/form-data; boundary=x", "--x--", "", telltale.UnsupportedMedia, "The body is of the type multipart/form-data."},
	} {
		_, err := ask(tt.path, tt.contentType, tt.body, tt.query)
		if telltale.CodeOf(err) != tt.code || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %s %v; want %s %s", tt.name, telltale.CodeOf(err), err, tt.code, tt.want)
		}
	}
}

// numbered repeats the format for 0 to n-1.
func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestTimesOfEvents(t *testing.T) {
	t.Parallel()
	at := time.Date(2023, 5, 30, 4, 46, 31, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2023-05-30T04:46:31Z":          at,
		"2023-05-30T04:46:31.250Z":      at.Add(250 * time.Millisecond),
		"2023-05-30T06:46:31+02:00":     at,
		"2023-05-30T06:46:31+0200":      at,
		"2023-05-30T06:46:31+02":        at,
		"2023-05-30T06:46:31 0200":      at, // a form made a space of the plus
		"2023-05-30 06:46:31 +0200":     at,
		"2023-05-30 04:46:31 UTC":       at,
		"2023-05-30 04:46:31":           at,
		"2023-05-30T04:46:31":           at,
		"2023-05-30T04:46":              at.Truncate(time.Minute),
		"20230530T044631Z":              at,
		"2023-05-30":                    at.Truncate(24 * time.Hour),
		"1685421991":                    {},
		"30/05/2023":                    {},
		"0001-01-01T00:00:00Z":          {},
		"2023-13-30T04:46:31Z":          {},
		"":                              {},
		" ":                             {},
		"T":                             {},
		"2023-05-30T04:46:31Z and more": {},
	} {
		if got := parseTime(text); !got.Equal(want) {
			t.Errorf("%q is %s; want %s", text, got, want)
		}
	}
}

// Whatever comes in, what comes of it can be applied to a profile and rendered.
func FuzzRequests(f *testing.F) {
	f.Add("users/track", asJSON, `{"id":123,"email":"a@b.c","data":{"plan":"pro","_tags":{"add":["x"]}},"channels":[[{"type":"push","address":"t"}]]}`, "")
	f.Add("users/edit", asForm, "id=1&changes[a][][b]=1&changes[a][][b]=2&changes[Email]=x", "auth_token=x")
	f.Add("users/tags/edit", "", "add[]=a&add[]=b&remove=[\"c\"]", "id=1")
	f.Add("events/track", asForm, `identity=[{"id":1e999},{"email":"x"}]&event_name=e&data={"a":1}`, "created_at=2023-05-30")
	f.Add("users/reidentify", asJSON, `{"id":-0.0,"new_id":"\u0000"}`, "")
	now := time.Now()
	f.Fuzz(func(t *testing.T, path, contentType, body, query string) {
		changes, err := ask(path, contentType, body, query)
		if err != nil {
			return
		}
		if len(changes) == 0 || len(changes) > MaxIdentities {
			t.Fatalf("%d changes", len(changes))
		}
		for _, c := range changes {
			if c.User.UserID() == "" {
				t.Fatal("a change of nobody")
			}
			effect, err := c.On("prj_1", nil, nil, now)
			if err != nil {
				continue // a bound of profiles
			}
			for _, a := range effect.Activities {
				if _, wrong := a.Render(now); len(wrong) > 0 {
					t.Fatalf("%s cannot be rendered: %v", said(changes), wrong)
				}
			}
		}
	})
}
