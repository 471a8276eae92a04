package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/config"
	"telltale.example/telltale/internal/sqlite"
)

// setupLink makes the link under which the first operator is made, while there
// is none.
func setupLink(ctx context.Context, store telltale.OperatorStore, operators *auth.Operators, url string) (string, error) {
	known, err := store.Operators(ctx)
	if err != nil {
		return "", fmt.Errorf("looking for operators: %w", err)
	}
	if len(known) > 0 {
		return "", nil
	}
	token, err := operators.NewLink(ctx, telltale.Link{Purpose: telltale.LinkSetup}, telltale.SetupLinkLife)
	if err != nil {
		return "", err
	}
	return url + "/setup?token=" + token, nil
}

// ResetLink makes a link with which an operator sets their password anew, in a
// store that no server has open. It gives NotFound for an email that no operator
// has.
func ResetLink(ctx context.Context, cfg config.Config, email string) (link string, err error) {
	if _, err := os.Stat(databasePath(cfg)); err != nil {
		return "", fmt.Errorf("there is no database: %w", err)
	}
	ring, err := keyRing(cfg, false)
	if err != nil {
		return "", err
	}
	store, err := sqlite.Open(ctx, databasePath(cfg), sqlite.Options{Node: telltale.NewNodeID(), Sealer: ring, Logger: slog.New(slog.DiscardHandler), Fatal: func(error) {}})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	operator, err := store.OperatorByEmail(ctx, email)
	if telltale.CodeOf(err) == telltale.NotFound {
		return "", telltale.Errorf(telltale.NotFound, "There is no operator %s.", telltale.CutValue(email))
	} else if err != nil {
		return "", err
	}
	token, err := auth.NewOperators(store, false).NewLink(ctx, telltale.Link{Purpose: telltale.LinkReset, OperatorID: operator.ID}, telltale.ResetLinkLife)
	if err != nil {
		return "", err
	}
	url := cfg.PublicURL
	if url == "" {
		url = "http://" + cfg.Listen
	}
	return url + "/link?token=" + token, nil
}
