package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// BeginIdempotent takes the name with one statement, unless somebody has it. The
// statement locks the row that it leaves as it is, so that what is read then is
// what was in its way.
func (s *Store) BeginIdempotent(ctx context.Context, r telltale.IdempotentRequest) (answer *telltale.IdempotentAnswer, err error) {
	key := stored.IdempotencyKey(r)
	err = s.write(ctx, "taking an idempotency key", func(tx *tx) error {
		answer = nil
		taken, err := tx.exec(`INSERT INTO idempotency AS i (key, content, at) VALUES ($1, $2, $3)
			ON CONFLICT (key) DO UPDATE SET content = excluded.content, at = excluded.at, answer = NULL
				WHERE i.at < excluded.at - CASE WHEN i.answer IS NULL THEN $4::bigint ELSE $5::bigint END`,
			key, r.Hash[:], tx.milli, telltale.IdempotencyInFlight.Milliseconds(), telltale.IdempotencyMemory.Milliseconds())
		if err != nil || taken > 0 {
			return err
		}
		var content, text []byte
		if _, err := tx.one([]any{&content, &text}, `SELECT content, answer FROM idempotency WHERE key = $1`, key); err != nil {
			return err
		}
		switch {
		case !bytes.Equal(content, r.Hash[:]):
			return telltale.Faulty("Invalid request.", []telltale.Fault{{
				Location: "header.Idempotency-Key", Message: "The key was used for another request within 24 hours.", Expected: "a new key for each request", Value: telltale.CutValue(r.Name),
			}})
		case text == nil:
			return telltale.Errorf(telltale.Conflict, "The first request with this Idempotency-Key is still under way.")
		}
		answer = new(telltale.IdempotentAnswer)
		return json.Unmarshal(text, answer)
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func (s *Store) EndIdempotent(ctx context.Context, r telltale.IdempotentRequest, a *telltale.IdempotentAnswer) error {
	key := stored.IdempotencyKey(r)
	var text []byte
	if a != nil {
		var err error
		if text, err = json.Marshal(a); err != nil {
			return fmt.Errorf("postgres: an idempotent answer: %w", err)
		}
	}
	return s.write(ctx, "keeping an idempotent answer", func(tx *tx) error {
		if a == nil {
			_, err := tx.exec(`DELETE FROM idempotency WHERE key = $1 AND content = $2 AND answer IS NULL`, key, r.Hash[:])
			return err
		}
		_, err := tx.exec(`UPDATE idempotency SET answer = $1, at = $2 WHERE key = $3 AND content = $4`, text, tx.milli, key, r.Hash[:])
		return err
	})
}
