package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"zombiezen.com/go/sqlite"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// Options are what a store is opened with.
type Options struct {
	// Node names this process in attempts and claims.
	Node telltale.NodeID
	// Sealer seals what is secret in webhooks and sources before it is stored.
	Sealer telltale.Sealer
	// Logger hears of checkpoints that fail and of the end; nil discards.
	Logger *slog.Logger
	// Fatal is called once, on a goroutine of its own, when the disk failed.
	// It has to end the process: the store does nothing from then on. It may
	// be nil.
	Fatal func(error)
}

// Store is a [telltale.Store] in one SQLite file.
type Store struct {
	path    string
	options Options
	log     *slog.Logger
	lock    *os.File
	node    int64 // number of this start of the server

	ids        stored.IDs
	known      *registry
	writer     *writer
	readers    readers
	checkpoint *checkpointer

	broken atomic.Pointer[error] // why nothing goes on
	full   atomic.Bool           // the last commit found the disk full
	closed sync.Once
}

var _ telltale.Store = (*Store)(nil)

const (
	// readLimit bounds a read, since the write-ahead log cannot be reused
	// past what the oldest reader sees.
	readLimit = 5 * time.Second
	// readerCount is how many reads go on at once.
	readerCount = 4

	// pageSize is twice SQLite's own: rows of 700 to 900 bytes waste a fifth
	// of smaller pages.
	pageSize = 8192
	// Memory for pages, in KiB.
	writerCache = 20 << 10
	readerCache = 4 << 10

	// logLimit is what the write-ahead log is cut to, in bytes, after a burst.
	logLimit = 64 << 20
)

// Open opens the store in the file at path, makes it if it does not exist, and
// brings its schema up to date. It refuses, with a sentence that says what to
// do, whatever would put at risk what it acknowledges: a second process, a
// network file system, an SQLite that is known to be faulty, a file that
// others may read, a database from a newer version.
func Open(ctx context.Context, path string, options Options) (*Store, error) {
	if options.Sealer == nil {
		return nil, errors.New("sqlite: opening a store needs a sealer")
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{options: options, log: options.Logger}
	if err := s.open(ctx, path); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the store %s: %w", path, err), s.release())
	}
	go s.writer.run()
	go s.checkpoint.run()
	return s, nil
}

func (s *Store) open(ctx context.Context, path string) error {
	if err := s.openFile(ctx, path); err != nil {
		return err
	}
	s.readers = readers{free: make(chan *conn, readerCount), gone: make(chan struct{})}
	for range readerCount {
		r, err := openConn(s.path, sqlite.OpenReadOnly)
		if err != nil {
			return err
		}
		s.readers.free <- r
		s.readers.count++
		if err := settings(r, fmt.Sprintf("cache_size=-%d", readerCache), "query_only=ON"); err != nil {
			return err
		}
	}
	c, err := openConn(s.path, sqlite.OpenReadWrite)
	if err != nil {
		return err
	}
	s.checkpoint = newCheckpointer(s, c)
	// The checkpoint is what syncs the database file itself.
	if err := settings(c, "synchronous=FULL", "wal_autocheckpoint=0", fmt.Sprintf("journal_size_limit=%d", logLimit)); err != nil {
		return err
	}
	return s.load()
}

// openFile takes the file for this process alone, brings it up to date, and
// opens the connection that writes.
func (s *Store) openFile(ctx context.Context, path string) (err error) {
	if s.path, err = filepath.Abs(path); err != nil {
		return err
	}
	if err := checkVersion(sqlite.VersionNumber); err != nil {
		return err
	}
	if s.lock, err = lockFile(s.path); err != nil {
		return err
	}
	if err := prepareFile(s.path); err != nil {
		return err
	}
	if err := migrate(ctx, s.path); err != nil {
		return err
	}
	c, err := openConn(s.path, sqlite.OpenReadWrite)
	if err != nil {
		return err
	}
	s.writer = newWriter(s, c)
	if err := errors.Join(prepareWriter(c), registerSumCounts(c)); err != nil {
		return err
	}
	return checkRows(c)
}

// load brings into memory what is kept there.
func (s *Store) load() error {
	c := s.writer.conn
	var err error
	if s.writer.meta, err = s.loadMeta(c); err != nil {
		return err
	}
	if err := checkKeys(c, s.options.Sealer); err != nil {
		return err
	}
	if s.known, err = s.loadRegistry(c); err != nil {
		return err
	}
	if err := s.writer.load(c); err != nil {
		return err
	}
	tx := s.writer.begin()
	if err := c.query("BEGIN IMMEDIATE").run(); err != nil {
		return err
	}
	if err := s.start(tx); err != nil {
		return errors.Join(err, c.query("ROLLBACK").run())
	}
	if err := errors.Join(tx.recount(), tx.addCounts()); err != nil {
		return errors.Join(err, c.query("ROLLBACK").run())
	}
	if err := c.query("COMMIT").run(); err != nil {
		return err
	}
	tx.publish()
	return nil
}

// start notes a start of the server, and makes the first project of a new store.
func (s *Store) start(tx *tx) (err error) {
	if s.node, err = tx.addNode(s.options.Node); err != nil {
		return err
	}
	if !s.writer.meta.sealed {
		if err := tx.sealMeta(); err != nil {
			return err
		}
	}
	if s.known.projectBySlug(telltale.DefaultProjectSlug) != nil {
		return nil
	}
	return tx.createProject(telltale.NewProject(telltale.DefaultProjectSlug, "Default"))
}

// settings runs PRAGMAs that answer nothing of interest.
func settings(c *conn, pragmas ...string) error {
	for _, p := range pragmas {
		if _, err := c.pragma(p); err != nil {
			return err
		}
	}
	return nil
}

// prepareWriter makes a connection durable, and reads back that it is.
func prepareWriter(c *conn) error {
	mode, err := c.pragma("journal_mode=WAL")
	if err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("the database cannot use a write-ahead log (its journal mode stays %q): put the data folder on a local file system", mode)
	}
	err = settings(c, "synchronous=FULL", "wal_autocheckpoint=0", "mmap_size=0", "temp_store=MEMORY", "trusted_schema=OFF", "cell_size_check=ON",
		fmt.Sprintf("cache_size=-%d", writerCache), fmt.Sprintf("journal_size_limit=%d", logLimit))
	if err != nil {
		return err
	}
	const full = "2"
	level, err := c.pragma("synchronous")
	if err != nil {
		return err
	}
	if level != full {
		return fmt.Errorf("the database does not sync its commits (synchronous is %s instead of FULL)", level)
	}
	return nil
}

// checkRows reads the newest rows of what grows, whose pages a crash would
// have hit. A check of all pages is for after a restore, not for every start:
// it would read ten million rows.
func checkRows(c *conn) error {
	for _, table := range []string{"event", "delivery", "attempt", "profile", "tracked_event", "span", "digest", "name_block"} {
		order := "number"
		switch table {
		case "span":
			order = "owner, span"
		case "digest":
			order = "first"
		case "name_block":
			order = "key"
		}
		err := c.query(`SELECT * FROM ` + table + ` ORDER BY ` + order + ` LIMIT 10`).run()
		if err == nil && table != "span" {
			err = c.query(`SELECT * FROM ` + table + ` ORDER BY ` + order + ` DESC LIMIT 100`).run()
		}
		if err != nil {
			return fmt.Errorf("the database is damaged, restore a backup of it: %w", err)
		}
	}
	return nil
}

// read runs do in one read transaction. What do reads is of one moment.
func (s *Store) read(ctx context.Context, operation string, do func(*conn) error) error {
	if err := s.down(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	c, err := s.readers.take(ctx)
	if err != nil {
		return s.explain(operation, err)
	}
	defer s.readers.put(c)
	err = c.query("BEGIN").run()
	if err == nil {
		err = do(c)
		c.SetInterrupt(nil) // or else the end would be interrupted too
		err = errors.Join(err, c.query("ROLLBACK").run())
	}
	return s.explain(operation, err)
}

// Ready reports why the store cannot be used now, or nil.
func (s *Store) Ready(ctx context.Context) error {
	if s.full.Load() {
		return unavailable("The disk is full.", retryFull, nil)
	}
	return s.read(ctx, "looking whether the store is ready", func(c *conn) error {
		_, err := c.query(`SELECT 1 FROM meta`).one(func(*query) {})
		return err
	})
}

// down gives the error of a store that is closed or failed.
func (s *Store) down() error {
	cause := s.broken.Load()
	switch {
	case cause == nil:
		return nil
	case errors.Is(*cause, errClosed):
		return unavailable("The store is closed.", retryBusy, *cause)
	}
	return unavailable("The store failed and is being restarted.", retryFull, *cause)
}

// fail ends the store for good: nothing is written, read, checkpointed or
// closed from now on, since each of these trusts what the disk says.
func (s *Store) fail(err error) {
	if !s.broken.CompareAndSwap(nil, &err) {
		return
	}
	s.log.Error("The store failed and does nothing from now on.", "path", s.path, "error", err)
	if s.options.Fatal != nil {
		go s.options.Fatal(err)
	}
}

// Close writes what waits to be written, and closes the file. Claims stay as
// they are: see [Store.TakeOver].
func (s *Store) Close() error {
	var err error
	s.closed.Do(func() {
		s.writer.stop()
		s.checkpoint.stop()
		if !s.broken.CompareAndSwap(nil, new(errClosed)) {
			return // a failed store is left as it is
		}
		err = s.release()
	})
	return err
}

// release closes what was opened.
func (s *Store) release() error {
	errs := []error{s.readers.close()}
	if s.checkpoint != nil {
		errs = append(errs, s.checkpoint.conn.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.conn.Close()) // the last one empties the write-ahead log
	}
	if s.lock != nil {
		errs = append(errs, unlockFile(s.lock))
	}
	return errors.Join(errs...)
}

func nowMilli() int64 { return time.Now().UnixMilli() }
