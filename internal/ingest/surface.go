package ingest

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"telltale.example/telltale"
)

// MaxBody bounds a request in bytes, MaxEvents in events.
const (
	MaxBody   = 5 << 20
	MaxEvents = 1000
)

// Dispatcher takes over what was accepted.
type Dispatcher interface {
	telltale.Room
	Offer(telltale.Accepted)
}

// Ingest accepts activities.
type Ingest struct{}

// New makes an Ingest whose metrics are registered with reg, if that is not nil.
func New(store telltale.EventStore, d Dispatcher, reg prometheus.Registerer) *Ingest {
	panic("being written")
}

// Decode reads one event, an array of events, or NDJSON.
func Decode(contentType string, body []byte) ([]telltale.Activity, error) { panic("being written") }

// Accept renders the activities and stores them as events of the project.
func (in *Ingest) Accept(ctx context.Context, p telltale.Project, source string, a []telltale.Activity) (telltale.Accepted, error) {
	panic("being written")
}
