package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// Bounds of one dial.
const (
	maxAnswers  = 100              // addresses of a name; more are no receiver's
	maxDials    = 8                // of them that are tried
	dialTimeout = 10 * time.Second // in all, for a context without a deadline
	minDialTime = 2 * time.Second  // for one address, as long as that much is left
)

// DialContext connects to address, a host and a port, for a client such as
// [net/http.Transport]. A name is resolved once; if any of its addresses is
// blocked the whole name is. Otherwise they are tried in the resolver's order,
// each with its share of the time left, and the first error is returned. Just
// before a socket connects its address is checked once more.
//
// It fails with a [*BlockedError] for a host that is not allowed, and otherwise
// with a [*net.OpError] as [net.Dialer] does. Hooks of net/http/httptrace in the
// context are called.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	t, err := dialTarget(ctx, network, address)
	if err != nil {
		return nil, err
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(dialTimeout)
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	addrs, err := g.resolve(ctx, network, t)
	if err != nil {
		return nil, err
	}
	return g.connect(ctx, network, t, addrs, deadline)
}

// connect tries the addresses one after the other.
func (g *Guard) connect(ctx context.Context, network string, t target, addrs []netip.Addr, deadline time.Time) (net.Conn, error) {
	dialer := net.Dialer{ControlContext: g.control(t)}
	var first error
	for i, addr := range addrs {
		one, cancel := context.WithDeadline(ctx, share(time.Now(), deadline, len(addrs)-i))
		conn, err := dialer.DialContext(one, network, netip.AddrPortFrom(addr, t.port).String())
		cancel()
		if err == nil {
			return conn, nil
		}
		if blocked, ok := errors.AsType[*BlockedError](err); ok {
			return nil, blocked // without the net.OpError around it, which names the address
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// dialTarget reads what is to be dialled, and for what URL if the context says so.
func dialTarget(ctx context.Context, network, address string) (target, error) {
	unreadable := func(reason string) (target, error) {
		return target{}, &BlockedError{Host: address, Rule: RuleAddress, reason: reason}
	}
	if network != "tcp" && network != "tcp4" && network != "tcp6" {
		return unreadable(fmt.Sprintf("the network %q is not TCP", network))
	}
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return unreadable("it is no host and port: " + err.Error())
	}
	port, ok := parsePort(portText)
	if !ok {
		return unreadable(fmt.Sprintf("%q is no port", portText))
	}
	if t, ok := ctx.Value(admitted{}).(target); ok && t.host == strings.ToLower(host) && t.port == port {
		return t, nil
	}
	t, err := parseHost(host)
	if err != nil {
		return unreadable(err.Error())
	}
	t.scheme, t.port = "https", port
	return t, nil
}

// resolve gives the addresses to dial, in order, all of them checked.
func (g *Guard) resolve(ctx context.Context, network string, t target) ([]netip.Addr, error) {
	addrs := []netip.Addr{t.addr}
	if t.isName() {
		// What is not allowed whatever it leads to is not looked up: the answer
		// would tell which names there are on a private network.
		err := g.checkName(t)
		if broken, ok := errors.AsType[*URLError](err); ok {
			return nil, &BlockedError{Host: t.host, Rule: broken.Rule, reason: broken.Sentence}
		}
		if addrs, err = g.lookUp(ctx, t.host); err != nil {
			return nil, &net.OpError{Op: "dial", Net: network, Err: err}
		}
	}
	if len(addrs) > maxAnswers {
		return nil, &BlockedError{Host: t.host, Rule: RuleAddress, reason: fmt.Sprintf("it has %d addresses, more than %d", len(addrs), maxAnswers)}
	}
	var usable []netip.Addr
	for _, addr := range addrs {
		if err := g.checkDial(t, addr); err != nil {
			return nil, err
		}
		addr = addr.Unmap()
		if len(usable) < maxDials && (network == "tcp" || addr.Is4() == (network == "tcp4")) {
			usable = append(usable, addr)
		}
	}
	if len(usable) == 0 {
		return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no address of this kind", Name: t.host, IsNotFound: true}}
	}
	return usable, nil
}

// lookupTrace is the context without the hooks for connecting: a resolver dials
// name servers, several at once, and who measures a connection is not meant.
// [net.Dialer] does the same.
func lookupTrace(ctx context.Context) context.Context {
	trace := httptrace.ContextClientTrace(ctx)
	if trace == nil || trace.ConnectStart == nil && trace.ConnectDone == nil {
		return ctx
	}
	return httptrace.WithClientTrace(bare{ctx}, &httptrace.ClientTrace{DNSStart: trace.DNSStart, DNSDone: trace.DNSDone})
}

// bare is a context without its values, among which are the hooks: there is no
// other way to take them out.
type bare struct{ context.Context }

func (bare) Value(any) any { return nil }

// checkDial decides whether addr may be dialled for t.
func (g *Guard) checkDial(t target, addr netip.Addr) error {
	free, blocked := g.judge(addr, t.exempt)
	if blocked == nil && !free {
		if broken, ok := errors.AsType[*URLError](g.checkRules(t)); ok {
			blocked = &BlockedError{Rule: broken.Rule, Addr: addr, sentence: broken.Sentence, reason: broken.Sentence}
		}
	}
	if blocked == nil {
		return nil
	}
	blocked.Host = t.host
	if t.isName() {
		blocked.sentence = ""
	}
	return blocked
}

// control is the check of a socket that has an address and is not connected
// yet. It trusts nothing that was decided before.
func (g *Guard) control(t target) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, network, address string, _ syscall.RawConn) error {
		socket, err := netip.ParseAddrPort(address)
		if err != nil || network != "tcp4" && network != "tcp6" || socket.Port() != t.port {
			return &BlockedError{Host: t.host, Rule: RuleAddress, reason: fmt.Sprintf("its socket would connect to %q on %q", address, network)}
		}
		return g.checkDial(t, socket.Addr())
	}
}

// share is the time until which one of the addresses left may be tried: an
// equal part of what remains, but not too little to be of use.
func share(now, deadline time.Time, left int) time.Time {
	remaining := deadline.Sub(now)
	return now.Add(min(remaining, max(remaining/time.Duration(left), minDialTime)))
}
