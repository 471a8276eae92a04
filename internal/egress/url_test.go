package egress

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestCheckURL(t *testing.T) {
	t.Parallel()
	longest := "https://example.com/" + strings.Repeat("a", MaxURLLength-len("https://example.com/"))
	tests := []struct {
		name string
		url  string
		rule Rule // empty: it may be saved
	}{
		{"a plain one", "https://hooks.example.com/webhooks", ""},
		{"no path", "https://example.com", ""},
		{"a query", "https://example.com?token=a%20b&x=@:/", ""},
		{"a query and no path, with an @ in it", "https://example.com?a@b", ""},
		{"an @ in the path", "https://example.com/@user/x", ""},
		{"a colon in the path", "https://example.com/a:b", ""},
		{"capitals in the scheme", "HTTPS://example.com/", ""},
		{"capitals in the host", "https://Hooks.Example.COM/", ""},
		{"each port of the list", "https://example.com:443/", ""},
		{"another port of the list", "https://example.com:8443/", ""},
		{"plain ports with https", "https://example.com:8080/", ""},
		{"punycode", "https://xn--bcher-kva.example/", ""},
		{"an underscore", "https://my_hook.example.com/", ""},
		{"a public address", "https://8.8.8.8/x", ""},
		{"a public address of IPv6", "https://[2606:2800:220:1:248:1893:25c8:1946]:8443/", ""},
		{"a public address as IPv4-mapped", "https://[::ffff:8.8.8.8]/", ""},
		{"digits in a name", "https://1.2.3.4.example/", ""},
		{"a name that begins with digits", "https://4u.example.2go/", ""},
		{"an escape in the path", "https://example.com/%2e%2e/%00", ""},
		{"dots in the path", "https://example.com/../..//x", ""},
		{"a whole URL in the query", "https://example.com/?u=http://127.0.0.1/", ""},
		{"the longest", longest, ""},

		{"too long", longest + "a", RuleLength},
		{"a megabyte", "https://example.com/" + strings.Repeat("a", 1<<20), RuleLength},
		{"nothing", "", RuleScheme},
		{"no scheme", "example.com/hook", RuleScheme},
		{"no scheme, with slashes", "//example.com/hook", RuleScheme},
		{"one slash", "https:/example.com/", RuleScheme},
		{"no slash", "https:example.com", RuleScheme},
		{"another scheme", "ftp://example.com/", RuleScheme},
		{"a file", "file:///etc/passwd", RuleScheme},
		{"gopher", "gopher://example.com:6379/_INFO", RuleScheme},
		{"a script", "javascript://example.com/%0aalert(1)", RuleScheme},
		{"a scheme within", "view-source:https://example.com/", RuleScheme},
		{"plain http", "http://example.com/", RuleHTTPS},
		{"plain http in capitals", "HTTP://example.com/", RuleHTTPS},
		{"a space before", " https://example.com/", RuleCharacters},
		{"a space after", "https://example.com/ ", RuleCharacters},
		{"a space in the host", "https://exa mple.com/", RuleCharacters},
		{"a tab that browsers drop", "https://exam\tple.com/", RuleCharacters},
		{"a line break that browsers drop", "https://exam\nple.com/", RuleCharacters},
		{"a header smuggled in", "https://example.com/\r\nHost: localhost", RuleCharacters},
		{"a zero byte", "https://example.com\x00.evil.com/", RuleCharacters},
		{"delete", "https://example.com/\x7f", RuleCharacters},
		{"a name in another script", "https://bücher.example/", RuleCharacters},
		{"fullwidth letters", "https://ｅxample.com/", RuleCharacters},
		{"an ideographic full stop", "https://127。0。0。1/", RuleCharacters},
		{"circled digits", "https://①②⑦.0.0.1/", RuleCharacters},
		{"a soft hyphen", "https://exam\u00adple.com/", RuleCharacters},
		{"invalid UTF-8", "https://example.com/\xff", RuleCharacters},
		{"backslashes for slashes", `https:\\example.com\`, RuleBackslash},
		{"a backslash before the @", `https://evil.com\@example.com/`, RuleBackslash},
		{"a backslash in the path", `https://example.com/a\b`, RuleBackslash},
		{"a user", "https://user@example.com/", RuleCredentials},
		{"a user and a password", "https://user:pass@example.com/", RuleCredentials},
		{"a host as the user", "https://example.com@127.0.0.1/", RuleCredentials},
		{"a host and a port as user and password", "https://example.com:443@127.0.0.1/", RuleCredentials},
		{"two @", "https://a@b@example.com/", RuleCredentials},
		{"an empty user", "https://@example.com/", RuleCredentials},
		{"a fragment", "https://example.com/#top", RuleFragment},
		{"a fragment before the @", "https://example.com#@127.0.0.1/", RuleFragment},
		{"an empty fragment", "https://example.com/#", RuleFragment},
		{"no host", "https://", RuleHost},
		{"no host but a path", "https:///etc/passwd", RuleHost},
		{"no host but a port", "https://:443/", RuleHost},
		{"no host but a query", "https://?x", RuleHost},
		{"a dot at the end", "https://example.com./", RuleHost},
		{"a dot at the end of an address", "https://127.0.0.1./", RuleHost},
		{"a dot alone", "https://./", RuleHost},
		{"two dots", "https://example..com/", RuleHost},
		{"a dot at the beginning", "https://.example.com/", RuleHost},
		{"an escaped host", "https://%31%32%37.0.0.1/", RuleHost},
		{"an escaped dot", "https://example%2ecom/", RuleHost},
		{"an escaped @", "https://example.com%40127.0.0.1/", RuleHost},
		{"a letter no host has", "https://exa$mple.com/", RuleHost},
		{"a comma", "https://example.com,evil.com/", RuleHost},
		{"a semicolon", "https://example.com;evil.com/", RuleHost},
		{"a star", "https://*.example.com/", RuleHost},
		{"a hyphen first", "https://-example.com/", RuleHost},
		{"a hyphen last", "https://example-.com/", RuleHost},
		{"a label of 64", "https://" + strings.Repeat("a", 64) + ".com/", RuleHost},
		{"a label of 63", "https://" + strings.Repeat("a", 63) + ".com/", ""},
		{"a host of 254", "https://" + strings.Repeat("a.", 126) + "ab/", RuleHost},
		{"IPv6 without brackets", "https://2606:2800:220:1::1/", RuleHost},
		{"a bracket that does not close", "https://[::1/", RuleHost},
		{"a bracket that does not open", "https://::1]/", RuleHost},
		{"something after the bracket", "https://[2606:2800:220:1::1]evil.com/", RuleHost},
		{"IPv4 in brackets", "https://[8.8.8.8]/", RuleHost},
		{"a name in brackets", "https://[example.com]/", RuleHost},
		{"IPv6 of the future", "https://[v1.fe80]/", RuleHost},
		{"a zone", "https://[fe80::1%25eth0]/", RuleHost},
		{"a zone, not escaped", "https://[fe80::1%eth0]/", RuleHost},
		{"nothing in brackets", "https://[]/", RuleHost},
		{"a shortened address", "https://127.1/", RuleNumericHost},
		{"an address of one number", "https://2130706433/", RuleNumericHost},
		{"an octal address", "https://0177.0.0.1/", RuleNumericHost},
		{"an octal address of one number", "https://017700000001/", RuleNumericHost},
		{"a hexadecimal address", "https://0x7f.0x0.0x0.0x1/", RuleNumericHost},
		{"a shortened hexadecimal address", "https://0x7f.1/", RuleNumericHost},
		{"a hexadecimal address of one number", "https://0X7F000001/", RuleNumericHost},
		{"an empty hexadecimal number", "https://1.2.3.0x/", RuleNumericHost},
		{"leading zeros, which parsers read as they like", "https://010.8.8.8/", RuleNumericHost},
		{"a number too large for an address", "https://256.256.256.256/", RuleNumericHost},
		{"five numbers", "https://1.2.3.4.5/", RuleNumericHost},
		{"a name that ends in a number", "https://example.1/", RuleNumericHost},
		{"port 0", "https://example.com:0/", RulePortNumber},
		{"port 65536", "https://example.com:65536/", RulePortNumber},
		{"an empty port", "https://example.com:/", RulePortNumber},
		{"a signed port", "https://example.com:+443/", RulePortNumber},
		{"a negative port", "https://example.com:-1/", RulePortNumber},
		{"a leading zero in the port", "https://example.com:0443/", RulePortNumber},
		{"letters for a port", "https://example.com:https/", RulePortNumber},
		{"an escaped port", "https://example.com:%34%34%33/", RulePortNumber},
		{"an empty port of IPv6", "https://[2606:2800:220:1::1]:/", RulePortNumber},
		{"a port not on the list", "https://example.com:22/", RulePort},
		{"a port not on the list, of an address", "https://8.8.8.8:25/", RulePort},
		{"an escape that is none", "https://example.com/%zz", RuleForm},
		{"an escape cut short", "https://example.com/%2", RuleForm},
		{"localhost", "https://localhost/", RulePrivateName},
		{"localhost in capitals", "https://LOCALHOST/", RulePrivateName},
		{"below localhost", "https://anything.localhost/", RulePrivateName},
		{"a dotless host", "https://intranet/hook", RulePrivateName},
		{"a metadata name", "https://metadata.google.internal/", RulePrivateName},
		{"multicast DNS", "https://printer.local/", RulePrivateName},
		{"a home network", "https://router.home.arpa/", RulePrivateName},
		{"a name that only looks private", "https://local.example.com/", ""},
		{"a name that only ends so", "https://mylocal.example/", ""},
		{"loopback", "https://127.0.0.1/", RuleAddress},
		{"loopback on another port", "https://127.0.0.1:9/", RuleAddress},
		{"loopback of IPv6", "https://[::1]/", RuleAddress},
		{"loopback as IPv4-mapped", "https://[::ffff:127.0.0.1]/", RuleAddress},
		{"loopback as IPv4-mapped, in hexadecimal", "https://[::ffff:7f00:1]/", RuleAddress},
		{"metadata", "https://169.254.169.254/latest/meta-data/", RuleAddress},
		{"metadata of IPv6", "https://[fd00:ec2::254]/", RuleAddress},
		{"a private address", "https://10.2.0.8/", RuleAddress},
		{"zero", "https://0.0.0.0/", RuleAddress},
		{"NAT64", "https://[64:ff9b::8.8.8.8]/", RuleAddress},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var g Guard // the zero guard is the strictest
			err := g.CheckURL(tt.url)
			if tt.rule == "" {
				if err != nil {
					t.Fatalf("%s: %v", tt.url, err)
				}
				return
			}
			var e *URLError
			if !errors.As(err, &e) || !errors.Is(err, tt.rule) || e.Rule != tt.rule {
				t.Fatalf("%q: error %v; want the rule about %s", tt.url, err, tt.rule)
			}
			if errors.Is(err, ErrBlocked) != (tt.rule == RuleAddress) {
				t.Errorf("%v: ErrBlocked in it is %v", err, errors.Is(err, ErrBlocked))
			}
			if s := e.Sentence; s != err.Error() || len(s) > 200 || !strings.HasSuffix(s, ".") {
				t.Errorf("not a sentence for a person: %q", s)
			}
		})
	}
}

func TestSentences(t *testing.T) {
	t.Parallel()
	deny := mustGuard(t, Config{DenyCIDRs: prefixes(t, "8.8.8.0/24"), Ports: []int{9000}})
	for raw, want := range map[string]string{
		"example.com":               "Start the URL with https:// or http://.",
		"http://example.com/":       "Start the URL with https://, or have your administrator allow http (TELLTALE_ALLOW_HTTP).",
		"https://u:p@example.com":   "Put credentials under Authentication, not in the URL.",
		"https://10.2.0.8/":         "10.2.0.8 is a private address. Your administrator must allow it (TELLTALE_ALLOW_CIDRS).",
		"https://192.0.2.1/":        "192.0.2.1 is a reserved address. Your administrator must allow it (TELLTALE_ALLOW_CIDRS).",
		"https://[::ffff:a02:8]/":   "10.2.0.8 is a private address. Your administrator must allow it (TELLTALE_ALLOW_CIDRS).",
		"https://169.254.169.254/":  "169.254.169.254 is never allowed.",
		"https://8.8.8.8/":          "8.8.8.8 is not allowed by your administrator.",
		"https://example.com:22/":   "Use port 443, 80, 8080, 8443 or 9000, or have your administrator allow port 22 (TELLTALE_EGRESS_PORTS).",
		"https://localhost/":        "localhost is a private name. Your administrator must allow the addresses behind it (TELLTALE_ALLOW_CIDRS).",
		"https://127.1/":            "127.1 is neither a name nor a whole address. Write an IPv4 address as four numbers, such as 192.0.2.1.",
		"https://example.com/#a":    "Remove the # and what follows it. It is never sent.",
		"https://exa\tmple.com/":    "Remove the space or control character at position 12 of the URL.",
		"https://bücher.example/":   "Write the URL in ASCII: the host in punycode (xn--…), other letters as %XX.",
		"https://example.com./":     "Leave out the dot at the end of the host.",
		"https://example.com:0/":    "Write the port as a number from 1 to 65535, or leave out the colon before it.",
		"https://example.com/%zz":   "Write % in the URL only before two hexadecimal digits.",
		`https:\\example.com`:       `Write / in the URL, not \.`,
		"https://[fe80::1%25eth0]/": "[fe80::1%25eth0] is not an IPv6 address.",
	} {
		if err := deny.CheckURL(raw); err == nil || err.Error() != want {
			t.Errorf("%s: %v; want %s", raw, err, want)
		}
	}
}

func TestWhatAnAdministratorLifts(t *testing.T) {
	t.Parallel()
	private := Config{AllowPrivate: true}
	listed := Config{AllowCIDRs: prefixes(t, "10.2.0.0/16", "::1/128")}
	inspector := Config{Exempt: "http://127.0.0.1:8484"}
	tests := []struct {
		name   string
		config Config
		url    string
		rule   Rule
	}{
		{"http, once allowed", Config{AllowHTTP: true}, "http://example.com/", ""},
		{"http allows no other port", Config{AllowHTTP: true}, "http://example.com:81/", RulePort},
		{"http allows no private name", Config{AllowHTTP: true}, "http://localhost/", RulePrivateName},
		{"http allows no private address", Config{AllowHTTP: true}, "http://127.0.0.1/", RuleAddress},
		{"a port, once allowed", Config{Ports: []int{9000}}, "https://example.com:9000/", ""},
		{"the usual ports stay", Config{Ports: []int{9000}}, "https://example.com/", ""},
		{"a port allows no http", Config{Ports: []int{9000}}, "http://example.com:9000/", RuleHTTPS},

		{"AllowPrivate: a private address", private, "https://10.2.0.8/", ""},
		{"AllowPrivate: everything at once", private, "http://127.0.0.1:3000/hook", ""},
		{"AllowPrivate: localhost", private, "http://localhost:3000/hook", ""},
		{"AllowPrivate: a dotless host", private, "http://intranet:81/", ""},
		{"AllowPrivate: http to a public name", private, "http://example.com:81/", ""},
		{"AllowPrivate leaves metadata blocked", private, "http://169.254.169.254/", RuleAddress},
		{"AllowPrivate leaves documentation blocked", private, "http://192.0.2.1/", RuleAddress},
		{"AllowPrivate leaves the form", private, "http://127.1:3000/", RuleNumericHost},
		{"AllowPrivate leaves credentials out", private, "http://a:b@localhost/", RuleCredentials},

		{"allow list: http and any port, of an address inside", listed, "http://10.2.0.8:9000/", ""},
		{"allow list: an address inside, of IPv6", listed, "http://[::1]:9000/", ""},
		{"allow list: an address inside, as IPv4-mapped", listed, "http://[::ffff:10.2.0.8]:9000/", ""},
		{"allow list: nothing for a private address outside", listed, "https://10.3.0.8/", RuleAddress},
		{"allow list: no http for a public address", listed, "http://8.8.8.8/", RuleHTTPS},
		{"allow list: no port for a public address", listed, "https://8.8.8.8:9000/", RulePort},
		{"allow list: a name waits until it is resolved", listed, "http://intranet:9000/", ""},
		{"allow list: the form does not wait", listed, "http://2130706433:9000/", RuleNumericHost},

		{"inspector: below /in/", inspector, "http://127.0.0.1:8484/in/abc", ""},
		{"inspector: further below", inspector, "http://127.0.0.1:8484/in/abc/d?e=..%2f", ""},
		{"inspector: a slash at the end", inspector, "http://127.0.0.1:8484/in/abc/", ""},
		{"inspector: of IPv6", Config{Exempt: "http://[::1]:8484/"}, "http://[::1]:8484/in/abc", ""},
		{"inspector: with a name and a usual port", Config{Exempt: "https://Inbox.example.com"}, "https://inbox.example.com/in/abc", ""},
		{"inspector: another path", inspector, "http://127.0.0.1:8484/v1/events", RuleAddress},
		{"inspector: no path", inspector, "http://127.0.0.1:8484", RuleAddress},
		{"inspector: /in alone", inspector, "http://127.0.0.1:8484/in", RuleAddress},
		{"inspector: /in/ and no bin", inspector, "http://127.0.0.1:8484/in/", RuleAddress},
		{"inspector: a path that begins alike", inspector, "http://127.0.0.1:8484/inspect/abc", RuleAddress},
		{"inspector: out by dots", inspector, "http://127.0.0.1:8484/in/../v1/events", RuleAddress},
		{"inspector: out by dots at the end", inspector, "http://127.0.0.1:8484/in/a/..", RuleAddress},
		{"inspector: out by escaped dots", inspector, "http://127.0.0.1:8484/in/%2e%2e/v1/events", RuleAddress},
		{"inspector: out by an escaped slash", inspector, "http://127.0.0.1:8484/in/..%2fv1", RuleAddress},
		{"inspector: an empty part", inspector, "http://127.0.0.1:8484/in//v1", RuleAddress},
		{"inspector: another scheme", inspector, "https://127.0.0.1:8484/in/abc", RuleAddress},
		{"inspector: another port", inspector, "http://127.0.0.1:8485/in/abc", RuleAddress},
		{"inspector: no port", inspector, "http://127.0.0.1/in/abc", RuleAddress},
		{"inspector: another name for its host", inspector, "http://localhost:8484/in/abc", RuleHTTPS},
		{"inspector: another spelling of its host", inspector, "http://[::ffff:127.0.0.1]:8484/in/abc", RuleAddress},
		{"inspector: a name below its host", inspector, "http://127.0.0.1.example.com:8484/in/abc", RuleHTTPS},
		{"inspector: on the deny list", Config{Exempt: inspector.Exempt, DenyCIDRs: prefixes(t, "127.0.0.0/8")}, "http://127.0.0.1:8484/in/abc", RuleAddress},
		{"inspector: on metadata's network", Config{Exempt: "http://169.254.1.1:8484"}, "http://169.254.1.1:8484/in/abc", RuleAddress},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := mustGuard(t, tt.config)
			err := g.CheckURL(tt.url)
			if tt.rule == "" && err != nil || tt.rule != "" && !errors.Is(err, tt.rule) {
				t.Errorf("%s: %v; want the rule %q", tt.url, err, tt.rule)
			}
			// What is refused at save is refused at send, as blocked.
			ctx, sendErr := g.Admit(t.Context(), tt.url)
			if (sendErr == nil) != (err == nil) || (ctx == nil) != (sendErr != nil) {
				t.Errorf("%s: CheckURL gives %v, Admit %v", tt.url, err, sendErr)
			}
			if sendErr != nil && (!errors.Is(sendErr, ErrBlocked) || !errors.Is(sendErr, tt.rule) || sendErr.Error() != err.Error()) {
				t.Errorf("%s: Admit gives %v; want ErrBlocked and the sentence of %v", tt.url, sendErr, err)
			}
		})
	}
}

func TestPasswordsDoNotReachTheLog(t *testing.T) {
	t.Parallel()
	var g Guard
	_, err := g.Admit(t.Context(), "https://user:hunter2@example.com/")
	blocked, ok := errors.AsType[*BlockedError](err)
	if !ok || strings.Contains(blocked.Detail(), "hunter2") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v; want a BlockedError without the password", err)
	}
}

// What CheckURL accepts net/url reads as the same host, and an address that it
// accepts may be dialled.
func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{
		"https://hooks.example.com/webhooks?a=b", "http://127.0.0.1:8484/in/abc", "https://[2606:2800:220:1::1]:8443/x", "https://user:pass@example.com:443/#a",
		`https://a\@b`, "https://0x7f.1/", "https://[::ffff:1.2.3.4%25a]:1/", "HTTPS://EXAMPLE.com:080/%2e", "https://a.b?@c", "https://8.8.8.8:443:443/",
	} {
		f.Add(s)
	}
	strict, open := &Guard{}, mustGuard(f, Config{AllowPrivate: true, Exempt: "http://127.0.0.1:8484"})
	f.Fuzz(func(t *testing.T, raw string) {
		for _, g := range []*Guard{strict, open} {
			err := g.CheckURL(raw)
			if err != nil {
				if _, ok := errors.AsType[*URLError](err); !ok || len(err.Error()) > 300 {
					t.Errorf("%q: %#v is no short URLError", raw, err)
				}
				continue
			}
			ctx, err := g.Admit(t.Context(), raw)
			if err != nil {
				t.Fatalf("%q: saved, but not admitted: %v", raw, err)
			}
			admitted := ctx.Value(admitted{}).(target)
			u, err := url.Parse(raw)
			if err != nil {
				t.Fatalf("%q: accepted, but net/url says %v", raw, err)
			}
			port := u.Port()
			if port == "" {
				port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
			}
			want, ok := parsePort(port)
			if u.User != nil || u.Fragment != "" || u.Scheme != admitted.scheme || strings.ToLower(u.Hostname()) != admitted.host || !ok || want != admitted.port {
				t.Errorf("%q: read as %+v, by net/url as %+v", raw, admitted, u)
			}
			addr, err := netip.ParseAddr(u.Hostname())
			if (err == nil) == admitted.isName() || err == nil && g.CheckAddr(addr) != nil {
				t.Errorf("%q: accepted, but %v may not be dialled", raw, addr)
			}
			if g == strict && u.Scheme != "https" {
				t.Errorf("%q: accepted without https", raw)
			}
		}
	})
}
