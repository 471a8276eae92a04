package app

import (
	"context"
	"fmt"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
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
