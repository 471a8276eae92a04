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
)

// What lies in the data folder, beside what the engine keeps for itself.
const (
	DatabaseFile   = "telltale.db"
	SecretKeyFile  = "secret.key"
	OwnerTokenFile = "owner.token"
	ImportsFolder  = "imports" // of files that are being imported
)

// ownsToken reports whether the node keeps an owner's token in its data folder. One
// of several nodes does only if its folder was named: where folders come and go
// with containers, each start would leave a key behind.
func ownsToken(cfg config.Config) bool { return !Shared(cfg) || cfg.Origin("data") != "default" }

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
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil { // no engine needed it so far
		return "", fmt.Errorf("the data folder cannot be made: %w", err)
	}
	return token, auth.WriteOwnerToken(path, token)
}

// OpenAPI is the API's description, as a server at publicURL serves it.
func OpenAPI(version, publicURL string) ([]byte, error) { return api.Document(version, publicURL) }
