package track

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/httpserver"
)

// world is the API over keys in memory, and an ingest that notes what it is asked for.
type world struct {
	*testing.T
	handler http.Handler
	log     bytes.Buffer
	keys    map[[32]byte]telltale.Key
	tokens  map[telltale.Scope]string
	project telltale.Project

	mu      sync.Mutex
	changes []telltale.UserChange
	source  string
	err     error // what Change gives
	result  error // what comes of each change
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, keys: map[[32]byte]telltale.Key{}, tokens: map[telltale.Scope]string{}, project: telltale.NewProject("shop", "Shop")}
	for _, scope := range telltale.Scopes() {
		project := w.project.ID
		if scope == telltale.ScopeOwner {
			project = ""
		}
		key, token := telltale.NewKey(project, string(scope), scope)
		w.keys[key.Hash], w.tokens[scope] = key, token
	}
	keys := auth.NewKeys(w, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := keys.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	w.handler = httpserver.Wrap(New(keys, w), httpserver.Config{
		Forms: map[string]httpserver.Form{Prefix: Form},
		Log:   slog.New(slog.NewJSONHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	return w
}

func (w *world) KeyByHash(_ context.Context, hash [32]byte) (telltale.Key, error) {
	key, ok := w.keys[hash]
	if !ok {
		return key, telltale.Errorf(telltale.NotFound, "There is no such key.")
	}
	return key, nil
}
func (w *world) TouchKeys(context.Context, []telltale.KeyID) error { return nil }
func (w *world) Project(context.Context, telltale.ProjectID) (telltale.Project, error) {
	return w.project, nil
}
func (w *world) ProjectBySlug(context.Context, string) (telltale.Project, error) {
	return w.project, nil
}

func (w *world) Change(_ context.Context, p telltale.Project, source string, changes []telltale.UserChange) (telltale.UserChanged, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return telltale.UserChanged{}, w.err
	}
	if p.ID != w.project.ID {
		w.Errorf("the project is %s", p.ID)
	}
	w.changes, w.source = append(w.changes, changes...), source
	changed := telltale.UserChanged{Results: make([]telltale.UserResult, len(changes))}
	for i := range changed.Results {
		changed.Results[i].Err = w.result
	}
	return changed, nil
}

// ask makes a request. Headers are name and value in turn.
func (w *world) ask(method, target, body string, header ...string) *httptest.ResponseRecorder {
	w.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer := httptest.NewRecorder()
	w.handler.ServeHTTP(answer, r)
	return answer
}

func (w *world) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.changes = nil }()
	return said(w.changes)
}

func TestEveryCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.tokens[telltale.ScopeTrack]
	for _, tt := range []struct{ path, methods, body, want string }{
		{"users/track", "POST", `{"id":1}`, "identify id=1"},
		{"users/edit", "PUT POST", `{"id":1,"changes":{"a":1}}`, `identify id=1 data={"a":1}`},
		{"users/reidentify", "PUT POST", `{"id":1,"new_id":2}`, "reidentify id=1 new=2"},
		{"users/unsubscribe", "POST PUT", `{"id":1}`, "unsubscribe id=1"},
		{"users/resubscribe", "POST PUT", `{"id":1}`, "resubscribe id=1"},
		{"users/delete", "POST DELETE", `{"id":1}`, "delete id=1"},
		{"users/tags/edit", "PUT POST", `{"id":1,"add":["a"]}`, "tags id=1 add=a"},
		{"events/track", "POST", `{"identity":{"id":1},"event_name":"e"}`, "track id=1 event=e"},
		{"heartbeat", "GET HEAD", "", ""},
	} {
		for _, suffix := range []string{"", ".json"} {
			target := Prefix + tt.path + suffix + "?auth_token=" + key
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
				answer := w.ask(method, target, tt.body, "Content-Type", "application/json")
				got := w.said()
				if !strings.Contains(" "+tt.methods+" ", " "+method+" ") {
					if answer.Code != http.StatusMethodNotAllowed || got != "" || !strings.HasPrefix(answer.Header().Get("Allow"), strings.ReplaceAll(tt.methods, " ", ", ")+", OPTIONS") {
						t.Errorf("%s %s answers %d %s, Allow %q; changes: %s", method, tt.path, answer.Code, answer.Body, answer.Header().Get("Allow"), got)
					}
					continue
				}
				if answer.Code != 200 || answer.Body.String() != `{"status":200,"message":"Success."}` || answer.Header().Get("Content-Type") != "application/json" {
					t.Errorf("%s %s answers %d %s", method, tt.path, answer.Code, answer.Body)
				}
				if got != tt.want || tt.want != "" && w.source != "track" {
					t.Errorf("%s %s comes to %s from %s; want %s", method, tt.path, got, w.source, tt.want)
				}
			}
		}
	}
}

func TestWhereTheKeyMayStand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.tokens[telltale.ScopeTrack]
	for _, tt := range []struct {
		name, query, body string
		header            []string
		status            int
		says              string
	}{
		{"auth_token in the query", "?auth_token=" + key, `{"id":1}`, nil, 200, ""},
		{"tracking_api_key in the query", "?tracking_api_key=" + key, `{"id":1}`, nil, 200, ""},
		{"auth_token in JSON", "", `{"id":1,"auth_token":"` + key + `"}`, nil, 200, ""},
		{"tracking_api_key in JSON", "", `{"id":1,"tracking_api_key":"` + key + `"}`, nil, 200, ""},
		{"auth_token in a form", "", `id=1&auth_token=` + key, nil, 200, ""},
		{"a bearer", "", `{"id":1}`, []string{"Authorization", "bearer " + key}, 200, ""},
		{"the query, whatever a proxy's credentials in the head are", "?auth_token=" + key, `{"id":1}`, []string{"Authorization", "Basic dTpw"}, 200, ""},
		{"an ingest key", "?auth_token=" + w.tokens[telltale.ScopeIngest], `{"id":1}`, nil, 200, ""},
		{"a manage key", "?auth_token=" + w.tokens[telltale.ScopeManage], `{"id":1}`, nil, 200, ""},
		{"a read key", "?auth_token=" + w.tokens[telltale.ScopeRead], `{"id":1}`, nil, 401, "The key has the scope read. This needs track or ingest or manage."},
		{"an owner key", "?auth_token=" + w.tokens[telltale.ScopeOwner], `{"id":1}`, nil, 401, "The key has the scope owner."},
		{"no key", "", `{"id":1}`, nil, 401, "There is no key. Give it as auth_token or tracking_api_key, in the query or in the body."},
		{"no key and no body", "", ``, nil, 401, "There is no key."},
		{"only credentials of a proxy", "", `{"id":1}`, []string{"Authorization", "Basic dTpw"}, 401, "There is no key."},
		{"a key of Vero's", "?auth_token=YWJjZGVm", `{"id":1}`, nil, 401, "This is no key of Telltale's."},
		{"a key that does not work, before the body is looked at", "?auth_token=x", strings.Repeat(" ", MaxBody+1), nil, 401, "This is no key of Telltale's."},
		{"a key that was never made", "?auth_token=tt_" + strings.Repeat("x", 43), `{"id":1}`, nil, 401, "There is no such key."},
	} {
		answer := w.ask("POST", Prefix+"users/track"+tt.query, tt.body, tt.header...)
		if answer.Code != tt.status || !strings.Contains(answer.Body.String(), tt.says) {
			t.Errorf("%s: %d %s", tt.name, answer.Code, answer.Body)
		}
		want := ""
		if tt.status == 200 {
			want = "identify id=1"
		}
		if got := strings.ReplaceAll(w.said(), `"`, ""); got != want {
			t.Errorf("%s: comes to %q", tt.name, got)
		}
	}
	for _, token := range w.tokens {
		if strings.Contains(w.log.String(), token) {
			t.Error("a key is in the log")
		}
	}
	if !strings.Contains(w.log.String(), `"route":"/api/v2/users/track"`) {
		t.Errorf("the log does not name the route: %s", &w.log)
	}
}

func TestAHeartbeatNeedsNoKeyAndTriesTheOneItGets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for query, status := range map[string]int{"": 200, "?auth_token=" + w.tokens[telltale.ScopeTrack]: 200, "?auth_token=x": 401, "?auth_token=%": 400} {
		if answer := w.ask("GET", Prefix+"heartbeat"+query, ""); answer.Code != status {
			t.Errorf("%q: %d %s", query, answer.Code, answer.Body)
		}
	}
}

func TestErrorsHaveTheShapeThatClientsKnow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		path, body   string
		header       []string
		err, result  error
		status       int
		want         string
		after, allow string
	}{
		{name: "nobody", path: "users/track", body: `{}`, status: 400, want: `{"status":400,"message":"id: There is neither an id nor an email. Expected: id or email."}`},
		{name: "two things", path: "events/track", body: `{"identity":[{"id":true},{}],"event_name":"e"}`, status: 400,
			want: `{"status":400,"message":"identity[0].id: The value is a boolean. Expected: a string or a number, of at most 255 characters. identity[1].id: There is neither an id nor an email. Expected: id or email."}`},
		{name: "many things", path: "events/track", body: `{"identity":[` + strings.Repeat(`{},`, 19) + `{}],"event_name":"e"}`, status: 400, want: `{"status":400,"message":"identity[0].id: There is neither an id nor an email. Expected: id or email. identity[1].id: There is neither an id nor an email. Expected: id or email. identity[2].id: There is neither an id nor an email. Expected: id or email. identity[3].id: There is neither an id nor an email. Expected: id or email. identity[4].id: There is neither an id nor an email. Expected: id or email. There are 15 more faults."}`},
		{name: "broken JSON", path: "users/track", body: `{"id":`, status: 400, want: `{"status":400,"message":"body.id: The input ends too early. Expected: one JSON value in UTF-8."}`},
		{name: "a compressed body", path: "users/track", body: `x`, header: []string{"Content-Encoding", "gzip"}, status: 400, want: `{"status":400,"message":"The body has the Content-Encoding \"gzip\". Send it uncompressed."}`},
		{name: "a body too large", path: "users/track", body: strings.Repeat(" ", MaxBody+1), status: 413, want: `{"status":413,"message":"The body is larger than 256 KiB (262144 bytes). Send it in parts."}`},
		{name: "another path", path: "users/nothing", status: 404, want: `{"status":404,"message":"There is nothing at this path. The Track API is described at /docs/track-api."}`},
		{name: "a path with another suffix", path: "users/track.xml", status: 404, want: `{"status":404,"message":"There is nothing at this path. The Track API is described at /docs/track-api."}`},
		{name: "another method", path: "heartbeat", status: 405, want: `{"status":405,"message":"This path does not take POST. It takes GET and HEAD."}`, allow: "GET, HEAD, OPTIONS"},
		{name: "too much", path: "users/track", body: `{"id":1}`, err: &telltale.Error{Code: telltale.RateLimited, Message: "Slower.", RetryAfter: 1500 * time.Millisecond}, status: 429, want: `{"status":429,"message":"Slower."}`, after: "2"},
		{name: "a store that cannot now", path: "users/track", body: `{"id":1}`, err: telltale.Errorf(telltale.Unavailable, "The disk is full."), status: 503, want: `{"status":503,"message":"The disk is full."}`, after: "1"},
		{name: "a fault of ours", path: "users/track", body: `{"id":1}`, err: io.ErrNoProgress, status: 500, want: `{"status":500,"message":"Something went wrong on our side. The server's log has it under this request id."}`},
		{name: "a profile that would have too much", path: "users/track", body: `{"id":1}`, result: telltale.Faulty("The user would have too much.", []telltale.Fault{{Location: "properties", Message: "The user would have 101 properties.", Expected: "at most 100"}}), status: 400,
			want: `{"status":400,"message":"properties: The user would have 101 properties. Expected: at most 100."}`},
	} {
		w := newWorld(t)
		w.err, w.result = tt.err, tt.result
		answer := w.ask("POST", Prefix+tt.path+"?auth_token="+w.tokens[telltale.ScopeTrack], tt.body, append([]string{"Content-Type", "application/json", "Origin", "https://shop.example"}, tt.header...)...)
		h := answer.Header()
		if answer.Code != tt.status || answer.Body.String() != tt.want || h.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s\nwant %s", tt.name, answer.Code, answer.Body, tt.want)
		}
		if h.Get("Retry-After") != tt.after || h.Get("Allow") != tt.allow || h.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: the head is %v", tt.name, h)
		}
		if tt.result == nil && w.said() != "" {
			t.Errorf("%s: something was changed", tt.name)
		}
	}
}

func TestPagesOfEverySiteMayAsk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for path, methods := range map[string]string{
		"users/track": "POST, OPTIONS", "users/edit.json": "PUT, POST, OPTIONS", "users/delete": "POST, DELETE, OPTIONS",
		"heartbeat": "GET, HEAD, OPTIONS", "users/nothing": "GET, HEAD, POST, PUT, DELETE, OPTIONS", "": "GET, HEAD, POST, PUT, DELETE, OPTIONS",
	} {
		answer := w.ask("OPTIONS", Prefix+path, "", "Origin", "https://shop.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type")
		h := answer.Header()
		if answer.Code != 204 || answer.Body.Len() > 0 || h.Get("Access-Control-Allow-Methods") != methods || h.Get("Access-Control-Allow-Origin") != "*" ||
			h.Get("Access-Control-Allow-Headers") != "Accept, Authorization, Content-Type, X-Requested-With, *" || h.Get("Access-Control-Max-Age") != "7200" {
			t.Errorf("%s: %d %v", path, answer.Code, h)
		}
		if h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: cookies are let in", path)
		}
	}
}
