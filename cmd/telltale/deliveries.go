package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/wire"
)

func (p *program) deliveries() *cobra.Command {
	return group("deliveries", "delivery", "the log: what was sent where, and what came of it",
		`  telltale deliveries list --state failed --since 2h
  telltale deliveries get dlv_01JD0000000000000000000000
  telltale deliveries retry dlv_01JD0000000000000000000000`,
		p.deliveriesList(), p.deliveriesGet(), p.deliveriesRetry(), p.deliveriesCancel())
}

func (p *program) deliveriesList() *cobra.Command {
	var s span
	var webhook, state, event, eventType, match, replay, answer string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list deliveries, newest first",
		Example: `  telltale deliveries list
  telltale deliveries list --state failed --since 2h --webhook whk_01JD0000000000000000000000
  telltale deliveries list --match steve@example.com --json | jq -r .id`,
		Long: `States: waiting (owed, due now or later), sending (attempted now), succeeded (the
receiver answered 2xx), failed (the retry schedule is used up, or the receiver
answered 410), held (the webhook is disabled), cancelled (it was deleted).`,
		Args: args(),
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&webhook, "webhook", "", "to this webhook `id` only")
	cmd.Flags().StringVar(&state, "state", "", "in this `state` only")
	cmd.Flags().StringVar(&eventType, "event", "", "of events of this `type` only")
	cmd.Flags().StringVar(&match, "match", "", "of events with this `text` as user id, email or message id")
	cmd.Flags().StringVar(&replay, "replay", "", "made by this replay `id` only")
	cmd.Flags().StringVar(&answer, "answer", "", "whose last attempt got this `class` of answer only: 2xx, 3xx, 4xx, 5xx or none")
	cmd.Flags().StringVar(&event, "event-id", "", "of the event with this `id` only")
	s.flags(cmd)
	return listing[wire.Delivery]{
		query: func([]string) (url.Values, error) {
			for _, f := range []struct {
				value string
				check func(string) error
			}{{webhook, checkWebhook}, {event, checkEvent}, {eventType, checkEventType}, {replay, checkReplay}} {
				if f.value == "" {
					continue
				}
				if err := f.check(f.value); err != nil {
					return nil, err
				}
			}
			if state != "" && !slices.Contains(telltale.States(), telltale.State(state)) {
				return nil, usage("flag --state: %q; expected waiting, sending, succeeded, failed, held or cancelled", telltale.CutValue(state))
			}
			if answer != "" && !slices.Contains([]string{"2xx", "3xx", "4xx", "5xx", "none"}, answer) {
				return nil, usage("flag --answer: %q; expected 2xx, 3xx, 4xx, 5xx or none", telltale.CutValue(answer))
			}
			q := url.Values{}
			set(q, "replay_id", replay)
			set(q, "answer", answer)
			set(q, "webhook", webhook)
			set(q, "state", state)
			set(q, "event", eventType)
			set(q, "event_id", event)
			set(q, "q", match)
			return q, s.query(q)
		},
		head: []string{"ID", "EVENT", "WEBHOOK", "STATE", "ATTEMPTS", "LAST", "CREATED", "DUE"},
		row: func(w wire.Delivery) []any {
			return []any{w.ID, w.EventType, w.WebhookID, stateCell(w.State), w.AttemptCount, orDash(lastOf(w)), stamp(w.CreatedAt.Time), stamp(w.DueAt.Time)}
		},
		read: func(q asked, each func(wire.Delivery) error) (string, error) {
			return q.Deliveries(q.ctx, q.query, q.page, each)
		},
	}.verb(p, cmd)
}

func stateCell(state string) cell {
	switch telltale.State(state) {
	case telltale.StateSucceeded:
		return cell{state, good}
	case telltale.StateFailed:
		return cell{state, bad}
	}
	return cell{state, plain}
}

// lastOf says in a word or two why the last attempt failed.
func lastOf(w wire.Delivery) string {
	if w.LastStatus != 0 {
		return fmt.Sprint(w.LastStatus)
	}
	return w.LastError
}

func (p *program) deliveriesGet() *cobra.Command {
	return p.speaks(&cobra.Command{
		Use:   "get DELIVERY",
		Short: "show a delivery with every attempt",
		Example: `  telltale deliveries get dlv_01JD0000000000000000000000
  telltale deliveries get dlv_01JD0000000000000000000000 --json | jq '.attempts[-1].response'
  telltale delivery get dlv_01JD0000000000000000000000`,
		Args: args("DELIVERY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkDelivery(args[0]); err != nil {
				return err
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			w, err := api.Delivery(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return p.showDelivery(w)
		},
	})
}

func (p *program) deliveriesRetry() *cobra.Command {
	return p.mutates(&cobra.Command{
		Use:   "retry DELIVERY...",
		Short: "attempt deliveries again, now",
		Example: `  telltale deliveries retry dlv_01JD0000000000000000000000
  telltale deliveries list --state failed --json | jq -r .id | xargs telltale deliveries retry
  telltale deliveries retry dlv_01JD0000000000000000000000 --dry-run`,
		Long: `One attempt each, beside the retry schedule, for deliveries that wait or have
failed. The webhook-id stays the same, so that a receiver which de-duplicates skips
what it had already. The command does not wait for the attempts.`,
		Args: args("DELIVERY..."),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, id := range args {
				if err := checkDelivery(id); err != nil {
					return err
				}
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			return p.each(args, "retried", func(id string) error {
				_, err := api.RetryDelivery(cmd.Context(), id)
				return err
			})
		},
	})
}

func (p *program) deliveriesCancel() *cobra.Command {
	return p.mutates(&cobra.Command{
		Use:   "cancel DELIVERY...",
		Short: "stop retrying deliveries",
		Example: `  telltale deliveries cancel dlv_01JD0000000000000000000000
  telltale deliveries list --state waiting --json | jq -r .id | xargs telltale deliveries cancel
  telltale deliveries cancel dlv_01JD0000000000000000000000 --dry-run`,
		Long: `For deliveries that wait or are held: nothing more is attempted. A replay can send
their events later.`,
		Args: args("DELIVERY..."),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, id := range args {
				if err := checkDelivery(id); err != nil {
					return err
				}
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			return p.each(args, "cancelled", func(id string) error {
				_, err := api.CancelDelivery(cmd.Context(), id)
				return err
			})
		},
	})
}

func (p *program) showDelivery(w wire.Delivery) error {
	if p.json {
		return p.writeJSON(w)
	}
	fields := []field{
		{"id", w.ID}, {"event", w.EventType + "  " + w.EventID}, {"webhook", w.WebhookID}, {"state", w.State},
		{"created", stamp(w.CreatedAt.Time)},
	}
	if !w.DueAt.IsZero() {
		fields = append(fields, field{"due", stamp(w.DueAt.Time)})
	}
	if !w.CompletedAt.IsZero() {
		fields = append(fields, field{"completed", stamp(w.CompletedAt.Time)})
	}
	if w.Test {
		fields = append(fields, field{"test", "yes"})
	}
	p.printFields(fields...)
	for _, a := range w.Attempts {
		p.say("")
		p.say("attempt %d (%s)  %s  %s  %s", a.Number, a.Trigger, stamp(a.StartedAt.Time), outcomeOf(a), millis(a.DurationMS))
		p.say("  %s", strings.TrimSpace(a.Message+" "+a.Fix))
		if a.Request.Method == "" {
			continue // nothing is known of what was sent: the node ended
		}
		p.say("  timing: dns %s, connect %s, tls %s, first byte %s", millis(a.Timing.DNS), millis(a.Timing.Connect), millis(a.Timing.TLS), millis(a.Timing.FirstByte))
		if a.RemoteAddr != "" {
			p.say("  dialled: %s", a.RemoteAddr)
		}
		if a.RetryAfter > 0 {
			p.say("  asked to wait: %s", a.RetryAfter)
		}
		p.say("  > %s %s", a.Request.Method, a.Request.URL)
		p.sayHeaders("  > ", a.Request.Headers)
		if r := a.Response; r != nil {
			p.say("  < %d %s", r.Status, http.StatusText(r.Status))
			p.sayHeaders("  < ", r.Headers)
			p.sayBody("  < ", r.Body, r.BodyBase64, r.Truncated)
		}
	}
	if n := len(w.Attempts); n > 0 {
		p.say("")
		p.say("%s", w.Attempts[n-1].Request.Body)
	}
	return nil
}

func (p *program) sayHeaders(indent string, headers wire.Headers) {
	for _, h := range headers {
		p.say("%s%s: %s", indent, h.Name, h.Value)
	}
}

func (p *program) sayBody(indent, text string, binary []byte, truncated bool) {
	if len(binary) > 0 {
		p.say("%s(%d bytes that are no text)", indent, len(binary))
	}
	for line := range strings.Lines(text) {
		p.say("%s%s", indent, strings.TrimRight(line, "\r\n"))
	}
	if truncated {
		p.say("%s(and more)", indent)
	}
}

// outcomeOf says in a few words what came of an attempt.
func outcomeOf(a wire.Attempt) string {
	if a.Status != 0 {
		return strings.TrimSpace(fmt.Sprintf("%d %s", a.Status, http.StatusText(a.Status)))
	}
	return strings.ReplaceAll(a.Error, "_", " ")
}
