package feed

import (
	"regexp"
	"strconv"
	"strings"
)

// reply is an SMTP reply at the head of a diagnostic, behind at most a few words
// that say who spoke: "smtp; 550 5.1.1 …", "550-5.1.1 …", "host mx.example.com said: 550 …".
var reply = regexp.MustCompile(`^(?:[^0-9]{0,40})\b([245][0-9][0-9])\b[ \-]?`)

// diagnostic takes a delivery diagnostic apart: the three-digit reply (RFC 5321,
// section 4.2.1), 0 if there is none, and the rest, which keeps an enhanced status
// code (RFC 3463).
func diagnostic(text string) (code int, reason string) {
	text = strings.TrimSpace(text)
	if kind, rest, ok := strings.Cut(text, ";"); ok && strings.EqualFold(strings.TrimSpace(kind), "smtp") { // RFC 3464, 2.3.6
		text = strings.TrimSpace(rest)
	}
	m := reply.FindStringSubmatchIndex(text)
	if m == nil {
		return 0, text
	}
	code, _ = strconv.Atoi(text[m[2]:m[3]]) // three digits
	if rest := strings.TrimSpace(text[m[1]:]); rest != "" {
		return code, rest
	}
	return code, text
}

// permanent reports whether an enhanced status code, or a reply, is for good.
func permanent(status string) bool { return strings.HasPrefix(strings.TrimSpace(status), "5") }
