package wire

import (
	"fmt"
	"strings"
	"time"
)

// Time is written as RFC 3339 in UTC with milliseconds, and read as any RFC 3339.
type Time struct{ time.Time }

const timeFormat = "2006-01-02T15:04:05.000Z"

// MarshalText writes the time as the API does.
func (t Time) MarshalText() ([]byte, error) { return t.UTC().AppendFormat(nil, timeFormat), nil }

// MarshalJSON writes the time as the API does.
func (t Time) MarshalJSON() ([]byte, error) {
	return t.UTC().AppendFormat(nil, `"`+timeFormat+`"`), nil
}

// Duration is written and read as a Go duration, such as "5s" or "1h30m".
type Duration time.Duration

// String is the duration without the parts that are zero: "2m", not "2m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText writes the duration as [Duration.String] does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what [time.ParseDuration] reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("wire: reading a duration: %w", err)
	}
	*d = Duration(parsed)
	return nil
}

// milliseconds is a duration as a number of milliseconds, to the microsecond.
func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond).Microseconds()) / 1000
}
