package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/wire"
)

func (p *program) projects() *cobra.Command {
	return group("projects", "project", "projects: each has webhooks, keys and events of its own",
		`  telltale projects list
  telltale projects create newsletter --name "The newsletter"
  telltale webhooks list --project newsletter`,
		p.projectsList(), p.projectsGet(), p.projectsCreate(), p.projectsEdit())
}

func (p *program) projectsList() *cobra.Command {
	return listing[wire.Project]{
		head: []string{"SLUG", "NAME", "EVENTS/S", "CREATED", "ID"},
		row: func(w wire.Project) []any {
			return []any{w.Slug, w.Name, perSecond(w.IngestRate), stamp(w.CreatedAt.Time), w.ID}
		},
		whole: true,
		read:  func(q asked, each func(wire.Project) error) (string, error) { return "", q.Projects(q.ctx, each) },
	}.verb(p, &cobra.Command{
		Use:   "list",
		Short: "list the projects",
		Example: `  telltale projects list
  telltale projects list --json
  telltale projects list --json | jq -r .slug`,
		Long: "An owner's key sees all of them, any other its own.",
		Args: args(),
	})
}

func (p *program) projectsGet() *cobra.Command {
	return p.speaks(&cobra.Command{
		Use:   "get SLUG",
		Short: "show a project",
		Example: `  telltale projects get default
  telltale projects get newsletter --json
  telltale project get newsletter --server https://telltale.example.com`,
		Args: args("SLUG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := p.client()
			if err != nil {
				return err
			}
			if err := checkSlug(args[0]); err != nil {
				return err
			}
			w, err := api.Project(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return p.showProject(w)
		},
	})
}

func (p *program) projectsCreate() *cobra.Command {
	var in wire.ProjectCreate
	var name string
	var ingestRate float64
	cmd := &cobra.Command{
		Use:   "create SLUG",
		Short: "make a project",
		Example: `  telltale projects create newsletter
  telltale projects create newsletter --name "The newsletter" --ingest-rate 100
  telltale keys create CI --scope ingest --project newsletter     a key for the new project`,
		Long: "The slug names the project in paths and in --project; it does not change. Needs an owner's key.",
		Args: args("SLUG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := p.client()
			if err != nil {
				return err
			}
			in.Slug = args[0]
			if cmd.Flags().Changed("name") {
				in.Name = wire.To(name)
			}
			if cmd.Flags().Changed("ingest-rate") {
				in.IngestRate = wire.To(ingestRate)
			}
			if err := valid(in.New().Validate()); err != nil {
				return err
			}
			w, err := api.CreateProject(cmd.Context(), in)
			if err != nil {
				return err
			}
			return p.showProject(w)
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "what people call it; default: the slug")
	cmd.Flags().Float64Var(&ingestRate, "ingest-rate", 0, "how many events a second are accepted; 0 for no limit")
	return p.mutates(cmd)
}

func (p *program) projectsEdit() *cobra.Command {
	var in wire.ProjectPatch
	var name string
	var ingestRate float64
	cmd := &cobra.Command{
		Use:   "edit SLUG",
		Short: "change a project",
		Example: `  telltale projects edit newsletter --name "The newsletter"
  telltale projects edit newsletter --ingest-rate 100
  telltale projects edit newsletter --ingest-rate 0 --dry-run`,
		Long: "Changes what is given and leaves the rest. Needs an owner's key.",
		Args: args("SLUG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := p.client()
			if err != nil {
				return err
			}
			if err := checkSlug(args[0]); err != nil {
				return err
			}
			if cmd.Flags().Changed("name") {
				in.Name = wire.To(name)
			}
			if cmd.Flags().Changed("ingest-rate") {
				in.IngestRate = wire.To(ingestRate)
			}
			if in == (wire.ProjectPatch{}) {
				return usage("%s: there is nothing to change; give --name or --ingest-rate", nameOf(cmd))
			}
			changed := telltale.NewProject(args[0], args[0])
			in.Apply(&changed)
			if err := valid(changed.Validate()); err != nil {
				return err
			}
			w, err := api.EditProject(cmd.Context(), args[0], in)
			if err != nil {
				return err
			}
			return p.showProject(w)
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "what people call it")
	cmd.Flags().Float64Var(&ingestRate, "ingest-rate", 0, "how many events a second are accepted; 0 for no limit")
	return p.mutates(cmd)
}

func (p *program) showProject(w wire.Project) error {
	if p.json {
		return p.writeJSON(w)
	}
	p.printFields(field{"slug", w.Slug}, field{"name", w.Name}, field{"events/s", perSecond(w.IngestRate)},
		field{"created", stamp(w.CreatedAt.Time)}, field{"id", w.ID})
	return nil
}

// rate writes a limit per second.
func perSecond(limit float64) string {
	if limit == 0 {
		return "no limit"
	}
	return strconv.FormatFloat(limit, 'g', -1, 64)
}
