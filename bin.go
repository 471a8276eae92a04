package telltale

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Bin is the inspector's: an address below /in/ that catches whatever is sent
// to it, so that people see what a webhook sends before they have a receiver.
type Bin struct {
	ID        BinID
	ProjectID ProjectID
	CreatedAt time.Time
	ExpiresAt time.Time
	Answer    BinAnswer
	Caught    int // requests that it holds; in lists of bins only
}

// BinAnswer is what a bin answers, so that people see what a webhook does when
// its receiver fails. The zero value answers 200 at once.
type BinAnswer struct {
	Status     int           // 200 to 599; 0 stands for 200
	Delay      time.Duration // before the answer, at most [MaxBinDelay]
	Body       string        // at most [MaxBinAnswerBody] bytes
	RetryAfter string        // value of that header, as it is; empty for none
	Reset      bool          // the connection is closed without an answer
}

// BinID is also the last part of the bin's address. It cannot be guessed,
// since knowing it is all that is needed to send to the bin.
type BinID string

// CaughtRequest is one request that a bin caught.
type CaughtRequest struct {
	ID         RequestID
	BinID      BinID
	ReceivedAt time.Time
	RemoteAddr string
	Method     string
	Path       string // with the query
	Headers    []Header
	Body       []byte
	Truncated  bool // the body was longer than [MaxCaughtBody]

	// Verdict on the signature: "valid", "unsigned", or why it is not valid,
	// checked with the secrets of the project's webhooks that point to the bin.
	Verdict string
}

// Bounds of the inspector.
const (
	BinLifetime       = 24 * time.Hour
	MaxCaughtRequests = 200       // a bin keeps the newest
	MaxCaughtBody     = 256 << 10 // bytes
	MaxBins           = 100       // a project has at a time
	MaxBinDelay       = 35 * time.Second
	MaxBinAnswerBody  = 4 << 10 // bytes
	MaxBinRetryAfter  = 100     // bytes of the header
)

// Validate reports every rule that the answer breaks as one [Invalid] error.
func (a BinAnswer) Validate() error {
	var faults []Fault
	if a.Status != 0 && (a.Status < 200 || a.Status > 599) {
		faults = append(faults, Fault{
			Location: "body.status", Message: "A request cannot be answered with this status.",
			Expected: "200 to 599, or 0 for 200", Value: strconv.Itoa(a.Status),
		})
	}
	if a.Delay < 0 || a.Delay > MaxBinDelay {
		faults = append(faults, Fault{
			Location: "body.delay", Message: "The delay is out of range.",
			Expected: fmt.Sprintf("0s to %s", MaxBinDelay), Value: a.Delay.String(),
		})
	}
	if len(a.Body) > MaxBinAnswerBody || !utf8.ValidString(a.Body) {
		faults = append(faults, Fault{
			Location: "body.body", Message: "The body is too long or is not text.",
			Expected: fmt.Sprintf("at most %d bytes of UTF-8", MaxBinAnswerBody),
		})
	}
	if len(a.RetryAfter) > MaxBinRetryAfter || strings.TrimSpace(a.RetryAfter) != a.RetryAfter || !printableASCII(a.RetryAfter) {
		faults = append(faults, Fault{
			Location: "body.retry_after", Message: "The value is too long, padded, or not printable ASCII.",
			Expected: fmt.Sprintf("seconds or an HTTP date, at most %d characters; nonsense is allowed, to see what it does", MaxBinRetryAfter), Value: CutValue(a.RetryAfter),
		})
	}
	return Faulty("Invalid answer.", faults)
}

// VerdictValid and VerdictUnsigned are the verdicts that are not a reason.
const (
	VerdictValid    = "valid"
	VerdictUnsigned = "unsigned"
)

// NewBin makes a bin of the project that lives [BinLifetime].
func NewBin(project ProjectID) Bin {
	var b [15]byte
	rand.Read(b[:])
	t := now()
	return Bin{
		ID:        BinID(strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))),
		ProjectID: project, CreatedAt: t, ExpiresAt: t.Add(BinLifetime),
	}
}
