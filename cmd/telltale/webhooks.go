package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/client"
	"telltale.example/telltale/internal/wire"
)

func (p *program) webhooks() *cobra.Command {
	return group("webhooks", "webhook", "webhooks: which events go where",
		`  telltale webhooks create https://hooks.example.com/telltale --event bounced --event complained
  telltale webhooks test whk_01JD0000000000000000000000
  telltale webhooks list`,
		p.webhooksList(), p.webhooksGet(), p.webhooksCreate(), p.webhooksEdit(), p.webhooksDelete(), p.webhooksRestore(), p.webhooksStats(),
		p.webhooksEnable(), p.webhooksDisable(), p.webhooksTest(), p.webhooksRotate(), p.webhooksSecret())
}

func (p *program) webhooksList() *cobra.Command {
	return listing[wire.Webhook]{
		head: []string{"ID", "URL", "EVENTS", "ENABLED", "HEALTH"},
		row: func(w wire.Webhook) []any {
			return []any{w.ID, w.URL, strings.Join(w.Events, ","), enabledCell(w), healthCell(w.Health)}
		},
		read: func(q asked, each func(wire.Webhook) error) (string, error) { return q.Webhooks(q.ctx, q.page, each) },
	}.verb(p, &cobra.Command{
		Use:   "list",
		Short: "list the project's webhooks",
		Example: `  telltale webhooks list
  telltale webhooks list --project newsletter
  telltale webhooks list --json | jq -r 'select(.health == "failing") | .id'`,
		Args: args(),
	})
}

func enabledCell(w wire.Webhook) cell {
	if w.Enabled {
		return cell{"yes", plain}
	}
	return cell{"no (" + w.DisabledReason + ")", bad}
}

func healthCell(health string) cell {
	switch telltale.Health(health) {
	case telltale.HealthHealthy:
		return cell{health, good}
	case telltale.HealthFailing:
		return cell{health, bad}
	}
	return cell{strings.ReplaceAll(health, "_", " "), plain}
}

func (p *program) webhooksGet() *cobra.Command {
	return p.speaks(&cobra.Command{
		Use:   "get WEBHOOK",
		Short: "show a webhook's settings",
		Example: `  telltale webhooks get whk_01JD0000000000000000000000
  telltale webhook get whk_01JD0000000000000000000000
  telltale webhooks get whk_01JD0000000000000000000000 --json`,
		Long: "Secret values read [redacted]; telltale webhooks secret shows what signs.",
		Args: args("WEBHOOK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := p.webhookClient(args[0])
			if err != nil {
				return err
			}
			w, err := api.Webhook(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return p.showWebhook(w)
		},
	})
}

// webhookClient makes a client once the webhook's id was found to be one.
func (p *program) webhookClient(id string) (*client.Client, error) {
	if err := checkWebhook(id); err != nil {
		return nil, err
	}
	return p.client()
}

// webhookFlags are the settings of create and edit.
type webhookFlags struct {
	events, headers, secretHeaders []string
	description, schedule, auth    string
	deadline                       time.Duration
	rateLimit                      float64
	concurrency                    int
	skipMachines                   bool
	extensions, legacySignature    bool
	withoutBasicAuth               bool
	removeHeaders                  []string
	url                            string
	settings                       wire.WebhookSettings
	cmd                            *cobra.Command
}

func (f *webhookFlags) offer(cmd *cobra.Command) {
	f.cmd = cmd
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringSliceVar(&f.events, "event", nil, "a `type` of event to send; again for more, * for the twelve")
	flags.StringVar(&f.description, "description", "", "what people want to know about it")
	flags.DurationVar(&f.deadline, "deadline", telltale.DefaultTimeout, "how long the receiver may take to answer, 1s to 30s")
	flags.StringVar(&f.schedule, "retry-schedule", "", "the `waits` between attempts, such as 5s,1m,1h; none for one attempt only; default for twelve over three days")
	flags.Float64Var(&f.rateLimit, "rate-limit", 0, "at most this many attempts a second; 0 for no limit")
	flags.IntVar(&f.concurrency, "concurrency", telltale.DefaultConcurrency, "at most this many attempts at once, 1 to 100")
	flags.StringArrayVar(&f.headers, "header", nil, "a `header` to add to every request, as 'name: value'; again for more")
	flags.StringArrayVar(&f.secretHeaders, "secret-header", nil, "the same for a `header` whose value is not to be shown again; @file reads it from there")
	flags.StringVar(&f.auth, "basic-auth", "", "`user:password` to send with every request; @file reads it from there")
	flags.BoolVar(&f.skipMachines, "skip-machines", false, "send no opens and clicks that are known to be a machine's")
	flags.BoolVar(&f.extensions, "extensions", false, "add what Telltale knows to the body, under the key telltale")
	flags.BoolVar(&f.legacySignature, "legacy-signature", false, "add X-Signature: sha256=… for receivers that have it already")
}

// read makes the settings of those flags that were given.
func (f *webhookFlags) read(p *program) error {
	given := f.cmd.Flags().Changed
	s := &f.settings
	if given("description") {
		s.Description = wire.To(f.description)
	}
	if given("deadline") {
		s.Timeout = wire.To(wire.Duration(f.deadline))
	}
	if given("retry-schedule") {
		var err error
		if s.RetrySchedule, err = parseSchedule(f.schedule); err != nil {
			return err
		}
	}
	if given("rate-limit") {
		s.RateLimit = wire.To(f.rateLimit)
	}
	if given("concurrency") {
		s.Concurrency = wire.To(f.concurrency)
	}
	if given("skip-machines") {
		s.SkipMachines = wire.To(f.skipMachines)
	}
	if given("extensions") {
		s.Extensions = wire.To(f.extensions)
	}
	if given("legacy-signature") {
		s.LegacySignature = wire.To(f.legacySignature)
	}
	if err := f.readHeaders(p); err != nil {
		return err
	}
	switch {
	case f.withoutBasicAuth && f.auth != "":
		return usage("--basic-auth and --no-basic-auth: both are given; expected one of the two")
	case f.withoutBasicAuth:
		s.BasicAuth = wire.Reset[wire.BasicAuthPatch]()
	case f.auth != "":
		text, err := p.content("basic-auth", f.auth)
		if err != nil {
			return err
		}
		username, password, ok := strings.Cut(strings.TrimRight(string(text), "\r\n"), ":")
		if !ok {
			return usage("flag --basic-auth: this value (not shown) has no colon; expected user:password")
		}
		s.BasicAuth = wire.To(wire.BasicAuthPatch{Username: wire.To(username), Password: wire.To(password)})
	}
	return nil
}

func (f *webhookFlags) readHeaders(p *program) error {
	var changes wire.HeaderChanges
	for _, name := range f.removeHeaders {
		changes = append(changes, wire.HeaderChange{Name: name, Remove: true})
	}
	for _, text := range f.headers {
		name, value, ok := strings.Cut(text, ":")
		if !ok {
			return usage("flag --header: %q; expected 'name: value'", telltale.CutValue(text))
		}
		changes = append(changes, wire.HeaderChange{Name: strings.TrimSpace(name), Value: wire.To(strings.TrimSpace(value))})
	}
	for _, text := range f.secretHeaders {
		content, err := p.content("secret-header", text)
		if err != nil {
			return err
		}
		name, value, ok := strings.Cut(string(content), ":")
		if !ok {
			return usage("flag --secret-header: this value (not shown) has no colon; expected 'name: value'")
		}
		changes = append(changes, wire.HeaderChange{Name: strings.TrimSpace(name), Value: wire.To(strings.TrimSpace(value)), Secret: wire.To(true)})
	}
	if len(changes) > 0 {
		f.settings.Headers = wire.To(changes)
	}
	return nil
}

// withoutSecrets makes settings fit to be shown.
func withoutSecrets(s wire.WebhookSettings) wire.WebhookSettings {
	s.Headers.Value = slices.Clone(s.Headers.Value)
	for i, h := range s.Headers.Value {
		if h.Secret.Value {
			s.Headers.Value[i].Value = wire.To(telltale.Redacted)
		}
	}
	if s.BasicAuth.Value.Password.Set {
		s.BasicAuth.Value.Password = wire.To(telltale.Redacted)
	}
	return s
}

// parseSchedule reads --retry-schedule.
func parseSchedule(text string) (wire.Change[[]wire.Duration], error) {
	switch text {
	case "default":
		return wire.Reset[[]wire.Duration](), nil
	case "none":
		return wire.To([]wire.Duration{}), nil
	}
	var waits []wire.Duration
	for part := range strings.SplitSeq(text, ",") {
		wait, err := time.ParseDuration(strings.TrimSpace(part))
		if err != nil {
			return wire.Change[[]wire.Duration]{}, usage("flag --retry-schedule: %q; expected waits such as 5s,1m,1h, or none, or default", telltale.CutValue(part))
		}
		waits = append(waits, wire.Duration(wait))
	}
	return wire.To(waits), nil
}

func (p *program) webhooksCreate() *cobra.Command {
	var f webhookFlags
	cmd := &cobra.Command{
		Use:   "create URL",
		Short: "add a webhook",
		Example: `  telltale webhooks create https://hooks.example.com/telltale
  telltale webhooks create https://hooks.example.com/telltale --event bounced --event complained
  telltale webhooks create https://hooks.example.com/telltale --retry-schedule 5s,1m,1h --rate-limit 25 --dry-run`,
		Long: `Events of the given types, or of all twelve, go to the URL from now on. The secret
that signs them is printed once; telltale webhooks secret shows it again.

The URL must be https and lead to a public address, unless the server was started
with a flag that allows more.`,
		Args: args("URL"),
		RunE: func(_ *cobra.Command, args []string) error {
			api, err := p.client()
			if err != nil {
				return err
			}
			if err := f.read(p); err != nil {
				return err
			}
			in := wire.WebhookCreate{URL: args[0], Events: f.events, WebhookSettings: f.settings}
			if !f.cmd.Flags().Changed("event") {
				in.Events = []string{"*"}
			}
			webhook, faults := in.New("")
			if err := valid(webhookRules(&webhook, faults)); err != nil {
				return err
			}
			if p.dryRun {
				in.WebhookSettings = withoutSecrets(in.WebhookSettings)
			}
			w, err := api.CreateWebhook(f.cmd.Context(), in)
			if err != nil {
				return err
			}
			if err := p.showWebhook(w); err != nil {
				return err
			}
			if !p.json {
				p.hint("Try it: telltale webhooks test %s", w.ID)
			}
			return nil
		},
	}
	f.offer(cmd)
	return p.mutates(cmd)
}

// webhookRules checks what the form and the webhook's own rules say; whether
// its URL may be dialled is the server's to say.
func webhookRules(w *telltale.Webhook, faults []telltale.Fault) error {
	if len(faults) > 0 {
		return telltale.Faulty("Invalid webhook.", faults)
	}
	return w.Validate()
}

func (p *program) webhooksEdit() *cobra.Command {
	var f webhookFlags
	cmd := &cobra.Command{
		Use:   "edit WEBHOOK",
		Short: "change a webhook's settings",
		Example: `  telltale webhooks edit whk_01JD0000000000000000000000 --url https://hooks.example.com/v2
  telltale webhooks edit whk_01JD0000000000000000000000 --event '*' --deadline 10s
  telltale webhooks edit whk_01JD0000000000000000000000 --header 'x-team: crm' --remove-header x-old --dry-run`,
		Long: `Changes what is given and leaves the rest. --event replaces the whole list.

The change holds for every attempt that begins after it, retries of earlier events
too. What an event carries does not change: it was rendered when it came in.`,
		Args: args("WEBHOOK"),
		RunE: func(_ *cobra.Command, args []string) error {
			api, err := p.webhookClient(args[0])
			if err != nil {
				return err
			}
			if err := f.read(p); err != nil {
				return err
			}
			in := wire.WebhookPatch{WebhookSettings: f.settings}
			if f.cmd.Flags().Changed("url") {
				in.URL = wire.To(f.url)
			}
			if f.cmd.Flags().Changed("event") {
				in.Events = wire.To(f.events)
			}
			if nothing, err := emptyPatch(in); err != nil {
				return err
			} else if nothing {
				return usage("%s: there is nothing to change; see %s --help", nameOf(f.cmd), f.cmd.CommandPath())
			}
			changed := telltale.NewWebhook("", "https://example.com", telltale.AllEventTypes)
			if err := valid(webhookRules(&changed, in.Apply(&changed))); err != nil {
				return err
			}
			if p.dryRun {
				in.WebhookSettings = withoutSecrets(in.WebhookSettings)
			}
			w, err := api.EditWebhook(f.cmd.Context(), args[0], in)
			if err != nil {
				return err
			}
			return p.showWebhook(w)
		},
	}
	cmd.Flags().StringVar(&f.url, "url", "", "where events are posted to")
	f.offer(cmd)
	cmd.Flags().StringArrayVar(&f.removeHeaders, "remove-header", nil, "the `name` of a header to add no longer; again for more")
	cmd.Flags().BoolVar(&f.withoutBasicAuth, "no-basic-auth", false, "send no user and password any more")
	return p.mutates(cmd)
}

// emptyPatch reports whether a patch changes nothing.
func emptyPatch(in any) (bool, error) {
	text, err := json.Marshal(in)
	return string(text) == "{}", err
}

func (p *program) webhooksDelete() *cobra.Command {
	return p.needsYes(p.mutates(&cobra.Command{
		Use:   "delete WEBHOOK...",
		Short: "delete webhooks for good",
		Example: `  telltale webhooks delete whk_01JD0000000000000000000000
  telltale webhooks delete whk_01JD0000000000000000000000 --yes
  telltale webhooks delete whk_01JD0000000000000000000000 --dry-run`,
		Long: `Deliveries that are not finished are cancelled; the log of the others stays. To stop
a webhook for a while, disable it: then nothing is lost.`,
		Args: args("WEBHOOK..."),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, id := range args {
				if err := checkWebhook(id); err != nil {
					return err
				}
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			if err := p.confirm(fmt.Sprintf("Delete %s for good?", strings.Join(args, ", "))); err != nil {
				return err
			}
			return p.each(args, "deleted", func(id string) error { return api.DeleteWebhook(cmd.Context(), id) })
		},
	}))
}

func (p *program) webhooksEnable() *cobra.Command {
	return p.mutates(&cobra.Command{
		Use:   "enable WEBHOOK",
		Short: "let events go to a webhook again",
		Example: `  telltale webhooks enable whk_01JD0000000000000000000000
  telltale webhooks enable whk_01JD0000000000000000000000 --dry-run
  telltale deliveries list --webhook whk_01JD0000000000000000000000 --state held`,
		Long: `What was held while it was disabled goes out now, at its rate limit or 10 a second.
The command says how many events came in meanwhile, and how to send them too.`,
		Args: args("WEBHOOK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := p.webhookClient(args[0])
			if err != nil {
				return err
			}
			w, err := api.EnableWebhook(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if w.Missed != nil && *w.Missed > 0 {
				defer p.hint("%s came in while it was disabled. To send them: telltale replay --unsent --webhook %s --since %s", counted(*w.Missed, "event", "events"), w.ID, w.DisabledAt.UTC().Format(time.RFC3339))
			}
			return p.showWebhook(w)
		},
	})
}

func (p *program) webhooksDisable() *cobra.Command {
	return p.mutates(&cobra.Command{
		Use:   "disable WEBHOOK",
		Short: "send nothing to a webhook until it is enabled",
		Example: `  telltale webhooks disable whk_01JD0000000000000000000000
  telltale webhooks disable whk_01JD0000000000000000000000 --dry-run
  telltale webhooks enable whk_01JD0000000000000000000000`,
		Long: `No attempt begins once the command has returned. Deliveries that are not finished
are held, and go out when the webhook is enabled.`,
		Args: args("WEBHOOK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := p.webhookClient(args[0])
			if err != nil {
				return err
			}
			w, err := api.DisableWebhook(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return p.showWebhook(w)
		},
	})
}

func (p *program) webhooksRestore() *cobra.Command {
	return p.mutates(&cobra.Command{
		Use:   "restore WEBHOOK",
		Short: "take back a deletion, within a minute",
		Example: `  telltale webhooks restore whk_01JD0000000000000000000000
  telltale webhooks restore whk_01JD0000000000000000000000 --json
  telltale webhooks restore whk_01JD0000000000000000000000 --dry-run`,
		Long: `The webhook is as it was, with its secrets and what waited for it.`,
		Args: args("WEBHOOK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := p.webhookClient(args[0])
			if err != nil {
				return err
			}
			w, err := api.RestoreWebhook(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return p.showWebhook(w)
		},
	})
}

func (p *program) webhooksStats() *cobra.Command {
	var reach string
	cmd := &cobra.Command{
		Use:   "stats WEBHOOK",
		Short: "count what happened at a webhook",
		Example: `  telltale webhooks stats whk_01JD0000000000000000000000
  telltale webhooks stats whk_01JD0000000000000000000000 --range 7d
  telltale webhooks stats whk_01JD0000000000000000000000 --json | jq .total`,
		Args: args("WEBHOOK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains([]string{"1h", "24h", "7d", "30d"}, reach) {
				return usage("flag --range: %q; expected 1h, 24h, 7d or 30d", telltale.CutValue(reach))
			}
			api, err := p.webhookClient(args[0])
			if err != nil {
				return err
			}
			w, err := api.WebhookStats(cmd.Context(), args[0], reach)
			if err != nil {
				return err
			}
			if p.json {
				return p.writeJSON(w)
			}
			t := newTable("FROM", "SUCCEEDED", "FAILED", "RETRIED", "2XX", "3XX", "4XX", "5XX", "NONE", "MEDIAN", "P95")
			row := func(name string, s wire.Stat) {
				t.row(name, s.Succeeded, s.Failed, s.Retried, s.Answers.OK, s.Answers.Redirect, s.Answers.Client, s.Answers.Server, s.Answers.None, millisOrDash(s.Median), millisOrDash(s.P95))
			}
			for _, s := range w.Steps {
				row(stamp(s.Start.Time), s)
			}
			row("total", w.Total)
			p.printTable(t)
			return nil
		},
	}
	cmd.Flags().StringVar(&reach, "range", "24h", "how far back: 1h, 24h, 7d or 30d")
	return p.speaks(cmd)
}

func millisOrDash(ms *float64) string {
	if ms == nil {
		return "-"
	}
	return millis(*ms)
}

func (p *program) webhooksTest() *cobra.Command {
	var in wire.WebhookTest
	cmd := &cobra.Command{
		Use:   "test WEBHOOK",
		Short: "send a webhook a sample now and say how it went",
		Example: `  telltale webhooks test whk_01JD0000000000000000000000
  telltale webhooks test whk_01JD0000000000000000000000 --event bounced
  telltale webhooks test whk_01JD0000000000000000000000 --json`,
		Long: `Works for a disabled webhook too. The request carries the header telltale-test: 1.
The exit status is 7 if the receiver did not take it.`,
		Args: args("WEBHOOK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := p.webhookClient(args[0])
			if err != nil {
				return err
			}
			if in.Event != "" {
				if err := checkEventType(in.Event); err != nil {
					return err
				}
			}
			w, err := api.TestWebhook(cmd.Context(), args[0], in)
			if err != nil {
				return err
			}
			if p.json {
				if err := p.writeJSON(w); err != nil {
					return err
				}
			} else {
				p.say("%s", w.Message)
			}
			if !w.Success {
				return fail(exitRefused, "details: telltale deliveries get %s", w.DeliveryID)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&in.Event, "event", "", "the `type` of the sample; default: the first type that the webhook wants")
	return p.mutates(cmd)
}

func (p *program) webhooksRotate() *cobra.Command {
	var overlap time.Duration
	cmd := &cobra.Command{
		Use:   "rotate-secret WEBHOOK",
		Short: "give a webhook a fresh secret",
		Example: `  telltale webhooks rotate-secret whk_01JD0000000000000000000000
  telltale webhooks rotate-secret whk_01JD0000000000000000000000 --overlap 72h
  telltale webhooks rotate-secret whk_01JD0000000000000000000000 --overlap 0s`,
		Long: `Both secrets sign for the overlap, so that the receiver can change over without
refusing anything. --overlap 0s ends the old one at once: for one that leaked.`,
		Args: args("WEBHOOK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := p.webhookClient(args[0])
			if err != nil {
				return err
			}
			if overlap < 0 || overlap > telltale.MaxSecretOverlap {
				return usage("flag --overlap: %q; expected 0s to %s", overlap, wire.Duration(telltale.MaxSecretOverlap))
			}
			w, err := api.RotateSecret(cmd.Context(), args[0], wire.SecretRotation{Overlap: wire.To(wire.Duration(overlap))})
			if err != nil {
				return err
			}
			return p.showWebhook(w)
		},
	}
	cmd.Flags().DurationVar(&overlap, "overlap", telltale.DefaultOverlap, "how long the old secret signs beside the new one, 0s to 168h")
	return p.mutates(cmd)
}

func (p *program) webhooksSecret() *cobra.Command {
	return p.speaks(&cobra.Command{
		Use:   "secret WEBHOOK",
		Short: "show what signs a webhook's requests",
		Example: `  telltale webhooks secret whk_01JD0000000000000000000000
  telltale webhooks secret whk_01JD0000000000000000000000 > secret.txt
  telltale webhooks secret whk_01JD0000000000000000000000 --json | jq -r .secret`,
		Long: `Prints the current secret alone, so that it can go into a file. Those that rotations
left, and sign beside it until they expire, are in the hints and in --json.`,
		Args: args("WEBHOOK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := p.webhookClient(args[0])
			if err != nil {
				return err
			}
			w, err := api.WebhookSecrets(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if p.json {
				return p.writeJSON(w)
			}
			p.say("%s", w.Secret)
			for _, old := range w.Previous {
				p.hint("Until %s this one signs too: %s", stamp(old.ExpiresAt.Time), old.Secret)
			}
			return nil
		},
	})
}

func (p *program) showWebhook(w wire.Webhook) error {
	if p.json {
		return p.writeJSON(w)
	}
	schedule := "none: one attempt only"
	if len(w.RetrySchedule) > 0 {
		waits := make([]string, len(w.RetrySchedule))
		for i, wait := range w.RetrySchedule {
			waits[i] = wait.String()
		}
		schedule = strings.Join(waits, " ")
	}
	fields := []field{
		{"id", w.ID}, {"url", w.URL}, {"events", strings.Join(w.Events, " ")}, {"description", w.Description},
		{"enabled", enabledCell(w).text}, {"health", healthCell(w.Health).text},
		{"deadline", w.Timeout.String()}, {"retry schedule", schedule}, {"rate limit", perSecond(w.RateLimit)},
		{"concurrency", fmt.Sprint(w.Concurrency)},
	}
	for _, h := range w.Headers {
		fields = append(fields, field{"header", h.Name + ": " + h.Value})
	}
	if w.BasicAuth != nil {
		fields = append(fields, field{"basic auth", w.BasicAuth.Username + ":" + w.BasicAuth.Password})
	}
	if w.SkipMachines {
		fields = append(fields, field{"skip machines", "yes"})
	}
	if w.Extensions {
		fields = append(fields, field{"extensions", "yes"})
	}
	if w.LegacySignature {
		fields = append(fields, field{"legacy signature", "yes"})
	}
	fields = append(fields, field{"created", stamp(w.CreatedAt.Time)}, field{"changed", stamp(w.UpdatedAt.Time)})
	if w.Secret != "" {
		fields = append(fields, field{"secret", w.Secret})
	}
	p.printFields(fields...)
	return nil
}
