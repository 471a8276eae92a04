package telltale

import (
	"strings"
	"time"
)

// Schedule lists the waits between the attempts of a delivery: the wait at
// index 0 stands between the first attempt and the second. Waits are counted
// from the end of the attempt before. The nil schedule is [DefaultSchedule];
// an empty one means a single attempt.
type Schedule []time.Duration

// DefaultSchedule makes twelve attempts over 75.7 hours. Its last wait repeats
// until [MinRetrySpan] has passed and [MinTries] were made; a schedule of
// one's own is taken literally.
func DefaultSchedule() Schedule {
	return Schedule{
		5 * time.Second, 30 * time.Second,
		2 * time.Minute, 10 * time.Minute, 30 * time.Minute,
		2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
	}
}

const (
	// MinRetrySpan is how long after the first attempt a delivery on the
	// default schedule is not given up.
	MinRetrySpan = 72 * time.Hour
	// MinTries is how many attempts a delivery on the default schedule gets
	// after an outage of our own of more than [OutageGap].
	MinTries = 3
	// OutageGap is how long no node may have been alive before that counts as
	// an outage of our own.
	OutageGap = 10 * time.Minute

	// MaxWaits bounds the waits in a schedule, and MaxScheduleSpan their sum.
	MaxWaits        = 20
	MaxScheduleSpan = 30 * 24 * time.Hour
)

// next gives the wait after `step` attempts of the schedule and whether there
// is another attempt at all. age is the time since the first attempt began,
// tries the attempts since our last outage.
func (s Schedule) next(step int, age time.Duration, tries int) (time.Duration, bool) {
	waits := s
	if s == nil {
		waits = defaultSchedule
	}
	if step < 1 {
		// Only attempts that do not count were made: the first that does is owed.
		return defaultSchedule[0], true
	}
	if step-1 < len(waits) {
		return waits[step-1], true
	}
	if s == nil && (age < MinRetrySpan || tries < MinTries) {
		return waits[len(waits)-1], true
	}
	return 0, false
}

var defaultSchedule = DefaultSchedule()

// String writes the schedule for people: "default", "none", or its waits.
func (s Schedule) String() string {
	switch {
	case s == nil:
		return "default"
	case len(s) == 0:
		return "none"
	}
	waits := make([]string, len(s))
	for i, wait := range s {
		waits[i] = wait.String()
	}
	return strings.Join(waits, " ")
}
