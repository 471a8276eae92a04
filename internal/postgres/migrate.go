package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"telltale.example/telltale/internal/failpoint"
)

//go:embed migration/*.sql
var migrations embed.FS

// Migration says where a database's schema stands.
type Migration struct {
	Current int64    // version of the database; 0 before the first
	Latest  int64    // version that this binary knows
	Pending []string // names of what Migrate would apply, in order
}

// MigrationStatus tells the schema's version of the database, without changing it.
func MigrationStatus(ctx context.Context, url string) (Migration, error) {
	return withMigrations(ctx, url, func(p *goose.Provider) (Migration, error) { return migrationStatus(ctx, p) })
}

// Migrate brings the database up to date, and tells what it was before. Opening a
// store does the same. Only one node does it at a time; the others wait.
//
// Migrations only add, as a rule: nodes of the version before go on working beside
// nodes that know the new schema, and may start beside them. A schema that this
// program cannot live with says so itself, and is refused.
func Migrate(ctx context.Context, url string) (Migration, error) {
	return withMigrations(ctx, url, func(p *goose.Provider) (Migration, error) {
		before, err := migrationStatus(ctx, p)
		if err != nil {
			return before, err
		}
		if before.Current > before.Latest {
			return before, checkLeast(ctx, url, before)
		}
		if len(before.Pending) == 0 {
			return before, nil
		}
		failpoint.Here("migrate-begin")
		if _, err := p.Up(ctx); err != nil {
			return before, fmt.Errorf("bringing the schema from version %d to %d: %w", before.Current, before.Latest, err)
		}
		return before, nil
	})
}

// checkLeast refuses a newer schema that needs a program that knows more.
func checkLeast(ctx context.Context, url string, m Migration) error {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer c.Close(ctx) //nolint:errcheck // it was only asked
	var least int64
	if err := c.QueryRow(ctx, `SELECT least FROM meta`).Scan(&least); err != nil {
		return err
	}
	if least > m.Latest {
		return fmt.Errorf("the database is from a newer version (schema %d, this one knows %d): run that version", m.Current, m.Latest)
	}
	return nil
}

func withMigrations(ctx context.Context, url string, do func(*goose.Provider) (Migration, error)) (m Migration, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("migrations of %s: %w", Location(url), err)
		}
	}()
	db, err := openSQL(url)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	folder, err := fs.Sub(migrations, "migration")
	if err != nil {
		return m, err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // every second, for five minutes
	if err != nil {
		return m, err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, folder, goose.WithDisableGlobalRegistry(true), goose.WithSessionLocker(locker))
	if err != nil {
		return m, err
	}
	return do(p)
}

func openSQL(url string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["application_name"] = writerName + " migration"
	return stdlib.OpenDB(*config), nil
}

func migrationStatus(ctx context.Context, p *goose.Provider) (Migration, error) {
	var m Migration
	var err error
	if m.Current, m.Latest, err = p.GetVersions(ctx); err != nil {
		return m, fmt.Errorf("reading the schema's version: %w", err)
	}
	for _, source := range p.ListSources() {
		if source.Version > m.Current {
			m.Pending = append(m.Pending, path.Base(source.Path))
		}
	}
	return m, nil
}

// leastServer is the oldest version that is supported, as server_version_num.
const leastServer = 140000

// CheckServer refuses a server that would put at risk what is acknowledged. Opening
// a store does the same.
func CheckServer(ctx context.Context, url string) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return err
	}
	c, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer c.Close(ctx) //nolint:errcheck // it was only asked
	setting := func(name string) (value string) {
		if err == nil {
			err = c.QueryRow(ctx, `SELECT current_setting($1)`, name).Scan(&value)
		}
		return value
	}
	version, _ := strconv.Atoi(setting("server_version_num"))
	unsafe := ""
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		if setting(name) == "off" && unsafe == "" {
			unsafe = name
		}
	}
	encoding := setting("server_encoding")
	var standby bool
	if err == nil {
		err = c.QueryRow(ctx, `SELECT pg_is_in_recovery()`).Scan(&standby)
	}
	switch {
	case err != nil:
		return err
	case version < leastServer:
		return fmt.Errorf("the server is PostgreSQL %s: at least version 14 is needed", setting("server_version"))
	case unsafe != "":
		return fmt.Errorf("the server runs with %s = off, so what it acknowledges can be lost: set it to on in postgresql.conf, or for the role and the database", unsafe)
	case encoding != "UTF8":
		return fmt.Errorf("the database is encoded in %s: create it with ENCODING 'UTF8'", encoding)
	case standby:
		return errors.New("the server is a standby and takes no writes: name the primary, or all servers and target_session_attrs=read-write, in the database's URL")
	}
	return nil
}
