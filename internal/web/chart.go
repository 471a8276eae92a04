package web

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"telltale.example/telltale"
)

// A chart is drawn by the server: what is computed here is geometry, which the
// template "chart" writes as SVG with presentation attributes and classes, since
// the pages' policy knows no inline style. Behind each stands a table with the same numbers.
type chart struct {
	ID      string // unique on the page
	Title   string
	Summary string // what the picture says, in a sentence, for those who do not see it

	Width, Height float64
	Plot          rect // where the bars and lines are
	Bars          []bar
	Lines         []line
	Grid          []tick // Y positions
	Times         []tick // X positions
	Legend        []legend
	Empty         bool // there is nothing to draw

	Columns []string // of the table
	Rows    [][]string
}

type rect struct{ X, Y, Width, Height float64 }

// Right and Bottom are the far edges.
func (r rect) Right() float64  { return r.X + r.Width }
func (r rect) Bottom() float64 { return r.Y + r.Height }

// bar is one part of a stack. Its class gives the colour.
type bar struct {
	rect
	Class string
	Title string // what a pointer that rests on it is told
}

// line joins points; where there is no value it has a gap and is several.
type line struct {
	Points string // as the attribute of a polyline
	Dots   []dot  // points that have no neighbour, and would not show
	Class  string
}

type dot struct{ X, Y float64 }

type tick struct {
	At   float64
	Text string
}

type legend struct{ Class, Name string }

// The classes of series, for which the style sheet has colours.
const (
	classOK     = "ok"
	classWarn   = "warn"
	classBad    = "bad"
	classAccent = "accent"
	classQuiet  = "quiet"
)

// span is how far back the charts of a page reach, and in what steps.
type span struct {
	Name   string // in the URL: 24h
	Label  string // "24 hours"
	Length time.Duration
	Step   time.Duration // a multiple of what counts are kept in at that age
	Tick   time.Duration // between the labels of the axis
	layout string        // of the labels
}

var spans = []span{
	{"1h", "1 hour", time.Hour, 5 * time.Minute, 15 * time.Minute, "15:04"},
	{"24h", "24 hours", 24 * time.Hour, 30 * time.Minute, 6 * time.Hour, "15:04"},
	{"7d", "7 days", 7 * 24 * time.Hour, 6 * time.Hour, 24 * time.Hour, "Jan 2"},
	{"30d", "30 days", 30 * 24 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, "Jan 2"},
}

// spanNamed gives the span of that name, and that of a day for any other.
func spanNamed(name string) span {
	for _, s := range spans {
		if s.Name == name {
			return s
		}
	}
	return spans[1]
}

// bounds is the time that the span covers now, in whole steps: the last one has
// not ended.
func (s span) bounds(now time.Time) (since, until time.Time) {
	until = now.UTC().Truncate(s.Step).Add(s.Step)
	return until.Add(-s.Length), until
}

// query asks for the counts of the span.
func (s span) query(webhook telltale.WebhookID, now time.Time) telltale.StatQuery {
	since, until := s.bounds(now)
	return telltale.StatQuery{WebhookID: webhook, Since: since, Until: until, Step: s.Step}
}

// fill lays counts into the span's steps, with empty ones where nothing was
// counted. Counts of several webhooks or types in one step are added up.
func (s span) fill(stats []telltale.Stat, now time.Time) []telltale.Stat {
	since, until := s.bounds(now)
	steps := make([]telltale.Stat, until.Sub(since)/s.Step)
	for i := range steps {
		steps[i].Start = since.Add(time.Duration(i) * s.Step)
	}
	for i := range stats {
		if at := stats[i].Start.Sub(since); at >= 0 && stats[i].Start.Before(until) {
			steps[at/s.Step].Add(&stats[i])
		}
	}
	return steps
}

// total adds up counts.
func total(stats []telltale.Stat) telltale.Stat {
	var sum telltale.Stat
	for i := range stats {
		sum.Add(&stats[i])
	}
	return sum
}

// series is one thing that is counted in each step.
type series struct {
	name, class string
	value       func(*telltale.Stat) int
}

var outcomes = []series{
	{"Succeeded", classOK, func(s *telltale.Stat) int { return s.Succeeded }},
	{"Retried", classWarn, func(s *telltale.Stat) int { return s.Retried }},
	{"Failed", classBad, func(s *telltale.Stat) int { return s.Failed }},
}

var answers = []series{
	{"2xx", classOK, answered(telltale.Answer2xx)},
	{"3xx", classAccent, answered(telltale.Answer3xx)},
	{"4xx", classWarn, answered(telltale.Answer4xx)},
	{"5xx", classBad, answered(telltale.Answer5xx)},
	{"None", classQuiet, answered(telltale.AnswerNone)},
}

func answered(a telltale.Answer) func(*telltale.Stat) int {
	return func(s *telltale.Stat) int { return s.Answers[a] }
}

// outcomeChart stacks what became of deliveries.
func outcomeChart(s span, steps []telltale.Stat) chart {
	return stacked("outcomes", "Deliveries", s, steps, outcomes)
}

// answerChart stacks what receivers answered.
func answerChart(s span, steps []telltale.Stat) chart {
	return stacked("answers", "Responses", s, steps, answers)
}

// eventChart has a bar for the events that were accepted in each step.
func eventChart(s span, steps []telltale.Stat) chart {
	return stacked("events", "Events received", s, steps, []series{
		{"Events", classAccent, func(s *telltale.Stat) int { return s.Events }},
	})
}

// Sizes in the units of the drawing, which the page scales to its width.
const (
	chartWidth, chartHeight = 440.0, 170.0
	axisWidth, axisHeight   = 46.0, 24.0
	barGap                  = 0.2 // of a step
	minBar                  = 1.0 // so that one failure among thousands shows
)

// newChart lays out a chart of the span along an axis.
func newChart(id, title string, s span, steps []telltale.Stat, a axis) chart {
	c := chart{
		ID: id, Title: title, Width: chartWidth, Height: chartHeight,
		Plot: rect{axisWidth, 8, chartWidth - axisWidth, chartHeight - axisHeight - 8},
	}
	for _, m := range a.marks {
		c.Grid = append(c.Grid, tick{c.y(a, m.value), m.label})
	}
	for i := range steps {
		since := steps[i].Start.Sub(steps[i].Start.Truncate(24 * time.Hour))
		if s.Tick > 24*time.Hour {
			since = steps[i].Start.Sub(steps[0].Start)
		}
		if since%s.Tick == 0 {
			c.Times = append(c.Times, tick{c.x(i, len(steps)), steps[i].Start.Format(s.layout)})
		}
	}
	return c
}

// x is where step i begins, y the height of a value.
func (c *chart) x(i, steps int) float64 {
	return hundredths(c.Plot.X + c.Plot.Width*float64(i)/float64(max(steps, 1)))
}

func (c *chart) y(a axis, value float64) float64 {
	return hundredths(c.Plot.Bottom() - c.Plot.Height*min(1, max(0, a.at(value))))
}

// hundredths keeps the page short: more digits are not seen.
func hundredths(f float64) float64 { return math.Round(f*100) / 100 }

func stacked(id, title string, s span, steps []telltale.Stat, parts []series) chart {
	most := 0
	sums := make([]int, len(parts))
	for i := range steps {
		stack := 0
		for p, part := range parts {
			stack += part.value(&steps[i])
			sums[p] += part.value(&steps[i])
		}
		most = max(most, stack)
	}
	c := newChart(id, title, s, steps, linear(float64(most), ""))
	c.Empty = most == 0
	c.Columns = []string{"Time (UTC)"}
	var said []string
	for p, part := range parts {
		c.Columns = append(c.Columns, part.name)
		c.Legend = append(c.Legend, legend{part.class, part.name})
		said = append(said, strings.ToLower(part.name)+" "+count(sums[p]))
	}
	c.Summary = fmt.Sprintf("%s in %s: %s.", title, s.Label, strings.Join(said, ", "))
	top, _ := niceScale(float64(most))
	width := hundredths(c.Plot.Width / float64(max(len(steps), 1)) * (1 - barGap))
	for i := range steps {
		row := []string{stepTime(s, steps[i].Start)}
		bottom := c.Plot.Bottom()
		for _, part := range parts {
			n := part.value(&steps[i])
			row = append(row, count(n))
			if n == 0 {
				continue
			}
			height := hundredths(max(c.Plot.Height*float64(n)/top, minBar))
			bottom = hundredths(bottom - height)
			c.Bars = append(c.Bars, bar{
				rect{hundredths(c.x(i, len(steps)) + c.Plot.Width/float64(len(steps))*barGap/2), bottom, width, height}, part.class,
				fmt.Sprintf("%s UTC: %s %s", stepTime(s, steps[i].Start), strings.ToLower(part.name), count(n)),
			})
		}
		c.Rows = append(c.Rows, row)
	}
	return c
}

// tookChart draws how long it took from acceptance to success: the median and
// what 95 in 100 stayed below.
func tookChart(s span, steps []telltale.Stat) chart {
	quantiles := []struct {
		q           float64
		name, class string
	}{{0.5, "Median", classAccent}, {0.95, "95th percentile", classQuiet}}

	var least, most time.Duration
	for i := range steps {
		if d, ok := steps[i].Took.Quantile(0.5); ok && (least == 0 || d < least) {
			least = d
		}
		if d, ok := steps[i].Took.Quantile(0.95); ok {
			most = max(most, d)
		}
	}
	scale := logarithmic(least, most)
	c := newChart("took", "Time to deliver", s, steps, scale)
	c.Empty = most == 0
	c.Columns = []string{"Time (UTC)"}
	for _, q := range quantiles {
		c.Columns = append(c.Columns, q.name)
		c.Legend = append(c.Legend, legend{q.class, q.name})
		pen := pen{class: q.class}
		for i := range steps {
			d, ok := steps[i].Took.Quantile(q.q)
			if !ok {
				pen.lift()
				continue
			}
			middle := (c.x(i, len(steps)) + c.x(i+1, len(steps))) / 2
			pen.to(hundredths(middle), c.y(scale, float64(d)))
		}
		c.Lines = append(c.Lines, pen.end()...)
	}
	for i := range steps {
		row := []string{stepTime(s, steps[i].Start)}
		for _, q := range quantiles {
			text := "–"
			if d, ok := steps[i].Took.Quantile(q.q); ok {
				text = took(d)
			}
			row = append(row, text)
		}
		c.Rows = append(c.Rows, row)
	}
	whole := total(steps)
	c.Summary = fmt.Sprintf("Time to deliver in %s: nothing was delivered.", s.Label)
	if median, ok := whole.Took.Quantile(0.5); ok {
		slow, _ := whole.Took.Quantile(0.95)
		c.Summary = fmt.Sprintf("Time to deliver in %s: median %s, 95th percentile %s.", s.Label, took(median), took(slow))
	}
	return c
}

// shareChart draws which share of the deliveries that ended succeeded.
func shareChart(s span, steps []telltale.Stat) chart {
	whole := total(steps)
	ended := whole.Succeeded + whole.Failed
	scale := linear(100, "\u202f%")
	c := newChart("share", "Success rate", s, steps, scale)
	c.Empty = ended == 0
	c.Columns = []string{"Time (UTC)", "Success rate"}
	c.Legend = []legend{{classOK, "Succeeded of all that ended"}}
	pen := pen{class: classOK}
	for i := range steps {
		of := steps[i].Succeeded + steps[i].Failed
		text := "–"
		if of == 0 {
			pen.lift()
		} else {
			text = percent(steps[i].Succeeded, of)
			middle := (c.x(i, len(steps)) + c.x(i+1, len(steps))) / 2
			pen.to(hundredths(middle), c.y(scale, 100*float64(steps[i].Succeeded)/float64(of)))
		}
		c.Rows = append(c.Rows, []string{stepTime(s, steps[i].Start), text})
	}
	c.Lines = pen.end()
	c.Summary = fmt.Sprintf("Success rate in %s: nothing has ended.", s.Label)
	if ended > 0 {
		c.Summary = fmt.Sprintf("Success rate in %s: %s.", s.Label, percent(whole.Succeeded, ended))
	}
	return c
}

// pen draws the lines of one series.
type pen struct {
	class string
	lines []line
	at    []dot
}

func (p *pen) to(x, y float64) { p.at = append(p.at, dot{x, y}) }

// lift ends the line that is being drawn, if there is one.
func (p *pen) lift() {
	switch len(p.at) {
	case 0:
		return
	case 1:
		p.lines = append(p.lines, line{Dots: p.at, Class: p.class})
	default:
		points := make([]string, len(p.at))
		for i, d := range p.at {
			points[i] = coordinate(d.X) + "," + coordinate(d.Y)
		}
		p.lines = append(p.lines, line{Points: strings.Join(points, " "), Class: p.class})
	}
	p.at = nil
}

func (p *pen) end() []line {
	p.lift()
	return p.lines
}

func coordinate(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// stepTime names a step for the table and for the pointer.
func stepTime(s span, start time.Time) string {
	switch {
	case s.Step >= 24*time.Hour:
		return start.Format("Jan 2")
	case s.Length > 24*time.Hour:
		return start.Format("Jan 2, 15:04")
	}
	return start.Format("15:04")
}

// axis places values, from the bottom of the plot (0) to its top (1).
type axis struct {
	marks []mark
	at    func(value float64) float64
}

type mark struct {
	value float64
	label string
}

// linear is an axis from nothing to most, in whole numbers with a unit.
func linear(most float64, unit string) axis {
	top, values := niceScale(most)
	a := axis{at: func(v float64) float64 { return v / top }}
	for _, v := range values {
		a.marks = append(a.marks, mark{v, count(int(v)) + unit})
	}
	return a
}

// durationMarks are what times to deliver are marked with.
var durationMarks = []struct {
	d     time.Duration
	label string
}{
	{time.Millisecond, "1 ms"}, {10 * time.Millisecond, "10 ms"}, {100 * time.Millisecond, "100 ms"},
	{time.Second, "1 s"}, {10 * time.Second, "10 s"}, {time.Minute, "1 min"}, {10 * time.Minute, "10 min"},
	{time.Hour, "1 h"}, {10 * time.Hour, "10 h"}, {100 * time.Hour, "100 h"},
}

// logarithmic is an axis of durations: what takes a retry takes a thousand
// times as long as what takes none, and both are to be seen.
func logarithmic(least, most time.Duration) axis {
	first, last := 0, 1
	for i, m := range durationMarks {
		if m.d <= least {
			first = i
		}
		if durationMarks[last].d < most {
			last = i
		}
	}
	first = min(first, len(durationMarks)-2)
	last = max(last, first+1)
	low := math.Log(float64(durationMarks[first].d))
	span := math.Log(float64(durationMarks[last].d)) - low
	a := axis{at: func(v float64) float64 { return (math.Log(v) - low) / span }}
	for _, m := range durationMarks[first : last+1] {
		a.marks = append(a.marks, mark{float64(m.d), m.label})
	}
	return a
}

// niceScale gives the top of an axis that reaches most, and two to five values
// to mark on it: multiples of 1, 2 or 5 times a power of ten.
func niceScale(most float64) (top float64, ticks []float64) {
	if most <= 0 {
		return 1, []float64{0}
	}
	step := math.Pow(10, math.Floor(math.Log10(most)))
	for _, part := range []float64{0.2, 0.5, 1, 2, 5} {
		if most/(step*part) <= 4 {
			step *= part
			break
		}
	}
	if most <= 4 && step < 1 && most == math.Trunc(most) {
		step = 1 // counts have no halves
	}
	top = math.Ceil(most/step-1e-9) * step
	for i := 0; float64(i)*step <= top+step/2; i++ {
		ticks = append(ticks, float64(i)*step)
	}
	return top, ticks
}

// sparkline is a chart of a day in a line of text: one bar an hour, what was
// retried and what failed on top of what succeeded.
type sparkline struct {
	Width, Height float64
	Bars          []bar
	Summary       string
	Share         string // of what succeeded, "99.9 %"; empty if nothing ended
}

const sparkWidth, sparkHeight = 96.0, 24.0

// sparkQuery asks for the counts of all webhooks' sparklines.
func sparkQuery(now time.Time) telltale.StatQuery {
	since, until := sparkSpan.bounds(now)
	return telltale.StatQuery{Since: since, Until: until, Step: sparkSpan.Step, ByWebhook: true}
}

var sparkSpan = span{Name: "24h", Label: "24 hours", Length: 24 * time.Hour, Step: time.Hour}

// newSparkline draws the counts of one webhook.
func newSparkline(stats []telltale.Stat, now time.Time) sparkline {
	steps := sparkSpan.fill(stats, now)
	whole := total(steps)
	s := sparkline{Width: sparkWidth, Height: sparkHeight, Summary: "Nothing was attempted in the last 24 hours."}
	// Of attempts, as the bars: a delivery that fails ends after days only, and
	// until then a webhook that takes nothing would show 100 %.
	if attempts := whole.Succeeded + whole.Retried + whole.Failed; attempts > 0 {
		s.Share = percent(whole.Succeeded, attempts)
		s.Summary = fmt.Sprintf("%s of %s succeeded in the last 24 hours.", count(whole.Succeeded), counted(attempts, "attempt", "attempts"))
	}
	most := 0
	for i := range steps {
		most = max(most, steps[i].Succeeded+steps[i].Retried+steps[i].Failed)
	}
	each := sparkWidth / float64(len(steps))
	for i := range steps {
		bottom := sparkHeight
		for _, part := range outcomes {
			n := part.value(&steps[i])
			if n == 0 {
				continue
			}
			height := hundredths(max(sparkHeight*float64(n)/float64(most), 1.5))
			bottom = hundredths(max(bottom-height, 0))
			s.Bars = append(s.Bars, bar{rect{hundredths(float64(i)*each + 0.5), bottom, hundredths(each - 1), height}, part.class, ""})
		}
	}
	return s
}
