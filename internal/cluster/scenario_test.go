package cluster

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/pgtest"
)

// three nodes of one version, which do all.
var three = []program{{versionNow, "all"}, {versionNow, "all"}, {versionNow, "all"}}

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

// quick are retries that a test can wait for.
var quick = map[string]any{"retry_schedule": []string{"1s", "2s", "5s", "10s", "20s", "30s"}}

// begin has the callers begin, and waits until things go well.
func (c *cluster) begin() *load {
	l := c.load()
	at := c.sink.count()
	c.wait("things to go well", func() bool { return c.sink.count() > at+100 })
	return l
}

// more waits until so many more arrived.
func (c *cluster) more(n int) {
	c.Helper()
	at := c.sink.count()
	c.wait(fmt.Sprintf("%d more to arrive", n), func() bool { return c.sink.count() >= at+n })
}

// claimed counts what is in the hands of a start of a node.
func (c *cluster) claimed(number string) int {
	return c.number(`SELECT count(*) FROM delivery WHERE state = 3 AND node = ` + number)
}

// busy waits until the node has something in its hands.
func (n *node) busy() {
	n.Helper()
	n.wait("node "+n.name+" to have something in its hands", func() bool { return n.claimed(n.number) > 0 })
}

func TestANodeThatIsKilledIsReplaced(t *testing.T) {
	t.Parallel()
	c := newCluster(t, server, three...)
	c.newHook("slow", slow(), quick)
	c.newHook("flapping", flapping(), quick)
	l := c.begin()
	victim := c.nodes[2]
	victim.busy()
	number := victim.number
	victim.kill()
	killed := time.Now()
	left := c.claimed(number)
	c.waitFor(2*patience, "the others to take over", func() bool { return c.claimed(number) == 0 })
	took := time.Since(killed)
	c.more(50)
	l.end()
	t.Logf("%d deliveries of the node that was killed were taken over after %v", left, took.Round(100*time.Millisecond))
	if took > 60*time.Second {
		t.Errorf("the take-over took %v", took)
	}
	c.drained()
	e := c.verify()
	if n := e.duplicates(); n > left {
		t.Errorf("%d came twice; only %d were under way", n, left)
	}
	if n := interrupted(e); n != left {
		t.Errorf("%d attempts were interrupted, not %d", n, left)
	}
}

func interrupted(e *evidence) (n int) {
	for _, a := range e.Attempts {
		if a.Error == string(telltale.ErrorInterrupted) {
			n++
		}
	}
	return n
}

func TestANodeThatSleptPastItsLeaseChangesNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, server, three...)
	c.callLimit = time.Second // a node that sleeps lets them wait
	c.newHook("slow", slow(), quick)
	l := c.begin()
	sleeper := c.nodes[1]
	sleeper.busy()
	number := sleeper.number
	sleeper.signal(syscall.SIGSTOP)
	asleep := time.Now()
	left := c.claimed(number)
	c.waitFor(2*patience, "the others to take over", func() bool { return c.claimed(number) == 0 })
	took := time.Since(asleep)
	t.Logf("%d deliveries of the node that slept were taken over after %v", left, took.Round(100*time.Millisecond))
	c.more(50)
	l.end()
	c.drained()
	before := c.ask(`SELECT md5(string_agg(d::text, ';' ORDER BY number)) FROM delivery_all d WHERE node <> ` + number)
	sleeper.signal(syscall.SIGCONT)
	c.wait("the node to see that it was replaced", func() bool {
		return c.number(`SELECT count(*) FROM node WHERE gone_at IS NULL`) == 3 && sleeper.ready()
	})
	// It is at work again, under another number.
	sleeper.number = c.ask(`SELECT max(number) FROM node`)
	if after := c.ask(`SELECT md5(string_agg(d::text, ';' ORDER BY number)) FROM delivery_all d WHERE node <> ` + number); after != before {
		t.Error("what it had in its hands was changed")
	}
	if text, _ := os.ReadFile(filepath.Join(sleeper.data, "err")); !strings.Contains(string(text), "lease had ended") {
		t.Error("its log does not say that its lease had ended")
	}
	if stale := sleeper.metric("telltale_dispatch_stale_results_total"); left > 0 && stale == 0 {
		t.Error("no result of the node was stale, or it does not count them")
	} else {
		t.Logf("%v late results were not applied", stale)
	}
	l = c.load()
	sleeper.busy()
	c.more(50)
	l.end()
	c.drained()
	e := c.verify()
	if n := e.duplicates(); n > left {
		t.Errorf("%d came twice; only %d were under way", n, left)
	}
	if took > 60*time.Second {
		t.Errorf("the take-over took %v", took)
	}
}

// restarts are how a database server goes and comes back.
func TestADatabaseThatRestartsLosesNothing(t *testing.T) {
	t.Parallel()
	for name, fast := range map[string]bool{"as an operator restarts it": true, "as a crash does": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := pgtest.Start(t)
			c := newCluster(t, own, three...)
			c.newHook("slow", slow(), quick)
			c.newHook("flapping", flapping(), quick)
			l := c.begin()
			for range 3 {
				if err := own.Stop(fast); err != nil {
					t.Fatal(err)
				}
				down := time.Now()
				if err := own.Start(); err != nil {
					t.Fatal(err)
				}
				up := time.Now()
				accepted, at := c.ledger.count(), c.sink.count()
				c.wait("events to be accepted again", func() bool { return c.ledger.count() > accepted })
				accepts := time.Since(up)
				c.wait("events to be sent again", func() bool { return c.sink.count() > at+20 })
				t.Logf("down for %v; then accepts within %v, sends within %v", up.Sub(down).Round(time.Millisecond), accepts.Round(time.Millisecond), time.Since(up).Round(time.Millisecond))
				if resumed := time.Since(up); resumed > 10*time.Second {
					t.Errorf("work resumed after %v", resumed)
				}
				c.more(100)
			}
			l.end()
			c.drained()
			e := c.verify()
			t.Logf("%d of %d came twice", e.duplicates(), len(e.Hits))
		})
	}
}

func TestConnectionsThatAreCutLoseNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, server, three...)
	c.newHook("slow", slow(), quick)
	c.newHook("flapping", flapping(), quick)
	l := c.begin()
	cut := 0
	for range 20 {
		c.more(20)
		cut += c.number(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '` + c.database + `' AND pid <> pg_backend_pid()`)
	}
	c.more(50)
	l.end()
	c.drained()
	e := c.verify()
	t.Logf("%d connections were cut; %d of %d came twice", cut, e.duplicates(), len(e.Hits))
}

func TestARollingRestartIsSeenByNobody(t *testing.T) {
	t.Parallel()
	c := newCluster(t, server, three...)
	c.newHook("slow", slow(), quick)
	c.newHook("flapping", flapping(), quick)
	l := c.begin()
	for range 2 {
		for _, n := range c.nodes {
			n.busy()
			if took := n.stop(); took > 30*time.Second {
				t.Errorf("node %s took %v to end", n.name, took)
			}
			n.start(versionNow)
			c.more(30)
		}
	}
	l.end()
	c.drained()
	e := c.verify()
	for _, err := range c.ledger.errors {
		t.Errorf("a caller saw an error: %s", err)
	}
	if n := e.duplicates(); n > 0 {
		t.Errorf("%d came twice", n)
	}
	if n := interrupted(e); n > 0 {
		t.Errorf("%d attempts were interrupted", n)
	}
}

func TestAWebhookThatIsDisabledOnOneNodeIsSentNothingByOthers(t *testing.T) {
	t.Parallel()
	c := newCluster(t, server, three...)
	h := c.newHook("slow", &hook{pause: 20 * time.Millisecond}, quick)
	l := c.begin()
	var off []span
	for round := range 12 {
		c.more(40)
		status, text := c.call(http.MethodPost, c.nodes[round%3].api+"/v1/webhooks/"+h.ID+"/disable", nil)
		returned := time.Now()
		if status != http.StatusOK {
			t.Fatalf("disabling: %d %s", status, text)
		}
		accepted := c.ledger.count()
		c.wait("more to be accepted", func() bool { return c.ledger.count() > accepted+20 })
		off = append(off, span{h.ID, returned, time.Now()})
		if status, text := c.call(http.MethodPost, c.nodes[(round+1)%3].api+"/v1/webhooks/"+h.ID+"/enable", nil); status != http.StatusOK {
			t.Fatalf("enabling: %d %s", status, text)
		}
	}
	l.end()
	// What was accepted while it was off is owed to nobody: see the documents.
	e := c.gather()
	e.Off, e.Hooks = off, nil
	for _, v := range check(e) {
		t.Error(v)
	}
	late := slices.DeleteFunc(c.sink.arrived(), func(hit hit) bool {
		return !slices.ContainsFunc(off, func(s span) bool {
			// What was begun before may still be on its way.
			return hit.At.After(s.From.Add(time.Second)) && hit.At.Before(s.To)
		})
	})
	if len(late) > 0 {
		t.Errorf("%d arrived while it was disabled", len(late))
	}
	control(t, e)
}

func TestTwoVersionsWorkSideBySide(t *testing.T) {
	t.Parallel()
	c := newCluster(t, server, program{versionNow, "api"}, program{versionNow, "worker"}, program{versionNext, "all"}, program{versionNext, "worker"})
	c.newHook("slow", slow(), quick)
	l := c.begin()
	for _, n := range c.nodes[1:] {
		n.busy()
	}
	if versions := c.ask(`SELECT string_agg(DISTINCT version, ' ' ORDER BY version) FROM node WHERE gone_at IS NULL`); versions != versionNow+" "+versionNext {
		t.Errorf("the nodes are of the versions %s", versions)
	}
	// The next version adds to the schema, as versions do.
	c.ask(`ALTER TABLE delivery ADD COLUMN hue text; ALTER TABLE webhook ADD COLUMN hue text DEFAULT 'blue'; CREATE TABLE hue (name text);
		INSERT INTO goose_db_version (version_id, is_applied) SELECT max(version_id) + 1, true FROM goose_db_version`)
	c.more(50)
	for _, old := range c.nodes[:2] {
		old.stop()
		old.start(versionNow) // it starts beside what it does not know
	}
	c.nodes[1].busy()
	status, text := c.call(http.MethodPatch, c.nodes[0].api+"/v1/webhooks/"+c.hooks[0].ID, map[string]any{"description": "changed by the old one"})
	if status != http.StatusOK {
		t.Errorf("changing a webhook: %d %s", status, text)
	}
	c.more(50)
	l.end()
	c.drained()
	if n := c.verify().duplicates(); n > 0 {
		t.Errorf("%d came twice", n)
	}
}

// A control of its own: what nobody did nobody sees.
func TestEvidenceOfNothingIsNoViolation(t *testing.T) {
	t.Parallel()
	if v := check(&evidence{}); len(v) > 0 {
		t.Error(v)
	}
}
