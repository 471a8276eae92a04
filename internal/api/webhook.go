package api

import (
	"context"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/wire"
)

type WebhookPath struct {
	ID string `path:"id" doc:"The webhook's id." example:"whk_01JD0000000000000000000000"`
	ProjectQuery
}

func (a *api) listWebhooks(ctx context.Context, who auth.Identity, in *struct {
	ProjectQuery
	PageQuery
}) (wire.Page[wire.Webhook], error) {
	return paged(ctx, a, list{"webhooks", who.Project.ID}, in.PageQuery,
		func(w *telltale.Webhook) string { return string(w.ID) }, wire.FromWebhook,
		func(ctx context.Context, page telltale.Page) ([]*telltale.Webhook, error) {
			return a.config.Store.Webhooks(ctx, who.Project.ID, page)
		})
}

func (a *api) createWebhook(ctx context.Context, who auth.Identity, in *struct {
	ProjectQuery
	Body wire.WebhookCreate
}) (wire.Webhook, error) {
	made, faults := in.Body.New(who.Project.ID)
	if err := made.Check(faults, a.config.Guard.CheckURL); err != nil {
		return wire.Webhook{}, err
	}
	w, err := a.config.Store.CreateWebhook(ctx, made)
	if err != nil {
		return wire.Webhook{}, err
	}
	a.config.Dispatcher.Changed(w)
	return withSecret(w), nil
}

// withSecret is the form of a webhook whose secret was just made.
func withSecret(w *telltale.Webhook) wire.Webhook {
	out := wire.FromWebhook(w)
	out.Secret = wire.SecretsOf(w, time.Now()).Secret
	return out
}

func (a *api) getWebhook(ctx context.Context, who auth.Identity, in *struct {
	WebhookPath
	IfNoneMatch
}) (wire.Webhook, error) {
	w, err := a.webhook(ctx, who, in.ID)
	if err != nil {
		return wire.Webhook{}, err
	}
	return wire.FromWebhook(w), nil
}

func (a *api) webhook(ctx context.Context, who auth.Identity, id string) (*telltale.Webhook, error) {
	known, err := webhookID(id)
	if err != nil {
		return nil, err
	}
	w, err := a.config.Store.Webhook(ctx, who.Project.ID, known)
	return w, found(err, "webhook", id)
}

func (a *api) patchWebhook(ctx context.Context, who auth.Identity, in *struct {
	WebhookPath
	IfMatch
	Body wire.WebhookPatch
}) (wire.Webhook, error) {
	seen, err := a.condition(callOf(ctx))
	if err != nil {
		return wire.Webhook{}, err
	}
	w, err := a.update(ctx, who, in.ID, seen, func(w *telltale.Webhook) error {
		return w.Check(in.Body.Apply(w), a.config.Guard.CheckURL)
	})
	if err != nil {
		return wire.Webhook{}, err
	}
	return wire.FromWebhook(w), nil
}

// update changes the webhook's settings.
func (a *api) update(ctx context.Context, who auth.Identity, id string, seen condition, change func(*telltale.Webhook) error) (*telltale.Webhook, error) {
	return a.onWebhook(ctx, who, id, seen, func(old *telltale.Webhook) (*telltale.Webhook, error) {
		changed := *old // a snapshot is shared: change a copy
		if err := change(&changed); err != nil {
			return nil, err
		}
		return a.config.Store.UpdateWebhook(ctx, changed)
	})
}

// onWebhook changes the webhook as it is now, and tells the dispatcher.
func (a *api) onWebhook(ctx context.Context, who auth.Identity, id string, seen condition, change func(old *telltale.Webhook) (*telltale.Webhook, error)) (*telltale.Webhook, error) {
	w, err := onTop("webhook", id, seen,
		func() (*telltale.Webhook, error) { return a.webhook(ctx, who, id) },
		func(w *telltale.Webhook) versioned { return wire.FromWebhook(w) },
		change)
	if err != nil {
		return nil, err
	}
	a.config.Dispatcher.Changed(w)
	return w, nil
}

func (a *api) deleteWebhook(ctx context.Context, who auth.Identity, in *struct {
	WebhookPath
	IfMatch
}) error {
	seen, err := a.condition(callOf(ctx))
	if err != nil {
		return err
	}
	_, err = a.onWebhook(ctx, who, in.ID, seen, func(old *telltale.Webhook) (*telltale.Webhook, error) {
		return a.config.Store.DeleteWebhook(ctx, who.Project.ID, old.ID, seen.version(old.Version))
	})
	return err
}

// enableWebhook tells what happened meanwhile too, so that the caller can have
// it sent. What it takes to count that is no reason to fail.
func (a *api) enableWebhook(ctx context.Context, who auth.Identity, in *WebhookPath) (wire.Webhook, error) {
	var enabled *telltale.Webhook
	out, err := a.switched(in.ID, func(id telltale.WebhookID) (w *telltale.Webhook, err error) {
		enabled, err = a.config.Store.EnableWebhook(ctx, who.Project.ID, id)
		return enabled, err
	})
	if err != nil {
		return out, err
	}
	if s, ok := enabled.Missed(); ok {
		plan, err := a.config.Store.PlanReplay(ctx, who.Project.ID, s, enabled.ID)
		if err != nil {
			a.config.Log.WarnContext(ctx, "what a webhook missed was not counted", "webhook", enabled.ID, "error", err)
			return out, nil
		}
		out.Missed = new(plan.Count)
	}
	return out, nil
}

func (a *api) restoreWebhook(ctx context.Context, who auth.Identity, in *WebhookPath) (wire.Webhook, error) {
	return a.switched(in.ID, func(id telltale.WebhookID) (*telltale.Webhook, error) {
		return a.config.Store.RestoreWebhook(ctx, who.Project.ID, id)
	})
}

func (a *api) disableWebhook(ctx context.Context, who auth.Identity, in *WebhookPath) (wire.Webhook, error) {
	return a.switched(in.ID, func(id telltale.WebhookID) (*telltale.Webhook, error) {
		return a.config.Store.DisableWebhook(ctx, who.Project.ID, id, telltale.DisabledManual)
	})
}

// switched does what takes a webhook in or out of service, and tells the
// dispatcher before the caller is answered.
func (a *api) switched(id string, do func(telltale.WebhookID) (*telltale.Webhook, error)) (wire.Webhook, error) {
	known, err := webhookID(id)
	if err != nil {
		return wire.Webhook{}, err
	}
	w, err := do(known)
	if err != nil {
		return wire.Webhook{}, found(err, "webhook", id)
	}
	a.config.Dispatcher.Changed(w)
	return wire.FromWebhook(w), nil
}

func (a *api) getSecret(ctx context.Context, who auth.Identity, in *WebhookPath) (wire.Secrets, error) {
	w, err := a.webhook(ctx, who, in.ID)
	if err != nil {
		return wire.Secrets{}, err
	}
	err = a.config.Store.Audit(ctx, telltale.AuditEntry{ProjectID: who.Project.ID, Action: telltale.AuditSecretShown, Target: string(w.ID), Name: w.URL})
	if err != nil { // who has seen it must be known, or nobody sees it
		return wire.Secrets{}, err
	}
	return wire.SecretsOf(w, time.Now()), nil
}

func (a *api) rotateSecret(ctx context.Context, who auth.Identity, in *struct {
	WebhookPath
	Body *wire.SecretRotation
}) (wire.Webhook, error) {
	overlap := wire.Duration(telltale.DefaultOverlap)
	if in.Body != nil {
		overlap = in.Body.Overlap.Or(overlap, overlap)
	}
	if overlap < 0 || time.Duration(overlap) > telltale.MaxSecretOverlap {
		return wire.Webhook{}, telltale.Faulty("Invalid rotation.", []telltale.Fault{{
			Location: "body.overlap", Message: "The overlap is out of range.",
			Expected: "0s to " + wire.Duration(telltale.MaxSecretOverlap).String(), Value: overlap.String(),
		}})
	}
	w, err := a.update(ctx, who, in.ID, condition{}, func(w *telltale.Webhook) error {
		w.RotateSecret(time.Duration(overlap))
		return nil
	})
	if err != nil {
		return wire.Webhook{}, err
	}
	return withSecret(w), nil
}

// testWebhook sends one sample, once, and answers when the attempt has ended.
func (a *api) testWebhook(ctx context.Context, who auth.Identity, in *struct {
	WebhookPath
	Body *wire.WebhookTest
}) (wire.WebhookTested, error) {
	w, err := a.webhook(ctx, who, in.ID)
	if err != nil {
		return wire.WebhookTested{}, err
	}
	wanted := w.Events.Types()[0] // a webhook wants at least one
	if in.Body != nil && in.Body.Event != "" {
		wanted = telltale.EventType(in.Body.Event)
	}
	e, err := telltale.SampleEvent(who.Project.ID, wanted)
	if err != nil {
		return wire.WebhookTested{}, err
	}
	claim, err := a.config.Store.AcceptTest(ctx, e, w.ID)
	if err != nil {
		return wire.WebhookTested{}, found(err, "webhook", in.ID)
	}
	attempt, err := a.config.Dispatcher.Test(ctx, claim)
	if err != nil {
		return wire.WebhookTested{}, err
	}
	return wire.WebhookTested{
		Success:    attempt.Success(),
		Message:    attempt.Verdict(),
		DeliveryID: string(claim.DeliveryID),
		Attempt:    wire.FromAttempt(&attempt, e.SentBody(attempt.Request.Headers, claim.Webhook.Extensions)),
	}, nil
}
