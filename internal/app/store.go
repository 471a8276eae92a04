package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/config"
	"telltale.example/telltale/internal/imports"
	"telltale.example/telltale/internal/postgres"
	"telltale.example/telltale/internal/sqlite"
)

func databasePath(cfg config.Config) string { return filepath.Join(cfg.Data, DatabaseFile) }

// Shared reports whether the store is one that several nodes may share.
func Shared(cfg config.Config) bool { return cfg.DatabaseURL != "" }

// Location is where the store is, for people: without a password.
func Location(cfg config.Config) string {
	if Shared(cfg) {
		return postgres.Location(string(cfg.DatabaseURL))
	}
	return databasePath(cfg)
}

// opening is what the store of a node is opened with.
type opening struct {
	node       telltale.NodeID
	role       telltale.NodeRole
	version    string
	log        *slog.Logger
	fatal      func(error)             // hears of what the node cannot live with
	changed    func(*telltale.Webhook) // hears of webhooks that other nodes changed; it may be nil
	configured func()                  // hears that projects or keys may be others; it may be nil
	work       func()                  // hears of work that other nodes left; it may be nil
	nodes      func()                  // hears that other nodes came or went; it may be nil
}

// openStore opens the store of the configuration, and tells whether it was made.
func openStore(ctx context.Context, cfg config.Config, o opening) (store telltale.Store, ring *auth.KeyRing, fresh bool, err error) {
	if Shared(cfg) {
		collectLess()
		if ring, err = sharedKeyRing(cfg); err != nil {
			return nil, nil, false, err
		}
		store, err := postgres.Open(ctx, string(cfg.DatabaseURL), postgres.Options{
			Node: o.node, Role: string(o.role), Version: o.version, Sealer: ring, Logger: o.log, Changed: o.changed, Configured: o.configured, Work: o.work, Nodes: o.nodes,
		})
		if err != nil {
			return nil, nil, false, err
		}
		return store, ring, false, nil
	}
	if o.role != telltale.NodeAll && o.role != telltale.NodeCommand {
		return nil, nil, false, fmt.Errorf("role = %s: a server alone on its SQLite database does everything; roles are for servers that share a PostgreSQL database, which database_url names", o.role)
	}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, nil, false, fmt.Errorf("the data folder cannot be made: %w", err)
	}
	_, err = os.Stat(databasePath(cfg))
	fresh = errors.Is(err, os.ErrNotExist)
	if ring, err = ownKeyRing(cfg, fresh); err != nil {
		return nil, nil, false, err
	}
	alone, err := sqlite.Open(ctx, databasePath(cfg), sqlite.Options{Node: o.node, Sealer: ring, Logger: o.log, Fatal: o.fatal})
	if err != nil {
		return nil, nil, false, err
	}
	return alone, ring, fresh, nil
}

// importFiles says where the files of imports are: in the store, if nodes share it.
func importFiles(cfg config.Config, store telltale.Store) telltale.ImportFiles {
	if files, ok := store.(telltale.ImportFiles); ok {
		return files
	}
	return imports.Folder(filepath.Join(cfg.Data, ImportsFolder))
}

// openForCommand opens the store for a command that needs no server. One that is
// not there is not made.
func openForCommand(ctx context.Context, cfg config.Config, version string) (telltale.Store, error) {
	store, _, err := openWithRing(ctx, cfg, version)
	return store, err
}

// openWithRing is openForCommand for one that needs the names of the keys.
func openWithRing(ctx context.Context, cfg config.Config, version string) (telltale.Store, *auth.KeyRing, error) {
	if !Shared(cfg) {
		if _, err := os.Stat(databasePath(cfg)); err != nil {
			return nil, nil, fmt.Errorf("there is no database: %w", err)
		}
	}
	store, ring, _, err := openStore(ctx, cfg, opening{
		node: telltale.NewNodeID(), role: telltale.NodeCommand, version: version, log: slog.New(slog.DiscardHandler), fatal: func(error) {},
	})
	return store, ring, err
}

// sharedKeyRing is what the operator gave: a key of a node's own would seal what
// the others cannot open.
func sharedKeyRing(cfg config.Config) (*auth.KeyRing, error) {
	if cfg.SecretKey == "" {
		return nil, errors.New("a PostgreSQL database needs a secret key that all servers share, since each opens what the others seal: make one with openssl rand -base64 32, keep a copy, and give it to each as TELLTALE_SECRET_KEY_FILE or TELLTALE_SECRET_KEY")
	}
	return givenKeyRing(cfg)
}

func givenKeyRing(cfg config.Config) (*auth.KeyRing, error) {
	ring, err := auth.ParseKeyRing(string(cfg.SecretKey))
	if err != nil {
		return nil, fmt.Errorf("secret_key: %w", err)
	}
	return ring, nil
}

// ownKeyRing is what the operator gave, or the file in the data folder, made on
// the first run: a fresh key beside a database from before would open none of its
// secrets, and hide that the right one is missing.
func ownKeyRing(cfg config.Config, fresh bool) (*auth.KeyRing, error) {
	if cfg.SecretKey != "" {
		return givenKeyRing(cfg)
	}
	path := filepath.Join(cfg.Data, SecretKeyFile)
	if _, err := os.Stat(path); !fresh && errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing, and %s was made with it: put it back, or name it with TELLTALE_SECRET_KEY_FILE", path, databasePath(cfg))
	}
	return auth.LoadOrCreateKeyFile(path)
}

// Migrations tells how far the schema of the store is, without changing it: its
// version, the version that this binary brings, and what lies between.
func Migrations(ctx context.Context, cfg config.Config) (current, latest int64, pending []string, err error) {
	if Shared(cfg) {
		m, err := postgres.MigrationStatus(ctx, string(cfg.DatabaseURL))
		return m.Current, m.Latest, m.Pending, err
	}
	m, err := sqlite.MigrationStatus(ctx, databasePath(cfg))
	return m.Current, m.Latest, m.Pending, err
}

// Migrate brings the schema of a store to this binary's version: of an SQLite
// database that no server has open, of a PostgreSQL database at any time.
func Migrate(ctx context.Context, cfg config.Config) error {
	if Shared(cfg) {
		_, err := postgres.Migrate(ctx, string(cfg.DatabaseURL))
		return err
	}
	_, err := sqlite.Migrate(ctx, databasePath(cfg))
	return err
}
