package httpserver

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"telltale.example/telltale"
)

// Config is what [Wrap] may be told. The zero value works.
type Config struct {
	Log        *slog.Logger          // nil: nothing is logged
	Registerer prometheus.Registerer // of the metrics; nil: they are not registered
	BodyMemory int64                 // bytes of all request bodies in memory together; 0: [DefaultBodyMemory]
	// Forms are those of errors at paths that begin so, such as "/api/v2/"; at
	// all others they are problem details.
	Forms map[string]Form
	// TrustedProxies are believed when they say where a request comes from.
	TrustedProxies []netip.Prefix
}

// form gives the form of errors at a path, nil for problem details.
func (c *Config) form(path string) Form {
	for prefix, form := range c.Forms {
		if strings.HasPrefix(path, prefix) {
			return form
		}
	}
	return nil
}

// DefaultBodyMemory holds a dozen of the largest bodies, or some ten thousand
// usual ones.
const DefaultBodyMemory = 64 << 20

// Wrap surrounds h, the outermost handler of a listener.
//
// Each request gets an id, which the answer carries as Request-Id; an
// X-Request-Id of the caller's own goes into the log only. Behind proxies that are
// trusted its address becomes the one that they tell of: see [client]. A panic is answered
// with 500 and logged with its stack. When the request ends, one record is
// logged: at error if the fault is ours, at warn if the answer was 503, else at
// debug. It names the route and not the path, since paths may hold secrets.
// What a [http.ServeMux] answers when no route matches becomes a problem too.
func Wrap(h http.Handler, c Config) http.Handler {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.BodyMemory <= 0 {
		c.BodyMemory = DefaultBodyMemory
	}
	memory := &bodyMemory{limit: c.BodyMemory}
	metrics := newMetrics(c.Registerer, memory)

	answer := func(x *exchange, body *countedBody) {
		defer func() {
			cut := x.survive(recover())
			body.release()
			metrics.observe(x)
			x.log(c.Log)
			if cut {
				panic(http.ErrAbortHandler)
			}
		}()
		if body != nil && memory.full() {
			WriteProblem(x, x.request, errOverload)
			return
		}
		h.ServeHTTP(x, x.request)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{ResponseWriter: w, id: telltale.NewRequestID(), started: time.Now(), form: c.form(r.URL.Path)}
		x.request = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
		x.request.RemoteAddr = client(r, c.TrustedProxies)
		header := w.Header()
		header["Request-Id"] = []string{string(x.id)}
		header["X-Content-Type-Options"] = nosniff
		body := memory.count(x.request)
		answer(x, body)
		body.drain(x, r)
	})
}

var nosniff = []string{"nosniff"}

// RequestID gives the id of the request that ctx belongs to; empty outside of [Wrap].
func RequestID(ctx context.Context) telltale.RequestID {
	if x := exchangeOf(ctx); x != nil {
		return x.id
	}
	return ""
}

// exchange is one request and its answer: the writer that handlers see, and
// what the log and the metrics want to know at the end.
type exchange struct {
	http.ResponseWriter
	request *http.Request // with the route's pattern once the mux has found it
	id      telltale.RequestID
	started time.Time
	form    Form // of errors; nil: problem details
	status  int  // 0 until the answer begins
	muted   bool // the rest of what the handler writes was replaced by a problem
	feigned bool // the status is no news of how we are

	code  telltale.Code // of the problem that was answered
	err   error
	stack []byte
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// Feign says that the answer to the request of ctx is what somebody asked to
// see, whatever its status: it is logged as no fault of ours.
func Feign(ctx context.Context) {
	if x := exchangeOf(ctx); x != nil {
		x.feigned = true
	}
}

// Unwrap is for [http.ResponseController].
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

func (x *exchange) WriteHeader(status int) {
	switch {
	case x.status != 0:
		return
	case status < 200: // 1xx come before the answer
		x.ResponseWriter.WriteHeader(status)
		return
	}
	if err := x.unrouted(status); err != nil {
		WriteProblem(x, x.request, err)
		x.muted = true
		return
	}
	x.status = status
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(p []byte) (int, error) {
	if x.muted {
		return len(p), nil
	}
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	return x.ResponseWriter.Write(p)
}

// Flush sends what was written so far.
func (x *exchange) Flush() {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	_ = http.NewResponseController(x.ResponseWriter).Flush() // not every writer can, and then there is nothing to do
}

// unrouted gives the problem that takes the place of what a [http.ServeMux]
// answers, in plain text, when no route matches; nil for any other answer.
func (x *exchange) unrouted(status int) error {
	if x.request.Pattern != "" || x.code != "" { // x.code: it is a problem already
		return nil
	}
	switch status {
	case http.StatusNotFound:
		return telltale.Errorf(telltale.NotFound, "There is nothing at this path.")
	case http.StatusMethodNotAllowed:
		return telltale.Errorf(telltale.MethodNotAllowed, "This path does not take %s. It takes %s.", telltale.CutValue(x.request.Method), x.Header().Get("Allow"))
	}
	return nil
}

// survive turns a panic of the handler into a problem. It reports whether the
// connection has to be cut, since the answer had begun or the handler said so.
func (x *exchange) survive(p any) (cut bool) {
	switch {
	case p == nil:
		return false
	case p == http.ErrAbortHandler: //nolint:errorlint // net/http knows this very value and none that wraps it
		return true
	}
	x.stack = debug.Stack()
	x.code, x.err = telltale.Internal, fmt.Errorf("panic: %v", p)
	if x.status != 0 {
		return true
	}
	WriteProblem(x, x.request, x.err)
	return false
}

// route is the path of the pattern that matched, which is the same for all
// requests of a route; empty if none did.
func (x *exchange) route() string {
	_, route, ok := strings.Cut(x.request.Pattern, " ")
	if !ok {
		return x.request.Pattern
	}
	return route
}

// maxLoggedPath bounds the path of a request that no route matched, in bytes.
const maxLoggedPath = 256

func (x *exchange) log(log *slog.Logger) {
	level := slog.LevelDebug
	switch {
	case x.code == telltale.Internal, x.status >= 500 && x.status != http.StatusServiceUnavailable && !x.feigned:
		level = slog.LevelError
	case x.status == http.StatusServiceUnavailable && !x.feigned:
		level = slog.LevelWarn
	}
	r := x.request
	ctx := r.Context()
	if !log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("request_id", string(x.id)),
		slog.String("method", r.Method),
		slog.String("route", x.route()),
		slog.Int("status", x.status),
		slog.Duration("duration", time.Since(x.started)),
		slog.String("remote", r.RemoteAddr),
	}
	if r.Pattern == "" {
		path := r.URL.EscapedPath()
		attrs = append(attrs, slog.String("path", path[:min(len(path), maxLoggedPath)]))
	}
	if id := r.Header.Get("X-Request-Id"); wellFormedID(id) {
		attrs = append(attrs, slog.String("caller_request_id", id))
	}
	if x.err != nil {
		attrs = append(attrs, slog.String("code", string(x.code)), slog.Any("error", x.err))
	}
	if x.stack != nil {
		attrs = append(attrs, slog.String("stack", string(x.stack)))
	}
	log.LogAttrs(ctx, level, "request", attrs...)
}

// wellFormedID reports whether a caller's own request id may go into the log:
// 1 to 128 characters of those that ids are usually made of.
func wellFormedID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-_.:+/=", c) >= 0:
		default:
			return false
		}
	}
	return true
}
