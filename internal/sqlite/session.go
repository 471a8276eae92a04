package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// SaveSession lets nobody in who was shut out meanwhile.
func (s *Store) SaveSession(ctx context.Context, session telltale.Session, passwordHash string) error {
	return s.write(ctx, "saving a session", 300, func(tx *tx) error {
		if session.OperatorID != "" {
			o, err := readOperator(tx.conn, session.OperatorID)
			if err != nil {
				return err
			}
			if !o.DisabledAt.IsZero() || o.PasswordHash != passwordHash {
				return notFound("operator")
			}
		}
		err := tx.change(`INSERT OR REPLACE INTO session (hash, operator, user_agent, remote_addr, created_at, seen_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)`).
			blob(session.Hash[:]).text(string(session.OperatorID)).text(session.UserAgent).text(session.RemoteAddr).
			int(stored.TimeMilli(session.CreatedAt)).int(stored.TimeMilli(session.SeenAt.Truncate(time.Minute))).int(stored.TimeMilli(session.ExpiresAt)).run()
		if err != nil {
			return fmt.Errorf("a session of %q: %w", session.OperatorID, err)
		}
		return nil
	})
}

func (s *Store) TouchSession(ctx context.Context, hash [32]byte, remoteAddr string) error {
	return s.write(ctx, "noting that a session is used", 100, func(tx *tx) error {
		found, err := tx.query(`SELECT 1 FROM session WHERE hash = ? AND expires_at > ?`).blob(hash[:]).int(tx.milli).one(func(*query) {})
		if err != nil || !found {
			return orNotFound(err, "session")
		}
		minute := stored.TimeMilli(tx.now.Truncate(time.Minute))
		if err := tx.change(`UPDATE session SET seen_at = ?, remote_addr = ? WHERE hash = ?`).int(minute).text(remoteAddr).blob(hash[:]).run(); err != nil {
			return fmt.Errorf("a session: %w", err)
		}
		return nil
	})
}

const sessionColumns = `hash, operator, user_agent, remote_addr, created_at, seen_at, expires_at`

func scanSession(q *query) telltale.Session {
	var session telltale.Session
	copy(session.Hash[:], q.getBlob())
	session.OperatorID = telltale.OperatorID(q.getText())
	session.UserAgent, session.RemoteAddr = q.getText(), q.getText()
	session.CreatedAt, session.SeenAt, session.ExpiresAt = stored.MilliTime(q.getInt()), stored.MilliTime(q.getInt()), stored.MilliTime(q.getInt())
	return session
}

func (s *Store) Session(ctx context.Context, hash [32]byte) (session telltale.Session, err error) {
	err = s.read(ctx, "finding a session", func(c *conn) error {
		found, err := c.query(`SELECT ` + sessionColumns + ` FROM session WHERE hash = ? AND expires_at > ?`).blob(hash[:]).int(nowMilli()).
			one(func(q *query) { session = scanSession(q) })
		if err == nil && !found {
			return notFound("session")
		}
		return err
	})
	return session, err
}

// maxSessions is how many of an operator's sessions are listed.
const maxSessions = 500

func (s *Store) Sessions(ctx context.Context, id telltale.OperatorID) (sessions []telltale.Session, err error) {
	err = s.read(ctx, "listing sessions", func(c *conn) error {
		return c.query(`SELECT ` + sessionColumns + ` FROM session WHERE operator = ? AND expires_at > ? ORDER BY seen_at DESC LIMIT ?`).
			text(string(id)).int(nowMilli()).int(maxSessions).each(func(q *query) error {
			sessions = append(sessions, scanSession(q))
			return nil
		})
	})
	slices.SortStableFunc(sessions, func(a, b telltale.Session) int {
		return cmp.Or(b.SeenAt.Compare(a.SeenAt), b.CreatedAt.Compare(a.CreatedAt))
	})
	return sessions, err
}

func (s *Store) EndSession(ctx context.Context, hash [32]byte) error {
	return s.write(ctx, "ending a session", 50, func(tx *tx) error {
		if err := tx.change(`DELETE FROM session WHERE hash = ?`).blob(hash[:]).run(); err != nil {
			return fmt.Errorf("a session: %w", err)
		}
		return nil
	})
}

func (s *Store) EndSessions(ctx context.Context, id telltale.OperatorID, keep [32]byte) error {
	by := telltale.ActorOf(ctx)
	return s.write(ctx, "ending sessions", auditBytes, func(tx *tx) error {
		o, err := readOperator(tx.conn, id)
		if err != nil {
			return err
		}
		if err := tx.endSessions(id, keep); err != nil || tx.conn.Changes() == 0 {
			return err
		}
		return tx.audit(by, telltale.AuditEntry{Action: telltale.AuditSessionsEnded, Target: string(id), Name: o.Email})
	})
}

func (tx *tx) endSessions(id telltale.OperatorID, keep [32]byte) error {
	if err := tx.change(`DELETE FROM session WHERE operator = ? AND hash <> ?`).text(string(id)).blob(keep[:]).run(); err != nil {
		return fmt.Errorf("sessions of %s: %w", id, err)
	}
	return nil
}

func (tx *tx) purgeSessions() (more bool, err error) {
	err = tx.change(`DELETE FROM session WHERE hash IN (SELECT hash FROM session WHERE expires_at <= ? LIMIT ?)`).int(tx.milli).int(purgeRows).run()
	return tx.conn.Changes() == purgeRows, err
}
