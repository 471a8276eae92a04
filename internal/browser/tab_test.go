package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience is how long something may take to come about, on a machine that does
// much else. What must be quick is measured.
const patience = 20 * time.Second

// tab is a browser's tab, in which somebody works.
type tab struct {
	*testing.T
	ctx context.Context
	url string // of the node

	mu       sync.Mutex
	problems []string // from the console
}

// newTab opens a tab with cookies of its own.
func newTab(t *testing.T, url string) *tab {
	t.Helper()
	return openTab(t, url, launch(t), chromedp.WithNewBrowserContext())
}

// beside opens another tab of the same browser, which shares the cookies.
func (b *tab) beside() *tab {
	b.Helper()
	return openTab(b.T, b.url, b.ctx)
}

func openTab(t *testing.T, url string, parent context.Context, options ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, options...)
	b := &tab{T: t, ctx: ctx, url: url}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			b.report()
		}
		cancel()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, p := range b.problems {
			t.Errorf("the console says: %s", p)
		}
	})
	b.size(1280, 900)
	return b
}

// listen notes what a page's console says of errors. That a form came back as
// 422, or an edit as 412, is no error of the page.
func (b *tab) listen(event any) {
	problem := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		problem = e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			problem += " " + e.ExceptionDetails.Exception.Description
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			problem = "console.error"
			for _, a := range e.Args {
				problem += " " + string(a.Value) + a.Description
			}
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
			problem = e.Entry.Text
		}
	}
	if problem != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.problems = append(b.problems, problem)
	}
}

// report shows where the test stood when it failed.
func (b *tab) report() {
	text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
	b.Logf("the page when the test failed: %s", text)
	if folder := os.Getenv("TELLTALE_TEST_SCREENSHOTS"); folder != "" {
		if png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100)); err == nil {
			_ = os.WriteFile(folder+"/"+strings.ReplaceAll(b.Name(), "/", "-")+".png", png, 0o600)
		}
	}
}

// do runs steps, or ends the test.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.Fatal(err)
	}
}

// call makes a call of the browser's protocol, or ends the test.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.Helper()
	answer, err := chromedp.Call(b.ctx, command, params)
	if err != nil {
		b.Fatal(err)
	}
	return answer
}

// js gives the value of an expression.
func js[T any](b *tab, expression string) T {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.Fatalf("%s: %v", expression, err)
	}
	return value
}

// size sets the size of the window.
func (b *tab) size(width, height int64) {
	b.Helper()
	b.do(chromedp.EmulateViewport(width, height))
}

// media makes the system light or dark, or anything else that style sheets ask for.
func (b *tab) media(name, value string) {
	b.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: name, Value: value}}})
}

// withoutJavaScript turns JavaScript off for pages to come.
func (b *tab) withoutJavaScript() {
	b.Helper()
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
}

// open goes to a path of the node.
func (b *tab) open(path string) {
	b.Helper()
	b.do(chromedp.Navigate(b.url + path))
}

// path is where the tab is.
func (b *tab) path() string {
	b.Helper()
	return js[string](b, `location.pathname + location.search`)
}

// until waits for something to come about, and says what if it does not.
func (b *tab) until(what string, about func() bool) {
	b.Helper()
	if !b.comes(about) {
		b.Fatalf("%s: that did not come about in %s", what, patience)
	}
}

func (b *tab) comes(about func() bool) bool {
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !about() {
		select {
		case <-deadline:
			return about()
		case <-tick.C:
		}
	}
	return true
}

// text is what is to be read in the element, empty if there is none.
func (b *tab) text(selector string) string {
	quoted, _ := json.Marshal(selector)
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](fmt.Sprintf(`document.querySelector(%s)?.innerText ?? ""`, quoted)))
	if err != nil {
		return "" // between two pages
	}
	return strings.Join(strings.Fields(text), " ")
}

// says waits until the element's text has the words.
func (b *tab) says(selector string, words ...string) {
	b.Helper()
	for _, w := range words {
		if !b.comes(func() bool { return strings.Contains(b.text(selector), w) }) {
			b.Fatalf("%s does not say %q but %q", selector, w, b.text(selector))
		}
	}
}

// saysNot waits until the element's text does not have the words.
func (b *tab) saysNot(selector, words string) {
	b.Helper()
	b.until(selector+" does not say "+words, func() bool { return !strings.Contains(b.text(selector), words) })
}

// thing is something on the page as assistive technology knows it.
type thing struct {
	*accessibility.Node
	b *tab
}

// all gives what has the role and the name, an empty name standing for any.
func (b *tab) all(role, name string) []thing {
	root, err := chromedp.Call(b.ctx, dom.GetDocument, dom.GetDocumentParams{})
	if err != nil {
		return nil // between two pages
	}
	found, err := chromedp.Call(b.ctx, accessibility.QueryAXTree, accessibility.QueryAXTreeParams{NodeID: root.Root.NodeID, Role: role})
	if err != nil {
		return nil
	}
	var things []thing
	for _, n := range found.Nodes {
		if !n.Ignored && n.BackendDOMNodeID != 0 && (name == "" || n.Name != nil && textOf(n.Name) == name) {
			things = append(things, thing{n, b})
		}
	}
	return things
}

// the waits for the one thing with the role and the name.
func (b *tab) the(role, name string) thing {
	b.Helper()
	var found []thing
	if !b.comes(func() bool { found = b.all(role, name); return len(found) == 1 }) {
		b.Fatalf("there are %d of %s %q", len(found), role, name)
	}
	return found[0]
}

// gone waits until there is no such thing.
func (b *tab) gone(role, name string) {
	b.Helper()
	b.until(fmt.Sprintf("%s %q is gone", role, name), func() bool { return len(b.all(role, name)) == 0 })
}

// textOf is a text as the protocol tells it, without needless white space.
func textOf(v *accessibility.Value) string {
	var text string
	if v == nil || json.Unmarshal(v.Value, &text) != nil {
		return ""
	}
	return strings.Join(strings.Fields(text), " ")
}

// property is what assistive technology is told of the thing, such as checked.
func (e thing) property(name string) string {
	for _, p := range e.Properties {
		if string(p.Name) == name && p.Value != nil {
			return strings.Trim(string(p.Value.Value), `"`)
		}
	}
	return ""
}

// value is what is typed in.
func (e thing) value() string { return textOf(e.Value) }

// click presses the thing with role and name, in its middle. Of several, such as
// one link in two places, it takes the first that can be seen.
func (b *tab) click(role, name string) {
	b.Helper()
	var x, y float64
	if !b.comes(func() (seen bool) { x, y, seen = b.middle(role, name); return seen }) {
		b.Fatalf("there is no visible %s %q to click, but %d hidden", role, name, len(b.all(role, name)))
	}
	b.do(chromedp.MouseClickXY(x, y))
}

// middle is where the thing with role and name is.
func (b *tab) middle(role, name string) (x, y float64, seen bool) {
	for _, found := range b.all(role, name) {
		id := found.BackendDOMNodeID
		if _, err := chromedp.Call(b.ctx, dom.ScrollIntoViewIfNeeded, dom.ScrollIntoViewIfNeededParams{BackendNodeID: id}); err != nil {
			continue
		}
		quads, err := chromedp.Call(b.ctx, dom.GetContentQuads, dom.GetContentQuadsParams{BackendNodeID: id})
		if err != nil || len(quads.Quads) == 0 {
			continue
		}
		q := quads.Quads[0]
		return (q[0] + q[4]) / 2, (q[1] + q[5]) / 2, true
	}
	return 0, 0, false
}

// fill replaces what is in a text field.
func (b *tab) fill(name, text string) {
	b.Helper()
	b.the("textbox", name)
	b.click("textbox", name)
	js[any](b, `document.activeElement.select()`)
	call(b, input.InsertText, input.InsertTextParams{Text: text})
}

// press presses keys one after the other, such as kb.Tab and kb.Enter.
func (b *tab) press(keys ...string) {
	b.Helper()
	for _, key := range keys {
		b.do(chromedp.KeyEvent(key))
	}
}

// focused is the name of what has the focus, as assistive technology says it.
func (b *tab) focused() string {
	tree, err := chromedp.Call(b.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		return ""
	}
	name := ""
	for _, n := range tree.Nodes {
		for _, p := range n.Properties {
			if p.Name == "focused" && string(p.Value.Value) == "true" && n.Name != nil {
				name = textOf(n.Name) // the innermost comes last
			}
		}
	}
	return name
}

// picture writes what the window shows to a file.
func (b *tab) picture(file string) {
	b.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(file, png, 0o644); err != nil {
		b.Fatal(err)
	}
}

// tabTo presses Tab until the thing of that name has the focus.
func (b *tab) tabTo(name string) {
	b.Helper()
	var met []string
	for range 80 {
		b.press(kb.Tab)
		at := b.focused()
		if at == name {
			return
		}
		met = append(met, at)
	}
	b.Fatalf("Tab does not reach %q but %q", name, met)
}

// focusIs waits until the thing of that name has the focus.
func (b *tab) focusIs(name string) {
	b.Helper()
	if !b.comes(func() bool { return b.focused() == name }) {
		b.Fatalf("the focus is on %q; want %q", b.focused(), name)
	}
}

// source is the page's HTML as it is now.
func (b *tab) source() string {
	b.Helper()
	return js[string](b, `document.documentElement.outerHTML`)
}
