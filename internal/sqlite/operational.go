package sqlite

import (
	"fmt"
	"slices"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// tell notes what happened to a webhook, and stores it as an operational event
// for the project's other webhooks that want to hear it. What nobody wants to
// hear is not stored.
func (tx *tx) tell(of telltale.EventType, about *webhook, a *telltale.Attempt, failed *telltale.FailedDelivery, t *turns) error {
	if failed == nil {
		t.news = append(t.news, turn{of, about})
	}
	wanting, err := tx.hearers(of, about)
	if err != nil || len(wanting) == 0 {
		return err
	}
	snapshot := *tx.state(about).Webhook
	snapshot.Standing = tx.standing(about).Standing
	e, err := telltale.OperationalEvent(of, &snapshot, a, failed, tx.presentTime())
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
		if !slices.Contains(t.told, w) {
			t.told = append(t.told, w)
		}
	}
	return nil
}

// tellFailed tells of the delivery, if it has failed. One that carried such news
// itself is passed over: telling of it would have no end.
func (tx *tx) tellFailed(d *deliveryRow, r *telltale.Result, t *turns) error {
	kind := stored.Word(stored.EventTypes, d.code)
	if d.state != stored.StateFailed || kind.Operational() {
		return nil
	}
	if wanting, err := tx.hearers(telltale.DeliveryFailed, d.webhook); err != nil || len(wanting) == 0 {
		return err // as a rule nobody does: nothing is read for them
	}
	failed := telltale.FailedDelivery{ID: r.DeliveryID, EventType: kind, Attempts: int(d.attempts)}
	found, err := tx.query(`SELECT id FROM event WHERE number = ?`).int(d.event).one(func(q *query) { failed.EventID = stored.EventID(q.getBlob()) })
	if err != nil || !found {
		return fmt.Errorf("the event of delivery %s: %w", r.DeliveryID, orNotFound(err, "event"))
	}
	return tx.tell(telltale.DeliveryFailed, d.webhook, r.Attempt, &failed, t)
}

// hearers are the webhooks that want to hear of another one.
func (tx *tx) hearers(of telltale.EventType, about *webhook) ([]*webhook, error) {
	number, err := stored.Code(stored.EventTypes, of)
	if err != nil {
		return nil, err
	}
	wanting := tx.wanting(about.project, number)
	if !slices.Contains(wanting, about) {
		return wanting, nil
	}
	return slices.DeleteFunc(slices.Clone(wanting), func(w *webhook) bool { return w == about }), nil
}
