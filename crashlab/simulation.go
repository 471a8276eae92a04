package main

import "fmt"

// simulationTrial plays random histories to the real dispatcher in virtual time:
// see internal/dispatch/simulation_test.go. A round is one seed.
var simulationTrial = &Trial{
	ID: "T10", Name: "the real dispatcher in virtual time: random histories against a model store and receivers of every kind", Proves: "P1, P2, P4, P5",
	Goal: "10,000 seeds, 0 violations", Rounds: 10_000, Short: 50,
	Run: func(r *Run) {
		r.inParts(500, func(first uint64, n int) {
			done := r.passes(simulationTest(first, n))
			r.Add("seeds", "", float64(done.Passed))
		})
	},
	Control: func(r *Run) {
		r.notices(simulationTest(r.Seed%1_000_000_000, 30),
			spoilt{"retries come at half of their wait", "delivery.go", "wait = time.Duration(float64(wait) * (0.8 + 0.4*jitter))", "wait /= 2"},
		)
	},
}

func simulationTest(first uint64, n int) goTest {
	return goTest{
		Packages: []string{"./internal/dispatch"}, Tests: "^TestSimulation$",
		Flags: []string{fmt.Sprintf("-seeds=%d", n), fmt.Sprintf("-seed=%d", first)},
		Limit: partLimit,
	}
}
