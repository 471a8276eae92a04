package browser

import (
	"os"
	"path/filepath"
	"testing"
)

// images is where the pictures of the documents are.
const images = "../../docs/images"

// TestImages makes the pictures of the documents, when it is asked to.
func TestImages(t *testing.T) {
	if !*makeImages {
		for _, name := range []string{"overview", "webhooks", "add-webhook", "delivery"} {
			for _, scheme := range []string{"light", "dark"} {
				if _, err := os.Stat(filepath.Join(images, name+"-"+scheme+".png")); err != nil {
					t.Errorf("%v; make the pictures with: go test ./internal/browser -run TestImages -images", err)
				}
			}
		}
		return
	}
	w := newDay(t)
	folder := images
	if f := os.Getenv("TELLTALE_TEST_SCREENSHOTS"); f != "" {
		folder = f
	}
	b := w.owner()
	detail := "/p/default/deliveries/" + w.retried(toSegment)
	for _, scheme := range []string{"light", "dark"} {
		b.media("prefers-color-scheme", scheme)
		picture := func(name string) { b.picture(filepath.Join(folder, name+"-"+scheme+".png")) }
		b.open("/p/default/")
		b.the("heading", "Overview")
		picture("overview")
		b.open("/p/default" + reporting)
		b.the("heading", "Reporting webhooks")
		picture("webhooks")
		b.click("link", "Add webhook")
		b.the("dialog", "Add webhook")
		b.click("checkbox", "Bounced (hard and soft)")
		b.click("checkbox", "Complained")
		b.fill("URL", "https://hooks.zapier.com/hooks/catch/4823911/suppressions/")
		b.says("#advice", "This looks like a Zapier hook.")
		picture("add-webhook")
		b.open(detail)
		b.the("heading", "Clicked to events.acme.example/segment")
		picture("delivery")
	}
}

// retried finds a delivery of a click to the URL that succeeded with its second attempt.
func (w *world) retried(address string) string {
	w.Helper()
	var hooks struct{ Data []struct{ ID, URL string } }
	w.api("GET", "/v1/webhooks?project=default", "", &hooks)
	for _, hook := range hooks.Data {
		if hook.URL != address {
			continue
		}
		var list struct {
			Data []struct {
				ID       string `json:"id"`
				Attempts int    `json:"attempt_count"`
			}
		}
		w.api("GET", "/v1/deliveries?project=default&state=succeeded&event=clicked&limit=500&webhook="+hook.ID, "", &list)
		for _, d := range list.Data {
			if d.Attempts == 2 {
				return d.ID
			}
		}
	}
	w.Fatal("no click was retried")
	return ""
}
