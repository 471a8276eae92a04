package auth

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"telltale.example/telltale"
)

func TestTheKeyFileIsMadeOnceAndKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "secret.key")
	first, err := LoadOrCreateKeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(text), "# Telltale's secret keys") {
		t.Errorf("the file does not say what it is: %q, %v", text, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("something was left behind: %v", entries)
	}
	sealed, err := first.Seal([]byte("secret"), "row")
	if err != nil {
		t.Fatal(err)
	}
	second, err := LoadOrCreateKeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := second.Open(sealed, "row"); err != nil || string(opened) != "secret" {
		t.Errorf("after a restart: %q, %v", opened, err)
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateKeyFile(path); err != nil {
		t.Errorf("a file that only its owner may read: %v", err)
	}
}

func TestTwoFirstRunsTakeTheSameKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret.key")
	const runs = 8
	rings := make([]*KeyRing, runs)
	var group sync.WaitGroup
	for i := range runs {
		group.Go(func() {
			r, err := LoadOrCreateKeyFile(path)
			if err != nil {
				t.Error(err)
			}
			rings[i] = r
		})
	}
	group.Wait()
	for _, r := range rings {
		if r == nil || r.keys[0].id != rings[0].keys[0].id {
			t.Fatal("two of them have different keys")
		}
	}
}

func TestABadKeyFileIsRefusedWithItsMend(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		make func(t *testing.T, path string)
		says []string
	}{
		{
			name: "one that everybody may read",
			make: func(t *testing.T, path string) { write(t, path, key(1), 0o644) },
			says: []string{"open to others than its owner (mode 0644)", "chmod 600"},
		},
		{
			name: "one that the group may write",
			make: func(t *testing.T, path string) { write(t, path, key(1), 0o620) },
			says: []string{"mode 0620"},
		},
		{
			name: "one that is empty",
			make: func(t *testing.T, path string) { write(t, path, "", 0o600) },
			says: []string{"there is no key", "openssl rand -base64 32"},
		},
		{
			name: "one with a line that is no key",
			make: func(t *testing.T, path string) { write(t, path, key(1)+"\npassword\n", 0o600) },
			says: []string{"cannot be used", "line 2"},
		},
		{
			name: "one that is far too large",
			make: func(t *testing.T, path string) { write(t, path, strings.Repeat("#\n", maxKeyFile), 0o600) },
			says: []string{"larger than 65536 bytes"},
		},
		{
			name: "a folder in its place",
			make: func(t *testing.T, path string) {
				if err := os.Mkdir(path, 0o700); err != nil {
					t.Fatal(err)
				}
			},
			says: []string{"is not a regular file"},
		},
		{
			name: "a pipe without another end",
			make: func(t *testing.T, path string) {
				if err := syscall.Mkfifo(path, 0o600); err != nil {
					t.Fatal(err)
				}
			},
			says: []string{"is not a regular file"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "secret.key")
			test.make(t, path)
			_, err := LoadOrCreateKeyFile(path)
			if err == nil {
				t.Fatal("it was taken")
			}
			for _, words := range append(test.says, path) {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("the error %q does not say %q", err, words)
				}
			}
			if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
				t.Errorf("something was left beside it: %v", entries)
			}
		})
	}
}

func TestAKeyFileInNoFolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "missing", "secret.key")
	if _, err := LoadOrCreateKeyFile(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func TestOwnerToken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "owner.token")
	if _, err := ReadOwnerToken(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
	for range 2 { // the second replaces the first
		_, token := telltale.NewKey("", "owner", telltale.ScopeOwner)
		if err := WriteOwnerToken(path, token); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadOwnerToken(path); err != nil || got != token {
			t.Errorf("read %q, %v, want %q", got, err, token)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("something was left behind: %v", entries)
	}
	write(t, path, "hello", 0o600)
	if _, err := ReadOwnerToken(path); err == nil || !strings.Contains(err.Error(), "does not hold a token") {
		t.Errorf("another file: %v", err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadOwnerToken(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that the group may read: %v", err)
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}
