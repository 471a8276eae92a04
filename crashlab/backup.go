package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// backupTrial backs up the database of a node under load, loses the node with its
// disk, and goes on with what was restored. What was acknowledged before the backup
// began is in it; while the restored node is paused it accepts and sends nothing;
// after that everything arrives that is owed, under the ids that it had. A backup
// that is killed leaves no file under its name, and nobody notices.
var backupTrial = &Trial{
	ID: "T14", Name: "hot backup under load, the machine lost, restored, started paused", Proves: "P1, P2, P8",
	Goal:   "acknowledged before the backup and not in it 0, sent while paused 0, other webhook-ids 0, half files 0",
	Rounds: 50, Short: 3,
	Run: func(r *Run) {
		b := r.newBackingUp()
		r.EachRound(func(round int) {
			if round%2 == 0 {
				b.killed()
			}
			b.round()
		})
		b.load.end()
		b.drained()
		e := b.verify()
		b.sameIDs()
		r.Add("acknowledged", "", float64(len(e.Acked)))
	},
	// A copy of the file alone, as cp makes it, has not what is in the write-ahead
	// log, and is torn if a checkpoint ran meanwhile.
	Control: func(r *Run) {
		b := r.newBackingUp()
		b.Sleep(500 * time.Millisecond)
		_, before := b.ledger.copy()
		file := filepath.Join(b.TempDir(), "copy.db")
		b.Must(copyFile(b.database, file))
		b.load.end() // callers have nowhere to go from now on
		b.nodes[0].kill()
		n, out, err := b.restore(file)
		if err != nil {
			r.Errorf("what cp made cannot be restored: %s", out)
			return
		}
		b.database = filepath.Join(n.data, "telltale.db")
		b.hasAll(before)
	},
}

// backingUp is a world whose node is backed up.
type backingUp struct {
	*world
	load  *load
	ids   map[string]string // webhook-ids by event and webhook
	again int               // deliveries that arrived after a backup that has them as owed
}

// Of the filler, so that a copy takes its time.
const (
	fillers     = 20
	fillerBatch = 500
	fillerBytes = 3000
)

func (r *Run) newBackingUp() *backingUp {
	b := &backingUp{world: r.newWorld(nil), ids: map[string]string{}}
	b.callers, b.callPause = 4, 20*time.Millisecond
	b.starts(1)
	b.newProject("filler")
	b.projects = b.projects[:1] // callers leave it alone
	b.fill("filler")
	b.newHook("quick", &hook{}, quick)
	b.newHook("slow", &hook{pause: 60 * time.Millisecond}, quick)
	b.newHook("flapping", flapping(), quick)
	b.load = b.begin()
	return b
}

// fill stores events of which nobody wants any.
func (w *world) fill(project string) {
	padding := strings.Repeat("x", fillerBytes)
	for range fillers {
		events := make([]map[string]any, fillerBatch)
		for i := range events {
			events[i] = map[string]any{"type": "sent", "user": map[string]any{"email": fmt.Sprintf("%d@example.com", i), "note": padding}}
		}
		if status, text := w.call(http.MethodPost, w.nodes[0].api+"/v1/events?project="+project, events); status != http.StatusAccepted {
			w.Fatalf("filling: %d %s", status, text)
		}
	}
}

// command is one of the program's, beside the nodes.
func (w *world) command(program string, args ...string) *exec.Cmd {
	path, err := w.lab.build(w.ctx, program)
	w.Must(err)
	cmd := exec.CommandContext(w.ctx, path, args...) //nolint:gosec // the program under test
	cmd.Env = []string{secretKey, "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// killed kills a backup in its midst. Under its name is nothing, or all of it.
func (b *backingUp) killed() {
	folder := b.TempDir()
	file := filepath.Join(folder, "killed.db")
	cmd := b.command(release, "backup", file, "--data", b.nodes[0].data)
	b.Must(cmd.Start())
	b.Sleep(b.Between(5*time.Millisecond, 400*time.Millisecond))
	_ = cmd.Process.Kill() // it may have ended
	err := cmd.Wait()
	if _, statErr := os.Stat(file); statErr == nil {
		b.Add("were complete when they were killed", "backups", 1)
		if found, queryErr := (&world{Run: b.Run, database: file}).query(`PRAGMA integrity_check`); queryErr != nil || found[0][0] != "ok" {
			b.Errorf("a backup that was killed (%v) left half a file under its name: %v %v", err, found, queryErr)
		}
	} else {
		b.Add("killed in their midst", "backups", 1)
	}
	if !b.nodes[0].ready() {
		b.Errorf("the node is not ready after a backup beside it was killed")
	}
	b.Must(os.RemoveAll(folder))
}

// round backs up, loses the node, restores and goes on.
func (b *backingUp) round() {
	b.Sleep(b.Between(300*time.Millisecond, 1200*time.Millisecond))
	old := b.nodes[0]
	plain := b.slowest(nil)
	_, before := b.ledger.copy()
	began := time.Now()
	file := filepath.Join(b.TempDir(), "copy.db")
	done := make(chan struct{})
	var out []byte
	var err error
	go func() {
		defer close(done)
		out, err = b.command(release, "backup", file, "--data", old.data).CombinedOutput()
	}()
	beside := b.slowest(done)
	<-done
	if err != nil {
		b.Fatalf("backup: %v\n%s", err, out)
	}
	b.Worst("a backup took", "s", time.Since(began).Seconds())
	b.Worst("slowest accept beside a backup", "ms", float64(beside.Microseconds())/1000)
	b.Worst("slowest accept without", "ms", float64(plain.Microseconds())/1000)
	b.Sleep(b.Between(0, 500*time.Millisecond)) // what is lost with the machine
	old.kill()

	n, out, err := b.restore(file)
	if err != nil {
		b.Fatalf("restore: %v\n%s", err, out)
	}
	b.Add("restored", "backups", 1)
	b.database = filepath.Join(n.data, "telltale.db")
	b.hasAll(before)
	if found := b.ask(`PRAGMA integrity_check`); found != "ok" {
		b.Fatalf("the restored database is not sound: %s", found)
	}
	b.noteIDs()
	b.forget(began)
	b.Must(errors.Join(os.RemoveAll(old.data), os.Remove(file)))

	n.address, n.args = old.address, []string{"--paused"}
	b.nodes[0] = n
	b.Sleep(200 * time.Millisecond) // requests of the old node that are in the sink's sockets still
	n.start()
	at, accepted := b.sink.count(), b.ledger.count()
	owed := b.number(`SELECT count(*) FROM delivery WHERE state < 4`)
	b.Add("owed by backups", "deliveries", float64(owed))
	b.Sleep(time.Second)
	b.Wait("a paused node to accept", func() bool { return b.ledger.count() > accepted+20 })
	if sent := b.sink.count() - at; sent > 0 {
		b.Errorf("%d requests were sent while the node was paused", sent)
	}
	if _, text := b.call(http.MethodGet, n.ops+"/readyz", nil); !bytes.Contains(text, []byte(`"paused":true`)) {
		b.Errorf("a paused node says of itself: %s", text)
	}
	last := b.number(`SELECT max(number) FROM delivery`)
	if status, text := b.call(http.MethodPost, n.api+"/v1/resume", nil); status != http.StatusOK || !bytes.Contains(text, []byte("true")) {
		b.Fatalf("resuming: %d %s", status, text)
	}
	b.Wait("what was owed to arrive", func() bool {
		return b.number(`SELECT count(*) FROM delivery WHERE state < 4 AND number <= `+strconv.Itoa(last)) == 0
	})
}

// slowest posts a few events, or until done, and gives the longest time that one of
// them took.
func (b *backingUp) slowest(done chan struct{}) (most time.Duration) {
	run := b.loads.Add(1)
	for i := 0; ; i++ {
		began := time.Now()
		b.load.post(fmt.Sprintf("%s-%d-%d-%d", b.name, run, 0, i), i)
		most = max(most, time.Since(began))
		if done == nil && i == 50 {
			return most
		}
		select {
		case <-done:
			return most
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// restore makes a node of a backup.
func (w *world) restore(file string) (n *node, out []byte, err error) {
	n = &node{world: w, name: "restored", data: w.TempDir(), logs: w.TempDir(), program: w.nodes[0].program, role: "all"}
	w.Cleanup(n.kill)
	out, err = w.command(n.program, "restore", file, "--data", n.data).CombinedOutput()
	return n, out, err
}

// hasAll checks that what was acknowledged is in the database, and owed to each
// webhook or delivered to it.
func (w *world) hasAll(acked map[string]time.Time) {
	found := map[string]int{}
	for _, f := range w.rows(`SELECT e.user_id, count(*) FROM delivery d JOIN event e ON e.number = d.event WHERE NOT d.test GROUP BY e.number`) {
		n, err := strconv.Atoi(f[1])
		w.Must(err)
		found[f[0]] += n
	}
	missing := 0
	for key := range acked {
		if found[key] != len(w.hooks) {
			missing++
		}
	}
	if missing > 0 {
		w.Errorf("of %d events that were acknowledged, %d are not there with all their deliveries", len(acked), missing)
	}
}

// noteIDs remembers under which ids deliveries arrived.
func (b *backingUp) noteIDs() {
	for _, h := range b.sink.arrived() {
		switch known := b.ids[h.Key+" "+h.Hook]; known {
		case "":
			b.ids[h.Key+" "+h.Hook] = h.ID
		case h.ID:
		default:
			b.Errorf("%s arrived under two ids: %s and %s", h.Key, known, h.ID)
		}
	}
}

// sameIDs sees whether anything arrived under another id than before, and that
// something arrived again at all.
func (b *backingUp) sameIDs() {
	b.noteIDs()
	for key, id := range b.ids {
		if id == "" {
			b.Errorf("%s arrived without an id", key)
		}
	}
	if b.again == 0 {
		b.Errorf("nothing was sent again: that ids stay was not seen")
	}
}

// forget takes out of the ledgers what was lost with the machine: events that are not
// in the backup, and attempts that were made after it. What a backup has as under way
// is an attempt that it will know as interrupted.
func (b *backingUp) forget(began time.Time) {
	type delivery struct{ state, attempts int }
	rows := map[string]delivery{}
	there := map[string]bool{}
	for _, f := range b.rows(`SELECT e.user_id, w.id, d.state, d.attempts FROM delivery d JOIN event e ON e.number = d.event JOIN webhook w ON w.number = d.webhook WHERE NOT d.test`) {
		state, err := strconv.Atoi(f[2])
		b.Must(err)
		attempts, err := strconv.Atoi(f[3])
		b.Must(err)
		rows[f[0]+" "+f[1]], there[f[0]] = delivery{state, attempts}, true
	}
	b.ledger.mu.Lock()
	known := len(b.ledger.acked)
	maps.DeleteFunc(b.ledger.acked, func(key string, at time.Time) bool { return !there[key] && at.After(began) })
	b.Add("lost with the machine", "events", float64(known-len(b.ledger.acked)))
	b.ledger.mu.Unlock()
	b.sink.mu.Lock()
	defer b.sink.mu.Unlock()
	var kept []hit
	before := b.again
	for _, h := range b.sink.hits {
		d, ok := rows[h.Key+" "+h.Hook]
		if d.state == sending {
			d.attempts++
		}
		if ok && h.Attempt <= d.attempts {
			kept = append(kept, h)
			continue
		}
		if ok {
			b.again++
		}
	}
	b.Add("delivered after a backup, and so again", "deliveries", float64(b.again-before))
	b.sink.hits = kept
}

// copyFile copies as cp does.
func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
