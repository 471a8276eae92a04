package main

import (
	"github.com/spf13/cobra"

	"telltale.example/telltale/internal/wire"
)

func (p *program) nodes() *cobra.Command {
	return listing[wire.Node]{
		head: []string{"NODE", "HOST", "ROLE", "VERSION", "STATE", "STARTED", "LAST BEAT"},
		row: func(n wire.Node) []any {
			state := cell{"gone", plain}
			if n.Alive {
				state = cell{"alive", good}
			}
			return []any{n.ID, orDash(n.Host), n.Role, orDash(n.Version), state, stamp(n.StartedAt.Time), stamp(n.BeatAt.Time)}
		},
		whole: true,
		read:  func(q asked, each func(wire.Node) error) (string, error) { return "", q.Nodes(q.ctx, each) },
	}.verb(p, &cobra.Command{
		Use:     "nodes",
		Aliases: []string{"node"},
		Short:   "list the servers that share the database",
		Example: `  telltale nodes
  telltale nodes --json | jq -r 'select(.alive) | .host'
  telltale nodes --server https://telltale.example.com`,
		Long: `Shows the newest starts of the server, and every one that is alive: it was heard
within the last 50 seconds, or is taken for alive for so long. Needs an owner's key.`,
		Args: args(),
	})
}
