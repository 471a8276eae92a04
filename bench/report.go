package main

import (
	"fmt"
	"io"
	"strings"
)

// report is everything that was measured.
type report struct {
	Machine machine  `json:"machine"`
	Server  string   `json:"server"` // its version
	Command string   `json:"command"`
	Loads   []*load  `json:"loads"`
	Results []result `json:"marks"`
	Runs    []*run   `json:"runs"`
}

// String is the run in a line.
func (r *run) String() string {
	head := fmt.Sprintf("%-6s %d  ", r.Load, r.Round)
	tail := fmt.Sprintf("server %.3f CPU s/1,000, peak %.0f MiB, others %.2f cores", r.CPU.Server, r.Memory.Peak, r.Others)
	if r.Bare != nil {
		return head + fmt.Sprintf("p50 %.2f p99 %.2f max %.2f ms (bare loop %.2f, %.2f, %.2f); ", r.Latency.P50, r.Latency.P99, r.Latency.Max, r.Bare.P50, r.Bare.P99, r.Bare.Max) + tail
	}
	return head + fmt.Sprintf("%.0f/s = %.3f of %.0f/s (%.3f by CPU); accepted %.0f/s, backlog %d; ", r.DeliveredPerSecond, r.ratio(), r.yardstick(), r.cpuRatio(), r.AcceptedPerSecond, r.Backlog) + tail
}

// write prints the report as Markdown tables, fit for a page.
func (p *report) write(w io.Writer) {
	m := p.Machine
	fmt.Fprintf(w, "%s · %d cores of %s, %.0f GiB, Linux %s, %s, %s (append 4 KiB and sync: %.2f ms) · %s\n\n",
		m.Date, m.Cores, m.CPU, m.MemoryGiB, m.Kernel, m.Go, m.Disk, m.SyncMS, p.Server)
	fmt.Fprintf(w, "    %s\n\n", p.Command)
	fmt.Fprint(w, "| mark | what | foundation | median | range | holds |\n|---|---|---|---|---|---|\n")
	for _, r := range p.Results {
		goal, holds := "≥ ", "no"
		if r.AtMost {
			goal = "≤ "
		}
		if r.Holds {
			holds = "yes"
		}
		fmt.Fprintf(w, "| %s | %s | %s%s | **%s** | %s – %s | %s |\n", r.Mark, r.What, goal, figure(r.Foundation), figure(r.Median), figure(r.Min), figure(r.Max), holds)
	}
	for _, l := range p.Loads {
		fmt.Fprintf(w, "\nLoad `%s`: %s.\n\n", l.Name, l.What)
		if l.Rate > 0 {
			p.writePaced(w, l)
		} else {
			p.writeSaturated(w, l)
		}
	}
}

func (p *report) writeSaturated(w io.Writer, l *load) {
	writeRow(w, "run", "yardstick/s before, after", "deliveries/s", "÷ yardstick", "by CPU", "accepted/s", "backlog", "events", "CPU s per 1,000: server, sink, drive", "peak MiB", "others, cores")
	writeRow(w, strings.Split("---,---,---,---,---,---,---,---,---,---,---", ",")...)
	if l.Nodes > 0 {
		defer p.writeDatabase(w, l)
	}
	for _, r := range p.runsOf(l) {
		writeRow(w, fmt.Sprint(r.Round), fmt.Sprintf("%.0f, %.0f", r.Before.PerSecond, r.After.PerSecond), fmt.Sprintf("%.0f", r.DeliveredPerSecond),
			fmt.Sprintf("**%.3f**", r.ratio()), fmt.Sprintf("%.3f", r.cpuRatio()), fmt.Sprintf("%.0f", r.AcceptedPerSecond), fmt.Sprint(r.Backlog), fmt.Sprint(r.Accepted),
			fmt.Sprintf("%.3f, %.3f, %.3f", r.CPU.Server, r.CPU.Sink, r.CPU.Drive), fmt.Sprintf("%.0f", r.Memory.Peak), fmt.Sprintf("%.2f", r.Others))
	}
}

// writeDatabase prints what PostgreSQL wrote.
func (p *report) writeDatabase(w io.Writer, l *load) {
	fmt.Fprintln(w)
	writeRow(w, "run", "rows written per delivery", "bytes of write-ahead log per delivery", "dead rows, %", "bytes of disk per event")
	writeRow(w, strings.Split("---,---,---,---,---", ",")...)
	for _, r := range p.runsOf(l) {
		writeRow(w, fmt.Sprint(r.Round), fmt.Sprintf("%.2f", r.RowsPerDelivery), fmt.Sprintf("%.0f", r.LogPerDelivery), fmt.Sprintf("%.1f", 100*r.DeadShare), fmt.Sprintf("%.0f", r.DiskPerEvent))
	}
}

func (p *report) writePaced(w io.Writer, l *load) {
	writeRow(w, "run", "p50, p99, max, ms", "bare loop: p50, p99, max, ms", "events", "drive's latest, ms", "peak MiB", "others, cores")
	writeRow(w, strings.Split("---,---,---,---,---,---,---", ",")...)
	triple := func(l latency) string { return fmt.Sprintf("%.2f, %.2f, %.2f", l.P50, l.P99, l.Max) }
	for _, r := range p.runsOf(l) {
		writeRow(w, fmt.Sprint(r.Round), triple(r.Latency), triple(*r.Bare), fmt.Sprint(r.Accepted),
			fmt.Sprintf("%.2f", r.Late), fmt.Sprintf("%.0f", r.Memory.Peak), fmt.Sprintf("%.2f", r.Others))
	}
}

func (p *report) runsOf(l *load) (runs []*run) {
	for _, r := range p.Runs {
		if r.Load == l.Name {
			runs = append(runs, r)
		}
	}
	return runs
}

func writeRow(w io.Writer, cells ...string) {
	fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
}

// figure has as many digits as a figure deserves: three.
func figure(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	case x >= 1:
		return fmt.Sprintf("%.2f", x)
	}
	return fmt.Sprintf("%.3f", x)
}
