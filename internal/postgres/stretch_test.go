package postgres

import (
	"context"
	"testing"
	"time"

	"telltale.example/telltale"
)

func TestASearchStopsBeforeAStretchThatTakesTooLong(t *testing.T) {
	t.Parallel()
	b := newBenchStore(t, 1)
	b.accept(b.hooks[0], 300, nil)
	w := b.known.Load().webhook(b.hooks[0].ID)
	for _, page := range []telltale.Page{{Limit: 1}, {Limit: 1, Before: "dlv_"}} {
		var first numbers
		looked := 0
		s := stretches{
			found: []branch{{openTable, []clause{ofWebhook(w)}}}, within: allNumbers(), page: page, rows: leastRows, until: time.Now().Add(50*time.Millisecond - lateness),
			look: func(ctx context.Context, part numbers) error {
				if looked++; looked == 1 {
					first = part
					return nil
				}
				<-ctx.Done()
				return ctx.Err()
			},
			more: func() bool { return true },
		}
		rest, err := s.run(t.Context(), b.readers)
		if err != nil || looked != 2 {
			t.Fatalf("%d stretches are looked at: %v", looked, err)
		}
		if nearest(page) && rest.above != first.below-1 || !nearest(page) && rest.below != first.above+1 {
			t.Errorf("what is left is %+v behind %+v", rest, first)
		}
	}
}

func TestNumbersAreDividedWithoutAGapOrAnOverlap(t *testing.T) {
	all := numbers{above: 10, below: 21} // 11 to 20
	for _, upwards := range []bool{true, false} {
		for width := int64(1); width <= 12; width++ {
			part, rest := all.cutAt(width, upwards)
			if width >= 10 {
				if part != all || !rest.empty() {
					t.Errorf("%d numbers are cut to %+v and %+v", width, part, rest)
				}
				continue
			}
			lower, upper := rest, part
			if upwards {
				lower, upper = part, rest
			}
			if part.below-part.above-1 != width || lower.above != 10 || upper.below != 21 || lower.below != upper.above+1 {
				t.Errorf("%d numbers, upwards %v, are cut to %+v and %+v", width, upwards, part, rest)
			}
			if part.join(rest) != all {
				t.Errorf("%+v and %+v are joined to %+v", part, rest, part.join(rest))
			}
		}
	}
}
