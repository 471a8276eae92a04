package dispatch

import (
	"time"

	"telltale.example/telltale"
)

// breaker is what a lane knows of its webhook's: the store decides when it opens
// and closes ([telltale.Standing]), the lane obeys. Until is the store's time, which
// on several nodes is not quite ours; a probe that is early or late by that much
// harms nobody.
type breaker struct {
	standing telltale.Standing // the newest known
	probing  bool              // the one attempt is under way, or its result is not recorded
}

// learn takes over what is newer, and reports whether anything was.
func (b *breaker) learn(w *telltale.Webhook) bool {
	if w.Standing.Revision <= b.standing.Revision {
		return false
	}
	b.standing = w.Standing
	return true
}

func (b *breaker) open() bool { return b.standing.Breaker.State == telltale.BreakerOpen }

// opens is when an attempt may go; zero for now.
func (b *breaker) opens() time.Time {
	if b.open() {
		return b.standing.Breaker.Until
	}
	return time.Time{}
}

// width is how many attempts may be under way.
func (b *breaker) width() int {
	return b.standing.Breaker.Width()
}
