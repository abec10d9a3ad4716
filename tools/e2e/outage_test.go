package e2e

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
)

// timeToLive is the default of HEARTBEAT_TTL.
const timeToLive = 10 * time.Second

// awaitBeats waits until the worker's heartbeat was taken so many times more.
func (w *worker) awaitBeats(more int) {
	w.t.Helper()
	last := ""
	eventually(w.t, "heartbeats", func() bool {
		if now := metrics(w.t, w.admin)[`receipts_worker_heartbeat_timestamp_seconds{queue="default"}`]; now != last {
			last = now
			more--
		}
		return more < 0 // the first that is seen is none more
	})
}

// checkAlive holds that the registry knows these workers, under the names that
// they began with, and no other, all of them alive; and that no invariant of the
// queue is broken.
func (a *api) checkAlive(workers ...*worker) {
	a.t.Helper()
	var want, got []string
	for _, w := range workers {
		want = append(want, w.registered()+" live")
	}
	d := a.checkInvariants()
	for _, w := range d.Workers {
		got = append(got, w.Name+" "+string(w.State))
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		a.t.Errorf("workers (-want +got):\n%s", diff)
	}
}

// checkInvariants has an operator look for broken ones, and answers what else
// the diagnostics say.
func (a *api) checkInvariants() proto.Diagnostics {
	a.t.Helper()
	d := decode[proto.Diagnostics](a.t, a.operator().call(http.MethodGet, "/api/receipts/queue/diagnostics?check=invariants", ""), http.StatusOK)
	if d.Invariants == nil || len(d.Invariants.Broken) > 0 {
		a.t.Errorf("invariants: %+v", d.Invariants)
	}
	return d
}

// checkUncharged waits until a job has finished, and holds that it did so once,
// and that nobody's trouble was counted as its own.
func checkUncharged(t *testing.T, c *client, job string, workers ...*worker) {
	t.Helper()
	done, _ := c.awaitFinish(job)
	if done.Crashes != 0 || done.Attempt != 1 {
		t.Errorf("the job counts %d crashes and is at attempt %d", done.Crashes, done.Attempt)
	}
	checkEndedOnce(t, job, workers...)
}

// checkEndedOnce holds that of these workers one finished the job, and no one
// charged it for anything.
func checkEndedOnce(t *testing.T, job string, workers ...*worker) {
	t.Helper()
	count := func(message string) (n int) {
		for _, w := range workers {
			n += w.events(message, "job_id", job)
		}
		return n
	}
	eventually(t, "the line that ends the job", func() bool { return count("🔔 JOB_DONE") > 0 })
	if ends, fails := count("🔔 JOB_DONE"), count("🔔 JOB_FAIL"); ends != 1 || fails != 0 {
		t.Errorf("the job finished %d times and failed %d times", ends, fails)
	}
}

// verify asks for a job that holds a slot for so long, as JSON, and does nothing.
func (a *api) verify(body string) answer {
	a.t.Helper()
	return a.operator().call(http.MethodPost, "/api/receipts/queue/verify", body)
}

// Redis stands still for longer than a time to live, and everybody's heartbeat
// runs out meanwhile: it was away, not they.
func TestFrozenRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	s, api, c, first, job, held := midJob(t, redis.URL())
	second := s.startWorker()
	second.registered()

	redis.Freeze()
	thaw := time.After(timeToLive + 4*time.Second)
	held.release()                            // what was in hand is answered, and finds no Redis to be written to
	first.awaitEvent("outcome was not taken") // nor can the job be handed back
	checkNoRedis(t, c)
	<-thaw
	redis.Thaw()

	checkUncharged(t, c, job, first, second)
	c.awaitFinish(c.sync(incremental))
	for _, w := range []*worker{first, second} {
		w.awaitBeats(2)
	}
	api.checkAlive(first, second)
	checkUndisturbed(t, s, c)
}

// Redis's clock is set a minute ahead, and back again. Whoever compared what was
// written before with what it says now would hold every worker for dead.
func TestSteppedClock(t *testing.T) {
	t.Parallel()
	redis := redistest.StartWithClock(t)
	s, api, c, first, job, held := midJob(t, redis.URL())
	second := s.startWorker()
	second.registered()

	for _, step := range []time.Duration{time.Minute, -time.Minute} {
		redis.StepClock(step)
		for _, w := range []*worker{first, second} {
			w.awaitBeats(2)
		}
		api.checkAlive(first, second)
		accepted := decode[proto.SyncAccepted](t, api.verify(""), http.StatusAccepted)
		checkEndedOnce(t, accepted.JobID, first, second)
	}
	held.release()

	checkUncharged(t, c, job, first, second)
	c.awaitFinish(c.sync(incremental))
	api.checkAlive(first, second)
	checkUndisturbed(t, s, c)
}

// Redis has no memory left: nothing new is accepted, and what is there goes on
// as far as it can and is charged nothing, until there is room again.
func TestFullRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, "--maxmemory-policy", "noeviction")
	s, api, c, first, job, held := midJob(t, redis.URL())
	beats := []string{"HEARTBEAT_INTERVAL=500ms", "HEARTBEAT_TTL=2s"}
	second, dies := s.startWorker(beats...), s.startWorker(beats...)
	second.registered()
	dead := dies.registered()

	redis.LimitMemory(1)
	held.release()
	refused := decode[proto.Problem](t, api.verify(""), http.StatusServiceUnavailable)
	if refused.Error != "Redis has no memory left" || refused.Action == "" {
		t.Errorf("a full Redis is told as %+v", refused)
	}
	first.awaitEvent("🔔 JOB_RELEASED", "job_id", job) // its receipts found no room
	dies.kill()
	eventually(t, "the dead worker's end in the registry", func() bool {
		w, listed := api.worker(dead)
		return listed && w.State == proto.WorkerReaped
	})
	for _, w := range []*worker{first, second} {
		w.awaitBeats(2)
	}
	redis.LimitMemory(0)

	checkUncharged(t, c, job, first, second)
	c.awaitFinish(c.sync(incremental))
	for _, w := range []*worker{first, second} {
		if n := w.events("🔔 WORKER_START"); n != 1 {
			t.Errorf("%s registered %d times", w.registered(), n)
		}
	}
	api.checkInvariants()
	checkUndisturbed(t, s, c)
}
