package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"zombiezen.com/go/sqlite"

	"telltale.example/telltale"
)

// When to come back: soon if others were in the way, later if the disk is full.
const (
	retryBusy = time.Second
	retryFull = 5 * time.Second
)

var (
	errClosed     = errors.New("the store is closed")
	errOverloaded = errors.New("too many operations wait to be written")
	errNoRoom     = errors.New("there is no room")
)

func unavailable(message string, retryAfter time.Duration, cause error) error {
	return &telltale.Error{Code: telltale.Unavailable, Message: message, RetryAfter: retryAfter, Cause: cause}
}

func notFound(noun string) error {
	return telltale.Errorf(telltale.NotFound, "There is no such %s.", noun)
}

// fatal reports whether err says that the disk, or what is on it, cannot be
// trusted. A full disk is not among them.
func fatal(err error) bool {
	if errors.Is(err, errNoRoom) {
		return false
	}
	switch primaryCode(err) {
	case sqlite.ResultIOErr, sqlite.ResultCorrupt, sqlite.ResultNotADB, sqlite.ResultReadOnly, sqlite.ResultCantOpen:
		return true
	}
	return false
}

func isFull(err error) bool {
	return primaryCode(err) == sqlite.ResultFull || errors.Is(err, errNoRoom)
}

// diagnose tells a quota, or a limit on the size of files, from a broken disk:
// SQLite calls only ENOSPC a full disk, and all else an I/O error; and if what
// connections share cannot grow, which they find in a file beside the database,
// it does not even tell ENOSPC apart. It tries what SQLite tried, to write a page
// behind the end of the files.
func (s *Store) diagnose(err error) error {
	switch {
	case err == nil:
		return nil
	case sqlite.ErrCode(err) != sqlite.ResultIOErrWrite && sqlite.ErrCode(err) != sqlite.ResultIOErrSHMSize:
		return err
	}
	var end int64
	for _, path := range []string{s.path, s.path + "-wal"} {
		if info, statErr := os.Stat(path); statErr == nil {
			end = max(end, info.Size())
		}
	}
	probe, openErr := os.CreateTemp(filepath.Dir(s.path), "probe")
	if openErr != nil {
		return err
	}
	defer os.Remove(probe.Name()) //nolint:errcheck // there is nothing to do about it
	defer probe.Close()
	_, writeErr := probe.WriteAt(make([]byte, pageSize), end)
	if errors.Is(writeErr, syscall.ENOSPC) || errors.Is(writeErr, syscall.EDQUOT) || errors.Is(writeErr, syscall.EFBIG) {
		return fmt.Errorf("%w: %w: %w", errNoRoom, writeErr, err)
	}
	return err
}

// isConstraint reports whether err says that a unique row exists already.
func isConstraint(err error) bool { return err != nil && primaryCode(err) == sqlite.ResultConstraint }

// primaryCode is SQLite's code for err, or ResultOK if it is not SQLite's error.
func primaryCode(err error) sqlite.ResultCode {
	var known *telltale.Error
	if err == nil || errors.As(err, &known) {
		return sqlite.ResultOK
	}
	code := sqlite.ErrCode(err)
	if code == sqlite.ResultError {
		return sqlite.ResultOK // also what the library says of errors that are not SQLite's
	}
	return code.ToPrimary()
}

// explain turns an error of SQLite, or of a context, into what the contract
// promises, and ends the store if it is fatal.
func (s *Store) explain(operation string, err error) error {
	var known *telltale.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	err = fmt.Errorf("sqlite: %s: %w", operation, err)
	switch {
	case fatal(err):
		s.fail(err)
		return unavailable("The store failed and is being restarted.", retryFull, err)
	case isFull(err):
		return unavailable("The disk is full: nothing was stored.", retryFull, err)
	case errors.Is(err, errClosed):
		return unavailable("The store is closed.", retryBusy, err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return unavailable("The store was not waited for.", retryBusy, err)
	}
	switch primaryCode(err) {
	case sqlite.ResultBusy, sqlite.ResultLocked:
		return unavailable("The store is busy.", retryBusy, err)
	case sqlite.ResultInterrupt:
		return unavailable("The store took too long to answer.", retryBusy, err)
	}
	return err
}
