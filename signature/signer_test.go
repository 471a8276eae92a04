package signature

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// The reference vector of Standard Webhooks.
const (
	referenceID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	referenceBody      = `{"test": 2432232314}`
	referenceSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

var referenceTime = time.Unix(1614265330, 0)

func TestReferenceVector(t *testing.T) {
	t.Parallel()
	signer := NewSigner(mustSecret(t, referenceSecret))
	if got := signer.Sign(referenceID, referenceTime, []byte(referenceBody)); got != referenceSignature {
		t.Errorf("Sign gives %s; want %s", got, referenceSignature)
	}
	got := signer.AppendSign([]byte("webhook-signature: "), referenceID, referenceTime, []byte(referenceBody))
	if want := "webhook-signature: " + referenceSignature; string(got) != want {
		t.Errorf("AppendSign gives %s; want %s", got, want)
	}
}

func TestEachSecretSignsOnce(t *testing.T) {
	t.Parallel()
	current, previous := NewSecret(), mustSecret(t, referenceSecret)
	both := NewSigner(current, previous).Sign(referenceID, referenceTime, []byte(referenceBody))
	want := NewSigner(current).Sign(referenceID, referenceTime, []byte(referenceBody)) + " " + referenceSignature
	if both != want {
		t.Errorf("two secrets sign %q; want %q", both, want)
	}
}

// Keys below, at and above a block of SHA-256 are treated differently.
func TestMACIsThatOfTheStandardLibrary(t *testing.T) {
	t.Parallel()
	for n := range 200 {
		key, body := bytes.Repeat([]byte{byte(n)}, n), bytes.Repeat([]byte("x"), n*3)
		oracle := hmac.New(sha256.New, key)
		fmt.Fprintf(oracle, "id.1.%s", body)
		w := borrow()
		w.setHead("id", "1")
		if got := w.sign(newMAC(string(key)), body); !bytes.Equal(got, oracle.Sum(nil)) {
			t.Errorf("the HMAC with a key of %d bytes differs from crypto/hmac's", n)
		}
		w.giveBack()
	}
}

func TestASignerMayBeSharedByGoroutines(t *testing.T) {
	t.Parallel()
	signer := NewSigner(mustSecret(t, referenceSecret))
	verifier := NewVerifier(mustSecret(t, referenceSecret))
	header := headerOf(referenceID, "1614265330", referenceSignature)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				if got := signer.Sign(referenceID, referenceTime, []byte(referenceBody)); got != referenceSignature {
					t.Errorf("Sign gives %s beside others", got)
					return
				}
				if err := verifier.Verify(header, []byte(referenceBody), referenceTime); err != nil {
					t.Errorf("Verify beside others: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestTheZeroSecretPanics(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(){
		"sign":            func() { NewSigner(Secret{}) },
		"sign, previous":  func() { NewSigner(NewSecret(), Secret{}) },
		"verify":          func() { NewVerifier(Secret{}) },
		"sign legacy":     func() { NewLegacySigner("") },
		"verify, another": func() { NewVerifier(NewSecret(), Secret{}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: an empty key was accepted", name)
				}
			}()
			use()
		}()
	}
}

func BenchmarkSign(b *testing.B) {
	body := []byte(strings.Repeat("x", 700))
	for _, secrets := range []int{1, 2} {
		signer := NewSigner(NewSecret(), []Secret{NewSecret()}[:secrets-1]...)
		b.Run(fmt.Sprintf("string/secrets=%d", secrets), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				signer.Sign("evt_01JD5W3Z8Q9V7K2M4N6P8R0S2T", referenceTime, body)
			}
		})
		b.Run(fmt.Sprintf("append/secrets=%d", secrets), func(b *testing.B) {
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				dst = signer.AppendSign(dst[:0], "evt_01JD5W3Z8Q9V7K2M4N6P8R0S2T", referenceTime, body)
			}
		})
	}
	b.Run("unprepared", func(b *testing.B) { // what crypto/hmac costs when it is set up for each request
		b.ReportAllocs()
		key := []byte(*NewSecret().key)
		for b.Loop() {
			m := hmac.New(sha256.New, key)
			fmt.Fprintf(m, "%s.%d.", "evt_01JD5W3Z8Q9V7K2M4N6P8R0S2T", referenceTime.Unix())
			m.Write(body)
			_ = "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil))
		}
	})
}
