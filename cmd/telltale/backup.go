package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/app"
	"telltale.example/telltale/internal/config"
)

func (p *program) backup() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "copy the database to a file, while the server runs or not",
		Example: `  telltale backup /backups/telltale-monday.db
  telltale backup --data /var/lib/telltale /backups/telltale-monday.db
  telltale backup /backups/telltale-monday.db --json`,
		Long: `Copies the SQLite database in --data, as it is at one moment, on the machine and as
the user of the server, which need not stop and hardly notices. All that was accepted
before the command began is in the copy. Then the copy is read as a whole and
checked; only after that it gets its name, and it never takes another file's.

While it copies, what the server writes stays in the write-ahead log: besides the
copy, the disk needs room for that.

The secret key is not in the copy, and without it the copy cannot be restored: keep
secret.key of the data folder apart from it, in a place of its own. Files that are
being imported are not in it either.

A PostgreSQL database is backed up as others are; the documents have the commands.`,
		Args: args("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := p.load(config.Server)
			if err != nil {
				return err
			}
			contents, err := p.copying(func(tell func(string, int64, int64)) (app.Contents, error) {
				return app.Backup(cmd.Context(), cfg, args[0], tell)
			})
			if err != nil {
				return ofBackup(err)
			}
			if p.json {
				return p.writeJSON(contents)
			}
			p.say("%s has %s.", args[0], described(contents))
			p.hint("The secret key is not in it, and is needed to restore it: keep a copy of %s, apart from this file.", filepath.Join(cfg.Data, app.SecretKeyFile))
			return nil
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVar(&p.json, "json", false, "print one JSON object")
	p.offer(cmd, config.Server, "data", "database_url")
	return cmd
}

func (p *program) restore() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "make a data folder from a backup",
		Example: `  telltale restore /backups/telltale-monday.db --data /var/lib/telltale-restored
  telltale restore --data /var/lib/telltale-restored --secret-key-file /safe/secret.key /backups/telltale-monday.db
  telltale serve --data /var/lib/telltale-restored --paused`,
		Long: `Puts the database of a backup into --data, a folder that is empty, or has the
secret.key in it that the database was made with; the key may be named with
--secret-key-file too. The database is read as a whole and checked, the key tried on
what is sealed in it, and its schema brought to this version's. If anything is wrong,
the folder stays without a database.

What was delivered after the backup was made is owed again by what the backup says,
so the server would send it once more, with the same webhook-id, by which receivers
that follow the documents know it. Start the server with --paused: it accepts, and
sends nothing until telltale resume, or the button on its pages.

What was accepted after the backup was made is not in it. People who were erased
since are in it again: erase them again.`,
		Args: args("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := p.load(config.Server)
			if err != nil {
				return err
			}
			contents, err := p.copying(func(tell func(string, int64, int64)) (app.Contents, error) {
				return app.Restore(cmd.Context(), cfg, args[0], tell)
			})
			if err != nil {
				return ofBackup(err)
			}
			if p.json {
				return p.writeJSON(contents)
			}
			p.say("%s has %s, and the secret key fits.", cfg.Data, described(contents))
			p.hint("What was delivered since the backup would be sent again. Look before anything is sent:")
			p.hint("  telltale serve --data %s --paused", cfg.Data)
			return nil
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVar(&p.json, "json", false, "print one JSON object")
	p.offer(cmd, config.Server, "data", "database_url", "secret_key")
	return cmd
}

// ofBackup gives the error of a backup or a restore its exit status.
func ofBackup(err error) error {
	switch {
	case telltale.CodeOf(err) == telltale.Conflict:
		return &failure{exitConflict, err}
	case errors.Is(err, context.Canceled):
		return err
	}
	return &failure{exitUsage, err}
}

// copying shows how far a backup or a restore is.
func (p *program) copying(do func(tell func(step string, done, total int64)) (app.Contents, error)) (app.Contents, error) {
	var bar *progressbar.ProgressBar
	defer func() {
		if bar != nil {
			_ = bar.Finish()
		}
	}()
	checking := false
	return do(func(step string, done, total int64) {
		if bar == nil {
			bar = p.partBar()
		}
		if bar == nil {
			return
		}
		bar.Describe(step)
		if !checking {
			_ = bar.Set64(done * barParts / max(total, 1))
		}
		checking = step == app.BackupChecks
	})
}

func described(c app.Contents) string {
	return fmt.Sprintf("%s, %s (%s to be sent) and %s, %.1f MiB, schema %d: it was read as a whole, and is sound",
		counted(int(c.Events), "event", "events"), counted(int(c.Deliveries), "delivery", "deliveries"), grouped(int(c.Unfinished)), counted(int(c.Webhooks), "webhook", "webhooks"), float64(c.Bytes)/(1<<20), c.Schema)
}
