package sqlite

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"telltale.example/telltale"
)

// A webhook's standing changes with every attempt, and few of the changes matter
// to anyone: the writer keeps it in memory, and shows and stores it when something
// turned, with a failure, and otherwise once a minute. So a receiver that does well
// costs nothing.
const standingAge = time.Minute

// turns is what the attempts of one transaction change of webhooks.
type turns []turned

// turned is a webhook whose standing is stored and shown.
type turned struct {
	webhook *webhook
	health  telltale.Health // how its last attempt went; empty if nothing says so
	changed bool            // the dispatcher has to hear of it
}

func (t *turns) show(w *webhook, health telltale.Health, changed bool) {
	for i := range *t {
		if this := &(*t)[i]; this.webhook == w {
			this.changed = this.changed || changed
			if health != "" {
				this.health = health
			}
			return
		}
	}
	*t = append(*t, turned{w, health, changed})
}

// setStanding notes the standing, and takes it back with the transaction.
func (tx *tx) setStanding(w *webhook, s telltale.Standing) {
	before := w.standing
	tx.onUndo(func() { w.standing = before })
	w.standing = s
}

// turn goes on with the webhook's standing after a recorded attempt.
func (tx *tx) turn(t *turns, d *deliveryRow, r *telltale.Result) error {
	w := d.webhook
	if d.test {
		if r.Attempt.Success() {
			return tx.passed(t, w)
		}
		return nil
	}
	before, health := w.standing, r.Attempt.Health()
	standing, signals := before.After(r.Attempt, tx.now)
	state := tx.state(w)
	turned := !standing.Same(before)
	if turned || health != "" && health != state.Health || standing.LastSuccessAt.Sub(state.Standing.LastSuccessAt) >= standingAge {
		standing.Revision++
		t.show(w, health, standing.Breaker.State != before.Breaker.State || standing.Breaker.State != telltale.BreakerClosed)
	}
	tx.setStanding(w, standing)
	if signals.Warned != telltale.WarnedNot {
		if err := tx.tell(telltale.WebhookFailing, w, r.Attempt, nil); err != nil {
			return err
		}
	}
	if signals.Recovered {
		if err := tx.tell(telltale.WebhookRecovered, w, r.Attempt, nil); err != nil {
			return err
		}
	}
	if r.Outcome.State == telltale.StateFailed {
		failed := &telltale.FailedDelivery{ID: r.DeliveryID, EventType: word(eventTypes, d.code), Attempts: r.Attempt.Number}
		if err := tx.tellFailed(d, failed, r.Attempt); err != nil {
			return err
		}
	}
	reason := r.Outcome.Disable
	if reason == "" {
		reason = signals.Disable
	}
	if reason == "" || !state.Enabled || state.Deleted || state.Version != r.WebhookVersion {
		return nil
	}
	return tx.end(t, w, reason, r.Attempt)
}

// end disables the webhook automatically.
func (tx *tx) end(t *turns, w *webhook, reason telltale.DisabledReason, a *telltale.Attempt) error {
	standing := w.standing
	standing.Alarmed = true
	standing.Revision++
	tx.setStanding(w, standing)
	state := *tx.state(w)
	before := state.Webhook
	if err := tx.disable(w.number, &state, reason); err != nil {
		return err
	}
	tx.setState(w, &state)
	t.show(w, "", true)
	if err := tx.audit(ourselves, webhookEntry(before, state.Webhook)); err != nil {
		return err
	}
	return tx.tell(telltale.WebhookDisabled, w, a, nil)
}

var ourselves = telltale.Actor{Kind: telltale.ActorSystem, Name: "telltale"}

// passed is what a test that succeeded changes: a webhook that was disabled
// automatically is enabled, and one that was spared is attempted again.
func (tx *tx) passed(t *turns, w *webhook) error {
	state := *tx.state(w)
	switch {
	case state.Deleted, !state.Enabled && state.DisabledReason == telltale.DisabledManual:
		return nil
	case state.Enabled:
		standing := w.standing.Passed(tx.now)
		if standing != w.standing {
			standing.Revision++
			tx.setStanding(w, standing)
			t.show(w, "", true)
		}
		return nil
	}
	before := state.Webhook
	if err := tx.enable(w.number, &state); err != nil {
		return err
	}
	tx.setState(w, &state)
	tx.setStanding(w, state.Standing)
	t.show(w, "", true)
	return tx.audit(ourselves, webhookEntry(before, state.Webhook))
}

// show stores and shows what turned.
func (tx *tx) show(t *turns, recorded *telltale.Recorded) error {
	for _, turned := range *t {
		if err := tx.showStanding(turned.webhook, turned.health); err != nil {
			return fmt.Errorf("webhook %s: %w", turned.webhook.id, err)
		}
		if turned.changed {
			recorded.Changed = append(recorded.Changed, tx.state(turned.webhook).Webhook)
		}
	}
	for _, w := range tx.told {
		recorded.Waiting = append(recorded.Waiting, tx.state(w).Webhook)
	}
	tx.told = nil
	return nil
}

// showStanding makes a snapshot of the webhook with its standing, and of the
// health that goes with it, and stores both.
func (tx *tx) showStanding(w *webhook, health telltale.Health) error {
	state := *tx.state(w)
	made := *state.Webhook
	made.Standing = w.standing
	if health != "" && health != state.Health {
		made.Health = health
		number, err := code(healths, made.Health)
		if err != nil {
			return err
		}
		if err := tx.change(`UPDATE webhook SET health = ? WHERE number = ?`).int(number).int(w.number).run(); err != nil {
			return err
		}
	}
	state.Webhook = &made
	tx.setState(w, &state)
	return tx.storeStanding(w)
}

func (tx *tx) storeStanding(w *webhook) error {
	text, err := json.Marshal(w.standing)
	if err != nil {
		return fmt.Errorf("its standing: %w", err)
	}
	return tx.change(`INSERT INTO standing (webhook, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`).int(w.number).text(string(text)).run()
}

// tell stores an operational event for the other webhooks of the project that want
// it; if there are none, nothing.
func (tx *tx) tell(t telltale.EventType, about *webhook, a *telltale.Attempt, failed *telltale.FailedDelivery) error {
	number, err := code(eventTypes, t)
	if err != nil {
		return err
	}
	var wanting []*webhook
	for _, w := range tx.wanting(about.project, number) {
		if w != about {
			wanting = append(wanting, w)
		}
	}
	if len(wanting) == 0 {
		return nil
	}
	snapshot := *tx.state(about).Webhook
	snapshot.Standing = about.standing
	e, err := telltale.OperationalEvent(t, &snapshot, a, failed, tx.now)
	if err != nil {
		return err
	}
	row, err := newEventRow(e.ProjectID, e)
	if err != nil {
		return err
	}
	e.Sequence = tx.number()
	if err := tx.insertEvent(about.project, e, &row); err != nil {
		return err
	}
	for _, w := range wanting {
		if err := tx.insertDelivery(newDelivery{number: tx.number(), event: e.Sequence, code: row.code, webhook: w}); err != nil {
			return err
		}
		if !slices.Contains(tx.told, w) {
			tx.told = append(tx.told, w)
		}
	}
	return nil
}

// tellFailed tells of a delivery that failed, unless it carried such news itself:
// that would have no end.
func (tx *tx) tellFailed(d *deliveryRow, failed *telltale.FailedDelivery, a *telltale.Attempt) error {
	if failed.EventType.Operational() {
		return nil
	}
	number, err := code(eventTypes, telltale.DeliveryFailed)
	if err != nil || len(tx.wanting(d.webhook.project, number)) == 0 {
		return err
	}
	if _, err := tx.query(`SELECT id FROM event WHERE number = ?`).int(d.event).one(func(q *query) { failed.EventID = eventID(q.getBlob()) }); err != nil {
		return err
	}
	return tx.tell(telltale.DeliveryFailed, d.webhook, a, failed)
}

// loadStandings reads how each webhook stood when something turned last.
func (s *Store) loadStandings(c *conn, r *registry) error {
	return c.query(`SELECT webhook, value FROM standing`).each(func(q *query) error {
		w := r.byNumber[q.getInt()]
		if w == nil {
			return nil
		}
		if err := json.Unmarshal([]byte(q.getText()), &w.standing); err != nil {
			return fmt.Errorf("webhook %s: its standing: %w", w.id, err)
		}
		w.now.Load().Webhook.Standing = w.standing // nobody has seen it yet
		return nil
	})
}
