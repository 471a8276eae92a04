package auth

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestTriesRunOutAndComeBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var tries throttle
		few := allowance{burst: 5, every: 30 * time.Second}
		a, b, c := try{"a", few}, try{"b", few}, try{"c", few}
		for i := range few.burst {
			if wait := tries.take(a, b); wait != 0 {
				t.Fatalf("try %d waits %s", i+1, wait)
			}
		}
		if wait := tries.take(a); wait != few.every {
			t.Errorf("the next try waits %s; want %s", wait, few.every)
		}
		if wait := tries.take(c, a); wait != few.every {
			t.Errorf("a try of two waits %s for the one that has none left", wait)
		}
		for i := range few.burst {
			if wait := tries.take(c); wait != 0 {
				t.Errorf("try %d of another name waits %s", i+1, wait)
			}
		}
		time.Sleep(few.every) //nolint:forbidigo // in a bubble
		if wait := tries.take(a); wait != 0 {
			t.Errorf("after a while the try waits %s", wait)
		}
		if wait := tries.take(a); wait == 0 {
			t.Error("a while gives more than one try")
		}
		tries.giveBack(a)
		if wait := tries.take(a); wait != 0 {
			t.Errorf("a try that was given back waits %s", wait)
		}
		tries.forgive(a)
		for i := range few.burst {
			if wait := tries.take(a); wait != 0 {
				t.Errorf("try %d of who is forgiven waits %s", i+1, wait)
			}
		}
	})
}

func TestTheThrottleForgetsRatherThanGrow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var tries throttle
		for i := range 3 * throttleSize {
			tries.take(try{strconv.Itoa(i), emailTries})
		}
		if n := len(tries.tries); n > throttleSize+1 {
			t.Errorf("%d names are remembered; want at most %d", n, throttleSize+1)
		}
	})
}
