package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/app"
	"telltale.example/telltale/internal/config"
)

func (p *program) move() *cobra.Command {
	var from, to string
	cmd := &cobra.Command{
		Use:   "move --from sqlite --to URL",
		Short: "move everything from an SQLite database to PostgreSQL",
		Example: `  telltale move --from sqlite --to postgres://telltale@db.internal/telltale
  telltale move --from /var/lib/telltale --to postgres://telltale@db.internal/telltale
  TELLTALE_DATABASE_URL=postgres://… telltale move --from sqlite --json`,
		Long: `For whoever began on one machine and wants several servers. --from is sqlite, for
the database in --data, or a data folder, or the file in it. --to is a PostgreSQL
database that no server has used; without the flag it is TELLTALE_DATABASE_URL, and
a password is best there or in PGPASSFILE, since other users of the machine see
flags.

Stop the server first: the database is opened directly, and nothing in it is
changed, but that its schema is brought to this version's. Everything is moved:
events, deliveries with their attempts, webhooks, users, sources, people, keys,
sessions, counts, the audit log, and the files of imports that have not ended. Ids,
keys and links stay as they are. What waits to be sent is sent by the first server
that starts.

Secrets are moved sealed, so the key that sealed them has to move along: give the
new servers the secret.key of the data folder, as TELLTALE_SECRET_KEY_FILE. This
command does not need it.

A move that was stopped, or killed, goes on when the command is run again; whatever
was moved before is not moved twice. Until it has ended, no server starts on the
database. In the end both databases are compared: the rows of each table, and what
each column adds up to. If anything differs, the exit status is 1, and the SQLite
database is still the one to use.

Keep the data folder for as long as you may want to go back, but start no server
on it: it would send once more what was waiting.`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "from"); err != nil {
				return err
			}
			cfg, err := p.loadMove(to)
			if err != nil {
				return err
			}
			file, err := app.StoreFile(cfg, from)
			if err != nil {
				return usage("flag --from: %v; expected sqlite, a data folder, or the file in it", err)
			}
			moved, err := p.moveStore(cmd.Context(), cfg, file)
			switch {
			case telltale.CodeOf(err) == telltale.Conflict:
				return &failure{exitConflict, err}
			case telltale.CodeOf(err) == telltale.Unavailable:
				return &failure{exitTemporary, err}
			case errors.Is(err, context.Canceled) && cmd.Context().Err() != nil:
				p.hint("What was moved stays: run the command again, and it goes on.")
				return context.Canceled
			case err != nil:
				return err
			}
			return p.showMoved(moved)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&from, "from", "", "the store to move: sqlite, a data `folder`, or the file in it")
	flags.StringVar(&to, "to", "", "`URL` of the PostgreSQL database; default: TELLTALE_DATABASE_URL")
	flags.BoolVar(&p.json, "json", false, "print one JSON object")
	p.offer(cmd, config.Server, "data")
	return cmd
}

// loadMove gathers the settings, among which --to is the database.
func (p *program) loadMove(to string) (config.Config, error) {
	if to == "" {
		cfg, err := p.load(config.Server)
		if err == nil && !app.Shared(cfg) {
			err = usage("move needs --to, or TELLTALE_DATABASE_URL; see telltale move --help")
		}
		return cfg, err
	}
	p.settings = append(p.settings, config.Flag{Setting: "database_url", Text: to})
	cfg, err := p.load(0)
	if err != nil {
		return cfg, &failure{statusOf(err), errors.New(strings.ReplaceAll(err.Error(), "flag --database-url", "flag --to"))}
	}
	return cfg, nil
}

func (p *program) moveStore(ctx context.Context, cfg config.Config, file string) (app.Moved, error) {
	var bar *progressbar.ProgressBar
	defer func() {
		if bar != nil {
			_ = bar.Finish()
		}
	}()
	step := ""
	return app.Move(ctx, cfg, file, func(m app.Moving) {
		if m.Step != step {
			if bar != nil {
				_ = bar.Finish()
			}
			step, bar = m.Step, p.rowBar(m.Total)
		}
		if bar != nil {
			bar.Describe(m.Step + " " + m.Table)
			_ = bar.Set64(m.Done)
		}
	})
}

// rowBar is a bar of rows on a terminal; nil where nobody looks.
func (p *program) rowBar(rows int64) *progressbar.ProgressBar {
	if !isTerminal(p.stderr) || p.quiet || p.env("TERM") == "dumb" {
		return nil
	}
	return progressbar.NewOptions64(max(rows, 1), progressbar.OptionSetWriter(p.stderr), progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("rows"),
		progressbar.OptionSetWidth(30), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionEnableColorCodes(false))
}

// barParts is how finely a bar of parts is divided.
const barParts = 1000

// partBar is a bar of parts of a whole on a terminal; nil where nobody looks.
func (p *program) partBar() *progressbar.ProgressBar {
	if !isTerminal(p.stderr) || p.quiet || p.env("TERM") == "dumb" {
		return nil
	}
	return progressbar.NewOptions64(barParts, progressbar.OptionSetWriter(p.stderr), progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionEnableColorCodes(false))
}

func (p *program) showMoved(m app.Moved) error {
	if p.json {
		if err := p.writeJSON(m); err != nil {
			return err
		}
	} else {
		t := newTable("TABLE", "STATE", "SQLITE", "POSTGRESQL", "")
		for _, row := range m.Tables {
			verdict := cell{"same", good}
			if !row.Same() {
				verdict = cell{"differs " + strings.Join(row.Differing, ", "), bad}
			}
			if row.From > 0 || row.To > 0 {
				t.row(row.Table, orDash(row.State), grouped(int(row.From)), grouped(int(row.To)), verdict)
			}
		}
		p.printTable(t)
	}
	if !m.Same() {
		return fail(exitUnexpected, "the databases differ: go on with the SQLite database, and move it anew to an empty one; if they differ again, the tables above say where")
	}
	if m.NewIDs > 0 {
		p.hint("%s had an id from before ids followed from numbers, and got another one.", counted(int(m.NewIDs), "profile", "profiles"))
	}
	p.hint("Everything is moved. Start each server on %s, and with the key that sealed the secrets:", m.To)
	p.hint("  TELLTALE_SECRET_KEY_FILE=%s TELLTALE_DATABASE_URL=%s telltale serve", filepath.Join(filepath.Dir(m.From), app.SecretKeyFile), m.To)
	p.hint("Keep %s, but start no server on it: it would send once more what was waiting.", m.From)
	return nil
}
