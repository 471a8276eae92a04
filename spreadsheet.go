package telltale

import "strings"

// SpreadsheetCell gives text as a cell of a CSV file that people open: with an
// apostrophe before what a spreadsheet would read as a formula, and compute (OWASP,
// CSV injection). Much of what is exported was written by strangers.
func SpreadsheetCell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r\n", rune(text[0])) {
		return "'" + text
	}
	return text
}
