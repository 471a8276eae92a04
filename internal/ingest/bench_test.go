package ingest

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"telltale.example/telltale"
	"telltale.example/telltale/schema"
)

// noStore stores nothing, so that what is measured is ours.
type noStore struct{ Store }

func (noStore) AcceptEvents(_ context.Context, a telltale.Acceptance) (telltale.Accepted, error) {
	accepted := telltale.Accepted{Events: make([]telltale.AcceptedEvent, len(a.Events))}
	for i, e := range a.Events {
		accepted.Events[i].ID = e.ID
	}
	return accepted, nil
}

type noDispatcher struct{}

func (noDispatcher) Reserve(*telltale.Webhook) bool { return false }
func (noDispatcher) Release(*telltale.Webhook)      {}
func (noDispatcher) Offer(telltale.Accepted)        {}

func BenchmarkDecodeAndAccept(b *testing.B) {
	sample := bytes.TrimSpace(schema.Sample(string(telltale.Delivered)))
	withID := append(bytes.TrimSuffix(sample, []byte("}")), `,"telltale":{"id":"order-4711"}}`...)
	array := func(n int, event []byte) []byte {
		return fmt.Appendf(nil, "[%s]", bytes.Join(repeat(event, n), []byte(",")))
	}
	for _, bench := range []struct {
		name, contentType string
		body              []byte
		events            int
	}{
		{"1 event", asJSON, sample, 1},
		{"1 event with an id", asJSON, withID, 1},
		{"100 events in an array", asJSON, array(100, sample), 100},
		{"100 events in lines", asLine, bytes.Join(repeat(sample, 100), []byte("\n")), 100},
	} {
		b.Run(bench.name, func(b *testing.B) {
			in := New(noStore{}, noDispatcher{}, nil)
			project := telltale.NewProject("default", "Default")
			b.SetBytes(int64(len(bench.body)))
			b.ReportAllocs()
			for b.Loop() {
				activities, err := Decode(bench.contentType, bench.body)
				if err != nil {
					b.Fatal(err)
				}
				accepted, err := in.Accept(b.Context(), project, "api", activities)
				if err != nil || len(accepted.Events) != bench.events {
					b.Fatal(accepted, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*bench.events), "ns/event")
		})
	}
}

func repeat(event []byte, n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = event
	}
	return all
}
