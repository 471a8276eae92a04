package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"telltale.example/telltale/internal/app"
	"telltale.example/telltale/internal/config"
)

func (p *program) doctor() *cobra.Command {
	var receiver string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "look for what is wrong with this machine, the server or a receiver",
		Example: `  telltale doctor
  telltale doctor --receiver https://hooks.example.com/telltale
  telltale doctor --json | jq -r 'select(.state != "ok")'`,
		Long: `Looks at the data folder and its files and the disk, or at the PostgreSQL database
if --database-url names one, at the trusted certificates, and whether the server
answers, is ready and agrees about the time. With --receiver it also sends one signed
test request to that URL from here, by the same rules that webhooks obey, and says
what came of it. Nothing is changed.

Each line is ok, warn or fail, and says what to do. The status is 0 unless
something failed: then 6 if the server is out of reach, else 1.`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := p.load(config.Server)
			if err != nil {
				return err
			}
			found := app.Examine(cmd.Context(), cfg, version, receiver)
			server, reached := p.examineServer(cmd.Context())
			return p.sayFindings(append(found, server...), reached)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&receiver, "receiver", "", "try a webhook to this `URL`")
	flags.BoolVar(&p.json, "json", false, "print JSON, a line per finding")
	flags.DurationVar(&p.timeout, "timeout", defaultTimeout, "longest `wait` for the server")
	p.offer(cmd, config.Server|config.Client, "data", "database_url", "secret_key", "allow_private", "allow_cidrs", "deny_cidrs", "allow_http", "egress_ports", "server", "token", "project")
	return cmd
}

// examineServer asks the server for something that needs the store.
func (p *program) examineServer(ctx context.Context) (found []app.Finding, reached bool) {
	api, err := p.client()
	if err != nil {
		return []app.Finding{{Check: "server", State: app.FindingFail, Detail: err.Error(), Fix: "start it with telltale serve, or name it with --server and --token"}}, false
	}
	head, err := api.Head(ctx)
	if err != nil {
		return []app.Finding{{Check: "server", State: app.FindingFail, Detail: err.Error(), Fix: "start it with telltale serve, or name it with --server and --token"}}, false
	}
	return []app.Finding{{Check: "server", State: app.FindingOK, Detail: "it answers, and the key works"}, app.ExamineClock(head, time.Now())}, true
}

func (p *program) sayFindings(found []app.Finding, reached bool) error {
	failed := 0
	for _, f := range found {
		if f.State == app.FindingFail {
			failed++
		}
		if p.json {
			if err := p.writeJSON(f); err != nil {
				return err
			}
			continue
		}
		p.say("%-4s  %-20s  %s", f.State, f.Check, f.Detail)
		if f.Fix != "" {
			p.say("      %-20s  %s", "", f.Fix)
		}
	}
	switch {
	case failed == 0:
		return nil
	case !reached:
		return fail(exitTemporary, "%d of %d checks failed", failed, len(found))
	}
	return fail(exitUnexpected, "%d of %d checks failed", failed, len(found))
}
