package postgres

import (
	"fmt"
	"slices"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// turns are what the attempts of one call turned.
type turns struct {
	changed []*judgement // for the dispatcher to know
	told    []*webhook   // for which operational events wait
	news    []turn
}

type turn struct {
	of   telltale.EventType
	what *judgement
}

// switched gives the judgement that made a new version of the webhook, or nil.
func (t *turns) switched(w *webhook) *judgement {
	for _, j := range t.changed {
		if j.number == w.number && j.change != nil {
			return j
		}
	}
	return nil
}

func (t *turns) change(j *judgement) {
	if !slices.Contains(t.changed, j) {
		t.changed = append(t.changed, j)
	}
}

// show tells of the webhooks as they are in the end.
func (t *turns) show(recorded *telltale.Recorded) {
	for _, j := range t.changed {
		recorded.Changed = append(recorded.Changed, j.shownWebhook())
	}
	for _, w := range t.told {
		now := w.now()
		if j := t.switched(w); j != nil {
			now = j.shownWebhook()
		}
		recorded.Waiting = append(recorded.Waiting, now)
	}
	for _, n := range t.news {
		recorded.News = append(recorded.News, telltale.News{Type: n.of, Webhook: n.what.shownWebhook()})
	}
}

// tell notes what happened to a webhook, and stores it as an operational event
// for the project's other webhooks that want to hear it. What nobody wants to
// hear is not stored.
func (tx *tx) tell(of telltale.EventType, about *judgement, a *telltale.Attempt, failed *telltale.FailedDelivery, t *turns) error {
	if failed == nil {
		t.news = append(t.news, turn{of, about})
	}
	wanting, err := tx.hearers(of, about.webhook, t)
	if err != nil || len(wanting) == 0 {
		return err
	}
	e, err := telltale.OperationalEvent(of, about.shownWebhook(), a, failed, tx.presentTime())
	if err != nil {
		return err
	}
	row, err := newEventRow(e.ProjectID, e)
	if err != nil {
		return err
	}
	if err := tx.need(1 + len(wanting)); err != nil {
		return err
	}
	if e.Sequence, err = tx.number(); err != nil {
		return err
	}
	p := tx.known.byNumber[about.project]
	if err := tx.insertEvent(p, e, &row); err != nil {
		return err
	}
	for _, w := range wanting {
		number, err := tx.number()
		if err != nil {
			return err
		}
		tx.insertDelivery(newDelivery{number: number, event: e.Sequence, code: row.code, webhook: w})
		if !slices.ContainsFunc(t.told, func(o *webhook) bool { return o.number == w.number }) {
			t.told = append(t.told, w)
		}
	}
	return nil
}

// tellFailed tells of the delivery, if it has failed. One that carried such news
// itself is passed over: telling of it would have no end.
func (tx *tx) tellFailed(d *deliveryRow, about *judgement, r *telltale.Result, t *turns) error {
	kind := stored.Word(stored.EventTypes, d.code)
	if d.state != stored.StateFailed || kind.Operational() {
		return nil
	}
	if wanting, err := tx.hearers(telltale.DeliveryFailed, about.webhook, t); err != nil || len(wanting) == 0 {
		return err // as a rule nobody does: nothing is read for them
	}
	failed := telltale.FailedDelivery{ID: r.DeliveryID, EventType: kind, Attempts: int(d.attempts)}
	var id []byte
	found, err := tx.one([]any{&id}, `SELECT id FROM event WHERE number = $1`, d.event)
	if err != nil || !found {
		return fmt.Errorf("the event of delivery %s: %w", r.DeliveryID, orNotFound(err, "event"))
	}
	failed.EventID = stored.EventID(id)
	return tx.tell(telltale.DeliveryFailed, about, r.Attempt, &failed, t)
}

// hearers are the webhooks that want to hear of another one, with what the call
// made of them so far.
func (tx *tx) hearers(of telltale.EventType, about *webhook, t *turns) ([]*webhook, error) {
	code, err := stored.Code(stored.EventTypes, of)
	if err != nil {
		return nil, err
	}
	wanting := slices.Clone(tx.known.byNumber[about.project].wanting(code))
	wanting = slices.DeleteFunc(wanting, func(w *webhook) bool { return w == about || t.switched(w) != nil })
	for _, j := range t.changed {
		if j.change != nil && j.webhook != about && j.project == about.project && j.present().Wants(of, false) {
			made := &webhook{number: j.number, project: j.project, epoch: j.change.epoch}
			made.shown.Store(j.present())
			wanting = append(wanting, made)
		}
	}
	return wanting, nil
}
