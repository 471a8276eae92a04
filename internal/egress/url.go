package egress

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// MaxURLLength bounds a URL, in characters.
const MaxURLLength = 2048

// target is what a URL, or an address to dial, asks to be connected to.
type target struct {
	scheme string     // http or https
	host   string     // in lower case, without brackets
	addr   netip.Addr // what host stands for if it is an address, else invalid
	port   uint16
	exempt bool // it is the server's own inspector
}

func (t target) isName() bool { return !t.addr.IsValid() }

// parseURL holds the rules about form, which need no configuration, and gives
// the path as it is written. It is stricter than RFC 3986 wherever two parsers
// could read two hosts; [url.Parse] must agree in the end.
func parseURL(raw string) (target, string, error) {
	if len(raw) > MaxURLLength {
		return target{}, "", broken(RuleLength, "Shorten the URL to 2,048 characters. It has %d.", len(raw))
	}
	for i, c := range []byte(raw) {
		switch {
		case c <= ' ' || c == 0x7f:
			return target{}, "", broken(RuleCharacters, "Remove the space or control character at position %d of the URL.", i+1)
		case c > 0x7f:
			return target{}, "", broken(RuleCharacters, "Write the URL in ASCII: the host in punycode (xn--…), other letters as %%XX.")
		case c == '\\':
			return target{}, "", broken(RuleBackslash, `Write / in the URL, not \.`)
		}
	}

	scheme, rest, _ := strings.Cut(raw, "://")
	scheme = strings.ToLower(scheme)
	if scheme != "https" && scheme != "http" {
		return target{}, "", broken(RuleScheme, "Start the URL with https:// or http://.")
	}
	if strings.Contains(rest, "#") {
		return target{}, "", broken(RuleFragment, "Remove the # and what follows it. It is never sent.")
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	if strings.Contains(authority, "@") {
		return target{}, "", broken(RuleCredentials, "Put credentials under Authentication, not in the URL.")
	}
	t, err := parseAuthority(scheme, authority)
	if err != nil {
		return target{}, "", err
	}

	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return target{}, "", broken(RuleForm, "Write %% in the URL only before two hexadecimal digits.")
	case u.Scheme != scheme || u.Host != authority || strings.ToLower(u.Hostname()) != t.host || u.User != nil || u.Opaque != "":
		return target{}, "", broken(RuleForm, "Write the URL as https://host/path.")
	}
	return t, path, nil
}

// parseAuthority reads host and port as they stand in a URL.
func parseAuthority(scheme, authority string) (target, error) {
	var host, port string
	var hasPort bool
	if inner, ok := strings.CutPrefix(authority, "["); ok {
		var after string
		inner, after, ok = strings.Cut(inner, "]")
		if port, hasPort = strings.CutPrefix(after, ":"); !ok || after != "" && !hasPort {
			return target{}, broken(RuleHost, "Write an IPv6 address in brackets, such as https://[2001:db8::1]:443/.")
		}
		if addr, err := netip.ParseAddr(inner); err != nil || !addr.Is6() || addr.Zone() != "" {
			return target{}, broken(RuleHost, "[%s] is not an IPv6 address.", cut(inner))
		}
		host = inner
	} else {
		host, port, hasPort = strings.Cut(authority, ":")
		if strings.Contains(port, ":") {
			return target{}, broken(RuleHost, "Write an IPv6 address in brackets, such as https://[2001:db8::1]:443/.")
		}
	}
	t, err := parseHost(host)
	if err != nil {
		return target{}, err
	}
	t.scheme = scheme
	switch {
	case hasPort:
		n, ok := parsePort(port)
		if !ok {
			return target{}, broken(RulePortNumber, "Write the port as a number from 1 to 65535, or leave out the colon before it.")
		}
		t.port = n
	case scheme == "http":
		t.port = 80
	default:
		t.port = 443
	}
	return t, nil
}

// parsePort takes digits alone, without a sign or a leading zero.
func parsePort(text string) (uint16, bool) {
	n, err := strconv.ParseUint(text, 10, 16)
	return uint16(n), err == nil && text[0] != '0'
}

// parseHost reads a host without brackets: an address that one parser reads
// like another, or a name of the domain name system.
func parseHost(host string) (target, error) {
	t := target{host: strings.ToLower(host)}
	if strings.Contains(host, "%") {
		return target{}, broken(RuleHost, "Write the host without a percent sign.")
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		t.addr = addr.Unmap()
		return t, nil
	}
	switch {
	case host == "":
		return target{}, broken(RuleHost, "Write a host after https://, such as https://hooks.example.com/.")
	case strings.HasSuffix(host, "."):
		return target{}, broken(RuleHost, "Leave out the dot at the end of the host.")
	case len(host) > 253: // RFC 1035, section 2.3.4, as text
		return target{}, broken(RuleHost, "Shorten the host to 253 characters. It has %d.", len(host))
	}
	var label string
	for label = range strings.SplitSeq(t.host, ".") {
		if !isLabel(label) {
			return target{}, broken(RuleHost, "%s is not a host. Write a name of letters, digits and hyphens with dots between its parts, or an IP address.", cut(host))
		}
	}
	if isNumeric(label) {
		return target{}, broken(RuleNumericHost, "%s is neither a name nor a whole address. Write an IPv4 address as four numbers, such as 192.0.2.1.", cut(host))
	}
	return t, nil
}

// isLabel takes RFC 1123's letters, digits and hyphens, and the underscore that
// many a name has.
func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// isNumeric reports whether a host that ends in this label is an address to
// inet_aton and to browsers: decimal, octal or hexadecimal ("ends in a number",
// WHATWG URL).
func isNumeric(label string) bool {
	digits, charset := label, "0123456789"
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		digits, charset = hex, "0123456789abcdef"
	}
	return strings.Trim(digits, charset) == ""
}

// privateSuffixes are never delegated publicly: RFC 6761, RFC 6762, ICANN's
// reservation of 2024, RFC 8375.
var privateSuffixes = []string{".localhost", ".local", ".internal", ".home.arpa"}

// isPrivateName reports whether a name can mean something on private networks only.
func isPrivateName(host string) bool {
	if !strings.Contains(host, ".") {
		return true
	}
	for _, s := range privateSuffixes {
		if strings.HasSuffix(host, s) {
			return true
		}
	}
	return false
}

// isBelow reports whether the path is written plainly below the directory, so
// that no server can take it for another: no dots, no escapes, no empty part.
func isBelow(directory, path string) bool {
	path, _, _ = strings.Cut(path, "?")
	rest, ok := strings.CutPrefix(path, directory)
	if !ok || rest == "" || strings.Contains(rest, "%") {
		return false
	}
	for part := range strings.SplitSeq(strings.TrimSuffix(rest, "/"), "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return true
}
