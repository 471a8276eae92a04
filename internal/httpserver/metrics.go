package httpserver

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics of all requests. Their labels come from closed sets: the patterns of
// the routes, the methods that HTTP knows and the classes of statuses.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer, memory *bodyMemory) *metrics {
	auto := promauto.With(reg)
	auto.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "telltale_http_body_bytes",
		Help: "Bytes of request bodies in memory.",
	}, func() float64 { return float64(memory.held.Load()) })
	return &metrics{
		requests: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "telltale_http_requests_total",
			Help: "Requests by route, method and class of the status.",
		}, []string{"route", "method", "status"}),
		duration: auto.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "telltale_http_request_duration_seconds",
			Help:    "Time from a request's head to the end of its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route", "method"}),
	}
}

func (m *metrics) observe(x *exchange) {
	route := x.route()
	if route == "" {
		route = "unmatched"
	}
	method := methodLabel(x.request.Method)
	m.requests.WithLabelValues(route, method, statusLabel(x.status)).Inc()
	m.duration.WithLabelValues(route, method).Observe(time.Since(x.started).Seconds())
}

func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// statusLabel is the class of a status, such as 2xx, or "none" for a
// connection that was cut before an answer.
func statusLabel(status int) string {
	if status == 0 {
		return "none"
	}
	return strconv.Itoa(status/100) + "xx"
}
