package telltale

import (
	"testing"
	"time"
)

func TestTheDefaultScheduleIsTheDocumentedOne(t *testing.T) {
	t.Parallel()
	s := DefaultSchedule()
	var sum time.Duration
	for i, wait := range s {
		sum += wait
		if i > 0 && wait < s[i-1] {
			t.Errorf("wait %d is shorter than the one before", i)
		}
	}
	if len(s) != 11 || sum.Round(6*time.Minute) != 75*time.Hour+42*time.Minute {
		t.Errorf("%d waits, %v in all; want 11 and 75.7 hours", len(s), sum)
	}
	if sum*4/5 >= MinRetrySpan {
		t.Error("with the least jitter the schedule still spans 72 hours: no test meets the last wait's repetition")
	}
	s[0] = time.Hour
	if DefaultSchedule()[0] != 5*time.Second {
		t.Error("the schedule can be changed from outside")
	}
}

func TestTheNextWait(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name     string
		schedule Schedule
		step     int
		age      time.Duration
		tries    int
		wait     time.Duration
		more     bool
	}{
		{"after the first attempt", nil, 1, 0, 1, 5 * time.Second, true},
		{"after the eleventh", nil, 11, 52 * time.Hour, 11, day, true},
		{"after the twelfth, 72 hours on", nil, 12, 72 * time.Hour, 12, 0, false},
		{"after the twelfth, sooner", nil, 12, 72*time.Hour - 1, 12, day, true},
		{"far beyond the end, with too few tries", nil, 40, 720 * time.Hour, 2, day, true},
		{"far beyond the end, with enough", nil, 40, 720 * time.Hour, 3, 0, false},
		{"one's own, at its end and early", Schedule{time.Second}, 2, 0, 1, 0, false},
		{"one's own, within", Schedule{time.Second, time.Minute}, 2, 0, 1, time.Minute, true},
		{"none", Schedule{}, 1, 0, 1, 0, false},
		{"none, and nothing counted yet", Schedule{}, 0, 0, 1, 5 * time.Second, true},
	} {
		if wait, more := tt.schedule.next(tt.step, tt.age, tt.tries); wait != tt.wait || more != tt.more {
			t.Errorf("%s: %v, %v; want %v, %v", tt.name, wait, more, tt.wait, tt.more)
		}
	}
}
