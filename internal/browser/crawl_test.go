package browser

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/web"
)

// crawler follows every link that a page has, as somebody signed in.
type crawler struct {
	*world
	who    *http.Cookie
	routes *http.ServeMux // of all routes, to know them by
	met    map[string]int // pages by route and names in the query

	Pages []string        // that are HTML, each address once
	Forms map[string]bool // route of everything that can be sent
	Seen  map[string]bool // route of everything that was opened
}

// enough is how many pages that differ only in their values are followed.
const enough = 6

var (
	paragraphs = regexp.MustCompile(`(?s)<p[ >].*?</p>`)
	blocks     = regexp.MustCompile(`<(form|div|ul|ol|dl|pre|table|section|details|h[1-6])\b`)
	asked      = regexp.MustCompile(`formmethod="get" formaction="[^"]*"`)
	places     = regexp.MustCompile(`(?:href|hx-get|formmethod="get" formaction)="([^"]*)"`)
	sends      = regexp.MustCompile(`hx-post="([^"]*)"|<form[^>]*method="post"[^>]*action="([^"]*)"|formaction="([^"]*)"`)
)

func (w *world) crawl(who *http.Cookie) *crawler {
	w.Helper()
	c := &crawler{world: w, who: who, routes: http.NewServeMux(), met: map[string]int{}, Forms: map[string]bool{}, Seen: map[string]bool{}}
	for _, r := range web.Routes() {
		c.routes.Handle(r.Method+" "+r.Path, http.NotFoundHandler())
	}
	known := map[string]bool{"/": true}
	for queue := []string{"/"}; len(queue) > 0; {
		at := queue[0]
		queue = queue[1:]
		for _, next := range c.visit(at) {
			if !known[next] {
				known[next] = true
				queue = append(queue, next)
			}
		}
	}
	slices.Sort(c.Pages)
	return c
}

// route is the pattern of the table that a request is for; empty if there is none.
func (c *crawler) route(method, path string) string {
	r, err := http.NewRequestWithContext(c.Context(), method, path, nil)
	if err != nil {
		return ""
	}
	_, pattern := c.routes.Handler(r)
	return pattern
}

// visit opens a page and gives where its links lead.
func (c *crawler) visit(at string) (next []string) {
	here, err := url.Parse(at)
	if err != nil {
		c.Errorf("%q is no address: %v", at, err)
		return nil
	}
	route := c.route(http.MethodGet, here.Path)
	shape := route
	if shape == "" {
		shape = here.Path
	}
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range here.Query() {
			if !yield(name) {
				return
			}
		}
	}) {
		shape += "&" + name
	}
	if c.met[shape]++; c.met[shape] > enough {
		return nil
	}
	response, body := c.request(c.who, http.MethodGet, at, nil)
	c.Seen[route] = true
	switch {
	case response.StatusCode == http.StatusSeeOther:
		return []string{response.Header.Get("Location")}
	case response.StatusCode != http.StatusOK:
		c.Errorf("%s answers %d", at, response.StatusCode)
		return nil
	case !strings.HasPrefix(response.Header.Get("Content-Type"), "text/html"):
		return nil
	}
	c.Pages = append(c.Pages, at)
	for _, p := range paragraphs.FindAllString(body, -1) {
		if m := blocks.FindString(p); m != "" {
			c.Errorf("%s has a %s in a paragraph, which ends there: %s", at, m, p)
		}
	}
	for _, m := range places.FindAllStringSubmatch(body, -1) {
		to, err := here.Parse(html.UnescapeString(m[1]))
		if err != nil {
			c.Errorf("%s leads to %q, which is no address", at, m[1])
			continue
		}
		if fragment := to.Fragment; fragment != "" && to.Path == here.Path && !strings.Contains(body, `id="`+fragment+`"`) {
			c.Errorf("%s leads to #%s, which it does not have", at, fragment)
		}
		if to.Fragment = ""; to.Host == "" {
			next = append(next, to.String())
		}
	}
	for _, m := range sends.FindAllStringSubmatch(asked.ReplaceAllString(body, ""), -1) {
		action := html.UnescapeString(m[1] + m[2] + m[3])
		to, err := here.Parse(action)
		if err != nil || c.route(http.MethodPost, to.Path) == "" {
			c.Errorf("%s sends a form to %q, where nobody takes it", at, action)
			continue
		}
		c.Forms[c.route(http.MethodPost, to.Path)] = true
	}
	return next
}

// apart are routes that no link leads to from within, and why.
var apart = map[string]string{
	"GET /setup":            "is printed where the server starts",
	"POST /setup":           "is printed where the server starts",
	"GET /login":            "is where one is sent",
	"POST /login":           "is where one is sent",
	"GET /link":             "is given to whom it is for",
	"POST /link":            "is given to whom it is for",
	"GET /p/{project}/live": "is a stream",
	"POST /admin/resume":    "is on the pages of a server that was started paused",
	"POST /p/{project}/settings/project/reporting-webhooks/{webhook}/restore":   "is in the notice of a deletion",
	"POST /p/{project}/settings/project/reporting-webhooks/{webhook}/missed":    "is in the notice of turning on",
	"GET /p/{project}/settings/project/reporting-webhooks/{webhook}/secret":     "is where a form was sent from, loaded again",
	"GET /p/{project}/settings/project/sources/{source}/url":                    "is where a form was sent from, loaded again",
	"GET /p/{project}/settings/project/reporting-webhooks/{webhook}/deliveries": "is short for the list of deliveries",
}

func TestEveryLinkLeadsSomewhereAndEveryRouteIsReached(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	c := l.crawl(l.cookie)
	for _, r := range web.Routes() {
		route := r.Method + " " + r.Path
		if reached := c.Seen[route] || c.Forms[route]; !reached && apart[route] == "" {
			t.Errorf("no page leads to %s", route)
		} else if reached && apart[route] != "" {
			t.Errorf("a page leads to %s, which %s", route, apart[route])
		}
	}
}

// A viewer is shown no control, and forcing one is of no use.
func TestAViewerChangesNothing(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	c := l.crawl(l.viewer)
	for _, r := range web.Routes() {
		route := r.Method + " " + r.Path
		if r.May > telltale.MayRead && (c.Forms[route] || c.Seen[route]) {
			t.Errorf("a viewer is shown the way to %s", route)
		}
	}
	before := l.state()
	for _, r := range web.Routes() {
		if r.May <= telltale.MayRead {
			continue
		}
		path := strings.NewReplacer("{project}", "default", "{webhook}", l.healthy, "{", "", "}", "").Replace(r.Path)
		response, text := l.request(l.viewer, r.Method, path, url.Values{"to": {"off"}})
		if response.StatusCode != http.StatusForbidden || !strings.Contains(text, "You have viewer access") {
			t.Errorf("%s %s answers a viewer with %d", r.Method, path, response.StatusCode)
		}
	}
	if after := l.state(); after != before {
		t.Errorf("what was %s is %s", before, after)
	}
	b := l.signedIn(l.viewer)
	b.open("/p/default" + reporting)
	b.says("main", "You have viewer access")
	if n := len(b.all("switch", "")) + len(b.all("link", "Add webhook")); n != 0 {
		t.Errorf("a viewer sees %d controls", n)
	}
}

// state is what the webhooks are set to.
func (w *world) state() string {
	w.Helper()
	var list struct {
		Data []struct {
			ID, URL, Description string
			Events               []string
			Enabled              bool
		}
	}
	w.api("GET", "/v1/webhooks?project=default", "", &list)
	return fmt.Sprint(list)
}
