package dispatch

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"telltale.example/telltale"
)

type metrics struct {
	attempts     map[telltale.ErrorClass]prometheus.Counter // "" for success
	duration     prometheus.Histogram
	delay        prometheus.Histogram
	stale        prometheus.Counter
	unrecordable prometheus.Counter
	disabled     map[telltale.DisabledReason]prometheus.Counter
	warned       map[telltale.Warning]prometheus.Counter
	recovered    prometheus.Counter
}

// results names the value of the label for every way in which an attempt ends.
var results = map[telltale.ErrorClass]string{
	"":                           "succeeded",
	telltale.ErrorTimeout:        string(telltale.ErrorTimeout),
	telltale.ErrorDNS:            string(telltale.ErrorDNS),
	telltale.ErrorConnect:        string(telltale.ErrorConnect),
	telltale.ErrorTLS:            string(telltale.ErrorTLS),
	telltale.ErrorReset:          string(telltale.ErrorReset),
	telltale.ErrorProtocol:       string(telltale.ErrorProtocol),
	telltale.ErrorBlockedAddress: string(telltale.ErrorBlockedAddress),
	telltale.ErrorHTTPStatus:     string(telltale.ErrorHTTPStatus),
	telltale.ErrorTooLarge:       string(telltale.ErrorTooLarge),
	telltale.ErrorInterrupted:    string(telltale.ErrorInterrupted),
	telltale.ErrorInternal:       string(telltale.ErrorInternal),
}

func newMetrics(reg prometheus.Registerer, d *Dispatcher) *metrics {
	auto := promauto.With(reg)
	m := &metrics{
		attempts: make(map[telltale.ErrorClass]prometheus.Counter, len(results)),
		duration: auto.NewHistogram(prometheus.HistogramOpts{
			Name:    "telltale_dispatch_attempt_duration_seconds",
			Help:    "Duration of attempts, tests included.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
		delay: auto.NewHistogram(prometheus.HistogramOpts{
			Name:    "telltale_dispatch_first_attempt_delay_seconds",
			Help:    "Time from the receipt of an event to the first attempt of a delivery of it.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 5, 15, 60, 600, 3600},
		}),
		stale: auto.NewCounter(prometheus.CounterOpts{
			Name: "telltale_dispatch_stale_results_total",
			Help: "Results that were not applied because the delivery had been taken over.",
		}),
		unrecordable: auto.NewCounter(prometheus.CounterOpts{
			Name: "telltale_dispatch_unrecordable_results_total",
			Help: "Results that were given up because the store refused them.",
		}),
	}
	ended := auto.NewCounterVec(prometheus.CounterOpts{
		Name: "telltale_dispatch_attempts_total",
		Help: "Attempts that ended, tests included, by error class or succeeded.",
	}, []string{"result"})
	for class, name := range results {
		m.attempts[class] = ended.WithLabelValues(name)
	}
	disabled := auto.NewCounterVec(prometheus.CounterOpts{
		Name: "telltale_dispatch_webhooks_disabled_total",
		Help: "Webhooks that were disabled automatically, by reason.",
	}, []string{"reason"})
	m.disabled = map[telltale.DisabledReason]prometheus.Counter{}
	for _, reason := range []telltale.DisabledReason{telltale.DisabledGone, telltale.DisabledBlocked, telltale.DisabledFailing} {
		m.disabled[reason] = disabled.WithLabelValues(string(reason))
	}
	warned := auto.NewCounterVec(prometheus.CounterOpts{
		Name: "telltale_dispatch_webhooks_warned_total",
		Help: "Webhooks that had failed for a day (first), or for four (last).",
	}, []string{"warning"})
	m.warned = map[telltale.Warning]prometheus.Counter{
		telltale.WarnedOnce: warned.WithLabelValues("first"), telltale.WarnedLast: warned.WithLabelValues("last"),
	}
	m.recovered = auto.NewCounter(prometheus.CounterOpts{
		Name: "telltale_dispatch_webhooks_recovered_total",
		Help: "Webhooks that succeeded after they had been warned of or disabled.",
	})
	for _, state := range []telltale.BreakerState{telltale.BreakerOpen, telltale.BreakerClosing} {
		auto.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "telltale_dispatch_breakers", ConstLabels: prometheus.Labels{"state": string(state)},
			Help: "Webhooks with work whose breaker is not closed.",
		}, func() float64 {
			d.mu.Lock()
			defer d.mu.Unlock()
			n := 0
			for _, l := range d.lanes {
				if l.breaker.state() == state && !l.off() {
					n++
				}
			}
			return float64(n)
		})
	}
	gauge := func(name, help string, value func() int) {
		auto.NewGaugeFunc(prometheus.GaugeOpts{Name: "telltale_dispatch_" + name, Help: help}, func() float64 {
			d.mu.Lock()
			defer d.mu.Unlock()
			return float64(value())
		})
	}
	gauge("attempts_in_flight", "Attempts under way.", func() int { return d.underWay })
	gauge("slow_attempts_in_flight", "Of these, those of slow webhooks.", func() int { return d.budgets[budgetSlow].used })
	gauge("paused", "1 while the node is paused: it sends nothing.", func() int {
		if d.paused {
			return 1
		}
		return 0
	})
	gauge("lanes", "Webhooks with work, or lately with work.", func() int { return len(d.lanes) })
	gauge("deliveries_in_memory", "Deliveries that wait, are attempted or are not recorded yet.", func() int { return d.room.kept })
	gauge("payload_bytes_in_memory", "Bytes of their payloads.", func() int { return int(d.room.bytes) })
	gauge("results_unrecorded", "Results that are not recorded yet.", func() int { return d.pile.unrecorded })
	return m
}

func (m *metrics) observe(a *telltale.Attempt) {
	if a.Success() {
		m.attempts[""].Inc()
	} else if c := m.attempts[a.Error]; c != nil {
		c.Inc()
	} else {
		m.attempts[telltale.ErrorInternal].Inc() // a class that is not in the set
	}
	m.duration.Observe(a.Duration.Seconds())
}

// report counts what happened to a webhook, and says so in the log.
func (d *Dispatcher) report(n telltale.News) {
	w, s := n.Webhook, &n.Webhook.Standing
	attrs := []any{"webhook", w.ID, "project", w.ProjectID}
	switch n.Type {
	case telltale.WebhookDisabled:
		if c := d.metrics.disabled[w.DisabledReason]; c != nil { // nil if somebody has enabled it again since
			c.Inc()
		}
		d.log.Warn("dispatch: a webhook was disabled", append(attrs, "reason", w.DisabledReason, "failures", s.Failures, "since", s.FailingSince)...)
	case telltale.WebhookFailing:
		if c := d.metrics.warned[s.Warned]; c != nil {
			c.Inc()
		}
		d.log.Warn("dispatch: a webhook keeps failing", append(attrs, "failures", s.Failures, "since", s.FailingSince)...)
	case telltale.WebhookRecovered:
		d.metrics.recovered.Inc()
		d.log.Info("dispatch: a webhook has recovered", attrs...)
	}
}
