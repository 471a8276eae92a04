package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// draw writes the chart to a file.
func (p *report) draw(path string) (err error) {
	f, err := os.Create(path) //nolint:gosec // the file that was named
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return p.writeChart(f)
}

// writeChart draws what one machine delivers with SQLite and with one to three
// nodes over PostgreSQL, as an SVG: a bar for the median, a line for the range.
func (p *report) writeChart(w io.Writer) error {
	type bar struct {
		label string
		spread
	}
	var bars []bar
	most := 0.0
	for _, l := range []*load{oneByOne, oneNode, twoNodes, threeNodes} {
		var values []float64
		for _, r := range p.runsOf(l) {
			values = append(values, r.DeliveredPerSecond)
			most = max(most, r.DeliveredPerSecond)
		}
		if len(values) == 0 {
			continue
		}
		label := "SQLite"
		if l.Nodes > 0 {
			label = fmt.Sprintf("PostgreSQL, %d", l.Nodes)
		}
		bars = append(bars, bar{label, spreadOf(values)})
	}
	if len(bars) == 0 {
		return fmt.Errorf("there is nothing to draw: measure m10")
	}
	step := math.Pow(10, math.Floor(math.Log10(most)))
	if most/step < 3 {
		step /= 2
	}
	top := math.Ceil(most/step) * step
	const left, width, height, foot, slot = 70, 560, 300, 280, 120
	y := func(v float64) float64 { return foot - v/top*(foot-30) }
	out := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	out(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" fill="#555">`, width, height)
	out(`<title>Deliveries a second on one machine: SQLite, and one to three nodes over PostgreSQL</title>`)
	for v := 0.0; v <= top; v += step {
		out(`<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#999" stroke-opacity="0.4"/>`, left, width-10, y(v), y(v))
		out(`<text x="%d" y="%.1f" text-anchor="end">%.0f/s</text>`, left-8, y(v)+4, v)
	}
	for i, b := range bars {
		x := float64(left + 20 + i*slot)
		out(`<rect x="%.1f" y="%.1f" width="72" height="%.1f" fill="#3b6fb5"/>`, x, y(b.Median), foot-y(b.Median))
		out(`<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="#d08a2e" stroke-width="2"/>`, x+36, x+36, y(b.Max), y(b.Min))
		out(`<text x="%.1f" y="%.1f" text-anchor="middle">%.0f</text>`, x+36, y(b.Max)-6, b.Median)
		out(`<text x="%.1f" y="%d" text-anchor="middle">%s</text>`, x+36, foot+16, b.label)
	}
	out(`</svg>`)
	return nil
}
