package web

import (
	"strconv"
	"strings"
	"time"

	"telltale.example/telltale"
)

// scheduleText says what a retry schedule comes to.
func scheduleText(s telltale.Schedule) string {
	if s != nil && len(s) == 0 {
		return "One attempt, no retries"
	}
	if s == nil {
		s = telltale.DefaultSchedule()
	}
	var whole time.Duration
	for _, wait := range s {
		whole += wait
	}
	return strconv.Itoa(len(s)+1) + " attempts over about " + inWords(whole)
}

// inWords rounds a time to a whole number of the greatest unit of which there are two.
func inWords(d time.Duration) string {
	for _, unit := range []struct {
		length    time.Duration
		one, many string
	}{{24 * time.Hour, "day", "days"}, {time.Hour, "hour", "hours"}, {time.Minute, "minute", "minutes"}} {
		if d >= 2*unit.length-unit.length/2 {
			return counted(int(d.Round(unit.length)/unit.length), unit.one, unit.many)
		}
	}
	return counted(max(1, int(d.Round(time.Second)/time.Second)), "second", "seconds")
}

// waitsText writes the waits of a schedule as people type them: 5s 30s 2m 1h 1d.
func waitsText(s telltale.Schedule) string {
	waits := make([]string, len(s))
	for i, wait := range s {
		waits[i] = waitText(wait)
	}
	return strings.Join(waits, " ")
}

func waitText(wait time.Duration) string {
	const day = 24 * time.Hour
	if wait >= 2*day && wait%day == 0 {
		return strconv.Itoa(int(wait/day)) + "d"
	}
	text := wait.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// parseWaits reads the waits of a schedule, with spaces or commas between them,
// and gives what it cannot read.
func parseWaits(text string) (s telltale.Schedule, wrong []string) {
	s = telltale.Schedule{}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == ';' || r == '\n' || r == '\r' || r == '\t' }) {
		wait, err := parseWait(word)
		if err != nil {
			wrong = append(wrong, telltale.CutValue(word))
			continue
		}
		s = append(s, wait)
	}
	return s, wrong
}

// parseWait reads one wait: what Go writes, and whole days.
func parseWait(word string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(word, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 8)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(word)
}
