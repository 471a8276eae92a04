package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// goTest is tests among the product's own, which a trial runs.
type goTest struct {
	Packages []string      // "./internal/dispatch"
	Tests    string        // a regular expression of their names
	Build    []string      // flags of go test: "-race"
	Flags    []string      // flags of the tests: "-seeds=100"
	Env      []string      // beside the lab's own
	Limit    time.Duration // for all of it; 0 stands for ten minutes
	Spoilt   *spoilt       // something that is wrong in the sources
}

// spoilt is a rule that is broken in the product's sources: one text stands there
// instead of another. The sources themselves stay as they are.
type spoilt struct {
	What, File string
	From, To   string
}

// tested is what came of tests.
type tested struct {
	Passed   int
	Failures []string // the tests that failed, each with the end of what it wrote
	Figures  []figure // that they wrote: "figure attempts: 17"
}

// goTest runs the tests. It ends the run if they could not be run, or if there were
// none: who runs nothing finds nothing. That is no fault of a control, which would
// have come to its fault without having tried.
func (r *Run) goTest(t goTest) tested {
	args := append([]string{"test", "-json", "-count=1", "-run", t.Tests}, t.Build...)
	if t.Limit == 0 {
		t.Limit = 10 * time.Minute
	}
	args = append(args, "-timeout", t.Limit.String())
	if t.Spoilt != nil {
		args = append(args, "-overlay", r.overlay(t.Spoilt))
	}
	args = append(append(args, t.Packages...), t.Flags...)
	cmd := exec.CommandContext(r.ctx, "go", args...) //nolint:gosec // arguments of our own
	cmd.Dir = r.lab.source
	cmd.Env = append(os.Environ(), t.Env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // go test ends the tests too
	cmd.WaitDelay = 10 * time.Second
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		r.cannot("go %s: %v", strings.Join(args, " "), err)
	}
	done, broken := readTests(out.Bytes())
	switch {
	case broken != "":
		r.cannot("the tests could not be built: %s%s", broken, complaints.String())
	case err != nil && len(done.Failures) == 0:
		r.cannot("go %s: %v\n%s%s", strings.Join(args, " "), err, tail(out.String()), tail(complaints.String()))
	case done.Passed == 0 && len(done.Failures) == 0:
		r.cannot("there is no test %s in %v", t.Tests, t.Packages)
	}
	return done
}

// passes runs the tests, all of which have to pass, and counts them.
func (r *Run) passes(t goTest) tested {
	done := r.goTest(t)
	for _, failure := range done.Failures {
		r.Errorf("%s", failure)
	}
	for _, f := range done.Figures {
		r.Add(f.Name, f.Unit, f.Value)
	}
	return done
}

// notices breaks one rule after another, and comes to the fault that a control has
// to come to if the tests noticed every one. What they did not notice is said, and
// the control has found nothing.
func (r *Run) notices(t goTest, rules ...spoilt) {
	var unnoticed []string
	for _, rule := range rules {
		t.Spoilt = &rule
		failed := len(r.goTest(t).Failures) > 0
		r.lab.chat("%s control: %s: noticed %t", r.trial.ID, rule.What, failed)
		if !failed {
			unnoticed = append(unnoticed, rule.What)
		}
	}
	if len(unnoticed) > 0 {
		r.cannot("nobody noticed that %s", strings.Join(unnoticed, ", nor that "))
	}
	for _, rule := range rules {
		r.Errorf("noticed: %s", rule.What)
	}
}

// cannot ends a run that could not try what it is to try: a trial with a fault, a
// control without one.
func (r *Run) cannot(format string, args ...any) {
	if !r.control {
		r.Fatalf(format, args...)
	}
	r.lab.say("%s control: %s", r.trial.ID, fmt.Sprintf(format, args...))
	panic(stopped{})
}

// overlay writes what -overlay wants, with the rule broken.
func (r *Run) overlay(s *spoilt) string {
	path := filepath.Join(r.lab.source, filepath.FromSlash(s.File))
	text, err := os.ReadFile(path)
	if err != nil {
		r.cannot("%v", err)
	}
	if n := strings.Count(string(text), s.From); n != 1 {
		r.cannot("%q stands %d times in %s, and not once: %s cannot be tried", s.From, n, s.File, s.What)
	}
	folder := r.TempDir()
	replaced := filepath.Join(folder, filepath.Base(path))
	r.Must(os.WriteFile(replaced, []byte(strings.Replace(string(text), s.From, s.To, 1)), 0o600))
	list, err := json.Marshal(map[string]map[string]string{"Replace": {path: replaced}})
	r.Must(err)
	name := filepath.Join(folder, "overlay.json")
	r.Must(os.WriteFile(name, list, 0o600))
	return name
}

// readTests reads what go test -json wrote. Of tests within tests only the
// innermost count. A test that was skipped tried nothing, and so it failed.
func readTests(out []byte) (done tested, broken string) {
	type test struct{ pkg, name string }
	wrote := map[test]*strings.Builder{}
	ended := map[test]string{}
	var order []test
	outer := map[test]bool{}
	for line := range bytes.Lines(out) {
		var e struct{ Action, Package, ImportPath, Test, Output string }
		if json.Unmarshal(line, &e) != nil {
			continue // go itself says something
		}
		at := test{e.Package, e.Test}
		switch e.Action {
		case "build-output":
			broken += e.Output
		case "run":
			for i := range e.Test {
				if e.Test[i] == '/' {
					outer[test{e.Package, e.Test[:i]}] = true
				}
			}
		case "output":
			if wrote[at] == nil {
				wrote[at] = &strings.Builder{}
			}
			wrote[at].WriteString(e.Output)
			if m := writtenFigure.FindStringSubmatch(e.Output); m != nil {
				value, err := strconv.ParseFloat(m[2], 64)
				if err == nil {
					done.Figures = append(done.Figures, figure{Name: m[1], Value: value})
				}
			}
		case "pass", "fail", "skip":
			if ended[at] == "" {
				order = append(order, at)
			}
			ended[at] = e.Action
		}
	}
	failed := map[string]bool{} // packages in which a test is known to have failed
	slices.SortStableFunc(order, func(a, b test) int { return strings.Count(b.name, "/") - strings.Count(a.name, "/") })
	for _, at := range order {
		said := ""
		if b := wrote[at]; b != nil {
			said = tail(b.String())
		}
		switch {
		case at.name == "": // of a package
		case ended[at] == "pass" && !outer[at]:
			done.Passed++
		case ended[at] == "skip":
			done.Failures = append(done.Failures, at.name+" was skipped: "+said)
		case ended[at] == "fail" && (!outer[at] || !failed[at.pkg]):
			done.Failures = append(done.Failures, at.name+": "+said)
			failed[at.pkg] = true
		}
	}
	for _, at := range order {
		if at.name == "" && ended[at] == "fail" && !failed[at.pkg] && broken == "" {
			said := "" // a panic, or the end of the time
			for other, b := range wrote {
				if other.pkg == at.pkg {
					said += tail(b.String())
				}
			}
			done.Failures = append(done.Failures, at.pkg+": "+tail(said))
		}
	}
	return done, broken
}

// writtenFigure is how a test says what it measured.
var writtenFigure = regexp.MustCompile(`\bfigure (.+): ([0-9.]+)\n$`)

// tail is the end of a text, where it says why.
func tail(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > maxTail {
		text = "…" + strings.ToValidUTF8(text[len(text)-maxTail:], "")
	}
	return text
}

const maxTail = 2000

// inParts does the rounds some at a time, each part with the seeds from the first
// on, until one comes to a fault.
func (r *Run) inParts(size int, part func(first uint64, n int)) {
	for done := 0; done < r.Rounds; done += size {
		n := min(size, r.Rounds-done)
		first := r.Seed%1_000_000_000 + uint64(done)
		began := time.Now()
		part(first, n)
		r.lab.chat("%s rounds %d to %d of %d took %v", r.trial.ID, done+1, done+n, r.Rounds, time.Since(began).Round(time.Millisecond))
		if r.Failed() {
			r.Fatalf("that was in rounds %d to %d, with the seeds from %d on", done+1, done+n, first)
		}
	}
}

// partLimit is how long a part may take on a machine that does much else.
const partLimit = 2 * time.Hour
