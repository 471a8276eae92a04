package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"telltale.example/telltale"
)

// retryPause is how long a loop waits after the store failed.
const retryPause = time.Second

// heartbeat is the loop that says that the node is alive.
func (d *Dispatcher) heartbeat(ctx context.Context) {
	for {
		wait := telltale.BeatInterval
		asked := time.Now() // a lease runs from before the answer
		beat, err := d.store.Beat(ctx)
		if err != nil {
			wait = retryPause
			if ctx.Err() == nil {
				d.log.Warn("dispatch: the heartbeat failed", "error", err)
			}
		} else {
			d.beaten(asked, beat)
		}
		if !sleepOr(ctx, wait, d.beatSignal) {
			return
		}
	}
}

// Beat says that nodes may have come or gone: the node's place among them, and with
// it what it sends, is asked for at once and not with the next heartbeat.
func (d *Dispatcher) Beat() { signal(d.beatSignal) }

// Leads reports whether this node does now what one node does for all: replays,
// imports, erasures and the retention. It is the first of those that send, as long
// as its heartbeats are heard.
func (d *Dispatcher) Leads() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.alive(time.Now()) && d.known.Workers > 0 && d.known.Place == 0 && !d.restrained()
}

func (d *Dispatcher) beaten(asked time.Time, beat telltale.Beat) {
	if beat.Outage > 0 {
		d.log.Info("dispatch: back after an outage", "outage", beat.Outage)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if d.beat.IsZero() {
		close(d.firstBeat)
	} else if late := now.Sub(d.beat); late > telltale.Lease {
		// The lease may have ended before the store heard this, even if it was asked
		// in time: the claims that wait in the lanes may be others' by now. Whichever
		// are not, the store takes back.
		d.log.Warn("dispatch: the lease had ended; waiting claims are given back", "since", late)
		for _, l := range d.lanes {
			d.giveBack(l)
		}
	}
	d.beat = asked
	if d.known.Workers != beat.Workers || d.known.Place != beat.Place {
		if max(d.known.Workers, beat.Workers) > 1 {
			d.log.Info("dispatch: the nodes that send, and the place among them", "nodes", beat.Workers, "place", beat.Place)
		}
		d.known = beat
		for _, l := range d.lanes {
			d.shareOut(l, now)
		}
		signal(d.lookSignal) // there may be work for the lanes that this node has now
	}
	d.advance(now)
	d.launch()
}

// poll is the loop that looks for work that nobody told of.
func (d *Dispatcher) poll(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-d.firstBeat:
	}
	select {
	case <-ctx.Done():
		return
	case <-d.resumed:
	}
	for {
		wait, began := d.pollInterval, time.Now()
		if err := d.look(ctx); err != nil {
			wait = retryPause
			if ctx.Err() == nil {
				d.log.Warn("dispatch: looking for due deliveries", "error", err)
			}
		}
		pause := min(wait, max(lookPause, lookShare*time.Since(began)))
		if !sleep(ctx, pause) || !sleepOr(ctx, wait-pause, d.lookSignal) {
			return
		}
	}
}

// A node that hears of work on and on still does not look more often than every
// lookPause, nor for more than one part in lookShare of its time.
const (
	lookPause = 50 * time.Millisecond
	lookShare = 10
)

// sleepOr waits until something is heard, or so long, and reports whether ctx let it.
// What was heard as the time was over is answered by what comes next, too.
func sleepOr(ctx context.Context, wait time.Duration, heard <-chan struct{}) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		select {
		case <-heard:
		default:
		}
		return true
	case <-heard:
		return true
	}
}

// Look says that another node may have left work in the store.
func (d *Dispatcher) Look() { signal(d.lookSignal) }

// look takes over what dead nodes left, and learns when lanes have work.
func (d *Dispatcher) look(ctx context.Context) error {
	taken, err := d.store.TakeOver(ctx)
	if err != nil {
		return fmt.Errorf("taking over: %w", err)
	}
	if taken > 0 {
		d.log.Info("dispatch: took over deliveries of nodes that are gone", "deliveries", taken)
	}
	found, err := d.store.DueWebhooks(ctx)
	if err != nil {
		return fmt.Errorf("listing due webhooks: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for _, f := range found {
		l := d.lanes[f.Webhook.ID]
		if l == nil && (f.In == telltale.Never && !f.Held || d.shareOf(f.Webhook).Concurrency == 0) {
			continue
		}
		if l == nil {
			l, _ = d.laneOf(f.Webhook)
		}
		d.learn(l, f.Webhook, now)
		if f.In != telltale.Never && l.asked.slots == 0 { // an answer that is on its way knows better
			l.hint(now.Add(f.In))
		}
		if f.Held && l.asked.slots == 0 {
			l.holds()
		}
		d.settle(l, now)
	}
	d.sweep(now)
	d.looked = now
	d.advance(now)
	d.launch()
	return nil
}

// restrained reports whether the node sends tests and nothing else.
func (d *Dispatcher) restrained() bool { return d.testsOnly || d.paused }

// Paused reports whether the node was told to begin paused, and was not told to go
// on since.
func (d *Dispatcher) Paused() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.paused
}

// Resume has a paused node go on, and reports whether it was paused. What was
// accepted meanwhile, and what was owed before, is found in the store.
func (d *Dispatcher) Resume() (was bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.paused {
		return false
	}
	d.paused = false
	d.looked = time.Now() // the time in which nobody was to look does not count
	now := time.Now()
	for _, l := range d.lanes {
		d.shareOut(l, now)
	}
	close(d.resumed)
	signal(d.beatSignal) // others may have counted without this node
	signal(d.lookSignal)
	return true
}

// Ready reports why the dispatcher does not do its work now, or nil.
func (d *Dispatcher) Ready() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	switch {
	case !d.running || d.stopping:
		return errors.New("dispatch: not running")
	case !d.alive(now):
		return errors.New("dispatch: the last heartbeat is too old")
	case d.pile.stuck:
		return errors.New("dispatch: attempts cannot be recorded")
	case d.restrained():
		return nil
	case d.looked.IsZero() || now.Sub(d.looked) > maxUnlooked:
		return errors.New("dispatch: the queue was not looked at for a minute")
	}
	return nil
}

// maxUnlooked is how long ago a node that is ready looked at the queue.
const maxUnlooked = time.Minute
