package web_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// Documents are for everyone: they are what one reads before there is an account.
func TestDocumentsAreReadByAnyone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stranger := w.newBrowser()
	stranger.get("/docs").want(http.StatusOK).says("Quickstart", "Log in", "Verifying signatures", "API reference").lacks("Settings</a>")
	stranger.get("/docs/errors").want(http.StatusOK).says("Errors of the API", "not_found")
	stranger.get("/docs/api").want(http.StatusOK).says("Add a webhook", "curl $SERVER/v1/webhooks", "Objects")
	stranger.get("/docs/nothing").want(http.StatusNotFound).says("There is no document at this address.")
	stranger.get("/docs/decisions/README.md").want(http.StatusNotFound)
	w.get("/docs/verify").want(http.StatusOK).says("Verifying signatures", "Reporting Webhooks", "Acme").lacks("Log in")
}

func TestEveryLinkOfADocumentLeadsSomewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stranger := w.newBrowser()
	links := regexp.MustCompile(`href="(/[^"#]*)`)
	seen, waiting := map[string]bool{"/docs": true}, []string{"/docs"}
	for len(waiting) > 0 {
		path := waiting[0]
		waiting = waiting[1:]
		p := stranger.get(path)
		if p.want(http.StatusOK); !strings.HasPrefix(path, "/docs") {
			continue
		}
		for _, m := range links.FindAllStringSubmatch(p.body, -1) {
			if !seen[m[1]] {
				seen[m[1]], waiting = true, append(waiting, m[1])
			}
		}
	}
	if len(seen) < 15 {
		t.Errorf("only %d pages were found: %v", len(seen), seen)
	}
}
