package main

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Bounds of the rounds of a kill.
const (
	perRound  = 300 // events that are acknowledged in one
	perWorld  = 25  // rounds, after which everything is held against everything
	readySoon = 2 * time.Second
)

// killTrial kills the one node of an SQLite database again and again.
var killTrial = &Trial{
	ID: "T1", Name: "kill -9 at random, SQLite", Proves: "P1, P2, P5",
	Goal:   "≥ 300 acknowledged a round, lost 0, twice no more than was under way at a kill, ready again < 2 s, empty within 60 s",
	Rounds: 200, Short: 6,
	Run: func(r *Run) {
		var k *killing
		r.EachRound(func(round int) {
			if round%perWorld == 0 {
				k = r.newKilling(release)
			}
			k.round()
			if round%perWorld == perWorld-1 || round == r.Rounds-1 {
				k.end()
			}
		})
	},
	// The program of the control answers, and then commits: what a kill meets in
	// between was acknowledged and is lost.
	Control: func(r *Run) {
		k := r.newKilling(answersEarly)
		for range 4 {
			k.round()
		}
		k.load.end()
		<-time.After(time.Second) // it commits what it answered last
		for _, v := range check(k.gather()) {
			if strings.Contains(v, "owed to nobody") {
				r.Errorf("%s", v)
			}
		}
	},
}

// Programs that answer before they commit, as one that gathers without waiting
// would.
const (
	answersEarly           = "telltale-early"
	answersEarlyFailPoints = failPoints + "-early"
)

func init() {
	early := []change{
		{"internal/sqlite/event.go", `	"slices"
`, `	"slices"
	"time"
`},
		{"internal/sqlite/event.go", `	err = s.write(ctx, "accepting events", bytes+nonceBytes*len(nonces), func(tx *tx) (err error) {`, `	a.Room = nil
	early := telltale.Accepted{Events: make([]telltale.AcceptedEvent, len(a.Events))}
	for i, e := range a.Events {
		early.Events[i].ID = e.ID
	}
	later := func(do func(*tx) error) error {
		go func() {
			<-time.After(20 * time.Millisecond) // so that a kill meets some
			_ = s.write(context.WithoutCancel(ctx), "accepting events", bytes, do)
		}()
		return nil
	}
	err = later(func(tx *tx) (err error) {`},
		{"internal/sqlite/event.go", `		return telltale.Accepted{}, err
	}
	return accepted, nil
}

// eventBytes`, `		return telltale.Accepted{}, err
	}
	return early, nil
}

// eventBytes`},
	}
	spoiled[answersEarly], spoiled[answersEarlyFailPoints] = early, early
}

// killing is a world whose node is killed, while callers post to two projects with
// five webhooks each.
type killing struct {
	*world
	load   *load
	dead   []*hook
	alive  atomic.Bool   // the dead are not any more
	calm   time.Duration // that a start takes when nothing happened
	kills  int
	flying int // most deliveries that were under way at a kill
	sum    int // of these
}

func (r *Run) newKilling(program string) *killing {
	k := &killing{world: r.newWorld(nil)}
	k.callers, k.callPause = 8, 10*time.Millisecond
	n := k.add(program, "all")
	n.start()
	k.newProject("second")
	for _, project := range k.projects {
		name := func(what string) string { return slug(project) + "-" + what }
		k.newHook(name("quick"), &hook{project: project}, quick)
		k.newHook(name("steady"), &hook{project: project, pause: 20 * time.Millisecond}, quick)
		k.newHook(name("slow"), &hook{project: project, pause: 60 * time.Millisecond}, quick)
		flaps := flapping()
		flaps.project = project
		k.newHook(name("flapping"), flaps, quick)
		k.dead = append(k.dead, k.newHook(name("dead"), &hook{project: project, answer: func(string, string) int {
			if k.alive.Load() {
				return http.StatusOK
			}
			return http.StatusServiceUnavailable
		}}, quick))
	}
	n.stop()
	began := time.Now()
	n.start()
	k.calm = time.Since(began)
	k.load = k.world.load()
	return k
}

// round kills the node at some moment, and lets the callers go on until enough is
// acknowledged.
func (k *killing) round() {
	k.Sleep(k.Between(50*time.Millisecond, 1500*time.Millisecond))
	n := k.nodes[0]
	n.kill()
	k.kills++
	flying := k.number(`SELECT count(*) FROM delivery WHERE state = 3`)
	k.sum += flying
	k.flying = max(k.flying, flying)
	k.Worst("ready after a stop", "s", k.calm.Seconds())
	n.startSoon(k.calm)
	k.Wait("callers to be answered", func() bool { return k.ledger.count() >= k.kills*perRound })
}

// startSoon starts the node, which is ready soon: within two seconds, unless a start
// takes as long as that here when nothing happened.
func (n *node) startSoon(calm time.Duration) {
	began := time.Now()
	n.start()
	took := time.Since(began)
	n.Worst("ready again after", "s", took.Seconds())
	if took > max(readySoon, 4*calm) {
		n.Errorf("node %s was ready %v after it was killed, and after a stop in %v", n.name, took, calm)
	}
}

// end has the receivers recover, and holds everything against everything.
func (k *killing) end() {
	k.load.end()
	k.alive.Store(true)
	for _, h := range k.dead { // a test that passes is how operators say so
		status, text := k.call(http.MethodPost, k.nodes[0].api+"/v1/webhooks/"+h.ID+"/test?project="+slug(h.project), map[string]any{})
		if status/100 != 2 {
			k.Errorf("testing a webhook: %d %s", status, text)
		}
	}
	if took := k.drained(); took > patience {
		k.Errorf("the queue was empty after %v", took)
	}
	e := k.verify()
	interrupted := 0
	for _, a := range e.Attempts {
		if a.Error == "interrupted" {
			interrupted++
		}
	}
	twice := e.duplicates()
	k.Add("acknowledged", "", float64(len(e.Acked)))
	k.Add("deliveries", "", float64(len(e.Rows)))
	k.Add("interrupted", "", float64(interrupted))
	k.Add("came twice", "", float64(twice))
	k.Worst("under way at a kill", "", float64(k.flying))
	if twice > interrupted || interrupted > k.sum {
		k.Errorf("%d came twice, %d attempts were interrupted, and %d deliveries were under way at the kills", twice, interrupted, k.sum)
	}
	for _, r := range e.Rows {
		if r.State == failed && !k.isDead(r.Hook) {
			k.Errorf("%s failed, though its receiver takes it", r.Key)
		}
	}
	k.nodes[0].kill()
}

func (k *killing) isDead(id string) bool {
	for _, h := range k.dead {
		if h.ID == id {
			return true
		}
	}
	return false
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
