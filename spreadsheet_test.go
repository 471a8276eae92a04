package telltale

import (
	"strings"
	"testing"
)

func TestCellsOfASpreadsheetAreNoFormulas(t *testing.T) {
	t.Parallel()
	for cell, want := range map[string]string{
		"=HYPERLINK(1)": "'=HYPERLINK(1)", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t=1", "\r=1": "'\r=1", "\n=1": "'\n=1",
		"steve@example.com": "steve@example.com", "": "", "200": "200",
	} {
		if got := SpreadsheetCell(cell); got != want {
			t.Errorf("%q becomes %q; want %q", cell, got, want)
		}
	}
}

// Whatever a stranger writes, no cell begins a formula, and nothing of it is lost.
func FuzzSpreadsheetCell(f *testing.F) {
	f.Add("=1+1")
	f.Add("'=1")
	f.Add("\xff=")
	f.Fuzz(func(t *testing.T, text string) {
		cell := SpreadsheetCell(text)
		if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r\n") {
			t.Errorf("%q becomes %q", text, cell)
		}
		if cell != text && cell != "'"+text {
			t.Errorf("%q becomes %q", text, cell)
		}
	})
}
