package main

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"telltale.example/telltale"
)

// nodesTrial breaks nodes over PostgreSQL, their database, and the network between
// them. Each scenario looks closely at one thing that breaks; a storm has all of it
// happen while the load goes on.
var nodesTrial = &Trial{
	ID: "T5", Name: "three nodes over PostgreSQL: nodes killed and frozen past their lease, the database crashed, connections cut, stalled, half-open and lost after COMMIT", Proves: "P1, P2, P5",
	Goal: "lost 0, stale writes 0, taken over within 60 s", Rounds: 300, Short: 10,
	Run: func(r *Run) {
		server := r.newServer("max_connections=600")
		parts := map[string]func(*Run){
			"killed":        func(r *Run) { killedNode(r.newWorld(server)) },
			"asleep":        func(r *Run) { sleepingNode(r.newWorld(server)) },
			"two versions":  func(r *Run) { twoVersions(r.newWorld(server)) },
			"cut":           func(r *Run) { cutConnections(r.newWorld(server)) },
			"restarted":     func(r *Run) { restartedDatabase(r, true) },
			"crashed":       func(r *Run) { restartedDatabase(r, false) },
			"storm":         func(r *Run) { storms(r, (r.Rounds+1)/2) },
			"another storm": func(r *Run) { storms(r, r.Rounds/2) },
		}
		r.Parallel(parts)
	},
	Control: func(r *Run) {
		// The database acknowledges what it has not synced. Nodes refuse to start on
		// such a one; this one changes its mind later.
		server := r.newServer("wal_writer_delay=10s", "wal_writer_flush_after=0")
		w := r.newWorld(server).starts(3)
		w.newHook("slow", slow(), quick)
		l := w.begin()
		w.ask(`ALTER SYSTEM SET synchronous_commit = off`)
		w.ask(`SELECT pg_reload_conf()`)
		w.more(200)
		r.Must(server.Stop(false))
		r.Must(server.Start())
		w.more(50)
		l.end()
		w.lost(w.gather())
	},
}

// lost faults what was acknowledged, and is in no row.
func (w *world) lost(e *evidence) {
	for _, v := range check(e) {
		if strings.Contains(v, "was acknowledged, and is owed to nobody") {
			w.Errorf("%s", v)
		}
	}
}

// more waits until so many more arrived.
func (w *world) more(n int) {
	at := w.sink.count()
	w.Wait(fmt.Sprintf("%d more to arrive", n), func() bool { return w.sink.count() >= at+n })
}

// claimed counts what is in the hands of a start of a node.
func (w *world) claimed(number string) int {
	return w.number(`SELECT count(*) FROM delivery WHERE state = 3 AND node = ` + number)
}

// busy waits until the node has something in its hands.
func (n *node) busy() {
	n.Wait("node "+n.name+" to have something in its hands", func() bool { return n.claimed(n.number) > 0 })
}

// busyVerify is verify, of a world in which much was accepted.
func (w *world) busyVerify() *evidence {
	e := w.verify()
	if len(e.Acked) < 100 {
		w.Errorf("only %d events were acknowledged", len(e.Acked))
	}
	return e
}

// interrupted counts attempts of which nobody knows what came of them.
func (e *evidence) interrupted() (n int) {
	for _, a := range e.Attempts {
		if a.Error == string(telltale.ErrorInterrupted) {
			n++
		}
	}
	return n
}

// takeOver is within what time others have what a node had that is gone.
const takeOver = 60 * time.Second

func killedNode(w *world) {
	w.starts(3)
	w.newHook("slow", slow(), quick)
	w.newHook("flapping", flapping(), quick)
	l := w.begin()
	victim := w.nodes[2]
	victim.busy()
	number := victim.number
	victim.kill()
	killed := time.Now()
	left := w.claimed(number)
	w.WaitFor(2*patience, "the others to take over", func() bool { return w.claimed(number) == 0 })
	took := time.Since(killed)
	w.more(50)
	l.end()
	w.Worst("taken over after", "s", took.Seconds())
	if took > takeOver {
		w.Errorf("the take-over took %v", took)
	}
	w.drained()
	e := w.busyVerify()
	if n := e.duplicates(); n > left {
		w.Errorf("%d came twice; only %d were under way", n, left)
	}
	if n := e.interrupted(); n != left {
		w.Errorf("%d attempts were interrupted, not %d", n, left)
	}
	w.notStale()
}

func sleepingNode(w *world) {
	w.starts(3)
	w.callLimit = time.Second // a node that sleeps lets them wait
	w.newHook("slow", slow(), quick)
	l := w.begin()
	sleeper := w.nodes[1]
	sleeper.busy()
	number := sleeper.number
	sleeper.signal(syscall.SIGSTOP)
	asleep := time.Now()
	left := w.claimed(number)
	w.WaitFor(2*patience, "the others to take over", func() bool { return w.claimed(number) == 0 })
	took := time.Since(asleep)
	w.Worst("taken over after", "s", took.Seconds())
	w.more(50)
	l.end()
	w.drained()
	others := `SELECT md5(string_agg(d::text, ';' ORDER BY number)) FROM delivery_all d WHERE node <> ` + number
	before := w.ask(others)
	sleeper.signal(syscall.SIGCONT)
	w.Wait("the node to see that it was replaced", func() bool {
		return w.number(`SELECT count(*) FROM node WHERE gone_at IS NULL`) == 3 && sleeper.ready()
	})
	// It is at work again, under another number.
	sleeper.number = w.ask(`SELECT max(number) FROM node`)
	if w.ask(others) != before {
		w.Errorf("what it had in its hands was changed")
	}
	if text, _ := os.ReadFile(filepath.Join(sleeper.data, "err")); !strings.Contains(string(text), "lease had ended") {
		w.Errorf("its log does not say that its lease had ended")
	}
	var stale float64
	w.Wait("results of the node to be stale, and counted", func() bool {
		stale = sleeper.metric("telltale_dispatch_stale_results_total")
		return left == 0 || stale > 0
	})
	w.Add("late results refused", "", stale)
	l = w.load()
	sleeper.busy()
	w.more(50)
	l.end()
	w.drained()
	e := w.busyVerify()
	if n := e.duplicates(); n > left {
		w.Errorf("%d came twice; only %d were under way", n, left)
	}
	if took > takeOver {
		w.Errorf("the take-over took %v", took)
	}
	w.notStale()
}

// restartedDatabase restarts it as an operator does, or as a crash does.
func restartedDatabase(r *Run, fast bool) {
	own := r.newServer()
	w := r.newWorld(own).starts(3)
	w.newHook("slow", slow(), quick)
	w.newHook("flapping", flapping(), quick)
	l := w.begin()
	for range 3 {
		w.Must(own.Stop(fast))
		w.Must(own.Start())
		w.resumes(time.Now())
		w.more(100)
	}
	l.end()
	w.drained()
	e := w.busyVerify()
	w.Logf("%d of %d came twice", e.duplicates(), len(e.Hits))
	w.notStale()
}

// resumes waits until events are accepted and sent again by a database that is back
// since then, which is soon.
func (w *world) resumes(since time.Time) {
	accepted, at := w.ledger.count(), w.sink.count()
	w.Wait("events to be accepted again", func() bool { return w.ledger.count() > accepted })
	w.Wait("events to be sent again", func() bool { return w.sink.count() > at+20 })
	took := time.Since(since)
	w.Worst("work resumed after", "s", took.Seconds())
	if took > 10*time.Second {
		w.Errorf("work resumed after %v", took)
	}
}

func cutConnections(w *world) {
	w.starts(3)
	w.newHook("slow", slow(), quick)
	w.newHook("flapping", flapping(), quick)
	l := w.begin()
	for range 20 {
		w.more(20)
		w.Add("connections cut", "", float64(w.terminate()))
	}
	w.more(50)
	l.end()
	w.drained()
	e := w.busyVerify()
	w.Logf("%d of %d came twice", e.duplicates(), len(e.Hits))
	w.notStale()
}

// terminate has the server end all connections to the database.
func (w *world) terminate() int {
	return w.number(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '` + w.database + `' AND pid <> pg_backend_pid()`)
}

func twoVersions(w *world) {
	old := []*node{w.add(release, "api"), w.add(release, "worker")}
	next := []*node{w.add(nextRelease, "all"), w.add(nextRelease, "worker")}
	for _, n := range w.nodes {
		n.start()
	}
	w.newHook("slow", slow(), quick)
	l := w.begin()
	for _, n := range w.nodes[1:] {
		n.busy()
	}
	versions := w.rows(`SELECT DISTINCT version, number IN (` + next[0].number + `, ` + next[1].number + `) FROM node WHERE gone_at IS NULL ORDER BY 2`)
	if len(versions) != 2 || versions[0][0] == versions[1][0] || versions[1][1] != "t" {
		w.Errorf("the nodes are of the versions %v", versions)
	}
	// The next version adds to the schema, as versions do.
	w.ask(`ALTER TABLE delivery ADD COLUMN hue text; ALTER TABLE webhook ADD COLUMN hue text DEFAULT 'blue'; CREATE TABLE hue (name text);
		INSERT INTO goose_db_version (version_id, is_applied) SELECT max(version_id) + 1, true FROM goose_db_version`)
	w.more(50)
	for _, n := range old {
		n.stop()
		n.start() // it starts beside what it does not know
	}
	old[1].busy()
	status, text := w.call(http.MethodPatch, old[0].api+"/v1/webhooks/"+w.hooks[0].ID, map[string]any{"description": "changed by the old one"})
	if status != http.StatusOK {
		w.Errorf("changing a webhook: %d %s", status, text)
	}
	w.more(50)
	l.end()
	w.drained()
	if n := w.busyVerify().duplicates(); n > 0 {
		w.Errorf("%d came twice", n)
	}
	w.notStale()
}

// notStale sees whether a result was applied of an attempt that was not the node's
// any more: written under a number that had been marked as gone, or to a delivery
// that another number had claimed since. Numbers of attempts tell when they were
// taken.
func (w *world) notStale() {
	gone := w.number(`SELECT count(*) FROM attempt a JOIN node n ON n.number = a.node WHERE a.number >> 11 > n.gone_at AND coalesce(a.error, '') <> 'interrupted'`)
	foreign := w.number(`SELECT count(*) FROM delivery_all d JOIN attempt a ON a.number = d.last_attempt WHERE d.state IN (4, 5) AND a.node <> d.node AND coalesce(a.error, '') <> 'interrupted'`)
	if gone+foreign > 0 {
		w.Errorf("%d results are of nodes that were gone, %d of nodes that did not have the delivery", gone, foreign)
	}
	w.Add("stale writes", "", float64(gone+foreign))
}

// Worlds that are broken all over live for so many faults.
const stormRounds = 25

func storms(r *Run, rounds int) {
	for rounds > 0 && !r.Failed() {
		n := min(rounds, stormRounds)
		newStorm(r).rounds(n)
		rounds -= n
	}
}

// storm is a world in which one thing after another breaks.
type storm struct {
	*world
	proxies []*proxy // of the nodes
	frozen  *node
	asleep  time.Time

	mu   sync.Mutex
	dead map[string]*death // by number
	away time.Duration     // that the database was, all in all
}

// death is what is known of a node's number that is at work no more.
type death struct {
	at   time.Time
	away time.Duration // that the database had been by then
	left int           // that were in its hands; -1 if not counted yet
}

func newStorm(r *Run) *storm {
	w := r.newWorld(r.newServer("max_connections=1000"))
	w.callLimit = 2 * time.Second
	s := &storm{world: w, dead: map[string]*death{}}
	for range 3 {
		n := w.add(release, "all")
		p := r.newProxy(w.server.Port)
		s.proxies = append(s.proxies, p)
		n.via = p.url(w.database)
		n.start()
	}
	w.newHook("slow", slow(), quick)
	w.newHook("flapping", flapping(), quick)
	return s
}

func (s *storm) rounds(n int) {
	stop, watched := make(chan struct{}), make(chan struct{})
	go func() { defer close(watched); s.watch(stop) }()
	defer func() { close(stop); <-watched }()
	faults := []func(){s.kill, s.crash, s.terminates, s.freeze, s.cuts, s.stalls, s.deadens, s.losesCommits}
	l := s.begin()
	for i := range n {
		if i%len(faults) == 0 { // each as often as the others
			for a := range faults {
				b := s.Int64N(int64(len(faults)))
				faults[a], faults[b] = faults[b], faults[a]
			}
		}
		faults[i%len(faults)]()
		s.more(20)
		s.Add("faults", "", 1)
		s.Sleep(s.Between(0, time.Second))
		if s.frozen != nil && time.Since(s.asleep) > takeOver {
			s.wake()
		}
	}
	s.wake()
	s.more(100)
	l.end()
	s.WaitFor(2*patience, "everything to be taken over", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.dead) == 0 })
	if took := s.drained(); took > 60*time.Second {
		s.Errorf("with the faults off, the queue was empty after %v", took)
	} else {
		s.Worst("queue empty after", "s", took.Seconds())
	}
	e := s.busyVerify()
	if twice, most := e.duplicates(), e.interrupted(); twice > most {
		s.Errorf("%d came twice, and %d attempts were interrupted", twice, most)
	}
	s.notStale()
	s.Add("acknowledged", "", float64(len(e.Acked)))
	s.Add("came twice", "", float64(e.duplicates()))
	for i, node := range s.nodes {
		s.Add("late results refused", "", node.metric("telltale_dispatch_stale_results_total"))
		s.Add("COMMITs whose answer was lost", "", float64(s.proxies[i].lostCommits()))
	}
}

// victim picks a node that is awake.
func (s *storm) victim() int {
	for {
		if i := int(s.Int64N(int64(len(s.nodes)))); s.nodes[i] != s.frozen {
			return i
		}
	}
}

// some picks the lines of one node, or of all.
func (s *storm) some() []*proxy {
	if s.Int64N(2) == 0 {
		return s.proxies
	}
	i := s.victim()
	return s.proxies[i : i+1]
}

func (s *storm) pause() time.Duration { return s.Between(100*time.Millisecond, 8*time.Second) }

// dies notes that a node's number is at work no more.
func (s *storm) dies(number string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead[number] = &death{at: at, away: s.away, left: -1}
}

func (s *storm) wasAway(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away += d
}

// watch sees who is taken over when.
func (s *storm) watch(stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(300 * time.Millisecond):
		}
		s.mu.Lock()
		dead := maps.Clone(s.dead)
		s.mu.Unlock()
		if len(dead) == 0 {
			continue
		}
		rows, err := s.query(`SELECT node, count(*) FROM delivery WHERE state = 3 GROUP BY node`)
		if err != nil {
			continue // the database is away
		}
		has := map[string]string{}
		for _, row := range rows {
			has[row[0]] = row[1]
		}
		s.mu.Lock()
		for number, d := range dead {
			left := has[number]
			if d.left < 0 {
				_, _ = fmt.Sscan(left+" ", &d.left) // nothing is left of one that had nothing
			}
			took := time.Since(d.at) - (s.away - d.away)
			switch {
			case left == "":
				if d.left > 0 {
					s.Add("nodes taken over", "", 1)
					s.Worst("taken over after", "s", took.Seconds())
				}
				delete(s.dead, number)
			case took > takeOver:
				s.Errorf("%v after node %s was gone, %s deliveries are in its hands", took, number, left)
				delete(s.dead, number)
			}
		}
		s.mu.Unlock()
	}
}

func (s *storm) kill() {
	i := s.victim()
	n := s.nodes[i]
	n.rejoined()
	n.kill()
	s.dies(n.number, time.Now())
	s.Sleep(s.Between(0, 3*time.Second))
	s.proxies[i].spareCommits() // it is started once, and by nobody again
	n.start()
}

func (s *storm) crash() {
	s.Must(s.server.Stop(s.Int64N(4) == 0))
	down := time.Now()
	s.Sleep(s.Between(0, 3*time.Second))
	s.Must(s.server.Start())
	s.wasAway(time.Since(down))
	s.resumes(time.Now())
}

func (s *storm) terminates() { s.terminate() }

// freeze stops a node, which is woken after its lease, or does something else while
// one is frozen.
func (s *storm) freeze() {
	if s.frozen != nil {
		s.kill()
		return
	}
	n := s.nodes[s.victim()]
	n.rejoined()
	n.signal(syscall.SIGSTOP)
	s.frozen, s.asleep = n, time.Now()
	s.dies(n.number, s.asleep)
}

// wake wakes the one that is frozen, once its lease has ended for sure.
func (s *storm) wake() {
	if s.frozen == nil {
		return
	}
	s.Sleep(time.Until(s.asleep.Add(telltale.Lease + 5*time.Second)))
	s.WaitFor(2*patience, "the one that sleeps to be taken over", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.dead[s.frozen.number] == nil })
	n, old := s.frozen, s.frozen.number
	n.signal(syscall.SIGCONT)
	s.Wait("the one that slept to join again", func() bool { n.rejoined(); return n.number != old && n.ready() })
	s.frozen = nil
	s.Add("nodes frozen past their lease", "", 1)
}

func (s *storm) cuts() {
	for _, p := range s.some() {
		p.cut()
	}
}

func (s *storm) stalls() {
	began, some := time.Now(), s.some()
	for _, p := range some {
		p.stall()
	}
	s.Sleep(s.pause())
	for _, p := range some {
		p.ease()
	}
	if len(some) == len(s.proxies) {
		s.wasAway(time.Since(began))
	}
}

func (s *storm) deadens() {
	for _, p := range s.some() {
		p.deaden()
	}
}

func (s *storm) losesCommits() {
	for _, p := range s.some() {
		p.loseCommits(1 + int(s.Int64N(4)))
	}
}
