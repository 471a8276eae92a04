package track

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"telltale.example/telltale/internal/httpserver"
)

// Form writes errors as the API's clients know them: status and message. Their
// codes are fewer than ours: whatever is wrong with the input is 400, and with
// the key 401.
func Form(p *httpserver.Problem, h http.Header) []byte {
	switch p.Status {
	case http.StatusUnprocessableEntity, http.StatusUnsupportedMediaType:
		p.Status = http.StatusBadRequest
	case http.StatusForbidden:
		p.Status = http.StatusUnauthorized
	}
	allowOrigins(h)
	h.Set("Content-Type", "application/json")
	body := []byte(`{"status":` + strconv.Itoa(p.Status) + `,"message":`)
	body, _ = jsontext.AppendQuote(body, message(p)) // the error is that what is no UTF-8 was replaced
	return append(body, '}')
}

// toldFaults is how many faults a message tells.
const toldFaults = 5

// message says what is wrong, and where.
func message(p *httpserver.Problem) string {
	if len(p.Errors) == 0 {
		return p.Detail
	}
	told := make([]string, 0, toldFaults+1)
	for i, f := range p.Errors {
		if i == toldFaults {
			told = append(told, fmt.Sprintf("There are %d more faults.", len(p.Errors)-i))
			break
		}
		text := f.Location + ": " + f.Message
		if f.Expected != "" {
			text += " Expected: " + f.Expected + "."
		}
		told = append(told, text)
	}
	return strings.Join(told, " ")
}

// allowOrigins lets pages of any site read the answer. Cookies play no part, so
// there is nothing that a page could do in somebody's name.
func allowOrigins(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Request-Id, Retry-After")
}

// preflight answers a browser that asks what it may send. The star covers all
// headers but Authorization, in browsers that know it.
func preflight(w http.ResponseWriter, methods []string) error {
	if methods == nil {
		methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete}
	}
	h := w.Header()
	h.Set("Allow", allowed(methods))
	h.Set("Access-Control-Allow-Methods", allowed(methods))
	h.Set("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, X-Requested-With, *")
	h.Set("Access-Control-Max-Age", "7200") // the longest that browsers believe
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func allowed(methods []string) string {
	return strings.Join(append(slices.Clone(methods), http.MethodOptions), ", ")
}
