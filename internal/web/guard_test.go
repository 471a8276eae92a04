package web_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"telltale.example/telltale/internal/web"
)

// placed is a route's path with something in every place.
func placed(path string) string {
	return regexp.MustCompile(`\{([a-z]+)(\.\.\.)?\}`).ReplaceAllStringFunc(strings.TrimSuffix(path, "{$}"), func(place string) string {
		if place == "{project}" {
			return "default"
		}
		return "none"
	})
}

func TestEveryRouteAsksWhoIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stranger := w.newBrowser()
	for _, r := range web.Routes() {
		path := placed(r.Path)
		p := stranger.send(r.Method, path, url.Values{}, nil)
		if !strings.HasPrefix(p.Header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'; style-src 'self';") || p.Header.Get("X-Content-Type-Options") != "nosniff" ||
			p.Header.Get("Referrer-Policy") != "same-origin" || p.Header.Get("Cross-Origin-Opener-Policy") != "same-origin" || p.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s answers with the headers %v", r.Method, path, p.Header)
		}
		if r.May == web.Public {
			continue
		}
		if p.StatusCode != http.StatusSeeOther || !strings.HasPrefix(p.Header.Get("Location"), "/login") {
			t.Errorf("%s %s answers a stranger with %d %s", r.Method, path, p.StatusCode, p.Header.Get("Location"))
		}
		part := stranger.part(r.Method, path, url.Values{})
		if to := part.Header.Get("HX-Redirect"); !strings.HasPrefix(to, "/login?next=%2Fp%2Fdefault") {
			t.Errorf("%s %s answers a stranger's part with %d %q", r.Method, path, part.StatusCode, to)
		}
	}
}

func TestAFormFromAnotherSiteIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, r := range web.Routes() {
		if r.Method != http.MethodPost {
			continue
		}
		for _, header := range []http.Header{{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Origin": {"https://evil.example.com"}}} {
			if p := w.send(r.Method, placed(r.Path), url.Values{}, header); p.StatusCode != http.StatusForbidden {
				t.Errorf("POST %s with %v answers %d", placed(r.Path), header, p.StatusCode)
			}
		}
	}
	w.get("/account").want(http.StatusOK) // still signed in
}

func TestThePagesAnswerUnderTheirOwnNamesOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for host, want := range map[string]int{
		"localhost": 200, "LOCALHOST:8484": 200, "127.0.0.1": 200, "[::1]:8484": 200, "192.0.2.7": 200,
		"evil.example.com": http.StatusMisdirectedRequest, "localhost.evil.example.com": http.StatusMisdirectedRequest,
		"evil.example.com:8484": http.StatusMisdirectedRequest,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/login", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		response, err := w.newBrowser().client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("the host %s is answered with %d; want %d", host, response.StatusCode, want)
		}
	}
}

func TestTheWayIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.newBrowser()
	b.get("/setup").want(http.StatusSeeOther) // it is set up
	b.get("/login?next=/p/default/events").want(http.StatusOK).says("Log in", "Email", "Password")
	b.post("/login", url.Values{"email": {"owner@example.com"}, "password": {"wrong"}}).want(http.StatusUnprocessableEntity).says("Email or password is wrong.")
	b.post("/login", url.Values{"email": {"nobody@example.com"}, "password": {"wrong"}}).want(http.StatusUnprocessableEntity).says("Email or password is wrong.")
	for next, want := range map[string]string{"/p/default/events?range=1h": "/p/default/events?range=1h", "": "/", "https://evil.example.com/": "/", "//evil.example.com": "/", `/\evil.example.com`: "/"} {
		p := w.newBrowser().post("/login", url.Values{"email": {"Owner@Example.com"}, "password": {password}, "next": {next}}).want(http.StatusSeeOther)
		if got := p.Header.Get("Location"); got != want {
			t.Errorf("a login with next %q leads to %q; want %q", next, got, want)
		}
	}
	for range 3 {
		b.post("/login", url.Values{"email": {"nobody@example.com"}, "password": {"wrong"}})
	}
	b.post("/login", url.Values{"email": {"nobody@example.com"}, "password": {"wrong"}})
	p := b.post("/login", url.Values{"email": {"nobody@example.com"}, "password": {"wrong"}}).want(http.StatusTooManyRequests).says("Too many tries. Try again in ")
	if p.Header.Get("Retry-After") == "" {
		t.Error("there is no Retry-After")
	}

	viewer := w.operator("viewer")
	viewer.get("/account").want(http.StatusOK).says("viewer@example.com")
	viewer.get("/admin/operators").want(http.StatusForbidden)
	viewer.post("/account/password", url.Values{"current": {"wrong"}, "password": {password + "!"}}).want(http.StatusUnprocessableEntity).says("The password is wrong.")
	viewer.post("/account/password", url.Values{"current": {password}, "password": {"short"}}).want(http.StatusUnprocessableEntity).says("Use at least 12 characters.")
	viewer.follow(viewer.post("/account/password", url.Values{"current": {password}, "password": {password + "!"}})).says("Password changed.")
	viewer.follow(viewer.post("/logout", url.Values{})).says("You are logged out.")
	viewer.get("/account").want(http.StatusSeeOther)
}

// A first visit loads a page and all that it names, compressed.
func TestTheFirstLoadIsSmall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const most = 40 << 10
	total := 0
	load := func(path string) page {
		p := w.send(http.MethodGet, path, nil, http.Header{"Accept-Encoding": {"gzip"}}).want(http.StatusOK)
		total += len(p.body)
		return p
	}
	load(list)
	for _, m := range regexp.MustCompile(`(?:src|href)="(/static/[^"]+)"`).FindAllStringSubmatch(w.get(list).body, -1) {
		p := load(m[1])
		if p.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s may be kept %q", m[1], p.Header.Get("Cache-Control"))
		}
	}
	if total > most {
		t.Errorf("the first load is %d bytes; want at most %d", total, most)
	}
	t.Logf("the first load is %d bytes", total)
}

// Were they apart, a page could begin before the script that makes it live is there.
func TestAPageHasOneScript(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	scripts := regexp.MustCompile(`<script src="([^"]+)" defer></script>`).FindAllStringSubmatch(w.get(list).body, -1)
	if len(scripts) != 1 {
		t.Fatalf("the page has %d scripts", len(scripts))
	}
	script := w.get(scripts[0][1]).want(http.StatusOK).body
	htmx, sse, app := strings.Index(script, "var htmx="), strings.Index(script, `registerExtension("sse"`), strings.Index(script, "// What pages cannot do")
	if htmx < 0 || sse < htmx || app < sse {
		t.Fatalf("the script has htmx at %d, its extension at %d and the pages' own at %d; want them in this order", htmx, sse, app)
	}
}
