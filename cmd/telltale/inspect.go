package main

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"telltale.example/telltale/internal/wire"
)

func (p *program) inspect() *cobra.Command {
	return group("inspect", "", "bins that catch requests, to see what a webhook sends",
		`  telltale inspect create
  telltale webhooks create "$(telltale inspect create --json | jq -r .url)"
  telltale inspect requests kq3jv5m2x7a4d6cbnw2ytrhe`,
		p.inspectCreate(), p.inspectAnswer(), p.inspectList(), p.inspectRequests(), p.inspectDelete())
}

func (p *program) inspectCreate() *cobra.Command {
	var a binAnswer
	cmd := &cobra.Command{
		Use:   "create",
		Short: "make a bin",
		Example: `  telltale inspect create
  telltale inspect create --status 503 --retry-after 60
  telltale webhooks create "$(telltale inspect create --json | jq -r .url)"`,
		Long: `Whatever is sent to the bin's URL, or below it, is caught: the newest 200 requests,
for a day. Of a webhook that points there, the bin judges the signature.`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := valid(a.Read().Validate()); err != nil {
				return err
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			w, err := api.CreateBin(cmd.Context())
			if err == nil && a.BinAnswer != w.Answer {
				w, err = api.AnswerBin(cmd.Context(), w.ID, a.BinAnswer)
			}
			if err != nil {
				return err
			}
			if p.json {
				return p.writeJSON(w)
			}
			p.printFields(field{"id", w.ID}, field{"url", w.URL}, field{"until", stamp(w.ExpiresAt.Time)})
			p.hint("Point a webhook to it: telltale webhooks create %s", w.URL)
			p.hint("See what came:         telltale inspect requests %s", w.ID)
			return nil
		},
	}
	a.flags(cmd)
	return p.mutates(cmd)
}

// binAnswer is the flags that say what a bin answers.
type binAnswer struct{ wire.BinAnswer }

func (a *binAnswer) flags(cmd *cobra.Command) {
	cmd.Flags().SortFlags = false
	cmd.Flags().IntVar(&a.Status, "status", 200, "the `status` to answer, 200 to 599")
	cmd.Flags().DurationVar((*time.Duration)(&a.Delay), "delay", 0, "answer so much later, at most 35s")
	cmd.Flags().StringVar(&a.Body, "body", "", "the `text` to answer, at most 4 KiB")
	cmd.Flags().StringVar(&a.RetryAfter, "retry-after", "", "the header Retry-After, as it is")
	cmd.Flags().BoolVar(&a.Reset, "reset", false, "close the connection without an answer")
}

func (p *program) inspectAnswer() *cobra.Command {
	var a binAnswer
	cmd := &cobra.Command{
		Use:   "answer BIN",
		Short: "say what a bin answers, to see what a webhook does when its receiver fails",
		Example: `  telltale inspect answer kq3jv5m2x7a4d6cbnw2ytrhe --status 503 --retry-after 60
  telltale inspect answer kq3jv5m2x7a4d6cbnw2ytrhe --delay 10s
  telltale inspect answer kq3jv5m2x7a4d6cbnw2ytrhe`,
		Long: `What is not given is as for a new bin: it answers 200 at once. It catches the request
whatever it answers. With --status 410 it disables the webhooks that point to it.`,
		Args: args("BIN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkBin(args[0]); err != nil {
				return err
			}
			if err := valid(a.Read().Validate()); err != nil {
				return err
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			w, err := api.AnswerBin(cmd.Context(), args[0], a.BinAnswer)
			if err != nil {
				return err
			}
			if p.json {
				return p.writeJSON(w)
			}
			p.printFields(field{"id", w.ID}, field{"url", w.URL}, field{"answers", answerText(w.Answer)})
			return nil
		},
	}
	a.flags(cmd)
	return p.mutates(cmd)
}

// answerText says in a few words what a bin answers.
func answerText(a wire.BinAnswer) string {
	text := fmt.Sprint(a.Status)
	if a.Reset {
		text = "nothing: it closes the connection"
	}
	if a.Delay > 0 {
		text += " after " + a.Delay.String()
	}
	if a.RetryAfter != "" && !a.Reset {
		text += ", Retry-After: " + a.RetryAfter
	}
	return text
}

func (p *program) inspectList() *cobra.Command {
	return listing[wire.Bin]{
		head:  []string{"ID", "URL", "ANSWERS", "UNTIL"},
		row:   func(w wire.Bin) []any { return []any{w.ID, w.URL, answerText(w.Answer), stamp(w.ExpiresAt.Time)} },
		whole: true,
		read:  func(q asked, each func(wire.Bin) error) (string, error) { return "", q.Bins(q.ctx, each) },
	}.verb(p, &cobra.Command{
		Use:   "list",
		Short: "list the project's bins",
		Example: `  telltale inspect list
  telltale inspect list --json | jq -r .url
  telltale inspect list --project newsletter`,
		Args: args(),
	})
}

func (p *program) inspectRequests() *cobra.Command {
	return listing[wire.CaughtRequest]{
		query: func(args []string) (url.Values, error) { return nil, checkBin(args[0]) },
		show: func(w wire.CaughtRequest) {
			p.say("%s  %s %s  from %s  signature: %s", stamp(w.ReceivedAt.Time), w.Method, w.Path, w.RemoteAddr, w.Verdict)
			p.sayHeaders("  ", w.Headers)
			p.sayBody("  ", w.Body, w.BodyBase64, w.Truncated)
			p.say("")
		},
		read: func(q asked, each func(wire.CaughtRequest) error) (string, error) {
			return q.CaughtRequests(q.ctx, q.args[0], q.page, each)
		},
	}.verb(p, &cobra.Command{
		Use:   "requests BIN",
		Short: "show what a bin caught, newest first",
		Example: `  telltale inspect requests kq3jv5m2x7a4d6cbnw2ytrhe
  telltale inspect requests kq3jv5m2x7a4d6cbnw2ytrhe --limit 1
  telltale inspect requests kq3jv5m2x7a4d6cbnw2ytrhe --json | jq -r .verdict`,
		Args: args("BIN"),
	})
}

func (p *program) inspectDelete() *cobra.Command {
	return p.needsYes(p.mutates(&cobra.Command{
		Use:   "delete BIN...",
		Short: "delete bins with what they caught",
		Example: `  telltale inspect delete kq3jv5m2x7a4d6cbnw2ytrhe
  telltale inspect delete kq3jv5m2x7a4d6cbnw2ytrhe --yes
  telltale inspect delete kq3jv5m2x7a4d6cbnw2ytrhe --dry-run`,
		Args: args("BIN..."),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, id := range args {
				if err := checkBin(id); err != nil {
					return err
				}
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			if err := p.confirm("Delete " + strings.Join(args, ", ") + " with what was caught?"); err != nil {
				return err
			}
			return p.each(args, "deleted", func(id string) error { return api.DeleteBin(cmd.Context(), id) })
		},
	}))
}
