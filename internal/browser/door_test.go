package browser

import (
	"net/http"
	"strings"
	"testing"
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
