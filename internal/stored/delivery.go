package stored

import (
	"fmt"

	"telltale.example/telltale"
)

// ShownState gives the state in which a delivery's row is shown: what waits for
// a webhook that is disabled, or was deleted, does not wait for its time.
func ShownState(state int64, w *telltale.Webhook) telltale.State {
	switch {
	case state == StateSending:
		return telltale.StateSending
	case state == StateSucceeded:
		return telltale.StateSucceeded
	case state == StateFailed:
		return telltale.StateFailed
	case state == StateCancelled, w.Deleted:
		return telltale.StateCancelled
	case !w.Enabled:
		return telltale.StateHeld
	}
	return telltale.StateWaiting
}

// ShownRow is what decides how the row of a delivery is shown.
type ShownRow struct {
	State, At int64
	Released  bool // it was held, and waits no longer than until its webhook was enabled

	// Of its webhook:
	Enabled              bool
	DeletedAt, EnabledAt int64 // DeletedAt is 0 while it is not
}

// Show fills in the state of a delivery and the times that belong to it: what
// waits is held if its webhook is disabled, and cancelled if it is deleted.
func (r ShownRow) Show(d *telltale.Delivery) {
	d.State = ShownState(r.State, &telltale.Webhook{Enabled: r.Enabled, Deleted: r.DeletedAt != 0})
	switch d.State {
	case telltale.StateWaiting:
		d.DueAt = MilliTime(r.At)
		if r.Released {
			d.DueAt = MilliTime(r.EnabledAt)
		}
	case telltale.StateSucceeded, telltale.StateFailed, telltale.StateCancelled:
		d.CompletedAt = MilliTime(r.At)
		if r.State == StateWaiting {
			d.CompletedAt = MilliTime(r.DeletedAt)
		}
	}
}

// StateAfter gives the state of a delivery's row after an attempt: with its
// webhook deleted, nothing is left that could have failed.
func StateAfter(o telltale.Outcome, deleted bool) (int64, error) {
	switch {
	case o.State == telltale.StateSucceeded:
		return StateSucceeded, nil
	case o.State == telltale.StateFailed && deleted:
		return StateCancelled, nil
	case o.State == telltale.StateFailed:
		return StateFailed, nil
	case o.State == telltale.StateWaiting:
		return StateWaiting, nil
	}
	return 0, fmt.Errorf("an attempt cannot end as %q", o.State)
}
