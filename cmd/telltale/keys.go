package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/app"
	"telltale.example/telltale/internal/client"
	"telltale.example/telltale/internal/config"
	"telltale.example/telltale/internal/wire"
)

func (p *program) keys() *cobra.Command {
	return group("keys", "key", "API keys: who may do what",
		`  telltale keys create CI --scope ingest
  telltale keys list
  telltale keys revoke key_01JD0000000000000000000000`,
		p.keysList(), p.keysCreate(), p.keysRevoke())
}

func (p *program) keysList() *cobra.Command {
	var owner bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the keys",
		Example: `  telltale keys list
  telltale keys list --owner
  telltale keys list --json | jq -r 'select(.last_used_at == null) | .name'`,
		Long: "The keys themselves are not kept, and cannot be shown again.",
		Args: args(),
	}
	cmd.Flags().BoolVar(&owner, "owner", false, "owners' keys, which work on every project, and not the project's")
	return listing[wire.Key]{
		head: []string{"ID", "NAME", "SCOPE", "CREATED", "LAST USED", "REVOKED"},
		row: func(w wire.Key) []any {
			revoked := cell{stamp(w.RevokedAt.Time), plain}
			if !w.RevokedAt.IsZero() {
				revoked.tone = bad
			}
			return []any{w.ID, w.Name, w.Scope, stamp(w.CreatedAt.Time), stamp(w.LastUsedAt.Time), revoked}
		},
		read: func(q asked, each func(wire.Key) error) (string, error) { return q.Keys(q.ctx, owner, q.page, each) },
	}.verb(p, cmd)
}

func (p *program) keysCreate() *cobra.Command {
	var in wire.KeyCreate
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "make a key",
		Example: `  telltale keys create CI --scope ingest
  telltale keys create website --scope track
  telltale keys create dashboard --scope read --project newsletter
  export TELLTALE_TOKEN=$(telltale keys create deploy --scope manage --json | jq -r .key)
  telltale keys create admin --scope owner --database-url postgres://telltale@db.internal/telltale`,
		Long: `The key is printed once and not kept: what is lost is made anew. What it may do:

  ingest   post events, and call the Track API
  read     read everything of the project but secrets
  manage   both, and change the project's webhooks and keys
  track    call the Track API (/api/v2), and nothing else: for pages, in
           whose source everyone reads it
  owner    all of it on every project, and make projects; only an owner's key makes one

With --database-url the key is made in the database itself, as whoever can open that
may: it is how the first one comes about. The servers' secret key is needed, too.`,
		Args: args("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "scope"); err != nil {
				return err
			}
			in.Name = args[0]
			key := telltale.Key{Name: in.Name, Scope: telltale.Scope(in.Scope)}
			if key.Scope != telltale.ScopeOwner {
				key.ProjectID = "the server knows"
			}
			if err := valid(key.Validate()); err != nil {
				return err
			}
			create := p.createKey
			if cmd.Flags().Changed("database-url") || cmd.Flags().Changed("database-url-file") {
				create = p.createKeyInDatabase
			}
			w, err := create(cmd.Context(), in)
			if err != nil {
				return err
			}
			if p.json {
				return p.writeJSON(w)
			}
			p.printFields(field{"id", w.ID}, field{"name", w.Name}, field{"scope", w.Scope}, field{"key", w.Key})
			p.hint("The key is not shown again.")
			return nil
		},
	}
	cmd.Flags().StringVar(&in.Scope, "scope", "", "what the key may do: ingest, read, manage, track or owner")
	p.mutates(cmd)
	p.offer(cmd, config.Server, "database_url", "secret_key")
	return cmd
}

func (p *program) createKey(ctx context.Context, in wire.KeyCreate) (wire.Key, error) {
	api, err := p.client()
	if err != nil {
		return wire.Key{}, err
	}
	return api.CreateKey(ctx, in)
}

// createKeyInDatabase asks no server. The variable alone does not lead here, since
// it is set wherever servers run.
func (p *program) createKeyInDatabase(ctx context.Context, in wire.KeyCreate) (wire.Key, error) {
	cfg, err := p.load(config.Server)
	if err != nil {
		return wire.Key{}, err
	}
	if p.dryRun {
		p.hint("Would make a key of the scope %s in %s, without --dry-run.", in.Scope, app.Location(cfg))
		return wire.Key{}, client.ErrDryRun
	}
	slug := cfg.Project
	if slug == "" {
		slug = telltale.DefaultProjectSlug
	}
	key, token, err := app.CreateKey(ctx, cfg, version, slug, in.Name, telltale.Scope(in.Scope))
	switch {
	case telltale.CodeOf(err) == telltale.NotFound:
		return wire.Key{}, &failure{exitNotFound, err}
	case err != nil:
		return wire.Key{}, &failure{exitUsage, err}
	}
	w := wire.FromKey(key)
	w.Key = token
	return w, nil
}

func (p *program) keysRevoke() *cobra.Command {
	return p.needsYes(p.mutates(&cobra.Command{
		Use:   "revoke KEY...",
		Short: "end keys for good",
		Example: `  telltale keys revoke key_01JD0000000000000000000000
  telltale keys revoke key_01JD0000000000000000000000 --yes
  telltale keys revoke key_01JD0000000000000000000000 --dry-run`,
		Long: "Whoever still uses it gets 401 from the next request on. KEY is the key's id.",
		Args: args("KEY..."),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, id := range args {
				if err := checkKey(id); err != nil {
					return err
				}
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			if err := p.confirm(fmt.Sprintf("Revoke %s for good?", strings.Join(args, ", "))); err != nil {
				return err
			}
			return p.each(args, "revoked", func(id string) error { return api.RevokeKey(cmd.Context(), id) })
		},
	}))
}
