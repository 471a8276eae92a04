package auth

import (
	"strings"
	"testing"

	"telltale.example/telltale"
)

// reference is a line of the tests of argon2's reference implementation.
const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

func TestPasswordMatches(t *testing.T) {
	t.Parallel()
	own, err := HashPassword("correct horse battery staple")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(own, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("a new hash is %s", own)
	}
	for _, tt := range []struct {
		what, hash, password string
		want                 bool
	}{
		{"its own password", own, "correct horse battery staple", true},
		{"another password", own, "correct horse battery stapl", false},
		{"no password", own, "", false},
		{"a hash of the reference implementation, with its own parameters", reference, "password", true},
		{"the same with another password", reference, "Password", false},
		{"no hash", "", "", false},
		{"another kind of hash", strings.Replace(reference, "argon2id", "argon2i", 1), "password", false},
		{"another version", strings.Replace(reference, "v=19", "v=16", 1), "password", false},
		{"a hash that would take all memory", strings.Replace(reference, "m=65536", "m=4294967295", 1), "password", false},
		{"a hash without lanes", strings.Replace(reference, "p=1", "p=0", 1), "password", false},
		{"a hash without passes", strings.Replace(reference, "t=2", "t=0", 1), "password", false},
		{"a hash with a short salt", strings.Replace(reference, "c29tZXNhbHQ", "c29t", 1), "password", false},
		{"a hash with a salt that is no base64", strings.Replace(reference, "c29tZXNhbHQ", "c29tZXNhbHQ==", 1), "password", false},
		{"a password longer than any", own, strings.Repeat("a", telltale.MaxPassword+1), false},
	} {
		got, err := PasswordMatches(tt.hash, tt.password)
		if err != nil || got != tt.want {
			t.Errorf("%s: %t, %v; want %t", tt.what, got, err, tt.want)
		}
	}
	again, err := HashPassword("correct horse battery staple")
	if err != nil || again == own {
		t.Errorf("the same password has the same hash again, or %v", err)
	}
}

func TestPasswordsHaveBounds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ password, want string }{
		{"", "Use at least 12 characters."},
		{strings.Repeat("é", telltale.MinPassword-1), "Use at least 12 characters."},
		{strings.Repeat("é", telltale.MinPassword), ""},
		{strings.Repeat("a", telltale.MaxPassword), ""},
		{strings.Repeat("a", telltale.MaxPassword+1), "Use at most 256 bytes."},
	} {
		_, err := HashPassword(tt.password)
		got := ""
		if e, ok := err.(*telltale.Error); ok {
			got = e.Faults[0].Message
		}
		if got != tt.want {
			t.Errorf("%d bytes: %q, %v; want %q", len(tt.password), got, err, tt.want)
		}
	}
}

// It takes both places where hashes are made, and fills the line behind them.
func TestTheLineForHashesIsBounded(t *testing.T) {
	for range cap(hashing) {
		hashing <- struct{}{}
	}
	waited := make(chan error)
	for range cap(line) {
		go func() {
			_, err := inLine(func() string { return "" })
			waited <- err
		}()
	}
	for len(line) < cap(line) {
		select {
		case err := <-waited:
			t.Fatalf("one did not wait: %v", err)
		default:
		}
	}
	if _, err := HashPassword("correct horse battery staple"); telltale.CodeOf(err) != telltale.Unavailable {
		t.Errorf("one more gets %v; want %s", err, telltale.Unavailable)
	}
	for range cap(hashing) {
		<-hashing
	}
	for range cap(line) {
		if err := <-waited; err != nil {
			t.Error(err)
		}
	}
}
