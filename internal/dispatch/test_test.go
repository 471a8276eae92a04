package dispatch

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"telltale.example/telltale"
)

func TestATestIsSentAtOnceAndRecorded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		// Its lane is full of attempts that hang, and its rate is used up.
		busy := w.add("prj_1", func(h *telltale.Webhook) { h.Concurrency, h.RateLimit = 1, 0.01 })
		off := w.add("prj_1", enabled(false))
		w.reply(func(b begun) (int, time.Duration) {
			if b.claim.Test {
				return 500, 20 * time.Millisecond
			}
			return 200, 30 * time.Second
		})
		w.accept(5, busy)
		pass(time.Second)
		for _, id := range []telltale.WebhookID{busy, off} {
			began := time.Now()
			a, err := w.Test(t.Context(), w.model.acceptTest(id))
			if err != nil || a.Status != 500 || a.Trigger != telltale.TriggerTest {
				t.Errorf("attempt %+v, %v; want a 500", a, err)
			}
			if took := time.Since(began); took != 20*time.Millisecond {
				t.Errorf("the test took %v", took)
			}
		}
		if got := w.model.states()[failed]; got != 2 {
			t.Errorf("%d failed deliveries; want 2: a test is one attempt", got)
		}
		w.stop()
	})
}

func TestATestThatIsGoneDisablesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1")
		w.reply(func(begun) (int, time.Duration) { return 410, 0 })
		if a, err := w.Test(t.Context(), w.model.acceptTest(id)); err != nil || a.Status != 410 {
			t.Errorf("attempt %+v, %v", a, err)
		}
		if !w.hook(id).Enabled {
			t.Error("the webhook is disabled")
		}
		w.stop()
	})
}

func TestATestGoesToTheNewestVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1")
		c := w.model.acceptTest(id)
		w.change(id, func(h *telltale.Webhook) { h.URL = "https://new.example.com/" })
		if _, err := w.Test(t.Context(), c); err != nil {
			t.Error(err)
		}
		if got := w.net.starts(id)[0].w.URL; got != "https://new.example.com/" {
			t.Errorf("it went to %s", got)
		}
		w.stop()
	})
}

// Whoever pressed goes away: the test is made and recorded all the same.
func TestATestOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1")
		w.reply(func(begun) (int, time.Duration) { return 200, 5 * time.Second })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.Test(ctx, w.model.acceptTest(id)); telltale.CodeOf(err) != telltale.Unavailable {
			t.Errorf("error %v; want Unavailable", err)
		}
		pass(5 * time.Second)
		w.want(map[telltale.State]int{succeeded: 1})
		w.stop()
	})
}

func TestAProjectsTestsWaitForEachOtherAndNobodyElses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		mine, theirs := w.add("prj_1"), w.add("prj_2")
		w.reply(func(begun) (int, time.Duration) { return 200, 5 * time.Second })
		took := make(chan time.Duration, 100)
		press := func(id telltale.WebhookID) {
			began := time.Now()
			if _, err := w.Test(t.Context(), w.model.acceptTest(id)); err != nil {
				t.Error(err)
			}
			took <- time.Since(began)
		}
		for range 2 * maxTests {
			go press(mine)
		}
		synctest.Wait()
		press(theirs)
		if d := <-took; d != 5*time.Second {
			t.Errorf("another project's test took %v", d)
		}
		pass(5 * time.Second)
		counts := map[time.Duration]int{}
		for range 2 * maxTests {
			counts[<-took]++
		}
		if counts[5*time.Second] != maxTests || counts[10*time.Second] != maxTests {
			t.Errorf("tests took %v; want half of them 5 s and half 10 s", counts)
		}
		w.stop()
	})
}

func TestAStopFinishesTestsAndGivesBackThoseThatWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1")
		w.reply(func(begun) (int, time.Duration) { return 200, 5 * time.Second })
		errs := make(chan error, 100)
		for range maxTests + 2 {
			go func() {
				_, err := w.Test(t.Context(), w.model.acceptTest(id))
				errs <- err
			}()
		}
		synctest.Wait()
		w.stop()
		refused := 0
		for range maxTests + 2 {
			if err := <-errs; telltale.CodeOf(err) == telltale.Unavailable {
				refused++
			} else if err != nil {
				t.Error(err)
			}
		}
		if refused != 2 {
			t.Errorf("%d tests were refused; want 2", refused)
		}
		w.want(map[telltale.State]int{succeeded: maxTests, waiting: 2})
		if _, err := w.Test(t.Context(), w.model.acceptTest(id)); telltale.CodeOf(err) != telltale.Unavailable {
			t.Errorf("a test after the stop: %v; want Unavailable", err)
		}
	})
}

// A stop that runs out of time leaves nobody waiting.
func TestATestEndsWithTheNode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1")
		w.reply(func(begun) (int, time.Duration) { return 200, time.Hour })
		failed := make(chan error)
		go func() {
			_, err := w.Test(t.Context(), w.model.acceptTest(id))
			failed <- err
		}()
		synctest.Wait()
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		if err := w.Stop(gone); err == nil {
			t.Error("the stop says that nothing was left")
		}
		if err := <-failed; telltale.CodeOf(err) != telltale.Unavailable {
			t.Errorf("error %v; want Unavailable", err)
		}
		<-w.ran
	})
}

func TestATestThatCannotBeRecordedIsNotSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		id := w.add("prj_1")
		w.breaks(func(method string) (error, bool) {
			if method == "RecordAttempts" {
				return unavailable, false
			}
			return nil, false
		})
		w.accept(1, id)
		pass(time.Second)
		before := len(w.net.starts(id))
		if _, err := w.Test(t.Context(), w.model.acceptTest(id)); telltale.CodeOf(err) != telltale.Unavailable {
			t.Errorf("error %v; want Unavailable", err)
		}
		pass(time.Second)
		if n := len(w.net.starts(id)) - before; n != 0 {
			t.Errorf("%d attempts", n)
		}
		w.breaks(nil)
		pass(time.Minute)
		w.want(map[telltale.State]int{succeeded: 2}) // the lane made up for it
		w.stop()
	})
}
