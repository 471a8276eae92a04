package web

import (
	"slices"
	"testing"
	"time"

	"telltale.example/telltale"
)

func TestSchedulesInWords(t *testing.T) {
	t.Parallel()
	const s, m, h = time.Second, time.Minute, time.Hour
	for _, tt := range []struct {
		name        string
		schedule    telltale.Schedule
		text, waits string
	}{
		{"the default", nil, "12 attempts over about 3 days", ""},
		{"none", telltale.Schedule{}, "One attempt, no retries", ""},
		{"a minute", telltale.Schedule{m}, "2 attempts over about 60 seconds", "1m"},
		{"minutes", telltale.Schedule{5 * s, 30 * s, 2 * m}, "4 attempts over about 3 minutes", "5s 30s 2m"},
		{"hours", telltale.Schedule{90 * s, h, h + 30*m, 5 * h}, "5 attempts over about 8 hours", "1m30s 1h 1h30m 5h"},
		{"days", telltale.Schedule{24 * h, 72 * h}, "3 attempts over about 4 days", "24h 3d"},
		{"less than a second", telltale.Schedule{500 * time.Millisecond}, "2 attempts over about 1 second", "500ms"},
		{"ten and twenty", telltale.Schedule{10 * s, 20 * m, 10 * h}, "4 attempts over about 10 hours", "10s 20m 10h"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := scheduleText(tt.schedule); got != tt.text {
				t.Errorf("%q; want %q", got, tt.text)
			}
			if got := waitsText(tt.schedule); got != tt.waits {
				t.Errorf("waits %q; want %q", got, tt.waits)
			}
			if back, wrong := parseWaits(tt.waits); len(wrong) > 0 || !slices.Equal(back, tt.schedule) {
				t.Errorf("read back as %v, without %q", back, wrong)
			}
		})
	}
}

func TestWaitsAsPeopleTypeThem(t *testing.T) {
	t.Parallel()
	got, wrong := parseWaits(" 5s,30s;  soon\n1d 5 999999d -1s ")
	if want := (telltale.Schedule{5 * time.Second, 30 * time.Second, 24 * time.Hour, -time.Second}); !slices.Equal(got, want) {
		t.Errorf("%v; want %v", got, want)
	}
	if want := []string{"soon", "5", "999999d"}; !slices.Equal(wrong, want) {
		t.Errorf("wrong: %q; want %q", wrong, want)
	}
}
