package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"zombiezen.com/go/sqlite"

	"telltale.example/telltale"
)

// Contents are what is in a copy of a store, which was checked.
type Contents struct {
	Schema     int64 `json:"schema"` // version
	Bytes      int64 `json:"bytes"`
	Events     int64 `json:"events"`
	Deliveries int64 `json:"deliveries"`
	Unfinished int64 `json:"unfinished"` // of the deliveries: they are sent by whoever starts on the copy
	Webhooks   int64 `json:"webhooks"`   // deleted ones too
}

// Steps of a backup or a restore.
const (
	BackupCopies = "copying"
	BackupChecks = "checking"
)

// copyPages is how much a backup copies at once: 8 MiB.
const copyPages = 1024

// Backup copies the store in the file at path to a new file, and checks the copy. A
// server may have the store open, and goes on: the copy is of one moment, which a
// reader of its own holds on to, so the write-ahead log grows by what is written
// meanwhile. The copy has its name once it is complete, checked and on stable
// storage; before that it has another one beside it, which is left if the process is
// killed. Any version's store can be copied. Conflict, if there is a file already.
//
// It has no part in the lock on the store, which keeps out those that write.
func Backup(ctx context.Context, path, to string, tell func(step string, done, total int64)) (Contents, error) {
	c, err := backup(ctx, path, to, tell)
	if ctx.Err() != nil {
		return c, ctx.Err()
	}
	if err != nil {
		return c, fmt.Errorf("backing up %s: %w", path, err)
	}
	return c, nil
}

func backup(ctx context.Context, path, to string, tell func(string, int64, int64)) (contents Contents, err error) {
	if err := vacant(to); err != nil {
		return contents, err
	}
	if _, err := os.Stat(path); err != nil {
		return contents, fmt.Errorf("there is no database: %w", err)
	}
	from, err := openConn(path, sqlite.OpenReadOnly)
	if err != nil {
		return contents, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if err := checkOurs(from); err != nil {
		return contents, err
	}
	f, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+".part-*") // mode 0600
	if err != nil {
		return contents, err
	}
	part := f.Name()
	if err := f.Close(); err != nil {
		return contents, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeIfThere(part))
		}
	}()
	newest, err := copyMoment(ctx, from, part, tell)
	if err != nil {
		return contents, err
	}
	if err := syncPath(part); err != nil {
		return contents, err
	}
	var copied newestRows
	contents, err = checkCopy(ctx, part, &copied, tell)
	if err != nil {
		return contents, err
	}
	if copied != newest {
		return contents, fmt.Errorf("the copy is not what was copied: its newest rows are %v, and were %v", copied, newest)
	}
	return contents, settle(part, to)
}

// vacant reports that a file is there already.
func vacant(path string) error {
	switch _, err := os.Lstat(path); {
	case err == nil:
		return telltale.Errorf(telltale.Conflict, "%s is there already, and is not overwritten: name another file.", path)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return nil
}

// settle gives a complete file its name, for good.
func settle(part, path string) error {
	if err := vacant(path); err != nil {
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	return syncPath(filepath.Dir(path))
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncPath puts a file, or the names in a folder, on stable storage.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// checkOurs refuses what is no store.
func checkOurs(c *conn) error {
	id, err := c.pragma("application_id")
	if err != nil {
		return fmt.Errorf("the file is no database, or is damaged: %w", err)
	}
	if id != fmt.Sprint(applicationID) {
		return errors.New("the file is no database of Telltale's")
	}
	return nil
}

// newestRows are the highest numbers of what grows: what is cut off a copy is cut
// off there.
type newestRows struct{ event, delivery, attempt int64 }

func (n *newestRows) read(c *conn) error {
	_, err := c.query(`SELECT coalesce((SELECT max(number) FROM event), 0), coalesce((SELECT max(number) FROM delivery), 0), coalesce((SELECT max(number) FROM attempt), 0)`).
		one(func(q *query) { *n = newestRows{q.getInt(), q.getInt(), q.getInt()} })
	return err
}

// copyMoment copies what from has at one moment. A transaction holds on to it from
// the first page to the last: without one, every commit of a server would have the
// copying begin anew.
func copyMoment(ctx context.Context, from *conn, part string, tell func(string, int64, int64)) (newest newestRows, err error) {
	if err := from.query("BEGIN").run(); err != nil {
		return newest, err
	}
	defer func() { err = errors.Join(err, from.query("ROLLBACK").run()) }()
	if err := newest.read(from); err != nil {
		return newest, err
	}
	to, err := openPlain(part, sqlite.OpenReadWrite, "nolock=1") // it is ours alone, and may be on a disk far away
	if err != nil {
		return newest, err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	// A copy that is not complete is thrown away, and one that is is synced as a whole.
	if err := settings(to, "journal_mode=OFF", "synchronous=OFF"); err != nil {
		return newest, err
	}
	b, err := sqlite.NewBackup(to.Conn, "main", from.Conn, "main")
	if err != nil {
		return newest, err
	}
	defer b.Close() //nolint:errcheck // it has no error
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return newest, err
		}
		if more, err = b.Step(copyPages); err != nil {
			return newest, err
		}
		total := int64(b.PageCount())
		tell(BackupCopies, total-int64(b.Remaining()), total)
	}
	return newest, nil
}

// openPlain opens a file that nobody else uses, with parameters of the engine's URIs.
func openPlain(path string, flags sqlite.OpenFlags, parameters string) (*conn, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	name := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: parameters}
	return openConn(name.String(), flags|sqlite.OpenURI)
}

// checkCopy reads all of a copy that nobody has open, and tells what is in it.
func checkCopy(ctx context.Context, path string, newest *newestRows, tell func(string, int64, int64)) (contents Contents, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return contents, err
	}
	contents.Bytes = info.Size()
	c, err := openPlain(path, sqlite.OpenReadOnly, "immutable=1") // which leaves no files beside it
	if err != nil {
		return contents, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	c.SetInterrupt(ctx.Done())
	if err := checkOurs(c); err != nil {
		return contents, err
	}
	tell(BackupChecks, 0, 1)
	var faults []string
	err = c.query("PRAGMA integrity_check(20)").each(func(q *query) error {
		faults = append(faults, q.getText())
		return nil
	})
	if err != nil {
		return contents, fmt.Errorf("the database is damaged: %w", err)
	}
	if len(faults) != 1 || faults[0] != "ok" {
		return contents, fmt.Errorf("the database is damaged: %s", strings.Join(faults, "; "))
	}
	for count, text := range map[*int64]string{
		&contents.Schema:     `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`,
		&contents.Events:     `SELECT count(*) FROM event`,
		&contents.Deliveries: `SELECT count(*) FROM delivery`,
		&contents.Unfinished: `SELECT count(*) FROM delivery WHERE state < 4`,
		&contents.Webhooks:   `SELECT count(*) FROM webhook`,
	} {
		if _, err := c.query(text).one(func(q *query) { *count = q.getInt() }); err != nil {
			return contents, err
		}
	}
	tell(BackupChecks, 1, 1)
	return contents, newest.read(c)
}

// Partial is how the name of a store's file goes on while it is being restored.
const Partial = ".restoring"

// Restore puts a copy of a store that [Backup] made where there is none, checks it,
// and notes in it that it was restored. options.Sealer must open what is sealed in
// it. The store has its name once all of that is on stable storage; what a restore
// left that was killed, the next one removes. Conflict, if there is a store already.
func Restore(ctx context.Context, from, path string, options Options, tell func(step string, done, total int64)) (Contents, error) {
	c, err := restore(ctx, from, path, options, tell)
	if ctx.Err() != nil {
		return c, ctx.Err()
	}
	if err != nil {
		return c, fmt.Errorf("restoring %s: %w", from, err)
	}
	return c, nil
}

func restore(ctx context.Context, from, path string, options Options, tell func(string, int64, int64)) (contents Contents, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return contents, err
	}
	lock, err := lockFile(path)
	if err != nil {
		return contents, err
	}
	defer func() { err = errors.Join(err, unlockFile(lock)) }()
	if err := vacant(path); err != nil {
		return contents, err
	}
	part := path + Partial
	clear := func() (err error) {
		for _, end := range []string{"", "-wal", "-shm", ".lock"} {
			err = errors.Join(err, removeIfThere(part+end))
		}
		return err
	}
	if err := clear(); err != nil {
		return contents, err
	}
	defer func() { err = errors.Join(err, clear()) }()
	if err := copyFile(ctx, from, part, tell); err != nil {
		return contents, err
	}
	if contents, err = checkCopy(ctx, part, new(newestRows), tell); err != nil {
		return contents, err
	}
	if err := checkSealed(part, options.Sealer); err != nil {
		return contents, err
	}
	s, err := Open(ctx, part, options)
	if err != nil {
		return contents, err
	}
	err = s.Audit(ctx, telltale.AuditEntry{Action: telltale.AuditRestored, Name: filepath.Base(from)})
	if err := errors.Join(err, s.Close()); err != nil { // which empties the write-ahead log
		return contents, err
	}
	if err := syncPath(part); err != nil {
		return contents, err
	}
	return contents, settle(part, path)
}

// copyFile copies a file that nobody writes.
func copyFile(ctx context.Context, from, to string, tell func(string, int64, int64)) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no file", from)
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	for done := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.CopyN(out, in, copyPages*pageSize)
		done += n
		tell(BackupCopies, done, max(done, info.Size()))
		if errors.Is(err, io.EOF) {
			return out.Sync()
		}
		if err != nil {
			return err
		}
	}
}

// checkSealed refuses a sealer that does not open what is sealed in a copy.
func checkSealed(path string, sealer telltale.Sealer) (err error) {
	c, err := openPlain(path, sqlite.OpenReadOnly, "immutable=1")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return checkKeys(c, sealer)
}
