package sqlite

import (
	"context"
	"fmt"

	"github.com/oklog/ulid/v2"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// auditBytes is roughly what an entry takes on disk.
const auditBytes = 500

// Audit notes what the store does not see. Its own changes are noted by tx.audit.
func (s *Store) Audit(ctx context.Context, e telltale.AuditEntry) error {
	actor := telltale.ActorOf(ctx)
	return s.write(ctx, "noting who did what", auditBytes, func(tx *tx) error { return tx.audit(actor, e) })
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
	err = tx.change(`INSERT INTO audit_entry (id, project, at, actor_kind, actor_id, actor_name, remote_addr, request, action, target, name, changes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`).
		text(string(e.ID)).int(project).int(stored.TimeMilli(e.At)).text(string(a.Kind)).text(a.ID).text(a.Name).text(a.RemoteAddr).text(string(a.RequestID)).
		text(string(e.Action)).text(row.Target).text(row.Name).textOrNull(row.Changes).run()
	if err != nil {
		return fmt.Errorf("audit entry %s: %w", e.Action, err)
	}
	return nil
}

func (s *Store) AuditEntries(ctx context.Context, project telltale.ProjectID, f telltale.AuditFilter, page telltale.Page) ([]telltale.AuditEntry, error) {
	var number int64
	if project != "" {
		p := s.known.project(project)
		if p == nil {
			return nil, s.down()
		}
		number = p.number
	}
	var entries []telltale.AuditEntry
	err := s.read(ctx, "listing who did what", func(c *conn) (err error) {
		l := list{page: page, key: "id"}
		l.where("project = ?", number)
		l.pageByText()
		if f.Action != "" {
			l.where("action = ?", string(f.Action))
		}
		if f.Actor != "" {
			l.where("? IN (actor_id, actor_name)", f.Actor)
		}
		if f.Target != "" {
			l.where("target = ?", f.Target)
		}
		if !f.Since.IsZero() {
			l.where("at >= ?", stored.CeilMilli(f.Since))
		}
		if !f.Until.IsZero() {
			l.where("at < ?", stored.CeilMilli(f.Until))
		}
		return l.each(c, `SELECT id, at, actor_kind, actor_id, actor_name, remote_addr, request, action, target, name, changes FROM audit_entry`, func(q *query) error {
			e := telltale.AuditEntry{ID: telltale.AuditID(q.getText()), ProjectID: project, At: stored.MilliTime(q.getInt())}
			e.Actor = telltale.Actor{Kind: telltale.ActorKind(q.getText()), ID: q.getText(), Name: q.getText(), RemoteAddr: q.getText(), RequestID: telltale.RequestID(q.getText())}
			e.Action, e.Target, e.Name = telltale.AuditAction(q.getText()), q.getText(), q.getText()
			if e.Changes, err = stored.AuditChanges(q.getText()); err != nil {
				return fmt.Errorf("audit entry %s: %w", e.ID, err)
			}
			entries = append(entries, e)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return newestFirst(entries, page), nil
}

// purgeAudit forgets entries after [telltale.AuditMemory], by their ids, which
// tell when they were made.
func (tx *tx) purgeAudit() (more bool, err error) {
	var u ulid.ULID
	_ = u.SetTime(uint64(tx.milli - telltale.AuditMemory.Milliseconds())) // a time of 48 bits
	err = tx.change(`DELETE FROM audit_entry WHERE id IN (SELECT id FROM audit_entry WHERE id < ? ORDER BY id LIMIT ?)`).
		text("aud_" + u.String()).int(purgeRows).run()
	return tx.conn.Changes() == purgeRows, err
}
