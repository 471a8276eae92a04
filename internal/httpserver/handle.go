package httpserver

import "net/http"

// HandlerFunc is a handler that returns what went wrong. It returns an error
// only before it has written anything.
type HandlerFunc func(http.ResponseWriter, *http.Request) error

// Handle makes h a handler whose error is rendered by [WriteProblem].
func Handle(h HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			WriteProblem(w, r, err)
		}
	})
}
