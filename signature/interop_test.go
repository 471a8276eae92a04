package signature

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"pgregory.net/rapid"
)

// What we sign the official library verifies, what it signs we verify, and both
// write the same characters. It knows only the wall clock, so this test does too.
func TestInteroperability(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), MinSecretBytes, MaxSecretBytes).Draw(t, "key")
		id := rapid.StringMatching(`[!-\-/-~]{1,64}`).Draw(t, "id")
		body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		now := time.Now().Add(time.Duration(rapid.IntRange(-280, 280).Draw(t, "skew")) * time.Second)

		secret := secretOf(string(key))
		official, err := standardwebhooks.NewWebhook(secret.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := official.Sign(id, now, body)
		if err != nil {
			t.Fatal(err)
		}
		rotating := NewSigner(NewSecret(), secret).Sign(id, now, body)
		if ours := NewSigner(secret).Sign(id, now, body); ours != theirs || !strings.HasSuffix(rotating, " "+theirs) {
			t.Fatalf("we sign %s and %s, the official library %s", ours, rotating, theirs)
		}
		timestamp := strconv.FormatInt(now.Unix(), 10)
		if err := official.Verify(body, headerOf(id, timestamp, rotating)); err != nil {
			t.Fatalf("the official library refuses ours: %v", err)
		}
		if err := NewVerifier(NewSecret(), secret).Verify(headerOf(id, timestamp, theirs), body, time.Now()); err != nil {
			t.Fatalf("we refuse the official library's: %v", err)
		}
	})
}

// Verify must never accept what the official library refuses.
func FuzzVerify(f *testing.F) {
	f.Add(referenceID, "1614265330", referenceSignature, []byte(referenceBody))
	f.Add(referenceID, "+1614265330", "v1, "+referenceSignature, []byte(referenceBody))
	f.Add("a.1", "01", "v1,,v1,", []byte("1.{}"))
	f.Add("", "", "", []byte(nil))
	secret := mustSecret(f, referenceSecret)
	official, err := standardwebhooks.NewWebhook(referenceSecret)
	if err != nil {
		f.Fatal(err)
	}
	verifier := NewVerifier(secret)
	verifier.Tolerance = 1 << 62
	signer := NewSigner(secret)
	f.Fuzz(func(t *testing.T, id, timestamp, signatures string, body []byte) {
		// A signature that is right for the content, so that the fuzzer gets past it.
		if seconds, err := strconv.ParseInt(timestamp, 10, 64); err == nil {
			signatures = strings.Replace(signatures, "RIGHT", signer.Sign(id, time.Unix(seconds, 0), body), 1)
		}
		header := http.Header{}
		header.Set(HeaderID, id)
		header.Set(HeaderTimestamp, timestamp)
		header.Set(HeaderSignature, signatures)
		if verifier.Verify(header, body, referenceTime) == nil {
			if err := official.VerifyIgnoringTimestamp(body, header); err != nil {
				t.Errorf("accepted, but the official library says %v", err)
			}
		}
		e := Explain(header, body, referenceTime, secret, NewSecret())
		if len(e.Sentences) == 0 || e.Valid() && (e.Secret != 0 || e.Body != "") {
			t.Errorf("explanation %+v", e)
		}
		if again := fmt.Sprint(Explain(header, body, referenceTime, secret).Valid()); again != fmt.Sprint(e.Valid()) {
			t.Error("another candidate secret changes whether the request is valid")
		}
	})
}
