package sqlite

import (
	"context"
	"fmt"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// secrets goes through all that is sealed; what is empty holds nothing.
func secrets(c *conn, visit func(stored.Secret) error) error {
	for _, column := range stored.SealedColumns {
		err := c.query(`SELECT number, id, ` + column.Column + ` FROM ` + column.Table + ` WHERE length(` + column.Column + `) > 0 ORDER BY number`).each(func(q *query) error {
			return visit(stored.Secret{SealedColumn: column, Number: q.getInt(), ID: q.getText(), Sealed: q.getBlob()})
		})
		if err != nil {
			return fmt.Errorf("reading what is sealed in %s: %w", column.Table, err)
		}
	}
	return nil
}

// rotation reads what is noted of changes of the secret key, and what was sealed
// last to show which key is in use; nil of a store that noted none.
func rotation(c *conn) (r stored.Rotation, canary []byte, err error) {
	var text string
	err = c.query(`SELECT name, value FROM meta WHERE name IN ('rotation', 'sealed')`).each(func(q *query) error {
		if q.getText() == "sealed" {
			canary = q.getBlob()
		} else {
			text = q.getText()
		}
		return nil
	})
	if err == nil {
		r, err = stored.ParseRotation(text)
	}
	return r, canary, err
}

// checkKeys refuses a sealer that could not open all that is sealed, or would seal
// with a key that was retired.
func checkKeys(c *conn, sealer telltale.Sealer) error {
	held := map[string]int{}
	err := secrets(c, func(secret stored.Secret) error {
		held[sealer.KeyOf(secret.Sealed)]++
		return nil
	})
	if err != nil {
		return err
	}
	r, canary, err := rotation(c)
	if err != nil {
		return err
	}
	return stored.CheckKeys(sealer, r, held, canary)
}

// Reseal seals what is left with another key anew, from the first on: what is
// done is recognised by its key.
func (s *Store) Reseal(ctx context.Context) (done telltale.Resealed, err error) {
	actor := telltale.ActorOf(ctx)
	err = s.write(ctx, "sealing anew", stored.ResealChunk*1000, func(tx *tx) error {
		done, err = tx.reseal(actor)
		return err
	})
	if err != nil {
		return telltale.Resealed{}, err
	}
	return done, nil
}

func (tx *tx) reseal(actor telltale.Actor) (done telltale.Resealed, err error) {
	sealer := tx.store.options.Sealer
	first := sealer.Keys()[0]
	r, canary, err := rotation(tx.conn)
	if err != nil {
		return done, err
	}
	left := map[string]bool{}
	var chunk []stored.Secret
	err = secrets(tx.conn, func(secret stored.Secret) error {
		key := sealer.KeyOf(secret.Sealed)
		switch {
		case key == first:
			return nil
		case len(chunk) < stored.ResealChunk:
			chunk = append(chunk, secret)
		default:
			done.Left++
		}
		left[key] = true
		return nil
	})
	if err != nil {
		return done, err
	}
	return stored.Rotate(stored.Rotating{
		Sealer: sealer, Rotation: r, Canary: canary, Left: left, Chunk: chunk, Done: done,
		Store: func(secret stored.Secret) error {
			return tx.change(`UPDATE ` + secret.Table + ` SET ` + secret.Column + ` = ? WHERE number = ?`).blob(secret.Sealed).int(secret.Number).run()
		},
		Note: func(r stored.Rotation, canary []byte) error {
			if err := tx.change(`INSERT OR REPLACE INTO meta VALUES ('rotation', ?)`).text(r.String()).run(); err != nil {
				return err
			}
			return tx.change(`INSERT OR REPLACE INTO meta VALUES ('sealed', ?)`).blob(canary).run()
		},
		Audit: func(e telltale.AuditEntry) error { return tx.audit(actor, e) },
	})
}
