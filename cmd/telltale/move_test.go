package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"telltale.example/telltale/internal/app"
	"telltale.example/telltale/internal/pgtest"
	"telltale.example/telltale/internal/sqlite"
)

// sealed seals nothing: a store without webhooks has no secrets.
type sealed struct{}

func (sealed) Seal(plain []byte, _ string) ([]byte, error)  { return plain, nil }
func (sealed) Open(sealed []byte, _ string) ([]byte, error) { return sealed, nil }
func (sealed) Keys() []string                               { return []string{""} }
func (sealed) KeyOf([]byte) string                          { return "" }

func TestMove(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), filepath.Join(folder, app.DatabaseFile), sqlite.Options{Node: "nod_01JD0000000000000000000000", Sealer: sealed{}})
	if err == nil {
		err = store.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	server := pgtest.Start(t)
	url, err := server.Create("moved", "")
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.Replace(url, "@", ":hunter2@", 1)

	got := try(t, "move", "--from", folder, "--to", secret)
	if got.status != exitOK || !strings.Contains(got.out, "project  -      1       1           same\n") {
		t.Errorf("moving gives %d:\n%s%s", got.status, got.out, got.err)
	}
	if want := "TELLTALE_SECRET_KEY_FILE=" + filepath.Join(folder, app.SecretKeyFile) + " TELLTALE_DATABASE_URL=" + url + " telltale serve"; !strings.Contains(got.err, want) || strings.Contains(got.err, "hunter2") {
		t.Errorf("what is to be done next is not %q:\n%s", want, got.err)
	}
	got = tryWith(t, []string{"TELLTALE_DATABASE_URL=" + secret}, "", "move", "--from", "sqlite", "--data", folder, "--quiet")
	if got.status != exitConflict || got.out != "" || !strings.Contains(got.err, "already") || strings.Count(got.err, "\n") != 1 {
		t.Errorf("moving again gives %d:\n%s%s", got.status, got.out, got.err)
	}

	if url, err = server.Create("again", ""); err != nil {
		t.Fatal(err)
	}
	got = try(t, "move", "--from", filepath.Join(folder, app.DatabaseFile), "--to", url, "--json", "--quiet")
	var moved app.Moved
	if err := json.Unmarshal([]byte(got.out), &moved); err != nil || got.status != exitOK || got.err != "" || len(moved.Tables) < 30 || moved.To != url {
		t.Errorf("moving for programs gives %d, %v:\n%s%s", got.status, err, got.out, got.err)
	}

	got = try(t, "move", "--from", folder, "--to", "postgres://jo:hunter2@127.0.0.1:1/away")
	if got.status != exitTemporary || !strings.Contains(got.err, "The database cannot be reached") || strings.Contains(got.err, "hunter2") {
		t.Errorf("moving to a server that is away gives %d: %s", got.status, got.err)
	}

	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--to", url}, "move needs --from"},
		{[]string{"--from", folder}, "move needs --to, or TELLTALE_DATABASE_URL"},
		{[]string{"--from", folder, "--to", "mysql://hunter2@db"}, "flag --to: this value (not shown) cannot be used; expected postgres://user@host/database"},
		{[]string{"--from", filepath.Join(folder, "nowhere"), "--to", url}, "flag --from: there is no store"},
	} {
		if got := try(t, append([]string{"move"}, c.args...)...); got.status != exitUsage || !strings.Contains(got.err, c.want) || strings.Count(got.err, "\n") != 1 {
			t.Errorf("move %v gives %d: %s", c.args, got.status, got.err)
		}
	}
}
