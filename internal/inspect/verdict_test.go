package inspect

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/signature"
)

func TestVerdict(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)
	const bin = "kq3jv5m2x7a4d6cbnw2ytrhe"
	pointing := telltale.NewWebhook("prj_a", "https://telltale.example/in/"+bin, telltale.AllEventTypes)
	second := telltale.NewWebhook("prj_a", "https://telltale.example/in/"+bin, telltale.AllEventTypes)
	both := []*telltale.Webhook{&pointing, &second}
	rotated := telltale.NewWebhook("prj_a", "https://telltale.example/in/"+bin, telltale.AllEventTypes)
	expired := rotated.Secrets[0].Value
	rotated.Secrets = []telltale.Secret{{Value: telltale.NewSecret()}, {Value: expired, ExpiresAt: now}}
	body := []byte(`{"type":"sent"}`)

	signed := func(secret string, at time.Time) http.Header {
		s, err := signature.ParseSecret(secret)
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{}
		h.Set(signature.HeaderID, "evt_1")
		h.Set(signature.HeaderTimestamp, strconv.FormatInt(at.Unix(), 10))
		h.Set(signature.HeaderSignature, signature.NewSigner(s).Sign("evt_1", at, body))
		return h
	}
	without := func(h http.Header, name string) http.Header {
		h.Del(name)
		return h
	}
	for _, row := range []struct {
		name      string
		header    http.Header
		body      []byte
		truncated bool
		webhooks  []*telltale.Webhook
		want      string // how the verdict begins
	}{
		{"signed by the webhook that points here", signed(pointing.Secrets[0].Value, now), body, false, both, "valid"},
		{"signed by the second of two", signed(second.Secrets[0].Value, now), body, false, both, "valid"},
		{"no header of a signature", http.Header{}, body, false, both, "unsigned"},
		{"another secret", signed(telltale.NewSecret(), now), body, false, both, "no signature matches: webhook-signature: "},
		{"another body", signed(pointing.Secrets[0].Value, now), []byte("{}"), false, both, "no signature matches: webhook-signature: "},
		{"a secret that has expired", signed(expired, now), body, false, []*telltale.Webhook{&rotated}, "no signature matches: "},
		{"ten minutes old", signed(pointing.Secrets[0].Value, now.Add(-10*time.Minute)), body, false, both, "the timestamp is too old: webhook-timestamp: it is 10m0s old"},
		{"ten minutes ahead", signed(pointing.Secrets[0].Value, now.Add(10*time.Minute)), body, false, both, "the timestamp is in the future: "},
		{"the id is missing", without(signed(pointing.Secrets[0].Value, now), signature.HeaderID), body, false, both, "a header is missing: webhook-id"},
		{"the signature is missing", without(signed(pointing.Secrets[0].Value, now), signature.HeaderSignature), body, false, both, "a header is missing: webhook-signature"},
		{"the body was cut off", signed(pointing.Secrets[0].Value, now), body, true, both, "not checked: the body"},
		{"no webhook points here", signed(pointing.Secrets[0].Value, now), body, false, nil, "not checked: no webhook"},
	} {
		got := verdict(row.header, row.body, row.truncated, row.webhooks, now)
		if !strings.HasPrefix(got, row.want) || row.want == "valid" && got != "valid" {
			t.Errorf("%s: %q; want %q", row.name, got, row.want)
		}
	}
}
