package sqlite

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

func (s *Store) BeginIdempotent(ctx context.Context, r telltale.IdempotentRequest) (answer *telltale.IdempotentAnswer, err error) {
	key := stored.IdempotencyKey(r)
	err = s.write(ctx, "taking an idempotency key", 200, func(tx *tx) error {
		answer = nil
		var content []byte
		var text string
		var at int64
		found, err := tx.query(`SELECT content, answer, at FROM idempotency WHERE key = ?`).blob(key).one(func(q *query) {
			content, text, at = q.getBlob(), q.getText(), q.getInt()
		})
		if err != nil {
			return err
		}
		life := telltale.IdempotencyMemory
		if text == "" {
			life = telltale.IdempotencyInFlight
		}
		switch {
		case !found || at < tx.milli-life.Milliseconds():
			return tx.change(`INSERT INTO idempotency (key, content, at) VALUES (?, ?, ?)
				ON CONFLICT (key) DO UPDATE SET content = excluded.content, at = excluded.at, answer = NULL`).blob(key).blob(r.Hash[:]).int(tx.milli).run()
		case !bytes.Equal(content, r.Hash[:]):
			return telltale.Faulty("Invalid request.", []telltale.Fault{{
				Location: "header.Idempotency-Key", Message: "The key was used for another request within 24 hours.", Expected: "a new key for each request", Value: telltale.CutValue(r.Name),
			}})
		case text == "":
			return telltale.Errorf(telltale.Conflict, "The first request with this Idempotency-Key is still under way.")
		}
		answer = new(telltale.IdempotentAnswer)
		return json.Unmarshal([]byte(text), answer)
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
			return fmt.Errorf("sqlite: an idempotent answer: %w", err)
		}
	}
	return s.write(ctx, "keeping an idempotent answer", len(text)+100, func(tx *tx) error {
		if a == nil {
			return tx.change(`DELETE FROM idempotency WHERE key = ? AND content = ? AND answer IS NULL`).blob(key).blob(r.Hash[:]).run()
		}
		return tx.change(`UPDATE idempotency SET answer = ?, at = ? WHERE key = ? AND content = ?`).text(string(text)).int(tx.milli).blob(key).blob(r.Hash[:]).run()
	})
}

func (tx *tx) purgeIdempotency() (more bool, err error) {
	err = tx.change(`DELETE FROM idempotency WHERE key IN (SELECT key FROM idempotency WHERE at < ? LIMIT ?)`).
		int(tx.milli - telltale.IdempotencyMemory.Milliseconds()).int(purgeRows).run()
	return tx.conn.Changes() == purgeRows, err
}
