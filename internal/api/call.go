package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/httpserver"
)

// call is one request on its way through a route. It stands between huma and
// the caller: huma reads the checked body from it and answers into it, and
// nothing is sent before it is known that there is an answer.
type call struct {
	humaContext
	identity auth.Identity
	request  *http.Request
	body     []byte

	err    error // what the handler returned
	out    any   // what it answers
	header http.Header
	status int
	answer bytes.Buffer
	listed bool // it is a page of a list, whose ETag is of its bytes
}

// humaContext has another name than its method Context.
type humaContext = huma.Context

type callKey struct{}

// callOf gives the call that a handler works for.
func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// answer surrounds a route's handler: it lets the caller in, holds the request
// against what the route documents, and sends the answer or the problem.
func (a *api) answer(scope telltale.Scope) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(hc)
		httpserver.Handle(func(w http.ResponseWriter, r *http.Request) error {
			identity, r, err := a.letIn(r, scope)
			if err != nil {
				return err
			}
			c := &call{humaContext: hc, identity: identity, request: r, header: w.Header()}
			if err := c.check(a.registry); err != nil {
				return err
			}
			return a.once(c, w, next)
		}).ServeHTTP(w, r)
	}
}

// letIn finds out who makes the request, and says so to whoever works for it.
func (a *api) letIn(r *http.Request, scope telltale.Scope) (auth.Identity, *http.Request, error) {
	who, err := a.config.Keys.Authenticate(r, scope)
	if err != nil {
		return who, r, err
	}
	actor := who.Actor(r)
	actor.RequestID = httpserver.RequestID(r.Context())
	return who, r.WithContext(telltale.WithActor(r.Context(), actor)), nil
}

// check reads the body and holds it, and the query, against the operation.
func (c *call) check(registry huma.Registry) error {
	op := c.Operation()
	if err := checkQuery(op, c.request); err != nil {
		return err
	}
	if op.RequestBody == nil {
		return nil
	}
	body, err := httpserver.ReadBody(c.request, maxBody)
	if err != nil {
		return err
	}
	if len(body) == 0 && !op.RequestBody.Required {
		return nil
	}
	if err := checkContentType(c.request.Header.Get("Content-Type"), body); err != nil {
		return err
	}
	c.body = body
	return checkBody(registry, op.RequestBody.Content["application/json"].Schema, body)
}

// outcome is what went wrong, if anything did.
func (c *call) outcome() error {
	if c.err == nil && c.status >= http.StatusBadRequest {
		// Its text is left out: it repeats the input, and that may be secret.
		return fmt.Errorf("api: %s: what was checked was refused with status %d", c.Operation().OperationID, c.status)
	}
	return c.err
}

func (c *call) send(w http.ResponseWriter) error {
	if c.listed {
		sum := sha256.Sum256(c.answer.Bytes())
		c.header.Set("ETag", fmt.Sprintf(`"%x"`, sum[:16]))
	}
	c.header.Set("Cache-Control", "no-store")
	if c.request.Method == http.MethodGet && unchanged(c.request.Header, c.header.Get("ETag")) {
		c.header.Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if c.answer.Len() > 0 {
		c.header.Set("Content-Length", strconv.Itoa(c.answer.Len()))
	}
	w.WriteHeader(c.status)
	_, _ = w.Write(c.answer.Bytes()) // the caller may be gone; net/http knows
	return nil
}

// What huma asks of a request and an answer.

func (c *call) Context() context.Context {
	return context.WithValue(c.request.Context(), callKey{}, c)
}

func (c *call) Header(name string) string {
	if name == "Content-Type" {
		return "application/json" // checkContentType has seen what it was called
	}
	return c.request.Header.Get(name)
}

func (c *call) BodyReader() io.Reader           { return bytes.NewReader(c.body) }
func (c *call) SetStatus(status int)            { c.status = status }
func (c *call) Status() int                     { return c.status }
func (c *call) SetHeader(name, value string)    { c.header.Set(name, value) }
func (c *call) AppendHeader(name, value string) { c.header.Add(name, value) }
func (c *call) BodyWriter() io.Writer           { return &c.answer }
