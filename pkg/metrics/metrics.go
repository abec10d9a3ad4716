// Package metrics holds the registry that a program's parts register their
// metrics with, and serves it. Counts live in memory: a crash sets them to
// zero, which Prometheus reads as a restart.
package metrics

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Registry is where one program's metrics are registered: no metric is global.
type Registry struct{ *prometheus.Registry }

// New is a registry that holds what Go and the operating system tell of the process.
func New() Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return Registry{reg}
}

// Handler serves /metrics. Where a collector fails, the others are still
// served, and log says which failed.
func (r Registry) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		Registry:            r,
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
	})
}

// RequestBuckets are bounds in seconds for what answers at once: HTTP requests,
// here and to Gmail.
func RequestBuckets() []float64 {
	return []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
}
