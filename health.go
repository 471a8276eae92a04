package telltale

import "time"

// Standing is what a webhook's attempts add up to, tests left out: the numbers
// behind its [Health], its breaker, its warnings and its end.
type Standing struct {
	LastSuccessAt time.Time // zero if there was none; behind by a minute at most while healthy
	FailingSince  time.Time // when the first attempt after the last success failed; zero unless failing
	Failures      int       // attempts that failed since then; a 429 and faults of our own do not count
	Blocked       int       // in a row, up to now, to an address that may not be dialled
	Warned        Warning
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
type Breaker struct {
	State BreakerState
	Until time.Time     // open: when the probe may go; zero otherwise
	Wait  time.Duration // how long it was opened for last; doubles with each probe that fails
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
	WarnAfter        = 24 * time.Hour
	WarnLastAfter    = 96 * time.Hour
	DisableAfter     = 120 * time.Hour // without a success, if there were
	DisableFailures  = 20              // at least so many failures over
	DisableSpan      = 24 * time.Hour  // at least this time
	BlockedToDisable = 3               // attempts in a row to an address that may not be dialled
)
