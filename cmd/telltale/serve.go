package main

import (
	"context"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"os/signal"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/app"
	"telltale.example/telltale/internal/config"
)

func (p *program) serve() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "run the server",
		Example: `  telltale serve
  telltale serve --allow-private                       on a laptop: receivers on localhost too
  TELLTALE_PUBLIC_URL=https://telltale.example.com telltale serve --data /var/lib/telltale
  telltale serve --database-url postgres://telltale@db.internal/telltale --secret-key-file /etc/telltale/key`,
		Long: `Runs until Ctrl-C or SIGTERM; then it takes no new requests, finishes what is in
flight within 30 s, and ends with status 0. A second signal ends it at once.
Nothing that was accepted is lost either way.

The first start makes the data folder with the database, secret.key (seals the
secrets in the database: keep a copy) and owner.token (a key for everything, which
commands on this machine use by themselves).

With --database-url it keeps everything in a PostgreSQL database, which any number
of servers may share: each does its part of the sending, and --role says whether it
does all, takes requests only, or sends only. They share one secret key, too, which
openssl rand -base64 32 makes; none of them starts without it. The data folder is not
needed then; if --data names one, the server keeps an owner.token of its own there.
telltale keys create --database-url makes a key where there is none.

With --paused it accepts and shows everything, sends nothing but tests, and runs no
jobs, until telltale resume or the button on the pages: to look around in a database
that was restored.

Webhooks may only point to public addresses over https unless a flag says more.

SIGHUP reads the settings again. Only log_level takes effect without a restart; the
log names the others that changed. SIGUSR1 writes all goroutines to the log.

Wrong settings, a port in use, a data folder that another server has open: one
line says so, and the exit status is 2.`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := p.load(config.Server)
			if err != nil {
				return err
			}
			return p.runServer(cmd.Context(), cfg)
		},
	}
	p.offer(cmd, config.Server)
	return cmd
}

// runServer runs a node until ctx ends or the node fails.
func (p *program) runServer(ctx context.Context, cfg config.Config) error {
	began := time.Now()
	level := new(slog.LevelVar)
	level.Set(cfg.LogLevel)
	log := newLog(p.stderr, cfg.LogFormat, level)
	adopt(log)
	reload, dump := operatorSignals() // before Start, during which a SIGHUP would end the process
	defer signal.Stop(reload)
	defer signal.Stop(dump)
	node, err := app.Start(ctx, cfg, version, log)
	if err != nil {
		if ctx.Err() != nil {
			return nil // interrupted, as asked
		}
		return &failure{exitUsage, err}
	}
	if !p.quiet {
		p.banner(node, cfg, time.Since(began))
	}
	for {
		select {
		case err := <-node.Failed():
			// What was acknowledged is on the disk; a node that cannot trust
			// its disk stops nothing in order.
			return fmt.Errorf("the server cannot go on: %w", err)
		case <-ctx.Done():
			log.Info("stopping", "at_most", app.StopTimeout)
			if err := node.Stop(context.WithoutCancel(ctx)); err != nil {
				return fmt.Errorf("the server did not stop in order: %w", err)
			}
			log.Info("stopped")
			return nil
		case <-dump:
			log.Info("goroutines", "stacks", stacks())
		case <-reload:
			p.reload(cfg, level, log)
		}
	}
}

// reload reads the settings again and applies those that can change while the
// server runs.
func (p *program) reload(running config.Config, level *slog.LevelVar, log *slog.Logger) {
	fresh, err := p.load(config.Server)
	if err != nil {
		log.Error("reload: nothing was changed", "error", strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	level.Set(fresh.LogLevel)
	var waiting []string
	for _, name := range running.Changed(&fresh) {
		if name != "log_level" {
			waiting = append(waiting, name)
		}
	}
	log.Info("reload", "log_level", strings.ToLower(fresh.LogLevel.String()))
	if len(waiting) > 0 {
		log.Warn("reload: these settings changed and need a restart", "settings", strings.Join(waiting, ", "))
	}
}

func newLog(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// adopt takes what libraries say through package log into our log, for who looks
// for it: net/http repeats there what receivers send unasked, as often as they do.
func adopt(l *slog.Logger) {
	stdlog.SetFlags(0)
	stdlog.SetOutput(slog.NewLogLogger(l.Handler(), slog.LevelDebug).Writer())
}

// banner tells a newcomer where everything is. It goes to the standard output,
// so that the standard error holds the log and nothing else.
func (p *program) banner(node *app.App, cfg config.Config, took time.Duration) {
	engine := "sqlite"
	if app.Shared(cfg) {
		engine = "postgres"
	}
	database := app.Location(cfg)
	if node.Fresh() {
		database += ", new"
	}
	p.say("telltale %s  (%s %s)", version, engine, database)
	if cfg.NodeRole != telltale.NodeAll {
		p.say("  Role   %s", cfg.NodeRole)
	}
	if cfg.Paused {
		p.say("  Paused it accepts, and sends nothing until telltale resume, or a start without --paused")
	}
	if cfg.NodeRole != telltale.NodeWorker {
		if node.SetupURL() != "" {
			p.say("  Pages  %s  (one-time link, 15 min)", node.SetupURL())
		} else {
			p.say("  Pages  %s/", node.URL())
		}
		p.say("  API    %s/v1", node.URL())
	}
	p.say("  Ops    %s/healthz  /readyz  /metrics", node.OpsURL())
	switch {
	case !app.Shared(cfg):
		p.say("  Data   %s  (%s: seals secrets, keep a copy; %s: the key of commands on this machine)", cfg.Data, app.SecretKeyFile, app.OwnerTokenFile)
	case node.OwnerToken() != "":
		p.say("  Data   %s  (%s: the key of commands on this machine)", cfg.Data, app.OwnerTokenFile)
	}
	if cfg.AllowPrivate {
		p.say("  Egress webhooks may point to private addresses: --allow-private is for development")
	}
	p.say("Ready in %.1f s. Press Ctrl-C to stop.", took.Seconds())
}

// maxStacks bounds a dump, in bytes.
const maxStacks = 16 << 20

// stacks is what every goroutine does right now.
func stacks() string {
	for size := 256 << 10; ; size *= 2 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size || size >= maxStacks {
			return string(buf[:n])
		}
	}
}
