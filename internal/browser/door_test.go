package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// Somebody goes in and out, with JavaScript and without.
func TestTheWayIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, scripts := range []bool{true, false} {
		b := newTab(t, w.app.URL())
		if !scripts {
			b.withoutJavaScript()
		}
		b.open("/p/default/events")
		b.the("heading", "Log in")
		b.fill("Email", "owner@example.com")
		b.fill("Password", "wrong")
		b.click("button", "Log in")
		b.says("main", "Email or password is wrong.")
		b.fill("Password", password)
		b.click("button", "Log in")
		b.the("heading", "Events")
		if got := b.path(); got != "/p/default/events" {
			t.Errorf("the login leads to %s", got)
		}
	}
}

// A session that ends while a part of the page is asked for takes the whole page to the login.
func TestTheWholePageGoesToTheLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.owner()
	b.open("/p/default" + reporting)
	w.request(w.cookie, http.MethodPost, "/logout", map[string][]string{})
	b.click("link", "Add webhook")
	b.the("heading", "Log in")
	if got := b.path(); !strings.HasPrefix(got, "/login?next=") {
		t.Errorf("the page is at %s", got)
	}
}

// The one-time link of the start makes the owner, once.
func TestSettingUp(t *testing.T) {
	t.Parallel()
	w := newNode(t)
	b := newTab(t, w.app.URL())
	link := strings.TrimPrefix(w.app.SetupURL(), w.app.URL())
	b.open(link)
	b.the("heading", "Set up Telltale")
	b.fill("Email", "ann@example.com")
	b.fill("Password", password)
	b.fill("Project name", "Newsletter")
	b.click("button", "Create account")
	b.says("#result", "Telltale is set up.")
	b.the("heading", "Overview")
	b.says("header", "Newsletter")
	b.open(link)
	b.the("heading", "Overview") // who is in does not set up again
}

// A form of another site reaches nothing, though the browser sends the session along.
func TestAFormOfAnotherSiteIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(out, `<link rel="icon" href="data:,"><form method="post" action="%s/p/default/samples"><button>Win</button></form>`, w.app.URL())
	}))
	t.Cleanup(other.Close)
	b := w.owner()
	b.open("/p/default/")
	b.do(chromedp.Navigate(other.URL))
	b.click("button", "Win")
	b.says("main", "This form was sent from another site.")
	b.open("/p/default/events")
	b.says("main", "No events yet")
}
