package e2e

import (
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/proto"
)

// inHand is how many messages one job reads at once, at most.
const inHand = 10

// midJob is a system whose one worker is in the middle of a full sync, and can't
// get on before Gmail is released.
func midJob(t *testing.T) (s *system, a *api, c *client, first *worker, job string, held *hold) {
	t.Helper()
	s = newSystem(t, options{mails: 360})
	first, a = s.startWorker(), s.startAPI()
	first.registered()
	c = a.as("b1")
	held = s.hold("messages.get", 60)
	job = c.connect(owner)
	first.awaitEvent("🔔 JOB_START", "job_id", job)
	held.await(t)
	eventually(t, "progress of the job", func() bool {
		p := c.job(job).Progress
		return p != nil && p.Scanned > 0
	})
	return s, a, c, first, job, held
}

// checkUndisturbed compares what came of a disturbed sync with the mailbox, and
// what it read with what had to be read.
func checkUndisturbed(t *testing.T, s *system, c *client) {
	t.Helper()
	if reads := s.sim.Ledger().Reads; reads.Repeated > inHand {
		t.Errorf("%d messages were read twice, more than the %d that were in hand", reads.Repeated, inHand)
	}
	checkAgainstTruth(t, s, c, owner)
}

func TestKilledWorker(t *testing.T) {
	t.Parallel()
	s, api, c, first, job, held := midJob(t)
	name := first.awaitEvent("🔔 WORKER_START")["name"].(string)
	second := s.startWorker()
	second.registered()

	first.kill()
	held.release()
	killed := time.Now()
	eventually(t, "the dead worker's end in the registry", func() bool {
		w, listed := api.worker(name)
		return listed && w.State == proto.WorkerReaped
	})
	// Its time to live is 10 s; what is beyond is a beat of the one who reaps.
	t.Logf("reaped %s after it was killed", time.Since(killed))
	if d := api.diagnostics(); d.WorkersCount != 1 || d.CriticalChecks.Status != "OK" {
		t.Errorf("after a death: %d live workers, %q", d.WorkersCount, d.CriticalChecks.Status)
	}
	second.awaitEvent("🔔 JOB_START", "job_id", job)
	done, result := c.awaitFinish(job)
	if result.Errors != 0 || done.JobID != job {
		t.Errorf("result %+v of %+v", result, done)
	}
	checkUndisturbed(t, s, c)

	// The same mailbox, read by another business that nobody disturbs.
	calm := api.as("calm")
	calm.connected(owner)
	if diff := cmp.Diff(calm.receipts(), c.receipts()); diff != "" {
		t.Errorf("receipts (-undisturbed +after a death):\n%s", diff)
	}
}

func TestStoppedWorker(t *testing.T) {
	t.Parallel()
	s, api, c, first, job, held := midJob(t)
	if code := first.end(syscall.SIGTERM, 5*time.Second); code != 0 {
		t.Errorf("worker ended with %d", code)
	}
	first.awaitEvent("🔔 JOB_RELEASED", "job_id", job, "reason", "shutdown")
	if state := c.job(job).Status; state != proto.StateQueued {
		t.Errorf("the job is %s after its worker left", state)
	}
	if d := api.diagnostics(); d.WorkersCount != 0 || d.Queues["default"].Length != 1 || d.Queues["default"].Claimed != 0 {
		t.Errorf("after the worker left: %+v", d)
	}
	held.release()
	second := s.startWorker()
	event := second.awaitEvent("🔔 JOB_START", "job_id", job)
	if event["attempt"] != float64(1) {
		t.Errorf("the shutdown counted as an attempt: %v", event)
	}
	c.awaitFinish(job)
	checkUndisturbed(t, s, c)
}
