package auth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"telltale.example/telltale"
)

// house is an [OperatorStore] in memory.
type house struct {
	OperatorStore // what is not asked here

	mu        sync.Mutex
	operators []telltale.Operator
	sessions  map[[32]byte]telltale.Session
	touched   int
	audit     []telltale.AuditEntry
}

var errNone = telltale.Errorf(telltale.NotFound, "There is no such thing.")

func (h *house) Operator(_ context.Context, id telltale.OperatorID) (telltale.Operator, error) {
	return h.find(func(o telltale.Operator) bool { return o.ID == id })
}

func (h *house) OperatorByEmail(_ context.Context, email string) (telltale.Operator, error) {
	return h.find(func(o telltale.Operator) bool { return o.Email == email })
}

func (h *house) find(match func(telltale.Operator) bool) (telltale.Operator, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.IndexFunc(h.operators, match); i >= 0 {
		return h.operators[i], nil
	}
	return telltale.Operator{}, errNone
}

func (h *house) NoteLogin(ctx context.Context, id telltale.OperatorID) error {
	return h.Audit(ctx, telltale.AuditEntry{Action: telltale.AuditLogin, Target: string(id)})
}

func (h *house) SaveSession(_ context.Context, s telltale.Session, passwordHash string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.IndexFunc(h.operators, func(o telltale.Operator) bool { return o.ID == s.OperatorID }); i < 0 || h.operators[i].PasswordHash != passwordHash {
		return errNone
	}
	h.sessions[s.Hash] = s
	return nil
}

func (h *house) TouchSession(_ context.Context, hash [32]byte, address string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, ok := h.sessions[hash]
	if !ok {
		return errNone
	}
	h.touched++
	s.SeenAt, s.RemoteAddr = time.Now().Truncate(time.Minute), address
	h.sessions[hash] = s
	return nil
}

func (h *house) Session(_ context.Context, hash [32]byte) (telltale.Session, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s, ok := h.sessions[hash]; ok && s.ExpiresAt.After(time.Now()) {
		return s, nil
	}
	return telltale.Session{}, errNone
}

func (h *house) EndSession(_ context.Context, hash [32]byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sessions, hash)
	return nil
}

func (h *house) Audit(ctx context.Context, e telltale.AuditEntry) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.Actor == (telltale.Actor{}) {
		e.Actor = telltale.ActorOf(ctx)
	}
	h.audit = append(h.audit, e)
	return nil
}

const right = "correct horse battery staple"

// door is a house with an owner, and a member who may not sign in any more.
type door struct {
	*Operators
	*house
	t *testing.T
}

// Hashes here are cheap ones: most of these tests are not about them.
func newDoor(t *testing.T, secure bool) *door {
	t.Helper()
	hash := phc(right, []byte("somesalt"), 8, 1, 1)
	owner, gone := telltale.NewOperator("owner@example.com", telltale.RoleOwner, hash), telltale.NewOperator("gone@example.com", telltale.RoleMember, hash)
	gone.DisabledAt = time.Now()
	h := &house{operators: []telltale.Operator{owner, gone}, sessions: map[[32]byte]telltale.Session{}}
	operators := NewOperators(h, secure)
	operators.absent = func() string { return phc("nobody's", []byte("somesalt"), 8, 1, 1) }
	return &door{operators, h, t}
}

// login tries, from an address, and gives the cookie if it succeeds.
func (d *door) login(email, password, address string, cookies ...*http.Cookie) (*http.Cookie, error) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/login", nil)
	r.RemoteAddr = address + ":4711"
	r.Header.Set("User-Agent", "a browser")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	if _, err := d.Login(w, r, email, password); err != nil {
		return nil, err
	}
	return w.Result().Cookies()[0], nil
}

func (d *door) mustLogin(cookies ...*http.Cookie) *http.Cookie {
	d.t.Helper()
	c, err := d.login("owner@example.com", right, "192.0.2.1", cookies...)
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

// who is signed in with the cookie: their email, or the code of the error.
func (d *door) who(c *http.Cookie, address string) string {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = address + ":4712"
	if c != nil {
		r.AddCookie(c)
	}
	who, err := d.Current(r)
	if err != nil {
		return string(telltale.CodeOf(err))
	}
	return who.Email
}

func TestLogin(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ what, email, password, want string }{
		{"the right password", "owner@example.com", right, ""},
		{"an email in other letters", " Owner@Example.COM ", right, ""},
		{"a wrong password", "owner@example.com", "wrong", "Email or password is wrong."},
		{"somebody unknown", "nobody@example.com", right, "Email or password is wrong."},
		{"somebody who may not sign in any more", "gone@example.com", right, "Email or password is wrong."},
		{"nobody", "", "", "Email or password is wrong."},
	} {
		d := newDoor(t, false)
		_, err := d.login(tt.email, tt.password, "192.0.2.1")
		got := ""
		if err != nil {
			got = err.Error()
		}
		if !strings.HasSuffix(got, tt.want) || (got == "") != (tt.want == "") {
			t.Errorf("%s: %q; want %q", tt.what, got, tt.want)
		}
		want := telltale.AuditLogin
		if tt.want != "" {
			want = telltale.AuditLoginFailed
		}
		if len(d.audit) != 1 || d.audit[0].Action != want || d.audit[0].Actor.RemoteAddr != "192.0.2.1" {
			t.Errorf("%s: the audit log has %+v; want one %s", tt.what, d.audit, want)
		}
		if text := fmt.Sprint(d.audit); tt.password != "" && strings.Contains(text, tt.password) {
			t.Errorf("%s: the audit log has the password: %s", tt.what, text)
		}
	}
}

func TestLoginsAreThrottled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, false)
		for range emailTries.burst {
			if _, err := d.login("owner@example.com", "wrong", "192.0.2.1"); telltale.CodeOf(err) != telltale.Unauthenticated {
				t.Fatal(err)
			}
		}
		_, err := d.login("owner@example.com", right, "192.0.2.2")
		if e, ok := err.(*telltale.Error); !ok || e.Code != telltale.RateLimited || e.Message != "Too many tries. Try again in 30 s." || e.RetryAfter != 30*time.Second {
			t.Errorf("one try too many, from wherever, gets %#v", err)
		}
		if _, err := d.login("gone@example.com", "wrong", "192.0.2.1"); telltale.CodeOf(err) != telltale.Unauthenticated {
			t.Errorf("another email gets %v", err)
		}
		time.Sleep(emailTries.every)       //nolint:forbidigo // in a bubble
		for range 3 * addressTries.burst { // who gets in has all their tries again, and so has their office
			d.mustLogin()
		}

		time.Sleep(time.Hour) //nolint:forbidigo // likewise
		for i := range addressTries.burst {
			if _, err := d.login(fmt.Sprintf("guess%d@example.com", i), "wrong", "192.0.2.3"); telltale.CodeOf(err) != telltale.Unauthenticated {
				t.Fatal(err)
			}
		}
		if _, err := d.login("owner@example.com", right, "192.0.2.3"); telltale.CodeOf(err) != telltale.RateLimited {
			t.Errorf("the address of many guesses gets %v", err)
		}
		if _, err := d.login("owner@example.com", right, "192.0.2.1"); err != nil {
			t.Errorf("another address gets %v", err)
		}
	})
}

func TestSessions(t *testing.T) {
	t.Parallel()
	const in, out = "owner@example.com", string(telltale.Unauthenticated)
	for _, tt := range []struct {
		what string
		then func(d *door, c *http.Cookie)
		want string
	}{
		{"at once", func(*door, *http.Cookie) {}, in},
		{"after almost three days", func(*door, *http.Cookie) { time.Sleep(telltale.SessionIdleLife - 2*time.Minute) }, in}, //nolint:forbidigo // in a bubble
		{"after three days away", func(*door, *http.Cookie) { time.Sleep(telltale.SessionIdleLife + time.Minute) }, out},    //nolint:forbidigo // in a bubble
		{"after thirteen days of use", func(d *door, c *http.Cookie) {
			for range 13 {
				time.Sleep(24 * time.Hour) //nolint:forbidigo // in a bubble
				d.who(c, "192.0.2.1")
			}
		}, in},
		{"after fourteen days of use", func(d *door, c *http.Cookie) {
			for range 14 {
				time.Sleep(24 * time.Hour) //nolint:forbidigo // in a bubble
				d.who(c, "192.0.2.1")
			}
		}, out},
		{"when the operator may not sign in any more", func(d *door, _ *http.Cookie) { d.operators[0].DisabledAt = time.Now() }, out},
		{"when the operator is gone", func(d *door, _ *http.Cookie) { d.operators = nil }, out},
		{"after logging in again", func(d *door, c *http.Cookie) { d.mustLogin(c) }, out},
		{"after logging in elsewhere", func(d *door, _ *http.Cookie) { d.mustLogin() }, in},
		{"after logging out", func(d *door, c *http.Cookie) {
			r := httptest.NewRequest(http.MethodPost, "/logout", nil)
			r.AddCookie(c)
			who, err := d.Current(r)
			if err != nil {
				d.t.Fatal(err)
			}
			w := httptest.NewRecorder()
			if err := d.Logout(w, r, who); err != nil {
				d.t.Fatal(err)
			}
			if c := w.Result().Cookies()[0]; c.MaxAge >= 0 || c.Value != "" {
				d.t.Errorf("logging out leaves the cookie %s", c)
			}
		}, out},
		{"with a token that is none", func(_ *door, c *http.Cookie) { c.Value = strings.Repeat("x", len(c.Value)) }, out},
		{"with a token longer than any", func(_ *door, c *http.Cookie) { c.Value += strings.Repeat("x", 100) }, out},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newDoor(t, false)
			c := d.mustLogin()
			tt.then(d, c)
			if got := d.who(c, "192.0.2.1"); got != tt.want {
				t.Errorf("%s: %s; want %s", tt.what, got, tt.want)
			}
		})
	}
}

func TestASessionIsSeenToTheMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, false)
		c := d.mustLogin()
		for range 180 {
			time.Sleep(time.Second) //nolint:forbidigo // in a bubble
			d.who(c, "198.51.100.7")
		}
		if d.touched < 2 || d.touched > 3 {
			t.Errorf("three minutes of use write %d times", d.touched)
		}
		s := d.sessions[sha256.Sum256([]byte(c.Value))]
		if s.RemoteAddr != "198.51.100.7" || s.UserAgent != "a browser" {
			t.Errorf("the session is of %q at %q", s.UserAgent, s.RemoteAddr)
		}
	})
}

func TestTheCookie(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		secure bool
		name   string
	}{{false, "telltale"}, {true, "__Host-telltale"}} {
		d := newDoor(t, tt.secure)
		c := d.mustLogin()
		if c.Name != tt.name || c.Secure != tt.secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			t.Errorf("secure %t: %s", tt.secure, c)
		}
		for hash := range d.sessions {
			if strings.Contains(c.Value, fmt.Sprintf("%x", hash)) {
				t.Error("the cookie has what the store has")
			}
		}
		if _, known := d.sessions[sha256.Sum256([]byte(c.Value))]; !known {
			t.Error("the store does not have the hash of the cookie")
		}
		if got := d.who(&http.Cookie{Name: "telltale", Value: c.Value}, "192.0.2.1"); tt.secure && got != string(telltale.Unauthenticated) {
			t.Errorf("over https, a cookie that others can set lets in %s", got)
		}
	}
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, false)
		who := SignedIn{Operator: d.operators[0]}
		for range 2 * emailTries.burst {
			if err := d.Confirm(who, right); err != nil {
				t.Fatal(err)
			}
		}
		for range emailTries.burst {
			if err := d.Confirm(who, "wrong"); telltale.CodeOf(err) != telltale.Invalid {
				t.Fatal(err)
			}
		}
		if err := d.Confirm(who, right); telltale.CodeOf(err) != telltale.RateLimited {
			t.Errorf("one try too many gets %v", err)
		}
		time.Sleep(emailTries.every) //nolint:forbidigo // in a bubble
		if err := d.Confirm(who, right); err != nil {
			t.Error(err)
		}
	})
}
