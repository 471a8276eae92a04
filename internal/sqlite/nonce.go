package sqlite

import (
	"crypto/sha256"
	"fmt"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// nonceBytes is roughly what a nonce takes on disk.
const nonceBytes = 100

// checkNonces gives Conflict for those that were used for something else, in
// the store or earlier in the call.
func (tx *tx) checkNonces(nonces []stored.Nonce) error {
	if len(nonces) == 0 {
		return nil
	}
	seen := make(map[[16]byte][sha256.Size]byte, len(nonces))
	var faults []telltale.Fault
	for i, n := range nonces {
		before, known := seen[n.Key]
		if !known {
			_, err := tx.query(`SELECT content FROM nonce WHERE key = ? AND at >= ?`).blob(n.Key[:]).int(tx.milli - telltale.CallerIDMemory.Milliseconds()).one(func(q *query) {
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
		if seen[n.Key] = before; before != n.Hash {
			faults = append(faults, stored.NonceUsed(i, n))
		}
	}
	return stored.NoncesUsed(faults)
}

// keepNonces remembers those that are new, from now on.
func (tx *tx) keepNonces(nonces []stored.Nonce) error {
	for _, n := range nonces {
		err := tx.change(`INSERT INTO nonce (key, content, at) VALUES (?, ?, ?)
			ON CONFLICT (key) DO UPDATE SET content = excluded.content, at = excluded.at WHERE at < ?`).
			blob(n.Key[:]).blob(n.Hash[:]).int(tx.milli).int(tx.milli - telltale.CallerIDMemory.Milliseconds()).run()
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
