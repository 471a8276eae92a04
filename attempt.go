package telltale

import "time"

// Attempt is one HTTP request for a delivery and what came of it.
type Attempt struct {
	Number    int // 1, 2, …; counts interrupted attempts too, so the log has no gaps
	Trigger   Trigger
	StartedAt time.Time
	Duration  time.Duration
	Timing    Timing
	Node      NodeID

	// Success is a final status of 200 to 299. Everything else has an Error
	// class, and where the catalogue knows it a Failure code; Detail is the
	// part of the failure's sentence that differs from case to case, such as
	// a date, and is safe to show to a project's operator.
	Status  int // 0 if no final status line came
	Error   ErrorClass
	Failure FailureCode
	Detail  string

	// RetryAfter is how long the receiver asked us to wait, at most
	// [MaxRetryAfter]; 0 if it did not or if it was rubbish.
	RetryAfter time.Duration

	RemoteAddr string // the address dialled, host:port; empty if none was
	Request    SentRequest
	Response   GotResponse
}

// Success reports whether the receiver took the event.
func (a *Attempt) Success() bool { return a.Status >= 200 && a.Status <= 299 }

// Trigger says why an attempt was made.
type Trigger string

const (
	TriggerAutomatic Trigger = "automatic" // first attempts and those of the retry schedule
	TriggerManual    Trigger = "manual"    // an operator pressed Retry now
	TriggerTest      Trigger = "test"      // an operator pressed Test
	TriggerReplay    Trigger = "replay"    // the first attempt of a replayed event
)

// Timing splits the duration of an attempt. A part is 0 if it did not happen,
// as with DNS, connect and TLS on a connection that was open already.
type Timing struct {
	DNS, Connect, TLS time.Duration
	FirstByte         time.Duration // from the written request to the first byte of the answer
}

// Header is one line of a request's or response's head. Order and repetition are kept.
type Header struct{ Name, Value string }

// SentRequest is what went out, without the body: that is the event's payload.
// Values that are secret read [Redacted].
type SentRequest struct {
	Method  string
	URL     string
	Headers []Header
}

// Redacted stands where a secret value would be in what is kept or shown.
const Redacted = "[redacted]"

// GotResponse is what came back: at most [MaxResponseHeaders] of headers and
// [MaxResponseBody] of body.
type GotResponse struct {
	Headers   []Header
	Body      []byte
	Truncated bool // the receiver sent more than is kept
}

// Bounds on what is read of a response, in bytes, and on how far Retry-After reaches.
const (
	MaxResponseHeaders = 64 << 10
	MaxResponseBody    = 16 << 10
	MaxRetryAfter      = 24 * time.Hour
)

// ErrorClass is why an attempt failed, from a closed set; empty for success.
type ErrorClass string

const (
	ErrorTimeout        ErrorClass = "timeout"         // the deadline over the whole attempt passed
	ErrorDNS            ErrorClass = "dns_error"       // the name has no address
	ErrorConnect        ErrorClass = "connect_error"   // no connection
	ErrorTLS            ErrorClass = "tls_error"       // no trust
	ErrorReset          ErrorClass = "reset"           // the connection ended before an answer
	ErrorProtocol       ErrorClass = "protocol_error"  // the answer is not HTTP
	ErrorBlockedAddress ErrorClass = "blocked_address" // the address may not be dialled
	ErrorHTTPStatus     ErrorClass = "http_status"     // an answer, and not a 2xx
	ErrorTooLarge       ErrorClass = "too_large"       // more header than is read
	ErrorInterrupted    ErrorClass = "interrupted"     // our node ended in the middle; the outcome is unknown
	ErrorInternal       ErrorClass = "internal_error"  // our fault
)
