package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// ran is what a command printed and how it ended.
type ran struct {
	out, err string
	status   int
}

// try runs a command in this process, in an environment of its own.
func try(t *testing.T, args ...string) ran { return tryWith(t, nil, "", args...) }

func tryWith(t *testing.T, environ []string, stdin string, args ...string) ran {
	t.Helper()
	var out, err bytes.Buffer
	p := program{stdin: strings.NewReader(stdin), stdout: &out, stderr: &err, environ: environ}
	status := p.run(t.Context(), args)
	return ran{out.String(), err.String(), status}
}

func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, c := range cmd.Commands() {
		if c.Name() != "help" {
			walk(c, visit)
		}
	}
}

func TestHelpIsAManual(t *testing.T) {
	t.Parallel()
	p := &program{}
	walk(p.root(), func(cmd *cobra.Command) {
		text := help(cmd)
		examples := 0
		for line := range strings.Lines(cmd.Example) {
			if strings.Contains(line, "telltale ") && strings.HasPrefix(line, "  ") {
				examples++
			}
		}
		if examples < 3 {
			t.Errorf("%s has %d examples, want 3", cmd.CommandPath(), examples)
		}
		if at := strings.Index(text, "\nExamples\n"); at < 0 || at > strings.Index(text, "\nUsage\n") {
			t.Errorf("%s: the help does not begin with examples:\n%s", cmd.CommandPath(), text)
		}
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: %q is no short description", cmd.CommandPath(), cmd.Short)
		}
		for line := range strings.Lines(cmd.Long) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > helpWidth {
				t.Errorf("%s: a line of the help has %d characters: %s", cmd.CommandPath(), n, line)
			}
		}
	})
}

// word is a word of a shell command: bare, or in quotes.
var word = regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)

// TestExamplesAreCommands takes every example at its word: its command must
// exist, with these flags and this number of arguments.
func TestExamplesAreCommands(t *testing.T) {
	t.Parallel()
	calls := 0
	walk((&program{}).root(), func(cmd *cobra.Command) {
		text := strings.ReplaceAll(cmd.Example, "\\\n", " ")
		for line := range strings.Lines(text) {
			for _, call := range regexp.MustCompile(`\|{1,2}|&&|\$\(|\)`).Split(line, -1) {
				_, call, ok := strings.Cut(" "+call, " telltale ")
				if !ok {
					continue
				}
				calls++
				call, _, _ = strings.Cut(strings.TrimSpace(call), "     ") // what is explained beside it
				var args []string
				for _, w := range word.FindAllString(call, -1) {
					if w == ">" {
						break
					}
					args = append(args, strings.Trim(w, `'"`))
				}
				root := (&program{}).root()
				found, rest, err := root.Find(args)
				if err != nil {
					t.Errorf("%q: %v", call, err)
					continue
				}
				found.InitDefaultHelpFlag()
				found.InitDefaultVersionFlag()
				if err := found.ParseFlags(rest); err != nil {
					t.Errorf("%q: %v", call, err)
					continue
				}
				if strings.Contains(line, "$(telltale inspect") || strings.Contains(line, "xargs") {
					continue // its argument comes from another command
				}
				if err := found.ValidateArgs(found.Flags().Args()); err != nil {
					t.Errorf("%q: %v", call, err)
				}
			}
		}
	})
	if calls < 100 {
		t.Errorf("only %d examples were found", calls)
	}
}

func TestUsageErrorsSayWhatWasMeant(t *testing.T) {
	t.Parallel()
	const id = "whk_01JD0000000000000000000000"
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"a misspelt noun", []string{"wehbooks", "list"}, 2, `there is no command "telltale wehbooks"; did you mean telltale webhooks?`},
		{"a misspelt verb", []string{"webhooks", "creat", "x"}, 2, `there is no command "telltale webhooks creat"; did you mean telltale webhooks create?`},
		{"a verb like none", []string{"keys", "xyz"}, 2, `there is no command "telltale keys xyz"; there are create, list, revoke`},
		{"a misspelt flag", []string{"webhooks", "list", "--jsn"}, 2, "webhooks list has no flag --jsn; did you mean --json?"},
		{"a flag like none", []string{"webhooks", "list", "--xyzzy"}, 2, "webhooks list has no flag --xyzzy"},
		{"a flag without its value", []string{"webhooks", "list", "--limit"}, 2, "webhooks list: flag needs an argument: --limit; see telltale webhooks list --help"},
		{"a number that is none", []string{"webhooks", "list", "--limit", "many"}, 2, `flag --limit: "many"; expected a whole number`},
		{"a duration that is none", []string{"webhooks", "list", "--timeout", "5"}, 2, `flag --timeout: "5"; expected a duration, such as 30s or 5m`},
		{"a timeout of nothing", []string{"webhooks", "list", "--timeout", "0s"}, 2, `flag --timeout: "0s"; expected a duration from 1ms to 1h`},
		{"an argument that is missing", []string{"webhooks", "get"}, 2, "webhooks get: the argument WEBHOOK is missing; see telltale webhooks get --help"},
		{"an argument too many", []string{"webhooks", "get", id, "b"}, 2, `webhooks get: there is one argument too many: "b"; see telltale webhooks get --help`},
		{"an id that cannot be one", []string{"webhooks", "get", "../keys"}, 4, `there is no webhook "../keys"; expected an id of whk_ and 26 characters, as telltale webhooks list shows it`},
		{"another noun's id", []string{"deliveries", "get", id}, 4, `there is no delivery "` + id + `"; expected an id of dlv_ and 26 characters, as telltale deliveries list shows it`},
		{"a bin that cannot be one", []string{"inspect", "requests", "a/b"}, 4, `there is no bin "a/b"; expected an id of small letters and digits, as telltale inspect list shows it`},
		{"a setting that is wrong", []string{"serve", "--listen", "8484"}, 2, `flag --listen: "8484"; expected host:port, such as 127.0.0.1:8484`},
		{"a misspelt event type", []string{"trigger", "bouncd"}, 2, `there is no event type "bouncd"; did you mean bounced?`},
		{"an event type like none", []string{"trigger", "xyz"}, 2, `There is no event type "xyz"; there are sent, delivered, opened, clicked, failed, bounced, converted, unsubscribed, resubscribed, complained, user_created, user_updated, webhook.failing, webhook.disabled, webhook.recovered, delivery.failed.`},
		{"a count of none", []string{"trigger", "sent", "--count", "0"}, 2, `flag --count: "0"; expected 1 to 100000`},
		{"data for all types", []string{"trigger", "all", "--data", "{}"}, 2, "flag --data: it is one event; name its type instead of all"},
		{"changes to a test", []string{"trigger", "sent", "--to", id, "--set", "a=b"}, 2, "flag --to: a single webhook gets the documented samples as tests, so --set and --data have no effect; leave them out, or leave --to out"},
		{"a state that is none", []string{"deliveries", "list", "--state", "pending"}, 2, `flag --state: "pending"; expected waiting, sending, succeeded, failed, held or cancelled`},
		{"a time that is none", []string{"events", "list", "--since", "yesterday"}, 2, `flag --since: "yesterday"; expected how long ago, such as 2h, or a time, such as 2026-03-01T12:00:00Z`},
		{"no scope", []string{"keys", "create", "CI"}, 2, "keys create needs --scope; see telltale keys create --help"},
		{"nothing to change", []string{"webhooks", "edit", id, "--dry-run"}, 2, "webhooks edit: there is nothing to change; see telltale webhooks edit --help"},
		{"no key and another machine", []string{"webhooks", "list", "--server", "https://telltale.example.com"}, 3, "https://telltale.example.com needs a key: put one into TELLTALE_TOKEN"},
		{"no shell", []string{"completion", "tcsh"}, 2, `there is no completion for "tcsh"; expected bash, zsh, fish or powershell`},
		{"a secret in the wrong form", []string{"sign", "--secret", "hunter2", "--body", "x"}, 2, "flag --secret: "},
		{"a misspelt provider", []string{"sources", "add", "sendgird"}, 2, `there is no provider "sendgird"; did you mean sendgrid?`},
		{"a provider like none", []string{"sources", "add", "pigeon"}, 2, `there is no provider "pigeon"; there are ses, sendgrid, `},
		{"a source that cannot be one", []string{"sources", "get", "x"}, 4, `there is no source "x"; expected an id of src_ and 26 characters, as telltale sources list shows it`},
		{"a request that cannot be one", []string{"sources", "replay", "src_01JD0000000000000000000000", "x"}, 4, `there is no request "x"; expected an id of req_ and 26 characters, as telltale sources unrecognised shows it`},
		{"a request too many", []string{"sources", "unrecognised", "a", "b", "c"}, 2, `sources unrecognised: there is one argument too many: "c"; see telltale sources unrecognised --help`},
		{"no request to drop", []string{"sources", "drop", "a"}, 2, "sources drop: the argument REQUEST is missing; see telltale sources drop --help"},
		{"a credential without a name", []string{"sources", "add", "mailgun", "--credential", "hunter2"}, 2, "flag --credential: this value (not shown) has no name; expected name=value, name=@file or name=-"},
		{"a credential twice", []string{"sources", "add", "mailgun", "--credential", "signing_key=hunter2", "--credential", "signing_key=hunter2"}, 2, "flag --credential: signing_key is given twice"},
		{"an empty credential", []string{"sources", "add", "mailgun", "--credential", "signing_key=-"}, 2, "flag --credential: the value of signing_key is empty; telltale sources edit has --remove-credential"},
		{"a credential in no file", []string{"sources", "add", "mailgun", "--credential", "signing_key=@nowhere"}, 2, "flag --credential: open nowhere: no such file"},
		{"options and none", []string{"sources", "edit", "src_01JD0000000000000000000000", "--option", "a", "--no-options"}, 2, "--option and --no-options: both are given; expected one of the two"},
		{"no terminal to ask at", []string{"webhooks", "delete", id, "--token", "tt_x"}, 2, "Delete " + id + " for good? There is no terminal to ask at; add --yes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := try(t, tt.args...)
			if got.status != tt.status || !strings.HasPrefix(got.err, "telltale: "+tt.want) || strings.Count(got.err, "\n") != 1 {
				t.Errorf("status %d, %s\nwant %d, telltale: %s", got.status, got.err, tt.status, tt.want)
			}
			if got.out != "" {
				t.Errorf("printed %q", got.out)
			}
			if strings.Contains(got.err, "hunter2") {
				t.Error("the secret is in the error")
			}
		})
	}
}

func TestGroupsPrintTheirHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"webhooks"}, {"webhook"}, {"--help"}, {"webhooks", "-h"}, {"help", "webhooks"}} {
		if got := try(t, args...); got.status != 0 || !strings.Contains(got.out, "Examples") || got.err != "" {
			t.Errorf("telltale %v: status %d, %q, %q", args, got.status, got.out, got.err)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"version"}, {"--version"}} {
		if got := try(t, args...); !strings.HasPrefix(got.out, "telltale "+version) {
			t.Errorf("telltale %v: %q", args, got.out)
		}
	}
	if got := try(t, "version", "--json"); !strings.HasPrefix(got.out, `{"go":"go1.`) {
		t.Errorf("%q", got.out)
	}
}

func TestCompletionOfEveryShell(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if got := try(t, "completion", shell); got.status != 0 || !strings.Contains(got.out, "telltale") {
			t.Errorf("%s: status %d, %d bytes", shell, got.status, len(got.out))
		}
	}
}

func TestCompletionKnowsProviders(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args []string
		want []string
		not  string
	}{
		{"a provider to add", []string{"sources", "add", ""}, []string{"sendgrid\tSendGrid\n", "postmark\tPostmark\n"}, "signing_key"},
		{"one argument is enough", []string{"sources", "add", "sendgrid", ""}, nil, "sendgrid"},
		{"a provider to show", []string{"sources", "providers", "send"}, []string{"sendgrid\tSendGrid\n"}, "signing_key"},
		{"its credentials", []string{"sources", "add", "sendgrid", "--credential", ""}, []string{"verification_key=\tVerification key\n"}, "signing_key"},
		{"its options", []string{"sources", "add", "postmark", "--option", ""}, []string{"emit_sent\t"}, "verification_key"},
		{"of no provider there are none", []string{"sources", "add", "pigeon", "--option", ""}, nil, "emit_sent"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := try(t, append([]string{"__complete"}, tt.args...)...)
			for _, want := range tt.want {
				if !strings.Contains(got.out, want) {
					t.Errorf("there is no %q in %q", want, got.out)
				}
			}
			if got.status != 0 || strings.Contains(got.out, tt.not) {
				t.Errorf("status %d, %q", got.status, got.out)
			}
		})
	}
}

func TestDryRunShowsTheRequestAndNoSecret(t *testing.T) {
	t.Parallel()
	const source, request = "src_01JD0000000000000000000000", "req_01JD0000000000000000000000"
	const id = "whk_01JD0000000000000000000000"
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"create", []string{"webhooks", "create", "https://a.example/x?y=1&z", "--event", "sent,bounced", "--deadline", "10s", "--retry-schedule", "none"},
			"POST /v1/webhooks\n" + `{"url":"https://a.example/x?y=1&z","events":["sent","bounced"],"timeout":"10s","retry_schedule":[]}` + "\n"},
		{"create with secrets", []string{"webhooks", "create", "https://a.example", "--secret-header", "authorization: hunter2", "--header", "x-a: 1"},
			"POST /v1/webhooks\n" + `{"url":"https://a.example","events":["*"],"headers":{"x-a":"1","authorization":{"value":"[redacted]","secret":true}}}` + "\n"},
		{"edit", []string{"webhooks", "edit", id, "--basic-auth", "u:hunter2", "--remove-header", "x-a", "--retry-schedule", "default"},
			"PATCH /v1/webhooks/" + id + "\n" + `{"retry_schedule":null,"headers":{"x-a":null},"basic_auth":{"username":"u","password":"[redacted]"}}` + "\n"},
		{"edit without basic auth, in a project", []string{"webhooks", "edit", id, "--no-basic-auth", "--project", "newsletter"},
			"PATCH /v1/webhooks/" + id + "?project=newsletter\n" + `{"basic_auth":null}` + "\n"},
		{"delete", []string{"webhooks", "delete", id}, "DELETE /v1/webhooks/" + id + "\n"},
		{"enable", []string{"webhooks", "enable", id}, "POST /v1/webhooks/" + id + "/enable\n"},
		{"disable", []string{"webhooks", "disable", id}, "POST /v1/webhooks/" + id + "/disable\n"},
		{"test", []string{"webhooks", "test", id, "--event", "sent"}, "POST /v1/webhooks/" + id + "/test\n" + `{"event":"sent"}` + "\n"},
		{"rotate", []string{"webhooks", "rotate-secret", id, "--overlap", "0s"}, "POST /v1/webhooks/" + id + "/secret/rotate\n" + `{"overlap":"0s"}` + "\n"},
		{"retry two", []string{"deliveries", "retry", "dlv_01JD0000000000000000000000", "dlv_01JD0000000000000000000001"},
			"POST /v1/deliveries/dlv_01JD0000000000000000000000/retry\nPOST /v1/deliveries/dlv_01JD0000000000000000000001/retry\n"},
		{"a project", []string{"projects", "create", "newsletter", "--ingest-rate", "5"}, "POST /v1/projects\n" + `{"slug":"newsletter","ingest_rate":5}` + "\n"},
		{"a project's name", []string{"projects", "edit", "newsletter", "--name", "The newsletter"}, "PATCH /v1/projects/newsletter\n" + `{"name":"The newsletter"}` + "\n"},
		{"a key", []string{"keys", "create", "CI", "--scope", "ingest"}, "POST /v1/keys\n" + `{"name":"CI","scope":"ingest"}` + "\n"},
		{"a key's end", []string{"keys", "revoke", "key_01JD0000000000000000000000"}, "DELETE /v1/keys/key_01JD0000000000000000000000\n"},
		{"a source", []string{"sources", "add", "mailgun", "--credential", "signing_key=hunter2-hunter2-hunter2-hunter2", "--disabled"},
			"POST /v1/sources\n" + `{"provider":"mailgun","credentials":{"signing_key":"[redacted]"},"enabled":false}` + "\n"},
		{"a source's settings", []string{"sources", "edit", source, "--name", "n", "--credential", "a=hunter2", "--remove-credential", "b", "--no-options"},
			"PATCH /v1/sources/" + source + "\n" + `{"name":"n","credentials":{"a":"[redacted]","b":null},"options":null}` + "\n"},
		{"a source on", []string{"sources", "enable", source}, "PATCH /v1/sources/" + source + "\n" + `{"enabled":true}` + "\n"},
		{"a source off", []string{"sources", "disable", source}, "PATCH /v1/sources/" + source + "\n" + `{"enabled":false}` + "\n"},
		{"a test of a source", []string{"sources", "test", source}, "POST /v1/sources/" + source + "/test\n"},
		{"all of what was not understood", []string{"sources", "replay", source}, "POST /v1/sources/" + source + "/unrecognised/replay\n{}\n"},
		{"some of what was not understood", []string{"sources", "replay", source, request}, "POST /v1/sources/" + source + "/unrecognised/replay\n" + `{"ids":["` + request + `"]}` + "\n"},
		{"a request's end", []string{"sources", "drop", source, request}, "DELETE /v1/sources/" + source + "/unrecognised/" + request + "\n"},
		{"a source's end", []string{"sources", "delete", source}, "DELETE /v1/sources/" + source + "\n"},
		{"a bin", []string{"inspect", "create"}, "POST /v1/inspect\n"},
		{"a bin's end", []string{"inspect", "delete", "abc"}, "DELETE /v1/inspect/abc\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := try(t, append(tt.args, "--dry-run", "--server", "http://127.0.0.1:1")...)
			if diff := cmp.Diff(ran{tt.want, got.err, 0}, got, cmp.AllowUnexported(ran{})); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(got.out+got.err, "hunter2") {
				t.Error("a secret was shown")
			}
		})
	}
	t.Run("events", func(t *testing.T) {
		t.Parallel()
		const events = `{"type":"resubscribed","user":{"id":1.50}}` + "\n" + `{"type":"resubscribed","user":{"id":2}}`
		got := tryWith(t, nil, events, "events", "send", "-", "--dry-run")
		want := "POST /v1/events\n" + `[{"type":"resubscribed","user":{"id":1.50}},{"type":"resubscribed","user":{"id":2}}]` + "\n"
		if got.out != want || got.status != 0 {
			t.Errorf("status %d\n got %s\nwant %s%s", got.status, got.out, want, got.err)
		}
	})
	t.Run("input that breaks a rule", func(t *testing.T) {
		t.Parallel()
		got := try(t, "webhooks", "create", "https://a.example", "--concurrency", "0", "--retry-schedule", "1ms", "--dry-run")
		want := "telltale: Invalid webhook.\n" +
			"telltale:   concurrency: The number of parallel requests is out of range. It is 0. Expected: 1 to 100.\n" +
			"telltale:   retry_schedule[0]: The wait is out of range. It is 1ms. Expected: 1s to 720h.\n"
		if got.err != want || got.status != exitUsage || got.out != "" {
			t.Errorf("status %d\n got %s\nwant %s", got.status, got.err, want)
		}
	})
	t.Run("events that break rules", func(t *testing.T) {
		t.Parallel()
		got := tryWith(t, nil, `[{"type":"sent"},{"type":"resubscribed","user":{"id":2}},{"type":"nothing","user":{"id":1}}]`, "events", "send", "-", "--dry-run")
		if got.status != exitUsage || !strings.Contains(got.err, "event 1, user") || !strings.Contains(got.err, "event 3, type") || strings.Contains(got.err, "event 2") {
			t.Errorf("status %d, %s", got.status, got.err)
		}
	})
}

// TestStatusOfInterruption: whatever a command was doing, Ctrl-C is 130.
func TestStatusOfInterruption(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errors bytes.Buffer
	p := program{stdin: strings.NewReader(""), stdout: &out, stderr: &errors}
	if status := p.run(ctx, []string{"webhooks", "list", "--token", "tt_x", "--server", "http://127.0.0.1:1"}); status != exitInterrupted {
		t.Errorf("status %d, %s", status, &errors)
	}
}

func TestTokenOfTheOwnerStaysOnThisMachine(t *testing.T) {
	t.Parallel()
	for server, want := range map[string]bool{
		"http://127.0.0.1:8484": true, "http://[::1]:8484": true, "http://localhost:1": true, "http://127.9.9.9": true,
		"https://telltale.example.com": false, "http://10.0.0.1": false, "http://localhost.example.com": false, "http://127.0.0.1.example.com": false,
	} {
		if got := onThisMachine(server); got != want {
			t.Errorf("onThisMachine(%s) = %v", server, got)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "owner.token"), []byte("tt_owner\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := []string{"TELLTALE_DATA=" + dir}
	if got := tryWith(t, environ, "", "webhooks", "list", "--server", "http://10.0.0.1"); got.status != exitDenied {
		t.Errorf("status %d, %s", got.status, got.err)
	}
	if got := tryWith(t, environ, "", "webhooks", "list", "--server", "http://127.0.0.1:1"); got.status != exitTemporary {
		t.Errorf("status %d, %s", got.status, got.err)
	}
}
