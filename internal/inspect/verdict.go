package inspect

import (
	"errors"
	"net/http"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/signature"
)

// verdict says of a request's signature that it is valid, that there is none, or
// why it is not valid. The secrets are those of the webhooks that point to the bin.
func verdict(header http.Header, body []byte, truncated bool, webhooks []*telltale.Webhook, now time.Time) string {
	if header.Get(signature.HeaderID) == "" && header.Get(signature.HeaderTimestamp) == "" && header.Get(signature.HeaderSignature) == "" {
		return telltale.VerdictUnsigned
	}
	if truncated {
		return "not checked: the body is longer than the inspector keeps"
	}
	secrets := secretsOf(webhooks, now)
	if len(secrets) == 0 {
		return "not checked: no webhook of the project points to this bin"
	}
	err := signature.NewVerifier(secrets[0], secrets[1:]...).Verify(header, body, now)
	if err == nil {
		return telltale.VerdictValid
	}
	var e *signature.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	reason := e.Reason.Error()
	if e.Header != "" {
		reason += ": " + e.Header
	}
	if e.Detail != "" {
		reason += ": " + e.Detail
	}
	return reason
}

func secretsOf(webhooks []*telltale.Webhook, now time.Time) []signature.Secret {
	var secrets []signature.Secret
	for _, w := range webhooks {
		for _, text := range w.SigningSecrets(now) {
			if s, err := signature.ParseSecret(text); err == nil { // the sender could not sign with any other
				secrets = append(secrets, s)
			}
		}
	}
	return secrets
}
