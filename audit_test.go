package telltale

import (
	"os"
	"regexp"
	"testing"
)

func TestEverythingThatIsAuditedHasALabel(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("audit.go")
	if err != nil {
		t.Fatal(err)
	}
	constants := regexp.MustCompile(`AuditAction += "([a-z_.]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(constants) != len(AuditActions()) {
		t.Errorf("there are %d actions and %d labels", len(constants), len(AuditActions()))
	}
	seen := map[string]bool{}
	for _, c := range constants {
		label := AuditAction(c[1]).Label()
		if label == c[1] || seen[label] {
			t.Errorf("%s reads %q", c[1], label)
		}
		seen[label] = true
	}
	if label := AuditAction("something.new").Label(); label != "something.new" {
		t.Errorf("what is no action reads %q", label)
	}
}
