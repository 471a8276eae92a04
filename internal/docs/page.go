package docs

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	pathpkg "path"
	"slices"
	"strings"
	"sync"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"telltale.example/telltale/docs"
)

// Page is one document.
type Page struct {
	Path     string // such as /docs/payloads
	Group    string // of the table of contents
	Title    string // its heading, which is not in HTML
	HTML     template.HTML
	Contents []Heading
}

// Heading is a place in a page.
type Heading struct{ Anchor, Text string }

// Root is where the documents begin.
const Root = "/docs"

// ReferencePath is where the API reference stands, which is made of another source.
const ReferencePath = Root + "/api"

// book is a document: its place in the table of contents, its file, and the path of
// its page.
type book struct{ group, file, path string }

// shelf is every document, in the order of the table of contents. The first is
// the front page.
var shelf = slices.Concat([]book{
	{"Start", "quickstart.md", Root + "/quickstart"},
	{"Start", "receivers.md", Root + "/receivers"},
	{"Start", "verify.md", Root + "/verify"},
	{"What receivers get", "payloads.md", Root + "/payloads"},
	{"What receivers get", "headers.md", Root + "/headers"},
	{"When something fails", "health.md", Root + "/health"},
	{"When something fails", "replay.md", Root + "/replay"},
	{"Users and conversions", "users.md", Root + "/users"},
	{"Users and conversions", "imports.md", Root + "/imports"},
	{"Users and conversions", "conversions.md", Root + "/conversions"},
	{"When something fails", "failures.md", Root + "/failures"},
	{"Sources", "feeds.md", Root + "/feeds"},
}, providers(), []book{
	{"API", "api.md", Root + "/guide"},
	{"API", "track-api.md", Root + "/track-api"},
	{"API", "", ReferencePath},
	{"API", "errors.md", Root + "/errors"},
	{"Running it", "operations.md", Root + "/operations"},
})

// providers are the documents of mail providers, which have a folder of their own.
func providers() (books []book) {
	files, err := docs.Files.ReadDir("feeds")
	if err != nil {
		panic("docs: " + err.Error()) // they are part of the program
	}
	for _, f := range files {
		name := strings.TrimSuffix(f.Name(), ".md")
		books = append(books, book{"Sources", "feeds/" + f.Name(), Root + "/feeds/" + name})
	}
	return books
}

// Entry is a line of the table of contents.
type Entry struct{ Group, Path, Title string }

// Contents lists all pages, the API reference among them.
func Contents() []Entry {
	pages := all()
	entries := make([]Entry, len(shelf))
	for i, d := range shelf {
		entries[i] = Entry{d.group, d.path, "API reference"}
		if p, ok := pages[d.path]; ok {
			entries[i].Title = p.Title
		}
	}
	return entries
}

// Find gives the page at a path; ok is false if there is none. [Root] itself is
// the first page. The API reference is made by [Reference].
func Find(path string) (p Page, ok bool) {
	if path = strings.TrimSuffix(path, "/"); path == Root {
		path = shelf[0].path
	}
	p, ok = all()[path]
	return p, ok
}

// all makes every page, once. The documents are part of the program, so what is
// wrong with one is a fault of ours, found by the test that makes them all.
var all = sync.OnceValue(func() map[string]Page {
	pages, err := load()
	if err != nil {
		panic("docs: " + err.Error())
	}
	return pages
})

func load() (map[string]Page, error) {
	var errs []error
	pages, anchors, links := map[string]Page{}, map[string]map[string]bool{}, map[string][]string{}
	for _, d := range shelf {
		if d.file == "" {
			continue
		}
		source, err := docs.Files.ReadFile(d.file)
		if err != nil {
			return nil, err
		}
		p, err := read(source, d.path)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", d.file, err))
			continue
		}
		p.Group = d.group
		pages[d.path], anchors[d.path], links[d.path] = p.Page, p.anchors, p.links
	}
	for from, targets := range links {
		for _, to := range targets {
			path, anchor, _ := strings.Cut(to, "#")
			known := anchors[path]
			if path != ReferencePath && known == nil || anchor != "" && !known[anchor] {
				errs = append(errs, fmt.Errorf("%s: the link to %s leads nowhere", from, to))
			}
		}
	}
	return pages, errors.Join(errs...)
}

// document is a page as it was read, with what the check of its links needs.
type document struct {
	Page
	anchors map[string]bool
	links   []string // to pages of ours
}

var markdown = goldmark.New(
	goldmark.WithExtensions(extension.Table),
	goldmark.WithParserOptions(parser.WithAutoHeadingID()),
	goldmark.WithRendererOptions(renderer.WithNodeRenderers(util.Prioritized(frames{}, 100))),
)

// read makes a page of Markdown.
func read(source []byte, path string) (document, error) {
	d := document{Page: Page{Path: path}, anchors: map[string]bool{}}
	tree := markdown.Parser().Parse(text.NewReader(source), parser.WithContext(parser.NewContext(parser.WithIDs(anchorsOf(d.anchors)))))
	if err := d.walk(tree, source); err != nil {
		return d, err
	}
	if d.Title == "" {
		return d, errors.New("the document has no title")
	}
	var html bytes.Buffer
	if err := markdown.Renderer().Render(&html, source, tree); err != nil {
		return d, err
	}
	d.HTML = template.HTML(html.String()) //nolint:gosec // our own documents, and raw HTML in them is left out
	return d, nil
}

// walk takes the title out of the document, lists its headings, and turns its
// links between files into links between pages.
func (d *document) walk(tree ast.Node, source []byte) error {
	var gone []ast.Node
	err := ast.Walk(tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			id, _ := n.AttributeString("id")
			anchor, _ := id.([]byte)
			switch {
			case n.Level == 1 && d.Title == "":
				d.Title, gone = plain(n, source), append(gone, n)
			case n.Level == 2:
				d.Contents = append(d.Contents, Heading{string(anchor), plain(n, source)})
			}
		case *ast.Link:
			to, err := d.target(string(n.Destination))
			if err != nil {
				return ast.WalkStop, err
			}
			n.Destination = []byte(to)
		case *ast.HTMLBlock, *ast.RawHTML:
			gone = append(gone, n)
		}
		return ast.WalkContinue, nil
	})
	for _, n := range gone {
		n.Parent().RemoveChild(n.Parent(), n)
	}
	return err
}

// target is where a link of the document leads on a page: another file to its
// page, anything with a scheme to itself. A page of a folder stands in a folder of
// that name.
func (d *document) target(link string) (string, error) {
	if strings.HasPrefix(link, "https://") {
		return link, nil
	}
	file, anchor, _ := strings.Cut(link, "#")
	path := d.Path
	if file != "" {
		file = pathpkg.Join(pathpkg.Dir(strings.TrimPrefix(d.Path, Root+"/")), file)
		path = ""
		for _, other := range shelf {
			if other.file == file {
				path = other.path
			}
		}
		if path == "" {
			return "", fmt.Errorf("there is no page for the link to %s", link)
		}
	}
	if anchor != "" {
		path += "#" + anchor
	}
	d.links = append(d.links, path)
	return path, nil
}

// plain is the text of a node without its marks.
func plain(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the function gives no error
		if t, ok := n.(*ast.Text); ok && entering {
			b.Write(t.Segment.Value(source))
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// anchorsOf gives headings the anchors that repositories give them, so that a
// link works in both places: lower case, spaces as hyphens, letters, digits,
// hyphens and underscores only.
type anchorsOf map[string]bool

func (a anchorsOf) Generate(value []byte, _ ast.NodeKind) []byte {
	anchor := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		case r == ' ':
			return '-'
		}
		return -1
	}, string(value))
	unique := anchor
	for n := 1; a[unique]; n++ {
		unique = fmt.Sprintf("%s-%d", anchor, n)
	}
	a[unique] = true
	return []byte(unique)
}

func (a anchorsOf) Put(value []byte) { a[string(value)] = true }
