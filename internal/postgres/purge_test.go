package postgres

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/storetest"
)

var keepAMonth = telltale.DefaultRetention()

const aDay = 24 * time.Hour

// newOldPair is a pair at the beginning of a day.
func newOldPair(t *testing.T) *pair {
	p := newPair(t)
	now := p.clock.Now()
	p.advance(now.Truncate(aDay).Add(aDay + time.Hour).Sub(now))
	return p
}

// purge has a store purge until there is no more, and gives how many events went.
func (p *pair) purge(s *Store) int {
	p.Helper()
	total := 0
	for range 1000 {
		n, more, err := s.Purge(p.Context(), keepAMonth)
		p.must(err)
		if total += n; !more {
			return total
		}
	}
	p.Fatal("purging never ends")
	return 0
}

// fails stores a failure, after which the delivery waits.
func (p *pair) fails(s *Store, c telltale.Claim) {
	p.Helper()
	a := &telltale.Attempt{Number: c.Attempt, Trigger: c.Trigger, StartedAt: p.clock.Now(), Duration: time.Millisecond, Status: 500, Error: telltale.ErrorHTTPStatus}
	_, err := s.RecordAttempts(p.Context(), []telltale.Result{{ClaimRef: c.ClaimRef, Attempt: a, Outcome: telltale.Outcome{State: telltale.StateWaiting, Wait: time.Minute}, WebhookVersion: c.Webhook.Version}})
	p.must(err)
}

// counts gives how many rows each of the tables has.
func (p *pair) counts(tables ...string) (counts []int) {
	p.Helper()
	for _, table := range tables {
		var n int
		p.must(p.a.readers.QueryRow(p.Context(), `SELECT count(*) FROM `+table).Scan(&n))
		counts = append(counts, n)
	}
	return counts
}

// partitions gives how many partitions there are, or were and are tables still.
func (p *pair) partitions() (n int) {
	p.Helper()
	p.must(p.a.readers.QueryRow(p.Context(), `SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname ~ '^(event|delivery_done|attempt)_[0-9]{8}$'`).Scan(&n))
	return n
}

func (p *pair) equal(what string, got, want any) {
	p.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		p.Fatalf("%s: %v, not %v", what, got, want)
	}
}

func TestAPurgeStopsNobody(t *testing.T) {
	p := newOldPair(t)
	const days, perDay = 3, 500
	for range days {
		for _, c := range p.accept(p.a, perDay, storetest.AnyRoom{}) {
			if !p.record(p.a, c) {
				t.Fatal("a result was not applied")
			}
		}
		p.advance(aDay)
	}
	p.advance(40 * aDay)
	young := 0
	p.accept(p.b, 1, nil) // whose day has its partitions now
	young++

	accepting, stop := sync.WaitGroup{}, make(chan struct{})
	var mu sync.Mutex
	slowest := time.Duration(0)
	for i := range 4 {
		s := []*Store{p.a, p.b}[i%2]
		accepting.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				began := time.Now()
				if _, err := s.AcceptEvents(t.Context(), telltale.Acceptance{ProjectID: p.project.ID, Events: p.events(10)}); err != nil {
					t.Errorf("accepting: %v", err)
					return
				}
				mu.Lock()
				slowest, young = max(slowest, time.Since(began)), young+10
				mu.Unlock()
			}
		})
	}
	var purging sync.WaitGroup
	removed := make([]int, 2)
	for i, s := range []*Store{p.a, p.b} {
		purging.Go(func() {
			for {
				n, _, err := s.Purge(t.Context(), keepAMonth)
				if err != nil {
					t.Errorf("purging: %v", err)
					return
				}
				removed[i] += n
				mu.Lock()
				over := removed[0]+removed[1] >= days*perDay
				mu.Unlock()
				if over || t.Failed() {
					return
				}
			}
		})
	}
	purging.Wait()
	p.purge(p.a)
	close(stop)
	accepting.Wait()
	p.equal("events that went", removed[0]+removed[1], days*perDay)
	p.equal("rows", p.counts("event", "delivery", "delivery_done", "attempt"), []int{young, young, 0, 0})
	p.equal("partitions", p.partitions(), 2*len(partitioned))
	if slowest > time.Second {
		t.Errorf("an accept took %v", slowest)
	}
}

func TestADayThatOwesAnEventKeepsThatAlone(t *testing.T) {
	p := newOldPair(t)
	old := p.accept(p.a, 20, storetest.AnyRoom{})
	owed := old[0]
	p.fails(p.a, owed)
	for _, c := range old[1:] { // of which some go on to the next day
		p.fails(p.a, c)
	}
	p.advance(aDay)
	for _, c := range p.claim(p.a, len(old)) {
		if c.DeliveryID == owed.DeliveryID {
			p.fails(p.a, c)
		} else {
			p.record(p.a, c)
		}
	}
	for _, c := range p.accept(p.a, 20, storetest.AnyRoom{}) {
		p.record(p.a, c)
	}
	// On the third day all is sent again.
	p.advance(aDay)
	r, err := p.a.CreateReplay(t.Context(), telltale.Replay{ProjectID: p.project.ID, Selection: telltale.Selection{Which: telltale.WhichAll}, To: p.hook.ID, Rate: 100})
	p.must(err)
	for r.State == telltale.ReplayRunning {
		r, _, err = p.a.AdvanceReplay(t.Context(), r.ID, 100)
		p.must(err)
		for _, c := range p.claim(p.a, 100) {
			if c.DeliveryID == owed.DeliveryID {
				p.fails(p.a, c)
			} else {
				p.record(p.a, c)
			}
		}
	}
	p.equal("rows", p.counts("event", "delivery", "delivery_done"), []int{40, 1, 79})

	p.advance(40 * aDay)
	p.equal("events that went", p.purge(p.a), 39)
	p.equal("events that went at another node", p.purge(p.b), 0)
	p.equal("rows", p.counts("event", "delivery", "delivery_done"), []int{1, 1, 1}) // it was sent by the replay
	delivery, err := p.a.Delivery(t.Context(), p.project.ID, owed.DeliveryID)
	p.must(err)
	p.equal("attempts", p.counts("attempt")[0], len(delivery.Attempts)+1)

	claims := p.claim(p.a, 100)
	p.equal("claims", len(claims), 1)
	p.equal("whether it was recorded", p.record(p.a, claims[0]), true)
	p.equal("rows when all is finished", p.counts("event", "delivery", "delivery_done"), []int{1, 0, 2})
	p.equal("the last event that went", p.purge(p.a), 1)
	p.equal("rows then", p.counts("event", "delivery", "delivery_done"), []int{0, 0, 0})
	p.advance(40 * aDay)
	p.purge(p.a)
	p.equal("attempts", p.counts("attempt"), []int{0})
}

func TestAReaderInTheWayOfAPurgeIsWaitedForAnotherTime(t *testing.T) {
	p := newOldPair(t)
	for _, c := range p.accept(p.a, 5, storetest.AnyRoom{}) {
		p.record(p.a, c)
	}
	p.advance(40 * aDay)
	p.accept(p.a, 1, nil)
	reader, err := pgx.Connect(t.Context(), p.url)
	p.must(err)
	defer reader.Close(t.Context())
	for _, sql := range []string{`BEGIN ISOLATION LEVEL REPEATABLE READ`, `SELECT count(*) FROM event`} {
		_, err := reader.Exec(t.Context(), sql)
		p.must(err)
	}
	p.equal("events that went", p.purge(p.a), 0)
	var n int
	p.must(reader.QueryRow(t.Context(), `SELECT count(*) FROM event`).Scan(&n))
	p.equal("events that the reader sees", n, 6)
	p.accept(p.a, 1, nil)
	_, err = reader.Exec(t.Context(), `COMMIT`)
	p.must(err)
	p.equal("events that another node removed", p.purge(p.b), 5)
	p.equal("rows", p.counts("event", "delivery_done", "attempt"), []int{2, 0, 0})
	p.equal("partitions", p.partitions(), 2*len(partitioned))
}

func TestWhatAPurgeLeftDetachedIsDroppedAndWhatAPersonDetachedIsKept(t *testing.T) {
	p := newOldPair(t)
	var names []string
	for range 2 {
		p.accept(p.a, 3, nil)
		names = append(names, partitionName("event", dayOf(p.clock.Now().UnixMilli())))
		for _, c := range p.claim(p.a, 10) {
			p.record(p.a, c)
		}
		p.advance(aDay)
	}
	p.advance(40 * aDay)
	for _, sql := range []string{
		`ALTER TABLE event DETACH PARTITION ` + names[0], `ALTER TABLE event DETACH PARTITION ` + names[1],
		fmt.Sprintf(`COMMENT ON TABLE %s IS '%s'`, names[0], dropping),
	} {
		_, err := p.a.writers.Exec(t.Context(), sql)
		p.must(err)
	}
	p.equal("events that went", p.purge(p.a), 3)
	p.equal("what is kept", p.counts(names[1]), []int{3})
	if _, err := p.a.readers.Exec(t.Context(), `SELECT FROM `+names[0]); sqlState(err) != "42P01" {
		t.Errorf("the other: %v", err)
	}
}

func TestADayIsAttachedAgainIfItIsOwedAfterAll(t *testing.T) {
	p := newOldPair(t)
	p.accept(p.a, 3, nil)
	for _, c := range p.claim(p.a, 2) {
		p.record(p.a, c)
	}
	day := dayOf(p.clock.Now().UnixMilli())
	p.advance(40 * aDay)
	conn, err := p.a.connectPurge(t.Context())
	p.must(err)
	defer conn.Close(t.Context())
	look := &purge{Store: p.a, conn: conn}
	p.must(look.findOld(t.Context(), keepAMonth.Events))
	at := slices.IndexFunc(look.old, func(d *oldDay) bool { return d.day == day })
	for _, table := range []string{"event", "delivery_done"} {
		removed, err := look.drop(t.Context(), look.old[at], table) // as if it had been finished a moment ago
		p.must(err)
		p.equal("events that went", removed, 0)
		p.equal("whether it is there", look.old[at].has(table), true)
	}
	p.equal("rows", p.counts("event", "delivery_done"), []int{3, 2})
	p.equal("events that went", p.purge(p.a), 2)
	p.record(p.a, p.claim(p.a, 1)[0])
	p.equal("events that went then", p.purge(p.a), 1)
}

func TestCountsAreExactWhileTheyAreAddedUp(t *testing.T) {
	p := newPair(t)
	const calls, perCall = 60, 10
	total := func() int {
		stats, err := p.b.Stats(t.Context(), p.project.ID, telltale.StatQuery{})
		if err != nil || len(stats) > 1 {
			t.Errorf("counts: %v, %v", stats, err)
			return 0
		}
		if len(stats) == 0 {
			return 0
		}
		return stats[0].Events
	}
	var all sync.WaitGroup
	done := make(chan struct{})
	for _, s := range []*Store{p.a, p.b} {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := s.addUpStats(t.Context()); err != nil {
					t.Errorf("adding up: %v", err)
					return
				}
			}
		})
	}
	for i := range calls {
		p.accept(p.a, perCall, nil)
		p.equal("the count", total(), (i+1)*perCall)
	}
	close(done)
	all.Wait()
	p.must(p.a.addUpStats(t.Context()))
	p.equal("what is to be added up", p.counts("stat_delta"), []int{0})
	p.equal("the count", total(), calls*perCall)
}

func TestStartsOfNodesAreForgottenWithTheirAttempts(t *testing.T) {
	p := newOldPair(t)
	p.record(p.a, p.accept(p.a, 1, storetest.AnyRoom{})[0])
	old := p.a.node.Load()
	p.must(p.a.leave(t.Context()))
	_, err := p.b.writers.Exec(t.Context(), `INSERT INTO node (id, role, version, host, started_at, lease_until, gone_at, config)
		SELECT 'nod_' || i, 'all', '', '', $1, $1, $1, 0 FROM generate_series(1, 60) i`, p.clock.Now().UnixMilli())
	p.must(err)
	known := func() (is bool) {
		p.must(p.b.readers.QueryRow(t.Context(), `SELECT count(*) > 0 FROM node WHERE number = $1`, old).Scan(&is))
		return is
	}
	p.advance(aDay)
	p.record(p.b, p.accept(p.b, 1, storetest.AnyRoom{})[0])
	p.purge(p.b)
	p.equal("whether it is known with its attempt", known(), true)
	p.advance(30 * aDay)
	p.purge(p.b)
	p.equal("whether it is known without it", known(), false)
	p.equal("how many are known", p.counts("node"), []int{keptNodes + 1}) // with the one that is alive
}

func TestPartitionsAreKnownByTheirNames(t *testing.T) {
	t.Parallel()
	for _, table := range partitioned {
		name := partitionName(table, 20000)
		if of, day, ok := partitionOf(name); of != table || day != 20000 || !ok {
			t.Errorf("%s is of %s, day %d: %v", name, of, day, ok)
		}
	}
	for _, name := range strings.Fields("event event_ event_2026113 event_20261399 delivery_20261127 _20261127") {
		if _, _, ok := partitionOf(name); ok {
			t.Errorf("%s is no partition", name)
		}
	}
}
