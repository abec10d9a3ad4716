package verify

import (
	"strings"
	"testing"
	"time"
)

// A restart that is long over is no failure, and is reported all the same.
func TestRestartsAreReported(t *testing.T) {
	t.Parallel()
	var worker, api container
	worker.Name, worker.RestartCount, worker.State.Status, worker.State.StartedAt = "/receipts-worker-1", 3, "running", time.Now().Add(-time.Hour)
	api.Name, api.State.Status, api.State.StartedAt = "/receipts-api-1", "running", time.Now()
	detail, err := steady(map[string][]container{serviceWorker: {worker}, serviceAPI: {api}})
	if err != nil || !strings.HasPrefix(detail, "receipts-worker-1 was restarted 3 times, last 1h0m") || strings.Contains(detail, "api") {
		t.Errorf("steady: %q, %v", detail, err)
	}
}
