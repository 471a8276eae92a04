package stored

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// A column that is sealed and not in the list would lose what it holds with the key.
func TestEveryColumnThatIsSealedIsSealedAnew(t *testing.T) {
	t.Parallel()
	table, column := regexp.MustCompile(`^CREATE TABLE (\w+)`), regexp.MustCompile(`(?i)^\s+(\w+)\s+(?:blob|bytea),?\s+-- sealed`)
	for _, engine := range []string{"sqlite", "postgres"} {
		files, err := filepath.Glob(filepath.Join("..", engine, "migration", "*.sql"))
		if err != nil || len(files) == 0 {
			t.Fatalf("there are no migrations of %s: %v", engine, err)
		}
		found := map[SealedColumn]bool{}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			within := ""
			for _, line := range regexp.MustCompile(`\n`).Split(string(text), -1) {
				if m := table.FindStringSubmatch(line); m != nil {
					within = m[1]
				} else if m := column.FindStringSubmatch(line); m != nil {
					found[SealedColumn{within, m[1]}] = true
				}
			}
		}
		if len(found) != len(SealedColumns) {
			t.Errorf("%s has the sealed columns %v, and those are sealed anew: %v", engine, found, SealedColumns)
		}
		for _, c := range SealedColumns {
			if !found[c] {
				t.Errorf("%s has no sealed column %v", engine, c)
			}
		}
	}
}
