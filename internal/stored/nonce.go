package stored

import (
	"crypto/sha256"
	"fmt"

	"telltale.example/telltale"
)

// CallerKey is what a caller's own id of an event, or its nonce, is remembered
// under in a project: half of a hash, so that it is short whatever callers think of.
func CallerKey(project telltale.ProjectID, name string) [16]byte {
	hash := sha256.Sum256([]byte(string(project) + "\x00" + name))
	return [16]byte(hash[:])
}

// CallerIDUsed tells of the event at that place whose caller's id was used for
// another one.
func CallerIDUsed(i int, id string) telltale.Fault {
	return telltale.Fault{
		Location: fmt.Sprintf("body[%d].telltale.id", i), Message: "Another event with this id was accepted before.",
		Expected: "a new id, or the same content", Value: telltale.CutValue(id),
	}
}

// CallerIDsUsed refuses an acceptance with such faults; nil if there are none.
func CallerIDsUsed(faults []telltale.Fault) error {
	return conflict("Ids of other events were used again; nothing was accepted.", faults)
}

// Nonce is a [telltale.Nonce] under the key that it is remembered by.
type Nonce struct {
	Key [16]byte
	*telltale.Nonce
}

// NewNonces works out the keys of what an acceptance remembers.
func NewNonces(a telltale.Acceptance) []Nonce {
	if len(a.Nonces) == 0 {
		return nil
	}
	nonces := make([]Nonce, len(a.Nonces))
	for i := range a.Nonces {
		nonces[i] = Nonce{CallerKey(a.ProjectID, a.Nonces[i].Name), &a.Nonces[i]}
	}
	return nonces
}

// NonceUsed tells of the nonce at that place that was used for something else.
func NonceUsed(i int, n Nonce) telltale.Fault {
	return telltale.Fault{
		Location: fmt.Sprintf("nonces[%d]", i), Message: "The nonce was used for something else before.",
		Expected: "a new nonce, or the same content", Value: telltale.CutValue(n.Name),
	}
}

// NoncesUsed refuses an acceptance with such faults; nil if there are none.
func NoncesUsed(faults []telltale.Fault) error {
	return conflict("Nonces were used again for something else; nothing was accepted.", faults)
}

func conflict(message string, faults []telltale.Fault) error {
	if len(faults) == 0 {
		return nil
	}
	return &telltale.Error{Code: telltale.Conflict, Message: message, Faults: faults}
}
