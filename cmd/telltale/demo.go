package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/app"
	"telltale.example/telltale/internal/client"
	"telltale.example/telltale/internal/config"
	"telltale.example/telltale/internal/feed"
	"telltale.example/telltale/internal/wire"
)

func (p *program) demo() *cobra.Command {
	var exit bool
	var provider string
	providers := feed.Names()
	half := (len(providers) + 1) / 2
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "see the whole product work once, on a database that is thrown away",
		Example: `  telltale demo
  telltale demo --exit && echo it works here
  telltale demo --provider sendgrid
  telltale demo --listen 127.0.0.1:9000`,
		Long: `Starts a server in a temporary folder, adds one webhook for all twelve event types
that points to the server's own inspector, posts the twelve documented samples to
the API, and prints what came of each. Then it stays up for you to try things, until
Ctrl-C. A port that is in use is replaced by a free one.

With --provider it adds a source of that mail provider, posts what the provider would
post of a message, signed, to the source's address, and prints each of the provider's
events with the webhook that it became.

With --exit it ends once all are through, with status 0 if all succeeded with a valid
signature and 7 if not.

Providers: ` + strings.Join(providers[:half], ", ") + ",\n" + strings.Join(providers[half:], ", ") + ".",
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			show := p.showSamples
			if cmd.Flags().Changed("provider") {
				from, err := providerNamed(provider)
				if err != nil {
					return err
				}
				show = func(ctx context.Context, node *app.App) (int, int, error) { return p.showFeed(ctx, node, from) }
			}
			cfg, err := p.load(0)
			if err != nil {
				return err
			}
			return p.runDemo(cmd.Context(), cfg, show, exit)
		},
	}
	cmd.Flags().BoolVar(&exit, "exit", false, "end once the samples are through, and say by the exit status how it went")
	cmd.Flags().StringVar(&provider, "provider", "", "show how the events of a mail provider become webhooks, by the provider's `name`")
	_ = cmd.RegisterFlagCompletionFunc("provider", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return providers, cobra.ShellCompDirectiveNoFileComp
	}) // it fails for a flag that is not there
	p.offer(cmd, config.Server, "listen", "ops_listen")
	return cmd
}

// demoTimeout bounds how long the demo waits for its deliveries.
const demoTimeout = 30 * time.Second

// demonstration shows something on the node, and gives how many of how many did
// not get through as they should.
type demonstration func(ctx context.Context, node *app.App) (wrong, total int, err error)

func (p *program) runDemo(ctx context.Context, cfg config.Config, show demonstration, exit bool) (err error) {
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
	wrong, total, err := show(ctx, node)
	switch {
	case err != nil:
		return err
	case exit && wrong > 0:
		return fail(exitRefused, "%d of %d samples did not get through with a valid signature", wrong, total)
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
// each.
func (p *program) showSamples(ctx context.Context, node *app.App) (wrong, total int, err error) {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	api, f, err := inspectAll(ctx, node)
	if err != nil {
		return 0, 0, err
	}
	var samples [][]byte
	for _, t := range telltale.EventTypes() {
		sample, err := api.Sample(ctx, string(t))
		if err != nil {
			return 0, 0, err
		}
		samples = append(samples, sample)
	}
	accepted, err := api.SendEvents(ctx, samples)
	if err != nil {
		return 0, 0, err
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
			return 0, 0, err
		}
	}
	p.say("%d of %d succeeded with a valid signature.", right, len(samples))
	return len(samples) - right, len(samples), nil
}

// inspectAll adds a webhook for every type that points to the inspector, and
// gives what calls the node and what follows deliveries.
func inspectAll(ctx context.Context, node *app.App) (*client.Client, *follower, error) {
	api := client.New(client.Options{Server: node.URL(), Token: node.OwnerToken(), UserAgent: "telltale/" + version + " (demo)"})
	w, err := addInspected(ctx, api)
	if err != nil {
		return nil, nil, err
	}
	f, err := newFollower(ctx, api, []wire.Webhook{w})
	return api, f, err
}

// providerNamed gives the provider of that name, or says which there are.
func providerNamed(name string) (*feed.Provider, error) {
	if from := feed.ProviderNamed(name); from != nil {
		return from, nil
	}
	meant := ""
	if nearest := config.Nearest(name, feed.Names()); nearest != "" {
		meant = "; did you mean " + nearest + "?"
	}
	return nil, usage("flag --provider: there is no provider %q%s\nThere are %s", telltale.CutValue(name), meant, strings.Join(feed.Names(), ", "))
}

// showFeed posts the provider's samples to a source, and prints what each of its
// events became.
func (p *program) showFeed(ctx context.Context, node *app.App, from *feed.Provider) (wrong, total int, err error) {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	api, f, err := inspectAll(ctx, node)
	if err != nil {
		return 0, 0, err
	}
	credentials, sign, err := from.Pair()
	if err != nil {
		return 0, 0, err
	}
	source, err := addSource(ctx, api, from, credentials)
	if err != nil {
		return 0, 0, err
	}
	var told []toldEvent
	now := time.Now()
	for _, r := range from.Samples(now.Add(-time.Minute)) { // what they tell of is over
		r.URL = source.URL
		if err := sign(r, now); err != nil {
			return 0, 0, err
		}
		answer, err := post(ctx, r)
		if err != nil {
			return 0, 0, err
		}
		events, err := eventsIn(from, r, credentials)
		if err != nil {
			return 0, 0, err
		}
		for i := range events {
			events[i].refusal = answer
		}
		told = append(told, events...)
	}
	became, err := allEvents(ctx, api)
	if err != nil {
		return 0, 0, err
	}
	match(told, became)

	p.hint("telltale %s: one server, one source of %s, one webhook for the twelve event types.", version, from.Title)
	p.say("%s told of these events, and they became these webhooks:", from.Title)
	right := 0
	for i := range told {
		ok, err := p.toldEvent(ctx, f, &told[i])
		if err != nil {
			return 0, 0, err
		}
		if ok {
			right++
		}
	}
	p.say("")
	p.say("%d of %d became webhooks, which succeeded with a valid signature.", right, len(told))
	return len(told) - right, len(told), nil
}

func addSource(ctx context.Context, api *client.Client, from *feed.Provider, credentials map[string]string) (wire.Source, error) {
	given := map[string]*string{}
	for name, value := range credentials {
		given[name] = &value
	}
	return api.CreateSource(ctx, wire.SourceCreate{Provider: from.Name, SourceSettings: wire.SourceSettings{Credentials: wire.To(given)}})
}

// toldEvent is an event as its provider told it, and what became of it.
type toldEvent struct {
	name    string // the provider's
	raw     string // what was posted of it
	kind    telltale.EventType
	refusal string      // why the request was not taken; empty if it was
	became  *wire.Event // nil for nothing
}

// eventsIn gives the events that a request of the provider tells of.
func eventsIn(from *feed.Provider, r *feed.Request, credentials map[string]string) (events []toldEvent, err error) {
	b, err := from.Parse(r, &telltale.Source{Provider: from.Name, Credentials: credentials})
	if err != nil {
		return nil, fmt.Errorf("a sample of %s: %w", from.Title, err)
	}
	for _, part := range b.Parts {
		for _, e := range part.Events {
			events = append(events, toldEvent{name: nameIn(from, part.Raw, e.Type), raw: part.Raw, kind: e.Type})
		}
	}
	return events, nil
}

// nameIn gives what the provider calls an event of that type: of the names in
// its mapping, the one that stands in the event's JSON as a string, be it in JSON
// within a string, or in a form as a value.
func nameIn(from *feed.Provider, raw string, kind telltale.EventType) string {
	for _, m := range from.Mapping {
		if m.Type != kind {
			continue
		}
		for _, name := range namesOf(m) {
			if strings.Contains(raw, `"`+name+`"`) || strings.Contains(raw, `\"`+name+`\"`) || strings.Contains("&"+raw+"&", "="+name+"&") {
				return name
			}
		}
	}
	return string(kind)
}

// namesOf gives the names in a row of a mapping, such as "bounce or out_of_band,
// bounce_class 10". They come first, and the conditions behind them.
func namesOf(m feed.Mapping) []string {
	return strings.Split(strings.ReplaceAll(m.Event, " or ", ", "), ", ")
}

// post sends a request as the provider would. It gives why it was not taken.
func post(ctx context.Context, r *feed.Request) (refusal string, err error) {
	request, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return "", err
	}
	request.Header = r.Header
	response, err := (&http.Client{Timeout: demoTimeout}).Do(request) // to this very process
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil || response.StatusCode == http.StatusOK {
		return "", err
	}
	var problem wire.Problem
	if json.Unmarshal(answer, &problem) != nil || problem.Detail == "" {
		return response.Status, nil
	}
	return response.Status + ": " + problem.Detail, nil
}

// allEvents gives the events of the project, in the order of their coming.
func allEvents(ctx context.Context, api *client.Client) (events []wire.Event, err error) {
	_, err = api.Events(ctx, nil, client.Page{}, func(e wire.Event) error {
		events = append(events, e)
		return nil
	})
	slices.SortFunc(events, func(a, b wire.Event) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return events, err
}

// match finds what each of the provider's events became: they come in the order
// in which they were told, and what came is not told of twice.
func match(told []toldEvent, became []wire.Event) {
	for i := range told {
		if len(became) > 0 && became[0].Type == string(told[i].kind) {
			told[i].became, became = &became[0], became[1:]
		}
	}
}

// maxTold is how much of what a provider posted is printed, in characters.
const maxTold = 120

// toldEvent prints an event of a provider and the webhook that it became, and
// reports whether that got through.
func (p *program) toldEvent(ctx context.Context, f *follower, e *toldEvent) (ok bool, err error) {
	o := outcome{Result: "nothing: it was not accepted"}
	var payload []byte
	switch {
	case e.refusal != "":
		o.Result = "refused: " + e.refusal
	case e.became != nil:
		payload = e.became.Payload
		err = f.event(ctx, e.became.ID, func(came outcome) error {
			o = came
			return nil
		})
	}
	ok = o.success() && o.Signature == telltale.VerdictValid
	p.say("")
	line := fmt.Sprintf("%-40s  %s", e.name+" → "+string(e.kind), o.Result)
	if o.success() {
		line += fmt.Sprintf("  %s  signature %s", millis(o.DurationMS), orDash(o.Signature))
	}
	line = printable(line)
	if p.colour() {
		tone := bad
		if ok {
			tone = good
		}
		line = strings.Replace(line, o.Result, string(tone)+o.Result+reset, 1)
	}
	fmt.Fprintln(p.stdout, line)
	p.say("  %s", e.excerpt())
	if payload != nil {
		p.say("  %s", payload)
	}
	return ok, err
}

// excerpt gives as much of what was posted as fits on a line or two: its
// beginning, or what stands from the event's name on if that comes later.
func (e *toldEvent) excerpt() string {
	var compact bytes.Buffer
	if json.Compact(&compact, []byte(e.raw)) != nil { // a form
		compact.Reset()
		compact.WriteString(e.raw)
	}
	text, before := compact.String(), ""
	if at := strings.Index(text, e.name); at > maxTold-len(e.name) {
		before, text = "…", text[1+strings.LastIndexAny(text[:at], ",&"):]
	}
	if runes := []rune(text); len(runes) > maxTold {
		return before + string(runes[:maxTold-1]) + "…"
	}
	return before + text
}
