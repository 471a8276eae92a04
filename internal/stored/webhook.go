package stored

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"telltale.example/telltale"
)

// WebhookRow is what of a webhook is stored as text or sealed.
type WebhookRow struct {
	Schedule                    string // JSON; "" for the default
	Headers, BasicAuth, Secrets []byte // sealed; nil if there is none
}

// SealWebhook makes it of a webhook.
func SealWebhook(sealer telltale.Sealer, w *telltale.Webhook) (row WebhookRow, err error) {
	if w.RetrySchedule != nil {
		text, err := json.Marshal(w.RetrySchedule)
		if err != nil {
			return row, fmt.Errorf("webhook %s: retry schedule: %w", w.ID, err)
		}
		row.Schedule = string(text)
	}
	if row.Secrets, err = Seal(sealer, SealedPlace(w.ID, "secrets"), w.Secrets); err != nil {
		return row, err
	}
	if len(w.Headers) > 0 {
		if row.Headers, err = Seal(sealer, SealedPlace(w.ID, "headers"), w.Headers); err != nil {
			return row, err
		}
	}
	if w.BasicAuth != nil {
		row.BasicAuth, err = Seal(sealer, SealedPlace(w.ID, "basic_auth"), w.BasicAuth)
	}
	return row, err
}

// Open fills it in to the webhook, which has its id.
func (r *WebhookRow) Open(sealer telltale.Sealer, w *telltale.Webhook) error {
	if r.Schedule != "" {
		if err := json.Unmarshal([]byte(r.Schedule), &w.RetrySchedule); err != nil {
			return fmt.Errorf("webhook %s: retry schedule: %w", w.ID, err)
		}
	}
	return errors.Join(
		Open(sealer, SealedPlace(w.ID, "headers"), r.Headers, &w.Headers),
		Open(sealer, SealedPlace(w.ID, "basic_auth"), r.BasicAuth, &w.BasicAuth),
		Open(sealer, SealedPlace(w.ID, "secrets"), r.Secrets, &w.Secrets))
}

// SealedPlace names the place that a webhook's sealed column is.
func SealedPlace(id telltale.WebhookID, column string) string {
	return "webhook/" + string(id) + "/" + column
}

// CloneWebhook makes a snapshot that shares nothing with w, as it would be
// read back.
func CloneWebhook(w telltale.Webhook) *telltale.Webhook {
	for _, at := range [...]*time.Time{&w.CreatedAt, &w.UpdatedAt, &w.DisabledAt} {
		*at = MilliTime(TimeMilli(*at))
	}
	w.Events = w.Events.Known()
	w.RetrySchedule = slices.Clone(w.RetrySchedule)
	w.Headers = slices.Clone(w.Headers)
	if len(w.Headers) == 0 {
		w.Headers = nil
	}
	w.Secrets = slices.Clone(w.Secrets)
	if w.BasicAuth != nil {
		w.BasicAuth = new(*w.BasicAuth)
	}
	return &w
}

// WebhookEntry tells the audit log what became of a webhook.
func WebhookEntry(before, after *telltale.Webhook) telltale.AuditEntry {
	e := telltale.AuditEntry{ProjectID: after.ProjectID, Target: string(after.ID), Name: after.URL, Action: telltale.AuditWebhookChanged}
	switch {
	case after.Deleted:
		e.Action = telltale.AuditWebhookDeleted
	case before.Deleted:
		e.Action = telltale.AuditWebhookRestored
	case after.Enabled && !before.Enabled:
		e.Action = telltale.AuditWebhookEnabled
	case !after.Enabled && before.Enabled:
		e.Action = telltale.AuditWebhookDisabled
		e.Changes = []telltale.AuditChange{{Field: "disabled_reason", After: string(after.DisabledReason)}}
	case !slices.Equal(before.Secrets, after.Secrets):
		e.Action = telltale.AuditSecretRotated
		e.Changes = telltale.WebhookChanges(before, after)
	default:
		e.Changes = telltale.WebhookChanges(before, after)
	}
	return e
}
