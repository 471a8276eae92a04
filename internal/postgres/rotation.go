package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// secrets goes through all that is sealed; what is empty holds nothing.
func secrets(ctx context.Context, q querier, visit func(stored.Secret) error) error {
	for _, column := range stored.SealedColumns {
		secret := stored.Secret{SealedColumn: column}
		err := each(ctx, q, `SELECT number, id, `+column.Column+` FROM `+column.Table+` WHERE length(`+column.Column+`) > 0 ORDER BY number`, nil,
			[]any{&secret.Number, &secret.ID, &secret.Sealed}, func() error { return visit(secret) })
		if err != nil {
			return fmt.Errorf("reading what is sealed in %s: %w", column.Table, err)
		}
	}
	return nil
}

// checkKeys refuses a sealer that lacks a key that the other nodes have, or had, and
// need: what this node would seal, or what is sealed, could not be opened; and one
// that would seal with a key that was retired. The first node shows which key it has.
func (s *Store) checkKeys(ctx context.Context) error {
	return pgx.BeginFunc(ctx, s.writers, func(t pgx.Tx) error {
		sealer := s.options.Sealer
		var text string
		var canary []byte
		if err := t.QueryRow(ctx, `SELECT rotation, sealed FROM meta FOR UPDATE`).Scan(&text, &canary); err != nil {
			return err
		}
		held := map[string]int{}
		err := secrets(ctx, t, func(secret stored.Secret) error {
			held[sealer.KeyOf(secret.Sealed)]++
			return nil
		})
		if err != nil {
			return err
		}
		r, err := stored.ParseRotation(text)
		if err != nil {
			return err
		}
		if err := stored.CheckKeys(sealer, r, held, canary); err != nil || canary != nil {
			return err
		}
		if canary, err = stored.Canary(sealer); err != nil {
			return err
		}
		_, err = t.Exec(ctx, `UPDATE meta SET sealed = $1`, canary)
		return err
	})
}

// Reseal seals what is left with another key anew, from the first on: what is
// done is recognised by its key. The other nodes need not know: what they remember
// is the same. The row of meta keeps two from doing so at once, and whoever changes
// a webhook waits for it as well.
func (s *Store) Reseal(ctx context.Context) (done telltale.Resealed, err error) {
	actor := telltale.ActorOf(ctx)
	err = s.transact(ctx, transaction{name: "sealing anew", config: true, do: func(tx *tx) error {
		done, err = tx.reseal(actor)
		return err
	}})
	if err != nil {
		return telltale.Resealed{}, err
	}
	return done, nil
}

func (tx *tx) reseal(actor telltale.Actor) (done telltale.Resealed, err error) {
	sealer := tx.store.options.Sealer
	first := sealer.Keys()[0]
	if err := tx.othersSealWith(first); err != nil {
		return done, err
	}
	var text string
	var canary []byte
	if _, err := tx.one([]any{&text, &canary}, `SELECT rotation, sealed FROM meta`); err != nil {
		return done, err
	}
	r, err := stored.ParseRotation(text)
	if err != nil {
		return done, err
	}
	left := map[string]bool{}
	var chunk []stored.Secret
	err = secrets(tx.ctx, tx.conn, func(secret stored.Secret) error {
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
			// What was changed, or forgotten, in this moment is no other key's any more.
			_, err := tx.exec(`UPDATE `+secret.Table+` SET `+secret.Column+` = $1 WHERE number = $2 AND `+secret.Column+` = $3`, secret.Sealed, secret.Number, secret.Was)
			return err
		},
		Note: func(r stored.Rotation, canary []byte) error {
			_, err := tx.exec(`UPDATE meta SET rotation = $1, sealed = $2`, r.String(), canary)
			return err
		},
		Audit: func(e telltale.AuditEntry) error { return tx.audit(actor, e) },
	})
}

// othersSealWith gives Conflict while a node that is alive seals with another key.
// A node that comes later finds out when it starts.
func (tx *tx) othersSealWith(first string) error {
	var host, id, keys string
	var refused []error
	err := tx.each([]any{&host, &id, &keys}, func() error {
		switch has, others, _ := strings.Cut(keys, ","); {
		case keys == "":
			refused = append(refused, telltale.Errorf(telltale.Conflict, "The server %s on %s is of a version that does not tell its keys. Update it first, or stop it.", id, host))
		case has != first && strings.Contains(","+others+",", ","+first+","):
			refused = append(refused, telltale.Errorf(telltale.Conflict, "The server %s on %s has the key %s, but seals with %s. Put the new one first there, too, and restart it.", id, host, first, has))
		case has != first:
			refused = append(refused, telltale.Errorf(telltale.Conflict, "The server %s on %s does not have the key %s. Add it below the first on every server and restart each; then put it first everywhere.", id, host, first))
		}
		return nil
	}, `SELECT host, id, keys FROM node WHERE gone_at IS NULL AND lease_until >= $1 AND split_part(keys, ',', 1) <> $2 ORDER BY number`, tx.milli, first)
	if err != nil || len(refused) == 0 {
		return errors.Join(err)
	}
	return refused[0]
}
