package e2e

import (
	"net/http"
	"net/http/httptrace"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/proto"
)

// noWorker is the 503 of api.md, to the letter.
var noWorker = map[string]any{
	"success":           false,
	"error":             "Worker not running - receipts sync cannot start",
	"action":            "Deploy receipts-worker service listening to 'default' queue",
	"technical_details": "No active workers found listening to 'default' queue",
}

func checkNoWorker(t *testing.T, a answer) {
	t.Helper()
	if diff := cmp.Diff(noWorker, decode[map[string]any](t, a, http.StatusServiceUnavailable)); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if got := a.header.Get("Retry-After"); got != "10" {
		t.Errorf("Retry-After is %q, want 10", got)
	}
}

func TestGuardWithoutAnyWorker(t *testing.T) {
	t.Parallel()
	s := newSystem(t, options{mails: 30})
	c := s.startAPI("GUARD_WAIT=1m").as("b1")
	c.http.Timeout = 30 * time.Second // an answer within it did not wait
	checkNoWorker(t, c.call(http.MethodPost, "/api/receipts/sync", ""))

	other := s.startWorker("WORKER_QUEUES=high,low")
	other.registered()
	checkNoWorker(t, c.call(http.MethodPost, "/api/receipts/sync", ""))
}

func TestGuardWhileAWorkerRestarts(t *testing.T) {
	t.Parallel()
	s := newSystem(t, options{mails: 30})
	const wait = 2 * time.Second
	hasty, patient := s.startAPI("GUARD_WAIT="+wait.String()), s.startAPI("GUARD_WAIT=1m")
	worker := s.startWorker()
	name := worker.registered()
	c := patient.as("b1")
	c.connected(owner)

	if code := worker.end(syscall.SIGTERM, patience); code != 0 {
		t.Errorf("worker ended with %d", code)
	}
	if w, _ := hasty.worker(name); w.State != proto.WorkerDeparted {
		t.Errorf("the registry says that %s is %q", name, w.State)
	}
	asked := time.Now()
	checkNoWorker(t, hasty.as("b1").call(http.MethodPost, "/api/receipts/sync", ""))
	if waited := time.Since(asked); waited < wait {
		t.Errorf("answered after %s, without waiting %s for the worker", waited, wait)
	}

	sent, answered := make(chan struct{}), make(chan answer, 1)
	go func() {
		trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { close(sent) }}
		r, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodPost, c.api+"/api/receipts/sync", strings.NewReader(incremental))
		r.Header.Set("Authorization", "Bearer "+c.token)
		a, _ := send(c.http, r)
		answered <- a
	}()
	<-sent
	s.startWorker().registered()
	c.awaitFinish(decode[proto.SyncAccepted](t, <-answered, http.StatusAccepted).JobID)
}
