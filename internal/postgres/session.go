package postgres

import (
	"context"
	"fmt"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

const sessionColumns = `SELECT hash, operator, user_agent, remote_addr, created_at, seen_at, expires_at FROM session`

// sessionRow is what a row of sessionColumns is read into.
type sessionRow struct {
	telltale.Session
	hash                         []byte
	createdAt, seenAt, expiresAt int64
}

func (r *sessionRow) into() []any {
	return []any{&r.hash, &r.OperatorID, &r.UserAgent, &r.RemoteAddr, &r.createdAt, &r.seenAt, &r.expiresAt}
}

func (r *sessionRow) session() telltale.Session {
	session := r.Session
	copy(session.Hash[:], r.hash)
	session.CreatedAt, session.SeenAt, session.ExpiresAt = stored.MilliTime(r.createdAt), stored.MilliTime(r.seenAt), stored.MilliTime(r.expiresAt)
	return session
}

// SaveSession lets nobody in who was shut out meanwhile: while the operator is
// locked, nobody is.
func (s *Store) SaveSession(ctx context.Context, session telltale.Session, passwordHash string) error {
	return s.write(ctx, "saving a session", func(tx *tx) error {
		if session.OperatorID != "" {
			o, err := tx.operator(session.OperatorID)
			if err != nil {
				return err
			}
			if !o.DisabledAt.IsZero() || o.PasswordHash != passwordHash {
				return notFound("operator")
			}
		}
		_, err := tx.exec(`INSERT INTO session (hash, operator, user_agent, remote_addr, created_at, seen_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (hash) DO UPDATE SET operator = excluded.operator, user_agent = excluded.user_agent, remote_addr = excluded.remote_addr,
				created_at = excluded.created_at, seen_at = excluded.seen_at, expires_at = excluded.expires_at`,
			session.Hash[:], string(session.OperatorID), clean(session.UserAgent), clean(session.RemoteAddr),
			stored.TimeMilli(session.CreatedAt), stored.TimeMilli(session.SeenAt.Truncate(time.Minute)), stored.TimeMilli(session.ExpiresAt))
		if err != nil {
			return fmt.Errorf("a session of %q: %w", session.OperatorID, err)
		}
		return nil
	})
}

func (s *Store) TouchSession(ctx context.Context, hash [32]byte, remoteAddr string) error {
	return s.write(ctx, "noting that a session is used", func(tx *tx) error {
		minute := stored.TimeMilli(tx.presentTime().Truncate(time.Minute))
		touched, err := tx.exec(`UPDATE session SET seen_at = $1, remote_addr = $2 WHERE hash = $3 AND expires_at > $4`, minute, clean(remoteAddr), hash[:], tx.milli)
		switch {
		case err != nil:
			return fmt.Errorf("a session: %w", err)
		case touched == 0:
			return notFound("session")
		}
		return nil
	})
}

func (s *Store) Session(ctx context.Context, hash [32]byte) (telltale.Session, error) {
	var row sessionRow
	err := s.read(ctx, "finding a session", func(ctx context.Context, q querier) error {
		err := q.QueryRow(ctx, sessionColumns+` WHERE hash = $1 AND expires_at > telltale_now()`, hash[:]).Scan(row.into()...)
		if noRows(err) {
			return notFound("session")
		}
		return err
	})
	if err != nil {
		return telltale.Session{}, err
	}
	return row.session(), nil
}

// maxSessions is how many of an operator's sessions are listed.
const maxSessions = 500

func (s *Store) Sessions(ctx context.Context, id telltale.OperatorID) (sessions []telltale.Session, err error) {
	err = s.read(ctx, "listing sessions", func(ctx context.Context, q querier) error {
		var row sessionRow
		return each(ctx, q, sessionColumns+` WHERE operator = $1 AND expires_at > (SELECT telltale_now()) ORDER BY seen_at DESC, created_at DESC LIMIT $2`,
			[]any{clean(string(id)), int64(maxSessions)}, row.into(), func() error {
				sessions = append(sessions, row.session())
				return nil
			})
	})
	if err != nil {
		return nil, err
	}
	return sessions, nil
}

func (s *Store) EndSession(ctx context.Context, hash [32]byte) error {
	return s.write(ctx, "ending a session", func(tx *tx) error {
		if _, err := tx.exec(`DELETE FROM session WHERE hash = $1`, hash[:]); err != nil {
			return fmt.Errorf("a session: %w", err)
		}
		return nil
	})
}

func (s *Store) EndSessions(ctx context.Context, id telltale.OperatorID, keep [32]byte) error {
	by := telltale.ActorOf(ctx)
	return s.write(ctx, "ending sessions", func(tx *tx) error {
		o, err := tx.operatorToChange(id)
		if err != nil {
			return err
		}
		if ended, err := tx.endSessions(o.ID, keep); err != nil || ended == 0 {
			return err
		}
		return tx.audit(by, telltale.AuditEntry{Action: telltale.AuditSessionsEnded, Target: string(o.ID), Name: o.Email})
	})
}

// endSessions ends the operator's sessions but one, and tells how many it ended.
func (tx *tx) endSessions(id telltale.OperatorID, keep [32]byte) (ended int64, err error) {
	ended, err = tx.exec(`DELETE FROM session WHERE operator = $1 AND hash <> $2`, string(id), keep[:])
	if err != nil {
		return 0, fmt.Errorf("sessions of %s: %w", id, err)
	}
	return ended, nil
}
