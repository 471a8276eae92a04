package httpserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"telltale.example/telltale"
)

// ContentTypeProblem is the media type of every error response (RFC 9457, section 3).
const ContentTypeProblem = "application/problem+json"

// Problem is the body of every error response: problem details as RFC 9457,
// section 3, defines them, with two members of our own, request_id and errors.
type Problem struct {
	// Type is /docs/errors#code. RFC 9457 resolves it against the request's
	// URL, so it needs no configuration and leads to this server's own page.
	Type      string  `json:"type"`
	Title     string  `json:"title"`              // the same for every problem of a type
	Status    int     `json:"status"`             // the HTTP status again
	Detail    string  `json:"detail,omitempty"`   // one sentence about this occurrence
	Instance  string  `json:"instance,omitempty"` // the path that was asked for
	RequestID string  `json:"request_id,omitempty"`
	Errors    []Fault `json:"errors,omitempty"` // every fault found, in order of the input
}

// Fault is one thing that is wrong with an input: a [telltale.Fault] as callers see it.
type Fault struct {
	Location string `json:"location"`
	Message  string `json:"message"`
	Expected string `json:"expected,omitempty"`
	Value    string `json:"value,omitempty"`
}

// Codes that only HTTP knows.
const (
	requestTimeout telltale.Code = "request_timeout"       // the body was too slow to arrive
	clientClosed   telltale.Code = "client_closed_request" // the caller went away; nobody reads the answer
)

// statusClientClosed is what nginx calls a request whose caller went away. It
// is for the log and the metrics.
const statusClientClosed = 499

// answers is the one table from codes to responses.
var answers = map[telltale.Code]struct {
	status int
	title  string
}{
	telltale.Malformed:            {http.StatusBadRequest, "The request cannot be parsed"},
	telltale.Unauthenticated:      {http.StatusUnauthorized, "A valid key is needed"},
	telltale.Forbidden:            {http.StatusForbidden, "The key may not do this"},
	telltale.NotFound:             {http.StatusNotFound, "Not found"},
	telltale.MethodNotAllowed:     {http.StatusMethodNotAllowed, "Method not allowed"},
	requestTimeout:                {http.StatusRequestTimeout, "The request took too long to arrive"},
	telltale.Conflict:             {http.StatusConflict, "The present state does not allow this"},
	telltale.PreconditionFailed:   {http.StatusPreconditionFailed, "It was changed meanwhile"},
	telltale.PreconditionRequired: {http.StatusPreconditionRequired, "If-Match is needed"},
	telltale.TooLarge:             {http.StatusRequestEntityTooLarge, "The request is too large"},
	telltale.UnsupportedMedia:     {http.StatusUnsupportedMediaType, "Unsupported media type"},
	telltale.Invalid:              {http.StatusUnprocessableEntity, "The request is invalid"},
	telltale.RateLimited:          {http.StatusTooManyRequests, "Too many requests"},
	clientClosed:                  {statusClientClosed, "The caller went away"},
	telltale.Internal:             {http.StatusInternalServerError, "Internal error"},
	telltale.Unavailable:          {http.StatusServiceUnavailable, "Temporarily unavailable"},
}

const (
	// defaultRetryAfter is what 429 and 503 say when the error does not.
	defaultRetryAfter = time.Second
	// maxInstance bounds the path that is given back, in bytes.
	maxInstance = 2048
)

// Form writes a problem the way that callers of a path know errors by: it gives
// the body, and may change the problem's status and set headers.
type Form func(p *Problem, h http.Header) []byte

// problemDetails is the form of every path that has none of its own.
func problemDetails(p *Problem, h http.Header) []byte {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // it is not HTML, and nosniff says so
	if err := enc.Encode(p); err != nil {
		// Strings and integers always encode.
		panic("httpserver: encoding a problem: " + err.Error())
	}
	h.Set("Content-Type", ContentTypeProblem)
	return body.Bytes()
}

// WriteProblem answers with err, in the form that [Config].Forms has for the
// path. It is the one place where an error becomes a response, and [Wrap] logs
// what was answered here.
//
// If the answer has begun already, there is no way to take it back: the
// connection is cut, so that the caller does not take a part for the whole.
func WriteProblem(w http.ResponseWriter, r *http.Request, err error) {
	e := classify(r, err)
	form := problemDetails
	if x := exchangeOf(r.Context()); x != nil {
		x.code, x.err = e.Code, err
		if x.form != nil {
			form = x.form
		}
		if x.status != 0 {
			panic(http.ErrAbortHandler)
		}
	}
	problem := describe(r, e)
	h := w.Header()
	for _, name := range []string{"Content-Encoding", "Etag", "Last-Modified"} {
		h.Del(name) // they were meant for the answer that did not come
	}
	body := form(&problem, h)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	switch e.Code {
	case telltale.Unauthenticated:
		if h.Get("WWW-Authenticate") == "" { // the handler may know better
			h.Set("WWW-Authenticate", `Bearer realm="telltale"`) // RFC 6750, section 3, wants a parameter
		}
	case telltale.RateLimited, telltale.Unavailable:
		h.Set("Retry-After", retryAfter(e.RetryAfter))
	}
	w.WriteHeader(problem.Status)
	_, _ = w.Write(body) // the caller may be gone; net/http knows
}

// describe decides what the caller of r is told.
func describe(r *http.Request, e *telltale.Error) Problem {
	answer, ok := answers[e.Code]
	if !ok {
		answer = answers[telltale.Internal]
	}
	p := Problem{
		Type:      "/docs/errors#" + string(e.Code),
		Title:     answer.title,
		Status:    answer.status,
		Detail:    e.Message,
		RequestID: string(RequestID(r.Context())),
	}
	if path := r.URL.EscapedPath(); len(path) <= maxInstance {
		p.Instance = path
	}
	if answer.status == http.StatusInternalServerError {
		p.Type = "/docs/errors#" + string(telltale.Internal)
		p.Detail = "Something went wrong on our side. The server's log has it under this request id."
		return p
	}
	for _, f := range e.Faults {
		p.Errors = append(p.Errors, Fault{Location: f.Location, Message: f.Message, Expected: f.Expected, Value: telltale.CutValue(f.Value)})
	}
	return p
}

// classify finds the [telltale.Error] in err, or makes one of what net/http
// and the context gave.
func classify(r *http.Request, err error) *telltale.Error {
	// First of all: a store that was interrupted because the caller went away
	// may well say that it is unavailable, which is true and of no interest.
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return &telltale.Error{Code: clientClosed, Cause: err}
	}
	var e *telltale.Error
	if errors.As(err, &e) {
		return e
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return tooLargeError(tooLarge.Limit)
	case errors.Is(err, context.DeadlineExceeded):
		return &telltale.Error{Code: telltale.Unavailable, Message: "It could not be done in time. Try again later.", Cause: err}
	}
	return &telltale.Error{Code: telltale.Internal, Cause: err}
}

func tooLargeError(limit int64) *telltale.Error {
	return telltale.Errorf(telltale.TooLarge, "The body is larger than %s. Send it in parts.", byteSize(limit))
}

// byteSize writes a limit as people say it: in MiB or KiB if it is a whole number of them.
func byteSize(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB (%d bytes)", n>>20, n)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB (%d bytes)", n>>10, n)
	}
	return fmt.Sprintf("%d bytes", n)
}

// retryAfter writes a wait in whole seconds, rounded up: at least 1 (RFC 9110, section 10.2.3).
func retryAfter(wait time.Duration) string {
	if wait <= 0 {
		wait = defaultRetryAfter
	}
	return strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10)
}
