package telltale

import (
	"net/http"
	"time"
)

// Standing is what a webhook's attempts add up to, tests left out: the numbers
// behind its [Health], its breaker, its warnings and its end.
type Standing struct {
	// Revision rises with every change that is stored, so that of two snapshots
	// of one version the newer is known.
	Revision int64

	LastSuccessAt time.Time // zero if there was none; behind by a minute at most while healthy
	FailingSince  time.Time // when the first attempt after the last success failed; zero unless failing
	Failures      int       // attempts that failed since then; a 429 and faults of our own do not count
	Blocked       int       // in a row, up to now, to an address that may not be dialled
	Warned        Warning
	Alarmed       bool      // it was warned of, or disabled, and did not succeed since
	ResetAt       time.Time // when it was enabled, or got another URL, last: what began before counts no more
	Breaker       Breaker
}

// Warning says how urgently the webhook's operators were told that it fails.
type Warning int

const (
	WarnedNot  Warning = iota
	WarnedOnce         // after [WarnAfter] without a success
	WarnedLast         // after [WarnLastAfter]: it is disabled soon
)

// Breaker spares a receiver that fails: while it is open nothing is attempted,
// and then a single probe.
//
//	            too many failures                    Until has come,
//	closed ───────────────────────────► open ─────── a probe succeeds ───► closing
//	  ▲                                 │  ▲                                │  │
//	  │              a probe fails: longer └──── a failure: as long as ─────┘  │
//	  └───────────────── seven successes, one, two and four at once ───────────┘
type Breaker struct {
	State BreakerState
	// Until is when the probe may go. Attempts that began before it move the
	// breaker no more: they were under way when it opened. Zero while closed.
	Until  time.Time
	Wait   time.Duration // how long it was opened for last; doubles with each probe that fails
	Proven int           // closing: successes since the probe
	// Window counts the attempts of the last five minutes, a minute each, with
	// the latest first.
	Window      [5]BreakerMinute
	WindowStart time.Time // of the latest minute
}

// BreakerMinute is what happened in a minute.
type BreakerMinute struct{ Attempts, Failures int }

// BreakerState is where a breaker stands.
type BreakerState string

const (
	BreakerClosed  BreakerState = ""        // attempts go as they like
	BreakerOpen    BreakerState = "open"    // nothing goes before Until, then one probe
	BreakerClosing BreakerState = "closing" // the probe succeeded: concurrency grows 1, 2, 4
)

// When a webhook that fails is spared, warned of, and disabled.
const (
	BreakerFailures  = 10               // in a row open it,
	BreakerAttempts  = 20               // or of so many in five minutes
	BreakerShare     = 0.5              // this share
	BreakerWait      = time.Minute      // at first,
	BreakerMaxWait   = 15 * time.Minute // and at most
	WarnAfter        = 24 * time.Hour   // without a success,
	WarnLastAfter    = 96 * time.Hour   // and again,
	WarnSpan         = time.Hour        // if the failures go on for so long: after quiet days the first one says little
	DisableAfter     = 120 * time.Hour  // without a success, if there were
	DisableFailures  = 20               // at least so many failures over
	DisableSpan      = 24 * time.Hour   // at least this time
	BlockedToDisable = 3                // attempts in a row to an address that may not be dialled
)

// health tells what an attempt says of its webhook's health: nothing if the
// fault was ours, or if the receiver only asked for patience.
func (a *Attempt) health() Health {
	switch {
	case a.Success():
		return HealthHealthy
	case a.Error == ErrorInterrupted, a.Error == ErrorInternal, a.Status == http.StatusTooManyRequests:
		return ""
	}
	return HealthFailing
}

// Signals are what an attempt gives cause for.
type Signals struct {
	Health    Health         // what it is now; empty if the attempt says nothing of it
	Warned    Warning        // the operators are to be told that it fails
	Disable   DisabledReason // it is to be disabled; given again after every failure, until it is
	Recovered bool           // they are to be told that it succeeds again
}

// After gives the standing after an attempt that was no test and is recorded at
// now, and what to do about it.
//
// Warnings and the end become due with a failure and never by time alone. That
// is soon enough: an open breaker lets a probe through every quarter of an hour
// and the default schedule never waits for longer than a day, as long as
// anything is owed. If nothing is, there is nothing to warn of.
func (s Standing) After(a *Attempt, now time.Time) (Standing, Signals) {
	if a.StartedAt.Before(s.ResetAt) {
		return s, Signals{} // it went to what the webhook was before
	}
	switch a.health() {
	case HealthHealthy:
		return s.succeeded(a, now)
	case HealthFailing:
		return s.failed(a, now)
	}
	if a.Status == http.StatusTooManyRequests {
		s.Blocked = 0
		s.Breaker.throttled(a.StartedAt, now)
	}
	return s, Signals{}
}

func (s Standing) succeeded(a *Attempt, now time.Time) (Standing, Signals) {
	signals := Signals{Health: HealthHealthy, Recovered: s.Alarmed}
	s.LastSuccessAt, s.FailingSince = now, time.Time{}
	s.Failures, s.Blocked, s.Warned, s.Alarmed = 0, 0, WarnedNot, false
	s.Breaker.Count(false, now)
	s.Breaker.succeeded(a.StartedAt)
	return s, signals
}

func (s Standing) failed(a *Attempt, now time.Time) (Standing, Signals) {
	if s.FailingSince.IsZero() {
		s.FailingSince = now
	}
	s.Failures++
	s.Blocked++
	if a.Error != ErrorBlockedAddress {
		s.Blocked = 0
	}
	s.Breaker.Count(true, now)
	s.Breaker.failed(a.StartedAt, s.Failures, now)

	without, failing := now.Sub(s.withoutSince()), now.Sub(s.FailingSince)
	signals := Signals{Health: HealthFailing}
	switch {
	case s.Blocked >= BlockedToDisable:
		signals.Disable = DisabledBlocked
	case without >= DisableAfter && s.Failures >= DisableFailures && failing >= DisableSpan:
		signals.Disable = DisabledFailing
	case failing < WarnSpan:
	case without >= WarnLastAfter && s.Warned < WarnedLast:
		signals.Warned = WarnedLast
	case without >= WarnAfter && s.Warned < WarnedOnce:
		signals.Warned = WarnedOnce
	}
	if signals.Warned != WarnedNot {
		s.Warned, s.Alarmed = signals.Warned, true
	}
	return s, signals
}

// withoutSince is since when a webhook that fails had no success: the last one,
// or the first failure if there was none, or none since the count began anew.
func (s *Standing) withoutSince() time.Time {
	if s.LastSuccessAt.After(s.ResetAt) {
		return s.LastSuccessAt
	}
	return s.FailingSince
}

// Reset begins the count anew and closes the breaker: the webhook was enabled,
// or got another URL. What its operators were told stays, so that they hear when
// it succeeds.
func (s Standing) Reset(now time.Time) Standing {
	return Standing{Revision: s.Revision, LastSuccessAt: s.LastSuccessAt, Alarmed: s.Alarmed, ResetAt: now}
}

// Passed gives the standing after a test that passed at now. It counts nothing,
// but it is as good as a probe.
func (s Standing) Passed(now time.Time) Standing {
	if s.Breaker.State == BreakerOpen {
		s.Breaker.Until = now
		s.Breaker.succeeded(now)
	}
	return s
}

// Asked gives the standing after a person asked for an attempt at now: the
// breaker need not wait for longer with its probe.
func (s Standing) Asked(now time.Time) Standing {
	if b := &s.Breaker; b.State == BreakerOpen && b.Until.After(now) {
		b.Until = now
	}
	return s
}

// Same reports whether two standings tell the same but for what moves with every
// success.
func (s Standing) Same(o Standing) bool {
	for _, s := range []*Standing{&s, &o} {
		s.Revision, s.LastSuccessAt = 0, time.Time{}
		s.Breaker.Window, s.Breaker.WindowStart = [len(s.Breaker.Window)]BreakerMinute{}, time.Time{}
	}
	return s == o
}

// Name is the state as people read it; it has a word for closed.
func (s BreakerState) Name() string {
	if s == BreakerClosed {
		return "closed"
	}
	return string(s)
}

// Width is how many attempts may be under way at once for all that the breaker
// says, once Until has come.
func (b *Breaker) Width() int {
	switch {
	case b.State == BreakerClosed:
		return MaxConcurrency
	case b.State == BreakerOpen, b.Proven < 1:
		return 1
	case b.Proven < 1+2:
		return 2
	}
	return 4
}

// breakerProof is how many successes close the breaker: one, two and four at once.
const breakerProof = 1 + 2 + 4

func (b *Breaker) succeeded(began time.Time) {
	switch {
	case b.State == BreakerClosed || began.Before(b.Until):
	case b.State == BreakerOpen:
		b.State, b.Proven = BreakerClosing, 0
	default:
		if b.Proven++; b.Proven == breakerProof {
			*b = Breaker{}
		}
	}
}

func (b *Breaker) failed(began time.Time, inARow int, now time.Time) {
	switch {
	case b.State == BreakerClosed:
		if inARow >= BreakerFailures || b.tooMany() {
			b.open(BreakerWait, now)
		}
	case began.Before(b.Until):
	case b.State == BreakerOpen:
		b.open(min(2*b.Wait, BreakerMaxWait), now)
	default:
		b.open(b.Wait, now)
	}
}

// throttled has the next probe wait as long as the one that got a 429.
func (b *Breaker) throttled(began, now time.Time) {
	if b.State == BreakerOpen && !began.Before(b.Until) {
		b.open(b.Wait, now)
	}
}

// open forgets what it opened for: it is not to open for that again.
func (b *Breaker) open(wait time.Duration, now time.Time) {
	*b = Breaker{State: BreakerOpen, Until: now.Add(wait), Wait: wait}
}

// Count counts an attempt in the window.
func (b *Breaker) Count(failed bool, now time.Time) {
	b.turn(now.Truncate(time.Minute))
	b.Window[0].Attempts++
	if failed {
		b.Window[0].Failures++
	}
}

// turn moves the window on to the minute. A clock that was set back stays in its minute.
func (b *Breaker) turn(minute time.Time) {
	passed := minute.Sub(b.WindowStart)
	if passed <= 0 {
		return
	}
	shift := int(min(passed/time.Minute, time.Duration(len(b.Window))))
	copy(b.Window[shift:], b.Window[:len(b.Window)-shift])
	clear(b.Window[:shift])
	b.WindowStart = minute
}

// Add adds the attempts of a window that was counted elsewhere.
func (b *Breaker) Add(o *Breaker) {
	if o.WindowStart.IsZero() {
		return
	}
	if b.WindowStart.Before(o.WindowStart) {
		b.turn(o.WindowStart)
	}
	behind := int(b.WindowStart.Sub(o.WindowStart) / time.Minute)
	for i := range o.Window {
		if i+behind < len(b.Window) {
			b.Window[i+behind].Attempts += o.Window[i].Attempts
			b.Window[i+behind].Failures += o.Window[i].Failures
		}
	}
}

// tooMany reports whether too large a share of the window's attempts failed.
func (b *Breaker) tooMany() bool {
	var sum BreakerMinute
	for _, m := range b.Window {
		sum.Attempts += m.Attempts
		sum.Failures += m.Failures
	}
	return sum.Attempts >= BreakerAttempts && float64(sum.Failures) >= BreakerShare*float64(sum.Attempts)
}
