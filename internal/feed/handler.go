package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/httpserver"
	"telltale.example/telltale/internal/ingest"
)

// Store is what we ask of storage.
type Store interface {
	SourceByToken(ctx context.Context, token telltale.SourceToken) (*telltale.Source, error)
	Project(ctx context.Context, id telltale.ProjectID) (telltale.Project, error)
	NoteSources(ctx context.Context, tallies map[telltale.SourceID]telltale.SourceTally) error
	KeepUnrecognised(ctx context.Context, requests []telltale.UnrecognisedRequest) error
	UnrecognisedRequests(ctx context.Context, project telltale.ProjectID, source telltale.SourceID, page telltale.Page) ([]telltale.UnrecognisedRequest, error)
	UnrecognisedRequest(ctx context.Context, project telltale.ProjectID, source telltale.SourceID, id telltale.RequestID) (telltale.UnrecognisedRequest, error)
	DropUnrecognised(ctx context.Context, project telltale.ProjectID, source telltale.SourceID, ids []telltale.RequestID) error
}

// Ingest is what we ask of package ingest.
type Ingest interface {
	AcceptFeed(ctx context.Context, p telltale.Project, f ingest.Feed) (telltale.Accepted, []error, error)
}

// Config is what a [Handler] is made of.
type Config struct {
	Store     Store
	Ingest    Ingest
	PublicURL string // of the server, without a path: part of what some providers sign
	// Fetch gets a small document by https, through the egress guard.
	Fetch func(ctx context.Context, url string) ([]byte, error)
	// Post sends a request to this server itself, whatever its public URL leads to.
	Post func(*http.Request) (*http.Response, error)
	Log  *slog.Logger // nil: nothing is logged
}

// Handler takes what providers post below [Prefix]. Make one with [New].
type Handler struct {
	Config
	tallies      *tallies
	certificates *certificates
}

// New makes a handler. [Handler.Close] ends it.
func New(c Config) *Handler {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	return &Handler{Config: c, tallies: startTallies(c.Store, c.Log), certificates: newCertificates(c.Fetch)}
}

// Close stores what was counted, as far as that is possible until ctx ends.
func (h *Handler) Close(ctx context.Context) error { return h.tallies.stop(ctx) }

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	httpserver.Handle(h.serve).ServeHTTP(w, r)
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) error {
	s, p, err := h.find(r)
	if err != nil {
		return err
	}
	switch r.Method {
	case http.MethodPost:
	case http.MethodHead: // a console asks whether there is anyone
		w.WriteHeader(http.StatusOK)
		return nil
	default:
		w.Header().Set("Allow", "HEAD, POST")
		return telltale.Errorf(telltale.MethodNotAllowed, "This is the address of a source: %s posts its events here.", p.Title)
	}
	if !s.Enabled {
		return p.overload(&telltale.Error{Code: telltale.Unavailable, Message: "The source is switched off.", RetryAfter: offRetry})
	}
	said, err := h.receive(r, s, p)
	if err != nil {
		if telltale.CodeOf(err) == telltale.Unauthenticated {
			w.Header().Set("WWW-Authenticate", `Basic realm="telltale", charset="UTF-8"`) // RFC 7617
		}
		return p.overload(err)
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(said)
}

// offRetry is when a provider should come back to a source that is switched off.
const offRetry = 5 * time.Minute

// find gives the source whose address was posted to.
func (h *Handler) find(r *http.Request) (*telltale.Source, *Provider, error) {
	token := strings.TrimPrefix(r.URL.Path, Prefix)
	if !wellFormed(token) {
		return nil, nil, errNoSource
	}
	s, err := h.Store.SourceByToken(r.Context(), telltale.SourceToken(token))
	if telltale.CodeOf(err) == telltale.NotFound {
		return nil, nil, errNoSource
	}
	if err != nil {
		return nil, nil, fmt.Errorf("feed: finding a source: %w", err)
	}
	p := ProviderNamed(s.Provider)
	if p == nil { // it was made by a later version
		return nil, nil, telltale.Errorf(telltale.Unavailable, "This version knows no provider %q.", s.Provider)
	}
	return s, p, nil
}

var errNoSource = telltale.Errorf(telltale.NotFound, "There is no source at this address: copy its URL again from Settings, Project, Sources.")

// wellFormed reports whether a token can be one that [telltale.NewSource] made:
// 20 bytes in base 32.
func wellFormed(token string) bool {
	return len(token) == 32 && strings.Trim(token, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// overload turns what means to come back into the status that makes this provider
// do so. A provider that gives up on every 5xx is to come back after faults of
// ours, too.
func (p *Provider) overload(err error) error {
	back := &telltale.Error{Code: telltale.Unavailable, Message: "The request could not be taken.", Cause: err}
	if p.Overloaded == http.StatusTooManyRequests {
		back.Code = telltale.RateLimited
	}
	switch telltale.CodeOf(err) {
	case telltale.Unavailable, telltale.RateLimited:
		if e := new(telltale.Error); errors.As(err, &e) {
			back.Message, back.RetryAfter = e.Message, e.RetryAfter
		}
		return back
	case telltale.Internal:
		if back.Code == telltale.RateLimited {
			return back
		}
	}
	return err
}

// receive takes a request: it returns without error once all of it is stored.
func (h *Handler) receive(in *http.Request, s *telltale.Source, p *Provider) (said answer, err error) {
	now := time.Now().UTC()
	body, err := httpserver.ReadBody(in, telltale.MaxFeedBody)
	if err != nil {
		h.failed(s, now, err)
		return answer{}, err
	}
	r := &Request{Method: in.Method, URL: h.PublicURL + in.URL.RequestURI(), Header: in.Header, Body: body}
	if err := p.Verify(in.Context(), &Call{Request: r, Source: s, Now: now, Certificate: h.certificates.get}); err != nil {
		h.failed(s, now, err)
		return answer{}, err
	}
	said, err = h.take(in.Context(), r, s, p, now)
	if err != nil {
		h.failed(s, now, err)
		return answer{}, err
	}
	tally := telltale.SourceTally{
		Requests: 1, Events: int64(said.Accepted), Duplicates: int64(said.Duplicates), Ignored: int64(said.Ignored), Unrecognised: int64(said.Unrecognised),
		LastRequestAt: now,
	}
	if said.Accepted > 0 {
		tally.LastEventAt = now
	}
	h.tallies.note(s.ID, tally)
	return said, nil
}

// failed notes for the source's page why a request was not taken.
func (h *Handler) failed(s *telltale.Source, at time.Time, err error) {
	if errors.Is(err, context.Canceled) {
		return // the provider went away
	}
	tally := telltale.SourceTally{LastFailure: "The request could not be taken; the server's log says why.", LastFailureAt: at}
	if code := telltale.CodeOf(err); code == telltale.Unauthenticated || code == telltale.Forbidden {
		tally.Refused = 1
	}
	var e *telltale.Error
	if errors.As(err, &e) && e.Message != "" {
		tally.LastFailure = sentence(e.Message)
	} else {
		h.Log.Error("a provider's request could not be taken", "source", s.ID, "provider", s.Provider, "error", err)
	}
	h.tallies.note(s.ID, tally)
}

// sentence keeps what is told of a failure within its bound.
func sentence(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), telltale.MaxSourceFailure)], "")
}

// answer is what a request came to, in events.
type answer struct {
	Accepted     int `json:"accepted"`
	Duplicates   int `json:"duplicates"`
	Ignored      int `json:"ignored"`
	Unrecognised int `json:"unrecognised"`
}

// take stores what a verified request says: events, and what is not understood.
// The events go first: if the rest fails, the provider repeats all of it, and they
// are duplicates then.
func (h *Handler) take(ctx context.Context, r *Request, s *telltale.Source, p *Provider, now time.Time) (answer, error) {
	said, unrecognised, err := h.accept(ctx, r, s, p, now)
	if err != nil {
		return answer{}, err
	}
	if len(unrecognised) > 0 {
		if err := h.Store.KeepUnrecognised(ctx, unrecognised); err != nil {
			return answer{}, fmt.Errorf("feed: keeping %d requests of source %s: %w", len(unrecognised), s.ID, err)
		}
	}
	return said, nil
}

// accept stores the events of a request, and gives what of it was not understood.
func (h *Handler) accept(ctx context.Context, r *Request, s *telltale.Source, p *Provider, now time.Time) (said answer, unrecognised []telltale.UnrecognisedRequest, err error) {
	keep := func(contentType string, body []byte, reason error) {
		unrecognised = append(unrecognised, telltale.UnrecognisedRequest{
			ID: telltale.NewRequestID(), SourceID: s.ID, ProjectID: s.ProjectID, ReceivedAt: now.Truncate(time.Millisecond),
			Reason: sentence(reason.Error()), ContentType: cut(contentType, telltale.MaxIDChars), Body: body,
		})
	}
	b, err := p.Parse(r, s)
	if err != nil {
		keep(r.ContentType(), r.Body, err)
		return answer{Unrecognised: 1}, unrecognised, nil
	}
	if b.Confirm != "" {
		if _, err := h.Fetch(ctx, b.Confirm); err != nil {
			return answer{}, nil, &telltale.Error{Code: telltale.Unavailable, Message: "The subscription could not be confirmed: its address was not reached. The provider will ask again.", Cause: err}
		}
		h.Log.Info("a feed's subscription was confirmed", "source", s.ID, "provider", p.Name)
	}
	project, err := h.Store.Project(ctx, s.ProjectID)
	if err != nil {
		return answer{}, nil, fmt.Errorf("feed: the project of source %s: %w", s.ID, err)
	}

	activities, parts := b.activities(s, p)
	f := ingest.Feed{Source: p.Name, Activities: activities}
	if b.Nonce.Name != "" {
		f.Nonces = []telltale.Nonce{b.Nonce}
	}
	accepted, wrong, err := h.Ingest.AcceptFeed(ctx, project, f)
	if telltale.CodeOf(err) == telltale.Conflict {
		return answer{}, nil, refuse("The signature was used for another event before.")
	}
	if err != nil {
		return answer{}, nil, err
	}
	reasons := make([]error, len(b.Parts))
	for i, part := range b.Parts {
		reasons[i] = part.Err
		if part.Err == nil && len(part.Events) == 0 {
			said.Ignored++
		}
	}
	for i, e := range accepted.Events {
		switch {
		case wrong != nil && wrong[i] != nil:
			reasons[parts[i]] = wrong[i]
		case e.Duplicate:
			said.Duplicates++
		default:
			said.Accepted++
		}
	}
	for i, reason := range reasons {
		if reason != nil {
			contentType, body := b.alone(i, r)
			keep(contentType, body, reason)
			said.Unrecognised++
		}
	}
	return said, unrecognised, nil
}

// activities are what the batch's events say, with the place of the part that each
// stands in.
func (b *Batch) activities(s *telltale.Source, p *Provider) (activities []telltale.Activity, parts []int) {
	activities, parts = make([]telltale.Activity, 0, len(b.Parts)), make([]int, 0, len(b.Parts))
	withSent := p.NoSent && s.Has(EmitSent)
	for n, part := range b.Parts {
		for i := range part.Events {
			e := &part.Events[i]
			if withSent {
				if sent, ok := e.sent(p, part.Raw); ok {
					activities, parts = append(activities, sent), append(parts, n)
				}
			}
			activities, parts = append(activities, e.activity(p, part.Raw, i)), append(parts, n)
		}
	}
	return activities, parts
}

// alone gives a part as a request of its own.
func (b *Batch) alone(part int, r *Request) (contentType string, body []byte) {
	contentType = b.ContentType
	if contentType == "" {
		contentType = r.ContentType()
	}
	if b.Alone == nil {
		return contentType, []byte(b.Parts[part].Raw)
	}
	return contentType, b.Alone(b.Parts[part].Raw)
}
