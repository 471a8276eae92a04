package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"telltale.example/telltale/internal/pgtest"
)

// patience is how long a test waits for what has to happen soon, on a machine
// that does much else.
const patience = 60 * time.Second

// The programs under test: the same, under two versions.
const (
	versionNow  = "1.0.0-test"
	versionNext = "1.1.0-test"
)

var (
	programs = map[string]string{} // paths of the binaries, by version
	server   *pgtest.Server        // that all scenarios share which leave it alone
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	folder, err := os.MkdirTemp("", "telltale-cluster-")
	if err == nil && !given {
		err = flag.Set("test.parallel", "16") // they wait
	}
	for _, version := range []string{versionNow, versionNext} {
		path := filepath.Join(folder, "telltale-"+version)
		programs[version] = path
		if err == nil {
			var out []byte
			if out, err = exec.Command("go", "build", "-ldflags", "-X main.version="+version, "-o", path, "telltale.example/telltale/cmd/telltale").CombinedOutput(); err != nil {
				err = fmt.Errorf("building telltale: %w\n%s", err, out)
			}
		}
	}
	if err == nil {
		server, err = pgtest.New("max_connections=600")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := errors.Join(server.Remove(), os.RemoveAll(folder)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// cluster is a database with its nodes, a receiver, and callers.
type cluster struct {
	*testing.T
	server   *pgtest.Server
	database string
	url      string
	token    string
	nodes    []*node
	sink     *sink
	hooks    []*hook
	ledger   *ledger
	loads    atomic.Int64 // that were begun

	callLimit time.Duration // how long callers wait for an answer
}

var databases atomic.Int64

// program is what a node runs, and as what.
type program struct{ version, role string }

// newCluster starts some nodes over a new database.
func newCluster(t *testing.T, s *pgtest.Server, programs ...program) *cluster {
	t.Helper()
	c := &cluster{T: t, server: s, database: fmt.Sprintf("cluster_%d", databases.Add(1)), sink: newSink(t), ledger: newLedger(), callLimit: 10 * time.Second}
	var err error
	if c.url, err = s.Create(c.database, ""); err != nil {
		t.Fatal(err)
	}
	for i, p := range programs {
		n := &node{cluster: c, name: string(rune('A' + i)), data: t.TempDir(), role: p.role}
		c.nodes = append(c.nodes, n)
		n.start(p.version)
	}
	token, err := os.ReadFile(filepath.Join(c.nodes[0].data, "owner.token"))
	if err != nil {
		t.Fatal(err)
	}
	c.token = strings.TrimSpace(string(token))
	t.Cleanup(func() {
		if t.Failed() {
			for _, n := range c.nodes {
				t.Logf("node %s wrote:\n%s", n.name, n.complaints())
			}
		}
	})
	return c
}

// node is one process.
type node struct {
	*cluster
	name string
	data string
	role string

	// address is where its API is, at every start; "" of a node that has none.
	address string

	number   string // of its present start, in the database
	api, ops string // URLs
	process  *os.Process
	ended    chan error
	out, err *os.File
}

var reached = regexp.MustCompile(`(?m)^  (API|Ops) +(http://[^/]+)/`)

// start starts the node, and waits until it is ready.
func (n *node) start(version string) {
	n.Helper()
	var err error
	if n.out, err = os.Create(filepath.Join(n.data, "out")); err != nil {
		n.Fatal(err)
	}
	if n.err, err = os.OpenFile(filepath.Join(n.data, "err"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		n.Fatal(err)
	}
	before := n.ask(`SELECT CASE WHEN to_regclass('node') IS NULL THEN 0 ELSE 1 END`)
	last := "0"
	if before == "1" {
		last = n.ask(`SELECT coalesce(max(number), 0) FROM node`)
	}
	listen := n.address
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	cmd := exec.Command(programs[version], "serve", "--database-url", n.url, "--listen", listen, "--ops-listen", "127.0.0.1:0", "--role", n.role, "--data", n.data, "--allow-private")
	cmd.Env = []string{"TELLTALE_SECRET_KEY=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "HOME=" + n.data, "PATH=" + os.Getenv("PATH")}
	cmd.Dir, cmd.Stdout, cmd.Stderr = n.data, n.out, n.err
	endWithUs(cmd)
	n.ended = make(chan error, 1)
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the kernel ends the process if the thread ends that started it
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			n.ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		n.Fatal(err)
	}
	n.process = cmd.Process
	n.Cleanup(func() { n.kill() })
	n.wait("node "+n.name+" to be ready", func() bool {
		out, err := os.ReadFile(n.out.Name())
		if err != nil {
			n.Fatal(err)
		}
		n.api, n.ops = "", ""
		for _, at := range reached.FindAllStringSubmatch(string(out), -1) {
			if at[1] == "API" {
				n.api = at[2]
			} else {
				n.ops = at[2]
			}
		}
		select {
		case err := <-n.ended:
			n.Fatalf("node %s ended with %v:\n%s", n.name, err, n.complaints())
		default:
		}
		return n.ops != "" && n.ready()
	})
	if n.address == "" {
		n.address = strings.TrimPrefix(n.api, "http://")
	}
	n.number = n.ask(`SELECT max(number) FROM node WHERE number > ` + last + ` AND role = '` + n.role + `'`)
}

// client asks nodes. What it asks is bounded by the contexts.
var client = &http.Client{}

func (n *node) ready() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, n.ops+"/readyz", http.NoBody)
	if err != nil {
		n.Fatal(err)
	}
	answer, err := client.Do(r)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

func (n *node) signal(s syscall.Signal) {
	n.Helper()
	if err := n.process.Signal(s); err != nil {
		n.Fatalf("node %s: %v", n.name, err)
	}
}

// kill ends the process at once, if there is one.
func (n *node) kill() {
	if n.process == nil {
		return
	}
	_ = n.process.Kill() // it may have ended
	<-n.ended
	n.gone()
}

func (n *node) gone() {
	n.process = nil
	_ = n.out.Close()
	_ = n.err.Close()
}

// stop ends the node in order, and gives how long that took.
func (n *node) stop() time.Duration {
	n.Helper()
	began := time.Now()
	n.signal(syscall.SIGTERM)
	select {
	case err := <-n.ended:
		if err != nil {
			n.Errorf("node %s ended with %v", n.name, err)
		}
	case <-time.After(patience):
		n.Fatalf("node %s does not end", n.name)
	}
	n.gone()
	return time.Since(began)
}

// complaints are what the node warned of.
func (n *node) complaints() string {
	text, _ := os.ReadFile(filepath.Join(n.data, "err"))
	lines := slices.DeleteFunc(strings.Split(string(text), "\n"), func(l string) bool { return strings.Contains(l, "level=INFO") })
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// metric reads a number that the node counts.
func (n *node) metric(name string) float64 {
	n.Helper()
	status, text := n.call(http.MethodGet, n.ops+"/metrics", nil)
	if status != http.StatusOK {
		n.Fatalf("metrics of node %s: %d", n.name, status)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				n.Fatal(err)
			}
			return v
		}
	}
	n.Fatalf("node %s has no metric %s", n.name, name)
	return 0
}

// wait waits until something is so.
func (c *cluster) wait(what string, is func() bool) {
	c.Helper()
	c.waitFor(patience, what, is)
}

func (c *cluster) waitFor(d time.Duration, what string, is func() bool) {
	c.Helper()
	for deadline := time.Now().Add(d); !is(); {
		if time.Now().After(deadline) {
			c.Fatalf("waited for %s in vain", what)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// ask asks the database.
func (c *cluster) ask(sql string) string {
	c.Helper()
	out, err := c.server.Exec(c.database, sql)
	if err != nil {
		c.Fatalf("%s: %v", sql, err)
	}
	return out
}

func (c *cluster) number(sql string) int {
	c.Helper()
	out := c.ask(sql)
	n, err := strconv.Atoi(out)
	if err != nil {
		c.Fatalf("%s gives %q", sql, out)
	}
	return n
}

// call makes a request that is to be answered, whatever the answer is.
func (c *cluster) call(method, url string, body any) (status int, text []byte) {
	c.Helper()
	status, text, err := c.try(method, url, body)
	if err != nil {
		c.Fatalf("%s %s: %v", method, url, err)
	}
	return status, text
}

func (c *cluster) try(method, url string, body any) (status int, text []byte, err error) {
	var sent io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		sent = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, sent)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	text, err = io.ReadAll(answer.Body)
	return answer.StatusCode, text, err
}
