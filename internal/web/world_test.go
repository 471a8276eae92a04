package web_test

import (
	"context"
	"encoding/json"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale/internal/app"
	"telltale.example/telltale/internal/config"
)

// world is a whole node with the pages, as a browser without JavaScript sees it.
type world struct {
	t   *testing.T
	app *app.App
	*browser

	trackKey string // made when it is needed first
}

const password = "correct horse battery staple"

// newWorld starts a node that may send to this machine, and signs in its owner.
func newWorld(t *testing.T, change ...func(*config.Config)) *world {
	t.Helper()
	cfg := config.Defaults()
	cfg.Listen, cfg.OpsListen, cfg.Data = "127.0.0.1:0", "127.0.0.1:0", filepath.Join(t.TempDir(), "data")
	cfg.AllowPrivate = true
	for _, c := range change {
		c(&cfg)
	}
	a, err := app.Start(t.Context(), cfg, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, app: a}
	w.browser = w.newBrowser()
	setup, err := url.Parse(a.SetupURL())
	if err != nil {
		t.Fatal(err)
	}
	w.post("/setup", url.Values{"token": {setup.Query().Get("token")}, "email": {"owner@example.com"}, "password": {password}, "project": {"Acme"}}).want(http.StatusSeeOther)
	return w
}

// browser is one with cookies of its own. It does not follow redirects.
type browser struct {
	t      *testing.T
	url    string
	client *http.Client
}

func (w *world) newBrowser() *browser {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &browser{w.t, w.app.URL(), &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// operator invites someone with the role, and gives their browser.
func (w *world) operator(role string) *browser {
	w.t.Helper()
	email := role + "@example.com"
	made := w.follow(w.post("/admin/operators/invite", url.Values{"email": {email}, "role": {role}}))
	token := regexp.MustCompile(`token=([A-Za-z0-9_-]+)`).FindStringSubmatch(made.body)
	if token == nil {
		w.t.Fatalf("no link in %s", made.body)
	}
	b := w.newBrowser()
	b.post("/link", url.Values{"token": {token[1]}, "password": {password}}).want(http.StatusSeeOther)
	return b
}

// page is what the browser got.
type page struct {
	*http.Response
	t    *testing.T
	body string
}

func (b *browser) get(path string) page { return b.send(http.MethodGet, path, nil, nil) }

func (b *browser) post(path string, form url.Values) page {
	return b.send(http.MethodPost, path, form, nil)
}

// part asks as htmx does.
func (b *browser) part(method, path string, form url.Values) page {
	return b.send(method, path, form, http.Header{"Hx-Request": {"true"}, "Hx-Request-Type": {"partial"}, "Hx-Current-Url": {b.url + "/p/default" + reporting}})
}

func (b *browser) send(method, path string, form url.Values, header http.Header) page {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return b.do(r)
}

func (b *browser) do(r *http.Request) page {
	b.t.Helper()
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return page{response, b.t, string(body)}
}

// follow goes where a redirect leads.
func (b *browser) follow(p page) page {
	b.t.Helper()
	p.want(http.StatusSeeOther)
	return b.get(p.Header.Get("Location"))
}

// want fails the test unless the page has the status.
func (p page) want(status int) page {
	p.t.Helper()
	if p.StatusCode != status {
		p.t.Fatalf("%s %s answers %d; want %d: %s", p.Request.Method, p.Request.URL.Path, p.StatusCode, status, p.text())
	}
	return p
}

var (
	tags   = regexp.MustCompile(`<[^>]*>`)
	spaces = regexp.MustCompile(`\s+`)
)

// text is what a person reads.
func (p page) text() string {
	body := strings.ReplaceAll(p.body, "<wbr>", "")
	return strings.TrimSpace(spaces.ReplaceAllString(html.UnescapeString(tags.ReplaceAllString(body, " ")), " "))
}

// says fails the test unless the page has each of the texts.
func (p page) says(texts ...string) page {
	p.t.Helper()
	for _, text := range texts {
		if !strings.Contains(p.text(), text) {
			p.t.Errorf("%s %s does not say %q: %.1500s", p.Request.Method, p.Request.URL.Path, text, p.text())
		}
	}
	return p
}

// lacks fails the test if the page's source has one of the texts.
func (p page) lacks(texts ...string) page {
	p.t.Helper()
	for _, text := range texts {
		if strings.Contains(p.body, text) {
			p.t.Errorf("%s %s has %q", p.Request.Method, p.Request.URL.Path, text)
		}
	}
	return p
}

// api makes a request of the API with the owner's token, and decodes the answer.
func (w *world) api(method, path, body string, into any) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.app.URL()+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.app.OwnerToken())
	r.Header.Set("Content-Type", "application/json")
	response, err := new(http.Client).Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= 300 {
		w.t.Fatalf("%s %s answers %d %s, %v", method, path, response.StatusCode, answer, err)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			w.t.Fatal(err)
		}
	}
}

// ndjson posts events, one to a line.
func (w *world) ndjson(events string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.app.URL()+"/v1/events", strings.NewReader(events))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.app.OwnerToken())
	r.Header.Set("Content-Type", "application/x-ndjson")
	response, err := new(http.Client).Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		w.t.Fatalf("posting events answers %d", response.StatusCode)
	}
}

// until waits for something to come about.
func (w *world) until(what string, about func() bool) {
	w.t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !about() {
		select {
		case <-deadline:
			w.t.Fatalf("%s: that did not come about", what)
		case <-tick.C:
		}
	}
}

// receiver answers what it is told to.
func receiver(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return strings.Replace(s.URL, "127.0.0.1", "localhost", 1) + "/hook"
}
