package httpserver

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale"
)

// What net/http does with requests that are framed to confuse: each line of
// bytes here is what a proxy and a server have been known to read differently.
func TestRequestsThatAreFramedToConfuse(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.Handle("POST /v1/events", echo)
	mux.HandleFunc("GET /smuggled", func(http.ResponseWriter, *http.Request) { t.Error("a request was smuggled in") })
	const post = "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
	tests := []struct {
		name string
		send string
		want string // of the first status line and what follows
	}{
		{"two lengths that differ", post + "Content-Length: 3\r\nContent-Length: 30\r\n\r\nabc", "400 Bad Request"},
		{"two lengths in one header", post + "Content-Length: 3, 30\r\n\r\nabc", "400 Bad Request"},
		{"the same length twice is one length", post + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "3 bytes"},
		{"a negative length", post + "Content-Length: -1\r\n\r\n", "400 Bad Request"},
		{"a length with a sign", post + "Content-Length: +3\r\n\r\nabc", "400 Bad Request"},
		{"a length that is no number", post + "Content-Length: three\r\n\r\nabc", "400 Bad Request"},
		{"a length in hexadecimal", post + "Content-Length: 0x3\r\n\r\nabc", "400 Bad Request"},
		{"a length past 64 bits", post + "Content-Length: 99999999999999999999\r\n\r\n", "400 Bad Request"},
		{"a length past the limit", post + "Content-Length: 5242881\r\n\r\nabc", "413 Request Entity Too Large"},
		{"a length that is larger than the body", post + "Content-Length: 10\r\n\r\nabc", "400 Bad Request"},
		{"a length beside chunks: the chunks count, as RFC 9112 wants", post + "Content-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "3 bytes"},
		{"a short length beside chunks leaves nothing over", post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n", "0 bytes"},
		// The status that RFC 9112, section 6.1, gives for a coding that the server does not know.
		{"another transfer coding", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501 Not Implemented"},
		{"a transfer coding with a tab", post + "Transfer-Encoding:\tchunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", "501 Not Implemented"},
		{"a space before the colon", post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "400 Bad Request"},
		{"a chunk whose size is no number", post + "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n", "400 Bad Request"},
		{"a chunk whose size is negative", post + "Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n", "400 Bad Request"},
		{"a chunk with endless extensions", post + "Transfer-Encoding: chunked\r\n\r\n3;" + strings.Repeat("x", 100<<10) + "\r\nabc\r\n0\r\n\r\n", "400 Bad Request"},
		{"chunks that end too early", post + "Transfer-Encoding: chunked\r\n\r\n3\r\nab", "400 Bad Request"},
		{"no host", "POST /v1/events HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "400 Bad Request"},
		{"two hosts", post + "Host: elsewhere\r\nContent-Length: 3\r\n\r\nabc", "400 Bad Request"},
		{"a header with a zero byte", post + "X-A: a\x00b\r\nContent-Length: 3\r\n\r\nabc", "400 Bad Request"},
		{"a header that goes on in the next line", post + "X-A: a\r\n b\r\nContent-Length: 3\r\n\r\nabc", "3 bytes"},
		{"a protocol from the future", "POST /v1/events HTTP/3.7\r\nHost: localhost\r\n\r\n", "505 HTTP Version Not Supported"},
		{"no request at all", "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", "400 Bad Request"},
		{"an expectation that nobody has", post + "Expect: the-unexpected\r\nContent-Length: 3\r\n\r\nabc", "417 Expectation Failed"},
		{"a path that climbs is led to the clean one", "GET /v1/../v1/./events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "Location: /v1/events"},
		{"a path that climbs out leads to the root", "GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "Location: /etc/passwd"},
		{"a path of another host stays here", "GET //elsewhere/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "Location: /elsewhere/"},
		{"dots in escapes are dots", "GET /v1/%2e%2e/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "404 Not Found"},
		{"an escaped slash parts nothing", "POST /v1%2fevents HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "404 Not Found"},
		{"a zero byte in the path", "GET /v1/events%00 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "404 Not Found"},
		{"a bad escape in the path", "GET /v1/%zz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "400 Bad Request"},
		{"the asterisk", "POST * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "400 Bad Request"},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := New(Wrap(mux, Config{}), slog.New(slog.DiscardHandler))
	ended := make(chan error)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			go func() {
				io.WriteString(conn, test.send)
				conn.(*net.TCPConn).CloseWrite()
			}()
			text, err := io.ReadAll(bufio.NewReader(conn))
			if err != nil && len(text) == 0 {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), test.want) || strings.Count(string(text), "HTTP/1.1 ") != 1 {
				t.Errorf("got %q, want %q", text, test.want)
			}
		})
	}
}

// Callers who send all of a body before they read the answer must get to read
// it, and not a reset of the connection.
func TestARefusalReachesThoseWhoAreStillSending(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.Handle("POST /limited", echo)
	mux.Handle("POST /unread", Handle(func(http.ResponseWriter, *http.Request) error {
		return telltale.Errorf(telltale.Unauthenticated, "No key.")
	}))
	mux.HandleFunc("POST /panic", func(http.ResponseWriter, *http.Request) { panic("the sky fell") })
	server := httptest.NewServer(Wrap(mux, Config{}))
	t.Cleanup(server.Close)

	tests := []struct {
		name   string
		path   string
		header string
		size   int
		want   string
	}{
		{"a body that is somewhat too large", "/limited", "", 6 << 20, "413"},
		{"and on a connection that ends with it", "/limited", "Connection: close\r\n", 6 << 20, "413"},
		{"a small body that nobody reads", "/unread", "Connection: close\r\n", 1 << 10, "401"},
		{"a large body that nobody reads", "/unread", "Connection: close\r\n", 5 << 20, "401"},
		{"a large body and a panic", "/panic", "", 5 << 20, "500"},
		{"a body that is far too large, read beside sending", "/limited", "Connection: close\r\n", 100 << 20, "413"},
		{"an expectation that is not met", "/unread", "Expect: 100-continue\r\n", 0, "401"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(20 * time.Second))
			declared := max(test.size, 1)
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n\r\n", test.path, test.header, declared)
			sent := make(chan error, 1)
			go func() {
				_, err := io.CopyN(conn, zeros{}, int64(test.size))
				sent <- err
			}()
			if test.size <= maxDrain {
				if err := <-sent; err != nil {
					t.Fatalf("sending the body: %v", err)
				}
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(response.Status, test.want) {
				t.Errorf("status %s, want %s", response.Status, test.want)
			}
			if text, err := io.ReadAll(response.Body); err != nil || !json.Valid(text) {
				t.Errorf("the answer is %q, %v", text, err)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
