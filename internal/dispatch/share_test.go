package dispatch

import (
	"context"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"telltale.example/telltale"
)

// member is one of several nodes over a model store.
type member struct {
	*model
	beat telltale.Beat // under the model's mutex
}

func (m *member) Beat(ctx context.Context) (telltale.Beat, error) {
	if _, err := m.model.Beat(ctx); err != nil {
		return telltale.Beat{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.beat, nil
}

// TakeOver finds nothing: all members are alive.
func (m *member) TakeOver(context.Context) (int, error) { return 0, nil }

// cluster is several nodes over one store, which hear each other's hints.
type cluster struct {
	*world
	members []*member
	nodes   []*Dispatcher
	ran     chan error
	hints   atomic.Int64
}

// newCluster makes n nodes that poll every second.
func newCluster(t *testing.T, n int) *cluster {
	c := &cluster{world: newWorld(t, Config{}), ran: make(chan error, 100)}
	c.world.stop() // the node that is alone
	for range n {
		c.join(Config{})
	}
	c.rearrange()
	return c
}

// join starts another node, which the others do not know of yet.
func (c *cluster) join(config Config) *Dispatcher {
	m := &member{model: c.model}
	config.Store, config.Sender, config.Registerer = m, c.net, prometheus.NewRegistry()
	config.PollInterval, config.Jitter = time.Second, func() float64 { return 0.5 }
	config.Hint = func() {
		c.hints.Add(1)
		go c.look()
	}
	d := New(config)
	if !config.TestsOnly {
		c.members = append(c.members, m)
	}
	c.place()
	c.model.mu.Lock()
	c.nodes = append(c.nodes, d)
	c.model.mu.Unlock()
	go func() { c.ran <- d.Run(context.Background()) }()
	synctest.Wait()
	return d
}

// look has every node look for work, as a hint does.
func (c *cluster) look() {
	c.model.mu.Lock()
	nodes := slices.Clone(c.nodes)
	c.model.mu.Unlock()
	for _, d := range nodes {
		d.Look()
	}
}

// place has the coming heartbeats tell of the nodes that there are.
func (c *cluster) place() {
	c.model.mu.Lock()
	defer c.model.mu.Unlock()
	for i, m := range c.members {
		m.beat = telltale.Beat{Workers: len(c.members), Place: i}
	}
}

// rearrange has every node hear of the others.
func (c *cluster) rearrange() {
	c.place()
	for _, d := range c.nodes {
		d.Beat()
	}
	synctest.Wait()
}

func (c *cluster) stop() {
	c.t.Helper()
	for _, d := range c.nodes {
		if err := d.Stop(context.Background()); err != nil {
			c.t.Error(err)
		}
		if err := <-c.ran; err != nil {
			c.t.Error(err)
		}
	}
}

func (c *cluster) acceptAt(d *Dispatcher, n int, ids ...telltale.WebhookID) {
	for range n {
		c.model.accept(d, 700, ids...)
	}
	synctest.Wait()
}

func TestNodesTogetherUseAndKeepToTheConcurrency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		limits := map[telltale.WebhookID]int{}
		for _, n := range []int{1, 2, 4, 10} {
			limits[c.add("prj_1", func(h *telltale.Webhook) { h.Concurrency = n })] = n
		}
		c.reply(func(begun) (int, time.Duration) { return http.StatusOK, 100 * time.Millisecond })
		for id := range limits {
			c.acceptAt(c.nodes[0], 200, id) // whoever accepts leaves to the others what is theirs
		}
		pass(time.Second)
		for id, want := range limits {
			if got := c.atOnce(id); got != want {
				t.Errorf("%s had %d attempts at once; want %d", id, got, want)
			}
		}
		pass(30 * time.Second)
		c.want(map[telltale.State]int{succeeded: 800})
		if c.hints.Load() == 0 {
			t.Error("the others were not told of work")
		}
		c.stop()
	})
}

func TestWhatOthersSendIsSentSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4)
		var ids []telltale.WebhookID
		for range 20 {
			ids = append(ids, c.add("prj_1", func(h *telltale.Webhook) { h.Concurrency = 1 }))
		}
		pass(300 * time.Millisecond) // a node has just looked when it is told
		c.acceptAt(c.nodes[0], 1, ids...)
		pass(200 * time.Millisecond)
		c.want(map[telltale.State]int{succeeded: 20})
		c.stop()
	})
}

func TestNodesTogetherKeepToTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		id := c.add("prj_1", func(h *telltale.Webhook) { h.RateLimit, h.Concurrency = 10, 3 })
		c.acceptAt(c.nodes[1], 300, id)
		pass(20 * time.Second)
		starts := c.net.starts(id)
		checkRate(t, starts, 10, 2) // each may begin with one
		if len(starts) < 180 {
			t.Errorf("%d attempts in 20 seconds, at a rate of 10", len(starts))
		}
		c.stop()
	})
}

func TestHeldDeliveriesComeBackAtTheRateOfAllNodesTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		id := c.add("prj_1")
		c.model.mu.Lock()
		c.model.change(id, enabled(false))
		for range 100 {
			c.model.fit(c.model.owe(c.model.webhooks[id]))
		}
		on := c.model.change(id, enabled(true))
		c.model.mu.Unlock()
		for _, d := range c.nodes {
			d.Changed(on)
		}
		pass(5 * time.Second)
		checkRate(t, c.net.starts(id), telltale.ReleaseRate, 2)
		if n := len(c.net.starts(id)); n < 45 {
			t.Errorf("%d came back in 5 seconds", n)
		}
		c.stop()
	})
}

func TestANodeThatJoinsTakesItsShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		var ids []telltale.WebhookID
		for range 10 {
			ids = append(ids, c.add("prj_1", func(h *telltale.Webhook) { h.Concurrency = 1 }))
		}
		c.reply(func(begun) (int, time.Duration) { return http.StatusOK, 100 * time.Millisecond })
		c.acceptAt(c.nodes[0], 100, ids...) // the one node has all of them in memory
		pass(time.Second)
		c.join(Config{})
		c.rearrange()
		pass(200 * time.Millisecond) // what was under way has ended
		c.net.mu.Lock()
		clear(c.net.most)
		c.net.mu.Unlock()
		pass(time.Second)
		moved := 0
		for _, id := range ids {
			if c.atOnce(id) > 1 {
				t.Errorf("%s has %d attempts at once", id, c.atOnce(id))
			}
			if (&telltale.Webhook{ID: id, Concurrency: 1}).Share(2, 1).Concurrency == 1 {
				moved++
			}
		}
		if moved == 0 {
			t.Fatal("nothing is the new node's")
		}
		for _, d := range c.nodes {
			d.mu.Lock()
			kept := d.room.kept
			d.mu.Unlock()
			if kept == 0 {
				t.Error("a node has nothing to do")
			}
		}
		pass(20 * time.Second)
		c.want(map[telltale.State]int{succeeded: 1000})
		c.stop()
	})
}

func TestWhatANodeLeavesTheOthersTakeUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		var ids []telltale.WebhookID
		for range 6 {
			ids = append(ids, c.add("prj_1", func(h *telltale.Webhook) { h.Concurrency = 1 }))
		}
		c.acceptAt(c.nodes[0], 20, ids...)
		if err := c.nodes[1].Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := <-c.ran; err != nil {
			t.Fatal(err)
		}
		c.model.mu.Lock()
		c.nodes, c.members = c.nodes[:1], c.members[:1]
		c.model.mu.Unlock()
		c.rearrange()
		pass(5 * time.Second)
		c.want(map[telltale.State]int{succeeded: 120})
		c.stop()
	})
}

func TestOneNodeOfSeveralProbes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		id := c.add("prj_1", func(h *telltale.Webhook) { h.Concurrency = 9 })
		c.model.mu.Lock()
		c.model.unwatched = true // it does not know which node was told of what
		c.model.mu.Unlock()
		c.reply(func(begun) (int, time.Duration) { return http.StatusInternalServerError, 300 * time.Millisecond })
		c.acceptAt(c.nodes[0], 100, id)
		pass(10 * time.Second)
		if got := c.hook(id).Standing.Breaker.State; got != telltale.BreakerOpen {
			t.Fatalf("the breaker is %v", got)
		}
		c.net.mu.Lock()
		clear(c.net.most)
		c.net.mu.Unlock()
		before := len(c.net.starts(id))
		pass(3 * time.Minute)
		if n := len(c.net.starts(id)) - before; n == 0 || c.atOnce(id) != 1 {
			t.Errorf("%d probes, %d at once", n, c.atOnce(id))
		}
		c.reply(func(begun) (int, time.Duration) { return http.StatusOK, 10 * time.Millisecond })
		pass(2 * time.Hour)
		c.want(map[telltale.State]int{succeeded: 100})
		c.stop()
	})
}

func TestANodeThatSendsTestsOnlyLeavesTheRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		id := c.add("prj_1")
		api := c.join(Config{TestsOnly: true})
		c.rearrange()
		if api.Leads() || !c.nodes[0].Leads() {
			t.Error("jobs are for the one that sends")
		}
		if api.Reserve(c.hook(id)) {
			t.Error("it takes room")
		}
		pass(300 * time.Millisecond)
		hints := c.hints.Load()
		c.acceptAt(api, 5, id)
		api.Due(c.hook(id))
		pass(100 * time.Millisecond)
		c.want(map[telltale.State]int{succeeded: 5})
		if c.hints.Load() == hints {
			t.Error("it tells nobody")
		}
		a, err := api.Test(context.Background(), c.model.acceptTest(id))
		if err != nil || !a.Success() {
			t.Errorf("a test: %+v, %v", a, err)
		}
		if err := api.Ready(); err != nil {
			t.Error(err)
		}
		c.stop()
	})
}

func TestAPausedNodeSendsNothingUntilItIsResumed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 0)
		id := c.add("prj_1")
		d := c.join(Config{Paused: true})
		c.rearrange()
		if d.Leads() || d.Reserve(c.hook(id)) {
			t.Error("a paused node runs jobs, or takes room")
		}
		c.acceptAt(d, 5, id)
		d.Due(c.hook(id))
		d.Look()
		pass(5 * time.Minute)
		c.want(map[telltale.State]int{waiting: 5})
		if a, err := d.Test(context.Background(), c.model.acceptTest(id)); err != nil || !a.Success() {
			t.Errorf("a test: %+v, %v", a, err)
		}
		if err := d.Ready(); err != nil || !d.Paused() {
			t.Errorf("a node that is paused is ready for what it does: %v", err)
		}
		if !d.Resume() || d.Paused() || d.Resume() {
			t.Error("it was not resumed, or twice")
		}
		if err := d.Ready(); err != nil {
			t.Errorf("it is blamed for not having looked while it was paused: %v", err)
		}
		pass(time.Second)
		c.want(map[telltale.State]int{succeeded: 6})
		if !d.Leads() {
			t.Error("it runs no jobs")
		}
		c.stop()
	})
}

func TestTheFirstNodeLeads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		if !c.nodes[0].Leads() || c.nodes[1].Leads() {
			t.Error("it is not the first node, and it alone, that leads")
		}
		c.breaks(func(method string) (error, bool) { return unavailable, false })
		pass(telltale.LeaseGrace + time.Second)
		if c.nodes[0].Leads() {
			t.Error("a node leads whose heartbeats nobody hears")
		}
		c.breaks(nil)
		pass(telltale.BeatInterval)
		c.stop()
	})
}
