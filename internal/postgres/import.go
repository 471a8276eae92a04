package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

func (s *Store) CreateImport(ctx context.Context, i telltale.Import) (made telltale.Import, err error) {
	kind, err := stored.Code(stored.ImportKinds, i.Kind)
	if err != nil {
		return made, telltale.Errorf(telltale.Invalid, "%q is nothing that is imported: profiles, events and unsubscribes are.", telltale.CutValue(string(i.Kind)))
	}
	if i.ID == "" {
		i.ID = telltale.NewImportID()
	}
	actor := telltale.ActorOf(ctx)
	if i.CreatedBy == "" {
		i.CreatedBy = actor.Name
	}
	err = s.write(ctx, "starting an import", func(tx *tx) error {
		p := tx.known.project(i.ProjectID)
		if p == nil {
			return notFound("project")
		}
		running, err := tx.countOpen("import", p)
		if err != nil {
			return err
		}
		if running >= telltale.MaxRunningImports {
			return telltale.Errorf(telltale.Conflict, "The project has %d imports that are running or paused already: wait, or cancel one.", running)
		}
		_, err = tx.exec(`INSERT INTO import (id, project, kind, name, conversions, state, bytes, place, rows, line, applied, refused, failure, created_by, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, 0, 0, 0, '', $8, $9)`,
			string(i.ID), p.number, kind, clean(i.Name), i.Conversions, stored.ImportRunning, i.Bytes, clean(i.CreatedBy), tx.milli)
		if isUnique(err) {
			return telltale.Errorf(telltale.Conflict, "There is an import %s already.", i.ID)
		}
		if err != nil {
			return fmt.Errorf("import %s: %w", i.ID, err)
		}
		made = telltale.Import{
			ID: i.ID, ProjectID: i.ProjectID, Kind: i.Kind, Name: clean(i.Name), Conversions: i.Conversions, State: telltale.ImportRunning, Bytes: i.Bytes,
			CreatedBy: clean(i.CreatedBy), CreatedAt: tx.presentTime(),
		}
		return tx.audit(actor, telltale.AuditEntry{ProjectID: i.ProjectID, Action: telltale.AuditImportStarted, Target: string(i.ID), Name: i.Name})
	})
	if err != nil {
		return telltale.Import{}, err
	}
	return made, nil
}

// countOpen counts a project's jobs in the table that have not ended. Whoever
// starts one in the same moment waits, so that the bound on their number holds.
func (tx *tx) countOpen(table string, p *project) (n int, err error) {
	if _, err := tx.exec(`SELECT 1 FROM project WHERE number = $1 FOR NO KEY UPDATE`, p.number); err != nil {
		return 0, err
	}
	_, err = tx.one([]any{&n}, `SELECT count(*) FROM `+table+` WHERE state < 4 AND project = $1`, p.number)
	return n, err
}

// importRow is an import with what only the engine knows of it.
type importRow struct {
	telltale.Import
	number int64
}

const importColumns = `i.number, i.id, p.id, i.kind, i.name, i.conversions, i.state, i.bytes, i.place, i.rows, i.line, i.applied, i.refused, i.failure,
	i.created_by, i.created_at, coalesce(i.completed_at, 0)`

const fromImports = ` FROM import i JOIN project p ON p.number = i.project`

// scannedImport is a row with those columns.
type scannedImport struct {
	importRow
	kind, state, createdAt, completedAt int64
}

func (r *scannedImport) into() []any {
	return []any{&r.number, &r.ID, &r.ProjectID, &r.kind, &r.Name, &r.Conversions, &r.state, &r.Bytes, &r.Place, &r.Rows, &r.Line, &r.Applied, &r.Refused, &r.Failure,
		&r.CreatedBy, &r.createdAt, &r.completedAt}
}

// row is the import as it was scanned, apart from the variable.
func (r *scannedImport) row() importRow {
	made := r.importRow
	made.Kind, made.State = stored.Word(stored.ImportKinds, r.kind), stored.Word(stored.ImportStates, r.state)
	made.CreatedAt, made.CompletedAt = stored.MilliTime(r.createdAt), stored.MilliTime(r.completedAt)
	return made
}

// readImport reads an import of a project; NotFound.
func readImport(ctx context.Context, q querier, project telltale.ProjectID, id telltale.ImportID) (importRow, error) {
	var r scannedImport
	err := q.QueryRow(ctx, `SELECT `+importColumns+fromImports+` WHERE i.id = $1`, clean(string(id))).Scan(r.into()...)
	if noRows(err) || err == nil && r.ProjectID != project {
		return importRow{}, notFound("import")
	}
	if err != nil {
		return importRow{}, err
	}
	return r.row(), nil
}

// lockImport reads an import that nobody else changes before the transaction
// ends; NotFound.
func (tx *tx) lockImport(id telltale.ImportID) (importRow, error) {
	var r scannedImport
	found, err := tx.one(r.into(), `SELECT `+importColumns+fromImports+` WHERE i.id = $1 FOR UPDATE OF i`, clean(string(id)))
	if err != nil || !found {
		return importRow{}, orNotFound(err, "import")
	}
	return r.row(), nil
}

func (s *Store) Import(ctx context.Context, project telltale.ProjectID, id telltale.ImportID) (telltale.Import, error) {
	var r importRow
	err := s.read(ctx, "reading an import", func(ctx context.Context, q querier) (err error) {
		r, err = readImport(ctx, q, project, id)
		return err
	})
	return r.Import, err
}

func (s *Store) Imports(ctx context.Context, project telltale.ProjectID, page telltale.Page) (imports []telltale.Import, err error) {
	err = s.read(ctx, "listing imports", func(ctx context.Context, q querier) error {
		var c conditions
		c.where("p.id = ?", string(project))
		order := c.byID("i.id", page)
		return eachImport(ctx, q, &imports, c.String()+order, c.args)
	})
	return newestFirst(imports, page), err
}

func (s *Store) OpenImports(ctx context.Context) (imports []telltale.Import, err error) {
	err = s.read(ctx, "looking for imports that have not ended", func(ctx context.Context, q querier) error {
		return eachImport(ctx, q, &imports, ` WHERE i.state < 4`, nil)
	})
	slices.SortFunc(imports, func(a, b telltale.Import) int {
		return cmp.Or(strings.Compare(string(a.ProjectID), string(b.ProjectID)), strings.Compare(string(a.ID), string(b.ID)))
	})
	return imports, err
}

func eachImport(ctx context.Context, q querier, imports *[]telltale.Import, which string, args []any) error {
	var r scannedImport
	return each(ctx, q, `SELECT `+importColumns+fromImports+which, args, r.into(), func() error {
		*imports = append(*imports, r.row().Import)
		return nil
	})
}

func (s *Store) SwitchImport(ctx context.Context, project telltale.ProjectID, id telltale.ImportID, to telltale.ImportState) (telltale.Import, error) {
	actor := telltale.ActorOf(ctx)
	action, known := map[telltale.ImportState]telltale.AuditAction{
		telltale.ImportRunning: telltale.AuditImportResumed, telltale.ImportPaused: telltale.AuditImportPaused, telltale.ImportCancelled: telltale.AuditImportCancelled,
	}[to]
	if !known {
		return telltale.Import{}, telltale.Errorf(telltale.Invalid, "An import is not switched to %q: it is paused, resumed or cancelled.", telltale.CutValue(string(to)))
	}
	var r importRow
	err := s.write(ctx, "switching an import", func(tx *tx) (err error) {
		if r, err = tx.lockImport(id); err != nil {
			return err
		}
		switch {
		case r.ProjectID != project:
			return notFound("import")
		case r.State == to:
			return nil
		case r.State.Ended():
			return telltale.Errorf(telltale.Conflict, "The import has ended: it is %s.", r.State)
		}
		if err := tx.setImportState(&r, to); err != nil {
			return err
		}
		return tx.audit(actor, telltale.AuditEntry{ProjectID: project, Action: action, Target: string(id), Name: r.Name})
	})
	if err != nil {
		return telltale.Import{}, err
	}
	return r.Import, nil
}

func (tx *tx) setImportState(r *importRow, to telltale.ImportState) error {
	state, err := stored.Code(stored.ImportStates, to)
	if err != nil {
		return err
	}
	if r.State = to; to.Ended() {
		r.CompletedAt = tx.presentTime()
	}
	_, err = tx.exec(`UPDATE import SET state = $1, completed_at = $2, failure = $3 WHERE number = $4`, state, milliOrNull(r.CompletedAt), clean(r.Failure), r.number)
	return err
}

func (s *Store) FailImport(ctx context.Context, id telltale.ImportID, failure string) error {
	return s.write(ctx, "giving up an import", func(tx *tx) error {
		r, err := tx.lockImport(id)
		if err != nil || r.State != telltale.ImportRunning {
			return err
		}
		r.Failure = failure
		return tx.setImportState(&r, telltale.ImportFailed)
	})
}

func (s *Store) RefusedRows(ctx context.Context, project telltale.ProjectID, id telltale.ImportID, afterLine int) (rows []telltale.RefusedRow, err error) {
	err = s.read(ctx, "listing refused rows", func(ctx context.Context, q querier) error {
		r, err := readImport(ctx, q, project, id)
		if err != nil {
			return err
		}
		var row telltale.RefusedRow
		return each(ctx, q, `SELECT line, reason, row FROM refused_row WHERE import = $1 AND line > $2 ORDER BY line LIMIT $3`,
			[]any{r.number, afterLine, telltale.MaxPage}, []any{&row.Line, &row.Reason, &row.Row}, func() error {
				rows = append(rows, row)
				row.Row = nil
				return nil
			})
	})
	return rows, err
}
