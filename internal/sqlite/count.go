package sqlite

import "time"

// A count is for people: exact up to a limit, and quick whatever the log
// holds, so it looks at a bounded number of rows for a bounded time.
const (
	countTime = 15 * time.Millisecond
	countRows = 50_000
	countStep = 1000 // rows in one query
	// countMatch is how many rows an event costs that is found by its user:
	// each is looked up by itself.
	countMatch = 10
)

type count struct {
	limit  int
	until  time.Time
	n      int  // found
	looked int  // rows
	gaveUp bool // there may be more
}

func newCount(limit int) *count { return &count{limit: limit, until: time.Now().Add(countTime)} }

// rows counts what of the list is within the numbers, from the newest on. from
// is where the list's columns come from.
func (t *count) rows(c *conn, within numbers, from string, narrow func(within numbers) list) error {
	for {
		l := narrow(within)
		looked, passed, below, err := l.count(c, from, countStep)
		if err != nil {
			return err
		}
		t.n += passed
		t.looked += looked
		if looked < countStep || !t.more() {
			return nil
		}
		within.below = below
	}
}

// more reports whether to count on. It is asked when there may be more.
func (t *count) more() bool {
	t.gaveUp = t.gaveUp || t.looked >= countRows || !time.Now().Before(t.until)
	return t.n <= t.limit && !t.gaveUp
}

func (t *count) result() (n int, more bool) { return min(t.n, t.limit), t.n > t.limit || t.gaveUp }
