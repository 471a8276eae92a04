package dispatch

import (
	"time"

	"telltale.example/telltale"
)

// Changed says that a webhook was made or changed: its settings, its secrets,
// enabled, disabled or deleted. When it returns, no attempt begins any more to
// what the webhook was before.
func (d *Dispatcher) Changed(w *telltale.Webhook) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.changed(w, now)
	d.advance(now)
	d.launch()
	d.checkDrained()
}

func (d *Dispatcher) changed(w *telltale.Webhook, now time.Time) {
	if d.restrained() {
		return
	}
	l, made := d.laneOf(w)
	if made && !l.stopped() {
		l.hint(now) // it may have been enabled, and have held deliveries: the store knows
	}
	d.learn(l, w, now)
	d.settle(l, now)
}

// Due says that a delivery to the webhook became due in the store.
func (d *Dispatcher) Due(w *telltale.Webhook) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.restrained() {
		d.hint()
		return
	}
	now := time.Now()
	l, _ := d.laneOf(w)
	d.learn(l, w, now)
	d.tellOthers(l)
	l.hint(now)
	d.settle(l, now)
	d.advance(now)
	d.launch()
}
