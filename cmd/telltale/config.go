package main

import (
	"github.com/spf13/cobra"

	"telltale.example/telltale/internal/config"
)

func (p *program) config() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "print each setting and where it came from",
		Example: `  telltale config
  TELLTALE_RETENTION_DAYS=90 telltale config
  telltale config --config /etc/telltale.toml --json`,
		Long: `Prints the settings that the other commands would run with, here and now, and
checks them. A setting NAME is --name as a flag, TELLTALE_NAME in the environment
and name in a file:

  retention_days = 90
  allow_cidrs = ["10.1.0.0/16"]
  egress_ports = [9000, 9001]

Secrets are not shown. They can be read from a file: TELLTALE_TOKEN_FILE or
token_file, TELLTALE_SECRET_KEY_FILE or secret_key_file, TELLTALE_DATABASE_URL_FILE
or database_url_file.

The flags below are those of serve and of the commands that talk to a server.`,
		Args: args(),
		RunE: func(*cobra.Command, []string) error {
			cfg, err := p.load(0)
			if err != nil {
				return err
			}
			if p.json {
				byName := map[string]map[string]string{}
				for _, v := range cfg.Values() {
					byName[v.Setting] = map[string]string{"value": v.Value, "origin": v.Origin}
				}
				return p.writeJSON(byName)
			}
			t := newTable("SETTING", "VALUE", "ORIGIN")
			for _, v := range cfg.Values() {
				t.row(v.Setting, orDash(v.Value), v.Origin)
			}
			p.printTable(t)
			return nil
		},
	}
	cmd.Flags().BoolVar(&p.json, "json", false, "print one JSON object")
	p.offer(cmd, config.Server|config.Client)
	return cmd
}
