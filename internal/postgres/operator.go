package postgres

import (
	"context"
	"fmt"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// operatorLock keeps apart the transactions that ask about all operators: whether
// there is one, and whether an owner is left. These come one after another.
const operatorLock = 7823641003

const operatorColumns = `SELECT id, email, role, password_hash, theme, no_shortcuts, created_at, coalesce(last_login_at, 0), coalesce(disabled_at, 0) FROM operator`

// operatorRow is what a row of operatorColumns is read into.
type operatorRow struct {
	telltale.Operator
	createdAt, lastLoginAt, disabledAt int64
}

func (r *operatorRow) into() []any {
	return []any{&r.ID, &r.Email, &r.Role, &r.PasswordHash, &r.Theme, &r.NoShortcuts, &r.createdAt, &r.lastLoginAt, &r.disabledAt}
}

func (r *operatorRow) operator() telltale.Operator {
	o := r.Operator
	o.CreatedAt, o.LastLoginAt, o.DisabledAt = stored.MilliTime(r.createdAt), stored.MilliTime(r.lastLoginAt), stored.MilliTime(r.disabledAt)
	return o
}

// operator reads an operator, and holds off whoever would change them.
func (tx *tx) operator(id telltale.OperatorID) (telltale.Operator, error) {
	return tx.lockOperator(id, "FOR SHARE")
}

// operatorToChange reads an operator who is about to be changed.
func (tx *tx) operatorToChange(id telltale.OperatorID) (telltale.Operator, error) {
	return tx.lockOperator(id, "FOR NO KEY UPDATE")
}

func (tx *tx) lockOperator(id telltale.OperatorID, lock string) (telltale.Operator, error) {
	var row operatorRow
	found, err := tx.one(row.into(), operatorColumns+` WHERE id = $1 `+lock, clean(string(id)))
	if err != nil || !found {
		return telltale.Operator{}, orNotFound(err, "operator")
	}
	return row.operator(), nil
}

func (tx *tx) lockOperators() error {
	if _, err := tx.exec(`SELECT pg_advisory_xact_lock($1)`, int64(operatorLock)); err != nil {
		return fmt.Errorf("locking the operators: %w", err)
	}
	return nil
}

func (s *Store) CreateOperator(ctx context.Context, o telltale.Operator, link [32]byte) error {
	o.Email = telltale.CleanEmail(o.Email)
	by := telltale.ActorOf(ctx).Or(o)
	return s.write(ctx, "creating an operator", func(tx *tx) error {
		if err := tx.lockOperators(); err != nil {
			return err
		}
		l, err := tx.useLink(link)
		if err != nil {
			return err
		}
		if !l.LetsIn(o) {
			return notFound("link")
		}
		var taken, someone bool
		_, err = tx.one([]any{&taken, &someone}, `SELECT EXISTS (SELECT FROM operator WHERE email = $1 OR id = $2), EXISTS (SELECT FROM operator)`, clean(o.Email), string(o.ID))
		switch {
		case err != nil:
			return err
		case l.Purpose == telltale.LinkSetup && someone:
			return telltale.Errorf(telltale.Conflict, "Telltale is set up already: sign in, or ask an owner for an invitation.")
		case taken:
			return telltale.Errorf(telltale.Conflict, "There is an operator %s already.", telltale.CutValue(o.Email))
		}
		_, err = tx.exec(`INSERT INTO operator (id, email, role, password_hash, theme, no_shortcuts, created_at, last_login_at, disabled_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			string(o.ID), clean(o.Email), string(o.Role), o.PasswordHash, string(o.Theme), o.NoShortcuts, stored.TimeMilli(o.CreatedAt), milliOrNull(o.LastLoginAt), milliOrNull(o.DisabledAt))
		if err != nil {
			return fmt.Errorf("operator %s: %w", o.ID, err)
		}
		return tx.audit(by, telltale.AuditEntry{
			Action: telltale.AuditOperatorCreated, Target: string(o.ID), Name: o.Email,
			Changes: []telltale.AuditChange{{Field: "role", After: string(o.Role)}},
		})
	})
}

func (s *Store) Operator(ctx context.Context, id telltale.OperatorID) (telltale.Operator, error) {
	return s.findOperator(ctx, ` WHERE id = $1`, string(id))
}

func (s *Store) OperatorByEmail(ctx context.Context, email string) (telltale.Operator, error) {
	return s.findOperator(ctx, ` WHERE email = $1`, telltale.CleanEmail(email))
}

func (s *Store) findOperator(ctx context.Context, where, value string) (telltale.Operator, error) {
	var row operatorRow
	err := s.read(ctx, "finding an operator", func(ctx context.Context, q querier) error {
		err := q.QueryRow(ctx, operatorColumns+where, clean(value)).Scan(row.into()...)
		if noRows(err) {
			return notFound("operator")
		}
		return err
	})
	if err != nil {
		return telltale.Operator{}, err
	}
	return row.operator(), nil
}

func (s *Store) Operators(ctx context.Context) (operators []telltale.Operator, err error) {
	err = s.read(ctx, "listing operators", func(ctx context.Context, q querier) error {
		var row operatorRow
		return each(ctx, q, operatorColumns+` ORDER BY email`, nil, row.into(), func() error {
			operators = append(operators, row.operator())
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return operators, nil
}

func (s *Store) UpdateOperator(ctx context.Context, o telltale.Operator) error {
	by := telltale.ActorOf(ctx)
	return s.write(ctx, "updating an operator", func(tx *tx) error {
		if err := tx.lockOperators(); err != nil {
			return err
		}
		before, err := tx.operatorToChange(o.ID)
		if err != nil {
			return err
		}
		made := before.Changed(o, tx.presentTime())
		if before.Owns() && !made.Owns() {
			others := false
			_, err := tx.one([]any{&others}, `SELECT EXISTS (SELECT FROM operator WHERE role = $1 AND disabled_at IS NULL AND id <> $2)`, string(telltale.RoleOwner), string(before.ID))
			if err != nil {
				return err
			}
			if !others {
				return telltale.Errorf(telltale.Conflict, "%s is the last owner who may sign in: make somebody else an owner first.", telltale.CutValue(before.Email))
			}
		}
		_, err = tx.exec(`UPDATE operator SET role = $1, theme = $2, no_shortcuts = $3, disabled_at = $4 WHERE id = $5`,
			string(made.Role), string(made.Theme), made.NoShortcuts, milliOrNull(made.DisabledAt), string(made.ID))
		if err != nil {
			return fmt.Errorf("operator %s: %w", made.ID, err)
		}
		if !made.DisabledAt.IsZero() {
			if err := tx.shutOut(made.ID, [32]byte{}); err != nil {
				return err
			}
		}
		changes := telltale.OperatorChanges(before, made)
		if len(changes) == 0 {
			return nil
		}
		return tx.audit(by, telltale.AuditEntry{Action: telltale.AuditOperatorChanged, Target: string(made.ID), Name: before.Email, Changes: changes})
	})
}

// shutOut ends the operator's sessions but one, and what links let them set
// the password anew. Whoever calls it has locked the operator, so that none of
// these is made meanwhile.
func (tx *tx) shutOut(id telltale.OperatorID, keep [32]byte) error {
	if _, err := tx.endSessions(id, keep); err != nil {
		return err
	}
	if _, err := tx.exec(`DELETE FROM link WHERE operator = $1`, string(id)); err != nil {
		return fmt.Errorf("links of %s: %w", id, err)
	}
	return nil
}

func (s *Store) SetPassword(ctx context.Context, id telltale.OperatorID, hash string, link, keep [32]byte) error {
	by := telltale.ActorOf(ctx)
	return s.write(ctx, "setting a password", func(tx *tx) error {
		o, err := tx.operatorToChange(id)
		if err != nil {
			return err
		}
		by := by
		if link != [32]byte{} {
			l, err := tx.useLink(link)
			if err != nil {
				return err
			}
			if l.Purpose != telltale.LinkReset || l.OperatorID != o.ID {
				return notFound("link")
			}
			by = by.Or(o)
		}
		if _, err := tx.exec(`UPDATE operator SET password_hash = $1 WHERE id = $2`, hash, string(o.ID)); err != nil {
			return fmt.Errorf("operator %s: %w", o.ID, err)
		}
		if err := tx.shutOut(o.ID, keep); err != nil {
			return err
		}
		return tx.audit(by, telltale.AuditEntry{Action: telltale.AuditPasswordChanged, Target: string(o.ID), Name: o.Email})
	})
}

func (s *Store) NoteLogin(ctx context.Context, id telltale.OperatorID) error {
	by := telltale.ActorOf(ctx)
	return s.write(ctx, "noting a login", func(tx *tx) error {
		o, err := tx.operatorToChange(id)
		if err != nil {
			return err
		}
		if _, err := tx.exec(`UPDATE operator SET last_login_at = $1 WHERE id = $2`, tx.milli, string(o.ID)); err != nil {
			return fmt.Errorf("operator %s: %w", o.ID, err)
		}
		return tx.audit(by.Or(o), telltale.AuditEntry{Action: telltale.AuditLogin, Target: string(o.ID), Name: o.Email})
	})
}
