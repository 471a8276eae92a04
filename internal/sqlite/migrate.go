package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the same engine as the store's, as goose wants it

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

// MigrationStatus tells the schema's version of the database at path, which no
// server has open.
func MigrationStatus(ctx context.Context, path string) (Migration, error) {
	return withMigrations(ctx, path, func(p *goose.Provider) (Migration, error) { return migrationStatus(ctx, p) })
}

// Migrate brings the database at path, which no server has open, up to date,
// and tells what it was before. Opening a store does the same.
func Migrate(ctx context.Context, path string) (Migration, error) {
	return withMigrations(ctx, path, func(p *goose.Provider) (Migration, error) {
		before, err := migrationStatus(ctx, p)
		if err != nil {
			return before, err
		}
		return before, up(ctx, p)
	})
}

func withMigrations(ctx context.Context, path string, do func(*goose.Provider) (Migration, error)) (m Migration, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("migrations of %s: %w", path, err)
		}
	}()
	if path, err = filepath.Abs(path); err != nil {
		return m, err
	}
	if _, err := os.Stat(path); err != nil {
		return m, err
	}
	lock, err := lockFile(path)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, unlockFile(lock)) }()
	if err := prepareFile(path); err != nil {
		return m, err
	}
	p, closeAll, err := openProvider(path)
	if err != nil {
		return m, err
	}
	m, err = do(p)
	return m, errors.Join(err, closeAll())
}

// migrate brings the database up to date. The caller has the lock.
func migrate(ctx context.Context, path string) error {
	p, closeAll, err := openProvider(path)
	if err != nil {
		return err
	}
	return errors.Join(up(ctx, p), closeAll())
}

func up(ctx context.Context, p *goose.Provider) error {
	m, err := migrationStatus(ctx, p)
	if err != nil {
		return err
	}
	if m.Current > m.Latest {
		return fmt.Errorf("the database is from a newer version (schema %d, this one knows %d): run that version, or restore a backup", m.Current, m.Latest)
	}
	if len(m.Pending) == 0 {
		return nil
	}
	for range m.Pending {
		failpoint.Here("migrate-begin")
		if _, err := p.UpByOne(ctx); err != nil {
			return fmt.Errorf("bringing the schema from version %d to %d: %w", m.Current, m.Latest, err)
		}
		failpoint.Here("migrate-applied")
	}
	return nil
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

func openProvider(path string) (*goose.Provider, func() error, error) {
	// Every migration is one transaction, as durable as the store's own.
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: "_pragma=synchronous(FULL)&_pragma=busy_timeout(1000)"}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, nil, err
	}
	folder, err := fs.Sub(migrations, "migration")
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, folder, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return p, p.Close, nil
}
