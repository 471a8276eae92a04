package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"telltale.example/telltale/internal/web"
)

// inputTrial sends what no caller should to everything that takes something.
var inputTrial = &Trial{
	ID: "T18", Name: "hostile input at every inbound route, beside a healthy caller", Proves: "P6",
	Goal: "a clear 4xx, or accepted and delivered byte for byte: no 5xx, no panic, nothing left open, the healthy caller not held up", Rounds: 10, Short: 1,
	Run: func(r *Run) {
		r.EachRound(func(int) {
			in := r.newInput(release)
			in.beside(func() {
				in.lorisBegin()
				in.events()
				in.bodiesEverywhere()
				in.places()
				in.cursors()
				in.wire()
				in.formulas()
				in.markup()
				in.lorisEnd()
			})
			in.leftOver()
		})
	},
	Control: func(r *Run) {
		in := r.newInput(careless)
		in.cursors()
		in.leftOver()
	},
}

// input is a node that gets it, and a receiver that keeps what it is sent.
type input struct {
	*tenants
	node     *node
	target   *httptest.Server
	mu       sync.Mutex
	received []string
	loris    []net.Conn
	files    float64 // open descriptors of the node before
}

func (r *Run) newInput(program string) *input {
	w := r.newWorld(nil)
	w.add(program, "all").start()
	in := &input{node: w.nodes[0]}
	in.tenants = r.newTenants(w)
	in.signIn()
	in.target = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		in.mu.Lock()
		defer in.mu.Unlock()
		in.received = append(in.received, string(body))
	}))
	r.Cleanup(in.target.Close)
	in.owner(http.MethodPost, "/v1/webhooks?project=kiwi", fmt.Sprintf(`{"url":%q,"events":["*"],"concurrency":20}`, in.target.URL), nil)
	in.files = in.node.metric("process_open_fds")
	return in
}

// tried holds an answer against what every answer must be: none of ours at fault,
// and a refusal says what is wrong.
func (in *input) tried(what string, q request, a reply, err error) {
	in.requests++
	in.Add("hostile requests", "", 1)
	switch {
	case err != nil:
		in.Errorf("%s: %s %s is not answered: %v", what, q.method, q.url, err)
	case a.status >= 500:
		in.Errorf("%s: %s %s is answered with %d: %.300s", what, q.method, q.url, a.status, a.body)
		in.Add("answers of 5xx", "", 1)
	case a.status >= 400:
		if text := unclear(q, a); text != "" {
			in.Errorf("%s: %s %s is answered with %d, and %s: %.300s", what, q.method, q.url, a.status, text, a.body)
		}
	}
}

// unclear tells what a refusal lacks.
func unclear(q request, a reply) string {
	at, err := url.Parse(q.url)
	if err != nil || q.method == http.MethodHead {
		return ""
	}
	switch {
	case strings.HasPrefix(at.Path, "/api/v2/"):
		var said struct {
			Status  int
			Message string
		}
		if json.Unmarshal([]byte(a.body), &said) != nil || said.Status != a.status || said.Message == "" {
			return "not in the shape of the Track API"
		}
	case strings.HasPrefix(at.Path, "/v1/"), strings.HasPrefix(at.Path, "/feeds/"), strings.HasPrefix(at.Path, "/in/"):
		var said struct {
			Type, Title, Detail string
			Status              int
			Request             string `json:"request_id"`
			Errors              []struct{ Location, Message, Expected string }
		}
		switch {
		case json.Unmarshal([]byte(a.body), &said) != nil || a.header.Get("Content-Type") != "application/problem+json":
			return "that is no problem document"
		case said.Status != a.status || said.Title == "" || said.Detail == "" || said.Request == "" || !strings.HasPrefix(said.Type, "/docs/errors#"):
			return "the problem document is not whole"
		}
		for _, e := range said.Errors {
			if e.Location == "" || e.Message == "" {
				return "an error does not say where or what"
			}
		}
	default:
		if !strings.Contains(a.body, "<title>") && a.body != "" && a.header.Get("Content-Type") == "text/html; charset=utf-8" {
			return "that is no page"
		}
	}
	return ""
}

// hostile are bodies that are wrong for every route, or at least odd.
type hostile struct{ name, kind, body string }

const asJSON = "application/json"

var hostileBodies = []hostile{
	{"nothing", asJSON, ""},
	{"blanks", asJSON, " \t\r\n"},
	{"half of it", asJSON, `{"type":"sent","user":{"id":`},
	{"no JSON", asJSON, "hello"},
	{"null", asJSON, "null"},
	{"a number", asJSON, "1"},
	{"a string", asJSON, `"x"`},
	{"an empty list", asJSON, "[]"},
	{"an empty object", asJSON, "{}"},
	{"a list of lists", asJSON, "[[[[]]]]"},
	{"too deep", asJSON, strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000)},
	{"too deep, lists", asJSON, strings.Repeat("[", 100_000)},
	{"too large", asJSON, `{"a":"` + strings.Repeat("x", 6<<20) + `"}`},
	{"many keys", asJSON, "{" + strings.Repeat(`"k":1,`, 50_000) + `"z":1}`},
	{"a key twice", asJSON, `{"type":"sent","type":"opened","user":{"id":1},"name":"a","name":"b","url":"x","url":"y"}`},
	{"invalid UTF-8", asJSON, "{\"type\":\"sent\",\"name\":\"\xff\xfe\",\"user\":{\"id\":\"\xc3\x28\"}}"},
	{"a NUL escaped", asJSON, `{"type":"sent","name":"\u0000","id":"\u0000","user":{"id":"\u0000"}}`},
	{"a NUL", asJSON, "{\"type\":\"\x00\"}"},
	{"a lone surrogate", asJSON, `{"type":"sent","name":"\ud800","id":"\udc00","user":{"id":"\ud83d"}}`},
	{"10,000 digits", asJSON, `{"type":"sent","id":` + strings.Repeat("9", 10_000) + `,"user":{"id":` + strings.Repeat("9", 10_000) + `}}`},
	{"a huge exponent", asJSON, `{"type":"sent","id":1e999999999,"rate_limit":1e400,"user":{"id":-1e99999}}`},
	{"NaN", asJSON, `{"type":"sent","user":{"id":NaN},"x":Infinity}`},
	{"two documents", asJSON, `{"type":"sent","user":{"id":1}}{"type":"sent","user":{"id":2}}`},
	{"more after it", asJSON, `{"type":"sent","user":{"id":1}} x`},
	{"a BOM", asJSON, "\ufeff" + `{"type":"sent","user":{"id":1}}`},
	{"UTF-16", asJSON, "\xff\xfe{\x00}\x00"},
	{"comments", asJSON, `{"type":"sent",/* x */"user":{"id":1},}`},
	{"another content type", "text/plain", `{"type":"sent","user":{"id":1}}`},
	{"no content type", "", `{"type":"sent","user":{"id":1}}`},
	{"XML", "application/xml", `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>`},
	{"a content type of nonsense", "application/json; charset=\"\x01", `{}`},
	{"another charset", "application/json; charset=utf-16", `{}`},
	{"lines that end nowhere", "application/x-ndjson", "{\n{\n}"},
	{"a form", "application/x-www-form-urlencoded", "a=%zz&%00=%ff&b[][][c]=1&" + strings.Repeat("x=1&", 20_000)},
	{"a deep form", "application/x-www-form-urlencoded", "a" + strings.Repeat("[a]", 20_000) + "=1"},
	{"broken multipart", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n"},
	{"multipart without a boundary", "multipart/form-data", "--\r\n"},
	{"a CSV of nothing", "text/csv", ""},
	{"a CSV of quotes", "text/csv", "id,email\n\"a,\"b\"\"\n\"" + strings.Repeat("\"\"", 10_000)},
	{"a CSV that is binary", "text/csv", "\x00\x01\x02\xff,\xfe\n"},
	{"shapes that are wrong", asJSON, `{"type":{"a":1},"user":[1],"url":{},"events":{"a":1},"name":[null],"which":1,"rate":"x","slug":null,"scope":[],"provider":7,"status":"x","window":-1,"since":0}`},
	{"ids of others' making", asJSON, `{"type":"sent","user":{"id":"../../x\r\nX-Evil: 1"},"telltale":{"id":"../\r\n"},"webhook":"whk_../..","to":"x\u0000","deliveries":["%00"]}`},
}

// gzipped is a body that its head says is compressed.
func gzipped() string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(bytes.Repeat([]byte("{"), 1<<20)) // to memory
	_ = w.Close()
	return b.String()
}

// event is one to POST /v1/events, with what must come of it.
type hostileEvent struct {
	name, body string
	status     int    // 0: refused, with 400 or 422
	whole      string // of an accepted one: what its delivery contains, to the byte
}

var hostileEvents = []hostileEvent{
	{"TYPE beside type", `{"type":"sent","TYPE":"opened","user":{"id":"t1"},"User":7}`, 0, ""},
	{"markup", `{"type":"sent","user":{"id":"t2"},"x":"<script>alert(1)</script>&amp;\u003cb\u003e"}`, 202, `"x":"<script>alert(1)</script>&amp;\u003cb\u003e"`},
	{"right to left", "{\"type\":\"sent\",\"user\":{\"id\":\"t3\"},\"x\":\"\u202eabc\u2066\u200f مرحبا\"}", 202, "\"x\":\"\u202eabc\u2066\u200f مرحبا\""},
	{"a terminal's commands", `{"type":"sent","user":{"id":"t4"},"x":"\u001b[31mred\u001b[0m\u0007"}`, 202, `"x":"\u001b[31mred\u001b[0m\u0007"`},
	{"a formula", `{"type":"sent","user":{"id":"t5"},"x":"=HYPERLINK(\"http://x\")"}`, 202, `"x":"=HYPERLINK(\"http://x\")"`},
	{"escapes as they are", `{"type":"sent","user":{"id":"t6"},"x":"\u00e9\/\ud83d\ude00"}`, 202, `"x":"\u00e9\/\ud83d\ude00"`},
	{"digits as they are", `{"type":"sent","user":{"id":12345678901234567890},"x":-0.10e+2}`, 202, `"x":-0.10e+2`},
	{"64 digits", `{"type":"sent","user":{"id":"t7"},"x":` + strings.Repeat("7", 64) + `}`, 202, `"x":` + strings.Repeat("7", 64)},
	{"65 digits", `{"type":"sent","user":{"id":"t7"},"x":` + strings.Repeat("7", 65) + `}`, 0, ""},
	{"a NUL where nothing is looked up", `{"type":"sent","user":{"id":"t8"},"x":"\u0000"}`, 202, `"x":"\u0000"`},
	{"a NUL in an id", `{"type":"sent","user":{"id":"\u0000"}}`, 0, ""},
	{"a lone surrogate", `{"type":"sent","user":{"id":"t9"},"x":"\ud800"}`, 0, ""},
	{"a key twice, deep down", `{"type":"sent","user":{"id":"t9"},"x":{"a":1,"a":2}}`, 0, ""},
	{"depth 33", `{"type":"sent","user":{"id":"t9"},"x":` + strings.Repeat(`[`, 33) + strings.Repeat(`]`, 33) + `}`, 0, ""},
	{"1970", `{"type":"sent","user":{"id":"t10"},"telltale":{"occurred_at":"1970-01-01T00:00:00Z"}}`, -1, ""},
	{"9999", `{"type":"sent","user":{"id":"t11"},"telltale":{"occurred_at":"9999-12-31T23:59:59Z"}}`, -1, ""},
	{"a time that is none", `{"type":"sent","user":{"id":"t12"},"sent_at":99999999999999999999}`, -1, ""},
	{"nobody", `{"type":"sent"}`, 0, ""},
	{"no type", `{"user":{"id":1}}`, 0, ""},
	{"a type that is none", `{"type":"SENT","user":{"id":1}}`, 0, ""},
	{"too large an event", `{"type":"sent","user":{"id":"t13"},"x":"` + strings.Repeat("x", 257<<10) + `"}`, -1, ""},
	{"too many events", "[" + strings.Repeat(`{"type":"sent","user":{"id":"t14"}},`, 1000) + `{"type":"sent","user":{"id":"t14"}}]`, -1, ""},
	{"a long key", `{"type":"sent","user":{"id":"t15"},"` + strings.Repeat("k", 256) + `":1}`, 0, ""},
}

// events posts them, and holds what is delivered against what was accepted.
func (in *input) events() {
	for _, e := range hostileEvents {
		q := request{method: http.MethodPost, url: in.node.api + "/v1/events", token: in.keys["kiwi ingest"], kind: asJSON, body: e.body}
		a, err := q.send()
		in.tried(e.name, q, a, err)
		switch e.status {
		case -1: // either, as long as it is clear
		case 0:
			if a.status != 400 && a.status != 413 && a.status != 422 {
				in.Errorf("%s is answered with %d: %.200s", e.name, a.status, a.body)
			}
		default:
			if a.status != e.status {
				in.Errorf("%s is answered with %d: %.200s", e.name, a.status, a.body)
			}
		}
		if e.whole == "" || a.status != http.StatusAccepted {
			continue
		}
		in.Wait(e.name+" to be delivered byte for byte", func() bool {
			in.mu.Lock()
			defer in.mu.Unlock()
			return slices.ContainsFunc(in.received, func(body string) bool { return strings.Contains(body, e.whole) })
		})
		in.Add("delivered byte for byte", "", 1)
	}
}

// bodiesEverywhere sends every hostile body to every route that takes one.
func (in *input) bodiesEverywhere() {
	var targets []request
	add := func(q request) { targets = append(targets, q) }
	for _, r := range in.routes() {
		if r.method == http.MethodGet || r.method == http.MethodDelete {
			continue
		}
		path, _, _ := r.place(in.own)
		token := in.keys["acme manage"]
		if r.scope == "owner" {
			token = in.token
			path += "?project=acme"
		}
		add(request{method: r.method, url: in.node.api + path, token: token})
	}
	for _, path := range []string{"users/track", "users/edit", "users/reidentify", "users/unsubscribe", "users/resubscribe", "users/delete", "users/tags/edit", "events/track"} {
		add(request{method: http.MethodPost, url: in.node.api + "/api/v2/" + path + "?auth_token=" + in.keys["kiwi track"]})
		add(request{method: http.MethodPost, url: in.node.api + "/api/v2/" + path})
	}
	var providers struct{ Data []struct{ Name string } }
	in.owner(http.MethodGet, "/v1/providers", "", &providers)
	for _, p := range providers.Data {
		var made struct{ URL string }
		in.owner(http.MethodPost, "/v1/sources?project=kiwi", fmt.Sprintf(`{"provider":%q}`, p.Name), &made)
		at, err := url.Parse(made.URL)
		in.Must(err)
		q := request{method: http.MethodPost}
		if at.User != nil {
			password, _ := at.User.Password()
			q.header = http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(at.User.Username()+":"+password))}}
		}
		at.User = nil
		q.url = at.String()
		add(q)
	}
	add(request{method: http.MethodPost, url: in.node.api + "/in/" + in.own.ids["bin"]})
	for _, r := range web.Routes() {
		if r.Method != http.MethodPost || strings.HasPrefix(r.Path, "/account") || strings.HasPrefix(r.Path, "/logout") || strings.HasPrefix(r.Path, "/admin/operators/") {
			continue
		}
		path := strings.NewReplacer("{project}", "kiwi", "{", "", "}", "").Replace(r.Path)
		add(request{method: http.MethodPost, url: in.node.api + path, session: in.sessions["owner"]})
	}
	zipped := gzipped()
	for _, q := range targets {
		for _, h := range hostileBodies {
			if len(h.body) > 1<<20 && strings.Contains(q.url, "/p/kiwi") {
				continue // forms have one bound, in one place
			}
			q.kind, q.body = h.kind, h.body
			a, err := q.send()
			if err != nil && len(h.body) > 1<<20 { // it may hang up on what is too much
				in.Add("hung up on", "", 1)
				continue
			}
			if h.kind == "application/json; charset=\"\x01" { // Go's client does not even send it
				continue
			}
			in.tried(h.name, q, a, err)
		}
		q.kind, q.body = asJSON, zipped
		q.header = q.header.Clone()
		if q.header == nil {
			q.header = http.Header{}
		}
		q.header.Set("Content-Encoding", "gzip")
		a, err := q.send()
		in.tried("a body that is compressed", q, a, err)
	}
	in.Worst("routes that take something", "", float64(len(targets)))
}

var hostilePlaces = []string{
	"x", ".", "..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%00", "%0d%0aX-Evil:%201", "%0a", "%ff", "%c0%ae", "*", "%20", "%2f", "%5c..%5c", "%3Cscript%3Ealert(1)%3C%2Fscript%3E",
	"whk_01jd0000000000000000000000", "whk_ZZZZZZZZZZZZZZZZZZZZZZZZZZ", "evt_01JD0000000000000000000000.json", "whk_01JD0000000000000000000000%0d%0a", "%E2%80%AEabc", "%1b%5B31m", "'%20OR%201=1--", strings.Repeat("a", 5000), "=1+1",
}

// places asks for every route with something else where an id belongs, and with
// queries of nonsense.
func (in *input) places() {
	for _, r := range in.routes() {
		if r.scope == "public" || r.path == "/v1/live" {
			continue
		}
		path, id, _ := r.place(in.own)
		if id != "" {
			for _, place := range hostilePlaces {
				q := request{method: r.method, url: in.node.api + strings.Replace(path, id, place, 1), token: in.keys["acme manage"]}
				a, err := q.send()
				in.tried("the id "+place[:min(len(place), 40)], q, a, err)
				if a.status < 300 && place != "." && place != ".." { // those two lead elsewhere
					in.Errorf("%s %s is answered with %d", q.method, q.url, a.status)
				}
				if strings.Contains(a.header.Get("X-Evil"), "1") {
					in.Errorf("%s %s gets a header of its caller's", q.method, q.url)
				}
			}
		}
		if r.method != http.MethodGet {
			continue
		}
		for _, query := range []string{"limit=0", "limit=-1", "limit=99999999999999999999", "limit=NaN", "limit=1&limit=2", "%zz=1", "a=%ff", "project=acme&project=kiwi", "project=", "project=%00", "after=x&before=y", "after=%00", "since=yesterday", "since=0000-00-00T99:99:99Z", "since=9999-12-31T23:59:59Z", "q=" + strings.Repeat("x", 9000), ";", "&&&&"} {
			q := request{method: r.method, url: in.node.api + path + "?" + query, token: in.keys["acme manage"]}
			a, err := q.send()
			in.tried("the query "+query[:min(len(query), 40)], q, a, err)
		}
	}
	for _, r := range web.Routes() {
		if r.Method != http.MethodGet || !strings.Contains(r.Path, "{project}") || strings.HasSuffix(r.Path, "/live") {
			continue
		}
		for _, place := range hostilePlaces {
			path := strings.TrimSuffix(r.Path, "{$}")
			for from := strings.LastIndexByte(path, '{'); from >= 0; from = strings.LastIndexByte(path, '{') {
				into := place
				if strings.HasPrefix(path[from:], "{project}") && strings.Contains(r.Path[from+9:], "{") {
					into = "acme"
				}
				path = path[:from] + into + path[from+strings.IndexByte(path[from:], '}')+1:]
			}
			q := request{method: http.MethodGet, url: in.node.api + path + "?after=%00&q=%ff&limit=x&id=" + place, session: in.sessions["owner"]}
			a, err := q.send()
			in.tried("the place "+place[:min(len(place), 40)], q, a, err)
			if strings.Contains(a.body, "<script>alert(1)") {
				in.Errorf("%s shows a script of its caller's", q.url)
			}
		}
	}
}

// cursors goes on with cursors that are not what the list gave.
func (in *input) cursors() {
	for _, list := range []string{"/v1/events", "/v1/deliveries", "/v1/webhooks", "/v1/keys", "/v1/users"} {
		for range 2 { // more than one of each
			in.owner(http.MethodPost, "/v1/events?project=acme", `{"type":"opened","user":{"id":"`+fmt.Sprint(in.requests)+`"}}`, nil)
			in.requests++
		}
		var page struct{ Next *string }
		in.owner(http.MethodGet, list+"?project=acme&limit=1", "", &page)
		cursors := []string{"x", "AAAA", strings.Repeat("A", 43), strings.Repeat("A", 9000), "%00", "..", "bnVsbA=="}
		if page.Next != nil {
			own := *page.Next
			in.expect("its own cursor", request{method: http.MethodGet, url: in.node.api + list + "?limit=1&after=" + own, token: in.keys["acme manage"]}, http.StatusOK)
			changed := []byte(own)
			changed[len(changed)/2] ^= 1
			cursors = append(cursors, string(changed), own[:len(own)-1], own+"A", own+"%0a")
			q := request{method: http.MethodGet, url: in.node.api + list + "?limit=1&after=" + own, token: in.keys["kiwi manage"]}
			a, err := q.send()
			in.tried("the cursor of another project", q, a, err)
			if a.status < 400 {
				in.Errorf("the cursor of another project is answered with %d at %s", a.status, list)
			}
		}
		for _, cursor := range cursors {
			for _, name := range []string{"after", "before"} {
				q := request{method: http.MethodGet, url: in.node.api + list + "?" + name + "=" + cursor, token: in.keys["acme manage"]}
				a, err := q.send()
				in.tried("a cursor", q, a, err)
				if a.status < 400 && err == nil {
					in.Errorf("the cursor %.50q is answered with %d at %s", cursor, a.status, list)
				}
			}
		}
	}
}

// wire writes to the socket what no client of Go would.
func (in *input) wire() {
	const event = `{"type":"sent","user":{"id":1}}`
	head := "Host: localhost\r\nAuthorization: Bearer " + in.keys["kiwi ingest"] + "\r\nContent-Type: application/json\r\n"
	for _, c := range []struct {
		name, text string
		close      bool // a hang-up is an answer
		accepted   bool
	}{
		{"two lengths", "POST /v1/events HTTP/1.1\r\n" + head + "Content-Length: 31\r\nContent-Length: 5\r\n\r\n" + event, false, false},
		{"a length and chunks", "POST /v1/events HTTP/1.1\r\n" + head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true, false},
		{"a negative length", "POST /v1/events HTTP/1.1\r\n" + head + "Content-Length: -1\r\n\r\n", false, false},
		{"a length beyond numbers", "POST /v1/events HTTP/1.1\r\n" + head + "Content-Length: 99999999999999999999999\r\n\r\n", false, false},
		{"a length that is a promise", "POST /v1/events HTTP/1.1\r\n" + head + "Content-Length: 9223372036854775807\r\n\r\n", false, false},
		{"chunks of nonsense", "POST /v1/events HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", true, false},
		{"an encoding that is none", "POST /v1/events HTTP/1.1\r\n" + head + "Transfer-Encoding: xchunked\r\n\r\n", true, false},
		{"chunks, well made", fmt.Sprintf("POST /v1/events HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", head, len(event), event), false, true},
		{"no host", "GET /v1/events HTTP/1.1\r\n\r\n", false, false},
		{"a host of nonsense", "GET /v1/events HTTP/1.1\r\nHost: a b\x01\r\n\r\n", false, false},
		{"no version", "GET /v1/events\r\n\r\n", true, false},
		{"another version", "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", false, false},
		{"a method of nonsense", "G\x00T / HTTP/1.1\r\nHost: localhost\r\n\r\n", true, false},
		{"a head without end", "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("X-A: "+strings.Repeat("a", 1000)+"\r\n", 2000) + "\r\n", true, false},
		{"a path without end", "GET /" + strings.Repeat("a", 2<<20) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", true, false},
		{"a folded header", "GET /v1/events HTTP/1.1\r\nHost: localhost\r\nX-A: a\r\n b\r\n\r\n", true, false},
		{"a header without a name", "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n: a\r\n\r\n", false, false},
		{"a NUL in a header", "GET /v1/events HTTP/1.1\r\nHost: localhost\r\nX-A: a\x00b\r\n\r\n", false, false},
		{"dots in the path", "GET /v1/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", false, false},
		{"an absolute address", "GET http://evil.example.com/p/acme/ HTTP/1.1\r\nHost: localhost\r\n\r\n", false, false},
		{"CONNECT", "CONNECT evil.example.com:443 HTTP/1.1\r\nHost: evil.example.com:443\r\n\r\n", true, false},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00", 512), true, false},
		{"HTTP/2 from the start", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true, false},
		{"bytes of nothing", strings.Repeat("\x00\xff", 4096), true, false},
	} {
		in.Add("hostile requests", "", 1)
		conn, err := in.dial()
		in.Must(err)
		in.Must(conn.SetDeadline(time.Now().Add(30 * time.Second)))
		_, writeErr := io.WriteString(conn, c.text)
		line, err := bufio.NewReader(conn).ReadString('\n')
		_ = conn.Close()
		status := 0
		_, scanErr := fmt.Sscanf(line, "HTTP/1.1 %d", &status)
		switch {
		case status >= 500 && status != http.StatusNotImplemented && status != http.StatusHTTPVersionNotSupported:
			in.Errorf("%s: %s", c.name, line)
		case scanErr != nil && !c.close:
			in.Errorf("%s is not answered: %q, %v, %v", c.name, line, err, writeErr)
		case c.accepted != (status == http.StatusAccepted):
			in.Errorf("%s is answered with %q", c.name, line)
		}
	}
}

// lorisBegin opens connections that send a byte now and then, and never a request.
func (in *input) dial() (net.Conn, error) {
	return (&net.Dialer{Timeout: patience}).DialContext(in.ctx, "tcp", strings.TrimPrefix(in.node.api, "http://"))
}

func (in *input) lorisBegin() {
	for i := range 200 {
		conn, err := in.dial()
		in.Must(err)
		in.loris = append(in.loris, conn)
		text := "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nX-"
		if i%2 == 1 {
			text = "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + in.keys["kiwi ingest"] + "\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{"
		}
		_, err = io.WriteString(conn, text)
		in.Must(err)
	}
}

// lorisEnd waits until the server has had enough of those that do not even say what
// they want, and goes away with the others.
func (in *input) lorisEnd() {
	for i, conn := range in.loris {
		if i%2 == 0 {
			in.Must(conn.SetReadDeadline(time.Now().Add(30 * time.Second)))
			_, err := io.ReadAll(conn)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				in.Errorf("a connection that sends no request stays open")
			}
		}
		_ = conn.Close()
	}
	in.loris = nil
}

// formulas exports what a spreadsheet would compute.
func (in *input) formulas() {
	for _, cell := range []string{"=1+1", "+1", "-1", "@SUM(1)", "\\t=1", "\\r=1"} {
		in.owner(http.MethodPost, "/v1/events?project=kiwi", fmt.Sprintf(`{"type":"sent","user":{"id":"%s"}}`, cell), nil)
	}
	in.owner(http.MethodPost, "/v1/keys?project=kiwi", `{"name":"=1+1","scope":"read"}`, nil)
	a := in.expect("an import", request{method: http.MethodPost, url: in.node.api + "/v1/imports/profiles?project=kiwi", token: in.token, kind: "text/csv", body: "id,email\n=cmd|x!A1,a@example.com,too,many\n"}, http.StatusCreated, http.StatusAccepted)
	var made struct{ ID string }
	in.Must(json.Unmarshal([]byte(a.body), &made))
	in.Wait("the import to finish", func() bool {
		var state struct{ State string }
		in.owner(http.MethodGet, "/v1/imports/"+made.ID+"?project=kiwi", "", &state)
		return state.State == "finished"
	})
	for _, path := range []string{"/p/kiwi/deliveries/export.csv", "/p/kiwi/settings/project/audit-log/export.csv", "/p/kiwi/users/imports/jobs/" + made.ID + "/refused.csv", "/v1/imports/" + made.ID + "/refused.csv?project=kiwi"} {
		q := request{method: http.MethodGet, url: in.node.api + path}
		if strings.HasPrefix(path, "/v1/") {
			q.token = in.token
		} else {
			q.session = in.sessions["owner"]
		}
		a := in.expect("an export", q, http.StatusOK)
		rows, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
		in.Must(err)
		if len(rows) < 2 {
			in.Errorf("%s has no rows", path)
		}
		for _, row := range rows {
			for _, cell := range row {
				if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
					in.Errorf("%s has the cell %q", path, cell)
				}
			}
		}
	}
}

// markup shows on pages what a browser would run.
func (in *input) markup() {
	const script = `<script>alert(1)</script>`
	in.owner(http.MethodPost, "/v1/events?project=kiwi", `{"type":"sent","user":{"id":"`+script+`","email":"x@example.com"},"message_id":"`+script+`","campaign":{"id":1,"name":"\"><img src=x onerror=alert(1)>"}}`, nil)
	for _, path := range []string{"/p/kiwi/", "/p/kiwi/events", "/p/kiwi/deliveries", "/p/kiwi/users", "/p/kiwi/events?q=" + url.QueryEscape(script), "/p/kiwi/messages/" + url.PathEscape(script)} {
		a := in.get(request{method: http.MethodGet, url: in.node.api + path, session: in.sessions["owner"]})
		if a.status >= 500 || strings.Contains(a.body, script) || strings.Contains(a.body, "<img src=x") {
			in.Errorf("%s is answered with %d, and the markup of an event stands in it as such: %t", path, a.status, strings.Contains(a.body, script))
		}
	}
}

// beside does it while a healthy caller posts events, and measures what that caller
// waits: alone, and then.
func (in *input) beside(do func()) {
	post := func() (took []float64) {
		began := time.Now()
		q := request{method: http.MethodPost, url: in.node.api + "/v1/events", token: in.keys["acme ingest"], kind: asJSON, body: `{"type":"sent","user":{"id":"healthy"}}`}
		if a, err := q.send(); err != nil || a.status != http.StatusAccepted {
			in.Errorf("the healthy caller is answered with %d, %v", a.status, err)
		}
		return []float64{since(began)}
	}
	var alone, then []float64
	for range 100 {
		alone = append(alone, post()...)
		in.Sleep(10 * time.Millisecond)
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			then = append(then, post()...)
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	do()
	close(stop)
	<-ended
	p99 := func(all []float64) float64 {
		slices.Sort(all)
		return all[len(all)*99/100]
	}
	a, b := p99(alone), p99(then)
	in.Worst("the healthy caller's p99, alone", "ms", a)
	in.Worst("the healthy caller's p99, beside it", "ms", b)
	if limit := max(10*a, 1000); b > limit {
		in.Errorf("the healthy caller's p99 is %.0f ms, and was %.0f ms", b, a)
	}
}

// leftOver looks at what the node has open and what it said.
func (in *input) leftOver() {
	byHand.CloseIdleConnections()
	in.Wait("descriptors to be closed", func() bool { return in.node.metric("process_open_fds") <= in.files+12 })
	in.Worst("descriptors more than before", "", in.node.metric("process_open_fds")-in.files)
	in.Worst("resident memory", "MiB", in.node.metric("process_resident_memory_bytes")/(1<<20))
	if mib := in.node.metric("process_resident_memory_bytes") / (1 << 20); mib > 600 {
		in.Errorf("the node has %.0f MiB", mib)
	}
	for line := range strings.Lines(in.node.complaints()) {
		if strings.Contains(line, "panic") || strings.Contains(line, "level=ERROR") {
			in.Errorf("the node said: %.400s", line)
		}
	}
}
