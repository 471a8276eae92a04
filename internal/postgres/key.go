package postgres

import (
	"context"
	"fmt"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

const keyColumns = `SELECT k.id, coalesce(p.id, ''), k.name, k.scope, k.hash, k.created_at, coalesce(k.last_used_at, 0), coalesce(k.revoked_at, 0)
	FROM api_key k LEFT JOIN project p ON p.number = k.project`

// keyRow is what a row of keyColumns is read into.
type keyRow struct {
	telltale.Key
	hash                         []byte
	createdAt, usedAt, revokedAt int64
}

func (r *keyRow) into() []any {
	return []any{&r.ID, &r.ProjectID, &r.Name, &r.Scope, &r.hash, &r.createdAt, &r.usedAt, &r.revokedAt}
}

func (r *keyRow) key() telltale.Key {
	k := r.Key
	copy(k.Hash[:], r.hash)
	k.CreatedAt, k.LastUsedAt, k.RevokedAt = stored.MilliTime(r.createdAt), stored.MilliTime(r.usedAt), stored.MilliTime(r.revokedAt)
	return k
}

func (s *Store) CreateKey(ctx context.Context, k telltale.Key) error {
	actor := telltale.ActorOf(ctx)
	return s.write(ctx, "creating a key", func(tx *tx) error {
		project, err := tx.keyProject(k.ProjectID)
		if err != nil {
			return err
		}
		_, err = tx.exec(`INSERT INTO api_key (id, project, name, scope, hash, created_at, last_used_at, revoked_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			string(k.ID), project, clean(k.Name), string(k.Scope), k.Hash[:], stored.TimeMilli(k.CreatedAt), milliOrNull(k.LastUsedAt), milliOrNull(k.RevokedAt))
		if err != nil {
			return fmt.Errorf("key %s: %w", k.ID, err)
		}
		return tx.audit(actor, telltale.AuditEntry{
			ProjectID: k.ProjectID, Action: telltale.AuditKeyCreated, Target: string(k.ID), Name: k.Name,
			Changes: []telltale.AuditChange{{Field: "scope", After: string(k.Scope)}},
		})
	})
}

// keyProject gives the number that stands in the rows of the project's keys, and
// of its entries in the log: 0 for what belongs to no project. The project may be
// as new as this transaction.
func (tx *tx) keyProject(id telltale.ProjectID) (number int64, err error) {
	if id == "" {
		return 0, nil
	}
	if p := tx.known.project(id); p != nil {
		return p.number, nil
	}
	found, err := tx.one([]any{&number}, `SELECT number FROM project WHERE id = $1`, clean(string(id)))
	if err != nil || !found {
		return 0, orNotFound(err, "project")
	}
	return number, nil
}

// ofKeyProject asks for rows that bear the project's number as [tx.keyProject]
// gives it. Of a project that does not exist there are none.
func (c *conditions) ofKeyProject(id telltale.ProjectID) {
	if id == "" {
		c.where("project = 0")
		return
	}
	c.where("project = (SELECT p.number FROM project p WHERE p.id = ?)", string(id))
}

func (s *Store) KeyByHash(ctx context.Context, hash [32]byte) (telltale.Key, error) {
	var row keyRow
	err := s.read(ctx, "finding a key", func(ctx context.Context, q querier) error {
		err := q.QueryRow(ctx, keyColumns+` WHERE k.hash = $1`, hash[:]).Scan(row.into()...)
		if noRows(err) {
			return notFound("key")
		}
		return err
	})
	if err != nil {
		return telltale.Key{}, err
	}
	return row.key(), nil
}

func (s *Store) Keys(ctx context.Context, project telltale.ProjectID, page telltale.Page) ([]telltale.Key, error) {
	var keys []telltale.Key
	err := s.read(ctx, "listing keys", func(ctx context.Context, q querier) error {
		var c conditions
		c.ofKeyProject(project)
		order := c.byID("k.id", page)
		var row keyRow
		return each(ctx, q, keyColumns+c.String()+order, c.args, row.into(), func() error {
			keys = append(keys, row.key())
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return newestFirst(keys, page), nil
}

// RevokeKey makes a new version of the configuration, so that no node that is alive
// takes the key any more when it returns.
func (s *Store) RevokeKey(ctx context.Context, project telltale.ProjectID, id telltale.KeyID) (k telltale.Key, err error) {
	actor := telltale.ActorOf(ctx)
	err = s.configure(ctx, "revoking a key", func(tx *tx) error {
		var row keyRow
		found, err := tx.one(row.into(), keyColumns+` WHERE k.id = $1 AND coalesce(p.id, '') = $2 FOR UPDATE OF k`, clean(string(id)), clean(string(project)))
		if err != nil || !found {
			return orNotFound(err, "key")
		}
		k = row.key()
		if !k.RevokedAt.IsZero() {
			return nil
		}
		k.RevokedAt = tx.presentTime()
		tx.changeConfig()
		if _, err := tx.exec(`UPDATE api_key SET revoked_at = $1 WHERE id = $2`, tx.milli, string(k.ID)); err != nil {
			return fmt.Errorf("key %s: %w", k.ID, err)
		}
		return tx.audit(actor, telltale.AuditEntry{ProjectID: project, Action: telltale.AuditKeyRevoked, Target: string(k.ID), Name: k.Name})
	})
	if err != nil {
		return telltale.Key{}, err
	}
	return k, nil
}

// TouchKeys locks the keys in the order of their ids, as other nodes do.
func (s *Store) TouchKeys(ctx context.Context, ids []telltale.KeyID) error {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = clean(string(id))
	}
	return s.write(ctx, "noting the use of keys", func(tx *tx) error {
		minute := stored.TimeMilli(tx.presentTime().Truncate(time.Minute))
		_, err := tx.exec(`UPDATE api_key SET last_used_at = $1 WHERE id IN
			(SELECT id FROM api_key WHERE id = ANY($2::text[]) AND coalesce(last_used_at, 0) < $1 ORDER BY id FOR UPDATE)`, minute, texts)
		return err
	})
}
