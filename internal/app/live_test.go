package app

import (
	"bufio"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"telltale.example/telltale"
)

// What comes after a key was revoked is not for whoever holds it, however long ago
// they began to listen.
func TestAStreamEndsWithItsKey(t *testing.T) {
	t.Parallel()
	cfg := settings(t, filepath.Join(t.TempDir(), "data"))
	a := start(t, cfg)
	ask := func(method, path, token, body string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, a.URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		response, err := new(http.Client).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = response.Body.Close() })
		if response.StatusCode >= 300 {
			t.Fatalf("%s %s answers %d", method, path, response.StatusCode)
		}
		return response
	}
	made := ask(http.MethodPost, "/v1/keys?project="+telltale.DefaultProjectSlug, a.OwnerToken(), `{"name":"reader","scope":"read"}`)
	var key struct{ ID, Key string }
	if err := json.NewDecoder(made.Body).Decode(&key); err != nil {
		t.Fatal(err)
	}

	stream := bufio.NewScanner(ask(http.MethodGet, "/v1/live", key.Key, "").Body)
	until := func(text string) bool {
		for stream.Scan() {
			if strings.Contains(stream.Text(), text) {
				return true
			}
		}
		return false
	}
	ask(http.MethodPost, "/v1/events", a.OwnerToken(), `{"type":"sent","user":{"id":"before"}}`)
	if !until("before") {
		t.Fatal("the stream ended before the key did")
	}
	ask(http.MethodDelete, "/v1/keys/"+key.ID, a.OwnerToken(), "")
	ask(http.MethodPost, "/v1/events", a.OwnerToken(), `{"type":"sent","user":{"id":"after"}}`)
	if until("after") {
		t.Error("the stream goes on although its key was revoked")
	}
}
