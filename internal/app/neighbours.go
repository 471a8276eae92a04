package app

import (
	"sync/atomic"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/config"
	"telltale.example/telltale/internal/dispatch"
	"telltale.example/telltale/internal/imports"
	"telltale.example/telltale/internal/replay"
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

// neighbours tells the parts of a node what its store hears of other nodes. The
// store is there before the parts, and what is heard until then they read from it.
type neighbours struct{ known atomic.Pointer[listeners] }

type listeners struct {
	dispatcher *dispatch.Dispatcher
	replays    *replay.Runner
	imports    *imports.Runner
}

func (n *neighbours) know(d *dispatch.Dispatcher, r *replay.Runner, i *imports.Runner) {
	n.known.Store(&listeners{d, r, i})
}

func (n *neighbours) changed(w *telltale.Webhook) {
	if p := n.known.Load(); p != nil {
		p.dispatcher.Changed(w)
	}
}

func (n *neighbours) work() {
	if p := n.known.Load(); p != nil {
		p.dispatcher.Look()
		p.replays.Wake()
		p.imports.Wake()
	}
}
