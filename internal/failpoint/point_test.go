package failpoint

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const above = "../.."

var placed = regexp.MustCompile(`failpoint\.Here\(("?)([^)"]*)"?\)`)

// Every point is in the code, and the code names no other, so that a program that is
// told to die at a point comes there.
func TestEveryPointIsPlaced(t *testing.T) {
	places := map[string]int{}
	err := filepath.WalkDir(above, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			nested, _ := filepath.Glob(filepath.Join(path, "go.mod"))
			if path != above && (strings.HasPrefix(d.Name(), ".") || len(nested) > 0) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || filepath.Base(filepath.Dir(path)) == "failpoint" {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, at := range placed.FindAllStringSubmatch(string(text), -1) {
			if at[1] == "" {
				t.Errorf("%s: the point %s is not named in quotes", path, at[2])
			}
			places[at[2]]++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range Points {
		if places[p.Name] == 0 {
			t.Errorf("the point %s is nowhere", p.Name)
		}
		delete(places, p.Name)
	}
	for name := range places {
		t.Errorf("the point %q is not listed", name)
	}
}
