package e2e

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
)

const noRedis = "Redis not available - receipts sync cannot start"

func checkNoRedis(t *testing.T, c *client) {
	t.Helper()
	p := decode[proto.Problem](t, c.call(http.MethodPost, "/api/receipts/sync", incremental), http.StatusServiceUnavailable)
	if p.Error != noRedis || p.Action == "" || p.TechnicalDetails == "" {
		t.Errorf("without Redis a sync is answered %+v", p)
	}
	for path, want := range map[string]int{"/livez": http.StatusOK, "/readyz": http.StatusServiceUnavailable, "/": http.StatusOK} {
		if got := c.call(http.MethodGet, path, "").status; got != want {
			t.Errorf("%s answers %d without Redis, want %d", path, got, want)
		}
	}
	operator := &client{t: t, api: c.api, http: http.DefaultClient}
	a := operator.call(http.MethodGet, "/api/receipts/queue/diagnostics", "", "X-Diagnostic-Key", diagnosticKey)
	if d := decode[proto.Diagnostics](t, a, http.StatusServiceUnavailable); d.Redis.Available || d.CriticalChecks.Status == "OK" {
		t.Errorf("diagnostics without Redis: %+v", d)
	}
}

func TestRedisDownAtStart(t *testing.T) {
	t.Parallel()
	redis := redistest.Reserve(t)
	s := newSystem(t, options{redis: redis.URL(), mails: 30})
	worker, api := s.startWorker(), s.launchAPI()
	worker.awaitEvent("redis does not answer")
	c := api.as("b1")
	checkNoRedis(t, c)

	redis.Restart()
	worker.registered()
	api.awaitReady()
	c.connected(owner)
	checkAgainstTruth(t, s, c, owner)
}

func TestRedisAwayInTheMiddle(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	s := newSystem(t, options{redis: redis.URL(), mails: 240})
	worker, api := s.startWorker("HEARTBEAT_INTERVAL=500ms", "HEARTBEAT_TTL=2s"), s.startAPI()
	worker.registered()
	c := api.as("b1")
	held := s.hold("messages.get", 40)
	job := c.connect(owner)
	held.await(t)

	redis.Kill()
	checkNoRedis(t, c)
	held.release()                             // what was in hand is answered, and finds no Redis to be written to
	worker.awaitEvent("outcome was not taken") // nor can the job be handed back
	redis.Restart()

	api.awaitReady()
	c.awaitFinish(job)
	if strings.Contains(strings.Join(worker.log(), "\n"), "JOB_FAIL") {
		t.Error("Redis's trouble counted as an attempt of the job")
	}
	if reads := s.sim.Ledger().Reads; reads.Repeated > inHand {
		t.Errorf("%d messages were read twice", reads.Repeated)
	}
	checkAgainstTruth(t, s, c, owner)
	if code := worker.end(syscall.SIGTERM, patience); code != 0 {
		t.Errorf("worker ended with %d", code)
	}
	if code := api.end(syscall.SIGTERM, patience); code != 0 {
		t.Errorf("api ended with %d", code)
	}
}
