package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"telltale.example/telltale"
)

// OperatorStore is what we ask of storage to let people in.
type OperatorStore interface {
	telltale.OperatorStore
	telltale.AuditStore
}

// Operators lets people in: by password, into sessions that a cookie names.
// Make one with [NewOperators].
type Operators struct {
	store  OperatorStore
	secure bool
	tries  throttle
	// absent is checked in place of an operator that does not exist.
	absent func() string
}

// NewOperators says with secure whether people come over https, and then their
// cookie goes over nothing else.
func NewOperators(store OperatorStore, secure bool) *Operators {
	return &Operators{store: store, secure: secure, absent: sync.OnceValue(noPassword)}
}

// SignedIn is an operator in a session.
type SignedIn struct {
	telltale.Operator
	Session telltale.Session
}

// cookieName begins with __Host- over https, so that no other host can set it.
func (o *Operators) cookieName() string {
	if o.secure {
		return "__Host-telltale"
	}
	return "telltale"
}

func (o *Operators) cookie(value string, expires time.Time) *http.Cookie {
	//nolint:gosec // it is Secure where people come over https; on a laptop there is no https
	c := &http.Cookie{Name: o.cookieName(), Value: value, Path: "/", HttpOnly: true, Secure: o.secure, SameSite: http.SameSiteLaxMode, Expires: expires}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

// Current gives who makes the request; Unauthenticated if nobody is signed in.
func (o *Operators) Current(r *http.Request) (SignedIn, error) {
	cookie, err := r.Cookie(o.cookieName())
	if err != nil || len(cookie.Value) > 64 {
		return SignedIn{}, errSignedOut
	}
	ctx := r.Context()
	session, err := o.store.Session(ctx, sha256.Sum256([]byte(cookie.Value)))
	switch {
	case telltale.CodeOf(err) == telltale.NotFound:
		return SignedIn{}, errSignedOut
	case err != nil:
		return SignedIn{}, fmt.Errorf("auth: finding a session: %w", err)
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	if now.Sub(session.SeenAt) > telltale.SessionIdleLife {
		return SignedIn{}, errSignedOut
	}
	operator, err := o.store.Operator(ctx, session.OperatorID)
	switch {
	case telltale.CodeOf(err) == telltale.NotFound:
		return SignedIn{}, errSignedOut
	case err != nil:
		return SignedIn{}, fmt.Errorf("auth: finding the operator of a session: %w", err)
	case !operator.DisabledAt.IsZero():
		return SignedIn{}, errSignedOut
	}
	if now.Sub(session.SeenAt) >= time.Minute {
		session.SeenAt, session.RemoteAddr = now.Truncate(time.Minute), address(r)
		switch err := o.store.TouchSession(ctx, session.Hash, session.RemoteAddr); telltale.CodeOf(err) {
		case "", telltale.Unavailable: // what cannot be written now can still be read
		case telltale.NotFound:
			return SignedIn{}, errSignedOut
		default:
			return SignedIn{}, fmt.Errorf("auth: noting that a session is used: %w", err)
		}
	}
	return SignedIn{operator, session}, nil
}

var errSignedOut = telltale.Errorf(telltale.Unauthenticated, "You are signed out.")

// Login signs in whoever knows the password, and sets the cookie. It gives
// Unauthenticated without saying which of the two is wrong, and RateLimited
// after too many tries for the email or from the address.
func (o *Operators) Login(w http.ResponseWriter, r *http.Request, email, password string) (telltale.Operator, error) {
	email = telltale.CleanEmail(email)
	forEmail, fromAddress := try{"email " + telltale.CutValue(email), emailTries}, try{"address " + address(r), addressTries}
	if wait := o.tries.take(forEmail, fromAddress); wait > 0 {
		return telltale.Operator{}, tooManyTries(wait)
	}
	ctx := r.Context()
	operator, err := o.store.OperatorByEmail(ctx, email)
	hash := operator.PasswordHash
	switch {
	case telltale.CodeOf(err) == telltale.NotFound, err == nil && !operator.DisabledAt.IsZero():
		hash = o.absent()
	case err != nil:
		return telltale.Operator{}, fmt.Errorf("auth: finding an operator: %w", err)
	}
	matches, err := PasswordMatches(hash, password)
	if err != nil {
		return telltale.Operator{}, err
	}
	if !matches || operator.ID == "" || !operator.DisabledAt.IsZero() {
		failed := telltale.AuditEntry{Action: telltale.AuditLoginFailed, Target: string(operator.ID), Name: telltale.CutValue(email)}
		failed.Actor = telltale.Actor{Kind: telltale.ActorOperator, Name: telltale.CutValue(email), RemoteAddr: address(r), RequestID: telltale.ActorOf(ctx).RequestID}
		if err := o.store.Audit(ctx, failed); err != nil {
			return telltale.Operator{}, err
		}
		return telltale.Operator{}, telltale.Errorf(telltale.Unauthenticated, "Email or password is wrong.")
	}
	o.tries.forgive(forEmail)
	o.tries.giveBack(fromAddress)
	return operator, o.Begin(w, r, operator)
}

// Begin opens a session for the operator, notes the login and sets the cookie.
// A session of before is ended: its token may be known to others.
func (o *Operators) Begin(w http.ResponseWriter, r *http.Request, operator telltale.Operator) error {
	ctx := telltale.WithActor(r.Context(), ActorFor(r, operator))
	if old, err := r.Cookie(o.cookieName()); err == nil && len(old.Value) <= 64 {
		if err := o.store.EndSession(ctx, sha256.Sum256([]byte(old.Value))); err != nil {
			return fmt.Errorf("auth: ending the session before: %w", err)
		}
	}
	token, hash := newToken()
	now := time.Now().UTC().Truncate(time.Millisecond)
	session := telltale.Session{
		Hash: hash, OperatorID: operator.ID, UserAgent: cut(r.UserAgent(), 256), RemoteAddr: address(r),
		CreatedAt: now, SeenAt: now, ExpiresAt: now.Add(telltale.SessionLife),
	}
	switch err := o.store.SaveSession(ctx, session, operator.PasswordHash); {
	case telltale.CodeOf(err) == telltale.NotFound: // shut out, or given another password, since the password was checked
		return telltale.Errorf(telltale.Unauthenticated, "Email or password is wrong.")
	case err != nil:
		return fmt.Errorf("auth: opening a session: %w", err)
	}
	if err := o.store.NoteLogin(ctx, operator.ID); err != nil {
		return fmt.Errorf("auth: noting a login: %w", err)
	}
	http.SetCookie(w, o.cookie(token, session.ExpiresAt))
	return nil
}

// Logout ends the session and takes the cookie back.
func (o *Operators) Logout(w http.ResponseWriter, r *http.Request, who SignedIn) error {
	http.SetCookie(w, o.cookie("", time.Unix(1, 0)))
	if err := o.store.EndSession(r.Context(), who.Session.Hash); err != nil {
		return fmt.Errorf("auth: ending a session: %w", err)
	}
	return o.store.Audit(r.Context(), telltale.AuditEntry{Action: telltale.AuditLogout, Target: string(who.ID), Name: who.Email})
}

// Confirm asks for the password again before something that a borrowed session
// must not do. It gives Invalid, and RateLimited after too many tries.
func (o *Operators) Confirm(who SignedIn, password string) error {
	again := try{"confirm " + string(who.ID), emailTries}
	if wait := o.tries.take(again); wait > 0 {
		return tooManyTries(wait)
	}
	switch matches, err := PasswordMatches(who.PasswordHash, password); {
	case err != nil:
		return err
	case !matches:
		return telltale.Errorf(telltale.Invalid, "The password is wrong.")
	}
	o.tries.forgive(again)
	return nil
}

func tooManyTries(wait time.Duration) error {
	wait = (wait + time.Second - 1).Truncate(time.Second)
	return &telltale.Error{Code: telltale.RateLimited, RetryAfter: wait, Message: fmt.Sprintf("Too many tries. Try again in %d s.", wait/time.Second)}
}

// NewLink stores a one-time link and gives the token that opens it.
func (o *Operators) NewLink(ctx context.Context, l telltale.Link, life time.Duration) (token string, err error) {
	token, l.Hash = newToken()
	l.CreatedAt = time.Now().UTC().Truncate(time.Millisecond)
	l.ExpiresAt = l.CreatedAt.Add(life)
	if err := o.store.CreateLink(ctx, l); err != nil {
		return "", fmt.Errorf("auth: making a link: %w", err)
	}
	return token, nil
}

// Link looks at the link that a token opens. NotFound if there is none any more.
func (o *Operators) Link(ctx context.Context, token string) (telltale.Link, error) {
	if token == "" || len(token) > 64 {
		return telltale.Link{}, telltale.Errorf(telltale.NotFound, "There is no such link.")
	}
	return o.store.Link(ctx, sha256.Sum256([]byte(token)))
}

// newToken makes 256 random bits in base64url, and the hash that is stored.
func newToken() (token string, hash [sha256.Size]byte) {
	var secret [32]byte
	rand.Read(secret[:])
	token = base64.RawURLEncoding.EncodeToString(secret[:])
	return token, sha256.Sum256([]byte(token))
}

// ActorFor is the operator as the audit log has them.
func ActorFor(r *http.Request, o telltale.Operator) telltale.Actor {
	return telltale.Actor{Kind: telltale.ActorOperator, ID: string(o.ID), Name: o.Email, RemoteAddr: address(r), RequestID: telltale.ActorOf(r.Context()).RequestID}
}

// address is where the request came from, without the port, which changes.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// cut shortens what a browser says of itself.
func cut(s string, n int) string { return s[:min(len(s), n)] }
