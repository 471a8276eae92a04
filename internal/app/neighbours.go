package app

import (
	"sync/atomic"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/config"
	"telltale.example/telltale/internal/dispatch"
)

// lookInterval is how often what may wait in the store is looked for: where nodes
// share it, anything may have been left by another one, whose hint is not sure to
// arrive. Zero stands for the parts' own interval.
func lookInterval(cfg config.Config) time.Duration {
	if Shared(cfg) {
		return time.Second
	}
	return 0
}

// gatherFor is how long results gather for a transaction, times the number of nodes
// that send: where it goes over a network, and other nodes make some too, there
// should be few. What a crash finds unrecorded in this time is sent once more.
func gatherFor(cfg config.Config) time.Duration {
	if Shared(cfg) {
		return 20 * time.Millisecond
	}
	return 0
}

// hinter is a store that other nodes can be told of work through.
type hinter interface{ HintWork() }

// hintOf gives what tells the others, or nil if there are none.
func hintOf(store telltale.Store) func() {
	if s, ok := store.(hinter); ok {
		return s.HintWork
	}
	return nil
}

// leadsOf gives what tells whether this node does now what one does for all.
func leadsOf(cfg config.Config, d *dispatch.Dispatcher) func() bool {
	if Shared(cfg) {
		return d.Leads
	}
	return func() bool { return !d.Paused() }
}

// neighbours tells the dispatcher, and who lets callers in, what the store hears of
// other nodes. The store is there before them, and what is heard until then is found
// in the store.
type neighbours struct {
	dispatcher atomic.Pointer[dispatch.Dispatcher]
	keys       atomic.Pointer[auth.Keys]
}

func (n *neighbours) configured() {
	if k := n.keys.Load(); k != nil {
		k.ForgetAll()
	}
}

func (n *neighbours) changed(w *telltale.Webhook) {
	if d := n.dispatcher.Load(); d != nil {
		d.Changed(w)
	}
}

func (n *neighbours) nodes() {
	if d := n.dispatcher.Load(); d != nil {
		d.Beat()
	}
}

func (n *neighbours) work() {
	if d := n.dispatcher.Load(); d != nil {
		d.Look()
	}
}
