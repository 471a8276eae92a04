package send

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/egress"
)

// listenBadly starts a receiver that treats each connection as behave does. A
// connection ends with behave, or with the test.
func listenBadly(t testing.TB, behave func(net.Conn)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveBadly(t, l, behave)
	return "http://" + l.Addr().String()
}

func serveBadly(t testing.TB, l net.Listener, behave func(net.Conn)) {
	var all sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			all.Go(func() {
				defer c.Close()
				behave(c)
			})
		}
	})
}

// readRequest reads one request to its end.
func readRequest(c net.Conn) {
	if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
		io.Copy(io.Discard, r.Body)
	}
}

// hang waits until the other side goes away.
func hang(c net.Conn) { io.Copy(io.Discard, c) }

// reset closes so that the other side gets RST instead of FIN.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}

// say answers a request with the text and hangs.
func say(text string) func(net.Conn) {
	return func(c net.Conn) {
		readRequest(c)
		io.WriteString(c, text)
		hang(c)
	}
}

// trickle writes a byte every ten milliseconds, for ever.
func trickle(c net.Conn, text string) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i = (i + 1) % len(text) {
		if _, err := c.Write([]byte{text[i]}); err != nil {
			return
		}
		<-tick.C
	}
}

// flood writes the text for ever and counts.
func flood(c net.Conn, text string, sent *atomic.Int64) {
	block := bytes.Repeat([]byte(text), 1+(64<<10)/len(text))
	for {
		n, err := c.Write(block)
		sent.Add(int64(n))
		if err != nil {
			return
		}
	}
}

func TestHostileReceivers(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64 // by those that flood
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	tests := []struct {
		name   string
		behave func(net.Conn)
		status int
		class  telltale.ErrorClass
		code   telltale.FailureCode
	}{
		{"it hangs before it reads", hang, 0, telltale.ErrorTimeout, telltale.FailureResponseTimeout},
		{"it hangs after the request", say(""), 0, telltale.ErrorTimeout, telltale.FailureResponseTimeout},
		{"it hangs within the status line", say("HTTP/1.1 2"), 0, telltale.ErrorTimeout, telltale.FailureResponseTimeout},
		{"it hangs within the headers", say("HTTP/1.1 200 OK\r\nA: b\r\n"), 0, telltale.ErrorTimeout, telltale.FailureResponseTimeout},
		{"it hangs within the body: the status counts", say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"), 200, "", ""},
		{"it hangs within the body of a failure", say("HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\nab"), 500, telltale.ErrorHTTPStatus, telltale.FailureHTTP5xx},
		{"one byte at a time, headers without end", func(c net.Conn) {
			readRequest(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			trickle(c, "A: b\r\n")
		}, 0, telltale.ErrorTimeout, telltale.FailureResponseTimeout},
		{"one byte at a time, a body without end", func(c net.Conn) {
			readRequest(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			trickle(c, "x")
		}, 200, "", ""},
		{"an endless body", func(c net.Conn) {
			readRequest(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			flood(c, "x", &sent)
		}, 200, "", ""},
		{"an endless body of chunks", func(c net.Conn) {
			readRequest(c)
			io.WriteString(c, "HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n")
			flood(c, "1\r\nx\r\n", &sent)
		}, 503, telltale.ErrorHTTPStatus, telltale.FailureHTTP5xx},
		{"headers without end", func(c net.Conn) {
			readRequest(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			flood(c, "X-Flood: "+strings.Repeat("x", 1000)+"\r\n", &sent)
		}, 0, telltale.ErrorTooLarge, telltale.FailureTooLarge},
		{"one header without end", func(c net.Conn) {
			readRequest(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nX: ")
			flood(c, "x", &sent)
		}, 0, telltale.ErrorTooLarge, telltale.FailureTooLarge},
		{"a status line without end", func(c net.Conn) {
			readRequest(c)
			io.WriteString(c, "HTTP/1.1 200 ")
			flood(c, "x", &sent)
		}, 0, telltale.ErrorTooLarge, telltale.FailureTooLarge},
		{"early hints without end", func(c net.Conn) {
			readRequest(c)
			flood(c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", &sent)
		}, 0, telltale.ErrorTooLarge, telltale.FailureTooLarge},

		{"it resets at once", reset, 0, telltale.ErrorReset, telltale.FailureReset},
		{"it resets after the request", func(c net.Conn) { readRequest(c); reset(c) }, 0, telltale.ErrorReset, telltale.FailureReset},
		{"it resets within the headers", func(c net.Conn) {
			readRequest(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nA:")
			reset(c)
		}, 0, telltale.ErrorReset, telltale.FailureReset},
		{"it closes without a word", readRequest, 0, telltale.ErrorReset, telltale.FailureReset},
		{"it closes within the headers", func(c net.Conn) { readRequest(c); io.WriteString(c, "HTTP/1.1 200 OK\r\nA: b\r\n") }, 0, telltale.ErrorReset, telltale.FailureReset},
		{"it closes within the body: the status counts", func(c net.Conn) {
			readRequest(c)
			io.WriteString(c, "HTTP/1.1 201 Created\r\nContent-Length: 1000\r\n\r\nab")
		}, 201, "", ""},

		{"another protocol", say("SSH-2.0-OpenSSH_9.2\r\n"), 0, telltale.ErrorProtocol, telltale.FailureProtocol},
		{"a status of letters", say("HTTP/1.1 abc OK\r\n\r\n"), 0, telltale.ErrorProtocol, telltale.FailureProtocol},
		{"a status below 100", say("HTTP/1.1 042 Odd\r\nContent-Length: 0\r\n\r\n"), 42, telltale.ErrorProtocol, telltale.FailureProtocol},
		{"a status above 599", say("HTTP/1.1 777 Odd\r\nContent-Length: 0\r\n\r\n"), 777, telltale.ErrorProtocol, telltale.FailureProtocol},
		{"a header without a colon", say("HTTP/1.1 200 OK\r\nnonsense\r\n\r\n"), 0, telltale.ErrorProtocol, telltale.FailureProtocol},
		{"two lengths that differ", say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"), 0, telltale.ErrorProtocol, telltale.FailureProtocol},
		{"a negative length", say("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nabc"), 0, telltale.ErrorProtocol, telltale.FailureProtocol},
		{"chunks of nonsense: the status counts", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), 200, "", ""},
		{"it switches protocols", say("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"), 101, telltale.ErrorProtocol, telltale.FailureProtocol},

		{"100 Continue and 103 come before the answer", say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok), 200, "", ""},
		{"trailers", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n"), 200, "", ""},
		{"a redirect", say("HTTP/1.1 301 Moved\r\nLocation: https://new.example.com/secret\r\nContent-Length: 0\r\n\r\n"), 301, telltale.ErrorHTTPStatus, telltale.FailureRedirect},
		{"a redirect to itself", say("HTTP/1.1 307 Again\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"), 307, telltale.ErrorHTTPStatus, telltale.FailureRedirect},
		{"a redirect to nowhere", say("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"), 302, telltale.ErrorHTTPStatus, telltale.FailureRedirect},
		{"gone", say("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"), 410, telltale.ErrorHTTPStatus, telltale.FailureHTTP410},
		{"unauthorised", say("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"), 401, telltale.ErrorHTTPStatus, telltale.FailureHTTP401},
		{"another client error", say("HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n"), 422, telltale.ErrorHTTPStatus, telltale.FailureHTTP4xx},
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	// A group, so that the bounds are read when all are through.
	t.Run("each", func(t *testing.T) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				w := newWebhook(listenBadly(t, tt.behave))
				w.Timeout = 400 * time.Millisecond
				started := time.Now()
				a := newSender(t, nil).Send(t.Context(), newClaim(), w)
				if a.Status != tt.status || a.Error != tt.class || a.Failure != tt.code {
					t.Errorf("status %d, class %q, code %q; want %d, %q, %q", a.Status, a.Error, a.Failure, tt.status, tt.class, tt.code)
				}
				if tt.code == telltale.FailureResponseTimeout && a.Sentence() != "No answer within 400 ms." {
					t.Errorf("sentence %q", a.Sentence())
				}
				if took := time.Since(started); took > 10*time.Second {
					t.Errorf("it took %v; the deadline is %v", took, w.Timeout)
				}
				if len(a.Response.Body) > telltale.MaxResponseBody || headerBytes(a.Response.Headers) > telltale.MaxResponseHeaders {
					t.Errorf("%d bytes of body and %d of headers are kept", len(a.Response.Body), headerBytes(a.Response.Headers))
				}
			})
		}
	})
	// What floods got rid of is what the kernel's buffers and our bounds took.
	if n := sent.Load(); n > 7*(32<<20) {
		t.Errorf("%d MiB were taken from receivers that flood", n>>20)
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 256<<20 {
		t.Errorf("%d MiB were allocated", grown>>20)
	}
}

func headerBytes(headers []telltale.Header) (n int) {
	for _, h := range headers {
		n += len(h.Name) + len(h.Value)
	}
	return n
}

func TestRedirectsAreNamedAndNotFollowed(t *testing.T) {
	t.Parallel()
	var followed atomic.Bool
	elsewhere := listenBadly(t, func(net.Conn) { followed.Store(true) })
	a := newSender(t, nil).Send(t.Context(), newClaim(), newWebhook(listenBadly(t,
		say("HTTP/1.1 308 Moved\r\nLocation: "+elsewhere+"/a/token?b=c\r\nContent-Length: 0\r\n\r\n"))))
	if want := "127.0.0.1 answered 308 Permanent Redirect, a redirect to " + elsewhere + "."; a.Sentence() != want {
		t.Errorf("sentence %q; want %q", a.Sentence(), want)
	}
	if followed.Load() {
		t.Error("the redirect was followed")
	}
}

func TestAGzipBombStaysPacked(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range 32 {
		z.Write(zeros)
	}
	z.Close()
	a := newSender(t, nil).Send(t.Context(), newClaim(), newWebhook(listenBadly(t,
		say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", bomb.Len(), bomb.Bytes())))))
	if !a.Success() || !bytes.Equal(a.Response.Body, bomb.Bytes()[:telltale.MaxResponseBody]) || !a.Response.Truncated {
		t.Errorf("status %d, %d bytes kept, truncated %v; want the packed start", a.Status, len(a.Response.Body), a.Response.Truncated)
	}
}

func TestHowMuchOfABodyIsKept(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		size      int
		kept      int
		truncated bool
		reused    bool
	}{
		{"an empty body", 0, 0, false, true},
		{"just what is kept", telltale.MaxResponseBody, telltale.MaxResponseBody, false, true},
		{"one byte more", telltale.MaxResponseBody + 1, telltale.MaxResponseBody, true, true},
		{"as much as is read for the connection's sake", telltale.MaxResponseBody + maxDrained/2, telltale.MaxResponseBody, true, true},
		{"more: that costs the connection", 1 << 20, telltale.MaxResponseBody, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url, requests := listenWell(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, tt.size)) })
			s := newSender(t, nil)
			for range 2 {
				if a := s.Send(t.Context(), newClaim(), newWebhook(url)); len(a.Response.Body) != tt.kept || a.Response.Truncated != tt.truncated {
					t.Errorf("%d bytes are kept, truncated %v; want %d, %v", len(a.Response.Body), a.Response.Truncated, tt.kept, tt.truncated)
				}
			}
			got := requests()
			if reused := got[0].RemoteAddr == got[1].RemoteAddr; reused != tt.reused {
				t.Errorf("the connection is reused: %v; want %v", reused, tt.reused)
			}
		})
	}
}

// flaky is a connection whose writes can be made to fail after some bytes.
type flaky struct {
	net.Conn
	fail *atomic.Int64 // bytes that still go out; negative: no limit
}

func (f *flaky) Write(b []byte) (int, error) {
	left := f.fail.Load()
	if left < 0 {
		return f.Conn.Write(b)
	}
	n, _ := f.Conn.Write(b[:min(int(left), len(b))])
	f.Conn.Close()
	return n, syscall.EPIPE
}

// What is told apart here is a stale connection, which must not show, and a
// request of which the receiver may have seen something, which must not be sent again.
func TestAStaleConnection(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		bytes    int64
		success  bool
		requests int
	}{
		{"no byte went out: another connection is taken", 0, true, 2},
		{"some went out: the attempt has failed", 10, false, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url, requests := listenWell(t, accept)
			s := newSender(t, nil)
			var first atomic.Int64
			first.Store(-1)
			limit := &first
			dial := s.transport.DialContext
			s.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := dial(ctx, network, address)
				if err != nil {
					return nil, err
				}
				own := c.(*conn)
				own.Conn = &flaky{own.Conn, limit}
				fresh := new(atomic.Int64) // the next connection is sound
				fresh.Store(-1)
				limit = fresh
				return own, nil
			}
			if a := s.Send(t.Context(), newClaim(), newWebhook(url)); !a.Success() {
				t.Fatalf("first attempt %+v", a)
			}
			first.Store(tt.bytes)
			a := s.Send(t.Context(), newClaim(), newWebhook(url))
			if a.Success() != tt.success || !tt.success && a.Failure != telltale.FailureReset || len(requests()) != tt.requests {
				t.Errorf("second attempt: status %d, code %q, %d requests in all; want success %v, %d", a.Status, a.Failure, len(requests()), tt.success, tt.requests)
			}
		})
	}
}

// The receiver reads the second request on an open connection and closes: it may
// have acted upon it.
func TestARequestThatArrivedIsNotRepeated(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int32
	url := listenBadly(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		for n := range 2 {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			io.Copy(io.Discard, r.Body)
			arrived.Add(1)
			if n == 0 {
				io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
			}
		}
	})
	s := newSender(t, nil)
	first, second := s.Send(t.Context(), newClaim(), newWebhook(url)), s.Send(t.Context(), newClaim(), newWebhook(url))
	if !first.Success() || second.Failure != telltale.FailureReset || arrived.Load() != 2 {
		t.Errorf("%d, then %q, %d requests; want 204, reset, 2", first.Status, second.Failure, arrived.Load())
	}
	if second.Timing.Connect != 0 {
		t.Error("an open connection was used, and connecting took time")
	}
}

// resolver answers with what it is made of.
type resolver func(ctx context.Context, host string) ([]netip.Addr, error)

func (r resolver) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	return r(ctx, host)
}

func oneAddress(addr string) resolver {
	return func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr(addr)}, nil
	}
}

func TestNamesThatLeadNowhere(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		resolve  resolver
		class    telltale.ErrorClass
		code     telltale.FailureCode
		sentence string
	}{
		{"a name that does not exist", func(_ context.Context, host string) ([]netip.Addr, error) {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}, telltale.ErrorDNS, telltale.FailureDNSNotFound, "The name hooks.exmaple.com does not exist."},
		{"a resolver that fails", func(_ context.Context, host string) ([]netip.Addr, error) {
			return nil, &net.DNSError{Err: "server misbehaving", Name: host, IsTemporary: true}
		}, telltale.ErrorDNS, telltale.FailureDNSTemporary, "The name hooks.exmaple.com could not be looked up right now."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			guard, err := egress.New(egress.Config{Resolver: tt.resolve})
			if err != nil {
				t.Fatal(err)
			}
			s := New(Config{Guard: guard})
			t.Cleanup(s.Close)
			a := s.Send(t.Context(), newClaim(), newWebhook("https://hooks.exmaple.com/"))
			if a.Error != tt.class || a.Failure != tt.code || a.Sentence() != tt.sentence {
				t.Errorf("class %q, code %q, %q; want %q, %q, %q", a.Error, a.Failure, a.Sentence(), tt.class, tt.code, tt.sentence)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	a := newSender(t, nil).Send(t.Context(), newClaim(), newWebhook("http://"+l.Addr().String()))
	if a.Error != telltale.ErrorConnect || a.Failure != telltale.FailureConnect || a.RemoteAddr != l.Addr().String() {
		t.Errorf("class %q, code %q, address %q; want a private network's connect_failed", a.Error, a.Failure, a.RemoteAddr)
	}
}

// Public hosts cannot be dialled in a test: the decision is.
func TestClosedAndFilteredPortsAreToldApartForPublicHostsOnly(t *testing.T) {
	t.Parallel()
	refused := &stageError{stageConnect, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}
	silent := &stageError{stageConnect, &net.OpError{Op: "dial", Err: context.DeadlineExceeded}}
	for _, tt := range []struct {
		name   string
		remote string
		err    error
		late   bool
		want   fault
	}{
		{"public, closed", "8.8.8.8:443", refused, false, fault{telltale.ErrorConnect, telltale.FailureConnectRefused, ""}},
		{"public, filtered, another address had less time", "8.8.8.8:443", silent, false, fault{telltale.ErrorConnect, telltale.FailureConnectTimeout, ""}},
		{"public, filtered until the deadline", "8.8.8.8:443", silent, true, fault{telltale.ErrorTimeout, telltale.FailureConnectTimeout, "5 s"}},
		{"private, closed", "10.0.0.1:443", refused, false, fault{telltale.ErrorConnect, telltale.FailureConnect, ""}},
		{"private, filtered until the deadline", "10.0.0.1:443", silent, true, fault{telltale.ErrorConnect, telltale.FailureConnect, ""}},
		{"a name not looked up in time", "", &stageError{stageDNS, context.DeadlineExceeded}, true, fault{telltale.ErrorTimeout, telltale.FailureDNSTemporary, ""}},
		{"an unreachable network", "8.8.8.8:443", &stageError{stageConnect, syscall.ENETUNREACH}, false, fault{telltale.ErrorConnect, telltale.FailureConnect, ""}},
		{"anything else on a connection", "8.8.8.8:443", errors.New("no idea"), false, fault{telltale.ErrorConnect, telltale.FailureConnect, ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			x := &exchange{deadline: time.Now().Add(time.Hour), remote: tt.remote}
			if tt.late {
				x.deadline = time.Now().Add(-time.Second)
			}
			if got := x.classify(t.Context(), tt.err, 5*time.Second, time.Now()); got != tt.want {
				t.Errorf("%+v; want %+v", got, tt.want)
			}
		})
	}
}
