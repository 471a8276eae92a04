package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/config"
	"telltale.example/telltale/internal/pgtest"
)

// shared are the settings of nodes that share a new database on the server.
func shared(t *testing.T, server *pgtest.Server, database string) func(telltale.NodeRole) config.Config {
	t.Helper()
	url, err := server.Create(database, "")
	if err != nil {
		t.Fatal(err)
	}
	return func(role telltale.NodeRole) config.Config {
		cfg := settings(t, t.TempDir())
		cfg.DatabaseURL, cfg.NodeRole = config.Secret(url), role
		cfg.SecretKey = "Cy7yKxGM8xWvYDdJpn3xZGPbqPiqbcxT6lP6vk0qDFs="
		return cfg
	}
}

// eventually asks until the answer is yes, for as long as within says.
func eventually(t *testing.T, within time.Duration, what string, ask func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ask(); <-time.After(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it took longer than %s until %s", within, what)
		}
	}
}

func TestNodesOverADatabase(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)

	t.Run("that is away for a while go on by themselves", func(t *testing.T) {
		of := shared(t, server, "away")
		api, worker := start(t, of(telltale.NodeAPI)), start(t, of(telltale.NodeWorker))
		_, token, err := CreateKey(t.Context(), of(telltale.NodeAll), "test", "", "owner", telltale.ScopeOwner)
		if err != nil {
			t.Fatal(err)
		}
		ready := func() bool {
			one, _ := get(t, api.OpsURL()+"/readyz", "")
			other, _ := get(t, worker.OpsURL()+"/readyz", "")
			return one == http.StatusOK && other == http.StatusOK
		}
		eventually(t, 20*time.Second, "both are ready", ready)
		if status, body := get(t, api.URL()+"/v1/webhooks", token); status != http.StatusOK {
			t.Fatalf("the API answers %d: %s", status, body)
		}
		if err := server.Stop(false); err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]string{
			"/v1/keys": `"status":503,"detail":"The database cannot be reached."`,
			"/login":   "The server cannot do this right now",
		} {
			if status, body := get(t, api.URL()+path, token); status != http.StatusServiceUnavailable || !strings.Contains(body, want) {
				t.Errorf("%s answers %d: %s", path, status, body)
			}
		}
		for name, node := range map[string]*App{"the API": api, "the worker": worker} {
			if status, body := get(t, node.OpsURL()+"/readyz", ""); status != http.StatusServiceUnavailable || !strings.Contains(body, `"store":"The database cannot be reached.`) {
				t.Errorf("%s is said to be ready: %d %s", name, status, body)
			}
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, 20*time.Second, "both are ready again", ready)
		if status, body := get(t, api.URL()+"/v1/keys", token); status != http.StatusOK {
			t.Errorf("the API answers %d: %s", status, body)
		}
	})

	t.Run("refuse a key that was revoked at another one, from when it says so", func(t *testing.T) {
		of := shared(t, server, "revoked")
		one, other := start(t, of(telltale.NodeAPI)), start(t, of(telltale.NodeAPI))
		key, token, err := CreateKey(t.Context(), of(telltale.NodeAll), "test", telltale.DefaultProjectSlug, "reader", telltale.ScopeRead)
		if err != nil {
			t.Fatal(err)
		}
		_, owner, err := CreateKey(t.Context(), of(telltale.NodeAll), "test", "", "owner", telltale.ScopeOwner)
		if err != nil {
			t.Fatal(err)
		}
		for _, node := range []*App{one, other} {
			if status, body := get(t, node.URL()+"/v1/webhooks", token); status != http.StatusOK {
				t.Fatalf("the key gets %d: %s", status, body)
			}
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, one.URL()+"/v1/keys/"+string(key.ID), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+owner)
		response, err := new(http.Client).Do(request)
		if err != nil || response.StatusCode != http.StatusNoContent {
			t.Fatalf("revoking it: %v, %v", response, err)
		}
		_ = response.Body.Close()
		for name, node := range map[string]*App{"the node that revoked it": one, "the other node": other} {
			if status, body := get(t, node.URL()+"/v1/webhooks", token); status != http.StatusUnauthorized {
				t.Errorf("%s still takes it: %d %s", name, status, body)
			}
		}
	})

	t.Run("need the key that they share", func(t *testing.T) {
		cfg := shared(t, server, "keyless")(telltale.NodeAll)
		cfg.SecretKey = ""
		a, err := Start(t.Context(), cfg, "test", slog.New(slog.DiscardHandler))
		if err == nil {
			stop(t, a)
			t.Fatal("it started")
		}
		if want := "openssl rand -base64 32"; !strings.Contains(err.Error(), want) || strings.Contains(fmt.Sprintf("%+v", cfg), "postgres://") {
			t.Errorf("the reason is %q, and the settings %+v", err, cfg)
		}
	})

	t.Run("are found to be well, or what is wrong with them", func(t *testing.T) {
		cfg := shared(t, server, "examined")(telltale.NodeAll)
		found := func(cfg config.Config) map[string]Finding {
			by := map[string]Finding{}
			for _, f := range Examine(t.Context(), cfg, "test", "") {
				by[f.Check] = f
			}
			return by
		}
		if f := found(cfg); f["database"].State != FindingOK || f["schema"].State != FindingWarn || f["secret key"].State != FindingOK || f["disk"] != (Finding{}) {
			t.Errorf("a database that is empty: %+v", f)
		}
		if err := Migrate(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		cfg.SecretKey = "none"
		if f := found(cfg); f["schema"].State != FindingOK || f["secret key"].State != FindingFail {
			t.Errorf("a key that is none: %+v", f)
		}
		cfg.DatabaseURL = "postgres://telltale:hunter2@127.0.0.1:1/x"
		if f := found(cfg)["database"]; f.State != FindingFail || strings.Contains(f.Detail, "hunter2") {
			t.Errorf("a server that is not there: %+v", f)
		}
	})

	t.Run("leave, and are not waited for", func(t *testing.T) {
		of := shared(t, server, "leaving")
		stays := start(t, of(telltale.NodeAPI))
		goes := start(t, of(telltale.NodeWorker))
		_, owner, err := CreateKey(t.Context(), of(telltale.NodeAll), "test", "", "owner", telltale.ScopeOwner)
		if err != nil {
			t.Fatal(err)
		}
		if err := goes.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
		status, body := get(t, stays.URL()+"/v1/nodes", owner)
		if n := strings.Count(body, `"alive":true`); status != http.StatusOK || n != 1 || strings.Count(body, `"role":"command"`) != 1 {
			t.Errorf("%d nodes are alive: %s", n, body)
		}
	})
}
