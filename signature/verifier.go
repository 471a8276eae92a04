package signature

import (
	"crypto/hmac"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// DefaultTolerance is how far a request's timestamp may lie from the
// receiver's clock, in either direction. Standard Webhooks asks for some
// tolerance against replayed requests; its libraries take five minutes.
const DefaultTolerance = 5 * time.Minute

// Bounds on the headers of a request that comes from anyone.
const (
	MaxIDLength        = 256  // bytes of webhook-id
	MaxSignatureLength = 4096 // bytes of webhook-signature
	MaxSignatures      = 32   // entries in webhook-signature, of every version
)

// maxTimestampLength keeps a timestamp far from overflowing an int64.
const maxTimestampLength = 15

// Verifier verifies requests that were signed with any of its secrets. It may
// be used by any number of goroutines at once.
type Verifier struct {
	// Tolerance is how far the timestamp may lie from now, in either
	// direction: 0 means [DefaultTolerance]. Set it before the first use.
	Tolerance time.Duration

	macs []mac
}

// NewVerifier prepares the secrets; their order does not matter. It panics on
// the zero Secret.
func NewVerifier(secret Secret, others ...Secret) *Verifier {
	return &Verifier{macs: macs(secret, others)}
}

// Verify reports whether the request with these headers and this very body was
// signed with one of the secrets, no longer than the tolerance before or after
// now. Entries of webhook-signature with another version than v1 are ignored.
//
// It fails with an [*Error]. Its reason is the first of these that applies:
// [ErrMissingHeader], [ErrMalformedHeader] (repeated, too long, or not an id),
// [ErrMalformedTimestamp], [ErrNoSignature], [ErrMismatch], [ErrTooOld],
// [ErrTooNew]. So a reason about time means that the signature is right.
func (v *Verifier) Verify(header http.Header, body []byte, now time.Time) error {
	r, err := readHeaders(header)
	if err != nil {
		return err
	}
	if !r.signedBy(v.macs, body) {
		return &Error{Reason: ErrMismatch, Header: HeaderSignature, Detail: "another secret signed the request, or the body is not the very bytes that were sent"}
	}
	return r.checkTime(now, v.tolerance())
}

func (v *Verifier) tolerance() time.Duration {
	if v.Tolerance == 0 {
		return DefaultTolerance
	}
	return v.Tolerance
}

// CheckID reports what keeps id from being a webhook-id: 1 to [MaxIDLength]
// visible ASCII characters. A full stop is not among them, since it separates
// the parts of what is signed: an id that held one could pass for another id
// and another timestamp (Standard Webhooks, "Signature scheme").
func CheckID(id string) error {
	malformed := func(detail string) error {
		return &Error{Reason: ErrMalformedHeader, Header: HeaderID, Detail: detail}
	}
	if id == "" || len(id) > MaxIDLength {
		return malformed(fmt.Sprintf("it has %d bytes; expected 1 to %d", len(id), MaxIDLength))
	}
	for _, c := range []byte(id) {
		if c == '.' {
			return malformed("it contains a full stop")
		}
		if c <= ' ' || c > '~' {
			return malformed("it contains a space or a character beyond visible ASCII")
		}
	}
	return nil
}

// signed is what the headers of a request say, read but not verified.
type signed struct {
	id, timestamp, signatures string
	time                      time.Time
}

func readHeaders(header http.Header) (signed, error) {
	var r signed
	for _, h := range []struct {
		name  string
		value *string
	}{{HeaderID, &r.id}, {HeaderTimestamp, &r.timestamp}, {HeaderSignature, &r.signatures}} {
		values := header.Values(h.name)
		if len(values) == 0 || len(values) == 1 && values[0] == "" {
			return r, &Error{Reason: ErrMissingHeader, Header: h.name}
		}
		if len(values) > 1 {
			// Whoever reads the first and whoever reads the last would disagree.
			return r, &Error{Reason: ErrMalformedHeader, Header: h.name, Detail: fmt.Sprintf("it is there %d times", len(values))}
		}
		*h.value = values[0]
	}
	if err := CheckID(r.id); err != nil {
		return r, err
	}
	seconds, err := parseTimestamp(r.timestamp)
	if err != nil {
		return r, err
	}
	r.time = time.Unix(seconds, 0)
	return r, r.checkSignatures()
}

// parseTimestamp takes digits alone: no sign, no fraction, no leading zero.
// What is signed is the header's text, so that one time must have one text.
func parseTimestamp(text string) (int64, error) {
	malformed := &Error{Reason: ErrMalformedTimestamp, Header: HeaderTimestamp, Detail: "expected Unix seconds such as 1614265330"}
	if len(text) > maxTimestampLength || len(text) > 1 && text[0] == '0' {
		return 0, malformed
	}
	seconds, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, malformed
	}
	return int64(seconds), nil
}

func (r *signed) checkSignatures() error {
	if len(r.signatures) > MaxSignatureLength {
		return &Error{Reason: ErrMalformedHeader, Header: HeaderSignature, Detail: fmt.Sprintf("it has %d bytes; expected at most %d", len(r.signatures), MaxSignatureLength)}
	}
	entries, usable := 0, false
	for entry := range strings.SplitSeq(r.signatures, " ") {
		if entry != "" {
			entries++
		}
		if _, ok := strings.CutPrefix(entry, version+","); ok {
			usable = true
		}
	}
	if entries > MaxSignatures {
		return &Error{Reason: ErrMalformedHeader, Header: HeaderSignature, Detail: fmt.Sprintf("it has %d signatures; expected at most %d", entries, MaxSignatures)}
	}
	if !usable {
		return &Error{Reason: ErrNoSignature, Header: HeaderSignature, Detail: "expected v1, and base64"}
	}
	return nil
}

// signedBy reports whether any v1 signature is right for any of the keys. The
// comparison is of base64 texts, in constant time, so that one signature has
// one spelling.
func (r *signed) signedBy(keys []mac, body []byte) bool {
	w := borrow()
	defer w.giveBack()
	w.setHead(r.id, r.timestamp)
	for _, m := range keys {
		w.text = base64.StdEncoding.AppendEncode(w.text[:0], w.sign(m, body))
		for entry := range strings.SplitSeq(r.signatures, " ") {
			if given, ok := strings.CutPrefix(entry, version+","); ok && hmac.Equal([]byte(given), w.text) {
				return true
			}
		}
	}
	return false
}

func (r *signed) checkTime(now time.Time, tolerance time.Duration) error {
	skew := now.Sub(r.time)
	e := &Error{Header: HeaderTimestamp, Skew: skew}
	switch {
	case skew > tolerance:
		e.Reason = ErrTooOld
		e.Detail = fmt.Sprintf("it is %s old; expected at most %s", skew.Round(time.Second), tolerance)
	case -skew > tolerance:
		e.Reason = ErrTooNew
		e.Detail = fmt.Sprintf("it is %s ahead; expected at most %s", -skew.Round(time.Second), tolerance)
	default:
		return nil
	}
	return e
}
