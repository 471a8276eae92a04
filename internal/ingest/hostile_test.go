package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/httpserver"
	"telltale.example/telltale/internal/ingest"
)

// gate is a server made of the real parts, but for storage: what posts an event
// goes through it from the socket to the store.
type gate struct {
	url   string
	token string
	store *gateStore
}

func newGate(t *testing.T) *gate {
	t.Helper()
	store := &gateStore{project: telltale.NewProject(telltale.DefaultProjectSlug, "Default")}
	var token string
	store.key, token = telltale.NewKey(store.project.ID, "ingest", telltale.ScopeIngest)
	log := slog.New(slog.DiscardHandler)
	keys := auth.NewKeys(store, log)
	in := ingest.New(store, noDispatcher{}, nil)

	mux := http.NewServeMux()
	mux.Handle("POST /v1/events", httpserver.Handle(func(w http.ResponseWriter, r *http.Request) error {
		id, err := keys.Authenticate(r, telltale.ScopeIngest)
		if err != nil {
			return err
		}
		body, err := httpserver.ReadBody(r, ingest.MaxBody)
		if err != nil {
			return err
		}
		activities, err := ingest.Decode(r.Header.Get("Content-Type"), body)
		if err != nil {
			return err
		}
		if _, err := in.Accept(r.Context(), id.Project, "api", activities); err != nil {
			return err
		}
		w.WriteHeader(http.StatusAccepted)
		return nil
	}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := httpserver.New(httpserver.Wrap(mux, httpserver.Config{}), log)
	ended := make(chan error)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := keys.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &gate{url: "http://" + l.Addr().String() + "/v1/events", token: token, store: store}
}

// gateStore knows one key of one project, and keeps the payloads it accepts.
type gateStore struct {
	ingest.Store
	project  telltale.Project
	key      telltale.Key
	payloads []string
}

func (s *gateStore) KeyByHash(_ context.Context, hash [32]byte) (telltale.Key, error) {
	if hash != s.key.Hash {
		return telltale.Key{}, telltale.Errorf(telltale.NotFound, "There is no such key.")
	}
	return s.key, nil
}

func (s *gateStore) TouchKeys(context.Context, []telltale.KeyID) error { return nil }

func (s *gateStore) Project(context.Context, telltale.ProjectID) (telltale.Project, error) {
	return s.project, nil
}

func (s *gateStore) ProjectBySlug(context.Context, string) (telltale.Project, error) {
	return s.project, nil
}

func (s *gateStore) AcceptEvents(_ context.Context, a telltale.Acceptance) (telltale.Accepted, error) {
	var accepted telltale.Accepted
	for _, e := range a.Events {
		s.payloads = append(s.payloads, string(e.Payload))
		accepted.Events = append(accepted.Events, telltale.AcceptedEvent{ID: e.ID})
	}
	return accepted, nil
}

type noDispatcher struct{}

func (noDispatcher) Reserve(*telltale.Webhook) bool { return false }
func (noDispatcher) Release(*telltale.Webhook)      {}
func (noDispatcher) Offer(telltale.Accepted)        {}

func TestHostileInput(t *testing.T) {
	t.Parallel()
	const event = `{"type":"resubscribed","user":{"id":1}}`
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	io.WriteString(zip, event)
	zip.Close()
	nested := func(levels int) string { // levels in all
		return `{"type":"resubscribed","user":{"id":1,"a":` + strings.Repeat("[", levels-2) + strings.Repeat("]", levels-2) + `}}`
	}
	user := func(value string) string { return `{"type":"resubscribed","user":{"id":1,"a":` + value + `}}` }
	manyKeys := func(n int) string {
		var b strings.Builder
		b.WriteString(`{"type":"resubscribed","user":{"id":1`)
		for i := range n {
			b.WriteString(`,"k` + strings.Repeat("x", i) + `":1`)
		}
		return b.String() + `}}`
	}
	sized := func(size int) string {
		const head, tail = `{"type":"resubscribed","user":{"id":1,"a":"`, `"}}`
		return head + strings.Repeat("x", size-len(head)-len(tail)) + tail
	}

	tests := []struct {
		name    string
		body    string
		header  map[string]string // beside the key and application/json
		chunked bool
		status  int
		says    []string // within the problem
		payload string   // of an accepted event; "" is the body itself
	}{
		{name: "nothing", body: "", status: 400, says: []string{"The body is empty."}},
		{name: "space", body: " \r\n\t", status: 400, says: []string{"The body is empty."}},
		{name: "a word", body: "hello", status: 400, says: []string{`"body"`}},
		{name: "null", body: "null", status: 422, says: []string{"null", "an object"}},
		{name: "a number", body: "42", status: 422, says: []string{"a number", "an object"}},
		{name: "a string", body: `"sent"`, status: 422, says: []string{"a string", "an object"}},
		{name: "half an event", body: `{"type":"sent","user":{"id":1`, status: 400, says: []string{"ends too early"}},
		{name: "half an array", body: "[" + event, status: 400, says: []string{"ends too early"}},
		{name: "an empty object", body: "{}", status: 422, says: []string{"body.type", "The type is missing.", "body.user", "The user is missing."}},
		{name: "an empty array", body: "[]", status: 422, says: []string{"The array is empty."}},
		{name: "single quotes", body: "{'type':'sent'}", status: 400, says: []string{`"body"`}},
		{name: "a comment", body: "/* hi */" + event, status: 400, says: []string{`"body"`}},
		{name: "a comma too many", body: `{"type":"resubscribed","user":{"id":1},}`, status: 400, says: []string{`"body`}},
		{name: "a byte order mark", body: "\ufeff" + event, status: 400, says: []string{"byte order mark"}},
		{name: "UTF-16", body: "\xff\xfe{\x00}\x00", status: 400, says: []string{`"body"`}},
		{name: "invalid UTF-8 in a value", body: user("\"\xc3\x28\""), status: 400, says: []string{"body.user", "UTF-8"}},
		{name: "invalid UTF-8 in a key", body: "{\"type\":\"resubscribed\",\"user\":{\"id\":1,\"\xff\":1}}", status: 400, says: []string{"UTF-8"}},
		{name: "an overlong encoding", body: user("\"\xc0\x80\""), status: 400, says: []string{"UTF-8"}},
		{name: "a lone surrogate", body: user(`"\ud800"`), status: 400, says: []string{"body.user"}},
		{name: "surrogates the wrong way round", body: user(`"\udc00\ud800"`), status: 400, says: []string{"body.user"}},
		{name: "an escape that is none", body: user(`"\x41"`), status: 400, says: []string{"body.user"}},
		{name: "a raw line break in a string", body: user("\"a\nb\""), status: 400, says: []string{"body.user"}},
		{name: "NaN", body: user("NaN"), status: 400, says: []string{"body.user"}},
		{name: "Infinity", body: user("-Infinity"), status: 400, says: []string{"body.user"}},
		{name: "a number in hexadecimal", body: user("0x10"), status: 400, says: []string{"body.user"}},
		{name: "a number with a leading zero", body: user("007"), status: 400, says: []string{"body.user"}},
		{name: "a number of 10,000 digits", body: user(strings.Repeat("9", 10_000)), status: 422, says: []string{"body.user.a", "The number is too long.", "at most 64 characters"}},
		{name: "a number of 65 characters", body: user(strings.Repeat("9", 65)), status: 422, says: []string{"The number is too long."}},
		{name: "an exponent of four digits", body: user("1e1000"), status: 422, says: []string{"body.user.a", "The number is too long."}},
		{name: "a key that is there twice", body: `{"type":"resubscribed","user":{"id":1,"id":2}}`, status: 400, says: []string{"body.user.id", "twice"}},
		{name: "a type that is there twice", body: `{"type":"resubscribed","type":"sent","user":{"id":1}}`, status: 400, says: []string{"body.type", "twice"}},
		{name: "a key that is there twice by an escape", body: `{"type":"resubscribed","user":{"id":1,"\u0069d":2}}`, status: 400, says: []string{"body.user.id", "twice"}},
		{name: "type beside TYPE", body: `{"type":"resubscribed","TYPE":"sent","user":{"id":1}}`, status: 422, says: []string{"body.TYPE", "case"}},
		{name: "two documents", body: event + event, status: 400, says: []string{"more data after"}},
		{name: "two documents in two lines", body: event + "\n" + event, status: 400, says: []string{"more data after", "application/x-ndjson"}},
		{name: "something behind the array", body: "[" + event + "] x", status: 400, says: []string{"more data after"}},
		{name: "33 levels", body: nested(33), status: 422, says: []string{"nested too deeply", "at most 32 levels"}},
		{name: "5 MiB of brackets", body: strings.Repeat("[", 5<<20), status: 422, says: []string{"nested too deeply"}},
		{name: "an event of 256 KiB and a byte", body: sized(256<<10 + 1), status: 413, says: []string{"The event has 262145 bytes."}},
		{name: "101 keys", body: manyKeys(101), status: 422, says: []string{"body.user", "too many keys", "100"}},
		{name: "a key of 256 bytes", body: `{"type":"resubscribed","user":{"id":1,"` + strings.Repeat("k", 256) + `":1}}`, status: 422, says: []string{"The key is too long.", "255"}},
		{name: "1,001 events", body: "[" + strings.Repeat(event+",", 1000) + event + "]", status: 413, says: []string{"too many events", "at most 1000"}},
		{name: "1,001 lines", body: strings.Repeat(event+"\n", 1001), header: map[string]string{"Content-Type": "application/x-ndjson"}, status: 413, says: []string{"at most 1000"}},
		{name: "5 MiB and a byte", body: strings.Repeat(" ", 5<<20+1), status: 413, says: []string{"larger than 5 MiB"}},
		{name: "5 MiB and a byte in chunks", body: strings.Repeat(" ", 5<<20+1), chunked: true, status: 413, says: []string{"larger than 5 MiB"}},
		{name: "5 MiB of nothing", body: strings.Repeat(" ", 5<<20), status: 400, says: []string{"The body is empty."}},
		{name: "gzip", body: zipped.String(), header: map[string]string{"Content-Encoding": "gzip"}, status: 415, says: []string{"uncompressed"}},
		{name: "gzip that nobody declared", body: zipped.String(), status: 400, says: []string{`"body"`}},
		{name: "XML", body: "<event/>", header: map[string]string{"Content-Type": "text/xml"}, status: 415, says: []string{"application/json", "application/x-ndjson"}},
		{name: "a form", body: "type=sent&user=1", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, status: 415, says: []string{"application/json"}},
		{name: "another charset", body: event, header: map[string]string{"Content-Type": "application/json; charset=latin1"}, status: 415, says: []string{"UTF-8"}},
		{name: "a media type of 10,000 bytes", body: event, header: map[string]string{"Content-Type": strings.Repeat("a", 10_000)}, status: 415, says: []string{"…"}},
		{name: "a type that is none", body: `{"type":"snet","user":{"id":1}}`, status: 422, says: []string{"body.type", `"value":"\"snet\""`, "sent, delivered"}},
		{name: "a type in capitals", body: `{"type":"SENT","user":{"id":1}}`, status: 422, says: []string{"body.type"}},
		{name: "a type that is a number", body: `{"type":1,"user":{"id":1}}`, status: 422, says: []string{"body.type", "a number"}},
		{name: "a type that is a script", body: `{"type":"<script>alert(1)</script>","user":{"id":1}}`, status: 422, says: []string{`<script>alert(1)</script>`}},
		{name: "a user that is a string", body: `{"type":"sent","user":"steve"}`, status: 422, says: []string{"body.user", "a string", "an object"}},
		{name: "a user without id and email", body: `{"type":"sent","user":{"name":"Steve"}}`, status: 422, says: []string{"body.user.id", "user.id or user.email"}},
		{name: "a user whose id is an object", body: `{"type":"sent","user":{"id":{}}}`, status: 422, says: []string{"body.user.id"}},
		{name: "a user whose id has a zero byte", body: `{"type":"sent","user":{"id":"a\u0000b"}}`, status: 422, says: []string{"body.user.id", `\\u0000`}},
		{name: "an id that is far too long", body: `{"type":"sent","user":{"id":"` + strings.Repeat("x", 256) + `"}}`, status: 422, says: []string{"body.user.id", "too long"}},
		{name: "a time in milliseconds", body: `{"type":"sent","sent_at":1435016238000,"user":{"id":1}}`, status: 422, says: []string{"body.sent_at", "milliseconds"}},
		{name: "a time as text", body: `{"type":"sent","sent_at":"2015-06-22T23:37:18Z","user":{"id":1}}`, status: 422, says: []string{"body.sent_at", "whole Unix seconds"}},
		{name: "a time with a fraction", body: `{"type":"sent","sent_at":1435016238.5,"user":{"id":1}}`, status: 422, says: []string{"body.sent_at"}},
		{name: "a time before 1970", body: `{"type":"sent","sent_at":-1,"user":{"id":1}}`, status: 422, says: []string{"body.sent_at", "out of range"}},
		{name: "a time after 9999", body: `{"type":"sent","sent_at":253402300800,"user":{"id":1}}`, status: 422, says: []string{"body.sent_at"}},
		{name: "a reserved key that is unknown", body: `{"type":"sent","user":{"id":1},"telltale":{"project":"x"}}`, status: 422, says: []string{"body.telltale.project", "no such key"}},
		{name: "a link that would end a header", body: `{"type":"clicked","user":{"id":1},"telltale":{"url":"https://a.example/\r\nX-A: b"}}`, status: 422, says: []string{"body.telltale.url", "control characters"}},
		{name: "an address that is none", body: `{"type":"clicked","user":{"id":1},"telltale":{"ip":"127.0.0.1; drop table"}}`, status: 422, says: []string{"body.telltale.ip"}},
		{name: "every fault of several events", body: `[{"type":"sent"},` + event + `,{"type":"bounced","bounce_type":"medium","user":{"email":7}}]`, status: 422,
			says: []string{"2 of 3 events", "body[0].user", "body[2].bounce_type", "body[2].user.email"}},
		{name: "no key", body: event, header: map[string]string{"Authorization": ""}, status: 401, says: []string{"Bearer tt_"}},
		{name: "somebody else's key", body: event, header: map[string]string{"Authorization": "Bearer sk_live_1"}, status: 401, says: []string{"no key of Telltale's"}},

		{name: "an event of 256 KiB", body: sized(256 << 10), status: 202},
		{name: "32 levels", body: nested(32), status: 202},
		{name: "100 keys", body: manyKeys(100), status: 202},
		{name: "a zero byte where nothing is found by it", body: user(`"a\u0000b"`), status: 202},
		{name: "a number of 64 digits", body: user(strings.Repeat("9", 64)), status: 202},
		{name: "a number that no float holds", body: user(`[9007199254740993,1.10,-0,1e-7]`), status: 202},
		{name: "a script", body: user(`"<script>alert('&')</script>"`), status: 202},
		{name: "text from right to left", body: user("\"\u202eabc\u202c שלום\""), status: 202},
		{name: "an escape sequence for terminals", body: user(`"\u001b[31mred"`), status: 202},
		{name: "a formula", body: user(`"=HYPERLINK(\"http://a.example\")"`), status: 202},
		{name: "an id with dots, slashes and line breaks", body: `{"type":"resubscribed","user":{"id":"../a.b/c\r\nd"}}`, status: 202},
		{name: "the first second of 1970", body: `{"sent_at":0,"type":"sent","user":{"id":1}}`, status: 202},
		{name: "the last second of 9999", body: `{"sent_at":253402300799,"type":"sent","user":{"id":1}}`, status: 202},
		{name: "an emoji by its surrogates", body: user(`"\ud83d\ude00"`), status: 202},
		{name: "an event in chunks", body: event, chunked: true, status: 202},
		{name: "an event as a form, as curl -d sends it", body: event, header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, status: 202},
		{name: "an event that is indented", body: "{\n  \"type\": \"resubscribed\",\n  \"user\": { \"id\": 1 }\n}\n", status: 202, payload: event},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t)
			var body io.Reader = strings.NewReader(test.body)
			if test.chunked {
				body = io.MultiReader(body) // its length cannot be seen
			}
			r, err := http.NewRequestWithContext(t.Context(), "POST", g.url, body)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+g.token)
			r.Header.Set("Content-Type", "application/json")
			for name, value := range test.header {
				r.Header.Set(name, value)
			}
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
			response, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != test.status {
				t.Fatalf("status %d, want %d: %s", response.StatusCode, test.status, text)
			}
			if test.status == http.StatusAccepted {
				want := test.payload
				if want == "" {
					want = test.body
				}
				if len(g.store.payloads) != 1 || g.store.payloads[0] != want {
					t.Errorf("stored %q, want %q", g.store.payloads, want)
				}
				return
			}
			var problem httpserver.Problem
			if err := json.Unmarshal(text, &problem); err != nil || problem.Status != test.status || problem.RequestID == "" || problem.Detail == "" {
				t.Errorf("not a whole problem (%v): %s", err, text)
			}
			if got := response.Header.Get("Content-Type"); got != httpserver.ContentTypeProblem {
				t.Errorf("Content-Type: %s", got)
			}
			for _, words := range test.says {
				if !strings.Contains(string(text), words) {
					t.Errorf("it does not say %q: %s", words, text)
				}
			}
			if len(text) > 64<<10 {
				t.Errorf("the problem has %d bytes", len(text))
			}
			if len(g.store.payloads) > 0 {
				t.Errorf("something was stored: %q", g.store.payloads)
			}
		})
	}
}

func (s *gateStore) Messages(_ context.Context, _ telltale.ProjectID, ids []string) ([]*telltale.Message, error) {
	return make([]*telltale.Message, len(ids)), nil
}

func (s *gateStore) ProfilesByRef(_ context.Context, _ telltale.ProjectID, users []telltale.UserRef) ([]*telltale.Profile, error) {
	return make([]*telltale.Profile, len(users)), nil
}
