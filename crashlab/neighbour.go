package main

import (
	"fmt"
	"sync"
	"time"
)

// neighbourTrial has one project make as much work as it can, beside one that makes
// little.
var neighbourTrial = &Trial{
	ID: "T8", Name: "a noisy neighbour: 10,000 due to a dead receiver, three slow ones, 500 events a second", Proves: "P3",
	Goal: "a project with 5 events a second waits ≤ 2 s (p99) from its call to the first attempt", Rounds: 5,
	Run: func(r *Run) { r.neighbours(release) },
	// Slots are whoever's comes first, for as long as he likes.
	Control: func(r *Run) { r.neighbours(selfish) },
}

const (
	noisy, quiet   = "noisy", "quiet"
	noisyDue       = 10_000
	noisyPace      = 500 // events a second
	noisyEach      = 10  // of them in a request
	quietPace      = 5
	neighbourSpell = 12 * time.Second
	longestWait    = 2 * time.Second
)

// selfish is a program in which a project may hold all slots, and attempts that
// last keep theirs.
const selfish = "telltale-selfish"

func init() {
	const slots = "internal/dispatch/slots.go"
	spoiled[selfish] = []change{
		{slots, "if free <= 0 || p.used[b] >= projectShare*free {", "if free <= 0 {"},
		{slots, "return max(1, (projectShare*free-p.used[b])/(projectShare+1))", "return free"},
		{slots, "wait > 0 {", "wait > -time.Hour {"},
		{"internal/dispatch/lane.go", "case l.isSlow(now):", "case false:"},
	}
}

func (r *Run) neighbours(program string) {
	w := r.newWorld(nil)
	n := w.add(program, "all")
	n.start()
	w.newProject(noisy)
	w.newProject(quiet)
	greedy := map[string]any{"concurrency": 100, "events": []string{"delivered"}, "timeout": "10s"}
	for i := range 3 {
		w.newHook(fmt.Sprint("slow-", i), &hook{project: noisy, pause: 4500 * time.Millisecond}, greedy)
	}
	w.newHook("dead", &hook{project: noisy, pause: time.Hour}, map[string]any{"concurrency": 100, "events": []string{"sent"}})
	w.newHook("busy", &hook{project: noisy}, map[string]any{"events": []string{"delivered"}})
	modest := w.newHook("modest", &hook{project: quiet}, nil)

	due := &pace{world: w, node: n, project: noisy, event: "sent", prefix: "due"}
	for i := range noisyDue / 500 {
		keys := make([]string, 500)
		for j := range keys {
			keys[j] = fmt.Sprintf("due-%d-%d", i, j)
		}
		r.Must(due.batch(keys))
	}
	loud := &pace{world: w, node: n, project: noisy, prefix: "loud", each: noisyEach}
	soft := &pace{world: w, node: n, project: quiet, prefix: "soft"}
	r.EachRound(func(int) {
		var both sync.WaitGroup
		both.Go(func() { loud.keep(noisyPace/noisyEach, neighbourSpell) })
		both.Go(func() { soft.keep(quietPace, neighbourSpell) })
		both.Wait()
	})
	if owed := w.number(`SELECT count(*) FROM delivery WHERE state IN (2, 3)`); owed < noisyDue {
		r.Errorf("only %d deliveries are owed: the neighbour was not noisy", owed)
	}
	r.Sleep(longestWait)
	waits, missing := w.firsts(soft.taken(), modest)
	loud.taken()
	p99 := percentile(99, waits)
	r.Add("events of the neighbour", "", float64(noisyDue+len(loud.posts)*noisyEach))
	r.Add("events beside it", "", float64(len(soft.posts)))
	r.Worst("p99 to the first attempt", "ms", ms(p99))
	r.Worst("p99 of accepts", "ms", ms(percentile(99, accepts(soft.posts))))
	if p99 > longestWait {
		r.Errorf("the quiet project waits %v (p99) for the first attempt, because of its neighbour", p99)
	}
	if missing > 0 {
		r.Errorf("%d events of the quiet project did not arrive", missing)
	}
}
