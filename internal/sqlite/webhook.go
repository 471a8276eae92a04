package sqlite

import (
	"context"
	"errors"
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
	actor := telltale.ActorOf(ctx)
	err = s.write(ctx, "creating a webhook", 1000, func(tx *tx) error {
		p := tx.project(w.ProjectID)
		if p == nil {
			return notFound("project")
		}
		if tx.webhook(w.ID) != nil {
			return telltale.Errorf(telltale.Conflict, "There is a webhook %s already.", w.ID)
		}
		reason, err := stored.Code(stored.DisabledReasons, made.DisabledReason)
		if err != nil {
			return err
		}
		q := tx.change(`INSERT INTO webhook (id, project, version, enabled, disabled_reason, disabled_at, epoch, enabled_at, created_at, updated_at,
			url, events, description, timeout, retry_schedule, rate_limit, concurrency, headers, basic_auth, skip_machines, extensions, legacy_signature, format, secrets)
			VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`).
			text(string(made.ID)).int(p.number).int(made.Version).bool(made.Enabled).int(reason).intOrNull(stored.TimeMilli(made.DisabledAt)).
			int(stored.TimeMilli(made.CreatedAt)).int(stored.TimeMilli(made.CreatedAt)).int(stored.TimeMilli(made.UpdatedAt))
		if err := q.settings(made, row).run(); err != nil {
			return fmt.Errorf("webhook %s: %w", w.ID, err)
		}
		created := &webhook{number: tx.conn.LastInsertRowID(), id: w.ID, project: p, standing: standing{health: made.Health}}
		tx.created = append(tx.created, created)
		tx.setState(created, &webhookState{Webhook: made, epoch: 1, enabledAt: stored.TimeMilli(made.CreatedAt)})
		return tx.audit(actor, telltale.AuditEntry{
			ProjectID: w.ProjectID, Action: telltale.AuditWebhookCreated, Target: string(w.ID), Name: w.URL, Changes: telltale.WebhookChanges(nil, made),
		})
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

func (s *Store) Webhook(_ context.Context, project telltale.ProjectID, id telltale.WebhookID) (*telltale.Webhook, error) {
	if err := s.down(); err != nil {
		return nil, err
	}
	if w := s.known.webhook(id); w != nil {
		if state := w.now.Load(); state.ProjectID == project && !state.Deleted {
			return state.Webhook, nil
		}
	}
	return nil, notFound("webhook")
}

func (s *Store) Webhooks(_ context.Context, project telltale.ProjectID, page telltale.Page) ([]*telltale.Webhook, error) {
	if err := s.down(); err != nil {
		return nil, err
	}
	p := s.known.project(project)
	if p == nil {
		return nil, nil
	}
	cut := cutList(s.known.liveWebhooks(p), func(w *webhook) string { return string(w.id) }, page)
	webhooks := make([]*telltale.Webhook, len(cut))
	for i, w := range cut {
		webhooks[i] = w.now.Load().Webhook
	}
	return webhooks, nil
}

func (s *Store) UpdateWebhook(ctx context.Context, w telltale.Webhook) (*telltale.Webhook, error) {
	wanted := stored.CloneWebhook(w)
	row, err := stored.SealWebhook(s.options.Sealer, wanted)
	if err != nil {
		return nil, err
	}
	return s.changeWebhook(ctx, "updating a webhook", w.ProjectID, w.ID, func(tx *tx, hook *webhook, state *webhookState) error {
		if state.Version != w.Version {
			return changedMeanwhile("webhook", state.Version, w.Version)
		}
		before, made := state.Webhook, *wanted
		made.Enabled, made.DisabledReason, made.Deleted, made.Health = before.Enabled, before.DisabledReason, before.Deleted, before.Health
		made.DisabledAt, made.Standing, made.CreatedAt = before.DisabledAt, before.Standing, before.CreatedAt
		made.Version, made.UpdatedAt = before.Version+1, tx.presentTime()
		state.Webhook = &made
		q := tx.change(`UPDATE webhook SET version = ?, updated_at = ?,
			url = ?, events = ?, description = ?, timeout = ?, retry_schedule = ?, rate_limit = ?, concurrency = ?, headers = ?, basic_auth = ?,
			skip_machines = ?, extensions = ?, legacy_signature = ?, format = ?, secrets = ? WHERE number = ?`).
			int(made.Version).int(tx.milli)
		if err := q.settings(&made, row).int(hook.number).run(); err != nil || made.URL == before.URL {
			return err
		}
		return tx.resetStanding(hook, state) // another receiver
	})
}

func changedMeanwhile(noun string, is, was int64) error {
	return telltale.Errorf(telltale.PreconditionFailed, "The %s was changed meanwhile: it is at version %d, not %d.", noun, is, was)
}

func (s *Store) DisableWebhook(ctx context.Context, project telltale.ProjectID, id telltale.WebhookID, reason telltale.DisabledReason) (*telltale.Webhook, error) {
	disabled, err := s.changeWebhook(ctx, "disabling a webhook", project, id, func(tx *tx, hook *webhook, state *webhookState) error {
		if err := tx.disable(hook.number, state, reason); err != nil {
			return err
		}
		failpoint.Here("disable-uncommitted")
		return nil
	})
	failpoint.Here("disable-committed")
	return disabled, err
}

// disable holds, by this one row, whatever waits for the webhook.
func (tx *tx) disable(number int64, state *webhookState, reason telltale.DisabledReason) error {
	if !state.Enabled {
		return nil
	}
	made := *state.Webhook
	made.Enabled, made.DisabledReason, made.DisabledAt = false, reason, tx.presentTime()
	return tx.writeSwitch(number, state, &made)
}

// EnableWebhook begins a new epoch: what waits from before it is what was held.
func (s *Store) EnableWebhook(ctx context.Context, project telltale.ProjectID, id telltale.WebhookID) (*telltale.Webhook, error) {
	return s.changeWebhook(ctx, "enabling a webhook", project, id, func(tx *tx, hook *webhook, state *webhookState) error {
		return tx.enable(hook, state)
	})
}

func (tx *tx) enable(w *webhook, state *webhookState) error {
	if state.Enabled {
		return nil
	}
	made := *state.Webhook
	made.Enabled, made.DisabledReason = true, ""
	state.epoch++
	state.enabledAt = tx.milli
	if err := tx.writeSwitch(w.number, state, &made); err != nil {
		return err
	}
	return tx.resetStanding(w, state)
}

// DeleteWebhook cancels, by this one row, whatever waits for the webhook. Its
// secrets stay in the row, sealed, until the deletion cannot be taken back.
func (s *Store) DeleteWebhook(ctx context.Context, project telltale.ProjectID, id telltale.WebhookID, version int64) (*telltale.Webhook, error) {
	return s.changeWebhook(ctx, "deleting a webhook", project, id, func(tx *tx, hook *webhook, state *webhookState) error {
		if version != 0 && state.Version != version {
			return changedMeanwhile("webhook", state.Version, version)
		}
		made := *state.Webhook
		made.Deleted = true
		made.Secrets, made.Headers, made.BasicAuth = nil, nil, nil
		tx.storeCounts() // the log forgets what failed before it was deleted
		state.deletedAt = tx.milli
		return tx.writeSwitch(hook.number, state, &made)
	})
}

// lost reports whether the webhook is deleted and cannot be restored any more.
func (s *webhookState) lost(milli int64) bool {
	return s.Deleted && s.deletedAt <= milli-telltale.UndoWindow.Milliseconds()
}

// RestoreWebhook reads the row again, which has what the registry forgot.
func (s *Store) RestoreWebhook(ctx context.Context, project telltale.ProjectID, id telltale.WebhookID) (restored *telltale.Webhook, err error) {
	actor := telltale.ActorOf(ctx)
	err = s.write(ctx, "restoring a webhook", 1000, func(tx *tx) error {
		w := tx.webhook(id)
		if w == nil {
			return notFound("deleted webhook")
		}
		if state := tx.state(w); !state.Deleted || state.ProjectID != project || state.lost(tx.milli) {
			return notFound("deleted webhook")
		}
		state := &webhookState{Webhook: &telltale.Webhook{ProjectID: project}}
		var scanErr error
		found, err := tx.query(`SELECT ` + webhookColumns + ` FROM webhook WHERE number = ? AND secrets IS NOT NULL`).int(w.number).
			one(func(q *query) { scanErr = s.scanWebhook(q, state) })
		if err != nil || scanErr != nil {
			return errors.Join(err, scanErr)
		}
		if !found {
			return notFound("deleted webhook")
		}
		tx.storeCounts() // the log forgets that it was deleted
		shown := tx.state(w).Webhook
		before, made := state.Webhook, *state.Webhook
		made.Deleted, state.deletedAt = false, 0
		made.Standing, made.Health = shown.Standing, shown.Health
		if err := tx.writeSwitch(w.number, state, &made); err != nil {
			return err
		}
		tx.setState(w, state)
		restored = state.Webhook
		return tx.audit(actor, stored.WebhookEntry(before, restored))
	})
	if err != nil {
		return nil, err
	}
	return restored, nil
}

// forgetDeleted forgets the secrets of webhooks whose deletion is final.
func (tx *tx) forgetDeleted() (more bool, err error) {
	err = tx.change(`UPDATE webhook SET secrets = NULL, headers = NULL, basic_auth = NULL WHERE number IN
		(SELECT number FROM webhook WHERE deleted_at IS NOT NULL AND deleted_at <= ? AND secrets IS NOT NULL LIMIT ?)`).
		int(tx.milli - telltale.UndoWindow.Milliseconds()).int(purgeRows).run()
	return tx.conn.Changes() == purgeRows, err
}

// writeSwitch stores whether the webhook is enabled or deleted, as a new version of it.
func (tx *tx) writeSwitch(number int64, state *webhookState, made *telltale.Webhook) error {
	reason, err := stored.Code(stored.DisabledReasons, made.DisabledReason)
	if err != nil {
		return err
	}
	made.Version++
	made.UpdatedAt = tx.presentTime()
	state.Webhook = made
	return tx.change(`UPDATE webhook SET enabled = ?, disabled_reason = ?, disabled_at = ?, deleted_at = ?, epoch = ?, enabled_at = ?, version = ?, updated_at = ? WHERE number = ?`).
		bool(made.Enabled).int(reason).intOrNull(stored.TimeMilli(made.DisabledAt)).intOrNull(state.deletedAt).int(state.epoch).int(state.enabledAt).int(made.Version).int(tx.milli).int(number).run()
}

// changeWebhook lets change make a new version of a webhook that is not
// deleted: it gets a copy of the present one to write to.
func (s *Store) changeWebhook(ctx context.Context, name string, project telltale.ProjectID, id telltale.WebhookID, change func(*tx, *webhook, *webhookState) error) (*telltale.Webhook, error) {
	var changed *telltale.Webhook
	actor := telltale.ActorOf(ctx)
	err := s.write(ctx, name, 1000, func(tx *tx) error {
		w := tx.webhook(id)
		if w == nil {
			return notFound("webhook")
		}
		state := *tx.state(w)
		if state.Deleted || state.ProjectID != project {
			return notFound("webhook")
		}
		before := state.Webhook
		if err := change(tx, w, &state); err != nil {
			return err
		}
		changed = state.Webhook
		if changed == before {
			return nil
		}
		tx.setState(w, &state)
		return tx.audit(actor, stored.WebhookEntry(before, changed))
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}

// settings binds the settings of a webhook, in the order of the statements above.
func (q *query) settings(w *telltale.Webhook, r stored.WebhookRow) *query {
	return q.text(w.URL).int(int64(w.Events)).text(w.Description).int(int64(w.Timeout)).textOrNull(r.Schedule).
		float(w.RateLimit).int(int64(w.Concurrency)).blobOrNull(r.Headers).blobOrNull(r.BasicAuth).
		bool(w.SkipMachines).bool(w.Extensions).bool(w.LegacySignature).text(w.Format).blobOrNull(r.Secrets)
}

func (s *Store) loadRegistry(c *conn) (*registry, error) {
	r := newRegistry()
	if err := s.loadProjects(c, r); err != nil {
		return nil, err
	}
	err := c.query(`SELECT number, project, ` + webhookColumns + ` FROM webhook ORDER BY number`).each(func(q *query) error {
		known := &webhook{number: q.getInt()}
		number := q.getInt()
		if known.project = r.projectByNumber(number); known.project == nil {
			return fmt.Errorf("webhook %d: there is no project %d", known.number, number)
		}
		w := &telltale.Webhook{ProjectID: known.project.now.Load().ID}
		state := &webhookState{Webhook: w}
		if err := s.scanWebhook(q, state); err != nil {
			return err
		}
		if known.id = w.ID; w.Deleted { // the row may still have what can be restored
			w.Secrets, w.Headers, w.BasicAuth = nil, nil, nil
		}
		known.standing.health = w.Health
		r.addWebhook(known)
		r.show(known, state)
		return nil
	})
	return r, errors.Join(err, loadStandings(c, r))
}

const webhookColumns = `id, version, enabled, disabled_reason, coalesce(disabled_at, 0), coalesce(deleted_at, 0), epoch, enabled_at, created_at, updated_at,
	url, events, description, timeout, retry_schedule, rate_limit, concurrency, headers, basic_auth, skip_machines, extensions, legacy_signature, format, secrets`

// scanWebhook fills in all that the row itself tells.
func (s *Store) scanWebhook(q *query, state *webhookState) error {
	w := state.Webhook
	w.ID = telltale.WebhookID(q.getText())
	w.Version, w.Enabled, w.DisabledReason, w.DisabledAt = q.getInt(), q.getBool(), stored.Word(stored.DisabledReasons, q.getInt()), stored.MilliTime(q.getInt())
	state.deletedAt = q.getInt()
	w.Deleted = state.deletedAt != 0
	w.Health = telltale.HealthNeverUsed // until its standing is read
	state.epoch, state.enabledAt = q.getInt(), q.getInt()
	w.CreatedAt, w.UpdatedAt = stored.MilliTime(q.getInt()), stored.MilliTime(q.getInt())

	w.URL, w.Events, w.Description, w.Timeout = q.getText(), telltale.EventTypeSet(q.getInt()), q.getText(), time.Duration(q.getInt())
	row := stored.WebhookRow{Schedule: q.getText()}
	w.RateLimit, w.Concurrency = q.getFloat(), int(q.getInt())
	row.Headers, row.BasicAuth = q.getBlob(), q.getBlob()
	w.SkipMachines, w.Extensions, w.LegacySignature, w.Format = q.getBool(), q.getBool(), q.getBool(), q.getText()
	row.Secrets = q.getBlob()
	return row.Open(s.options.Sealer, w)
}
