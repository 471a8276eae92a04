package main

import (
	"context"
	"iter"
	"time"
)

// wait waits for d, or less if ctx ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// ticks gives the times at which something is due that happens rate times a
// second for a length, each when it has come. They do not depend on how long
// the body of the loop takes: what is late is made up for.
func ticks(ctx context.Context, rate float64, length time.Duration) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		start := time.Now()
		for i := range int(rate * length.Seconds()) {
			due := start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
			wait(ctx, time.Until(due))
			if ctx.Err() != nil || !yield(due) {
				return
			}
		}
	}
}
