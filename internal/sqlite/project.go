package sqlite

import (
	"context"
	"fmt"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

func (s *Store) CreateProject(ctx context.Context, p telltale.Project) error {
	actor := telltale.ActorOf(ctx)
	return s.write(ctx, "creating a project", 200, func(tx *tx) error {
		if err := tx.createProject(p); err != nil {
			return err
		}
		return tx.audit(actor, telltale.AuditEntry{ProjectID: p.ID, Action: telltale.AuditProjectCreated, Target: string(p.ID), Name: p.Name})
	})
}

func (tx *tx) createProject(p telltale.Project) error {
	taken := false
	_, err := tx.query(`SELECT 1 FROM project WHERE slug = ? OR id = ?`).text(p.Slug).text(string(p.ID)).one(func(*query) { taken = true })
	if err != nil {
		return err
	}
	if taken {
		return telltale.Errorf(telltale.Conflict, "There is a project %q already.", telltale.CutValue(p.Slug))
	}
	p.CreatedAt = stored.MilliTime(stored.TimeMilli(p.CreatedAt))
	err = tx.change(`INSERT INTO project (id, slug, name, ingest_rate, created_at) VALUES (?, ?, ?, ?, ?)`).
		text(string(p.ID)).text(p.Slug).text(p.Name).float(p.IngestRate).int(stored.TimeMilli(p.CreatedAt)).run()
	if err != nil {
		return fmt.Errorf("project %s: %w", p.Slug, err)
	}
	founded := &project{number: tx.conn.LastInsertRowID()}
	tx.founded = append(tx.founded, founded)
	tx.setProject(founded, &projectState{p, newGoals(telltale.NewGoals())})
	return nil
}

func (tx *tx) setProject(p *project, state *projectState) {
	if tx.projects == nil {
		tx.projects = map[*project]*projectState{}
	}
	tx.projects[p] = state
}

func (s *Store) UpdateProject(ctx context.Context, p telltale.Project) error {
	actor := telltale.ActorOf(ctx)
	return s.write(ctx, "updating a project", 200, func(tx *tx) error {
		known := tx.project(p.ID)
		if known == nil {
			return notFound("project")
		}
		before := tx.projectState(known)
		if before.Name == p.Name && before.IngestRate == p.IngestRate {
			return nil
		}
		state := *before
		state.Name, state.IngestRate = p.Name, p.IngestRate
		tx.setProject(known, &state)
		err := tx.change(`UPDATE project SET name = ?, ingest_rate = ? WHERE number = ?`).text(p.Name).float(p.IngestRate).int(known.number).run()
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
		return tx.audit(actor, telltale.AuditEntry{ProjectID: p.ID, Action: telltale.AuditProjectChanged, Target: string(p.ID), Name: p.Name, Changes: changes})
	})
}

func (s *Store) ProjectBySlug(_ context.Context, slug string) (telltale.Project, error) {
	return s.giveProject(s.known.projectBySlug(slug))
}

func (s *Store) Project(_ context.Context, id telltale.ProjectID) (telltale.Project, error) {
	return s.giveProject(s.known.project(id))
}

func (s *Store) giveProject(p *project) (telltale.Project, error) {
	if err := s.down(); err != nil {
		return telltale.Project{}, err
	}
	if p == nil {
		return telltale.Project{}, notFound("project")
	}
	return p.now.Load().Project, nil
}

func (s *Store) Projects(context.Context) ([]telltale.Project, error) {
	if err := s.down(); err != nil {
		return nil, err
	}
	known := s.known.allProjects()
	projects := make([]telltale.Project, len(known))
	for i, p := range known {
		projects[i] = p.now.Load().Project
	}
	return projects, nil
}

func (s *Store) loadProjects(c *conn, r *registry) error {
	err := c.query(`SELECT number, id, slug, name, ingest_rate, created_at, conversion_window, view_window FROM project`).each(func(q *query) error {
		p := &project{number: q.getInt()}
		p.now.Store(&projectState{
			telltale.Project{ID: telltale.ProjectID(q.getText()), Slug: q.getText(), Name: q.getText(), IngestRate: q.getFloat(), CreatedAt: stored.MilliTime(q.getInt())},
			newGoals(telltale.Goals{Window: time.Duration(q.getInt()), ViewWindow: time.Duration(q.getInt())}),
		})
		r.addProject(p)
		return nil
	})
	if err != nil {
		return err
	}
	return loadGoals(c, r)
}
