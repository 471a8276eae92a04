package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"telltale.example/telltale/internal/app"
	"telltale.example/telltale/internal/client"
	"telltale.example/telltale/internal/config"
)

// settingFlags notes which settings were given as flags. What they are worth,
// internal/config decides, by the same rule as for every other source.
type settingFlags []config.Flag

// offer gives the command a flag per setting of the role, or for those named
// only. A flag that the command has already keeps its meaning: in trigger,
// --data is the event, and the data folder is named by TELLTALE_DATA.
func (p *program) offer(cmd *cobra.Command, role config.Role, only ...string) {
	flags := cmd.Flags()
	flags.SortFlags = false
	for _, s := range config.Settings(role) {
		if len(only) > 0 && !slices.Contains(only, s.Name) || flags.Lookup(s.Flag) != nil {
			continue
		}
		if s.Flag != "" {
			flags.Var(&settingFlag{to: &p.settings, setting: s}, s.Flag, s.Usage)
			if s.Kind == config.Bool {
				flags.Lookup(s.Flag).NoOptDefVal = "true"
			}
		}
		if s.Secret {
			use := s.Usage
			if s.Flag != "" {
				use = "`file` that holds what --" + s.Flag + " would"
			}
			flags.Var(&settingFlag{to: &p.settings, setting: s, file: true}, s.FileFlag(), use)
		}
	}
}

// settingFlag is a flag that stands for a setting, or for the file of a secret.
type settingFlag struct {
	to      *settingFlags
	setting config.Setting
	file    bool
}

// Set notes the text; a list that is given again grows.
func (f *settingFlag) Set(text string) error {
	for i, given := range *f.to {
		if given.Setting != f.setting.Name || given.File != f.file {
			continue
		}
		if f.setting.Kind == config.List {
			text = given.Text + "," + text
		}
		(*f.to)[i].Text = text
		return nil
	}
	*f.to = append(*f.to, config.Flag{Setting: f.setting.Name, Text: text, File: f.file})
	return nil
}

// String is the default, for the help text.
func (f *settingFlag) String() string {
	if f.file {
		return ""
	}
	return f.setting.Default
}

// Type keeps pflag from writing defaults in quotes, and lets flags without a
// value be switches.
func (f *settingFlag) Type() string {
	if f.setting.Kind == config.Bool {
		return "bool"
	}
	return "setting"
}

// load gathers the settings and reads the secrets of the role.
func (p *program) load(secrets config.Role) (config.Config, error) {
	c, err := config.Load(config.Input{Flags: p.settings, Environ: p.environ, File: p.configFile, Secrets: secrets})
	if err != nil {
		return config.Config{}, &failure{exitUsage, err}
	}
	return c, nil
}

const defaultTimeout = 30 * time.Second

// speaks makes the command one that talks to a server.
func (p *program) speaks(cmd *cobra.Command) *cobra.Command {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&p.json, "json", false, "print JSON: one object, and one per line for lists")
	flags.BoolVarP(&p.verbose, "verbose", "v", false, "say which requests are made")
	flags.DurationVar(&p.timeout, "timeout", defaultTimeout, "longest `wait` for an answer")
	p.offer(cmd, config.Client)
	return cmd
}

// mutates makes the command one that talks to a server and changes something there.
func (p *program) mutates(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&p.dryRun, "dry-run", false, "check what can be checked here, show the request, and do not send it")
	return p.speaks(cmd)
}

// needsYes gives the command the flag that answers its question.
func (p *program) needsYes(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&p.yes, "yes", false, "do not ask")
	return cmd
}

// client makes the client that the command talks through.
func (p *program) client() (*client.Client, error) {
	if p.timeout <= 0 || p.timeout > time.Hour {
		return nil, usage("flag --timeout: %q; expected a duration from 1ms to 1h", p.timeout)
	}
	cfg, err := p.load(config.Client)
	if err != nil {
		return nil, err
	}
	token, err := p.token(cfg)
	if err != nil && !p.dryRun {
		return nil, err
	}
	options := client.Options{
		Server: cfg.Server, Token: token, Project: cfg.Project,
		Timeout: p.timeout, UserAgent: "telltale/" + version + " (command line)",
	}
	if p.verbose {
		options.Trace = func(method, url, outcome string, took time.Duration) {
			fmt.Fprintf(p.stderr, "%s %s: %s in %s\n", method, printable(url), printable(outcome), millis(float64(took)/float64(time.Millisecond)))
		}
	}
	if p.dryRun {
		options.DryRun = p.showRequest
	}
	return client.New(options), nil
}

// token is the key to use: the one that was given, or the owner's, which is
// never sent to another machine.
func (p *program) token(cfg config.Config) (string, error) {
	if cfg.Token != "" {
		return string(cfg.Token), nil
	}
	if !onThisMachine(cfg.Server) {
		return "", fail(exitDenied, "%s needs a key: put one into TELLTALE_TOKEN", cfg.Server)
	}
	path := filepath.Join(cfg.Data, app.OwnerTokenFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fail(exitDenied, "there is no key to use: %v; start the server first, name its folder with --data, or put a key into TELLTALE_TOKEN", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// onThisMachine reports whether a server's URL leads to loopback.
func onThisMachine(server string) bool {
	u, err := url.Parse(server)
	if err != nil {
		return false
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		return ip.Unmap().IsLoopback()
	}
	return u.Hostname() == "localhost"
}

// showRequest is what --dry-run does in place of sending.
func (p *program) showRequest(method, path string, body []byte) {
	p.hint("Would send this, without --dry-run:")
	p.say("%s %s", method, path)
	if len(body) > 0 {
		p.say("%s", body)
	}
}

// freePort is the address of the same host with any free port.
func freePort(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return net.JoinHostPort(host, "0")
}
