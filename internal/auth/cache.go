package auth

import (
	"sync"
	"time"
)

// cache remembers what was looked up for a short while: an entry for between
// half of its life and all of it, and never more than twice its size of them.
// It needs no list and no timer, since it forgets by the batch: when the fresh
// batch is full or half of its life is over, it becomes the old one, and the
// old one is dropped.
type cache[K comparable, V any] struct {
	life time.Duration
	size int

	mu         sync.RWMutex
	fresh, old batch[K, V]
	generation uint64 // rises when something is forgotten
}

type batch[K comparable, V any] struct {
	begun   time.Time
	entries map[K]V
}

func newCache[K comparable, V any](life time.Duration, size int) *cache[K, V] {
	return &cache[K, V]{life: life, size: size}
}

// get also gives the generation, which [cache.put] wants.
func (c *cache[K, V]) get(key K) (v V, ok bool, generation uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, b := range [...]*batch[K, V]{&c.fresh, &c.old} {
		if v, ok = b.entries[key]; ok && time.Since(b.begun) < c.life {
			return v, true, c.generation
		}
	}
	var none V
	return none, false, c.generation
}

// put keeps what was looked up after a get that gave the generation. If
// anything was forgotten in between, the value may be older than that and is
// not kept.
func (c *cache[K, V]) put(key K, v V, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation != c.generation {
		return
	}
	if c.fresh.entries == nil || len(c.fresh.entries) >= c.size || time.Since(c.fresh.begun) >= c.life/2 {
		c.old = c.fresh
		c.fresh = batch[K, V]{begun: time.Now(), entries: make(map[K]V)}
	}
	c.fresh.entries[key] = v
}

func (c *cache[K, V]) forget(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.fresh.entries, key)
	delete(c.old.entries, key)
	c.generation++
}

func (c *cache[K, V]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fresh, c.old = batch[K, V]{}, batch[K, V]{}
	c.generation++
}
