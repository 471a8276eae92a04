package main

import (
	"strings"

	"github.com/spf13/cobra"

	"telltale.example/telltale/internal/wire"
)

func (p *program) inspect() *cobra.Command {
	return group("inspect", "", "bins that catch requests, to see what a webhook sends",
		`  telltale inspect create
  telltale webhooks create "$(telltale inspect create --json | jq -r .url)"
  telltale inspect requests kq3jv5m2x7a4d6cbnw2ytrhe`,
		p.inspectCreate(), p.inspectList(), p.inspectRequests(), p.inspectDelete())
}

func (p *program) inspectCreate() *cobra.Command {
	return p.mutates(&cobra.Command{
		Use:   "create",
		Short: "make a bin",
		Example: `  telltale inspect create
  telltale inspect create --json
  telltale webhooks create "$(telltale inspect create --json | jq -r .url)"`,
		Long: `Whatever is sent to the bin's URL, or below it, is caught: the newest 200 requests,
for a day. Of a webhook that points there, the bin judges the signature.`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := p.client()
			if err != nil {
				return err
			}
			w, err := api.CreateBin(cmd.Context())
			if err != nil {
				return err
			}
			if p.json {
				return p.writeJSON(w)
			}
			p.printFields(field{"id", w.ID}, field{"url", w.URL}, field{"until", stamp(w.ExpiresAt.Time)})
			p.hint("Point a webhook to it: telltale webhooks create %s", w.URL)
			p.hint("See what came:         telltale inspect requests %s", w.ID)
			return nil
		},
	})
}

func (p *program) inspectList() *cobra.Command {
	return p.speaks(&cobra.Command{
		Use:   "list",
		Short: "list the project's bins",
		Example: `  telltale inspect list
  telltale inspect list --json | jq -r .url
  telltale inspect list --project newsletter`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := p.client()
			if err != nil {
				return err
			}
			t := newTable("ID", "URL", "UNTIL")
			return list(p, t, func(w wire.Bin) {
				t.row(w.ID, w.URL, stamp(w.ExpiresAt.Time))
			}, func(each func(wire.Bin) error) (string, error) {
				return "", api.Bins(cmd.Context(), each)
			})
		},
	})
}

func (p *program) inspectRequests() *cobra.Command {
	var l listing
	cmd := &cobra.Command{
		Use:   "requests BIN",
		Short: "show what a bin caught, newest first",
		Example: `  telltale inspect requests kq3jv5m2x7a4d6cbnw2ytrhe
  telltale inspect requests kq3jv5m2x7a4d6cbnw2ytrhe --limit 1
  telltale inspect requests kq3jv5m2x7a4d6cbnw2ytrhe --json | jq -r .verdict`,
		Args: args("BIN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkBin(args[0]); err != nil {
				return err
			}
			page, err := l.page()
			if err != nil {
				return err
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			next, err := api.CaughtRequests(cmd.Context(), args[0], page, func(w wire.CaughtRequest) error {
				if p.json {
					return p.writeJSON(w)
				}
				p.say("%s  %s %s  from %s  signature: %s", stamp(w.ReceivedAt.Time), w.Method, w.Path, w.RemoteAddr, w.Verdict)
				p.sayHeaders("  ", w.Headers)
				p.sayBody("  ", w.Body, w.BodyBase64, w.Truncated)
				p.say("")
				return nil
			})
			if err == nil && next != "" {
				p.hint("There is more: --after %s", next)
			}
			return err
		},
	}
	l.flags(cmd)
	return p.speaks(cmd)
}

func (p *program) inspectDelete() *cobra.Command {
	return p.needsYes(p.mutates(&cobra.Command{
		Use:   "delete BIN...",
		Short: "delete bins with what they caught",
		Example: `  telltale inspect delete kq3jv5m2x7a4d6cbnw2ytrhe
  telltale inspect delete kq3jv5m2x7a4d6cbnw2ytrhe --yes
  telltale inspect delete kq3jv5m2x7a4d6cbnw2ytrhe --dry-run`,
		Args: args("BIN..."),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, id := range args {
				if err := checkBin(id); err != nil {
					return err
				}
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			if err := p.confirm("Delete " + strings.Join(args, ", ") + " with what was caught?"); err != nil {
				return err
			}
			return p.each(args, "deleted", func(id string) error { return api.DeleteBin(cmd.Context(), id) })
		},
	}))
}
