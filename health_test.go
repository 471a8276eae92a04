package telltale

import (
	"math/rand/v2"
	"testing"
	"time"
)

// fate is a webhook whose attempts a test decides.
type fate struct {
	t       *testing.T
	now     time.Time
	s       Standing
	warned  []time.Duration // since the start
	disable DisabledReason
	end     time.Duration
	healed  int
}

var fateStart = time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)

func newFate(t *testing.T) *fate { return &fate{t: t, now: fateStart} }

// attempt lets one begin and end now.
func (f *fate) attempt(a Attempt) {
	a.StartedAt = f.now
	f.ended(a)
}

// ended lets an attempt that began earlier end now.
func (f *fate) ended(a Attempt) {
	var signals Signals
	f.s, signals = f.s.After(&a, f.now)
	if signals.Warned != WarnedNot {
		f.warned = append(f.warned, f.now.Sub(fateStart))
	}
	if signals.Disable != "" && f.disable == "" {
		f.disable, f.end = signals.Disable, f.now.Sub(fateStart)
	}
	if signals.Recovered {
		f.healed++
	}
}

func (f *fate) pass(d time.Duration) { f.now = f.now.Add(d) }

// many makes n attempts, so long after each other.
func (f *fate) many(n int, every time.Duration, a Attempt) {
	for range n {
		f.attempt(a)
		f.pass(every)
	}
}

var (
	ok          = Attempt{Status: 200}
	refused     = Attempt{Error: ErrorConnect}
	unwell      = Attempt{Status: 503, Error: ErrorHTTPStatus}
	patience    = Attempt{Status: 429, Error: ErrorHTTPStatus}
	interrupted = Attempt{Error: ErrorInterrupted}
	ours        = Attempt{Error: ErrorInternal}
	forbidden   = Attempt{Error: ErrorBlockedAddress}
	gone        = Attempt{Status: 410, Error: ErrorHTTPStatus}
)

func TestWhatAnAttemptSaysOfHealth(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		a    Attempt
		want Health
	}{
		{"a success", ok, HealthHealthy},
		{"an error of the server", unwell, HealthFailing},
		{"no connection", refused, HealthFailing},
		{"no answer in time", Attempt{Error: ErrorTimeout}, HealthFailing},
		{"an address that may not be dialled", forbidden, HealthFailing},
		{"gone for good", gone, HealthFailing},
		{"a plea for patience says nothing", patience, ""},
		{"an attempt that we broke off says nothing", interrupted, ""},
		{"a fault of ours says nothing", ours, ""},
	} {
		if got := tt.a.health(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestTheBreakerOpens(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		live func(f *fate)
		want BreakerState
	}{
		{"not after nine failures in a row", func(f *fate) { f.many(9, time.Hour, unwell) }, BreakerClosed},
		{"after ten, however far apart", func(f *fate) { f.many(10, time.Hour, unwell) }, BreakerOpen},
		{"not if a success is among them", func(f *fate) {
			f.many(9, time.Hour, unwell)
			f.attempt(ok)
			f.many(9, time.Hour, unwell)
		}, BreakerClosed},
		{"what says nothing breaks no row", func(f *fate) {
			f.many(5, time.Hour, unwell)
			f.attempt(interrupted)
			f.attempt(patience)
			f.many(5, time.Hour, unwell)
		}, BreakerOpen},
		{"pleas for patience and faults of ours never open it", func(f *fate) {
			f.many(50, time.Second, patience)
			f.many(50, time.Second, ours)
			f.many(50, time.Second, interrupted)
		}, BreakerClosed},
		{"when half of twenty fail within five minutes", func(f *fate) {
			for range 10 {
				f.attempt(ok)
				f.attempt(unwell)
				f.pass(20 * time.Second)
			}
		}, BreakerOpen},
		{"not when half of nineteen do", func(f *fate) {
			f.many(1, 0, ok)
			for range 9 {
				f.attempt(ok)
				f.attempt(unwell)
			}
		}, BreakerClosed},
		{"not when fewer than half fail", func(f *fate) {
			for range 100 {
				f.many(3, 0, ok)
				f.many(2, time.Second, unwell)
			}
		}, BreakerClosed},
		{"not when half of twenty fail within ten minutes", func(f *fate) {
			for range 20 {
				f.attempt(ok)
				f.attempt(unwell)
				f.pass(time.Minute)
			}
		}, BreakerClosed},
		{"old successes are forgotten", func(f *fate) {
			f.many(1000, 0, ok)
			f.pass(6 * time.Minute)
			for range 10 {
				f.attempt(ok)
				f.attempt(unwell)
			}
		}, BreakerOpen},
		{"a clock that is set back forgets nothing", func(f *fate) {
			f.many(20, 0, ok)
			f.pass(-time.Hour)
			f.many(9, 0, unwell)
			f.attempt(ok)
			f.many(9, 0, unwell)
			f.attempt(ok)
			f.many(5, 0, unwell)
		}, BreakerOpen},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFate(t)
			tt.live(f)
			if f.s.Breaker.State != tt.want {
				t.Errorf("the breaker is %s, want %s", f.s.Breaker.State.Name(), tt.want.Name())
			}
		})
	}
}

// broken is a webhook whose breaker has just opened.
func broken(t *testing.T) *fate {
	f := newFate(t)
	f.many(BreakerFailures, 0, unwell)
	return f
}

func TestAnOpenBreaker(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		live  func(f *fate)
		state BreakerState
		wait  time.Duration // from the start; open only
		width int
	}{
		{"waits a minute", func(*fate) {}, BreakerOpen, time.Minute, 1},
		{"is not moved by what was under way", func(f *fate) {
			f.pass(20 * time.Second)
			f.ended(Attempt{StartedAt: fateStart, Error: ErrorTimeout})
			f.ended(Attempt{StartedAt: fateStart, Status: 200})
		}, BreakerOpen, time.Minute, 1},
		{"waits twice as long after a probe that failed", func(f *fate) {
			f.pass(time.Minute)
			f.attempt(refused)
		}, BreakerOpen, 3 * time.Minute, 1},
		{"waits no longer than a quarter of an hour", func(f *fate) {
			for _, minutes := range []int{1, 2, 4, 8, 15, 15, 15} {
				f.pass(time.Duration(minutes) * time.Minute)
				f.attempt(refused)
			}
		}, BreakerOpen, 75 * time.Minute, 1},
		{"waits as long as before after a plea for patience", func(f *fate) {
			f.pass(time.Minute)
			f.attempt(patience)
		}, BreakerOpen, 2 * time.Minute, 1},
		{"takes no notice of a probe that we broke off", func(f *fate) {
			f.pass(time.Minute)
			f.attempt(interrupted)
		}, BreakerOpen, time.Minute, 1},
		{"need not wait when a person asks", func(f *fate) {
			f.pass(10 * time.Second)
			f.s = f.s.Asked(f.now)
		}, BreakerOpen, 10 * time.Second, 1},
		{"lets one through after the probe", func(f *fate) {
			f.pass(time.Minute)
			f.attempt(ok)
		}, BreakerClosing, 0, 1},
		{"lets one through after a test that passed", func(f *fate) {
			f.s = f.s.Passed(f.now)
		}, BreakerClosing, 0, 1},
		{"then two", func(f *fate) {
			f.pass(time.Minute)
			f.many(1+1, time.Second, ok)
		}, BreakerClosing, 0, 2},
		{"then four", func(f *fate) {
			f.pass(time.Minute)
			f.many(1+1+2, time.Second, ok)
		}, BreakerClosing, 0, 4},
		{"and closes", func(f *fate) {
			f.pass(time.Minute)
			f.many(1+1+2+4, time.Second, ok)
		}, BreakerClosed, 0, MaxConcurrency},
		{"opens for as long as before when the answer was no beginning", func(f *fate) {
			f.pass(time.Minute)
			f.attempt(refused)
			f.pass(2 * time.Minute)
			f.attempt(ok)
			f.attempt(unwell)
		}, BreakerOpen, 5 * time.Minute, 1},
		{"opens for a minute again once it had closed", func(f *fate) {
			f.pass(time.Minute)
			f.attempt(refused)
			f.pass(2 * time.Minute)
			f.many(1+1+2+4, 0, ok)
			f.many(BreakerFailures, 0, unwell)
		}, BreakerOpen, 4 * time.Minute, 1},
		{"does not open again for what it opened for", func(f *fate) {
			f.pass(time.Minute)
			f.many(1+1+2+4, 0, ok)
			f.many(BreakerFailures-1, 0, unwell)
		}, BreakerClosed, 0, MaxConcurrency},
		{"is closed by a reset", func(f *fate) {
			f.s = f.s.Reset(f.now)
		}, BreakerClosed, 0, MaxConcurrency},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := broken(t)
			tt.live(f)
			b := f.s.Breaker
			if b.State != tt.state || b.Width() != tt.width {
				t.Errorf("the breaker is %s, %d at once; want %s, %d", b.State.Name(), b.Width(), tt.state.Name(), tt.width)
			}
			if wait := b.Until.Sub(fateStart); tt.state == BreakerOpen && wait != tt.wait {
				t.Errorf("the probe may go after %v, want %v", wait, tt.wait)
			}
		})
	}
}

func TestWarningsAndTheEnd(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name    string
		live    func(f *fate)
		warned  []time.Duration
		disable DisabledReason
		end     time.Duration
		healed  int
	}{
		{name: "a webhook that never worked is warned of after a day and after four, and ends after five", live: func(f *fate) {
			f.many(6*24, time.Hour, refused)
		}, warned: []time.Duration{day, 4 * day}, disable: DisabledFailing, end: 5 * day},
		{name: "the count goes from the last success", live: func(f *fate) {
			f.attempt(ok)
			f.pass(2 * time.Hour)
			f.many(6*24, time.Hour, unwell)
		}, warned: []time.Duration{day, 4 * day}, disable: DisabledFailing, end: 5 * day},
		{name: "too few failures do not end it", live: func(f *fate) {
			f.many(19, 12*time.Hour, refused)
		}, warned: []time.Duration{day, 4 * day}},
		{name: "the twentieth does", live: func(f *fate) {
			f.many(20, 12*time.Hour, refused)
		}, warned: []time.Duration{day, 4 * day}, disable: DisabledFailing, end: 19 * 12 * time.Hour},
		{name: "after quiet weeks, failures of less than an hour are no cause for alarm", live: func(f *fate) {
			f.attempt(ok)
			f.pass(14 * day)
			f.many(59, time.Minute, refused)
		}},
		{name: "failures of an hour are, for the last time", live: func(f *fate) {
			f.attempt(ok)
			f.pass(14 * day)
			f.many(10, 30*time.Minute, refused)
		}, warned: []time.Duration{14*day + time.Hour}},
		{name: "and failures of a day end it", live: func(f *fate) {
			f.attempt(ok)
			f.pass(14 * day)
			f.many(49, 30*time.Minute, refused)
		}, warned: []time.Duration{14*day + time.Hour}, disable: DisabledFailing, end: 15 * day},
		{name: "a success ends it all, and the next failure begins anew", live: func(f *fate) {
			f.many(49, time.Hour, refused)
			f.attempt(ok)
			f.many(10, time.Hour, refused)
			f.attempt(ok)
		}, warned: []time.Duration{day}, healed: 1},
		{name: "a success without a warning is no recovery", live: func(f *fate) {
			f.many(20, time.Hour, refused)
			f.attempt(ok)
		}},
		{name: "pleas for patience are no failures", live: func(f *fate) {
			f.many(200, time.Hour, patience)
		}},
		{name: "three blocked addresses in a row end it", live: func(f *fate) {
			f.many(3, time.Second, forbidden)
		}, disable: DisabledBlocked, end: 2 * time.Second},
		{name: "an interruption between them does not matter", live: func(f *fate) {
			f.many(2, time.Second, forbidden)
			f.many(1, time.Second, interrupted)
			f.many(1, time.Second, forbidden)
		}, disable: DisabledBlocked, end: 3 * time.Second},
		{name: "anything that was dialled does", live: func(f *fate) {
			for _, a := range []Attempt{refused, ok, patience} {
				f.many(2, time.Second, forbidden)
				f.many(1, time.Second, a)
			}
		}},
		{name: "a reset begins the count anew", live: func(f *fate) {
			f.attempt(ok)
			f.many(3*24, time.Hour, refused)
			f.s = f.s.Reset(f.now)
			f.many(3*24, time.Hour, refused)
		}, warned: []time.Duration{day, 4 * day}},
		{name: "what began before the reset does not count", live: func(f *fate) {
			f.s = f.s.Reset(f.now.Add(time.Millisecond))
			for range 30 {
				f.ended(Attempt{StartedAt: fateStart, Error: ErrorBlockedAddress})
			}
		}},
		{name: "the recovery is told after a reset too", live: func(f *fate) {
			f.many(26, time.Hour, refused)
			f.s = f.s.Reset(f.now)
			f.many(2, time.Hour, refused)
			f.many(2, time.Hour, ok)
		}, warned: []time.Duration{day}, healed: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFate(t)
			tt.live(f)
			if len(f.warned) != len(tt.warned) {
				t.Fatalf("warned after %v, want %v", f.warned, tt.warned)
			}
			for i, at := range tt.warned {
				if f.warned[i] != at {
					t.Errorf("warned after %v, want %v", f.warned, tt.warned)
				}
			}
			if f.disable != tt.disable || f.end != tt.end {
				t.Errorf("disabled %q after %v, want %q after %v", f.disable, f.end, tt.disable, tt.end)
			}
			if f.healed != tt.healed {
				t.Errorf("it recovered %d times, want %d", f.healed, tt.healed)
			}
		})
	}
}

// Whatever happens, the numbers agree with each other.
func TestStandingsAreConsistent(t *testing.T) {
	t.Parallel()
	kinds := []Attempt{ok, refused, unwell, patience, interrupted, ours, forbidden, gone}
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 5))
		f := newFate(t)
		good := rng.IntN(10)
		for range 500 {
			before, a := f.s.Breaker, kinds[rng.IntN(len(kinds))]
			if rng.IntN(10) < good {
				a = ok
			}
			a.StartedAt = f.now.Add(-time.Duration(rng.IntN(30)) * time.Second)
			f.ended(a)
			f.pass(time.Duration(rng.ExpFloat64() * float64(time.Minute)))
			s, b := f.s, f.s.Breaker
			if (s.Failures > 0) != !s.FailingSince.IsZero() || s.Blocked > s.Failures || s.Warned != WarnedNot && !s.Alarmed {
				t.Fatalf("seed %d: %+v", seed, s)
			}
			if (b.State == BreakerClosed) != b.Until.IsZero() || b.State != BreakerClosed && (b.Wait < BreakerWait || b.Wait > BreakerMaxWait) {
				t.Fatalf("seed %d: %+v", seed, b)
			}
			if before.State == BreakerOpen && b.State != BreakerOpen && a.StartedAt.Before(before.Until) {
				t.Fatalf("seed %d: an attempt that began before %v moved the breaker from %+v to %+v", seed, before.Until, before, b)
			}
		}
	}
}
