package main

import (
	"path/filepath"
	"time"
)

// powerTrial cuts the power below the real program: its database is on a disk that
// forgets what was not synced.
var powerTrial = &Trial{
	ID: "T2b", Name: "power cut below the program: a disk that loses or tears what was not synced", Proves: "P1, P5",
	Goal: "lost 0, corrupt 0", Rounds: 200, Short: 5, Root: true,
	Run: func(r *Run) {
		d := r.newDisk()
		w := r.newWorld(nil)
		n := w.addOn(d, release)
		n.start()
		w.newHook("slow", slow(), quick)
		w.newHook("flapping", flapping(), quick)
		l := w.load()
		r.EachRound(func(int) {
			r.Sleep(r.Between(50*time.Millisecond, 1500*time.Millisecond))
			n.powerCut(d)
			began := time.Now()
			n.start()
			r.Worst("ready again after", "s", time.Since(began).Seconds())
			w.sound()
		})
		r.Wait("a load worth the name", func() bool { return w.ledger.count() > 100 })
		l.end()
		w.drained()
		e := w.verify()
		r.Add("acknowledged", "", float64(len(e.Acked)))
		r.Add("came twice", "", float64(e.duplicates()))
		r.Add("syncs", "", float64(d.syncs))
		r.Add("sectors lost", "", float64(d.lost))
	},
	Control: func(r *Run) {
		d := r.newDisk()
		w := r.newWorld(nil)
		n := w.addOn(d, unsynced)
		n.start()
		w.newHook("slow", slow(), quick)
		l := w.begin()
		n.powerCut(d)
		n.start()
		w.sound()
		l.end()
	},
}

// unsynced is the release, but that a commit is not synced: what SQLite calls
// NORMAL.
const unsynced = "telltale-unsynced"

func init() {
	spoiled[unsynced] = []change{
		{"internal/sqlite/store.go", `err = settings(c, "synchronous=FULL", "wal_autocheckpoint=0", "mmap_size=0"`, `err = settings(c, "synchronous=NORMAL", "wal_autocheckpoint=0", "mmap_size=0"`},
		{"internal/sqlite/store.go", `const full = "2"`, `const full = "1"`},
	}
}

// addOn adds a node whose data are on the disk.
func (w *world) addOn(d *disk, program string, args ...string) *node {
	n := w.add(program, "all", args...)
	n.data = filepath.Join(d.folder, "data")
	w.database = filepath.Join(n.data, "telltale.db")
	return n
}

// powerCut cuts the power of a node's machine, and has the machine come up again.
func (n *node) powerCut(d *disk) {
	d.cut()
	n.kill()
	d.reboot()
}

// sound reports what was acknowledged and is not there, and what is there and
// damaged.
func (w *world) sound() {
	if found := w.ask(`PRAGMA integrity_check`); found != "ok" {
		w.Errorf("the database is corrupt: %s", found)
	}
	_, acked := w.ledger.copy()
	for _, row := range w.rows(`SELECT DISTINCT user_id FROM event`) {
		delete(acked, row[0])
	}
	lost := 0
	for key := range acked {
		if lost++; lost <= 3 {
			w.Errorf("%s was acknowledged, and is lost", key)
		}
	}
	if lost > 3 {
		w.Errorf("%d more were acknowledged, and are lost", lost-3)
	}
}
