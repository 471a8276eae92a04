package docs

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"telltale.example/telltale"
	"telltale.example/telltale/docs"
	"telltale.example/telltale/internal/api"
)

func TestEveryDocumentBecomesAPageAndEveryLinkLeadsSomewhere(t *testing.T) {
	t.Parallel()
	pages, err := load()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range Contents() {
		if e.Title == "" || e.Group == "" {
			t.Errorf("%s has no title or group", e.Path)
		}
		if p, ok := Find(e.Path); e.Path != ReferencePath && (!ok || len(p.HTML) < 500 || len(p.Contents) == 0) {
			t.Errorf("%s is no page: %d bytes, %d headings", e.Path, len(p.HTML), len(p.Contents))
		}
	}
	if p, ok := Find("/docs"); !ok || p.Path != "/docs/quickstart" {
		t.Errorf("the front page is %q", p.Path)
	}
	if _, ok := Find("/docs/nothing"); ok || len(pages) != len(shelf)-1 {
		t.Errorf("there are %d pages", len(pages))
	}
}

func TestWhatIsWrongWithALinkIsSaid(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, link, err string }{
		{"a file that is no document", "architecture.md", "there is no page for the link to architecture.md"},
		{"another scheme", "javascript:alert(1)", "there is no page"},
		{"a path of the repository", "../README.md", "there is no page"},
	} {
		_, err := read([]byte("# A title\n\n[here]("+row.link+")\n"), "/docs/x")
		if err == nil || !strings.Contains(err.Error(), row.err) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

func TestALinkIsFollowedFromTheFolderOfItsDocument(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, path, link, want string }{
		{"down into a folder", "/docs/x", "feeds/postmark.md", "/docs/feeds/postmark"},
		{"up out of it", "/docs/feeds/x", "../feeds.md#machines", "/docs/feeds#machines"},
		{"within it", "/docs/feeds/x", "postmark.md", "/docs/feeds/postmark"},
		{"within the document", "/docs/feeds/x", "#a-place", "/docs/feeds/x#a-place"},
	} {
		d, err := read([]byte("# A title\n\n[here]("+row.link+")\n"), row.path)
		if err != nil || !strings.Contains(string(d.HTML), `href="`+row.want+`"`) {
			t.Errorf("%s: %v\n%s", row.name, err, d.HTML)
		}
	}
	if _, err := read([]byte("# A title\n\n[here](feeds.md)\n"), "/docs/feeds/x"); err == nil {
		t.Error("a link is followed from another folder than its document's")
	}
}

func TestDocumentsAreRenderedForThePages(t *testing.T) {
	t.Parallel()
	d, err := read([]byte("# The title\n\n<!-- a note -->\n<script>alert(1)</script>\n\n## One `code` & all\n\n[there](payloads.md#sent) [out](https://example.com/)\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```go\nif a < b {}\n```\n\n## One code & all\n"), "/docs/x")
	if err != nil {
		t.Fatal(err)
	}
	html := string(d.HTML)
	for _, want := range []string{
		`<h2 id="one-code--all">One <code>code</code> &amp; all</h2>`, `<h2 id="one-code--all-1">`, `href="/docs/payloads#sent"`, `href="https://example.com/"`,
		`<div class="scroll" tabindex="0"><table>`, `<span>Go</span>`, "if a &lt; b {}",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("there is no %s in\n%s", want, html)
		}
	}
	for _, unwanted := range []string{"<script", "a note", "The title", "<!--"} {
		if strings.Contains(html, unwanted) {
			t.Errorf("there is %s in\n%s", unwanted, html)
		}
	}
	if d.Title != "The title" || len(d.Contents) != 2 || d.Contents[0] != (Heading{"one-code--all", "One code & all"}) {
		t.Errorf("title %q, contents %v", d.Title, d.Contents)
	}
}

// Problems link to their own heading, and failures on the pages to theirs.
func TestThereIsAHeadingForEveryCode(t *testing.T) {
	t.Parallel()
	headings := func(path string) string {
		p, _ := Find(path)
		return string(p.HTML)
	}
	for _, code := range telltale.FailureCodes() {
		if !strings.Contains(headings("/docs/failures"), `id="`+string(code)+`"`) {
			t.Errorf("/docs/failures says nothing of %s", code)
		}
	}
	for _, e := range telltale.EveryEventType() {
		anchor := strings.ReplaceAll(string(e), ".", "")
		if !strings.Contains(headings("/docs/payloads"), `<h2 id="`+anchor+`"`) {
			t.Errorf("/docs/payloads says nothing of %s", e)
		}
	}
	source, err := os.ReadFile("../httpserver/problem.go")
	if err != nil {
		t.Fatal(err)
	}
	table := regexp.MustCompile(`(?s)var answers = .*?\n}\n`).Find(source)
	codes := regexp.MustCompile(`(?m)^\t(?:telltale\.)?([A-Za-z]+): +\{`).FindAllStringSubmatch(string(table), -1)
	if len(codes) < 13 {
		t.Fatalf("the table of problems has %d rows", len(codes))
	}
	for _, c := range codes {
		name := strings.ToLower(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(c[1], "${1}_$2"))
		if name == "client_closed" { // nobody reads that answer
			continue
		}
		if !strings.Contains(headings("/docs/errors"), `id="`+name+`"`) {
			t.Errorf("/docs/errors says nothing of %s", name)
		}
	}
}

func TestTheReferenceHasEveryOperation(t *testing.T) {
	t.Parallel()
	document, err := api.Document("1.2.3", "https://telltale.example.com")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Reference(document)
	if err != nil {
		t.Fatal(err)
	}
	html := string(p.HTML)
	operations := regexp.MustCompile(`"operationId":"([a-z-]+)"`).FindAllStringSubmatch(string(document), -1)
	for _, o := range operations {
		if strings.HasPrefix(o[1], "receive-") { // these are the payloads, which have a page of their own
			continue
		}
		if !strings.Contains(html, `<h3 id="`+o[1]+`">`) {
			t.Errorf("%s is missing", o[1])
		}
	}
	ids := map[string]bool{}
	for _, id := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(html, -1) {
		if ids[id[1]] {
			t.Errorf("the id %s is there twice", id[1])
		}
		ids[id[1]] = true
	}
	for _, link := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(html, -1) {
		if !ids[link[1]] {
			t.Errorf("the link to #%s leads nowhere", link[1])
		}
	}
	errors, _ := Find("/docs/errors")
	for _, link := range regexp.MustCompile(`href="/docs/errors#([^"]+)"`).FindAllStringSubmatch(html, -1) {
		if !strings.Contains(string(errors.HTML), `id="`+link[1]+`"`) {
			t.Errorf("the link to the error %s leads nowhere", link[1])
		}
	}
	for _, want := range []string{`curl $SERVER/v1/webhooks`, `href="#object-Webhook"`, "Needs a key of the scope <code>manage</code>"} {
		if !strings.Contains(html, want) {
			t.Errorf("there is no %s", want)
		}
	}
	if strings.Contains(html, "<script") || len(p.Contents) < 8 {
		t.Errorf("contents %v", p.Contents)
	}
	if _, err := Reference([]byte("no JSON")); err == nil {
		t.Error("what is no document was read")
	}
}

// What is in the folder and on no page would be carried for nothing.
func TestEveryFileOfTheFolderIsShownOrKnown(t *testing.T) {
	t.Parallel()
	unshown := map[string]bool{"architecture.md": true, "benchmarks.md": true} // for those who work on Telltale
	files, err := docs.Files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		shown := f.IsDir() || unshown[f.Name()]
		for _, d := range shelf {
			shown = shown || d.file == f.Name()
		}
		if !shown {
			t.Errorf("%s is on no page", f.Name())
		}
	}
}
