package dispatch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"telltale.example/telltale"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	succeeded = telltale.StateSucceeded
	failed    = telltale.StateFailed
	waiting   = telltale.StateWaiting
	sending   = telltale.StateSending
	held      = telltale.StateHeld
)

func TestWhatIsAcceptedIsSentAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1")
		w.accept(3, id)
		synctest.Wait()
		pass(20 * time.Millisecond)
		w.want(map[telltale.State]int{succeeded: 3})
		// The others wait until it is known that the receiver answers.
		if got, want := w.net.delays(id), []time.Duration{0, 10 * time.Millisecond, 10 * time.Millisecond}; !slices.Equal(got, want) {
			t.Errorf("delays %v; want %v", got, want)
		}
		if n := w.called("ClaimDue"); n != 0 {
			t.Errorf("the store was asked for claims %d times", n)
		}
		w.stop()
	})
}

func TestConcurrencyIsNeverExceeded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		one := w.add("prj_1", func(h *telltale.Webhook) { h.Concurrency = 1 })
		four := w.add("prj_1")
		many := w.add("prj_1", func(h *telltale.Webhook) { h.Concurrency = 100 })
		w.accept(200, one, four, many)
		pass(100 * time.Millisecond)
		w.change(four, func(h *telltale.Webhook) { h.Concurrency = 2 })
		for id, want := range map[telltale.WebhookID]int{one: 1, four: 4, many: 100} {
			if got := w.atOnce(id); got != want {
				t.Errorf("%s had %d attempts at once; want %d", id, got, want)
			}
		}
		pass(10 * time.Millisecond) // those that were under way
		w.net.mu.Lock()
		clear(w.net.most)
		w.net.mu.Unlock()
		pass(5 * time.Second)
		if got := w.atOnce(four); got > 2 {
			t.Errorf("%d at once after it was made 2", got)
		}
		w.want(map[telltale.State]int{succeeded: 600})
		w.stop()
	})
}

func TestARateLimitIsExact(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rate  float64
		burst int
	}{{0.1, 1}, {1, 1}, {10, 1}, {25, 1}, {100, 5}, {1000, 50}} {
		t.Run(fmt.Sprint(tt.rate), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Config{})
				id := w.add("prj_1", func(h *telltale.Webhook) { h.RateLimit, h.Concurrency = tt.rate, 100 })
				n := max(20, int(2*tt.rate))
				w.accept(n, id)
				pass(time.Duration(float64(n)/tt.rate*float64(time.Second)) + time.Minute)
				w.want(map[telltale.State]int{succeeded: n})
				checkRate(t, w.net.starts(id), tt.rate, tt.burst)
				if got, want := w.net.starts(id)[n-1].at.Sub(start), time.Duration(float64(n-tt.burst)/tt.rate*float64(time.Second)); got > want+20*time.Millisecond {
					t.Errorf("the last attempt begins after %v; want %v", got, want)
				}
				w.stop()
			})
		})
	}
}

// checkRate wants no more than burst + rate × time in any span.
func checkRate(t *testing.T, starts []begun, rate float64, burst int) {
	t.Helper()
	for i := range starts {
		for j := i; j < len(starts); j++ {
			span := starts[j].at.Sub(starts[i].at).Seconds()
			if most := float64(burst) + rate*span + 1e-6; float64(j-i+1) > most {
				t.Fatalf("%d attempts in %.3f s; want %.1f at most", j-i+1, span, most)
			}
		}
	}
}

func TestTheRetrySchedules(t *testing.T) {
	t.Parallel()
	hours := func(h ...float64) (waits []time.Duration) {
		for _, h := range h {
			waits = append(waits, time.Duration(h*float64(time.Hour)))
		}
		return waits
	}
	for _, tt := range []struct {
		name     string
		schedule telltale.Schedule
		waits    []time.Duration
	}{
		{"the default", nil, telltale.DefaultSchedule()},
		{"one's own", telltale.Schedule(hours(1, 0.5, 100)), hours(1, 0.5, 100)},
		{"none", telltale.Schedule{}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Config{PollInterval: time.Hour})
				id := w.add("prj_1", func(h *telltale.Webhook) { h.RetrySchedule = tt.schedule })
				w.reply(func(begun) (int, time.Duration) { return 500, time.Second })
				w.accept(1, id)
				pass(200 * time.Hour)
				w.want(map[telltale.State]int{failed: 1})
				starts := w.net.starts(id)
				if len(starts) != 1+len(tt.waits) {
					t.Fatalf("%d attempts; want %d", len(starts), 1+len(tt.waits))
				}
				at := start
				for i, b := range starts {
					if b.at.Sub(at).Abs() > time.Millisecond || b.claim.Attempt != i+1 {
						t.Errorf("attempt %d begins after %v; want attempt %d after %v", b.claim.Attempt, b.at.Sub(start), i+1, at.Sub(start))
					}
					if i < len(tt.waits) {
						at = b.at.Add(time.Second + tt.waits[i])
					}
				}
				w.stop()
			})
		})
	}
}

func TestGoneDisablesTheWebhook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1", func(h *telltale.Webhook) { h.Concurrency = 2 })
		w.reply(func(b begun) (int, time.Duration) {
			if b.claim.DeliveryID == "dlv_1" {
				return http.StatusOK, 10 * time.Millisecond
			}
			return http.StatusGone, 50 * time.Millisecond
		})
		w.accept(20, id)
		pass(time.Minute)
		// Two were under way; whatever waited in memory or in the store is held.
		w.want(map[telltale.State]int{succeeded: 1, failed: 2, held: 17})
		if h := w.hook(id); h.Enabled || h.DisabledReason != telltale.DisabledGone {
			t.Errorf("webhook %+v; want it disabled as gone", h)
		}
		w.stop()
	})
}

func TestAThrottledLaneSlowsDownAndRecovers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		limit float64
	}{{"with a rate limit", 8}, {"without", 0}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Config{})
				id := w.add("prj_1", func(h *telltale.Webhook) { h.RateLimit, h.RetrySchedule = tt.limit, telltale.Schedule{} })
				throttledAt := start.Add(10 * time.Second)
				w.reply(func(b begun) (int, time.Duration) {
					if b.at.Equal(throttledAt) {
						return http.StatusTooManyRequests, 10 * time.Millisecond
					}
					return http.StatusOK, 10 * time.Millisecond
				})
				// Eight a second, for five minutes.
				for range 8 * 300 {
					w.accept(1, id)
					pass(time.Second / 8)
				}
				in := func(from time.Duration) (n int) {
					for _, b := range w.net.starts(id) {
						if at := b.at.Sub(throttledAt); at >= from && at < from+5*time.Second {
							n++
						}
					}
					return n
				}
				for _, span := range []struct {
					name        string
					from        time.Duration
					least, most int
				}{{"before", -6 * time.Second, 40, 40}, {"right after: half", time.Second, 20, 22}, {"half a minute on", 30 * time.Second, 28, 31}} {
					if n := in(span.from); n < span.least || n > span.most {
						t.Errorf("%s: %d attempts in 5 s; want %d to %d", span.name, n, span.least, span.most)
					}
				}
				pass(5 * time.Minute)
				if w.model.states()[succeeded] != 8*300-1 {
					t.Errorf("deliveries %v", w.model.states())
				}
				before := len(w.net.starts(id))
				w.accept(16, id)
				pass(3 * time.Second)
				if n := len(w.net.starts(id)) - before; n != 16 {
					t.Errorf("%d of 16 attempts in 3 s after it recovered", n)
				}
				w.stop()
			})
		})
	}
}

// Answers to attempts that were under way together are one complaint.
func TestManyThrottledAnswersHalveOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1", func(h *telltale.Webhook) { h.RateLimit, h.Concurrency = 1000, 50 })
		w.accept(1, id)
		pass(time.Second)
		w.reply(func(begun) (int, time.Duration) { return http.StatusTooManyRequests, 100 * time.Millisecond })
		w.accept(50, id)
		pass(100 * time.Millisecond)
		synctest.Wait()
		w.mu.Lock()
		got := w.lanes[id].rate(time.Now())
		w.mu.Unlock()
		if got < 500 || got > 502 {
			t.Errorf("rate %v after 50 answers; want half of 1000", got)
		}
		w.stop()
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]time.Duration{
		http.StatusTooManyRequests: 10 * time.Minute, http.StatusServiceUnavailable: 10 * time.Minute, http.StatusInternalServerError: 5 * time.Second,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Config{})
				id := w.add("prj_1")
				w.net.retry = 10 * time.Minute
				w.reply(func(b begun) (int, time.Duration) {
					if b.claim.Attempt == 1 {
						return status, 0
					}
					return http.StatusOK, 0
				})
				w.accept(1, id)
				pass(time.Hour)
				starts := w.net.starts(id)
				if len(starts) != 2 || (starts[1].at.Sub(starts[0].at)-want).Abs() > time.Millisecond {
					t.Fatalf("%d attempts, %v; want the second after %v", len(starts), starts, want)
				}
				w.stop()
			})
		})
	}
}

func TestADisabledWebhookGetsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1")
		w.reply(func(begun) (int, time.Duration) { return 500, 400 * time.Millisecond })
		w.accept(50, id)
		pass(600 * time.Millisecond)
		w.change(id, enabled(false))
		pass(time.Hour)
		// Those under way have failed and wait no longer: they are held too.
		w.want(map[telltale.State]int{held: 50})
		made := len(w.net.starts(id))
		if made != 1+telltale.DefaultConcurrency {
			t.Errorf("%d attempts; want one and the %d that were under way", made, telltale.DefaultConcurrency)
		}

		// Enabled again, they come back at the set pace, in what order ever.
		w.reply(func(begun) (int, time.Duration) { return 200, 10 * time.Millisecond })
		again := time.Now()
		w.change(id, enabled(true))
		pass(time.Minute)
		w.want(map[telltale.State]int{succeeded: 50})
		released := w.net.starts(id)[made:]
		checkRate(t, released, telltale.ReleaseRate, 1)
		if took := released[49].at.Sub(again); took > 5*time.Second {
			t.Errorf("the release took %v; want 4.9 s", took)
		}
		w.stop()
	})
}

func TestADisabledWebhookThatIsEnabledAgainGoesOnAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{PollInterval: time.Hour})
		id := w.add("prj_1", func(h *telltale.Webhook) { h.Concurrency = 1 })
		w.accept(10, id)
		synctest.Wait() // the first is on its way
		w.change(id, enabled(false))
		pass(time.Second)
		w.want(map[telltale.State]int{succeeded: 1, held: 9})
		w.change(id, enabled(true))
		pass(time.Second)
		w.want(map[telltale.State]int{succeeded: 10})
		w.stop()
	})
}

// The delivery was taken over before the receiver's 410 was recorded: nothing is
// disabled, and the lane goes on.
func TestAnOutcomeThatIsNotAppliedDisablesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1")
		w.reply(func(b begun) (int, time.Duration) {
			if b.claim.DeliveryID == "dlv_1" {
				return http.StatusGone, time.Second
			}
			return http.StatusOK, 0
		})
		w.accept(3, id)
		w.model.mu.Lock()
		w.model.deliveries["dlv_1"].number++
		w.model.mu.Unlock()
		pass(2 * time.Second)
		w.want(map[telltale.State]int{sending: 1, succeeded: 2})
		w.model.mu.Lock()
		w.model.deliveries["dlv_1"].state = succeeded
		w.model.mu.Unlock()
		w.stop()
	})
}

// The webhook got a new URL while the old one said 410.
func TestGoneSaysNothingOfANewerVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1")
		w.reply(func(b begun) (int, time.Duration) {
			if b.w.Version == 1 {
				return http.StatusGone, time.Second
			}
			return http.StatusOK, 0
		})
		w.accept(3, id)
		synctest.Wait() // the first is on its way
		w.change(id, func(h *telltale.Webhook) { h.URL = "https://new.example.com/" })
		pass(2 * time.Second)
		w.want(map[telltale.State]int{failed: 1, succeeded: 2})
		w.stop()
	})
}

func TestHeldDeliveriesComeBackAtTheRateLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1", enabled(false), func(h *telltale.Webhook) { h.RateLimit = 2 })
		for range 20 {
			w.model.owe(w.model.webhooks[id]).state = held
		}
		w.change(id, enabled(true))
		w.accept(20, id) // new ones share the limit
		pass(30 * time.Second)
		w.want(map[telltale.State]int{succeeded: 40})
		checkRate(t, w.net.starts(id), 2, 1)
		w.stop()
	})
}

func TestEnablingAWebhookThatHasNoLaneReleasesWhatIsHeldAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{PollInterval: time.Hour})
		id := w.add("prj_1", enabled(false))
		for range 20 {
			w.model.owe(w.model.webhooks[id]).state = held
		}
		w.change(id, enabled(true))
		pass(2 * time.Second)
		w.want(map[telltale.State]int{succeeded: 20})
		w.stop()
	})
}

// Slots that were asked for and not used take nothing of the rate.
func TestWhatTheStoreDoesNotHaveCostsNoRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1", func(h *telltale.Webhook) { h.RateLimit, h.Concurrency = 0.01, 10 })
		for range 5 {
			w.Due(w.hook(id)) // there is nothing
			synctest.Wait()
		}
		w.accept(1, id)
		pass(time.Second)
		w.want(map[telltale.State]int{succeeded: 1})
		w.stop()
	})
}

// Another node may have locked what is due.
func TestAStoreThatHasNothingThoughItSaysSoIsNotAskedOnAndOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{PollInterval: time.Hour})
		id := w.add("prj_1")
		w.store = empty{w.model}
		w.Due(w.hook(id))
		pass(10*time.Second + time.Millisecond)
		if n := w.called("ClaimDue"); n != 11 {
			t.Errorf("it was asked %d times in ten seconds; want once a second", n)
		}
		w.stop()
	})
}

type empty struct{ *model }

func (e empty) ClaimDue(ctx context.Context, lanes []telltale.LaneRoom) ([]telltale.LaneClaims, error) {
	answers, err := e.model.ClaimDue(ctx, lanes)
	for i := range answers {
		answers[i].In = 0
	}
	return answers, err
}

func TestADeletedWebhookGetsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1", func(h *telltale.Webhook) { h.Concurrency = 1 })
		w.accept(10, id)
		synctest.Wait()
		w.change(id, func(h *telltale.Webhook) { h.Deleted = true })
		pass(time.Minute)
		w.want(map[telltale.State]int{succeeded: 1, telltale.StateCancelled: 9})
		w.stop()
	})
}

// The event was accepted for the webhook as it was; it is handed over after the
// webhook was disabled.
func TestAHandOverAfterADisable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1")
		offer := w.model.acceptLate(w.Dispatcher, 1, id, id)
		w.change(id, enabled(false))
		pass(time.Hour) // lanes are swept meanwhile
		offer()
		pass(time.Second)
		w.want(map[telltale.State]int{held: 2})
		if n := len(w.net.starts(id)); n != 0 {
			t.Errorf("%d attempts", n)
		}
		w.stop()
	})
}

// The attempt was handed to a worker, who did not come to it before the change
// returned: on a machine that has much to do that takes a while.
func TestAWorkerWhoComesLateLooksAgain(t *testing.T) {
	t.Cleanup(func(procs int) func() { return func() { runtime.GOMAXPROCS(procs) } }(runtime.GOMAXPROCS(1)))
	for name, row := range map[string]struct {
		change func(*telltale.Webhook)
		want   map[telltale.State]int
		sent   int
	}{
		"a webhook that was disabled gets nothing":           {enabled(false), map[telltale.State]int{held: 1}, 0},
		"one with another URL gets it there, and only there": {func(h *telltale.Webhook) { h.URL = "https://new.example.com/" }, map[telltale.State]int{succeeded: 1}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Config{})
				id := w.add("prj_1")
				offer := w.model.acceptLate(w.Dispatcher, 1, id)
				synctest.Wait() // nobody else has anything to do
				offer()
				w.change(id, row.change)
				pass(time.Second)
				w.want(row.want)
				starts := w.net.starts(id)
				if len(starts) != row.sent {
					t.Fatalf("%d attempts; want %d", len(starts), row.sent)
				}
				for _, b := range starts {
					if b.w.URL != "https://new.example.com/" {
						t.Errorf("it went to %s", b.w.URL)
					}
				}
				w.stop()
			})
		})
	}
}

func TestAnAttemptUsesTheNewestVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1", func(h *telltale.Webhook) { h.Concurrency = 1 })
		w.accept(3, id)
		synctest.Wait()
		older := w.hook(id)
		w.change(id, func(h *telltale.Webhook) { h.URL = "https://new.example.com/" })
		w.Changed(older) // old news
		pass(time.Second)
		for i, b := range w.net.starts(id) {
			if is := b.w.URL == "https://new.example.com/"; is != (i > 0) {
				t.Errorf("attempt %d went to %s", i+1, b.w.URL)
			}
		}
		w.stop()
	})
}

func TestRetryNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1", func(h *telltale.Webhook) { h.RetrySchedule = telltale.Schedule{time.Hour} })
		w.reply(func(begun) (int, time.Duration) { return 500, 0 })
		w.accept(1, id)
		pass(time.Second)
		w.want(map[telltale.State]int{waiting: 1})
		press := func() {
			h, ok := w.model.retry("dlv_1")
			if !ok {
				t.Fatal("it cannot be retried")
			}
			w.Due(h)
			pass(time.Second)
		}
		press() // uses up nothing: the retry of the schedule is still owed
		w.want(map[telltale.State]int{waiting: 1})
		if b := w.net.starts(id); len(b) != 2 || b[1].claim.Trigger != telltale.TriggerManual {
			t.Fatalf("attempts %v", b)
		}
		pass(2 * time.Hour)
		w.want(map[telltale.State]int{failed: 1})
		press() // from failed: one attempt, and failed again
		w.want(map[telltale.State]int{failed: 1})
		w.reply(func(begun) (int, time.Duration) { return 200, 0 })
		press()
		w.want(map[telltale.State]int{succeeded: 1})
		if n := len(w.net.starts(id)); n != 5 {
			t.Errorf("%d attempts; want 5", n)
		}
		w.stop()
	})
}

func TestTheNextStartTakesOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1")
		w.reply(func(begun) (int, time.Duration) { return 200, time.Minute })
		w.accept(10, id)
		pass(time.Second)
		w.want(map[telltale.State]int{sending: 10})
		// The node dies: it records nothing any more.
		w.breaks(func(string) (error, bool) { return unavailable, false })
		dead, cancel := context.WithCancel(context.Background())
		cancel()
		if err := w.Stop(dead); err == nil || !strings.Contains(err.Error(), "under way") && !strings.Contains(err.Error(), "not recorded") {
			t.Errorf("stop: %v; want what was left", err)
		}
		<-w.ran
		w.want(map[telltale.State]int{sending: 10})

		w.breaks(nil)
		w.model.node++
		w.reply(func(begun) (int, time.Duration) { return 200, 0 })
		w.begin(Config{})
		pass(5 * time.Second)
		w.want(map[telltale.State]int{succeeded: 10})
		for _, o := range w.owed() {
			if len(o.attempts) != 2 || o.attempts[0].Error != telltale.ErrorInterrupted || o.attempts[1].Number != 2 {
				t.Errorf("attempts %+v; want an interrupted one and a success", o.attempts)
			}
		}
		w.stop()
	})
}

func TestADeliveryThatWasTakenOverIsNotChanged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1")
		w.reply(func(begun) (int, time.Duration) { return 500, time.Second })
		w.accept(1, id)
		synctest.Wait()
		w.model.mu.Lock()
		o := w.model.deliveries["dlv_1"]
		o.number++ // another node's now
		w.model.mu.Unlock()
		pass(time.Minute)
		if recorded, made := len(w.owed()[0].attempts), len(w.net.starts(id)); recorded != 0 || made != 1 {
			t.Errorf("%d attempts recorded, %d made; want 0, 1", recorded, made)
		}
		w.model.mu.Lock()
		o.state = succeeded
		w.model.mu.Unlock()
		w.stop()
	})
}

func TestNothingIsSentThatCannotBeRecorded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		ids := []telltale.WebhookID{w.add("prj_1"), w.add("prj_2")}
		w.accept(500, ids...)
		pass(100 * time.Millisecond)
		w.breaks(func(method string) (error, bool) {
			if method == "RecordAttempts" {
				return unavailable, false
			}
			return nil, false
		})
		pass(20 * time.Millisecond)
		before := len(w.net.starts(""))
		if err := w.Ready(); err == nil {
			t.Error("the dispatcher says that it is ready")
		}
		if w.Reserve(w.hook(ids[0])) {
			t.Error("there is room for more")
		}
		pass(10 * time.Minute)
		if n := len(w.net.starts("")) - before; n != 0 {
			t.Errorf("%d attempts began while none could be recorded", n)
		}
		w.breaks(nil)
		pass(10 * time.Second)
		w.want(map[telltale.State]int{succeeded: 1000})
		if n := len(w.net.starts("")); n != 1000 {
			t.Errorf("%d attempts; want 1000: what was kept is recorded and not repeated", n)
		}
		if err := w.Ready(); err != nil {
			t.Error(err)
		}
		w.stop()
	})
}

// The store commits and cannot say so: what is recorded again is not applied
// twice, and the delivery goes on.
func TestACommitOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1")
		w.reply(func(b begun) (int, time.Duration) {
			if b.claim.Attempt < 3 {
				return 500, 0
			}
			return 200, 0
		})
		fail := true
		w.breaks(func(method string) (error, bool) {
			if method != "RecordAttempts" {
				return nil, false
			}
			if fail = !fail; !fail {
				return unavailable, true
			}
			return nil, false
		})
		w.accept(4, id)
		pass(5 * time.Minute)
		w.want(map[telltale.State]int{succeeded: 4})
		for _, o := range w.owed() {
			if len(o.attempts) != 3 {
				t.Errorf("%d attempts recorded; want 3", len(o.attempts))
			}
		}
		w.stop()
	})
}

func TestAResultThatTheStoreRefusesHoldsUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1", func(h *telltale.Webhook) { h.Concurrency = 100 })
		store := &refusing{model: w.model, refuse: "dlv_7"}
		w.store = store
		w.accept(50, id)
		pass(5 * time.Minute)
		got := w.model.states()
		if got[succeeded] != 49 || got[sending] != 1 {
			t.Errorf("deliveries %v; want all but one", got)
		}
		w.mu.Lock()
		kept, unrecorded := w.room.kept, w.pile.unrecorded
		w.mu.Unlock()
		if kept != 0 || unrecorded != 0 {
			t.Errorf("%d are kept, %d unrecorded", kept, unrecorded)
		}
		w.model.mu.Lock()
		w.model.deliveries["dlv_7"].state = failed
		w.model.mu.Unlock()
		w.stop()
	})
}

// refusing is a store that chokes on one delivery.
type refusing struct {
	*model
	refuse telltale.DeliveryID
}

func (r *refusing) RecordAttempts(ctx context.Context, results []telltale.Result) (telltale.Recorded, error) {
	<-time.After(time.Second) // so that results pile up
	for _, result := range results {
		if result.DeliveryID == r.refuse {
			return telltale.Recorded{}, errors.New("constraint failed")
		}
	}
	return r.model.RecordAttempts(ctx, results)
}

func TestAStopUnderLoadLeavesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		var ids []telltale.WebhookID
		for range 20 {
			ids = append(ids, w.add("prj_1"))
		}
		w.reply(func(begun) (int, time.Duration) { return 200, 3 * time.Second })
		w.accept(30, ids...)
		pass(time.Second)
		other := w.add("prj_2")
		offer := w.model.acceptLate(w.Dispatcher, 1, other)
		if w.model.states()[sending] == 0 {
			t.Fatal("there was no room")
		}
		began := time.Now()
		stopped := make(chan error)
		go func() { stopped <- w.Stop(context.Background()) }()
		synctest.Wait()
		offer() // a request that was being accepted
		flying := len(w.net.starts(""))
		if w.Reserve(w.hook(ids[0])) {
			t.Error("there is room in a dispatcher that stops")
		}
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("the stop took %v; want as long as what was under way", took)
		}
		if n := len(w.net.starts("")); n != flying {
			t.Errorf("%d attempts began during the stop", n-flying)
		}
		w.want(map[telltale.State]int{succeeded: flying, waiting: 601 - flying})
		if err := w.Ready(); err == nil {
			t.Error("the dispatcher says that it is ready")
		}
		w.stop() // a second stop has nothing to do
	})
}

func TestAStopInterruptsWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		ids := w.addMany(4, "prj_1")
		w.reply(func(begun) (int, time.Duration) { return 200, time.Hour })
		w.accept(1, ids...)
		synctest.Wait()
		began := time.Now()
		w.stop()
		if took := time.Since(began); took != StopTimeout-recordReserve {
			t.Errorf("the stop took %v", took)
		}
		w.want(map[telltale.State]int{waiting: 4})
		for _, o := range w.owed() {
			if len(o.attempts) != 1 || o.attempts[0].Error != telltale.ErrorInterrupted || o.step != 0 {
				t.Errorf("attempts %+v, step %d; want one that was interrupted and counts nothing", o.attempts, o.step)
			}
		}
	})
}

func TestAStopWithAStoreThatCannotWriteEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1")
		w.accept(1, id)
		pass(time.Second)
		w.accept(4, id)
		synctest.Wait()
		w.breaks(func(string) (error, bool) { return unavailable, false })
		began := time.Now()
		err := w.Stop(context.Background())
		if took := time.Since(began); took != StopTimeout {
			t.Errorf("the stop took %v; want %v", took, StopTimeout)
		}
		if err == nil || !strings.Contains(err.Error(), "4 results not recorded") {
			t.Errorf("error %v; want it to say what was left", err)
		}
		<-w.ran
	})
}

// The store answers a claim when the stop has begun.
func TestAStopGivesBackWhatItStillClaims(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1")
		w.store = sluggish{w.model}
		w.backlog(4, false, id)
		w.Due(w.hook(id))
		synctest.Wait()
		w.stop()
		w.want(map[telltale.State]int{waiting: 4})
	})
}

type sluggish struct{ *model }

func (s sluggish) ClaimDue(ctx context.Context, lanes []telltale.LaneRoom) ([]telltale.LaneClaims, error) {
	<-time.After(time.Second)
	return s.model.ClaimDue(ctx, lanes)
}

func TestTheEndOfItsContextStopsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, net := newModel(), &receivers{}
		d := New(Config{Store: m, Sender: net})
		ctx, cancel := context.WithCancel(context.Background())
		ran := make(chan error)
		go func() { ran <- d.Run(ctx) }()
		synctest.Wait()
		if err := d.Ready(); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}

		// One that is stopped before it runs does not run.
		early := New(Config{Store: m, Sender: net})
		if err := early.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if err := early.Run(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestNoAttemptWithoutAHeartbeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1", func(h *telltale.Webhook) { h.RateLimit = 1 })
		w.accept(600, id)
		pass(5 * time.Second)
		w.breaks(func(method string) (error, bool) {
			if method == "Beat" {
				return unavailable, false
			}
			return nil, false
		})
		pass(5 * time.Minute)
		starts := w.net.starts(id)
		if last := starts[len(starts)-1].at.Sub(start); last != telltale.LeaseGrace {
			t.Errorf("the last attempt began after %v; the last heartbeat was at 0", last)
		}
		if err := w.Ready(); err == nil || !strings.Contains(err.Error(), "heartbeat") {
			t.Errorf("ready: %v", err)
		}
		// The lease has ended: what waits in memory goes back, and is claimed anew.
		w.breaks(nil)
		pass(5 * time.Second)
		if more := w.net.starts(id); len(more) < len(starts)+3 {
			t.Errorf("%d attempts in the first seconds with a heartbeat; want one a second", len(more)-len(starts))
		}
		pass(20 * time.Minute)
		w.want(map[telltale.State]int{succeeded: 600})
		for _, o := range w.owed() {
			if len(o.attempts) != 1 {
				t.Errorf("%d attempts", len(o.attempts))
			}
		}
		if n := w.called("ReleaseClaims"); n == 0 {
			t.Error("no claim was given back")
		}
		w.stop()
	})
}

// slowBeats is a store that hears a heartbeat late.
type slowBeats struct {
	*model
	takes time.Duration // under the model's mutex
}

func (s *slowBeats) Beat(ctx context.Context) (telltale.Beat, error) {
	s.mu.Lock()
	takes := s.takes
	s.mu.Unlock()
	<-time.After(takes)
	return s.model.Beat(ctx)
}

// A heartbeat that was asked for in time, and is heard when the lease has ended,
// finds claims that are others' by now.
func TestAHeartbeatThatIsHeardLateGivesClaimsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.stop()
		store := &slowBeats{model: w.model}
		w.begin(Config{Store: store})
		id := w.add("prj_1", func(h *telltale.Webhook) { h.RateLimit = 1 })
		w.accept(600, id)
		pass(5 * time.Second)
		w.breaks(func(method string) (error, bool) {
			if method == "Beat" {
				return unavailable, false
			}
			return nil, false
		})
		pass(telltale.Lease - 5*time.Second - retryPause - time.Millisecond)
		w.model.mu.Lock()
		store.takes = 3 * time.Second
		w.model.mu.Unlock()
		pass(retryPause)
		w.breaks(nil)
		pass(3 * time.Second)
		if n := w.called("ReleaseClaims"); n == 0 {
			t.Error("the claims were kept past the lease")
		}
		w.model.mu.Lock()
		store.takes = 0
		w.model.mu.Unlock()
		pass(20 * time.Minute)
		w.want(map[telltale.State]int{succeeded: 600})
		w.stop()
	})
}

func TestAStoreThatIsAwayForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1")
		w.backlog(300, false, id)
		w.breaks(func(string) (error, bool) { return unavailable, false })
		pass(10 * time.Minute)
		if n := len(w.net.starts(id)); n != 0 {
			t.Errorf("%d attempts", n)
		}
		w.breaks(nil)
		pass(30 * time.Second)
		w.want(map[telltale.State]int{succeeded: 300})
		w.stop()
	})
}

func TestWorkThatNobodyToldOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{PollInterval: 20 * time.Second})
		id := w.add("prj_1")
		w.model.mu.Lock()
		w.model.owe(w.model.webhooks[id])
		later := w.model.owe(w.model.webhooks[id])
		later.due = time.Now().Add(90 * time.Second)
		w.model.mu.Unlock()
		pass(20*time.Second + 10*time.Millisecond)
		w.want(map[telltale.State]int{succeeded: 1, waiting: 1})
		pass(70 * time.Second)
		w.want(map[telltale.State]int{succeeded: 2})
		w.stop()
	})
}

func TestReadySaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		if err := w.Ready(); err != nil {
			t.Error(err)
		}
		w.breaks(func(method string) (error, bool) {
			if method == "DueWebhooks" {
				return unavailable, false
			}
			return nil, false
		})
		pass(50 * time.Second)
		if err := w.Ready(); err != nil {
			t.Error(err)
		}
		pass(15 * time.Second)
		if err := w.Ready(); err == nil || !strings.Contains(err.Error(), "minute") {
			t.Errorf("ready: %v; want that the queue was not looked at", err)
		}
		w.stop()
	})
}

func TestIdleLanesAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		var ids []telltale.WebhookID
		for n := range 10_000 {
			ids = append(ids, w.add(telltale.ProjectID(fmt.Sprintf("prj_%d", n%100))))
		}
		for chunk := range slices.Chunk(ids, 1000) {
			w.accept(1, chunk...)
			pass(time.Second)
		}
		w.want(map[telltale.State]int{succeeded: 10_000})
		pass(DefaultPollInterval)
		w.mu.Lock()
		lanes, projects, asleep := len(w.lanes), len(w.projects), len(w.wakes)
		w.mu.Unlock()
		if lanes+projects+asleep != 0 {
			t.Errorf("%d lanes, %d projects, %d asleep; want none", lanes, projects, asleep)
		}
		w.stop()
	})
}

func TestASlowLaneIsRememberedForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1")
		w.reply(func(begun) (int, time.Duration) { return 200, time.Second })
		w.accept(1, id)
		lanes := func() int {
			w.mu.Lock()
			defer w.mu.Unlock()
			return len(w.lanes)
		}
		pass(slowMemory)
		if n := lanes(); n != 1 {
			t.Errorf("%d lanes", n)
		}
		pass(2 * DefaultPollInterval)
		if n := lanes(); n != 0 {
			t.Errorf("%d lanes long after", n)
		}
		w.stop()
	})
}

func TestASenderThatPanicsFailsTheAttemptAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1")
		w.sender = panicking{w.net}
		w.accept(2, id)
		pass(3 * time.Second)
		w.want(map[telltale.State]int{succeeded: 1, waiting: 1})
		a := w.owed()[0].attempts
		if len(a) != 1 || a[0].Error != telltale.ErrorInternal || a[0].Failure != telltale.FailureInternal || a[0].Number != 1 {
			t.Errorf("attempts %+v; want an internal error", a)
		}
		pass(5 * time.Second)
		w.want(map[telltale.State]int{succeeded: 2})
		w.stop()
	})
}

type panicking struct{ *receivers }

func (p panicking) Send(ctx context.Context, c *telltale.Claim, w *telltale.Webhook) telltale.Attempt {
	if c.DeliveryID == "dlv_1" && c.Attempt == 1 {
		panic("a bug")
	}
	return p.receivers.Send(ctx, c, w)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1", func(h *telltale.Webhook) { h.RetrySchedule = telltale.Schedule{} })
		w.accept(3, id)
		pass(time.Second)
		w.reply(func(begun) (int, time.Duration) { return 500, 0 })
		w.accept(2, id)
		pass(time.Second)
		families, err := gathered(w.metrics)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]float64{
			"telltale_dispatch_attempts_total{succeeded}":   3,
			"telltale_dispatch_attempts_total{http_status}": 2,
			"telltale_dispatch_attempt_duration_seconds":    5,
			"telltale_dispatch_first_attempt_delay_seconds": 5,
			"telltale_dispatch_attempts_in_flight":          0,
			"telltale_dispatch_slow_attempts_in_flight":     0,
			"telltale_dispatch_lanes":                       1,
			"telltale_dispatch_deliveries_in_memory":        0,
			"telltale_dispatch_payload_bytes_in_memory":     0,
			"telltale_dispatch_paused":                      0,
			"telltale_dispatch_results_unrecorded":          0,
			"telltale_dispatch_stale_results_total":         0,
			"telltale_dispatch_unrecordable_results_total":  0,

			"telltale_dispatch_breakers{open}":                   0,
			"telltale_dispatch_breakers{closing}":                0,
			"telltale_dispatch_webhooks_disabled_total{gone}":    0,
			"telltale_dispatch_webhooks_disabled_total{blocked}": 0,
			"telltale_dispatch_webhooks_disabled_total{failing}": 0,
			"telltale_dispatch_webhooks_warned_total{first}":     0,
			"telltale_dispatch_webhooks_warned_total{last}":      0,
			"telltale_dispatch_webhooks_recovered_total":         0,
		}
		for class := range results {
			if name := "telltale_dispatch_attempts_total{" + results[class] + "}"; want[name] == 0 {
				want[name] = 0
			}
		}
		if !maps.Equal(families, want) {
			t.Errorf("metrics %v; want %v", families, want)
		}
		w.stop()
	})
}

// gathered gives the value of each metric, and of histograms the count.
func gathered(reg *prometheus.Registry) (map[string]float64, error) {
	families, err := reg.Gather()
	if err != nil {
		return nil, err
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += "{" + l.GetValue() + "}"
			}
			values[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values, nil
}
