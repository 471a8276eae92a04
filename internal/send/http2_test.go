package send

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"telltale.example/telltale"
)

func TestHTTP2WhereOffered(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	var major atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		major.Store(int32(r.ProtoMajor))
		io.WriteString(w, r.Header.Get("webhook-id"))
	}))
	server.EnableHTTP2 = true
	server.TLS = ca.server(t, loopback())
	server.StartTLS()
	t.Cleanup(server.Close)
	s := newSender(t, ca.roots)
	for n := range 2 {
		a := s.Send(t.Context(), newClaim(), newWebhook(server.URL))
		if !a.Success() || string(a.Response.Body) != "evt_1" || major.Load() != 2 || a.RemoteAddr == "" {
			t.Fatalf("attempt %+v over HTTP/%d; want success over 2", a, major.Load())
		}
		if dialled := a.Timing.TLS > 0; dialled != (n == 0) {
			t.Errorf("attempt %d: timing %+v", n, a.Timing)
		}
	}
}

// net/http tells a header list that is somewhat too long from a connection that
// it gives up because of one that is much too long.
func TestHTTP2LongHeaders(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		headers int // of a KiB each
		class   telltale.ErrorClass
		code    telltale.FailureCode
	}{
		{"what is read", 50, "", ""},
		{"somewhat more", 65, telltale.ErrorTooLarge, telltale.FailureTooLarge},
		{"much more", 300, telltale.ErrorProtocol, telltale.FailureProtocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ca := newAuthority(t)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for n := range tt.headers {
					w.Header().Set(fmt.Sprintf("X-%d", n), strings.Repeat("x", 1000))
				}
			}))
			server.EnableHTTP2 = true
			server.TLS = ca.server(t, loopback())
			server.StartTLS()
			t.Cleanup(server.Close)
			a := newSender(t, ca.roots).Send(t.Context(), newClaim(), newWebhook(server.URL))
			if a.Error != tt.class || a.Failure != tt.code {
				t.Errorf("class %q, code %q, status %d; want %q, %q", a.Error, a.Failure, a.Status, tt.class, tt.code)
			}
		})
	}
}

// Frames of HTTP/2 (RFC 9113, section 6), as far as these receivers speak it.
const (
	frameData      = 0
	frameHeaders   = 1
	frameRST       = 3
	frameSettings  = 4
	frameGoAway    = 7
	errorProtocol  = 1
	errorRefused   = 7
	endOfHeaders   = 0x4
	endOfStream    = 0x1 | endOfHeaders
	okInHPACK      = "\x88" // :status 200, RFC 7541, appendix A
	http2Preface   = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	lengthOfHeader = 9
)

type http2Conn struct{ net.Conn }

func (c http2Conn) frame(kind, flags byte, stream uint32, payload string) {
	head := make([]byte, lengthOfHeader)
	binary.BigEndian.PutUint32(head, uint32(len(payload))<<8|uint32(kind))
	head[4] = flags
	binary.BigEndian.PutUint32(head[5:], stream)
	c.Write(append(head, payload...))
}

func dataFrame(stream uint32, length int) []byte {
	frame := make([]byte, lengthOfHeader+length)
	binary.BigEndian.PutUint32(frame, uint32(length)<<8|frameData)
	binary.BigEndian.PutUint32(frame[5:], stream)
	return frame
}

func (c http2Conn) next() (kind byte, stream uint32, err error) {
	head := make([]byte, lengthOfHeader)
	if _, err := io.ReadFull(c, head); err != nil {
		return 0, 0, err
	}
	length := binary.BigEndian.Uint32(head) >> 8
	_, err = io.CopyN(io.Discard, c, int64(length))
	return head[3], binary.BigEndian.Uint32(head[5:]), err
}

func word(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }

// listenHTTP2 starts a receiver that answers each request's headers as answer does.
func listenHTTP2(t *testing.T, ca *authority, answer func(c http2Conn, stream uint32)) string {
	config := ca.server(t, loopback())
	config.NextProtos = []string{"h2"}
	return listenTLS(t, config, func(secure net.Conn) {
		c := http2Conn{secure.(*tls.Conn)}
		if _, err := io.ReadFull(c, make([]byte, len(http2Preface))); err != nil {
			return
		}
		c.frame(frameSettings, 0, 0, "")
		for {
			kind, stream, err := c.next()
			switch {
			case err != nil:
				return
			case kind == frameHeaders:
				answer(c, stream)
			}
		}
	})
}

func TestHTTP2RefusalsAndTheRest(t *testing.T) {
	t.Parallel()
	ok := func(c http2Conn, stream uint32) { c.frame(frameHeaders, endOfStream, stream, okInHPACK) }
	for _, tt := range []struct {
		name     string
		first    func(c http2Conn, stream uint32)
		always   bool
		requests int32
		code     telltale.FailureCode
	}{
		{"GOAWAY, this request not processed: it is sent again", func(c http2Conn, _ uint32) {
			c.frame(frameGoAway, 0, 0, word(0)+word(0))
		}, false, 2, ""},
		{"REFUSED_STREAM: it is sent again", func(c http2Conn, stream uint32) {
			c.frame(frameRST, 0, stream, word(errorRefused))
		}, false, 2, ""},
		{"REFUSED_STREAM for ever: not for ever", func(c http2Conn, stream uint32) {
			c.frame(frameRST, 0, stream, word(errorRefused))
		}, true, 1 + maxRefusals, telltale.FailureReset},
		{"GOAWAY for ever: not for ever", func(c http2Conn, _ uint32) {
			c.frame(frameGoAway, 0, 0, word(0)+word(0))
		}, true, 1 + maxRefusals, telltale.FailureReset},
		{"GOAWAY after the request: it may have been processed", func(c http2Conn, stream uint32) {
			c.frame(frameGoAway, 0, 0, word(stream)+word(0))
			c.Close()
		}, false, 1, telltale.FailureReset},
		{"a reset with PROTOCOL_ERROR, after which net/http would send again", func(c http2Conn, stream uint32) {
			c.frame(frameRST, 0, stream, word(errorProtocol))
		}, false, 1, telltale.FailureReset},
		{"an end without an answer", func(c http2Conn, _ uint32) { c.Close() }, false, 1, telltale.FailureReset},
		{"GOAWAY after the answer", func(c http2Conn, stream uint32) {
			ok(c, stream)
			c.frame(frameGoAway, 0, 0, word(stream)+word(0))
		}, false, 1, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ca := newAuthority(t)
			var requests atomic.Int32
			url := listenHTTP2(t, ca, func(c http2Conn, stream uint32) {
				if n := requests.Add(1); n == 1 || tt.always {
					tt.first(c, stream)
				} else {
					ok(c, stream)
				}
			})
			a := newSender(t, ca.roots).Send(t.Context(), newClaim(), newWebhook(url))
			if a.Failure != tt.code || a.Success() != (tt.code == "") || requests.Load() != tt.requests {
				t.Errorf("status %d, class %q, code %q, %d requests; want code %q, %d", a.Status, a.Error, a.Failure, requests.Load(), tt.code, tt.requests)
			}
		})
	}
}

// Data of a stream that was read far enough is thrown away by net/http for as long
// as it comes, and no window of HTTP/2 holds back who heeds none.
func TestHTTP2DataWithoutEnd(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	var sent atomic.Int64
	ended := make(chan struct{})
	url := listenHTTP2(t, ca, func(c http2Conn, stream uint32) {
		defer close(ended)
		go hang(c) // it reads what is said to it, or both would come to a standstill
		c.frame(frameHeaders, endOfHeaders, stream, okInHPACK)
		for sent.Load() < 1<<30 {
			n, err := c.Write(dataFrame(stream, 16<<10))
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	s := newSender(t, ca.roots)
	a := s.Send(t.Context(), newClaim(), newWebhook(url))
	if a.Status != http.StatusOK || len(a.Response.Body) > telltale.MaxResponseBody {
		t.Errorf("status %d, class %q, %d bytes of body; want success", a.Status, a.Error, len(a.Response.Body))
	}
	<-ended
	if n := sent.Load(); n > 16<<20 { // most of it in the kernel's buffers
		t.Errorf("%d MiB were taken", n>>20)
	}
}

// A connection that a receiver gives up as soon as it is there cannot be had by
// intention: net/http says it of one that ends before its first request.
func TestHTTP2ConnectionsThatEndAtOnce(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"http2: client conn could not be established", "http2: client conn is closed", "http2: client conn not usable"} {
		if f := unanswered(errors.New(text)); f.class != telltale.ErrorReset || f.code != telltale.FailureReset {
			t.Errorf("%s: class %q, code %q; want a reset", text, f.class, f.code)
		}
	}
}
