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
	var l listing
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
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			if err := s.query(q); err != nil {
				return err
			}
			set(q, "action", action)
			set(q, "actor", actor)
			set(q, "target", target)
			if server {
				q.Set("scope", "owner")
			}
			page, err := l.page()
			if err != nil {
				return err
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			t := newTable("AT", "ACTION", "BY", "FROM", "TARGET", "NAME")
			return list(p, t, func(e wire.AuditEntry) {
				t.row(stamp(e.At.Time), e.Action, orDash(e.Actor.Name), orDash(e.Actor.RemoteAddr), orDash(e.Target), orDash(e.Name))
			}, func(each func(wire.AuditEntry) error) (string, error) {
				return api.AuditLog(cmd.Context(), q, page, each)
			})
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&action, "action", "", "this `action` only, such as webhook.update")
	cmd.Flags().StringVar(&actor, "actor", "", "only what this operator or key did, by `id` or name")
	cmd.Flags().StringVar(&target, "target", "", "only what was done to this `id`")
	cmd.Flags().BoolVar(&server, "server-wide", false, "what concerns the whole server instead of the project; for owner keys")
	s.flags(cmd)
	l.flags(cmd)
	return p.speaks(cmd)
}
