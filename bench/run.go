package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// run is one measured run of a load on a fresh server, and the runs of the
// yardstick before and after it.
type run struct {
	Load  string `json:"load"`
	Round int    `json:"round"`

	// The yardstick; nothing for a load with a rate.
	Before bareLoop `json:"yardstick_before,omitzero"`
	After  bareLoop `json:"yardstick_after,omitzero"`
	// What the bare loop takes at the load's rate, in its place.
	Bare *latency `json:"bare_loop,omitempty"`

	Accepted     int64   `json:"accepted"`       // events, each answered with a 202
	Delivered    int64   `json:"delivered"`      // distinct webhook-ids at the receiver, over all webhooks
	Extra        int64   `json:"extra"`          // requests to the receiver beyond those: attempts that were repeated
	Verified     int64   `json:"verified"`       // signatures that the sink verified; none was wrong
	Refused      int64   `json:"refused"`        // requests that were answered 429 or 503
	BodyBytes    float64 `json:"body_bytes"`     // mean size of what arrived
	LogChecked   int     `json:"log_checked"`    // events that were looked up in the log
	DiskPerEvent float64 `json:"disk_per_event"` // bytes of the data folder after the server's end, or of the database

	// With PostgreSQL: what was written from the start of the load until everything
	// was recorded, and which share of the rows was dead then.
	RowsPerDelivery float64 `json:"rows_per_delivery,omitzero"` // inserted, updated and deleted
	LogPerDelivery  float64 `json:"log_per_delivery,omitzero"`  // bytes of write-ahead log
	DeadShare       float64 `json:"dead_share,omitzero"`        // of all rows, live and dead

	// From the first post to the last arrival: what was accepted faster than
	// it was delivered has to be delivered within it.
	Seconds            float64 `json:"seconds"`
	DeliveredPerSecond float64 `json:"delivered_per_second"`
	// While the drive posted.
	LoadSeconds        float64 `json:"load_seconds"`
	AcceptedPerSecond  float64 `json:"accepted_per_second"`
	DeliveredWhileLoad float64 `json:"delivered_per_second_while_loading"`
	Backlog            int64   `json:"backlog"` // deliveries still owed when the drive ended

	Latency latency `json:"latency"` // from the post to the arrival; of loads with a rate
	Late    float64 `json:"late_ms"` // how late the drive's latest post began

	CPU    cpuCost `json:"cpu"`
	Memory memory  `json:"memory"` // of the server, when the drive ended, in MiB
	Others float64 `json:"others"` // cores that processes beside ours took meanwhile
}

// bareLoop is one run of the yardstick.
type bareLoop struct {
	PerSecond float64 `json:"per_second"` // requests
	CPU       float64 `json:"cpu"`        // seconds per 1,000 requests, of the loop and the sink together
}

// cpuCost is CPU seconds per 1,000 deliveries, in user and system mode.
type cpuCost struct {
	Server float64 `json:"server"`
	Sink   float64 `json:"sink"`
	Drive  float64 `json:"drive"`
}

// latency is in milliseconds.
type latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func latencyOf(times []float64) latency {
	if len(times) == 0 {
		return latency{}
	}
	return latency{P50: percentile(times, 50), P99: percentile(times, 99), Max: percentile(times, 100)}
}

// yardstick is what the run is held against: the mean of before and after.
func (r *run) yardstick() float64 { return (r.Before.PerSecond + r.After.PerSecond) / 2 }

// ratio is the deliveries per second in units of the yardstick.
func (r *run) ratio() float64 { return r.DeliveredPerSecond / r.yardstick() }

// cpuRatio is what the ratio would be if CPU time alone set the pace, of the
// server's run and of the yardstick. It moves less when others use the machine.
func (r *run) cpuRatio() float64 {
	return (r.Before.CPU + r.After.CPU) / 2 / (r.CPU.Server + r.CPU.Sink + r.CPU.Drive)
}

// bench is what all runs have in common.
type bench struct {
	options
	sink   *sinkClient
	binary string
	last   bareLoop // what the yardstick gave last; zero if that is long ago
	say    func(format string, args ...any)
}

// verifyEvery says of how many requests the sink verifies the signature of one.
const verifyEvery = 10

// rounds measures the loads as often as asked, in turn, each time on a fresh
// server: so those that are held against each other have been through the same.
func (b *bench) rounds(ctx context.Context, loads []*load) ([]*run, error) {
	b.last = bareLoop{}
	var runs []*run
	for round := 1; round <= b.Rounds; round++ {
		for _, l := range loads {
			r, err := b.round(ctx, l, round)
			if err != nil {
				return nil, fmt.Errorf("load %s, round %d: %w", l.Name, round, err)
			}
			b.say("%s", r)
			runs = append(runs, r)
		}
	}
	return runs, nil
}

// round measures the yardstick, the server and the yardstick.
func (b *bench) round(ctx context.Context, l *load, round int) (r *run, err error) {
	r = &run{Load: l.Name, Round: round}
	if l.Rate > 0 {
		bare, err := b.paceYardstick(ctx, l.Rate)
		if err != nil {
			return nil, err
		}
		r.Bare = &bare
		return r, b.measure(ctx, l, r)
	}
	if r.Before = b.last; r.Before == (bareLoop{}) {
		if r.Before, err = b.saturateYardstick(ctx); err != nil {
			return nil, err
		}
	}
	if err := b.measure(ctx, l, r); err != nil {
		return nil, err
	}
	r.After, err = b.saturateYardstick(ctx)
	b.last = r.After
	return r, err
}

// yardstickPath is where the bare loop posts.
const yardstickPath = "/yardstick"

func (b *bench) saturateYardstick(ctx context.Context) (loop bareLoop, err error) {
	loop, _, err = b.runBareLoop(ctx, yardstickConfig{Workers: yardstickWorkers, Warm: b.Yardstick / 8, Length: b.Yardstick}, false)
	return loop, err
}

func (b *bench) paceYardstick(ctx context.Context, rate float64) (latency, error) {
	_, tally, err := b.runBareLoop(ctx, yardstickConfig{Workers: yardstickWorkers, Rate: rate, Length: b.Yardstick}, true)
	return latencyOf(tally.Latencies), err
}

func (b *bench) runBareLoop(ctx context.Context, c yardstickConfig, latency bool) (loop bareLoop, t tally, err error) {
	c.URL, c.Secret = b.sink.url(yardstickPath), newSecret()
	err = b.sink.expect(ctx, map[string]pathConfig{yardstickPath: {Secret: c.Secret, VerifyEvery: verifyEvery, Latency: latency}})
	if err != nil {
		return loop, t, err
	}
	before, err := processCPU(b.sink.process.pid())
	if err != nil {
		return loop, t, err
	}
	var result yardstickResult
	cpu, err := runChild(ctx, "yardstick", c, &result)
	if err != nil {
		return loop, t, err
	}
	after, err := processCPU(b.sink.process.pid())
	if err != nil {
		return loop, t, err
	}
	tallies, err := b.sink.tallies(ctx)
	if err != nil {
		return loop, t, err
	}
	t = tallies[yardstickPath]
	if t.Hits < result.Requests || t.Refused > 0 {
		return loop, t, fmt.Errorf("the yardstick counted %d requests, the sink %d, %d of them with a wrong signature", result.Requests, t.Hits, t.Refused)
	}
	return bareLoop{PerSecond: result.PerSecond, CPU: (cpu + after - before).Seconds() / float64(t.Hits) * 1000}, t, nil
}

// measure runs the load on a fresh server.
func (b *bench) measure(ctx context.Context, l *load, r *run) (err error) {
	folder, err := os.MkdirTemp(b.Dir, "telltale-bench-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	s, err := b.startCluster(ctx, folder, l.Nodes)
	if err != nil {
		return err
	}
	defer func() {
		if stopErr := s.stop(); stopErr != nil {
			err = errors.Join(err, stopErr, s.lastWords())
		}
	}()
	paths, err := b.subscribe(ctx, l, s)
	if err != nil {
		return err
	}
	// Connections are opened and caches filled before anything counts.
	if _, err := b.drive(ctx, l, s, paths, b.Warm, 0, nil); err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	if err := b.load(ctx, l, s, paths, r); err != nil {
		return err
	}
	if s.database == nil { // the log in front of the file is empty then
		if err := s.stop(); err != nil {
			return err
		}
	}
	size, err := s.size()
	r.DiskPerEvent = float64(size) / float64(r.Accepted)
	return err
}

// subscribe makes the load's webhooks and gives the sink's path of each.
func (b *bench) subscribe(ctx context.Context, l *load, s *cluster) (map[string]pathConfig, error) {
	paths := map[string]pathConfig{}
	for i := range l.Webhooks {
		path := fmt.Sprintf("/receiver/%d", i)
		secret, err := s.createWebhook(ctx, b.sink.url(path), l.Concurrency)
		if err != nil {
			return nil, err
		}
		paths[path] = pathConfig{Secret: secret, VerifyEvery: verifyEvery, Latency: l.Rate > 0}
	}
	return paths, nil
}

// driven is what came of driving the server until everything was delivered.
type driven struct {
	driveResult
	cpu     time.Duration // of the drive
	atEnd   sinkCounts    // when the drive ended
	memory  memory        // of the server, then
	last    time.Time     // of the last arrival
	strays  int64         // requests to paths of no webhook
	tallies map[string]tally
}

// drive posts for a length, waits until everything arrived, and checks that it
// is all there: at every webhook, with the right signature, and in the log.
func (b *bench) drive(ctx context.Context, l *load, s *cluster, paths map[string]pathConfig, length time.Duration, first int64, arrived func() error) (*driven, error) {
	if err := b.sink.expect(ctx, paths); err != nil {
		return nil, err
	}
	d := &driven{}
	var err error
	d.cpu, err = runChild(ctx, "drive", driveConfig{
		Addresses: s.addresses(), Path: ingestPath, Token: s.token, Batch: l.Batch, Connections: l.Connections, Rate: l.Rate, Length: length, First: first,
	}, &d.driveResult)
	if err != nil {
		return nil, errors.Join(err, s.lastWords())
	}
	if d.memory, err = s.memory(); err != nil {
		return nil, err
	}
	if d.atEnd, err = b.sink.counts(ctx); err != nil {
		return nil, err
	}
	if d.last, err = b.awaitArrivals(ctx, d.Accepted*int64(l.Webhooks)); err != nil {
		return nil, errors.Join(err, s.lastWords())
	}
	// What the server does after the last arrival is part of its work: to
	// record it. That takes a moment, which nobody watches.
	wait(ctx, recordGrace)
	if arrived != nil {
		if err := arrived(); err != nil {
			return nil, err
		}
	}
	c, err := b.sink.counts(ctx)
	if err != nil {
		return nil, err
	}
	d.strays = c.Strays
	if d.tallies, err = b.sink.tallies(ctx); err != nil {
		return nil, err
	}
	return d, d.check(ctx, l, s)
}

const (
	recordGrace = 300 * time.Millisecond
	// stallGrace is longer than an attempt's deadline and the wait before the
	// second together.
	stallGrace = 30 * time.Second
)

// awaitArrivals waits until n requests have arrived.
func (b *bench) awaitArrivals(ctx context.Context, n int64) (last time.Time, err error) {
	seen, progress := int64(-1), time.Now()
	for {
		c, err := b.sink.counts(ctx)
		if err != nil {
			return last, err
		}
		if c.Hits >= n {
			return time.Unix(0, c.LastNS), nil
		}
		if c.Hits != seen {
			seen, progress = c.Hits, time.Now()
		}
		if time.Since(progress) > b.stall {
			return last, fmt.Errorf("%d of %d deliveries arrived, and none for %s", c.Hits, n, b.stall)
		}
		wait(ctx, 10*time.Millisecond)
	}
}

// check reports what is missing: a figure must not be bought by losing work.
func (d *driven) check(ctx context.Context, l *load, s *cluster) error {
	if d.Accepted == 0 {
		return errors.New("nothing was accepted")
	}
	if len(d.tallies) != l.Webhooks {
		return fmt.Errorf("the sink has %d paths; expected %d", len(d.tallies), l.Webhooks)
	}
	for path, t := range d.tallies {
		if t.Distinct != d.Accepted || t.Fingerprint != d.Fingerprint {
			return fmt.Errorf("%d events were accepted, and %d others arrived at %s: something was lost or made up", d.Accepted, t.Distinct, path)
		}
		if t.Refused > 0 {
			return fmt.Errorf("%d signatures at %s were wrong", t.Refused, path)
		}
	}
	if d.strays > 0 {
		return fmt.Errorf("%d requests came to paths of no webhook", d.strays)
	}
	deadline := time.Now().Add(stallGrace)
	for {
		n, err := s.unsettled(ctx)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("everything arrived, but %d or more deliveries in the log have not succeeded", n)
		}
		wait(ctx, recordGrace)
	}
	for _, event := range d.Sample {
		if err := s.inspect(ctx, event, l.Webhooks); err != nil {
			return err
		}
	}
	return nil
}

// load is the measured part of a run.
func (b *bench) load(ctx context.Context, l *load, s *cluster, paths map[string]pathConfig, r *run) error {
	profiled := b.profile(ctx, s.pid(), fmt.Sprintf("%s-%d", l.Name, r.Round))
	before, err := b.cpuTimes(s)
	if err != nil {
		return err
	}
	written, err := s.written()
	if err != nil {
		return err
	}
	var after cpuTimes
	d, err := b.drive(ctx, l, s, paths, b.Length, 1_000_000, func() (err error) {
		after, err = b.cpuTimes(s)
		return err
	})
	if err := errors.Join(err, profiled()); err != nil {
		return err
	}
	var times []float64
	var bytes, hits int64
	for _, t := range d.tallies {
		hits += t.Hits
		bytes += t.Bytes
		r.Delivered += t.Distinct
		r.Verified += t.Verified
		times = append(times, t.Latencies...)
	}
	for _, n := range d.Refused {
		r.Refused += n
	}
	start := time.Unix(0, d.StartNS)
	r.Accepted = d.Accepted
	r.Extra = hits - r.Delivered
	r.BodyBytes = float64(bytes) / float64(hits)
	r.LogChecked = len(d.Sample)
	r.Seconds = d.last.Sub(start).Seconds()
	r.DeliveredPerSecond = float64(r.Delivered) / r.Seconds
	r.LoadSeconds = time.Unix(0, d.EndNS).Sub(start).Seconds()
	r.AcceptedPerSecond = float64(r.Accepted) / r.LoadSeconds
	r.DeliveredWhileLoad = float64(d.atEnd.Hits) / r.LoadSeconds
	r.Backlog = max(0, r.Delivered-d.atEnd.Hits)
	r.Latency = latencyOf(times)
	r.Late = d.Late
	r.Memory = d.memory
	perThousand := func(cpu time.Duration) float64 { return cpu.Seconds() / float64(r.Delivered) * 1000 }
	used := cpuTimes{
		server: after.server - before.server, sink: after.sink - before.sink, self: after.self - before.self, machine: after.machine - before.machine,
	}
	if s.database != nil {
		now, err := s.written()
		if err != nil {
			return err
		}
		r.RowsPerDelivery, r.LogPerDelivery = (now.rows-written.rows)/float64(r.Delivered), (now.log-written.log)/float64(r.Delivered)
		r.DeadShare = now.dead / (now.dead + now.live)
	}
	r.CPU = cpuCost{Server: perThousand(used.server), Sink: perThousand(used.sink), Drive: perThousand(d.cpu)}
	ours := used.server + used.sink + used.self + d.cpu
	r.Others = max(0, (used.machine-ours).Seconds()/after.at.Sub(before.at).Seconds())
	return nil
}

// cpuTimes is the CPU time that each process has taken so far.
type cpuTimes struct {
	at                          time.Time
	server, sink, self, machine time.Duration
}

func (b *bench) cpuTimes(s *cluster) (t cpuTimes, err error) {
	t.at = time.Now()
	if t.server, err = s.cpu(); err != nil {
		return t, err
	}
	for _, v := range []struct {
		pid int
		to  *time.Duration
	}{{b.sink.process.pid(), &t.sink}, {os.Getpid(), &t.self}} {
		if *v.to, err = processCPU(v.pid); err != nil {
			return t, err
		}
	}
	t.machine, err = machineCPU()
	return t, err
}

// profile records with perf where the server spends its time, if asked to, and
// gives what ends it.
func (b *bench) profile(ctx context.Context, pid int, name string) (end func() error) {
	if b.Perf == "" {
		return func() error { return nil }
	}
	file := filepath.Join(b.Perf, name+".perf")
	cmd := exec.CommandContext(ctx, "perf", "record", "-q", "-F", "499", "-g", "-p", fmt.Sprint(pid), "-o", file) //nolint:gosec // asked for by a flag
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return func() error { return fmt.Errorf("perf: %w", err) }
	}
	return func() error {
		cmd.Process.Signal(os.Interrupt) //nolint:errcheck // it may have ended this moment
		cmd.Wait()                       //nolint:errcheck // interrupted, as asked
		b.say("profile: perf report -i %s", file)
		return nil
	}
}
