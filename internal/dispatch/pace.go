package dispatch

import (
	"math"
	"time"
)

// pace spaces attempts: a token bucket, kept as the time at which the next
// attempt would go if all were evenly spaced (the generic cell rate algorithm).
// The zero pace is full. Rates are per second; 0 stands for no limit.
type pace struct{ next time.Time }

// burst is how many attempts may go at once: what comes in 50 ms.
func burst(rate float64) float64 { return max(1, math.Floor(rate/20)) }

func interval(rate float64) time.Duration { return time.Duration(float64(time.Second) / rate) }

// readyAt is when the next attempt may go; the past, or zero, for now.
func (p *pace) readyAt(rate float64) time.Time {
	if rate == 0 || p.next.IsZero() {
		return time.Time{}
	}
	return p.next.Add(-time.Duration(burst(rate)-1) * interval(rate))
}

// ready is how many attempts may go now.
func (p *pace) ready(rate float64, now time.Time) int {
	if rate == 0 {
		return math.MaxInt
	}
	spaced := interval(rate)
	room := time.Duration(burst(rate)-1) * spaced
	if ahead := p.next.Sub(now); ahead > 0 {
		room -= ahead
	}
	if room < 0 {
		return 0
	}
	return 1 + int(room/spaced)
}

// take lets n attempts go; a negative n gives back what was not used.
func (p *pace) take(n int, rate float64, now time.Time) {
	if rate == 0 {
		return
	}
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(time.Duration(n) * interval(rate))
}

// What a throttled lane may do, in attempts per second.
const (
	minThrottled = 1.0 / 30
	throttleSpan = time.Minute // in which the rate doubles again
)

// throttle is the lower rate that a receiver asked for with 429.
type throttle struct {
	since   time.Time // zero: none
	rate    float64   // at since
	ceiling float64   // at which it ends
}

func (t *throttle) at(now time.Time) (rate float64, on bool) {
	if t.since.IsZero() {
		return 0, false
	}
	rate = t.rate * math.Exp2(float64(now.Sub(t.since))/float64(throttleSpan))
	return rate, rate < t.ceiling
}

// tally counts what a lane begins, by the second, to know its rate.
type tally struct {
	second  int64
	n, last int
}

func (t *tally) count(now time.Time) {
	t.turn(now)
	t.n++
}

// rate is what was begun in this second or the one before, and at least 1.
func (t *tally) rate(now time.Time) float64 {
	t.turn(now)
	return float64(max(1, t.n, t.last))
}

func (t *tally) turn(now time.Time) {
	switch second := now.Unix(); second - t.second {
	case 0:
	case 1:
		t.second, t.n, t.last = second, 0, t.n
	default:
		t.second, t.n, t.last = second, 0, 0
	}
}

// rate is what the lane may do now.
func (l *lane) rate(now time.Time) float64 {
	limit := l.share.Rate
	if lower, on := l.throttle.at(now); on && (limit == 0 || lower < limit) {
		return lower
	}
	return limit
}

// slowDown halves the lane's rate because of a 429 to an attempt that began at
// begun. One that was under way when the rate was halved says nothing new.
func (l *lane) slowDown(begun, now time.Time) {
	if begun.Before(l.throttle.since) {
		return
	}
	rate := l.rate(now)
	ceiling := l.share.Rate
	if rate == 0 {
		rate = l.begun.rate(now)
		ceiling = 4 * rate
	} else if ceiling == 0 {
		ceiling = l.throttle.ceiling
	}
	l.throttle = throttle{since: now, rate: max(rate/2, minThrottled), ceiling: ceiling}
	if l.pace.next.Before(now) {
		l.pace.next = now.Add(interval(l.throttle.rate))
	}
}
