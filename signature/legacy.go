package signature

import (
	"crypto/hmac"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
)

// HeaderLegacy is the header of the older scheme: sha256= and the hex of
// HMAC-SHA256 over the body alone. It proves who sent the body and nothing of
// when: prefer [Verifier].
const HeaderLegacy = "X-Signature"

const legacyPrefix = "sha256="

// LegacySigner signs in the older scheme. It may be used by any number of
// goroutines at once.
type LegacySigner struct{ mac mac }

// NewLegacySigner prepares the key: its text as it stands, the way receivers
// of this scheme have it. For a [Secret] that is all of [Secret.Reveal]. It
// panics if the key is empty.
func NewLegacySigner(key string) *LegacySigner {
	if key == "" {
		panic("signature: an empty key cannot sign")
	}
	return &LegacySigner{newMAC(key)}
}

// Sign gives the value of X-Signature.
func (s *LegacySigner) Sign(body []byte) string {
	w := borrow()
	defer w.giveBack() // its head is empty: the body alone is signed
	w.text = append(w.text, legacyPrefix...)
	w.text = hex.AppendEncode(w.text, w.sign(s.mac, body))
	return string(w.text)
}

// VerifyLegacy reports whether X-Signature is right for the body and one of the
// keys. It fails with an [*Error] whose reason is [ErrMissingHeader],
// [ErrMalformedHeader], [ErrMismatch], or [ErrMalformedSecret] for an empty key.
func VerifyLegacy(header http.Header, body []byte, keys ...string) error {
	values := header.Values(HeaderLegacy)
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		return &Error{Reason: ErrMissingHeader, Header: HeaderLegacy}
	}
	if len(values) > 1 {
		return &Error{Reason: ErrMalformedHeader, Header: HeaderLegacy, Detail: fmt.Sprintf("it is there %d times", len(values))}
	}
	var given [32]byte
	digits, ok := strings.CutPrefix(values[0], legacyPrefix)
	if !ok || len(digits) != hex.EncodedLen(len(given)) {
		return &Error{Reason: ErrMalformedHeader, Header: HeaderLegacy, Detail: "expected sha256= and 64 hex digits"}
	}
	if _, err := hex.Decode(given[:], []byte(digits)); err != nil {
		return &Error{Reason: ErrMalformedHeader, Header: HeaderLegacy, Detail: "expected sha256= and 64 hex digits"}
	}
	w := borrow()
	defer w.giveBack()
	for _, key := range keys {
		if key == "" {
			return &Error{Reason: ErrMalformedSecret, Detail: "the key is empty"}
		}
		if hmac.Equal(given[:], w.sign(newMAC(key), body)) {
			return nil
		}
	}
	return &Error{Reason: ErrMismatch, Header: HeaderLegacy, Detail: "another key signed the request, or the body is not the very bytes that were sent"}
}
