package postgres

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/storetest"
)

// Numbers are taken in one order and committed in another: whoever follows the
// log, on whichever node, must nevertheless see each row, and none twice.
func TestWhoFollowsTheLogSeesEachRowOnceWhileNodesWrite(t *testing.T) {
	t.Parallel()
	first := newBenchStore(t, 1)
	hook := first.hooks[0]
	second := &benchStore{Store: openStore(t, first.url, func(o *Options) { o.Node = telltale.NewNodeID() }), b: t}
	defer second.Close()
	nodes := []*benchStore{first, second}
	after, err := first.LogEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	written := &rowsWritten{events: map[telltale.EventID]bool{}, deliveries: map[telltale.DeliveryID]telltale.State{}}
	var writing sync.WaitGroup
	var ended atomic.Bool
	for i := range 6 {
		s := nodes[i%2]
		writing.Go(func() {
			for range 40 {
				written.slowly(t, s, hook)
			}
		})
		writing.Go(func() {
			for range 25 {
				claims := s.accept(hook, 1+rand.IntN(3), storetest.AnyRoom{})
				s.finish(claims)
				written.succeeded(claims)
			}
		})
	}
	go func() {
		writing.Wait()
		ended.Store(true)
	}()

	events := map[telltale.EventID]bool{}
	deliveries := map[telltale.DeliveryID]telltale.State{}
	for i := 0; ; i++ {
		last := ended.Load() // before the page is read
		page, err := nodes[i%2].LogSince(t.Context(), hook.ProjectID, after, 1+rand.IntN(50))
		if err != nil {
			t.Fatal(err)
		}
		if page.Next < after {
			t.Fatalf("from %d the log goes back to %d", after, page.Next)
		}
		for _, e := range page.Events {
			if events[e.ID] || e.Sequence <= int64(after) || e.Sequence > int64(page.Next) {
				t.Errorf("event %d stands between %d and %d, and was seen: %v", e.Sequence, after, page.Next, events[e.ID])
			}
			events[e.ID] = true
		}
		for _, d := range page.Deliveries {
			deliveries[d.ID] = d.State
		}
		after = page.Next
		if last && !page.More {
			break
		}
	}
	written.compare(t, events, deliveries)
}

// rowsWritten is what was committed.
type rowsWritten struct {
	mu         sync.Mutex
	events     map[telltale.EventID]bool
	deliveries map[telltale.DeliveryID]telltale.State
}

// slowly stores events and deliveries in a transaction that takes its time after
// it took its numbers, and now and then is undone.
func (w *rowsWritten) slowly(t *testing.T, s *benchStore, hook *telltale.Webhook) {
	events := storetest.NewEvents(hook.ProjectID, 1+rand.IntN(3))
	undone := errors.New("undone")
	var made []telltale.DeliveryID
	err := s.transact(t.Context(), transaction{name: "writing slowly", numbers: 2 * len(events), do: func(tx *tx) error {
		made = nil
		w := tx.known.webhook(hook.ID)
		for _, e := range events {
			row, err := newEventRow(e.ProjectID, e)
			if err != nil {
				return err
			}
			if e.Sequence, err = tx.number(); err != nil {
				return err
			}
			number, err := tx.number()
			if err != nil {
				return err
			}
			if err := tx.insertEvent(tx.known.byNumber[w.project], e, &row); err != nil {
				return err
			}
			tx.insertDelivery(newDelivery{number: number, event: e.Sequence, code: row.code, webhook: w})
			made = append(made, tx.store.ids.Delivery(number))
		}
		if _, err := tx.exec(`SELECT pg_sleep($1)`, rand.Float64()*0.02); err != nil {
			return err
		}
		if rand.IntN(10) == 0 {
			return undone
		}
		return nil
	}})
	if errors.Is(err, undone) {
		return
	}
	if err != nil {
		t.Error(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, e := range events {
		w.events[e.ID], w.deliveries[made[i]] = true, telltale.StateWaiting
	}
}

func (w *rowsWritten) succeeded(claims []telltale.Claim) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range claims {
		w.events[c.Event.ID], w.deliveries[c.DeliveryID] = true, telltale.StateSucceeded
	}
}

func (w *rowsWritten) compare(t *testing.T, events map[telltale.EventID]bool, deliveries map[telltale.DeliveryID]telltale.State) {
	if len(events) != len(w.events) || len(deliveries) != len(w.deliveries) {
		t.Errorf("%d events and %d deliveries were seen of %d and %d", len(events), len(deliveries), len(w.events), len(w.deliveries))
	}
	for id := range w.events {
		if !events[id] {
			t.Errorf("event %s was not seen", id)
		}
	}
	for id, state := range w.deliveries {
		if deliveries[id] != state {
			t.Errorf("delivery %s was last seen as %q, and is %s", id, deliveries[id], state)
		}
	}
}
