package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/prosaas/receipts/pkg/logging"
	"github.com/prosaas/receipts/pkg/metrics"
	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/registry"
	"github.com/prosaas/receipts/proto"
)

// counts are what the process itself counts.
type counts struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	syncs    *prometheus.CounterVec
}

func newCounts(reg prometheus.Registerer) counts {
	labels := []string{"route", "method", "code"}
	n := counts{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "receipts_http_requests_total", Help: "Requests answered.",
		}, labels),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "receipts_http_request_duration_seconds", Help: "Time to answer a request.", Buckets: metrics.RequestBuckets(),
		}, labels),
		syncs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "receipts_sync_requests_total", Help: "Syncs asked for, by what came of it.",
		}, []string{"result"}),
	}
	reg.MustRegister(n.requests, n.seconds, n.syncs)
	for _, result := range syncResults() { // a rate needs the zero before the first
		n.syncs.WithLabelValues(result)
	}
	return n
}

// request counts one request. A stream lasts as long as its job: that is no time
// to answer.
func (n counts) request(route, method string, status int, took time.Duration, streamed bool) {
	known := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}
	if !slices.Contains(known, method) { // a client may send any word
		method = "other"
	}
	labels := []string{route, method, strconv.Itoa(status)}
	n.requests.WithLabelValues(labels...).Inc()
	if !streamed {
		n.seconds.WithLabelValues(labels...).Observe(took.Seconds())
	}
}

// What came of a request for a sync that got no verdict.
const (
	resultInvalid     = "invalid"     // the request was at fault
	resultUnavailable = "unavailable" // Redis was not there, or full
	resultError       = "error"
)

func syncResults() []string {
	verdicts := []queue.Verdict{
		queue.Queued, queue.Repeated, queue.Mismatch, queue.NoWorker, queue.NotConnected,
		queue.InFlight, queue.Conflict, queue.Canceling, queue.Full, queue.Limited,
	}
	results := []string{resultInvalid, resultUnavailable, resultError}
	for _, v := range verdicts {
		results = append(results, string(v))
	}
	return results
}

func syncResult(verdict queue.Verdict, err error) string {
	if err == nil {
		return string(verdict)
	}
	switch status := problemOf(err).status; {
	case status < http.StatusInternalServerError:
		return resultInvalid
	case status == http.StatusServiceUnavailable:
		return resultUnavailable
	default:
		return resultError
	}
}

// scrapePatience bounds what one scrape asks of Redis.
const scrapePatience = 2 * time.Second

// census tells of the queues and the registry what Redis says when it is
// scraped: the truth that the guard reads. Where Redis does not answer, it
// tells that and nothing else: old figures would look like good ones.
type census struct {
	queue    *queue.Queue
	registry *registry.Registry
	log      *slog.Logger

	live, beat, jobs, oldest, paused, success *prometheus.Desc
}

func newCensus(q *queue.Queue, r *registry.Registry, log *slog.Logger) *census {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &census{
		queue: q, registry: r, log: log,
		live:    desc("receipts_queue_live_workers", "Live workers that listen on the queue, by the registry.", "queue"),
		beat:    desc("receipts_queue_heartbeat_timestamp_seconds", "Newest heartbeat of a worker of the queue, by the registry; 0 where none is known.", "queue"),
		jobs:    desc("receipts_queue_jobs", "Jobs of the queue.", "queue", "state"),
		oldest:  desc("receipts_queue_oldest_job_timestamp_seconds", "Since when the next job of the queue waits; 0 where none does.", "queue"),
		paused:  desc("receipts_queue_paused", "Whether the queue hands out nothing.", "queue"),
		success: desc("receipts_registry_scrape_success", "Whether Redis told of queues and workers."),
	}
}

// Describe implements [prometheus.Collector].
func (s *census) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{s.live, s.beat, s.jobs, s.oldest, s.paused, s.success} {
		descs <- d
	}
}

// Collect implements [prometheus.Collector].
func (s *census) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapePatience)
	defer cancel()
	tell := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	roll, depths, err := standing(ctx, s.queue, s.registry)
	if err != nil {
		s.log.Log(ctx, redisclient.LevelOf(err), "metrics of the queues not read", logging.KeyError, err)
		tell(s.success, 0)
		return
	}
	tell(s.success, 1)
	for _, name := range proto.Queues() {
		depth := depths.Queues[name]
		tell(s.live, float64(len(roll.Live[name])), name)
		tell(s.beat, newestBeat(roll, name), name)
		tell(s.jobs, float64(depth.Waiting), name, string(proto.StateQueued))
		tell(s.jobs, float64(depth.Claimed), name, string(proto.StateStarted))
		tell(s.jobs, float64(depth.Delayed), name, string(proto.StateScheduled))
		tell(s.jobs, float64(depth.Dead), name, string(proto.StateFailed))
		oldest, paused := 0.0, 0.0
		if depth.Oldest != nil {
			oldest = unixSeconds(*depth.Oldest)
		}
		if depth.Paused {
			paused = 1
		}
		tell(s.oldest, oldest, name)
		tell(s.paused, paused, name)
	}
}

// newestBeat is that of a worker of the queue that lives, or did a moment ago.
func newestBeat(roll registry.Roll, name string) float64 {
	newest := 0.0
	for _, w := range roll.Workers {
		if slices.Contains(w.Queues, name) {
			newest = max(newest, unixSeconds(w.LastHeartbeatAt))
		}
	}
	return newest
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// standing is how workers and queues stand, as metrics and diagnostics tell it.
func standing(ctx context.Context, q *queue.Queue, r *registry.Registry) (registry.Roll, queue.Depths, error) {
	roll, err := r.Roll(ctx)
	if err != nil {
		return registry.Roll{}, queue.Depths{}, err
	}
	depths, err := q.Depths(ctx)
	return roll, depths, err
}
