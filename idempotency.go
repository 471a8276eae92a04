package telltale

import (
	"crypto/sha256"
	"time"
)

// IdempotentRequest is a request that its caller named, so that repeating it
// does nothing twice (draft-ietf-httpapi-idempotency-key-header-07).
type IdempotentRequest struct {
	ProjectID ProjectID         // empty for what concerns the whole server
	KeyID     KeyID             // who asks: another key's request of that name is another request
	Name      string            // the Idempotency-Key, 1 to 255 bytes
	Hash      [sha256.Size]byte // of method, path, query and body
}

// IdempotentAnswer is what was answered, without secrets that are shown once.
type IdempotentAnswer struct {
	Status  int
	Headers []Header
	Body    []byte
}

// IdempotencyMemory is how long an answer is remembered, and
// IdempotencyInFlight how long a request without an answer counts as under way.
const (
	IdempotencyMemory   = 24 * time.Hour
	IdempotencyInFlight = 2 * time.Minute
)
