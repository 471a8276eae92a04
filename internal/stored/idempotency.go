package stored

import (
	"crypto/sha256"
	"fmt"

	"telltale.example/telltale"
)

// IdempotencyKey is the key that a request's name is remembered under.
func IdempotencyKey(r telltale.IdempotentRequest) []byte {
	h := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", r.ProjectID, r.KeyID, r.Name))
	return h[:]
}
