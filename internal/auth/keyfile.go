package auth

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const keyFileHead = `# Telltale's secret keys: they seal the secrets in the database, which cannot
# be read without them. Back this file up, apart from the database.
#
# One key per line: 32 random bytes in base64. The first seals, all of them open.
# To change the key, put a line from "openssl rand -base64 32" above the others and
# run "telltale rotate-keys", which says when the old lines may go.
`

// maxKeyFile bounds what is read of a key file, in bytes: a hundred keys and
// plenty of comment.
const maxKeyFile = 64 << 10

// LoadOrCreateKeyFile reads the key ring at path. If there is no file, it makes
// one with a fresh key, which is on stable storage, and so is its name, before
// this returns. A file that others than its owner may read, that is malformed
// or that is no regular file is refused: the error names the file and the mend.
func LoadOrCreateKeyFile(path string) (*KeyRing, error) {
	text, err := readPrivate(path, maxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		// Another process may make it at the same time. Whoever comes second
		// takes what the first has made.
		err = createPrivate(path, keyFileHead+newKeyLine()+"\n")
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		text, err = readPrivate(path, maxKeyFile)
	}
	if err != nil {
		return nil, err
	}
	ring, err := ParseKeyRing(text)
	if err != nil {
		return nil, fmt.Errorf("the key file %s cannot be used: %w", path, err)
	}
	return ring, nil
}

// readPrivate reads a file that holds a secret, at most max bytes.
func readPrivate(path string, max int64) (string, error) {
	info, err := os.Stat(path) // before it is opened: opening a pipe would wait for its other end
	if err != nil {
		return "", fmt.Errorf("reading a secret file: %w", err)
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return "", fmt.Errorf("%s is not a regular file: put a file with the secret there", path)
	case mode.Perm()&0o077 != 0:
		return "", fmt.Errorf("%s is open to others than its owner (mode %04o): run `chmod 600 %s`", path, mode.Perm(), path)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading a secret file: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, max+1))
	if err != nil {
		return "", fmt.Errorf("reading a secret file: %w", err)
	}
	if int64(len(text)) > max {
		return "", fmt.Errorf("%s is larger than %d bytes: this is not the file that Telltale wrote there", path, max)
	}
	return string(text), nil
}

// createPrivate makes a file of mode 0600 that appears at path whole or not at
// all, and is on stable storage with its name on return. It gives
// [fs.ErrExist] if there is one already.
func createPrivate(path, text string) error {
	return writePrivate(path, text, func(temporary string) error {
		err := os.Link(temporary, path)
		if err == nil || errors.Is(err, fs.ErrExist) {
			return err
		}
		// Some file systems have no hard links. A rename is as safe, but for
		// two first runs in the same moment.
		if _, err := os.Lstat(path); err == nil {
			return fs.ErrExist
		}
		return os.Rename(temporary, path)
	})
}

// replacePrivate is createPrivate for a file that may be there.
func replacePrivate(path, text string) error {
	return writePrivate(path, text, func(temporary string) error { return os.Rename(temporary, path) })
}

func writePrivate(path, text string, place func(temporary string) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing the secret file %s: %w", path, err)
		}
	}()
	dir := filepath.Dir(path)
	file, err := os.CreateTemp(dir, filepath.Base(path)+".new-*") // its mode is 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // there is nothing to remove after a rename
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := place(file.Name()); err != nil {
		return err
	}
	return syncFolder(dir)
}

// syncFolder puts a new name on stable storage: the file's own sync does not.
func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
