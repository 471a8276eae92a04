package sqlite

import (
	"crypto/sha256"
	"fmt"
	"time"

	"telltale.example/telltale"
)

// nonceBytes is roughly what a nonce takes on disk.
const nonceBytes = 100

// nonce is a [telltale.Nonce] under the key that it is remembered by.
type nonce struct {
	key [16]byte // half of a hash of project and nonce
	*telltale.Nonce
}

// newNonces works out the keys of what an acceptance remembers.
func newNonces(a telltale.Acceptance) []nonce {
	if len(a.Nonces) == 0 {
		return nil
	}
	nonces := make([]nonce, len(a.Nonces))
	for i := range a.Nonces {
		hash := sha256.Sum256([]byte(string(a.ProjectID) + "\x00" + a.Nonces[i].Name))
		nonces[i] = nonce{[16]byte(hash[:]), &a.Nonces[i]}
	}
	return nonces
}

// checkNonces gives Conflict for those that were used for something else, in
// the store or earlier in the call.
func (tx *tx) checkNonces(nonces []nonce) error {
	if len(nonces) == 0 {
		return nil
	}
	seen := make(map[[16]byte][sha256.Size]byte, len(nonces))
	var faults []telltale.Fault
	for i, n := range nonces {
		before, known := seen[n.key]
		if !known {
			_, err := tx.query(`SELECT content FROM nonce WHERE key = ? AND at >= ?`).blob(n.key[:]).int(tx.milli - telltale.CallerIDMemory.Milliseconds()).one(func(q *query) {
				known = true
				copy(before[:], q.getBlob())
			})
			if err != nil {
				return fmt.Errorf("looking for a nonce: %w", err)
			}
		}
		if !known {
			before = n.Hash
		}
		if seen[n.key] = before; before != n.Hash {
			faults = append(faults, telltale.Fault{
				Location: fmt.Sprintf("nonces[%d]", i), Message: "The nonce was used for something else before.",
				Expected: "a new nonce, or the same content", Value: telltale.CutValue(n.Name),
			})
		}
	}
	if len(faults) > 0 {
		return &telltale.Error{Code: telltale.Conflict, Message: "Nonces were used again for something else; nothing was accepted.", Faults: faults}
	}
	return nil
}

// keepNonces remembers those that are new, from now on.
func (tx *tx) keepNonces(nonces []nonce) error {
	for _, n := range nonces {
		err := tx.change(`INSERT INTO nonce (key, content, at) VALUES (?, ?, ?)
			ON CONFLICT (key) DO UPDATE SET content = excluded.content, at = excluded.at WHERE at < ?`).
			blob(n.key[:]).blob(n.Hash[:]).int(tx.milli).int(tx.milli - telltale.CallerIDMemory.Milliseconds()).run()
		if err != nil {
			return fmt.Errorf("a nonce: %w", err)
		}
	}
	return nil
}

// purgeNonces forgets nonces with callers' ids.
func (tx *tx) purgeNonces(age time.Duration) (more bool, err error) {
	if age == 0 {
		return false, nil
	}
	err = tx.change(`DELETE FROM nonce WHERE key IN (SELECT key FROM nonce WHERE at < ? ORDER BY at LIMIT ?)`).
		int(tx.milli - age.Milliseconds()).int(purgeRows).run()
	return tx.conn.Changes() == purgeRows, err
}
