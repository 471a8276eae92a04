package main

import (
	"fmt"
	"time"
)

// simulationTrial plays five days at a time to clusters of the real dispatcher, in
// virtual time: see internal/dispatch/simulation_test.go, and history_test.go for
// one busy node. A round is one seed of each.
var simulationTrial = &Trial{
	ID: "T10", Name: "five days of a cluster in virtual time: nodes that die, freeze past their lease and wake, a store and receivers that fail; breaker, warnings, disable and enable by the rules", Proves: "P1, P2, P4, P5",
	Goal: "10,000 seeds, 0 violations", Rounds: 10_000, // some seeds are part of make test
	Run: func(r *Run) {
		r.inParts(200, func(first uint64, n int) {
			r.passes(simulationTest(first, n))
			r.Add("seeds", "", float64(n))
			r.Add("virtual days", "", float64(6*n))
		})
	},
	Control: func(r *Run) {
		test := simulationTest(1, 3)
		test.Tests, test.Limit = "^TestSimulation$", 5*time.Minute
		r.notices(test, simulationRules...)
	},
}

// simulationRules are what the simulation has to notice if it does not hold.
var simulationRules = []spoilt{
	{"retries come at half of their wait", "delivery.go", "wait = time.Duration(float64(wait) * (0.8 + 0.4*jitter))", "wait /= 2"},
	{"a delivery is given up an attempt too early", "schedule.go", "if step-1 < len(waits) {", "if step < len(waits) {"},
	{"a webhook is disabled after four days and not five", "health.go", "DisableAfter     = 120 * time.Hour", "DisableAfter     = 96 * time.Hour"},
	{"a breaker that opens waits half a minute", "health.go", "BreakerWait      = time.Minute ", "BreakerWait      = 30 * time.Second "},
	{"the probe of an open breaker comes too early", "internal/dispatch/breaker.go", "return b.standing.Breaker.Until", "return b.standing.Breaker.Until.Add(-50 * time.Second)"},
	{"nodes do not divide what a webhook allows", "share.go", "s.Concurrency = w.Concurrency / workers", "s.Concurrency = w.Concurrency"},
	{"nobody takes over from the dead", "internal/dispatch/node.go", "taken, err := d.store.TakeOver(ctx)", "taken, err := 0, error(nil)"},
}

func simulationTest(first uint64, n int) goTest {
	return goTest{
		Packages: []string{"./internal/dispatch"}, Tests: "^(TestSimulation|TestHistory|TestASeedPlaysTheSameAgain)$",
		Flags: []string{fmt.Sprintf("-seeds=%d", n), fmt.Sprintf("-seed=%d", first)},
		Env:   []string{"GOGC=400"}, Limit: partLimit,
	}
}
