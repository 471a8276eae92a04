package main

import (
	"context"
	"errors"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/app"
	"telltale.example/telltale/internal/config"
)

func (p *program) rotateKeys() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate-keys",
		Short: "seal the secrets in the database with a new secret key",
		Example: `  telltale rotate-keys
  telltale rotate-keys --data /var/lib/telltale
  telltale rotate-keys --database-url postgres://telltale@db.internal/telltale --json`,
		Long: `Changes the key that seals what is secret in the database: signing secrets, basic
auth, headers of webhooks, and the credentials of sources. API keys and passwords are
hashes, and need none.

With an SQLite database: stop the server, put a new line, as openssl rand -base64 32
prints it, above the others in secret.key, run this, and start the server. With
PostgreSQL the servers go on: add the new key below the first on every one, and
restart each; put it first on every one, and restart each; then run this anywhere
with the same keys. It refuses while a server seals with another key.

It says in the end which keys may be removed. A server does not start without a key
that is still needed, and not with a removed one in first place. A backup from before
needs the old key: keep that with the backup.

Secrets are sealed anew some at a time. What was stopped, or killed, goes on when it
is run again.`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := p.load(config.Server)
			if err != nil {
				return err
			}
			done, err := p.rotate(cmd.Context(), cfg)
			switch {
			case telltale.CodeOf(err) == telltale.Conflict:
				return &failure{exitConflict, err}
			case telltale.CodeOf(err) == telltale.Unavailable:
				return &failure{exitTemporary, err}
			case errors.Is(err, context.Canceled) && cmd.Context().Err() != nil:
				p.hint("What was sealed anew stays so: run the command again, and it goes on.")
				return context.Canceled
			case err != nil:
				return &failure{exitUsage, err}
			case p.json:
				return p.writeJSON(done)
			}
			p.sayRotated(done)
			return nil
		},
	}
	cmd.Flags().BoolVar(&p.json, "json", false, "print one JSON object")
	p.offer(cmd, config.Server, "data", "database_url", "secret_key")
	return cmd
}

// rotate shows a bar meanwhile, if anybody looks.
func (p *program) rotate(ctx context.Context, cfg config.Config) (app.Rotated, error) {
	var bar *progressbar.ProgressBar
	defer func() {
		if bar != nil {
			_ = bar.Finish()
		}
	}()
	return app.RotateKeys(ctx, cfg, version, func(r app.Rotated) {
		if bar == nil {
			bar = p.rowBar(int64(r.Sealed + r.Left))
		}
		if bar != nil {
			_ = bar.Set(r.Sealed)
		}
	})
}

func (p *program) sayRotated(r app.Rotated) {
	if r.Sealed == 0 {
		p.say("Everything in %s is sealed with the key %s already.", r.Location, r.Key)
	} else {
		p.say("%s in %s sealed anew, with the key %s.", counted(r.Sealed, "secret", "secrets"), r.Location, r.Key)
	}
	switch len(r.Needless) {
	case 0:
		p.hint("There is no other key. To change it, put a new one above it first: see telltale rotate-keys --help.")
	case 1:
		p.hint("Nothing needs the key %s any more. Remove its line, the second, from the key ring of every server, and keep it with backups from before.", r.Needless[0])
	default:
		p.hint("Nothing needs the keys %s any more. Remove their lines, all but the first, from the key ring of every server, and keep them with backups from before.", strings.Join(r.Needless, ", "))
	}
}
