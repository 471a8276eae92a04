package main

import "fmt"

// machineTrial does the same at random to SQLite, to PostgreSQL with one node and
// with two, and to a model of what a store is; after every step all have to say the
// same of everything. A round is one sequence of some eighty steps.
var machineTrial = &Trial{
	ID: "T11", Name: "the same operations at random on SQLite, PostgreSQL (one node, two nodes) and a model", Proves: "P1, P2, P5",
	Goal: "2,000 sequences, equal after every step", Rounds: 2000, // some sequences are part of make test
	Run: func(r *Run) {
		r.inParts(100, func(first uint64, n int) {
			done := r.passes(machineTest(first, n))
			r.Add("sequences", "", float64(n*done.Passed))
		})
	},
	Control: func(r *Run) {
		r.notices(machineTest(r.Seed, 100),
			spoilt{"PostgreSQL applies a result whose claim is another's by now", "internal/postgres/delivery.go", "d == nil || d.claim != r.results[i].Number", "d == nil"},
		)
	},
}

func machineTest(seed uint64, n int) goTest {
	return goTest{
		Packages: []string{"./internal/enginetest"}, Tests: "^TestEnginesSayTheSame$",
		Flags: []string{fmt.Sprintf("-rapid.checks=%d", n), fmt.Sprintf("-rapid.seed=%d", seed|1), "-rapid.nofailfile", "-rapid.shrinktime=1s"}, // a seed of 0 is a new one
		Limit: partLimit,
	}
}
