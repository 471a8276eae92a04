package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"telltale.example/telltale/internal/client"
	"telltale.example/telltale/internal/config"
)

// root is the table of commands.
func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "telltale",
		Short: "self-hosted reporting webhooks: signed, retried, logged",
		Example: `  telltale demo                        see the whole product work, nothing is kept
  telltale serve                       run the server in this folder
  telltale trigger all                 send it one event of every type`,
		Long: `Telltale learns what happens to an organisation's messages and users, and tells
other systems at once, as signed JSON POSTs. The server is telltale serve; every
other command talks to one, on this machine unless --server says otherwise.

Settings come from flags, then variables TELLTALE_…, then the file of --config
or ./telltale.toml, then telltale/config.toml in the XDG configuration folder.
telltale config prints each of them and where it came from.

` + exitHelp,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	asGroup(root)
	flags := root.PersistentFlags()
	flags.StringVar(&p.configFile, "config", "", "read settings from this `file` and not from ./telltale.toml")
	flags.BoolVarP(&p.quiet, "quiet", "q", false, "leave out hints and progress")
	flags.BoolVar(&p.noColor, "no-color", false, "no colour, on a terminal either")
	flags.SortFlags = false

	root.AddCommand(
		p.demo(), p.serve(), p.listen(), p.trigger(),
		p.projects(), p.webhooks(), p.events(), p.deliveries(), p.replay(), p.replays(), p.auditLog(), p.users(), p.sources(), p.importFile(), p.imports(), p.goals(), p.keys(), p.nodes(), p.inspect(),
		p.sign(), p.verify(), p.doctor(), p.config(), p.migrate(), p.move(), p.rotateKeys(), p.backup(), p.restore(), p.resume(), p.operators(), p.openapi(), p.completion(), p.version(),
	)
	root.Version = version
	root.SetVersionTemplate("telltale {{.Version}}\n")
	root.InitDefaultHelpCmd()
	root.SetFlagErrorFunc(flagError)
	root.SetUsageFunc(func(cmd *cobra.Command) error {
		fmt.Fprintf(p.stderr, "See %s --help.\n", cmd.CommandPath())
		return nil
	})
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { fmt.Fprint(p.stdout, help(cmd)) })
	return root
}

// group is a noun with its verbs.
func group(noun, alias, short string, example string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: noun, Short: short, Example: example}
	if alias != "" {
		cmd.Aliases = []string{alias}
	}
	cmd.AddCommand(verbs...)
	asGroup(cmd)
	return cmd
}

// asGroup lets a command that only has others below it print its help when it
// is called alone, and say what was probably meant when the verb is none.
func asGroup(cmd *cobra.Command) {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		var names []string
		for _, c := range cmd.Commands() {
			names = append(names, c.Name())
		}
		meant := "; there are " + strings.Join(names, ", ")
		if nearest := config.Nearest(args[0], names); nearest != "" {
			meant = fmt.Sprintf("; did you mean %s %s?", cmd.CommandPath(), nearest)
		}
		return usage("there is no command %q%s", cmd.CommandPath()+" "+args[0], meant)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

// nameOf is the command as errors call it, which begin with the program's name.
func nameOf(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

// args checks the arguments by their names; the last may be "WEBHOOK...", one or
// more, and may be left out if it is in brackets.
func args(names ...string) cobra.PositionalArgs {
	last := ""
	if len(names) > 0 {
		last = names[len(names)-1]
	}
	needed, more := len(names), strings.Contains(last, "...")
	if strings.HasPrefix(last, "[") {
		needed--
	}
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < needed:
			return usage("%s: the argument %s is missing; see %s --help", nameOf(cmd), strings.TrimSuffix(names[len(args)], "..."), cmd.CommandPath())
		case len(args) > len(names) && !more:
			return usage("%s: there is one argument too many: %q; see %s --help", nameOf(cmd), args[len(names)], cmd.CommandPath())
		}
		return nil
	}
}

// required reports the flags that must be given and are not.
func required(cmd *cobra.Command, names ...string) error {
	var missing []string
	for _, name := range names {
		if !cmd.Flags().Changed(name) {
			missing = append(missing, "--"+name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return usage("%s needs %s; see %s --help", nameOf(cmd), strings.Join(missing, " and "), cmd.CommandPath())
}

// flagError says what is wrong with a flag, and which one was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		meant := ""
		if nearest := config.Nearest(unknown.GetSpecifiedName(), names); nearest != "" {
			meant = "; did you mean --" + nearest + "?"
		}
		return usage("%s has no flag --%s%s", nameOf(cmd), unknown.GetSpecifiedName(), meant)
	case errors.As(err, &invalid):
		return usage("flag --%s: %q; expected %s", invalid.GetFlag().Name, invalid.GetValue(), expectation(invalid))
	}
	return usage("%s: %v; see %s --help", nameOf(cmd), err, cmd.CommandPath())
}

// expectation says what a flag takes. Values of our own say it by their error.
func expectation(invalid *pflag.InvalidValueError) string {
	switch invalid.GetFlag().Value.Type() {
	case "int":
		return "a whole number"
	case "float64":
		return "a number"
	case "bool":
		return "true or false"
	case "duration":
		return "a duration, such as 30s or 5m"
	}
	return invalid.Unwrap().Error()
}

// each does the same to several things. If some of it fails, the rest is done
// all the same, and the exit status says so.
func (p *program) each(ids []string, done string, do func(id string) error) error {
	var errs []error
	for _, id := range ids {
		err := do(id)
		switch {
		case errors.Is(err, client.ErrDryRun):
		case err == nil && p.json:
			err = p.writeJSON(map[string]any{"id": id, done: true})
		case err == nil:
			p.say("%s %s", id, done)
		case len(ids) > 1:
			err = fmt.Errorf("%s: %w", id, err)
		}
		if err != nil && !errors.Is(err, client.ErrDryRun) {
			errs = append(errs, err)
		}
	}
	switch {
	case len(errs) == 0:
		return nil
	case len(errs) == len(ids) && len(ids) == 1:
		return errs[0]
	case len(errs) == len(ids):
		return &failure{statusOf(errs[0]), errors.Join(errs...)}
	}
	return &failure{exitPartly, errors.Join(errs...)}
}

const helpWidth = 100

// help is the manual page of a command: what it is for, examples, and only then
// the rest.
func help(cmd *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", cmd.CommandPath(), cmd.Short)
	if cmd.Example != "" {
		fmt.Fprintf(&b, "\nExamples\n%s\n", strings.TrimRight(cmd.Example, "\n"))
	}
	usage := cmd.UseLine()
	if cmd.HasAvailableSubCommands() {
		usage = cmd.CommandPath() + " COMMAND [flags]"
	}
	fmt.Fprintf(&b, "\nUsage\n  %s\n", usage)
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(&b, "  also: %s\n", strings.Join(cmd.Aliases, ", "))
	}
	if cmd.Long != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(cmd.Long))
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\nCommands\n")
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				fmt.Fprintf(&b, "  %-14s %s\n", c.Name(), c.Short)
			}
		}
	}
	if flags := cmd.LocalFlags(); flags.HasAvailableFlags() {
		fmt.Fprintf(&b, "\nFlags\n%s", flags.FlagUsagesWrapped(helpWidth))
	}
	if flags := cmd.InheritedFlags(); flags.HasAvailableFlags() {
		fmt.Fprintf(&b, "\nFlags of every command\n%s", flags.FlagUsagesWrapped(helpWidth))
	}
	return b.String()
}
