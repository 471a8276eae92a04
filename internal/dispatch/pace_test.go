package dispatch

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestAPaceKeepsItsPromises(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		rate := []float64{0.01, 0.5, 1, 7, 25, 100, 333, 10_000}[rng.IntN(8)]
		var p pace
		now := start
		most := int(burst(rate))
		for range 50 {
			now = now.Add(time.Duration(rng.ExpFloat64() * float64(interval(rate))))
			ready := p.ready(rate, now)
			if ready < 0 || ready > most {
				t.Fatalf("rate %v: %d are ready; the burst is %d", rate, ready, most)
			}
			if due := !p.readyAt(rate).After(now); due != (ready > 0) {
				t.Fatalf("rate %v: %d are ready, and readyAt says %v", rate, ready, due)
			}
			if ready == 0 {
				now = p.readyAt(rate)
				if ready = p.ready(rate, now); ready != 1 {
					t.Fatalf("rate %v: %d are ready when one should be", rate, ready)
				}
			}
			n := 1 + rng.IntN(ready)
			p.take(n, rate, now)
			if left := p.ready(rate, now); left != ready-n {
				t.Fatalf("rate %v: %d are ready after %d of %d were taken", rate, left, n, ready)
			}
			if rng.IntN(2) == 0 {
				p.take(-n, rate, now)
				if again := p.ready(rate, now); again != ready {
					t.Fatalf("rate %v: %d are ready after what was taken came back; want %d", rate, again, ready)
				}
				p.take(n, rate, now)
			}
		}
	}
	var free pace
	free.take(1000, 0, start)
	if free.ready(0, start) < 1000 || free.readyAt(0).After(start) {
		t.Error("a pace without a limit holds back")
	}
}

func TestATallyKnowsTheLastSeconds(t *testing.T) {
	t.Parallel()
	var c tally
	at := start
	for _, tt := range []struct {
		after time.Duration
		count int
		want  float64
	}{{0, 5, 5}, {time.Second, 0, 5}, {0, 9, 9}, {time.Second, 2, 9}, {time.Second, 0, 2}, {time.Second, 0, 1}, {time.Hour, 3, 3}, {time.Hour, 0, 1}} {
		at = at.Add(tt.after)
		for range tt.count {
			c.count(at)
		}
		if got := c.rate(at); got != tt.want {
			t.Errorf("after %v: %v a second; want %v", at.Sub(start), got, tt.want)
		}
	}
}

func TestAQueueIsFirstInFirstOut(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	var q fifo[int]
	var want []int
	for n := range 20_000 {
		if len(want) > 0 && rng.IntN(100) < 45+10*(n/5000%2) {
			if got := q.pop(); got != want[0] {
				t.Fatalf("%d; want %d", got, want[0])
			}
			want = want[1:]
		} else {
			q.push(n)
			want = append(want, n)
		}
		if q.len() != len(want) {
			t.Fatalf("%d wait; want %d", q.len(), len(want))
		}
	}
	if len(q.items) > 4*len(want)+64 || !slices.Equal(q.items[q.head:], want) {
		t.Errorf("%d places for %d that wait", len(q.items), len(want))
	}
}
