package web

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// notice says what came of an action: what happened, then why, then what to do.
type notice struct {
	Kind    string // ok, bad, warn or info
	Text    string
	Detail  string   // a second sentence
	Actions []action // what to do next
	Menu    *menu    // more that can be done next, behind a button
	Once    string   // id of a webhook or source that was just made, whose secret is shown with it, this time only
	Reveal  string   // id of a webhook or source whose page shows its secrets, this time only
	Secret  *copied  // what is shown with it and never again
}

// copied is a text to copy. Name says what it is.
type copied struct{ Text, Name string }

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

// A notice waits for the next page in a cookie, so that loading that page again
// repeats nothing. It is sealed: it is shown as our own words, and may hold a
// secret. It is gone after a minute.
const (
	noticeCookie = "telltale-notice"
	noticeLife   = 60 // seconds
	maxNotice    = 3 << 10
)

// waiting is what the cookie holds.
type waiting struct {
	Notice notice
	Left   int64 // when, in Unix seconds
}

func (c *call) leaveNotice(n notice) {
	text, err := json.Marshal(waiting{n, time.Now().Unix()})
	if err != nil {
		panic("web: encoding a notice: " + err.Error()) // strings always encode
	}
	value := base64.RawURLEncoding.EncodeToString(c.noticeSeal().Seal(nil, nil, text, nil)) //nolint:gosec // the seal draws a nonce of its own
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
	sealed, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil {
		return nil
	}
	text, err := c.noticeSeal().Open(nil, nil, sealed, nil)
	if err != nil {
		return nil // made up, or of another time
	}
	var w waiting
	if json.Unmarshal(text, &w) != nil || time.Now().Unix() > w.Left+noticeLife {
		return nil
	}
	return &w.Notice
}

// noticeSeal hides the words, and shows that they are ours.
func (c *call) noticeSeal() cipher.AEAD {
	h := hmac.New(sha256.New, c.SigningKey)
	h.Write([]byte("notice"))
	block, err := aes.NewCipher(h.Sum(nil))
	if err != nil {
		panic("web: " + err.Error()) // 32 bytes are a key
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("web: " + err.Error()) // AES has blocks of 16 bytes
	}
	return aead
}
