package browser

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"

	"telltale.example/telltale/internal/app"
	"telltale.example/telltale/internal/config"
)

// password is everybody's.
const password = "correct horse battery staple"

// world is a whole node, with an owner.
type world struct {
	*testing.T
	app    *app.App
	config config.Config
	cookie *http.Cookie // of the owner's session

	trackKey string // of the Track API, made when it is needed first
}

// newWorld starts a node that may send to this machine, and sets it up.
func newWorld(t *testing.T, change ...func(*config.Config)) *world {
	t.Helper()
	w := newNode(t, change...)
	setup, err := url.Parse(w.app.SetupURL())
	if err != nil {
		t.Fatal(err)
	}
	w.cookie = w.enter("/setup", url.Values{"token": {setup.Query().Get("token")}, "email": {"owner@example.com"}, "password": {password}, "project": {"Acme"}})
	return w
}

// newNode starts a node that nobody has set up.
func newNode(t *testing.T, change ...func(*config.Config)) *world {
	t.Helper()
	cfg := config.Defaults()
	cfg.Listen, cfg.OpsListen, cfg.Data = "127.0.0.1:0", "127.0.0.1:0", filepath.Join(t.TempDir(), "data")
	cfg.AllowPrivate = true
	for _, c := range change {
		c(&cfg)
	}
	w := &world{T: t, config: cfg}
	w.start()
	t.Cleanup(w.stop)
	return w
}

func (w *world) start() {
	w.Helper()
	a, err := app.Start(w.Context(), w.config, "1.0.0", slog.New(slog.DiscardHandler))
	if err != nil {
		w.Fatal(err)
	}
	w.app = a
}

func (w *world) stop() {
	w.Helper()
	if err := w.app.Stop(context.WithoutCancel(w.Context())); err != nil {
		w.Error(err)
	}
}

// enter sends a form of the way in, and gives the cookie of the session.
func (w *world) enter(path string, form url.Values) *http.Cookie {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), http.MethodPost, w.app.URL()+path, strings.NewReader(form.Encode()))
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	for _, c := range response.Cookies() {
		if strings.HasSuffix(c.Name, "telltale") {
			return c
		}
	}
	body, _ := io.ReadAll(response.Body)
	w.Fatalf("%s lets nobody in: %d %s", path, response.StatusCode, body)
	return nil
}

// owner opens a tab in which the owner is signed in.
func (w *world) owner() *tab { return w.signedIn(w.cookie) }

func (w *world) signedIn(c *http.Cookie) *tab {
	w.Helper()
	b := newTab(w.T, w.app.URL())
	call(b, network.SetCookie, network.SetCookieParams{Name: c.Name, Value: c.Value, URL: w.app.URL(), HTTPOnly: new(true), SameSite: network.CookieSameSiteLax})
	return b
}

// api makes a request of the API with the owner's token, and decodes the answer.
func (w *world) api(method, path, body string, into any) {
	w.Helper()
	w.call(method, path, "application/json", body, into)
}

func (w *world) call(method, path, contentType, body string, into any) {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, w.app.URL()+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.app.OwnerToken())
	r.Header.Set("Content-Type", contentType)
	response, err := new(http.Client).Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= 300 {
		w.Fatalf("%s %s answers %d %s, %v", method, path, response.StatusCode, answer, err)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			w.Fatal(err)
		}
	}
}

// receiver is a customer's server: it keeps what it got, and answers as told.
type receiver struct {
	url string // under localhost

	mu     sync.Mutex
	status int
	delay  time.Duration
	got    []caught
}

type caught struct {
	header http.Header
	body   string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{status: http.StatusOK}
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		r.mu.Lock()
		r.got = append(r.got, caught{request.Header, string(body)})
		status, delay := r.status, r.delay
		r.mu.Unlock()
		select {
		case <-time.After(delay):
		case <-request.Context().Done():
		case <-done:
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(func() { close(done); server.Close() })
	r.url = strings.Replace(server.URL, "127.0.0.1", "localhost", 1) + "/hook"
	return r
}

// answers says what the receiver answers from now on, and after which time.
func (r *receiver) answers(status int, after time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status, r.delay = status, after
}

func (r *receiver) requests() []caught {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]caught(nil), r.got...)
}

// await waits until the receiver got n requests.
func (r *receiver) await(t *testing.T, n int) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); len(r.requests()) < n; <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("the receiver got %d requests; want %d", len(r.requests()), n)
		}
	}
}
