package metrics_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/prosaas/receipts/pkg/metrics"
)

func scrape(t *testing.T, reg metrics.Registry, log io.Writer) string {
	t.Helper()
	answer := httptest.NewRecorder()
	handler := reg.Handler(slog.New(slog.NewTextHandler(log, nil)))
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("scrape: %d %s", answer.Code, answer.Body)
	}
	return answer.Body.String()
}

func TestHandler(t *testing.T) {
	t.Parallel()
	reg := metrics.New()
	saved := prometheus.NewCounter(prometheus.CounterOpts{Name: "receipts_test_saved_total", Help: "Receipts saved."})
	reg.MustRegister(saved)
	saved.Add(3)

	text := scrape(t, reg, io.Discard)
	for _, want := range []string{"receipts_test_saved_total 3\n", "go_goroutines ", "process_start_time_seconds "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
}

// One collector that fails (Redis is down) must not hide the others.
func TestHandlerServesWhatIsWell(t *testing.T) {
	t.Parallel()
	reg := metrics.New()
	reg.MustRegister(failing{})
	var log bytes.Buffer
	if text := scrape(t, reg, &log); !strings.Contains(text, "go_goroutines ") {
		t.Errorf("no go_goroutines in\n%s", text)
	}
	if !strings.Contains(log.String(), "redis is away") {
		t.Errorf("the failure is not logged: %s", log.String())
	}
}

type failing struct{}

func (failing) Describe(ch chan<- *prometheus.Desc) {
	ch <- prometheus.NewDesc("receipts_test_depth", "Depth.", nil, nil)
}

func (failing) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(prometheus.NewDesc("receipts_test_depth", "Depth.", nil, nil), errors.New("redis is away"))
}

func TestBucketsRise(t *testing.T) {
	t.Parallel()
	buckets := metrics.RequestBuckets()
	if !slices.IsSorted(buckets) || len(slices.Compact(slices.Clone(buckets))) != len(buckets) {
		t.Errorf("buckets: %v", buckets)
	}
}
