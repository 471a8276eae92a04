package postgres

import (
	"context"

	"telltale.example/telltale"
)

func (s *Store) CreateImport(ctx context.Context, i telltale.Import) (telltale.Import, error) {
	panic("not written")
}

func (s *Store) Import(ctx context.Context, project telltale.ProjectID, id telltale.ImportID) (telltale.Import, error) {
	panic("not written")
}

func (s *Store) Imports(ctx context.Context, project telltale.ProjectID, page telltale.Page) ([]telltale.Import, error) {
	panic("not written")
}

func (s *Store) SwitchImport(ctx context.Context, project telltale.ProjectID, id telltale.ImportID, to telltale.ImportState) (telltale.Import, error) {
	panic("not written")
}

func (s *Store) FailImport(ctx context.Context, id telltale.ImportID, failure string) error {
	panic("not written")
}

func (s *Store) OpenImports(ctx context.Context) ([]telltale.Import, error) { panic("not written") }

func (s *Store) RefusedRows(ctx context.Context, project telltale.ProjectID, id telltale.ImportID, afterLine int) ([]telltale.RefusedRow, error) {
	panic("not written")
}
