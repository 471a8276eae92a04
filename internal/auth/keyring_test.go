package auth

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"telltale.example/telltale"
)

func key(fill byte) string {
	secret := bytes.Repeat([]byte{fill}, keySize)
	secret[0]++
	return base64.StdEncoding.EncodeToString(secret)
}

func ring(t testing.TB, lines ...string) *KeyRing {
	t.Helper()
	r, err := ParseKeyRing(strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestParseKeyRing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		text string
		keys int
		says string // of the error; "" is none
	}{
		{name: "one key is a ring", text: key(1), keys: 1},
		{name: "several keys, comments, blank lines and padding are", text: "# old and new\r\n\r\n  " + key(1) + " \r\n#" + key(3) + "\n" + key(2) + "\n", keys: 2},
		{name: "no key is none", text: "", says: "there is no key"},
		{name: "comments alone are none", text: "# a\n\n", says: "there is no key"},
		{name: "what is not base64 is named by its line", text: "# a\n" + "not a key!", says: "line 2 is not base64"},
		{name: "base64 without padding is not what openssl prints", text: strings.TrimRight(key(1), "="), says: "line 1 is not base64"},
		{name: "a key that is too short is refused", text: base64.StdEncoding.EncodeToString(make([]byte, 16)), says: "a key of 16 bytes, not 32"},
		{name: "a key that is too long is refused", text: base64.StdEncoding.EncodeToString(make([]byte, 33)), says: "a key of 33 bytes, not 32"},
		{name: "a key of zeros is no secret", text: base64.StdEncoding.EncodeToString(make([]byte, 32)), says: "one repeated byte"},
		{name: "a key that is there twice is a slip", text: key(1) + "\n" + key(2) + "\n" + key(1), says: "line 3 repeats the key of line 1"},
		{name: "two keys in a line are not one", text: key(1) + " " + key(2), says: "line 1 is not base64"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, err := ParseKeyRing(test.text)
			if test.says == "" {
				if err != nil || len(r.keys) != test.keys {
					t.Fatalf("got %v, %v, want %d keys", r, err, test.keys)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("got the error %v, want %q", err, test.says)
			}
			if strings.Contains(err.Error(), key(1)) {
				t.Errorf("the error gives a key away: %v", err)
			}
		})
	}
}

func TestTooManyKeys(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range maxKeys + 1 {
		text.WriteString(key(byte(i)) + "\n")
	}
	if _, err := ParseKeyRing(text.String()); err == nil || !strings.Contains(err.Error(), "more than 100 keys") {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsSealedOpensForItsRowOnly(t *testing.T) {
	t.Parallel()
	r := ring(t, key(1))
	for _, plain := range []string{"whsec_secret", "", strings.Repeat("x", 10_000)} {
		sealed, err := r.Seal([]byte(plain), "webhook/whk_1/secrets")
		if err != nil {
			t.Fatal(err)
		}
		if plain != "" && bytes.Contains(sealed, []byte(plain)) {
			t.Errorf("%q is in the clear", plain)
		}
		opened, err := r.Open(sealed, "webhook/whk_1/secrets")
		if err != nil || string(opened) != plain {
			t.Errorf("opened %q, %v", opened, err)
		}
		if opened, err := r.Open(sealed, "webhook/whk_2/secrets"); err == nil {
			t.Errorf("it opened for another row: %q", opened)
		}
	}
}

func TestEverySealIsAnother(t *testing.T) {
	t.Parallel()
	r := ring(t, key(1))
	a, _ := r.Seal([]byte("same"), "row")
	b, _ := r.Seal([]byte("same"), "row")
	if bytes.Equal(a, b) || bytes.Equal(a[sealHead:sealHead+12], b[sealHead:sealHead+12]) {
		t.Error("a nonce was used twice")
	}
}

func TestARowWithoutANameIsNotSealed(t *testing.T) {
	t.Parallel()
	if _, err := ring(t, key(1)).Seal([]byte("x"), ""); err == nil {
		t.Error("it was sealed for any row")
	}
}

func TestEveryChangedByteIsNoticed(t *testing.T) {
	t.Parallel()
	r := ring(t, key(1))
	sealed, err := r.Seal([]byte("secret"), "row")
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if opened, err := r.Open(changed, "row"); err == nil {
			t.Errorf("byte %d changed, and it opened to %q", i, opened)
		}
	}
	for n := range len(sealed) {
		if opened, err := r.Open(sealed[:n], "row"); err == nil {
			t.Errorf("cut at %d, it opened to %q", n, opened)
		}
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	before := ring(t, key(1))
	after := ring(t, key(2), key(1))
	without := ring(t, key(2))
	old, _ := before.Seal([]byte("old"), "row")
	fresh, _ := after.Seal([]byte("fresh"), "row")

	if opened, err := after.Open(old, "row"); err != nil || string(opened) != "old" {
		t.Errorf("the old key's: %q, %v", opened, err)
	}
	if opened, err := without.Open(fresh, "row"); err != nil || string(opened) != "fresh" {
		t.Errorf("the first key seals: %q, %v", opened, err)
	}
	_, err := without.Open(old, "row")
	if err == nil || !strings.Contains(err.Error(), "which is not in the key ring") || !strings.Contains(err.Error(), "put that key back") {
		t.Errorf("without the old key: %v", err)
	}
}

// What a released version sealed must open for good.
func TestWhatVersion1SealedOpens(t *testing.T) {
	t.Parallel()
	sealed, err := base64.StdEncoding.DecodeString(sealedByVersion1)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := ring(t, key(7)).Open(sealed, "webhook/whk_1/secrets")
	if err != nil || string(opened) != "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD" {
		t.Errorf("got %q, %v", opened, err)
	}
}

func TestDerivedKeysDifferByPurposeAndKey(t *testing.T) {
	t.Parallel()
	r := ring(t, key(1))
	cursor := r.Derive("cursor")
	if len(cursor) != 32 || !bytes.Equal(cursor, r.Derive("cursor")) {
		t.Errorf("not 32 stable bytes: %x", cursor)
	}
	others := map[string][]byte{
		"another purpose": r.Derive("listen"), "another key": ring(t, key(2)).Derive("cursor"),
		"the sealing key": derive(r.keys[0].secret, "seal"), "the secret itself": r.keys[0].secret,
	}
	for name, other := range others {
		if bytes.Equal(cursor, other) {
			t.Errorf("the same as %s", name)
		}
	}
}

func FuzzOpen(f *testing.F) {
	const sealedRow = "webhook/whk_1/secrets"
	r := ring(f, key(7), key(2))
	sealed, err := base64.StdEncoding.DecodeString(sealedByVersion1)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed, sealedRow)
	f.Add([]byte{}, "")
	f.Add(sealed[:sealHead], sealedRow)
	f.Fuzz(func(t *testing.T, b []byte, row string) {
		if plain, err := r.Open(b, row); err == nil && (!bytes.Equal(b, sealed) || row != sealedRow) {
			t.Errorf("%x opened for %q to %q", b, row, plain)
		}
	})
}

func FuzzParseKeyRing(f *testing.F) {
	f.Add(keyFileHead + key(1) + "\n")
	f.Add(key(1) + "\r\n" + key(2))
	f.Add("# only a comment")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseKeyRing(text)
		if err != nil {
			return
		}
		sealed, err := r.Seal([]byte("secret"), "row")
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := r.Open(sealed, "row"); err != nil || string(plain) != "secret" {
			t.Errorf("a ring of %d keys does not open what it sealed: %v", len(r.keys), err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	var sealer telltale.Sealer = ring(b, key(1))
	plain := []byte(telltale.NewSecret())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sealer.Seal(plain, "webhook/whk_1/secrets"); err != nil {
			b.Fatal(err)
		}
	}
}

const sealedByVersion1 = "Aftvxra+y1vIfUjMjkONjzTC+eM6HeYDj48p1zMbk+U8X2c5dGAaVbDJMmMoP/kOx1OadlV1XB9UlfUDRRu2yc8laks455s="
