package gmailsync

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/prosaas/receipts/pkg/receiptstore"
)

// metrics count what syncs do. Every label's values are a closed set.
type metrics struct {
	requests *prometheus.CounterVec
	units    prometheus.Counter
	duration *prometheus.HistogramVec
	messages *prometheus.CounterVec
	receipts *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "receipts_gmail_requests_total", Help: "Calls to Gmail, by method and HTTP status; none where there was no answer.",
		}, []string{"method", "code"}),
		units: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "receipts_gmail_quota_units_total", Help: "Units of Gmail's quota spent.",
		}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "receipts_gmail_request_duration_seconds", Help: "How long calls to Gmail took.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"method"}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "receipts_messages_total", Help: "Messages that got an outcome.",
		}, []string{"outcome"}),
		receipts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "receipts_receipts_saved_total", Help: "Receipts written: new, updated, or unchanged.",
		}, []string{"kind"}),
	}
	registerer.MustRegister(m.requests, m.units, m.duration, m.messages, m.receipts)
	return m
}

func (m *metrics) called(name method, code string, took time.Duration) {
	m.requests.WithLabelValues(string(name), code).Inc()
	m.duration.WithLabelValues(string(name)).Observe(took.Seconds())
}

func (m *metrics) saved(outcome receiptstore.Outcome, saved receiptstore.Saved) {
	m.messages.WithLabelValues(string(outcome)).Inc()
	m.receipts.WithLabelValues("new").Add(float64(saved.New))
	m.receipts.WithLabelValues("updated").Add(float64(saved.Updated))
	m.receipts.WithLabelValues("unchanged").Add(float64(saved.Duplicates))
}
