package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// node is one process.
type node struct {
	*world
	name string
	data string
	logs string // folder of what it says, which no fault befalls
	role string

	via string // URL of the database as this node reaches it; "" for the world's own

	program string   // what it runs
	args    []string // of serve
	env     []string // besides what it needs
	guarded bool     // it dials public addresses alone: nothing of the lab's

	// address is where its API is, at every start; "" of a node that has none.
	address string

	number   string // of its present start, in the database
	before   string // the highest number there when it was launched
	api, ops string // URLs
	process  *os.Process
	ended    chan error // gets how the process ended
	out, err *os.File
}

// secretKey is the key of all nodes, as their environment has it.
const secretKey = "TELLTALE_SECRET_KEY=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

var reached = regexp.MustCompile(`(?m)^  (API|Ops) +(http://[^/]+)/`)

// start starts the node, and waits until it is ready.
func (n *node) start() {
	n.launch()
	n.Wait("node "+n.name+" to be ready", func() bool {
		select {
		case err := <-n.ended:
			n.ended <- err
			n.Fatalf("node %s ended with %v:\n%s", n.name, err, n.complaints())
		default:
		}
		return n.reached() && n.ready()
	})
}

// launch starts the process alone.
func (n *node) launch() {
	path, err := n.lab.build(n.ctx, n.program)
	n.Must(err)
	n.out, err = os.Create(filepath.Join(n.logs, "out"))
	n.Must(err)
	n.err, err = os.OpenFile(filepath.Join(n.logs, "err"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	n.Must(err)
	n.before = "0"
	if n.server != nil && n.ask(`SELECT to_regclass('node') IS NOT NULL`) == "t" {
		n.before = n.ask(`SELECT coalesce(max(number), 0) FROM node`)
	}
	listen := n.address
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	args := []string{"serve", "--listen", listen, "--ops-listen", "127.0.0.1:0", "--data", n.data}
	if !n.guarded {
		args = append(args, "--allow-private")
	}
	if n.server != nil {
		url := n.url
		if n.via != "" {
			url = n.via
		}
		args = append(args, "--database-url", url, "--role", n.role)
	}
	cmd := exec.Command(path, append(args, n.args...)...) //nolint:gosec,noctx // the program under test, which a trial ends as it is to end
	cmd.Env = append([]string{secretKey, "HOME=" + n.data, "PATH=" + os.Getenv("PATH")}, n.env...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = n.logs, n.out, n.err
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it ends with us
	ended, started := make(chan error, 1), make(chan error)
	go func() {
		runtime.LockOSThread() // the kernel ends the process if the thread ends that started it
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	n.Must(<-started)
	n.process, n.ended = cmd.Process, ended
}

// reached learns, once it has said so, where the node is reached.
func (n *node) reached() bool {
	out, err := os.ReadFile(n.out.Name())
	n.Must(err)
	n.api, n.ops = "", ""
	for _, at := range reached.FindAllStringSubmatch(string(out), -1) {
		if at[1] == "API" {
			n.api = at[2]
		} else {
			n.ops = at[2]
		}
	}
	if n.ops == "" {
		return false
	}
	if n.address == "" {
		n.address = strings.TrimPrefix(n.api, "http://")
	}
	if n.token == "" {
		token, err := os.ReadFile(filepath.Join(n.data, "owner.token"))
		n.Must(err)
		n.token = strings.TrimSpace(string(token))
	}
	if n.server != nil {
		n.number = n.ask(`SELECT max(number) FROM node WHERE number > ` + n.before + ` AND role = '` + n.role + `'`)
	}
	return true
}

// rejoined learns the number under which the node is at work now: one that lost its
// lease takes another.
func (n *node) rejoined() {
	n.number = n.ask(`SELECT max(number) FROM node WHERE id = (SELECT id FROM node WHERE number = ` + n.number + `)`)
}

// client asks nodes. What it asks is bounded by the contexts.
var client = &http.Client{}

func (n *node) ready() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, n.ops+"/readyz", http.NoBody)
	n.Must(err)
	answer, err := client.Do(r)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

func (n *node) signal(s syscall.Signal) {
	n.Must(n.process.Signal(s))
}

// kill ends the process at once, if there is one.
func (n *node) kill() {
	if n.process == nil {
		return
	}
	_ = n.process.Kill() // it may have ended
	_ = <-n.ended        // as we said
	n.gone()
}

// exit waits until the process has ended by itself, and gives how.
func (n *node) exit(limit time.Duration) error {
	select {
	case err := <-n.ended:
		n.gone()
		return err
	case <-time.After(limit):
		n.Fatalf("node %s does not end within %v", n.name, limit)
		return nil
	}
}

func (n *node) gone() {
	n.process = nil
	_ = n.out.Close()
	_ = n.err.Close()
}

// stop ends the node in order, and gives how long that took.
func (n *node) stop() time.Duration {
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
	text, _ := os.ReadFile(filepath.Join(n.logs, "err"))
	lines := slices.DeleteFunc(strings.Split(string(text), "\n"), func(l string) bool { return strings.Contains(l, "level=INFO") })
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// metric reads a number that the node counts.
func (n *node) metric(name string) float64 {
	status, text := n.call(http.MethodGet, n.ops+"/metrics", nil)
	if status != http.StatusOK {
		n.Fatalf("metrics of node %s: %d", n.name, status)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			n.Must(err)
			return v
		}
	}
	n.Fatalf("node %s has no metric %s", n.name, name)
	return 0
}

// resident is how much memory a process has, in bytes, and 0 once it has ended.
func resident(pid int) float64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return float64(pages * os.Getpagesize())
}
