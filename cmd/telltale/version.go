package main

import (
	"runtime"

	"github.com/spf13/cobra"
)

func (p *program) version() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "which version this is",
		Example: `  telltale version
  telltale version --json
  telltale --version`,
		Args: args(),
		RunE: func(*cobra.Command, []string) error {
			if p.json {
				return p.writeJSON(map[string]string{"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
			}
			p.say("telltale %s (%s, %s/%s)", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
	cmd.Flags().BoolVar(&p.json, "json", false, "print one JSON object")
	return cmd
}
