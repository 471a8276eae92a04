package httpserver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"telltale.example/telltale"
)

// records is a log that tests can read.
type records struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(p)
}

func (r *records) all(t *testing.T) []map[string]any {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []map[string]any
	for d := json.NewDecoder(bytes.NewReader(r.buf.Bytes())); ; {
		var record map[string]any
		if err := d.Decode(&record); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, record)
	}
}

func (r *records) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(r, &slog.HandlerOptions{Level: level}))
}

// routes are those of the tests in this file.
func routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/events/{id}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "an event") })
	mux.HandleFunc("DELETE /v1/events/{id}", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET /own404", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "my own words", http.StatusNotFound) })
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("the sky fell") })
	mux.HandleFunc("GET /latepanic", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half an ")
		w.(http.Flusher).Flush()
		panic("the sky fell")
	})
	mux.HandleFunc("GET /abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.Handle("GET /late", Handle(func(w http.ResponseWriter, r *http.Request) error {
		io.WriteString(w, "half an ")
		return errors.New("the rest is missing")
	}))
	mux.Handle("GET /internal", Handle(func(http.ResponseWriter, *http.Request) error { return errors.New("a bug") }))
	mux.Handle("GET /unavailable", Handle(func(http.ResponseWriter, *http.Request) error {
		return telltale.Errorf(telltale.Unavailable, "The disk is full.")
	}))
	mux.Handle("GET /invalid", Handle(func(http.ResponseWriter, *http.Request) error {
		return telltale.Errorf(telltale.Invalid, "That is wrong.")
	}))
	mux.HandleFunc("GET /feigned", func(w http.ResponseWriter, r *http.Request) {
		Feign(r.Context())
		http.Error(w, "as you like it", http.StatusInternalServerError)
	})
	mux.HandleFunc("GET /early", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusAccepted)
		w.WriteHeader(http.StatusTeapot) // too late
	})
	return mux
}

func TestEveryAnswerHasAnIDOfItsOwn(t *testing.T) {
	t.Parallel()
	var inside telltale.RequestID
	h := Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inside = RequestID(r.Context())
		WriteProblem(w, r, telltale.Errorf(telltale.Conflict, "No."))
	}), Config{})
	seen := map[string]bool{}
	for range 3 {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("X-Request-Id", "theirs")
		h.ServeHTTP(w, r)
		id := w.Header().Get("Request-Id")
		if !telltale.ValidID("req_", id) || seen[id] || string(inside) != id {
			t.Errorf("id %q, within the handler %q, seen before: %v", id, inside, seen[id])
		}
		seen[id] = true
		var p Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.RequestID != id {
			t.Errorf("the problem has the id %q, the header %q (%v)", p.RequestID, id, err)
		}
		if got := w.Header().Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("X-Content-Type-Options: %q", got)
		}
	}
	if id := RequestID(context.Background()); id != "" {
		t.Errorf("outside of a request the id is %q", id)
	}
}

func TestAnswersAndTheirRecords(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		method string
		path   string
		status int
		body   string // contains
		level  string
		record map[string]any // contains; nil: the key is not there
	}{
		{
			name: "a request that went well is a debug record with its route and not its path", method: "GET", path: "/v1/events/evt_secret",
			status: 200, body: "an event", level: "DEBUG",
			record: map[string]any{"route": "/v1/events/{id}", "path": nil, "status": 200.0, "method": "GET", "error": nil},
		},
		{
			name: "nothing at the path is a problem", method: "GET", path: "/nowhere?x=1",
			status: 404, body: `"detail":"There is nothing at this path."`, level: "DEBUG",
			record: map[string]any{"route": "", "path": "/nowhere", "code": "not_found"},
		},
		{
			name: "another method is a problem that names those allowed", method: "PUT", path: "/v1/events/evt_1",
			status: 405, body: `It takes DELETE, GET, HEAD.`, level: "DEBUG",
			record: map[string]any{"code": "method_not_allowed"},
		},
		{
			name: "a route's own 404 is left alone", method: "GET", path: "/own404",
			status: 404, body: "my own words", level: "DEBUG",
			record: map[string]any{"route": "/own404"},
		},
		{
			name: "a wrong request is no reason to wake anyone", method: "GET", path: "/invalid",
			status: 422, body: "That is wrong.", level: "DEBUG",
			record: map[string]any{"code": "invalid", "error": "That is wrong."},
		},
		{
			name: "being unavailable is a warning", method: "GET", path: "/unavailable",
			status: 503, body: "The disk is full.", level: "WARN",
			record: map[string]any{"code": "unavailable"},
		},
		{
			name: "a fault of ours is an error, told to the log alone", method: "GET", path: "/internal",
			status: 500, body: "Something went wrong on our side.", level: "ERROR",
			record: map[string]any{"code": "internal", "error": "a bug", "stack": nil},
		},
		{
			name: "a failure that somebody asked to see is none", method: "GET", path: "/feigned",
			status: 500, body: "as you like it", level: "DEBUG",
			record: map[string]any{"route": "/feigned", "error": nil},
		},
		{
			name: "a panic is answered and logged", method: "GET", path: "/panic",
			status: 500, body: "Something went wrong on our side.", level: "ERROR",
			record: map[string]any{"code": "internal", "error": "panic: the sky fell"},
		},
		{
			name: "the first final status counts", method: "GET", path: "/early",
			status: 202, level: "DEBUG", record: map[string]any{"status": 202.0},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var log records
			server := httptest.NewServer(Wrap(routes(), Config{Log: log.logger(slog.LevelDebug)}))
			response := request(t, server, test.method, test.path)
			server.Close() // waits for the record
			if response.StatusCode != test.status || !strings.Contains(response.text, test.body) {
				t.Errorf("status %d, want %d: %s", response.StatusCode, test.status, response.text)
			}
			if strings.Contains(response.text, "a bug") || strings.Contains(response.text, "sky") {
				t.Errorf("the caller is told too much: %s", response.text)
			}
			all := log.all(t)
			if len(all) != 1 {
				t.Fatalf("%d records, want 1: %v", len(all), all)
			}
			record := all[0]
			if record["level"] != test.level || record["request_id"] != response.Header.Get("Request-Id") {
				t.Errorf("level %v, want %s; id %v, want %s", record["level"], test.level, record["request_id"], response.Header.Get("Request-Id"))
			}
			for key, want := range test.record {
				if got := record[key]; got != want {
					t.Errorf("%s: %v, want %v", key, got, want)
				}
			}
			if test.path == "/panic" && !strings.Contains(record["stack"].(string), "wrap_test.go") {
				t.Errorf("the stack does not lead to the handler: %s", record["stack"])
			}
		})
	}
}

type answer struct {
	*http.Response
	text string
}

func request(t *testing.T, server *httptest.Server, method, path string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response, string(body)}
}

func TestMethodNotAllowedKeepsAllow(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	Wrap(routes(), Config{}).ServeHTTP(w, httptest.NewRequest("PUT", "/v1/events/evt_1", nil))
	if got := w.Header().Get("Allow"); got != "DELETE, GET, HEAD" {
		t.Errorf("Allow: %q", got)
	}
	if got := w.Header().Get("Content-Type"); got != ContentTypeProblem {
		t.Errorf("Content-Type: %q", got)
	}
	if body := w.Body.String(); strings.Contains(body, "Method Not Allowed\n") || !json.Valid([]byte(body)) {
		t.Errorf("the mux's own words are still there: %s", body)
	}
}

// Half an answer must not be taken for a whole one.
func TestAnAnswerThatBrokeOffIsCut(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/late", "/latepanic", "/abort"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			var log records
			server := httptest.NewServer(Wrap(routes(), Config{Log: log.logger(slog.LevelWarn)}))
			response, err := server.Client().Get(server.URL + path)
			if err == nil {
				_, err = io.ReadAll(response.Body)
				response.Body.Close()
			}
			server.Close()
			if err == nil {
				t.Error("the caller took a part for the whole")
			}
			if want := path != "/abort"; (len(log.all(t)) == 1) != want {
				t.Errorf("logged: %v", log.all(t))
			}
		})
	}
}

func TestCallersOwnRequestID(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, id string
		logged   any
	}{
		{"a usual id is logged", "3f0c-AB_9.z:+/=", "3f0c-AB_9.z:+/="},
		{"none is none", "", nil},
		{"one of 128 characters is logged", strings.Repeat("a", 128), strings.Repeat("a", 128)},
		{"a longer one is not", strings.Repeat("a", 129), nil},
		{"one with a line break is not", "a\nb", nil},
		{"one with an escape sequence is not", "\x1b[31m", nil},
		{"one with spaces is not", "a b", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var log records
			r := httptest.NewRequest("GET", "/own404", nil)
			r.Header.Set("X-Request-Id", test.id)
			w := httptest.NewRecorder()
			Wrap(routes(), Config{Log: log.logger(slog.LevelDebug)}).ServeHTTP(w, r)
			if got := log.all(t)[0]["caller_request_id"]; got != test.logged {
				t.Errorf("logged %v, want %v", got, test.logged)
			}
			if got := w.Header().Get("X-Request-Id"); got != "" || w.Header().Get("Request-Id") == test.id {
				t.Errorf("the answer repeats the caller's id: %v", w.Header())
			}
		})
	}
}

func TestRequestsAreCounted(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	h := Wrap(routes(), Config{Registerer: reg})
	send := func(method, path string) {
		defer func() { recover() }() // what cuts a connection is for net/http
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, nil))
	}
	send("GET", "/v1/events/evt_1")
	send("GET", "/v1/events/evt_2")
	send("DELETE", "/v1/events/evt_2")
	send("GET", "/a")
	send("BREW", "/b")
	send("GET", "/panic")
	send("GET", "/abort")

	want := map[string]float64{
		"GET /v1/events/{id} 2xx":    2,
		"DELETE /v1/events/{id} 2xx": 1,
		"GET unmatched 4xx":          1,
		"other unmatched 4xx":        1,
		"GET /panic 5xx":             1,
		"GET /abort none":            1,
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	measured := uint64(0)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			label := map[string]string{}
			for _, l := range m.GetLabel() {
				label[l.GetName()] = l.GetValue()
			}
			switch family.GetName() {
			case "telltale_http_requests_total":
				key := label["method"] + " " + label["route"] + " " + label["status"]
				if m.GetCounter().GetValue() != want[key] {
					t.Errorf("%s: %v, want %v", key, m.GetCounter().GetValue(), want[key])
				}
				delete(want, key)
			case "telltale_http_request_duration_seconds":
				measured += m.GetHistogram().GetSampleCount()
			}
		}
	}
	if len(want) > 0 || measured != 7 {
		t.Errorf("not counted: %v; %d durations, want 7", want, measured)
	}
}

// Routes on a connection that was taken over, or that stream, reach the writer below.
func TestResponseControllerReachesTheConnection(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		rw.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		rw.Flush()
	}), Config{}))
	defer server.Close()
	if a := request(t, server, "GET", "/"); a.text != "ok" {
		t.Errorf("got %q", a.text)
	}
}

func TestFlushedTextArrivesBeforeTheEnd(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	server := httptest.NewServer(Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first\n")
		w.(http.Flusher).Flush()
		<-arrived
	}), Config{}))
	defer server.Close()
	response, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	line, err := bufio.NewReader(response.Body).ReadString('\n')
	close(arrived)
	if line != "first\n" || err != nil {
		t.Errorf("got %q, %v", line, err)
	}
}

func BenchmarkWrap(b *testing.B) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/events", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusAccepted) })
	h := Wrap(mux, Config{Registerer: prometheus.NewRegistry()})
	r := httptest.NewRequest("POST", "/v1/events", nil)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(&discard{header: http.Header{}}, r)
	}
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// A path whose callers know errors by another form gets all of them in it:
// those of its handlers, of a panic, and of an overload before any handler.
func TestAPathWithAFormOfItsOwn(t *testing.T) {
	t.Parallel()
	form := func(p *Problem, h http.Header) []byte {
		if p.Status == http.StatusUnprocessableEntity {
			p.Status = http.StatusBadRequest
		}
		h.Set("Content-Type", "text/x-own")
		return []byte(p.Detail)
	}
	mux := http.NewServeMux()
	mux.Handle("/own/invalid", Handle(func(http.ResponseWriter, *http.Request) error {
		return telltale.Faulty("It is wrong.", []telltale.Fault{{Location: "x"}})
	}))
	mux.Handle("/own/absent", Handle(func(http.ResponseWriter, *http.Request) error {
		return telltale.Errorf(telltale.NotFound, "It is not there.")
	}))
	mux.Handle("/own/panic", Handle(func(http.ResponseWriter, *http.Request) error { panic("the sky fell") }))
	mux.Handle("/own/body", Handle(func(_ http.ResponseWriter, r *http.Request) error {
		_, err := ReadBody(r, 100)
		return err
	}))
	mux.Handle("/other", Handle(func(http.ResponseWriter, *http.Request) error {
		return telltale.Errorf(telltale.NotFound, "It is not there.")
	}))
	h := Wrap(mux, Config{BodyMemory: 1, Forms: map[string]Form{"/own/": form}})
	for _, tt := range []struct {
		path, body  string
		status      int
		contentType string
		says        string
	}{
		{"/own/invalid", "", 400, "text/x-own", "It is wrong."},
		{"/own/absent", "", 404, "text/x-own", "It is not there."},
		{"/own/nowhere", "", 404, "text/x-own", "There is nothing at this path."},
		{"/own/panic", "", 500, "text/x-own", "Something went wrong on our side."},
		{"/own/body", "xx", 503, "text/x-own", "as many request bodies as it has memory for"},
		{"/other", "", 404, ContentTypeProblem, "It is not there."},
		{"/nowhere", "", 404, ContentTypeProblem, "There is nothing at this path."},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", tt.path, strings.NewReader(tt.body)))
		if w.Code != tt.status || w.Header().Get("Content-Type") != tt.contentType || !strings.Contains(w.Body.String(), tt.says) {
			t.Errorf("%s answers %d %s %s", tt.path, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
	}
}
