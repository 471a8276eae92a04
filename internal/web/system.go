package web

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"telltale.example/telltale"
)

// systemView is the server itself.
type systemView struct {
	frame
	Info    telltale.StoreInfo
	Nodes   []telltale.Node
	Started time.Time
	Build   string
	Workers int
}

// Up is how long the server runs.
func (p *systemView) Up() string { return roughly(time.Since(p.Started)) }

// Machine is what the server runs on.
func (p *systemView) Machine() string {
	return fmt.Sprintf("%s/%s, %s", runtime.GOOS, runtime.GOARCH, counted(runtime.NumCPU(), "CPU", "CPUs"))
}

// Shared reports whether nodes may be on several machines: then the store notes
// which.
func (p *systemView) Shared() bool {
	return slices.ContainsFunc(p.Nodes, func(n telltale.Node) bool { return n.Host != "" })
}

// Capped writes a count that stops at [telltale.MaxCount].
func (p *systemView) Capped(n int) string {
	if n > telltale.MaxCount {
		return count(telltale.MaxCount) + "+"
	}
	return count(n)
}

// Diagnostics is what helps whoever is asked for help. It has no secret.
func (p *systemView) Diagnostics() string {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	var b strings.Builder
	fmt.Fprintf(&b, "telltale %s (%s)\nstarted %s, up %s\n", p.Version(), p.Build, p.Started.UTC().Format(time.RFC3339), p.Up())
	fmt.Fprintf(&b, "%s, %d workers, %d goroutines, heap %s\n", p.Machine(), p.Workers, runtime.NumGoroutine(), byteCount(int64(memory.HeapAlloc)))
	fmt.Fprintf(&b, "%s, schema %d, database %s, log %s\n", p.Info.Engine, p.Info.Schema, byteCount(p.Info.Size), byteCount(p.Info.LogSize))
	fmt.Fprintf(&b, "deliveries: waiting %s, sending %s, held %s, failed %s; due the longest: %s\n",
		p.Capped(p.Info.Waiting), p.Capped(p.Info.Sending), p.Capped(p.Info.Held), p.Capped(p.Info.Failed), p.Info.OldestDue.Round(time.Second))
	for _, n := range p.Nodes {
		if n.Alive {
			fmt.Fprintf(&b, "node %s, %s %s, since %s, last beat %s\n", n.ID, n.Role, n.Version, n.StartedAt.UTC().Format(time.RFC3339), n.BeatAt.UTC().Format(time.RFC3339))
		}
	}
	return b.String()
}

func systemPage(c *call) error {
	info, err := c.Store.Info(c.r.Context())
	if err != nil {
		return err
	}
	nodes, err := c.Store.Nodes(c.r.Context())
	if err != nil {
		return err
	}
	build := runtime.Version()
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				build += ", commit " + s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return c.page("system", &systemView{frame: frame{Title: "System"}, Info: info, Nodes: nodes, Started: c.started, Build: build, Workers: c.Workers})
}

// resumeSending has a node that was started paused go on.
func resumeSending(c *call) error {
	if _, err := c.Resume(c.r.Context()); err != nil {
		return err
	}
	return c.done("/admin/system", notice{Kind: "ok", Text: "Sending goes on.", Detail: "What was waiting is on its way."})
}
