package postgres

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/storetest"
)

// benchStore is a store with webhooks, each in a project of its own, so that
// events go to one each, and all the room in the world.
type benchStore struct {
	*Store
	b        testing.TB
	url      string
	database string
	hooks    []*telltale.Webhook
}

func newBenchStore(b testing.TB, n int) *benchStore {
	url, name := newDatabase(b)
	s := &benchStore{Store: openStore(b, url), b: b, url: url, database: name}
	b.Cleanup(func() { s.Close() })
	for i := range n {
		p := telltale.NewProject(fmt.Sprint("p-", i), "Project")
		if err := s.CreateProject(b.Context(), p); err != nil {
			b.Fatal(err)
		}
		s.addWebhook(p.ID)
	}
	return s
}

func (s *benchStore) addWebhook(p telltale.ProjectID) {
	hook, err := s.CreateWebhook(s.b.Context(), telltale.NewWebhook(p, "https://receiver.example/hooks/telltale", telltale.AllEventTypes))
	if err != nil {
		s.b.Fatal(err)
	}
	s.hooks = append(s.hooks, hook)
}

func (s *benchStore) accept(hook *telltale.Webhook, n int, room telltale.Room) []telltale.Claim {
	accepted, err := s.AcceptEvents(s.b.Context(), telltale.Acceptance{ProjectID: hook.ProjectID, Events: storetest.NewEvents(hook.ProjectID, n), Room: room})
	if err != nil {
		s.b.Error(err)
	}
	return accepted.Claims
}

// finish records a success of each claim.
func (s *benchStore) finish(claims []telltale.Claim) {
	recorded, err := s.RecordAttempts(s.b.Context(), storetest.Successes(claims, testNode))
	if err != nil {
		s.b.Error(err)
		return
	}
	for i, applied := range recorded.Applied {
		if !applied {
			s.b.Errorf("result %d was not applied", i)
		}
	}
}

// written is how many rows the server has written and how many bytes of its log.
func (s *benchStore) written() (rows, log float64) {
	s.b.Helper()
	out, err := server.Exec(s.database, `SELECT pg_stat_force_next_flush(); SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables; SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')`)
	if err != nil {
		s.b.Fatal(err)
	}
	values := strings.Fields(out)
	rows, _ = strconv.ParseFloat(values[len(values)-2], 64)
	log, _ = strconv.ParseFloat(values[len(values)-1], 64)
	return rows, log
}

func (s *benchStore) measure(b *testing.B, do func()) {
	rows, log := s.written()
	b.ReportAllocs()
	b.ResetTimer()
	do()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
	if b.N > 1000 {
		<-time.After(1100 * time.Millisecond) // sessions tell of their rows once a second
		rowsAfter, logAfter := s.written()
		b.ReportMetric((rowsAfter-rows)/float64(b.N), "rows/op")
		b.ReportMetric((logAfter-log)/float64(b.N), "wal-B/op")
	}
}

// BenchmarkConcurrent is the life of a delivery as 64 callers make it: its event
// accepted, itself born claimed, its attempt recorded with whatever else has
// ended.
func BenchmarkConcurrent(b *testing.B) {
	s := newBenchStore(b, 1)
	s.measure(b, func() {
		ended := make(chan telltale.Claim, 4096)
		var recorder, callers sync.WaitGroup
		recorder.Go(func() {
			var batch []telltale.Claim
			for c := range ended {
				batch = append(batch[:0], c)
				for more := true; more && len(batch) < 500; {
					select {
					case c, ok := <-ended:
						if more = ok; ok {
							batch = append(batch, c)
						}
					default:
						more = false
					}
				}
				s.finish(batch)
			}
		})
		const n = 64
		for c := range n {
			callers.Go(func() {
				for i := c; i < b.N; i += n {
					for _, claim := range s.accept(s.hooks[0], 1, storetest.AnyRoom{}) {
						ended <- claim
					}
				}
			})
		}
		callers.Wait()
		close(ended)
		recorder.Wait()
	})
}

// BenchmarkBatchLife is the same for events that come many to a call, one call
// after another.
func BenchmarkBatchLife(b *testing.B) {
	for _, group := range []int{100, 1000} {
		b.Run(fmt.Sprintf("batch=%d", group), func(b *testing.B) {
			s := newBenchStore(b, 1)
			s.measure(b, func() {
				for done := 0; done < b.N; done += group {
					s.finish(s.accept(s.hooks[0], group, storetest.AnyRoom{}))
				}
			})
		})
	}
}

// BenchmarkFanOut is the life of deliveries of which ten share an event.
func BenchmarkFanOut(b *testing.B) {
	s := newBenchStore(b, 1)
	for range 9 {
		s.addWebhook(s.hooks[0].ProjectID)
	}
	s.measure(b, func() {
		for done := 0; done < b.N; done += 1000 {
			s.finish(s.accept(s.hooks[0], 100, storetest.AnyRoom{}))
		}
	})
}

// BenchmarkClaim claims deliveries that wait, a hundred at a time.
func BenchmarkClaim(b *testing.B) {
	s := newBenchStore(b, 1)
	for done := 0; done < b.N; done += 1000 {
		s.accept(s.hooks[0], 1000, nil)
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
