package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// findings are what is known of a version on a machine, from one run of the lab or
// from several.
type findings struct {
	Machine string   `json:"machine"`
	Version string   `json:"version"`
	Results []result `json:"results"`
}

// result is what came of a trial.
type result struct {
	ID      string        `json:"id"`
	Name    string        `json:"name"`
	Proves  string        `json:"proves"`
	Goal    string        `json:"goal"`
	At      time.Time     `json:"at"` // when it began
	Rounds  int           `json:"rounds"`
	Whole   int           `json:"whole"` // rounds of the whole trial
	Seed    uint64        `json:"seed"`
	Took    time.Duration `json:"took_ns"`
	Holds   bool          `json:"holds"`
	Faults  []string      `json:"faults,omitempty"`
	Figures []figure      `json:"figures,omitempty"`
	Notes   []string      `json:"notes,omitempty"`
	Control string        `json:"control,omitempty"` // what the control came to
}

// remember reads what runs of the same version on the same machine found before.
func (f *findings) remember(path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var before findings
	if err := json.Unmarshal(text, &before); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if before.Version == f.Version && before.Machine == f.Machine {
		f.Results = before.Results
	}
	return nil
}

func (f *findings) write(path string) error {
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644) //nolint:gosec // for everybody to read
}

// add puts a result in its place, instead of an earlier one.
func (f *findings) add(r result) {
	f.Results = slices.DeleteFunc(f.Results, func(old result) bool { return old.ID == r.ID })
	f.Results = append(f.Results, r)
	order := func(id string) int { return slices.IndexFunc(trials, func(t *Trial) bool { return t.ID == id }) }
	slices.SortFunc(f.Results, func(a, b result) int { return order(a.ID) - order(b.ID) })
}

func (r *result) verdict() string {
	if r.Holds {
		return fmt.Sprintf("holds: %s (%v)", r.figures(), r.Took.Round(time.Second))
	}
	return fmt.Sprintf("DOES NOT HOLD: %d faults, the first: %s", len(r.Faults), r.Faults[0])
}

func (r *result) figures() string {
	var texts []string
	for _, f := range r.Figures {
		texts = append(texts, strings.TrimSpace(fmt.Sprintf("%s %s %s", f.Name, number(f.Value), f.Unit)))
	}
	return strings.Join(texts, ", ")
}

// number writes whole numbers as such, and others with three digits.
func number(v float64) string {
	if v == float64(int64(v)) {
		return fmt.Sprintf("%d", int64(v))
	}
	return fmt.Sprintf("%.3g", v)
}

// table is what is printed in the end, in Markdown.
func (f *findings) table() string {
	var b strings.Builder
	b.WriteString("| # | what was tried | goal | rounds | it came to | its control came to | holds |\n|---|---|---|---|---|---|---|\n")
	for i := range f.Results {
		r := &f.Results[i]
		holds := "yes"
		if !r.Holds {
			holds = "**no**: " + r.Faults[0]
		}
		rounds := fmt.Sprint(r.Rounds)
		if r.Rounds < r.Whole {
			rounds += fmt.Sprintf(" of %d", r.Whole)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", r.ID, cell(r.Name), cell(r.Goal), rounds, cell(r.figures()), cell(r.Control), cell(holds))
	}
	return b.String()
}

// cell is a text in a table, which is cut where it would be long.
func cell(text string) string {
	if r := []rune(text); len(r) > maxCell {
		text = string(r[:maxCell]) + "…"
	}
	return strings.NewReplacer("|", "\\|", "\n", " ").Replace(text)
}

const maxCell = 300

// describe tells of the machine and of the version that is tried.
func describe(ctx context.Context, source string) (machine, version string, err error) {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "", "", err
	}
	model := "unknown"
	for line := range strings.Lines(string(info)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			model = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(name), ":"))
			break
		}
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "", "", err
	}
	git := exec.CommandContext(ctx, "git", "describe", "--tags", "--always", "--dirty")
	git.Dir = source
	out, err := git.Output()
	if err != nil {
		out = []byte("of no repository")
	}
	return fmt.Sprintf("%d cores of %s, Linux %s, %s", runtime.NumCPU(), model, strings.TrimSpace(string(kernel)), runtime.Version()), strings.TrimSpace(string(out)), nil
}
