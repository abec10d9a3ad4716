package httpapi

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
)

// wantResult compares the count of one result of syncs asked for.
func (s *service) wantResult(result string, want float64) {
	s.Helper()
	if got := testutil.ToFloat64(s.api.counts.syncs.WithLabelValues(result)); got != want {
		s.Errorf("syncs %s = %v, want %v", result, got, want)
	}
}

func TestMetricsAreWellNamed(t *testing.T) {
	t.Parallel()
	s := live(t)
	s.do("GET", syncPath, "")
	problems, err := testutil.GatherAndLint(s.metrics)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// A stream is counted, and its hours are no time to answer.
func TestStreamsAreNotTimed(t *testing.T) {
	t.Parallel()
	s := live(t)
	id := s.sync("")
	e := s.follow(id)
	e.job()
	s.do("POST", syncPath+"/"+id+"/cancel", "")
	e.job()
	e.wantEnd()
	labels := []string{"/api/receipts/sync/:job_id/events", "GET", "200"}
	if got := testutil.ToFloat64(s.api.counts.requests.WithLabelValues(labels...)); got != 1 {
		t.Errorf("%v streams are counted", got)
	}
	if s.api.counts.seconds.DeleteLabelValues(labels...) {
		t.Error("the stream is timed")
	}
}

func TestQueueMetrics(t *testing.T) {
	t.Parallel()
	s := serve(t).ready()
	s.connect(business)
	s.worker("default")
	s.connect("other")
	s.sync("")
	worker, _ := s.claim()
	s.redisDo("SADD", s.keys.Paused(), "low")

	roll, err := s.registry.Roll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = testutil.GatherAndCompare(s.metrics, strings.NewReader(`
# HELP receipts_queue_live_workers Live workers that listen on the queue, by the registry.
# TYPE receipts_queue_live_workers gauge
receipts_queue_live_workers{queue="default"} 2
receipts_queue_live_workers{queue="high"} 1
receipts_queue_live_workers{queue="low"} 1
# HELP receipts_queue_jobs Jobs of the queue.
# TYPE receipts_queue_jobs gauge
receipts_queue_jobs{queue="default",state="failed"} 0
receipts_queue_jobs{queue="default",state="queued"} 0
receipts_queue_jobs{queue="default",state="scheduled"} 0
receipts_queue_jobs{queue="default",state="started"} 1
receipts_queue_jobs{queue="high",state="failed"} 0
receipts_queue_jobs{queue="high",state="queued"} 0
receipts_queue_jobs{queue="high",state="scheduled"} 0
receipts_queue_jobs{queue="high",state="started"} 0
receipts_queue_jobs{queue="low",state="failed"} 0
receipts_queue_jobs{queue="low",state="queued"} 0
receipts_queue_jobs{queue="low",state="scheduled"} 0
receipts_queue_jobs{queue="low",state="started"} 0
# HELP receipts_queue_oldest_job_timestamp_seconds Since when the next job of the queue waits; 0 where none does.
# TYPE receipts_queue_oldest_job_timestamp_seconds gauge
receipts_queue_oldest_job_timestamp_seconds{queue="default"} 0
receipts_queue_oldest_job_timestamp_seconds{queue="high"} 0
receipts_queue_oldest_job_timestamp_seconds{queue="low"} 0
# HELP receipts_queue_paused Whether the queue hands out nothing.
# TYPE receipts_queue_paused gauge
receipts_queue_paused{queue="default"} 0
receipts_queue_paused{queue="high"} 0
receipts_queue_paused{queue="low"} 1
# HELP receipts_registry_scrape_success Whether Redis told of queues and workers.
# TYPE receipts_registry_scrape_success gauge
receipts_registry_scrape_success 1
`), "receipts_queue_live_workers", "receipts_queue_jobs", "receipts_queue_oldest_job_timestamp_seconds", "receipts_queue_paused", "receipts_registry_scrape_success")
	if err != nil {
		t.Error(err)
	}

	for _, w := range roll.Workers {
		if w.Name == worker {
			diff(t, "newest beat on high", newestBeat(roll, proto.QueueHigh), unixSeconds(w.LastHeartbeatAt))
		}
	}
	diff(t, "newest beat on a queue of nobody", newestBeat(roll, "none"), 0.0)
}

func TestQueueMetricsWithoutRedis(t *testing.T) {
	t.Parallel()
	s := serveOn(t, redistest.Reserve(t).URL())
	err := testutil.GatherAndCompare(s.metrics, strings.NewReader(`
# HELP receipts_registry_scrape_success Whether Redis told of queues and workers.
# TYPE receipts_registry_scrape_success gauge
receipts_registry_scrape_success 0
`), "receipts_queue_live_workers", "receipts_queue_jobs", "receipts_registry_scrape_success")
	if err != nil {
		t.Error(err)
	}
}

func TestRequestMetricsHaveRoutesForLabels(t *testing.T) {
	t.Parallel()
	s := serve(t).ready()
	s.do("GET", syncPath+"/01890000-0000-7000-8000-000000000000", "")
	s.do("GET", "/no/such/path", "")
	s.do("BREW", syncPath, "")
	s.log.await(t, `"route":"/api/receipts/sync"`)
	err := testutil.GatherAndCompare(s.metrics, strings.NewReader(`
# HELP receipts_http_requests_total Requests answered.
# TYPE receipts_http_requests_total counter
receipts_http_requests_total{code="404",method="GET",route="/api/receipts/sync/:job_id"} 1
receipts_http_requests_total{code="404",method="GET",route="none"} 1
receipts_http_requests_total{code="405",method="other",route="/api/receipts/sync"} 1
`), "receipts_http_requests_total")
	if err != nil {
		t.Error(err)
	}
}
