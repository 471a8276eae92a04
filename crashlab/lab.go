package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Programs that a lab builds from the module above.
const (
	release     = "telltale"           // as it is released
	failPoints  = "telltale-failpoint" // with the points at which it can be made to fail
	crossing    = "telltale-crossing"  // whoever asks for a webhook gets it, of any project
	careless    = "telltale-careless"  // it breaks where a cursor is not its own
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
	broke error             // of the last program that could not be built
}

// build gives the path of a program, which is built when it is first asked for. One
// that cannot be is a fault of its trial, in a control too.
func (l *lab) build(ctx context.Context, program string) (path string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() {
		if err != nil {
			l.broke = err
		}
	}()
	if path := l.built[program]; path != "" {
		return path, nil
	}
	path = filepath.Join(l.folder, program)
	args := []string{"build", "-trimpath", "-o", path}
	switch {
	case strings.HasPrefix(program, failPoints):
		args = append(args, "-tags", "failpoint")
	case program == nextRelease:
		args = append(args, "-ldflags", "-X main.version=99.0.0-next")
	}
	if wrong := spoiled[program]; wrong != nil {
		overlay, err := l.spoil(program, wrong)
		if err != nil {
			return "", fmt.Errorf("building %s: %w", program, err)
		}
		args = append(args, "-overlay", overlay)
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

// unbuilt gives what kept a program from being built since it was last asked.
func (l *lab) unbuilt() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.broke
	l.broke = nil
	return err
}

// spoiled are programs that are the release but for something wrong, which a
// control runs: what is wrong really is.
var spoiled = map[string][]change{
	crossing: {{"internal/sqlite/webhook.go", "state.ProjectID == project && !state.Deleted {\n\t\t\treturn state.Webhook, nil", "!state.Deleted {\n\t\t\treturn state.Webhook, nil"}},
	careless: {{"internal/api/cursor.go", "return p, faulty(\"query.after\", \"This is no cursor of this list.\", \"what next held in the page before\")", "panic(\"a cursor that nobody made\")"}},
}

// change is one in a source file of the module above.
type change struct{ file, from, to string }

// spoil makes changes to copies of the sources, and gives the file that tells the
// compiler of them.
func (l *lab) spoil(program string, changes []change) (overlay string, err error) {
	texts := map[string]string{}
	for _, c := range changes {
		if texts[c.file] == "" {
			text, err := os.ReadFile(filepath.Join(l.source, c.file))
			if err != nil {
				return "", err
			}
			texts[c.file] = string(text)
		}
		if n := strings.Count(texts[c.file], c.from); n != 1 {
			return "", fmt.Errorf("%s has %d times %q", c.file, n, c.from)
		}
		texts[c.file] = strings.Replace(texts[c.file], c.from, c.to, 1)
	}
	replace := map[string]string{}
	for file, text := range texts {
		copied := filepath.Join(l.folder, program+"-"+strings.ReplaceAll(file, "/", "-"))
		if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(l.source, file)] = copied
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(l.folder, program+".json")
	return overlay, os.WriteFile(overlay, text, 0o600)
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
