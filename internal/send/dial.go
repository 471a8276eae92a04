package send

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"telltale.example/telltale"
)

// conn is a connection that we dialled. It counts what is written to it, which
// tells whether a receiver can have seen a request, and remembers what it cost.
type conn struct {
	net.Conn
	written atomic.Int64
	allowed atomic.Int64 // bytes that may still be read
	remote  string
	cost    telltale.Timing // DNS, Connect and TLS; not changed once the connection is in use
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.written.Add(int64(n))
	return n, err
}

var errTooMuch = errors.New("send: the receiver sent more than is read")

// Read reads no more than the attempts on the connection have use for: net/http
// throws away whatever HTTP/2's receiver sends for streams that have ended, and
// answers every frame of settings and every ping, for as long as they come.
func (c *conn) Read(b []byte) (int, error) {
	if c.allowed.Load() <= 0 {
		return 0, errTooMuch
	}
	n, err := c.Conn.Read(b)
	c.allowed.Add(int64(-n))
	return n, err
}

// ours finds the connection that we dialled below the one that net/http uses.
func ours(c net.Conn) *conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	own, _ := c.(*conn)
	return own
}

// dial is the transport's DialContext. net/http dials in a goroutine of its own,
// so that a connection that comes too late for its request serves the next: the
// context has the request's values, and neither its deadline nor its end.
func (s *Sender) dial(ctx context.Context, network, address string) (net.Conn, error) {
	x := ctx.Value(exchangeKey{}).(*exchange)
	ctx, cancel := context.WithDeadline(ctx, x.deadline)
	defer cancel()
	c, err := s.connect(ctx, x, network, address)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// dialTLS is the transport's DialTLSContext: without it the handshake would have
// no deadline.
func (s *Sender) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	x := ctx.Value(exchangeKey{}).(*exchange)
	ctx, cancel := context.WithDeadline(ctx, x.deadline)
	defer cancel()
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &stageError{stageConnect, err}
	}
	c, err := s.connect(ctx, x, network, address)
	if err != nil {
		return nil, err
	}
	config := s.tls.Clone()
	config.ServerName = host
	started := x.enter(stageTLS)
	secure := tls.Client(c, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, &stageError{stageTLS, err}
	}
	c.cost.TLS = x.dialled(stageTLS, started)
	return secure, nil
}

func (s *Sender) connect(ctx context.Context, x *exchange, network, address string) (*conn, error) {
	var cost telltale.Timing
	var resolving, connecting time.Time
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { resolving = x.enter(stageDNS) },
		DNSDone:  func(httptrace.DNSDoneInfo) { cost.DNS = x.dialled(stageDNS, resolving) },
		ConnectStart: func(_, address string) {
			x.toward(address)
			if now := x.enter(stageConnect); connecting.IsZero() {
				connecting = now
			}
		},
		ConnectDone: func(string, string, error) { cost.Connect = x.dialled(stageConnect, connecting) },
	})
	c, err := s.guard.DialContext(traced, network, address)
	if err != nil {
		return nil, &stageError{x.current(), err}
	}
	own := &conn{Conn: c, remote: c.RemoteAddr().String(), cost: cost}
	own.allowed.Store(maxRead) // for the handshake
	return own, nil
}
