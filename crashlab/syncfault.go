package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// syncTrial has one sync or write of the disk fail, after which what was to be
// written is on no disk, although the kernel still shows it to whoever reads.
var syncTrial = &Trial{
	ID: "T3", Name: "a sync or write fails, and what it was to write is gone", Proves: "P1, P5",
	Goal: "ends within 1 s, lost 0", Rounds: 200, Short: 5, Root: true,
	Run: func(r *Run) {
		d := r.newDisk()
		w := r.newWorld(nil)
		n := w.addOn(d, release)
		n.start()
		w.newHook("slow", slow(), quick)
		l := w.load()
		r.EachRound(func(int) {
			fault := failing{in: 1 + int(r.Int64N(60))}
			switch r.Int64N(3) {
			case 0: // any write, the file system's own too
				fault = failing{in: 1 + int(r.Int64N(120)), write: true}
			case 1:
				fault = failing{in: 1 + int(r.Int64N(40)), write: true, of: w.ours}
			}
			d.fail(fault)
			r.Wait("the fault", func() bool { return !d.struck().IsZero() })
			err := n.exit(patience)
			took := time.Since(d.struck())
			if bad := (*exec.ExitError)(nil); !errors.As(err, &bad) || !bad.Exited() {
				r.Errorf("the process ended with %v after the disk failed:\n%s", err, n.complaints())
			}
			r.Worst("ended after", "s", took.Seconds())
			if took > time.Second {
				r.Errorf("the process ended %v after the disk failed", took)
			}
			// Whoever starts it again may do so without a reboot: then it reads what
			// only memory has, and must not build on it.
			if d.writable() {
				r.Add("restarts over what only memory has", "", 1)
				n.start()
				r.Sleep(r.Between(50*time.Millisecond, 500*time.Millisecond))
				w.sound()
			}
			n.powerCut(d)
			n.start()
			w.sound()
		})
		r.Wait("a load worth the name", func() bool { return w.ledger.count() > 100 })
		l.end()
		w.drained()
		e := w.verify()
		r.Add("acknowledged", "", float64(len(e.Acked)))
		r.Add("came twice", "", float64(e.duplicates()))
	},
	Control: func(r *Run) {
		d := r.newDisk()
		w := r.newWorld(nil)
		n := w.addOn(d, ignorant)
		n.start()
		w.newHook("slow", slow(), quick)
		l := w.begin()
		d.fail(failing{in: 1, write: true, of: w.ours})
		r.Wait("the fault", func() bool { return !d.struck().IsZero() })
		r.Sleep(time.Second)
		n.powerCut(d)
		n.start()
		w.sound()
		l.end()
	},
}

// ignorant is the release, but that it syncs commits itself, hears that a sync
// failed, and goes on, as many databases did until 2018.
const ignorant = "telltale-ignorant"

func init() {
	spoiled[ignorant] = []change{
		{"internal/sqlite/store.go", `err = settings(c, "synchronous=FULL", "wal_autocheckpoint=0", "mmap_size=0"`, `err = settings(c, "synchronous=OFF", "wal_autocheckpoint=0", "mmap_size=0"`},
		{"internal/sqlite/store.go", `const full = "2"`, `const full = "0"`},
		{"internal/sqlite/writer.go", `err = w.conn.query("COMMIT").run()`, `err = w.conn.query("COMMIT").run()
		if log, failed := os.OpenFile(w.store.path+"-wal", os.O_RDWR, 0); failed == nil {
			_ = log.Sync()
			_ = log.Close()
		}`},
		{"internal/sqlite/writer.go", `	"hash/maphash"`, "\t\"hash/maphash\"\n\t\"os\""},
	}
}

// ours tells writes of the database's rows from the file system's own: after an
// error of these, ext4 lets nobody write any more.
func (w *world) ours(data []byte) bool { return bytes.Contains(data, []byte(w.name)) }

// writable tells whether the file system still takes writes: after some errors it
// does not.
func (d *disk) writable() bool {
	probe := filepath.Join(d.folder, "probe")
	return os.WriteFile(probe, []byte("probe"), 0o600) == nil && os.Remove(probe) == nil
}
