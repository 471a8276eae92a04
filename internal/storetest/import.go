package storetest

import (
	"slices"
	"strconv"
	"time"

	"telltale.example/telltale"
)

func (w *world) startImport(kind telltale.ImportKind) telltale.Import {
	w.Helper()
	i, err := w.CreateImport(w.ctx, telltale.Import{ProjectID: w.project.ID, Kind: kind, Name: "users.csv", Bytes: 1000})
	w.must(err)
	return i
}

func (w *world) anImport(id telltale.ImportID) telltale.Import {
	w.Helper()
	i, err := w.Import(w.ctx, w.project.ID, id)
	w.must(err)
	return i
}

func (w *world) switchImport(id telltale.ImportID, to telltale.ImportState) telltale.Import {
	w.Helper()
	i, err := w.SwitchImport(w.ctx, w.project.ID, id, to)
	w.must(err)
	w.equal("the state", i.State, to)
	w.equal("the import when it is read", w.anImport(id), i)
	return i
}

func (w *world) openImports() []telltale.ImportID {
	w.Helper()
	all, err := w.OpenImports(w.ctx)
	w.must(err)
	return ids(all, importID)
}

func importID(i telltale.Import) telltale.ImportID { return i.ID }

var importTests = []test{
	{"an import is kept as it was started, and who did what is in the audit log", func(w *world) {
		actor := telltale.Actor{Kind: telltale.ActorOperator, ID: "opr_1", Name: "jo@example.com"}
		ctx := telltale.WithActor(w.ctx, actor)
		wanted := telltale.Import{
			ID: telltale.NewImportID(), ProjectID: w.project.ID, Kind: telltale.ImportEvents, Name: "what was bought.csv", Conversions: true, Bytes: telltale.MaxImportBytes,
		}
		i, err := w.CreateImport(ctx, wanted)
		w.must(err)
		wanted.State, wanted.CreatedBy, wanted.CreatedAt = telltale.ImportRunning, "jo@example.com", milli(w.Now())
		w.equal("what is answered", i, wanted)
		w.restart()
		w.equal("the import", w.anImport(i.ID), wanted)
		for _, state := range []telltale.ImportState{telltale.ImportPaused, telltale.ImportPaused, telltale.ImportRunning, telltale.ImportCancelled} {
			_, err := w.SwitchImport(ctx, w.project.ID, i.ID, state)
			w.must(err)
		}
		entries, err := w.AuditEntries(w.ctx, w.project.ID, telltale.AuditFilter{Target: string(i.ID)}, telltale.Page{Limit: 10})
		w.must(err)
		w.equal("the entries", sorted(ids(entries, func(e telltale.AuditEntry) telltale.AuditAction { return e.Action })), sorted([]telltale.AuditAction{
			telltale.AuditImportCancelled, telltale.AuditImportResumed, telltale.AuditImportPaused, telltale.AuditImportStarted,
		}))
		w.equal("who did it", entries[0].Actor, actor)
		w.equal("what it is called", entries[0].Name, "what was bought.csv")
	}},
	{"an import that is paused does not run, and one that has ended stays so", func(w *world) {
		first, second := w.startImport(telltale.ImportProfiles), w.startImport(telltale.ImportUnsubscribes)
		w.equal("what is open", w.openImports(), []telltale.ImportID{first.ID, second.ID})
		w.switchImport(first.ID, telltale.ImportPaused)
		w.equal("what is open then", w.openImports(), []telltale.ImportID{first.ID, second.ID})
		w.switchImport(first.ID, telltale.ImportRunning)
		w.Advance(time.Minute)
		ended := w.switchImport(first.ID, telltale.ImportCancelled)
		w.equal("when it ended", ended.CompletedAt, milli(w.Now()))
		w.switchImport(first.ID, telltale.ImportCancelled)
		for _, to := range []telltale.ImportState{telltale.ImportRunning, telltale.ImportPaused} {
			_, err := w.SwitchImport(w.ctx, w.project.ID, first.ID, to)
			w.code(telltale.Conflict, err)
		}
		w.equal("what is open in the end", w.openImports(), []telltale.ImportID{second.ID})
	}},
	{"an import fails with a reason, if it runs", func(w *world) {
		i, paused := w.startImport(telltale.ImportProfiles), w.startImport(telltale.ImportProfiles)
		w.must(w.FailImport(w.ctx, i.ID, "The file is gone."))
		failed := w.anImport(i.ID)
		w.equal("its state", failed.State, telltale.ImportFailed)
		w.equal("the reason", failed.Failure, "The file is gone.")
		w.equal("when it ended", failed.CompletedAt, milli(w.Now()))
		w.switchImport(paused.ID, telltale.ImportPaused)
		w.must(w.FailImport(w.ctx, paused.ID, "The file is gone."))
		w.equal("the state of the paused one", w.anImport(paused.ID).State, telltale.ImportPaused)
		w.code(telltale.NotFound, w.FailImport(w.ctx, telltale.NewImportID(), "The file is gone."))
	}},
	{"what is not there, or makes no sense, is not imported", func(w *world) {
		i := w.startImport(telltale.ImportProfiles)
		other := w.newProject("other")
		for _, id := range []telltale.ImportID{telltale.NewImportID(), "", "nonsense"} {
			_, err := w.Import(w.ctx, w.project.ID, id)
			w.code(telltale.NotFound, err)
		}
		_, err := w.Import(w.ctx, other.ID, i.ID)
		w.code(telltale.NotFound, err)
		_, err = w.SwitchImport(w.ctx, other.ID, i.ID, telltale.ImportPaused)
		w.code(telltale.NotFound, err)
		_, err = w.RefusedRows(w.ctx, other.ID, i.ID, 0)
		w.code(telltale.NotFound, err)
		list, err := w.Imports(w.ctx, other.ID, telltale.Page{Limit: 10})
		w.must(err)
		w.equal("the other's imports", len(list), 0)
		for _, to := range []telltale.ImportState{telltale.ImportFinished, telltale.ImportFailed, "", "nonsense"} {
			_, err = w.SwitchImport(w.ctx, w.project.ID, i.ID, to)
			w.code(telltale.Invalid, err)
		}
		_, err = w.CreateImport(w.ctx, telltale.Import{ProjectID: w.project.ID, Kind: "nonsense"})
		w.code(telltale.Invalid, err)
		_, err = w.CreateImport(w.ctx, telltale.Import{ProjectID: telltale.NewProjectID(), Kind: telltale.ImportProfiles})
		w.code(telltale.NotFound, err)
		_, err = w.CreateImport(w.ctx, telltale.Import{ID: i.ID, ProjectID: w.project.ID, Kind: telltale.ImportProfiles})
		w.code(telltale.Conflict, err)
	}},
	{"a project has so many imports at once and no more", func(w *world) {
		var all []telltale.ImportID
		for range telltale.MaxRunningImports {
			all = append(all, w.startImport(telltale.ImportProfiles).ID)
		}
		w.switchImport(all[0], telltale.ImportPaused)
		one := telltale.Import{ProjectID: w.project.ID, Kind: telltale.ImportProfiles}
		_, err := w.CreateImport(w.ctx, one)
		w.code(telltale.Conflict, err)
		w.switchImport(all[0], telltale.ImportCancelled)
		_, err = w.CreateImport(w.ctx, one)
		w.must(err)
		pages(w, func(p telltale.Page) ([]telltale.Import, error) { return w.Imports(w.ctx, w.project.ID, p) }, func(i telltale.Import) string { return string(i.ID) })
	}},
	{"imports that ended go when they are as old as events that go", func(w *world) {
		ended, running := w.startImport(telltale.ImportProfiles), w.startImport(telltale.ImportProfiles)
		w.switchImport(ended.ID, telltale.ImportCancelled)
		w.Advance(29 * 24 * time.Hour)
		w.purge(month)
		w.anImport(ended.ID)
		w.Advance(2 * 24 * time.Hour)
		w.purge(month)
		_, err := w.Import(w.ctx, w.project.ID, ended.ID)
		w.code(telltale.NotFound, err)
		list, err := w.Imports(w.ctx, w.project.ID, telltale.Page{Limit: 10})
		w.must(err)
		w.equal("what is left", ids(list, importID), []telltale.ImportID{running.ID})
	}},
	{"how far an import is, is stored with what came of it", func(w *world) {
		w.newWebhook()
		i := w.startImport(telltale.ImportProfiles)
		w.importRows(i, telltale.ImportProgress{From: 0, To: 400, Rows: 3, Line: 5, Of: rowsOf(2, 4), Refused: []telltale.RefusedRow{{Line: 3, Reason: "It is wrong.", Row: []byte("\xff,x")}}},
			w.identify(whose(`"1"`), `{"plan":"gold"}`), w.identify(whose(`"2"`), `{}`))
		w.restart()
		got := w.anImport(i.ID)
		w.equal("where it stands", []any{got.State, got.Place, got.Rows, got.Line, got.Applied, got.Refused}, []any{telltale.ImportRunning, int64(400), 3, 5, 2, 1})
		w.whoIs(whose(`"1"`))
		w.equal("the events", len(w.events(telltale.EventFilter{Type: telltale.UserCreated})), 2)
		w.Advance(time.Minute)
		w.importRows(i, telltale.ImportProgress{From: 400, To: 1000, Rows: 1, Line: 6, Of: rowsOf(6), Finished: true}, w.identify(whose(`"1"`), `{"plan":"free"}`))
		got = w.anImport(i.ID)
		w.equal("where it stands in the end", []any{got.State, got.Place, got.Rows, got.Line, got.Applied, got.Refused}, []any{telltale.ImportFinished, int64(1000), 4, 6, 3, 1})
		w.equal("when it ended", got.CompletedAt, milli(w.Now()))
		w.equal("what is open", len(w.openImports()), 0)
		w.equal("what was refused", w.refusedRows(i.ID, 0), []telltale.RefusedRow{{Line: 3, Reason: "It is wrong.", Row: []byte("\xff,x")}})
		w.equal("what was refused behind that", len(w.refusedRows(i.ID, 3)), 0)
	}},
	{"a row whose change is not applied is refused, and the others go in", func(w *world) {
		i := w.startImport(telltale.ImportProfiles)
		many := telltale.UserChange{Kind: telltale.ChangeIdentify, User: whose(`"2"`)}
		for n := range telltale.MaxExtraKeys + 1 {
			many.Data.SetInt(strconv.Itoa(n), 1)
		}
		w.importRows(i, telltale.ImportProgress{To: 1000, Rows: 3, Line: 4, Of: rowsOf(2, 3, 4)}, w.identify(whose(`"1"`), `{}`), many, w.identify(whose(`"3"`), `{}`))
		got := w.anImport(i.ID)
		w.equal("what went in", []int{got.Applied, got.Refused}, []int{2, 1})
		w.equal("what was refused", w.refusedRows(i.ID, 0), []telltale.RefusedRow{{Line: 3, Reason: "The user would have 101 properties; expected at most 100.", Row: []byte("row 3")}})
		w.nobody(whose(`"2"`))
		w.whoIs(whose(`"3"`))
	}},
	{"rows go in only from where the import stands, and while it runs", func(w *world) {
		i := w.startImport(telltale.ImportProfiles)
		other := w.newProject("other")
		for name, c := range map[string]struct {
			project telltale.ProjectID
			before  func()
			from    int64
			id      telltale.ImportID
			code    telltale.Code
		}{
			"from further on":         {w.project.ID, func() {}, 10, i.ID, telltale.Conflict},
			"of another project":      {other.ID, func() {}, 0, i.ID, telltale.NotFound},
			"of none":                 {w.project.ID, func() {}, 0, telltale.NewImportID(), telltale.NotFound},
			"of one that is paused":   {w.project.ID, func() { w.switchImport(i.ID, telltale.ImportPaused) }, 0, i.ID, telltale.Conflict},
			"of one that is finished": {w.project.ID, func() {}, 0, w.finishedImport(), telltale.Conflict},
		} {
			c.before()
			_, err := w.ChangeUsers(w.ctx, telltale.UserChanges{
				ProjectID: c.project, Source: "import", Changes: []telltale.UserChange{w.identify(whose(`"1"`), `{}`)},
				Import: &telltale.ImportProgress{ID: c.id, From: c.from, To: 20, Rows: 1, Line: 2, Of: rowsOf(2)},
			})
			if telltale.CodeOf(err) != c.code {
				w.Fatalf("%s: %v", name, err)
			}
			w.nobody(whose(`"1"`))
			if _, err := w.SwitchImport(w.ctx, w.project.ID, i.ID, telltale.ImportRunning); err != nil {
				w.Fatal(err)
			}
		}
	}},
	{"of many refused rows the first are kept, a page at a time, and all are counted", func(w *world) {
		i := w.startImport(telltale.ImportProfiles)
		const n = 2*telltale.MaxPage + 1
		refused := make([]telltale.RefusedRow, n)
		for line := range refused {
			refused[line] = telltale.RefusedRow{Line: line + 2, Reason: "It is wrong.", Row: slicesRepeat(byte('x'), telltale.MaxRefusedRow+line%2)}
		}
		w.importRows(i, telltale.ImportProgress{To: 1000, Rows: n, Line: n + 1, Refused: refused, Finished: true})
		w.equal("how many were refused", w.anImport(i.ID).Refused, n)
		var lines []int
		for last := 0; ; {
			rows := w.refusedRows(i.ID, last)
			if len(rows) == 0 {
				break
			}
			for _, r := range rows {
				lines = append(lines, r.Line)
				w.equal("the size of a row", len(r.Row), telltale.MaxRefusedRow)
			}
			last = lines[len(lines)-1]
		}
		w.equal("the lines", len(lines), n)
		w.equal("whether they are in order", slices.IsSorted(lines), true)
		w.Advance(40 * 24 * time.Hour)
		w.purge(month)
		_, err := w.Import(w.ctx, w.project.ID, i.ID)
		w.code(telltale.NotFound, err)
	}},
}

// importRows has changes applied with the progress of an import.
func (w *world) importRows(i telltale.Import, p telltale.ImportProgress, changes ...telltale.UserChange) {
	w.Helper()
	p.ID = i.ID
	w.changeWith(telltale.UserChanges{Source: "import", Changes: changes, Import: &p})
}

func rowsOf(lines ...int) []telltale.RefusedRow {
	var rows []telltale.RefusedRow
	for _, line := range lines {
		rows = append(rows, telltale.RefusedRow{Line: line, Row: []byte("row " + strconv.Itoa(line))})
	}
	return rows
}

func (w *world) refusedRows(id telltale.ImportID, after int) []telltale.RefusedRow {
	w.Helper()
	rows, err := w.RefusedRows(w.ctx, w.project.ID, id, after)
	w.must(err)
	return rows
}

func (w *world) finishedImport() telltale.ImportID {
	w.Helper()
	i := w.startImport(telltale.ImportProfiles)
	w.importRows(i, telltale.ImportProgress{To: 1000, Finished: true})
	return i.ID
}
