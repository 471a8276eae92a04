package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Rule is one of the rules that a URL, or an address behind it, can break.
// [errors.Is] finds it in a [*URLError] and in a [*BlockedError].
type Rule string

// The rules about a URL's form hold for everyone.
const (
	RuleLength      Rule = "length"       // at most [MaxURLLength] characters
	RuleCharacters  Rule = "characters"   // printable ASCII without spaces
	RuleBackslash   Rule = "backslash"    // browsers take it for a slash, others do not
	RuleScheme      Rule = "scheme"       // https:// or http://
	RuleCredentials Rule = "credentials"  // no user or password
	RuleFragment    Rule = "fragment"     // it is never sent
	RuleHost        Rule = "host"         // a name or an address, spelled as it is
	RuleNumericHost Rule = "numeric_host" // some read 127.1 and 0x7f.1 as addresses, others as names
	RulePortNumber  Rule = "port_number"  // 1 to 65535
	RuleForm        Rule = "form"         // RFC 3986 in all else
)

// The rules that the administrator can lift, in all or for some addresses.
const (
	RuleHTTPS       Rule = "https"        // no plain http
	RulePort        Rule = "port"         // a port of the list
	RulePrivateName Rule = "private_name" // a name with a dot, under a public suffix
	RuleAddress     Rule = "address"      // an address that may be dialled
)

// Error makes a rule a target for [errors.Is].
func (r Rule) Error() string { return "egress: the rule about " + string(r) + " is broken" }

// ErrBlocked is what every [*BlockedError] unwraps to.
var ErrBlocked = errors.New("egress: the host is not allowed")

// URLError says which rule a URL breaks.
type URLError struct {
	Rule     Rule
	Sentence string        // for the person who typed the URL: what to do about it
	blocked  *BlockedError // behind RuleAddress
}

func (e *URLError) Error() string { return e.Sentence }

// Unwrap gives the rule, and for [RuleAddress] the [*BlockedError].
func (e *URLError) Unwrap() []error {
	if e.blocked != nil {
		return []error{e.Rule, e.blocked}
	}
	return []error{e.Rule}
}

func broken(rule Rule, format string, args ...any) *URLError {
	return &URLError{Rule: rule, Sentence: fmt.Sprintf(format, args...)}
}

// BlockedError says that a host was not dialled because of what it is.
type BlockedError struct {
	Host string     // as it stands in the URL; empty if the fault is the URL's
	Rule Rule       // RuleAddress, or another rule that was not lifted for the address
	Addr netip.Addr // the address that broke it; invalid if there is none

	sentence string // for an operator who wrote the address himself
	reason   string // for the log
}

// Error may be shown to a project's operator. Of a name it says no more than
// that it is not allowed; an address that stands in the URL it names.
func (e *BlockedError) Error() string {
	if e.sentence != "" {
		return e.sentence
	}
	return fmt.Sprintf("The host %s is not allowed.", cut(e.Host))
}

// Detail says all that is known, for the server's log.
func (e *BlockedError) Detail() string {
	var b strings.Builder
	if e.Host == "" {
		b.WriteString("egress: the URL is blocked") // it may hold a password
	} else {
		fmt.Fprintf(&b, "egress: %s is blocked", cut(e.Host))
	}
	if e.Addr.IsValid() && e.Addr.String() != e.Host {
		fmt.Fprintf(&b, ": it leads to %s", e.Addr)
	}
	fmt.Fprintf(&b, ": %s", e.reason)
	return b.String()
}

// Unwrap gives [ErrBlocked] and the rule.
func (e *BlockedError) Unwrap() []error { return []error{ErrBlocked, e.Rule} }

// cut bounds what a message repeats of its input.
func cut(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
