package send

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/egress"
	"telltale.example/telltale/internal/failpoint"
)

// Bounds on connections. A receiver's idle connections cost two goroutines and
// some 20 KiB each.
const (
	idleTimeout    = 4 * time.Second
	maxIdle        = 2048
	maxIdlePerHost = 256
	h2PingAfter    = 10 * time.Second // a connection that says nothing is asked whether it lives
	h2PingTimeout  = 5 * time.Second
	tlsSessions    = 2048     // resumable sessions that are remembered
	maxRead        = 1 << 20  // bytes of a connection for each attempt on it: headers, body and what frames them
	h2Window       = 64 << 10 // of a stream, unasked: no more is read of a body
	maxRepeats     = 8        // requests that no receiver saw, per attempt
	maxRefusals    = 2        // of them, those that a receiver refused
)

// Config is what a Sender needs. Guard is required.
type Config struct {
	Guard   *egress.Guard
	Node    telltale.NodeID // noted in every attempt
	Version string          // of Telltale, for the User-Agent

	Log     *slog.Logger   // what operators must not see, such as where a blocked name leads; nil for nowhere
	RootCAs *x509.CertPool // authorities to trust; nil for the system's
}

// Sender makes attempts. Any number of goroutines may use one at once.
type Sender struct {
	guard     *egress.Guard
	node      telltale.NodeID
	log       *slog.Logger
	transport *http.Transport
	tls       *tls.Config
	prepared  *cache
}

// New makes a Sender. [Sender.Close] ends what it keeps open.
func New(c Config) *Sender {
	s := &Sender{guard: c.Guard, node: c.Node, log: c.Log, prepared: newCache("Telltale/" + c.Version)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.tls = &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs,
		NextProtos:         []string{"h2", "http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(tlsSessions),
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	s.transport = &http.Transport{
		Proxy:                  nil, // the environment's are for other clients
		DialContext:            s.dial,
		DialTLSContext:         s.dialTLS,
		DisableCompression:     true,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: telltale.MaxResponseHeaders,
		Protocols:              protocols,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: h2PingAfter, PingTimeout: h2PingTimeout, MaxReceiveBufferPerStream: h2Window},
	}
	return s
}

// Close closes the connections that no attempt uses.
func (s *Sender) Close() { s.transport.CloseIdleConnections() }

// Send makes one attempt for the claim, to the webhook as it is now, which may
// be newer than the claim's. It returns within the webhook's timeout. An end of
// ctx interrupts the attempt: its outcome is unknown then.
func (s *Sender) Send(ctx context.Context, c *telltale.Claim, w *telltale.Webhook) telltale.Attempt {
	started := time.Now()
	a := telltale.Attempt{
		Number: c.Attempt, Trigger: c.Trigger, Node: s.node,
		StartedAt: started.UTC().Truncate(time.Millisecond),
		Request:   telltale.SentRequest{Method: http.MethodPost, URL: w.URL},
	}
	timeout := w.Timeout
	if timeout <= 0 {
		timeout = telltale.DefaultTimeout
	}
	x := &exchange{deadline: started.Add(timeout)}
	if err := s.attempt(ctx, x, c, w, started, &a); err != nil {
		f := x.classify(ctx, err, timeout, started)
		a.Error, a.Failure, a.Detail = f.class, f.code, f.detail
		s.logFault(w, c, err, f)
	}
	a.Timing, a.RemoteAddr = x.timing()
	if a.Error == telltale.ErrorBlockedAddress {
		a.RemoteAddr = "" // nobody is told where a blocked name leads
	}
	a.Duration = time.Since(started)
	return a
}

// attempt fills a with what was sent and what came back. Its error is whatever
// kept a final status line from coming.
func (s *Sender) attempt(ctx context.Context, x *exchange, c *telltale.Claim, w *telltale.Webhook, now time.Time, a *telltale.Attempt) error {
	ctx, err := s.guard.Admit(ctx, w.URL)
	if err != nil {
		return err
	}
	p, err := s.prepared.get(w, now)
	if err != nil {
		return &internalError{err}
	}
	body := c.Event.Payload
	if w.Extensions {
		body = extended(c.Event)
	}
	headers, recorded := p.headers(c, body, now)
	a.Request.Headers = recorded

	ctx, cancel := context.WithDeadline(x.trace(ctx), x.deadline)
	defer cancel()
	for refusals, repeats := 0, 0; ; repeats++ {
		x.begin()
		failpoint.Here("send-begin")
		response, err := s.transport.RoundTrip((&http.Request{
			Method: http.MethodPost, URL: p.url, Host: p.url.Host, Header: headers,
			Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), // a reader that net/http knows goes out in one write with the head
		}).WithContext(ctx))
		if err == nil {
			read(response, a, now)
			failpoint.Here("send-answered")
			return nil
		}
		if refused(err) {
			refusals++
		} else if !x.unsent() {
			return err
		}
		if refusals > maxRefusals || repeats >= maxRepeats || ctx.Err() != nil {
			return err
		}
	}
}

func (s *Sender) logFault(w *telltale.Webhook, c *telltale.Claim, err error, f fault) {
	switch f.class {
	case telltale.ErrorBlockedAddress, telltale.ErrorInternal:
	default:
		return // the attempt's record says it all
	}
	text := err.Error()
	if blocked, ok := errors.AsType[*egress.BlockedError](err); ok {
		text = blocked.Detail()
	}
	s.log.Warn("send: no request was made", "webhook", w.ID, "project", c.ProjectID, "delivery", c.DeliveryID, "class", f.class, "error", text)
}
