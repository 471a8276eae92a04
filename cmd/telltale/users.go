package main

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"telltale.example/telltale/internal/wire"
)

func (p *program) users() *cobra.Command {
	return group("users", "user", "users: profiles, what happened to them and what they did; forget a person",
		`  telltale users list --match steve@
  telltale users get steve@example.com
  telltale users erase steve@example.com`,
		p.usersList(), p.usersGet(), p.usersEvents(), p.usersTracked(), p.usersErase(), p.usersErasures())
}

func (p *program) usersList() *cobra.Command {
	var match, tag string
	var unsubscribed bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list users, newest first",
		Example: `  telltale users list
  telltale users list --match steve@ --tag vip
  telltale users list --unsubscribed --limit 0 --json | jq -r .email`,
		Args: args(),
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&match, "match", "", "whose id or email address begins with this `text` only")
	cmd.Flags().StringVar(&tag, "tag", "", "with this `tag` only")
	cmd.Flags().BoolVar(&unsubscribed, "unsubscribed", false, "who opted out only; =false: who did not")
	return listing[wire.User]{
		query: func([]string) (url.Values, error) {
			q := url.Values{}
			set(q, "q", match)
			set(q, "tag", tag)
			if cmd.Flags().Changed("unsubscribed") {
				q.Set("subscribed", strconv.FormatBool(!unsubscribed))
			}
			return q, nil
		},
		head: []string{"USER", "EMAIL", "SUBSCRIBED", "TAGS", "UPDATED", "ID"},
		row: func(w wire.User) []any {
			return []any{userID(w), orDash(w.Email), yesNo(w.Subscribed), orDash(strings.Join(w.Tags, " ")), stamp(w.UpdatedAt.Time), w.ID}
		},
		read: func(q asked, each func(wire.User) error) (string, error) {
			return q.Users(q.ctx, q.query, q.page, each)
		},
	}.verb(p, cmd)
}

// userID is the user's own id as text.
func userID(w wire.User) string { return strings.Trim(string(w.UserID), `"`) }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (p *program) usersGet() *cobra.Command {
	return p.speaks(&cobra.Command{
		Use:   "get USER",
		Short: "show a user's profile",
		Example: `  telltale users get 123
  telltale users get steve@example.com
  telltale users get steve@example.com --json | jq .properties`,
		Long: "USER is the user's own id or email address, or the profile's id.",
		Args: args("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := p.client()
			if err != nil {
				return err
			}
			w, err := api.User(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if p.json {
				return p.writeJSON(w)
			}
			p.printFields(
				field{"id", w.ID}, field{"user", userID(w)}, field{"email", w.Email}, field{"subscribed", yesNo(w.Subscribed)},
				field{"opted out", stamp(w.UnsubscribedAt.Time)}, field{"suppressed", suppressedText(w.Suppression)}, field{"tags", strings.Join(w.Tags, " ")}, field{"former ids", strings.Join(w.FormerIDs, " ")},
				field{"channels", strconv.Itoa(len(w.Channels))}, field{"created", stamp(w.CreatedAt.Time)}, field{"updated", stamp(w.UpdatedAt.Time)},
			)
			p.say("")
			p.say("%s", w.Properties)
			return nil
		},
	})
}

// suppressedText says in a few words why no messages should be sent to a user.
func suppressedText(s *wire.Suppression) string {
	if s == nil {
		return ""
	}
	return s.Reason + " " + stamp(s.Since.Time)
}

func (p *program) usersEvents() *cobra.Command {
	return listing[wire.Event]{
		head: []string{"ID", "EVENT", "CAMPAIGN", "OCCURRED", "SOURCE"},
		row: func(w wire.Event) []any {
			return []any{w.ID, w.Type, orDash(w.CampaignID), stamp(w.OccurredAt.Time), w.Source}
		},
		read: func(q asked, each func(wire.Event) error) (string, error) {
			return q.UserEvents(q.ctx, q.args[0], q.page, each)
		},
	}.verb(p, &cobra.Command{
		Use:   "events USER",
		Short: "list what happened to a user, newest first",
		Example: `  telltale users events 123
  telltale users events steve@example.com --limit 10
  telltale users events steve@example.com --json | jq .payload`,
		Long: "Events of everything that the user is known under: the id, former ids, and the email address.",
		Args: args("USER"),
	})
}

func (p *program) usersTracked() *cobra.Command {
	return listing[wire.TrackedEvent]{
		head: []string{"EVENT", "OCCURRED", "DATA"},
		row: func(w wire.TrackedEvent) []any {
			return []any{w.Name, stamp(w.OccurredAt.Time), string(w.Data)}
		},
		read: func(q asked, each func(wire.TrackedEvent) error) (string, error) {
			return q.TrackedEvents(q.ctx, q.args[0], q.page, each)
		},
	}.verb(p, &cobra.Command{
		Use:   "tracked USER",
		Short: "list what a user did, newest first",
		Example: `  telltale users tracked 123
  telltale users tracked steve@example.com --limit 10
  telltale users tracked steve@example.com --json | jq .data`,
		Args: args("USER"),
	})
}

func (p *program) usersErase() *cobra.Command {
	return p.needsYes(p.mutates(&cobra.Command{
		Use:   "erase USER",
		Short: "forget a person, with all that happened to them",
		Example: `  telltale users erase steve@example.com
  telltale users erase 123 --yes
  telltale users erase steve@example.com --dry-run`,
		Long: `The profile goes at once; then, in the background, the events, with their payloads,
deliveries and attempts, and what the user did. The audit log keeps that it was done.
USER is the user's own id or email address.`,
		Args: args("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := p.client()
			if err != nil {
				return err
			}
			if err := p.confirm("Forget " + args[0] + " for good?"); err != nil {
				return err
			}
			w, err := api.Erase(cmd.Context(), wire.ErasureCreate{Email: args[0]})
			if err != nil {
				return err
			}
			return p.showErasure(w)
		},
	}))
}

func (p *program) showErasure(w wire.Erasure) error {
	if p.json {
		return p.writeJSON(w)
	}
	p.printFields(
		field{"id", w.ID}, field{"complete", yesNo(w.Complete)}, field{"events", grouped(w.Events)},
		field{"by", w.CreatedBy}, field{"created", stamp(w.CreatedAt.Time)}, field{"completed", stamp(w.CompletedAt.Time)},
	)
	return nil
}

func (p *program) usersErasures() *cobra.Command {
	return listing[wire.Erasure]{
		head: []string{"ID", "COMPLETE", "EVENTS", "BY", "CREATED", "COMPLETED"},
		row: func(w wire.Erasure) []any {
			return []any{w.ID, yesNo(w.Complete), grouped(w.Events), w.CreatedBy, stamp(w.CreatedAt.Time), orDash(stamp(w.CompletedAt.Time))}
		},
		read: func(q asked, each func(wire.Erasure) error) (string, error) {
			return q.Erasures(q.ctx, q.page, each)
		},
	}.verb(p, &cobra.Command{
		Use:   "erasures",
		Short: "list who was forgotten, by the erasure's id, newest first",
		Example: `  telltale users erasures
  telltale users erasures --limit 0
  telltale users erasures --json | jq 'select(.complete | not)'`,
		Args: args(),
	})
}
