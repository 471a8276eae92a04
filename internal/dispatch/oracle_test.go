package dispatch

import (
	"net/http"
	"time"

	"telltale.example/telltale"
)

// oracle says what becomes of a webhook by the rules as the documents tell them,
// and not by the code that is tried: it knows all attempts, and counts anew.
type oracle struct {
	version int64
	enabled bool
	reason  telltale.DisabledReason
	reset   time.Time // when the count began anew
	success time.Time // the last one; zero for none since the reset
	row     []past    // failures in a row
	recent  []past    // whatever counted, since the breaker closed
	blocked int       // in a row
	warned  telltale.Warning

	state  telltale.BreakerState
	until  time.Time
	wait   time.Duration
	proven int
}

// past is an attempt that was recorded.
type past struct {
	at     time.Time
	failed bool
}

func newOracle(w *telltale.Webhook) *oracle {
	return &oracle{version: w.Version, enabled: w.Enabled, reason: w.DisabledReason}
}

// anew begins the count anew.
func (o *oracle) anew(now time.Time) {
	*o = oracle{version: o.version, enabled: o.enabled, reason: o.reason, reset: now}
}

// attempted goes on from an attempt that was no test.
func (o *oracle) attempted(a *telltale.Attempt, now time.Time) {
	if a.StartedAt.Before(o.reset) {
		return
	}
	before := a.StartedAt.Before(o.until) // the breaker opened while it was under way
	probing := o.state != telltale.BreakerClosed && !before
	switch {
	case a.Status == http.StatusTooManyRequests:
		o.blocked = 0
		if probing && o.state == telltale.BreakerOpen {
			o.until = now.Add(o.wait)
		}
		return
	case a.Error == telltale.ErrorInterrupted, a.Error == telltale.ErrorInternal:
		return
	case a.Error == "" && a.Status >= 200 && a.Status < 300:
		o.success, o.row, o.blocked, o.warned = now, nil, 0, telltale.WarnedNot
		o.recent = append(o.recent, past{now, false})
		if probing {
			o.proves()
		}
		return
	}
	o.row = append(o.row, past{now, true})
	o.recent = append(o.recent, past{now, true})
	if o.blocked++; a.Error != telltale.ErrorBlockedAddress {
		o.blocked = 0
	}
	switch {
	case o.state == telltale.BreakerClosed && (len(o.row) >= 10 || o.half(now)):
		o.opens(time.Minute, now)
	case !probing:
	case o.state == telltale.BreakerOpen:
		o.opens(min(15*time.Minute, 2*o.wait), now)
	default:
		o.opens(o.wait, now)
	}
	if !o.enabled {
		return
	}
	without, failing := now.Sub(o.row[0].at), now.Sub(o.row[0].at)
	if !o.success.IsZero() {
		without = now.Sub(o.success)
	}
	const day = 24 * time.Hour
	switch {
	case o.blocked >= 3:
		o.disable(telltale.DisabledBlocked)
	case without >= 5*day && len(o.row) >= 20 && failing >= day:
		o.disable(telltale.DisabledFailing)
	case failing < time.Hour:
	case without >= 4*day:
		o.warned = telltale.WarnedLast
	case without >= day && o.warned == telltale.WarnedNot:
		o.warned = telltale.WarnedOnce
	}
}

func (o *oracle) disable(reason telltale.DisabledReason) {
	if o.enabled {
		o.enabled, o.reason = false, reason
		o.version++
	}
}

// half reports whether half of twenty or more attempts failed in five minutes, of
// which the last has begun.
func (o *oracle) half(now time.Time) bool {
	from := now.Truncate(time.Minute).Add(-4 * time.Minute)
	all, failed := 0, 0
	for _, p := range o.recent {
		if p.at.Before(from) {
			continue
		}
		if all++; p.failed {
			failed++
		}
	}
	return all >= 20 && 2*failed >= all
}

func (o *oracle) opens(wait time.Duration, now time.Time) {
	o.state, o.wait, o.until, o.recent, o.proven = telltale.BreakerOpen, wait, now.Add(wait), nil, 0
}

// proves counts an attempt that the breaker let through and that succeeded: the
// probe, and then one, two and four at once.
func (o *oracle) proves() {
	if o.state == telltale.BreakerOpen {
		o.state, o.proven = telltale.BreakerClosing, 0
		return
	}
	if o.proven++; o.proven == 7 {
		o.state, o.until, o.wait, o.recent = telltale.BreakerClosed, time.Time{}, 0, nil
	}
}

// passed goes on from a test that passed, of the webhook as it is.
func (o *oracle) passed(now time.Time) {
	switch {
	case !o.enabled && o.reason != telltale.DisabledManual:
		o.enabled, o.reason = true, ""
		o.version++
		o.anew(now)
	case o.state == telltale.BreakerOpen:
		o.until = now
		o.proves()
	}
}

// asked goes on from a person who asks for an attempt.
func (o *oracle) asked(now time.Time) {
	if o.state == telltale.BreakerOpen && o.until.After(now) {
		o.until = now
	}
}

// earliest is when the next attempt of a delivery may begin at the earliest, as the
// documents say: after the last attempt's end, the wait less a fifth, and what the
// receiver asked for. step counts the attempts of the schedule.
func earliest(schedule telltale.Schedule, last *telltale.Attempt, step int) time.Time {
	end := last.StartedAt.Add(last.Duration)
	if last.Error == telltale.ErrorInterrupted {
		return end
	}
	waits := []time.Duration(schedule)
	if schedule == nil {
		for _, s := range []int{5, 30, 120, 600, 1800, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600} {
			waits = append(waits, time.Duration(s)*time.Second)
		}
	}
	wait := 5 * time.Second // only attempts that do not count were made
	if step > 0 {
		if len(waits) == 0 {
			return end
		}
		wait = waits[min(step, len(waits))-1]
	}
	wait = wait * 8 / 10
	switch {
	case last.Status == http.StatusTooManyRequests:
		wait = max(wait, last.RetryAfter, time.Minute)
	case last.Status == http.StatusBadGateway, last.Status == http.StatusServiceUnavailable, last.Status == http.StatusGatewayTimeout, last.Error == telltale.ErrorTimeout:
		wait = max(wait, last.RetryAfter)
	}
	return end.Add(wait)
}
