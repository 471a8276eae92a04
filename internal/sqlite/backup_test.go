package sqlite

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/storetest"
)

func untold(string, int64, int64) {}

// otherSealer has another key than that of the tests.
var otherSealer = storetest.Sealer{"other"}

// accept stores events.
func accept(t *testing.T, s *Store, events int) {
	t.Helper()
	p, err := s.ProjectBySlug(t.Context(), telltale.DefaultProjectSlug)
	if err != nil {
		t.Fatal(err)
	}
	for range events {
		e, err := telltale.SampleEvent(p.ID, telltale.Bounced)
		if err != nil {
			t.Fatal(err)
		}
		e.Test = false
		if _, err := s.AcceptEvents(t.Context(), telltale.Acceptance{ProjectID: p.ID, Events: []*telltale.Event{&e}}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestABackupOfAStoreThatIsWrittenIsRestored(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	accept(t, s, 20)
	written := make(chan struct{})
	file := filepath.Join(t.TempDir(), "copy.db")
	began := false
	made, err := Backup(t.Context(), s.path, file, func(string, int64, int64) {
		if !began { // the moment of the copy is past
			began = true
			accept(t, s, 20)
			close(written)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	<-written
	if made.Events != 20 {
		t.Errorf("the copy has %d events, and there were 20", made.Events)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read the copy: %v, %v", info, err)
	}
	if names, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*")); err != nil || len(names) != 1 {
		t.Errorf("there is more than the copy: %v, %v", names, err)
	}

	path := filepath.Join(t.TempDir(), "new", "telltale.db")
	got, err := Restore(t.Context(), file, path, Options{Sealer: storetest.Sealer{}}, untold)
	if err != nil || got.Events != 20 {
		t.Fatalf("restored %+v, %v", got, err)
	}
	r := openStore(t, path)
	entries, err := r.AuditEntries(t.Context(), "", telltale.AuditFilter{Action: telltale.AuditRestored}, telltale.Page{Limit: 10})
	if err != nil || len(entries) != 1 || entries[0].Name != "copy.db" {
		t.Errorf("the audit log has %+v, %v", entries, err)
	}
	accept(t, r, 1)
}

func TestABackupTakesNoOtherFilesName(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	file := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Backup(t.Context(), s.path, file, untold); telltale.CodeOf(err) != telltale.Conflict {
		t.Errorf("it was no conflict: %v", err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("the file was %q, %v", text, err)
	}
}

func TestABackupThatIsInterruptedLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	folder := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Backup(ctx, s.path, filepath.Join(folder, "copy.db"), func(string, int64, int64) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
		t.Errorf("it left %v, %v", left, err)
	}
	accept(t, s, 1)
}

func TestWhatIsNoSoundBackupIsNotRestored(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	accept(t, s, 300)
	folder := t.TempDir()
	good := filepath.Join(folder, "good.db")
	if _, err := Backup(t.Context(), s.path, good, untold); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	spoilt := make([]byte, len(whole))
	copy(spoilt, whole)
	for i := 4 * pageSize; i < len(spoilt); i += 100 {
		spoilt[i] ^= 0xff
	}
	other := filepath.Join(folder, "foreign.db")
	c, err := openConn(other, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.query("CREATE TABLE event (number)").run(), c.Close()); err != nil {
		t.Fatal(err)
	}
	foreign, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		bytes  []byte
		sealer telltale.Sealer
		why    string
	}{
		"cut off":     {whole[:len(whole)/2], storetest.Sealer{}, "damaged"},
		"spoilt":      {spoilt, storetest.Sealer{}, "damaged"},
		"empty":       {nil, storetest.Sealer{}, "no database of Telltale's"},
		"another's":   {foreign, storetest.Sealer{}, "no database of Telltale's"},
		"no database": {[]byte(strings.Repeat("precious ", 2000)), storetest.Sealer{}, "no database"},
		"another key": {whole, otherSealer, "the secret key is not the one"},
	} {
		file := filepath.Join(folder, fmt.Sprintf("%x.db", sha256.Sum256([]byte(name))))
		if err := os.WriteFile(file, test.bytes, 0o600); err != nil {
			t.Fatal(err)
		}
		into := t.TempDir()
		if err := os.Chmod(into, 0o700); err != nil {
			t.Fatal(err)
		}
		_, err := Restore(t.Context(), file, filepath.Join(into, "telltale.db"), Options{Sealer: test.sealer}, untold)
		if err == nil || !strings.Contains(err.Error(), test.why) {
			t.Errorf("%s: %v", name, err)
		}
		if left, err := filepath.Glob(filepath.Join(into, "*")); err != nil || len(left) != 1 || !strings.HasSuffix(left[0], ".lock") {
			t.Errorf("%s: it left %v, %v", name, left, err)
		}
	}
}

func TestAStoreIsRefusedWithAnotherKey(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	path := s.path
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, Options{Sealer: otherSealer}); err == nil || !strings.Contains(err.Error(), "the secret key is not the one") {
		t.Errorf("it was opened with another key: %v", err)
	}
}
