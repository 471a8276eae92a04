package web

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
)

var chartNow = time.Date(2026, 11, 20, 10, 42, 7, 0, time.UTC)

func TestASpanIsFilledWithWholeSteps(t *testing.T) {
	t.Parallel()
	for _, s := range spans {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			q := s.query("whk_1", chartNow)
			if q.Until.Before(chartNow) || q.Until.Sub(chartNow) > s.Step || q.Until.Sub(q.Since) != s.Length || !q.Since.Equal(q.Since.Truncate(s.Step)) {
				t.Errorf("%s to %s", q.Since, q.Until)
			}
			stats := []telltale.Stat{
				{Start: q.Since.Add(-s.Step), Succeeded: 1000}, // too old
				{Start: q.Since, Succeeded: 1, Type: telltale.Sent},
				{Start: q.Since, Succeeded: 2, Type: telltale.Bounced},
				{Start: q.Until.Add(-s.Step), Failed: 4},
				{Start: q.Until, Failed: 1000}, // to come
			}
			steps := s.fill(stats, chartNow)
			if len(steps) != int(s.Length/s.Step) || len(steps) > 48 {
				t.Errorf("%d steps", len(steps))
			}
			if first, last := steps[0], steps[len(steps)-1]; first.Succeeded != 3 || last.Failed != 4 || !first.Start.Equal(q.Since) {
				t.Errorf("first %+v, last %+v", first, last)
			}
			if sum := total(steps); sum.Succeeded != 3 || sum.Failed != 4 {
				t.Errorf("in all %+v", sum)
			}
			if ticks := outcomeChart(s, steps).Times; len(ticks) < 4 || len(ticks) > 7 {
				t.Errorf("%d labels on the axis: %v", len(ticks), ticks)
			}
		})
	}
}

func TestAnAxisHasFewRoundNumbers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		most float64
		want []float64
	}{
		{0, []float64{0}},
		{1, []float64{0, 1}},
		{3, []float64{0, 1, 2, 3}},
		{7, []float64{0, 2, 4, 6, 8}},
		{10, []float64{0, 5, 10}},
		{100, []float64{0, 50, 100}},
		{4215, []float64{0, 2000, 4000, 6000}},
	} {
		if top, got := niceScale(tt.most); !slices.Equal(got, tt.want) || top < tt.most {
			t.Errorf("%v: up to %v, marks %v; want %v", tt.most, top, got, tt.want)
		}
	}
}

func TestStacksStandOnTheAxisInsideTheirPlot(t *testing.T) {
	t.Parallel()
	s := spanNamed("24h")
	steps := s.fill(nil, chartNow)
	steps[3].Succeeded, steps[3].Failed, steps[3].Retried = 9_000, 1, 999
	steps[4].Succeeded = 10
	c := outcomeChart(s, steps)
	if c.Empty || len(c.Bars) != 4 || len(c.Rows) != len(steps) || len(c.Columns) != 4 {
		t.Fatalf("%d bars, %d rows, %d columns", len(c.Bars), len(c.Rows), len(c.Columns))
	}
	if got, want := c.Summary, "Deliveries in 24 hours: succeeded 9\u202f010, retried 999, failed 1."; got != want {
		t.Errorf("summary %q; want %q", got, want)
	}
	if c.Bars[0].Bottom() != c.Plot.Bottom() {
		t.Errorf("the lowest bar ends at %v, the plot at %v", c.Bars[0].Bottom(), c.Plot.Bottom())
	}
	for i, b := range c.Bars {
		if b.Height < minBar || b.X < c.Plot.X || b.X+b.Width > c.Plot.Right() || b.Y < 0 {
			t.Errorf("bar %d: %+v", i, b)
		}
		if i > 0 && i < 3 && math.Abs(b.Bottom()-c.Bars[i-1].Y) > 0.01 {
			t.Errorf("bar %d ends at %v, the one below begins at %v", i, b.Bottom(), c.Bars[i-1].Y)
		}
	}
	if got, want := c.Bars[2].Title, "12:30 UTC: failed 1"; got != want {
		t.Errorf("title %q; want %q", got, want)
	}
	if diff := cmp.Diff([]string{"12:30", "9\u202f000", "999", "1"}, c.Rows[3]); diff != "" {
		t.Error(diff)
	}
}

func TestAnEmptyChartSaysSo(t *testing.T) {
	t.Parallel()
	s := spanNamed("7d")
	steps := s.fill(nil, chartNow)
	for _, c := range []chart{outcomeChart(s, steps), answerChart(s, steps), eventChart(s, steps), tookChart(s, steps), shareChart(s, steps)} {
		if !c.Empty || len(c.Bars)+len(c.Lines) != 0 || c.Summary == "" || len(c.Rows) != len(steps) {
			t.Errorf("%s: empty %t, %d bars, %d lines, %d rows, %q", c.ID, c.Empty, len(c.Bars), len(c.Lines), len(c.Rows), c.Summary)
		}
	}
}

func TestLinesHaveGapsWhereNothingWasDelivered(t *testing.T) {
	t.Parallel()
	s := spanNamed("1h")
	steps := s.fill(nil, chartNow)
	for _, i := range []int{0, 1, 2, 5, 8, 9} {
		steps[i].Succeeded = 1
		steps[i].Took.Observe(time.Duration(i+1) * 100 * time.Millisecond)
	}
	c := tookChart(s, steps)
	var dots, strokes int
	for _, l := range c.Lines {
		dots += len(l.Dots)
		strokes += strings.Count(l.Points, ",")
	}
	if len(c.Lines) != 6 || dots != 2 || strokes != 10 {
		t.Errorf("%d lines with %d dots and %d points", len(c.Lines), dots, strokes)
	}
	if c.Rows[3][1] != "–" || c.Rows[0][1] == "–" {
		t.Errorf("rows %v", c.Rows[:4])
	}
	if c := shareChart(s, steps); len(c.Lines) != 3 || c.Summary != "Success rate in 1 hour: 100\u202f%." {
		t.Errorf("%d lines; %s", len(c.Lines), c.Summary)
	}
}

func TestSparklines(t *testing.T) {
	t.Parallel()
	since, _ := sparkSpan.bounds(chartNow)
	for _, tt := range []struct {
		name           string
		stats          []telltale.Stat
		bars           int
		share, summary string
	}{
		{"nothing", nil, 0, "", "Nothing was attempted in the last 24 hours."},
		{"one that failed", []telltale.Stat{{Start: since, Failed: 1}}, 1, "0\u202f%", "0 of 1 attempt succeeded in the last 24 hours."},
		{"failures stand on successes", []telltale.Stat{{Start: since, Succeeded: 999, Failed: 1}, {Start: since.Add(5 * time.Hour), Succeeded: 1}}, 3, "99.9\u202f%", "1\u202f000 of 1\u202f001 attempts succeeded in the last 24 hours."},
		{"only retries so far", []telltale.Stat{{Start: since, Retried: 5}}, 1, "0\u202f%", "0 of 5 attempts succeeded in the last 24 hours."},
		{"it fails after successes", []telltale.Stat{{Start: since, Succeeded: 3}, {Start: since.Add(5 * time.Hour), Retried: 1}}, 2, "75\u202f%", "3 of 4 attempts succeeded in the last 24 hours."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSparkline(tt.stats, chartNow)
			if len(s.Bars) != tt.bars || s.Share != tt.share || s.Summary != tt.summary {
				t.Errorf("%d bars, %q, %q", len(s.Bars), s.Share, s.Summary)
			}
			for _, b := range s.Bars {
				if b.X < 0 || b.Y < 0 || b.X+b.Width > s.Width || b.Bottom() > s.Height+0.01 {
					t.Errorf("a bar beyond the drawing: %+v", b)
				}
			}
		})
	}
}
