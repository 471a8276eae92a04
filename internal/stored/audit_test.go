package stored

import (
	"strings"
	"testing"
	"unicode/utf8"

	"telltale.example/telltale"
)

func TestATextIsCutBetweenCharacters(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"one that fits", "éééé", "éééé"},
		{"one that does not", "ééééé", "éé…"},
		{"where a character would be split", "xéééé", "xéé…"},
	} {
		if got := CutText(row.text, 8); got != row.want || len(got) > 8 || !utf8.ValidString(got) {
			t.Errorf("%s: %q was cut to %q", row.name, row.text, got)
		}
	}
}

func TestAnEntrysTextsAreCutAndItsChangesReadBack(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	row, err := CutAudit(&telltale.AuditEntry{Target: long, Name: long, Changes: []telltale.AuditChange{{Field: "url", Before: long, After: "\"ü\"\n"}}})
	if err != nil {
		t.Fatal(err)
	}
	changes, err := AuditChanges(row.Changes)
	if err != nil {
		t.Fatal(err)
	}
	if len(changes) != 1 || changes[0].Field != "url" || changes[0].After != "\"ü\"\n" {
		t.Fatalf("the changes are %+v", changes)
	}
	for _, text := range []string{row.Target, row.Name, changes[0].Before} {
		if len(text) > maxAuditText || !strings.HasSuffix(text, "x…") {
			t.Errorf("a text of %d bytes is kept", len(text))
		}
	}
	if none, err := AuditChanges(""); none != nil || err != nil {
		t.Errorf("without changes there are %v, %v", none, err)
	}
}
