package app

import (
	"path/filepath"
	"testing"

	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/config"
)

// The page on operations has whoever moves to several nodes copy the secret key
// of the first one to all of them, as it is.
func TestTheKeyFileOfOneNodeIsTakenByManyNodes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), SecretKeyFile)
	made, err := auth.LoadOrCreateKeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Input{Environ: []string{"TELLTALE_SECRET_KEY_FILE=" + path}, Secrets: config.Server})
	if err != nil {
		t.Fatal(err)
	}
	given, err := sharedKeyRing(cfg)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := made.Seal([]byte("whsec"), "webhook/1")
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := given.Open(sealed, "webhook/1"); err != nil || string(plain) != "whsec" {
		t.Errorf("the nodes open %q, %v", plain, err)
	}
}
