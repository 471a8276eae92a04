package storetest

import (
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
}
