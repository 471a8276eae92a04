package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

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
	err = s.write(ctx, "starting an import", 500, func(tx *tx) error {
		p := tx.project(i.ProjectID)
		if p == nil {
			return notFound("project")
		}
		running := 0
		_, err := tx.query(`SELECT count(*) FROM import WHERE state IN (2, 3) AND state < 4 AND project = ?`).int(p.number).one(func(q *query) { running = int(q.getInt()) })
		if err != nil {
			return err
		}
		if running >= telltale.MaxRunningImports {
			return telltale.Errorf(telltale.Conflict, "The project has %d imports that are running or paused already: wait, or cancel one.", running)
		}
		err = tx.change(`INSERT INTO import (id, project, kind, name, conversions, state, bytes, place, rows, line, applied, refused, failure, created_by, created_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, '', ?, ?)`).
			text(string(i.ID)).int(p.number).int(kind).text(i.Name).bool(i.Conversions).int(stored.ImportRunning).int(i.Bytes).text(i.CreatedBy).int(tx.milli).run()
		if isConstraint(err) {
			return telltale.Errorf(telltale.Conflict, "There is an import %s already.", i.ID)
		}
		if err != nil {
			return fmt.Errorf("import %s: %w", i.ID, err)
		}
		made = telltale.Import{
			ID: i.ID, ProjectID: i.ProjectID, Kind: i.Kind, Name: i.Name, Conversions: i.Conversions, State: telltale.ImportRunning, Bytes: i.Bytes,
			CreatedBy: i.CreatedBy, CreatedAt: tx.presentTime(),
		}
		return tx.audit(actor, telltale.AuditEntry{ProjectID: i.ProjectID, Action: telltale.AuditImportStarted, Target: string(i.ID), Name: i.Name})
	})
	if err != nil {
		return telltale.Import{}, err
	}
	return made, nil
}

// importRow is an import with what only the engine knows of it.
type importRow struct {
	telltale.Import
	number int64
}

const importColumns = `i.number, i.id, i.project, i.kind, i.name, i.conversions, i.state, i.bytes, i.place, i.rows, i.line, i.applied, i.refused, i.failure,
	i.created_by, i.created_at, coalesce(i.completed_at, 0)`

func (s *Store) scanImport(q *query) importRow {
	r := importRow{number: q.getInt()}
	r.ID = telltale.ImportID(q.getText())
	r.ProjectID = s.known.projectByNumber(q.getInt()).now.Load().ID
	r.Kind, r.Name, r.Conversions = stored.Word(stored.ImportKinds, q.getInt()), q.getText(), q.getBool()
	r.State, r.Bytes, r.Place = stored.Word(stored.ImportStates, q.getInt()), q.getInt(), q.getInt()
	r.Rows, r.Line, r.Applied, r.Refused = int(q.getInt()), int(q.getInt()), int(q.getInt()), int(q.getInt())
	r.Failure, r.CreatedBy, r.CreatedAt, r.CompletedAt = q.getText(), q.getText(), stored.MilliTime(q.getInt()), stored.MilliTime(q.getInt())
	return r
}

// importRow reads an import of a project; NotFound.
func (s *Store) importRow(c *conn, project telltale.ProjectID, id telltale.ImportID) (r importRow, err error) {
	found, err := c.query(`SELECT ` + importColumns + ` FROM import i WHERE i.id = ?`).text(string(id)).one(func(q *query) { r = s.scanImport(q) })
	if err != nil || !found || r.ProjectID != project {
		return importRow{}, orNotFound(err, "import")
	}
	return r, nil
}

func (s *Store) Import(ctx context.Context, project telltale.ProjectID, id telltale.ImportID) (telltale.Import, error) {
	var r importRow
	err := s.read(ctx, "reading an import", func(c *conn) (err error) {
		r, err = s.importRow(c, project, id)
		return err
	})
	return r.Import, err
}

func (s *Store) Imports(ctx context.Context, project telltale.ProjectID, page telltale.Page) (imports []telltale.Import, err error) {
	if err := s.down(); err != nil {
		return nil, err
	}
	p := s.known.project(project)
	if p == nil {
		return nil, nil
	}
	err = s.read(ctx, "listing imports", func(c *conn) error {
		l := list{page: page, key: "i.id"}
		l.where("i.project = ?", p.number)
		l.pageByText()
		return l.each(c, `SELECT `+importColumns+` FROM import i`, s.collectImports(&imports))
	})
	return newestFirst(imports, page), err
}

func (s *Store) OpenImports(ctx context.Context) (imports []telltale.Import, err error) {
	err = s.read(ctx, "looking for imports that have not ended", func(c *conn) error {
		return c.query(`SELECT ` + importColumns + ` FROM import i WHERE i.state < 4`).each(s.collectImports(&imports))
	})
	slices.SortFunc(imports, func(a, b telltale.Import) int {
		return cmp.Or(strings.Compare(string(a.ProjectID), string(b.ProjectID)), strings.Compare(string(a.ID), string(b.ID)))
	})
	return imports, err
}

func (s *Store) collectImports(into *[]telltale.Import) func(*query) error {
	return func(q *query) error {
		*into = append(*into, s.scanImport(q).Import)
		return nil
	}
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
	err := s.write(ctx, "switching an import", 200, func(tx *tx) (err error) {
		if r, err = s.importRow(tx.conn, project, id); err != nil || r.State == to {
			return err
		}
		if r.State.Ended() {
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
	return tx.change(`UPDATE import SET state = ?, completed_at = ?, failure = ? WHERE number = ?`).
		int(state).intOrNull(stored.TimeMilli(r.CompletedAt)).text(r.Failure).int(r.number).run()
}

func (s *Store) FailImport(ctx context.Context, id telltale.ImportID, failure string) error {
	return s.write(ctx, "giving up an import", 500, func(tx *tx) error {
		var r importRow
		found, err := tx.query(`SELECT ` + importColumns + ` FROM import i WHERE i.id = ?`).text(string(id)).one(func(q *query) { r = s.scanImport(q) })
		if err != nil || !found {
			return orNotFound(err, "import")
		}
		if r.State != telltale.ImportRunning {
			return nil
		}
		r.Failure = failure
		return tx.setImportState(&r, telltale.ImportFailed)
	})
}

func (s *Store) RefusedRows(ctx context.Context, project telltale.ProjectID, id telltale.ImportID, afterLine int) (rows []telltale.RefusedRow, err error) {
	err = s.read(ctx, "listing refused rows", func(c *conn) error {
		r, err := s.importRow(c, project, id)
		if err != nil {
			return err
		}
		return c.query(`SELECT line, reason, row FROM refused_row WHERE import = ? AND line > ? ORDER BY line LIMIT ?`).
			int(r.number).int(int64(afterLine)).int(telltale.MaxPage).
			each(func(q *query) error {
				rows = append(rows, telltale.RefusedRow{Line: int(q.getInt()), Reason: q.getText(), Row: q.getBlob()})
				return nil
			})
	})
	return rows, err
}

// beginImport finds the import of the progress, which has to run and stand where
// the progress begins; Conflict.
func (tx *tx) beginImport(project telltale.ProjectID, p *telltale.ImportProgress) (importRow, error) {
	r, err := tx.store.importRow(tx.conn, project, p.ID)
	switch {
	case err != nil:
		return r, err
	case r.State != telltale.ImportRunning:
		return r, telltale.Errorf(telltale.Conflict, "The import %s is %s.", p.ID, r.State)
	case r.Place != p.From:
		return r, telltale.Errorf(telltale.Conflict, "The import %s stands at byte %d, not at %d.", p.ID, r.Place, p.From)
	}
	return r, nil
}

// noteImport writes how far the import has come, with the rows that were
// refused: those of which no change was made, and those whose change was not applied.
func (tx *tx) noteImport(r importRow, p *telltale.ImportProgress, results []telltale.UserResult) error {
	kept := r.Refused
	refuse := func(row telltale.RefusedRow) error {
		r.Refused++
		if kept >= telltale.MaxRefusedRows {
			return nil
		}
		kept++
		return tx.change(`INSERT INTO refused_row (import, line, reason, row) VALUES (?, ?, ?, ?)`).
			int(r.number).int(int64(row.Line)).text(row.Reason).blobOrNull(row.Row[:min(len(row.Row), telltale.MaxRefusedRow)]).run()
	}
	for _, row := range p.Refused {
		if err := refuse(row); err != nil {
			return fmt.Errorf("import %s: refusing line %d: %w", p.ID, row.Line, err)
		}
	}
	for i, result := range results {
		if result.Err == nil {
			r.Applied++
			continue
		}
		row := p.Of[i]
		row.Reason = stored.Refusal(result.Err)
		if err := refuse(row); err != nil {
			return fmt.Errorf("import %s: refusing line %d: %w", p.ID, row.Line, err)
		}
	}
	state, completed := int64(stored.ImportRunning), int64(0)
	if p.Finished {
		state, completed = stored.ImportFinished, tx.milli
	}
	err := tx.change(`UPDATE import SET place = ?, rows = ?, line = ?, applied = ?, refused = ?, state = ?, completed_at = ? WHERE number = ?`).
		int(p.To).int(int64(r.Rows + p.Rows)).int(int64(p.Line)).int(int64(r.Applied)).int(int64(r.Refused)).int(state).intOrNull(completed).int(r.number).run()
	if err != nil {
		return fmt.Errorf("import %s: %w", p.ID, err)
	}
	return nil
}

// purgeImports forgets imports that ended and are older than the events. Their
// refused rows go first, some at a time.
func (tx *tx) purgeImports(age time.Duration) (more bool, err error) {
	if age == 0 {
		return false, nil
	}
	var old []int64
	err = tx.query(`SELECT number FROM import WHERE state >= 4 AND created_at < ?`).int(tx.milli - age.Milliseconds()).each(func(q *query) error {
		old = append(old, q.getInt())
		return nil
	})
	if err != nil {
		return false, err
	}
	left := int64(purgeRows)
	for _, number := range old {
		err := tx.change(`DELETE FROM refused_row WHERE import = ?1 AND line IN (SELECT line FROM refused_row WHERE import = ?1 ORDER BY line LIMIT ?2)`).int(number).int(left).run()
		if err != nil {
			return false, fmt.Errorf("refused rows of import %d: %w", number, err)
		}
		if left -= int64(tx.conn.Changes()); left <= 0 {
			return true, nil
		}
		if err := tx.change(`DELETE FROM import WHERE number = ?`).int(number).run(); err != nil {
			return false, fmt.Errorf("import %d: %w", number, err)
		}
	}
	return false, nil
}
