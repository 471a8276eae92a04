package send

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/signature"
)

// maxPrepared bounds the webhooks that are kept prepared: some 2 KiB each.
const maxPrepared = 16 << 10

// prepared is what every request to a webhook has in common. It never changes.
type prepared struct {
	version int64
	until   time.Time // when a secret ceases to sign; zero for never

	url    *url.URL
	signer *signature.Signer
	legacy *signature.LegacySigner // nil unless the webhook wants it
	fixed  []fixedHeader
}

// fixedHeader is a header with the same value on every request.
type fixedHeader struct {
	name   string
	values []string // one; shared by requests and not to be changed
	shown  string   // the value as it may be recorded
}

// cache keeps webhooks prepared, by id. Past its bound a random one makes room.
type cache struct {
	userAgent string

	mu       sync.Mutex
	webhooks map[telltale.WebhookID]*prepared
}

func newCache(userAgent string) *cache {
	return &cache{userAgent: userAgent, webhooks: map[telltale.WebhookID]*prepared{}}
}

func (c *cache) get(w *telltale.Webhook, now time.Time) (*prepared, error) {
	c.mu.Lock()
	p := c.webhooks[w.ID]
	c.mu.Unlock()
	if p != nil && p.version == w.Version && (p.until.IsZero() || now.Before(p.until)) {
		return p, nil
	}
	p, err := c.prepare(w, now)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.webhooks[w.ID]; !known && len(c.webhooks) >= maxPrepared {
		for id := range c.webhooks {
			delete(c.webhooks, id)
			break
		}
	}
	c.webhooks[w.ID] = p
	return p, nil
}

func (c *cache) prepare(w *telltale.Webhook, now time.Time) (*prepared, error) {
	u, err := url.Parse(w.URL)
	if err != nil {
		return nil, fmt.Errorf("send: the URL of webhook %s: %w", w.ID, err)
	}
	p := &prepared{version: w.Version, url: u}
	if err := p.sign(w, now); err != nil {
		return nil, fmt.Errorf("send: the secrets of webhook %s: %w", w.ID, err)
	}
	p.fix("Content-Type", "application/json", false)
	p.fix("User-Agent", c.userAgent, false)
	if a := w.BasicAuth; a != nil {
		p.fix("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(a.Username+":"+a.Password)), true)
	}
	for _, h := range w.Headers {
		p.fix(h.Name, h.Value, h.Secret || strings.EqualFold(h.Name, "Authorization"))
	}
	return p, nil
}

func (p *prepared) fix(name, value string, secret bool) {
	h := fixedHeader{name: name, values: []string{value}, shown: value}
	if secret {
		h.shown = telltale.Redacted
	}
	p.fixed = append(p.fixed, h)
}

// sign prepares every secret that signs now. There is no request without a
// signature: a webhook that has none is an error.
func (p *prepared) sign(w *telltale.Webhook, now time.Time) error {
	var secrets []signature.Secret
	for _, text := range w.SigningSecrets(now) {
		secret, err := signature.ParseSecret(text)
		if err != nil {
			return err
		}
		secrets = append(secrets, secret)
	}
	if len(secrets) == 0 {
		return errors.New("none signs now")
	}
	p.signer = signature.NewSigner(secrets[0], secrets[1:]...)
	if w.LegacySignature {
		p.legacy = signature.NewLegacySigner(secrets[0].Reveal())
	}
	for _, s := range w.Secrets {
		if now.Before(s.ExpiresAt) && (p.until.IsZero() || s.ExpiresAt.Before(p.until)) {
			p.until = s.ExpiresAt
		}
	}
	return nil
}
