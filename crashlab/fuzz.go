package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// fuzzTrial runs every fuzz target of the module above.
var fuzzTrial = &Trial{
	ID: "T12", Name: "fuzzing: every target, each for a while a round", Proves: "P1, P6",
	Goal: "at least 14 targets, faults 0", Rounds: 6, Short: 0,
	Run: func(r *Run) {
		r.EachRound(func(int) { r.fuzz(time.Minute, nil) })
	},
	Control: func(r *Run) {
		// A cursor whose signature is not looked at.
		r.fuzzOne(fuzzTarget{"./internal/api", "FuzzCursor"}, 20*time.Second, &spoilt{
			What: "a cursor that nobody signed is taken", File: "internal/api/cursor.go",
			From: "return row, hmac.Equal(b[:macSize], a.cursorMAC(l, row))", To: "return row, hmac.Equal(b[:0], a.cursorMAC(l, row)[:0])",
		})
	},
}

// fuzzTarget is one of them.
type fuzzTarget struct{ folder, name string }

var fuzzFunction = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(\w+ \*testing\.F\)`)

// fuzzTargets finds all there are.
func (r *Run) fuzzTargets() (targets []fuzzTarget) {
	r.Must(filepath.WalkDir(r.lab.source, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(r.lab.source, path)
		if err != nil {
			return err
		}
		if entry.IsDir() && (relative == "bench" || relative == "crashlab" || strings.HasPrefix(entry.Name(), ".") && relative != ".") {
			return filepath.SkipDir // modules of their own
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path) //nolint:gosec // a source file of ours
		if err != nil {
			return err
		}
		for _, name := range fuzzFunction.FindAllStringSubmatch(string(text), -1) {
			targets = append(targets, fuzzTarget{"./" + filepath.ToSlash(filepath.Dir(relative)), name[1]})
		}
		return nil
	}))
	return targets
}

// fuzz runs each target so long.
func (r *Run) fuzz(each time.Duration, wrong *spoilt) {
	targets := r.fuzzTargets()
	if len(targets) < 14 {
		r.Errorf("there are %d targets", len(targets))
	}
	for _, target := range targets {
		r.fuzzOne(target, each, wrong)
	}
	r.Worst("targets", "", float64(len(targets)))
	r.Add("fuzzed", "s", each.Seconds()*float64(len(targets)))
}

func (r *Run) fuzzOne(target fuzzTarget, each time.Duration, wrong *spoilt) {
	began := time.Now()
	if wrong != nil {
		defer r.keepCorpus(filepath.Join(r.lab.source, target.folder, "testdata", "fuzz", target.name))()
	}
	r.passes(goTest{
		Packages: []string{target.folder}, Tests: "^" + target.name + "$", Limit: each + 5*time.Minute, Spoilt: wrong,
		Build: []string{"-fuzz", "^" + target.name + "$", "-fuzztime", fmt.Sprint(each)},
	})
	r.lab.chat("%s %s took %v", r.trial.ID, target.name, time.Since(began).Round(time.Second))
}

// keepCorpus has a folder be in the end as it is now: what a program with something
// wrong in it was found with is no corpus of ours.
func (r *Run) keepCorpus(folder string) func() {
	before, err := os.ReadDir(folder)
	if err != nil {
		before = nil
	}
	return func() {
		after, err := os.ReadDir(folder)
		if err != nil {
			return // nothing was found
		}
		for _, entry := range after {
			if !slices.ContainsFunc(before, func(known os.DirEntry) bool { return known.Name() == entry.Name() }) {
				r.Must(os.Remove(filepath.Join(folder, entry.Name())))
			}
		}
		for empty := folder; filepath.Base(empty) != "testdata" && os.Remove(empty) == nil; {
			empty = filepath.Dir(empty) // only what is empty can be removed
		}
	}
}
