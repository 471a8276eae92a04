package main

import (
	"fmt"
	"time"

	"telltale.example/telltale/internal/pgtest"
)

// failoverTrial takes the database's machine away, and has its standby go on.
var failoverTrial = &Trial{
	ID: "T6", Name: "the primary database loses its power, its synchronous standby takes over", Proves: "P1",
	Goal: "lost 0, work resumes within 10 s", Rounds: 20, Short: 2,
	Run: func(r *Run) {
		r.Parallel(map[string]func(*Run){"synchronous": failOvers, "asynchronous": forgetful})
	},
	Control: func(r *Run) { // a standby that the primary does not wait for, on a slow line
		w, l := lagging(r)
		l.end()
		w.lost(w.gather())
	},
}

// failOvers fails over again and again.
func failOvers(r *Run) {
	w := newPair(r, false)
	l := w.begin()
	r.EachRound(func(int) {
		w.follow()
		w.more(int(r.Int64N(100)))
		w.failOver()
		w.resumes(time.Now())
		w.more(50)
	})
	l.end()
	w.drained()
	e := w.busyVerify()
	r.Add("acknowledged", "", float64(len(e.Acked)))
	r.Add("came twice", "", float64(e.duplicates()))
	w.notStale()
}

// forgetful fails over to a database that forgot what was recorded last. Nodes that
// are started anew after that, as the documents say, take up what it believes to be
// under way.
func forgetful(r *Run) {
	w, l := lagging(r)
	for _, n := range w.nodes {
		n.ends()
		n.start()
	}
	w.more(50)
	l.end()
	w.drained()
}

// lagging is a world that failed over to a standby that lagged.
func lagging(r *Run) (*pair, *load) {
	w := newPair(r, true)
	l := w.begin()
	w.follow()
	w.line.stall()
	w.more(100)
	w.failOver()
	w.resumes(time.Now())
	return w, l
}

// pair is a world over a primary and its standby. They are at two ports in turn: a
// node asks for whichever takes writes, or is led there by a proxy that an operator
// turns.
type pair struct {
	*world
	standby      *pgtest.Server
	lead         *proxy // from a node to the primary
	line         *proxy // from the standby to the primary
	free         int    // port of the next standby
	asynchronous bool
}

func newPair(r *Run, asynchronous bool) *pair {
	first, err := pgtest.New()
	r.Must(err)
	p := &pair{world: r.newWorld(first), asynchronous: asynchronous}
	r.Cleanup(func() { r.Must(p.server.Remove()) })
	// A port is free once its server is gone; until there is one, it is taken by a
	// standby that nobody needs.
	probe, err := pgtest.New()
	r.Must(err)
	p.free = probe.Port
	r.Must(probe.Remove())
	p.lead, p.line = r.newProxy(first.Port), r.newProxy(first.Port)
	both := fmt.Sprintf("postgres://%s@127.0.0.1:%d,127.0.0.1:%d/%s?sslmode=disable&target_session_attrs=read-write", pgtest.Role, first.Port, p.free, p.database)
	for i := range 3 {
		n := p.add(release, "all")
		n.via = both
		if i == 2 {
			n.via = p.lead.url(p.database)
		}
		n.start()
	}
	p.newHook("slow", slow(), quick)
	p.newHook("flapping", flapping(), quick)
	return p
}

// follow gives the primary a standby.
func (p *pair) follow() {
	p.line.turn(p.server.Port)
	standby, err := p.server.Standby(p.free, p.line.port())
	p.Must(err)
	p.standby = standby
	want := "async"
	if !p.asynchronous {
		p.Must(p.server.Synchronous(true))
		want = "sync"
	}
	p.Wait("the standby to be "+want, func() bool {
		return p.ask(`SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'`) == want
	})
}

// failOver takes the primary away, and has the standby go on in its place.
func (p *pair) failOver() {
	old := p.server
	p.Must(old.Kill())
	p.line.cut()
	p.line.ease()
	p.Must(p.standby.Promote())
	p.server, p.standby, p.free = p.standby, nil, old.Port
	p.lead.turn(p.server.Port)
	p.Must(old.Remove())
}
