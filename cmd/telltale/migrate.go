package main

import (
	"context"

	"github.com/spf13/cobra"

	"telltale.example/telltale/internal/app"
	"telltale.example/telltale/internal/config"
)

func (p *program) migrate() *cobra.Command {
	show := func(ctx context.Context, cfg config.Config) error {
		current, latest, pending, err := app.Migrations(ctx, cfg)
		if err != nil {
			return &failure{exitUsage, err}
		}
		if p.json {
			if pending == nil {
				pending = []string{}
			}
			return p.writeJSON(map[string]any{"current": current, "latest": latest, "pending": pending})
		}
		p.say("The schema is at version %d; this binary's is %d.", current, latest)
		for _, name := range pending {
			p.say("pending: %s", name)
		}
		return nil
	}
	status := &cobra.Command{
		Use:   "status",
		Short: "whether the database has this version's schema",
		Example: `  telltale migrate status
  telltale migrate status --data /var/lib/telltale
  telltale migrate status --json`,
		Long: `Reads the database and changes nothing. Stop the server first if the database is in
the data folder; PostgreSQL can be asked at any time.`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := p.load(config.Server)
			if err != nil {
				return err
			}
			return show(cmd.Context(), cfg)
		},
	}
	up := &cobra.Command{
		Use:   "up",
		Short: "bring the database to this version's schema",
		Example: `  telltale migrate up
  telltale migrate up --data /var/lib/telltale
  telltale migrate up --database-url postgres://telltale@db.internal/telltale --dry-run`,
		Long: `serve does this by itself at start; use it to see a migration succeed before a
server depends on it. Stop the server first, and copy the data folder: there is
no way back but that copy.

In a PostgreSQL database it may be done while servers run: those of the version
before go on working. Back the database up first, as you always do.`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := p.load(config.Server)
			if err != nil {
				return err
			}
			if !p.dryRun {
				if err := app.Migrate(cmd.Context(), cfg); err != nil {
					return &failure{exitUsage, err}
				}
			}
			return show(cmd.Context(), cfg)
		},
	}
	up.Flags().BoolVar(&p.dryRun, "dry-run", false, "show what is pending and change nothing")
	for _, cmd := range []*cobra.Command{status, up} {
		cmd.Flags().BoolVar(&p.json, "json", false, "print one JSON object")
		p.offer(cmd, config.Server, "data", "database_url")
	}
	return group("migrate", "", "the database's schema", `  telltale migrate status
  telltale migrate up
  telltale migrate status --data /var/lib/telltale`, status, up)
}
