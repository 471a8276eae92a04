package postgres

import "sync"

// heads are where this node's claims of the webhooks ended last: what was claimed
// stands in the queue's index until the server has vacuumed it, and whoever begins
// at the queue's beginning goes past all of it. They are hints. What comes to wait
// before a head (retries, what was released, what others committed late) is found
// when the queue is exhausted behind the head, or looked through from its
// beginning: see [Store.DueWebhooks].
type heads struct {
	mu        sync.Mutex
	ofWebhook map[int64]head
}

// head is where a webhook's claims ended, of first attempts and of retries apart.
type head struct {
	epoch        int64 // of the webhook; another one's queue is another
	first, retry position
}

// position is one in a queue. The zero position is before all others.
type position struct{ at, number int64 }

func (h *heads) of(w *webhook) head {
	h.mu.Lock()
	defer h.mu.Unlock()
	if head, ok := h.ofWebhook[w.number]; ok && head.epoch == w.epoch {
		return head
	}
	return head{epoch: w.epoch}
}

func (h *heads) set(webhook int64, to head) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if to.first == (position{}) && to.retry == (position{}) {
		delete(h.ofWebhook, webhook)
		return
	}
	if h.ofWebhook == nil {
		h.ofWebhook = map[int64]head{}
	}
	h.ofWebhook[webhook] = to
}

// look takes the head back before what was found due next.
func (h *heads) look(found *scannedDue) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if head, ok := h.ofWebhook[found.number]; ok {
		h.ofWebhook[found.number] = head.facing(found)
	}
}

// facing is the head if what is due next is behind it, and else the start.
func (h head) facing(found *scannedDue) head {
	h.first, h.retry = h.first.facing(found.first), h.retry.facing(found.retry)
	return h
}

func (p position) facing(found scannedPosition) position {
	if found.at == nil || *found.at < p.at || *found.at == p.at && *found.number <= p.number {
		return position{}
	}
	return p
}

// past is the head after a claim of what was picked in an epoch.
func (h head) past(picked []*deliveryRow, epoch int64) head {
	if h.epoch != epoch {
		h = head{epoch: epoch}
	}
	for _, d := range picked { // in the order of their queues
		switch {
		case d.epoch != epoch: // it was held
		case d.attempts == 0:
			h.first = position{d.at, d.number}
		default:
			h.retry = position{d.at, d.number}
		}
	}
	return h
}

// claimHeads are heads as statements take them.
type claimHeads struct{ epoch, firstAt, firstNumber, retryAt, retryNumber, none []int64 }

func columnsOfHeads(heads []head) (c claimHeads) {
	for _, h := range heads {
		c.epoch, c.none = append(c.epoch, h.epoch), append(c.none, 0)
		c.firstAt, c.firstNumber = append(c.firstAt, h.first.at), append(c.firstNumber, h.first.number)
		c.retryAt, c.retryNumber = append(c.retryAt, h.retry.at), append(c.retryNumber, h.retry.number)
	}
	return c
}
