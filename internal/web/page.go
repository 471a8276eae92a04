package web

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"telltale.example/telltale"
)

//go:embed template
var templates embed.FS

// page gives a template file within the layout. Each has a copy of the layout and
// the parts, since escaping them is part of it: that of a page that nobody has
// asked for yet would take memory for nothing.
type page func() *template.Template

// loadPages finds every page. It is parsed, beside the layout and the parts that
// all share, when it is asked for first: what is wrong with one is found by the
// test that renders them all.
func loadPages(functions template.FuncMap) map[string]page {
	shared := template.Must(template.New("").Funcs(functions).ParseFS(templates, "template/layout.html", "template/parts.html"))
	names, err := fs.Glob(templates, "template/*.html")
	if err != nil {
		panic("web: " + err.Error())
	}
	pages := map[string]page{}
	for _, file := range names {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "template/"), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		pages[name] = sync.OnceValue(func() *template.Template {
			return template.Must(template.Must(shared.Clone()).ParseFS(templates, file))
		})
	}
	return pages
}

// frame is what is around every page.
type frame struct {
	Title   string // of the page, and its one h1
	State   string // before the title in the tab, such as "(3 failing)"
	Crumbs  []link // above the h1
	Section string // of the navigation
	Notice  *notice
	Wide    bool   // the page uses the whole width
	Open    bool   // the page is for everyone, and has room around it for those who are signed out too
	Live    string // what of the log the page follows: events, deliveries or both, with a comma; empty: nothing

	Poll bool // the page asks for itself again every few seconds: what it shows is not in the log

	call     *call
	projects []telltale.Project
	failing  int
	from     telltale.Cursor // the log's end before the page was read
}

// view is any page's struct.
type view interface{ around() *frame }

func (f *frame) around() *frame { return f }

// link is a place to go.
type link struct{ Text, URL string }

// What templates ask of the frame.

func (f *frame) SignedIn() bool               { return f.call.who.ID != "" }
func (f *frame) Who() telltale.Operator       { return f.call.who.Operator }
func (f *frame) Project() telltale.Project    { return f.call.project }
func (f *frame) Projects() []telltale.Project { return f.projects }
func (f *frame) Failing() int                 { return f.failing }
func (f *frame) Path(rest string) string      { return f.call.path(rest) }
func (f *frame) Version() string              { return f.call.Version }
func (f *frame) Paused() bool                 { return f.call.Config.Paused != nil && f.call.Config.Paused() }
func (f *frame) MayChange() bool              { return f.call.who.Role.May(telltale.MayChange) }
func (f *frame) MayBodies() bool              { return f.call.who.Role.May(telltale.MayBodies) }
func (f *frame) MaySecrets() bool             { return f.call.who.Role.May(telltale.MaySecrets) }
func (f *frame) MayPeople() bool              { return f.call.who.Role.May(telltale.MayPeople) }
func (f *frame) Asset(name string) string     { return f.call.assets.address(name) }
func (f *frame) Here() string                 { return f.call.r.URL.RequestURI() }
func (f *frame) From() telltale.Cursor        { return f.from }

// page answers with the page of that name, within the layout or, if htmx asks
// for a part, its "main" alone.
func (c *call) page(name string, v view) error { return c.answer(http.StatusOK, name, v) }

func (c *call) answer(status int, name string, v view) error {
	part := "main"
	if !c.partial() {
		part = "layout"
		if err := c.fill(v.around()); err != nil {
			return err
		}
	}
	return c.render(status, name, part, v)
}

// part answers with a part of the page alone.
func (c *call) part(name, part string, v view) error { return c.render(http.StatusOK, name, part, v) }

// fill looks up what the layout shows.
func (c *call) fill(f *frame) error {
	f.call = c
	if f.Notice == nil {
		f.Notice = c.takeNotice()
	}
	if c.who.ID == "" {
		return nil
	}
	ctx := c.r.Context()
	var err error
	if f.projects, err = c.Store.Projects(ctx); err != nil {
		return err
	}
	if c.project.ID == "" {
		if len(f.projects) > 0 { // the navigation leads somewhere from everywhere
			c.project = f.projects[0]
			for _, p := range f.projects {
				if p.Slug == telltale.DefaultProjectSlug {
					c.project = p
				}
			}
		}
	}
	f.failing, err = c.countFailing()
	return err
}

// countFailing is the number on the navigation: enabled webhooks that fail.
func (c *call) countFailing() (int, error) {
	webhooks, err := c.allWebhooks()
	if err != nil {
		return 0, err
	}
	return countFailing(webhooks), nil
}

func countFailing(webhooks []*telltale.Webhook) int {
	n := 0
	for _, w := range webhooks {
		if w.Enabled && w.Health == telltale.HealthFailing {
			n++
		}
	}
	return n
}

// allWebhooks gives the project's webhooks, newest first. The store has them in memory.
func (c *call) allWebhooks() ([]*telltale.Webhook, error) {
	var all []*telltale.Webhook
	page := telltale.Page{Limit: telltale.MaxPage}
	for {
		some, err := c.Store.Webhooks(c.r.Context(), c.project.ID, page)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(some) < page.Limit {
			return all, nil
		}
		page.After = string(some[len(some)-1].ID)
	}
}

// render writes a template into memory first, so that what goes wrong in it
// becomes an error page and not half a page.
func (c *call) render(status int, name, part string, v view) error {
	p, ok := c.pages[name]
	if !ok {
		return fmt.Errorf("web: there is no page %q", name)
	}
	v.around().call = c
	var html bytes.Buffer
	if err := p().ExecuteTemplate(&html, part, v); err != nil {
		return fmt.Errorf("web: rendering %s of %s: %w", part, name, err)
	}
	c.send(status, "text/html; charset=utf-8", html.Bytes())
	return nil
}

// smallest is the size from which compressing pays, in bytes.
const smallest = 1 << 10

func (c *call) send(status int, mediaType string, body []byte) {
	h := c.w.Header()
	h.Set("Content-Type", mediaType)
	h.Add("Vary", "Accept-Encoding")
	if len(body) >= smallest && acceptsGzip(c.r) {
		var b bytes.Buffer
		w, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // the level exists
		_, _ = w.Write(body)                            // to memory
		_ = w.Close()
		body = b.Bytes()
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(body) // the browser may be gone; net/http knows
	}
}

// redirect goes to another page of ours.
func (c *call) redirect(to string) error {
	if c.partial() {
		c.w.Header().Set("HX-Redirect", to)
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	c.w.Header().Set("Location", to)
	c.w.WriteHeader(http.StatusSeeOther)
	return nil
}
