package sqlite

import (
	"crypto/rand"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/storetest"
)

var (
	benchRows     = flag.Int("rows", 20_000, "deliveries in the log before BenchmarkPage and BenchmarkLifeOnLog")
	benchLog      = flag.String("log", "", "folder of a log that is kept for these two; empty makes a new one")
	benchWebhooks = flag.Int("webhooks", 10, "webhooks that take turns in BenchmarkLife")
)

// benchStore is a store with webhooks that want one type each in turn, and all
// the room in the world.
type benchStore struct {
	*Store
	b     testing.TB
	hooks []*telltale.Webhook
	next  int
}

// newBenchStore makes n webhooks, each in a project of its own, so that events
// go to one each.
func newBenchStore(b testing.TB, n int) *benchStore {
	s := &benchStore{Store: newStore(b), b: b}
	s.makeWebhooks(n)
	return s
}

func (s *benchStore) makeWebhooks(n int) {
	var wait sync.WaitGroup
	s.hooks = make([]*telltale.Webhook, n)
	for i := range s.hooks {
		wait.Go(func() {
			p := telltale.NewProject(fmt.Sprint("p-", i), "Project")
			if err := s.CreateProject(s.b.Context(), p); err != nil {
				s.b.Error(err)
			}
			var err error
			if s.hooks[i], err = s.CreateWebhook(s.b.Context(), telltale.NewWebhook(p.ID, "https://receiver.example/hooks/telltale", telltale.AllEventTypes)); err != nil {
				s.b.Error(err)
			}
		})
		if i%500 == 499 {
			wait.Wait()
		}
	}
	wait.Wait()
}

// finish records a success of each claim.
func (s *benchStore) finish(claims []telltale.Claim) {
	recorded, err := s.RecordAttempts(s.b.Context(), storetest.Successes(claims, testNode))
	if err != nil {
		s.b.Fatal(err)
	}
	for i, applied := range recorded.Applied {
		if !applied {
			s.b.Fatalf("result %d was not applied", i)
		}
	}
}

func (s *benchStore) accept(hook *telltale.Webhook, n int) []telltale.Claim {
	accepted, err := s.AcceptEvents(s.b.Context(), telltale.Acceptance{ProjectID: hook.ProjectID, Events: storetest.NewEvents(hook.ProjectID, n), Room: storetest.AnyRoom{}})
	if err != nil {
		s.b.Fatal(err)
	}
	return accepted.Claims
}

// lives lets n deliveries live from acceptance to success, in one transaction
// for all acceptances and one for all results: group at a time, one event to
// an operation as it comes from an API, spread over the webhooks.
func (s *benchStore) lives(n, group int) {
	for done := 0; done < n; done += group {
		claims := make([][]telltale.Claim, group)
		s.together(group, func(i int) { claims[i] = s.accept(s.hooks[(s.next+i)%len(s.hooks)], 1) })
		s.next += group
		all := make([]telltale.Claim, 0, group)
		for _, c := range claims {
			all = append(all, c...)
		}
		s.finish(all)
	}
}

// together runs operations that end in one transaction, by holding the writer
// until all are queued.
func (s *benchStore) together(n int, do func(i int)) {
	if n == 1 {
		do(0)
		return
	}
	held, hold := make(chan struct{}), make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		_ = s.write(s.b.Context(), "waiting", 0, func(*tx) error {
			close(held)
			<-hold
			return nil
		})
	})
	<-held
	for i := range n {
		wait.Go(func() { do(i) })
	}
	for {
		s.writer.queue.mu.Lock()
		queued := len(s.writer.queue.ops)
		s.writer.queue.mu.Unlock()
		if queued >= n {
			break
		}
		<-time.After(10 * time.Microsecond) // nothing tells when all have queued
	}
	close(hold)
	wait.Wait()
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// fileSize is the size of the database when the log is empty.
func (s *benchStore) fileSize() int64 {
	if _, _, err := logState(s.checkpoint.conn, "TRUNCATE"); err != nil {
		s.b.Fatal(err)
	}
	info, err := os.Stat(s.path)
	if err != nil {
		s.b.Fatal(err)
	}
	return info.Size()
}

func (s *benchStore) measure(b *testing.B, do func()) {
	before, size := cpuTime(), s.fileSize()
	b.ReportAllocs()
	b.ResetTimer()
	do()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
	b.ReportMetric(float64((cpuTime()-before).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(s.fileSize()-size)/float64(b.N), "disk-B/op")
}

// BenchmarkLife is the life of a delivery: its event accepted, itself born
// claimed, its attempt recorded. An operation is one delivery.
func BenchmarkLife(b *testing.B) {
	for _, group := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("group=%d", group), func(b *testing.B) {
			s := newBenchStore(b, *benchWebhooks)
			s.measure(b, func() { s.lives(b.N, group) })
		})
	}
}

// BenchmarkBatchLife is BenchmarkLife for events that come many to a call.
func BenchmarkBatchLife(b *testing.B) {
	for _, group := range []int{100, 1000} {
		b.Run(fmt.Sprintf("batch=%d", group), func(b *testing.B) {
			s := newBenchStore(b, 1)
			s.measure(b, func() {
				for done := 0; done < b.N; done += group {
					s.finish(s.accept(s.hooks[0], group))
				}
			})
		})
	}
}

// BenchmarkFanOut is the life of deliveries of which ten share an event.
func BenchmarkFanOut(b *testing.B) {
	s := newBenchStore(b, 1)
	for range 9 {
		if _, err := s.CreateWebhook(b.Context(), telltale.NewWebhook(s.hooks[0].ProjectID, "https://receiver.example/in", telltale.AllEventTypes)); err != nil {
			b.Fatal(err)
		}
	}
	s.measure(b, func() {
		for done := 0; done < b.N; done += 1000 {
			s.finish(s.accept(s.hooks[0], 100))
		}
	})
}

// BenchmarkAccept is acceptance alone, in one call.
func BenchmarkAccept(b *testing.B) {
	for _, group := range []int{1, 100} {
		b.Run(fmt.Sprintf("batch=%d", group), func(b *testing.B) {
			s := newBenchStore(b, 1)
			s.measure(b, func() {
				for done := 0; done < b.N; done += group {
					s.accept(s.hooks[0], group)
				}
			})
		})
	}
}

// BenchmarkCallerID is acceptance of events that callers named, at random.
func BenchmarkCallerID(b *testing.B) {
	s := newBenchStore(b, 1)
	s.measure(b, func() {
		for done := 0; done < b.N; done += 100 {
			events := storetest.NewEvents(s.hooks[0].ProjectID, 100)
			for _, e := range events {
				e.CallerID = rand.Text()
			}
			if _, err := s.AcceptEvents(b.Context(), telltale.Acceptance{ProjectID: s.hooks[0].ProjectID, Events: events, Room: storetest.AnyRoom{}}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkConcurrent is BenchmarkLife as 64 callers make it, each for itself,
// with whatever groups come of it.
func BenchmarkConcurrent(b *testing.B) {
	s := newBenchStore(b, *benchWebhooks)
	s.measure(b, func() {
		var wait sync.WaitGroup
		const callers = 64
		for c := range callers {
			wait.Go(func() {
				for i := c; i < b.N; i += callers {
					s.finish(s.accept(s.hooks[i%len(s.hooks)], 1))
				}
			})
		}
		wait.Wait()
	})
}

// BenchmarkClaim claims deliveries that wait, a hundred at a time.
func BenchmarkClaim(b *testing.B) {
	s := newBenchStore(b, 1)
	for done := 0; done < b.N; done += 1000 {
		_, err := s.AcceptEvents(b.Context(), telltale.Acceptance{ProjectID: s.hooks[0].ProjectID, Events: storetest.NewEvents(s.hooks[0].ProjectID, 1000)})
		if err != nil {
			b.Fatal(err)
		}
	}
	s.measure(b, func() {
		for done := 0; done < b.N; done += 100 {
			lanes, err := s.ClaimDue(b.Context(), []telltale.LaneRoom{{WebhookID: s.hooks[0].ID, Slots: 100}})
			if err != nil || len(lanes[0].Claims) != 100 {
				b.Fatalf("%d claims: %v", len(lanes[0].Claims), err)
			}
		}
	})
}

// fill makes a log of the wanted number of deliveries, one in a thousand to
// the last webhook, and one in a hundred of the others failed.
func (s *benchStore) fill(rows int) {
	last := len(s.hooks) - 1
	for done := 0; done < rows; done += 1000 {
		for i := range last {
			claims := s.accept(s.hooks[i], 1000/last)
			s.finish(claims[len(claims)/100:])
			for _, c := range claims[:len(claims)/100] {
				a := &telltale.Attempt{Number: 1, Trigger: c.Trigger, Status: 500, Error: telltale.ErrorHTTPStatus}
				if _, err := s.RecordAttempts(s.b.Context(), []telltale.Result{{ClaimRef: c.ClaimRef, Attempt: a, Outcome: telltale.Outcome{State: telltale.StateFailed}}}); err != nil {
					s.b.Fatal(err)
				}
			}
		}
		s.finish(s.accept(s.hooks[last], 1))
	}
}

// newLogStore opens the log that -log names and fills it up to -rows, so that
// a log of millions is made once.
func newLogStore(b *testing.B) *benchStore {
	if *benchLog == "" {
		s := newBenchStore(b, 11)
		s.fill(*benchRows)
		return s
	}
	began := time.Now()
	s := &benchStore{Store: openStore(b, filepath.Join(*benchLog, "telltale.db")), b: b}
	b.Logf("opened in %v", time.Since(began))
	b.Cleanup(func() { s.Close() })
	for i := range 11 {
		if p := s.known.projectBySlug(fmt.Sprint("p-", i)); p != nil {
			s.hooks = append(s.hooks, s.known.liveWebhooks(p)[0].now.Load().Webhook)
		}
	}
	if len(s.hooks) == 0 {
		s.makeWebhooks(11)
	}
	var rows int
	if _, err := s.writer.conn.query(`SELECT count(*) FROM delivery`).one(func(q *query) { rows = int(q.getInt()) }); err != nil {
		b.Fatal(err)
	}
	if rows < *benchRows {
		s.fill(*benchRows - rows)
		b.Logf("there are %d deliveries in %d bytes", *benchRows, s.fileSize())
	}
	return s
}

// BenchmarkLifeOnLog is BenchmarkLife on a log that is there already.
func BenchmarkLifeOnLog(b *testing.B) {
	s := newLogStore(b)
	s.measure(b, func() { s.lives(b.N, 100) })
}

// BenchmarkMessages looks for messages among -rows events, one at a time and a
// hundred at a time. An operation is one message.
func BenchmarkMessages(b *testing.B) {
	s := newBenchStore(b, 1)
	project := s.hooks[0].ProjectID
	var ids []string
	for done := 0; done < *benchRows; done += 1000 {
		events := storetest.NewEvents(project, 1000)
		if _, err := s.AcceptEvents(b.Context(), telltale.Acceptance{ProjectID: project, Events: events}); err != nil {
			b.Fatal(err)
		}
		ids = append(ids, events[0].MessageID)
	}
	for _, batch := range []int{1, 100} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			wanted := make([]string, batch)
			s.measure(b, func() {
				for done := 0; done < b.N; done += batch {
					for i := range wanted {
						wanted[i] = ids[mathrand.IntN(len(ids))]
					}
					found, err := s.Messages(b.Context(), project, wanted)
					if err != nil || found[0] == nil {
						b.Fatal(found, err)
					}
				}
			})
		})
	}
}

// BenchmarkPurge removes events, with a delivery and an attempt each.
func BenchmarkPurge(b *testing.B) {
	s := newBenchStore(b, 1)
	for done := 0; done < b.N; done += 1000 {
		s.finish(s.accept(s.hooks[0], 1000))
	}
	b.ResetTimer()
	calls := 0
	var longest time.Duration
	for removed := 0; removed < b.N; calls++ {
		began := time.Now()
		n, _, err := s.Purge(b.Context(), telltale.Retention{Events: time.Nanosecond})
		if err != nil {
			b.Fatal(err)
		}
		removed += n
		longest = max(longest, time.Since(began))
	}
	b.ReportMetric(float64(longest.Microseconds())/1000, "ms-longest-call")
}

// BenchmarkDueWebhooks looks for work among 10,000 webhooks, of which ten have some.
func BenchmarkDueWebhooks(b *testing.B) {
	s := newBenchStore(b, 10_000)
	for _, hook := range s.hooks[:10] {
		if _, err := s.AcceptEvents(b.Context(), telltale.Acceptance{ProjectID: hook.ProjectID, Events: storetest.NewEvents(hook.ProjectID, 10)}); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for b.Loop() {
		if due, err := s.DueWebhooks(b.Context()); err != nil || len(due) != len(s.hooks) {
			b.Fatalf("%d webhooks: %v", len(due), err)
		}
	}
}

// BenchmarkPage reads pages of the log of a store with many deliveries.
func BenchmarkPage(b *testing.B) {
	s := newLogStore(b)
	busy, quiet := s.hooks[0], s.hooks[len(s.hooks)-1]
	page := telltale.Page{Limit: 51}
	middle, err := s.Deliveries(b.Context(), busy.ProjectID, telltale.DeliveryFilter{Until: time.Now()}, page)
	if err != nil || len(middle) == 0 {
		b.Fatal(err)
	}
	one, err := s.Events(b.Context(), busy.ProjectID, telltale.EventFilter{}, telltale.Page{Limit: 1})
	if err != nil {
		b.Fatal(err)
	}
	for name, read := range map[string]func() (int, error){
		"busy": func() (int, error) {
			ds, err := s.Deliveries(b.Context(), busy.ProjectID, telltale.DeliveryFilter{WebhookID: busy.ID}, page)
			return len(ds), err
		},
		"quiet": func() (int, error) {
			ds, err := s.Deliveries(b.Context(), quiet.ProjectID, telltale.DeliveryFilter{}, page)
			return len(ds), err
		},
		"failed": func() (int, error) {
			ds, err := s.Deliveries(b.Context(), busy.ProjectID, telltale.DeliveryFilter{State: telltale.StateFailed}, page)
			return len(ds), err
		},
		"type": func() (int, error) {
			ds, err := s.Deliveries(b.Context(), busy.ProjectID, telltale.DeliveryFilter{Type: telltale.Bounced}, page)
			return len(ds), err
		},
		"older": func() (int, error) {
			ds, err := s.Deliveries(b.Context(), busy.ProjectID, telltale.DeliveryFilter{}, telltale.Page{Limit: 51, After: string(middle[len(middle)-1].ID)})
			return len(ds), err
		},
		"match": func() (int, error) {
			ds, err := s.Deliveries(b.Context(), busy.ProjectID, telltale.DeliveryFilter{Match: one[0].MessageID}, page)
			return len(ds), err
		},
		"no match": func() (int, error) {
			ds, err := s.Deliveries(b.Context(), busy.ProjectID, telltale.DeliveryFilter{Match: "nobody"}, page)
			return 1 - len(ds), err
		},
		"events": func() (int, error) {
			es, err := s.Events(b.Context(), busy.ProjectID, telltale.EventFilter{}, page)
			return len(es), err
		},
		"answer": func() (int, error) {
			ds, err := s.Deliveries(b.Context(), busy.ProjectID, telltale.DeliveryFilter{Answer: new(telltale.Answer5xx)}, page)
			return len(ds), err
		},
		"count": func() (int, error) {
			n, _, err := s.CountDeliveries(b.Context(), busy.ProjectID, telltale.DeliveryFilter{}, telltale.MaxCount)
			return n, err
		},
		"count failed": func() (int, error) {
			n, _, err := s.CountDeliveries(b.Context(), busy.ProjectID, telltale.DeliveryFilter{State: telltale.StateFailed}, telltale.MaxCount)
			return n, err
		},
		"count quiet": func() (int, error) {
			n, _, err := s.CountDeliveries(b.Context(), quiet.ProjectID, telltale.DeliveryFilter{}, telltale.MaxCount)
			return n, err
		},
		"count match": func() (int, error) {
			n, _, err := s.CountDeliveries(b.Context(), busy.ProjectID, telltale.DeliveryFilter{Match: one[0].MessageID}, telltale.MaxCount)
			return n, err
		},
		"count events": func() (int, error) {
			n, _, err := s.CountEvents(b.Context(), busy.ProjectID, telltale.EventFilter{}, telltale.MaxCount)
			return n, err
		},
		"plan unsent": func() (int, error) {
			plan, err := s.PlanReplay(b.Context(), busy.ProjectID, telltale.Selection{Which: telltale.WhichUnsent}, "")
			return 1 + plan.Count, err
		},
		"plan failed": func() (int, error) {
			plan, err := s.PlanReplay(b.Context(), busy.ProjectID, telltale.Selection{Which: telltale.WhichFailed}, "")
			return plan.Count, err
		},
		"stats": func() (int, error) {
			stats, err := s.Stats(b.Context(), busy.ProjectID, telltale.StatQuery{Step: telltale.StatCoarseStep, ByWebhook: true})
			return len(stats), err
		},
		"log": func() (int, error) {
			end, err := s.LogEnd(b.Context())
			if err != nil {
				return 0, err
			}
			log, err := s.LogSince(b.Context(), busy.ProjectID, end-1<<20, 50) // half a second
			return 1 + len(log.Deliveries), err
		},
		"one delivery": func() (int, error) {
			_, err := s.Delivery(b.Context(), busy.ProjectID, middle[0].ID)
			return 1, err
		},
		"due webhooks": func() (int, error) {
			due, err := s.DueWebhooks(b.Context())
			return len(due), err
		},
	} {
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			for b.Loop() {
				if n, err := read(); err != nil || n == 0 {
					b.Fatalf("%d rows: %v", n, err)
				}
			}
		})
	}
}

// benchUsers is how many profiles BenchmarkChange changes.
const benchUsers = 100_000

// newUserStore is a store with that many profiles of the one project.
func newUserStore(b *testing.B) *benchStore {
	s := newBenchStore(b, 1)
	for first := 0; first < benchUsers; first += 1000 {
		changes := make([]telltale.UserChange, 1000)
		for i := range changes {
			changes[i] = s.identify(first+i, "free")
		}
		if _, err := s.ChangeUsers(b.Context(), telltale.UserChanges{ProjectID: s.hooks[0].ProjectID, Source: "track", Changes: changes}); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

func (s *benchStore) identify(user int, plan string) telltale.UserChange {
	data, err := telltale.ParseObject(fmt.Appendf(nil, `{"first_name":"User %d","company":"A company of some name","city":"Oslo","language":"nb-NO","timezone":"Europe/Oslo","seats":%d,"plan":%q}`, user, user%97, plan))
	if err != nil {
		s.b.Fatal(err)
	}
	ref := telltale.UserRef{ID: fmt.Sprint(user), Email: fmt.Sprintf("user.%d@mail.example", user)}
	return telltale.UserChange{Kind: telltale.ChangeIdentify, User: ref, Data: data}
}

// BenchmarkChange compares what 64 callers do, each for itself: changing one of
// many profiles, which user_updated tells, with accepting an event. Both take
// turns in the same store, so that what else the machine does is shared.
func BenchmarkChange(b *testing.B) {
	s := newUserStore(b)
	project := s.hooks[0].ProjectID
	kinds := []struct {
		name string
		do   func(i int) (telltale.Accepted, error)
	}{
		{"accepts", func(int) (telltale.Accepted, error) {
			return s.AcceptEvents(b.Context(), telltale.Acceptance{ProjectID: project, Events: storetest.NewEvents(project, 1), Room: storetest.AnyRoom{}})
		}},
		{"changes", func(i int) (telltale.Accepted, error) {
			return s.changeOne(project, s.identify(mathrand.IntN(benchUsers), fmt.Sprint("plan ", i)))
		}},
		{"tracks", func(i int) (telltale.Accepted, error) {
			data, err := telltale.ParseObject(fmt.Appendf(nil, `{"sku":"A-%d","price":129.90,"currency":"NOK"}`, i))
			if err != nil {
				return telltale.Accepted{}, err
			}
			e := &telltale.TrackedEvent{Name: "Bought something", Data: data}
			return s.changeOne(project, telltale.UserChange{Kind: telltale.ChangeTrack, User: telltale.UserRef{ID: fmt.Sprint(mathrand.IntN(benchUsers))}, Event: e})
		}},
	}
	took, cpu := make([]time.Duration, len(kinds)), make([]time.Duration, len(kinds))
	const turn = 6400
	b.ResetTimer()
	for done := 0; done < b.N; done += turn {
		for k, kind := range kinds {
			began, before := time.Now(), cpuTime()
			s.callers(64, min(turn, b.N-done), func(i int) error {
				_, err := kind.do(done + i)
				return err
			})
			took[k] += time.Since(began)
			cpu[k] += cpuTime() - before
		}
	}
	b.StopTimer()
	for k, kind := range kinds {
		b.ReportMetric(float64(b.N)/took[k].Seconds(), kind.name+"/s")
		b.ReportMetric(float64(cpu[k].Microseconds())/float64(b.N), "cpu-µs/"+kind.name)
	}
	b.ReportMetric(float64(took[0])/float64(took[1]), "changes/accepts")
}

func (s *benchStore) changeOne(project telltale.ProjectID, c telltale.UserChange) (telltale.Accepted, error) {
	changed, err := s.ChangeUsers(s.b.Context(), telltale.UserChanges{
		ProjectID: project, Source: "track", RepeatWindow: telltale.RepeatWindow, Room: storetest.AnyRoom{}, Changes: []telltale.UserChange{c},
	})
	if err == nil {
		err = changed.Results[0].Err
	}
	return changed.Accepted, err
}

// callers do n things at once, each its share.
func (s *benchStore) callers(callers, n int, do func(i int) error) {
	var wait sync.WaitGroup
	for c := range callers {
		wait.Go(func() {
			for i := c; i < n; i += callers {
				if err := do(i); err != nil {
					s.b.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
}
