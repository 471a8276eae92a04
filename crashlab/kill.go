package main

import (
	"net/http"
	"strings"
	"time"
)

// killTrial kills the one node of an SQLite database again and again.
var killTrial = &Trial{
	ID: "T1", Name: "kill -9 at random, SQLite", Proves: "P1, P2, P5",
	Goal: "lost 0, ready again within 2 s", Rounds: 200, Short: 5,
	Run: func(r *Run) {
		w := r.newWorld(nil).starts(1)
		n := w.nodes[0]
		w.newHook("slow", slow(), quick)
		w.newHook("flapping", flapping(), quick)
		l := w.load()
		r.EachRound(func(int) {
			r.Sleep(r.Between(50*time.Millisecond, 1500*time.Millisecond))
			n.kill()
			began := time.Now()
			n.start()
			r.Worst("ready again after", "s", time.Since(began).Seconds())
		})
		l.end()
		w.drained()
		e := w.verify()
		r.Add("acknowledged", "", float64(len(e.Acked)))
		r.Add("came twice", "", float64(e.duplicates()))
	},
	Control: func(r *Run) {
		w := r.newWorld(nil).starts(1)
		w.newHook("slow", slow(), quick)
		l := w.begin()
		l.end()
		w.drained()
		e := w.gather()
		e.Rows = e.Rows[1:]
		for _, v := range check(e) {
			r.Errorf("%s", v)
		}
	},
}

// slow is a receiver that takes its time, so that something is always under way.
func slow() *hook { return &hook{pause: 400 * time.Millisecond} }

// flapping is a receiver that fails now and then, and takes the next attempt.
func flapping() *hook {
	return &hook{answer: func(key, attempt string) int {
		if attempt == "1" && strings.HasSuffix(key, "7") {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	}}
}

// quick are retries that a trial can wait for.
var quick = map[string]any{"retry_schedule": []string{"1s", "2s", "5s", "10s", "20s", "30s"}}

// begin has the callers begin, and waits until things go well.
func (w *world) begin() *load {
	l := w.load()
	at := w.sink.count()
	w.Wait("things to go well", func() bool { return w.sink.count() > at+100 })
	return l
}
