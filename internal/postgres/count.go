package postgres

import (
	"context"
	"time"
)

// countTime bounds a count, which is for people: exact up to a limit, and quick
// whatever the log holds. It goes through the rows in stretches, of which the
// first has that many.
const (
	countTime    = 30 * time.Millisecond
	leastCounted = 2048
)

type count struct {
	limit  int
	until  time.Time
	n      int  // found
	gaveUp bool // there may be more
}

func newCount(limit int) *count { return &count{limit: limit, until: time.Now().Add(countTime)} }

// rows counts the rows of the branches, up to one more than the limit.
func (t *count) rows(ctx context.Context, q querier, branches []branch) error {
	sql, args := unite(branches, "1", "", t.limit+1-t.n)
	n := 0
	err := q.QueryRow(ctx, `SELECT count(*) FROM (`+sql+`) counted`, args...).Scan(&n)
	t.n += n
	return err
}

// more reports whether to count on. It is asked when there may be more.
func (t *count) more() bool {
	t.gaveUp = t.gaveUp || !time.Now().Before(t.until)
	return t.n <= t.limit && !t.gaveUp
}

func (t *count) result() (n int, more bool) { return min(t.n, t.limit), t.n > t.limit || t.gaveUp }
