package pgtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// StandbyName is what a standby calls itself before its primary.
const StandbyName = "standby"

// Standby starts a server that follows this one, on that port, or a free one for 0.
// It asks its primary at the port upstream, at which something may stand between
// them; 0 is the primary's own.
func (s *Server) Standby(port, upstream int) (*Server, error) {
	if upstream == 0 {
		upstream = s.Port
	}
	standby := &Server{bin: s.bin, settings: s.settings}
	return standby.begin(filepath.Dir(s.folder), port, func() error {
		primary := fmt.Sprintf("host=127.0.0.1 port=%d user=%s application_name=%s", upstream, Role, StandbyName)
		if out, err := standby.command("pg_basebackup", "-d", primary, "-D", standby.data(), "-X", "stream", "-R", "--checkpoint=fast", "--no-sync").CombinedOutput(); err != nil {
			return fmt.Errorf("pg_basebackup: %w\n%s", err, out)
		}
		return nil
	})
}

// Synchronous has the server acknowledge a commit only once a standby has it, or no
// longer.
func (s *Server) Synchronous(on bool) error {
	names := ""
	if on {
		names = StandbyName
	}
	if _, err := s.Exec("postgres", fmt.Sprintf("ALTER SYSTEM SET synchronous_standby_names = '%s'", names)); err != nil {
		return err
	}
	_, err := s.Exec("postgres", "SELECT pg_reload_conf()")
	return err
}

// Promote makes a primary of a standby, which waits for no standby of its own.
func (s *Server) Promote() error {
	if _, err := s.Exec("postgres", "SELECT pg_promote()"); err != nil {
		return err
	}
	return s.Synchronous(false)
}

// Kill ends the server and its sessions as a machine does that loses its power: they
// do nothing any more, not even say that they end.
func (s *Server) Kill() error {
	if s.process == nil {
		return nil
	}
	sessions := children(s.PID())
	err := s.process.Process.Kill()
	for _, p := range sessions {
		if e := syscall.Kill(p, syscall.SIGKILL); e != nil && !errors.Is(e, syscall.ESRCH) {
			err = errors.Join(err, e)
		}
	}
	_ = <-s.ended // killed, as we said
	s.process = nil
	return err
}

// children are the processes that a process started.
func children(parent int) (found []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended
		}
		// The number, the name in parentheses, the state, the parent.
		after := string(text[strings.LastIndexByte(string(text), ')')+1:])
		if fields := strings.Fields(after); len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			if n, err := strconv.Atoi(filepath.Base(filepath.Dir(stat))); err == nil {
				found = append(found, n)
			}
		}
	}
	return found
}
