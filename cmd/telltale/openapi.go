package main

import (
	"github.com/spf13/cobra"

	"telltale.example/telltale/internal/app"
	"telltale.example/telltale/internal/config"
)

func (p *program) openapi() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "openapi",
		Short: "print the API's description (OpenAPI 3.1)",
		Example: `  telltale openapi > openapi.json
  telltale openapi --public-url https://telltale.example.com
  telltale openapi | jq '.paths | keys'`,
		Long: "Prints what a server of this version serves at /openapi.json. It needs no server.",
		Args: args(),
		RunE: func(*cobra.Command, []string) error {
			cfg, err := p.load(0)
			if err != nil {
				return err
			}
			url := cfg.PublicURL
			if url == "" {
				url = cfg.Server
			}
			document, err := app.OpenAPI(version, url)
			if err != nil {
				return err
			}
			_, err = p.stdout.Write(append(document, '\n'))
			return err
		},
	}
	p.offer(cmd, config.Server, "public_url")
	return cmd
}
