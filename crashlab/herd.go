package main

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// herdTrial starts a node to which much has become due while it was away. Its rounds
// are not one after another: each makes the herd greater by 5,000 deliveries.
var herdTrial = &Trial{
	ID: "T9", Name: "a herd: 50,000 deliveries overdue at start", Proves: "P3, P4",
	Goal: "no receiver gets more at once or a second than it allows; accepts p99 ≤ 2× what it was (or 50 ms); gone in the time that the limits make, and 20 %", Rounds: 10,
	Run: func(r *Run) { r.herd(release) },
	// A token bucket that stays full.
	Control: func(r *Run) { r.herd(hasty) },
}

const (
	herdEvents  = 500 // a round, each to all receivers
	herdLimited = 5   // receivers with a rate limit
	herdNarrow  = 5   // receivers with little concurrency

	herdRate        = 80
	herdConcurrency = 16
	herdPause       = 100 * time.Millisecond // of a narrow receiver

	herdCallers = 20 // events a second, of others
	herdSpell   = 10 * time.Second
)

// hasty is a program that heeds no rate limit.
const hasty = "telltale-hasty"

func init() {
	spoiled[hasty] = []change{{"internal/dispatch/pace.go", "p.next = p.next.Add(time.Duration(n) * interval(rate))", "_ = interval(rate)"}}
}

func (r *Run) herd(program string) {
	w := r.newWorld(nil)
	n := w.add(program, "all")
	n.start()
	var limited, narrow []*hook
	for i := range herdLimited {
		limited = append(limited, w.newHook(fmt.Sprint("limited-", i), &hook{pause: time.Hour},
			map[string]any{"events": []string{"sent"}, "rate_limit": herdRate, "timeout": "30s"}))
	}
	for i := range herdNarrow {
		narrow = append(narrow, w.newHook(fmt.Sprint("narrow-", i), &hook{pause: time.Hour},
			map[string]any{"events": []string{"sent"}, "concurrency": herdConcurrency, "timeout": "30s"}))
	}
	w.newHook("others", &hook{}, map[string]any{"events": []string{"delivered"}})
	before := &pace{world: w, node: n, prefix: "before"}
	before.keep(herdCallers, herdSpell)

	// The receivers hang, and the node dies before it gives any of them up.
	events := r.Rounds * herdEvents
	herd := &pace{world: w, node: n, event: "sent"}
	for i := range r.Rounds {
		keys := make([]string, herdEvents)
		for j := range keys {
			keys[j] = fmt.Sprintf("herd-%d-%d", i, j)
		}
		r.Must(herd.batch(keys))
	}
	n.kill()
	all := slices.Concat(limited, narrow)
	r.Wait("the receivers to notice", func() bool {
		w.sink.mu.Lock()
		defer w.sink.mu.Unlock()
		return !slices.ContainsFunc(all, func(h *hook) bool { return h.open > 0 })
	})
	const owed = `SELECT count(*) FROM delivery WHERE state IN (2, 3)`
	overdue := w.number(owed)
	if overdue < events*len(all) {
		r.Errorf("%d deliveries are owed; want %d", overdue, events*len(all))
	}
	w.sink.mu.Lock()
	for _, h := range all {
		h.pause, h.most = 0, 0
	}
	for _, h := range narrow {
		h.pause = herdPause
	}
	w.sink.mu.Unlock()
	seen := w.sink.count()

	n.start()
	began := time.Now()
	during := &pace{world: w, node: n, prefix: "during"}
	computed := time.Duration(float64(events) / herdRate * float64(time.Second))
	least := time.Duration(float64(events) / herdConcurrency * float64(herdPause))
	computed = max(computed, least)
	during.keep(herdCallers, max(computed, herdSpell/2))
	r.WaitFor(computed+patience, "the herd to be gone", func() bool { return w.number(owed) == 0 })

	hits := w.sink.arrived()[seen:]
	last := began
	times := map[string][]time.Time{}
	for _, h := range hits {
		times[h.Hook] = append(times[h.Hook], h.At)
		if slices.ContainsFunc(all, func(one *hook) bool { return one.ID == h.Hook }) && h.At.After(last) {
			last = h.At
		}
		if h.Status != http.StatusOK {
			r.Errorf("a receiver answered %d", h.Status)
		}
	}
	for _, h := range limited {
		if got := busiest(times[h.ID]); got > herdRate*5/4 {
			r.Errorf("%d requests within a second; the webhook's limit is %d", got, herdRate)
		} else {
			r.Worst("requests within a second", "", float64(got))
		}
	}
	w.sink.mu.Lock()
	for _, h := range narrow {
		r.Worst("requests at once", "", float64(h.most))
		if h.most > herdConcurrency {
			r.Errorf("%d requests at once; the webhook allows %d", h.most, herdConcurrency)
		}
	}
	w.sink.mu.Unlock()
	took := last.Sub(began)
	base, p99 := percentile(99, accepts(before.taken())), percentile(99, accepts(during.taken()))
	r.Add("overdue", "", float64(overdue))
	r.Worst("gone in", "s", took.Seconds())
	r.Worst("of computed", "s", computed.Seconds())
	r.Worst("accepts p99 before", "ms", ms(base))
	r.Worst("accepts p99", "ms", ms(p99))
	if took > computed*6/5+time.Second {
		r.Errorf("the herd was gone in %v; the limits make it %v", took, computed)
	}
	if p99 > max(2*base, unnoticed) {
		r.Errorf("accepts take %v (p99) beside the herd, and %v before", p99, base)
	}
}

// busiest is the most that came within a second.
func busiest(at []time.Time) (most int) {
	slices.SortFunc(at, time.Time.Compare)
	first := 0
	for i := range at {
		for at[i].Sub(at[first]) > time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}
