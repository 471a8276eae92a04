package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"telltale.example/telltale"
)

// childBreaks accepts some events, and then has its write-ahead log replaced
// below SQLite's feet: the null device takes every write and fails each sync.
func childBreaks(path string) error {
	s, err := childStore(path)
	if err != nil {
		return err
	}
	ctx := context.Background()
	project, err := s.ProjectBySlug(ctx, telltale.DefaultProjectSlug)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		event := &telltale.Event{ID: telltale.NewEventID(), ProjectID: project.ID, Type: telltale.Opened}
		_, err := s.AcceptEvents(ctx, telltale.Acceptance{ProjectID: project.ID, Events: []*telltale.Event{event}})
		if err == nil {
			_, err = os.Stdout.WriteString("event " + string(event.ID) + "\n")
		}
		switch {
		case err != nil && i <= 20:
			return err
		case err != nil:
			if telltale.CodeOf(err) != telltale.Unavailable || telltale.CodeOf(s.Ready(ctx)) != telltale.Unavailable {
				return fmt.Errorf("it is ready: %v, and says: %w", s.Ready(ctx), err)
			}
			<-time.After(time.Second) // by then it has ended
			return fmt.Errorf("it goes on after: %w", err)
		case i == 20:
			if err := replaceOpenFile(path + "-wal"); err != nil {
				return err
			}
		}
	}
}

// replaceOpenFile makes every descriptor of the file one of the null device.
func replaceOpenFile(path string) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	replaced := 0
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join("/proc/self/fd", entry.Name()))
		if err != nil || !strings.HasSuffix(target, path) {
			continue
		}
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			return err
		}
		if err := syscall.Dup3(int(null.Fd()), fd, 0); err != nil {
			return err
		}
		replaced++
	}
	if replaced == 0 {
		return fmt.Errorf("%s is not open", path)
	}
	return nil
}

func TestAFailedSyncEndsTheProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(dataFolder(t), "telltale.db")
	cmd, out := startChild(t, "break", path)
	acknowledged := readAcknowledged(out)
	_ = cmd.Wait() // its exit code tells
	if code := cmd.ProcessState.ExitCode(); code != 3 || !strings.HasPrefix(out.Text(), "fatal: ") {
		t.Fatalf("the process ended with %d and said %q", code, out.Text())
	}
	checkAcknowledged(t, path, acknowledged)
}
