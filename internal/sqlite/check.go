package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"zombiezen.com/go/sqlite"
)

// applicationID marks the file as ours, so that no other program's database is
// taken for a store: "TelT".
const applicationID = 0x54656c54

// checkVersion refuses SQLite before 3.51.3, which may damage a database when
// a checkpoint meets a writer (the "WAL-reset bug", sqlite.org/wal.html), and
// 3.52.0, which was withdrawn.
func checkVersion(number int) error {
	if number < 3_051_003 || number == 3_052_000 {
		return fmt.Errorf("SQLite %d.%d.%d may damage databases: build with 3.51.3 or newer, and not with 3.52.0",
			number/1_000_000, number/1000%1000, number%1000)
	}
	return nil
}

// lockFile makes the folder, if need be, and takes the lock that shows that no
// other process uses the database. It is a file of its own: SQLite's exclusive
// locking mode would shut out our own readers, and a lock on the database
// itself would be lost when any of its descriptors is closed (fcntl(2)).
func lockFile(path string) (*os.File, error) {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("the data folder cannot be made: %w", err)
	}
	info, err := os.Stat(folder)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("the data folder %s is open to others (%v): run chmod 700 %[1]s, or name a new folder", folder, mode)
	}
	if reason := networkReason(folder); reason != "" {
		return nil, fmt.Errorf("the data folder %s is on %s, where locks and syncs cannot be trusted: choose a folder on a local disk", folder, reason)
	}

	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the lock file cannot be opened: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.New("another process uses this database: stop it first, or choose another data folder")
	}
	return nil, fmt.Errorf("the lock file cannot be locked: %w", err)
}

// unlockFile gives the lock back. Closing alone would leave it to a child
// process that was forked and has not closed its copy yet.
func unlockFile(f *os.File) error {
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
}

// prepareFile makes the database file, readable for its owner alone (SQLite
// gives its other files the same mode), or looks whether it is one of ours.
func prepareFile(path string) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case err == nil:
		f.Close()
	case !errors.Is(err, fs.ErrExist):
		return fmt.Errorf("the database file cannot be made: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("the database file is open to others (%v): run chmod 600 %s", mode, path)
	}

	c, err := openConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	id, err := c.pragma("application_id")
	if err != nil {
		return fmt.Errorf("the file is no database, or is damaged: %w", err)
	}
	if id == fmt.Sprint(applicationID) {
		return nil
	}
	tables := true
	if _, err = c.query(`SELECT count(*) > 0 FROM sqlite_schema`).one(func(q *query) { tables = q.getBool() }); err != nil {
		return err
	}
	if tables {
		return errors.New("the file is another program's database: choose another data folder")
	}
	return settings(c, fmt.Sprintf("page_size=%d", pageSize), "journal_mode=WAL", "synchronous=FULL", fmt.Sprintf("application_id=%d", applicationID))
}
