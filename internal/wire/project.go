package wire

import (
	"crypto/sha256"
	"fmt"

	"telltale.example/telltale"
)

// Project is a project as it is read.
type Project struct {
	ID         string  `json:"id" example:"prj_01JD0000000000000000000000"`
	Slug       string  `json:"slug" doc:"Names the project in paths and in ?project=." example:"default"`
	Name       string  `json:"name" example:"Default project"`
	IngestRate float64 `json:"ingest_rate" doc:"How many events a second are accepted; 0 means no limit." example:"0"`
	CreatedAt  Time    `json:"created_at" format:"date-time" example:"2026-11-20T09:30:00.000Z"`
}

// FromProject gives the JSON form.
func FromProject(p telltale.Project) Project {
	return Project{ID: string(p.ID), Slug: p.Slug, Name: p.Name, IngestRate: p.IngestRate, CreatedAt: Time{p.CreatedAt}}
}

// ETag is of what can be changed: a project has no version.
func (p Project) ETag() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %v", p.ID, p.Name, p.IngestRate))
	return fmt.Sprintf(`"%x"`, sum[:8])
}

// ProjectCreate makes a project.
type ProjectCreate struct {
	Slug       string          `json:"slug" doc:"1 to 40 of a-z, 0-9 and -, beginning and ending with a letter or digit. It does not change." example:"newsletter"`
	Name       Change[string]  `json:"name,omitzero" doc:"1 to 100 bytes; the slug if left out." example:"Newsletter"`
	IngestRate Change[float64] `json:"ingest_rate,omitzero" doc:"Events a second, with bursts of as many; 0, the default, means no limit." example:"0"`
}

// New makes the project, which is still to be validated.
func (c ProjectCreate) New() telltale.Project {
	p := telltale.NewProject(c.Slug, c.Name.Or(c.Slug, c.Slug))
	p.IngestRate = c.IngestRate.Or(0, 0)
	return p
}

// ProjectPatch changes a project: JSON Merge Patch.
type ProjectPatch struct {
	Name       Change[string]  `json:"name,omitzero" doc:"1 to 100 bytes; null takes the slug." example:"Newsletter"`
	IngestRate Change[float64] `json:"ingest_rate,omitzero" doc:"Events a second; null and 0 mean no limit." example:"100"`
}

// Apply changes p, which is still to be validated.
func (c ProjectPatch) Apply(p *telltale.Project) {
	p.Name = c.Name.Or(p.Name, p.Slug)
	p.IngestRate = c.IngestRate.Or(p.IngestRate, 0)
}
