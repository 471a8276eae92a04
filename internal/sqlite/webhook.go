package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"telltale.example/telltale"
)

func (s *Store) CreateWebhook(ctx context.Context, w telltale.Webhook) (*telltale.Webhook, error) {
	made := cloneWebhook(w)
	made.Health, made.Standing = telltale.HealthNeverUsed, telltale.Standing{}
	if !made.Enabled && made.DisabledAt.IsZero() {
		made.DisabledAt = made.CreatedAt
	}
	row, err := s.sealWebhook(made)
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
		reason, err := code(disabledReasons, made.DisabledReason)
		if err != nil {
			return err
		}
		q := tx.change(`INSERT INTO webhook (id, project, version, enabled, disabled_reason, disabled_at, epoch, enabled_at, created_at, updated_at,
			url, events, description, timeout, retry_schedule, rate_limit, concurrency, headers, basic_auth, skip_machines, extensions, legacy_signature, format, secrets)
			VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`).
			text(string(made.ID)).int(p.number).int(made.Version).bool(made.Enabled).int(reason).intOrNull(timeMilli(made.DisabledAt)).
			int(timeMilli(made.CreatedAt)).int(timeMilli(made.CreatedAt)).int(timeMilli(made.UpdatedAt))
		if err := row.bind(q, made).run(); err != nil {
			return fmt.Errorf("webhook %s: %w", w.ID, err)
		}
		created := &webhook{number: tx.conn.LastInsertRowID(), id: w.ID, project: p, standing: standing{health: made.Health}}
		tx.created = append(tx.created, created)
		tx.setState(created, &webhookState{Webhook: made, epoch: 1, enabledAt: timeMilli(made.CreatedAt)})
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
	wanted := cloneWebhook(w)
	row, err := s.sealWebhook(wanted)
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
		if err := row.bind(q, &made).int(hook.number).run(); err != nil || made.URL == before.URL {
			return err
		}
		return tx.resetStanding(hook, state) // another receiver
	})
}

func changedMeanwhile(noun string, is, was int64) error {
	return telltale.Errorf(telltale.PreconditionFailed, "The %s was changed meanwhile: it is at version %d, not %d.", noun, is, was)
}

func (s *Store) DisableWebhook(ctx context.Context, project telltale.ProjectID, id telltale.WebhookID, reason telltale.DisabledReason) (*telltale.Webhook, error) {
	return s.changeWebhook(ctx, "disabling a webhook", project, id, func(tx *tx, hook *webhook, state *webhookState) error {
		return tx.disable(hook.number, state, reason)
	})
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
		return tx.audit(actor, webhookEntry(before, restored))
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
	reason, err := code(disabledReasons, made.DisabledReason)
	if err != nil {
		return err
	}
	made.Version++
	made.UpdatedAt = tx.presentTime()
	state.Webhook = made
	return tx.change(`UPDATE webhook SET enabled = ?, disabled_reason = ?, disabled_at = ?, deleted_at = ?, epoch = ?, enabled_at = ?, version = ?, updated_at = ? WHERE number = ?`).
		bool(made.Enabled).int(reason).intOrNull(timeMilli(made.DisabledAt)).intOrNull(state.deletedAt).int(state.epoch).int(state.enabledAt).int(made.Version).int(tx.milli).int(number).run()
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
		return tx.audit(actor, webhookEntry(before, changed))
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}

// webhookEntry tells the audit log what became of a webhook.
func webhookEntry(before, after *telltale.Webhook) telltale.AuditEntry {
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

// webhookRow is what of a webhook is stored as text or sealed.
type webhookRow struct {
	schedule                    *string
	headers, basicAuth, secrets []byte
}

func (s *Store) sealWebhook(w *telltale.Webhook) (row webhookRow, err error) {
	if w.RetrySchedule != nil {
		text, err := json.Marshal(w.RetrySchedule)
		if err != nil {
			return row, fmt.Errorf("webhook %s: retry schedule: %w", w.ID, err)
		}
		row.schedule = new(string(text))
	}
	if row.secrets, err = s.seal(sealedPlace(w.ID, "secrets"), w.Secrets); err != nil {
		return row, err
	}
	if len(w.Headers) > 0 {
		if row.headers, err = s.seal(sealedPlace(w.ID, "headers"), w.Headers); err != nil {
			return row, err
		}
	}
	if w.BasicAuth != nil {
		row.basicAuth, err = s.seal(sealedPlace(w.ID, "basic_auth"), w.BasicAuth)
	}
	return row, err
}

// bind binds the settings of a webhook, in the order of the statements above.
func (r webhookRow) bind(q *query, w *telltale.Webhook) *query {
	q.text(w.URL).int(int64(w.Events)).text(w.Description).int(int64(w.Timeout))
	if r.schedule == nil {
		q.null()
	} else {
		q.text(*r.schedule)
	}
	return q.float(w.RateLimit).int(int64(w.Concurrency)).blobOrNull(r.headers).blobOrNull(r.basicAuth).
		bool(w.SkipMachines).bool(w.Extensions).bool(w.LegacySignature).text(w.Format).blobOrNull(r.secrets)
}

// sealedPlace names the place that a sealed value belongs to.
func sealedPlace(id telltale.WebhookID, column string) string {
	return "webhook/" + string(id) + "/" + column
}

// seal seals the value, as JSON, for that place.
func (s *Store) seal(place string, value any) ([]byte, error) {
	plain, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place, err)
	}
	sealed, err := s.options.Sealer.Seal(plain, place)
	if err != nil {
		return nil, fmt.Errorf("sealing %s: %w", place, err)
	}
	return sealed, nil
}

// openSealed reads what seal made of a value; nil leaves it as it is.
func (s *Store) openSealed(place string, sealed []byte, value any) error {
	if sealed == nil {
		return nil
	}
	plain, err := s.options.Sealer.Open(sealed, place)
	if err != nil {
		return fmt.Errorf("opening %s: %w", place, err)
	}
	if err := json.Unmarshal(plain, value); err != nil {
		return fmt.Errorf("%s: %w", place, err)
	}
	return nil
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
	w.Version, w.Enabled, w.DisabledReason, w.DisabledAt = q.getInt(), q.getBool(), word(disabledReasons, q.getInt()), milliTime(q.getInt())
	state.deletedAt = q.getInt()
	w.Deleted = state.deletedAt != 0
	w.Health = telltale.HealthNeverUsed // until its standing is read
	state.epoch, state.enabledAt = q.getInt(), q.getInt()
	w.CreatedAt, w.UpdatedAt = milliTime(q.getInt()), milliTime(q.getInt())

	w.URL, w.Events, w.Description, w.Timeout = q.getText(), telltale.EventTypeSet(q.getInt()), q.getText(), time.Duration(q.getInt())
	hasSchedule, schedule := !q.isNull(), q.getText()
	if hasSchedule {
		if err := json.Unmarshal([]byte(schedule), &w.RetrySchedule); err != nil {
			return fmt.Errorf("webhook %s: retry schedule: %w", w.ID, err)
		}
	}
	w.RateLimit, w.Concurrency = q.getFloat(), int(q.getInt())
	headers, basicAuth := q.getBlob(), q.getBlob()
	w.SkipMachines, w.Extensions, w.LegacySignature, w.Format = q.getBool(), q.getBool(), q.getBool(), q.getText()
	secrets := q.getBlob()
	if err := s.openSealed(sealedPlace(w.ID, "headers"), headers, &w.Headers); err != nil {
		return err
	}
	if err := s.openSealed(sealedPlace(w.ID, "basic_auth"), basicAuth, &w.BasicAuth); err != nil {
		return err
	}
	return s.openSealed(sealedPlace(w.ID, "secrets"), secrets, &w.Secrets)
}

// cloneWebhook makes a snapshot that shares nothing with w, as it would be
// read back.
func cloneWebhook(w telltale.Webhook) *telltale.Webhook {
	w.CreatedAt, w.UpdatedAt, w.DisabledAt = milliTime(timeMilli(w.CreatedAt)), milliTime(timeMilli(w.UpdatedAt)), milliTime(timeMilli(w.DisabledAt))
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
