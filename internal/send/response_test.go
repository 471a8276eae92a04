package send

import (
	"net/http"
	"testing"
	"time"

	"telltale.example/telltale"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name, value string
		want        time.Duration
	}{
		{"nothing", "", 0},
		{"seconds", "120", 2 * time.Minute},
		{"seconds with space around", " 7 ", 7 * time.Second},
		{"zero", "0", 0},
		{"a day", "86400", 24 * time.Hour},
		{"more than a day is cut", "86401", 24 * time.Hour},
		{"more than a number holds is cut", "99999999999999999999999999", 24 * time.Hour},
		{"negative", "-1", 0},
		{"a fraction", "1.5", 0},
		{"a word", "soon", 0},
		{"a date", "Mon, 23 Nov 2026 12:05:00 GMT", 5 * time.Minute},
		{"a date long past", "Mon, 01 Jan 1990 12:05:00 GMT", 0},
		{"a date far ahead is cut", "Mon, 23 Nov 2099 12:05:00 GMT", 24 * time.Hour},
		{"an old form of date", "Monday, 23-Nov-26 12:05:00 GMT", 5 * time.Minute},
		{"a date that is none", "Mon, 99 Nov 2026 12:05:00 GMT", 0},
	} {
		if got := parseRetryAfter(tt.value, now); got != tt.want {
			t.Errorf("%s: %v; want %v", tt.name, got, tt.want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "120", "-1", "1e9", "00000000000000000001", "Mon, 23 Nov 2026 12:05:00 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		if got := parseRetryAfter(value, now); got < 0 || got > telltale.MaxRetryAfter {
			t.Errorf("%q: %v", value, got)
		}
	})
}

// What came from outside leaves as a header value that net/http takes.
func FuzzHeaderValues(f *testing.F) {
	for _, s := range []string{"", "api", "a\r\nb: c", "ä", "\x00\x7f\xff", "https://example.com/ä?a=b c"} {
		f.Add(s)
	}
	allowed := func(s string) bool {
		for i := range len(s) {
			if s[i] < ' ' || s[i] > '~' {
				return false
			}
		}
		return true
	}
	f.Fuzz(func(t *testing.T, s string) {
		if v := visible(s); !allowed(v) || len(v) != len(s) {
			t.Errorf("%q is made visible as %q", s, v)
		}
		if v := escape(s); !allowed(v) || escape(v) != v {
			t.Errorf("%q is escaped as %q", s, v)
		}
	})
}

func TestRetryAfterIsRead(t *testing.T) {
	t.Parallel()
	url, _ := listenWell(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "90")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	a := newSender(t, nil).Send(t.Context(), newClaim(), newWebhook(url))
	if a.RetryAfter != 90*time.Second || a.Failure != telltale.FailureHTTP429 || a.Error != telltale.ErrorHTTPStatus {
		t.Errorf("attempt %+v; want a wait of 90 s", a)
	}
}
