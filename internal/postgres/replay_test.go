package postgres

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"telltale.example/telltale"
)

// newTestEvents makes events of a project that are not stored yet.
func newTestEvents(project telltale.ProjectID, n int) []*telltale.Event {
	events := make([]*telltale.Event, n)
	for i := range events {
		now := time.Now().UTC().Truncate(time.Millisecond)
		events[i] = &telltale.Event{
			ID: telltale.NewEventID(), ProjectID: project, Type: telltale.Delivered, Source: "api", OccurredAt: now, ReceivedAt: now,
			Payload: []byte(`{"type":"delivered"}`), UserID: fmt.Sprint(i),
		}
	}
	return events
}

func TestNodesThatAdvanceAReplayAtOnceMakeEachDeliveryOnceAndCountIt(t *testing.T) {
	t.Parallel()
	url, name := newDatabase(t)
	nodes := []*Store{openStore(t, url), openStore(t, url, func(o *Options) { o.Node = telltale.NewNodeID() })}
	for _, s := range nodes {
		defer s.Close()
	}
	p, err := nodes[0].ProjectBySlug(t.Context(), telltale.DefaultProjectSlug)
	if err != nil {
		t.Fatal(err)
	}
	const events = 400
	if _, err := nodes[0].AcceptEvents(t.Context(), telltale.Acceptance{ProjectID: p.ID, Events: newTestEvents(p.ID, events)}); err != nil {
		t.Fatal(err)
	}
	hook, err := nodes[0].CreateWebhook(t.Context(), telltale.NewWebhook(p.ID, "https://receiver.example/in", telltale.AllEventTypes))
	if err != nil {
		t.Fatal(err)
	}
	r, err := nodes[0].CreateReplay(t.Context(), telltale.Replay{ProjectID: p.ID, Selection: telltale.Selection{Which: telltale.WhichUnsent}, To: hook.ID, Rate: 10})
	if err != nil {
		t.Fatal(err)
	}
	// Four advance it, while as many attempt what they make.
	var advancing, attempting sync.WaitGroup
	made := make(chan struct{})
	for i := range 4 {
		s := nodes[i%2]
		advancing.Go(func() {
			for {
				r, _, err := s.AdvanceReplay(t.Context(), r.ID, 1+rand.IntN(9))
				if err != nil {
					t.Errorf("advancing: %v", err)
					return
				}
				if r.State != telltale.ReplayRunning {
					return
				}
			}
		})
		attempting.Go(func() {
			for over := false; ; {
				select {
				case <-made:
					over = true
				default:
				}
				lanes, err := s.ClaimDue(t.Context(), []telltale.LaneRoom{{WebhookID: hook.ID, Slots: 7}})
				if err != nil {
					t.Errorf("claiming: %v", err)
					return
				}
				var results []telltale.Result
				for _, c := range lanes[0].Claims {
					a := &telltale.Attempt{Number: c.Attempt, Trigger: c.Trigger, StartedAt: time.Now(), Duration: time.Millisecond, Status: 200}
					o := telltale.Outcome{State: telltale.StateSucceeded}
					if rand.IntN(3) == 0 {
						a.Status, a.Error, a.Failure, o.State = 500, telltale.ErrorHTTPStatus, "status", telltale.StateFailed
					}
					results = append(results, telltale.Result{ClaimRef: c.ClaimRef, Attempt: a, Outcome: o, WebhookVersion: c.Webhook.Version})
				}
				if len(results) == 0 && over {
					return
				}
				if _, err := s.RecordAttempts(t.Context(), results); err != nil {
					t.Errorf("recording: %v", err)
					return
				}
			}
		})
	}
	advancing.Wait()
	close(made)
	attempting.Wait()
	r, err = nodes[1].Replay(t.Context(), p.ID, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	counted, err := server.Exec(name, `SELECT count(*), count(DISTINCT event), count(*) FILTER (WHERE state = 4), count(*) FILTER (WHERE state = 5) FROM delivery_done WHERE replay IS NOT NULL`)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%d|%d|%d|%d", events, events, r.Succeeded, r.Failed); counted != want || r.Made != events || r.State != telltale.ReplayFinished {
		t.Errorf("the deliveries are %s, not %s; the replay is %+v", counted, want, r)
	}
}
