package client

import (
	"context"
	"net/http"
	"net/url"

	"telltale.example/telltale/internal/wire"
)

// Webhooks lists the project's webhooks.
func (c *Client) Webhooks(ctx context.Context, p Page, each func(wire.Webhook) error) (next string, err error) {
	return list(ctx, c, "/v1/webhooks", nil, p, each)
}

// Webhook reads one.
func (c *Client) Webhook(ctx context.Context, id string) (w wire.Webhook, err error) {
	err = c.get(ctx, webhookPath(id), nil, &w)
	return w, err
}

// CreateWebhook makes one; the answer has its secret.
func (c *Client) CreateWebhook(ctx context.Context, in wire.WebhookCreate) (w wire.Webhook, err error) {
	err = c.send(ctx, http.MethodPost, "/v1/webhooks", in, &w)
	return w, err
}

// EditWebhook changes one.
func (c *Client) EditWebhook(ctx context.Context, id string, in wire.WebhookPatch) (w wire.Webhook, err error) {
	err = c.send(ctx, http.MethodPatch, webhookPath(id), in, &w)
	return w, err
}

// DeleteWebhook deletes one.
func (c *Client) DeleteWebhook(ctx context.Context, id string) error {
	return c.send(ctx, http.MethodDelete, webhookPath(id), nil, nil)
}

// EnableWebhook enables one: what was held goes out.
func (c *Client) EnableWebhook(ctx context.Context, id string) (w wire.Webhook, err error) {
	err = c.send(ctx, http.MethodPost, webhookPath(id)+"/enable", nil, &w)
	return w, err
}

// DisableWebhook disables one: nothing is sent to it from then on.
func (c *Client) DisableWebhook(ctx context.Context, id string) (w wire.Webhook, err error) {
	err = c.send(ctx, http.MethodPost, webhookPath(id)+"/disable", nil, &w)
	return w, err
}

// TestWebhook sends it a sample and waits for the attempt to end.
func (c *Client) TestWebhook(ctx context.Context, id string, in wire.WebhookTest) (w wire.WebhookTested, err error) {
	err = c.send(ctx, http.MethodPost, webhookPath(id)+"/test", in, &w)
	return w, err
}

// WebhookSecrets shows what signs its requests.
func (c *Client) WebhookSecrets(ctx context.Context, id string) (w wire.Secrets, err error) {
	err = c.get(ctx, webhookPath(id)+"/secret", nil, &w)
	return w, err
}

// RotateSecret gives it a fresh secret, which is in the answer.
func (c *Client) RotateSecret(ctx context.Context, id string, in wire.SecretRotation) (w wire.Webhook, err error) {
	err = c.send(ctx, http.MethodPost, webhookPath(id)+"/secret/rotate", in, &w)
	return w, err
}

// RestoreWebhook takes its deletion back.
func (c *Client) RestoreWebhook(ctx context.Context, id string) (w wire.Webhook, err error) {
	err = c.send(ctx, http.MethodPost, webhookPath(id)+"/restore", nil, &w)
	return w, err
}

// WebhookStats counts what happened there in the range: 1h, 24h, 7d or 30d.
func (c *Client) WebhookStats(ctx context.Context, id, reach string) (w wire.Stats, err error) {
	err = c.get(ctx, webhookPath(id)+"/stats", url.Values{"range": {reach}}, &w)
	return w, err
}

func webhookPath(id string) string { return "/v1/webhooks/" + url.PathEscape(id) }
