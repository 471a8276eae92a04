package send

import (
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/signature"
)

// maxURLHeader bounds telltale-url, in bytes as it is sent.
const maxURLHeader = 4096

// usual is how many headers most requests have beside their webhook's own.
const usual = 9

// headers gives the request's headers, and the same as they may be recorded.
// Names are written as the contract has them: lower case is what HTTP/2 sends
// and what receivers of Standard Webhooks look for.
func (p *prepared) headers(c *telltale.Claim, body []byte, now time.Time) (http.Header, []telltale.Header) {
	header := make(http.Header, usual+len(p.fixed))
	recorded := make([]telltale.Header, 0, usual+len(p.fixed))
	for _, h := range p.fixed {
		header[h.name] = h.values
		recorded = append(recorded, telltale.Header{Name: h.name, Value: h.shown})
	}
	values := make([]string, 0, usual) // one array behind all of them
	set := func(name, value string) {
		values = append(values, value)
		header[name] = values[len(values)-1 : len(values) : len(values)]
		recorded = append(recorded, telltale.Header{Name: name, Value: value})
	}

	e := c.Event
	set(signature.HeaderID, string(e.ID))
	set(signature.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
	set(signature.HeaderSignature, p.signer.Sign(string(e.ID), now, body))
	if p.legacy != nil {
		set(signature.HeaderLegacy, p.legacy.Sign(body))
	}
	set("telltale-event", string(e.Type))
	set("telltale-delivery", string(c.DeliveryID))
	set("telltale-attempt", strconv.Itoa(c.Attempt))
	if c.Test {
		set("telltale-test", "1")
	}
	set("telltale-source", visible(e.Source))
	if !e.OccurredAt.IsZero() {
		set("telltale-occurred-at", strconv.FormatInt(e.OccurredAt.Unix(), 10))
	}
	if link := escape(e.URL); link != "" && len(link) <= maxURLHeader {
		set("telltale-url", link)
	}
	if ip, err := netip.ParseAddr(e.IP); err == nil {
		set("telltale-ip", ip.String())
	}
	if e.Machine != nil {
		set("telltale-machine", strconv.FormatBool(*e.Machine))
	}
	return header, recorded
}

// extended gives the event's payload with what Telltale knows beside it.
func extended(e *telltale.Event) []byte {
	return telltale.AppendExtensions(make([]byte, 0, len(e.Payload)+512), e.Payload, telltale.Extensions{
		ID: e.ID, Source: e.Source, OccurredAt: e.OccurredAt, URL: e.URL, IP: e.IP, Machine: e.Machine,
	})
}

// visible gives s with every byte that a header value should not have replaced:
// what came from outside must not end a header and begin another.
func visible(s string) string {
	var changed []byte
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			if changed == nil {
				changed = []byte(s)
			}
			changed[i] = '?'
		}
	}
	if changed == nil {
		return s
	}
	return string(changed)
}

// escape percent-encodes the bytes of a URL that are not visible ASCII (RFC
// 3986, section 2.1) and leaves all else as it is.
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var escaped []byte
	for i := range len(s) {
		c := s[i]
		switch ok := c > ' ' && c <= '~'; {
		case ok && escaped == nil:
		case ok:
			escaped = append(escaped, c)
		default:
			if escaped == nil {
				escaped = append(make([]byte, 0, len(s)+8), s[:i]...)
			}
			escaped = append(escaped, '%', hex[c>>4], hex[c&15])
		}
	}
	if escaped == nil {
		return s
	}
	return string(escaped)
}
