package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"telltale.example/telltale"
)

// parts is a store with erasures of so many parts each.
type parts struct {
	mu     sync.Mutex
	left   map[telltale.ErasureID]int
	failed int // calls that still fail
	calls  int
}

func (p *parts) OpenErasures(context.Context) (open []telltale.Erasure, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, n := range p.left {
		if n > 0 {
			open = append(open, telltale.Erasure{ID: id, Events: -n})
		}
	}
	return open, nil
}

func (p *parts) AdvanceErasure(_ context.Context, id telltale.ErasureID) (telltale.Erasure, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls++; p.failed > 0 {
		p.failed--
		return telltale.Erasure{}, errors.New("not now")
	}
	p.left[id]--
	e := telltale.Erasure{ID: id, Events: -p.left[id]}
	if p.left[id] == 0 {
		e.CompletedAt = time.Now()
	}
	return e, nil
}

// pass lets the time of a bubble go by.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestErasuresThatAreOpenAreBroughtToTheirEnd(t *testing.T) {
	for _, test := range []struct {
		name   string
		failed int
		within time.Duration
	}{
		{"at a start, and those that come later", 0, 100 * eraseRest},
		{"after the store failed for a while", 3, 100*eraseRest + 3*eraseInterval},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				store := &parts{left: map[telltale.ErasureID]int{"ers_1": 20, "ers_2": 3}, failed: test.failed}
				go func() { ended <- erase(ctx, store, func() bool { return true }, slog.New(slog.DiscardHandler)) }()
				pass(test.within)
				store.mu.Lock()
				if store.left["ers_1"]+store.left["ers_2"] > 0 {
					t.Errorf("%v are left", store.left)
				}
				store.left["ers_3"] = 1
				store.mu.Unlock()
				pass(eraseInterval + eraseRest)
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if store.left["ers_3"] > 0 {
					t.Error("one that came later is left")
				}
				if store.calls != 24+test.failed {
					t.Errorf("the store was asked %d times", store.calls)
				}
			})
		})
	}
}
