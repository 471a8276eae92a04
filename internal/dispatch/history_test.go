package dispatch

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"telltale.example/telltale"
)

// TestHistory plays random histories: events, edits, retries, tests, receivers
// of every kind, a store that fails, nodes that die. Whatever happened, once it is
// quiet every delivery has ended, and nothing happened that must not.
func TestHistory(t *testing.T) {
	t.Parallel()
	for n := range uint64(*seeds) {
		t.Run(fmt.Sprint(*seed+n), func(t *testing.T) {
			t.Parallel()
			playHistory(t, *seed+n)
		})
	}
}

func playHistory(t *testing.T, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		h := &history{rng: rand.New(rand.NewPCG(seed, 1)), kinds: map[telltale.WebhookID]int{}}
		h.world = newWorld(t, h.config())
		h.reply(h.receiver(false))
		h.populate()
		steps := 150 + h.rng.IntN(150)
		for range steps {
			h.step()
			pass(time.Duration(h.rng.ExpFloat64() * float64(20*time.Second)))
		}
		h.settleDown()
		h.check()
		h.stop()
		if t.Failed() {
			t.Logf("play it again with -run TestHistory -seeds 1 -seed %d", seed)
		}
	})
}

// history is a world in which things happen at random.
type history struct {
	*world
	rng      *rand.Rand
	ids      []telltale.WebhookID
	kinds    map[telltale.WebhookID]int
	late     []func() // hand-overs that are still to come
	restarts int
	pressed  sync.WaitGroup // tests
}

func (h *history) config() Config {
	var mu sync.Mutex
	jitter := rand.New(rand.NewPCG(h.rng.Uint64(), 2))
	return Config{
		Workers: 1 + h.rng.IntN(12), PollInterval: time.Minute,
		Jitter: func() float64 { mu.Lock(); defer mu.Unlock(); return jitter.Float64() },
	}
}

// Kinds of receivers.
const (
	healthy = iota
	flaky
	dead
	slow
	busy // 429 and 503
	leaving
	private // may not be dialled, as a rule
	kinds
)

func (h *history) populate() {
	for range 3 + h.rng.IntN(10) {
		id := h.add(telltale.ProjectID(fmt.Sprintf("prj_%d", h.rng.IntN(3))), enabled(h.rng.IntN(8) > 0), func(w *telltale.Webhook) {
			w.Concurrency = 1 + h.rng.IntN(5)
			if h.rng.IntN(3) == 0 {
				w.RateLimit = 0.5 + 3*h.rng.Float64()
			}
			switch h.rng.IntN(4) {
			case 0:
				w.RetrySchedule = telltale.Schedule{}
			case 1:
				w.RetrySchedule = telltale.Schedule{time.Second, time.Minute, time.Hour}
			}
		})
		h.ids = append(h.ids, id)
		h.kinds[id] = h.rng.IntN(kinds)
	}
}

// receiver answers by the webhook's kind, the delivery and the attempt alone, so
// that the order in which goroutines run changes nothing.
func (h *history) receiver(mended bool) func(begun) (int, time.Duration) {
	return func(b begun) (int, time.Duration) {
		hash := fnv.New64a()
		fmt.Fprint(hash, b.claim.DeliveryID, b.claim.Attempt)
		dice := rand.New(rand.NewPCG(hash.Sum64(), 3))
		quick := time.Duration(dice.IntN(100)) * time.Millisecond
		if mended {
			return http.StatusOK, quick
		}
		switch kind := h.kinds[b.w.ID]; {
		case kind == dead:
			return down, 5 * time.Second
		case kind == slow:
			return http.StatusOK, 800 * time.Millisecond
		case kind == busy && dice.IntN(2) == 0:
			return []int{http.StatusTooManyRequests, http.StatusServiceUnavailable}[dice.IntN(2)], quick
		case kind == flaky && dice.IntN(2) == 0:
			return http.StatusInternalServerError, quick
		case kind == leaving && dice.IntN(10) == 0:
			return http.StatusGone, quick
		case kind == private && dice.IntN(4) > 0:
			return barred, 0
		}
		return http.StatusOK, quick
	}
}

func (h *history) one() telltale.WebhookID { return h.ids[h.rng.IntN(len(h.ids))] }

func (h *history) deleted(id telltale.WebhookID) bool {
	return h.hook(id).Deleted
}

func (h *history) step() {
	id := h.one()
	switch n := h.rng.IntN(100); {
	case n < 50:
		for range 1 + h.rng.IntN(15) {
			offer := h.model.acceptLate(h.Dispatcher, 1+h.rng.IntN(2000), h.one(), h.one())
			if h.rng.IntN(4) == 0 {
				h.late = append(h.late, offer)
			} else {
				offer()
			}
		}
	case n < 60:
		h.handOver()
	case n < 70:
		if !h.deleted(id) {
			h.change(id, func(w *telltale.Webhook) { w.Enabled = !w.Enabled })
		}
	case n < 75:
		if !h.deleted(id) {
			h.change(id, func(w *telltale.Webhook) { w.URL += "x" })
		}
	case n < 76:
		h.change(id, func(w *telltale.Webhook) { w.Deleted = true })
	case n < 82:
		if all := h.owed(); len(all) > 0 {
			if w, ok := h.model.retry(all[h.rng.IntN(len(all))].id); ok {
				h.Due(w)
			}
		}
	case n < 86:
		if !h.deleted(id) {
			d := h.Dispatcher
			h.pressed.Go(func() { d.Test(h.t.Context(), h.model.acceptTest(id)) })
		}
	case n < 92:
		h.faulty()
	case n < 96:
		h.breaks(nil)
	case n < 98:
		h.restart(false)
	default:
		h.restart(true)
	}
}

func (h *history) handOver() {
	for _, offer := range h.late {
		offer()
	}
	h.late = nil
}

// faulty makes calls of the store fail now and then; of some the outcome is unknown.
func (h *history) faulty() {
	dice := rand.New(rand.NewPCG(h.rng.Uint64(), 4))
	often := 1 + h.rng.IntN(10)
	h.breaks(func(method string) (error, bool) {
		if dice.IntN(10) >= often {
			return nil, false
		}
		unknown := method == "RecordAttempts" || method == "ReleaseClaims"
		return unavailable, unknown && dice.IntN(2) == 0
	})
}

// restart ends the node and starts another. A crash loses what it had in memory.
func (h *history) restart(crash bool) {
	h.restarts++
	if crash {
		h.breaks(func(string) (error, bool) { return unavailable, false })
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		h.Stop(gone)
		<-h.ran
		h.late = nil
	} else {
		h.breaks(nil)
		h.handOver()
		h.stop()
	}
	h.breaks(nil)
	h.model.mu.Lock()
	h.model.node++
	clear(h.model.told) // it learns all from what it reads
	h.model.mu.Unlock()
	h.begin(h.config())
}

// settleDown mends everything and waits longer than any wait that is left.
func (h *history) settleDown() {
	h.breaks(nil)
	h.handOver()
	h.reply(h.receiver(true))
	pass(time.Minute)
	for _, id := range h.ids {
		if !h.deleted(id) {
			h.change(id, enabled(true))
		}
	}
	pass(30 * time.Hour)
	h.pressed.Wait()
}

func (h *history) check() {
	h.t.Helper()
	for state, n := range h.model.states() {
		if state == waiting || state == sending || state == held {
			h.t.Errorf("%d deliveries are %s, though all is quiet", n, state)
		}
	}
	starts := map[telltale.DeliveryID]int{}
	for _, b := range h.net.starts("") {
		starts[b.claim.DeliveryID]++
	}
	for _, o := range h.owed() {
		id, reached := o.id, 0
		for i, a := range o.attempts {
			if a.Number != i+1 {
				h.t.Errorf("%s: attempt %d is numbered %d", id, i+1, a.Number)
			}
			if a.Error != telltale.ErrorInterrupted {
				reached++
			}
		}
		if starts[id] > len(o.attempts) || starts[id] < reached {
			h.t.Errorf("%s: %d attempts were begun, %d recorded, %d of them to their end", id, starts[id], len(o.attempts), reached)
		}
		if last := len(o.attempts) - 1; o.state == succeeded && !o.attempts[last].Success() {
			h.t.Errorf("%s succeeded with %+v", id, o.attempts[last])
		}
	}
	for _, id := range h.ids {
		w := h.hook(id)
		if most := h.atOnce(id); most > w.Concurrency {
			h.t.Errorf("%s had %d attempts at once; want %d", id, most, w.Concurrency)
		}
		if w.RateLimit > 0 {
			var paced []begun
			for _, b := range h.net.starts(id) {
				if !b.claim.Test {
					paced = append(paced, b)
				}
			}
			checkRate(h.t, paced, w.RateLimit, 1+h.restarts) // a node does not know what the one before it did
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.room != (room{}) || h.underWay != 0 || h.asked != 0 || h.pile.unrecorded != 0 || h.pile.bytes != 0 || h.pile.returning != 0 || h.budgets[0].used != 0 || h.budgets[1].used != 0 {
		h.t.Errorf("the books do not balance: room %+v, %d under way, %d asked for, pile %d %d %d, budgets %+v", h.room, h.underWay, h.asked, h.pile.unrecorded, h.pile.bytes, h.pile.returning, h.budgets)
	}
	if len(h.lanes) != 0 {
		h.t.Errorf("%d lanes are left", len(h.lanes))
	}
}
