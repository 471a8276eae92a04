package main

import (
	"github.com/spf13/cobra"
)

func (p *program) resume() *cobra.Command {
	return p.mutates(&cobra.Command{
		Use:   "resume",
		Short: "have a server that was started with --paused send",
		Example: `  telltale resume
  telltale resume --dry-run
  telltale resume --server https://telltale.example.com`,
		Long: `A server that was started with --paused accepts and shows everything, and sends
nothing but tests. This ends that: what waits is sent from now on. It needs an
owner's key. Of several servers over PostgreSQL it is the one that answers: those
behind a load balancer are best started again without --paused.`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := p.client()
			if err != nil {
				return err
			}
			done, err := api.Resume(cmd.Context())
			switch {
			case err != nil:
				return err
			case p.json:
				return p.writeJSON(done)
			case done.WasPaused:
				p.say("Sending goes on.")
			default:
				p.say("The server was not paused.")
			}
			return nil
		},
	})
}
