package app

import (
	"context"
	"errors"
	"fmt"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/config"
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

// ResetLink makes a link with which an operator sets their password anew, in the
// store itself, which on SQLite no server may have open. It gives NotFound for an
// email that no operator has.
func ResetLink(ctx context.Context, cfg config.Config, version, email string) (link string, err error) {
	store, err := openForCommand(ctx, cfg, version)
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

// CreateKey makes a key in the store itself, for whoever has none to ask a server
// with. A project's key names the project by its slug. NotFound for a project.
func CreateKey(ctx context.Context, cfg config.Config, version, slug, name string, scope telltale.Scope) (key telltale.Key, token string, err error) {
	store, err := openForCommand(ctx, cfg, version)
	if err != nil {
		return telltale.Key{}, "", err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	var project telltale.ProjectID
	if scope != telltale.ScopeOwner {
		p, err := store.ProjectBySlug(ctx, slug)
		if err != nil {
			return telltale.Key{}, "", err
		}
		project = p.ID
	}
	key, token = telltale.NewKey(project, name, scope)
	if err := key.Validate(); err != nil {
		return telltale.Key{}, "", err
	}
	return key, token, store.CreateKey(ctx, key)
}
