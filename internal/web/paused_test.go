package web_test

import (
	"net/http"
	"testing"

	"telltale.example/telltale/internal/config"
)

// A server that was started paused says so on every page, until somebody who may
// lets it go on.
func TestAPausedServerSaysSoUntilItIsResumed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *config.Config) { c.Paused = true })
	for _, path := range []string{"/admin/system", "/p/default/deliveries"} {
		w.get(path).want(http.StatusOK).says("This server is paused.", "Resume sending")
	}
	w.follow(w.post("/admin/resume", nil)).says("Sending goes on.").lacks("This server is paused.")
}
