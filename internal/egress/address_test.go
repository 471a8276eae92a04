package egress

import (
	"errors"
	"net/netip"
	"testing"
)

func prefixes(t testing.TB, texts ...string) []netip.Prefix {
	t.Helper()
	var ps []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
	return ps
}

func mustGuard(t testing.TB, c Config) *Guard {
	t.Helper()
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		addr      string
		public    bool // dialled by everyone
		onPrivate bool // dialled with AllowPrivate
	}{
		{"a public address", "8.8.8.8", true, true},
		{"a public address of IPv6", "2606:2800:220:1:248:1893:25c8:1946", true, true},
		{"another registry's", "2a00:1450:4001:82a::200e", true, true},
		{"the first after this network", "1.0.0.0", true, true},
		{"the last before 10/8", "9.255.255.255", true, true},
		{"the first after 10/8", "11.0.0.0", true, true},
		{"the last before the shared range", "100.63.255.255", true, true},
		{"the first after the shared range", "100.128.0.0", true, true},
		{"the last before loopback", "126.255.255.255", true, true},
		{"the first after loopback", "128.0.0.0", true, true},
		{"the last before link-local", "169.253.255.255", true, true},
		{"the first after link-local", "169.255.0.0", true, true},
		{"the last before 172.16/12", "172.15.255.255", true, true},
		{"the first after 172.16/12", "172.32.0.0", true, true},
		{"beside the IETF's", "192.0.1.0", true, true},
		{"beside 192.168/16", "192.169.0.0", true, true},
		{"beside the benchmarks", "198.20.0.0", true, true},
		{"the last before multicast", "223.255.255.255", true, true},
		{"beside Azure's agent", "168.63.129.17", true, true},
		{"the first of public IPv6 that is not the IETF's", "2001:200::1", true, true},
		{"beside 6to4", "2003::1", true, true},
		{"a public address as IPv4-mapped", "::ffff:8.8.8.8", true, true},

		{"zero", "0.0.0.0", false, false},
		{"this network", "0.255.255.255", false, false},
		{"10/8, first", "10.0.0.0", false, true},
		{"10/8, last", "10.255.255.255", false, true},
		{"shared, first", "100.64.0.0", false, true},
		{"shared, last", "100.127.255.255", false, true},
		{"Alibaba's metadata in it", "100.100.100.200", false, false},
		{"loopback", "127.0.0.1", false, true},
		{"loopback, last", "127.255.255.255", false, true},
		{"link-local, first", "169.254.0.0", false, false},
		{"metadata", "169.254.169.254", false, false},
		{"Amazon's task credentials", "169.254.170.2", false, false},
		{"link-local, last", "169.254.255.255", false, false},
		{"172.16/12, first", "172.16.0.0", false, true},
		{"172.16/12, last", "172.31.255.255", false, true},
		{"the IETF's", "192.0.0.1", false, false},
		{"Oracle's metadata", "192.0.0.192", false, false},
		{"documentation 1", "192.0.2.1", false, false},
		{"AS112", "192.31.196.1", false, false},
		{"AMT", "192.52.193.1", false, false},
		{"6to4 relays", "192.88.99.1", false, false},
		{"192.168/16", "192.168.1.1", false, true},
		{"AS112, direct", "192.175.48.1", false, false},
		{"benchmarks, first", "198.18.0.0", false, false},
		{"benchmarks, last", "198.19.255.255", false, false},
		{"documentation 2", "198.51.100.1", false, false},
		{"documentation 3", "203.0.113.1", false, false},
		{"multicast, first", "224.0.0.0", false, false},
		{"multicast, last", "239.255.255.255", false, false},
		{"reserved, first", "240.0.0.0", false, false},
		{"reserved, last but one", "255.255.255.254", false, false},
		{"broadcast", "255.255.255.255", false, false},
		{"Azure's agent", "168.63.129.16", false, false},

		{"unspecified", "::", false, false},
		{"loopback of IPv6", "::1", false, true},
		{"IPv4-mapped loopback", "::ffff:127.0.0.1", false, true},
		{"IPv4-mapped metadata", "::ffff:169.254.169.254", false, false},
		{"IPv4-mapped zero", "::ffff:0.0.0.0", false, false},
		{"IPv4-compatible public", "::8.8.8.8", false, false},
		{"IPv4-compatible loopback", "::127.0.0.1", false, false},
		{"IPv4-translated public", "::ffff:0:8.8.8.8", false, false},
		{"NAT64 of a public address", "64:ff9b::8.8.8.8", false, false},
		{"NAT64 of loopback", "64:ff9b::127.0.0.1", false, false},
		{"local NAT64", "64:ff9b:1::a00:1", false, false},
		{"local NAT64, last", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", false, false},
		{"discard", "100::1", false, false},
		{"dummy", "100:0:0:1::1", false, false},
		{"Teredo", "2001:0:4136:e378:8000:63bf:3fff:fdd2", false, false},
		{"benchmarks of IPv6", "2001:2::1", false, false},
		{"AMT of IPv6", "2001:3::1", false, false},
		{"AS112 of IPv6", "2001:4:112::1", false, false},
		{"ORCHID", "2001:10::1", false, false},
		{"ORCHIDv2", "2001:20::1", false, false},
		{"drones", "2001:30::1", false, false},
		{"the IETF's of IPv6, last", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", false, false},
		{"documentation of IPv6", "2001:db8::1", false, false},
		{"6to4 of a public address", "2002:808:808::1", false, false},
		{"6to4 of a private address", "2002:a00:1::1", false, false},
		{"AS112 of IPv6, direct", "2620:4f:8000::1", false, false},
		{"never assigned", "2d00::1", false, false},
		{"never assigned, between", "2e00::1", false, false},
		{"never assigned, above", "3000::1", false, false},
		{"6bone", "3ffe::1", false, false},
		{"documentation, the second", "3fff::1", false, false},
		{"the last of 2000::/3", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, false},
		{"just below 2000::/3", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, false},
		{"just above 2000::/3", "4000::", false, false},
		{"segments", "5f00::1", false, false},
		{"unique local", "fc00::1", false, true},
		{"unique local, commonly", "fd12:3456:789a::1", false, true},
		{"Amazon's metadata", "fd00:ec2::254", false, false},
		{"beside Amazon's metadata", "fd00:ec2::253", false, true},
		{"Google's metadata", "fd20:ce::254", false, false},
		{"Scaleway's metadata", "fd00:42::42", false, false},
		{"link-local of IPv6", "fe80::1", false, false},
		{"link-local with a zone", "fe80::1%eth0", false, false},
		{"a public address with a zone", "2606:2800:220:1::1%eth0", false, false},
		{"site-local", "fec0::1", false, false},
		{"multicast of IPv6", "ff02::1", false, false},
		{"ISATAP under a public prefix", "2606:2800:220:1:0:5efe:808:808", false, false},
		{"ISATAP, marked as global", "2606:2800:220:1:200:5efe:a00:1", false, false},
		{"ISATAP under a private prefix", "fd12::5efe:10.0.0.1", false, false},
	}
	strict, onPrivate := &Guard{}, mustGuard(t, Config{AllowPrivate: true})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			addr := netip.MustParseAddr(tt.addr)
			if err := strict.CheckAddr(addr); (err == nil) != tt.public || err != nil && (!errors.Is(err, ErrBlocked) || !errors.Is(err, RuleAddress)) {
				t.Errorf("%s: %v; allowed should be %v", addr, err, tt.public)
			}
			if err := onPrivate.CheckAddr(addr); (err == nil) != tt.onPrivate {
				t.Errorf("%s with AllowPrivate: %v; allowed should be %v", addr, err, tt.onPrivate)
			}
			if Public(addr) != tt.public {
				t.Errorf("Public(%s) is %v", addr, !tt.public)
			}
		})
	}
	if strict.CheckAddr(netip.Addr{}) == nil || Public(netip.Addr{}) {
		t.Error("no address at all is allowed")
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	everything := prefixes(t, "0.0.0.0/0", "::/0")
	tests := []struct {
		name    string
		config  Config
		addr    string
		allowed bool
	}{
		{"the allow list opens an address inside", Config{AllowCIDRs: prefixes(t, "10.2.0.0/16")}, "10.2.0.8", true},
		{"and nothing beside it", Config{AllowCIDRs: prefixes(t, "10.2.0.0/16")}, "10.3.0.8", false},
		{"and inside it as IPv4-mapped", Config{AllowCIDRs: prefixes(t, "10.2.0.0/16")}, "::ffff:10.2.0.8", true},
		{"an allow list written as IPv4-mapped", Config{AllowCIDRs: prefixes(t, "::ffff:10.2.0.0/112")}, "10.2.0.8", true},
		{"all of IPv6 is not all of IPv4", Config{AllowCIDRs: prefixes(t, "::/0")}, "::ffff:10.2.0.8", false},
		{"a single address", Config{AllowCIDRs: prefixes(t, "127.0.0.1/32")}, "127.0.0.1", true},
		{"and not its neighbour", Config{AllowCIDRs: prefixes(t, "127.0.0.1/32")}, "127.0.0.2", false},
		{"loopback of IPv6, though it lies in a range that embeds IPv4", Config{AllowCIDRs: prefixes(t, "::1/128")}, "::1", true},
		{"documentation, once listed", Config{AllowCIDRs: prefixes(t, "192.0.2.0/24")}, "192.0.2.1", true},
		{"a public address beside an allow list", Config{AllowCIDRs: prefixes(t, "10.0.0.0/8")}, "8.8.8.8", true},

		{"the deny list wins over public", Config{DenyCIDRs: prefixes(t, "8.8.8.0/24")}, "8.8.8.8", false},
		{"the deny list holds for IPv4-mapped", Config{DenyCIDRs: prefixes(t, "8.8.8.0/24")}, "::ffff:8.8.8.8", false},
		{"the deny list wins over the allow list", Config{DenyCIDRs: prefixes(t, "10.2.0.0/24"), AllowCIDRs: prefixes(t, "10.2.0.0/16")}, "10.2.0.8", false},
		{"however narrow the allow list", Config{DenyCIDRs: prefixes(t, "10.0.0.0/8"), AllowCIDRs: prefixes(t, "10.2.0.8/32")}, "10.2.0.8", false},
		{"the deny list wins over AllowPrivate", Config{DenyCIDRs: prefixes(t, "10.2.0.0/24"), AllowPrivate: true}, "10.2.0.8", false},
		{"metadata stays blocked whatever is allowed", Config{AllowCIDRs: everything, AllowPrivate: true}, "169.254.169.254", false},
		{"and its neighbours", Config{AllowCIDRs: prefixes(t, "169.254.0.0/16"), AllowPrivate: true}, "169.254.1.1", false},
		{"and as IPv4-mapped", Config{AllowCIDRs: everything, AllowPrivate: true}, "::ffff:a9fe:a9fe", false},
		{"and that of IPv6", Config{AllowCIDRs: prefixes(t, "fd00:ec2::254/128"), AllowPrivate: true}, "fd00:ec2::254", false},
		{"other metadata only by name", Config{AllowCIDRs: prefixes(t, "100.100.100.200/32")}, "100.100.100.200", true},

		{"NAT64, once listed, to a public address", Config{AllowCIDRs: prefixes(t, "64:ff9b::/96")}, "64:ff9b::808:808", true},
		{"NAT64 does not lead to a private address", Config{AllowCIDRs: prefixes(t, "64:ff9b::/96")}, "64:ff9b::10.2.0.8", false},
		{"unless that is listed too", Config{AllowCIDRs: prefixes(t, "64:ff9b::/96", "10.0.0.0/8")}, "64:ff9b::10.2.0.8", true},
		{"NAT64 does not lead to metadata", Config{AllowCIDRs: everything, AllowPrivate: true}, "64:ff9b::169.254.169.254", false},
		{"NAT64 does not lead around the deny list", Config{AllowCIDRs: everything, DenyCIDRs: prefixes(t, "8.8.8.0/24")}, "64:ff9b::808:808", false},
		{"local NAT64 does not lead to metadata", Config{AllowCIDRs: everything}, "64:ff9b:1::a9fe:a9fe", false},
		{"6to4 does not lead to metadata", Config{AllowCIDRs: everything}, "2002:a9fe:a9fe::1", false},
		{"Teredo does not lead to metadata", Config{AllowCIDRs: everything}, "2001:0:808:808::5601:5601", false},
		{"ISATAP does not lead to metadata", Config{AllowCIDRs: everything}, "2606:2800::5efe:a9fe:a9fe", false},
		{"IPv4-compatible does not lead to metadata", Config{AllowCIDRs: everything}, "::a9fe:a9fe", false},
		{"IPv4-translated does not lead to metadata", Config{AllowCIDRs: everything}, "::ffff:0:a9fe:a9fe", false},
		{"6to4, once listed, to a public address", Config{AllowCIDRs: prefixes(t, "2002::/16")}, "2002:808:808::1", true},
		{"Teredo, once listed, to a public address", Config{AllowCIDRs: prefixes(t, "2001::/32")}, "2001:0:a00:1::f7f7:f7f7", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := mustGuard(t, tt.config).CheckAddr(netip.MustParseAddr(tt.addr)); (err == nil) != tt.allowed {
				t.Errorf("%s: %v; allowed should be %v", tt.addr, err, tt.allowed)
			}
		})
	}
}

func TestNewRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Config{
		"port 0":                            {Ports: []int{0}},
		"port 65536":                        {Ports: []int{65536}},
		"a port below zero":                 {Ports: []int{-1}},
		"an empty network":                  {AllowCIDRs: []netip.Prefix{{}}},
		"an empty denied network":           {DenyCIDRs: []netip.Prefix{{}}},
		"bits beyond the length":            {AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.8/8")}},
		"IPv4-mapped and all of it":         {DenyCIDRs: []netip.Prefix{netip.MustParsePrefix("::ffff:0.0.0.0/95")}},
		"an origin without a scheme":        {Exempt: "127.0.0.1:8484"},
		"an origin with a path":             {Exempt: "http://127.0.0.1:8484/in"},
		"an origin with a query":            {Exempt: "http://127.0.0.1:8484?x"},
		"an origin that is no number":       {Exempt: "http://127.1:8484"},
		"an origin with user and password":  {Exempt: "http://a:b@127.0.0.1:8484"},
		"an origin without a host":          {Exempt: "http://:8484"},
		"an origin with a port that is not": {Exempt: "http://127.0.0.1:0"},
	} {
		if g, err := New(c); err == nil {
			t.Errorf("%s: accepted as %+v", name, g)
		}
	}
}

// Whatever the standard library knows to be special must not be allowed, and
// the zero guard must never allow what Public does not.
func FuzzCheckAddr(f *testing.F) {
	for _, s := range []string{"8.8.8.8", "::ffff:10.0.0.1", "2002:a9fe:a9fe::1", "::1", "2606:2800::5efe:a00:1", "fd00:ec2::254"} {
		f.Add(netip.MustParseAddr(s).AsSlice())
	}
	strict := &Guard{}
	open := mustGuard(f, Config{AllowPrivate: true, AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}})
	f.Fuzz(func(t *testing.T, b []byte) {
		addr, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		plain := addr.Unmap()
		if strict.CheckAddr(addr) == nil && (!Public(addr) || !plain.IsGlobalUnicast() || plain.IsPrivate() || plain.IsLoopback() || plain.IsLinkLocalUnicast() || plain.IsMulticast() || plain.IsUnspecified()) {
			t.Errorf("%s is allowed", addr)
		}
		if strict.CheckAddr(addr) == nil && open.CheckAddr(addr) != nil {
			t.Errorf("%s is allowed by the strictest guard and not by an open one", addr)
		}
		if plain.IsLinkLocalUnicast() && plain.Is4() && open.CheckAddr(addr) == nil {
			t.Errorf("%s is allowed by an open guard", addr)
		}
	})
}
