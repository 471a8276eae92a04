package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// canary listens on loopback and keeps who comes. Nothing that is blocked may.
type canary struct {
	address, port string
	visitors      chan string
}

func newCanary(t testing.TB) *canary {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &canary{address: l.Addr().String(), visitors: make(chan string, 1000)}
	_, c.port, _ = net.SplitHostPort(c.address)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.visitors <- conn.RemoteAddr().String()
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return c
}

// visits is how many came since it was last asked. It comes itself, last: who
// dialled before stands before it in the queue.
func (c *canary) visits(t testing.TB) int {
	t.Helper()
	conn, err := net.Dial("tcp4", c.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for n := 0; ; n++ {
		if <-c.visitors == conn.LocalAddr().String() {
			return n
		}
	}
}

// answers is a resolver whose n-th lookup of any name gives the n-th list, and
// the last one from then on.
type answers struct {
	mu    sync.Mutex
	lists [][]string
	hosts []string // what was looked up
}

func (a *answers) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := a.lists[min(len(a.hosts), len(a.lists)-1)]
	a.hosts = append(a.hosts, network+" "+host)
	if list == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	addrs := []netip.Addr{}
	for _, s := range list {
		addrs = append(addrs, netip.MustParseAddr(s))
	}
	return addrs, nil
}

// Loopback plays the public network here: it alone is listed, so that a
// blocked address is one beside it, and no test leaves the machine.
func listed(t testing.TB, r Resolver) *Guard {
	t.Helper()
	return mustGuard(t, Config{AllowCIDRs: prefixes(t, "127.0.0.1/32"), Resolver: r})
}

func TestDial(t *testing.T) {
	t.Parallel()
	many := func(n int) []string { return slices.Repeat([]string{"127.0.0.1"}, n) }
	tests := []struct {
		name    string
		answers []string // nil: the name does not exist
		address string   // the canary's port follows
		blocked bool     // else it fails in another way, or connects
		fails   bool
	}{
		{name: "a listed address", address: "127.0.0.1"},
		{name: "a name that leads to it", answers: []string{"127.0.0.1"}, address: "hooks.example.com"},
		{name: "a name that leads to it, as IPv4-mapped", answers: []string{"::ffff:127.0.0.1"}, address: "hooks.example.com"},
		{name: "a dotless name that leads to it", answers: []string{"127.0.0.1"}, address: "intranet"},
		{name: "many answers", answers: many(maxAnswers), address: "hooks.example.com"},
		{name: "too many answers", answers: many(maxAnswers + 1), address: "hooks.example.com", blocked: true},
		{name: "no answer", answers: []string{}, address: "hooks.example.com", fails: true},
		{name: "no such name", answers: nil, address: "hooks.example.com", fails: true},
		{name: "an address beside the listed one", address: "127.0.0.2", blocked: true},
		{name: "a name that leads beside it", answers: []string{"127.0.0.2"}, address: "hooks.example.com", blocked: true},
		{name: "a blocked answer after a listed one", answers: []string{"127.0.0.1", "10.0.0.1"}, address: "hooks.example.com", blocked: true},
		{name: "a blocked answer before a listed one", answers: []string{"10.0.0.1", "127.0.0.1"}, address: "hooks.example.com", blocked: true},
		{name: "a blocked answer after more than are dialled", answers: append(many(maxDials+1), "10.0.0.1"), address: "hooks.example.com", blocked: true},
		{name: "a blocked answer of the family that is not dialled", answers: []string{"127.0.0.1", "fd00::1"}, address: "hooks.example.com", blocked: true},
		{name: "an answer with a zone", answers: []string{"127.0.0.1", "fe80::1%eth0"}, address: "hooks.example.com", blocked: true},
		{name: "metadata", answers: []string{"169.254.169.254"}, address: "hooks.example.com", blocked: true},
		{name: "zero, which Linux takes for loopback", address: "0.0.0.0", blocked: true},
		{name: "unspecified, likewise", address: "::", blocked: true},
		{name: "a listed address in another disguise", address: "::127.0.0.1", blocked: true},
		{name: "an address in decimal, that is never looked up", answers: []string{"127.0.0.1"}, address: "2130706433", blocked: true},
		{name: "a shortened address", answers: []string{"127.0.0.1"}, address: "127.1", blocked: true},
		{name: "a dot at the end", answers: []string{"127.0.0.1"}, address: "hooks.example.com.", blocked: true},
		{name: "a name with a space", answers: []string{"127.0.0.1"}, address: "hooks example.com", blocked: true},
		{name: "a zone", address: "fe80::1%eth0", blocked: true},
		{name: "no host", address: "", blocked: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			canary, resolver := newCanary(t), &answers{lists: [][]string{tt.answers}}
			conn, err := listed(t, resolver).DialContext(t.Context(), "tcp", net.JoinHostPort(tt.address, canary.port))
			want := 0
			switch {
			case tt.blocked:
				if !errors.Is(err, ErrBlocked) {
					t.Errorf("error %v; want ErrBlocked", err)
				}
			case tt.fails:
				if opErr, ok := errors.AsType[*net.OpError](err); errors.Is(err, ErrBlocked) || !ok || opErr.Op != "dial" {
					t.Errorf("error %v; want a dial that fails", err)
				}
				if dnsErr, ok := errors.AsType[*net.DNSError](err); !ok || !dnsErr.IsNotFound {
					t.Errorf("error %v; want a name that is not found", err)
				}
			case err != nil:
				t.Fatalf("error %v; want a connection", err)
			default:
				want = 1
				conn.Close()
			}
			if got := canary.visits(t); got != want {
				t.Errorf("the canary had %d visits; want %d", got, want)
			}
			if len(resolver.hosts) > 1 {
				t.Errorf("looked up %v; want one lookup", resolver.hosts)
			}
		})
	}
}

// Nothing that any rule blocks reaches the machine that listens, and the same
// doors lead there once they are open: so the canary is alive.
func TestTheCanaryStaysUntouched(t *testing.T) {
	t.Parallel()
	canary := newCanary(t)
	toLoopback := &answers{lists: [][]string{{"127.0.0.1"}}}
	strict := mustGuard(t, Config{Resolver: toLoopback})
	another := mustGuard(t, Config{Resolver: toLoopback, AllowCIDRs: prefixes(t, "10.0.0.0/8")})
	doors := []string{"127.0.0.1", "::ffff:127.0.0.1", "::ffff:7f00:1", "localhost", "LOCALHOST", "foo.localhost", "0.0.0.0", "::", "::1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "127.0.0.1.", "127.0.0.1%lo", ""}
	for _, host := range doors {
		for _, network := range []string{"tcp", "tcp4", "tcp6", "udp", "unix", "ip", ""} {
			for _, g := range []*Guard{strict, another} {
				conn, err := g.DialContext(t.Context(), network, net.JoinHostPort(host, canary.port))
				if !errors.Is(err, ErrBlocked) {
					t.Errorf("%s %s: connection %v, error %v; want ErrBlocked", network, host, conn, err)
				}
			}
		}
	}
	for _, address := range []string{"", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:0", "127.0.0.1:+80", "127.0.0.1:65536", "[127.0.0.1", "::1:80", "a:b:c", "\x00:80"} {
		if _, err := strict.DialContext(t.Context(), "tcp", address); !errors.Is(err, ErrBlocked) {
			t.Errorf("%q: error %v; want ErrBlocked", address, err)
		}
	}
	if n := canary.visits(t); n != 0 {
		t.Fatalf("the canary had %d visits", n)
	}
	for _, host := range toLoopback.hosts {
		if !strings.Contains(strings.ToLower(host), "localhost") {
			t.Errorf("looked up %s, which is no name", host)
		}
	}

	open := mustGuard(t, Config{AllowPrivate: true})
	for _, host := range []string{"127.0.0.1", "::ffff:127.0.0.1", "localhost"} {
		conn, err := open.DialContext(t.Context(), "tcp4", net.JoinHostPort(host, canary.port))
		if err != nil {
			t.Fatalf("%s with AllowPrivate: %v", host, err)
		}
		conn.Close()
		if n := canary.visits(t); n != 1 {
			t.Fatalf("%s with AllowPrivate: the canary had %d visits", host, n)
		}
	}
}

// The name leads to a listed address when it is checked and to a blocked one
// from then on. One lookup is one chance: it dials what it checked.
func TestRebinding(t *testing.T) {
	t.Parallel()
	canary := newCanary(t)
	resolver := &answers{lists: [][]string{{"127.0.0.1"}, {"169.254.169.254"}}}
	g := listed(t, resolver)
	conn, err := g.DialContext(t.Context(), "tcp", "rebinding.example.com:"+canary.port)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if diff := cmp.Diff([]string{"ip rebinding.example.com"}, resolver.hosts); diff != "" {
		t.Errorf("lookups: %s", diff)
	}
	if _, err := g.DialContext(t.Context(), "tcp", "rebinding.example.com:"+canary.port); !errors.Is(err, ErrBlocked) {
		t.Errorf("the second dial: %v; want ErrBlocked", err)
	}
	if n := canary.visits(t); n != 1 {
		t.Errorf("the canary had %d visits; want 1", n)
	}
}

func TestTheNextAddressIsTried(t *testing.T) {
	t.Parallel()
	canary := newCanary(t) // listens on 127.0.0.1 only
	g := mustGuard(t, Config{AllowCIDRs: prefixes(t, "127.0.0.0/8"), Resolver: &answers{lists: [][]string{{"127.0.0.3", "127.0.0.1"}}}})
	conn, err := g.DialContext(t.Context(), "tcp", "hooks.example.com:"+canary.port)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := conn.RemoteAddr().String(); got != "127.0.0.1:"+canary.port {
		t.Errorf("connected to %s", got)
	}
}

func TestTheFirstErrorIsReturned(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close() // nobody listens there now
	g := mustGuard(t, Config{AllowCIDRs: prefixes(t, "127.0.0.0/8"), Resolver: &answers{lists: [][]string{{"127.0.0.3", "127.0.0.1"}}}})
	_, err = g.DialContext(t.Context(), "tcp", "hooks.example.com:"+port)
	if opErr, ok := errors.AsType[*net.OpError](err); !ok || opErr.Addr == nil || opErr.Addr.String() != "127.0.0.3:"+port {
		t.Errorf("error %v; want that of 127.0.0.3", err)
	}
}

func TestADialEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	canary := newCanary(t)
	_, err := listed(t, nil).DialContext(ctx, "tcp", "127.0.0.1:"+canary.port)
	if err == nil || errors.Is(err, ErrBlocked) {
		t.Errorf("error %v; want that of a cancelled dial", err)
	}
	if n := canary.visits(t); n != 0 {
		t.Errorf("the canary had %d visits after the end", n)
	}
}

// slow never answers before its context ends.
type slow struct{}

func (slow) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	<-ctx.Done()
	return nil, &net.DNSError{Err: ctx.Err().Error(), Name: host, IsTimeout: true}
}

func TestADialWithoutADeadlineEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &Guard{resolver: slow{}}
		start := time.Now()
		_, err := g.DialContext(t.Context(), "tcp", "hooks.example.com:443")
		if netErr, ok := errors.AsType[net.Error](err); !ok || !netErr.Timeout() || time.Since(start) != dialTimeout {
			t.Errorf("error %v after %s; want a timeout after %s", err, time.Since(start), dialTimeout)
		}
	})
}

func TestShare(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	for _, row := range []struct {
		name      string
		remaining time.Duration
		left      int
		want      time.Duration
	}{
		{"one address has all the time", 5 * time.Second, 1, 5 * time.Second},
		{"two have half each", 5 * time.Second, 2, 2500 * time.Millisecond},
		{"eight have no eighth, which is too little", 5 * time.Second, 8, 2 * time.Second},
		{"but never more than there is", time.Second, 8, time.Second},
		{"and nothing after the end", -time.Second, 2, -time.Second},
	} {
		if got := share(now, now.Add(row.remaining), row.left).Sub(now); got != row.want {
			t.Errorf("%s: %s; want %s", row.name, got, row.want)
		}
	}
}

// What the kernel is about to connect to is checked as if nothing had been
// checked before.
func TestSocketCheck(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, network, address string
		allowed                bool
	}{
		{"a public address", "tcp4", "8.8.8.8:443", true},
		{"a public address of IPv6", "tcp6", "[2606:2800:220:1::1]:443", true},
		{"loopback", "tcp4", "127.0.0.1:443", false},
		{"loopback of IPv6", "tcp6", "[::1]:443", false},
		{"IPv4-mapped loopback", "tcp6", "[::ffff:127.0.0.1]:443", false},
		{"metadata", "tcp4", "169.254.169.254:443", false},
		{"a zone", "tcp6", "[fe80::1%2]:443", false},
		{"another port than was asked for", "tcp4", "8.8.8.8:22", false},
		{"another network", "udp4", "8.8.8.8:443", false},
		{"no network", "", "8.8.8.8:443", false},
		{"a name", "tcp4", "hooks.example.com:443", false},
		{"no port", "tcp4", "8.8.8.8", false},
		{"a path", "unix", "/run/docker.sock", false},
		{"nothing", "tcp4", "", false},
	}
	var g Guard
	check := g.control(target{scheme: "https", host: "hooks.example.com", port: 443})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := check(t.Context(), tt.network, tt.address, nil)
			if (err == nil) != tt.allowed || err != nil && !errors.Is(err, ErrBlocked) {
				t.Errorf("%s %s: %v; allowed should be %v", tt.network, tt.address, err, tt.allowed)
			}
		})
	}
}

// If the checks before were wrong, the one of the socket would still keep the
// connection from being made, and the address from being told.
func TestTheSocketCheckAloneKeepsTheCanaryUntouched(t *testing.T) {
	t.Parallel()
	canary := newCanary(t)
	var g Guard
	to := target{scheme: "https", host: "hooks.example.com", port: netip.MustParseAddrPort(canary.address).Port()}
	blocked := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::ffff:127.0.0.1")}
	_, err := g.connect(t.Context(), "tcp", to, blocked, time.Now().Add(dialTimeout))
	if !errors.Is(err, ErrBlocked) || err.Error() != "The host hooks.example.com is not allowed." {
		t.Errorf("error %v; want ErrBlocked without the address", err)
	}
	if n := canary.visits(t); n != 0 {
		t.Errorf("the canary had %d visits", n)
	}
}

// Names that an allow list makes wait are held against the rules when their
// addresses are known.
func TestRulesOfNamesAtDial(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		config  Config
		url     string
		answers []string
		rule    Rule // empty: it may be dialled
	}{
		{"https to a public name", Config{}, "https://hooks.example.com/", []string{"8.8.8.8"}, ""},
		{"http to a listed address", Config{AllowCIDRs: prefixes(t, "10.2.0.0/16")}, "http://intranet:9000/", []string{"10.2.0.8"}, ""},
		{"http to a public address", Config{AllowCIDRs: prefixes(t, "10.2.0.0/16")}, "http://hooks.example.com/", []string{"8.8.8.8"}, RuleHTTPS},
		{"a port to a public address", Config{AllowCIDRs: prefixes(t, "10.2.0.0/16")}, "https://hooks.example.com:9000/", []string{"8.8.8.8"}, RulePort},
		{"a private name to a public address", Config{AllowCIDRs: prefixes(t, "10.2.0.0/16")}, "https://intranet/", []string{"8.8.8.8"}, RulePrivateName},
		{"one address of two is listed", Config{AllowCIDRs: prefixes(t, "10.2.0.0/16")}, "http://intranet:9000/", []string{"10.2.0.8", "8.8.8.8"}, RuleHTTPS},
		{"an address that is not listed", Config{AllowCIDRs: prefixes(t, "10.2.0.0/16")}, "https://hooks.example.com/", []string{"10.3.0.8"}, RuleAddress},
		{"AllowPrivate frees public addresses too", Config{AllowPrivate: true}, "http://hooks.example.com:9000/", []string{"8.8.8.8"}, ""},
		{"AllowPrivate, and the deny list", Config{AllowPrivate: true, DenyCIDRs: prefixes(t, "10.0.0.0/8")}, "http://intranet/", []string{"10.2.0.8"}, RuleAddress},
		{"the inspector by name", Config{Exempt: "http://inbox:8484"}, "http://inbox:8484/in/abc", []string{"127.0.0.1"}, ""},
		{"the inspector leads to metadata", Config{Exempt: "http://inbox:8484"}, "http://inbox:8484/in/abc", []string{"169.254.169.254"}, RuleAddress},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.config.Resolver = &answers{lists: [][]string{tt.answers}}
			g := mustGuard(t, tt.config)
			ctx, err := g.Admit(t.Context(), tt.url)
			if err != nil {
				t.Fatal(err)
			}
			_, address, _ := strings.Cut(tt.url, "://")
			address, _, _ = strings.Cut(address, "/")
			if !strings.Contains(address, ":") {
				address += map[bool]string{true: ":443", false: ":80"}[strings.HasPrefix(tt.url, "https:")]
			}
			to, err := dialTarget(ctx, "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			addrs, err := g.resolve(ctx, "tcp", to) // all but the connecting: it would leave the machine
			if tt.rule == "" {
				if err != nil || len(addrs) != len(tt.answers) {
					t.Errorf("addresses %v, error %v; want %v", addrs, err, tt.answers)
				}
				return
			}
			if !errors.Is(err, ErrBlocked) || !errors.Is(err, tt.rule) {
				t.Errorf("error %v; want the rule about %s", err, tt.rule)
			}
		})
	}
}

// Without the inspector's URL in the context its address is like any other.
func TestTheInspectorNeedsItsURL(t *testing.T) {
	t.Parallel()
	canary := newCanary(t)
	origin := "http://127.0.0.1:" + canary.port
	g := mustGuard(t, Config{Exempt: origin})
	address := "127.0.0.1:" + canary.port
	if _, err := g.DialContext(t.Context(), "tcp", address); !errors.Is(err, ErrBlocked) {
		t.Errorf("without a URL: %v; want ErrBlocked", err)
	}
	ctx, err := g.Admit(t.Context(), origin+"/in/abc")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.DialContext(ctx, "tcp", "127.0.0.1:1"); !errors.Is(err, ErrBlocked) {
		t.Errorf("another port than the URL's: %v; want ErrBlocked", err)
	}
	if n := canary.visits(t); n != 0 {
		t.Errorf("the canary had %d visits", n)
	}
	conn, err := g.DialContext(ctx, "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// To say that a private name does not exist would be to say which ones do.
func TestABlockedNameIsNotLookedUp(t *testing.T) {
	t.Parallel()
	resolver := &answers{lists: [][]string{nil}}
	g := mustGuard(t, Config{Resolver: resolver})
	for _, address := range []string{"intranet:443", "wiki.internal:443", "hooks.example.com:22"} {
		_, err := g.DialContext(t.Context(), "tcp", address)
		if host, _, _ := strings.Cut(address, ":"); !errors.Is(err, ErrBlocked) || err.Error() != "The host "+host+" is not allowed." {
			t.Errorf("%s: error %v; want ErrBlocked", address, err)
		}
	}
	if len(resolver.hosts) > 0 {
		t.Errorf("looked up %v", resolver.hosts)
	}
}

func TestWhatABlockedHostTells(t *testing.T) {
	t.Parallel()
	g := &Guard{resolver: &answers{lists: [][]string{{"10.2.0.8"}}}}
	tests := []struct{ name, address, public, detail string }{
		{"of a name, nothing about its address", "hooks.example.com:443",
			"The host hooks.example.com is not allowed.",
			"egress: hooks.example.com is blocked: it leads to 10.2.0.8: private address (private, RFC 1918)"},
		{"of an address that the operator wrote, what is wrong with it", "10.2.0.8:443",
			"10.2.0.8 is a private address. Your administrator must allow it (TELLTALE_ALLOW_CIDRS).",
			"egress: 10.2.0.8 is blocked: private address (private, RFC 1918)"},
		{"of a port, the rule", "8.8.8.8:22",
			"Use port 443, 80, 8080 or 8443, or have your administrator allow port 22 (TELLTALE_EGRESS_PORTS).",
			"egress: 8.8.8.8 is blocked: Use port 443, 80, 8080 or 8443, or have your administrator allow port 22 (TELLTALE_EGRESS_PORTS)."},
		{"of what cannot be read, no more than 64 bytes", strings.Repeat("a", 1000) + ":443",
			"The host " + strings.Repeat("a", 64) + "… is not allowed.", "egress: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := g.DialContext(t.Context(), "tcp", tt.address)
			blocked, ok := errors.AsType[*BlockedError](err)
			if !ok || err.Error() != tt.public {
				t.Fatalf("error %v; want %s", err, tt.public)
			}
			if got := blocked.Detail(); got != tt.detail && (!strings.HasPrefix(got, tt.detail) || len(got) > 400) {
				t.Errorf("detail %s; want %s", got, tt.detail)
			}
		})
	}
}

// Callers measure lookup and connect through httptrace.
func TestTraceHooksAreCalled(t *testing.T) {
	t.Parallel()
	canary := newCanary(t)
	g := mustGuard(t, Config{AllowPrivate: true}) // with the system's resolver
	var mu sync.Mutex
	var calls []string
	record := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, fmt.Sprintf(format, args...))
	}
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		DNSStart:     func(i httptrace.DNSStartInfo) { record("lookup of %s", i.Host) },
		DNSDone:      func(i httptrace.DNSDoneInfo) { record("looked up: %v", i.Err) },
		ConnectStart: func(network, addr string) { record("connect to %s %s", network, addr) },
		ConnectDone:  func(network, addr string, err error) { record("connected: %v", err) },
	})
	conn, err := g.DialContext(ctx, "tcp4", "localhost:"+canary.port)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	want := []string{"lookup of localhost", "looked up: <nil>", "connect to tcp4 127.0.0.1:" + canary.port, "connected: <nil>"}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Errorf("hooks (-want +got):\n%s", diff)
	}
}

// A name server is no receiver: that it was connected to is nobody's measure, and
// would be told by several goroutines at once.
func TestHooksDoNotHearOfNameServers(t *testing.T) {
	t.Parallel()
	server, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { // it knows no name: each question comes back as an answer of NXDOMAIN
		packet := make([]byte, 512)
		for {
			n, from, err := server.ReadFrom(packet)
			if err != nil {
				return
			}
			packet[2], packet[3] = 0x84, 0x03 // RFC 1035, section 4.1.1: QR, AA; RCODE 3
			_, _ = server.WriteTo(packet[:n], from)
		}
	}()
	t.Cleanup(func() { server.Close() })
	var dials atomic.Int64
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		dials.Add(1)
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	g := mustGuard(t, Config{Resolver: resolver})
	var looked, connects atomic.Int64
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		DNSDone:      func(httptrace.DNSDoneInfo) { looked.Add(1) },
		ConnectStart: func(string, string) { connects.Add(1) },
		ConnectDone:  func(string, string, error) { connects.Add(1) },
	})
	conn, err := g.DialContext(ctx, "tcp", "hooks.acme-receivers.com:443")
	if err == nil {
		conn.Close()
		t.Fatal("a name that nobody knows was dialled")
	}
	if looked.Load() != 1 || connects.Load() != 0 || dials.Load() == 0 {
		t.Errorf("the hooks heard of %d lookups and %d connects, of %d to name servers: %v", looked.Load(), connects.Load(), dials.Load(), err)
	}
}

func TestRoundTripper(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		if r.URL.Path == "/in/redirect" {
			http.Redirect(w, r, "/v1/webhooks", http.StatusTemporaryRedirect)
			return
		}
		fmt.Fprint(w, r.URL.Path)
	}))
	t.Cleanup(server.Close)
	g := mustGuard(t, Config{Exempt: server.URL})
	base := &http.Transport{
		Proxy: func(*http.Request) (*url.URL, error) {
			return nil, errors.New("the base transport's proxy was asked for")
		},
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("the base transport dialled")
		},
	}
	client := &http.Client{Transport: g.RoundTripper(base)}
	t.Cleanup(client.CloseIdleConnections)

	get := func(address string) (string, error) {
		answer, err := client.Post(address, "application/json", strings.NewReader("{}"))
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		return string(body), err
	}
	for range 2 { // the second time over the connection that is there
		if body, err := get(server.URL + "/in/abc"); err != nil || body != "/in/abc" {
			t.Fatalf("the inspector answers %q, %v", body, err)
		}
		if _, err := get(server.URL + "/v1/webhooks"); !errors.Is(err, ErrBlocked) {
			t.Errorf("another path of the same server: %v; want ErrBlocked", err)
		}
	}
	if n := hits.Load(); n != 2 {
		t.Errorf("the server had %d requests; want 2", n)
	}
	if _, err := get(server.URL + "/in/redirect"); !errors.Is(err, ErrBlocked) {
		t.Errorf("a redirect to another path: %v; want ErrBlocked", err)
	}
	if n := hits.Load(); n != 3 {
		t.Errorf("the server had %d requests; want 3: the redirect's target none", n)
	}
}

func BenchmarkAdmit(b *testing.B) {
	g, ctx := &Guard{}, context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Admit(ctx, "https://hooks.example.com/webhooks/telltale?project=1"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckAddr(b *testing.B) {
	g, addr := &Guard{}, netip.MustParseAddr("2606:2800:220:1:248:1893:25c8:1946")
	b.ReportAllocs()
	for b.Loop() {
		if err := g.CheckAddr(addr); err != nil {
			b.Fatal(err)
		}
	}
}
