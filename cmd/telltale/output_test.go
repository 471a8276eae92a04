package main

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTableLinesUpWhateverIsInIt(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := program{stdout: &out}
	tab := newTable("ID", "NAME", "STATE")
	tab.row("1", "häßlich", cell{"succeeded", good})
	tab.row(22, "a\x1b[31mred\nline", cell{"failed", bad})
	tab.row("3", "\u202egnp.exe", "waiting")
	p.printTable(tab)
	want := "ID  NAME            STATE\n" +
		"1   häßlich         succeeded\n" +
		"22  a\ufffd[31mred\ufffdline  failed\n" +
		"3   \ufffdgnp.exe        waiting\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestNoColourWhereNobodyLooks(t *testing.T) {
	t.Parallel()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, stream := range map[string]any{"a buffer": &bytes.Buffer{}, "the null device": null, "a file": file} {
		if isTerminal(stream) {
			t.Errorf("%s is taken for a terminal", name)
		}
	}
}

func TestParseSince(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	for text, want := range map[string]time.Time{
		"2h": now.Add(-2 * time.Hour), "10m": now.Add(-10 * time.Minute), "1435016238": time.Unix(1435016238, 0),
		"0": time.Unix(0, 0), "2026-03-01T12:00:00+01:00": time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC),
	} {
		got, err := parseSince("since", text, now)
		if err != nil || !got.Equal(want) {
			t.Errorf("%s is %s (%v), want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"-2h", "tomorrow", "", "253402300800", "-1"} {
		if got, err := parseSince("since", text, now); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}
