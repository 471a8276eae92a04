package dispatch

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"telltale.example/telltale"
)

// instant is a store and a sender that cost nothing, so that what is measured is
// the dispatcher.
type instant struct {
	recorded atomic.Int64
	done     chan struct{}
	want     int64
	batches  atomic.Int64
}

func (s *instant) DueWebhooks(context.Context) ([]telltale.LaneDue, error)  { return nil, nil }
func (s *instant) ReleaseClaims(context.Context, []telltale.ClaimRef) error { return nil }
func (s *instant) TakeOver(context.Context) (int, error)                    { return 0, nil }
func (s *instant) Beat(context.Context) (telltale.Beat, error)              { return telltale.Beat{}, nil }

func (s *instant) ClaimDue(_ context.Context, lanes []telltale.LaneRoom) ([]telltale.LaneClaims, error) {
	return make([]telltale.LaneClaims, len(lanes)), nil
}

func (s *instant) RecordAttempts(_ context.Context, results []telltale.Result) (telltale.Recorded, error) {
	applied := make([]bool, len(results))
	for i := range applied {
		applied[i] = true
	}
	s.batches.Add(1)
	if s.recorded.Add(int64(len(results))) == s.want {
		close(s.done)
	}
	return telltale.Recorded{Applied: applied}, nil
}

func (s *instant) Send(_ context.Context, c *telltale.Claim, _ *telltale.Webhook) telltale.Attempt {
	return telltale.Attempt{Number: c.Attempt, Status: 200, Duration: time.Microsecond}
}

func BenchmarkDeliveries(b *testing.B) {
	for _, tt := range []struct {
		webhooks, batch int
		rate            float64
	}{{1, 1, 0}, {1, 100, 0}, {10, 10, 0}, {10_000, 1, 0}, {100, 10, 1e4}} {
		b.Run(fmt.Sprintf("webhooks=%d/batch=%d/rate=%v", tt.webhooks, tt.batch, tt.rate), func(b *testing.B) {
			s := &instant{done: make(chan struct{}), want: int64(b.N)}
			d := New(Config{Store: s, Sender: s})
			var ran sync.WaitGroup
			ran.Go(func() { d.Run(context.Background()) })
			<-d.firstBeat
			hooks := make([]*telltale.Webhook, tt.webhooks)
			for i := range hooks {
				w := telltale.NewWebhook(telltale.ProjectID(fmt.Sprintf("prj_%d", i%7)), "https://example.com/", telltale.AllEventTypes)
				w.Concurrency, w.RateLimit = 64, tt.rate
				hooks[i] = &w
			}
			event := &telltale.Event{ID: "evt_1", Type: telltale.Sent, Payload: make([]byte, 700), ReceivedAt: time.Now()}
			b.ReportAllocs()
			b.ResetTimer()
			for made := 0; made < b.N; {
				var a telltale.Accepted
				for range min(tt.batch, b.N-made) {
					w := hooks[made%len(hooks)]
					for !d.Reserve(w) {
						runtime.Gosched() // the load waits for room
					}
					a.Claims = append(a.Claims, telltale.Claim{
						ClaimRef: telltale.ClaimRef{DeliveryID: "dlv_1", Number: int64(made)}, ProjectID: w.ProjectID,
						Event: event, Webhook: w, Trigger: telltale.TriggerAutomatic, Attempt: 1,
					})
					made++
				}
				d.Offer(a)
			}
			<-s.done
			b.StopTimer()
			b.ReportMetric(float64(s.recorded.Load())/float64(s.batches.Load()), "results/batch")
			if err := d.Stop(context.Background()); err != nil {
				b.Error(err)
			}
			ran.Wait()
		})
	}
}
