package web

import (
	"strconv"
	"strings"
	"time"

	"telltale.example/telltale"
)

// count writes a number with its thousands set apart: 4 212. The space is narrow and
// does not break.
func count(n int) string {
	digits := strconv.Itoa(n)
	if n < 0 {
		return "-" + count(-n)
	}
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// counted is a count with its noun: 1 delivery, 2 deliveries.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// countedSoFar is a count with its noun; if there may be more, only its first
// digit is told, since the next one may come out otherwise: 4 000+ deliveries.
func countedSoFar(n int, more bool, one, many string) string {
	if !more {
		return counted(n, one, many)
	}
	unit := 1
	for unit*10 <= n {
		unit *= 10
	}
	return count(n/unit*unit) + "+ " + many
}

// percent writes a share with one decimal, cut and not rounded: 4 214 of 4 215
// are not 100 %. It is empty where there is nothing to have a share of.
func percent(part, whole int) string {
	if whole == 0 {
		return ""
	}
	tenths := part * 1000 / whole
	text := strconv.Itoa(tenths / 10)
	if tenths%10 != 0 {
		text += "." + strconv.Itoa(tenths%10)
	}
	return text + "\u202f%"
}

// took writes how long something took, as a quantile estimates it: no digits
// that the estimate does not have.
func took(d time.Duration) string {
	switch {
	case d >= 10*time.Second && d < 2*time.Minute:
		d = d.Round(time.Second)
	case d >= 100*time.Millisecond && d < time.Second:
		d = d.Round(time.Millisecond)
	case d >= time.Second && d < 10*time.Second:
		d = d.Round(100 * time.Millisecond)
	}
	return telltale.FormatDuration(d)
}
