package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/pgtest"
	"telltale.example/telltale/internal/storetest"
)

// pair is two nodes over one database whose clock the test moves.
type pair struct {
	*testing.T
	url, database string
	clock         *pgtest.Clock
	a, b          *Store
	project       telltale.Project
	hook          *telltale.Webhook
}

func newPair(t *testing.T, change ...func(*Options)) *pair {
	t.Parallel()
	p := &pair{T: t}
	p.url, p.database = newDatabase(t)
	p.clock = newClock(t, p.database)
	p.a, p.b = openStore(t, p.url), openStore(t, p.url, change...)
	t.Cleanup(func() { p.a.Close(); p.b.Close() })
	var err error
	if p.project, err = p.a.ProjectBySlug(t.Context(), telltale.DefaultProjectSlug); err != nil {
		t.Fatal(err)
	}
	if p.hook, err = p.a.CreateWebhook(t.Context(), telltale.NewWebhook(p.project.ID, "https://receiver.example/in", telltale.AllEventTypes)); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pair) advance(d time.Duration) {
	p.Helper()
	p.must(p.clock.Advance(d))
}

func (p *pair) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// accept has a store accept n events, claimed at once if there is room.
func (p *pair) accept(s *Store, n int, room telltale.Room) []telltale.Claim {
	p.Helper()
	accepted, err := s.AcceptEvents(p.Context(), telltale.Acceptance{ProjectID: p.project.ID, Events: p.events(n), Room: room})
	p.must(err)
	return accepted.Claims
}

func (p *pair) events(n int) []*telltale.Event {
	return storetest.NewEvents(p.project.ID, n)
}

func (p *pair) claim(s *Store, n int) []telltale.Claim {
	p.Helper()
	lanes, err := s.ClaimDue(p.Context(), []telltale.LaneRoom{{WebhookID: p.hook.ID, Slots: n}})
	p.must(err)
	return lanes[0].Claims
}

func (p *pair) beat(s *Store) telltale.Beat {
	p.Helper()
	beat, err := s.Beat(p.Context())
	p.must(err)
	return beat
}

// record stores a success, and tells whether it was applied.
func (p *pair) record(s *Store, c telltale.Claim) bool {
	p.Helper()
	a := &telltale.Attempt{Number: c.Attempt, Trigger: c.Trigger, StartedAt: p.clock.Now(), Duration: time.Millisecond, Status: 200}
	recorded, err := s.RecordAttempts(p.Context(), []telltale.Result{{ClaimRef: c.ClaimRef, Attempt: a, Outcome: c.After(a, nil, 0.5), WebhookVersion: c.Webhook.Version}})
	p.must(err)
	return recorded.Applied[0]
}

func (p *pair) takeOver(s *Store) int {
	p.Helper()
	n, err := s.TakeOver(p.Context())
	p.must(err)
	return n
}

func TestANodeThatIsAliveKeepsItsClaims(t *testing.T) {
	p := newPair(t)
	claim := p.accept(p.a, 1, storetest.AnyRoom{})[0]
	for range 10 {
		p.advance(telltale.Lease - time.Second)
		p.beat(p.a)
		p.beat(p.b)
		if n := p.takeOver(p.b); n != 0 {
			t.Fatalf("%d deliveries were taken over", n)
		}
	}
	if !p.record(p.a, claim) {
		t.Fatal("the result was not applied")
	}
}

func TestWhatANodeLeftIsTakenOverWhenItsLeaseEnds(t *testing.T) {
	p := newPair(t)
	born := p.accept(p.a, 1, storetest.AnyRoom{})[0]
	p.accept(p.a, 1, nil)
	claimed := p.claim(p.a, 1)[0]
	p.advance(telltale.Lease + time.Second)
	p.beat(p.b)
	if n := p.takeOver(p.b); n != 2 {
		t.Fatalf("%d deliveries were taken over; want 2", n)
	}
	again := p.claim(p.b, 10)
	if len(again) != 2 || again[0].Attempt != 2 || again[0].Number <= born.Number {
		t.Fatalf("the claims are %+v", again)
	}
	// The node wakes up: what it had under way changes nothing, now or later.
	for _, late := range []telltale.Claim{born, claimed} {
		if p.record(p.a, late) {
			t.Error("a late result was applied")
		}
	}
	p.must(p.a.ReleaseClaims(t.Context(), []telltale.ClaimRef{born.ClaimRef, claimed.ClaimRef}))
	before := p.a.node.Load()
	p.beat(p.a)
	if p.a.node.Load() == before {
		t.Error("the node goes on under the number that is gone")
	}
	for _, c := range again {
		if !p.record(p.b, c) {
			t.Error("the result of the node that took over was not applied")
		}
	}
}

// A node does not know yet that it is gone, and accepts with room: nobody would
// ever look for what it claims under the old number, unless everybody does.
func TestWhatAGoneNodeStillClaimsIsTakenOver(t *testing.T) {
	p := newPair(t)
	p.advance(telltale.Lease + time.Second)
	p.beat(p.b)
	p.takeOver(p.b)
	p.accept(p.a, 3, storetest.AnyRoom{})
	if n := p.takeOver(p.b); n != 3 {
		t.Fatalf("%d deliveries were taken over; want 3", n)
	}
}

func TestANodeThatLeavesInOrderIsTakenOverAtOnce(t *testing.T) {
	p := newPair(t)
	p.accept(p.a, 2, storetest.AnyRoom{})
	p.must(p.a.Close())
	if n := p.takeOver(p.b); n != 2 {
		t.Fatalf("%d deliveries were taken over; want 2", n)
	}
}

func TestWhatCameBeforeAnotherNodesResetCountsNoMore(t *testing.T) {
	p := newPair(t)
	claims := p.accept(p.a, 3, storetest.AnyRoom{})
	p.record(p.a, claims[0]) // stored
	p.record(p.a, claims[1]) // and remembered by the node alone
	_, err := p.b.DisableWebhook(t.Context(), p.project.ID, p.hook.ID, telltale.DisabledManual)
	p.must(err)
	_, err = p.b.EnableWebhook(t.Context(), p.project.ID, p.hook.ID)
	p.must(err)
	p.advance(standingInterval)
	p.record(p.a, claims[2])
	hook, err := p.b.Webhook(t.Context(), p.project.ID, p.hook.ID)
	p.must(err)
	attempts := 0
	for _, m := range hook.Standing.Breaker.Window {
		attempts += m.Attempts
	}
	if attempts != 1 {
		t.Errorf("the window has %d attempts, not the one after the reset", attempts)
	}
}

func TestNodesKnowTheirPlaces(t *testing.T) {
	p := newPair(t)
	if beat := p.beat(p.a); beat.Workers != 2 || beat.Place != 0 {
		t.Errorf("the first node hears %+v", beat)
	}
	if beat := p.beat(p.b); beat.Workers != 2 || beat.Place != 1 {
		t.Errorf("the second node hears %+v", beat)
	}
	third := openStore(t, p.url, func(o *Options) { o.Role = "api" })
	defer third.Close()
	if beat := p.beat(p.b); beat.Workers != 2 {
		t.Errorf("a node that makes no attempts counts: %+v", beat)
	}
	p.must(p.a.Close())
	if beat := p.beat(p.b); beat.Workers != 1 || beat.Place != 0 {
		t.Errorf("the last node hears %+v", beat)
	}
}

func TestTwoNodesClaimEachDeliveryOnce(t *testing.T) {
	p := newPair(t)
	const n = 600
	p.accept(p.a, n, nil)
	var mu sync.Mutex
	claims := map[telltale.DeliveryID]int{}
	var claiming sync.WaitGroup
	for i := range 6 {
		s := []*Store{p.a, p.b}[i%2]
		claiming.Go(func() {
			for {
				lanes, err := s.ClaimDue(t.Context(), []telltale.LaneRoom{{WebhookID: p.hook.ID, Slots: 7}})
				if err != nil {
					t.Error(err)
				}
				if err != nil || len(lanes[0].Claims) == 0 && lanes[0].In != 0 {
					return
				}
				mu.Lock()
				for _, c := range lanes[0].Claims {
					claims[c.DeliveryID]++
				}
				mu.Unlock()
			}
		})
	}
	claiming.Wait()
	if len(claims) != n {
		t.Errorf("%d deliveries were claimed; want %d", len(claims), n)
	}
	for id, times := range claims {
		if times != 1 {
			t.Errorf("%s was claimed %d times", id, times)
		}
	}
}

func TestOfTheSameIdAtTwoNodesOneIsTheFirst(t *testing.T) {
	p := newPair(t)
	const n = 40
	var mu sync.Mutex
	firsts, answers := map[string]int{}, map[string]map[telltale.EventID]bool{}
	var accepting sync.WaitGroup
	for i := range n {
		s := []*Store{p.a, p.b}[i%2]
		accepting.Go(func() {
			events := p.events(5)
			for j, e := range events {
				e.CallerID = fmt.Sprint("same-", (i+j)%5)
			}
			accepted, err := s.AcceptEvents(context.Background(), telltale.Acceptance{ProjectID: p.project.ID, Events: events})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for j, answer := range accepted.Events {
				id := events[j].CallerID
				if !answer.Duplicate {
					firsts[id]++
				}
				if answers[id] == nil {
					answers[id] = map[telltale.EventID]bool{}
				}
				answers[id][answer.ID] = true
			}
		})
	}
	accepting.Wait()
	for id, times := range firsts {
		if times != 1 || len(answers[id]) != 1 {
			t.Errorf("%s was accepted %d times, and answered with %d ids", id, times, len(answers[id]))
		}
	}
	if stored, err := server.Exec(p.database, `SELECT count(*) FROM event`); err != nil || stored != "5" {
		t.Errorf("%s events are stored: %v; want 5", stored, err)
	}
}

func TestAChangeIsKnownEverywhereWhenTheCallReturns(t *testing.T) {
	var mu sync.Mutex
	heard := map[int64]bool{}
	p := newPair(t, func(o *Options) {
		o.Changed = func(w *telltale.Webhook) {
			mu.Lock()
			defer mu.Unlock()
			heard[w.Version] = true
		}
	})
	for range 10 {
		changed, err := p.a.DisableWebhook(t.Context(), p.project.ID, p.hook.ID, telltale.DisabledManual)
		p.must(err)
		mu.Lock()
		if !heard[changed.Version] {
			t.Errorf("the other node has not heard of version %d", changed.Version)
		}
		mu.Unlock()
		if got, err := p.b.Webhook(t.Context(), p.project.ID, p.hook.ID); err != nil || got.Enabled {
			t.Errorf("the other node says %+v: %v", got, err)
		}
		if claims := p.accept(p.b, 1, storetest.AnyRoom{}); len(claims) != 0 {
			t.Error("a delivery was born claimed for a disabled webhook")
		}
		_, err = p.b.EnableWebhook(t.Context(), p.project.ID, p.hook.ID)
		p.must(err)
		if claims := p.accept(p.a, 1, storetest.AnyRoom{}); len(claims) != 1 {
			t.Errorf("%d deliveries were born claimed for a webhook that another node enabled; want 1", len(claims))
		}
	}
}

func TestAChangeWaitsForANodeUntilItsLeaseEnds(t *testing.T) {
	p := newPair(t)
	_, err := server.Exec(p.database, `INSERT INTO node (id, role, version, host, started_at, lease_until, config) SELECT 'nod_frozen', 'all', '', '', now, now + 50000, 0 FROM telltale_now() now`)
	p.must(err)
	returned := make(chan error, 1)
	go func() {
		_, err := p.a.DisableWebhook(context.Background(), p.project.ID, p.hook.ID, telltale.DisabledManual)
		returned <- err
	}()
	select {
	case err := <-returned:
		t.Fatalf("the call returned while a node does not know: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	p.advance(telltale.Lease + time.Second)
	p.beat(p.a)
	p.beat(p.b)
	p.must(<-returned)
}

// What a lost connection leaves in doubt is the node's own to give back.
func TestClaimsOfAnUnknownOutcomeAreGivenBack(t *testing.T) {
	p := newPair(t)
	claim := p.accept(p.a, 1, storetest.AnyRoom{})[0]
	p.a.doubts.claims = []telltale.ClaimRef{claim.ClaimRef}
	p.takeOver(p.a)
	if again := p.claim(p.b, 1); len(again) != 1 || again[0].Attempt != 1 {
		t.Fatalf("the claims are %+v; want one, for the first attempt", again)
	}
}

// A claim whose COMMIT failed leaves the delivery as it was, and the next call
// claims it: that claim is in no doubt.
func TestAClaimAfterOneThatFailedIsNotGivenBack(t *testing.T) {
	p := newPair(t)
	p.accept(p.a, 1, nil)
	err := p.a.transact(t.Context(), transaction{name: "claiming, in vain", numbers: 1, do: func(tx *tx) error {
		var d deliveryRow
		if _, err := tx.one(d.into(), `SELECT `+openColumns+` FROM delivery`); err != nil {
			return err
		}
		picked := [][]*deliveryRow{{d.scanned()}}
		if _, err := tx.claim([]telltale.LaneRoom{{WebhookID: p.hook.ID, Slots: 1}}, make([]head, 1), picked); err != nil {
			return err
		}
		return telltale.Errorf(telltale.Unavailable, "The connection was lost.")
	}})
	if telltale.CodeOf(err) != telltale.Unavailable || len(p.a.doubts.claims) != 1 {
		t.Fatalf("%v, and %d claims in doubt", err, len(p.a.doubts.claims))
	}
	for _, s := range []*Store{p.a, p.b} {
		claim := p.claim(s, 1)[0]
		p.takeOver(p.a)
		if s == p.a {
			if again := p.claim(p.b, 1); len(again) != 0 {
				t.Fatal("what is claimed was given back")
			}
			p.must(s.ReleaseClaims(t.Context(), []telltale.ClaimRef{claim.ClaimRef}))
			continue
		}
		if !p.record(s, claim) {
			t.Error("the result was not applied")
		}
	}
}

func TestSessionsThatAreEndedAreNoHarm(t *testing.T) {
	p := newPair(t)
	stop := make(chan struct{})
	var accepting sync.WaitGroup
	var mu sync.Mutex
	acknowledged := map[telltale.EventID]bool{}
	for i := range 8 {
		s := []*Store{p.a, p.b}[i%2]
		accepting.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				events := p.events(3)
				accepted, err := s.AcceptEvents(context.Background(), telltale.Acceptance{ProjectID: p.project.ID, Events: events, Room: storetest.AnyRoom{}})
				if err != nil {
					if telltale.CodeOf(err) != telltale.Unavailable {
						t.Errorf("accepting: %v", err)
						return
					}
					continue
				}
				mu.Lock()
				for _, e := range accepted.Events {
					acknowledged[e.ID] = true
				}
				mu.Unlock()
			}
		})
	}
	for range 20 {
		_, err := server.Exec("postgres", fmt.Sprintf(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '%s'`, p.database))
		p.must(err)
		<-time.After(30 * time.Millisecond) // some work in between
	}
	close(stop)
	accepting.Wait()
	for _, s := range []*Store{p.a, p.b} {
		_ = s.Ready(t.Context()) // may be the one that finds out
		p.must(s.Ready(t.Context()))
	}
	stored, err := server.Exec(p.database, `SELECT count(*) FROM event`)
	p.must(err)
	if len(acknowledged) == 0 {
		t.Fatal("nothing was accepted")
	}
	var n int
	fmt.Sscan(stored, &n)
	if n < len(acknowledged) {
		t.Errorf("%d events were acknowledged, and %d are stored", len(acknowledged), n)
	}
	for id := range acknowledged {
		if _, err := p.a.Event(t.Context(), p.project.ID, id); err != nil {
			t.Fatalf("%s was acknowledged: %v", id, err)
		}
	}
	// Nothing stays under the name of a node that does not know of it.
	p.takeOver(p.a)
	p.takeOver(p.b)
}

func TestNodesThatStartTogetherMigrateOnce(t *testing.T) {
	t.Parallel()
	name := fmt.Sprintf("together_%d", databases.Add(1))
	url, err := server.Create(name, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Drop(name) })
	var opening sync.WaitGroup
	for range 3 {
		opening.Go(func() {
			s, err := Open(context.Background(), url, Options{Node: telltale.NewNodeID(), Sealer: storetest.Sealer{}})
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	opening.Wait()
	if n, err := server.Exec(name, `SELECT count(*) FROM project`); err != nil || n != "1" {
		t.Errorf("%s projects: %v; want one", n, err)
	}
}

func TestANewerSchemaIsRefusedIfItSaysSo(t *testing.T) {
	t.Parallel()
	url, name := newDatabase(t)
	if _, err := server.Exec(name, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9000, true)`); err != nil {
		t.Fatal(err)
	}
	openStore(t, url).Close()
	if _, err := server.Exec(name, `UPDATE meta SET least = 9000`); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), url, Options{Sealer: storetest.Sealer{}}); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("opening it gives %v", err)
	}
}

// otherSealer has another key.
type otherSealer struct{ storetest.Sealer }

func (otherSealer) Open([]byte, string) ([]byte, error) { return nil, errors.New("it does not open") }

func TestANodeWithAnotherKeyIsRefused(t *testing.T) {
	t.Parallel()
	url, _ := newDatabase(t)
	openStore(t, url).Close()
	if _, err := Open(t.Context(), url, Options{Sealer: otherSealer{}}); err == nil || !strings.Contains(err.Error(), "secret key") {
		t.Errorf("opening it gives %v", err)
	}
	openStore(t, url).Close()
}

func TestServersThatForgetAreRefused(t *testing.T) {
	t.Parallel()
	url, name := newDatabase(t)
	if _, err := server.Exec("postgres", fmt.Sprintf(`ALTER DATABASE %s SET synchronous_commit = off`, name)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), url, Options{Sealer: storetest.Sealer{}}); err == nil || !strings.Contains(err.Error(), "synchronous_commit = off") {
		t.Errorf("opening it gives %v", err)
	}
	for _, setting := range []string{"fsync", "full_page_writes"} {
		unsafe := pgtest.Start(t, setting+"=off")
		if _, err := Open(t.Context(), unsafe.URL("postgres"), Options{Sealer: storetest.Sealer{}}); err == nil || !strings.Contains(err.Error(), setting+" = off") {
			t.Errorf("opening a server with %s=off gives %v", setting, err)
		}
	}
}

func TestALocationHasNoPassword(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://jo:secret@db.example:5433/telltale?sslmode=require":     "postgres://jo@db.example:5433/telltale?sslmode=require",
		"postgres://jo@db.example/telltale?password=secret&sslmode=disable": "postgres://jo@db.example/telltale?sslmode=disable",
		"host=db.example user=jo password=secret dbname=telltale":           "postgres://jo@db.example:5432/telltale",
		"postgresql://jo:sec ret@db/telltale":                               "the database",
	} {
		if got := Location(url); got != want {
			t.Errorf("the location of %q is %q; want %q", url, got, want)
		}
	}
}
