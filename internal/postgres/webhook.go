package postgres

import (
	"context"
	"fmt"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/failpoint"
	"telltale.example/telltale/internal/stored"
)

func (s *Store) CreateWebhook(ctx context.Context, w telltale.Webhook) (*telltale.Webhook, error) {
	made := stored.CloneWebhook(w)
	made.Health, made.Standing = telltale.HealthNeverUsed, telltale.Standing{}
	if !made.Enabled && made.DisabledAt.IsZero() {
		made.DisabledAt = made.CreatedAt
	}
	row, err := stored.SealWebhook(s.options.Sealer, made)
	if err != nil {
		return nil, err
	}
	err = s.configure(ctx, "creating a webhook", func(tx *tx) error {
		p := tx.known.project(w.ProjectID)
		if p == nil {
			return notFound("project")
		}
		if tx.known.webhook(w.ID) != nil {
			return telltale.Errorf(telltale.Conflict, "There is a webhook %s already.", w.ID)
		}
		reason, err := stored.Code(stored.DisabledReasons, made.DisabledReason)
		if err != nil {
			return err
		}
		args := append(settings(made, row), string(made.ID), p.number, made.Version, made.Enabled, reason, milliOrNull(made.DisabledAt),
			stored.TimeMilli(made.CreatedAt), stored.TimeMilli(made.UpdatedAt), tx.changeConfig())
		_, err = tx.exec(`INSERT INTO webhook (url, events, description, timeout, retry_schedule, rate_limit, concurrency, headers, basic_auth, skip_machines, extensions, legacy_signature, format, secrets,
			id, project, version, enabled, disabled_reason, disabled_at, epoch, enabled_at, created_at, updated_at, changed)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, 1, $21, $21, $22, $23)`, args...)
		if err != nil {
			return fmt.Errorf("webhook %s: %w", w.ID, err)
		}
		return tx.audit(telltale.ActorOf(ctx), telltale.AuditEntry{
			ProjectID: w.ProjectID, Action: telltale.AuditWebhookCreated, Target: string(w.ID), Name: w.URL, Changes: telltale.WebhookChanges(nil, made),
		})
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

func (s *Store) Webhook(ctx context.Context, project telltale.ProjectID, id telltale.WebhookID) (*telltale.Webhook, error) {
	r, err := s.configured(ctx)
	if err != nil {
		return nil, err
	}
	w := r.webhook(id)
	if w == nil || w.now().ProjectID != project || w.now().Deleted {
		return nil, notFound("webhook")
	}
	if err := s.refreshStandings(ctx, []*webhook{w}); err != nil {
		return nil, err
	}
	return w.now(), nil
}

func (s *Store) Webhooks(ctx context.Context, project telltale.ProjectID, page telltale.Page) ([]*telltale.Webhook, error) {
	r, err := s.configured(ctx)
	if err != nil {
		return nil, err
	}
	p := r.project(project)
	if p == nil {
		return nil, nil
	}
	cut := cutList(p.live, func(w *webhook) string { return string(w.now().ID) }, page)
	if err := s.refreshStandings(ctx, cut); err != nil {
		return nil, err
	}
	webhooks := make([]*telltale.Webhook, len(cut))
	for i, w := range cut {
		webhooks[i] = w.now()
	}
	return webhooks, nil
}

func (s *Store) UpdateWebhook(ctx context.Context, w telltale.Webhook) (*telltale.Webhook, error) {
	wanted := stored.CloneWebhook(w)
	row, err := stored.SealWebhook(s.options.Sealer, wanted)
	if err != nil {
		return nil, err
	}
	return s.changeWebhook(ctx, "updating a webhook", w.ProjectID, w.ID, func(tx *tx, c *webhookChange) error {
		before := c.Webhook
		if before.Version != w.Version {
			return changedMeanwhile("webhook", before.Version, w.Version)
		}
		made := *wanted
		made.Enabled, made.DisabledReason, made.Deleted, made.Health = before.Enabled, before.DisabledReason, before.Deleted, before.Health
		made.DisabledAt, made.Standing, made.CreatedAt = before.DisabledAt, before.Standing, before.CreatedAt
		made.Version, made.UpdatedAt = before.Version+1, tx.presentTime()
		c.Webhook = &made
		args := append(settings(&made, row), made.Version, tx.milli, tx.changeConfig(), c.number)
		_, err := tx.exec(`UPDATE webhook SET url = $1, events = $2, description = $3, timeout = $4, retry_schedule = $5, rate_limit = $6, concurrency = $7, headers = $8, basic_auth = $9,
			skip_machines = $10, extensions = $11, legacy_signature = $12, format = $13, secrets = $14, version = $15, updated_at = $16, changed = $17 WHERE number = $18`, args...)
		if err != nil || made.URL == before.URL {
			return err
		}
		return tx.resetStanding(c) // another receiver
	})
}

func (s *Store) DisableWebhook(ctx context.Context, project telltale.ProjectID, id telltale.WebhookID, reason telltale.DisabledReason) (*telltale.Webhook, error) {
	disabled, err := s.changeWebhook(ctx, "disabling a webhook", project, id, func(tx *tx, c *webhookChange) error {
		if err := tx.disable(c, reason); err != nil {
			return err
		}
		failpoint.Here("disable-uncommitted")
		return nil
	})
	failpoint.Here("disable-committed")
	return disabled, err
}

// disable holds, by this one row, whatever waits for the webhook.
func (tx *tx) disable(c *webhookChange, reason telltale.DisabledReason) error {
	if !c.Enabled {
		return nil
	}
	made := *c.Webhook
	made.Enabled, made.DisabledReason, made.DisabledAt = false, reason, tx.presentTime()
	return tx.writeSwitch(c, &made)
}

// EnableWebhook begins a new epoch: what waits from before it is what was held.
func (s *Store) EnableWebhook(ctx context.Context, project telltale.ProjectID, id telltale.WebhookID) (*telltale.Webhook, error) {
	return s.changeWebhook(ctx, "enabling a webhook", project, id, func(tx *tx, c *webhookChange) error {
		if c.Enabled {
			return nil
		}
		return tx.enable(c)
	})
}

func (tx *tx) enable(c *webhookChange) error {
	made := *c.Webhook
	made.Enabled, made.DisabledReason = true, ""
	c.epoch++
	c.enabledAt = tx.milli
	if err := tx.writeSwitch(c, &made); err != nil {
		return err
	}
	return tx.resetStanding(c)
}

// DeleteWebhook cancels, by this one row, whatever waits for the webhook. Its
// secrets stay in the row, sealed, until the deletion cannot be taken back.
func (s *Store) DeleteWebhook(ctx context.Context, project telltale.ProjectID, id telltale.WebhookID, version int64) (*telltale.Webhook, error) {
	return s.changeWebhook(ctx, "deleting a webhook", project, id, func(tx *tx, c *webhookChange) error {
		if version != 0 && c.Version != version {
			return changedMeanwhile("webhook", c.Version, version)
		}
		made := *c.Webhook
		made.Deleted = true
		made.Secrets, made.Headers, made.BasicAuth = nil, nil, nil
		c.deletedAt = tx.milli
		return tx.writeSwitch(c, &made)
	})
}

// lost reports whether the webhook is deleted and cannot be restored any more.
func (w *webhook) lost(milli int64) bool {
	return w.deletedAt != 0 && w.deletedAt <= milli-telltale.UndoWindow.Milliseconds()
}

// RestoreWebhook reads the row again, which has what the registry forgot.
func (s *Store) RestoreWebhook(ctx context.Context, project telltale.ProjectID, id telltale.WebhookID) (restored *telltale.Webhook, err error) {
	err = s.configure(ctx, "restoring a webhook", func(tx *tx) error {
		w := tx.known.webhook(id)
		if w == nil || w.deletedAt == 0 || w.now().ProjectID != project || w.lost(tx.milli) {
			return notFound("deleted webhook")
		}
		var row scannedWebhook
		err := tx.conn.QueryRow(tx.ctx, `SELECT `+webhookColumns+` FROM webhook w LEFT JOIN standing s ON s.webhook = w.number WHERE w.number = $1 AND secrets IS NOT NULL FOR UPDATE OF w`, w.number).Scan(row.into()...)
		if noRows(err) {
			return notFound("deleted webhook")
		}
		if err != nil {
			return err
		}
		before, err := row.webhook(s, tx.known)
		if err != nil {
			return err
		}
		c := &webhookChange{Webhook: before.now(), number: w.number, epoch: w.epoch, enabledAt: w.enabledAt}
		made := *c.Webhook
		made.Deleted = false
		if err := tx.writeSwitch(c, &made); err != nil {
			return err
		}
		restored = c.Webhook
		return tx.audit(telltale.ActorOf(ctx), stored.WebhookEntry(before.now(), restored))
	})
	if err != nil {
		return nil, err
	}
	return restored, nil
}

// webhookChange is a webhook of which a transaction makes a new version.
type webhookChange struct {
	*telltale.Webhook // the newest so far
	number            int64
	epoch             int64
	enabledAt         int64
	deletedAt         int64
	standing          *standing // which the transaction has locked; nil: as the row says
}

// writeSwitch stores whether the webhook is enabled or deleted, as a new version of it.
func (tx *tx) writeSwitch(c *webhookChange, made *telltale.Webhook) error {
	reason, err := stored.Code(stored.DisabledReasons, made.DisabledReason)
	if err != nil {
		return err
	}
	made.Version++
	made.UpdatedAt = tx.presentTime()
	c.Webhook = made
	_, err = tx.exec(`UPDATE webhook SET enabled = $1, disabled_reason = $2, disabled_at = $3, deleted_at = $4, epoch = $5, enabled_at = $6, version = $7, updated_at = $8, changed = $9 WHERE number = $10`,
		made.Enabled, reason, milliOrNull(made.DisabledAt), orNull(c.deletedAt), c.epoch, c.enabledAt, made.Version, tx.milli, tx.changeConfig(), c.number)
	return err
}

// changeWebhook lets change make a new version of a webhook that is not deleted.
func (s *Store) changeWebhook(ctx context.Context, name string, project telltale.ProjectID, id telltale.WebhookID, change func(*tx, *webhookChange) error) (changed *telltale.Webhook, err error) {
	err = s.configure(ctx, name, func(tx *tx) error {
		w := tx.known.webhook(id)
		if w == nil || w.deletedAt != 0 || w.now().ProjectID != project {
			return notFound("webhook")
		}
		// Whoever changes a webhook shows its newest standing.
		if err := s.refreshStandingsWith(tx.ctx, tx.conn, []*webhook{w}); err != nil {
			return err
		}
		before := w.now()
		c := &webhookChange{Webhook: before, number: w.number, epoch: w.epoch, enabledAt: w.enabledAt}
		if err := change(tx, c); err != nil {
			return err
		}
		changed = c.Webhook
		if changed == before {
			return nil
		}
		return tx.audit(telltale.ActorOf(ctx), stored.WebhookEntry(before, changed))
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}

// forgetDeleted forgets the secrets of webhooks whose deletion is final.
func (tx *tx) forgetDeleted() error {
	_, err := tx.exec(`UPDATE webhook SET secrets = NULL, headers = NULL, basic_auth = NULL WHERE deleted_at IS NOT NULL AND deleted_at <= $1 AND secrets IS NOT NULL`,
		tx.milli-telltale.UndoWindow.Milliseconds())
	return err
}

// settings gives the settings of a webhook, in the order of the statements above.
func settings(w *telltale.Webhook, r stored.WebhookRow) []any {
	return []any{w.URL, int64(w.Events), w.Description, int64(w.Timeout), orNull(r.Schedule), w.RateLimit, w.Concurrency, r.Headers, r.BasicAuth,
		w.SkipMachines, w.Extensions, w.LegacySignature, w.Format, r.Secrets}
}

// loadWebhooks reads the webhooks that changed since that version.
func (s *Store) loadWebhooks(ctx context.Context, q querier, r *registry, since int64) error {
	var row scannedWebhook
	return each(ctx, q, `SELECT `+webhookColumns+` FROM webhook w LEFT JOIN standing s ON s.webhook = w.number WHERE w.changed > $1 ORDER BY w.number`, []any{since}, row.into(), func() error {
		w, err := row.webhook(s, r)
		if err != nil {
			return err
		}
		if now := w.now(); now.Deleted { // the row may still have what can be restored
			now.Secrets, now.Headers, now.BasicAuth = nil, nil, nil
		}
		r.hooks[w.number] = w
		return nil
	})
}

const webhookColumns = `w.number, w.project, w.id, w.version, w.enabled, w.disabled_reason, coalesce(w.disabled_at, 0), coalesce(w.deleted_at, 0), w.epoch, w.enabled_at, w.created_at, w.updated_at,
	w.url, w.events, w.description, w.timeout, coalesce(w.retry_schedule, ''), w.rate_limit, w.concurrency, w.headers, w.basic_auth, w.skip_machines, w.extensions, w.legacy_signature, w.format, w.secrets, ` + standingColumns

// scannedWebhook is a row with those columns.
type scannedWebhook struct {
	number, project                           int64
	id                                        string
	version, reason, disabledAt, deletedAt    int64
	enabled                                   bool
	epoch, enabledAt, createdAt, updatedAt    int64
	url, description, format                  string
	events, timeout                           int64
	rateLimit                                 float64
	concurrency                               int
	row                                       stored.WebhookRow
	skipMachines, extensions, legacySignature bool
	standing                                  scannedStanding
}

func (r *scannedWebhook) into() []any {
	return append([]any{&r.number, &r.project, &r.id, &r.version, &r.enabled, &r.reason, &r.disabledAt, &r.deletedAt, &r.epoch, &r.enabledAt, &r.createdAt, &r.updatedAt,
		&r.url, &r.events, &r.description, &r.timeout, &r.row.Schedule, &r.rateLimit, &r.concurrency, &r.row.Headers, &r.row.BasicAuth, &r.skipMachines, &r.extensions, &r.legacySignature, &r.format, &r.row.Secrets},
		r.standing.into()...)
}

// webhook makes a webhook of the row.
func (r *scannedWebhook) webhook(s *Store, known *registry) (*webhook, error) {
	p := known.byNumber[r.project]
	if p == nil {
		return nil, fmt.Errorf("webhook %s: there is no project %d", r.id, r.project)
	}
	w := &telltale.Webhook{
		ID: telltale.WebhookID(r.id), ProjectID: p.ID, Version: r.version, Enabled: r.enabled, Deleted: r.deletedAt != 0,
		DisabledReason: stored.Word(stored.DisabledReasons, r.reason), DisabledAt: stored.MilliTime(r.disabledAt),
		CreatedAt: stored.MilliTime(r.createdAt), UpdatedAt: stored.MilliTime(r.updatedAt),
		URL: r.url, Events: telltale.EventTypeSet(r.events), Description: r.description, Timeout: time.Duration(r.timeout),
		RateLimit: r.rateLimit, Concurrency: r.concurrency,
		SkipMachines: r.skipMachines, Extensions: r.extensions, LegacySignature: r.legacySignature, Format: r.format,
	}
	standing, err := r.standing.standing()
	if err != nil {
		return nil, fmt.Errorf("the standing of %s: %w", w.ID, err)
	}
	w.Standing, w.Health = standing.Standing, standing.health
	made := &webhook{number: r.number, project: r.project, epoch: r.epoch, enabledAt: r.enabledAt, deletedAt: r.deletedAt}
	made.shown.Store(w)
	return made, r.row.Open(s.options.Sealer, w)
}

// orNull stores zero as nothing.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func milliOrNull(t time.Time) *int64 { return orNull(stored.TimeMilli(t)) }
