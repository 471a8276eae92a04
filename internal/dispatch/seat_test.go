package dispatch

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"telltale.example/telltale"
)

// seat is a node of a simulation: a dispatcher, its lease, and the way to the store
// and to the receivers, which can be cut or stand still.
type seat struct {
	*simulation
	dispatcher *Dispatcher
	name       int // of the process, for good
	number     int // of the lease; another after the old one was taken over
	until      time.Time
	gone       bool                           // others took over, or it left
	dead       bool                           // the process is no more
	heard      map[telltale.WebhookID]version // what Changed told it
	calls      map[string]uint64
	ran        chan error

	frozen  time.Time // the process stands still until then
	cut     time.Time // it does not reach the store until then
	diedAt  time.Time
	dice    *rand.Rand
	doubted []telltale.ClaimRef // claims of an unknown outcome, which the store itself gives back
}

// version is what a node was told of a webhook, and when.
type version struct {
	number int64
	at     time.Time
}

// sit starts a node.
func (s *simulation) sit() *seat {
	s.turn.Lock()
	s.seats++
	n := &seat{
		simulation: s, name: s.seats, heard: map[telltale.WebhookID]version{}, calls: map[string]uint64{},
		ran: make(chan error, 1), dice: rand.New(rand.NewPCG(s.seed, uint64(1000+s.seats))),
	}
	n.join()
	s.nodes = append(s.nodes, n)
	s.turn.Unlock()
	c := s.config
	c.Store, c.Sender, c.Registerer, c.Node = n, n, prometheus.NewRegistry(), telltale.NodeID(fmt.Sprint("node ", n.name))
	c.Hint = func() {
		s.later(time.Duration(1+n.name)*time.Millisecond, func() {
			for _, other := range s.present() {
				if other != n && other.listens() {
					other.dispatcher.Look()
				}
			}
		})
	}
	n.dispatcher = New(c)
	go func() { n.ran <- n.dispatcher.Run(context.Background()) }()
	return n
}

// join begins a lease.
func (n *seat) join() {
	n.leases++
	n.number, n.gone, n.until = n.leases, false, time.Now().Add(telltale.Lease)
	n.shifted = time.Now()
}

// away reports whether the node hears nothing now.
func (n *seat) away(now time.Time) bool {
	return n.dead || n.frozen.After(now) || n.cut.After(now)
}

// listens reports whether the node hears what somebody tells it who has not the turn.
func (n *seat) listens() bool {
	n.turn.Lock()
	defer n.turn.Unlock()
	return !n.away(time.Now())
}

// die ends the process at once: what it had in memory is lost, its lease runs on.
func (n *seat) die() {
	n.turn.Lock()
	n.dead, n.diedAt = true, time.Now()
	n.turn.Unlock()
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	n.dispatcher.Stop(gone)
	<-n.ran
}

// leave ends the process in good order.
func (n *seat) leave() {
	if err := n.dispatcher.Stop(context.Background()); err != nil && !n.disturbed(time.Minute) {
		n.violate("a stop left something: %v", err)
	}
	if err := <-n.ran; err != nil {
		n.violate("%v", err)
	}
	n.turn.Lock()
	n.dead, n.gone, n.diedAt, n.shifted = true, true, time.Now(), time.Now()
	n.turn.Unlock()
}

// latency is how long a way takes. No two of them are the same, so that two things
// seldom happen at once, whose order the scheduler would choose.
func latency(most time.Duration, of ...any) time.Duration {
	hash := fnv.New64a()
	fmt.Fprintln(hash, of...)
	return 50*time.Microsecond + time.Duration(hash.Sum64()%uint64(most))
}

// wait lets time pass, unless ctx ends.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// thaw waits while the process stands still, and a moment of its own for what is asked of it.
func (n *seat) thaw(ctx context.Context, of ...any) bool {
	for {
		n.turn.Lock()
		left := time.Until(n.frozen)
		n.turn.Unlock()
		if left <= 0 {
			return true
		}
		if !wait(ctx, left+latency(time.Millisecond, n.name, of)) {
			return false
		}
	}
}

// callLimit is how long a call waits for a store that does not answer.
const callLimit = 5 * time.Second

// call makes a call of the store: there and back takes time, and either way may be
// cut, or stand still with the process.
func (n *seat) call(ctx context.Context, method string, do func() error, undo func()) error {
	n.turn.Lock()
	n.calls[method]++
	count := n.calls[method]
	n.turn.Unlock()
	lateness := func() bool {
		return !wait(ctx, latency(3*time.Millisecond, n.seed, n.name, method, count)) || !n.thaw(ctx, method, count)
	}
	if lateness() {
		return unavailable
	}
	n.turn.Lock()
	now := time.Now()
	if n.dead {
		n.turn.Unlock()
		return unavailable
	}
	if n.cut.After(now) || n.outage.After(now) {
		n.turn.Unlock()
		wait(ctx, latency(callLimit, n.seed, n.name, method, count, "in vain"))
		n.turn.Lock()
		if now = time.Now(); n.dead || n.cut.After(now) || n.outage.After(now) {
			n.turn.Unlock()
			return unavailable
		}
	}
	fails := n.faulty.After(now) && n.dice.IntN(4) == 0
	unknown := fails && n.dice.IntN(2) == 0
	if fails && !unknown {
		n.turn.Unlock()
		return unavailable
	}
	n.model.node = n.number
	if method != "ReleaseClaims" && len(n.doubted) > 0 { // whose outcome is known by now
		doubted := n.doubted
		n.doubted = nil
		if err := n.model.ReleaseClaims(ctx, doubted); err != nil {
			n.violate("%v", err)
		}
	}
	err := do()
	if unknown && undo != nil {
		undo()
	}
	n.turn.Unlock()
	if unknown {
		n.note("unknown outcomes", 1)
		err = unavailable
	}
	if lateness() {
		return unavailable
	}
	return err
}

func (n *seat) DueWebhooks(ctx context.Context) (list []telltale.LaneDue, err error) {
	err = n.call(ctx, "DueWebhooks", func() (err error) { list, err = n.model.DueWebhooks(ctx); return err }, nil)
	return list, err
}

func (n *seat) ClaimDue(ctx context.Context, lanes []telltale.LaneRoom) (answers []telltale.LaneClaims, err error) {
	err = n.call(ctx, "ClaimDue", func() (err error) { answers, err = n.model.ClaimDue(ctx, lanes); return err }, func() {
		for _, a := range answers {
			for _, c := range a.Claims {
				n.doubted = append(n.doubted, c.ClaimRef)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return answers, nil
}

func (n *seat) ReleaseClaims(ctx context.Context, claims []telltale.ClaimRef) error {
	return n.call(ctx, "ReleaseClaims", func() error { return n.model.ReleaseClaims(ctx, claims) }, nil)
}

func (n *seat) RecordAttempts(ctx context.Context, results []telltale.Result) (recorded telltale.Recorded, err error) {
	err = n.call(ctx, "RecordAttempts", func() error {
		n.judgeOutcomes(results)
		var err error
		if recorded, err = n.model.RecordAttempts(ctx, results); err != nil {
			return err
		}
		n.judgeHealth(results, recorded)
		for _, w := range recorded.Changed {
			n.spread(n, w)
		}
		return nil
	}, nil)
	if err != nil {
		return telltale.Recorded{}, err
	}
	for _, w := range recorded.Changed { // which the dispatcher learns with the answer
		n.hears(w)
	}
	return recorded, nil
}

// hears notes that the node knows of the webhook from now on.
func (n *seat) hears(w *telltale.Webhook) {
	n.turn.Lock()
	defer n.turn.Unlock()
	if n.heard[w.ID].number < w.Version {
		n.heard[w.ID] = version{w.Version, time.Now()}
	}
}

func (n *seat) TakeOver(ctx context.Context) (taken int, err error) {
	err = n.call(ctx, "TakeOver", func() error {
		now := time.Now()
		living := map[int]bool{}
		for _, other := range n.nodes {
			if !other.gone && other.until.Before(now) {
				other.gone, n.shifted = true, now
				n.note("leases that ended", 1)
			}
			if !other.gone {
				living[other.number] = true
			}
		}
		n.model.gone = func(number int) bool { return !living[number] }
		taken, err = n.model.TakeOver(ctx)
		n.note("taken over", taken)
		return err
	}, nil)
	return taken, err
}

func (n *seat) Beat(ctx context.Context) (beat telltale.Beat, err error) {
	err = n.call(ctx, "Beat", func() error {
		now := time.Now()
		if gap := now.Sub(n.beatAt); !n.beatAt.IsZero() && gap > telltale.OutageGap {
			beat.Outage, n.model.outageEnd = gap, now
			n.note("outages of our own", 1)
		}
		n.beatAt = now
		if n.gone {
			n.note("nodes that woke after their lease", 1)
			n.join()
		}
		n.until = now.Add(telltale.Lease)
		var living []int
		for _, other := range n.nodes {
			if !other.gone && !other.until.Before(now) {
				living = append(living, other.number)
			}
		}
		slices.Sort(living)
		if !slices.Equal(living, n.living) {
			n.living, n.shifted = living, now
		}
		beat.Workers, beat.Place = len(living), slices.Index(living, n.number)
		return nil
	}, nil)
	return beat, err
}

// Send is the way to the receivers. What must never happen is watched for here.
func (n *seat) Send(ctx context.Context, c *telltale.Claim, w *telltale.Webhook) telltale.Attempt {
	now := time.Now()
	n.turn.Lock()
	if n.dead {
		n.turn.Unlock()
		return telltale.Attempt{Number: c.Attempt, Trigger: c.Trigger, StartedAt: now, Error: telltale.ErrorInterrupted}
	}
	n.watch(n, c, w, now)
	status, after, again := n.answer(c, w.ID, now)
	n.trace("%s begins %s %d to %s: %d", c.Trigger, c.DeliveryID, c.Attempt, w.ID, status)
	if !c.Test {
		n.flying[w.ID]++
	}
	n.turn.Unlock()

	a := telltale.Attempt{Number: c.Attempt, Trigger: c.Trigger, StartedAt: now, Status: status, RetryAfter: again}
	interrupted := !wait(ctx, after)
	n.turn.Lock()
	if !c.Test {
		n.flying[w.ID]--
	}
	n.turn.Unlock()
	switch {
	case interrupted || !n.thaw(ctx, c.DeliveryID, c.Attempt):
		a.Status, a.Error = 0, telltale.ErrorInterrupted
	case a.Success():
	case status == down:
		a.Error = telltale.ErrorTimeout
	case status == barred:
		a.Status, a.Error = 0, telltale.ErrorBlockedAddress
	default:
		a.Error = telltale.ErrorHTTPStatus
	}
	a.Duration = time.Since(now)
	return a
}

// answer is by the receiver's mood, the delivery and the attempt alone.
func (s *simulation) answer(c *telltale.Claim, id telltale.WebhookID, now time.Time) (status int, after, again time.Duration) {
	hash := fnv.New64a()
	fmt.Fprint(hash, s.seed, c.DeliveryID, c.Attempt)
	dice := rand.New(rand.NewPCG(hash.Sum64(), 3))
	quick := time.Duration(1 + dice.IntN(int(100*time.Millisecond)))
	switch mood := s.moods[id]; {
	case mood == moodDown:
		return down, 5*time.Second - quick, 0
	case mood == moodErrors, mood == moodFlaky && dice.IntN(2) == 0:
		return http.StatusInternalServerError, quick, 0
	case mood == moodSlow:
		return http.StatusOK, 700*time.Millisecond + quick, 0
	case mood == moodBusy && dice.IntN(3) > 0:
		return []int{http.StatusTooManyRequests, http.StatusServiceUnavailable}[dice.IntN(2)], quick, []time.Duration{0, time.Second, 3 * time.Minute, 24 * time.Hour}[dice.IntN(4)]
	case mood == moodLeaving && dice.IntN(5) == 0:
		return http.StatusGone, quick, 0
	case mood == moodPrivate && dice.IntN(4) > 0:
		return barred, quick / 100, 0
	}
	return http.StatusOK, quick, 0
}

// Moods of receivers.
const (
	moodHealthy = iota
	moodFlaky
	moodDown
	moodErrors
	moodSlow
	moodBusy // 429 and 503
	moodLeaving
	moodPrivate // may not be dialled, as a rule
	moods
)
