package dispatch

import (
	"time"

	"telltale.example/telltale"
)

// breaker is what a lane knows of its webhook's: the store decides when it opens
// and closes ([telltale.Standing]), the lane obeys. Of several nodes only one attempts
// anything while it is not closed ([telltale.Share.First]); the others hear within a
// second or so that it opened, and until then go on. Until is the store's time, which
// is not quite ours then; a probe that is early or late by that much harms nobody.
type breaker struct {
	standing  telltale.Standing // the newest known
	unsettled int               // attempts that began, and are not recorded: the store may yet think otherwise
}

// learn takes over what is newer, and reports whether anything was.
func (b *breaker) learn(w *telltale.Webhook) bool {
	if w.Standing.Revision <= b.standing.Revision {
		return false
	}
	b.standing = w.Standing
	return true
}

func (b *breaker) state() telltale.BreakerState { return b.standing.Breaker.State }

func (b *breaker) open() bool { return b.state() == telltale.BreakerOpen }

// opens is when an attempt may go; zero for now.
func (b *breaker) opens() time.Time {
	if b.open() {
		return b.standing.Breaker.Until
	}
	return time.Time{}
}

// room is how many more attempts may begin, once one may: as many as the breaker
// lets through, less those whose outcome could change that.
func (b *breaker) room() int {
	if b.state() == telltale.BreakerClosed {
		return telltale.MaxConcurrency
	}
	return b.standing.Breaker.Width() - b.unsettled
}

// admits reports whether an attempt may begin now.
func (b *breaker) admits(now time.Time) bool { return b.room() > 0 && !b.opens().After(now) }
