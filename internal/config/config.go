package config

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"telltale.example/telltale"
)

// Config holds the settings. Make one with [Load].
type Config struct {
	// Of the server.
	Listen    string // host:port of the API and the inspector; port 0 is any free one
	OpsListen string // host:port of health and metrics
	// TrustedProxies stand before Listen, and are believed when they say, in
	// X-Forwarded-For, where a request comes from.
	TrustedProxies []netip.Prefix
	PublicURL      string // how others reach Listen, without a path; empty: http:// and the address listened on
	Data           string // folder of the database, the secret key and the owner's token
	DatabaseURL    Secret // of a PostgreSQL database; empty: SQLite in Data
	SecretKey      Secret // seals what is secret in the database; empty: Data/secret.key, made on first run
	NodeRole       telltale.NodeRole
	Paused         bool // it sends nothing until it is told to
	LogLevel       slog.Level
	LogFormat      string // text or json
	Retention      int    // days that finished events are kept; 0 keeps them for good
	Workers        int    // attempts at once on this node
	AllowHTTP      bool   // webhooks may have http URLs
	EgressPorts    []uint16

	RepeatWindow time.Duration // for which a tracked event is known; 0 takes every one

	RequireIfMatch bool // changes by the API must say which version they are of

	// AllowPrivate lifts the rules on private addresses, http, hosts without a
	// dot, and ports; AllowCIDRs lifts them for addresses inside. DenyCIDRs
	// wins over both.
	AllowPrivate          bool
	AllowCIDRs, DenyCIDRs []netip.Prefix

	// Of the command line, which talks to a server.
	Server  string // URL of its API, without a path
	Token   Secret // empty: the owner's token in Data, if Server is this machine
	Project string // slug; empty: the key's own, or the one called default

	chosen map[string]chosen // by name of the setting
}

// chosen is where a setting's value came from.
type chosen struct {
	origin string
	text   string // as it was given
	file   string // of a secret: where to read it; text is empty then
}

// Secret is a text that does not end in a log or in an error message.
type Secret string

const hidden = "[redacted]"

// String hides the secret; string(s) is the text.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides the secret from the log.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Input is what [Load] looks at; it looks at nothing else but the files.
type Input struct {
	Flags   []Flag   // those that were set
	Environ []string // as from [os.Environ]
	File    string   // --config; empty: telltale.toml in Dir, if there is one
	Dir     string   // the current folder; empty is the process's own

	// Secrets says whose secrets to read from their files. A file that only
	// the server may read does not keep the command line from working.
	Secrets Role
}

// Flag is a setting given on the command line.
type Flag struct {
	Setting string // its name, such as allow_cidrs
	Text    string
	File    bool // Text names the file that holds the secret
}

// Load gathers the settings. Its error joins one error per thing that is
// wrong, each a single line for a person.
func Load(in Input) (Config, error) {
	c := Defaults()
	var faults []error
	files, err := configFiles(in)
	if err != nil {
		return Config{}, err
	}
	sources := make([][]given, 0, len(files)+2)
	for _, f := range files {
		values, errs := f.read()
		sources, faults = append(sources, values), append(faults, errs...)
	}
	values, errs := fromEnviron(in.Environ)
	sources, faults = append(sources, values), append(faults, errs...)
	sources = append(sources, fromFlags(in.Flags))

	for _, source := range sources {
		faults = append(faults, c.take(source)...)
	}
	faults = append(faults, c.readSecrets(in)...)
	if err := errors.Join(faults...); err != nil {
		return Config{}, err
	}
	c.deriveServer()
	return c, nil
}

// Defaults gives the settings where nobody says anything.
func Defaults() Config {
	c := Config{chosen: map[string]chosen{}}
	for _, s := range settings {
		c.chosen[s.Name] = chosen{origin: "default", text: s.Default}
		if s.Default != "" {
			s.parse(&c, s.Default)
		}
	}
	return c
}

// given is one value as a source has it.
type given struct {
	setting *setting
	file    bool // the text names a file that holds the secret
	text    string
	origin  string
}

// take sets the values of one source over those of the sources before.
func (c *Config) take(source []given) (faults []error) {
	for i, g := range source {
		for _, other := range source[:i] {
			if other.setting == g.setting {
				faults = append(faults, fmt.Errorf("%s and %s: both are set; expected one of the two", other.origin, g.origin))
			}
		}
		now := chosen{origin: g.origin, text: g.text}
		if g.file {
			now.text, now.file = "", g.text
		} else if bad, ok := g.setting.parse(c, g.text); !ok {
			faults = append(faults, g.fault(bad))
			continue
		}
		c.chosen[g.setting.Name] = now
	}
	return faults
}

func (g given) fault(value string) error {
	if g.setting.Secret {
		return fmt.Errorf("%s: this value (not shown) cannot be used; expected %s", g.origin, g.setting.expect)
	}
	return fmt.Errorf("%s: %q; expected %s", g.origin, cut(value), g.setting.expect)
}

func cut(s string) string {
	if len(s) <= 64 {
		return s
	}
	return strings.ToValidUTF8(s[:64], "") + "…"
}

// maxSecretFile bounds a file that holds a secret, in bytes.
const maxSecretFile = 64 << 10

// readSecrets reads the files that hold secrets of the role asked for.
func (c *Config) readSecrets(in Input) (faults []error) {
	for i := range settings {
		s := &settings[i]
		from := c.chosen[s.Name]
		if from.file == "" || s.Role&in.Secrets == 0 {
			continue
		}
		path := from.file
		if !filepath.IsAbs(path) {
			path = filepath.Join(in.Dir, path)
		}
		text, err := readBounded(path, maxSecretFile)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w; expected a file with %s", from.origin, err, s.expect))
			continue
		}
		if _, ok := s.parse(c, strings.TrimSpace(string(text))); !ok {
			faults = append(faults, fmt.Errorf("%s: what is in %s cannot be used; expected %s", from.origin, from.file, s.expect))
		}
	}
	return faults
}

func readBounded(path string, max int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(b)) > max {
		err = fmt.Errorf("%s is larger than %d bytes", path, max)
	}
	return b, err
}

// deriveServer lets the command line find the server that the same settings
// would start.
func (c *Config) deriveServer() {
	if c.Server != "" {
		return
	}
	from := "default"
	if listen := c.chosen["listen"]; listen.origin != "default" {
		from = "listen, " + listen.origin
	}
	host, port, _ := net.SplitHostPort(c.Listen) // parsed already
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	c.Server = "http://" + net.JoinHostPort(host, port)
	c.chosen["server"] = chosen{origin: from, text: c.Server}
}

// Value is a setting as people see it.
type Value struct {
	Setting string `json:"setting"`
	Value   string `json:"value"`
	Origin  string `json:"origin"`
}

// Values lists all settings with their origins, secrets hidden.
func (c *Config) Values() []Value {
	values := make([]Value, len(settings))
	for i, s := range settings {
		from := c.chosen[s.Name]
		values[i] = Value{Setting: s.Name, Value: from.text, Origin: from.origin}
		switch {
		case from.file != "":
			values[i].Value = "[in " + from.file + "]"
		case s.Secret:
			values[i].Value = Secret(from.text).String()
		}
	}
	return values
}

// Origin says where the value of a setting came from: "flag --listen", "env
// TELLTALE_LISTEN", "file ./telltale.toml:listen" or "default".
func (c *Config) Origin(name string) string { return c.chosen[name].origin }

// Changed names the settings in which c and other differ.
func (c *Config) Changed(other *Config) []string {
	var names []string
	for _, s := range settings {
		if a, b := c.chosen[s.Name], other.chosen[s.Name]; a.text != b.text || a.file != b.file {
			names = append(names, s.Name)
		}
	}
	return names
}

// fromFlags names each value after its flag.
func fromFlags(flags []Flag) []given {
	values := make([]given, 0, len(flags))
	for _, f := range flags {
		i := slices.IndexFunc(settings, func(s setting) bool { return s.Name == f.Setting })
		s := &settings[i] // a flag that belongs to no setting is a mistake in the program
		origin := "flag --" + s.Flag
		if f.File {
			origin = "flag --" + s.FileFlag()
		}
		values = append(values, given{setting: s, file: f.File, text: f.Text, origin: origin})
	}
	return values
}
