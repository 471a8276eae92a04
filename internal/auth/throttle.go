package auth

import (
	"sync"
	"time"
)

// How often someone may try to sign in: a handful of times at once, and then
// once in a while.
const (
	loginBurst   = 5
	loginEvery   = 30 * time.Second
	throttleSize = 10_000 // names and addresses that are remembered
)

// throttle counts tries by name, such as an email or an address.
type throttle struct {
	mu    sync.Mutex
	tries map[string]time.Time // when the name has all its tries again
}

// take uses up a try of each name, or says how long to wait if one has none
// left; then none is used up.
func (t *throttle) take(names ...string) (wait time.Duration) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tries == nil || len(t.tries) > throttleSize {
		t.sweep(now)
	}
	for _, name := range names {
		if full, known := t.tries[name]; known { // the zero time is too far away to subtract from
			wait = max(wait, full.Sub(now)-(loginBurst-1)*loginEvery)
		}
	}
	if wait > 0 {
		return wait
	}
	for _, name := range names {
		full := t.tries[name]
		if full.Before(now) {
			full = now
		}
		t.tries[name] = full.Add(loginEvery)
	}
	return 0
}

// forgive gives the names all their tries again.
func (t *throttle) forgive(names ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range names {
		delete(t.tries, name)
	}
}

// sweep forgets names that have all their tries; if there are too many others,
// it forgets them all, which is when someone tries from everywhere anyway.
func (t *throttle) sweep(now time.Time) {
	kept := map[string]time.Time{}
	for name, full := range t.tries {
		if full.After(now) {
			kept[name] = full
		}
	}
	if len(kept) > throttleSize {
		kept = map[string]time.Time{}
	}
	t.tries = kept
}
