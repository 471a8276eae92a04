package browser

import (
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
)

const (
	deliveries = "/p/default/deliveries"
)

var flood = flag.Duration("flood", 5*time.Second, "how long TestATabStaysResponsive sends 100 rows a second; a minute for the promised figure")

// hook adds a webhook for everything.
func (w *world) hook(r *receiver, more string) {
	w.Helper()
	w.api(http.MethodPost, "/v1/webhooks?project=default", fmt.Sprintf(`{"url":%q,"events":["*"]%s}`, r.url, more), nil)
}

// send accepts n events, about users from first on.
func (w *world) send(first, n int) {
	w.Helper()
	events := make([]string, n)
	for i := range events {
		events[i] = fmt.Sprintf(`{"type":"sent","user":{"id":%d,"email":"user%d@example.com"}}`, first+i, first+i)
	}
	w.api(http.MethodPost, "/v1/events?project=default", "["+strings.Join(events, ",")+"]", nil)
}

// rows is how many rows the list has, and how many of them are there once only.
func (b *tab) rows() (n, distinct int) {
	b.Helper()
	n = js[int](b, `document.querySelectorAll('#live tr').length`)
	return n, js[int](b, `new Set([...document.querySelectorAll('#live tr')].map(r => r.id)).size`)
}

func (b *tab) listed(want int) {
	b.Helper()
	b.until(fmt.Sprintf("%d rows", want), func() bool { n, _ := b.rows(); return n == want })
}

// What is empty says why, and what to do.
func TestWhatIsEmptySaysWhatToDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.owner()
	b.open("/p/default/")
	b.says("#content", "No events yet. Send one:", "telltale trigger sent", "Send sample events")
	b.open("/p/default" + reporting)
	b.the("heading", "No reporting webhooks yet")
	b.open(deliveries)
	b.says("#content", "No deliveries yet", "They appear here as soon as an event matches a webhook.")
	b.open("/p/default/")
	w.send(1, 1)
	b.says("#content", "Events received") // by itself
}

// follows opens the delivery log, which has so many rows and is live.
func (w *world) follows(rows int) *tab {
	w.Helper()
	b := w.owner()
	b.open(deliveries)
	b.listed(rows)
	b.says("#pulse", "Live")
	return b
}

func TestANewDeliveryAppearsByItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook(newReceiver(t), "")
	w.send(1, 1)
	b := w.follows(1)
	w.send(2, 1)
	b.listed(2)
	b.says("#live", "user2@example.com")

	// Someone who has chosen rows, or paused, is told and decides.
	b.press("j", "x")
	b.says(".bulk", "1 selected", "Replay selected")
	w.send(3, 1)
	b.says("#fresh", "new")
	b.listed(2)
	js[any](b, `document.querySelector('#fresh').click()`)
	b.listed(3)
	b.click("button", "Live")
	b.says("#pulse", "Paused")
	w.send(4, 1)
	b.says("#fresh", "new")
	b.listed(3)
	b.click("button", "Paused")
	b.listed(4)
}

// A row is there within a second of the answer to the request that brought its
// event. The best of a few counts: the machine may be at something else.
func TestANewRowIsThereWithinASecond(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook(newReceiver(t), "")
	w.send(1, 1)
	b := w.follows(1)
	js[any](b, `shown = {}, new MutationObserver(() => document.querySelectorAll('#live tr').forEach(r => shown[r.innerText.match(/user(\d+)@/)[1]] ??= Date.now()))
		.observe(document.querySelector('#content'), {childList: true, subtree: true, characterData: true}), 0`)
	best := time.Hour
	for n := 2; n < 7; n++ {
		w.send(n, 1)
		answered := time.Now()
		b.listed(n)
		shown := js[int64](b, fmt.Sprintf("shown[%d]", n))
		best = min(best, time.UnixMilli(shown).Sub(answered))
	}
	t.Logf("a new row was there %s after the answer, at best", best.Round(time.Millisecond))
	if best > time.Second {
		t.Errorf("a new row takes %s at best; want a second at most", best)
	}
}

func TestAStreamGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook(newReceiver(t), "")
	w.send(1, 3)
	b := w.follows(3)
	w.stop()
	b.says("#pulse", "Reconnecting…")
	w.config.Listen = strings.TrimPrefix(b.url, "http://")
	w.start()
	w.send(4, 2)
	b.listed(5)
	b.says("#pulse", "Live")
	w.send(6, 1)
	b.listed(6)
	if n, distinct := b.rows(); n != distinct {
		t.Errorf("of %d rows %d are there twice", n, n-distinct)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = slices.DeleteFunc(b.problems, func(p string) bool { return strings.Contains(p, "htmx:sse:error") }) // the server was away
}

func TestReplaysInTheBrowser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := newReceiver(t)
	r.answers(http.StatusBadGateway, 0)
	w.hook(r, `,"retry_schedule":[]`)
	w.send(1, 12)
	b := w.owner()
	b.open(deliveries + "?state=failed")
	b.says("#content", "12 deliveries")
	b.click("link", "Replay all that match")
	b.click("button", "Count")
	b.says("#plan", "12 deliveries")
	js[any](b, `document.querySelector('#f-rate').value = '0.5'`)
	b.click("button", "Count again")
	b.says("#plan", "12 deliveries, about 24 seconds at 0.5 a second.")
	r.answers(http.StatusOK, 0)
	b.click("button", "Start replay")
	b.says("#result", "Replay started.")
	b.says("#content", "Running", "of 12 sent")
	b.click("button", "Pause")
	b.says("#result", "Replay paused.")
	b.click("button", "Resume")
	b.says("#content", "Running")
	b.click("button", "Cancel")
	b.says("#content", "Cancelled")
}

func TestKeysLeadThroughTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook(newReceiver(t), "")
	w.send(1, 3)
	b := w.owner()
	b.open(deliveries)
	b.listed(3)
	at := func() int {
		return js[int](b, `[...document.querySelectorAll('#live tr')].findIndex(r => r.contains(document.activeElement))`)
	}
	b.press("j", "j")
	if at() != 1 {
		t.Errorf("j twice leads to row %d", at())
	}
	b.press("k")
	if at() != 0 {
		t.Errorf("k leads to row %d", at())
	}
	b.press("/")
	if id := js[string](b, `document.activeElement.id`); id != "find" {
		t.Errorf("/ leads to %q", id)
	}
	js[any](b, `document.activeElement.blur()`)
	b.press("?")
	b.the("heading", "Keyboard shortcuts")
	b.press(kb.Escape)
	b.press("j", kb.Enter)
	b.until("the delivery is open", func() bool { return strings.HasPrefix(b.path(), deliveries+"/dlv_") })
}

func TestWhatReceiversAndSendersWriteIsInert(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook(newReceiver(t), "")
	w.api(http.MethodPost, "/v1/events?project=default", `{"type":"sent","user":{"id":"\u003cimg src=x onerror=alert(1)>","email":"\u202egro.elpmaxe@evil𝄞"},"campaign":{"name":"<script>document.title='taken'</script>","subject":"شكرا \u001b[31m 𝄞"}}`, nil)
	b := w.owner()
	b.open(deliveries)
	b.listed(1)
	for _, path := range []string{deliveries, "/p/default/events", "/p/default/", js[string](b, `document.querySelector('#live a').getAttribute('href')`)} {
		b.open(path)
		b.says("#main", "𝄞")
		if title := js[string](b, `document.title`); strings.Contains(title, "taken") {
			t.Errorf("%s runs what is in the payload", path)
		}
		if n := js[int](b, `document.querySelectorAll('#main script, #main img').length`); n != 0 {
			t.Errorf("%s has %d elements of the payload", path, n)
		}
	}
	b.says("#main", `\u202egro.elpmaxe`, "<script>document.title='taken'</script>")
}

func TestATabStaysResponsive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook(newReceiver(t), "")
	w.send(0, 1)
	b := w.owner()
	b.open(deliveries)
	b.listed(1)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for began, i := time.Now(), 1; time.Since(began) < *flood; i++ {
		w.send(10*i, 10)
		<-tick.C
		if i%10 != 0 {
			continue
		}
		if n, distinct := b.rows(); n > 300 || n != distinct { // it answers, too
			t.Fatalf("there are %d rows, %d of them once", n, distinct)
		}
	}
	b.says("#content", "deliveries")
	b.listed(50)
}

func TestADeliveryOpensBesideTheList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := newReceiver(t)
	w.hook(r, "")
	w.send(1, 2)
	r.await(t, 2)
	b := w.owner()
	b.audited()
	b.open(deliveries + "?event=sent")
	b.listed(2)
	b.press("j", "j", kb.Enter)
	b.says("dialog.drawer", "webhook-id", "user1@example.com", "Response")
	at := b.path()
	if !strings.HasPrefix(at, deliveries+"/dlv_") {
		t.Fatalf("the address is %s", at)
	}
	if title := js[string](b, "document.title"); !strings.Contains(title, "Sent to localhost") {
		t.Errorf("the tab says %q", title)
	}
	for _, theme := range []string{"light", "dark"} {
		b.media("prefers-color-scheme", theme)
		b.accessible("the drawer, " + theme)
	}
	if wide := js[bool](b, `document.documentElement.scrollWidth > innerWidth || document.querySelector('.drawer').scrollWidth > document.querySelector('.drawer').clientWidth`); wide {
		t.Error("the drawer scrolls sideways")
	}

	// Esc leads back: the list as it was, its address, and the focus where it was.
	b.press(kb.Escape)
	b.until("the drawer is closed", func() bool {
		return b.path() == deliveries+"?event=sent" && js[int](b, `document.querySelectorAll('dialog').length`) == 0
	})
	if row := js[int](b, `[...document.querySelectorAll('#live tr')].findIndex(r => r.contains(document.activeElement))`); row != 1 {
		t.Errorf("the focus is in row %d", row)
	}
	if title := js[string](b, "document.title"); !strings.HasPrefix(title, "Deliveries") {
		t.Errorf("the tab says %q", title)
	}

	// Back closes it, forward shows the delivery, and its address is a page.
	b.click("link", "Sent")
	b.says("dialog.drawer", "webhook-id")
	js[any](b, `history.back()`)
	b.until("the drawer is closed", func() bool { return js[int](b, `document.querySelectorAll('dialog').length`) == 0 })
	js[any](b, `history.forward()`)
	b.says("#main h1", "Sent to localhost")

	// On a phone the row is a link as any other.
	b.open(deliveries)
	b.size(390, 800)
	b.listed(2)
	b.click("link", "Sent")
	b.says("#main h1", "Sent to localhost")
	if n := js[int](b, `document.querySelectorAll('dialog').length`); n != 0 {
		t.Error("there is a drawer on a phone")
	}
}

// What is open beside the list goes on by itself.
func TestADeliveryBesideTheListIsLive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := newReceiver(t)
	r.answers(http.StatusBadGateway, 0)
	w.hook(r, `,"retry_schedule":["1s"]`)
	w.send(1, 1)
	b := w.follows(1)
	b.click("link", "Sent")
	b.says("dialog.drawer", "Failed after 2 attempts.", "Attempt 2")
}

func TestNewRowsAreReadOutToWhoeverAsks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook(newReceiver(t), "")
	w.send(1, 1)
	b := w.follows(1)
	w.send(2, 1)
	b.listed(2)
	b.the("log", "New rows")
	live := func() string { return js[string](b, `document.querySelector('#announced').ariaLive`) }
	if said := b.text("#announced"); live() != "off" || said != "" {
		t.Errorf("unasked, the log is %q and says %q", live(), said)
	}
	js[any](b, `document.querySelector('#announce').focus()`)
	b.press(kb.Enter)
	if pressed := b.the("button", "Announce new rows").property("pressed"); pressed != "true" {
		t.Errorf("the button is pressed: %q", pressed)
	}
	if live() != "polite" {
		t.Errorf("the log is %q", live())
	}
	w.send(3, 1)
	b.says("#announced", "user3@example.com")
	if said := b.text("#announced"); strings.Contains(said, "user2@") {
		t.Errorf("it reads out what was there: %q", said)
	}
}
