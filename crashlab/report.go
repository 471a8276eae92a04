package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// findings are what came of a run of the lab.
type findings struct {
	Command string    `json:"command"`
	At      time.Time `json:"at"`
	Machine string    `json:"machine"`
	Version string    `json:"version"`
	Short   bool      `json:"short,omitempty"`
	Results []result  `json:"results"`
}

// result is what came of a trial.
type result struct {
	ID      string        `json:"id"`
	Name    string        `json:"name"`
	Proves  string        `json:"proves"`
	Goal    string        `json:"goal"`
	Rounds  int           `json:"rounds"`
	Seed    uint64        `json:"seed"`
	Took    time.Duration `json:"took_ns"`
	Holds   bool          `json:"holds"`
	Faults  []string      `json:"faults,omitempty"`
	Figures []figure      `json:"figures,omitempty"`
	Notes   []string      `json:"notes,omitempty"`
	Control string        `json:"control,omitempty"` // what the control came to
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
	b.WriteString("| # | what was tried | goal | rounds | came to | the control came to | holds |\n|---|---|---|---|---|---|---|\n")
	for i := range f.Results {
		r := &f.Results[i]
		holds := "yes"
		if !r.Holds {
			holds = "**no**: " + r.Faults[0]
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %d | %s | %s | %s |\n", r.ID, cell(r.Name), cell(r.Goal), r.Rounds, cell(r.figures()), cell(r.Control), cell(holds))
	}
	return b.String()
}

func cell(text string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ").Replace(text)
}

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
