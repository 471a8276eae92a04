package postgres

import (
	"context"
	"fmt"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// linkRow is what purpose, operator, email, role, created_at and expires_at of a
// link are read into.
type linkRow struct {
	telltale.Link
	createdAt, expiresAt int64
}

func (r *linkRow) into() []any {
	return []any{&r.Purpose, &r.OperatorID, &r.Email, &r.Role, &r.createdAt, &r.expiresAt}
}

func (r *linkRow) link(hash [32]byte) telltale.Link {
	l := r.Link
	l.Hash, l.CreatedAt, l.ExpiresAt = hash, stored.MilliTime(r.createdAt), stored.MilliTime(r.expiresAt)
	return l
}

func (s *Store) CreateLink(ctx context.Context, l telltale.Link) error {
	l.Email = telltale.CleanEmail(l.Email)
	by := telltale.ActorOf(ctx)
	return s.write(ctx, "creating a link", func(tx *tx) error {
		var entry telltale.AuditEntry
		switch l.Purpose {
		case telltale.LinkInvite:
			entry.Action, entry.Name = telltale.AuditOperatorInvited, l.Email
			entry.Changes = []telltale.AuditChange{{Field: "role", After: string(l.Role)}}
		case telltale.LinkReset:
			o, err := tx.operator(l.OperatorID)
			if err != nil {
				return err
			}
			entry.Action, entry.Target, entry.Name = telltale.AuditResetLinkMade, string(o.ID), o.Email
		}
		_, err := tx.exec(`INSERT INTO link (hash, purpose, operator, email, role, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			l.Hash[:], string(l.Purpose), string(l.OperatorID), clean(l.Email), string(l.Role), stored.TimeMilli(l.CreatedAt), stored.TimeMilli(l.ExpiresAt))
		if err != nil {
			return fmt.Errorf("a link for %s: %w", l.Purpose, err)
		}
		if entry.Action == "" {
			return nil
		}
		return tx.audit(by, entry)
	})
}

func (s *Store) Link(ctx context.Context, hash [32]byte) (telltale.Link, error) {
	var row linkRow
	err := s.read(ctx, "finding a link", func(ctx context.Context, q querier) error {
		err := q.QueryRow(ctx, `SELECT purpose, operator, email, role, created_at, expires_at FROM link WHERE hash = $1 AND expires_at > telltale_now()`, hash[:]).Scan(row.into()...)
		if noRows(err) {
			return notFound("link")
		}
		return err
	})
	if err != nil {
		return telltale.Link{}, err
	}
	return row.link(hash), nil
}

// useLink takes away a link that can be used, and gives it. Of several who use
// it at once, one gets it; the others wait for that one, and find it again only
// if that one's transaction fails.
func (tx *tx) useLink(hash [32]byte) (telltale.Link, error) {
	var row linkRow
	found, err := tx.one(row.into(), `DELETE FROM link WHERE hash = $1 AND expires_at > $2 RETURNING purpose, operator, email, role, created_at, expires_at`, hash[:], tx.milli)
	if err != nil || !found {
		return telltale.Link{}, orNotFound(err, "link")
	}
	return row.link(hash), nil
}
