package telltale

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Code says what kind of failure an [Error] is. There are few of them; each
// face (API, command line, pages) maps them once to its own answers.
type Code string

// The codes, with the HTTP status that the API gives for each.
const (
	Malformed            Code = "malformed"             // 400: it cannot be parsed
	Unauthenticated      Code = "unauthenticated"       // 401: no valid key
	Forbidden            Code = "forbidden"             // 403: the key's scope does not reach this far
	NotFound             Code = "not_found"             // 404: it does not exist, or belongs to another project
	MethodNotAllowed     Code = "method_not_allowed"    // 405
	Conflict             Code = "conflict"              // 409: the present state does not allow it
	PreconditionFailed   Code = "precondition_failed"   // 412: it is no longer at the version that the caller has seen
	TooLarge             Code = "too_large"             // 413: more bytes or items than the limit
	UnsupportedMedia     Code = "unsupported_media"     // 415: not JSON or NDJSON
	Invalid              Code = "invalid"               // 422: it can be parsed and is wrong
	PreconditionRequired Code = "precondition_required" // 428: the caller must say which version they have seen
	RateLimited          Code = "rate_limited"          // 429: come back after RetryAfter
	Internal             Code = "internal"              // 500: our fault
	Unavailable          Code = "unavailable"           // 503: it could not be stored now; nothing was
)

// Error is a failure that a caller can act on. Errors of any other type are
// [Internal] to the faces, which log them and show no detail.
type Error struct {
	Code       Code
	Message    string        // one sentence for a person: what happened, and what would be right
	Faults     []Fault       // for Invalid and Malformed: every fault found, in order of the input
	RetryAfter time.Duration // for RateLimited and Unavailable: when to come back
	Cause      error         // for the log, never shown to a caller
}

// Fault is one thing that is wrong with an input.
type Fault struct {
	Location string // where, as a path from the body: body[3].user.id
	Message  string // what is wrong
	Expected string // what would be right, if that can be said in a few words
	Value    string // the offending value, cut at 64 bytes; empty for secrets
}

// MaxFaultValue is the number of bytes of an offending value that a fault shows.
const MaxFaultValue = 64

// CutValue shortens an offending value to [MaxFaultValue] bytes, never inside a character.
func CutValue(s string) string {
	if len(s) <= MaxFaultValue {
		return s
	}
	return strings.ToValidUTF8(s[:MaxFaultValue], "") + "…"
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	for i, f := range e.Faults {
		if i == 0 && e.Message != "" {
			b.WriteString(" ")
		} else if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s: %s", f.Location, f.Message)
	}
	if e.Cause != nil {
		fmt.Fprintf(&b, " (%v)", e.Cause)
	}
	return b.String()
}

// Unwrap gives the cause to [errors.Is] and [errors.As].
func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an [Error] of the given code.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Faulty makes an [Invalid] error of the faults, or nil if there are none.
func Faulty(message string, faults []Fault) error {
	if len(faults) == 0 {
		return nil
	}
	return &Error{Code: Invalid, Message: message, Faults: faults}
}

// CodeOf gives the code of the first [Error] in err's chain, [Internal] for any
// other error, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}
