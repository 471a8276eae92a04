package main

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
)

// soakTrial lets a node do for two hours what it is to do for years. A round is a
// minute of it.
var soakTrial = &Trial{
	ID: "T19", Name: "soak: 200 events/s, four projects with 20 webhooks, SQLite", Proves: "P1, P2",
	Goal: "2 h; memory grows by less than 1 MiB/h; lost 0", Rounds: 120,
	Run: func(r *Run) { soak(r, release, r.Rounds) },
	// It keeps the body of every event, and is found out soon.
	Control: func(r *Run) { soak(r, "telltale-leaking", 2*warmUp) },
}

func init() {
	spoiled["telltale-leaking"] = []change{{
		"internal/api/event.go", "\tnamed, err := eventsNamed(r, who, body)\n", "\tleaked.Store(&body, body)\n\tnamed, err := eventsNamed(r, who, body)\n",
	}, {
		"internal/api/event.go", "func (a *api) postEvents(", "var leaked sync.Map\n\nfunc (a *api) postEvents(",
	}, {
		"internal/api/event.go", "import (\n", "import (\n\t\"sync\"\n",
	}}
}

// warmUp is for how many minutes caches fill: what is not warm grows in any case.
const warmUp = 15

// mostGrowth is how much more memory a node may take after an hour, in MiB.
const mostGrowth = 1

func soak(r *Run, program string, minutes int) {
	if minutes < 2*warmUp {
		r.Fatalf("a round is a minute: fewer than %d say nothing", 2*warmUp)
	}
	w := r.newWorld(nil)
	n := w.add(program, "all")
	n.start()
	for _, project := range []string{"north", "east", "south"} {
		w.newProject(project)
	}
	for i := range 20 {
		w.newHook(fmt.Sprint("hook-", i), &hook{project: w.projects[i%len(w.projects)]}, nil)
	}
	w.callers = 20 // ten events a second each
	l := w.load()
	var least []float64 // memory in each minute, in MiB
	for minute := range minutes {
		low := math.Inf(1)
		for until := time.Now().Add(time.Minute); time.Now().Before(until); r.Sleep(time.Second) {
			low = min(low, n.memory())
		}
		least = append(least, low)
		r.lab.chat("%s minute %d: %.1f MiB", r.trial.ID, minute+1, low)
	}
	l.end()
	w.drained()
	e := w.gather()
	for _, v := range check(e) {
		r.Errorf("%s", v)
	}
	settled := least[warmUp:]
	growth := slope(settled) * 60
	r.Add("events", "", float64(len(e.Acked)))
	r.Worst("memory at the end", "MiB", least[len(least)-1])
	r.Worst("growth", "MiB/h", growth)
	if growth >= mostGrowth {
		r.Errorf("memory grows by %.2f MiB an hour: %.1f", growth, settled)
	}
}

// slope is by how much a value grows from one to the next, by least squares.
func slope(values []float64) float64 {
	n := float64(len(values))
	if n < 2 {
		return 0
	}
	var sx, sy, sxx, sxy float64
	for i, y := range values {
		x := float64(i)
		sx, sy, sxx, sxy = sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}

// memory is what the node has that no file stands behind, in MiB.
func (n *node) memory() float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.process.Pid))
	n.Must(err)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
			n.Must(err)
			return kib / 1024
		}
	}
	n.Fatalf("node %s has no memory", n.name)
	return 0
}
