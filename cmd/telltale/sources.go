package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/client"
	"telltale.example/telltale/internal/config"
	"telltale.example/telltale/internal/feed"
	"telltale.example/telltale/internal/wire"
)

func (p *program) sources() *cobra.Command {
	return group("sources", "source", "sources: where mail providers post what happened to messages",
		`  telltale sources add sendgrid
  telltale sources edit src_01JD0000000000000000000000 --credential verification_key=@key.txt
  telltale sources list`,
		p.sourcesList(), p.sourcesGet(), p.sourcesAdd(), p.sourcesEdit(), p.sourcesDelete(),
		p.sourcesSwitch("enable", true, "take a provider's requests again", "What the provider could not get rid of meanwhile, it repeats, as long as it does that."),
		p.sourcesSwitch("disable", false, "take no requests until the source is enabled", "The provider is told to come back later, and repeats what it has for a while: some for an\nhour, others for days. telltale sources providers says how long."),
		p.sourcesTest(), p.sourcesUnrecognised(), p.sourcesReplay(), p.sourcesDrop(), p.sourcesProviders())
}

func (p *program) sourcesList() *cobra.Command {
	return listing[wire.Source]{
		head: []string{"ID", "PROVIDER", "NAME", "ENABLED", "HEALTH", "MISSING", "EVENTS", "LAST REQUEST"},
		row: func(w wire.Source) []any {
			return []any{w.ID, w.Provider, w.Name, yesNo(w.Enabled), sourceHealthCell(w.Health), orDash(strings.Join(w.Missing, " ")), grouped(int(w.Tally.Events)), stamp(w.Tally.LastRequestAt.Time)}
		},
		read: func(q asked, each func(wire.Source) error) (string, error) { return q.Sources(q.ctx, q.page, each) },
	}.verb(p, &cobra.Command{
		Use:   "list",
		Short: "list the project's sources",
		Example: `  telltale sources list
  telltale sources list --project newsletter
  telltale sources list --json | jq -r 'select(.health == "failing") | .tally.last_failure.message'`,
		Long: `Health: waiting (nothing came yet), receiving (the last request was taken), failing
(it was not). MISSING names the credentials without which none can be verified.`,
		Args: args(),
	})
}

func sourceHealthCell(health string) cell {
	switch telltale.SourceHealth(health) {
	case telltale.SourceReceiving:
		return cell{health, good}
	case telltale.SourceFailing:
		return cell{health, bad}
	}
	return cell{health, plain}
}

// sourceClient makes a client once the source's id was found to be one.
func (p *program) sourceClient(id string) (*client.Client, error) {
	if err := checkSource(id); err != nil {
		return nil, err
	}
	return p.client()
}

func (p *program) sourcesGet() *cobra.Command {
	return p.speaks(&cobra.Command{
		Use:   "get SOURCE",
		Short: "show a source: its URL, its settings and what came",
		Example: `  telltale sources get src_01JD0000000000000000000000
  telltale sources get src_01JD0000000000000000000000 --json | jq -r .url
  telltale sources get src_01JD0000000000000000000000 --json | jq .tally`,
		Long: `The URL is what is pasted in the provider's console, and a secret. Of credentials, only
those that are no secret are shown.`,
		Args: args("SOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := p.sourceClient(args[0])
			if err != nil {
				return err
			}
			w, err := api.Source(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return p.showSource(w)
		},
	})
}

func (p *program) showSource(w wire.Source) error {
	if p.json {
		return p.writeJSON(w)
	}
	fields := []field{
		{"id", w.ID}, {"provider", w.Provider}, {"name", w.Name}, {"enabled", yesNo(w.Enabled)}, {"health", w.Health}, {"url", w.URL},
	}
	for _, name := range credentialOrder(w) {
		c := w.Credentials[name]
		switch {
		case c.Value != "":
			fields = append(fields, field{name, c.Value})
		case c.Set:
			fields = append(fields, field{name, telltale.Redacted})
		case slices.Contains(w.Missing, name):
			fields = append(fields, field{name, "missing"})
		default:
			fields = append(fields, field{name, ""})
		}
	}
	t := w.Tally
	fields = append(
		fields, field{"options", strings.Join(w.Options, " ")},
		field{"requests", grouped(int(t.Requests))}, field{"refused", grouped(int(t.Refused))},
		field{"events", grouped(int(t.Events))}, field{"duplicates", grouped(int(t.Duplicates))}, field{"ignored", grouped(int(t.Ignored))}, field{"unrecognised", grouped(int(t.Unrecognised))},
		field{"last request", stamp(t.LastRequestAt.Time)}, field{"last event", stamp(t.LastEventAt.Time)},
	)
	if f := t.LastFailure; f != nil {
		fields = append(fields, field{"last failure", stamp(f.At.Time) + "  " + f.Message})
	}
	fields = append(fields, field{"created", stamp(w.CreatedAt.Time)}, field{"changed", stamp(w.UpdatedAt.Time)})
	p.printFields(fields...)
	return nil
}

// credentialOrder lists the credentials in the provider's order, if it is known.
func credentialOrder(w wire.Source) (names []string) {
	if provider := feed.ProviderNamed(w.Provider); provider != nil {
		for _, c := range provider.Credentials {
			names = append(names, c.Name)
		}
		return names
	}
	for name := range w.Credentials {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// sourceFlags are the settings of add and edit.
type sourceFlags struct {
	name                 string
	credentials, removed []string
	options              []string
	noOptions            bool
	settings             wire.SourceSettings
	cmd                  *cobra.Command
}

func (f *sourceFlags) offer(cmd *cobra.Command) {
	f.cmd = cmd
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.name, "name", "", "what people call it; default: what the provider is called")
	flags.StringArrayVar(&f.credentials, "credential", nil, "a credential, as `name=value`; name=@file reads it from there, name=- from standard input")
	flags.StringSliceVar(&f.options, "option", nil, "an option to switch on, by `name`; again for more")
}

// complete offers the credentials and options of the provider, where it is an argument.
func (f *sourceFlags) complete(cmd *cobra.Command) {
	offer := func(flag string, of func(*feed.Provider) []cobra.Completion, directive cobra.ShellCompDirective) {
		err := cmd.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) == 0 || feed.ProviderNamed(args[0]) == nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return of(feed.ProviderNamed(args[0])), directive
		})
		if err != nil {
			panic(err) // there is no such flag
		}
	}
	offer("credential", func(provider *feed.Provider) (names []cobra.Completion) {
		for _, c := range provider.Credentials {
			names = append(names, cobra.CompletionWithDesc(c.Name+"=", c.Label))
		}
		return names
	}, cobra.ShellCompDirectiveNoSpace|cobra.ShellCompDirectiveNoFileComp)
	offer("option", func(provider *feed.Provider) (names []cobra.Completion) {
		for _, o := range provider.AllOptions() {
			names = append(names, cobra.CompletionWithDesc(o.Name, o.Label))
		}
		return names
	}, cobra.ShellCompDirectiveNoFileComp)
}

// read makes the settings of those flags that were given.
func (f *sourceFlags) read(p *program) error {
	given := f.cmd.Flags().Changed
	s := &f.settings
	if given("name") {
		s.Name = wire.To(f.name)
	}
	switch {
	case f.noOptions && given("option"):
		return usage("--option and --no-options: both are given; expected one of the two")
	case f.noOptions:
		s.Options = wire.Reset[[]string]()
	case given("option"):
		s.Options = wire.To(f.options)
	}
	credentials := map[string]*string{}
	for _, name := range f.removed {
		credentials[name] = nil
	}
	for _, text := range f.credentials {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return usage("flag --credential: this value (not shown) has no name; expected name=value, name=@file or name=-")
		}
		if _, twice := credentials[name]; twice {
			return usage("flag --credential: %s is given twice", telltale.CutValue(name))
		}
		if value == "-" {
			value = "@-"
		}
		content, err := p.content("credential", value)
		if err != nil {
			return err
		}
		value = strings.TrimSpace(string(content))
		if value == "" {
			return usage("flag --credential: the value of %s is empty; telltale sources edit has --remove-credential", telltale.CutValue(name))
		}
		credentials[name] = &value
	}
	if len(credentials) > 0 {
		s.Credentials = wire.To(credentials)
	}
	return nil
}

// withoutCredentials makes settings fit to be shown.
func withoutCredentials(s wire.SourceSettings) wire.SourceSettings {
	shown := map[string]*string{}
	for name, value := range s.Credentials.Value {
		if value != nil {
			value = new(telltale.Redacted)
		}
		shown[name] = value
	}
	s.Credentials.Value = shown
	return s
}

func (p *program) sourcesAdd() *cobra.Command {
	var f sourceFlags
	var disabled bool
	cmd := &cobra.Command{
		Use:   "add PROVIDER",
		Short: "add a source, and say what to do in the provider's console",
		Example: `  telltale sources add sendgrid
  telltale sources add mailgun --name "The newsletter" --credential signing_key=@key.txt
  telltale sources add postmark --option emit_sent --dry-run`,
		Long: `Prints the URL to paste in the provider's console, and the steps there. A credential
that the provider gives then is set with telltale sources edit. One in an argument is seen
by whoever lists processes: give it as a file, or on standard input.

telltale sources providers lists the providers.`,
		Args:              args("PROVIDER"),
		ValidArgsFunction: completeProviders,
		RunE: func(cmd *cobra.Command, args []string) error {
			provider, err := checkProvider(args[0])
			if err != nil {
				return err
			}
			if err := f.read(p); err != nil {
				return err
			}
			if disabled {
				f.settings.Enabled = wire.To(false)
			}
			in := wire.SourceCreate{Provider: provider.Name, SourceSettings: f.settings}
			s := in.New("", provider.Title)
			provider.Complete(&s)
			if err := valid(feed.Validate(&s)); err != nil {
				return err
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			if p.dryRun {
				in.SourceSettings = withoutCredentials(in.SourceSettings)
			}
			w, err := api.CreateSource(cmd.Context(), in)
			if err != nil {
				return err
			}
			if p.json {
				return p.writeJSON(w)
			}
			p.printFields(field{"id", w.ID}, field{"provider", w.Provider}, field{"name", w.Name}, field{"url", w.URL})
			p.say("")
			p.saySteps(provider.Steps)
			p.hintNext(w, provider)
			return nil
		},
	}
	f.offer(cmd)
	cmd.Flags().BoolVar(&disabled, "disabled", false, "take no requests until it is enabled")
	f.complete(cmd)
	return p.mutates(cmd)
}

func (p *program) saySteps(steps []string) {
	for i, step := range steps {
		p.say("%d. %s", i+1, step)
	}
}

// hintNext says what there is to do about a new source.
func (p *program) hintNext(w wire.Source, provider *feed.Provider) {
	if onThisMachine(w.URL) {
		p.hint("The URL leads to this machine only. For providers to reach it, start the server with --public-url.")
	}
	for _, name := range w.Missing {
		p.hint("When you have it: telltale sources edit %s --credential %s=@FILE", w.ID, name)
	}
	switch {
	case provider.Signer != nil:
		p.hint("Try it: telltale sources test %s", w.ID)
	case provider.TestHint != "":
		p.hint("Try it: %s", provider.TestHint)
	}
}

func (p *program) sourcesEdit() *cobra.Command {
	var f sourceFlags
	cmd := &cobra.Command{
		Use:   "edit SOURCE",
		Short: "change a source's settings",
		Example: `  telltale sources edit src_01JD0000000000000000000000 --credential verification_key=@key.txt
  telltale sources edit src_01JD0000000000000000000000 --name "The newsletter" --option emit_sent
  telltale sources edit src_01JD0000000000000000000000 --remove-credential password --dry-run`,
		Long: `Changes what is given and leaves the rest. --option replaces the whole list. A password
that Telltale made is made anew when it is removed: paste the URL anew then.`,
		Args: args("SOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkSource(args[0]); err != nil {
				return err
			}
			if err := f.read(p); err != nil {
				return err
			}
			in := wire.SourcePatch{SourceSettings: f.settings}
			if nothing, err := emptyPatch(in); err != nil {
				return err
			} else if nothing {
				return usage("%s: there is nothing to change; see %s --help", nameOf(cmd), cmd.CommandPath())
			}
			changed := telltale.NewSource("", "", "of no provider that is known here")
			in.Apply(&changed, changed.Name)
			if err := valid(changed.Validate()); err != nil {
				return err
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			if p.dryRun {
				in.SourceSettings = withoutCredentials(in.SourceSettings)
			}
			w, err := api.EditSource(cmd.Context(), args[0], in)
			if err != nil {
				return err
			}
			return p.showSource(w)
		},
	}
	f.offer(cmd)
	cmd.Flags().BoolVar(&f.noOptions, "no-options", false, "switch all options off")
	cmd.Flags().StringArrayVar(&f.removed, "remove-credential", nil, "the `name` of a credential to forget; again for more")
	return p.mutates(cmd)
}

func (p *program) sourcesDelete() *cobra.Command {
	return p.needsYes(p.mutates(&cobra.Command{
		Use:   "delete SOURCE...",
		Short: "delete sources for good",
		Example: `  telltale sources delete src_01JD0000000000000000000000
  telltale sources delete src_01JD0000000000000000000000 --yes
  telltale sources delete src_01JD0000000000000000000000 --dry-run`,
		Long: `Their URLs are answered 404 from then on, and what they could not understand goes.
Their events stay. To take no requests for a while, disable a source.`,
		Args: args("SOURCE..."),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, id := range args {
				if err := checkSource(id); err != nil {
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
			return p.each(args, "deleted", func(id string) error { return api.DeleteSource(cmd.Context(), id) })
		},
	}))
}

func (p *program) sourcesSwitch(verb string, on bool, short, long string) *cobra.Command {
	return p.mutates(&cobra.Command{
		Use:   verb + " SOURCE",
		Short: short,
		Example: "  telltale sources " + verb + " src_01JD0000000000000000000000\n" +
			"  telltale sources " + verb + " src_01JD0000000000000000000000 --json\n" +
			"  telltale sources " + verb + " src_01JD0000000000000000000000 --dry-run",
		Long: long,
		Args: args("SOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := p.sourceClient(args[0])
			if err != nil {
				return err
			}
			w, err := api.EditSource(cmd.Context(), args[0], wire.SourcePatch{SourceSettings: wire.SourceSettings{Enabled: wire.To(on)}})
			if err != nil {
				return err
			}
			return p.showSource(w)
		},
	})
}

func (p *program) sourcesTest() *cobra.Command {
	return p.mutates(&cobra.Command{
		Use:   "test SOURCE",
		Short: "post a sample to a source, as its provider would",
		Example: `  telltale sources test src_01JD0000000000000000000000
  telltale sources test src_01JD0000000000000000000000 --json
  telltale sources test src_01JD0000000000000000000000 --dry-run`,
		Long: `The sample is signed with the source's own credentials and goes the whole way: it
becomes an event about steve@example.com, and webhooks get it. The exit status is 7 if
the source did not take it, and 5 for a provider that signs with a key only it has.`,
		Args: args("SOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := p.sourceClient(args[0])
			if err != nil {
				return err
			}
			w, err := api.TestSource(cmd.Context(), args[0])
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
				return fail(exitRefused, "details: telltale sources get %s", args[0])
			}
			return nil
		},
	})
}

func (p *program) sourcesUnrecognised() *cobra.Command {
	cmd := listing[wire.UnrecognisedRequest]{
		query: func(args []string) (url.Values, error) { return nil, checkSource(args[0]) },
		head:  []string{"ID", "RECEIVED", "BYTES", "REASON"},
		row: func(w wire.UnrecognisedRequest) []any {
			return []any{w.ID, stamp(w.ReceivedAt.Time), grouped(w.Size), w.Reason}
		},
		read: func(q asked, each func(wire.UnrecognisedRequest) error) (string, error) {
			return q.Unrecognised(q.ctx, q.args[0], q.page, each)
		},
	}.verb(p, &cobra.Command{
		Use:   "unrecognised SOURCE [REQUEST]",
		Short: "list what a source could not understand, or print one of it",
		Example: `  telltale sources unrecognised src_01JD0000000000000000000000
  telltale sources unrecognised src_01JD0000000000000000000000 req_01JD0000000000000000000000 > body.json
  telltale sources unrecognised src_01JD0000000000000000000000 --json | jq -r .reason | sort | uniq -c`,
		Long: `Requests, and parts of requests, that were the provider's and not understood were
answered with success, and are kept for 30 days. With a request's id, its body is
printed as it came.`,
		Args: args("SOURCE", "[REQUEST]"),
	})
	list := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			return list(cmd, args)
		}
		if err := checkRequest(args[1]); err != nil {
			return err
		}
		api, err := p.sourceClient(args[0])
		if err != nil {
			return err
		}
		w, err := api.UnrecognisedRequest(cmd.Context(), args[0], args[1])
		if err != nil {
			return err
		}
		return p.showUnrecognised(w)
	}
	return cmd
}

func (p *program) showUnrecognised(w wire.UnrecognisedRequest) error {
	if p.json {
		return p.writeJSON(w)
	}
	p.hint("%s  %s  %s", stamp(w.ReceivedAt.Time), w.ContentType, w.Reason)
	if isTerminal(p.stdout) {
		p.sayBody("", w.Body, w.BodyBase64, false)
		return nil
	}
	_, err := p.stdout.Write(append([]byte(w.Body), w.BodyBase64...)) // it is one or the other
	return err
}

func (p *program) sourcesReplay() *cobra.Command {
	return p.mutates(&cobra.Command{
		Use:   "replay SOURCE [REQUEST...]",
		Short: "replay what a source could not understand",
		Example: `  telltale sources replay src_01JD0000000000000000000000
  telltale sources replay src_01JD0000000000000000000000 req_01JD0000000000000000000000
  telltale sources replay src_01JD0000000000000000000000 --timeout 2m`,
		Long: `All of it, or the requests that are given: after an upgrade, or a change of settings.
What is understood now becomes events and is kept no longer. What was done before a
timeout stays done: run it again for the rest. The exit status is 8 if some of it is
still not understood.`,
		Args: args("SOURCE", "[REQUEST...]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, id := range args[1:] {
				if err := checkRequest(id); err != nil {
					return err
				}
			}
			api, err := p.sourceClient(args[0])
			if err != nil {
				return err
			}
			w, err := api.ReplayUnrecognised(cmd.Context(), args[0], wire.UnrecognisedReplay{IDs: args[1:]})
			if err != nil {
				return err
			}
			if p.json {
				err = p.writeJSON(w)
			} else {
				p.printFields(field{"understood", grouped(w.Understood)}, field{"events", grouped(w.Accepted)}, field{"duplicates", grouped(w.Duplicates)}, field{"left", grouped(w.Left)})
			}
			if err == nil && w.Left > 0 {
				err = fail(exitPartly, "still not understood: %s; see telltale sources unrecognised %s", counted(w.Left, "request", "requests"), args[0])
			}
			return err
		},
	})
}

func (p *program) sourcesDrop() *cobra.Command {
	return p.needsYes(p.mutates(&cobra.Command{
		Use:   "drop SOURCE REQUEST...",
		Short: "remove requests that a source could not understand",
		Example: `  telltale sources drop src_01JD0000000000000000000000 req_01JD0000000000000000000000
  telltale sources drop src_01JD0000000000000000000000 req_01JD0000000000000000000000 --yes
  telltale sources drop src_01JD0000000000000000000000 req_01JD0000000000000000000000 --dry-run`,
		Long: "Without it, they go after 30 days. What was removed cannot be taken again.",
		Args: args("SOURCE", "REQUEST..."),
		RunE: func(cmd *cobra.Command, args []string) error {
			requests := args[1:]
			for _, id := range requests {
				if err := checkRequest(id); err != nil {
					return err
				}
			}
			api, err := p.sourceClient(args[0])
			if err != nil {
				return err
			}
			if err := p.confirm(fmt.Sprintf("Remove %s for good?", strings.Join(requests, ", "))); err != nil {
				return err
			}
			return p.each(requests, "removed", func(id string) error { return api.DropUnrecognised(cmd.Context(), args[0], id) })
		},
	}))
}

func (p *program) sourcesProviders() *cobra.Command {
	cmd := listing[wire.Provider]{
		head: []string{"NAME", "PROVIDER", "CREDENTIALS", "SENT", "TEST"},
		row: func(w wire.Provider) []any {
			var credentials []string
			for _, c := range w.Credentials {
				if !c.Made {
					credentials = append(credentials, c.Name)
				}
			}
			return []any{w.Name, w.Title, orDash(strings.Join(credentials, " ")), yesNo(!w.NoSent), yesNo(w.CanTest)}
		},
		whole: true,
		read:  func(q asked, each func(wire.Provider) error) (string, error) { return "", q.Providers(q.ctx, each) },
	}.verb(p, &cobra.Command{
		Use:   "providers [PROVIDER]",
		Short: "list the mail providers, or show what there is to know of one",
		Example: `  telltale sources providers
  telltale sources providers sendgrid
  telltale sources providers sendgrid --json | jq .mapping`,
		Long: `CREDENTIALS are those that the provider gives; SENT says whether it reports that it took
a message, and TEST whether telltale sources test works. Of one provider, the steps in
its console, its credentials and options, and what becomes of its events are shown.`,
		Args:              args("[PROVIDER]"),
		ValidArgsFunction: completeProviders,
	})
	list := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return list(cmd, args)
		}
		api, err := p.client()
		if err != nil {
			return err
		}
		var names []string
		var found *wire.Provider
		err = api.Providers(cmd.Context(), func(w wire.Provider) error {
			names = append(names, w.Name)
			if w.Name == args[0] {
				found = &w
			}
			return nil
		})
		switch {
		case err != nil:
			return err
		case found == nil:
			return &failure{exitNotFound, noProvider(args[0], names)}
		}
		return p.showProvider(*found)
	}
	return cmd
}

func (p *program) showProvider(w wire.Provider) error {
	if p.json {
		return p.writeJSON(w)
	}
	p.say("%s", w.Title)
	p.say("")
	p.saySteps(w.Steps)
	p.say("")
	if len(w.Credentials)+len(w.Options) > 0 {
		settings := newTable("SETTING", "LABEL", "")
		for _, c := range w.Credentials {
			settings.row(c.Name, c.Label, c.Hint)
		}
		for _, o := range w.Options {
			settings.row(o.Name, o.Label, o.Hint)
		}
		p.printTable(settings)
		p.say("")
	}
	events := newTable("EVENT", "BECOMES", "")
	for _, m := range w.Mapping {
		events.row(m.Event, orDash(m.Type), m.Detail)
	}
	p.printTable(events)
	for _, text := range []string{w.Retries, w.Metadata, w.MetadataExample, w.TestHint} {
		if text == "" {
			continue
		}
		p.say("")
		p.sayBody("", text, nil, false)
	}
	return nil
}

// checkProvider refuses what is no provider that is known here.
func checkProvider(name string) (*feed.Provider, error) {
	if provider := feed.ProviderNamed(name); provider != nil {
		return provider, nil
	}
	return nil, usage("%v", noProvider(name, feed.Names()))
}

func noProvider(name string, names []string) error {
	if nearest := config.Nearest(name, names); nearest != "" {
		return fmt.Errorf("there is no provider %q; did you mean %s?", telltale.CutValue(name), nearest)
	}
	return fmt.Errorf("there is no provider %q; there are %s", telltale.CutValue(name), strings.Join(names, ", "))
}

func completeProviders(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for _, provider := range feed.Providers() {
		names = append(names, cobra.CompletionWithDesc(provider.Name, provider.Title))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func checkSource(id string) error { return checkID("source", "src_", id) }

func checkRequest(id string) error {
	if telltale.ValidID("req_", id) {
		return nil
	}
	return fail(exitNotFound, "there is no request %q; expected an id of req_ and 26 characters, as telltale sources unrecognised shows it", telltale.CutValue(id))
}
