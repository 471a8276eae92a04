package postgres

import (
	"context"
	"time"
)

// countTime bounds a count, which is for people: exact up to a limit, and quick
// whatever the log holds.
const countTime = 30 * time.Millisecond

type count struct {
	limit  int
	n      int  // found
	gaveUp bool // there may be more
}

func newCount(limit int) *count { return &count{limit: limit} }

// rows counts the rows of the branches, up to one more than the limit.
func (t *count) rows(ctx context.Context, q querier, branches []branch) error {
	sql, args := unite(branches, branches[0].alias()+".number", "DESC", t.limit+1-t.n)
	n := 0
	err := q.QueryRow(ctx, `SELECT count(*) FROM (`+sql+`) counted`, args...).Scan(&n)
	t.n += n
	return err
}

func (t *count) result() (n int, more bool) { return min(t.n, t.limit), t.n > t.limit || t.gaveUp }
