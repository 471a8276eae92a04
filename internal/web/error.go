package web

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/httpserver"
)

// errorPage says what went wrong, and what to do about it.
type errorPage struct {
	frame
	Message   string
	RequestID telltale.RequestID
	Again     string // address to try again; empty if that would not help
}

// faces is what each kind of error is called on a page.
var faces = map[telltale.Code]struct {
	status int
	title  string
}{
	telltale.Malformed:          {http.StatusBadRequest, "This request cannot be read"},
	telltale.Unauthenticated:    {http.StatusUnauthorized, "You are signed out"},
	telltale.Forbidden:          {http.StatusForbidden, "You may not do this"},
	telltale.NotFound:           {http.StatusNotFound, "Page not found"},
	telltale.MethodNotAllowed:   {http.StatusMethodNotAllowed, "This address does not take that"},
	telltale.Conflict:           {http.StatusConflict, "That is not possible now"},
	telltale.PreconditionFailed: {http.StatusPreconditionFailed, "Someone changed this meanwhile"},
	telltale.UnsupportedMedia:   {http.StatusUnsupportedMediaType, "This form is of a kind that is not taken"},
	telltale.TooLarge:           {http.StatusRequestEntityTooLarge, "This form is too large"},
	telltale.Invalid:            {http.StatusUnprocessableEntity, "Something in the form is wrong"},
	telltale.RateLimited:        {http.StatusTooManyRequests, "Too many tries"},
	telltale.Internal:           {http.StatusInternalServerError, "Something went wrong on our side"},
	telltale.Unavailable:        {http.StatusServiceUnavailable, "The server cannot do this right now"},
}

// fail answers with an error. It is the one place where an error becomes a page.
func (c *call) fail(err error) {
	face := faces[telltale.CodeOf(err)]
	p := &errorPage{Message: "The server's log has it under this request id.", RequestID: httpserver.RequestID(c.r.Context())}
	var known *telltale.Error
	var wrongHost *misdirected
	switch {
	case errors.As(err, &wrongHost):
		face.status, face.title, p.Message = http.StatusMisdirectedRequest, "This is not my name", err.Error()
	case face.status == 0, face.status == http.StatusInternalServerError:
		face = faces[telltale.Internal]
		c.Log.ErrorContext(c.r.Context(), "a page failed", "request_id", p.RequestID, "path", c.r.URL.Path, "error", err)
	case errors.As(err, &known):
		p.Message = known.Message
		for _, f := range known.Faults {
			p.Message += " " + f.Message
		}
		if known.Code == telltale.RateLimited || known.Code == telltale.Unavailable {
			c.w.Header().Set("Retry-After", strconv.Itoa(max(1, int(known.RetryAfter/time.Second))))
		}
	}
	if face.status >= 500 && c.r.Method == http.MethodGet {
		p.Again = c.r.URL.RequestURI()
	}
	p.Title = face.title
	if c.partial() {
		// The part that was asked for is not what changes: people read it where results are.
		c.w.Header().Set("HX-Retarget", c.resultPlace())
		c.w.Header().Set("HX-Reswap", "innerHTML")
		n := notice{Kind: "bad", Text: face.title + ".", Detail: p.Message}
		if p.Again != "" {
			n.Detail = "Request " + string(p.RequestID) + "."
		}
		if err := c.render(face.status, "result", "main", &resultPage{frame{Notice: &n}}); err != nil {
			c.lastWords(err)
		}
		return
	}
	if fillErr := c.fill(&p.frame); fillErr != nil {
		c.who.ID = "" // the layout without what cannot be looked up
		p.call = c
	}
	if err := c.render(face.status, "error", "layout", p); err != nil {
		c.lastWords(err)
	}
}

// resultPlace is where people read what came of what they did: in the dialog, if
// one is open over the page.
func (c *call) resultPlace() string {
	if strings.HasSuffix(c.r.Header.Get("HX-Target"), "#dialog-body") {
		return "#dialog-notice"
	}
	return "#result"
}

// lastWords is for errors while an error is being told.
func (c *call) lastWords(err error) {
	c.Log.ErrorContext(c.r.Context(), "an error page failed", "error", err)
	http.Error(c.w, "Something went wrong on our side.", http.StatusInternalServerError)
}
