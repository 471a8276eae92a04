package sqlite

import (
	"context"
	"fmt"

	"telltale.example/telltale"
)

const operatorColumns = `id, email, role, password_hash, theme, no_shortcuts, created_at, coalesce(last_login_at, 0), coalesce(disabled_at, 0) FROM operator`

func scanOperator(q *query) telltale.Operator {
	return telltale.Operator{
		ID: telltale.OperatorID(q.getText()), Email: q.getText(), Role: telltale.Role(q.getText()), PasswordHash: q.getText(),
		Theme: telltale.Theme(q.getText()), NoShortcuts: q.getBool(),
		CreatedAt: milliTime(q.getInt()), LastLoginAt: milliTime(q.getInt()), DisabledAt: milliTime(q.getInt()),
	}
}

func (s *Store) CreateOperator(ctx context.Context, o telltale.Operator, link [32]byte) error {
	actor := telltale.ActorOf(ctx)
	return s.write(ctx, "creating an operator", 500, func(tx *tx) error {
		l, err := tx.takeLink(link, telltale.LinkSetup, telltale.LinkInvite)
		if err != nil {
			return err
		}
		taken, any := false, false
		err = tx.query(`SELECT email = ? FROM operator`).text(o.Email).each(func(q *query) error {
			any, taken = true, taken || q.getBool()
			return nil
		})
		switch {
		case err != nil:
			return err
		case any && l.Purpose == telltale.LinkSetup:
			return telltale.Errorf(telltale.Conflict, "The server is set up already: sign in, or let an operator invite you.")
		case taken:
			return telltale.Errorf(telltale.Conflict, "There is an operator with this email already.")
		}
		err = tx.change(`INSERT INTO operator (id, email, role, password_hash, theme, no_shortcuts, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)`).
			text(string(o.ID)).text(o.Email).text(string(o.Role)).text(o.PasswordHash).text(string(o.Theme)).bool(o.NoShortcuts).int(timeMilli(o.CreatedAt)).run()
		if err != nil {
			return fmt.Errorf("operator %s: %w", o.ID, err)
		}
		if actor.Kind == telltale.ActorSystem { // they came by the link, signed in to nothing
			actor = telltale.Actor{Kind: telltale.ActorOperator, ID: string(o.ID), Name: o.Email, RemoteAddr: actor.RemoteAddr, RequestID: actor.RequestID}
		}
		return tx.audit(actor, telltale.AuditEntry{
			Action: telltale.AuditOperatorCreated, Target: string(o.ID), Name: o.Email,
			Changes: []telltale.AuditChange{{Field: "role", After: string(o.Role)}},
		})
	})
}

func (s *Store) Operator(ctx context.Context, id telltale.OperatorID) (telltale.Operator, error) {
	return s.operatorBy(ctx, `id = ?`, string(id))
}

func (s *Store) OperatorByEmail(ctx context.Context, email string) (telltale.Operator, error) {
	return s.operatorBy(ctx, `email = ?`, telltale.CleanEmail(email))
}

func (s *Store) operatorBy(ctx context.Context, condition, value string) (o telltale.Operator, err error) {
	err = s.read(ctx, "finding an operator", func(c *conn) error {
		found, err := c.query(`SELECT ` + operatorColumns + ` WHERE ` + condition).text(value).one(func(q *query) { o = scanOperator(q) })
		if err == nil && !found {
			return notFound("operator")
		}
		return err
	})
	return o, err
}

func (s *Store) Operators(ctx context.Context) (operators []telltale.Operator, err error) {
	err = s.read(ctx, "listing operators", func(c *conn) error {
		return c.query(`SELECT ` + operatorColumns + ` ORDER BY email`).each(func(q *query) error {
			operators = append(operators, scanOperator(q))
			return nil
		})
	})
	return operators, err
}

func (tx *tx) operator(id telltale.OperatorID) (o telltale.Operator, err error) {
	found, err := tx.query(`SELECT ` + operatorColumns + ` WHERE id = ?`).text(string(id)).one(func(q *query) { o = scanOperator(q) })
	if err == nil && !found {
		err = notFound("operator")
	}
	return o, err
}

func (s *Store) UpdateOperator(ctx context.Context, o telltale.Operator) error {
	actor := telltale.ActorOf(ctx)
	return s.write(ctx, "changing an operator", 200, func(tx *tx) error {
		before, err := tx.operator(o.ID)
		if err != nil {
			return err
		}
		if before.Role == telltale.RoleOwner && before.DisabledAt.IsZero() && (o.Role != telltale.RoleOwner || !o.DisabledAt.IsZero()) {
			another, err := tx.query(`SELECT 1 FROM operator WHERE role = 'owner' AND disabled_at IS NULL AND id <> ? LIMIT 1`).text(string(o.ID)).one(func(*query) {})
			if err != nil {
				return err
			}
			if !another {
				return telltale.Errorf(telltale.Conflict, "This is the only owner who can sign in. Make someone else an owner first.")
			}
		}
		err = tx.change(`UPDATE operator SET role = ?, theme = ?, no_shortcuts = ?, disabled_at = ? WHERE id = ?`).
			text(string(o.Role)).text(string(o.Theme)).bool(o.NoShortcuts).intOrNull(timeMilli(o.DisabledAt)).text(string(o.ID)).run()
		if err != nil {
			return err
		}
		if !o.DisabledAt.IsZero() {
			if err := tx.endSessions(o.ID, [32]byte{}); err != nil {
				return err
			}
		}
		var changes []telltale.AuditChange
		if before.Role != o.Role {
			changes = append(changes, telltale.AuditChange{Field: "role", Before: string(before.Role), After: string(o.Role)})
		}
		if before.DisabledAt.IsZero() != o.DisabledAt.IsZero() {
			changes = append(changes, telltale.AuditChange{Field: "may_sign_in", Before: fmt.Sprint(before.DisabledAt.IsZero()), After: fmt.Sprint(o.DisabledAt.IsZero())})
		}
		if len(changes) == 0 {
			return nil // how the pages look to them is nobody's business
		}
		return tx.audit(actor, telltale.AuditEntry{Action: telltale.AuditOperatorChanged, Target: string(o.ID), Name: before.Email, Changes: changes})
	})
}

func (s *Store) SetPassword(ctx context.Context, id telltale.OperatorID, hash string, link, keep [32]byte) error {
	actor := telltale.ActorOf(ctx)
	return s.write(ctx, "setting a password", 300, func(tx *tx) error {
		if link != ([32]byte{}) {
			l, err := tx.takeLink(link, telltale.LinkReset)
			if err != nil {
				return err
			}
			if l.OperatorID != id {
				return notFound("link")
			}
		}
		o, err := tx.operator(id)
		if err != nil {
			return err
		}
		if err := tx.change(`UPDATE operator SET password_hash = ? WHERE id = ?`).text(hash).text(string(id)).run(); err != nil {
			return err
		}
		if err := tx.endSessions(id, keep); err != nil {
			return err
		}
		if actor.Kind == telltale.ActorSystem {
			actor = telltale.Actor{Kind: telltale.ActorOperator, ID: string(id), Name: o.Email, RemoteAddr: actor.RemoteAddr, RequestID: actor.RequestID}
		}
		return tx.audit(actor, telltale.AuditEntry{Action: telltale.AuditPasswordChanged, Target: string(id), Name: o.Email})
	})
}

func (s *Store) NoteLogin(ctx context.Context, id telltale.OperatorID) error {
	return s.write(ctx, "noting a login", 100, func(tx *tx) error {
		if _, err := tx.operator(id); err != nil {
			return err
		}
		return tx.change(`UPDATE operator SET last_login_at = ? WHERE id = ?`).int(tx.milli).text(string(id)).run()
	})
}

func (s *Store) CreateLink(ctx context.Context, l telltale.Link) error {
	actor := telltale.ActorOf(ctx)
	return s.write(ctx, "making a link", 300, func(tx *tx) error {
		err := tx.change(`INSERT INTO link (hash, purpose, operator, email, role, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)`).
			blob(l.Hash[:]).text(string(l.Purpose)).text(string(l.OperatorID)).text(l.Email).text(string(l.Role)).int(timeMilli(l.CreatedAt)).int(timeMilli(l.ExpiresAt)).run()
		if err != nil || l.Purpose == telltale.LinkSetup {
			return err
		}
		name := l.Email
		if l.OperatorID != "" {
			o, err := tx.operator(l.OperatorID)
			if err != nil {
				return err
			}
			name = o.Email
		}
		return tx.audit(actor, telltale.AuditEntry{
			Action: telltale.AuditOperatorInvited, Target: string(l.OperatorID), Name: name,
			Changes: []telltale.AuditChange{{Field: "link", After: string(l.Purpose)}},
		})
	})
}

const linkColumns = `hash, purpose, operator, email, role, created_at, expires_at FROM link`

func scanLink(q *query) (l telltale.Link) {
	copy(l.Hash[:], q.getBlob())
	l.Purpose, l.OperatorID, l.Email, l.Role = telltale.LinkPurpose(q.getText()), telltale.OperatorID(q.getText()), q.getText(), telltale.Role(q.getText())
	l.CreatedAt, l.ExpiresAt = milliTime(q.getInt()), milliTime(q.getInt())
	return l
}

func (s *Store) Link(ctx context.Context, hash [32]byte) (l telltale.Link, err error) {
	err = s.read(ctx, "finding a link", func(c *conn) error {
		found, err := c.query(`SELECT ` + linkColumns + ` WHERE hash = ? AND expires_at > ?`).blob(hash[:]).int(nowMilli()).one(func(q *query) { l = scanLink(q) })
		if err == nil && !found {
			return notFound("link")
		}
		return err
	})
	return l, err
}

// takeLink uses up a link that is for one of the purposes.
func (tx *tx) takeLink(hash [32]byte, purposes ...telltale.LinkPurpose) (l telltale.Link, err error) {
	found, err := tx.query(`SELECT ` + linkColumns + ` WHERE hash = ? AND expires_at > ?`).blob(hash[:]).int(tx.milli).one(func(q *query) { l = scanLink(q) })
	if err != nil {
		return l, err
	}
	for _, p := range purposes {
		if found && l.Purpose == p {
			return l, tx.change(`DELETE FROM link WHERE hash = ?`).blob(hash[:]).run()
		}
	}
	return l, notFound("link")
}

const sessionColumns = `hash, operator, data, user_agent, remote_addr, created_at, seen_at, expires_at FROM session`

func scanSession(q *query) (s telltale.Session) {
	copy(s.Hash[:], q.getBlob())
	s.OperatorID, s.Data, s.UserAgent, s.RemoteAddr = telltale.OperatorID(q.getText()), q.getBlob(), q.getText(), q.getText()
	s.CreatedAt, s.SeenAt, s.ExpiresAt = milliTime(q.getInt()), milliTime(q.getInt()), milliTime(q.getInt())
	return s
}

func (s *Store) SaveSession(ctx context.Context, v telltale.Session) error {
	return s.write(ctx, "saving a session", 300+len(v.Data), func(tx *tx) error {
		return tx.change(`INSERT INTO session (hash, operator, data, user_agent, remote_addr, created_at, seen_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (hash) DO UPDATE SET operator = excluded.operator, data = excluded.data, user_agent = excluded.user_agent,
			remote_addr = excluded.remote_addr, seen_at = excluded.seen_at, expires_at = excluded.expires_at`).
			blob(v.Hash[:]).text(string(v.OperatorID)).blobOrNull(v.Data).text(v.UserAgent).text(v.RemoteAddr).
			int(timeMilli(v.CreatedAt)).int(timeMilli(v.SeenAt)).int(timeMilli(v.ExpiresAt)).run()
	})
}

func (s *Store) Session(ctx context.Context, hash [32]byte) (v telltale.Session, err error) {
	err = s.read(ctx, "finding a session", func(c *conn) error {
		found, err := c.query(`SELECT ` + sessionColumns + ` WHERE hash = ? AND expires_at > ?`).blob(hash[:]).int(nowMilli()).one(func(q *query) { v = scanSession(q) })
		if err == nil && !found {
			return notFound("session")
		}
		return err
	})
	return v, err
}

func (s *Store) Sessions(ctx context.Context, id telltale.OperatorID) (sessions []telltale.Session, err error) {
	err = s.read(ctx, "listing sessions", func(c *conn) error {
		return c.query(`SELECT ` + sessionColumns + ` WHERE operator = ? AND expires_at > ? ORDER BY seen_at DESC, hash LIMIT 100`).text(string(id)).int(nowMilli()).
			each(func(q *query) error {
				sessions = append(sessions, scanSession(q))
				return nil
			})
	})
	return sessions, err
}

func (s *Store) EndSession(ctx context.Context, hash [32]byte) error {
	return s.write(ctx, "ending a session", 50, func(tx *tx) error {
		return tx.change(`DELETE FROM session WHERE hash = ?`).blob(hash[:]).run()
	})
}

func (s *Store) EndSessions(ctx context.Context, id telltale.OperatorID, keep [32]byte) error {
	actor := telltale.ActorOf(ctx)
	return s.write(ctx, "ending sessions", 100, func(tx *tx) error {
		o, err := tx.operator(id)
		if err != nil {
			return err
		}
		if err := tx.endSessions(id, keep); err != nil {
			return err
		}
		return tx.audit(actor, telltale.AuditEntry{Action: telltale.AuditSessionsEnded, Target: string(id), Name: o.Email})
	})
}

func (tx *tx) endSessions(id telltale.OperatorID, keep [32]byte) error {
	return tx.change(`DELETE FROM session WHERE operator = ? AND hash <> ?`).text(string(id)).blob(keep[:]).run()
}

// purgePeople forgets sessions and links that have expired.
func (tx *tx) purgePeople() (more bool, err error) {
	for _, table := range []string{"session", "link"} {
		err := tx.change(`DELETE FROM ` + table + ` WHERE hash IN (SELECT hash FROM ` + table + ` WHERE expires_at <= ? LIMIT ?)`).int(tx.milli).int(purgeRows).run()
		if err != nil {
			return false, err
		}
		more = more || tx.conn.Changes() == purgeRows
	}
	return more, nil
}
