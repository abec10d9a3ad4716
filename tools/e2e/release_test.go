package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
)

// nextRelease builds the programs of a release that writes and reads the next
// version of the envelope, and answers their folder. Nothing else is new in it.
func nextRelease(t *testing.T) string {
	t.Helper()
	const release = "next"
	source, err := filepath.Abs("../../proto/job.go")
	if err != nil {
		t.Fatal(err)
	}
	today, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	next := bytes.Replace(today, []byte("const EnvelopeVersion = 1\n"), []byte("const EnvelopeVersion = 2\n"), 1)
	if bytes.Equal(next, today) {
		t.Fatal("proto/job.go names the version in other words")
	}
	replacement, overlay := filepath.Join(t.TempDir(), "job.go"), filepath.Join(t.TempDir(), "overlay.json")
	replaced, err := json.Marshal(map[string]map[string]string{"Replace": {source: replacement}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{replacement: next, overlay: replaced} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := build(filepath.Join(programs, release), "-overlay="+overlay); err != nil {
		t.Fatal(err)
	}
	return release
}

// While a release is rolled out both are there. What the new API writes the old
// worker leaves to the new one, uncharged; what the old API writes anybody does.
func TestOldAndNewRelease(t *testing.T) {
	t.Parallel()
	next := nextRelease(t)
	redis := redistest.StartWithClock(t)
	s := newSystem(t, options{redis: redis.URL(), mails: 30})
	oldWorker, oldAPI := s.startWorker("WORKER_CONCURRENCY=1"), s.startAPI()
	oldWorker.registered()
	oldAPI.as("b1").connected(owner)
	s.release = next
	newAPI := s.startAPI()

	c := newAPI.as("b1")
	job := c.sync(incremental)
	oldWorker.awaitEvent("🔔 JOB_RELEASED", "job_id", job, "reason", "defer")
	if left := c.job(job); left.Status != proto.StateScheduled || left.Attempt != 0 {
		t.Errorf("the old worker left the job %s, at attempt %d", left.Status, left.Attempt)
	}

	// The old worker has its hands full for as long as this test runs.
	busy := decode[proto.SyncAccepted](t, oldAPI.verify(`{"seconds": 30}`), http.StatusAccepted).JobID
	oldWorker.awaitEvent("🔔 JOB_START", "job_id", busy)
	newWorker := s.startWorker()
	newWorker.registered()
	redis.StepClock(time.Minute)
	checkUncharged(t, c, job, oldWorker, newWorker)
	oldWorker.awaitBeats(1) // by the clock as it is now
	newWorker.awaitBeats(1)
	older := oldAPI.as("b1").sync(incremental)
	checkUncharged(t, c, older, oldWorker, newWorker)
	newWorker.awaitEvent("🔔 JOB_DONE", "job_id", older)

	oldAPI.checkAlive(oldWorker, newWorker)
	checkAgainstTruth(t, s, c, owner)
}
