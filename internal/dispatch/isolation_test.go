package dispatch

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"telltale.example/telltale"
)

// hanging makes the receivers of some webhooks hang until their deadline; the
// others answer in ten milliseconds.
func hanging(ids []telltale.WebhookID, deadline time.Duration) func(begun) (int, time.Duration) {
	dead := map[telltale.WebhookID]bool{}
	for _, id := range ids {
		dead[id] = true
	}
	return func(b begun) (int, time.Duration) {
		if dead[b.w.ID] {
			return down, deadline
		}
		return 200, 10 * time.Millisecond
	}
}

func (w *world) addMany(n int, project telltale.ProjectID, f ...func(*telltale.Webhook)) (ids []telltale.WebhookID) {
	for range n {
		ids = append(ids, w.add(project, f...))
	}
	return ids
}

// promptly wants the healthy webhooks' first attempts within most, and almost
// all of them within usual.
func (w *world) promptly(usual, most time.Duration, ids ...telltale.WebhookID) {
	w.t.Helper()
	for _, id := range ids {
		delays := w.net.delays(id)
		if len(delays) == 0 {
			w.t.Errorf("%s: no attempts", id)
			continue
		}
		if p90, last := delays[len(delays)*9/10], delays[len(delays)-1]; p90 > usual || last > most {
			w.t.Errorf("%s: of %d first attempts the 90th percentile came after %v, the last after %v; want %v, %v", id, len(delays), p90, last, usual, most)
		}
	}
}

// P6: one webhook, customer or project cannot delay another's first attempt by
// more than two seconds.
func TestOthersDoNotWaitForThoseThatHang(t *testing.T) {
	t.Parallel()
	wide := func(h *telltale.Webhook) { h.Concurrency, h.Timeout = 100, 30*time.Second }
	for _, tt := range []struct {
		name     string
		workers  int
		deadline time.Duration
		dead     func(w *world) []telltale.WebhookID
		healthy  func(w *world) []telltale.WebhookID
		usual    time.Duration
		most     time.Duration
	}{
		{"nine of ten hang", 0, 5 * time.Second,
			func(w *world) []telltale.WebhookID { return w.addMany(9, "prj_1") },
			func(w *world) []telltale.WebhookID { return w.addMany(1, "prj_1") }, 0, 0},
		{"forty beside ten of the same project", 0, 30 * time.Second,
			func(w *world) []telltale.WebhookID { return w.addMany(40, "prj_1") },
			func(w *world) []telltale.WebhookID { return w.addMany(10, "prj_1") }, 0, 0},
		{"one that takes a hundred slots for thirty seconds each", 0, 30 * time.Second,
			func(w *world) []telltale.WebhookID { return w.addMany(1, "prj_1", wide) },
			func(w *world) []telltale.WebhookID { return w.addMany(5, "prj_1") }, 0, 0},
		{"a hundred and twenty of the same project: half a second once", 0, 5 * time.Second,
			func(w *world) []telltale.WebhookID { return w.addMany(120, "prj_1") },
			func(w *world) []telltale.WebhookID { return w.addMany(5, "prj_1") }, 0, slowAfter + 100*time.Millisecond},
		{"a thousand of another project, each with all its slots", 0, 30 * time.Second,
			func(w *world) []telltale.WebhookID { return w.addMany(1000, "prj_dead", wide) },
			func(w *world) []telltale.WebhookID { return w.addMany(20, "prj_1") }, 0, 0},
		{"fifty projects, and few workers", 32, 5 * time.Second,
			func(w *world) (ids []telltale.WebhookID) {
				for n := range 50 {
					ids = append(ids, w.add(telltale.ProjectID(fmt.Sprintf("prj_dead%d", n))))
				}
				return ids
			},
			func(w *world) []telltale.WebhookID { return w.addMany(2, "prj_1") }, 10 * time.Millisecond, 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Config{Workers: tt.workers})
				dead, healthy := tt.dead(w), tt.healthy(w)
				w.reply(hanging(dead, tt.deadline))
				for range 400 {
					w.accept(1, dead[:min(len(dead), 100)]...)
					w.accept(1, healthy...)
					pass(50 * time.Millisecond)
				}
				w.accept(1, dead...)
				for range 200 {
					w.accept(1, healthy...)
					pass(50 * time.Millisecond)
				}
				w.promptly(tt.usual, tt.most, healthy...)
				w.stop()
			})
		})
	}
}

// What hangs leaves its slot after half a second, even if nothing else happens.
func TestASlotIsFreeAfterHalfASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Workers: 4})
		var dead []telltale.WebhookID
		for n := range 4 {
			dead = append(dead, w.add(telltale.ProjectID(fmt.Sprintf("prj_dead%d", n))))
		}
		id := w.add("prj_1")
		w.reply(hanging(dead, 30*time.Second))
		w.accept(1, dead...)
		pass(100 * time.Millisecond)
		w.accept(1, id)
		pass(time.Second)
		if d := w.net.delays(id); len(d) != 1 || d[0] != slowAfter-100*time.Millisecond {
			t.Errorf("delays %v; want %v", d, slowAfter-100*time.Millisecond)
		}
		w.stop()
	})
}

// T8: ten thousand retries due to a dead receiver, and 500 events a second, of
// one project, against five a second of another.
func TestANoisyNeighbour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		dead := w.add("prj_noisy")
		busy := w.addMany(10, "prj_noisy")
		quiet := w.add("prj_quiet")
		w.reply(hanging([]telltale.WebhookID{dead}, 5*time.Second))
		w.backlog(10_000, true, dead)
		w.Due(w.hook(dead))
		for n := range 3000 {
			w.accept(1, dead)
			w.accept(1, busy[n%len(busy)])
			if n%100 == 0 {
				w.accept(1, quiet)
			}
			pass(2 * time.Millisecond)
		}
		pass(time.Second)
		w.promptly(0, 2*time.Second, quiet)
		w.promptly(0, 2*time.Second, busy...)
		// A receiver that is dead costs memory for a few, and rows for the rest.
		w.mu.Lock()
		kept := w.lanes[dead].kept
		w.mu.Unlock()
		if kept > 1000 {
			t.Errorf("%d deliveries to the dead receiver are kept in memory", kept)
		}
		w.stop()
	})
}

// One project has 5,000 deliveries to fast receivers in memory when another comes.
func TestProjectsTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Workers: 8})
		big := w.addMany(50, "prj_big", func(h *telltale.Webhook) { h.Concurrency = 100 })
		small := w.addMany(2, "prj_small")
		w.reply(func(begun) (int, time.Duration) { return 200, 20 * time.Millisecond })
		w.accept(100, big...)
		pass(5 * time.Millisecond)
		w.accept(10, small...)
		pass(5 * time.Minute)
		w.want(map[telltale.State]int{succeeded: 5020})
		for _, id := range small {
			delays := w.net.delays(id)
			if last := delays[len(delays)-1]; last > 200*time.Millisecond {
				t.Errorf("the last of ten first attempts came after %v", last)
			}
		}
		// And within the big one, webhooks do.
		var first, last time.Time
		for _, id := range big {
			starts := w.net.starts(id)
			if at := starts[49].at; first.IsZero() || at.Before(first) {
				first = at
			} else if at.After(last) {
				last = at
			}
		}
		if spread := last.Sub(first); spread > 300*time.Millisecond {
			t.Errorf("webhooks reached their fiftieth attempt %v apart", spread)
		}
		w.stop()
	})
}

func TestFirstAttemptsComeBeforeRetriesButNothingStarves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Workers: 4})
		fresh, old := w.add("prj_1"), w.add("prj_1")
		w.backlog(100, true, old)
		w.accept(300, fresh)
		w.Due(w.hook(old))
		pass(100 * time.Millisecond)
		ofFresh, ofOld := len(w.net.starts(fresh)), len(w.net.starts(old))
		pass(500 * time.Millisecond)
		ofFresh, ofOld = len(w.net.starts(fresh))-ofFresh, len(w.net.starts(old))-ofOld
		if ofOld < 10 || ofFresh < 2*ofOld {
			t.Errorf("%d first attempts and %d retries in half a second; want some retries, and fewer", ofFresh, ofOld)
		}
		w.stop()
	})
}

// A lane whose memory is never empty still serves what waits in the store.
func TestWhatWaitsInTheStoreIsNotStarvedByWhatIsBornClaimed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1", func(h *telltale.Webhook) { h.Concurrency = 1 })
		w.accept(10, id)
		w.backlog(1, false, id)
		w.Due(w.hook(id))
		for range 200 { // twice of what the receiver can take
			w.accept(1, id)
			pass(5 * time.Millisecond)
		}
		if w.owed()[10].state != succeeded {
			t.Error("the delivery still waits")
		}
		w.stop()
	})
}

// A receiver that takes 600 ms for each answer is slow, and has all its
// concurrency while there are slots.
func TestASlowReceiverKeepsItsConcurrency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1", func(h *telltale.Webhook) { h.Concurrency = 20 })
		w.reply(func(begun) (int, time.Duration) { return 200, 600 * time.Millisecond })
		w.accept(201, id)
		pass(6600 * time.Millisecond)
		w.want(map[telltale.State]int{succeeded: 201})
		w.stop()
	})
}

func TestABacklogDrainsAsFastAsItsReceiverAllows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		ids := w.addMany(20, "prj_1")
		w.backlog(250, false, ids...)
		// 250 each, four at once, ten milliseconds each; told of by the poll.
		pass(DefaultPollInterval + 760*time.Millisecond)
		w.want(map[telltale.State]int{succeeded: 5000})
		for _, id := range ids {
			if n := w.atOnce(id); n > telltale.DefaultConcurrency {
				t.Errorf("%d at once", n)
			}
		}
		w.stop()
	})
}

// Among slow receivers too, one that hangs on a hundred slots leaves some.
func TestASlowReceiverDoesNotTakeTheSlotsOfOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Workers: 8})
		wide := w.add("prj_1", func(h *telltale.Webhook) { h.Concurrency = 100 })
		slow := w.addMany(3, "prj_1")
		w.reply(func(b begun) (int, time.Duration) {
			if b.w.ID == wide {
				return down, 30 * time.Second
			}
			return 200, 600 * time.Millisecond
		})
		w.accept(1, wide)
		w.accept(1, slow...)
		pass(time.Minute)
		w.accept(100, wide)
		for range 30 {
			pass(time.Second)
			w.accept(1, slow...)
		}
		pass(time.Second)
		w.promptly(100*time.Millisecond, 2*time.Second, slow...)
		w.stop()
	})
}
