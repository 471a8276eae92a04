package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"telltale.example/telltale/internal/failpoint"
)

// crashTrial kills the node at each point of the list, ten times.
var crashTrial = &Trial{
	ID: "T1b", Name: "kill -9 at each crash point, SQLite", Proves: "P1, P2, P5",
	Goal:   "at each point what is promised of it: lost 0, attempts interrupted or not there, the next within 5 s; a second run finishes, a third changes nothing",
	Rounds: 10 * len(crashes), Short: len(crashes),
	Run: func(r *Run) {
		r.pointsAreOnlyWhereTheyBelong()
		var w *crashWorld
		r.EachRound(func(round int) {
			c := crashes[round%len(crashes)]
			if w == nil {
				w = r.newCrashWorld(failPoints)
			}
			r.Logf("round %d: %s", round+1, c.point)
			if c.trial != nil {
				c.trial(w, c)
			} else {
				w.onTheWay(c)
			}
			r.Add("crashes", "", 1)
			if round%(2*len(crashes)) == 2*len(crashes)-1 || round == r.Rounds-1 {
				w.end()
				w = nil
			}
		})
	},
	// Each program has something wrong, of which a crash at one point has to tell.
	Control: func(r *Run) {
		for _, wrong := range []struct{ program, point, because string }{
			{answersEarlyFailPoints, "accept-uncommitted", "acknowledged"},
			{givesUpFailPoints, "send-answered", "within"},
			{halvesFailPoints, "record-uncommitted", "attempts, and says"},
		} {
			alone := r.aside()
			alone.do(func(*Run) {
				w := alone.newCrashWorld(wrong.program)
				w.onTheWay(crashes[slices.IndexFunc(crashes, func(c crash) bool { return c.point == wrong.point })])
				w.load.end()
				<-time.After(time.Second)
				for _, v := range check(w.gather()) {
					alone.Errorf("%s", v)
				}
			})
			at := slices.IndexFunc(alone.faults, func(f string) bool { return strings.Contains(f, wrong.because) })
			if at < 0 {
				r.Logf("%s came to %q", wrong.program, alone.faults)
				r.faults = nil // of the others: each has to be noticed
				return
			}
			r.Errorf("%s", alone.faults[at])
		}
	},
}

// aside is a run of the same trial, whose faults are its own.
func (r *Run) aside() *Run {
	alone := r.lab.newRun(r.ctx, r.trial, 1, true)
	alone.folder = r.TempDir()
	return alone
}

// Programs with something wrong in them, besides their points.
const (
	givesUpFailPoints = failPoints + "-gives-up" // what an earlier start had claimed is failed
	halvesFailPoints  = failPoints + "-halves"   // attempts are committed before their deliveries
	hastyFailPoints   = failPoints + "-hasty"    // a day of retention is a second
)

func init() {
	spoiled[givesUpFailPoints] = []change{{
		"internal/sqlite/claim.go", `	case d.test:
		d.state = stored.StateFailed`, `	default:
		d.state = stored.StateFailed`,
	}}
	spoiled[halvesFailPoints] = []change{{
		"internal/sqlite/delivery.go", `	failpoint.Here("record-attempt-added")`, `	if err := tx.query("COMMIT").run(); err != nil {
		return err
	}
	if err := tx.query("BEGIN IMMEDIATE").run(); err != nil {
		return err
	}
	failpoint.Here("record-attempt-added")`,
	}}
	spoiled[hastyFailPoints] = []change{{
		"internal/app/app.go", `time.Duration(cfg.Retention) * 24 * time.Hour`, `time.Duration(cfg.Retention) * time.Second`,
	}}
}

// crash is a point, and what has to be so there.
type crash struct {
	point string
	most  int64 // the program dies at one of the first times that it comes there
	after time.Duration

	// found tells what the wreck lacks, before the program is started again, if it
	// died there: that it did, and what is promised of that place.
	found func(*wreck) string
	trial func(*crashWorld, crash) // other than on the way of an event
}

var crashes = []crash{
	{point: "accept-begin", most: 15, found: noTrace},
	{point: "accept-event-added", most: 15, found: noTrace},
	{point: "accept-uncommitted", most: 15, found: noTrace},
	{point: "accept-committed", most: 15, found: allThere},
	{point: "accept-answered", most: 15, found: acknowledged},
	{point: "claim-uncommitted", most: 3, found: nothing},
	{point: "claim-committed", most: 3, found: claimed},
	{point: "send-begin", most: 30, found: claimed},
	{point: "send-written", most: 30, found: underWay},
	{point: "send-answered", most: 30, found: underWay},
	{point: "record-begin", most: 20, found: underWay},
	{point: "record-attempt-added", most: 30, found: underWay},
	{point: "record-uncommitted", most: 20, found: underWay},
	{point: "record-committed", most: 20, found: nothing},
	{point: "take-over-uncommitted", trial: takingOver},
	{point: "disable-uncommitted", trial: disabling},
	{point: "disable-committed", trial: disabling},
	{point: "purge-event-halved", most: 8, trial: purging},
	{point: "purge-committed", most: 1, trial: purging},
	{point: "migrate-begin", most: 9, trial: migrating},
	{point: "migrate-applied", most: 9, trial: migrating},
	{point: "checkpoint-begin", most: 1, trial: copying},
	{point: "checkpoint-begin", most: 1, after: 4 * time.Millisecond, trial: copying}, // in the midst of it
	{point: "checkpoint-copied", most: 1, trial: copying},
}

// pointsAreOnlyWhereTheyBelong looks for the points in the release, which has none,
// and in the program that has them, or else it would look for the wrong thing; and
// no point may be left out.
func (r *Run) pointsAreOnlyWhereTheyBelong() {
	texts := []string{"FAILPOINT"}
	for _, p := range failpoint.Points {
		texts = append(texts, p.Name)
		if !slices.ContainsFunc(crashes, func(c crash) bool { return c.point == p.Name }) {
			r.Errorf("no crash at %s is tried", p.Name)
		}
	}
	for _, program := range []string{release, failPoints} {
		path, err := r.lab.build(r.ctx, program)
		r.Must(err)
		binary, err := os.ReadFile(path)
		r.Must(err)
		for _, text := range texts {
			if has := bytes.Contains(binary, []byte(text)); has != (program == failPoints) {
				r.Errorf("that %s contains %q is %v", program, text, has)
			}
		}
	}
}

// crashWorld is a world of two projects, in which one caller posts, so that it is
// known what was under way.
type crashWorld struct {
	*world
	node *node
	load *load
}

func (r *Run) newCrashWorld(program string, args ...string) *crashWorld {
	w := &crashWorld{world: r.newWorld(nil)}
	w.callers, w.callPause = 1, 4*time.Millisecond
	w.node = w.add(program, "all", args...)
	w.node.start()
	w.newProject("second")
	for _, project := range w.projects {
		name := func(what string) string { return slug(project) + "-" + what }
		w.newHook(name("quick"), &hook{project: project}, quick)
		w.newHook(name("slow"), &hook{project: project, pause: 30 * time.Millisecond}, quick)
		w.newHook(name("uneven"), &hook{project: project, answer: func(key, attempt string) int {
			if attempt == "1" && strings.ContainsAny(key[len(key)-1:], "47") {
				return http.StatusServiceUnavailable
			}
			return http.StatusOK
		}}, quick)
	}
	w.load = w.world.load()
	w.Wait("things to go well", func() bool { return w.sink.count() > 20 })
	return w
}

func (w *crashWorld) end() {
	w.load.end()
	if took := w.drained(); took > patience {
		w.Errorf("the queue was empty after %v", took)
	}
	e := w.verify()
	for _, r := range e.Rows {
		if r.State == failed {
			w.Errorf("%s failed, though its receiver takes it", r.Key)
		}
	}
	w.Add("acknowledged", "", float64(len(e.Acked)))
	w.Add("came twice", "", float64(e.duplicates()))
	w.node.kill()
}

// arm has the next start die at the point.
func (n *node) arm(c crash) {
	at := fmt.Sprintf("FAILPOINT=%s:%d", c.point, 1+n.Int64N(max(c.most, 1)))
	if c.after > 0 {
		at += ":" + c.after.String()
	}
	n.env = []string{at}
}

// died waits until the program, which was launched, has died at the point.
func (n *node) died(c crash) {
	var err *exec.ExitError
	_ = errors.As(n.exit(patience), &err) // or it stays nil
	said, readErr := os.ReadFile(filepath.Join(n.logs, "err"))
	n.Must(readErr)
	if err == nil || err.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL || !bytes.Contains(said, []byte("failpoint: "+c.point)) {
		n.Fatalf("the node was to die at %s and ended with %v:\n%s", c.point, err, n.complaints())
	}
	n.Must(os.Truncate(filepath.Join(n.logs, "err"), 0))
	n.env = nil
}

// wreck is what is there after a crash.
type wreck struct {
	*crashWorld
	posted, asked map[string]bool // asked are those that were not acknowledged
	open          []row
	hits          []hit
}

// onTheWay crashes on the way of an event, and sees that all goes on.
func (w *crashWorld) onTheWay(c crash) {
	w.node.kill()
	w.node.arm(c)
	w.node.launch()
	w.node.died(c)
	found := w.look()
	if lack := c.found(found); lack != "" {
		w.Errorf("after a crash at %s: %s", c.point, lack)
	}
	w.goOn(found)
}

// look gathers what the crash left.
func (w *crashWorld) look() *wreck {
	<-time.After(20 * time.Millisecond) // what was written arrives, and an answer is read
	found := &wreck{crashWorld: w, asked: map[string]bool{}}
	posted, acked := w.ledger.copy()
	found.posted = posted
	for key := range posted {
		if _, ok := acked[key]; !ok {
			found.asked[key] = true
		}
	}
	found.hits = w.sink.arrived()
	for _, f := range w.rows(`SELECT e.user_id, w.id, d.number, d.state, d.attempts FROM delivery d JOIN event e ON e.number = d.event JOIN webhook w ON w.number = d.webhook
		WHERE d.state IN (2, 3) AND w.enabled AND NOT d.test`) {
		found.open = append(found.open, row{f[0], f[1], w.whole(f[2]), int(w.whole(f[3])), int(w.whole(f[4]))})
	}
	if halves := w.number(`SELECT count(*) FROM event e WHERE NOT test AND (SELECT count(*) FROM delivery d WHERE d.event = e.number) <
		(SELECT count(*) FROM webhook w WHERE w.project = e.project AND w.enabled)`); halves > 0 {
		w.Errorf("%d events lack deliveries", halves)
	}
	return found
}

// goOn starts the node again. What was under way has an interrupted attempt and, as
// what waited for its first, another within five seconds.
func (w *crashWorld) goOn(found *wreck) {
	began := time.Now()
	w.node.startSoon(readySoon)
	limit := 5 * time.Second
	late := func() (left []row) {
		arrived := map[string]int{}
		for _, h := range w.sink.arrived() {
			at := h.Key + " " + h.Hook
			arrived[at] = max(arrived[at], h.Attempt)
		}
		for _, o := range found.open {
			want := 0
			switch {
			case o.State == sending:
				want = o.Attempts + 2 // after the interrupted one
			case o.Attempts == 0:
				want = 1
			}
			if arrived[o.Key+" "+o.Hook] < want {
				left = append(left, o)
			}
		}
		return left
	}
	for left := late(); len(left) > 0; left = late() {
		if time.Since(began) > limit {
			o := left[0]
			w.Fatalf("%d deliveries had no attempt within %v of the restart, the first that of %s to %s, which was in state %d after %d attempts", len(left), limit, o.Key, o.Hook, o.State, o.Attempts)
		}
		w.Sleep(5 * time.Millisecond)
	}
	w.Worst("attempts again after", "s", time.Since(began).Seconds())
	for _, o := range found.open {
		if o.State != sending {
			continue
		}
		w.Add("interrupted", "", 1)
		if said := w.ask(fmt.Sprintf(`SELECT coalesce(error, ''), status FROM attempt WHERE delivery = %d AND attempt = %d`, o.Number, o.Attempts+1)); said != "interrupted|0" {
			w.Errorf("attempt %d of %s was under way at the crash, and the log says %q of it", o.Attempts+1, o.Key, said)
		}
	}
	w.Wait("what was asked to be acknowledged", func() bool {
		_, acked := w.ledger.copy()
		for key := range found.asked {
			if _, ok := acked[key]; !ok {
				return false
			}
		}
		return true
	})
}

func nothing(*wreck) string { return "" }

// noTrace is so if nothing is there of what was not acknowledged.
func noTrace(w *wreck) string {
	for key := range w.asked {
		if w.stored(key) > 0 {
			return key + " was not committed, and is there"
		}
	}
	return w.onlyAcknowledged()
}

// allThere is so if what was committed is there, though it was not acknowledged.
func allThere(w *wreck) string {
	for key := range w.asked {
		if w.stored(key) == 1 {
			return w.onlyAcknowledged()
		}
	}
	return "nothing is there that was not acknowledged"
}

// acknowledged is so if what is there was acknowledged.
func acknowledged(w *wreck) string {
	for key := range w.asked {
		if w.stored(key) > 0 {
			return key + " was answered, and its caller knows nothing of it"
		}
	}
	return w.onlyAcknowledged()
}

// onlyAcknowledged is so if all that was acknowledged is there.
func (w *wreck) onlyAcknowledged() string {
	there := map[string]bool{}
	for _, f := range w.rows(`SELECT user_id FROM event WHERE NOT test`) {
		there[f[0]] = true
	}
	for _, key := range slices.Sorted(maps.Keys(w.posted)) {
		if !w.asked[key] && !there[key] {
			return key + " was acknowledged, and is not there"
		}
	}
	return ""
}

func (w *wreck) stored(key string) int {
	return w.number(fmt.Sprintf(`SELECT count(*) FROM event WHERE user_id = '%s'`, key))
}

// claimed is so if something is claimed of which no request arrived.
func claimed(w *wreck) string {
	for _, o := range w.open {
		if o.State == sending && !w.has(o) {
			return ""
		}
	}
	return "nothing is claimed and not sent"
}

// underWay is so if something is claimed of which a request arrived.
func underWay(w *wreck) string {
	for _, o := range w.open {
		if o.State == sending && w.has(o) {
			return ""
		}
	}
	return "nothing was sent whose outcome is not recorded"
}

// has reports whether the attempt that was under way arrived.
func (w *wreck) has(o row) bool {
	return slices.ContainsFunc(w.hits, func(h hit) bool { return h.Key == o.Key && h.Hook == o.Hook && h.Attempt == o.Attempts+1 })
}

// takingOver crashes where an earlier crash is being mended.
func takingOver(w *crashWorld, c crash) {
	w.WaitFor(patience, "something to be under way", func() bool { return w.number(`SELECT count(*) FROM delivery WHERE state = 3`) > 0 })
	w.node.kill()
	found := w.look()
	if !slices.ContainsFunc(found.open, func(o row) bool { return o.State == sending }) {
		return // it ended a moment before
	}
	w.node.arm(c)
	w.node.launch()
	w.node.died(c)
	again := w.look()
	if len(again.open) < len(found.open) {
		w.Errorf("%d deliveries were open, and %d are after a crash that was to change nothing", len(found.open), len(again.open))
	}
	w.goOn(found)
	w.thirdRun(`SELECT count(*) FROM attempt WHERE error = 'interrupted'`)
}

// thirdRun starts the node once more, in peace, and sees that this changes nothing.
func (w *crashWorld) thirdRun(sql string) {
	w.load.end()
	w.drained()
	w.node.stop()
	before := w.ask(sql)
	w.node.start()
	w.Sleep(200 * time.Millisecond) // what is done at a start is done
	if after := w.ask(sql); after != before {
		w.Errorf("a third run changed %q to %q", before, after)
	}
	w.load = w.world.load()
}

// disabling crashes while a webhook of its own is disabled.
func disabling(w *crashWorld, c crash) {
	h := w.newHook(fmt.Sprintf("own-%d", len(w.hooks)), &hook{}, quick)
	w.forget(h) // what was accepted before is not owed to it
	w.load.end()
	w.drained()
	w.node.kill()
	w.node.arm(c)
	w.node.start()
	disable := w.node.api + "/v1/webhooks/" + h.ID + "/disable"
	if status, text, err := w.try(http.MethodPost, disable, map[string]any{}); err == nil {
		w.Fatalf("a node that was to die answered %d %s", status, text)
	}
	w.node.died(c)
	enabled := fmt.Sprintf(`SELECT enabled, version FROM webhook WHERE id = '%s'`, h.ID)
	want := map[string]string{"disable-uncommitted": "1", "disable-committed": "0"}[c.point]
	if is, _, _ := strings.Cut(w.ask(enabled), "|"); is != want {
		w.Errorf("after a crash at %s, that it is enabled is %s", c.point, is)
	}
	w.node.start()
	for range 2 { // the second run, and the third
		before := w.ask(enabled)
		if status, text := w.call(http.MethodPost, disable, map[string]any{}); status/100 != 2 {
			w.Errorf("disabling it again: %d %s", status, text)
		}
		is := w.ask(enabled)
		if on, _, _ := strings.Cut(is, "|"); on != "0" || strings.HasPrefix(before, "0") && is != before {
			w.Errorf("disabling it again made %s of %s", is, before)
		}
	}
	at := w.sink.count()
	w.load = w.world.load()
	w.Wait("others to be sent to", func() bool { return w.sink.count() > at+30 })
	for _, hit := range w.sink.arrived()[at:] {
		if hit.Hook == h.ID {
			w.Errorf("%s was sent to a disabled webhook", hit.Key)
		}
	}
	w.call(http.MethodDelete, w.node.api+"/v1/webhooks/"+h.ID, nil)
}

// forget has the checker expect nothing to arrive at the webhook.
func (w *world) forget(h *hook) {
	w.hooks = slices.DeleteFunc(w.hooks, func(other *hook) bool { return other == h })
}

// purging crashes while old events are removed, by a program for which a day is a
// second.
func purging(outer *crashWorld, c crash) {
	w := outer.newCrashWorld(hastyFailPoints, "--retention-days", "36000")
	w.load.end()
	w.end()
	w.node.args = []string{"--retention-days", "1"}
	<-time.After(1100 * time.Millisecond)
	w.node.arm(c)
	w.node.launch()
	w.node.died(c)
	if faults := w.unsound(); len(faults) > 0 {
		w.Errorf("after a crash at %s: %v", c.point, faults)
	}
	w.node.start()
	w.Wait("old events to be removed", func() bool { return w.number(`SELECT count(*) FROM event`) == 0 })
	w.thirdRunOf([]string{"event", "delivery", "attempt", "webhook", "project", "caller", "profile"})
	w.node.kill()
}

// thirdRunOf is thirdRun with the rows of tables.
func (w *crashWorld) thirdRunOf(tables []string) {
	counts := make([]string, len(tables))
	for i, table := range tables {
		counts[i] = `(SELECT count(*) FROM ` + table + `)`
	}
	w.load.end()
	w.drained()
	w.node.stop()
	before := w.ask(`SELECT ` + strings.Join(counts, ", "))
	w.node.start()
	w.Sleep(300 * time.Millisecond)
	if after := w.ask(`SELECT ` + strings.Join(counts, ", ")); after != before {
		w.Errorf("a third run made %s of %s rows of %v", after, before, tables)
	}
	if faults := w.unsound(); len(faults) > 0 {
		w.Errorf("after a third run: %v", faults)
	}
}

const schemaOf = `SELECT (SELECT group_concat(name || sql, ' ') FROM (SELECT name, sql FROM sqlite_schema ORDER BY name)), (SELECT max(version_id) || ' ' || count(*) FROM goose_db_version)`

// migrating crashes while the schema of a new database is made.
func migrating(outer *crashWorld, c crash) {
	w := outer.newWorld(nil)
	n := w.add(failPoints, "all")
	n.arm(c)
	n.launch()
	n.died(c)
	n.start()
	made, want := w.ask(schemaOf), outer.ask(schemaOf)
	if made != want {
		w.Errorf("the schema after a crash at %s is another one than without", c.point)
	}
	n.stop()
	n.start()
	if again := w.ask(schemaOf); again != made {
		w.Errorf("a third run changed the schema")
	}
	n.kill()
}

// copying crashes while the write-ahead log is copied, which takes large events.
func copying(outer *crashWorld, c crash) {
	w := outer.newCrashWorld(failPoints)
	w.load.end()
	w.padding, w.callers = 150_000, 4
	w.node.kill()
	w.node.arm(c)
	w.load = w.world.load()
	w.node.launch()
	w.node.died(c)
	w.load.stop() // what is promised is of what waits; how much more large events a machine takes beside it is another matter
	found := w.look()
	if faults := w.unsound(); slices.ContainsFunc(faults, func(f string) bool { return !strings.Contains(f, "claims") }) {
		w.Errorf("after a crash at %s: %v", c.point, faults)
	}
	w.goOn(found)
	w.thirdRunOf([]string{"event", "delivery"})
	w.end()
}
