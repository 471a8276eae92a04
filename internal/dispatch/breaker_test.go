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
		id := w.add("prj_1", func(h *telltale.Webhook) { h.Concurrency = 8 })
		w.reply(func(begun) (int, time.Duration) { return http.StatusInternalServerError, 10 * time.Millisecond })
		w.accept(200, id)
		pass(30 * time.Second)
		opened := len(w.net.starts(id))
		// As the tenth failure ends eight are under way, and until it is recorded
		// each of them that ends may let another begin.
		if most := telltale.BreakerFailures + 2*8; opened < telltale.BreakerFailures || opened > most {
			t.Fatalf("%d attempts before the breaker opened; want %d to %d", opened, telltale.BreakerFailures, most)
		}

		// Probes go one at a time, after one, two and four minutes.
		for i, minutes := range []int{1, 2, 4} {
			pass(time.Duration(minutes) * time.Minute)
			if n := len(w.net.starts(id)) - opened; n != i+1 {
				t.Fatalf("%d probes after another %d minutes; want %d", n, minutes, i+1)
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
		id := w.add("prj_1")
		w.reply(func(begun) (int, time.Duration) { return http.StatusInternalServerError, 10 * time.Millisecond })
		w.accept(30, id)
		pass(10 * time.Second)
		until := w.hook(id).Standing.Breaker.Until
		before := len(w.net.starts(id))
		w.stop()
		w.want(map[telltale.State]int{waiting: 30})
		w.begin(Config{})
		w.accept(1, id)
		pass(30 * time.Second)
		w.want(map[telltale.State]int{waiting: 31})
		pass(30 * time.Second)
		if starts := w.net.starts(id)[before:]; len(starts) != 1 || starts[0].at.Before(until) {
			t.Errorf("the attempts after the restart: %v; want one, after %v", starts, until.Sub(start))
		}
		w.stop()
	})
}

// Whatever is owed waits in the store, with as many attempts as it had.
func TestWhatABreakerHoldsBackLosesNoAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1", func(h *telltale.Webhook) {
			h.Concurrency, h.RetrySchedule = 10, telltale.Schedule{time.Second, time.Second}
		})
		mended := start.Add(20 * time.Minute)
		w.reply(func(b begun) (int, time.Duration) {
			if b.at.Before(mended) {
				return http.StatusServiceUnavailable, 10 * time.Millisecond
			}
			return http.StatusOK, 10 * time.Millisecond
		})
		w.accept(500, id)
		pass(19 * time.Minute)
		got := w.model.states()
		if got[sending] != 0 || got[failed] > 10 || got[failed]+got[waiting] != 500 {
			t.Errorf("while the breaker is open: deliveries %v", got)
		}
		if families, err := gathered(w.metrics); err != nil || families["telltale_dispatch_breakers{open}"] != 1 {
			t.Errorf("%v open breakers, %v", families["telltale_dispatch_breakers{open}"], err)
		}
		pass(time.Hour)
		if end := w.model.states(); end[succeeded] != 500-got[failed] || end[failed] != got[failed] {
			t.Errorf("in the end: deliveries %v", end)
		}
		w.stop()
	})
}

func TestAPersonNeedNotWaitForTheBreaker(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(w *world, id telltale.WebhookID){
		"who retries a delivery": func(w *world, id telltale.WebhookID) {
			if h, ok := w.model.retry("dlv_1"); ok {
				w.Due(h)
			}
		},
		"who tests it":               func(w *world, id telltale.WebhookID) { w.Test(w.t.Context(), w.model.acceptTest(id)) },
		"who enters another address": func(w *world, id telltale.WebhookID) { w.change(id, func(h *telltale.Webhook) { h.URL += "/v2" }) },
		"who turns it off and on": func(w *world, id telltale.WebhookID) {
			w.change(id, enabled(false))
			w.change(id, enabled(true))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Config{})
				id := w.add("prj_1")
				w.reply(func(begun) (int, time.Duration) { return http.StatusInternalServerError, 10 * time.Millisecond })
				w.accept(20, id)
				pass(10 * time.Second)
				w.reply(func(begun) (int, time.Duration) { return http.StatusOK, 10 * time.Millisecond })
				ask(w, id)
				pass(10 * time.Second)
				if got := w.model.states(); got[succeeded] < 20 {
					t.Errorf("ten seconds later: deliveries %v", got)
				}
				w.stop()
			})
		})
	}
}

func TestWhatIsDisabledAutomaticallyIsCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1")
		w.reply(func(begun) (int, time.Duration) { return barred, 0 })
		w.accept(5, id)
		pass(time.Minute)
		if h := w.hook(id); h.Enabled || h.DisabledReason != telltale.DisabledBlocked {
			t.Errorf("webhook %+v; want it disabled as blocked", h)
		}
		w.want(map[telltale.State]int{held: 5})
		if families, err := gathered(w.metrics); err != nil || families["telltale_dispatch_webhooks_disabled_total{blocked}"] != 1 {
			t.Errorf("metrics %v, %v", families, err)
		}
		w.stop()
	})
}
