package pgtest

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	folderName = "telltale-postgres-"
	ownerFile  = "owner" // in a server's folder: the number of the process that made it
)

// makeFolder makes the folder of a server, and notes whose it is.
func makeFolder(in string) (string, error) {
	folder, err := os.MkdirTemp(in, folderName)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(folder, ownerFile), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		return "", errors.Join(err, os.RemoveAll(folder))
	}
	return folder, nil
}

// clearAbandoned removes the folders of servers whose process was killed before it
// could: in memory, nothing else would before the machine starts anew.
func clearAbandoned(in string) {
	if in == "" {
		in = os.TempDir()
	}
	folders, _ := filepath.Glob(filepath.Join(in, folderName+"*"))
	for _, folder := range folders {
		if abandoned(folder) {
			_ = os.RemoveAll(folder) // somebody else's may stay
		}
	}
}

// abandoned reports whether nobody needs a server's folder any more: neither who
// made it nor a server is alive. One that says nothing of its owner is being made.
func abandoned(folder string) bool {
	owner, known := processIn(filepath.Join(folder, ownerFile))
	if !known {
		made, err := os.Stat(folder)
		if err != nil || time.Since(made.ModTime()) < time.Hour {
			return false
		}
	}
	server, _ := processIn(filepath.Join(folder, "data", "postmaster.pid"))
	return !alive(owner) && !alive(server)
}

// processIn reads the number of a process from the first line of a file.
func processIn(file string) (number int, known bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	line, _, _ := strings.Cut(string(text), "\n")
	number, err = strconv.Atoi(strings.TrimSpace(line))
	return number, err == nil && number > 0
}

func alive(process int) bool {
	return process > 0 && !errors.Is(syscall.Kill(process, 0), syscall.ESRCH)
}
