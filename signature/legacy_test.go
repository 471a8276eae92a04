package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"testing"
)

func TestLegacySignature(t *testing.T) {
	t.Parallel()
	// RFC 4231, test cases 2 and 6: a short key, and one longer than a block.
	long := strings.Repeat("\xaa", 131)
	for _, v := range []struct{ key, body, want string }{
		{"Jefe", "what do ya want for nothing?", "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{long, "Test Using Larger Than Block-Size Key - Hash Key First", "sha256=60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
	} {
		if got := NewLegacySigner(v.key).Sign([]byte(v.body)); got != v.want {
			t.Errorf("key %q signs %s; want %s", v.key, got, v.want)
		}
	}
}

// The key is the secret's text, so that a receiver needs no base64.
func TestLegacyKeyIsTheSecretsText(t *testing.T) {
	t.Parallel()
	s := NewSecret()
	m := hmac.New(sha256.New, []byte(s.Reveal()))
	m.Write([]byte(referenceBody))
	if got, want := NewLegacySigner(s.Reveal()).Sign([]byte(referenceBody)), "sha256="+hex.EncodeToString(m.Sum(nil)); got != want {
		t.Errorf("signs %s; want %s", got, want)
	}
}

func TestVerifyLegacy(t *testing.T) {
	t.Parallel()
	right := NewLegacySigner("key").Sign([]byte("body"))
	tests := []struct {
		name   string
		values []string
		keys   []string
		body   string
		reason error
	}{
		{"right", []string{right}, []string{"key"}, "body", nil},
		{"right with the second key", []string{right}, []string{"other", "key"}, "body", nil},
		{"hex in capitals", []string{"sha256=" + strings.ToUpper(right[7:])}, []string{"key"}, "body", nil},
		{"another key", []string{right}, []string{"other"}, "body", ErrMismatch},
		{"no key", []string{right}, nil, "body", ErrMismatch},
		{"an empty key", []string{NewLegacySigner("x").Sign([]byte("body"))}, []string{""}, "body", ErrMalformedSecret},
		{"another body", []string{right}, []string{"key"}, "body\n", ErrMismatch},
		{"no header", nil, []string{"key"}, "body", ErrMissingHeader},
		{"an empty header", []string{""}, []string{"key"}, "body", ErrMissingHeader},
		{"the header twice", []string{right, right}, []string{"key"}, "body", ErrMalformedHeader},
		{"no prefix", []string{right[7:]}, []string{"key"}, "body", ErrMalformedHeader},
		{"another hash", []string{"sha1=" + right[7:]}, []string{"key"}, "body", ErrMalformedHeader},
		{"cut short", []string{right[:len(right)-2]}, []string{"key"}, "body", ErrMalformedHeader},
		{"no hex", []string{"sha256=" + strings.Repeat("z", 64)}, []string{"key"}, "body", ErrMalformedHeader},
		{"too long", []string{right + "00"}, []string{"key"}, "body", ErrMalformedHeader},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{HeaderLegacy: tt.values}
			err := VerifyLegacy(header, []byte(tt.body), tt.keys...)
			if !errors.Is(err, tt.reason) {
				t.Errorf("error %v; want %v", err, tt.reason)
			}
		})
	}
}
