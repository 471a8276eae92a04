package api

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/egress"
	"telltale.example/telltale/internal/feed"
	"telltale.example/telltale/internal/httpserver"
	"telltale.example/telltale/internal/imports"
	"telltale.example/telltale/internal/ingest"
	"telltale.example/telltale/internal/live"
	"telltale.example/telltale/internal/send"
	"telltale.example/telltale/internal/sqlite"
)

var update = flag.Bool("update", false, "write the golden files anew")

// world is the API over a store of its own, with two projects and a key of
// every scope in each.
type world struct {
	t          *testing.T
	config     Config
	handler    http.Handler
	store      *faultyStore
	dispatcher *fakeDispatcher
	keys       *auth.Keys
	guard      *egress.Guard
	feeds      *feed.Handler
	node       telltale.NodeID

	receiver    *receiver
	acme, other telltale.Project
	tokens      map[string]string // by "acme manage", "owner", …
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ring, err := auth.ParseKeyRing("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	if err != nil {
		t.Fatal(err)
	}
	node := telltale.NewNodeID()
	inner, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "data", "telltale.db"), sqlite.Options{Node: node, Sealer: ring})
	if err != nil {
		t.Fatal(err)
	}
	guard, err := egress.New(egress.Config{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	store := &faultyStore{Store: inner}
	sender := send.New(send.Config{Guard: guard, Node: node, Version: "test"})
	w := &world{
		t: t, store: store, guard: guard, node: node, keys: auth.NewKeys(store, log), tokens: map[string]string{},
		dispatcher: &fakeDispatcher{store: store, sender: sender},
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := w.keys.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := inner.Close(); err != nil {
			t.Error(err)
		}
		sender.Close()
	})
	w.receiver = newReceiver(t)
	w.acme, w.other = w.project("acme"), w.project("other")
	for _, scope := range []telltale.Scope{telltale.ScopeTrack, telltale.ScopeIngest, telltale.ScopeRead, telltale.ScopeManage} {
		w.tokens["acme "+string(scope)] = w.key(w.acme.ID, scope)
		w.tokens["other "+string(scope)] = w.key(w.other.ID, scope)
	}
	w.tokens["owner"] = w.key("", telltale.ScopeOwner)
	in := ingest.New(store, w.dispatcher, nil)
	w.feeds = feed.New(feed.Config{Store: store, Ingest: in, PublicURL: "https://telltale.test", Post: func(r *http.Request) (*http.Response, error) {
		return w.deliver(r).Result(), nil
	}})
	t.Cleanup(func() {
		if err := w.feeds.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	stopped := live.New(store)
	stopped.Stop()
	w.config = Config{
		Live: stopped, Compose: sender, LiveSecret: func(telltale.ProjectID) string { return telltale.NewSecret() },
		Store: store, Keys: w.keys, Ingest: in, Dispatcher: w.dispatcher, Replays: w.dispatcher, Sources: w.feeds, Guard: guard,
		Imports: imports.New(imports.Config{Store: store, Files: imports.Folder(filepath.Join(t.TempDir(), "imports"))}), // none ever runs
		Version: "1.2.3", PublicURL: "https://telltale.test/", CursorKey: ring.Derive("cursor"), Log: log,
		Resume: func(context.Context) (bool, error) { return false, nil },
	}
	w.serve(New(w.config))
	return w
}

// deliver makes a request of a provider.
func (w *world) deliver(r *http.Request) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	httpserver.Wrap(w.feeds, httpserver.Config{}).ServeHTTP(recorder, r)
	return recorder
}

// serve makes h what requests are answered by.
func (w *world) serve(h http.Handler) { w.handler = httpserver.Wrap(h, httpserver.Config{}) }

func (w *world) project(slug string) telltale.Project {
	w.t.Helper()
	p := telltale.NewProject(slug, strings.ToUpper(slug))
	if err := w.store.CreateProject(w.t.Context(), p); err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) key(project telltale.ProjectID, scope telltale.Scope) string {
	w.t.Helper()
	key, token := telltale.NewKey(project, "test "+string(scope), scope)
	if err := w.store.CreateKey(w.t.Context(), key); err != nil {
		w.t.Fatal(err)
	}
	return token
}

// answer is what a caller got.
type answer struct {
	*httptest.ResponseRecorder
	t *testing.T
}

// do makes a request with the named token, or a token itself.
func (w *world) do(token, method, path, body string) answer {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return w.send(token, r)
}

func (w *world) send(token string, r *http.Request) answer {
	w.t.Helper()
	if named, ok := w.tokens[token]; ok {
		token = named
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	recorder := httptest.NewRecorder()
	w.handler.ServeHTTP(recorder, r)
	return answer{recorder, w.t}
}

// want fails the test unless the answer has the status.
func (a answer) want(status int) answer {
	a.t.Helper()
	if a.Code != status {
		a.t.Fatalf("answered %d %s, want %d", a.Code, a.Body, status)
	}
	return a
}

// read reads the answer's JSON.
func read[T any](a answer) T {
	a.t.Helper()
	var v T
	if err := json.Unmarshal(a.Body.Bytes(), &v); err != nil {
		a.t.Fatalf("reading %s: %v", a.Body, err)
	}
	return v
}

// post has the project's events accepted, and gives their ids.
func (w *world) post(token, body string) []string {
	w.t.Helper()
	var ids []string
	for _, e := range read[struct {
		Events []struct{ ID string }
	}](w.do(token, "POST", "/v1/events", body).want(202)).Events {
		ids = append(ids, e.ID)
	}
	return ids
}

// webhook makes one for the project of the token.
func (w *world) webhook(token, body string) string {
	w.t.Helper()
	return read[struct{ ID string }](w.do(token, "POST", "/v1/webhooks", body).want(201)).ID
}

// varying are parts of answers that differ from run to run.
var varying = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`\b(prj|whk|evt|dlv|key|nod|req|src)_[0-9A-HJKMNP-TV-Z]{26}\b`), "${1}_…"},
	{regexp.MustCompile(`\btt_[A-Za-z0-9_-]{43}`), "tt_…"},
	{regexp.MustCompile(`\bwhsec_[A-Za-z0-9+/]{43}=`), "whsec_…"},
	{regexp.MustCompile(`\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`), "<time>"},
	{regexp.MustCompile(`\b[a-z2-7]{24}\b`), "<bin>"},
	{regexp.MustCompile(`\b[a-z2-7]{32}\b`), "<token>"},
	{regexp.MustCompile(`"(duration_ms|dns_ms|connect_ms|tls_ms|first_byte_ms)": [0-9.]+`), `"$1": <ms>`},
	{regexp.MustCompile(`\b127\.0\.0\.1:\d+`), "127.0.0.1:<port>"},
	{regexp.MustCompile(`\bin \d+ ms`), "in <n> ms"},
	{regexp.MustCompile(`\b(1[7-9]|2\d)\d{8}\b`), `<seconds>`}, // since 2023: those of samples stay
	{regexp.MustCompile(`v1,[A-Za-z0-9+/]{43}=`), "v1,…"},
	{regexp.MustCompile(`"Date": "[^"]+"`), `"Date": "<date>"`},
	{regexp.MustCompile(`"(next|prev)": "[A-Za-z0-9_-]+"`), `"$1": "<cursor>"`},
	{regexp.MustCompile(`"sequence": \d+`), `"sequence": <n>`},
}

// golden compares the answer, without what differs from run to run, with a file.
func (a answer) golden(name string) answer {
	a.t.Helper()
	var indented bytes.Buffer
	if err := json.Indent(&indented, a.Body.Bytes(), "", "  "); err != nil {
		a.t.Fatalf("%s: %v: %s", name, err, a.Body)
	}
	got := indented.String()
	for _, v := range varying {
		got = v.pattern.ReplaceAllString(got, v.name)
	}
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			a.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		a.t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		a.t.Errorf("%s (-want +got):\n%s", path, diff)
	}
	return a
}

// receiver is a customer's server.
type receiver struct {
	URL string

	mu     sync.Mutex
	answer http.HandlerFunc
	bodies []string
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{answer: func(http.ResponseWriter, *http.Request) {}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			t.Errorf("reading a request: %v", err)
		}
		r.mu.Lock()
		r.bodies = append(r.bodies, string(body))
		answer := r.answer
		r.mu.Unlock()
		answer(w, q)
	}))
	t.Cleanup(server.Close)
	r.URL = server.URL
	return r
}

// answers makes the receiver answer in another way from now on.
func (r *receiver) answers(h http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = h
}

func (r *receiver) lastBody() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.bodies) == 0 {
		return ""
	}
	return r.bodies[len(r.bodies)-1]
}

// faultyStore is a store that can be made to fail.
type faultyStore struct {
	telltale.Store
	mu        sync.Mutex
	err       error  // what every reading and changing of webhooks gives
	conflicts int    // how many updates of a webhook or a source conflict
	meanwhile func() // is called in place of those updates
}

func (f *faultyStore) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *faultyStore) Webhook(ctx context.Context, project telltale.ProjectID, id telltale.WebhookID) (*telltale.Webhook, error) {
	f.mu.Lock()
	err := f.err
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return f.Store.Webhook(ctx, project, id)
}

func (f *faultyStore) UpdateWebhook(ctx context.Context, w telltale.Webhook) (*telltale.Webhook, error) {
	if err := f.conflict(); err != nil {
		return nil, err
	}
	return f.Store.UpdateWebhook(ctx, w)
}

func (f *faultyStore) UpdateSource(ctx context.Context, s telltale.Source) (*telltale.Source, error) {
	if err := f.conflict(); err != nil {
		return nil, err
	}
	return f.Store.UpdateSource(ctx, s)
}

// conflict fails as long as updates are to conflict.
func (f *faultyStore) conflict() error {
	f.mu.Lock()
	conflicts, meanwhile := f.conflicts, f.meanwhile
	if conflicts > 0 {
		f.conflicts--
	}
	f.mu.Unlock()
	if conflicts == 0 {
		return nil
	}
	if meanwhile != nil {
		meanwhile()
	}
	return telltale.Errorf(telltale.PreconditionFailed, "It was changed meanwhile.")
}

// fakeDispatcher notes what it is told, and makes tests' attempts itself.
type fakeDispatcher struct {
	store  telltale.Store
	sender *send.Sender

	mu      sync.Mutex
	changed []*telltale.Webhook
	due     []telltale.WebhookID
	offered []telltale.Accepted
	err     error // what Test gives
}

func (d *fakeDispatcher) Reserve(*telltale.Webhook) bool { return false }
func (d *fakeDispatcher) Wake()                          {}
func (d *fakeDispatcher) Release(*telltale.Webhook)      {}

func (d *fakeDispatcher) Offer(a telltale.Accepted) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.offered = append(d.offered, a)
}

func (d *fakeDispatcher) Changed(w *telltale.Webhook) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changed = append(d.changed, w)
}

func (d *fakeDispatcher) Due(w *telltale.Webhook) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.due = append(d.due, w.ID)
}

// lastChanged is what the dispatcher was told last; nil if nothing.
func (d *fakeDispatcher) lastChanged() *telltale.Webhook {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.changed) == 0 {
		return nil
	}
	return d.changed[len(d.changed)-1]
}

func (d *fakeDispatcher) Test(ctx context.Context, claim telltale.Claim) (telltale.Attempt, error) {
	if d.err != nil {
		return telltale.Attempt{}, d.err
	}
	return d.attempt(ctx, claim)
}

// attempt makes the claimed attempt and records it.
func (d *fakeDispatcher) attempt(ctx context.Context, claim telltale.Claim) (telltale.Attempt, error) {
	a := d.sender.Send(ctx, &claim, claim.Webhook)
	_, err := d.store.RecordAttempts(ctx, []telltale.Result{{ClaimRef: claim.ClaimRef, Attempt: &a, Outcome: claim.After(&a, claim.Webhook.RetrySchedule, 0.5)}})
	return a, err
}
