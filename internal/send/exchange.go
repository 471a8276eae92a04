package send

import (
	"context"
	"net/http/httptrace"
	"sync"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/failpoint"
)

// stage is how far an attempt got.
type stage int

const (
	stageStart   stage = iota // nothing of the network's was asked yet
	stageDNS                  // the name is being looked up
	stageConnect              // a connection is being made
	stageTLS                  // trust is being made
	stageSent                 // a connection is ours: what is awaited is the answer
)

// stageError says in which stage a dial failed.
type stageError struct {
	stage stage
	err   error
}

func (e *stageError) Error() string { return e.err.Error() }
func (e *stageError) Unwrap() error { return e.err }

// internalError is a failure before the request, of our own making.
type internalError struct{ err error }

func (e *internalError) Error() string { return e.err.Error() }
func (e *internalError) Unwrap() error { return e.err }

type exchangeKey struct{}

// exchange watches one attempt. The goroutines of net/http report to it, some of
// them after the attempt ended.
type exchange struct {
	deadline time.Time

	mu      sync.Mutex
	at      stage
	spent   telltale.Timing
	remote  string
	conn    *conn
	reused  bool
	before  int64     // bytes written to conn before this request
	written time.Time // when the request was
}

// trace gives a context in which net/http reports to x.
func (x *exchange) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(context.WithValue(ctx, exchangeKey{}, x), &httptrace.ClientTrace{
		GotConn: x.gotConn,
		WroteRequest: func(httptrace.WroteRequestInfo) {
			x.mu.Lock()
			x.written = time.Now()
			x.mu.Unlock()
			failpoint.Here("send-written")
		},
		GotFirstResponseByte: func() {
			x.mu.Lock()
			if !x.written.IsZero() { // an answer may come before the request is whole
				x.spent.FirstByte = time.Since(x.written)
			}
			x.mu.Unlock()
		},
	})
}

// begin precedes every request of the attempt, of which the receiver sees one.
func (x *exchange) begin() {
	x.mu.Lock()
	x.at, x.conn = stageStart, nil
	x.mu.Unlock()
}

func (x *exchange) gotConn(info httptrace.GotConnInfo) {
	own := ours(info.Conn)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.at, x.conn, x.reused = stageSent, own, info.Reused
	x.spent, x.written = telltale.Timing{}, time.Time{} // our own dial, if there was one, serves another
	if own == nil {
		return
	}
	own.allowed.Add(maxRead)
	x.remote, x.before = own.remote, own.written.Load()
	if !info.Reused {
		x.spent = own.cost
	}
}

// unsent reports whether the connection was one that had been open, and no byte
// of the request was written to it. HTTP/2's carry other requests too, whose
// bytes count: the answer is then a safe no.
func (x *exchange) unsent() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.conn != nil && x.reused && x.conn.written.Load() == x.before
}

// enter notes that a dial for the attempt reached a stage, and when.
func (x *exchange) enter(at stage) time.Time {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.at != stageSent { // another connection may have been faster
		x.at = at
	}
	return time.Now()
}

// dialled notes and gives what a stage of the dial took.
func (x *exchange) dialled(at stage, started time.Time) time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	took := time.Since(started)
	if x.at == stageSent {
		return took
	}
	switch at {
	case stageDNS:
		x.spent.DNS = took
	case stageConnect:
		x.spent.Connect = took
	case stageTLS:
		x.spent.TLS = took
	}
	return took
}

func (x *exchange) toward(address string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.at != stageSent {
		x.remote = address
	}
}

func (x *exchange) current() stage {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.at
}

// timing gives how the time was spent and with whom.
func (x *exchange) timing() (telltale.Timing, string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.spent, x.remote
}
