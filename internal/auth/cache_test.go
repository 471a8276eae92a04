package auth

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestCacheForgetsInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache[string, int](10*time.Second, 100)
		keep := func(key string, v int) {
			_, _, generation := c.get(key)
			c.put(key, v, generation)
		}
		has := func(key string) bool { _, ok, _ := c.get(key); return ok }

		keep("a", 1)
		<-time.After(4 * time.Second)
		keep("b", 2)
		<-time.After(time.Second)
		keep("c", 3) // begins a batch
		if !has("a") || !has("b") || !has("c") {
			t.Error("something was forgotten within half of its life")
		}
		<-time.After(5 * time.Second)
		if has("a") || has("b") {
			t.Error("something was remembered for longer than its life")
		}
		if !has("c") {
			t.Error("c was forgotten within its life")
		}
		<-time.After(5 * time.Second)
		if has("c") {
			t.Error("c was remembered for longer than its life")
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	c := newCache[int, int](time.Hour, 10)
	for i := range 1000 {
		c.put(i, i, 0)
		if n := len(c.fresh.entries) + len(c.old.entries); n > 20 {
			t.Fatalf("%d entries after %d", n, i)
		}
		if v, ok, _ := c.get(i); !ok || v != i {
			t.Fatalf("the newest entry %d is gone", i)
		}
	}
}

func TestCacheDoesNotKeepWhatWasLookedUpBeforeItWasForgotten(t *testing.T) {
	t.Parallel()
	c := newCache[string, int](time.Hour, 10)
	_, _, generation := c.get("a")
	c.forget("a") // while the store is being asked
	c.put("a", 1, generation)
	if _, ok, _ := c.get("a"); ok {
		t.Error("the old value came back")
	}
	_, _, generation = c.get("a")
	c.put("a", 2, generation)
	if v, ok, _ := c.get("a"); !ok || v != 2 {
		t.Error("the new value is not kept")
	}
	c.clear()
	if _, ok, _ := c.get("a"); ok {
		t.Error("it was not cleared")
	}
}
