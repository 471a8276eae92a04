package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/client"
	"telltale.example/telltale/internal/wire"
)

// whiches are the flags that say which events a replay sends.
var whiches = []struct {
	which telltale.Which
	usage string
}{
	{telltale.WhichFailed, "events whose last delivery failed"},
	{telltale.WhichHeld, "events whose delivery is held, or was cancelled"},
	{telltale.WhichUnsent, "events that have no delivery: the webhook was off, is newer, or did not want them"},
	{telltale.WhichUndelivered, "events that failed, are held, or were never sent"},
	{telltale.WhichAll, "events whatever became of them"},
}

func (p *program) replay() *cobra.Command {
	var s span
	var in wire.ReplayCreate
	var rate float64
	var wait bool
	chosen := make([]bool, len(whiches))
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "send stored events again, or to a webhook that did not get them",
		Example: `  telltale replay --failed --since 2h --webhook whk_01JD0000000000000000000000 --dry-run
  telltale replay --failed --since 2h --webhook whk_01JD0000000000000000000000 --wait
  telltale replay --unsent --to whk_01JD0000000000000000000000 --event bounced --rate 20`,
		Long: `A replay is a job of the server: it goes on when this command has ended, and when
the server was restarted. Each event has the same webhook-id as the first time, so
that a receiver which de-duplicates skips what it had already.

--dry-run counts what would be sent, and sends nothing. With --wait the exit status
is 7 if a delivery failed. Ctrl-C ends the waiting and not the replay.`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for i, w := range whiches {
				if chosen[i] && in.Which != "" {
					return usage("replay: --%s and --%s: choose one", in.Which, w.which)
				} else if chosen[i] {
					in.Which = string(w.which)
				}
			}
			if in.Which == "" {
				return usage("replay needs --failed, --held, --unsent, --undelivered or --all; see telltale replay --help")
			}
			for _, id := range []string{in.Webhook, in.To} {
				if id != "" {
					if err := checkWebhook(id); err != nil {
						return err
					}
				}
			}
			for _, name := range in.Events {
				if err := checkEventType(name); err != nil {
					return err
				}
			}
			if cmd.Flags().Changed("rate") {
				if !(rate >= telltale.MinReplayRate && rate <= telltale.MaxRateLimit) {
					return usage("flag --rate: \"%v\"; expected %v to %d deliveries a second", rate, telltale.MinReplayRate, telltale.MaxRateLimit)
				}
				in.Rate = wire.To(rate)
			}
			var err error
			if in.Since, err = s.time("since", s.since); err != nil {
				return err
			}
			if in.Until, err = s.time("until", s.until); err != nil {
				return err
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			return p.runReplay(cmd.Context(), api, in, wait)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	for i, w := range whiches {
		flags.BoolVar(&chosen[i], string(w.which), false, w.usage)
	}
	s.flags(cmd)
	flags.StringSliceVar(&in.Events, "event", nil, "events of this `type` only; again, or with commas, for more")
	flags.StringVar(&in.Webhook, "webhook", "", "whose deliveries are meant, by the webhook's `id`; default: those to every webhook")
	flags.StringVar(&in.To, "to", "", "send to the webhook with this `id`; default: to the one that each event was owed to")
	flags.Float64Var(&rate, "rate", 0, "deliveries a `second`; default: half of the webhook's rate limit, or 10")
	flags.BoolVar(&wait, "wait", false, "wait until all is delivered or failed, and show how far it is")
	return p.mutates(cmd)
}

// time reads one of the two times; nil if it is not given.
func (s *span) time(flag, text string) (*wire.Time, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	t, err := parseSince(flag, text, time.Now())
	return &wire.Time{Time: t}, err
}

func (p *program) runReplay(ctx context.Context, api *client.Client, in wire.ReplayCreate, wait bool) error {
	plan, err := api.PlanReplay(ctx, in.ReplayPlan)
	if err != nil {
		return err
	}
	in.Planned = plan.Count
	if p.dryRun {
		if p.json {
			return p.writeJSON(plan)
		}
		p.say("Would replay %s.", planText(plan, in.Rate.Or(plan.Rate, plan.Rate)))
		if plan.Count > 0 {
			p.hint("Run again without --dry-run to start.")
		}
		return nil
	}
	if plan.Count == 0 && plan.Complete {
		if p.json {
			return p.writeJSON(plan)
		}
		p.say("There is nothing to replay.")
		return nil
	}
	p.hint("Replaying %s.", planText(plan, in.Rate.Or(plan.Rate, plan.Rate)))
	r, err := api.CreateReplay(ctx, in)
	if err != nil {
		return err
	}
	if wait {
		p.hint("Ctrl-C stops the waiting; telltale replays cancel %s stops the replay.", r.ID)
		if r, err = p.awaitReplay(ctx, api, r); err != nil {
			return err
		}
	}
	if err := p.showReplay(r); err != nil {
		return err
	}
	if wait && r.Failed > 0 {
		return fail(exitRefused, "%s of %s deliveries failed: telltale deliveries list --replay %s --state failed", grouped(r.Failed), grouped(r.Made), r.ID)
	}
	return nil
}

// planText is a plan in words: "4,215 deliveries to 1 webhook (bounced 3,902,
// complained 313), about 7 min at 10/s".
func planText(plan wire.ReplayPlanned, rate float64) string {
	more := ""
	if !plan.Complete {
		more = "more than "
	}
	text := more + counted(plan.Count, "delivery", "deliveries") + " to " + counted(len(plan.ByWebhook), "webhook", "webhooks")
	if plan.Count == 0 {
		return text
	}
	var types []string
	for name := range plan.ByType {
		types = append(types, name)
	}
	slices.SortFunc(types, func(a, b string) int {
		if d := plan.ByType[b] - plan.ByType[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	for i, name := range types {
		types[i] = name + " " + grouped(plan.ByType[name])
	}
	takes := time.Duration(float64(plan.Count) / rate * float64(time.Second)).Round(time.Second)
	text += " (" + strings.Join(types, ", ") + "), about " + telltale.FormatDuration(max(takes, time.Second)) + " at " + strconv.FormatFloat(rate, 'f', -1, 64) + "/s"
	if plan.OlderThan > 0 {
		text += "; " + grouped(plan.OlderThan) + " of them more than 7 days old"
	}
	return text
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

// grouped writes a number with commas: 4,215.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// replayPace is how often a replay that is waited for is looked at.
const replayPace = 250 * time.Millisecond

// awaitReplay waits until a replay has ended and what it made is through.
func (p *program) awaitReplay(ctx context.Context, api *client.Client, r wire.Replay) (wire.Replay, error) {
	var bar *progressbar.ProgressBar
	if isTerminal(p.stderr) && !p.quiet && p.env("TERM") != "dumb" {
		bar = progressbar.NewOptions(max(r.Planned, 1), progressbar.OptionSetWriter(p.stderr), progressbar.OptionSetDescription("replaying"),
			progressbar.OptionShowCount(), progressbar.OptionSetWidth(30), progressbar.OptionClearOnFinish(), progressbar.OptionEnableColorCodes(false))
		defer func() { _ = bar.Finish() }()
	}
	tick := time.NewTicker(replayPace)
	defer tick.Stop()
	for {
		fresh, err := api.Replay(ctx, r.ID)
		switch {
		case errors.Is(err, client.ErrUnreachable) && ctx.Err() == nil: // it may be restarting, and the replay goes on
		case err != nil:
			return r, err
		default:
			r = fresh
		}
		if bar != nil {
			if r.Made > bar.GetMax() {
				bar.ChangeMax(r.Made)
			}
			_ = bar.Set(r.Succeeded + r.Failed) // where it is shown is the reader's own terminal
		}
		if ended(r) && r.Succeeded+r.Failed >= r.Made {
			return r, nil
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-tick.C:
		}
	}
}

func ended(r wire.Replay) bool {
	return r.State == string(telltale.ReplayFinished) || r.State == string(telltale.ReplayCancelled)
}

func (p *program) showReplay(r wire.Replay) error {
	if p.json {
		return p.writeJSON(r)
	}
	fields := []field{
		{"id", r.ID}, {"state", r.State}, {"which", r.Selection.Which}, {"webhook", r.Selection.Webhook}, {"to", r.To},
		{"events", strings.Join(r.Selection.Events, " ")}, {"rate", perSecond(r.Rate)}, {"planned", grouped(r.Planned)}, {"made", grouped(r.Made)},
		{"succeeded", grouped(r.Succeeded)}, {"failed", grouped(r.Failed)}, {"by", r.CreatedBy}, {"created", stamp(r.CreatedAt.Time)}, {"completed", stamp(r.CompletedAt.Time)},
	}
	p.printFields(fields...)
	return nil
}

func checkReplay(id string) error { return checkID("replay", "rpl_", id) }

func (p *program) replays() *cobra.Command {
	return group("replays", "", "the replays: how far they are; pause, resume, cancel",
		`  telltale replays list
  telltale replays get rpl_01JD0000000000000000000000
  telltale replays pause rpl_01JD0000000000000000000000`,
		p.replaysList(), p.replaysGet(),
		p.replaysSwitch("pause", "let a replay make no more deliveries for now"),
		p.replaysSwitch("resume", "let a paused replay go on"),
		p.replaysSwitch("cancel", "end a replay; what it made is still delivered"))
}

func (p *program) replaysList() *cobra.Command {
	return listing[wire.Replay]{
		head: []string{"ID", "STATE", "WHICH", "PLANNED", "MADE", "SUCCEEDED", "FAILED", "BY", "CREATED"},
		row: func(r wire.Replay) []any {
			return []any{r.ID, r.State, orDash(r.Selection.Which), grouped(r.Planned), grouped(r.Made), grouped(r.Succeeded), grouped(r.Failed), r.CreatedBy, stamp(r.CreatedAt.Time)}
		},
		read: func(q asked, each func(wire.Replay) error) (string, error) { return q.Replays(q.ctx, q.page, each) },
	}.verb(p, &cobra.Command{
		Use:   "list",
		Short: "list replays, newest first",
		Example: `  telltale replays list
  telltale replays list --limit 0
  telltale replays list --json | jq -r 'select(.state=="running").id'`,
		Args: args(),
	})
}

func (p *program) replaysGet() *cobra.Command {
	return p.speaks(&cobra.Command{
		Use:   "get REPLAY",
		Short: "show a replay and how far it is",
		Example: `  telltale replays get rpl_01JD0000000000000000000000
  telltale replays get rpl_01JD0000000000000000000000 --json | jq .made
  telltale deliveries list --replay rpl_01JD0000000000000000000000`,
		Args: args("REPLAY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkReplay(args[0]); err != nil {
				return err
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			r, err := api.Replay(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return p.showReplay(r)
		},
	})
}

func (p *program) replaysSwitch(verb, short string) *cobra.Command {
	return p.mutates(&cobra.Command{
		Use:   verb + " REPLAY",
		Short: short,
		Example: "  telltale replays " + verb + " rpl_01JD0000000000000000000000\n" +
			"  telltale replays " + verb + " rpl_01JD0000000000000000000000 --json\n" +
			"  telltale replays " + verb + " rpl_01JD0000000000000000000000 --dry-run",
		Args: args("REPLAY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkReplay(args[0]); err != nil {
				return err
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			r, err := api.SwitchReplay(cmd.Context(), args[0], verb)
			if err != nil {
				return err
			}
			return p.showReplay(r)
		},
	})
}
