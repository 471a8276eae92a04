package config

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"telltale.example/telltale"
)

// Role says who a setting is for.
type Role int

// The roles; a set of them is their sum.
const (
	Server Role = 1 << iota
	Client
)

// Kind says how a setting is written in a file.
type Kind int

// The kinds of settings.
const (
	Text   Kind = iota // listen = "127.0.0.1:8484"
	Bool               // allow_http = true
	Number             // workers = 100
	List               // egress_ports = [9000, 9001]; with commas in variables and flags
)

// Setting describes a setting to those who offer it to people.
type Setting struct {
	Name    string // in files; in capitals and after TELLTALE_ in the environment
	Flag    string // empty if a flag must not carry it, since other users of the machine see flags
	Usage   string
	Default string
	Kind    Kind
	Role    Role
	Secret  bool // can be read from a file too
}

// Env is the name of the setting's variable.
func (s *Setting) Env() string { return envPrefix + strings.ToUpper(s.Name) }

// FileFlag is the flag that names the file of a secret.
func (s *Setting) FileFlag() string { return strings.ReplaceAll(s.Name, "_", "-") + "-file" }

// Settings lists the settings of a role, in the order in which people want to
// read them.
func Settings(role Role) []Setting {
	var list []Setting
	for _, s := range settings {
		if s.Role&role != 0 {
			list = append(list, s.Setting)
		}
	}
	return list
}

// setting is a Setting and its one parser, the same for every source: hence no
// library that decodes the environment or files into a struct by parsers of
// its own, with errors of their own.
type setting struct {
	Setting
	expect string
	// parse sets the value in c, or gives back the part of text that is wrong.
	parse func(c *Config, text string) (bad string, ok bool)
}

// Bounds of what a setting may hold.
const (
	maxList      = 1000
	maxRetention = 36_500
	maxWorkers   = 10_000
	maxTextBytes = 4096
	// maxRepeatWindow keeps what is remembered of tracked events to a day's.
	maxRepeatWindow = 24 * time.Hour
)

var settings = []setting{
	{
		Setting{Name: "listen", Flag: "listen", Default: "127.0.0.1:8484", Role: Server,
			Usage: "`address` of the API and the inspector; port 0 is any free one"},
		"host:port, such as 127.0.0.1:8484",
		address(func(c *Config) *string { return &c.Listen }),
	},
	{
		Setting{Name: "ops_listen", Flag: "ops-listen", Default: "127.0.0.1:8485", Role: Server,
			Usage: "`address` of health and metrics; keep it off the internet"},
		"host:port, such as 127.0.0.1:8485",
		address(func(c *Config) *string { return &c.OpsListen }),
	},
	{
		Setting{Name: "public_url", Flag: "public-url", Role: Server,
			Usage: "`URL` under which others reach --listen, if a proxy stands before it"},
		"an http or https URL without a path, such as https://telltale.example.com",
		origin(func(c *Config) *string { return &c.PublicURL }),
	},
	{
		Setting{Name: "trusted_proxies", Flag: "trusted-proxy", Kind: List, Role: Server,
			Usage: "believe proxies in this `CIDR` range when they say, in X-Forwarded-For, where a request comes from (repeatable)"},
		"address ranges of proxies, such as 10.1.0.0/16, and not everybody's",
		trustedProxies,
	},
	{
		Setting{Name: "data", Flag: "data", Default: "./telltale-data", Role: Server | Client,
			Usage: "`folder` of the database, the secret key and the owner's token; with --database-url, of the owner's token alone, and only if it is named"},
		"a folder, such as /var/lib/telltale",
		func(c *Config, text string) (string, bool) {
			c.Data = text
			return text, text != "" && len(text) <= maxTextBytes && !strings.Contains(text, "\x00")
		},
	},
	{
		Setting{Name: "database_url", Flag: "database-url", Role: Server, Secret: true,
			Usage: "`URL` of a PostgreSQL database that several servers may share; a password is better in TELLTALE_DATABASE_URL, since other users of the machine see flags; default: an SQLite database in --data"},
		"postgres://user@host/database, or PostgreSQL's key=value form, such as host=db.internal dbname=telltale",
		func(c *Config, text string) (string, bool) {
			c.DatabaseURL = Secret(text)
			return text, validDatabaseURL(text)
		},
	},
	{
		Setting{Name: "role", Flag: "role", Default: string(telltale.NodeAll), Role: Server,
			Usage: "what this server does among those that share a PostgreSQL database: all, api (takes requests and shows pages) or `worker` (sends, and runs the jobs)"},
		"all, api or worker",
		func(c *Config, text string) (string, bool) {
			c.NodeRole = telltale.NodeRole(text)
			return text, c.NodeRole == telltale.NodeAll || c.NodeRole == telltale.NodeAPI || c.NodeRole == telltale.NodeWorker
		},
	},
	{
		Setting{Name: "paused", Flag: "paused", Default: "false", Kind: Bool, Role: Server,
			Usage: "accept, but send nothing and run no jobs until telltale resume, or a start without this; for a database that was restored"},
		"true or false",
		boolean(func(c *Config) *bool { return &c.Paused }),
	},
	{
		Setting{Name: "secret_key", Role: Server, Secret: true,
			Usage: "`file` with the key that seals secrets in the database; servers that share a database share it; default, without --database-url: secret.key in --data, made on first run"},
		"base64 of 32 bytes, as `openssl rand -base64 32` prints; one key a line or with commas, the current one first",
		func(c *Config, text string) (string, bool) {
			c.SecretKey = Secret(text)
			return text, validSecretKey(text)
		},
	},
	{
		Setting{Name: "allow_private", Flag: "allow-private", Default: "false", Kind: Bool, Role: Server,
			Usage: "let webhooks point to private addresses, any port and http; for development on one's own machine"},
		"true or false",
		boolean(func(c *Config) *bool { return &c.AllowPrivate }),
	},
	{
		Setting{Name: "allow_cidrs", Flag: "allow-cidr", Kind: List, Role: Server,
			Usage: "let webhooks point to addresses in this `CIDR` range as if they were public, on any port and with http too (repeatable)"},
		"address ranges, such as 10.1.0.0/16",
		prefixes(func(c *Config) *[]netip.Prefix { return &c.AllowCIDRs }),
	},
	{
		Setting{Name: "deny_cidrs", Flag: "deny-cidr", Kind: List, Role: Server,
			Usage: "never connect to addresses in this `CIDR` range, whatever else is allowed (repeatable)"},
		"address ranges, such as 203.0.113.0/24",
		prefixes(func(c *Config) *[]netip.Prefix { return &c.DenyCIDRs }),
	},
	{
		Setting{Name: "allow_http", Flag: "allow-http", Default: "false", Kind: Bool, Role: Server,
			Usage: "let webhooks have http URLs, which anybody on the way can read"},
		"true or false",
		boolean(func(c *Config) *bool { return &c.AllowHTTP }),
	},
	{
		Setting{Name: "egress_ports", Flag: "egress-ports", Kind: List, Role: Server,
			Usage: "`ports` that webhooks may use besides 443, 80, 8080 and 8443"},
		"ports from 1 to 65535, such as 9000,9001",
		ports,
	},
	{
		Setting{Name: "log_level", Flag: "log-level", Default: "info", Role: Server,
			Usage: "the least `level` that is logged: debug, info, warn or error; reloaded on SIGHUP"},
		"debug, info, warn or error",
		logLevel,
	},
	{
		Setting{Name: "log_format", Flag: "log-format", Default: "text", Role: Server,
			Usage: "how log lines look: text or json"},
		"text or json",
		func(c *Config, text string) (string, bool) {
			c.LogFormat = text
			return text, text == "text" || text == "json"
		},
	},
	{
		Setting{Name: "retention_days", Flag: "retention-days", Default: "30", Kind: Number, Role: Server,
			Usage: "how many `days` finished events are kept; 0 keeps them for good"},
		fmt.Sprintf("a number of days from 0 to %d; 0 keeps everything", maxRetention),
		number(0, maxRetention, func(c *Config) *int { return &c.Retention }),
	},
	{
		Setting{Name: "workers", Flag: "workers", Default: "256", Kind: Number, Role: Server,
			Usage: "the largest `number` of requests to receivers at once"},
		fmt.Sprintf("a number from 1 to %d", maxWorkers),
		number(1, maxWorkers, func(c *Config) *int { return &c.Workers }),
	},
	{
		Setting{Name: "repeat_window", Flag: "repeat-window", Default: "5m", Role: Server,
			Usage: "for how `long` an event that the Track API gets again is taken for a repetition; 0s takes every one"},
		"a duration from 0s to 24h, such as 5m",
		duration(0, maxRepeatWindow, func(c *Config) *time.Duration { return &c.RepeatWindow }),
	},
	{
		Setting{Name: "require_if_match", Flag: "require-if-match", Default: "false", Kind: Bool, Role: Server,
			Usage: "refuse changes of webhooks and projects by the API that do not name, with If-Match, the version they are of"},
		"true or false",
		boolean(func(c *Config) *bool { return &c.RequireIfMatch }),
	},
	{
		Setting{Name: "server", Flag: "server", Role: Client,
			Usage: "`URL` of the server; default: the one that listens here"},
		"an http or https URL without a path, such as https://telltale.example.com",
		origin(func(c *Config) *string { return &c.Server }),
	},
	{
		Setting{Name: "token", Flag: "token", Role: Client, Secret: true,
			Usage: "the `key` to use, tt_…; better in TELLTALE_TOKEN, since other users of the machine see flags; default: owner.token in --data, if the server is on this machine"},
		"a key, which begins with tt_",
		func(c *Config, text string) (string, bool) {
			c.Token = Secret(text)
			return text, validToken(text)
		},
	},
	{
		Setting{Name: "project", Flag: "project", Role: Client,
			Usage: "`slug` of the project to work on; default: the key's own, or for an owner's key the one called default"},
		"a project's slug: 1 to 40 of a-z, 0-9 and -",
		func(c *Config, text string) (string, bool) {
			c.Project = text
			return text, telltale.Project{Slug: text, Name: text}.Validate() == nil
		},
	},
}

func address(field func(*Config) *string) func(*Config, string) (string, bool) {
	return func(c *Config, text string) (string, bool) {
		host, port, err := net.SplitHostPort(text)
		if err != nil || len(host) > 253 || strings.ContainsAny(host, " /@\x00") {
			return text, false
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return text, false
		}
		*field(c) = text
		return "", true
	}
}

// origin takes a URL that is scheme, host and port: nothing is served below a path.
func origin(field func(*Config) *string) func(*Config, string) (string, bool) {
	return func(c *Config, text string) (string, bool) {
		u, err := url.Parse(text)
		if err != nil || len(text) > maxTextBytes || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" ||
			u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Path != "" && u.Path != "/" {
			return text, false
		}
		if port := u.Port(); port != "" {
			if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
				return text, false
			}
		}
		*field(c) = u.Scheme + "://" + u.Host
		return "", true
	}
}

func boolean(field func(*Config) *bool) func(*Config, string) (string, bool) {
	return func(c *Config, text string) (string, bool) {
		switch text {
		case "true", "1":
			*field(c) = true
		case "false", "0":
			*field(c) = false
		default:
			return text, false
		}
		return "", true
	}
}

func number(min, max int, field func(*Config) *int) func(*Config, string) (string, bool) {
	return func(c *Config, text string) (string, bool) {
		n, err := strconv.Atoi(text)
		if err != nil || n < min || n > max {
			return text, false
		}
		*field(c) = n
		return "", true
	}
}

func duration(min, max time.Duration, field func(*Config) *time.Duration) func(*Config, string) (string, bool) {
	return func(c *Config, text string) (string, bool) {
		d, err := time.ParseDuration(text)
		if err != nil || d < min || d > max {
			return text, false
		}
		*field(c) = d
		return "", true
	}
}

// items cuts a list at its commas.
func items(text string) []string {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	list := strings.Split(text, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

func prefixes(field func(*Config) *[]netip.Prefix) func(*Config, string) (string, bool) {
	return func(c *Config, text string) (string, bool) {
		list := items(text)
		if len(list) > maxList {
			return fmt.Sprintf("%d ranges", len(list)), false
		}
		var found []netip.Prefix
		for _, item := range list {
			p, err := netip.ParsePrefix(item)
			if err != nil {
				ip, err := netip.ParseAddr(item) // a single address is a range of one
				if err != nil || ip.Zone() != "" {
					return item, false
				}
				p = netip.PrefixFrom(ip, ip.BitLen())
			}
			found = append(found, p.Masked())
		}
		*field(c) = found
		return "", true
	}
}

// trustedProxies takes any ranges but one that is everybody, who would all be
// believed whatever they say.
func trustedProxies(c *Config, text string) (string, bool) {
	bad, ok := prefixes(func(c *Config) *[]netip.Prefix { return &c.TrustedProxies })(c, text)
	for _, p := range c.TrustedProxies {
		if ok && p.Bits() == 0 {
			return p.String(), false
		}
	}
	return bad, ok
}

func ports(c *Config, text string) (string, bool) {
	list := items(text)
	if len(list) > maxList {
		return fmt.Sprintf("%d ports", len(list)), false
	}
	var found []uint16
	for _, item := range list {
		n, err := strconv.ParseUint(item, 10, 16)
		if err != nil || n == 0 {
			return item, false
		}
		found = append(found, uint16(n))
	}
	c.EgressPorts = found
	return "", true
}

func logLevel(c *Config, text string) (string, bool) {
	switch text {
	case "debug":
		c.LogLevel = slog.LevelDebug
	case "info":
		c.LogLevel = slog.LevelInfo
	case "warn":
		c.LogLevel = slog.LevelWarn
	case "error":
		c.LogLevel = slog.LevelError
	default:
		return text, false
	}
	return "", true
}

// keyValue begins PostgreSQL's other form of a connection string.
var keyValue = regexp.MustCompile(`^\s*[a-z_]+\s*=`)

// validDatabaseURL tells what is meant for PostgreSQL from what is not; the rest
// its driver knows better.
func validDatabaseURL(text string) bool {
	scheme, rest, isURL := strings.Cut(text, "://")
	if keyValue.MatchString(text) {
		isURL = false // there may be one in a password
	} else if !isURL {
		return false
	}
	return len(text) <= maxTextBytes && !strings.ContainsFunc(text, unicode.IsControl) && (!isURL || rest != "" && (scheme == "postgres" || scheme == "postgresql"))
}

// validSecretKey tells whether text is keys, one a line or with commas. Blank lines and those
// that begin with # do not count: the file that a first run makes begins with
// some, and it is copied from there to the servers that share a database.
func validSecretKey(text string) bool {
	if len(text) > maxSecretFile {
		return false
	}
	keys := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		for word := range strings.SplitSeq(line, ",") {
			key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(word))
			if err != nil || len(key) != 32 {
				return false
			}
			keys++
		}
	}
	return keys > 0
}

func validToken(text string) bool {
	rest, ok := strings.CutPrefix(text, "tt_")
	return ok && rest != "" && len(text) <= 200 && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}
