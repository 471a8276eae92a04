package main

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"
)

// promises are those of the page, in their order.
var promises = []struct{ id, text string }{
	{"P1", "A 2xx to an activity means: the event, and one delivery for each enabled webhook that wants it, are on stable storage, in one transaction."},
	{"P2", "Each delivery ends `succeeded`, `failed` (visible, and to be replayed) or `held` (its webhook is disabled or deleted). Nothing disappears. What is sent, is sent at least once; `webhook-id` is the same over retries and replays."},
	{"P3", "No order is promised across events; each carries its time and a sequence number of its project."},
	{"P4", "Retries span at least 72 hours by default, and there are never fewer than three tries after an outage of our own."},
	{"P5", "The work of a node that died is taken up within 60 s; a node that stalled and wakes cannot change a delivery that it lost."},
	{"P6", "No webhook, customer or project delays another's first attempt by more than 2 s."},
	{"P7", "Never a connection to an address that is not public, unless the operator listed it; never a redirect followed."},
	{"P8", "What is not covered is said, below."},
}

//go:embed page.md
var pageText string

// page is RELIABILITY.md.
func (f *findings) page() string {
	var promised strings.Builder
	promised.WriteString("| promise | | tried by |\n|---|---|---|\n")
	for _, p := range promises {
		var by []string
		for i := range f.Results {
			if slices.Contains(strings.Split(f.Results[i].Proves, ", "), p.id) {
				by = append(by, f.Results[i].ID)
			}
		}
		fmt.Fprintf(&promised, "| %s | %s | %s |\n", p.id, p.text, strings.Join(by, ", "))
	}
	var took time.Duration
	var first, last time.Time
	held := 0
	for i := range f.Results {
		r := &f.Results[i]
		took += r.Took
		if first.IsZero() || r.At.Before(first) {
			first = r.At
		}
		if r.At.After(last) {
			last = r.At
		}
		if r.Holds {
			held++
		}
	}
	when := first.Format(time.DateOnly)
	if day := last.Format(time.DateOnly); day != when {
		when += " to " + day
	}
	return strings.NewReplacer(
		"{promises}\n", promised.String(), "{table}\n", f.table(), "{notes}\n", f.notes(),
		"{version}", f.Version, "{machine}", f.Machine, "{when}", when, "{took}", took.Round(time.Minute).String(),
		"{held}", fmt.Sprint(held), "{tried}", fmt.Sprint(len(f.Results)),
	).Replace(pageText)
}

// notes are what trials noted besides, and all faults.
func (f *findings) notes() string {
	var b strings.Builder
	for i := range f.Results {
		r := &f.Results[i]
		lines := slices.Concat(r.Faults, r.Notes)
		if len(lines) == 0 {
			continue
		}
		fmt.Fprintf(&b, "**%s**, seed %d, %v:\n\n", r.ID, r.Seed, r.Took.Round(time.Second))
		for _, line := range lines[:min(len(lines), maxNotes)] {
			fmt.Fprintf(&b, "- %s\n", cell(line))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// maxNotes of a trial stand on the page.
const maxNotes = 8
