// Package inspect is the way into the inspector's bins: whatever is sent to
// /in/{bin}, or below it, is caught for people to look at, and answered as the
// bin says: 200 at once, or whatever a receiver that fails would answer. The API
// lists what was caught.
//
// A bin's id is all that a sender needs, so anyone may send anything: bodies and
// heads are kept up to a bound, a bin keeps its newest requests, and only so many
// requests are worked on at a time. What is beyond is answered 503, which a
// webhook that is being tried out retries.
//
// Credentials are not kept. Whoever looks into a bin is told that they were sent,
// not what they were: Authorization, cookies, what its name calls a secret, and
// the headers that a webhook which points to the bin has marked as secret.
package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/httpserver"
)

// Store is what we ask of storage.
type Store interface {
	Bin(ctx context.Context, id telltale.BinID) (telltale.Bin, error)
	Webhooks(ctx context.Context, project telltale.ProjectID, page telltale.Page) ([]*telltale.Webhook, error)
	CatchRequest(ctx context.Context, r telltale.CaughtRequest) error
}

const (
	prefix = "/in/"

	// slots is how many requests may ask the store at a time.
	slots = 16
	// delays is how many requests may wait for a delayed answer at a time.
	delays = 256
	// maxHeaders and maxHeadBytes bound what is kept of a head; the server
	// accepts no more bytes than that.
	maxHeaders   = 200
	maxHeadBytes = 32 << 10
	// maxPath bounds what is kept of path and query, in bytes.
	maxPath = 4096
)

// New makes the handler of everything below /in/.
func New(store Store) http.Handler {
	in := &inspector{store: store, slots: make(chan struct{}, slots), delays: make(chan struct{}, delays)}
	return httpserver.Handle(in.catch)
}

type inspector struct {
	store  Store
	slots  chan struct{}
	delays chan struct{}
}

func (in *inspector) catch(w http.ResponseWriter, r *http.Request) error {
	bin, err := in.bin(r)
	if err != nil {
		return err
	}
	body, truncated, err := read(r)
	if err != nil {
		return err
	}
	if err := in.keep(r, bin, body, truncated); err != nil {
		return err
	}
	return in.answer(w, r, bin.Answer)
}

// answer plays the receiver that the bin is told to be.
func (in *inspector) answer(w http.ResponseWriter, r *http.Request, a telltale.BinAnswer) error {
	if a.Delay > 0 {
		if err := in.wait(r.Context(), a.Delay); err != nil {
			return err
		}
	}
	if a.Reset {
		panic(http.ErrAbortHandler) // net/http cuts the connection, or resets the stream
	}
	httpserver.Feign(r.Context())
	status := a.Status
	if status == 0 {
		status = http.StatusOK
	}
	body, kind := a.Body, "text/plain; charset=utf-8"
	switch {
	case body == "":
		body, kind = fmt.Sprintf("{\"ok\":%t}\n", status < 300), "application/json"
	case json.Valid([]byte(body)):
		kind = "application/json"
	}
	w.Header().Set("Content-Type", kind)
	if a.RetryAfter != "" {
		w.Header().Set("Retry-After", a.RetryAfter)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // the sender may be gone, or the status have no body; net/http knows
	return nil
}

// wait lets the delay go by. It ends early when the sender has gone, and when
// the server stops: nobody waits for us to play dead.
func (in *inspector) wait(ctx context.Context, delay time.Duration) error {
	select {
	case in.delays <- struct{}{}:
	default:
		return errBusy
	}
	defer func() { <-in.delays }()
	timer := time.NewTimer(min(delay, telltale.MaxBinDelay))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-httpserver.Stopping(ctx):
	}
	return nil
}

// bin finds the bin that the path names. One that cannot be, does not exist or
// has expired is the same to the sender.
func (in *inspector) bin(r *http.Request) (telltale.Bin, error) {
	id, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, prefix), "/")
	if !wellFormed(id) {
		return telltale.Bin{}, errNoBin
	}
	if err := in.enter(); err != nil {
		return telltale.Bin{}, err
	}
	defer in.leave()
	bin, err := in.store.Bin(r.Context(), telltale.BinID(id))
	return bin, orNoBin(err)
}

var errNoBin = telltale.Errorf(telltale.NotFound, "There is no bin at this address, or it has expired: bins live for %s.", telltale.BinLifetime)

func orNoBin(err error) error {
	switch {
	case err == nil:
		return nil
	case telltale.CodeOf(err) == telltale.NotFound:
		return errNoBin
	}
	return fmt.Errorf("inspect: catching a request: %w", err)
}

// wellFormed reports whether id can be one that [telltale.NewBin] made: 15
// bytes in base 32.
func wellFormed(id string) bool {
	if len(id) != 24 {
		return false
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

var errBusy = &telltale.Error{
	Code: telltale.Unavailable, RetryAfter: time.Second,
	Message: "The inspector catches as many requests as it can. Send the request again.",
}

func (in *inspector) enter() error {
	select {
	case in.slots <- struct{}{}:
		return nil
	default:
		return errBusy
	}
}

func (in *inspector) leave() { <-in.slots }

// read takes the body, up to the bound.
func read(r *http.Request) (body []byte, truncated bool, err error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, false, nil
	}
	body, err = io.ReadAll(io.LimitReader(r.Body, telltale.MaxCaughtBody+1))
	switch {
	case errors.As(err, new(*telltale.Error)):
		return nil, false, err
	case err != nil:
		return nil, false, &telltale.Error{Code: telltale.Malformed, Message: "The body breaks off before its end.", Cause: err}
	case len(body) > telltale.MaxCaughtBody:
		return body[:telltale.MaxCaughtBody], true, nil
	}
	return body, false, nil
}

func (in *inspector) keep(r *http.Request, bin telltale.Bin, body []byte, truncated bool) error {
	if err := in.enter(); err != nil {
		return err
	}
	defer in.leave()
	webhooks, err := in.pointingTo(r.Context(), bin)
	if err != nil {
		return orNoBin(err)
	}
	receivedAt := time.Now().UTC()
	path := r.URL.RequestURI()
	return orNoBin(in.store.CatchRequest(r.Context(), telltale.CaughtRequest{
		ID: telltale.NewRequestID(), BinID: bin.ID,
		ReceivedAt: receivedAt.Truncate(time.Millisecond), RemoteAddr: r.RemoteAddr,
		Method: r.Method, Path: path[:min(len(path), maxPath)],
		Headers: head(r, webhooks), Body: body, Truncated: truncated,
		Verdict: verdict(r.Header, body, truncated, webhooks, receivedAt),
	}))
}

// pointingTo gives the webhooks of the bin's project whose URL leads to the bin.
func (in *inspector) pointingTo(ctx context.Context, bin telltale.Bin) ([]*telltale.Webhook, error) {
	var found []*telltale.Webhook
	page := telltale.Page{Limit: telltale.MaxPage}
	for {
		webhooks, err := in.store.Webhooks(ctx, bin.ProjectID, page)
		if err != nil {
			return nil, err
		}
		for _, w := range webhooks {
			if leadsTo(w.URL, bin.ID) {
				found = append(found, w)
			}
		}
		if len(webhooks) < page.Limit {
			return found, nil
		}
		page.After = string(webhooks[len(webhooks)-1].ID)
	}
}

// leadsTo reports whether a URL's path is the bin's or below it. Its host is
// not looked at: it may be any by which this server is reached, and nobody
// guesses the id of a bin.
func leadsTo(url string, bin telltale.BinID) bool {
	path, _, _ := strings.Cut(url, "?")
	_, rest, ok := strings.Cut(path, prefix+string(bin))
	return ok && (rest == "" || rest[0] == '/')
}

// head gives the headers as they are kept: by name, since net/http does not
// tell their order.
func head(r *http.Request, webhooks []*telltale.Webhook) []telltale.Header {
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	kept := []telltale.Header{{Name: "Host", Value: r.Host}}
	bytes := len(r.Host)
	for _, name := range names {
		secret := isSecret(name, webhooks)
		for _, value := range r.Header[name] {
			if secret {
				value = telltale.Redacted
			}
			bytes += len(name) + len(value)
			if len(kept) == maxHeaders || bytes > maxHeadBytes {
				return kept
			}
			kept = append(kept, telltale.Header{Name: name, Value: value})
		}
	}
	return kept
}

// tellingNames are parts of names that headers with credentials have.
var tellingNames = []string{"auth", "cookie", "token", "secret", "password", "api-key", "apikey"}

func isSecret(name string, webhooks []*telltale.Webhook) bool {
	lower := strings.ToLower(name)
	for _, part := range tellingNames {
		if strings.Contains(lower, part) {
			return true
		}
	}
	for _, w := range webhooks {
		for _, h := range w.Headers {
			if h.Secret && strings.EqualFold(h.Name, name) {
				return true
			}
		}
	}
	return false
}
