package telltale

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestABinAnswersOnlyWhatCanBeAnswered(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		answer BinAnswer
		faults string // their locations
	}{
		{"the usual answer", BinAnswer{}, ""},
		{"all there is", BinAnswer{Status: 429, Delay: MaxBinDelay, Body: strings.Repeat("x", MaxBinAnswerBody), RetryAfter: "Wed, 21 Oct 2026 07:28:00 GMT", Reset: true}, ""},
		{"the lowest status", BinAnswer{Status: 200}, ""},
		{"the highest status", BinAnswer{Status: 599}, ""},
		{"a Retry-After that is nonsense, to see what it does", BinAnswer{RetryAfter: "soon"}, ""},
		{"an interim status", BinAnswer{Status: 103}, "body.status"},
		{"a status beyond all", BinAnswer{Status: 600}, "body.status"},
		{"a negative status", BinAnswer{Status: -1}, "body.status"},
		{"a delay beyond the bound", BinAnswer{Delay: MaxBinDelay + 1}, "body.delay"},
		{"a delay before the request", BinAnswer{Delay: -time.Second}, "body.delay"},
		{"a body beyond the bound", BinAnswer{Body: strings.Repeat("x", MaxBinAnswerBody+1)}, "body.body"},
		{"a body that is no text", BinAnswer{Body: "\xff"}, "body.body"},
		{"a header in a header", BinAnswer{RetryAfter: "1\r\nSet-Cookie: a=b"}, "body.retry_after"},
		{"a padded header", BinAnswer{RetryAfter: " 1"}, "body.retry_after"},
		{"a header without end", BinAnswer{RetryAfter: strings.Repeat("1", MaxBinRetryAfter+1)}, "body.retry_after"},
		{"all at once", BinAnswer{Status: 1, Delay: -1, Body: "\xff", RetryAfter: "\x00"}, "body.status body.delay body.body body.retry_after"},
	} {
		var locations []string
		var e *Error
		if err := row.answer.Validate(); errors.As(err, &e) {
			for _, f := range e.Faults {
				locations = append(locations, f.Location)
				if f.Message == "" || f.Expected == "" {
					t.Errorf("%s: %+v", row.name, f)
				}
			}
		}
		if got := strings.Join(locations, " "); got != row.faults {
			t.Errorf("%s: faults at %q; want %q", row.name, got, row.faults)
		}
	}
}
