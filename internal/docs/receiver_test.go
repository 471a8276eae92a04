package docs

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale/signature"
)

var update = flag.Bool("update", false, "put the receivers' files into the documents anew")

// fenced is a block of code that says which file it shows, and whether only the
// part that verifies.
var fenced = regexp.MustCompile("(?ms)^```([a-z]+) receivers/([A-Za-z.]+)( verify)?\n(.*?)^```$")

func TestDocumentsShowTheReceiversAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"receivers.md", "verify.md"} {
		path := filepath.Join("..", "..", "docs", file)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		shown := 0
		filled := fenced.ReplaceAllStringFunc(string(text), func(block string) string {
			shown++
			m := fenced.FindStringSubmatch(block)
			code := source(m[2])
			if m[3] != "" {
				code = verification(code)
			}
			return fmt.Sprintf("```%s receivers/%s%s\n%s```", m[1], m[2], m[3], code)
		})
		if shown != len(receivers) {
			t.Errorf("%s shows %d receivers, not %d", file, shown, len(receivers))
		}
		switch {
		case *update:
			if err := os.WriteFile(path, []byte(filled), 0o644); err != nil {
				t.Fatal(err)
			}
		case filled != string(text):
			t.Errorf("%s does not show docs/receivers as they are; put them in with: go test ./internal/docs -update", file)
		}
	}
}

// steps are what every receiver must do, in its own words.
var steps = map[string][]string{
	"receiver.go":   {`"webhook-id"`, "5*time.Minute", "StdEncoding.DecodeString", "hmac.New(sha256.New, key)", `id + "." + timestamp + "."`, `"v1,"`, "strings.Fields(", "hmac.Equal(", "len(key) == 0", "StatusUnauthorized", "StatusNoContent"},
	"receiver.ts":   {`"webhook-id"`, "<= 300", `"base64")`, `createHmac("sha256", key)`, "`${id}.${timestamp}.`", `"v1,"`, `.split(" ")`, "timingSafeEqual(", "key.length === 0", "answer(401", "answer(204"},
	"receiver.py":   {`"webhook-id"`, "> 300", "base64.b64decode(", "hmac.new(key,", `f"{id}.{timestamp}."`, `b"v1,"`, ".split()", "hmac.compare_digest(", "if not KEY", "send_error(401", "send_response(204"},
	"receiver.rb":   {`"webhook-id"`, "<= 300", `unpack1("m0")`, `HMAC.digest("SHA256", key`, "#{id}.#{timestamp}.#{body}", `"v1,"`, ".split.any?", "OpenSSL.secure_compare(", "KEY.empty?", "HTTPStatus::Unauthorized", "status = 204"},
	"receiver.php":  {`"HTTP_WEBHOOK_ID"`, "> 300", "base64_decode(", `hash_hmac("sha256"`, `"$id.$timestamp.$body"`, `"v1,"`, `explode(" "`, "hash_equals(", `$key === ""`, "http_response_code(401", "http_response_code(204"},
	"Receiver.java": {`"webhook-id"`, "> 300", "getDecoder().decode(", `"HmacSHA256"`, `id + "." + timestamp + "."`, `"v1,"`, `.split(" ")`, "MessageDigest.isEqual(", "key.length == 0", "sendResponseHeaders(401", "sendResponseHeaders(204"},
}

func TestEveryReceiverHasTheSameSteps(t *testing.T) {
	t.Parallel()
	for _, r := range receivers {
		code := source(r.File)
		for _, step := range steps[r.File] {
			if !strings.Contains(code, step) {
				t.Errorf("%s lacks %s", r.File, step)
			}
		}
		if len(steps[r.File]) != 11 {
			t.Errorf("%s is checked for %d steps, not 11", r.File, len(steps[r.File]))
		}
		if verify := verification(code); len(verify) < 500 || strings.Contains(verify, placePort) {
			t.Errorf("%s cannot be cut behind its verification:\n%s", r.File, verify)
		}
	}
}

// running says how each file is made a process. Node of the machine may not
// know TypeScript yet, so its types are taken out; what is left is the program.
var running = map[string]struct {
	needs string
	make  func(code string) (file, text string)
	build []string
	start []string
}{
	"receiver.go":   {"go", nil, []string{"go", "build", "-o", "receiver", "receiver.go"}, []string{"./receiver"}},
	"receiver.ts":   {"node", withoutTypes, nil, []string{"node", "receiver.mjs"}},
	"receiver.py":   {"python3", nil, nil, []string{"python3", "receiver.py"}},
	"receiver.rb":   {"ruby", nil, nil, []string{"ruby", "receiver.rb"}},
	"receiver.php":  {"php", nil, nil, []string{"php", "-S", "PORT", "receiver.php"}},
	"Receiver.java": {"javac", nil, []string{"javac", "Receiver.java"}, []string{"java", "-cp", ".", "Receiver"}},
}

func withoutTypes(code string) (file, text string) {
	code = strings.ReplaceAll(code, ", type IncomingHttpHeaders", "")
	return "receiver.mjs", regexp.MustCompile(`([a-z])\??: (Buffer\[\]|Buffer|IncomingHttpHeaders|number|string)|\): boolean`).ReplaceAllStringFunc(code, func(s string) string {
		return s[:1]
	})
}

// Each is run as it is printed, but for the port.
func TestReceiversTakeWhatIsSignedAndNothingElse(t *testing.T) {
	t.Parallel()
	secret := signature.NewSecret()
	for i, r := range receivers {
		how := running[r.File]
		if _, err := exec.LookPath(how.needs); err != nil {
			t.Logf("%s is not run: this machine has no %s", r.File, how.needs)
			continue
		}
		t.Run(r.Language, func(t *testing.T) {
			t.Parallel()
			dir, address := t.TempDir(), freeAddress(t)
			r := Receivers("http://"+address+"/in/it's?x=1", "MY_SECRET")[i]
			file, code := r.File, r.Source
			if how.make != nil {
				file, code = how.make(code)
			}
			if err := os.WriteFile(filepath.Join(dir, file), []byte(code), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			if how.build != nil {
				build := exec.CommandContext(ctx, how.build[0], how.build[1:]...)
				build.Dir = dir
				if out, err := build.CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
			}
			_, port, _ := net.SplitHostPort(address)
			start := exec.CommandContext(ctx, how.start[0], strings.Split(strings.ReplaceAll(strings.Join(how.start[1:], "\n"), "PORT", "localhost:"+port), "\n")...)
			var out bytes.Buffer
			start.Dir, start.Stdout, start.Stderr = dir, &out, &out
			start.Env = append(os.Environ(), "MY_SECRET="+secret.Reveal())
			if err := start.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = start.Process.Kill()
				_ = start.Wait()
				if t.Failed() {
					t.Logf("the receiver said:\n%s", out.String())
				}
			}()
			waitUntilListening(ctx, t, port)
			for _, row := range requests(secret) {
				if got := row.send(ctx, t, "http://localhost:"+port+"/in/it's?x=1"); got != row.want {
					t.Errorf("%s: answered %d, not %d", row.name, got, row.want)
				}
			}
			if got := requests(secret)[0].send(ctx, t, "http://localhost:"+port+"/elsewhere"); got != http.StatusNotFound {
				t.Errorf("another path is answered %d", got)
			}
		})
	}
}

type signedRequest struct {
	name   string
	header map[string]string
	body   string
	want   int
}

// requests are right and wrong in every way that matters.
func requests(secret signature.Secret) []signedRequest {
	const id, body = "evt_1", `{"type":"sent","user":{"email":"zoë@example.com"}}`
	head := func(secret signature.Secret, at time.Time) map[string]string {
		return map[string]string{
			"webhook-id": id, "webhook-timestamp": strconv.FormatInt(at.Unix(), 10), "webhook-signature": signature.NewSigner(secret).Sign(id, at, []byte(body)),
		}
	}
	but := func(name, value string) map[string]string {
		h := head(secret, time.Now())
		h[name] = value
		return h
	}
	without := func(name string) map[string]string {
		h := head(secret, time.Now())
		delete(h, name)
		return h
	}
	right := head(secret, time.Now())
	return []signedRequest{
		{"a signed request", right, body, 204},
		{"one from four minutes ago", head(secret, time.Now().Add(-4*time.Minute)), body, 204},
		{"one with the signature of a rotated secret first", but("webhook-signature", "v1,AAAA v1a,BBBB "+right["webhook-signature"]), body, 204},
		{"a changed body", right, body + " ", 401},
		{"another secret", head(signature.NewSecret(), time.Now()), body, 401},
		{"one from six minutes ago", head(secret, time.Now().Add(-6*time.Minute)), body, 401},
		{"one from in six minutes", head(secret, time.Now().Add(6*time.Minute)), body, 401},
		{"another id", but("webhook-id", "evt_2"), body, 401},
		{"a timestamp that is no number", but("webhook-timestamp", "now"), body, 401},
		{"a timestamp without end", but("webhook-timestamp", strings.Repeat("9", 400)), body, 401},
		{"no id", without("webhook-id"), body, 401},
		{"no timestamp", without("webhook-timestamp"), body, 401},
		{"no signature", without("webhook-signature"), body, 401},
		{"a signature without its version", but("webhook-signature", strings.TrimPrefix(right["webhook-signature"], "v1,")), body, 401},
	}
}

func (r signedRequest) send(ctx context.Context, t *testing.T, url string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range r.header {
		request.Header.Set(name, value)
	}
	client := http.Client{Timeout: time.Minute}
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("%s: %v", r.name, err)
	}
	response.Body.Close()
	return response.StatusCode
}

// A receiver without a secret would take what anybody signs with an empty key.
func TestReceiversDoNotRunWithoutASecret(t *testing.T) {
	t.Parallel()
	for _, r := range receivers {
		how := running[r.File]
		if _, err := exec.LookPath(how.needs); err != nil || r.Language == "PHP" || how.build != nil {
			continue // PHP starts with each request; what is built is checked for its steps
		}
		t.Run(r.Language, func(t *testing.T) {
			t.Parallel()
			file, code := r.File, source(r.File)
			if how.make != nil {
				file, code = how.make(code)
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, file), []byte(code), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			start := exec.CommandContext(ctx, how.start[0], how.start[1:]...)
			start.Dir, start.Env = dir, append(os.Environ(), "WEBHOOK_SECRET=")
			if out, err := start.CombinedOutput(); err == nil || ctx.Err() != nil {
				t.Errorf("it ran: %v\n%s", err, out)
			}
		})
	}
}

func TestReceiversAreFilledIn(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, url        string
		path, port, file string
	}{
		{"nothing known", "", "/webhooks", "3000", "receiver.go"},
		{"a public receiver keeps the port", "https://hooks.example.com:8443/telltale/in", "/telltale/in", "3000", "receiver.py"},
		{"one on this machine has its own", "http://localhost:9999/hook", "/hook", "9999", "receiver.rb"},
		{"no path", "https://hooks.example.com", "/", "3000", "receiver.go"},
		{"a path with what languages read", "https://hooks.example.com/$HOME/a'%22;?q=$1", `/\$HOME/a'%22;`, "3000", "receiver.php"},
		{"the same elsewhere", "https://hooks.example.com/$HOME/a'%22;", `/$HOME/a'%22;`, "3000", "receiver.ts"},
	} {
		for _, r := range Receivers(row.url, "THE_SECRET") {
			if strings.Contains(r.Source, placeSecret) || r.File != row.file {
				if r.File == row.file {
					t.Errorf("%s: %s still has %s", row.name, r.File, placeSecret)
				}
				continue
			}
			if !strings.Contains(r.Source, row.path+`"`) || r.Language != "PHP" && !strings.Contains(r.Source, row.port) || !strings.Contains(r.Source, "THE_SECRET") {
				t.Errorf("%s: %s lacks %s or %s:\n%s", row.name, r.File, row.path, row.port, r.Source)
			}
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

func waitUntilListening(ctx context.Context, t *testing.T, port string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var dialer net.Dialer
		if conn, err := dialer.DialContext(ctx, "tcp", "localhost:"+port); err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("nobody listens on port %s", port)
		case <-tick.C:
		}
	}
}
