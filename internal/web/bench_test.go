package web_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/live"
	"telltale.example/telltale/internal/sqlite"
	"telltale.example/telltale/internal/web"
)

var (
	benchRows = flag.Int("rows", 20_000, "deliveries in the log before BenchmarkDeliveriesPage; 10,000,000 for the published figure")
	benchLog  = flag.String("log", "", "folder of a log that is kept for it; empty makes a new one")
)

// plainSealer seals nothing: benchmarks have no secrets.
type plainSealer struct{}

func (plainSealer) Seal(plain []byte, _ string) ([]byte, error)  { return bytes.Clone(plain), nil }
func (plainSealer) Open(sealed []byte, _ string) ([]byte, error) { return bytes.Clone(sealed), nil }
func (plainSealer) Keys() []string                               { return []string{""} }
func (plainSealer) KeyOf([]byte) string                          { return "" }

// everywhere is room without end.
type everywhere struct{}

func (everywhere) Reserve(*telltale.Webhook) bool { return true }
func (everywhere) Release(*telltale.Webhook)      {}

// benchWorld is the pages over a log of many deliveries to ten webhooks of one
// project, of which one in a hundred failed and one in a hundred waits for a retry.
type benchWorld struct {
	testing.TB
	store   *sqlite.Store
	project telltale.Project
	hooks   []*telltale.Webhook
	pages   http.Handler
	cookie  *http.Cookie
}

// newBenchWorld keeps its log in the folder. see is what the pages see of the store.
func newBenchWorld(b testing.TB, folder string, rows int, see func(*sqlite.Store) telltale.Store) *benchWorld {
	b.Helper()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		b.Fatal(err)
	}
	if err := os.Chmod(folder, 0o700); err != nil {
		b.Fatal(err)
	}
	store, err := sqlite.Open(b.Context(), filepath.Join(folder, "telltale.db"), sqlite.Options{
		Node: telltale.NewNodeID(), Sealer: plainSealer{}, Fatal: func(err error) { b.Errorf("the store failed: %v", err) },
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	w := &benchWorld{TB: b, store: store}
	if w.project, err = store.ProjectBySlug(b.Context(), telltale.DefaultProjectSlug); err != nil {
		b.Fatal(err)
	}
	operators := auth.NewOperators(store, false)
	w.pages = web.New(web.Config{
		Store: see(store), Operators: operators, Live: live.New(store), PublicURL: "http://localhost", SigningKey: []byte("key"), Log: slog.New(slog.DiscardHandler),
	})
	w.signIn(operators)
	w.fill(rows)
	return w
}

func (w *benchWorld) signIn(operators *auth.Operators) {
	ctx := w.Context()
	operator, err := w.store.OperatorByEmail(ctx, "bench@example.com")
	if telltale.CodeOf(err) == telltale.NotFound {
		operator = telltale.NewOperator("bench@example.com", telltale.RoleOwner, "none")
		var token string
		if token, err = operators.NewLink(ctx, telltale.Link{Purpose: telltale.LinkSetup}, time.Minute); err == nil {
			err = w.store.CreateOperator(ctx, operator, sha256.Sum256([]byte(token)))
		}
	}
	if err != nil {
		w.Fatal(err)
	}
	answer := httptest.NewRecorder()
	if err := operators.Begin(answer, httptest.NewRequestWithContext(ctx, http.MethodPost, "/login", nil), operator); err != nil {
		w.Fatal(err)
	}
	w.cookie = answer.Result().Cookies()[0]
}

// fill makes the log as long as it is to be. A log that is kept says in the name
// of its project how long it is.
func (w *benchWorld) fill(rows int) {
	ctx := w.Context()
	var err error
	if w.hooks, err = w.store.Webhooks(ctx, w.project.ID, telltale.Page{Limit: 10}); err != nil {
		w.Fatal(err)
	}
	for i := len(w.hooks); i < 10; i++ {
		hook := telltale.NewWebhook(w.project.ID, fmt.Sprintf("https://receiver%d.example/hooks", i), telltale.NewEventTypeSet(telltale.EventTypes()[i]))
		made, err := w.store.CreateWebhook(ctx, hook)
		if err != nil {
			w.Fatal(err)
		}
		w.hooks = append(w.hooks, made)
	}
	have := 0
	_, _ = fmt.Sscanf(w.project.Name, "%d deliveries", &have)
	payload := []byte(`{"type":"sent","user":{"id":1,"email":"user@mail.example"},"campaign":{"name":"Spring","filler":"` + string(bytes.Repeat([]byte("x"), 500)) + `"}}`)
	for have < rows {
		now := time.Now().UTC().Truncate(time.Millisecond)
		events := make([]*telltale.Event, 1000)
		for i := range events {
			id := sha256.Sum256(fmt.Append(nil, have+i))
			events[i] = &telltale.Event{
				ID: telltale.NewEventID(), ProjectID: w.project.ID, Type: telltale.EventTypes()[i%10], Source: "api", OccurredAt: now, ReceivedAt: now, Payload: payload,
				UserID: fmt.Sprint((have + i) % 100_000), Email: fmt.Sprintf("user.%d@mail.example", (have+i)%100_000), MessageID: hex.EncodeToString(id[:8]) + "@mail.example",
			}
		}
		accepted, err := w.store.AcceptEvents(ctx, telltale.Acceptance{ProjectID: w.project.ID, Events: events, Room: everywhere{}})
		if err != nil {
			w.Fatal(err)
		}
		results := make([]telltale.Result, len(accepted.Claims))
		for i, c := range accepted.Claims {
			results[i] = benchResult(i, c)
		}
		if _, err := w.store.RecordAttempts(ctx, results); err != nil {
			w.Fatal(err)
		}
		have += len(events)
	}
	w.project.Name = fmt.Sprintf("%d deliveries", have)
	if err := w.store.UpdateProject(ctx, w.project); err != nil {
		w.Fatal(err)
	}
}

func benchResult(i int, c telltale.Claim) telltale.Result {
	a := &telltale.Attempt{
		Number: 1, Trigger: c.Trigger, StartedAt: time.Now(), Duration: 4 * time.Millisecond, Status: http.StatusOK,
		Request: telltale.SentRequest{Method: http.MethodPost, URL: c.Webhook.URL, Headers: []telltale.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "webhook-id", Value: string(c.Event.ID)}}},
	}
	r := telltale.Result{ClaimRef: c.ClaimRef, Attempt: a, Outcome: telltale.Outcome{State: telltale.StateSucceeded, Step: 1}, WebhookVersion: c.Webhook.Version}
	if i%100 < 2 {
		a.Status, a.Error, a.Failure = http.StatusInternalServerError, telltale.ErrorHTTPStatus, telltale.FailureHTTP5xx
		r.Outcome = telltale.Outcome{State: telltale.StateFailed, Step: 1}
		if i%100 == 1 {
			r.Outcome = telltale.Outcome{State: telltale.StateWaiting, Wait: time.Hour, Step: 1}
		}
	}
	return r
}

func (w *benchWorld) request(path string) *http.Request {
	r := httptest.NewRequestWithContext(context.WithoutCancel(w.Context()), http.MethodGet, "http://localhost"+path, nil)
	r.AddCookie(w.cookie)
	return r
}

// processor is the time that this process has used of the processors: what a
// page costs, however busy the machine is.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkDeliveriesPage makes pages of the delivery log, and tells the median
// and the 95th percentile of the server's time beside the mean, what a page
// costs, and its bytes. The published figure is
//
//	go test ./internal/web -run '^$' -bench DeliveriesPage -rows 10000000 -log /var/tmp/log -timeout 0
func BenchmarkDeliveriesPage(b *testing.B) {
	folder := *benchLog
	if folder == "" {
		folder = b.TempDir()
	}
	w := newBenchWorld(b, folder, *benchRows, func(s *sqlite.Store) telltale.Store { return s })
	some, err := w.store.Deliveries(b.Context(), w.project.ID, telltale.DeliveryFilter{}, telltale.Page{Limit: 50})
	if err != nil || len(some) == 0 {
		b.Fatal(len(some), err)
	}
	hook, last := string(w.hooks[3].ID), string(some[len(some)-1].ID)
	for _, row := range []struct{ name, query string }{
		{"all", ""},
		{"older", "?after=" + last},
		{"webhook", "?webhook=" + hook},
		{"failed", "?state=failed"},
		{"failed-at-webhook", "?state=failed&webhook=" + hook},
		{"retrying", "?state=retrying"},
		{"event", "?event=bounced&range=24h"},
		{"5xx", "?answer=5xx"},
		{"recipient", "?q=user.77@mail.example"},
		{"nobody", "?q=nobody@mail.example"},
		{"refresh", ""},
	} {
		b.Run(row.name, func(b *testing.B) {
			r := w.request("/p/default/deliveries" + row.query)
			if row.name == "refresh" {
				r.Header.Set("HX-Request-Type", "partial")
			}
			w.measure(b, r)
		})
	}
}

// measure makes the page again and again.
func (w *benchWorld) measure(b *testing.B, r *http.Request) {
	b.Helper()
	r.Header.Set("Accept-Encoding", "gzip")
	var took []time.Duration
	size, used := 0, processor(b)
	for b.Loop() {
		answer := httptest.NewRecorder()
		began := time.Now()
		w.pages.ServeHTTP(answer, r.Clone(r.Context()))
		took = append(took, time.Since(began))
		if size = answer.Body.Len(); answer.Code != http.StatusOK {
			b.Fatalf("%d: %s", answer.Code, answer.Body)
		}
	}
	used = processor(b) - used
	slices.Sort(took)
	for _, percent := range []int{50, 95} {
		b.ReportMetric(float64(took[len(took)*percent/100])/float64(time.Millisecond), fmt.Sprintf("p%d-ms", percent))
	}
	b.ReportMetric(float64(used)/float64(len(took))/float64(time.Millisecond), "CPU-ms")
	b.ReportMetric(float64(size), "page-B")
}

// BenchmarkUserPage makes the page of a user to whom 10,000 events happened, and
// who did 10,000 things, in a log that holds everybody's. The published figure is
//
//	go test ./internal/web -run '^$' -bench UserPage -rows 1000000 -timeout 0
func BenchmarkUserPage(b *testing.B) {
	const events = 10_000
	w := newBenchWorld(b, b.TempDir(), *benchRows, func(s *sqlite.Store) telltale.Store { return s })
	user := telltale.NamedUser("bench-user", "bench-user@mail.example")
	changes := telltale.UserChanges{ProjectID: w.project.ID, Source: "track", Room: everywhere{}}
	for i := range events {
		changes.Changes = append(changes.Changes, telltale.UserChange{Kind: telltale.ChangeTrack, User: user, Event: &telltale.TrackedEvent{Name: fmt.Sprintf("step %d", i)}})
		if len(changes.Changes) < 1000 {
			continue
		}
		if _, err := w.store.ChangeUsers(b.Context(), changes); err != nil {
			b.Fatal(err)
		}
		changes.Changes = changes.Changes[:0]
		now := time.Now().UTC().Truncate(time.Millisecond)
		accepted := make([]*telltale.Event, 1000)
		for j := range accepted {
			accepted[j] = &telltale.Event{
				ID: telltale.NewEventID(), ProjectID: w.project.ID, Type: telltale.Opened, Source: "api", OccurredAt: now, ReceivedAt: now,
				Payload: []byte(`{"type":"opened","user":{"id":"bench-user","email":"bench-user@mail.example"},"campaign":{"name":"Spring"}}`),
				UserID:  "bench-user", Email: "bench-user@mail.example", MessageID: fmt.Sprint(i, j),
			}
		}
		if _, err := w.store.AcceptEvents(b.Context(), telltale.Acceptance{ProjectID: w.project.ID, Events: accepted, Room: everywhere{}}); err != nil {
			b.Fatal(err)
		}
	}
	profile, err := w.store.FindProfile(b.Context(), w.project.ID, user)
	if err != nil {
		b.Fatal(err)
	}
	w.measure(b, w.request("/p/default/users/"+string(profile.ID)))
}
