package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"
)

// Trial is one test of the table.
type Trial struct {
	ID     string // "T1"
	Name   string // what is done, in a few words
	Proves string // the promises it is about: "P1, P5"
	Goal   string // what has to come of it, as it stands in the table

	// Rounds of the whole test, and of the short one that every change passes;
	// a short one of none is left out there.
	Rounds, Short int

	// Root tells that it mounts file systems, which root alone may.
	Root bool

	// Run does the rounds, and reports faults and figures. Without a fault the
	// goal is reached: a goal in figures is checked with [Run.Errorf].
	Run func(*Run)

	// Control does the same, of one round, with something wrong, and must come to a
	// fault. Trials that hold the control within themselves name it here too.
	Control func(*Run)
}

// Run is one run of a trial or of its control. Its methods are those of a test of
// Go, whose names they have. All may be called by several goroutines but for
// Fatalf, which ends the trial's own.
type Run struct {
	lab     *lab
	trial   *Trial
	ctx     context.Context
	Rounds  int
	Seed    uint64
	control bool
	folder  string

	above *Run   // that this one is a part of, or nil
	name  string // of this part

	mu       sync.Mutex
	rand     *rand.Rand
	faults   []string
	notes    []string
	figures  []figure
	cleanups []func()
	folders  int
}

// figure is one measured value: a sum over the rounds, or the worst of them.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
}

// stopped ends a run that has come to its end early.
type stopped struct{}

// do runs the trial, or its control, and cleans up after it.
func (r *Run) do(run func(*Run)) {
	defer r.cleanup()
	defer func() {
		switch cause := recover().(type) {
		case nil, stopped:
		default:
			r.Errorf("the trial itself broke: %v\n%s", cause, debug.Stack())
		}
	}()
	run(r)
}

func (r *Run) cleanup() {
	for len(r.cleanups) > 0 {
		last := r.cleanups[len(r.cleanups)-1]
		r.cleanups = r.cleanups[:len(r.cleanups)-1]
		last()
	}
}

// Context ends when the lab is told to.
func (r *Run) Context() context.Context { return r.ctx }

// Errorf reports a fault: something that was promised did not hold.
func (r *Run) Errorf(format string, args ...any) {
	fault := fmt.Sprintf(format, args...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, fault)
	if r.above != nil {
		r.above.Errorf("%s: %s", r.name, fault)
	} else if !r.control {
		r.lab.say("%s FAULT %s", r.trial.ID, fault)
	}
}

// Fatalf reports a fault, and ends the run.
func (r *Run) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(stopped{})
}

// Must ends the run if there is an error.
func (r *Run) Must(err error) {
	if err != nil {
		r.Fatalf("%v", err)
	}
}

// Failed reports whether there was a fault.
func (r *Run) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.faults) > 0
}

// Logf notes something that readers of the report may want to know.
func (r *Run) Logf(format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	if r.above != nil {
		r.above.Logf("%s: %s", r.name, note)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, note)
	r.lab.chat("%s %s", r.trial.ID, note)
}

// Add adds to a figure.
func (r *Run) Add(name, unit string, value float64) {
	r.measure(name, unit, value, func(a, b float64) float64 { return a + b })
}

// Worst keeps the highest of a figure.
func (r *Run) Worst(name, unit string, value float64) {
	r.measure(name, unit, value, func(a, b float64) float64 { return max(a, b) })
}

func (r *Run) measure(name, unit string, value float64, with func(a, b float64) float64) {
	if r.above != nil {
		r.above.measure(name, unit, value, with)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	at := slices.IndexFunc(r.figures, func(f figure) bool { return f.Name == name })
	if at < 0 {
		r.figures = append(r.figures, figure{name, value, unit})
		return
	}
	r.figures[at].Value = with(r.figures[at].Value, value)
}

// Cleanup has something done when the run has ended, the last first.
func (r *Run) Cleanup(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, do)
}

// TempDir makes a folder that is removed with the run, unless it failed and the lab
// is to keep what did.
func (r *Run) TempDir() string {
	r.mu.Lock()
	r.folders++
	n := r.folders
	r.mu.Unlock()
	folder := fmt.Sprintf("%s/%d", r.folder, n)
	r.Must(os.MkdirAll(folder, 0o700))
	return folder
}

// Int64N gives a random number below n, the same for the same seed if one
// goroutine asks.
func (r *Run) Int64N(n int64) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rand.Int64N(n)
}

// Between gives a random time.
func (r *Run) Between(least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)))
}

// EachRound does the rounds, one after another, until one comes to a fault.
func (r *Run) EachRound(round func(n int)) {
	for n := range r.Rounds {
		if r.ctx.Err() != nil {
			r.Fatalf("interrupted in round %d", n+1)
		}
		began := time.Now()
		round(n)
		r.lab.chat("%s round %d of %d took %v", r.trial.ID, n+1, r.Rounds, time.Since(began).Round(time.Millisecond))
		if r.Failed() {
			r.Fatalf("that was in round %d of seed %d", n+1, r.Seed)
		}
	}
}

// Parallel does parts of a trial side by side, each as a run of its own, and waits
// for all: it is for parts that wait more than they work. A part that ends by a fault
// ends alone. What they measure and fault is the trial's.
func (r *Run) Parallel(parts map[string]func(*Run)) {
	var all sync.WaitGroup
	for i, name := range slices.Sorted(maps.Keys(parts)) {
		part := &Run{
			lab: r.lab, trial: r.trial, ctx: r.ctx, Rounds: r.Rounds, Seed: r.Seed, control: r.control,
			folder: fmt.Sprintf("%s/part%d", r.TempDir(), i), above: r, name: name,
			rand: rand.New(rand.NewPCG(r.Seed, uint64(i)+2)),
		}
		all.Go(func() { part.do(parts[name]) })
	}
	all.Wait()
}

// Sleep waits, unless the lab is told to end.
func (r *Run) Sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.ctx.Done():
		r.Fatalf("interrupted")
	}
}

// patience is how long a trial waits for what has to happen soon, on a machine that
// does much else.
const patience = 60 * time.Second

// Wait waits until something is so.
func (r *Run) Wait(what string, is func() bool) { r.WaitFor(patience, what, is) }

// WaitFor waits so long until something is so.
func (r *Run) WaitFor(limit time.Duration, what string, is func() bool) {
	for deadline := time.Now().Add(limit); !is(); r.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.Fatalf("waited %v for %s in vain", limit, what)
		}
	}
}

// run does a trial and its control, and says what came of them.
func (l *lab) run(ctx context.Context, t *Trial, rounds int) result {
	began := time.Now()
	out := result{ID: t.ID, Name: t.Name, Proves: t.Proves, Goal: t.Goal, At: began.UTC().Truncate(time.Second), Rounds: rounds, Whole: t.Rounds, Seed: l.seed}
	r := l.newRun(ctx, t, rounds, false)
	r.do(t.Run)
	out.Faults, out.Figures, out.Notes = r.faults, r.figures, r.notes
	if t.Control != nil && ctx.Err() == nil {
		c := l.newRun(ctx, t, 1, true)
		c.do(t.Control)
		out.Control = strings.Join(c.faults[:min(len(c.faults), 3)], "; ")
		if len(c.faults) == 0 {
			out.Faults = append(out.Faults, "the control came to no fault: this trial would notice nothing")
		}
	}
	if err := l.unbuilt(); err != nil {
		out.Faults = append(out.Faults, err.Error())
	}
	out.Took = time.Since(began)
	out.Holds = len(out.Faults) == 0
	return out
}

func (l *lab) newRun(ctx context.Context, t *Trial, rounds int, control bool) *Run {
	name := strings.ToLower(t.ID)
	if control {
		name += "-control"
	}
	return &Run{lab: l, trial: t, ctx: ctx, Rounds: rounds, Seed: l.seed, control: control, folder: l.folder + "/" + name, rand: rand.New(rand.NewPCG(l.seed, 1))}
}
