package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"telltale.example/telltale/internal/config"
)

func settings(t *testing.T, data string) config.Config {
	t.Helper()
	cfg := config.Defaults()
	cfg.Listen, cfg.OpsListen, cfg.Data = "127.0.0.1:0", "127.0.0.1:0", data
	return cfg
}

func start(t *testing.T, cfg config.Config) *App {
	t.Helper()
	a, err := Start(t.Context(), cfg, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, a) })
	return a
}

func stop(t *testing.T, a *App) {
	t.Helper()
	// The test's own context has ended when its clean-up runs.
	if err := a.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

func get(t *testing.T, url, token string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := new(http.Client).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestANodeStartsOnAnEmptyFolderAndAgainOnItsOwn(t *testing.T) {
	t.Parallel()
	cfg := settings(t, filepath.Join(t.TempDir(), "data"))
	a := start(t, cfg)
	if !a.Fresh() {
		t.Error("the first start does not say that the store is new")
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		status, body := get(t, a.OpsURL()+path, "")
		for deadline := time.Now().Add(10 * time.Second); status != http.StatusOK && time.Now().Before(deadline); {
			status, body = get(t, a.OpsURL()+path, "") // the queue is looked at soon after the start
		}
		if status != http.StatusOK {
			t.Errorf("%s answers %d: %s", path, status, body)
		}
	}
	if status, body := get(t, a.URL()+"/v1/projects", a.OwnerToken()); status != http.StatusOK || !strings.Contains(body, `"slug":"default"`) {
		t.Errorf("the owner's token gets %d: %s", status, body)
	}
	token := a.OwnerToken()
	stop(t, a)

	a = start(t, cfg)
	if a.Fresh() || a.OwnerToken() != token {
		t.Error("the second start does not go on with what the first one made")
	}
}

func TestReadyzNamesThePartThatIsNotReady(t *testing.T) {
	t.Parallel()
	h := opsHandler(prometheus.NewRegistry(), map[string]func(context.Context) error{
		"store":    func(context.Context) error { return errors.New("the disk is full") },
		"dispatch": func(context.Context) error { return nil },
	}, func() bool { return true })
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	const want = `{"checks":{"dispatch":"ok","store":"the disk is full"},"paused":true,"status":"not ready"}` + "\n"
	if got := w.Body.String(); w.Code != http.StatusServiceUnavailable || got != want {
		t.Errorf("readyz answers %d %s", w.Code, got)
	}
}

func TestStartIsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		harm func(t *testing.T, cfg *config.Config)
		want string
	}{
		{"on a folder that another node has open", func(t *testing.T, cfg *config.Config) { start(t, *cfg) }, "another process uses this database"},
		{"on a port that is in use", func(t *testing.T, cfg *config.Config) {
			other := start(t, settings(t, filepath.Join(t.TempDir(), "other")))
			cfg.Listen = strings.TrimPrefix(other.URL(), "http://")
		}, "cannot listen on 127.0.0.1:"},
		{"when the key of an old database is gone", func(t *testing.T, cfg *config.Config) {
			stop(t, start(t, *cfg))
			if err := os.Remove(filepath.Join(cfg.Data, SecretKeyFile)); err != nil {
				t.Fatal(err)
			}
		}, "secret.key is missing"},
		{"with a key that is none", func(_ *testing.T, cfg *config.Config) { cfg.SecretKey = "not a key" }, "secret_key: "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg := settings(t, filepath.Join(t.TempDir(), "data"))
			test.harm(t, &cfg)
			a, err := Start(t.Context(), cfg, "test", slog.New(slog.DiscardHandler))
			if err == nil {
				stop(t, a)
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("the reason is %q, which does not say %q", err, test.want)
			}
		})
	}
}

func TestAWithdrawnOwnerTokenIsReplaced(t *testing.T) {
	t.Parallel()
	cfg := settings(t, filepath.Join(t.TempDir(), "data"))
	a := start(t, cfg)
	before := a.OwnerToken()
	stop(t, a)
	if err := os.Remove(filepath.Join(cfg.Data, OwnerTokenFile)); err != nil {
		t.Fatal(err)
	}
	a = start(t, cfg)
	if status, _ := get(t, a.URL()+"/v1/projects", a.OwnerToken()); status != http.StatusOK || a.OwnerToken() == before {
		t.Errorf("the new token gets %d", status)
	}
}
