package imports

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"telltale.example/telltale"
)

// dateForms are what dates look like. Without a zone they are in UTC; a fraction
// of a second may follow the seconds.
var dateForms = []string{
	time.RFC3339,
	"2006-01-02 15:04:05",
	"2006-01-02T15:04:05",
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05 Z07:00",
	"2006-01-02 15:04:05 UTC",
	"2006-01-02T15:04:05Z0700",
	"2006-01-02 15:04:05 Z0700",
	"2006-01-02",
}

// oldest is before which nothing happened: what is earlier is a slip.
var oldest = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)

// clockSkew is how far ahead of ours the clock of a sender may be.
const clockSkew = 24 * time.Hour

// date reads a moment; zero for what is empty.
func date(column, text string, now time.Time) (at time.Time, wrong string) {
	if text == "" {
		return time.Time{}, ""
	}
	at, ok := parseDate(text)
	switch {
	case !ok:
		return at, fmt.Sprintf("The column %s has %q, which is no date; such as 2026-11-20T09:30:00Z, 2026-11-20 09:30:00 or 1795167000.", column, telltale.CutValue(text))
	case at.After(now.Add(clockSkew)):
		return at, fmt.Sprintf("The column %s has %q, which is in the future; a number is Unix time in seconds.", column, telltale.CutValue(text))
	case at.Before(oldest):
		return at, fmt.Sprintf("The column %s has %q, which is before 1970.", column, telltale.CutValue(text))
	}
	return at, ""
}

func parseDate(text string) (time.Time, bool) {
	if whole, fraction, _ := strings.Cut(text, "."); len(whole) > 0 && len(whole) <= 15 && digits(whole) && digits(fraction) {
		seconds, _ := strconv.ParseInt(whole, 10, 64)
		milli, _ := strconv.ParseInt((fraction + "000")[:3], 10, 64)
		return time.Unix(seconds, milli*int64(time.Millisecond)).UTC(), true
	}
	for _, form := range dateForms {
		if at, err := time.Parse(form, text); err == nil {
			return at.UTC(), true
		}
	}
	return time.Time{}, false
}

func digits(text string) bool {
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
