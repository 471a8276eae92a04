package telltale

import (
	"testing"
	"time"
)

// answered is an attempt that ended with a final status.
func answered(status int) Attempt {
	a := Attempt{Status: status, Duration: time.Second}
	if !a.Success() {
		a.Error = ErrorHTTPStatus
	}
	return a
}

func failed(class ErrorClass) Attempt { return Attempt{Error: class, Duration: time.Second} }

func TestWhatBecomesOfADelivery(t *testing.T) {
	t.Parallel()
	const none = 0.5 // the jitter in the middle, which changes nothing
	retryAfter := func(a Attempt, d time.Duration) Attempt { a.RetryAfter = d; return a }
	waiting := func(wait time.Duration, step int) Outcome {
		return Outcome{State: StateWaiting, Wait: wait, Step: step}
	}
	given := func(step int) Outcome { return Outcome{State: StateFailed, Step: step} }
	own := Schedule{time.Hour, 2 * time.Hour}

	for _, tt := range []struct {
		name     string
		claim    Claim
		attempt  Attempt
		schedule Schedule
		want     Outcome
	}{
		{"200 is a success", Claim{}, answered(200), nil, Outcome{State: StateSucceeded, Step: 1}},
		{"299 is a success", Claim{Step: 4}, answered(299), nil, Outcome{State: StateSucceeded, Step: 5}},
		{"a success counts whatever the body did", Claim{}, Attempt{Status: 200}, Schedule{}, Outcome{State: StateSucceeded, Step: 1}},

		{"the first failure waits five seconds", Claim{}, answered(500), nil, waiting(5*time.Second, 1)},
		{"the second waits thirty", Claim{Step: 1}, failed(ErrorReset), nil, waiting(30*time.Second, 2)},
		{"the eleventh waits a day", Claim{Step: 10, Age: 51 * time.Hour, Tries: 10}, failed(ErrorConnect), nil, waiting(24*time.Hour, 11)},
		{"a redirect is a failure like another", Claim{}, answered(301), nil, waiting(5*time.Second, 1)},
		{"so is a refusal", Claim{}, answered(400), nil, waiting(5*time.Second, 1)},
		{"and a blocked address", Claim{}, failed(ErrorBlockedAddress), nil, waiting(5*time.Second, 1)},

		{"the twelfth after 72 hours ends it", Claim{Step: 11, Age: 75 * time.Hour, Tries: 11}, answered(500), nil, given(12)},
		{"at 72 hours less a moment the last wait repeats", Claim{Step: 11, Age: 72*time.Hour - time.Second - 1, Tries: 11}, answered(500), nil, waiting(24*time.Hour, 12)},
		{"the attempt itself counts towards the 72 hours", Claim{Step: 11, Age: 72*time.Hour - time.Second, Tries: 11}, answered(500), nil, given(12)},
		{"two tries since our outage are too few: the last wait repeats", Claim{Step: 12, Age: 200 * time.Hour, Tries: 1}, answered(500), nil, waiting(24*time.Hour, 13)},
		{"three are enough", Claim{Step: 13, Age: 224 * time.Hour, Tries: 2}, answered(500), nil, given(14)},

		{"a schedule of one's own is taken literally", Claim{Tries: 9}, answered(500), own, waiting(time.Hour, 1)},
		{"and has its last wait", Claim{Step: 1}, answered(500), own, waiting(2*time.Hour, 2)},
		{"and ends with it, whatever the age", Claim{Step: 2}, answered(500), own, given(3)},
		{"no retries means one attempt", Claim{}, answered(500), Schedule{}, given(1)},

		{"a manual attempt uses up nothing", Claim{Step: 3, Trigger: TriggerManual}, answered(500), nil, waiting(2*time.Minute, 3)},
		{"a manual attempt after the last wait began leaves the last attempt owed", Claim{Step: 2, Trigger: TriggerManual}, answered(500), own, waiting(2*time.Hour, 2)},
		{"a manual attempt before the first leaves that owed, soon", Claim{Trigger: TriggerManual}, answered(500), own, waiting(5*time.Second, 0)},
		{"even where there are no retries", Claim{Trigger: TriggerManual}, answered(500), Schedule{}, waiting(5*time.Second, 0)},
		{"a manual success is a success", Claim{Step: 2, Trigger: TriggerManual}, answered(204), own, Outcome{State: StateSucceeded, Step: 2}},
		{"a failed delivery that is retried fails again at once", Claim{Step: 1, Trigger: TriggerManual, Once: true}, answered(500), nil, given(1)},
		{"a replay counts like a first attempt", Claim{Trigger: TriggerReplay}, answered(500), nil, waiting(5*time.Second, 1)},

		{"an interrupted attempt uses up nothing and is due at once", Claim{Step: 3}, failed(ErrorInterrupted), nil, waiting(0, 3)},
		{"even the last", Claim{Step: 2}, failed(ErrorInterrupted), own, waiting(0, 2)},
		{"even that of a failed delivery", Claim{Step: 3, Trigger: TriggerManual, Once: true}, failed(ErrorInterrupted), own, waiting(0, 3)},

		{"410 ends the delivery and disables the webhook", Claim{}, answered(410), nil, Outcome{State: StateFailed, Step: 1, Disable: DisabledGone}},
		{"410 to a manual attempt does too", Claim{Step: 1, Trigger: TriggerManual, Once: true}, answered(410), nil, Outcome{State: StateFailed, Step: 1, Disable: DisabledGone}},

		{"a test is one attempt", Claim{Test: true, Once: true, Trigger: TriggerTest}, answered(500), nil, given(1)},
		{"410 to a test disables nothing", Claim{Test: true, Once: true, Trigger: TriggerTest}, answered(410), nil, given(1)},
		{"an interrupted test has failed", Claim{Test: true, Once: true, Trigger: TriggerTest}, failed(ErrorInterrupted), nil, given(0)},
		{"a test that passes", Claim{Test: true, Once: true, Trigger: TriggerTest}, answered(200), nil, Outcome{State: StateSucceeded, Step: 1}},

		{"429 waits a minute at least", Claim{}, answered(429), nil, waiting(time.Minute, 1)},
		{"429 with a shorter Retry-After too", Claim{}, retryAfter(answered(429), 7*time.Second), nil, waiting(time.Minute, 1)},
		{"429 waits for Retry-After", Claim{}, retryAfter(answered(429), time.Hour), nil, waiting(time.Hour, 1)},
		{"429 never comes before the schedule", Claim{Step: 6}, retryAfter(answered(429), time.Hour), nil, waiting(5*time.Hour, 7)},
		{"429 uses up the schedule like another failure", Claim{Step: 2}, retryAfter(answered(429), time.Hour), own, given(3)},
		{"503 waits for Retry-After", Claim{}, retryAfter(answered(503), time.Hour), nil, waiting(time.Hour, 1)},
		{"502 and 504 too", Claim{}, retryAfter(answered(504), time.Hour), nil, waiting(time.Hour, 1)},
		{"503 never comes before the schedule", Claim{Step: 6}, retryAfter(answered(503), time.Second), nil, waiting(5*time.Hour, 7)},
		{"500 does not honour it", Claim{}, retryAfter(answered(500), time.Hour), nil, waiting(5*time.Second, 1)},
		{"a timeout honours it, though none came", Claim{}, retryAfter(failed(ErrorTimeout), time.Hour), nil, waiting(time.Hour, 1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.claim.After(&tt.attempt, tt.schedule, none); got != tt.want {
				t.Errorf("%+v; want %+v", got, tt.want)
			}
		})
	}
}

func TestJitterSpreadsByAFifth(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		jitter  float64
		attempt Attempt
		want    time.Duration
	}{
		{"least", 0, answered(500), 8 * time.Minute},
		{"in the middle", 0.5, answered(500), 10 * time.Minute},
		{"three quarters", 0.75, answered(500), 11 * time.Minute},
		{"it does not shorten a 429's minute", 0, Attempt{Status: 429, Error: ErrorHTTPStatus, RetryAfter: 11 * time.Minute}, 11 * time.Minute},
	} {
		c := Claim{Step: 3}
		if got := c.After(&tt.attempt, nil, tt.jitter).Wait; got != tt.want {
			t.Errorf("%s: %v; want %v", tt.name, got, tt.want)
		}
	}
	c, a := Claim{Step: 3}, answered(500)
	if got := c.After(&a, nil, 0.999999).Wait; got < 8*time.Minute || got >= 12*time.Minute {
		t.Errorf("most: %v; want less than 12 minutes", got)
	}
}

// A delivery's whole life on the default schedule, however the jitter falls and
// however long attempts take.
func TestTheDefaultScheduleSpans72Hours(t *testing.T) {
	t.Parallel()
	for _, jitter := range []float64{0, 0.25, 0.5, 0.999} {
		c := Claim{}
		for made := 1; ; made++ {
			a := answered(500)
			o := c.After(&a, nil, jitter)
			age := c.Age + a.Duration
			if o.State == StateFailed {
				if age < MinRetrySpan || made < 12 || made > 14 {
					t.Errorf("jitter %v: given up after %d attempts and %v", jitter, made, age)
				}
				break
			}
			if o.Step != made {
				t.Fatalf("jitter %v: step %d after %d attempts", jitter, o.Step, made)
			}
			c.Step, c.Tries, c.Age = o.Step, c.Tries+1, age+o.Wait
		}
	}
}

func TestWhichAnswersHonourRetryAfter(t *testing.T) {
	t.Parallel()
	for status := 300; status < 600; status++ {
		a := answered(status)
		want := status == 429 || status == 502 || status == 503 || status == 504
		if a.HonoursRetryAfter() != want {
			t.Errorf("%d: %v", status, !want)
		}
	}
	for _, class := range []ErrorClass{ErrorTimeout, ErrorDNS, ErrorConnect, ErrorTLS, ErrorReset, ErrorProtocol, ErrorInternal} {
		if a := failed(class); a.HonoursRetryAfter() != (class == ErrorTimeout) {
			t.Errorf("%s: %v", class, a.HonoursRetryAfter())
		}
	}
}
