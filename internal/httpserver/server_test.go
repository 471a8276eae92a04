package httpserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections exist in memory, so that time on them
// is that of synctest.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.accepted <- theirs
	return ours
}

// serve runs a server for the test's duration and gives a way to it.
func serve(t *testing.T, h http.Handler) (*Server, *pipes) {
	s := New(Wrap(h, Config{}), slog.New(slog.DiscardHandler))
	l := newPipes()
	ended := make(chan error)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		s.Shutdown(ctx)
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, l
}

// echo answers with the number of bytes of the body.
var echo = Handle(func(w http.ResponseWriter, r *http.Request) error {
	body, err := ReadBody(r, 5<<20)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%d bytes", len(body))
	return nil
})

func TestSlowCallersAreGivenUp(t *testing.T) {
	t.Parallel()
	const head = "POST / HTTP/1.1\r\nHost: localhost\r\n"
	tests := []struct {
		name  string
		sends []string // a second apart, the last one for as long as it is taken
		after time.Duration
		says  string // what the server says before it hangs up; "" is nothing
	}{
		{
			name: "who says nothing is cut off after 10 s", sends: nil,
			after: 10 * time.Second,
		},
		{
			name: "who drips a head is cut off after 10 s", sends: []string{head, "X-A: a\r\n"},
			after: 10 * time.Second,
		},
		{
			name: "who drips a body is told after 60 s", sends: []string{head + "Content-Length: 1000000\r\n\r\n", "x"},
			after: 60 * time.Second, says: "408 Request Timeout",
		},
		{
			name: "who drips chunks is told after 60 s", sends: []string{head + "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"},
			after: 60 * time.Second, says: "408 Request Timeout",
		},
		{
			name: "who is served and stays without a word is cut off 75 s later", sends: []string{head + "Content-Length: 1\r\n\r\nx", ""},
			after: 75 * time.Second, says: "200 OK",
		},
		{
			name: "who sends too large a head is told at once", sends: []string{head + "X-A: " + strings.Repeat("a", 40<<10) + "\r\n\r\n", ""},
			after: 500 * time.Millisecond, says: "431 Request Header Fields Too Large",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, l := serve(t, echo)
				started := time.Now()
				conn := l.dial()
				defer conn.Close()
				dripped := make(chan struct{})
				go func() {
					defer close(dripped)
					for i := 0; len(test.sends) > 0; i++ {
						if _, err := io.WriteString(conn, test.sends[min(i, len(test.sends)-1)]); err != nil {
							return
						}
						if test.sends[min(i, len(test.sends)-1)] == "" {
							return
						}
						<-time.After(time.Second)
					}
				}()
				answer, err := io.ReadAll(conn)
				conn.Close()
				<-dripped
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(started); took < test.after || took > test.after+2*time.Second {
					t.Errorf("it took %v, want %v", took, test.after)
				}
				if !strings.Contains(string(answer), test.says) || test.says == "" && len(answer) > 0 {
					t.Errorf("the answer is %q, want %q", answer, test.says)
				}
			})
		})
	}
}

// A line of 1 Mbit/s carries the largest body.
func TestALargeBodyOnASlowLineArrives(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, l := serve(t, echo)
		conn := l.dial()
		defer conn.Close()
		const size, perSecond = 5 << 20, 1_000_000 / 8
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", size)
			chunk := strings.Repeat("x", perSecond)
			for n := 0; n < size; n += len(chunk) {
				io.WriteString(conn, chunk[:min(len(chunk), size-n)])
				<-time.After(time.Second)
			}
		}()
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || string(body) != "5242880 bytes" {
			t.Errorf("%s: %s, %v", response.Status, body, err)
		}
		<-sent
	})
}

// What was begun for a caller who is gone is ended, and blamed on nobody.
func TestACallerThatGoesAwayCancelsItsRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log records
		l := newPipes()
		s := New(Wrap(Handle(func(w http.ResponseWriter, r *http.Request) error {
			<-r.Context().Done()
			return fmt.Errorf("waiting: %w", r.Context().Err())
		}), Config{Log: log.logger(slog.LevelDebug)}), slog.New(slog.DiscardHandler))
		go s.Serve(l)
		conn := l.dial()
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		synctest.Wait()
		conn.Close()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		all := log.all(t)
		if len(all) != 1 || all[0]["status"] != 499.0 || all[0]["level"] != "DEBUG" || all[0]["code"] != "client_closed_request" {
			t.Errorf("logged: %v", all)
		}
	})
}

func TestShutdownWaitsForRequestsInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, l := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-time.After(20 * time.Second)
			io.WriteString(w, "done")
		}))
		conn := l.dial()
		defer conn.Close()
		answered := make(chan string)
		go func() {
			io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
			text, _ := io.ReadAll(conn)
			answered <- string(text)
		}()
		synctest.Wait()
		stopped := make(chan error)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			stopped <- s.Shutdown(ctx)
		}()
		if text := <-answered; !strings.Contains(text, "done") {
			t.Errorf("the request in flight got %q", text)
		}
		if err := <-stopped; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

func TestWhatWaitsWithoutNeedEndsWhenTheServerStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, l := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-Stopping(r.Context()):
				io.WriteString(w, "stopping")
			case <-time.After(time.Hour):
			}
		}))
		conn := l.dial()
		defer conn.Close()
		answered := make(chan string)
		go func() {
			io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
			text, _ := io.ReadAll(conn)
			answered <- string(text)
		}()
		synctest.Wait()
		started := time.Now()
		stopped := make(chan error)
		go func() { stopped <- s.Shutdown(context.Background()) }()
		if text := <-answered; !strings.Contains(text, "stopping") || time.Since(started) > time.Second {
			t.Errorf("after %v the request in flight got %q", time.Since(started), text)
		}
		if err := <-stopped; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if Stopping(context.Background()) != nil {
			t.Error("outside of a server something stops")
		}
	})
}

func TestShutdownCutsOffWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cancelled := make(chan struct{})
		s, l := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			close(cancelled)
		}))
		conn := l.dial()
		defer conn.Close()
		go func() {
			io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
			io.ReadAll(conn)
		}()
		synctest.Wait()
		started := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		if took := time.Since(started); took != 5*time.Second {
			t.Errorf("it took %v", took)
		}
		<-cancelled
	})
}

func TestServeSaysWhyItCannot(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	err = New(echo, slog.New(slog.DiscardHandler)).Serve(l)
	if err == nil || !strings.Contains(err.Error(), "httpserver: serving 127.0.0.1:") {
		t.Errorf("Serve: %v", err)
	}
}

func TestServeAfterShutdownEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := New(echo, slog.New(slog.DiscardHandler))
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(newPipes()); err != nil {
		t.Errorf("Serve: %v", err)
	}
}
