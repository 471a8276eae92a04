package signature

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// referenceSecret is that of Standard Webhooks' reference vector.
const referenceSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func mustSecret(t testing.TB, text string) Secret {
	t.Helper()
	s, err := ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParseSecret(t *testing.T) {
	t.Parallel()
	of := func(n int) string { return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)) }
	tests := []struct {
		name, text string
		detail     string // empty: it parses
	}{
		{"the reference secret", referenceSecret, ""},
		{"24 bytes, the fewest", of(24), ""},
		{"64 bytes, the most", of(64), ""},
		{"23 bytes are too few", of(23), "23 bytes"},
		{"65 bytes are too many", of(65), "65 bytes"},
		{"a megabyte is not decoded", of(1 << 20), "longer"},
		{"nothing", "", "empty"},
		{"no prefix", strings.TrimPrefix(referenceSecret, "whsec_"), "does not start with whsec_"},
		{"the prefix in capitals", "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "does not start with whsec_"},
		{"the prefix alone", "whsec_", "0 bytes"},
		{"a line break at the end, as from a file", referenceSecret + "\n", "white space"},
		{"a line break inside, which Go's base64 would skip", "whsec_MfKQ9r8GKYqr\nTwjUPD8ILPZIo2LaLaSw", "white space"},
		{"a space before", " " + referenceSecret, "white space"},
		{"a private key for v1a", "whsk_" + strings.Repeat("A", 64), "asymmetric"},
		{"a public key for v1a", "whpk_" + strings.Repeat("A", 64), "asymmetric"},
		{"the URL alphabet", "whsec_" + strings.Repeat("-_", 16), "not base64"},
		{"no padding", strings.TrimRight(of(32), "="), "not base64"},
		{"stray bits after the last byte", "whsec_" + strings.Repeat("A", 42) + "B=", "not base64"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := ParseSecret(tt.text)
			if tt.detail == "" {
				if err != nil || s.Reveal() != tt.text {
					t.Fatalf("ParseSecret(%q) = %q, %v; want it back", tt.text, s.Reveal(), err)
				}
				return
			}
			if !errors.Is(err, ErrMalformedSecret) || !strings.Contains(err.Error(), tt.detail) {
				t.Fatalf("error %v; want ErrMalformedSecret that says %q", err, tt.detail)
			}
			if body := strings.TrimPrefix(strings.TrimSpace(tt.text), "whsec_"); len(body) > 8 && strings.Contains(err.Error(), body) {
				t.Errorf("the error repeats the secret: %v", err)
			}
		})
	}
}

func TestNewSecretHas32RandomBytes(t *testing.T) {
	t.Parallel()
	a, b := NewSecret(), NewSecret()
	if a.Reveal() == b.Reveal() {
		t.Error("two new secrets are the same")
	}
	if again := mustSecret(t, a.Reveal()); again.Reveal() != a.Reveal() || len(*again.key) != NewSecretBytes {
		t.Errorf("a new secret has %d bytes and comes back as %s; want %d and the same", len(*again.key), again.Reveal(), NewSecretBytes)
	}
	if (Secret{}).Reveal() != "" {
		t.Error("the zero Secret reveals something")
	}
}

func TestASecretDoesNotPrint(t *testing.T) {
	t.Parallel()
	s := mustSecret(t, "whsec_"+base64.StdEncoding.EncodeToString([]byte("kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk")))
	nested := struct{ secret Secret }{s} // fmt cannot call methods of what an unexported field holds
	var printed strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&printed, verb+" "+verb+" "+verb+"\n", s, &s, nested)
	}
	log := slog.New(slog.NewTextHandler(&printed, nil))
	log.Info("a", "secret", s, "nested", nested)
	slog.New(slog.NewJSONHandler(&printed, nil)).Info("a", "secret", s, "nested", nested)
	for _, leak := range []string{"kkk", "a2tr", "6b6b6b", "6B6B6B", "107 107"} {
		if strings.Contains(printed.String(), leak) {
			t.Errorf("printing shows %q:\n%s", leak, printed.String())
		}
	}
}

func FuzzParseSecret(f *testing.F) {
	for _, s := range []string{referenceSecret, "", "whsec_", "whsec_====", "whsk_AAAA", NewSecret().Reveal()} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSecret(text)
		if err == nil && s.Reveal() != text {
			t.Errorf("ParseSecret(%q) reveals %q: one secret has two texts", text, s.Reveal())
		}
	})
}
