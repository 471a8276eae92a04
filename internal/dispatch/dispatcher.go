package dispatch

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"telltale.example/telltale"
)

// Store is what the dispatcher asks of storage.
type Store interface {
	DueWebhooks(ctx context.Context) ([]telltale.LaneDue, error)
	ClaimDue(ctx context.Context, lanes []telltale.LaneRoom) ([]telltale.LaneClaims, error)
	RecordAttempts(ctx context.Context, results []telltale.Result) (telltale.Recorded, error)
	ReleaseClaims(ctx context.Context, claims []telltale.ClaimRef) error
	TakeOver(ctx context.Context) (int, error)
	Beat(ctx context.Context) (telltale.Beat, error)
}

// Sender makes one attempt for the claim, to the webhook as it is now, and
// returns within the webhook's timeout. An end of ctx interrupts the attempt.
type Sender interface {
	Send(ctx context.Context, c *telltale.Claim, w *telltale.Webhook) telltale.Attempt
}

// What a Config with zeros means.
const (
	DefaultWorkers      = 256
	DefaultPollInterval = 15 * time.Second
)

// Config is what a dispatcher needs. Store and Sender are required.
type Config struct {
	Store  Store
	Sender Sender
	Node   telltale.NodeID

	// TestsOnly has the node send tests and nothing else: others take whatever is
	// accepted here.
	TestsOnly bool
	// Paused has the node do the same until [Dispatcher.Resume].
	Paused bool
	// Workers is how many attempts are under way at once; while receivers hang,
	// twice as many more may be. 0 stands for [DefaultWorkers].
	Workers int
	// PollInterval is how often the store is asked for work that nobody told of:
	// a second where nodes share a store; 0 for [DefaultPollInterval].
	PollInterval time.Duration
	// Gather is how long results gather for the next transaction after one that had
	// several: over a network it costs about the same for one as for fifty. Nobody
	// waits for them. Of several workers each gathers for so many times that. 0 writes
	// what there is.
	Gather time.Duration
	// Hint hears that there is work in the store that this node leaves to others;
	// nil if there are none. It is called under the dispatcher's mutex, and does not
	// block.
	Hint func()

	Log        *slog.Logger          // nil for nowhere
	Registerer prometheus.Registerer // nil for nowhere
	Jitter     func() float64        // in [0, 1), by any goroutine; nil for math/rand/v2
}

// StopTimeout is how long [Dispatcher.Stop] takes at most. Attempts are
// interrupted a little earlier, so that this can be recorded.
const (
	StopTimeout   = 30 * time.Second
	recordReserve = 2 * time.Second
)

// Dispatcher is one node's. Make one with [New]; nothing is attempted before
// [Dispatcher.Run].
type Dispatcher struct {
	store        Store
	sender       Sender
	node         telltale.NodeID
	log          *slog.Logger
	metrics      *metrics
	jitter       func() float64
	testsOnly    bool
	pollInterval time.Duration
	gather       time.Duration // as [Config.Gather]
	hint         func()
	lookSignal   chan struct{}
	beatSignal   chan struct{}

	firstBeat chan struct{} // closed by the first heartbeat
	resumed   chan struct{} // closed when the node is not, or no more, paused
	askSignal chan struct{}
	drained   chan struct{} // closed when a stop finds nothing left
	finished  chan struct{} // closed when Run is through

	workers sync.WaitGroup
	sends   context.Context    // of attempts
	stopNow context.CancelFunc // interrupts them
	quit    context.CancelFunc // ends the loops

	mu       sync.Mutex
	paused   bool
	running  bool
	stopping bool
	ending   bool          // workers end
	beat     time.Time     // when the last one was that the store took
	known    telltale.Beat // what it told
	looked   time.Time

	lanes    map[telltale.WebhookID]*lane
	projects map[telltale.ProjectID]*project
	queues   [rings]fifo[*project] // projects in turn
	turn     int
	budgets  [budgets]budget
	room     room
	pile     pile

	wakes     wakes
	timer     *time.Timer
	timerAt   time.Time // zero: not set
	relieveAt time.Time
	askFrom   time.Time // the store is not asked before
	asking    []*lane   // lanes that the claim loop is to ask for
	asked     int       // slots for which it asks

	starting       []*attempt
	idle           []chan *attempt
	underWay       int      // attempts and tests
	oldest, newest *attempt // on the first budget
}

// New makes a dispatcher.
func New(c Config) *Dispatcher {
	d := &Dispatcher{
		store: c.Store, sender: c.Sender, node: c.Node, log: c.Log, jitter: c.Jitter, testsOnly: c.TestsOnly, pollInterval: c.PollInterval, gather: c.Gather,
		hint: c.Hint, lookSignal: make(chan struct{}, 1), beatSignal: make(chan struct{}, 1), firstBeat: make(chan struct{}), resumed: make(chan struct{}), paused: c.Paused, askSignal: make(chan struct{}, 1), drained: make(chan struct{}), finished: make(chan struct{}),
		lanes: map[telltale.WebhookID]*lane{}, projects: map[telltale.ProjectID]*project{},
		pile: pile{signal: make(chan struct{}, 1)},
	}
	if !d.paused {
		close(d.resumed)
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.hint == nil {
		d.hint = func() {}
	}
	if d.jitter == nil {
		d.jitter = rand.Float64
	}
	if d.pollInterval <= 0 {
		d.pollInterval = DefaultPollInterval
	}
	workers := c.Workers
	if workers <= 0 {
		workers = DefaultWorkers
	}
	d.budgets[budgetFirst].size, d.budgets[budgetSlow].size = workers, 2*workers
	d.metrics = newMetrics(c.Registerer, d)
	return d
}

// Run works until [Dispatcher.Stop], or until ctx ends, which stops it too. It
// is called once. It gives what Stop gives.
func (d *Dispatcher) Run(ctx context.Context) error {
	d.mu.Lock()
	if d.stopping {
		d.mu.Unlock()
		return nil
	}
	// Whatever is under way when ctx ends is finished first.
	base := context.WithoutCancel(ctx)
	loops, quit := context.WithCancel(base)
	d.quit = quit
	d.sends, d.stopNow = context.WithCancel(base)
	d.running = true
	d.timer = time.AfterFunc(time.Hour, d.tick)
	d.timer.Stop()
	d.mu.Unlock()

	var all sync.WaitGroup
	work := []func(context.Context){d.heartbeat, d.record}
	if !d.testsOnly {
		work = append(work, d.poll, d.claim)
	}
	for _, loop := range work {
		all.Go(func() { loop(loops) })
	}
	var err error
	select {
	case <-ctx.Done():
		err = d.stop(base)
	case <-loops.Done():
	}
	all.Wait()
	d.workers.Wait()
	close(d.finished)
	return err
}

// Stop ends the dispatcher: no attempt begins, claims that wait go back to the
// store, attempts under way end and are recorded. It takes no longer than
// [StopTimeout], or until ctx ends. Its error says what was left; the next start
// finds it.
func (d *Dispatcher) Stop(ctx context.Context) error {
	d.mu.Lock()
	if !d.running {
		d.stopping = true
		d.mu.Unlock()
		return nil
	}
	d.mu.Unlock()
	err := d.stop(ctx)
	<-d.finished
	return err
}

func (d *Dispatcher) stop(ctx context.Context) error {
	d.mu.Lock()
	d.stopping = true
	for _, l := range d.lanes {
		d.giveBack(l)
	}
	d.abandonTests()
	d.checkDrained()
	d.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, StopTimeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	interrupt := time.AfterFunc(time.Until(deadline)-recordReserve, d.stopNow)
	defer interrupt.Stop()
	select {
	case <-d.drained:
	case <-ctx.Done():
	}
	d.stopNow()
	d.quit()

	d.mu.Lock()
	defer d.mu.Unlock()
	d.ending = true
	for _, inbox := range d.idle {
		close(inbox)
	}
	d.idle = nil
	d.timer.Stop()
	if left := d.left(); left != (leftover{}) {
		return fmt.Errorf("dispatch: stopped with %d attempts under way, %d results not recorded, %d claims not given back", left.attempts, left.results, left.claims)
	}
	return nil
}

// leftover is what a stop waits for.
type leftover struct{ attempts, results, claims int }

func (d *Dispatcher) left() leftover {
	return leftover{d.underWay, d.pile.unrecorded, d.pile.returning + d.asked}
}

// checkDrained ends the wait of a stop once nothing is left.
func (d *Dispatcher) checkDrained() {
	if !d.stopping || d.left() != (leftover{}) {
		return
	}
	select {
	case <-d.drained:
	default:
		close(d.drained)
	}
}
