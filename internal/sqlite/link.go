package sqlite

import (
	"context"
	"fmt"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

func (s *Store) CreateLink(ctx context.Context, l telltale.Link) error {
	l.Email = telltale.CleanEmail(l.Email)
	by := telltale.ActorOf(ctx)
	return s.write(ctx, "creating a link", auditBytes, func(tx *tx) error {
		var entry telltale.AuditEntry
		switch l.Purpose {
		case telltale.LinkInvite:
			entry.Action, entry.Name = telltale.AuditOperatorInvited, l.Email
			entry.Changes = []telltale.AuditChange{{Field: "role", After: string(l.Role)}}
		case telltale.LinkReset:
			o, err := readOperator(tx.conn, l.OperatorID)
			if err != nil {
				return err
			}
			entry.Action, entry.Target, entry.Name = telltale.AuditResetLinkMade, string(o.ID), o.Email
		}
		err := tx.change(`INSERT INTO link (hash, purpose, operator, email, role, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)`).
			blob(l.Hash[:]).text(string(l.Purpose)).text(string(l.OperatorID)).text(l.Email).text(string(l.Role)).
			int(stored.TimeMilli(l.CreatedAt)).int(stored.TimeMilli(l.ExpiresAt)).run()
		if err != nil {
			return fmt.Errorf("a link for %s: %w", l.Purpose, err)
		}
		if entry.Action == "" {
			return nil
		}
		return tx.audit(by, entry)
	})
}

func (s *Store) Link(ctx context.Context, hash [32]byte) (l telltale.Link, err error) {
	err = s.read(ctx, "finding a link", func(c *conn) error {
		l, err = readLink(c, hash, nowMilli())
		return err
	})
	return l, err
}

// readLink finds a link that can be used. One that was used is gone.
func readLink(c *conn, hash [32]byte, milli int64) (telltale.Link, error) {
	l := telltale.Link{Hash: hash}
	found, err := c.query(`SELECT purpose, operator, email, role, created_at, expires_at FROM link WHERE hash = ? AND expires_at > ?`).blob(hash[:]).int(milli).
		one(func(q *query) {
			l.Purpose, l.OperatorID, l.Email, l.Role = telltale.LinkPurpose(q.getText()), telltale.OperatorID(q.getText()), q.getText(), telltale.Role(q.getText())
			l.CreatedAt, l.ExpiresAt = stored.MilliTime(q.getInt()), stored.MilliTime(q.getInt())
		})
	if err != nil || !found {
		return telltale.Link{}, orNotFound(err, "link")
	}
	return l, nil
}

func (tx *tx) useLink(hash [32]byte) error {
	if err := tx.change(`DELETE FROM link WHERE hash = ?`).blob(hash[:]).run(); err != nil {
		return fmt.Errorf("a link: %w", err)
	}
	return nil
}

func (tx *tx) purgeLinks() (more bool, err error) {
	err = tx.change(`DELETE FROM link WHERE hash IN (SELECT hash FROM link WHERE expires_at <= ? LIMIT ?)`).int(tx.milli).int(purgeRows).run()
	return tx.conn.Changes() == purgeRows, err
}
