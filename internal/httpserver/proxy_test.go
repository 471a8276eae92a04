package httpserver

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestOnlyTrustedProxiesSayWhereRequestsComeFrom(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48"), netip.MustParsePrefix("192.0.2.1/32")}
	for _, c := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"a client itself", "203.0.113.7:4000", nil, "203.0.113.7:4000"},
		{"a client that makes one up", "203.0.113.7:4000", []string{"198.51.100.9"}, "203.0.113.7:4000"},
		{"a proxy", "10.1.2.3:4000", []string{"203.0.113.7"}, "203.0.113.7"},
		{"a proxy that adds to what the client made up", "10.1.2.3:4000", []string{"198.51.100.9, 203.0.113.7"}, "203.0.113.7"},
		{"a proxy that adds a header", "10.1.2.3:4000", []string{"198.51.100.9", "203.0.113.7"}, "203.0.113.7"},
		{"what the client made up is a proxy's", "10.1.2.3:4000", []string{"10.9.9.9, 203.0.113.7"}, "203.0.113.7"},
		{"two proxies", "10.1.2.3:4000", []string{"203.0.113.7, 192.0.2.1"}, "203.0.113.7"},
		{"two proxies, and one header each", "10.1.2.3:4000", []string{"198.51.100.9,203.0.113.7", "10.8.8.8"}, "203.0.113.7"},
		{"a proxy that is not trusted", "10.1.2.3:4000", []string{"203.0.113.7, 192.0.2.2"}, "192.0.2.2"},
		{"with a port", "10.1.2.3:4000", []string{"203.0.113.7:5123"}, "203.0.113.7"},
		{"IPv6", "[2001:db8:1::5]:4000", []string{"2001:db8:7::9"}, "2001:db8:7::9"},
		{"IPv6 in brackets", "10.1.2.3:4000", []string{"[2001:db8:7::9]"}, "2001:db8:7::9"},
		{"IPv6 in brackets with a port", "10.1.2.3:4000", []string{"[2001:db8:7::9]:80"}, "2001:db8:7::9"},
		{"IPv6 with a zone", "10.1.2.3:4000", []string{"fe80::1%eth0"}, "fe80::1"},
		{"a proxy over IPv4 in IPv6", "[::ffff:10.1.2.3]:4000", []string{"::ffff:203.0.113.7"}, "203.0.113.7"},
		{"none but proxies", "10.1.2.3:4000", []string{"10.9.9.9, 10.8.8.8"}, "10.1.2.3:4000"},
		{"no header", "10.1.2.3:4000", nil, "10.1.2.3:4000"},
		{"an empty header", "10.1.2.3:4000", []string{""}, "10.1.2.3:4000"},
		{"rubbish", "10.1.2.3:4000", []string{"203.0.113.7, unknown"}, "10.1.2.3:4000"},
		{"rubbish further left", "10.1.2.3:4000", []string{"<script>, 203.0.113.7"}, "203.0.113.7"},
		{"a comma at the end", "10.1.2.3:4000", []string{"203.0.113.7,"}, "10.1.2.3:4000"},
		{"more proxies than there are", "10.1.2.3:4000", []string{"203.0.113.7" + strings.Repeat(", 10.0.0.1", 5000)}, "10.1.2.3:4000"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		for _, value := range c.forwarded {
			r.Header.Add("X-Forwarded-For", value)
		}
		var got string
		h := Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r.RemoteAddr
			io.WriteString(w, "")
		}), Config{TrustedProxies: trusted})
		h.ServeHTTP(httptest.NewRecorder(), r)
		if got != c.want {
			t.Errorf("%s: from %s with %q: the request is from %q, not %q", c.name, c.peer, c.forwarded, got, c.want)
		}
		if r.RemoteAddr != c.peer {
			t.Errorf("%s: the server's own request was changed", c.name)
		}
	}
}

func TestWithoutTrustedProxiesNobodyIsBelieved(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "127.0.0.1:4000"
	r.Header.Set("X-Forwarded-For", "203.0.113.7")
	Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.RemoteAddr != "127.0.0.1:4000" {
			t.Errorf("the request is from %s", r.RemoteAddr)
		}
	}), Config{}).ServeHTTP(httptest.NewRecorder(), r)
}
