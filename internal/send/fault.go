package send

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/egress"
)

// fault is why no final status line came.
type fault struct {
	class  telltale.ErrorClass
	code   telltale.FailureCode
	detail string
}

// classify finds what stands behind err. ctx is the caller's, without the
// attempt's deadline.
func (x *exchange) classify(ctx context.Context, err error, timeout time.Duration, now time.Time) fault {
	at := x.current()
	if failed, ok := errors.AsType[*stageError](err); ok {
		at = failed.stage
	}
	_, internal := errors.AsType[*internalError](err)
	switch {
	case internal, strings.HasPrefix(err.Error(), "net/http: invalid header"):
		return fault{telltale.ErrorInternal, telltale.FailureInternal, ""}
	case errors.Is(err, egress.ErrBlocked):
		return blocked(err)
	case ctx.Err() != nil:
		return fault{telltale.ErrorInterrupted, telltale.FailureInterrupted, ""}
	case isDeadline(err) && !time.Now().Before(x.deadline):
		return x.late(at, timeout)
	}
	switch at {
	case stageDNS:
		return unresolved(err)
	case stageStart, stageConnect:
		return x.unconnected(err)
	case stageTLS:
		return untrusted(err, now)
	}
	return unanswered(err)
}

// blocked says no more than the guard does. A rule about addresses has a
// sentence in the catalogue; others were lifted when the webhook was saved, and
// are not any more.
func blocked(err error) fault {
	f := fault{telltale.ErrorBlockedAddress, telltale.FailureAddressBlocked, ""}
	if e, ok := errors.AsType[*egress.BlockedError](err); ok && e.Rule != egress.RuleAddress {
		f.detail = e.Error()
	}
	return f
}

// late is the deadline over the whole attempt.
func (x *exchange) late(at stage, timeout time.Duration) fault {
	switch at {
	case stageDNS:
		return fault{telltale.ErrorTimeout, telltale.FailureDNSTemporary, ""}
	case stageStart, stageConnect:
		if !x.public() {
			return fault{telltale.ErrorConnect, telltale.FailureConnect, ""}
		}
		return fault{telltale.ErrorTimeout, telltale.FailureConnectTimeout, telltale.FormatDuration(timeout)}
	}
	return fault{telltale.ErrorTimeout, telltale.FailureResponseTimeout, telltale.FormatDuration(timeout)}
}

func unresolved(err error) fault {
	code := telltale.FailureDNSTemporary
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
		code = telltale.FailureDNSNotFound
	}
	return fault{telltale.ErrorDNS, code, ""}
}

func (x *exchange) unconnected(err error) fault {
	f := fault{telltale.ErrorConnect, telltale.FailureConnect, ""}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return unresolved(err)
	}
	if errors.Is(err, syscall.ECONNRESET) { // accepted, and closed at once
		return fault{telltale.ErrorReset, telltale.FailureReset, ""}
	}
	if !x.public() {
		return f
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		f.code = telltale.FailureConnectRefused
	case isDeadline(err), errors.Is(err, syscall.ETIMEDOUT):
		f.code = telltale.FailureConnectTimeout
	}
	return f
}

// strict is a guard that knows public addresses only.
var strict egress.Guard

// public reports whether the address that was dialled last is one of the public
// Internet. Where it is not, a port that is closed and one that is filtered look
// alike, or webhooks would be a scanner for the network behind us.
func (x *exchange) public() bool {
	_, remote := x.timing()
	addr, err := netip.ParseAddrPort(remote)
	return err == nil && strict.CheckAddr(addr.Addr()) == nil
}

func untrusted(err error, now time.Time) fault {
	f := fault{telltale.ErrorTLS, telltale.FailureTLSUntrusted, ""}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		f.code, f.detail = telltale.FailureTLSName, namesOf(e.Certificate)
		return f
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if e.Reason == x509.Expired && e.Cert != nil {
			f.code, f.detail = validity(e.Cert, now)
		}
		return f
	}
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		if e.Cert != nil && e.Cert.CheckSignatureFrom(e.Cert) == nil {
			f.detail = "it is signed by itself"
		}
		return f
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return f
	}
	f.code = telltale.FailureTLSHandshake
	if said, ok := alertOf(err); ok {
		f.detail = said
	} else if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		f.detail = "the port does not speak TLS"
	} else if isEnd(err) {
		f.detail = "the connection was closed"
	}
	return f
}

// alertOf gives what the receiver said as it gave up trust, as crypto/tls has it.
func alertOf(err error) (said string, ok bool) {
	alert, ok := errors.AsType[*net.OpError](err)
	if !ok || alert.Op != "remote error" {
		return "", false
	}
	return "the receiver says " + strings.TrimPrefix(alert.Err.Error(), "tls: "), true
}

// validity says when a certificate expired, or begins to be valid.
func validity(c *x509.Certificate, now time.Time) (telltale.FailureCode, string) {
	if now.Before(c.NotBefore) {
		return telltale.FailureTLSNotYetValid, c.NotBefore.UTC().Format(time.DateOnly)
	}
	end := c.NotAfter.UTC().Format(time.DateOnly)
	switch days := int(now.Sub(c.NotAfter) / (24 * time.Hour)); days {
	case 0:
		return telltale.FailureTLSExpired, end
	case 1:
		return telltale.FailureTLSExpired, end + " (1 day ago)"
	default:
		return telltale.FailureTLSExpired, fmt.Sprintf("%s (%d days ago)", end, days)
	}
}

// namesOf names the first few hosts that a certificate is for.
func namesOf(c *x509.Certificate) string {
	if c == nil {
		return ""
	}
	names := c.DNSNames
	for _, ip := range c.IPAddresses {
		names = append(names[:len(names):len(names)], ip.String())
	}
	if len(names) > 3 {
		names = append(names[:3:3], "others")
	}
	return printable(strings.Join(names, ", "))
}

// unanswered is a failure on a connection that was made.
func unanswered(err error) fault {
	if said, ok := alertOf(err); ok { // TLS 1.3 judges our side after the handshake
		return fault{telltale.ErrorTLS, telltale.FailureTLSHandshake, said}
	}
	text := err.Error()
	switch {
	case errors.Is(err, errTooMuch), strings.Contains(text, errTooMuch.Error()),
		strings.Contains(text, "server response headers exceeded"),         // net/http, HTTP/1.1
		strings.Contains(text, "header list larger than advertised limit"): // HTTP/2
		return fault{telltale.ErrorTooLarge, telltale.FailureTooLarge, ""}
	case isEnd(err), refused(err):
		return fault{telltale.ErrorReset, telltale.FailureReset, ""}
	}
	return fault{telltale.ErrorProtocol, telltale.FailureProtocol, ""}
}

func isDeadline(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// isEnd reports whether the connection, or HTTP/2's stream, ended.
func isEnd(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED} {
		if errors.Is(err, end) {
			return true
		}
	}
	text := err.Error()
	for _, end := range []string{
		"server closed idle connection",                // net/http, HTTP/1.1
		"client connection lost",                       // HTTP/2: no answer to a ping
		"server sent GOAWAY and closed the connection", // HTTP/2
		"received from peer",                           // HTTP/2: RST_STREAM
		"http2: client conn ",                          // could not be established, is closed, not usable
	} {
		if strings.Contains(text, end) {
			return true
		}
	}
	return false
}

// refused reports whether an HTTP/2 receiver said that it did not process the
// request. net/http has only words for it.
func refused(err error) bool {
	text := err.Error()
	return strings.Contains(text, "graceful shutdown GOAWAY") || strings.Contains(text, "REFUSED_STREAM")
}

// printable makes what a receiver chose fit for a sentence.
func printable(s string) string {
	const most = 100
	s = visible(s)
	if len(s) > most {
		s = s[:most] + "…"
	}
	return s
}
