package telltale

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestFailureSentences(t *testing.T) {
	t.Parallel()
	const url = "https://hooks.example.com/webhooks?token=t0ken"
	for _, tt := range []struct {
		name     string
		attempt  Attempt
		url      string
		sentence string
		fix      string
	}{
		{"a success", Attempt{Status: 200, Duration: 12 * time.Millisecond}, "http://localhost:9000/hook", "localhost answered 200 OK in 12 ms.", ""},
		{"a server error", Attempt{Status: 500, Duration: 9 * time.Millisecond, Error: ErrorHTTPStatus, Failure: FailureHTTP5xx}, "http://localhost:9000/hook",
			"localhost answered 500 Internal Server Error in 9 ms.", "It should answer with any 2xx status."},
		{"an unknown status", Attempt{Status: 599, Duration: 1500 * time.Millisecond, Failure: FailureHTTP5xx}, url, "hooks.example.com answered 599 in 1.5 s.", fixStatus},
		{"a status without a code", Attempt{Status: 404, Duration: 1, Error: ErrorHTTPStatus}, url, "hooks.example.com answered 404 Not Found in 1 ms.", "It should answer with any 2xx status. Check the path in the URL."},
		{"no answer", Attempt{Failure: FailureResponseTimeout, Detail: "5 s"}, url, "No answer within 5 s.", "Answer first, process later."},
		{"no name", Attempt{Failure: FailureDNSNotFound}, url, "The name hooks.example.com does not exist.", "Check the URL for typing mistakes."},
		{"a closed port of the scheme", Attempt{Failure: FailureConnectRefused}, url, "Nothing is listening on port 443.", "Is the service running?"},
		{"a closed port of the URL", Attempt{Failure: FailureConnectRefused}, "http://localhost:9000/", "Nothing is listening on port 9000.", "Is the service running?"},
		{"a port of http", Attempt{Failure: FailureConnect}, "http://localhost/", "No connection to port 80 of localhost.", "Is the service running, and can this server reach it?"},
		{"a certificate that expired", Attempt{Failure: FailureTLSExpired, Detail: "2026-11-20 (3 days ago)"}, url, "The certificate expired on 2026-11-20 (3 days ago).", "Renew the certificate."},
		{"the same without its date", Attempt{Failure: FailureTLSExpired}, url, "The certificate has expired.", "Renew the certificate."},
		{"a redirect", Attempt{Status: 301, Failure: FailureRedirect, Detail: "https://new.example.com"}, url,
			"hooks.example.com answered 301 Moved Permanently, a redirect to https://new.example.com.", "Redirects are not followed. Change the URL to the new address."},
		{"a blocked address", Attempt{Error: ErrorBlockedAddress, Failure: FailureAddressBlocked}, "https://10.2.0.8:8443/", "10.2.0.8 is a private or reserved address.", "An administrator can allow it with TELLTALE_ALLOW_CIDRS."},
		{"a blocked address of IPv6", Attempt{Error: ErrorBlockedAddress, Failure: FailureAddressBlocked}, "https://[::1]:8443/", "::1 is a private or reserved address.", "An administrator can allow it with TELLTALE_ALLOW_CIDRS."},
		{"a blocked name", Attempt{Error: ErrorBlockedAddress, Failure: FailureAddressBlocked, RemoteAddr: ""}, url, "The host hooks.example.com is not allowed.", "An administrator can allow it with TELLTALE_ALLOW_CIDRS."},
		{"a blocked rule", Attempt{Error: ErrorBlockedAddress, Failure: FailureAddressBlocked, Detail: "Start the URL with https://."}, url, "Start the URL with https://.", ""},
		{"a node that is gone, as the store logs it", Attempt{Error: ErrorInterrupted}, url, "Telltale stopped during the attempt; its outcome is unknown.", "Deliveries are tried again with the same webhook-id."},
		{"a code from another version", Attempt{Error: ErrorTLS, Failure: "tls_quantum"}, url, "Telltale could not make the request.", "The server's log says more."},
		{"a detail that looks like a placeholder", Attempt{Failure: FailureTLSName, Detail: "{host}"}, url, "The certificate is for {host}, not for hooks.example.com.", "Use a certificate that names the URL's host."},
		{"an attempt without a request", Attempt{Status: 503, Duration: time.Second}, "", "the receiver answered 503 Service Unavailable in 1 s.", fixStatus},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := tt.attempt
			a.Request.URL = tt.url
			if got := a.Sentence(); got != tt.sentence {
				t.Errorf("sentence %q; want %q", got, tt.sentence)
			}
			if got := a.Fix(); got != tt.fix {
				t.Errorf("fix %q; want %q", got, tt.fix)
			}
		})
	}
}

// Every code has a sentence and a fix that are whole, with a detail or without,
// and show nothing of the URL but its host and port, nor the address behind it.
func TestEveryFailureCodeSpeaks(t *testing.T) {
	t.Parallel()
	seen := map[FailureCode]bool{}
	for _, code := range FailureCodes() {
		if seen[code] {
			t.Errorf("%s is in the catalogue twice", code)
		}
		seen[code] = true
		for _, detail := range []string{"", "DETAIL"} {
			a := Attempt{
				Status: 404, Failure: code, Detail: detail, Duration: time.Second, RemoteAddr: "10.9.8.7:443",
				Request: SentRequest{URL: "https://hooks.example.com/path/t0ken?key=k3y"},
			}
			for _, text := range []string{a.Sentence(), a.Fix()} {
				if text == "" && detail == "" || strings.ContainsAny(text, "{}") || strings.Contains(text, "t0ken") || strings.Contains(text, "k3y") || strings.Contains(text, "10.9.8.7") {
					t.Errorf("%s, detail %q: %q", code, detail, text)
				}
				if text != "" && text != detail && !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "?") {
					t.Errorf("%s: %q is no sentence", code, text)
				}
			}
			if detail == "" && strings.Contains(a.Sentence(), "  ") {
				t.Errorf("%s: %q has a gap", code, a.Sentence())
			}
		}
	}
	for class, code := range byClass {
		if !seen[code] {
			t.Errorf("class %s leads to %s, which is not in the catalogue", class, code)
		}
	}
}

func TestFailureOfStatus(t *testing.T) {
	t.Parallel()
	own := map[int]FailureCode{
		http.StatusUnauthorized: FailureHTTP401, http.StatusNotFound: FailureHTTP404, http.StatusGone: FailureHTTP410,
		http.StatusRequestEntityTooLarge: FailureHTTP413, http.StatusTooManyRequests: FailureHTTP429,
	}
	for status := range 1000 {
		want, ok := own[status]
		switch {
		case ok:
		case status >= 300 && status < 400:
			want = FailureRedirect
		case status >= 400 && status < 500:
			want = FailureHTTP4xx
		case status >= 500 && status < 600:
			want = FailureHTTP5xx
		default:
			want = FailureProtocol
		}
		if got := FailureOfStatus(status); got != want {
			t.Errorf("%d: %s; want %s", status, got, want)
		}
	}
}

func TestDurationsForPeople(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "1 ms", time.Microsecond: "1 ms", 12*time.Millisecond + 400*time.Microsecond: "12 ms", 999*time.Millisecond + 700*time.Microsecond: "1 s",
		1500 * time.Millisecond: "1.5 s", 5 * time.Second: "5 s", 5*time.Second + 3*time.Millisecond: "5 s", 90 * time.Second: "90 s",
		10 * time.Minute: "10 min", 90 * time.Minute: "90 min", 150 * time.Minute: "2.5 h", 24 * time.Hour: "24 h",
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%v: %q; want %q", d, got, want)
		}
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	request := SentRequest{URL: "http://localhost:9000/hook"}
	for _, tt := range []struct {
		name    string
		attempt Attempt
		want    string
	}{
		{"a success", Attempt{Status: 200, Duration: 12 * time.Millisecond}, "Test succeeded. localhost answered 200 OK in 12 ms."},
		{"a server error", Attempt{Status: 500, Duration: 9 * time.Millisecond, Failure: FailureHTTP5xx}, "Test failed. localhost answered 500 Internal Server Error in 9 ms. It should answer with any 2xx status."},
		{"no answer", Attempt{Failure: FailureResponseTimeout, Detail: "5 s"}, "Test failed. No answer within 5 s. Answer first, process later."},
		{"a failure whose detail says what to do", Attempt{Error: ErrorBlockedAddress, Failure: FailureAddressBlocked, Detail: "Start the URL with https://."}, "Test failed. Start the URL with https://."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.attempt.Request = request
			if got := tt.attempt.Verdict(); got != tt.want {
				t.Errorf("%q; want %q", got, tt.want)
			}
		})
	}
}
