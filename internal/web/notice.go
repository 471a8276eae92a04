package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
)

// notice says what came of an action: what happened, then why, then what to do.
type notice struct {
	Kind    string // ok, bad, warn or info
	Text    string
	Detail  string   // a second sentence
	Actions []action // what to do next
	Menu    *menu    // more that can be done next, behind a button
	Once    string   // id of a webhook whose secret is shown with it, this time only
}

// menu is one form with a button for each value of its field.
type menu struct {
	Text, URL, Field string
	Options          []option
}

// action is a link, or a form with one button.
type action struct {
	Text   string
	URL    string
	Post   bool
	Fields []hidden // of the form
}

type hidden struct{ Name, Value string }

// The classes of the notice and what a screen reader says before it.

func (n *notice) Label() string {
	return map[string]string{"ok": "Done", "bad": "Problem", "warn": "Attention", "info": "Note"}[n.Kind]
}

// done ends an action by going to a page of ours, which shows the notice.
func (c *call) done(to string, n notice) error {
	c.leaveNotice(n)
	return c.redirect(to)
}

// result ends an action by showing the notice where the person is: in the page's
// region for results, or without JavaScript on the page that it goes to. The
// triggers are events on which other parts of the page load themselves anew.
func (c *call) result(to string, n notice, triggers ...string) error {
	if !c.partial() {
		return c.done(to, n)
	}
	if len(triggers) > 0 {
		c.w.Header().Set("HX-Trigger", strings.Join(triggers, ", "))
	}
	return c.part("result", "main", &resultPage{frame{Notice: &n}})
}

type resultPage struct{ frame }

// A notice waits for the next page in a cookie. It is signed, since it is shown
// as our own words, and gone after a minute.
const (
	noticeCookie = "telltale-notice"
	noticeLife   = 60 // seconds
	maxNotice    = 3 << 10
)

func (c *call) leaveNotice(n notice) {
	text, err := json.Marshal(n)
	if err != nil {
		panic("web: encoding a notice: " + err.Error()) // strings always encode
	}
	value := base64.RawURLEncoding.EncodeToString(append(c.noticeMAC(text), text...))
	if len(value) > maxNotice {
		return // whatever happened has happened
	}
	http.SetCookie(c.w, &http.Cookie{ //nolint:gosec // Secure as the address is; on a laptop that is http
		Name: noticeCookie, Value: value, Path: "/", MaxAge: noticeLife, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(c.PublicURL, "https://"),
	})
}

func (c *call) takeNotice() *notice {
	cookie, err := c.r.Cookie(noticeCookie)
	if err != nil {
		return nil
	}
	http.SetCookie(c.w, &http.Cookie{Name: noticeCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode}) //nolint:gosec // it takes the cookie back
	b, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil || len(b) < sha256.Size || !hmac.Equal(b[:sha256.Size], c.noticeMAC(b[sha256.Size:])) {
		return nil
	}
	var n notice
	if json.Unmarshal(b[sha256.Size:], &n) != nil {
		return nil
	}
	return &n
}

// noticeMAC shows that the words are ours.
func (c *call) noticeMAC(text []byte) []byte {
	h := hmac.New(sha256.New, c.SigningKey)
	h.Write([]byte("notice "))
	h.Write(text)
	return h.Sum(nil)
}
