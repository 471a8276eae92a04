package send

import (
	"cmp"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"telltale.example/telltale"
)

// maxDrained is how much of a body is read beyond what is kept, so that its
// connection can be used again. A longer one costs the connection.
const maxDrained = 48 << 10

var scratches = sync.Pool{New: func() any { return new([2 * telltale.MaxResponseBody]byte) }}

// read takes what is kept of an answer. Once its status is known nothing can go
// wrong any more: what the body does is the receiver's affair.
func read(r *http.Response, a *telltale.Attempt, now time.Time) {
	defer r.Body.Close()
	a.Status = r.StatusCode
	a.Response.Headers = recordHeaders(r.Header)
	if r.StatusCode != http.StatusSwitchingProtocols { // its body is the connection itself
		a.Response.Body, a.Response.Truncated = readBody(r.Body)
	}
	if a.Success() {
		return
	}
	a.Error, a.Failure = telltale.ErrorHTTPStatus, telltale.FailureOfStatus(r.StatusCode)
	switch a.Failure {
	case telltale.FailureProtocol:
		a.Error = telltale.ErrorProtocol
	case telltale.FailureRedirect:
		a.Detail = redirectTarget(r)
	}
	a.RetryAfter = parseRetryAfter(r.Header.Get("Retry-After"), now)
}

// readBody keeps the start of a body and whether there was more. The deadline
// bounds its time.
func readBody(body io.Reader) (kept []byte, truncated bool) {
	if body == http.NoBody {
		return nil, false
	}
	scratch := scratches.Get().(*[2 * telltale.MaxResponseBody]byte)
	defer scratches.Put(scratch)
	n, err := io.ReadFull(body, scratch[:telltale.MaxResponseBody])
	if n > 0 {
		kept = slices.Clone(scratch[:n])
	}
	if err != nil {
		return kept, false
	}
	rest := scratch[telltale.MaxResponseBody:]
	for drained := 0; drained < maxDrained; {
		n, err := body.Read(rest)
		drained += n
		truncated = truncated || n > 0
		if err != nil {
			break
		}
	}
	return kept, truncated
}

// recordHeaders lists headers by name; net/http does not keep their order.
func recordHeaders(h http.Header) []telltale.Header {
	list := make([]telltale.Header, 0, len(h))
	for name, values := range h {
		for _, v := range values {
			list = append(list, telltale.Header{Name: name, Value: strings.ToValidUTF8(v, "\uFFFD")})
		}
	}
	slices.SortStableFunc(list, func(a, b telltale.Header) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// redirectTarget names where a redirect leads: scheme and host only, since the
// rest may hold what is not meant for a sentence.
func redirectTarget(r *http.Response) string {
	to, err := url.Parse(r.Header.Get("Location"))
	if err != nil || r.Header.Get("Location") == "" {
		return ""
	}
	to = r.Request.URL.ResolveReference(to)
	if to.Host == "" {
		return ""
	}
	return printable(to.Scheme + "://" + to.Host)
}

// parseRetryAfter reads Retry-After (RFC 9110, section 10.2.3): seconds or a
// date. What is neither, or past, is 0; what is too far is cut.
func parseRetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" || len(value) > 100 {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseUint(value, 10, 31)
		if err != nil { // only its size can be wrong
			return telltale.MaxRetryAfter
		}
		return min(time.Duration(seconds)*time.Second, telltale.MaxRetryAfter)
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(date.Sub(now), 0), telltale.MaxRetryAfter)
}
