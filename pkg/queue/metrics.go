package queue

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/prosaas/receipts/proto"
)

// consumerMetrics is what a worker tells of itself; it dies with it. What the
// registry tells of it is the API's to show.
type consumerMetrics struct {
	heartbeat *prometheus.GaugeVec
	failures  prometheus.Counter
	busy      prometheus.Gauge
	finished  *prometheus.CounterVec
	retries   prometheus.Counter
	recovered prometheus.Counter
	duration  *prometheus.HistogramVec
	wait      *prometheus.HistogramVec
}

func newConsumerMetrics(registerer prometheus.Registerer, opts ConsumerOptions) *consumerMetrics {
	m := &consumerMetrics{
		heartbeat: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "receipts_worker_heartbeat_timestamp_seconds", Help: "When Redis last took this worker's heartbeat."}, []string{"queue"}),
		failures:  prometheus.NewCounter(prometheus.CounterOpts{Name: "receipts_worker_heartbeat_failures_total", Help: "Heartbeats that Redis did not take."}),
		busy:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "receipts_worker_busy_slots", Help: "Slots that a job holds."}),
		finished:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "receipts_jobs_finished_total", Help: "Turns of jobs, by how they came out."}, []string{"queue", "kind", "outcome"}),
		retries:   prometheus.NewCounter(prometheus.CounterOpts{Name: "receipts_job_retries_total", Help: "Turns of jobs that are tried again."}),
		recovered: prometheus.NewCounter(prometheus.CounterOpts{Name: "receipts_jobs_recovered_total", Help: "Jobs taken back from workers that died."}),
		duration:  prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "receipts_job_duration_seconds", Help: "How long a turn of a job took.", Buckets: prometheus.ExponentialBuckets(0.01, 4, 10)}, []string{"kind"}),
		wait:      prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "receipts_job_queue_wait_seconds", Help: "How long a job waited in its queue.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 10)}, []string{"queue"}),
	}
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "receipts_worker_info", Help: "Always 1; the labels tell the version and the queues."}, []string{"version", "queue"})
	slots := prometheus.NewGauge(prometheus.GaugeOpts{Name: "receipts_worker_slots", Help: "Jobs that this worker can hold at once."})
	registerer.MustRegister(m.heartbeat, m.failures, m.busy, m.finished, m.retries, m.recovered, m.duration, m.wait, info, slots)
	slots.Set(float64(opts.Slots))
	for _, queue := range opts.Queues {
		info.WithLabelValues(opts.Version, queue).Set(1)
	}
	return m
}

func (m *consumerMetrics) beat(queues []string) {
	for _, queue := range queues {
		m.heartbeat.WithLabelValues(queue).SetToCurrentTime()
	}
}

func (m *consumerMetrics) waited(e proto.Envelope, d time.Duration) {
	m.wait.WithLabelValues(e.Queue).Observe(d.Seconds())
}

func (m *consumerMetrics) ended(e proto.Envelope, outcome string, took time.Duration) {
	queue, kind := e.Queue, string(e.Kind)
	if queue == "" { // an envelope that could not be read
		queue, kind = "unknown", "unknown"
	}
	m.finished.WithLabelValues(queue, kind, outcome).Inc()
	m.duration.WithLabelValues(kind).Observe(took.Seconds())
}
