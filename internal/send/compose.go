package send

import (
	"fmt"
	"time"

	"telltale.example/telltale"
)

// Compose gives the request that a webhook with that secret would get for the
// event, signed now, for whoever forwards it themselves: its headers, and its body.
// It belongs to no delivery.
func (s *Sender) Compose(secret string, e *telltale.Event) ([]telltale.Header, []byte, error) {
	now := time.Now()
	p, err := s.prepared.prepare(&telltale.Webhook{Secrets: []telltale.Secret{{Value: secret}}}, now)
	if err != nil {
		return nil, nil, fmt.Errorf("send: composing a request: %w", err)
	}
	_, headers := p.headers(&telltale.Claim{Event: e, Attempt: 1, Test: e.Test}, e.Payload, now)
	kept := headers[:0]
	for _, h := range headers {
		if h.Value != "" {
			kept = append(kept, h)
		}
	}
	return kept, e.Payload, nil
}
