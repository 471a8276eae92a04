package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// server is a running `telltale serve` with a data folder of its own.
type server struct {
	cmd     *exec.Cmd
	ended   chan struct{}
	err     error // how it ended; read after ended
	folder  string
	address string
	ops     string
	token   string
	http    *http.Client
}

// How long a server may take to start, and to stop after SIGTERM.
const (
	startGrace = 20 * time.Second
	stopGrace  = 40 * time.Second
)

// buildServer builds the real binary from the module above this one.
func buildServer(ctx context.Context, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", to, "./cmd/telltale") //nolint:gosec // a path of our own
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building telltale from ..: %w\n%s", err, out)
	}
	return nil
}

// serverVersion is what the binary says it is.
func serverVersion(ctx context.Context, binary string) (string, error) {
	out, err := exec.CommandContext(ctx, binary, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", binary, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// startServer starts the binary with its own settings but for the addresses,
// the folder, and leave to deliver to this machine. It is ready on return.
func startServer(ctx context.Context, binary, folder string, args, environment []string) (s *server, err error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	ops, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(folder, "serve.log"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, log.Close()) }() // the server has its own
	data := filepath.Join(folder, "data")
	s = &server{
		folder: folder, address: address, ops: ops, ended: make(chan struct{}),
		http: &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second},
	}
	s.cmd = exec.CommandContext(ctx, binary, append([]string{ //nolint:gosec // the binary under test
		"serve", "--listen", address, "--ops-listen", ops, "--data", data, "--allow-private"}, args...)...)
	s.cmd.Dir = folder
	s.cmd.Env = append(serverEnvironment(folder), environment...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }
	s.cmd.WaitDelay = stopGrace
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the server: %w", err)
	}
	go func() {
		defer close(s.ended)
		s.err = s.cmd.Wait()
	}()
	if err := s.awaitReady(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("the server did not start: %w", err), s.stop(), s.lastWords())
	}
	token, err := os.ReadFile(filepath.Join(data, "owner.token"))
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	s.token = strings.TrimSpace(string(token))
	return s, nil
}

// serverEnvironment is ours without what would change the server's settings.
func serverEnvironment(folder string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "TELLTALE_") && !strings.HasPrefix(v, "XDG_CONFIG_HOME=") {
			env = append(env, v)
		}
	}
	return append(env, "XDG_CONFIG_HOME="+folder)
}

// freeAddress is an address that nobody listens on, for now.
func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (s *server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startGrace)
	defer cancel()
	for {
		err := exchange(ctx, s.http, http.MethodGet, "http://"+s.ops+"/readyz", nil, nil, nil)
		if err == nil {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("it ended: %w", s.err)
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// lastWords is the end of the server's log, as an error.
func (s *server) lastWords() error {
	log, err := os.ReadFile(filepath.Join(s.folder, "serve.log"))
	if err != nil {
		return err
	}
	return fmt.Errorf("the end of its log: %s", bytes.TrimSpace(log[max(0, len(log)-2000):]))
}

func (s *server) pid() int { return s.cmd.Process.Pid }

// stop ends the server in order. It may be called again.
func (s *server) stop() error {
	select {
	case <-s.ended:
	default:
		s.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended this moment
		select {
		case <-s.ended:
		case <-time.After(stopGrace):
			s.cmd.Process.Kill() //nolint:errcheck // it may have ended this moment
			<-s.ended
			return fmt.Errorf("the server did not stop within %s", stopGrace)
		}
	}
	if s.err != nil {
		return fmt.Errorf("the server: %w", s.err)
	}
	return nil
}

// disk is how many bytes the data folder has.
func (s *server) disk() (bytes int64, err error) {
	return bytes, filepath.WalkDir(filepath.Join(s.folder, "data"), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
}

// ingestPath is where the drive posts.
const ingestPath = "/v1/events?project=default"

// ask calls the API with the owner's token.
func (s *server) ask(ctx context.Context, method, path string, query url.Values, in, out any) error {
	if query == nil {
		query = url.Values{}
	}
	query.Set("project", "default")
	header := http.Header{"Authorization": {"Bearer " + s.token}}
	return exchange(ctx, s.http, method, "http://"+s.address+path+"?"+query.Encode(), header, in, out)
}

// createWebhook makes a webhook and gives its signing secret. Concurrency 0 is
// the default.
func (s *server) createWebhook(ctx context.Context, to string, concurrency int) (secret string, err error) {
	in := map[string]any{"url": to, "events": []string{eventType}}
	if concurrency > 0 {
		in["concurrency"] = concurrency
	}
	var out struct {
		Secret string `json:"secret"`
	}
	err = s.ask(ctx, http.MethodPost, "/v1/webhooks", nil, in, &out)
	return out.Secret, err
}

// delivery is what is checked of a delivery in the log.
type delivery struct {
	ID           string `json:"id"`
	EventID      string `json:"event_id"`
	State        string `json:"state"`
	AttemptCount int    `json:"attempt_count"`
	Attempts     []struct {
		Number int `json:"number"`
		Status int `json:"status"`
	} `json:"attempts"`
}

// unsettled counts deliveries in the log that did not succeed, one page at most.
func (s *server) unsettled(ctx context.Context) (n int, err error) {
	for _, state := range []string{"waiting", "sending", "failed", "held", "cancelled"} {
		var page struct {
			Data []delivery `json:"data"`
		}
		if err := s.ask(ctx, http.MethodGet, "/v1/deliveries", url.Values{"state": {state}}, nil, &page); err != nil {
			return 0, err
		}
		n += len(page.Data)
	}
	return n, nil
}

// inspect looks an event up in the log: it has one delivery per webhook, each
// succeeded, with an attempt that was answered 200.
func (s *server) inspect(ctx context.Context, event string, webhooks int) error {
	var page struct {
		Data []delivery `json:"data"`
	}
	if err := s.ask(ctx, http.MethodGet, "/v1/events/"+event+"/deliveries", nil, nil, &page); err != nil {
		return err
	}
	if len(page.Data) != webhooks {
		return fmt.Errorf("the log has %d deliveries of %s; expected %d", len(page.Data), event, webhooks)
	}
	for _, listed := range page.Data {
		var d delivery
		if err := s.ask(ctx, http.MethodGet, "/v1/deliveries/"+listed.ID, nil, nil, &d); err != nil {
			return err
		}
		n := len(d.Attempts)
		if d.EventID != event || d.State != "succeeded" || n == 0 || n != d.AttemptCount || d.Attempts[n-1].Status != http.StatusOK {
			return fmt.Errorf("the log has %+v; expected a success of %s with all its attempts", d, event)
		}
	}
	return nil
}
