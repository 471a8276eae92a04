package main

import (
	"fmt"
	"slices"
	"strings"
)

// load is a way to load the server.
type load struct {
	Name        string  `json:"name"`
	What        string  `json:"what"`
	Webhooks    int     `json:"webhooks"`
	Concurrency int     `json:"concurrency"` // of each webhook: requests at once; 0 is the server's default
	Batch       int     `json:"batch"`       // events a request
	Connections int     `json:"connections"` // of the drive
	Rate        float64 `json:"rate"`        // requests a second, in an open loop; 0: as many as are accepted
	Nodes       int     `json:"nodes"`       // over one PostgreSQL server, which the connections share; 0: one, with SQLite
}

// yardstickWorkers is how many workers the bare loop has. The throughput loads
// let the server have as many requests under way at once.
const yardstickWorkers = 64

var (
	oneByOne = &load{Name: "one", What: "one event a request, one webhook of concurrency 64, 64 connections",
		Webhooks: 1, Concurrency: yardstickWorkers, Batch: 1, Connections: 64}
	batched = &load{Name: "batch", What: "100 events a request, one webhook of concurrency 64, 8 connections",
		Webhooks: 1, Concurrency: yardstickWorkers, Batch: 100, Connections: 8}
	fannedOut = &load{Name: "fanout", What: "one event a request, ten webhooks of concurrency 7, 64 connections",
		Webhooks: 10, Concurrency: 7, Batch: 1, Connections: 64}
	paced = &load{Name: "paced", What: "50 events a second, one a request, one webhook as it is by default",
		Webhooks: 1, Batch: 1, Connections: 64, Rate: 50}
	oneNode, twoNodes, threeNodes = overNodes(1), overNodes(2), overNodes(3)
)

// overNodes is oneByOne with PostgreSQL.
func overNodes(n int) *load {
	l := *oneByOne
	l.Name, l.Nodes = fmt.Sprintf("pg-%d", n), n
	l.What += fmt.Sprintf(", %d nodes over PostgreSQL", n)
	return &l
}

func perSecond(r *run) float64 { return r.DeliveredPerSecond }

// mark is one figure that is held against a goal.
type mark struct {
	name       string
	what       string
	foundation float64 // the goal
	atMost     bool    // the goal is not to be exceeded, rather than to be reached
	load       *load
	value      func(*run) float64
	over       *load // whose value in the same round is 1; nil for none
}

var marks = []mark{
	{"M1", "sustained deliveries/s ÷ yardstick, one event a request", 0.15, false, oneByOne, (*run).ratio, nil},
	{"M2", "the same, events in batches of 100", 0.30, false, batched, (*run).ratio, nil},
	{"M3", "fan-out: one event to 10 webhooks, deliveries/s ÷ yardstick", 0.30, false, fannedOut, (*run).ratio, nil},
	{"M4", "post → arrival at 50 events/s, p50, ms", 5, true, paced, func(r *run) float64 { return r.Latency.P50 }, nil},
	{"M4", "post → arrival at 50 events/s, p99, ms", 25, true, paced, func(r *run) float64 { return r.Latency.P99 }, nil},
	{"M6", "server's CPU seconds per 1,000 deliveries, M1's load", 0.30, true, oneByOne, func(r *run) float64 { return r.CPU.Server }, nil},
	{"M6", "server's CPU seconds per 1,000 deliveries, M3's load", 0.18, true, fannedOut, func(r *run) float64 { return r.CPU.Server }, nil},
	{"M7", "server's peak memory at M1's load, MiB", 150, true, oneByOne, func(r *run) float64 { return r.Memory.Peak }, nil},
	{"M10", "deliveries/s with one node over PostgreSQL ÷ with SQLite, M1's load", 0.5, false, oneNode, perSecond, oneByOne},
	{"M10", "deliveries/s with two nodes ÷ with one", 0.9, false, twoNodes, perSecond, oneNode},
	{"M10", "deliveries/s with three nodes ÷ with one", 0.9, false, threeNodes, perSecond, oneNode},
}

// choose gives the marks of those names, in the order of the table, and the
// loads that they need.
func choose(names []string) (chosen []mark, loads []*load, err error) {
	known := map[string]bool{"ALL": true}
	for _, m := range marks {
		known[m.name] = true
	}
	wanted := map[string]bool{}
	for _, name := range names {
		name = strings.ToUpper(name)
		if !known[name] {
			return nil, nil, fmt.Errorf("%q is no mark; expected one of m1, m2, m3, m4, m6, m7, m10, all", name)
		}
		wanted[name] = true
	}
	for _, m := range marks {
		if !wanted[m.name] && !wanted["ALL"] {
			continue
		}
		chosen = append(chosen, m)
		for _, l := range []*load{m.over, m.load} {
			if l != nil && !slices.Contains(loads, l) {
				loads = append(loads, l)
			}
		}
	}
	return chosen, loads, nil
}

// inTurn groups the loads: those that are held against each other are measured in
// turn, all others one after another.
func inTurn(marks []mark, loads []*load) (groups [][]*load) {
	var compared []*load
	for _, l := range loads {
		if slices.ContainsFunc(marks, func(m mark) bool { return m.over != nil && (m.load == l || m.over == l) }) {
			compared = append(compared, l)
		} else {
			groups = append(groups, []*load{l})
		}
	}
	if compared != nil {
		groups = append(groups, compared)
	}
	return groups
}

// result is a mark and what the runs gave.
type result struct {
	Mark       string  `json:"mark"`
	What       string  `json:"what"`
	Foundation float64 `json:"foundation"`
	AtMost     bool    `json:"at_most"`
	Holds      bool    `json:"holds"` // the median reaches the goal
	spread
}

// judge holds the runs of the mark's load against its goal.
func (m mark) judge(runs []*run) result {
	var values []float64
	for _, r := range runs {
		if r.Load != m.load.Name {
			continue
		}
		if m.over == nil {
			values = append(values, m.value(r))
			continue
		}
		for _, o := range runs {
			if o.Load == m.over.Name && o.Round == r.Round {
				values = append(values, m.value(r)/m.value(o))
			}
		}
	}
	s := spreadOf(values)
	holds := len(values) > 0 && s.Median >= m.foundation
	if m.atMost {
		holds = len(values) > 0 && s.Median <= m.foundation
	}
	return result{Mark: m.name, What: m.what, Foundation: m.foundation, AtMost: m.atMost, Holds: holds, spread: s}
}
