package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/client"
	"telltale.example/telltale/internal/wire"
)

// outcome is what came of the first attempt of a delivery.
type outcome struct {
	Event      string  `json:"event"`
	EventID    string  `json:"event_id"`
	DeliveryID string  `json:"delivery_id"`
	WebhookID  string  `json:"webhook_id"`
	State      string  `json:"state"`
	Result     string  `json:"result"`              // "200 OK", or why it failed
	DurationMS float64 `json:"duration_ms"`         // of the attempt
	Signature  string  `json:"signature,omitempty"` // the inspector's verdict; empty for other receivers
	settled    bool    // there was an attempt, or none will come for now
}

func (o outcome) success() bool { return o.State == string(telltale.StateSucceeded) }

// follower waits for the deliveries of events that were just sent.
type follower struct {
	api  *client.Client
	bins map[string]string            // the bin that a webhook points to, by the webhook's id
	seen map[string]map[string]string // verdicts by delivery, by bin
	read int                          // how often a bin was read
}

// newFollower learns which webhooks point to bins of the inspector.
func newFollower(ctx context.Context, api *client.Client, webhooks []wire.Webhook) (*follower, error) {
	f := &follower{api: api, bins: map[string]string{}, seen: map[string]map[string]string{}}
	err := api.Bins(ctx, func(b wire.Bin) error {
		for _, w := range webhooks {
			if w.URL == b.URL {
				f.bins[w.ID] = b.ID
			}
		}
		return nil
	})
	return f, err
}

// Waits between two looks at a delivery: short at first, since most take
// milliseconds.
const (
	firstLook = 5 * time.Millisecond
	lastLook  = 250 * time.Millisecond
)

// event waits until every delivery of the event has had its first attempt, and
// hands over what came of each. When ctx ends first it hands over how far they are.
func (f *follower) event(ctx context.Context, id string, emit func(outcome) error) error {
	for wait := firstLook; ; wait = min(2*wait, lastLook) {
		late := ctx.Err() != nil
		// The last look is taken after the deadline, by the time of the call alone.
		found, settled, err := f.look(context.WithoutCancel(ctx), id)
		if err != nil {
			return err
		}
		if settled || late {
			for _, d := range found {
				o, err := f.outcome(context.WithoutCancel(ctx), d)
				if err == nil {
					err = emit(o)
				}
				if err != nil {
					return err
				}
			}
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		if errors.Is(ctx.Err(), context.Canceled) {
			return ctx.Err()
		}
	}
}

func (f *follower) look(ctx context.Context, event string) (found []wire.Delivery, settled bool, err error) {
	settled = true
	_, err = f.api.EventDeliveries(ctx, event, client.Page{}, func(d wire.Delivery) error {
		found = append(found, d)
		settled = settled && attempted(d)
		return nil
	})
	return found, settled, err
}

// attempted reports whether there was a first attempt, or none will come for now.
func attempted(d wire.Delivery) bool {
	switch telltale.State(d.State) {
	case telltale.StateSending:
		return d.AttemptCount > 1
	case telltale.StateWaiting:
		return d.AttemptCount > 0
	}
	return true
}

func (f *follower) outcome(ctx context.Context, d wire.Delivery) (outcome, error) {
	o := outcome{Event: d.EventType, EventID: d.EventID, DeliveryID: d.ID, WebhookID: d.WebhookID, State: d.State, Result: d.State, settled: attempted(d)}
	full, err := f.api.Delivery(ctx, d.ID)
	if err != nil {
		return o, err
	}
	if len(full.Attempts) > 0 {
		o.attempt(full.Attempts[len(full.Attempts)-1])
	}
	o.Signature, err = f.verdict(ctx, d.WebhookID, d.ID)
	return o, err
}

func (o *outcome) attempt(a wire.Attempt) {
	o.DurationMS = a.DurationMS
	if a.Status != 0 || a.Error != "" {
		o.Result = outcomeOf(a)
	}
}

// verdict is what the inspector says of the signature of a delivery to a bin.
func (f *follower) verdict(ctx context.Context, webhook, delivery string) (string, error) {
	bin := f.bins[webhook]
	if bin == "" {
		return "", nil
	}
	if v, ok := f.seen[bin][delivery]; ok {
		return v, nil
	}
	// A bin forgets what was long ago: after very many events there is nothing
	// to find, however often it is read.
	if f.read++; f.read > telltale.MaxCaughtRequests {
		return "", nil
	}
	f.seen[bin] = map[string]string{}
	_, err := f.api.CaughtRequests(ctx, bin, client.Page{}, func(r wire.CaughtRequest) error {
		for _, h := range r.Headers {
			if strings.EqualFold(h.Name, "telltale-delivery") {
				f.seen[bin][h.Value] = r.Verdict
			}
		}
		return nil
	})
	return f.seen[bin][delivery], err
}

// Widths of the columns of outcomes, which are printed one by one as they come.
const outcomeRow = "  %-14s %-30s  %-25s %8s  %s"

func (p *program) outcomeHead() {
	p.say(outcomeRow, "EVENT", "DELIVERY", "RESULT", "TIME", "SIGNATURE")
}

func (p *program) outcomeLine(o outcome) {
	line := printable(fmt.Sprintf(outcomeRow, o.Event, o.DeliveryID, o.Result, millis(o.DurationMS), orDash(o.Signature)))
	if p.colour() {
		tone := bad
		if o.success() {
			tone = good
		}
		line = strings.Replace(line, o.Result, string(tone)+o.Result+reset, 1)
	}
	fmt.Fprintln(p.stdout, line)
}
