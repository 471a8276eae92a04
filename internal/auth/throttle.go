package auth

import (
	"sync"
	"time"
)

// allowance is how often something may be tried: some times at once, and then
// once in a while.
type allowance struct {
	burst int
	every time.Duration
}

// A password is guessed by asking for one email, or for many from one address.
// An address may be that of an office, or of a proxy, with many people behind it.
var (
	emailTries   = allowance{5, 30 * time.Second}
	addressTries = allowance{30, 3 * time.Second}
)

// throttleSize is how many names are remembered.
const throttleSize = 10_000

// try is one of an allowance, used up by a name such as an email or an address.
type try struct {
	name string
	of   allowance
}

// throttle counts tries by name.
type throttle struct {
	mu    sync.Mutex
	tries map[string]time.Time // when the name has all its tries again
}

// take uses up a try of each, or says how long to wait if one has none left;
// then none is used up.
func (t *throttle) take(tries ...try) (wait time.Duration) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tries == nil || len(t.tries) > throttleSize {
		t.sweep(now)
	}
	for _, y := range tries {
		if full, known := t.tries[y.name]; known { // the zero time is too far away to subtract from
			wait = max(wait, full.Sub(now)-time.Duration(y.of.burst-1)*y.of.every)
		}
	}
	if wait > 0 {
		return wait
	}
	for _, y := range tries {
		full := t.tries[y.name]
		if full.Before(now) {
			full = now
		}
		t.tries[y.name] = full.Add(y.of.every)
	}
	return 0
}

// giveBack takes back a try that was none, since it succeeded.
func (t *throttle) giveBack(y try) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if full, known := t.tries[y.name]; known {
		t.tries[y.name] = full.Add(-y.of.every)
	}
}

// forgive gives the name all its tries again.
func (t *throttle) forgive(y try) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.tries, y.name)
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
