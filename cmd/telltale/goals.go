package main

import (
	"time"

	"github.com/spf13/cobra"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/wire"
)

func (p *program) goals() *cobra.Command {
	return group("goals", "goal", "goals: the event that a campaign is to bring about",
		`  telltale goals list
  telltale goals set 987 "purchased item"
  telltale goals try 987 "purchased item" --since 168h`,
		p.goalsList(), p.goalsSet(), p.goalsRemove(), p.goalsTry(), p.goalsWindows())
}

func (p *program) goalsList() *cobra.Command {
	return p.speaks(&cobra.Command{
		Use:   "list",
		Short: "list the campaigns' goals, and for how long messages convert",
		Example: `  telltale goals list
  telltale goals list --json
  telltale goals list --json | jq -r '.goals[].campaign_id'`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := p.client()
			if err != nil {
				return err
			}
			goals, err := api.Goals(cmd.Context())
			if err != nil {
				return err
			}
			return p.showGoals(goals)
		},
	})
}

func (p *program) showGoals(goals wire.Goals) error {
	if p.json {
		return p.writeJSON(goals)
	}
	p.printFields(field{"window", goals.Window.String()}, field{"view window", goals.ViewWindow.String()})
	p.say("")
	t := newTable("CAMPAIGN", "GOAL", "SINCE")
	for _, g := range goals.Goals {
		t.row(g.CampaignID, g.EventName, stamp(g.UpdatedAt.Time))
	}
	p.printTable(t)
	return nil
}

func (p *program) goalsSet() *cobra.Command {
	return p.mutates(&cobra.Command{
		Use:   "set CAMPAIGN EVENT",
		Short: "set the goal of a campaign",
		Example: `  telltale goals set 987 "purchased item"
  telltale goals set spring-sale purchased_item
  telltale goals set 987 "purchased item" --dry-run`,
		Long: `CAMPAIGN is the campaign's id, EVENT the name of a tracked event. A goal that came with
a message goes before it.`,
		Args: args("CAMPAIGN", "EVENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := valid(telltale.Goal{CampaignID: args[0], EventName: args[1]}.Validate()); err != nil {
				return err
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			g, err := api.SetGoal(cmd.Context(), args[0], wire.GoalSet{EventName: args[1]})
			if err != nil {
				return err
			}
			if p.json {
				return p.writeJSON(g)
			}
			p.say("The goal of campaign %s is %q.", g.CampaignID, g.EventName)
			return nil
		},
	})
}

func (p *program) goalsRemove() *cobra.Command {
	return p.mutates(&cobra.Command{
		Use:   "remove CAMPAIGN...",
		Short: "remove the goal of a campaign",
		Example: `  telltale goals remove 987
  telltale goals remove 987 988
  telltale goals remove 987 --dry-run`,
		Args: args("CAMPAIGN..."),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := p.client()
			if err != nil {
				return err
			}
			return p.each(args, "removed", func(id string) error { return api.RemoveGoal(cmd.Context(), id) })
		},
	})
}

func (p *program) goalsTry() *cobra.Command {
	var since string
	cmd := p.speaks(&cobra.Command{
		Use:   "try CAMPAIGN EVENT",
		Short: "see which stored events would have converted messages",
		Example: `  telltale goals try 987 "purchased item"
  telltale goals try 987 "purchased item" --since 168h
  telltale goals try 987 "purchased item" --json | jq .credited`,
		Long: "Counts over what is stored, and changes nothing.",
		Args: args("CAMPAIGN", "EVENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := wire.GoalTry{EventName: args[1]}
			if since != "" {
				at, err := parseSince("since", since, time.Now())
				if err != nil {
					return err
				}
				in.Since = &wire.Time{Time: at}
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			trial, err := api.TryGoal(cmd.Context(), args[0], in)
			if err != nil {
				return err
			}
			if p.json {
				return p.writeJSON(trial)
			}
			fields := []field{{"events", grouped(trial.Events)}}
			for _, share := range trial.Credited {
				fields = append(fields, field{share.Credit, grouped(share.Count)})
			}
			p.printFields(fields...)
			if !trial.Complete {
				p.hint("There are more: counting took too long and was given up. A later --since counts less.")
			}
			return nil
		},
	})
	cmd.Flags().StringVar(&since, "since", "", "only events since this `time`: 10m or 2h ago, Unix seconds, or RFC 3339; default: 30 days ago")
	return cmd
}

func (p *program) goalsWindows() *cobra.Command {
	var window, viewWindow time.Duration
	cmd := p.mutates(&cobra.Command{
		Use:   "windows",
		Short: "say for how long after it was sent a message converts",
		Example: `  telltale goals windows --window 720h
  telltale goals windows --view-window 24h
  telltale goals windows --window 168h --view-window 24h --dry-run`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var in wire.GoalsPatch
			for _, f := range []struct {
				name  string
				value time.Duration
				into  *wire.Change[wire.Duration]
			}{{"window", window, &in.Window}, {"view-window", viewWindow, &in.ViewWindow}} {
				if !cmd.Flags().Changed(f.name) {
					continue
				}
				if telltale.ValidateWindows(f.value, f.value) != nil {
					return usage("flag --%s: %q; expected 1m to %s", f.name, f.value, wire.Duration(telltale.MaxConversionWindow))
				}
				*f.into = wire.To(wire.Duration(f.value))
			}
			if in == (wire.GoalsPatch{}) {
				return usage("%s: there is nothing to change; give --window or --view-window", nameOf(cmd))
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			goals, err := api.EditGoals(cmd.Context(), in)
			if err != nil {
				return err
			}
			return p.showGoals(goals)
		},
	})
	cmd.Flags().DurationVar(&window, "window", telltale.DefaultConversionWindow, "of messages that were clicked, or only received")
	cmd.Flags().DurationVar(&viewWindow, "view-window", telltale.DefaultConversionWindow, "of messages that were opened only")
	return cmd
}
