package sqlite

import (
	"context"
	"fmt"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

const keyColumns = `id, project, name, scope, hash, created_at, coalesce(last_used_at, 0), coalesce(revoked_at, 0)`

func (s *Store) CreateKey(ctx context.Context, k telltale.Key) error {
	actor := telltale.ActorOf(ctx)
	return s.write(ctx, "creating a key", 300, func(tx *tx) error {
		project, err := tx.keyProject(k.ProjectID)
		if err != nil {
			return err
		}
		err = tx.change(`INSERT INTO api_key (id, project, name, scope, hash, created_at, last_used_at, revoked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`).
			text(string(k.ID)).int(project).text(k.Name).text(string(k.Scope)).blob(k.Hash[:]).
			int(stored.TimeMilli(k.CreatedAt)).intOrNull(stored.TimeMilli(k.LastUsedAt)).intOrNull(stored.TimeMilli(k.RevokedAt)).run()
		if err != nil {
			return fmt.Errorf("key %s: %w", k.ID, err)
		}
		return tx.audit(actor, telltale.AuditEntry{
			ProjectID: k.ProjectID, Action: telltale.AuditKeyCreated, Target: string(k.ID), Name: k.Name,
			Changes: []telltale.AuditChange{{Field: "scope", After: string(k.Scope)}},
		})
	})
}

// keyProject gives the number that stands in the rows of the project's keys:
// 0 for owner keys.
func (tx *tx) keyProject(id telltale.ProjectID) (int64, error) {
	if id == "" {
		return 0, nil
	}
	p := tx.project(id)
	if p == nil {
		return 0, notFound("project")
	}
	return p.number, nil
}

func (s *Store) KeyByHash(ctx context.Context, hash [32]byte) (k telltale.Key, err error) {
	err = s.read(ctx, "finding a key", func(c *conn) error {
		found, err := c.query(`SELECT ` + keyColumns + ` FROM api_key WHERE hash = ?`).blob(hash[:]).one(func(q *query) { k = s.scanKey(q) })
		if err == nil && !found {
			return notFound("key")
		}
		return err
	})
	return k, err
}

func (s *Store) Keys(ctx context.Context, project telltale.ProjectID, page telltale.Page) ([]telltale.Key, error) {
	var number int64
	if project != "" {
		p := s.known.project(project)
		if p == nil {
			return nil, s.down()
		}
		number = p.number
	}
	var keys []telltale.Key
	err := s.read(ctx, "listing keys", func(c *conn) error {
		l := list{page: page, key: "id"}
		l.where("project = ?", number)
		l.pageByText()
		return l.each(c, `SELECT `+keyColumns+` FROM api_key`, func(q *query) error {
			keys = append(keys, s.scanKey(q))
			return nil
		})
	})
	return newestFirst(keys, page), err
}

func (s *Store) RevokeKey(ctx context.Context, project telltale.ProjectID, id telltale.KeyID) (k telltale.Key, err error) {
	actor := telltale.ActorOf(ctx)
	err = s.write(ctx, "revoking a key", 100, func(tx *tx) error {
		number, err := tx.keyProject(project)
		if err != nil {
			return notFound("key")
		}
		found, err := tx.query(`SELECT ` + keyColumns + ` FROM api_key WHERE id = ? AND project = ?`).text(string(id)).int(number).
			one(func(q *query) { k = tx.store.scanKey(q) })
		if err != nil {
			return err
		}
		if !found {
			return notFound("key")
		}
		k.ProjectID = project // which may be as new as this transaction
		if !k.RevokedAt.IsZero() {
			return nil
		}
		k.RevokedAt = tx.presentTime()
		if err := tx.change(`UPDATE api_key SET revoked_at = ? WHERE id = ?`).int(tx.milli).text(string(id)).run(); err != nil {
			return err
		}
		return tx.audit(actor, telltale.AuditEntry{ProjectID: project, Action: telltale.AuditKeyRevoked, Target: string(id), Name: k.Name})
	})
	return k, err
}

func (s *Store) TouchKeys(ctx context.Context, ids []telltale.KeyID) error {
	return s.write(ctx, "noting the use of keys", 50*len(ids), func(tx *tx) error {
		minute := stored.TimeMilli(tx.now.Truncate(time.Minute))
		for _, id := range ids {
			err := tx.change(`UPDATE api_key SET last_used_at = ?1 WHERE id = ?2 AND coalesce(last_used_at, 0) < ?1`).int(minute).text(string(id)).run()
			if err != nil {
				return fmt.Errorf("key %s: %w", id, err)
			}
		}
		return nil
	})
}

func (s *Store) scanKey(q *query) telltale.Key {
	k := telltale.Key{ID: telltale.KeyID(q.getText())}
	if p := s.known.projectByNumber(q.getInt()); p != nil {
		k.ProjectID = p.now.Load().ID
	}
	k.Name, k.Scope = q.getText(), telltale.Scope(q.getText())
	copy(k.Hash[:], q.getBlob())
	k.CreatedAt, k.LastUsedAt, k.RevokedAt = stored.MilliTime(q.getInt()), stored.MilliTime(q.getInt()), stored.MilliTime(q.getInt())
	return k
}
