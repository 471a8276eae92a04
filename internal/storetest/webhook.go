package storetest

import (
	"slices"
	"time"

	"telltale.example/telltale"
)

// everySetting gives a webhook something in each of its fields.
func everySetting(h *telltale.Webhook) {
	h.URL = "https://receiver.example:8443/in?token=%20"
	h.Events = telltale.NewEventTypeSet(telltale.Opened, telltale.UserUpdated)
	h.Description = "All of it — “ünïcode” & <tags>"
	h.Timeout = 7*time.Second + 500*time.Millisecond
	h.RetrySchedule = telltale.Schedule{time.Second, 90 * time.Minute}
	h.RateLimit, h.Concurrency = 0.25, 17
	h.Headers = []telltale.CustomHeader{{Name: "X-Team", Value: "a"}, {Name: "X-Token", Value: "hush", Secret: true}}
	h.BasicAuth = &telltale.BasicAuth{Username: "jo", Password: "pass:word"}
	h.SkipMachines, h.Extensions, h.LegacySignature = true, true, true
	h.Secrets = append(h.Secrets, telltale.Secret{Value: telltale.NewSecret(), ExpiresAt: milli(h.CreatedAt.Add(time.Hour))})
}

var webhookTests = []test{
	{"a webhook is read back as it was made, also after a restart", func(w *world) {
		for _, hook := range []*telltale.Webhook{
			w.newWebhook(),
			w.newWebhook(everySetting),
			w.newWebhook(func(h *telltale.Webhook) { h.RetrySchedule = telltale.Schedule{} }),
			w.newWebhook(func(h *telltale.Webhook) { h.Enabled, h.DisabledReason = false, telltale.DisabledManual }),
			w.newWebhook(func(h *telltale.Webhook) { h.DisabledAt = milli(w.Now().Add(-time.Hour)) }),
		} {
			for range 2 {
				got, err := w.Webhook(w.ctx, w.project.ID, hook.ID)
				w.must(err)
				w.equal("the webhook", got, hook)
				w.restart()
			}
		}
	}},
	{"what is made is what was asked for", func(w *world) {
		var asked telltale.Webhook
		made := w.newWebhook(everySetting, func(h *telltale.Webhook) { asked = *h })
		w.equal("the webhook", *made, asked)
	}},
	{"a snapshot does not change with what it was made from", func(w *world) {
		var header []telltale.CustomHeader
		made := w.newWebhook(everySetting, func(h *telltale.Webhook) { header = h.Headers })
		header[0].Value = "changed"
		got, err := w.Webhook(w.ctx, w.project.ID, made.ID)
		w.must(err)
		w.equal("the header", got.Headers[0].Value, "a")
	}},
	{"a webhook of another project is not found, like one that does not exist or is deleted", func(w *world) {
		other := w.newProject("other")
		hook, deleted := w.newWebhook(), w.newWebhook()
		w.delete(deleted.ID)
		for _, at := range []struct {
			project telltale.ProjectID
			id      telltale.WebhookID
		}{{other.ID, hook.ID}, {w.project.ID, telltale.NewWebhookID()}, {w.project.ID, deleted.ID}, {w.project.ID, "nonsense"}, {"", hook.ID}} {
			_, err := w.Webhook(w.ctx, at.project, at.id)
			w.code(telltale.NotFound, err)
			changed := *hook
			changed.ProjectID, changed.ID = at.project, at.id
			_, err = w.UpdateWebhook(w.ctx, changed)
			w.code(telltale.NotFound, err)
			_, err = w.DisableWebhook(w.ctx, at.project, at.id, telltale.DisabledManual)
			w.code(telltale.NotFound, err)
			_, err = w.EnableWebhook(w.ctx, at.project, at.id)
			w.code(telltale.NotFound, err)
			_, err = w.DeleteWebhook(w.ctx, at.project, at.id, 0)
			w.code(telltale.NotFound, err)
		}
		got, err := w.Webhook(w.ctx, w.project.ID, hook.ID)
		w.must(err)
		w.equal("the webhook that nobody could reach", got, hook)
	}},
	{"webhooks are listed newest first, without deleted ones and other projects'", func(w *world) {
		other := w.newProject("other")
		w.newWebhook(func(h *telltale.Webhook) { h.ProjectID = other.ID })
		a, b, c := w.newWebhook(), w.newWebhook(), w.newWebhook()
		w.delete(b.ID)
		w.disable(a.ID)
		for range 2 {
			hooks, err := w.Webhooks(w.ctx, w.project.ID, telltale.Page{Limit: 10})
			w.must(err)
			w.equal("the webhooks", ids(hooks, webhookID), []telltale.WebhookID{c.ID, a.ID})
			w.restart()
		}
	}},
	{"webhooks are paged", func(w *world) {
		for range 7 {
			w.newWebhook()
		}
		pages(w, func(p telltale.Page) ([]*telltale.Webhook, error) { return w.Webhooks(w.ctx, w.project.ID, p) },
			func(h *telltale.Webhook) string { return string(h.ID) })
	}},
	{"an update replaces the settings and nothing else", func(w *world) {
		hook := w.disable(w.newWebhook().ID)
		w.Advance(time.Minute)
		wanted := *hook
		everySetting(&wanted)
		wanted.Enabled, wanted.DisabledReason, wanted.Health, wanted.Deleted = true, "", telltale.HealthFailing, true
		wanted.CreatedAt = wanted.CreatedAt.Add(time.Hour)
		updated, err := w.UpdateWebhook(w.ctx, wanted)
		w.must(err)
		wanted.Version, wanted.CreatedAt = hook.Version+1, hook.CreatedAt
		wanted.Enabled, wanted.DisabledReason, wanted.Health, wanted.Deleted = false, telltale.DisabledManual, hook.Health, false
		if !updated.UpdatedAt.After(hook.UpdatedAt) {
			w.Fatalf("it was updated at %v, before at %v", updated.UpdatedAt, hook.UpdatedAt)
		}
		wanted.UpdatedAt, wanted.Standing = updated.UpdatedAt, updated.Standing
		for range 2 {
			got, err := w.Webhook(w.ctx, w.project.ID, hook.ID)
			w.must(err)
			w.equal("the webhook", *got, wanted)
			w.restart()
		}
	}},
	{"an update or deletion of an older version changes nothing", func(w *world) {
		hook := w.newWebhook()
		first := *hook
		first.Description = "first"
		updated, err := w.UpdateWebhook(w.ctx, first)
		w.must(err)
		second := *hook
		second.Description = "second"
		_, err = w.UpdateWebhook(w.ctx, second)
		w.code(telltale.PreconditionFailed, err)
		_, err = w.DeleteWebhook(w.ctx, w.project.ID, hook.ID, hook.Version)
		w.code(telltale.PreconditionFailed, err)
		got, err := w.Webhook(w.ctx, w.project.ID, hook.ID)
		w.must(err)
		w.equal("the webhook", got, updated)
		_, err = w.DeleteWebhook(w.ctx, w.project.ID, hook.ID, updated.Version)
		w.must(err)
	}},
	{"an old snapshot does not change", func(w *world) {
		hook := w.newWebhook()
		before := *hook
		w.disable(hook.ID)
		w.equal("the snapshot", *hook, before)
	}},
	{"disabling and enabling make new versions, once", func(w *world) {
		hook := w.newWebhook()
		w.Advance(time.Minute)
		disabled, err := w.DisableWebhook(w.ctx, w.project.ID, hook.ID, telltale.DisabledBlocked)
		w.must(err)
		if disabled.Enabled || disabled.DisabledReason != telltale.DisabledBlocked || disabled.Version <= hook.Version || !disabled.UpdatedAt.After(hook.UpdatedAt) {
			w.Fatalf("the disabled webhook: %+v", disabled)
		}
		again, err := w.DisableWebhook(w.ctx, w.project.ID, hook.ID, telltale.DisabledManual)
		w.must(err)
		w.equal("the webhook that was disabled twice", again, disabled)
		w.restart()
		enabled := w.enable(hook.ID)
		if !enabled.Enabled || enabled.DisabledReason != "" || enabled.Version <= disabled.Version {
			w.Fatalf("the enabled webhook: %+v", enabled)
		}
		w.equal("the webhook that was enabled twice", w.enable(hook.ID), enabled)
	}},
	{"when a webhook was disabled last is known, also once it is enabled again", func(w *world) {
		hook := w.newWebhook()
		w.equal("before the first time", hook.DisabledAt, time.Time{})
		for range 2 {
			w.Advance(time.Hour)
			at := milli(w.Now())
			w.equal("when it was disabled", w.disable(hook.ID).DisabledAt, at)
			w.Advance(time.Hour)
			w.equal("when it was, once it is disabled again", w.disable(hook.ID).DisabledAt, at)
			w.restart()
			enabled := w.enable(hook.ID)
			w.equal("when it was, once it is enabled", enabled.DisabledAt, at)
			changed := *enabled
			changed.DisabledAt = time.Time{}
			updated, err := w.UpdateWebhook(w.ctx, changed)
			w.must(err)
			w.equal("when it was, once it is changed", updated.DisabledAt, at)
		}
		made := w.newWebhook(func(h *telltale.Webhook) { h.Enabled, h.DisabledReason = false, telltale.DisabledManual })
		w.equal("when one was that was made disabled", made.DisabledAt, made.CreatedAt)

		w.Advance(time.Hour)
		claim := w.deliverOne()
		gone := w.result(claim, 410)
		gone.Outcome.Disable = telltale.DisabledGone
		w.equal("when it was disabled by an outcome", w.record(gone).Changed[0].DisabledAt, milli(w.Now()))
	}},
	{"a deleted webhook says so to who had it", func(w *world) {
		hook := w.newWebhook()
		deleted := w.delete(hook.ID)
		if !deleted.Deleted || deleted.Version <= hook.Version {
			w.Fatalf("the deleted webhook: %+v", deleted)
		}
		if slices.ContainsFunc(telltale.EventTypes(), func(t telltale.EventType) bool { return deleted.Wants(t, false) }) {
			w.Fatal("a deleted webhook wants events")
		}
	}},
	{"health follows the last attempt", func(w *world) {
		hook := w.newWebhook()
		health := func(want telltale.Health) {
			w.Helper()
			for range 2 {
				got, err := w.Webhook(w.ctx, w.project.ID, hook.ID)
				w.must(err)
				if got.Health != want || got.Version != hook.Version {
					w.Fatalf("health is %s at version %d, wanted %s at %d", got.Health, got.Version, want, hook.Version)
				}
			}
		}
		health(telltale.HealthNeverUsed)
		w.finish(w.deliverOne())
		health(telltale.HealthHealthy)
		w.fail(w.deliverOne())
		health(telltale.HealthFailing)

		w.finish(w.deliverOne())
		w.record(w.interrupted(w.deliverOne()))
		health(telltale.HealthHealthy)
		w.fail(w.deliverOne())
		w.restart()
		health(telltale.HealthFailing)
	}},
	{"a test says nothing of a webhook's health", func(w *world) {
		hook := w.newWebhook()
		claim, err := w.AcceptTest(w.ctx, *w.newEvent(), hook.ID)
		w.must(err)
		w.finish(claim)
		got, err := w.Webhook(w.ctx, w.project.ID, hook.ID)
		w.must(err)
		w.equal("health", got.Health, telltale.HealthNeverUsed)
	}},
}
