package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
)

// world is a folder with files and an environment for Load to look at.
type world struct {
	files   map[string]string // below the current folder; xdg/… is below XDG_CONFIG_HOME
	environ []string
	flags   []Flag
	file    string
	secrets Role
}

func (w world) load(t *testing.T) (Config, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range w.files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	environ := append([]string{"XDG_CONFIG_HOME=" + filepath.Join(dir, "xdg"), "PATH=/bin", "HOME=/nobody"}, w.environ...)
	c, err := Load(Input{Flags: w.flags, Environ: environ, File: w.file, Dir: dir, Secrets: w.secrets})
	if err != nil {
		err = fmt.Errorf("%s", strings.ReplaceAll(err.Error(), dir, "DIR"))
	}
	return c, err
}

func TestDefaultsAreWhatTheDocumentationSays(t *testing.T) {
	t.Parallel()
	c, err := world{}.load(t)
	if err != nil {
		t.Fatal(err)
	}
	want := []Value{
		{"listen", "127.0.0.1:8484", "default"},
		{"ops_listen", "127.0.0.1:8485", "default"},
		{"public_url", "", "default"},
		{"trusted_proxies", "", "default"},
		{"data", "./telltale-data", "default"},
		{"database_url", "", "default"},
		{"role", "all", "default"},
		{"paused", "false", "default"},
		{"secret_key", "", "default"},
		{"allow_private", "false", "default"},
		{"allow_cidrs", "", "default"},
		{"deny_cidrs", "", "default"},
		{"allow_http", "false", "default"},
		{"egress_ports", "", "default"},
		{"log_level", "info", "default"},
		{"log_format", "text", "default"},
		{"retention_days", "30", "default"},
		{"workers", "256", "default"},
		{"repeat_window", "5m", "default"},
		{"require_if_match", "false", "default"},
		{"server", "http://127.0.0.1:8484", "default"},
		{"token", "", "default"},
		{"project", "", "default"},
	}
	if diff := cmp.Diff(want, c.Values()); diff != "" {
		t.Error(diff)
	}
	if c.Retention != 30 || c.RepeatWindow != telltale.RepeatWindow || c.Workers != 256 || c.Listen != "127.0.0.1:8484" || c.LogLevel != slog.LevelInfo || c.Server != "http://127.0.0.1:8484" {
		t.Errorf("the fields do not hold the defaults: %+v", c)
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	all := world{
		files: map[string]string{
			"xdg/telltale/config.toml": "workers = 1",
			"telltale.toml":            "workers = 2",
			"other.toml":               "workers = 3",
		},
		environ: []string{"TELLTALE_WORKERS=4"},
		flags:   []Flag{{Setting: "workers", Text: "5"}},
		file:    "other.toml",
	}
	without := func(change func(*world)) world { w := all; change(&w); return w }
	for _, tt := range []struct {
		name   string
		world  world
		want   int
		origin string
	}{
		{"a flag wins over everything", all, 5, "flag --workers"},
		{"the environment wins over files", without(func(w *world) { w.flags = nil }), 4, "env TELLTALE_WORKERS"},
		{"an empty variable is as good as none", without(func(w *world) { w.flags = nil; w.environ = []string{"TELLTALE_WORKERS="} }), 3, "file other.toml:workers"},
		{"the file of --config takes the place of ./telltale.toml", without(func(w *world) { w.flags, w.environ = nil, nil }), 3, "file other.toml:workers"},
		{"./telltale.toml wins over the XDG folder", without(func(w *world) { w.flags, w.environ, w.file = nil, nil, "" }), 2, "file ./telltale.toml:workers"},
		{"the XDG folder wins over the default", world{files: map[string]string{"xdg/telltale/config.toml": "workers = 1"}}, 1, "file DIR/xdg/telltale/config.toml:workers"},
		{"a file that lacks the key leaves the weaker one's", world{files: map[string]string{"xdg/telltale/config.toml": "workers = 1", "telltale.toml": "log_level = 'warn'"}}, 1, "file DIR/xdg/telltale/config.toml:workers"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := tt.world.load(t)
			if err != nil {
				t.Fatal(err)
			}
			origin := c.Origin("workers")
			if strings.Contains(tt.origin, "DIR") { // the folder's name is the test's own
				origin = "file DIR" + origin[strings.Index(origin, "/xdg"):]
			}
			if c.Workers != tt.want || origin != tt.origin {
				t.Errorf("workers = %d from %q, want %d from %q", c.Workers, origin, tt.want, tt.origin)
			}
		})
	}
}

func TestEveryKindIsReadFromEverySource(t *testing.T) {
	t.Parallel()
	want := Config{
		Listen: "[::1]:9000", Data: "/d", AllowHTTP: true, EgressPorts: []uint16{9000, 9001}, LogLevel: slog.LevelDebug,
		AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.168.1.7/32")},
	}
	for _, tt := range []struct {
		name  string
		world world
	}{
		{"flags", world{flags: []Flag{
			{Setting: "listen", Text: "[::1]:9000"}, {Setting: "data", Text: "/d"}, {Setting: "allow_http", Text: "true"},
			{Setting: "egress_ports", Text: "9000, 9001"}, {Setting: "log_level", Text: "debug"}, {Setting: "allow_cidrs", Text: "10.1.2.3/8,192.168.1.7"},
		}}},
		{"the environment", world{environ: []string{
			"TELLTALE_LISTEN=[::1]:9000", "TELLTALE_DATA=/d", "TELLTALE_ALLOW_HTTP=1",
			"TELLTALE_EGRESS_PORTS=9000,9001", "TELLTALE_LOG_LEVEL=debug", "TELLTALE_ALLOW_CIDRS=10.0.0.0/8, 192.168.1.7/32",
		}}},
		{"a file", world{files: map[string]string{"telltale.toml": `
			listen = "[::1]:9000"
			data = "/d"
			allow_http = true
			egress_ports = [9000, 9001]
			log_level = "debug"
			allow_cidrs = ["10.0.0.0/8", "192.168.1.7/32"]`}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := tt.world.load(t)
			if err != nil {
				t.Fatal(err)
			}
			got := Config{Listen: c.Listen, Data: c.Data, AllowHTTP: c.AllowHTTP, EgressPorts: c.EgressPorts, LogLevel: c.LogLevel, AllowCIDRs: c.AllowCIDRs}
			same := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
			if diff := cmp.Diff(want, got, same, cmp.AllowUnexported(Config{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBadValuesGetOneLineEach(t *testing.T) {
	t.Parallel()
	file := func(text string) world { return world{files: map[string]string{"telltale.toml": text}} }
	for _, tt := range []struct {
		name  string
		world world
		want  string
	}{
		{"a misspelt variable", world{environ: []string{"TELLTALE_RETENTOIN_DAYS=3"}}, "env TELLTALE_RETENTOIN_DAYS: there is no such setting; did you mean TELLTALE_RETENTION_DAYS?"},
		{"a variable like nothing", world{environ: []string{"TELLTALE_COLOUR=x"}}, "env TELLTALE_COLOUR: there is no such setting"},
		{"a variable in small letters", world{environ: []string{"TELLTALE_listen=127.0.0.1:1"}}, "env TELLTALE_listen: there is no such setting; did you mean TELLTALE_LISTEN?"},
		{"a port where Kubernetes would put a URL", world{environ: []string{"TELLTALE_PORT=9000"}}, "env TELLTALE_PORT: there is no such setting"},
		{"a misspelt key", file("retention_day = 3"), "file ./telltale.toml:retention_day: there is no such setting; did you mean retention_days?"},
		{"a table", file("[server]\nlisten = 'x'"), `file ./telltale.toml:server: "map[listen:x]"; expected an http or https URL without a path, such as https://telltale.example.com, written as a string in quotes`},
		{"a string for a boolean", file(`allow_http = "yes"`), `file ./telltale.toml:allow_http: "yes"; expected true or false, written as true or false without quotes`},
		{"a number for a string", file(`listen = 8484`), `file ./telltale.toml:listen: "8484"; expected host:port, such as 127.0.0.1:8484, written as a string in quotes`},
		{"a list of lists", file(`egress_ports = [[1]]`), `file ./telltale.toml:egress_ports: "[[1]]"; expected ports from 1 to 65535, such as 9000,9001, written as a list in square brackets`},
		{"no TOML", file("listen = 'a'\nworkers =\n"), "file ./telltale.toml, line 2, column 10: unexpected character U+000A at start of value; expected TOML"},
		{"a key twice", file("workers = 1\nworkers = 2"), "file ./telltale.toml, line 2, column 1: key workers is already defined; expected TOML"},
		{"a file that is too large", file(strings.Repeat("#", maxFile+1)), "file ./telltale.toml: DIR/telltale.toml is larger than 65536 bytes"},
		{"a file that is not there", world{file: "no.toml"}, `flag --config: "no.toml"; expected a file, and there is none`},
		{"an address without a port", world{flags: []Flag{{Setting: "listen", Text: "localhost"}}}, `flag --listen: "localhost"; expected host:port, such as 127.0.0.1:8484`},
		{"a port beyond the last", world{environ: []string{"TELLTALE_OPS_LISTEN=:65536"}}, `env TELLTALE_OPS_LISTEN: ":65536"; expected host:port, such as 127.0.0.1:8485`},
		{"a public URL with a path", world{environ: []string{"TELLTALE_PUBLIC_URL=https://a.example/t"}}, `env TELLTALE_PUBLIC_URL: "https://a.example/t"; expected an http or https URL without a path, such as https://telltale.example.com`},
		{"a server with a password", world{environ: []string{"TELLTALE_SERVER=https://u:p@a.example"}}, `env TELLTALE_SERVER: "https://u:p@a.example"; expected an http or https URL without a path, such as https://telltale.example.com`},
		{"the one bad range of several", world{environ: []string{"TELLTALE_DENY_CIDRS=10.0.0.0/8,10.0.0.0/33"}}, `env TELLTALE_DENY_CIDRS: "10.0.0.0/33"; expected address ranges, such as 203.0.113.0/24`},
		{"a number that is none", world{environ: []string{"TELLTALE_WORKERS=many"}}, `env TELLTALE_WORKERS: "many"; expected a number from 1 to 10000`},
		{"a value out of range", world{flags: []Flag{{Setting: "retention_days", Text: "-1"}}}, `flag --retention-days: "-1"; expected a number of days from 0 to 36500; 0 keeps everything`},
		{"a duration that is none", world{environ: []string{"TELLTALE_REPEAT_WINDOW=5"}}, `env TELLTALE_REPEAT_WINDOW: "5"; expected a duration from 0s to 24h, such as 5m`},
		{"a duration out of range", world{environ: []string{"TELLTALE_REPEAT_WINDOW=25h"}}, `env TELLTALE_REPEAT_WINDOW: "25h"; expected a duration from 0s to 24h, such as 5m`},
		{"a long value is cut", world{environ: []string{"TELLTALE_LOG_LEVEL=" + strings.Repeat("x", 100)}}, `env TELLTALE_LOG_LEVEL: "` + strings.Repeat("x", 64) + `…"; expected debug, info, warn or error`},
		{"a value with a line break stays one line", world{environ: []string{"TELLTALE_LOG_FORMAT=a\nb"}}, `env TELLTALE_LOG_FORMAT: "a\nb"; expected text or json`},
		{"a bad secret is not shown", world{environ: []string{"TELLTALE_SECRET_KEY=hunter2"}}, "env TELLTALE_SECRET_KEY: this value (not shown) cannot be used; expected base64 of 32 bytes, as `openssl rand -base64 32` prints; one key a line or with commas, the current one first"},
		{"a database that is not PostgreSQL's, which is not shown", world{environ: []string{"TELLTALE_DATABASE_URL=mysql://u:hunter2@db/x"}}, "env TELLTALE_DATABASE_URL: this value (not shown) cannot be used; expected postgres://user@host/database, or PostgreSQL's key=value form, such as host=db.internal dbname=telltale"},
		{"proxies that are everybody", world{environ: []string{"TELLTALE_TRUSTED_PROXIES=10.0.0.1,0.0.0.0/0"}}, `env TELLTALE_TRUSTED_PROXIES: "0.0.0.0/0"; expected address ranges of proxies, such as 10.1.0.0/16, and not everybody's`},
		{"a role that there is not", world{flags: []Flag{{Setting: "role", Text: "leader"}}}, `flag --role: "leader"; expected all, api or worker`},
		{"a secret of the wrong kind is not shown", file(`token = 12345`), `file ./telltale.toml:token: "(not shown)"; expected a key, which begins with tt_, written as a string in quotes`},
		{"a secret twice in one source", world{environ: []string{"TELLTALE_TOKEN=tt_a", "TELLTALE_TOKEN_FILE=/x"}}, "env TELLTALE_TOKEN and env TELLTALE_TOKEN_FILE: both are set; expected one of the two"},
		{"a secret's file that is not there", world{environ: []string{"TELLTALE_TOKEN_FILE=no"}, secrets: Client}, "env TELLTALE_TOKEN_FILE: open DIR/no: no such file or directory; expected a file with a key, which begins with tt_"},
		{"a secret's file with something else in it", world{files: map[string]string{"k": "hunter2"}, environ: []string{"TELLTALE_TOKEN_FILE=k"}, secrets: Client}, "env TELLTALE_TOKEN_FILE: what is in k cannot be used; expected a key, which begins with tt_"},
		{"an empty file for a secret", world{files: map[string]string{"k": "\n"}, environ: []string{"TELLTALE_SECRET_KEY_FILE=k"}, secrets: Server}, "env TELLTALE_SECRET_KEY_FILE: what is in k cannot be used; expected base64 of 32 bytes, as `openssl rand -base64 32` prints; one key a line or with commas, the current one first"},
		{"nothing but a comment for a secret key", world{files: map[string]string{"k": "# no key\n"}, environ: []string{"TELLTALE_SECRET_KEY_FILE=k"}, secrets: Server}, "env TELLTALE_SECRET_KEY_FILE: what is in k cannot be used; expected base64 of 32 bytes, as `openssl rand -base64 32` prints; one key a line or with commas, the current one first"},
		{"a bad value that another one hides", world{environ: []string{"TELLTALE_WORKERS=0"}, flags: []Flag{{Setting: "workers", Text: "1"}}}, `env TELLTALE_WORKERS: "0"; expected a number from 1 to 10000`},
		{"all at once", world{files: map[string]string{"telltale.toml": "a = 1\nworkers = 0"}, environ: []string{"TELLTALE_X=1"}, flags: []Flag{{Setting: "project", Text: "No"}}},
			"file ./telltale.toml:a: there is no such setting\nenv TELLTALE_X: there is no such setting\n" +
				`file ./telltale.toml:workers: "0"; expected a number from 1 to 10000` + "\n" +
				`flag --project: "No"; expected a project's slug: 1 to 40 of a-z, 0-9 and -`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := tt.world.load(t)
			if err == nil {
				t.Fatal("Load took it")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDatabaseURLs(t *testing.T) {
	t.Parallel()
	for text, valid := range map[string]bool{
		"postgres://telltale@db.internal/telltale":             true,
		"postgresql://u:p@a:5432,b:5433/x?sslmode=verify-full": true,
		"postgres:///telltale?host=/var/run/postgresql":        true,
		"host=db.internal dbname=telltale password='a://b'":    true,
		"dbname = telltale":  true,
		"postgres://":        false,
		"mysql://u@db/x":     false,
		"sqlite:telltale.db": false,
		"db.internal":        false,
		"/var/lib/telltale":  false,
		"postgres://db/\nx":  false,
		"host=" + strings.Repeat("x", maxTextBytes):                false,
		"https://db.internal/?url=postgres://db.internal/telltale": false,
	} {
		if got := validDatabaseURL(text); got != valid {
			t.Errorf("%.60q: %t, want %t", text, got, valid)
		}
	}
}

func TestVariablesOfKubernetesAreNotOurs(t *testing.T) {
	t.Parallel()
	_, err := world{environ: []string{
		"TELLTALE_SERVICE_HOST=10.0.0.1", "TELLTALE_SERVICE_PORT=8484", "TELLTALE_SERVICE_PORT_HTTP=8484",
		"TELLTALE_PORT=tcp://10.0.0.1:8484", "TELLTALE_PORT_8484_TCP=tcp://10.0.0.1:8484", "TELLTALE_PORT_8484_TCP_PROTO=tcp",
		"TELLTALE_PORT_8484_TCP_PORT=8484", "TELLTALE_PORT_8484_TCP_ADDR=10.0.0.1", "TELLTALE_OPS_SERVICE_HOST=fd00::1",
	}}.load(t)
	if err != nil {
		t.Error(err)
	}
}

const key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

func TestSecretsComeFromFilesForThoseWhoNeedThem(t *testing.T) {
	t.Parallel()
	w := world{
		files:   map[string]string{"key": key + "\n" + key + "\n", "token": "tt_abc\n"},
		environ: []string{"TELLTALE_SECRET_KEY_FILE=key", "TELLTALE_TOKEN_FILE=token"},
	}
	for _, tt := range []struct {
		name       string
		role       Role
		key, token string
	}{
		{"the server reads the key", Server, key + "\n" + key, ""},
		{"the command line reads the token", Client, "", "tt_abc"},
		{"telltale config reads none", 0, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := w
			w.secrets = tt.role
			c, err := w.load(t)
			if err != nil {
				t.Fatal(err)
			}
			if string(c.SecretKey) != tt.key || string(c.Token) != tt.token {
				t.Errorf("key %q, token %q", string(c.SecretKey), string(c.Token))
			}
		})
	}
	t.Run("comments and blank lines beside a key do not count", func(t *testing.T) {
		t.Parallel()
		text := "# Keys that seal.\n#\n\n" + key + "\n  # the old one\n" + key
		w := world{files: map[string]string{"key": text + "\n"}, environ: []string{"TELLTALE_SECRET_KEY_FILE=key"}, secrets: Server}
		c, err := w.load(t)
		if err != nil {
			t.Fatal(err)
		}
		if string(c.SecretKey) != text {
			t.Errorf("key %q", string(c.SecretKey))
		}
	})
	t.Run("a file given by a flag takes the place of a variable", func(t *testing.T) {
		t.Parallel()
		w := w
		w.environ, w.flags, w.secrets = []string{"TELLTALE_TOKEN=tt_env"}, []Flag{{Setting: "token", Text: "token", File: true}}, Client
		c, err := w.load(t)
		if err != nil {
			t.Fatal(err)
		}
		if string(c.Token) != "tt_abc" || c.Origin("token") != "flag --token-file" {
			t.Errorf("token %q from %s", string(c.Token), c.Origin("token"))
		}
	})
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	t.Parallel()
	c, err := world{environ: []string{"TELLTALE_SECRET_KEY=" + key, "TELLTALE_TOKEN=tt_hunter2", "TELLTALE_DATABASE_URL=postgres://u:hunter2@db/x"}}.load(t)
	if err != nil {
		t.Fatal(err)
	}
	if string(c.Token) != "tt_hunter2" || string(c.SecretKey) != key {
		t.Fatal("the secrets were not taken")
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "token", c.Token)
	encoded, err := json.Marshal(struct{ T Secret }{c.Token})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"Values": fmt.Sprint(c.Values()), "%v": fmt.Sprintf("%v %s %q", c.Token, c.Token, c.Token), "%#v": fmt.Sprintf("%#v", c.Token),
		"the log": log.String(), "JSON": string(encoded),
	} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, key) {
			t.Errorf("%s shows a secret: %s", name, text)
		}
		if !strings.Contains(text, hidden) {
			t.Errorf("%s does not say that there is a secret: %s", name, text)
		}
	}
}

func TestServerIsTheOneThatWouldListen(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ listen, want string }{
		{":9000", "http://127.0.0.1:9000"},
		{"0.0.0.0:9000", "http://127.0.0.1:9000"},
		{"[::]:9000", "http://127.0.0.1:9000"},
		{"[::1]:9000", "http://[::1]:9000"},
		{"telltale.internal:80", "http://telltale.internal:80"},
	} {
		c, err := world{environ: []string{"TELLTALE_LISTEN=" + tt.listen}}.load(t)
		if err != nil {
			t.Fatal(err)
		}
		if c.Server != tt.want || c.Origin("server") != "listen, env TELLTALE_LISTEN" {
			t.Errorf("listen %s gives the server %s (%s), want %s", tt.listen, c.Server, c.Origin("server"), tt.want)
		}
	}
}

func TestChangedNamesWhatDiffers(t *testing.T) {
	t.Parallel()
	a, err := world{}.load(t)
	if err != nil {
		t.Fatal(err)
	}
	b, err := world{environ: []string{"TELLTALE_LOG_LEVEL=debug", "TELLTALE_WORKERS=9", "TELLTALE_DATA=./telltale-data"}}.load(t)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"log_level", "workers"}, a.Changed(&b)); diff != "" {
		t.Error(diff)
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"webhooks", "deliveries", "events", "retention_days"}
	for name, want := range map[string]string{
		"webhoks": "webhooks", "wehbooks": "webhooks", "DELIVERIES": "deliveries", "retention": "retention_days",
		"xyz": "", "": "", strings.Repeat("e", 1000): "",
	} {
		if got := Nearest(name, known); got != want {
			t.Errorf("Nearest(%.20q) = %q, want %q", name, got, want)
		}
	}
}

// FuzzFile looks for files that break the reader, or get past it with a value
// that its own text form would not give again.
func FuzzFile(f *testing.F) {
	f.Add("listen = \"127.0.0.1:1\"\nworkers = 5\nallow_cidrs = [\"10.0.0.0/8\"]")
	f.Add("egress_ports = [1, '2']\n[token]\nx = 1979-05-27T07:32:00Z")
	f.Add("secret_key = '''\n" + key + "'''")
	f.Add("a.b.c = 1\n\"\\u0000\" = 2\nworkers = 0x10")
	f.Fuzz(func(t *testing.T, text string) {
		values, faults := file{name: "f"}.parse([]byte(text))
		for _, err := range faults {
			if strings.ContainsAny(err.Error(), "\n\r\x00") {
				t.Errorf("not one line: %q", err)
			}
		}
		for _, g := range values {
			c := Config{chosen: map[string]chosen{}}
			faults := c.take([]given{g})
			if again := (&Config{chosen: map[string]chosen{}}).take([]given{g}); len(again) != len(faults) {
				t.Errorf("%s: judged differently the second time", g.origin)
			}
			for _, err := range faults {
				if strings.ContainsAny(err.Error(), "\n\r\x00") {
					t.Errorf("not one line: %q", err)
				}
			}
		}
	})
}
