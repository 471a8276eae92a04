package telltale_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale/signature"
)

// The receiver in the README is what people copy, so it is built and run as it
// stands there, but for its port.
func TestTheReceiverInTheReadmeTakesWhatIsSignedAndNothingElse(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```go\n(package main.*?)```").FindSubmatch(readme)
	if block == nil {
		t.Fatal("the README has no receiver in Go")
	}
	address := freeAddress(t)
	source := strings.ReplaceAll(string(block[1]), "localhost:3000", address)
	if !strings.Contains(source, address) {
		t.Fatal("the receiver does not listen on localhost:3000")
	}
	dir := t.TempDir()
	file, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "receiver")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, file).CombinedOutput(); err != nil {
		t.Fatalf("the receiver does not build: %v\n%s", err, out)
	}
	secret := signature.NewSecret()
	receiver := exec.CommandContext(ctx, program)
	receiver.Env = append(os.Environ(), "WEBHOOK_SECRET="+secret.Reveal())
	if err := receiver.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = receiver.Process.Kill(); _ = receiver.Wait() })
	waitUntilListening(ctx, t, address)

	body := []byte(`{"type":"sent"}`)
	for _, row := range []struct {
		name string
		body []byte
		want int
	}{
		{"a signed request is taken", body, http.StatusNoContent},
		{"a changed body is refused", []byte(`{"type":"opened"}`), http.StatusBadRequest},
	} {
		now := time.Now()
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/webhooks", bytes.NewReader(row.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("webhook-id", "evt_1")
		request.Header.Set("webhook-timestamp", fmt.Sprint(now.Unix()))
		request.Header.Set("webhook-signature", signature.NewSigner(secret).Sign("evt_1", now, body))
		client := http.Client{Timeout: 10 * time.Second}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != row.want {
			t.Errorf("%s: the answer is %s, not %d", row.name, response.Status, row.want)
		}
	}
}

// freeAddress is one that nobody listens on just now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func waitUntilListening(ctx context.Context, t *testing.T, address string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var dialer net.Dialer
		if conn, err := dialer.DialContext(ctx, "tcp", address); err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("nobody listens on %s", address)
		case <-tick.C:
		}
	}
}
