package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// Programs that a lab builds from the module above.
const (
	release     = "telltale"           // as it is released
	failPoints  = "telltale-failpoint" // with the points at which it can be made to fail
	nextRelease = "telltale-next"      // the release, under a later version
)

// lab is what trials share: programs, a folder and somebody who reads.
type lab struct {
	folder  string // on a disk; each run has one of its own in it
	source  string // of the module above
	seed    uint64
	verbose bool
	out     io.Writer

	mu    sync.Mutex
	built map[string]string // paths by program
}

// build gives the path of a program, which is built when it is first asked for.
func (l *lab) build(ctx context.Context, program string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if path := l.built[program]; path != "" {
		return path, nil
	}
	path := filepath.Join(l.folder, program)
	args := []string{"build", "-trimpath", "-o", path}
	switch program {
	case failPoints:
		args = append(args, "-tags", "failpoint")
	case nextRelease:
		args = append(args, "-ldflags", "-X main.version=99.0.0-next")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./cmd/telltale")...) //nolint:gosec // paths of our own
	cmd.Dir = l.source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", program, err, out)
	}
	l.built[program] = path
	return path, nil
}

// sources finds the module above.
func sources() (string, error) {
	for _, folder := range []string{"..", "."} {
		if _, err := os.Stat(filepath.Join(folder, "cmd", "telltale")); err == nil {
			return filepath.Abs(folder)
		}
	}
	return "", errors.New("run this in the folder crashlab of Telltale's sources")
}

func (l *lab) say(format string, args ...any) { fmt.Fprintf(l.out, format+"\n", args...) }

func (l *lab) chat(format string, args ...any) {
	if l.verbose {
		l.say(format, args...)
	}
}
