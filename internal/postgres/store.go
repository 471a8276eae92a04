package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// Options are what a store is opened with.
type Options struct {
	// Node names this process in attempts and claims.
	Node telltale.NodeID
	// Role is what the node does: "all", which is also what "" stands for, "api"
	// or "worker". Version is its program's.
	Role, Version string
	// Sealer seals what is secret in webhooks and sources before it is stored.
	Sealer telltale.Sealer
	// Logger hears of what no caller waits for; nil discards.
	Logger *slog.Logger
	// Changed hears of each webhook that another node changed, before that node
	// tells anyone. It may be nil, and is called by one goroutine.
	Changed func(*telltale.Webhook)
	// Configured hears that the configuration is another, or a key was revoked, before
	// the node that did it tells anyone: what was remembered of it is not true any
	// more. It may be nil, and is called by one goroutine.
	Configured func()
	// Work hears that other nodes have left work: what is due is to be looked
	// for. It may be nil, and is called by one goroutine.
	Work func()
	// Nodes hears that a node came or went: the places among them are others. It may
	// be nil, and is called by one goroutine.
	Nodes func()
	// Connections bounds how many connections the node has for its transactions,
	// and how many for reads; 0 stands for [DefaultConnections].
	Connections int
}

// DefaultConnections is how many connections a node opens for its transactions,
// and as many again for reads. It has two more: one to listen, one while it
// starts or purges.
const DefaultConnections = 8

// Store is a [telltale.Store] in a PostgreSQL database, as one node sees it.
type Store struct {
	options  Options
	log      *slog.Logger
	location string // without a password
	node     atomic.Int32
	role     atomic.Pointer[string]

	ids        stored.IDs
	writers    *pgxpool.Pool
	readers    *pgxpool.Pool
	known      atomic.Pointer[registry]
	looked     looked
	partitions partitions
	successes  successes
	doubts     doubts
	heads      heads
	accepts    *accepts
	ends       ends
	ownGoals   ownGoals
	crowds     *crowds
	watcher    watcher
	purging    sync.Mutex // held by whoever purges
	purged     purgeMark

	closed atomic.Bool
	close  sync.Once
}

var _ telltale.Store = (*Store)(nil)

// Bounds in time. The server ends what exceeds them, so that nothing that a
// node began outlives it by much.
const (
	readLimit  = 5 * time.Second
	writeLimit = 15 * time.Second
	lockLimit  = 10 * time.Second
	startLimit = time.Minute
)

// writerName is how connections that write are known among the server's
// sessions.
const writerName = "telltale"

// Open joins the node to the store in the database that url names, and brings its
// schema up to date. It refuses, with a sentence that says what to do, a server
// that would put at risk what is acknowledged, or whose schema is too new.
func Open(ctx context.Context, url string, options Options) (*Store, error) {
	if options.Sealer == nil {
		return nil, errors.New("postgres: opening a store needs a sealer")
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Connections == 0 {
		options.Connections = DefaultConnections
	}
	if options.Role == "" {
		options.Role = "all"
	}
	s := &Store{options: options, log: options.Logger, crowds: newCrowds()}
	s.role.Store(&s.options.Role)
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := s.open(ctx, url); err != nil {
		s.release()
		return nil, fmt.Errorf("opening the store %s: %w", s.location, err)
	}
	s.accepts = newAccepts(s.acceptGroup)
	s.watch()
	if err := s.foundProject(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the store %s: %w", s.location, err), s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, url string) error {
	s.location = Location(url)
	if err := CheckServer(ctx, url); err != nil {
		return err
	}
	if _, err := Migrate(ctx, url); err != nil {
		return err
	}
	var err error
	if s.writers, err = s.newPool(ctx, url, writerName, writeLimit); err != nil {
		return err
	}
	if s.readers, err = s.newPool(ctx, url, writerName+" reader", readLimit); err != nil {
		return err
	}
	var salt []byte
	var moving bool
	if err := s.writers.QueryRow(ctx, `SELECT salt, EXISTS (SELECT 1 FROM move WHERE completed_at IS NULL) FROM meta`).Scan(&salt, &moving); err != nil {
		return err
	}
	if moving {
		return errMoving
	}
	copy(s.ids.Salt[:], salt)
	if err := s.checkKeys(ctx); err != nil {
		return err
	}
	if err := s.refreshWith(ctx, s.writers); err != nil {
		return err
	}
	return s.join(ctx)
}

// foundProject makes the first project of a new store.
func (s *Store) foundProject(ctx context.Context) error {
	err := s.configure(ctx, "founding the store", func(tx *tx) error {
		if len(tx.known.bySlug) > 0 {
			return nil
		}
		return tx.createProject(telltale.NewProject(telltale.DefaultProjectSlug, "Default"))
	})
	return err
}

// newPool opens connections under a name, on which no statement takes longer
// than the limit.
func (s *Store) newPool(ctx context.Context, url, name string, limit time.Duration) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = int32(s.options.Connections)
	config.MaxConnIdleTime = 5 * time.Minute
	config.HealthCheckPeriod = 15 * time.Second
	config.ConnConfig.ConnectTimeout = 5 * time.Second
	setParameters(config.ConnConfig.RuntimeParams, name, limit)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	return pool, nil
}

func setParameters(p map[string]string, name string, limit time.Duration) {
	milli := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	p["application_name"] = name
	p["statement_timeout"] = milli(limit)
	p["lock_timeout"] = milli(lockLimit)
	p["idle_in_transaction_session_timeout"] = milli(writeLimit)
	p["client_encoding"] = "UTF8"
	p["jit"] = "off" // statements are short, and compiling them is not
	p["max_parallel_workers_per_gather"] = "0"
	if name == writerName { // they find rows by their keys, whatever the keys are
		p["plan_cache_mode"] = "force_generic_plan"
	}
	// Rows are found by indexes, in which what is asked for is mostly in memory.
	// Servers that believe in disks read whole tables instead.
	p["random_page_cost"] = "1.1"
	p["default_transaction_isolation"] = "read committed"
}

// Location is a database's URL without passwords, for people.
func Location(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" { // the other form, key=value
		config, err := pgx.ParseConfig(text)
		if err != nil {
			return "the database"
		}
		return fmt.Sprintf("postgres://%s@%s:%d/%s", config.User, config.Host, config.Port, config.Database)
	}
	q := u.Query()
	for key := range q {
		if key == "password" || key == "sslpassword" {
			q.Del(key)
		}
	}
	u.RawQuery = q.Encode()
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	return u.String()
}

// querier is a pool, a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// read runs do on a connection for reading, for [readLimit] at most. Each
// statement sees what was committed when it began.
func (s *Store) read(ctx context.Context, operation string, do func(ctx context.Context, q querier) error) error {
	if err := s.down(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	err := do(ctx, s.readers)
	if ended(err) { // those that were idle beside it most likely have, too
		s.readers.Reset()
	}
	return s.explain(operation, err)
}

// snapshot is read for several statements that have to see the same moment.
func (s *Store) snapshot(ctx context.Context, operation string, do func(ctx context.Context, q querier) error) error {
	return s.read(ctx, operation, func(ctx context.Context, _ querier) error {
		return pgx.BeginTxFunc(ctx, s.readers, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(t pgx.Tx) error { return do(ctx, t) })
	})
}

// each goes through the rows of a query, with the variables that each is scanned
// into before visit is called.
func each(ctx context.Context, q querier, sql string, args []any, into []any, visit func() error) error {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, into, visit)
	return err
}

// Ready reports why the store cannot be used now, or nil.
func (s *Store) Ready(ctx context.Context) error {
	return s.read(ctx, "looking whether the store is ready", func(ctx context.Context, q querier) error {
		var standby bool
		if err := q.QueryRow(ctx, `SELECT pg_is_in_recovery()`).Scan(&standby); err != nil {
			return err
		}
		if standby {
			return unavailable("The database takes no writes now: it is a standby.", retryAway, nil)
		}
		return nil
	})
}

// down gives the error of a store that is closed.
func (s *Store) down() error {
	if s.closed.Load() {
		return unavailable("The store is closed.", retryBusy, errClosed)
	}
	return nil
}

// Close writes what waits to be written and leaves. Claims that are left are
// taken over by others at once.
func (s *Store) Close() error {
	s.close.Do(func() {
		s.accepts.stop()
		s.watcher.stop()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := s.leave(ctx); err != nil {
			s.log.Warn("The node could not sign off; others wait for its lease to end.", "error", err)
		}
		s.closed.Store(true)
		s.release()
	})
	return nil
}

// release closes what was opened.
func (s *Store) release() {
	for _, pool := range []*pgxpool.Pool{s.writers, s.readers} {
		if pool != nil {
			pool.Close()
		}
	}
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
