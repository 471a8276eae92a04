package stored

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
)

func exampleAttempt() *telltale.Attempt {
	return &telltale.Attempt{
		Timing: telltale.Timing{DNS: time.Millisecond, FirstByte: 3 * time.Microsecond}, RetryAfter: time.Minute, RemoteAddr: "192.0.2.1:443",
		Request:  telltale.SentRequest{Method: "POST", URL: "https://a.example/", Headers: []telltale.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "x", Value: ""}}},
		Response: telltale.GotResponse{Headers: []telltale.Header{{Name: "Date", Value: "now"}}, Truncated: true},
	}
}

func FuzzDecodeExchange(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{2})
	f.Add(EncodeExchange(exampleAttempt()))
	f.Add([]byte("\x010\xdd\xdd\xdd\xdd\xdd\xdd\xdd00000\x00\x00\x010\x00\x010\x03000")) // more microseconds than a duration holds
	f.Fuzz(func(t *testing.T, b []byte) {
		var a telltale.Attempt
		if DecodeExchange(b, &a) != nil || len(b) == 0 {
			return
		}
		var again telltale.Attempt
		if err := DecodeExchange(EncodeExchange(&a), &again); err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		if diff := cmp.Diff(a, again); diff != "" {
			t.Fatalf("decoded, encoded and decoded it differs:\n%s", diff)
		}
	})
}
