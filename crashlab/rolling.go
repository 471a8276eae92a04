package main

import (
	"strings"
	"time"
)

// rollingTrial ends nodes in order, and starts them again, while callers and
// receivers look on.
var rollingTrial = &Trial{
	ID: "T20", Name: "SIGTERM at random, rolling restarts of three nodes; one SQLite node likewise", Proves: "P1, P5, P8",
	Goal: "exit 0 within 30 s, errors seen by callers 0, duplicates 0", Rounds: 100, Short: 6,
	Run: func(r *Run) {
		server := r.newServer()
		r.Parallel(map[string]func(*Run){
			"rolling":     func(r *Run) { rolling(r.newWorld(server)) },
			"at random":   func(r *Run) { ordered(r.newWorld(server).starts(3), (*node).ends) },
			"alone":       func(r *Run) { ordered(r.newWorld(nil).starts(1), (*node).ends) },
			"just up":     func(r *Run) { justUp(r.newWorld(server)) },
			"just up too": func(r *Run) { justUp(r.newWorld(nil)) },
		})
	},
	Control: func(r *Run) { // a program that knows no order
		r.Rounds = 3
		ordered(r.newWorld(r.newServer()).starts(3), (*node).kill)
	},
}

// inTime is how long a node may take to end.
const inTime = 30 * time.Second

// ends ends the node in order, which takes no longer than it may.
func (n *node) ends() {
	took := n.stop()
	n.Worst("ended within", "s", took.Seconds())
	n.Add("ended", "", 1)
	if took > inTime {
		n.Errorf("node %s took %v to end", n.name, took)
	}
}

// rolling restarts one node after the other, each when it has something in its hands.
func rolling(w *world) {
	w.starts(3)
	w.newHook("slow", slow(), quick)
	w.newHook("flapping", flapping(), quick)
	l := w.begin()
	for range 2 {
		for _, n := range w.nodes {
			n.busy()
			n.ends()
			n.start()
			w.more(30)
		}
	}
	l.end()
	w.unseen()
}

// unseen sees that nobody noticed that nodes ended: no caller who tries again once
// at another node, and no receiver.
func (w *world) unseen() {
	w.drained()
	e := w.busyVerify()
	for _, err := range w.ledger.errors {
		w.Errorf("a caller saw an error: %s", err)
	}
	w.sentOnce(e)
}

// sentOnce sees that nothing was sent twice or left in the dark.
func (w *world) sentOnce(e *evidence) {
	if n := e.duplicates(); n > 0 {
		w.Errorf("%d came twice", n)
	}
	if n := e.interrupted(); n > 0 {
		w.Errorf("%d attempts were interrupted", n)
	}
	w.Add("acknowledged", "", float64(len(e.Acked)))
	w.Add("came twice", "", float64(e.duplicates()))
}

// ordered ends a node at a random moment, again and again.
func ordered(w *world, end func(*node)) {
	w.newHook("slow", slow(), quick)
	w.newHook("flapping", flapping(), quick)
	l := w.begin()
	for range w.Rounds {
		w.Sleep(w.Between(0, 1500*time.Millisecond))
		n := w.nodes[w.Int64N(int64(len(w.nodes)))]
		end(n)
		n.start()
	}
	w.more(150)
	l.end()
	if len(w.nodes) > 1 {
		w.unseen()
		return
	}
	// Of a node that is alone, callers see that it is away, and nothing else.
	w.drained()
	w.sentOnce(w.busyVerify())
	for _, err := range w.ledger.errors {
		if !strings.Contains(err, "connection refused") {
			w.Errorf("a caller saw more than that nobody was there: %s", err)
		}
	}
}

// justUp ends a node as soon as it says where it is, before it is ready.
func justUp(w *world) {
	n := w.add(release, "all")
	for range w.Rounds {
		n.launch()
		w.Wait("node "+n.name+" to say where it is", n.reached)
		n.ends()
	}
}
