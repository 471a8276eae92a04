package signature_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"telltale.example/telltale/signature"
)

// A receiver: read the raw body, verify, then parse.
func ExampleVerifier_Verify() {
	secret, err := signature.ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		log.Fatal(err)
	}
	verifier := signature.NewVerifier(secret)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
			return
		}
		if err := verifier.Verify(r.Header, body, time.Now()); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()

	// A sender.
	signer := signature.NewSigner(secret)
	post := func(signed, sent string) {
		now := time.Now()
		r, err := http.NewRequest(http.MethodPost, receiver.URL, strings.NewReader(sent))
		if err != nil {
			log.Fatal(err)
		}
		r.Header.Set(signature.HeaderID, "evt_1")
		r.Header.Set(signature.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
		r.Header.Set(signature.HeaderSignature, signer.Sign("evt_1", now, []byte(signed)))
		answer, err := receiver.Client().Do(r)
		if err != nil {
			log.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(strings.TrimSpace(answer.Status + ": " + string(text)))
	}
	post(`{"type":"sent"}`, `{"type":"sent"}`)
	post(`{"type":"sent"}`, `{"type":"opened"}`)
	// Output:
	// 204 No Content:
	// 401 Unauthorized: signature: no signature matches: webhook-signature: another secret signed the request, or the body is not the very bytes that were sent
}

// The reference vector of Standard Webhooks.
func ExampleSigner_Sign() {
	secret, err := signature.ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		log.Fatal(err)
	}
	signer := signature.NewSigner(secret)
	fmt.Println(signer.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)))
	// Output: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=
}

// While a secret is rotated the sender signs with both.
func ExampleNewSigner_rotation() {
	next, previous := signature.NewSecret(), signature.NewSecret()
	now, body := time.Now(), []byte("{}")
	header := http.Header{}
	header.Set(signature.HeaderID, "evt_1")
	header.Set(signature.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
	header.Set(signature.HeaderSignature, signature.NewSigner(next, previous).Sign("evt_1", now, body))

	fmt.Println(signature.NewVerifier(previous).Verify(header, body, now))
	fmt.Println(signature.NewVerifier(next).Verify(header, body, now))
	// Output:
	// <nil>
	// <nil>
}

// The reason says what to do; a reason about time means that the rest is right.
func ExampleError() {
	secret := signature.NewSecret()
	sent, body := time.Unix(1614265330, 0), []byte("{}")
	header := http.Header{}
	header.Set(signature.HeaderID, "evt_1")
	header.Set(signature.HeaderTimestamp, "1614265330")
	header.Set(signature.HeaderSignature, signature.NewSigner(secret).Sign("evt_1", sent, body))

	err := signature.NewVerifier(secret).Verify(header, body, sent.Add(7*time.Minute))
	var e *signature.Error
	if errors.As(err, &e) && errors.Is(err, signature.ErrTooOld) {
		fmt.Println(e.Skew)
	}
	// Output: 7m0s
}

func ExampleExplain() {
	secret, previous := signature.NewSecret(), signature.NewSecret()
	sent := time.Unix(1614265330, 0)
	header := http.Header{}
	header.Set(signature.HeaderID, "evt_1")
	header.Set(signature.HeaderTimestamp, "1614265330")
	header.Set(signature.HeaderSignature, signature.NewSigner(previous).Sign("evt_1", sent, []byte(`{"type":"sent"}`)))

	// The body was parsed and written again, the receiver's clock is off.
	explanation := signature.Explain(header, []byte(`{ "type": "sent" }`), sent.Add(7*time.Minute), secret, previous)
	for _, sentence := range explanation.Sentences {
		fmt.Println(sentence)
	}
	// Output:
	// An old secret signed the request, one that the current secret has replaced.
	// The body was changed after it was signed: its JSON was parsed and written again with other white space. Verify the raw bytes, before anything parses them.
	// The timestamp is 7m0s old; at most 5m0s either way is accepted. Either the request is that old, or one of the two clocks is wrong.
}

func ExampleVerifyLegacy() {
	const key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	body := []byte(`{"type":"sent"}`)
	header := http.Header{}
	header.Set(signature.HeaderLegacy, signature.NewLegacySigner(key).Sign(body))
	fmt.Println(signature.VerifyLegacy(header, body, key))
	// Output: <nil>
}
