package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/client"
	"telltale.example/telltale/internal/wire"
)

// Bounds of what trigger makes, and up to how many lines it prints one by one.
const (
	maxTriggered = 100_000
	maxLines     = 100
)

func (p *program) trigger() *cobra.Command {
	t := &triggering{p: p}
	cmd := &cobra.Command{
		Use:   "trigger EVENT|all",
		Short: "send sample events and wait for what comes of them",
		Example: `  telltale trigger all
  telltale trigger bounced --set user.email=ann@example.com --set bounce_code=552
  telltale trigger opened --to https://hooks.example.com/telltale --count 100 --rate 10`,
		Long: `Sends the documented sample of a type, or of all twelve, through the API, waits for
the first attempt of every delivery, and prints what came of it. These are events
like any other: every enabled webhook that wants the type gets them. If there is no
webhook at all, one is added that points to a fresh bin of the inspector.

With --to, one webhook gets them and no other, as tests. It is named by its id or its
URL; for a URL that no webhook has, one is added.

The exit status is 7 if a receiver did not take one, and 6 if some were not attempted
within --timeout.

Types: sent, delivered, opened, clicked, failed, bounced, converted, unsubscribed,
resubscribed, complained, user_created, user_updated.`,
		Args: args("EVENT|all"),
		RunE: func(cmd *cobra.Command, args []string) error { return t.run(cmd.Context(), args[0]) },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return append(telltale.AllEventTypes.Names(), "all"), cobra.ShellCompDirectiveNoFileComp
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringArrayVar(&t.sets, "set", nil, "change a `key=value` of the sample, such as user.email=a@b.c; a value that is JSON is taken as such; again for more")
	flags.StringVar(&t.data, "data", "", "send this `event` and not the sample: JSON, @file, or @- for the standard input")
	flags.IntVar(&t.count, "count", 1, "how many of each type")
	flags.Float64Var(&t.rate, "rate", 0, "how many a second; 0 for as fast as it goes")
	flags.StringVar(&t.to, "to", "", "only to this `webhook`: its id, or a URL")
	return p.mutates(cmd)
}

// triggering is one run of trigger.
type triggering struct {
	p     *program
	sets  []string
	data  string
	count int
	rate  float64
	to    string

	api                   *client.Client
	total, failed, unsure int
}

func (t *triggering) run(ctx context.Context, what string) error {
	types := telltale.EventTypes()
	if what != "all" {
		if err := checkEventType(what); err != nil {
			return err
		}
		types = []telltale.EventType{telltale.EventType(what)}
	}
	if err := t.check(what); err != nil {
		return err
	}
	var err error
	if t.api, err = t.p.client(); err != nil {
		return err
	}
	if t.to != "" {
		err = t.toOne(ctx, types)
	} else {
		err = t.toAll(ctx, types)
	}
	if err != nil {
		return err
	}
	return t.verdict()
}

func (t *triggering) check(what string) error {
	switch {
	case t.count < 1 || t.count > maxTriggered:
		return usage("flag --count: \"%d\"; expected 1 to %d", t.count, maxTriggered)
	case t.rate < 0 || t.rate > 1e6:
		return usage("flag --rate: \"%g\"; expected 0 for no limit, or up to 1000000 a second", t.rate)
	case t.data != "" && what == "all":
		return usage("flag --data: it is one event; name its type instead of all")
	case t.to == "" && telltale.EventType(what).Operational():
		return usage("%s is an operational event: Telltale makes it itself, and it cannot be sent in; with --to its sample goes to a webhook as a test", what)
	case t.to != "" && (t.data != "" || len(t.sets) > 0):
		return usage("flag --to: a single webhook gets the documented samples as tests, so --set and --data have no effect; leave them out, or leave --to out")
	}
	return nil
}

// pace waits until the next event may go.
func (t *triggering) pace() *rate.Limiter {
	if t.rate == 0 {
		return rate.NewLimiter(rate.Inf, 1)
	}
	return rate.NewLimiter(rate.Limit(t.rate), 1)
}

// toAll sends the events as events, to whoever wants them.
func (t *triggering) toAll(ctx context.Context, types []telltale.EventType) error {
	samples, err := t.samples(ctx, types)
	if err != nil {
		return err
	}
	webhooks, err := t.webhooks(ctx)
	if err != nil {
		return err
	}
	f, err := newFollower(ctx, t.api, webhooks)
	if err != nil {
		return err
	}
	sent, err := t.send(ctx, samples)
	if err != nil {
		return err
	}
	if t.p.dryRun {
		return client.ErrDryRun
	}
	return t.follow(ctx, f, sent)
}

// samples makes the event to send of each type.
func (t *triggering) samples(ctx context.Context, types []telltale.EventType) ([][]byte, error) {
	samples := make([][]byte, len(types))
	for i, eventType := range types {
		sample, err := t.sample(ctx, eventType)
		if err != nil {
			return nil, err
		}
		for _, assignment := range t.sets {
			if sample, err = assign(sample, assignment); err != nil {
				return nil, err
			}
		}
		samples[i] = sample
	}
	return samples, checkEvents(samples)
}

func (t *triggering) sample(ctx context.Context, eventType telltale.EventType) ([]byte, error) {
	if t.data == "" {
		return t.api.Sample(ctx, string(eventType))
	}
	text, err := t.p.content("data", t.data)
	if err != nil {
		return nil, err
	}
	o, err := telltale.ParseObject(text)
	if err != nil {
		return nil, valid(err)
	}
	if !o.Has("type") {
		o.SetString("type", string(eventType))
	}
	if o.Text("type") != string(eventType) {
		return nil, usage("flag --data: the event is of type %q; expected %s, as the argument says", telltale.CutValue(o.Text("type")), eventType)
	}
	return o.AppendJSON(nil), nil
}

// webhooks lists the webhooks, or adds the first one.
func (t *triggering) webhooks(ctx context.Context) (webhooks []wire.Webhook, err error) {
	_, err = t.api.Webhooks(ctx, client.Page{}, func(w wire.Webhook) error {
		webhooks = append(webhooks, w)
		return nil
	})
	if err != nil || len(webhooks) > 0 {
		return webhooks, err
	}
	if t.p.dryRun {
		t.p.hint("There are no webhooks yet; one would be added that points to the built-in inspector.")
		return nil, nil
	}
	w, err := addInspected(ctx, t.api)
	if err != nil {
		return nil, err
	}
	t.p.hint("No webhooks yet, so I added one that points to the built-in inspector.")
	return []wire.Webhook{w}, nil
}

// addInspected adds a webhook for all types that points to a fresh bin.
func addInspected(ctx context.Context, api *client.Client) (wire.Webhook, error) {
	bin, err := api.CreateBin(ctx)
	if err != nil {
		return wire.Webhook{}, err
	}
	return api.CreateWebhook(ctx, wire.WebhookCreate{URL: bin.URL, Events: []string{"*"}})
}

// send sends each sample count times, in as few requests as the rate allows.
func (t *triggering) send(ctx context.Context, samples [][]byte) (ids []string, err error) {
	pace := t.pace()
	var pending [][]byte
	size := 0
	flush := func() error {
		accepted, err := t.api.SendEvents(ctx, pending)
		if err != nil && !errors.Is(err, client.ErrDryRun) {
			return err
		}
		for _, e := range accepted.Events {
			ids = append(ids, e.ID)
		}
		pending, size = nil, 0
		return nil
	}
	for range t.count {
		for _, sample := range samples {
			if err := pace.Wait(ctx); err != nil {
				return nil, err
			}
			pending = append(pending, sample)
			size += len(sample) + len(",")
			if t.rate > 0 || len(pending) == maxRequestEvents || size > maxRequestBytes-telltale.MaxEventBytes {
				if err := flush(); err != nil {
					return nil, err
				}
			}
		}
	}
	if len(pending) > 0 {
		err = flush()
	}
	return ids, err
}

// follow waits for what comes of the events, and prints it.
func (t *triggering) follow(ctx context.Context, f *follower, events []string) error {
	ctx, cancel := context.WithTimeout(ctx, t.p.timeout)
	defer cancel()
	if !t.p.json {
		t.p.outcomeHead()
	}
	for _, id := range events {
		if err := f.event(ctx, id, t.note); err != nil {
			return err
		}
	}
	return nil
}

// note prints an outcome, and counts it. Of very many it prints the bad ones only.
func (t *triggering) note(o outcome) error {
	t.total++
	switch {
	case !o.settled:
		t.unsure++
	case !o.success():
		t.failed++
	case t.total > maxLines && !t.p.json:
		return nil
	}
	if t.p.json {
		return t.p.writeJSON(o)
	}
	t.p.outcomeLine(o)
	return nil
}

// toOne tests one webhook with samples.
func (t *triggering) toOne(ctx context.Context, types []telltale.EventType) error {
	w, err := t.target(ctx, types)
	if err != nil {
		return err
	}
	f, err := newFollower(ctx, t.api, []wire.Webhook{w})
	if err != nil {
		return err
	}
	if !t.p.json && !t.p.dryRun {
		t.p.outcomeHead()
	}
	pace := t.pace()
	for range t.count {
		for _, eventType := range types {
			if err := pace.Wait(ctx); err != nil {
				return err
			}
			if err := t.test(ctx, f, w.ID, eventType); err != nil && !errors.Is(err, client.ErrDryRun) {
				return err
			}
		}
	}
	if t.p.dryRun {
		return client.ErrDryRun
	}
	return nil
}

func (t *triggering) test(ctx context.Context, f *follower, webhook string, eventType telltale.EventType) error {
	tested, err := t.api.TestWebhook(ctx, webhook, wire.WebhookTest{Event: string(eventType)})
	if err != nil {
		return err
	}
	o := outcome{Event: string(eventType), DeliveryID: tested.DeliveryID, WebhookID: webhook, State: string(telltale.StateFailed), settled: true}
	if tested.Success {
		o.State = string(telltale.StateSucceeded)
	}
	for _, h := range tested.Attempt.Request.Headers {
		if strings.EqualFold(h.Name, "webhook-id") {
			o.EventID = h.Value
		}
	}
	o.attempt(tested.Attempt)
	if o.Signature, err = f.verdict(ctx, webhook, tested.DeliveryID); err != nil {
		return err
	}
	return t.note(o)
}

// target finds the webhook that --to names, or adds one for its URL.
func (t *triggering) target(ctx context.Context, types []telltale.EventType) (wire.Webhook, error) {
	if !strings.Contains(t.to, "://") {
		if err := checkWebhook(t.to); err != nil {
			return wire.Webhook{}, err
		}
		return t.api.Webhook(ctx, t.to)
	}
	var found *wire.Webhook
	_, err := t.api.Webhooks(ctx, client.Page{}, func(w wire.Webhook) error {
		if w.URL == t.to && found == nil {
			found = &w
		}
		return nil
	})
	if err != nil {
		return wire.Webhook{}, err
	}
	if found != nil {
		return *found, nil
	}
	in := wire.WebhookCreate{URL: t.to, Events: telltale.NewEventTypeSet(types...).Names()}
	w, err := t.api.CreateWebhook(ctx, in)
	if err == nil {
		t.p.hint("No webhook has this URL, so I added %s, which gets such events from now on. To remove it: telltale webhooks delete %s", w.ID, w.ID)
	}
	return w, err
}

// verdict sums up.
func (t *triggering) verdict() error {
	if t.total == 0 {
		t.p.hint("The events were accepted. No enabled webhook wants them, so nothing is sent; see telltale webhooks list.")
		return nil
	}
	if !t.p.json {
		t.p.say("%d of %d succeeded.", t.total-t.failed-t.unsure, t.total)
	}
	switch {
	case t.failed > 0:
		return fail(exitRefused, "%s not taken; see telltale deliveries get DELIVERY for why", wereNot(t.failed))
	case t.unsure > 0:
		return fail(exitTemporary, "%s not attempted within %s; see telltale deliveries list", wereNot(t.unsure), t.p.timeout.Round(time.Millisecond))
	}
	return nil
}

func wereNot(n int) string {
	if n == 1 {
		return "1 delivery was"
	}
	return fmt.Sprintf("%d deliveries were", n)
}
