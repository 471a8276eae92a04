package feed

import (
	"crypto/hmac"
	"encoding/hex"
	"hash"
	"net/http"
	"time"
)

// within refuses a request whose signature was made too long ago, or will be made.
// Nobody promises to sign a repetition anew, so the span is as long as the
// provider repeats.
func within(now, signed time.Time, span time.Duration) error {
	const ahead = 5 * time.Minute // clocks differ
	switch {
	case signed.IsZero():
		return refuse("The signature's time cannot be read.")
	case now.Sub(signed) > span:
		return refuse("The signature is older than %s: is this server's clock right?", span)
	case signed.Sub(now) > ahead:
		return refuse("The signature is from the future: is this server's clock right?")
	}
	return nil
}

// sameHex reports whether text is the hexadecimal form of a keyed hash over the
// parts, in a time that tells nothing about it.
func sameHex(text string, new func() hash.Hash, key string, parts ...[]byte) bool {
	sum, err := hex.DecodeString(text)
	return err == nil && hmac.Equal(sum, keyedHash(new, key, parts...))
}

// keyedHash is the HMAC (RFC 2104) over the parts.
func keyedHash(new func() hash.Hash, key string, parts ...[]byte) []byte {
	h := hmac.New(new, []byte(key))
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// jsonRequest is a request with that body, as a provider makes it.
func jsonRequest(body []byte) *Request {
	return &Request{Method: http.MethodPost, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}
}
