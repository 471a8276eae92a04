package signature

import (
	"encoding/base64"
	"time"
)

// The headers of a signed request, as Standard Webhooks spells them.
const (
	HeaderID        = "webhook-id"        // the event's id, the same on every attempt
	HeaderTimestamp = "webhook-timestamp" // Unix seconds of this attempt
	HeaderSignature = "webhook-signature" // v1,<base64>, several separated by spaces
)

// version identifies a symmetric signature: HMAC-SHA256.
const version = "v1"

// Signer signs with one secret, or with several while one takes another's
// place. It may be used by any number of goroutines at once.
type Signer struct{ macs []mac }

// NewSigner prepares the secrets. It panics on the zero Secret.
func NewSigner(current Secret, previous ...Secret) *Signer {
	return &Signer{macs(current, previous)}
}

// Sign gives the value of webhook-signature: v1, a comma and the base64 of
// HMAC-SHA256 over id, timestamp in Unix seconds and body, joined by full
// stops; one such entry per secret, separated by spaces, the current one first.
// An id that [CheckID] refuses is signed, but no [Verifier] takes it.
func (s *Signer) Sign(id string, timestamp time.Time, body []byte) string {
	w := borrow()
	defer w.giveBack()
	w.text = s.append(w.text, w, id, timestamp, body)
	return string(w.text)
}

// AppendSign appends what [Signer.Sign] gives to dst and allocates only if dst
// has too little room.
func (s *Signer) AppendSign(dst []byte, id string, timestamp time.Time, body []byte) []byte {
	w := borrow()
	defer w.giveBack()
	return s.append(dst, w, id, timestamp, body)
}

func (s *Signer) append(dst []byte, w *scratch, id string, timestamp time.Time, body []byte) []byte {
	w.setHeadUnix(id, timestamp.Unix())
	for i, m := range s.macs {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, version+","...)
		dst = base64.StdEncoding.AppendEncode(dst, w.sign(m, body))
	}
	return dst
}
