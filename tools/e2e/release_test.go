package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
)

// nextRelease builds the programs of a release that writes and reads the next
// version of the envelope, and answers their folder. Nothing else is new in it.
func nextRelease(t *testing.T) string {
	t.Helper()
	const source = "proto/job.go"
	return variant(t, "next", map[string]string{source: edited(t, source, "const EnvelopeVersion = 1\n", "const EnvelopeVersion = 2\n")})
}

// edited is the text of a file of this project with one place of it changed.
func edited(t *testing.T, source, from, to string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", source))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte(from)) {
		t.Fatalf("%s says in other words: %s", source, from)
	}
	return strings.Replace(string(text), from, to, 1)
}

// variant builds the programs with other texts for some files of this project,
// or with files that it has not, and answers their folder.
func variant(t *testing.T, release string, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	replace := map[string]string{}
	for source, text := range files {
		at, err := filepath.Abs(filepath.Join("..", "..", source))
		if err != nil {
			t.Fatal(err)
		}
		replace[at] = filepath.Join(dir, strconv.Itoa(len(replace))+".go")
		if err := os.WriteFile(replace[at], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(at, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := build(filepath.Join(programs, release), "-overlay="+at); err != nil {
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
