package telltale

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the page of failures anew")

const failurePage = "docs/failures.md"

// TestFailurePage holds docs/failures.md to the catalogue that it is generated
// from; with -update it writes the page.
func TestFailurePage(t *testing.T) {
	t.Parallel()
	page := failureReference()
	if *update {
		if err := os.WriteFile(failurePage, page, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	written, err := os.ReadFile(failurePage)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(written, page) {
		t.Errorf("%s is not what the catalogue says; write it anew with: go test . -update", failurePage)
	}
}

func failureReference() []byte {
	var b bytes.Buffer
	b.WriteString(`# Failures of deliveries

<!-- Generated from failure.go by: go test . -update -->

Why an attempt failed, in one word, and what to do about it. The pages, the API (` + "`failure_code`" + `), the command line and the log use the same words.

Every failure but [http_410](#http_410) leads to another attempt on the webhook's retry schedule; [Health](health.md) says what follows if they go on. The words in italics differ from attempt to attempt.
`)
	italics := strings.NewReplacer("{host}", "*host*", "{port}", "*port*", "{status}", "*status*", "{took}", "*time*")
	for _, f := range catalogue {
		sentence := f.sentence
		if strings.Contains(sentence, "{detail}") {
			sentence = f.bare // what can be said in general
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n%s\n", f.code, italics.Replace(sentence), f.fix)
	}
	return b.Bytes()
}
