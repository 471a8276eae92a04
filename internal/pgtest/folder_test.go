package pgtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

func TestOnlyFoldersThatNobodyNeedsAreCleared(t *testing.T) {
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	dead, living := strconv.Itoa(ended.Process.Pid), strconv.Itoa(os.Getpid())
	for name, row := range map[string]struct {
		owner, server string
		age           time.Duration
		stays         bool
	}{
		"both are gone":                    {owner: dead, server: dead},
		"its server never started":         {owner: dead},
		"its server lives on":              {owner: dead, server: living, stays: true},
		"its server was killed on purpose": {owner: living, server: dead, stays: true},
		"it is being made":                 {stays: true},
		"it is old and says nothing":       {age: 2 * time.Hour},
		"it is old and its server lives":   {server: living, age: 2 * time.Hour, stays: true},
	} {
		t.Run(name, func(t *testing.T) {
			in := t.TempDir()
			folder := filepath.Join(in, folderName+"1")
			if err := os.MkdirAll(filepath.Join(folder, "data"), 0o700); err != nil {
				t.Fatal(err)
			}
			for file, text := range map[string]string{ownerFile: row.owner, "data/postmaster.pid": row.server} {
				if text == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(folder, file), []byte(text+"\nmore\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			made := time.Now().Add(-row.age)
			if err := os.Chtimes(folder, made, made); err != nil {
				t.Fatal(err)
			}
			clearAbandoned(in)
			if _, err := os.Stat(folder); (err == nil) != row.stays {
				t.Errorf("it stays: %v", err == nil)
			}
		})
	}
}
