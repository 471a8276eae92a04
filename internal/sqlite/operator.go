package sqlite

import (
	"context"
	"fmt"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

const operatorColumns = `id, email, role, password_hash, theme, no_shortcuts, created_at, coalesce(last_login_at, 0), coalesce(disabled_at, 0)`

func scanOperator(q *query) telltale.Operator {
	return telltale.Operator{
		ID: telltale.OperatorID(q.getText()), Email: q.getText(), Role: telltale.Role(q.getText()), PasswordHash: q.getText(),
		Theme: telltale.Theme(q.getText()), NoShortcuts: q.getBool(),
		CreatedAt: stored.MilliTime(q.getInt()), LastLoginAt: stored.MilliTime(q.getInt()), DisabledAt: stored.MilliTime(q.getInt()),
	}
}

func readOperator(c *conn, id telltale.OperatorID) (o telltale.Operator, err error) {
	found, err := c.query(`SELECT ` + operatorColumns + ` FROM operator WHERE id = ?`).text(string(id)).one(func(q *query) { o = scanOperator(q) })
	if err == nil && !found {
		err = notFound("operator")
	}
	return o, err
}

func (s *Store) CreateOperator(ctx context.Context, o telltale.Operator, link [32]byte) error {
	o.Email = telltale.CleanEmail(o.Email)
	by := telltale.ActorOf(ctx).Or(o)
	return s.write(ctx, "creating an operator", 1000, func(tx *tx) error {
		l, err := readLink(tx.conn, link, tx.milli)
		if err != nil {
			return err
		}
		if !l.LetsIn(o) {
			return notFound("link")
		}
		taken, any := false, false
		if _, err := tx.query(`SELECT 1 FROM operator WHERE email = ? OR id = ?`).text(o.Email).text(string(o.ID)).one(func(*query) { taken = true }); err != nil {
			return err
		}
		if _, err := tx.query(`SELECT 1 FROM operator LIMIT 1`).one(func(*query) { any = true }); err != nil {
			return err
		}
		switch {
		case l.Purpose == telltale.LinkSetup && any:
			return telltale.Errorf(telltale.Conflict, "Telltale is set up already: sign in, or ask an owner for an invitation.")
		case taken:
			return telltale.Errorf(telltale.Conflict, "There is an operator %s already.", telltale.CutValue(o.Email))
		}
		err = tx.change(`INSERT INTO operator (id, email, role, password_hash, theme, no_shortcuts, created_at, last_login_at, disabled_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`).
			text(string(o.ID)).text(o.Email).text(string(o.Role)).text(o.PasswordHash).text(string(o.Theme)).bool(o.NoShortcuts).
			int(stored.TimeMilli(o.CreatedAt)).intOrNull(stored.TimeMilli(o.LastLoginAt)).intOrNull(stored.TimeMilli(o.DisabledAt)).run()
		if err != nil {
			return fmt.Errorf("operator %s: %w", o.ID, err)
		}
		if err := tx.useLink(link); err != nil {
			return err
		}
		return tx.audit(by, telltale.AuditEntry{
			Action: telltale.AuditOperatorCreated, Target: string(o.ID), Name: o.Email,
			Changes: []telltale.AuditChange{{Field: "role", After: string(o.Role)}},
		})
	})
}

func (s *Store) Operator(ctx context.Context, id telltale.OperatorID) (o telltale.Operator, err error) {
	err = s.read(ctx, "finding an operator", func(c *conn) error {
		o, err = readOperator(c, id)
		return err
	})
	return o, err
}

func (s *Store) OperatorByEmail(ctx context.Context, email string) (o telltale.Operator, err error) {
	err = s.read(ctx, "finding an operator", func(c *conn) error {
		found, err := c.query(`SELECT ` + operatorColumns + ` FROM operator WHERE email = ?`).text(telltale.CleanEmail(email)).one(func(q *query) { o = scanOperator(q) })
		if err == nil && !found {
			return notFound("operator")
		}
		return err
	})
	return o, err
}

func (s *Store) Operators(ctx context.Context) (operators []telltale.Operator, err error) {
	err = s.read(ctx, "listing operators", func(c *conn) error {
		return c.query(`SELECT ` + operatorColumns + ` FROM operator ORDER BY email`).each(func(q *query) error {
			operators = append(operators, scanOperator(q))
			return nil
		})
	})
	return operators, err
}

func (s *Store) UpdateOperator(ctx context.Context, o telltale.Operator) error {
	by := telltale.ActorOf(ctx)
	return s.write(ctx, "updating an operator", auditBytes, func(tx *tx) error {
		before, err := readOperator(tx.conn, o.ID)
		if err != nil {
			return err
		}
		made := before.Changed(o, tx.presentTime())
		if before.Owns() && !made.Owns() {
			others := false
			_, err := tx.query(`SELECT 1 FROM operator WHERE role = ? AND disabled_at IS NULL AND id <> ?`).text(string(telltale.RoleOwner)).text(string(o.ID)).
				one(func(*query) { others = true })
			if err != nil {
				return err
			}
			if !others {
				return telltale.Errorf(telltale.Conflict, "%s is the last owner who may sign in: make somebody else an owner first.", telltale.CutValue(before.Email))
			}
		}
		err = tx.change(`UPDATE operator SET role = ?, theme = ?, no_shortcuts = ?, disabled_at = ? WHERE id = ?`).
			text(string(made.Role)).text(string(made.Theme)).bool(made.NoShortcuts).intOrNull(stored.TimeMilli(made.DisabledAt)).text(string(o.ID)).run()
		if err != nil {
			return fmt.Errorf("operator %s: %w", o.ID, err)
		}
		if !made.DisabledAt.IsZero() {
			if err := tx.shutOut(o.ID, [32]byte{}); err != nil {
				return err
			}
		}
		changes := telltale.OperatorChanges(before, made)
		if len(changes) == 0 {
			return nil
		}
		return tx.audit(by, telltale.AuditEntry{Action: telltale.AuditOperatorChanged, Target: string(o.ID), Name: before.Email, Changes: changes})
	})
}

// shutOut ends the operator's sessions but one, and what links let them set
// the password anew.
func (tx *tx) shutOut(id telltale.OperatorID, keep [32]byte) error {
	if err := tx.endSessions(id, keep); err != nil {
		return err
	}
	if err := tx.change(`DELETE FROM link WHERE operator = ?`).text(string(id)).run(); err != nil {
		return fmt.Errorf("links of %s: %w", id, err)
	}
	return nil
}

func (s *Store) SetPassword(ctx context.Context, id telltale.OperatorID, hash string, link, keep [32]byte) error {
	by := telltale.ActorOf(ctx)
	return s.write(ctx, "setting a password", auditBytes, func(tx *tx) error {
		o, err := readOperator(tx.conn, id)
		if err != nil {
			return err
		}
		by := by
		if link != [32]byte{} {
			l, err := readLink(tx.conn, link, tx.milli)
			if err != nil {
				return err
			}
			if l.Purpose != telltale.LinkReset || l.OperatorID != id {
				return notFound("link")
			}
			by = by.Or(o)
		}
		if err := tx.change(`UPDATE operator SET password_hash = ? WHERE id = ?`).text(hash).text(string(id)).run(); err != nil {
			return fmt.Errorf("operator %s: %w", id, err)
		}
		if err := tx.shutOut(id, keep); err != nil {
			return err
		}
		return tx.audit(by, telltale.AuditEntry{Action: telltale.AuditPasswordChanged, Target: string(id), Name: o.Email})
	})
}

func (s *Store) NoteLogin(ctx context.Context, id telltale.OperatorID) error {
	by := telltale.ActorOf(ctx)
	return s.write(ctx, "noting a login", auditBytes, func(tx *tx) error {
		o, err := readOperator(tx.conn, id)
		if err != nil {
			return err
		}
		if err := tx.change(`UPDATE operator SET last_login_at = ? WHERE id = ?`).int(tx.milli).text(string(id)).run(); err != nil {
			return fmt.Errorf("operator %s: %w", id, err)
		}
		return tx.audit(by.Or(o), telltale.AuditEntry{Action: telltale.AuditLogin, Target: string(id), Name: o.Email})
	})
}
