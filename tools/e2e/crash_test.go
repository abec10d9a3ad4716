package e2e

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/proto"
)

// inHand is how many messages one job reads at once, at most.
const inHand = 10

// midJob is a system, on the Redis of that URL or one of its own, whose one
// worker is in the middle of a full sync, and can't get on before Gmail is released.
func midJob(t *testing.T, redis string) (s *system, a *api, c *client, first *worker, job string, held *hold) {
	t.Helper()
	s = newSystem(t, options{redis: redis, mails: 360})
	first, a = s.startWorker(), s.startAPI()
	first.registered()
	c = a.as("b1")
	held = s.hold("messages.get", 60)
	job = c.connect(owner)
	first.awaitEvent("🔔 JOB_START", "job_id", job)
	held.await(t)
	eventually(t, "receipts of what was read", func() bool { return len(c.receipts()) > 0 })
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
	s, api, c, first, job, held := midJob(t, "")
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
	s, api, c, first, job, held := midJob(t, "")
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

// A worker stands still in the middle of a job for so long that another does it.
// When it goes on it has mails in hand, and a name that is nobody's any more.
func TestFrozenWorker(t *testing.T) {
	t.Parallel()
	s, api, c, first, job, held := midJob(t, "")
	second := s.startWorker()
	old := first.registered()
	second.registered()

	first.freeze()
	thaw := time.After(2 * timeToLive)
	second.awaitEvent("🔔 JOB_START", "job_id", job)
	if crashes := c.job(job).Crashes; crashes != 1 {
		t.Errorf("the job counts %d crashes after its worker stood still", crashes)
	}
	held.release()
	c.awaitFinish(job)
	type outcome struct {
		Job      proto.Job
		Receipts []proto.Receipt
	}
	before := outcome{c.job(job), c.receipts()}
	<-thaw
	first.thaw()

	first.awaitEvent("worker was reaped", "worker", old)
	first.awaitEvent("🔔 JOB_RELEASED", "job_id", job, "reason", "lost")
	eventually(t, "a new name", func() bool { return first.events("🔔 WORKER_START") == 2 })
	if n := first.events("🔔 WORKER_START", "name", old); n != 1 {
		t.Errorf("it registered %d times under its old name", n)
	}
	if diff := cmp.Diff(before, outcome{c.job(job), c.receipts()}); diff != "" {
		t.Errorf("outcome (-of the second worker +after the first went on):\n%s", diff)
	}
	checkEndedOnce(t, job, first, second)
	c.awaitFinish(c.sync(incremental))
	if d := api.checkInvariants(); d.WorkersCount != 2 {
		t.Errorf("%d workers live, want both", d.WorkersCount)
	}
	checkUndisturbed(t, s, c)
}

// A job that takes its worker with it, three times running, is not tried a
// fourth time. It waits among the dead until somebody wants it again.
func TestJobThatKillsItsWorkers(t *testing.T) {
	t.Parallel()
	s := newSystem(t, options{mails: 30})
	start := func() *worker {
		w := s.startWorker("HEARTBEAT_INTERVAL=500ms", "HEARTBEAT_TTL=2s")
		w.registered()
		return w
	}
	victim, api := start(), s.startAPI()
	c := api.as("b1")
	c.connected(owner)
	held := s.hold("history.list", 1) // the first thing that a sync asks
	job := c.sync(incremental)
	for range 3 {
		victim.awaitEvent("🔔 JOB_START", "job_id", job)
		next := start()
		victim.kill()
		victim = next
	}

	dead := c.awaitEnd(job)
	if dead.Status != proto.StateFailed || dead.Crashes != 3 || dead.Error == nil || dead.Error.Code != "crashed_workers" {
		t.Errorf("the job is %s after %d crashes: %+v", dead.Status, dead.Crashes, dead.Error)
	}
	if d := api.checkInvariants(); d.Queues["default"].Dead != 1 {
		t.Errorf("%d jobs are dead, want this one", d.Queues["default"].Dead)
	}
	held.release()
	retried := decode[proto.SyncAccepted](t, api.operator().call(http.MethodPost, "/api/receipts/queue/jobs/"+job+"/retry", ""), http.StatusAccepted)
	again, _ := c.awaitFinish(retried.JobID)
	if again.JobID == job || again.RetryOf == nil || *again.RetryOf != job {
		t.Errorf("the job that was made of %s is %+v", job, again)
	}
	if d := api.checkInvariants(); d.Queues["default"].Dead != 0 {
		t.Errorf("%d jobs are dead, want none", d.Queues["default"].Dead)
	}
	checkAgainstTruth(t, s, c, owner)
}
