package postgres

import (
	"context"
	"fmt"
	"time"

	"telltale.example/telltale"
)

// A search goes through the numbers of what an index finds in stretches. The first
// has a few rows, which is enough for most pages; from then on a stretch is longer
// the sooner the one before it was through. So a search that finds little passes
// over millions of rows in a few statements, and can stop after each.
const (
	leastRows  = 64
	leastCount = 2048 // for a count, which nobody reads
	// lateness is how much longer than its caller wants to wait a stretch may take.
	// The rows are not spread evenly, so there may be far more than was foreseen; the
	// next search begins there with a few.
	lateness = time.Second
)

// stretches are what a search goes through.
type stretches struct {
	found  []branch // what the index finds
	within numbers
	page   telltale.Page
	rows   int       // of the first
	until  time.Time // when the caller wants to be answered
	look   func(ctx context.Context, part numbers) error
	// more is asked after each stretch but the last, whether to go on.
	more func() bool
}

// run returns the numbers that were not looked at.
func (s *stretches) run(ctx context.Context, q querier) (rest numbers, err error) {
	upwards := nearest(s.page)
	part, rest, width, err := s.first(ctx, q)
	if err != nil {
		return rest, err
	}
	for begun := false; ; begun = true {
		if rest.empty() {
			rest = numbers{}
		}
		start := time.Now()
		late, err := s.lookAt(ctx, part, begun)
		switch {
		case err != nil:
			return rest, err
		case late:
			return part.join(rest), nil
		case rest.empty() || !s.more():
			return rest, nil
		}
		if !begun {
			if rest, err = s.end(ctx, q, rest); err != nil || rest.empty() {
				return numbers{}, err
			}
		}
		width = longer(width, time.Since(start))
		part, rest = rest.cutAt(width, upwards)
	}
}

// lookAt reports whether a stretch that was not the first took too long.
func (s *stretches) lookAt(ctx context.Context, part numbers, begun bool) (late bool, err error) {
	if !begun {
		return false, s.look(ctx, part)
	}
	bounded, cancel := context.WithDeadline(ctx, s.until.Add(lateness))
	defer cancel()
	err = s.look(bounded, part)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return true, nil
	}
	return false, err
}

// first divides the numbers behind the first few rows, and tells how many numbers
// these take.
func (s *stretches) first(ctx context.Context, q querier) (part, rest numbers, width int64, err error) {
	sql, args := unite(s.bounded(s.within), s.number(), order(s.page), s.rows)
	var rows int
	var least, most int64
	err = q.QueryRow(ctx, fmt.Sprintf("SELECT count(*), coalesce(min(number), 0), coalesce(max(number), 0) FROM (%s) r", sql), args...).Scan(&rows, &least, &most)
	if err != nil || rows < s.rows {
		return s.within, numbers{}, 0, err
	}
	last := least
	if nearest(s.page) {
		last = most
	}
	part, rest = s.within.splitAt(last, nearest(s.page))
	return part, rest, most - least + 1, nil
}

// end cuts off numbers behind the last row.
func (s *stretches) end(ctx context.Context, q querier, rest numbers) (numbers, error) {
	sql, args := unite(s.bounded(rest), s.number(), opposite(s.page), 1)
	var last int64
	if err := q.QueryRow(ctx, sql, args...).Scan(&last); err != nil {
		return numbers{}, ignoreNoRows(err)
	}
	if nearest(s.page) {
		return numbers{rest.above, last + 1}, nil
	}
	return numbers{last - 1, rest.below}, nil
}

func (s *stretches) bounded(within numbers) []branch {
	list := make([]branch, len(s.found))
	for i := range s.found {
		list[i] = s.found[i]
		list[i].within(within)
	}
	return list
}

func (s *stretches) number() string { return s.found[0].alias() + ".number" }

// longer gives the width of the stretch after one that took so long.
func longer(width int64, took time.Duration) int64 {
	switch {
	case took < 5*time.Millisecond:
		return 8 * width
	case took < 20*time.Millisecond:
		return 4 * width
	case took < 60*time.Millisecond:
		return 2 * width
	case took > 250*time.Millisecond:
		return max(width/2, 1)
	}
	return width
}

// splitAt divides the numbers behind the one that is read last.
func (n numbers) splitAt(last int64, upwards bool) (part, rest numbers) {
	if upwards {
		return numbers{n.above, last + 1}, numbers{last, n.below}
	}
	return numbers{last - 1, n.below}, numbers{n.above, last}
}

// cutAt divides the numbers behind so many.
func (n numbers) cutAt(width int64, upwards bool) (part, rest numbers) {
	switch {
	case n.below-n.above-1 <= width:
		return n, numbers{}
	case upwards:
		return n.splitAt(n.above+width, upwards)
	}
	return n.splitAt(n.below-width, upwards)
}

// join gives back what was divided.
func (n numbers) join(other numbers) numbers {
	if other.empty() {
		return n
	}
	return numbers{min(n.above, other.above), max(n.below, other.below)}
}
