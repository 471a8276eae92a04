package sqlite

import (
	"fmt"
	"slices"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// What webhooks' attempts add up to is kept in memory, where the writer adds to
// it, and stored with the attempts. A success of a webhook that is healthy moves
// nothing but the time of the last success and the breaker's window: for that
// the row is written, and a new snapshot made, once in [standingInterval]. A
// crash loses so much of the two, which errs on the side of patience.
const standingInterval = time.Minute

// standing is what the writer knows of a webhook's attempts.
type standing struct {
	telltale.Standing
	health telltale.Health
}

// standing gives the webhook's standing within this transaction, to be changed,
// and then to be shown with [tx.showStanding] or [tx.settleStanding].
func (tx *tx) standing(w *webhook) *standing {
	s, ok := tx.standings[w]
	if !ok {
		s = new(w.standing)
		if tx.standings == nil {
			tx.standings = map[*webhook]*standing{}
		}
		tx.standings[w] = s
	}
	return s
}

// publishStandings keeps what was committed.
func (tx *tx) publishStandings() {
	for w, s := range tx.standings {
		w.standing = *s
	}
}

// turns are what the attempts of one call turned.
type turns struct {
	changed []*webhook // for the dispatcher to know
	told    []*webhook // for which operational events wait
	news    []turn
}

type turn struct {
	of   telltale.EventType
	what *webhook
}

func (t *turns) change(w *webhook) {
	if !slices.Contains(t.changed, w) {
		t.changed = append(t.changed, w)
	}
}

// show tells of the webhooks as they are in the end.
func (t *turns) show(tx *tx, recorded *telltale.Recorded) {
	for _, w := range t.changed {
		recorded.Changed = append(recorded.Changed, tx.state(w).Webhook)
	}
	for _, w := range t.told {
		recorded.Waiting = append(recorded.Waiting, tx.state(w).Webhook)
	}
	for _, n := range t.news {
		recorded.News = append(recorded.News, telltale.News{Type: n.of, Webhook: tx.state(n.what).Webhook})
	}
}

// telltaleItself is who does what nobody asked for.
var telltaleItself = telltale.Actor{Kind: telltale.ActorSystem, Name: "telltale"}

// judge adds an attempt that was no test to its webhook's standing, disables the
// webhook if there is cause, and tells of what happened.
func (tx *tx) judge(d *deliveryRow, r *telltale.Result, t *turns) error {
	w := d.webhook
	s, state := tx.standing(w), *tx.state(w)
	alarmed := s.Alarmed
	var signals telltale.Signals
	s.Standing, signals = s.After(r.Attempt, tx.presentTime())
	if signals.Health != "" {
		s.health = signals.Health
	}
	if !state.Enabled || state.Deleted {
		s.Alarmed = alarmed // what was under way is no recovery
		return tx.tellFailed(d, r, t)
	}

	reason := signals.Disable
	if r.Outcome.Disable != "" && state.Version == r.WebhookVersion {
		reason = r.Outcome.Disable
	}
	var err error
	switch {
	case reason != "":
		s.Alarmed = true
		before := state.Webhook
		if err := tx.disable(w.number, &state, reason); err != nil {
			return err
		}
		tx.setState(w, &state)
		t.change(w)
		if err := tx.audit(telltaleItself, stored.WebhookEntry(before, state.Webhook)); err != nil {
			return err
		}
		err = tx.tell(telltale.WebhookDisabled, w, r.Attempt, nil, t)
	case signals.Warned != telltale.WarnedNot:
		err = tx.tell(telltale.WebhookFailing, w, r.Attempt, nil, t)
	case signals.Recovered:
		err = tx.tell(telltale.WebhookRecovered, w, r.Attempt, nil, t)
	}
	if err != nil {
		return err
	}
	return tx.tellFailed(d, r, t)
}

// judgeTest lets a test that passed close its webhook's breaker, and enable the
// webhook again if it was disabled automatically. What passed must be what the
// webhook is now.
func (tx *tx) judgeTest(w *webhook, r *telltale.Result, t *turns) error {
	state := *tx.state(w)
	if !r.Attempt.Success() || state.Deleted || state.Version != r.WebhookVersion {
		return nil
	}
	if state.Enabled || state.DisabledReason == telltale.DisabledManual {
		s := tx.standing(w)
		s.Standing = s.Passed(tx.presentTime())
		return nil
	}
	before := state.Webhook
	if err := tx.enable(w, &state); err != nil {
		return err
	}
	tx.setState(w, &state)
	t.change(w)
	return tx.audit(telltaleItself, stored.WebhookEntry(before, state.Webhook))
}

// settleStanding stores the standing and shows it, if it changed in more than
// what moves with every success, or if that was not stored lately. It reports
// whether the breaker or the health changed.
func (tx *tx) settleStanding(w *webhook) (changed bool, err error) {
	s, state := tx.standing(w), *tx.state(w)
	shown := &state.Standing
	if s.health == state.Health && s.Same(*shown) && s.LastSuccessAt.Sub(shown.LastSuccessAt) < standingInterval {
		return false, nil
	}
	b, before := &s.Breaker, &shown.Breaker
	changed = s.health != state.Health || b.State != before.State || b.Until != before.Until || b.Proven != before.Proven
	if err := tx.showStanding(w, &state); err != nil {
		return false, err
	}
	tx.setState(w, &state)
	return changed, nil
}

// showStanding stores the standing and puts it into a new snapshot, which is the
// caller's to set.
func (tx *tx) showStanding(w *webhook, state *webhookState) error {
	s := tx.standing(w)
	s.Revision++
	made := *state.Webhook
	made.Standing, made.Health = s.Standing, s.health
	state.Webhook = &made
	health, err := stored.Code(stored.Healths, s.health)
	if err != nil {
		return err
	}
	breaker, err := stored.Code(stored.BreakerStates, s.Breaker.State)
	if err != nil {
		return err
	}
	err = tx.change(`INSERT OR REPLACE INTO standing (webhook, revision, health, last_success_at, failing_since, failures, blocked, warned, alarmed, reset_at,
		breaker, breaker_until, breaker_wait, breaker_proven, window_start, window) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`).
		int(w.number).int(s.Revision).int(health).intOrNull(stored.TimeMilli(s.LastSuccessAt)).intOrNull(stored.TimeMilli(s.FailingSince)).
		int(int64(s.Failures)).int(int64(s.Blocked)).int(int64(s.Warned)).bool(s.Alarmed).intOrNull(stored.TimeMilli(s.ResetAt)).
		int(breaker).intOrNull(stored.TimeMilli(s.Breaker.Until)).int(int64(s.Breaker.Wait)).int(int64(s.Breaker.Proven)).
		intOrNull(stored.TimeMilli(s.Breaker.WindowStart)).blobOrNull(stored.EncodeWindow(&s.Breaker)).run()
	if err != nil {
		return fmt.Errorf("the standing of %s: %w", w.id, err)
	}
	return nil
}

// resetStanding begins the count anew, in a new snapshot.
func (tx *tx) resetStanding(w *webhook, state *webhookState) error {
	s := tx.standing(w)
	s.Standing = s.Reset(tx.presentTime())
	return tx.showStanding(w, state)
}

func loadStandings(c *conn, r *registry) error {
	return c.query(`SELECT webhook, revision, health, last_success_at, failing_since, failures, blocked, warned, alarmed, reset_at,
		breaker, breaker_until, breaker_wait, breaker_proven, window_start, window FROM standing`).each(func(q *query) error {
		number := q.getInt()
		w := r.webhookByNumber(number)
		if w == nil {
			return fmt.Errorf("there is no webhook %d, but a standing of it", number)
		}
		s := &w.standing
		s.Revision, s.health = q.getInt(), stored.Word(stored.Healths, q.getInt())
		s.LastSuccessAt, s.FailingSince, s.Failures, s.Blocked = stored.MilliTime(q.getInt()), stored.MilliTime(q.getInt()), int(q.getInt()), int(q.getInt())
		s.Warned, s.Alarmed, s.ResetAt = telltale.Warning(q.getInt()), q.getBool(), stored.MilliTime(q.getInt())
		b := &s.Breaker
		b.State, b.Until, b.Wait, b.Proven = stored.Word(stored.BreakerStates, q.getInt()), stored.MilliTime(q.getInt()), time.Duration(q.getInt()), int(q.getInt())
		b.WindowStart = stored.MilliTime(q.getInt())
		if err := stored.DecodeWindow(q.getBlob(), b); err != nil {
			return fmt.Errorf("the standing of %s: %w", w.id, err)
		}
		shown := w.now.Load().Webhook // nobody has seen it yet
		shown.Standing, shown.Health = s.Standing, s.health
		return nil
	})
}
