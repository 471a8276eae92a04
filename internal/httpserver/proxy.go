package httpserver

import (
	"net/http"
	"net/netip"
	"strings"
)

// maxForwarded is how many addresses of X-Forwarded-For are looked at, from the
// right: there are never so many proxies of one's own.
const maxForwarded = 20

// client gives the address that the request comes from: that of the connection or,
// if it is a proxy's that is trusted, the one that the proxies tell of. Each adds
// to the right of X-Forwarded-For the address that it was asked from, so the first
// from the right that is no trusted proxy is the client; what stands left of it
// anyone can have written. The connection's address stays where the header has
// rubbish first, and where it has none but proxies.
func client(r *http.Request, trusted []netip.Prefix) string {
	if len(trusted) == 0 {
		return r.RemoteAddr
	}
	if peer, ok := parseAddress(r.RemoteAddr); !ok || !within(peer, trusted) {
		return r.RemoteAddr
	}
	rest := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
	for range maxForwarded {
		at := strings.LastIndexByte(rest, ',')
		address, ok := parseAddress(strings.TrimSpace(rest[at+1:]))
		if !ok {
			return r.RemoteAddr
		}
		if !within(address, trusted) {
			return address.String()
		}
		if at < 0 {
			return r.RemoteAddr
		}
		rest = rest[:at]
	}
	return r.RemoteAddr
}

// parseAddress reads an address with or without a port, such as some proxies write.
func parseAddress(text string) (netip.Addr, bool) {
	if with, err := netip.ParseAddrPort(text); err == nil {
		return with.Addr().Unmap().WithZone(""), true
	}
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	return address.Unmap().WithZone(""), err == nil
}

func within(address netip.Addr, ranges []netip.Prefix) bool {
	for _, r := range ranges {
		if r.Contains(address) {
			return true
		}
	}
	return false
}
