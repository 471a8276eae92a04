package app

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// readyTimeout bounds how long /readyz asks, so that a prober gets an answer
// while a part hangs.
const readyTimeout = 5 * time.Second

// opsHandler is the listener for those who run the node: /healthz says that the
// process answers, /readyz that it can do its work, /metrics what it did. A node that
// is paused is ready for what it does: it accepts.
func opsHandler(registry *prometheus.Registry, checks map[string]func(context.Context) error, paused func() bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		status, parts := http.StatusOK, map[string]string{}
		for name, check := range checks {
			parts[name] = "ok"
			if err := check(ctx); err != nil {
				status, parts[name] = http.StatusServiceUnavailable, err.Error()
			}
		}
		verdict := "ready"
		if status != http.StatusOK {
			verdict = "not ready"
		}
		writeJSON(w, status, map[string]any{"status": verdict, "paused": paused(), "checks": parts})
	})
	return mux
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the prober went away; there is nobody to tell
}
