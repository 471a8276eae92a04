package postgres

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"telltale.example/telltale"
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

type anyRoom struct{}

func (anyRoom) Reserve(*telltale.Webhook) bool { return true }
func (anyRoom) Release(*telltale.Webhook)      {}

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

var benchPayload = []byte(randomText("", 350))

func randomText(prefix string, n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return prefix + hex.EncodeToString(b)
}

// newEvents makes events as an ingest would: 700 bytes of payload, a user of a
// million, a message of its own.
func (s *benchStore) newEvents(project telltale.ProjectID, n int) []*telltale.Event {
	events := make([]*telltale.Event, n)
	types := telltale.EventTypes()
	now := time.Now().UTC().Truncate(time.Millisecond)
	for i := range events {
		user := mathrand.IntN(1_000_000)
		events[i] = &telltale.Event{
			ID: telltale.NewEventID(), ProjectID: project, Type: types[i%len(types)], Source: "api", OccurredAt: now, ReceivedAt: now, Payload: benchPayload,
			UserID: fmt.Sprint(user), Email: fmt.Sprintf("user.%d@mail.example", user), MessageID: randomText("", 12), CampaignID: "1234",
		}
	}
	return events
}

func (s *benchStore) accept(hook *telltale.Webhook, n int, room telltale.Room) []telltale.Claim {
	accepted, err := s.AcceptEvents(s.b.Context(), telltale.Acceptance{ProjectID: hook.ProjectID, Events: s.newEvents(hook.ProjectID, n), Room: room})
	if err != nil {
		s.b.Error(err)
	}
	return accepted.Claims
}

// finish records a success with the headers of a usual exchange, some 450
// bytes in the request and 250 in the response.
func (s *benchStore) finish(claims []telltale.Claim) {
	results := make([]telltale.Result, len(claims))
	for i := range claims {
		c := &claims[i]
		a := &telltale.Attempt{
			Number: c.Attempt, Trigger: c.Trigger, StartedAt: time.Now(), Duration: 4321 * time.Microsecond, Node: testNode, Status: 200, RemoteAddr: "203.0.113.9:443",
			Timing: telltale.Timing{FirstByte: 4 * time.Millisecond},
			Request: telltale.SentRequest{Method: "POST", URL: c.Webhook.URL, Headers: []telltale.Header{
				{Name: "Host", Value: "receiver.example"}, {Name: "User-Agent", Value: "Telltale/1.0 (+https://telltale.example)"}, {Name: "Content-Length", Value: "700"},
				{Name: "Content-Type", Value: "application/json"}, {Name: "webhook-id", Value: string(c.Event.ID)}, {Name: "webhook-timestamp", Value: "1767225600"},
				{Name: "webhook-signature", Value: "v1," + randomText("", 22)}, {Name: "telltale-source", Value: "api"}, {Name: "telltale-attempt", Value: "1"},
			}},
			Response: telltale.GotResponse{Body: []byte(`{"ok":true}`), Headers: []telltale.Header{
				{Name: "Date", Value: "Mon, 23 Nov 2026 21:00:00 GMT"}, {Name: "Content-Type", Value: "application/json; charset=utf-8"}, {Name: "Content-Length", Value: "11"},
				{Name: "Server", Value: "nginx/1.27.3"}, {Name: "Connection", Value: "keep-alive"}, {Name: "X-Request-Id", Value: randomText("", 16)},
			}},
		}
		results[i] = telltale.Result{ClaimRef: c.ClaimRef, Attempt: a, Outcome: telltale.Outcome{State: telltale.StateSucceeded, Step: 1}, WebhookVersion: c.Webhook.Version}
	}
	recorded, err := s.RecordAttempts(s.b.Context(), results)
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
					for _, claim := range s.accept(s.hooks[0], 1, anyRoom{}) {
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
					s.finish(s.accept(s.hooks[0], group, anyRoom{}))
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
			s.finish(s.accept(s.hooks[0], 100, anyRoom{}))
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
