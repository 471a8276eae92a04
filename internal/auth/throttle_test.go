package auth

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTriesRunOutAndComeBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var tries throttle
		for i := range loginBurst {
			if wait := tries.take("a", "b"); wait != 0 {
				t.Fatalf("try %d waits %s", i+1, wait)
			}
		}
		if wait := tries.take("a"); wait != loginEvery {
			t.Errorf("the next try waits %s; want %s", wait, loginEvery)
		}
		if wait := tries.take("c"); wait != 0 {
			t.Errorf("another name waits %s", wait)
		}
		time.Sleep(loginEvery)
		if wait := tries.take("a"); wait != 0 {
			t.Errorf("after a while the try waits %s", wait)
		}
		if wait := tries.take("a"); wait == 0 {
			t.Error("a while gives more than one try")
		}
		tries.forgive("a")
		if wait := tries.take("a"); wait != 0 {
			t.Errorf("who is forgiven waits %s", wait)
		}
	})
}
