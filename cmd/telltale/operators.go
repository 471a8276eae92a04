package main

import (
	"github.com/spf13/cobra"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/app"
	"telltale.example/telltale/internal/config"
)

func (p *program) operators() *cobra.Command {
	reset := &cobra.Command{
		Use:   "reset EMAIL",
		Short: "make a link with which an operator sets a new password",
		Example: `  telltale operators reset ana@example.com
  telltale operators reset ana@example.com --data /var/lib/telltale
  telltale operators reset ana@example.com --public-url https://telltale.example.com`,
		Long: `For the last owner, who forgot the password; for all others, an owner or admin
makes such a link on the page of operators. The database is opened directly: stop the
server first, unless it is a PostgreSQL database, for which the servers' secret key
is needed, too. The link works once, for 24 hours, when the server is up again.`,
		Args: args("an operator's email"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := p.load(config.Server)
			if err != nil {
				return err
			}
			link, err := app.ResetLink(cmd.Context(), cfg, version, args[0])
			switch {
			case telltale.CodeOf(err) == telltale.NotFound:
				return &failure{exitNotFound, err}
			case err != nil:
				return &failure{exitUsage, err}
			case p.json:
				return p.writeJSON(map[string]any{"email": args[0], "link": link})
			}
			p.say("%s", link)
			return nil
		},
	}
	reset.Flags().BoolVar(&p.json, "json", false, "print one JSON object")
	p.offer(reset, config.Server, "data", "database_url", "secret_key", "listen", "public_url")
	return group("operators", "operator", "the people who sign in to the pages", `  telltale operators reset ana@example.com
  telltale operators reset ana@example.com --data /var/lib/telltale
  telltale operators reset ana@example.com --json`, reset)
}
