package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// hint says on the standard error what is good to know and not what was asked for.
func (p *program) hint(format string, args ...any) {
	if !p.quiet {
		fmt.Fprintln(p.stderr, printable(fmt.Sprintf(format, args...)))
	}
}

// say writes a line of data.
func (p *program) say(format string, args ...any) {
	fmt.Fprintln(p.stdout, printable(fmt.Sprintf(format, args...)))
}

// printable takes the control characters out of what others wrote, so that
// nobody's webhook description moves the cursor or renames the window.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if unicode.IsControl(r) || bidi(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}

// bidi reports the characters that change the direction of writing, with which
// a text can be made to read as another one.
func bidi(r rune) bool {
	return r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' || r == '\u200e' || r == '\u200f'
}

// writeJSON writes v as one line.
func (p *program) writeJSON(v any) error {
	enc := json.NewEncoder(p.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// cell is a field of a table.
type cell struct {
	text string
	tone tone
}

// tone is how good or bad what a cell says is.
type tone string

const (
	plain tone = ""
	good  tone = "\x1b[32m" // green
	bad   tone = "\x1b[31m" // red
	dim   tone = "\x1b[2m"
	reset      = "\x1b[0m"
)

// table lines up its columns by the widest field, with two spaces between.
type table struct {
	head []string
	rows [][]cell
}

func newTable(head ...string) *table { return &table{head: head} }

// row adds a row of strings and cells.
func (t *table) row(fields ...any) {
	row := make([]cell, len(fields))
	for i, f := range fields {
		c, ok := f.(cell)
		if !ok {
			c.text = fmt.Sprint(f)
		}
		c.text = printable(c.text)
		row[i] = c
	}
	t.rows = append(t.rows, row)
}

func (p *program) printTable(t *table) {
	width := make([]int, len(t.head))
	for i, h := range t.head {
		width[i] = utf8.RuneCountInString(h)
	}
	for _, row := range t.rows {
		for i, c := range row {
			width[i] = max(width[i], utf8.RuneCountInString(c.text))
		}
	}
	colour := p.colour()
	var b strings.Builder
	line := func(cells []cell) {
		for i, c := range cells {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c.text))
			if i == len(cells)-1 {
				pad = ""
			}
			if colour && c.tone != plain {
				c.text = string(c.tone) + c.text + reset
			}
			b.WriteString(c.text + pad)
			if i < len(cells)-1 {
				b.WriteString("  ")
			}
		}
		b.WriteByte('\n')
	}
	head := make([]cell, len(t.head))
	for i, h := range t.head {
		head[i] = cell{h, dim}
	}
	line(head)
	for _, row := range t.rows {
		line(row)
	}
	fmt.Fprint(p.stdout, b.String())
}

// colour reports whether the standard output is a terminal whose reader did not
// ask for no colour (https://no-color.org: NO_COLOR set to anything).
func (p *program) colour() bool {
	return !p.noColor && p.env("NO_COLOR") == "" && p.env("TERM") != "dumb" && isTerminal(p.stdout)
}

func (p *program) env(name string) string {
	for _, entry := range p.environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// isTerminal reports whether a person sits at the other end: a character device
// that is not the null device.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// confirm asks before something that cannot be taken back.
func (p *program) confirm(question string) error {
	if p.yes || p.dryRun {
		return nil
	}
	if !isTerminal(p.stdin) || !isTerminal(p.stderr) {
		return usage("%s There is no terminal to ask at; add --yes", question)
	}
	fmt.Fprintf(p.stderr, "%s [y/N] ", printable(question))
	var answer [16]byte
	n, err := p.stdin.Read(answer[:])
	if err != nil && err != io.EOF {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(string(answer[:n]))) {
	case "y", "yes":
		return nil
	}
	return fail(exitConflict, "nothing was done")
}

// stamp writes a time for people: UTC, to the second.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// orDash fills an empty field, so that columns can be told apart.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// millis writes a duration as people compare them.
func millis(ms float64) string {
	if ms >= 10 || ms == 0 {
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f ms", ms)
}

// field is a line of what is shown about one thing.
type field struct{ name, value string }

// printFields lines up names and values.
func (p *program) printFields(fields ...field) {
	width := 0
	for _, f := range fields {
		width = max(width, len(f.name))
	}
	for _, f := range fields {
		p.say("%-*s  %s", width, f.name, orDash(f.value))
	}
}
