package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/app"
	"telltale.example/telltale/internal/client"
	"telltale.example/telltale/internal/config"
	"telltale.example/telltale/internal/wire"
)

func (p *program) demo() *cobra.Command {
	var exit bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "see the whole product work once, on a database that is thrown away",
		Example: `  telltale demo
  telltale demo --exit && echo it works here
  telltale demo --listen 127.0.0.1:9000`,
		Long: `Starts a server in a temporary folder, adds one webhook for all twelve event types
that points to the server's own inspector, posts the twelve documented samples to
the API, and prints what came of each. Then it stays up for you to try things, until
Ctrl-C. A port that is in use is replaced by a free one.

With --exit it ends once all twelve are through, with status 0 if all succeeded
with a valid signature and 7 if not.`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := p.load(0)
			if err != nil {
				return err
			}
			return p.runDemo(cmd.Context(), cfg, exit)
		},
	}
	cmd.Flags().BoolVar(&exit, "exit", false, "end once the samples are through, and say by the exit status how it went")
	p.offer(cmd, config.Server, "listen", "ops_listen")
	return cmd
}

// demoTimeout bounds how long the demo waits for its twelve deliveries.
const demoTimeout = 30 * time.Second

func (p *program) runDemo(ctx context.Context, cfg config.Config, exit bool) (err error) {
	dir, err := os.MkdirTemp("", "telltale-demo-")
	if err != nil {
		return err
	}
	defer func() {
		if rmErr := os.RemoveAll(dir); err == nil {
			err = rmErr
		}
	}()
	node, err := p.startDemo(ctx, cfg, dir)
	if err != nil {
		return err
	}
	defer func() {
		if stopErr := node.Stop(context.WithoutCancel(ctx)); err == nil && stopErr != nil {
			err = fmt.Errorf("the server did not stop in order: %w", stopErr)
		}
		if ctx.Err() != nil && !exit {
			err = nil // Ctrl-C is how a demo ends
		}
	}()
	bad, err := p.showSamples(ctx, node)
	switch {
	case err != nil:
		return err
	case exit && bad > 0:
		return fail(exitRefused, "%d of %d samples did not get through with a valid signature", bad, len(telltale.EventTypes()))
	case exit:
		return nil
	}
	p.say("")
	p.say("See them, and add a webhook of your own:")
	p.say("")
	p.say("  %s", node.SetupURL())
	p.say("")
	p.say("The API is at %s/v1. Send an event of your own:", node.URL())
	p.say("")
	p.say(`  curl -H "Authorization: Bearer %s" \`, node.OwnerToken())
	p.say(`       -d '{"type":"bounced","user":{"id":123,"email":"steve@example.com"}}' %s/v1/events`, node.URL())
	p.say("")
	p.say("Nothing is kept. Press Ctrl-C to stop.")
	select {
	case <-ctx.Done():
		return nil
	case err := <-node.Failed():
		return fmt.Errorf("the server cannot go on: %w", err)
	}
}

// startDemo starts a node on the addresses of cfg, or on free ports if they are
// in use; nothing else of cfg counts.
func (p *program) startDemo(ctx context.Context, cfg config.Config, dir string) (*app.App, error) {
	log := newLog(p.stderr, "text", slog.LevelWarn)
	demo := config.Defaults()
	demo.Listen, demo.OpsListen, demo.Data = cfg.Listen, cfg.OpsListen, filepath.Join(dir, "data")
	demo.AllowPrivate = true // whoever tries it has a receiver on this machine
	node, err := app.Start(ctx, demo, version, log)
	if errors.Is(err, syscall.EADDRINUSE) {
		p.hint("%s or %s is in use, so the demo takes free ports.", demo.Listen, demo.OpsListen)
		demo.Listen, demo.OpsListen = freePort(demo.Listen), freePort(demo.OpsListen)
		node, err = app.Start(ctx, demo, version, log)
	}
	if err != nil {
		return nil, &failure{exitUsage, err}
	}
	return node, nil
}

// showSamples sends the twelve samples to the inspector and prints what came of
// each. It gives the number of those that did not get through as they should.
func (p *program) showSamples(ctx context.Context, node *app.App) (wrong int, err error) {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	api := client.New(client.Options{Server: node.URL(), Token: node.OwnerToken(), UserAgent: "telltale/" + version + " (demo)"})
	w, err := addInspected(ctx, api)
	if err != nil {
		return 0, err
	}
	f, err := newFollower(ctx, api, []wire.Webhook{w})
	if err != nil {
		return 0, err
	}
	var samples [][]byte
	for _, t := range telltale.EventTypes() {
		sample, err := api.Sample(ctx, string(t))
		if err != nil {
			return 0, err
		}
		samples = append(samples, sample)
	}
	accepted, err := api.SendEvents(ctx, samples)
	if err != nil {
		return 0, err
	}
	p.hint("telltale %s: one server, one webhook for the twelve event types, one sample of each.", version)
	p.outcomeHead()
	right := 0
	for _, e := range accepted.Events {
		err := f.event(ctx, e.ID, func(o outcome) error {
			if o.success() && o.Signature == telltale.VerdictValid {
				right++
			}
			p.outcomeLine(o)
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	p.say("%d of %d succeeded with a valid signature.", right, len(samples))
	return len(samples) - right, nil
}
