package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/api"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/config"
	"telltale.example/telltale/internal/sqlite"
)

// What lies in the data folder, beside what the engine keeps for itself.
const (
	DatabaseFile   = "telltale.db"
	SecretKeyFile  = "secret.key"
	OwnerTokenFile = "owner.token"
	ImportsFolder  = "imports" // of files that are being imported
)

func databasePath(cfg config.Config) string { return filepath.Join(cfg.Data, DatabaseFile) }

// keyRing is what the operator gave, or the file in the data folder, made on the
// first run: a fresh key beside a database from before would open none of its
// secrets, and hide that the right one is missing.
func keyRing(cfg config.Config, fresh bool) (*auth.KeyRing, error) {
	if cfg.SecretKey != "" {
		ring, err := auth.ParseKeyRing(string(cfg.SecretKey))
		if err != nil {
			return nil, fmt.Errorf("secret_key: %w", err)
		}
		return ring, nil
	}
	path := filepath.Join(cfg.Data, SecretKeyFile)
	if _, err := os.Stat(path); !fresh && errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing, and %s was made with it: put it back, or name it with TELLTALE_SECRET_KEY_FILE", path, databasePath(cfg))
	}
	return auth.LoadOrCreateKeyFile(path)
}

// ensureOwnerToken gives the token in the file, if its key still works, else
// makes a key and writes the file anew: whoever can write the data folder owns
// the node anyway.
func ensureOwnerToken(ctx context.Context, keys telltale.KeyStore, path string) (string, error) {
	token, err := auth.ReadOwnerToken(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if err == nil {
		key, err := keys.KeyByHash(ctx, telltale.HashToken(token))
		if err == nil && key.RevokedAt.IsZero() {
			return token, nil
		}
		if err != nil && telltale.CodeOf(err) != telltale.NotFound {
			return "", err
		}
	}
	key, token := telltale.NewKey("", "owner.token", telltale.ScopeOwner)
	if err := keys.CreateKey(ctx, key); err != nil {
		return "", err
	}
	return token, auth.WriteOwnerToken(path, token)
}

// Migrations tells how far the schema of the store is, without changing it: its
// version, the version that this binary brings, and what lies between.
func Migrations(ctx context.Context, cfg config.Config) (current, latest int64, pending []string, err error) {
	m, err := sqlite.MigrationStatus(ctx, databasePath(cfg))
	return m.Current, m.Latest, m.Pending, err
}

// Migrate brings the schema of a store that no server has open to this binary's version.
func Migrate(ctx context.Context, cfg config.Config) error {
	_, err := sqlite.Migrate(ctx, databasePath(cfg))
	return err
}

// OpenAPI is the API's description, as a server at publicURL serves it.
func OpenAPI(version, publicURL string) ([]byte, error) { return api.Document(version, publicURL) }
