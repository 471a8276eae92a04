// Package client is the API client that the command line speaks through: one
// method per operation of the API, in the words and forms of internal/wire.
//
// A client makes one attempt per call. What comes of it is a value, an [*Error]
// with what the server said, or an error that wraps [ErrUnreachable] if there
// was no answer to understand; whether to try again is the caller's to say. A
// redirect is not followed, since the key would go wherever it points; an
// answer is read up to a bound.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/wire"
)

// Options of a client.
type Options struct {
	Server    string        // http or https URL without a path
	Token     string        // the key
	Project   string        // slug; empty: the key's own
	Timeout   time.Duration // over one call; 0 means none beyond the context's
	UserAgent string

	// Trace, if set, is told of every call once it is over.
	Trace func(method, url, outcome string, took time.Duration)

	// DryRun, if set, gets every request that would change something in place
	// of the server; the call then gives [ErrDryRun].
	DryRun func(method, path string, body []byte)
}

// Client talks to one server. It may be used by any number of goroutines.
type Client struct {
	options Options
	http    *http.Client
}

// Bounds on answers, in bytes. The largest is a page of 500 events with their
// payloads; no real one comes near.
const (
	maxAnswer  = 160 << 20
	maxProblem = 1 << 20
)

// Waits within a call, which its timeout may cut shorter.
const (
	connectTimeout = 10 * time.Second
	idleTimeout    = 30 * time.Second
)

// New makes a client. It uses a proxy if the environment names one for the
// server (HTTPS_PROXY, NO_PROXY), never for loopback.
func New(o Options) *Client {
	dialer := net.Dialer{Timeout: connectTimeout}
	return &Client{options: o, http: &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            dialer.DialContext,
			TLSHandshakeTimeout:    connectTimeout,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    8,
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// ErrUnreachable is wrapped by errors for which there was no answer, or none
// that could be understood. What a call that changes something did is unknown then.
var ErrUnreachable = errors.New("the server cannot be reached")

// ErrDryRun is what a call gives that was shown and not sent.
var ErrDryRun = errors.New("not sent: this is a dry run")

// Error is the server's answer to a call that it did not take.
type Error struct {
	Status     int    // of HTTP
	Type       string // names the kind of problem
	Title      string
	Detail     string
	RequestID  string
	Faults     []wire.Fault
	RetryAfter time.Duration // when to come back; 0 if the server does not say
}

func (e *Error) Error() string {
	if e.Detail != "" {
		return e.Detail
	}
	return fmt.Sprintf("the server answered %d %s", e.Status, e.Title)
}

// request is one call before it is made.
type request struct {
	method, path string
	query        url.Values
	body         []byte
	file         io.Reader // in place of body: sent as it is read, without a timeout
	size         int64     // of file; -1: unknown
	contentType  string
	ifMatch      string
}

// get reads from path into out.
func (c *Client) get(ctx context.Context, path string, query url.Values, out any) error {
	return c.call(ctx, request{method: http.MethodGet, path: path, query: query}, out)
}

// send sends in, if there is any, as JSON, and reads the answer into out, if that is wanted.
func (c *Client) send(ctx context.Context, method, path string, in, out any) error {
	r := request{method: method, path: path, contentType: "application/json"}
	if in != nil {
		body, err := encode(in)
		if err != nil {
			return fmt.Errorf("client: encoding the body of %s %s: %w", method, path, err)
		}
		r.body = body
	}
	err := c.call(ctx, r, out)
	var answer *Error
	if errors.As(err, &answer) && answer.Status == http.StatusPreconditionRequired {
		// The command says what to change and not of which version: of whichever it is.
		r.ifMatch = "*"
		err = c.call(ctx, r, out)
	}
	return err
}

// encode writes JSON with <, > and & as they are: people read it in dry runs.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimRight(b.Bytes(), "\n"), err
}

func (c *Client) call(ctx context.Context, r request, out any) error {
	query := r.query
	if c.options.Project != "" {
		if query == nil {
			query = url.Values{}
		}
		query.Set("project", c.options.Project)
	}
	path := r.path
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	if c.options.DryRun != nil && r.method != http.MethodGet {
		c.options.DryRun(r.method, path, r.body)
		return ErrDryRun
	}
	if c.options.Timeout > 0 && r.file == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.options.Timeout)
		defer cancel()
	}
	began := time.Now()
	outcome, err := c.exchange(ctx, r, path, out)
	if c.options.Trace != nil {
		if err != nil && outcome == "" {
			outcome = err.Error()
		}
		c.options.Trace(r.method, c.options.Server+path, outcome, time.Since(began))
	}
	return err
}

// Head asks for the project, and gives the headers of the answer: that the server
// is there, that the key works and what time it is.
func (c *Client) Head(ctx context.Context) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, max(c.options.Timeout, time.Second))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.options.Server+"/v1/projects", nil)
	if err != nil {
		return nil, fmt.Errorf("client: asking for the server: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.options.Token)
	req.Header.Set("User-Agent", c.options.UserAgent)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, problem(resp)
	}
	return resp.Header, nil
}

// exchange makes the request and understands the answer. outcome is its status line.
func (c *Client) exchange(ctx context.Context, r request, path string, out any) (outcome string, err error) {
	var body io.Reader = bytes.NewReader(r.body)
	if r.file != nil {
		body = r.file
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.options.Server+path, body)
	if err != nil {
		return "", fmt.Errorf("client: %s %s: %w", r.method, path, err)
	}
	if r.file != nil {
		req.ContentLength = r.size
	}
	req.Header.Set("Authorization", "Bearer "+c.options.Token)
	req.Header.Set("Accept", "application/json, application/problem+json")
	req.Header.Set("User-Agent", c.options.UserAgent)
	if len(r.body) > 0 || r.file != nil {
		req.Header.Set("Content-Type", r.contentType)
	}
	if r.ifMatch != "" {
		req.Header.Set("If-Match", r.ifMatch)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return "", c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode <= 399:
		return resp.Status, fmt.Errorf("%w: %s answered %s, to %s; if that is the server, name it with --server",
			ErrUnreachable, c.options.Server, resp.Status, telltale.CutValue(resp.Header.Get("Location")))
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return resp.Status, problem(resp)
	case out == nil:
		return resp.Status, nil
	}
	answer, err := readBounded(resp.Body, maxAnswer)
	if err != nil {
		return resp.Status, c.unreachable(ctx, err)
	}
	if raw, ok := out.(*[]byte); ok {
		*raw = answer
		return resp.Status, nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return resp.Status, fmt.Errorf("%w: what answers at %s does not speak Telltale's API: %w", ErrUnreachable, c.options.Server, err)
	}
	return resp.Status, nil
}

// unreachable says in one sentence what kept a call from its answer.
func (c *Client) unreachable(ctx context.Context, err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) { // its method and URL are known here
		err = wrapped.Err
	}
	switch cause := ctx.Err(); {
	case errors.Is(cause, context.DeadlineExceeded) && c.options.Timeout > 0:
		return fmt.Errorf("%w: %s did not answer within %s", ErrUnreachable, c.options.Server, c.options.Timeout)
	case errors.Is(cause, context.DeadlineExceeded):
		return fmt.Errorf("%w: %s did not answer in time", ErrUnreachable, c.options.Server)
	case cause != nil:
		return cause
	}
	return fmt.Errorf("%w: %s: %w", ErrUnreachable, c.options.Server, err)
}

func readBounded(r io.Reader, max int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, max+1))
	if err == nil && int64(len(b)) > max {
		err = fmt.Errorf("the answer has more than %d bytes", max)
	}
	return b, err
}

// problem reads an error response: problem details (RFC 9457), or whatever a
// proxy in between wrote, of which only the status is taken.
func problem(resp *http.Response) error {
	e := &Error{Status: resp.StatusCode, Title: http.StatusText(resp.StatusCode), RetryAfter: retryAfter(resp.Header.Get("Retry-After"))}
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if !strings.HasSuffix(mediaType, "json") {
		return e
	}
	body, err := readBounded(resp.Body, maxProblem)
	if err != nil {
		return e
	}
	var p wire.Problem
	if json.Unmarshal(body, &p) != nil {
		return e
	}
	e.Type, e.Detail, e.RequestID, e.Faults = p.Type, p.Detail, p.RequestID, p.Errors
	if p.Title != "" {
		e.Title = p.Title
	}
	return e
}

// retryAfter reads seconds, the only form that our server writes, up to a day.
func retryAfter(text string) time.Duration {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0
	}
	return min(time.Duration(n)*time.Second, telltale.MaxRetryAfter)
}
