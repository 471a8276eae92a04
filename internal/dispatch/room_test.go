package dispatch

import (
	"testing"
	"testing/synctest"
	"time"

	"telltale.example/telltale"
)

// fill reserves until there is no more room.
func fill(d *Dispatcher, w *telltale.Webhook) (n int) {
	for d.Reserve(w) {
		n++
	}
	return n
}

func TestRoomIsBoundedAndShared(t *testing.T) {
	t.Parallel()
	newHook := func(project telltale.ProjectID) *telltale.Webhook {
		w := telltale.NewWebhook(project, "https://example.com/", telltale.AllEventTypes)
		return &w
	}
	d := New(Config{})
	one := newHook("prj_1")
	if n := fill(d, one); n != maxKept*2/3+1 {
		t.Errorf("one webhook alone has room for %d; want two thirds of %d", n, maxKept)
	}
	two := newHook("prj_1")
	if n := fill(d, two); n < 500 {
		t.Errorf("a second has room for %d", n)
	}
	if p := d.projects["prj_1"].kept; p > maxKept*3/4+1 {
		t.Errorf("one project alone has room for %d; want three quarters of %d", p, maxKept)
	}
	// However many are greedy, the next finds some, and never more than there is.
	for n := range 50 {
		if fill(d, newHook(telltale.NewProjectID())) == 0 && n < 6 {
			t.Errorf("project %d finds no room", n)
		}
	}
	if d.room.kept > maxKept {
		t.Errorf("%d are kept; want %d at most", d.room.kept, maxKept)
	}

	d.Release(one)
	if d.Reserve(one) {
		t.Error("the greedy one gets back what it released")
	}
	for d.lanes[one.ID].reserved > 0 {
		d.Release(one)
	}
	d.Release(one) // once more than was reserved
	if kept := d.lanes[one.ID].kept; kept != 0 {
		t.Errorf("%d are kept of what was released", kept)
	}
	if n := fill(d, one); n == 0 {
		t.Error("no room after the release")
	}
}

func TestRoomIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		ids := w.addMany(4, "prj_1", func(h *telltale.Webhook) { h.RateLimit = 1 })
		for range 100 {
			w.model.accept(w.Dispatcher, 256<<10, ids...)
		}
		synctest.Wait()
		w.mu.Lock()
		kept, bytes := w.room.kept, w.room.bytes
		w.mu.Unlock()
		if bytes > maxKeptBytes+4*256<<10 || kept > 135 || kept < 120 {
			t.Errorf("%d deliveries of %d MiB are kept", kept, bytes>>20)
		}
		pass(10 * time.Minute)
		w.want(map[telltale.State]int{succeeded: 400})
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.room != (room{}) {
			t.Errorf("room %+v is still taken", w.room)
		}
		w.mu.Unlock()
		w.stop()
		w.mu.Lock()
	})
}

func TestASlowLaneKeepsLittle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1")
		w.reply(func(begun) (int, time.Duration) { return 200, time.Second })
		w.accept(1, id)
		pass(1500 * time.Millisecond)
		w.accept(100, id)
		w.mu.Lock()
		kept := w.lanes[id].kept
		w.mu.Unlock()
		if kept != slowKept {
			t.Errorf("%d are kept; want %d", kept, slowKept)
		}
		pass(time.Minute)
		w.want(map[telltale.State]int{succeeded: 101})
		w.stop()
	})
}

func TestAStoppedLaneHasNoRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1")
		older := w.hook(id)
		w.change(id, enabled(false))
		if w.Reserve(older) {
			t.Error("there is room for a webhook that is disabled")
		}
		w.stop()
	})
}

// Responses are kept until they are recorded, and bounded too.
func TestThePileIsBounded(t *testing.T) {
	t.Parallel()
	var p pile
	p.signal = make(chan struct{}, 1)
	body := make([]byte, telltale.MaxResponseBody)
	for p.room() {
		p.add(pending{Result: telltale.Result{Attempt: &telltale.Attempt{Response: telltale.GotResponse{Body: body, Headers: []telltale.Header{{Name: "a", Value: "b"}}}}}})
	}
	if n := maxUnrecordedBytes/(len(body)+2) + 1; p.unrecorded != n {
		t.Errorf("%d results; want %d", p.unrecorded, n)
	}
	p = pile{signal: p.signal}
	for p.room() {
		p.add(pending{Result: telltale.Result{Attempt: &telltale.Attempt{}}})
	}
	if p.unrecorded != maxUnrecorded {
		t.Errorf("%d results; want %d", p.unrecorded, maxUnrecorded)
	}
}
