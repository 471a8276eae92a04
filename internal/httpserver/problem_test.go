package httpserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
)

func TestEveryCodeHasItsStatus(t *testing.T) {
	t.Parallel()
	want := map[telltale.Code]int{
		telltale.Malformed: 400, telltale.Unauthenticated: 401, telltale.Forbidden: 403, telltale.NotFound: 404,
		telltale.MethodNotAllowed: 405, telltale.Conflict: 409, telltale.PreconditionFailed: 412, telltale.TooLarge: 413, telltale.UnsupportedMedia: 415,
		telltale.Invalid: 422, telltale.PreconditionRequired: 428, telltale.RateLimited: 429, telltale.Internal: 500, telltale.Unavailable: 503,
		requestTimeout: 408, clientClosed: 499,
	}
	for code, status := range want {
		if got := answers[code].status; got != status {
			t.Errorf("%s is answered with %d, want %d", code, got, status)
		}
	}
	if len(answers) != len(want) {
		t.Errorf("the table has %d codes, the test %d", len(answers), len(want))
	}
}

func TestProblemSaysWhatACallerMayKnow(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	longPath := "/" + strings.Repeat("p", maxInstance)
	tests := []struct {
		name string
		ctx  context.Context
		path string
		err  error
		want Problem
	}{
		{
			name: "faults are listed in order, with what was expected",
			err: telltale.Faulty("Invalid webhook.", []telltale.Fault{
				{Location: "body.url", Message: "The URL is missing.", Expected: "1 to 2048 characters"},
				{Location: "body.timeout", Message: "The timeout is out of range.", Value: "2h"},
			}),
			want: Problem{
				Type: "/docs/errors#invalid", Title: "The request is invalid", Status: 422, Detail: "Invalid webhook.", Instance: "/v1/webhooks",
				Errors: []Fault{
					{Location: "body.url", Message: "The URL is missing.", Expected: "1 to 2048 characters"},
					{Location: "body.timeout", Message: "The timeout is out of range.", Value: "2h"},
				},
			},
		},
		{
			name: "a value is cut even if its finder forgot to",
			err:  telltale.Faulty("", []telltale.Fault{{Location: "body", Message: "Too long.", Value: strings.Repeat("x", 100)}}),
			want: Problem{
				Type: "/docs/errors#invalid", Title: "The request is invalid", Status: 422, Instance: "/v1/webhooks",
				Errors: []Fault{{Location: "body", Message: "Too long.", Value: strings.Repeat("x", 64) + "…"}},
			},
		},
		{
			name: "an error that was wrapped on its way keeps its code and loses the wrapping",
			err:  fmt.Errorf("sqlite: reading webhook whk_1: %w", telltale.Errorf(telltale.NotFound, "There is no such webhook.")),
			want: Problem{Type: "/docs/errors#not_found", Title: "Not found", Status: 404, Detail: "There is no such webhook.", Instance: "/v1/webhooks"},
		},
		{
			name: "a cause is for the log",
			err:  &telltale.Error{Code: telltale.Unavailable, Message: "Come back later.", Cause: errors.New("disk /dev/sda1 is full")},
			want: Problem{Type: "/docs/errors#unavailable", Title: "Temporarily unavailable", Status: 503, Detail: "Come back later.", Instance: "/v1/webhooks"},
		},
		{
			name: "an error without a code is ours, and hidden",
			err:  errors.New("pq: password authentication failed for user postgres"),
			want: internalProblem,
		},
		{
			name: "an internal error is hidden even if it has a message",
			err:  &telltale.Error{Code: telltale.Internal, Message: "secret.key has no key", Faults: []telltale.Fault{{Location: "x", Message: "y"}}},
			want: internalProblem,
		},
		{
			name: "a code that nobody knows is internal",
			err:  telltale.Errorf("teapot", "I am one."),
			want: internalProblem,
		},
		{
			name: "a body cut off by http.MaxBytesReader is too large",
			err:  fmt.Errorf("huma: %w", &http.MaxBytesError{Limit: 1 << 20}),
			want: Problem{Type: "/docs/errors#too_large", Title: "The request is too large", Status: 413, Detail: "The body is larger than 1 MiB (1048576 bytes). Send it in parts.", Instance: "/v1/webhooks"},
		},
		{
			name: "a deadline that passed can be tried again",
			err:  fmt.Errorf("sqlite: waiting: %w", context.DeadlineExceeded),
			want: Problem{Type: "/docs/errors#unavailable", Title: "Temporarily unavailable", Status: 503, Detail: "It could not be done in time. Try again later.", Instance: "/v1/webhooks"},
		},
		{
			name: "a caller that went away is nobody's fault",
			ctx:  gone,
			err:  &telltale.Error{Code: telltale.Unavailable, Message: "The store was interrupted.", Cause: context.Canceled},
			want: Problem{Type: "/docs/errors#client_closed_request", Title: "The caller went away", Status: 499, Instance: "/v1/webhooks"},
		},
		{
			name: "something cancelled while the caller is there is our fault",
			err:  fmt.Errorf("sqlite: waiting: %w", context.Canceled),
			want: internalProblem,
		},
		{
			name: "a path too long to repeat is left out",
			path: longPath,
			err:  telltale.Errorf(telltale.NotFound, "Nothing."),
			want: Problem{Type: "/docs/errors#not_found", Title: "Not found", Status: 404, Detail: "Nothing."},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := "/v1/webhooks?token=secret"
			if test.path != "" {
				path = test.path
			}
			r := httptest.NewRequest("GET", path, nil)
			if test.ctx != nil {
				r = r.WithContext(test.ctx)
			}
			w := httptest.NewRecorder()
			WriteProblem(w, r, test.err)
			var written Problem
			if err := json.Unmarshal(w.Body.Bytes(), &written); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, written); diff != "" || w.Code != test.want.Status {
				t.Errorf("written with status %d, -want +got:\n%s", w.Code, diff)
			}
		})
	}
}

var internalProblem = Problem{
	Type: "/docs/errors#internal", Title: "Internal error", Status: 500, Instance: "/v1/webhooks",
	Detail: "Something went wrong on our side. The server's log has it under this request id.",
}

func TestProblemHeaders(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
		want map[string]string // "" means that it is not there
	}{
		{
			name: "every problem is problem+json and not stored",
			err:  telltale.Errorf(telltale.Invalid, "<No> & no."),
			want: map[string]string{"Content-Type": "application/problem+json", "Cache-Control": "no-store", "Retry-After": "", "Www-Authenticate": ""},
		},
		{
			name: "401 says how to authenticate",
			err:  telltale.Errorf(telltale.Unauthenticated, "No key."),
			want: map[string]string{"Www-Authenticate": `Bearer realm="telltale"`, "Retry-After": ""},
		},
		{
			name: "429 says when to come back, rounded up",
			err:  &telltale.Error{Code: telltale.RateLimited, RetryAfter: 1001 * time.Millisecond},
			want: map[string]string{"Retry-After": "2"},
		},
		{
			name: "a millisecond is a second",
			err:  &telltale.Error{Code: telltale.RateLimited, RetryAfter: time.Millisecond},
			want: map[string]string{"Retry-After": "1"},
		},
		{
			name: "503 says when to come back even if the error does not",
			err:  telltale.Errorf(telltale.Unavailable, "Busy."),
			want: map[string]string{"Retry-After": "1"},
		},
		{
			name: "what was meant for the answer that did not come is taken away",
			err:  telltale.Errorf(telltale.Conflict, "No."),
			want: map[string]string{"Etag": "", "Last-Modified": "", "Content-Encoding": ""},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			for _, name := range []string{"Etag", "Last-Modified", "Content-Encoding"} {
				w.Header().Set(name, "something")
			}
			WriteProblem(w, httptest.NewRequest("GET", "/", nil), test.err)
			for name, want := range test.want {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if strings.Contains(w.Body.String(), `\u003c`) {
				t.Errorf("HTML escapes make the text hard to read: %s", w.Body)
			}
		})
	}
}

func TestByteSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		5 << 20: "5 MiB (5242880 bytes)", 256 << 10: "256 KiB (262144 bytes)", 1500: "1500 bytes", 0: "0 bytes",
	} {
		if got := byteSize(n); got != want {
			t.Errorf("byteSize(%d) = %q, want %q", n, got, want)
		}
	}
}
