package postgres

import (
	"context"
	"fmt"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

func (s *Store) CreateProject(ctx context.Context, p telltale.Project) error {
	return s.configure(ctx, "creating a project", func(tx *tx) error {
		if err := tx.createProject(p); err != nil {
			return err
		}
		return tx.audit(telltale.ActorOf(ctx), telltale.AuditEntry{ProjectID: p.ID, Action: telltale.AuditProjectCreated, Target: string(p.ID), Name: p.Name})
	})
}

func (tx *tx) createProject(p telltale.Project) error {
	if tx.known.slugs[p.Slug] != nil || tx.known.project(p.ID) != nil {
		return telltale.Errorf(telltale.Conflict, "There is a project %q already.", telltale.CutValue(p.Slug))
	}
	goals := telltale.NewGoals()
	_, err := tx.exec(`INSERT INTO project (id, slug, name, ingest_rate, created_at, conversion_window, view_window, changed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		string(p.ID), p.Slug, p.Name, p.IngestRate, stored.TimeMilli(p.CreatedAt), int64(goals.Window), int64(goals.ViewWindow), tx.changeConfig())
	if err != nil {
		return fmt.Errorf("project %s: %w", p.Slug, err)
	}
	return nil
}

func (s *Store) UpdateProject(ctx context.Context, p telltale.Project) error {
	return s.configure(ctx, "updating a project", func(tx *tx) error {
		before := tx.known.project(p.ID)
		if before == nil {
			return notFound("project")
		}
		if before.Name == p.Name && before.IngestRate == p.IngestRate {
			return nil
		}
		_, err := tx.exec(`UPDATE project SET name = $1, ingest_rate = $2, changed = $3 WHERE number = $4`, p.Name, p.IngestRate, tx.changeConfig(), before.number)
		if err != nil {
			return err
		}
		var changes []telltale.AuditChange
		if before.Name != p.Name {
			changes = append(changes, telltale.AuditChange{Field: "name", Before: before.Name, After: p.Name})
		}
		if before.IngestRate != p.IngestRate {
			changes = append(changes, telltale.AuditChange{Field: "ingest_rate", Before: fmt.Sprint(before.IngestRate), After: fmt.Sprint(p.IngestRate)})
		}
		return tx.audit(telltale.ActorOf(ctx), telltale.AuditEntry{ProjectID: p.ID, Action: telltale.AuditProjectChanged, Target: string(p.ID), Name: p.Name, Changes: changes})
	})
}

func (s *Store) ProjectBySlug(ctx context.Context, slug string) (telltale.Project, error) {
	r, err := s.configured(ctx)
	if err != nil {
		return telltale.Project{}, err
	}
	return giveProject(r.slugs[slug])
}

func (s *Store) Project(ctx context.Context, id telltale.ProjectID) (telltale.Project, error) {
	r, err := s.configured(ctx)
	if err != nil {
		return telltale.Project{}, err
	}
	return giveProject(r.project(id))
}

func giveProject(p *project) (telltale.Project, error) {
	if p == nil {
		return telltale.Project{}, notFound("project")
	}
	return p.Project, nil
}

func (s *Store) Projects(ctx context.Context) ([]telltale.Project, error) {
	r, err := s.configured(ctx)
	if err != nil {
		return nil, err
	}
	projects := make([]telltale.Project, len(r.bySlug))
	for i, p := range r.bySlug {
		projects[i] = p.Project
	}
	return projects, nil
}

// lockProject gives a project's number, and keeps off others who do the same
// until the transaction ends: whoever counts what a project has, before adding
// to it.
func (tx *tx) lockProject(id telltale.ProjectID) (number int64, err error) {
	found, err := tx.one([]any{&number}, `SELECT number FROM project WHERE id = $1 FOR NO KEY UPDATE`, clean(string(id)))
	if err != nil || !found {
		return 0, orNotFound(err, "project")
	}
	return number, nil
}
