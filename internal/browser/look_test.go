package browser

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

//go:embed testdata/axe.min.js
var axe string

// audited makes the tab ready for [tab.accessible].
func (b *tab) audited() {
	b.Helper()
	call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: axe})
}

// accessible fails the test for what axe finds on the page as it is now, by some
// of its rules or by all.
func (b *tab) accessible(where string, rules ...string) {
	b.Helper()
	only := `["wcag2a","wcag2aa","wcag21a","wcag21aa","wcag22aa","best-practice"]`
	if len(rules) > 0 {
		some, _ := json.Marshal(rules)
		only = `{type: 'rule', values: ` + string(some) + `}`
	}
	found, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](fmt.Sprintf(`axe.run(document, {runOnly: %s, resultTypes: ['violations'], preload: false, iframes: false}).then(r =>
		r.violations.flatMap(v => v.nodes.map(n => v.id + ': ' + n.html.slice(0, 200) + ' ' + n.failureSummary)))`, only), chromedp.EvalAwaitPromise))
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range found {
		b.Errorf("%s: %s", where, f)
	}
}

// fits fails the test if the page scrolls sideways.
func (b *tab) fits(where string, width int64) {
	b.Helper()
	b.size(width, 800)
	if wide := js[int64](b, `document.documentElement.scrollWidth`); wide > width {
		b.Errorf("%s is %d wide in a window of %d: %s", where, wide, width, js[string](b, `[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth && !e.closest('.grid, .code, pre, .side, .doc table')).slice(0, 5).map(e => e.outerHTML.slice(0, 120)).join('\n')`))
	}
}

// id is what differs from one node to the next.
var id = regexp.MustCompile(`[a-z]{3}_[0-9A-Z]{26}|/inspect/[a-z0-9]{24}|/messages/.*`)

// The gate of every page: no finding of axe in either theme, nothing on the
// console, nothing against the policy, and no sideways scrolling on a phone or
// at 400 % zoom.
func TestEveryPageIsFitForEveryone(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	b := l.signedIn(l.cookie)
	b.audited()
	pictures := os.Getenv("TELLTALE_TEST_SCREENSHOTS")
	shown := map[string]int{}
	visit := func(b *tab, at string) {
		b.size(1280, 900)
		b.media("prefers-color-scheme", "light")
		b.open(at)
		b.shot(pictures, at, "light")
		b.accessible(at + ", light")
		b.media("prefers-color-scheme", "dark")
		b.shot(pictures, at, "dark")
		b.accessible(at+", dark", "color-contrast")
		for _, width := range []int64{390, 320} {
			b.fits(at, width)
			b.shot(pictures, at, fmt.Sprint(width))
		}
	}
	c := l.crawl(l.cookie)
	for _, at := range c.Pages {
		shape, query, _ := strings.Cut(at, "?")
		if !strings.HasPrefix(shape, "/docs/") {
			shape = c.route(http.MethodGet, shape)
		}
		if strings.HasSuffix(shape, "/advice") {
			continue // a part of a page
		}
		empty := strings.HasPrefix(at, "/p/staging/")
		if empty {
			shape += " with nothing in it"
		}
		if shown[shape]++; shown[shape] > 2 || shown[shape] > 1 && (query != "" || empty) {
			continue
		}
		visit(b, at)
	}
	stranger := newTab(t, l.app.URL())
	stranger.audited()
	for _, at := range []string{"/login", "/setup", "/link?token=x", "/nowhere"} {
		visit(stranger, at)
	}
}

// Where the system chooses the colours, as high contrast does, all that is told
// by a background alone is lost: shapes need a border or a colour of the system.
func TestForcedColoursLeaveNothingOut(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	b := l.signedIn(l.cookie)
	b.media("forced-colors", "active")
	pictures := os.Getenv("TELLTALE_TEST_SCREENSHOTS")
	seen := map[string]int{}
	for _, at := range []string{"/p/default/", deliveries, "/p/default" + reporting, "/p/default" + reporting + "/new", sources, sources + "/new", "/p/default/settings/project/api-keys", "/account"} {
		b.open(at)
		if !js[bool](b, `matchMedia('(forced-colors: active)').matches`) {
			t.Fatal("no colours are forced")
		}
		b.shot(pictures, at, "forced")
		// What can be seen is what has an edge of another colour than its ground.
		found := js[[][2]string](b, `[...document.querySelectorAll('.badge, .chip, .notice, .btn:not(.plain, .icon), .switch, input:not([type=hidden]), select, textarea')].filter(e => e.checkVisibility() && !e.closest('.hidden')).flatMap(e => {
			const edge = (style, ground) => ['Top', 'Bottom'].every(s => style['border' + s + 'Style'] != 'none' && parseFloat(style['border' + s + 'Width']) >= 1 && style['border' + s + 'Color'] != ground)
			const own = getComputedStyle(e), ground = getComputedStyle(document.body).backgroundColor, name = e.className || e.type || e.localName
			const box = e.matches('[type=checkbox], [type=radio]') && own.appearance != 'none'
			const knob = e.matches('.switch') && getComputedStyle(e, '::after').backgroundColor == own.backgroundColor
			return [[name, box || edge(own, ground) && !/^rgba.*, 0\)$/.test(own.borderTopColor) ? knob ? 'its knob cannot be seen' : '' : 'it has no edge: ' + own.border]]
		})`)
		for _, f := range found {
			if seen[f[0]]++; f[1] != "" {
				t.Errorf("%s: %s: %s", at, f[0], f[1])
			}
		}
		// Of tabs and places in the navigation, the current one stands out.
		for _, list := range []string{".side a", ".tabs a", ".spans a"} {
			same := js[bool](b, fmt.Sprintf(`(() => {
				const look = e => { const s = getComputedStyle(e); return [s.borderBottomColor, s.backgroundColor, s.color, s.fontWeight].join() }
				const all = [...document.querySelectorAll(%q)], on = all.find(e => e.matches('[aria-current]')), off = all.find(e => !e.matches('[aria-current]'))
				return !!on && !!off && look(on) == look(off)
			})()`, list))
			if same {
				t.Errorf("%s: of %s the current one looks like the others", at, list)
			}
		}
	}
	for _, want := range []string{"badge ok", "badge bad", "switch", "btn primary", "text", "checkbox"} {
		if seen[want] == 0 {
			t.Errorf("there was no %s to look at, but %v", want, seen)
		}
	}
}

// shot takes a picture of the whole page, if somebody wants to look at it.
func (b *tab) shot(folder, at, how string) {
	b.Helper()
	if folder == "" {
		return
	}
	b.size(js[int64](b, "innerWidth"), 1000)
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.Fatal(err)
	}
	name := strings.Trim(regexp.MustCompile(`[^a-z]+`).ReplaceAllString(id.ReplaceAllString(at, "id"), "-"), "-")
	for n := 0; ; n++ {
		file := filepath.Join(folder, fmt.Sprintf("%s-%s-%d.png", name, how, n))
		if _, err := os.Stat(file); err != nil {
			if err := os.WriteFile(file, png, 0o600); err != nil {
				b.Fatal(err)
			}
			return
		}
	}
}
