package telltale

import (
	"fmt"
	"math"
	"testing"
)

func TestSharesAddUpToTheWhole(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 2, 3, 4, 5, 7, 16, 150} {
		for _, concurrency := range []int{1, 2, 3, 4, 5, 10, 100} {
			for _, rate := range []float64{0, 0.01, 1, 10_000} {
				w := Webhook{ID: NewWebhookID(), Concurrency: concurrency, RateLimit: rate}
				name := fmt.Sprintf("%d at once and %g a second on %d nodes", concurrency, rate, workers)
				slots, least, most, firsts, released, paced := 0, concurrency, 0, 0, 0.0, 0.0
				for place := range workers {
					s := w.Share(workers, place)
					slots, paced, released = slots+s.Concurrency, paced+s.Rate, released+s.Release
					least, most = min(least, s.Concurrency), max(most, s.Concurrency)
				}
				for place := range workers {
					if s := w.Share(workers, place); s.First {
						firsts++
						if s.Concurrency != most {
							t.Errorf("%s: the first has %d of them, and another one %d", name, s.Concurrency, most)
						}
					}
				}
				if slots != concurrency || most-least > 1 || firsts != 1 {
					t.Errorf("%s: %d slots, from %d to %d each, and %d nodes are the first", name, slots, least, most, firsts)
				}
				release := rate
				if rate == 0 {
					release = ReleaseRate
				}
				if math.Abs(paced-rate) > 1e-6*rate || math.Abs(released-release) > 1e-6*release {
					t.Errorf("%s: %g attempts a second, and %g released", name, paced, released)
				}
			}
		}
	}
}

func TestANodeAloneHasTheWholeShare(t *testing.T) {
	t.Parallel()
	w := Webhook{ID: NewWebhookID(), Concurrency: 3, RateLimit: 5}
	want := Share{Concurrency: 3, Rate: 5, Release: 5, First: true}
	for _, workers := range []int{0, 1} { // 0: it has not heard yet
		if got := w.Share(workers, 0); got != want {
			t.Errorf("of %d nodes: %+v, want %+v", workers, got, want)
		}
	}
}

func TestWebhooksThatAllowOneAttemptSpreadOverTheNodes(t *testing.T) {
	t.Parallel()
	const workers, webhooks = 4, 1000
	var has [workers]int
	for range webhooks {
		w := Webhook{ID: NewWebhookID(), Concurrency: 1}
		for place := range workers {
			has[place] += w.Share(workers, place).Concurrency
		}
	}
	for place, n := range has {
		if n < webhooks/workers*2/3 || n > webhooks/workers*4/3 {
			t.Errorf("the node at place %d has %d of %d webhooks", place, n, webhooks)
		}
	}
}
