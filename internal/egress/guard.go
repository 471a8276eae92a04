package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Config is what an administrator allows. Its zero value is the strictest:
// public addresses, https, four ports.
type Config struct {
	// AllowPrivate opens loopback, private and shared networks, and lifts the
	// rules about http, ports and private names. For development.
	AllowPrivate bool

	// AllowHTTP lifts the rule about http.
	AllowHTTP bool

	// Ports may be dialled beside 443, 80, 8080 and 8443.
	Ports []int

	// AllowCIDRs opens the addresses inside, and only them, and lifts for them
	// the same rules as AllowPrivate. An IPv6 address that embeds one of IPv4
	// stays blocked unless that one may be dialled too.
	AllowCIDRs []netip.Prefix

	// DenyCIDRs blocks the addresses inside; it wins over whatever allows.
	DenyCIDRs []netip.Prefix

	// Exempt is the origin of the server's own inspector, such as
	// http://127.0.0.1:8484; empty for none. URLs of that very origin below
	// /in/ are free of every rule but those about form, the deny list and what
	// is always blocked.
	Exempt string

	// Resolver looks names up; nil means the system's.
	Resolver Resolver
}

// Resolver looks names up. [*net.Resolver] is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// inspectorPath is where the inspector catches requests.
const inspectorPath = "/in/"

// defaultPorts are those that receivers commonly listen on.
var defaultPorts = []uint16{443, 80, 8080, 8443}

// Guard decides what may be dialled, and dials it. It never changes, so any
// number of goroutines may use it. The zero Guard is that of the zero [Config].
type Guard struct {
	allowPrivate, allowHTTP bool
	ports                   []uint16 // beside the default ones
	allow, deny             []netip.Prefix
	exempt                  target // none if it has no host
	resolver                Resolver
}

// New makes a guard. Its error names the setting that is wrong.
func New(c Config) (*Guard, error) {
	g := &Guard{allowPrivate: c.AllowPrivate, allowHTTP: c.AllowHTTP, resolver: c.Resolver}
	for _, p := range c.Ports {
		if p < 1 || p > 65535 {
			return nil, fmt.Errorf("egress: port %d does not exist: expected 1 to 65535", p)
		}
		g.ports = append(g.ports, uint16(p))
	}
	var err error
	if g.allow, err = readPrefixes("allowed", c.AllowCIDRs); err != nil {
		return nil, err
	}
	if g.deny, err = readPrefixes("denied", c.DenyCIDRs); err != nil {
		return nil, err
	}
	if c.Exempt == "" {
		return g, nil
	}
	t, path, err := parseURL(c.Exempt)
	if err != nil {
		return nil, fmt.Errorf("egress: exempt origin %q: %w", cut(c.Exempt), err)
	}
	if path != "" && path != "/" {
		return nil, fmt.Errorf("egress: exempt origin %q: expected a scheme, a host and a port, without a path", cut(c.Exempt))
	}
	g.exempt = t
	return g, nil
}

func readPrefixes(list string, prefixes []netip.Prefix) ([]netip.Prefix, error) {
	var read []netip.Prefix
	for _, p := range prefixes {
		if p.IsValid() && p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96) // as addresses are, before they are compared
		}
		switch {
		case !p.IsValid(), p.Addr().Is4In6():
			return nil, fmt.Errorf("egress: %s network %s: expected an address and a length, such as 10.0.0.0/8", list, p)
		case p != p.Masked():
			return nil, fmt.Errorf("egress: %s network %s: it has bits beyond its length; expected %s", list, p, p.Masked())
		}
		read = append(read, p)
	}
	return read, nil
}

// CheckURL reports the first rule that a URL breaks, as a [*URLError] whose
// sentence is for the person who typed it. A host that is an address is held
// against the rules about addresses; a name is not looked up, since its addresses
// may be others by the time that they matter: [Guard.DialContext] judges them.
func (g *Guard) CheckURL(raw string) error {
	_, err := g.check(raw)
	return err
}

// admitted is the key of a context that [Guard.Admit] made; its value is a target.
type admitted struct{}

// Admit checks a URL as [Guard.CheckURL] does, right before a request for it,
// and gives a context that tells [Guard.DialContext] which URL it dials for.
// Without it, a dial counts as one for https and never as the inspector's. Its
// error is a [*BlockedError].
func (g *Guard) Admit(ctx context.Context, raw string) (context.Context, error) {
	t, err := g.check(raw)
	if err == nil {
		return context.WithValue(ctx, admitted{}, t), nil
	}
	e, ok := errors.AsType[*URLError](err)
	switch {
	case !ok:
		return nil, err
	case e.blocked != nil:
		return nil, e.blocked
	}
	return nil, &BlockedError{Rule: e.Rule, sentence: e.Sentence, reason: e.Sentence}
}

func (g *Guard) check(raw string) (target, error) {
	t, path, err := parseURL(raw)
	if err != nil {
		return target{}, err
	}
	t.exempt = t == g.exempt && isBelow(inspectorPath, path)
	if t.isName() {
		return t, g.checkName(t)
	}
	free, blocked := g.judge(t.addr, t.exempt)
	if blocked != nil {
		blocked.Host = t.host
		return target{}, &URLError{Rule: RuleAddress, Sentence: blocked.Error(), blocked: blocked}
	}
	if !free {
		if err := g.checkRules(t); err != nil {
			return target{}, err
		}
	}
	return t, nil
}

// CheckAddr reports whether an address may be dialled, on a port that may be,
// as a [*BlockedError].
func (g *Guard) CheckAddr(addr netip.Addr) error {
	if _, blocked := g.judge(addr, false); blocked != nil {
		blocked.Host = addr.String()
		return blocked
	}
	return nil
}

// judge decides about an address; the package comment has the order. It also
// says whether the address is free of the rules about URLs. Of the error it
// leaves Host to the caller.
func (g *Guard) judge(addr netip.Addr, exempt bool) (free bool, _ *BlockedError) {
	if !addr.IsValid() || addr.Zone() != "" {
		return false, &BlockedError{Rule: RuleAddress, Addr: addr, reason: "it is no address that can be read, or has a zone"}
	}
	addr = addr.Unmap()
	if b, ok := within(addr, alwaysBlocked); ok {
		return false, &BlockedError{Rule: RuleAddress, Addr: addr,
			sentence: fmt.Sprintf("%s is never allowed.", addr),
			reason:   fmt.Sprintf("always blocked (%s: %s)", b.prefix, b.reason)}
	}
	if p, ok := contains(g.deny, addr); ok {
		return false, &BlockedError{Rule: RuleAddress, Addr: addr,
			sentence: fmt.Sprintf("%s is not allowed by your administrator.", addr),
			reason:   fmt.Sprintf("on the deny list (%s)", p)}
	}
	if exempt {
		return true, nil
	}
	b, special := find(addr)
	if _, ok := contains(g.allow, addr); ok {
		if b.inner != nil {
			// A translator would carry the packets on: a listed range must not
			// lead where the list does not.
			if _, err := g.judge(netip.AddrFrom4(b.inner(addr.As16())), false); err != nil {
				return false, &BlockedError{Rule: RuleAddress, Addr: addr, sentence: err.sentence, reason: fmt.Sprintf("%s; %s: %s", b.reason, err.Addr, err.reason)}
			}
		}
		return true, nil
	}
	if special && !(b.private && g.allowPrivate) {
		kind := "reserved"
		if b.private {
			kind = "private"
		}
		return false, &BlockedError{Rule: RuleAddress, Addr: addr,
			sentence: fmt.Sprintf("%s is a %s address. Your administrator must allow it (TELLTALE_ALLOW_CIDRS).", addr, kind),
			reason:   fmt.Sprintf("%s address (%s)", kind, b.reason)}
	}
	return g.allowPrivate, nil
}

func contains(prefixes []netip.Prefix, addr netip.Addr) (netip.Prefix, bool) {
	for _, p := range prefixes {
		if p.Contains(addr) {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// checkName holds a name against the rules that its addresses cannot lift.
func (g *Guard) checkName(t target) error {
	if t.exempt || g.allowPrivate || len(g.allow) > 0 {
		return nil // under an allow list it depends on the addresses
	}
	return g.checkRules(t)
}

// checkRules holds the rules that an administrator can lift and that are not
// about addresses.
func (g *Guard) checkRules(t target) error {
	switch {
	case t.scheme == "http" && !g.allowHTTP:
		return broken(RuleHTTPS, "Start the URL with https://, or have your administrator allow http (TELLTALE_ALLOW_HTTP).")
	case !slices.Contains(defaultPorts, t.port) && !slices.Contains(g.ports, t.port):
		return broken(RulePort, "Use port %s, or have your administrator allow port %d (TELLTALE_EGRESS_PORTS).", g.portList(), t.port)
	case t.isName() && isPrivateName(t.host):
		return broken(RulePrivateName, "%s is a private name. Your administrator must allow the addresses behind it (TELLTALE_ALLOW_CIDRS).", cut(t.host))
	}
	return nil
}

func (g *Guard) portList() string {
	var b strings.Builder
	ports := slices.Concat(defaultPorts, g.ports)
	for i, p := range ports {
		switch {
		case i == len(ports)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		fmt.Fprint(&b, p)
	}
	return b.String()
}

func (g *Guard) lookUp(ctx context.Context, host string) ([]netip.Addr, error) {
	r := g.resolver
	if r == nil {
		r = &net.Resolver{}
	}
	return r.LookupNetIP(lookupTrace(ctx), "ip", host)
}
