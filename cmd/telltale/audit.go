package main

import (
	"net/url"

	"github.com/spf13/cobra"

	"telltale.example/telltale/internal/wire"
)

func (p *program) auditLog() *cobra.Command {
	return group("audit-log", "audit", "who did what, and when",
		`  telltale audit-log list --since 24h
  telltale audit-log list --target whk_01JD0000000000000000000000
  telltale audit-log list --action webhook.update --json | jq .changes`,
		p.auditList())
}

func (p *program) auditList() *cobra.Command {
	var s span
	var action, actor, target string
	var server bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list who did what, newest first",
		Example: `  telltale audit-log list --since 24h
  telltale audit-log list --actor CI --limit 0
  telltale audit-log list --server-wide --json`,
		Long: `Entries are kept for 400 days. What changed, from what to what, is in --json.`,
		Args: args(),
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&action, "action", "", "this `action` only, such as webhook.update")
	cmd.Flags().StringVar(&actor, "actor", "", "only what this operator or key did, by `id` or name")
	cmd.Flags().StringVar(&target, "target", "", "only what was done to this `id`")
	cmd.Flags().BoolVar(&server, "server-wide", false, "what concerns the whole server instead of the project; for owner keys")
	s.flags(cmd)
	return listing[wire.AuditEntry]{
		query: func([]string) (url.Values, error) {
			q := url.Values{}
			set(q, "action", action)
			set(q, "actor", actor)
			set(q, "target", target)
			if server {
				q.Set("scope", "owner")
			}
			return q, s.query(q)
		},
		head: []string{"AT", "ACTION", "BY", "FROM", "TARGET", "NAME"},
		row: func(e wire.AuditEntry) []any {
			return []any{stamp(e.At.Time), e.Action, orDash(e.Actor.Name), orDash(e.Actor.RemoteAddr), orDash(e.Target), orDash(e.Name)}
		},
		read: func(q asked, each func(wire.AuditEntry) error) (string, error) {
			return q.AuditLog(q.ctx, q.query, q.page, each)
		},
	}.verb(p, cmd)
}
