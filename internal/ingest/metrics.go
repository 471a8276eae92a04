package ingest

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"telltale.example/telltale"
)

type metrics struct {
	accepted   prometheus.Counter
	duplicates prometheus.Counter
	refused    *prometheus.CounterVec
	duration   prometheus.Histogram
	changes    *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	auto := promauto.With(reg)
	return &metrics{
		accepted: auto.NewCounter(prometheus.CounterOpts{
			Name: "telltale_ingest_events_total",
			Help: "Events accepted and stored, without duplicates.",
		}),
		duplicates: auto.NewCounter(prometheus.CounterOpts{
			Name: "telltale_ingest_duplicates_total",
			Help: "Events that had been accepted before, by the caller's own id.",
		}),
		refused: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "telltale_ingest_refused_total",
			Help: "Requests whose events were decoded and not accepted, by error code.",
		}, []string{"code"}),
		duration: auto.NewHistogram(prometheus.HistogramOpts{
			Name:    "telltale_ingest_accept_duration_seconds",
			Help:    "Time to render and store the events of one request.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}),
		changes: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "telltale_ingest_user_changes_total",
			Help: "What the Track API and imports said of users, by what came of it.",
		}, []string{"result"}),
	}
}

func (m *metrics) observe(accepted telltale.Accepted, err error, took time.Duration) {
	if err != nil {
		m.refused.WithLabelValues(string(refusal(err))).Inc()
		return
	}
	duplicates := 0
	for _, e := range accepted.Events {
		if e.Duplicate {
			duplicates++
		}
	}
	m.accepted.Add(float64(len(accepted.Events) - duplicates))
	m.duplicates.Add(float64(duplicates))
	m.duration.Observe(took.Seconds())
}

// observeChanges counts what came of each change: events that are new facts are
// counted as every event is.
func (m *metrics) observeChanges(changed telltale.UserChanged, err error, took time.Duration) {
	m.observe(changed.Accepted, err, took)
	for _, r := range changed.Results {
		result := "unchanged"
		switch {
		case r.Err != nil:
			result = "refused"
		case r.Repeated:
			result = "repeated"
		case r.Created:
			result = "created"
		case r.Events > 0:
			result = "changed"
		}
		m.changes.WithLabelValues(result).Inc()
	}
}
