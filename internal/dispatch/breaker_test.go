package dispatch

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"telltale.example/telltale"
)

func TestAReceiverThatFailsIsProbed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.model.breakers = true
		id := w.add("prj_1", func(h *telltale.Webhook) { h.Concurrency = 8 })
		w.reply(func(begun) (int, time.Duration) { return http.StatusInternalServerError, 10 * time.Millisecond })
		w.accept(200, id)
		pass(30 * time.Second)
		opened := len(w.net.starts(id))
		if most := telltale.BreakerFailures + 8; opened < telltale.BreakerFailures || opened > most {
			t.Fatalf("%d attempts before the breaker opened; want %d to %d", opened, telltale.BreakerFailures, most)
		}

		// Probes go one at a time, after one, two and four minutes.
		for i, wait := range []time.Duration{1, 2, 4} {
			pass(wait * time.Minute)
			if n := len(w.net.starts(id)) - opened; n != i+1 {
				t.Fatalf("%d probes after another %d minutes; want %d", n, wait, i+1)
			}
		}

		// One that succeeds lets the others through, few at first.
		w.reply(func(begun) (int, time.Duration) { return http.StatusOK, 100 * time.Millisecond })
		pass(8 * time.Minute)
		starts := w.net.starts(id)[opened+3:]
		for i, most := range []int{1, 1, 2, 2, 4, 4} {
			if n := underWay(starts, i, 100*time.Millisecond); n > most {
				t.Errorf("%d under way as attempt %d after the probe began; want at most %d", n, i, most)
			}
		}
		pass(48 * time.Hour)
		w.want(map[telltale.State]int{succeeded: 200})
		w.stop()
	})
}

// underWay counts the attempts, each of which takes as long, that are under way as
// attempt i begins, itself included.
func underWay(starts []begun, i int, took time.Duration) (n int) {
	for _, s := range starts[:i+1] {
		if starts[i].at.Sub(s.at) < took {
			n++
		}
	}
	return n
}

func TestABreakerThatIsOpenCostsTheOthersNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.model.breakers = true
		dead, well := w.add("prj_1"), w.add("prj_1")
		w.reply(func(b begun) (int, time.Duration) {
			if b.claim.Webhook.ID == dead {
				return http.StatusInternalServerError, 10 * time.Millisecond
			}
			return http.StatusOK, 10 * time.Millisecond
		})
		w.accept(100, dead)
		pass(20 * time.Second)
		w.model.mu.Lock()
		claims := w.model.calls["ClaimDue"]
		w.model.mu.Unlock()
		pass(30 * time.Second)
		w.model.mu.Lock()
		asked := w.model.calls["ClaimDue"] - claims
		w.model.mu.Unlock()
		if asked > 1 {
			t.Errorf("the store was asked %d times for a lane that may not send", asked)
		}
		if w.Reserve(w.hook(dead)) {
			t.Error("there is room for what may not be sent")
		}
		w.accept(50, well)
		pass(5 * time.Second)
		if n := len(w.net.starts(well)); n != 50 {
			t.Errorf("%d attempts of the webhook that is well; want 50", n)
		}
		w.stop()
	})
}

func TestAnOpenBreakerIsObeyedAfterARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.model.breakers = true
		id := w.add("prj_1", func(h *telltale.Webhook) {
			h.Standing.Breaker = telltale.Breaker{State: telltale.BreakerOpen, Until: time.Now().Add(time.Minute), Wait: time.Minute}
			h.Standing.Revision = 7
		})
		began := time.Now()
		w.accept(3, id)
		pass(2 * time.Minute)
		if starts := w.net.starts(id); len(starts) != 3 || starts[0].at.Sub(began) < time.Minute {
			t.Errorf("the attempts began at %v", starts)
		}
		w.stop()
	})
}
