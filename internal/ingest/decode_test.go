package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
	"telltale.example/telltale/schema"
)

const (
	event  = `{"type":"resubscribed","user":{"id":1}}`
	asJSON = "application/json"
	asLine = "application/x-ndjson"
)

func TestDecodeTakesEveryForm(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, contentType, body string
		want                    int // events
	}{
		{"one event", asJSON, event, 1},
		{"one event with space around it", asJSON, " \r\n\t" + event + "\n", 1},
		{"an array of one", asJSON, "[" + event + "]", 1},
		{"an array of several, indented", asJSON, "\n[\n  " + event + ",\n  " + event + "\n]\n", 2},
		{"an array of as many as there may be", asJSON, "[" + strings.Repeat(event+",", MaxEvents-1) + event + "]", MaxEvents},
		{"JSON with its charset", "application/json; charset=utf-8", event, 1},
		{"JSON with its charset in another way", `Application/JSON;Charset="UTF-8"`, event, 1},
		{"JSON with a parameter that does not matter", "application/json; q=0.5", event, 1},
		{"a body without a media type", "", event, 1},
		{"an event that curl -d sent", "application/x-www-form-urlencoded", event, 1},
		{"an array that curl -d sent", "application/x-www-form-urlencoded", " [" + event + "]", 1},
		{"a line", asLine, event, 1},
		{"lines", asLine, event + "\n" + event + "\n", 2},
		{"lines without an end", asLine, event + "\n" + event, 2},
		{"lines from Windows", asLine, event + "\r\n" + event + "\r\n", 2},
		{"lines with blank ones between", asLine, "\n" + event + "\n\n \t\r\n" + event + "\n\n", 2},
		{"lines by another name", "application/ndjson; charset=UTF-8", event + "\n" + event, 2},
		{"as many lines as there may be", asLine, strings.Repeat(event+"\n", MaxEvents) + "\n\n", MaxEvents},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			activities, err := Decode(test.contentType, []byte(test.body))
			if err != nil || len(activities) != test.want {
				t.Fatalf("got %d activities, %v, want %d", len(activities), err, test.want)
			}
			for i, a := range activities {
				if a.Type != telltale.Resubscribed || a.UserID() != "1" {
					t.Errorf("activity %d is %s of user %q", i, a.Type, a.UserID())
				}
			}
		})
	}
}

func TestDecodeTakesWhatReceiversGet(t *testing.T) {
	t.Parallel()
	for _, eventType := range telltale.EventTypes() {
		sample := schema.Sample(string(eventType))
		activities, err := Decode(asJSON, sample)
		if err != nil || len(activities) != 1 || activities[0].Type != eventType {
			t.Errorf("%s: got %v, %v", eventType, activities, err)
			continue
		}
		rendered, faults := activities[0].Render(time.Now())
		if len(faults) > 0 || string(rendered.Payload) != string(bytes.TrimSpace(sample)) {
			t.Errorf("%s: rendered\n%s\nwant\n%s\n%v", eventType, rendered.Payload, sample, faults)
		}
	}
}

func TestDecodeSaysWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	big := func(size int) string { // an event of that many bytes
		head, tail := `{"type":"resubscribed","user":{"id":1,"a":"`, `"}}`
		return head + strings.Repeat("x", size-len(head)-len(tail)) + tail
	}
	tests := []struct {
		name, contentType, body string
		code                    telltale.Code
		message                 string   // contains
		faults                  []string // location: part of the message
	}{
		{
			name: "nothing", contentType: asJSON, body: "",
			code: telltale.Malformed, message: "The body is empty.", faults: []string{"body: The body is empty."},
		},
		{
			name: "space", contentType: asJSON, body: " \n ",
			code: telltale.Malformed, message: "The body is empty.",
		},
		{
			name: "an event of Telltale's own", contentType: asJSON, body: `{"type":"webhook.failing","occurred_at":1,"webhook":{"id":"w","url":"u"}}`,
			code: telltale.Invalid, faults: []string{"body.type: This is an operational event: Telltale makes it itself, and it cannot be sent in."},
		},
		{
			name: "blank lines", contentType: asLine, body: "\n\r\n\n",
			code: telltale.Malformed, message: "The body is empty.",
		},
		{
			name: "an empty array", contentType: asJSON, body: "[ ]",
			code: telltale.Invalid, message: "The array is empty.", faults: []string{"body: The array is empty."},
		},
		{
			name: "one event has one location", contentType: asJSON, body: `{"type":"sent","user":{"id":true}}`,
			code: telltale.Invalid, message: "The event is not valid.", faults: []string{"body.user.id: The value is a boolean."},
		},
		{
			name: "events of an array have an index", contentType: asJSON, body: "[" + event + `,{"type":"sent"},` + event + `,{"type":"snet","user":{"id":1}}]`,
			code: telltale.Invalid, message: "2 of 4 events are wrong, and none was accepted.",
			faults: []string{"body[1].user: The user is missing.", "body[3].type: There is no such event type."},
		},
		{
			name: "events of NDJSON have an index and a line", contentType: asLine, body: event + "\n\n" + `{"type":"sent"}` + "\n",
			code: telltale.Invalid, message: "1 of 2 events is not valid, and none was accepted.",
			faults: []string{"body[1].user: Line 3: The user is missing."},
		},
		{
			name: "one that cannot be parsed makes all of them malformed, with every fault", contentType: asLine,
			body: `{"type":"sent"}` + "\n" + `{"type":` + "\n" + event,
			code: telltale.Malformed, message: "2 of 3 events are wrong",
			faults: []string{"body[0].user: Line 1: The user is missing.", "body[1].type: Line 2: "},
		},
		{
			name: "one too large outweighs the rest", contentType: asLine, body: `{` + "\n" + big(telltale.MaxEventBytes+1),
			code: telltale.TooLarge, message: "2 of 2 events are wrong", faults: []string{"body[0]: Line 1: ", "body[1]: Line 2: The event has 262145 bytes."},
		},
		{
			name: "one too large is said so", contentType: asLine, body: event + "\n" + big(telltale.MaxEventBytes+1),
			code: telltale.TooLarge, message: "1 of 2 events is too large, and none was accepted.",
		},
		{
			name: "one event too large", contentType: asJSON, body: big(telltale.MaxEventBytes + 1),
			code: telltale.TooLarge, faults: []string{"body: The event has 262145 bytes."},
		},
		{
			name: "more faults than are listed are counted", contentType: asJSON, body: "[" + strings.Repeat(`{"type":"snet"},`, 99) + `{}]`,
			code: telltale.Invalid, message: "100 of 100 events are wrong, and none was accepted. The first 100 faults are listed; there are 100 more.",
			faults: []string{"body[0].type: There is no such event type.", "body[0].user: The user is missing."},
		},
		{
			name: "an event more than there may be", contentType: asJSON, body: "[" + strings.Repeat(event+",", MaxEvents) + event + "]",
			code: telltale.TooLarge, faults: []string{"body: The array has too many events."},
		},
		{
			name: "a line more than there may be", contentType: asLine, body: strings.Repeat(event+"\n", MaxEvents+1),
			code: telltale.TooLarge, faults: []string{"body: The body has too many lines."},
		},
		{
			name: "a byte more than there may be", contentType: asLine, body: strings.Repeat("\n", MaxBody+1),
			code: telltale.TooLarge, message: "larger than 5 MiB",
		},
		{
			name: "NDJSON sent as JSON is told what to do", contentType: asJSON, body: event + "\n" + event + "\n",
			code: telltale.Malformed, message: "send it with the Content-Type application/x-ndjson", faults: []string{"body: There is more data after"},
		},
		{
			name: "an array as a line", contentType: asLine, body: "[" + event + "]",
			code: telltale.Invalid, faults: []string{"body[0]: Line 1: "},
		},
		{
			name: "an array within an array", contentType: asJSON, body: "[[" + event + "]]",
			code: telltale.Invalid, faults: []string{"body[0]: an array"},
		},
		{
			name: "a byte order mark", contentType: asJSON, body: "\ufeff" + event,
			code: telltale.Malformed, faults: []string{"body: begins with a byte order mark"},
		},
		{
			name: "a byte order mark before lines", contentType: asLine, body: "\ufeff" + event,
			code: telltale.Malformed, faults: []string{"body[0]: byte order mark"},
		},
		{
			name: "a comma after the last event", contentType: asJSON, body: "[" + event + ",]",
			code: telltale.Malformed, faults: []string{"body[1]: There is nothing between two commas or brackets."},
		},
		{
			name: "XML", contentType: "application/xml", body: event,
			code: telltale.UnsupportedMedia, message: `The Content-Type "application/xml" is not one of events. Send application/json`,
		},
		{name: "text", contentType: "text/plain", body: event, code: telltale.UnsupportedMedia},
		{name: "a form", contentType: "application/x-www-form-urlencoded", body: "type=sent", code: telltale.UnsupportedMedia},
		{name: "an empty form", contentType: "application/x-www-form-urlencoded", body: "", code: telltale.UnsupportedMedia},
		{name: "a form of many parts", contentType: "multipart/form-data; boundary=x", body: event, code: telltale.UnsupportedMedia},
		{name: "JSON of another kind", contentType: "application/json-seq", body: event, code: telltale.UnsupportedMedia},
		{
			name: "another charset", contentType: "application/json; charset=iso-8859-1", body: event,
			code: telltale.UnsupportedMedia, message: "has another charset than UTF-8",
		},
		{
			name: "a media type that cannot be read", contentType: "application/json; charset", body: event,
			code: telltale.UnsupportedMedia, message: "cannot be read",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			activities, err := Decode(test.contentType, []byte(test.body))
			var e *telltale.Error
			if !errors.As(err, &e) || activities != nil {
				t.Fatalf("got %d activities and the error %v", len(activities), err)
			}
			if e.Code != test.code || !strings.Contains(e.Message, test.message) {
				t.Errorf("got %s: %q, want %s: %q", e.Code, e.Message, test.code, test.message)
			}
			if len(e.Faults) > MaxFaults {
				t.Errorf("%d faults are listed", len(e.Faults))
			}
			for i, want := range test.faults {
				if i >= len(e.Faults) {
					t.Errorf("there is no fault %q", want)
				} else if at, words, _ := strings.Cut(want, ": "); e.Faults[i].Location != at || !strings.Contains(e.Faults[i].Message, words) {
					t.Errorf("fault %d is %+v, want %q", i, e.Faults[i], want)
				}
			}
		})
	}
}

// Whatever comes in: an error that says what is wrong, or activities that can
// be rendered, the same in every form.
func FuzzDecode(f *testing.F) {
	for _, eventType := range telltale.EventTypes() {
		sample := bytes.TrimSpace(schema.Sample(string(eventType)))
		f.Add(false, sample)
		f.Add(true, fmt.Appendf(nil, "%s\r\n\n%s", sample, sample))
	}
	f.Add(false, []byte("["+event+" , {}]"))
	f.Add(false, []byte("[]"))
	f.Add(false, []byte("\ufeff{}"))
	f.Add(true, []byte("\n{\n"))
	f.Fuzz(func(t *testing.T, lines bool, body []byte) {
		contentType := asJSON
		if lines {
			contentType = asLine
		}
		activities, err := Decode(contentType, body)
		if err != nil {
			var e *telltale.Error
			if !errors.As(err, &e) || e.Message == "" || len(e.Faults) > MaxFaults {
				t.Fatalf("%T: %v", err, err)
			}
			switch e.Code {
			case telltale.Malformed, telltale.Invalid, telltale.TooLarge:
			default:
				t.Fatalf("the code %s: %v", e.Code, err)
			}
			for _, fault := range e.Faults {
				if !strings.HasPrefix(fault.Location, "body") || fault.Message == "" {
					t.Errorf("a fault that does not help: %+v", fault)
				}
			}
			return
		}
		if len(activities) == 0 || len(activities) > MaxEvents {
			t.Fatalf("%d activities", len(activities))
		}
		var again bytes.Buffer
		for i := range activities {
			rendered, faults := activities[i].Render(time.Unix(1_500_000_000, 0))
			if len(faults) > 0 {
				t.Fatalf("activity %d was taken and cannot be rendered: %v", i, faults)
			}
			again.Write(append(rendered.Payload, '\n'))
		}
		twice, err := Decode(asLine, again.Bytes())
		if err != nil || len(twice) != len(activities) {
			t.Fatalf("what was rendered is not taken: %v", err)
		}
		for i := range twice {
			rendered, _ := twice[i].Render(time.Unix(1_600_000_000, 0))
			if want, _ := activities[i].Render(time.Unix(1_500_000_000, 0)); !bytes.Equal(rendered.Payload, want.Payload) {
				t.Errorf("rendered again it differs: %s", cmp.Diff(string(want.Payload), string(rendered.Payload)))
			}
		}
	})
}
