package httpserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"telltale.example/telltale/internal/failpoint"
)

// Bounds on what one connection may take. They are the same for everyone:
// whoever needs others has a proxy in front that sets them.
const (
	// readHeaderTimeout is for the head of a request, which fits in a packet or
	// two: who needs longer is holding the connection for its own sake.
	readHeaderTimeout = 10 * time.Second
	// readTimeout is for head and body: 5 MiB, the largest body, at 700 kbit/s.
	readTimeout = 60 * time.Second
	// writeTimeout is from the head to the end of the answer: the slowest body,
	// the slowest handler (a test with a timeout of 30 s) and a slow line back.
	// Streams lift it for themselves.
	writeTimeout = 2 * time.Minute
	// idleTimeout is longer than that of usual proxies (60 s), so that it is
	// the proxy that closes and no request meets a closed connection.
	idleTimeout = 75 * time.Second
	// maxHeaderBytes bounds the head; net/http adds some 4 KiB.
	maxHeaderBytes = 32 << 10
)

// Server is net/http's server with bounds on time and head. It serves any
// number of listeners and is shut down once.
type Server struct {
	http http.Server
	stop func() // says so to the requests in flight
}

// New makes a server that answers with h, which is what [Wrap] made. log takes
// what net/http has to say, such as connections that could not be accepted.
func New(h http.Handler, log *slog.Logger) *Server {
	stopping := make(chan struct{})
	base := context.WithValue(context.Background(), stoppingKey{}, stopping)
	return &Server{stop: sync.OnceFunc(func() { close(stopping) }), http: http.Server{
		BaseContext:       func(net.Listener) context.Context { return base },
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnState:         noteAnswered,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}}
}

// Serve answers the connections that l accepts, until [Server.Shutdown], after
// which it returns nil. It closes l.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("httpserver: serving %s: %w", l.Addr(), err)
	}
	return nil
}

// noteAnswered hears when an answer is written: its connection is idle then.
func noteAnswered(_ net.Conn, state http.ConnState) {
	if state == http.StateIdle {
		failpoint.Here("accept-answered")
	}
}

type stoppingKey struct{}

// Stopping is closed when the server that serves the request of ctx begins to
// shut down. Streams, and whatever else waits without need, end then, since
// [Server.Shutdown] waits for them. Outside of a Server it never is.
func Stopping(ctx context.Context) <-chan struct{} {
	stopping, _ := ctx.Value(stoppingKey{}).(chan struct{})
	return stopping
}

// Shutdown takes no more connections and waits for the requests in flight.
// When ctx ends first, it cuts them off and says so.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop()
	err := s.http.Shutdown(ctx)
	if err == nil {
		return nil
	}
	return fmt.Errorf("httpserver: requests in flight were cut off: %w", errors.Join(err, s.http.Close()))
}
