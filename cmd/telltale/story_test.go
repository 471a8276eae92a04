package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"telltale.example/telltale/internal/pgtest"
)

// TestStories runs testdata/script: whole-program stories over the built binary,
// with real servers on loopback. docs of testscript explain the language; these
// are the commands beside its own:
//
//	telltale ARG…            run it; it must end with status 0
//	status N telltale ARG…   run it; it must end with status N
//	start NAME telltale ARG… run it in the background, output to NAME.out and NAME.err
//	waitout NAME REGEXP      wait until that output matches
//	signal NAME SIGNAL       send it TERM, INT, KILL, HUP or USR1
//	end NAME SIGNAL [N]      the same, and wait for its end, which must have status N, 0 if not given (but for KILL)
//	serve ARG…               start telltale serve as "server" on free ports and the folder ./data, and wait until it
//	                         is ready; sets TELLTALE_SERVER, TELLTALE_DATA, OPS and TOKEN
//	database NAME            make a PostgreSQL database; its URL is in $NAME
//	receiver NAME            start a receiver that answers 200; its URL is in $NAME
//	answer NAME STATUS|hang  from now on
//	down NAME, up NAME       close its port, and open the same one again
//	received NAME N          wait until it has got N requests, and not one more
//	signed NAME SECRET…      every request that it got verifies with the secret
//	documented NAME          the last 12 requests are the documented samples, key for key
//	bodies NAME              print the bodies that it got, in the order of the alphabet, with times of opting out as 0
//	became                   print what demo --provider printed last: each event and its webhook, with times as 0 and
//	                         message ids as ID; all of them must have succeeded with a valid signature
//	node SCRIPT ARG…         run it in Node.js, where it finds Vero's npm package @getvero/tracking
//	waitfor REGEXP telltale ARG…     run it until its output matches
//	field VAR PATH           set VAR to a field of the JSON that was printed last; a path is like webhook.id or 0.id
//	users FILE N             write a CSV file of N users
//	api METHOD PATH [FILE]   call the API with $TOKEN (- for none); prints status and body. A whole URL in place of the
//	                         path is called as anyone may, with the user and password in it
func TestStories(t *testing.T) {
	t.Parallel()
	binary := build(t)
	databases := databases{}
	t.Cleanup(func() {
		if err := databases.end(); err != nil {
			t.Error(err)
		}
	})
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		WorkdirRoot:         t.TempDir(),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", filepath.Dir(binary)+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "xdg"))
			// A race ends the process at once; without one, it does not linger a second as it would by default.
			env.Setenv("GORACE", "halt_on_error=1 exitcode=66 atexit_sleep_ms=0")
			s := &story{binary: binary, receivers: map[string]*receiver{}, processes: map[string]*process{}}
			env.Values[storyKey{}] = s
			env.Defer(s.end)
			return os.CopyFS(filepath.Join(env.WorkDir, "documented"), os.DirFS("testdata/documented"))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"telltale": runTelltale,
			"status":   runStatus,
			"start":    startProcess,
			"waitout":  waitOutput,
			"signal":   signalProcess,
			"end":      endProcess,
			"serve":    startServer,
			"receiver": startReceiver,
			"database": databases.make,
			"answer":   setAnswer,
			"down": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(storyOf(ts).receiver(ts, args).down())
			},
			"up":         func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(storyOf(ts).receiver(ts, args).up()) },
			"received":   waitReceived,
			"signed":     checkSigned,
			"documented": checkDocumented,
			"bodies":     printBodies,
			"became":     printBecame,
			"node":       runNode,
			"waitfor":    waitFor,
			"field":      setField,
			"api":        callAPI,
			"users":      writeUsers,
		},
	})
}

// databases is a PostgreSQL server for the stories, which is started by the first
// one that needs it.
type databases struct {
	mu     sync.Mutex
	server *pgtest.Server
	made   int
}

func (d *databases) make(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: database NAME")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var err error
	if d.server == nil {
		d.server, err = pgtest.New()
		ts.Check(err)
	}
	d.made++
	url, err := d.server.Create(fmt.Sprintf("story%d", d.made), "")
	ts.Check(err)
	ts.Setenv(args[0], url)
}

func (d *databases) end() error {
	if d.server == nil {
		return nil
	}
	return d.server.Remove()
}

// build makes the telltale that the stories run from this tree.
func build(t *testing.T) (binary string) {
	t.Helper()
	binary = filepath.Join(t.TempDir(), "telltale")
	args := []string{"build", "-ldflags", "-X main.version=0.0.0-test", "-o", binary}
	if raceDetector {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		t.Fatalf("building telltale: %v\n%s", err, out)
	}
	return binary
}

// runNode runs a script that may require the package as its users do.
func runNode(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: node SCRIPT ARG…")
	}
	if _, err := exec.LookPath("node"); err != nil {
		ts.Fatalf("Node.js, which make test installs, is not there: %v", err)
	}
	ts.Check(os.CopyFS(ts.MkAbs("node_modules/@getvero/tracking"), os.DirFS("../../internal/track/testdata/getvero-tracking")))
	ts.Check(ts.Exec("node", args...))
}

// patience bounds every wait of a story: long, for a machine that does much
// else; nobody waits so long where all is well.
const patience = 60 * time.Second

// poll asks until the answer is yes, or fails the story.
func poll(ts *testscript.TestScript, what string, ask func() (bool, string)) {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, seen := ask()
		if ok {
			return
		}
		select {
		case <-deadline.C:
			ts.Fatalf("waited %s for %s; last seen:\n%s", patience, what, seen)
		case <-tick.C:
		}
	}
}

// story is what a script has running.
type story struct {
	binary    string
	receivers map[string]*receiver
	processes map[string]*process
}

// process is a telltale in the background.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed once cmd.ProcessState is there
}

type storyKey struct{}

func storyOf(ts *testscript.TestScript) *story { return ts.Value(storyKey{}).(*story) }

func (s *story) receiver(ts *testscript.TestScript, args []string) *receiver {
	if len(args) == 0 || s.receivers[args[0]] == nil {
		ts.Fatalf("there is no receiver %q", args)
	}
	return s.receivers[args[0]]
}

func (s *story) end() {
	for _, p := range s.processes {
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	for _, r := range s.receivers {
		r.end()
	}
}

func runTelltale(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec("telltale", args...)
	if neg {
		ts.Fatalf("say which status it ends with: status N telltale …")
	}
	ts.Check(err)
}

func runStatus(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 || args[1] != "telltale" {
		ts.Fatalf("usage: status N telltale ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec("telltale", args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("telltale ended with status %d, want %d", got, want)
	}
}

func startProcess(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 3 || args[1] != "telltale" {
		ts.Fatalf("usage: start NAME telltale ARG…")
	}
	name := args[0]
	s := storyOf(ts)
	if s.processes[name] != nil {
		ts.Fatalf("there is a %s already", name)
	}
	out, err := os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	defer out.Close()
	log, err := os.Create(ts.MkAbs(name + ".err"))
	ts.Check(err)
	defer log.Close()
	cmd := exec.Command(s.binary, args[2:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), out, log
	for _, name := range []string{"PATH", "HOME", "XDG_CONFIG_HOME", "GORACE", "TMPDIR", "TELLTALE_SERVER", "TELLTALE_DATA", "TELLTALE_DATABASE_URL", "TELLTALE_SECRET_KEY_FILE"} {
		if value := ts.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	ts.Check(cmd.Start())
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its ProcessState
		close(p.ended)
	}()
	s.processes[name] = p
}

func (s *story) process(ts *testscript.TestScript, args []string) *process {
	if len(args) < 2 || s.processes[args[0]] == nil {
		ts.Fatalf("nothing of that name runs: %q", args)
	}
	return s.processes[args[0]]
}

func waitOutput(ts *testscript.TestScript, _ bool, args []string) {
	p := storyOf(ts).process(ts, args)
	want := regexp.MustCompile(args[1])
	poll(ts, args[0]+" to print "+args[1], func() (bool, string) {
		ended := false
		select {
		case <-p.ended:
			ended = true
		default:
		}
		printed := ts.ReadFile(args[0]+".out") + ts.ReadFile(args[0]+".err")
		if !want.MatchString(printed) && ended {
			ts.Fatalf("%s ended (%s) before it printed %s:\n%s", args[0], p.cmd.ProcessState, args[1], printed)
		}
		return want.MatchString(printed), printed
	})
}

var signals = map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL, "HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1}

func signalProcess(ts *testscript.TestScript, _ bool, args []string) {
	p := storyOf(ts).process(ts, args)
	if signals[args[1]] == 0 {
		ts.Fatalf("no signal %s", args[1])
	}
	ts.Check(p.cmd.Process.Signal(signals[args[1]]))
}

func endProcess(ts *testscript.TestScript, neg bool, args []string) {
	signalProcess(ts, neg, args)
	s := storyOf(ts)
	p := s.process(ts, args)
	select {
	case <-p.ended:
	case <-time.After(patience):
		ts.Fatalf("%s did not end within %s", args[0], patience)
	}
	delete(s.processes, args[0])
	want := 0
	if len(args) > 2 {
		var err error
		want, err = strconv.Atoi(args[2])
		ts.Check(err)
	}
	if got := p.cmd.ProcessState.ExitCode(); got != want && args[1] != "KILL" {
		ts.Fatalf("%s ended with %s, want status %d\n%s", args[0], p.cmd.ProcessState, want, ts.ReadFile(args[0]+".err"))
	}
}

func startServer(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv("TELLTALE_SERVER", "")
	ts.Setenv("TELLTALE_DATA", "")
	startProcess(ts, neg, append([]string{"server", "telltale", "serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data", ts.MkAbs("data")}, args...))
	waitOutput(ts, neg, []string{"server", "Ready in"})
	banner := ts.ReadFile("server.out")
	ts.Setenv("TELLTALE_SERVER", regexp.MustCompile(`API +(http://[^/]+)/v1`).FindStringSubmatch(banner)[1])
	ts.Setenv("OPS", regexp.MustCompile(`Ops +(http://[^/]+)/`).FindStringSubmatch(banner)[1])
	ts.Setenv("TELLTALE_DATA", ts.MkAbs("data"))
	ts.Setenv("TOKEN", strings.TrimSpace(ts.ReadFile("data/owner.token")))
}

func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 || args[1] != "telltale" {
		ts.Fatalf("usage: waitfor REGEXP telltale ARG…")
	}
	want := regexp.MustCompile(args[0])
	poll(ts, "telltale "+strings.Join(args[2:], " ")+" to print "+args[0], func() (bool, string) {
		err := ts.Exec("telltale", args[2:]...)
		out := ts.ReadFile("stdout")
		return err == nil && want.MatchString(out), fmt.Sprintf("%s%s(%v)", out, ts.ReadFile("stderr"), err)
	})
}

func setField(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: field VAR PATH")
	}
	out := ts.ReadFile("stdout")
	lines := bytes.Split(bytes.TrimSpace([]byte(out)), []byte("\n"))
	path := strings.Split(args[1], ".")
	line := 0
	if n, err := strconv.Atoi(path[0]); err == nil {
		line, path = n, path[1:]
	}
	if line >= len(lines) {
		ts.Fatalf("there are only %d lines", len(lines))
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(lines[line]))
	d.UseNumber()
	ts.Check(d.Decode(&v))
	for _, name := range path {
		switch at := v.(type) {
		case map[string]any:
			v = at[name]
		case []any:
			i, err := strconv.Atoi(name)
			ts.Check(err)
			v = at[i]
		}
	}
	if v == nil {
		ts.Fatalf("there is no %s in %s", args[1], lines[line])
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}

func callAPI(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: api METHOD PATH [FILE]")
	}
	var body io.Reader
	contentType := "application/json"
	if len(args) == 3 {
		body = strings.NewReader(ts.ReadFile(args[2]))
		if strings.HasSuffix(args[2], ".ndjson") {
			contentType = "application/x-ndjson"
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	token, address := ts.Getenv("TOKEN"), ts.Getenv("TELLTALE_SERVER")+args[1]
	if strings.HasPrefix(args[1], "http") {
		token, address = "-", args[1]
	}
	req, err := http.NewRequestWithContext(ctx, args[0], address, body)
	ts.Check(err)
	if password, ok := req.URL.User.Password(); ok {
		req.SetBasicAuth(req.URL.User.Username(), password)
	}
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	if token != "-" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	ts.Check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%d\n%s\n", resp.StatusCode, bytes.TrimSpace(text))
}

// writeUsers writes a file of profiles, some of them over several lines.
func writeUsers(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	var b bytes.Buffer
	b.WriteString("\xEF\xBB\xBFid,email,Address,plan\r\n")
	for i := range n {
		fmt.Fprintf(&b, "%d,user%d@example.com,\"%d, Main Street\r\nSpringfield\",gold\r\n", i, i, i)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o600))
}
