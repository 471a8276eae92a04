package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The vector of Standard Webhooks' reference implementation.
const (
	vectorSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorID     = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorTime   = "1614265330"
	vectorBody   = `{"test": 2432232314}`
	vectorValue  = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	vectorHead   = "webhook-id: " + vectorID + "\nwebhook-timestamp: " + vectorTime + "\nwebhook-signature: " + vectorValue + "\n"
)

func TestSignMakesTheReferenceVector(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte(vectorSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := tryWith(t, nil, vectorBody, "sign", "--secret", "@"+secret, "--id", vectorID, "--timestamp", vectorTime, "--body", "@-")
	if got.out != vectorHead || got.status != 0 {
		t.Errorf("status %d\n got %s\nwant %s%s", got.status, got.out, vectorHead, got.err)
	}
}

func TestVerifySaysWhy(t *testing.T) {
	t.Parallel()
	const other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"a valid one", []string{"--secret", vectorSecret, "--body", vectorBody, "--at", vectorTime, "--header", vectorHead}, 0, "The signature is valid"},
		{"a header that was pasted with the request's first line", []string{"--secret", vectorSecret, "--body", vectorBody, "--at", vectorTime, "--header", "POST /hook HTTP/1.1\r\n" + vectorHead}, 0, "The signature is valid"},
		{"a clock that is wrong", []string{"--secret", vectorSecret, "--body", vectorBody, "--at", "2021-02-25T15:09:10Z", "--header", vectorHead}, 7, "The timestamp is 7m0s old"},
		{"a body that was parsed and written again", []string{"--secret", vectorSecret, "--body", `{"test":2432232314}`, "--at", vectorTime, "--header", vectorHead}, 7, "written again with other white space"},
		{"another body", []string{"--secret", vectorSecret, "--body", `{"test":0}`, "--at", vectorTime, "--header", vectorHead}, 7, "No signature matches"},
		{"a body that grew a line break", []string{"--secret", vectorSecret, "--body", vectorBody + "\n", "--at", vectorTime, "--header", vectorHead}, 7, "The body was changed after it was signed"},
		{"another secret", []string{"--secret", other, "--body", vectorBody, "--at", vectorTime, "--header", vectorHead}, 7, "No signature matches"},
		{"an old secret", []string{"--secret", other, "--secret", vectorSecret, "--body", vectorBody, "--at", vectorTime, "--header", vectorHead}, 7, "An old secret signed the request"},
		{"a header that is missing", []string{"--secret", vectorSecret, "--body", vectorBody, "--at", vectorTime, "--header", "webhook-id: " + vectorID}, 7, "webhook-timestamp is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := try(t, append([]string{"verify"}, tt.args...)...)
			if got.status != tt.status || !strings.Contains(got.out, tt.want) {
				t.Errorf("status %d, %s%s\nwant %d, %s", got.status, got.out, got.err, tt.status, tt.want)
			}
		})
	}
	t.Run("in JSON", func(t *testing.T) {
		t.Parallel()
		got := try(t, "verify", "--json", "--secret", vectorSecret, "--body", vectorBody, "--at", vectorTime, "--header", vectorHead)
		if !strings.Contains(got.out, `"valid":true`) || strings.Contains(got.out, vectorSecret) {
			t.Errorf("%s", got.out)
		}
	})
	t.Run("what is needed and not there", func(t *testing.T) {
		t.Parallel()
		got := try(t, "verify", "--secret", vectorSecret)
		if got.status != 2 || got.err != "telltale: verify needs --header and --body; see telltale verify --help\n" {
			t.Errorf("status %d, %s", got.status, got.err)
		}
	})
	t.Run("a line that is no header", func(t *testing.T) {
		t.Parallel()
		got := try(t, "verify", "--secret", vectorSecret, "--body", "x", "--header", "nothing")
		if got.status != 2 || got.err != "telltale: flag --header: \"nothing\"; expected 'name: value'\n" {
			t.Errorf("status %d, %s", got.status, got.err)
		}
	})
}
