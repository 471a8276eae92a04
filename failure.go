package telltale

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// FailureCode names, in one word, why an attempt failed, in terms of what a
// person can mend. It is finer than the error class.
type FailureCode string

// The failure catalogue's codes. What each says, and what to do about it, stands
// in one table below.
const (
	FailureDNSNotFound     FailureCode = "dns_not_found"
	FailureDNSTemporary    FailureCode = "dns_temporary"
	FailureAddressBlocked  FailureCode = "address_blocked"
	FailureConnectRefused  FailureCode = "connect_refused"
	FailureConnectTimeout  FailureCode = "connect_timeout"
	FailureConnect         FailureCode = "connect_failed" // any other reason; on private networks those two as well
	FailureTLSExpired      FailureCode = "tls_expired"
	FailureTLSNotYetValid  FailureCode = "tls_not_yet_valid"
	FailureTLSName         FailureCode = "tls_name"
	FailureTLSUntrusted    FailureCode = "tls_untrusted"
	FailureTLSHandshake    FailureCode = "tls_handshake"
	FailureResponseTimeout FailureCode = "response_timeout"
	FailureRedirect        FailureCode = "redirect"
	FailureHTTP401         FailureCode = "http_401"
	FailureHTTP404         FailureCode = "http_404"
	FailureHTTP410         FailureCode = "http_410"
	FailureHTTP413         FailureCode = "http_413"
	FailureHTTP429         FailureCode = "http_429"
	FailureHTTP4xx         FailureCode = "http_4xx" // those that have no code of their own
	FailureHTTP5xx         FailureCode = "http_5xx"
	FailureReset           FailureCode = "reset"
	FailureProtocol        FailureCode = "protocol"
	FailureTooLarge        FailureCode = "too_large"
	FailureInterrupted     FailureCode = "interrupted"
	FailureInternal        FailureCode = "internal"
)

// failure is a row of the catalogue. {host} and {port} are those of the
// request's URL, {status} reads like "404 Not Found", {took} is the attempt's
// duration and {detail} its Detail.
type failure struct {
	code     FailureCode
	sentence string // what happened
	bare     string // the same for an attempt without a Detail; empty if sentence needs none
	fix      string // what to do about it
}

const fixStatus = "It should answer with any 2xx status."

// catalogue says every failure once, for the pages, the API and the command line.
var catalogue = []failure{
	{FailureDNSNotFound, "The name {host} does not exist.", "", "Check the URL for typing mistakes."},
	{FailureDNSTemporary, "The name {host} could not be looked up right now.", "", "Deliveries are retried automatically; repeat a test in a moment."},
	{FailureAddressBlocked, "{detail}", "The host {host} is not allowed.", "An administrator can allow it with TELLTALE_ALLOW_CIDRS."},
	{FailureConnectRefused, "Nothing is listening on port {port}.", "", "Is the service running?"},
	{FailureConnectTimeout, "No connection within {detail}.", "No connection in time.", "Check firewalls; allow this server's outgoing address."},
	{FailureConnect, "No connection to port {port} of {host}.", "", "Is the service running, and can this server reach it?"},
	{FailureTLSExpired, "The certificate expired on {detail}.", "The certificate has expired.", "Renew the certificate."},
	{FailureTLSNotYetValid, "The certificate is not valid before {detail}.", "The certificate is not valid yet.", "Check the certificate's dates and this server's clock."},
	{FailureTLSName, "The certificate is for {detail}, not for {host}.", "The certificate is for another name than {host}.", "Use a certificate that names the URL's host."},
	{FailureTLSUntrusted, "The certificate is not trusted: {detail}.", "The certificate is not trusted.", "Complete the chain, or use a certificate of a public authority."},
	{FailureTLSHandshake, "TLS could not be negotiated: {detail}.", "TLS could not be negotiated.", "Offer TLS 1.2 or newer on this port, or change the URL."},
	{FailureResponseTimeout, "No answer within {detail}.", "No answer in time.", "Answer first, process later."},
	{FailureRedirect, "{host} answered {status}, a redirect to {detail}.", "{host} answered {status}, a redirect.", "Redirects are not followed. Change the URL to the new address."},
	{FailureHTTP401, "{host} answered {status} in {took}.", "", fixStatus + " Check the webhook's authentication."},
	{FailureHTTP404, "{host} answered {status} in {took}.", "", fixStatus + " Check the path in the URL."},
	{FailureHTTP410, "{host} answered {status} in {took}.", "", "It asks for no more events: unless this was a test, the webhook is turned off."},
	{FailureHTTP413, "{host} answered {status} in {took}.", "", fixStatus + " Let the receiver take larger requests."},
	{FailureHTTP429, "{host} answered {status} in {took}.", "", "Deliveries slow down and honour Retry-After; a rate limit on the webhook prevents this."},
	{FailureHTTP4xx, "{host} answered {status} in {took}.", "", fixStatus},
	{FailureHTTP5xx, "{host} answered {status} in {took}.", "", fixStatus},
	{FailureReset, "The connection was closed before an answer.", "", "Often a crash or a proxy limit."},
	{FailureProtocol, "{host} did not answer with valid HTTP.", "", "Is this the port of a web server?"},
	{FailureTooLarge, "The answer has more than 64 KiB of headers.", "", "Send fewer or shorter headers."},
	{FailureInterrupted, "Telltale stopped during the attempt; its outcome is unknown.", "", "Deliveries are tried again with the same webhook-id."},
	{FailureInternal, "Telltale could not make the request: {detail}.", "Telltale could not make the request.", "The server's log says more."},
}

// byClass is the row for attempts that have a class and no code, as the store
// makes them for a node that is gone.
var byClass = map[ErrorClass]FailureCode{
	ErrorTimeout:        FailureResponseTimeout,
	ErrorDNS:            FailureDNSTemporary,
	ErrorConnect:        FailureConnect,
	ErrorTLS:            FailureTLSHandshake,
	ErrorReset:          FailureReset,
	ErrorProtocol:       FailureProtocol,
	ErrorBlockedAddress: FailureAddressBlocked,
	ErrorTooLarge:       FailureTooLarge,
	ErrorInterrupted:    FailureInterrupted,
	ErrorInternal:       FailureInternal,
}

// FailureCodes lists the codes in the order of the catalogue.
func FailureCodes() []FailureCode {
	codes := make([]FailureCode, len(catalogue))
	for i, f := range catalogue {
		codes[i] = f.code
	}
	return codes
}

// FailureOfStatus gives the code for a final status that is not a success. One
// that HTTP does not define (RFC 9110, section 15) is a protocol failure.
func FailureOfStatus(status int) FailureCode {
	switch status {
	case http.StatusUnauthorized:
		return FailureHTTP401
	case http.StatusNotFound:
		return FailureHTTP404
	case http.StatusGone:
		return FailureHTTP410
	case http.StatusRequestEntityTooLarge:
		return FailureHTTP413
	case http.StatusTooManyRequests:
		return FailureHTTP429
	}
	switch status / 100 {
	case 3:
		return FailureRedirect
	case 4:
		return FailureHTTP4xx
	case 5:
		return FailureHTTP5xx
	}
	return FailureProtocol
}

// Sentence says what came of the attempt, for a person: "localhost answered
// 200 OK in 12 ms." or what stands in the failure catalogue. It may be shown to
// a project's operator.
func (a *Attempt) Sentence() string {
	if a.Success() {
		return a.fill("{host} answered {status} in {took}.")
	}
	f := a.failure()
	if a.Detail == "" && f.bare != "" {
		if host, _ := a.target(); f.code == FailureAddressBlocked && isAddress(host) {
			return a.fill("{host} is a private or reserved address.")
		}
		return a.fill(f.bare)
	}
	return a.fill(f.sentence)
}

// Verdict is what whoever pressed Test reads: how the test went, why, and what to
// do about it.
func (a *Attempt) Verdict() string {
	if a.Success() {
		return "Test succeeded. " + a.Sentence()
	}
	return strings.TrimSpace("Test failed. " + a.Sentence() + " " + a.Fix())
}

// Fix says what to do about a failure; it is empty for a success.
func (a *Attempt) Fix() string {
	if a.Success() {
		return ""
	}
	if a.Error == ErrorBlockedAddress && a.Detail != "" {
		return "" // the detail says it
	}
	return a.failure().fix
}

// failure finds the attempt's row of the catalogue.
func (a *Attempt) failure() failure {
	code := a.Failure
	if code == "" {
		code = byClass[a.Error]
	}
	if code == "" && a.Status != 0 {
		code = FailureOfStatus(a.Status)
	}
	for _, f := range catalogue {
		if f.code == code {
			return f
		}
	}
	return catalogue[len(catalogue)-1]
}

func (a *Attempt) fill(sentence string) string {
	host, port := a.target()
	return strings.NewReplacer(
		"{host}", host, "{port}", port, "{detail}", a.Detail,
		"{status}", strings.TrimSpace(strconv.Itoa(a.Status)+" "+http.StatusText(a.Status)),
		"{took}", FormatDuration(a.Duration),
	).Replace(sentence)
}

// target is the host and port of the request's URL.
func (a *Attempt) target() (host, port string) {
	u, err := url.Parse(a.Request.URL)
	if err != nil || u.Host == "" {
		return "the receiver", "of the URL"
	}
	host, port = u.Hostname(), u.Port()
	switch {
	case port != "":
	case u.Scheme == "http":
		port = "80"
	default:
		port = "443"
	}
	return host, port
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// FormatDuration writes a duration as sentences do: "1 ms" for anything up to a
// millisecond, "12 ms", "1.5 s", "5 s", "2 min", "1.5 h".
func FormatDuration(d time.Duration) string {
	d = max(d.Round(time.Millisecond), time.Millisecond)
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 2*time.Minute:
		return inUnits(d.Seconds()) + " s"
	case d < 2*time.Hour:
		return inUnits(d.Minutes()) + " min"
	}
	return inUnits(d.Hours()) + " h"
}

func inUnits(n float64) string { return strings.TrimSuffix(strconv.FormatFloat(n, 'f', 1, 64), ".0") }
