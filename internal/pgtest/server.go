// Package pgtest starts throw-away PostgreSQL servers for tests, from the
// machine's binaries, as a user without privileges. A server listens on loopback
// alone, syncs its commits as a real one does, keeps its files in memory where the
// system has a place for that, and ends with the process that started it.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Role is the superuser that tests connect as, without a password.
const Role = "telltale"

// Server is a PostgreSQL server that is running, or may be started again.
type Server struct {
	Port int

	folder   string
	bin      string
	settings []string // that it was asked for with
	options  []string
	process  *exec.Cmd
	ended    chan error
}

// Start starts a server with those settings, such as "max_connections=300", on top
// of its own, and ends it with the test.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	s, err := New(settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Remove(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// New starts a server that its caller removes.
func New(settings ...string) (*Server, error) { return NewIn(memory(), settings...) }

// NewIn starts one whose files lie in a folder of that folder, as on a real disk.
func NewIn(folder string, settings ...string) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, settings: settings}
	return s.begin(folder, 0, func() error {
		if out, err := s.command("initdb", "-D", s.data(), "-U", Role, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync").CombinedOutput(); err != nil {
			return fmt.Errorf("initdb: %w\n%s", err, out)
		}
		return nil
	})
}

// begin makes the server's folder, has it filled, and starts the server, on a free
// port if none is named.
func (s *Server) begin(in string, port int, fill func() error) (_ *Server, err error) {
	clearAbandoned(in)
	if s.folder, err = makeFolder(in); err != nil {
		return nil, err
	}
	if err := s.prepare(port, fill); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.folder))
	}
	if err := s.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.folder))
	}
	return s, nil
}

// memory is a folder whose files need no disk, or "" for the usual one.
func memory() string {
	const shared = "/dev/shm"
	probe, err := os.CreateTemp(shared, "telltale-probe-")
	if err != nil {
		return ""
	}
	defer os.Remove(probe.Name()) //nolint:errcheck // it is empty
	defer probe.Close()
	return shared
}

// binaries finds the folder of the newest server.
func binaries() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // as Debian does
	if len(found) == 0 {
		path, err := exec.LookPath("postgres")
		if err == nil {
			path, err = filepath.EvalSymlinks(path)
		}
		if err != nil {
			return "", errors.New("there is no PostgreSQL server on this machine: install one, such as with apt-get install postgresql")
		}
		return filepath.Dir(path), nil
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }

func (s *Server) prepare(port int, fill func() error) error {
	if owner := credential(); owner != nil {
		if err := os.Chown(s.folder, int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	if err := fill(); err != nil {
		return err
	}
	if s.Port = port; port == 0 {
		var err error
		if s.Port, err = freePort(); err != nil {
			return err
		}
	}
	s.options = []string{"-D", s.data(), "-p", strconv.Itoa(s.Port)}
	for _, setting := range append([]string{
		"listen_addresses=127.0.0.1", "unix_socket_directories=" + s.folder, "max_connections=200", "shared_buffers=64MB",
		"max_wal_size=512MB", "dynamic_shared_memory_type=mmap", "logging_collector=off", "log_min_messages=warning", "timezone=UTC",
	}, s.settings...) {
		s.options = append(s.options, "-c", setting)
	}
	return nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed at once
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// credential is the user that the server runs as: it refuses to be root.
func credential() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, _ := strconv.Atoi(u.Uid)
			gid, _ := strconv.Atoi(u.Gid)
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	return nil
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, name), args...) //nolint:gosec,noctx // the server's own programs
	c.Dir = s.folder
	c.Env = append(os.Environ(), "LC_ALL=C")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: credential()}
	return c
}

// Start starts a server that was stopped, and waits until it answers.
func (s *Server) Start() error {
	log, err := os.OpenFile(filepath.Join(s.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.ended = make(chan error, 1)
	started := make(chan error, 1)
	go func() {
		// The kernel ends the server if the thread ends that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		s.process = s.command("postgres", s.options...)
		s.process.Stdout, s.process.Stderr = log, log
		endWithUs(s.process.SysProcAttr)
		err := s.process.Start()
		started <- err
		if err == nil {
			s.ended <- s.process.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for {
		ready := exec.CommandContext(ctx, filepath.Join(s.bin, "pg_isready"), "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(s.Port)) //nolint:gosec // the server's own program
		if ready.Run() == nil {
			return nil
		}
		select {
		case err := <-s.ended:
			return fmt.Errorf("the server ended: %w\n%s", err, s.Log())
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer\n%s", s.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop ends the server: with fast, as an operator would, and else at once, as a
// crash would.
func (s *Server) Stop(fast bool) error {
	if s.process == nil || s.process.Process == nil {
		return nil
	}
	signal := syscall.SIGQUIT
	if fast {
		signal = syscall.SIGINT
	}
	if err := s.process.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if err := <-s.ended; err != nil && !errors.As(err, new(*exec.ExitError)) { // how it ended is as it was asked to
		return err
	}
	s.process = nil
	return nil
}

// Remove ends the server and removes its files.
func (s *Server) Remove() error {
	return errors.Join(s.Stop(false), os.RemoveAll(s.folder))
}

// PID is the server's first process, whose children are its sessions.
func (s *Server) PID() int { return s.process.Process.Pid }

// Log is what the server wrote.
func (s *Server) Log() string {
	log, _ := os.ReadFile(filepath.Join(s.folder, "log"))
	return string(log)
}

// URL names a database on the server.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", Role, s.Port, database)
}

// Exec runs SQL in a database, with the server's own client.
func (s *Server) Exec(database, sql string) (string, error) {
	c := exec.Command(filepath.Join(s.bin, "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", s.URL(database)) //nolint:gosec,noctx // the server's own program
	c.Stdin = strings.NewReader(sql)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("%w: %s", err, errs.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// Create makes a database, as a copy of another one if template names it, and
// gives its URL.
func (s *Server) Create(database, template string) (string, error) {
	sql := fmt.Sprintf("CREATE DATABASE %s", database)
	if template != "" {
		sql += fmt.Sprintf(" TEMPLATE %s", template)
	}
	if _, err := s.Exec("postgres", sql); err != nil {
		return "", err
	}
	return s.URL(database), nil
}

// Drop removes a database, whoever is connected to it.
func (s *Server) Drop(database string) error {
	_, err := s.Exec("postgres", fmt.Sprintf("DROP DATABASE IF EXISTS %s WITH (FORCE)", database))
	return err
}
