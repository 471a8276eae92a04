package signature

import (
	"errors"
	"fmt"
	"time"
)

// Why a request or a secret was refused: the Reason of an [*Error], and what
// [errors.Is] finds in one.
var (
	ErrMissingHeader      = errors.New("a header is missing")
	ErrMalformedHeader    = errors.New("a header is malformed")
	ErrMalformedTimestamp = errors.New("the timestamp is malformed")
	ErrNoSignature        = errors.New("there is no v1 signature")
	ErrMismatch           = errors.New("no signature matches")
	ErrTooOld             = errors.New("the timestamp is too old")
	ErrTooNew             = errors.New("the timestamp is in the future")
	ErrMalformedSecret    = errors.New("the secret is malformed")
)

// Error says why a request was not verified, or a secret not parsed.
type Error struct {
	Reason error  // one of the Err… of this package
	Header string // the header at fault, or empty
	Detail string // what is wrong with it, and what would be right

	// Skew is how far the timestamp lies behind now, negative if ahead, for
	// ErrTooOld and ErrTooNew. The signature is right then: only time is not.
	Skew time.Duration
}

func (e *Error) Error() string {
	text := "signature: " + e.Reason.Error()
	if e.Header != "" {
		text = fmt.Sprintf("%s: %s", text, e.Header)
	}
	if e.Detail != "" {
		text = fmt.Sprintf("%s: %s", text, e.Detail)
	}
	return text
}

// Unwrap gives the reason.
func (e *Error) Unwrap() error { return e.Reason }
