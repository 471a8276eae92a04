package egress

import (
	"net/netip"
)

// block is a range of addresses that are not dialled, and why.
type block struct {
	prefix  netip.Prefix
	reason  string
	private bool                           // of a private network: Config.AllowPrivate opens it
	inner   func(address [16]byte) [4]byte // where in the address another, of IPv4, is hidden
}

func blocked(prefix, reason string) block {
	return block{prefix: netip.MustParsePrefix(prefix), reason: reason}
}

func private(prefix, reason string) block {
	return block{prefix: netip.MustParsePrefix(prefix), reason: reason, private: true}
}

func embeds(prefix, reason string, inner func([16]byte) [4]byte) block {
	return block{prefix: netip.MustParsePrefix(prefix), reason: "embeds IPv4: " + reason, inner: inner}
}

// alwaysBlocked is where clouds answer any process on the machine with the
// machine's credentials. No setting opens it.
var alwaysBlocked = []block{
	blocked("169.254.0.0/16", "link-local, RFC 3927; instance metadata at 169.254.169.254"),
	blocked("fd00:ec2::254/128", "instance metadata of Amazon EC2"),
}

// blocks holds IANA's IPv4 special-purpose registry as of 2025-10, whether
// globally reachable or not, with multicast and what clouds answer on; and of
// IPv6 the special ranges within 2000::/3, the only range that is public. The
// rows outside 2000::/3 are there for their reason. The first match counts.
var blocks = []block{
	// Addresses of clouds, before the private ranges that hold them: they are
	// no development machine.
	blocked("100.100.100.200/32", "instance metadata of Alibaba Cloud"),
	blocked("168.63.129.16/32", "virtual public address of Azure's host agent"),
	blocked("fd20:ce::254/128", "instance metadata of Google Cloud"),
	blocked("fd00:42::42/128", "instance metadata of Scaleway"),

	blocked("0.0.0.0/8", "this network, RFC 791; Linux takes 0.0.0.0 for loopback"),
	private("10.0.0.0/8", "private, RFC 1918"),
	private("100.64.0.0/10", "shared by carriers and overlay networks, RFC 6598"),
	private("127.0.0.0/8", "loopback, RFC 1122"),
	private("172.16.0.0/12", "private, RFC 1918"),
	blocked("192.0.0.0/24", "IETF protocol assignments, RFC 6890; instance metadata of Oracle Cloud"),
	blocked("192.0.2.0/24", "documentation, RFC 5737"),
	blocked("192.31.196.0/24", "AS112, RFC 7535"),
	blocked("192.52.193.0/24", "AMT, RFC 7450"),
	blocked("192.88.99.0/24", "6to4 relays, withdrawn, RFC 7526"),
	private("192.168.0.0/16", "private, RFC 1918"),
	blocked("192.175.48.0/24", "AS112, RFC 7534"),
	blocked("198.18.0.0/15", "benchmarks, RFC 2544"),
	blocked("198.51.100.0/24", "documentation, RFC 5737"),
	blocked("203.0.113.0/24", "documentation, RFC 5737"),
	blocked("224.0.0.0/4", "multicast, RFC 5771"),
	blocked("255.255.255.255/32", "limited broadcast, RFC 919"),
	blocked("240.0.0.0/4", "reserved, RFC 1112"),

	blocked("::/128", "unspecified, RFC 4291; Linux takes it for loopback"),
	private("::1/128", "loopback, RFC 4291"),
	embeds("::/96", "IPv4-compatible, RFC 4291", atEnd),
	embeds("::ffff:0:0:0/96", "IPv4-translated, RFC 2765", atEnd),
	embeds("64:ff9b::/96", "NAT64, RFC 6052", atEnd),
	embeds("64:ff9b:1::/48", "local NAT64, RFC 8215, read as a /96", atEnd),
	blocked("100::/64", "discarded, RFC 6666"),
	blocked("100:0:0:1::/64", "dummy, RFC 9780"),
	embeds("2001::/32", "Teredo, RFC 4380", invertedAtEnd),
	blocked("2001::/23", "IETF protocol assignments, RFC 2928"),
	blocked("2001:db8::/32", "documentation, RFC 3849"),
	embeds("2002::/16", "6to4, RFC 3056", afterPrefix16),
	blocked("2620:4f:8000::/48", "AS112, RFC 7534"),
	blocked("2d00::/8", "unassigned, IANA IPv6 unicast assignments"),
	blocked("2e00::/7", "unassigned, IANA IPv6 unicast assignments"),
	blocked("3ffe::/16", "6bone, withdrawn, RFC 3701"),
	blocked("3fff::/20", "documentation, RFC 9637"),
	blocked("3000::/4", "unassigned, IANA IPv6 unicast assignments"),
	blocked("5f00::/16", "segment identifiers, RFC 9602"),
	private("fc00::/7", "unique local, RFC 4193"),
	blocked("fe80::/10", "link-local, RFC 4291"),
	blocked("fec0::/10", "site-local, withdrawn, RFC 3879"),
	blocked("ff00::/8", "multicast, RFC 4291"),
}

var publicIPv6 = netip.MustParsePrefix("2000::/3") // RFC 4291: the only range that IANA assigns from

// find gives the block that addr lies in; none if addr is public.
func find(addr netip.Addr) (block, bool) {
	if isISATAP(addr) {
		return block{reason: "embeds IPv4: ISATAP, RFC 5214", inner: atEnd}, true
	}
	if b, ok := within(addr, blocks); ok {
		return b, true
	}
	if addr.Is6() && !publicIPv6.Contains(addr) {
		return block{reason: "outside 2000::/3, RFC 4291"}, true
	}
	return block{}, false
}

func within(addr netip.Addr, blocks []block) (block, bool) {
	for _, b := range blocks {
		if b.prefix.Contains(addr) {
			return b, true
		}
	}
	return block{}, false
}

// Public reports whether addr is a public unicast address, whatever the
// administrator has opened. What a webhook's operator may learn of a failed
// connection depends on it.
func Public(addr netip.Addr) bool {
	if !addr.IsValid() || addr.Zone() != "" {
		return false
	}
	addr = addr.Unmap()
	_, always := within(addr, alwaysBlocked)
	_, special := find(addr)
	return !always && !special
}

// isISATAP reports whether the interface identifier is 0000:5efe or 0200:5efe
// and an IPv4 address: under any prefix, RFC 5214, section 6.1.
func isISATAP(addr netip.Addr) bool {
	if !addr.Is6() {
		return false
	}
	b := addr.As16()
	return (b[8] == 0 || b[8] == 2) && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}

// Where an IPv6 address hides one of IPv4.
func atEnd(b [16]byte) [4]byte         { return [4]byte(b[12:]) }
func afterPrefix16(b [16]byte) [4]byte { return [4]byte(b[2:]) }

// invertedAtEnd is where Teredo keeps its client, RFC 4380, section 4.
func invertedAtEnd(b [16]byte) [4]byte { return [4]byte{^b[12], ^b[13], ^b[14], ^b[15]} }
