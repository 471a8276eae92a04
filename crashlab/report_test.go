package main

import (
	"context"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func testLab(t *testing.T) *lab {
	return &lab{folder: t.TempDir(), source: t.TempDir(), seed: 1, out: io.Discard, built: map[string]string{}}
}

func TestATrialHoldsWithoutAFaultAndWithAControlThatComesToOne(t *testing.T) {
	fine := func(r *Run) { r.EachRound(func(int) { r.Add("rounds", "", 1); r.Worst("slowest", "s", 0.25) }) }
	for name, row := range map[string]struct {
		run, control func(*Run)
		holds        bool
	}{
		"both as they should":      {fine, func(r *Run) { r.Errorf("lost one") }, true},
		"the run comes to a fault": {func(r *Run) { r.Fatalf("lost one"); fine(r) }, func(r *Run) { r.Errorf("lost one") }, false},
		"the run breaks":           {func(*Run) { panic("no such thing") }, func(r *Run) { r.Errorf("lost one") }, false},
		"the control is content":   {fine, fine, false},
		"the control does not build": {fine, func(r *Run) {
			_, err := r.lab.build(r.ctx, "telltale-that-does-not-build")
			r.Must(err)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			cleaned := false
			trial := &Trial{ID: "T0", Rounds: 3, Run: func(r *Run) { r.Cleanup(func() { cleaned = true }); row.run(r) }, Control: row.control}
			got := testLab(t).run(context.Background(), trial, 3)
			if got.Holds != row.holds || !cleaned {
				t.Errorf("holds %v, cleaned up %v: %q", got.Holds, cleaned, got.Faults)
			}
			if got.Holds && got.figures() != "rounds 3, slowest 0.25 s" {
				t.Errorf("the figures are %q", got.figures())
			}
		})
	}
}

func TestFindingsOfAnotherVersionAreForgotten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "found.json")
	first := findings{Version: "1", Machine: "m", Results: []result{{ID: "T1", Holds: true}}}
	if err := first.write(path); err != nil {
		t.Fatal(err)
	}
	for version, want := range map[string]int{"1": 1, "2": 0} {
		f := findings{Version: version, Machine: "m"}
		if err := f.remember(path); err != nil || len(f.Results) != want {
			t.Errorf("version %s remembers %d results (%v); want %d", version, len(f.Results), err, want)
		}
	}
}

func TestThePageSaysWhichTrialTriesWhichPromise(t *testing.T) {
	f := findings{Version: "1.0.0", Machine: "two cores"}
	f.add(result{ID: "T1", Name: "kill | it", Proves: "P1, P5", Rounds: 2, Whole: 200, Holds: true, Control: "lost one"})
	f.add(result{ID: "T1", Name: "kill | it", Proves: "P1, P5", Rounds: 200, Whole: 200, Faults: []string{"lost two"}})
	page := f.page()
	for _, want := range []string{"telltale 1.0.0, ", "two cores", "0 of 1 hold", `kill \| it`, "| 200 |", "**no**: lost two", "in one transaction. | T1 |", "- lost two"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "{") {
		t.Error("a field of the page was not filled in")
	}
}

func TestTrialsAreToldByTheirNames(t *testing.T) {
	for _, row := range []struct {
		names []string
		short bool
		err   string
	}{
		{[]string{"t1"}, false, ""}, {[]string{"short"}, true, ""}, {[]string{"all"}, false, ""}, {[]string{"t99"}, false, `no trial "t99"`}, {nil, false, "say which"},
	} {
		chosen, short, err := choose(row.names)
		if row.err != "" {
			if err == nil || !strings.Contains(err.Error(), row.err) {
				t.Errorf("%v gives %v; want %q", row.names, err, row.err)
			}
			continue
		}
		if err != nil || len(chosen) == 0 || short != row.short {
			t.Errorf("%v gives %d trials, short %v, %v", row.names, len(chosen), short, err)
		}
	}
	seen := map[string]bool{}
	for _, trial := range trials {
		if seen[trial.ID] || trial.Run == nil || trial.Control == nil || trial.Rounds == 0 || trial.Goal == "" || trial.Proves == "" {
			t.Errorf("%s is not whole, or there twice", trial.ID)
		}
		seen[trial.ID] = true
	}
}

func TestAPartThatEndsByAFaultEndsAlone(t *testing.T) {
	cleaned := false
	trial := &Trial{ID: "T0", Rounds: 3, Run: func(r *Run) {
		r.Parallel(map[string]func(*Run){
			"one":   func(r *Run) { r.Cleanup(func() { cleaned = true }); r.Fatalf("lost one") },
			"two":   func(r *Run) { r.Add("rounds", "", float64(r.Rounds)) },
			"three": func(r *Run) { r.Add("rounds", "", 1) },
		})
		r.Add("rounds", "", 1) // the trial itself goes on
	}}
	got := testLab(t).run(context.Background(), trial, 3)
	if !slices.Equal(got.Faults, []string{"one: lost one"}) || !cleaned || got.figures() != "rounds 5" {
		t.Errorf("%q, cleaned up %v, figures %q", got.Faults, cleaned, got.figures())
	}
}
