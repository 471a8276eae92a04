package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/config"
	"telltale.example/telltale/internal/sqlite"
)

// Contents are what is in a backup that was made, or restored, and checked.
type Contents = sqlite.Contents

// BackupChecks is the step of a backup, or a restore, that follows the copying.
const BackupChecks = sqlite.BackupChecks

var errSharedBackup = errors.New("the database is PostgreSQL's: back it up and restore it as you do others, with pg_basebackup or pg_dump; the documents have the commands, Operations, under PostgreSQL")

// Backup copies the store of the data folder to a file and checks the copy, beside a
// server that has it open or without one. It tells how far it is. Conflict, if the
// file is there already.
func Backup(ctx context.Context, cfg config.Config, file string, tell func(step string, done, total int64)) (Contents, error) {
	if Shared(cfg) {
		return Contents{}, errSharedBackup
	}
	return sqlite.Backup(ctx, databasePath(cfg), file, tell)
}

// Restore puts the store of a backup into the data folder, which must have nothing in
// it but the secret key, and checks it. Conflict, if there is more.
func Restore(ctx context.Context, cfg config.Config, file string, tell func(step string, done, total int64)) (Contents, error) {
	if Shared(cfg) {
		return Contents{}, errSharedBackup
	}
	if _, err := os.Stat(file); err != nil {
		return Contents{}, fmt.Errorf("there is no backup: %w", err)
	}
	if err := checkVacant(cfg.Data); err != nil {
		return Contents{}, err
	}
	ring, err := keyRingOfBackup(cfg)
	if err != nil {
		return Contents{}, err
	}
	return sqlite.Restore(ctx, file, databasePath(cfg), sqlite.Options{Node: telltale.NewNodeID(), Sealer: ring, Logger: slog.New(slog.DiscardHandler)}, tell)
}

// checkVacant refuses a folder with anything in it but the secret key, and what a
// restore leaves that was killed.
func checkVacant(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if !slices.Contains([]string{SecretKeyFile, DatabaseFile + ".lock"}, name) && !strings.HasPrefix(name, DatabaseFile+sqlite.Partial) {
			return telltale.Errorf(telltale.Conflict, "The folder %s has %s in it. A backup is restored into an empty folder, or one with %s alone: nothing is overwritten.", folder, name, SecretKeyFile)
		}
	}
	return nil
}

// keyRingOfBackup is the key of the configuration, or of the file in the folder. None
// is made: it would open nothing of what the backup has sealed.
func keyRingOfBackup(cfg config.Config) (*auth.KeyRing, error) {
	if cfg.SecretKey != "" {
		return givenKeyRing(cfg)
	}
	path := filepath.Join(cfg.Data, SecretKeyFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("a backup has no secret key in it: put the %s that its database was made with into %s, readable by you alone, or name it with TELLTALE_SECRET_KEY_FILE", SecretKeyFile, cfg.Data)
	}
	return auth.LoadOrCreateKeyFile(path)
}
