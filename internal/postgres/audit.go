package postgres

import (
	"context"
	"fmt"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// Audit notes what the store does not see. Its own changes are noted by tx.audit.
func (s *Store) Audit(ctx context.Context, e telltale.AuditEntry) error {
	actor := telltale.ActorOf(ctx)
	return s.write(ctx, "noting who did what", func(tx *tx) error { return tx.audit(actor, e) })
}

// audit adds an entry to the transaction of what it tells.
func (tx *tx) audit(actor telltale.Actor, e telltale.AuditEntry) error {
	if e.ID == "" {
		e.ID = telltale.NewAuditID()
	}
	if e.At.IsZero() {
		e.At = tx.presentTime()
	}
	if e.Actor.Kind == "" {
		e.Actor = actor
	}
	project, err := tx.keyProject(e.ProjectID)
	if err != nil {
		return err
	}
	row, err := stored.CutAudit(&e)
	if err != nil {
		return err
	}
	a := e.Actor
	_, err = tx.exec(`INSERT INTO audit_entry (id, project, at, actor_kind, actor_id, actor_name, remote_addr, request, action, target, name, changes)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		clean(string(e.ID)), project, stored.TimeMilli(e.At), clean(string(a.Kind)), clean(a.ID), clean(a.Name), clean(a.RemoteAddr), clean(string(a.RequestID)),
		clean(string(e.Action)), clean(row.Target), clean(row.Name), textOrNull(row.Changes))
	if err != nil {
		return fmt.Errorf("audit entry %s: %w", e.Action, err)
	}
	return nil
}

func (s *Store) AuditEntries(ctx context.Context, project telltale.ProjectID, f telltale.AuditFilter, page telltale.Page) ([]telltale.AuditEntry, error) {
	var entries []telltale.AuditEntry
	err := s.read(ctx, "listing who did what", func(ctx context.Context, q querier) error {
		var c conditions
		c.ofKeyProject(project)
		if f.Action != "" {
			c.where("action = ?", string(f.Action))
		}
		if f.Actor != "" {
			c.where("? IN (actor_id, actor_name)", f.Actor)
		}
		if f.Target != "" {
			c.where("target = ?", f.Target)
		}
		if !f.Since.IsZero() {
			c.where("at >= ?", stored.CeilMilli(f.Since))
		}
		if !f.Until.IsZero() {
			c.where("at < ?", stored.CeilMilli(f.Until))
		}
		order := c.byID("id", page)
		var at int64
		var changes string
		e := telltale.AuditEntry{}
		a := &e.Actor
		return each(ctx, q, `SELECT id, at, actor_kind, actor_id, actor_name, remote_addr, request, action, target, name, coalesce(changes, '') FROM audit_entry`+c.String()+order, c.args,
			[]any{&e.ID, &at, &a.Kind, &a.ID, &a.Name, &a.RemoteAddr, &a.RequestID, &e.Action, &e.Target, &e.Name, &changes}, func() error {
				made := e
				made.ProjectID, made.At = project, stored.MilliTime(at)
				var err error
				if made.Changes, err = stored.AuditChanges(changes); err != nil {
					return fmt.Errorf("audit entry %s: %w", made.ID, err)
				}
				entries = append(entries, made)
				return nil
			})
	})
	if err != nil {
		return nil, err
	}
	return newestFirst(entries, page), nil
}
