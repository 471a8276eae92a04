package dispatch

import (
	"time"

	"telltale.example/telltale"
)

// Bounds on what is kept in memory over all lanes. A claim costs some 400 bytes
// beside its event, whose deliveries share it.
const (
	maxKept      = 8192
	maxKeptBytes = 32 << 20 // of payloads
	slowKept     = 8        // deliveries that a slow lane may keep, or twice its concurrency
	// Where several nodes send, a lane keeps what it attempts soon, and leaves the
	// rest to the others: what it did lately in keptFor, or so many times its share.
	keptFor     = 250 * time.Millisecond
	keptForSlot = 4
)

// room is how much is kept.
type room struct {
	kept  int
	bytes int64
}

// Reserve takes room for one delivery to the webhook, if there is. It implements
// [telltale.Room].
func (d *Dispatcher) Reserve(w *telltale.Webhook) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.restrained() || d.stopping || d.pile.stuck || d.room.bytes >= maxKeptBytes {
		return false
	}
	l, _ := d.laneOf(w)
	free := maxKept - d.room.kept
	if l.stopped() || l.breaker.open() || !l.ours() || d.known.Workers > 1 && l.kept >= l.soon(time.Now()) || free <= 0 || l.project.kept >= projectShare*free || l.kept >= laneRoomShare*free ||
		l.kept >= max(slowKept, 2*l.share.Concurrency) && (l.isSlow(time.Now()) || l.breaker.state() != telltale.BreakerClosed) {
		return false
	}
	d.keep(l, 1)
	l.reserved++
	return true
}

// soon is how many deliveries the lane attempts in a moment.
func (l *lane) soon(now time.Time) int {
	n := max(keptForSlot*l.share.Concurrency, int(l.begun.rate(now)*keptFor.Seconds()))
	if rate := l.rate(now); rate > 0 {
		n = min(n, 1+int(rate*keptFor.Seconds()))
	}
	return n
}

// Release gives back room whose delivery was not stored after all. It implements
// [telltale.Room].
func (d *Dispatcher) Release(w *telltale.Webhook) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l := d.lanes[w.ID]; l != nil && l.reserved > 0 {
		l.reserved--
		d.keep(l, -1)
	}
}

// Offer takes over what was accepted: the claims for which room was reserved,
// and the news of what waits in the store. It does not block.
func (d *Dispatcher) Offer(a telltale.Accepted) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for i := range a.Claims {
		c := &a.Claims[i]
		l, _ := d.laneOf(c.Webhook)
		if l.reserved > 0 {
			l.reserved--
		} else {
			d.keep(l, 1)
		}
		d.room.bytes += payloadBytes(c)
		d.learn(l, c.Webhook, now)
		if l.stopped() || d.stopping || l.breaker.open() || !l.ours() {
			d.release(l, *c)
		} else {
			l.claims.push(*c)
		}
		d.settle(l, now)
	}
	for _, w := range a.Waiting {
		d.waits(w, now)
	}
	d.advance(now)
	d.launch()
}

// waits notes that first attempts for the webhook wait in the store.
func (d *Dispatcher) waits(w *telltale.Webhook, now time.Time) {
	if d.restrained() {
		d.hint()
		return
	}
	l, _ := d.laneOf(w)
	d.learn(l, w, now)
	d.tellOthers(l)
	l.hint(now)
	l.dueFresh = true
	d.settle(l, now)
}

func (d *Dispatcher) keep(l *lane, n int) {
	d.room.kept += n
	l.project.kept += n
	l.kept += n
}

// drop ends what a delivery took of the room.
func (d *Dispatcher) drop(l *lane, bytes int64) {
	d.keep(l, -1)
	d.room.bytes -= bytes
}

func payloadBytes(c *telltale.Claim) int64 { return int64(len(c.Event.Payload)) }
